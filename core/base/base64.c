#include "core/base/base64.h"

#include <stdint.h>

/* The six bits of a digit, and one more that tells digits from the rest. */
#define BASE64_DIGIT 0x40u

static unsigned base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return BASE64_DIGIT | (unsigned) (c - 'A');
    }
    if (c >= 'a' && c <= 'z') {
        return BASE64_DIGIT | (unsigned) (c - 'a' + 26);
    }
    if (c >= '0' && c <= '9') {
        return BASE64_DIGIT | (unsigned) (c - '0' + 52);
    }
    if (c == '+') {
        return BASE64_DIGIT | 62;
    }
    return c == '/' ? (BASE64_DIGIT | 63) : 0;
}

static weir_str base64_without_padding(weir_str text)
{
    size_t len = text.len;

    if (len % 4 == 0) {
        for (int i = 0; i < 2 && len > 0 && text.data[len - 1] == '='; i++) {
            len--;
        }
    }
    return weir_str_slice(text, 0, len);
}

bool weir_base64_decode(weir_pool *pool, weir_str text, weir_str *bytes)
{
    weir_str digits = base64_without_padding(text);
    uint32_t bits = 0;
    size_t len = 0;
    char *decoded;

    /* One digit alone is no byte. */
    if (digits.len % 4 == 1) {
        return false;
    }

    decoded = weir_pool_bytes(pool, digits.len / 4 * 3 + 3);
    if (decoded == NULL) {
        return false;
    }

    for (size_t i = 0; i < digits.len; i++) {
        unsigned digit = base64_digit(digits.data[i]);

        if (digit == 0) {
            return false;
        }
        bits = bits << 6 | (digit & (BASE64_DIGIT - 1));
        /* The second, third and fourth digit of four each complete a byte. */
        if (i % 4 != 0) {
            decoded[len++] = (char) (unsigned char) (bits >> (6 - i % 4 * 2));
        }
    }

    *bytes = weir_str_of(decoded, len);
    return true;
}
