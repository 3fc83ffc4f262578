/*
 * Pools with builders and arrays in them: allocations of many sizes, growth and trims between one
 * another, under a limit.  Each is filled with a byte of its own, which must be there at the end.
 */

#include <stdlib.h>

#include "core/base/array.h"
#include "core/base/builder.h"
#include "core/base/cursor.h"

#define PIECES 200

typedef struct {
    char *memory;
    size_t len;
    char byte;
} piece;

static void expect(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void fill(piece *piece, char *memory, size_t from, size_t len)
{
    memset(memory + from, piece->byte, len - from);
    piece->memory = memory;
    piece->len = len;
}

static void grow(weir_pool *pool, piece *piece, size_t more)
{
    char *grown = weir_pool_grow(pool, piece->memory, piece->len, piece->len + more);

    if (grown != NULL) {
        fill(piece, grown, piece->len, piece->len + more);
    }
}

static void build(weir_pool *pool, piece *piece, size_t len)
{
    weir_builder builder;
    weir_str text;

    weir_builder_open(&builder, pool, len);
    for (size_t i = 0; i < len; i++) {
        weir_builder_add_byte(&builder, piece->byte);
    }

    if (weir_builder_close(&builder, &text)) {
        expect(text.len == len);
        piece->memory = weir_pool_grow(pool, NULL, 0, 0); /* not the text: it is not to grow */
        piece->len = 0;
        for (size_t i = 0; i < len; i++) {
            expect(text.data[i] == piece->byte);
        }
    }
}

static void check(const piece *pieces)
{
    for (size_t i = 0; i < PIECES; i++) {
        for (size_t at = 0; at < pieces[i].len; at++) {
            expect(pieces[i].memory[at] == pieces[i].byte);
        }
    }
}

static void do_one(weir_pool *pool, piece *piece, uint8_t operation, size_t amount)
{
    char *memory = NULL;
    size_t len = amount % 6000;

    switch (operation % 5) {
    case 0:
        memory = weir_pool_alloc(pool, len);
        expect((uintptr_t) memory % _Alignof(max_align_t) == 0);
        break;
    case 1:
        memory = weir_pool_bytes(pool, len);
        break;
    case 2:
        grow(pool, piece, len);
        return;
    case 3:
        weir_pool_trim(pool, piece->memory == NULL ? "" : piece->memory, piece->len,
                       piece->len < len ? piece->len : len);
        piece->len = piece->len < len ? piece->len : len;
        return;
    case 4:
        build(pool, piece, len);
        return;
    }

    if (memory != NULL) {
        fill(piece, memory, 0, len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static piece pieces[PIECES];
    weir_cursor cursor = weir_cursor_of(weir_str_of((const char *) data, len));
    uint16_t chunk, limit, amount;
    uint8_t operation, index;
    weir_pool *pool;
    weir_array array;

    if (!weir_cursor_take_u16(&cursor, &chunk) || !weir_cursor_take_u16(&cursor, &limit)) {
        return 0;
    }

    for (size_t i = 0; i < PIECES; i++) {
        pieces[i] = (piece){.byte = (char) (i + 1)};
    }

    pool = weir_pool_new(chunk, limit);
    expect(pool != NULL);
    weir_array_init(&array, pool, sizeof(uint16_t), 0);

    while (weir_cursor_take_u8(&cursor, &operation) && weir_cursor_take_u8(&cursor, &index)
           && weir_cursor_take_u16(&cursor, &amount)) {
        uint16_t *item = weir_array_push(&array);

        if (item != NULL) {
            *item = (uint16_t) (array.count * 7);
        }

        do_one(pool, &pieces[index % PIECES], operation, amount);
        expect(limit == 0 || weir_pool_used(pool) <= limit);
        check(pieces);
    }

    for (size_t i = 0; i < array.count; i++) {
        expect(*WEIR_ARRAY_AT(&array, uint16_t, i) == (uint16_t) ((i + 1) * 7));
    }

    weir_pool_free(pool);
    return 0;
}
