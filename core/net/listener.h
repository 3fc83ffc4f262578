#ifndef WEIR_NET_LISTENER_H
#define WEIR_NET_LISTENER_H

#include <sys/types.h>

#include "core/event/loop.h"
#include "core/net/addr.h"

typedef struct weir_connection weir_connection;
typedef struct weir_listener weir_listener;
typedef struct weir_listeners weir_listeners;

#define WEIR_LISTENER_BACKLOG 511

/* What a listening socket is for, and what follows from that. */
typedef struct {
    bool is_served; /* workers accept from it, and its hook takes the connections */
    mode_t mode;    /* of a unix socket's file */
    /*
     * A unix socket that nobody listens at, or another one that is to be followed, makes way; one
     * whose file was lost is made anew.
     */
    bool takes_over;
} weir_listener_purpose;

/* For everybody, at an address that must be free: what a listener is for unless said. */
extern const weir_listener_purpose weir_listener_served;
/*
 * A unix socket for its owner alone: weir_listeners_start() does nothing for it, whoever wants it
 * accepts from weir_listener_fd().
 */
extern const weir_listener_purpose weir_listener_apart;

/* Options of one listening socket, as `listen` gives them.  -1 or 0: the system's default, as noted. */
typedef struct {
    int backlog;        /* WEIR_LISTENER_BACKLOG unless said */
    int rcvbuf, sndbuf; /* bytes; 0: default */
    int fastopen;       /* queue length; 0: off */
    bool deferred;      /* TCP_DEFER_ACCEPT */
    bool reuseport;     /* a socket for each worker */
    bool multipath;     /* Multipath TCP for clients that want it (RFC 8684), TCP for others */
    bool ipv6only;      /* default true */
    int keepalive;      /* -1: default, 0: off, 1: on */
    int keepalive_idle_s, keepalive_interval_s, keepalive_probes; /* 0: default */
} weir_listener_options;

/*
 * An address that weir listens on.  `accepted` is its hook: it takes a
 * connection, with bytes already read from it (at most a few KiB; usually none; also after PROXY
 * protocol was read), and owns it from then on.
 */
struct weir_listener {
    weir_addr addr;
    const weir_listener_purpose *purpose;
    weir_listener_options options;
    bool proxy_protocol; /* read a PROXY header, v1 or v2, first */
    /* Where a socket stands for several addresses: whether a connection begins with one.  NULL: all do. */
    bool (*begins_with_proxy)(weir_connection *connection, const void *subject);
    uint64_t proxy_protocol_timeout_ms;
    void (*accepted)(weir_connection *connection, void *subject);
    /* Takes one whose PROXY header is malformed, or has not come, and owns it from then on.  NULL: it is closed. */
    void (*unannounced)(weir_connection *connection, bool is_malformed, void *subject);
    void *subject;
    size_t connection_pool_bytes;
    weir_log log; /* of connections, before they know their server */

    /* private to core/net */
    int *fds; /* one, or one a worker with reuseport */
    size_t fd_count;
    struct {
        dev_t device;
        ino_t inode;
    } file;              /* of a unix socket, when it was opened; inode 0: there was none */
    bool has_file_aside; /* what was at its path, until all is settled or undone */
    weir_event event;
    weir_listeners *owner;
    weir_listener *next;
};

/* The listening sockets of one configuration. */
weir_listeners *weir_listeners_new(weir_pool *pool);

/*
 * The listener of an address: the one that is there, or a new one with default options (`*is_new`).
 * NULL when the pool is used up.
 */
weir_listener *weir_listeners_get(weir_listeners *listeners, const weir_addr *addr, bool *is_new);
int weir_listener_fd(const weir_listener *listener); /* its first, once it is opened */
weir_listener *weir_listeners_at(const weir_listeners *listeners, size_t i); /* NULL past the end */

/*
 * Takes over the descriptors of `old` that are for equal addresses (never closing a socket that stays; where the
 * socket must be new it replaces the old one), then opens, binds and listens on the rest, trying for half a second
 * while an address is in use.  `workers` is the number of sockets that reuseport needs.
 * False, logged, and nothing changed in `old`, when one cannot be had.  What is done with them then is
 * weir_listeners_settle() or weir_listeners_undo().
 */
bool weir_listeners_open(weir_listeners *listeners, weir_listeners *old, size_t workers,
                         const weir_log *log) WEIR_MUST_USE;
/* Applies the options that have changed to the sockets that stay; removes the files of those that were replaced. */
void weir_listeners_settle(const weir_listeners *listeners, const weir_listeners *old,
                           const weir_log *log);
/* Closes what was opened; what had been there before is as it was. */
void weir_listeners_undo(weir_listeners *listeners, const weir_listeners *old, const weir_log *log);
/*
 * Binds and closes each, for -t: an address in use is no failure, since what runs now may use it.
 */
bool weir_listeners_try(const weir_listeners *listeners, const weir_log *log) WEIR_MUST_USE;
/*
 * Closes those of `old` that `current` has not taken over (NULL: all).  The files of unix sockets are unlinked by the
 * process alone that opened or claimed them, and not while another one uses them: not after
 * they were handed over at USR2, nor by the inheritor while its parent lives.
 */
void weir_listeners_close(weir_listeners *old, const weir_listeners *current);
/* After fork() in the process that goes on as the master (daemon on). */
void weir_listeners_claim(weir_listeners *listeners);
/* Whether a new binary runs on them: then their files stay. */
void weir_listeners_set_handed_over(weir_listeners *listeners, bool handed_over);

/*
 * Handing over at USR2: the text for the environment ("6;7;8;") and back.  export() lets the
 * descriptors survive exec().  inherit() adopts those that are listening sockets, for
 * weir_listeners_open() to take from, and closes other sockets.
 */
bool weir_listeners_export(const weir_listeners *listeners, weir_pool *pool, weir_str *text);
weir_listeners *weir_listeners_inherit(weir_pool *pool, weir_str text, const weir_log *log);

/*
 * In a worker: begins and ends accepting (worker `index` picks its reuseport socket).  A socket is in
 * a loop once: the old listeners stop before the new ones start.  When connections or
 * descriptors run out it pauses by itself.  stop() takes what waits in a reuseport socket, which nobody else would.
 */
bool weir_listeners_start(weir_listeners *listeners, weir_loop *loop, size_t index,
                          bool multi_accept) WEIR_MUST_USE;
void weir_listeners_stop(weir_listeners *listeners, weir_loop *loop);

/* Whose connections those to `addr` are: its own listener, or that of the wildcard of its port; NULL: there is none. */
weir_listener *weir_listeners_for(const weir_listeners *listeners, const weir_addr *addr);
/*
 * Gives a connection of another listener's to this one, as if it had been accepted here for
 * `addr`, which is kept and must live as long; it takes what was given back, and a PROXY header
 * that was read, along.  Its owner, state and time-out are void before.  One that goes in a circle
 * is closed, logged.
 */
void weir_listener_take(weir_listener *listener, const weir_addr *addr,
                        weir_connection *connection);

#endif
