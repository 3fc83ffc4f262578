#ifndef WEIR_SHARED_TABLE_INTERNAL_H
#define WEIR_SHARED_TABLE_INTERNAL_H

#include "core/shared/lock.h"
#include "core/shared/table.h"

/*
 * The memory: a head, then cells of one size, then the buckets, then a bit for each cell.
 *
 * An entry is a chain of cells: the first says what it is, and has its numbers and what fits of
 * key and value; the others have the rest. It is there from the moment that `is_entry` of its
 * first cell is set, and gone from the moment that it is cleared; nothing of the chain is changed
 * in between but its numbers, and when it was used and expires, each of which is one word.  That
 * is all that counts: buckets, the order of use and the list of free cells are an index, which is
 * made again from the entries when the lock was inherited from the dead.
 */

#define TABLE_NONE UINT32_MAX
#define TABLE_CELL_BYTES 128
#define TABLE_HEAD_BYTES 48 /* of a cell that begins an entry, before its numbers */
#define TABLE_LINK_BYTES 8  /* of one that goes on */

typedef uint32_t table_index; /* of a cell; TABLE_NONE: of none */

typedef struct {
    _Atomic uint32_t is_entry; /* in all cells: 1 or 0 */
    table_index next;          /* in all cells: of the chain, or the next free one */
    uint32_t hash;
    uint32_t owner; /* part of the key: see tally.h */
    table_index bucket_next;
    table_index newer, older; /* by use */
    uint16_t key_len, value_len;
    _Atomic uint64_t
        used; /* grows with each use: the order; of two with one key, the later counts */
    _Atomic uint64_t expires_ms;
    _Atomic uint64_t numbers[(TABLE_CELL_BYTES - TABLE_HEAD_BYTES) / 8];
} table_cell;

_Static_assert(sizeof(table_cell) == TABLE_CELL_BYTES, "a cell is two cache lines");
_Static_assert(offsetof(table_cell, numbers) == TABLE_HEAD_BYTES, "what follows the head");

typedef struct {
    /* What a later generation, or binary, goes by. */
    uint64_t magic;
    uint64_t bytes;
    uint32_t cells, buckets, numbers, lock_bytes;

    uint64_t hash_key[2];
    weir_shared_lock lock;

    /* The index, with the buckets and bits. */
    table_index newest, oldest, free;
    uint32_t entries, free_count;
    /*
     * Cells from here on have never been used, whatever lies there: they are free, too, and in no
     * list.  So a table that is little used takes little memory.
     */
    uint32_t untouched;
    uint64_t uses;

    _Atomic uint64_t evicted, refused, rebuilt;
} table_head;

struct weir_table {
    table_head *head;
    table_cell *cells;
    table_index *buckets;
    uint64_t *marks; /* a bit for each cell: for a rebuild */
    uint32_t cell_count, bucket_mask;
    weir_table_shape shape;
    weir_str name;
    const weir_log *log;
    bool was_rebuilt; /* to be told when the lock is given back */
};

/* Takes the lock and mends what is to be mended.  False: it was not to be had. */
bool weir_table_lock(weir_table *table) WEIR_MUST_USE;
void weir_table_unlock(weir_table *table);

/* All that follow want the lock. */

uint32_t weir_table_hash(const weir_table *table, weir_str key);
/* An entry that has not expired. */
table_index weir_table_find(weir_table *table, weir_str key, uint32_t hash, uint32_t owner);
/* A new entry, its numbers zero, beside what may be there under the same key. TABLE_NONE: no room. */
table_index weir_table_make(weir_table *table, weir_str key, uint32_t hash, uint32_t owner,
                            weir_str value, uint64_t ttl_ms);
void weir_table_drop(weir_table *table, table_index entry);
bool weir_table_has_key(const weir_table *table, table_index entry, weir_str key);

/* table_index.c */
void weir_table_clear(weir_table *table);
void weir_table_rebuild(weir_table *table);
void weir_table_link(weir_table *table, table_index entry);
void weir_table_unlink(weir_table *table, table_index entry);
void weir_table_link_newest(weir_table *table, table_index entry);
void weir_table_unlink_use(weir_table *table, table_index entry);
size_t weir_table_cells_for(const weir_table *table, size_t len);

static inline table_cell *table_cell_at(const weir_table *table, table_index i)
{
    return &table->cells[i];
}

static inline table_index *table_bucket(const weir_table *table, uint32_t hash)
{
    return &table->buckets[hash & table->bucket_mask];
}

#endif
