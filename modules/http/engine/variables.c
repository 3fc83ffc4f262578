#include "modules/http/engine/engine_internal.h"

#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/base64.h"
#include "core/base/clock.h"
#include "core/base/number.h"
#include "core/base/random.h"
#include "core/server/values.h"

/* The variables that nginx's core http module has; those of the process are the core's. */

static weir_http_exchange *subject(const weir_script *script)
{
    return script->subject;
}

/* ---- slices of the exchange: `arg` is their offset */

static bool get_slice(weir_script *script, uintptr_t arg, weir_value *value)
{
    value->text = *(const weir_str *) (const void *) ((const char *) script->subject + arg);
    value->found = value->text.len != 0;
    return true;
}

#define SLICE(name_, member)                                                                       \
    {                                                                                              \
        .name = name_, .get = get_slice, .arg = offsetof(weir_http_exchange, member)               \
    }
#define VOLATILE_SLICE(name_, member)                                                              \
    {                                                                                              \
        .name = name_, .get = get_slice, .arg = offsetof(weir_http_exchange, member),              \
        .is_volatile = true                                                                        \
    }

static bool set_args(weir_script *script, uintptr_t arg, weir_str text)
{
    (void) arg;
    subject(script)->request.args = text;
    subject(script)->request.path_is_valid = false;
    return true;
}

static bool get_is_args(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give(value,
                     subject(script)->request.args.len != 0 ? WEIR_STR("?") : WEIR_STR_EMPTY);
}

static bool get_host(weir_script *script, uintptr_t arg, weir_value *value)
{
    weir_http_exchange *ex = subject(script);

    (void) arg;
    return weir_give(value, ex->request.host.len != 0 ? ex->request.host : ex->server->name);
}

/* Of a request line that could not be read neither this nor the method is known. */
static bool get_protocol(weir_script *script, uintptr_t arg, weir_value *value)
{
    const weir_http_request *request = &subject(script)->request;

    (void) arg;
    return request->method_text.len == 0
           || weir_give(value, weir_http_version_text(request->version));
}

static bool get_https(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give(value, subject(script)->client->is_tls ? WEIR_STR("on") : WEIR_STR_EMPTY);
}

static bool get_server_name(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give(value, subject(script)->server->name);
}

static bool get_request_method(weir_script *script, uintptr_t arg, weir_value *value)
{
    weir_str method = subject(script)->main->request.method_text;

    (void) arg;
    return method.len == 0 || weir_give(value, method);
}

static bool get_request_completion(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give(value, subject(script)->response.body_ended ? WEIR_STR("OK") : WEIR_STR_EMPTY);
}

static bool get_request_length(weir_script *script, uintptr_t arg, weir_value *value)
{
    const weir_http_request *request = &subject(script)->request;

    (void) arg;
    return weir_give_uint(script, value,
                          request->head_bytes + request->body_received + request->body_framing);
}

static bool get_request_time(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give_ms(script, value,
                        weir_clock_now()->monotonic_ms - subject(script)->started_ms);
}

static bool get_request_id(weir_script *script, uintptr_t arg, weir_value *value)
{
    char bytes[16];
    weir_builder builder;

    (void) arg;
    weir_random_bytes(bytes, sizeof(bytes));
    weir_builder_open(&builder, script->pool, 32);
    weir_builder_add_hexdump(&builder, weir_str_of(bytes, sizeof(bytes)));
    value->found = true;
    return weir_builder_close(&builder, &value->text);
}

static bool get_request_body(weir_script *script, uintptr_t arg, weir_value *value)
{
    weir_http_exchange *ex = subject(script);

    (void) arg;
    if (!ex->request.body_is_collected || ex->request.body_file != -1) {
        return true;
    }
    value->found = true;
    return weir_chain_join(&ex->request.body, ex->pool, &value->text);
}

static bool get_request_body_file(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    value->text = subject(script)->request.body_file_path;
    value->found = value->text.len != 0;
    return true;
}

/* ---- the connection */

static bool get_remote_addr(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give_addr(script, value, weir_http_client_addr(subject(script)));
}

static bool get_remote_port(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give_port(script, value, weir_http_client_addr(subject(script)));
}

static bool get_binary_remote_addr(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give_binary_addr(value, weir_http_client_addr(subject(script)));
}

static bool get_server_addr(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give_addr(script, value,
                          weir_connection_local(subject(script)->client->connection));
}

static bool get_server_port(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give_port(script, value,
                          weir_connection_local(subject(script)->client->connection));
}

static bool get_connection(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give_uint(script, value, subject(script)->client->connection->number);
}

static bool get_connection_requests(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give_uint(script, value, subject(script)->connection_requests);
}

static bool get_connection_time(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give_ms(script, value,
                        weir_clock_now()->monotonic_ms
                            - subject(script)->client->connection->started_ms);
}

static bool get_pipe(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give(value, subject(script)->client->has_pipelined ? WEIR_STR("p") : WEIR_STR("."));
}

/* $tcpinfo_NAME: `arg` is the offset of a 32-bit member. */
static bool get_tcpinfo(weir_script *script, uintptr_t arg, weir_value *value)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    uint32_t number;

    if (getsockopt(subject(script)->client->connection->event.fd, IPPROTO_TCP, TCP_INFO, &info,
                   &len)
        != 0) {
        return true;
    }
    memcpy(&number, (const char *) &info + arg, sizeof(number));
    return weir_give_uint(script, value, number);
}

static bool get_proxy_protocol(weir_script *script, uintptr_t arg, weir_value *value)
{
    return weir_give_proxy_protocol(script, value, subject(script)->client->connection,
                                    (weir_proxy_protocol_part) arg);
}

static bool get_proxy_protocol_tlv(weir_script *script, uintptr_t arg, weir_value *value)
{
    return weir_give_proxy_protocol_tlv(script, value, subject(script)->client->connection,
                                        *(const weir_str *) arg);
}

/* `arg`: only a colon, if there is one. */
static bool get_request_port(weir_script *script, uintptr_t arg, weir_value *value)
{
    weir_str port = weir_http_request_port(&subject(script)->request);

    value->found = true;
    value->text = arg != 0 && port.len != 0 ? WEIR_STR(":") : port;
    return true;
}

/* ---- the response */

/* While an error page is made, the status it is made for. */
static bool get_status(weir_script *script, uintptr_t arg, weir_value *value)
{
    const weir_http_exchange *ex = subject(script);
    bool is_said = ex->response.status != 0
                   && (ex->is_responding || !ex->shows_error_page || ex->error_status == 0);
    weir_builder builder;

    (void) arg;
    weir_builder_open(&builder, script->pool, 8);
    weir_builder_add_padded(&builder, is_said ? ex->response.status : ex->error_status, 3);
    value->found = true;
    return weir_builder_close(&builder, &value->text);
}

static bool get_bytes_sent(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give_uint(script, value, subject(script)->bytes_sent);
}

static bool get_body_bytes_sent(weir_script *script, uintptr_t arg, weir_value *value)
{
    const weir_http_exchange *ex = subject(script);

    (void) arg;
    return weir_give_uint(script, value, weir_http_body_bytes_sent(ex));
}

static bool get_end_reason(weir_script *script, uintptr_t arg, weir_value *value)
{
    const char *reason = subject(script)->end_reason;

    (void) arg;
    return reason == NULL ? true : weir_give(value, weir_str_from_z(reason));
}

static bool get_limit_rate(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give_uint(script, value, subject(script)->limit_rate);
}

static bool set_limit_rate(weir_script *script, uintptr_t arg, weir_str text)
{
    uint64_t rate;

    (void) arg;
    if (weir_parse_size(text, true, INT64_MAX / 4096, &rate)) {
        subject(script)->limit_rate = rate;
        subject(script)->limit_rate_is_set = true;
    }
    return true;
}

/* ---- files */

static bool get_document_root(weir_script *script, uintptr_t arg, weir_value *value)
{
    weir_http_exchange *ex = subject(script);

    (void) arg;
    value->found = true;
    return weir_template_text(ex->core->root.template, script, &value->text);
}

static bool get_realpath_root(weir_script *script, uintptr_t arg, weir_value *value)
{
    weir_http_exchange *ex = subject(script);
    char real[PATH_MAX];
    weir_str root;
    const char *path;

    (void) arg;
    if (!weir_template_text(ex->core->root.template, script, &root)) {
        return false;
    }
    path = weir_str_z(ex->pool, root);
    if (path == NULL || realpath(path, real) == NULL) {
        return true;
    }
    return weir_give_copy(script, value, weir_str_from_z(real));
}

static bool get_request_filename(weir_script *script, uintptr_t arg, weir_value *value)
{
    weir_http_exchange *ex = subject(script);

    (void) arg;
    value->found = !weir_http_alias_is_lost(ex);
    return !value->found || weir_http_file_path(ex, &value->text);
}

/* ---- fields, arguments, cookies: `arg` points to the rest of the name */

/* "accept_language" is "Accept-Language". */
static bool is_field_named(weir_str text, weir_str variable)
{
    if (text.len != variable.len) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i] == '-' ? '_' : weir_byte_lower(text.data[i]);

        if (c != variable.data[i]) {
            return false;
        }
    }
    return true;
}

/* All lines of the name joined, as nginx does since 1.23. */
bool weir_http_field_value(const weir_http_fields *fields, weir_str name, weir_pool *pool,
                           weir_value *value)
{
    const weir_http_field *first = NULL;
    weir_builder builder;
    bool is_joined = false;

    for (size_t i = 0; i < fields->count; i++) {
        const weir_http_field *field = &fields->items[i];

        if (field->is_removed || !is_field_named(field->text, name)) {
            continue;
        }
        if (first == NULL) {
            first = field;
            continue;
        }
        if (!is_joined) {
            weir_builder_open(&builder, pool, SIZE_MAX);
            weir_builder_add(&builder, first->value);
            is_joined = true;
        }
        weir_builder_add(&builder,
                         field->name == WEIR_HTTP_COOKIE ? WEIR_STR("; ") : WEIR_STR(", "));
        weir_builder_add(&builder, field->value);
    }
    if (first == NULL) {
        return true;
    }
    value->found = true;
    value->text = first->value;
    return !is_joined || weir_builder_close(&builder, &value->text);
}

static bool get_http(weir_script *script, uintptr_t arg, weir_value *value)
{
    return weir_http_field_value(&subject(script)->request.fields, *(const weir_str *) arg,
                                 script->pool, value);
}

static bool get_known_field(weir_script *script, uintptr_t arg, weir_value *value)
{
    const weir_http_field *field =
        weir_http_fields_find(&subject(script)->request.fields, (weir_http_name) arg);

    return field == NULL ? true : weir_give(value, field->value);
}

/* Of a chunked body, once all of it is here, what was received. */
static bool get_content_length(weir_script *script, uintptr_t arg, weir_value *value)
{
    const weir_http_request *request = &subject(script)->request;
    const weir_http_field *field =
        weir_http_fields_find(&request->fields, WEIR_HTTP_CONTENT_LENGTH);

    (void) arg;
    if (field != NULL) {
        return weir_give(value, field->value);
    }
    return !request->has_body || !request->body_is_collected
           || weir_give_uint(script, value, request->body.len);
}

static bool get_sent_http(weir_script *script, uintptr_t arg, weir_value *value)
{
    weir_http_exchange *ex = subject(script);
    const weir_http_response *response = &ex->response;
    weir_str name = *(const weir_str *) arg;

    if (weir_str_eq(name, WEIR_STR("content_type"))) {
        value->text = response->content_type;
        value->found = response->content_type.len != 0;
        return true;
    }
    if (weir_str_eq(name, WEIR_STR("content_length"))) {
        return response->content_length < 0
                   ? true
                   : weir_give_uint(script, value, (uint64_t) response->content_length);
    }
    if (weir_str_eq(name, WEIR_STR("last_modified")) && response->last_modified_s >= 0) {
        char date[30];

        weir_clock_format_http(response->last_modified_s, date);
        return weir_give_copy(script, value, weir_str_of(date, 29));
    }
    if (weir_str_eq(name, WEIR_STR("connection"))) {
        return weir_give(value, ex->keepalive ? WEIR_STR("keep-alive") : WEIR_STR("close"));
    }
    return weir_http_field_value(&response->fields, name, script->pool, value);
}

static bool get_sent_trailer(weir_script *script, uintptr_t arg, weir_value *value)
{
    return weir_http_field_value(&subject(script)->response.trailers, *(const weir_str *) arg,
                                 script->pool, value);
}

bool weir_http_arg_find(const weir_http_exchange *ex, weir_str name, weir_str *value)
{
    weir_str args = ex->request.args;
    weir_str pair;

    while (weir_str_split(&args, '&', &pair)) {
        const char *mark = weir_str_find_byte(pair, '=');
        weir_str key;

        if (mark == NULL) {
            continue;
        }
        key = weir_str_slice(pair, 0, (size_t) (mark - pair.data));
        if (weir_str_eq_nocase(key, name)) {
            *value = weir_str_from(pair, key.len + 1);
            return true;
        }
    }
    return false;
}

static bool get_arg(weir_script *script, uintptr_t arg, weir_value *value)
{
    value->found = weir_http_arg_find(subject(script), *(const weir_str *) arg, &value->text);
    return true;
}

static size_t spaces_at(weir_str text, size_t at)
{
    size_t count = 0;

    while (at + count < text.len && text.data[at + count] == ' ') {
        count++;
    }
    return count;
}

/*
 * "a=1; b=2", read as nginx reads it: spaces may stand around "=", a comma, too, ends what is another cookie, and the value
 * goes up to the semicolon, with the spaces before that.
 */
static bool cookie_in_line(weir_str line, weir_str name, weir_str *value)
{
    size_t at = 0;

    while (at < line.len) {
        size_t mark;

        at += spaces_at(line, at);
        mark = at + name.len + spaces_at(line, at + name.len);
        if (weir_str_starts_nocase(weir_str_from(line, at), name) && mark < line.len
            && line.data[mark] == '=') {
            const char *end;

            line = weir_str_from(line, mark + 1 + spaces_at(line, mark + 1));
            end = weir_str_find_byte(line, ';');
            *value = end == NULL ? line : weir_str_slice(line, 0, (size_t) (end - line.data));
            return true;
        }
        while (at < line.len && line.data[at] != ';' && line.data[at] != ',') {
            at++;
        }
        at++;
    }
    return false;
}

bool weir_http_cookie_find(const weir_http_exchange *ex, weir_str name, weir_str *value)
{
    const weir_http_fields *fields = &ex->request.fields;

    for (const weir_http_field *field = weir_http_fields_find(fields, WEIR_HTTP_COOKIE);
         field != NULL; field = weir_http_fields_next(fields, field)) {
        if (cookie_in_line(field->value, name, value)) {
            return true;
        }
    }
    return false;
}

static bool get_cookie(weir_script *script, uintptr_t arg, weir_value *value)
{
    value->found = weir_http_cookie_find(subject(script), *(const weir_str *) arg, &value->text);
    return true;
}

/* The user of "Basic" credentials (RFC 7617), whether or not anyone has asked for them. */
static bool find_basic_user(weir_script *script, weir_str *user)
{
    const weir_str scheme = WEIR_STR("Basic ");
    const weir_http_field *field =
        weir_http_fields_find(&subject(script)->request.fields, WEIR_HTTP_AUTHORIZATION);
    weir_str credentials;
    const char *colon;

    if (field == NULL || field->value.len < scheme.len
        || !weir_str_eq_nocase(weir_str_slice(field->value, 0, scheme.len), scheme)
        || !weir_base64_decode(script->pool, weir_str_trim(weir_str_from(field->value, scheme.len)),
                               &credentials)) {
        return false;
    }

    colon = weir_str_find_byte(credentials, ':');
    if (colon == NULL) {
        return false;
    }
    *user = weir_str_slice(credentials, 0, (size_t) (colon - credentials.data));
    return true;
}

static bool get_remote_user(weir_script *script, uintptr_t arg, weir_value *value)
{
    weir_str *user = &subject(script)->remote_user;

    (void) arg;
    if (user->len != 0 || find_basic_user(script, user)) {
        value->text = *user;
    }
    value->found = value->text.len != 0;
    return true;
}

const weir_variable weir_http_core_variables[] = {
    VOLATILE_SLICE("uri", request.path),
    VOLATILE_SLICE("document_uri", request.path),
    SLICE("request_uri", request.target),
    SLICE("request", request.line),
    SLICE("scheme", request.scheme),
    VOLATILE_SLICE("query_string", request.args),
    {.name = "args",
     .get = get_slice,
     .set = set_args,
     .arg = offsetof(weir_http_exchange, request.args),
     .is_volatile = true},
    {.name = "is_args", .get = get_is_args, .is_volatile = true},
    {.name = "host", .get = get_host},
    {.name = "server_protocol", .get = get_protocol},
    {.name = "https", .get = get_https},
    {.name = "server_name", .get = get_server_name, .is_volatile = true},
    {.name = "request_method", .get = get_request_method},
    {.name = "request_completion", .get = get_request_completion, .is_volatile = true},
    {.name = "request_length", .get = get_request_length, .is_volatile = true},
    {.name = "request_time", .get = get_request_time, .is_volatile = true},
    {.name = "request_id", .get = get_request_id},
    {.name = "request_body", .get = get_request_body, .is_volatile = true},
    {.name = "request_body_file", .get = get_request_body_file, .is_volatile = true},
    {.name = "remote_addr", .get = get_remote_addr},
    {.name = "remote_port", .get = get_remote_port},
    {.name = "remote_user", .get = get_remote_user, .is_volatile = true},
    {.name = "binary_remote_addr", .get = get_binary_remote_addr},
    {.name = "server_addr", .get = get_server_addr},
    {.name = "server_port", .get = get_server_port},
    {.name = "request_port", .get = get_request_port, .arg = 0},
    {.name = "is_request_port", .get = get_request_port, .arg = 1},
    {.name = "connection", .get = get_connection},
    {.name = "connection_requests", .get = get_connection_requests},
    {.name = "connection_time", .get = get_connection_time, .is_volatile = true},
    {.name = "pipe", .get = get_pipe},
    {.name = "tcpinfo_rtt", .get = get_tcpinfo, .arg = offsetof(struct tcp_info, tcpi_rtt)},
    {.name = "tcpinfo_rttvar", .get = get_tcpinfo, .arg = offsetof(struct tcp_info, tcpi_rttvar)},
    {.name = "tcpinfo_snd_cwnd",
     .get = get_tcpinfo,
     .arg = offsetof(struct tcp_info, tcpi_snd_cwnd)},
    {.name = "tcpinfo_rcv_space",
     .get = get_tcpinfo,
     .arg = offsetof(struct tcp_info, tcpi_rcv_space)},
    {.name = "proxy_protocol_addr", .get = get_proxy_protocol, .arg = WEIR_PROXY_PROTOCOL_ADDR},
    {.name = "proxy_protocol_port", .get = get_proxy_protocol, .arg = WEIR_PROXY_PROTOCOL_PORT},
    {.name = "proxy_protocol_server_addr",
     .get = get_proxy_protocol,
     .arg = WEIR_PROXY_PROTOCOL_SERVER_ADDR},
    {.name = "proxy_protocol_server_port",
     .get = get_proxy_protocol,
     .arg = WEIR_PROXY_PROTOCOL_SERVER_PORT},
    {.name = "proxy_protocol_tlv_", .get = get_proxy_protocol_tlv, .is_prefix = true},
    {.name = "status", .get = get_status, .is_volatile = true},
    {.name = "bytes_sent", .get = get_bytes_sent, .is_volatile = true},
    {.name = "body_bytes_sent", .get = get_body_bytes_sent, .is_volatile = true},
    {.name = "end_reason", .get = get_end_reason, .is_volatile = true},
    {.name = "limit_rate", .get = get_limit_rate, .set = set_limit_rate, .is_volatile = true},
    {.name = "document_root", .get = get_document_root, .is_volatile = true},
    {.name = "realpath_root", .get = get_realpath_root, .is_volatile = true},
    {.name = "request_filename", .get = get_request_filename, .is_volatile = true},
    {.name = "content_type", .get = get_known_field, .arg = WEIR_HTTP_CONTENT_TYPE},
    {.name = "content_length", .get = get_content_length, .is_volatile = true},
    {.name = "http_", .get = get_http, .is_prefix = true},
    {.name = "sent_http_", .get = get_sent_http, .is_prefix = true, .is_volatile = true},
    {.name = "sent_trailer_", .get = get_sent_trailer, .is_prefix = true, .is_volatile = true},
    {.name = "arg_", .get = get_arg, .is_prefix = true, .is_volatile = true},
    {.name = "cookie_", .get = get_cookie, .is_prefix = true},
    {0},
};
