#ifndef WEIR_SCRIPT_SCRIPT_H
#define WEIR_SCRIPT_SCRIPT_H

#include "core/base/map.h"
#include "core/conf/conf.h"

/*
 * Variables, templates and regexes over an opaque subject: an http exchange,
 * a stream session, a configuration.
 *
 * A space holds the variables of one kind of subject for one configuration.
 * A name becomes a slot when something in the configuration uses it; a value is
 * evaluated at most once a subject (unless volatile) and lives as long as the subject's pool.
 *
 * Names are letters, digits and "_"; case does not matter.  What fails while a configuration is
 * read, want of memory included, is refused (core/conf/conf.h).
 */
typedef struct weir_space weir_space;
typedef struct weir_script weir_script;

typedef struct {
    weir_str text;
    bool found; /* false: the variable has no value here; the text is then empty */
} weir_value;

/*
 * Evaluates into `value`, which comes as not found. `subject` is the script's; `arg` the
 * definition's, or for prefix variables ("http_") a pointer to weir_str, the rest of the name. The
 * text may be borrowed from the subject, or be made in script->pool. False only without memory.
 */
typedef bool (*weir_variable_get)(weir_script *script, uintptr_t arg, weir_value *value);

/*
 * For `set` and named groups on a built-in variable ($args, $limit_rate); matches no regex.  False,
 * logged: not a value it takes, or no memory.
 */
typedef bool (*weir_variable_set)(weir_script *script, uintptr_t arg, weir_str text);

/* A table of them ends with a NULL name. */
typedef struct {
    const char *name;      /* without "$", in lower case */
    weir_variable_get get; /* NULL: not found until it is set */
    weir_variable_set set; /* NULL: `set` keeps the text; for that see may_be_redefined */
    uintptr_t arg;
    bool is_prefix;        /* covers the names that begin so and have no definition of their own */
    bool is_volatile;      /* evaluated each time */
    bool may_be_redefined; /* by map, set ... */
    /*
     * Gives way to another definition of the name that may be redefined or has `set`, whichever
     * comes first: for what the configuration sets by hand (`set`, named groups of regexes).
     */
    bool is_fallback;
} weir_variable;

/* The space of a family ("http", "stream"), made at first use; NULL: no memory, refused. */
weir_space *weir_space_of(weir_conf *conf, const char *family);

/*
 * Adds definitions; the table is borrowed for good.  One whose name is there and may not be
 * redefined is refused: `the duplicate "name" variable`.
 */
bool weir_space_add(weir_conf *conf, weir_space *space, const weir_variable *table) WEIR_MUST_USE;
/* Adds one under a name that was made at load (map, set, geo), instead of its own; copied. */
bool weir_space_define(weir_conf *conf, weir_space *space, weir_str name,
                       const weir_variable *definition) WEIR_MUST_USE;

/*
 * The name in an argument like "$name", as `set` and `map` take; anything else is refused.
 * Standing alone it may have "-" and ".", too: `if ($arg_go-get)`.
 */
bool weir_variable_name(weir_conf *conf, weir_str arg, weir_str *name) WEIR_MUST_USE;

/*
 * The slot of a name that the configuration uses; the definition may come later.  -1: no memory,
 * refused.  A name that has no definition when the file is read is refused by weir_space_close(),
 * `unknown "name" variable`, at the statement that used it.  Of prefixes, the longest counts.
 */
int weir_space_slot(weir_conf *conf, weir_space *space, weir_str name);
/* To be called once all of the file was read; nothing can be evaluated before. */
bool weir_space_close(weir_conf *conf, weir_space *space) WEIR_MUST_USE;
size_t weir_space_slot_count(const weir_space *space);

/* ---- at run time */

#define WEIR_CAPTURES_MAX 10 /* the whole match, and $1 to $9 */

/*
 * A subject's values.  Lies inside of the subject; begun before anything else.
 *
 * Captures belong to statements (server_name, location, if, rewrite): each match replaces them.  A
 * match while a variable is evaluated (a map's) is seen by what that variable evaluates; for who
 * reads the variable, captures stay as they were, unless there were none.  So "$1" never changes in
 * the middle of a text, and `return 200 "$map_with_groups $1"` works where nothing matched before.
 */
struct weir_script {
    const weir_space *space;
    void *subject;
    weir_pool *pool;
    const weir_log *log;
    unsigned capture_count; /* 0: nothing matched; else the groups of the regex, plus one */
    weir_str captures[WEIR_CAPTURES_MAX];
    /* Private. */
    unsigned depth;                   /* of evaluations within evaluations */
    struct weir_script_frame *frame;  /* the innermost of them */
    struct weir_script_value *values; /* by slot */
};

/* The values are allocated at first use. */
void weir_script_begin(weir_script *script, const weir_space *space, void *subject, weir_pool *pool,
                       const weir_log *log);
/* False only without memory; a variable that refers to itself is logged and not found. */
bool weir_script_get(weir_script *script, int slot, weir_value *value) WEIR_MUST_USE;
/* `set`: keeps `text` (borrowed) for the slot, or calls the definition's set. */
bool weir_script_set(weir_script *script, int slot, weir_str text) WEIR_MUST_USE;
/* By name, at run time (SSI, logs of modules); not for hot paths.  Unknown names are not found. */
bool weir_script_find(weir_script *script, weir_str name, weir_value *value) WEIR_MUST_USE;
/* Makes "$1" to "$9" empty, as an `if` or a `rewrite` of nginx does that did not match. */
void weir_script_drop_captures(weir_script *script);

/* ---- templates: "$scheme://$host$request_uri" */

typedef struct weir_template weir_template;

/*
 * Compiles; the text is copied.  "$name" and "${name}" are variables, "$1" to "$9" captures.
 * Refused, NULL, when it is malformed ("${" without end, an invalid name).  A lone "$" is refused,
 * too: it cannot be escaped.
 */
weir_template *weir_template_new(weir_conf *conf, weir_space *space, weir_str text);
/* The same in a family's space: for weir_conf_options.make_template. */
const weir_template *weir_template_make(weir_conf *conf, const char *family, weir_str text);
/* No variables; `*text` (NULL: not wanted) is all of it. */
bool weir_template_is_constant(const weir_template *template, weir_str *text);
/*
 * Variables that are not found count as empty.  A text that is one literal, variable or capture is
 * borrowed from it; others are made in script->pool, of at most WEIR_TEMPLATE_MAX bytes.  False,
 * logged: the bound, or no memory.
 */
#define WEIR_TEMPLATE_MAX (1024 * 1024)
bool weir_template_text(const weir_template *template, weir_script *script,
                        weir_str *text) WEIR_MUST_USE;
/*
 * Into a builder: what log lines and heads are made with.  False when a variable had no memory; the
 * builder's own failure shows when it is closed.
 */
bool weir_template_write(const weir_template *template, weir_script *script,
                         weir_builder *builder) WEIR_MUST_USE;
/* True when the text is neither empty nor "0": how nginx takes conditions (if=, proxy_no_cache). */
bool weir_template_is_true(const weir_template *template, weir_script *script);
/*
 * Of a path that the template has made, with or without something behind it: whether it leads out
 * of folders by more ".." segments than the configuration wrote, so that some of them came with a
 * value.
 */
bool weir_template_climbs(const weir_template *template, weir_str path);

/* The parts of a text, for who writes values in own ways (log formats). */
typedef struct {
    int slot;         /* -1: a literal or a capture */
    unsigned capture; /* 1 to 9; 0: a literal or a variable */
    weir_str literal; /* empty for the others */
} weir_template_part;
size_t weir_template_parts(const weir_template *template, const weir_template_part **parts);
/* Whatever the part is.  False only without memory. */
bool weir_template_part_value(const weir_template_part *part, weir_script *script,
                              weir_value *value) WEIR_MUST_USE;

/* ---- regexes: PCRE2 with JIT, compiled once per text and options in a cycle */

typedef struct weir_regex weir_regex;

/*
 * Patterns match bytes, as in nginx; "(*UTF)" at the beginning makes them match characters, and
 * what is not UTF-8 in a text then matches nothing.  Refused, NULL, with PCRE2's message and place.
 * Named groups become variables of the space (NULL: they do not).
 */
weir_regex *weir_regex_new(weir_conf *conf, weir_space *space, weir_str pattern, bool nocase);

typedef enum {
    WEIR_REGEX_MATCH,
    WEIR_REGEX_NO_MATCH,
    WEIR_REGEX_ERROR, /* limits or memory; logged */
} weir_regex_result;

/*
 * Sets the script's captures and named groups when it matches; a group that took no part is empty.
 * They are slices of `text`, which must live as long as the script's pool.  Without a match nothing
 * changes.
 */
weir_regex_result weir_regex_match(const weir_regex *regex, weir_script *script, weir_str text);
/* Without captures. */
weir_regex_result weir_regex_test(const weir_regex *regex, weir_str text, const weir_log *log);

#endif
