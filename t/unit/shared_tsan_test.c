/* Threads in place of processes, so that ThreadSanitizer sees what they share. */

#include "t/unit/shared_unit.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "core/shared/ledger.h"
#include "core/shared/tally.h"

/*
 * What ThreadSanitizer must be told. Only later ones than that of clang 14 know this function, and others take what it
 * locks for unlocked; and of all that wait, it notes an inherited lock for none.  Here it is made of one that it knows well.
 */
int pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock, const struct timespec *until)
{
    int error;

    (void) clock;
    (void) until;
    while ((error = pthread_mutex_trylock(mutex)) == EBUSY) {
        sched_yield();
    }
    return error;
}

/* And that all that was done before a death is done before the dead one's lock is taken: the kernel sees to that. */
static _Atomic uint64_t deaths_seen;

int pthread_mutex_consistent(pthread_mutex_t *mutex)
{
    int (*consistent)(pthread_mutex_t *) =
        (int (*)(pthread_mutex_t *)) dlsym(RTLD_NEXT, "pthread_mutex_consistent");

    return atomic_load(&deaths_seen) == 0 ? -1 : consistent(mutex);
}

enum { THREADS = 4, ROUNDS = 20000, KEYS = 60, COLUMNS = 5, BYTES = 32 * 1024, VALUE_MAX = 900 };

typedef struct {
    weir_table *table, *tally;
    weir_ledger ledger;
    _Atomic uint64_t wrong, entered;
} shared_things;

typedef struct {
    shared_things *things;
    uint32_t slot;
    uint64_t random;
} worker;

static uint64_t random_below(worker *w, uint64_t limit)
{
    w->random = w->random * 6364136223846793005 + 1442695040888963407;
    return (w->random >> 33) % limit;
}

static void work_once(worker *w)
{
    shared_things *things = w->things;
    char text[32], value[VALUE_MAX];
    uint64_t number = random_below(w, KEYS);
    weir_str key = unit_key(text, number);
    size_t len;

    switch (random_below(w, 7)) {
    case 0:
    case 1:
        things->wrong += !weir_table_put(
            things->table, key,
            unit_value(value, 8 + random_below(w, VALUE_MAX - 8), random_below(w, 1 << 30)),
            WEIR_TABLE_FOREVER);
        break;

    case 2:
        weir_table_remove(things->table, key);
        break;

    case 3:
        things->wrong +=
            !weir_table_enter(things->table, key, WEIR_TABLE_FOREVER, unit_add_one, NULL);
        break;

    case 4:
        if (weir_tally_up(things->tally, key, w->slot, 3) == WEIR_TALLY_COUNTED) {
            things->wrong += weir_tally_sum(things->tally, key) > 3;
            weir_tally_down(things->tally, key, w->slot);
        }
        break;

    case 5:
        weir_ledger_up(&things->ledger, w->slot, number % COLUMNS);
        things->wrong += weir_ledger_sum(&things->ledger, number % COLUMNS) == 0;
        weir_ledger_down(&things->ledger, w->slot, number % COLUMNS);
        break;

    default:
        if (weir_table_get(things->table, key, value, sizeof(value), &len)) {
            things->wrong += len != 0 && !unit_value_is_whole(value, len);
        }
    }
}

static bool end_thread(_Atomic uint64_t *numbers, bool is_new, void *subject)
{
    (void) numbers;
    (void) is_new;
    deaths_seen++;
    pthread_exit(subject);
}

static void *work(void *subject)
{
    worker *w = subject;

    for (unsigned round = 0; round < ROUNDS; round++) {
        work_once(w);
    }
    return NULL;
}

static void *work_and_die_over_it(void *subject)
{
    worker *w = subject;

    for (unsigned round = 0; round < 50; round++) {
        work_once(w);
    }
    (void) !weir_table_enter(w->things->table, WEIR_STR("last"), WEIR_TABLE_FOREVER, end_thread,
                             subject);
    return NULL;
}

static shared_things *things_new(weir_pool *pool)
{
    static shared_things things;
    weir_table_shape shape = {.numbers = 1};

    weir_clock_update();
    things = (shared_things){
        .table = unit_table(pool, unit_shared_memory(BYTES), BYTES, shape, true),
        .tally = unit_table(pool, unit_shared_memory(BYTES), BYTES, WEIR_TALLY_SHAPE, true),
        .ledger = weir_ledger_at(unit_shared_memory(weir_ledger_bytes(THREADS + 1, COLUMNS)),
                                 THREADS + 1, COLUMNS),
    };
    return &things;
}

static void run(shared_things *things, void *(*dies)(void *subject), unsigned deaths)
{
    pthread_t threads[THREADS], dying;
    worker workers[THREADS + 1];

    for (uint32_t i = 0; i <= THREADS; i++) {
        workers[i] = (worker){.things = things, .slot = i, .random = i};
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < deaths; i++) {
        assert_int_equal(pthread_create(&dying, NULL, dies, &workers[THREADS]), 0);
        assert_int_equal(pthread_join(dying, NULL), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }

    assert_int_equal(things->wrong, 0);
    assert_int_equal(weir_table_tell(things->tally).entries, 0);
    for (size_t column = 0; column < COLUMNS; column++) {
        assert_int_equal(weir_ledger_sum(&things->ledger, column), 0);
    }
}

static void threads_may_do_all_at_once(void **state)
{
    shared_things *things = things_new(*state);

    run(things, NULL, 0);
    assert_int_equal(weir_table_tell(things->table).rebuilt, 0);
    unit_assert_nothing_lost(things->table);
}

static void some_may_end_in_the_middle(void **state)
{
    enum { DEATHS = 50 };
    shared_things *things = things_new(*state);

    run(things, work_and_die_over_it, DEATHS);
    assert_int_equal(weir_table_tell(things->table).rebuilt, DEATHS);
    unit_assert_nothing_lost(things->table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_with_pool(threads_may_do_all_at_once),
        unit_test_with_pool(some_may_end_in_the_middle),
    };

    return cmocka_run_group_tests_name("shared_tsan", tests, NULL, NULL);
}
