#ifndef WEIR_SHARED_TALLY_H
#define WEIR_SHARED_TALLY_H

#include "core/shared/table.h"

/*
 * Counts by key that must fall again, for keys that are not known before: connections of each client address.  A ledger
 * whose columns come and go.
 *
 * Each process counts under its own slot, and a limit is held against the sum over all slots.  When a process died, the
 * master drops what its slot had counted.  The table is strict and has one number for each entry, which the table's own
 * functions must leave alone.
 */
#define WEIR_TALLY_SHAPE ((weir_table_shape){.numbers = 1, .is_strict = true})

typedef enum {
    WEIR_TALLY_COUNTED,
    WEIR_TALLY_OVER, /* not counted: the sum is `limit` or more */
    WEIR_TALLY_FULL, /* not counted: no room for the key */
} weir_tally_verdict;

/* One more of the key under the slot, if the sum is below `limit`. */
weir_tally_verdict weir_tally_up(weir_table *tally, weir_str key, uint32_t slot,
                                 uint64_t limit) WEIR_MUST_USE;
/* What was counted is given back by the same process, under the same slot. */
void weir_tally_down(weir_table *tally, weir_str key, uint32_t slot);
/* Over all slots; 0 for a key that is not there, or when the lock cannot be had. */
uint64_t weir_tally_sum(weir_table *tally, weir_str key);
/* When the slot's process is dead. */
void weir_tally_clear_slot(weir_table *tally, uint32_t slot);

#endif
