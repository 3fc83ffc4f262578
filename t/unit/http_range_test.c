#include "t/unit/http_unit.h"

extern const weir_http_module weir_http_range;

static weir_http_exchange *asked(void **state, const char *range, const char *body)
{
    static char head[256]; /* borrowed by the exchange */
    weir_http_exchange *ex;

    (void) snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: a\r\nRange: %s\r\n\r\n", range);
    ex = unit_request(state, head);
    unit_answer(ex, 200, body);
    ex->response.allow_ranges = true;
    return ex;
}

static void cuts_one_range_out(void **state)
{
    static const struct {
        const char *asked, *body, *range;
    } cases[] = {
        {"bytes=0-0", "0", "bytes 0-0/10"},          {"bytes=2-4", "234", "bytes 2-4/10"},
        {"bytes=5-", "56789", "bytes 5-9/10"},       {"bytes=-3", "789", "bytes 7-9/10"},
        {"bytes=8-99", "89", "bytes 8-9/10"},        {"BYTES= 1 - 2 ", "12", "bytes 1-2/10"},
        {"bytes=-99", "0123456789", "bytes 0-9/10"},
    };
    const void *location = unit_location(state, &weir_http_range, "");

    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        weir_http_exchange *ex = asked(state, cases[i].asked, "0123456789");

        assert_int_equal(weir_http_range.response_head(ex, location), WEIR_OK);
        assert_int_equal(ex->response.status, 206);
        assert_int_equal(ex->response.content_length, strlen(cases[i].body));
        assert_field(ex, "Content-Range", cases[i].range);
        assert_body(ex, cases[i].body);
    }
}

static void refuses_ranges_that_are_none(void **state)
{
    static const char *const cases[] = {
        "bytes=10-",
        "bytes=4-2",
        "bytes=x",
        "bytes=-",
        "bytes=1",
        "bytes=1-2x",
        "bytes=99999999999999999999-",
        "bytes=0-99999999999999999999",
        "bytes=-0",
    };
    const void *location = unit_location(state, &weir_http_range, "");

    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        weir_http_exchange *ex = asked(state, cases[i], "0123456789");

        assert_int_equal(weir_http_range.response_head(ex, location), WEIR_WAIT);
        assert_int_equal(ex->response.status, 416);
        assert_field(ex, "Content-Range", "bytes */10");
        assert_int_equal(((http_unit *) *state)->responses, 1);
    }
}

static void sends_the_whole_where_ranges_would_be_more(void **state)
{
    static const char *const cases[] = {"bytes=0-,0-", "bytes=0-8,1-9", "lines=1-2", "bytes="};
    const void *location = unit_location(state, &weir_http_range, "");

    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        weir_http_exchange *ex = asked(state, cases[i], "0123456789");

        assert_int_equal(weir_http_range.response_head(ex, location), WEIR_OK);
        assert_int_equal(ex->response.status, 200);
        assert_field(ex, "Accept-Ranges", "bytes");
        assert_body(ex, "0123456789");
    }
}

static void sends_several_ranges_in_their_order(void **state)
{
    const void *location = unit_location(state, &weir_http_range, "");
    weir_http_exchange *ex = asked(state, "bytes=8-9,0-1", "0123456789");
    weir_str body;

    assert_int_equal(weir_http_range.response_head(ex, location), WEIR_OK);
    assert_true(weir_chain_join(&ex->body, ex->pool, &body));
    assert_int_equal(body.len, ex->response.content_length);

    const char *last = weir_str_find(body, WEIR_STR("bytes 8-9/10\r\n\r\n89\r\n--"));
    const char *first = weir_str_find(body, WEIR_STR("bytes 0-1/10\r\n\r\n01\r\n--"));

    assert_true(last != NULL && first != NULL && last < first);
}

static void takes_as_many_ranges_as_max_ranges_says(void **state)
{
    const void *location = unit_location(state, &weir_http_range, "max_ranges 1;");
    weir_http_exchange *ex = asked(state, "bytes=0-0,2-2", "0123456789");

    assert_int_equal(weir_http_range.response_head(ex, location), WEIR_OK);
    assert_int_equal(ex->response.status, 200);

    location = unit_location(state, &weir_http_range, "max_ranges 0;");
    ex = asked(state, "bytes=0-0", "0123456789");
    assert_int_equal(weir_http_range.response_head(ex, location), WEIR_OK);
    assert_int_equal(ex->response.status, 200);
    assert_field(ex, "Accept-Ranges", "");
}

/* A body that comes in pieces, split at each place. */
static weir_result pull_nothing(weir_http_exchange *ex, weir_http_source *source, weir_chain *out,
                                uint64_t limit, bool *ended)
{
    (void) ex;
    (void) source;
    (void) out;
    (void) limit;
    *ended = true;
    return WEIR_OK;
}

static void cuts_a_range_out_of_pieces(void **state)
{
    const void *location = unit_location(state, &weir_http_range, "");
    weir_http_source source = {.pull = pull_nothing};

    for (size_t cut = 0; cut <= 10; cut++) {
        weir_http_exchange *ex = asked(state, "bytes=3-6", "");
        weir_chain in = {0}, out = {0};
        weir_str text = WEIR_STR("0123456789");
        weir_str got;

        ex->source = &source;
        ex->response.content_length = 10;
        assert_int_equal(weir_http_range.response_head(ex, location), WEIR_OK);
        assert_true(weir_chain_add_memory(&in, weir_str_slice(text, 0, cut)));
        assert_int_equal(weir_http_range.response_body(ex, location, &in, &out, false), WEIR_OK);
        assert_true(weir_chain_add_memory(&in, weir_str_from(text, cut)));
        assert_int_equal(weir_http_range.response_body(ex, location, &in, &out, true), WEIR_OK);
        assert_true(weir_chain_join(&out, ex->pool, &got));
        assert_str(got, "3456");
        weir_chain_clear(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(cuts_one_range_out, unit_setup, unit_teardown),
        cmocka_unit_test_setup_teardown(refuses_ranges_that_are_none, unit_setup, unit_teardown),
        cmocka_unit_test_setup_teardown(sends_the_whole_where_ranges_would_be_more, unit_setup,
                                        unit_teardown),
        cmocka_unit_test_setup_teardown(sends_several_ranges_in_their_order, unit_setup,
                                        unit_teardown),
        cmocka_unit_test_setup_teardown(takes_as_many_ranges_as_max_ranges_says, unit_setup,
                                        unit_teardown),
        cmocka_unit_test_setup_teardown(cuts_a_range_out_of_pieces, unit_setup, unit_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
