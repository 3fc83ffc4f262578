/* Cuts a reading of SQL into tokens, as the dialects' manuals describe them; what one of them takes is taken. */

#include "modules/waf/sqli_internal.h"

#include "core/base/result.h"
#include "modules/waf/transform_internal.h"

#define WORD_MAX 32

/* ---- bytes */

static bool is_blank(int byte)
{
    return (byte >= 0 && byte <= ' ') || byte == 0x7f || byte == 0xa0;
}

static int sql_byte(const sql_reading *r, size_t at)
{
    return weir_waf_byte_at(r->text, at);
}

/* Where the first byte of `stops`, a NUL, or the end, is at or after `at`. */
static size_t span_to(const sql_reading *r, size_t at, const char *stops)
{
    while (at < r->text.len && strchr(stops, r->text.data[at]) == NULL) {
        at++;
    }

    return at;
}

static size_t span_of(const sql_reading *r, size_t at, const char *set)
{
    while (at < r->text.len && r->text.data[at] != '\0' && strchr(set, r->text.data[at]) != NULL) {
        at++;
    }

    return at;
}

#define DIGITS "0123456789"
#define HEX_DIGITS DIGITS "abcdefABCDEF"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define BLANKS "\t\n\v\f\r "
#define NAME_STOPS BLANKS "<>:\\?=@!#~+-*/&|^%(),';\"`"
#define WORD_STOPS                                                                                 \
    BLANKS "\xa0"                                                                                  \
           "[]{}<>:\\?=@!#~+-*/&|^%(),';\""

/* ---- tokens: each is made from where the reading stands, and the reading goes on behind it */

static void token_set(sql_reading *r, sql_token *token, sql_token_type type, size_t from, size_t to)
{
    *token = (sql_token){.type = type, .text = weir_str_slice(r->text, from, to)};
    r->at = to;
}

static bool is_escaped(weir_str text, size_t from, size_t quote)
{
    size_t slashes = 0;

    while (quote - slashes > from && text.data[quote - slashes - 1] == '\\') {
        slashes++;
    }

    return slashes % 2 == 1;
}

/* A string whose content begins at `from`; a doubled or escaped quote is of the content. */
static void token_string(sql_reading *r, sql_token *token, sql_token_type type, size_t from,
                         char open, char quote)
{
    size_t at = from;

    while (at < r->text.len) {
        const char *found = weir_str_find_byte(weir_str_from(r->text, at), quote);

        if (found == NULL) {
            break;
        }
        at = (size_t) (found - r->text.data);
        if (is_escaped(r->text, from, at)) {
            at++;
        } else if (sql_byte(r, at + 1) == quote) {
            at += 2;
        } else {
            token_set(r, token, type, from, at);
            token->open = open;
            token->close = quote;
            r->at = at + 1;
            return;
        }
    }

    token_set(r, token, type, from, r->text.len);
    token->open = open;
}

/* A string up to `end`, whatever it holds. */
static void token_string_until(sql_reading *r, sql_token *token, size_t from, weir_str end,
                               char quote)
{
    weir_str rest = weir_str_from(r->text, from);
    const char *found = weir_str_find(rest, end);

    if (found == NULL) {
        token_set(r, token, SQL_STRING, from, r->text.len);
    } else {
        size_t to = from + (size_t) (found - rest.data);

        token_set(r, token, SQL_STRING, from, to);
        token->close = quote;
        r->at = to + end.len;
    }
    token->open = quote;
}

/* ---- words */

/* Before a dot or a backtick, a word that means something stands for itself. */
static bool token_word_before_mark(sql_reading *r, sql_token *token, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        sql_token_type type;

        if (r->text.data[i] != '.' && r->text.data[i] != '`') {
            continue;
        }
        type = weir_waf_sql_word(weir_str_slice(r->text, from, i));
        if (type != SQL_NONE && type != SQL_WORD) {
            token_set(r, token, type, from, i);
            return true;
        }
        if (i - from >= WORD_MAX) {
            break; /* no prefix is known any more */
        }
    }

    return false;
}

static void token_word(sql_reading *r, sql_token *token)
{
    size_t from = r->at, to = span_to(r, from, WORD_STOPS);
    sql_token_type type = SQL_NONE;

    if (to == from) {
        to++;
    }
    if (token_word_before_mark(r, token, from, to)) {
        return;
    }

    if (to - from < WORD_MAX) {
        type = weir_waf_sql_word(weir_str_slice(r->text, from, to));
    }
    token_set(r, token, type == SQL_NONE ? SQL_WORD : type, from, to);
}

/* x'41', b'01' */
static bool token_digits_in_quotes(sql_reading *r, sql_token *token, const char *digits)
{
    size_t to;

    if (sql_byte(r, r->at + 1) != '\'') {
        return false;
    }
    to = span_of(r, r->at + 2, digits);
    if (sql_byte(r, to) != '\'') {
        return false;
    }

    token_set(r, token, SQL_NUMBER, r->at, to + 1);
    return true;
}

/* q'[text]' of Oracle, with any byte for the brackets; `at` is the q. */
static bool token_oracle_string(sql_reading *r, sql_token *token, size_t at)
{
    int open = sql_byte(r, at + 2);
    char end[2] = {(char) open, '\''};

    if ((sql_byte(r, at) | 0x20) != 'q' || sql_byte(r, at + 1) != '\'' || open <= ' ') {
        return false;
    }

    end[0] = open == '(' ? ')' : open == '[' ? ']' : open == '{' ? '}' : open == '<' ? '>' : end[0];
    token_string_until(r, token, at + 3, weir_str_of(end, sizeof(end)), 'q');
    return true;
}

/* Strings that a letter stands before; false: it is a word. */
static bool token_prefixed(sql_reading *r, sql_token *token)
{
    int next = sql_byte(r, r->at + 1);

    switch (r->text.data[r->at] | 0x20) {
    case 'x':
        return token_digits_in_quotes(r, token, HEX_DIGITS);
    case 'b':
        return token_digits_in_quotes(r, token, "01");
    case 'e':
    case 'n':
        if (next == '\'' && r->at + 2 < r->text.len) {
            token_string(r, token, SQL_STRING, r->at + 2, '\'', '\'');
            return true;
        }
        return (r->text.data[r->at] | 0x20) == 'n' && token_oracle_string(r, token, r->at + 1);
    case 'q':
        return token_oracle_string(r, token, r->at);
    case 'u':
        if (next == '&' && sql_byte(r, r->at + 2) == '\'') {
            token_string(r, token, SQL_STRING, r->at + 3, 'u', '\'');
            token->close = token->close != '\0' ? 'u' : '\0';
            return true;
        }
        return false;
    default:
        return false;
    }
}

/* ---- numbers */

/* 0x41, 0b01; without digits it is a word. */
static bool token_based_number(sql_reading *r, sql_token *token)
{
    int base = sql_byte(r, r->at + 1) | 0x20;
    size_t to;

    if (r->text.data[r->at] != '0' || (base != 'x' && base != 'b')) {
        return false;
    }

    to = span_of(r, r->at + 2, base == 'x' ? HEX_DIGITS : "01");
    token_set(r, token, to == r->at + 2 ? SQL_WORD : SQL_NUMBER, r->at, to);
    return true;
}

/* Oracle's 1.5f and 1d: where nothing else can follow, or UNION does. */
static size_t number_suffix(const sql_reading *r, size_t at)
{
    int letter = sql_byte(r, at) | 0x20, next = sql_byte(r, at + 1);

    if (letter != 'd' && letter != 'f') {
        return at;
    }
    return next < 0 || is_blank(next) || next == ';' || (next | 0x20) == 'u' ? at + 1 : at;
}

static void token_number(sql_reading *r, sql_token *token)
{
    size_t from = r->at, to;
    bool is_word = false;

    if (token_based_number(r, token)) {
        return;
    }

    to = span_of(r, from, DIGITS);
    if (sql_byte(r, to) == '.') {
        to = span_of(r, to + 1, DIGITS);
        if (to - from == 1) {
            token_set(r, token, SQL_DOT, from, to);
            return;
        }
    }

    if ((sql_byte(r, to) | 0x20) == 'e') {
        size_t digits = to + 1;

        digits += sql_byte(r, digits) == '+' || sql_byte(r, digits) == '-' ? 1 : 0;
        to = span_of(r, digits, DIGITS);
        is_word = to == digits;
    }

    to = number_suffix(r, to);
    token_set(r, token, is_word ? SQL_WORD : SQL_NUMBER, from, to);
}

/* $1.50 is a number, $$text$$ and $name$text$name$ are PostgreSQL's strings. */
static void token_dollar(sql_reading *r, sql_token *token)
{
    size_t from = r->at, digits = span_of(r, from + 1, DIGITS ".,"), name;

    if (digits - from > 1) {
        if (digits - from == 2 && r->text.data[from + 1] == '.') {
            token_word(r, token);
        } else {
            token_set(r, token, SQL_NUMBER, from, digits);
        }
        return;
    }

    name = span_of(r, from + 1, LETTERS);
    if (sql_byte(r, name) == '$') {
        token_string_until(r, token, name + 1, weir_str_slice(r->text, from, name + 1), '$');
    } else {
        token_set(r, token, SQL_WORD, from, from + 1);
    }
}

/* ---- variables, comments, operators */

static void token_variable(sql_reading *r, sql_token *token)
{
    size_t name = r->at + 1;
    int quote;

    if (sql_byte(r, name) == '@') {
        name++;
    }

    quote = sql_byte(r, name);
    if (quote == '`' || quote == '\'' || quote == '"') {
        token_string(r, token, SQL_VARIABLE, name + 1, (char) quote, (char) quote);
    } else {
        token_set(r, token, SQL_VARIABLE, name, span_to(r, name, NAME_STOPS));
    }
}

static void token_line_comment(sql_reading *r, sql_token *token)
{
    weir_str rest = weir_str_from(r->text, r->at);
    const char *end = weir_str_find_byte(rest, '\n');
    size_t to = end == NULL ? r->text.len : r->at + (size_t) (end - rest.data);

    token_set(r, token, SQL_COMMENT, r->at, to);
    r->at = to < r->text.len ? to + 1 : to;
}

static void token_dash(sql_reading *r, sql_token *token)
{
    int second = sql_byte(r, r->at + 1), third = sql_byte(r, r->at + 2);

    if (second == '-' && (third < 0 || is_blank(third))) {
        token_line_comment(r, token);
    } else if (second == '-') {
        r->has_dashes_without_blank = true;
        if (r->dialect == SQL_ANSI) {
            token_line_comment(r, token);
        } else {
            token_set(r, token, SQL_OPERATOR, r->at, r->at + 1);
        }
    } else {
        token_set(r, token, SQL_OPERATOR, r->at, r->at + 1);
    }
}

static void token_hash(sql_reading *r, sql_token *token)
{
    r->has_hash = true;
    if (r->dialect == SQL_MYSQL) {
        token_line_comment(r, token);
    } else {
        token_set(r, token, SQL_OPERATOR, r->at, r->at + 1);
    }
}

/* A comment inside of another, or one that MySQL runs, is no comment that somebody writes. */
static void token_slash(sql_reading *r, sql_token *token)
{
    weir_str rest = weir_str_from(r->text, r->at + 2);
    const char *end;
    weir_str inside;
    size_t from = r->at;

    if (sql_byte(r, from + 1) != '*') {
        token_set(r, token, SQL_OPERATOR, from, from + 1);
        return;
    }

    end = weir_str_find(rest, WEIR_STR("*/"));
    inside = end == NULL ? rest : weir_str_slice(rest, 0, (size_t) (end - rest.data));
    token_set(r, token, SQL_COMMENT, from, end == NULL ? r->text.len : from + 2 + inside.len + 2);
    /* Its own last asterisk counts, too. */
    if ((end != NULL
         && weir_str_find(weir_str_slice(rest, 0, inside.len + 1), WEIR_STR("/*")) != NULL)
        || sql_byte(r, from + 2) == '!') {
        token->type = SQL_EVIL;
    }
}

static void token_operator(sql_reading *r, sql_token *token)
{
    static const char two[][3] = {"!!", "|/", "!<", "<<", "!=", "&=", "*=", "<=",
                                  ">=", "|=", ":=", "!>", "<>", ">>", "<@", "::"};
    weir_str rest = weir_str_from(r->text, r->at);
    int second = sql_byte(r, r->at + 1);
    bool may_be_two = second > 0 && strchr("!/<=>&|@:", second) != NULL;

    if (weir_str_starts(rest, WEIR_STR("<=>"))) {
        token_set(r, token, SQL_OPERATOR, r->at, r->at + 3);
        return;
    }
    if (weir_str_starts(rest, WEIR_STR("&&")) || weir_str_starts(rest, WEIR_STR("||"))) {
        token_set(r, token, SQL_LOGIC, r->at, r->at + 2);
        return;
    }
    for (size_t i = 0; may_be_two && i < WEIR_COUNT(two); i++) {
        if (two[i][0] == rest.data[0] && weir_str_starts(rest, weir_str_of(two[i], 2))) {
            token_set(r, token, SQL_OPERATOR, r->at, r->at + 2);
            return;
        }
    }

    /* A colon before the end is read as an operator, as all bytes that may begin one of two. */
    token_set(r, token, rest.data[0] == ':' && rest.len > 1 ? SQL_COLON : SQL_OPERATOR, r->at,
              r->at + 1);
}

/* \N is MySQL's NULL. */
static void token_backslash(sql_reading *r, sql_token *token)
{
    bool is_null = sql_byte(r, r->at + 1) == 'N';

    token_set(r, token, is_null ? SQL_NUMBER : SQL_BACKSLASH, r->at, r->at + (is_null ? 2 : 1));
}

/* `name`; that of a function is one. */
static void token_backtick(sql_reading *r, sql_token *token)
{
    token_string(r, token, SQL_WORD, r->at + 1, '`', '`');
    if (weir_waf_sql_word(token->text) == SQL_FUNCTION) {
        token->type = SQL_FUNCTION;
    }
}

/* [name] of SQL Server */
static void token_bracket(sql_reading *r, sql_token *token)
{
    weir_str rest = weir_str_from(r->text, r->at);
    const char *end = weir_str_find_byte(rest, ']');

    token_set(r, token, SQL_WORD, r->at,
              end == NULL ? r->text.len : r->at + (size_t) (end - rest.data) + 1);
}

static void token_take(sql_reading *r, sql_token *token)
{
    char c = r->text.data[r->at];

    switch (c) {
    case '\'':
    case '"':
        token_string(r, token, SQL_STRING, r->at + 1, c, c);
        break;
    case '`':
        token_backtick(r, token);
        break;
    case '(':
    case ')':
    case '{':
    case '}':
    case ',':
    case ';':
        token_set(r, token, (sql_token_type) c, r->at, r->at + 1);
        break;
    case '?':
    case ']':
        token_set(r, token, SQL_UNKNOWN, r->at, r->at + 1);
        break;
    case '[':
        token_bracket(r, token);
        break;
    case '\\':
        token_backslash(r, token);
        break;
    case '@':
        token_variable(r, token);
        break;
    case '$':
        token_dollar(r, token);
        break;
    case '#':
        token_hash(r, token);
        break;
    case '-':
        token_dash(r, token);
        break;
    case '/':
        token_slash(r, token);
        break;
    case '.':
        token_number(r, token);
        break;
    case '!':
    case '%':
    case '&':
    case '*':
    case '+':
    case ':':
    case '<':
    case '=':
    case '>':
    case '^':
    case '|':
    case '~':
        token_operator(r, token);
        break;
    default:
        if (c >= '0' && c <= '9') {
            token_number(r, token);
        } else if (!token_prefixed(r, token)) {
            token_word(r, token);
        }
    }
}

void weir_waf_sql_begin(sql_reading *reading, weir_str text, char quote, sql_dialect dialect)
{
    /* `phrases` is written before it is read. */
    reading->text = text;
    reading->at = 0;
    reading->quote = quote;
    reading->dialect = dialect;
    reading->has_dashes_without_blank = reading->has_hash = false;
    reading->token_count = 0;
}

bool weir_waf_sql_next(sql_reading *r, sql_token *token)
{
    if (r->quote != '\0') {
        char quote = r->quote;

        r->quote = '\0';
        if (r->text.len == 0) {
            return false;
        }
        token_string(r, token, SQL_STRING, 0, '\0', quote);
        r->token_count++;
        return true;
    }

    while (is_blank(sql_byte(r, r->at))) {
        r->at++;
    }
    if (r->at >= r->text.len) {
        return false;
    }

    token_take(r, token);
    r->token_count++;
    return true;
}
