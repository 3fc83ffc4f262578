/* Regexes: PCRE2, compiled to machine code where that is possible. */

#include "core/script/script_internal.h"


#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/*
 * A pattern such as (a+)+$ can take exponential time on a text that a client made for it.  So many
 * steps take 3 to 30 ms in machine code, and 30 to 100 ms interpreted.
 */
#define MATCH_STEPS_MAX 2500000

/* For backtracking: of the interpreter, and of machine code, which begins on the small stack. */
#define MATCH_HEAP_KIB_MAX 16384
#define JIT_STACK_BYTES 32768
#define JIT_STACK_BYTES_MAX (4 * 1024 * 1024)

/* Bytes of a text that are logged when a match on it failed. */
#define LOGGED_TEXT_MAX 256

/* What is needed to match, once per configuration; after the fork each process has its own copy. */
struct weir_regex_engine {
    weir_map *programs; /* by options and pattern */
    pcre2_match_context *limits;
    pcre2_jit_stack *jit_stack;
    pcre2_match_data *match; /* as large as any program needs; no match runs within another */
    uint32_t match_groups;
    bool told_of_no_jit;
};

typedef struct {
    struct weir_regex_engine *engine;
    pcre2_code *code;
    weir_str pattern;
    uint32_t group_count;
    bool has_jit;
    bool is_utf;
} regex_program;

typedef struct {
    int slot;
    unsigned group;
} regex_name;

struct weir_regex {
    const regex_program *program;
    regex_name *names; /* in the order of names: those that are equal, by (?J), stand together */
    uint32_t name_count;
};

/* ---- while the configuration is read */

static void engine_free(void *subject)
{
    struct weir_regex_engine *engine = subject;

    pcre2_match_data_free(engine->match);
    pcre2_match_context_free(engine->limits);
    pcre2_jit_stack_free(engine->jit_stack);
}

static struct weir_regex_engine *engine_new(weir_pool *pool)
{
    struct weir_regex_engine *engine = WEIR_NEW(pool, struct weir_regex_engine);

    if (engine == NULL || weir_pool_on_free(pool, engine_free, engine) == NULL) {
        return NULL;
    }

    engine->programs = weir_map_new(pool, false, 64);
    engine->limits = pcre2_match_context_create(NULL);
    if (engine->programs == NULL || engine->limits == NULL) {
        return NULL;
    }

    pcre2_set_match_limit(engine->limits, MATCH_STEPS_MAX);
    pcre2_set_depth_limit(engine->limits, MATCH_STEPS_MAX);
    pcre2_set_heap_limit(engine->limits, MATCH_HEAP_KIB_MAX);

    /* Without it, machine code has 32 KiB of the process's stack, which does too. */
    engine->jit_stack = pcre2_jit_stack_create(JIT_STACK_BYTES, JIT_STACK_BYTES_MAX, NULL);
    if (engine->jit_stack != NULL) {
        pcre2_jit_stack_assign(engine->limits, NULL, engine->jit_stack);
    }

    return engine;
}

static bool engine_make_room(struct weir_regex_engine *engine, uint32_t group_count)
{
    pcre2_match_data *match;

    if (engine->match != NULL && engine->match_groups >= group_count) {
        return true;
    }

    match = pcre2_match_data_create(group_count + 1, NULL);
    if (match == NULL) {
        return false;
    }

    pcre2_match_data_free(engine->match);
    engine->match = match;
    engine->match_groups = group_count;
    return true;
}

static bool regex_refuse_memory(weir_conf *conf, weir_str pattern)
{
    return weir_conf_refuse(conf, "no memory for regex \"%.*s\"", WEIR_STR_ARG(pattern));
}

static void regex_message(int code, char *buffer, size_t size)
{
    if (pcre2_get_error_message(code, (PCRE2_UCHAR *) buffer, size) < 0) {
        buffer[0] = '\0';
    }
}

/* In nginx's words, which name the place unless it is the end. */
static bool regex_refuse(weir_conf *conf, weir_str pattern, int code, size_t offset)
{
    weir_str rest = weir_str_from(pattern, offset);
    char message[128];

    regex_message(code, message, sizeof(message));
    if (weir_str_is_empty(rest)) {
        return weir_conf_refuse(conf, "pcre2_compile() failed: %s in \"%.*s\"", message,
                                WEIR_STR_ARG(pattern));
    }

    return weir_conf_refuse(conf, "pcre2_compile() failed: %s in \"%.*s\" at \"%.*s\"", message,
                            WEIR_STR_ARG(pattern), WEIR_STR_ARG(rest));
}

static void program_free(void *subject)
{
    regex_program *program = subject;

    pcre2_code_free(program->code);
}

static bool program_code(weir_conf *conf, regex_program *program, uint32_t options)
{
    const char *text = program->pattern.len == 0 ? "" : program->pattern.data;
    uint32_t used_options = 0;
    size_t offset = 0;
    int code = 0;

    program->code =
        pcre2_compile((PCRE2_SPTR) text, program->pattern.len, options, &code, &offset, NULL);
    if (program->code == NULL) {
        return regex_refuse(conf, program->pattern, code, offset);
    }

    pcre2_pattern_info(program->code, PCRE2_INFO_ALLOPTIONS, &used_options);
    program->is_utf = (used_options & PCRE2_UTF) != 0;
    if (!program->is_utf || (used_options & PCRE2_MATCH_INVALID_UTF) != 0) {
        return true;
    }

    /* "(*UTF)": what clients send need not be UTF-8, and is not to be an error of ours then. */
    pcre2_code_free(program->code);
    return program_code(conf, program, options | PCRE2_MATCH_INVALID_UTF);
}

static void program_jit(weir_conf *conf, regex_program *program)
{
    size_t jit_bytes = 0;
    char message[128];
    int code = pcre2_jit_compile(program->code, PCRE2_JIT_COMPLETE);

    if (code != 0) {
        /* Once: a system that forbids such memory forbids it for all of them. */
        if (!program->engine->told_of_no_jit) {
            regex_message(code, message, sizeof(message));
            weir_conf_notice(conf, "regex \"%.*s\" is interpreted, as PCRE2's JIT fails: %s",
                             WEIR_STR_ARG(program->pattern), message);
            program->engine->told_of_no_jit = true;
        }
        return;
    }

    pcre2_pattern_info(program->code, PCRE2_INFO_JITSIZE, &jit_bytes);
    program->has_jit = jit_bytes > 0;
}

static bool jit_is_built_in(void)
{
    uint32_t is_built_in = 0;

    return pcre2_config(PCRE2_CONFIG_JIT, &is_built_in) >= 0 && is_built_in != 0;
}

static regex_program *program_new(weir_conf *conf, struct weir_regex_engine *engine,
                                  weir_str pattern, uint32_t options)
{
    weir_pool *pool = weir_conf_pool(conf);
    regex_program *program = WEIR_NEW(pool, regex_program);

    if (program == NULL || weir_pool_on_free(pool, program_free, program) == NULL) {
        regex_refuse_memory(conf, pattern);
        return NULL;
    }

    program->engine = engine;
    program->pattern = pattern;
    if (!program_code(conf, program, options)) {
        return NULL;
    }

    pcre2_pattern_info(program->code, PCRE2_INFO_CAPTURECOUNT, &program->group_count);
    if (!engine_make_room(engine, program->group_count)) {
        regex_refuse_memory(conf, pattern);
        return NULL;
    }

    if (jit_is_built_in()) {
        program_jit(conf, program);
    }

    return program;
}

/* The pattern with a byte for the options before it. */
static bool program_key(weir_pool *pool, weir_str pattern, bool nocase, weir_str *key)
{
    weir_builder builder;

    weir_builder_open(&builder, pool, pattern.len + 1);
    weir_builder_add_byte(&builder, nocase ? 'i' : 'a');
    weir_builder_add(&builder, pattern);
    return weir_builder_close(&builder, key);
}

static const regex_program *program_get(weir_conf *conf, weir_str pattern, bool nocase)
{
    weir_scripting *scripting = weir_scripting_of(conf);
    weir_pool *pool = weir_conf_pool(conf);
    regex_program *program;
    weir_str key;

    if (scripting == NULL) {
        return NULL;
    }

    if (scripting->engine == NULL) {
        scripting->engine = engine_new(pool);
    }
    if (scripting->engine == NULL || !program_key(pool, pattern, nocase, &key)) {
        regex_refuse_memory(conf, pattern);
        return NULL;
    }

    program = weir_map_find(scripting->engine->programs, key);
    if (program != NULL) {
        return program;
    }

    program =
        program_new(conf, scripting->engine, weir_str_from(key, 1), nocase ? PCRE2_CASELESS : 0);
    if (program != NULL && !weir_map_put(scripting->engine->programs, key, program)) {
        regex_refuse_memory(conf, pattern);
        return NULL;
    }

    return program;
}

static bool regex_define_names(weir_conf *conf, weir_space *space, weir_regex *regex)
{
    static const weir_variable set_by_groups = {.may_be_redefined = true, .is_fallback = true};
    const unsigned char *entry = NULL; /* the group's number, two bytes, and the name, with NUL */
    uint32_t entry_bytes = 0;
    weir_str name;

    pcre2_pattern_info(regex->program->code, PCRE2_INFO_NAMECOUNT, &regex->name_count);
    pcre2_pattern_info(regex->program->code, PCRE2_INFO_NAMEENTRYSIZE, &entry_bytes);
    pcre2_pattern_info(regex->program->code, PCRE2_INFO_NAMETABLE, &entry);

    regex->names = WEIR_NEW_ARRAY(weir_conf_pool(conf), regex_name, regex->name_count);
    if (regex->names == NULL) {
        return regex_refuse_memory(conf, regex->program->pattern);
    }

    for (uint32_t i = 0; i < regex->name_count; i++, entry += entry_bytes) {
        name = weir_str_from_z((const char *) entry + 2);
        if (!weir_space_define(conf, space, name, &set_by_groups)) {
            return false;
        }

        regex->names[i].group = (unsigned) (entry[0] << 8 | entry[1]);
        regex->names[i].slot = weir_space_slot(conf, space, name);
        if (regex->names[i].slot < 0) {
            return false;
        }
    }

    return true;
}

weir_regex *weir_regex_new(weir_conf *conf, weir_space *space, weir_str pattern, bool nocase)
{
    const regex_program *program = program_get(conf, pattern, nocase);
    weir_regex *regex;

    if (program == NULL) {
        return NULL;
    }

    regex = WEIR_NEW(weir_conf_pool(conf), weir_regex);
    if (regex == NULL) {
        regex_refuse_memory(conf, pattern);
        return NULL;
    }

    regex->program = program;
    return space == NULL || regex_define_names(conf, space, regex) ? regex : NULL;
}

/* ---- at run time */

static int program_run(const regex_program *program, weir_str text)
{
    struct weir_regex_engine *engine = program->engine;
    PCRE2_SPTR bytes = (PCRE2_SPTR) (text.len == 0 ? "" : text.data);
    int code;

    if (program->has_jit && !program->is_utf) {
        /* Does less than pcre2_match() before it comes to the same; it would not check UTF-8. */
        code = pcre2_jit_match(program->code, bytes, text.len, 0, 0, engine->match, engine->limits);
    } else {
        code = pcre2_match(program->code, bytes, text.len, 0, 0, engine->match, engine->limits);
    }

    if (code == PCRE2_ERROR_JIT_STACKLIMIT) {
        /* The interpreter backtracks on the heap, which may grow further. */
        code = pcre2_match(program->code, bytes, text.len, 0, PCRE2_NO_JIT, engine->match,
                           engine->limits);
    }

    return code;
}

static weir_regex_result program_result(const regex_program *program, weir_str text, int code,
                                        const weir_log *log)
{
    weir_str shown = weir_str_slice(text, 0, LOGGED_TEXT_MAX);
    char message[128];

    if (WEIR_LIKELY(code > 0)) {
        return WEIR_REGEX_MATCH;
    }
    if (code == PCRE2_ERROR_NOMATCH) {
        return WEIR_REGEX_NO_MATCH;
    }

    regex_message(code, message, sizeof(message));
    weir_log_line(log, WEIR_LOG_ERR, 0, "pcre2_match() failed: %d (%s) on \"%.*s\" using \"%.*s\"",
                  code, message, WEIR_STR_ARG(shown), WEIR_STR_ARG(program->pattern));
    return WEIR_REGEX_ERROR;
}

weir_regex_result weir_regex_test(const weir_regex *regex, weir_str text, const weir_log *log)
{
    return program_result(regex->program, text, program_run(regex->program, text), log);
}

/* Empty for a group that took no part. */
static weir_str regex_group(const regex_program *program, weir_str text, unsigned group)
{
    const PCRE2_SIZE *pair = pcre2_get_ovector_pointer(program->engine->match) + 2 * (size_t) group;

    if (pair[0] == PCRE2_UNSET || pair[0] > pair[1]) {
        return WEIR_STR_EMPTY;
    }

    return weir_str_slice(text, pair[0], pair[1]);
}

static bool regex_set_names(const weir_regex *regex, weir_script *script, weir_str text)
{
    weir_str value = WEIR_STR_EMPTY;

    for (uint32_t i = 0; i < regex->name_count; i++) {
        const regex_name *name = &regex->names[i];

        /* Of groups with the same name, the first that has text counts. */
        if (weir_str_is_empty(value)) {
            value = regex_group(regex->program, text, name->group);
        }
        if (i + 1 < regex->name_count && regex->names[i + 1].slot == name->slot) {
            continue;
        }

        if (!weir_script_set(script, name->slot, value)) {
            return false;
        }
        value = WEIR_STR_EMPTY;
    }

    return true;
}

weir_regex_result weir_regex_match(const weir_regex *regex, weir_script *script, weir_str text)
{
    const regex_program *program = regex->program;
    weir_regex_result result =
        program_result(program, text, program_run(program, text), script->log);
    unsigned count = program->group_count + 1;

    if (result != WEIR_REGEX_MATCH) {
        return result;
    }

    weir_script_save_captures(script);
    script->capture_count = count < WEIR_CAPTURES_MAX ? count : WEIR_CAPTURES_MAX;
    for (unsigned i = 0; i < script->capture_count; i++) {
        script->captures[i] = regex_group(program, text, i);
    }

    return regex_set_names(regex, script, text) ? WEIR_REGEX_MATCH : WEIR_REGEX_ERROR;
}
