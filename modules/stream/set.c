/*
 * set: gives a variable a value.
 *
 *     set $name value;
 */

#include "core/server/values.h"
#include "modules/stream/engine/core_conf.h"

typedef struct {
    int slot;
    const weir_template *value;
} set_step;

typedef struct {
    weir_array
        *steps; /* set_step; NULL: none.  No directive's slot: a server without any has NULL. */
} set_conf;

extern const weir_stream_module weir_stream_set;

/* One that this server has not set. */
static bool get_unset(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) script;
    (void) arg;
    return weir_give(value, WEIR_STR_EMPTY);
}

static bool set_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_pool *pool = weir_conf_pool(conf);
    weir_space *space = weir_space_of(conf, "stream");
    set_conf *own = weir_level_own_settings(conf, weir_conf_level(conf), &weir_stream_set.base);
    weir_variable definition = {.get = get_unset, .is_fallback = true};
    set_step *step;
    weir_str name;

    (void) settings;
    if (own == NULL || !weir_variable_name(conf, statement->args[1], &name)
        || !weir_space_define(conf, space, name, &definition)) {
        return false;
    }
    if (own->steps == NULL) {
        own->steps = WEIR_NEW(pool, weir_array);
        if (own->steps == NULL) {
            return weir_conf_refuse(conf, "no memory for \"set\"");
        }
        weir_array_init(own->steps, pool, sizeof(set_step), 4);
    }
    step = weir_array_push(own->steps);
    if (step == NULL) {
        return weir_conf_refuse(conf, "no memory for \"set\"");
    }
    step->slot = weir_space_slot(conf, space, name);
    step->value = weir_template_new(conf, space, statement->args[2]);
    return step->slot >= 0 && step->value != NULL;
}

static const weir_directive set_directives[] = {
    {
        .name = "set",
        .where = WEIR_STREAM_SERVER,
        .takes = WEIR_TAKES(2, 2),
        .syntax = "$variable value",
        .slot = WEIR_SLOT_ONLY_CALL(set_call),
        .doc = "Sets a variable.",
    },
    {0},
};

static weir_stream_verdict set_judge(weir_stream_session *session, const void *server)
{
    const set_conf *set = server;

    for (WEIR_ARRAY_EACH(set->steps, const set_step, step)) {
        weir_str text;

        if (!weir_template_text(step->value, &session->script, &text)
            || !weir_script_set(&session->script, step->slot, text)) {
            session->status = WEIR_STREAM_INTERNAL_ERROR;
            return WEIR_STREAM_REFUSED;
        }
    }
    return WEIR_STREAM_PASS;
}

static bool set_applies(const void *server)
{
    return ((const set_conf *) server)->steps != NULL;
}

const weir_stream_module weir_stream_set = {
    .name = "stream_set",
    .directives = set_directives,
    .conf_size = sizeof(set_conf),
    .phases = 1u << WEIR_STREAM_PHASE_PREACCESS,
    .judge = set_judge,
    .applies = set_applies,
};
