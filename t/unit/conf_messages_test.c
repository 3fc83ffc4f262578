#include <string.h>

#include "t/unit/conf_unit.h"

/* The first line of what a configuration is refused with, less "weir: [emerg] ". */
static void refused(const char *text, const char *expected)
{
    static const char prefix[] = "weir: [emerg] ";
    const char *message = conf_unit_refusal(text);
    size_t len = strcspn(message, "\n");

    assert_int_equal(strncmp(message, prefix, strlen(prefix)), 0);
    message += strlen(prefix);
    len -= strlen(prefix);

    if (len != strlen(expected) || memcmp(message, expected, len) != 0) {
        fail_msg("\"%s\" gave \"%.*s\", not \"%s\"", text, (int) len, message, expected);
    }
}

static void speaks_of_the_file_s_end_in_nginx_s_words(void **state)
{
    (void) state;
    refused("plain", "unexpected end of file, expecting \";\" or \"}\" in weir.conf:1");
    refused("plain a", "unexpected end of file, expecting \";\" or \"}\" in weir.conf:1");
    refused("plain a ", "unexpected end of file, expecting \";\" or \"}\" in weir.conf:1");
    refused("plain \"a\"", "unexpected end of file, expecting \";\" or \"}\" in weir.conf:1");
    refused("plain 'a\n\n", "unexpected end of file, expecting \";\" or \"}\" in weir.conf:3");
    refused("plain a\\", "unexpected end of file, expecting \";\" or \"}\" in weir.conf:1");
    refused("plain \\;", "unexpected end of file, expecting \";\" or \"}\" in weir.conf:1");
    refused("http {", "unexpected end of file, expecting \"}\" in weir.conf:1");
    refused("http {\n pairs { a b;\n", "unexpected end of file, expecting \"}\" in weir.conf:3");
}

static void points_at_marks_in_the_wrong_place(void **state)
{
    (void) state;
    refused(";", "unexpected \";\" in weir.conf:1");
    refused("plain a;;", "unexpected \";\" in weir.conf:1");
    refused("{", "unexpected \"{\" in weir.conf:1");
    refused("}", "unexpected \"}\" in weir.conf:1");
    refused("http {}\n}", "unexpected \"}\" in weir.conf:2");
    refused("plain a }", "unexpected \"}\" in weir.conf:1");
    refused("plain \"a\"b;", "unexpected \"b\" in weir.conf:1");
    refused("plain 'a'#", "unexpected \"#\" in weir.conf:1");
    refused("http { pairs { a b {} } }", "unexpected \"{\" in weir.conf:1");
    refused("http { pairs { a } }", "unexpected \"}\" in weir.conf:1");
}

static void tells_statements_from_blocks(void **state)
{
    (void) state;
    refused("plain a {}", "directive \"plain\" is not terminated by \";\" in weir.conf:1");
    refused("http;", "directive \"http\" has no opening \"{\" in weir.conf:1");
    refused("include a {}", "directive \"include\" is not terminated by \";\" in weir.conf:1");
}

static void counts_arguments(void **state)
{
    (void) state;
    refused("plain;", "invalid number of arguments in \"plain\" directive in weir.conf:1");
    refused("plain a b;", "invalid number of arguments in \"plain\" directive in weir.conf:1");
    refused("include;", "invalid number of arguments in \"include\" directive in weir.conf:1");
    refused("http a {}", "invalid number of arguments in \"http\" directive in weir.conf:1");
    refused("http { list; }", "invalid number of arguments in \"list\" directive in weir.conf:1");
    refused("http { sizes 4; }",
            "invalid number of arguments in \"sizes\" directive in weir.conf:1");
}

static void refuses_what_stands_twice(void **state)
{
    (void) state;
    refused("http { number 1; number 2; }", "\"number\" directive is duplicate in weir.conf:1");
    refused("http {}\nhttp {}", "\"http\" directive is duplicate in weir.conf:2");
}

static void refuses_values_in_nginx_s_words(void **state)
{
    (void) state;
    refused(
        "http { flag x; }",
        "invalid value \"x\" in \"flag\" directive, it must be \"on\" or \"off\" in weir.conf:1");
    refused("http { number x; }", "\"number\" directive invalid number in weir.conf:1");
    refused("http { number -1; }", "\"number\" directive invalid number in weir.conf:1");
    refused("http { number 0; }",
            "\"number\" directive value must be between 1 and 20 in weir.conf:1");
    refused("http { size 1x; }", "\"size\" directive invalid value in weir.conf:1");
    refused("http { size 1g; }", "\"size\" directive invalid value in weir.conf:1");
    refused("http { size ''; }", "\"size\" directive invalid value in weir.conf:1");
    refused("http { offset 1x; }", "\"offset\" directive invalid value in weir.conf:1");
    refused("http { time_ms 1x; }", "\"time_ms\" directive invalid value in weir.conf:1");
    refused("http { time_s 1ms; }", "\"time_s\" directive invalid value in weir.conf:1");
    refused("http { choice pink; }", "invalid value \"pink\" in \"choice\" directive, it must be "
                                     "\"red\", \"green\" or \"blue\" in weir.conf:1");
    refused("http { bits red pink; }", "invalid value \"pink\" in \"bits\" directive, it must be "
                                       "\"red\", \"green\" or \"blue\" in weir.conf:1");
    refused("http { sizes 0 8k; }", "\"sizes\" directive invalid value in weir.conf:1");
    refused("http { sizes 4 0; }", "\"sizes\" directive invalid value in weir.conf:1");
    refused("http { template $; }", "invalid variable name in weir.conf:1");
    refused("http { path a/$b; }", "\"path\" directive takes no variables in weir.conf:1");
}

static void tells_unknown_names_from_misplaced_ones(void **state)
{
    (void) state;
    refused("foo;", "unknown directive \"foo\" in weir.conf:1");
    refused("\"\";", "unknown directive \"\" in weir.conf:1");
    refused("number 5;", "\"number\" directive is not allowed here in weir.conf:1");
    refused("http { plain a; }", "\"plain\" directive is not allowed here in weir.conf:1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(speaks_of_the_file_s_end_in_nginx_s_words),
        cmocka_unit_test(points_at_marks_in_the_wrong_place),
        cmocka_unit_test(tells_statements_from_blocks),
        cmocka_unit_test(counts_arguments),
        cmocka_unit_test(refuses_what_stands_twice),
        cmocka_unit_test(refuses_values_in_nginx_s_words),
        cmocka_unit_test(tells_unknown_names_from_misplaced_ones),
    };

    return cmocka_run_group_tests(tests, conf_unit_setup, conf_unit_teardown);
}
