#include "t/unit/http_unit.h"

extern const weir_http_module weir_http_not_modified;

#define DATE "Sun, 13 Sep 2020 12:26:40 GMT"
#define BEFORE "Sun, 13 Sep 2020 12:26:39 GMT"
#define AFTER "Sun, 13 Sep 2020 12:26:41 GMT"
#define MODIFIED_S 1600000000

static unsigned judged(void **state, const char *server, const char *field, const char *etag)
{
    static char head[256]; /* borrowed by the exchange */
    const void *location = unit_location(state, &weir_http_not_modified, server);
    weir_http_exchange *ex;

    (void) snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n", field);
    ex = unit_request(state, head);
    unit_answer(ex, 200, "body");
    ex->response.last_modified_s = MODIFIED_S;
    assert_true(weir_http_fields_add(&ex->response.fields, WEIR_HTTP_ETAG, weir_str_from_z(etag)));

    weir_result result = weir_http_not_modified.response_head(ex, location);

    assert_int_equal(result, ex->response.status == 412 ? WEIR_WAIT : WEIR_OK);
    return ex->response.status;
}

static void judges_each_condition(void **state)
{
    static const struct {
        const char *field, *etag;
        unsigned status;
    } cases[] = {
        {"If-Modified-Since: " DATE, "\"a\"", 304},
        {"If-Modified-Since: " AFTER, "\"a\"", 200},
        {"If-Modified-Since: x", "\"a\"", 200},
        {"If-Unmodified-Since: " DATE, "\"a\"", 200},
        {"If-Unmodified-Since: " BEFORE, "\"a\"", 412},
        {"If-None-Match: \"a\"", "\"a\"", 304},
        {"If-None-Match: W/\"a\"", "\"a\"", 304},
        {"If-None-Match: \"b\" , \"a\"", "\"a\"", 304},
        {"If-None-Match: \"b,\\\", \"a\"", "\"a\"", 304},
        {"If-None-Match: \"b", "\"a\"", 200},
        {"If-None-Match: a", "\"a\"", 200},
        {"If-None-Match: ,,", "\"a\"", 200},
        {"If-None-Match:", "\"a\"", 200},
        {"If-None-Match: *", "\"a\"", 304},
        {"If-Match: \"a\"", "\"a\"", 200},
        {"If-Match: W/\"a\"", "\"a\"", 412},
        {"If-Match: \"a\"", "W/\"a\"", 412},
        {"If-Match: *", "W/\"a\"", 200},
        {"If-None-Match: \"b\"\r\nIf-Modified-Since: " DATE, "\"a\"", 200},
    };

    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        assert_int_equal(judged(state, "", cases[i].field, cases[i].etag), cases[i].status);
    }
}

static void compares_times_as_told(void **state)
{
    assert_int_equal(
        judged(state, "if_modified_since before;", "If-Modified-Since: " AFTER, "\"a\""), 304);
    assert_int_equal(
        judged(state, "if_modified_since before;", "If-Modified-Since: " BEFORE, "\"a\""), 200);
    assert_int_equal(judged(state, "if_modified_since off;", "If-Modified-Since: " DATE, "\"a\""),
                     200);
}

static void leaves_origins_their_own_judgement(void **state)
{
    const void *location = unit_location(state, &weir_http_not_modified, "");
    weir_http_exchange *ex = unit_upstream(state, "HTTP/1.1 200 OK\r\nETag: \"a\"\r\n\r\n");

    assert_true(weir_http_fields_add(&ex->request.fields, WEIR_HTTP_IF_NONE_MATCH, WEIR_STR("*")));
    assert_int_equal(weir_http_not_modified.response_head(ex, location), WEIR_OK);
    assert_int_equal(ex->response.status, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(judges_each_condition, unit_setup, unit_teardown),
        cmocka_unit_test_setup_teardown(compares_times_as_told, unit_setup, unit_teardown),
        cmocka_unit_test_setup_teardown(leaves_origins_their_own_judgement, unit_setup,
                                        unit_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
