/*
 * What the tests of core/conf share: configurations written to a folder of their own, read with a small set of
 * modules, and the messages that came of it.  A program includes it once: it defines what it declares.
 */

#ifndef WEIR_CONF_UNIT_H
#define WEIR_CONF_UNIT_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "t/unit/unit.h"

#include "core/conf/conf.h"
#include "core/conf/module.h"

enum {
    CONF_UNIT_HTTP = WEIR_FIRST_FAMILY_CONTEXT,
    CONF_UNIT_SERVER = WEIR_FIRST_FAMILY_CONTEXT << 1,
    CONF_UNIT_LOCATION = WEIR_FIRST_FAMILY_CONTEXT << 2,
    CONF_UNIT_UPSTREAM = WEIR_FIRST_FAMILY_CONTEXT << 3,
};

/* Settings of the module "values", of family "http": a member of each kind. */
typedef struct {
    bool flag;
    uint64_t number;
    size_t size;
    uint64_t offset;
    uint64_t time_ms, time_s;
    weir_str text, text_or_off;
    unsigned choice, bits;
    weir_array list, added;
    weir_count_size sizes;
    const struct weir_template *template;
    weir_str path;
    uint64_t alone;   /* not inherited */
    weir_array rules; /* of weir_str; by `allow` and `deny` */
    unsigned pairs;   /* in raw blocks `pairs` */
    unsigned unnamed; /* that no row names */
} conf_unit_values;

extern const weir_module conf_unit_values_module; /* family http */
extern const weir_module conf_unit_lone_module;   /* family http: one member, `lone` */
extern const weir_module_entry conf_unit_modules[];

typedef struct {
    uint64_t lone;
} conf_unit_lone;

/* Of the last reading. */
typedef struct {
    weir_pool *pool;
    weir_modules *modules;
    weir_level *main; /* NULL: refused */
    char *messages;   /* file names are without the folder */
    char folder[256];
    weir_level *levels[64]; /* inner ones, in the order of `enter` */
    size_t level_count;
    char trace[4096]; /* enter, leave and check, in order */
    unsigned checks;
} conf_unit;

extern conf_unit unit;

/* What is read with; conf_unit_modules, unless a test sets its own. */
extern const weir_module_entry *conf_unit_read_with_modules;

/* Group fixtures: the folder. */
int conf_unit_setup(void **state);
int conf_unit_teardown(void **state);
/* Writes a file that configurations may include. */
void conf_unit_write(const char *name, const void *text, size_t len);
/* Reads; true when it was accepted. */
bool conf_unit_read(const char *text);
bool conf_unit_read_bytes(const void *text, size_t len);
bool conf_unit_read_with(const char *text, const char *globals);
/* The message of a configuration that is refused. */
const char *conf_unit_refusal(const char *text);
/* Settings of "values" at the level, by the order of `enter`. */
const conf_unit_values *conf_unit_at(size_t level);

conf_unit unit;

/* ---- modules */

static void unit_trace(const char *what, const weir_statement *statement)
{
    size_t len = strlen(unit.trace);

    snprintf(unit.trace + len, sizeof(unit.trace) - len, "%s%s %.*s", len > 0 ? ", " : "", what,
             WEIR_STR_ARG(statement->args[statement->count - 1]));
}

static weir_level *unit_enter(weir_conf *conf, weir_level *outer, const weir_statement *statement)
{
    weir_level *level = weir_level_new(conf, outer, NULL);

    unit_trace("enter", statement);
    if (level != NULL && unit.level_count < WEIR_COUNT(unit.levels)) {
        unit.levels[unit.level_count++] = level;
    }

    return level;
}

static bool unit_leave(weir_conf *conf, weir_level *level, const weir_statement *statement)
{
    assert_ptr_equal(weir_conf_level(conf), level);
    unit_trace("leave", statement);
    return true;
}

static bool unit_call_plain(weir_conf *conf, void *settings, const weir_statement *statement)
{
    assert_null(settings);
    assert_ptr_equal(weir_conf_statement(conf), statement);
    unit_trace("call", statement);
    return true;
}

static bool unit_call_refuse(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    return weir_conf_refuse_arg(conf, statement, 2, "no");
}

static bool unit_call_warn(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    weir_conf_warn(conf, "beware of \"%.*s\"", WEIR_STR_ARG(statement->args[1]));
    return true;
}

/* Each use adds its words, joined by spaces, to an array. */
static bool unit_call_rule(weir_conf *conf, void *settings, const weir_statement *statement)
{
    conf_unit_values *values = settings;
    weir_str *rule;

    if (values->rules.pool == NULL) {
        weir_array_init(&values->rules, weir_conf_pool(conf), sizeof(weir_str), 4);
    }

    rule = weir_array_push(&values->rules);
    if (rule == NULL) {
        return false;
    }

    *rule = statement->args[0];
    values->unnamed++;
    return true;
}

static bool unit_call_pairs(weir_conf *conf, void *settings, const weir_statement *statement)
{
    conf_unit_values *values = settings;

    (void) conf;
    for (const weir_statement *pair = statement->first_child; pair != NULL; pair = pair->next) {
        assert_null(pair->directive);
        values->pairs++;
    }

    return true;
}

static bool unit_call_load(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    return weir_modules_load(conf, statement->args[1]);
}

static bool unit_check(weir_conf *conf, const void *settings)
{
    const conf_unit_values *values = settings;

    unit.checks++;
    return values->number != 13 || weir_conf_refuse(conf, "13 is no good number");
}

static const weir_choice unit_choices[] = {
    {"red", 1},
    {"green", 2},
    {"blue", 4},
    {NULL, 0},
};

#define UNIT_ALL (CONF_UNIT_HTTP | CONF_UNIT_SERVER | CONF_UNIT_LOCATION)

static const weir_directive unit_core_directives[] = {
    {.name = "plain", .where = WEIR_MAIN, .slot = WEIR_SLOT_ONLY_CALL(unit_call_plain)},
    {.name = "early",
     .where = WEIR_MAIN,
     .slot = WEIR_SLOT_ONLY_CALL(unit_call_plain),
     .at_once = true},
    {.name = "load_module",
     .where = WEIR_MAIN,
     .slot = WEIR_SLOT_ONLY_CALL(unit_call_load),
     .at_once = true},
    {.name = "refuse",
     .where = WEIR_MAIN | UNIT_ALL,
     .takes = WEIR_TAKES_ANY,
     .slot = WEIR_SLOT_ONLY_CALL(unit_call_refuse)},
    {.name = "warn", .where = WEIR_MAIN, .slot = WEIR_SLOT_ONLY_CALL(unit_call_warn)},
    {.name = "lost", .where = WEIR_MAIN},
    {.name = "idle",
     .where = WEIR_MAIN,
     .takes = WEIR_TAKES(1, 2),
     .warning = "nobody waits for it",
     .doc = "Does nothing."},
    {.name = "events",
     .where = WEIR_MAIN,
     .takes = WEIR_TAKES_NONE,
     .block = WEIR_BLOCK_LEVEL,
     .opens = WEIR_EVENTS,
     .enter = unit_enter,
     .leave = unit_leave},
    {.name = "http",
     .where = WEIR_MAIN,
     .takes = WEIR_TAKES_NONE,
     .block = WEIR_BLOCK_LEVEL,
     .opens = CONF_UNIT_HTTP,
     .enter = unit_enter,
     .leave = unit_leave,
     .doc = "Holds servers."},
    {0},
};

static const weir_context unit_contexts[] = {
    {CONF_UNIT_HTTP, "http", "http"},
    {CONF_UNIT_SERVER, "server", "http"},
    {CONF_UNIT_LOCATION, "location", "http"},
    {CONF_UNIT_UPSTREAM, "upstream", "http"},
    {0, NULL, NULL},
};

static const weir_module unit_core_module = {
    .name = "testcore",
    .directives = unit_core_directives,
    .contexts = unit_contexts,
};

static const weir_directive unit_values_directives[] = {
    {.name = "server",
     .where = CONF_UNIT_HTTP,
     .takes = WEIR_TAKES(0, 1),
     .block = WEIR_BLOCK_LEVEL,
     .opens = CONF_UNIT_SERVER,
     .enter = unit_enter,
     .leave = unit_leave,
     .repeatable = true},
    {.name = "location",
     .where = CONF_UNIT_SERVER | CONF_UNIT_LOCATION,
     .block = WEIR_BLOCK_LEVEL,
     .opens = CONF_UNIT_LOCATION,
     .enter = unit_enter,
     .leave = unit_leave,
     .repeatable = true},
    {.name = "upstream",
     .where = CONF_UNIT_HTTP,
     .block = WEIR_BLOCK_LEVEL,
     .opens = CONF_UNIT_UPSTREAM,
     .enter = unit_enter,
     .leave = unit_leave,
     .repeatable = true,
     .comes_first = true},
    {.name = "server",
     .where = CONF_UNIT_UPSTREAM,
     .takes = WEIR_TAKES_SOME,
     .slot = WEIR_SLOT_ONLY_CALL(unit_call_plain)},
    {.name = "flag",
     .where = UNIT_ALL,
     .slot = WEIR_SLOT_FLAG(conf_unit_values, flag),
     .preset = "on",
     .doc = "A switch."},
    {.name = "number",
     .where = UNIT_ALL,
     .slot = WEIR_SLOT_UINT(conf_unit_values, number, 1, 20),
     .preset = "7"},
    {.name = "size",
     .where = UNIT_ALL,
     .slot = WEIR_SLOT_SIZE(conf_unit_values, size),
     .preset = "8k"},
    {.name = "offset",
     .where = UNIT_ALL,
     .slot = WEIR_SLOT_OFFSET(conf_unit_values, offset),
     .preset = "1g"},
    {.name = "time_ms",
     .where = UNIT_ALL,
     .slot = WEIR_SLOT_MS(conf_unit_values, time_ms),
     .preset = "60s"},
    {.name = "time_s",
     .where = UNIT_ALL,
     .slot = WEIR_SLOT_SECONDS(conf_unit_values, time_s),
     .preset = "\"1h 30m\""},
    {.name = "text",
     .where = UNIT_ALL,
     .slot = WEIR_SLOT_STR(conf_unit_values, text),
     .preset = "\"a b\""},
    {.name = "text_or_off",
     .where = UNIT_ALL,
     .slot = WEIR_SLOT_STR_OR_OFF(conf_unit_values, text_or_off),
     .preset = "off"},
    {.name = "choice",
     .where = UNIT_ALL,
     .slot = WEIR_SLOT_ENUM(conf_unit_values, choice, unit_choices),
     .preset = "green"},
    {.name = "bits",
     .where = UNIT_ALL,
     .slot = WEIR_SLOT_BITS(conf_unit_values, bits, unit_choices),
     .preset = "red blue"},
    {.name = "list", .where = UNIT_ALL, .slot = WEIR_SLOT_LIST(conf_unit_values, list)},
    {.name = "added",
     .where = UNIT_ALL,
     .slot = WEIR_SLOT_LIST(conf_unit_values, added),
     .inherit = WEIR_INHERIT_APPEND},
    {.name = "sizes",
     .where = UNIT_ALL,
     .slot = WEIR_SLOT_SIZES(conf_unit_values, sizes),
     .preset = "4 8k"},
    {.name = "template", .where = UNIT_ALL, .slot = WEIR_SLOT_TEMPLATE(conf_unit_values, template)},
    {.name = "path",
     .where = UNIT_ALL,
     .slot = WEIR_SLOT_PATH(conf_unit_values, path),
     .preset = "html"},
    {.name = "alone",
     .where = UNIT_ALL,
     .slot = WEIR_SLOT_UINT(conf_unit_values, alone, 0, 100),
     .inherit = WEIR_INHERIT_NONE,
     .preset = "3"},
    {.name = "allow",
     .where = UNIT_ALL,
     .slot = WEIR_SLOT_CALL(conf_unit_values, rules, unit_call_rule),
     .repeatable = true},
    {.name = "deny",
     .where = UNIT_ALL,
     .slot = WEIR_SLOT_CALL(conf_unit_values, rules, unit_call_rule),
     .repeatable = true},
    {.name = "pairs",
     .where = UNIT_ALL,
     .takes = WEIR_TAKES_NONE,
     .block = WEIR_BLOCK_RAW,
     .slot = WEIR_SLOT_CALL(conf_unit_values, pairs, unit_call_pairs)},
    {0},
};

const weir_module conf_unit_values_module = {
    .name = "values",
    .directives = unit_values_directives,
    .conf_size = sizeof(conf_unit_values),
    .check = unit_check,
};

static const weir_directive unit_lone_directives[] = {
    {.name = "lone",
     .where = UNIT_ALL,
     .slot = WEIR_SLOT_UINT(conf_unit_lone, lone, 0, UINT64_MAX)},
    {0},
};

const weir_module conf_unit_lone_module = {
    .name = "lone",
    .directives = unit_lone_directives,
    .conf_size = sizeof(conf_unit_lone),
};

const weir_module_entry conf_unit_modules[] = {
    {"core", &unit_core_module},
    {"http", &conf_unit_values_module},
    {"http", &conf_unit_lone_module},
    {NULL, NULL},
};

const weir_module_entry *conf_unit_read_with_modules = conf_unit_modules;

/* Stands for core/script: the text itself. */
static const struct weir_template *unit_make_template(weir_conf *conf, const char *family,
                                                      weir_str text)
{
    weir_str *kept = WEIR_NEW(weir_conf_pool(conf), weir_str);

    assert_string_equal(family, "http");
    if (weir_str_eq(text, WEIR_STR("$"))) {
        weir_conf_refuse(conf, "invalid variable name");
        return NULL;
    }

    if (kept != NULL) {
        *kept = text;
    }

    return (const struct weir_template *) kept;
}

/* ---- files */

int conf_unit_setup(void **state)
{
    const char *folder = getenv("TMPDIR");

    (void) state;
    snprintf(unit.folder, sizeof(unit.folder), "%s/conf_test.XXXXXX",
             folder == NULL ? P_tmpdir : folder);
    return mkdtemp(unit.folder) == NULL ? -1 : 0;
}

static void unit_forget(void)
{
    char folder[sizeof(unit.folder)];

    weir_pool_free(unit.pool);
    free(unit.messages);
    memcpy(folder, unit.folder, sizeof(folder));
    memset(&unit, 0, sizeof(unit));
    memcpy(unit.folder, folder, sizeof(folder));
}

int conf_unit_teardown(void **state)
{
    DIR *folder = opendir(unit.folder);
    struct dirent *entry;

    (void) state;
    unit_forget();

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        unlinkat(dirfd(folder), entry->d_name, 0);
    }

    if (folder != NULL) {
        closedir(folder);
    }

    return rmdir(unit.folder);
}

void conf_unit_write(const char *name, const void *text, size_t len)
{
    char path[512];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", unit.folder, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), (ssize_t) len);
    close(fd);
}

/* What was written to the file, less the folder's name. */
static char *unit_take_messages(int fd)
{
    off_t len = lseek(fd, 0, SEEK_END);
    char *text = calloc(1, (size_t) len + 1);
    size_t folder_len = strlen(unit.folder) + 1;
    char *at;

    assert_non_null(text);
    assert_int_equal(pread(fd, text, (size_t) len, 0), (ssize_t) len);

    while ((at = strstr(text, unit.folder)) != NULL) {
        memmove(at, at + folder_len, strlen(at + folder_len) + 1);
    }

    return text;
}

static bool unit_read(weir_str globals)
{
    static const weir_log log;
    char path[512];
    int messages = memfd_create("messages", MFD_CLOEXEC), stderr_copy = dup(STDERR_FILENO);
    weir_conf_options options = {.globals = globals, .make_template = unit_make_template};
    weir_conf_home home = {.log = &log};

    unit_forget();
    unit.pool = weir_pool_new(16384, 0);
    assert_non_null(unit.pool);
    home.pool = unit.pool;

    snprintf(path, sizeof(path), "%s/weir.conf", unit.folder);
    options.conf_file = weir_str_from_z(path);
    options.prefix = weir_str_slice(options.conf_file, 0, strlen(unit.folder) + 1);

    assert_true(messages >= 0 && stderr_copy >= 0);
    dup2(messages, STDERR_FILENO);
    unit.modules = home.modules = weir_modules_new_of(unit.pool, conf_unit_read_with_modules);
    if (home.modules != NULL) {
        unit.main = weir_conf_read(&home, &options);
    }
    dup2(stderr_copy, STDERR_FILENO);
    close(stderr_copy);

    unit.messages = unit_take_messages(messages);
    close(messages);
    return unit.main != NULL;
}

bool conf_unit_read_bytes(const void *text, size_t len)
{
    conf_unit_write("weir.conf", text, len);
    return unit_read(WEIR_STR_EMPTY);
}

bool conf_unit_read(const char *text)
{
    return conf_unit_read_bytes(text, strlen(text));
}

bool conf_unit_read_with(const char *text, const char *globals)
{
    conf_unit_write("weir.conf", text, strlen(text));
    return unit_read(weir_str_from_z(globals));
}

const char *conf_unit_refusal(const char *text)
{
    if (conf_unit_read(text)) {
        fail_msg("accepted: %s", text);
    }

    return unit.messages;
}

const conf_unit_values *conf_unit_at(size_t level)
{
    assert_true(level < unit.level_count);
    return weir_level_settings(unit.levels[level], &conf_unit_values_module);
}

#endif
