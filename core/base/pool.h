#ifndef WEIR_BASE_POOL_H
#define WEIR_BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Memory of one life (cycle, connection, exchange): allocated by bumping,
 * freed whole.  A pool belongs to one thread.  With WEIR_POOL_SEPARATE each
 * allocation is a malloc of its own, so that sanitizers see overruns.
 */
typedef struct weir_pool weir_pool;

/*
 * A pool that takes memory from the system in chunks of `chunk_bytes` and
 * hands out at most `limit_bytes` (0: no limit).  NULL when there is no memory.
 */
weir_pool *weir_pool_new(size_t chunk_bytes, size_t limit_bytes);

/*
 * A pool for much that lives long: its chunks are pages straight from the system, and go back there.
 *
 * Such pages come zeroed, so that zeroing them costs nothing. And what a process freed after it forked it does not use
 * again: while its children live, each such page would be copied when it is first written.
 */
weir_pool *weir_pool_new_of_pages(void);

/* Runs the clean-ups, last added first, then frees all memory.  NULL is ignored. */
void weir_pool_free(weir_pool *pool);

/*
 * Runs the clean-ups, as free does, and leaves the memory: what they looked after is gone, what
 * still points here stays good to read.
 */
void weir_pool_clean(weir_pool *pool);

/*
 * As free and new, but the first chunk is kept, for the next exchange of a
 * connection.
 */
void weir_pool_reset(weir_pool *pool);

/*
 * Memory aligned for any type, until the pool is freed.  NULL when the limit
 * or the system's memory is used up; the caller answers for it, nothing is logged.
 */
void *weir_pool_alloc(weir_pool *pool, size_t bytes) __attribute__((malloc, alloc_size(2)));
void *weir_pool_zalloc(weir_pool *pool, size_t bytes) __attribute__((malloc, alloc_size(2)));
/* Zeroed; NULL also when the product overflows. */
void *weir_pool_calloc(weir_pool *pool, size_t count, size_t bytes)
    __attribute__((malloc, alloc_size(2, 3)));
/* Bytes without alignment: for text. */
char *weir_pool_bytes(weir_pool *pool, size_t bytes) __attribute__((malloc, alloc_size(2)));

/*
 * Makes an allocation of `bytes` from any of the above `new_bytes` large: in its place when nothing
 * was allocated after it, else moved, and then the old one must not be used any more.  What is new
 * is not zeroed.  `memory` may be NULL, with 0 bytes.  NULL: no memory, and the old one stands.
 */
void *weir_pool_grow(weir_pool *pool, void *memory, size_t bytes, size_t new_bytes)
    __attribute__((alloc_size(4), warn_unused_result));

/*
 * Takes back the bytes from `keep_bytes` on of an allocation of `bytes` of
 * weir_pool_bytes() or weir_pool_grow() if it was the last one; else does nothing.
 */
void weir_pool_trim(weir_pool *pool, const char *memory, size_t bytes, size_t keep_bytes);

/*
 * An object, zeroed, in a pool of its own, which is given in *pool: who frees that frees the
 * object.  NULL, and no pool, when there is no memory.
 */
void *weir_pool_new_with(size_t object_bytes, size_t chunk_bytes, weir_pool **pool);

#define WEIR_NEW_WITH_POOL(type, chunk_bytes, pool)                                                \
    ((type *) weir_pool_new_with(sizeof(type), (chunk_bytes), (pool)))
#define WEIR_NEW(pool, type) ((type *) weir_pool_zalloc((pool), sizeof(type)))
#define WEIR_NEW_ARRAY(pool, type, count) ((type *) weir_pool_calloc((pool), (count), sizeof(type)))

/*
 * Runs `clean(subject)` when the pool is freed, reset or cleaned.  Returns a handle
 * for weir_pool_cancel(), or NULL when the pool is used up (then `clean` was not
 * registered, and the caller must undo what it did).
 */
typedef struct weir_pool_cleanup weir_pool_cleanup;
weir_pool_cleanup *weir_pool_on_free(weir_pool *pool, void (*clean)(void *subject), void *subject);
/* NULL, and one that has run, are ignored.  The handle is void then. */
void weir_pool_cancel(weir_pool_cleanup *cleanup);

/* Raises the pool's limit by so many bytes, for good: also after a reset. */
void weir_pool_raise(weir_pool *pool, size_t bytes);

/* Bytes handed out so far and lost to alignment between them, as the limit counts them. */
size_t weir_pool_used(const weir_pool *pool);

#endif
