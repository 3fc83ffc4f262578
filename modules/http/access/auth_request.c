/*
 * auth_request: who may, by the answer to a subrequest.
 *
 *     auth_request     /auth;      2xx lets the request by, 401 and 403 refuse it
 *     auth_request_set $user $upstream_http_x_user;
 */

#include "modules/http/engine/core_conf.h"

extern const weir_http_module weir_http_auth_request;

/* auth_request_set: a variable of the request, from one of the subrequest. */
typedef struct {
    int slot;
    const weir_template *value;
} auth_assignment;

typedef struct {
    weir_str path;      /* empty when off */
    weir_array *copies; /* auth_assignment; NULL: none */
} auth_request_conf;

typedef struct {
    weir_http_hold hold;
    const auth_request_conf *conf;
    bool is_done;
    unsigned status;
} auth_request_state;

/* ---- directives */

static bool not_set(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) script;
    (void) arg;
    (void) value;
    return true;
}

static bool set_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    static const weir_variable definition = {
        .get = not_set,
        .may_be_redefined = true,
        .is_fallback = true,
    };
    auth_request_conf *auth = settings;
    weir_space *space = weir_space_of(conf, "http");
    auth_assignment *copy;
    weir_str name;

    if (!weir_variable_name(conf, statement->args[1], &name)
        || !weir_space_define(conf, space, name, &definition)) {
        return false;
    }
    if (auth->copies == NULL) {
        auth->copies = WEIR_NEW(weir_conf_pool(conf), weir_array);
        if (auth->copies == NULL) {
            return weir_conf_refuse(conf, "no memory for \"auth_request_set\"");
        }
        weir_array_init(auth->copies, weir_conf_pool(conf), sizeof(auth_assignment), 4);
    }

    copy = weir_array_push(auth->copies);
    if (copy == NULL) {
        return weir_conf_refuse(conf, "no memory for \"auth_request_set\"");
    }
    copy->slot = weir_space_slot(conf, space, name);
    copy->value = weir_template_new(conf, space, statement->args[2]);
    return copy->slot >= 0 && copy->value != NULL;
}

static const weir_directive auth_request_directives[] = {
    {
        .name = "auth_request",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_STR_OR_OFF(auth_request_conf, path),
        .preset = "off",
        .syntax = "uri | off",
        .doc = "Asks another location whether a request may pass: 2xx is yes, 401 and 403 are no.",
    },
    {
        .name = "auth_request_set",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES(2, 2),
        .slot = WEIR_SLOT_CALL(auth_request_conf, copies, set_call),
        .repeatable = true,
        .syntax = "$variable value",
        .doc = "Sets a variable once the answer is there, from variables of the subrequest.",
    },
    {0},
};

/* ---- asking */

static void ask_cancel(weir_http_exchange *ex, weir_http_hold *hold)
{
    /* The subrequest is the exchange's child, and ends with it. */
    (void) ex;
    (void) hold;
}

/* The response to the subrequest says how to authenticate. */
static bool copy_challenges(weir_http_exchange *ex, const weir_http_exchange *child)
{
    const weir_http_fields *fields = &child->response.fields;

    for (const weir_http_field *field = weir_http_fields_find(fields, WEIR_HTTP_WWW_AUTHENTICATE);
         field != NULL; field = weir_http_fields_next(fields, field)) {
        weir_str value;

        if (!weir_str_copy(ex->pool, field->value, &value)
            || !weir_http_fields_add(&ex->response.fields, WEIR_HTTP_WWW_AUTHENTICATE, value)) {
            return false;
        }
    }
    return true;
}

static bool copy_variables(weir_http_exchange *ex, weir_http_exchange *child,
                           const weir_array *copies)
{
    for (WEIR_ARRAY_EACH(copies, const auth_assignment, copy)) {
        weir_str text;
        weir_str kept;

        if (!weir_template_text(copy->value, &child->script, &text)
            || !weir_str_copy(ex->pool, text, &kept)
            || !weir_script_set(&ex->script, copy->slot, kept)) {
            return false;
        }
    }
    return true;
}

static void answered(weir_http_exchange *child)
{
    weir_http_exchange *ex = child->parent;
    auth_request_state *state = child->child_subject;
    const weir_array *copies = state->conf->copies;

    state->is_done = true;
    state->status = child->response.status;
    if ((state->status == 401 && !copy_challenges(ex, child))
        || (copies != NULL && !copy_variables(ex, child, copies))) {
        state->status = 500;
    }
    weir_http_hold_drop(ex, &state->hold);
    weir_http_resume(ex);
}

static weir_http_verdict ask(weir_http_exchange *ex, const auth_request_conf *auth)
{
    auth_request_state *state =
        weir_http_state(ex, &weir_http_auth_request, sizeof(auth_request_state));
    weir_http_exchange *child =
        state == NULL ? NULL
                      : weir_http_child_new(ex, auth->path, WEIR_STR_EMPTY,
                                            WEIR_HTTP_CHILD_HEAD_ONLY, answered, state);

    if (child == NULL) {
        return WEIR_HTTP_FAILED;
    }
    state->conf = auth;
    weir_http_hold_add(ex, &state->hold, "auth_request", ask_cancel);
    weir_http_child_start(child);
    return WEIR_HTTP_WAITING;
}

static weir_http_verdict auth_request_judge(weir_http_exchange *ex, const void *location)
{
    const auth_request_conf *auth = location;
    const auth_request_state *state = weir_http_state_find(ex, &weir_http_auth_request);

    if (state == NULL || state->conf != auth) {
        return ask(ex, auth);
    }
    if (!state->is_done) {
        return WEIR_HTTP_WAITING;
    }
    if (state->status >= 200 && state->status < 300) {
        return WEIR_HTTP_SETTLED;
    }
    if (state->status == 401 || state->status == 403) {
        return weir_http_answer_because(ex, state->status, "auth_request refused");
    }
    weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "auth request unexpected status: %u", state->status);
    return weir_http_answer_because(ex, 500, "auth_request failed");
}

static bool auth_request_applies(const void *location)
{
    return ((const auth_request_conf *) location)->path.len != 0;
}

const weir_http_module weir_http_auth_request = {
    .name = "http_auth_request",
    .directives = auth_request_directives,
    .conf_size = sizeof(auth_request_conf),
    .phases = 1u << WEIR_HTTP_PHASE_ACCESS,
    .asks_others = true,
    .judge = auth_request_judge,
    .applies = auth_request_applies,
};
