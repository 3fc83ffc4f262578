#ifndef WEIR_WAF_SECLANG_H
#define WEIR_WAF_SECLANG_H

#include "core/base/builder.h"

/*
 * SecLang as text: files and inline rules become statements of words.  What the words mean is the
 * business of program.h.
 */

/* A file, or the text of a modsecurity_rules directive. */
typedef struct weir_waf_source {
    weir_str name;   /* the path, or where the text stands: "weir.conf:12" */
    weir_str folder; /* ends with "/": what paths in it are relative to */
    weir_str text;
    unsigned first_line;                       /* of the text within `name` */
    const struct weir_waf_source *included_by; /* NULL: named by the configuration */
    unsigned included_line;
} weir_waf_source;

#define WEIR_WAF_WORDS_MAX 8

/* One directive.  The words are slices of `bytes`, quotes and continuations undone. */
typedef struct {
    const weir_waf_source *source;
    unsigned line; /* where it begins */
    weir_str words[WEIR_WAF_WORDS_MAX];
    unsigned count;
    weir_str bytes;
    const size_t *origins; /* where each of the bytes stands in the source's text */
} weir_waf_statement;

typedef struct {
    const weir_waf_source *source;
    weir_pool *pool; /* the statements' */
    weir_pool *temp; /* of `origins` */
    size_t at;
    unsigned line;
    /* Of the failure: what, and where in the source's text. */
    const char *error;
    size_t error_at;
} weir_waf_lexer;

void weir_waf_lexer_open(weir_waf_lexer *lexer, const weir_waf_source *source, weir_pool *pool,
                         weir_pool *temp);

typedef enum {
    WEIR_WAF_STATEMENT,
    WEIR_WAF_END,
    WEIR_WAF_BROKEN, /* lexer->error says why */
} weir_waf_lexed;

/*
 * The next directive.  A line that ends in "\" goes on in the next; "#" begins a comment at the start
 * of a line, and ends with it.  Words are parted by blanks, or stand in double or single quotes, within
 * which only the quote itself can be escaped: every other backslash is left to regexes.
 */
weir_waf_lexed weir_waf_lexer_next(weir_waf_lexer *lexer, weir_waf_statement *statement);

/* Where a slice of the statement's bytes stands in the source; the statement itself for any other. */
size_t weir_waf_origin(const weir_waf_statement *statement, const char *at);

/*
 * "FILE:LINE" of an offset, and below it the line with a caret; then the files that include it.  For
 * messages.
 */
void weir_waf_add_place(weir_builder *text, const weir_waf_source *source, size_t offset);
void weir_waf_add_caret(weir_builder *text, const weir_waf_source *source, size_t offset);

/*
 * The next action of a list: "name", "name:value", "name:'value, with commas'".  The value has its
 * quotes off, and "\'" undone if `pool` (else it stays).  False at the end of the list; `*broken` (else NULL)
 * then says what is wrong with it.
 */
typedef struct {
    weir_str rest;
    weir_pool *pool;
    const char *broken;
} weir_waf_action_list;
bool weir_waf_next_action(weir_waf_action_list *list, weir_str *name, weir_str *value);

#endif
