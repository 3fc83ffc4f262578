#ifndef WEIR_HTTP_WIRE_CHUNKED_H
#define WEIR_HTTP_WIRE_CHUNKED_H

#include "core/base/pool.h"
#include "core/base/result.h"
#include "core/base/str.h"
#include "modules/http/engine/fields.h"

/*
 * Takes the chunked framing off a body (RFC 9112, 7.1), cut at any byte.  Strict: CR LF and
 * nothing else ends a line, sizes are 1 to 15 hexadecimal digits, extensions are skipped and
 * bounded, and so is framing in relation to content: what limits a body would else not limit what
 * is read for it.
 * A zeroed one, with its limits set, is at the start.
 */
typedef struct {
    weir_pool *pool;            /* for the trailer section */
    weir_http_fields *trailers; /* NULL: trailer fields are checked and dropped */
    size_t trailer_bytes_max;

    unsigned state;
    uint64_t left; /* of the chunk */
    unsigned digits;
    size_t line_bytes; /* of extensions and lines so far */
    char *trailer;     /* the section's bytes so far */
    size_t trailer_len;
    char no_trailer[2]; /* room for the end of a section without fields */
    bool is_complete;   /* the last line was taken */
    uint64_t overhead;  /* bytes of framing that content has not made up for */
} weir_http_chunked;

/*
 * Looks at `bytes`.  Takes `*framing` bytes, which are none of the content; after them come `*content` bytes that are.
 * OK: also when both are 0 and is_complete is set.  WAIT: all of `bytes` were framing, and more is
 * needed (framing is all of them).
 * FAIL: malformed.
 */
weir_result weir_http_chunked_next(weir_http_chunked *chunked, weir_str bytes, size_t *framing,
                                   size_t *content) WEIR_MUST_USE;

/*
 * The pool and the fields go; what is still to come may be skipped, but for trailer fields, which
 * are malformed from now on.
 * False: some of the trailer section has come, and what is a line of it can no longer be told.
 */
bool weir_http_chunked_forget(weir_http_chunked *chunked) WEIR_MUST_USE;

#endif
