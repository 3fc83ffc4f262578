#include "modules/waf/transaction_internal.h"

/* From a request as it was received to the variables that rules name. */

/* Undoes %xx, and "+" if it `is_form`.  An invalid escape stays as it is, and sets `*is_wrong`. */
static weir_str url_decode(weir_waf_transaction *tx, weir_str text, bool is_form, bool *is_wrong)
{
    char *bytes;
    size_t len = 0;

    if (weir_str_find_byte(text, '%') == NULL
        && (!is_form || weir_str_find_byte(text, '+') == NULL)) {
        return text;
    }
    bytes = weir_pool_bytes(tx->pool, text.len);
    if (bytes == NULL) {
        weir_waf_exhausted(tx, "memory");
        return WEIR_STR_EMPTY;
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (c == '+' && is_form) {
            c = ' ';
        } else if (c == '%') {
            int high = i + 2 < text.len ? weir_byte_hex(text.data[i + 1]) : -1;
            int low = i + 2 < text.len ? weir_byte_hex(text.data[i + 2]) : -1;

            if (high >= 0 && low >= 0) {
                c = (char) (high * 16 + low);
                i += 2;
            } else {
                *is_wrong = true;
            }
        }
        bytes[len++] = c;
    }
    tx->work += text.len;
    return weir_str_of(bytes, len);
}

/* ---- arguments */

static uint64_t argument_count(const weir_waf_transaction *tx)
{
    return (uint64_t) tx->values[WEIR_WAF_VAR_ARGS_GET].count
           + tx->values[WEIR_WAF_VAR_ARGS_POST].count;
}

/* The last one within the limit lets rule 200007 of ModSecurity's own (&ARGS @ge 1000) see that it was reached. */
bool weir_waf_add_argument(weir_waf_transaction *tx, bool is_get, weir_str name, weir_str value)
{
    uint64_t limit = tx->settings->arguments_limit;

    if (limit != 0 && argument_count(tx) >= limit) {
        return false;
    }
    return weir_waf_add(tx, is_get ? WEIR_WAF_VAR_ARGS_GET : WEIR_WAF_VAR_ARGS_POST, name, value)
           && weir_waf_add(tx, is_get ? WEIR_WAF_VAR_ARGS_GET_NAMES : WEIR_WAF_VAR_ARGS_POST_NAMES,
                           name, name);
}

static void add_arguments(weir_waf_transaction *tx, weir_str text, bool is_get)
{
    bool is_wrong = false;
    weir_str piece;

    while (weir_str_split(&text, tx->settings->argument_separator, &piece)) {
        weir_str value = piece;
        weir_str name;

        if (!weir_str_split(&value, '=', &name)) {
            name = WEIR_STR_EMPTY;
        }
        if (!weir_waf_add_argument(tx, is_get, url_decode(tx, name, true, &is_wrong),
                                   url_decode(tx, value, true, &is_wrong))) {
            break;
        }
    }
    if (is_wrong) {
        (void) weir_waf_set(tx, WEIR_WAF_VAR_URLENCODED_ERROR, WEIR_STR("1"));
    }
}

static void sum_arguments(weir_waf_transaction *tx)
{
    static const weir_waf_variable variables[] = {WEIR_WAF_VAR_ARGS_GET, WEIR_WAF_VAR_ARGS_POST};
    int64_t sum = 0;

    for (size_t i = 0; i < WEIR_COUNT(variables); i++) {
        const weir_waf_values *values = &tx->values[variables[i]];

        for (uint32_t k = 0; k < values->count; k++) {
            sum += (int64_t) (values->items[k].name.len + values->items[k].text.len);
        }
    }
    (void) weir_waf_set_number(tx, WEIR_WAF_VAR_ARGS_COMBINED_SIZE, sum);
}

/* ---- the head */

/* The path may be empty: http://host?query (RFC 9110, 4.2.3). */
static weir_str without_origin(weir_str target)
{
    const char *mark = weir_str_find(target, WEIR_STR("://"));
    size_t end = 0;
    weir_str rest;

    if (target.len == 0 || target.data[0] == '/' || mark == NULL) {
        return target;
    }
    for (const char *at = target.data; at < mark; at++) {
        if (*at == '/' || *at == '?' || *at == '#') {
            return target;
        }
    }
    rest = weir_str_from(target, (size_t) (mark - target.data) + 3);
    while (end < rest.len && rest.data[end] != '/' && rest.data[end] != '?'
           && rest.data[end] != '#') {
        end++;
    }
    return end == rest.len ? WEIR_STR("/") : weir_str_from(rest, end);
}

static weir_str before(weir_str text, char byte)
{
    const char *at = weir_str_find_byte(text, byte);

    return at == NULL ? text : weir_str_slice(text, 0, (size_t) (at - text.data));
}

/*
 * "#" has no meaning in a target (RFC 9112, 3.2), which goes to the origin as it came: to some origins what follows is of the query, and rules
 * see it there. To others, and to weir, it ends the path, whose name rules may make exceptions for.
 */
static void collect_target(weir_waf_transaction *tx)
{
    weir_str uri = without_origin(tx->request.target);
    weir_str path = before(uri, '?');
    weir_str query = path.len < uri.len ? weir_str_from(uri, path.len + 1) : WEIR_STR_EMPTY;
    bool is_wrong = false;
    weir_str file = url_decode(tx, before(path, '#'), false, &is_wrong);
    size_t base = file.len;

    while (base > 0 && file.data[base - 1] != '/' && file.data[base - 1] != '\\') {
        base--;
    }
    tx->uri = file;
    (void) (weir_waf_set(tx, WEIR_WAF_VAR_REQUEST_LINE, tx->request.line)
            && weir_waf_set(tx, WEIR_WAF_VAR_REQUEST_METHOD, tx->request.method)
            && weir_waf_set(tx, WEIR_WAF_VAR_REQUEST_PROTOCOL, tx->request.protocol)
            && weir_waf_set(tx, WEIR_WAF_VAR_REQUEST_URI_RAW, tx->request.target)
            && weir_waf_set(tx, WEIR_WAF_VAR_REQUEST_URI, url_decode(tx, uri, false, &is_wrong))
            && weir_waf_set(tx, WEIR_WAF_VAR_REQUEST_FILENAME, file)
            && weir_waf_set(tx, WEIR_WAF_VAR_PATH_INFO, file)
            && weir_waf_set(tx, WEIR_WAF_VAR_REQUEST_BASENAME, weir_str_from(file, base))
            && weir_waf_set(tx, WEIR_WAF_VAR_QUERY_STRING, query));
    add_arguments(tx, query, true);
}

static void collect_cookies(weir_waf_transaction *tx, weir_str text)
{
    weir_str piece;

    while (weir_str_split(&text, ';', &piece)) {
        weir_str name = WEIR_STR_EMPTY;
        weir_str value;

        while (piece.len > 0 && (piece.data[0] == ' ' || piece.data[0] == '\t')) {
            piece = weir_str_from(piece, 1);
        }
        value = piece;
        (void) weir_str_split(&value, '=', &name);
        /* Without a name, too: some origins read "=value", and browsers send it. */
        if (piece.len != 0
            && !(weir_waf_add(tx, WEIR_WAF_VAR_REQUEST_COOKIES, name, value)
                 && weir_waf_add(tx, WEIR_WAF_VAR_REQUEST_COOKIES_NAMES, name, name))) {
            return;
        }
    }
}

static void collect_host(weir_waf_transaction *tx, weir_str host)
{
    if (host.len != 0 && host.data[0] != '[') {
        host = before(host, ':');
    }
    (void) weir_waf_set(tx, WEIR_WAF_VAR_SERVER_NAME, host);
}

static void collect_content_type(weir_waf_transaction *tx, weir_str value)
{
    tx->content_type = value;
    if (weir_str_starts_nocase(value, WEIR_STR("application/x-www-form-urlencoded"))) {
        (void) weir_waf_set(tx, WEIR_WAF_VAR_REQBODY_PROCESSOR, WEIR_STR("URLENCODED"));
    } else if (weir_str_starts_nocase(value, WEIR_STR("multipart/form-data"))) {
        (void) weir_waf_set(tx, WEIR_WAF_VAR_REQBODY_PROCESSOR, WEIR_STR("MULTIPART"));
    }
}

void weir_waf_add_request_header(weir_waf_transaction *tx, weir_str name, weir_str value)
{
    if (!weir_waf_add(tx, WEIR_WAF_VAR_REQUEST_HEADERS, name, value)
        || !weir_waf_add(tx, WEIR_WAF_VAR_REQUEST_HEADERS_NAMES, name, name)) {
        return;
    }
    switch (name.len) {
    case 4:
        if (weir_str_eq_nocase(name, WEIR_STR("Host"))) {
            collect_host(tx, value);
        }
        break;
    case 6:
        if (weir_str_eq_nocase(name, WEIR_STR("Cookie"))) {
            collect_cookies(tx, value);
        }
        break;
    case 12:
        if (weir_str_eq_nocase(name, WEIR_STR("Content-Type"))) {
            collect_content_type(tx, value);
        }
        break;
    case 13:
        if (weir_str_eq_nocase(name, WEIR_STR("Authorization"))) {
            (void) weir_waf_set(tx, WEIR_WAF_VAR_AUTH_TYPE, before(value, ' '));
        }
        break;
    default:
        break;
    }
}

void weir_waf_add_request_trailer(weir_waf_transaction *tx, weir_str name, weir_str value)
{
    if (weir_waf_add(tx, WEIR_WAF_VAR_REQUEST_HEADERS, name, value)
        && weir_waf_add(tx, WEIR_WAF_VAR_REQUEST_HEADERS_NAMES, name, name)
        && weir_str_eq_nocase(name, WEIR_STR("Cookie"))) {
        collect_cookies(tx, value);
    }
}

/* Flags that are 0 unless a body says otherwise, so that "@eq 0" and "!@eq 0" find a value. */
static const weir_waf_variable zeroes[] = {
    WEIR_WAF_VAR_INBOUND_DATA_ERROR,
    WEIR_WAF_VAR_OUTBOUND_DATA_ERROR,
    WEIR_WAF_VAR_MULTIPART_BOUNDARY_QUOTED,
    WEIR_WAF_VAR_MULTIPART_BOUNDARY_WHITESPACE,
    WEIR_WAF_VAR_MULTIPART_CRLF_LF_LINES,
    WEIR_WAF_VAR_MULTIPART_DATA_AFTER,
    WEIR_WAF_VAR_MULTIPART_DATA_BEFORE,
    WEIR_WAF_VAR_MULTIPART_FILE_LIMIT_EXCEEDED,
    WEIR_WAF_VAR_MULTIPART_HEADER_FOLDING,
    WEIR_WAF_VAR_MULTIPART_INVALID_HEADER_FOLDING,
    WEIR_WAF_VAR_MULTIPART_INVALID_PART,
    WEIR_WAF_VAR_MULTIPART_INVALID_QUOTING,
    WEIR_WAF_VAR_MULTIPART_LF_LINE,
    WEIR_WAF_VAR_MULTIPART_MISSING_SEMICOLON,
    WEIR_WAF_VAR_MULTIPART_SEMICOLON_MISSING,
    WEIR_WAF_VAR_MULTIPART_STRICT_ERROR,
    WEIR_WAF_VAR_MULTIPART_UNMATCHED_BOUNDARY,
    WEIR_WAF_VAR_REQBODY_ERROR,
    WEIR_WAF_VAR_REQBODY_PROCESSOR_ERROR,
    WEIR_WAF_VAR_URLENCODED_ERROR,
    WEIR_WAF_VAR_FILES_COMBINED_SIZE,
};

/* REQBODY_PROCESSOR is set even when there is none, since a rule with "!@rx JSON" must have a value to look at. */

void weir_waf_collect_zeroes(weir_waf_transaction *tx)
{
    for (size_t i = 0; i < WEIR_COUNT(zeroes); i++) {
        (void) weir_waf_set(tx, zeroes[i], WEIR_STR("0"));
    }
    (void) weir_waf_set(tx, WEIR_WAF_VAR_REQBODY_PROCESSOR, WEIR_STR_EMPTY);
}

void weir_waf_set_user(weir_waf_transaction *tx, weir_str user)
{
    if (user.len != 0) {
        (void) weir_waf_set(tx, WEIR_WAF_VAR_REMOTE_USER, user);
    }
}

void weir_waf_collect_head(weir_waf_transaction *tx)
{
    const weir_waf_connection *connection = &tx->connection;

    (void) (weir_waf_set(tx, WEIR_WAF_VAR_REMOTE_ADDR, connection->client_addr)
            && weir_waf_set(tx, WEIR_WAF_VAR_REMOTE_HOST, connection->client_addr)
            && weir_waf_set_number(tx, WEIR_WAF_VAR_REMOTE_PORT, connection->client_port)
            && weir_waf_set(tx, WEIR_WAF_VAR_SERVER_ADDR, connection->server_addr)
            && weir_waf_set_number(tx, WEIR_WAF_VAR_SERVER_PORT, connection->server_port)
            && weir_waf_set(tx, WEIR_WAF_VAR_UNIQUE_ID, tx->options.unique_id)
            && weir_waf_set(tx, WEIR_WAF_VAR_MODSEC_BUILD, WEIR_STR("030000")));
    weir_waf_set_user(tx, connection->user);
    if (tx->settings->web_app_id.len != 0) {
        (void) weir_waf_set(tx, WEIR_WAF_VAR_WEBAPPID, tx->settings->web_app_id);
    }
    collect_target(tx);
    sum_arguments(tx);
}

/* ---- the body */

static bool processor_is(const weir_waf_transaction *tx, weir_str name)
{
    return weir_str_eq_nocase(weir_waf_scalar(tx, WEIR_WAF_VAR_REQBODY_PROCESSOR), name);
}

void weir_waf_body_is_wrong(weir_waf_transaction *tx, weir_str message)
{
    (void) (weir_waf_set(tx, WEIR_WAF_VAR_REQBODY_ERROR, WEIR_STR("1"))
            && weir_waf_set(tx, WEIR_WAF_VAR_REQBODY_ERROR_MSG, message)
            && weir_waf_set(tx, WEIR_WAF_VAR_REQBODY_PROCESSOR_ERROR, WEIR_STR("1"))
            && weir_waf_set(tx, WEIR_WAF_VAR_REQBODY_PROCESSOR_ERROR_MSG, message));
}

static void set_raw_body(weir_waf_transaction *tx)
{
    weir_str processor = weir_waf_scalar(tx, WEIR_WAF_VAR_REQBODY_PROCESSOR);

    (void) weir_waf_set_number(tx, WEIR_WAF_VAR_REQUEST_BODY_LENGTH,
                               (int64_t) tx->request_body.len);
    if (processor_is(tx, WEIR_STR("URLENCODED")) || (processor.len == 0 && tx->force_body)) {
        (void) weir_waf_set(tx, WEIR_WAF_VAR_REQUEST_BODY, tx->request_body);
    }
}

/* Request line, fields, an empty line and the body. */
static void set_full_request(weir_waf_transaction *tx)
{
    const weir_waf_values *headers = &tx->values[WEIR_WAF_VAR_REQUEST_HEADERS];
    weir_builder builder;
    weir_str text;

    weir_builder_open(&builder, tx->pool, SIZE_MAX);
    weir_builder_add(&builder, tx->request.line);
    weir_builder_add_byte(&builder, '\n');
    for (uint32_t i = 0; i < headers->count; i++) {
        weir_builder_add(&builder, headers->items[i].name);
        weir_builder_add(&builder, WEIR_STR(": "));
        weir_builder_add(&builder, headers->items[i].text);
        weir_builder_add_byte(&builder, '\n');
    }
    weir_builder_add_byte(&builder, '\n');
    if (tx->has_request_body && tx->request_body_access) {
        weir_builder_add(&builder, tx->request_body);
    }
    if (!weir_builder_close(&builder, &text)) {
        weir_waf_exhausted(tx, "memory");
        return;
    }
    (void) (weir_waf_set(tx, WEIR_WAF_VAR_FULL_REQUEST, text)
            && weir_waf_set_number(tx, WEIR_WAF_VAR_FULL_REQUEST_LENGTH, (int64_t) text.len));
}

void weir_waf_collect_body_begin(weir_waf_transaction *tx)
{
    if (tx->program->names_full_request && tx->values[WEIR_WAF_VAR_FULL_REQUEST].count == 0) {
        set_full_request(tx);
    }
    if (!tx->has_request_body || !tx->request_body_access || tx->body_is_parsed) {
        return;
    }
    tx->body_is_parsed = tx->collects_body = true;
    set_raw_body(tx);
    weir_waf_parse_begin(tx);
}

weir_result weir_waf_collect_body(weir_waf_transaction *tx)
{
    if (!tx->collects_body) {
        return WEIR_OK;
    }
    if (weir_waf_parse(tx) == WEIR_WAIT) {
        return WEIR_WAIT;
    }
    tx->collects_body = false;
    if (tx->request_body_is_cut) {
        (void) weir_waf_set(tx, WEIR_WAF_VAR_INBOUND_DATA_ERROR, WEIR_STR("1"));
    }
    sum_arguments(tx);
    return WEIR_OK;
}

/* ---- the response */

void weir_waf_add_response_header(weir_waf_transaction *tx, weir_str name, weir_str value)
{
    if (!weir_waf_add(tx, WEIR_WAF_VAR_RESPONSE_HEADERS, name, value)
        || !weir_waf_add(tx, WEIR_WAF_VAR_RESPONSE_HEADERS_NAMES, name, name)) {
        return;
    }
    if (weir_str_eq_nocase(name, WEIR_STR("Content-Type"))) {
        (void) weir_waf_set(tx, WEIR_WAF_VAR_RESPONSE_CONTENT_TYPE, value);
    } else if (weir_str_eq_nocase(name, WEIR_STR("Content-Length"))) {
        (void) weir_waf_set(tx, WEIR_WAF_VAR_RESPONSE_CONTENT_LENGTH, value);
    }
}

void weir_waf_set_response(weir_waf_transaction *tx, unsigned status, weir_str protocol)
{
    weir_builder builder;
    weir_str line;

    tx->response_status = status;
    weir_builder_open(&builder, tx->pool, 64);
    weir_builder_add(&builder, protocol);
    weir_builder_printf(&builder, " %u", status);
    (void) (weir_waf_set_number(tx, WEIR_WAF_VAR_RESPONSE_STATUS, status)
            && weir_waf_set(tx, WEIR_WAF_VAR_RESPONSE_PROTOCOL, protocol)
            && weir_builder_close(&builder, &line)
            && weir_waf_set(tx, WEIR_WAF_VAR_STATUS_LINE, line));
}

void weir_waf_forget_response(weir_waf_transaction *tx)
{
    static const weir_waf_variable variables[] = {
        WEIR_WAF_VAR_RESPONSE_HEADERS,      WEIR_WAF_VAR_RESPONSE_HEADERS_NAMES,
        WEIR_WAF_VAR_RESPONSE_CONTENT_TYPE, WEIR_WAF_VAR_RESPONSE_CONTENT_LENGTH,
        WEIR_WAF_VAR_RESPONSE_BODY,
    };

    for (size_t i = 0; i < WEIR_COUNT(variables); i++) {
        weir_waf_forget(tx, variables[i]);
    }
    (void) weir_waf_set(tx, WEIR_WAF_VAR_OUTBOUND_DATA_ERROR, WEIR_STR("0"));
    tx->response_body = WEIR_STR_EMPTY;
    tx->has_response_body = false;
    tx->at = (weir_waf_position){0}; /* a phase that was begun begins again */
}
