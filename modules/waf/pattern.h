/*
 * Patterns of PCRE2, read as far as something can be told of all that they match.
 *
 * What is not known for certain ends the reading; what cannot be told exactly is told too wide, never too
 * narrow: a fact too few costs time, a wrong one lets an attack pass.
 */

#ifndef WEIR_WAF_PATTERN_H
#define WEIR_WAF_PATTERN_H

#include "core/base/pool.h"
#include "core/base/result.h"
#include "core/base/str.h"
#include "modules/waf/byte_set.h"

typedef enum {
    WEIR_WAF_PATTERN_EMPTY, /* the empty text; what looks around too, as if it were always true */
    WEIR_WAF_PATTERN_START, /* the empty text at the start */
    WEIR_WAF_PATTERN_END,   /* at the end */
    WEIR_WAF_PATTERN_EDGE,  /* between a byte of a word and one that is none */
    WEIR_WAF_PATTERN_NO_EDGE,
    WEIR_WAF_PATTERN_BYTES,    /* one byte of `bytes`, which are in both cases under (?i) */
    WEIR_WAF_PATTERN_ANY,      /* any text of at least `min` bytes */
    WEIR_WAF_PATTERN_SEQUENCE, /* the children, one after the other */
    WEIR_WAF_PATTERN_EITHER,   /* one of the children */
    WEIR_WAF_PATTERN_REPEAT,   /* the child, `min` to `max` times (SIZE_MAX: without end) */
} weir_waf_pattern_kind;

typedef struct weir_waf_pattern {
    weir_waf_pattern_kind kind;
    weir_waf_bytes bytes;
    size_t min, max;
    struct weir_waf_pattern *first, *next; /* children */
} weir_waf_pattern;

/* In memory of the pool; NULL: it was not understood, or there is no memory. */
const weir_waf_pattern *weir_waf_pattern_read(weir_pool *pool, weir_str text);

/* Whether it has a "^" or "$" that stands for an end; it may have one if it was not understood, and has such a byte. */
bool weir_waf_pattern_has_ends(weir_str text);

#endif
