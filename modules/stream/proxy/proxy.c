#include "modules/stream/proxy/proxy_internal.h"

#include "core/base/clock.h"
#include "core/server/values.h"

/* The directives of proxy_pass, and the content handler that begins. */

#define ROW(name_, slot_, preset_, doc_)                                                           \
    {                                                                                              \
        .name = name_, .where = WEIR_STREAM_ANYWHERE, .slot = slot_, .preset = preset_,            \
        .doc = doc_                                                                                \
    }
#define FLAG(member) WEIR_SLOT_FLAG(stream_proxy_conf, member)
#define SIZE(member) WEIR_SLOT_SIZE(stream_proxy_conf, member)
#define MS(member) WEIR_SLOT_MS(stream_proxy_conf, member)
#define TEMPLATE(member) WEIR_SLOT_TEMPLATE(stream_proxy_conf, member)
#define OF_DATAGRAMS(name_)                                                                        \
    {                                                                                              \
        .name = name_, .where = WEIR_STREAM_ANYWHERE, .takes = WEIR_TAKES(1, 1),                   \
        .warning = "it is about UDP, which weir does not proxy", .doc = "Accepted."                \
    }

static const weir_choice protocol_choices[] = {
    {"off", STREAM_PROXY_PROTOCOL_OFF},
    {"on", STREAM_PROXY_PROTOCOL_V1},
    {"v1", STREAM_PROXY_PROTOCOL_V1},
    {"v2", STREAM_PROXY_PROTOCOL_V2},
    {NULL, 0},
};

static bool bind_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    return weir_bind_call(conf, &((stream_proxy_conf *) settings)->bind, "stream", statement);
}

static const weir_directive proxy_directives[] = {
    {
        .name = "proxy_pass",
        .where = WEIR_STREAM_SERVER,
        .takes = WEIR_TAKES(1, 1),
        .syntax = "name | address:port | unix:path",
        .slot = WEIR_SLOT_CALL(stream_proxy_conf, pass, stream_proxy_pass_call),
        .inherit = WEIR_INHERIT_NONE,
        .doc = "Where sessions are passed on to.",
    },
    ROW("proxy_connect_timeout", MS(connect_timeout_ms), "60s",
        "How long a connection to a server may take."),
    ROW("proxy_timeout", MS(timeout_ms), "10m", "The time without a byte from either side."),
    ROW("proxy_buffer_size", SIZE(buffer_size), "16k",
        "The most that is read at once from either side, where bytes are copied."),
    ROW("proxy_upload_rate", TEMPLATE(upload_rate), "0",
        "Bytes a second that are read from a client; 0 is no limit."),
    ROW("proxy_download_rate", TEMPLATE(download_rate), "0",
        "Bytes a second that are read from a server; 0 is no limit."),
    {
        .name = "proxy_bind",
        .where = WEIR_STREAM_ANYWHERE,
        .takes = WEIR_TAKES(1, 2),
        .syntax = "address [transparent] | off",
        .slot = WEIR_SLOT_CALL(stream_proxy_conf, bind, bind_call),
        .doc = "The local address of connections to servers.",
    },
    ROW("proxy_socket_keepalive", FLAG(socket_keepalive), "off",
        "TCP keepalive on connections to servers."),
    ROW("proxy_socket_rcvbuf", SIZE(socket_rcvbuf), NULL, "The kernel's receive buffer."),
    ROW("proxy_socket_sndbuf", SIZE(socket_sndbuf), NULL, "The kernel's send buffer."),
    ROW("proxy_next_upstream", FLAG(next_upstream), "on",
        "Goes to the next server when a connection cannot be made."),
    ROW("proxy_next_upstream_tries", WEIR_SLOT_UINT(stream_proxy_conf, next_tries, 0, UINT32_MAX),
        "0", "How many servers are tried; 0 is no limit."),
    ROW("proxy_next_upstream_timeout", MS(next_timeout_ms), "0",
        "How long servers are tried; 0 is no limit."),
    ROW("health_check_timeout", MS(check_timeout_ms), "5s",
        "How long one health check of a server may take."),
    ROW("proxy_half_close", FLAG(half_close), "off",
        "Lets one side go on when the other has ended its own."),
    {
        .name = "proxy_protocol",
        .where = WEIR_STREAM_ANYWHERE,
        .takes = WEIR_TAKES(1, 1),
        .syntax = "on | v1 | v2 | off",
        .slot = WEIR_SLOT_ENUM(stream_proxy_conf, protocol, protocol_choices),
        .preset = "off",
        .doc = "Tells servers of the client's address by the PROXY protocol; \"on\" is version 1.",
    },
    ROW("proxy_ssl", FLAG(ssl), "off", "Speaks TLS to servers."),
    WEIR_TLS_CLIENT_DIRECTIVES("proxy_ssl_", stream_proxy_conf, tls, WEIR_STREAM_ANYWHERE),
    ROW("proxy_ssl_alpn", WEIR_SLOT_LIST(stream_proxy_conf, alpn), NULL,
        "Protocols to offer to servers by ALPN."),
    OF_DATAGRAMS("proxy_requests"),
    OF_DATAGRAMS("proxy_responses"),
    {0},
};

static bool proxy_check(weir_conf *conf, const void *settings)
{
    /* These settings are not shared yet: what is made of them is kept with them. */
    stream_proxy_conf *proxy = (stream_proxy_conf *) (uintptr_t) settings;
    uint64_t rate;

    if (!weir_rate_check(conf, proxy->upload_rate, "proxy_upload_rate", &rate)
        || !weir_rate_check(conf, proxy->download_rate, "proxy_download_rate", &rate)) {
        return false;
    }
    if (proxy->buffer_size == 0) {
        return weir_conf_refuse(conf, "\"proxy_buffer_size\" must not be zero");
    }
    if (!proxy->pass.is_given || !proxy->ssl) {
        return true;
    }
    proxy->tls_client = weir_tls_client_new(conf, &proxy->tls, "proxy_ssl_", "stream");
    return proxy->tls_client != NULL && weir_tls_alpn_make(conf, &proxy->alpn, &proxy->alpn_wire);
}

static bool proxy_applies(const void *server)
{
    return ((const stream_proxy_conf *) server)->pass.is_given;
}

static weir_stream_verdict proxy_judge(weir_stream_session *session, const void *server)
{
    stream_proxy *proxy = WEIR_NEW(session->pool, stream_proxy);

    if (proxy == NULL) {
        session->status = WEIR_STREAM_INTERNAL_ERROR;
        return WEIR_STREAM_REFUSED;
    }
    proxy->session = session;
    proxy->conf = server;
    proxy->started_ms = weir_clock_now()->monotonic_ms;
    weir_array_init(&proxy->attempts, session->pool, sizeof(stream_proxy_attempt), 1);
    session->upstream = proxy;
    session->describe = stream_proxy_describe;
    session->doing = "connecting to upstream";
    switch (stream_proxy_find(proxy)) {
    case WEIR_OK:
        stream_proxy_start(proxy);
        return WEIR_STREAM_SETTLED;
    case WEIR_WAIT:
        return WEIR_STREAM_SETTLED;
    case WEIR_FAIL:
        break;
    }
    session->status = WEIR_STREAM_INTERNAL_ERROR;
    return WEIR_STREAM_REFUSED;
}

const weir_stream_module weir_stream_proxy = {
    .name = "stream_proxy",
    .directives = proxy_directives,
    .conf_size = sizeof(stream_proxy_conf),
    .check = proxy_check,
    .phases = 1u << WEIR_STREAM_PHASE_CONTENT,
    .judge = proxy_judge,
    .applies = proxy_applies,
    .variables = stream_proxy_variables,
};
