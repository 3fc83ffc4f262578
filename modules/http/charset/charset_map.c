#include "modules/http/charset/charset_map.h"

#include <string.h>

#include "core/base/number.h"

/* Of the characters up to U+FFFF that have a byte; larger ones have none. */
#define PAGES 256

/* A byte's characters in UTF-8. */
typedef struct {
    char bytes[3];
    uint8_t len;
} utf8_text;

struct weir_charset_map {
    weir_pool *pool;
    weir_str from, to;
    bool is_utf8; /* `to` */
    bool keeps_ascii, keeps_ascii_back;
    uint8_t forth[256], back[256]; /* unless is_utf8 */
    utf8_text texts[256];          /* if is_utf8 */
    uint16_t *pages
        [PAGES]; /* the same: a character's byte, and HAS_BYTE; NULL: none of that page has one */
};

#define HAS_BYTE 0x100u

weir_charset_map *weir_charset_map_new(weir_pool *pool, weir_str from, weir_str to)
{
    weir_charset_map *map = WEIR_NEW(pool, weir_charset_map);

    if (map == NULL) {
        return NULL;
    }
    map->pool = pool;
    map->from = from;
    map->to = to;
    map->is_utf8 = weir_str_eq_nocase(to, WEIR_STR("utf-8"));
    map->keeps_ascii = true;
    map->keeps_ascii_back = true;
    for (unsigned byte = 0; byte < 256; byte++) {
        char itself = (char) (byte < 0x80 ? byte : '?');

        map->forth[byte] = (uint8_t) itself;
        map->back[byte] = (uint8_t) itself;
        map->texts[byte] = (utf8_text){.bytes = {itself}, .len = 1};
    }
    return map;
}

bool weir_charset_map_is_between(const weir_charset_map *map, weir_str a, weir_str b)
{
    return (weir_str_eq_nocase(map->from, a) && weir_str_eq_nocase(map->to, b))
           || (weir_str_eq_nocase(map->from, b) && weir_str_eq_nocase(map->to, a));
}

/* ---- UTF-8, byte by byte */

/* What a first byte says (Unicode, table 3-7).  False: it is none. */
static bool lead_take(weir_charset_conversion *conversion, uint8_t byte)
{
    if (byte < 0xc2 || byte > 0xf4) {
        return false;
    }
    conversion->low = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
    conversion->high = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
    conversion->wanted = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    conversion->point = byte & (0x3fu >> conversion->wanted);
    return true;
}

/* The next byte of the character.  False: it breaks off here. */
static bool trail_take(weir_charset_conversion *conversion, uint8_t byte)
{
    if (byte < conversion->low || byte > conversion->high) {
        return false;
    }
    conversion->low = 0x80;
    conversion->high = 0xbf;
    conversion->point = conversion->point << 6 | (byte & 0x3fu);
    conversion->wanted--;
    return true;
}

/* ---- rows */

/* One character of two or three bytes. */
static bool read_utf8(weir_str hex, utf8_text *text, uint32_t *point)
{
    weir_charset_conversion reader = {.map = NULL};
    size_t len = hex.len / 2;
    uint64_t byte;

    if (hex.len % 2 != 0 || len < 2 || len > sizeof(text->bytes)) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (!weir_parse_hex(weir_str_slice(hex, 2 * i, 2 * i + 2), 0xff, &byte)
            || !(i == 0 ? lead_take(&reader, (uint8_t) byte)
                        : reader.wanted != 0 && trail_take(&reader, (uint8_t) byte))) {
            return false;
        }
        text->bytes[i] = (char) byte;
    }
    text->len = (uint8_t) len;
    *point = reader.point;
    return reader.wanted == 0;
}

static bool add_utf8(weir_charset_map *map, uint8_t byte, utf8_text text, uint32_t point)
{
    uint16_t **page = &map->pages[point >> 8];

    if (*page == NULL) {
        *page = WEIR_NEW_ARRAY(map->pool, uint16_t, 256);
        if (*page == NULL) {
            return false;
        }
    }
    map->texts[byte] = text;
    (*page)[point & 0xff] = (uint16_t) (HAS_BYTE | byte);
    map->keeps_ascii = map->keeps_ascii && byte >= 0x80;
    return true;
}

static void add_byte(weir_charset_map *map, uint8_t byte, uint8_t like)
{
    map->forth[byte] = like;
    map->back[like] = byte;
    map->keeps_ascii = map->keeps_ascii && (byte >= 0x80 || byte == like);
    map->keeps_ascii_back = map->keeps_ascii_back && (like >= 0x80 || byte == like);
}

bool weir_charset_map_add(weir_charset_map *map, const weir_str row[2], size_t *wrong)
{
    uint64_t byte, like = 0;
    utf8_text text = {.len = 0};
    uint32_t point = 0;

    if (!weir_parse_hex(row[0], 0xff, &byte)) {
        *wrong = 0;
        return false;
    }
    if (map->is_utf8 ? !read_utf8(row[1], &text, &point) : !weir_parse_hex(row[1], 0xff, &like)) {
        *wrong = 1;
        return false;
    }
    if (!map->is_utf8) {
        add_byte(map, (uint8_t) byte, (uint8_t) like);
        return true;
    }
    *wrong = 2;
    return add_utf8(map, (uint8_t) byte, text, point);
}

/* ---- converting */

void weir_charset_conversion_begin(weir_charset_conversion *conversion, const weir_charset_map *map,
                                   weir_str from)
{
    *conversion = (weir_charset_conversion){
        .map = map,
        .is_back = weir_str_eq_nocase(map->to, from),
    };
}

bool weir_charset_keeps_length(const weir_charset_conversion *conversion)
{
    return !conversion->map->is_utf8;
}

bool weir_charset_keeps_ascii(const weir_charset_conversion *conversion)
{
    return conversion->is_back ? conversion->map->keeps_ascii_back : conversion->map->keeps_ascii;
}

bool weir_charset_is_cut(const weir_charset_conversion *conversion)
{
    return conversion->wanted != 0;
}

static size_t convert_bytes(const uint8_t like[256], weir_str *in, char *out, size_t room)
{
    size_t len = in->len < room ? in->len : room;

    for (size_t i = 0; i < len; i++) {
        out[i] = (char) like[(uint8_t) in->data[i]];
    }
    *in = weir_str_from(*in, len);
    return len;
}

static size_t convert_to_utf8(const utf8_text texts[256], weir_str *in, char *out, size_t room)
{
    size_t len = 0;
    size_t i = 0;

    for (; i < in->len && room - len >= WEIR_CHARSET_ROOM; i++) {
        const utf8_text *text = &texts[(uint8_t) in->data[i]];

        memcpy(out + len, text->bytes, sizeof(text->bytes));
        len += text->len;
    }
    *in = weir_str_from(*in, i);
    return len;
}

/* Its byte, or "&#NUMBER;": at most ten bytes. */
static size_t put_point(const weir_charset_map *map, uint32_t point, char *out)
{
    const uint16_t *page = point <= 0xffff ? map->pages[point >> 8] : NULL;
    char digits[8];
    size_t count = 0;
    size_t len = 0;

    if (page != NULL && page[point & 0xff] != 0) {
        out[0] = (char) (page[point & 0xff] & 0xff);
        return 1;
    }
    for (; point != 0; point /= 10) {
        digits[count++] = (char) ('0' + point % 10);
    }
    out[len++] = '&';
    out[len++] = '#';
    while (count != 0) {
        out[len++] = digits[--count];
    }
    out[len++] = ';';
    return len;
}

static size_t convert_from_utf8(weir_charset_conversion *conversion, weir_str *in, char *out,
                                size_t room)
{
    size_t len = 0;
    size_t i = 0;

    while (i < in->len && room - len >= WEIR_CHARSET_ROOM) {
        uint8_t byte = (uint8_t) in->data[i];

        if (conversion->wanted != 0) {
            if (!trail_take(conversion, byte)) {
                /* The byte is looked at again, as the first of something else. */
                conversion->wanted = 0;
                out[len++] = '?';
                continue;
            }
            if (conversion->wanted == 0) {
                len += put_point(conversion->map, conversion->point, out + len);
            }
        } else if (byte < 0x80) {
            out[len++] = (char) byte;
        } else if (!lead_take(conversion, byte)) {
            out[len++] = '?';
        }
        i++;
    }
    *in = weir_str_from(*in, i);
    return len;
}

size_t weir_charset_convert(weir_charset_conversion *conversion, weir_str *in, char *out,
                            size_t room)
{
    const weir_charset_map *map = conversion->map;

    if (!map->is_utf8) {
        return convert_bytes(conversion->is_back ? map->back : map->forth, in, out, room);
    }
    return conversion->is_back ? convert_from_utf8(conversion, in, out, room)
                               : convert_to_utf8(map->texts, in, out, room);
}
