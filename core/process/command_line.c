/* What weir is asked for; the options are nginx's, the tools are the modules'. */

#include "core/process/command_line.h"

#include <limits.h>
#include <signal.h>
#include <unistd.h>

#include "core/base/builder.h"
#include "core/base/log.h"
#include "weir_auto_config.h"

typedef struct {
    weir_command_line *line;
    weir_pool *pool;
    char *const *next; /* argument */
    weir_str prefix, conf_file;
} command_parser;

static bool command_refuse(const char *complaint, const char *what)
{
    weir_log_line(NULL, WEIR_LOG_STDERR, 0, "%s%s", complaint, what);
    return false;
}

static bool command_unknown(const char *flag, weir_str option)
{
    weir_log_line(NULL, WEIR_LOG_STDERR, 0, "invalid option: \"%s%.*s\"", flag, (int) option.len,
                  option.data);
    return false;
}

/* The rest of the argument, or the next one; NULL: there is none. */
static const char *command_value(command_parser *parser, const char *rest)
{
    if (*rest != '\0') {
        return rest;
    }

    return *parser->next == NULL ? NULL : *parser->next++;
}

static bool command_take(command_parser *parser, const char *rest, weir_str *value,
                         const char *complaint)
{
    const char *text = command_value(parser, rest);

    if (text == NULL || *text == '\0') {
        return command_refuse(complaint, "");
    }

    *value = weir_str_from_z(text);
    return true;
}

static bool command_signal(command_parser *parser, const char *rest)
{
    static const struct {
        const char *name;
        int signal;
    } signals[] = {{"stop", SIGTERM}, {"quit", SIGQUIT}, {"reopen", SIGUSR1}, {"reload", SIGHUP}};
    weir_str name;

    if (!command_take(parser, rest, &name, "option \"-s\" requires parameter")) {
        return false;
    }

    for (size_t i = 0; i < WEIR_COUNT(signals); i++) {
        if (weir_str_eq(name, weir_str_from_z(signals[i].name))) {
            parser->line->command = WEIR_COMMAND_SIGNAL;
            parser->line->signal = signals[i].signal;
            return true;
        }
    }

    return command_unknown("-s ", name);
}

/* -h alone, or with the name of a directive. */
static void command_help(command_parser *parser)
{
    parser->line->command = WEIR_COMMAND_HELP;

    if (*parser->next != NULL && (*parser->next)[0] != '-') {
        parser->line->directive = weir_str_from_z(*parser->next++);
    }
}

typedef enum { COMMAND_NEXT_LETTER, COMMAND_NEXT_ARGUMENT, COMMAND_WRONG } command_step;

static command_step command_took(bool is_taken)
{
    return is_taken ? COMMAND_NEXT_ARGUMENT : COMMAND_WRONG;
}

/* What a tool takes of weir's options, too. */
static command_step command_common_letter(command_parser *parser, const char *at)
{
    weir_conf_options *options = &parser->line->options;

    switch (*at) {
    case '?':
    case 'h':
        command_help(parser);
        return COMMAND_NEXT_LETTER;
    case 'q':
        options->is_quiet = true;
        return COMMAND_NEXT_LETTER;
    case 'p':
        return command_took(
            command_take(parser, at + 1, &parser->prefix, "option \"-p\" requires directory name"));
    case 'c':
        return command_took(
            command_take(parser, at + 1, &parser->conf_file, "option \"-c\" requires file name"));
    case 'e':
        return command_took(
            command_take(parser, at + 1, &options->error_log, "option \"-e\" requires file name"));
    case 'g':
        return command_took(
            command_take(parser, at + 1, &options->globals, "option \"-g\" requires parameter"));
    default:
        command_unknown("", weir_str_of(at, 1));
        return COMMAND_WRONG;
    }
}

static command_step command_letter(command_parser *parser, const char *at)
{
    if (parser->line->tool != NULL) {
        return command_common_letter(parser, at);
    }

    switch (*at) {
    case 'v':
        parser->line->command = WEIR_COMMAND_VERSION;
        return COMMAND_NEXT_LETTER;
    case 'V':
        parser->line->command = WEIR_COMMAND_CONFIGURE;
        return COMMAND_NEXT_LETTER;
    case 't':
        parser->line->command = WEIR_COMMAND_TEST;
        return COMMAND_NEXT_LETTER;
    case 'T':
        parser->line->command = WEIR_COMMAND_DUMP;
        return COMMAND_NEXT_LETTER;
    case 's':
        return command_took(command_signal(parser, at + 1));
    default:
        return command_common_letter(parser, at);
    }
}

/* "weir NAME ...": the first word. */
static bool command_tool(command_parser *parser, const char *name)
{
    const weir_tool *tool;

    for (size_t i = 0; (tool = weir_tools_at(parser->line->modules, i)) != NULL; i++) {
        if (strcmp(tool->name, name) == 0) {
            parser->line->command = WEIR_COMMAND_TOOL;
            parser->line->tool = tool;
            return true;
        }
    }

    return command_unknown("", weir_str_from_z(name));
}

/* Words, and options with two dashes; of these only --config is weir's own: it is -c. */
static bool command_tool_argument(command_parser *parser, const char *argument)
{
    weir_str *added;

    if (strcmp(argument, "--config") == 0 || strncmp(argument, "--config=", 9) == 0) {
        return command_take(parser, argument + (argument[8] == '=' ? 9 : 8), &parser->conf_file,
                            "option \"--config\" requires file name");
    }
    added = weir_array_push(&parser->line->arguments);
    if (added == NULL) {
        return command_refuse("no memory for the arguments", "");
    }

    *added = weir_str_from_z(argument);
    return true;
}

static bool command_argument(command_parser *parser, const char *argument)
{
    bool is_word = argument[0] != '-' || argument[1] == '-';

    if (is_word && parser->line->tool != NULL) {
        return command_tool_argument(parser, argument);
    }
    if (argument[0] != '-') {
        return parser->line->command == WEIR_COMMAND_RUN
                   ? command_tool(parser, argument)
                   : command_unknown("", weir_str_from_z(argument));
    }

    for (const char *at = argument + 1; *at != '\0'; at++) {
        switch (command_letter(parser, at)) {
        case COMMAND_NEXT_LETTER:
            break;
        case COMMAND_NEXT_ARGUMENT:
            return true;
        case COMMAND_WRONG:
            return false;
        }
    }

    return true;
}

/* `path`, made absolute from the folder `from`, which ends with "/". */
static bool command_absolute(weir_pool *pool, weir_str from, weir_str path, bool is_folder,
                             weir_str *full)
{
    weir_builder text;

    weir_builder_open(&text, pool, 2 * PATH_MAX);
    if (!weir_str_starts(path, WEIR_STR("/"))) {
        weir_builder_add(&text, from);
    }
    weir_builder_add(&text, path);
    if (is_folder && !weir_str_ends(path, WEIR_STR("/"))) {
        weir_builder_add_byte(&text, '/');
    }
    weir_builder_add_byte(&text, '\0');

    if (!weir_builder_close(&text, full)) {
        return command_refuse("no memory for a path", "");
    }

    full->len--;
    return true;
}

static bool command_paths(command_parser *parser)
{
    weir_conf_options *options = &parser->line->options;
    char folder[PATH_MAX + 1];
    weir_builder here;

    if (getcwd(folder, PATH_MAX) == NULL) {
        folder[0] = '\0';
    }
    weir_builder_over(&here, folder, sizeof(folder));
    weir_builder_advance(&here, strlen(folder));
    weir_builder_add_byte(&here, '/');

    return command_absolute(parser->pool, weir_builder_cut(&here), parser->prefix, true,
                            &options->prefix)
           && command_absolute(parser->pool, options->prefix, parser->conf_file, false,
                               &options->conf_file);
}

bool weir_command_line_parse(weir_command_line *line, weir_pool *pool, char *const *arguments,
                             const weir_module_entry *modules)
{
    command_parser parser = {.line = line,
                             .pool = pool,
                             .next = arguments,
                             .prefix = weir_str_from_z(WEIR_PREFIX),
                             .conf_file = weir_str_from_z(WEIR_CONF_PATH)};

    *line = (weir_command_line){.command = WEIR_COMMAND_RUN, .modules = modules};
    weir_array_init(&line->arguments, pool, sizeof(weir_str), 8);

    while (*parser.next != NULL) {
        if (!command_argument(&parser, *parser.next++)) {
            return false;
        }
    }

    line->options.is_test = line->command != WEIR_COMMAND_RUN;
    return command_paths(&parser);
}
