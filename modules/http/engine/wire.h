#ifndef WEIR_HTTP_ENGINE_WIRE_H
#define WEIR_HTTP_ENGINE_WIRE_H

#include "core/server/server.h"
#include "modules/http/engine/exchange.h"

/*
 * What carries exchanges: HTTP/1 or HTTP/2 on a connection, or a parent exchange.  Nothing above
 * asks which; it calls these.
 */
struct weir_http_wire {
    const char *name;

    /*
     * Takes bytes of the request's body off the wire, without framing; sets body_received and
     * body_ended. OK, WAIT (weir_http_body_readable() will be called) or FAIL (logged; malformed
     * is answered by the engine with 400).
     */
    weir_result (*read_body)(weir_http_exchange *ex, weir_chain *out, uint64_t limit);

    /* An interim response, at once (RFC 9110, 15.2). */
    bool (*send_interim)(weir_http_exchange *ex, unsigned status, const weir_http_fields *fields);

    /*
     * The response's head is final: makes its bytes and begins to send; then pulls the body with
     * weir_http_pull() as the client takes it, and calls weir_http_exchange_end() after the last byte.
     */
    void (*respond)(weir_http_exchange *ex);

    /* weir_http_pull() has something again, after it said WAIT. */
    void (*wake)(weir_http_exchange *ex);

    /* The exchange is being freed: the wire goes on with its next one, or closes. */
    void (*ended)(weir_http_exchange *ex);

    /*
     * Breaks the exchange off in the middle: the client must see that it is not whole. Then calls
     * weir_http_exchange_end().
     */
    void (*abort)(weir_http_exchange *ex);

    /*
     * For tunnels: after the head of an upgrade was sent, the client's connection with bytes
     * already read (in `early`) is the caller's; the exchange ends when the caller says.  NULL
     * when this wire cannot (then is_upgrade responses are refused).
     */
    weir_connection *(*take_connection)(weir_http_exchange *ex);
};

/* One client connection, from accept to close. */
struct weir_http_connection {
    weir_connection *connection;
    const weir_server_address *address; /* the listen address it came in by */
    const weir_http_server *server;     /* as SNI chose, else the address's default */
    bool is_tls;
    bool plain_on_tls_port;              /* 497 */
    bool has_pipelined;                  /* the request had come before the last response was out */
    uint64_t requests;                   /* so far */
    struct weir_http_counts_row *counts; /* of this process */
    void *wire_state;                    /* of h1 or h2 */
};

extern const weir_http_wire weir_http_h1;
extern const weir_http_wire weir_http_h2;

/* Takes over a connection whose protocol is known. `early` bytes lie in the connection. */
void weir_http_h1_start(weir_http_connection *client);
void weir_http_h2_start(weir_http_connection *client);
/* The client's first bytes tell: HTTP/2 if they are its preface (RFC 9113, 3.4), else HTTP/1. */
void weir_http_h2_look(weir_http_connection *client);
/* Whether clients may speak HTTP/2 to this server. */
bool weir_http_h2_is_on(const weir_http_server *server);

#endif
