/* A request's body of which no more is taken: how that is answered. */

#include "t/unit/http_unit.h"

static weir_http_exchange *early_answer(void **state)
{
    weir_http_exchange *ex;

    assert_true(unit_read(state, "", ""));
    ex = unit_upstream(state, "HTTP/1.1 200 OK\r\nX-Of: origin\r\n\r\n");
    ex->is_responding = true; /* and a filter holds it back */
    return ex;
}

static void assert_answered(void **state, const weir_http_exchange *ex, unsigned status)
{
    const http_unit *unit = *state;

    assert_int_equal(unit->responses, 1);
    assert_int_equal(unit->aborts, 0);
    assert_int_equal(ex->response.status, status);
    assert_null(weir_http_fields_find_text(&ex->response.fields, WEIR_STR("X-Of")));
}

static void who_has_no_memory_for_more_of_a_body_answers_500(void **state)
{
    weir_http_exchange *ex = early_answer(state);

    weir_http_body_failed(ex);
    assert_answered(state, ex, 500);

    ex = unit_request(state, "POST / HTTP/1.1\r\nHost: a\r\n\r\n");
    weir_http_body_failed(ex);
    assert_answered(state, ex, 500);
}

static void a_body_that_is_wrong_is_answered_by_what_is_wrong_with_it(void **state)
{
    weir_http_exchange *ex = early_answer(state);

    assert_int_equal(weir_http_answer_because(ex, 400, "client sent invalid body"),
                     WEIR_HTTP_ANSWERED);
    weir_http_body_failed(ex);
    assert_answered(state, ex, 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_has_no_memory_for_more_of_a_body_answers_500,
                                        unit_setup, unit_teardown),
        cmocka_unit_test_setup_teardown(a_body_that_is_wrong_is_answered_by_what_is_wrong_with_it,
                                        unit_setup, unit_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
