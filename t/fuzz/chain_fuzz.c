/*
 * Chains against a plain string: each operation is done to both, and both must hold the same bytes.
 * Files are left out, as they have no bytes here.
 */

#include <stdlib.h>

#include "core/base/block.h"
#include "core/base/cursor.h"

#define MODEL_MAX 200000

/* Bytes to add: no two near each other are alike, so that a mix-up shows. */
static char source[3 * WEIR_BLOCK_BYTES];

typedef struct {
    weir_chain chain;
    char bytes[MODEL_MAX];
    size_t len;
} pair;

static pair one, other;

static void expect(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check(const pair *pair)
{
    size_t at = 0;

    for (const weir_span *span = pair->chain.first; span != NULL; span = span->next) {
        expect(span->len != 0 && span->len <= pair->len - at);
        expect(memcmp(span->data, pair->bytes + at, span->len) == 0);
        expect(span->next != NULL || span == pair->chain.last);
        at += span->len;
    }

    expect(at == pair->len && pair->chain.len == at);
    expect((pair->chain.first == NULL) == (pair->chain.last == NULL));
}

static void model_append(pair *pair, const char *bytes, size_t len)
{
    memcpy(pair->bytes + pair->len, bytes, len);
    pair->len += len;
}

static void model_consume(pair *pair, size_t len)
{
    memmove(pair->bytes, pair->bytes + len, pair->len - len);
    pair->len -= len;
}

static void add_block(pair *pair, size_t from, size_t len)
{
    weir_block *block = weir_block_get();

    len = len > WEIR_BLOCK_BYTES ? WEIR_BLOCK_BYTES : len;
    expect(block != NULL);
    memcpy(block->data, source + from, len);
    expect(weir_chain_add_block(&pair->chain, block, block->data, len / 2));
    expect(weir_chain_add_block(&pair->chain, block, block->data + len / 2, len - len / 2));
    weir_block_unref(block);
    model_append(pair, source + from, len);
}

static void do_one(uint8_t operation, pair *to, pair *from, size_t amount)
{
    size_t at = amount % 997;
    size_t len = amount % (sizeof(source) - at);
    size_t part = amount < from->len ? amount : from->len;

    if (to->len + from->len + len > MODEL_MAX) {
        weir_chain_clear(&to->chain);
        weir_chain_clear(&from->chain);
        to->len = from->len = 0;
        return;
    }

    switch (operation % 6) {
    case 0:
        expect(weir_chain_add_copy(&to->chain, weir_str_of(source + at, len)));
        model_append(to, source + at, len);
        break;
    case 1:
        expect(weir_chain_add_memory(&to->chain, weir_str_of(source + at, len)));
        model_append(to, source + at, len);
        break;
    case 2:
        add_block(to, at, len);
        break;
    case 3:
        weir_chain_consume(&from->chain, amount);
        model_consume(from, part);
        break;
    case 4:
        expect(weir_chain_move(&to->chain, &from->chain, amount));
        model_append(to, from->bytes, part);
        model_consume(from, part);
        break;
    case 5:
        weir_chain_append(&to->chain, &from->chain);
        model_append(to, from->bytes, from->len);
        from->len = 0;
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    weir_cursor cursor = weir_cursor_of(weir_str_of((const char *) data, len));
    uint8_t operation;
    uint16_t amount;

    for (size_t i = 0; i < sizeof(source); i++) {
        source[i] = (char) (i * 2654435761u >> 24);
    }

    for (unsigned i = 0; i < 100 && weir_cursor_take_u8(&cursor, &operation)
                         && weir_cursor_take_u16(&cursor, &amount);
         i++) {
        bool turned = operation & 0x80;

        do_one(operation & 0x7f, turned ? &other : &one, turned ? &one : &other, amount);
        check(&one);
        check(&other);
    }

    weir_chain_clear(&one.chain);
    weir_chain_clear(&other.chain);
    one.len = other.len = 0;
    expect(weir_blocks_in_use() == 0);
    return 0;
}
