#include "modules/http/proxy/proxy_internal.h"

/*
 * Trailer fields of requests (proxy_pass_request_trailers).  Rules of phase 1 have run by the time these come, and
 * origins may merge them into it: nothing passes that would mean something there (RFC 9110, 6.5.1).
 */

/* Beside the names that weir knows: what says where a request goes, from whom, and how it is to be taken. */
static bool means_something_before(weir_str name)
{
    static const char *const begins[] = {
        "proxy-",     "sec-",        "x-forwarded", "x-original-",   "x-rewrite-",
        "x-http-",    "x-method",    "x-client-",   "x-real-",       "x-remote-",
        "x-cluster-", "true-client", "client-ip",   "cf-connecting", "fastly-client",
        "x-accel-",   "content-enc", "max-forwards"};

    for (size_t i = 0; i < WEIR_COUNT(begins); i++) {
        if (weir_str_starts_nocase(name, weir_str_from_z(begins[i]))) {
            return true;
        }
    }
    return false;
}

static bool passes(const proxy_state *proxy, const weir_http_field *field)
{
    const weir_http_exchange *ex = proxy->ex;
    const weir_map *set = proxy->conf->headers->drops_other;

    return !field->is_removed && field->name == WEIR_HTTP_OTHER
           && (ex->core->underscores_in_headers || weir_str_find_byte(field->text, '_') == NULL)
           && (set == NULL || weir_map_find(set, field->text) == NULL)
           && !means_something_before(field->text)
           && !weir_http_fields_have_token(&ex->request.fields, WEIR_HTTP_CONNECTION, field->text)
           /* What the head has said cannot be said otherwise behind the body. */
           && weir_http_fields_find_text(&ex->request.fields, field->text) == NULL;
}

bool proxy_has_trailers(const proxy_state *proxy)
{
    const proxy_conf *conf = proxy->conf;

    return conf->pass_request_trailers && conf->pass_request_headers
           && conf->http_version != WEIR_HTTP_10 && proxy->ex->request.trailers.count != 0;
}

bool proxy_trailers_make(const proxy_state *proxy, weir_str *section)
{
    const weir_http_exchange *ex = proxy->ex;
    const weir_http_fields *trailers = &ex->request.trailers;
    weir_builder lines;

    *section = WEIR_STR_EMPTY;
    if (!proxy_has_trailers(proxy)) {
        return true;
    }
    weir_builder_open(&lines, ex->pool, SIZE_MAX);
    for (size_t i = 0; i < trailers->count; i++) {
        const weir_http_field *field = &trailers->items[i];

        if (passes(proxy, field)) {
            proxy_add_line(&lines, field->text, field->value);
        } else {
            weir_log_line(&ex->log, WEIR_LOG_INFO, 0,
                          "the trailer field \"%.*s\" of the client is not passed on",
                          WEIR_STR_ARG(field->text));
        }
    }
    return weir_builder_close(&lines, section);
}
