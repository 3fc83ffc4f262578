#ifndef WEIR_PROCESS_CHANNEL_INTERNAL_H
#define WEIR_PROCESS_CHANNEL_INTERNAL_H

#include "core/event/loop.h"

/*
 * One end of the line between the master and a child: messages of a kind and some bytes, whole and in
 * order.  Sending never waits: what the kernel does not take now is kept, up to a limit.
 */
typedef struct weir_channel weir_channel;

typedef struct {
    void (*received)(weir_channel *channel, weir_str kind, weir_str bytes, void *subject);
    /* The other end is gone; may close the channel. */
    void (*ended)(weir_channel *channel, void *subject);
    void *subject;
} weir_channel_owner;

#define WEIR_CHANNEL_MESSAGE_MAX ((size_t) 16 << 20)

/* Two connected descriptors; false, logged. */
bool weir_channel_pair(int fds[static 2], const weir_log *log) WEIR_MUST_USE;

/* Takes the descriptor, also on failure.  NULL, logged: no memory, or the loop refused it. */
weir_channel *weir_channel_new(weir_loop *loop, int fd, const weir_channel_owner *owner);
/* Safe in the channel's own callbacks.  NULL is ignored. */
void weir_channel_free(weir_channel *channel);
/* In a forked child, which has no use for its parent's ends: the descriptor only, not the loop. */
void weir_channel_let_go(weir_channel *channel);

/* False, logged: too much waits already, or no memory. Then nothing of it is sent. */
bool weir_channel_send(weir_channel *channel, weir_str kind, weir_str bytes);

#endif
