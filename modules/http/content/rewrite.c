/*
 * rewrite: changes a request's path, sets variables, and answers, by conditions.
 *
 *     set $lang en;
 *     if ($http_user_agent ~ MSIE) { rewrite ^(.*)$ /msie$1 break; }
 *     rewrite ^/old/(.*)$ /new/$1 permanent;
 *     return 404;
 *
 * The directives of a block are a program: they run in the order in which they stand.  That of the server runs
 * first, then that of the location that was found.
 */

#include "modules/http/engine/core_conf.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/number.h"

/* What can run an `if` with a location of its own; and what can run at all. */
#define REWRITE_BLOCKS (WEIR_HTTP_SERVER | WEIR_HTTP_LOCATION)
#define REWRITE_PLACES (REWRITE_BLOCKS | WEIR_HTTP_SERVER_IF | WEIR_HTTP_LOCATION_IF)

#define STATUS_MAX 999

typedef enum {
    STEP_REWRITE,
    STEP_SET,
    STEP_IF,
    STEP_BREAK,
    STEP_RETURN,
} step_kind;

typedef enum {
    THEN_GO_ON,
    THEN_LAST,
    THEN_BREAK,
    THEN_REDIRECT,
    THEN_MOVE, /* permanently */
} step_then;

typedef enum {
    TEST_VALUE,
    TEST_EQUAL,
    TEST_MATCH,
    TEST_IS_FILE,
    TEST_IS_FOLDER,
    TEST_EXISTS,
    TEST_IS_EXECUTABLE,
} step_test;

typedef struct rewrite_program rewrite_program;

typedef struct {
    step_kind kind;

    /* REWRITE, and MATCH */
    const weir_regex *regex;
    weir_str pattern; /* as written, for the log */
    const weir_template *path, *args;
    bool drops_args; /* the replacement ends with "?" */
    step_then then;

    /* SET, and the variable of a test */
    int slot;
    const weir_template *value; /* SET, EQUAL, files; and what RETURN says: NULL: nothing */

    /* IF */
    step_test test;
    bool is_negated;
    const rewrite_program *inner;
    const weir_http_location *location; /* NULL in a server: nothing but the program applies */

    unsigned status; /* RETURN */
} rewrite_step;

struct rewrite_program {
    const weir_level *level; /* whose it is: settings may be shared with inner levels */
    weir_array steps;        /* rewrite_step */
};

typedef struct {
    bool log;
    bool warn_of_uninitialized;
    /* No directive's slot: where a level has none of its own, this is NULL or another level's. */
    rewrite_program *program;
} rewrite_conf;

extern const weir_http_module weir_http_rewrite;

/* ---- reading */

static rewrite_program *program_new(weir_conf *conf, weir_level *level)
{
    rewrite_conf *own = weir_level_own_settings(conf, level, &weir_http_rewrite.base);

    if (own == NULL) {
        return NULL;
    }
    if (own->program == NULL) {
        own->program = WEIR_NEW(weir_conf_pool(conf), rewrite_program);
        if (own->program == NULL) {
            weir_conf_refuse(conf, "no memory for rewriting");
            return NULL;
        }
        own->program->level = level;
        weir_array_init(&own->program->steps, weir_conf_pool(conf), sizeof(rewrite_step), 4);
    }
    return own->program;
}

static bool program_add(weir_conf *conf, const rewrite_step *step)
{
    rewrite_program *program = program_new(conf, weir_conf_level(conf));
    rewrite_step *added;

    if (program == NULL) {
        return false;
    }
    added = weir_array_push(&program->steps);
    if (added == NULL) {
        return weir_conf_refuse(conf, "no memory for rewriting");
    }
    *added = *step;
    return true;
}

static weir_space *space(weir_conf *conf)
{
    return weir_space_of(conf, "http");
}

static bool is_url(weir_str text)
{
    return weir_str_starts(text, WEIR_STR("http://")) || weir_str_starts(text, WEIR_STR("https://"))
           || weir_str_starts(text, WEIR_STR("$scheme"));
}

/* rewrite REGEX REPLACEMENT [FLAG] */
static bool rewrite_flag(weir_conf *conf, const weir_statement *statement, step_then *then)
{
    static const weir_choice flags[] = {
        {"last", THEN_LAST},
        {"break", THEN_BREAK},
        {"redirect", THEN_REDIRECT},
        {"permanent", THEN_MOVE},
    };
    weir_str flag = statement->args[3];

    for (size_t i = 0; i < WEIR_COUNT(flags); i++) {
        if (weir_str_eq(flag, weir_str_from_z(flags[i].name))) {
            *then = (step_then) flags[i].value;
            return true;
        }
    }
    return weir_conf_refuse_arg(conf, statement, 3, "invalid parameter \"%.*s\"",
                                WEIR_STR_ARG(flag));
}

static bool rewrite_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_str replacement = statement->args[2];
    rewrite_step step = {.kind = STEP_REWRITE};
    const char *mark;

    (void) settings;
    if (replacement.len == 0) {
        return weir_conf_refuse_arg(conf, statement, 2, "empty replacement");
    }
    if (is_url(replacement)) {
        step.then = THEN_REDIRECT;
    }
    if (statement->count == 4 && !rewrite_flag(conf, statement, &step.then)) {
        return false;
    }
    if (is_url(replacement) && step.then != THEN_MOVE) {
        step.then = THEN_REDIRECT;
    }

    if (replacement.data[replacement.len - 1] == '?') {
        step.drops_args = true;
        replacement.len--;
    }
    mark = weir_str_find_byte(replacement, '?');
    if (mark != NULL) {
        size_t len = (size_t) (mark - replacement.data);

        step.args = weir_template_new(conf, space(conf), weir_str_from(replacement, len + 1));
        if (step.args == NULL) {
            return false;
        }
        replacement = weir_str_slice(replacement, 0, len);
    }

    step.pattern = statement->args[1];
    step.regex = weir_regex_new(conf, space(conf), step.pattern, false);
    if (step.regex == NULL) {
        return false;
    }
    step.path = weir_template_new(conf, space(conf), replacement);
    return step.path != NULL && program_add(conf, &step);
}

/* For what no `set` came by. `arg` is the name. */
static bool get_uninitialized(weir_script *script, uintptr_t arg, weir_value *value)
{
    const weir_http_exchange *ex = script->subject;
    const rewrite_conf *rewrite = weir_http_settings(ex, &weir_http_rewrite);
    const weir_str *name = (const weir_str *) arg;

    if (rewrite->warn_of_uninitialized) {
        weir_log_line(&ex->log, WEIR_LOG_WARN, 0, "using uninitialized \"%.*s\" variable",
                      WEIR_STR_ARG(*name));
    }
    value->found = true;
    return true;
}

/* set $NAME VALUE */
static bool set_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_pool *pool = weir_conf_pool(conf);
    rewrite_step step = {.kind = STEP_SET};
    weir_variable definition = {.get = get_uninitialized, .is_fallback = true};
    weir_str *name = WEIR_NEW(pool, weir_str);

    (void) settings;
    if (name == NULL) {
        return weir_conf_refuse(conf, "no memory for a variable");
    }
    if (!weir_variable_name(conf, statement->args[1], name)) {
        return false;
    }
    definition.arg = (uintptr_t) name;
    if (!weir_space_define(conf, space(conf), *name, &definition)) {
        return false;
    }
    step.slot = weir_space_slot(conf, space(conf), *name);
    step.value = weir_template_new(conf, space(conf), statement->args[2]);
    return step.slot >= 0 && step.value != NULL && program_add(conf, &step);
}

static bool break_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    (void) statement;
    return program_add(conf, &(rewrite_step){.kind = STEP_BREAK});
}

/* An `if` answers for the location that it stands in. */
static void note_answer(weir_conf *conf)
{
    weir_http_location *location = weir_http_conf_location(conf);

    while (location != NULL) {
        location->answers_itself = true;
        location = location->kind == WEIR_HTTP_LOCATION_UNNAMED ? location->outer : NULL;
    }
}

/* return CODE [TEXT | URL]; return URL */
static bool return_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    rewrite_step step = {.kind = STEP_RETURN};
    weir_str text = statement->args[statement->count - 1];
    uint64_t status;

    (void) settings;
    if (weir_parse_uint(statement->args[1], STATUS_MAX, &status)) {
        step.status = (unsigned) status;
        if (status < 300) {
            note_answer(conf);
        }
        /* An empty text is none where there is a page of weir's own, or an error_page. */
        if (statement->count == 2 || (status >= 400 && text.len == 0)) {
            return program_add(conf, &step);
        }
    } else if (statement->count == 2 && is_url(text)) {
        step.status = 302;
    } else {
        return weir_conf_refuse_arg(conf, statement, 1, "invalid return code \"%.*s\"",
                                    WEIR_STR_ARG(statement->args[1]));
    }
    step.value = weir_template_new(conf, space(conf), text);
    return step.value != NULL && program_add(conf, &step);
}

/* ---- reading conditions */

/* The words between the parentheses. */
typedef struct {
    const weir_statement *statement;
    weir_str words[3];
    size_t args[3]; /* which argument each is, for messages */
    size_t count;
} condition;

static bool condition_refuse(weir_conf *conf, const weir_statement *statement, size_t arg)
{
    return weir_conf_refuse_arg(conf, statement, arg, "invalid condition \"%.*s\"",
                                WEIR_STR_ARG(statement->args[arg]));
}

static bool condition_words(weir_conf *conf, const weir_statement *statement, condition *words)
{
    size_t last = statement->count - 1;
    weir_str text;

    *words = (condition){.statement = statement};
    if (last < 1 || statement->args[1].len == 0 || statement->args[1].data[0] != '(') {
        return condition_refuse(conf, statement, 1);
    }
    text = statement->args[last];
    if (text.len == 0 || text.data[text.len - 1] != ')') {
        return condition_refuse(conf, statement, last);
    }

    for (size_t i = 1; i <= last; i++) {
        text = statement->args[i];
        if (i == 1) {
            text = weir_str_from(text, 1);
        }
        if (i == last) {
            text.len--;
        }
        /* A parenthesis that stood alone leaves nothing; what was written as "" is a word. */
        if (text.len == 0 && (i == 1 || i == last)
            && statement->args[i].len == (i == 1 && i == last ? 2u : 1u)) {
            continue;
        }
        if (words->count == WEIR_COUNT(words->words)) {
            return condition_refuse(conf, statement, i);
        }
        words->words[words->count] = text;
        words->args[words->count++] = i;
    }
    return words->count != 0 || condition_refuse(conf, statement, 1);
}

static bool condition_variable(weir_conf *conf, const condition *words, rewrite_step *step)
{
    weir_str name;

    if (!weir_variable_name(conf, words->words[0], &name)) {
        return false;
    }
    step->slot = weir_space_slot(conf, space(conf), name);
    return step->slot >= 0;
}

static bool condition_compare(weir_conf *conf, const condition *words, rewrite_step *step)
{
    weir_str sign = words->words[1];
    weir_str text = words->words[2];

    if (!condition_variable(conf, words, step)) {
        return false;
    }
    if (sign.len > 0 && sign.data[0] == '!') {
        step->is_negated = true;
        sign = weir_str_from(sign, 1);
    }

    if (weir_str_eq(sign, WEIR_STR("="))) {
        step->test = TEST_EQUAL;
        step->value = weir_template_new(conf, space(conf), text);
        return step->value != NULL;
    }
    if (weir_str_eq(sign, WEIR_STR("~")) || weir_str_eq(sign, WEIR_STR("~*"))) {
        step->test = TEST_MATCH;
        step->pattern = text;
        step->regex = weir_regex_new(conf, space(conf), text, sign.len == 2);
        return step->regex != NULL;
    }
    return weir_conf_refuse_arg(conf, words->statement, words->args[1],
                                "unexpected \"%.*s\" in condition", WEIR_STR_ARG(words->words[1]));
}

static bool condition_file(weir_conf *conf, const condition *words, rewrite_step *step)
{
    weir_str sign = words->words[0];

    if (sign.len > 0 && sign.data[0] == '!') {
        step->is_negated = true;
        sign = weir_str_from(sign, 1);
    }
    if (weir_str_eq(sign, WEIR_STR("-f"))) {
        step->test = TEST_IS_FILE;
    } else if (weir_str_eq(sign, WEIR_STR("-d"))) {
        step->test = TEST_IS_FOLDER;
    } else if (weir_str_eq(sign, WEIR_STR("-e"))) {
        step->test = TEST_EXISTS;
    } else if (weir_str_eq(sign, WEIR_STR("-x"))) {
        step->test = TEST_IS_EXECUTABLE;
    } else {
        return condition_refuse(conf, words->statement, words->args[0]);
    }
    step->value = weir_template_new(conf, space(conf), words->words[1]);
    return step->value != NULL;
}

static bool condition_read(weir_conf *conf, const weir_statement *statement, rewrite_step *step)
{
    condition words;

    if (!condition_words(conf, statement, &words)) {
        return false;
    }
    switch (words.count) {
    case 1:
        step->test = TEST_VALUE;
        return condition_variable(conf, &words, step);
    case 2:
        return condition_file(conf, &words, step);
    default:
        return condition_compare(conf, &words, step);
    }
}

static weir_level *if_make(weir_conf *conf, weir_level *outer, const weir_statement *statement)
{
    weir_http_location *location = weir_http_location_new(conf, weir_http_conf_server(conf),
                                                          weir_http_conf_location(conf), NULL);
    rewrite_step step = {.kind = STEP_IF};

    if (location == NULL || !condition_read(conf, statement, &step)) {
        return NULL;
    }
    location->level = weir_level_new(conf, outer, location);
    if (location->level == NULL) {
        return NULL;
    }
    step.inner = program_new(conf, location->level);
    step.location = outer->context == WEIR_HTTP_LOCATION ? location : NULL;
    return step.inner != NULL && program_add(conf, &step) ? location->level : NULL;
}

static bool if_leave(weir_conf *conf, weir_level *level, const weir_statement *statement)
{
    (void) statement;
    return weir_http_location_settle(conf, level->owner);
}

static const weir_directive rewrite_directives[] = {
    {
        .name = "rewrite",
        .where = REWRITE_PLACES,
        .takes = WEIR_TAKES(2, 3),
        .syntax = "regex replacement [last | break | redirect | permanent]",
        .slot = WEIR_SLOT_ONLY_CALL(rewrite_call),
        .doc = "Changes a path that matches.",
    },
    {
        .name = "set",
        .where = REWRITE_PLACES,
        .takes = WEIR_TAKES(2, 2),
        .syntax = "$variable value",
        .slot = WEIR_SLOT_ONLY_CALL(set_call),
        .doc = "Sets a variable.",
    },
    /* `if` opens one context in servers, and another one in locations. */
    {
        .name = "if",
        .where = WEIR_HTTP_SERVER,
        .takes = WEIR_TAKES_SOME,
        .syntax = "(condition)",
        .repeatable = true,
        .block = WEIR_BLOCK_LEVEL,
        .opens = WEIR_HTTP_SERVER_IF,
        .enter = if_make,
        .leave = if_leave,
        .doc = "Runs the directives inside where the condition holds.",
    },
    {
        .name = "if",
        .where = WEIR_HTTP_LOCATION,
        .takes = WEIR_TAKES_SOME,
        .syntax = "(condition)",
        .repeatable = true,
        .block = WEIR_BLOCK_LEVEL,
        .opens = WEIR_HTTP_LOCATION_IF,
        .enter = if_make,
        .leave = if_leave,
        .doc = "Runs the directives inside, and applies its settings, where the condition holds.",
    },
    {
        .name = "break",
        .where = REWRITE_PLACES,
        .takes = WEIR_TAKES_NONE,
        .slot = WEIR_SLOT_ONLY_CALL(break_call),
        .doc = "Ends the rewriting, and stays in this location.",
    },
    {
        .name = "return",
        .where = REWRITE_PLACES,
        .takes = WEIR_TAKES(1, 2),
        .syntax = "code [text] | code URL | URL",
        .slot = WEIR_SLOT_ONLY_CALL(return_call),
        .doc = "Answers.",
    },
    {
        .name = "rewrite_log",
        .where = WEIR_HTTP_MAIN | REWRITE_PLACES,
        .slot = WEIR_SLOT_FLAG(rewrite_conf, log),
        .preset = "off",
        .doc = "Logs what is rewritten at notice, not at debug.",
    },
    {
        .name = "uninitialized_variable_warn",
        .where = WEIR_HTTP_MAIN | REWRITE_PLACES,
        .slot = WEIR_SLOT_FLAG(rewrite_conf, warn_of_uninitialized),
        .preset = "on",
        .doc = "Warns where a variable is used before it was set.",
    },
    {0},
};

/* ---- running */

/* What a program says: PASS it came to its end, SETTLED it was ended; else as phases do. */

static weir_log_level rewrite_log_level(const weir_http_exchange *ex)
{
    const rewrite_conf *rewrite = weir_http_settings(ex, &weir_http_rewrite);

    return rewrite->log ? WEIR_LOG_NOTICE : WEIR_LOG_DEBUG;
}

static weir_regex_result match(weir_http_exchange *ex, const rewrite_step *step, weir_str text)
{
    weir_regex_result result = weir_regex_match(step->regex, &ex->script, text);
    weir_log_level level = rewrite_log_level(ex);

    if (result == WEIR_REGEX_NO_MATCH) {
        weir_script_drop_captures(&ex->script);
    }
    if (result != WEIR_REGEX_ERROR && weir_log_takes(&ex->log, level)) {
        weir_log_line(&ex->log, level, 0, "\"%.*s\" %s \"%.*s\"", WEIR_STR_ARG(step->pattern),
                      result == WEIR_REGEX_MATCH ? "matches" : "does not match",
                      WEIR_STR_ARG(text));
    }
    return result;
}

/* A capture within arguments: what would end it there is escaped. */
static void escape_arg(weir_builder *builder, weir_str text)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char) text.data[i];

        if (byte <= 0x20 || byte >= 0x7f || strchr("\"#%&+;<>?\\^`{|}", byte) != NULL) {
            weir_builder_add_byte(builder, '%');
            weir_builder_add_byte(builder, digits[byte >> 4]);
            weir_builder_add_byte(builder, digits[byte & 15]);
        } else {
            weir_builder_add_byte(builder, (char) byte);
        }
    }
}

typedef enum {
    CAPTURES_PLAIN, /* the path stays decoded */
    CAPTURES_IN_PATH,
    CAPTURES_IN_ARGS,
} capture_form;

/*
 * Captures come from the decoded path.  In arguments they are escaped again, if the client had escaped anything; in the
 * path of a redirect, where they could not stand as they are.
 */
static bool write_template(weir_http_exchange *ex, const weir_template *template, capture_form form,
                           weir_builder *builder)
{
    const weir_template_part *parts;
    size_t count = weir_template_parts(template, &parts);
    bool was_escaped = weir_str_find_byte(ex->request.target, '%') != NULL
                       || weir_str_find_byte(ex->request.target, '+') != NULL;

    for (size_t i = 0; i < count; i++) {
        weir_value value;

        if (!weir_template_part_value(&parts[i], &ex->script, &value)) {
            return false;
        }
        if (parts[i].capture != 0 && form == CAPTURES_IN_PATH) {
            if (!weir_http_escape_path(builder, value.text)) {
                return false;
            }
        } else if (parts[i].capture != 0 && form == CAPTURES_IN_ARGS && was_escaped) {
            escape_arg(builder, value.text);
        } else {
            weir_builder_add(builder, value.text);
        }
    }
    return true;
}

/* The replacement's own arguments, then the request's. */
static bool write_args(weir_http_exchange *ex, const rewrite_step *step, weir_builder *builder)
{
    weir_str args = step->drops_args ? WEIR_STR_EMPTY : ex->request.args;

    if (step->args != NULL) {
        if (!write_template(ex, step->args, CAPTURES_IN_ARGS, builder)) {
            return false;
        }
        if (args.len != 0) {
            weir_builder_add_byte(builder, '&');
        }
    }
    weir_builder_add(builder, args);
    return true;
}

static weir_http_verdict redirect(weir_http_exchange *ex, const rewrite_step *step)
{
    weir_log_level level = rewrite_log_level(ex);
    weir_builder builder;
    weir_str location;

    weir_builder_open(&builder, ex->pool, WEIR_TEMPLATE_MAX);
    if (!write_template(ex, step->path, CAPTURES_IN_PATH, &builder)) {
        return WEIR_HTTP_FAILED;
    }
    if (step->args != NULL || (!step->drops_args && ex->request.args.len != 0)) {
        weir_builder_add_byte(&builder, '?');
        if (!write_args(ex, step, &builder)) {
            return WEIR_HTTP_FAILED;
        }
    }
    if (!weir_builder_close(&builder, &location)) {
        return WEIR_HTTP_FAILED;
    }
    weir_log_line(&ex->log, level, 0, "rewritten redirect: \"%.*s\"", WEIR_STR_ARG(location));
    return weir_http_answer_redirect(ex, step->then == THEN_MOVE ? 301 : 302, location);
}

static weir_http_verdict run_rewrite(weir_http_exchange *ex, const rewrite_step *step)
{
    weir_builder builder;
    weir_str path, args;

    switch (match(ex, step, ex->request.path)) {
    case WEIR_REGEX_MATCH:
        break;
    case WEIR_REGEX_NO_MATCH:
        return WEIR_HTTP_PASS;
    case WEIR_REGEX_ERROR:
        return WEIR_HTTP_FAILED;
    }
    if (step->then == THEN_REDIRECT || step->then == THEN_MOVE) {
        return redirect(ex, step);
    }

    weir_builder_open(&builder, ex->pool, WEIR_TEMPLATE_MAX);
    if (!write_template(ex, step->path, CAPTURES_PLAIN, &builder)
        || !weir_builder_close(&builder, &path)) {
        return WEIR_HTTP_FAILED;
    }
    weir_builder_open(&builder, ex->pool, WEIR_TEMPLATE_MAX);
    if (!write_args(ex, step, &builder) || !weir_builder_close(&builder, &args)) {
        return WEIR_HTTP_FAILED;
    }
    if (path.len == 0) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "the rewritten URI has a zero length");
        return WEIR_HTTP_FAILED;
    }

    weir_http_set_path(&ex->request, path);
    ex->request.args = args;
    ex->request.path_is_valid = false;
    ex->is_internal = true; /* `internal` lets rewritten requests by */
    ex->request.is_rewritten_here = step->then == THEN_BREAK;
    /* For the server's own program the location is yet to be looked for. */
    ex->uri_changed = ex->phase == WEIR_HTTP_PHASE_REWRITE && step->then != THEN_BREAK;
    weir_log_line(&ex->log, rewrite_log_level(ex), 0, "rewritten data: \"%.*s\", args: \"%.*s\"",
                  WEIR_STR_ARG(path), WEIR_STR_ARG(args));
    return step->then == THEN_GO_ON ? WEIR_HTTP_PASS : WEIR_HTTP_SETTLED;
}

/* nginx's: whatever stat() says of a missing file is false, other errors are logged. */
static bool test_file(weir_http_exchange *ex, const rewrite_step *step, bool *holds)
{
    weir_str text;
    const char *path;
    struct stat found;

    if (!weir_template_text(step->value, &ex->script, &text)) {
        return false;
    }
    path = weir_str_z(ex->pool, text);
    *holds = false;
    if (path == NULL) {
        return true;
    }
    if (stat(path, &found) != 0) {
        if (errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG) {
            weir_log_line(&ex->log, WEIR_LOG_CRIT, errno, "stat() \"%s\" failed", path);
        }
        return true;
    }

    switch (step->test) {
    case TEST_IS_FILE:
        *holds = S_ISREG(found.st_mode);
        break;
    case TEST_IS_FOLDER:
        *holds = S_ISDIR(found.st_mode);
        break;
    case TEST_IS_EXECUTABLE:
        *holds = (found.st_mode & S_IXUSR) != 0;
        break;
    case TEST_EXISTS:
    case TEST_VALUE:
    case TEST_EQUAL:
    case TEST_MATCH:
        *holds = true;
        break;
    }
    return true;
}

static bool test_holds(weir_http_exchange *ex, const rewrite_step *step, bool *holds)
{
    weir_value value;
    weir_str text;

    switch (step->test) {
    case TEST_IS_FILE:
    case TEST_IS_FOLDER:
    case TEST_EXISTS:
    case TEST_IS_EXECUTABLE:
        return test_file(ex, step, holds);
    case TEST_VALUE:
    case TEST_EQUAL:
    case TEST_MATCH:
        break;
    }

    if (!weir_script_get(&ex->script, step->slot, &value)) {
        return false;
    }
    if (step->test == TEST_VALUE) {
        *holds = value.text.len != 0 && !weir_str_eq(value.text, WEIR_STR("0"));
        return true;
    }
    if (step->test == TEST_EQUAL) {
        if (!weir_template_text(step->value, &ex->script, &text)) {
            return false;
        }
        *holds = weir_str_eq(value.text, text);
        return true;
    }
    switch (match(ex, step, value.text)) {
    case WEIR_REGEX_MATCH:
        *holds = true;
        return true;
    case WEIR_REGEX_NO_MATCH:
        *holds = false;
        return true;
    case WEIR_REGEX_ERROR:
        break;
    }
    return false;
}

static weir_http_verdict run_return(weir_http_exchange *ex, const rewrite_step *step)
{
    unsigned status = step->status;
    weir_str text = WEIR_STR_EMPTY;

    if (step->value == NULL && status >= 400) {
        return weir_http_answer_because(ex, status, "return");
    }
    /* For $status in the text. */
    ex->response.status = status;
    if (step->value != NULL && !weir_template_text(step->value, &ex->script, &text)) {
        return WEIR_HTTP_FAILED;
    }
    ex->end_reason = "return";
    switch (status) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        return weir_http_answer_redirect(ex, status, text);
    default:
        return weir_http_answer_text(ex, status, WEIR_STR_EMPTY, text);
    }
}

static weir_http_verdict run(weir_http_exchange *ex, const rewrite_program *program);

static weir_http_verdict run_if(weir_http_exchange *ex, const rewrite_step *step)
{
    bool holds;

    if (!test_holds(ex, step, &holds)) {
        return WEIR_HTTP_FAILED;
    }
    if (holds == step->is_negated) {
        return WEIR_HTTP_PASS;
    }
    /* Its settings apply from here on, those of the last `if` that held. */
    if (step->location != NULL) {
        weir_http_exchange_enter(ex, step->location);
    }
    return run(ex, step->inner);
}

static weir_http_verdict run_set(weir_http_exchange *ex, const rewrite_step *step)
{
    weir_str text;

    return weir_template_text(step->value, &ex->script, &text)
                   && weir_script_set(&ex->script, step->slot, text)
               ? WEIR_HTTP_PASS
               : WEIR_HTTP_FAILED;
}

static weir_http_verdict run_step(weir_http_exchange *ex, const rewrite_step *step)
{
    switch (step->kind) {
    case STEP_REWRITE:
        return run_rewrite(ex, step);
    case STEP_SET:
        return run_set(ex, step);
    case STEP_IF:
        return run_if(ex, step);
    case STEP_BREAK:
        ex->request.is_rewritten_here = ex->request.is_rewritten_here || ex->uri_changed;
        ex->uri_changed = false;
        return WEIR_HTTP_SETTLED;
    case STEP_RETURN:
        return run_return(ex, step);
    }
    return WEIR_HTTP_FAILED;
}

static weir_http_verdict run(weir_http_exchange *ex, const rewrite_program *program)
{
    for (WEIR_ARRAY_EACH(&program->steps, const rewrite_step, step)) {
        weir_http_verdict verdict = run_step(ex, step);

        if (verdict != WEIR_HTTP_PASS) {
            return verdict;
        }
    }
    return WEIR_HTTP_PASS;
}

static weir_http_verdict rewrite_judge(weir_http_exchange *ex, const void *location)
{
    const rewrite_conf *rewrite = location;
    weir_http_verdict verdict;

    if (rewrite->program == NULL || rewrite->program->level != ex->location->level) {
        return WEIR_HTTP_PASS;
    }
    verdict = run(ex, rewrite->program);
    /* The program has ended, the phase has not: other modules are asked. */
    return verdict == WEIR_HTTP_SETTLED ? WEIR_HTTP_PASS : verdict;
}

const weir_http_module weir_http_rewrite = {
    .name = "http_rewrite",
    .directives = rewrite_directives,
    .conf_size = sizeof(rewrite_conf),
    .phases = 1u << WEIR_HTTP_PHASE_SERVER_REWRITE | 1u << WEIR_HTTP_PHASE_REWRITE,
    .judge = rewrite_judge,
};
