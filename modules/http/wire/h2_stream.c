#include "core/base/clock.h"
#include "modules/http/wire/h2_internal.h"

/* Streams: an exchange each, and the bodies of requests, for which windows open as they are taken. */

static void rate_expired(weir_timer *timer)
{
    h2_stream *stream = WEIR_OWNER(timer, h2_stream, rate_timer);

    stream->is_rate_paused = false;
    h2_wake(stream->ex);
}

h2_stream *h2_stream_new(h2_connection *h2, int32_t id)
{
    weir_http_exchange *ex;
    h2_stream *stream;

    h2->client.requests++;
    ex = weir_http_exchange_new(&h2->client, &weir_http_h2, NULL);
    if (ex == NULL) {
        return NULL;
    }
    stream = WEIR_NEW(ex->pool, h2_stream);
    ex->wire_state = stream;
    if (stream == NULL) {
        goto failed;
    }
    stream->h2 = h2;
    stream->ex = ex;
    stream->id = id;
    stream->left = -1;
    stream->rate_timer.name = "http/2 limit_rate";
    stream->rate_timer.expired = rate_expired;
    weir_list_init(&stream->readable);
    if (!h2_head_begin(stream)) {
        goto failed;
    }
    ex->request.version = WEIR_HTTP_20;
    weir_list_append(&h2->streams, &stream->link);
    h2->stream_count++;
    weir_http_exchange_count(ex);
    return stream;

failed:
    weir_pool_free(ex->pool);
    return NULL;
}

/* ---- bodies of requests */

/* Who waits is told once nghttp2 has looked at all that came. */
static void body_came(h2_stream *stream)
{
    stream->body_deadline_ms = 0;
    if ((stream->wants_body || stream->tunnel != NULL) && weir_list_is_empty(&stream->readable)) {
        weir_list_append(&stream->h2->readable, &stream->readable);
    }
}

bool h2_stream_body(h2_stream *stream, weir_str bytes)
{
    if (!weir_chain_add_copy(&stream->in, bytes)) {
        weir_log_line(&stream->ex->log, WEIR_LOG_CRIT, 0, "no memory for a request's body");
        return false;
    }
    body_came(stream);
    return true;
}

void h2_stream_body_end(h2_stream *stream)
{
    stream->in_ended = true;
    body_came(stream);
}

void h2_stream_consumed(h2_stream *stream, uint64_t bytes)
{
    if (bytes != 0) {
        (void) nghttp2_session_consume(stream->h2->session, stream->id, (size_t) bytes);
        h2_schedule(stream->h2);
    }
}

/* Somebody wants the body: from now on the window need not be that of bodies which may be refused. */
static void open_window(h2_stream *stream)
{
    if (!stream->window_is_open) {
        stream->window_is_open = true;
        if (nghttp2_session_get_stream_local_window_size(stream->h2->session, stream->id)
            < H2_STREAM_WINDOW_BYTES) {
            (void) nghttp2_session_set_local_window_size(stream->h2->session, NGHTTP2_FLAG_NONE,
                                                         stream->id, H2_STREAM_WINDOW_BYTES);
        }
        h2_schedule(stream->h2);
    }
}

weir_result h2_read_body(weir_http_exchange *ex, weir_chain *out, uint64_t limit)
{
    h2_stream *stream = ex->wire_state;
    uint64_t bytes = stream->in.len < limit ? stream->in.len : limit;

    stream->wants_body = false;
    stream->body_deadline_ms = 0;
    if (bytes != 0) {
        if (!weir_chain_move(out, &stream->in, bytes)) {
            return WEIR_FAIL;
        }
        ex->request.body_received += bytes;
        h2_stream_consumed(stream, bytes);
    }
    if (stream->in_ended) {
        ex->request.body_ended = weir_chain_is_empty(&stream->in);
        return WEIR_OK;
    }
    if (bytes != 0) {
        return WEIR_OK;
    }
    if (stream->h2->is_gone || stream->is_closed) {
        ex->client_is_gone = true;
        return WEIR_FAIL;
    }
    open_window(stream);
    stream->wants_body = true;
    stream->body_deadline_ms = weir_clock_now()->monotonic_ms + weir_http_body_patience_ms(ex);
    h2_check_at(stream->h2, stream->body_deadline_ms);
    return WEIR_WAIT;
}

void h2_streams_deliver(h2_connection *h2)
{
    weir_list *link;

    while ((link = weir_list_first(&h2->readable)) != NULL) {
        h2_stream *stream = WEIR_OWNER(link, h2_stream, readable);

        weir_list_remove(link);
        if (stream->tunnel != NULL) {
            h2_tunnel_write(stream->tunnel);
        } else if (stream->wants_body) {
            stream->wants_body = false;
            weir_http_body_readable(stream->ex);
        }
    }
}

/* ---- the end */

void h2_stream_break(h2_stream *stream, uint32_t error_code)
{
    stream->is_broken = true;
    if (!stream->is_closed) {
        (void) nghttp2_submit_rst_stream(stream->h2->session, NGHTTP2_FLAG_NONE, stream->id,
                                         error_code);
    }
    h2_schedule(stream->h2);
}

void h2_stream_closed(h2_stream *stream, uint32_t error_code)
{
    weir_http_exchange *ex = stream->ex;

    stream->is_closed = true;
    if (stream->is_broken) {
        h2_abort(ex);
        return;
    }
    weir_log_debug(&ex->log, "http2 stream %d closed: %s", stream->id,
                   nghttp2_http2_strerror(error_code));
    if (stream->tunnel != NULL) {
        /* Who relays sees the end of its connection, and ends the exchange. */
        h2_tunnel_free(stream->tunnel);
        return;
    }
    if (ex->ends_after_children) {
        /* It has had its end, and mirrors go on. */
        return;
    }
    h2_guard_charge(&stream->h2->guard, H2_COST_CANCEL);
    if (!stream->head_is_complete) {
        weir_log_line(&ex->log, WEIR_LOG_INFO, 0, "client sent invalid request: %s",
                      nghttp2_http2_strerror(error_code));
        ex->response.status = 400;
        ex->end_reason = "client sent invalid request";
        ex->client_is_gone = true;
        h2_abort(ex);
        return;
    }
    weir_http_client_gone(ex);
}

void h2_ended(weir_http_exchange *ex)
{
    h2_stream *stream = ex->wire_state;
    h2_connection *h2 = stream->h2;

    if (!stream->is_closed) {
        (void) nghttp2_session_set_stream_user_data(h2->session, stream->id, NULL);
        if (!stream->in_ended && !stream->is_broken && stream->tunnel == NULL) {
            /* The response is whole, and nobody wants the rest of the request (RFC 9113, 8.1). */
            (void) nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, stream->id,
                                             NGHTTP2_NO_ERROR);
        }
    }
    if (stream->in.len != 0) {
        (void) nghttp2_session_consume_connection(h2->session, (size_t) stream->in.len);
    }
    if (h2->in_head == stream) {
        h2->in_head = NULL;
    }
    if (stream->tunnel != NULL) {
        h2_tunnel_left(stream->tunnel);
    }
    weir_chain_clear(&stream->in);
    weir_chain_clear(&stream->pulled);
    weir_timer_clear(h2->connection->loop, &stream->rate_timer);
    weir_list_remove(&stream->readable);
    weir_list_remove(&stream->link);
    h2->stream_count--;
    h2->heads_bytes -= stream->head_bytes;
    h2_schedule(h2);
}

void h2_abort(weir_http_exchange *ex)
{
    h2_stream *stream = ex->wire_state;
    uint32_t code = NGHTTP2_INTERNAL_ERROR;

    if (ex->client_is_gone || ex->response.status == 444) {
        code = NGHTTP2_CANCEL;
    }
    ex->keepalive = false;
    ex->response.body_is_short = true;
    ex->response.is_upgrade = false;
    if (!ex->response.head_is_sent) {
        ex->client_is_gone = true;
    }
    if (!stream->is_broken) {
        h2_stream_break(stream, code);
    }
    weir_http_exchange_end(ex);
}

void h2_streams_gone(h2_connection *h2)
{
    weir_list *link = h2->streams.next;

    while (link != &h2->streams) {
        h2_stream *stream = WEIR_OWNER(link, h2_stream, link);

        /* What ends with it is its own: no other stream. */
        link = link->next;
        if (!stream->is_closed) {
            stream->is_closed = true;
            (void) nghttp2_session_set_stream_user_data(h2->session, stream->id, NULL);
            if (stream->tunnel != NULL) {
                h2_tunnel_free(stream->tunnel);
            } else {
                weir_http_client_gone(stream->ex);
            }
        }
    }
}

/* ---- time */

static bool has_come(uint64_t due_ms, uint64_t now_ms)
{
    return due_ms != 0 && due_ms <= now_ms;
}

/* True: its time was up, and it may be gone. */
static bool stream_check(h2_stream *stream, uint64_t now_ms)
{
    weir_http_exchange *ex = stream->ex;

    if (has_come(stream->head_deadline_ms, now_ms)) {
        weir_log_line(&ex->log, WEIR_LOG_INFO, 0,
                      "client timed out while reading client request headers");
        ex->response.status = 408;
        ex->end_reason = "client timed out";
        ex->client_is_gone = true;
        /* Without the rest of this head no other can be read. */
        h2_condemn(stream->h2, NGHTTP2_NO_ERROR, "client timed out");
        h2_abort(ex);
        return true;
    }
    if (has_come(stream->body_deadline_ms, now_ms)) {
        stream->body_deadline_ms = 0;
        stream->wants_body = false;
        if (weir_http_body_timed_out(ex)) {
            return true;
        }
    }
    if (has_come(stream->send_deadline_ms, now_ms)) {
        weir_log_line(&ex->log, WEIR_LOG_INFO, 0, "client timed out while sending to client");
        ex->client_is_gone = true;
        h2_abort(ex);
        return true;
    }
    return false;
}

static void nearer(uint64_t *next_ms, uint64_t due_ms)
{
    if (due_ms != 0 && (*next_ms == 0 || due_ms < *next_ms)) {
        *next_ms = due_ms;
    }
}

void h2_streams_check(h2_connection *h2, uint64_t now_ms, uint64_t *next_ms)
{
    weir_list *link = h2->streams.next;

    *next_ms = 0;
    while (link != &h2->streams) {
        h2_stream *stream = WEIR_OWNER(link, h2_stream, link);

        link = link->next;
        if (!stream_check(stream, now_ms)) {
            nearer(next_ms, stream->head_deadline_ms);
            nearer(next_ms, stream->body_deadline_ms);
            nearer(next_ms, stream->send_deadline_ms);
        }
    }
    nearer(next_ms, h2_tunnels_check(h2, now_ms));
}
