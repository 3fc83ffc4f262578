#ifndef WEIR_CONF_CONF_INTERNAL_H
#define WEIR_CONF_CONF_INTERNAL_H

#include "core/base/number.h"
#include "core/conf/conf.h"
#include "core/conf/module.h"

/* ---- modules.c: what the tables of all modules say, worked out once */

#define WEIR_CONF_NO_MEMBER SIZE_MAX

typedef struct weir_conf_family weir_conf_family;
typedef struct weir_conf_plan weir_conf_plan;
typedef struct weir_conf_row weir_conf_row;

/* A member of a module's settings: rows may share it. */
typedef struct {
    size_t offset, bytes;
    weir_inherit inherit;
    const weir_directive *row;    /* the first that names it */
    const weir_directive *preset; /* the one with a preset; NULL: zero bytes */
} weir_conf_member;

/* A module in its family. */
struct weir_conf_plan {
    const weir_module *module;
    weir_conf_family *family;
    size_t index;
    weir_array members; /* of weir_conf_member */
};

struct weir_conf_family {
    const char *name;
    weir_array plans;   /* of weir_conf_plan *, by index */
    weir_array modules; /* of const weir_module *, likewise */
    weir_conf_family *next;
};

/* A directive, and whose it is. */
struct weir_conf_row {
    const weir_directive *directive;
    weir_conf_plan *plan;
    size_t member;             /* in the plan; WEIR_CONF_NO_MEMBER */
    const weir_conf_row *next; /* of the same name */
};

struct weir_modules {
    weir_pool *pool;
    weir_array entries;  /* of weir_module_entry */
    weir_array contexts; /* of weir_context, each with its family */
    weir_conf_family *families;
    weir_map *rows;  /* by name: the first weir_conf_row */
    weir_map *plans; /* by the bytes of the module's address */
};

const weir_conf_plan *weir_modules_plan(const weir_modules *modules, const weir_module *module);
/* NULL: no module of it. */
weir_conf_family *weir_modules_family(const weir_modules *modules, const char *name);
/* The first row of that name; the others follow.  NULL: none. */
const weir_conf_row *weir_modules_rows(const weir_modules *modules, weir_str name);
/* NULL: nobody registered the bit. */
const weir_context *weir_modules_context(const weir_modules *modules, uint32_t bit);

/* ---- lexer.c: bytes to words */

/* With the byte that ends it: a longer word is most likely a quote that nobody closed. */
#define WEIR_CONF_WORD_MAX 4096

typedef struct {
    const weir_conf_file *file;
    size_t at; /* the next byte's offset */
    unsigned line;
} weir_conf_lexer;

typedef struct {
    weir_str text;
    size_t offset;
    unsigned line;
    bool quoted;
} weir_conf_word;

typedef enum {
    WEIR_CONF_TOKEN_WORD,
    WEIR_CONF_TOKEN_SEMICOLON,
    WEIR_CONF_TOKEN_OPEN,
    WEIR_CONF_TOKEN_CLOSE,
    WEIR_CONF_TOKEN_END,
    WEIR_CONF_TOKEN_CUT, /* the text ends within a word, at which `word` points */
    WEIR_CONF_TOKEN_BAD, /* refused, logged */
} weir_conf_token;

void weir_conf_lexer_open(weir_conf_lexer *lexer, const weir_conf_file *file);
/*
 * `word` is set for a word, and its offset for each other token; the text may be borrowed from the
 * file's.
 */
weir_conf_token weir_conf_lexer_next(weir_conf *conf, weir_conf_lexer *lexer, weir_conf_word *word);

/* ---- statements.c: words to a tree */

#define WEIR_CONF_FILE_MAX ((size_t) 256 << 20) /* bytes */
#define WEIR_CONF_INCLUDES_MAX 64               /* files open at once */
#define WEIR_CONF_BLOCKS_MAX 100                /* blocks within blocks */

/* A statement as the core keeps it. */
typedef struct {
    weir_statement statement; /* first: weir_conf_row_of() */
    const weir_conf_row *row;
} weir_conf_node;

/* A zeroed one is empty. */
typedef struct {
    weir_conf_node *first, *last;
} weir_conf_statements;

static inline const weir_conf_row *weir_conf_row_of(const weir_statement *statement)
{
    return ((const weir_conf_node *) (const void *) statement)->row;
}

/*
 * Append to the list what stands in the main context: what the text says; what the file of this
 * name does.
 */
bool weir_conf_parse_text(weir_conf *conf, const weir_conf_file *file,
                          weir_conf_statements *list) WEIR_MUST_USE;
bool weir_conf_parse_file(weir_conf *conf, weir_str name, weir_conf_statements *list) WEIR_MUST_USE;
/* The words of a preset as a statement, without a file. NULL: no memory, or not words. */
const weir_statement *weir_conf_parse_preset(weir_conf *conf, const weir_directive *directive);

/* ---- lookup.c: statements and rows */

/*
 * The row of the statement's name in this context, which `block` has opened (NULL: no block of the same file).  NULL:
 * refused, logged.
 */
const weir_conf_row *weir_conf_look_up(weir_conf *conf, const weir_statement *statement,
                                       uint32_t context, const weir_statement *block);
/* Whether it has a block, and as many arguments, as its directive says; refused otherwise. */
bool weir_conf_check_form(weir_conf *conf, const weir_statement *statement) WEIR_MUST_USE;

/* ---- levels.c: a tree to settings */

/*
 * Settings of one module, made for one level: what a level's `settings` point to are the bytes of
 * these.
 */
typedef struct weir_conf_settings {
    const weir_conf_plan *plan;
    struct weir_conf_settings *next;  /* of the same level */
    const weir_statement *first;      /* that made them; NULL: presets */
    const weir_statement **set_by;    /* by member: at this very level; NULL: it is not */
    bool has_set_uninherited;         /* a member that inner levels must not have */
    struct weir_conf_settings *below; /* what inner levels share because of that */
    max_align_t bytes[];
} weir_conf_settings;

/* A level as the core keeps it. */
typedef struct weir_level_whole {
    weir_level level;
    const weir_modules *modules;
    weir_conf_family *family; /* NULL: no module has any */
    weir_conf_settings *own;
    struct weir_level_whole *first_inner, **inner_end, *next;
    bool is_complete;
} weir_level_whole;

/* The main level, and what is kept with a configuration. */
typedef struct {
    weir_level_whole level;
    weir_array files; /* of const weir_conf_file * */
    weir_array kept;  /* of weir_conf_keepsake */
} weir_conf_main;

typedef struct {
    const void *key;
    void *what;
} weir_conf_keepsake;

weir_conf_main *weir_conf_main_new(weir_conf *conf);
/* Applies the statements to the level, completes it, then all inner ones. */
bool weir_conf_apply(weir_conf *conf, weir_level *level,
                     const weir_statement *statements) WEIR_MUST_USE;
/* One statement that is no LEVEL block. */
bool weir_conf_apply_statement(weir_conf *conf, weir_level *level,
                               const weir_statement *statement) WEIR_MUST_USE;

/* ---- conf.c */

struct weir_conf {
    weir_conf_home home;
    weir_conf_options options;
    weir_pool *temp_pool;
    weir_str folder;             /* of the configuration file, with the "/" */
    weir_conf_file command_line; /* -g */
    weir_conf_main *main;
    weir_level *level;
    const weir_statement *statement;
    struct {
        weir_str text;
        const weir_statement *statement; /* that was the present one then */
    } pointed;                           /* see weir_conf_point_at_text() */
    size_t depth;                        /* of includes, while parsing */
    weir_map *files;                     /* by name: the first weir_conf_file of it */
    weir_array words; /* of weir_conf_word: those of the statement that is being read */
};

/* ---- errors.c: messages */

/* For places that are no statement yet.  `hint` may be empty. */
bool weir_conf_refuse_at(weir_conf *conf, const weir_conf_file *file, size_t offset, weir_str hint,
                         const char *format, ...) WEIR_PRINTF(5, 6);
bool weir_conf_refuse_memory(weir_conf *conf);
/* A further line, until the temporary pool is gone. */
weir_str weir_conf_hint(weir_conf *conf, const char *format, ...) WEIR_PRINTF(2, 3);

/* ---- near.c: names that look alike */

/*
 * The name of a directive that `name` is most likely meant to be, those of `context` first.  Empty:
 * none is near.
 */
weir_str weir_conf_near_name(const weir_modules *modules, weir_str name, uint32_t context);

/* ---- nginx_names.c: what nginx's documentation lists */

typedef struct {
    const char *name;
    const char *modules; /* of nginx, in words */
} weir_conf_nginx_name;

/* NULL: nginx has no such directive. */
const weir_conf_nginx_name *weir_conf_nginx_find(weir_str name);
/* All of them, by name; NULL past the end. */
const weir_conf_nginx_name *weir_conf_nginx_at(size_t i);
/* Why weir has it not. */
const char *weir_conf_nginx_reason(const weir_conf_nginx_name *name);
/*
 * The next directive that this module of nginx ("stream_core_module") alone has; `*position` begins
 * at 0.
 */
bool weir_conf_nginx_next_of(weir_str module, size_t *position, weir_str *name);

/* ---- slots.c */

/* How many arguments the directive takes. */
weir_takes weir_conf_takes(const weir_directive *directive);
/*
 * The outer level's list with the inner one's behind it, as a new array in `inner`, which has been
 * set.
 */
bool weir_slot_append(weir_conf *conf, const weir_array *outer, weir_array *inner) WEIR_MUST_USE;

/* ---- reference.c */

/* "NAME on | off;", "NAME { ... }": as the directive is written. */
weir_str weir_conf_usage(weir_pool *pool, const weir_directive *directive);
/* "http, server": the contexts' names. */
void weir_conf_add_contexts(weir_builder *text, const weir_modules *modules, uint32_t contexts);

#endif
