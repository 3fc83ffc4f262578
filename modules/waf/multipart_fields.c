/* multipart/form-data: the boundary in Content-Type, names in Content-Disposition (RFC 7578, 4; RFC 2046, 5.1). */

#include "modules/waf/body_internal.h"
#include "modules/waf/transform_internal.h"

#define CONTENT_TYPE_MAX 1024
#define MEDIA_TYPE WEIR_STR("multipart/form-data")

/* ---- the boundary */

static bool boundary_bad(weir_waf_body *body, const char *why)
{
    return weir_waf_body_fail(
        body, "Multipart parsing error: Multipart: Invalid boundary in C-T (%s).", why);
}

/* Where the word stands at or after `from`, in any case; the length if nowhere. */
static size_t find_boundary_word(weir_str text, size_t from)
{
    for (; from < text.len; from++) {
        if (weir_str_starts_nocase(weir_str_from(text, from), WEIR_STR("boundary"))) {
            break;
        }
    }

    return from < text.len ? from : text.len;
}

static size_t skip_blanks(weir_str text, size_t at)
{
    while (weir_waf_is_space(weir_waf_byte_at(text, at))) {
        at++;
    }

    return at;
}

/* A second parameter: "----WebKitFormBoundary" in the value of the first is none. */
static bool names_boundary_again(weir_str rest)
{
    size_t at = 0;

    while ((at = find_boundary_word(rest, at)) != rest.len) {
        weir_str word = weir_str_from(rest, at);
        weir_str behind = weir_str_trim(weir_str_from(word, sizeof("boundary") - 1));

        if (weir_str_starts(behind, WEIR_STR("="))) {
            return true;
        }
        at++;
    }
    return false;
}

/* Between the media type and the parameter there may be one semicolon, and blanks. */
static bool boundary_before(weir_waf_body *body, weir_str before)
{
    size_t semicolons = 0;

    for (size_t i = 0; i < before.len; i++) {
        if (before.data[i] == ';') {
            semicolons++;
        } else if (!weir_waf_is_space((uint8_t) before.data[i])) {
            return boundary_bad(body, "malformed");
        }
    }

    body->report.multipart.missing_semicolon = semicolons == 0;
    return semicolons <= 1 || boundary_bad(body, "malformed");
}

/* bchars (RFC 2046, 5.1.1); a blank may not be the last. */
static bool boundary_is_valid(weir_str boundary)
{
    for (size_t i = 0; i < boundary.len; i++) {
        char c = boundary.data[i];

        if (c == '\0' || (!weir_waf_is_alnum((uint8_t) c) && strchr("'()+_,-./:=? ", c) == NULL)) {
            return false;
        }
    }

    return boundary.data[boundary.len - 1] != ' ';
}

/* The value without quotes, and without what follows a semicolon. */
static bool boundary_value(weir_waf_body *body, weir_str value, weir_str *boundary)
{
    weir_str first;

    if (weir_waf_byte_at(value, 0) == '"') {
        const char *end = weir_str_find_byte(weir_str_from(value, 1), '"');
        size_t len = end == NULL ? 0 : (size_t) (end - value.data) - 1;
        size_t after = end == NULL ? 0 : skip_blanks(value, len + 2);

        if (end == NULL || (after < value.len && value.data[after] != ';')) {
            return boundary_bad(body, "quote");
        }
        body->report.multipart.boundary_quoted = true;
        *boundary = weir_str_slice(value, 1, len + 1);
    } else {
        *boundary = weir_str_split(&value, ';', &first) ? weir_str_trim(first) : WEIR_STR_EMPTY;
        if (weir_str_find_byte(*boundary, '"') != NULL) {
            return boundary_bad(body, "quote");
        }
    }

    return !weir_str_is_empty(*boundary) || boundary_bad(body, "empty");
}

bool weir_waf_multipart_boundary(weir_waf_body *body, weir_str content_type, weir_str *boundary)
{
    size_t word = find_boundary_word(content_type, 0), at = word + 8, equals;

    if (content_type.len > CONTENT_TYPE_MAX) {
        return boundary_bad(body, "length");
    }
    if (word == content_type.len) {
        return weir_waf_body_fail(body,
                                  "Multipart parsing error: Multipart: Boundary not found in C-T.");
    }
    if (!weir_str_starts(weir_str_from(content_type, word), WEIR_STR("boundary"))) {
        return boundary_bad(body, "case sensitivity");
    }
    if (names_boundary_again(weir_str_from(content_type, at))) {
        return weir_waf_body_fail(
            body, "Multipart parsing error: Multipart: Multiple boundary parameters in C-T.");
    }
    if (!weir_str_starts_nocase(content_type, MEDIA_TYPE)
        || !boundary_before(body, weir_str_slice(content_type, MEDIA_TYPE.len, word))) {
        return boundary_bad(body, "malformed");
    }

    equals = skip_blanks(content_type, at);
    if (weir_waf_byte_at(content_type, equals) != '=') {
        return boundary_bad(body, "malformed");
    }
    at = skip_blanks(content_type, equals + 1);
    body->report.multipart.boundary_whitespace = equals != word + 8 || at != equals + 1;

    return boundary_value(body, weir_str_from(content_type, at), boundary)
           && (boundary_is_valid(*boundary) || boundary_bad(body, "characters"))
           && weir_waf_body_keep(body, *boundary, boundary);
}

/* ---- Content-Disposition */

/* VT and FF are blanks to some origins, and to others part of the name: what is a file to one is a value to another. */
static size_t skip_lwsp(weir_str text, size_t at)
{
    while (weir_waf_byte_at(text, at) == ' ' || weir_waf_byte_at(text, at) == '\t') {
        at++;
    }

    return at;
}

static bool disposition_bad(weir_waf_body *body, const char *why, weir_str value)
{
    return weir_waf_body_fail(
        body, "Multipart parsing error: Multipart: Invalid Content-Disposition header (%s): %.*s.",
        why, value.len > 100 ? 100 : WEIR_STR_ARG(value));
}

/* A quoted value from the byte after its quote on; a backslash before a quote or backslash goes. */
static bool quoted_value(weir_waf_body *body, weir_str value, size_t *at, char quote, weir_str *out)
{
    char *room = weir_waf_body_memory(body, value.len);
    weir_builder builder;

    if (room == NULL) {
        return false;
    }

    weir_builder_over(&builder, room, value.len);
    for (; *at < value.len && value.data[*at] != quote; (*at)++) {
        int next = weir_waf_byte_at(value, *at + 1);

        if (value.data[*at] == '\\' && (next == quote || next == '\\')) {
            (*at)++;
        }
        weir_builder_add_byte(&builder, value.data[*at]);
    }
    *out = weir_builder_text(&builder);

    if (*at == value.len) {
        return disposition_bad(body, "quote", value);
    }
    (*at)++;
    return true;
}

/* A token (RFC 2045, 5.1) ends where it must: what else an origin may take for part of it, it is not. */
static bool is_token_byte(int c)
{
    return c > ' ' && c < 0x7f && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

static bool token_value(weir_waf_body *body, weir_str value, size_t *at, weir_str *out)
{
    size_t start = *at;

    for (; is_token_byte(weir_waf_byte_at(value, *at)); (*at)++) {
        /* A quote inside of a token: readers differ about what it means. */
        if (value.data[*at] == '\'') {
            body->report.multipart.invalid_quoting = true;
        }
    }
    if (*at == start) {
        return disposition_bad(body, "no value", value);
    }

    return weir_waf_body_keep(body, weir_str_slice(value, start, *at), out);
}

static bool parameter_value(weir_waf_body *body, weir_str value, size_t *at, weir_str *out)
{
    int quote = weir_waf_byte_at(value, *at);

    if (quote != '"' && quote != '\'') {
        return token_value(body, value, at, out);
    }

    body->report.multipart.invalid_quoting =
        body->report.multipart.invalid_quoting || quote == '\'';
    (*at)++;
    return quoted_value(body, value, at, (char) quote, out);
}

static bool is_attr_char(int c)
{
    return weir_waf_is_alnum(c) || (c > 0 && c < 0x7f && strchr("!#$&+-.^_`|~", c) != NULL);
}

/*
 * Goes past charset'language'value (RFC 8187, 3.2.1), whose quotes are its own and no strange quoting.  Rules see the plain filename, which
 * must be there, too.
 */
static bool extended_value(weir_waf_body *body, weir_str value, size_t *at)
{
    size_t start = *at;
    unsigned quotes = 0;

    for (;
         *at < value.len && value.data[*at] != ';' && !weir_waf_is_space((uint8_t) value.data[*at]);
         (*at)++) {
        int c = weir_waf_byte_at(value, *at);

        if (c == '\'' && *at > start && quotes < 2) {
            quotes++;
        } else if (!is_attr_char(c) && !(c == '%' && weir_waf_has_hex(value, *at + 1, 2))) {
            return disposition_bad(body, "filename*", value);
        }
    }

    return quotes == 2 || disposition_bad(body, "filename*", value);
}

static bool parameter_set(weir_waf_body *body, weir_str value, bool *has, weir_str *slot,
                          weir_str text)
{
    if (*has) {
        return disposition_bad(body, "duplicate parameter", value);
    }

    *has = true;
    *slot = text;
    return true;
}

/*
 * One "name=value" from `*at` on.  A blank before "=", and names in other than lower case, are refused as by ModSecurity: not every origin
 * reads them as a browser's, and what is a file to one is a value to another.
 */
static bool parameter_take(weir_waf_body *body, weir_str value, size_t *at,
                           weir_waf_disposition *disposition, bool *has_extended)
{
    size_t start = *at, end;
    weir_str name, text;

    while (*at < value.len && value.data[*at] != '=' && value.data[*at] != ';'
           && !weir_waf_is_space((uint8_t) value.data[*at])) {
        (*at)++;
    }
    end = *at;
    if (end == start || weir_waf_byte_at(value, *at) != '=') {
        return disposition_bad(body, "parameter", value);
    }

    *at = skip_lwsp(value, *at + 1);
    name = weir_str_slice(value, start, end);
    if (weir_str_eq(name, WEIR_STR("filename*"))) {
        text = WEIR_STR_EMPTY;
        return extended_value(body, value, at)
               && parameter_set(body, value, has_extended, &text, text);
    }
    if (!parameter_value(body, value, at, &text)) {
        return false;
    }

    if (weir_str_eq(name, WEIR_STR("name"))) {
        return parameter_set(body, value, &disposition->has_name, &disposition->name, text);
    }
    if (weir_str_eq(name, WEIR_STR("filename"))) {
        return parameter_set(body, value, &disposition->has_filename, &disposition->filename, text);
    }
    return disposition_bad(body, "unknown parameter", value);
}

bool weir_waf_multipart_disposition(weir_waf_body *body, weir_str value,
                                    weir_waf_disposition *disposition)
{
    bool has_extended = false;
    size_t at = 9;

    *disposition = (weir_waf_disposition){.name = WEIR_STR_EMPTY, .filename = WEIR_STR_EMPTY};
    if (!weir_str_starts_nocase(value, WEIR_STR("form-data"))) {
        return disposition_bad(body, "not form-data", value);
    }

    for (;;) {
        at = skip_lwsp(value, at);
        if (at >= value.len) {
            break;
        }
        if (value.data[at] != ';') {
            return disposition_bad(body, "no semicolon", value);
        }
        at = skip_lwsp(value, at + 1);
        if (at < value.len && !parameter_take(body, value, &at, disposition, &has_extended)) {
            return false;
        }
    }

    return !has_extended || disposition->has_filename
           || disposition_bad(body, "filename* without filename", value);
}
