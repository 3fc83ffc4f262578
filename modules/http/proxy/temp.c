#include "modules/http/proxy/proxy_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/process/worker.h"

/*
 * Responses that are read ahead into a temporary file.  A thread writes: a disk that is slow or full of other work must not
 * hold the loop.  One piece at a time; meanwhile the origin is not read from.
 */

typedef struct proxy_writing {
    weir_job job;
    proxy_state *proxy; /* NULL: the exchange is gone, and the file is this job's to close */
    int fd;
    uint64_t offset;
    weir_chain chain; /* not touched by the loop until it is done */
    uint64_t written;
    int error; /* 0: all is written */
} proxy_writing;

static bool temp_open(proxy_state *proxy)
{
    weir_http_exchange *ex = proxy->ex;
    weir_str folder = proxy->conf->temp_path;
    const char *path = weir_str_z(ex->pool, folder);

    proxy->temp_file = path == NULL ? -1 : open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (proxy->temp_file == -1) {
        weir_log_line(&ex->log, WEIR_LOG_CRIT, errno,
                      "open() of a temporary file in \"%.*s\" failed", WEIR_STR_ARG(folder));
        return false;
    }
    weir_log_line(&ex->log, WEIR_LOG_WARN, 0,
                  "an upstream response is buffered to a temporary file in %.*s while %s",
                  WEIR_STR_ARG(folder), proxy->doing);
    return true;
}

/* One span for all that lies side by side in the file. */
static bool temp_add(proxy_state *proxy, uint64_t len)
{
    weir_span *last = proxy->body.last;

    if (last != NULL && last->kind == WEIR_SPAN_FILE && last->fd == proxy->temp_file
        && (uint64_t) last->offset + last->len == proxy->temp_bytes) {
        last->len += len;
        proxy->body.len += len;
    } else if (!weir_chain_add_file(&proxy->body, proxy->temp_file, (off_t) proxy->temp_bytes,
                                    len)) {
        return false;
    }
    proxy->temp_bytes += len;
    return true;
}

/* On a thread: the chain's spans are walked, and not changed. */
static void temp_work(weir_job *job)
{
    proxy_writing *writing = WEIR_OWNER(job, proxy_writing, job);

    for (const weir_span *span = writing->chain.first; span != NULL; span = span->next) {
        size_t done = 0;

        while (done < span->len) {
            ssize_t written = pwrite(writing->fd, span->data + done, span->len - done,
                                     (off_t) (writing->offset + writing->written));

            if (written < 0 && errno == EINTR) {
                continue;
            }
            if (written <= 0) {
                writing->error = written < 0 ? errno : EIO;
                return;
            }
            done += (size_t) written;
            writing->written += (uint64_t) written;
        }
    }
    writing->error = 0;
}

/* What was written is the body's, and so is what was not: a full disk is no reason to lose a response. */
static bool temp_finish(proxy_state *proxy, proxy_writing *writing)
{
    bool is_kept = writing->written == 0 || temp_add(proxy, writing->written);

    if (writing->error != 0) {
        weir_log_line(&proxy->ex->log, WEIR_LOG_CRIT, writing->error,
                      "pwrite() of a temporary file in \"%.*s\" failed while %s, the rest is read "
                      "as the client takes it",
                      WEIR_STR_ARG(proxy->conf->temp_path), proxy->doing);
        proxy->temp_failed = true;
    }
    proxy->writing = NULL;
    if (is_kept) {
        weir_chain_consume(&writing->chain, writing->written);
        weir_chain_append(&proxy->body, &writing->chain);
    }
    weir_chain_clear(&writing->chain);
    free(writing);
    return is_kept;
}

static void temp_done(weir_job *job)
{
    proxy_writing *writing = WEIR_OWNER(job, proxy_writing, job);
    proxy_state *proxy = writing->proxy;

    if (proxy == NULL) {
        (void) close(writing->fd);
        weir_chain_clear(&writing->chain);
        free(writing);
        return;
    }
    proxy_temp_written(proxy, temp_finish(proxy, writing));
}

bool proxy_temp_write(proxy_state *proxy, weir_chain *chain)
{
    proxy_writing *writing;

    if (proxy->temp_file == -1 && !temp_open(proxy)) {
        proxy->temp_failed = true;
        weir_chain_append(&proxy->body, chain);
        return true;
    }
    writing = calloc(1, sizeof(*writing));
    if (writing == NULL) {
        weir_log_line(&proxy->ex->log, WEIR_LOG_CRIT, 0, "no memory for a response");
        return false;
    }
    writing->job.work = temp_work;
    writing->job.done = temp_done;
    writing->proxy = proxy;
    writing->fd = proxy->temp_file;
    writing->offset = proxy->temp_bytes;
    writing->error = ECANCELED;
    weir_chain_append(&writing->chain, chain);
    proxy->writing = writing;
    if (weir_job_submit(weir_worker_current()->loop, &writing->job)) {
        return true;
    }
    temp_work(&writing->job);
    return temp_finish(proxy, writing);
}

void proxy_temp_close(proxy_state *proxy)
{
    if (proxy->writing != NULL) {
        proxy->writing->proxy = NULL;
        proxy->writing = NULL;
    } else if (proxy->temp_file != -1) {
        (void) close(proxy->temp_file);
    }
    proxy->temp_file = -1;
    proxy->temp_bytes = 0;
    proxy->temp_failed = false;
}
