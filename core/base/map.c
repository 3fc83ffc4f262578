#include "core/base/map.h"

#include "core/base/hash.h"
#include "core/base/random.h"

typedef struct {
    uint64_t hash; /* 0: free */
    weir_str key;
    void *value;
} map_entry;

/* Entries are looked for from where the hash points, one after the other, up to a free one. */
struct weir_map {
    weir_pool *pool;
    map_entry *entries;
    size_t mask, count; /* a power of two minus one, never over three quarters full */
    bool nocase;
};

#define MAP_SMALLEST 8

/* Made at the first map; a fork keeps it, and so the maps built before. */
static uint64_t map_seed[2];

static void map_make_seed(void)
{
    while (map_seed[0] == 0) {
        weir_random_bytes(map_seed, sizeof(map_seed));
    }
}

/* The key's entry, or the free one where it would stand. */
static map_entry *map_place(const weir_map *map, weir_str key, uint64_t hash)
{
    for (size_t i = hash & map->mask;; i = (i + 1) & map->mask) {
        map_entry *entry = &map->entries[i];

        if (entry->hash == 0
            || (entry->hash == hash
                && (map->nocase ? weir_str_eq_nocase(entry->key, key)
                                : weir_str_eq(entry->key, key)))) {
            return entry;
        }
    }
}

weir_map *weir_map_new(weir_pool *pool, bool nocase, size_t expected)
{
    weir_map *map = WEIR_NEW(pool, weir_map);
    size_t size = MAP_SMALLEST;

    if (map == NULL || expected > SIZE_MAX / 4) {
        return NULL;
    }

    while (size - size / 4 < expected) {
        size *= 2;
    }

    map_make_seed();
    map->pool = pool;
    map->nocase = nocase;
    map->mask = size - 1;
    map->entries = WEIR_NEW_ARRAY(pool, map_entry, size);
    return map->entries == NULL ? NULL : map;
}

static bool map_grow(weir_map *map)
{
    weir_map grown = *map;
    size_t size = map->mask + 1;

    grown.mask = size * 2 - 1;
    grown.entries = WEIR_NEW_ARRAY(map->pool, map_entry, size * 2);
    if (grown.entries == NULL) {
        return false;
    }

    for (size_t i = 0; i < size; i++) {
        const map_entry *entry = &map->entries[i];

        if (entry->hash != 0) {
            *map_place(&grown, entry->key, entry->hash) = *entry;
        }
    }

    *map = grown;
    return true;
}

bool weir_map_put(weir_map *map, weir_str key, void *value)
{
    uint64_t hash = weir_hash_keyed(key, map->nocase, map_seed);
    map_entry *entry = map_place(map, key, hash);
    size_t size = map->mask + 1;

    if (entry->hash != 0) {
        entry->value = value;
        return true;
    }

    if (map->count == size - size / 4) {
        if (!map_grow(map)) {
            return false;
        }

        entry = map_place(map, key, hash);
    }

    *entry = (map_entry){hash, key, value};
    map->count++;
    return true;
}

void *weir_map_find(const weir_map *map, weir_str key)
{
    return map_place(map, key, weir_hash_keyed(key, map->nocase, map_seed))->value;
}

size_t weir_map_count(const weir_map *map)
{
    return map->count;
}

bool weir_map_next(const weir_map *map, size_t *position, weir_str *key, void **value)
{
    for (; *position <= map->mask; ++*position) {
        const map_entry *entry = &map->entries[*position];

        if (entry->hash != 0) {
            *key = entry->key;
            *value = entry->value;
            ++*position;
            return true;
        }
    }

    return false;
}
