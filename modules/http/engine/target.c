#include "modules/http/engine/core_conf.h"

/*
 * The request target in origin form: "/path?args#fragment".
 *
 * The path is decoded once and its dot segments are removed (RFC 3986, 5.2.4), so that locations are
 * chosen by what the path means.  A decoded "/" or "." counts as written plainly: whoever
 * decodes behind us sees no other segments than we did.
 */

/* Nothing to decode, merge or remove: the path may be a slice of what came. */
static bool path_is_plain(weir_str raw, bool merge_slashes)
{
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.data[i];

        if (c == '%' || c == '\0') {
            return false;
        }
        if (c == '/' && i + 1 < raw.len
            && (raw.data[i + 1] == '.' || (raw.data[i + 1] == '/' && merge_slashes))) {
            return false;
        }
    }
    return true;
}

/* The decoded byte at *position, which moves past it.  False for a bad escape or a NUL. */
static bool take_decoded(weir_str raw, size_t *position, char *byte)
{
    char c = raw.data[(*position)++];

    if (c == '%') {
        if (raw.len - *position < 2) {
            return false;
        }

        int high = weir_byte_hex(raw.data[*position]);
        int low = weir_byte_hex(raw.data[*position + 1]);

        if (high < 0 || low < 0) {
            return false;
        }
        c = (char) (unsigned char) (high * 16 + low);
        *position += 2;
    }
    *byte = c;
    return c != '\0';
}

/*
 * The segment that ends at text[len] is complete: a "." is dropped, a ".." takes the one before with it.
 * False when that leads above the root, or may not be.
 */
static bool end_segment(char *text, size_t *len, bool may_climb)
{
    size_t start = *len;

    while (text[start - 1] != '/') {
        start--;
    }

    size_t segment = *len - start;

    if (segment == 1 && text[start] == '.') {
        *len = start;
    } else if (segment == 2 && text[start] == '.' && text[start + 1] == '.') {
        if (start == 1 || !may_climb) {
            return false;
        }
        start--;
        while (text[start - 1] != '/') {
            start--;
        }
        *len = start;
    }
    return true;
}

static bool path_normalise(weir_str raw, bool merge_slashes, bool may_climb, weir_pool *pool,
                           weir_str *path)
{
    char *text = weir_pool_bytes(pool, raw.len);
    size_t len = 0;

    if (text == NULL) {
        return false;
    }

    for (size_t i = 0; i < raw.len;) {
        char byte;

        if (!take_decoded(raw, &i, &byte)) {
            return false;
        }
        if (byte != '/') {
            text[len++] = byte;
            continue;
        }

        size_t before = len;

        if (len != 0 && !end_segment(text, &len, may_climb)) {
            return false;
        }
        /* A removed dot segment has left its slash behind. */
        if (len == 0 || (len == before && !(merge_slashes && text[len - 1] == '/'))) {
            text[len++] = '/';
        }
    }
    if (!end_segment(text, &len, may_climb)) {
        return false;
    }

    *path = weir_str_of(text, len);
    return true;
}

void weir_http_set_path(weir_http_request *request, weir_str path)
{
    request->path = path;
    request->is_rewritten_here = false;
    request->below_alias = WEIR_STR_EMPTY;
    request->extension = WEIR_STR_EMPTY;
    for (size_t i = path.len; i > 0 && path.data[i - 1] != '/'; i--) {
        if (path.data[i - 1] == '.') {
            request->extension = weir_str_from(path, i);
            return;
        }
    }
}

bool weir_http_parse_target(weir_http_request *request, weir_str target, bool merge_slashes,
                            weir_pool *pool)
{
    if (target.len == 0 || (target.data[0] != '/' && target.data[0] != '?')) {
        return false;
    }

    if (target.data[0] == '?') {
        /* "http://host?args": the path is the root (RFC 9112, 3.2.1). */
        char *text = weir_pool_bytes(pool, target.len + 1);

        if (text == NULL) {
            return false;
        }
        text[0] = '/';
        memcpy(text + 1, target.data, target.len);
        target = weir_str_of(text, target.len + 1);
    }

    const char *mark = weir_str_find_byte(target, '#');
    weir_str raw = mark == NULL ? target : weir_str_slice(target, 0, (size_t) (mark - target.data));
    weir_str args = WEIR_STR_EMPTY;
    weir_str path;

    mark = weir_str_find_byte(raw, '?');
    if (mark != NULL) {
        size_t len = (size_t) (mark - raw.data);

        args = weir_str_from(raw, len + 1);
        raw = weir_str_slice(raw, 0, len);
    }

    bool is_plain = path_is_plain(raw, merge_slashes);

    if (is_plain) {
        path = raw;
    } else if (!path_normalise(raw, merge_slashes, true, pool, &path)) {
        return false;
    }

    request->target = target;
    request->args = args;
    request->path_is_valid = true;
    request->has_complex_target = !is_plain;
    weir_http_set_path(request, path);
    return true;
}

bool weir_http_split_target(weir_str target, bool merge_slashes, weir_pool *pool, weir_str *path,
                            weir_str *args)
{
    const char *mark = weir_str_find_byte(target, '?');
    weir_str raw = mark == NULL ? target : weir_str_slice(target, 0, (size_t) (mark - target.data));

    if (raw.len == 0 || raw.data[0] != '/'
        || !path_normalise(raw, merge_slashes, false, pool, path)) {
        return false;
    }
    *args = mark == NULL ? WEIR_STR_EMPTY : weir_str_from(target, raw.len + 1);
    return true;
}
