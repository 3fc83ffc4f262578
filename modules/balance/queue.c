#include "modules/balance/balance_internal.h"

#include "core/base/clock.h"
#include "core/base/number.h"
#include "core/process/worker.h"

/*
 * Picks that found no peer wait in line, each worker's own, for one to become free.  What this worker frees is seen at
 * once, what others free a moment later.  How many wait in all workers is counted in the ledger, under the group's record.
 */

#define LOOK_MS 20
#define TIMEOUT_MS (60 * 1000)

struct balance_queue {
    uint64_t max, timeout_ms;

    /* ---- the worker's own */
    weir_balance_group *group;
    weir_list waiting; /* of picks, the first one first */
    weir_timer timer;
    weir_task task;
};

static void leave(weir_balance_pick *pick)
{
    const weir_balance_group *group = pick->group;

    weir_list_remove(&pick->queued);
    pick->is_queued = false;
    pick->queued_ms = weir_clock_now()->monotonic_ms - pick->queued_at_ms;
    weir_ledger_down(&group->zone->connections, balance_own_slot(), balance_group_column(group));
}

/* The first goes on when there is a peer for it, or when it has waited for too long. */
static void serve(struct balance_queue *queue)
{
    weir_list *first;

    while ((first = weir_list_first(&queue->waiting)) != NULL) {
        weir_balance_pick *pick = WEIR_OWNER(first, weir_balance_pick, queued);
        uint64_t now_ms = weir_clock_now()->monotonic_ms;

        if (!balance_pick_try(pick, now_ms) && now_ms - pick->queued_at_ms < queue->timeout_ms) {
            return;
        }
        leave(pick);
        pick->is_served = true;
        pick->ready(pick); /* it may be gone */
    }
}

static void look(weir_timer *timer)
{
    struct balance_queue *queue = WEIR_OWNER(timer, struct balance_queue, timer);

    serve(queue);
    if (!weir_list_is_empty(&queue->waiting)) {
        (void) weir_timer_set(weir_worker_current()->loop, timer, LOOK_MS);
    }
}

static void freed(weir_task *task)
{
    serve(WEIR_OWNER(task, struct balance_queue, task));
}

bool balance_queue_wait(weir_balance_pick *pick, void (*ready)(weir_balance_pick *pick))
{
    const weir_balance_group *group = pick->group;
    struct balance_queue *queue = group->queue;
    const weir_worker *worker = weir_worker_current();

    if (queue == NULL || worker == NULL || ready == NULL) {
        return false;
    }
    if (weir_ledger_sum(&group->zone->connections, balance_group_column(group)) >= queue->max) {
        atomic_fetch_add(&group->words->overflows, 1);
        return false;
    }
    if (!weir_timer_is_set(&queue->timer)
        && !weir_timer_set(worker->loop, &queue->timer, LOOK_MS)) {
        return false;
    }
    weir_ledger_up(&group->zone->connections, worker->slot, balance_group_column(group));
    weir_list_append(&queue->waiting, &pick->queued);
    pick->is_queued = true;
    pick->queued_at_ms = weir_clock_now()->monotonic_ms;
    pick->ready = ready;
    return true;
}

void balance_queue_leave(weir_balance_pick *pick)
{
    if (pick->is_queued) {
        leave(pick);
    }
}

void balance_queue_freed(const weir_balance_group *group)
{
    struct balance_queue *queue = group->queue;

    if (queue != NULL && !weir_list_is_empty(&queue->waiting)) {
        weir_task_post(weir_worker_current()->loop, &queue->task);
    }
}

void balance_queue_stop(weir_worker *worker, const weir_balance_group *group)
{
    if (group->queue != NULL) {
        weir_timer_clear(worker->loop, &group->queue->timer);
        weir_task_cancel(&group->queue->task);
    }
}

bool balance_queue_look(const weir_balance_group *group, uint64_t *waiting, uint64_t *max)
{
    if (group->queue == NULL) {
        return false;
    }
    *waiting = weir_ledger_sum(&group->zone->connections, balance_group_column(group));
    *max = group->queue->max;
    return true;
}

/* queue NUMBER [timeout=TIME] */
bool weir_balance_queue_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_balance_group *group = weir_conf_level(conf)->owner;
    struct balance_queue *queue = WEIR_NEW(weir_conf_pool(conf), struct balance_queue);
    weir_str value;

    (void) settings;
    if (queue == NULL) {
        return weir_conf_refuse(conf, "no memory for \"queue\"");
    }
    if (group->queue != NULL) {
        return weir_conf_refuse_arg(conf, statement, 0, "\"queue\" directive is duplicate");
    }
    *queue = (struct balance_queue){.timeout_ms = TIMEOUT_MS, .group = group};
    queue->timer.name = queue->task.name = "upstream queue";
    queue->timer.expired = look;
    queue->task.run = freed;
    weir_list_init(&queue->waiting);
    group->queue = queue;
    if (!weir_parse_uint(statement->args[1], INT32_MAX, &queue->max) || queue->max == 0) {
        return weir_conf_refuse_arg(conf, statement, 1,
                                    "invalid value \"%.*s\" in \"queue\" directive",
                                    WEIR_STR_ARG(statement->args[1]));
    }
    if (statement->count == 3
        && !(weir_conf_parameter(statement->args[2], "timeout=", &value)
             && weir_parse_time_ms(value, INT64_MAX, &queue->timeout_ms))) {
        return weir_conf_refuse_arg(conf, statement, 2, "invalid parameter \"%.*s\"",
                                    WEIR_STR_ARG(statement->args[2]));
    }
    return true;
}
