#include "t/unit/shared_unit.h"

#include <signal.h>

#include "core/shared/lock.h"

/* Each test's own, in memory that children share. */
typedef struct {
    weir_shared_lock lock;
    _Atomic int held;
    uint64_t plain;
} guarded;

static guarded *guarded_new(void)
{
    guarded *g = unit_shared_memory(sizeof(*g));

    weir_shared_lock_init(&g->lock);
    return g;
}

static void take(guarded *g)
{
    assert_int_equal(weir_shared_lock_take(&g->lock), WEIR_LOCK_TAKEN);
}

/* A child that has the lock, until it is killed. */
static pid_t holder_new(guarded *g)
{
    pid_t child = fork();

    assert_true(child != -1);
    if (child == 0) {
        g->held = weir_shared_lock_take(&g->lock) != WEIR_LOCK_MISSED;
        for (;;) {
            pause();
        }
    }
    while (!g->held) {
        sched_yield();
    }
    g->held = 0;
    return child;
}

static void end(pid_t child)
{
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void it_is_taken_and_given_back(void **state)
{
    guarded *g = guarded_new();

    (void) state;
    for (unsigned i = 0; i < 100; i++) {
        take(g);
        weir_shared_lock_give(&g->lock);
    }
}

static void processes_that_count_under_it_lose_no_count(void **state)
{
    enum { CHILDREN = 4, COUNTS = 50000 };
    guarded *g = guarded_new();

    (void) state;
    for (unsigned i = 0; i < CHILDREN; i++) {
        if (fork() == 0) {
            for (unsigned n = 0; n < COUNTS; n++) {
                if (weir_shared_lock_take(&g->lock) != WEIR_LOCK_TAKEN) {
                    _exit(1);
                }
                g->plain++;
                weir_shared_lock_give(&g->lock);
            }
            _exit(0);
        }
    }
    for (unsigned i = 0; i < CHILDREN; i++) {
        int status;

        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(g->plain, CHILDREN * COUNTS);
}

static void whoever_takes_it_after_a_death_is_told_once(void **state)
{
    guarded *g = guarded_new();

    (void) state;
    end(holder_new(g));
    assert_int_equal(weir_shared_lock_take(&g->lock), WEIR_LOCK_INHERITED);
    weir_shared_lock_give(&g->lock);
    take(g);
    weir_shared_lock_give(&g->lock);
}

static void an_heir_that_dies_has_an_heir(void **state)
{
    guarded *g = guarded_new();

    (void) state;
    for (unsigned i = 0; i < 5; i++) {
        end(holder_new(g));
    }
    assert_int_equal(weir_shared_lock_take(&g->lock), WEIR_LOCK_INHERITED);
    weir_shared_lock_give(&g->lock);
}

/* How long the lock was waited for, whose holder is killed after 20 ms. */
static uint64_t waited_us(guarded *g)
{
    pid_t holder = holder_new(g);
    uint64_t from_us, took_us;
    pid_t killer = fork();

    assert_true(killer != -1);
    if (killer == 0) {
        const struct timespec moment = {.tv_nsec = 20000000};

        nanosleep(&moment, NULL);
        kill(holder, SIGKILL);
        _exit(0);
    }
    from_us = weir_clock_monotonic_us();
    assert_int_equal(weir_shared_lock_take(&g->lock), WEIR_LOCK_INHERITED);
    took_us = weir_clock_monotonic_us() - from_us;
    weir_shared_lock_give(&g->lock);
    while (wait(NULL) > 0) {
    }
    return took_us;
}

static void who_waits_is_woken_by_the_death(void **state)
{
    guarded *g = guarded_new();
    uint64_t least_us = UINT64_MAX;

    /* A machine that stands still spoils one of them. */
    (void) state;
    for (unsigned i = 0; i < 5 && least_us >= 900000; i++) {
        uint64_t took_us = waited_us(g);

        least_us = took_us < least_us ? took_us : least_us;
    }
    assert_true(least_us < 900000);
}

static void nobody_waits_for_ever(void **state)
{
    guarded *g = guarded_new();
    pid_t holder = holder_new(g);

    (void) state;
    assert_int_equal(weir_shared_lock_take(&g->lock), WEIR_LOCK_MISSED);
    end(holder);
    assert_int_equal(weir_shared_lock_take(&g->lock), WEIR_LOCK_INHERITED);
    weir_shared_lock_give(&g->lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_taken_and_given_back),
        cmocka_unit_test(processes_that_count_under_it_lose_no_count),
        cmocka_unit_test(whoever_takes_it_after_a_death_is_told_once),
        cmocka_unit_test(an_heir_that_dies_has_an_heir),
        cmocka_unit_test(who_waits_is_woken_by_the_death),
        cmocka_unit_test(nobody_waits_for_ever),
    };

    return cmocka_run_group_tests_name("shared_lock", tests, NULL, NULL);
}
