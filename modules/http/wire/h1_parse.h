#ifndef WEIR_HTTP_WIRE_H1_PARSE_H
#define WEIR_HTTP_WIRE_H1_PARSE_H

#include "modules/http/engine/fields.h"

/*
 * The lines of an HTTP/1 head (RFC 9112), one at a time, without their CR LF.  Strict: what two
 * recipients could read differently is refused.  All results are slices of the line.
 */

typedef struct {
    weir_str method, target;
    weir_str scheme, authority; /* of an absolute form (RFC 9112, 3.2.2); else empty */
    weir_http_version version;
} weir_http_request_line;

/* 0, or the status to refuse it with: 400, 505. A line of two words is HTTP/0.9. */
unsigned weir_http_parse_request_line(weir_str line, weir_http_request_line *parsed);

/* For a wire that says both by themselves: the bytes they may have, and the target's form (RFC 9112, 3.2). */
bool weir_http_parse_target_form(weir_str method, weir_str target,
                                 weir_http_request_line *parsed) WEIR_MUST_USE;

typedef struct {
    weir_http_version version;
    unsigned status;
    weir_str status_text; /* code and reason: "404 Not Found" */
} weir_http_status_line;

/* Three digits, from 100 on. */
bool weir_http_parse_status_code(weir_str code, unsigned *status) WEIR_MUST_USE;
bool weir_http_parse_status_line(weir_str line, weir_http_status_line *parsed) WEIR_MUST_USE;

typedef enum {
    WEIR_HTTP_FIELD_VALID,
    WEIR_HTTP_FIELD_ODD_NAME, /* not a token, but neither ambiguous: ignore_invalid_headers decides */
    WEIR_HTTP_FIELD_MALFORMED, /* no colon, space before it, folding, controls: refuse the message */
} weir_http_field_verdict;

typedef struct {
    weir_http_name known; /* WEIR_HTTP_OTHER: none of those that weir knows */
    weir_str name, value;
} weir_http_field_line;

/* `parsed` is set unless malformed. */
weir_http_field_verdict weir_http_parse_field_line(weir_str line, weir_http_field_line *parsed);

/* Content-Length: digits only (RFC 9110, 8.6). */
bool weir_http_parse_content_length(weir_str value, int64_t *length) WEIR_MUST_USE;

#endif
