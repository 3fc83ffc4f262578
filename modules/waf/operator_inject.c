/* @detectSQLi and @detectXSS. */

#include "modules/waf/operator_internal.h"

#include "modules/waf/sqli.h"
#include "modules/waf/xss.h"

#define SQLI_BYTE_WORK 3 /* and one that every operator has */
#define SQLI_TOKEN_WORK 48
#define XSS_BYTE_WORK 12

_Static_assert(WEIR_WAF_FINGERPRINT_MAX > WEIR_WAF_SQLI_TOKENS, "a fingerprint fits");

weir_waf_matched weir_waf_run_sqli(const weir_waf_operator *op, weir_str value, weir_waf_run *run)
{
    size_t tokens;
    bool is_one = weir_waf_is_sqli(value, run->fingerprint, &tokens);

    (void) op;
    run->work += value.len * SQLI_BYTE_WORK + tokens * SQLI_TOKEN_WORK;
    if (!is_one) {
        return WEIR_WAF_NO_MATCH;
    }

    weir_waf_capture(run, 0, weir_str_from_z(run->fingerprint));
    return WEIR_WAF_MATCH;
}

weir_waf_matched weir_waf_run_xss(const weir_waf_operator *op, weir_str value, weir_waf_run *run)
{
    (void) op;
    run->work += value.len * XSS_BYTE_WORK;
    if (!weir_waf_is_xss(value)) {
        return WEIR_WAF_NO_MATCH;
    }

    if (run->wants_captures) {
        weir_waf_capture(run, 0, value);
    }
    return WEIR_WAF_MATCH;
}

/* A single word or number is no injection. */
void weir_waf_sqli_bytes(weir_waf_bytes *bytes)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        bool is_of_word = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z')
                          || (byte >= 'a' && byte <= 'z') || byte == '_'
                          || (byte > 0x7f && byte != 0xa0);

        if (!is_of_word) {
            weir_waf_bytes_add(bytes, (uint8_t) byte);
        }
    }
}

/* Script comes by a tag, or by an attribute with a value. */
void weir_waf_xss_bytes(weir_waf_bytes *bytes)
{
    weir_waf_bytes_add(bytes, '<');
    weir_waf_bytes_add(bytes, '=');
}
