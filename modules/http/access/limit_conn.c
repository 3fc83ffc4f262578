/*
 * limit_conn: how many requests of one key, such as the client's address, there may be at a time; see
 * modules/common/limit_conn.h.
 *
 *     limit_conn_zone $binary_remote_addr zone=clients:10m;
 *     limit_conn clients 20;
 */

#include "modules/common/limit_conn.h"
#include "modules/http/engine/module.h"

typedef struct {
    weir_limit_conn_conf rules;
    uint64_t status;
} limit_conn_conf;

extern const weir_http_module weir_http_limit_conn;

static const weir_limit_kind limit_conn_kind = {
    .family = "http",
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
    WEIR_LIMIT_CONN_DIRECTIVES(limit_conn_conf, rules, WEIR_HTTP_MAIN, WEIR_HTTP_ANYWHERE,
                               zone_call, limit_call, "requests"),
    {
        .name = "limit_conn_status",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_UINT(limit_conn_conf, status, 400, 599),
        .preset = "503",
        .doc = "What a request above the limit is answered.",
    },
    {0},
};

static bool limit_conn_configured(weir_conf *conf)
{
    return weir_limit_zones_check(conf, &limit_conn_kind);
}

/* A client's request counts once, whatever it is redirected to and whatever it asks for in its turn. */
static weir_http_verdict limit_conn_judge(weir_http_exchange *ex, const void *location)
{
    const limit_conn_conf *conf = location;
    weir_limit_status *status =
        weir_http_whole_state(ex, &weir_http_limit_conn, sizeof(weir_limit_status));

    if (status == NULL) {
        return WEIR_HTTP_FAILED;
    }
    if (*status != WEIR_LIMIT_UNASKED) {
        return WEIR_HTTP_PASS;
    }
    *status = weir_limit_conn_judge(&conf->rules, &ex->script, ex->main->pool);
    return *status == WEIR_LIMIT_REJECTED
               ? weir_http_answer_because(ex, (unsigned) conf->status, "too many connections")
               : WEIR_HTTP_PASS;
}

static bool limit_conn_applies(const void *location)
{
    return ((const limit_conn_conf *) location)->rules.limits != NULL;
}

static bool get_status(weir_script *script, uintptr_t arg, weir_value *value)
{
    const weir_limit_status *status =
        weir_http_whole_state_find(script->subject, &weir_http_limit_conn);

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

const weir_http_module weir_http_limit_conn = {
    .name = "http_limit_conn",
    .directives = limit_conn_directives,
    .conf_size = sizeof(limit_conn_conf),
    .configured = limit_conn_configured,
    .phases = 1u << WEIR_HTTP_PHASE_PREACCESS,
    .judge = limit_conn_judge,
    .applies = limit_conn_applies,
    .variables = limit_conn_variables,
};
