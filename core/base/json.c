#include "core/base/json.h"

#include "core/base/cursor.h"

static void skip_space(weir_cursor *cursor)
{
    char c;

    while (weir_cursor_peek(cursor, &c) && (c == ' ' || c == '\t' || c == '\n' || c == '\r')
           && weir_cursor_take_byte(cursor, &c)) {
    }
}

static bool take_one(weir_cursor *cursor, char wanted)
{
    char c;

    skip_space(cursor);
    return weir_cursor_peek(cursor, &c) && c == wanted && weir_cursor_take_byte(cursor, &c);
}

static bool hex_take(weir_cursor *cursor, uint32_t *code)
{
    *code = 0;
    for (unsigned i = 0; i < 4; i++) {
        char c;

        if (!weir_cursor_take_byte(cursor, &c) || weir_byte_hex(c) < 0) {
            return false;
        }
        *code = *code << 4 | (uint32_t) weir_byte_hex(c);
    }
    return true;
}

/* Behind "\\u": a character, which beyond U+FFFF is a pair of surrogates; neither NUL nor half a pair. */
static bool character_take(weir_cursor *cursor, weir_builder *decoded)
{
    uint32_t code;
    uint32_t low;
    char c;

    if (!hex_take(cursor, &code) || code == 0 || (code >= 0xdc00 && code <= 0xdfff)) {
        return false;
    }
    if (code >= 0xd800 && code <= 0xdbff) {
        if (!weir_cursor_take_byte(cursor, &c) || c != '\\' || !weir_cursor_take_byte(cursor, &c)
            || c != 'u' || !hex_take(cursor, &low) || low < 0xdc00 || low > 0xdfff) {
            return false;
        }
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    weir_builder_add_utf8(decoded, code);
    return true;
}

static bool escape_take(weir_cursor *cursor, weir_builder *decoded)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    char c;

    if (!weir_cursor_take_byte(cursor, &c)) {
        return false;
    }
    if (c == 'u') {
        return character_take(cursor, decoded);
    }
    for (size_t i = 0; i < sizeof(from) - 1; i++) {
        if (from[i] == c) {
            weir_builder_add_byte(decoded, to[i]);
            return true;
        }
    }
    return false;
}

static bool string_take(weir_cursor *cursor, weir_pool *pool, weir_str *text)
{
    weir_builder decoded;
    char c;

    if (!take_one(cursor, '"')) {
        return false;
    }
    weir_builder_open(&decoded, pool, 4096);
    while (weir_cursor_take_byte(cursor, &c)) {
        if (c == '"') {
            return weir_builder_close(&decoded, text);
        }
        if ((unsigned char) c < 0x20 || (c == '\\' && !escape_take(cursor, &decoded))) {
            return false;
        }
        if (c != '\\') {
            weir_builder_add_byte(&decoded, c);
        }
    }
    return false;
}

/* One of them, if there is any. */
static bool any_take(weir_cursor *cursor, const char *of)
{
    char c;

    return weir_cursor_peek(cursor, &c) && strchr(of, c) != NULL && c != '\0'
           && weir_cursor_take_byte(cursor, &c);
}

static bool digits_take(weir_cursor *cursor)
{
    static const char digits[] = "0123456789";

    if (!any_take(cursor, digits)) {
        return false;
    }
    while (any_take(cursor, digits)) {
    }
    return true;
}

/* RFC 8259, 6. */
static bool number_take(weir_cursor *cursor, weir_str *text)
{
    const char *from = cursor->at;

    (void) any_take(cursor, "-");
    if ((!any_take(cursor, "0") && !digits_take(cursor))
        || (any_take(cursor, ".") && !digits_take(cursor))) {
        return false;
    }
    if (any_take(cursor, "eE")) {
        (void) any_take(cursor, "+-");
        if (!digits_take(cursor)) {
            return false;
        }
    }
    *text = weir_str_of(from, (size_t) (cursor->at - from));
    return true;
}

static bool value_take(weir_cursor *cursor, weir_pool *pool, weir_json_member *member)
{
    char c;

    skip_space(cursor);
    if (!weir_cursor_peek(cursor, &c)) {
        return false;
    }
    if (c == '"') {
        member->kind = WEIR_JSON_STRING;
        return string_take(cursor, pool, &member->text);
    }
    if (c == 't' || c == 'f') {
        member->kind = WEIR_JSON_BOOL;
        member->text = c == 't' ? WEIR_STR("true") : WEIR_STR("false");
        return weir_cursor_skip(cursor, member->text);
    }
    if (c == 'n') {
        member->kind = WEIR_JSON_NULL;
        member->text = WEIR_STR("null");
        return weir_cursor_skip(cursor, member->text);
    }
    if (c == '{' || c == '[') {
        member->kind = WEIR_JSON_NESTED;
        member->text = WEIR_STR_EMPTY;
        return true;
    }
    member->kind = WEIR_JSON_NUMBER;
    return number_take(cursor, &member->text);
}

static bool members_read(weir_cursor *cursor, weir_pool *pool,
                         bool (*take)(const weir_json_member *member, void *subject), void *subject,
                         const char **why)
{
    *why = "no flat JSON object";
    if (!take_one(cursor, '{')) {
        return false;
    }
    if (take_one(cursor, '}')) {
        return true;
    }
    do {
        weir_json_member member;

        if (!string_take(cursor, pool, &member.name) || !take_one(cursor, ':')
            || !value_take(cursor, pool, &member)) {
            return false;
        }
        if (!take(&member, subject)) {
            *why = NULL;
            return false;
        }
    } while (take_one(cursor, ','));
    return take_one(cursor, '}');
}

bool weir_json_object_read(weir_str text, weir_pool *pool,
                           bool (*take)(const weir_json_member *member, void *subject),
                           void *subject, const char **why)
{
    weir_cursor cursor = weir_cursor_of(text);

    if (!members_read(&cursor, pool, take, subject, why)) {
        return false;
    }
    skip_space(&cursor);
    return weir_cursor_left(&cursor) == 0;
}

/* ---- writing */

/* The bytes of a well-formed character that is not ASCII (RFC 3629, 4); 0: it is none. */
static size_t utf8_len(weir_str text, size_t at)
{
    unsigned char first = (unsigned char) text.data[at];
    size_t len = first >= 0xc2 && first <= 0xdf   ? 2
                 : first >= 0xe0 && first <= 0xef ? 3
                 : first >= 0xf0 && first <= 0xf4 ? 4
                                                  : 0;

    if (len == 0 || text.len - at < len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if (((unsigned char) text.data[at + i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    unsigned char second = (unsigned char) text.data[at + 1];

    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f)
        || (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) {
        return 0;
    }
    return len;
}

/* \uHHLL */
static void add_code(weir_builder *to, const char *high, unsigned low)
{
    static const char hex[] = "0123456789abcdef";
    const char code[] = {'\\', 'u', high[0], high[1], hex[low >> 4 & 15], hex[low & 15]};

    weir_builder_add(to, weir_str_of(code, sizeof(code)));
}

void weir_json_write_string(weir_builder *builder, weir_str text)
{
    weir_builder_add_byte(builder, '"');
    /* What is full takes nothing of it, and would take long to. */
    for (size_t i = 0; i < text.len && !builder->failed; i++) {
        unsigned char c = (unsigned char) text.data[i];
        size_t len = c >= 0x80 ? utf8_len(text, i) : 0;

        if (len == 2 && c == 0xc2 && (unsigned char) text.data[i + 1] < 0xa0) {
            /* U+0080 to U+009F: terminals obey some of them. */
            i++;
            add_code(builder, "00", (unsigned char) text.data[i]);
        } else if (len == 3 && weir_str_eq(weir_str_slice(text, i, i + 2), WEIR_STR("\xe2\x80"))
                   && ((unsigned char) text.data[i + 2] & 0xfe) == 0xa8) {
            /* U+2028 and U+2029 end lines, for some. */
            add_code(builder, "20", (unsigned char) text.data[i + 2] - 0x80);
            i += 2;
        } else if (len != 0) {
            weir_builder_add(builder, weir_str_of(text.data + i, len));
            i += len - 1;
        } else if (c == '"' || c == '\\') {
            weir_builder_add_byte(builder, '\\');
            weir_builder_add_byte(builder, (char) c);
        } else if (c < ' ' || c >= 0x7f) {
            add_code(builder, "00", c);
        } else {
            weir_builder_add_byte(builder, (char) c);
        }
    }
    weir_builder_add_byte(builder, '"');
}
