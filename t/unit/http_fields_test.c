#include "modules/http/engine/fields.h"

#include "t/unit/base_unit.h"

static weir_http_fields *fields_of(void **state, uint16_t limit)
{
    weir_http_fields *fields = WEIR_NEW(*state, weir_http_fields);

    assert_non_null(fields);
    weir_http_fields_init(fields, *state, limit);
    return fields;
}

static void known_names_are_found_in_any_case(void **state)
{
    (void) state;
    for (unsigned name = 1; name < WEIR_HTTP_NAME_COUNT; name++) {
        weir_str text = weir_http_name_text((weir_http_name) name);
        char upper[64];

        assert_int_equal(weir_http_name_find(text), name);
        for (size_t i = 0; i < text.len; i++) {
            upper[i] = (char) (text.data[i] >= 'a' && text.data[i] <= 'z' ? text.data[i] - 32
                                                                          : text.data[i]);
        }
        assert_int_equal(weir_http_name_find(weir_str_of(upper, text.len)), name);
        assert_int_equal(weir_http_name_find(weir_str_of(text.data, text.len - 1)),
                         WEIR_HTTP_OTHER);
    }
    assert_int_equal(weir_http_name_find(WEIR_STR("")), WEIR_HTTP_OTHER);
}

static void equal_names_are_kept_in_order(void **state)
{
    weir_http_fields *fields = fields_of(state, 10);
    weir_http_field *field;

    assert_true(weir_http_fields_add(fields, WEIR_HTTP_VIA, WEIR_STR("1")));
    assert_true(weir_http_fields_add_text(fields, WEIR_STR("x-a"), WEIR_STR("2")));
    assert_true(weir_http_fields_add_text(fields, WEIR_STR("vIA"), WEIR_STR("3")));
    assert_true(weir_http_fields_add_text(fields, WEIR_STR("X-A"), WEIR_STR("4")));

    field = weir_http_fields_find(fields, WEIR_HTTP_VIA);
    assert_str(field->value, "1");
    field = weir_http_fields_next(fields, field);
    assert_str(field->value, "3");
    assert_null(weir_http_fields_next(fields, field));

    field = weir_http_fields_find_text(fields, WEIR_STR("X-a"));
    assert_str(field->value, "2");
    field = weir_http_fields_next(fields, field);
    assert_str(field->value, "4");
}

static void set_leaves_one(void **state)
{
    weir_http_fields *fields = fields_of(state, 10);

    assert_true(weir_http_fields_add(fields, WEIR_HTTP_AGE, WEIR_STR("1")));
    assert_true(weir_http_fields_add(fields, WEIR_HTTP_AGE, WEIR_STR("2")));
    assert_true(weir_http_fields_set(fields, WEIR_HTTP_AGE, WEIR_STR("3")));
    assert_str(weir_http_fields_value(fields, WEIR_HTTP_AGE), "3");
    assert_null(weir_http_fields_next(fields, weir_http_fields_find(fields, WEIR_HTTP_AGE)));
    assert_true(fields->items[1].is_removed);
}

static void removed_names_may_be_added_again(void **state)
{
    weir_http_fields *fields = fields_of(state, 10);

    assert_true(weir_http_fields_add(fields, WEIR_HTTP_AGE, WEIR_STR("1")));
    weir_http_fields_remove(fields, WEIR_HTTP_AGE);
    assert_null(weir_http_fields_find(fields, WEIR_HTTP_AGE));
    assert_true(weir_http_fields_add(fields, WEIR_HTTP_AGE, WEIR_STR("2")));
    assert_str(weir_http_fields_value(fields, WEIR_HTTP_AGE), "2");

    assert_true(weir_http_fields_add_text(fields, WEIR_STR("x"), WEIR_STR("1")));
    weir_http_fields_remove_text(fields, WEIR_STR("X"));
    assert_null(weir_http_fields_find_text(fields, WEIR_STR("x")));
}

static void what_would_split_a_head_is_not_added(void **state)
{
    weir_http_fields *fields = fields_of(state, 10);

    assert_false(weir_http_fields_add(fields, WEIR_HTTP_AGE, WEIR_STR("1\r\nX: y")));
    assert_false(weir_http_fields_add(fields, WEIR_HTTP_AGE, WEIR_STR("1\0")));
    assert_false(weir_http_fields_add_text(fields, WEIR_STR("a b"), WEIR_STR("1")));
    assert_false(weir_http_fields_add_text(fields, WEIR_STR(""), WEIR_STR("1")));
    assert_false(weir_http_fields_set(fields, WEIR_HTTP_AGE, WEIR_STR("\n")));
    assert_int_equal(fields->count, 0);
}

static void the_limit_holds(void **state)
{
    weir_http_fields *fields = fields_of(state, 40);

    for (unsigned i = 0; i < 40; i++) {
        assert_true(weir_http_fields_add_text(fields, WEIR_STR("x"), WEIR_STR("1")));
    }
    assert_false(weir_http_fields_add_text(fields, WEIR_STR("x"), WEIR_STR("1")));
}

static void tokens_are_found_in_lists(void **state)
{
    weir_http_fields *fields = fields_of(state, 10);

    assert_true(weir_http_fields_add(fields, WEIR_HTTP_CONNECTION, WEIR_STR("foo, Keep-Alive")));
    assert_true(weir_http_fields_add(fields, WEIR_HTTP_CONNECTION, WEIR_STR("upgrade ,bar")));
    assert_true(weir_http_fields_have_token(fields, WEIR_HTTP_CONNECTION, WEIR_STR("keep-alive")));
    assert_true(weir_http_fields_have_token(fields, WEIR_HTTP_CONNECTION, WEIR_STR("Upgrade")));
    assert_false(weir_http_fields_have_token(fields, WEIR_HTTP_CONNECTION, WEIR_STR("close")));
    assert_false(weir_http_fields_have_token(fields, WEIR_HTTP_TE, WEIR_STR("close")));
}

static void lines_are_joined(void **state)
{
    weir_http_fields *fields = fields_of(state, 10);
    weir_str joined;

    assert_true(weir_http_fields_add(fields, WEIR_HTTP_COOKIE, WEIR_STR("a=1")));
    assert_true(weir_http_fields_add(fields, WEIR_HTTP_COOKIE, WEIR_STR("b=2")));
    assert_true(weir_http_fields_join(fields, WEIR_HTTP_COOKIE, WEIR_STR_EMPTY, WEIR_STR("; "),
                                      *state, &joined));
    assert_str(joined, "a=1; b=2");
    assert_true(weir_http_fields_join(fields, WEIR_HTTP_VIA, WEIR_STR_EMPTY, WEIR_STR(", "), *state,
                                      &joined));
    assert_str(joined, "");
}

static bool attempt_fields(weir_pool *pool)
{
    weir_http_fields fields;

    weir_http_fields_init(&fields, pool, 100);
    for (unsigned i = 0; i < 100; i++) {
        if (!weir_http_fields_add(&fields, WEIR_HTTP_VIA, WEIR_STR("1"))) {
            return false;
        }
    }
    return fields.count == 100;
}

static void running_out_of_memory_is_said(void **state)
{
    (void) state;
    assert_true(unit_fail_each_allocation(attempt_fields) > 0);
}


int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_names_are_found_in_any_case),
        unit_test_with_pool(equal_names_are_kept_in_order),
        unit_test_with_pool(set_leaves_one),
        unit_test_with_pool(removed_names_may_be_added_again),
        unit_test_with_pool(what_would_split_a_head_is_not_added),
        unit_test_with_pool(the_limit_holds),
        unit_test_with_pool(tokens_are_found_in_lists),
        unit_test_with_pool(lines_are_joined),
        cmocka_unit_test(running_out_of_memory_is_said),
    };

    return cmocka_run_group_tests_name("http fields", tests, NULL, NULL);
}
