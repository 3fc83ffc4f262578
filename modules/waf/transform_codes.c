/* base64, hexadecimal, digests, length, parity. */

#include "modules/waf/transform_internal.h"

#include <openssl/md5.h>
#include <openssl/sha.h>

/* ---- base64 (RFC 4648, 4) */

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/*
 * What is there of a last group comes out too; other bytes end the text or, with `skips_others`, do not count.
 * Line ends never do: encoded text comes in lines (RFC 2045, 6.8).
 */
static void base64_decode(weir_str in, bool skips_others, weir_builder *out)
{
    uint32_t bits = 0;
    unsigned held = 0;

    for (size_t i = 0; i < in.len; i++) {
        int value = base64_value(in.data[i]);

        if (value < 0) {
            if (skips_others || in.data[i] == '\r' || in.data[i] == '\n') {
                continue;
            }
            break;
        }

        bits = bits << 6 | (uint32_t) value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            weir_builder_add_byte(out, (char) (uint8_t) (bits >> held));
        }
    }
}

void weir_waf_base64_decode(const weir_waf_unicode_map *map, weir_str in, size_t from,
                            weir_builder *out)
{
    (void) map;
    (void) from;
    base64_decode(in, false, out);
}

void weir_waf_base64_decode_ext(const weir_waf_unicode_map *map, weir_str in, size_t from,
                                weir_builder *out)
{
    (void) map;
    (void) from;
    base64_decode(in, true, out);
}

void weir_waf_base64_encode(const weir_waf_unicode_map *map, weir_str in, size_t from,
                            weir_builder *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    (void) map;
    (void) from;

    for (size_t i = 0; i < in.len; i += 3) {
        size_t left = in.len - i;
        uint32_t bits = (uint32_t) (uint8_t) in.data[i] << 16;

        bits |= left > 1 ? (uint32_t) (uint8_t) in.data[i + 1] << 8 : 0;
        bits |= left > 2 ? (uint32_t) (uint8_t) in.data[i + 2] : 0;
        weir_builder_add_byte(out, digits[bits >> 18]);
        weir_builder_add_byte(out, digits[bits >> 12 & 63]);
        weir_builder_add_byte(out, left > 1 ? digits[bits >> 6 & 63] : '=');
        weir_builder_add_byte(out, left > 2 ? digits[bits & 63] : '=');
    }
}

/* ---- hexadecimal */

/* Foreign bytes count for what arithmetic on their code gives: evasions rely on engines that do so. */
static unsigned hex_loose(char c)
{
    unsigned byte = (uint8_t) c;

    return byte >= 'A' ? (byte & 0xdf) - 'A' + 10 : byte - '0';
}

void weir_waf_hex_decode(const weir_waf_unicode_map *map, weir_str in, size_t from,
                         weir_builder *out)
{
    (void) map;
    (void) from;

    for (size_t i = 0; i + 1 < in.len; i += 2) {
        weir_builder_add_byte(
            out, (char) (uint8_t) (hex_loose(in.data[i]) * 16 + hex_loose(in.data[i + 1])));
    }
}

void weir_waf_hex_encode(const weir_waf_unicode_map *map, weir_str in, size_t from,
                         weir_builder *out)
{
    (void) map;
    (void) from;
    weir_builder_add_hexdump(out, in);
}

/* ---- digests, length */

void weir_waf_md5(const weir_waf_unicode_map *map, weir_str in, size_t from, weir_builder *out)
{
    uint8_t digest[MD5_DIGEST_LENGTH];

    (void) map;
    (void) from;
    MD5((const uint8_t *) in.data, in.len, digest);
    weir_builder_add(out, weir_str_of((const char *) digest, sizeof(digest)));
}

void weir_waf_sha1(const weir_waf_unicode_map *map, weir_str in, size_t from, weir_builder *out)
{
    uint8_t digest[SHA_DIGEST_LENGTH];

    (void) map;
    (void) from;
    SHA1((const uint8_t *) in.data, in.len, digest);
    weir_builder_add(out, weir_str_of((const char *) digest, sizeof(digest)));
}

void weir_waf_length(const weir_waf_unicode_map *map, weir_str in, size_t from, weir_builder *out)
{
    (void) map;
    (void) from;
    weir_builder_add_uint(out, in.len);
}

/* ---- parity in the eighth bit */

static void parity(weir_str in, size_t from, bool is_odd, weir_builder *out)
{
    for (; from < in.len; from++) {
        uint8_t low = (uint8_t) in.data[from] & 0x7f;
        bool has_odd_count = __builtin_parity(low) != 0;

        weir_builder_add_byte(out, (char) (low | (has_odd_count != is_odd ? 0x80 : 0)));
    }
}

void weir_waf_parity_even(const weir_waf_unicode_map *map, weir_str in, size_t from,
                          weir_builder *out)
{
    (void) map;
    parity(in, from, false, out);
}

void weir_waf_parity_odd(const weir_waf_unicode_map *map, weir_str in, size_t from,
                         weir_builder *out)
{
    (void) map;
    parity(in, from, true, out);
}

void weir_waf_parity_zero(const weir_waf_unicode_map *map, weir_str in, size_t from,
                          weir_builder *out)
{
    (void) map;

    for (; from < in.len; from++) {
        weir_builder_add_byte(out, (char) (in.data[from] & 0x7f));
    }
}
