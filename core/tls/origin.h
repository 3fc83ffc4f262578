#ifndef WEIR_TLS_ORIGIN_H
#define WEIR_TLS_ORIGIN_H

#include "core/tls/tls.h"

/*
 * The opening of a connection to an origin, until what is spoken over it may begin:
 *
 *     connecting -> (introduction) -> (TLS handshake) -> open
 */

typedef enum {
    WEIR_ORIGIN_CONNECTING,
    WEIR_ORIGIN_INTRODUCING,
    WEIR_ORIGIN_SHAKING,
} weir_origin_step;

typedef enum {
    WEIR_ORIGIN_OPEN, /* owner and state of the connection are the caller's to set; it has no timeout */
    WEIR_ORIGIN_TIMED_OUT,
    WEIR_ORIGIN_FAILED,
} weir_origin_outcome;

/*
 * Lies inside of who opens, and is set anew for each opening; whatever it points to is borrowed until it is over.
 * Closing the connection ends it, without a word.
 */
typedef struct weir_origin_opening weir_origin_opening;
struct weir_origin_opening {
    const weir_addr *addr;
    weir_str peer; /* the same as text; sessions of TLS are kept for it: none if it is empty */
    weir_connect_options socket;
    uint64_t timeout_ms;      /* for connecting and the introduction, and again for the handshake */
    bool timeout_is_whole;    /* for all of it instead */
    weir_chain *introduction; /* a PROXY header, say; is consumed.  NULL or empty: there is none */

    weir_tls_client *tls; /* NULL: plain */
    weir_str tls_name;
    weir_str alpn;       /* in wire form; empty: none is offered */
    weir_script *script; /* for certificate paths with variables; else NULL */

    /* Where the connection is put as soon as there is one; it is the caller's to close, whatever the outcome. */
    weir_connection **connection;
    weir_log log;
    const char **doing;    /* is told what goes on, for the log; NULL: nobody asks */
    bool connects_quietly; /* what hinders it until it is connected is for the caller to log */

    void (*connected)(weir_origin_opening *opening); /* just now; NULL: nobody asks */
    /* Called once, perhaps before weir_origin_open() returns. What failed is logged. */
    void (*done)(weir_origin_opening *opening, weir_origin_outcome outcome);

    /* ---- set by the opening */
    weir_origin_step step;
    int error; /* why it did not connect; 0: that was not it */
};

void weir_origin_open(weir_loop *loop, weir_origin_opening *opening);

#endif
