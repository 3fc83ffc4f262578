#include <stdlib.h>
#include <sys/socket.h>

#include "core/base/clock.h"
#include "core/process/worker.h"
#include "modules/http/engine/core_conf.h"
#include "modules/http/wire/chunked.h"
#include "modules/http/wire/h1_parse.h"

/*
 * HTTP/1 toward clients (RFC 9112).
 *
 *     idle -> head -> exchange -> idle       keep-alive
 *                              -> discard -> idle   the rest of a body that nobody wanted
 *                              -> linger -> closed  our side is shut, theirs is read until it ends
 *                              -> tunnel    the connection was taken over
 *
 * A head is read into a block, and stays there as slices for as long as its exchange lives. Between exchanges a
 * connection holds no block, unless the next request has begun to arrive.
 */

/* The body's framing that was agreed on. */
typedef enum { BODY_NONE, BODY_LENGTH, BODY_CHUNKED } body_framing;

/* How the end of the response shows. */
typedef enum { END_NONE, END_LENGTH, END_CHUNKED, END_CLOSE } response_framing;

typedef struct {
    weir_http_connection client;
    weir_connection *connection;
    weir_http_exchange *ex; /* NULL between exchanges */

    /* What is read: `data` is the block's, or of a larger piece when a head needs it. */
    weir_block *block;
    char *data;
    size_t size;
    size_t start, end; /* bytes not yet taken */
    size_t scanned;    /* up to here no line ends */
    bool data_is_large;
    weir_block *head_block; /* keeps the running exchange's head */
    char *head_large;

    size_t head_bytes; /* of lines taken so far */
    bool has_request_line;
    bool skips_empty_line;
    bool is_pipelined; /* the request came behind the one before */

    body_framing body;
    uint64_t body_left;
    weir_http_chunked chunked;
    char no_trailer[2];  /* room for the end of a trailer section without fields */
    size_t discard_left; /* bytes that may be read of a body that nobody wanted */
    bool wants_body;     /* someone waits for body_readable */

    response_framing framing;
    uint64_t response_left; /* END_LENGTH */
    weir_chain out;         /* framed, not yet written */
    bool pull_ended;
    bool is_pumping;
    bool is_rate_paused;

    uint64_t deadline_ms; /* of what is waited for now; 0: nothing */
    uint64_t linger_until_ms;
    weir_task next; /* goes on with a pipelined request */
} h1_connection;

/* What one pull may bring. */
#define PULL_BYTES (4 * WEIR_BLOCK_BYTES)
/* What most heads of responses fit in. */
#define HEAD_BYTES 512
/* Below this much room a block is not read into any more. */
#define ROOM_MIN 2048
/* A body that nobody wanted is read to its end up to this much, to keep the connection. */
#define DISCARD_BYTES (1024 * 1024)
/* Reads of what nobody wants in one turn of the loop. */
#define LINGER_READS 64

static void h1_head_readable(weir_connection *connection);
static void h1_idle_timeout(weir_connection *connection);
static void h1_head_timeout(weir_connection *connection);
static void h1_idle_readable(weir_connection *connection);
static void h1_exchange_readable(weir_connection *connection);
static void h1_exchange_writable(weir_connection *connection);
static void h1_exchange_timeout(weir_connection *connection);
static void h1_exchange_hangup(weir_connection *connection);
static void h1_discard_readable(weir_connection *connection);
static void h1_discard_timeout(weir_connection *connection);
static void h1_linger_readable(weir_connection *connection);
static void h1_linger_timeout(weir_connection *connection);
static void h1_closing_writable(weir_connection *connection);

/* idle -> head, closed */
static const weir_connection_state h1_idle = {
    .name = "idle",
    .on_readable = h1_idle_readable,
    .on_timeout = h1_idle_timeout,
};

/* head -> exchange, closed */
static const weir_connection_state h1_head = {
    .name = "head",
    .on_readable = h1_head_readable,
    .on_timeout = h1_head_timeout, /* 408 (RFC 9110, 15.5.9) */
};

/* exchange -> idle, discard, linger, closing, closed */
static const weir_connection_state h1_exchange = {
    .name = "exchange",
    .on_readable = h1_exchange_readable,
    .on_writable = h1_exchange_writable,
    .on_timeout = h1_exchange_timeout,
    .on_hangup = h1_exchange_hangup,
};

/* discard -> idle, linger, closed */
static const weir_connection_state h1_discard = {
    .name = "discard",
    .on_readable = h1_discard_readable,
    .on_timeout = h1_discard_timeout,
};

/* linger -> closed */
static const weir_connection_state h1_linger = {
    .name = "linger",
    .on_readable = h1_linger_readable,
    .on_timeout = h1_linger_timeout,
};

/* closing (our end of data is not out yet) -> closed */
static const weir_connection_state h1_closing = {
    .name = "closing",
    .on_writable = h1_closing_writable,
    .on_timeout = h1_linger_timeout,
};

/* ---- buffers */

static void buffer_release(h1_connection *h1)
{
    if (h1->data_is_large) {
        free(h1->data);
    } else {
        weir_block_unref(h1->block);
    }
    h1->block = NULL;
    h1->data = NULL;
    h1->data_is_large = false;
    h1->size = h1->start = h1->end = h1->scanned = 0;
}

static bool buffer_open(h1_connection *h1)
{
    if (h1->data != NULL) {
        return true;
    }
    h1->block = weir_block_get();
    if (h1->block == NULL) {
        weir_log_line(&h1->connection->log, WEIR_LOG_CRIT, 0, "no memory for a request");
        return false;
    }
    h1->data = h1->block->data;
    h1->size = WEIR_BLOCK_BYTES;
    return true;
}

static void move_slice(weir_str *slice, const char *from, size_t len, const char *to)
{
    uintptr_t at = (uintptr_t) slice->data;

    if (at >= (uintptr_t) from && at < (uintptr_t) from + len) {
        slice->data = to + (at - (uintptr_t) from);
    }
}

/* The head so far has moved: what was parsed of it moves along. */
static void head_moved(weir_http_exchange *ex, const char *from, size_t len, const char *to)
{
    weir_http_request *request = &ex->request;

    move_slice(&request->line, from, len, to);
    move_slice(&request->method_text, from, len, to);
    move_slice(&request->target, from, len, to);
    move_slice(&request->host_port, from, len, to);
    for (size_t i = 0; i < request->fields.count; i++) {
        move_slice(&request->fields.items[i].text, from, len, to);
        move_slice(&request->fields.items[i].value, from, len, to);
    }
}

/* All of a head lies in one piece; it does not fit any more, so the piece becomes larger. */
static bool head_grow(h1_connection *h1, size_t limit)
{
    size_t head = h1->end - (h1->start - h1->head_bytes);
    size_t size = head * 2 < WEIR_BLOCK_BYTES ? WEIR_BLOCK_BYTES : head * 2;
    const char *from = h1->data + (h1->start - h1->head_bytes);
    size_t start = h1->head_bytes;
    size_t scanned = h1->scanned - (h1->start - h1->head_bytes);
    weir_block *block = NULL;
    char *data;

    if (size > limit + WEIR_BLOCK_BYTES) {
        size = limit + WEIR_BLOCK_BYTES;
    }
    if (size <= WEIR_BLOCK_BYTES) {
        block = weir_block_get();
        data = block == NULL ? NULL : block->data;
        size = WEIR_BLOCK_BYTES;
    } else {
        data = malloc(size);
    }
    if (data == NULL) {
        weir_log_line(&h1->connection->log, WEIR_LOG_CRIT, 0, "no memory for a request");
        return false;
    }

    memcpy(data, from, head);
    if (h1->ex != NULL) {
        head_moved(h1->ex, from, head, data);
    }
    buffer_release(h1);
    h1->block = block;
    h1->data = data;
    h1->data_is_large = block == NULL;
    h1->size = size;
    h1->start = start;
    h1->end = head;
    h1->scanned = scanned;
    return true;
}

/*
 * Reads into the rest of the buffer. OK with *len 0: the client's end.  A block's worth at most, so that what comes
 * behind the end of a large head fits into a block.
 */
static weir_result buffer_fill(h1_connection *h1, size_t *len)
{
    size_t room = h1->size - h1->end;
    weir_result result = weir_connection_read(
        h1->connection, h1->data + h1->end, room < WEIR_BLOCK_BYTES ? room : WEIR_BLOCK_BYTES, len);

    if (result == WEIR_OK) {
        h1->end += *len;
    }
    return result;
}

/* ---- deadlines: a timer that is moved as seldom as can be */

static void wait_for(h1_connection *h1, uint64_t from_now_ms)
{
    h1->deadline_ms = weir_clock_now()->monotonic_ms + from_now_ms;
    weir_connection_set_timeout(h1->connection, from_now_ms);
}

/* The timer may still run: its handler looks at deadline_ms. */
static void wait_for_nothing(h1_connection *h1)
{
    h1->deadline_ms = 0;
}

static bool deadline_has_passed(h1_connection *h1)
{
    uint64_t now = weir_clock_now()->monotonic_ms;

    if (h1->deadline_ms == 0) {
        return false;
    }
    if (now < h1->deadline_ms) {
        weir_connection_set_timeout(h1->connection, h1->deadline_ms - now);
        return false;
    }
    return true;
}

/* ---- the end of a connection */

/* Gives back what is held; the connection's pool does it again, harmlessly. */
static void h1_release(void *subject)
{
    h1_connection *h1 = subject;

    buffer_release(h1);
    weir_block_unref(h1->head_block);
    h1->head_block = NULL;
    free(h1->head_large);
    h1->head_large = NULL;
    weir_chain_clear(&h1->out);
    weir_task_cancel(&h1->next);
}

static void h1_close(h1_connection *h1)
{
    h1_release(h1);
    weir_connection_close(h1->connection);
}

static void h1_close_timed_out(h1_connection *h1)
{
    h1_release(h1);
    if (h1->client.server->core->reset_timedout_connection) {
        weir_connection_reset(h1->connection);
    } else {
        weir_connection_close(h1->connection);
    }
}

/* Our side ends; what the client still sends is read and dropped, so that no reset eats the response. */
static void h1_end_connection(h1_connection *h1, bool lingers)
{
    const weir_http_core_conf *core = h1->client.server->core;
    weir_result result;

    lingers = lingers && core->lingering_close != WEIR_HTTP_LINGER_OFF;
    if (!lingers && h1->connection->tls == NULL) {
        /* Closing says it all: one call less. */
        h1_close(h1);
        return;
    }

    result = weir_connection_shut(h1->connection);
    if (result == WEIR_FAIL) {
        h1_close(h1);
        return;
    }
    if (result == WEIR_WAIT) {
        h1->linger_until_ms = lingers ? 1 : 0;
        weir_connection_enter(h1->connection, &h1_closing);
        wait_for(h1, core->send_timeout_ms);
        return;
    }
    if (!lingers) {
        h1_close(h1);
        return;
    }

    buffer_release(h1);
    h1->linger_until_ms = weir_clock_now()->monotonic_ms + core->lingering_time_ms;
    wait_for(h1, core->lingering_timeout_ms);
    weir_connection_enter(h1->connection, &h1_linger);
    if (h1->connection->hangup) {
        h1_linger_readable(h1->connection);
    }
}

static void h1_closing_writable(weir_connection *connection)
{
    h1_connection *h1 = connection->owner;

    h1_end_connection(h1, h1->linger_until_ms != 0);
}

static void h1_linger_readable(weir_connection *connection)
{
    h1_connection *h1 = connection->owner;
    char dropped[4096];
    size_t len;

    for (unsigned reads = 0;; reads++) {
        if (reads == LINGER_READS) {
            /* A fast sender must not hold up everybody else: enters again, to go on later. */
            if (weir_clock_now()->monotonic_ms >= h1->linger_until_ms) {
                h1_close(h1);
            } else {
                weir_connection_enter(connection, &h1_linger);
            }
            return;
        }
        switch (weir_connection_read(connection, dropped, sizeof(dropped), &len)) {
        case WEIR_OK:
            if (len == 0) {
                h1_close(h1);
                return;
            }
            break;
        case WEIR_FAIL:
            h1_close(h1);
            return;
        case WEIR_WAIT: {
            uint64_t now = weir_clock_now()->monotonic_ms;
            uint64_t pause = h1->client.server->core->lingering_timeout_ms;

            if (now >= h1->linger_until_ms) {
                h1_close(h1);
                return;
            }
            wait_for(h1, pause < h1->linger_until_ms - now ? pause : h1->linger_until_ms - now);
            return;
        }
        }
    }
}

static void h1_linger_timeout(weir_connection *connection)
{
    h1_connection *h1 = connection->owner;

    if (deadline_has_passed(h1)) {
        h1_close(h1);
    }
}

/* ---- heads */

static void head_begin(h1_connection *h1)
{
    h1->scanned = h1->start;
    h1->head_bytes = 0;
    h1->has_request_line = false;
    h1->body = BODY_NONE;
    h1->body_left = 0;
    h1->wants_body = false;
    h1->pull_ended = false;
    h1->framing = END_NONE;
}

/* The exchange begins with the first byte of its request, so that anything wrong with it has an answer. */
static bool exchange_begin(h1_connection *h1)
{
    h1->client.requests++;
    h1->client.has_pipelined = h1->is_pipelined;
    h1->is_pipelined = false;
    h1->ex = weir_http_exchange_new(&h1->client, &weir_http_h1, h1);
    if (h1->ex == NULL) {
        weir_log_line(&h1->connection->log, WEIR_LOG_CRIT, 0, "no memory for an exchange");
        return false;
    }
    return true;
}

static void head_refuse(h1_connection *h1, unsigned status, const char *why)
{
    /* The bytes that are left mean nothing any more. */
    h1->body = BODY_NONE;
    h1->ex->request.body_ended = true;
    weir_connection_enter(h1->connection, &h1_exchange);
    wait_for_nothing(h1);
    weir_http_exchange_refuse(h1->ex, status, why);
}

static bool take_request_line(h1_connection *h1, weir_str line)
{
    weir_http_request *request = &h1->ex->request;
    weir_http_request_line parsed;
    unsigned status = weir_http_parse_request_line(line, &parsed);

    request->line = line;
    if (status != 0) {
        /* A client that speaks another protocol is told so before its "head" is complete. */
        request->line = weir_http_is_field_value(line) ? line : WEIR_STR_EMPTY;
        head_refuse(h1, status,
                    status == 505 ? "client sent invalid version"
                                  : "client sent invalid request line");
        return false;
    }
    request->method_text = parsed.method;
    request->method = weir_http_method_find(parsed.method);
    request->target = parsed.target;
    request->host_port = parsed.authority;
    request->version = parsed.version;
    h1->has_request_line = true;
    return true;
}

/* What ignore_invalid_headers lets pass: letters, digits and hyphens; underscores have a directive of their own. */
static bool name_is_plain(weir_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = weir_byte_lower(name.data[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')) {
            return false;
        }
    }
    return true;
}

static bool take_field_line(h1_connection *h1, weir_str line)
{
    weir_http_request *request = &h1->ex->request;
    const weir_http_core_conf *core = h1->ex->core;
    weir_http_name known = WEIR_HTTP_OTHER;
    weir_str name;
    weir_str value;
    bool underscore;
    bool is_invalid = true;

    switch (weir_http_parse_field_line(line, &name, &value, &underscore)) {
    case WEIR_HTTP_FIELD_MALFORMED:
        head_refuse(h1, 400, "client sent invalid header line");
        return false;
    case WEIR_HTTP_FIELD_ODD_NAME:
        break;
    case WEIR_HTTP_FIELD_VALID:
        known = weir_http_name_find(name);
        is_invalid = (underscore && !core->underscores_in_headers)
                     || (known == WEIR_HTTP_OTHER && !name_is_plain(name));
        break;
    }
    if (is_invalid) {
        if (!core->ignore_invalid_headers) {
            head_refuse(h1, 400, "client sent invalid header name");
            return false;
        }
        weir_log_line(&h1->ex->log, WEIR_LOG_INFO, 0, "client sent invalid header line: \"%.*s\"",
                      WEIR_STR_ARG(line));
        return true;
    }
    if (!weir_http_fields_add_parsed(&request->fields, known, name, value)) {
        head_refuse(h1, 494, "client sent too many header lines");
        return false;
    }
    return true;
}

/* The body's framing (RFC 9112, 6.1 to 6.3); whatever is doubtful is refused. */
static const char *choose_framing(h1_connection *h1, unsigned *status)
{
    weir_http_request *request = &h1->ex->request;
    const weir_http_fields *fields = &request->fields;
    const weir_http_field *length = weir_http_fields_find(fields, WEIR_HTTP_CONTENT_LENGTH);
    const weir_http_field *coding = weir_http_fields_find(fields, WEIR_HTTP_TRANSFER_ENCODING);

    *status = 400;
    if (coding != NULL) {
        if (request->version != WEIR_HTTP_11) {
            return "client sent HTTP/1.0 request with \"Transfer-Encoding\" header";
        }
        if (length != NULL) {
            return "client sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same "
                   "time";
        }
        if (weir_http_fields_next(fields, coding) != NULL) {
            return "client sent duplicate header line: \"Transfer-Encoding\"";
        }
        if (!weir_str_eq_nocase(coding->value, WEIR_STR("chunked"))) {
            *status = 501;
            return "client sent unknown \"Transfer-Encoding\"";
        }
        h1->body = BODY_CHUNKED;
        memset(&h1->chunked, 0, sizeof(h1->chunked));
        h1->chunked.pool = h1->ex->pool;
        h1->chunked.trailers = &request->trailers;
        h1->chunked.trailer_bytes_max = h1->ex->core->large_client_header_buffers.size;
        request->has_body = true;
        return NULL;
    }
    if (length != NULL) {
        if (weir_http_fields_next(fields, length) != NULL) {
            return "client sent duplicate header line: \"Content-Length\"";
        }
        if (!weir_http_parse_content_length(length->value, &request->content_length)) {
            return "client sent invalid \"Content-Length\" header";
        }
        h1->body = request->content_length == 0 ? BODY_NONE : BODY_LENGTH;
        h1->body_left = (uint64_t) request->content_length;
        request->has_body = true;
    }
    if (h1->body == BODY_NONE) {
        request->body_ended = true;
    }
    return NULL;
}

/* Whether the client wants the connection kept (RFC 9112, 9.3). */
static bool wants_keepalive(const weir_http_request *request)
{
    if (weir_http_fields_have_token(&request->fields, WEIR_HTTP_CONNECTION, WEIR_STR("close"))) {
        return false;
    }
    return request->version == WEIR_HTTP_11
           || (request->version == WEIR_HTTP_10
               && weir_http_fields_have_token(&request->fields, WEIR_HTTP_CONNECTION,
                                              WEIR_STR("keep-alive")));
}

static void head_is_complete(h1_connection *h1)
{
    weir_http_exchange *ex = h1->ex;
    weir_http_request *request = &ex->request;
    unsigned status;
    const char *why = choose_framing(h1, &status);

    if (why != NULL) {
        head_refuse(h1, status, why);
        return;
    }

    request->head_bytes = h1->head_bytes;
    ex->keepalive = wants_keepalive(request);
    request->expects_continue =
        request->version == WEIR_HTTP_11 && h1->body != BODY_NONE
        && weir_str_eq_nocase(weir_http_fields_value(&request->fields, WEIR_HTTP_EXPECT),
                              WEIR_STR("100-continue"))
        && h1->start == h1->end;

    /* The head stays where it is for as long as the exchange; the buffer may go on behind it. */
    if (h1->data_is_large) {
        h1->head_large = h1->data;
        if (h1->start != h1->end) {
            size_t left = h1->end - h1->start;
            const char *from = h1->data + h1->start;

            h1->data = NULL;
            h1->data_is_large = false;
            h1->start = h1->end = 0;
            if (!buffer_open(h1)) {
                h1_close(h1);
                return;
            }
            memcpy(h1->data, from, left);
            h1->end = left;
        } else {
            h1->data = NULL;
            h1->data_is_large = false;
            h1->size = h1->start = h1->end = 0;
        }
    } else {
        h1->head_block = h1->block;
        if (h1->start == h1->end) {
            /* Nothing follows: the exchange's reference is the only one. */
            h1->block = NULL;
            h1->data = NULL;
            h1->size = h1->start = h1->end = 0;
        } else {
            weir_block_ref(h1->head_block);
        }
    }
    h1->scanned = h1->start;

    weir_connection_enter(h1->connection, &h1_exchange);
    wait_for_nothing(h1);
    weir_http_exchange_start(ex);
}

/* What a head may take in all, whether it comes at once or in parts. */
static size_t head_limit(const weir_http_core_conf *core)
{
    return core->client_header_buffer_size
           + core->large_client_header_buffers.count * core->large_client_header_buffers.size;
}

/* And what one line may take, with its end: that of the larger kind of buffer. */
static size_t line_limit(const weir_http_core_conf *core)
{
    return core->client_header_buffer_size > core->large_client_header_buffers.size
               ? core->client_header_buffer_size
               : core->large_client_header_buffers.size;
}

/* Takes whole lines. False: no more to do, the head is complete or refused. */
static bool take_lines(h1_connection *h1)
{
    while (h1->scanned < h1->end) {
        const char *from = h1->data + h1->scanned;
        const char *mark = memchr(from, '\n', h1->end - h1->scanned);
        weir_str line;
        size_t taken;

        if (mark == NULL) {
            h1->scanned = h1->end;
            return true;
        }

        taken = (size_t) (mark + 1 - (h1->data + h1->start));
        line = weir_str_of(h1->data + h1->start, taken - 1);
        /* A bare LF ends a line of the head (RFC 9112, 2.2); a CR elsewhere is refused with the line. */
        if (line.len > 0 && line.data[line.len - 1] == '\r') {
            line.len--;
        }
        h1->start += taken;
        h1->scanned = h1->start;
        h1->head_bytes += taken;

        if (!h1->has_request_line) {
            if (line.len == 0 && h1->skips_empty_line) {
                /* One empty line before a request is let pass (RFC 9112, 2.2). */
                h1->skips_empty_line = false;
                h1->head_bytes = 0;
                continue;
            }
            if (taken > line_limit(h1->ex->core)) {
                head_refuse(h1, 414, "client sent too long URI");
                return false;
            }
            if (!take_request_line(h1, line)) {
                return false;
            }
            if (h1->ex->request.version == WEIR_HTTP_09) {
                head_is_complete(h1);
                return false;
            }
            continue;
        }
        if (line.len == 0) {
            head_is_complete(h1);
            return false;
        }
        if (taken > line_limit(h1->ex->core)) {
            head_refuse(h1, 494, "client sent too long header line");
            return false;
        }
        if (h1->head_bytes > head_limit(h1->ex->core)) {
            head_refuse(h1, 494, "client sent too large request");
            return false;
        }
        if (!take_field_line(h1, line)) {
            return false;
        }
    }
    return true;
}

/* The first line must begin like a method: who speaks TLS or worse here is not waited for. */
static bool line_may_be_request(const h1_connection *h1)
{
    size_t len = h1->end - h1->start;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char) h1->data[h1->start + i];

        if (c < 0x20 && c != '\r' && c != '\n') {
            return false;
        }
    }
    return true;
}

/* Room for more of the head, and its limits. False: refused. */
static bool head_room(h1_connection *h1)
{
    const weir_http_core_conf *core = h1->ex->core;
    size_t line = h1->end - h1->start;
    size_t limit = head_limit(core);

    if (!h1->has_request_line && !line_may_be_request(h1)) {
        h1->ex->request.line = WEIR_STR_EMPTY;
        head_refuse(h1, 400, "client sent invalid method");
        return false;
    }
    if (line >= line_limit(core)) {
        head_refuse(h1, h1->has_request_line ? 494 : 414,
                    h1->has_request_line ? "client sent too long header line"
                                         : "client sent too long URI");
        return false;
    }
    if (h1->head_bytes + line > limit) {
        head_refuse(h1, 494, "client sent too large request");
        return false;
    }
    if (h1->end == h1->size && !head_grow(h1, limit)) {
        h1_close(h1);
        return false;
    }
    return true;
}

/* The client went before its request was whole. */
static void head_gone(h1_connection *h1)
{
    if (h1->ex == NULL) {
        h1_close(h1);
        return;
    }
    if (h1->head_bytes != 0 || h1->start != h1->end) {
        weir_log_line(&h1->ex->log, WEIR_LOG_INFO, 0,
                      "client prematurely closed connection while reading client request headers");
        h1->ex->response.status = 400;
        h1->ex->end_reason = "client closed connection";
    }
    h1->ex->client_is_gone = true;
    weir_http_h1.abort(h1->ex);
}

/*
 * Takes what is in the buffer, and reads more until the kernel has no more.  WAIT: the head is not whole.  OK: it was,
 * and FAIL: the connection is closed; either way it may be gone.
 */
static weir_result head_go_on(h1_connection *h1)
{
    /* More bytes may come before the task that was posted for those that are here. */
    weir_task_cancel(&h1->next);

    for (;;) {
        size_t len;

        if (h1->start < h1->end || h1->head_bytes != 0) {
            if (h1->ex == NULL && !exchange_begin(h1)) {
                h1_close(h1);
                return WEIR_FAIL;
            }
            if (!take_lines(h1) || !head_room(h1)) {
                return WEIR_OK;
            }
        }
        if (!buffer_open(h1)) {
            h1_close(h1);
            return WEIR_FAIL;
        }

        switch (buffer_fill(h1, &len)) {
        case WEIR_OK:
            if (len == 0) {
                head_gone(h1);
                return WEIR_FAIL;
            }
            break;
        case WEIR_WAIT:
            if (h1->ex == NULL) {
                buffer_release(h1);
            }
            return WEIR_WAIT;
        case WEIR_FAIL:
            head_gone(h1);
            return WEIR_FAIL;
        }
    }
}

static void h1_idle_readable(weir_connection *connection)
{
    h1_connection *h1 = connection->owner;
    uint64_t timeout_ms = h1->client.server->core->client_header_timeout_ms;

    weir_connection_set_idle(connection, false);
    weir_connection_enter(connection, &h1_head);
    head_begin(h1);
    h1->skips_empty_line = true;
    wait_for_nothing(h1);

    /* Most heads come whole: only one that did not needs its timer. */
    if (head_go_on(h1) != WEIR_WAIT) {
        return;
    }
    if (h1->ex == NULL) {
        weir_connection_enter(connection, &h1_idle);
        weir_connection_set_idle(connection, true);
        return;
    }
    wait_for(h1, timeout_ms);
}

static void h1_head_readable(weir_connection *connection)
{
    h1_connection *h1 = connection->owner;

    /* What was posted for a pipelined request is done here; later it would meet the exchange. */
    weir_task_cancel(&h1->next);
    (void) head_go_on(h1);
}

static void h1_head_timeout(weir_connection *connection)
{
    h1_connection *h1 = connection->owner;

    if (!deadline_has_passed(h1)) {
        return;
    }
    if (h1->ex == NULL) {
        h1_close_timed_out(h1);
        return;
    }
    h1->ex->request.body_ended = true;
    h1->ex->keepalive = false;
    weir_log_line(&h1->ex->log, WEIR_LOG_INFO, 0,
                  "client timed out while reading client request headers");
    weir_connection_enter(connection, &h1_exchange);
    wait_for_nothing(h1);
    weir_http_respond_status(h1->ex, 408, "client timed out");
}

static void h1_idle_timeout(weir_connection *connection)
{
    h1_connection *h1 = connection->owner;
    weir_worker *worker = weir_worker_current();

    /* The worker may have asked: then there is no deadline to look at. */
    if (worker != NULL && worker->is_draining) {
        h1_end_connection(h1, false);
        return;
    }
    if (!connection->is_idle || h1->deadline_ms == 0 || deadline_has_passed(h1)) {
        h1_end_connection(h1, false);
    }
}

/* ---- request bodies */

/* Gives out bytes of the buffer without copying them. */
static bool give(h1_connection *h1, weir_chain *out, size_t len)
{
    const char *data = h1->data + h1->start;

    h1->start += len;
    return weir_chain_add_block(out, h1->block, data, len);
}

/* A buffer with room behind what was given out: the blocks that are referenced stay as they are. */
static bool body_room(h1_connection *h1)
{
    if (h1->data != NULL && h1->start == h1->end && h1->size - h1->end < ROOM_MIN) {
        buffer_release(h1);
    }
    return buffer_open(h1);
}

static weir_result body_take_length(h1_connection *h1, weir_chain *out)
{
    size_t here = h1->end - h1->start;

    if (here > h1->body_left) {
        here = (size_t) h1->body_left;
    }
    if (here != 0 && !give(h1, out, here)) {
        return WEIR_FAIL;
    }
    h1->body_left -= here;
    h1->ex->request.body_received += here;
    h1->ex->request.body_ended = h1->body_left == 0;
    return WEIR_OK;
}

static weir_result body_take_chunks(h1_connection *h1, weir_chain *out)
{
    weir_http_request *request = &h1->ex->request;

    while (h1->start < h1->end || h1->chunked.is_complete) {
        size_t framing;
        size_t content;
        weir_result result = weir_http_chunked_next(
            &h1->chunked, weir_str_of(h1->data + h1->start, h1->end - h1->start), &framing,
            &content);

        if (result == WEIR_FAIL) {
            weir_log_line(&h1->ex->log, WEIR_LOG_INFO, 0, "client sent invalid chunked body");
            return WEIR_FAIL;
        }
        h1->start += framing;
        if (result == WEIR_WAIT) {
            return WEIR_OK;
        }
        if (content == 0) {
            request->body_ended = true;
            return WEIR_OK;
        }
        if (!give(h1, out, content)) {
            return WEIR_FAIL;
        }
        request->body_received += content;
    }
    return WEIR_OK;
}

static weir_result body_take(h1_connection *h1, weir_chain *out)
{
    return h1->body == BODY_CHUNKED ? body_take_chunks(h1, out) : body_take_length(h1, out);
}

/* Never more than the body, where its length is known: the next request stays in the kernel. */
static weir_result body_fill(h1_connection *h1, size_t *len)
{
    size_t room = h1->size - h1->end;

    if (h1->body == BODY_LENGTH && room > h1->body_left) {
        room = (size_t) h1->body_left;
    }

    weir_result result = weir_connection_read(h1->connection, h1->data + h1->end, room, len);

    if (result == WEIR_OK) {
        h1->end += *len;
    }
    return result;
}

static weir_result h1_read_body(weir_http_exchange *ex, weir_chain *out, uint64_t limit)
{
    h1_connection *h1 = ex->wire_state;
    uint64_t before = out->len;

    h1->wants_body = false;
    for (;;) {
        size_t len;

        if (h1->start != h1->end && body_take(h1, out) != WEIR_OK) {
            return WEIR_FAIL;
        }
        if (ex->request.body_ended || out->len - before >= limit) {
            wait_for_nothing(h1);
            return WEIR_OK;
        }
        if (!body_room(h1)) {
            return WEIR_FAIL;
        }

        switch (body_fill(h1, &len)) {
        case WEIR_OK:
            if (len == 0) {
                weir_log_line(
                    &ex->log, WEIR_LOG_INFO, 0,
                    "client prematurely closed connection while reading client request body");
                ex->client_is_gone = true;
                ex->response.status = ex->response.status == 0 ? 400 : ex->response.status;
                return WEIR_FAIL;
            }
            break;
        case WEIR_WAIT:
            if (h1->start == h1->end) {
                buffer_release(h1);
            }
            if (out->len != before) {
                wait_for_nothing(h1);
                return WEIR_OK;
            }
            h1->wants_body = true;
            wait_for(h1, ex->core->client_body_timeout_ms);
            return WEIR_WAIT;
        case WEIR_FAIL:
            ex->client_is_gone = true;
            return WEIR_FAIL;
        }
    }
}

/* ---- responses */

static void add_field(weir_builder *head, weir_str name, weir_str value)
{
    weir_builder_add(head, name);
    weir_builder_add(head, WEIR_STR(": "));
    weir_builder_add(head, value);
    weir_builder_add(head, WEIR_STR("\r\n"));
}

static void add_fields(weir_builder *head, const weir_http_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        const weir_http_field *field = &fields->items[i];

        if (field->is_removed) {
            continue;
        }
        switch (field->name) {
        case WEIR_HTTP_CONNECTION:
        case WEIR_HTTP_KEEP_ALIVE:
        case WEIR_HTTP_CONTENT_LENGTH:
        case WEIR_HTTP_TRANSFER_ENCODING:
            /* The connection's and the framing are this wire's to say. */
            continue;
        default:
            add_field(head, field->text, field->value);
        }
    }
}

static bool may_keep(const h1_connection *h1)
{
    const weir_http_exchange *ex = h1->ex;
    const weir_http_core_conf *core = ex->core;
    const weir_worker *worker = weir_worker_current();

    /*
     * Who waits for "100 Continue" and is answered without it may send the body or not: what comes next could be
     * either (RFC 9110, 10.1.1).
     */
    return ex->keepalive && !ex->request.expects_continue && core->keepalive.timeout_ms != 0
           && h1->client.requests < core->keepalive_requests
           && weir_clock_now()->monotonic_ms - h1->connection->started_ms < core->keepalive_time_ms
           && (worker == NULL || !worker->is_draining) && !h1->connection->hangup;
}

static void choose_response_framing(h1_connection *h1)
{
    weir_http_exchange *ex = h1->ex;
    const weir_http_response *response = &ex->response;

    if (response->is_upgrade) {
        h1->framing = END_CLOSE;
        return;
    }
    if (response->has_no_body) {
        h1->framing = END_NONE;
    } else if (response->content_length >= 0) {
        h1->framing = END_LENGTH;
        h1->response_left = (uint64_t) response->content_length;
    } else if (ex->request.version == WEIR_HTTP_11 && ex->core->chunked_transfer_encoding) {
        h1->framing = END_CHUNKED;
    } else {
        h1->framing = END_CLOSE;
        ex->keepalive = false;
    }
    ex->keepalive = may_keep(h1);
}

static void add_status_line(weir_builder *head, const weir_http_exchange *ex)
{
    const weir_http_response *response = &ex->response;

    weir_builder_add(head, WEIR_STR("HTTP/1.1 "));
    if (response->status_text.len != 0) {
        weir_builder_add(head, response->status_text);
    } else {
        weir_builder_add_padded(head, response->status, 3);
        weir_builder_add_byte(head, ' ');
        weir_builder_add(head, weir_http_reason(response->status));
    }
    weir_builder_add(head, WEIR_STR("\r\n"));
}

static void add_length(weir_builder *head, const h1_connection *h1)
{
    const weir_http_response *response = &h1->ex->response;

    if (response->is_upgrade) {
        return;
    }
    if (response->content_length >= 0 && response->status != 204 && response->status >= 200) {
        weir_builder_add(head, WEIR_STR("Content-Length: "));
        weir_builder_add_uint(head, (uint64_t) response->content_length);
        weir_builder_add(head, WEIR_STR("\r\n"));
    } else if (h1->framing == END_CHUNKED) {
        weir_builder_add(head, WEIR_STR("Transfer-Encoding: chunked\r\n"));
    }
}

static void add_connection(weir_builder *head, const h1_connection *h1)
{
    const weir_http_exchange *ex = h1->ex;

    if (ex->response.is_upgrade) {
        weir_builder_add(head, WEIR_STR("Connection: upgrade\r\n"));
    } else if (!ex->keepalive) {
        weir_builder_add(head, WEIR_STR("Connection: close\r\n"));
    } else {
        weir_builder_add(head, WEIR_STR("Connection: keep-alive\r\n"));
        if (ex->core->keepalive.header_s != 0) {
            weir_builder_add(head, WEIR_STR("Keep-Alive: timeout="));
            weir_builder_add_uint(head, ex->core->keepalive.header_s);
            weir_builder_add(head, WEIR_STR("\r\n"));
        }
    }
}

static bool make_head(h1_connection *h1, weir_str *text)
{
    weir_http_exchange *ex = h1->ex;
    const weir_http_response *response = &ex->response;
    weir_builder head;

    weir_builder_open(&head, ex->pool, SIZE_MAX);
    (void) weir_builder_room(&head, HEAD_BYTES);
    add_status_line(&head, ex);
    if (weir_http_fields_find(&response->fields, WEIR_HTTP_SERVER_FIELD) == NULL) {
        weir_str token = weir_http_server_token(ex);

        if (token.len != 0) {
            add_field(&head, WEIR_STR("Server"), token);
        }
    }
    if (weir_http_fields_find(&response->fields, WEIR_HTTP_DATE) == NULL) {
        add_field(&head, WEIR_STR("Date"), weir_clock_http_text());
    }
    if (response->content_type.len != 0) {
        add_field(&head, WEIR_STR("Content-Type"), response->content_type);
    }
    add_length(&head, h1);
    if (response->last_modified_s >= 0
        && weir_http_fields_find(&response->fields, WEIR_HTTP_LAST_MODIFIED) == NULL) {
        char date[30];

        weir_clock_format_http(response->last_modified_s, date);
        add_field(&head, WEIR_STR("Last-Modified"), weir_str_of(date, 29));
    }
    add_connection(&head, h1);
    add_fields(&head, &response->fields);
    weir_builder_add(&head, WEIR_STR("\r\n"));
    return weir_builder_close(&head, text);
}

static bool h1_send_interim(weir_http_exchange *ex, unsigned status, const weir_http_fields *fields)
{
    h1_connection *h1 = ex->wire_state;
    weir_builder head;
    weir_str text;

    weir_builder_open(&head, ex->pool, SIZE_MAX);
    weir_builder_add(&head, WEIR_STR("HTTP/1.1 "));
    weir_builder_add_uint(&head, status);
    weir_builder_add_byte(&head, ' ');
    weir_builder_add(&head, weir_http_reason(status));
    weir_builder_add(&head, WEIR_STR("\r\n"));
    if (fields != NULL) {
        add_fields(&head, fields);
    }
    weir_builder_add(&head, WEIR_STR("\r\n"));
    return weir_builder_close(&head, &text) && weir_chain_add_memory(&h1->out, text)
           && weir_connection_write(h1->connection, &h1->out, UINT64_MAX) != WEIR_FAIL;
}

/* ---- sending */

/* Puts the framing around what was pulled. False: no memory, or the source broke its promise. */
static bool frame(h1_connection *h1, weir_chain *pulled, bool ended)
{
    weir_http_exchange *ex = h1->ex;

    switch (h1->framing) {
    case END_NONE:
        weir_chain_clear(pulled);
        return true;
    case END_LENGTH:
        if (pulled->len > h1->response_left || (ended && pulled->len < h1->response_left)) {
            weir_log_line(&ex->log, WEIR_LOG_ERR, 0,
                          "a response is %s than its Content-Length said",
                          ended && pulled->len < h1->response_left ? "shorter" : "longer");
            return false;
        }
        h1->response_left -= pulled->len;
        weir_chain_append(&h1->out, pulled);
        return true;
    case END_CLOSE:
        weir_chain_append(&h1->out, pulled);
        return true;
    case END_CHUNKED:
        break;
    }

    weir_builder line;
    weir_str text;

    if (!weir_chain_is_empty(pulled)) {
        char size[32];

        /* Not from the pool: a response may have chunks without end. */
        weir_builder_over(&line, size, sizeof(size));
        weir_builder_add_hex(&line, pulled->len);
        weir_builder_add(&line, WEIR_STR("\r\n"));
        if (!weir_chain_add_copy(&h1->out, weir_builder_cut(&line))) {
            return false;
        }
        weir_chain_append(&h1->out, pulled);
        if (!weir_chain_add_memory(&h1->out, WEIR_STR("\r\n"))) {
            return false;
        }
    }
    if (!ended) {
        return true;
    }
    if (ex->response.trailers.count == 0) {
        return weir_chain_add_memory(&h1->out, WEIR_STR("0\r\n\r\n"));
    }
    weir_builder_open(&line, ex->pool, SIZE_MAX);
    weir_builder_add(&line, WEIR_STR("0\r\n"));
    add_fields(&line, &ex->response.trailers);
    weir_builder_add(&line, WEIR_STR("\r\n"));
    return weir_builder_close(&line, &text) && weir_chain_add_memory(&h1->out, text);
}

/* How much limit_rate lets go out now; 0: not before a pause. */
static uint64_t rate_allows(h1_connection *h1)
{
    weir_http_exchange *ex = h1->ex;

    if (ex->limit_rate == 0) {
        return UINT64_MAX;
    }

    uint64_t elapsed_ms = weir_clock_now()->monotonic_ms - ex->started_ms;
    uint64_t allowed = ex->limit_rate_after + ex->limit_rate * (elapsed_ms / 1000 + 1);

    if (ex->bytes_sent < allowed) {
        return allowed - ex->bytes_sent;
    }

    uint64_t over = ex->bytes_sent - allowed;

    h1->is_rate_paused = true;
    wait_for(h1, over * 1000 / ex->limit_rate + 1000 - elapsed_ms % 1000);
    return 0;
}

static weir_result write_out(h1_connection *h1)
{
    weir_http_exchange *ex = h1->ex;
    uint64_t allowed = rate_allows(h1);
    uint64_t before = h1->out.len;
    weir_result result;

    if (allowed == 0) {
        return WEIR_WAIT;
    }
    result = weir_connection_write(h1->connection, &h1->out, allowed);
    ex->bytes_sent += before - h1->out.len;
    if (result == WEIR_OK && !weir_chain_is_empty(&h1->out)) {
        return rate_allows(h1) == 0 ? WEIR_WAIT : WEIR_OK;
    }
    if (result == WEIR_WAIT) {
        wait_for(h1, ex->core->send_timeout_ms);
    }
    return result;
}

typedef enum {
    PUMP_WAITS,
    PUMP_DONE,
    PUMP_BROKEN, /* the client must see that the response is not whole */
} pump_end;

/* Pulls and writes until the client takes no more, the source has no more, or all is done. */
static pump_end pump(h1_connection *h1)
{
    weir_http_exchange *ex = h1->ex;
    weir_chain pulled = {0};

    while (!h1->pull_ended || !weir_chain_is_empty(&h1->out)) {
        weir_result pull_result = WEIR_OK;
        bool ended = false;

        if (!h1->pull_ended && h1->out.len < PULL_BYTES) {
            pull_result = weir_http_pull(ex, &pulled, PULL_BYTES, &ended);
            if (pull_result == WEIR_FAIL || !frame(h1, &pulled, ended)) {
                weir_chain_clear(&pulled);
                return PUMP_BROKEN;
            }
            h1->pull_ended = ended;
        }
        if (weir_chain_is_empty(&h1->out)) {
            if (pull_result == WEIR_WAIT) {
                wait_for_nothing(h1);
                return PUMP_WAITS;
            }
            continue;
        }
        switch (write_out(h1)) {
        case WEIR_OK:
            if (pull_result == WEIR_WAIT && weir_chain_is_empty(&h1->out)) {
                wait_for_nothing(h1);
                return PUMP_WAITS;
            }
            break;
        case WEIR_WAIT:
            return PUMP_WAITS;
        case WEIR_FAIL:
            ex->client_is_gone = true;
            return PUMP_BROKEN;
        }
    }

    if (ex->response.is_upgrade) {
        return PUMP_WAITS;
    }
    wait_for_nothing(h1);
    ex->response.body_ended = true;
    return PUMP_DONE;
}

static void h1_pump(h1_connection *h1)
{
    if (h1->is_pumping || h1->is_rate_paused) {
        return;
    }
    weir_http_exchange *ex = h1->ex;
    pump_end end;

    h1->is_pumping = true;
    end = pump(h1);
    h1->is_pumping = false;

    /* With the exchange the connection may go: nothing of it is touched after this. */
    switch (end) {
    case PUMP_WAITS:
        break;
    case PUMP_DONE:
        weir_http_exchange_end(ex);
        break;
    case PUMP_BROKEN:
        weir_http_h1.abort(ex);
        break;
    }
}

static void h1_respond(weir_http_exchange *ex)
{
    h1_connection *h1 = ex->wire_state;
    weir_str head;

    choose_response_framing(h1);
    if (ex->request.version == WEIR_HTTP_09) {
        /* No head at all, and the end of the connection ends the body. */
        h1->framing = ex->response.has_no_body ? END_NONE : END_CLOSE;
        ex->keepalive = false;
    } else if (!make_head(h1, &head) || !weir_chain_add_memory(&h1->out, head)) {
        weir_http_h1.abort(ex);
        return;
    } else {
        ex->response_head_bytes = head.len;
    }
    ex->response.head_is_sent = true;
    if (h1->framing == END_NONE) {
        h1->pull_ended = true;
    }
    if (ex->core->tcp_nodelay) {
        weir_connection_set_nodelay(h1->connection);
    }
    h1_pump(h1);
}

static void h1_wake(weir_http_exchange *ex)
{
    h1_pump(ex->wire_state);
}

static void h1_exchange_writable(weir_connection *connection)
{
    h1_connection *h1 = connection->owner;

    if (h1->ex != NULL && h1->ex->response.head_is_sent) {
        h1_pump(h1);
    }
}

static void h1_exchange_readable(weir_connection *connection)
{
    h1_connection *h1 = connection->owner;

    if (h1->ex != NULL && h1->wants_body) {
        h1->wants_body = false;
        weir_http_body_readable(h1->ex);
        return;
    }
    if (connection->hangup) {
        h1_exchange_hangup(connection);
    }
}

/* Plain bytes before the end of data are requests; behind TLS they are most likely its close_notify. */
static bool has_more_requests(const weir_connection *connection)
{
    char byte;

    return connection->tls == NULL
           && recv(connection->event.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* The client will send no more: it has gone, unless a whole request waits behind this one. */
static void h1_exchange_hangup(weir_connection *connection)
{
    h1_connection *h1 = connection->owner;

    if (h1->ex == NULL || !h1->ex->request.body_ended || h1->start != h1->end || h1->wants_body) {
        return;
    }
    if (h1->ex->response.head_is_sent && h1->pull_ended) {
        return;
    }
    if (!has_more_requests(connection)) {
        weir_http_client_gone(h1->ex);
    }
}

static void h1_exchange_timeout(weir_connection *connection)
{
    h1_connection *h1 = connection->owner;
    weir_http_exchange *ex = h1->ex;

    if (ex == NULL || !deadline_has_passed(h1)) {
        return;
    }
    if (h1->is_rate_paused) {
        h1->is_rate_paused = false;
        wait_for_nothing(h1);
        h1_pump(h1);
        return;
    }

    ex->keepalive = false;
    wait_for_nothing(h1);
    if (h1->wants_body) {
        h1->wants_body = false;
        weir_log_line(&ex->log, WEIR_LOG_INFO, 0,
                      "client timed out while reading client request body");
        if (ex->response.head_is_sent) {
            ex->client_is_gone = true;
            weir_http_h1.abort(ex);
        } else {
            weir_http_body_timed_out(ex);
        }
        return;
    }
    weir_log_line(&ex->log, WEIR_LOG_INFO, 0, "client timed out while sending to client");
    ex->client_is_gone = true;
    weir_http_h1.abort(ex);
}

/* ---- between exchanges */

static void h1_become_idle(h1_connection *h1)
{
    const weir_http_core_conf *core = h1->client.server->core;

    head_begin(h1);
    if (h1->start != h1->end) {
        h1->skips_empty_line = true;
        h1->is_pipelined = true;
        weir_task_post(h1->connection->loop, &h1->next);
        weir_connection_enter(h1->connection, &h1_head);
        wait_for(h1, core->client_header_timeout_ms);
        return;
    }
    buffer_release(h1);
    weir_connection_enter(h1->connection, &h1_idle);
    weir_connection_set_idle(h1->connection, true);
    wait_for(h1, core->keepalive.timeout_ms);
}

static void h1_next(weir_task *task)
{
    (void) head_go_on(WEIR_OWNER(task, h1_connection, next));
}

/* Reads on to the end of a body that nobody wanted, if it is near. */
static void h1_discard_readable(weir_connection *connection)
{
    h1_connection *h1 = connection->owner;

    for (;;) {
        size_t len;

        if (h1->start != h1->end) {
            if (h1->body == BODY_CHUNKED) {
                size_t framing;
                size_t content;

                if (weir_http_chunked_next(&h1->chunked,
                                           weir_str_of(h1->data + h1->start, h1->end - h1->start),
                                           &framing, &content)
                    == WEIR_FAIL) {
                    h1_end_connection(h1, true);
                    return;
                }
                h1->start += framing + content;
                if (h1->chunked.is_complete) {
                    h1_become_idle(h1);
                    return;
                }
                continue;
            }

            size_t here = h1->end - h1->start;

            here = here > h1->body_left ? (size_t) h1->body_left : here;
            h1->start += here;
            h1->body_left -= here;
        }
        if (h1->body == BODY_LENGTH && h1->body_left == 0) {
            h1_become_idle(h1);
            return;
        }
        if (h1->start == h1->end) {
            h1->start = h1->end = 0;
        }
        if (!buffer_open(h1)) {
            h1_close(h1);
            return;
        }
        switch (body_fill(h1, &len)) {
        case WEIR_OK:
            if (len == 0) {
                h1_close(h1);
                return;
            }
            if (len > h1->discard_left) {
                h1_end_connection(h1, true);
                return;
            }
            h1->discard_left -= len;
            break;
        case WEIR_WAIT:
            buffer_release(h1);
            return;
        case WEIR_FAIL:
            h1_close(h1);
            return;
        }
    }
}

static void h1_discard_timeout(weir_connection *connection)
{
    h1_linger_timeout(connection);
}

static void h1_ended(weir_http_exchange *ex)
{
    h1_connection *h1 = ex->wire_state;
    bool keeps = ex->keepalive && !ex->client_is_gone && !ex->response.body_is_short;
    bool body_ended = ex->request.body_ended;
    bool must_close_at_once = ex->client_is_gone || ex->response.status == 444;
    bool is_cut = ex->response.body_is_short && ex->response.head_is_sent;
    uint64_t length = ex->request.content_length < 0 ? 0 : (uint64_t) ex->request.content_length;

    if (ex->response.is_upgrade && ex->response.head_is_sent) {
        /* The tunnel has closed what it took. */
        return;
    }

    h1->ex = NULL;
    weir_block_unref(h1->head_block);
    h1->head_block = NULL;
    free(h1->head_large);
    h1->head_large = NULL;
    weir_chain_clear(&h1->out);
    wait_for_nothing(h1);

    if (must_close_at_once) {
        h1_close(h1);
        return;
    }
    if (is_cut) {
        /* A reset, or no close_notify: the client must not take what it has for the whole. */
        h1_close(h1);
        return;
    }
    if (!keeps) {
        h1_end_connection(h1, !body_ended || h1->start != h1->end || h1->connection->readable
                                  || h1->client.server->core->lingering_close
                                         == WEIR_HTTP_LINGER_ALWAYS);
        return;
    }
    if (!body_ended) {
        if (h1->body == BODY_LENGTH && length > DISCARD_BYTES) {
            h1_end_connection(h1, true);
            return;
        }
        /* The exchange's memory goes: who sends trailer fields that nobody wanted loses the connection. */
        h1->chunked.pool = NULL;
        h1->chunked.trailers = NULL;
        h1->chunked.trailer = h1->no_trailer;
        h1->chunked.trailer_bytes_max = sizeof(h1->no_trailer);
        h1->chunked.trailer_len = 0;
        h1->discard_left = DISCARD_BYTES;
        weir_connection_enter(h1->connection, &h1_discard);
        wait_for(h1, h1->client.server->core->lingering_timeout_ms);
        h1->wants_body = false;
        h1_discard_readable(h1->connection);
        return;
    }
    h1_become_idle(h1);
}

static void h1_abort(weir_http_exchange *ex)
{
    ex->keepalive = false;
    ex->response.body_is_short = true;
    /* Nobody has taken the connection yet. */
    ex->response.is_upgrade = false;
    if (!ex->response.head_is_sent) {
        ex->client_is_gone = true;
    }
    weir_http_exchange_end(ex);
}

/* ---- tunnels */

static weir_connection *h1_take_connection(weir_http_exchange *ex)
{
    h1_connection *h1 = ex->wire_state;
    weir_connection *connection = h1->connection;

    if (!weir_chain_is_empty(&h1->out)) {
        return NULL;
    }
    if (h1->start != h1->end) {
        weir_str early;

        if (!weir_str_copy(connection->pool, weir_str_of(h1->data + h1->start, h1->end - h1->start),
                           &early)) {
            return NULL;
        }
        connection->early = early;
    }
    buffer_release(h1);
    weir_connection_clear_timeout(connection);
    return connection;
}

const weir_http_wire weir_http_h1 = {
    .name = "http/1",
    .read_body = h1_read_body,
    .send_interim = h1_send_interim,
    .respond = h1_respond,
    .wake = h1_wake,
    .ended = h1_ended,
    .abort = h1_abort,
    .take_connection = h1_take_connection,
};

void weir_http_h1_start(weir_http_connection *client)
{
    weir_connection *connection = client->connection;
    h1_connection *h1 = WEIR_NEW(connection->pool, h1_connection);

    if (h1 == NULL || weir_pool_on_free(connection->pool, h1_release, h1) == NULL) {
        weir_connection_close(connection);
        return;
    }
    h1->client = *client;
    h1->connection = connection;
    h1->next.name = "http/1 next request";
    h1->next.run = h1_next;
    weir_list_init(&h1->next.link);
    connection->owner = h1;
    head_begin(h1);
    h1->skips_empty_line = true;
    wait_for(h1, client->server->core->client_header_timeout_ms);
    weir_connection_enter(connection, &h1_head);
}
