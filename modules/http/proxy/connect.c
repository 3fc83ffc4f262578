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

#include "modules/http/proxy/proxy_internal.h"

#define WHERE WEIR_HTTP_ANYWHERE
#define ROW(name_, slot_, preset_, doc_)                                                           \
    {                                                                                              \
        .name = name_, .where = WHERE, .slot = slot_, .preset = preset_, .doc = doc_               \
    }
#define FLAG(member) WEIR_SLOT_FLAG(proxy_conf, member)
#define SIZE(member) WEIR_SLOT_SIZE(proxy_conf, member)
#define MS(member) WEIR_SLOT_MS(proxy_conf, member)

static const weir_choice next_choices[] = {
    {"error", PROXY_NEXT_ERROR},
    {"timeout", PROXY_NEXT_TIMEOUT},
    {"denied", PROXY_NEXT_DENIED},
    {"off", PROXY_NEXT_OFF},
    {NULL, 0},
};

/* ---- reading */

/* A constant address: a group, or a host with its port. */
static bool pass_constant(weir_conf *conf, const weir_statement *statement, proxy_pass *pass)
{
    weir_str text = statement->args[1];

    if (!proxy_address_parse(text, true, &pass->url)) {
        return weir_conf_refuse_arg(conf, statement, 1, "invalid address \"%.*s\"",
                                    WEIR_STR_ARG(text));
    }
    pass->group = weir_balance_group_find(conf, &proxy_family, text);
    if (pass->group != NULL) {
        return true;
    }
    if (pass->url.port.len != 0 && proxy_url_hostname(&pass->url).len == text.len) {
        return weir_conf_refuse_arg(conf, statement, 1, "no port in \"%.*s\"", WEIR_STR_ARG(text));
    }
    pass->group = weir_balance_group_implied(conf, &proxy_family, text, 0);
    return pass->group != NULL;
}

/* tunnel_pass [ADDRESS] */
static bool tunnel_pass_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    proxy_conf *proxy = settings;
    weir_str text = statement->count == 1 ? WEIR_STR("$host:$request_port") : statement->args[1];

    proxy->tunnels = true;
    proxy->pass = (proxy_pass){.location = weir_http_conf_location(conf)};
    weir_http_conf_server(conf)->takes_connect = true;
    if (weir_str_find_byte(text, '$') == NULL) {
        return pass_constant(conf, statement, &proxy->pass);
    }
    /* Whether it is a path is not for a variable to say. */
    proxy->pass.url.host = weir_str_slice(text, 0, sizeof("unix:") - 1);
    proxy->pass.template = weir_template_new(conf, weir_space_of(conf, "http"), text);
    return proxy->pass.template != NULL;
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
    {
        .name = "tunnel_allow_upstream",
        .where = WHERE,
        .slot = WEIR_SLOT_CALL(proxy_conf, allow_upstream, proxy_allow_upstream_call),
        .takes = WEIR_TAKES_SOME,
        .syntax = "string ...",
        .doc =
            "Connects to a server only if all of these, with $upstream_last_addr as its address, "
            "are neither empty nor \"0\"; else the client is told 403.",
    },
    {
        .name = "tunnel_bind",
        .where = WHERE,
        .slot = WEIR_SLOT_CALL(proxy_conf, bind, proxy_bind_call),
        .takes = WEIR_TAKES(1, 2),
        .syntax = "address [transparent] | off",
        .doc = "The local address of connections to servers.",
    },
    ROW("tunnel_bind_dynamic", FLAG(bind_dynamic), "off",
        "Asks for that address anew at each try, as $upstream_last_addr may be a part of it."),
    ROW("tunnel_buffer_size", SIZE(buffer_size), "16k",
        "How much is read at once where bytes are copied; at most 16k."),
    ROW("tunnel_connect_timeout", MS(connect_timeout_ms), "60s",
        "How long connecting to a server may take."),
    ROW("tunnel_read_timeout", MS(read_timeout_ms), "60s",
        "A tunnel ends when no byte has moved either way for so long."),
    {.name = "tunnel_send_timeout",
     .where = WHERE,
     .warning = "a tunnel in which no byte moves ends after tunnel_read_timeout",
     .doc = "Accepted: see tunnel_read_timeout."},
    ROW("tunnel_next_upstream", WEIR_SLOT_BITS(proxy_conf, next_upstream, next_choices),
        "error timeout", "What makes a tunnel go on to the next server of its group."),
    ROW("tunnel_next_upstream_tries", WEIR_SLOT_UINT(proxy_conf, next_tries, 0, UINT32_MAX), "0",
        "How many servers may be tried; 0 is all."),
    ROW("tunnel_next_upstream_timeout", MS(next_timeout_ms), "0",
        "How long it may go on to further servers; 0 is no limit."),
    ROW("tunnel_socket_keepalive", FLAG(socket_keepalive), "off",
        "Has the kernel probe connections to servers (SO_KEEPALIVE)."),
    ROW("tunnel_socket_rcvbuf", SIZE(socket_rcvbuf), NULL, "The kernel's receive buffer."),
    ROW("tunnel_socket_sndbuf", SIZE(socket_sndbuf), NULL, "The kernel's send buffer."),
    {.name = "tunnel_send_lowat",
     .where = WHERE,
     .warning = "Linux knows no low-water mark for sending",
     .doc = "Accepted."},
    {0},
};

/* ---- the content */

/* Sets url, and group if it is known.  False: answered. */
static bool tunnel_find(proxy_state *proxy)
{
    weir_http_exchange *ex = proxy->ex;
    const proxy_pass *pass = &proxy->conf->pass;
    weir_str text;

    if (pass->template == NULL) {
        proxy->url = pass->url;
        proxy->group = pass->group;
        return true;
    }
    if (!weir_template_text(pass->template, &ex->script, &text)) {
        proxy_answer(proxy, 500, "internal failure");
        return false;
    }
    if (!proxy_address_parse(text, weir_str_eq(pass->url.host, WEIR_STR("unix:")), &proxy->url)) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "invalid address \"%.*s\" in \"tunnel_pass\"",
                      WEIR_STR_ARG(text));
        proxy_answer(proxy, 500, "invalid address in tunnel_pass");
        return false;
    }
    if (proxy->url.port.len != 0 && proxy_url_hostname(&proxy->url).len == text.len
        && weir_balance_group_of_cycle(weir_http_of_address(ex->client->address)->cycle,
                                       &proxy_family, text)
               == NULL) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "no port in \"%.*s\" of \"tunnel_pass\"",
                      WEIR_STR_ARG(text));
        proxy_answer(proxy, 500, "invalid address in tunnel_pass");
        return false;
    }
    return proxy_find_group(proxy);
}

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
    if (!tunnel_find(proxy)) {
        return WEIR_HTTP_ANSWERED;
    }
    proxy_start(proxy);
    return proxy->is_answered ? WEIR_HTTP_ANSWERED : WEIR_HTTP_WAITING;
}

static bool tunnel_applies(const void *location)
{
    return ((const proxy_conf *) location)->pass.location != NULL;
}

const weir_http_module weir_http_tunnel = {
    .name = "http_tunnel",
    .directives = tunnel_directives,
    .conf_size = sizeof(proxy_conf),
    .phases = 1u << WEIR_HTTP_PHASE_CONTENT,
    .judge = tunnel_judge,
    .applies = tunnel_applies,
    .takes_connect = true,
};
