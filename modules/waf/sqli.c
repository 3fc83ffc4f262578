/* The verdict: which readings there are, and which fingerprints are injections after all that is known. */

#include "modules/waf/sqli_internal.h"

#include "core/base/result.h"

typedef struct {
    sql_reading reading;
    sql_token tokens[SQL_WINDOW];
    size_t count;
    char types[WEIR_WAF_SQLI_TOKENS + 1];
    size_t tokens_read; /* in this reading, and those before */
} sql_shape;

static void shape_read(sql_shape *shape, weir_str text, char quote, sql_dialect dialect)
{
    weir_waf_sql_begin(&shape->reading, text, quote, dialect);
    shape->count = weir_waf_sql_fold(&shape->reading, shape->tokens);
    shape->tokens_read += shape->reading.token_count;
    memset(shape->types, 0, sizeof(shape->types));
    for (size_t i = 0; i < shape->count; i++) {
        shape->types[i] = (char) shape->tokens[i].type;
    }

    /* Whatever stands around it. */
    for (size_t i = 0; i < shape->count; i++) {
        if (shape->tokens[i].type == SQL_EVIL) {
            shape->types[0] = SQL_EVIL;
            shape->types[1] = '\0';
            shape->tokens[0] = shape->tokens[i];
            shape->count = 1;
        }
    }
}

static bool is_shape(const sql_shape *shape, const char *types)
{
    return strcmp(shape->types, types) == 0;
}

/* ---- what reads as an injection and is none */

static bool text_has_nocase(weir_str text, weir_str word)
{
    for (size_t i = 0; i + word.len <= text.len; i++) {
        if (weir_str_starts_nocase(weir_str_from(text, i), word)) {
            return true;
        }
    }

    return false;
}

/* A number with a comment is one if the number ends there: by a blank, or at the comment itself. */
static bool number_and_comment_tell(const sql_shape *shape)
{
    weir_str comment = shape->tokens[1].text;
    weir_str text = shape->reading.text;
    size_t after;
    char c;

    if (weir_str_starts(comment, WEIR_STR("/")) || shape->reading.token_count > 2) {
        return true;
    }

    after = shape->tokens[0].text.len;
    c = after < text.len ? text.data[after] : '\0';
    if ((uint8_t) c <= ' ') {
        return true;
    }
    return weir_str_starts(weir_str_from(text, after), WEIR_STR("/*"))
           || weir_str_starts(weir_str_from(text, after), WEIR_STR("--"));
}

static bool two_tell(const sql_shape *shape)
{
    weir_str comment = shape->tokens[1].text;

    if (shape->tokens[1].type == SQL_UNION) {
        return shape->reading.token_count != 2;
    }
    if (weir_str_starts(comment, WEIR_STR("#"))) {
        return false;
    }
    if (is_shape(shape, "nc") && !weir_str_starts(comment, WEIR_STR("/"))) {
        return false;
    }
    if (is_shape(shape, "1c")) {
        return number_and_comment_tell(shape);
    }
    return !(comment.len > 2 && weir_str_starts(comment, WEIR_STR("-")));
}

static bool three_tell(const sql_shape *shape)
{
    static const char *const values[] = {"s&n", "n&1", "1&1", "1&v", "1&s"};
    const sql_token *first = &shape->tokens[0], *last = &shape->tokens[2];

    /* x' or 'y: it closes the quote that it stands in, and opens another. */
    if (is_shape(shape, "sos") || is_shape(shape, "s&s")) {
        return first->open == '\0' && last->close == '\0' && first->close == last->open;
    }
    for (size_t i = 0; i < WEIR_COUNT(values); i++) {
        if (is_shape(shape, values[i])) {
            return shape->reading.token_count != 3;
        }
    }
    if (shape->tokens[1].type == SQL_KEYWORD) {
        return weir_str_starts_nocase(shape->tokens[1].text, WEIR_STR("INTO OUT"))
               || weir_str_starts_nocase(shape->tokens[1].text, WEIR_STR("INTO DUMP"));
    }
    return true;
}

static bool shape_tells(const sql_shape *shape)
{
    if (!weir_waf_sql_is_known(weir_str_from_z(shape->types))) {
        return false;
    }

    /* SQL Server leaves statements with this word out of its log. */
    if (shape->count > 1 && shape->tokens[shape->count - 1].type == SQL_COMMENT
        && text_has_nocase(shape->reading.text, WEIR_STR("sp_password"))) {
        return true;
    }
    return shape->count == 2 ? two_tell(shape) : shape->count == 3 ? three_tell(shape) : true;
}

/* ---- readings */

static bool tells(sql_shape *shape, weir_str text, char quote, sql_dialect dialect)
{
    shape_read(shape, text, quote, dialect);
    return shape_tells(shape);
}

/* In the standard's dialect, and in MySQL's where that takes a comment for something else. */
static bool tells_in_a_dialect(sql_shape *shape, weir_str text, char quote)
{
    if (tells(shape, text, quote, SQL_ANSI)) {
        return true;
    }
    return (shape->reading.has_dashes_without_blank || shape->reading.has_hash)
           && tells(shape, text, quote, SQL_MYSQL);
}

bool weir_waf_is_sqli(weir_str text, char fingerprint[static WEIR_WAF_SQLI_TOKENS + 1],
                      size_t *tokens)
{
    sql_shape shape;
    bool is_one;

    /* The rest is written before it is read. */
    shape.tokens_read = 0;
    is_one =
        text.len > 0
        && (tells_in_a_dialect(&shape, text, '\0')
            || (weir_str_find_byte(text, '\'') != NULL && tells_in_a_dialect(&shape, text, '\''))
            || (weir_str_find_byte(text, '"') != NULL && tells(&shape, text, '"', SQL_MYSQL)));
    *tokens = shape.tokens_read;
    if (is_one) {
        memcpy(fingerprint, shape.types, sizeof(shape.types));
    }
    return is_one;
}
