#include "modules/http/wire/h1_parse.h"

#include "core/base/number.h"

/* What a byte may be, for the loops that see each byte of a head. */
enum { NAME = 1, VALUE = 2, TARGET = 4, METHOD = 8 };

static const uint8_t bytes[256] = {
    ['\t'] = VALUE,
    [' '] = VALUE,
    ['!'] = NAME | VALUE | TARGET,
    ['"'] = VALUE | TARGET,
    ['#' ... '\''] = NAME | VALUE | TARGET,
    ['('] = VALUE | TARGET,
    [')'] = VALUE | TARGET,
    ['*'] = NAME | VALUE | TARGET,
    ['+'] = NAME | VALUE | TARGET,
    [','] = VALUE | TARGET,
    ['-'] = NAME | VALUE | TARGET | METHOD,
    ['.'] = NAME | VALUE | TARGET,
    ['/'] = VALUE | TARGET,
    ['0' ... '9'] = NAME | VALUE | TARGET,
    [':' ... '@'] = VALUE | TARGET,
    ['A' ... 'Z'] = NAME | VALUE | TARGET | METHOD,
    ['[' ... ']'] = VALUE | TARGET,
    ['^'] = NAME | VALUE | TARGET,
    ['_'] = NAME | VALUE | TARGET | METHOD,
    ['`' ... 'z'] = NAME | VALUE | TARGET,
    ['{'] = VALUE | TARGET,
    ['|'] = NAME | VALUE | TARGET,
    ['}'] = VALUE | TARGET,
    ['~'] = NAME | VALUE | TARGET,
    [0x80 ... 0xff] = VALUE | TARGET,
};

static bool is(char c, uint8_t class)
{
    return (bytes[(unsigned char) c] & class) != 0;
}

static size_t span_of(weir_str text, uint8_t class)
{
    size_t i = 0;

    while (i < text.len && is(text.data[i], class)) {
        i++;
    }
    return i;
}

/* Whether one of eight bytes is a control (a tab as well). */
static bool has_control(const char *eight)
{
    const uint64_t ones = 0x0101010101010101;
    const uint64_t tops = ones * 0x80;
    uint64_t word;
    uint64_t del;

    memcpy(&word, eight, sizeof(word));
    del = word ^ (ones * 0x7f);
    return ((((word - ones * 0x20) & ~word) | ((del - ones) & ~del)) & tops) != 0;
}

/*
 * Whether all bytes may stand in a value: eight at a time, the last of which may be seen twice, as nearly all may.
 * Behind a control (a tab, at best) it is byte by byte.
 */
static bool are_value(weir_str text)
{
    size_t i = 0;

    if (text.len >= 8) {
        size_t last = text.len - 8;

        while (i < last && !has_control(text.data + i)) {
            i += 8;
        }
        if (i >= last && !has_control(text.data + last)) {
            return true;
        }
    }
    return span_of(weir_str_from(text, i), VALUE) == text.len - i;
}

static weir_str without_space(weir_str text)
{
    while (text.len != 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.len--;
    }
    while (text.len != 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

/* ---- request line */

static unsigned parse_version(weir_str text, weir_http_version *version)
{
    if (weir_str_eq(text, WEIR_STR("HTTP/1.1"))) {
        *version = WEIR_HTTP_11;
        return 0;
    }
    if (weir_str_eq(text, WEIR_STR("HTTP/1.0"))) {
        *version = WEIR_HTTP_10;
        return 0;
    }
    if (text.len == 8 && weir_str_starts(text, WEIR_STR("HTTP/")) && text.data[6] == '.'
        && text.data[5] >= '0' && text.data[5] <= '9' && text.data[7] >= '0'
        && text.data[7] <= '9') {
        /* A later minor version is taken as 1.1 (RFC 9110, 2.5). */
        *version = WEIR_HTTP_11;
        return text.data[5] == '1' ? 0 : text.data[5] == '0' ? 400 : 505;
    }
    return 400;
}

/* "http://authority/path": the path stays in target. */
static bool parse_absolute(weir_http_request_line *parsed)
{
    weir_str target = parsed->target;
    const char *mark = weir_str_find(target, WEIR_STR("://"));
    weir_str rest;
    size_t end;

    if (mark == NULL) {
        return false;
    }
    parsed->scheme = weir_str_slice(target, 0, (size_t) (mark - target.data));
    if (!weir_str_eq_nocase(parsed->scheme, WEIR_STR("http"))
        && !weir_str_eq_nocase(parsed->scheme, WEIR_STR("https"))) {
        return false;
    }

    rest = weir_str_from(target, parsed->scheme.len + 3);
    for (end = 0; end < rest.len && rest.data[end] != '/' && rest.data[end] != '?'; end++) {
        if (rest.data[end] == '@' || rest.data[end] == '#') {
            return false;
        }
    }
    parsed->authority = weir_str_slice(rest, 0, end);
    if (parsed->authority.len == 0) {
        return false;
    }

    parsed->target = weir_str_from(rest, end);
    if (parsed->target.len == 0) {
        parsed->target = WEIR_STR("/");
    }
    /* Without a path there may be arguments still. */
    return parsed->target.data[0] == '/' || parsed->target.data[0] == '?';
}

/* The form that the method allows (RFC 9112, 3.2). */
static bool parse_target(weir_http_request_line *parsed)
{
    if (parsed->target.data[0] == '/') {
        return true;
    }
    if (weir_str_eq(parsed->method, WEIR_STR("CONNECT"))) {
        parsed->authority = parsed->target;
        return true;
    }
    if (weir_str_eq(parsed->target, WEIR_STR("*"))) {
        return weir_str_eq(parsed->method, WEIR_STR("OPTIONS"));
    }
    return parse_absolute(parsed);
}

bool weir_http_parse_target_form(weir_str method, weir_str target, weir_http_request_line *parsed)
{
    memset(parsed, 0, sizeof(*parsed));
    parsed->method = method;
    parsed->target = target;
    return method.len != 0 && span_of(method, METHOD) == method.len && target.len != 0
           && span_of(target, TARGET) == target.len && parse_target(parsed);
}

unsigned weir_http_parse_request_line(weir_str line, weir_http_request_line *parsed)
{
    /* Fewer than a token may have (RFC 9110, 9.1), and those that nginx takes. */
    size_t method = span_of(line, METHOD);
    weir_str rest;
    size_t target;

    memset(parsed, 0, sizeof(*parsed));
    if (method == 0 || method >= line.len || line.data[method] != ' ') {
        return 400;
    }
    parsed->method = weir_str_slice(line, 0, method);

    rest = weir_str_from(line, method + 1);
    target = span_of(rest, TARGET);
    if (target == 0) {
        return 400;
    }
    parsed->target = weir_str_slice(rest, 0, target);

    if (target == rest.len) {
        /* HTTP/0.9, which knew one method. */
        parsed->version = WEIR_HTTP_09;
        return weir_str_eq(parsed->method, WEIR_STR("GET")) && parse_target(parsed) ? 0 : 400;
    }
    if (rest.data[target] != ' ') {
        return 400;
    }

    unsigned status = parse_version(weir_str_from(rest, target + 1), &parsed->version);

    if (status != 0) {
        return status;
    }
    return parse_target(parsed) ? 0 : 400;
}

/* ---- status line */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool weir_http_parse_status_code(weir_str code, unsigned *status)
{
    const char *digits = code.data;

    if (code.len != 3 || !is_digit(digits[0]) || digits[0] == '0' || !is_digit(digits[1])
        || !is_digit(digits[2])) {
        return false;
    }
    *status = (unsigned) ((digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0'));
    return true;
}

bool weir_http_parse_status_line(weir_str line, weir_http_status_line *parsed)
{
    weir_str code = weir_str_slice(line, 9, 12);

    if (line.len < 12 || line.data[8] != ' '
        || parse_version(weir_str_of(line.data, 8), &parsed->version) != 0
        || !weir_http_parse_status_code(code, &parsed->status)) {
        return false;
    }
    if (line.len > 12 && line.data[12] != ' ') {
        return false;
    }
    if (!are_value(line)) {
        return false;
    }
    parsed->status_text = without_space(weir_str_from(line, 9));
    return true;
}

/* ---- field lines */

/* Of a name that is not known. */
static weir_http_field_verdict judge_name(weir_str name)
{
    weir_http_field_verdict verdict = WEIR_HTTP_FIELD_VALID;

    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];

        if (WEIR_LIKELY(is(c, NAME))) {
            continue;
        }
        /* Folding and a space before the colon are what attacks are made of. */
        if (c == ' ' || c == '\t' || !is(c, VALUE)) {
            return WEIR_HTTP_FIELD_MALFORMED;
        }
        verdict = WEIR_HTTP_FIELD_ODD_NAME;
    }
    return verdict;
}

weir_http_field_verdict weir_http_parse_field_line(weir_str line, weir_http_field_line *parsed)
{
    const char *colon = weir_str_find_byte(line, ':');
    weir_str content;

    if (colon == NULL || colon == line.data) {
        return WEIR_HTTP_FIELD_MALFORMED;
    }
    parsed->name = weir_str_slice(line, 0, (size_t) (colon - line.data));
    content = weir_str_from(line, parsed->name.len + 1);
    if (!are_value(content)) {
        return WEIR_HTTP_FIELD_MALFORMED;
    }
    parsed->value = without_space(content);
    parsed->known = weir_http_name_find(parsed->name);
    return parsed->known != WEIR_HTTP_OTHER ? WEIR_HTTP_FIELD_VALID : judge_name(parsed->name);
}

bool weir_http_parse_content_length(weir_str value, int64_t *length)
{
    int64_t number = 0;

    if (value.len > 18) {
        uint64_t large;

        if (!weir_parse_uint(value, INT64_MAX, &large)) {
            return false;
        }
        *length = (int64_t) large;
        return true;
    }
    for (size_t i = 0; i < value.len; i++) {
        if (!is_digit(value.data[i])) {
            return false;
        }
        number = number * 10 + (value.data[i] - '0');
    }
    *length = number;
    return value.len != 0;
}
