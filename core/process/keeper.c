/*
 * The keeper's work: chores, run by the one process that holds the lease.
 *
 * The lease is a lock on the zone's file (fcntl F_SETLK): the kernel knows who has it, gives it back however
 * the holder ends, and keeps it apart from the locks of a fork()'s children. The same memory is passed on over reloads
 * and upgrades, so keepers of all generations and binaries compete for one lock.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "core/process/slots_internal.h"
#include "core/process/worker_internal.h"
#include "core/process/zone_internal.h"

#define KEEPER_RETRY_MS 100

/* ---- chores of a cycle */

struct weir_chores {
    weir_array list; /* weir_chore * */
};

weir_chores *weir_chores_new(weir_pool *pool)
{
    weir_chores *chores = WEIR_NEW(pool, weir_chores);

    if (chores != NULL) {
        weir_array_init(&chores->list, pool, sizeof(weir_chore *), 4);
    }

    return chores;
}

bool weir_chore_register(weir_cycle *cycle, weir_chore *chore)
{
    weir_chore **added = weir_array_push(&cycle->chores->list);

    if (added == NULL) {
        return false;
    }

    *added = chore;
    return true;
}

/* NULL past the end. */
static weir_chore *chores_at(const weir_chores *chores, size_t i)
{
    return i < chores->list.count ? *WEIR_ARRAY_AT(&chores->list, weir_chore *, i) : NULL;
}

/* ---- keeping */

struct weir_keeping {
    weir_worker *worker;
    weir_timer retry;
    bool has_lease;
    bool *is_started; /* by chore */
};

static bool keeping_take_lease(const weir_keeping *keeping)
{
    const weir_cycle *cycle = keeping->worker->cycle;
    const struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};

    if (fcntl(weir_zone_fd(cycle->zone), F_SETLK, &lock) == -1) {
        if (errno != EAGAIN && errno != EACCES) {
            weir_log_line(&keeping->worker->log, WEIR_LOG_ALERT, errno,
                          "fcntl(F_SETLK) of the keeper's lease failed");
        }
        return false;
    }

    return true;
}

static void keeping_give_lease(const weir_keeping *keeping)
{
    const weir_cycle *cycle = keeping->worker->cycle;
    const struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};

    if (fcntl(weir_zone_fd(cycle->zone), F_SETLK, &lock) == -1) {
        weir_log_line(&keeping->worker->log, WEIR_LOG_ALERT, errno,
                      "fcntl(F_UNLCK) of the keeper's lease failed");
    }
}

static void keeping_begin(weir_keeping *keeping)
{
    weir_worker *worker = keeping->worker;
    weir_chore *chore;

    for (size_t i = 0; (chore = chores_at(worker->cycle->chores, i)) != NULL; i++) {
        keeping->is_started[i] = chore->start(worker, chore);
        if (!keeping->is_started[i]) {
            weir_log_line(&worker->log, WEIR_LOG_ERR, 0, "the keeper's task \"%s\" did not start",
                          chore->name);
        }
    }
}

static void keeping_try(weir_keeping *keeping)
{
    weir_worker *worker = keeping->worker;

    keeping->has_lease = keeping_take_lease(keeping);
    if (keeping->has_lease) {
        keeping_begin(keeping);
        return;
    }

    if (!weir_timer_set(worker->loop, &keeping->retry, KEEPER_RETRY_MS)) {
        weir_log_line(&worker->log, WEIR_LOG_ALERT, 0, "no memory for the keeper's timer");
    }
}

static void keeping_retry(weir_timer *timer)
{
    keeping_try(WEIR_OWNER(timer, weir_keeping, retry));
}

weir_keeping *weir_keeping_start(weir_worker *worker)
{
    const weir_chores *chores = worker->cycle->chores;
    weir_keeping *keeping = calloc(1, sizeof(*keeping));

    if (keeping == NULL
        || (keeping->is_started = calloc(chores->list.count + 1, sizeof(bool))) == NULL) {
        weir_log_line(&worker->log, WEIR_LOG_EMERG, 0, "no memory for the keeper");
        free(keeping);
        return NULL;
    }

    keeping->worker = worker;
    keeping->retry.name = "keeper's lease";
    keeping->retry.expired = keeping_retry;
    keeping_try(keeping);
    return keeping;
}

void weir_keeping_stop(weir_keeping *keeping)
{
    weir_worker *worker = keeping->worker;
    const weir_chores *chores = worker->cycle->chores;

    for (size_t i = chores->list.count; i-- > 0;) {
        weir_chore *chore = chores_at(chores, i);

        if (keeping->is_started[i] && chore->stop != NULL) {
            chore->stop(worker, chore);
        }
    }

    weir_timer_clear(worker->loop, &keeping->retry);
    if (keeping->has_lease) {
        keeping_give_lease(keeping);
    }

    free(keeping->is_started);
    free(keeping);
}
