/*
 * Transformations: t:lowercase, t:urlDecodeUni ... of SecLang.
 *
 * Each is one pass over its input, linear in time; its output is at most four bytes for each
 * byte of input and 20 more (weir_waf_transform_bound()).
 */

#ifndef WEIR_WAF_TRANSFORM_H
#define WEIR_WAF_TRANSFORM_H

#include "core/base/pool.h"
#include "core/base/result.h"
#include "core/base/str.h"
#include "modules/waf/byte_set.h"

typedef struct weir_waf_transform weir_waf_transform;

/* The page of SecUnicodeMapFile that SecUnicodeCodePage names: code points to bytes. */
typedef struct weir_waf_unicode_map weir_waf_unicode_map;

typedef enum {
    WEIR_WAF_SAME,      /* the value stays as it is; nothing was allocated or copied */
    WEIR_WAF_CHANGED,   /* the result is another text */
    WEIR_WAF_NO_MEMORY, /* the pool is used up; there is no result */
} weir_waf_change;

/* By its name in SecLang, in either case and without "t:"; NULL: there is none. */
const weir_waf_transform *weir_waf_transform_find(weir_str name);

/* Whether it is "none", which empties the list it stands in and changes no value. */
bool weir_waf_transform_is_none(const weir_waf_transform *transform);

/*
 * A value with none of these bytes stays as it is.  All bytes are in the set of those that
 * change nearly every value (length, sha1 ...), the empty one included.
 */
const weir_waf_bytes *weir_waf_transform_triggers(const weir_waf_transform *transform);

/* At most so many bytes come out of `bytes`. */
size_t weir_waf_transform_bound(const weir_waf_transform *transform, size_t bytes);

/*
 * Transforms `in`.  The result is memory of the pool if CHANGED, and untouched otherwise.
 *
 * `present` may be NULL: it is what weir_waf_bytes_of() says of `in`, if the caller knows; then a value
 * that has no trigger is not looked at.  `map` may be NULL: no SecUnicodeMapFile.
 */
weir_waf_change weir_waf_transform_apply(const weir_waf_transform *transform, weir_pool *pool,
                                         const weir_waf_unicode_map *map,
                                         const weir_waf_bytes *present, weir_str in,
                                         weir_str *out) WEIR_MUST_USE;

/*
 * Reads the text of a SecUnicodeMapFile (unicode.mapping, as ModSecurity ships it): lines of a code page's
 * number and, below, "XXXX:YY" pairs in hexadecimal.  NULL: the page is not in it or there is no memory.
 */
const weir_waf_unicode_map *weir_waf_unicode_map_read(weir_pool *pool, weir_str text,
                                                      unsigned code_page);

/* Whether it changes nothing but the case of ASCII letters. */
bool weir_waf_transform_is_case(const weir_waf_transform *transform);
/* The bytes of what such a one makes of a text with these bytes. */
void weir_waf_transform_case_of_bytes(const weir_waf_transform *transform, weir_waf_bytes *bytes);
/* Whether it only takes bytes away: all that are its triggers. */
bool weir_waf_transform_takes_away(const weir_waf_transform *transform);

#endif
