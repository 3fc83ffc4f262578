#include "core/conf/conf_internal.h"

/*
 * Settings of levels.  While a level's statements are applied, it has only what it set itself;
 * completing it adds what is inherited and preset, and gives it pointers to settings of all modules
 * of its family, most of them the outer level's.
 */

static weir_level_whole *levels_of(weir_level *level)
{
    return (weir_level_whole *) (void *) level;
}

static const weir_level_whole *levels_of_const(const weir_level *level)
{
    return (const weir_level_whole *) (const void *) level;
}

static weir_conf_settings *levels_settings_of(const void *bytes)
{
    return (weir_conf_settings *) (uintptr_t) WEIR_OWNER(bytes, const weir_conf_settings, bytes);
}

/* The level that settings are inherited from; NULL: this is an outermost one of its family. */
static weir_level_whole *levels_outer(const weir_level_whole *level)
{
    weir_level *outer = level->level.outer;

    return outer != NULL && levels_of(outer)->family == level->family ? levels_of(outer) : NULL;
}

/* ---- making levels and settings */

/* The context is registered: else its block would not have been parsed. */
static void levels_init(weir_level_whole *level, weir_conf *conf, uint32_t context)
{
    const weir_context *known = weir_modules_context(conf->home.modules, context);

    level->level.context = context;
    level->modules = conf->home.modules;
    level->family = weir_modules_family(conf->home.modules, known->family);
    level->inner_end = &level->first_inner;
}

weir_conf_main *weir_conf_main_new(weir_conf *conf)
{
    weir_conf_main *main = WEIR_NEW(conf->home.pool, weir_conf_main);

    if (main == NULL) {
        return NULL;
    }

    levels_init(&main->level, conf, WEIR_MAIN);
    weir_array_init(&main->files, conf->home.pool, sizeof(const weir_conf_file *), 8);
    weir_array_init(&main->kept, conf->home.pool, sizeof(weir_conf_keepsake), 8);
    return main;
}

weir_level *weir_level_new(weir_conf *conf, weir_level *outer, void *owner)
{
    weir_level_whole *level = WEIR_NEW(conf->home.pool, weir_level_whole);

    if (level == NULL) {
        weir_conf_refuse_memory(conf);
        return NULL;
    }

    levels_init(level, conf, conf->statement->directive->opens);
    level->level.outer = outer;
    level->level.owner = owner;
    level->level.statement = conf->statement;

    *levels_of(outer)->inner_end = level;
    levels_of(outer)->inner_end = &level->next;
    return &level->level;
}

static weir_conf_settings *levels_find_own(const weir_level_whole *level,
                                           const weir_conf_plan *plan)
{
    weir_conf_settings *settings = level->own;

    while (settings != NULL && settings->plan != plan) {
        settings = settings->next;
    }

    return settings;
}

static weir_conf_settings *levels_new_settings(weir_conf *conf, const weir_conf_plan *plan)
{
    size_t bytes;
    weir_conf_settings *settings;
    const weir_statement **set_by =
        WEIR_NEW_ARRAY(conf->home.pool, const weir_statement *, plan->members.count);

    if (set_by == NULL
        || !weir_add_size(sizeof(weir_conf_settings), plan->module->conf_size, &bytes)
        || (settings = weir_pool_zalloc(conf->home.pool, bytes)) == NULL) {
        weir_conf_refuse_memory(conf);
        return NULL;
    }

    settings->plan = plan;
    settings->set_by = set_by;
    return settings;
}

/* The settings that this level has of its own; made when there are none.  NULL: no memory. */
static weir_conf_settings *levels_own(weir_conf *conf, weir_level_whole *level,
                                      const weir_conf_plan *plan)
{
    weir_conf_settings *settings = levels_find_own(level, plan);

    if (settings == NULL) {
        settings = levels_new_settings(conf, plan);
        if (settings != NULL) {
            settings->first = conf->statement;
            settings->next = level->own;
            level->own = settings;
        }
    }

    return settings;
}

/* ---- access */

const void *weir_level_settings(const weir_level *level, const weir_module *module)
{
    const weir_level_whole *whole = levels_of_const(level);
    const weir_conf_plan *plan = weir_modules_plan(whole->modules, module);

    if (plan == NULL || plan->family != whole->family) {
        return NULL;
    }

    /* A level that is still being read: what it has set so far, or else what it would inherit as of now. */
    for (; whole != NULL && !whole->is_complete; whole = levels_outer(whole)) {
        const weir_conf_settings *settings = levels_find_own(whole, plan);

        if (settings != NULL) {
            return settings->bytes;
        }
    }

    return whole == NULL ? NULL : whole->level.settings[plan->index];
}

void *weir_level_own_settings(weir_conf *conf, weir_level *level, const weir_module *module)
{
    weir_level_whole *own = levels_of(level);
    const weir_conf_plan *plan = weir_modules_plan(own->modules, module);
    weir_conf_settings *settings = NULL;

    if (plan == NULL || plan->family != own->family) {
        weir_conf_refuse(conf, "module \"%s\" has no settings in this block", module->name);
        return NULL;
    }

    if (own->is_complete) {
        settings = levels_find_own(own, plan);
        if (settings == NULL) {
            weir_conf_refuse(conf, "settings of module \"%s\" are shared and complete",
                             module->name);
        }
    } else {
        settings = levels_own(conf, own, plan);
    }

    return settings == NULL ? NULL : settings->bytes;
}

/* What set the member at this very level; NULL: nothing did. */
static const weir_statement *levels_set_here(const weir_level_whole *level,
                                             const weir_conf_plan *plan, size_t member_offset)
{
    const weir_conf_settings *settings = levels_find_own(level, plan);

    for (size_t i = 0; settings != NULL && i < plan->members.count; i++) {
        if (WEIR_ARRAY_AT(&plan->members, weir_conf_member, i)->offset == member_offset) {
            return settings->set_by[i];
        }
    }

    return NULL;
}

bool weir_level_has_set(const weir_level *level, const weir_module *module, size_t member_offset)
{
    const weir_level_whole *whole = levels_of_const(level);
    const weir_conf_plan *plan = weir_modules_plan(whole->modules, module);

    return plan != NULL && levels_set_here(whole, plan, member_offset) != NULL;
}

/* ---- applying statements */

static bool levels_is_duplicate(const weir_conf_row *row, const weir_conf_settings *settings)
{
    return settings != NULL && row->member != WEIR_CONF_NO_MEMBER
           && settings->set_by[row->member] != NULL && !row->directive->repeatable
           && row->directive->slot.kind != WEIR_KIND_LIST;
}

static bool levels_refuse_duplicate(weir_conf *conf, const weir_statement *statement)
{
    return weir_conf_refuse_arg(conf, statement, 0, "\"%s\" directive is duplicate",
                                statement->directive->name);
}

static bool levels_store(weir_conf *conf, weir_level_whole *level, const weir_statement *statement)
{
    const weir_conf_row *row = weir_conf_row_of(statement);
    const weir_directive *directive = row->directive;
    weir_conf_settings *settings = NULL;

    if (row->member != WEIR_CONF_NO_MEMBER) {
        settings = levels_own(conf, level, row->plan);
        if (settings == NULL) {
            return false;
        }
    }

    if (levels_is_duplicate(row, settings)) {
        return levels_refuse_duplicate(conf, statement);
    }

    if (!weir_slot_store(conf, &directive->slot, settings == NULL ? NULL : settings->bytes,
                         statement)) {
        return false;
    }

    if (settings != NULL) {
        const weir_conf_member *member =
            WEIR_ARRAY_AT(&row->plan->members, weir_conf_member, row->member);

        settings->set_by[row->member] = statement;
        settings->has_set_uninherited |= member->inherit == WEIR_INHERIT_NONE;
    }

    return true;
}

bool weir_conf_apply_statement(weir_conf *conf, weir_level *level, const weir_statement *statement)
{
    const weir_directive *directive = statement->directive;
    bool is_stored;

    conf->level = level;
    conf->statement = statement;

    is_stored = levels_store(conf, levels_of(level), statement);
    if (is_stored && directive->warning != NULL) {
        weir_conf_warn(conf, "the \"%s\" directive has no effect: %s", directive->name,
                       directive->warning);
    }

    conf->statement = NULL;
    return is_stored;
}

static bool levels_stood_before(const weir_statement *statements, const weir_statement *statement)
{
    while (statements != statement && statements->directive != statement->directive) {
        statements = statements->next;
    }

    return statements != statement;
}

/* All statements in order; inner levels are entered, and left for later. */
static bool levels_apply_statements(weir_conf *conf, weir_level *level,
                                    const weir_statement *statements)
{
    for (const weir_statement *statement = statements; statement != NULL;
         statement = statement->next) {
        const weir_directive *directive = statement->directive;

        if (directive->at_once) {
            continue;
        }

        if (directive->block != WEIR_BLOCK_LEVEL) {
            if (!weir_conf_apply_statement(conf, level, statement)) {
                return false;
            }
            continue;
        }

        if (!directive->repeatable && levels_stood_before(statements, statement)) {
            return levels_refuse_duplicate(conf, statement);
        }

        conf->level = level;
        conf->statement = statement;
        if (directive->enter(conf, level, statement) == NULL) {
            return false;
        }
    }

    conf->statement = NULL;
    return true;
}

/* ---- completing: inheritance, presets, check */

static bool levels_preset(weir_conf *conf, weir_conf_settings *settings,
                          const weir_conf_member *member)
{
    const weir_statement *outer = conf->statement, *preset;
    bool is_stored;

    memset((char *) settings->bytes + member->offset, 0, member->bytes);

    if (member->preset == NULL) {
        return true;
    }

    preset = weir_conf_parse_preset(conf, member->preset);
    if (preset == NULL) {
        return false;
    }

    conf->statement = preset;
    is_stored = weir_slot_store(conf, &member->preset->slot, settings->bytes, preset);
    conf->statement = outer;
    return is_stored;
}

/* `outer` NULL: nothing is inherited. */
static bool levels_complete_member(weir_conf *conf, weir_conf_settings *settings, size_t index,
                                   const void *outer)
{
    const weir_conf_member *member =
        WEIR_ARRAY_AT(&settings->plan->members, weir_conf_member, index);
    char *own = (char *) settings->bytes + member->offset;
    const char *inherited = outer == NULL ? NULL : (const char *) outer + member->offset;

    switch (member->inherit) {
    case WEIR_INHERIT_REPLACE:
        break;

    case WEIR_INHERIT_APPEND:
        if (settings->set_by[index] != NULL) {
            return inherited == NULL
                   || weir_slot_append(conf, (const void *) inherited, (void *) own);
        }
        break;

    case WEIR_INHERIT_NONE:
        inherited = NULL;
        break;
    }

    if (settings->set_by[index] != NULL) {
        return true;
    }

    if (inherited == NULL) {
        return levels_preset(conf, settings, member);
    }

    memcpy(own, inherited, member->bytes);
    return true;
}

static bool levels_complete_settings(weir_conf *conf, weir_conf_settings *settings,
                                     const void *outer)
{
    const weir_module *module = settings->plan->module;

    for (size_t i = 0; i < settings->plan->members.count; i++) {
        if (!levels_complete_member(conf, settings, i, outer)) {
            return false;
        }
    }

    conf->statement = settings->first;
    return module->check == NULL || module->check(conf, settings->bytes);
}

/*
 * What a level has of a module of which it set nothing: the outer level's settings, unless those
 * hold what is not inherited.
 */
static const weir_conf_settings *levels_inherit(weir_conf *conf, const void *outer_bytes)
{
    weir_conf_settings *outer = levels_settings_of(outer_bytes);

    if (!outer->has_set_uninherited) {
        return outer;
    }

    if (outer->below == NULL) {
        weir_conf_settings *below = levels_new_settings(conf, outer->plan);

        if (below == NULL) {
            return NULL;
        }

        below->first = outer->first;
        if (!levels_complete_settings(conf, below, outer_bytes)) {
            return NULL;
        }

        outer->below = below;
    }

    return outer->below;
}

static bool levels_complete_module(weir_conf *conf, weir_level_whole *level, size_t index)
{
    const weir_conf_plan *plan = *WEIR_ARRAY_AT(&level->family->plans, weir_conf_plan *, index);
    const weir_level_whole *outer = levels_outer(level);
    const void *outer_bytes = outer == NULL ? NULL : outer->level.settings[index];
    weir_conf_settings *own = levels_find_own(level, plan);

    if (own == NULL && outer != NULL) {
        const weir_conf_settings *inherited = levels_inherit(conf, outer_bytes);

        level->level.settings[index] = inherited == NULL ? NULL : inherited->bytes;
        return inherited != NULL;
    }

    if (own == NULL) {
        conf->statement = level->level.statement;
        own = levels_own(conf, level, plan);
    }

    if (own == NULL || !levels_complete_settings(conf, own, outer_bytes)) {
        return false;
    }

    level->level.settings[index] = own->bytes;
    return true;
}

static bool levels_complete(weir_conf *conf, weir_level_whole *level)
{
    size_t count = level->family->plans.count;

    level->level.settings = WEIR_NEW_ARRAY(conf->home.pool, const void *, count);
    level->level.settings_count = count;
    if (level->level.settings == NULL) {
        return weir_conf_refuse_memory(conf);
    }

    conf->level = &level->level;

    for (size_t i = 0; i < count; i++) {
        if (!levels_complete_module(conf, level, i)) {
            return false;
        }
    }

    conf->statement = NULL;
    level->is_complete = true;
    return true;
}

/* ---- the whole */

static bool levels_apply_inner(weir_conf *conf, weir_level_whole *outer, bool those_first)
{
    for (weir_level_whole *inner = outer->first_inner; inner != NULL; inner = inner->next) {
        const weir_statement *statement = inner->level.statement;

        if (statement->directive->comes_first != those_first) {
            continue;
        }

        if (!weir_conf_apply(conf, &inner->level, statement->first_child)) {
            return false;
        }

        conf->level = &inner->level;
        conf->statement = statement;
        if (statement->directive->leave != NULL
            && !statement->directive->leave(conf, &inner->level, statement)) {
            return false;
        }
    }

    return true;
}

bool weir_conf_apply(weir_conf *conf, weir_level *level, const weir_statement *statements)
{
    return levels_apply_statements(conf, level, statements)
           && levels_complete(conf, levels_of(level))
           && levels_apply_inner(conf, levels_of(level), true)
           && levels_apply_inner(conf, levels_of(level), false);
}
