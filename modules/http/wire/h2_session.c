#include "modules/http/wire/h2_internal.h"
#include "modules/http/wire/h2_text.h"

/* nghttp2's callbacks: what it has read becomes heads, bodies and ends of streams. */

static h2_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return id == 0 ? NULL : nghttp2_session_get_stream_user_data(session, id);
}

/* ---- field sections */

static bool may_be_reset(const h2_connection *h2, int32_t id)
{
    if (id <= h2->reset_forgotten) {
        return true;
    }
    for (size_t i = 0; i < H2_RESETS_KEPT; i++) {
        if (h2->resets[i] == id) {
            return true;
        }
    }
    return false;
}

/* On a stream that nothing is open on: the client has ended it, or skipped its number (RFC 9113, 5.1 and 5.1.1). */
static bool is_late(const h2_connection *h2, const nghttp2_frame_hd *hd)
{
    int32_t id = hd->stream_id;

    return hd->type == NGHTTP2_HEADERS && id <= nghttp2_session_get_last_proc_stream_id(h2->session)
           && id % 2 == 1 && nghttp2_session_find_stream(h2->session, id) == NULL
           && !may_be_reset(h2, id);
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user)
{
    h2_connection *h2 = user;

    (void) session;
    if (is_late(h2, hd)) {
        h2_condemn(h2, NGHTTP2_STREAM_CLOSED, "client sent a header on a closed http2 stream");
    }
    return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    static const nghttp2_extpri shared = {.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1};
    h2_connection *h2 = user;
    int32_t id = frame->hd.stream_id;

    h2->in_head = NULL;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        h2_stream *stream = stream_of(session, id);

        if (stream == NULL ? h2_tunnel_find(h2, id) != NULL : stream->is_tunnel) {
            /* A tunnel has no trailers (RFC 9113, 8.5). */
            (void) nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id,
                                             NGHTTP2_PROTOCOL_ERROR);
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
        h2->in_head = stream;
        return 0;
    }
    if (h2->stream_count >= h2->conf->max_concurrent_streams) {
        /* More than nghttp2 counts: exchanges that go on without their client. */
        return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
    }
    h2->in_head = h2_stream_new(h2, id);
    if (h2->in_head == NULL) {
        weir_log_line(&h2->connection->log, WEIR_LOG_CRIT, 0, "no memory for an exchange");
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    /* Unless its Priority field says otherwise: one large response is not to hold up all that come after (RFC 9218, 10). */
    (void) nghttp2_session_change_extpri_stream_priority(session, id, &shared, 0);
    return nghttp2_session_set_stream_user_data(session, id, h2->in_head);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                     nghttp2_rcbuf *value, uint8_t flags, void *user)
{
    h2_connection *h2 = user;
    h2_stream *stream = h2->in_head;
    bool is_taken;

    (void) session;
    (void) flags;
    if (stream == NULL) {
        return 0;
    }
    is_taken = frame->headers.cat == NGHTTP2_HCAT_REQUEST
                   ? h2_head_take(stream, h2_text(name), h2_text(value))
                   : h2_trailer_take(stream, h2_text(name), h2_text(value));
    return is_taken ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* A malformed request is no request (RFC 9113, 8.1.1): nothing of it is passed on. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                             nghttp2_rcbuf *name, nghttp2_rcbuf *value, uint8_t flags, void *user)
{
    h2_connection *h2 = user;

    (void) session;
    (void) value;
    (void) flags;
    weir_log_line(&h2->connection->log, WEIR_LOG_INFO, 0,
                  "client sent invalid header line with name \"%.*s\" in http2 stream %d",
                  WEIR_STR_ARG(h2_text(name)), frame->hd.stream_id);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void headers_end(h2_connection *h2, const nghttp2_frame *frame)
{
    h2_stream *stream = h2->in_head;
    bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

    h2->in_head = NULL;
    if (stream == NULL) {
        return;
    }
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        stream->in_ended = ends;
        h2_head_complete(stream, frame->hd.length);
    } else if (ends) {
        if (!stream->trailer_is_cut) {
            h2_guard_head_taken(&h2->guard, frame->hd.length);
        }
        h2_stream_body_end(stream);
    }
}

/* ---- frames */

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    h2_connection *h2 = user;
    h2_stream *stream;

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        headers_end(h2, frame);
        break;
    case NGHTTP2_DATA:
        stream = stream_of(session, frame->hd.stream_id);
        if (stream != NULL && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
            h2_stream_body_end(stream);
        }
        break;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
            h2_name_last(h2);
        }
        break;
    default:
        break;
    }
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t len, void *user)
{
    h2_connection *h2 = user;
    h2_stream *stream = stream_of(session, id);

    if (len >= H2_BODY_FRAME_MIN && (flags & NGHTTP2_FLAG_PADDED) != 0) {
        h2_guard_earn(&h2->guard, H2_EARN_BODY);
    }
    if (stream == NULL) {
        return nghttp2_session_consume_connection(session, len);
    }
    return h2_stream_body(stream, weir_str_of((const char *) data, len))
               ? 0
               : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error_code, void *user)
{
    h2_connection *h2 = user;
    h2_stream *stream = stream_of(session, id);
    h2_tunnel *tunnel;

    if (nghttp2_session_get_stream_remote_close(session, id) == 1) {
        h2_guard_ended(&h2->guard, (uint32_t) id);
    }
    if (stream != NULL) {
        h2_stream_closed(stream, error_code);
    } else if ((tunnel = h2_tunnel_find(h2, id)) != NULL) {
        h2_tunnel_free(tunnel);
    }
    return 0;
}

/* What the client did that a stream of its own is reset for costs it. */
static void reset_sent(h2_connection *h2, const nghttp2_frame *frame)
{
    int32_t *place = &h2->resets[h2->next_reset++ % H2_RESETS_KEPT];

    if (*place > h2->reset_forgotten) {
        h2->reset_forgotten = *place;
    }
    *place = frame->hd.stream_id;
    switch (frame->rst_stream.error_code) {
    case NGHTTP2_NO_ERROR:
    case NGHTTP2_INTERNAL_ERROR:
    case NGHTTP2_CANCEL:
        break;
    default:
        weir_log_line(&h2->connection->log, WEIR_LOG_INFO, 0, "http2 stream %d was reset: %s",
                      frame->hd.stream_id, nghttp2_http2_strerror(frame->rst_stream.error_code));
        h2_guard_charge(&h2->guard, H2_COST_RESET);
        break;
    }
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    h2_connection *h2 = user;
    h2_stream *stream;

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        stream = stream_of(session, frame->hd.stream_id);
        if (stream != NULL) {
            h2_frame_sent(stream, frame);
        } else if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
            /* A tunnel that has outlived its exchange: what the client would say, nobody hears. */
            (void) nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                             NGHTTP2_NO_ERROR);
        }
        break;
    case NGHTTP2_RST_STREAM:
        reset_sent(h2, frame);
        break;
    case NGHTTP2_GOAWAY:
        if (frame->goaway.error_code != NGHTTP2_NO_ERROR) {
            h2->is_expelled = true;
            weir_log_line(&h2->connection->log, WEIR_LOG_INFO, 0, "http2 connection ends: %s%s%.*s",
                          nghttp2_http2_strerror(frame->goaway.error_code),
                          frame->goaway.opaque_data_len != 0 ? ", " : "",
                          (int) frame->goaway.opaque_data_len, frame->goaway.opaque_data);
        }
        break;
    default:
        break;
    }
    return 0;
}

/* A head that cannot be sent: too many bytes for any client to take. */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error,
                             void *user)
{
    h2_stream *stream = stream_of(session, frame->hd.stream_id);

    (void) user;
    /* With the session all of them end, and the client knows why; so it does where its stream is being reset. */
    if (error == NGHTTP2_ERR_SESSION_CLOSING || error == NGHTTP2_ERR_STREAM_CLOSING) {
        return 0;
    }
    if (frame->hd.type == NGHTTP2_HEADERS && stream != NULL && !stream->is_broken) {
        weir_log_line(&stream->ex->log, WEIR_LOG_ERR, 0,
                      "http2: the response's header could not be sent: %s",
                      nghttp2_strerror(error));
        h2_stream_break(stream, NGHTTP2_INTERNAL_ERROR);
    }
    return 0;
}

static int send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                     size_t len, nghttp2_data_source *source, void *user)
{
    (void) session;
    (void) frame;
    (void) user;
    return h2_data_send(source->ptr, head, len) ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_error(nghttp2_session *session, int error, const char *text, size_t len, void *user)
{
    h2_connection *h2 = user;

    (void) session;
    (void) error;
    weir_log_line(&h2->connection->log, WEIR_LOG_INFO, 0, "http2: %.*s", (int) len, text);
    return 0;
}

/* ---- the session */

static void set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_send);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
    nghttp2_session_callbacks_set_error_callback2(callbacks, on_error);
}

nghttp2_session *h2_session_new(h2_connection *h2)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = h2_option_new();
    nghttp2_session *session = NULL;

    if (option != NULL && nghttp2_session_callbacks_new(&callbacks) == 0) {
        set_callbacks(callbacks);
        if (nghttp2_session_server_new2(&session, callbacks, h2, option) != 0) {
            session = NULL;
        }
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return session;
}

/* At once, before the client has said anything: it waits for both. */
bool h2_session_greet(h2_connection *h2)
{
    const h2_conf *conf = h2->conf;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, (uint32_t) conf->max_concurrent_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t) conf->body_preread_size},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
        /* RFC 9218: what a client says of urgency is kept, its trees of dependencies are not. */
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };

    return nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings, WEIR_COUNT(settings))
               == 0
           && nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0,
                                                    H2_WINDOW_BYTES)
                  == 0;
}
