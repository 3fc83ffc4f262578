#ifndef WEIR_PROCESS_SLOTS_INTERNAL_H
#define WEIR_PROCESS_SLOTS_INTERNAL_H

#include <sys/types.h>

#include "core/process/worker.h"

weir_slots *weir_slots_new(weir_pool *pool);

/* Declares the zone that core/process itself needs. */
bool weir_slots_declare_zone(weir_cycle *cycle) WEIR_MUST_USE;
/* Numbers connections, over all workers and generations. */
_Atomic uint64_t *weir_slots_connections(const weir_cycle *cycle);
/*
 * The greatest number that a configuration with this zone ever had, in whatever binary: an upgrade
 * may be taken back.  0: there was none.  The cycle's own number is put there once it cannot fail
 * to open.
 */
uint64_t weir_slots_generation(const weir_cycle *cycle);
void weir_slots_note_generation(const weir_cycle *cycle);

/* The lowest that is free; false: there is none. It is this process's until it is named another's. */
bool weir_slot_take(const weir_cycle *cycle, unsigned *slot) WEIR_MUST_USE;
void weir_slot_name(const weir_cycle *cycle, unsigned slot, pid_t pid);
/* Its process is dead, or never was: tells whoever counts by it, and frees it. */
void weir_slot_clear(const weir_cycle *cycle, unsigned slot);
/* The same for those whose processes died without a master to notice. */
void weir_slots_sweep(const weir_cycle *cycle);

#endif
