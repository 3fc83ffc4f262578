#include "modules/http/wire/h2_client.h"

#include "core/base/clock.h"
#include "modules/http/wire/h1_parse.h"
#include "modules/http/wire/h2_guard.h"
#include "modules/http/wire/h2_option.h"
#include "modules/http/wire/h2_text.h"

#define FRAME_HEAD_BYTES 9
/* Queued bytes from which on nghttp2 is asked for no more frames before they are written. */
#define OUT_FULL (4 * WEIR_BLOCK_BYTES)
/* From so many bytes on a frame is no attempt to make work. */
#define DATA_EARNS 4096
#define INTERIM_MAX 64

struct weir_http_h2_client {
    nghttp2_session *session;
    h2_guard guard;
    weir_http_h2_answer *answer; /* of the request under way; NULL: none */
    int32_t id;                  /* its stream; 0: none */

    /* The request's body. */
    weir_chain body; /* not framed yet */
    bool body_ended;
    bool is_deferred; /* nghttp2 was told that there is no more now */
    nghttp2_nv *trailers;
    size_t trailer_count;

    weir_chain out;    /* frames */
    weir_block *block; /* that bytes being taken lie in */
    bool in_trailers;
    size_t section_bytes, hint_bytes;
    unsigned lines;
    const char *section_fault;
    bool is_broken; /* the connection is of no use */
};

/* ---- faults */

/* The first one tells. */
static void fault(weir_http_h2_client *client, const char *why, bool is_malformed)
{
    weir_http_h2_answer *answer = client->answer;

    if (answer != NULL && answer->fault == NULL && !answer->is_ended) {
        answer->fault = why;
        answer->is_malformed = is_malformed;
    }
}

static bool broken(weir_http_h2_client *client, const char *why)
{
    client->is_broken = true;
    fault(client, why, true);
    return false;
}

static bool is_ours(const weir_http_h2_client *client, int32_t id)
{
    return id != 0 && id == client->id && client->answer != NULL;
}

/* ---- field sections of the answer */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    weir_http_h2_client *client = user;
    weir_http_h2_answer *answer = client->answer;

    (void) session;
    if (!is_ours(client, frame->hd.stream_id)) {
        return 0;
    }
    client->in_trailers = answer->head_is_complete;
    client->section_bytes = 0;
    client->lines = 0;
    client->section_fault = NULL;
    if (!client->in_trailers) {
        answer->status = 0;
        answer->content_length = -1;
        weir_http_fields_init(&answer->fields, answer->pool, answer->lines_max);
    }
    return 0;
}

/* 101 has no meaning here (8.6). */
static const char *take_status(weir_http_h2_answer *answer, weir_str value)
{
    return weir_http_parse_status_code(value, &answer->status) && answer->status != 101
               ? NULL
               : "upstream sent invalid \":status\" header";
}

/* A known name is not kept twice. */
static bool keep(weir_http_fields *fields, weir_http_name known, weir_str name, weir_str value)
{
    weir_str text = weir_http_name_text(known);
    weir_str kept;

    return (known != WEIR_HTTP_OTHER || weir_str_copy(fields->pool, name, &text))
           && weir_str_copy(fields->pool, value, &kept)
           && weir_http_fields_add_parsed(fields, known, text, kept);
}

static const char *take_field(weir_http_h2_client *client, weir_str name, weir_str value)
{
    weir_http_h2_answer *answer = client->answer;
    weir_http_name known = weir_http_name_find(name);

    if (!weir_http_is_token(name) || !weir_http_is_field_value(value)) {
        return "upstream sent invalid header";
    }
    if (client->in_trailers) {
        return !answer->wants_trailers || keep(&answer->trailers, known, name, value)
                   ? NULL
                   : "no memory for trailers of upstream";
    }
    if (known == WEIR_HTTP_CONTENT_LENGTH) {
        if (answer->content_length >= 0) {
            return "upstream sent duplicate header line: \"Content-Length\"";
        }
        if (!weir_http_parse_content_length(value, &answer->content_length)) {
            return "upstream sent invalid \"Content-Length\" header";
        }
    }
    return keep(&answer->fields, known, name, value) ? NULL : "no memory for a header of upstream";
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name_text,
                     nghttp2_rcbuf *value_text, uint8_t flags, void *user)
{
    weir_http_h2_client *client = user;
    weir_http_h2_answer *answer = client->answer;
    weir_str name = h2_text(name_text);
    weir_str value = h2_text(value_text);

    (void) session;
    (void) flags;
    if (!is_ours(client, frame->hd.stream_id) || client->section_fault != NULL) {
        return 0;
    }
    client->section_bytes += name.len + value.len + 4;
    if (client->section_bytes + client->hint_bytes > answer->head_max
        || ++client->lines > answer->lines_max) {
        client->section_fault =
            client->in_trailers ? "upstream sent too big trailers" : "upstream sent too big header";
    } else if (name.len != 0 && name.data[0] == ':') {
        client->section_fault =
            client->in_trailers ? "upstream sent invalid trailers" : take_status(answer, value);
    } else {
        client->section_fault = take_field(client, name, value);
    }
    if (client->section_fault == NULL) {
        return 0;
    }
    fault(client, client->section_fault, true);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* What is malformed is no answer (8.1.1): nothing of it is passed on. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                             nghttp2_rcbuf *name, nghttp2_rcbuf *value, uint8_t flags, void *user)
{
    weir_http_h2_client *client = user;

    (void) session;
    (void) name;
    (void) value;
    (void) flags;
    if (is_ours(client, frame->hd.stream_id)) {
        fault(client, "upstream sent invalid header", true);
    }
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error,
                            void *user)
{
    weir_http_h2_client *client = user;

    (void) session;
    (void) error;
    if (is_ours(client, frame->hd.stream_id)) {
        fault(client,
              frame->hd.type == NGHTTP2_HEADERS ? "upstream sent invalid header"
                                                : "upstream sent invalid http2 frame",
              true);
    }
    return 0;
}

/* 1xx: hints are kept, for the owner to see. */
static bool take_interim(weir_http_h2_client *client)
{
    weir_http_h2_answer *answer = client->answer;

    if (++answer->interims > INTERIM_MAX) {
        fault(client, "upstream sent too many interim responses", true);
        return false;
    }
    if (answer->status != 103) {
        return true;
    }
    client->hint_bytes += client->section_bytes;
    if (answer->hints.pool == NULL) {
        weir_http_fields_init(&answer->hints, answer->pool, answer->lines_max);
    }
    for (size_t i = 0; i < answer->fields.count; i++) {
        const weir_http_field *field = &answer->fields.items[i];

        if (!weir_http_fields_add_parsed(&answer->hints, field->name, field->text, field->value)) {
            fault(client, "no memory for a header of upstream", true);
            return false;
        }
    }
    return true;
}

static void end_section(weir_http_h2_client *client, const nghttp2_frame *frame)
{
    weir_http_h2_answer *answer = client->answer;
    bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

    if (client->section_fault != NULL || answer->fault != NULL) {
        return;
    }
    h2_guard_head_taken(&client->guard, frame->hd.length);
    if (!client->in_trailers) {
        if (answer->status < 200) {
            (void) take_interim(client);
            return;
        }
        client->hint_bytes = 0;
        answer->head_is_complete = true;
        answer->ends_with_head = ends;
    }
    answer->is_ended = ends;
}

/* ---- frames of the origin */

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    weir_http_h2_client *client = user;

    (void) session;
    if (!is_ours(client, frame->hd.stream_id)) {
        return 0;
    }
    if (frame->hd.type == NGHTTP2_HEADERS) {
        end_section(client, frame);
    } else if (frame->hd.type == NGHTTP2_DATA && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        client->answer->is_ended = client->answer->fault == NULL;
    }
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t len, void *user)
{
    weir_http_h2_client *client = user;

    if (!is_ours(client, id) || client->answer->fault != NULL) {
        return nghttp2_session_consume(session, id, len);
    }
    if ((flags & NGHTTP2_FLAG_PADDED) != 0) {
        /* That costs nothing if there are bytes beside. */
        h2_guard_earn(&client->guard, H2_EARN_BODY);
    }
    return weir_chain_add_piece(&client->answer->body, client->block, (const char *) data, len)
               ? 0
               : NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* Whoever has ended it. */
static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error_code, void *user)
{
    weir_http_h2_client *client = user;
    weir_http_h2_answer *answer = client->answer;

    (void) session;
    if (id != client->id) {
        return 0;
    }
    client->id = 0;
    weir_chain_clear(&client->body);
    if (answer != NULL && !answer->is_ended && answer->fault == NULL) {
        answer->error_code = error_code;
        answer->is_unprocessed =
            error_code == NGHTTP2_REFUSED_STREAM && answer->status == 0 && answer->interims == 0;
        fault(client, "upstream reset the http2 stream", error_code == NGHTTP2_PROTOCOL_ERROR);
    }
    return 0;
}

static int on_error(nghttp2_session *session, int error, const char *text, size_t len, void *user)
{
    const weir_http_h2_client *client = user;

    (void) session;
    (void) error;
    if (client->answer != NULL && client->answer->log != NULL) {
        weir_log_line(client->answer->log, WEIR_LOG_INFO, 0, "http2 of upstream: %.*s", (int) len,
                      text);
    }
    return 0;
}

/* ---- the request's body */

/* As much as one frame is to have; the bytes themselves are moved by send_data(). */
static ssize_t data_read(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t length,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    weir_http_h2_client *client = user;
    size_t len = client->body.len < length ? (size_t) client->body.len : length;

    (void) buffer;
    (void) source;
    if (client->out.len >= OUT_FULL) {
        return NGHTTP2_ERR_PAUSE;
    }
    if (len == 0 && !client->body_ended) {
        client->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (len == client->body.len || len >= DATA_EARNS) {
        /* The updates of windows that it leads to are free. */
        h2_guard_earn(&client->guard, H2_EARN_DATA);
    }
    if (client->body_ended && len == client->body.len) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (client->trailer_count != 0) {
            if (nghttp2_submit_trailer(session, id, client->trailers, client->trailer_count) != 0) {
                return NGHTTP2_ERR_CALLBACK_FAILURE;
            }
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        }
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    return (ssize_t) len;
}

static int send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                     size_t len, nghttp2_data_source *source, void *user)
{
    weir_http_h2_client *client = user;

    (void) session;
    (void) frame;
    (void) source;
    return weir_chain_add_copy(&client->out, weir_str_of((const char *) head, FRAME_HEAD_BYTES))
                   && weir_chain_move(&client->out, &client->body, len)
               ? 0
               : NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* ---- the session */

static void client_free(void *subject)
{
    weir_http_h2_client *client = subject;

    nghttp2_session_del(client->session);
    weir_chain_clear(&client->body);
    weir_chain_clear(&client->out);
}

static nghttp2_session *session_new(weir_http_h2_client *client)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = h2_option_new();
    nghttp2_session *session = NULL;

    if (option != NULL && nghttp2_session_callbacks_new(&callbacks) == 0) {
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
        nghttp2_session_callbacks_set_on_header_callback2(callbacks, on_header);
        nghttp2_session_callbacks_set_on_invalid_header_callback2(callbacks, on_invalid_header);
        nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
        nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
        nghttp2_session_callbacks_set_error_callback2(callbacks, on_error);
        if (nghttp2_session_client_new2(&session, callbacks, client, option) != 0) {
            session = NULL;
        }
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return session;
}

/*
 * The connection's window bounds the one answer that there is at a time; its stream's is as wide as can be.  Of two equal
 * ones, padding has nghttp2 open that of the connection first, and what goes beyond a stream's is reset, but given out.
 */
static bool greet(weir_http_h2_client *client, uint32_t window)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, INT32_MAX},
    };

    return nghttp2_submit_settings(client->session, NGHTTP2_FLAG_NONE, settings,
                                   WEIR_COUNT(settings))
               == 0
           && nghttp2_session_set_local_window_size(client->session, NGHTTP2_FLAG_NONE, 0,
                                                    (int32_t) window)
                  == 0;
}

weir_http_h2_client *weir_http_h2_client_new(weir_pool *pool, uint32_t window)
{
    weir_http_h2_client *client = WEIR_NEW(pool, weir_http_h2_client);

    if (client == NULL || weir_pool_on_free(pool, client_free, client) == NULL) {
        return NULL;
    }
    h2_guard_begin_server(&client->guard, weir_clock_now()->monotonic_ms);
    client->session = session_new(client);
    return client->session != NULL && greet(client, window) ? client : NULL;
}

bool weir_http_h2_client_may_begin(const weir_http_h2_client *client)
{
    return !client->is_broken && client->answer == NULL
           && nghttp2_session_check_request_allowed(client->session) != 0;
}

/* ---- requests */

/* nghttp2 copies both, and puts names into lower case. */
static nghttp2_nv nv_of(const weir_http_h2_field *field)
{
    return (nghttp2_nv){
        .name = (uint8_t *) (uintptr_t) field->name.data,
        .namelen = field->name.len,
        .value = (uint8_t *) (uintptr_t) field->value.data,
        .valuelen = field->value.len,
    };
}

static nghttp2_nv *list_of(weir_pool *pool, const weir_http_h2_field *fields, size_t count)
{
    nghttp2_nv *list = WEIR_NEW_ARRAY(pool, nghttp2_nv, count);

    for (size_t i = 0; list != NULL && i < count; i++) {
        list[i] = nv_of(&fields[i]);
    }
    return list;
}

bool weir_http_h2_client_begin(weir_http_h2_client *client, weir_http_h2_answer *answer,
                               const weir_http_h2_field *fields, size_t count, bool has_body)
{
    nghttp2_data_provider provider = {.read_callback = data_read};
    nghttp2_nv *list;
    int32_t id;

    if (!weir_http_h2_client_may_begin(client)
        || (list = list_of(answer->pool, fields, count)) == NULL) {
        return false;
    }
    id = nghttp2_submit_request(client->session, NULL, list, count, has_body ? &provider : NULL,
                                NULL);
    if (id <= 0) {
        return false;
    }
    answer->content_length = -1;
    if (answer->wants_trailers) {
        weir_http_fields_init(&answer->trailers, answer->pool, answer->lines_max);
    }
    h2_guard_earn(&client->guard, H2_EARN_RESPONSE);
    client->answer = answer;
    client->id = id;
    client->body_ended = !has_body;
    client->is_deferred = false;
    client->trailer_count = 0;
    client->hint_bytes = 0;
    return true;
}

bool weir_http_h2_client_send(weir_http_h2_client *client, weir_chain *body, bool ended,
                              const weir_http_h2_field *trailers, size_t count)
{
    if (client->id == 0) {
        /* The answer came first, or none will: nobody wants it. */
        weir_chain_clear(body);
        return true;
    }
    if (count != 0) {
        client->trailers = list_of(client->answer->pool, trailers, count);
        if (client->trailers == NULL) {
            return false;
        }
        client->trailer_count = count;
    }
    weir_chain_append(&client->body, body);
    client->body_ended = ended;
    if (client->is_deferred) {
        client->is_deferred = false;
        (void) nghttp2_session_resume_data(client->session, client->id);
    }
    return true;
}

/* Has nghttp2 make frames, as long as there is room for them. */
static bool gather(weir_http_h2_client *client)
{
    while (client->out.len < OUT_FULL) {
        const uint8_t *data;
        ssize_t len = nghttp2_session_mem_send(client->session, &data);

        if (len < 0) {
            return broken(client, "no http2 frame could be made");
        }
        /* DATA frames are in the queue already when it says 0. */
        if (len == 0) {
            break;
        }
        if (!weir_chain_add_copy(&client->out, weir_str_of((const char *) data, (size_t) len))) {
            return broken(client, "no memory for an http2 frame");
        }
    }
    return true;
}

weir_result weir_http_h2_client_push(weir_http_h2_client *client, weir_chain *out)
{
    bool is_full;

    if (!client->is_broken && !gather(client)) {
        weir_chain_clear(&client->out);
    }
    is_full = client->out.len >= OUT_FULL;
    weir_chain_append(out, &client->out);
    if (client->is_broken) {
        return WEIR_FAIL;
    }
    return is_full || !weir_chain_is_empty(&client->body) ? WEIR_WAIT : WEIR_OK;
}

/* ---- answers */

static const char *guard_fault(h2_guard_verdict verdict)
{
    switch (verdict) {
    case H2_GUARD_FINE:
        break;
    case H2_GUARD_FLOOD:
        return "upstream floods with http2 frames";
    case H2_GUARD_TOO_LARGE:
        return "upstream sent too big header";
    case H2_GUARD_FRAME_SIZE:
        return "upstream sent too large http2 frame";
    case H2_GUARD_ENDED:
        return "upstream sent DATA on a closed http2 stream";
    case H2_GUARD_PRIORITY:
        return "upstream sent invalid http2 PRIORITY";
    }
    return NULL;
}

bool weir_http_h2_client_take(weir_http_h2_client *client, weir_str bytes, weir_block *block,
                              uint64_t now_ms)
{
    /* Without a request there is little that an origin may say. */
    size_t head_max = client->answer != NULL ? client->answer->head_max : WEIR_BLOCK_BYTES;
    const char *why;
    ssize_t taken;

    if (client->is_broken) {
        return false;
    }
    why = guard_fault(h2_guard_look(&client->guard, bytes, head_max, now_ms));
    if (why != NULL) {
        return broken(client, why);
    }
    client->block = block;
    taken = nghttp2_session_mem_recv(client->session, (const uint8_t *) bytes.data, bytes.len);
    client->block = NULL;
    if (taken < 0) {
        return broken(client, taken == NGHTTP2_ERR_NOMEM || taken == NGHTTP2_ERR_CALLBACK_FAILURE
                                  ? "no memory for an answer of upstream"
                                  : "upstream broke the rules of http2");
    }
    /* Streams that are reset are closed once that is on its way. */
    if (!gather(client)) {
        return false;
    }
    if (nghttp2_session_want_read(client->session) == 0
        && nghttp2_session_want_write(client->session) == 0) {
        return broken(client, "upstream broke the rules of http2");
    }
    return true;
}

void weir_http_h2_client_took(weir_http_h2_client *client, uint64_t bytes)
{
    if (client->is_broken || bytes == 0) {
        return;
    }
    if (client->id != 0) {
        (void) nghttp2_session_consume(client->session, client->id, (size_t) bytes);
    } else {
        (void) nghttp2_session_consume_connection(client->session, (size_t) bytes);
    }
}

void weir_http_h2_client_end(weir_http_h2_client *client)
{
    weir_http_h2_answer *answer = client->answer;

    client->answer = NULL;
    weir_chain_clear(&client->body);
    if (answer == NULL) {
        return;
    }
    weir_http_h2_client_took(client, answer->body.len);
    weir_chain_clear(&answer->body);
    if (client->id != 0 && !client->is_broken) {
        (void) nghttp2_submit_rst_stream(client->session, NGHTTP2_FLAG_NONE, client->id,
                                         answer->is_ended ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
    }
    client->id = 0;
}

const char *weir_http_h2_error_name(uint32_t code)
{
    return nghttp2_http2_strerror(code);
}
