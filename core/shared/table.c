#include "core/shared/table_internal.h"

#include <string.h>

#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/random.h"

#define TABLE_MAGIC 0x32656c6261746577 /* "wetable2": grows with what lies in the memory */
#define TABLE_HEAD_ROOM 256            /* the first cell begins here */
#define TABLE_SHARE_MAX 4              /* one entry may take a quarter */

_Static_assert(sizeof(table_head) <= TABLE_HEAD_ROOM, "the head must fit before the cells");

/* ---- opening */

/* How many cells fit into so many bytes, where each takes itself, one bucket of the index at most, and one bit. */
static uint32_t table_cells_in(size_t bytes)
{
    const size_t bits = (TABLE_CELL_BYTES + sizeof(table_index)) * 8 + 1;
    size_t room = bytes - TABLE_HEAD_ROOM - 2 * sizeof(uint64_t); /* what rounding takes */
    size_t cells = room / bits * 8 + room % bits * 8 / bits;

    return cells < TABLE_NONE ? (uint32_t) cells : TABLE_NONE - 1;
}

static void table_lay_out(weir_table *table, void *memory, size_t bytes)
{
    char *at = memory;
    uint32_t buckets = 1;

    table->cell_count = table_cells_in(bytes);
    while (buckets <= table->cell_count / 2) {
        buckets *= 2;
    }
    table->bucket_mask = buckets - 1;

    table->head = memory;
    table->cells = (table_cell *) (void *) (at + TABLE_HEAD_ROOM);
    table->marks = (uint64_t *) (void *) (table->cells + table->cell_count);
    table->buckets = (table_index *) (void *) (table->marks + (table->cell_count + 63) / 64);
}

static bool table_is_readable(const weir_table *table, size_t bytes)
{
    const table_head *head = table->head;

    return head->magic == TABLE_MAGIC && head->bytes == bytes && head->cells == table->cell_count
           && head->untouched <= head->cells && head->buckets == table->bucket_mask + 1
           && head->numbers == table->shape.numbers && head->lock_bytes == sizeof(weir_shared_lock);
}

static void table_begin(weir_table *table, size_t bytes)
{
    table_head *head = table->head;

    memset(head, 0, sizeof(*head));
    head->bytes = bytes;
    head->cells = table->cell_count;
    head->buckets = table->bucket_mask + 1;
    head->numbers = table->shape.numbers;
    head->lock_bytes = sizeof(weir_shared_lock);
    weir_random_bytes(head->hash_key, sizeof(head->hash_key));
    weir_shared_lock_init(&head->lock);
    weir_table_clear(table);
    head->magic = TABLE_MAGIC;
}

weir_table *weir_table_open(weir_pool *pool, void *memory, size_t bytes, weir_table_shape shape,
                            bool is_new, weir_str name, const weir_log *log)
{
    weir_table *table = WEIR_NEW(pool, weir_table);

    if (table == NULL || bytes < WEIR_TABLE_BYTES_MIN || shape.numbers > WEIR_TABLE_NUMBERS_MAX) {
        weir_log_line(log, WEIR_LOG_EMERG, 0, "%s for the table \"%.*s\"",
                      table == NULL ? "no memory" : "no room", WEIR_STR_ARG(name));
        return NULL;
    }

    table->shape = shape;
    table->name = name;
    table->log = log;
    table_lay_out(table, memory, bytes);

    if (!is_new && !table_is_readable(table, bytes)) {
        weir_log_line(log, WEIR_LOG_WARN, 0, "the table \"%.*s\" is unreadable: it begins empty",
                      WEIR_STR_ARG(name));
        is_new = true;
    }
    if (is_new) {
        table_begin(table, bytes);
    }
    return table;
}

/* ---- the lock */

bool weir_table_lock(weir_table *table)
{
    switch (weir_shared_lock_take(&table->head->lock)) {
    case WEIR_LOCK_TAKEN:
        return true;

    case WEIR_LOCK_INHERITED:
        weir_table_rebuild(table);
        atomic_fetch_add(&table->head->rebuilt, 1);
        table->was_rebuilt = true;
        return true;

    case WEIR_LOCK_MISSED:
        break;
    }

    weir_log_line(table->log, WEIR_LOG_ERR, 0,
                  "the table \"%.*s\" is held by a process that stands", WEIR_STR_ARG(table->name));
    return false;
}

void weir_table_unlock(weir_table *table)
{
    bool was_rebuilt = table->was_rebuilt;

    table->was_rebuilt = false;
    weir_shared_lock_give(&table->head->lock);

    if (WEIR_UNLIKELY(was_rebuilt)) {
        weir_log_line(table->log, WEIR_LOG_NOTICE, 0,
                      "a process died while it held the table \"%.*s\": its index is new",
                      WEIR_STR_ARG(table->name));
    }
}

/* ---- bytes in chains */

/* Where an entry's key and value are read or written, from the first byte on. */
typedef struct {
    const weir_table *table;
    table_cell *cell;
    size_t offset;
} table_place;

static table_place table_bytes_of(const weir_table *table, table_index entry)
{
    return (table_place){
        .table = table,
        .cell = table_cell_at(table, entry),
        .offset = TABLE_HEAD_BYTES + table->shape.numbers * sizeof(uint64_t),
    };
}

/* The next bytes of one cell, `max` at most. */
static char *table_take(table_place *place, size_t max, size_t *len)
{
    char *bytes;

    if (place->offset == TABLE_CELL_BYTES) {
        place->cell = table_cell_at(place->table, place->cell->next);
        place->offset = TABLE_LINK_BYTES;
    }

    bytes = (char *) place->cell + place->offset;
    *len = max < TABLE_CELL_BYTES - place->offset ? max : TABLE_CELL_BYTES - place->offset;
    place->offset += *len;
    return bytes;
}

static void table_write(table_place *place, weir_str from)
{
    size_t here;

    for (size_t done = 0; done < from.len; done += here) {
        char *to = table_take(place, from.len - done, &here);

        memcpy(to, from.data + done, here);
    }
}

static void table_read(table_place *place, char *to, size_t len)
{
    size_t here;

    for (size_t done = 0; done < len; done += here) {
        const char *from = table_take(place, len - done, &here);

        memcpy(to + done, from, here);
    }
}

/* Goes past the key, too, if it is equal. */
static bool table_match(table_place *place, weir_str key)
{
    size_t here;

    for (size_t done = 0; done < key.len; done += here) {
        const char *bytes = table_take(place, key.len - done, &here);

        if (memcmp(bytes, key.data + done, here) != 0) {
            return false;
        }
    }
    return true;
}

/* ---- entries */

uint32_t weir_table_hash(const weir_table *table, weir_str key)
{
    return (uint32_t) weir_hash_keyed(key, false, table->head->hash_key);
}

bool weir_table_has_key(const weir_table *table, table_index entry, weir_str key)
{
    table_place place = table_bytes_of(table, entry);

    return table_cell_at(table, entry)->key_len == key.len && table_match(&place, key);
}

static bool table_has_expired(const weir_table *table, table_index entry)
{
    return atomic_load_explicit(&table_cell_at(table, entry)->expires_ms, memory_order_relaxed)
           <= weir_clock_now()->monotonic_ms;
}

static void table_set_ttl(table_cell *cell, uint64_t ttl_ms)
{
    uint64_t now_ms = weir_clock_now()->monotonic_ms;
    uint64_t expires_ms = ttl_ms > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + ttl_ms;

    atomic_store_explicit(&cell->expires_ms, expires_ms, memory_order_relaxed);
}

/* In what is left of a bucket, from the entry `i` on. */
static table_index table_find_from(weir_table *table, table_index i, weir_str key, uint32_t hash,
                                   uint32_t owner)
{
    while (i != TABLE_NONE) {
        const table_cell *cell = table_cell_at(table, i);

        if (cell->hash == hash && cell->owner == owner && weir_table_has_key(table, i, key)) {
            break;
        }
        i = cell->bucket_next;
    }

    if (i != TABLE_NONE && table_has_expired(table, i)) {
        weir_table_drop(table, i);
        return TABLE_NONE;
    }
    return i;
}

table_index weir_table_find(weir_table *table, weir_str key, uint32_t hash, uint32_t owner)
{
    return table_find_from(table, *table_bucket(table, hash), key, hash, owner);
}

static void table_use(weir_table *table, table_index entry)
{
    if (table->head->newest != entry) {
        weir_table_unlink_use(table, entry);
        weir_table_link_newest(table, entry);
    }
    atomic_store_explicit(&table_cell_at(table, entry)->used, ++table->head->uses,
                          memory_order_relaxed);
}

/*
 * Signal fences are enough.  A process that is killed leaves behind what it had done up to some instruction, in the order
 * of its program, so only the compiler must keep that order; between processes that live, the lock does.
 */
static void table_commit(table_cell *cell, bool is_entry)
{
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&cell->is_entry, is_entry, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
}

/* Secrets may lie there: what is gone is overwritten. */
static void table_wipe(table_cell *cell, size_t from)
{
    memset((char *) cell + from, 0, TABLE_CELL_BYTES - from);
}

void weir_table_drop(weir_table *table, table_index entry)
{
    table_head *head = table->head;
    table_cell *cell = table_cell_at(table, entry);

    table_commit(cell, false);
    weir_table_unlink(table, entry);
    table_wipe(cell, TABLE_LINK_BYTES);
    head->free_count++;

    while (cell->next != TABLE_NONE) {
        cell = table_cell_at(table, cell->next);
        table_wipe(cell, TABLE_LINK_BYTES);
        head->free_count++;
    }
    cell->next = head->free;
    head->free = entry;
}

/* Two at a time, so that a table which grows by one expires faster than it grows. */
static void table_drop_expired(weir_table *table)
{
    for (unsigned n = 0; n < 2; n++) {
        table_index oldest = table->head->oldest;

        if (oldest == TABLE_NONE || !table_has_expired(table, oldest)) {
            return;
        }
        weir_table_drop(table, oldest);
    }
}

static bool table_make_room(weir_table *table, size_t cells)
{
    table_head *head = table->head;

    if (cells > table->cell_count / TABLE_SHARE_MAX) {
        return false;
    }

    table_drop_expired(table);
    while (head->free_count < cells) {
        if (!table_has_expired(table, head->oldest)) {
            if (table->shape.is_strict) {
                return false;
            }
            atomic_fetch_add_explicit(&head->evicted, 1, memory_order_relaxed);
        }
        weir_table_drop(table, head->oldest);
    }
    return true;
}

/* Puts a cell into the list of free ones that was never used. */
static void table_touch(weir_table *table)
{
    table_head *head = table->head;
    table_cell *cell = table_cell_at(table, head->untouched);

    memset(cell, 0, sizeof(*cell));
    cell->next = head->free;
    /* Whoever finds the table after a death goes over the cells before that. */
    atomic_signal_fence(memory_order_seq_cst);
    head->free = head->untouched++;
}

/* As many cells as are wanted and free, as a chain. */
static table_index table_take_cells(weir_table *table, size_t cells)
{
    table_head *head = table->head;
    table_index first;
    table_cell *last;

    while (head->free_count - (table->cell_count - head->untouched) < cells) {
        table_touch(table);
    }
    first = head->free;
    last = table_cell_at(table, first);
    head->free_count -= (uint32_t) cells;
    while (--cells > 0) {
        last = table_cell_at(table, last->next);
    }
    head->free = last->next;
    last->next = TABLE_NONE;
    return first;
}

table_index weir_table_make(weir_table *table, weir_str key, uint32_t hash, uint32_t owner,
                            weir_str value, uint64_t ttl_ms)
{
    table_index entry;
    table_cell *cell;
    table_place place;

    if (key.len > WEIR_TABLE_KEY_MAX || value.len > WEIR_TABLE_VALUE_MAX
        || !table_make_room(table, weir_table_cells_for(table, key.len + value.len))) {
        atomic_fetch_add_explicit(&table->head->refused, 1, memory_order_relaxed);
        return TABLE_NONE;
    }

    entry = table_take_cells(table, weir_table_cells_for(table, key.len + value.len));
    cell = table_cell_at(table, entry);
    cell->hash = hash;
    cell->owner = owner;
    cell->key_len = (uint16_t) key.len;
    cell->value_len = (uint16_t) value.len;
    for (size_t n = 0; n < table->shape.numbers; n++) {
        atomic_store_explicit(&cell->numbers[n], 0, memory_order_relaxed);
    }
    atomic_store_explicit(&cell->used, ++table->head->uses, memory_order_relaxed);
    table_set_ttl(cell, ttl_ms);

    place = table_bytes_of(table, entry);
    table_write(&place, key);
    table_write(&place, value);

    table_commit(cell, true);
    weir_table_link(table, entry);
    return entry;
}

/* ---- values */

bool weir_table_put(weir_table *table, weir_str key, weir_str value, uint64_t ttl_ms)
{
    uint32_t hash = weir_table_hash(table, key);
    table_index before, made;

    if (!weir_table_lock(table)) {
        return false;
    }

    /* Used, so that it is the last to make room; and dropped only when the new one is there. */
    before = weir_table_find(table, key, hash, 0);
    if (before != TABLE_NONE) {
        table_use(table, before);
    }
    made = weir_table_make(table, key, hash, 0, value, ttl_ms);
    if (made != TABLE_NONE) {
        before = table_find_from(table, table_cell_at(table, made)->bucket_next, key, hash, 0);
        if (before != TABLE_NONE) {
            weir_table_drop(table, before);
        }
    }

    weir_table_unlock(table);
    return made != TABLE_NONE;
}

bool weir_table_get(weir_table *table, weir_str key, void *value, size_t max, size_t *len)
{
    uint32_t hash = weir_table_hash(table, key);
    table_index entry;
    bool is_found;

    if (!weir_table_lock(table)) {
        return false;
    }

    entry = weir_table_find(table, key, hash, 0);
    is_found = entry != TABLE_NONE && table_cell_at(table, entry)->value_len <= max;
    if (is_found) {
        table_place place = table_bytes_of(table, entry);

        table_use(table, entry);
        *len = table_cell_at(table, entry)->value_len;
        (void) table_match(&place, key);
        table_read(&place, value, *len);
    }

    weir_table_unlock(table);
    return is_found;
}

void weir_table_remove(weir_table *table, weir_str key)
{
    uint32_t hash = weir_table_hash(table, key);

    if (weir_table_lock(table)) {
        table_index entry = weir_table_find(table, key, hash, 0);

        if (entry != TABLE_NONE) {
            weir_table_drop(table, entry);
        }
        weir_table_unlock(table);
    }
}

/* ---- numbers */

static void table_change(weir_table *table, table_index entry, bool is_new,
                         weir_table_change *change, void *subject)
{
    if (!change(table_cell_at(table, entry)->numbers, is_new, subject)) {
        weir_table_drop(table, entry);
    }
}

bool weir_table_enter(weir_table *table, weir_str key, uint64_t ttl_ms, weir_table_change *change,
                      void *subject)
{
    uint32_t hash = weir_table_hash(table, key);
    table_index entry;
    bool is_new;

    if (!weir_table_lock(table)) {
        return false;
    }

    entry = weir_table_find(table, key, hash, 0);
    is_new = entry == TABLE_NONE;
    if (is_new) {
        entry = weir_table_make(table, key, hash, 0, WEIR_STR_EMPTY, ttl_ms);
    } else {
        table_use(table, entry);
        table_set_ttl(table_cell_at(table, entry), ttl_ms);
    }
    if (entry != TABLE_NONE) {
        table_change(table, entry, is_new, change, subject);
    }

    weir_table_unlock(table);
    return entry != TABLE_NONE;
}

bool weir_table_visit(weir_table *table, weir_str key, uint64_t ttl_ms, weir_table_change *change,
                      void *subject)
{
    uint32_t hash = weir_table_hash(table, key);
    table_index entry;

    if (!weir_table_lock(table)) {
        return false;
    }

    entry = weir_table_find(table, key, hash, 0);
    if (entry != TABLE_NONE) {
        table_use(table, entry);
        if (ttl_ms != 0) {
            table_set_ttl(table_cell_at(table, entry), ttl_ms);
        }
        table_change(table, entry, false, change, subject);
    }

    weir_table_unlock(table);
    return entry != TABLE_NONE;
}

void weir_table_sweep(weir_table *table, weir_table_change *change, void *subject)
{
    if (!weir_table_lock(table)) {
        return;
    }

    for (table_index entry = table->head->newest; entry != TABLE_NONE;) {
        table_index older = table_cell_at(table, entry)->older;

        if (table_has_expired(table, entry)) {
            weir_table_drop(table, entry);
        } else {
            table_change(table, entry, false, change, subject);
        }
        entry = older;
    }
    weir_table_unlock(table);
}

uint64_t weir_table_evicted(const weir_table *table)
{
    return atomic_load_explicit(&table->head->evicted, memory_order_relaxed);
}

weir_table_report weir_table_tell(weir_table *table)
{
    table_head *head = table->head;
    weir_table_report report = {.cells = table->cell_count};

    if (weir_table_lock(table)) {
        report.entries = head->entries;
        report.free_cells = head->free_count;
        weir_table_unlock(table);
    }
    report.evicted = weir_table_evicted(table);
    report.refused = atomic_load_explicit(&head->refused, memory_order_relaxed);
    report.rebuilt = atomic_load_explicit(&head->rebuilt, memory_order_relaxed);
    return report;
}
