/* urlDecode, urlDecodeUni, urlEncode, utf8toUnicode. */

#include "modules/waf/transform_internal.h"

/* What "%XX" at `at` stands for, or -1. */
static int url_escape(weir_str in, size_t at)
{
    return weir_waf_has_hex(in, at + 1, 2) ? (int) weir_waf_hex_value(in, at + 1, 2) : -1;
}

void weir_waf_url_decode(const weir_waf_unicode_map *map, weir_str in, size_t from,
                         weir_builder *out)
{
    int byte;

    (void) map;

    while (from < in.len) {
        if (in.data[from] == '%' && (byte = url_escape(in, from)) >= 0) {
            weir_builder_add_byte(out, (char) byte);
            from += 3;
        } else {
            weir_builder_add_byte(out, in.data[from] == '+' ? ' ' : in.data[from]);
            from++;
        }
    }
}

static char url_narrow(const weir_waf_unicode_map *map, uint32_t point)
{
    if (map != NULL && map->bytes[point] >= 0) {
        return (char) map->bytes[point];
    }

    return weir_waf_narrow(point);
}

void weir_waf_url_decode_uni(const weir_waf_unicode_map *map, weir_str in, size_t from,
                             weir_builder *out)
{
    char *room = weir_builder_room(out, in.len - from), *to = room;
    int byte;

    if (room == NULL) {
        return;
    }
    while (from < in.len) {
        char c = in.data[from];

        if (c != '%') {
            *to++ = c == '+' ? ' ' : c;
            from++;
        } else if ((weir_waf_byte_at(in, from + 1) | 0x20) == 'u'
                   && weir_waf_has_hex(in, from + 2, 4)) {
            *to++ = url_narrow(map, weir_waf_hex_value(in, from + 2, 4));
            from += 6;
        } else if ((byte = url_escape(in, from)) >= 0) {
            *to++ = (char) byte;
            from += 3;
        } else {
            *to++ = c;
            from++;
        }
    }
    weir_builder_advance(out, (size_t) (to - room));
}

void weir_waf_url_encode(const weir_waf_unicode_map *map, weir_str in, size_t from,
                         weir_builder *out)
{
    (void) map;

    for (; from < in.len; from++) {
        char c = in.data[from];

        if (c == ' ') {
            weir_builder_add_byte(out, '+');
        } else if (c == '*' || weir_waf_is_alnum((uint8_t) c)) {
            weir_builder_add_byte(out, c);
        } else {
            weir_builder_add_byte(out, '%');
            weir_builder_add_hexdump(out, weir_str_of(&c, 1));
        }
    }
}

/*
 * The sequence of UTF-8 (RFC 3629) that begins at `at`: its length and code point; 0 for what is none.
 * Surrogates and overlong forms are taken: the caller looks at them again.
 */
static size_t utf8_sequence(weir_str in, size_t at, uint32_t *point)
{
    uint8_t first = (uint8_t) in.data[at];
    size_t len = first >= 0xf0 && first <= 0xf4   ? 4
                 : first >= 0xe0 && first <= 0xef ? 3
                 : first >= 0xc0 && first <= 0xdf ? 2
                                                  : 0;
    uint32_t value;

    if (len == 0 || in.len - at < len) {
        return 0;
    }

    value = first & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        uint8_t next = (uint8_t) in.data[at + i];

        if ((next & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (next & 0x3f);
    }

    *point = value;
    return len;
}

static bool utf8_is_suspect(uint32_t point, size_t len)
{
    return (point >= 0xd800 && point <= 0xdfff) || (len == 4 && point < 0x10000)
           || (len == 3 && point < 0x800) || (len == 2 && point < 0x80);
}

void weir_waf_utf8_to_unicode(const weir_waf_unicode_map *map, weir_str in, size_t from,
                              weir_builder *out)
{
    (void) map;

    while (from < in.len) {
        uint32_t point = 0;
        size_t len = (uint8_t) in.data[from] < 0xc0 ? 0 : utf8_sequence(in, from, &point);

        if (len == 0) {
            weir_builder_add_byte(out, in.data[from++]);
            continue;
        }

        weir_builder_add(out, WEIR_STR("%u"));
        for (int shift = point > 0xffff ? (point > 0xfffff ? 20 : 16) : 12; shift >= 0;
             shift -= 4) {
            weir_builder_add_byte(out, "0123456789abcdef"[point >> shift & 0xf]);
        }
        /* Behind it, so that what stands before reads on: "..%c0%af" is "../". */
        if (utf8_is_suspect(point, len)) {
            weir_builder_add_byte(out, in.data[from]);
        }
        from += len;
    }
}
