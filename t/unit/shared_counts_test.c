/* Ledgers and tallies: counts that fall again. */

#include "t/unit/shared_unit.h"

#include "core/shared/ledger.h"
#include "core/shared/tally.h"

enum { SLOTS = 20, COLUMNS = 33 };

static weir_ledger ledger_new(void)
{
    size_t bytes = weir_ledger_bytes(SLOTS, COLUMNS);

    assert_true(bytes >= SLOTS * COLUMNS * sizeof(uint32_t));
    return weir_ledger_at(unit_shared_memory(bytes), SLOTS, COLUMNS);
}

static void a_ledger_sums_what_each_slot_has_counted(void **state)
{
    weir_ledger ledger = ledger_new();

    (void) state;
    for (size_t slot = 0; slot < SLOTS; slot++) {
        for (size_t column = 0; column < COLUMNS; column++) {
            for (size_t n = 0; n < slot + column; n++) {
                weir_ledger_up(&ledger, slot, column);
            }
        }
    }
    for (size_t column = 0; column < COLUMNS; column++) {
        assert_int_equal(weir_ledger_sum(&ledger, column),
                         SLOTS * column + SLOTS * (SLOTS - 1) / 2);
    }
    weir_ledger_down(&ledger, 3, 5);
    assert_int_equal(weir_ledger_sum(&ledger, 5), SLOTS * 5 + SLOTS * (SLOTS - 1) / 2 - 1);
    assert_int_equal(weir_ledger_sum(&ledger, 6), SLOTS * 6 + SLOTS * (SLOTS - 1) / 2);
}

static void what_a_dead_worker_had_counted_in_a_ledger_is_cleared(void **state)
{
    weir_ledger ledger = ledger_new();

    (void) state;
    weir_ledger_up(&ledger, 0, 7);
    weir_ledger_up(&ledger, 19, 7);
    weir_ledger_up(&ledger, 19, 32);
    weir_ledger_clear_slot(&ledger, 19);
    assert_int_equal(weir_ledger_sum(&ledger, 7), 1);
    assert_int_equal(weir_ledger_sum(&ledger, 32), 0);
    weir_ledger_up(&ledger, 19, 7);
    assert_int_equal(weir_ledger_sum(&ledger, 7), 2);
}

static void a_column_may_come_to_count_something_else(void **state)
{
    weir_ledger ledger = ledger_new();

    (void) state;
    weir_ledger_up(&ledger, 1, 4);
    weir_ledger_up(&ledger, 2, 4);
    weir_ledger_up(&ledger, 2, 5);
    weir_ledger_clear_column(&ledger, 4);
    assert_int_equal(weir_ledger_sum(&ledger, 4), 0);
    assert_int_equal(weir_ledger_sum(&ledger, 5), 1);
}

static void a_process_may_store_what_it_has_counted_itself(void **state)
{
    weir_ledger ledger = ledger_new();
    _Atomic uint32_t *own = weir_ledger_own(&ledger, 3, 4);

    (void) state;
    weir_ledger_up(&ledger, 1, 4);
    atomic_store(own, 7);
    assert_int_equal(weir_ledger_sum(&ledger, 4), 8);
    weir_ledger_clear_slot(&ledger, 3);
    assert_int_equal(weir_ledger_sum(&ledger, 4), 1);
}

static void a_ledger_does_not_count_below_zero(void **state)
{
    weir_ledger ledger = ledger_new();

    (void) state;
    weir_ledger_up(&ledger, 1, 0);
    weir_ledger_down(&ledger, 1, 0);
    weir_ledger_down(&ledger, 1, 0);
    weir_ledger_down(&ledger, 2, 0);
    assert_int_equal(weir_ledger_sum(&ledger, 0), 0);
}

static void a_ledger_too_large_has_no_size(void **state)
{
    (void) state;
    assert_int_equal(weir_ledger_bytes(SIZE_MAX / 4, 1000), 0);
    assert_int_equal(weir_ledger_bytes(2, SIZE_MAX), 0);
}

/* ---- tallies */

static weir_table *tally_new(weir_pool *pool, size_t bytes)
{
    weir_table *tally = unit_table(pool, unit_shared_memory(bytes), bytes, WEIR_TALLY_SHAPE, true);

    assert_non_null(tally);
    return tally;
}

static void a_tally_holds_the_limit_against_all_slots_together(void **state)
{
    weir_table *tally = tally_new(*state, WEIR_TABLE_BYTES_MIN);
    weir_str key = WEIR_STR("192.0.2.1");

    assert_int_equal(weir_tally_up(tally, key, 0, 3), WEIR_TALLY_COUNTED);
    assert_int_equal(weir_tally_up(tally, key, 1, 3), WEIR_TALLY_COUNTED);
    assert_int_equal(weir_tally_up(tally, key, 1, 3), WEIR_TALLY_COUNTED);
    assert_int_equal(weir_tally_up(tally, key, 0, 3), WEIR_TALLY_OVER);
    assert_int_equal(weir_tally_up(tally, key, 2, 3), WEIR_TALLY_OVER);
    assert_int_equal(weir_tally_up(tally, WEIR_STR("192.0.2.2"), 2, 3), WEIR_TALLY_COUNTED);
    assert_int_equal(weir_tally_sum(tally, key), 3);

    weir_tally_down(tally, key, 1);
    assert_int_equal(weir_tally_up(tally, key, 2, 3), WEIR_TALLY_COUNTED);
    assert_int_equal(weir_tally_up(tally, key, 0, 3), WEIR_TALLY_OVER);
}

static void a_count_of_none_takes_no_room(void **state)
{
    weir_table *tally = tally_new(*state, WEIR_TABLE_BYTES_MIN);
    char key[32];

    for (uint64_t i = 0; i < 1000; i++) {
        assert_int_equal(weir_tally_up(tally, unit_key(key, i), 5, 1), WEIR_TALLY_COUNTED);
        weir_tally_down(tally, unit_key(key, i), 5);
        weir_tally_down(tally, unit_key(key, i), 5);
    }
    assert_int_equal(weir_table_tell(tally).entries, 0);
}

static void a_full_tally_says_so_and_forgets_nothing(void **state)
{
    weir_table *tally = tally_new(*state, WEIR_TABLE_BYTES_MIN);
    size_t cells = weir_table_tell(tally).cells;
    char key[32];

    for (uint64_t i = 0; i < cells; i++) {
        assert_int_equal(weir_tally_up(tally, unit_key(key, i), 5, 9), WEIR_TALLY_COUNTED);
    }
    assert_int_equal(weir_tally_up(tally, WEIR_STR("more"), 5, 9), WEIR_TALLY_FULL);
    for (uint64_t i = 0; i < cells; i++) {
        assert_int_equal(weir_tally_sum(tally, unit_key(key, i)), 1);
    }
}

static void what_a_dead_worker_had_tallied_is_dropped(void **state)
{
    weir_table *tally = tally_new(*state, 1 << 16);
    char key[32];

    for (uint64_t i = 0; i < 50; i++) {
        for (uint32_t slot = 0; slot < 3; slot++) {
            assert_int_equal(weir_tally_up(tally, unit_key(key, i), slot, 9), WEIR_TALLY_COUNTED);
            assert_int_equal(weir_tally_up(tally, unit_key(key, i), slot, 9), WEIR_TALLY_COUNTED);
        }
    }
    weir_tally_clear_slot(tally, 1);
    for (uint64_t i = 0; i < 50; i++) {
        assert_int_equal(weir_tally_sum(tally, unit_key(key, i)), 4);
        weir_tally_down(tally, unit_key(key, i), 1);
        assert_int_equal(weir_tally_sum(tally, unit_key(key, i)), 4);
    }
    weir_tally_clear_slot(tally, 0);
    weir_tally_clear_slot(tally, 2);
    assert_int_equal(weir_table_tell(tally).entries, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ledger_sums_what_each_slot_has_counted),
        cmocka_unit_test(what_a_dead_worker_had_counted_in_a_ledger_is_cleared),
        cmocka_unit_test(a_column_may_come_to_count_something_else),
        cmocka_unit_test(a_process_may_store_what_it_has_counted_itself),
        cmocka_unit_test(a_ledger_does_not_count_below_zero),
        cmocka_unit_test(a_ledger_too_large_has_no_size),
        unit_test_with_pool(a_tally_holds_the_limit_against_all_slots_together),
        unit_test_with_pool(a_count_of_none_takes_no_room),
        unit_test_with_pool(a_full_tally_says_so_and_forgets_nothing),
        unit_test_with_pool(what_a_dead_worker_had_tallied_is_dropped),
    };

    return cmocka_run_group_tests_name("shared_counts", tests, NULL, NULL);
}
