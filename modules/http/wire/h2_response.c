#include "core/base/clock.h"

#include <unistd.h>

#include "modules/http/wire/h2_internal.h"

/*
 * Responses: nghttp2 makes frames of heads, and asks for bodies when the client's windows let them out; then
 * they are pulled.
 */

/* Beside the fields that a response has: status, Server, Date, Content-Type, Content-Length, Last-Modified. */
#define FIELDS_OF_OURS 6
/* A smaller part of a block is copied: a queue of such would keep many blocks. */
#define SPAN_COPY_MAX 4096
/* Up to so many streams of a connection may keep a block each. */
#define STREAMS_FEW 16

/* ---- heads */

static void add(nghttp2_nv *fields, size_t *count, weir_str name, weir_str value)
{
    /* Both are copied, and the name is put into lower case, by nghttp2. */
    fields[(*count)++] = (nghttp2_nv){
        .name = (uint8_t *) (uintptr_t) name.data,
        .namelen = name.len,
        .value = (uint8_t *) (uintptr_t) value.data,
        .valuelen = value.len,
    };
}

static void add_fields(nghttp2_nv *list, size_t *count, const weir_http_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        const weir_http_field *field = &fields->items[i];

        /* The length is said by this wire. */
        if (!field->is_removed && !weir_http_name_is_of_connection(field->name)
            && field->name != WEIR_HTTP_CONTENT_LENGTH) {
            add(list, count, field->text, field->value);
        }
    }
}

typedef struct {
    char status[4];
    char length[24];
    char date[30];
} head_texts;

static weir_str status_text(head_texts *texts, unsigned status)
{
    weir_builder text;

    weir_builder_over(&text, texts->status, sizeof(texts->status));
    weir_builder_add_padded(&text, status, 3);
    return weir_builder_cut(&text);
}

static size_t make_head(weir_http_exchange *ex, nghttp2_nv *fields, head_texts *texts)
{
    const weir_http_response *response = &ex->response;
    size_t count = 0;

    add(fields, &count, WEIR_STR(":status"), status_text(texts, response->status));
    if (!response->server_is_theirs) {
        weir_str token = weir_http_server_token(ex);

        if (token.len != 0) {
            add(fields, &count, WEIR_STR("server"), token);
        }
    }
    if (!response->date_is_theirs) {
        add(fields, &count, WEIR_STR("date"), weir_clock_http_text());
    }
    if (response->content_type.len != 0) {
        add(fields, &count, WEIR_STR("content-type"), response->content_type);
    }
    if (response->content_length >= 0 && response->status != 204 && !response->is_upgrade) {
        weir_builder text;

        weir_builder_over(&text, texts->length, sizeof(texts->length));
        weir_builder_add_uint(&text, (uint64_t) response->content_length);
        add(fields, &count, WEIR_STR("content-length"), weir_builder_cut(&text));
    }
    if (response->last_modified_s >= 0
        && weir_http_fields_find(&response->fields, WEIR_HTTP_LAST_MODIFIED) == NULL) {
        weir_clock_format_http(response->last_modified_s, texts->date);
        add(fields, &count, WEIR_STR("last-modified"), weir_str_of(texts->date, 29));
    }
    add_fields(fields, &count, &response->fields);
    return count;
}

bool h2_send_interim(weir_http_exchange *ex, unsigned status, const weir_http_fields *fields)
{
    h2_stream *stream = ex->wire_state;
    size_t room = 1 + (fields == NULL ? 0 : fields->count);
    nghttp2_nv *list = WEIR_NEW_ARRAY(ex->pool, nghttp2_nv, room);
    head_texts texts;
    size_t count = 0;

    if (list == NULL || stream->is_closed || stream->is_broken) {
        return false;
    }
    add(list, &count, WEIR_STR(":status"), status_text(&texts, status));
    if (fields != NULL) {
        add_fields(list, &count, fields);
    }
    h2_schedule(stream->h2);
    return nghttp2_submit_headers(stream->h2->session, NGHTTP2_FLAG_NONE, stream->id, NULL, list,
                                  count, NULL)
           == 0;
}

/* ---- bodies */

/* Bytes that may go out now; 0: after a pause, when the stream goes on by itself. */
static uint64_t rate_allows(h2_stream *stream)
{
    uint64_t pause_ms;
    uint64_t allowed = weir_http_rate_allows(stream->ex, &pause_ms);

    if (allowed != 0) {
        return allowed;
    }
    stream->is_rate_paused =
        weir_timer_set(stream->h2->connection->loop, &stream->rate_timer, pause_ms);
    return stream->is_rate_paused ? 0 : UINT64_MAX;
}

/* False: the source has failed, or broken its promise. */
static bool pull(h2_stream *stream, size_t limit, bool *waits)
{
    weir_http_exchange *ex = stream->ex;
    bool ended = false;

    *waits = false;
    while (weir_chain_is_empty(&stream->pulled) && !stream->pull_ended && !*waits) {
        switch (weir_http_pull(ex, &stream->pulled, limit, &ended)) {
        case WEIR_OK:
            stream->pull_ended = ended;
            break;
        case WEIR_WAIT:
            *waits = weir_chain_is_empty(&stream->pulled);
            break;
        case WEIR_FAIL:
            return false;
        }
        if (weir_chain_is_empty(&stream->pulled) && !ended && !*waits) {
            /* A filter that keeps what it was given. */
            continue;
        }
        break;
    }
    if (stream->left >= 0) {
        uint64_t here = stream->pulled.len;
        uint64_t left = (uint64_t) stream->left;

        if (here > left || (stream->pull_ended && here < left)) {
            weir_log_line(&ex->log, WEIR_LOG_ERR, 0,
                          "a response is %s than its Content-Length said",
                          here > left ? "longer" : "shorter");
            return false;
        }
    }
    return true;
}

/* Nothing can be sent now: nghttp2 asks again after h2_wake(). */
static ssize_t defer(h2_stream *stream)
{
    stream->is_deferred = true;
    stream->send_deadline_ms = 0;
    return NGHTTP2_ERR_DEFERRED;
}

/* The response ends with them, if there are any that have a place here. */
static bool submit_trailer(h2_stream *stream, uint32_t *flags)
{
    const weir_http_fields *trailers = &stream->ex->response.trailers;
    nghttp2_nv *list = WEIR_NEW_ARRAY(stream->ex->pool, nghttp2_nv, trailers->count);
    size_t count = 0;

    if (list == NULL) {
        return false;
    }
    add_fields(list, &count, trailers);
    if (count == 0) {
        return true;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    return nghttp2_submit_trailer(stream->h2->session, stream->id, list, count) == 0;
}

/*
 * By whole blocks while windows are wide.  What a narrow one does not let out, or what waits for its turn among many
 * streams, is not kept here.
 */
static bool takes_block(const h2_stream *stream, size_t length, uint64_t allowed)
{
    return length >= WEIR_BLOCK_BYTES && allowed > WEIR_BLOCK_BYTES
           && stream->h2->stream_count <= STREAMS_FEW;
}

/* As much as one frame is to have; the bytes themselves are asked for by h2_data_send(). */
static ssize_t data_read(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t length,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    h2_stream *stream = source->ptr;
    const h2_conf *conf = weir_http_settings(stream->ex, &weir_http_v2);
    uint64_t most = length < conf->chunk_size ? length : conf->chunk_size;
    uint64_t allowed = rate_allows(stream);
    bool waits;

    (void) session;
    (void) id;
    (void) buffer;
    (void) user;
    if (stream->h2->out.len >= H2_OUT_FULL) {
        /* One call of nghttp2's makes all DATA frames that the windows let out. */
        return NGHTTP2_ERR_PAUSE;
    }
    if (allowed == 0) {
        return defer(stream);
    }
    most = allowed < most ? allowed : most;
    if (!pull(stream, takes_block(stream, length, allowed) ? WEIR_BLOCK_BYTES : (size_t) most,
              &waits)) {
        stream->is_broken = true;
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    if (waits) {
        return defer(stream);
    }

    if (stream->pulled.len <= most) {
        h2_guard_earn(&stream->h2->guard, H2_EARN_DATA);
        most = stream->pulled.len;
        if (stream->pull_ended) {
            *flags |= NGHTTP2_DATA_FLAG_EOF;
        }
    } else if (most == conf->chunk_size || most >= SPAN_COPY_MAX) {
        h2_guard_earn(&stream->h2->guard, H2_EARN_DATA);
    }
    if ((*flags & NGHTTP2_DATA_FLAG_EOF) != 0 && stream->ex->response.trailers.count != 0) {
        if (!submit_trailer(stream, flags)) {
            stream->is_broken = true;
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    return (ssize_t) most;
}

/* The bytes of a file, read into blocks: the queue outlives the exchange that has the file open. */
static bool queue_file(h2_connection *h2, weir_chain *from)
{
    const weir_span *span = from->first;
    weir_block *block = weir_block_get();
    ssize_t got;
    bool is_added;

    if (block == NULL) {
        return false;
    }
    got = pread(span->fd, block->data, span->len < WEIR_BLOCK_BYTES ? span->len : WEIR_BLOCK_BYTES,
                span->offset);
    is_added =
        got > 0
        && (got < SPAN_COPY_MAX ? h2_queue_copy(h2, weir_str_of(block->data, (size_t) got))
                                : weir_chain_add_block(&h2->out, block, block->data, (size_t) got));
    weir_block_unref(block);
    if (is_added) {
        weir_chain_consume(from, (uint64_t) got);
    }
    return is_added;
}

static bool queue(h2_connection *h2, weir_chain *from)
{
    while (!weir_chain_is_empty(from)) {
        const weir_span *span = from->first;
        bool is_added;

        if (span->kind == WEIR_SPAN_FILE) {
            is_added = queue_file(h2, from);
        } else if (span->kind == WEIR_SPAN_BLOCK && span->len > SPAN_COPY_MAX) {
            is_added = weir_chain_move(&h2->out, from, span->len);
        } else {
            is_added = h2_queue_copy(h2, weir_str_of(span->data, span->len));
            if (is_added) {
                weir_chain_consume(from, span->len);
            }
        }
        if (!is_added) {
            return false;
        }
    }
    return true;
}

bool h2_data_send(h2_stream *stream, const uint8_t *head, size_t len)
{
    h2_connection *h2 = stream->h2;
    weir_chain frame = {0};

    if (!h2_queue_copy(h2, weir_str_of((const char *) head, H2_FRAME_HEAD_BYTES))
        || !weir_chain_move(&frame, &stream->pulled, len) || !queue(h2, &frame)) {
        weir_chain_clear(&frame);
        weir_log_line(&stream->ex->log, WEIR_LOG_ALERT, 0,
                      "a response's body cannot be read: the http2 connection ends");
        /* Half a frame may stand there: nothing can follow it. */
        h2->is_torn = true;
        return false;
    }
    if (stream->left >= 0) {
        stream->left -= (int64_t) len;
    }
    return true;
}

void h2_frame_sent(h2_stream *stream, const nghttp2_frame *frame)
{
    weir_http_exchange *ex = stream->ex;
    uint64_t bytes = frame->hd.length + H2_FRAME_HEAD_BYTES;

    ex->bytes_sent += bytes;
    ex->response_head_bytes += frame->hd.type == NGHTTP2_HEADERS ? bytes : H2_FRAME_HEAD_BYTES;
    stream->send_deadline_ms =
        ex->response.is_upgrade ? 0 : weir_clock_now()->monotonic_ms + ex->core->send_timeout_ms;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        h2_guard_earn(&stream->h2->guard, H2_EARN_RESPONSE);
        ex->response.body_ended = true;
        stream->send_deadline_ms = 0;
        weir_http_exchange_end(ex);
    }
}

/* ---- the wire's part */

void h2_respond(weir_http_exchange *ex)
{
    h2_stream *stream = ex->wire_state;
    h2_connection *h2 = stream->h2;
    weir_http_response *response = &ex->response;
    nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = data_read};
    bool has_body = response->is_upgrade
                    || (!response->has_no_body
                        && (response->content_length != 0 || response->trailers.count != 0));
    nghttp2_nv *fields =
        WEIR_NEW_ARRAY(ex->pool, nghttp2_nv, response->fields.count + FIELDS_OF_OURS);
    head_texts texts;

    /* An origin's 101 is a CONNECT that has succeeded (RFC 8441, 5), to the access log, too. */
    if (response->is_upgrade) {
        response->status = 200;
    }
    /* They come of what is behind the body's last byte, which a length would leave unread. */
    if (response->needs_trailers) {
        response->content_length = -1;
        has_body = true;
    }
    if (fields == NULL || stream->is_closed || stream->is_broken
        || (response->is_upgrade && (!stream->is_tunnel || !h2_tunnel_open(stream, &provider)))
        || nghttp2_submit_response(h2->session, stream->id, fields, make_head(ex, fields, &texts),
                                   has_body ? &provider : NULL)
               != 0) {
        h2_abort(ex);
        return;
    }
    if (response->is_upgrade) {
        ex->response.head_is_sent = true;
        ex->upgraded(ex);
        h2_schedule(h2);
        return;
    }
    if (!response->has_no_body) {
        stream->left = response->content_length;
    }
    ex->response.head_is_sent = true;
    stream->send_deadline_ms = weir_clock_now()->monotonic_ms + ex->core->send_timeout_ms;
    h2_check_at(h2, stream->send_deadline_ms);
    h2_schedule(h2);
}

void h2_wake(weir_http_exchange *ex)
{
    h2_stream *stream = ex->wire_state;

    if (!stream->is_deferred || stream->is_rate_paused || stream->is_closed) {
        return;
    }
    stream->is_deferred = false;
    stream->send_deadline_ms = weir_clock_now()->monotonic_ms + ex->core->send_timeout_ms;
    h2_check_at(stream->h2, stream->send_deadline_ms);
    (void) nghttp2_session_resume_data(stream->h2->session, stream->id);
    h2_schedule(stream->h2);
}
