#include "modules/http/engine/core_conf.h"
#include "modules/http/engine/engine_internal.h"

#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/number.h"
#include "core/process/cycle.h"
#include "core/tls/tls.h"

/* The life of an exchange: made, started, held, ended. */

/* nginx's limit on rewrite cycles and internal redirects together. */
#define REDIRECTS_MAX 10

/* ---- counting: of a wire's exchanges */

enum {
    NOT_COUNTED,
    COUNTED_READING,
    COUNTED_WRITING,
};

static void count_as(weir_http_exchange *ex, unsigned what)
{
    weir_http_counts_row *counts = ex->client->counts;

    if (ex->counted == COUNTED_READING) {
        weir_http_count_down(&counts->reading);
    } else if (ex->counted == COUNTED_WRITING) {
        weir_http_count_down(&counts->writing);
    }
    ex->counted = what;
    if (what == COUNTED_READING) {
        weir_http_count_up(&counts->reading);
    } else if (what == COUNTED_WRITING) {
        weir_http_count_up(&counts->writing);
    }
}

/* Subrequests, and what is made for its variables alone, are no requests of clients. */
void weir_http_exchange_count(weir_http_exchange *ex)
{
    if (ex->client->counts != NULL) {
        count_as(ex, COUNTED_READING);
        weir_http_count_up(&ex->client->counts->requests);
    }
}

/* ---- what log lines say about an exchange */

static void exchange_describe(weir_builder *line, const void *subject)
{
    const weir_http_exchange *ex = subject;
    const weir_http_request *request = &ex->request;
    char text[WEIR_ADDR_TEXT_MAX];

    weir_builder_add(line, WEIR_STR(", client: "));
    weir_builder_add(line, weir_addr_text(weir_http_client_addr(ex), false, text));
    if (ex->server != NULL) {
        weir_builder_add(line, WEIR_STR(", server: "));
        weir_builder_add(line, ex->server->name);
    }
    if (request->line.len != 0) {
        weir_builder_printf(line, ", request: \"%.*s\"", WEIR_STR_ARG(request->line));
    }
    if (ex->parent != NULL) {
        weir_builder_printf(line, ", subrequest: \"%.*s\"", WEIR_STR_ARG(request->path));
    }
    if (ex->upstream_note.len != 0) {
        weir_builder_printf(line, ", upstream: \"%.*s\"", WEIR_STR_ARG(ex->upstream_note));
    }
    if (request->host_port.len != 0) {
        weir_builder_printf(line, ", host: \"%.*s\"", WEIR_STR_ARG(request->host_port));
    }

    weir_str referrer = weir_http_fields_value(&request->fields, WEIR_HTTP_REFERER);

    if (referrer.len != 0) {
        weir_builder_printf(line, ", referrer: \"%.*s\"", WEIR_STR_ARG(referrer));
    }
}

/* ---- making */

static void run_posted(weir_task *task)
{
    weir_http_run(WEIR_OWNER(task, weir_http_exchange, run_task));
}

/* As weir_http_fields_init(), in memory that is zero already. */
static void fields_begin(weir_http_fields *fields, weir_pool *pool, uint16_t limit)
{
    fields->pool = pool;
    fields->limit = limit;
}

weir_http_exchange *weir_http_exchange_new(weir_http_connection *client, const weir_http_wire *wire,
                                           void *wire_state)
{
    const weir_http_core_conf *core = client->server->core;
    const weir_clock *clock = weir_clock_now();
    weir_pool *pool;
    weir_http_exchange *ex =
        WEIR_NEW_WITH_POOL(weir_http_exchange, core->request_pool_bytes, &pool);

    if (ex == NULL) {
        return NULL;
    }

    ex->pool = pool;
    ex->client = client;
    ex->wire = wire;
    ex->wire_state = wire_state;
    ex->main = ex;
    ex->log = client->connection->log;
    ex->log.describe = exchange_describe;
    ex->log.subject = ex;
    ex->redirects_left = REDIRECTS_MAX;
    ex->keepalive = true;
    ex->started_ms = clock->monotonic_ms;
    ex->connection_requests = client->requests;

    ex->request.content_length = -1;
    ex->request.body_file = -1;
    ex->request.version = WEIR_HTTP_11;
    ex->request.scheme = client->is_tls ? WEIR_STR("https") : WEIR_STR("http");
    ex->response.content_length = -1;
    ex->response.last_modified_s = -1;
    ex->response.version = WEIR_HTTP_11;
    fields_begin(&ex->request.fields, pool, (uint16_t) core->max_headers);
    fields_begin(&ex->request.trailers, pool, (uint16_t) core->max_headers);
    fields_begin(&ex->response.fields, pool, RESPONSE_FIELDS_MAX);
    fields_begin(&ex->response.trailers, pool, RESPONSE_FIELDS_MAX);

    weir_list_init(&ex->children);
    weir_list_init(&ex->sibling);
    weir_list_init(&ex->holds);
    weir_list_init(&ex->body_filters);
    weir_list_init(&ex->run_task.link);
    ex->run_task.name = "http exchange";
    ex->run_task.run = run_posted;
    weir_script_begin(&ex->script, weir_http_of_address(client->address)->space, ex, pool,
                      &ex->log);
    weir_http_exchange_enter_server(ex, client->server);
    return ex;
}

void weir_http_exchange_enter(weir_http_exchange *ex, const weir_http_location *location)
{
    ex->location = location;
    ex->core = location->core;
    ex->settings = location->settings;
    if (location->core->error_log != NULL) {
        ex->log.target = location->core->error_log;
    }
}

void weir_http_exchange_enter_server(weir_http_exchange *ex, const weir_http_server *server)
{
    ex->server = server;
    weir_http_exchange_enter(ex, server->root);
}

/* ---- starting */

/* host [":" port] of a Host field: the host's length, and what is to be done to it.  False: malformed. */
static bool host_measure(weir_str text, size_t *len, bool *has_capitals)
{
    bool in_brackets = false;
    size_t i;

    *has_capitals = false;
    for (i = 0; i < text.len; i++) {
        switch (weir_http_host_bytes[(unsigned char) text.data[i]]) {
        case WEIR_HTTP_HOST_PLAIN:
            break;
        case WEIR_HTTP_HOST_CAPITAL:
            *has_capitals = true;
            break;
        case WEIR_HTTP_HOST_DOT:
            if (i > 0 && text.data[i - 1] == '.') {
                return false;
            }
            break;
        case WEIR_HTTP_HOST_OPENS:
            if (i != 0) {
                return false;
            }
            in_brackets = true;
            break;
        case WEIR_HTTP_HOST_CLOSES:
            /* Behind an address only its port may follow (RFC 3986, 3.2). */
            if (!in_brackets || (i + 1 < text.len && text.data[i + 1] != ':')) {
                return false;
            }
            in_brackets = false;
            break;
        case WEIR_HTTP_HOST_COLON:
            if (!in_brackets) {
                goto port;
            }
            break;
        default:
            return false;
        }
    }

port:
    *len = i;
    for (i++; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
    }
    return !in_brackets;
}

/* The host is lower-cased, without port and final dot. */
static bool host_split(weir_http_request *request, weir_pool *pool)
{
    weir_str host = request->host_port;
    bool has_capitals;

    if (!host_measure(host, &host.len, &has_capitals)) {
        return false;
    }
    if (host.len > 0 && host.data[host.len - 1] == '.') {
        host.len--;
    }
    if (host.len == 0) {
        /* HTTP/1.0 may say nothing of its host; ":80" says less. */
        request->host = WEIR_STR_EMPTY;
        return request->host_port.len == 0;
    }
    if (has_capitals) {
        return weir_str_lower(pool, host, &request->host);
    }
    request->host = host;
    return true;
}

/* Fields that say one thing: of two, we might obey the first, and who is behind us the second. */
static const struct {
    weir_http_name name;
    const char *why;
} singles[] = {
    {WEIR_HTTP_AUTHORIZATION, "client sent duplicate header line: \"Authorization\""},
    {WEIR_HTTP_EXPECT, "client sent duplicate header line: \"Expect\""},
    {WEIR_HTTP_CONTENT_RANGE, "client sent duplicate header line: \"Content-Range\""},
    {WEIR_HTTP_IF_MATCH, "client sent duplicate header line: \"If-Match\""},
    {WEIR_HTTP_IF_NONE_MATCH, "client sent duplicate header line: \"If-None-Match\""},
    {WEIR_HTTP_IF_MODIFIED_SINCE, "client sent duplicate header line: \"If-Modified-Since\""},
    {WEIR_HTTP_IF_UNMODIFIED_SINCE, "client sent duplicate header line: \"If-Unmodified-Since\""},
    {WEIR_HTTP_IF_RANGE, "client sent duplicate header line: \"If-Range\""},
};

static const char *singles_check(const weir_http_fields *fields)
{
    for (size_t i = 0; i < WEIR_COUNT(singles); i++) {
        const weir_http_field *first = weir_http_fields_find(fields, singles[i].name);

        if (WEIR_UNLIKELY(first != NULL) && weir_http_fields_next(fields, first) != NULL) {
            return singles[i].why;
        }
    }
    return NULL;
}

/* One Host and no more, from HTTP/1.1 on (RFC 9112, 3.2). */
static const char *host_check(weir_http_exchange *ex)
{
    weir_http_request *request = &ex->request;
    weir_http_field *host = weir_http_fields_find(&request->fields, WEIR_HTTP_HOST);

    if (host == NULL) {
        if (request->version == WEIR_HTTP_11) {
            return "client sent HTTP/1.1 request without \"Host\" header";
        }
    } else {
        if (weir_http_fields_next(&request->fields, host) != NULL) {
            return "client sent duplicate \"Host\" header";
        }
        if (host->value.len == 0) {
            /* No http URI has an empty host (RFC 9110, 4.2.1): so says none of its requests. */
            return "client sent empty \"Host\" header";
        }
        if (request->host_port.len == 0) {
            request->host_port = host->value;
        } else {
            /* The target's authority is what counts, for all who read the field, too (RFC 9112, 3.2.2). */
            host->value = request->host_port;
        }
    }
    return host_split(request, ex->pool) ? singles_check(&request->fields)
                                         : "client sent invalid host";
}

/* ignore_invalid_headers, underscores_in_headers: those of the server that Host has chosen, wherever Host stood. */
static void odd_names_drop(weir_http_exchange *ex)
{
    weir_http_fields *fields = &ex->request.fields;

    ex->request.has_odd_names = false;
    for (size_t i = 0; i < fields->count && ex->core->ignore_invalid_headers; i++) {
        weir_http_field *field = &fields->items[i];

        if (field->name == WEIR_HTTP_OTHER
            && weir_http_name_is_odd(field->text, ex->core->underscores_in_headers)) {
            weir_log_line(&ex->log, WEIR_LOG_INFO, 0,
                          "client sent invalid header line: \"%.*s: %.*s\"",
                          WEIR_STR_ARG(field->text), WEIR_STR_ARG(field->value));
            field->is_removed = true;
        }
    }
}

/* The server that Host names, or the default one. Without Host, that of SNI stays. */
static unsigned server_choose(weir_http_exchange *ex, const char **why)
{
    const weir_http_connection *client = ex->client;
    const weir_http_server *server =
        client->address->has_one_server
            ? weir_http_server_of(client->address->default_server)
            : weir_http_server_of(weir_server_find(client->address, ex->request.host, &ex->script));

    if (server == NULL && ex->request.host.len != 0) {
        server = weir_http_server_of(client->address->default_server);
    }
    if (server != NULL && server != ex->server) {
        weir_http_exchange_enter_server(ex, server);
    }
    if (!client->is_tls) {
        return 0;
    }

    /* A certificate checked for one server says nothing to another (RFC 9110, 7.4). */
    const weir_tls_server *shaken = weir_tls_server_of(client->connection);

    if (shaken != NULL && ex->server->base.tls != NULL
        && !weir_tls_server_verifies_like(shaken, ex->server->base.tls)) {
        *why = "client attempted to request the server name different from the one that was "
               "negotiated";
        return 421;
    }

    switch (weir_tls_client_judge(client->connection, ex->server->base.tls,
                                  " while reading client request headers", &ex->log)) {
    case WEIR_TLS_CLIENT_ALLOWED:
        return 0;
    case WEIR_TLS_CLIENT_MISSING:
        ex->end_reason = "client sent no required SSL certificate";
        return 496;
    case WEIR_TLS_CLIENT_BAD:
        ex->end_reason = "client SSL certificate verify error";
        return 495;
    }
    return 0;
}

weir_str weir_http_request_port(const weir_http_request *request)
{
    weir_str host = request->host_port;
    size_t at = host.len;

    while (at > 0 && host.data[at - 1] >= '0' && host.data[at - 1] <= '9') {
        at--;
    }
    return at > 0 && host.data[at - 1] == ':' ? weir_str_from(host, at) : WEIR_STR_EMPTY;
}

/*
 * CONNECT asks for a tunnel to a host and a port, and has no content (RFC 9110, 9.3.6).  What follows it on the
 * connection is bytes of the tunnel, or nothing: never a request.
 */
static unsigned connect_check(weir_http_exchange *ex, const char **why)
{
    const weir_http_request *request = &ex->request;
    uint64_t port;

    ex->keepalive = false;
    if (!ex->server->takes_connect) {
        *why = "client sent CONNECT method";
        return 405;
    }
    if (!weir_str_eq(request->target, request->host_port)
        || !weir_parse_uint(weir_http_request_port(request), UINT16_MAX, &port) || port == 0) {
        *why = "client sent CONNECT without a host and a port";
        return 400;
    }
    if (request->has_body && request->content_length != 0) {
        *why = "client sent CONNECT with a body";
        return 400;
    }
    return 0;
}

static void refuse(weir_http_exchange *ex, unsigned status, const char *reason)
{
    weir_http_request *request = &ex->request;

    ex->keepalive = false;
    if (request->has_odd_names) {
        odd_names_drop(ex);
    }
    /* For error pages in named locations; a target that cannot be read leaves the path empty. */
    if (request->path.len == 0 && request->target.len != 0
        && !weir_http_parse_target(request, request->target, ex->core->merge_slashes, ex->pool)) {
        weir_http_set_path(request, WEIR_STR_EMPTY);
    }
    if (reason != NULL) {
        weir_log_line(&ex->log, WEIR_LOG_INFO, 0, "%s while reading client request headers",
                      reason);
    }
    weir_http_respond_status(ex, status, reason);
}

void weir_http_exchange_start(weir_http_exchange *ex)
{
    weir_http_request *request = &ex->request;
    const char *why = host_check(ex);
    unsigned status;

    weir_list_append(&weir_http_of_address(ex->client->address)->exchanges, &ex->sibling);
    if (ex->counted != NOT_COUNTED) {
        count_as(ex, COUNTED_WRITING);
    }
    if (why != NULL) {
        refuse(ex, 400, why);
        return;
    }
    status = server_choose(ex, &why);
    if (WEIR_UNLIKELY(request->has_odd_names)) {
        odd_names_drop(ex);
    }
    if (ex->client->plain_on_tls_port) {
        /* By the server of its host, which may have an error_page for it. */
        refuse(ex, 497, "client sent plain HTTP request to HTTPS port");
        return;
    }
    if (status != 0) {
        refuse(ex, status, why);
        return;
    }

    if (WEIR_UNLIKELY(request->method == WEIR_HTTP_CONNECT) && request->protocol.len == 0) {
        /* Its target has no path: the whole of the server is meant. */
        weir_http_set_path(request, WEIR_STR("/"));
        status = connect_check(ex, &why);
        if (status != 0) {
            refuse(ex, status, why);
            return;
        }
    } else if (weir_str_eq(request->target, WEIR_STR("*"))) {
        weir_http_set_path(request, request->target);
    } else if (!weir_http_parse_target(request, request->target, ex->core->merge_slashes,
                                       ex->pool)) {
        refuse(ex, 400, "client sent invalid request target");
        return;
    }
    if (request->method == WEIR_HTTP_TRACE) {
        refuse(ex, 405, "client sent TRACE method");
        return;
    }

    weir_http_enter_phase(ex, WEIR_HTTP_PHASE_POST_READ);
    weir_http_run(ex);
}

/*
 * Of a head that was not read to its end the host may have come: whose the request was is whose the answer and the log are,
 * unless that server would not have this client.
 */
static void server_guess(weir_http_exchange *ex)
{
    const weir_http_server *before = ex->server;
    const char *why;

    if (host_check(ex) == NULL && server_choose(ex, &why) != 0) {
        weir_http_exchange_enter_server(ex, before);
    }
}

void weir_http_exchange_refuse(weir_http_exchange *ex, unsigned status, const char *reason)
{
    server_guess(ex);
    refuse(ex, status, reason);
}

/* ---- holding */

void weir_http_hold_add(weir_http_exchange *ex, weir_http_hold *hold, const char *name,
                        void (*cancel)(weir_http_exchange *ex, weir_http_hold *hold))
{
    hold->name = name;
    hold->cancel = cancel;
    hold->is_held = true;
    weir_list_append(&ex->holds, &hold->link);
}

void weir_http_hold_drop(weir_http_exchange *ex, weir_http_hold *hold)
{
    (void) ex;
    if (hold->is_held) {
        hold->is_held = false;
        weir_list_remove(&hold->link);
    }
}

void weir_http_holds_cancel(weir_http_exchange *ex)
{
    weir_list *link;

    while ((link = weir_list_first(&ex->holds)) != NULL) {
        weir_http_hold *hold = WEIR_OWNER(link, weir_http_hold, link);

        weir_log_debug(&ex->log, "http exchange ends: cancels \"%s\"", hold->name);
        weir_http_hold_drop(ex, hold);
        hold->cancel(ex, hold);
    }
}

/* ---- ending */

void weir_http_exchange_log(weir_http_exchange *ex)
{
    /* When the worker was about to end. */
    if (ex->phase == WEIR_HTTP_PHASE_LOG) {
        return;
    }
    if (ex->parent != NULL && !ex->core->log_subrequest) {
        return;
    }
    /* Empty lines, and then nothing: there was no request. */
    if (ex->response.status == 0 && ex->request.line.len == 0) {
        return;
    }
    ex->phase = WEIR_HTTP_PHASE_LOG;
    for (const weir_http_hook *hook = ex->location->phases[WEIR_HTTP_PHASE_LOG];
         hook->module != NULL; hook++) {
        (void) hook->module->judge(ex, hook->settings);
    }
}

static void exchange_free(weir_http_exchange *ex)
{
    weir_task_cancel(&ex->run_task);
    weir_chain_clear(&ex->ahead);
    weir_chain_clear(&ex->body);
    weir_chain_clear(&ex->request.body);
    if (ex->request.body_file != -1) {
        (void) close(ex->request.body_file);
    }
    weir_http_filters_clear(ex);
    weir_pool_free(ex->pool);
}

void weir_http_exchange_left(weir_http_exchange *ex)
{
    if (!ex->is_running && !ex->is_kept) {
        exchange_free(ex);
    }
}

void weir_http_exchange_parent_left(void *subject)
{
    weir_http_exchange *ex = subject;

    ex->is_kept = false;
    weir_http_exchange_left(ex);
}

bool weir_http_exchange_has_background(const weir_http_exchange *ex)
{
    for (const weir_list *link = ex->children.next; link != &ex->children; link = link->next) {
        const weir_http_exchange *child = WEIR_OWNER(link, const weir_http_exchange, sibling);

        if ((child->child_flags & WEIR_HTTP_CHILD_IN_BACKGROUND) != 0) {
            return true;
        }
    }
    return false;
}

void weir_http_child_left(weir_http_exchange *parent)
{
    if (parent->ends_after_children) {
        weir_http_exchange_end(parent);
    }
}

void weir_http_exchange_end(weir_http_exchange *ex)
{
    weir_list *link;

    if (ex->is_ended) {
        return;
    }
    if (!ex->client_is_gone && !ex->response.body_is_short
        && weir_http_exchange_has_background(ex)) {
        ex->ends_after_children = true;
        return;
    }
    ex->is_ended = true;

    while ((link = weir_list_first(&ex->children)) != NULL) {
        weir_http_exchange_end(WEIR_OWNER(link, weir_http_exchange, sibling));
    }
    weir_http_holds_cancel(ex);
    weir_http_exchange_log(ex);
    weir_list_remove(&ex->sibling);
    if (ex->counted != NOT_COUNTED) {
        count_as(ex, NOT_COUNTED);
    }
    /* With it, the connection may go. */
    ex->wire->ended(ex);

    weir_http_exchange_left(ex);
}

void weir_http_exchange_drop(void *ex)
{
    exchange_free(ex);
}

void weir_http_client_gone(weir_http_exchange *ex)
{
    if (ex->ends_after_children) {
        return;
    }
    /* Without it neither can the rest of a body come, nor the rest of a response go. */
    if (ex->ignores_client_abort && !ex->response.head_is_sent && ex->body_readable == NULL
        && !weir_list_is_empty(&ex->holds)) {
        ex->client_is_gone = true;
        return;
    }
    ex->client_is_gone = true;
    ex->keepalive = false;
    if (!ex->response.head_is_sent) {
        weir_log_line(&ex->log, WEIR_LOG_INFO, 0, "client prematurely closed connection");
        ex->response.status = 499;
        ex->end_reason = "client closed connection";
    }
    ex->wire->abort(ex);
}

/* ---- small answers for modules */

const weir_addr *weir_http_client_addr(const weir_http_exchange *ex)
{
    return ex->main->client_addr != NULL ? ex->main->client_addr : &ex->client->connection->peer;
}

bool weir_http_set_client_addr(weir_http_exchange *ex, const weir_addr *addr)
{
    weir_addr *copy = WEIR_NEW(ex->main->pool, weir_addr);

    if (copy == NULL) {
        return false;
    }
    *copy = *addr;
    ex->main->client_addr = copy;
    return true;
}

weir_connection *weir_http_client_connection(const weir_http_exchange *ex)
{
    return ex->client->connection;
}

uint64_t weir_http_body_bytes_sent(const weir_http_exchange *ex)
{
    return ex->bytes_sent > ex->response_head_bytes ? ex->bytes_sent - ex->response_head_bytes : 0;
}

uint64_t weir_http_rate_allows(const weir_http_exchange *ex, uint64_t *pause_ms)
{
    uint64_t elapsed_ms, allowed;

    /* What follows an upgrade's head is no longer the exchange's. */
    if (ex->limit_rate == 0 || ex->response.is_upgrade) {
        return UINT64_MAX;
    }
    elapsed_ms = weir_clock_now()->monotonic_ms - ex->started_ms;
    allowed = ex->limit_rate_after + ex->limit_rate * (elapsed_ms / 1000 + 1);
    if (ex->bytes_sent < allowed) {
        return allowed - ex->bytes_sent;
    }
    *pause_ms = (ex->bytes_sent - allowed) * 1000 / ex->limit_rate + 1000 - elapsed_ms % 1000;
    return 0;
}

static size_t module_index(const weir_http_exchange *ex, const weir_http_module *module)
{
    return weir_modules_index(weir_http_of_address(ex->client->address)->cycle->modules,
                              &module->base);
}

/* In a table by module index, made at first use. */
static void *state_of(weir_http_exchange *ex, void ***table, const weir_http_module *module,
                      size_t bytes)
{
    size_t index = module_index(ex, module);

    if (*table == NULL) {
        *table = WEIR_NEW_ARRAY(ex->pool, void *,
                                weir_http_of_address(ex->client->address)->module_count);
        if (*table == NULL) {
            return NULL;
        }
    }
    if ((*table)[index] == NULL) {
        (*table)[index] = weir_pool_zalloc(ex->pool, bytes);
    }
    return (*table)[index];
}

void *weir_http_state_find(const weir_http_exchange *ex, const weir_http_module *module)
{
    return ex->module_state == NULL ? NULL : ex->module_state[module_index(ex, module)];
}

void *weir_http_state(weir_http_exchange *ex, const weir_http_module *module, size_t bytes)
{
    return state_of(ex, &ex->module_state, module, bytes);
}

void *weir_http_whole_state_find(const weir_http_exchange *ex, const weir_http_module *module)
{
    const weir_http_exchange *main = ex->main;

    return main->whole_state == NULL ? NULL : main->whole_state[module_index(ex, module)];
}

void *weir_http_whole_state(weir_http_exchange *ex, const weir_http_module *module, size_t bytes)
{
    return state_of(ex->main, &ex->main->whole_state, module, bytes);
}

void weir_http_states_forget(weir_http_exchange *ex)
{
    const weir_http_cycle *http = weir_http_of_address(ex->client->address);

    if (ex->module_state == NULL) {
        return;
    }
    for (size_t i = 0; i < http->module_count; i++) {
        if (!weir_http_module_of(http->modules[i])->keeps_state) {
            ex->module_state[i] = NULL;
        }
    }
}

const void *weir_http_settings(const weir_http_exchange *ex, const weir_http_module *module)
{
    return ex->settings[module_index(ex, module)];
}
