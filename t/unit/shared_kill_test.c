/*
 * Kill -9 at any instruction: at random ones while others work on, and at each one in turn.
 *
 * WEIR_KILL_SECONDS says for how long, in place of a few seconds.
 */

#include "t/unit/shared_unit.h"
#include "t/unit/step_unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "core/base/number.h"
#include "core/base/random.h"
#include "core/shared/ledger.h"
#include "core/shared/tally.h"

static uint64_t seconds_to_kill(void)
{
    uint64_t seconds;

    return weir_parse_uint(weir_str_from_z(getenv("WEIR_KILL_SECONDS")), 86400, &seconds) ? seconds
                                                                                          : 3;
}

static uint64_t random_below(uint64_t limit)
{
    return weir_random_fast() % limit;
}

static pid_t checked_fork(void)
{
    pid_t child = fork();

    assert_true(child != -1);
    if (child == 0) {
        weir_random_reseed();
    }
    return child;
}

/* ---- at random */

enum {
    WORKERS = 4,
    SLOTS = 8,
    COLUMNS = 20,
    KEYS = 150,
    VALUE_MAX = 3000,
    TABLE_BYTES = 100 * 1024, /* less than all values take */
    TALLY_BYTES = 32 * 1024,
};

typedef struct {
    _Alignas(64) char table[TABLE_BYTES];
    _Alignas(64) char tally[TALLY_BYTES];
    _Alignas(64) char ledger[4096];
    _Atomic uint64_t done, wrong;
} zone;

typedef struct {
    zone *memory;
    weir_table *table, *tally;
    weir_ledger ledger;
} structures;

/* Each process maps the zone for itself, so that addresses differ. */
static structures structures_open(weir_pool *pool, int fd, bool is_new)
{
    structures s;

    (void) mmap(NULL, 4096 * (1 + random_below(1000)), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                0);
    s.memory = mmap(NULL, sizeof(zone), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(s.memory, MAP_FAILED);
    s.table =
        unit_table(pool, s.memory->table, TABLE_BYTES, (weir_table_shape){.numbers = 1}, is_new);
    s.tally = unit_table(pool, s.memory->tally, TALLY_BYTES, WEIR_TALLY_SHAPE, is_new);
    assert_true(weir_ledger_bytes(SLOTS, COLUMNS) <= sizeof(s.memory->ledger));
    s.ledger = weir_ledger_at(s.memory->ledger, SLOTS, COLUMNS);
    return s;
}

static void check_value(const structures *s, weir_str key)
{
    static char got[VALUE_MAX];
    size_t len;

    if (weir_table_get(s->table, key, got, sizeof(got), &len) && len != 0
        && !unit_value_is_whole(got, len)) {
        s->memory->wrong++;
    }
}

static void work_once(const structures *s, uint32_t slot)
{
    static char value[VALUE_MAX];
    char text[32];
    uint64_t number = random_below(KEYS);
    weir_str key = unit_key(text, number);

    switch (random_below(8)) {
    case 0:
    case 1:
        s->memory->wrong += !weir_table_put(
            s->table, key, unit_value(value, 8 + random_below(VALUE_MAX - 8), weir_random_fast()),
            WEIR_TABLE_FOREVER);
        break;

    case 2:
        weir_table_remove(s->table, key);
        break;

    case 3:
        s->memory->wrong +=
            !weir_table_enter(s->table, key, 1 + random_below(3), unit_add_one, NULL);
        break;

    case 4:
        if (weir_tally_up(s->tally, key, slot, 1000) == WEIR_TALLY_COUNTED
            && random_below(4) != 0) {
            weir_tally_down(s->tally, key, slot);
        }
        break;

    case 5:
        weir_ledger_up(&s->ledger, slot, number % COLUMNS);
        if (random_below(4) != 0) {
            weir_ledger_down(&s->ledger, slot, number % COLUMNS);
        }
        break;

    default:
        check_value(s, key);
    }
    weir_clock_update();
    s->memory->done++;
}

static pid_t worker_start(int fd, uint32_t slot)
{
    pid_t child = checked_fork();

    if (child == 0) {
        structures s = structures_open(weir_pool_new(1024, 0), fd, false);

        for (;;) {
            work_once(&s, slot);
        }
    }
    return child;
}

static void worker_kill(const structures *s, pid_t worker, uint32_t slot)
{
    int status;

    assert_int_equal(kill(worker, SIGKILL), 0);
    assert_int_equal(waitpid(worker, &status, 0), worker);
    /* It had not ended by itself. */
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    weir_ledger_clear_slot(&s->ledger, slot);
    weir_tally_clear_slot(s->tally, slot);
}

static void workers_killed_at_random_leave_all_that_they_share_usable(void **state)
{
    int fd = memfd_create("unit", 0);
    uint64_t until_us = weir_clock_monotonic_us() + seconds_to_kill() * 1000000;
    uint64_t killed = 0;
    pid_t workers[WORKERS];
    structures s;
    char key[32];

    assert_int_equal(ftruncate(fd, sizeof(zone)), 0);
    s = structures_open(*state, fd, true);
    for (uint32_t slot = 0; slot < WORKERS; slot++) {
        workers[slot] = worker_start(fd, slot);
    }

    while (weir_clock_monotonic_us() < until_us) {
        const struct timespec moment = {.tv_nsec = (long) random_below(2000000)};
        uint32_t slot = (uint32_t) random_below(WORKERS);

        nanosleep(&moment, NULL);
        worker_kill(&s, workers[slot], slot);
        workers[slot] = worker_start(fd, slot);
        killed++;
    }
    for (uint32_t slot = 0; slot < WORKERS; slot++) {
        worker_kill(&s, workers[slot], slot);
    }

    assert_int_equal(s.memory->wrong, 0);
    for (uint64_t i = 0; i < KEYS; i++) {
        check_value(&s, unit_key(key, i));
    }
    assert_int_equal(s.memory->wrong, 0);
    print_message(
        "%llu killed, %llu in the middle of something; %llu operations\n",
        (unsigned long long) killed,
        (unsigned long long) (weir_table_tell(s.table).rebuilt + weir_table_tell(s.tally).rebuilt),
        (unsigned long long) s.memory->done);
    /* Otherwise nothing was shown. */
    assert_true(weir_table_tell(s.table).rebuilt > 0);

    unit_assert_nothing_lost(s.table);
    assert_int_equal(weir_table_tell(s.tally).free_cells, weir_table_tell(s.tally).cells);
    for (size_t column = 0; column < COLUMNS; column++) {
        assert_int_equal(weir_ledger_sum(&s.ledger, column), 0);
    }
    munmap(s.memory, sizeof(zone));
    close(fd);
}

/* ---- at each instruction */

enum { STEP_BYTES = 8192, STEP_KEYS = 8, STEP_KILLS_MIN = 16 };

/* What a victim is about to do when it is killed. */
typedef struct {
    const char *name;
    void (*act)(weir_table *table);
    bool is_heir; /* of one that died before it, so that it begins by mending */
} scene;

static bool stop_here(_Atomic uint64_t *numbers, bool is_new, void *subject)
{
    (void) numbers;
    (void) is_new;
    (void) subject;
    _exit(0);
}

/* Made beforehand: only what the table does is stepped through. */
static struct {
    weir_str key, taken_away, added, read, value;
    char texts[4][32], bytes[600];
} things;

static void things_make(void)
{
    things.key = unit_key(things.texts[0], 3);
    things.taken_away = unit_key(things.texts[1], 5);
    things.added = unit_key(things.texts[2], 100);
    things.read = unit_key(things.texts[3], 2);
    things.value = unit_value(things.bytes, sizeof(things.bytes), 1000);
}

static void replace(weir_table *table)
{
    (void) !weir_table_put(table, things.key, things.value, WEIR_TABLE_FOREVER);
}

static void add_to_what_is_full(weir_table *table)
{
    (void) !weir_table_put(table, things.added, things.value, WEIR_TABLE_FOREVER);
}

static void take_away(weir_table *table)
{
    weir_table_remove(table, things.taken_away);
}

static void enter_one(weir_table *table)
{
    (void) !weir_table_enter(table, WEIR_STR("number"), WEIR_TABLE_FOREVER, unit_add_one, NULL);
}

static void read_one(weir_table *table)
{
    char got[1000];
    size_t len;

    (void) !weir_table_get(table, things.read, got, sizeof(got), &len);
}

static weir_table *step_table(weir_pool *pool, void *memory)
{
    weir_table *table =
        unit_table(pool, memory, STEP_BYTES, (weir_table_shape){.numbers = 1}, true);
    char text[32], value[1000];

    for (uint64_t i = 0; i < STEP_KEYS; i++) {
        assert_true(weir_table_put(table, unit_key(text, i), unit_value(value, 500 + i * 20, i),
                                   WEIR_TABLE_FOREVER));
    }
    return table;
}

typedef struct {
    const scene *on;
    weir_table *table;
} stepped;

static void stepped_acts(void *subject)
{
    const stepped *what = subject;

    what->on->act(what->table);
}

/* Each value is whole, and all but the one that the scene is about are there. */
static void assert_usable(weir_table *table, const scene *on)
{
    char text[32], got[1000];
    size_t found = 0, len;

    for (uint64_t i = 0; i < STEP_KEYS; i++) {
        if (weir_table_get(table, unit_key(text, i), got, sizeof(got), &len)) {
            found++;
            assert_true(unit_value_is_whole(got, len));
        }
    }
    if (weir_table_get(table, unit_key(text, 100), got, sizeof(got), &len)) {
        found++;
        assert_true(unit_value_is_whole(got, len));
    }
    if (weir_table_visit(table, WEIR_STR("number"), 0, unit_add_one, NULL)) {
        found++;
    }
    assert_int_equal(weir_table_tell(table).entries, found);
    assert_true(found >= (on->act == add_to_what_is_full ? STEP_KEYS - 2
                                                         : STEP_KEYS - (on->act == take_away)));
    assert_true(weir_table_put(table, WEIR_STR("after"), WEIR_STR("all"), WEIR_TABLE_FOREVER));
    unit_assert_nothing_lost(table);
}

static weir_table *stage(weir_pool *pool, void *memory, const scene *on)
{
    weir_table *table = step_table(pool, memory);

    if (on->is_heir) {
        pid_t first = checked_fork();

        if (first == 0) {
            weir_table_sweep(table, stop_here, NULL);
            _exit(1);
        }
        assert_int_equal(waitpid(first, NULL, 0), first);
    }
    return table;
}

/* The scene over and over, ended at one instruction and another. Gives how often something was left half done. */
static uint64_t play(weir_pool *pool, const scene *on, uint64_t budget_us)
{
    void *memory = unit_shared_memory(STEP_BYTES);
    stepped what = {.on = on, .table = stage(pool, memory, on)};
    step_points points = {
        .all = step_count(stepped_acts, &what),
        .budget_us = budget_us,
        .least = STEP_KILLS_MIN,
    };
    uint64_t rebuilt = 0;

    while (step_next(&points)) {
        what.table = stage(pool, memory, on);
        step_and_kill(stepped_acts, &what, points.at);
        assert_usable(what.table, on);
        rebuilt += weir_table_tell(what.table).rebuilt;
    }
    print_message("%s: killed at %u of %llu instructions, %llu times in the middle\n", on->name,
                  points.count, (unsigned long long) points.all, (unsigned long long) rebuilt);
    munmap(memory, STEP_BYTES);
    return rebuilt;
}

static void a_kill_at_any_instruction_leaves_the_table_whole(void **state)
{
    static const scene scenes[] = {
        {"replacing a value", replace, false},
        {"adding to a full table", add_to_what_is_full, false},
        {"removing", take_away, false},
        {"entering", enter_one, false},
        {"reading", read_one, false},
        {"mending", read_one, true},
    };

    uint64_t rebuilt = 0;

    things_make();
    for (size_t i = 0; i < WEIR_COUNT(scenes); i++) {
        rebuilt += play(*state, &scenes[i], seconds_to_kill() * 1000000 / WEIR_COUNT(scenes));
    }
    assert_true(rebuilt > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_with_pool(workers_killed_at_random_leave_all_that_they_share_usable),
        unit_test_with_pool(a_kill_at_any_instruction_leaves_the_table_whole),
    };

    return cmocka_run_group_tests_name("shared_kill", tests, NULL, NULL);
}
