#include "core/base/array.h"

#include <string.h>

#include "core/base/number.h"

#define ARRAY_FIRST 8 /* elements, when the array was not told */

void weir_array_init(weir_array *array, weir_pool *pool, size_t item_bytes, size_t capacity)
{
    *array = (weir_array){.item_bytes = item_bytes, .capacity = capacity, .pool = pool};
}

/* Room for one more. */
static bool array_grow(weir_array *array)
{
    size_t capacity = array->items == NULL ? array->capacity : array->capacity * 2;
    size_t bytes;
    void *items;

    if (capacity == 0) {
        capacity = ARRAY_FIRST;
    }

    if (!weir_mul_size(capacity, array->item_bytes, &bytes)) {
        return false;
    }

    items = array->items == NULL ? weir_pool_alloc(array->pool, bytes)
                                 : weir_pool_grow(array->pool, array->items,
                                                  array->count * array->item_bytes, bytes);
    if (items == NULL) {
        return false;
    }

    array->items = items;
    array->capacity = capacity;
    return true;
}

void *weir_array_push(weir_array *array)
{
    char *item;

    if ((array->items == NULL || array->count == array->capacity) && !array_grow(array)) {
        return NULL;
    }

    item = (char *) array->items + array->count * array->item_bytes;
    array->count++;
    return memset(item, 0, array->item_bytes);
}
