#include "modules/http/engine/engine_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

/*
 * Files that are sent as blocks: read here and now, or, with `aio`, by a thread where that may have to wait for a
 * disk, or, with `directio`, past the page cache.
 */

/*
 * One block that is read by a thread.  It touches nothing but this, so that it is allocated apart from the
 * exchange, which may end before.
 */
struct weir_http_file_read {
    weir_job job;
    weir_http_exchange *ex; /* NULL: it has ended */
    weir_http_hold hold;
    int fd;
    off_t offset;
    size_t wanted;
    size_t alignment; /* 0: not past the page cache */
    weir_block *block;
    bool is_done;
    ssize_t got; /* -1: `error` */
    int error;
};

/* Past the page cache, memory, place and length must be multiples: what is read too much is left out. */
static ssize_t read_aligned(int fd, char *bytes, size_t wanted, off_t offset, size_t alignment)
{
    size_t lead = (size_t) offset % alignment;
    size_t size = (lead + wanted + alignment - 1) / alignment * alignment;
    void *memory;
    ssize_t got;
    int error = posix_memalign(&memory, alignment, size);

    if (error != 0) {
        errno = error;
        return -1;
    }
    got = pread(fd, memory, size, offset - (off_t) lead);
    error = errno;
    if (got > 0) {
        got = (size_t) got <= lead ? 0 : got - (ssize_t) lead;
        got = (size_t) got < wanted ? got : (ssize_t) wanted;
        memcpy(bytes, (const char *) memory + lead, (size_t) got);
    }
    free(memory);
    errno = error;
    return got;
}

static void read_block(weir_http_file_read *reading)
{
    reading->got = reading->alignment == 0
                       ? pread(reading->fd, reading->block->data, reading->wanted, reading->offset)
                       : read_aligned(reading->fd, reading->block->data, reading->wanted,
                                      reading->offset, reading->alignment);
    reading->error = errno;
}

static void read_work(weir_job *job)
{
    read_block(WEIR_OWNER(job, weir_http_file_read, job));
}

static void read_free(weir_http_file_read *reading)
{
    weir_block_unref(reading->block);
    free(reading);
}

static void read_done(weir_job *job)
{
    weir_http_file_read *reading = WEIR_OWNER(job, weir_http_file_read, job);
    weir_http_exchange *ex = reading->ex;

    if (ex == NULL) {
        read_free(reading);
        return;
    }
    reading->is_done = true;
    weir_http_wake(ex);
}

static void read_cancel(weir_http_exchange *ex, weir_http_hold *hold)
{
    weir_http_file_read *reading = WEIR_OWNER(hold, weir_http_file_read, hold);

    ex->file_read = NULL;
    reading->ex = NULL;
    if (reading->is_done) {
        read_free(reading);
    }
}

/* Whether the bytes were there without waiting. */
static bool read_at_once(weir_http_file_read *reading)
{
    struct iovec vector = {.iov_base = reading->block->data, .iov_len = reading->wanted};

    if (reading->alignment != 0) {
        return false;
    }
    reading->got = preadv2(reading->fd, &vector, 1, reading->offset, RWF_NOWAIT);
    reading->error = errno;
    return reading->got > 0 || (reading->got == -1 && errno != EAGAIN && errno != EOPNOTSUPP);
}

/* NULL: no memory. Else it is done, or a thread has it. */
static weir_http_file_read *read_begin(weir_http_exchange *ex, const weir_span *span,
                                       uint64_t limit)
{
    size_t most = limit < WEIR_BLOCK_BYTES ? (size_t) limit : WEIR_BLOCK_BYTES;
    weir_http_file_read *reading = calloc(1, sizeof(*reading));
    weir_block *block = weir_block_get();

    if (reading == NULL || block == NULL) {
        weir_block_unref(block);
        free(reading);
        return NULL;
    }
    reading->block = block;
    reading->fd = span->fd;
    reading->offset = span->offset;
    reading->wanted = span->len < most ? span->len : most;
    reading->alignment = ex->body_is_direct ? ex->core->directio_alignment : 0;
    reading->ex = ex;
    reading->job.work = read_work;
    reading->job.done = read_done;
    ex->file_read = reading;
    weir_http_hold_add(ex, &reading->hold, "file read", read_cancel);

    if (ex->core->aio && !read_at_once(reading)
        && weir_job_submit(ex->client->connection->loop, &reading->job)) {
        return reading;
    }
    if (!ex->core->aio || reading->got <= 0) {
        read_block(reading);
    }
    reading->is_done = true;
    return reading;
}

/* What was read goes out; what is above the limit, which may have become less meanwhile, is read again. */
static bool read_take(weir_http_exchange *ex, weir_chain *from, weir_chain *out, uint64_t limit)
{
    weir_http_file_read *reading = ex->file_read;
    ssize_t got = reading->got;
    bool is_added = false;

    if (got <= 0) {
        weir_log_line(&ex->log, WEIR_LOG_ALERT, got == 0 ? 0 : reading->error,
                      "a file that is sent was cut short or cannot be read");
    } else {
        size_t taken = (uint64_t) got < limit ? (size_t) got : (size_t) limit;

        is_added = weir_chain_add_block(out, reading->block, reading->block->data, taken);
        weir_chain_consume(from, taken);
    }
    ex->file_read = NULL;
    weir_http_hold_drop(ex, &reading->hold);
    read_free(reading);
    return is_added;
}

weir_result weir_http_file_pull(weir_http_exchange *ex, weir_chain *from, weir_chain *out,
                                uint64_t limit)
{
    uint64_t before = out->len;

    while (out->len - before < limit && !weir_chain_is_empty(from)
           && from->first->kind == WEIR_SPAN_FILE) {
        uint64_t left = limit - (out->len - before);

        if (ex->file_read == NULL && read_begin(ex, from->first, left) == NULL) {
            return WEIR_FAIL;
        }
        if (!ex->file_read->is_done) {
            return out->len != before ? WEIR_OK : WEIR_WAIT;
        }
        if (!read_take(ex, from, out, left)) {
            return WEIR_FAIL;
        }
    }
    return WEIR_OK;
}
