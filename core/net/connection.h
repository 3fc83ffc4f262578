#ifndef WEIR_NET_CONNECTION_H
#define WEIR_NET_CONNECTION_H

#include "core/base/block.h"
#include "core/base/pool.h"
#include "core/event/loop.h"
#include "core/net/addr.h"

typedef struct weir_connection weir_connection;
typedef struct weir_listener weir_listener;
typedef struct weir_tls weir_tls;

/*
 * What a connection waits for: a named constant of its owner that lists all
 * exits.  NULL members ignore the event.
 */
typedef struct {
    const char *name;
    /* Also at the end of data and on errors: read tells. */
    void (*on_readable)(weir_connection *connection);
    /* Connected, or a write that said WAIT may go on. */
    void (*on_writable)(weir_connection *connection);
    void (*on_timeout)(weir_connection *connection);
    /* The peer hung up while nobody was reading (the kernel's RDHUP); data may still be unread. */
    void (*on_hangup)(weir_connection *connection);
} weir_connection_state;

/* The five verbs, for plain and TLS alike; nobody above knows which. */
typedef struct {
    weir_result (*read)(weir_connection *connection, char *buffer, size_t size, size_t *len);
    weir_result (*write)(weir_connection *connection, weir_chain *chain, uint64_t limit);
    weir_result (*shut)(weir_connection *connection);
    void (*close)(weir_connection *connection);
    bool (*holds_unread)(
        const weir_connection *connection); /* bytes read from the socket, not yet by the owner */
    /*
     * The socket takes bytes again: sends what write() took and it did not. OK: all of it went.
     * NULL: write() takes no such.
     */
    weir_result (*send_rest)(weir_connection *connection);
} weir_transport;

struct weir_connection {
    weir_event event;
    weir_timer timer; /* for the owner: on_timeout of the state */
    const weir_connection_state *state;
    const weir_transport *transport;
    weir_loop *loop;
    weir_pool *pool; /* cleaned when it is closed, freed in the next round of tasks */
    void *owner;     /* whoever set the state */
    weir_log log;

    weir_listener *listener; /* NULL: we connected; its configuration outlives the connection */
    weir_addr peer;
    /*
     * These lie in the pool; NULL: none.  `socket_peer` is what `peer` was before
     * weir_connection_set_peer().  `proxy_peer` and `proxy_local` are client and server as the PROXY
     * header says; as in nginx that alone does not change `peer`, realip does.
     */
    const weir_addr *socket_peer;
    const weir_addr *proxy_peer, *proxy_local;
    weir_str proxy_tlvs;    /* the raw TLVs of a PROXY v2 header */
    const weir_addr *local; /* private: see weir_connection_local() */
    weir_tls *tls;          /* NULL: plain */

    weir_str early;          /* bytes already read from the socket, given out by the first reads */
    weir_str returned;       /* private: what was given back, of a transport that is not plain */
    uint64_t number;         /* "*N" in the log */
    uint64_t received, sent; /* payload bytes */
    uint64_t started_ms;

    /* As the kernel last said; cleared when a call would block. */
    bool readable, writable;
    bool hangup;  /* the peer will send no more */
    bool failed;  /* a verb failed, logged */
    bool is_idle; /* keep-alive: may be closed when connections run out or at QUIT */
    bool tcp_nodelay;
    /*
     * For the owner to set: when all that is written now has gone out, it shuts or closes at once, so that
     * one packet takes the last bytes and the FIN (the kernel keeps them back for it, 200 ms at most).
     * TLS takes leave in the same flight.
     */
    bool write_is_last;
    weir_list idle_link; /* in the worker's list of idle connections */
    weir_task wake;      /* posts on_readable again: when bytes are left in buffers */

    /* private to core/net */
    unsigned passes; /* from listener to listener */
    size_t pool_bytes;
    weir_connection *next; /* in the lists of closed and of free ones */
};

/*
 * Changes the state and logs both names at debug.  If data that the new state waits for is
 * there already (readable, unread bytes in TLS), its handler runs in this loop turn, posted.
 */
void weir_connection_enter(weir_connection *connection, const weir_connection_state *state);

/* Private: a read while something is given back. */
weir_result weir_connection_read_returned(weir_connection *connection, char *buffer, size_t size,
                                          size_t *len);

/*
 * Reads up to `size` bytes.  OK: `*len` bytes, 0 only at the end of data.
 * WAIT: none now, on_readable will be called.  FAIL: broken, logged at info (peer's fault).
 */
static inline weir_result weir_connection_read(weir_connection *connection, char *buffer,
                                               size_t size, size_t *len)
{
    if (WEIR_UNLIKELY(connection->returned.len != 0)) {
        return weir_connection_read_returned(connection, buffer, size, len);
    }
    return connection->transport->read(connection, buffer, size, len);
}

/*
 * Bytes that were read, and that the next reads are to give out again, first of all; copied.  They are not
 * counted as received meanwhile.  False: no memory.
 */
bool weir_connection_give_back(weir_connection *connection, weir_str bytes) WEIR_MUST_USE;

/* The state's on_readable is called in a turn of the loop to come, for what has been left unread. */
static inline void weir_connection_read_later(weir_connection *connection)
{
    weir_task_post(connection->loop, &connection->wake);
}

/* Whether the next read gives bytes without asking the socket. */
static inline bool weir_connection_holds_unread(const weir_connection *connection)
{
    return connection->returned.len != 0 || connection->transport->holds_unread(connection);
}

/*
 * Writes the chain's bytes, up to `limit` (UINT64_MAX: all), and consumes what went out.
 * OK: limit or all reached.  WAIT: on_writable will be called, once all that was consumed has gone out.
 * FAIL: broken, logged.
 * TLS makes records of up to ssl_buffer_size and sends many with one call.
 */
static inline weir_result weir_connection_write(weir_connection *connection, weir_chain *chain,
                                                uint64_t limit)
{
    return connection->transport->write(connection, chain, limit);
}

/* Ends our side: close_notify, then FIN.  The other direction stays open. */
static inline weir_result weir_connection_shut(weir_connection *connection)
{
    return connection->transport->shut(connection);
}

/*
 * Closes at once and runs the pool's clean-ups.  Its memory and the pool's stay to be read until the loop's next
 * round of tasks: whoever stands on the stack, or is cleaned up after it, may still look, and must change nothing.
 */
void weir_connection_close(weir_connection *connection);
/* As above, with a RST (SO_LINGER 0): reset_timedout_connection. */
void weir_connection_reset(weir_connection *connection);

void weir_connection_set_timeout(weir_connection *connection, uint64_t from_now_ms);
void weir_connection_clear_timeout(weir_connection *connection);

/*
 * The local address, asked from the kernel once; of a connection that was given to another
 * listener, that one's as it was named.
 */
const weir_addr *weir_connection_local(weir_connection *connection);
/* TCP_NODELAY, if the socket has it otherwise; accepted connections have it from their listening socket. */
void weir_connection_set_nodelay(weir_connection *connection, bool is_on);
/* Another address for the client (realip); socket_peer keeps the first. False when the pool is used up. */
bool weir_connection_set_peer(weir_connection *connection, const weir_addr *peer) WEIR_MUST_USE;

/* The worker's idle connections: those are closed first when connections run out, oldest first. */
void weir_connection_set_idle(weir_connection *connection, bool is_idle);
/* Ends each idle connection, as its time-out would: on_timeout of its state. */
void weir_connections_close_idle(weir_loop *loop);
/* Open now, of clients and to origins, and the limit on them (worker_connections; 512 unless set). */
size_t weir_connections_open(const weir_loop *loop);
void weir_connections_set_limit(weir_loop *loop, size_t limit);
/* Where the numbers of connections come from, in memory that the workers share; else each counts for itself. */
void weir_connections_share_counter(weir_loop *loop, _Atomic uint64_t *counter);

/* ---- toward origins */

typedef struct {
    weir_addr bind_addr; /* len 0: any */
    bool transparent;    /* IP_TRANSPARENT */
    bool socket_keepalive;
    /* There is something to be sent at once: it acknowledges the peer's SYN, which saves a packet. */
    bool speaks_first;
    int rcvbuf, sndbuf; /* 0: default */
} weir_connect_options;

/*
 * Begins to connect to `addr` (borrowed until it is done). The connection starts in `state`; on_writable says that it
 * is connected or failed: weir_connection_finish_connect() tells.  NULL, with `*error` the errno, when it failed at
 * once; not logged: the caller knows more.  May be connected already (unix:): then `writable` is true.
 */
weir_connection *weir_connect(weir_loop *loop, const weir_addr *addr,
                              const weir_connect_options *options, size_t pool_bytes,
                              const weir_connection_state *state, void *owner, int *error);
/*
 * A connection over a socket that is connected already and does not block; it is the connection's from then on.  NULL,
 * logged, when there is no room or memory: `fd` is still the caller's.
 */
weir_connection *weir_connection_adopt(weir_loop *loop, int fd, size_t pool_bytes,
                                       const weir_log *log);
/* 0 when connected, else the errno; EINPROGRESS while it is not known. */
int weir_connection_finish_connect(weir_connection *connection);
/*
 * How grave it is that a connection was not made: what the peer or the way to it causes is an
 * error, the rest is ours.
 */
weir_log_level weir_connect_error_level(int error);

/*
 * For an idle origin connection: whether it is still open and nothing has come, as the kernel knows it now.  What TLS
 * says on its own account (tickets, new keys) is read and is nothing; a byte that did come is lost: close it.
 */
bool weir_connection_is_quiet(weir_connection *connection);

/* ---- relay: bytes from one connection to another without looking at them */

/*
 * Moves bytes both ways until both ends are done: by splice between plain sockets through a pool
 * of pipes (borrowed only while bytes are in them), else by copying.  Half-close is passed on when
 * `half_close`; a peer that stalls stops reading from the other.  Takes over both connections'
 * states; `done` is called once, with both connections still open, and their owner closes them.
 */
typedef struct weir_relay weir_relay;
typedef struct {
    uint64_t idle_timeout_ms;            /* neither side moved a byte: ends with timed_out */
    uint64_t a_timeout_ms, b_timeout_ms; /* it takes none of what waits for it: ends with stalled */
    uint64_t upload_rate, download_rate; /* bytes a second, 0: no limit; a to b is upload */
    size_t copy_bytes; /* read at once where bytes are copied; 0, and more than a block: a block */
    bool half_close;
    void (*first_byte)(void *subject); /* the first one came from b; NULL: nobody wants to know */
} weir_relay_options;
typedef enum {
    WEIR_RELAY_FINISHED,
    WEIR_RELAY_TIMED_OUT,
    WEIR_RELAY_BROKEN_A,
    WEIR_RELAY_BROKEN_B,
    WEIR_RELAY_STALLED_A,
    WEIR_RELAY_STALLED_B,
} weir_relay_end;
weir_relay *weir_relay_start(weir_connection *a, weir_connection *b,
                             const weir_relay_options *options,
                             void (*done)(weir_relay *relay, weir_relay_end end, void *subject),
                             void *subject);
/* Bytes moved, for the log: from a to b, and back. */
void weir_relay_counts(const weir_relay *relay, uint64_t *upload, uint64_t *download);
/* After FINISHED: whether it was the end of what a had to send. */
bool weir_relay_was_ended_by_a(const weir_relay *relay);
/* Frees the relay; after `done`, or to end it early (then `done` is not called). */
void weir_relay_free(weir_relay *relay);

#endif
