/*
 * Pipes for splice(), borrowed only while bytes are in them.
 *
 * 1 MiB each: with the kernel's 64 KiB a relay costs more than copying does (466 us per MiB against 284).
 * A user who is not root gets 64 of them in all (pipe-user-pages-soft), then smaller ones, then
 * pipes of a page or two, which are no use.
 */

#include "core/net/relay_internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define PIPE_WANTED_BYTES (1024 * 1024)
#define PIPE_LEAST_BYTES (64 * 1024)
#define PIPES_KEPT 32

struct weir_pipes {
    weir_pipe *free;
    size_t free_count;
};

static void pipe_close(weir_pipe *pipe)
{
    close(pipe->read_fd);
    close(pipe->write_fd);
    free(pipe);
}

static weir_pipe *pipe_new(void)
{
    weir_pipe *made = malloc(sizeof(*made));
    int fds[2], size;

    if (made == NULL) {
        return NULL;
    }
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) == -1) {
        free(made);
        return NULL;
    }

    size = fcntl(fds[1], F_SETPIPE_SZ, PIPE_WANTED_BYTES);
    if (size == -1) {
        size = fcntl(fds[1], F_GETPIPE_SZ);
    }
    *made = (weir_pipe){.read_fd = fds[0], .write_fd = fds[1], .size = (size_t) size};
    if (size < PIPE_LEAST_BYTES) {
        pipe_close(made);
        return NULL;
    }
    return made;
}

weir_pipe *weir_pipe_borrow(weir_connection_table *table)
{
    weir_pipes *pipes = table->pipes;
    weir_pipe *borrowed;

    if (pipes == NULL) {
        pipes = table->pipes = calloc(1, sizeof(*pipes));
        if (pipes == NULL) {
            return NULL;
        }
    }

    borrowed = pipes->free;
    if (borrowed == NULL) {
        return pipe_new();
    }
    pipes->free = borrowed->next;
    pipes->free_count--;
    return borrowed;
}

void weir_pipe_return(weir_connection_table *table, weir_pipe *pipe, bool is_empty)
{
    weir_pipes *pipes = table->pipes;

    if (!is_empty || pipes->free_count >= PIPES_KEPT) {
        pipe_close(pipe);
        return;
    }
    pipe->next = pipes->free;
    pipes->free = pipe;
    pipes->free_count++;
}

void weir_pipes_free(weir_pipes *pipes)
{
    weir_pipe *pipe;

    if (pipes == NULL) {
        return;
    }
    while ((pipe = pipes->free) != NULL) {
        pipes->free = pipe->next;
        pipe_close(pipe);
    }
    free(pipes);
}
