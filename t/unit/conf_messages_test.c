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

/* All of the message. */
static void explained(const char *text, const char *expected)
{
    assert_string_equal(conf_unit_refusal(text), expected);
}

static void shows_the_line_with_a_caret_under_the_word(void **state)
{
    (void) state;
    explained("http {\n\tbits red\tpink blue; # why\n}\n",
              "weir: [emerg] invalid value \"pink\" in \"bits\" directive, it must be \"red\", "
              "\"green\" or \"blue\" in weir.conf:2\n"
              "    bits red pink blue; # why\n"
              "             ^\n");
    explained(
        "http {\n  flag\n\n    \xc3\xbc; }",
        "weir: [emerg] invalid value \"\xc3\xbc\" in \"flag\" directive, it must be \"on\" or "
        "\"off\" in weir.conf:4\n"
        "    \xc3\xbc; }\n"
        "    ^\n");
    explained("http { # \xc3\xbc\xc3\xbc\n text \xc3\xbc b; }",
              "weir: [emerg] invalid number of arguments in \"text\" directive in weir.conf:2\n"
              "    text \xc3\xbc b; }\n"
              "    ^\n"
              "    it is written as: text text;\n");
}

static void shows_the_part_of_a_long_line_that_matters(void **state)
{
    char text[400];
    const char *caret, *line;

    (void) state;
    snprintf(text, sizeof(text), "http { list %0100d; number x; list %0150d; }", 0, 0);
    caret = strstr(conf_unit_refusal(text), "^\n");
    assert_non_null(caret);
    line = strchr(unit.messages, '\n') + 1;
    assert_true(strcspn(line, "\n") <= 104);
    assert_int_equal(line[caret - (strchr(line, '\n') + 1)], 'x');
}

static void a_long_word_does_not_hide_the_place(void **state)
{
    char text[4096];
    const char *place;

    (void) state;
    snprintf(text, sizeof(text), "http {\n  flag %02000d;\n}", 0);
    place = strstr(conf_unit_refusal(text), " in weir.conf:2\n    flag 000");
    assert_non_null(place);
    assert_true(place - unit.messages < 600);
}

static void control_bytes_do_not_reach_the_terminal(void **state)
{
    (void) state;
    explained("a\x1b[2J b;\n", "weir: [emerg] unknown directive \"a\\x1B[2J\" in weir.conf:1\n"
                               "    a [2J b;\n"
                               "    ^\n");
}

static void offers_the_name_that_was_meant(void **state)
{
    (void) state;
    assert_non_null(strstr(conf_unit_refusal("http { sevrer {} }"), "did you mean \"server\"?"));
    assert_non_null(strstr(conf_unit_refusal("Plain x;"), "did you mean \"plain\"?"));
    assert_non_null(strstr(conf_unit_refusal("htp {}"), "did you mean \"http\"?"));
    assert_non_null(strstr(conf_unit_refusal("http { texxt a; }"), "did you mean \"text\"?"));
    assert_null(strstr(conf_unit_refusal("qqqq x;"), "did you mean"));
    assert_null(strstr(conf_unit_refusal("h x;"), "did you mean"));
}

static void prefers_names_that_may_stand_there(void **state)
{
    (void) state;
    assert_non_null(strstr(conf_unit_refusal("http { lust 1; }"), "did you mean \"list\"?"));
    assert_non_null(strstr(conf_unit_refusal("lust 1;"), "did you mean \"lost\"?"));
}

static void knows_what_nginx_has(void **state)
{
    (void) state;
    assert_non_null(strstr(conf_unit_refusal("http { server { fastcgi_pass a; } }"),
                           "    nginx has it (http_fastcgi_module), weir does not: weir passes "
                           "requests on as HTTP only: let a server that speaks it stand behind "
                           "proxy_pass\n"));
    assert_non_null(strstr(conf_unit_refusal("mail {}"), "weir proxies no mail\n"));
    assert_non_null(strstr(conf_unit_refusal("http { aio on; }"), "this version does not"));
    assert_null(strstr(unit.messages, "did you mean"));
}

static void names_the_places_where_a_directive_may_stand(void **state)
{
    (void) state;
    explained("http {\n  server {\n    upstream u {}\n  }\n}\n",
              "weir: [emerg] \"upstream\" directive is not allowed here in weir.conf:3\n"
              "    upstream u {}\n"
              "    ^\n"
              "    it is allowed in: http; this is server, which began in line 2\n");
    assert_non_null(
        strstr(conf_unit_refusal("server {}"), "it is allowed in: http, upstream; this is main\n"));
}

static void says_how_a_directive_is_written(void **state)
{
    (void) state;
    assert_non_null(
        strstr(conf_unit_refusal("http { sizes; }"), "it is written as: sizes number size;\n"));
    assert_non_null(
        strstr(conf_unit_refusal("http { pairs a {} }"), "it is written as: pairs { ... }\n"));
}

static void says_which_quote_is_open(void **state)
{
    (void) state;
    assert_non_null(strstr(conf_unit_refusal("plain a;\nplain 'b;\nplain c;\n"),
                           "the quote in line 2 is not closed\n"));
}

static void tells_how_a_file_came_to_be_included(void **state)
{
    (void) state;
    conf_unit_write("a.inc", "\ninclude b.inc;\n", 16);
    conf_unit_write("b.inc", "plain\n a b;\n", 12);
    explained("events {}\n\ninclude a.inc;\n",
              "weir: [emerg] invalid number of arguments in \"plain\" directive in b.inc:1\n"
              "    plain\n"
              "    ^\n"
              "    it is written as: plain ...;\n"
              "    included from a.inc:2\n"
              "    included from weir.conf:3\n");
}

static void names_the_command_line_as_nginx_does(void **state)
{
    (void) state;
    assert_false(conf_unit_read_with("events {}", "foo bar;"));
    assert_string_equal(unit.messages, "weir: [emerg] unknown directive \"foo\" in command line\n"
                                       "    foo bar;\n"
                                       "    ^\n");
    assert_false(conf_unit_read_with("events {}", "plain a"));
    assert_non_null(
        strstr(unit.messages, "unexpected end of parameter, expecting \";\" in command line\n"));
    assert_true(conf_unit_read_with("plain 2;", "plain 1;"));
    assert_string_equal(seen.trace, "call 1, call 2");
}

static void directives_without_effect_are_warned_of(void **state)
{
    (void) state;
    assert_true(conf_unit_read("\nidle 1;"));
    assert_string_equal(unit.messages, "weir: [warn] the \"idle\" directive has no effect: nobody "
                                       "waits for it in weir.conf:2\n");
}

static void functions_point_where_they_like(void **state)
{
    (void) state;
    explained("http {\n  refuse a bb; }", "weir: [emerg] no in weir.conf:2\n"
                                          "    refuse a bb; }\n"
                                          "             ^\n");
    explained("http {\n  blame x; }", "weir: [emerg] not me in weir.conf:1\n"
                                      "    http {\n"
                                      "    ^\n");
    explained("refuse;", "weir: [emerg] no in weir.conf:1\n"
                         "    refuse;\n"
                         "    ^\n");
    assert_true(conf_unit_read("warn x;"));
    assert_string_equal(unit.messages, "weir: [warn] beware of \"x\" in weir.conf:1\n");
}

static void files_that_cannot_be_read_are_named_with_the_reason(void **state)
{
    (void) state;
    explained("include none.conf;",
              "weir: [emerg] open() \"none.conf\" failed (2: No such file or directory) in "
              "weir.conf:1\n"
              "    include none.conf;\n"
              "    ^\n");
    assert_non_null(strstr(conf_unit_refusal("include .;"), "failed (21: Is a directory)"));
}

static void blocks_and_includes_have_an_end(void **state)
{
    char text[2048] = "http { server { ";

    (void) state;
    for (unsigned i = 0; i < 99; i++) {
        size_t len = strlen(text);

        snprintf(text + len, sizeof(text) - len, "location %u {", i);
    }
    assert_non_null(strstr(conf_unit_refusal(text), "blocks are nested more than 100 deep"));

    conf_unit_write("self.inc", "include self.inc;", 17);
    assert_non_null(strstr(conf_unit_refusal("include self.inc;"),
                           "more than 64 files include each other: does one include itself? in "
                           "self.inc:1\n"));
    assert_non_null(strstr(unit.messages, "    and so on\n"));
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
        cmocka_unit_test(shows_the_line_with_a_caret_under_the_word),
        cmocka_unit_test(shows_the_part_of_a_long_line_that_matters),
        cmocka_unit_test(a_long_word_does_not_hide_the_place),
        cmocka_unit_test(control_bytes_do_not_reach_the_terminal),
        cmocka_unit_test(offers_the_name_that_was_meant),
        cmocka_unit_test(prefers_names_that_may_stand_there),
        cmocka_unit_test(knows_what_nginx_has),
        cmocka_unit_test(names_the_places_where_a_directive_may_stand),
        cmocka_unit_test(says_how_a_directive_is_written),
        cmocka_unit_test(says_which_quote_is_open),
        cmocka_unit_test(tells_how_a_file_came_to_be_included),
        cmocka_unit_test(names_the_command_line_as_nginx_does),
        cmocka_unit_test(directives_without_effect_are_warned_of),
        cmocka_unit_test(functions_point_where_they_like),
        cmocka_unit_test(files_that_cannot_be_read_are_named_with_the_reason),
        cmocka_unit_test(blocks_and_includes_have_an_end),
    };

    return cmocka_run_group_tests(tests, conf_unit_setup, conf_unit_teardown);
}
