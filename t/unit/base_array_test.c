#include "core/base/array.h"

#include "t/unit/base_unit.h"

static void a_zeroed_array_is_empty(void **state)
{
    weir_array array = {0};

    (void) state;

    for (WEIR_ARRAY_EACH(&array, int, item)) {
        fail_msg("%d", *item);
    }
}

static void pushed_elements_are_zeroed_and_stay_in_order(void **state)
{
    weir_array array;
    int next = 0;

    weir_array_init(&array, *state, sizeof(int), 3);
    assert_int_equal(array.count, 0);

    for (int i = 0; i < 1000; i++) {
        int *item = weir_array_push(&array);

        assert_non_null(item);
        assert_int_equal(*item, 0);
        *item = i;
        if (i % 7 == 0) {
            memset(weir_pool_bytes(*state, 3), 'x', 3);
        }
    }

    assert_int_equal(array.count, 1000);
    assert_int_equal(*WEIR_ARRAY_AT(&array, int, 999), 999);
    for (WEIR_ARRAY_EACH(&array, int, item)) {
        assert_int_equal(*item, next++);
    }
    assert_int_equal(next, 1000);
}

static void nothing_is_allocated_before_the_first_push(void **state)
{
    weir_array array;

    weir_array_init(&array, *state, sizeof(int), 100);
    assert_int_equal(weir_pool_used(*state), 0);
    assert_non_null(weir_array_push(&array));
    assert_int_equal(weir_pool_used(*state), 100 * sizeof(int));
}

static void a_capacity_need_not_be_said(void **state)
{
    weir_array array;

    weir_array_init(&array, *state, sizeof(int), 0);
    assert_non_null(weir_array_push(&array));
}

static void a_capacity_too_large_for_memory_is_refused(void **state)
{
    weir_array array;

    weir_array_init(&array, *state, 16, SIZE_MAX / 8);
    assert_null(weir_array_push(&array));
    assert_int_equal(array.count, 0);
}

static bool push_many(weir_pool *pool)
{
    weir_array array;

    weir_array_init(&array, pool, sizeof(size_t), 4);
    for (size_t i = 0; i < 40; i++) {
        size_t *item = weir_array_push(&array);

        if (item == NULL) {
            assert_int_equal(array.count, i);
            for (size_t before = 0; before < i; before++) {
                assert_int_equal(*WEIR_ARRAY_AT(&array, size_t, before), before);
            }
            return false;
        }

        *item = i;
        if (i == 10 && weir_pool_bytes(pool, 1) == NULL) {
            return false;
        }
    }

    return true;
}

static void a_push_that_fails_leaves_the_array_as_it_was(void **state)
{
    (void) state;
    assert_true(unit_fail_each_allocation(push_many) >= 40 * sizeof(size_t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zeroed_array_is_empty),
        unit_test_with_pool(pushed_elements_are_zeroed_and_stay_in_order),
        unit_test_with_pool(nothing_is_allocated_before_the_first_push),
        unit_test_with_pool(a_capacity_need_not_be_said),
        unit_test_with_pool(a_capacity_too_large_for_memory_is_refused),
        cmocka_unit_test(a_push_that_fails_leaves_the_array_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
