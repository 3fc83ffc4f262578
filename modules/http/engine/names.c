#include "modules/http/engine/names.h"


static const weir_str field_texts[WEIR_HTTP_NAME_COUNT] = {[WEIR_HTTP_OTHER] = WEIR_STR_INIT(""),
#define FIELD_TEXT(id, literal) [WEIR_HTTP_##id] = WEIR_STR_INIT(literal),
                                                           WEIR_HTTP_NAMES(FIELD_TEXT)
#undef FIELD_TEXT
};

static const weir_str method_texts[WEIR_HTTP_METHOD_COUNT] = {
    [WEIR_HTTP_METHOD_OTHER] = WEIR_STR_INIT(""),
    [WEIR_HTTP_GET] = WEIR_STR_INIT("GET"),
    [WEIR_HTTP_HEAD] = WEIR_STR_INIT("HEAD"),
    [WEIR_HTTP_POST] = WEIR_STR_INIT("POST"),
    [WEIR_HTTP_PUT] = WEIR_STR_INIT("PUT"),
    [WEIR_HTTP_DELETE] = WEIR_STR_INIT("DELETE"),
    [WEIR_HTTP_CONNECT] = WEIR_STR_INIT("CONNECT"),
    [WEIR_HTTP_OPTIONS] = WEIR_STR_INIT("OPTIONS"),
    [WEIR_HTTP_TRACE] = WEIR_STR_INIT("TRACE"),
    [WEIR_HTTP_PATCH] = WEIR_STR_INIT("PATCH"),
    [WEIR_HTTP_MKCOL] = WEIR_STR_INIT("MKCOL"),
    [WEIR_HTTP_COPY] = WEIR_STR_INIT("COPY"),
    [WEIR_HTTP_MOVE] = WEIR_STR_INIT("MOVE"),
    [WEIR_HTTP_PROPFIND] = WEIR_STR_INIT("PROPFIND"),
    [WEIR_HTTP_PROPPATCH] = WEIR_STR_INIT("PROPPATCH"),
    [WEIR_HTTP_LOCK] = WEIR_STR_INIT("LOCK"),
    [WEIR_HTTP_UNLOCK] = WEIR_STR_INIT("UNLOCK"),
};

/* A field name's place in the table below: length and three letters spread the known names. */
#define SLOTS 256

static unsigned slot_of(weir_str text)
{
    unsigned first = (unsigned char) text.data[0] | 0x20u;
    unsigned middle = (unsigned char) text.data[text.len / 2] | 0x20u;
    unsigned last = (unsigned char) text.data[text.len - 1] | 0x20u;

    return ((unsigned) text.len * 29u + first * 3u + middle * 11u + last * 37u) % SLOTS;
}

static uint8_t slots[SLOTS];

/* Filled once, before main: a constant in all but its making. */
__attribute__((constructor)) static void slots_fill(void)
{
    for (unsigned name = 1; name < WEIR_HTTP_NAME_COUNT; name++) {
        unsigned slot = slot_of(field_texts[name]);

        while (slots[slot] != 0) {
            slot = (slot + 1) % SLOTS;
        }
        slots[slot] = (uint8_t) name;
    }
}

weir_http_name weir_http_name_find(weir_str text)
{
    if (weir_str_is_empty(text)) {
        return WEIR_HTTP_OTHER;
    }

    for (unsigned slot = slot_of(text); slots[slot] != 0; slot = (slot + 1) % SLOTS) {
        if (weir_str_eq_nocase(field_texts[slots[slot]], text)) {
            return (weir_http_name) slots[slot];
        }
    }
    return WEIR_HTTP_OTHER;
}

weir_str weir_http_name_text(weir_http_name name)
{
    return field_texts[name];
}

weir_http_method weir_http_method_find(weir_str text)
{
    for (unsigned method = 1; method < WEIR_HTTP_METHOD_COUNT; method++) {
        if (weir_str_eq(method_texts[method], text)) {
            return (weir_http_method) method;
        }
    }
    return WEIR_HTTP_METHOD_OTHER;
}

weir_str weir_http_method_text(weir_http_method method)
{
    return method_texts[method];
}

bool weir_http_method_is_idempotent(weir_http_method method)
{
    switch (method) {
    case WEIR_HTTP_GET:
    case WEIR_HTTP_HEAD:
    case WEIR_HTTP_PUT:
    case WEIR_HTTP_DELETE:
    case WEIR_HTTP_OPTIONS:
    case WEIR_HTTP_TRACE:
    case WEIR_HTTP_MKCOL:
    case WEIR_HTTP_COPY:
    case WEIR_HTTP_MOVE:
    case WEIR_HTTP_PROPFIND:
    case WEIR_HTTP_PROPPATCH:
    case WEIR_HTTP_UNLOCK:
        return true;
    case WEIR_HTTP_METHOD_OTHER:
    case WEIR_HTTP_POST:
    case WEIR_HTTP_CONNECT:
    case WEIR_HTTP_PATCH:
    case WEIR_HTTP_LOCK:
    case WEIR_HTTP_METHOD_COUNT:
        return false;
    }
    return false;
}

weir_str weir_http_version_text(weir_http_version version)
{
    switch (version) {
    case WEIR_HTTP_09:
        return WEIR_STR("HTTP/0.9");
    case WEIR_HTTP_10:
        return WEIR_STR("HTTP/1.0");
    case WEIR_HTTP_11:
        return WEIR_STR("HTTP/1.1");
    case WEIR_HTTP_20:
        return WEIR_STR("HTTP/2.0");
    }
    return WEIR_STR_EMPTY;
}

/* RFC 9110, 15, and the registrations of WebDAV and others; the phrases are nginx's where they differ. */
static const struct {
    unsigned status;
    weir_str text;
} reasons[] = {
    {100, WEIR_STR_INIT("Continue")},
    {101, WEIR_STR_INIT("Switching Protocols")},
    {103, WEIR_STR_INIT("Early Hints")},
    {200, WEIR_STR_INIT("OK")},
    {201, WEIR_STR_INIT("Created")},
    {202, WEIR_STR_INIT("Accepted")},
    {204, WEIR_STR_INIT("No Content")},
    {206, WEIR_STR_INIT("Partial Content")},
    {300, WEIR_STR_INIT("Multiple Choices")},
    {301, WEIR_STR_INIT("Moved Permanently")},
    {302, WEIR_STR_INIT("Moved Temporarily")},
    {303, WEIR_STR_INIT("See Other")},
    {304, WEIR_STR_INIT("Not Modified")},
    {307, WEIR_STR_INIT("Temporary Redirect")},
    {308, WEIR_STR_INIT("Permanent Redirect")},
    {400, WEIR_STR_INIT("Bad Request")},
    {401, WEIR_STR_INIT("Unauthorized")},
    {402, WEIR_STR_INIT("Payment Required")},
    {403, WEIR_STR_INIT("Forbidden")},
    {404, WEIR_STR_INIT("Not Found")},
    {405, WEIR_STR_INIT("Not Allowed")},
    {406, WEIR_STR_INIT("Not Acceptable")},
    {407, WEIR_STR_INIT("Proxy Authentication Required")},
    {408, WEIR_STR_INIT("Request Time-out")},
    {409, WEIR_STR_INIT("Conflict")},
    {410, WEIR_STR_INIT("Gone")},
    {411, WEIR_STR_INIT("Length Required")},
    {412, WEIR_STR_INIT("Precondition Failed")},
    {413, WEIR_STR_INIT("Request Entity Too Large")},
    {414, WEIR_STR_INIT("Request-URI Too Large")},
    {415, WEIR_STR_INIT("Unsupported Media Type")},
    {416, WEIR_STR_INIT("Requested Range Not Satisfiable")},
    {421, WEIR_STR_INIT("Misdirected Request")},
    {425, WEIR_STR_INIT("Too Early")},
    {429, WEIR_STR_INIT("Too Many Requests")},
    {500, WEIR_STR_INIT("Internal Server Error")},
    {501, WEIR_STR_INIT("Not Implemented")},
    {502, WEIR_STR_INIT("Bad Gateway")},
    {503, WEIR_STR_INIT("Service Temporarily Unavailable")},
    {504, WEIR_STR_INIT("Gateway Time-out")},
    {505, WEIR_STR_INIT("HTTP Version Not Supported")},
    {507, WEIR_STR_INIT("Insufficient Storage")},
};

weir_str weir_http_reason(unsigned status)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status) {
            return reasons[i].text;
        }
    }
    return WEIR_STR_EMPTY;
}

/* What a byte may be part of. */
enum { TCHAR = 1, VALUE = 2 };

static const uint8_t byte_classes[256] = {
    ['\t'] = VALUE,
    [' '] = VALUE,
    ['!'] = TCHAR | VALUE,
    ['"'] = VALUE,
    ['#' ... '\''] = TCHAR | VALUE,
    ['('] = VALUE,
    [')'] = VALUE,
    ['*'] = TCHAR | VALUE,
    ['+'] = TCHAR | VALUE,
    [','] = VALUE,
    ['-'] = TCHAR | VALUE,
    ['.'] = TCHAR | VALUE,
    ['/'] = VALUE,
    ['0' ... '9'] = TCHAR | VALUE,
    [':' ... '@'] = VALUE,
    ['A' ... 'Z'] = TCHAR | VALUE,
    ['[' ... ']'] = VALUE,
    ['^' ... 'z'] = TCHAR | VALUE,
    ['{'] = VALUE,
    ['|'] = TCHAR | VALUE,
    ['}'] = VALUE,
    ['~'] = TCHAR | VALUE,
    [0x80 ... 0xff] = VALUE,
};

static bool all_are(weir_str text, uint8_t class)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!(byte_classes[(unsigned char) text.data[i]] & class)) {
            return false;
        }
    }
    return true;
}

bool weir_http_is_token(weir_str text)
{
    return text.len != 0 && all_are(text, TCHAR);
}

bool weir_http_name_is_odd(weir_str name, bool allows_underscores)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = weir_byte_lower(name.data[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'
              || (c == '_' && allows_underscores))) {
            return true;
        }
    }
    return false;
}

bool weir_http_is_field_value(weir_str text)
{
    return all_are(text, VALUE);
}
