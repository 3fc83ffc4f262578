#include "modules/http/engine/engine_internal.h"

#include "core/base/version.h"

/* Responses that weir makes itself: statuses, redirects, error pages. */

static void is_ours(weir_http_response *response)
{
    response->from_upstream = false;
    response->server_is_theirs = false;
    response->date_is_theirs = false;
}

weir_http_verdict weir_http_answer_because(weir_http_exchange *ex, unsigned status,
                                           const char *reason)
{
    ex->response.status = status;
    is_ours(&ex->response);
    ex->is_bare = true;
    if (reason != NULL) {
        ex->end_reason = reason;
    }
    return WEIR_HTTP_ANSWERED;
}

weir_http_verdict weir_http_answer(weir_http_exchange *ex, unsigned status)
{
    return weir_http_answer_because(ex, status, NULL);
}

weir_http_verdict weir_http_answer_text(weir_http_exchange *ex, unsigned status,
                                        weir_str content_type, weir_str text)
{
    ex->response.status = status;
    is_ours(&ex->response);
    ex->response.content_length = (int64_t) text.len;
    /* An origin that redirected here may have said it (X-Accel-Redirect). */
    if (content_type.len != 0) {
        ex->response.content_type = content_type;
    } else if (ex->response.content_type.len == 0) {
        ex->response.content_type = weir_http_content_type(ex->core, ex->request.extension);
    }
    ex->is_bare = false;
    weir_chain_clear(&ex->body);
    return weir_chain_add_memory(&ex->body, text) ? WEIR_HTTP_ANSWERED : WEIR_HTTP_FAILED;
}

/* ---- redirects */

/* scheme://name[:port] of this server as the client knows it. */
static void add_origin(weir_builder *builder, weir_http_exchange *ex)
{
    const weir_addr *local = weir_connection_local(weir_http_client_connection(ex));
    uint16_t port = weir_addr_port(local);
    uint16_t usual = ex->client->is_tls ? 443 : 80;
    weir_str host = ex->core->server_name_in_redirect ? ex->server->name : ex->request.host;
    char text[WEIR_ADDR_TEXT_MAX];

    if (host.len == 0) {
        host = weir_addr_text(local, false, text);
    }
    weir_builder_add(builder, ex->request.scheme);
    weir_builder_add(builder, WEIR_STR("://"));
    weir_builder_add(builder, host);
    if (ex->core->port_in_redirect && port != 0 && port != usual) {
        weir_builder_add_byte(builder, ':');
        weir_builder_add_uint(builder, port);
    }
}

bool weir_http_make_absolute(weir_http_exchange *ex, weir_str *location)
{
    weir_builder builder;

    if (location->len == 0 || location->data[0] != '/' || !ex->core->absolute_redirect) {
        return true;
    }
    weir_builder_open(&builder, ex->pool, SIZE_MAX);
    add_origin(&builder, ex);
    weir_builder_add(&builder, *location);
    return weir_builder_close(&builder, location);
}

weir_http_verdict weir_http_answer_redirect(weir_http_exchange *ex, unsigned status,
                                            weir_str location)
{
    if (!weir_http_make_absolute(ex, &location)) {
        return WEIR_HTTP_FAILED;
    }
    if (!weir_http_fields_set(&ex->response.fields, WEIR_HTTP_LOCATION_FIELD, location)) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "a redirect's Location cannot be sent: \"%.*s\"",
                      WEIR_STR_ARG(location));
        return WEIR_HTTP_FAILED;
    }
    return weir_http_answer(ex, status);
}

weir_http_verdict weir_http_answer_slash(weir_http_exchange *ex)
{
    const weir_http_request *request = &ex->request;
    weir_builder builder;
    weir_str target;

    weir_builder_open(&builder, ex->pool, SIZE_MAX);
    if (!weir_http_escape_path(&builder, request->path)) {
        return WEIR_HTTP_FAILED;
    }
    weir_builder_add_byte(&builder, '/');
    if (request->args.len != 0) {
        weir_builder_add_byte(&builder, '?');
        weir_builder_add(&builder, request->args);
    }
    if (!weir_builder_close(&builder, &target)) {
        return WEIR_HTTP_FAILED;
    }
    return weir_http_answer_redirect(ex, 301, target);
}

/* ---- weir's own pages */

static const struct {
    unsigned status;
    weir_str title;
    weir_str text;
} special_pages[] = {
    {494, WEIR_STR_INIT("400 Request Header Or Cookie Too Large"),
     WEIR_STR_INIT("<center>Request Header Or Cookie Too Large</center>\r\n")},
    {495, WEIR_STR_INIT("400 The SSL certificate error"),
     WEIR_STR_INIT("<center>The SSL certificate error</center>\r\n")},
    {496, WEIR_STR_INIT("400 No required SSL certificate was sent"),
     WEIR_STR_INIT("<center>No required SSL certificate was sent</center>\r\n")},
    {497, WEIR_STR_INIT("400 The plain HTTP request was sent to HTTPS port"),
     WEIR_STR_INIT("<center>The plain HTTP request was sent to HTTPS port</center>\r\n")},
};

/* Codes that nobody has a name for are sent bare. */
static bool has_page(unsigned status)
{
    return (status > 300 && status != 304 && weir_http_reason(status).len != 0)
           || (status >= 494 && status <= 497);
}

weir_str weir_http_server_token(weir_http_exchange *ex)
{
    weir_str text;

    switch (ex->core->server_tokens.kind) {
    case WEIR_HTTP_TOKENS_OFF:
        return WEIR_STR("weir");
    case WEIR_HTTP_TOKENS_BUILD:
        return WEIR_STR(WEIR_PRODUCT_BUILD);
    case WEIR_HTTP_TOKENS_TEXT:
        return weir_template_text(ex->core->server_tokens.text, &ex->script, &text)
                       && weir_http_is_field_value(text)
                   ? text
                   : WEIR_STR_EMPTY;
    default:
        return WEIR_STR(WEIR_PRODUCT);
    }
}

/* nginx's pages, which people match on, have other words than its status lines here. */
static weir_str page_reason(unsigned status)
{
    switch (status) {
    case 302:
        return WEIR_STR("Found");
    case 401:
        return WEIR_STR("Authorization Required");
    default:
        return weir_http_reason(status);
    }
}

static bool make_page(weir_http_exchange *ex, unsigned shown)
{
    weir_str title = WEIR_STR_EMPTY;
    weir_str heading = WEIR_STR("400 Bad Request");
    weir_str text = WEIR_STR_EMPTY;
    weir_builder builder;
    weir_str page;

    weir_builder_open(&builder, ex->pool, SIZE_MAX);
    for (size_t i = 0; i < WEIR_COUNT(special_pages); i++) {
        if (special_pages[i].status == shown) {
            title = special_pages[i].title;
            text = special_pages[i].text;
        }
    }
    if (title.len == 0) {
        char *room = weir_pool_bytes(ex->pool, 64);
        weir_builder line;

        if (room == NULL) {
            return false;
        }
        weir_builder_over(&line, room, 64);
        weir_builder_add_uint(&line, shown);
        weir_builder_add_byte(&line, ' ');
        weir_builder_add(&line, page_reason(shown));
        title = heading = weir_builder_cut(&line);
    }

    weir_str token = weir_http_server_token(ex);

    weir_builder_add(&builder, WEIR_STR("<html>\r\n<head><title>"));
    weir_builder_add(&builder, title);
    weir_builder_add(&builder, WEIR_STR("</title></head>\r\n<body>\r\n<center><h1>"));
    weir_builder_add(&builder, heading);
    weir_builder_add(&builder, WEIR_STR("</h1></center>\r\n"));
    weir_builder_add(&builder, text);
    if (ex->page_note.len != 0) {
        weir_builder_add(&builder, WEIR_STR("<center>"));
        weir_builder_add(&builder, ex->page_note);
        weir_builder_add(&builder, WEIR_STR("</center>\r\n"));
    }
    if (token.len != 0) {
        weir_builder_add(&builder, WEIR_STR("<hr><center>"));
        weir_builder_add(&builder, token);
        weir_builder_add(&builder, WEIR_STR("</center>\r\n"));
    }
    weir_builder_add(&builder, WEIR_STR("</body>\r\n</html>\r\n"));
    if (!weir_builder_close(&builder, &page)) {
        return false;
    }

    ex->response.content_type = WEIR_STR("text/html");
    ex->response.content_length = (int64_t) page.len;
    weir_chain_clear(&ex->body);
    return weir_chain_add_memory(&ex->body, page);
}

/* What was meant for the response that is replaced. */
static void drop_entity(weir_http_exchange *ex)
{
    weir_http_response *response = &ex->response;

    static const weir_http_name names[] = {
        WEIR_HTTP_CONTENT_ENCODING,
        WEIR_HTTP_CONTENT_LENGTH,
        WEIR_HTTP_CONTENT_RANGE,
        WEIR_HTTP_CONTENT_TYPE,
        WEIR_HTTP_ETAG,
        WEIR_HTTP_LAST_MODIFIED,
        WEIR_HTTP_ACCEPT_RANGES,
        WEIR_HTTP_TRANSFER_ENCODING,
    };

    for (size_t i = 0; i < WEIR_COUNT(names); i++) {
        /* A 416 says how long the representation is (RFC 9110, 15.5.17). */
        if (names[i] != WEIR_HTTP_CONTENT_RANGE || response->status != 416) {
            weir_http_fields_remove(&response->fields, names[i]);
        }
    }
    response->status_text = WEIR_STR_EMPTY;
    response->content_type = WEIR_STR_EMPTY;
    response->content_length = -1;
    response->last_modified_s = -1;
    response->allow_ranges = false;
    response->is_upgrade = false;
    response->accel_charset = WEIR_STR_EMPTY;
    response->must_flush = false;
    weir_http_body_forget(ex);
}

static const weir_http_error_page *find_error_page(const weir_http_exchange *ex, unsigned status)
{
    if (ex->core->error_pages == NULL || ex->error_page_is_last) {
        return NULL;
    }
    for (WEIR_ARRAY_EACH(ex->core->error_pages, const weir_http_error_page, page)) {
        if (page->status == status) {
            return page;
        }
    }
    return NULL;
}

/* Restarts the phases for the page, or makes the response a redirect to it; else the status stays. */
static void show_error_page(weir_http_exchange *ex, const weir_http_error_page *page,
                            unsigned status)
{
    weir_str target;
    weir_str args = WEIR_STR_EMPTY;
    const char *mark;

    if (!weir_template_text(page->target, &ex->script, &target) || target.len == 0) {
        return;
    }

    ex->shows_error_page = true;
    ex->error_page_is_last |= !ex->core->recursive_error_pages;
    if (target.data[0] != '/' && target.data[0] != '@') {
        unsigned code = page->overwrite > 0 ? (unsigned) page->overwrite : 302;

        if (code != 301 && code != 303 && code != 307 && code != 308) {
            code = 302;
        }
        (void) weir_http_answer_redirect(ex, code, target);
        return;
    }

    ex->error_status = page->overwrite >= 0 ? (unsigned) page->overwrite : status;
    if (target.data[0] == '@') {
        (void) weir_http_redirect_named(ex, target);
        return;
    }

    /* The page is fetched by GET, whatever was asked for. */
    if (ex->request.method != WEIR_HTTP_HEAD) {
        ex->request.method = WEIR_HTTP_GET;
        ex->request.method_text = weir_http_method_text(WEIR_HTTP_GET);
    }

    mark = weir_str_find_byte(target, '?');
    if (mark != NULL) {
        args = weir_str_from(target, (size_t) (mark - target.data) + 1);
        target = weir_str_slice(target, 0, (size_t) (mark - target.data));
    }
    (void) weir_http_redirect_internal(ex, target, args);
}

/* Who asks for a tunnel shows a proxy's name and password, not a server's (RFC 9110, 11.7). */
static void ask_as_proxy(weir_http_exchange *ex)
{
    weir_http_fields *fields = &ex->response.fields;
    weir_str value;

    ex->response.status = 407;
    if (!weir_http_fields_join(fields, WEIR_HTTP_WWW_AUTHENTICATE, WEIR_STR_EMPTY, WEIR_STR(", "),
                               ex->pool, &value)) {
        return;
    }
    weir_http_fields_remove(fields, WEIR_HTTP_WWW_AUTHENTICATE);
    if (value.len != 0 && !weir_http_fields_set(fields, WEIR_HTTP_PROXY_AUTHENTICATE, value)) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "no memory for \"Proxy-Authenticate\"");
    }
}

/* What broke framing or trust, or us, ends the connection, whatever page tells of it. */
static bool ends_connection(unsigned status)
{
    switch (status) {
    case 400:
    case 413:
    case 414:
    case 494:
    case 495:
    case 496:
    case 497:
    case 500:
    case 501:
        return true;
    default:
        return false;
    }
}

/* False: the exchange begins again, with its error page. */
static bool settle_bare(weir_http_exchange *ex)
{
    if (ex->response.status == 401 && ex->request.method == WEIR_HTTP_CONNECT) {
        ask_as_proxy(ex);
    }

    unsigned status = ex->response.status;
    const weir_http_error_page *page = find_error_page(ex, status);

    ex->is_bare = false;
    ex->keepalive = ex->keepalive && !ends_connection(status);
    if (status >= 300) {
        /* An error page that fails itself is no page: its own status counts. */
        ex->error_status = 0;
    }
    drop_entity(ex);
    if (page != NULL) {
        show_error_page(ex, page, status);
        if (ex->is_restarted) {
            return false;
        }
        /* The page is a redirect for the client, or cannot be shown. */
        status = ex->response.status;
        ex->is_bare = false;
    }

    if (has_page(status) && status != 444 && !make_page(ex, status)) {
        ex->response.content_length = 0;
    }
    if (!has_page(status)) {
        ex->response.content_length = 0;
    }
    if (status >= 494 && status <= 497) {
        ex->response.status = 400;
    }
    return true;
}

bool weir_http_settle_bare(weir_http_exchange *ex)
{
    bool was_running = ex->is_running;
    bool is_settled;

    ex->is_running = true;
    is_settled = settle_bare(ex);
    ex->is_running = was_running;
    return is_settled;
}

weir_str weir_http_content_type(const weir_http_core_conf *core, weir_str extension)
{
    const weir_str *type = extension.len == 0 ? NULL : weir_map_find(core->types, extension);

    return type == NULL ? core->default_type : *type;
}

bool weir_http_type_is_listed(const weir_array *types, weir_str content_type)
{
    weir_str rest = content_type;
    weir_str type = WEIR_STR_EMPTY;

    (void) weir_str_split(&rest, ';', &type);
    type = weir_str_trim(type);
    if (weir_str_eq_nocase(type, WEIR_STR("text/html"))) {
        return true;
    }
    for (WEIR_ARRAY_EACH(types, const weir_str, listed)) {
        if (weir_str_eq(*listed, WEIR_STR("*"))
            || (type.len != 0 && weir_str_eq_nocase(*listed, type))) {
            return true;
        }
    }
    return false;
}

void weir_http_respond_status(weir_http_exchange *ex, unsigned status, const char *reason)
{
    (void) weir_http_answer_because(ex, status, reason);
    if (ex->is_running) {
        return;
    }
    if (weir_http_settle_bare(ex)) {
        weir_http_respond(ex);
    } else {
        ex->is_restarted = false;
        weir_http_run(ex);
    }
}
