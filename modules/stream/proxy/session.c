#include "modules/stream/proxy/proxy_internal.h"

#include <errno.h>

#include "core/base/clock.h"
#include "core/base/number.h"
#include "core/net/proxy_protocol.h"

/*
 * A session's way: a peer is chosen and connected to, told who the client is, and then bytes move both ways.
 *
 *     (opening) -> relaying -> closed
 *
 * As long as no byte of the client went out, a peer that fails is replaced by the next one.
 */

/* The client's side meanwhile: what it sends waits in the socket.  waiting -> (relay) | closed */
static const weir_connection_state stream_waiting = {
    .name = "waiting for upstream",
};

/* ---- what is kept of each try, for variables and logs */

static stream_proxy_attempt *attempt_now(const stream_proxy *proxy)
{
    return WEIR_ARRAY_AT(&proxy->attempts, stream_proxy_attempt, proxy->attempts.count - 1);
}

static uint64_t attempt_age_ms(const stream_proxy *proxy)
{
    return weir_clock_now()->monotonic_ms - attempt_now(proxy)->started_ms;
}

/* The name is copied: peers may be gone once the pick has left them. */
static bool attempt_add(stream_proxy *proxy, weir_str addr)
{
    stream_proxy_attempt *attempt = weir_array_push(&proxy->attempts);

    if (attempt == NULL || !weir_str_copy(proxy->session->pool, addr, &attempt->addr)) {
        return false;
    }
    proxy->peer = attempt->addr;
    attempt->started_ms = weir_clock_now()->monotonic_ms;
    attempt->connect_ms = attempt->first_byte_ms = attempt->session_ms = STREAM_PROXY_UNKNOWN;
    proxy->tries++;
    return true;
}

/* `, upstream: "192.0.2.1:443", bytes from/to client:1/2, bytes from/to upstream:2/1` */
void stream_proxy_describe(weir_builder *line, const weir_stream_session *session)
{
    const stream_proxy *proxy = session->upstream;
    const weir_connection *origin = proxy->origin;

    if (proxy->peer.len != 0) {
        weir_builder_printf(line, ", upstream: \"%.*s\"", WEIR_STR_ARG(proxy->peer));
    }
    weir_builder_printf(line, ", bytes from/to client:%llu/%llu",
                        (unsigned long long) session->client->received,
                        (unsigned long long) session->client->sent);
    weir_builder_printf(line, ", bytes from/to upstream:%llu/%llu",
                        (unsigned long long) (origin == NULL ? 0 : origin->received),
                        (unsigned long long) (origin == NULL ? 0 : origin->sent));
}

/* ---- the end */

static void origin_close(stream_proxy *proxy)
{
    weir_connection *origin = proxy->origin;
    stream_proxy_attempt *attempt = attempt_now(proxy);

    weir_relay_free(proxy->relay);
    proxy->relay = NULL;
    weir_chain_clear(&proxy->out);
    if (attempt->session_ms == STREAM_PROXY_UNKNOWN) {
        attempt->session_ms = attempt_age_ms(proxy);
    }
    if (origin == NULL) {
        return;
    }
    attempt->sent = origin->sent;
    attempt->received = origin->received;
    proxy->origin = NULL;
    if (origin->tls != NULL && !origin->failed) {
        (void) weir_connection_shut(origin);
    }
    weir_connection_close(origin);
}

/* The pick leaves its peer, which was given and has answered so much. */
static void pick_end(stream_proxy *proxy, weir_balance_outcome outcome)
{
    if (proxy->origin != NULL) {
        weir_balance_count(&proxy->pick, 0, proxy->origin->sent, proxy->origin->received);
    }
    weir_balance_done(&proxy->pick, outcome, weir_stream_log(proxy->session));
}

static void proxy_end(stream_proxy *proxy, weir_balance_outcome outcome, unsigned status)
{
    weir_stream_session *session = proxy->session;

    pick_end(proxy, outcome);
    if (proxy->attempts.count != 0) {
        origin_close(proxy);
    }
    weir_stream_end(session, status);
}

/* ---- after a failure */

static bool may_try_again(const stream_proxy *proxy)
{
    const stream_proxy_conf *conf = proxy->conf;

    return conf->next_upstream && proxy->pick.tries_left != 0
           && (conf->next_tries == 0 || proxy->tries < conf->next_tries)
           && (conf->next_timeout_ms == 0
               || weir_clock_now()->monotonic_ms - proxy->started_ms < conf->next_timeout_ms);
}

static void attempt_next(stream_proxy *proxy);

static void attempt_failed(stream_proxy *proxy)
{
    weir_stream_session *session = proxy->session;

    session->doing = "connecting to upstream";
    pick_end(proxy, WEIR_BALANCE_FAILED);
    origin_close(proxy);
    if (may_try_again(proxy)) {
        attempt_next(proxy);
    } else {
        weir_stream_end(session, WEIR_STREAM_BAD_GATEWAY);
    }
}

/* ---- bytes both ways */

static void first_byte(void *subject)
{
    stream_proxy *proxy = subject;

    attempt_now(proxy)->first_byte_ms = attempt_age_ms(proxy);
    weir_balance_answered(&proxy->pick);
}

static void relay_done(weir_relay *relay, weir_relay_end end, void *subject)
{
    stream_proxy *proxy = subject;
    weir_stream_session *session = proxy->session;
    const weir_connection *client = session->client;
    const weir_connection *origin = proxy->origin;

    if (end == WEIR_RELAY_TIMED_OUT) {
        weir_log_line(&client->log, WEIR_LOG_INFO, ETIMEDOUT, "connection timed out");
    } else if (weir_log_takes(&client->log, WEIR_LOG_INFO)) {
        weir_log log = client->log;
        bool is_client = end == WEIR_RELAY_BROKEN_A
                         || (end == WEIR_RELAY_FINISHED && weir_relay_was_ended_by_a(relay));

        log.describe = NULL;
        weir_log_line(&log, WEIR_LOG_INFO, 0,
                      "%s disconnected, bytes from/to client:%llu/%llu, bytes from/to "
                      "upstream:%llu/%llu",
                      is_client ? "client" : "upstream", (unsigned long long) client->received,
                      (unsigned long long) client->sent, (unsigned long long) origin->received,
                      (unsigned long long) origin->sent);
    }
    proxy_end(proxy, WEIR_BALANCE_SUCCEEDED, WEIR_STREAM_OK);
}

/* Rates may have variables; what is no size is logged, and no limit. */
static uint64_t rate_of(const stream_proxy *proxy, const weir_template *template)
{
    uint64_t rate = 0;
    weir_str text;

    if (weir_template_is_constant(template, &text)
        || weir_template_text(template, &proxy->session->script, &text)) {
        if (text.len != 0 && !weir_parse_size(text, true, INT64_MAX / 4096, &rate)) {
            weir_log_line(weir_stream_log(proxy->session), WEIR_LOG_ERR, 0, "invalid rate \"%.*s\"",
                          WEIR_STR_ARG(text));
        }
    }
    return rate;
}

static void attempt_relay(stream_proxy *proxy)
{
    const stream_proxy_conf *conf = proxy->conf;
    weir_stream_session *session = proxy->session;
    weir_connection *origin = proxy->origin;
    weir_relay_options options = {
        .idle_timeout_ms = conf->timeout_ms,
        .upload_rate = rate_of(proxy, conf->upload_rate),
        .download_rate = rate_of(proxy, conf->download_rate),
        .copy_bytes = conf->buffer_size,
        .half_close = conf->half_close,
        .first_byte = first_byte,
    };

    if (weir_log_takes(&session->client->log, WEIR_LOG_INFO)) {
        weir_log log = session->client->log;
        char local[WEIR_ADDR_TEXT_MAX];

        log.describe = NULL;
        weir_log_line(&log, WEIR_LOG_INFO, 0, "proxy %.*s connected to %.*s",
                      WEIR_STR_ARG(weir_addr_text(weir_connection_local(origin), true, local)),
                      WEIR_STR_ARG(proxy->peer));
    }
    session->doing = "proxying connection";
    weir_connection_set_nodelay(session->client, session->core->tcp_nodelay);
    weir_connection_set_nodelay(origin, session->core->tcp_nodelay);
    proxy->relay = weir_relay_start(session->client, origin, &options, relay_done, proxy);
    if (proxy->relay == NULL) {
        proxy_end(proxy, WEIR_BALANCE_ABANDONED, WEIR_STREAM_INTERNAL_ERROR);
    }
}

/* ---- opening */

static void connected(weir_origin_opening *opening)
{
    stream_proxy *proxy = WEIR_OWNER(opening, stream_proxy, opening);

    weir_balance_connected(&proxy->pick);
}

static void opened(weir_origin_opening *opening, weir_origin_outcome outcome)
{
    stream_proxy *proxy = WEIR_OWNER(opening, stream_proxy, opening);

    weir_balance_count_opening(&proxy->pick, opening, outcome);
    switch (outcome) {
    case WEIR_ORIGIN_OPEN:
        /* As nginx counts, with TLS. */
        attempt_now(proxy)->connect_ms = attempt_age_ms(proxy);
        attempt_relay(proxy);
        return;
    case WEIR_ORIGIN_TIMED_OUT:
    case WEIR_ORIGIN_FAILED:
        attempt_failed(proxy);
        return;
    }
}

/* The PROXY header, if the peer is to have one. */
static bool make_header(stream_proxy *proxy)
{
    weir_connection *client = proxy->session->client;
    weir_builder builder;
    weir_str header;

    weir_builder_open(&builder, proxy->session->pool, WEIR_PROXY_V1_MAX);
    switch ((stream_proxy_protocol) proxy->conf->protocol) {
    case STREAM_PROXY_PROTOCOL_OFF:
        return true;
    case STREAM_PROXY_PROTOCOL_V1:
        weir_proxy_protocol_write_v1(&builder, &client->peer, weir_connection_local(client));
        break;
    case STREAM_PROXY_PROTOCOL_V2:
        weir_proxy_protocol_write_v2(&builder, &client->peer, weir_connection_local(client));
        break;
    }
    return weir_builder_close(&builder, &header) && weir_chain_add_memory(&proxy->out, header);
}

static bool make_tls_name(stream_proxy *proxy)
{
    const stream_proxy_conf *conf = proxy->conf;

    proxy->tls_name = weir_addr_host(proxy->host);
    return conf->tls_client == NULL || conf->tls.name == NULL
           || weir_template_text(conf->tls.name, &proxy->session->script, &proxy->tls_name);
}

static void attempt_connect(stream_proxy *proxy)
{
    const stream_proxy_conf *conf = proxy->conf;
    weir_stream_session *session = proxy->session;
    weir_str bound = WEIR_STR_EMPTY;

    if (!make_header(proxy) || !make_tls_name(proxy)
        || (conf->bind.addr != NULL
            && !weir_template_text(conf->bind.addr, &session->script, &bound))) {
        proxy_end(proxy, WEIR_BALANCE_ABANDONED, WEIR_STREAM_INTERNAL_ERROR);
        return;
    }
    proxy->opening = (weir_origin_opening){
        .addr = &proxy->pick.peer->addr,
        .peer = proxy->peer,
        .socket =
            {
                .socket_keepalive = conf->socket_keepalive,
                .speaks_first = conf->protocol != STREAM_PROXY_PROTOCOL_OFF
                                || conf->tls_client != NULL
                                || weir_connection_holds_unread(session->client),
                .rcvbuf = (int) conf->socket_rcvbuf,
                .sndbuf = (int) conf->socket_sndbuf,
            },
        .timeout_ms = conf->connect_timeout_ms,
        .introduction = &proxy->out,
        .tls = conf->tls_client,
        .tls_name = proxy->tls_name,
        .alpn = conf->alpn_wire,
        .script = &session->script,
        .connection = &proxy->origin,
        .log = session->client->log,
        .doing = &session->doing,
        .connected = connected,
        .done = opened,
    };
    weir_bind_apply(&conf->bind, bound, &proxy->opening.socket, weir_stream_log(session));
    weir_origin_open(session->client->loop, &proxy->opening);
}

/* One in the group's queue is at a peer now, or has waited too long. */
static void peer_is_free(weir_balance_pick *pick)
{
    attempt_next(WEIR_OWNER(pick, stream_proxy, pick));
}

static void no_peer(stream_proxy *proxy)
{
    weir_stream_session *session = proxy->session;

    if (attempt_add(proxy, weir_balance_group_name(proxy->group))) {
        attempt_now(proxy)->session_ms = 0;
    }
    weir_log_line(weir_stream_log(session), WEIR_LOG_ERR, 0, "no live upstreams");
    weir_stream_end(session, WEIR_STREAM_BAD_GATEWAY);
}

static void attempt_next(stream_proxy *proxy)
{
    weir_stream_session *session = proxy->session;

    session->doing = "connecting to upstream";
    switch (weir_balance_next(&proxy->pick, peer_is_free)) {
    case WEIR_OK:
        break;
    case WEIR_WAIT:
        return;
    case WEIR_FAIL:
        no_peer(proxy);
        return;
    }
    if (!attempt_add(proxy, proxy->pick.peer->text)) {
        weir_balance_done(&proxy->pick, WEIR_BALANCE_ABANDONED, weir_stream_log(session));
        weir_stream_end(session, WEIR_STREAM_INTERNAL_ERROR);
        return;
    }
    attempt_connect(proxy);
}

void stream_proxy_start(stream_proxy *proxy)
{
    weir_stream_session *session = proxy->session;

    const weir_balance_subject whose = {
        .pool = session->pool,
        .script = &session->script,
        .client_addr = &session->client->peer,
        .log = weir_stream_log(session),
    };

    weir_connection_enter(session->client, &stream_waiting);
    if (!weir_balance_begin(&proxy->pick, proxy->group, &whose)) {
        weir_stream_end(session, WEIR_STREAM_INTERNAL_ERROR);
        return;
    }
    attempt_next(proxy);
}
