#ifndef WEIR_BASE_JSON_H
#define WEIR_BASE_JSON_H

#include "core/base/builder.h"

/* As much of JSON (RFC 8259) as a control interface takes and gives: one flat object in, strings out. */

typedef enum {
    WEIR_JSON_STRING,
    WEIR_JSON_NUMBER, /* `text` as it is written */
    WEIR_JSON_BOOL,   /* `text` is "true" or "false" */
    WEIR_JSON_NULL,   /* `text` is "null" */
    WEIR_JSON_NESTED, /* an object or a list, which is not read: the member is the last one */
} weir_json_kind;

typedef struct {
    weir_str name;
    weir_json_kind kind;
    weir_str text; /* of strings: decoded */
} weir_json_member;

/*
 * Calls `take` with each member of the object that `text` is, in order; what it is given lies in
 * the pool, or in `text`.
 * False: `*why` says what is wrong with it, or `take` said false, and `*why` is NULL.
 */
bool weir_json_object_read(weir_str text, weir_pool *pool,
                           bool (*take)(const weir_json_member *member, void *subject),
                           void *subject, const char **why) WEIR_MUST_USE;

/*
 * A string with its quotes.  Bytes that are not UTF-8 are written as the characters U+0080 to
 * U+00FF, so that what is written can always be read; controls, of C1 too, and what ends lines for
 * some (U+2028, U+2029) are escaped.
 */
void weir_json_write_string(weir_builder *builder, weir_str text);

#endif
