#include "modules/http/proxy/proxy_internal.h"

/* What the origin is sent: the head, written in a single pass, and the body. */

#define BODY_READ_BYTES (4 * WEIR_BLOCK_BYTES)
/* What is kept of a streamed body for another try. */
#define REPLAY_BYTES (2 * WEIR_BLOCK_BYTES)

/* ---- proxy_set_header */

bool proxy_set_header_call(weir_conf *conf, void *settings, const weir_statement *statement,
                           const weir_http_module *module)
{
    proxy_conf *proxy = settings;
    weir_str name = statement->args[1];
    proxy_header *header;

    if (proxy->set_headers == NULL
        || !weir_level_has_set(weir_conf_level(conf), &module->base,
                               offsetof(proxy_conf, set_headers))) {
        proxy->set_headers = WEIR_NEW(weir_conf_pool(conf), weir_array);
        if (proxy->set_headers == NULL) {
            return weir_conf_refuse(conf, "no memory for \"%.*s\"",
                                    WEIR_STR_ARG(statement->args[0]));
        }
        weir_array_init(proxy->set_headers, weir_conf_pool(conf), sizeof(proxy_header), 8);
    }
    if (!weir_http_is_token(name)) {
        return weir_conf_refuse_arg(conf, statement, 1, "invalid field name \"%.*s\"",
                                    WEIR_STR_ARG(name));
    }

    header = weir_array_push(proxy->set_headers);
    if (header == NULL) {
        return weir_conf_refuse(conf, "no memory for \"%.*s\"", WEIR_STR_ARG(statement->args[0]));
    }
    header->name = weir_http_name_find(name);
    header->text = name;
    header->value = weir_template_new(conf, weir_space_of(conf, "http"), statement->args[2]);
    if (header->value == NULL) {
        return false;
    }
    if (weir_template_is_constant(header->value, &header->constant)) {
        header->value = NULL;
        if (!weir_http_is_field_value(header->constant)) {
            return weir_conf_refuse_arg(conf, statement, 2, "invalid field value");
        }
    }
    return true;
}

/* Of the client's fields, those that end here (RFC 9110, 7.6.1), and those that are weir's to say. */
static const weir_http_name stays_here[] = {
    WEIR_HTTP_HOST,
    WEIR_HTTP_CONNECTION,
    WEIR_HTTP_KEEP_ALIVE,
    WEIR_HTTP_PROXY_CONNECTION,
    WEIR_HTTP_TE,
    WEIR_HTTP_TRANSFER_ENCODING,
    WEIR_HTTP_CONTENT_LENGTH,
    WEIR_HTTP_TRAILER,
    WEIR_HTTP_UPGRADE,
    WEIR_HTTP_HTTP2_SETTINGS,
    WEIR_HTTP_EXPECT,
};

static bool headers_drop(weir_conf *conf, proxy_headers *headers, const proxy_header *header)
{
    if (header->name != WEIR_HTTP_OTHER) {
        headers->drops[header->name] = true;
        return true;
    }
    if (headers->drops_other == NULL) {
        headers->drops_other = weir_map_new(weir_conf_pool(conf), true, 8);
    }
    return headers->drops_other != NULL
           && weir_map_put(headers->drops_other, header->text, headers);
}

proxy_headers *proxy_headers_make(weir_conf *conf, const proxy_conf *settings)
{
    weir_pool *pool = weir_conf_pool(conf);
    proxy_headers *headers = WEIR_NEW(pool, proxy_headers);
    static const weir_array none;
    const weir_array *written = settings->set_headers != NULL ? settings->set_headers : &none;

    if (headers == NULL) {
        return NULL;
    }
    weir_array_init(&headers->set, pool, sizeof(proxy_header), 8);
    for (size_t i = 0; i < WEIR_COUNT(stays_here); i++) {
        headers->drops[stays_here[i]] = true;
    }

    for (WEIR_ARRAY_EACH(written, const proxy_header, header)) {
        bool is_sent = header->value != NULL || header->constant.len != 0;
        proxy_header *place;

        if (!headers_drop(conf, headers, header)) {
            return NULL;
        }
        headers->sets_host |= header->name == WEIR_HTTP_HOST;
        headers->sets_connection |= header->name == WEIR_HTTP_CONNECTION;
        headers->sets_te |= header->name == WEIR_HTTP_TE;
        headers->sets_upgrade |= header->name == WEIR_HTTP_UPGRADE && is_sent;

        /* The framing is the body's, whatever the settings say; only to leave it out can be asked for. */
        if (header->name == WEIR_HTTP_CONTENT_LENGTH
            || header->name == WEIR_HTTP_TRANSFER_ENCODING) {
            headers->drops_length |= header->name == WEIR_HTTP_CONTENT_LENGTH && !is_sent;
            if (is_sent) {
                weir_conf_warn(conf, "\"set_header %.*s\" is ignored: the body's framing says it",
                               WEIR_STR_ARG(header->text));
            }
            continue;
        }
        if (!is_sent) {
            continue;
        }
        place = weir_array_push(&headers->set);
        if (place == NULL) {
            return NULL;
        }
        *place = *header;
    }
    return headers;
}

/* ---- the head */

/* Field lines that the client itself said end here: "Connection: close, X-Name". */
static bool is_named_by_connection(const weir_http_request *request, const weir_http_field *field)
{
    /* These are the origin's to see, whatever a client says. */
    switch (field->name) {
    case WEIR_HTTP_AUTHORIZATION:
    case WEIR_HTTP_COOKIE:
    case WEIR_HTTP_FORWARDED:
    case WEIR_HTTP_X_FORWARDED_FOR:
    case WEIR_HTTP_X_REAL_IP:
        return false;
    default:
        return weir_http_fields_have_token(&request->fields, WEIR_HTTP_CONNECTION, field->text);
    }
}

/* "close" and "keep-alive" name no fields. */
static bool connection_names_fields(const weir_http_request *request)
{
    const weir_http_field *field = weir_http_fields_find(&request->fields, WEIR_HTTP_CONNECTION);

    return field != NULL
           && (field->next_same != 0
               || (!weir_str_eq_nocase(field->value, WEIR_STR("keep-alive"))
                   && !weir_str_eq_nocase(field->value, WEIR_STR("close"))));
}

void proxy_add_line(weir_builder *head, weir_str name, weir_str value)
{
    size_t bytes = name.len + value.len + 4;
    char *room = weir_builder_room(head, bytes);

    if (room == NULL) {
        return;
    }
    memcpy(room, name.data, name.len);
    room += name.len;
    *room++ = ':';
    *room++ = ' ';
    if (value.len != 0) {
        memcpy(room, value.data, value.len);
        room += value.len;
    }
    *room++ = '\r';
    *room = '\n';
    weir_builder_advance(head, bytes);
}

static void add_client_fields(proxy_state *proxy, weir_builder *head)
{
    const weir_http_request *request = &proxy->ex->request;
    const proxy_headers *headers = proxy->conf->headers;
    bool names_fields = connection_names_fields(request);

    for (size_t i = 0; i < request->fields.count; i++) {
        const weir_http_field *field = &request->fields.items[i];

        if (field->is_removed || headers->drops[field->name]) {
            continue;
        }
        if (field->name == WEIR_HTTP_OTHER && headers->drops_other != NULL
            && weir_map_find(headers->drops_other, field->text) != NULL) {
            continue;
        }
        if (names_fields && is_named_by_connection(request, field)) {
            continue;
        }
        if (WEIR_UNLIKELY(request->wants_identity) && field->name == WEIR_HTTP_ACCEPT_ENCODING) {
            continue;
        }
        proxy_add_line(head, field->text, field->value);
    }
}

/* HTTP/2 in a tunnel would be requests that no rule here sees; RFC 9113, 3.1 took it back. */
bool proxy_may_upgrade(const proxy_state *proxy)
{
    const weir_http_fields *fields = &proxy->ex->request.fields;

    return weir_http_fields_find(fields, WEIR_HTTP_UPGRADE) != NULL
           && !weir_http_fields_have_token(fields, WEIR_HTTP_UPGRADE, WEIR_STR("h2c"));
}

bool proxy_passes_upgrade(const proxy_state *proxy)
{
    const weir_http_request *request = &proxy->ex->request;

    return proxy->conf->upgrade && request->version == WEIR_HTTP_11 && proxy_may_upgrade(proxy)
           && weir_http_fields_have_token(&request->fields, WEIR_HTTP_CONNECTION,
                                          WEIR_STR("upgrade"));
}

void proxy_add_upgrade(const proxy_state *proxy, weir_builder *head)
{
    const weir_http_fields *fields = &proxy->ex->request.fields;

    weir_builder_add(head, WEIR_STR("Connection: upgrade\r\n"));
    for (const weir_http_field *field = weir_http_fields_find(fields, WEIR_HTTP_UPGRADE);
         field != NULL; field = weir_http_fields_next(fields, field)) {
        proxy_add_line(head, WEIR_STR("Upgrade"), field->value);
    }
}

/* With this Connection field. */
static proxy_stay stay_after(const proxy_state *proxy, weir_str connection)
{
    if (weir_http_has_token(connection, WEIR_STR("close"))) {
        return PROXY_STAY_REFUSED;
    }
    return proxy->conf->http_version == WEIR_HTTP_10
                   && weir_http_has_token(connection, WEIR_STR("keep-alive"))
               ? PROXY_STAY_ASKED_FOR
               : proxy->stay;
}

static bool add_set_fields(proxy_state *proxy, bool upgrades, weir_builder *head)
{
    weir_http_exchange *ex = proxy->ex;

    for (WEIR_ARRAY_EACH(&proxy->conf->headers->set, const proxy_header, header)) {
        weir_str value = header->constant;

        if (upgrades
            && (header->name == WEIR_HTTP_CONNECTION || header->name == WEIR_HTTP_UPGRADE)) {
            continue;
        }
        if (header->value != NULL) {
            if (!weir_template_text(header->value, &ex->script, &value)) {
                return false;
            }
            if (value.len == 0
                || (header->name == WEIR_HTTP_UPGRADE && !proxy_may_upgrade(proxy))) {
                continue;
            }
            if (!weir_http_is_field_value(value)) {
                weir_log_line(&ex->log, WEIR_LOG_ERR, 0,
                              "the value of \"set_header %.*s\" cannot be sent: \"%.*s\"",
                              WEIR_STR_ARG(header->text), WEIR_STR_ARG(value));
                return false;
            }
        }
        if (header->name == WEIR_HTTP_CONNECTION) {
            proxy->stay = stay_after(proxy, value);
        }
        proxy_add_line(head, header->text, value);
    }
    return true;
}

/* The body that goes out: its framing fields. */
static bool add_framing(proxy_state *proxy, weir_builder *head)
{
    const weir_http_request *request = &proxy->ex->request;
    const proxy_conf *conf = proxy->conf;
    uint64_t length;

    if (conf->set_body != NULL) {
        if (!weir_template_text(conf->set_body, &proxy->ex->script, &proxy->body_text)) {
            return false;
        }
        length = proxy->body_text.len;
    } else if (!conf->pass_request_body || !request->has_body) {
        /* A method that has content by its nature says that there is none (RFC 9110, 8.6). */
        if (conf->headers->drops_length || !request->has_body
            || (request->method != WEIR_HTTP_POST && request->method != WEIR_HTTP_PUT)) {
            return true;
        }
        length = 0;
    } else if (request->body_is_collected && !proxy_has_trailers(proxy)) {
        length = request->body.len;
    } else if (request->content_length >= 0 && !request->body_is_collected) {
        length = (uint64_t) request->content_length;
    } else {
        proxy->body_is_chunked = true;
        weir_builder_add(head, WEIR_STR("Transfer-Encoding: chunked\r\n"));
        return true;
    }

    if (conf->headers->drops_length && proxy->wire->framing != NULL) {
        return true;
    }
    weir_builder_add(head, WEIR_STR("Content-Length: "));
    weir_builder_add_uint(head, length);
    weir_builder_add(head, WEIR_STR("\r\n"));
    return true;
}

bool proxy_method_settle(proxy_state *proxy, weir_str *method_text)
{
    const weir_http_request *request = &proxy->ex->request;
    weir_http_method method = request->method;
    weir_str text = request->method_text;

    if (proxy->conf->method != NULL) {
        if (!weir_template_text(proxy->conf->method, &proxy->ex->script, &text)) {
            return false;
        }
        if (!weir_http_is_token(text)) {
            weir_log_line(&proxy->ex->log, WEIR_LOG_ERR, 0, "\"%.*s\" is no method to be sent",
                          WEIR_STR_ARG(text));
            return false;
        }
        method = weir_http_method_find(text);
    }
    proxy->answer.answers_head = method == WEIR_HTTP_HEAD;
    proxy->is_idempotent = weir_http_method_is_idempotent(method);
    *method_text = text;
    return true;
}

bool proxy_add_lines(proxy_state *proxy, bool upgrades, weir_builder *head)
{
    if (!add_set_fields(proxy, upgrades, head) || !add_framing(proxy, head)) {
        return false;
    }
    if (proxy->conf->pass_request_headers) {
        add_client_fields(proxy, head);
    }
    return true;
}

/* ---- the body */

/* Bytes in memory: a body that streams has no other. */
static bool copy(weir_chain *to, const weir_chain *from)
{
    for (const weir_span *span = from->first; span != NULL; span = span->next) {
        if (span->kind == WEIR_SPAN_FILE
            || !weir_chain_add_copy(to, weir_str_of(span->data, span->len))) {
            return false;
        }
    }
    return true;
}

bool proxy_has_content(const proxy_state *proxy)
{
    const weir_http_request *request = &proxy->ex->request;

    if (proxy->conf->set_body != NULL) {
        return proxy->body_text.len != 0;
    }
    return proxy->conf->pass_request_body && request->has_body
           && (proxy->body_is_streamed || request->body.len != 0 || proxy_has_trailers(proxy));
}

/* What is there of the body when a try begins. */
static bool begin_body(proxy_state *proxy, weir_chain *body)
{
    const weir_http_request *request = &proxy->ex->request;

    /* What is there stays, for further tries. */
    if (proxy->body_is_streamed) {
        return weir_chain_add_part(body, &proxy->replay, 0, proxy->replay.len);
    }
    if (proxy->conf->set_body != NULL) {
        return weir_chain_add_memory(body, proxy->body_text);
    }
    /* As add_framing() has announced it. */
    return !proxy->conf->pass_request_body || !request->has_body
           || weir_chain_add_part(body, &request->body, 0, request->body.len);
}

bool proxy_request_begin(proxy_state *proxy)
{
    const proxy_wire *wire = proxy->wire;
    weir_chain body = {0};

    weir_chain_clear(&proxy->out);
    proxy->is_sent = false;
    if (!wire->begin(proxy)) {
        return false;
    }
    if (begin_body(proxy, &body)
        && wire->add_body(proxy, &body,
                          !proxy->body_is_streamed || proxy->ex->request.body_ended)) {
        return true;
    }
    weir_chain_clear(&body);
    return false;
}

/*
 * What was taken of a streamed body, another try can have only if it is kept.  Where an origin may say that it has not
 * looked at it, the beginning is: that happens whenever it leaves (RFC 9113, 6.8).
 */
static void body_note(proxy_state *proxy, const weir_chain *body)
{
    if (weir_chain_is_empty(body) || proxy->body_was_taken) {
        return;
    }
    if (proxy->wire->framing == NULL || proxy->head_is_complete
        || proxy->replay.len + body->len > REPLAY_BYTES || !copy(&proxy->replay, body)) {
        proxy->body_was_taken = true;
        weir_chain_clear(&proxy->replay);
    }
}

weir_result proxy_body_read(proxy_state *proxy, void (*readable)(weir_http_exchange *ex))
{
    weir_http_exchange *ex = proxy->ex;
    weir_chain body = {0};
    weir_result result = weir_http_read_body(ex, &body, BODY_READ_BYTES, readable);

    if (result != WEIR_OK) {
        weir_chain_clear(&body);
        return result;
    }
    body_note(proxy, &body);
    if (!proxy->wire->add_body(proxy, &body, ex->request.body_ended)) {
        weir_chain_clear(&body);
        return WEIR_FAIL;
    }
    return WEIR_OK;
}
