#include "core/shared/ledger.h"

#include "core/base/number.h"

/*
 * A line that says how many rows are in use, then the rows.  Each begins on a cache line of its own, so that workers do
 * not take it from each other for each connection: only the sum reads them all.
 */
#define LEDGER_LINE 64
#define LEDGER_COUNTS_A_LINE (LEDGER_LINE / sizeof(uint32_t))

/* Counts from one row to the next. */
static size_t ledger_stride(size_t columns)
{
    return (columns + LEDGER_COUNTS_A_LINE - 1) / LEDGER_COUNTS_A_LINE * LEDGER_COUNTS_A_LINE;
}

size_t weir_ledger_bytes(size_t slots, size_t columns)
{
    size_t bytes;

    if (columns > UINT32_MAX
        || !weir_mul_size(ledger_stride(columns) * sizeof(uint32_t), slots, &bytes)
        || !weir_add_size(bytes, LEDGER_LINE, &bytes)) {
        return 0;
    }
    return bytes;
}

weir_ledger weir_ledger_at(void *memory, size_t slots, size_t columns)
{
    return (weir_ledger){.memory = memory, .slots = slots, .columns = columns};
}

static _Atomic uint32_t *ledger_count(const weir_ledger *ledger, size_t slot, size_t column)
{
    return ledger->memory + LEDGER_COUNTS_A_LINE + slot * ledger_stride(ledger->columns) + column;
}

/* Rows that were ever counted in; no more than there are, whatever the memory says. */
static size_t ledger_slots_used(const weir_ledger *ledger)
{
    size_t used = atomic_load_explicit(ledger->memory, memory_order_relaxed);

    return used < ledger->slots ? used : ledger->slots;
}

static void ledger_use_slot(const weir_ledger *ledger, size_t slot)
{
    uint32_t used = atomic_load_explicit(ledger->memory, memory_order_relaxed);

    while (WEIR_UNLIKELY(used <= slot)
           && !atomic_compare_exchange_weak_explicit(ledger->memory, &used, (uint32_t) slot + 1,
                                                     memory_order_relaxed, memory_order_relaxed)) {
    }
}

/* One writer: no locked instruction is needed, only that nobody sees half a word. */
void weir_ledger_up(const weir_ledger *ledger, size_t slot, size_t column)
{
    _Atomic uint32_t *count = ledger_count(ledger, slot, column);
    uint32_t now = atomic_load_explicit(count, memory_order_relaxed);

    ledger_use_slot(ledger, slot);
    if (now != UINT32_MAX) {
        atomic_store_explicit(count, now + 1, memory_order_relaxed);
    }
}

void weir_ledger_down(const weir_ledger *ledger, size_t slot, size_t column)
{
    _Atomic uint32_t *count = ledger_count(ledger, slot, column);
    uint32_t now = atomic_load_explicit(count, memory_order_relaxed);

    if (now != 0) {
        atomic_store_explicit(count, now - 1, memory_order_relaxed);
    }
}

_Atomic uint32_t *weir_ledger_own(const weir_ledger *ledger, size_t slot, size_t column)
{
    ledger_use_slot(ledger, slot);
    return ledger_count(ledger, slot, column);
}

uint64_t weir_ledger_sum(const weir_ledger *ledger, size_t column)
{
    size_t used = ledger_slots_used(ledger);
    uint64_t sum = 0;

    for (size_t slot = 0; slot < used; slot++) {
        sum += atomic_load_explicit(ledger_count(ledger, slot, column), memory_order_relaxed);
    }
    return sum;
}

void weir_ledger_clear_slot(const weir_ledger *ledger, size_t slot)
{
    for (size_t column = 0; column < ledger->columns; column++) {
        atomic_store_explicit(ledger_count(ledger, slot, column), 0, memory_order_relaxed);
    }
}

void weir_ledger_clear_column(const weir_ledger *ledger, size_t column)
{
    size_t used = ledger_slots_used(ledger);

    for (size_t slot = 0; slot < used; slot++) {
        atomic_store_explicit(ledger_count(ledger, slot, column), 0, memory_order_relaxed);
    }
}
