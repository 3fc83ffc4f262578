#include "core/base/map.h"

#include <stdio.h>

#include "t/unit/base_unit.h"

#define MANY 5000

static char keys[MANY][12];
static int values[MANY];

static weir_str key(size_t i)
{
    return weir_str_of(keys[i], (size_t) snprintf(keys[i], sizeof(keys[i]), "Key-%zu", i));
}

static void finds_what_was_put(void **state)
{
    weir_map *map = weir_map_new(*state, false, 0);

    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(weir_map_count(map), i);
        assert_true(weir_map_put(map, key(i), &values[i]));
    }

    for (size_t i = 0; i < MANY; i++) {
        assert_ptr_equal(weir_map_find(map, key(i)), &values[i]);
    }
}

static void what_was_not_put_is_not_there(void **state)
{
    weir_map *map = weir_map_new(*state, false, 0);

    assert_null(weir_map_find(map, WEIR_STR("a")));
    assert_null(weir_map_find(map, weir_str_of(NULL, 0)));
    assert_true(weir_map_put(map, WEIR_STR("a"), &values[0]));
    assert_null(weir_map_find(map, WEIR_STR("A")));
    assert_null(weir_map_find(map, WEIR_STR("ab")));
    assert_null(weir_map_find(map, WEIR_STR("")));
    assert_null(weir_map_find(map, WEIR_STR("a\0")));
}

static void the_empty_string_is_a_key(void **state)
{
    weir_map *map = weir_map_new(*state, true, 0);

    assert_true(weir_map_put(map, weir_str_of(NULL, 0), &values[0]));
    assert_ptr_equal(weir_map_find(map, WEIR_STR("")), &values[0]);
}

static void an_equal_key_replaces_the_value(void **state)
{
    weir_map *map = weir_map_new(*state, false, 0);

    assert_true(weir_map_put(map, WEIR_STR("a"), &values[0]));
    assert_true(weir_map_put(map, WEIR_STR("a"), &values[1]));
    assert_int_equal(weir_map_count(map), 1);
    assert_ptr_equal(weir_map_find(map, WEIR_STR("a")), &values[1]);
}

static void nocase_keys_are_equal_in_either_case(void **state)
{
    weir_map *map = weir_map_new(*state, true, 0);

    assert_true(weir_map_put(map, WEIR_STR("Content-Length [Z]"), &values[0]));
    assert_ptr_equal(weir_map_find(map, WEIR_STR("content-LENGTH [z]")), &values[0]);
    assert_null(weir_map_find(map, WEIR_STR("content-LENGTH {z}")));
    assert_true(weir_map_put(map, WEIR_STR("CONTENT-LENGTH [z]"), &values[1]));
    assert_int_equal(weir_map_count(map), 1);
}

static void going_through_meets_each_entry_once(void **state)
{
    weir_map *map = weir_map_new(*state, false, 0);
    unsigned met[300] = {0};
    size_t position = 0, count = 0;
    weir_str found;
    void *value;

    assert_false(weir_map_next(map, &position, &found, &value));

    for (size_t i = 0; i < 300; i++) {
        assert_true(weir_map_put(map, key(i), &values[i]));
    }

    for (position = 0; weir_map_next(map, &position, &found, &value); count++) {
        ptrdiff_t i = (int *) value - values;

        assert_in_range(i, 0, 299);
        assert_str_eq(found, key((size_t) i));
        assert_int_equal(met[i]++, 0);
    }

    assert_int_equal(count, 300);
    assert_false(weir_map_next(map, &position, &found, &value));
}

static void as_many_as_expected_need_no_more_memory(void **state)
{
    for (size_t expected = 0; expected < 200; expected++) {
        weir_map *map = weir_map_new(*state, false, expected);
        size_t used = weir_pool_used(*state);

        for (size_t i = 0; i < expected; i++) {
            assert_true(weir_map_put(map, key(i), &values[i]));
        }

        assert_int_equal(weir_pool_used(*state), used);
    }
}

static void an_expectation_past_all_memory_is_refused(void **state)
{
    assert_null(weir_map_new(*state, false, SIZE_MAX));
    assert_null(weir_map_new(*state, false, SIZE_MAX / 4));
}

static bool fill(weir_pool *pool)
{
    weir_map *map = weir_map_new(pool, false, 0);

    if (map == NULL) {
        return false;
    }

    for (size_t i = 0; i < 30; i++) {
        if (!weir_map_put(map, key(i), &values[i])) {
            assert_int_equal(weir_map_count(map), i);
            assert_null(weir_map_find(map, key(i)));
            for (size_t before = 0; before < i; before++) {
                assert_ptr_equal(weir_map_find(map, key(before)), &values[before]);
            }
            return false;
        }
    }

    return true;
}

static void a_put_that_fails_leaves_the_map_as_it_was(void **state)
{
    (void) state;
    assert_true(unit_fail_each_allocation(fill) > 30 * 2 * sizeof(void *));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_with_pool(finds_what_was_put),
        unit_test_with_pool(what_was_not_put_is_not_there),
        unit_test_with_pool(the_empty_string_is_a_key),
        unit_test_with_pool(an_equal_key_replaces_the_value),
        unit_test_with_pool(nocase_keys_are_equal_in_either_case),
        unit_test_with_pool(going_through_meets_each_entry_once),
        unit_test_with_pool(as_many_as_expected_need_no_more_memory),
        unit_test_with_pool(an_expectation_past_all_memory_is_refused),
        cmocka_unit_test(a_put_that_fails_leaves_the_map_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
