#include "modules/balance/balance_internal.h"

#include "core/base/clock.h"
#include "core/process/worker.h"

/* One request's way through a group. */

bool weir_balance_begin(weir_balance_pick *pick, weir_balance_group *group,
                        const weir_balance_subject *subject)
{
    *pick =
        (weir_balance_pick){.group = group, .subject = *subject, .tries_left = group->peer_count};
    pick->tried = &pick->tried_few;
    if (group->peer_count > 64) {
        pick->tried = WEIR_NEW_ARRAY(subject->pool, uint64_t, (group->peer_count + 63) / 64);
    }
    return pick->tried != NULL;
}

/* Where this process counts; without workers it is the only one. */
static size_t own_slot(void)
{
    const weir_worker *worker = weir_worker_current();

    return worker == NULL ? 0 : worker->slot;
}

weir_result weir_balance_next(weir_balance_pick *pick, void (*ready)(weir_balance_pick *pick))
{
    weir_balance_group *group = pick->group;
    uint64_t now_ms = weir_clock_now()->monotonic_ms;
    weir_balance_peer *peer = NULL;

    (void) ready;
    if (group->peer_count == 1) {
        peer = group->peers;
        if (pick->tried_few != 0 || !weir_balance_is_live(group, peer, now_ms)) {
            peer = NULL;
        }
    } else {
        for (unsigned tier = 0; tier < BALANCE_TIERS && peer == NULL; tier++) {
            peer = group->method->choose(pick, &group->tiers[tier], now_ms);
        }
    }

    if (peer == NULL) {
        pick->tries_left = 0;
        return WEIR_FAIL;
    }

    weir_balance_state *state = peer->state;

    pick->peer = peer;
    pick->tried[peer->index / 64] |= UINT64_C(1) << peer->index % 64;
    if (pick->tries_left != 0) {
        pick->tries_left--;
    }
    if (peer->max_conns != 0) {
        weir_ledger_up(peer->connections, own_slot(), peer->column);
    }
    /* One try after fail_timeout, and not all that come: the next one waits for what becomes of it. */
    if (atomic_load_explicit(&state->fails, memory_order_relaxed) != 0
        && now_ms - atomic_load(&state->checked_ms) > peer->fail_timeout_ms) {
        atomic_store(&state->checked_ms, now_ms);
    }
    return WEIR_OK;
}

static void peer_failed(const weir_balance_group *group, const weir_balance_peer *peer,
                        const weir_log *log)
{
    weir_balance_state *state = peer->state;
    uint64_t now_ms = weir_clock_now()->monotonic_ms;
    uint64_t fails = atomic_fetch_add(&state->fails, 1) + 1;

    atomic_store(&state->failed_ms, now_ms);
    atomic_store(&state->checked_ms, now_ms);
    if (peer->max_fails == 0 || group->peer_count == 1) {
        return;
    }

    int64_t loss = (int64_t) (peer->weight / peer->max_fails);

    if (atomic_fetch_add(&state->lost, loss) + loss > (int64_t) peer->weight) {
        atomic_store(&state->lost, (int64_t) peer->weight);
    }
    if (fails == peer->max_fails) {
        weir_log_line(log, WEIR_LOG_WARN, 0, "upstream server temporarily disabled");
    }
}

void weir_balance_done(weir_balance_pick *pick, weir_balance_outcome outcome, const weir_log *log)
{
    const weir_balance_peer *peer = pick->peer;

    if (peer == NULL) {
        return;
    }
    pick->peer = NULL;

    if (peer->max_conns != 0) {
        weir_ledger_down(peer->connections, own_slot(), peer->column);
    }

    switch (outcome) {
    case WEIR_BALANCE_FAILED:
        peer_failed(pick->group, peer, log);
        break;
    case WEIR_BALANCE_SUCCEEDED:
        /* Only a try that began after the last failure proves anything. */
        if (atomic_load_explicit(&peer->state->fails, memory_order_relaxed) != 0
            && atomic_load(&peer->state->failed_ms) < atomic_load(&peer->state->checked_ms)) {
            atomic_store(&peer->state->fails, 0);
        }
        break;
    case WEIR_BALANCE_ABANDONED:
        break;
    }
}
