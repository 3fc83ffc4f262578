#ifndef WEIR_HTTP_WIRE_H2_GUARD_H
#define WEIR_HTTP_WIRE_H2_GUARD_H

#include "core/base/str.h"

#define H2_ENDED_KEPT 8

/*
 * What a client's frames cost, whatever nghttp2 makes of them: each takes from a credit, which
 * time and served requests fill again.  A client that only makes work uses it up and is sent away,
 * before its frames are looked at; so no kind of flood (CVE-2019-9511 to 9518, 2023-44487,
 * 2024-27316, 2025-8671) needs a rule of its own.
 */
typedef struct {
    uint8_t head[13]; /* of a frame; behind PRIORITY's, the stream that it names */
    unsigned head_len;
    uint32_t left; /* of the payload that is passing */
    int64_t credit;
    uint64_t filled_ms;
    uint32_t body_min; /* bytes of a DATA frame that costs nothing */
    size_t head_bytes_per_cost;
    size_t block_bytes; /* of the field section that is passing: HEADERS and its CONTINUATION */
    bool in_block;
    uint32_t ended[H2_ENDED_KEPT]; /* streams on which the client can send no more */
    unsigned next_ended;
} h2_guard;

typedef enum {
    H2_GUARD_FINE,
    H2_GUARD_FLOOD,     /* the credit is used up */
    H2_GUARD_TOO_LARGE, /* a field section is longer than any head that is taken */
    /* What nghttp2 does not look at, though RFC 9113 asks for it: */
    H2_GUARD_FRAME_SIZE, /* a CONTINUATION frame over SETTINGS_MAX_FRAME_SIZE (4.2) */
    H2_GUARD_PRIORITY, /* on stream 0 (6.3), or of a stream that depends on itself (RFC 7540, 5.3.1) */
    H2_GUARD_ENDED,    /* DATA on a stream that is closed, and not by us (5.1) */
} h2_guard_verdict;

/* From the client's preface on. */
void h2_guard_begin(h2_guard *guard, uint64_t now_ms);
/* Of a server, which has none: what holds for clients' frames holds for an origin's. */
void h2_guard_begin_server(h2_guard *guard, uint64_t now_ms);
/*
 * Looks at what came. `head_max`: bytes of a field section as it is sent that any request may
 * have.  What is longer is read to its end, so that it can be answered on its stream;
 * H2_HEAD_TIMES as long is the end.
 */
#define H2_HEAD_TIMES 4
h2_guard_verdict h2_guard_look(h2_guard *guard, weir_str bytes, size_t head_max, uint64_t now_ms);

/* The client has ended the stream, and it is closed.  Those that the client resets need not be told. */
void h2_guard_ended(h2_guard *guard, uint32_t stream);

/* Beside the frame's own cost. */
enum {
    H2_COST_CANCEL = 4, /* a request that was reset before its response was sent */
    H2_COST_RESET = 6,  /* the client made us reset a stream */
};
void h2_guard_charge(h2_guard *guard, int64_t cost);

enum {
    H2_EARN_RESPONSE = 4, /* was sent to its end */
    H2_EARN_DATA = 2,     /* a DATA frame that no window made small: its updates are free */
    H2_EARN_BODY = 1,     /* a padded frame of the request's body that has some bytes */
};
/*
 * Fewer bytes of a client's body than these, a message of gRPC without content, are hardly worth
 * their frame.  Those of an origin have waited for a slow client, maybe, and come all at once.
 */
#define H2_BODY_FRAME_MIN 5
void h2_guard_earn(h2_guard *guard, int64_t credit);
/*
 * Field sections cost by their bytes, each of which may be a field of its own, until they are
 * taken: `bytes` of one gave a request.  What is refused, or reset, stays paid for.
 */
void h2_guard_head_taken(h2_guard *guard, size_t bytes);

#endif
