#include "core/base/pool.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/base/list.h"
#include "core/base/result.h"
#include "weir_auto_config.h"

enum { pool_separate = WEIR_POOL_SEPARATE };

#define POOL_ALIGNMENT _Alignof(max_align_t)
#define POOL_PAGES_CHUNK ((size_t) 1 << 20) /* bytes; what is not used of it is no memory */
#define POOL_PAGES_CLEANUPS 64

/* What begins a chunk; the space that is handed out follows. */
typedef struct pool_chunk {
    _Alignas(max_align_t) struct pool_chunk *previous;
} pool_chunk;

/* What stands before an allocation with memory of its own. */
typedef struct pool_own {
    _Alignas(max_align_t) struct pool_own *previous;
    size_t bytes;
} pool_own;

struct weir_pool_cleanup {
    weir_list link;
    weir_pool *pool;
    bool registered; /* else among the spare ones */
    void (*clean)(void *subject);
    void *subject;
};

/*
 * A pool stands at the beginning of its first chunk.
 *
 * Allocating compares with `end` alone: the limit is kept by never letting the
 * window from `at` to `end` be larger than what the limit allows.
 */
struct weir_pool {
    char *at, *end;
    char *untouched;   /* the newest chunk is zero from here on; its end, when that is not known */
    size_t left;       /* what the limit allows beyond the window */
    pool_chunk *chunk; /* the newest */
    pool_own *own;     /* the newest */
    size_t chunk_bytes, limit;
    bool of_pages;
    weir_list cleanups; /* the newest first */
    weir_list spare;    /* of handles, to be used again */
};

#define POOL_FIRST_HEAD                                                                            \
    ((sizeof(pool_chunk) + sizeof(weir_pool) + POOL_ALIGNMENT - 1) & ~(POOL_ALIGNMENT - 1))
#define POOL_CHUNK_MIN (POOL_FIRST_HEAD + 64)

/*
 * Chunks kept for the next pool, as connections and exchanges come and go: one
 * stack for each power of two.  A thread has its own; what it keeps is lost
 * with it, so that short-lived threads should use no pools.
 */
#define POOL_KEPT_SMALLEST 8   /* 2^8 bytes */
#define POOL_KEPT_SIZES 8      /* up to 32 KiB */
#define POOL_KEPT_BYTES 131072 /* of each size, at most */

static _Thread_local struct {
    pool_chunk *top;
    size_t count;
} pool_kept[POOL_KEPT_SIZES];

/* The index in pool_kept; POOL_KEPT_SIZES when chunks of this size are not kept. */
static inline unsigned pool_kept_index(size_t bytes)
{
    unsigned power = (unsigned) __builtin_ctzll(bytes);

    if (pool_separate || (bytes & (bytes - 1)) != 0 || power < POOL_KEPT_SMALLEST
        || power >= POOL_KEPT_SMALLEST + POOL_KEPT_SIZES) {
        return POOL_KEPT_SIZES;
    }

    return power - POOL_KEPT_SMALLEST;
}

static pool_chunk *pool_chunk_get(size_t bytes)
{
    unsigned i = pool_kept_index(bytes);
    pool_chunk *chunk;

    if (i == POOL_KEPT_SIZES || pool_kept[i].top == NULL) {
        return malloc(bytes);
    }

    chunk = pool_kept[i].top;
    pool_kept[i].top = chunk->previous;
    pool_kept[i].count--;
    return chunk;
}

static void pool_chunk_put(pool_chunk *chunk, size_t bytes)
{
    unsigned i = pool_kept_index(bytes);

    if (i == POOL_KEPT_SIZES || pool_kept[i].count >= POOL_KEPT_BYTES / bytes) {
        free(chunk);
        return;
    }

    chunk->previous = pool_kept[i].top;
    pool_kept[i].top = chunk;
    pool_kept[i].count++;
}

/* Pages at once where most of them are going to be used: a fault each would cost more than to fill them. */
static pool_chunk *pool_pages_get(size_t bytes, bool at_once)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | (at_once ? MAP_POPULATE : 0);
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);

    return pages == MAP_FAILED ? NULL : pages;
}

static void pool_put(const weir_pool *pool, pool_chunk *chunk)
{
    if (pool->of_pages) {
        munmap(chunk, pool->chunk_bytes);
    } else {
        pool_chunk_put(chunk, pool->chunk_bytes);
    }
}

/* Between the two, `left` is all that the limit allows still, and nothing can be taken. */
static void pool_close_window(weir_pool *pool)
{
    pool->left += (size_t) (pool->end - pool->at);
    pool->end = pool->at;
}

static void pool_open_window(weir_pool *pool)
{
    char *chunk_end = (char *) pool->chunk + pool->chunk_bytes;
    size_t window = (size_t) (chunk_end - pool->at);

    if (pool_separate) {
        return;
    }

    if (window > pool->left) {
        window = pool->left;
    }

    pool->end = pool->at + window;
    pool->left -= window;
}

/* All of the limit, and the first chunk's space. */
static void pool_begin(weir_pool *pool)
{
    pool->at = pool->end = (char *) pool->chunk + POOL_FIRST_HEAD;
    pool->untouched = (char *) pool->chunk + pool->chunk_bytes;
    pool->left = pool->limit;
    pool->own = NULL;
    weir_list_init(&pool->cleanups);
    weir_list_init(&pool->spare);
    pool_open_window(pool);
}

static weir_pool *pool_new(size_t chunk_bytes, size_t limit, bool of_pages)
{
    pool_chunk *chunk = of_pages ? pool_pages_get(chunk_bytes, false) : pool_chunk_get(chunk_bytes);
    weir_pool *pool;

    if (chunk == NULL) {
        return NULL;
    }

    chunk->previous = NULL;
    pool = (weir_pool *) (void *) (chunk + 1);
    pool->chunk = chunk;
    pool->chunk_bytes = chunk_bytes;
    pool->limit = limit;
    pool->of_pages = of_pages;
    pool_begin(pool);
    return pool;
}

weir_pool *weir_pool_new(size_t chunk_bytes, size_t limit_bytes)
{
    return pool_new(chunk_bytes < POOL_CHUNK_MIN ? POOL_CHUNK_MIN : chunk_bytes,
                    limit_bytes == 0 ? SIZE_MAX : limit_bytes, false);
}

weir_pool *weir_pool_new_of_pages(void)
{
    /* The sanitizers do not look for pointers in pages that they do not know. */
    weir_pool *pool = pool_new(POOL_PAGES_CHUNK, SIZE_MAX, !pool_separate);

    if (pool != NULL && pool->of_pages) {
        pool->untouched = pool->at;
    }
    return pool;
}

void *weir_pool_new_with(size_t object_bytes, size_t chunk_bytes, weir_pool **pool)
{
    weir_pool *made = weir_pool_new(chunk_bytes, 0);
    void *object = made == NULL ? NULL : weir_pool_zalloc(made, object_bytes);

    if (object == NULL) {
        weir_pool_free(made);
        return NULL;
    }
    *pool = made;
    return object;
}

static void pool_forget_cleanup(weir_pool_cleanup *cleanup)
{
    cleanup->registered = false;
    weir_list_remove(&cleanup->link);
    weir_list_prepend(&cleanup->pool->spare, &cleanup->link);
}

void weir_pool_clean(weir_pool *pool)
{
    weir_list *link;

    while ((link = weir_list_first(&pool->cleanups)) != NULL) {
        weir_pool_cleanup *cleanup = WEIR_OWNER(link, weir_pool_cleanup, link);

        pool_forget_cleanup(cleanup);
        cleanup->clean(cleanup->subject);
    }
}

/* Leaves the first chunk only. */
static void pool_empty(weir_pool *pool)
{
    pool_own *own;
    pool_chunk *chunk;

    weir_pool_clean(pool);

    while ((own = pool->own) != NULL) {
        pool->own = own->previous;
        free(own);
    }

    while ((chunk = pool->chunk)->previous != NULL) {
        pool->chunk = chunk->previous;
        pool_put(pool, chunk);
    }
}

void weir_pool_free(weir_pool *pool)
{
    if (pool == NULL) {
        return;
    }

    pool_empty(pool);
    pool_put(pool, pool->chunk);
}

void weir_pool_reset(weir_pool *pool)
{
    pool_empty(pool);
    pool_begin(pool);
}

/* With the window closed. */
static void *pool_alloc_own(weir_pool *pool, size_t bytes)
{
    pool_own *own = malloc(sizeof(pool_own) + bytes);

    if (own == NULL) {
        return NULL;
    }

    own->bytes = bytes;
    own->previous = pool->own;
    pool->own = own;
    pool->left -= bytes;
    return own + 1;
}

/* With the window closed.  What is left of the chunk before is given up. */
static void *pool_alloc_in_new_chunk(weir_pool *pool, size_t bytes)
{
    pool_chunk *chunk = pool->of_pages ? pool_pages_get(pool->chunk_bytes, true)
                                       : pool_chunk_get(pool->chunk_bytes);
    char *memory;

    if (chunk == NULL) {
        return NULL;
    }

    chunk->previous = pool->chunk;
    pool->chunk = chunk;
    memory = (char *) (chunk + 1);
    pool->at = pool->end = memory + bytes;
    pool->untouched = pool->of_pages ? memory : (char *) chunk + pool->chunk_bytes;
    pool->left -= bytes;
    return memory;
}

/* Not from the window: there is no room in it, or it is never used. */
static __attribute__((noinline)) void *pool_alloc_slow(weir_pool *pool, size_t bytes)
{
    void *memory = NULL;

    pool_close_window(pool);

    if (bytes <= pool->left && bytes < PTRDIFF_MAX - sizeof(pool_own)) {
        /* Up to a quarter, so that giving up the rest of a chunk wastes no more. */
        if (pool_separate || bytes > pool->chunk_bytes / 4) {
            memory = pool_alloc_own(pool, bytes);
        } else {
            memory = pool_alloc_in_new_chunk(pool, bytes);
        }
    }

    pool_open_window(pool);
    return memory;
}

void *weir_pool_alloc(weir_pool *pool, size_t bytes)
{
    size_t padding = -(uintptr_t) pool->at & (POOL_ALIGNMENT - 1);
    size_t room = (size_t) (pool->end - pool->at);

    if (!pool_separate && WEIR_LIKELY(padding <= room && bytes <= room - padding)) {
        char *memory = pool->at + padding;

        pool->at = memory + bytes;
        return memory;
    }

    return pool_alloc_slow(pool, bytes);
}

char *weir_pool_bytes(weir_pool *pool, size_t bytes)
{
    if (!pool_separate && WEIR_LIKELY(bytes <= (size_t) (pool->end - pool->at))) {
        char *memory = pool->at;

        pool->at += bytes;
        return memory;
    }

    return pool_alloc_slow(pool, bytes);
}

void *weir_pool_zalloc(weir_pool *pool, size_t bytes)
{
    char *memory = weir_pool_alloc(pool, bytes);

    /* What ends at the window is of the newest chunk, and not an allocation with memory of its own. */
    if (memory == NULL || (memory + bytes == pool->at && memory >= pool->untouched)) {
        return memory;
    }
    return memset(memory, 0, bytes);
}

void *weir_pool_calloc(weir_pool *pool, size_t count, size_t bytes)
{
    size_t product;

    return __builtin_mul_overflow(count, bytes, &product) ? NULL : weir_pool_zalloc(pool, product);
}

/*
 * For the newest that has memory of its own.  realloc() moves it under the
 * sanitizers, which so see a pointer that was kept.
 */
static void *pool_grow_own(weir_pool *pool, size_t bytes)
{
    size_t more = bytes - pool->own->bytes;
    pool_own *grown = NULL;

    pool_close_window(pool);

    if (more <= pool->left && bytes < PTRDIFF_MAX - sizeof(pool_own)) {
        grown = realloc(pool->own, sizeof(pool_own) + bytes);
    }

    if (grown != NULL) {
        grown->bytes = bytes;
        pool->own = grown;
        pool->left -= more;
    }

    pool_open_window(pool);
    return grown == NULL ? NULL : grown + 1;
}

void *weir_pool_grow(weir_pool *pool, void *memory, size_t bytes, size_t new_bytes)
{
    void *moved;

    if (memory != NULL && (char *) memory + bytes == pool->at
        && new_bytes - bytes <= (size_t) (pool->end - pool->at)) {
        pool->at += new_bytes - bytes;
        return memory;
    }

    if (pool->own != NULL && memory == pool->own + 1) {
        return pool_grow_own(pool, new_bytes);
    }

    moved = weir_pool_alloc(pool, new_bytes);
    if (moved != NULL && memory != NULL) {
        memcpy(moved, memory, bytes);
    }

    return moved;
}

void weir_pool_trim(weir_pool *pool, const char *memory, size_t bytes, size_t keep_bytes)
{
    if (memory + bytes == pool->at) {
        if (pool->at > pool->untouched) {
            pool->untouched = pool->at;
        }
        pool->at -= bytes - keep_bytes;
    }
}

/* Many at once in a pool of pages, close together: they are written to when the pool is freed. */
static bool pool_add_spare(weir_pool *pool)
{
    size_t count = pool->of_pages ? POOL_PAGES_CLEANUPS : 1;
    weir_pool_cleanup *cleanups = weir_pool_alloc(pool, count * sizeof(weir_pool_cleanup));

    if (cleanups == NULL) {
        return false;
    }
    while (count-- != 0) {
        cleanups[count].pool = pool;
        cleanups[count].registered = false;
        weir_list_prepend(&pool->spare, &cleanups[count].link);
    }
    return true;
}

weir_pool_cleanup *weir_pool_on_free(weir_pool *pool, void (*clean)(void *subject), void *subject)
{
    weir_pool_cleanup *cleanup;

    if (weir_list_is_empty(&pool->spare) && !pool_add_spare(pool)) {
        return NULL;
    }

    cleanup = WEIR_OWNER(pool->spare.next, weir_pool_cleanup, link);
    weir_list_remove(&cleanup->link);
    cleanup->registered = true;
    cleanup->clean = clean;
    cleanup->subject = subject;
    weir_list_prepend(&pool->cleanups, &cleanup->link);
    return cleanup;
}

void weir_pool_cancel(weir_pool_cleanup *cleanup)
{
    if (cleanup != NULL && cleanup->registered) {
        pool_forget_cleanup(cleanup);
    }
}

void weir_pool_raise(weir_pool *pool, size_t bytes)
{
    if (bytes > SIZE_MAX - pool->limit) {
        bytes = SIZE_MAX - pool->limit;
    }
    pool_close_window(pool);
    pool->limit += bytes;
    pool->left += bytes;
    pool_open_window(pool);
}

size_t weir_pool_used(const weir_pool *pool)
{
    return pool->limit - pool->left - (size_t) (pool->end - pool->at);
}
