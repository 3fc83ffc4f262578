/*
 * Finds any of many phrases in a text in one pass (Aho and Corasick, 1975), ASCII case ignored.
 *
 * Immutable once built; built in the master, it is shared by all workers.
 */

#ifndef WEIR_WAF_AUTOMATON_H
#define WEIR_WAF_AUTOMATON_H

#include "core/base/pool.h"
#include "core/base/result.h"
#include "core/base/str.h"

typedef struct weir_waf_automaton weir_waf_automaton;

/* A phrase, which must not be empty, and the number that a match of it tells. */
typedef struct {
    weir_str text;
    uint32_t number;
} weir_waf_phrase;

/* How many states have a row of their own: fast where every text is read, small where few are. */
#define WEIR_WAF_AUTOMATON_FAST 4096
#define WEIR_WAF_AUTOMATON_SMALL 256

/* In memory of the pool; the phrases are borrowed while this runs.  NULL: no memory. */
const weir_waf_automaton *weir_waf_automaton_new(weir_pool *pool, const weir_waf_phrase *phrases,
                                                 size_t count, uint32_t rows_max);

/* The number of the phrase that ends first (of those that end there, the longest); false: there is none. */
bool weir_waf_automaton_find(const weir_waf_automaton *automaton, weir_str text, uint32_t *number);

/* Sets bit `number` of `bits` for each phrase in the text; others stay. */
void weir_waf_automaton_mark(const weir_waf_automaton *automaton, weir_str text, uint64_t *bits);

size_t weir_waf_automaton_state_count(const weir_waf_automaton *automaton);
size_t weir_waf_automaton_bytes(const weir_waf_automaton *automaton);

#endif
