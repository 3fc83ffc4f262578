/* A number for each process that shares the zones, and what else core/process keeps in one. */

#include "core/process/slots_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/process/zone_internal.h"

typedef struct {
    _Atomic uint64_t connections;
    _Atomic uint64_t generation;              /* the greatest there was */
    _Atomic uint32_t used;                    /* one more than the highest that was ever taken */
    _Atomic uint32_t pids[WEIR_WORKER_SLOTS]; /* 0: free */
} slots_zone;

typedef struct {
    void (*gone)(unsigned slot, void *subject);
    void *subject;
} slots_hearer;

struct weir_slots {
    weir_array hearers;
};

weir_slots *weir_slots_new(weir_pool *pool)
{
    weir_slots *slots = WEIR_NEW(pool, weir_slots);

    if (slots != NULL) {
        weir_array_init(&slots->hearers, pool, sizeof(slots_hearer), 4);
    }

    return slots;
}

bool weir_worker_on_gone(weir_cycle *cycle, void (*gone)(unsigned slot, void *subject),
                         void *subject)
{
    slots_hearer *hearer = weir_array_push(&cycle->slots->hearers);

    if (hearer == NULL) {
        return false;
    }

    *hearer = (slots_hearer){gone, subject};
    return true;
}

/* ---- the zone */

bool weir_slots_declare_zone(weir_cycle *cycle)
{
    cycle->zone = weir_zones_add(cycle->zones, WEIR_STR("weir process"), sizeof(slots_zone),
                                 "process 2", NULL, NULL, &cycle->log);
    return cycle->zone != NULL;
}

static slots_zone *slots_zone_of(const weir_cycle *cycle)
{
    return weir_zone_memory(cycle->zone);
}

_Atomic uint64_t *weir_slots_connections(const weir_cycle *cycle)
{
    return &slots_zone_of(cycle)->connections;
}

uint64_t weir_slots_generation(const weir_cycle *cycle)
{
    return slots_zone_of(cycle)->generation;
}

void weir_slots_note_generation(const weir_cycle *cycle)
{
    slots_zone *zone = slots_zone_of(cycle);

    /* A master beside another reads no configuration. */
    if (zone->generation < cycle->generation) {
        zone->generation = cycle->generation;
    }
}

unsigned weir_worker_slots_used(const weir_cycle *cycle)
{
    return slots_zone_of(cycle)->used;
}

/* ---- slots */

/* Two masters take from the same during an upgrade. */
static bool slot_take_this(slots_zone *zone, unsigned slot)
{
    uint32_t nobody = 0, used = zone->used;

    if (!atomic_compare_exchange_strong(&zone->pids[slot], &nobody, (uint32_t) getpid())) {
        return false;
    }

    while (used <= slot && !atomic_compare_exchange_weak(&zone->used, &used, slot + 1)) {
    }

    return true;
}

bool weir_slot_take(const weir_cycle *cycle, unsigned *slot)
{
    slots_zone *zone = slots_zone_of(cycle);

    for (unsigned i = 0; i < WEIR_WORKER_SLOTS; i++) {
        if (slot_take_this(zone, i)) {
            *slot = i;
            return true;
        }
    }

    return false;
}

void weir_slot_name(const weir_cycle *cycle, unsigned slot, pid_t pid)
{
    slots_zone_of(cycle)->pids[slot] = (uint32_t) pid;
}

void weir_slot_clear(const weir_cycle *cycle, unsigned slot)
{
    for (WEIR_ARRAY_EACH(&cycle->slots->hearers, const slots_hearer, hearer)) {
        hearer->gone(slot, hearer->subject);
    }

    slots_zone_of(cycle)->pids[slot] = 0;
}

void weir_slots_sweep(const weir_cycle *cycle)
{
    slots_zone *zone = slots_zone_of(cycle);

    for (unsigned i = 0; i < zone->used && i < WEIR_WORKER_SLOTS; i++) {
        pid_t pid = (pid_t) zone->pids[i];

        if (pid != 0 && kill(pid, 0) == -1 && errno == ESRCH) {
            weir_slot_clear(cycle, i);
        }
    }
}
