/* The command line: nginx's options. */

#include "t/unit/process_unit.h"

#include <limits.h>
#include <signal.h>

#include "core/process/command_line.h"
#include "weir_auto_config.h"

static weir_command_line line;

static int tool_run(const weir_conf_options *options, const weir_str *arguments, size_t count)
{
    return options->is_quiet && count == 2 && weir_str_eq(arguments[1], WEIR_STR("--loud")) ? 7 : 1;
}

static const weir_tool tools[] = {
    {.name = "first", .run = tool_run}, {.name = "ask", .run = tool_run}, {0}};
static const weir_module bare_module = {.name = "bare"};
static const weir_module tool_module = {.name = "with tools", .tools = tools};
static const weir_module_entry modules[] = {{"core", &bare_module}, {"core", &tool_module}, {0}};

#define parse(...) parse_these((const char *[]){__VA_ARGS__, NULL})

static bool parse_these(const char **arguments)
{
    return weir_command_line_parse(&line, unit.pool, (char *const *) arguments, modules);
}

static void assert_is(weir_str got, const char *wanted)
{
    if (!weir_str_eq(got, weir_str_from_z(wanted))) {
        fail_msg("got \"%.*s\", wanted \"%s\"", WEIR_STR_ARG(got), wanted);
    }
}

static void assert_refused(const char *option, const char *value, const char *message)
{
    process_catch();
    assert_false(parse(option, value));
    process_caught();
    assert_said(message);
}

static void without_options_it_runs(void **state)
{
    (void) state;
    assert_true(parse(NULL));
    assert_int_equal(line.command, WEIR_COMMAND_RUN);
    assert_false(line.options.is_test);
    assert_true(weir_str_ends(line.options.prefix, WEIR_STR("/")));
    assert_true(weir_str_starts(line.options.conf_file, WEIR_STR("/")));
}

static void options_may_share_a_dash(void **state)
{
    (void) state;
    assert_true(parse("-tq"));
    assert_int_equal(line.command, WEIR_COMMAND_TEST);
    assert_true(line.options.is_quiet);
    assert_true(line.options.is_test);
}

static void the_first_word_names_a_tool_that_has_the_words_after_it(void **state)
{
    (void) state;
    assert_true(parse("-q", "ask", "one", "-c", "/a.conf", "--loud"));
    assert_int_equal(line.command, WEIR_COMMAND_TOOL);
    assert_string_equal(line.tool->name, "ask");
    assert_is(line.options.conf_file, "/a.conf");
    assert_int_equal(line.arguments.count, 2);
    assert_int_equal(weir_command_do(&line), 7);
}

static void a_tool_takes_c_by_its_long_name_too(void **state)
{
    (void) state;
    assert_true(parse("ask", "--config", "/a.conf", "one"));
    assert_is(line.options.conf_file, "/a.conf");
    assert_int_equal(line.arguments.count, 1);
    assert_true(parse("ask", "--config=/b.conf"));
    assert_is(line.options.conf_file, "/b.conf");
    assert_refused("ask", "--config", "weir: option \"--config\" requires file name");
}

static void a_tool_takes_no_other_command(void **state)
{
    (void) state;
    assert_refused("ask", "-t", "weir: invalid option: \"t\"");
    assert_refused("-t", "ask", "weir: invalid option: \"ask\"");
    assert_refused("tell", "me", "weir: invalid option: \"tell\"");
}

static void values_may_touch_their_option_or_follow(void **state)
{
    (void) state;
    assert_true(parse("-c/a.conf", "-g", "daemon off;", "-e", "stderr", "-Tp", "/x"));
    assert_int_equal(line.command, WEIR_COMMAND_DUMP);
    assert_is(line.options.conf_file, "/a.conf");
    assert_is(line.options.globals, "daemon off;");
    assert_is(line.options.error_log, "stderr");
    assert_is(line.options.prefix, "/x/");
}

static void a_relative_file_is_below_the_prefix_and_that_below_here(void **state)
{
    char here[PATH_MAX], wanted[PATH_MAX + 32];

    (void) state;
    assert_non_null(getcwd(here, sizeof(here)));
    assert_true(parse("-p", "some/where", "-c", "a.conf"));
    snprintf(wanted, sizeof(wanted), "%s/some/where/", here);
    assert_is(line.options.prefix, wanted);
    snprintf(wanted, sizeof(wanted), "%s/some/where/a.conf", here);
    assert_is(line.options.conf_file, wanted);
}

static void s_names_a_signal(void **state)
{
    static const struct {
        const char *name;
        int signal;
    } signals[] = {{"stop", SIGTERM}, {"quit", SIGQUIT}, {"reload", SIGHUP}, {"reopen", SIGUSR1}};

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(signals); i++) {
        assert_true(parse("-s", signals[i].name));
        assert_int_equal(line.command, WEIR_COMMAND_SIGNAL);
        assert_int_equal(line.signal, signals[i].signal);
    }
}

static void h_may_name_a_directive(void **state)
{
    (void) state;
    assert_true(parse("-h"));
    assert_int_equal(line.command, WEIR_COMMAND_HELP);
    assert_true(weir_str_is_empty(line.directive));
    assert_true(parse("-h", "listen"));
    assert_is(line.directive, "listen");
    assert_true(parse("-h", "-q"));
    assert_true(weir_str_is_empty(line.directive));
    assert_true(line.options.is_quiet);
}

static void what_is_wrong_is_said(void **state)
{
    (void) state;
    assert_refused("-x", NULL, "weir: invalid option: \"x\"");
    assert_refused("x", NULL, "weir: invalid option: \"x\"");
    assert_refused("-c", NULL, "weir: option \"-c\" requires file name");
    assert_refused("-c", "", "weir: option \"-c\" requires file name");
    assert_refused("-p", NULL, "weir: option \"-p\" requires directory name");
    assert_refused("-g", NULL, "weir: option \"-g\" requires parameter");
    assert_refused("-s", NULL, "weir: option \"-s\" requires parameter");
    assert_refused("-s", "start", "weir: invalid option: \"-s start\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_options_it_runs),
        cmocka_unit_test(options_may_share_a_dash),
        cmocka_unit_test(the_first_word_names_a_tool_that_has_the_words_after_it),
        cmocka_unit_test(a_tool_takes_c_by_its_long_name_too),
        cmocka_unit_test(a_tool_takes_no_other_command),
        cmocka_unit_test(values_may_touch_their_option_or_follow),
        cmocka_unit_test(a_relative_file_is_below_the_prefix_and_that_below_here),
        cmocka_unit_test(s_names_a_signal),
        cmocka_unit_test(h_may_name_a_directive),
        cmocka_unit_test(what_is_wrong_is_said),
    };

    return cmocka_run_group_tests(tests, process_setup, process_teardown);
}
