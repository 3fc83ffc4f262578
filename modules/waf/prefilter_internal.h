#ifndef WEIR_WAF_PREFILTER_INTERNAL_H
#define WEIR_WAF_PREFILTER_INTERNAL_H

#include "modules/waf/prefilter.h"

#define WEIR_WAF_CLAUSES_MAX 2

/* Literals in lower case. */
typedef struct {
    weir_str *items;
    size_t count;
} weir_waf_literals;

/* What every match has; anything may be missing. */
typedef struct {
    size_t min_len;
    /* Of each set one byte at least. */
    weir_waf_bytes bytes[WEIR_WAF_CLAUSES_MAX];
    size_t byte_count;
    /* Of each list one literal at least. */
    weir_waf_literals literals[WEIR_WAF_CLAUSES_MAX];
    size_t literal_count;
} weir_waf_facts;

/*
 * The facts of a pattern of PCRE2, in memory of the pool.  What the small parser here does not know makes
 * them fewer, or none.
 */
void weir_waf_pattern_facts(weir_pool *pool, weir_str text, weir_waf_facts *facts);

/* The facts of a list of which one must occur; texts are copied. */
void weir_waf_phrase_facts(weir_pool *pool, const weir_waf_phrases *phrases, weir_waf_facts *facts);

/* About how often a byte, or one of some literals, stands at a given place of what people send. */
double weir_waf_byte_odds(uint8_t byte);
double weir_waf_literals_odds(const weir_waf_literals *literals);
double weir_waf_bytes_odds(const weir_waf_bytes *bytes);

/* Lower-case letters stand for those of both cases; and the other way round, both for each that is there. */
void weir_waf_bytes_fold(weir_waf_bytes *bytes);
void weir_waf_bytes_add_upper(weir_waf_bytes *bytes);

#endif
