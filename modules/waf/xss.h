/*
 * @detectXSS: whether a text, put into a page, brings a script into it.
 *
 * The text is read as HTML (the tokenizer of the HTML Standard, 13.2.5) in each of the places where a page may put
 * it: between tags, and inside of a tag, without quotes and within those of each kind.
 */

#ifndef WEIR_WAF_XSS_H
#define WEIR_WAF_XSS_H

#include "core/base/str.h"

/* Linear in the text's length. */
bool weir_waf_is_xss(weir_str text);

#endif
