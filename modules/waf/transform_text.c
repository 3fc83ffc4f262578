/* Case, white space, NULs, cmdLine. */

#include "modules/waf/transform_internal.h"

void weir_waf_lowercase(const weir_waf_unicode_map *map, weir_str in, size_t from,
                        weir_builder *out)
{
    (void) map;
    weir_builder_add_lower(out, weir_str_from(in, from));
}

void weir_waf_uppercase(const weir_waf_unicode_map *map, weir_str in, size_t from,
                        weir_builder *out)
{
    (void) map;

    for (; from < in.len; from++) {
        char c = in.data[from];

        weir_builder_add_byte(out, c >= 'a' && c <= 'z' ? (char) (c & ~0x20) : c);
    }
}

/* ---- trim: what was copied before the first blank stays only if it is not at the front */

static size_t spaces_in_front(weir_str s)
{
    size_t count = 0;

    while (count < s.len && weir_waf_is_space((uint8_t) s.data[count])) {
        count++;
    }

    return count;
}

static weir_str without_spaces_behind(weir_str s)
{
    while (s.len > 0 && weir_waf_is_space((uint8_t) s.data[s.len - 1])) {
        s.len--;
    }

    return s;
}

void weir_waf_trim(const weir_waf_unicode_map *map, weir_str in, size_t from, weir_builder *out)
{
    (void) map;

    in = without_spaces_behind(in);
    if (from == 0) {
        from = spaces_in_front(in);
    }
    weir_builder_add(out, weir_str_from(in, from));
}

void weir_waf_trim_left(const weir_waf_unicode_map *map, weir_str in, size_t from,
                        weir_builder *out)
{
    (void) map;

    if (from == 0) {
        from = spaces_in_front(in);
    }
    weir_builder_add(out, weir_str_from(in, from));
}

void weir_waf_trim_right(const weir_waf_unicode_map *map, weir_str in, size_t from,
                         weir_builder *out)
{
    (void) map;
    weir_builder_add(out, weir_str_from(without_spaces_behind(in), from));
}

/* ---- inside */

/*
 * What only takes bytes away, or changes them one by one, writes into room of its own: a builder that is asked for each byte takes most of
 * the time.  `out` has room for all of `in`.
 */
#define ROOM(in, from, out) weir_builder_room(out, (in).len - (from))

/* NBSP too: 0xA0 in Latin-1, and 0xC2 0xA0 in UTF-8, of which both bytes go. */
void weir_waf_remove_whitespace(const weir_waf_unicode_map *map, weir_str in, size_t from,
                                weir_builder *out)
{
    static const uint8_t goes[256] = {['\t'] = 1, ['\n'] = 1, ['\v'] = 1, ['\f'] = 1,
                                      ['\r'] = 1, [' '] = 1,  [0xa0] = 1, [0xc2] = 1};
    char *room = ROOM(in, from, out), *to = room;

    (void) map;
    if (room == NULL) {
        return;
    }
    for (; from < in.len; from++) {
        /* Written in any case, and written over if it is to go. */
        *to = in.data[from];
        to += !goes[(uint8_t) in.data[from]];
    }
    weir_builder_advance(out, (size_t) (to - room));
}

void weir_waf_compress_whitespace(const weir_waf_unicode_map *map, weir_str in, size_t from,
                                  weir_builder *out)
{
    char *room = ROOM(in, from, out), *to = room;
    bool in_spaces = false;

    (void) map;
    if (room == NULL) {
        return;
    }
    for (; from < in.len; from++) {
        bool is_space = weir_waf_is_space((uint8_t) in.data[from]);

        *to = is_space ? ' ' : in.data[from];
        to += !(is_space && in_spaces);
        in_spaces = is_space;
    }
    weir_builder_advance(out, (size_t) (to - room));
}

void weir_waf_remove_nulls(const weir_waf_unicode_map *map, weir_str in, size_t from,
                           weir_builder *out)
{
    (void) map;

    for (; from < in.len; from++) {
        if (in.data[from] != '\0') {
            weir_builder_add_byte(out, in.data[from]);
        }
    }
}

void weir_waf_replace_nulls(const weir_waf_unicode_map *map, weir_str in, size_t from,
                            weir_builder *out)
{
    (void) map;

    for (; from < in.len; from++) {
        weir_builder_add_byte(out, in.data[from] == '\0' ? ' ' : in.data[from]);
    }
}

/* ---- cmdLine: what shells of both worlds would not see */

typedef enum {
    COMMAND_PLAIN,
    COMMAND_GONE,
    COMMAND_BLANK,
    COMMAND_TIGHT, /* no blank stays before it */
} command_byte;

static const uint8_t command_bytes[256] = {
    ['\\'] = COMMAND_GONE,  ['"'] = COMMAND_GONE,   ['\''] = COMMAND_GONE,  ['^'] = COMMAND_GONE,
    ['\t'] = COMMAND_BLANK, ['\n'] = COMMAND_BLANK, ['\v'] = COMMAND_BLANK, ['\f'] = COMMAND_BLANK,
    ['\r'] = COMMAND_BLANK, [' '] = COMMAND_BLANK,  [','] = COMMAND_BLANK,  [';'] = COMMAND_BLANK,
    ['/'] = COMMAND_TIGHT,  ['('] = COMMAND_TIGHT,
};

void weir_waf_command_line(const weir_waf_unicode_map *map, weir_str in, size_t from,
                           weir_builder *out)
{
    char *room = ROOM(in, from, out), *to = room;
    bool owes_blank = false;

    (void) map;
    if (room == NULL) {
        return;
    }
    for (; from < in.len; from++) {
        char c = in.data[from];

        switch ((command_byte) command_bytes[(uint8_t) c]) {
        case COMMAND_GONE:
            break;
        case COMMAND_BLANK:
            owes_blank = true;
            break;
        case COMMAND_TIGHT:
            *to++ = c;
            owes_blank = false;
            break;
        case COMMAND_PLAIN:
            /* What is owed was a byte of its own: there is room. */
            if (owes_blank) {
                *to++ = ' ';
                owes_blank = false;
            }
            *to++ = weir_byte_lower(c);
            break;
        }
    }
    if (owes_blank) {
        *to++ = ' ';
    }
    weir_builder_advance(out, (size_t) (to - room));
}
