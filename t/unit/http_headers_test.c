#include "t/unit/http_unit.h"

#include "core/base/clock.h"

extern const weir_http_module weir_http_headers;

/* After the module's filter, as the engine calls it. */
static weir_http_exchange *filtered(void **state, const char *text, unsigned status)
{
    const void *location = unit_location(state, &weir_http_headers, text);
    weir_http_exchange *ex = unit_request(state, "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n");

    unit_answer(ex, status, "body");
    assert_int_equal(weir_http_headers.response_head(ex, location), WEIR_OK);
    return ex;
}

static void adds_fields_in_their_order(void **state)
{
    weir_http_exchange *ex =
        filtered(state, "add_header X-A 1; add_header X-B $arg_b; add_header X-A 2;", 200);

    assert_field(ex, "X-A", "1, 2");
    assert_field(ex, "X-B", "c");
}

static void adds_to_errors_only_what_is_for_all(void **state)
{
    weir_http_exchange *ex = filtered(state, "add_header X-A 1; add_header X-B 2 always;", 404);

    assert_field(ex, "X-A", "");
    assert_field(ex, "X-B", "2");
}

static void leaves_out_what_comes_out_empty_or_cannot_be_sent(void **state)
{
    weir_http_exchange *ex = filtered(
        state, "add_header X-A $arg_none; set $x \"a\nX-Evil: 1\"; add_header X-B \"a\rb\";", 200);

    assert_field(ex, "X-A", "");
    assert_field(ex, "X-B", "");
}

static void replaces_a_validator(void **state)
{
    const void *location = unit_location(
        state, &weir_http_headers, "add_header ETag '\"mine\"'; add_header Last-Modified '';");
    weir_http_exchange *ex = unit_request(state, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");

    unit_answer(ex, 200, "body");
    ex->response.last_modified_s = 1;
    assert_true(weir_http_fields_set(&ex->response.fields, WEIR_HTTP_ETAG, WEIR_STR("\"theirs\"")));
    assert_int_equal(weir_http_headers.response_head(ex, location), WEIR_OK);
    assert_field(ex, "ETag", "\"mine\"");
    assert_int_equal(ex->response.last_modified_s, -1);
}

static void inherits_as_the_level_says(void **state)
{
    static const struct {
        const char *http, *server, *field;
    } cases[] = {
        {"add_header X-A 1;", "", "1"},
        {"add_header X-A 1;", "add_header X-B 2;", ""},
        {"add_header X-A 1; add_header_inherit merge;", "add_header X-A 2;", "1, 2"},
        {"add_header X-A 1; add_header_inherit merge;", "add_header_inherit on; add_header X-B 2;",
         ""},
        {"add_header X-A 1; add_header_inherit off;", "", ""},
        {"add_header X-A 1;", "add_header_inherit off;", ""},
        {"add_header X-A 1; add_header_inherit off;", "add_header X-A 2;", "2"},
        {"add_header X-A 1; add_header_inherit off;", "expires 1;", ""},
    };

    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        const void *location;
        weir_http_exchange *ex;

        assert_true(unit_read(state, cases[i].http, cases[i].server));
        location = weir_level_settings(unit_server(state)->level, &weir_http_headers.base);
        ex = unit_request(state, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        unit_answer(ex, 200, "");
        assert_int_equal(weir_http_headers.response_head(ex, location), WEIR_OK);
        assert_field(ex, "X-A", cases[i].field);
    }
}

static void says_how_long_a_response_is_fresh(void **state)
{
    static const struct {
        const char *text, *control;
        int64_t from_now_s; /* -1: not looked at */
    } cases[] = {
        {"expires 1h;", "max-age=3600", 3600},
        {"expires 0;", "max-age=0", 0},
        {"expires -1;", "no-cache", -1},
        {"expires epoch;", "no-cache", -1},
        {"expires max;", "max-age=315360000", -1},
        {"expires off;", "", -1},
        {"expires modified 1d;", "no-cache", -1},
        {"expires modified +1d;", "no-cache", -1},
        {"expires $arg_b;", "", -1},
    };

    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        const void *location = unit_location(state, &weir_http_headers, cases[i].text);
        weir_http_exchange *ex = unit_request(state, "GET /?b=x HTTP/1.1\r\nHost: h\r\n\r\n");
        char date[30];

        unit_answer(ex, 200, "");
        ex->response.last_modified_s = 1000;
        assert_int_equal(weir_http_headers.response_head(ex, location), WEIR_OK);
        assert_field(ex, "Cache-Control", cases[i].control);
        if (cases[i].from_now_s >= 0) {
            weir_clock_format_http(weir_clock_now()->wall_s + cases[i].from_now_s, date);
            assert_field(ex, "Expires", date);
        }
    }
}

static void adds_trailers_behind_the_body(void **state)
{
    const void *location = unit_location(state, &weir_http_headers, "add_trailer X-T $arg_b;");
    weir_http_exchange *ex = unit_request(state, "GET /?b=c HTTP/1.1\r\nHost: h\r\n\r\n");
    weir_chain in = {0}, out = {0};

    unit_answer(ex, 200, "body");
    assert_int_equal(weir_http_headers.response_head(ex, location), WEIR_OK);
    assert_true(ex->response.needs_trailers);
    assert_int_equal(ex->response.content_length, 4);
    assert_true(weir_chain_add_memory(&in, WEIR_STR("body")));
    assert_int_equal(weir_http_headers.response_body(ex, location, &in, &out, false), WEIR_OK);
    assert_int_equal(ex->response.trailers.count, 0);
    assert_int_equal(weir_http_headers.response_body(ex, location, &in, &out, true), WEIR_OK);
    assert_int_equal(out.len, 4);
    assert_str(weir_http_fields_find_text(&ex->response.trailers, WEIR_STR("X-T"))->value, "c");
    weir_chain_clear(&out);
}

static void refuses_what_is_no_field(void **state)
{
    assert_false(unit_read(state, "", "add_header 'X A' 1;"));
    assert_false(unit_read(state, "", "add_header X-A 1 sometimes;"));
    assert_false(unit_read(state, "", "expires nonsense;"));
    assert_false(unit_read(state, "", "expires modified max;"));
    assert_false(unit_read(state, "", "expires +-1d;"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(adds_fields_in_their_order, unit_setup, unit_teardown),
        cmocka_unit_test_setup_teardown(adds_to_errors_only_what_is_for_all, unit_setup,
                                        unit_teardown),
        cmocka_unit_test_setup_teardown(leaves_out_what_comes_out_empty_or_cannot_be_sent,
                                        unit_setup, unit_teardown),
        cmocka_unit_test_setup_teardown(replaces_a_validator, unit_setup, unit_teardown),
        cmocka_unit_test_setup_teardown(inherits_as_the_level_says, unit_setup, unit_teardown),
        cmocka_unit_test_setup_teardown(says_how_long_a_response_is_fresh, unit_setup,
                                        unit_teardown),
        cmocka_unit_test_setup_teardown(adds_trailers_behind_the_body, unit_setup, unit_teardown),
        cmocka_unit_test_setup_teardown(refuses_what_is_no_field, unit_setup, unit_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
