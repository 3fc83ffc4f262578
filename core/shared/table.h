#ifndef WEIR_SHARED_TABLE_H
#define WEIR_SHARED_TABLE_H

#include <stdatomic.h>

#include "core/base/log.h"
#include "core/base/pool.h"
#include "core/base/str.h"

/*
 * A table in memory that processes share: keys with values, with numbers that change in place, or with both, each for
 * as long as it was given.
 *
 * Any process may be killed at any instruction: an entry is there with all of its value, or it is not there; of its
 * numbers each is whole. Keys may be chosen by peers. When it is full, the entry that was not used for longest makes
 * room.
 */
typedef struct weir_table weir_table;

typedef struct {
    unsigned numbers; /* in each entry: 0 to WEIR_TABLE_NUMBERS_MAX */
    bool is_strict;   /* when it is full it refuses what is new, and keeps what has not expired */
} weir_table_shape;

#define WEIR_TABLE_NUMBERS_MAX 4
#define WEIR_TABLE_BYTES_MIN 4096
#define WEIR_TABLE_KEY_MAX 65535
#define WEIR_TABLE_VALUE_MAX 65535
#define WEIR_TABLE_FOREVER UINT64_MAX

/*
 * A table in `memory`, which is aligned as for malloc(): the one that is there, or an empty one if the memory `is_new`,
 * or if what is there is not such a table, which is logged.  In the master, before it forks; `log` and `name`, for what
 * it says later, are kept as they are.
 * NULL: too few bytes, or the pool is used up.  The table ends with the pool, what is in the memory does not.
 */
weir_table *weir_table_open(weir_pool *pool, void *memory, size_t bytes, weir_table_shape shape,
                            bool is_new, weir_str name, const weir_log *log);

/*
 * All of these take one lock, for some hundred nanoseconds, and answer as if there were nothing, or no room, in the
 * unlikely case that they do not get it within a second.
 */

/* Keeps a value under its key, in place of the one before.  False: no room, or too long. */
bool weir_table_put(weir_table *table, weir_str key, weir_str value, uint64_t ttl_ms) WEIR_MUST_USE;
/* Copies the value out. False: it is not there, or has expired, or is longer than `max` bytes. */
bool weir_table_get(weir_table *table, weir_str key, void *value, size_t max,
                    size_t *len) WEIR_MUST_USE;
void weir_table_remove(weir_table *table, weir_str key);

/*
 * Reads and changes an entry's numbers while nobody else does: `change` must neither wait nor use the table. `is_new`:
 * all are zero. If it returns false, the entry is removed.
 */
typedef bool weir_table_change(_Atomic uint64_t *numbers, bool is_new, void *subject);

/* Makes the entry, without a value, if it is not there. False: no room, and nothing was called. */
bool weir_table_enter(weir_table *table, weir_str key, uint64_t ttl_ms, weir_table_change *change,
                      void *subject) WEIR_MUST_USE;
/* Only if it is there. False: it is not, and nothing was called. Its time begins anew, unless `ttl_ms` is 0. */
bool weir_table_visit(weir_table *table, weir_str key, uint64_t ttl_ms, weir_table_change *change,
                      void *subject) WEIR_MUST_USE;
/* Each entry, in no order; what has expired is removed before. All others wait: for chores. */
void weir_table_sweep(weir_table *table, weir_table_change *change, void *subject);

typedef struct {
    size_t entries;
    size_t cells, free_cells;  /* of 128 bytes: a small entry takes one */
    uint64_t evicted, refused; /* for want of room, since the table was new */
    uint64_t rebuilt;          /* how often a process died in the middle of something */
} weir_table_report;

weir_table_report weir_table_tell(weir_table *table);
/* Of these only `evicted`, without the lock. */
uint64_t weir_table_evicted(const weir_table *table);

#endif
