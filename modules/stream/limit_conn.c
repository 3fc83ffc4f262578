/*
 * limit_conn: how many sessions of one key, such as the client's address, there may be at a time; see
 * modules/common/limit_conn.h.
 *
 *     limit_conn_zone $binary_remote_addr zone=clients:10m;
 *     limit_conn clients 20;
 */

#include "modules/common/limit_conn.h"
#include "modules/stream/engine/core_conf.h"

typedef struct {
    weir_limit_conn_conf rules;
} limit_conn_conf;

extern const weir_stream_module weir_stream_limit_conn;

static const weir_limit_kind limit_conn_kind = {
    .family = "stream",
    .directive = "limit_conn_zone",
    .shape = WEIR_LIMIT_CONN_SHAPE,
};

static bool zone_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    return weir_limit_conn_zone_call(conf, &limit_conn_kind, statement);
}

static bool limit_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    return weir_limit_conn_call(conf, &limit_conn_kind,
                                &((limit_conn_conf *) settings)->rules.limits, statement);
}

static const weir_directive limit_conn_directives[] = {
    WEIR_LIMIT_CONN_DIRECTIVES(limit_conn_conf, rules, WEIR_STREAM_MAIN, WEIR_STREAM_ANYWHERE,
                               zone_call, limit_call, "sessions"),
    {0},
};

static bool limit_conn_configured(weir_conf *conf)
{
    return weir_limit_zones_check(conf, &limit_conn_kind);
}

static weir_stream_verdict limit_conn_judge(weir_stream_session *session, const void *server)
{
    const limit_conn_conf *conf = server;
    weir_limit_status *status =
        weir_stream_state(session, &weir_stream_limit_conn, sizeof(weir_limit_status));

    if (status == NULL) {
        session->status = WEIR_STREAM_INTERNAL_ERROR;
        return WEIR_STREAM_REFUSED;
    }
    *status = weir_limit_conn_judge(&conf->rules, &session->script, session->pool);
    if (*status != WEIR_LIMIT_REJECTED) {
        return WEIR_STREAM_PASS;
    }
    session->status = WEIR_STREAM_UNAVAILABLE;
    return WEIR_STREAM_REFUSED;
}

static bool limit_conn_applies(const void *server)
{
    return ((const limit_conn_conf *) server)->rules.limits != NULL;
}

static bool get_status(weir_script *script, uintptr_t arg, weir_value *value)
{
    const weir_limit_status *status =
        weir_stream_state_find(script->subject, &weir_stream_limit_conn);

    (void) arg;
    if (status != NULL) {
        value->text = weir_limit_status_name(*status);
        value->found = value->text.len != 0;
    }
    return true;
}

static const weir_variable limit_conn_variables[] = {
    {.name = "limit_conn_status", .get = get_status, .is_volatile = true},
    {0},
};

const weir_stream_module weir_stream_limit_conn = {
    .name = "stream_limit_conn",
    .directives = limit_conn_directives,
    .conf_size = sizeof(limit_conn_conf),
    .configured = limit_conn_configured,
    .phases = 1u << WEIR_STREAM_PHASE_PREACCESS,
    .judge = limit_conn_judge,
    .applies = limit_conn_applies,
    .variables = limit_conn_variables,
};
