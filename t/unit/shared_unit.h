/* What the tests of shared memory have in common: tables, and values that tell whether they are whole. */

#ifndef WEIR_SHARED_UNIT_H
#define WEIR_SHARED_UNIT_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/shared/table.h"
#include "t/unit/base_unit.h"

/* Memory that a fork()'s child shares, all zero. */
static inline void *unit_shared_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(memory, MAP_FAILED);
    return memory;
}

/* Who opens a table, and how it logs: not at all. */
static inline weir_table *unit_table(weir_pool *pool, void *memory, size_t bytes,
                                     weir_table_shape shape, bool is_new)
{
    static const weir_log_target nowhere = {.level = WEIR_LOG_STDERR};
    static const weir_log quiet = {.target = &nowhere};

    return weir_table_open(pool, memory, bytes, shape, is_new, WEIR_STR("unit"), &quiet);
}

/* `len` bytes that follow from `seed`: a value of which a part is another's is found out. */
static inline weir_str unit_pattern(char *bytes, size_t len, uint64_t seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15 + len;

    for (size_t i = 0; i < len; i++) {
        state = state * 6364136223846793005 + 1442695040888963407;
        bytes[i] = (char) (state >> 56);
    }
    return weir_str_of(bytes, len);
}

/* As a value: eight bytes of seed, then the pattern. */
static inline weir_str unit_value(char *bytes, size_t len, uint64_t seed)
{
    memcpy(bytes, &seed, sizeof(seed));
    unit_pattern(bytes + sizeof(seed), len - sizeof(seed), seed);
    return weir_str_of(bytes, len);
}

static inline bool unit_value_is_whole(const char *bytes, size_t len)
{
    char expected[65536];
    uint64_t seed;

    if (len < sizeof(seed) || len > sizeof(expected)) {
        return false;
    }
    memcpy(&seed, bytes, sizeof(seed));
    return weir_str_eq(unit_value(expected, len, seed), weir_str_of(bytes, len));
}

/* The key of a number. */
static inline weir_str unit_key(char text[static 32], uint64_t number)
{
    return weir_str_of(text, (size_t) snprintf(text, 32, "key %llu", (unsigned long long) number));
}

static inline bool unit_remove_each(_Atomic uint64_t *numbers, bool is_new, void *subject)
{
    (void) numbers;
    (void) is_new;
    (void) subject;
    return false;
}

static inline bool unit_add_one(_Atomic uint64_t *numbers, bool is_new, void *subject)
{
    (void) is_new;
    (void) subject;
    atomic_fetch_add(&numbers[0], 1);
    return true;
}

/* What a table that was used is worth: emptied, all of its cells are free. */
static inline void unit_assert_nothing_lost(weir_table *table)
{
    weir_table_report report;

    weir_table_sweep(table, unit_remove_each, NULL);
    report = weir_table_tell(table);
    assert_int_equal(report.entries, 0);
    assert_int_equal(report.free_cells, report.cells);
}

#endif
