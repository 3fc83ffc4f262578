#ifndef WEIR_WAF_VERDICT_H
#define WEIR_WAF_VERDICT_H

#include "modules/waf/transaction.h"

/*
 * Why a request was blocked, or would have been: one line of JSON with the rules that matched,
 * what they saw, the scores they added, and the directives that would let the request pass.
 */

/* Blocked, or would have been if the engine were on, or weir gave up on it. */
bool weir_waf_verdict_is_due(const weir_waf_transaction *tx);
/* With its newline, in memory of the pool.  False: no memory. */
bool weir_waf_verdict_line(weir_waf_transaction *tx, weir_pool *pool, weir_str *line) WEIR_MUST_USE;

/*
 * Directives that take out of the rules that scored what they matched on, one a line, in memory of
 * the pool: to be included after the rules.  Empty when nothing scored.  False: no memory, or over
 * 1024 rules or 512 KiB.
 */
bool weir_waf_exclusions(weir_waf_transaction *tx, weir_pool *pool, weir_str *text) WEIR_MUST_USE;

#endif
