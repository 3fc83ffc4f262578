#ifndef WEIR_BASE_BLOCK_H
#define WEIR_BASE_BLOCK_H

#include <sys/types.h>
#include <sys/uio.h>

#include "core/base/pool.h"
#include "core/base/result.h"
#include "core/base/str.h"

/*
 * Bodies and relayed bytes: blocks of two sizes from this worker's free
 * lists, referenced by spans that stand in chains.  A block goes back when its
 * last span is gone.  One thread only.
 */
#define WEIR_BLOCK_BYTES 16384
#define WEIR_BLOCK_LARGE_BYTES 65536

typedef struct weir_block {
    struct weir_block *next_free;
    unsigned references;
    unsigned size;
    char data[] __attribute__((aligned(16))); /* `size` bytes */
} weir_block;

/* One reference is the caller's.  NULL when there is no memory. */
weir_block *weir_block_get(void);
/*
 * The same of WEIR_BLOCK_LARGE_BYTES: for a reader whose last read filled its block and who
 * expects more of the same, it saves three calls of four.
 */
weir_block *weir_block_get_large(void);
void weir_block_ref(weir_block *block);
void weir_block_unref(weir_block *block); /* NULL is ignored */
/* Blocks in use now, and free ones kept; the free list gives back to the system above a mark. */
size_t weir_blocks_in_use(void);
void weir_blocks_release_free(void);

typedef enum {
    WEIR_SPAN_BLOCK,  /* bytes of a block, by reference */
    WEIR_SPAN_MEMORY, /* bytes that the caller keeps until the span is gone */
    WEIR_SPAN_FILE,   /* bytes of a file, for sendfile */
} weir_span_kind;

typedef struct weir_span {
    struct weir_span *next;
    weir_span_kind kind;
    size_t len;
    const char *data; /* BLOCK and MEMORY */
    weir_block *block;
    int fd; /* FILE; borrowed */
    off_t offset;
} weir_span;

/* A queue of spans.  A zeroed one is empty. */
typedef struct {
    weir_span *first, *last;
    uint64_t len; /* bytes in all */
} weir_chain;

static inline bool weir_chain_is_empty(const weir_chain *chain)
{
    return chain->first == NULL;
}

/* Each adds at the end; false when there is no memory (then nothing was added).  len 0 adds nothing. */
/* Takes a reference of its own. */
bool weir_chain_add_block(weir_chain *chain, weir_block *block, const char *data,
                          size_t len) WEIR_MUST_USE;
bool weir_chain_add_memory(weir_chain *chain, weir_str bytes) WEIR_MUST_USE; /* borrowed */
bool weir_chain_add_copy(weir_chain *chain, weir_str bytes) WEIR_MUST_USE;   /* into blocks */
/*
 * Of what came in pieces, which a peer may make as small as it likes: few bytes are copied, as a span
 * for each piece would take more memory than it has bytes, and keep the block; many are referenced.
 * `block` NULL: they lie elsewhere.
 */
#define WEIR_PIECE_COPY_MAX 4096
bool weir_chain_add_piece(weir_chain *chain, weir_block *block, const char *data,
                          size_t len) WEIR_MUST_USE;
bool weir_chain_add_file(weir_chain *chain, int fd, off_t offset, uint64_t len) WEIR_MUST_USE;

/* Adds bytes `from` up to, and without, `to` of another chain, which keeps them.  False: some may have been added. */
bool weir_chain_add_part(weir_chain *chain, const weir_chain *source, uint64_t from,
                         uint64_t to) WEIR_MUST_USE;

/* Drops `bytes` (at most all) from the front. */
void weir_chain_consume(weir_chain *chain, uint64_t bytes);
void weir_chain_clear(weir_chain *chain);

/* Moves all of `from` behind `to`; `from` is empty then. */
void weir_chain_append(weir_chain *to, weir_chain *from);
/* Moves up to `limit` bytes; false when a span had to be split and there was no memory. */
bool weir_chain_move(weir_chain *to, weir_chain *from, uint64_t limit) WEIR_MUST_USE;

/*
 * The first bytes as vectors for writev(), up to `max` of them, ending before
 * the first file span.  Returns how many; `*bytes` is their sum.
 */
int weir_chain_vectors(const weir_chain *chain, struct iovec *vectors, int max, size_t *bytes);

/* Copies all memory bytes into one string; false when the pool is used up or there is a file span. */
bool weir_chain_join(const weir_chain *chain, weir_pool *pool, weir_str *text) WEIR_MUST_USE;

#endif
