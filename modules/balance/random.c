#include "modules/balance/balance_internal.h"

#include "core/base/random.h"

/* Any of them, as often as its weight says; or the less busy one of two such. */

#define DRAWS 20

static bool random_prepare(const weir_balance_group *group, balance_view *view, balance_tier *tier)
{
    uint64_t sum = 0;

    tier->sums = WEIR_NEW_ARRAY(view->pool, uint64_t, tier->live_count + 1);
    if (tier->sums == NULL) {
        return false;
    }
    for (size_t i = 0; i < tier->live_count; i++) {
        sum += tier->peers[tier->live[i]].share;
        tier->sums[i] = sum;
    }
    return balance_turns_prepare(group, view, tier);
}

/* The first whose sum is above `wanted`. */
size_t balance_sums_find(const uint64_t *sums, size_t count, uint64_t wanted)
{
    size_t low = 0;
    size_t high = count - 1;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (sums[middle] > wanted) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

static weir_balance_peer *draw(const balance_tier *tier)
{
    uint64_t sum = tier->sums[tier->live_count - 1];

    return &tier->peers[tier->live[balance_sums_find(tier->sums, tier->live_count,
                                                     weir_random_fast() % sum)]];
}

static weir_balance_peer *random_choose(weir_balance_pick *pick, balance_view *view,
                                        unsigned number, uint64_t now_ms)
{
    const weir_balance_group *group = pick->group;
    const balance_tier *tier = &view->tiers[number];
    weir_balance_peer *first = NULL;

    for (unsigned i = 0; i < DRAWS && tier->live_count != 0; i++) {
        weir_balance_peer *peer = draw(tier);

        if (peer == first || !balance_may_take(pick, view, peer, now_ms)) {
            continue;
        }
        if (!group->picks_two) {
            return peer;
        }
        if (first != NULL) {
            return balance_load(group, view, peer, now_ms)
                           < balance_load(group, view, first, now_ms)
                       ? peer
                       : first;
        }
        first = peer;
    }
    return first != NULL ? first : balance_choose_in_turn(pick, view, number, now_ms);
}

const balance_method balance_random = {
    .name = "random",
    .prepare = random_prepare,
    .choose = random_choose,
};
