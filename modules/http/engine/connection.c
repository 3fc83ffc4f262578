#include "modules/http/engine/engine_internal.h"

#include "core/process/core_conf.h"
#include "core/process/cycle.h"
#include "core/tls/tls.h"
#include "modules/http/engine/ssl.h"

/* A client's connection from accept to its wire. */

#define ALPN_H1 "\x08http/1.1"
#define ALPN_H2 "\x02h2"

static void connection_describe(weir_builder *line, const void *subject)
{
    const weir_http_connection *client = subject;
    char text[WEIR_ADDR_TEXT_MAX];

    if (client->address->ssl && !client->is_tls && !client->plain_on_tls_port) {
        weir_builder_add(line, WEIR_STR(" while SSL handshaking"));
    }
    weir_builder_add(line, WEIR_STR(", client: "));
    weir_builder_add(line, weir_addr_text(&client->connection->peer, false, text));
    weir_builder_add(line, WEIR_STR(", server: "));
    weir_builder_add(line, weir_addr_text(&client->address->addr, true, text));
}

static bool speaks_h2(const weir_http_connection *client)
{
    return (client->address->flags & WEIR_HTTP_LISTEN_HTTP2) != 0
           || weir_http_h2_is_on(client->server);
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
    const weir_server_address *address = subject;
    weir_http_connection *client = connection->owner;
    weir_http_server *server = weir_http_server_of(weir_server_find(address, name, NULL));

    if (server == NULL) {
        return NULL;
    }
    client->server = server;
    return server->base.tls;
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

/* A stream server has ended the connection's TLS before it passed it on. */
static void connection_passed_on(weir_http_connection *client)
{
    if (client->address->ssl) {
        weir_log_line(&client->connection->log, WEIR_LOG_ERR, 0,
                      "a connection whose TLS was ended already was passed to an \"ssl\" listener");
        weir_connection_close(client->connection);
        return;
    }
    client->is_tls = true;
    shaken_start(client);
}

static void count_closed(void *subject)
{
    weir_http_counts_row *counts = subject;

    weir_http_count_down(&counts->active);
}

static bool count_accepted(weir_http_connection *client, weir_pool *pool)
{
    client->counts = weir_http_counts_own(weir_http_of_address(client->address)->counts);
    if (weir_pool_on_free(pool, count_closed, client->counts) == NULL) {
        return false;
    }
    weir_http_count_up(&client->counts->active);
    weir_http_count_up(&client->counts->accepted);
    return true;
}

void weir_http_accepted(weir_connection *connection, void *subject)
{
    const weir_server_port *port = subject;
    const weir_server_address *address = weir_server_port_address(port, connection);
    const weir_http_cycle *http = weir_http_of_address(address);
    weir_http_connection *client = WEIR_NEW(connection->pool, weir_http_connection);

    if (client != NULL) {
        client->address = address;
    }
    if (client == NULL || !count_accepted(client, connection->pool)) {
        weir_connection_close(connection);
        return;
    }
    client->connection = connection;
    client->server = weir_http_server_of(address->default_server);
    connection->owner = client;
    connection->log.describe = connection_describe;
    connection->log.subject = client;
    connection->log.takes_all =
        http->debugs_some && weir_core_debugs(http->cycle->core, &connection->peer);

    if (connection->tls != NULL) {
        connection_passed_on(client);
    } else if (address->ssl) {
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

void weir_http_settle_acceptor(const weir_server_address *address, weir_tls_acceptor *acceptor)
{
    acceptor->find = tls_find;
    acceptor->script = tls_script;
    acceptor->alpn_of = tls_protocols;
    acceptor->handshake_timeout_ms =
        handshake_timeout_ms(weir_http_server_of(address->default_server));
    acceptor->keeps_client_lists = true;
}
