/* @validateByteRange, @validateUrlEncoding, @validateUtf8Encoding: each matches what is not valid. */

#include "modules/waf/operator_internal.h"

#include "core/base/number.h"
#include "modules/waf/transform_internal.h"

/* "32-126" or "9" */
static bool range_add(weir_str text, weir_waf_bytes *inside)
{
    weir_str first;
    uint64_t from, to;

    text = weir_str_trim(text);
    if (!weir_str_split(&text, '-', &first) || !weir_parse_uint(weir_str_trim(first), 255, &from)) {
        return false;
    }
    to = from;
    if (!weir_str_is_empty(text) && !weir_parse_uint(weir_str_trim(text), 255, &to)) {
        return false;
    }

    for (uint64_t byte = from; byte <= to; byte++) {
        weir_waf_bytes_add(inside, (uint8_t) byte);
    }
    return from <= to;
}

bool weir_waf_byte_range_compile(weir_waf_operator_build *build, weir_waf_operator *op)
{
    weir_waf_bytes inside = {{0}};
    weir_str rest = op->parameter, range;

    while (weir_str_split(&rest, ',', &range)) {
        if (!range_add(range, &inside)) {
            return weir_waf_operator_refuse(build, (size_t) (range.data - op->parameter.data),
                                            "\"%.*s\" is no range of bytes", WEIR_STR_ARG(range));
        }
    }

    for (size_t i = 0; i < WEIR_COUNT(inside.bits); i++) {
        op->bytes.bits[i] = ~inside.bits[i];
    }
    return true;
}

weir_waf_matched weir_waf_run_byte_range(const weir_waf_operator *op, weir_str value,
                                         weir_waf_run *run)
{
    (void) run;
    return weir_waf_bytes_find(&op->bytes, value, 0) < value.len ? WEIR_WAF_MATCH
                                                                 : WEIR_WAF_NO_MATCH;
}

weir_waf_matched weir_waf_run_url_encoding(const weir_waf_operator *op, weir_str value,
                                           weir_waf_run *run)
{
    const char *percent;
    size_t at = 0;

    (void) op;
    (void) run;

    while ((percent = weir_str_find_byte(weir_str_from(value, at), '%')) != NULL) {
        at = (size_t) (percent - value.data) + 1;
        if (!weir_waf_has_hex(value, at, 2)) {
            return WEIR_WAF_MATCH;
        }
    }

    return WEIR_WAF_NO_MATCH;
}

/* The length of the well-formed sequence at `at` (RFC 3629, 4), or 0. */
static size_t utf8_len(weir_str s, size_t at)
{
    uint8_t first = (uint8_t) s.data[at];
    int second = weir_waf_byte_at(s, at + 1);
    int low = 0x80, high = 0xbf;
    size_t len = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

    if (len <= 1) {
        return len;
    }

    /* Overlong forms, surrogates, and what lies above U+10FFFF are told by the second byte. */
    if (first == 0xe0) {
        low = 0xa0;
    } else if (first == 0xed) {
        high = 0x9f;
    } else if (first == 0xf0) {
        low = 0x90;
    } else if (first == 0xf4) {
        high = 0x8f;
    }
    if (first > 0xf4 || second < low || second > high) {
        return 0;
    }

    for (size_t i = 2; i < len; i++) {
        int next = weir_waf_byte_at(s, at + i);

        if (next < 0x80 || next > 0xbf) {
            return 0;
        }
    }
    return len;
}

/* How many bytes of ASCII there are at `at`, eight at a time. */
static size_t ascii_len(weir_str s, size_t at)
{
    size_t start = at;
    uint64_t word;

    while (s.len - at >= sizeof(word)) {
        memcpy(&word, s.data + at, sizeof(word));
        if ((word & UINT64_C(0x8080808080808080)) != 0) {
            break;
        }
        at += sizeof(word);
    }

    return at - start;
}

weir_waf_matched weir_waf_run_utf8(const weir_waf_operator *op, weir_str value, weir_waf_run *run)
{
    size_t at = 0;

    (void) op;
    (void) run;

    while (at < value.len) {
        size_t len = ascii_len(value, at);

        if (len == 0) {
            len = utf8_len(value, at);
        }
        if (len == 0) {
            return WEIR_WAF_MATCH;
        }
        at += len;
    }

    return WEIR_WAF_NO_MATCH;
}
