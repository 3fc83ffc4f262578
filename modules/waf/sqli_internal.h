#ifndef WEIR_WAF_SQLI_INTERNAL_H
#define WEIR_WAF_SQLI_INTERNAL_H

#include <stdint.h>

#include "modules/waf/sqli.h"

/* Types of tokens: each is its letter in fingerprints. */
typedef enum {
    SQL_NONE = 0,
    SQL_WORD = 'n', /* a name, or a word that means nothing here */
    SQL_KEYWORD = 'k',
    SQL_UNION = 'U',
    SQL_GROUP = 'B',      /* GROUP BY, LIMIT, HAVING */
    SQL_EXPRESSION = 'E', /* SELECT, CASE ...: what begins one */
    SQL_TYPE = 't',       /* of a column */
    SQL_FUNCTION = 'f',
    SQL_NUMBER = '1',
    SQL_VARIABLE = 'v',
    SQL_STRING = 's',
    SQL_OPERATOR = 'o',
    SQL_LOGIC = '&',
    SQL_COMMENT = 'c',
    SQL_COLLATE = 'A',
    SQL_TSQL = 'T', /* DECLARE, DROP ...: what begins a statement */
    SQL_OPEN = '(',
    SQL_CLOSE = ')',
    SQL_OPEN_BRACE = '{',
    SQL_CLOSE_BRACE = '}',
    SQL_DOT = '.',
    SQL_COMMA = ',',
    SQL_COLON = ':',
    SQL_SEMICOLON = ';',
    SQL_UNKNOWN = '?',
    SQL_EVIL = 'X', /* what only an attack has, such as MySQL's comments that are code */
    SQL_BACKSLASH = '\\',
} sql_token_type;

typedef struct {
    sql_token_type type;
    weir_str text;    /* of a string without its quotes */
    char open, close; /* quotes of a string; 0: there is none */
} sql_token;

/* In which dialect a reading takes "#" and "--" without a blank. */
typedef enum {
    SQL_ANSI,
    SQL_MYSQL,
} sql_dialect;

/* So many tokens are held at once. */
#define SQL_WINDOW 8
#define SQL_PHRASE_MAX 32

/* One reading of a text. */
typedef struct {
    weir_str text;
    size_t at;
    char quote; /* the text begins inside of this one; 0: of none */
    sql_dialect dialect;
    bool has_dashes_without_blank, has_hash; /* comments that the dialects take differently */
    size_t token_count;
    char phrases[SQL_WINDOW + 1][SQL_PHRASE_MAX]; /* texts of words that were merged */
} sql_reading;

void weir_waf_sql_begin(sql_reading *reading, weir_str text, char quote, sql_dialect dialect);
/* The next token; false at the end. */
bool weir_waf_sql_next(sql_reading *reading, sql_token *token);

/* Reads up to five tokens that say something; how many there are.  Their texts live as long as the reading. */
size_t weir_waf_sql_fold(sql_reading *reading, sql_token tokens[static SQL_WINDOW]);

/* What a word or phrase is, in either case; SQL_NONE: it is not known. */
sql_token_type weir_waf_sql_word(weir_str word);

/* Whether a fingerprint is one of an injection. */
bool weir_waf_sql_is_known(weir_str fingerprint);

#endif
