/* Spaces of variables: definitions and slots; and a subject's values. */

#include "core/script/script_internal.h"

#include "core/base/array.h"

/* nginx's bound. Only maps of maps of maps come near it. */
#define EVALUATION_DEPTH_MAX 100

typedef struct {
    weir_str name; /* in lower case */
    /* What the name resolved to when the space was closed. */
    weir_variable_get get;
    weir_variable_set set;
    uintptr_t arg;
    bool is_volatile;
    /* Where it was first used, for complaints. */
    const weir_statement *statement;
    size_t statement_arg;
} space_slot;

typedef struct {
    weir_str prefix;
    const weir_variable *definition;
} space_family;

struct weir_space {
    weir_pool *pool;
    weir_map *definitions;  /* by name */
    weir_array families;    /* of space_family */
    weir_array slots;       /* of space_slot */
    weir_map *slot_by_name; /* the slot's number, plus one */
    bool is_closed;
};

/* Each request has an array of these, zeroed: 16 bytes. */
struct weir_script_value {
    const char *data;
    uint32_t len;
    bool is_known, is_found;
    bool is_set;  /* by hand */
    bool is_busy; /* being evaluated */
};

/* ---- while the configuration is read */

static const char scripting_key;

weir_scripting *weir_scripting_of(weir_conf *conf)
{
    weir_scripting *scripting = weir_conf_kept(conf, &scripting_key);
    weir_pool *pool = weir_conf_pool(conf);

    if (scripting != NULL) {
        return scripting;
    }

    scripting = WEIR_NEW(pool, weir_scripting);
    if (scripting == NULL || (scripting->spaces = weir_map_new(pool, false, 4)) == NULL
        || !weir_conf_keep(conf, &scripting_key, scripting)) {
        weir_conf_refuse(conf, "no memory for variables");
        return NULL;
    }

    return scripting;
}

/* NULL: no memory. */
static weir_space *space_new(weir_pool *pool)
{
    weir_space *space = WEIR_NEW(pool, weir_space);

    if (space == NULL) {
        return NULL;
    }

    space->pool = pool;
    weir_array_init(&space->families, pool, sizeof(space_family), 16);
    weir_array_init(&space->slots, pool, sizeof(space_slot), 32);
    space->definitions = weir_map_new(pool, true, 128);
    space->slot_by_name = weir_map_new(pool, true, 64);

    return space->definitions == NULL || space->slot_by_name == NULL ? NULL : space;
}

weir_space *weir_space_of(weir_conf *conf, const char *family)
{
    weir_scripting *scripting = weir_scripting_of(conf);
    weir_pool *pool = weir_conf_pool(conf);
    weir_space *space;
    weir_str key;

    if (scripting == NULL) {
        return NULL;
    }

    space = weir_map_find(scripting->spaces, weir_str_from_z(family));
    if (space != NULL) {
        return space;
    }

    space = space_new(pool);
    if (space == NULL || !weir_str_copy(pool, weir_str_from_z(family), &key)
        || !weir_map_put(scripting->spaces, key, space)) {
        weir_conf_refuse(conf, "no memory for variables");
        return NULL;
    }

    return space;
}

static bool space_refuse_memory(weir_conf *conf, weir_str name)
{
    return weir_conf_refuse(conf, "no memory for variable \"%.*s\"", WEIR_STR_ARG(name));
}

static space_family *space_find_family(const weir_space *space, weir_str prefix)
{
    for (WEIR_ARRAY_EACH(&space->families, space_family, family)) {
        if (weir_str_eq_nocase(family->prefix, prefix)) {
            return family;
        }
    }

    return NULL;
}

static bool space_yields(const weir_variable *definition)
{
    return definition->is_fallback || definition->may_be_redefined || definition->set != NULL;
}

typedef enum {
    SPACE_TAKE_NEW,
    SPACE_KEEP_OLD,
    SPACE_DUPLICATE,
} space_choice;

static space_choice space_choose(const weir_variable *old, const weir_variable *new)
{
    if (old == NULL) {
        return SPACE_TAKE_NEW;
    }
    if (new->is_fallback) {
        return space_yields(old) ? SPACE_KEEP_OLD : SPACE_DUPLICATE;
    }
    if (old->is_fallback) {
        return space_yields(new) ? SPACE_TAKE_NEW : SPACE_DUPLICATE;
    }
    return old->may_be_redefined ? SPACE_TAKE_NEW : SPACE_DUPLICATE;
}

static bool space_put_family(weir_space *space, weir_str prefix, const weir_variable *definition)
{
    space_family *family = space_find_family(space, prefix);

    if (family == NULL) {
        family = weir_array_push(&space->families);
        if (family == NULL) {
            return false;
        }
    }

    family->prefix = prefix;
    family->definition = definition;
    return true;
}

/* Both name and definition live as long as the space. */
static bool space_put(weir_conf *conf, weir_space *space, weir_str name,
                      const weir_variable *definition)
{
    const weir_variable *old = NULL;
    const space_family *family;

    if (definition->is_prefix) {
        family = space_find_family(space, name);
        old = family == NULL ? NULL : family->definition;
    } else {
        old = weir_map_find(space->definitions, name);
    }

    switch (space_choose(old, definition)) {
    case SPACE_KEEP_OLD:
        return true;
    case SPACE_DUPLICATE:
        return weir_conf_refuse(conf, "the duplicate \"%.*s\" variable", WEIR_STR_ARG(name));
    case SPACE_TAKE_NEW:
        break;
    }

    /* The map's values are not const, but nothing writes to them. */
    if (definition->is_prefix
            ? !space_put_family(space, name, definition)
            : !weir_map_put(space->definitions, name, (void *) (uintptr_t) definition)) {
        return space_refuse_memory(conf, name);
    }

    return true;
}

bool weir_space_add(weir_conf *conf, weir_space *space, const weir_variable *table)
{
    for (; table->name != NULL; table++) {
        if (!space_put(conf, space, weir_str_from_z(table->name), table)) {
            return false;
        }
    }

    return true;
}

bool weir_space_define(weir_conf *conf, weir_space *space, weir_str name,
                       const weir_variable *definition)
{
    weir_variable *copy = WEIR_NEW(space->pool, weir_variable);
    weir_str lower;

    if (copy == NULL || !weir_str_lower(space->pool, name, &lower)) {
        return space_refuse_memory(conf, name);
    }

    *copy = *definition;
    copy->name = weir_str_z(space->pool, lower);
    if (copy->name == NULL) {
        return space_refuse_memory(conf, name);
    }

    return space_put(conf, space, lower, copy);
}

bool weir_variable_name(weir_conf *conf, weir_str arg, weir_str *name)
{
    bool is_valid = arg.len > 1 && arg.data[0] == '$';

    for (size_t i = 1; i < arg.len; i++) {
        char c = arg.data[i];

        is_valid = is_valid && (weir_script_is_name_byte(c) || c == '-' || c == '.');
    }

    if (!is_valid) {
        return weir_conf_refuse(conf, "invalid variable name \"%.*s\"", WEIR_STR_ARG(arg));
    }

    *name = weir_str_from(arg, 1);
    return true;
}

/* The definition, and what of the name lies behind its prefix. */
static const weir_variable *space_resolve(const weir_space *space, weir_str name, weir_str *rest)
{
    const weir_variable *definition = weir_map_find(space->definitions, name);
    size_t longest = 0;

    *rest = WEIR_STR_EMPTY;
    if (definition != NULL) {
        return definition;
    }

    for (WEIR_ARRAY_EACH(&space->families, space_family, family)) {
        if (family->prefix.len > longest && weir_str_starts_nocase(name, family->prefix)) {
            longest = family->prefix.len;
            definition = family->definition;
        }
    }

    *rest = weir_str_from(name, longest);
    return definition;
}

/* What was meant, perhaps; empty when nothing is near. */
static weir_str space_near_name(const weir_space *space, weir_str name)
{
    unsigned nearest = weir_conf_slips(name) + 1;
    weir_str best = WEIR_STR_EMPTY, candidate;
    size_t position = 0;
    void *definition;

    while (weir_map_next(space->definitions, &position, &candidate, &definition)) {
        unsigned distance = weir_conf_distance(name, candidate, nearest);

        /* Of equally near ones the first in the alphabet, as the map has no order. */
        if (distance < nearest
            || (distance == nearest && !weir_str_is_empty(best)
                && weir_str_compare(candidate, best) < 0)) {
            nearest = distance;
            best = candidate;
        }
    }

    return best;
}

static bool space_refuse_unknown(weir_conf *conf, const weir_space *space, const space_slot *slot)
{
    weir_str near = space_near_name(space, slot->name), hint = WEIR_STR_EMPTY;
    char buffer[128];
    weir_builder builder;

    if (!weir_str_is_empty(near)) {
        weir_builder_over(&builder, buffer, sizeof(buffer));
        weir_builder_printf(&builder, "did you mean \"$%.*s\"?", WEIR_STR_ARG(near));
        hint = weir_builder_cut(&builder);
    }

    return weir_conf_refuse_hint(conf, slot->statement, slot->statement_arg, hint,
                                 "unknown \"%.*s\" variable", WEIR_STR_ARG(slot->name));
}

static bool space_bind(weir_conf *conf, weir_space *space, space_slot *slot)
{
    weir_str rest, *kept_rest;
    const weir_variable *definition = space_resolve(space, slot->name, &rest);

    if (definition == NULL) {
        return space_refuse_unknown(conf, space, slot);
    }

    slot->get = definition->get;
    slot->set = definition->set;
    slot->is_volatile = definition->is_volatile;
    slot->arg = definition->arg;

    if (definition->is_prefix) {
        kept_rest = WEIR_NEW(space->pool, weir_str);
        if (kept_rest == NULL) {
            return space_refuse_memory(conf, slot->name);
        }
        *kept_rest = rest;
        slot->arg = (uintptr_t) kept_rest;
    }

    return true;
}

/* Whether "$name" or "${name" stands at a "$". */
static bool text_mentions(weir_str at_dollar, weir_str name)
{
    weir_str rest = weir_str_from(at_dollar, 1);

    if (weir_str_starts(rest, WEIR_STR("{"))) {
        rest = weir_str_from(rest, 1);
    }

    return weir_str_starts_nocase(rest, name)
           && (rest.len == name.len || !weir_script_is_name_byte(rest.data[name.len]));
}

static bool statement_mentions(const weir_statement *statement, weir_str name, size_t *arg)
{
    for (size_t i = 0; i < statement->count; i++) {
        const weir_str text = statement->args[i];

        for (size_t at = 0; at < text.len; at++) {
            if (text.data[at] == '$' && text_mentions(weir_str_from(text, at), name)) {
                *arg = i;
                return true;
            }
        }
    }

    return false;
}

/* Finds the argument, here or within a block of data (map), for the caret. */
static void space_note_use(weir_conf *conf, space_slot *slot)
{
    const weir_statement *statement = weir_conf_statement(conf), *child;

    slot->statement = statement;
    slot->statement_arg = 0;
    if (statement == NULL || statement_mentions(statement, slot->name, &slot->statement_arg)) {
        return;
    }

    for (child = statement->first_child; child != NULL; child = child->next) {
        if (child->directive == NULL
            && statement_mentions(child, slot->name, &slot->statement_arg)) {
            slot->statement = child;
            return;
        }
    }
}

int weir_space_slot(weir_conf *conf, weir_space *space, weir_str name)
{
    uintptr_t known = (uintptr_t) weir_map_find(space->slot_by_name, name);
    space_slot *slot;
    weir_str lower;

    if (known != 0) {
        return (int) (known - 1);
    }

    /* The name first: a slot that is there is complete. */
    if (!weir_str_lower(space->pool, name, &lower)
        || (slot = weir_array_push(&space->slots)) == NULL) {
        space_refuse_memory(conf, name);
        return -1;
    }

    slot->name = lower;
    space_note_use(conf, slot);
    if (!weir_map_put(space->slot_by_name, lower, (void *) (uintptr_t) space->slots.count)) {
        space_refuse_memory(conf, name);
        return -1;
    }

    if (space->is_closed && !space_bind(conf, space, slot)) {
        return -1;
    }

    return (int) (space->slots.count - 1);
}

bool weir_space_close(weir_conf *conf, weir_space *space)
{
    for (WEIR_ARRAY_EACH(&space->slots, space_slot, slot)) {
        if (!space_bind(conf, space, slot)) {
            return false;
        }
    }

    space->is_closed = true;
    return true;
}

size_t weir_space_slot_count(const weir_space *space)
{
    return space->slots.count;
}

static const space_slot *space_slot_at(const weir_space *space, int slot)
{
    return WEIR_ARRAY_AT(&space->slots, const space_slot, slot);
}

/* ---- at run time */

void weir_script_begin(weir_script *script, const weir_space *space, void *subject, weir_pool *pool,
                       const weir_log *log)
{
    /* Not the captures: nothing beyond capture_count is read. */
    script->space = space;
    script->subject = subject;
    script->pool = pool;
    script->log = log;
    script->capture_count = 0;
    script->depth = 0;
    script->frame = NULL;
    script->values = NULL;
}

static struct weir_script_value *script_values(weir_script *script)
{
    if (WEIR_UNLIKELY(script->values == NULL)) {
        script->values = WEIR_NEW_ARRAY(script->pool, struct weir_script_value,
                                        weir_space_slot_count(script->space));
    }
    return script->values;
}

void weir_script_save_captures(weir_script *script)
{
    struct weir_script_frame *frame = script->frame;

    if (frame == NULL || frame->has_captures) {
        return;
    }

    frame->has_captures = true;
    frame->capture_count = script->capture_count;
    memcpy(frame->captures, script->captures, script->capture_count * sizeof(weir_str));
}

static void script_restore_captures(weir_script *script, const struct weir_script_frame *frame)
{
    if (!frame->has_captures || frame->capture_count == 0) {
        return;
    }

    script->capture_count = frame->capture_count;
    memcpy(script->captures, frame->captures, frame->capture_count * sizeof(weir_str));
}

void weir_script_drop_captures(weir_script *script)
{
    weir_script_save_captures(script);
    script->capture_count = 0;
}

static void script_log_cycle(const weir_script *script, weir_str name)
{
    weir_log_line(script->log, WEIR_LOG_ERR, 0, "cycle while evaluating variable \"%.*s\"",
                  WEIR_STR_ARG(name));
}

/* False only without memory. */
static bool script_evaluate(weir_script *script, weir_variable_get get, uintptr_t arg,
                            weir_str name, weir_value *value)
{
    struct weir_script_frame frame, *outer = script->frame;
    weir_value fresh = {.text = WEIR_STR_EMPTY};
    bool is_made;

    if (get == NULL) {
        *value = fresh;
        return true;
    }

    if (script->depth >= EVALUATION_DEPTH_MAX) {
        script_log_cycle(script, name);
        *value = fresh;
        return true;
    }

    frame.has_captures = false;
    script->frame = &frame;
    script->depth++;
    is_made = get(script, arg, &fresh);
    script->depth--;
    script->frame = outer;
    script_restore_captures(script, &frame);

    if (!is_made) {
        return false;
    }

    if (!fresh.found) {
        fresh.text = WEIR_STR_EMPTY;
    }
    *value = fresh;
    return true;
}

static void value_keep(struct weir_script_value *kept, const weir_value *value)
{
    kept->data = value->text.data;
    kept->len = (uint32_t) value->text.len;
    kept->is_found = value->found;
    kept->is_known = true;
}

static bool script_evaluate_slot(weir_script *script, const space_slot *slot,
                                 struct weir_script_value *kept, weir_value *value)
{
    bool is_made;

    if (kept->is_busy) {
        script_log_cycle(script, slot->name);
        *value = (weir_value){.text = WEIR_STR_EMPTY};
        return true;
    }

    kept->is_busy = true;
    is_made = script_evaluate(script, slot->get, slot->arg, slot->name, value);
    kept->is_busy = false;

    /* A longer text than is kept is made each time; a value set meanwhile stays. */
    if (is_made && !slot->is_volatile && !kept->is_set && value->text.len <= UINT32_MAX) {
        value_keep(kept, value);
    }

    return is_made;
}

bool weir_script_get(weir_script *script, int slot, weir_value *value)
{
    struct weir_script_value *kept = script_values(script);

    if (WEIR_UNLIKELY(kept == NULL)) {
        return false;
    }

    kept += slot;
    if (kept->is_known) {
        value->text = weir_str_of(kept->data, kept->len);
        value->found = kept->is_found;
        return true;
    }

    return script_evaluate_slot(script, space_slot_at(script->space, slot), kept, value);
}

bool weir_script_set(weir_script *script, int slot, weir_str text)
{
    const space_slot *definition = space_slot_at(script->space, slot);
    struct weir_script_value *kept = script_values(script);
    const weir_value value = {.text = text, .found = true};

    if (kept == NULL) {
        return false;
    }

    kept += slot;
    if (definition->set != NULL) {
        if (!definition->set(script, definition->arg, text)) {
            return false;
        }
        kept->is_known = false;
        return true;
    }

    if (text.len > UINT32_MAX) {
        weir_log_line(script->log, WEIR_LOG_ERR, 0,
                      "variable \"%.*s\" cannot be set to more than 4 GiB",
                      WEIR_STR_ARG(definition->name));
        return false;
    }

    value_keep(kept, &value);
    kept->is_set = true;
    return true;
}

bool weir_script_find(weir_script *script, weir_str name, weir_value *value)
{
    uintptr_t known = (uintptr_t) weir_map_find(script->space->slot_by_name, name);
    const weir_variable *definition;
    weir_str rest;

    if (known != 0) {
        return weir_script_get(script, (int) (known - 1), value);
    }

    definition = space_resolve(script->space, name, &rest);
    if (definition == NULL) {
        *value = (weir_value){.text = WEIR_STR_EMPTY};
        return true;
    }

    if (definition->is_prefix) {
        return weir_str_lower(script->pool, rest, &rest)
               && script_evaluate(script, definition->get, (uintptr_t) &rest, name, value);
    }

    return script_evaluate(script, definition->get, definition->arg, name, value);
}
