/* normalizePath and normalizePathWin: "//", "/./" and "/segment/../" vanish; nothing climbs above the root. */

#include "modules/waf/transform_internal.h"

static bool is_slash(char c, bool backslash_too)
{
    return c == '/' || (backslash_too && c == '\\');
}

/* What is written so far: a stack of segments, each followed by a slash. */
typedef struct {
    weir_builder *out;
    size_t climbs; /* how many leading ".." there are, which nothing removes */
    bool is_absolute;
} path_stack;

/* Takes the last segment off; false if there is none that may go. */
static bool path_pop(path_stack *stack)
{
    weir_str text = weir_builder_text(stack->out);
    size_t floor = (stack->is_absolute ? 1 : 0) + 3 * stack->climbs, len = text.len;

    if (len <= floor) {
        return false;
    }

    for (len--; len > floor && text.data[len - 1] != '/'; len--) {
    }
    stack->out->len = len;
    return true;
}

static void path_push(path_stack *stack, weir_str segment)
{
    if (weir_str_is_empty(segment) || weir_str_eq(segment, WEIR_STR("."))) {
        return;
    }

    if (weir_str_eq(segment, WEIR_STR(".."))) {
        if (path_pop(stack) || stack->is_absolute) {
            return;
        }
        stack->climbs++;
    }

    weir_builder_add(stack->out, segment);
    weir_builder_add_byte(stack->out, '/');
}

static void path_normalize(weir_str in, bool backslash_too, weir_builder *out)
{
    path_stack stack = {.out = out};
    bool ends_with_slash;
    size_t start = 0;

    out->len = 0;
    if (in.len == 0) {
        return;
    }

    stack.is_absolute = is_slash(in.data[0], backslash_too);
    ends_with_slash = is_slash(in.data[in.len - 1], backslash_too);
    if (stack.is_absolute) {
        weir_builder_add_byte(out, '/');
    }

    for (size_t i = 0; i <= in.len; i++) {
        if (i == in.len || is_slash(in.data[i], backslash_too)) {
            path_push(&stack, weir_str_slice(in, start, i));
            start = i + 1;
        }
    }

    if (!ends_with_slash && out->len > (stack.is_absolute ? 1 : 0)) {
        out->len--;
    }
}

void weir_waf_normalize_path(const weir_waf_unicode_map *map, weir_str in, size_t from,
                             weir_builder *out)
{
    (void) map;
    (void) from;
    path_normalize(in, false, out);
}

void weir_waf_normalize_path_win(const weir_waf_unicode_map *map, weir_str in, size_t from,
                                 weir_builder *out)
{
    (void) map;
    (void) from;
    path_normalize(in, true, out);
}
