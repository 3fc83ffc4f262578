/*
 * Lines of HTTP/1 heads.  What is accepted must be made of what the grammar allows, so that no
 * recipient can read it otherwise: tokens, no controls, nothing left over.
 */

#include <stdlib.h>

#include "modules/http/wire/h1_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool is_so)
{
    if (!is_so) {
        abort();
    }
}

static bool is_within(weir_str part, weir_str whole)
{
    return part.len == 0
           || (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static void request_line(weir_str line)
{
    weir_http_request_line parsed;

    if (weir_http_parse_request_line(line, &parsed) != 0) {
        return;
    }
    must(weir_http_is_token(parsed.method) && is_within(parsed.method, line));
    must(parsed.target.len != 0);
    must(weir_str_find_byte(parsed.target, ' ') == NULL);
    must(weir_http_is_field_value(line));
}

static void status_line(weir_str line)
{
    weir_http_status_line parsed;

    if (weir_http_parse_status_line(line, &parsed)) {
        must(parsed.status >= 100 && parsed.status <= 999);
        must(weir_http_is_field_value(parsed.status_text) && is_within(parsed.status_text, line));
    }
}

static void field_line(weir_str line)
{
    weir_http_field_line parsed;

    switch (weir_http_parse_field_line(line, &parsed)) {
    case WEIR_HTTP_FIELD_MALFORMED:
        return;
    case WEIR_HTTP_FIELD_VALID:
        must(weir_http_is_token(parsed.name));
        break;
    case WEIR_HTTP_FIELD_ODD_NAME:
        must(parsed.name.len != 0 && !weir_http_is_token(parsed.name));
        break;
    }
    must(parsed.known == weir_http_name_find(parsed.name));
    must(weir_str_find_byte(parsed.name, ' ') == NULL);
    must(weir_str_find_byte(parsed.name, ':') == NULL);
    must(weir_http_is_field_value(parsed.value) && is_within(parsed.value, line));
    must(parsed.value.len == weir_str_trim(parsed.value).len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    weir_str line = weir_str_of((const char *) data, len);

    request_line(line);
    status_line(line);
    field_line(line);
    return 0;
}
