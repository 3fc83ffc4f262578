#include "modules/balance/balance_internal.h"

#include <stdlib.h>

#include "core/base/clock.h"
#include "core/process/worker.h"

/* One request's way through a group. */

#define PLACES_TRIED 8 /* of peers whose last place another worker took at the same time */

bool weir_balance_begin(weir_balance_pick *pick, weir_balance_group *group,
                        const weir_balance_subject *subject)
{
    const balance_view *view = balance_view_now(group, weir_clock_now()->monotonic_ms);

    *pick = (weir_balance_pick){.group = group, .subject = *subject};
    pick->tried = pick->tried_few;
    pick->tried_size = WEIR_COUNT(pick->tried_few);
    pick->sticks_to = SIZE_MAX;
    weir_list_init(&pick->queued);
    if (view == NULL) {
        return false;
    }
    /* Where all are down, one may come back for who waits in the queue. */
    pick->tries_left =
        view->down_count == view->count ? view->count : view->count - view->down_count;
    return true;
}

size_t balance_own_slot(void)
{
    const weir_worker *worker = weir_worker_current();

    return worker == NULL ? 0 : worker->slot;
}

void balance_weather_changed(const weir_balance_group *group)
{
    if (group->words != NULL) {
        atomic_fetch_add(&group->words->weather, 1);
    }
}

/* ---- who may be gone to */

uint64_t balance_connections(const weir_balance_peer *peer)
{
    return peer->connections == NULL ? 0 : weir_ledger_sum(peer->connections, peer->column);
}

/* As in nginx, a peer that has nobody to stand in for it is not left alone. */
bool balance_is_failing(const weir_balance_peer *peer, bool is_alone, uint64_t now_ms,
                        uint64_t *until_ms)
{
    const weir_balance_state *state = peer->state;

    if (is_alone || peer->max_fails == 0
        || atomic_load_explicit(&state->fails, memory_order_relaxed) < peer->max_fails) {
        return false;
    }
    *until_ms = atomic_load(&state->checked_ms) + peer->fail_timeout_ms + 1;
    return now_ms < *until_ms;
}

bool balance_is_live(const weir_balance_peer *peer, bool is_alone, uint64_t now_ms)
{
    const weir_balance_state *state = peer->state;
    uint64_t until_ms;

    if (peer->is_down
        || atomic_load_explicit(&state->health, memory_order_relaxed) != BALANCE_HEALTHY
        || (peer->max_conns != 0 && balance_connections(peer) >= peer->max_conns)) {
        return false;
    }
    return !balance_is_failing(peer, is_alone, now_ms, &until_ms);
}

bool balance_was_tried(const weir_balance_pick *pick, const weir_balance_peer *peer)
{
    for (size_t i = 0; i < pick->tried_count; i++) {
        if (pick->tried[i] == peer->column) {
            return true;
        }
    }
    return false;
}

bool balance_may_take(const weir_balance_pick *pick, const balance_view *view,
                      const weir_balance_peer *peer, uint64_t now_ms)
{
    return !peer->is_draining && !balance_was_tried(pick, peer)
           && balance_is_live(peer, view->count == 1, now_ms);
}

/* ---- going to one */

static bool tried_has_room(weir_balance_pick *pick)
{
    size_t *more;

    if (pick->tried_count < pick->tried_size) {
        return true;
    }
    more = WEIR_NEW_ARRAY(pick->subject.pool, size_t, pick->tried_size * 4);
    if (more == NULL) {
        return false;
    }
    memcpy(more, pick->tried, pick->tried_count * sizeof(*more));
    pick->tried = more;
    pick->tried_size *= 4;
    return true;
}

/* This worker's requests under way there; NULL: nobody asks, or no memory. */
static balance_open *open_of(const weir_balance_group *group, const weir_balance_peer *peer)
{
    balance_zone *zone = group->zone;

    if (!group->counts_inflight) {
        return NULL;
    }
    if (zone->open == NULL) {
        zone->open = calloc(zone->count, sizeof(*zone->open));
    }
    return zone->open == NULL ? NULL : &zone->open[peer->column];
}

static void time_begin(weir_balance_pick *pick)
{
    balance_open *open;

    if (!pick->group->measures_time) {
        return;
    }
    pick->began_us = weir_clock_monotonic_us();
    open = open_of(pick->group, pick->peer);
    if (open != NULL) {
        open->count++;
        open->started_us_sum += pick->began_us;
    }
}

static void time_end(const weir_balance_pick *pick)
{
    balance_open *open;

    if (!pick->group->measures_time) {
        return;
    }
    open = open_of(pick->group, pick->peer);
    if (open != NULL && open->count != 0) {
        open->count--;
        open->started_us_sum -= pick->began_us;
    }
}

/* Counted first and looked at again, each for itself, so that no two workers take the last place; both may give it back. */
static bool place_take(const weir_balance_peer *peer)
{
    if (peer->connections == NULL) {
        return true;
    }
    weir_ledger_up(peer->connections, balance_own_slot(), peer->column);
    if (peer->max_conns == 0) {
        return true;
    }
    atomic_thread_fence(memory_order_seq_cst);
    if (balance_connections(peer) <= peer->max_conns) {
        return true;
    }
    weir_ledger_down(peer->connections, balance_own_slot(), peer->column);
    return false;
}

static void peer_enter(weir_balance_pick *pick, balance_view *view, const weir_balance_peer *peer,
                       uint64_t now_ms)
{
    weir_balance_state *state = peer->state;

    pick->peer = peer;
    pick->view = balance_view_ref(view);
    pick->tried[pick->tried_count++] = peer->column;
    if (pick->tries_left != 0) {
        pick->tries_left--;
    }
    pick->began_ms = now_ms;
    pick->connect_ms = pick->first_ms = UINT64_MAX;
    if (peer->traffic != NULL) {
        balance_traffic_selected(peer->traffic, now_ms);
    }
    /* One try after fail_timeout, and not all that come: the next one waits for what becomes of it. */
    if (atomic_load_explicit(&state->fails, memory_order_relaxed) != 0
        && now_ms - atomic_load(&state->checked_ms) > peer->fail_timeout_ms) {
        balance_down_end(state, atomic_load(&state->checked_ms) + peer->fail_timeout_ms);
        atomic_store(&state->checked_ms, now_ms);
    }
    time_begin(pick);
}

static weir_balance_peer *choose(weir_balance_pick *pick, balance_view *view, uint64_t now_ms)
{
    weir_balance_peer *peer = balance_sticky_find(pick, view, now_ms);

    if (peer != NULL) {
        return peer;
    }
    if (view->count == 1) {
        return balance_may_take(pick, view, view->peers, now_ms) ? view->peers : NULL;
    }
    for (unsigned tier = 0; tier < BALANCE_TIERS && peer == NULL; tier++) {
        if (view->tiers[tier].count != 0) {
            peer = pick->group->method->choose(pick, view, tier, now_ms);
        }
    }
    return peer;
}

bool balance_pick_try(weir_balance_pick *pick, uint64_t now_ms)
{
    balance_view *view = balance_view_now(pick->group, now_ms);
    weir_balance_peer *peer = NULL;

    if (view == NULL || !tried_has_room(pick)) {
        return false;
    }
    for (unsigned tries = 0; peer == NULL && tries < PLACES_TRIED; tries++) {
        peer = choose(pick, view, now_ms);
        if (peer != NULL && !place_take(peer)) {
            peer = NULL;
            pick->is_asked = false; /* it may have been the session's */
        } else if (peer == NULL) {
            return false;
        }
    }
    if (peer == NULL) {
        return false;
    }
    peer_enter(pick, view, peer, now_ms);
    if (pick->sticks_no_more.len != 0) {
        balance_sticky_moved(pick);
    }
    return true;
}

weir_result weir_balance_next(weir_balance_pick *pick, void (*ready)(weir_balance_pick *pick))
{
    if (pick->is_served) {
        pick->is_served = false;
        if (pick->peer != NULL) {
            return WEIR_OK;
        }
    } else {
        if (balance_pick_try(pick, weir_clock_now()->monotonic_ms)) {
            return WEIR_OK;
        }
        if (pick->tries_left != 0 && balance_queue_wait(pick, ready)) {
            return WEIR_WAIT;
        }
    }
    pick->tries_left = 0;
    return WEIR_FAIL;
}

/* ---- what became of it */

void balance_down_begin(weir_balance_state *state)
{
    uint64_t up = 0;

    (void) atomic_compare_exchange_strong(&state->down_ms, &up, weir_clock_now()->monotonic_ms);
}

void balance_down_end(weir_balance_state *state, uint64_t then_ms)
{
    uint64_t since_ms = atomic_exchange(&state->down_ms, 0);

    if (since_ms != 0 && then_ms > since_ms) {
        atomic_fetch_add(&state->downtime_ms, then_ms - since_ms);
    }
}

static void peer_failed(const weir_balance_pick *pick, const weir_log *log)
{
    const weir_balance_peer *peer = pick->peer;
    weir_balance_state *state = peer->state;
    uint64_t now_ms = weir_clock_now()->monotonic_ms;
    uint64_t fails = atomic_fetch_add(&state->fails, 1) + 1;

    atomic_store(&state->failed_ms, now_ms);
    atomic_store(&state->checked_ms, now_ms);
    atomic_fetch_add_explicit(&state->failures, 1, memory_order_relaxed);
    if (peer->max_fails == 0 || pick->view->count == 1 || fails < peer->max_fails) {
        return;
    }
    balance_weather_changed(pick->group);
    balance_down_begin(state);
    if (fails == peer->max_fails) {
        atomic_fetch_add_explicit(&state->unavailable, 1, memory_order_relaxed);
        weir_log_line(log, WEIR_LOG_WARN, 0, "upstream server temporarily disabled");
    }
}

/* Only a try that began after the last failure proves anything. */
static void peer_succeeded(const weir_balance_pick *pick)
{
    const weir_balance_peer *peer = pick->peer;
    weir_balance_state *state = peer->state;
    uint64_t fails = atomic_load_explicit(&state->fails, memory_order_relaxed);

    if (pick->group->measures_time) {
        balance_average(&state->last_us, weir_clock_monotonic_us() - pick->began_us);
    }
    if (fails == 0 || atomic_load(&state->failed_ms) >= atomic_load(&state->checked_ms)) {
        return;
    }
    atomic_store(&state->fails, 0);
    if (peer->max_fails != 0 && fails >= peer->max_fails) {
        if (atomic_load(&state->health) == BALANCE_HEALTHY) {
            balance_down_end(state, weir_clock_now()->monotonic_ms);
        }
        atomic_store(&state->risen_ms, weir_clock_now()->monotonic_ms);
        balance_weather_changed(pick->group);
    }
}

static void first_measured(const weir_balance_pick *pick, balance_measure measure)
{
    if (pick->peer != NULL && pick->group->measures_time
        && (pick->group->measure == BALANCE_BY_CONNECT) == (measure == BALANCE_BY_CONNECT)) {
        balance_average(&pick->peer->state->first_us, weir_clock_monotonic_us() - pick->began_us);
    }
}

void weir_balance_connected(weir_balance_pick *pick)
{
    pick->connect_ms = weir_clock_now()->monotonic_ms - pick->began_ms;
    first_measured(pick, BALANCE_BY_CONNECT);
}

void weir_balance_answered(weir_balance_pick *pick)
{
    pick->first_ms = weir_clock_now()->monotonic_ms - pick->began_ms;
    first_measured(pick, BALANCE_BY_FIRST_BYTE);
}

void weir_balance_count(const weir_balance_pick *pick, unsigned status, uint64_t sent,
                        uint64_t received)
{
    if (pick->peer != NULL && pick->peer->traffic != NULL) {
        balance_traffic_count(pick->peer->traffic, status, sent, received);
    }
}

void weir_balance_count_opening(const weir_balance_pick *pick, const weir_origin_opening *opening,
                                weir_origin_outcome outcome)
{
    if (opening->step == WEIR_ORIGIN_SHAKING && pick->peer != NULL && pick->peer->traffic != NULL) {
        balance_traffic_handshake(pick->peer->traffic, *opening->connection,
                                  outcome == WEIR_ORIGIN_OPEN);
    }
}

/* By the clock of the loop's turn, which costs nothing. */
static void times_note(const weir_balance_pick *pick)
{
    balance_traffic *own = pick->peer->traffic;

    if (own == NULL) {
        return;
    }
    if (pick->connect_ms != UINT64_MAX) {
        balance_average(&own->connect_us, pick->connect_ms * 1000);
    }
    if (pick->first_ms != UINT64_MAX) {
        balance_average(&own->first_us, pick->first_ms * 1000);
    }
    balance_average(&own->last_us, (weir_clock_now()->monotonic_ms - pick->began_ms) * 1000);
}

void weir_balance_done(weir_balance_pick *pick, weir_balance_outcome outcome, const weir_log *log)
{
    const weir_balance_group *group = pick->group;
    const weir_balance_peer *peer = pick->peer;
    balance_view *view = pick->view;

    balance_queue_leave(pick);
    if (peer == NULL) {
        return;
    }
    if (peer->connections != NULL) {
        weir_ledger_down(peer->connections, balance_own_slot(), peer->column);
    }
    time_end(pick);
    switch (outcome) {
    case WEIR_BALANCE_FAILED:
        peer_failed(pick, log);
        if (pick->sticks_to == peer->column) {
            balance_sticky_leave(pick, peer);
        }
        break;
    case WEIR_BALANCE_SUCCEEDED:
        times_note(pick);
        peer_succeeded(pick);
        break;
    case WEIR_BALANCE_ABANDONED:
        break;
    }
    if (view == group->view && group->method->freed != NULL) {
        group->method->freed(group, view, &view->peers[peer->index]);
    }
    balance_queue_freed(group);
    pick->peer = NULL;
    pick->view = NULL;
    balance_view_unref(view);
}
