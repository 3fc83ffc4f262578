/* Reading the PROXY header of a connection, before its listener's hook is called. */

#include "core/net/connection_internal.h"

#include <errno.h>

#include "core/net/proxy_protocol.h"

/* What has come so far of a header that came in pieces; most come whole and need none of it. */
typedef struct {
    char *data; /* WEIR_PROXY_HEADER_MAX bytes */
    size_t len;
} proxy_reading;

static void proxy_readable(weir_connection *connection);
static void proxy_timed_out(weir_connection *connection);

/* proxy header -> (the listener's hook) | closed */
static const weir_connection_state proxy_header = {
    .name = "proxy header",
    .on_readable = proxy_readable,
    .on_timeout = proxy_timed_out, /* closed */
};

/* The reason was logged. */
static void proxy_give_up(weir_connection *connection, bool is_malformed)
{
    const weir_listener *listener = connection->listener;

    if (listener->unannounced == NULL) {
        weir_connection_close(connection);
        return;
    }
    weir_connection_clear_timeout(connection);
    connection->owner = NULL;
    listener->unannounced(connection, is_malformed, listener->subject);
}

static void proxy_log_broken(const weir_connection *connection, weir_str bytes)
{
    weir_str line = weir_str_slice(bytes, 0, WEIR_PROXY_V1_MAX);

    weir_log_line(&connection->log, WEIR_LOG_ERR, 0,
                  "broken header: \"%.*s\" while reading PROXY protocol", WEIR_STR_ARG(line));
}

/* The pool's own, as the bytes that were read are on the stack. */
static bool proxy_keep(weir_connection *connection, const weir_proxy_header *header, weir_str rest)
{
    weir_addr *addrs;

    if (!weir_str_copy(connection->pool, header->tlvs, &connection->proxy_tlvs)
        || !weir_str_copy(connection->pool, rest, &connection->early)) {
        return false;
    }
    if (header->peer.len == 0) {
        return true;
    }

    addrs = WEIR_NEW_ARRAY(connection->pool, weir_addr, 2);
    if (addrs == NULL) {
        return false;
    }
    addrs[0] = header->peer;
    addrs[1] = header->local;
    connection->proxy_peer = &addrs[0];
    connection->proxy_local = &addrs[1];
    return true;
}

/* False: the connection is gone. */
static bool proxy_wait(weir_connection *connection, weir_str bytes)
{
    proxy_reading *reading = connection->owner;

    if (reading == NULL) {
        reading = WEIR_NEW(connection->pool, proxy_reading);
        if (reading == NULL
            || (reading->data = weir_pool_bytes(connection->pool, WEIR_PROXY_HEADER_MAX)) == NULL) {
            weir_connection_close(connection);
            return false;
        }
        connection->owner = reading;
        memcpy(reading->data, bytes.data, bytes.len);
    }
    reading->len = bytes.len;
    return true;
}

/* False: the connection is gone, or the hook's. */
static bool proxy_take(weir_connection *connection, weir_str bytes)
{
    weir_listener *listener = connection->listener;
    weir_proxy_header header;

    switch (weir_proxy_protocol_parse(bytes, &header)) {
    case WEIR_WAIT:
        return proxy_wait(connection, bytes);

    case WEIR_FAIL:
        proxy_log_broken(connection, bytes);
        proxy_give_up(connection, true);
        return false;

    case WEIR_OK:
        break;
    }

    if (!proxy_keep(connection, &header, weir_str_from(bytes, header.len))) {
        weir_connection_close(connection);
        return false;
    }
    weir_connection_clear_timeout(connection);
    connection->owner = NULL;
    listener->accepted(connection, listener->subject);
    return false;
}

static void proxy_readable(weir_connection *connection)
{
    char stack[WEIR_PROXY_HEADER_MAX];

    for (;;) {
        proxy_reading *reading = connection->owner;
        char *data = reading == NULL ? stack : reading->data;
        size_t before = reading == NULL ? 0 : reading->len;
        size_t len;

        switch (weir_socket_recv(connection, data + before, WEIR_PROXY_HEADER_MAX - before, &len)) {
        case WEIR_WAIT:
            return;

        case WEIR_FAIL:
            proxy_give_up(connection, false);
            return;

        case WEIR_OK:
            break;
        }

        if (len == 0) {
            weir_log_line(&connection->log, WEIR_LOG_INFO, 0,
                          "client closed connection while reading PROXY protocol");
            proxy_give_up(connection, true);
            return;
        }
        if (!proxy_take(connection, weir_str_of(data, before + len))) {
            return;
        }
    }
}

static void proxy_timed_out(weir_connection *connection)
{
    weir_log_line(&connection->log, WEIR_LOG_INFO, ETIMEDOUT,
                  "client timed out while reading PROXY protocol");
    proxy_give_up(connection, false);
}

void weir_proxy_protocol_begin(weir_connection *connection)
{
    weir_connection_enter(connection, &proxy_header);
    weir_connection_set_timeout(connection, connection->listener->proxy_protocol_timeout_ms);
}
