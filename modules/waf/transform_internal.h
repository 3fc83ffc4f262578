#ifndef WEIR_WAF_TRANSFORM_INTERNAL_H
#define WEIR_WAF_TRANSFORM_INTERNAL_H

#include "core/base/builder.h"
#include "modules/waf/transform.h"

/* What SecUnicodeMapFile says of the code points below 0x10000; -1: nothing. */
struct weir_waf_unicode_map {
    int16_t bytes[65536];
};

/*
 * Writes what `in` becomes.  `out` already has the first `from` bytes of it, which are no triggers; `out` has room
 * for weir_waf_transform_bound() bytes.
 */
typedef void weir_waf_transform_write(const weir_waf_unicode_map *map, weir_str in, size_t from,
                                      weir_builder *out);

/* transform_url.c */
weir_waf_transform_write weir_waf_url_decode, weir_waf_url_decode_uni, weir_waf_url_encode,
    weir_waf_utf8_to_unicode;

/* transform_escapes.c */
weir_waf_transform_write weir_waf_html_entity_decode, weir_waf_js_decode, weir_waf_css_decode,
    weir_waf_escape_seq_decode, weir_waf_sql_hex_decode;

/* transform_text.c */
weir_waf_transform_write weir_waf_lowercase, weir_waf_uppercase, weir_waf_trim, weir_waf_trim_left,
    weir_waf_trim_right, weir_waf_remove_whitespace, weir_waf_compress_whitespace,
    weir_waf_remove_nulls, weir_waf_replace_nulls, weir_waf_command_line;

/* transform_comments.c */
weir_waf_transform_write weir_waf_remove_comments, weir_waf_replace_comments,
    weir_waf_remove_comments_char;

/* transform_path.c */
weir_waf_transform_write weir_waf_normalize_path, weir_waf_normalize_path_win;

/* transform_codes.c */
weir_waf_transform_write weir_waf_base64_decode, weir_waf_base64_decode_ext, weir_waf_base64_encode,
    weir_waf_hex_decode, weir_waf_hex_encode, weir_waf_md5, weir_waf_sha1, weir_waf_length,
    weir_waf_parity_even, weir_waf_parity_odd, weir_waf_parity_zero;

/* The byte at `at`, or -1 past the end. */
static inline int weir_waf_byte_at(weir_str s, size_t at)
{
    return at < s.len ? (uint8_t) s.data[at] : -1;
}

/* Whether there are `count` hexadecimal digits at `at`. */
bool weir_waf_has_hex(weir_str s, size_t at, size_t count);
/* Their value, up to 8 digits. */
uint32_t weir_waf_hex_value(weir_str s, size_t at, size_t count);
/* The value of one digit, or -1. */
int weir_waf_hex_digit(int byte);

/* isspace() of the C locale. */
static inline bool weir_waf_is_space(int byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static inline bool weir_waf_is_alnum(int byte)
{
    return (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
}

/* Fullwidth forms stand for ASCII: of U+FF01 to U+FF5E the low byte counts from '!'. */
static inline char weir_waf_narrow(uint32_t point)
{
    return (char) (uint8_t) ((point & 0xff) + (point >= 0xff01 && point <= 0xff5e ? 0x20 : 0));
}

#endif
