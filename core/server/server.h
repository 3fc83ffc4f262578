#ifndef WEIR_SERVER_SERVER_H
#define WEIR_SERVER_SERVER_H

#include "core/net/connection.h"
#include "core/net/listener.h"
#include "core/process/cycle.h"
#include "core/script/script.h"
#include "core/tls/tls.h"

/*
 * Virtual servers: `listen` and `server_name` become listening sockets, and look-ups from the address and the name that
 * a client asks for to a server.  A family (http, stream) has servers of its own, which begin with a weir_server.
 */
typedef struct weir_servers weir_servers;

/* ---- what was read */

/* A listen directive, one for each address that its name has. */
typedef struct {
    weir_addr addr;
    weir_listener_options options;
    bool options_are_given; /* of the socket: may be given once an address */
    bool is_default, ssl, proxy_protocol;
    unsigned flags; /* the family's own */
} weir_listen;

typedef enum {
    WEIR_SERVER_NAME_EXACT,
    WEIR_SERVER_NAME_LEADING_WILDCARD,  /* *.example.org, .example.org */
    WEIR_SERVER_NAME_TRAILING_WILDCARD, /* www.example.* */
    WEIR_SERVER_NAME_REGEX,
} weir_server_name_kind;

/* One name of a server. */
typedef struct {
    weir_server_name_kind kind;
    weir_str text;
    const weir_regex *regex;
} weir_server_name;

typedef struct {
    const weir_statement *statement;
    weir_array names;     /* weir_server_name */
    weir_array listens;   /* weir_listen */
    weir_tls_server *tls; /* NULL: no listen of it has ssl */
} weir_server;

/* ---- what became of it */

/* One address and the servers that listen on it. */
typedef struct {
    weir_addr addr;
    weir_servers *of;
    weir_listener_options options;
    bool options_are_given;
    bool has_explicit_default;
    bool ssl, proxy_protocol;
    unsigned flags; /* the family's own, of any listen */
    weir_server *default_server;
    weir_array servers;                   /* weir_server * */
    weir_map *exact, *leading, *trailing; /* name to server */
    weir_array regexes;
    bool has_one_server; /* and no regex: names decide nothing */
    weir_tls_acceptor acceptor;
} weir_server_address;

/*
 * One listening socket, its listener's subject, and the addresses it stands for: a wildcard's takes those of the port
 * along.
 */
typedef struct {
    weir_listener *listener;
    weir_array addresses; /* weir_server_address *, the wildcard last */
} weir_server_port;

/* What families differ in. */
typedef struct {
    const char *name;               /* of its variables' space: "http" */
    uint16_t default_port;          /* 0: `listen` must say one */
    weir_listener_options listener; /* of a `listen` without any */
    /*
     * A parameter of `listen` that only this family has: sets listen->flags, or refuses, false. `*is_known` comes as
     * true.
     */
    bool (*parameter)(weir_conf *conf, const weir_statement *statement, size_t arg,
                      weir_listen *listen, bool *is_known);
    const weir_tls_server_conf *(*tls_settings)(const weir_server *server);
    /* The rest of an acceptor whose default server is set; its subject is the address. */
    void (*settle_acceptor)(const weir_server_address *address, weir_tls_acceptor *acceptor);
    /* Hook, log and times of a port's listener, whose sockets' options are set.  `address` is the port's last. */
    void (*settle_listener)(const weir_server_address *address, weir_listener *listener);
} weir_server_family;

/* All servers of a family in one configuration; lies inside of what the family keeps. */
struct weir_servers {
    const weir_server_family *family;
    weir_cycle *cycle;
    weir_array servers;   /* weir_server * */
    weir_array addresses; /* weir_server_address * */
    weir_array ports;     /* weir_server_port * */
};

/* ---- reading */

void weir_servers_begin(weir_conf *conf, weir_servers *servers, const weir_server_family *family);
/* At the beginning of a `server` block. */
bool weir_servers_add(weir_conf *conf, weir_servers *servers, weir_server *server,
                      const weir_statement *statement) WEIR_MUST_USE;
/* listen ADDRESS[:PORT] | PORT | unix:PATH [PARAMETERS] */
bool weir_server_listen(weir_conf *conf, const weir_server_family *family, weir_server *server,
                        const weir_statement *statement) WEIR_MUST_USE;
/* server_name NAME ... */
bool weir_server_add_names(weir_conf *conf, const weir_server_family *family, weir_server *server,
                           const weir_statement *statement) WEIR_MUST_USE;
/* Once all servers are read: addresses, listeners, look-ups, and TLS of the addresses that have ssl. */
bool weir_servers_settle(weir_conf *conf, weir_servers *servers) WEIR_MUST_USE;

/* The first of its names, $server_name; empty: none. */
weir_str weir_server_first_name(const weir_server *server);

/* ---- look-ups */

/* The address of a port that a connection was made to: the wildcard takes what no other has. */
const weir_server_address *weir_server_port_address(const weir_server_port *port,
                                                    weir_connection *connection);
/* The server for a name on an address; NULL when none has it. `script` gets a regex's captures; may be NULL. */
weir_server *weir_server_find(const weir_server_address *address, weir_str host,
                              weir_script *script);

#endif
