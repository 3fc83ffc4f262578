#include "modules/http/proxy/proxy_internal.h"

#include "core/base/clock.h"

/* $upstream_…, $proxy_… */

static const proxy_state *state_of(const weir_script *script)
{
    const weir_http_exchange *ex = script->subject;

    return ex->upstream;
}

static bool give(weir_value *value, weir_str text)
{
    value->text = text;
    value->found = true;
    return true;
}

/* ---- one value for each try: "a, b : c", a colon after an internal redirect */

typedef void (*write_attempt)(weir_builder *builder, const proxy_state *proxy,
                              const proxy_attempt *attempt);

static void write_addr(weir_builder *builder, const proxy_state *proxy,
                       const proxy_attempt *attempt)
{
    (void) proxy;
    weir_builder_add(builder, attempt->addr);
}

static void write_status(weir_builder *builder, const proxy_state *proxy,
                         const proxy_attempt *attempt)
{
    (void) proxy;
    if (attempt->status == 0) {
        weir_builder_add_byte(builder, '-');
    } else {
        weir_builder_add_uint(builder, attempt->status);
    }
}

static void write_time(weir_builder *builder, uint64_t ms)
{
    if (ms == PROXY_UNKNOWN) {
        weir_builder_add_byte(builder, '-');
        return;
    }
    weir_builder_add_uint(builder, ms / 1000);
    weir_builder_add_byte(builder, '.');
    weir_builder_add_padded(builder, ms % 1000, 3);
}

static void write_response_time(weir_builder *builder, const proxy_state *proxy,
                                const proxy_attempt *attempt)
{
    (void) proxy;
    write_time(builder, attempt->response_ms != PROXY_UNKNOWN
                            ? attempt->response_ms
                            : weir_clock_now()->monotonic_ms - attempt->started_ms);
}

static void write_connect_time(weir_builder *builder, const proxy_state *proxy,
                               const proxy_attempt *attempt)
{
    (void) proxy;
    write_time(builder, attempt->connect_ms);
}

static void write_header_time(weir_builder *builder, const proxy_state *proxy,
                              const proxy_attempt *attempt)
{
    (void) proxy;
    write_time(builder, attempt->header_ms);
}

static void write_length(weir_builder *builder, const proxy_state *proxy,
                         const proxy_attempt *attempt)
{
    (void) proxy;
    weir_builder_add_uint(builder, attempt->length);
}

/* What the open connection has moved, until the try is over. */
static bool is_open(const proxy_state *proxy, const proxy_attempt *attempt)
{
    return attempt->response_ms == PROXY_UNKNOWN && proxy->origin != NULL
           && attempt == proxy_attempt_now(proxy);
}

static void write_received(weir_builder *builder, const proxy_state *proxy,
                           const proxy_attempt *attempt)
{
    weir_builder_add_uint(builder,
                          is_open(proxy, attempt) ? proxy->origin->received : attempt->received);
}

static void write_sent(weir_builder *builder, const proxy_state *proxy,
                       const proxy_attempt *attempt)
{
    weir_builder_add_uint(builder, is_open(proxy, attempt) ? proxy->origin->sent : attempt->sent);
}

static const write_attempt writers[] = {
    write_addr,        write_status, write_response_time, write_connect_time,
    write_header_time, write_length, write_received,      write_sent,
};
enum {
    OF_ADDR,
    OF_STATUS,
    OF_RESPONSE_TIME,
    OF_CONNECT_TIME,
    OF_HEADER_TIME,
    OF_LENGTH,
    OF_RECEIVED,
    OF_SENT,
};

static bool get_of_attempts(weir_script *script, uintptr_t arg, weir_value *value)
{
    const proxy_state *proxy = state_of(script);
    weir_builder builder;

    if (proxy == NULL || proxy->attempts.count == 0) {
        return true;
    }
    weir_builder_open(&builder, script->pool, SIZE_MAX);
    for (size_t i = 0; i < proxy->attempts.count; i++) {
        const proxy_attempt *attempt = WEIR_ARRAY_AT(&proxy->attempts, proxy_attempt, i);

        if (i != 0) {
            weir_builder_add(&builder,
                             attempt->follows_redirect ? WEIR_STR(" : ") : WEIR_STR(", "));
        }
        writers[arg](&builder, proxy, attempt);
    }
    value->found = true;
    return weir_builder_close(&builder, &value->text);
}

/* ---- of the last try, and of the waiting before it */

static bool get_last_addr(weir_script *script, uintptr_t arg, weir_value *value)
{
    const proxy_state *proxy = state_of(script);

    (void) arg;
    return proxy == NULL || proxy->attempts.count == 0
           || give(value, proxy_attempt_now(proxy)->addr);
}

/* "back.test:8080" without its port; a literal address, a path, as they are. */
static bool get_last_server_name(weir_script *script, uintptr_t arg, weir_value *value)
{
    const proxy_state *proxy = state_of(script);
    weir_addr addr;

    (void) arg;
    if (proxy == NULL || proxy->server_name.len == 0) {
        return true;
    }
    return give(value, weir_addr_parse(proxy->server_name, 1, &addr)
                           ? proxy->server_name
                           : weir_addr_host(proxy->server_name));
}

static bool get_queue_time(weir_script *script, uintptr_t arg, weir_value *value)
{
    const proxy_state *proxy = state_of(script);
    weir_builder builder;

    (void) arg;
    if (proxy == NULL || proxy->pick.queued_at_ms == 0) {
        return true;
    }
    weir_builder_open(&builder, script->pool, SIZE_MAX);
    write_time(&builder, proxy->pick.queued_ms);
    value->found = true;
    return weir_builder_close(&builder, &value->text);
}

/* $upstream_cache_…: nothing is cached, and logs that have it say "-". */
static bool get_nothing(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) script;
    (void) arg;
    (void) value;
    return true;
}

/* ---- fields of the answer: `arg` points to the rest of the name */

static bool get_field(weir_script *script, uintptr_t arg, weir_value *value)
{
    const proxy_state *proxy = state_of(script);

    if (proxy == NULL || !proxy->head_is_complete) {
        return true;
    }
    return weir_http_field_value(&proxy->answer.fields, *(const weir_str *) arg, script->pool,
                                 value);
}

static bool get_trailer(weir_script *script, uintptr_t arg, weir_value *value)
{
    const proxy_state *proxy = state_of(script);

    if (proxy == NULL || !proxy->takes_trailers) {
        return true;
    }
    return weir_http_field_value(&proxy->trailers, *(const weir_str *) arg, script->pool, value);
}

/* The value of the cookie that Set-Cookie lines give; the last one counts. */
static bool get_cookie(weir_script *script, uintptr_t arg, weir_value *value)
{
    const proxy_state *proxy = state_of(script);
    weir_str name = *(const weir_str *) arg;

    if (proxy == NULL || !proxy->head_is_complete) {
        return true;
    }
    for (const weir_http_field *field =
             weir_http_fields_find(&proxy->answer.fields, WEIR_HTTP_SET_COOKIE);
         field != NULL; field = weir_http_fields_next(&proxy->answer.fields, field)) {
        if (weir_str_starts_nocase(field->value, name) && field->value.len > name.len
            && field->value.data[name.len] == '=') {
            weir_str rest = weir_str_from(field->value, name.len + 1);
            weir_str text;

            (void) give(value,
                        weir_str_split(&rest, ';', &text) ? weir_str_trim(text) : WEIR_STR_EMPTY);
        }
    }
    return true;
}

/* ---- $proxy_… */

enum { PROXY_HOST, PROXY_PORT };

/* Where this location passes requests on to. */
static bool get_host(weir_script *script, uintptr_t arg, weir_value *value)
{
    const weir_http_exchange *ex = script->subject;
    const proxy_state *proxy = ex->upstream;
    const proxy_conf *conf = weir_http_settings(ex, &weir_http_proxy);
    const proxy_url *url = proxy != NULL && proxy->conf == conf ? &proxy->url : &conf->pass.url;

    if (url->host.len == 0) {
        return true;
    }
    return give(value, arg == PROXY_HOST ? url->name : url->port);
}

static bool get_add_x_forwarded_for(weir_script *script, uintptr_t arg, weir_value *value)
{
    weir_http_exchange *ex = script->subject;
    char text[WEIR_ADDR_TEXT_MAX];
    weir_str addr = weir_addr_text(weir_http_client_addr(ex), false, text);
    weir_str before;
    weir_builder builder;

    (void) arg;
    if (!weir_http_fields_join(&ex->request.fields, WEIR_HTTP_X_FORWARDED_FOR, WEIR_STR_EMPTY,
                               WEIR_STR(", "), ex->pool, &before)) {
        return false;
    }
    weir_builder_open(&builder, script->pool, SIZE_MAX);
    if (before.len != 0) {
        weir_builder_add(&builder, before);
        weir_builder_add(&builder, WEIR_STR(", "));
    }
    weir_builder_add(&builder, addr);
    value->found = true;
    return weir_builder_close(&builder, &value->text);
}

#define OF_ATTEMPTS(name_, which)                                                                  \
    {                                                                                              \
        .name = name_, .get = get_of_attempts, .arg = which, .is_volatile = true                   \
    }

const weir_variable proxy_variables[] = {
    OF_ATTEMPTS("upstream_addr", OF_ADDR),
    OF_ATTEMPTS("upstream_status", OF_STATUS),
    OF_ATTEMPTS("upstream_response_time", OF_RESPONSE_TIME),
    OF_ATTEMPTS("upstream_connect_time", OF_CONNECT_TIME),
    OF_ATTEMPTS("upstream_header_time", OF_HEADER_TIME),
    OF_ATTEMPTS("upstream_response_length", OF_LENGTH),
    OF_ATTEMPTS("upstream_bytes_received", OF_RECEIVED),
    OF_ATTEMPTS("upstream_bytes_sent", OF_SENT),
    {.name = "upstream_last_addr", .get = get_last_addr, .is_volatile = true},
    {.name = "upstream_last_server_name", .get = get_last_server_name, .is_volatile = true},
    {.name = "upstream_queue_time", .get = get_queue_time, .is_volatile = true},
    {.name = "upstream_cache_status", .get = get_nothing},
    {.name = "upstream_cache_etag", .get = get_nothing},
    {.name = "upstream_cache_last_modified", .get = get_nothing},
    {.name = "upstream_http_", .get = get_field, .is_prefix = true, .is_volatile = true},
    {.name = "upstream_trailer_", .get = get_trailer, .is_prefix = true, .is_volatile = true},
    {.name = "upstream_cookie_", .get = get_cookie, .is_prefix = true, .is_volatile = true},
    {.name = "proxy_host", .get = get_host, .arg = PROXY_HOST, .is_volatile = true},
    {.name = "proxy_port", .get = get_host, .arg = PROXY_PORT, .is_volatile = true},
    {.name = "proxy_add_x_forwarded_for", .get = get_add_x_forwarded_for, .is_volatile = true},
    {0},
};
