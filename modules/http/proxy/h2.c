#include "core/base/clock.h"
#include "modules/http/proxy/proxy_internal.h"
#include "modules/http/wire/h1_parse.h"
#include "modules/http/wire/h2_client.h"

/*
 * HTTP/2 toward origins: one request at a time on a connection, whose session goes with it from one exchange to the next.
 * Frames may come and go at any time: the origin is read from even if nobody takes the body, as far as the window goes.
 */

/* What may be here of a body that the client does not take. */
#define WINDOW_BYTES (256 * 1024)
/* Heads that fit grpc_buffer_size as they are sent are larger when they are decoded (RFC 7541, 5.2 and 6). */
#define HEAD_TIMES 2
/* Reads of an idle connection in one turn. */
#define READS 8
/* :method, :scheme, :authority, :path, te */
#define FIELDS_OF_OURS 5

typedef struct {
    weir_http_h2_field *fields; /* of the request, once for all tries */
    size_t count;
    weir_http_h2_client *client; /* of this try; NULL: none yet, or no more */
    weir_http_h2_answer answer;
    uint64_t
        untaken; /* of the body: given out, and the origin does not know that there is room again */
} h2_state;

static h2_state *state_of(const proxy_state *proxy)
{
    return proxy->wire_state;
}

/* ---- the request's head */

/* A connection's, which have no place here, except "TE: trailers" (RFC 9113, 8.2.2); Host is :authority. */
static bool stays_out(weir_http_name name, weir_str value)
{
    if (name == WEIR_HTTP_TE) {
        return !weir_str_eq_nocase(value, WEIR_STR("trailers"));
    }
    return weir_http_name_is_of_connection(name) || name == WEIR_HTTP_HOST
           || name == WEIR_HTTP_HTTP2_SETTINGS;
}

static size_t count_lines(weir_str lines)
{
    size_t count = 0;

    for (size_t i = 0; i < lines.len; i++) {
        count += lines.data[i] == '\n';
    }
    return count;
}

/* "name: value" CR LF, as proxy_add_line() made them.  `host` NULL: none is wanted. */
static bool fields_of_lines(weir_str lines, weir_http_h2_field *fields, size_t *count,
                            weir_str *host)
{
    weir_str rest = lines;
    weir_str line;

    while (rest.len != 0 && weir_str_split(&rest, '\n', &line)) {
        weir_http_field_line parsed;

        line = line.len != 0 ? weir_str_slice(line, 0, line.len - 1) : line;
        if (weir_http_parse_field_line(line, &parsed) != WEIR_HTTP_FIELD_VALID) {
            return false;
        }
        if (parsed.known == WEIR_HTTP_HOST && host != NULL) {
            *host = parsed.value;
        }
        if (!stays_out(parsed.known, parsed.value)) {
            fields[(*count)++] = (weir_http_h2_field){parsed.name, parsed.value};
        }
    }
    return true;
}

static void put_first(h2_state *h2, weir_str name, weir_str value)
{
    *--h2->fields = (weir_http_h2_field){name, value};
    h2->count++;
}

static bool make_fields(proxy_state *proxy, h2_state *h2, weir_str method, weir_str lines)
{
    const weir_http_request *request = &proxy->ex->request;
    weir_http_h2_field *room =
        WEIR_NEW_ARRAY(proxy->ex->pool, weir_http_h2_field, FIELDS_OF_OURS + count_lines(lines));
    weir_str host = proxy->conf->headers->sets_host ? WEIR_STR_EMPTY : proxy->url.name;

    if (room == NULL) {
        return false;
    }
    /* Ours stand before these, from the last to the first. */
    h2->fields = room + FIELDS_OF_OURS;
    if (!fields_of_lines(lines, h2->fields, &h2->count, &host)) {
        return false;
    }
    /* gRPC's servers see by it that trailers come through. */
    if (!proxy->conf->headers->sets_te
        && weir_http_fields_have_token(&request->fields, WEIR_HTTP_TE, WEIR_STR("trailers"))) {
        put_first(h2, WEIR_STR("te"), WEIR_STR("trailers"));
    }
    put_first(h2, WEIR_STR(":path"), proxy->target);
    if (host.len != 0) {
        put_first(h2, WEIR_STR(":authority"), host);
    }
    put_first(h2, WEIR_STR(":scheme"), proxy->url.is_tls ? WEIR_STR("https") : WEIR_STR("http"));
    put_first(h2, WEIR_STR(":method"), method);
    return true;
}

static bool make_head(proxy_state *proxy)
{
    h2_state *h2 = WEIR_NEW(proxy->ex->pool, h2_state);
    weir_builder lines;
    weir_str method;

    if (h2 == NULL || !proxy_method_settle(proxy, &method)) {
        return false;
    }
    weir_builder_open(&lines, proxy->ex->pool, SIZE_MAX);
    (void) weir_builder_room(&lines, proxy->ex->request.head_bytes + 256);
    if (!proxy_add_lines(proxy, false, &lines) || !weir_builder_close(&lines, &proxy->head)
        || !make_fields(proxy, h2, method, proxy->head)) {
        return false;
    }
    proxy->wire_state = h2;
    return true;
}

/* ---- a try */

/* Writes what was pushed into `out`, as far as it goes. */
static void flush(proxy_state *proxy)
{
    if (!weir_chain_is_empty(&proxy->out)) {
        /* What fails is seen by the next read. */
        (void) weir_connection_write(proxy->origin, &proxy->out, UINT64_MAX);
    }
}

/* Between requests: PING, SETTINGS, GOAWAY. False: the connection is of no more use. */
static bool idle_readable(weir_balance_link *link)
{
    weir_http_h2_client *client = link->session;
    weir_block *block = weir_block_get();
    weir_chain out = {0};
    bool is_good = block != NULL;
    weir_result result = WEIR_OK;

    for (unsigned reads = 0; is_good && result == WEIR_OK; reads++) {
        size_t len;

        result = weir_connection_read(link->connection, block->data, WEIR_BLOCK_BYTES, &len);
        is_good = result == WEIR_WAIT
                  || (result == WEIR_OK && len != 0 && reads < READS
                      && weir_http_h2_client_take(client, weir_str_of(block->data, len), NULL,
                                                  weir_clock_now()->monotonic_ms));
    }
    is_good = is_good && weir_http_h2_client_push(client, &out) == WEIR_OK
              && weir_connection_write(link->connection, &out, UINT64_MAX) == WEIR_OK
              && weir_http_h2_client_may_begin(client);
    weir_chain_clear(&out);
    weir_block_unref(block);
    return is_good;
}

/* The session of this connection, new or kept. */
static weir_http_h2_client *session_of(proxy_state *proxy)
{
    weir_balance_link *link = proxy->link;

    if (link == NULL) {
        return NULL;
    }
    if (link->session == NULL) {
        link->session = weir_http_h2_client_new(proxy->origin->pool, WINDOW_BYTES);
        link->idle_readable = idle_readable;
    }
    return link->session;
}

static bool begin(proxy_state *proxy)
{
    h2_state *h2 = state_of(proxy);

    h2->client = session_of(proxy);
    h2->untaken = 0;
    h2->answer = (weir_http_h2_answer){
        .pool = proxy->ex->pool,
        .log = &proxy->ex->log,
        .head_max = proxy->conf->buffer_size * HEAD_TIMES,
        .lines_max = PROXY_FIELDS_MAX,
        .wants_trailers = proxy->conf->pass_trailers,
    };
    return h2->client != NULL
           && weir_http_h2_client_begin(h2->client, &h2->answer, h2->fields, h2->count,
                                        proxy_has_content(proxy));
}

static bool add_body(proxy_state *proxy, weir_chain *body, bool ended)
{
    h2_state *h2 = state_of(proxy);
    weir_http_h2_field *fields = NULL;
    size_t count = 0;
    weir_str lines = WEIR_STR_EMPTY;

    if (h2->client == NULL) {
        weir_chain_clear(body);
        return true;
    }
    if (ended && proxy_has_trailers(proxy)) {
        if (!proxy_trailers_make(proxy, &lines)
            || (fields =
                    WEIR_NEW_ARRAY(proxy->ex->pool, weir_http_h2_field, count_lines(lines) + 1))
                   == NULL
            || !fields_of_lines(lines, fields, &count, NULL)) {
            return false;
        }
    }
    return weir_http_h2_client_send(h2->client, body, ended, fields, count);
}

static weir_result push(proxy_state *proxy)
{
    h2_state *h2 = state_of(proxy);
    weir_result result =
        h2->client == NULL ? WEIR_OK : weir_http_h2_client_push(h2->client, &proxy->out);

    proxy->is_held_back = result == WEIR_WAIT;
    return result;
}

/* ---- the answer */

/* Gives what was read to the session. False: nothing more is to be had from it. */
static bool feed(proxy_state *proxy)
{
    h2_state *h2 = state_of(proxy);
    weir_str bytes = weir_str_of(proxy->data + proxy->start, proxy->end - proxy->start);

    proxy->start = proxy->end;
    return bytes.len == 0
           || weir_http_h2_client_take(h2->client, bytes, proxy->block,
                                       weir_clock_now()->monotonic_ms);
}

/* "upstream reset the http2 stream: REFUSED_STREAM" */
static const char *fault_text(const proxy_state *proxy, const weir_http_h2_answer *answer)
{
    weir_builder text;
    weir_str made;

    if (answer->fault == NULL) {
        return "upstream ended the http2 connection";
    }
    weir_builder_open(&text, proxy->ex->pool, SIZE_MAX);
    weir_builder_printf(&text, "%s: %s", answer->fault,
                        weir_http_h2_error_name(answer->error_code));
    weir_builder_add_byte(&text, '\0');
    return answer->error_code != 0 && weir_builder_close(&text, &made) ? made.data : answer->fault;
}

/* A request that the origin says it has not looked at is as good as never sent. */
static const char *take_fault(proxy_state *proxy)
{
    const weir_http_h2_answer *answer = &state_of(proxy)->answer;

    proxy->is_refused = !answer->is_malformed;
    if (answer->is_unprocessed) {
        proxy->was_begun = false;
    }
    return fault_text(proxy, answer);
}

/* Hints are a head of their own. */
static bool take_hints(proxy_state *proxy)
{
    weir_http_h2_answer *answer = &state_of(proxy)->answer;

    if (answer->hints.count == 0) {
        return false;
    }
    proxy->answer.status = 103;
    proxy->answer.fields = answer->hints;
    answer->hints = (weir_http_fields){0};
    return true;
}

static void head_complete(proxy_state *proxy)
{
    const weir_http_h2_answer *answer = &state_of(proxy)->answer;
    weir_http_response_head *head = &proxy->answer;

    head->status = answer->status;
    head->status_text = WEIR_STR_EMPTY;
    head->version = WEIR_HTTP_20;
    head->fields = answer->fields;
    head->end = WEIR_HTTP_END_STREAM;
    head->content_length = answer->content_length;
    proxy->takes_trailers = answer->wants_trailers;
    if (answer->ends_with_head && head->content_length < 0 && !head->answers_head
        && head->status != 204 && head->status != 304) {
        head->content_length = 0;
    } else if (!answer->ends_with_head && answer->content_length == 0 && answer->wants_trailers) {
        /* What follows is trailers, which a message of known length would not have. */
        head->content_length = -1;
    }
}

static weir_http_head_result take_head(proxy_state *proxy, const char **why)
{
    const weir_http_h2_answer *answer = &state_of(proxy)->answer;
    bool is_good = feed(proxy);

    if (take_hints(proxy)) {
        return WEIR_HTTP_HEAD_INTERIM;
    }
    if (answer->head_is_complete) {
        head_complete(proxy);
        return WEIR_HTTP_HEAD_COMPLETE;
    }
    /* Of what was read nothing is needed any more. */
    proxy_buffer_release(proxy);
    proxy->start = proxy->end = 0;
    if (!is_good || answer->fault != NULL) {
        *why = take_fault(proxy);
        return WEIR_HTTP_HEAD_INVALID;
    }
    return WEIR_HTTP_HEAD_MORE;
}

static bool take_body(proxy_state *proxy, weir_chain *out)
{
    h2_state *h2 = state_of(proxy);
    weir_http_h2_answer *answer = &h2->answer;
    bool is_good = feed(proxy);

    for (const weir_span *span = answer->body.first; span != NULL; span = span->next) {
        proxy_body_count(proxy, weir_str_of(span->data, span->len));
    }
    h2->untaken += answer->body.len;
    weir_chain_append(out, &answer->body);
    if (answer->is_ended) {
        proxy->trailers = answer->trailers;
        proxy_body_end(proxy);
        return true;
    }
    if (!is_good || answer->fault != NULL) {
        weir_log_line(&proxy->ex->log, WEIR_LOG_ERR, 0, "%s while %s", fault_text(proxy, answer),
                      proxy->doing);
        return false;
    }
    return true;
}

static void credit(proxy_state *proxy, uint64_t held)
{
    h2_state *h2 = state_of(proxy);

    if (h2->client == NULL || h2->untaken <= held) {
        return;
    }
    weir_http_h2_client_took(h2->client, h2->untaken - held);
    h2->untaken = held;
}

static void reply(proxy_state *proxy)
{
    if (push(proxy) != WEIR_FAIL) {
        flush(proxy);
    }
}

static bool leave(proxy_state *proxy)
{
    h2_state *h2 = state_of(proxy);
    weir_http_h2_client *client = h2->client;

    if (client == NULL) {
        return false;
    }
    h2->client = NULL;
    weir_http_h2_client_took(client, h2->untaken);
    weir_http_h2_client_end(client);
    return weir_http_h2_client_push(client, &proxy->out) == WEIR_OK
           && weir_connection_write(proxy->origin, &proxy->out, UINT64_MAX) == WEIR_OK
           && weir_http_h2_client_may_begin(client);
}

static void forget(proxy_state *proxy)
{
    h2_state *h2 = state_of(proxy);

    if (h2 != NULL) {
        h2->client = NULL;
        weir_chain_clear(&h2->answer.body);
    }
}

static const proxy_framing h2_framing = {
    .alpn = WEIR_STR_INIT("\x02h2"),
    .is_fit = idle_readable,
    .push = push,
    .reply = reply,
    .credit = credit,
    .leave = leave,
    .forget = forget,
};

const proxy_wire proxy_h2 = {
    .make_head = make_head,
    .begin = begin,
    .add_body = add_body,
    .take_head = take_head,
    .take_body = take_body,
    .framing = &h2_framing,
};
