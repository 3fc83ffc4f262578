/* The index of a table: what is not worth keeping when a process died over it, and how it is made again. */

#include "core/shared/table_internal.h"

#include <string.h>

size_t weir_table_cells_for(const weir_table *table, size_t len)
{
    size_t first = TABLE_CELL_BYTES - TABLE_HEAD_BYTES - table->shape.numbers * sizeof(uint64_t);
    size_t further = TABLE_CELL_BYTES - TABLE_LINK_BYTES;

    return len <= first ? 1 : 1 + (len - first + further - 1) / further;
}

/* ---- by key, and by use */

void weir_table_link_newest(weir_table *table, table_index entry)
{
    table_head *head = table->head;
    table_cell *cell = table_cell_at(table, entry);

    cell->newer = TABLE_NONE;
    cell->older = head->newest;
    if (head->newest == TABLE_NONE) {
        head->oldest = entry;
    } else {
        table_cell_at(table, head->newest)->newer = entry;
    }
    head->newest = entry;
}

void weir_table_unlink_use(weir_table *table, table_index entry)
{
    table_head *head = table->head;
    const table_cell *cell = table_cell_at(table, entry);

    if (cell->newer == TABLE_NONE) {
        head->newest = cell->older;
    } else {
        table_cell_at(table, cell->newer)->older = cell->older;
    }
    if (cell->older == TABLE_NONE) {
        head->oldest = cell->newer;
    } else {
        table_cell_at(table, cell->older)->newer = cell->newer;
    }
}

static void table_link_key(weir_table *table, table_index entry)
{
    table_cell *cell = table_cell_at(table, entry);
    table_index *bucket = table_bucket(table, cell->hash);

    cell->bucket_next = *bucket;
    *bucket = entry;
    table->head->entries++;
}

static void table_unlink_key(weir_table *table, table_index entry)
{
    const table_cell *cell = table_cell_at(table, entry);
    table_index *at = table_bucket(table, cell->hash);

    while (*at != entry) {
        at = &table_cell_at(table, *at)->bucket_next;
    }
    *at = cell->bucket_next;
    table->head->entries--;
}

void weir_table_link(weir_table *table, table_index entry)
{
    table_link_key(table, entry);
    weir_table_link_newest(table, entry);
}

void weir_table_unlink(weir_table *table, table_index entry)
{
    table_unlink_key(table, entry);
    weir_table_unlink_use(table, entry);
}

/* ---- making it again */

static size_t table_mark_words(const weir_table *table)
{
    return (table->cell_count + 63) / 64;
}

static bool table_is_marked(const weir_table *table, table_index i)
{
    return (table->marks[i / 64] >> i % 64 & 1) != 0;
}

static void table_mark(weir_table *table, table_index i)
{
    table->marks[i / 64] |= (uint64_t) 1 << i % 64;
}

static void table_unmark(weir_table *table, table_index i)
{
    table->marks[i / 64] &= ~((uint64_t) 1 << i % 64);
}

static void table_begin_index(weir_table *table)
{
    table_head *head = table->head;

    head->newest = head->oldest = head->free = TABLE_NONE;
    head->entries = head->free_count = 0;
    memset(table->buckets, 0xff, ((size_t) table->bucket_mask + 1) * sizeof(table_index));
    memset(table->marks, 0, table_mark_words(table) * sizeof(uint64_t));
}

static void table_unmark_chain(weir_table *table, table_index i, size_t cells)
{
    while (cells-- > 0) {
        table_unmark(table, i);
        i = table_cell_at(table, i)->next;
    }
}

/*
 * Marks an entry's cells.  False: these are no chain of its own, which no end of a process explains; whatever wrote
 * there, the table goes on without that entry.
 */
static bool table_mark_chain(weir_table *table, table_index entry)
{
    const table_cell *cell = table_cell_at(table, entry);
    size_t cells = weir_table_cells_for(table, (size_t) cell->key_len + cell->value_len);
    table_index i = entry;

    for (size_t n = 0; n < cells; n++) {
        if (i >= table->head->untouched || table_is_marked(table, i)
            || (n > 0 && atomic_load(&table_cell_at(table, i)->is_entry) != 0)) {
            table_unmark_chain(table, entry, n);
            return false;
        }
        table_mark(table, i);
        i = table_cell_at(table, i)->next;
    }

    if (i != TABLE_NONE) {
        table_unmark_chain(table, entry, cells);
        return false;
    }
    return true;
}

static bool table_is_same(const weir_table *table, table_index a, table_index b)
{
    const table_cell *first = table_cell_at(table, a), *second = table_cell_at(table, b);
    size_t offset = TABLE_HEAD_BYTES + table->shape.numbers * sizeof(uint64_t);
    size_t left = first->key_len;

    if (first->hash != second->hash || first->owner != second->owner
        || first->key_len != second->key_len) {
        return false;
    }

    while (left > 0) {
        size_t here = left < TABLE_CELL_BYTES - offset ? left : TABLE_CELL_BYTES - offset;

        if (memcmp((const char *) first + offset, (const char *) second + offset, here) != 0) {
            return false;
        }
        left -= here;
        if (left > 0) {
            first = table_cell_at(table, first->next);
            second = table_cell_at(table, second->next);
            offset = TABLE_LINK_BYTES;
        }
    }
    return true;
}

/* Whoever died when a value had just been replaced has left both. */
static table_index table_find_same(const weir_table *table, table_index entry)
{
    table_index i = *table_bucket(table, table_cell_at(table, entry)->hash);

    while (i != TABLE_NONE && !table_is_same(table, i, entry)) {
        i = table_cell_at(table, i)->bucket_next;
    }
    return i;
}

static void table_forget(weir_table *table, table_index entry)
{
    const table_cell *cell = table_cell_at(table, entry);
    size_t cells = weir_table_cells_for(table, (size_t) cell->key_len + cell->value_len);

    atomic_store(&table_cell_at(table, entry)->is_entry, 0);
    table_unmark_chain(table, entry, cells);
}

static void table_take_over(weir_table *table, table_index entry)
{
    table_cell *cell = table_cell_at(table, entry);
    table_index same;

    if (!table_mark_chain(table, entry)) {
        atomic_store(&cell->is_entry, 0);
        return;
    }

    same = table_find_same(table, entry);
    if (same != TABLE_NONE) {
        if (atomic_load(&table_cell_at(table, same)->used) > atomic_load(&cell->used)) {
            table_forget(table, entry);
            return;
        }
        table_unlink_key(table, same);
        table_forget(table, same);
    }
    table_link_key(table, entry);
}

static void table_free_unmarked(weir_table *table)
{
    table->head->free_count = table->cell_count - table->head->untouched;
    for (table_index i = table->head->untouched; i-- > 0;) {
        if (!table_is_marked(table, i)) {
            table_cell_at(table, i)->next = table->head->free;
            table->head->free = i;
            table->head->free_count++;
        }
    }
}

/* Two lists by `older`, the newest first, as one. */
static table_index table_merge(weir_table *table, table_index a, table_index b)
{
    table_index first = TABLE_NONE, *end = &first;

    while (a != TABLE_NONE && b != TABLE_NONE) {
        table_index *newer = atomic_load(&table_cell_at(table, a)->used)
                                     >= atomic_load(&table_cell_at(table, b)->used)
                                 ? &a
                                 : &b;

        *end = *newer;
        end = &table_cell_at(table, *newer)->older;
        *newer = *end;
    }
    *end = a != TABLE_NONE ? a : b;
    return first;
}

/* Merge sort: sorted[n] is a list of 2^n entries, or none. */
static table_index table_sort_by_use(weir_table *table)
{
    table_index sorted[32], list = TABLE_NONE;

    memset(sorted, 0xff, sizeof(sorted));
    for (table_index i = 0; i < table->head->untouched; i++) {
        size_t n = 0;

        if (atomic_load(&table_cell_at(table, i)->is_entry) == 0) {
            continue;
        }
        table_cell_at(table, i)->older = TABLE_NONE;
        for (list = i; sorted[n] != TABLE_NONE; n++) {
            list = table_merge(table, list, sorted[n]);
            sorted[n] = TABLE_NONE;
        }
        sorted[n] = list;
    }

    list = TABLE_NONE;
    for (size_t n = 0; n < WEIR_COUNT(sorted); n++) {
        list = table_merge(table, list, sorted[n]);
    }
    return list;
}

static void table_order_by_use(weir_table *table)
{
    table_head *head = table->head;
    table_index newer = TABLE_NONE;

    head->newest = table_sort_by_use(table);
    if (head->newest != TABLE_NONE) {
        uint64_t used = atomic_load(&table_cell_at(table, head->newest)->used);

        head->uses = used > head->uses ? used : head->uses;
    }
    for (table_index i = head->newest; i != TABLE_NONE; i = table_cell_at(table, i)->older) {
        table_cell_at(table, i)->newer = newer;
        newer = i;
    }
    head->oldest = newer;
}

void weir_table_rebuild(weir_table *table)
{
    table_begin_index(table);
    for (table_index i = 0; i < table->head->untouched; i++) {
        if (atomic_load(&table_cell_at(table, i)->is_entry) != 0) {
            table_take_over(table, i);
        }
    }
    table_order_by_use(table);
    table_free_unmarked(table);
}

void weir_table_clear(weir_table *table)
{
    table->head->untouched = 0;
    table->head->uses = 0;
    weir_table_rebuild(table);
}
