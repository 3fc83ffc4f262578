#include "t/unit/shared_unit.h"

#define BYTES (64u * 1024)

static weir_table *table_new(weir_pool *pool, size_t bytes, weir_table_shape shape)
{
    weir_table *table = unit_table(pool, unit_shared_memory(bytes), bytes, shape, true);

    assert_non_null(table);
    return table;
}

static void assert_has(weir_table *table, weir_str key, weir_str value)
{
    static char got[65536];
    size_t len;

    assert_true(weir_table_get(table, key, got, sizeof(got), &len));
    assert_str_eq(weir_str_of(got, len), value);
}

static bool has(weir_table *table, weir_str key)
{
    char got[4096];
    size_t len;

    return weir_table_get(table, key, got, sizeof(got), &len);
}

static void wait_ms(uint64_t ms)
{
    uint64_t until = weir_clock_now()->monotonic_ms + ms;

    while (weir_clock_now()->monotonic_ms < until) {
        weir_clock_update();
    }
}

static void values_of_any_length_come_back_under_keys_of_any_length(void **state)
{
    static const size_t lengths[] = {0, 1, 16, 79, 80, 81, 100, 199, 200, 201, 4000, 9000};
    static char key[16384], value[16384];

    for (unsigned numbers = 0; numbers <= WEIR_TABLE_NUMBERS_MAX; numbers++) {
        weir_table *table = table_new(*state, BYTES, (weir_table_shape){.numbers = numbers});

        for (size_t k = 0; k < WEIR_COUNT(lengths); k++) {
            for (size_t v = 0; v < WEIR_COUNT(lengths); v++) {
                weir_str name = unit_pattern(key, lengths[k], k);
                weir_str text = unit_pattern(value, lengths[v], v);

                if (lengths[k] + lengths[v] <= 13000) {
                    assert_true(weir_table_put(table, name, text, WEIR_TABLE_FOREVER));
                    assert_has(table, name, text);
                }
            }
        }
        unit_assert_nothing_lost(table);
    }
}

static void a_value_takes_the_place_of_the_one_before(void **state)
{
    weir_table *table = table_new(*state, BYTES, (weir_table_shape){0});

    assert_true(weir_table_put(table, WEIR_STR("a"), WEIR_STR("one"), WEIR_TABLE_FOREVER));
    assert_true(weir_table_put(table, WEIR_STR("b"), WEIR_STR("two"), WEIR_TABLE_FOREVER));
    assert_true(weir_table_put(table, WEIR_STR("a"), WEIR_STR("and three"), WEIR_TABLE_FOREVER));
    assert_has(table, WEIR_STR("a"), WEIR_STR("and three"));
    assert_has(table, WEIR_STR("b"), WEIR_STR("two"));
    assert_int_equal(weir_table_tell(table).entries, 2);
    unit_assert_nothing_lost(table);
}

static void what_is_removed_is_gone(void **state)
{
    weir_table *table = table_new(*state, BYTES, (weir_table_shape){0});

    assert_true(weir_table_put(table, WEIR_STR("a"), WEIR_STR("one"), WEIR_TABLE_FOREVER));
    weir_table_remove(table, WEIR_STR("b"));
    assert_true(has(table, WEIR_STR("a")));
    weir_table_remove(table, WEIR_STR("a"));
    assert_false(has(table, WEIR_STR("a")));
    assert_int_equal(weir_table_tell(table).free_cells, weir_table_tell(table).cells);
}

/* Secrets of TLS sessions lie there. */
static void what_is_removed_is_overwritten(void **state)
{
    char *memory = unit_shared_memory(BYTES);
    weir_table *table = unit_table(*state, memory, BYTES, (weir_table_shape){0}, true);
    char value[1000];

    memset(value, 'S', sizeof(value));
    assert_true(weir_table_put(table, WEIR_STR("a"), weir_str_of(value, sizeof(value)),
                               WEIR_TABLE_FOREVER));
    assert_non_null(weir_str_find(weir_str_of(memory, BYTES), WEIR_STR("SSSSSSSS")));
    weir_table_remove(table, WEIR_STR("a"));
    assert_null(weir_str_find(weir_str_of(memory, BYTES), WEIR_STR("SSSSSSSS")));
}

static void a_buffer_too_short_gets_nothing(void **state)
{
    weir_table *table = table_new(*state, BYTES, (weir_table_shape){0});
    char got[4] = "...";
    size_t len = 17;

    assert_true(weir_table_put(table, WEIR_STR("a"), WEIR_STR("four"), WEIR_TABLE_FOREVER));
    assert_false(weir_table_get(table, WEIR_STR("a"), got, 3, &len));
    assert_int_equal(len, 17);
    assert_string_equal(got, "...");
    assert_true(weir_table_get(table, WEIR_STR("a"), got, 4, &len));
}

static void what_has_expired_is_not_there(void **state)
{
    weir_table *table = table_new(*state, BYTES, (weir_table_shape){.numbers = 1});

    assert_true(weir_table_put(table, WEIR_STR("a"), WEIR_STR("one"), 1));
    assert_true(weir_table_put(table, WEIR_STR("b"), WEIR_STR("two"), 60000));
    assert_true(weir_table_enter(table, WEIR_STR("c"), 1, unit_add_one, NULL));
    wait_ms(1);
    assert_false(has(table, WEIR_STR("a")));
    assert_true(has(table, WEIR_STR("b")));
    assert_false(weir_table_visit(table, WEIR_STR("c"), 0, unit_add_one, NULL));
    assert_int_equal(weir_table_tell(table).entries, 1);
}

static void a_visit_may_begin_the_time_anew(void **state)
{
    weir_table *table = table_new(*state, BYTES, (weir_table_shape){.numbers = 1});

    weir_clock_update();
    assert_true(weir_table_enter(table, WEIR_STR("a"), 5, unit_add_one, NULL));
    assert_true(weir_table_enter(table, WEIR_STR("b"), 5, unit_add_one, NULL));
    assert_true(weir_table_visit(table, WEIR_STR("a"), 60000, unit_add_one, NULL));
    assert_true(weir_table_visit(table, WEIR_STR("b"), 0, unit_add_one, NULL));
    wait_ms(5);
    assert_true(has(table, WEIR_STR("a")));
    assert_false(has(table, WEIR_STR("b")));
}

static void the_one_not_used_for_longest_makes_room(void **state)
{
    weir_table *table = table_new(*state, WEIR_TABLE_BYTES_MIN, (weir_table_shape){0});
    size_t cells = weir_table_tell(table).cells;
    char key[32];

    for (size_t i = 0; i < cells; i++) {
        assert_true(weir_table_put(table, unit_key(key, i), WEIR_STR("v"), WEIR_TABLE_FOREVER));
    }
    assert_int_equal(weir_table_tell(table).evicted, 0);
    assert_true(has(table, unit_key(key, 0)));

    assert_true(weir_table_put(table, WEIR_STR("more"), WEIR_STR("v"), WEIR_TABLE_FOREVER));
    assert_true(has(table, unit_key(key, 0)));
    assert_false(has(table, unit_key(key, 1)));
    assert_true(has(table, unit_key(key, 2)));
    assert_int_equal(weir_table_tell(table).evicted, 1);
    unit_assert_nothing_lost(table);
}

static void a_long_value_takes_the_room_of_several(void **state)
{
    weir_table *table = table_new(*state, WEIR_TABLE_BYTES_MIN, (weir_table_shape){0});
    size_t cells = weir_table_tell(table).cells;
    char key[32], value[700];

    for (size_t i = 0; i < cells; i++) {
        assert_true(weir_table_put(table, unit_key(key, i), WEIR_STR("v"), WEIR_TABLE_FOREVER));
    }
    assert_true(
        weir_table_put(table, WEIR_STR("long"), unit_value(value, 500, 1), WEIR_TABLE_FOREVER));
    assert_has(table, WEIR_STR("long"), weir_str_of(value, 500));
    assert_int_equal(weir_table_tell(table).entries, cells - 5 + 1);
    /* Itself in the way. */
    for (uint64_t seed = 0; seed < 10; seed++) {
        assert_true(weir_table_put(table, WEIR_STR("long"), unit_value(value, 700, seed),
                                   WEIR_TABLE_FOREVER));
        assert_has(table, WEIR_STR("long"), weir_str_of(value, 700));
    }
    unit_assert_nothing_lost(table);
}

static void one_entry_may_take_a_quarter_of_the_table(void **state)
{
    static char value[BYTES];
    weir_table *table = table_new(*state, BYTES, (weir_table_shape){0});
    weir_str text = unit_pattern(value, BYTES / 2, 1);

    assert_true(weir_table_put(table, WEIR_STR("a"), WEIR_STR("kept"), WEIR_TABLE_FOREVER));
    assert_false(weir_table_put(table, WEIR_STR("b"), text, WEIR_TABLE_FOREVER));
    assert_false(weir_table_put(table, WEIR_STR("a"), text, WEIR_TABLE_FOREVER));
    assert_has(table, WEIR_STR("a"), WEIR_STR("kept"));
    assert_int_equal(weir_table_tell(table).refused, 2);
}

static void longer_than_any_is_refused(void **state)
{
    static char bytes[WEIR_TABLE_KEY_MAX + 1];
    weir_table *table = table_new(*state, 1 << 20, (weir_table_shape){0});
    weir_str longest = weir_str_of(bytes, WEIR_TABLE_KEY_MAX);
    weir_str longer = weir_str_of(bytes, WEIR_TABLE_KEY_MAX + 1);

    assert_true(weir_table_put(table, longest, longest, WEIR_TABLE_FOREVER));
    assert_has(table, longest, longest);
    assert_false(weir_table_put(table, longer, WEIR_STR(""), WEIR_TABLE_FOREVER));
    assert_false(weir_table_put(table, WEIR_STR(""), longer, WEIR_TABLE_FOREVER));
}

static void a_strict_table_refuses_what_is_new_until_something_expires(void **state)
{
    weir_table *table = table_new(*state, WEIR_TABLE_BYTES_MIN,
                                  (weir_table_shape){.numbers = 1, .is_strict = true});
    size_t cells = weir_table_tell(table).cells;
    char key[32];

    for (size_t i = 0; i < cells; i++) {
        assert_true(
            weir_table_enter(table, unit_key(key, i), i == 0 ? 1 : 60000, unit_add_one, NULL));
    }
    wait_ms(1);
    assert_true(weir_table_enter(table, WEIR_STR("new"), 60000, unit_add_one, NULL));
    assert_false(weir_table_enter(table, WEIR_STR("newer"), 60000, unit_add_one, NULL));
    assert_true(weir_table_enter(table, WEIR_STR("new"), 60000, unit_add_one, NULL));
    for (size_t i = 1; i < cells; i++) {
        assert_true(weir_table_visit(table, unit_key(key, i), 0, unit_add_one, NULL));
    }
    assert_int_equal(weir_table_tell(table).refused, 1);
}

typedef struct {
    uint64_t seen;
    bool was_new;
} look;

static bool look_at(_Atomic uint64_t *numbers, bool is_new, void *subject)
{
    look *l = subject;

    l->seen = numbers[3];
    l->was_new = is_new;
    numbers[3] += 5;
    return l->seen < 10;
}

static void numbers_are_read_and_changed_in_place(void **state)
{
    weir_table *table = table_new(*state, BYTES, (weir_table_shape){.numbers = 4});
    look l;

    assert_false(weir_table_visit(table, WEIR_STR("a"), 0, look_at, &l));
    assert_true(weir_table_enter(table, WEIR_STR("a"), 60000, look_at, &l));
    assert_int_equal(l.seen, 0);
    assert_true(l.was_new);
    assert_true(weir_table_enter(table, WEIR_STR("a"), 60000, look_at, &l));
    assert_int_equal(l.seen, 5);
    assert_false(l.was_new);
    assert_true(weir_table_visit(table, WEIR_STR("a"), 0, look_at, &l));
    assert_int_equal(l.seen, 10);
    /* It said that the entry may go. */
    assert_false(weir_table_visit(table, WEIR_STR("a"), 0, look_at, &l));
}

static bool keep_even(_Atomic uint64_t *numbers, bool is_new, void *subject)
{
    unsigned *seen = subject;

    assert_false(is_new);
    ++*seen;
    return numbers[0] % 2 == 0;
}

static bool set_number(_Atomic uint64_t *numbers, bool is_new, void *subject)
{
    (void) is_new;
    numbers[0] = *(const uint64_t *) subject;
    return true;
}

static void a_sweep_sees_each_entry_and_may_remove_it(void **state)
{
    weir_table *table = table_new(*state, BYTES, (weir_table_shape){.numbers = 1});
    unsigned seen = 0;
    char key[32];

    for (uint64_t i = 0; i < 100; i++) {
        assert_true(weir_table_enter(table, unit_key(key, i), 60000, set_number, &i));
    }
    weir_table_sweep(table, keep_even, &seen);
    assert_int_equal(seen, 100);
    for (uint64_t i = 0; i < 100; i++) {
        assert_true(has(table, unit_key(key, i)) == (i % 2 == 0));
    }
}

/* Any order of operations, against an array that cannot be wrong. */
static void it_agrees_with_a_simple_model(void **state)
{
    enum { KEYS = 40, STEPS = 200000 };
    weir_table *table = table_new(*state, 1 << 17, (weir_table_shape){.numbers = 1});
    size_t lengths[KEYS];
    uint64_t seeds[KEYS], random = 1;
    char key[32], value[2048], got[2048];

    memset(lengths, 0xff, sizeof(lengths));
    for (uint64_t step = 0; step < STEPS; step++) {
        random = random * 6364136223846793005 + 1442695040888963407;
        size_t k = random >> 33 & 0x3fffffff;
        size_t len = k / KEYS % 1500;

        k %= KEYS;
        switch (random >> 62) {
        case 0:
            assert_true(weir_table_put(table, unit_key(key, k), unit_pattern(value, len, step),
                                       WEIR_TABLE_FOREVER));
            lengths[k] = len;
            seeds[k] = step;
            break;

        case 1:
            if (len % 3 == 0) {
                weir_table_remove(table, unit_key(key, k));
                lengths[k] = SIZE_MAX;
            }
            break;

        default:
            if (lengths[k] == SIZE_MAX) {
                assert_false(has(table, unit_key(key, k)));
            } else {
                assert_true(weir_table_get(table, unit_key(key, k), got, sizeof(got), &len));
                assert_int_equal(len, lengths[k]);
                unit_pattern(value, len, seeds[k]);
                assert_memory_equal(got, value, len);
            }
        }
    }
    assert_int_equal(weir_table_tell(table).evicted, 0);
    unit_assert_nothing_lost(table);
}

/* ---- opening again */

static void it_is_found_at_another_address_by_who_opens_it_later(void **state)
{
    int fd = memfd_create("unit", 0);
    void *here, *there;
    weir_table *first, *second;

    assert_int_equal(ftruncate(fd, BYTES), 0);
    here = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    there = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(here, there);

    first = unit_table(*state, here, BYTES, (weir_table_shape){0}, true);
    assert_true(weir_table_put(first, WEIR_STR("a"), WEIR_STR("one"), WEIR_TABLE_FOREVER));
    second = unit_table(*state, there, BYTES, (weir_table_shape){0}, false);
    assert_has(second, WEIR_STR("a"), WEIR_STR("one"));
    weir_table_remove(second, WEIR_STR("a"));
    assert_false(has(first, WEIR_STR("a")));

    munmap(here, BYTES);
    munmap(there, BYTES);
    close(fd);
}

static void what_is_not_such_a_table_begins_empty(void **state)
{
    for (unsigned way = 0; way < 4; way++) {
        char *memory = unit_shared_memory(BYTES);
        weir_table *table = unit_table(*state, memory, BYTES, (weir_table_shape){0}, true);
        size_t bytes = BYTES;
        weir_table_shape shape = {0};

        assert_true(weir_table_put(table, WEIR_STR("a"), WEIR_STR("one"), WEIR_TABLE_FOREVER));
        switch (way) {
        case 0: /* another layout */
            memory[0]++;
            break;
        case 1: /* another size */
            bytes = BYTES / 2;
            break;
        case 2: /* other entries */
            shape.numbers = 1;
            break;
        case 3: /* anything */
            memset(memory, 0x5a, BYTES);
            break;
        }
        table = unit_table(*state, memory, bytes, shape, false);
        assert_int_equal(weir_table_tell(table).entries, 0);
        assert_true(weir_table_put(table, WEIR_STR("b"), WEIR_STR("two"), WEIR_TABLE_FOREVER));
        assert_has(table, WEIR_STR("b"), WEIR_STR("two"));
        unit_assert_nothing_lost(table);
        munmap(memory, BYTES);
    }
}

static void too_little_memory_is_no_table(void **state)
{
    char *memory = unit_shared_memory(BYTES);

    assert_null(unit_table(*state, memory, WEIR_TABLE_BYTES_MIN - 1, (weir_table_shape){0}, true));
    munmap(memory, BYTES);
}

static bool open_in(weir_pool *pool)
{
    void *memory = unit_shared_memory(BYTES);
    bool is_open = unit_table(pool, memory, BYTES, (weir_table_shape){0}, true) != NULL;

    munmap(memory, BYTES);
    return is_open;
}

static void without_memory_it_says_so(void **state)
{
    (void) state;
    assert_true(unit_fail_each_allocation(open_in) > 0);
}

/* ---- who dies over it */

static bool die(_Atomic uint64_t *numbers, bool is_new, void *subject)
{
    (void) numbers;
    (void) is_new;
    (void) subject;
    _exit(0);
}

static void die_over(weir_table *table, weir_str key)
{
    int status;
    pid_t child = fork();

    assert_true(child != -1);
    if (child == 0) {
        _exit(weir_table_visit(table, key, 0, die, NULL) ? 1 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void whoever_dies_over_it_leaves_all_entries_in_their_order(void **state)
{
    weir_table *table = table_new(*state, WEIR_TABLE_BYTES_MIN, (weir_table_shape){.numbers = 1});
    size_t cells = weir_table_tell(table).cells;
    char key[32];

    for (size_t i = 0; i < cells; i++) {
        assert_true(weir_table_put(table, unit_key(key, i), WEIR_STR("v"), WEIR_TABLE_FOREVER));
    }
    assert_true(has(table, unit_key(key, 0)));

    die_over(table, unit_key(key, 1));
    assert_int_equal(weir_table_tell(table).rebuilt, 1);
    assert_int_equal(weir_table_tell(table).entries, cells);

    /* 2 was used the longest ago, and 0 and 1, the dead one's, last. */
    for (size_t i = 2; i < cells; i++) {
        assert_true(
            weir_table_put(table, unit_key(key, 1000 + i), WEIR_STR("v"), WEIR_TABLE_FOREVER));
        assert_int_equal(weir_table_tell(table).evicted, i - 1);
        assert_int_equal(weir_table_tell(table).entries, cells);
        assert_false(weir_table_visit(table, unit_key(key, i), 0, unit_add_one, NULL));
    }
    assert_true(has(table, unit_key(key, 0)));
    assert_true(has(table, unit_key(key, 1)));
    unit_assert_nothing_lost(table);
}

static void entries_that_something_else_wrote_over_are_dropped(void **state)
{
    char *memory = unit_shared_memory(BYTES);
    weir_table *table = unit_table(*state, memory, BYTES, (weir_table_shape){.numbers = 1}, true);
    uint64_t random = 7;
    char key[32], value[500];

    for (unsigned round = 0; round < 50; round++) {
        for (uint64_t i = 0; i < 100; i++) {
            assert_true(weir_table_put(table, unit_key(key, i), unit_value(value, 20 + i * 4, i),
                                       WEIR_TABLE_FOREVER));
        }
        die_over(table, unit_key(key, round));
        /* The cells begin after 256 bytes; the buckets are behind them. */
        for (unsigned n = 0; n < 200; n++) {
            random = random * 6364136223846793005 + 1442695040888963407;
            memory[256 + (random >> 33) % (BYTES - 256)] = (char) (random >> 20);
        }
        unit_assert_nothing_lost(table);
    }
    munmap(memory, BYTES);
}

static size_t resident_pages(void *memory, size_t bytes)
{
    static unsigned char is_there[4096];
    size_t pages = bytes / (size_t) sysconf(_SC_PAGESIZE), count = 0;

    assert_true(pages <= sizeof(is_there));
    assert_int_equal(mincore(memory, bytes, is_there), 0);
    for (size_t i = 0; i < pages; i++) {
        count += is_there[i] & 1;
    }
    return count;
}

static void memory_is_taken_as_entries_come(void **state)
{
    const size_t bytes = 8 * 1024 * 1024;
    void *memory = unit_shared_memory(bytes);
    size_t pages = bytes / (size_t) sysconf(_SC_PAGESIZE);
    weir_table *table = unit_table(*state, memory, bytes, (weir_table_shape){.numbers = 0}, true);
    weir_table_report report = weir_table_tell(table);
    char key[32];

    assert_int_equal(report.free_cells, report.cells);
    assert_true(resident_pages(memory, bytes) < pages / 16);
    for (size_t i = 0; i < report.cells; i++) {
        assert_true(weir_table_put(table, unit_key(key, i), WEIR_STR("v"), WEIR_TABLE_FOREVER));
        assert_int_equal(weir_table_tell(table).free_cells, report.cells - i - 1);
    }
    assert_int_equal(weir_table_tell(table).evicted, 0);
    assert_has(table, unit_key(key, 0), WEIR_STR("v"));
    assert_true(weir_table_put(table, WEIR_STR("one more"), WEIR_STR("v"), WEIR_TABLE_FOREVER));
    assert_int_equal(weir_table_tell(table).evicted, 1);
    assert_true(has(table, unit_key(key, 0)));
    assert_false(has(table, unit_key(key, 1)));
    unit_assert_nothing_lost(table);
    munmap(memory, bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_with_pool(values_of_any_length_come_back_under_keys_of_any_length),
        unit_test_with_pool(a_value_takes_the_place_of_the_one_before),
        unit_test_with_pool(what_is_removed_is_gone),
        unit_test_with_pool(what_is_removed_is_overwritten),
        unit_test_with_pool(a_buffer_too_short_gets_nothing),
        unit_test_with_pool(what_has_expired_is_not_there),
        unit_test_with_pool(a_visit_may_begin_the_time_anew),
        unit_test_with_pool(the_one_not_used_for_longest_makes_room),
        unit_test_with_pool(a_long_value_takes_the_room_of_several),
        unit_test_with_pool(one_entry_may_take_a_quarter_of_the_table),
        unit_test_with_pool(longer_than_any_is_refused),
        unit_test_with_pool(a_strict_table_refuses_what_is_new_until_something_expires),
        unit_test_with_pool(numbers_are_read_and_changed_in_place),
        unit_test_with_pool(a_sweep_sees_each_entry_and_may_remove_it),
        unit_test_with_pool(it_agrees_with_a_simple_model),
        unit_test_with_pool(it_is_found_at_another_address_by_who_opens_it_later),
        unit_test_with_pool(what_is_not_such_a_table_begins_empty),
        unit_test_with_pool(too_little_memory_is_no_table),
        unit_test_with_pool(memory_is_taken_as_entries_come),
        cmocka_unit_test(without_memory_it_says_so),
        unit_test_with_pool(whoever_dies_over_it_leaves_all_entries_in_their_order),
        unit_test_with_pool(entries_that_something_else_wrote_over_are_dropped),
    };

    return cmocka_run_group_tests_name("shared_table", tests, NULL, NULL);
}
