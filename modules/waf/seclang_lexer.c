#include "modules/waf/seclang.h"

/* From text to words, and back to places in the text for messages. */

#define CARET_BEFORE 70
#define CARET_LINE_MAX 100

void weir_waf_lexer_open(weir_waf_lexer *lexer, const weir_waf_source *source, weir_pool *pool,
                         weir_pool *temp)
{
    *lexer = (weir_waf_lexer){
        .source = source,
        .pool = pool,
        .temp = temp,
        .line = source->first_line,
    };
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* The physical line at `at`, without its end. */
static weir_str line_at(weir_str text, size_t at)
{
    weir_str rest = weir_str_from(text, at);
    const char *end = weir_str_find_byte(rest, '\n');

    return end == NULL ? rest : weir_str_slice(rest, 0, (size_t) (end - rest.data));
}

static weir_str without_return(weir_str line)
{
    return weir_str_ends(line, WEIR_STR("\r")) ? weir_str_slice(line, 0, line.len - 1) : line;
}

static bool is_comment(weir_str line)
{
    size_t i = 0;

    while (i < line.len && is_blank(line.data[i])) {
        i++;
    }
    return i == line.len || line.data[i] == '#';
}

/* Past comments and empty lines.  False: nothing is left. */
static bool skip_comments(weir_waf_lexer *lexer)
{
    weir_str text = lexer->source->text;

    while (lexer->at < text.len) {
        weir_str line = line_at(text, lexer->at);

        if (!is_comment(line)) {
            return true;
        }
        lexer->at += line.len + 1;
        lexer->line++;
    }
    return false;
}

/* How far the lines go that continue one another; an upper bound of the bytes in them. */
static size_t logical_end(weir_str text, size_t at)
{
    for (;;) {
        weir_str line = line_at(text, at);

        at += line.len + 1;
        if (at >= text.len || !weir_str_ends(without_return(line), WEIR_STR("\\"))) {
            return at < text.len ? at : text.len;
        }
    }
}

typedef struct {
    char *bytes;
    size_t *origins;
    size_t len;
} logical_line;

/* Joins the lines of a statement. */
static bool join_lines(weir_waf_lexer *lexer, logical_line *joined)
{
    weir_str text = lexer->source->text;
    size_t end = logical_end(text, lexer->at);
    size_t bound = end - lexer->at + 1;

    joined->len = 0;
    joined->bytes = weir_pool_bytes(lexer->pool, bound);
    joined->origins = WEIR_NEW_ARRAY(lexer->temp, size_t, bound);
    if (joined->bytes == NULL || joined->origins == NULL) {
        lexer->error = "no memory for the rules";
        lexer->error_at = lexer->at;
        return false;
    }

    while (lexer->at < end) {
        weir_str line = line_at(text, lexer->at);
        weir_str kept = without_return(line);

        if (weir_str_ends(kept, WEIR_STR("\\"))) {
            kept.len--;
        }
        for (size_t i = 0; i < kept.len; i++) {
            joined->bytes[joined->len] = kept.data[i];
            joined->origins[joined->len++] = lexer->at + i;
        }
        lexer->at += line.len + 1;
        lexer->line++;
    }
    return true;
}

/* A quoted word from `*at` on, which stands behind the quote; compacted in place.  False: it does not end. */
static bool take_quoted(logical_line *line, size_t *at, char quote, weir_str *word)
{
    size_t from = *at, to = *at;

    for (size_t i = from; i < line->len; i++) {
        char c = line->bytes[i];

        if (c == quote) {
            *word = weir_str_of(line->bytes + from, to - from);
            *at = i + 1;
            return true;
        }
        if (c == '\\' && i + 1 < line->len && line->bytes[i + 1] == quote) {
            c = quote;
            i++;
        }
        line->bytes[to] = c;
        line->origins[to++] = line->origins[i];
    }
    return false;
}

static bool take_word(weir_waf_lexer *lexer, logical_line *line, size_t *at, weir_str *word)
{
    char first = line->bytes[*at];
    size_t from = *at;

    if (first == '"' || first == '\'') {
        ++*at;
        if (!take_quoted(line, at, first, word)) {
            lexer->error = "the quoted text does not end";
            lexer->error_at = line->origins[from];
            return false;
        }
        if (*at < line->len && !is_blank(line->bytes[*at])) {
            lexer->error = "a blank is missing behind the quote";
            lexer->error_at = line->origins[*at];
            return false;
        }
        return true;
    }
    while (*at < line->len && !is_blank(line->bytes[*at])) {
        ++*at;
    }
    *word = weir_str_of(line->bytes + from, *at - from);
    return true;
}

weir_waf_lexed weir_waf_lexer_next(weir_waf_lexer *lexer, weir_waf_statement *statement)
{
    logical_line line;
    size_t at = 0;

    if (!skip_comments(lexer)) {
        return WEIR_WAF_END;
    }
    *statement = (weir_waf_statement){.source = lexer->source, .line = lexer->line};
    if (!join_lines(lexer, &line)) {
        return WEIR_WAF_BROKEN;
    }
    statement->bytes = weir_str_of(line.bytes, line.len);
    statement->origins = line.origins;

    for (;;) {
        while (at < line.len && is_blank(line.bytes[at])) {
            at++;
        }
        if (at == line.len) {
            /* A lone backslash on a line is no statement. */
            return statement->count == 0 ? weir_waf_lexer_next(lexer, statement)
                                         : WEIR_WAF_STATEMENT;
        }
        if (statement->count == WEIR_WAF_WORDS_MAX) {
            lexer->error = "too many arguments";
            lexer->error_at = line.origins[at];
            return WEIR_WAF_BROKEN;
        }
        if (!take_word(lexer, &line, &at, &statement->words[statement->count])) {
            return WEIR_WAF_BROKEN;
        }
        statement->count++;
    }
}

size_t weir_waf_origin(const weir_waf_statement *statement, const char *at)
{
    uintptr_t begin = (uintptr_t) statement->bytes.data;
    uintptr_t place = (uintptr_t) at;

    if (statement->bytes.len == 0) {
        return 0;
    }
    if (place < begin || place - begin >= statement->bytes.len) {
        return statement->origins[0];
    }
    return statement->origins[place - begin];
}

/* ---- messages */

static unsigned line_of(const weir_waf_source *source, size_t offset)
{
    weir_str before = weir_str_slice(source->text, 0, offset);
    unsigned line = source->first_line;

    for (size_t i = 0; i < before.len; i++) {
        line += before.data[i] == '\n';
    }
    return line;
}

void weir_waf_add_place(weir_builder *text, const weir_waf_source *source, size_t offset)
{
    weir_builder_printf(text, "%.*s:%u", WEIR_STR_ARG(source->name), line_of(source, offset));
}

void weir_waf_add_caret(weir_builder *text, const weir_waf_source *source, size_t offset)
{
    weir_str all = source->text;
    size_t from = offset < all.len ? offset : all.len;
    weir_str line;

    while (from > 0 && all.data[from - 1] != '\n') {
        from--;
    }
    while (from < offset && is_blank(all.data[from])) {
        from++;
    }
    if (offset - from > CARET_BEFORE) {
        from = offset - CARET_BEFORE;
    }
    line = line_at(all, from);
    line = weir_str_slice(line, 0, CARET_LINE_MAX);
    for (size_t i = 0; i < line.len; i++) {
        unsigned char c = (unsigned char) line.data[i];

        weir_builder_add_byte(text, c < ' ' || c > 126 ? ' ' : (char) c);
    }
    weir_builder_printf(text, "\n%*s^", (int) (offset - from), "");
    for (const weir_waf_source *in = source; in->included_by != NULL; in = in->included_by) {
        weir_builder_printf(text, "\nincluded from %.*s:%u", WEIR_STR_ARG(in->included_by->name),
                            in->included_line);
    }
}

/* ---- actions */

static weir_str trim_all(weir_str s)
{
    while (s.len > 0 && is_blank(s.data[0])) {
        s = weir_str_from(s, 1);
    }
    while (s.len > 0 && is_blank(s.data[s.len - 1])) {
        s.len--;
    }
    return s;
}

/* Up to the comma that ends the action: commas within single quotes do not. */
static bool action_end(weir_str text, size_t *end)
{
    bool is_quoted = false;
    size_t i;

    for (i = 0; i < text.len; i++) {
        if (is_quoted && text.data[i] == '\\' && i + 1 < text.len) {
            i++;
        } else if (text.data[i] == '\'') {
            is_quoted = !is_quoted;
        } else if (text.data[i] == ',' && !is_quoted) {
            break;
        }
    }
    *end = i < text.len ? i : text.len;
    return !is_quoted;
}

static weir_str undo_quotes(weir_pool *pool, weir_str value)
{
    weir_builder plain;
    weir_str text;

    if (value.len < 2 || value.data[0] != '\'' || value.data[value.len - 1] != '\'') {
        return value;
    }
    value = weir_str_slice(value, 1, value.len - 1);
    if (pool == NULL || weir_str_find(value, WEIR_STR("\\'")) == NULL) {
        return value;
    }
    weir_builder_open(&plain, pool, value.len);
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] == '\\' && i + 1 < value.len && value.data[i + 1] == '\'') {
            i++;
        }
        weir_builder_add_byte(&plain, value.data[i]);
    }
    return weir_builder_close(&plain, &text) ? text : value;
}

bool weir_waf_next_action(weir_waf_action_list *list, weir_str *name, weir_str *value)
{
    weir_str action;
    const char *colon;
    size_t end;

    list->broken = NULL;
    do {
        if (trim_all(list->rest).len == 0) {
            return false;
        }
        if (!action_end(list->rest, &end)) {
            list->broken = "a single quote is missing";
            return false;
        }
        action = trim_all(weir_str_slice(list->rest, 0, end));
        list->rest = weir_str_from(list->rest, end + 1);
    } while (action.len == 0);

    /* "!" before a name belongs to it: setvar:!tx.x has it behind. */
    colon = weir_str_find_byte(action, ':');
    if (colon == NULL) {
        *name = action;
        *value = WEIR_STR_EMPTY;
        return true;
    }
    *name = trim_all(weir_str_slice(action, 0, (size_t) (colon - action.data)));
    *value = undo_quotes(list->pool,
                         trim_all(weir_str_from(action, (size_t) (colon - action.data) + 1)));
    return true;
}
