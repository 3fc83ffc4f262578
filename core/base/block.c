#include "core/base/block.h"

#include <stdlib.h>

#include "weir_auto_config.h"

/* What is kept for the next, so that the common case is no malloc(); more goes back at once. */
#define BLOCK_FREE_MAX (WEIR_POOL_SEPARATE ? 0 : 128)      /* 2 MiB */
#define BLOCK_FREE_LARGE_MAX (WEIR_POOL_SEPARATE ? 0 : 32) /* 2 MiB */
#define SPAN_FREE_MAX (WEIR_POOL_SEPARATE ? 0 : 1024)

typedef struct {
    weir_block *first;
    size_t count, max;
} block_list;

static struct {
    block_list blocks, large;
    weir_span *spans;
    size_t span_count, in_use;
} block_free = {.blocks.max = BLOCK_FREE_MAX, .large.max = BLOCK_FREE_LARGE_MAX};

static weir_block *block_get(block_list *list, unsigned size)
{
    weir_block *block = list->first;

    if (block != NULL) {
        list->first = block->next_free;
        list->count--;
    } else {
        block = malloc(sizeof(weir_block) + size);
        if (block == NULL) {
            return NULL;
        }
        block->size = size;
    }

    block->next_free = NULL;
    block->references = 1;
    block_free.in_use++;
    return block;
}

weir_block *weir_block_get(void)
{
    return block_get(&block_free.blocks, WEIR_BLOCK_BYTES);
}

weir_block *weir_block_get_large(void)
{
    return block_get(&block_free.large, WEIR_BLOCK_LARGE_BYTES);
}

void weir_block_ref(weir_block *block)
{
    block->references++;
}

void weir_block_unref(weir_block *block)
{
    block_list *list;

    if (block == NULL || --block->references != 0) {
        return;
    }

    block_free.in_use--;
    list = block->size == WEIR_BLOCK_BYTES ? &block_free.blocks : &block_free.large;

    if (list->count >= list->max) {
        free(block);
        return;
    }

    block->next_free = list->first;
    list->first = block;
    list->count++;
}

size_t weir_blocks_in_use(void)
{
    return block_free.in_use;
}

static void block_list_release(block_list *list)
{
    weir_block *block;

    while ((block = list->first) != NULL) {
        list->first = block->next_free;
        free(block);
    }
    list->count = 0;
}

void weir_blocks_release_free(void)
{
    weir_span *span;

    block_list_release(&block_free.blocks);
    block_list_release(&block_free.large);

    while ((span = block_free.spans) != NULL) {
        block_free.spans = span->next;
        free(span);
    }

    block_free.span_count = 0;
}

static weir_span *span_new(weir_span_kind kind)
{
    weir_span *span = block_free.spans;

    if (span != NULL) {
        block_free.spans = span->next;
        block_free.span_count--;
    } else {
        span = malloc(sizeof(weir_span));
        if (span == NULL) {
            return NULL;
        }
    }

    *span = (weir_span){.kind = kind, .fd = -1};
    return span;
}

static void span_free(weir_span *span)
{
    weir_block_unref(span->block);

    if (block_free.span_count >= SPAN_FREE_MAX) {
        free(span);
        return;
    }

    span->next = block_free.spans;
    block_free.spans = span;
    block_free.span_count++;
}

/* Drops bytes from a span's front, fewer than it has. */
static void span_advance(weir_span *span, size_t bytes)
{
    span->len -= bytes;

    if (span->kind == WEIR_SPAN_FILE) {
        span->offset += (off_t) bytes;
    } else {
        span->data += bytes;
    }
}

static void chain_add_span(weir_chain *chain, weir_span *span)
{
    if (chain->last == NULL) {
        chain->first = span;
    } else {
        chain->last->next = span;
    }

    chain->last = span;
    chain->len += span->len;
}

static weir_span *chain_take_first(weir_chain *chain)
{
    weir_span *span = chain->first;

    chain->first = span->next;
    if (chain->first == NULL) {
        chain->last = NULL;
    }

    chain->len -= span->len;
    span->next = NULL;
    return span;
}

bool weir_chain_add_block(weir_chain *chain, weir_block *block, const char *data, size_t len)
{
    weir_span *last = chain->last;
    weir_span *span;

    if (len == 0) {
        return true;
    }

    /* Bytes that follow the last span in the same block extend it. */
    if (last != NULL && last->kind == WEIR_SPAN_BLOCK && last->block == block
        && last->data + last->len == data) {
        last->len += len;
        chain->len += len;
        return true;
    }

    span = span_new(WEIR_SPAN_BLOCK);
    if (span == NULL) {
        return false;
    }

    span->data = data;
    span->len = len;
    span->block = block;
    weir_block_ref(block);
    chain_add_span(chain, span);
    return true;
}

static weir_span *span_of_memory(weir_str bytes)
{
    weir_span *span = span_new(WEIR_SPAN_MEMORY);

    if (span != NULL) {
        span->data = bytes.data;
        span->len = bytes.len;
    }

    return span;
}

bool weir_chain_add_memory(weir_chain *chain, weir_str bytes)
{
    weir_span *span;

    if (bytes.len == 0) {
        return true;
    }

    span = span_of_memory(bytes);
    if (span == NULL) {
        return false;
    }

    chain_add_span(chain, span);
    return true;
}

/* The unused end of the last block, if nobody else has a reference to it. */
static size_t chain_tail_room(const weir_chain *chain)
{
    const weir_span *last = chain->last;

    if (last == NULL || last->kind != WEIR_SPAN_BLOCK || last->block->references != 1) {
        return 0;
    }

    return (size_t) (last->block->data + last->block->size - (last->data + last->len));
}

/* Copies into new blocks, one span each. */
static bool chain_copy_into_blocks(weir_chain *chain, weir_str bytes)
{
    while (bytes.len != 0) {
        weir_str part = weir_str_slice(bytes, 0, WEIR_BLOCK_BYTES);
        weir_block *block = weir_block_get();
        bool added;

        if (block == NULL) {
            return false;
        }

        memcpy(block->data, part.data, part.len);
        added = weir_chain_add_block(chain, block, block->data, part.len);
        weir_block_unref(block);
        if (!added) {
            return false;
        }

        bytes = weir_str_from(bytes, part.len);
    }

    return true;
}

bool weir_chain_add_copy(weir_chain *chain, weir_str bytes)
{
    weir_str head = weir_str_slice(bytes, 0, chain_tail_room(chain));
    weir_chain rest = {0};

    if (!chain_copy_into_blocks(&rest, weir_str_from(bytes, head.len))) {
        weir_chain_clear(&rest);
        return false;
    }

    if (head.len != 0) {
        weir_span *last = chain->last;
        size_t at = (size_t) (last->data - last->block->data) + last->len;

        memcpy(last->block->data + at, head.data, head.len);
        last->len += head.len;
        chain->len += head.len;
    }

    weir_chain_append(chain, &rest);
    return true;
}

bool weir_chain_add_piece(weir_chain *chain, weir_block *block, const char *data, size_t len)
{
    return block != NULL && len > WEIR_PIECE_COPY_MAX
               ? weir_chain_add_block(chain, block, data, len)
               : weir_chain_add_copy(chain, weir_str_of(data, len));
}

bool weir_chain_add_file(weir_chain *chain, int fd, off_t offset, uint64_t len)
{
    weir_span *span;

    if (len == 0) {
        return true;
    }

    span = span_new(WEIR_SPAN_FILE);
    if (span == NULL) {
        return false;
    }

    span->fd = fd;
    span->offset = offset;
    span->len = len;
    chain_add_span(chain, span);
    return true;
}

bool weir_chain_add_part(weir_chain *chain, const weir_chain *source, uint64_t from, uint64_t to)
{
    uint64_t at = 0;

    for (const weir_span *span = source->first; span != NULL && at < to;
         at += span->len, span = span->next) {
        uint64_t skip = from > at ? from - at : 0;
        uint64_t end = to - at < span->len ? to - at : span->len;
        bool is_added = true;

        if (skip >= end) {
            continue;
        }
        switch (span->kind) {
        case WEIR_SPAN_FILE:
            is_added =
                weir_chain_add_file(chain, span->fd, span->offset + (off_t) skip, end - skip);
            break;
        case WEIR_SPAN_BLOCK:
            is_added =
                weir_chain_add_block(chain, span->block, span->data + skip, (size_t) (end - skip));
            break;
        case WEIR_SPAN_MEMORY:
            is_added =
                weir_chain_add_memory(chain, weir_str_of(span->data + skip, (size_t) (end - skip)));
            break;
        }
        if (!is_added) {
            return false;
        }
    }
    return true;
}

void weir_chain_consume(weir_chain *chain, uint64_t bytes)
{
    while (chain->first != NULL && chain->first->len <= bytes) {
        weir_span *span = chain_take_first(chain);

        bytes -= span->len;
        span_free(span);
    }

    if (chain->first != NULL && bytes != 0) {
        span_advance(chain->first, bytes);
        chain->len -= bytes;
    }
}

void weir_chain_clear(weir_chain *chain)
{
    while (chain->first != NULL) {
        span_free(chain_take_first(chain));
    }
}

void weir_chain_append(weir_chain *to, weir_chain *from)
{
    if (from->last == NULL) {
        return;
    }

    if (to->last == NULL) {
        to->first = from->first;
    } else {
        to->last->next = from->first;
    }

    to->last = from->last;
    to->len += from->len;
    *from = (weir_chain){0};
}

bool weir_chain_move(weir_chain *to, weir_chain *from, uint64_t limit)
{
    weir_span *head;

    while (from->first != NULL && from->first->len <= limit) {
        weir_span *span = chain_take_first(from);

        limit -= span->len;
        chain_add_span(to, span);
    }

    if (from->first == NULL || limit == 0) {
        return true;
    }

    head = span_new(from->first->kind);
    if (head == NULL) {
        return false;
    }

    *head = *from->first;
    head->next = NULL;
    head->len = limit;
    if (head->block != NULL) {
        weir_block_ref(head->block);
    }

    chain_add_span(to, head);
    weir_chain_consume(from, limit);
    return true;
}

int weir_chain_vectors(const weir_chain *chain, struct iovec *vectors, int max, size_t *bytes)
{
    const weir_span *span = chain->first;
    int count = 0;

    *bytes = 0;

    for (; span != NULL && span->kind != WEIR_SPAN_FILE && count < max; span = span->next) {
        /* iov_base is not const, as readv() shares it; writev() does not write there. */
        vectors[count].iov_base = (void *) (uintptr_t) span->data;
        vectors[count].iov_len = span->len;
        *bytes += span->len;
        count++;
    }

    return count;
}

bool weir_chain_join(const weir_chain *chain, weir_pool *pool, weir_str *text)
{
    char *data, *at;

    for (const weir_span *span = chain->first; span != NULL; span = span->next) {
        if (span->kind == WEIR_SPAN_FILE) {
            return false;
        }
    }

    if (chain->len == 0) {
        *text = WEIR_STR_EMPTY;
        return true;
    }

    data = at = weir_pool_bytes(pool, chain->len);
    if (data == NULL) {
        return false;
    }

    for (const weir_span *span = chain->first; span != NULL; span = span->next) {
        memcpy(at, span->data, span->len);
        at += span->len;
    }

    *text = weir_str_of(data, chain->len);
    return true;
}
