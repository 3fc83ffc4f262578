#ifndef WEIR_HTTP_WIRE_H1_INTERNAL_H
#define WEIR_HTTP_WIRE_H1_INTERNAL_H

#include "modules/http/engine/core_conf.h"
#include "modules/http/wire/chunked.h"

/* One HTTP/1 connection of a client, as the files h1*.c share it. */

/* The body's framing that was agreed on. */
typedef enum { BODY_NONE, BODY_LENGTH, BODY_CHUNKED } body_framing;

/* How the end of the response shows. */
typedef enum { END_NONE, END_LENGTH, END_CHUNKED, END_CLOSE } response_framing;

typedef struct {
    weir_http_connection client;
    weir_connection *connection;
    weir_http_exchange *ex; /* NULL between exchanges */
    const weir_http_core_conf
        *last_core; /* of the last exchange; before the first: of client.server */

    /* What is read: `data` is the block's, or of a larger piece when a head needs it. */
    weir_block *block;
    char *data;
    size_t size;
    size_t start, end; /* bytes not yet taken */
    size_t scanned;    /* up to here no line ends */
    bool data_is_large;
    bool is_bulk;           /* the last read of a body gave all that was asked for */
    weir_block *head_block; /* keeps the running exchange's head */
    char *head_large;

    size_t head_bytes; /* of lines taken so far */
    bool has_request_line;
    bool skips_empty_line;
    bool is_pipelined; /* the request came behind the one before */

    body_framing body;
    uint64_t body_left;
    weir_http_chunked chunked;
    size_t discard_left; /* bytes that may be read of a body that nobody wanted */
    bool wants_body;     /* someone waits for body_readable */
    uint64_t turn_bytes; /* read of the body since it was last waited for */

    response_framing framing;
    uint64_t response_left; /* END_LENGTH */
    weir_chain out;         /* framed, not yet written */
    bool pull_ended;
    bool is_pumping;
    bool is_rate_paused;

    uint64_t deadline_ms; /* of what is waited for now, but for the request's body; 0: nothing */
    uint64_t body_deadline_ms; /* of more of the request's body; 0: nobody waits */
    weir_task go_on;           /* with a response that had its share of a turn */
    weir_task next;            /* goes on with a pipelined request */
} h1_connection;

/* ---- h1.c: the connection from one exchange to the next */

extern const weir_connection_state h1_idle, h1_head, h1_exchange;

/* The timer is moved as seldom as can be: it may run on, and its handler looks at deadline_ms. */
void h1_wait_for(h1_connection *h1, uint64_t from_now_ms);
void h1_wait_for_body(h1_connection *h1, uint64_t from_now_ms);
void h1_wait_for_nothing(h1_connection *h1);

/* Each may free the connection: nothing of it is touched afterwards. */
void h1_close(h1_connection *h1);
/*
 * Our side ends; where `lingers`, what the client still sends is read and dropped, so that no
 * reset eats the response.
 */
void h1_end_connection(h1_connection *h1, bool lingers);
/* The next request: one that is there already, or whenever it comes. */
void h1_become_idle(h1_connection *h1);

/* ---- h1_head.c: requests' heads, and the buffer that they come in */

/* Harmless when there is one.  `is_bulk`: a large one. */
bool h1_buffer_open(h1_connection *h1, bool is_bulk) WEIR_MUST_USE;
void h1_buffer_release(h1_connection *h1);
void h1_head_begin(h1_connection *h1);
/*
 * Takes what is in the buffer, and reads more until the kernel has no more.  WAIT: the head is not whole.  OK: it was,
 * and FAIL: the connection is closed; either way it may be gone.
 */
weir_result h1_head_go_on(h1_connection *h1);

/* ---- h1_body.c: requests' bodies */

weir_result h1_read_body(weir_http_exchange *ex, weir_chain *out, uint64_t limit);
/* Reads on to the end of a body that nobody wanted. */
void h1_discard_readable(weir_connection *connection);

/* ---- h1_response.c: heads and bodies of responses */

bool h1_send_interim(weir_http_exchange *ex, unsigned status, const weir_http_fields *fields);
void h1_respond(weir_http_exchange *ex);
void h1_wake(weir_http_exchange *ex);
/* Pulls and writes as far as it goes; the exchange, and the connection, may be gone afterwards. */
void h1_pump(h1_connection *h1);

#endif
