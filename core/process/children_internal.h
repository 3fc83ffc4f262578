#ifndef WEIR_PROCESS_CHILDREN_INTERNAL_H
#define WEIR_PROCESS_CHILDREN_INTERNAL_H

#include <sys/types.h>

#include "core/event/loop.h"
#include "core/process/worker_internal.h"

/*
 * The master's children: the workers and the keeper of the current generation, each in a place of its own in which
 * it is replaced when it dies, and those of earlier ones, which come to their end.
 */
typedef struct weir_children weir_children;

typedef struct {
    /* All places of the current generation have a child that serves. */
    void (*ready)(void *subject);
    /* One of them ended before it served. */
    void (*could_not_start)(void *subject);
    /* In a new child, before it becomes anything: let go of what is the master's. */
    void (*forked)(void *subject);
    void *subject;
} weir_children_owner;

/* NULL, logged.  `log` is kept. */
weir_children *weir_children_new(weir_loop *loop, const weir_log *log,
                                 const weir_children_owner *owner);
void weir_children_free(weir_children *children);

/*
 * Makes a generation the current one and forks it; the one before it stays as it is until
 * weir_children_retire_old().  False, logged: no memory, and none of it will be replaced.  In a child this
 * does not return.
 */
bool weir_children_start(weir_children *children, weir_cycle *cycle) WEIR_MUST_USE;
/* Whether there is a worker of the current generation that serves. */
bool weir_children_serve(const weir_children *children);

/*
 * Lets all but the current generation finish; if these are more than `limit` generations, the oldest of them are
 * ended.
 */
void weir_children_retire_old(weir_children *children, uint64_t limit);
/* Says WEIR_SAY_DRAIN or WEIR_SAY_QUIT to all, and none is replaced any more. */
void weir_children_retire_all(weir_children *children, weir_str kind);
/* Ends all, in time by force, and none is replaced. */
void weir_children_end_all(weir_children *children);

void weir_children_say(weir_children *children, weir_str kind, weir_str bytes);
/* To the current generation only. */
void weir_children_say_current(weir_children *children, weir_str kind, weir_str bytes);

/* What waitpid() gave.  False: no child of these. */
bool weir_children_died(weir_children *children, pid_t pid, int status);
size_t weir_children_count(const weir_children *children);

#endif
