#ifndef WEIR_HTTP_WIRE_H2_CLIENT_H
#define WEIR_HTTP_WIRE_H2_CLIENT_H

#include "core/base/block.h"
#include "core/base/log.h"
#include "modules/http/engine/fields.h"

/*
 * HTTP/2 toward an origin (RFC 9113), over nghttp2: what came becomes an answer, a request becomes what is to be sent.
 * One request at a time on a connection.  It knows no exchange and no socket: its owner reads and writes.
 *
 *     begin -> (send, push -> write; read -> take -> push -> write)* -> end
 */
typedef struct weir_http_h2_client weir_http_h2_client;

/* The answer to a request: lies with the owner, from begin to end. */
typedef struct {
    /* ---- set before it begins */
    weir_pool *pool;     /* of fields and their text */
    const weir_log *log; /* of what the origin does wrong */
    /* Bytes that fields may have in a section, and 103s in all; and two more for each, 4. */
    size_t head_max;
    uint16_t lines_max;  /* fields in a section */
    bool wants_trailers; /* else they are checked, and dropped */

    /* ---- as far as it has come */
    unsigned status; /* 0: nothing of it */
    weir_http_fields fields;
    int64_t content_length; /* -1: not said */
    bool head_is_complete;
    bool ends_with_head;
    unsigned interims; /* 1xx that came before it */
    weir_http_fields
        hints; /* of 103s (RFC 8297) that came; the owner forgets them once it has seen them */
    weir_chain body; /* that came and was not taken: no more than the window */
    weir_http_fields trailers;
    bool is_ended; /* all of it came */

    /* ---- why it cannot go on */
    const char *fault; /* for the log: "upstream ..."; NULL: it can */
    bool is_malformed; /* it is no answer */
    /* The origin has not looked at the request, and says so: it may be sent again, whatever it asks for (8.7). */
    bool is_unprocessed;
    uint32_t error_code; /* of RST_STREAM or GOAWAY, if that was it; 0: none */
} weir_http_h2_answer;

typedef struct {
    weir_str name; /* in any case; pseudo-header fields come first */
    weir_str value;
} weir_http_h2_field;

/*
 * The end of a connection that is ours: the preface and SETTINGS are to be pushed.  `window`:
 * bytes of a body that may have come and not been taken.  It lies in the pool, with which it
 * ends.  NULL: no memory.
 */
weir_http_h2_client *weir_http_h2_client_new(weir_pool *pool, uint32_t window);

/* Whether a request may begin: none is under way, and the origin did not say that it leaves. */
bool weir_http_h2_client_may_begin(const weir_http_h2_client *client);

/*
 * Begins a request; the fields are copied.  `has_body`: a body follows, which may be empty.
 * False: no memory, or none may begin.
 */
bool weir_http_h2_client_begin(weir_http_h2_client *client, weir_http_h2_answer *answer,
                               const weir_http_h2_field *fields, size_t count,
                               bool has_body) WEIR_MUST_USE;
/* More of its body, which is taken; `ended`: that was all, with these fields behind it.  False: no memory. */
bool weir_http_h2_client_send(weir_http_h2_client *client, weir_chain *body, bool ended,
                              const weir_http_h2_field *trailers, size_t count) WEIR_MUST_USE;
/*
 * Adds to `out` what may be sent now, up to some blocks.  OK: that is all there is.  WAIT: some of
 * the body is left, for which the origin has no room yet (5.2), or `out` was full.  FAIL: the
 * connection is of no use; answer->fault says why, if there is an answer.
 */
weir_result weir_http_h2_client_push(weir_http_h2_client *client, weir_chain *out) WEIR_MUST_USE;

/*
 * Takes what came.  Large pieces of bodies refer to `block`, if the bytes lie in one, smaller ones
 * are copied.  Then there may be something to push.  False: the connection is of no use, as above.
 */
bool weir_http_h2_client_take(weir_http_h2_client *client, weir_str bytes, weir_block *block,
                              uint64_t now_ms) WEIR_MUST_USE;
/* The owner has room for so many more bytes of the body. */
void weir_http_h2_client_took(weir_http_h2_client *client, uint64_t bytes);

/*
 * The owner is done with the answer, which is forgotten: a request that is not over is cancelled.
 * What that takes is to be pushed and written before the connection may be used again.
 */
void weir_http_h2_client_end(weir_http_h2_client *client);

/* "REFUSED_STREAM" */
const char *weir_http_h2_error_name(uint32_t code);

#endif
