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

/* NBSP too: 0xA0 in Latin-1, and 0xC2 0xA0 in UTF-8, of which both bytes go. */
void weir_waf_remove_whitespace(const weir_waf_unicode_map *map, weir_str in, size_t from,
                                weir_builder *out)
{
    (void) map;

    for (; from < in.len; from++) {
        uint8_t byte = (uint8_t) in.data[from];

        if (!weir_waf_is_space(byte) && byte != 0xa0 && byte != 0xc2) {
            weir_builder_add_byte(out, in.data[from]);
        }
    }
}

void weir_waf_compress_whitespace(const weir_waf_unicode_map *map, weir_str in, size_t from,
                                  weir_builder *out)
{
    bool in_spaces = false;

    (void) map;

    for (; from < in.len; from++) {
        bool is_space = weir_waf_is_space((uint8_t) in.data[from]);

        if (!is_space) {
            weir_builder_add_byte(out, in.data[from]);
        } else if (!in_spaces) {
            weir_builder_add_byte(out, ' ');
        }
        in_spaces = is_space;
    }
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

static bool is_command_blank(char c)
{
    return weir_waf_is_space((uint8_t) c) || c == ',' || c == ';';
}

void weir_waf_command_line(const weir_waf_unicode_map *map, weir_str in, size_t from,
                           weir_builder *out)
{
    bool owes_blank = false;

    (void) map;

    for (; from < in.len; from++) {
        char c = in.data[from];

        if (c == '\\' || c == '"' || c == '\'' || c == '^') {
            continue;
        }
        if (is_command_blank(c)) {
            owes_blank = true;
            continue;
        }
        if (owes_blank && c != '/' && c != '(') {
            weir_builder_add_byte(out, ' ');
        }
        owes_blank = false;
        weir_builder_add_byte(out, weir_byte_lower(c));
    }

    if (owes_blank) {
        weir_builder_add_byte(out, ' ');
    }
}
