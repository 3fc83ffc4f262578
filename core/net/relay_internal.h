#ifndef WEIR_NET_RELAY_INTERNAL_H
#define WEIR_NET_RELAY_INTERNAL_H

#include "core/net/connection_internal.h"

/* ---- relay_pipes.c: the worker's pipes, which splice() needs between two sockets */

typedef struct weir_pipe {
    int read_fd, write_fd;
    size_t size;
    struct weir_pipe *next;
} weir_pipe;

/* NULL: none to be had now, so copy. */
weir_pipe *weir_pipe_borrow(weir_connection_table *table);
/* One that still holds bytes is closed. */
void weir_pipe_return(weir_connection_table *table, weir_pipe *pipe, bool is_empty);

#endif
