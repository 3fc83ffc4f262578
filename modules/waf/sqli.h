/*
 * @detectSQLi: whether a text reads as SQL that somebody injects.
 *
 * The text is read as it would stand in a statement: bare, inside of single quotes, inside of double quotes.  Each
 * reading is cut into tokens, what says nothing is folded away, and the types of the first five tokens that remain
 * are the fingerprint, which is looked up among those of known injections.
 */

#ifndef WEIR_WAF_SQLI_H
#define WEIR_WAF_SQLI_H

#include "core/base/str.h"

#define WEIR_WAF_SQLI_TOKENS 5

/*
 * True: it does, and `fingerprint` is the NUL-terminated fingerprint of the reading that told.
 * Linear in the text's length; `*tokens` is how many pieces it was cut into, over all readings,
 * which takes most of the time.
 */
bool weir_waf_is_sqli(weir_str text, char fingerprint[static WEIR_WAF_SQLI_TOKENS + 1],
                      size_t *tokens);

#endif
