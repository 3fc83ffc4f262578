#ifndef WEIR_NET_LISTENER_INTERNAL_H
#define WEIR_NET_LISTENER_INTERNAL_H

#include "core/net/connection_internal.h"

struct weir_listeners {
    weir_pool *pool;
    weir_listener *first, **end; /* linked by `next`, in the order of the configuration */

    /* In the master. */
    pid_t owner;      /* unlinks the files of unix sockets; 0: nobody */
    pid_t giver;      /* the old master that handed them over; 0: none */
    bool handed_over; /* a new binary runs on them */

    /* In a worker. */
    size_t workers; /* that share the sockets */
    weir_loop *loop;
    weir_connection_table *table;
    bool multi_accept;
    bool paused;              /* the events are not in the loop */
    weir_timer pause;         /* set: for want of descriptors */
    weir_task resume;         /* a connection was closed */
    uint64_t last_failure_ms; /* when a failure of accept4() was logged */
    uint64_t accepted;
};

#define WEIR_LISTENERS_EACH(listeners, listener)                                                   \
    weir_listener *listener = (listeners)->first;                                                  \
    listener != NULL;                                                                              \
    listener = listener->next

/* The listener of an equal address, or NULL; `listeners` may be NULL. */
weir_listener *weir_listeners_find(const weir_listeners *listeners, const weir_addr *addr);
weir_listener *weir_listeners_add(weir_listeners *listeners, const weir_addr *addr);

/* Of a unix socket that was just opened or inherited: the file at its path is its own. */
void weir_listener_note_file(weir_listener *listener);


#endif
