/* removeComments, replaceComments, removeCommentsChar. */

#include "modules/waf/transform_internal.h"

static bool has_at(weir_str in, size_t at, weir_str text)
{
    return weir_str_starts(weir_str_from(in, at), text);
}

/* Where the text after the next `end` begins at or after `at`; 0: it does not come. */
static size_t past_end(weir_str in, size_t at, weir_str end)
{
    weir_str rest = weir_str_from(in, at);
    const char *found = weir_str_find(rest, end);

    return found == NULL ? 0 : at + (size_t) (found - rest.data) + end.len;
}

/*
 * Comments of C and HTML go, and what follows "--" or "#" too; one that is not closed leaves a blank.  A value
 * that ends with a closed one ends with a NUL then, as ModSecurity's does.
 */
void weir_waf_remove_comments(const weir_waf_unicode_map *map, weir_str in, size_t from,
                              weir_builder *out)
{
    (void) map;

    while (from < in.len) {
        bool is_c = in.data[from] == '/' && has_at(in, from, WEIR_STR("/*"));
        bool is_html = in.data[from] == '<' && has_at(in, from, WEIR_STR("<!--"));
        size_t past;

        if (is_c || is_html) {
            past = past_end(in, from + (is_c ? 2 : 4), is_c ? WEIR_STR("*/") : WEIR_STR("-->"));
            if (past == 0 || past == in.len) {
                weir_builder_add_byte(out, past == 0 ? ' ' : '\0');
                return;
            }
            from = past;
        } else if (in.data[from] == '#'
                   || (in.data[from] == '-' && has_at(in, from, WEIR_STR("--")))) {
            return;
        } else {
            weir_builder_add_byte(out, in.data[from++]);
        }
    }
}

void weir_waf_replace_comments(const weir_waf_unicode_map *map, weir_str in, size_t from,
                               weir_builder *out)
{
    (void) map;

    while (from < in.len) {
        if (in.data[from] == '/' && has_at(in, from, WEIR_STR("/*"))) {
            weir_builder_add_byte(out, ' ');
            from = past_end(in, from + 2, WEIR_STR("*/"));
            if (from == 0) {
                return;
            }
        } else {
            weir_builder_add_byte(out, in.data[from++]);
        }
    }
}

/* The marks alone go. */
static size_t comment_mark(weir_str in, size_t at)
{
    static const weir_str marks[] = {
        WEIR_STR_INIT("/*"),  WEIR_STR_INIT("*/"), WEIR_STR_INIT("<!--"),
        WEIR_STR_INIT("-->"), WEIR_STR_INIT("--"), WEIR_STR_INIT("#"),
    };

    for (size_t i = 0; i < WEIR_COUNT(marks); i++) {
        if (in.data[at] == marks[i].data[0] && has_at(in, at, marks[i])) {
            return marks[i].len;
        }
    }

    return 0;
}

void weir_waf_remove_comments_char(const weir_waf_unicode_map *map, weir_str in, size_t from,
                                   weir_builder *out)
{
    (void) map;

    while (from < in.len) {
        size_t mark = comment_mark(in, from);

        if (mark == 0) {
            weir_builder_add_byte(out, in.data[from]);
        }
        from += mark == 0 ? 1 : mark;
    }
}
