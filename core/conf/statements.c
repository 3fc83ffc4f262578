#include <glob.h>

#include "core/conf/conf_internal.h"

/*
 * Words to a tree of statements.  Includes are dissolved in it: what a file holds stands in the
 * list of the block that includes it.
 */

/* Where statements are being read. */
typedef struct {
    uint32_t context;            /* 0: a raw block */
    size_t depth;                /* of blocks */
    const weir_statement *block; /* the innermost that the same file opened; NULL: none */
} statements_scope;

static bool statements_parse(weir_conf *conf, weir_conf_lexer *lexer, statements_scope scope,
                             weir_conf_statements *list);

/* ---- include */

/* Read once, whatever the number of places that include it. */
static bool statements_read_file(weir_conf *conf, weir_conf_file *file)
{
    const weir_conf_file *same = weir_map_find(conf->files, file->name);
    const weir_conf_file **listed;
    bool is_read;

    if (same != NULL) {
        file->text = same->text;
        return true;
    }

    conf->statement = file->included_by;
    is_read = weir_conf_read_file(conf, file->name, WEIR_CONF_FILE_MAX, &file->text);
    conf->statement = NULL;

    if (!is_read) {
        return false;
    }

    listed = weir_array_push(&conf->main->files);
    if (listed == NULL || !weir_map_put(conf->files, file->name, file)) {
        return weir_conf_refuse_memory(conf);
    }

    *listed = file;
    return true;
}

static bool statements_include_file(weir_conf *conf, weir_str name, const weir_statement *statement,
                                    statements_scope scope, weir_conf_statements *list)
{
    weir_conf_file *file = WEIR_NEW(conf->home.pool, weir_conf_file);
    weir_conf_lexer lexer;
    bool is_parsed;

    if (file == NULL) {
        return weir_conf_refuse_memory(conf);
    }

    file->included_by = statement;
    file->name = name;
    if (!statements_read_file(conf, file)) {
        return false;
    }

    scope.block = NULL;
    weir_conf_lexer_open(&lexer, file);
    conf->depth++;
    is_parsed = statements_parse(conf, &lexer, scope, list);
    conf->depth--;
    return is_parsed;
}

static bool statements_include_matches(weir_conf *conf, const char *pattern,
                                       const weir_statement *statement, statements_scope scope,
                                       weir_conf_statements *list)
{
    glob_t matches;
    bool is_read = true;

    switch (glob(pattern, 0, NULL, &matches)) {
    case 0:
        break;
    case GLOB_NOMATCH:
        return true;
    default:
        return weir_conf_refuse_arg(conf, statement, 1, "glob() \"%s\" failed", pattern);
    }

    for (size_t i = 0; i < matches.gl_pathc && is_read; i++) {
        weir_str name;

        is_read = weir_str_copy(conf->home.pool, weir_str_from_z(matches.gl_pathv[i]), &name)
                      ? statements_include_file(conf, name, statement, scope, list)
                      : weir_conf_refuse_memory(conf);
    }

    globfree(&matches);
    return is_read;
}

static bool statements_include(weir_conf *conf, const weir_statement *statement,
                               statements_scope scope, weir_conf_statements *list)
{
    weir_str name;

    if (statement->has_block) {
        return weir_conf_refuse_arg(conf, statement, 0,
                                    "directive \"include\" is not terminated by \";\"");
    }

    if (statement->count != 2) {
        return weir_conf_refuse_arg(conf, statement, 0,
                                    "invalid number of arguments in \"include\" directive");
    }

    if (conf->depth >= WEIR_CONF_INCLUDES_MAX) {
        return weir_conf_refuse_arg(
            conf, statement, 1, "more than %d files include each other: does one include itself?",
            WEIR_CONF_INCLUDES_MAX);
    }

    conf->statement = statement;
    if (!weir_conf_file_path(conf, statement->args[1], &name)) {
        return false;
    }
    conf->statement = NULL;

    if (strpbrk(name.data, "*?[") != NULL) {
        return statements_include_matches(conf, name.data, statement, scope, list);
    }

    return statements_include_file(conf, name, statement, scope, list);
}

/* ---- one statement */

/* The words read, as a statement. */
static weir_conf_node *statements_make(weir_conf *conf, const weir_conf_file *file, bool has_block)
{
    weir_pool *pool = conf->home.pool;
    size_t count = conf->words.count;
    weir_conf_node *node = WEIR_NEW(pool, weir_conf_node);
    weir_str *args = WEIR_NEW_ARRAY(pool, weir_str, count);
    size_t *offsets = WEIR_NEW_ARRAY(pool, size_t, count);
    bool *quoted = WEIR_NEW_ARRAY(pool, bool, count);

    if (node == NULL || args == NULL || offsets == NULL || quoted == NULL) {
        weir_conf_refuse_memory(conf);
        return NULL;
    }

    for (size_t i = 0; i < count; i++) {
        const weir_conf_word *word = WEIR_ARRAY_AT(&conf->words, weir_conf_word, i);

        args[i] = word->text;
        offsets[i] = word->offset;
        quoted[i] = word->quoted;
    }

    node->statement = (weir_statement){
        .args = args,
        .count = count,
        .has_block = has_block,
        .file = file,
        .line = WEIR_ARRAY_AT(&conf->words, weir_conf_word, 0)->line,
        .offsets = offsets,
        .quoted = quoted,
    };
    return node;
}

static void statements_append(weir_conf_statements *list, weir_conf_node *node)
{
    if (list->last == NULL) {
        list->first = node;
    } else {
        list->last->statement.next = &node->statement;
    }

    list->last = node;
}

/* What the block holds, which begins where the lexer is. */
static bool statements_parse_block(weir_conf *conf, weir_conf_lexer *lexer, weir_conf_node *node,
                                   statements_scope outer)
{
    const weir_directive *directive = node->statement.directive;
    weir_conf_statements inner = {NULL, NULL};
    statements_scope scope = {
        .context = directive->block == WEIR_BLOCK_LEVEL ? directive->opens : 0,
        .depth = outer.depth + 1,
        .block = &node->statement,
    };

    if (scope.depth > WEIR_CONF_BLOCKS_MAX) {
        return weir_conf_refuse_arg(conf, &node->statement, 0,
                                    "blocks are nested more than %d deep", WEIR_CONF_BLOCKS_MAX);
    }

    if (scope.context != 0 && weir_modules_context(conf->home.modules, scope.context) == NULL) {
        return weir_conf_refuse_arg(conf, &node->statement, 0,
                                    "no module has registered the context inside of \"%s\"",
                                    directive->name);
    }

    if (!statements_parse(conf, lexer, scope, &inner)) {
        return false;
    }

    node->statement.first_child = inner.first == NULL ? NULL : &inner.first->statement;
    return true;
}

static bool statements_take_directive(weir_conf *conf, weir_conf_lexer *lexer, weir_conf_node *node,
                                      statements_scope scope)
{
    const weir_statement *statement = &node->statement;

    node->row = weir_conf_look_up(conf, statement, scope.context, scope.block);
    if (node->row == NULL) {
        return false;
    }

    node->statement.directive = node->row->directive;
    if (!weir_conf_check_form(conf, statement)) {
        return false;
    }

    if (statement->has_block && !statements_parse_block(conf, lexer, node, scope)) {
        return false;
    }

    return !statement->directive->at_once
           || weir_conf_apply_statement(conf, &conf->main->level.level, statement);
}

/* The words are complete, and what follows them is a ";" or, before a block, a "{". */
static bool statements_take(weir_conf *conf, weir_conf_lexer *lexer, bool has_block,
                            statements_scope scope, weir_conf_statements *list)
{
    weir_conf_node *node = statements_make(conf, lexer->file, has_block);

    if (node == NULL) {
        return false;
    }

    if (weir_str_eq(node->statement.args[0], WEIR_STR("include"))) {
        return statements_include(conf, &node->statement, scope, list);
    }

    if (scope.context != 0 && !statements_take_directive(conf, lexer, node, scope)) {
        return false;
    }

    statements_append(list, node);
    return true;
}

/* ---- all statements of a file or block */

static bool statements_refuse_end(weir_conf *conf, const weir_conf_lexer *lexer,
                                  const weir_conf_word *cut, const weir_statement *block,
                                  bool in_statement)
{
    weir_str hint = WEIR_STR_EMPTY;
    size_t end = lexer->file->text.len;

    if (lexer->file == &conf->command_line) {
        return weir_conf_refuse_at(conf, lexer->file, end, hint,
                                   "unexpected end of parameter, expecting \";\"");
    }

    if (cut != NULL && cut->quoted) {
        hint = weir_conf_hint(conf, "the quote in line %u is not closed", cut->line);
    } else if (block != NULL) {
        hint = weir_conf_hint(conf, "the \"{\" of \"%.*s\" in line %u is not closed",
                              WEIR_STR_ARG(block->args[0]), block->line);
    }

    return weir_conf_refuse_at(conf, lexer->file, end, hint, "unexpected end of file, expecting %s",
                               in_statement ? "\";\" or \"}\"" : "\"}\"");
}

/* Up to the "}" of the block, or the end of the file. */
static bool statements_parse(weir_conf *conf, weir_conf_lexer *lexer, statements_scope scope,
                             weir_conf_statements *list)
{
    conf->words.count = 0;

    for (;;) {
        weir_conf_word word, *kept;
        weir_conf_token token = weir_conf_lexer_next(conf, lexer, &word);
        bool in_statement = conf->words.count > 0;

        switch (token) {
        case WEIR_CONF_TOKEN_WORD:
            kept = weir_array_push(&conf->words);
            if (kept == NULL) {
                return weir_conf_refuse_memory(conf);
            }
            *kept = word;
            continue;

        case WEIR_CONF_TOKEN_SEMICOLON:
            if (!in_statement) {
                return weir_conf_refuse_at(conf, lexer->file, word.offset, WEIR_STR_EMPTY,
                                           "unexpected \";\"");
            }
            break;

        case WEIR_CONF_TOKEN_OPEN:
            if (!in_statement || scope.context == 0) {
                return weir_conf_refuse_at(conf, lexer->file, word.offset, WEIR_STR_EMPTY,
                                           "unexpected \"{\"");
            }
            break;

        case WEIR_CONF_TOKEN_CLOSE:
            if (in_statement || scope.block == NULL) {
                return weir_conf_refuse_at(conf, lexer->file, word.offset, WEIR_STR_EMPTY,
                                           "unexpected \"}\"");
            }
            return true;

        case WEIR_CONF_TOKEN_END:
            return (!in_statement && scope.block == NULL)
                   || statements_refuse_end(conf, lexer, NULL, scope.block, in_statement);

        case WEIR_CONF_TOKEN_CUT:
            return statements_refuse_end(conf, lexer, &word, scope.block, true);

        case WEIR_CONF_TOKEN_BAD:
            return false;
        }

        if (!statements_take(conf, lexer, token == WEIR_CONF_TOKEN_OPEN, scope, list)) {
            return false;
        }

        conf->words.count = 0;
    }
}

bool weir_conf_parse_text(weir_conf *conf, const weir_conf_file *file, weir_conf_statements *list)
{
    statements_scope scope = {.context = WEIR_MAIN};
    weir_conf_lexer lexer;

    weir_conf_lexer_open(&lexer, file);
    return statements_parse(conf, &lexer, scope, list);
}

bool weir_conf_parse_file(weir_conf *conf, weir_str name, weir_conf_statements *list)
{
    statements_scope scope = {.context = WEIR_MAIN};

    return statements_include_file(conf, name, NULL, scope, list);
}

const weir_statement *weir_conf_parse_preset(weir_conf *conf, const weir_directive *directive)
{
    weir_conf_file file = {.name = WEIR_STR("preset")};
    weir_conf_lexer lexer;
    weir_conf_word word;
    weir_conf_word *kept;
    weir_conf_node *node;
    weir_conf_token token;
    weir_builder text;

    weir_builder_open(&text, conf->home.pool, WEIR_CONF_WORD_MAX * 2);
    weir_builder_printf(&text, "%s %s;", directive->name, directive->preset);
    if (!weir_builder_close(&text, &file.text)) {
        weir_conf_refuse_memory(conf);
        return NULL;
    }

    conf->words.count = 0;
    weir_conf_lexer_open(&lexer, &file);

    while ((token = weir_conf_lexer_next(conf, &lexer, &word)) == WEIR_CONF_TOKEN_WORD) {
        kept = weir_array_push(&conf->words);
        if (kept == NULL) {
            weir_conf_refuse_memory(conf);
            return NULL;
        }
        *kept = word;
    }

    if (token != WEIR_CONF_TOKEN_SEMICOLON) {
        weir_conf_refuse(conf, "the preset of \"%s\" is malformed", directive->name);
        return NULL;
    }

    node = statements_make(conf, NULL, false);
    if (node != NULL) {
        node->statement.directive = directive;
    }

    return node == NULL ? NULL : &node->statement;
}
