#include <errno.h>
#include <unistd.h>

#include "core/base/random.h"
#include "modules/http/waf/waf_internal.h"

/* From an exchange to a transaction. */

/* Rules say what is logged: the level of error_log does not keep it out. */
static void log_rule(void *subject, weir_str line, bool is_disruptive)
{
    const weir_http_exchange *ex = subject;

    (void) is_disruptive;
    weir_log_always(&ex->log, WEIR_LOG_ERR, line);
}

#define ID_MAX 128

/* A variable may have what a client sent: it stays one word in each log, and part of the name of a file. */
static bool clean_id(weir_pool *pool, weir_str text, weir_str *id)
{
    weir_builder builder;

    weir_builder_open(&builder, pool, ID_MAX);
    for (size_t i = 0; i < text.len && i < ID_MAX; i++) {
        char c = text.data[i];

        weir_builder_add_byte(&builder, c <= ' ' || c > '~' || c == '"' || c == '\\' ? '_' : c);
    }
    return weir_builder_close(&builder, id);
}

static bool make_id(weir_http_exchange *ex, const weir_http_waf_conf *conf, weir_str *id)
{
    uint8_t bytes[16];
    weir_builder builder;

    if (conf->transaction_id != NULL) {
        weir_str text;

        if (!weir_template_text(conf->transaction_id, &ex->script, &text)) {
            return false;
        }
        if (text.len != 0) {
            return clean_id(ex->pool, text, id);
        }
    }
    for (size_t i = 0; i < sizeof(bytes); i += sizeof(uint64_t)) {
        uint64_t random = weir_random_fast();

        memcpy(bytes + i, &random, sizeof(random));
    }
    weir_builder_open(&builder, ex->pool, 2 * sizeof(bytes));
    weir_builder_add_hexdump(&builder, weir_str_of((const char *) bytes, sizeof(bytes)));
    return weir_builder_close(&builder, id);
}

static bool add_connection(weir_http_waf_state *state)
{
    const weir_http_exchange *ex = state->ex;
    const weir_addr *client = weir_http_client_addr(ex);
    const weir_addr *server = weir_connection_local(weir_http_client_connection(ex));
    char client_text[WEIR_ADDR_TEXT_MAX], server_text[WEIR_ADDR_TEXT_MAX];
    weir_waf_connection connection = {
        .client_port = weir_addr_port(client),
        .server_port = weir_addr_port(server),
        .user = ex->remote_user,
    };

    if (!weir_str_copy(ex->pool, weir_addr_text(client, false, client_text),
                       &connection.client_addr)
        || !weir_str_copy(ex->pool, weir_addr_text(server, false, server_text),
                          &connection.server_addr)) {
        return false;
    }
    weir_waf_set_connection(state->tx, &connection);
    return true;
}

/*
 * As the client sent it: an error page may have made another one of it since.  `*rest` is what comes after it.  A CONNECT
 * that asks for a protocol (RFC 8441) is what a GET with Upgrade is elsewhere, and rules are to see that.
 */
static weir_str raw_method(const weir_http_request *request, weir_str *rest)
{
    weir_str method;

    *rest = request->line;
    if (!weir_str_split(rest, ' ', &method)) {
        return request->method_text;
    }
    return request->protocol.len != 0 ? WEIR_STR("GET") : method;
}

/* The target as it stands in the line, before the protocol. */
static weir_str raw_target(const weir_http_request *request, weir_str rest)
{
    size_t end = rest.len;

    while (end > 0 && rest.data[end - 1] != ' ') {
        end--;
    }
    return end == 0 ? request->target : weir_str_slice(rest, 0, end - 1);
}

/* As the client named it: of what weir takes for HTTP/1.1, rules are to see "HTTP/1.2". */
static weir_str protocol_of(const weir_http_request *request)
{
    weir_str line = request->line;
    size_t at = line.len;

    while (at > 0 && line.data[at - 1] != ' ') {
        at--;
    }
    line = weir_str_from(line, at);
    return weir_str_starts(line, WEIR_STR("HTTP/")) ? line
                                                    : weir_http_version_text(request->version);
}

static void add_request(weir_http_waf_state *state)
{
    const weir_http_request *request = &state->ex->request;
    weir_str rest, method = raw_method(request, &rest);
    weir_waf_request_line line = {
        .line = request->line,
        .method = method,
        .target = raw_target(request, rest),
        .protocol = protocol_of(request),
    };

    weir_waf_set_request_line(state->tx, &line);
    for (size_t i = 0; i < request->fields.count; i++) {
        const weir_http_field *field = &request->fields.items[i];

        if (!field->is_removed) {
            weir_waf_add_request_header(state->tx, field->text, field->value);
        }
    }
}

static void transaction_free(void *subject)
{
    weir_http_waf_state *state = subject;

    weir_waf_transaction_free(state->tx);
}

weir_http_waf_state *weir_http_waf_begin(weir_http_exchange *ex, const weir_http_waf_conf *conf)
{
    weir_http_waf_state *state = weir_http_state(ex, &weir_http_waf, sizeof(*state));
    weir_waf_options options = {
        .log = log_rule,
        .subject = ex,
        .store = conf->rules.main->store,
        .only_detects = conf->mode == WEIR_HTTP_WAF_DETECTION || conf->learn_log.file != NULL,
        .forces_on = conf->mode == WEIR_HTTP_WAF_DETECTION,
        .budget = {.work = conf->work_limit, .bytes = conf->memory_limit},
    };

    if (state == NULL || !make_id(ex, conf, &options.unique_id)) {
        return NULL;
    }
    state->ex = ex;
    state->conf = conf;
    state->tx = weir_waf_transaction_new(conf->rules.program, conf->rules.main->worker, &options);
    if (state->tx == NULL) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "no memory to inspect the request");
        return NULL;
    }
    if (weir_pool_on_free(ex->pool, transaction_free, state) == NULL) {
        weir_waf_transaction_free(state->tx);
        state->tx = NULL;
        return NULL;
    }
    if (!add_connection(state)) {
        return NULL;
    }
    add_request(state);
    return state;
}

/* ---- bodies */

#define JOINED_TURN                                                                                \
    ((size_t) 1024 * 1024) /* most of the time goes to pages that are touched first */

static bool read_span(weir_http_exchange *ex, const weir_span *span, uint64_t from, char *to,
                      size_t bytes)
{
    size_t done = 0;

    if (span->kind != WEIR_SPAN_FILE) {
        memcpy(to, span->data + from, bytes);
        return true;
    }
    while (done < bytes) {
        ssize_t got =
            pread(span->fd, to + done, bytes - done, span->offset + (off_t) (from + done));

        if (got <= 0) {
            weir_log_line(&ex->log, WEIR_LOG_CRIT, got == 0 ? 0 : errno,
                          "the request's body cannot be read back from its file");
            return false;
        }
        done += (size_t) got;
    }
    return true;
}

/* No memory is a verdict, not a failure: where rules only detect, the request goes on. */
static void join_begin(weir_http_waf_state *state, const weir_chain *chain, uint64_t limit)
{
    weir_http_waf_joined *joined = &state->joined;
    size_t bytes = chain->len < limit ? (size_t) chain->len : (size_t) limit;

    *joined = (weir_http_waf_joined){
        .to = weir_pool_bytes(weir_waf_transaction_pool(state->tx), bytes),
        .bytes = bytes,
        .span = chain->first,
        .is_begun = true,
    };
    if (joined->to == NULL) {
        weir_waf_exhausted(state->tx, "memory");
        joined->bytes = 0;
    }
}

/* Copied, as whoever sends a chain on gives its blocks back.  WAIT: the turn is over.  FAIL: the file cannot be read, logged. */
static weir_result join(weir_http_waf_state *state, const weir_chain *chain, uint64_t limit,
                        weir_str *text)
{
    weir_http_waf_joined *joined = &state->joined;
    size_t turn = JOINED_TURN;

    if (!joined->is_begun) {
        join_begin(state, chain, limit);
    }
    while (joined->len < joined->bytes) {
        uint64_t in_span = joined->span->len - joined->from;
        size_t part = joined->bytes - joined->len;

        part = part < in_span ? part : (size_t) in_span;
        part = part < turn ? part : turn;
        if (part == 0 && turn == 0) {
            return WEIR_WAIT;
        }
        if (!read_span(state->ex, joined->span, joined->from, joined->to + joined->len, part)) {
            joined->is_begun = false;
            return WEIR_FAIL;
        }
        turn -= part;
        joined->len += part;
        joined->from += part;
        if (joined->from == joined->span->len) {
            joined->span = joined->span->next;
            joined->from = 0;
        }
    }
    joined->is_begun = false; /* the next is another body */
    *text = weir_str_of(joined->to, joined->len);
    return WEIR_OK;
}

static void add_trailers(weir_http_waf_state *state)
{
    const weir_http_fields *trailers = &state->ex->request.trailers;

    for (size_t i = 0; i < trailers->count; i++) {
        weir_waf_add_request_trailer(state->tx, trailers->items[i].text, trailers->items[i].value);
    }
}

weir_result weir_http_waf_add_body(weir_http_waf_state *state)
{
    const weir_chain *body = &state->ex->request.body;
    uint64_t limit = weir_waf_request_body_limit(state->tx);
    weir_str text = WEIR_STR_EMPTY;
    weir_result result = weir_chain_is_empty(body) ? WEIR_OK : join(state, body, limit, &text);

    if (result == WEIR_OK) {
        add_trailers(state);
        if (!weir_chain_is_empty(body)) {
            weir_waf_set_request_body(state->tx, text, body->len > limit);
        }
    }
    return result;
}

weir_result weir_http_waf_add_ahead(weir_http_waf_state *state, uint64_t limit)
{
    const weir_chain *ahead = &state->ex->ahead;
    weir_str text = WEIR_STR_EMPTY;
    weir_result result = weir_chain_is_empty(ahead) ? WEIR_OK : join(state, ahead, limit, &text);

    if (result == WEIR_OK) {
        weir_waf_set_response_body(state->tx, text, state->ahead_is_cut);
    }
    return result;
}

void weir_http_waf_add_response(weir_http_waf_state *state)
{
    const weir_http_response *response = &state->ex->response;
    weir_builder builder;
    weir_str length;

    state->response_is_added = true;
    state->status_added = response->status;
    weir_waf_set_response(state->tx, response->status, weir_http_version_text(response->version));
    for (size_t i = 0; i < response->fields.count; i++) {
        const weir_http_field *field = &response->fields.items[i];

        if (!field->is_removed) {
            weir_waf_add_response_header(state->tx, field->text, field->value);
        }
    }
    if (response->content_type.len != 0) {
        weir_waf_add_response_header(state->tx, WEIR_STR("Content-Type"), response->content_type);
    }
    if (response->content_length >= 0) {
        weir_builder_open(&builder, weir_waf_transaction_pool(state->tx), 24);
        weir_builder_add_int(&builder, response->content_length);
        if (weir_builder_close(&builder, &length)) {
            weir_waf_add_response_header(state->tx, WEIR_STR("Content-Length"), length);
        }
    }
}
