/*
 * The prefilter: of many operators, which can match a value?
 *
 * From each operator, facts are derived that hold for any value it matches: how long it is at least, bytes of which it has one,
 * literals of which it has one (in either case).  A value's bytes and one pass of an automaton over it answer for all of
 * them; PCRE2 is asked for what is left.  It never says no to a value that the operator matches.
 */

#ifndef WEIR_WAF_PREFILTER_H
#define WEIR_WAF_PREFILTER_H

#include "modules/waf/operator.h"

/* While operators are added, in the master. */
typedef struct weir_waf_prefilter_build weir_waf_prefilter_build;

/* Immutable; shared by all workers. */
typedef struct weir_waf_prefilter weir_waf_prefilter;

/* NULL: no memory. */
weir_waf_prefilter_build *weir_waf_prefilter_begin(void);

/*
 * Adds an operator, which must live as long as the prefilter; `*index` is what weir_waf_may_match() asks for, counted from 0.
 * The same operator may be added again.  False: no memory.
 */
bool weir_waf_prefilter_add(weir_waf_prefilter_build *build, const weir_waf_operator *op,
                            uint32_t *index) WEIR_MUST_USE;

/* Ends the build, in memory of the pool.  NULL: no memory.  `build` is freed in any case. */
const weir_waf_prefilter *weir_waf_prefilter_end(weir_waf_prefilter_build *build, weir_pool *pool);

/* Words of 64 bits that a scan takes. */
size_t weir_waf_prefilter_words(const weir_waf_prefilter *prefilter);

/* What is known of one value. */
typedef struct {
    const weir_waf_prefilter *prefilter;
    weir_str value;
    weir_waf_bytes bytes; /* that occur in it */
    bool is_marked;       /* the automaton has gone over it */
    uint64_t *marks;      /* sets of literals of which it has one */
} weir_waf_scan;

/*
 * Begins to look at a value, which is borrowed.  `words` is memory for weir_waf_prefilter_words(), and need not be cleared;
 * `present` may be NULL: what weir_waf_bytes_of() says of the value, if the caller knows.
 */
void weir_waf_scan_begin(weir_waf_scan *scan, const weir_waf_prefilter *prefilter, weir_str value,
                         const weir_waf_bytes *present, uint64_t *words);

/* False: the operator does not match the value.  The automaton runs at most once a scan, when it is first needed. */
bool weir_waf_may_match(weir_waf_scan *scan, uint32_t index);

/* For logs and tests. */
typedef struct {
    size_t operators, without_facts; /* those that any value may match */
    size_t with_literals, literals, states, bytes;
} weir_waf_prefilter_figures;
void weir_waf_prefilter_tell(const weir_waf_prefilter *prefilter,
                             weir_waf_prefilter_figures *figures);

#endif
