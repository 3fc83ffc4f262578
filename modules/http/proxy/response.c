#include "modules/http/proxy/proxy_internal.h"

#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/number.h"

/* Heads of responses: read, parsed strictly, judged, and given to the engine. */

/* Interim responses that one answer may have before it. */
#define INTERIM_MAX 64

/* ---- reading */

/* The head so far moves into a piece that may hold all of it, and is parsed there from its beginning. */
static bool head_grow(proxy_state *proxy)
{
    size_t begins = proxy->start - proxy->answer.bytes;
    size_t bytes = proxy->end - begins;
    size_t size = proxy->conf->buffer_size + WEIR_BLOCK_BYTES;
    char *large = malloc(size);

    if (large == NULL) {
        return false;
    }
    memcpy(large, proxy->data + begins, bytes);
    proxy_buffer_release(proxy);
    proxy->head_large = large;
    proxy->data = large;
    proxy->size = size;
    proxy->end = bytes;
    proxy->start = proxy->scanned = 0;
    weir_http_response_head_reset(&proxy->answer);
    return true;
}

static bool head_room(proxy_state *proxy)
{
    if (proxy->data == NULL) {
        proxy->block = weir_block_get_large();
        if (proxy->block == NULL) {
            return false;
        }
        proxy->data = proxy->block->data;
        proxy->size = proxy->block->size;
        proxy->start = proxy->end = proxy->scanned = 0;
    }
    return proxy->end < proxy->size || (proxy->head_large == NULL && head_grow(proxy));
}

/*
 * The head was read into a large block, as a large body often comes right behind it.  Most answers are small, and may
 * wait long for their client: they move, and leave it to the next.
 */
static void head_settle(proxy_state *proxy)
{
    weir_block *small;

    if (proxy->block == NULL || proxy->block->size == WEIR_BLOCK_BYTES || proxy->start != 0
        || proxy->end > WEIR_BLOCK_BYTES / 4 || (small = weir_block_get()) == NULL) {
        return;
    }
    memcpy(small->data, proxy->data, proxy->end);
    weir_block_unref(proxy->block);
    proxy->block = small;
    proxy->data = small->data;
    proxy->size = small->size;
}

static bool is_hidden(const proxy_hidden *hidden, const weir_http_field *field);
static void respond(proxy_state *proxy);

/* What an origin says of its connection and of framing: the client's wire says its own. */
static bool ends_here(weir_http_name name)
{
    return weir_http_name_is_of_connection(name) || name == WEIR_HTTP_CONTENT_LENGTH
           || name == WEIR_HTTP_TE || name == WEIR_HTTP_TRAILER;
}

/* 103 (RFC 8297): what of it is for clients. */
static void pass_hints(proxy_state *proxy)
{
    const weir_http_fields *all = &proxy->answer.fields;
    weir_http_fields hints;

    if (!weir_http_wants_hints(proxy->ex)) {
        return;
    }
    weir_http_fields_init(&hints, proxy->ex->pool, PROXY_FIELDS_MAX);
    for (size_t i = 0; i < all->count; i++) {
        const weir_http_field *field = &all->items[i];

        if (!ends_here(field->name) && !is_hidden(proxy->conf->hidden, field)
            && !weir_http_fields_add_parsed(&hints, field->name, field->text, field->value)) {
            return;
        }
    }
    weir_http_send_interim(proxy->ex, 103, &hints);
}

static void head_invalid(proxy_state *proxy, const char *why)
{
    weir_log_line(&proxy->ex->log, WEIR_LOG_ERR, 0, "%s while %s", why, proxy->doing);
    proxy_fail(proxy, proxy->is_refused ? PROXY_FAILED_ERROR : PROXY_FAILED_INVALID, 502);
}

static void head_complete(proxy_state *proxy)
{
    proxy_attempt *attempt = proxy_attempt_now(proxy);

    proxy->head_is_complete = true;
    if (proxy->wire->framing == NULL) {
        proxy_head_keep(proxy);
    }
    proxy->ex->response.content_length = proxy->answer.content_length;
    attempt->status = proxy->answer.status;
    attempt->header_ms = weir_clock_now()->monotonic_ms - attempt->started_ms;
    if (proxy->answer.status >= 400 && proxy_status_goes_on(proxy)) {
        proxy_fail(proxy, PROXY_FAILED_STATUS, proxy->answer.status);
        return;
    }
    if (proxy->answer.status == 101
        && ((!proxy->conf->headers->sets_upgrade && !proxy_passes_upgrade(proxy))
            || proxy->ex->wire->take_connection == NULL || !proxy_may_upgrade(proxy))) {
        head_invalid(proxy, "upstream switched protocols without being asked to");
        return;
    }
    if (proxy->answer.status == 101 && !proxy->is_sent) {
        head_invalid(proxy, "upstream switched protocols before it had the request");
        return;
    }
    /* There are no further tries. */
    weir_chain_clear(&proxy->replay);
    respond(proxy);
}

/* Parses what has come. True: read on. */
static bool head_take(proxy_state *proxy)
{
    const char *why;

    for (;;) {
        switch (proxy->wire->take_head(proxy, &why)) {
        case WEIR_HTTP_HEAD_MORE:
            return true;
        case WEIR_HTTP_HEAD_INTERIM:
            if (++proxy->interims > INTERIM_MAX) {
                head_invalid(proxy, "upstream sent too many interim responses");
                return false;
            }
            if (proxy->answer.status == 103) {
                pass_hints(proxy);
            }
            if (proxy->start == proxy->end) {
                proxy->start = proxy->end = proxy->scanned = 0;
            }
            break;
        case WEIR_HTTP_HEAD_INVALID:
            head_invalid(proxy, why);
            return false;
        case WEIR_HTTP_HEAD_COMPLETE:
            head_complete(proxy);
            return false;
        }
    }
}

void proxy_head_readable(weir_connection *connection)
{
    proxy_state *proxy = connection->owner;

    for (;;) {
        size_t len;

        if (!head_room(proxy)) {
            weir_log_line(&proxy->ex->log, WEIR_LOG_CRIT, 0, "no memory for a response");
            proxy_fail(proxy, PROXY_FAILED_ERROR, 502);
            return;
        }
        switch (weir_connection_read(connection, proxy->data + proxy->end, proxy->size - proxy->end,
                                     &len)) {
        case WEIR_OK:
            if (len == 0) {
                if (!proxy_was_dead(proxy)) {
                    weir_log_line(&proxy->ex->log, WEIR_LOG_ERR, 0,
                                  "upstream prematurely closed connection while %s", proxy->doing);
                }
                proxy_fail(proxy, PROXY_FAILED_ERROR, 502);
                return;
            }
            proxy->is_bulk = len == proxy->size - proxy->end;
            proxy->end += len;
            if (proxy->end == len) {
                head_settle(proxy);
            }
            if (!head_take(proxy)) {
                return;
            }
            break;
        case WEIR_WAIT:
            if (proxy->end == 0) {
                proxy_buffer_release(proxy);
            }
            proxy_answer_frames(proxy);
            return;
        case WEIR_FAIL:
            proxy_fail(proxy, PROXY_FAILED_ERROR, 502);
            return;
        }
    }
}

/* ---- what does not pass */

/* As nginx: these are the origin's words to the proxy, or the proxy has its own. */
static const weir_http_name hidden_by_default[] = {
    WEIR_HTTP_DATE,
    WEIR_HTTP_SERVER_FIELD,
    WEIR_HTTP_X_ACCEL_BUFFERING,
    WEIR_HTTP_X_ACCEL_CHARSET,
    WEIR_HTTP_X_ACCEL_EXPIRES,
    WEIR_HTTP_X_ACCEL_LIMIT_RATE,
    WEIR_HTTP_X_ACCEL_REDIRECT,
};

proxy_hidden *proxy_hidden_make(weir_conf *conf, const proxy_conf *settings)
{
    weir_pool *pool = weir_conf_pool(conf);
    proxy_hidden *hidden = WEIR_NEW(pool, proxy_hidden);

    if (hidden == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < WEIR_COUNT(hidden_by_default); i++) {
        hidden->hides[hidden_by_default[i]] = true;
    }
    hidden->hides_pad = true;

    for (WEIR_ARRAY_EACH(&settings->hide_headers, const weir_str, name)) {
        weir_http_name known = weir_http_name_find(*name);

        if (known != WEIR_HTTP_OTHER) {
            hidden->hides[known] = true;
            continue;
        }
        if (hidden->hides_other == NULL) {
            hidden->hides_other = weir_map_new(pool, true, 8);
        }
        if (hidden->hides_other == NULL || !weir_map_put(hidden->hides_other, *name, hidden)) {
            return NULL;
        }
    }
    for (WEIR_ARRAY_EACH(&settings->pass_headers, const weir_str, name)) {
        weir_http_name known = weir_http_name_find(*name);

        if (known != WEIR_HTTP_OTHER) {
            hidden->hides[known] = false;
        } else if (weir_str_eq_nocase(*name, WEIR_STR("X-Pad"))) {
            hidden->hides_pad = false;
        }
    }
    return hidden;
}

static bool is_hidden(const proxy_hidden *hidden, const weir_http_field *field)
{
    if (field->name != WEIR_HTTP_OTHER) {
        return hidden->hides[field->name];
    }
    return (hidden->hides_pad && field->text.len == 5
            && weir_str_eq_nocase(field->text, WEIR_STR("X-Pad")))
           || (hidden->hides_other != NULL
               && weir_map_find(hidden->hides_other, field->text) != NULL);
}

/* ---- the response */

/* Of those that end here: what is for the client all the same. */
static bool passes_on(const proxy_state *proxy, weir_http_name name)
{
    return (name == WEIR_HTTP_TRAILER && proxy->conf->pass_trailers)
           || (name == WEIR_HTTP_UPGRADE
               && (proxy->answer.status == 101 || proxy->answer.status == 426));
}

/* Adds a field that passes. */
static bool pass_field(proxy_state *proxy, const weir_http_field *field)
{
    weir_http_response *response = &proxy->ex->response;
    weir_str value = field->value;

    if (ends_here(field->name) && !passes_on(proxy, field->name)) {
        return true;
    }
    switch (field->name) {
    case WEIR_HTTP_CONTENT_TYPE:
        if (!is_hidden(proxy->conf->hidden, field)) {
            response->content_type = value;
        }
        return true;
    case WEIR_HTTP_LOCATION_FIELD:
        if (!proxy_rewrite_location(proxy, &value)) {
            return false;
        }
        break;
    case WEIR_HTTP_REFRESH:
        if (!proxy_rewrite_refresh(proxy, &value)) {
            return false;
        }
        break;
    case WEIR_HTTP_SET_COOKIE:
        if (!proxy_rewrite_cookie(proxy, &value)) {
            return false;
        }
        break;
    default:
        break;
    }
    return is_hidden(proxy->conf->hidden, field)
           || weir_http_fields_add_parsed(&response->fields, field->name, field->text, value);
}

void proxy_pass_trailers(proxy_state *proxy)
{
    const weir_http_fields *all = &proxy->trailers;
    weir_http_fields *passed = &proxy->ex->response.trailers;

    weir_http_fields_init(passed, proxy->ex->pool, PROXY_FIELDS_MAX);
    for (size_t i = 0; i < all->count; i++) {
        const weir_http_field *field = &all->items[i];

        if (!ends_here(field->name) && !is_hidden(proxy->conf->hidden, field)
            && !weir_http_fields_add_parsed(passed, field->name, field->text, field->value)) {
            return;
        }
    }
}

static weir_str accel(const proxy_state *proxy, weir_http_name name, unsigned ignored)
{
    return (proxy->conf->ignore_headers & ignored) != 0
               ? WEIR_STR_EMPTY
               : weir_http_fields_value(&proxy->answer.fields, name);
}

/* X-Accel-Redirect: the answer is a file or location of ours.  True: done. */
static bool redirect_inside(proxy_state *proxy)
{
    static const weir_http_name kept[] = {
        WEIR_HTTP_SET_COOKIE, WEIR_HTTP_CONTENT_DISPOSITION, WEIR_HTTP_CACHE_CONTROL,
        WEIR_HTTP_EXPIRES,    WEIR_HTTP_ACCEPT_RANGES,       WEIR_HTTP_CONTENT_TYPE,
    };
    weir_http_exchange *ex = proxy->ex;
    weir_str target = accel(proxy, WEIR_HTTP_X_ACCEL_REDIRECT, PROXY_IGNORE_REDIRECT);
    weir_str path = WEIR_STR_EMPTY, args = WEIR_STR_EMPTY;

    if (target.len == 0) {
        return false;
    }
    if (target.data[0] != '@'
        && !weir_http_split_target(target, ex->core->merge_slashes, ex->pool, &path, &args)) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "unsafe URI \"%.*s\" in X-Accel-Redirect",
                      WEIR_STR_ARG(target));
        proxy_answer(proxy, 404, "unsafe X-Accel-Redirect");
        return true;
    }
    for (size_t i = 0; i < WEIR_COUNT(kept); i++) {
        for (const weir_http_field *field = weir_http_fields_find(&proxy->answer.fields, kept[i]);
             field != NULL; field = weir_http_fields_next(&proxy->answer.fields, field)) {
            if (!pass_field(proxy, field)) {
                proxy_answer(proxy, 500, "internal failure");
                return true;
            }
        }
    }
    weir_http_hold_drop(ex, &proxy->hold);
    proxy_body_drop(proxy);
    proxy_let_go(proxy);
    if (target.data[0] == '@') {
        (void) weir_http_redirect_named(ex, target);
        return true;
    }
    if (ex->request.method != WEIR_HTTP_HEAD) {
        ex->request.method = WEIR_HTTP_GET;
        ex->request.method_text = weir_http_method_text(WEIR_HTTP_GET);
    }
    (void) weir_http_redirect_internal(ex, path, args);
    return true;
}

/* proxy_intercept_errors: a status that has an error_page is shown with that.  True: done. */
static bool intercept(proxy_state *proxy)
{
    weir_http_exchange *ex = proxy->ex;

    if (!proxy->conf->intercept_errors || proxy->answer.status < 300
        || ex->core->error_pages == NULL || ex->error_page_is_last) {
        return false;
    }
    for (WEIR_ARRAY_EACH(ex->core->error_pages, const weir_http_error_page, page)) {
        if (page->status == proxy->answer.status) {
            /* What a browser needs to log in stays. */
            const weir_http_field *asks =
                weir_http_fields_find(&proxy->answer.fields, WEIR_HTTP_WWW_AUTHENTICATE);

            for (; asks != NULL && proxy->answer.status == 401;
                 asks = weir_http_fields_next(&proxy->answer.fields, asks)) {
                (void) pass_field(proxy, asks);
            }
            proxy_body_drop(proxy);
            proxy_answer(proxy, proxy->answer.status, NULL);
            return true;
        }
    }
    return false;
}

/* Holds for what is sent in this answer's place, too. */
static void apply_rate(proxy_state *proxy)
{
    weir_str rate = accel(proxy, WEIR_HTTP_X_ACCEL_LIMIT_RATE, PROXY_IGNORE_LIMIT_RATE);
    uint64_t bytes_s;

    if (weir_parse_uint(rate, INT64_MAX / 4096, &bytes_s)) {
        proxy->ex->limit_rate = bytes_s;
        proxy->ex->limit_rate_is_set = true;
    }
}

/* False: no memory. */
static bool apply_accel(proxy_state *proxy)
{
    weir_http_exchange *ex = proxy->ex;
    weir_str buffering = accel(proxy, WEIR_HTTP_X_ACCEL_BUFFERING, PROXY_IGNORE_BUFFERING);

    proxy->is_buffered = proxy->conf->buffering;
    if (weir_str_eq_nocase(buffering, WEIR_STR("no"))) {
        proxy->is_buffered = false;
    } else if (weir_str_eq_nocase(buffering, WEIR_STR("yes"))) {
        proxy->is_buffered = true;
    }
    ex->response.accel_charset = accel(proxy, WEIR_HTTP_X_ACCEL_CHARSET, PROXY_IGNORE_CHARSET);
    ex->response.must_flush =
        !proxy->is_buffered
        || weir_str_starts_nocase(ex->response.content_type, WEIR_STR("text/event-stream"));
    return !proxy->is_buffered || proxy_rate_begin(proxy);
}

/* What a sticky session needs of the answer, and adds to it. */
static bool session_respond(proxy_state *proxy)
{
    weir_str cookie;

    weir_balance_answered(&proxy->pick);
    weir_balance_learn(&proxy->pick, false);
    return weir_balance_cookie(&proxy->pick, &cookie)
           && (cookie.len == 0
               || weir_http_fields_add(&proxy->ex->response.fields, WEIR_HTTP_SET_COOKIE, cookie));
}

/* Gives the parsed head to the engine: the exchange may be gone afterwards. */
static void respond(proxy_state *proxy)
{
    weir_http_exchange *ex = proxy->ex;
    weir_http_response *response = &ex->response;
    bool is_tunnel = proxy->answer.status == 101;

    if (!session_respond(proxy)) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "no memory for a response");
        proxy_answer(proxy, 500, "internal failure");
        return;
    }
    apply_rate(proxy);
    if (intercept(proxy) || redirect_inside(proxy)) {
        return;
    }

    response->status = proxy->answer.status;
    response->status_text = proxy->answer.status_text;
    response->version = proxy->answer.version;
    response->from_upstream = true;
    response->server_is_theirs = !proxy->conf->hidden->hides[WEIR_HTTP_SERVER_FIELD];
    response->date_is_theirs = !proxy->conf->hidden->hides[WEIR_HTTP_DATE];
    response->allow_ranges = proxy->conf->force_ranges;
    if (proxy->answer.end == WEIR_HTTP_END_CHUNKED || proxy->answer.end == WEIR_HTTP_END_CLOSE) {
        response->content_length = -1;
    }
    for (size_t i = 0; i < proxy->answer.fields.count; i++) {
        if (!pass_field(proxy, &proxy->answer.fields.items[i])) {
            weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "no memory for a response");
            proxy_answer(proxy, 500, "internal failure");
            return;
        }
    }
    if (!apply_accel(proxy)) {
        proxy_answer(proxy, 500, "internal failure");
        return;
    }

    proxy_store_begin(proxy);
    proxy->source.pull = proxy_body_pull;
    ex->source = &proxy->source;
    proxy->doing = "reading upstream";
    if (is_tunnel) {
        proxy_tunnel_start(proxy);
        return;
    }
    proxy_body_begin(proxy);
    weir_http_respond(ex);
}
