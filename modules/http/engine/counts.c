#include "modules/http/engine/counts.h"

#include "core/process/worker.h"
#include "core/process/zone.h"

#define COUNTS_LAYOUT "http counts 1"

/* Behind the rows of processes: what those that are gone had done. */
#define ROW_OF_THE_GONE WEIR_WORKER_SLOTS
#define ROWS (WEIR_WORKER_SLOTS + 1)

_Static_assert(sizeof(weir_http_counts_row) == 64, "a row is a cache line");

struct weir_http_counts {
    const weir_cycle *cycle;
    weir_http_counts_row *rows;    /* NULL before the zone is open */
    weir_http_counts_row unshared; /* where nothing was opened: for tests */
};

static bool counts_opened(weir_zone *zone, bool is_new, void *subject)
{
    (void) is_new;
    ((weir_http_counts *) subject)->rows = weir_zone_memory(zone);
    return true;
}

static uint64_t taken(_Atomic uint64_t *count)
{
    return atomic_exchange(count, 0);
}

static void worker_gone(unsigned slot, void *subject)
{
    const weir_http_counts *counts = subject;
    weir_http_counts_row *row = &counts->rows[slot];
    weir_http_counts_row *gone = &counts->rows[ROW_OF_THE_GONE];

    if (counts->rows == NULL) {
        return;
    }
    (void) taken(&row->active);
    (void) taken(&row->reading);
    (void) taken(&row->writing);
    atomic_fetch_add(&gone->accepted, taken(&row->accepted));
    atomic_fetch_add(&gone->requests, taken(&row->requests));
}

weir_http_counts *weir_http_counts_new(weir_conf *conf)
{
    weir_cycle *cycle = weir_conf_cycle(conf);
    weir_http_counts *counts = WEIR_NEW(weir_conf_pool(conf), weir_http_counts);

    if (counts == NULL || !weir_worker_on_gone(cycle, worker_gone, counts)) {
        weir_conf_refuse(conf, "no memory for counts");
        return NULL;
    }
    counts->cycle = cycle;
    return weir_zone_new(conf, WEIR_STR("http counts"), ROWS * sizeof(weir_http_counts_row),
                         COUNTS_LAYOUT, counts_opened, counts)
                   == NULL
               ? NULL
               : counts;
}

weir_http_counts_row *weir_http_counts_own(const weir_http_counts *counts)
{
    const weir_worker *worker = weir_worker_current();

    return worker == NULL || counts->rows == NULL
               ? (weir_http_counts_row *) (uintptr_t) &counts->unshared
               : &counts->rows[worker->slot];
}

static void add(weir_http_counts_sum *sum, const weir_http_counts_row *row)
{
    sum->active += atomic_load(&row->active);
    sum->reading += atomic_load(&row->reading);
    sum->writing += atomic_load(&row->writing);
    sum->accepted += atomic_load(&row->accepted);
    sum->requests += atomic_load(&row->requests);
}

weir_http_counts_sum weir_http_counts_tell(const weir_http_counts *counts)
{
    weir_http_counts_sum sum = {0};
    unsigned used = weir_worker_slots_used(counts->cycle);

    if (counts->rows == NULL) {
        return sum;
    }
    for (unsigned slot = 0; slot < used; slot++) {
        add(&sum, &counts->rows[slot]);
    }
    add(&sum, &counts->rows[ROW_OF_THE_GONE]);
    return sum;
}
