/*
 * JSON (RFC 8259): each scalar is an argument, named by its path: "json", members' names, and "array_N", joined by
 * dots.  Strings are unescaped to UTF-8, numbers stay as written, null is the empty text.
 */

#include "modules/waf/body_internal.h"
#include "modules/waf/transform_internal.h"

#define LONGEST_WORD 5 /* false */

/* What may come next.  Each lists what ends it. */
typedef enum {
    JSON_BOM,        /* a byte order mark, or what JSON_START takes */
    JSON_START,      /* a value, or nothing at all */
    JSON_VALUE,      /* a value */
    JSON_FIRST_ITEM, /* a value or ] */
    JSON_FIRST_NAME, /* a name or } */
    JSON_NAME,       /* a name */
    JSON_COLON,      /* : */
    JSON_AFTER,      /* , or the end of the container; after the outermost, blanks */
    JSON_IN_STRING,  /* up to a quote */
    JSON_ESCAPE,     /* the byte after a backslash */
    JSON_UNICODE,    /* four digits */
    JSON_IN_NUMBER,  /* up to what cannot be of a number */
    JSON_IN_WORD,    /* true, false, null */
} json_state;

typedef struct {
    size_t path_len; /* of the container's own name */
    uint64_t index;  /* of the item that comes or is being read */
    bool is_array;
} json_level;

typedef struct {
    json_state state;
    bool is_name;            /* the string is a member's name */
    uint8_t bom_count;       /* bytes of the byte order mark that have come */
    uint8_t utf8_more;       /* bytes that the character which has begun still takes */
    unsigned unicode_digits; /* that have come */
    uint32_t unicode, high_surrogate;
    json_level *levels;
    size_t depth, levels_size;
    weir_waf_gathered path, text;
} json;

/* ---- levels */

static bool json_push(weir_waf_body *body, json *j, bool is_array)
{
    json_level *levels;

    if (j->depth == body->limits.depth_max) {
        return weir_waf_body_fail(body, "JSON depth limit exceeded");
    }

    levels = weir_waf_body_room(body, j->levels, j->depth, &j->levels_size, sizeof(*levels));
    if (levels == NULL) {
        return false;
    }
    j->levels = levels;
    j->levels[j->depth++] = (json_level){.path_len = j->path.len, .is_array = is_array};
    j->state = is_array ? JSON_FIRST_ITEM : JSON_FIRST_NAME;
    return true;
}

static void json_pop(json *j)
{
    j->depth--;
    j->path.len = j->levels[j->depth].path_len;
    j->state = JSON_AFTER;
}

/* The name of the value that begins: the container's, and the item's number. */
static bool json_begin_item(weir_waf_body *body, json *j)
{
    char number[32];
    weir_builder name;
    json_level *level;

    if (j->depth == 0 || !j->levels[j->depth - 1].is_array) {
        return true;
    }

    level = &j->levels[j->depth - 1];
    weir_builder_over(&name, number, sizeof(number));
    weir_builder_add(&name, WEIR_STR(".array_"));
    weir_builder_add_uint(&name, level->index++);
    j->path.len = level->path_len;
    return weir_waf_gather(body, &j->path, weir_builder_text(&name));
}

static bool json_name(weir_waf_body *body, json *j)
{
    j->path.len = j->levels[j->depth - 1].path_len;
    j->state = JSON_COLON;
    return weir_waf_gather(body, &j->path, WEIR_STR("."))
           && weir_waf_gather(body, &j->path, weir_waf_gathered_text(&j->text));
}

/* ---- scalars */

static bool json_scalar(weir_waf_body *body, json *j, weir_str text)
{
    weir_str name, value;

    j->state = JSON_AFTER;
    return weir_waf_body_keep(body, weir_waf_gathered_text(&j->path), &name)
           && weir_waf_body_keep(body, text, &value) && weir_waf_body_argument(body, name, value);
}

static bool json_bad(weir_waf_body *body, const char *what)
{
    return weir_waf_body_fail(body, "JSON parsing error: %s", what);
}

static bool json_word_end(weir_waf_body *body, json *j)
{
    weir_str word = weir_waf_gathered_text(&j->text);

    if (weir_str_eq(word, WEIR_STR("null"))) {
        return json_scalar(body, j, WEIR_STR_EMPTY);
    }
    if (weir_str_eq(word, WEIR_STR("true")) || weir_str_eq(word, WEIR_STR("false"))) {
        return json_scalar(body, j, word);
    }

    return json_bad(body, "a word that is none of true, false, null");
}

static size_t json_digits(weir_str text, size_t at)
{
    while (at < text.len && text.data[at] >= '0' && text.data[at] <= '9') {
        at++;
    }

    return at;
}

/* RFC 8259, 6 */
static bool is_json_number(weir_str text)
{
    size_t at = weir_str_starts(text, WEIR_STR("-")) ? 1 : 0, end = json_digits(text, at);

    if (end == at || (text.data[at] == '0' && end != at + 1)) {
        return false;
    }
    at = end;
    if (weir_waf_byte_at(text, at) == '.') {
        end = json_digits(text, at + 1);
        if (end == at + 1) {
            return false;
        }
        at = end;
    }
    if ((weir_waf_byte_at(text, at) | 0x20) == 'e') {
        at++;
        at += weir_waf_byte_at(text, at) == '+' || weir_waf_byte_at(text, at) == '-' ? 1 : 0;
        end = json_digits(text, at);
        if (end == at) {
            return false;
        }
        at = end;
    }

    return at == text.len;
}

static bool json_number_end(weir_waf_body *body, json *j)
{
    weir_str number = weir_waf_gathered_text(&j->text);

    return is_json_number(number) ? json_scalar(body, j, number)
                                  : json_bad(body, "a number that is none");
}

/* ---- strings */

static bool json_add_utf8(weir_waf_body *body, json *j, uint32_t point)
{
    char bytes[4];
    weir_builder text;

    weir_builder_over(&text, bytes, sizeof(bytes));
    weir_builder_add_utf8(&text, point);
    return weir_waf_gather(body, &j->text, weir_builder_text(&text));
}

/* A surrogate that is not half of a pair becomes U+FFFD. */
static bool json_settle_surrogate(weir_waf_body *body, json *j)
{
    if (j->high_surrogate == 0) {
        return true;
    }

    j->high_surrogate = 0;
    return json_add_utf8(body, j, 0xfffd);
}

static bool json_unicode_end(weir_waf_body *body, json *j)
{
    uint32_t point = j->unicode;

    j->state = JSON_IN_STRING;
    if (point >= 0xdc00 && point <= 0xdfff && j->high_surrogate != 0) {
        point = 0x10000 + ((j->high_surrogate - 0xd800) << 10) + (point - 0xdc00);
        j->high_surrogate = 0;
        return json_add_utf8(body, j, point);
    }
    if (!json_settle_surrogate(body, j)) {
        return false;
    }
    if (point >= 0xd800 && point <= 0xdbff) {
        j->high_surrogate = point;
        return true;
    }
    return json_add_utf8(body, j, point >= 0xdc00 && point <= 0xdfff ? 0xfffd : point);
}

static bool json_escape(weir_waf_body *body, json *j, char c)
{
    static const char letters[] = "bfnrt\"\\/", bytes[] = "\b\f\n\r\t\"\\/";
    const char *letter = c == '\0' ? NULL : strchr(letters, c);

    if (c == 'u') {
        j->state = JSON_UNICODE;
        j->unicode = 0;
        j->unicode_digits = 0;
        return true;
    }
    if (letter == NULL) {
        return json_bad(body, "an escape that is none");
    }

    j->state = JSON_IN_STRING;
    return json_settle_surrogate(body, j)
           && weir_waf_gather(body, &j->text, weir_str_of(&bytes[letter - letters], 1));
}

static bool json_unicode(weir_waf_body *body, json *j, char c)
{
    int digit = weir_waf_hex_digit((uint8_t) c);

    if (digit < 0) {
        return json_bad(body, "an escape that is none");
    }

    j->unicode = j->unicode << 4 | (uint32_t) digit;
    return ++j->unicode_digits < 4 || json_unicode_end(body, j);
}

/* Only whether bytes begin and go on characters as UTF-8 does: what they mean is for rules to ask (@validateUtf8Encoding). */
static bool utf8_goes_on(json *j, uint8_t c)
{
    if (j->utf8_more > 0) {
        j->utf8_more--;
        return (c & 0xc0) == 0x80;
    }
    if (c >= 0xc0 && c < 0xf8) {
        j->utf8_more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        return true;
    }
    return c < 0x80;
}

/* As much of the string as the piece has; how much that was. */
static bool json_in_string(weir_waf_body *body, json *j, weir_str rest, size_t *taken)
{
    size_t len = 0;

    while (len < rest.len && rest.data[len] != '"' && rest.data[len] != '\\') {
        if ((uint8_t) rest.data[len] < 0x20) {
            return json_bad(body, "a control byte in a string");
        }
        if (((uint8_t) rest.data[len] >= 0x80 || j->utf8_more > 0)
            && !utf8_goes_on(j, (uint8_t) rest.data[len])) {
            return json_bad(body, "a string that is not UTF-8");
        }
        len++;
    }

    if (len > 0) {
        *taken = len;
        return json_settle_surrogate(body, j)
               && weir_waf_gather(body, &j->text, weir_str_slice(rest, 0, len));
    }

    *taken = 1;
    if (j->utf8_more > 0) {
        return json_bad(body, "a string that is not UTF-8");
    }
    if (rest.data[0] == '\\') {
        j->state = JSON_ESCAPE;
        return true;
    }
    if (!json_settle_surrogate(body, j)) {
        return false;
    }
    return j->is_name ? json_name(body, j) : json_scalar(body, j, weir_waf_gathered_text(&j->text));
}

/* ---- between them */

static bool json_value(weir_waf_body *body, json *j, char c)
{
    if (!json_begin_item(body, j)) {
        return false;
    }

    j->text.len = 0;
    j->is_name = false;
    if (c == '{' || c == '[') {
        return json_push(body, j, c == '[');
    }
    if (c == '"') {
        j->state = JSON_IN_STRING;
        return true;
    }

    if (c == '-' || (c >= '0' && c <= '9')) {
        j->state = JSON_IN_NUMBER;
    } else if (c >= 'a' && c <= 'z') {
        j->state = JSON_IN_WORD;
    } else {
        return json_bad(body, "no value where one must be");
    }
    return weir_waf_gather(body, &j->text, weir_str_of(&c, 1));
}

static bool json_after(weir_waf_body *body, json *j, char c)
{
    const json_level *level;

    if (j->depth == 0) {
        return json_bad(body, "more after the value");
    }

    level = &j->levels[j->depth - 1];
    if (c == ',') {
        j->state = level->is_array ? JSON_VALUE : JSON_NAME;
        return true;
    }
    if (c == (level->is_array ? ']' : '}')) {
        json_pop(j);
        return true;
    }

    return json_bad(body, "neither a comma nor the end of what is open");
}

/* A byte that is no blank, outside of scalars. */
static bool json_structure(weir_waf_body *body, json *j, char c)
{
    switch (j->state) {
    case JSON_FIRST_ITEM:
        if (c == ']') {
            json_pop(j);
            return true;
        }
        return json_value(body, j, c);
    case JSON_START:
    case JSON_VALUE:
        return json_value(body, j, c);
    case JSON_FIRST_NAME:
    case JSON_NAME:
        if (c == '}' && j->state == JSON_FIRST_NAME) {
            json_pop(j);
            return true;
        }
        if (c != '"') {
            return json_bad(body, "no name where one must be");
        }
        j->text.len = 0;
        j->is_name = true;
        j->state = JSON_IN_STRING;
        return true;
    case JSON_COLON:
        j->state = JSON_VALUE;
        return c == ':' || json_bad(body, "no colon after a name");
    case JSON_AFTER:
        return json_after(body, j, c);
    case JSON_BOM:
    case JSON_IN_STRING:
    case JSON_ESCAPE:
    case JSON_UNICODE:
    case JSON_IN_NUMBER:
    case JSON_IN_WORD:
        break;
    }

    return false; /* not outside of scalars */
}

static bool is_of_number(char c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || (c | 0x20) == 'e';
}

/* Some senders begin with a byte order mark, and most readers take it (RFC 8259, 8.1). */
static bool json_bom(weir_waf_body *body, json *j, char c, size_t *taken)
{
    static const char bom[] = "\xef\xbb\xbf";

    if (c == bom[j->bom_count]) {
        j->state = ++j->bom_count == sizeof(bom) - 1 ? JSON_START : JSON_BOM;
        return true;
    }

    *taken = 0;
    j->state = JSON_START;
    return j->bom_count == 0 || json_bad(body, "a byte order mark that is cut");
}

static bool json_step(weir_waf_body *body, json *j, weir_str rest, size_t *taken)
{
    char c = rest.data[0];
    bool goes_on;

    *taken = 1;
    switch (j->state) {
    case JSON_BOM:
        return json_bom(body, j, c, taken);
    case JSON_IN_STRING:
        return json_in_string(body, j, rest, taken);
    case JSON_ESCAPE:
        return json_escape(body, j, c);
    case JSON_UNICODE:
        return json_unicode(body, j, c);
    case JSON_IN_NUMBER:
    case JSON_IN_WORD:
        goes_on = j->state == JSON_IN_NUMBER
                      ? is_of_number(c)
                      : c >= 'a' && c <= 'z' && j->text.len < LONGEST_WORD + 1;
        if (goes_on) {
            return weir_waf_gather(body, &j->text, weir_str_of(&c, 1));
        }
        *taken = 0;
        return j->state == JSON_IN_NUMBER ? json_number_end(body, j) : json_word_end(body, j);
    case JSON_START:
    case JSON_VALUE:
    case JSON_FIRST_ITEM:
    case JSON_FIRST_NAME:
    case JSON_NAME:
    case JSON_COLON:
    case JSON_AFTER:
        break;
    }

    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || json_structure(body, j, c);
}

static bool json_begin(weir_waf_body *body, weir_str content_type)
{
    json *j = weir_waf_body_memory(body, sizeof(*j));

    (void) content_type;
    body->state = j;
    return j != NULL && weir_waf_gather(body, &j->path, WEIR_STR("json"));
}

static bool json_feed(weir_waf_body *body, weir_str piece)
{
    json *j = body->state;
    size_t taken;

    while (piece.len > 0) {
        if (!json_step(body, j, piece, &taken)) {
            return false;
        }
        piece = weir_str_from(piece, taken);
    }

    return true;
}

static bool json_end(weir_waf_body *body)
{
    json *j = body->state;

    if (j == NULL || body->report.failed) {
        return false;
    }

    if (j->state == JSON_IN_NUMBER) {
        (void) json_number_end(body, j);
    } else if (j->state == JSON_IN_WORD) {
        (void) json_word_end(body, j);
    }

    return (j->state == JSON_AFTER && j->depth == 0) || j->state == JSON_START
           || (j->state == JSON_BOM && j->bom_count == 0) || json_bad(body, "it ends too early");
}

const weir_waf_body_type weir_waf_body_json = {
    .name = WEIR_STR_INIT("JSON"),
    .turn_bytes = (size_t) 64 * 1024,
    .begin = json_begin,
    .feed = json_feed,
    .end = json_end,
};
