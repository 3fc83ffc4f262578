#include "t/unit/base_unit.h"

#include <stdint.h>

/* Subjects of clean-ups: each is a letter that note() writes down. */
static char a[] = "a", b[] = "b", c[] = "c", x[] = "x", zero[] = "0", one[] = "1", two[] = "2";

static char order[16];

static void note(void *subject)
{
    size_t len = strlen(order);

    assert_true(len + 1 < sizeof(order));
    order[len] = *(const char *) subject;
    order[len + 1] = '\0';
}

static void allocations_do_not_overlap(void **state)
{
    enum { count = 400 };
    unsigned char *got[count];

    for (size_t i = 0; i < count; i++) {
        got[i] = i % 3 == 0 ? weir_pool_alloc(*state, i) : (void *) weir_pool_bytes(*state, i);
        assert_non_null(got[i]);
        memset(got[i], (int) (i & 0xff), i);
    }

    for (size_t i = 0; i < count; i++) {
        for (size_t at = 0; at < i; at++) {
            assert_int_equal(got[i][at], i & 0xff);
        }
    }
}

static void alloc_is_aligned_for_any_type(void **state)
{
    for (size_t i = 0; i < 300; i++) {
        assert_non_null(weir_pool_bytes(*state, i));
        assert_int_equal((uintptr_t) weir_pool_alloc(*state, i) % _Alignof(max_align_t), 0);
    }
}

static void zeroed_memory_is_zero_even_where_a_reset_left_something(void **state)
{
    for (int round = 0; round < 2; round++) {
        char *zeroed = weir_pool_zalloc(*state, 100);
        int *numbers = WEIR_NEW_ARRAY(*state, int, 300);

        for (size_t i = 0; i < 100; i++) {
            assert_int_equal(zeroed[i], 0);
        }

        for (size_t i = 0; i < 300; i++) {
            assert_int_equal(numbers[i], 0);
        }

        memset(zeroed, 'x', 100);
        memset(numbers, 'x', 300 * sizeof(int));
        weir_pool_reset(*state);
    }
}

static void a_product_that_overflows_is_refused(void **state)
{
    volatile size_t huge = SIZE_MAX / 2;

    assert_null(weir_pool_calloc(*state, huge, 3));
    assert_null(weir_pool_alloc(*state, huge + 1));
    assert_null(weir_pool_bytes(*state, huge * 2 + 1));
    assert_non_null(weir_pool_alloc(*state, 1));
}

static void the_limit_is_exact(void **state)
{
    weir_pool *pool = weir_pool_new(512, 10000);

    (void) state;

    assert_non_null(weir_pool_bytes(pool, 9000));
    assert_non_null(weir_pool_bytes(pool, 999));
    assert_null(weir_pool_bytes(pool, 2));
    assert_non_null(weir_pool_bytes(pool, 1));
    assert_null(weir_pool_bytes(pool, 1));
    assert_int_equal(weir_pool_used(pool), 10000);
    weir_pool_free(pool);
}

static void the_limit_holds_over_many_chunks(void **state)
{
    weir_pool *pool = weir_pool_new(512, 10000);
    size_t count = 0;

    (void) state;

    while (weir_pool_bytes(pool, 50) != NULL) {
        count++;
    }

    assert_int_equal(count, 200);
    weir_pool_free(pool);
}

static void a_refused_allocation_costs_nothing(void **state)
{
    weir_pool *pool = weir_pool_new(512, 100);

    (void) state;

    assert_null(weir_pool_alloc(pool, 101));
    assert_int_equal(weir_pool_used(pool), 0);
    assert_non_null(weir_pool_bytes(pool, 100));
    weir_pool_free(pool);
}

static void used_counts_what_was_handed_out(void **state)
{
    assert_int_equal(weir_pool_used(*state), 0);
    assert_non_null(weir_pool_bytes(*state, 10));
    assert_int_equal(weir_pool_used(*state), 10);
    assert_non_null(weir_pool_bytes(*state, 5000));
    assert_int_equal(weir_pool_used(*state), 5010);
    weir_pool_reset(*state);
    assert_int_equal(weir_pool_used(*state), 0);
}

static void a_reset_pool_is_as_a_new_one(void **state)
{
    weir_pool *pool = weir_pool_new(512, 3000);

    (void) state;

    for (int round = 0; round < 3; round++) {
        assert_non_null(weir_pool_bytes(pool, 2000));
        for (int i = 0; i < 20; i++) {
            assert_non_null(weir_pool_bytes(pool, 50));
        }
        assert_null(weir_pool_bytes(pool, 1));
        weir_pool_reset(pool);
    }

    weir_pool_free(pool);
}

static void clean_ups_run_last_in_first_out(void **state)
{
    weir_pool *pool = weir_pool_new(512, 0);

    (void) state;
    order[0] = '\0';

    assert_non_null(weir_pool_on_free(pool, note, a));
    assert_non_null(weir_pool_on_free(pool, note, b));
    weir_pool_reset(pool);
    assert_string_equal(order, "ba");

    assert_non_null(weir_pool_on_free(pool, note, c));
    weir_pool_free(pool);
    assert_string_equal(order, "bac");
}

static void a_cleaned_pool_keeps_its_memory(void **state)
{
    weir_pool *pool = weir_pool_new(512, 0);
    char *text = weir_pool_bytes(pool, 5);

    (void) state;
    order[0] = '\0';
    memcpy(text, "still", 5);

    assert_non_null(weir_pool_on_free(pool, note, a));
    assert_non_null(weir_pool_on_free(pool, note, b));
    weir_pool_clean(pool);
    assert_string_equal(order, "ba");
    assert_memory_equal(text, "still", 5);
    assert_non_null(weir_pool_bytes(pool, 1000));

    assert_non_null(weir_pool_on_free(pool, note, c));
    weir_pool_free(pool);
    assert_string_equal(order, "bac");
}

static void a_cancelled_clean_up_does_not_run(void **state)
{
    weir_pool *pool = weir_pool_new(512, 0);
    weir_pool_cleanup *middle;

    (void) state;
    order[0] = '\0';

    assert_non_null(weir_pool_on_free(pool, note, a));
    middle = weir_pool_on_free(pool, note, b);
    assert_non_null(weir_pool_on_free(pool, note, c));
    weir_pool_cancel(middle);
    weir_pool_cancel(NULL);
    weir_pool_free(pool);
    assert_string_equal(order, "ca");
}

/* A connection that lives for days may register and cancel without end. */
static void cancelled_handles_are_used_again(void **state)
{
    weir_pool *pool = weir_pool_new(512, 400);

    (void) state;
    order[0] = '\0';

    for (int i = 0; i < 1000; i++) {
        weir_pool_cleanup *cleanup = weir_pool_on_free(pool, note, x);

        assert_non_null(cleanup);
        weir_pool_cancel(cleanup);
    }

    weir_pool_free(pool);
    assert_string_equal(order, "");
}

static weir_pool *pool_of_chain;
static weir_pool_cleanup *cleanup_of_chain;

static void note_and_add_another(void *subject)
{
    note(one);
    assert_non_null(weir_pool_on_free(pool_of_chain, note, subject));
}

static void cancel_the_one_that_runs(void *subject)
{
    note(subject);
    weir_pool_cancel(cleanup_of_chain);
}

static void a_clean_up_may_add_one_and_cancel_itself(void **state)
{
    (void) state;
    order[0] = '\0';
    pool_of_chain = weir_pool_new(512, 0);

    assert_non_null(weir_pool_on_free(pool_of_chain, note_and_add_another, two));
    cleanup_of_chain = weir_pool_on_free(pool_of_chain, cancel_the_one_that_runs, zero);
    weir_pool_free(pool_of_chain);
    assert_string_equal(order, "012");
}

static void freeing_nothing_is_no_mistake(void **state)
{
    (void) state;
    weir_pool_free(NULL);
}

static void assert_zero(const char *memory, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        assert_int_equal(memory[i], 0);
    }
}

static void an_object_may_have_a_pool_of_its_own(void **state)
{
    weir_pool *pool = NULL;
    char *object = weir_pool_new_with(5000, 256, &pool);

    (void) state;
    assert_non_null(object);
    assert_zero(object, 5000);
    assert_in_range(weir_pool_used(pool), 5000, 5000 + 16);
    weir_pool_free(pool);

    pool = NULL;
    assert_null(weir_pool_new_with(SIZE_MAX / 2, 256, &pool));
    assert_null(pool);
}

static void growing_keeps_the_bytes(void **state)
{
    const size_t sizes[] = {1, 2, 40, 41, 300, 1000, 5000, 60000};
    char *memory = NULL;
    size_t before = 0;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        memory = weir_pool_grow(*state, memory, before, sizes[i]);
        assert_non_null(memory);

        for (size_t at = 0; at < before; at++) {
            assert_int_equal(memory[at], (char) at);
        }

        for (size_t at = before; at < sizes[i]; at++) {
            memory[at] = (char) at;
        }

        before = sizes[i];
        if (i % 2 == 0) {
            memset(weir_pool_alloc(*state, 3), 'x', 3);
        }
    }
}

/* With WEIR_POOL_SEPARATE it moves always. */
static void the_last_allocation_grows_in_its_place(void **state)
{
    char *memory = weir_pool_bytes(*state, 10);
    char *grown = weir_pool_grow(*state, memory, 10, 200);

    if (!WEIR_POOL_SEPARATE) {
        assert_ptr_equal(grown, memory);
        assert_int_equal(weir_pool_used(*state), 200);
    }

    weir_pool_trim(*state, grown, 200, 20);
    if (!WEIR_POOL_SEPARATE) {
        assert_int_equal(weir_pool_used(*state), 20);
        assert_ptr_equal(weir_pool_bytes(*state, 1), grown + 20);
        weir_pool_trim(*state, grown, 20, 0);
        assert_int_equal(weir_pool_used(*state), 21);
    }
}

static void what_cannot_grow_stays(void **state)
{
    weir_pool *pool = weir_pool_new(512, 1000);
    char *small = weir_pool_bytes(pool, 10);
    char *large;

    (void) state;
    memcpy(small, "some bytes", 10);

    assert_null(weir_pool_grow(pool, small, 10, 1001));
    large = weir_pool_bytes(pool, 600);
    memset(large, 'x', 600);
    assert_null(weir_pool_grow(pool, large, 600, 1001));
    assert_null(weir_pool_grow(pool, small, 10, 500));
    assert_memory_equal(small, "some bytes", 10);
    assert_int_equal(large[599], 'x');
    assert_int_equal(weir_pool_used(pool), 610);
    weir_pool_free(pool);
}

static void clean_nothing(void *subject)
{
    (void) subject;
}

static bool use_everything(weir_pool *pool)
{
    return weir_pool_alloc(pool, 100) != NULL && weir_pool_bytes(pool, 300) != NULL
           && weir_pool_on_free(pool, clean_nothing, NULL) != NULL
           && weir_pool_zalloc(pool, 700) != NULL;
}

static void every_allocation_may_fail(void **state)
{
    (void) state;
    assert_true(unit_fail_each_allocation(use_everything) >= 1100);
}

/* Chunks go from pool to pool: what one wrote is not another's, and sizes are not mixed up. */
static void a_pool_of_pages_gives_zeroed_memory_wherever_it_is_from(void **state)
{
    weir_pool *pool = weir_pool_new_of_pages();
    /* Up to several chunks; the largest are allocations of their own. */
    static const size_t sizes[] = {1, 40, 4096, 100000, 300000, 3000000};

    (void) state;
    for (size_t i = 0; i < 60; i++) {
        size_t bytes = sizes[i % 6];
        char *text = weir_pool_bytes(pool, bytes);
        char *zeroed;

        /* Some is written to and given back, some is kept. */
        assert_non_null(text);
        memset(text, 'x', bytes);
        weir_pool_trim(pool, text, bytes, i % 2 == 0 ? 0 : bytes);
        zeroed = weir_pool_zalloc(pool, bytes);
        assert_non_null(zeroed);
        assert_zero(zeroed, bytes);
        memset(zeroed, 'y', bytes);
    }
    weir_pool_reset(pool);
    assert_zero(weir_pool_zalloc(pool, 5000), 5000);
    weir_pool_free(pool);
}

static size_t counted_down_to;

static void count_down(void *subject)
{
    assert_int_equal(*(const size_t *) subject, counted_down_to - 1);
    counted_down_to--;
}

static void clean_ups_of_a_pool_of_pages_run_last_in_first_out_too(void **state)
{
    weir_pool *pool = weir_pool_new_of_pages();
    static size_t numbers[200];

    (void) state;
    for (size_t i = 0; i < 200; i++) {
        numbers[i] = i;
        assert_non_null(weir_pool_on_free(pool, count_down, &numbers[i]));
    }
    counted_down_to = 200;
    weir_pool_free(pool);
    assert_int_equal(counted_down_to, 0);
}

static void pools_of_all_sizes_come_and_go(void **state)
{
    weir_pool *pools[40] = {0};

    (void) state;

    for (unsigned i = 0; i < 4000; i++) {
        unsigned at = i * 7 % 40;
        size_t chunk = (size_t) 1 << (i * 13 % 20);
        char *memory;

        weir_pool_free(pools[at]);
        pools[at] = weir_pool_new(chunk + (i % 5 == 0), 0);
        memory = weir_pool_bytes(pools[at], chunk / 2);
        memset(memory, 'x', chunk / 2);
        assert_non_null(weir_pool_alloc(pools[at], chunk / 4));
    }

    for (unsigned i = 0; i < 40; i++) {
        weir_pool_free(pools[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_with_pool(allocations_do_not_overlap),
        unit_test_with_pool(alloc_is_aligned_for_any_type),
        unit_test_with_pool(zeroed_memory_is_zero_even_where_a_reset_left_something),
        unit_test_with_pool(a_product_that_overflows_is_refused),
        cmocka_unit_test(the_limit_is_exact),
        cmocka_unit_test(the_limit_holds_over_many_chunks),
        cmocka_unit_test(a_refused_allocation_costs_nothing),
        unit_test_with_pool(used_counts_what_was_handed_out),
        cmocka_unit_test(a_reset_pool_is_as_a_new_one),
        cmocka_unit_test(clean_ups_run_last_in_first_out),
        cmocka_unit_test(a_cleaned_pool_keeps_its_memory),
        cmocka_unit_test(a_cancelled_clean_up_does_not_run),
        cmocka_unit_test(cancelled_handles_are_used_again),
        cmocka_unit_test(a_clean_up_may_add_one_and_cancel_itself),
        cmocka_unit_test(freeing_nothing_is_no_mistake),
        unit_test_with_pool(growing_keeps_the_bytes),
        unit_test_with_pool(the_last_allocation_grows_in_its_place),
        cmocka_unit_test(what_cannot_grow_stays),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(an_object_may_have_a_pool_of_its_own),
        cmocka_unit_test(a_pool_of_pages_gives_zeroed_memory_wherever_it_is_from),
        cmocka_unit_test(clean_ups_of_a_pool_of_pages_run_last_in_first_out_too),
        cmocka_unit_test(pools_of_all_sizes_come_and_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
