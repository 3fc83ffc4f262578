#include "core/base/clock.h"
#include "core/process/worker.h"
#include "modules/http/wire/h1_internal.h"

/* Responses: the head is made in one go; bodies are pulled as the client takes them, framed, and written. */

/* What one pull may bring. */
#define PULL_BYTES (4 * WEIR_BLOCK_BYTES)
/* What most heads of responses fit in. */
#define HEAD_BYTES 512

/* ---- heads */

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
    weir_http_response *response = &ex->response;
    bool may_chunk = ex->request.version == WEIR_HTTP_11 && ex->core->chunked_transfer_encoding;

    if (response->is_upgrade) {
        h1->framing = END_CLOSE;
        return;
    }
    /* No other framing has a place for trailers (RFC 9112, 7.1.2). */
    if (response->needs_trailers && may_chunk) {
        response->content_length = -1;
    }
    if (response->has_no_body) {
        h1->framing = END_NONE;
    } else if (response->content_length >= 0) {
        h1->framing = END_LENGTH;
        h1->response_left = (uint64_t) response->content_length;
    } else if (may_chunk) {
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
        if (response->status_text.len == 3) {
            /* An origin's that gave no reason: the space is to be there all the same (RFC 9112, 4). */
            weir_builder_add_byte(head, ' ');
        }
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
        if (ex->response.status == 101) {
            weir_builder_add(head, WEIR_STR("Connection: upgrade\r\n"));
        }
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
    if (!response->server_is_theirs) {
        weir_str token = weir_http_server_token(ex);

        if (token.len != 0) {
            add_field(&head, WEIR_STR("Server"), token);
        }
    }
    if (!response->date_is_theirs) {
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

bool h1_send_interim(weir_http_exchange *ex, unsigned status, const weir_http_fields *fields)
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

/* Bytes that may go out now; 0: after a pause. */
static uint64_t rate_allows(h1_connection *h1)
{
    uint64_t pause_ms;
    uint64_t allowed = weir_http_rate_allows(h1->ex, &pause_ms);

    if (allowed == 0) {
        h1->is_rate_paused = true;
        h1_wait_for(h1, pause_ms);
    }
    return allowed;
}

/* Whether the connection is closed as soon as what is there has gone out. */
static bool is_last(const h1_connection *h1, bool source_waits)
{
    const weir_http_exchange *ex = h1->ex;

    return !ex->keepalive && !ex->response.is_upgrade
           && (h1->pull_ended
               || (!source_waits && h1->framing == END_LENGTH && h1->response_left == 0))
           && !weir_http_exchange_has_background(ex);
}

static weir_result write_out(h1_connection *h1, bool source_waits)
{
    weir_http_exchange *ex = h1->ex;
    uint64_t allowed = rate_allows(h1);
    uint64_t before = h1->out.len;
    weir_result result;

    if (allowed == 0) {
        return WEIR_WAIT;
    }
    h1->connection->write_is_last = is_last(h1, source_waits);
    result = weir_connection_write(h1->connection, &h1->out, allowed);
    ex->bytes_sent += before - h1->out.len;
    if (result == WEIR_OK && !weir_chain_is_empty(&h1->out)) {
        return rate_allows(h1) == 0 ? WEIR_WAIT : WEIR_OK;
    }
    if (result == WEIR_WAIT) {
        h1_wait_for(h1, ex->core->send_timeout_ms);
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
    uint64_t share = ex->core->sendfile_max_chunk;
    uint64_t begun = ex->bytes_sent;

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
                h1_wait_for_nothing(h1);
                return PUMP_WAITS;
            }
            continue;
        }
        switch (write_out(h1, pull_result == WEIR_WAIT)) {
        case WEIR_OK:
            if (pull_result == WEIR_WAIT && weir_chain_is_empty(&h1->out)) {
                h1_wait_for_nothing(h1);
                return PUMP_WAITS;
            }
            if (share != 0 && ex->bytes_sent - begun >= share) {
                /* A client that takes all there is would keep the others waiting. */
                weir_task_post(h1->connection->loop, &h1->go_on);
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

    h1_wait_for_nothing(h1);
    if (ex->response.is_upgrade) {
        ex->upgraded(ex);
        return PUMP_WAITS;
    }
    ex->response.body_ended = true;
    return PUMP_DONE;
}

void h1_pump(h1_connection *h1)
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

void h1_respond(weir_http_exchange *ex)
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
    weir_connection_set_nodelay(h1->connection, ex->core->tcp_nodelay);
    h1_pump(h1);
}

void h1_wake(weir_http_exchange *ex)
{
    h1_pump(ex->wire_state);
}
