/* Facts while a pattern is read: sums of what its parts say.  Internal to the prefilter. */

#ifndef WEIR_WAF_PREFILTER_FACTS_H
#define WEIR_WAF_PREFILTER_FACTS_H

#include "modules/waf/prefilter_internal.h"

/* What is known of a part of a pattern. */
typedef struct {
    bool is_exact; /* it matches the texts of `exact`, in either case, and no others */
    weir_waf_literals exact;
    weir_waf_facts facts; /* else, these; min_len counts for both */
} weir_waf_part;

/* A part that matches the empty text; one that may match anything of `min_len` or more. */
bool weir_waf_part_empty(weir_pool *pool, weir_waf_part *part) WEIR_MUST_USE;
void weir_waf_part_any(size_t min_len, weir_waf_part *part);
/* One byte of a set, which has at least one. */
bool weir_waf_part_bytes(weir_pool *pool, const weir_waf_bytes *bytes,
                         weir_waf_part *part) WEIR_MUST_USE;

/* The part, `min` to `max` times (SIZE_MAX: without end). */
bool weir_waf_part_repeat(weir_pool *pool, weir_waf_part *part, size_t min,
                          size_t max) WEIR_MUST_USE;
/* Either of both. */
bool weir_waf_part_either(weir_pool *pool, weir_waf_part *part,
                          const weir_waf_part *other) WEIR_MUST_USE;

/* Parts one after the other.  `run` is the exact text of the last of them, as far as it is known. */
typedef struct {
    weir_pool *pool;
    weir_waf_literals run;
    bool is_exact; /* there was nothing but `run` */
    weir_waf_facts facts;
} weir_waf_sequence;
bool weir_waf_sequence_begin(weir_waf_sequence *sequence, weir_pool *pool) WEIR_MUST_USE;
bool weir_waf_sequence_add(weir_waf_sequence *sequence, const weir_waf_part *part) WEIR_MUST_USE;
void weir_waf_sequence_end(weir_waf_sequence *sequence, weir_waf_part *part);

/* The facts of a part that stands alone. */
void weir_waf_part_facts(weir_pool *pool, const weir_waf_part *part, weir_waf_facts *facts);

#endif
