/*
 * tunnel_pass: what CONNECT asks for (RFC 9110, 9.3.6), for those who go out through here.
 *
 *     server {
 *         listen 127.0.0.1:3128;
 *         resolver 127.0.0.1;
 *         if ($request_port != 443) { return 403; }
 *         tunnel_pass;                the default: $host:$request_port
 *     }
 *
 * Whom it lets in, and where to, is for the access rules and tunnel_allow_upstream to say.  It is a client of the origin as
 * proxy_pass is, with the same tries; but nothing is said to the origin before the client says it.
 */

#include "modules/http/proxy/directives.h"

static const weir_choice next_choices[] = {
    {"error", PROXY_NEXT_ERROR},
    {"timeout", PROXY_NEXT_TIMEOUT},
    {"denied", PROXY_NEXT_DENIED},
    {"off", PROXY_NEXT_OFF},
    {NULL, 0},
};

static const proxy_kind tunnel_kind = {
    .module = &weir_http_tunnel,
    .pass = "tunnel_pass",
    .usual = WEIR_STR_INIT("$host:$request_port"),
};

/* tunnel_pass [ADDRESS] */
static bool tunnel_pass_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    ((proxy_conf *) settings)->tunnels = true;
    weir_http_conf_server(conf)->takes_connect = true;
    return proxy_pass_call(conf, settings, statement, &tunnel_kind);
}

static const weir_directive tunnel_directives[] = {
    {
        .name = "tunnel_pass",
        .where = WEIR_HTTP_SERVER | WEIR_HTTP_LOCATION | WEIR_HTTP_LOCATION_IF,
        .slot = WEIR_SLOT_CALL(proxy_conf, pass, tunnel_pass_call),
        .takes = WEIR_TAKES(0, 1),
        .syntax = "[address]",
        .doc =
            "Makes tunnels for clients that send CONNECT: to the address, a group of servers, or "
            "where they ask to.",
    },
    PROXY_CONNECTING_DIRECTIVES("tunnel_", next_choices),
    PROXY_ROW("tunnel_buffer_size", PROXY_SIZE(buffer_size), "16k",
              "How much is read at once where bytes are copied; at most 16k."),
    PROXY_ROW("tunnel_read_timeout", PROXY_MS(read_timeout_ms), "60s",
              "A tunnel ends when no byte has moved either way for so long."),
    PROXY_ROW("tunnel_send_timeout", PROXY_MS(send_timeout_ms), "60s",
              "A tunnel ends when its server takes none of what waits for it for so long."),
    {.name = "tunnel_send_lowat",
     .where = PROXY_WHERE,
     .warning = "Linux knows no low-water mark for sending",
     .doc = "Accepted."},
    {0},
};

/* ---- the content */

void proxy_connect_agree(proxy_state *proxy)
{
    weir_http_exchange *ex = proxy->ex;

    proxy_attempt_now(proxy)->status = 200;
    weir_balance_answered(&proxy->pick);
    proxy->body_ended = true; /* the tunnel's end is no failure of the server's */
    ex->response.status = 200;
    proxy_tunnel_start(proxy);
}

static weir_http_verdict tunnel_judge(weir_http_exchange *ex, const void *location)
{
    const proxy_conf *conf = location;
    proxy_state *proxy;

    if (!proxy_is_here(ex, conf)) {
        return WEIR_HTTP_PASS;
    }
    if (ex->request.method != WEIR_HTTP_CONNECT) {
        return weir_http_answer_because(ex, 405, "only CONNECT is tunnelled");
    }
    proxy = proxy_new(ex, conf);
    if (proxy == NULL) {
        return WEIR_HTTP_FAILED;
    }
    if (!proxy_find_url(proxy)) {
        return WEIR_HTTP_ANSWERED;
    }
    proxy_start(proxy);
    return proxy->is_answered ? WEIR_HTTP_ANSWERED : WEIR_HTTP_WAITING;
}

const weir_http_module weir_http_tunnel = {
    .name = "http_tunnel",
    .directives = tunnel_directives,
    .conf_size = sizeof(proxy_conf),
    .phases = 1u << WEIR_HTTP_PHASE_CONTENT,
    .judge = tunnel_judge,
    .applies = proxy_applies,
    .takes_connect = true,
};
