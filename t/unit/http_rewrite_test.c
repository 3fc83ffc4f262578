#include "t/unit/http_unit.h"

extern const weir_http_module weir_http_rewrite;

/* The server's program over one request. */
static weir_http_exchange *rewritten(void **state, const char *program, const char *target,
                                     weir_http_verdict expected)
{
    static char head[256]; /* borrowed by the exchange */
    const void *location = unit_location(state, &weir_http_rewrite, program);
    weir_http_exchange *ex;

    (void) snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", target);
    ex = unit_request(state, head);
    ex->phase = WEIR_HTTP_PHASE_SERVER_REWRITE;
    assert_int_equal(weir_http_rewrite.judge(ex, location), expected);
    return ex;
}

static void changes_path_and_arguments(void **state)
{
    static const struct {
        const char *program, *target, *path, *args;
    } cases[] = {
        {"rewrite ^/a/(.*) /b/$1;", "/a/x?y", "/b/x", "y"},
        {"rewrite ^/a/(.*) /b?z=$1;", "/a/x?y", "/b", "z=x&y"},
        {"rewrite ^/a/(.*) /b?z=$1?;", "/a/x?y", "/b", "z=x"},
        {"rewrite ^/a /b?;", "/a?y", "/b", ""},
        {"rewrite ^/a/(.*) /b?z=$1;", "/a/%26x", "/b", "z=%26x"},
        {"rewrite ^/a/(.*) /b?z=$1;", "/a/&x", "/b", "z=&x"},
        {"rewrite ^/a/(.*) /b/$1 last; rewrite ^ /c;", "/a/x", "/b/x", ""},
        {"rewrite ^/n /b; rewrite ^/a /c/$1;", "/a", "/c/", ""},
        {"break; rewrite ^ /b;", "/a", "/a", ""},
        {"if ($args) { rewrite ^ /b; break; } rewrite ^ /c;", "/a?1", "/b", "1"},
        {"if ($args) { rewrite ^ /b; break; } rewrite ^ /c;", "/a", "/c", ""},
    };

    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        weir_http_exchange *ex =
            rewritten(state, cases[i].program, cases[i].target, WEIR_HTTP_PASS);

        assert_str(ex->request.path, cases[i].path);
        assert_str(ex->request.args, cases[i].args);
        assert_false(ex->uri_changed);
    }
}

static void says_in_a_location_that_the_path_is_another(void **state)
{
    static const struct {
        const char *program;
        bool changed;
    } cases[] = {
        {"rewrite ^ /b;", true},        {"rewrite ^ /b last;", true},
        {"rewrite ^ /b break;", false}, {"rewrite ^ /b; break;", false},
        {"rewrite ^/never /b;", false},
    };

    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        const void *location = unit_location(state, &weir_http_rewrite, cases[i].program);
        weir_http_exchange *ex = unit_request(state, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n");

        ex->phase = WEIR_HTTP_PHASE_REWRITE;
        assert_int_equal(weir_http_rewrite.judge(ex, location), WEIR_HTTP_PASS);
        assert_int_equal(ex->uri_changed, cases[i].changed);
    }
}

static void answers(void **state)
{
    weir_http_exchange *ex =
        rewritten(state, "set $a x; return 201 \"$a$uri\";", "/p", WEIR_HTTP_ANSWERED);

    assert_int_equal(ex->response.status, 201);
    assert_body(ex, "x/p");

    ex = rewritten(state, "absolute_redirect off; rewrite ^/(.*)$ /to/$1 permanent;", "/%3F?b",
                   WEIR_HTTP_ANSWERED);
    assert_int_equal(ex->response.status, 301);
    assert_field(ex, "Location", "/to/%3F?b");
}

static void an_empty_path_is_a_failure(void **state)
{
    rewritten(state, "rewrite ^/a$ $arg_none;", "/a", WEIR_HTTP_FAILED);
}

static void refuses_what_makes_no_sense(void **state)
{
    static const char *const cases[] = {
        "return 1000;",
        "return text;",
        "return 200 a b;",
        "rewrite ^ \"\";",
        "rewrite ^ /b sometimes;",
        "rewrite ( /b;",
        "set a b;",
        "set $a;",
        "if ($a {}",
        "set $uri /b;",
        "if ($a ~ () {}",
    };

    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        assert_false(unit_read(state, "", cases[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(changes_path_and_arguments, unit_setup, unit_teardown),
        cmocka_unit_test_setup_teardown(says_in_a_location_that_the_path_is_another, unit_setup,
                                        unit_teardown),
        cmocka_unit_test_setup_teardown(answers, unit_setup, unit_teardown),
        cmocka_unit_test_setup_teardown(an_empty_path_is_a_failure, unit_setup, unit_teardown),
        cmocka_unit_test_setup_teardown(refuses_what_makes_no_sense, unit_setup, unit_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
