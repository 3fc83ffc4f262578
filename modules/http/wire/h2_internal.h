#ifndef WEIR_HTTP_WIRE_H2_INTERNAL_H
#define WEIR_HTTP_WIRE_H2_INTERNAL_H

#include <nghttp2/nghttp2.h>

#include "modules/http/engine/core_conf.h"
#include "modules/http/wire/h2_guard.h"
#include "modules/http/wire/h2_option.h"

/* One HTTP/2 connection of a client, as the files h2*.c share it. */

#define H2_STREAMS_MAX 65535
#define H2_FRAME_HEAD_BYTES 9
/* What all bodies of a connection's requests may have in memory here, and each that somebody reads. */
#define H2_WINDOW_BYTES (512 * 1024)
#define H2_STREAM_WINDOW_BYTES (256 * 1024)
/* What the heads of a connection's requests may have; one that would be the only one may have more. */
#define H2_HEADS_BYTES (576 * 1024)
#define H2_RESETS_KEPT 64
/* Queued bytes from which on nghttp2 is asked for no more frames before they are written. */
#define H2_OUT_FULL (4 * WEIR_BLOCK_BYTES)
/* And frames in nghttp2's own queue from which on nothing is read of a client that does not take them. */
#define H2_QUEUED_FRAMES_MAX 100

typedef struct {
    bool on;
    uint64_t max_concurrent_streams;
    size_t chunk_size;
    size_t body_preread_size;
    size_t recv_buffer_size;
} h2_conf;

extern const weir_http_module weir_http_v2;

const h2_conf *h2_conf_of(const weir_http_server *server);

typedef struct h2_tunnel h2_tunnel;

typedef struct {
    weir_http_connection client;
    weir_connection *connection;
    const h2_conf *conf;
    nghttp2_session *session;
    h2_guard guard;

    weir_list streams; /* h2_stream whose exchange has not ended */
    size_t stream_count;
    size_t heads_bytes;        /* of all streams' head_bytes */
    weir_list tunnels;         /* h2_tunnel, some of which may have outlived their exchange */
    weir_list readable;        /* those that got bytes of a body in this call of nghttp2's */
    struct h2_stream *in_head; /* whose field section is being read; NULL: nobody wants it */

    /*
     * The last that we reset: what the client had sent on them already may still come (RFC 9113, 5.1).  As far as
     * `reset_forgotten` there may have been others.
     */
    int32_t resets[H2_RESETS_KEPT];
    unsigned next_reset;
    int32_t reset_forgotten;

    weir_block
        *small; /* where pieces are copied to, as far as `small_len`; NULL: nothing is queued */
    size_t small_len;
    weir_chain out; /* frames that are not written yet: copies and blocks, nothing of an exchange */
    /* A call of nghttp2's, or of an exchange's that comes from here, is on the stack. */
    bool is_busy;
    bool is_gone;       /* the client went away: exchanges that go on without one are waited for */
    bool is_leaving;    /* the client was told to make no more requests here */
    bool last_is_named; /* the second GOAWAY was said */
    bool is_blocked;    /* the client does not take what we send */
    bool is_expelled;   /* it has broken the rules */
    bool reads_later;   /* it has had its share of a turn, or has enough to take first */
    bool is_torn;       /* half a frame was queued */
    bool is_ending; /* the last word was said: what is queued goes out, then the connection ends */
    uint64_t deadline_ms; /* of what is waited for without a stream, or to write; 0: nothing */
    uint64_t check_ms;    /* when the streams' deadlines, and tunnels', are looked at; 0: not */
    uint64_t leave_by_ms; /* when the last request is named, should the client not answer */
    weir_task pump;
} h2_connection;

/* A request and its response: lies in the exchange's pool. */
typedef struct h2_stream {
    weir_list link;     /* of h2_connection.streams */
    weir_list readable; /* of h2_connection.readable */
    h2_connection *h2;
    weir_http_exchange *ex;
    int32_t id;

    /* The head, until it is whole. */
    struct h2_head *head;
    size_t head_bytes; /* in memory, with trailers */
    bool head_is_complete;
    bool trailer_is_cut; /* some of it was dropped */
    uint64_t head_came;  /* bytes of it, but for those of the read that it began with */

    /* The request's body: what came and was not taken yet. */
    weir_chain in;
    bool in_ended;
    bool wants_body;
    bool window_is_open; /* for more than http2_body_preread_size */

    /* An extended CONNECT, and once it was agreed to: */
    bool is_tunnel;
    h2_tunnel *tunnel;

    /* The response. */
    weir_chain pulled; /* not yet framed */
    int64_t left;      /* of what Content-Length said; -1: it said nothing */
    bool pull_ended;
    bool is_deferred; /* nghttp2 was told that there is nothing now */
    bool is_broken;   /* the response cannot go on: the stream is being reset */
    bool is_closed;   /* nghttp2 has closed it */
    bool is_rate_paused;
    weir_timer rate_timer;

    /* 0: nothing is waited for */
    uint64_t head_deadline_ms, body_deadline_ms, send_deadline_ms;
} h2_stream;

/* ---- h2.c: the connection */

/* Copies bytes to the end of the queue, behind others in one block. False: no memory. */
bool h2_queue_copy(h2_connection *h2, weir_str bytes) WEIR_MUST_USE;
/* What is queued goes out at the end of this turn, with what others queue in it. */
void h2_schedule(h2_connection *h2);
/* The streams' deadlines are looked at when `due_ms` has come, at the latest. */
void h2_check_at(h2_connection *h2, uint64_t due_ms);
/* GOAWAY with a reason, and then the end. `why` goes to the log. */
void h2_condemn(h2_connection *h2, uint32_t error_code, const char *why);
/* What was on its way when the client was told to leave has come. */
void h2_name_last(h2_connection *h2);

/* ---- h2_session.c: nghttp2's callbacks */

nghttp2_session *h2_session_new(h2_connection *h2);
bool h2_session_greet(h2_connection *h2) WEIR_MUST_USE;

/* ---- h2_stream.c: streams and the bodies of requests */

h2_stream *h2_stream_new(h2_connection *h2, int32_t id);
/* Bytes of the request's body, which are copied. False: no memory. */
bool h2_stream_body(h2_stream *stream, weir_str bytes) WEIR_MUST_USE;
/* Tells those who wait for bodies. */
void h2_streams_deliver(h2_connection *h2);
/* Resets it; its exchange is to end. */
void h2_stream_break(h2_stream *stream, uint32_t error_code);
/* END_STREAM came. */
void h2_stream_body_end(h2_stream *stream);
/* nghttp2 has closed it: reset by either side, unless its exchange has ended before. */
void h2_stream_closed(h2_stream *stream, uint32_t error_code);
/* Ends those whose time is up, and tunnels; `*next_ms` is when to look again, 0: never. */
void h2_streams_check(h2_connection *h2, uint64_t now_ms, uint64_t *next_ms);
/* The client is gone. */
void h2_streams_gone(h2_connection *h2);

weir_result h2_read_body(weir_http_exchange *ex, weir_chain *out, uint64_t limit);
void h2_ended(weir_http_exchange *ex);
void h2_abort(weir_http_exchange *ex);

/* So many bytes of its body were taken: the client may send as many again. */
void h2_stream_consumed(h2_stream *stream, uint64_t bytes);

/* ---- h2_tunnel.c: CONNECT (RFC 9113, 8.5), and extended CONNECT (RFC 8441) */

/* What comes on the stream is no body, but a tunnel's, once the response agrees. */
void h2_tunnel_take_stream(h2_stream *stream);
/* The request for a WebSocket becomes one as in HTTP/1. False: no memory. */
bool h2_tunnel_ask(h2_stream *stream) WEIR_MUST_USE;
/* The origin has agreed: `provider` is where the stream's DATA come from. False: logged. */
bool h2_tunnel_open(h2_stream *stream, nghttp2_data_provider *provider) WEIR_MUST_USE;
weir_connection *h2_take_connection(weir_http_exchange *ex);
/* What the client sent goes on. */
void h2_tunnel_write(h2_tunnel *tunnel);
/* Its exchange has ended: what is left goes to the client. */
void h2_tunnel_left(h2_tunnel *tunnel);
/* Resets those whose client takes nothing of what is left; when to look again, 0: never. */
uint64_t h2_tunnels_check(h2_connection *h2, uint64_t now_ms);
h2_tunnel *h2_tunnel_find(h2_connection *h2, int32_t id);
void h2_tunnel_free(h2_tunnel *tunnel);
void h2_tunnels_close(h2_connection *h2);

/* ---- h2_headers.c: heads of requests (RFC 9113, 8) */

bool h2_head_begin(h2_stream *stream) WEIR_MUST_USE;
/* A field, or pseudo-header field, of the head or the trailer section. False: no memory. */
bool h2_head_take(h2_stream *stream, weir_str name, weir_str value) WEIR_MUST_USE;
bool h2_trailer_take(h2_stream *stream, weir_str name, weir_str value) WEIR_MUST_USE;
/* All of the head came: the exchange runs, or is refused; it may be gone then. */
void h2_head_complete(h2_stream *stream, size_t bytes);

/* ---- h2_response.c: heads and bodies of responses */

bool h2_send_interim(weir_http_exchange *ex, unsigned status, const weir_http_fields *fields);
void h2_respond(weir_http_exchange *ex);
void h2_wake(weir_http_exchange *ex);
/* nghttp2 makes a DATA frame of what was pulled. False: no memory, or a file cannot be read. */
bool h2_data_send(h2_stream *stream, const uint8_t *head, size_t len) WEIR_MUST_USE;
/* A frame of the response is queued; with the last one the exchange ends. */
void h2_frame_sent(h2_stream *stream, const nghttp2_frame *frame);

#endif
