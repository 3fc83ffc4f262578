#include "modules/http/engine/engine_internal.h"

#include "core/process/worker.h"

/* Exchanges that no client asked for: variables want one, and there is none. */

static const weir_addr nowhere;

static const weir_server_address *address_of(const weir_http_server *server)
{
    const weir_http_cycle *http = server->level->outer->owner;

    for (WEIR_ARRAY_EACH(&http->servers.addresses, weir_server_address *, address)) {
        for (WEIR_ARRAY_EACH(&(*address)->servers, weir_server *, listening)) {
            if (weir_http_server_of(*listening) == server) {
                return *address;
            }
        }
    }
    return NULL;
}

weir_http_exchange *weir_http_exchange_unasked(const weir_http_location *location, weir_pool *pool,
                                               const weir_log *log)
{
    weir_connection *connection = WEIR_NEW(pool, weir_connection);
    weir_http_connection *client = WEIR_NEW(pool, weir_http_connection);
    weir_http_exchange *ex;

    if (connection == NULL || client == NULL) {
        return NULL;
    }
    connection->event.fd = -1;
    connection->local = &nowhere;
    connection->loop = weir_worker_current()->loop;
    connection->pool = pool;
    connection->log = *log;
    client->connection = connection;
    client->address = address_of(location->server);
    client->server = location->server;
    if (client->address == NULL) {
        return NULL;
    }
    ex = weir_http_exchange_new(client, &weir_http_h1, NULL);
    if (ex == NULL || weir_pool_on_free(pool, weir_http_exchange_drop, ex) == NULL) {
        if (ex != NULL) {
            weir_http_exchange_drop(ex);
        }
        return NULL;
    }
    weir_http_exchange_enter(ex, location);
    return ex;
}
