#include "modules/balance/balance_internal.h"

#include "core/base/clock.h"
#include "core/process/cycle.h"
#include "core/process/worker.h"
#include "core/process/zone.h"

/*
 * The states of peers in shared memory, found by a key that group and address make; so they outlive
 * reloads.  Only the master claims them, before it forks.
 */

#define STATE_LAYOUT "balance 2"
#define COUNTS_LAYOUT "balance connections 1"

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

static void state_begin(weir_balance_state *state, uint64_t key, uint64_t generation)
{
    atomic_store(&state->key, key);
    atomic_store(&state->begun, generation);
    atomic_store(&state->current, 0);
    atomic_store(&state->lost, 0);
    atomic_store(&state->fails, 0);
    atomic_store(&state->failed_ms, 0);
    atomic_store(&state->checked_ms, 0);
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
            state_begin(state, key, generation);
            return state;
        }
        if (atomic_load(&state->generation) + 1 < generation
            && (oldest == NULL
                || atomic_load(&state->generation) < atomic_load(&oldest->generation))) {
            oldest = state;
        }
    }
    if (oldest != NULL) {
        state_begin(oldest, key, generation);
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
        peers[i]->column = (size_t) (state - table);
    }
    return true;
}

/* ---- zones: one of states, and one that counts connections to their peers, opened in any order */

static size_t zone_columns(const weir_balance_zone *zone)
{
    return weir_zone_bytes(zone->zone) / sizeof(weir_balance_state);
}

/* When both are open.  A state that was another peer's has its column, too. */
static void zone_join(weir_balance_zone *zone)
{
    if (zone->counts == NULL || weir_zone_memory(zone->counts) == NULL
        || weir_zone_memory(zone->zone) == NULL) {
        return;
    }
    zone->connections =
        weir_ledger_at(weir_zone_memory(zone->counts), WEIR_WORKER_SLOTS, zone_columns(zone));
    for (WEIR_ARRAY_EACH(&zone->peers, weir_balance_peer *, place)) {
        weir_balance_peer *peer = *place;

        peer->connections = &zone->connections;
        if (atomic_load(&peer->state->begun) == zone->generation) {
            weir_ledger_clear_column(&zone->connections, peer->column);
        }
    }
}

static bool zone_opened(struct weir_zone *opened, bool is_new, void *subject)
{
    weir_balance_zone *zone = subject;

    (void) is_new;
    if (!weir_balance_states_claim(weir_zone_memory(opened), weir_zone_bytes(opened),
                                   zone->peers.items, zone->peers.count, zone->generation)) {
        return false;
    }
    zone_join(zone);
    return true;
}

static bool counts_opened(struct weir_zone *opened, bool is_new, void *subject)
{
    (void) opened;
    (void) is_new;
    zone_join(subject);
    return true;
}

/* What a dead worker had open is closed. */
static void worker_gone(unsigned slot, void *subject)
{
    const weir_balance_zone *zone = subject;

    weir_ledger_clear_slot(&zone->connections, slot);
}

bool weir_balance_zone_open(weir_conf *conf, weir_balance_zone *zone, size_t bytes)
{
    zone->generation = weir_conf_cycle(conf)->generation;
    zone->zone = weir_zone_new(conf, zone->name, bytes, STATE_LAYOUT, zone_opened, zone);
    return zone->zone != NULL;
}

static bool has_max_conns(const weir_balance_zone *zone)
{
    for (WEIR_ARRAY_EACH(&zone->peers, weir_balance_peer *, peer)) {
        if ((*peer)->max_conns != 0) {
            return true;
        }
    }
    return false;
}

bool weir_balance_zone_count(weir_conf *conf, weir_balance_zone *zone)
{
    size_t bytes = weir_ledger_bytes(WEIR_WORKER_SLOTS, zone_columns(zone));
    weir_builder builder;
    weir_str name;

    if (!has_max_conns(zone)) {
        return true;
    }
    if (bytes == 0) {
        return weir_conf_refuse(conf, "zone \"%.*s\" is too large", WEIR_STR_ARG(zone->name));
    }
    weir_builder_open(&builder, weir_conf_pool(conf), SIZE_MAX);
    weir_builder_add(&builder, zone->name);
    weir_builder_add(&builder, WEIR_STR(" connections"));
    if (!weir_builder_close(&builder, &name)) {
        return weir_conf_refuse(conf, "no memory for upstreams");
    }
    zone->counts = weir_zone_new(conf, name, bytes, COUNTS_LAYOUT, counts_opened, zone);
    if (zone->counts == NULL) {
        return false;
    }
    return weir_worker_on_gone(weir_conf_cycle(conf), worker_gone, zone)
           || weir_conf_refuse(conf, "no memory for upstreams");
}

bool weir_balance_is_live(const weir_balance_group *group, const weir_balance_peer *peer,
                          uint64_t now_ms)
{
    const weir_balance_state *state = peer->state;

    if (peer->is_down) {
        return false;
    }
    if (peer->max_conns != 0
        && weir_ledger_sum(peer->connections, peer->column) >= peer->max_conns) {
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
