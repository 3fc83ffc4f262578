#ifndef WEIR_SHARED_LEDGER_H
#define WEIR_SHARED_LEDGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Counts that must fall again, such as the active connections of each peer: a row for each worker process, a column for
 * each thing that is counted.
 *
 * A process writes only to the row of its own slot; what is asked for is the sum over the rows.  When a process died,
 * the master clears its row, and with it all that the process had counted and can count down no more.
 *
 * A count that only rises needs no ledger: it is an atomic word.
 */
typedef struct {
    _Atomic uint32_t *memory;
    size_t slots, columns;
} weir_ledger;

/* What it takes; memory of that size, all zero, is an empty ledger.  0: too many. */
size_t weir_ledger_bytes(size_t slots, size_t columns);
weir_ledger weir_ledger_at(void *memory, size_t slots, size_t columns);

/* By the process whose slot it is, and by no other.  Counting below zero stays at zero. */
void weir_ledger_up(const weir_ledger *ledger, size_t slot, size_t column);
void weir_ledger_down(const weir_ledger *ledger, size_t slot, size_t column);

/* The same count for a process that counts by itself, and stores what it has.  It stays where it is. */
_Atomic uint32_t *weir_ledger_own(const weir_ledger *ledger, size_t slot, size_t column);

/* What all living processes have counted; those count on meanwhile. */
uint64_t weir_ledger_sum(const weir_ledger *ledger, size_t column);

/* When the slot's process is dead. */
void weir_ledger_clear_slot(const weir_ledger *ledger, size_t slot);
/* When the column is to count something else, and nobody counts in it any more. */
void weir_ledger_clear_column(const weir_ledger *ledger, size_t column);

#endif
