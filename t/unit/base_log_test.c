#include "core/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/log_sink.h"
#include "t/unit/base_unit.h"

/* What was written to stderr since begin(). */
static char written[8192];
static int real_stderr, captured;

static int begin(void **state)
{
    char path[] = P_tmpdir "/base_log_XXXXXX";

    *state = weir_pool_new(1024, 0);
    captured = mkstemp(path);
    real_stderr = dup(STDERR_FILENO);
    if (captured == -1 || unlink(path) == -1 || dup2(captured, STDERR_FILENO) == -1) {
        return -1;
    }
    return 0;
}

static int end(void **state)
{
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(captured);
    weir_pool_free(*state);
    return 0;
}

/* Empties it, too. */
static const char *lines(void)
{
    ssize_t len = pread(captured, written, sizeof(written) - 1, 0);

    written[len < 0 ? 0 : len] = '\0';
    if (ftruncate(captured, 0) == -1 || lseek(captured, 0, SEEK_SET) == -1) {
        return "the file could not be emptied";
    }
    return written;
}

static void assert_matches(const char *text, const char *pattern)
{
    regex_t regex;

    assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&regex, text, 0, NULL, 0) != 0) {
        regfree(&regex);
        fail_msg("\"%s\" does not match \"%s\"", text, pattern);
    }
    regfree(&regex);
}

#define TIME "[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}"

static weir_log log_to_stderr(weir_pool *pool, weir_log_level level)
{
    weir_log_target *target = weir_log_target_new(pool);

    assert_non_null(target);
    assert_true(weir_log_target_add_stderr(target, level));
    return (weir_log){.target = target};
}

static void describe(weir_builder *line, const void *subject)
{
    weir_builder_printf(line, ", client: %s", (const char *) subject);
}

static void a_line_is_as_nginx_writes_it(void **state)
{
    weir_log log = log_to_stderr(*state, WEIR_LOG_ERR);

    log.connection = 3;
    log.describe = describe;
    log.subject = "127.0.0.1";
    weir_log_line(&log, WEIR_LOG_ERR, ENOENT, "open() \"%s\" failed", "/x");

    assert_matches(lines(), "^" TIME " \\[error\\] ([0-9]+)#\\1: \\*3 open\\(\\) \"/x\" failed "
                            "\\(2: No such file or directory\\), client: 127\\.0\\.0\\.1\n$");
}

static void what_is_not_there_leaves_no_trace(void **state)
{
    weir_log log = log_to_stderr(*state, WEIR_LOG_NOTICE);

    weir_log_line(&log, WEIR_LOG_NOTICE, 0, "start");
    assert_matches(lines(), "^" TIME " \\[notice\\] [0-9]+#[0-9]+: start\n$");
}

static void lines_above_the_level_are_not_written(void **state)
{
    weir_log log = log_to_stderr(*state, WEIR_LOG_WARN);

    assert_true(weir_log_takes(&log, WEIR_LOG_WARN));
    assert_false(weir_log_takes(&log, WEIR_LOG_NOTICE));
    weir_log_line(&log, WEIR_LOG_NOTICE, 0, "no");
    weir_log_debug(&log, "%s", "no");
    assert_string_equal(lines(), "");
    weir_log_line(&log, WEIR_LOG_EMERG, 0, "yes");
    assert_matches(lines(), "yes\n$");
}

static void debug_lines_are_written_where_they_are_wanted(void **state)
{
    weir_log log = log_to_stderr(*state, WEIR_LOG_DEBUG);

    weir_log_debug(&log, "%d bytes", 5);
    assert_matches(lines(), "\\[debug\\] [0-9]+#[0-9]+: 5 bytes\n$");
}

static void each_sink_has_its_own_level(void **state)
{
    weir_log log = log_to_stderr(*state, WEIR_LOG_INFO);
    weir_log_target *target = weir_log_target_new(*state);

    assert_true(weir_log_target_add_stderr(target, WEIR_LOG_ERR));
    assert_true(weir_log_target_add_console(target, WEIR_LOG_INFO));
    log.target = target;

    weir_log_line(&log, WEIR_LOG_INFO, 0, "a");
    assert_string_equal(lines(), "weir: [info] a\n");
    weir_log_line(&log, WEIR_LOG_ERR, 0, "b");
    assert_matches(lines(), "^" TIME " \\[error\\] [0-9]+#[0-9]+: b\nweir: \\[error\\] b\n$");
}

static void without_a_target_the_console_is_written_to(void **state)
{
    weir_log log = {0};

    (void) state;

    weir_log_line(NULL, WEIR_LOG_EMERG, EADDRINUSE, "bind() to %s failed", "0.0.0.0:80");
    assert_string_equal(lines(),
                        "weir: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)\n");
    weir_log_line(&log, WEIR_LOG_NOTICE, 0, "a");
    assert_string_equal(lines(), "weir: [notice] a\n");
    weir_log_line(&log, WEIR_LOG_INFO, 0, "a");
    assert_string_equal(lines(), "");

    log.target = weir_log_target_stderr();
    log.connection = 5;
    weir_log_line(&log, WEIR_LOG_WARN, 0, "a");
    assert_string_equal(lines(), "weir: [warn] a\n");
    weir_log_line(&log, WEIR_LOG_INFO, 0, "a");
    assert_string_equal(lines(), "");
}

static void answers_to_the_operator_go_to_stderr_alone(void **state)
{
    weir_log log = log_to_stderr(*state, WEIR_LOG_DEBUG);

    weir_log_line(&log, WEIR_LOG_STDERR, 0, "the configuration file %s syntax is ok", "/x");
    assert_string_equal(lines(), "weir: the configuration file /x syntax is ok\n");
}

static void control_bytes_are_escaped_wherever_they_come_from(void **state)
{
    weir_log log = log_to_stderr(*state, WEIR_LOG_ERR);

    log.describe = describe;
    log.subject = "a\r\nb\x7f\xc3\xa4";
    weir_log_line(&log, WEIR_LOG_ERR, 0, "[%s]", "\x1b[31m\t");
    assert_matches(lines(),
                   ": \\[\\\\x1B\\[31m\\\\x09\\], client: a\\\\x0D\\\\x0Ab\\\\x7F\xc3\xa4\n$");
    weir_log_line(NULL, WEIR_LOG_ERR, 0, "%s", "a\nb");
    assert_string_equal(lines(), "weir: [error] a\\x0Ab\n");
}

static void what_is_too_long_is_cut_and_still_ends_the_line(void **state)
{
    weir_log log = log_to_stderr(*state, WEIR_LOG_ERR);
    char text[5000];
    const char *line;

    memset(text, 'y', sizeof(text));
    text[sizeof(text) - 1] = '\0';

    /* The message leaves room for the error. */
    weir_log_line(&log, WEIR_LOG_ERR, ENOENT, "%s", text);
    assert_matches(lines(), "yyy \\(2: No such file or directory\\)\n$");

    log.describe = describe;
    log.subject = text;
    weir_log_line(&log, WEIR_LOG_ERR, ENOENT, "%s", text);
    line = lines();
    assert_int_equal(strlen(line), 2048);
    assert_matches(line, "directory\\), client: y+\n$");

    memset(text, '\n', sizeof(text) - 1);
    weir_log_line(&log, WEIR_LOG_ERR, ENOENT, "%s", text);
    line = lines();
    assert_int_equal(strlen(line), 2048);
    assert_ptr_equal(strchr(line, '\n'), line + 2047);

    weir_log_line(NULL, WEIR_LOG_ERR, 0, "%s", text);
    line = lines();
    assert_int_equal(strlen(line), 2048);
    assert_ptr_equal(strchr(line, '\n'), line + 2047);
}

static void errno_survives(void **state)
{
    weir_log log = log_to_stderr(*state, WEIR_LOG_ERR);

    close(STDERR_FILENO);
    errno = E2BIG;
    weir_log_line(&log, WEIR_LOG_ERR, 0, "nowhere");
    assert_int_equal(errno, E2BIG);
}

static void levels_have_the_names_of_nginx(void **state)
{
    const char *names[] = {"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"};
    weir_log_level level = WEIR_LOG_STDERR;

    (void) state;

    for (unsigned i = 0; i < WEIR_COUNT(names); i++) {
        assert_true(weir_log_level_parse(weir_str_from_z(names[i]), &level));
        assert_int_equal(level, WEIR_LOG_EMERG + i);
        assert_str_eq(weir_log_level_name(level), weir_str_from_z(names[i]));
    }

    assert_false(weir_log_level_parse(WEIR_STR("err"), &level));
    assert_false(weir_log_level_parse(WEIR_STR("stderr"), &level));
    assert_false(weir_log_level_parse(WEIR_STR(""), &level));
    assert_int_equal(level, WEIR_LOG_DEBUG);
}

static void further_lines_are_indented_and_cannot_begin_others(void **state)
{
    weir_log log = log_to_stderr(*state, WEIR_LOG_ERR);

    weir_log_lines(&log, WEIR_LOG_ERR, WEIR_STR("one\ntwo"), WEIR_STR("a\tb\n ^\nc"));
    assert_matches(lines(), "^" TIME " \\[error\\] [0-9]+#[0-9]+: one\\\\x0Atwo\n"
                            "    a\\\\x09b\n     \\^\n    c\n$");

    weir_log_lines(NULL, WEIR_LOG_EMERG, WEIR_STR("one"), WEIR_STR("two"));
    assert_string_equal(lines(), "weir: [emerg] one\n    two\n");

    weir_log_lines(&log, WEIR_LOG_EMERG, WEIR_STR("one"), WEIR_STR_EMPTY);
    assert_matches(lines(), ": one\n$");

    weir_log_lines(&log, WEIR_LOG_NOTICE, WEIR_STR("one"), WEIR_STR("two"));
    assert_string_equal(lines(), "");
}

#define log_test(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        log_test(further_lines_are_indented_and_cannot_begin_others),
        log_test(a_line_is_as_nginx_writes_it),
        log_test(what_is_not_there_leaves_no_trace),
        log_test(lines_above_the_level_are_not_written),
        log_test(debug_lines_are_written_where_they_are_wanted),
        log_test(each_sink_has_its_own_level),
        log_test(without_a_target_the_console_is_written_to),
        log_test(answers_to_the_operator_go_to_stderr_alone),
        log_test(control_bytes_are_escaped_wherever_they_come_from),
        log_test(what_is_too_long_is_cut_and_still_ends_the_line),
        log_test(errno_survives),
        log_test(levels_have_the_names_of_nginx),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
