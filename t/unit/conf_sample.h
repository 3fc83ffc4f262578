/*
 * A small set of modules to read configurations with: for tests and the fuzz target of core/conf.
 * A program includes it once: it defines what it declares.
 */

#ifndef WEIR_UNIT_CONF_SAMPLE_H
#define WEIR_UNIT_CONF_SAMPLE_H

#include <assert.h>
#include <stdio.h>
#include <string.h>

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

/* What the functions of directives saw in one reading. */
typedef struct {
    weir_level *levels[64]; /* inner ones, in the order of `enter` */
    size_t level_count;
    char trace[4096]; /* enter, leave and call, in order */
    unsigned checks;
} conf_unit_seen;

extern conf_unit_seen seen;
const struct weir_template *conf_unit_make_template(weir_conf *conf, const char *family,
                                                    weir_str text);

conf_unit_seen seen;


static void unit_trace(const char *what, const weir_statement *statement)
{
    size_t len = strlen(seen.trace);

    snprintf(seen.trace + len, sizeof(seen.trace) - len, "%s%s %.*s", len > 0 ? ", " : "", what,
             WEIR_STR_ARG(statement->args[statement->count - 1]));
}

static weir_level *unit_enter(weir_conf *conf, weir_level *outer, const weir_statement *statement)
{
    weir_level *level = weir_level_new(conf, outer, NULL);

    unit_trace("enter", statement);
    if (level != NULL && seen.level_count < WEIR_COUNT(seen.levels)) {
        seen.levels[seen.level_count++] = level;
    }

    return level;
}

static bool unit_leave(weir_conf *conf, weir_level *level, const weir_statement *statement)
{
    assert(weir_conf_level(conf) == level);
    unit_trace("leave", statement);
    return true;
}

static bool unit_call_plain(weir_conf *conf, void *settings, const weir_statement *statement)
{
    assert(settings == NULL);
    assert(weir_conf_statement(conf) == statement);
    unit_trace("call", statement);
    return true;
}

static bool unit_call_refuse(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    return weir_conf_refuse_arg(conf, statement, 2, "no");
}

/* Blames the first block. */
static bool unit_call_blame(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    (void) statement;
    weir_conf_point_at(conf, NULL);
    weir_conf_point_at(conf, seen.levels[0]->statement);
    return weir_conf_refuse(conf, "not me");
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
        return weir_conf_refuse(conf, "no memory for a rule");
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
        assert(pair->directive == NULL);
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

    seen.checks++;
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
    {.name = "blame", .where = UNIT_ALL, .slot = WEIR_SLOT_ONLY_CALL(unit_call_blame)},
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

/* Stands for core/script: the text itself. */
const struct weir_template *conf_unit_make_template(weir_conf *conf, const char *family,
                                                    weir_str text)
{
    weir_str *kept = WEIR_NEW(weir_conf_pool(conf), weir_str);

    assert(strcmp(family, "http") == 0);
    if (weir_str_eq(text, WEIR_STR("$"))) {
        weir_conf_refuse(conf, "invalid variable name");
        return NULL;
    }

    if (kept == NULL) {
        weir_conf_refuse(conf, "no memory for a template");
        return NULL;
    }

    *kept = text;

    return (const struct weir_template *) kept;
}

#endif
