#ifndef WEIR_NET_CONNECTION_INTERNAL_H
#define WEIR_NET_CONNECTION_INTERNAL_H

#include "core/net/connection.h"
#include "core/net/listener.h"
#include "core/net/resolver.h"
#include "core/net/transport.h"

/* ---- plain.c */

/* Marks the connection as failed and logs `CALL() failed (…)` at the level that the error deserves. */
weir_result weir_connection_fail(weir_connection *connection, int error, const char *call);

/* The socket is full: WAIT, and on_writable will come.  FAIL, logged: the kernel will not tell. */
weir_result weir_connection_wait_writable(weir_connection *connection);

/* ---- connection_table.c: the connections of a loop */

typedef struct weir_pipes weir_pipes;

typedef struct {
    weir_loop *loop;

    size_t open, limit;
    uint64_t own_counter;
    _Atomic uint64_t *counter; /* NULL: own_counter */

    weir_list idle;          /* the longest idle first */
    weir_connection *closed; /* in this turn: something of them may stand on the stack */
    weir_connection *free;   /* with their pools */
    size_t free_count;
    weir_task recycle;

    weir_listeners *listeners; /* started; NULL: none */
    weir_pipes *pipes;         /* of relays; NULL: none yet */
    weir_resolver *resolvers;  /* the first; NULL: none yet */
    uint64_t last_shortage_ms; /* when "worker_connections are not enough" was logged */
} weir_connection_table;

/* Made at the first call; NULL, logged, without memory. */
weir_connection_table *weir_connection_table_of(weir_loop *loop);

/*
 * An open connection over `fd`, added to the loop, new and, unless it still `connects`, writable;
 * NULL, logged, when there is none to be had (idle ones were closed for it), and `fd` is still the
 * caller's.
 */
weir_connection *weir_connection_open(weir_connection_table *table, int fd, bool connects,
                                      size_t pool_bytes, const weir_log *log);
/* Whether one can be opened; closes idle ones when that helps. */
bool weir_connections_make_room(weir_connection_table *table);
/* The same, without doing anything. */
bool weir_connections_may_open(const weir_connection_table *table);

/* ---- listener_accept.c */

/* A connection was closed or is idle: listeners that wait for one go on. */
void weir_listeners_resume(weir_listeners *listeners);

/* ---- proxy_protocol_read.c */

/* Reads the header, then calls the listener's hook; closes the connection if it is broken or late. */
void weir_proxy_protocol_begin(weir_connection *connection);

/* ---- resolver.c */

/* All of a loop, one after the other; NULL is none. */
void weir_resolvers_free(weir_resolver *first);

/* ---- relay_pipes.c */

void weir_pipes_free(weir_pipes *pipes);

/* The state of a connection that has no owner yet, and what its log lines say. */
extern const weir_connection_state weir_connection_new;
void weir_connection_describe(weir_builder *line, const void *subject);

#endif
