#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/random.h"
#include "modules/http/wire/h2_internal.h"

/*
 * Tunnels through a stream, for CONNECT (RFC 9113, 8.5) and for WebSockets (RFC 8441): an extended CONNECT for one becomes
 * the request for an upgrade that it would be in HTTP/1, and a response that agrees becomes a 200.  What takes the
 * connection then, as it would HTTP/1's, is given one end of a pair of sockets; the other end is the stream's.
 *
 * The far end may be closed, and with it the exchange end, before all that it was given has gone to the client: a
 * tunnel lives on until END_STREAM was sent, or the stream is reset, as it is when the client takes nothing for send_timeout.
 */

struct h2_tunnel {
    weir_list link; /* of h2_connection.tunnels */
    h2_connection *h2;
    h2_stream *stream; /* NULL: its exchange has ended, and nobody takes what the client sends */
    int32_t id;
    weir_connection *near;
    weir_connection *far; /* NULL: taken */
    bool is_deferred;
    bool is_shut; /* the client will send no more, and the far end was told */

    /* Without an exchange, whose times hold as long as there is one; 0: not yet, or no more. */
    uint64_t send_timeout_ms, send_deadline_ms;
};

static void near_readable(weir_connection *connection);
static void near_writable(weir_connection *connection);

/* closed by h2_tunnel_free() */
static const weir_connection_state tunnel_near = {
    .name = "http/2 tunnel",
    .on_readable = near_readable,
    .on_writable = near_writable,
    .on_hangup = near_readable,
};

static const weir_connection_state tunnel_far = {
    .name = "http/2 tunnel, not taken",
};

void h2_tunnel_free(h2_tunnel *tunnel)
{
    if (tunnel->stream != NULL) {
        tunnel->stream->tunnel = NULL;
    }
    weir_list_remove(&tunnel->link);
    if (tunnel->far != NULL) {
        weir_connection_close(tunnel->far);
    }
    /* In the near end's pool. */
    weir_connection_close(tunnel->near);
}

/* ---- from the far end to the client */

static void wait_for_client(h2_tunnel *tunnel)
{
    if (tunnel->stream == NULL) {
        tunnel->send_deadline_ms = weir_clock_now()->monotonic_ms + tunnel->send_timeout_ms;
        h2_check_at(tunnel->h2, tunnel->send_deadline_ms);
    }
}

static void near_readable(weir_connection *connection)
{
    h2_tunnel *tunnel = connection->owner;

    if (tunnel->is_deferred) {
        tunnel->is_deferred = false;
        (void) nghttp2_session_resume_data(tunnel->h2->session, tunnel->id);
        h2_schedule(tunnel->h2);
    }
}

static ssize_t tunnel_read(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t length,
                           uint32_t *flags, nghttp2_data_source *source, void *user)
{
    h2_tunnel *tunnel = source->ptr;
    size_t len;

    (void) session;
    (void) id;
    (void) user;
    if (tunnel->h2->out.len >= H2_OUT_FULL) {
        return NGHTTP2_ERR_PAUSE;
    }
    switch (weir_connection_read(tunnel->near, (char *) buffer, length, &len)) {
    case WEIR_OK:
        if (len == 0) {
            *flags |= NGHTTP2_DATA_FLAG_EOF;
        }
        h2_guard_earn(&tunnel->h2->guard, H2_EARN_DATA);
        wait_for_client(tunnel);
        return (ssize_t) len;
    case WEIR_WAIT:
        tunnel->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    case WEIR_FAIL:
        break;
    }
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* ---- from the client to the far end */

void h2_tunnel_write(h2_tunnel *tunnel)
{
    h2_stream *stream = tunnel->stream;
    uint64_t before = stream->in.len;

    if (before != 0) {
        if (weir_connection_write(tunnel->near, &stream->in, UINT64_MAX) == WEIR_FAIL) {
            /* The far end is gone: what it has left to read tells when. */
            weir_chain_clear(&stream->in);
        }
        h2_stream_consumed(stream, before - stream->in.len);
    }
    if (stream->in_ended && weir_chain_is_empty(&stream->in) && !tunnel->is_shut) {
        tunnel->is_shut = true;
        if (weir_connection_shut(tunnel->near) == WEIR_FAIL) {
            weir_log_debug(&stream->ex->log, "http2 tunnel: the far end was gone already");
        }
    }
}

static void near_writable(weir_connection *connection)
{
    h2_tunnel *tunnel = connection->owner;

    if (tunnel->stream != NULL) {
        h2_tunnel_write(tunnel);
    }
}

/* ---- opening */

static h2_tunnel *tunnel_new(h2_stream *stream)
{
    weir_connection *connection = stream->h2->connection;
    h2_tunnel *tunnel;
    weir_connection *near;
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == -1) {
        weir_log_line(&stream->ex->log, WEIR_LOG_CRIT, errno, "socketpair() failed");
        return NULL;
    }
    near = weir_connection_adopt(connection->loop, fds[0], 512, &connection->log);
    if (near == NULL) {
        (void) close(fds[0]);
        (void) close(fds[1]);
        return NULL;
    }
    tunnel = WEIR_NEW(near->pool, h2_tunnel);
    if (tunnel == NULL) {
        weir_connection_close(near);
        (void) close(fds[1]);
        return NULL;
    }
    tunnel->far = weir_connection_adopt(connection->loop, fds[1], 512, &connection->log);
    if (tunnel->far == NULL) {
        weir_connection_close(near);
        (void) close(fds[1]);
        return NULL;
    }
    tunnel->far->tcp_nodelay = true; /* nothing is held back here that could be sent at once */
    tunnel->h2 = stream->h2;
    tunnel->stream = stream;
    tunnel->id = stream->id;
    tunnel->near = near;
    near->owner = tunnel;
    weir_connection_enter(tunnel->far, &tunnel_far);
    weir_list_append(&stream->h2->tunnels, &tunnel->link);
    return tunnel;
}

bool h2_tunnel_open(h2_stream *stream, nghttp2_data_provider *provider)
{
    stream->tunnel = tunnel_new(stream);
    if (stream->tunnel == NULL) {
        return false;
    }
    /* A proof for HTTP/1 only (RFC 8441, 5). */
    weir_http_fields_remove_text(&stream->ex->response.fields, WEIR_STR("Sec-WebSocket-Accept"));
    provider->source.ptr = stream->tunnel;
    provider->read_callback = tunnel_read;
    weir_connection_enter(stream->tunnel->near, &tunnel_near);
    return true;
}

weir_connection *h2_take_connection(weir_http_exchange *ex)
{
    h2_stream *stream = ex->wire_state;
    weir_connection *far = stream->tunnel == NULL ? NULL : stream->tunnel->far;

    if (far != NULL) {
        stream->tunnel->far = NULL;
        /* What came behind the request already. */
        h2_tunnel_write(stream->tunnel);
    }
    return far;
}

/* ---- ending */

void h2_tunnel_left(h2_tunnel *tunnel)
{
    tunnel->send_timeout_ms = tunnel->stream->ex->core->send_timeout_ms;
    tunnel->stream->tunnel = NULL;
    tunnel->stream = NULL;
    if (tunnel->far != NULL) {
        /* Nobody took it: the response could not be sent. */
        h2_tunnel_free(tunnel);
        return;
    }
    wait_for_client(tunnel);
}

uint64_t h2_tunnels_check(h2_connection *h2, uint64_t now_ms)
{
    uint64_t next_ms = 0;

    for (weir_list *link = h2->tunnels.next; link != &h2->tunnels; link = link->next) {
        h2_tunnel *tunnel = WEIR_OWNER(link, h2_tunnel, link);
        uint64_t due_ms = tunnel->send_deadline_ms;

        if (due_ms != 0 && due_ms <= now_ms) {
            tunnel->send_deadline_ms = 0;
            weir_log_line(&h2->connection->log, WEIR_LOG_INFO, 0,
                          "client timed out while a tunnel's last bytes were sent to it");
            (void) nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, tunnel->id,
                                             NGHTTP2_CANCEL);
            h2_schedule(h2);
        } else if (due_ms != 0 && (next_ms == 0 || due_ms < next_ms)) {
            next_ms = due_ms;
        }
    }
    return next_ms;
}

h2_tunnel *h2_tunnel_find(h2_connection *h2, int32_t id)
{
    for (weir_list *link = h2->tunnels.next; link != &h2->tunnels; link = link->next) {
        h2_tunnel *tunnel = WEIR_OWNER(link, h2_tunnel, link);

        if (tunnel->id == id) {
            return tunnel;
        }
    }
    return NULL;
}

void h2_tunnels_close(h2_connection *h2)
{
    weir_list *link;

    while ((link = weir_list_first(&h2->tunnels)) != NULL) {
        h2_tunnel_free(WEIR_OWNER(link, h2_tunnel, link));
    }
}

/* ---- the request */

/* 16 bytes in base64, for a key that the origin turns into a proof which nobody looks at (RFC 8441, 5). */
static bool make_key(weir_pool *pool, weir_str *key)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char random[22];
    char text[24];

    weir_random_bytes(random, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++) {
        text[i] = alphabet[random[i] % 64];
    }
    /* The last digit has two bits. */
    text[21] = alphabet[random[21] % 4 * 16];
    text[22] = text[23] = '=';
    return weir_str_copy(pool, weir_str_of(text, sizeof(text)), key);
}

void h2_tunnel_take_stream(h2_stream *stream)
{
    stream->ex->request.content_length = -1;
    stream->ex->request.body_ended = true;
    stream->is_tunnel = true;
}

bool h2_tunnel_ask(h2_stream *stream)
{
    weir_http_request *request = &stream->ex->request;
    weir_str key;

    request->method = WEIR_HTTP_GET;
    request->method_text = WEIR_STR("GET");
    h2_tunnel_take_stream(stream);
    return make_key(stream->ex->pool, &key)
           && weir_http_fields_add(&request->fields, WEIR_HTTP_UPGRADE, WEIR_STR("websocket"))
           && weir_http_fields_add(&request->fields, WEIR_HTTP_CONNECTION, WEIR_STR("upgrade"))
           && weir_http_fields_set(&request->fields, WEIR_HTTP_SEC_WEBSOCKET_KEY, key);
}
