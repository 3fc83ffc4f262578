#ifndef WEIR_HTTP_ENGINE_COUNTS_H
#define WEIR_HTTP_ENGINE_COUNTS_H

#include <stdatomic.h>

#include "core/conf/conf.h"

/*
 * Connections and requests of all workers, for stub_status: a row of shared memory for each process, which no other
 * writes to, so that counting costs no bus lock.  Kept over reloads.
 *
 * When a process died, the master takes back what it had in progress, and keeps what it had done.
 */
typedef struct weir_http_counts_row {
    _Atomic uint64_t active; /* connections */
    _Atomic uint64_t reading,
        writing; /* requests: of which the head is read, and what comes after */
    _Atomic uint64_t accepted, requests;
    uint64_t unused[3]; /* a row is a cache line */
} weir_http_counts_row;

typedef struct weir_http_counts weir_http_counts;

/* NULL: refused. */
weir_http_counts *weir_http_counts_new(weir_conf *conf);
/* This process's own. */
weir_http_counts_row *weir_http_counts_own(const weir_http_counts *counts);

typedef struct {
    uint64_t active, reading, writing, accepted, requests;
} weir_http_counts_sum;

weir_http_counts_sum weir_http_counts_tell(const weir_http_counts *counts);

/* There is one writer: no read-modify-write is needed. */
static inline void weir_http_count_up(_Atomic uint64_t *count)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static inline void weir_http_count_down(_Atomic uint64_t *count)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) - 1,
                          memory_order_relaxed);
}

#endif
