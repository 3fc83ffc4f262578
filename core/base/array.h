#ifndef WEIR_BASE_ARRAY_H
#define WEIR_BASE_ARRAY_H

#include <stddef.h>

#include "core/base/pool.h"

/*
 * A growing array in a pool.  Growing may move it; pointers to elements hold only
 * until the next push.  A zeroed array is empty and may be read.
 */
typedef struct {
    void *items;
    size_t count;
    size_t item_bytes, capacity;
    weir_pool *pool;
} weir_array;

/* `capacity` elements are allocated at the first push. */
void weir_array_init(weir_array *array, weir_pool *pool, size_t item_bytes, size_t capacity);

/* A new, zeroed element at the end, or NULL when the pool is used up. */
void *weir_array_push(weir_array *array);

#define WEIR_ARRAY_AT(array, type, i) (&((type *) (array)->items)[i])
/* for (WEIR_ARRAY_EACH(&list, weir_str, s)) ... */
#define WEIR_ARRAY_EACH(array, type, item)                                                         \
    __typeof__(type) *item = (array)->items,                                                       \
                     *item##_end = (array)->count == 0 ? item : item + (array)->count;             \
    item != item##_end;                                                                            \
    item++

#endif
