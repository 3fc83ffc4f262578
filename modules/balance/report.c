#include "modules/balance/balance_internal.h"

#include "core/base/clock.h"

/* What groups there are, and their servers and peers: for whoever shows them. */

weir_balance_group *weir_balance_group_at(const weir_cycle *cycle,
                                          const weir_balance_family *family, size_t i)
{
    const balance_registry *registry = balance_registry_of_cycle(cycle, family);

    return registry == NULL || i >= registry->groups.count
               ? NULL
               : *WEIR_ARRAY_AT(&registry->groups, weir_balance_group *, i);
}

bool weir_balance_group_is_named(const weir_balance_group *group)
{
    return group->statement != NULL;
}

weir_str weir_balance_group_zone(const weir_balance_group *group)
{
    return group->zone->is_own ? WEIR_STR_EMPTY : group->zone->name;
}

const weir_balance_peer *weir_balance_peers(weir_balance_group *group, size_t *count)
{
    const balance_view *view = balance_view_now(group, weir_clock_now()->monotonic_ms);

    *count = view == NULL ? 0 : view->count;
    return view == NULL ? NULL : view->peers;
}

/* Taken away at run time, or by a reload, while requests were under way. */
static bool is_zombie(const weir_balance_group *group, const balance_record *record)
{
    const balance_zone *zone = group->zone;

    return atomic_load(&record->group) == group->key && atomic_load(&record->key) != group->key
           && atomic_load(&record->is_added) == 0 && atomic_load(&record->parent) == 0
           && balance_seat_of(group, record) == NULL
           && weir_ledger_sum(&zone->connections, (size_t) (record - zone->records)) != 0;
}

weir_balance_group_report weir_balance_report_group(const weir_balance_group *group)
{
    const balance_zone *zone = group->zone;
    weir_balance_group_report report = {
        .idle = weir_ledger_sum(&zone->connections, balance_idle_column(group)),
        .queue_overflows = atomic_load(&group->words->overflows),
    };

    report.has_queue = balance_queue_look(group, &report.queued, &report.queue_max);
    for (size_t i = 0; i < zone->count; i++) {
        report.zombies += is_zombie(group, &zone->records[i]);
    }
    return report;
}

void weir_balance_reset(weir_balance_group *group)
{
    size_t count;
    const weir_balance_peer *peers = weir_balance_peers(group, &count);

    for (size_t i = 0; i < count; i++) {
        weir_balance_state *state = peers[i].state;
        _Atomic uint64_t *words[] = {&state->failures,    &state->unavailable,
                                     &state->checks,      &state->checks_failed,
                                     &state->checks_fell, &state->downtime_ms};

        for (size_t word = 0; word < WEIR_COUNT(words); word++) {
            atomic_store(words[word], 0);
        }
        balance_traffic_clear(group->zone->traffic, group->zone->count, peers[i].column);
    }
    atomic_store(&group->words->overflows, 0);
}

static const char *state_text(const weir_balance_peer *peer, bool is_failing)
{
    uint32_t health = atomic_load(&peer->state->health);

    return peer->is_down                 ? "down"
           : health == BALANCE_UNHEALTHY ? "unhealthy"
           : health == BALANCE_CHECKING  ? "checking"
           : is_failing                  ? "unavail"
           : peer->is_draining           ? "draining"
                                         : "up";
}

weir_balance_report weir_balance_peer_report(const weir_balance_group *group,
                                             const weir_balance_peer *peer, bool is_alone)
{
    const weir_balance_state *state = peer->state;
    uint64_t now_ms = weir_clock_now()->monotonic_ms;
    uint64_t until_ms = now_ms;
    bool is_failing = balance_is_failing(peer, is_alone, now_ms, &until_ms);
    weir_balance_report report = {
        .state = state_text(peer, is_failing),
        .active = balance_connections(peer),
        .fails = atomic_load(&state->failures),
        .unavailable = atomic_load(&state->unavailable),
        .checks = atomic_load(&state->checks),
        .checks_failed = atomic_load(&state->checks_failed),
        .checks_fell = atomic_load(&state->checks_fell),
        .last_check_passed = atomic_load(&state->last_passed) != 0,
        .down_ms = atomic_load(&state->down_ms),
        .downtime_ms = atomic_load(&state->downtime_ms),
    };

    if (report.down_ms != 0) {
        /* What nobody has tried since its fail_timeout is down no more. */
        bool is_over = !is_failing && atomic_load(&state->health) == BALANCE_HEALTHY;
        uint64_t then_ms = is_over && until_ms < now_ms ? until_ms : now_ms;

        report.downtime_ms += then_ms > report.down_ms ? then_ms - report.down_ms : 0;
        report.down_ms = is_over ? 0 : report.down_ms;
    }
    balance_traffic_sum(group->zone->traffic, group->zone->count, peer->column, &report.traffic);
    return report;
}

bool balance_server_next(const weir_balance_group *group, size_t *position, balance_name *found)
{
    const balance_zone *zone = group->zone;

    while (*position < group->seat_count) {
        const balance_seat *seat = &group->seats[(*position)++];
        bool is_there;

        found->server = balance_seat_now(seat, &is_there);
        if (is_there) {
            /* A name has as many as it has addresses. */
            found->server.name = found->server.is_resolved ? found->server.name : seat->text;
            found->id = atomic_load(&seat->record->id);
            found->key = seat->key;
            return true;
        }
    }
    while (*position - group->seat_count < zone->count) {
        balance_record *record = &zone->records[(*position)++ - group->seat_count];

        if (atomic_load(&record->group) == group->key && atomic_load(&record->is_added) != 0
            && balance_seat_of(group, record) == NULL) {
            found->server = balance_record_server(record);
            found->id = atomic_load(&record->id);
            found->key = atomic_load(&record->key);
            return true;
        }
    }
    return false;
}

bool weir_balance_server_next(const weir_balance_group *group, size_t *position, uint64_t *id,
                              weir_balance_server *server)
{
    balance_name found;

    if (!balance_server_next(group, position, &found)) {
        return false;
    }
    *id = found.id;
    *server = found.server;
    return true;
}
