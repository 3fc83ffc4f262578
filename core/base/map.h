#ifndef WEIR_BASE_MAP_H
#define WEIR_BASE_MAP_H

#include "core/base/pool.h"
#include "core/base/str.h"

/*
 * Strings to pointers: a hash table with open addressing in a pool, seeded
 * per process so that keys which peers choose cannot make it slow.  Keys are
 * borrowed.  With `nocase`, ASCII letters of either case are equal.
 */
typedef struct weir_map weir_map;

weir_map *weir_map_new(weir_pool *pool, bool nocase, size_t expected);
/* False when the pool is used up.  An equal key's value is replaced. */
bool weir_map_put(weir_map *map, weir_str key, void *value) __attribute__((warn_unused_result));
/* NULL: not there. */
void *weir_map_find(const weir_map *map, weir_str key);
size_t weir_map_count(const weir_map *map);
/* Goes through all entries in no particular order; `*position` begins at 0.  False after the last. */
bool weir_map_next(const weir_map *map, size_t *position, weir_str *key, void **value);

#endif
