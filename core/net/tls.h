#ifndef WEIR_NET_TLS_H
#define WEIR_NET_TLS_H

#include <openssl/base.h>

#include "core/conf/conf.h"
#include "core/net/connection.h"

/*
 * TLS by BoringSSL over memory buffers of ours.  The same settings table serves http and stream servers ("ssl_")
 * and connections to origins ("proxy_ssl_").
 */

/* ---- settings: what the directives say */

typedef struct weir_tls_server_conf weir_tls_server_conf; /* members in core/net/tls_conf.h */
typedef struct weir_tls_client_conf weir_tls_client_conf;

/* ---- one virtual server's TLS, compiled; immutable, shared by all workers */

typedef struct weir_tls_server weir_tls_server;

/*
 * From the settings of a server's level; equal settings and certificates share their contexts. NULL: refused.
 * `is_default` of an ssl listener without certificates is refused unless ssl_reject_handshake; a server that is not must
 * not have any.
 */
weir_tls_server *weir_tls_server_new(weir_conf *conf, const weir_tls_server_conf *settings,
                                     const char *family);
/* Two servers with equal digests verify clients alike: sessions and 421 (RFC 9110, 15.5.20) go by it. */
bool weir_tls_server_verifies_like(const weir_tls_server *a, const weir_tls_server *b);
bool weir_tls_server_verifies(const weir_tls_server *server);

/*
 * How a connection finds its server: `find` is given the host name of the ClientHello (lower case, may
 * be empty) and returns the server to use, or NULL for the default one.
 */
typedef struct {
    weir_tls_server *default_server;
    weir_tls_server *(*find)(weir_connection *connection, weir_str name, void *subject);
    void *subject;
    weir_str alpn; /* protocols to offer, in wire form, best first; empty: none */
    uint64_t handshake_timeout_ms;
} weir_tls_acceptor;

typedef enum {
    WEIR_TLS_ESTABLISHED,
    WEIR_TLS_NOT_TLS, /* the first byte is no handshake; nothing was consumed: answer in plain */
    WEIR_TLS_REFUSED, /* logged; close */
} weir_tls_outcome;

/*
 * Does the handshake, then calls `done` once, with the connection's transport changed to TLS.  Takes over the
 * connection's state until then.
 */
void weir_tls_accept(weir_connection *connection, const weir_tls_acceptor *acceptor,
                     void (*done)(weir_connection *connection, weir_tls_outcome outcome));

/* ---- toward origins */

typedef struct weir_tls_client weir_tls_client;
weir_tls_client *weir_tls_client_new(weir_conf *conf, const weir_tls_client_conf *settings,
                                     const char *family);
typedef struct {
    weir_str server_name; /* SNI; empty: none */
    weir_str verify_name; /* the name the certificate must be for; empty: none is checked */
    weir_str session_key; /* sessions are kept and reused by this; empty: no reuse */
    weir_str alpn;        /* wire form */
    uint64_t handshake_timeout_ms;
} weir_tls_connect_options;
void weir_tls_connect(weir_connection *connection, weir_tls_client *client,
                      const weir_tls_connect_options *options,
                      void (*done)(weir_connection *connection, weir_tls_outcome outcome));

/* ---- what a connection has agreed on; for variables. All borrow from the connection. */

const char *weir_tls_version(const weir_connection *connection); /* "TLSv1.3" */
const char *weir_tls_cipher(const weir_connection *connection);
weir_str weir_tls_server_name(const weir_connection *connection); /* SNI, lower case */
weir_str weir_tls_alpn(const weir_connection *connection);
bool weir_tls_is_resumed(const weir_connection *connection);
bool weir_tls_is_early(const weir_connection *connection); /* still 0-RTT, handshake not complete */
/* The virtual server that the handshake chose. */
const weir_tls_server *weir_tls_server_of(const weir_connection *connection);

/* What became of the client's certificate: "NONE", "SUCCESS", "FAILED:reason" ($ssl_client_verify). */
typedef enum {
    WEIR_TLS_CLIENT_NONE,
    WEIR_TLS_CLIENT_SUCCESS,
    WEIR_TLS_CLIENT_FAILED,
} weir_tls_client_state;
weir_tls_client_state weir_tls_client_verify(const weir_connection *connection,
                                             const char **reason);
/* "on" demands one (496 without), 495 when it failed: whether the http engine must refuse. */
typedef enum {
    WEIR_TLS_CLIENT_ALLOWED,
    WEIR_TLS_CLIENT_MISSING, /* 496 */
    WEIR_TLS_CLIENT_BAD,     /* 495 */
} weir_tls_client_verdict;
weir_tls_client_verdict weir_tls_client_judge(const weir_connection *connection,
                                              const weir_tls_server *server);

/* Values of $ssl_NAME by name without "ssl_" ("client_s_dn", "curves", "session_id" ...). False: memory. */
bool weir_tls_value(weir_connection *connection, weir_str name, weir_pool *pool, weir_str *text,
                    bool *found) WEIR_MUST_USE;

#endif
