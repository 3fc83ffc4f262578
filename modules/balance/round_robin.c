#include "modules/balance/balance_internal.h"

/*
 * Smooth weighted turns: with each turn every live peer gains its weight, and the one that has most is chosen and pays
 * what all gained.  Without a lock: workers that choose at the same time may choose alike, but nothing is lost.
 */
static weir_balance_peer *round_robin_choose(const weir_balance_pick *pick,
                                             const weir_balance_tier *tier, uint64_t now_ms)
{
    weir_balance_peer *best = NULL;
    int64_t best_current = 0;
    int64_t gained = 0;

    for (size_t i = 0; i < tier->count; i++) {
        weir_balance_peer *peer = &tier->peers[i];
        weir_balance_state *state = peer->state;

        if (weir_balance_was_tried(pick, peer)
            || !weir_balance_is_live(pick->group, peer, now_ms)) {
            continue;
        }

        int64_t lost = atomic_load_explicit(&state->lost, memory_order_relaxed);
        int64_t weight = (int64_t) peer->weight - lost;

        if (lost > 0) {
            atomic_fetch_sub_explicit(&state->lost, 1, memory_order_relaxed);
        }
        gained += weight;

        int64_t current =
            atomic_fetch_add_explicit(&state->current, weight, memory_order_relaxed) + weight;

        if (best == NULL || current > best_current) {
            best = peer;
            best_current = current;
        }
    }

    if (best != NULL) {
        atomic_fetch_sub_explicit(&best->state->current, gained, memory_order_relaxed);
    }
    return best;
}

const weir_balance_method weir_balance_round_robin = {
    .name = "round_robin",
    .choose = round_robin_choose,
};
