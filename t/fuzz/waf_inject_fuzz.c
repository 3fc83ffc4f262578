/* A value: @detectSQLi and @detectXSS say something of it, and a fingerprint has one to five letters. */

#include <stdlib.h>

#include "modules/waf/sqli.h"
#include "modules/waf/xss.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_str text = weir_str_of((const char *) data, size);
    char fingerprint[WEIR_WAF_SQLI_TOKENS + 1] = {0};
    size_t tokens;

    if (weir_waf_is_sqli(text, fingerprint, &tokens)
        && (fingerprint[0] == '\0' || fingerprint[WEIR_WAF_SQLI_TOKENS] != '\0')) {
        abort();
    }
    (void) weir_waf_is_xss(text);
    return 0;
}
