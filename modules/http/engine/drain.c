#include "modules/http/engine/engine_internal.h"

#include "core/process/cycle.h"
#include "core/process/worker.h"

/*
 * What a worker that winds down does with idle connections.  After a reload they are kept for
 * keepalive_min_timeout: a client may have sent a request already, which is then answered with "Connection:
 * close".  When an operator ends weir they are closed at once.  Requests that are still under way when
 * worker_shutdown_timeout is over are logged; the rest of them goes with the worker.
 */

typedef struct {
    weir_timer timer;
    weir_worker *worker;
} http_drain;

static void idle_expired(weir_timer *timer)
{
    const http_drain *drain = WEIR_OWNER(timer, http_drain, timer);

    weir_connections_close_idle(drain->worker->loop);
}

static void drain_begin(weir_worker *worker, void *subject)
{
    http_drain *drain = subject;
    uint64_t keep_ms = weir_http_of_cycle(worker->cycle)->core->keepalive_min_timeout_ms;

    if (worker->is_operator_quit || keep_ms == 0
        || !weir_timer_set(worker->loop, &drain->timer, keep_ms)) {
        weir_connections_close_idle(worker->loop);
    }
}

static void cut(weir_worker *worker, void *subject)
{
    weir_http_cycle *http = weir_http_of_cycle(worker->cycle);
    weir_list *link;

    (void) subject;
    while ((link = weir_list_first(&http->exchanges)) != NULL) {
        weir_http_exchange *ex = WEIR_OWNER(link, weir_http_exchange, sibling);

        weir_list_remove(link);
        weir_http_exchange_log(ex);
    }
}

bool weir_http_drain_start(weir_worker *worker)
{
    http_drain *drain;

    drain = WEIR_NEW(worker->cycle->pool, http_drain);
    if (drain == NULL) {
        return false;
    }
    drain->worker = worker;
    drain->timer.name = "idle connections of a worker that winds down";
    drain->timer.expired = idle_expired;
    return weir_worker_on_drain(worker, drain_begin, drain)
           && weir_worker_on_cut(worker, cut, NULL);
}
