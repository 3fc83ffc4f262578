#include <stdlib.h>

#include "core/base/clock.h"
#include "modules/http/wire/h1_internal.h"
#include "modules/http/wire/h1_parse.h"
#include "modules/http/wire/head_rules.h"

/*
 * Heads of requests (RFC 9112, 2 to 6): lines, and the framing of the body that they agree on.  A head is read into a
 * block, and stays there as slices for as long as its exchange lives.
 */


/* ---- buffers */

void h1_buffer_release(h1_connection *h1)
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

bool h1_buffer_open(h1_connection *h1, bool is_bulk)
{
    if (h1->data != NULL) {
        return true;
    }
    h1->block = is_bulk ? weir_block_get_large() : weir_block_get();
    if (h1->block == NULL) {
        weir_log_line(&h1->connection->log, WEIR_LOG_CRIT, 0, "no memory for a request");
        return false;
    }
    h1->data = h1->block->data;
    h1->size = h1->block->size;
    return true;
}

/* The head so far has moved: what was parsed of it moves along. */
static void head_moved(weir_http_exchange *ex, const char *from, size_t len, const char *to)
{
    weir_http_request *request = &ex->request;

    weir_str_move(&request->line, from, len, to);
    weir_str_move(&request->method_text, from, len, to);
    weir_str_move(&request->target, from, len, to);
    weir_str_move(&request->host_port, from, len, to);
    weir_http_fields_move(&request->fields, from, len, to);
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
    h1_buffer_release(h1);
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

/* ---- heads */

void h1_head_begin(h1_connection *h1)
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
    weir_http_exchange_count(h1->ex);
    return true;
}

static void head_refuse(h1_connection *h1, unsigned status, const char *why)
{
    /* The bytes that are left mean nothing any more. */
    h1->body = BODY_NONE;
    h1->ex->request.body_ended = true;
    h1->ex->request.head_bytes = h1->has_request_line ? h1->head_bytes : 0;
    weir_connection_enter(h1->connection, &h1_exchange);
    h1_wait_for_nothing(h1);
    weir_http_exchange_refuse(h1->ex, status, why);
}

static bool take_request_line(h1_connection *h1, weir_str line)
{
    weir_http_request *request = &h1->ex->request;
    weir_http_request_line parsed;
    unsigned status = weir_http_parse_request_line(line, &parsed);

    /* Logged, whatever it is: logs escape. */
    request->line = line;
    if (status != 0) {
        /* A client that speaks another protocol is told so before its "head" is complete. */
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

static bool take_field_line(h1_connection *h1, weir_str line)
{
    weir_http_request *request = &h1->ex->request;
    weir_http_field_line parsed;

    switch (weir_http_parse_field_line(line, &parsed)) {
    case WEIR_HTTP_FIELD_MALFORMED:
        head_refuse(h1, 400, "client sent invalid header line");
        return false;
    case WEIR_HTTP_FIELD_ODD_NAME:
        if (!h1->ex->core->ignore_invalid_headers) {
            head_refuse(h1, 400, "client sent invalid header name");
            return false;
        }
        weir_log_line(&h1->ex->log, WEIR_LOG_INFO, 0, "client sent invalid header line: \"%.*s\"",
                      WEIR_STR_ARG(line));
        return true;
    case WEIR_HTTP_FIELD_VALID:
        if (parsed.known == WEIR_HTTP_OTHER && weir_http_name_is_odd(parsed.name, false)) {
            request->has_odd_names = true;
        }
        break;
    }
    if (!weir_http_fields_add_parsed(&request->fields, parsed.known, parsed.name, parsed.value)) {
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

/* keepalive_disable: browsers of old that lose their way on kept connections. */
static bool is_disabled(const weir_http_request *request, unsigned disabled)
{
    weir_str agent = weir_http_fields_value(&request->fields, WEIR_HTTP_USER_AGENT);

    if ((disabled & WEIR_HTTP_NO_KEEPALIVE_MSIE6) && request->method == WEIR_HTTP_POST
        && (weir_str_find(agent, WEIR_STR("MSIE 6.")) != NULL
            || weir_str_find(agent, WEIR_STR("MSIE 5.")) != NULL)
        && weir_str_find(agent, WEIR_STR("Opera")) == NULL) {
        return true;
    }
    return (disabled & WEIR_HTTP_NO_KEEPALIVE_SAFARI)
           && weir_str_find(agent, WEIR_STR("Safari/")) != NULL
           && weir_str_find(agent, WEIR_STR("Mac OS X")) != NULL
           && weir_str_find(agent, WEIR_STR("Chrome/")) == NULL;
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
    ex->keepalive = wants_keepalive(request) && !is_disabled(request, ex->core->keepalive_disable);
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
            if (!h1_buffer_open(h1, false)) {
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
    h1_wait_for_nothing(h1);
    weir_http_exchange_start(ex);
}

/* The first line must begin like a method: who speaks TLS or worse here is not waited for. */
static bool may_be_of_request(weir_str part)
{
    for (size_t i = 0; i < part.len; i++) {
        unsigned char c = (unsigned char) part.data[i];

        if (c < 0x20 && c != '\r' && c != '\n') {
            return false;
        }
    }
    return true;
}

/* A line that is not whole: what has come of it since it was looked at last.  False: refused. */
static bool look_at_part(h1_connection *h1, weir_str part)
{
    if (!h1->has_request_line && !may_be_of_request(part)) {
        h1->ex->request.line = weir_str_of(h1->data + h1->start, h1->end - h1->start);
        head_refuse(h1, 400, "client sent invalid method");
        return false;
    }
    h1->scanned = h1->end;
    return true;
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
            return look_at_part(h1, weir_str_of(from, h1->end - h1->scanned));
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
            if (taken > weir_http_line_limit(h1->ex->core)) {
                h1->ex->request.line = line;
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
        if (taken > weir_http_line_limit(h1->ex->core)) {
            head_refuse(h1, 494, "client sent too long header line");
            return false;
        }
        if (h1->head_bytes > weir_http_head_limit(h1->ex->core)) {
            head_refuse(h1, 494, "client sent too large request");
            return false;
        }
        if (!take_field_line(h1, line)) {
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
    size_t limit = weir_http_head_limit(core);

    if (line >= weir_http_line_limit(core)) {
        if (!h1->has_request_line) {
            h1->ex->request.line = weir_str_of(h1->data + h1->start, line);
        }
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
weir_result h1_head_go_on(h1_connection *h1)
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
        if (!h1_buffer_open(h1, false)) {
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
                h1_buffer_release(h1);
            }
            return WEIR_WAIT;
        case WEIR_FAIL:
            head_gone(h1);
            return WEIR_FAIL;
        }
    }
}
