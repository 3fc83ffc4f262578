#include "modules/http/wire/h1_parse.h"
#include "modules/http/wire/h2_internal.h"
#include "modules/http/wire/head_rules.h"

/*
 * Heads of requests (RFC 9113, 8.1 to 8.3).  nghttp2 has refused what is malformed by itself: names with capitals or other
 * bytes than a token's, values with controls or with space at their ends, fields of a connection, pseudo-header fields
 * that are unknown, repeated, late or missing.  The rest is decided here.
 */

/* What Cookie was cut into (RFC 9113, 8.2.3). */
typedef struct crumb {
    struct crumb *next;
    weir_str text;
} crumb;

struct h2_head {
    weir_str method, scheme, authority, path, protocol;
    crumb *crumbs;
    crumb **crumbs_end;
    size_t crumbs_len;
    size_t bytes; /* as they would be in HTTP/1 */
    unsigned lines;
    bool is_put_off; /* there is no room for it beside others now */
    unsigned status; /* that it will be refused with; 0: fine */
    const char *why;
};

bool h2_head_begin(h2_stream *stream)
{
    stream->head = WEIR_NEW(stream->ex->pool, struct h2_head);
    if (stream->head == NULL) {
        return false;
    }
    stream->head->crumbs_end = &stream->head->crumbs;
    return true;
}

/* The first thing that is wrong is told; nothing more of the head is kept. */
static void refuse(struct h2_head *head, unsigned status, const char *why)
{
    if (head->status == 0) {
        head->status = status;
        head->why = why;
    }
}

/* False: the connection's requests have as much already as they may. */
static bool reserve(h2_stream *stream, size_t bytes)
{
    h2_connection *h2 = stream->h2;

    /* Lists of fields grow by doubling, and keep what they had. */
    bytes += 2 * sizeof(weir_http_field);
    if (h2->stream_count > 1 && h2->heads_bytes + bytes > H2_HEADS_BYTES) {
        return false;
    }
    h2->heads_bytes += bytes;
    stream->head_bytes += bytes;
    return true;
}

static bool take_pseudo(h2_stream *stream, weir_str name, weir_str value)
{
    struct h2_head *head = stream->head;
    weir_str *place;

    if (weir_str_eq(name, WEIR_STR(":path"))) {
        place = &head->path;
        if (value.len > weir_http_line_limit(stream->ex->core)) {
            refuse(head, 414, "client sent too long URI");
            return true;
        }
    } else if (weir_str_eq(name, WEIR_STR(":method"))) {
        place = &head->method;
    } else if (weir_str_eq(name, WEIR_STR(":scheme"))) {
        place = &head->scheme;
    } else if (weir_str_eq(name, WEIR_STR(":authority"))) {
        place = &head->authority;
    } else if (weir_str_eq(name, WEIR_STR(":protocol"))) {
        place = &head->protocol;
    } else {
        refuse(head, 400, "client sent unknown pseudo-header");
        return true;
    }
    return weir_str_copy(stream->ex->pool, value, place);
}

static bool take_crumb(h2_stream *stream, weir_str value)
{
    struct h2_head *head = stream->head;
    crumb *piece = WEIR_NEW(stream->ex->pool, crumb);

    if (piece == NULL || !weir_str_copy(stream->ex->pool, value, &piece->text)) {
        return false;
    }
    *head->crumbs_end = piece;
    head->crumbs_end = &piece->next;
    head->crumbs_len += value.len + 2;
    return true;
}

/* A known name is not kept twice. */
static bool add_field(weir_http_fields *fields, weir_http_name known, weir_str name, weir_str value)
{
    weir_str text = weir_http_name_text(known);
    weir_str kept;

    return (known != WEIR_HTTP_OTHER || weir_str_copy(fields->pool, name, &text))
           && weir_str_copy(fields->pool, value, &kept)
           && weir_http_fields_add_parsed(fields, known, text, kept);
}

static bool take_field(h2_stream *stream, weir_str name, weir_str value)
{
    weir_http_exchange *ex = stream->ex;
    weir_http_name known = weir_http_name_find(name);

    if (known == WEIR_HTTP_OTHER && weir_http_name_is_odd(name, false)) {
        ex->request.has_odd_names = true;
    }
    if (known == WEIR_HTTP_COOKIE) {
        return take_crumb(stream, value);
    }
    return add_field(&ex->request.fields, known, name, value);
}

bool h2_head_take(h2_stream *stream, weir_str name, weir_str value)
{
    struct h2_head *head = stream->head;
    const weir_http_core_conf *core = stream->ex->core;
    size_t bytes = name.len + value.len + 4;
    bool is_pseudo = name.len != 0 && name.data[0] == ':';

    head->lines += is_pseudo ? 0 : 1;
    if (head->status != 0 || head->is_put_off) {
        return true;
    }
    if (!reserve(stream, bytes)) {
        head->is_put_off = true;
        return true;
    }
    head->bytes += bytes;
    if (is_pseudo) {
        return take_pseudo(stream, name, value);
    }
    if (bytes > weir_http_line_limit(core)) {
        refuse(head, 494, "client sent too long header line");
        return true;
    }
    if (head->bytes > weir_http_head_limit(core)) {
        refuse(head, 494, "client sent too large request");
        return true;
    }
    /* :authority becomes the Host field. */
    if (head->lines + (head->authority.len != 0 ? 1 : 0) > core->max_headers) {
        refuse(head, 494, "client sent too many header lines");
        return true;
    }
    return take_field(stream, name, value);
}

bool h2_trailer_take(h2_stream *stream, weir_str name, weir_str value)
{
    weir_http_request *request = &stream->ex->request;
    const weir_http_core_conf *core = stream->ex->core;
    weir_http_name known = weir_http_name_find(name);

    /* Beyond the bounds they are dropped, as all that nobody knows may be (RFC 9110, 6.5.1). */
    request->head_bytes += name.len + value.len + 4;
    if ((known == WEIR_HTTP_OTHER && weir_http_name_is_odd(name, core->underscores_in_headers))
        || request->trailers.count >= core->max_headers
        || request->head_bytes > 2 * weir_http_head_limit(core)
        || !reserve(stream, name.len + value.len)) {
        stream->trailer_is_cut = true;
        return true;
    }
    return add_field(&request->trailers, known, name, value);
}

/* ---- the whole */

static bool join_crumbs(weir_http_request *request, const struct h2_head *head, weir_pool *pool)
{
    weir_builder joined;
    weir_str text;

    if (head->crumbs == NULL) {
        return true;
    }
    if (head->crumbs->next == NULL) {
        text = head->crumbs->text;
    } else {
        weir_builder_open(&joined, pool, head->crumbs_len);
        (void) weir_builder_room(&joined, head->crumbs_len);
        for (const crumb *piece = head->crumbs; piece != NULL; piece = piece->next) {
            weir_builder_add(&joined, piece == head->crumbs ? WEIR_STR_EMPTY : WEIR_STR("; "));
            weir_builder_add(&joined, piece->text);
        }
        if (!weir_builder_close(&joined, &text)) {
            return false;
        }
    }
    return weir_http_fields_add_parsed(&request->fields, WEIR_HTTP_COOKIE, WEIR_STR("Cookie"),
                                       text);
}

/* :authority and Host say the same, or only one of them is there (RFC 9113, 8.3.1). */
static const char *settle_host(weir_http_request *request, const struct h2_head *head)
{
    const weir_http_field *host = weir_http_fields_find(&request->fields, WEIR_HTTP_HOST);

    if (head->authority.len == 0) {
        return host == NULL ? "client sent neither \":authority\" nor \"Host\" header" : NULL;
    }
    if (host != NULL) {
        return weir_str_eq_nocase(host->value, head->authority)
                   ? NULL
                   : "client sent \":authority\" and \"Host\" headers with different values";
    }
    return weir_http_fields_add_parsed(&request->fields, WEIR_HTTP_HOST, WEIR_STR("Host"),
                                       head->authority)
               ? NULL
               : "no memory for \"Host\"";
}

static const char *settle_target(weir_http_request *request, const struct h2_head *head)
{
    weir_http_request_line parsed;

    if (request->method == WEIR_HTTP_CONNECT && head->protocol.len == 0) {
        request->target = head->authority;
        return NULL;
    }
    if (!weir_str_eq_nocase(head->scheme, WEIR_STR("http"))
        && !weir_str_eq_nocase(head->scheme, WEIR_STR("https"))) {
        return "client sent invalid \":scheme\" header";
    }
    if (head->path.len == 0 || (head->path.data[0] != '/' && head->path.data[0] != '*')
        || !weir_http_parse_target_form(head->protocol.len != 0 ? WEIR_STR("GET") : head->method,
                                        head->path, &parsed)) {
        return "client sent invalid \":path\" header";
    }
    return NULL;
}

/* As it would have been in HTTP/1: for logs and $request. */
static bool make_line(weir_http_request *request, weir_pool *pool)
{
    size_t len = request->method_text.len + request->target.len
                 + sizeof(" "
                          " HTTP/2.0")
                 - 1;
    weir_builder line;

    weir_builder_open(&line, pool, len);
    (void) weir_builder_room(&line, len);
    weir_builder_add(&line, request->method_text);
    weir_builder_add_byte(&line, ' ');
    weir_builder_add(&line, request->target);
    weir_builder_add(&line, WEIR_STR(" HTTP/2.0"));
    return weir_builder_close(&line, &request->line);
}

static const char *settle_body(h2_stream *stream)
{
    weir_http_request *request = &stream->ex->request;
    const weir_http_field *length =
        weir_http_fields_find(&request->fields, WEIR_HTTP_CONTENT_LENGTH);

    if (length != NULL) {
        if (weir_http_fields_next(&request->fields, length) != NULL) {
            return "client sent duplicate header line: \"Content-Length\"";
        }
        if (!weir_http_parse_content_length(length->value, &request->content_length)) {
            return "client sent invalid \"Content-Length\" header";
        }
        request->has_body = true;
    }
    if (stream->in_ended) {
        request->body_ended = true;
        return NULL;
    }
    request->has_body = true;
    request->expects_continue = weir_str_eq_nocase(
        weir_http_fields_value(&request->fields, WEIR_HTTP_EXPECT), WEIR_STR("100-continue"));
    return NULL;
}

/* CONNECT (RFC 9113, 8.5): its stream is to be the client's end of a tunnel. */
static const char *settle_connect(h2_stream *stream)
{
    if (stream->in_ended) {
        return "client ended the stream of CONNECT";
    }
    if (weir_http_fields_find(&stream->ex->request.fields, WEIR_HTTP_CONTENT_LENGTH) != NULL) {
        return "client sent CONNECT with \"Content-Length\"";
    }
    h2_tunnel_take_stream(stream);
    return NULL;
}

/* CONNECT with :protocol (RFC 8441): its stream is to be a WebSocket's connection. */
static const char *settle_tunnel(h2_stream *stream, unsigned *status)
{
    if (!weir_str_eq_nocase(stream->head->protocol, WEIR_STR("websocket"))) {
        *status = 501;
        return "client asked for an unknown \":protocol\"";
    }
    if (stream->in_ended) {
        return "client ended the stream of an extended CONNECT";
    }
    if (weir_http_fields_find(&stream->ex->request.fields, WEIR_HTTP_CONTENT_LENGTH) != NULL) {
        return "client sent an extended CONNECT with \"Content-Length\"";
    }
    if (!h2_tunnel_ask(stream)) {
        *status = 500;
        return "no memory for a request";
    }
    return NULL;
}

static const char *settle(h2_stream *stream, unsigned *status)
{
    weir_http_request *request = &stream->ex->request;
    const struct h2_head *head = stream->head;
    weir_pool *pool = stream->ex->pool;
    const char *why;

    request->method_text = head->method;
    request->method = weir_http_method_find(head->method);
    request->target = head->path;
    request->protocol = head->protocol;
    request->host_port = head->authority;

    *status = 400;
    why = settle_target(request, head);
    if (why != NULL) {
        request->target = WEIR_STR_EMPTY;
    }
    if (!make_line(request, pool) || !join_crumbs(request, head, pool)) {
        *status = 500;
        return "no memory for a request";
    }
    if (head->status != 0) {
        *status = head->status;
        return head->why;
    }
    if (why != NULL) {
        return why;
    }
    if ((why = settle_host(request, head)) != NULL) {
        return why;
    }
    if (head->protocol.len != 0) {
        return settle_tunnel(stream, status);
    }
    return request->method == WEIR_HTTP_CONNECT ? settle_connect(stream) : settle_body(stream);
}

/* As with more streams than are allowed: the client may ask again (RFC 9113, 8.7). */
static void put_off(h2_stream *stream)
{
    weir_http_exchange *ex = stream->ex;

    ex->response.status = 503;
    ex->end_reason = "too large headers on one http2 connection";
    weir_log_line(&ex->log, WEIR_LOG_INFO, 0,
                  "http2 stream %d is refused: the headers of %zu requests have %zu bytes already",
                  stream->id, stream->h2->stream_count - 1,
                  stream->h2->heads_bytes - stream->head_bytes);
    if (stream->head->lines <= ex->core->max_headers) {
        h2_guard_head_taken(&stream->h2->guard, ex->request.head_bytes);
    }
    /* Neither is the reset its fault. */
    h2_guard_earn(&stream->h2->guard, H2_COST_RESET);
    h2_stream_break(stream, NGHTTP2_REFUSED_STREAM);
}

void h2_head_complete(h2_stream *stream, size_t bytes)
{
    weir_http_exchange *ex = stream->ex;
    unsigned status;
    const char *why;

    stream->head_is_complete = true;
    stream->head_deadline_ms = 0;
    ex->request.head_bytes = bytes;
    if (stream->head->is_put_off) {
        put_off(stream);
        return;
    }
    why = settle(stream, &status);
    if (why != NULL) {
        weir_http_exchange_refuse(ex, status, why);
        return;
    }
    h2_guard_head_taken(&stream->h2->guard, bytes);
    weir_http_exchange_start(ex);
}
