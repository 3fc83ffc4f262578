/*
 * realip: takes the client's address from the PROXY header of a trusted proxy.
 *
 *     listen 443 proxy_protocol;
 *     set_real_ip_from 10.0.0.0/8;
 */

#include "core/net/networks.h"
#include "core/server/values.h"
#include "modules/stream/engine/core_conf.h"

typedef struct {
    weir_array *trusted; /* weir_network; NULL: nobody */
} realip_conf;

static bool from_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    return weir_networks_call(conf, &((realip_conf *) settings)->trusted, statement);
}

static const weir_directive realip_directives[] = {
    {
        .name = "set_real_ip_from",
        .where = WEIR_STREAM_ANYWHERE,
        .takes = WEIR_TAKES(1, 1),
        .syntax = "address | CIDR | host | unix:",
        .slot = WEIR_SLOT_CALL(realip_conf, trusted, from_call),
        .repeatable = true,
        .doc = "The proxies whose PROXY header says who the client is.",
    },
    {0},
};

static weir_stream_verdict realip_judge(weir_stream_session *session, const void *server)
{
    const realip_conf *realip = server;
    weir_connection *client = session->client;

    if (client->proxy_peer == NULL || !weir_networks_have(realip->trusted, &client->peer)) {
        return WEIR_STREAM_PASS;
    }
    if (!weir_connection_set_peer(client, client->proxy_peer)) {
        session->status = WEIR_STREAM_INTERNAL_ERROR;
        return WEIR_STREAM_REFUSED;
    }
    return WEIR_STREAM_PASS;
}

/* ---- the address that it was before */

static const weir_addr *first_peer(const weir_script *script)
{
    const weir_stream_session *session = script->subject;

    return session->client->socket_peer != NULL ? session->client->socket_peer
                                                : &session->client->peer;
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

static bool realip_applies(const void *server)
{
    return ((const realip_conf *) server)->trusted != NULL;
}

const weir_stream_module weir_stream_realip = {
    .name = "stream_realip",
    .directives = realip_directives,
    .conf_size = sizeof(realip_conf),
    .phases = 1u << WEIR_STREAM_PHASE_POST_ACCEPT,
    .judge = realip_judge,
    .applies = realip_applies,
    .variables = realip_variables,
};
