#ifndef WEIR_CONF_CONF_H
#define WEIR_CONF_CONF_H

#include "core/base/array.h"
#include "core/base/log.h"
#include "core/base/map.h"
#include "core/base/pool.h"
#include "core/base/result.h"

/*
 * Reading a configuration.
 *
 * 1. The file and its includes become a tree of statements.  Each name is looked up among the
 *    directives of all modules for the block it stands in; arguments are counted.
 * 2. Each level (main, events, http, a server, a location ...) applies its statements in order:
 *    slots are filled, functions called.  What was not set is inherited from the outer level, or
 *    preset; `check` of each module runs once per distinct settings.  Then inner levels do the
 *    same, so a setting of the outer level holds for inner ones wherever in the file it stands.
 *
 * A level that sets nothing of a module shares the outer level's settings.
 *
 * Each level has the settings of one family of modules, that of its context: the main level and
 * events those of "core", an http block, its servers and locations those of "http".  A level whose
 * outer level is of another family is an outermost one of its own: there the presets are applied.
 * A directive may stand in a context of another family than its module's; it then only calls, and
 * stores nothing.
 */

typedef struct weir_conf weir_conf;
typedef struct weir_cycle weir_cycle;
typedef struct weir_module weir_module;
typedef struct weir_modules weir_modules;
typedef struct weir_directive weir_directive;
typedef struct weir_level weir_level;
typedef struct weir_statement weir_statement;

/* ---- what was written */

typedef struct {
    weir_str name; /* as in the include directive, made absolute; "command line" for -g */
    weir_str text;
    const weir_statement *included_by; /* NULL: the main file */
} weir_conf_file;

/* A statement and all it points to live as long as the cycle. */

struct weir_statement {
    const weir_directive *directive; /* NULL within a raw block */
    weir_str *args;                  /* args[0] is the name; quotes and escapes undone */
    size_t count;                    /* with the name */
    bool has_block;
    const weir_statement *first_child, *next;
    const weir_conf_file *file; /* NULL: a preset */
    unsigned line;              /* of the name */
    const size_t *offsets;      /* of each arg in file->text, for the caret */
    const bool *quoted;         /* whether each arg was written in quotes */
};

/* ---- contexts: where a directive may stand, one bit each */

enum {
    WEIR_MAIN = 1u << 0,
    WEIR_EVENTS = 1u << 1,
    /* The bits from 1u << 4 on belong to families of modules; see weir_context. */
    WEIR_FIRST_FAMILY_CONTEXT = 1u << 4,
};

typedef struct {
    uint32_t bit;
    const char *name;   /* for messages: "http", "server", "location", "if in location" */
    const char *family; /* whose settings a level has; NULL: the registering module's */
} weir_context;

/* ---- directive tables */

typedef enum {
    WEIR_KIND_NONE,       /* nothing is stored: accepted, see `warning` */
    WEIR_KIND_FLAG,       /* bool: on | off */
    WEIR_KIND_UINT,       /* uint64_t within min..max */
    WEIR_KIND_SIZE,       /* size_t: 8k, 1m */
    WEIR_KIND_OFFSET,     /* uint64_t: 1g too */
    WEIR_KIND_MS,         /* uint64_t milliseconds */
    WEIR_KIND_SECONDS,    /* uint64_t seconds */
    WEIR_KIND_STR,        /* weir_str */
    WEIR_KIND_STR_OR_OFF, /* weir_str, empty for "off" */
    WEIR_KIND_ENUM,       /* unsigned; one of choices */
    WEIR_KIND_BITS,       /* unsigned; any of choices, or-ed; takes 1 to many */
    WEIR_KIND_LIST,       /* weir_array of weir_str; each use adds all its arguments */
    WEIR_KIND_SIZES,      /* weir_count_size: "4 8k" */
    WEIR_KIND_TEMPLATE,   /* const weir_template *; text with variables of the family's space */
    WEIR_KIND_PATH,       /* weir_str, made absolute from the prefix; without variables */
    WEIR_KIND_CALL,       /* `call` stores into the member; its bytes are what is inherited */
} weir_slot_kind;

typedef struct {
    const char *name;
    unsigned value;
} weir_choice; /* a table ends with a NULL name */

typedef struct {
    unsigned count;
    size_t size;
} weir_count_size;

/*
 * Stores what a statement says. `settings` is the level's, already made its own. False: refused,
 * logged.
 */
typedef bool (*weir_conf_call)(weir_conf *conf, void *settings, const weir_statement *statement);

typedef struct {
    weir_slot_kind kind;
    size_t offset, bytes; /* of the member */
    uint64_t min, max;
    const weir_choice *choices;
    weir_conf_call call;
} weir_slot;

/* The address only makes the compiler check the member's type. */
#define WEIR_SLOT_OF(kind_, type, member, ctype, ...)                                              \
    {                                                                                              \
        .kind = kind_,                                                                             \
        .offset = offsetof(type, member) + 0 * sizeof(&((type *) 0)->member == (ctype *) 0),       \
        .bytes = sizeof(((type *) 0)->member), __VA_ARGS__                                         \
    }
#define WEIR_SLOT_FLAG(type, member) WEIR_SLOT_OF(WEIR_KIND_FLAG, type, member, bool, .max = 1)
#define WEIR_SLOT_UINT(type, member, min_, max_)                                                   \
    WEIR_SLOT_OF(WEIR_KIND_UINT, type, member, uint64_t, .min = min_, .max = max_)
#define WEIR_SLOT_SIZE(type, member)                                                               \
    WEIR_SLOT_OF(WEIR_KIND_SIZE, type, member, size_t, .max = SIZE_MAX / 4)
#define WEIR_SLOT_OFFSET(type, member)                                                             \
    WEIR_SLOT_OF(WEIR_KIND_OFFSET, type, member, uint64_t, .max = INT64_MAX)
#define WEIR_SLOT_MS(type, member)                                                                 \
    WEIR_SLOT_OF(WEIR_KIND_MS, type, member, uint64_t, .max = INT64_MAX)
#define WEIR_SLOT_SECONDS(type, member)                                                            \
    WEIR_SLOT_OF(WEIR_KIND_SECONDS, type, member, uint64_t, .max = INT64_MAX)
#define WEIR_SLOT_STR(type, member) WEIR_SLOT_OF(WEIR_KIND_STR, type, member, weir_str, .max = 0)
#define WEIR_SLOT_STR_OR_OFF(type, member)                                                         \
    WEIR_SLOT_OF(WEIR_KIND_STR_OR_OFF, type, member, weir_str, .max = 0)
#define WEIR_SLOT_ENUM(type, member, choices_)                                                     \
    WEIR_SLOT_OF(WEIR_KIND_ENUM, type, member, unsigned, .choices = choices_)
#define WEIR_SLOT_BITS(type, member, choices_)                                                     \
    WEIR_SLOT_OF(WEIR_KIND_BITS, type, member, unsigned, .choices = choices_)
#define WEIR_SLOT_LIST(type, member)                                                               \
    WEIR_SLOT_OF(WEIR_KIND_LIST, type, member, weir_array, .max = 0)
#define WEIR_SLOT_SIZES(type, member)                                                              \
    WEIR_SLOT_OF(WEIR_KIND_SIZES, type, member, weir_count_size, .max = 0)
#define WEIR_SLOT_TEMPLATE(type, member)                                                           \
    WEIR_SLOT_OF(WEIR_KIND_TEMPLATE, type, member, const struct weir_template *, .max = 0)
#define WEIR_SLOT_PATH(type, member) WEIR_SLOT_OF(WEIR_KIND_PATH, type, member, weir_str, .max = 0)
/* Rows that name the same member share its being set: `allow` and `deny` fill one list. */
#define WEIR_SLOT_CALL(type, member, call_)                                                        \
    {                                                                                              \
        .kind = WEIR_KIND_CALL, .offset = offsetof(type, member),                                  \
        .bytes = sizeof(((type *) 0)->member), .call = call_                                       \
    }
/* Without a member: for directives whose effect lies elsewhere; nothing to inherit. */
#define WEIR_SLOT_ONLY_CALL(call_)                                                                 \
    {                                                                                              \
        .kind = WEIR_KIND_CALL, .call = call_                                                      \
    }

typedef enum {
    WEIR_INHERIT_REPLACE, /* set here: this; else the outer level's */
    WEIR_INHERIT_APPEND,  /* LIST only: the outer level's, then these */
    WEIR_INHERIT_NONE,    /* each level begins with the preset */
} weir_inherit;

/*
 * How many arguments, without the name.  A zeroed one means what the slot's kind takes: one or more
 * for LIST and BITS, two for SIZES, else exactly one.  A max of 255 is no maximum.
 */
typedef struct {
    uint8_t min, max;
    bool given;
} weir_takes;
#define WEIR_TAKES(min_, max_)                                                                     \
    {                                                                                              \
        .min = min_, .max = max_, .given = true                                                    \
    }
#define WEIR_TAKES_NONE WEIR_TAKES(0, 0)
#define WEIR_TAKES_ANY WEIR_TAKES(0, 255)
#define WEIR_TAKES_SOME WEIR_TAKES(1, 255)

typedef enum {
    WEIR_BLOCK_NONE,
    WEIR_BLOCK_LEVEL, /* its statements are directives of the context `opens`; see enter, leave */
    WEIR_BLOCK_RAW,   /* its statements are data: map, types, geo; `slot.call` reads first_child */
} weir_block_kind;

/* One row. The table ends with a NULL name. */
struct weir_directive {
    const char *name;
    uint32_t where; /* contexts, or-ed */
    weir_takes takes;
    weir_slot slot;
    weir_inherit inherit;
    const char *preset; /* arguments, as written in a file; NULL: zero bytes */
    const char *syntax; /* of the arguments, for -h and the reference; NULL: made from the kind */
    const char *doc;    /* a sentence */

    /*
     * Accepted for the sake of existing files, without effect: logged as a warning, `the "NAME" directive has
     * no effect: WARNING`.
     */
    const char *warning;
    /* May be given more than once at a level, as LIST and CALL without a member always may.  Holds for
     * LEVEL blocks, too: `server` is, `http` is not. */
    bool repeatable;

    weir_block_kind block;
    uint32_t opens; /* LEVEL: the context inside */
    /*
     * LEVEL: called in order with the plain statements of the outer level, makes the inner one with
     * weir_level_new() (NULL: refused, logged).
     */
    weir_level *(*enter)(weir_conf *conf, weir_level *outer, const weir_statement *statement);
    /* LEVEL: called when the inner level and all levels inside of it are complete.  May be NULL. */
    bool (*leave)(weir_conf *conf, weir_level *level, const weir_statement *statement);
    /* LEVEL: complete before other inner levels of the same outer one begin (upstream). */
    bool comes_first;
    /*
     * Applied as soon as it is read, before the rest of the file is parsed (load_module, env).  In the
     * main context only.
     */
    bool at_once;
};

/* ---- levels */

struct weir_level {
    weir_level *outer;
    uint32_t context;
    void *owner;           /* whatever `enter` made: a server, a location */
    const void **settings; /* by the module's index in its family; see weir_level_settings() */
    size_t settings_count;
    const weir_statement *statement;
};

/* A level within `outer`, of the context that the statement's directive opens. NULL: no memory. */
weir_level *weir_level_new(weir_conf *conf, weir_level *outer, void *owner);
/*
 * Settings of a module of this level's family; complete in `check`, `leave` and later.  NULL: no
 * such module. Members that no directive's slot names are zero unless a function wrote them at this
 * very level.
 */
const void *weir_level_settings(const weir_level *level, const weir_module *module);
/*
 * In `enter` and `call`: the settings of the level that is being read, made its own, to be written
 * to.  Later only what is its own already.  NULL: refused, logged.
 */
void *weir_level_own_settings(weir_conf *conf, weir_level *level, const weir_module *module);
/* Whether this level itself set the member. */
bool weir_level_has_set(const weir_level *level, const weir_module *module, size_t member_offset);

/* ---- for functions of directives */

weir_pool *weir_conf_pool(weir_conf *conf);      /* the cycle's */
weir_pool *weir_conf_temp_pool(weir_conf *conf); /* freed when reading is done */
weir_cycle *weir_conf_cycle(weir_conf *conf);
weir_level *weir_conf_level(weir_conf *conf); /* the one being read */
const weir_statement *
weir_conf_statement(weir_conf *conf); /* the one being applied; NULL in `configured` */
/*
 * Refusals and warnings that name no statement point at this one, until the core goes on to the next.
 * NULL is ignored.
 */
void weir_conf_point_at(weir_conf *conf, const weir_statement *statement);
/*
 * The same for a text as the file has it: an argument, or a part of one, wherever it stands.  One
 * that was made of another (by an escape) is ignored.
 */
void weir_conf_point_at_text(weir_conf *conf, weir_str text);

/*
 * Logs "MESSAGE in FILE:LINE" at emerg, the source line with a caret, and how the file came to be
 * included. Always false: `return weir_conf_refuse(…)`.
 */
bool weir_conf_refuse(weir_conf *conf, const char *format, ...) WEIR_PRINTF(2, 3);
/* The caret stands under this argument of the statement. */
bool weir_conf_refuse_arg(weir_conf *conf, const weir_statement *statement, size_t arg,
                          const char *format, ...) WEIR_PRINTF(4, 5);
/* The same with a further line, unless `hint` is empty. */
bool weir_conf_refuse_hint(weir_conf *conf, const weir_statement *statement, size_t arg,
                           weir_str hint, const char *format, ...) WEIR_PRINTF(5, 6);
/*
 * For hints: the slips (insertions, deletions, changes, swaps of neighbours) that lead from `a` to
 * `b`, whatever the letters' case; above `max`: max + 1.
 */
unsigned weir_conf_distance(weir_str a, weir_str b, unsigned max);
/* How many slips a name of this length may be away from what was meant. */
unsigned weir_conf_slips(weir_str name);
/* At warn and at notice; reading goes on. */
void weir_conf_warn(weir_conf *conf, const char *format, ...) WEIR_PRINTF(2, 3);
void weir_conf_notice(weir_conf *conf, const char *format, ...) WEIR_PRINTF(2, 3);

/*
 * What a part of the program keeps with the configuration: one pointer for each key, which is the
 * address of something of its own. Lives as long as the cycle.  NULL: nothing is kept yet.
 */
void *weir_conf_kept(const weir_conf *conf, const void *key);
bool weir_conf_keep(weir_conf *conf, const void *key, void *what) WEIR_MUST_USE;

/*
 * "path" from the prefix, or from the folder of the configuration file; absolute ones as they are.
 * NUL-terminated.
 */
bool weir_conf_prefix_path(weir_conf *conf, weir_str path, weir_str *full) WEIR_MUST_USE;
bool weir_conf_file_path(weir_conf *conf, weir_str path, weir_str *full) WEIR_MUST_USE;
/*
 * The whole file; refused, in nginx's words, when it cannot be read or is larger than `max_bytes`.
 */
bool weir_conf_read_file(weir_conf *conf, weir_str path, size_t max_bytes,
                         weir_str *text) WEIR_MUST_USE;

/*
 * "name=value" arguments: true and the value when `arg` begins with `name` (which includes the
 * "=").
 */
bool weir_conf_parameter(weir_str arg, const char *name, weir_str *value);

/*
 * Stores the statement's arguments into a slot as the core would: for functions that only add to
 * that.
 */
bool weir_slot_store(weir_conf *conf, const weir_slot *slot, void *settings,
                     const weir_statement *statement) WEIR_MUST_USE;

/* ---- reading, for core/process */

/*
 * Makes what a WEIR_KIND_TEMPLATE slot stores, for a directive of a module of this family:
 * core/script is above this folder, so it is handed in. NULL: refused, logged.
 */
typedef const struct weir_template *(*weir_conf_make_template)(weir_conf *conf, const char *family,
                                                               weir_str text);

typedef struct {
    weir_str prefix;    /* ends with "/" */
    weir_str conf_file; /* absolute */
    weir_str globals;   /* -g */
    weir_str error_log; /* -e: where errors go unless error_log says; empty: as configured */
    bool is_test;
    bool is_quiet;                         /* -q: warnings are not shown */
    weir_conf_make_template make_template; /* weir_template_make of core/script */
} weir_conf_options;

/*
 * What a configuration is read into: this folder is below that of cycles, and does not look into
 * one.
 */
typedef struct {
    weir_cycle *cycle; /* what weir_conf_cycle() answers */
    weir_pool *pool;   /* the cycle's */
    const weir_log *log;
    weir_modules *modules;
} weir_conf_home;

/*
 * Reads everything.  NULL: refused, logged.  The main level is the result; the temporary pool is
 * gone.
 */
weir_level *weir_conf_read(const weir_conf_home *home, const weir_conf_options *options);

/* For -T: all files that were read, in order; `*position` begins at 0.  NULL: no more. */
const weir_conf_file *weir_conf_files_next(const weir_level *main, size_t *position);

/*
 * For -h DIRECTIVE, and the reference in doc/: prints the rows of one name, or, as Markdown, of
 * all. False: no such directive, or it could not be written.
 */
bool weir_conf_print_directive(const weir_modules *modules, weir_str name, int fd);
bool weir_conf_print_reference(const weir_modules *modules, int fd);

#endif
