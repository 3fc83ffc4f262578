#include "core/conf/conf_internal.h"

/*
 * nginx's words: ended by white space, ";" or "{", in quotes of either kind or without.  A "{"
 * right after "$" belongs to the word ("${name}"), a "}" only stands for itself where a word could
 * begin, and so does "#".
 */

#define LEXER_SHOWN 10 /* bytes of a word that is too long */

void weir_conf_lexer_open(weir_conf_lexer *lexer, const weir_conf_file *file)
{
    static const weir_str byte_order_mark = WEIR_STR_INIT("\xef\xbb\xbf");

    lexer->file = file;
    lexer->at = weir_str_starts(file->text, byte_order_mark) ? byte_order_mark.len : 0;
    lexer->line = 1;
}

static bool lexer_is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static void lexer_skip_space(weir_conf_lexer *lexer)
{
    weir_str text = lexer->file->text;
    bool in_comment = false;

    for (; lexer->at < text.len; lexer->at++) {
        char byte = text.data[lexer->at];

        if (byte == '\n') {
            lexer->line++;
            in_comment = false;
        } else if (byte == '#') {
            in_comment = true;
        } else if (!in_comment && !lexer_is_space(byte)) {
            return;
        }
    }
}

/* The byte that an escape stands for; 0 when the backslash stands for itself. */
static char lexer_unescaped(char escaped)
{
    switch (escaped) {
    case '"':
    case '\'':
    case '\\':
        return escaped;
    case 't':
        return '\t';
    case 'r':
        return '\r';
    case 'n':
        return '\n';
    default:
        return '\0';
    }
}

static bool lexer_unescape(weir_pool *pool, weir_str written, weir_str *text)
{
    weir_builder builder;

    weir_builder_open(&builder, pool, written.len);

    for (size_t i = 0; i < written.len; i++) {
        char byte = written.data[i];
        char meant = byte == '\\' && i + 1 < written.len ? lexer_unescaped(written.data[i + 1]) : 0;

        if (meant != 0) {
            byte = meant;
            i++;
        } else if (byte == '\\' && i + 1 < written.len) {
            weir_builder_add_byte(&builder, byte);
            byte = written.data[++i];
        }

        weir_builder_add_byte(&builder, byte);
    }

    return weir_builder_close(&builder, text);
}

/* Where a word without quotes ends: at the byte's offset, or the text's end. */
static size_t lexer_bare_end(weir_str text, size_t at, bool *has_escapes)
{
    bool after_dollar = false;

    for (; at < text.len; at++) {
        char byte = text.data[at];

        if (byte == '{' && after_dollar) {
            continue;
        }

        if (lexer_is_space(byte) || byte == ';' || byte == '{') {
            return at;
        }

        after_dollar = byte == '$';
        if (byte == '\\') {
            *has_escapes = true;
            at++;
        }
    }

    return text.len;
}

static size_t lexer_quoted_end(weir_str text, size_t at, char quote, bool *has_escapes)
{
    for (; at < text.len; at++) {
        if (text.data[at] == quote) {
            return at;
        }

        if (text.data[at] == '\\') {
            *has_escapes = true;
            at++;
        }
    }

    return text.len;
}

static weir_conf_token lexer_too_long(weir_conf *conf, const weir_conf_lexer *lexer,
                                      const weir_conf_word *word)
{
    char first = lexer->file->text.data[word->offset];

    if (word->quoted) {
        weir_conf_refuse_at(conf, lexer->file, word->offset, WEIR_STR_EMPTY,
                            "too long parameter, probably missing terminating \"%c\" character",
                            first);
    } else {
        weir_conf_refuse_at(conf, lexer->file, word->offset, WEIR_STR_EMPTY,
                            "too long parameter \"%.*s...\" started",
                            WEIR_STR_ARG(weir_str_slice(lexer->file->text, word->offset,
                                                        word->offset + LEXER_SHOWN)));
    }

    return WEIR_CONF_TOKEN_BAD;
}

static void lexer_count_lines(weir_conf_lexer *lexer, size_t end)
{
    weir_str passed = weir_str_slice(lexer->file->text, lexer->at, end);

    for (size_t i = 0; i < passed.len; i++) {
        lexer->line += passed.data[i] == '\n';
    }

    lexer->at = end;
}

/* What may stand right behind a closing quote. */
static bool lexer_may_follow_quote(char byte)
{
    return lexer_is_space(byte) || byte == ';' || byte == '{' || byte == ')';
}

static weir_conf_token lexer_take_word(weir_conf *conf, weir_conf_lexer *lexer,
                                       weir_conf_word *word)
{
    weir_str text = lexer->file->text;
    char first = text.data[lexer->at];
    bool has_escapes = false;
    size_t from, end, behind;

    word->quoted = first == '"' || first == '\'';

    if (word->quoted) {
        from = lexer->at + 1;
        end = lexer_quoted_end(text, from, first, &has_escapes);
        behind = end < text.len ? end + 1 : end;
    } else {
        from = lexer->at;
        end = behind = lexer_bare_end(text, from, &has_escapes);
    }

    if (end + 1 - word->offset > WEIR_CONF_WORD_MAX) {
        return lexer_too_long(conf, lexer, word);
    }

    lexer_count_lines(lexer, behind);

    if (behind >= text.len) {
        return WEIR_CONF_TOKEN_CUT;
    }

    if (word->quoted && !lexer_may_follow_quote(text.data[behind])) {
        weir_conf_refuse_at(conf, lexer->file, behind, WEIR_STR_EMPTY, "unexpected \"%c\"",
                            text.data[behind]);
        return WEIR_CONF_TOKEN_BAD;
    }

    word->text = weir_str_slice(text, from, end);

    if (has_escapes && !lexer_unescape(conf->home.pool, word->text, &word->text)) {
        weir_conf_refuse_memory(conf);
        return WEIR_CONF_TOKEN_BAD;
    }

    return WEIR_CONF_TOKEN_WORD;
}

weir_conf_token weir_conf_lexer_next(weir_conf *conf, weir_conf_lexer *lexer, weir_conf_word *word)
{
    weir_str text = lexer->file->text;

    lexer_skip_space(lexer);
    word->offset = lexer->at;
    word->line = lexer->line;

    if (lexer->at >= text.len) {
        return WEIR_CONF_TOKEN_END;
    }

    switch (text.data[lexer->at]) {
    case ';':
        lexer->at++;
        return WEIR_CONF_TOKEN_SEMICOLON;
    case '{':
        lexer->at++;
        return WEIR_CONF_TOKEN_OPEN;
    case '}':
        lexer->at++;
        return WEIR_CONF_TOKEN_CLOSE;
    default:
        return lexer_take_word(conf, lexer, word);
    }
}
