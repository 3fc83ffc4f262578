#include "modules/balance/balance_internal.h"

#include <stdlib.h>

#include "core/base/clock.h"
#include "core/process/worker.h"

/* Connections to peers that wait for their next use; a worker's own.  They hold no blocks. */

static void kept_readable(weir_connection *connection);
static void kept_close(weir_connection *connection);

/* kept -> whatever its next owner enters | closed */
static const weir_connection_state kept_idle = {
    .name = "kept idle",
    .on_readable = kept_readable,
    .on_timeout = kept_close,
    .on_hangup = kept_close,
};

weir_balance_link *weir_balance_link_new(weir_connection *connection, weir_balance_group *group,
                                         const weir_balance_peer *peer, const weir_balance_key *key)
{
    weir_balance_link *link = WEIR_NEW(connection->pool, weir_balance_link);

    if (link == NULL || !weir_str_copy(connection->pool, key->name, &link->key.name)
        || !weir_str_copy(connection->pool, key->bound, &link->key.bound)) {
        return NULL;
    }
    weir_list_init(&link->link);
    link->connection = connection;
    link->kept = group->kept;
    link->addr = peer->addr;
    link->key.tls = key->tls;
    link->key.protocol = key->protocol;
    link->key.scope = group->kept->is_shared ? NULL : key->scope;
    return link;
}

size_t balance_idle_column(const weir_balance_group *group)
{
    return group->zone->count + balance_group_column(group);
}

bool weir_balance_keeps_idle(const weir_balance_group *group)
{
    return group->kept->max != 0;
}

static void kept_tell(const balance_kept *kept)
{
    if (kept->told != NULL) {
        atomic_store_explicit(kept->told, (uint32_t) kept->count, memory_order_relaxed);
    }
}

static void kept_leave(weir_balance_link *link)
{
    weir_list_remove(&link->link);
    link->kept->count--;
    kept_tell(link->kept);
    weir_connection_set_idle(link->connection, false);
}

static void kept_close(weir_connection *connection)
{
    kept_leave(connection->owner);
    weir_connection_close(connection);
}

/* Unless its protocol has words for it, nothing is to come: it is the end, or an answer that nobody asked for. */
static void kept_readable(weir_connection *connection)
{
    weir_balance_link *link = connection->owner;

    if (link->idle_readable != NULL ? !link->idle_readable(link)
                                    : !weir_connection_is_quiet(connection)) {
        kept_close(connection);
    }
}

static bool fits(const weir_balance_link *link, const weir_balance_peer *peer,
                 const weir_balance_key *key)
{
    return link->key.tls == key->tls && link->key.protocol == key->protocol
           && (link->kept->is_shared || link->key.scope == key->scope)
           && weir_addr_eq(&link->addr, &peer->addr) && weir_str_eq(link->key.name, key->name)
           && weir_str_eq(link->key.bound, key->bound);
}

weir_balance_link *weir_balance_idle_take(weir_balance_group *group, const weir_balance_peer *peer,
                                          const weir_balance_key *key)
{
    for (weir_list *place = group->kept->idle.next; place != &group->kept->idle;
         place = place->next) {
        weir_balance_link *link = WEIR_OWNER(place, weir_balance_link, link);
        weir_connection *connection = link->connection;

        /* What hangs up is closed by its own event, in this turn. */
        if (!connection->hangup && !connection->failed && fits(link, peer, key)) {
            kept_leave(link);
            return link;
        }
    }
    return NULL;
}

void weir_balance_idle_put(weir_balance_link *link)
{
    balance_kept *kept = link->kept;
    weir_connection *connection = link->connection;
    const weir_worker *worker = weir_worker_current();

    link->requests++;
    if (kept->max == 0 || connection->hangup || connection->failed
        || link->requests >= kept->requests
        || weir_clock_now()->monotonic_ms - connection->started_ms >= kept->time_ms
        || (worker != NULL && worker->is_draining)) {
        weir_connection_close(connection);
        return;
    }

    if (kept->count == kept->max) {
        weir_balance_link *oldest = WEIR_OWNER(kept->idle.previous, weir_balance_link, link);

        kept_close(oldest->connection);
    }
    connection->owner = link;
    connection->log = *weir_loop_log(connection->loop);
    weir_list_prepend(&kept->idle, &link->link);
    kept->count++;
    kept_tell(kept);
    weir_connection_set_timeout(connection, kept->timeout_ms);
    weir_connection_set_idle(connection, true);
    weir_connection_enter(connection, &kept_idle);
}

/* ---- the worker's end */

static void close_kept(balance_kept *kept)
{
    while (!weir_list_is_empty(&kept->idle)) {
        kept_close(WEIR_OWNER(kept->idle.next, weir_balance_link, link)->connection);
    }
}

static void close_all(balance_registry *registry)
{
    for (WEIR_ARRAY_EACH(&registry->groups, weir_balance_group *, group)) {
        close_kept((*group)->kept);
    }
    close_kept(&registry->kept);
}

static void drain(weir_worker *worker, void *subject)
{
    (void) worker;
    close_all(subject);
}

bool weir_balance_worker_start(weir_worker *worker, const weir_balance_family *family)
{
    balance_registry *registry = balance_registry_of_cycle(worker->cycle, family);

    if (registry == NULL) {
        return true;
    }
    for (WEIR_ARRAY_EACH(&registry->groups, weir_balance_group *, group)) {
        (*group)->own_kept.told = weir_ledger_own(&(*group)->zone->connections, worker->slot,
                                                  balance_idle_column(*group));
    }
    return weir_worker_on_drain(worker, drain, registry);
}

void weir_balance_worker_stop(weir_worker *worker, const weir_balance_family *family)
{
    balance_registry *registry = balance_registry_of_cycle(worker->cycle, family);

    if (registry == NULL) {
        return;
    }
    close_all(registry);
    for (WEIR_ARRAY_EACH(&registry->groups, weir_balance_group *, group)) {
        balance_queue_stop(worker, *group);
        free((*group)->zone->open);
        (*group)->zone->open = NULL;
    }
}
