#ifndef WEIR_HTTP_CHARSET_MAP_H
#define WEIR_HTTP_CHARSET_MAP_H

#include "core/base/pool.h"
#include "core/base/result.h"
#include "core/base/str.h"

/*
 * Between an encoding of one byte a character and another one, or UTF-8 (RFC 3629), in either direction.  ASCII is
 * itself unless a row says otherwise; other bytes without a row are "?".
 */
typedef struct weir_charset_map weir_charset_map;

/* Without rows.  The names are borrowed.  NULL: no memory. */
weir_charset_map *weir_charset_map_new(weir_pool *pool, weir_str from, weir_str to);

/*
 * A row: a byte of `from` and its like in `to`, both in hexadecimal; for UTF-8, all bytes of a
 * character of two or three.
 * Of rows with the same number, the last holds.  False: `*wrong` is the index of the one that is
 * no such number, or 2: no memory.
 */
bool weir_charset_map_add(weir_charset_map *map, const weir_str row[2],
                          size_t *wrong) WEIR_MUST_USE;

/* Names are compared whatever their case. */
bool weir_charset_map_is_between(const weir_charset_map *map, weir_str a, weir_str b);

/* Of one text that is converted; zeroed, then weir_charset_conversion_begin(). */
typedef struct {
    const weir_charset_map *map;
    bool is_back; /* from `to` into `from` */
    /* Of a UTF-8 character that is not complete: bytes to come, bits so far, and what the next byte may be. */
    unsigned wanted;
    uint32_t point;
    uint8_t low, high;
} weir_charset_conversion;

/* From one of the map's encodings into the other. */
void weir_charset_conversion_begin(weir_charset_conversion *conversion, const weir_charset_map *map,
                                   weir_str from);
/* As many bytes come out as go in. */
bool weir_charset_keeps_length(const weir_charset_conversion *conversion);
/* ASCII comes out as it was. */
bool weir_charset_keeps_ascii(const weir_charset_conversion *conversion);

/*
 * Converts from the front of `in`, which goes on behind what was taken, until it is used up or fewer than
 * WEIR_CHARSET_ROOM bytes of `room` are left.  Returns how many came out.
 *
 * From UTF-8, a character that the other encoding lacks is "&#NUMBER;", as HTML has it; what is no
 * UTF-8 is "?", one for each part that could have begun a character (Unicode, 3.9), and the byte
 * after such a part is looked at by itself.
 */
#define WEIR_CHARSET_ROOM 12
size_t weir_charset_convert(weir_charset_conversion *conversion, weir_str *in, char *out,
                            size_t room);
/* At the end of the text: true when it broke off within a character. */
bool weir_charset_is_cut(const weir_charset_conversion *conversion);

#endif
