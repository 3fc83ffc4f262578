/*
 * The prefilter: of many operators, which can match a value?
 *
 * From each operator, facts are derived that hold for any value it matches: how long it is at
 * least, bytes of which it has one, literals of which it has one (in either case).  A value's
 * bytes and one pass of an automaton over it answer for all of them; PCRE2 is asked for what is
 * left.  It never says no to a value that the operator matches.
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
 * Values are asked about by some operators and not by others: each part of them has an automaton of its own, which is
 * smaller and finds less that nobody asks for.  Any value may be asked about by either.
 */
typedef enum {
    WEIR_WAF_FILTER_REQUEST,
    WEIR_WAF_FILTER_RESPONSE,
    WEIR_WAF_FILTER_PARTS,
} weir_waf_filter_part;

/*
 * Adds an operator, which must live as long as the prefilter; `*index` is what
 * weir_waf_may_match() asks for, counted from 0.
 * The same operator may be added again; NULL: any value may match.  False: no memory.
 */
bool weir_waf_prefilter_add(weir_waf_prefilter_build *build, const weir_waf_operator *op,
                            weir_waf_filter_part part, uint32_t *index) WEIR_MUST_USE;

/* Ends the build, in memory of the pool.  NULL: no memory.  `build` is freed in any case. */
const weir_waf_prefilter *weir_waf_prefilter_end(weir_waf_prefilter_build *build, weir_pool *pool);

/* Words of 64 bits that a bit for each operator takes; and those that a scan takes. */
size_t weir_waf_prefilter_set_words(const weir_waf_prefilter *prefilter);
size_t weir_waf_prefilter_words(const weir_waf_prefilter *prefilter);

/* What is known of one value. */
typedef struct weir_waf_scan {
    const weir_waf_prefilter *prefilter;
    weir_str value;
    weir_waf_bytes bytes;                  /* that occur in it */
    bool is_marked[WEIR_WAF_FILTER_PARTS]; /* that automaton has gone over it */
    uint64_t *marks;                       /* for each part, sets of operators: see prefilter.c */
    /* Of the value in other letters' case, borrowed, whose marks are the same; NULL: it has its own. */
    struct weir_waf_scan *in_other_case;
} weir_waf_scan;

/*
 * Begins to look at a value, which is borrowed.  `words` is memory for weir_waf_prefilter_words(),
 * and need not be cleared; `present` may be NULL: what weir_waf_bytes_of() says of the value, if
 * the caller knows.
 */
void weir_waf_scan_begin(weir_waf_scan *scan, const weir_waf_prefilter *prefilter, weir_str value,
                         const weir_waf_bytes *present, uint64_t *words);
/*
 * The same for a value that differs from that of another scan, which is borrowed, in nothing but
 * the case of ASCII letters.
 */
void weir_waf_scan_begin_in_other_case(weir_waf_scan *scan, weir_waf_scan *other, weir_str value,
                                       const weir_waf_bytes *present);

/* False: the operator does not match the value.  An automaton runs at most once a scan, when it is first needed. */
bool weir_waf_may_match(weir_waf_scan *scan, uint32_t index);

/*
 * The same for many at once, in two steps.  Bits by index: the operators of that part for which
 * the value has the literals that they need, in letters of either case; those of other parts mean
 * nothing.  Lent as long as the scan.
 */
const uint64_t *weir_waf_scan_literals(weir_waf_scan *scan, weir_waf_filter_part part);
/* False: the operator matches no value that is so long and has none but these bytes. */
bool weir_waf_prefilter_fits(const weir_waf_prefilter *prefilter, uint32_t index, size_t len,
                             const weir_waf_bytes *present);

/* For logs and tests. */
typedef struct {
    size_t operators, without_facts; /* those that any value may match */
    size_t with_literals, literals, states, bytes;
} weir_waf_prefilter_figures;
void weir_waf_prefilter_tell(const weir_waf_prefilter *prefilter,
                             weir_waf_prefilter_figures *figures);

#endif
