#include "modules/balance/balance_internal.h"

#include <stdlib.h>

/*
 * Smooth weighted turns.  The order of a whole round is made with the view; workers take turns from one counter that they
 * share, so weights hold over all of them, and a turn costs one atomic addition however many peers there are.
 *
 * In a round, peers of equal weight follow each other like one that has the weight of all, each time another one; and the
 * turns of each weight are spread evenly.
 */

#define TURNS_MAX 65536 /* of a round; beyond, weights are rounded */
#define TURNS_TRIED 8   /* before peers are looked at one by one */

typedef struct {
    uint64_t place; /* in the round, of 2^32 */
    uint32_t peer;
} turn;

static int turn_compare(const void *a, const void *b)
{
    const turn *left = a;
    const turn *right = b;

    if (left->place != right->place) {
        return left->place < right->place ? -1 : 1;
    }
    return left->peer < right->peer ? -1 : left->peer > right->peer;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* The weights in the smallest whole numbers that the round has room for. */
static bool weights_make(const balance_tier *tier, uint32_t *weights, size_t *total)
{
    uint64_t divisor = 0;
    uint64_t sum = 0;
    uint64_t most = tier->live_count * 4 > TURNS_MAX ? tier->live_count * 4 : TURNS_MAX;

    for (size_t i = 0; i < tier->live_count; i++) {
        uint64_t share = tier->peers[tier->live[i]].share;

        divisor = common_divisor(share, divisor);
        sum += share;
    }
    if (divisor == 0) {
        return false;
    }
    sum /= divisor;
    *total = 0;
    for (size_t i = 0; i < tier->live_count; i++) {
        uint64_t weight = tier->peers[tier->live[i]].share / divisor;

        if (sum > most) {
            weight = (uint64_t) ((double) weight * (double) most / (double) sum + 0.5);
        }
        weights[i] = weight == 0 ? 1 : (uint32_t) weight;
        *total += weights[i];
    }
    return true;
}

/* For peers in the order of their weights, lists of those that have the same. */
typedef struct {
    uint32_t weight, peer;
} weighed;

static int weighed_compare(const void *a, const void *b)
{
    const weighed *left = a;
    const weighed *right = b;

    if (left->weight != right->weight) {
        return left->weight > right->weight ? -1 : 1;
    }
    return left->peer < right->peer ? -1 : left->peer > right->peer;
}

static void round_fill(const weighed *peers, size_t count, turn *turns)
{
    size_t filled = 0;

    for (size_t i = 0, same; i < count; i += same) {
        uint64_t weight = peers[i].weight;

        for (same = 1; i + same < count && peers[i + same].weight == weight; same++) {
        }
        for (uint64_t k = 0; k < weight * same; k++) {
            turns[filled++] = (turn){
                .place = (uint64_t) (((double) k + 0.5) / (double) (weight * same) * 4294967296.0),
                .peer = peers[i + k % same].peer,
            };
        }
    }
}

static bool round_make(const balance_tier *tier, const uint32_t *weights, size_t total,
                       uint32_t *order)
{
    turn *turns = malloc(total * sizeof(*turns));
    weighed *peers = malloc(tier->live_count * sizeof(*peers));
    bool is_done = turns != NULL && peers != NULL;

    if (is_done) {
        for (size_t i = 0; i < tier->live_count; i++) {
            peers[i] = (weighed){weights[i], tier->live[i]};
        }
        qsort(peers, tier->live_count, sizeof(*peers), weighed_compare);
        round_fill(peers, tier->live_count, turns);
        qsort(turns, total, sizeof(*turns), turn_compare);
        for (size_t i = 0; i < total; i++) {
            order[i] = turns[i].peer;
        }
    }
    free(peers);
    free(turns);
    return is_done;
}

bool balance_turns_prepare(const weir_balance_group *group, balance_view *view, balance_tier *tier)
{
    uint32_t *weights = WEIR_NEW_ARRAY(view->pool, uint32_t, tier->live_count + 1);

    (void) group;
    if (weights == NULL) {
        return false;
    }
    if (!weights_make(tier, weights, &tier->turn_count)) {
        return true; /* nobody is live */
    }
    if (tier->turn_count == tier->live_count) {
        tier->turns = tier->live;
        return true;
    }
    tier->turns = WEIR_NEW_ARRAY(view->pool, uint32_t, tier->turn_count);
    return tier->turns != NULL && round_make(tier, weights, tier->turn_count, tier->turns);
}

weir_balance_peer *balance_choose_in_turn(weir_balance_pick *pick, balance_view *view,
                                          unsigned number, uint64_t now_ms)
{
    balance_tier *tier = &view->tiers[number];
    balance_words *words = pick->group->words;
    bool is_first = pick->tried_count == 0;
    uint64_t at = 0;

    if (tier->live_count == 0) {
        return NULL;
    }
    if (!is_first && words != NULL) {
        /*
         * Another try takes nobody's turn: of two, the one that fails would be the first for each request.  It begins one
         * further in each round, so that no neighbour has them all.
         */
        at = atomic_load_explicit(&words->turns[number], memory_order_relaxed);
        at += at / tier->turn_count;
    }
    for (size_t i = 0; i < TURNS_TRIED; i++, at++) {
        if (is_first && words != NULL) {
            at = atomic_fetch_add_explicit(&words->turns[number], 1, memory_order_relaxed);
        }

        weir_balance_peer *peer = &tier->peers[tier->turns[at % tier->turn_count]];

        if (balance_may_take(pick, view, peer, now_ms)) {
            return peer;
        }
    }
    /* From where one was found the last time: where few are free, they need not all be looked for each time. */
    for (size_t i = 0; i < tier->live_count; i++) {
        weir_balance_peer *peer = &tier->peers[tier->live[tier->next_look]];

        tier->next_look = tier->next_look + 1 == tier->live_count ? 0 : tier->next_look + 1;
        if (balance_may_take(pick, view, peer, now_ms)) {
            return peer;
        }
    }
    return NULL;
}

const balance_method balance_round_robin = {
    .name = "round_robin",
    .prepare = balance_turns_prepare,
    .choose = balance_choose_in_turn,
    .takes_backups = true,
};
