/* Texts that are replaced, in bodies that come in pieces. */

#include "t/unit/http_unit.h"

extern const weir_http_module weir_http_sub_filter;

static weir_http_exchange *asked(void **state, const void *location, const char *text)
{
    weir_http_exchange *ex = unit_request(state, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");

    unit_answer(ex, 200, text);
    assert_int_equal(weir_http_sub_filter.response_head(ex, location), WEIR_OK);
    return ex;
}

static void give(weir_http_exchange *ex, const void *location, weir_chain *in, weir_str piece,
                 weir_chain *out, bool is_last)
{
    assert_true(weir_chain_add_memory(in, piece));
    assert_int_equal(weir_http_sub_filter.response_body(ex, location, in, out, is_last), WEIR_OK);
}

/* In three pieces, cut everywhere, in one go and one after the other. */
static void assert_replaces(void **state, const char *directives, const char *text,
                            const char *expected)
{
    const void *location = unit_location(state, &weir_http_sub_filter, directives);
    weir_str all = weir_str_from_z(text);

    for (size_t first = 0; first <= all.len; first++) {
        for (size_t second = first; second <= all.len; second++) {
            for (unsigned at_once = 0; at_once < 2; at_once++) {
                weir_http_exchange *ex = asked(state, location, text);
                weir_chain in = {0}, out = {0};
                weir_str got;

                if (at_once == 1) {
                    assert_true(weir_chain_add_memory(&in, weir_str_slice(all, 0, first)));
                    assert_true(weir_chain_add_memory(&in, weir_str_slice(all, first, second)));
                } else {
                    give(ex, location, &in, weir_str_slice(all, 0, first), &out, false);
                    give(ex, location, &in, weir_str_slice(all, first, second), &out, false);
                }
                give(ex, location, &in, weir_str_from(all, second), &out, true);
                assert_true(weir_chain_is_empty(&in));
                assert_true(weir_chain_join(&out, ex->pool, &got));
                assert_str(got, expected);
                weir_chain_clear(&out);
            }
        }
    }
}

static void finds_a_text_that_is_cut_anywhere(void **state)
{
    assert_replaces(state, "sub_filter needle pin; sub_filter_once off;", "a needle, neeNEEDLEdle",
                    "a pin, neepindle");
}

static void finds_it_where_it_overlaps_itself(void **state)
{
    assert_replaces(state, "sub_filter aab X; sub_filter_once off;", "aaaab aab aa", "aaX X aa");
}

static void takes_the_first_of_several(void **state)
{
    assert_replaces(state,
                    "sub_filter bc 1; sub_filter abcd 22; sub_filter d ''; sub_filter_once off;",
                    "abcabcdxdbc", "a122x1");
}

static void replaces_each_once(void **state)
{
    assert_replaces(state, "sub_filter a 1; sub_filter bb 2;", "abbaabb", "12aabb");
}

static void knows_when_nothing_is_left_to_look_for(void **state)
{
    assert_replaces(state, "sub_filter b X;", "abcb", "aXcb");
}

static void single_bytes_need_no_second(void **state)
{
    assert_replaces(state, "sub_filter b X; sub_filter cd Y; sub_filter_once off;", "bcdcb",
                    "XYcX");
}

static void keeps_back_only_what_may_begin_a_match(void **state)
{
    const void *location = unit_location(state, &weir_http_sub_filter, "sub_filter needle pin;");
    weir_http_exchange *ex = asked(state, location, "some text");
    weir_chain in = {0}, out = {0};

    give(ex, location, &in, WEIR_STR("some long text"), &out, false);
    assert_int_equal(out.len, 14 - 5);
    give(ex, location, &in, WEIR_STR(" and more"), &out, false);
    assert_int_equal(out.len, 14 + 9 - 5);
    weir_chain_clear(&in);
    weir_chain_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_a_text_that_is_cut_anywhere, unit_setup,
                                        unit_teardown),
        cmocka_unit_test_setup_teardown(finds_it_where_it_overlaps_itself, unit_setup,
                                        unit_teardown),
        cmocka_unit_test_setup_teardown(takes_the_first_of_several, unit_setup, unit_teardown),
        cmocka_unit_test_setup_teardown(replaces_each_once, unit_setup, unit_teardown),
        cmocka_unit_test_setup_teardown(knows_when_nothing_is_left_to_look_for, unit_setup,
                                        unit_teardown),
        cmocka_unit_test_setup_teardown(single_bytes_need_no_second, unit_setup, unit_teardown),
        cmocka_unit_test_setup_teardown(keeps_back_only_what_may_begin_a_match, unit_setup,
                                        unit_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
