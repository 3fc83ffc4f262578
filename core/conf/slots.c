#include "core/conf/conf_internal.h"

#define SLOTS_HINT_MAX 1024 /* bytes */

weir_takes weir_conf_takes(const weir_directive *directive)
{
    if (directive->takes.given) {
        return directive->takes;
    }

    switch (directive->slot.kind) {
    case WEIR_KIND_LIST:
    case WEIR_KIND_BITS:
        return (weir_takes) WEIR_TAKES_SOME;
    case WEIR_KIND_SIZES:
        return (weir_takes) WEIR_TAKES(2, 2);
    case WEIR_KIND_NONE:
    case WEIR_KIND_FLAG:
    case WEIR_KIND_UINT:
    case WEIR_KIND_SIZE:
    case WEIR_KIND_OFFSET:
    case WEIR_KIND_MS:
    case WEIR_KIND_SECONDS:
    case WEIR_KIND_STR:
    case WEIR_KIND_STR_OR_OFF:
    case WEIR_KIND_ENUM:
    case WEIR_KIND_TEMPLATE:
    case WEIR_KIND_PATH:
    case WEIR_KIND_CALL:
        break;
    }

    return (weir_takes) WEIR_TAKES(1, 1);
}

/* Of one statement: where it goes, and who says so. */
typedef struct {
    weir_conf *conf;
    const weir_slot *slot;
    const weir_statement *statement;
    void *member;
} slots_target;

static weir_str slots_name(const slots_target *target)
{
    return target->statement->args[0];
}

static weir_str slots_first(const slots_target *target)
{
    return target->statement->args[1];
}

static bool slots_refuse_value(const slots_target *target, size_t arg, const char *hint)
{
    return weir_conf_refuse_hint(target->conf, target->statement, arg, weir_str_from_z(hint),
                                 "\"%.*s\" directive invalid value",
                                 WEIR_STR_ARG(slots_name(target)));
}

static bool slots_store_flag(const slots_target *target)
{
    bool *flag = target->member;
    weir_str word = slots_first(target);

    if (weir_str_eq_nocase(word, WEIR_STR("on"))) {
        *flag = true;
        return true;
    }

    if (weir_str_eq_nocase(word, WEIR_STR("off"))) {
        *flag = false;
        return true;
    }

    return weir_conf_refuse_arg(
        target->conf, target->statement, 1,
        "invalid value \"%.*s\" in \"%.*s\" directive, it must be \"on\" or \"off\"",
        WEIR_STR_ARG(word), WEIR_STR_ARG(slots_name(target)));
}

static bool slots_refuse_bounds(const slots_target *target)
{
    const weir_slot *slot = target->slot;
    weir_str name = slots_name(target);

    if (slot->max >= INT64_MAX) {
        return weir_conf_refuse_arg(target->conf, target->statement, 1,
                                    "\"%.*s\" directive value must be equal to or greater than %ju",
                                    WEIR_STR_ARG(name), (uintmax_t) slot->min);
    }

    return weir_conf_refuse_arg(target->conf, target->statement, 1,
                                "\"%.*s\" directive value must be between %ju and %ju",
                                WEIR_STR_ARG(name), (uintmax_t) slot->min, (uintmax_t) slot->max);
}

static bool slots_store_uint(const slots_target *target)
{
    uint64_t *number = target->member;
    uint64_t parsed;

    if (!weir_parse_uint(slots_first(target), UINT64_MAX, &parsed)) {
        return weir_conf_refuse_arg(target->conf, target->statement, 1,
                                    "\"%.*s\" directive invalid number",
                                    WEIR_STR_ARG(slots_name(target)));
    }

    if (parsed < target->slot->min || parsed > target->slot->max) {
        return slots_refuse_bounds(target);
    }

    *number = parsed;
    return true;
}

static bool slots_store_size(const slots_target *target)
{
    size_t *size = target->member;
    uint64_t bytes;

    if (!weir_parse_size(slots_first(target), false, target->slot->max, &bytes)
        || bytes < target->slot->min) {
        return slots_refuse_value(target, 1, "a size is a number of bytes, or one with k or m");
    }

    *size = (size_t) bytes;
    return true;
}

static bool slots_store_offset(const slots_target *target)
{
    uint64_t *offset = target->member;
    uint64_t bytes;

    if (!weir_parse_size(slots_first(target), true, target->slot->max, &bytes)
        || bytes < target->slot->min) {
        return slots_refuse_value(target, 1, "a size is a number of bytes, or one with k, m or g");
    }

    *offset = bytes;
    return true;
}

static bool slots_store_ms(const slots_target *target)
{
    uint64_t *time_ms = target->member;
    uint64_t parsed;

    if (!weir_parse_time_ms(slots_first(target), target->slot->max, &parsed)
        || parsed < target->slot->min) {
        return slots_refuse_value(
            target, 1, "a time is a number of seconds, or such as 500ms, 90s or \"1h 30m\"");
    }

    *time_ms = parsed;
    return true;
}

static bool slots_store_seconds(const slots_target *target)
{
    uint64_t *time_s = target->member;
    uint64_t parsed;

    if (!weir_parse_time_s(slots_first(target), target->slot->max, &parsed)
        || parsed < target->slot->min) {
        return slots_refuse_value(target, 1,
                                  "a time is a number of seconds, or such as 90s or \"1h 30m\"");
    }

    *time_s = parsed;
    return true;
}

static bool slots_store_str(const slots_target *target)
{
    weir_str *text = target->member;

    *text = slots_first(target);
    return true;
}

static bool slots_store_str_or_off(const slots_target *target)
{
    weir_str *text = target->member;
    weir_str word = slots_first(target);

    *text = weir_str_eq(word, WEIR_STR("off")) ? WEIR_STR_EMPTY : word;
    return true;
}

static const weir_choice *slots_find_choice(const weir_slot *slot, weir_str word)
{
    for (const weir_choice *choice = slot->choices; choice->name != NULL; choice++) {
        if (weir_str_eq_nocase(word, weir_str_from_z(choice->name))) {
            return choice;
        }
    }

    return NULL;
}

/* `"a", "b" or "c"` */
static bool slots_refuse_choice(const slots_target *target, size_t arg)
{
    char buffer[SLOTS_HINT_MAX];
    weir_builder list;
    weir_str text;

    weir_builder_over(&list, buffer, sizeof(buffer));

    for (const weir_choice *choice = target->slot->choices; choice->name != NULL; choice++) {
        bool is_last = choice[1].name == NULL;

        if (choice != target->slot->choices) {
            weir_builder_add(&list, is_last ? WEIR_STR(" or ") : WEIR_STR(", "));
        }

        weir_builder_printf(&list, "\"%s\"", choice->name);
    }

    text = weir_builder_cut(&list);
    return weir_conf_refuse_arg(target->conf, target->statement, arg,
                                "invalid value \"%.*s\" in \"%.*s\" directive, it must be %.*s",
                                WEIR_STR_ARG(target->statement->args[arg]),
                                WEIR_STR_ARG(slots_name(target)), WEIR_STR_ARG(text));
}

static bool slots_store_enum(const slots_target *target)
{
    unsigned *value = target->member;
    const weir_choice *choice = slots_find_choice(target->slot, slots_first(target));

    if (choice == NULL) {
        return slots_refuse_choice(target, 1);
    }

    *value = choice->value;
    return true;
}

static bool slots_store_bits(const slots_target *target)
{
    unsigned *bits = target->member;
    unsigned value = 0;

    for (size_t i = 1; i < target->statement->count; i++) {
        const weir_choice *choice = slots_find_choice(target->slot, target->statement->args[i]);

        if (choice == NULL) {
            return slots_refuse_choice(target, i);
        }

        if (choice->value != 0 && (value & choice->value) == choice->value) {
            weir_conf_warn(target->conf, "duplicate value \"%s\"", choice->name);
        }

        value |= choice->value;
    }

    *bits = value;
    return true;
}

static bool slots_store_list(const slots_target *target)
{
    weir_array *list = target->member;

    if (list->pool == NULL) {
        weir_array_init(list, target->conf->home.pool, sizeof(weir_str),
                        target->statement->count - 1);
    }

    for (size_t i = 1; i < target->statement->count; i++) {
        weir_str *item = weir_array_push(list);

        if (item == NULL) {
            return weir_conf_refuse_memory(target->conf);
        }

        *item = target->statement->args[i];
    }

    return true;
}

static bool slots_store_sizes(const slots_target *target)
{
    weir_count_size *sizes = target->member;
    uint64_t count, size;

    if (!weir_parse_uint(slots_first(target), UINT16_MAX, &count) || count == 0) {
        return slots_refuse_value(target, 1, "a number from 1 to 65535");
    }

    if (!weir_parse_size(target->statement->args[2], false, SIZE_MAX / UINT16_MAX, &size)
        || size == 0) {
        return slots_refuse_value(target, 2, "a size is a number of bytes, or one with k or m");
    }

    *sizes = (weir_count_size){(unsigned) count, (size_t) size};
    return true;
}

static bool slots_store_template(const slots_target *target)
{
    const struct weir_template **template = target->member;
    const weir_level_whole *level = (const weir_level_whole *) (const void *) target->conf->level;
    const struct weir_template *made;

    made =
        target->conf->options.make_template(target->conf, level->family->name, slots_first(target));
    if (made == NULL) {
        return false;
    }

    *template = made;
    return true;
}

static bool slots_store_path(const slots_target *target)
{
    weir_str *path = target->member;

    if (weir_str_find_byte(slots_first(target), '$') != NULL) {
        return weir_conf_refuse_arg(target->conf, target->statement, 1,
                                    "\"%.*s\" directive takes no variables",
                                    WEIR_STR_ARG(slots_name(target)));
    }

    return weir_conf_prefix_path(target->conf, slots_first(target), path);
}

static bool slots_store(const slots_target *target)
{
    switch (target->slot->kind) {
    case WEIR_KIND_NONE:
    case WEIR_KIND_CALL:
        break;
    case WEIR_KIND_FLAG:
        return slots_store_flag(target);
    case WEIR_KIND_UINT:
        return slots_store_uint(target);
    case WEIR_KIND_SIZE:
        return slots_store_size(target);
    case WEIR_KIND_OFFSET:
        return slots_store_offset(target);
    case WEIR_KIND_MS:
        return slots_store_ms(target);
    case WEIR_KIND_SECONDS:
        return slots_store_seconds(target);
    case WEIR_KIND_STR:
        return slots_store_str(target);
    case WEIR_KIND_STR_OR_OFF:
        return slots_store_str_or_off(target);
    case WEIR_KIND_ENUM:
        return slots_store_enum(target);
    case WEIR_KIND_BITS:
        return slots_store_bits(target);
    case WEIR_KIND_LIST:
        return slots_store_list(target);
    case WEIR_KIND_SIZES:
        return slots_store_sizes(target);
    case WEIR_KIND_TEMPLATE:
        return slots_store_template(target);
    case WEIR_KIND_PATH:
        return slots_store_path(target);
    }

    return true;
}

bool weir_slot_store(weir_conf *conf, const weir_slot *slot, void *settings,
                     const weir_statement *statement)
{
    slots_target target = {.conf = conf, .slot = slot, .statement = statement};

    /* These have settings only if they have a member. */
    if (slot->kind == WEIR_KIND_NONE) {
        return true;
    }
    if (slot->kind == WEIR_KIND_CALL) {
        return slot->call(conf, settings, statement);
    }

    target.member = (char *) settings + slot->offset;
    return slots_store(&target);
}

bool weir_slot_append(weir_conf *conf, const weir_array *outer, weir_array *inner)
{
    weir_array all;
    const weir_array *parts[] = {outer, inner};

    weir_array_init(&all, conf->home.pool, sizeof(weir_str), outer->count + inner->count);

    for (size_t part = 0; part < WEIR_COUNT(parts); part++) {
        for (WEIR_ARRAY_EACH(parts[part], weir_str, text)) {
            weir_str *item = weir_array_push(&all);

            if (item == NULL) {
                return weir_conf_refuse_memory(conf);
            }

            *item = *text;
        }
    }

    *inner = all;
    return true;
}
