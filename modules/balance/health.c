#include "modules/balance/balance_internal.h"

#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/random.h"
#include "core/process/worker.h"
#include "modules/balance/probe_internal.h"

/*
 * Active checks: a chore of the keeper for each.  How a peer is asked is in probe.c; when, and what becomes of the
 * answers, is here.  A peer takes requests when no check speaks against it: each check has a bit of its own.
 */

#define SYNC_MS 250 /* how soon peers that come and go are noticed */
#define CHECKS_MAX 32

typedef struct {
    weir_balance_check *check;
    weir_worker *keeper;
    weir_timer timer;
    balance_probe **probes; /* by column */
    uint64_t round;         /* of looking at who is there */
} group_watcher;

static void probe_due(weir_timer *timer);

/* ---- what is known */

static void health_settle(const weir_balance_group *group, weir_balance_state *state)
{
    uint32_t health = atomic_load(&state->failing) != 0   ? BALANCE_UNHEALTHY
                      : atomic_load(&state->pending) != 0 ? BALANCE_CHECKING
                                                          : BALANCE_HEALTHY;

    if (atomic_exchange(&state->health, health) != health) {
        balance_weather_changed(group);
        if (health == BALANCE_HEALTHY) {
            balance_down_end(state, weir_clock_now()->monotonic_ms);
        } else {
            balance_down_begin(state);
        }
    }
}

void balance_health_claim(const weir_balance_group *group, weir_balance_state *state, bool is_new)
{
    uint32_t pending = 0;
    uint32_t checked = 0;

    for (const weir_balance_check *check = group->checks; check != NULL; check = check->next) {
        uint32_t bit = UINT32_C(1) << check->number;

        checked |= bit;
        /* Over a reload, only "persistent" keeps what is known. */
        if (check->is_mandatory && (is_new || !check->is_persistent)) {
            pending |= bit;
        }
    }
    atomic_fetch_and(&state->failing, checked);
    atomic_store(&state->pending, pending);
    health_settle(group, state);
}

/* ---- one peer */

static weir_balance_state *state_of(const balance_probe *probe)
{
    balance_record *record = &probe->check->group->zone->records[probe->column];

    return atomic_load(&record->key) == probe->key ? &record->state : NULL;
}

static void probe_arm(balance_probe *probe)
{
    const weir_balance_check *check = probe->check;
    uint64_t jitter = check->jitter_ms == 0 ? 0 : weir_random_fast() % (check->jitter_ms + 1);

    (void) weir_timer_set(probe->keeper->loop, &probe->timer, check->interval_ms + jitter);
}

static void probe_free(balance_probe *probe)
{
    weir_timer_clear(probe->keeper->loop, &probe->timer);
    if (probe->talking != NULL) {
        balance_talking_cancel(probe->talking);
    }
    balance_probe_forget(probe);
    weir_pool_free(probe->pool);
}

static balance_probe *probe_new(const group_watcher *watcher, const weir_balance_peer *peer)
{
    weir_pool *pool;
    balance_probe *probe = WEIR_NEW_WITH_POOL(balance_probe, 1024, &pool);

    if (probe == NULL) {
        return NULL;
    }
    if (!weir_str_copy(pool, peer->text, &probe->text)) {
        weir_pool_free(pool);
        return NULL;
    }
    probe->check = watcher->check;
    probe->keeper = watcher->keeper;
    probe->pool = pool;
    probe->addr = peer->addr;
    if (watcher->check->port != 0 && !weir_addr_is_unix(&probe->addr)) {
        weir_addr_set_port(&probe->addr, watcher->check->port);
    }
    probe->key = peer->key;
    probe->column = peer->column;
    probe->timer.name = "health check";
    probe->timer.expired = probe_due;
    return probe;
}

static void probe_due(weir_timer *timer)
{
    balance_talking_start(WEIR_OWNER(timer, balance_probe, timer));
}

static void peer_fell(const balance_probe *probe, weir_balance_state *state, const char *why)
{
    atomic_fetch_or(&state->failing, UINT32_C(1) << probe->check->number);
    atomic_fetch_add(&state->checks_fell, 1);
    weir_log_line(&probe->keeper->log, WEIR_LOG_WARN, 0,
                  "upstream server %.*s of \"%.*s\" is unhealthy: %s", WEIR_STR_ARG(probe->text),
                  WEIR_STR_ARG(probe->check->group->name), why);
}

static void peer_rose(const balance_probe *probe, weir_balance_state *state)
{
    atomic_fetch_and(&state->failing, ~(UINT32_C(1) << probe->check->number));
    atomic_store(&state->risen_ms, weir_clock_now()->monotonic_ms);
    weir_log_line(&probe->keeper->log, WEIR_LOG_NOTICE, 0,
                  "upstream server %.*s of \"%.*s\" is healthy again", WEIR_STR_ARG(probe->text),
                  WEIR_STR_ARG(probe->check->group->name));
}

void balance_probe_end(balance_probe *probe, const char *failure)
{
    const weir_balance_check *check = probe->check;
    weir_balance_state *state = state_of(probe);
    uint32_t bit = UINT32_C(1) << check->number;

    probe->talking = NULL;
    probe_arm(probe);
    if (state == NULL) {
        return;
    }

    bool is_failing = (atomic_load(&state->failing) & bit) != 0;
    /* The first one that is completed decides alone. */
    bool is_pending = (atomic_fetch_and(&state->pending, ~bit) & bit) != 0;

    atomic_fetch_add(&state->checks, 1);
    atomic_store(&state->last_passed, failure == NULL);
    if (failure != NULL) {
        atomic_fetch_add(&state->checks_failed, 1);
        weir_log_line(&probe->keeper->log, WEIR_LOG_INFO, 0,
                      "health check of upstream server %.*s failed: %s", WEIR_STR_ARG(probe->text),
                      failure);
    }
    probe->against = (failure != NULL) != is_failing ? probe->against + 1 : 0;
    if (failure != NULL && !is_failing && (is_pending || probe->against >= check->fails)) {
        probe->against = 0;
        peer_fell(probe, state, failure);
    } else if (failure == NULL && is_failing && probe->against >= check->passes) {
        probe->against = 0;
        peer_rose(probe, state);
    }
    health_settle(check->group, state);
}

/* ---- all of a group */

/* Whoever is new is asked at once; with jitter, within that. */
static void probe_begin(const group_watcher *watcher, balance_probe *probe)
{
    uint64_t jitter = watcher->check->jitter_ms;

    (void) weir_timer_set(watcher->keeper->loop, &probe->timer,
                          jitter == 0 ? 0 : weir_random_fast() % (jitter + 1));
}

static void watcher_sync(group_watcher *watcher)
{
    const balance_zone *zone = watcher->check->group->zone;
    const balance_view *view =
        balance_view_now(watcher->check->group, weir_clock_now()->monotonic_ms);

    watcher->round++;
    for (size_t i = 0; view != NULL && i < view->count; i++) {
        const weir_balance_peer *peer = &view->peers[i];
        balance_probe **place = &watcher->probes[peer->column];

        if (peer->is_down) {
            continue;
        }
        if (*place != NULL
            && ((*place)->key != peer->key || !weir_str_eq((*place)->text, peer->text))) {
            probe_free(*place);
            *place = NULL;
        }
        if (*place == NULL) {
            *place = probe_new(watcher, peer);
            if (*place == NULL) {
                continue;
            }
            probe_begin(watcher, *place);
        }
        (*place)->round = watcher->round;
    }
    for (size_t i = 0; view != NULL && i < zone->count; i++) {
        if (watcher->probes[i] != NULL && watcher->probes[i]->round != watcher->round) {
            probe_free(watcher->probes[i]);
            watcher->probes[i] = NULL;
        }
    }
}

static void watcher_due(weir_timer *timer)
{
    group_watcher *self = WEIR_OWNER(timer, group_watcher, timer);

    watcher_sync(self);
    (void) weir_timer_set(self->keeper->loop, timer, SYNC_MS);
}

static bool watcher_start(weir_worker *keeper, weir_chore *chore)
{
    weir_balance_check *check = chore->subject;
    group_watcher *self = calloc(1, sizeof(*self));

    if (self == NULL) {
        return false;
    }
    self->check = check;
    self->keeper = keeper;
    self->timer.name = "health checks";
    self->timer.expired = watcher_due;
    self->probes = calloc(check->group->zone->count, sizeof(balance_probe *));
    if (self->probes == NULL || !weir_timer_set(keeper->loop, &self->timer, 0)) {
        free(self->probes);
        free(self);
        return false;
    }
    check->watcher = self;
    return true;
}

static void watcher_stop(weir_worker *keeper, weir_chore *chore)
{
    weir_balance_check *check = chore->subject;
    group_watcher *self = check->watcher;

    weir_timer_clear(keeper->loop, &self->timer);
    for (size_t i = 0; i < check->group->zone->count; i++) {
        if (self->probes[i] != NULL) {
            probe_free(self->probes[i]);
        }
    }
    free(self->probes);
    free(self);
    check->watcher = NULL;
}

bool balance_check_add(weir_conf *conf, weir_balance_check *check)
{
    weir_balance_group *group = check->group;
    weir_chore *chore = WEIR_NEW(weir_conf_pool(conf), weir_chore);

    check->number = group->checks == NULL ? 0 : group->checks->number + 1;
    if (check->number >= CHECKS_MAX) {
        return weir_conf_refuse(conf, "upstream \"%.*s\" has more than %d health checks",
                                WEIR_STR_ARG(group->name), CHECKS_MAX);
    }
    check->next = group->checks;
    group->checks = check;
    if (chore == NULL) {
        return weir_conf_refuse(conf, "no memory for \"health_check\"");
    }
    *chore = (weir_chore){
        .name = "health checks", .start = watcher_start, .stop = watcher_stop, .subject = check};
    return weir_chore_register(weir_conf_cycle(conf), chore)
           || weir_conf_refuse(conf, "no memory for \"health_check\"");
}
