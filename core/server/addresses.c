/* The addresses that servers listen on, and the ports that stand for them, once all servers are read. */

#include "core/server/server_internal.h"

void weir_servers_begin(weir_conf *conf, weir_servers *servers, const weir_server_family *family)
{
    weir_pool *pool = weir_conf_pool(conf);

    servers->family = family;
    servers->cycle = weir_conf_cycle(conf);
    weir_array_init(&servers->servers, pool, sizeof(weir_server *), 8);
    weir_array_init(&servers->addresses, pool, sizeof(weir_server_address *), 8);
    weir_array_init(&servers->ports, pool, sizeof(weir_server_port *), 8);
}

bool weir_servers_add(weir_conf *conf, weir_servers *servers, weir_server *server,
                      const weir_statement *statement)
{
    weir_server **place = weir_array_push(&servers->servers);

    if (place == NULL) {
        return weir_conf_refuse(conf, "no memory for \"server\"");
    }
    *place = server;
    server->statement = statement;
    weir_array_init(&server->names, weir_conf_pool(conf), sizeof(weir_server_name), 1);
    weir_array_init(&server->listens, weir_conf_pool(conf), sizeof(weir_listen), 1);
    return true;
}

/* ---- addresses */

static weir_server_address *address_get(weir_conf *conf, weir_servers *servers,
                                        const weir_addr *addr)
{
    weir_pool *pool = weir_conf_pool(conf);

    for (WEIR_ARRAY_EACH(&servers->addresses, weir_server_address *, known)) {
        if (weir_addr_eq(&(*known)->addr, addr)) {
            return *known;
        }
    }

    weir_server_address **place = weir_array_push(&servers->addresses);
    weir_server_address *address = WEIR_NEW(pool, weir_server_address);

    if (place == NULL || address == NULL) {
        return NULL;
    }
    *place = address;
    address->addr = *addr;
    address->of = servers;
    address->exact = weir_map_new(pool, true, 16);
    address->leading = weir_map_new(pool, true, 0);
    address->trailing = weir_map_new(pool, true, 0);
    weir_array_init(&address->regexes, pool, sizeof(weir_server_name_regex), 4);
    weir_array_init(&address->servers, pool, sizeof(weir_server *), 4);
    return address->exact != NULL && address->leading != NULL && address->trailing != NULL ? address
                                                                                           : NULL;
}

static bool address_add(weir_conf *conf, weir_server_address *address, weir_server *server,
                        const weir_listen *listen)
{
    char text[WEIR_ADDR_TEXT_MAX];
    weir_server **place = weir_array_push(&address->servers);

    if (place == NULL) {
        return weir_conf_refuse(conf, "no memory for \"listen\"");
    }
    *place = server;

    if (listen->is_default && address->has_explicit_default) {
        return weir_conf_refuse_arg(conf, server->statement, 0,
                                    "a duplicate default server for %.*s",
                                    WEIR_STR_ARG(weir_addr_text(&address->addr, true, text)));
    }
    if (listen->is_default || address->default_server == NULL) {
        address->default_server = server;
        address->has_explicit_default = listen->is_default;
    }

    if (listen->options_are_given && address->options_are_given) {
        return weir_conf_refuse_arg(conf, server->statement, 0, "duplicate listen options for %.*s",
                                    WEIR_STR_ARG(weir_addr_text(&address->addr, true, text)));
    }
    if (listen->options_are_given || !address->options_are_given) {
        address->options = listen->options;
        address->options_are_given = listen->options_are_given;
    }
    address->ssl |= listen->ssl;
    address->proxy_protocol |= listen->proxy_protocol;
    address->flags |= listen->flags;
    return weir_server_names_put(conf, address, server);
}

/* ---- ports */

/* Beside a wildcard's socket, the kernel gives an address one of its own only if both have reuseport. */
static bool may_stand_beside(const weir_server_address *wildcard,
                             const weir_server_address *address)
{
    return address->options_are_given && address->options.reuseport && wildcard->options.reuseport;
}

/* The port whose wildcard socket takes this address's connections, or that of the address itself. */
static bool port_takes(const weir_server_address *wildcard, const weir_server_address *address)
{
    return wildcard != address && weir_addr_is_wildcard(&wildcard->addr)
           && !may_stand_beside(wildcard, address)
           && wildcard->addr.sa.sa_family == address->addr.sa.sa_family
           && weir_addr_port(&wildcard->addr) == weir_addr_port(&address->addr);
}

/* Whether the address that a connection was made to has `proxy_protocol`. */
static bool begins_with_proxy(weir_connection *connection, const void *subject)
{
    return weir_server_port_address(subject, connection)->proxy_protocol;
}

static bool port_make(weir_conf *conf, weir_servers *servers, weir_server_address *address)
{
    weir_pool *pool = weir_conf_pool(conf);
    weir_server_port *port = WEIR_NEW(pool, weir_server_port);
    weir_server_port **place = weir_array_push(&servers->ports);
    weir_server_address **last;
    bool reads_proxy = address->proxy_protocol;
    bool is_new;

    if (port == NULL || place == NULL) {
        return weir_conf_refuse(conf, "no memory for \"listen\"");
    }
    *place = port;
    weir_array_init(&port->addresses, pool, sizeof(weir_server_address *), 1);

    for (WEIR_ARRAY_EACH(&servers->addresses, weir_server_address *, other)) {
        if (port_takes(address, *other)) {
            last = weir_array_push(&port->addresses);
            if (last == NULL) {
                return weir_conf_refuse(conf, "no memory for \"listen\"");
            }
            *last = *other;
            reads_proxy |= (*other)->proxy_protocol;
        }
    }
    last = weir_array_push(&port->addresses);
    port->listener = weir_listeners_get(servers->cycle->listeners, &address->addr, &is_new);
    if (last == NULL || port->listener == NULL) {
        return weir_conf_refuse(conf, "no memory for \"listen\"");
    }
    *last = address;
    if (!is_new) {
        char text[WEIR_ADDR_TEXT_MAX];

        return weir_conf_refuse(conf, "duplicate \"%.*s\" address and port pair",
                                WEIR_STR_ARG(weir_addr_text(&address->addr, true, text)));
    }

    port->listener->options = address->options;
    port->listener->proxy_protocol = reads_proxy;
    port->listener->begins_with_proxy = begins_with_proxy;
    port->listener->subject = port;
    port->listener->log = servers->cycle->log;
    servers->family->settle_listener(address, port->listener);
    return true;
}

static bool has_wildcard(const weir_servers *servers, const weir_server_address *address)
{
    for (WEIR_ARRAY_EACH(&servers->addresses, weir_server_address *, other)) {
        if (port_takes(*other, address)) {
            return true;
        }
    }
    return false;
}

/* nginx makes such an address a socket of its own, and does not start where the kernel forbids it. */
static void warn_of_lost_options(weir_conf *conf, const weir_server_address *address)
{
    char text[WEIR_ADDR_TEXT_MAX];

    weir_conf_point_at(conf, address->default_server->statement);
    weir_conf_warn(conf,
                   "the socket options of \"listen\" %.*s have no effect: the socket of all "
                   "addresses takes its connections (\"reuseport\" for both keeps them apart)",
                   WEIR_STR_ARG(weir_addr_text(&address->addr, true, text)));
}

/* ---- all of it */

/* TLS for every server of an address that has ssl. */
static bool address_secure(weir_conf *conf, weir_server_address *address)
{
    const weir_server_family *family = address->of->family;

    for (WEIR_ARRAY_EACH(&address->servers, weir_server *, place)) {
        weir_server *server = *place;

        if (server->tls == NULL) {
            weir_conf_point_at(conf, server->statement);
            server->tls = weir_tls_server_new(conf, family->tls_settings(server), family->name);
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

    address->acceptor.default_server = address->default_server->tls;
    address->acceptor.subject = address;
    family->settle_acceptor(address, &address->acceptor);
    return true;
}

bool weir_servers_settle(weir_conf *conf, weir_servers *servers)
{
    for (WEIR_ARRAY_EACH(&servers->servers, weir_server *, server)) {
        for (WEIR_ARRAY_EACH(&(*server)->listens, weir_listen, listen)) {
            weir_server_address *address = address_get(conf, servers, &listen->addr);

            if (address == NULL) {
                return weir_conf_refuse(conf, "no memory for \"listen\"");
            }
            if (!address_add(conf, address, *server, listen)) {
                return false;
            }
        }
    }

    for (WEIR_ARRAY_EACH(&servers->addresses, weir_server_address *, address)) {
        if (has_wildcard(servers, *address)) {
            if ((*address)->options_are_given) {
                warn_of_lost_options(conf, *address);
            }
        } else if (!port_make(conf, servers, *address)) {
            return false;
        }
        (*address)->has_one_server =
            (*address)->servers.count == 1 && (*address)->regexes.count == 0;
        if ((*address)->ssl && !address_secure(conf, *address)) {
            return false;
        }
    }
    return true;
}

const weir_server_address *weir_server_port_address(const weir_server_port *port,
                                                    weir_connection *connection)
{
    weir_server_address *const *addresses = port->addresses.items;
    size_t last = port->addresses.count - 1;

    if (last != 0) {
        const weir_addr *reached = weir_connection_local(connection);

        for (size_t i = 0; i < last; i++) {
            if (weir_addr_eq(&addresses[i]->addr, reached)) {
                return addresses[i];
            }
        }
    }
    return addresses[last];
}
