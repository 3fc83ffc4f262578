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
 */
typedef struct weir_space weir_space;
typedef struct weir_script weir_script;

typedef struct {
    weir_str text;
    bool found; /* false: the variable has no value here; the text is then empty */
} weir_value;

/*
 * Evaluates. `subject` is the script's; `arg` the definition's, or for prefix variables ("http_") a
 * pointer to weir_str, the rest of the name. The text may be borrowed from the subject, or be made in
 * script->pool. False only without memory.
 */
typedef bool (*weir_variable_get)(weir_script *script, uintptr_t arg, weir_value *value);

/* For `set` on a built-in variable ($args, $limit_rate). False: not a value it takes, or no memory. */
typedef bool (*weir_variable_set)(weir_script *script, uintptr_t arg, weir_str text);

typedef struct {
    const char
        *name; /* without "$"; one that ends in "_" and has is_prefix covers a family of names */
    weir_variable_get get;
    weir_variable_set set; /* NULL: `set` is refused */
    uintptr_t arg;
    bool is_prefix;
    bool is_volatile;      /* evaluated each time */
    bool may_be_redefined; /* by map, set ... */
} weir_variable;           /* a table ends with a NULL name */

weir_space *weir_space_new(weir_pool *pool);
/* The space of a family ("http", "stream"), made at first use; templates of WEIR_KIND_TEMPLATE slots use the family's. */
weir_space *weir_space_of(weir_conf *conf, const char *family);

/* Adds definitions; the table is borrowed for good. False: a name is there already and not redefinable, or no memory. */
bool weir_space_add(weir_space *space, const weir_variable *table) WEIR_MUST_USE;
/* Adds one whose name was made at load (map, set, geo); copied. Replaces one that may be redefined. */
bool weir_space_define(weir_space *space, weir_str name,
                       const weir_variable *definition) WEIR_MUST_USE;

/*
 * The slot of a name that the configuration uses; the definition may come later.  -1: no memory. A name
 * that has no definition when the file is read is refused by weir_space_close(), `unknown "name" variable`, at
 * the statement that used it.
 */
int weir_space_slot(weir_conf *conf, weir_space *space, weir_str name);
bool weir_space_close(weir_conf *conf, weir_space *space) WEIR_MUST_USE;
size_t weir_space_slot_count(const weir_space *space);
weir_str weir_space_slot_name(const weir_space *space, int slot);

/* ---- at run time */

#define WEIR_CAPTURES_MAX 10 /* $0 to $9 */

/* A subject's values.  Lies inside of the subject; zeroed, then begun. */
struct weir_script {
    const weir_space *space;
    void *subject;
    weir_pool *pool;
    const weir_log *log;
    struct weir_script_value {
        weir_value value;
        bool is_known, is_busy;
    } * values;                           /* by slot */
    weir_str captures[WEIR_CAPTURES_MAX]; /* of the last regex that matched */
    unsigned capture_count;
    weir_script *parent; /* NULL; internal: for children that share */
};

/* The values are allocated at first use. */
void weir_script_begin(weir_script *script, const weir_space *space, void *subject, weir_pool *pool,
                       const weir_log *log);
/* False only without memory; a variable that refers to itself is logged and not found. */
bool weir_script_get(weir_script *script, int slot, weir_value *value) WEIR_MUST_USE;
/* `set`: keeps `text` (borrowed) for the slot, or calls the definition's set. */
bool weir_script_set(weir_script *script, int slot, weir_str text) WEIR_MUST_USE;
/* Forgets evaluated values that are not set by hand: after an internal redirect, say. */
void weir_script_forget(weir_script *script, int slot);
/* By name, at run time (SSI, logs of modules); not for hot paths. */
bool weir_script_find(weir_script *script, weir_str name, weir_value *value) WEIR_MUST_USE;

/* ---- templates: "$scheme://$host$request_uri" */

typedef struct weir_template weir_template;

/* Refused, NULL, when it is malformed ("${" without end, an invalid name). A lone "$" is refused, too. */
weir_template *weir_template_new(weir_conf *conf, weir_space *space, weir_str text);
/* No variables; `*text` is all of it. */
bool weir_template_is_constant(const weir_template *template, weir_str *text);
/* Variables that are not found count as empty. Bounded by WEIR_TEMPLATE_MAX bytes. False: memory or the bound. */
#define WEIR_TEMPLATE_MAX (1024 * 1024)
bool weir_template_text(const weir_template *template, weir_script *script,
                        weir_str *text) WEIR_MUST_USE;
/* Into a builder: what log lines and heads are made with. */
bool weir_template_write(const weir_template *template, weir_script *script,
                         weir_builder *builder) WEIR_MUST_USE;
/* True when the text is neither empty nor "0": how nginx takes conditions (if=, proxy_no_cache). */
bool weir_template_is_true(const weir_template *template, weir_script *script);

/* The parts of a text, for who writes values in own ways (log formats): calls back for each. */
typedef struct {
    int slot; /* -1: a literal */
    weir_str literal;
} weir_template_part;
size_t weir_template_parts(const weir_template *template, const weir_template_part **parts);

/* ---- regexes: PCRE2 with JIT, compiled once per text and options in a cycle */

typedef struct weir_regex weir_regex;

/* Refused, NULL, with PCRE2's message and place. Named groups become variables of the space (NULL: they do not). */
weir_regex *weir_regex_new(weir_conf *conf, weir_space *space, weir_str pattern, bool nocase);

typedef enum {
    WEIR_REGEX_MATCH,
    WEIR_REGEX_NO_MATCH,
    WEIR_REGEX_ERROR, /* limits or memory; logged */
} weir_regex_result;

/* Sets the script's captures and named groups when it matches; text must live as long as the script. */
weir_regex_result weir_regex_match(const weir_regex *regex, weir_script *script, weir_str text);
/* Without captures. */
weir_regex_result weir_regex_test(const weir_regex *regex, weir_str text, const weir_log *log);
unsigned weir_regex_group_count(const weir_regex *regex);

#endif
