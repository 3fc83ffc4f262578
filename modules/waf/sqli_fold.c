/*
 * Folding: what says nothing about an injection goes, so that few shapes are left.
 *
 * Tokens stand in a window.  Those before `left` are settled; rules look at the two, then the three that come next,
 * and each replaces them by fewer.
 */

#include "modules/waf/sqli_internal.h"

#include "core/base/result.h"

#define SETTLED_MAX WEIR_WAF_SQLI_TOKENS

typedef struct {
    sql_reading *reading;
    sql_token *tokens; /* SQL_WINDOW */
    size_t count, left;
    bool has_more;
    sql_token last_comment;
} fold;

/* ---- what tokens are */

static bool is_any(sql_token_type type, const char *types)
{
    return strchr(types, (char) type) != NULL;
}

static bool has_text(const sql_token *token, const char *text)
{
    return weir_str_eq_nocase(token->text, weir_str_from_z(text));
}

static bool has_any_text(const sql_token *token, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (has_text(token, texts[i])) {
            return true;
        }
    }

    return false;
}

static bool is_unary(const sql_token *token)
{
    char first = token->text.len == 0 ? '\0' : token->text.data[0];

    if (token->type != SQL_OPERATOR) {
        return false;
    }
    if (token->text.len == 1) {
        return first == '+' || first == '-' || first == '!' || first == '~';
    }
    return (first == '!' && has_text(token, "!!")) || has_text(token, "NOT");
}

static bool is_arithmetic(const sql_token *token)
{
    return token->type == SQL_OPERATOR && token->text.len == 1
           && strchr("*/-+%", token->text.data[0]) != NULL;
}

/* ---- changes of the window */

static sql_token *at(const fold *f, size_t i)
{
    return &f->tokens[f->left + i];
}

/* Without the last `count` tokens; the rules begin again at the front. */
static bool drop_last(fold *f, size_t count)
{
    f->count -= count;
    f->left = 0;
    return true;
}

/* The token at `i` of the window goes, those behind it move up. */
static bool drop_at(fold *f, size_t i)
{
    for (size_t to = f->left + i; to + 1 < f->count; to++) {
        f->tokens[to] = f->tokens[to + 1];
    }
    return drop_last(f, 1);
}

/* ---- two tokens */

/* The dictionary's words begin with letters and "_". */
static bool begins_word(const sql_token *token)
{
    char c = token->text.len == 0 ? '\0' : weir_byte_lower(token->text.data[0]);

    return (c >= 'a' && c <= 'z') || c == '_';
}

static bool may_be_of_a_phrase(const sql_token *first, const sql_token *second)
{
    return begins_word(first) && begins_word(second) && is_any(first->type, "knoUfETt")
           && is_any(second->type, "knoUfETt&");
}

/* Memory of a phrase that no token has. */
static char *phrase_slot(const fold *f)
{
    for (size_t slot = 0; slot < SQL_WINDOW; slot++) {
        char *memory = f->reading->phrases[slot];
        bool is_free = true;

        for (size_t i = 0; i < f->count; i++) {
            is_free = is_free && f->tokens[i].text.data != memory;
        }
        if (is_free) {
            return memory;
        }
    }

    return f->reading->phrases[SQL_WINDOW]; /* more slots than tokens: one is free */
}

/* "UNION" and "ALL" are one keyword, if the dictionary has it. */
static bool merge_phrase(fold *f)
{
    sql_token *first = at(f, 0), *second = at(f, 1);
    size_t len = first->text.len + 1 + second->text.len;
    sql_token_type type;
    char *memory;

    if (!may_be_of_a_phrase(first, second) || len >= SQL_PHRASE_MAX) {
        return false;
    }

    memory = phrase_slot(f);
    memcpy(memory, first->text.data, first->text.len);
    memory[first->text.len] = ' ';
    memcpy(memory + first->text.len + 1, second->text.data, second->text.len);
    type = weir_waf_sql_word(weir_str_of(memory, len));
    if (type == SQL_NONE) {
        return false;
    }

    first->type = type;
    first->text = weir_str_of(memory, len);
    f->count--;
    f->left -= f->left > 0 ? 1 : 0;
    return true;
}

/* Words that are functions, operators, types only by what follows; true: the rules begin again. */
static bool retype_two(fold *f)
{
    static const char *const functions[] = {"USER_ID",           "USER_NAME",     "DATABASE",
                                            "PASSWORD",          "USER",          "CURRENT_USER",
                                            "CURRENT_DATE",      "CURRENT_TIME",  "LOCALTIME",
                                            "CURRENT_TIMESTAMP", "LOCALTIMESTAMP"};
    sql_token *first = at(f, 0), *second = at(f, 1);

    if (first->type == SQL_SEMICOLON && second->type == SQL_FUNCTION && has_text(second, "IF")) {
        second->type = SQL_TSQL;
        return true;
    }
    if (is_any(first->type, "nv") && second->type == SQL_OPEN
        && has_any_text(first, functions, WEIR_COUNT(functions))) {
        first->type = SQL_FUNCTION;
        return true;
    }
    if (first->type == SQL_KEYWORD && (has_text(first, "IN") || has_text(first, "NOT IN"))) {
        first->type = second->type == SQL_OPEN ? SQL_OPERATOR : SQL_WORD;
        return true;
    }
    return false;
}

/* Pairs that stay as they are, whatever the other rules say; of some a type changes. */
static bool pair_stays(fold *f)
{
    sql_token *first = at(f, 0), *second = at(f, 1);

    if (first->type == SQL_OPERATOR && (has_text(first, "LIKE") || has_text(first, "NOT LIKE"))) {
        if (second->type == SQL_OPEN) {
            first->type = SQL_FUNCTION;
        }
        return true;
    }
    if (first->type == SQL_COLLATE && second->type == SQL_WORD) {
        if (weir_str_find_byte(second->text, '_') != NULL) {
            second->type = SQL_TYPE;
            f->left = 0;
        }
        return true;
    }
    return false;
}

static bool fold_two(fold *f)
{
    sql_token *first = at(f, 0), *second = at(f, 1);

    if (first->type == SQL_STRING && second->type == SQL_STRING) {
        f->count--;
        return true;
    }
    if (first->type == SQL_SEMICOLON && second->type == SQL_SEMICOLON) {
        f->count--;
        return true;
    }
    if (is_any(first->type, "o&") && (is_unary(second) || second->type == SQL_TYPE)) {
        return drop_last(f, 1);
    }
    if (first->type == SQL_OPEN && is_unary(second)) {
        f->count--;
        f->left -= f->left > 0 ? 1 : 0;
        return true;
    }
    if (merge_phrase(f) || retype_two(f)) {
        return true;
    }
    if (pair_stays(f)) {
        return false;
    }
    if (first->type == SQL_TYPE && is_any(second->type, "n1t(fvs")) {
        return drop_at(f, 0);
    }
    if (first->type == SQL_BACKSLASH) {
        if (!is_arithmetic(second)) {
            return drop_at(f, 0);
        }
        first->type = SQL_NUMBER;
        return false;
    }
    if ((first->type == SQL_OPEN && second->type == SQL_OPEN)
        || (first->type == SQL_CLOSE && second->type == SQL_CLOSE)) {
        return drop_last(f, 1);
    }
    if (first->type == SQL_OPEN_BRACE && second->type == SQL_WORD) {
        if (second->text.len == 0) {
            second->type = SQL_EVIL;
            return false;
        }
        return drop_last(f, 2);
    }
    if (second->type == SQL_CLOSE_BRACE) {
        return drop_last(f, 1);
    }
    return false;
}

/* ---- three tokens */

static bool fold_three(fold *f)
{
    sql_token *a = at(f, 0), *b = at(f, 1), *c = at(f, 2);

    if (a->type == SQL_FUNCTION && b->type == SQL_OPEN && c->type != SQL_CLOSE
        && has_text(a, "USER")) {
        a->type = SQL_WORD; /* it takes no arguments */
        return false;
    }
    if (a->type == SQL_NUMBER && b->type == SQL_OPERATOR && c->type == SQL_NUMBER) {
        return drop_last(f, 2);
    }
    if (a->type == SQL_OPERATOR && b->type != SQL_OPEN && c->type == SQL_OPERATOR) {
        return drop_last(f, 2);
    }
    if (a->type == SQL_LOGIC && c->type == SQL_LOGIC) {
        return drop_last(f, 2);
    }
    if (a->type == SQL_VARIABLE && b->type == SQL_OPERATOR && is_any(c->type, "v1n")) {
        return drop_last(f, 2);
    }
    if (is_any(a->type, "n1") && b->type == SQL_OPERATOR && is_any(c->type, "1n")) {
        return drop_last(f, 2);
    }
    if (is_any(a->type, "n1vs") && b->type == SQL_OPERATOR && has_text(b, "::")
        && c->type == SQL_TYPE) {
        return drop_last(f, 2);
    }
    if (is_any(a->type, "n1sv") && b->type == SQL_COMMA && is_any(c->type, "1nsv")) {
        return drop_last(f, 2);
    }
    if (is_any(a->type, "EB,") && is_unary(b) && c->type == SQL_OPEN) {
        return drop_at(f, 1);
    }
    if (is_any(a->type, "kEB") && is_unary(b) && is_any(c->type, "1nvsf")) {
        return drop_at(f, 1);
    }
    if (a->type == SQL_COMMA && is_unary(b) && is_any(c->type, "1nvs")) {
        return drop_last(f, 3);
    }
    if (a->type == SQL_COMMA && is_unary(b) && c->type == SQL_FUNCTION) {
        return drop_at(f, 1);
    }
    if (a->type == SQL_WORD && b->type == SQL_DOT && c->type == SQL_WORD) {
        return drop_last(f, 2);
    }
    if (a->type == SQL_EXPRESSION && b->type == SQL_DOT && c->type == SQL_WORD) {
        return drop_at(f, 1);
    }
    return false;
}

/* ---- the walk */

static bool fetch(fold *f)
{
    sql_token token;

    f->has_more = weir_waf_sql_next(f->reading, &token);
    if (!f->has_more) {
        return false;
    }

    if (token.type == SQL_COMMENT) {
        f->last_comment = token;
    } else {
        f->last_comment.type = SQL_NONE;
        f->tokens[f->count++] = token;
    }
    return true;
}

/* Until the window has `wanted` tokens, or there are no more. */
static bool fill(fold *f, size_t wanted)
{
    while (f->has_more && f->count <= SETTLED_MAX && f->count - f->left < wanted) {
        (void) fetch(f);
    }

    return f->count - f->left >= wanted;
}

/* What stands before a value says nothing of it. */
static bool skip_front(fold *f)
{
    while (fetch(f)) {
        if (f->count > 0 && f->tokens[0].type != SQL_OPEN && f->tokens[0].type != SQL_TYPE
            && !is_unary(&f->tokens[0])) {
            return true;
        }
        if (f->count > 0) {
            f->count = 0;
        }
    }

    return false;
}

/* Five settled tokens that are a value still: it is folded into its first. */
static void fold_five(fold *f)
{
    static const char *const values[] = {"1o(1)", "1,(1)", "no(n)", "no(1)", "1),(1", "n)o(n"};
    char types[SETTLED_MAX];

    for (size_t i = 0; i < SETTLED_MAX; i++) {
        types[i] = (char) f->tokens[i].type;
    }
    for (size_t i = 0; i < WEIR_COUNT(values); i++) {
        if (memcmp(types, values[i], SETTLED_MAX) != 0) {
            continue;
        }
        if (f->count > SETTLED_MAX) {
            f->tokens[1] = f->tokens[SETTLED_MAX];
            f->count = 2;
        } else {
            f->count = 1;
        }
        f->left = 0;
        return;
    }
}

/* MySQL takes it for the beginning of a name that does not end. */
static bool is_lone_backtick(const sql_token *token)
{
    return token->type == SQL_WORD && token->open == '`' && token->close == '\0'
           && token->text.len == 0;
}

size_t weir_waf_sql_fold(sql_reading *reading, sql_token tokens[static SQL_WINDOW])
{
    fold f = {.reading = reading, .tokens = tokens, .has_more = true};

    if (!skip_front(&f)) {
        return 0;
    }

    for (;;) {
        if (f.count >= SETTLED_MAX) {
            fold_five(&f);
        }
        if (!f.has_more || f.left >= SETTLED_MAX) {
            f.left = f.count;
            break;
        }
        if (!fill(&f, 2)) {
            f.left = f.count;
            continue;
        }
        if (fold_two(&f)) {
            continue;
        }
        if (!fill(&f, 3)) {
            f.left = f.count;
            continue;
        }
        if (!fold_three(&f)) {
            f.left++;
        }
    }

    if (f.left > 2 && is_lone_backtick(&tokens[f.left - 1])) {
        tokens[f.left - 1].type = SQL_COMMENT;
    }
    if (f.left < SETTLED_MAX && f.last_comment.type == SQL_COMMENT) {
        tokens[f.left++] = f.last_comment;
    }
    return f.left > SETTLED_MAX ? SETTLED_MAX : f.left;
}
