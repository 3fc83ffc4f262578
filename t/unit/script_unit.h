/*
 * A toy subject for the tests of core/script: a traveller with a name, luggage, and a count of how
 * often the name was asked for.
 */

#ifndef WEIR_UNIT_SCRIPT_UNIT_H
#define WEIR_UNIT_SCRIPT_UNIT_H

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/log_sink.h"
#include "core/script/script.h"
#include "t/unit/base_unit.h"
#include "t/unit/script_conf.h"

typedef struct {
    weir_conf conf;
    weir_space *space;
    weir_log log;
    int log_fd; /* what was logged */

    weir_script script;
    weir_str name;      /* $name, $name_now; empty: not found */
    weir_str luggage;   /* $luggage, may be set to what is not "bomb" */
    unsigned evaluated; /* times that one of the two was evaluated */
} traveller;

static inline bool traveller_name(weir_script *script, uintptr_t arg, weir_value *value)
{
    traveller *t = script->subject;

    (void) arg;
    t->evaluated++;
    value->text = t->name;
    value->found = !weir_str_is_empty(t->name);
    return true;
}

static inline bool traveller_luggage(weir_script *script, uintptr_t arg, weir_value *value)
{
    traveller *t = script->subject;

    (void) arg;
    value->text = t->luggage;
    value->found = true;
    return true;
}

static inline bool traveller_pack(weir_script *script, uintptr_t arg, weir_str text)
{
    traveller *t = script->subject;

    (void) arg;
    if (weir_str_eq(text, WEIR_STR("bomb"))) {
        return false;
    }
    t->luggage = text;
    return true;
}

/* Gives the rest of the name, in brackets or between slashes. */
static inline bool traveller_bag(weir_script *script, uintptr_t arg, weir_value *value)
{
    const weir_str *rest = (const weir_str *) arg;
    weir_builder builder;

    weir_builder_open(&builder, script->pool, 256);
    weir_builder_add_byte(&builder, '[');
    weir_builder_add(&builder, *rest);
    weir_builder_add_byte(&builder, ']');
    value->found = true;
    return weir_builder_close(&builder, &value->text);
}

static inline bool traveller_small_bag(weir_script *script, uintptr_t arg, weir_value *value)
{
    weir_builder builder;

    weir_builder_open(&builder, script->pool, 256);
    weir_builder_add_byte(&builder, '/');
    weir_builder_add(&builder, *(const weir_str *) arg);
    weir_builder_add_byte(&builder, '/');
    value->found = true;
    return weir_builder_close(&builder, &value->text);
}

static inline bool traveller_constant(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) script;
    value->text = weir_str_from_z((const char *) arg);
    value->found = true;
    return true;
}

static const weir_variable traveller_variables[] = {
    {.name = "name", .get = traveller_name},
    {.name = "name_now", .get = traveller_name, .is_volatile = true},
    {.name = "luggage", .get = traveller_luggage, .set = traveller_pack, .is_volatile = true},
    {.name = "bag_", .get = traveller_bag, .is_prefix = true},
    {.name = "bag_small_", .get = traveller_small_bag, .is_prefix = true},
    {.name = "bag_of_tricks",
     .get = traveller_constant,
     .arg = (uintptr_t) "tricks",
     .may_be_redefined = true},
    {.name = NULL},
};

static inline int traveller_come(void **state)
{
    traveller *t = calloc(1, sizeof(traveller));
    weir_log_target *target;
    weir_log_files *files;
    weir_log_file *file;
    char path[32];

    if (t == NULL || (t->conf.pool = weir_pool_new(4096, 0)) == NULL) {
        return -1;
    }

    t->log_fd = memfd_create("log", MFD_CLOEXEC);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", t->log_fd);
    files = weir_log_files_new(t->conf.pool);
    target = weir_log_target_new(t->conf.pool);
    if (t->log_fd < 0 || files == NULL || target == NULL) {
        return -1;
    }

    file = weir_log_files_get(files, weir_str_from_z(path));
    if (file == NULL || !weir_log_files_open(files, NULL)
        || !weir_log_target_add_file(target, file, WEIR_LOG_INFO)) {
        return -1;
    }

    t->log.target = target;
    t->name = WEIR_STR("Ann");
    t->luggage = WEIR_STR("trunk");
    t->space = weir_space_of(&t->conf, "toy");
    *state = t;
    return t->space != NULL && weir_space_add(&t->conf, t->space, traveller_variables) ? 0 : -1;
}

static inline int traveller_leave(void **state)
{
    traveller *t = *state;

    weir_pool_free(t->conf.pool);
    close(t->log_fd);
    free(t);
    return 0;
}

#define unit_test_with_traveller(test)                                                             \
    cmocka_unit_test_setup_teardown(test, traveller_come, traveller_leave)

/* Everything is read: the journey begins. */
static inline void traveller_depart(traveller *t)
{
    if (!weir_space_close(&t->conf, t->space)) {
        print_error("%s\n", t->conf.message);
        fail();
    }
    weir_script_begin(&t->script, t->space, t, t->conf.pool, &t->log);
}

static inline weir_template *traveller_template(traveller *t, const char *text)
{
    weir_template *template = weir_template_new(&t->conf, t->space, weir_str_from_z(text));

    if (template == NULL) {
        print_error("%s\n", t->conf.message);
    }
    assert_non_null(template);
    return template;
}

static inline weir_str traveller_text(traveller *t, const weir_template *template)
{
    weir_str text;

    assert_true(weir_template_text(template, &t->script, &text));
    return text;
}

/* Compiles and evaluates at once. */
static inline weir_str traveller_says(traveller *t, const char *text)
{
    const weir_template *template = traveller_template(t, text);

    traveller_depart(t);
    return traveller_text(t, template);
}

static inline weir_value traveller_get(traveller *t, int slot)
{
    weir_value value;

    assert_true(slot >= 0);
    assert_true(weir_script_get(&t->script, slot, &value));
    return value;
}

static inline int traveller_slot(traveller *t, const char *name)
{
    return weir_space_slot(&t->conf, t->space, weir_str_from_z(name));
}

static inline weir_regex *traveller_regex(traveller *t, const char *pattern)
{
    weir_regex *regex = weir_regex_new(&t->conf, t->space, weir_str_from_z(pattern), false);

    if (regex == NULL) {
        print_error("%s\n", t->conf.message);
    }
    assert_non_null(regex);
    return regex;
}

static inline bool traveller_matches(traveller *t, const weir_regex *regex, const char *text)
{
    return weir_regex_match(regex, &t->script, weir_str_from_z(text)) == WEIR_REGEX_MATCH;
}

/* Whether the log says so. */
static inline bool traveller_log_has(traveller *t, const char *words)
{
    char text[8192];
    ssize_t len = pread(t->log_fd, text, sizeof(text) - 1, 0);

    assert_true(len >= 0);
    text[len] = '\0';
    return strstr(text, words) != NULL;
}

/*
 * A map of one regex, as the module has it: $NAME is `text` when `regex` matches $source, else not
 * found.
 */
typedef struct {
    const weir_template *source;
    const weir_regex *regex;
    const weir_template *text;
} toy_map;

static inline bool toy_map_get(weir_script *script, uintptr_t arg, weir_value *value)
{
    const toy_map *map = (const toy_map *) arg;
    weir_str source;

    if (!weir_template_text(map->source, script, &source)) {
        return false;
    }
    if (weir_regex_match(map->regex, script, source) != WEIR_REGEX_MATCH) {
        return true;
    }

    value->found = true;
    return weir_template_text(map->text, script, &value->text);
}

static inline void traveller_map(traveller *t, toy_map *map, const char *name, const char *source,
                                 const char *pattern, const char *text)
{
    const weir_variable definition = {
        .get = toy_map_get,
        .arg = (uintptr_t) map,
        .may_be_redefined = true,
    };

    map->source = traveller_template(t, source);
    map->regex = traveller_regex(t, pattern);
    map->text = traveller_template(t, text);
    assert_true(weir_space_define(&t->conf, t->space, weir_str_from_z(name), &definition));
}

#endif
