/* How rare bytes and literals are: a guess from prose, forms and addresses, which need not be right to be useful. */

#include "modules/waf/prefilter_internal.h"

double weir_waf_byte_odds(uint8_t byte)
{
    char c = weir_byte_lower((char) byte);

    if (c >= 'a' && c <= 'z') {
        return strchr("etaoinsrhl", c) != NULL ? 0.06 : strchr("jqxz", c) != NULL ? 0.004 : 0.02;
    }
    if (c >= '0' && c <= '9') {
        return 0.02;
    }
    if (byte < 0x20 || byte >= 0x7f) {
        return 0.002;
    }
    return c == ' '                           ? 0.12
           : strchr(".-_/,", c) != NULL       ? 0.02
           : strchr("=&:%+\"';()", c) != NULL ? 0.008
                                              : 0.003;
}

double weir_waf_literals_odds(const weir_waf_literals *literals)
{
    double sum = 0;

    for (size_t i = 0; i < literals->count; i++) {
        double odds = 1;

        for (size_t at = 0; at < literals->items[i].len; at++) {
            odds *= weir_waf_byte_odds((uint8_t) literals->items[i].data[at]);
        }
        sum += odds;
    }

    return sum;
}

double weir_waf_bytes_odds(const weir_waf_bytes *bytes)
{
    double sum = 0;

    for (unsigned byte = 0; byte < 256; byte++) {
        bool is_upper = byte >= 'A' && byte <= 'Z';

        if (!is_upper && weir_waf_bytes_has(bytes, (uint8_t) byte)) {
            sum += weir_waf_byte_odds((uint8_t) byte);
        }
    }

    return sum;
}

/* Of the second word: "A" to "Z" are bits 1 to 26, "a" to "z" 32 further. */
#define UPPER_BITS UINT64_C(0x07fffffe)

void weir_waf_bytes_fold(weir_waf_bytes *bytes)
{
    bytes->bits[1] |= (bytes->bits[1] & UPPER_BITS) << 32;
    bytes->bits[1] &= ~UPPER_BITS;
}

void weir_waf_bytes_add_upper(weir_waf_bytes *bytes)
{
    bytes->bits[1] |= bytes->bits[1] >> 32 & UPPER_BITS;
}
