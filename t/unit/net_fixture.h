/* A loop with one listener on the loopback, and what is needed to drive both ends of connections. */

#ifndef WEIR_UNIT_NET_FIXTURE_H
#define WEIR_UNIT_NET_FIXTURE_H

#include "core/base/log_sink.h"
#include "core/net/connection.h"
#include "core/net/listener.h"

typedef struct {
    weir_loop *loop;
    weir_log log;
    weir_pool *pool;
    weir_listeners *listeners;
    weir_listener *listener;
    weir_addr addr; /* that it listens on */

    weir_connection *accepted; /* the last one that the hook was given */
    unsigned accepted_count;

    int log_fd; /* a file in memory with the lines at info and above */
    weir_log_files *log_files;
} net_fixture;

int net_set_up(void **state);
/* Fails when connections are still open. */
int net_tear_down(void **state);

/* A client's socket, blocking, connected to the listener; the loop has not yet turned. */
int net_client(net_fixture *f);
/* The same, accepted; it has no state yet. */
weir_connection *net_accept(net_fixture *f, int *client);

/* Turns until `condition` of `subject` holds; fails after seconds without. */
void net_turn_until(net_fixture *f, bool (*condition)(const void *subject), const void *subject);
/* What is ready now, and what that brings about. */
void net_settle(net_fixture *f);

void net_send(int fd, const char *data, size_t len);
/* Reads until the end of data, or `len` bytes; returns how many. */
size_t net_receive(int fd, char *data, size_t len);
/* Whether the peer has closed or reset. */
bool net_is_closed(int fd);

bool net_log_has(const net_fixture *f, const char *text);

#endif
