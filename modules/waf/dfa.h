/*
 * A pattern as a deterministic automaton, whose states are made as texts need them: says quickly that a text has
 * no match, and leaves all else to PCRE2.
 *
 * For patterns that begin with what stands anywhere, such as letters: PCRE2 tries those at each byte of a text,
 * the automaton looks at each byte once.
 */

#ifndef WEIR_WAF_DFA_H
#define WEIR_WAF_DFA_H

#include "core/base/pool.h"
#include "core/base/result.h"
#include "core/base/str.h"

/* Immutable; made in the master. */
typedef struct weir_waf_dfa weir_waf_dfa;

/* NULL: the pattern is not understood, or is too large, or there is no memory. */
const weir_waf_dfa *weir_waf_dfa_new(weir_pool *pool, weir_str text);

/* The states that a worker has met: up to about so much memory, and begun anew when that is full. */
typedef struct weir_waf_dfa_states weir_waf_dfa_states;
#define WEIR_WAF_DFA_BYTES (256 * 1024)

/* NULL: no memory. */
weir_waf_dfa_states *weir_waf_dfa_states_new(const weir_waf_dfa *dfa);
void weir_waf_dfa_states_free(weir_waf_dfa_states *states); /* NULL is ignored */

/*
 * False: the pattern has no match in the text.  `*work` grows by one for each byte, and for each
 * four steps on the way to a state that was not known; a text that needs too many of them may
 * match.
 */
bool weir_waf_dfa_may_match(weir_waf_dfa_states *states, weir_str text, uint64_t *work);

#endif
