/*
 * realip: takes the client's address from what a trusted proxy says.
 *
 *     set_real_ip_from  10.0.0.0/8;
 *     real_ip_header    X-Forwarded-For;
 *     real_ip_recursive on;
 */

#include "modules/http/engine/core_conf.h"

#include "core/net/networks.h"
#include "core/server/values.h"
#include "modules/common/forwarded.h"

typedef enum {
    FROM_FIELD,
    FROM_FORWARDED_FOR,
    FROM_PROXY_PROTOCOL,
} realip_source;

typedef struct {
    weir_array *trusted; /* weir_network; NULL: nobody */
    struct {
        realip_source kind;
        weir_str field;
    } source;
    bool is_recursive;
} realip_conf;

extern const weir_http_module weir_http_realip;

/* ---- reading */

static bool from_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    return weir_networks_call(conf, &((realip_conf *) settings)->trusted, statement);
}

static bool header_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    realip_conf *realip = settings;
    weir_str text = statement->args[1];

    if (weir_str_eq(text, WEIR_STR("proxy_protocol"))) {
        realip->source.kind = FROM_PROXY_PROTOCOL;
        return true;
    }
    if (!weir_http_is_token(text)) {
        return weir_conf_refuse_arg(conf, statement, 1, "\"%.*s\" is no name of a field",
                                    WEIR_STR_ARG(text));
    }
    realip->source.field = text;
    realip->source.kind =
        weir_http_name_find(text) == WEIR_HTTP_X_FORWARDED_FOR ? FROM_FORWARDED_FOR : FROM_FIELD;
    return true;
}

static const weir_directive realip_directives[] = {
    {
        .name = "set_real_ip_from",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES(1, 1),
        .syntax = "address | CIDR | host | unix:",
        .slot = WEIR_SLOT_CALL(realip_conf, trusted, from_call),
        .repeatable = true,
        .doc = "The proxies whose word about the client's address is taken.",
    },
    {
        .name = "real_ip_header",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES(1, 1),
        .syntax = "field | proxy_protocol",
        .slot = WEIR_SLOT_CALL(realip_conf, source, header_call),
        .preset = "X-Real-IP",
        .doc = "Where that word stands.",
    },
    {
        .name = "real_ip_recursive",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_FLAG(realip_conf, is_recursive),
        .preset = "off",
        .doc = "Takes the last address that is no trusted proxy, not just the last.",
    },
    {0},
};

/* ---- judging */

static weir_http_verdict realip_judge(weir_http_exchange *ex, const void *location)
{
    const realip_conf *realip = location;
    const weir_connection *connection = weir_http_client_connection(ex);
    const weir_http_fields *fields = &ex->request.fields;
    weir_addr addr;
    weir_str list;
    bool is_found = false;

    /* Asked again in the location, whose settings may be others: the first word holds. */
    if (ex->parent != NULL || ex->client_addr != NULL
        || !weir_networks_have(realip->trusted, &connection->peer)) {
        return WEIR_HTTP_PASS;
    }

    switch (realip->source.kind) {
    case FROM_PROXY_PROTOCOL:
        is_found = connection->proxy_peer != NULL;
        if (is_found) {
            addr = *connection->proxy_peer;
        }
        break;
    case FROM_FORWARDED_FOR:
    case FROM_FIELD:
        if (!weir_http_fields_join(fields, weir_http_name_find(realip->source.field),
                                   realip->source.field, WEIR_STR(","), ex->pool, &list)) {
            return WEIR_HTTP_FAILED;
        }
        is_found = weir_forwarded_addr(list, realip->trusted, realip->is_recursive, &addr);
        break;
    }
    if (!is_found) {
        return WEIR_HTTP_PASS;
    }
    return weir_http_set_client_addr(ex, &addr) ? WEIR_HTTP_PASS : WEIR_HTTP_FAILED;
}

/* ---- the address that it was before */

static const weir_addr *first_peer(const weir_script *script)
{
    return &weir_http_client_connection(script->subject)->peer;
}

static bool get_remote_addr(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give_addr(script, value, first_peer(script));
}

static bool get_remote_port(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give_port(script, value, first_peer(script));
}

static const weir_variable realip_variables[] = {
    {.name = "realip_remote_addr", .get = get_remote_addr},
    {.name = "realip_remote_port", .get = get_remote_port},
    {0},
};

static bool realip_applies(const void *location)
{
    return ((const realip_conf *) location)->trusted != NULL;
}

const weir_http_module weir_http_realip = {
    .name = "http_realip",
    .directives = realip_directives,
    .conf_size = sizeof(realip_conf),
    .phases = 1u << WEIR_HTTP_PHASE_POST_READ | 1u << WEIR_HTTP_PHASE_PREACCESS,
    .judge = realip_judge,
    .applies = realip_applies,
    .variables = realip_variables,
};
