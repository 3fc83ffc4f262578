#include "modules/balance/balance_internal.h"

#include "core/base/clock.h"
#include "core/process/cycle.h"
#include "core/process/zone.h"

/*
 * The states of peers in shared memory, found by a key that group and address make; so they outlive
 * reloads.  Only the master claims them, before it forks.
 */

#define STATE_LAYOUT "balance 1"

size_t weir_balance_zone_bytes_for(size_t peers)
{
    size_t count = 64;

    /* Half empty, so that a reload with more peers keeps what is known, and powers of two, for the same. */
    while (count < peers * 2) {
        count *= 2;
    }
    return count * sizeof(weir_balance_state);
}

uint64_t weir_balance_state_key(weir_str group, const weir_balance_peer *peer, size_t repeated)
{
    uint64_t parts[] = {
        weir_str_hash(group),
        weir_str_hash(peer->text),
        peer->is_backup,
        repeated,
    };
    uint64_t key = weir_str_hash(weir_str_of((const char *) parts, sizeof(parts)));

    return key == 0 ? 1 : key;
}

static void state_begin(weir_balance_state *state, uint64_t key)
{
    atomic_store(&state->key, key);
    atomic_store(&state->current, 0);
    atomic_store(&state->lost, 0);
    atomic_store(&state->fails, 0);
    atomic_store(&state->failed_ms, 0);
    atomic_store(&state->checked_ms, 0);
    atomic_store(&state->connections, 0);
}

/* Entries are never emptied: one that the last configurations did not have is taken for another peer. */
static weir_balance_state *state_claim(weir_balance_state *table, size_t count, uint64_t key,
                                       uint64_t generation)
{
    weir_balance_state *oldest = NULL;

    for (size_t i = 0; i < count; i++) {
        weir_balance_state *state = &table[(key + i) % count];
        uint64_t found = atomic_load(&state->key);

        if (found == key) {
            return state;
        }
        if (found == 0) {
            state_begin(state, key);
            return state;
        }
        if (atomic_load(&state->generation) + 1 < generation
            && (oldest == NULL
                || atomic_load(&state->generation) < atomic_load(&oldest->generation))) {
            oldest = state;
        }
    }
    if (oldest != NULL) {
        state_begin(oldest, key);
    }
    return oldest;
}

bool weir_balance_states_claim(void *memory, size_t bytes, weir_balance_peer *const *peers,
                               size_t count, uint64_t generation)
{
    weir_balance_state *table = memory;

    for (size_t i = 0; i < count; i++) {
        weir_balance_state *state =
            state_claim(table, bytes / sizeof(*table), peers[i]->key, generation);

        if (state == NULL) {
            return false;
        }
        atomic_store(&state->generation, generation);
        peers[i]->state = state;
    }
    return true;
}

static bool zone_opened(struct weir_zone *zone, bool is_new, void *subject)
{
    weir_balance_zone *balance = subject;

    (void) is_new;
    return weir_balance_states_claim(weir_zone_memory(zone), weir_zone_bytes(zone),
                                     balance->peers.items, balance->peers.count,
                                     balance->generation);
}

bool weir_balance_zone_open(weir_conf *conf, weir_balance_zone *zone, size_t bytes)
{
    zone->generation = weir_conf_cycle(conf)->generation;
    zone->zone = weir_zone_new(conf, zone->name, bytes, STATE_LAYOUT, zone_opened, zone);
    return zone->zone != NULL;
}

bool weir_balance_is_live(const weir_balance_group *group, const weir_balance_peer *peer,
                          uint64_t now_ms)
{
    const weir_balance_state *state = peer->state;

    if (peer->is_down) {
        return false;
    }
    if (peer->max_conns != 0 && atomic_load(&state->connections) >= peer->max_conns) {
        return false;
    }
    /* As in nginx, a peer that has nobody to stand in for it is not left alone. */
    if (group->peer_count == 1 || peer->max_fails == 0
        || atomic_load(&state->fails) < peer->max_fails) {
        return true;
    }

    uint64_t checked = atomic_load(&state->checked_ms);

    return now_ms > checked && now_ms - checked > peer->fail_timeout_ms;
}
