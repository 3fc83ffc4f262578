#include "modules/http/engine/engine_internal.h"

#include "core/process/core_conf.h"
#include "core/process/cycle.h"
#include "core/tls/tls.h"
#include "modules/http/engine/ssl.h"

/* A client's connection from accept to its wire. */

#define ALPN_H1 "\x08http/1.1"
#define ALPN_H2 "\x02h2"

/* The address of a port that a connection was made to: the wildcard is last and takes the rest. */
static const weir_http_address *port_address(const weir_http_port *port,
                                             weir_connection *connection)
{
    weir_http_address *const *addresses = port->addresses.items;
    size_t last = port->addresses.count - 1;

    if (last != 0) {
        const weir_addr *local = weir_connection_local(connection);

        for (size_t i = 0; i < last; i++) {
            if (weir_addr_eq(&addresses[i]->addr, local)) {
                return addresses[i];
            }
        }
    }
    return addresses[last];
}

bool weir_http_begins_with_proxy(weir_connection *connection, const void *subject)
{
    return port_address(subject, connection)->proxy_protocol;
}

static void connection_describe(weir_builder *line, const void *subject)
{
    const weir_http_connection *client = subject;
    char text[WEIR_ADDR_TEXT_MAX];

    weir_builder_add(line, WEIR_STR(", client: "));
    weir_builder_add(line, weir_addr_text(&client->connection->peer, false, text));
    weir_builder_add(line, WEIR_STR(", server: "));
    weir_builder_add(line, weir_addr_text(&client->address->addr, true, text));
}

static bool speaks_h2(const weir_http_connection *client)
{
    return client->address->http2 || weir_http_h2_is_on(client->server);
}

/* What the client has agreed to (RFC 7301); it may have asked for a server that speaks HTTP/1 only. */
static void shaken_start(weir_http_connection *client)
{
    if (weir_str_eq(weir_tls_alpn(client->connection), WEIR_STR("h2"))) {
        weir_http_h2_start(client);
    } else {
        weir_http_h1_start(client);
    }
}

static void shaken(weir_connection *connection, weir_tls_outcome outcome)
{
    weir_http_connection *client = connection->owner;

    switch (outcome) {
    case WEIR_TLS_ESTABLISHED:
        client->is_tls = true;
        shaken_start(client);
        return;
    case WEIR_TLS_NOT_TLS:
        client->plain_on_tls_port = true;
        weir_http_h1_start(client);
        return;
    case WEIR_TLS_REFUSED:
        weir_connection_close(connection);
        return;
    }
}

static weir_str tls_protocols(weir_connection *connection, void *subject)
{
    (void) subject;
    return speaks_h2(connection->owner) ? WEIR_STR(ALPN_H2 ALPN_H1) : WEIR_STR(ALPN_H1);
}

/* SNI names the server; exchanges begin with it, until Host names another. */
static weir_tls_server *tls_find(weir_connection *connection, weir_str name, void *subject)
{
    const weir_http_address *address = subject;
    weir_http_connection *client = connection->owner;
    weir_http_server *server = weir_http_server_find(address, name, NULL);

    if (server == NULL) {
        return NULL;
    }
    client->server = server;
    return server->tls;
}

/* Paths of certificates may hold variables: those that a connection has, asked of an exchange without a request. */
static weir_script *tls_script(weir_connection *connection, weir_pool *pool, void *subject)
{
    weir_http_exchange *ex = weir_http_exchange_new(connection->owner, &weir_http_h1, NULL);

    (void) subject;
    if (ex == NULL) {
        return NULL;
    }
    if (weir_pool_on_free(pool, weir_http_exchange_drop, ex) == NULL) {
        weir_http_exchange_drop(ex);
        return NULL;
    }
    return &ex->script;
}

void weir_http_accepted(weir_connection *connection, void *subject)
{
    const weir_http_port *port = subject;
    const weir_http_address *address = port_address(port, connection);
    weir_http_connection *client = WEIR_NEW(connection->pool, weir_http_connection);

    if (client == NULL) {
        weir_connection_close(connection);
        return;
    }
    client->connection = connection;
    client->address = address;
    client->server = address->default_server;
    connection->owner = client;
    connection->log.describe = connection_describe;
    connection->log.subject = client;
    connection->log.takes_all = address->http->debugs_some
                                && weir_core_debugs(address->http->cycle->core, &connection->peer);

    if (address->ssl) {
        weir_tls_accept(connection, &address->acceptor, shaken);
    } else if (speaks_h2(client)) {
        weir_http_h2_look(client);
    } else {
        weir_http_h1_start(client);
    }
}

/* The client's time for a handshake is part of that for a head: the shorter of both limits. */
static uint64_t handshake_timeout_ms(const weir_http_server *server)
{
    const weir_http_ssl_conf *ssl = weir_level_settings(server->level, &weir_http_ssl.base);
    uint64_t head_ms = server->core->client_header_timeout_ms;

    return ssl->tls.handshake_timeout_ms < head_ms ? ssl->tls.handshake_timeout_ms : head_ms;
}

bool weir_http_address_tls(weir_conf *conf, weir_http_address *address)
{
    for (WEIR_ARRAY_EACH(&address->servers, weir_http_server *, place)) {
        weir_http_server *server = *place;

        if (server->tls == NULL) {
            weir_conf_point_at(conf, server->statement);
            server->tls = weir_tls_server_new(
                conf, weir_level_settings(server->level, &weir_http_ssl.base), "http");
            if (server->tls == NULL) {
                return false;
            }
        }
    }

    if (!weir_tls_server_can_be_default(address->default_server->tls)) {
        char text[WEIR_ADDR_TEXT_MAX];

        return weir_conf_refuse_arg(
            conf, address->default_server->statement, 0,
            "no \"ssl_certificate\" is defined for the \"listen ... ssl\" of %.*s",
            WEIR_STR_ARG(weir_addr_text(&address->addr, true, text)));
    }

    address->acceptor = (weir_tls_acceptor){
        .default_server = address->default_server->tls,
        .find = tls_find,
        .script = tls_script,
        .subject = address,
        .alpn_of = tls_protocols,
        .handshake_timeout_ms = handshake_timeout_ms(address->default_server),
        .keeps_client_lists = true,
    };
    return true;
}
