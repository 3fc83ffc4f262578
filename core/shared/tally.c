#include "core/shared/tally.h"

#include "core/shared/table_internal.h"

/*
 * An entry for each key and slot, its owner.  Those of one key are in one bucket, as owners are not hashed, so that
 * the sum is found in one walk.
 */

static _Atomic uint64_t *tally_count(const weir_table *tally, table_index entry)
{
    return &table_cell_at(tally, entry)->numbers[0];
}

static uint64_t tally_sum(const weir_table *tally, weir_str key, uint32_t hash)
{
    table_index i = *table_bucket(tally, hash);
    uint64_t sum = 0;

    while (i != TABLE_NONE) {
        const table_cell *cell = table_cell_at(tally, i);

        if (cell->hash == hash && weir_table_has_key(tally, i, key)) {
            sum += atomic_load_explicit(tally_count(tally, i), memory_order_relaxed);
        }
        i = cell->bucket_next;
    }
    return sum;
}

static weir_tally_verdict tally_count_up(weir_table *tally, weir_str key, uint32_t hash,
                                         uint32_t slot)
{
    table_index own = weir_table_find(tally, key, hash, slot);

    if (own == TABLE_NONE) {
        own = weir_table_make(tally, key, hash, slot, WEIR_STR_EMPTY, WEIR_TABLE_FOREVER);
    }
    if (own == TABLE_NONE) {
        return WEIR_TALLY_FULL;
    }
    atomic_fetch_add_explicit(tally_count(tally, own), 1, memory_order_relaxed);
    return WEIR_TALLY_COUNTED;
}

weir_tally_verdict weir_tally_up(weir_table *tally, weir_str key, uint32_t slot, uint64_t limit)
{
    uint32_t hash = weir_table_hash(tally, key);
    weir_tally_verdict verdict = WEIR_TALLY_OVER;

    if (!weir_table_lock(tally)) {
        return WEIR_TALLY_FULL;
    }

    if (tally_sum(tally, key, hash) < limit) {
        verdict = tally_count_up(tally, key, hash, slot);
    }
    weir_table_unlock(tally);
    return verdict;
}

void weir_tally_down(weir_table *tally, weir_str key, uint32_t slot)
{
    uint32_t hash = weir_table_hash(tally, key);
    table_index own;

    if (!weir_table_lock(tally)) {
        return;
    }

    own = weir_table_find(tally, key, hash, slot);
    if (own != TABLE_NONE) {
        if (atomic_load_explicit(tally_count(tally, own), memory_order_relaxed) > 1) {
            atomic_fetch_sub_explicit(tally_count(tally, own), 1, memory_order_relaxed);
        } else {
            weir_table_drop(tally, own);
        }
    }
    weir_table_unlock(tally);
}

uint64_t weir_tally_sum(weir_table *tally, weir_str key)
{
    uint32_t hash = weir_table_hash(tally, key);
    uint64_t sum;

    if (!weir_table_lock(tally)) {
        return 0;
    }

    sum = tally_sum(tally, key, hash);
    weir_table_unlock(tally);
    return sum;
}

void weir_tally_clear_slot(weir_table *tally, uint32_t slot)
{
    if (!weir_table_lock(tally)) {
        return;
    }

    for (table_index entry = tally->head->newest; entry != TABLE_NONE;) {
        const table_cell *cell = table_cell_at(tally, entry);
        table_index older = cell->older;

        if (cell->owner == slot) {
            weir_table_drop(tally, entry);
        }
        entry = older;
    }
    weir_table_unlock(tally);
}
