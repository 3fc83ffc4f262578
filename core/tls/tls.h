#ifndef WEIR_TLS_TLS_H
#define WEIR_TLS_TLS_H

#include <openssl/base.h>

#include "core/conf/conf.h"
#include "core/net/connection.h"
#include "core/script/script.h"
#include "core/tls/settings.h"

/*
 * TLS by BoringSSL over memory buffers of ours.  The same settings serve http and stream servers ("ssl_"), see
 * settings.h, and connections to origins ("proxy_ssl_").
 */

/* ---- one virtual server's TLS, compiled: shared by all workers */

typedef struct weir_tls_server weir_tls_server;

/*
 * From the settings of a server's level; equal settings and certificates share their contexts.  `family` is
 * the one whose variables may stand in the paths of certificates.  NULL: refused.
 *
 * Without a certificate it is still a server, one that clients may ask for by name: they are then shown the default
 * server's certificate.  But it cannot be a default server; see below.
 */
weir_tls_server *weir_tls_server_new(weir_conf *conf, const weir_tls_server_conf *settings,
                                     const char *family);
/* Whether it may be the default of an ssl listener: it has a certificate, or rejects all handshakes. */
bool weir_tls_server_can_be_default(const weir_tls_server *server);
/* Two servers with equal digests verify clients alike: sessions and 421 (RFC 9110, 15.5.20) go by it. */
bool weir_tls_server_verifies_like(const weir_tls_server *a, const weir_tls_server *b);

/*
 * How a connection finds its server, and what is offered to it; borrowed for as long as connections that
 * were accepted with it live.
 */
typedef struct {
    weir_tls_server *default_server;
    /*
     * Given the host name of the ClientHello (lower case, without a dot at its end, may be empty); returns the server
     * to use, or NULL for the default one.  May itself be NULL: always the default.
     */
    weir_tls_server *(*find)(weir_connection *connection, weir_str name, void *subject);
    /*
     * For paths of certificates with variables: the script to evaluate them with, which lives as long
     * as `pool`.  NULL: refuse the handshake, logged.  May itself be NULL if no path has variables.
     */
    weir_script *(*script)(weir_connection *connection, weir_pool *pool, void *subject);
    void *subject;
    weir_str alpn; /* protocols to offer, in wire form, best first; empty: none */
    /* The same where it depends on the server that was found; NULL: `alpn` says it. */
    weir_str (*alpn_of)(weir_connection *connection, void *subject);
    uint64_t handshake_timeout_ms;
    /* Something uses $ssl_ciphers, $ssl_curves or $ssl_sigalgs: the ClientHello's lists are kept. */
    bool keeps_client_lists;
} weir_tls_acceptor;

typedef enum {
    WEIR_TLS_ESTABLISHED,
    WEIR_TLS_NOT_TLS, /* the first byte is no handshake; nothing was consumed: answer in plain */
    WEIR_TLS_REFUSED, /* logged; close */
} weir_tls_outcome;

/*
 * Does the handshake, then calls `done` once (perhaps before this returns), with the connection's transport
 * changed to TLS.  Takes over the connection's state and timer until then.  Early data (0-RTT), where a server allows
 * it, is given out before the handshake is complete: see weir_tls_is_early().
 */
void weir_tls_accept(weir_connection *connection, const weir_tls_acceptor *acceptor,
                     void (*done)(weir_connection *connection, weir_tls_outcome outcome));

/* ---- toward origins */

typedef struct weir_tls_client weir_tls_client;
/* `prefix` is that of the directives, "proxy_ssl_", say: static.  NULL: refused. */
weir_tls_client *weir_tls_client_new(weir_conf *conf, const weir_tls_client_conf *settings,
                                     const char *prefix, const char *family);
/* Whether the certificate that is shown hangs on the request: what was connected for one is for no other. */
bool weir_tls_client_varies(const weir_tls_client *client);
/* All strings are borrowed until it is done. */
typedef struct {
    /*
     * The name or IP address the certificate must be for, where the settings verify, and that is
     * sent by SNI, where they say so; an address is not.
     */
    weir_str name;
    /* The peer: sessions are kept and reused by this and the name, where the settings say so; empty: no reuse. */
    weir_str session_key;
    weir_str alpn;       /* wire form */
    weir_script *script; /* for certificate paths with variables; else NULL */
} weir_tls_connect_options;
/* As weir_tls_accept(), for a connection of ours, whose timeout goes on; the outcome is never NOT_TLS. */
void weir_tls_connect(weir_connection *connection, weir_tls_client *client,
                      const weir_tls_connect_options *options,
                      void (*done)(weir_connection *connection, weir_tls_outcome outcome));

/* Why a handshake with an origin came to nothing. */
typedef enum {
    WEIR_TLS_REFUSAL_OTHER,       /* the connection broke, it was no TLS ... */
    WEIR_TLS_REFUSAL_TIMEOUT,     /* that of the connection */
    WEIR_TLS_REFUSAL_PROTOCOL,    /* no version, or protocol above it, that both speak */
    WEIR_TLS_REFUSAL_OURS,        /* the origin did not take our certificate, or wants one */
    WEIR_TLS_REFUSAL_EXPIRED,     /* its certificate is, or is not valid yet */
    WEIR_TLS_REFUSAL_REVOKED,     /* its certificate is */
    WEIR_TLS_REFUSAL_NAME,        /* its certificate is for another name */
    WEIR_TLS_REFUSAL_CERTIFICATE, /* something else is wrong with it */
    WEIR_TLS_REFUSALS
} weir_tls_refusal;

/* In `done`, of one that was refused. */
weir_tls_refusal weir_tls_connect_refusal(const weir_connection *connection);

/* ---- what a connection has agreed on; for variables. All borrow from the connection. */

weir_str weir_tls_alpn(const weir_connection *connection);
bool weir_tls_is_resumed(const weir_connection *connection);
/* Whether close_notify has gone out, and all before it: closing has nothing to wait for. */
bool weir_tls_is_shut(const weir_connection *connection);
bool weir_tls_is_early(const weir_connection *connection); /* still 0-RTT, handshake not complete */
/* The data ended without close_notify: what came may have been cut short by anyone (RFC 8446, 6.1). */
bool weir_tls_is_truncated(const weir_connection *connection);
/* The virtual server that the handshake chose; NULL for plain connections and those to origins. */
const weir_tls_server *weir_tls_server_of(const weir_connection *connection);

/* What became of the client's certificate: "NONE", "SUCCESS", "FAILED:reason" ($ssl_client_verify). */
typedef enum {
    WEIR_TLS_CLIENT_NONE,
    WEIR_TLS_CLIENT_SUCCESS,
    WEIR_TLS_CLIENT_FAILED,
} weir_tls_client_state;
weir_tls_client_state weir_tls_client_verify(const weir_connection *connection,
                                             const char **reason);
/*
 * "on" demands one (496 without), 495 when it failed: whether the http engine must refuse; logged
 * to `log` at info, with `doing` (" while ...", or "") behind.
 */
typedef enum {
    WEIR_TLS_CLIENT_ALLOWED,
    WEIR_TLS_CLIENT_MISSING, /* 496 */
    WEIR_TLS_CLIENT_BAD,     /* 495 */
} weir_tls_client_verdict;
weir_tls_client_verdict weir_tls_client_judge(const weir_connection *connection,
                                              const weir_tls_server *server, const char *doing,
                                              const weir_log *log);

/*
 * The value of $ssl_NAME, by its name without "ssl_": "client_s_dn", "curves", "session_id" ...  `*found`
 * says whether there is one here.  False: memory.
 */
bool weir_tls_value(weir_connection *connection, weir_str name, weir_pool *pool, weir_str *text,
                    bool *found) WEIR_MUST_USE;

#endif
