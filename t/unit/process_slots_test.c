/* Slots: a number for each process that shares the zones. */

#include "t/unit/process_unit.h"

#include <sys/wait.h>

#include "core/process/slots_internal.h"

static unsigned gone_count, gone_last;

static void gone(unsigned slot, void *subject)
{
    assert_ptr_equal(subject, &gone_count);
    gone_count++;
    gone_last = slot;
}

static weir_cycle *cycle_with_hearer(weir_cycle *previous)
{
    weir_cycle *cycle = process_load("", previous);

    assert_non_null(cycle);
    assert_true(weir_worker_on_gone(cycle, gone, &gone_count));
    gone_count = 0;
    return cycle;
}

static void the_lowest_free_one_is_taken(void **state)
{
    weir_cycle *cycle = cycle_with_hearer(NULL);
    unsigned slots[3], again;

    (void) state;
    for (unsigned i = 0; i < 3; i++) {
        assert_true(weir_slot_take(cycle, &slots[i]));
        assert_int_equal(slots[i], i);
    }
    weir_slot_clear(cycle, 1);
    assert_int_equal(gone_count, 1);
    assert_int_equal(gone_last, 1);
    assert_true(weir_slot_take(cycle, &again));
    assert_int_equal(again, 1);
    assert_int_equal(weir_worker_slots_used(cycle), 3);
    weir_cycle_free(cycle);
}

static void there_is_an_end_of_them(void **state)
{
    weir_cycle *cycle = cycle_with_hearer(NULL);
    unsigned slot;

    (void) state;
    for (unsigned i = 0; i < WEIR_WORKER_SLOTS; i++) {
        assert_true(weir_slot_take(cycle, &slot));
    }
    assert_false(weir_slot_take(cycle, &slot));
    weir_slot_clear(cycle, 500);
    assert_true(weir_slot_take(cycle, &slot));
    assert_int_equal(slot, 500);
    weir_cycle_free(cycle);
}

static void they_are_those_of_all_generations(void **state)
{
    weir_cycle *one = cycle_with_hearer(NULL), *two = cycle_with_hearer(one);
    unsigned slot;

    (void) state;
    assert_true(weir_slot_take(one, &slot));
    assert_true(weir_slot_take(two, &slot));
    assert_int_equal(slot, 1);
    weir_cycle_free(one);
    weir_cycle_free(two);
}

/* Another master was killed, and then its workers: nobody waited for them. */
static void those_of_the_dead_are_swept(void **state)
{
    weir_cycle *cycle = cycle_with_hearer(NULL);
    unsigned mine, theirs;
    pid_t child = fork();

    (void) state;
    if (child == 0) {
        _exit(0);
    }
    assert_true(weir_slot_take(cycle, &mine));
    assert_true(weir_slot_take(cycle, &theirs));
    weir_slot_name(cycle, theirs, child);
    assert_int_equal(waitpid(child, NULL, 0), child);

    weir_slots_sweep(cycle);
    assert_int_equal(gone_count, 1);
    assert_int_equal(gone_last, theirs);
    weir_slots_sweep(cycle);
    assert_int_equal(gone_count, 1);
    weir_cycle_free(cycle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lowest_free_one_is_taken),
        cmocka_unit_test(there_is_an_end_of_them),
        cmocka_unit_test(they_are_those_of_all_generations),
        cmocka_unit_test(those_of_the_dead_are_swept),
    };

    return cmocka_run_group_tests(tests, process_setup, process_teardown);
}
