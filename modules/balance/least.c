#include "modules/balance/balance_internal.h"

#include <math.h>

#include "core/base/clock.h"

/*
 * The least busy one: by connections, or by connections and the time that answers take.
 *
 * Each worker has a tree in which the better of two wins, as it last saw them.  The winner is looked at again before it is
 * taken, so one that became busier by other workers' doing loses its place.  One that became less busy is noticed by a few
 * looks with each pick, in turn: a peer is seen many times between two of its turns, however many there are.  So a pick
 * costs the height of the tree, and nothing is locked.
 */

#define LOOKS 4
#define WINNERS_TRIED 64

typedef struct {
    double load;
    double turn; /* of those that are equally busy, who had the fewest for its weight goes first */
} leaf;

struct balance_tree {
    size_t size; /* a power of two: the first leaf's place in `winners` */
    leaf *leaves;
    uint32_t *winners; /* 1 is the root */
    size_t next_look;
    double last_turn;
};

static uint64_t time_of(const weir_balance_group *group, const weir_balance_peer *peer)
{
    const weir_balance_state *state = peer->state;
    const balance_open *open;
    uint64_t us = atomic_load_explicit(group->measure == BALANCE_BY_LAST_BYTE ? &state->last_us
                                                                              : &state->first_us,
                                       memory_order_relaxed);

    if (group->counts_inflight && group->zone->open != NULL) {
        open = &group->zone->open[peer->column];
        if (open->count != 0) {
            uint64_t age = weir_clock_monotonic_us() - open->started_us_sum / open->count;

            us = age > us ? age : us;
        }
    }
    return us;
}

double balance_load(const weir_balance_group *group, const balance_view *view,
                    const weir_balance_peer *peer, uint64_t now_ms)
{
    double connections;

    if (peer->is_draining || !balance_is_live(peer, view->count == 1, now_ms)) {
        return INFINITY;
    }
    connections = (double) balance_connections(peer);
    if (group->measure == BALANCE_BY_CONNECTIONS) {
        return connections / (double) peer->share;
    }
    return (double) (time_of(group, peer) + 1) * (connections + 1) / (double) peer->share;
}

/* ---- the tree */

static bool is_better(const leaf *a, const leaf *b)
{
    return a->load < b->load || (a->load == b->load && a->turn < b->turn);
}

static void tree_settle(struct balance_tree *tree, size_t at)
{
    for (at = (tree->size + at) / 2; at != 0; at /= 2) {
        uint32_t left = tree->winners[at * 2];
        uint32_t right = tree->winners[at * 2 + 1];

        tree->winners[at] = is_better(&tree->leaves[right], &tree->leaves[left]) ? right : left;
    }
}

static bool least_prepare(const weir_balance_group *group, balance_view *view, balance_tier *tier)
{
    struct balance_tree *tree = WEIR_NEW(view->pool, struct balance_tree);

    if (tree == NULL) {
        return false;
    }
    for (tree->size = 1; tree->size < tier->count; tree->size *= 2) {
    }
    tree->leaves = WEIR_NEW_ARRAY(view->pool, leaf, tree->size);
    tree->winners = WEIR_NEW_ARRAY(view->pool, uint32_t, tree->size * 2);
    if (tree->leaves == NULL || tree->winners == NULL) {
        return false;
    }
    for (size_t i = 0; i < tree->size; i++) {
        tree->leaves[i].load =
            i < tier->count ? balance_load(group, view, &tier->peers[i], view->made_ms) : INFINITY;
        /* Workers do not all begin with the same one. */
        tree->leaves[i].turn =
            tier->count == 0 ? 0
                             : 1e-9
                                   * (double) ((i + tier->count - balance_own_slot() % tier->count)
                                               % tier->count);
        tree->winners[tree->size + i] = (uint32_t) i;
    }
    for (size_t at = tree->size - 1; at != 0; at--) {
        uint32_t left = tree->winners[at * 2];
        uint32_t right = tree->winners[at * 2 + 1];

        tree->winners[at] = is_better(&tree->leaves[right], &tree->leaves[left]) ? right : left;
    }
    tier->tree = tree;
    return balance_turns_prepare(group, view, tier);
}

/* True: it is as it was. */
static bool look_again(const weir_balance_group *group, const balance_view *view,
                       const balance_tier *tier, size_t i, uint64_t now_ms)
{
    leaf *seen = &tier->tree->leaves[i];
    double load = balance_load(group, view, &tier->peers[i], now_ms);

    if (load == seen->load) {
        return true;
    }
    seen->load = load;
    tree_settle(tier->tree, i);
    return false;
}

static void least_freed(const weir_balance_group *group, balance_view *view,
                        weir_balance_peer *peer)
{
    const balance_tier *tier = &view->tiers[peer->is_backup ? BALANCE_BACKUP : BALANCE_PRIMARY];

    (void) look_again(group, view, tier, (size_t) (peer - tier->peers),
                      weir_clock_now()->monotonic_ms);
}

/* The winner, passing over those that were tried. */
static weir_balance_peer *winner(const weir_balance_pick *pick, const balance_view *view,
                                 const balance_tier *tier, uint64_t now_ms)
{
    struct balance_tree *tree = tier->tree;
    weir_balance_peer *peer = NULL;
    size_t passed[WINNERS_TRIED];
    size_t passed_count = 0;

    for (unsigned i = 0; i < WINNERS_TRIED && peer == NULL; i++) {
        size_t first = tree->winners[1];

        if (isinf(tree->leaves[first].load)) {
            break;
        }
        if (!look_again(pick->group, view, tier, first, now_ms)) {
            continue;
        }
        if (balance_may_take(pick, view, &tier->peers[first], now_ms)) {
            peer = &tier->peers[first];
            continue;
        }
        passed[passed_count++] = first;
        tree->leaves[first].load = INFINITY;
        tree_settle(tree, first);
    }
    for (size_t i = 0; i < passed_count; i++) {
        (void) look_again(pick->group, view, tier, passed[i], now_ms);
    }
    return peer;
}

static weir_balance_peer *least_choose(weir_balance_pick *pick, balance_view *view, unsigned number,
                                       uint64_t now_ms)
{
    const balance_tier *tier = &view->tiers[number];
    struct balance_tree *tree = tier->tree;
    weir_balance_peer *peer;

    for (unsigned i = 0; i < LOOKS; i++) {
        tree->next_look = (tree->next_look + 1) % tier->count;
        (void) look_again(pick->group, view, tier, tree->next_look, now_ms);
    }
    peer = winner(pick, view, tier, now_ms);
    if (peer == NULL) {
        /* All that were seen were tried, or many changed at once. */
        return balance_choose_in_turn(pick, view, number, now_ms);
    }

    size_t chosen = (size_t) (peer - tier->peers);
    leaf *seen = &tree->leaves[chosen];

    /* Who was away does not make up for it. */
    tree->last_turn = seen->turn = seen->turn > tree->last_turn ? seen->turn : tree->last_turn;
    seen->turn += 1 / (double) peer->share;
    tree_settle(tree, chosen);
    return peer;
}

const balance_method balance_least_conn = {
    .name = "least_conn",
    .prepare = least_prepare,
    .choose = least_choose,
    .freed = least_freed,
    .takes_backups = true,
};

const balance_method balance_least_time = {
    .name = "least_time",
    .prepare = least_prepare,
    .choose = least_choose,
    .freed = least_freed,
    .takes_backups = true,
};
