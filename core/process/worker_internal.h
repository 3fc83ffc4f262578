#ifndef WEIR_PROCESS_WORKER_INTERNAL_H
#define WEIR_PROCESS_WORKER_INTERNAL_H

#include "core/process/channel_internal.h"
#include "core/process/worker.h"

/* ---- what the master says to its children; other kinds are those of weir_message_register() */

#define WEIR_SAY_DRAIN WEIR_STR("weir drain")   /* a reload: finish what there is */
#define WEIR_SAY_QUIT WEIR_STR("weir quit")     /* the operator: the same, and idle ones close */
#define WEIR_SAY_REOPEN WEIR_STR("weir reopen") /* logs */
/* ---- and what they say to it */
#define WEIR_SAY_READY WEIR_STR("weir ready") /* serves, or is ready to keep */

/* Exit codes of children. */
enum {
    WEIR_EXIT_FINE = 0,
    WEIR_EXIT_FAILED = 1,
    WEIR_EXIT_CANNOT_START = 2,
};

/* ---- registries of a cycle */

weir_messages *weir_messages_new(weir_pool *pool);
/* Nothing when nobody registered for the kind. */
void weir_messages_deliver(const weir_messages *messages, weir_worker *worker, weir_str kind,
                           weir_str bytes);

weir_chores *weir_chores_new(weir_pool *pool);

/* ---- processes */

/*
 * In a child: the whole of its life.  `fd` is its end of the channel.  Returns the exit code.
 */
int weir_worker_main(weir_cycle *cycle, unsigned index, unsigned slot, int fd);
int weir_keeper_main(weir_cycle *cycle, unsigned slot, int fd);
/* With master_process off: both in one.  `started` is called once it serves; false ends it. */
int weir_single_main(weir_cycle *cycle, bool (*started)(void *subject), void *subject);

/* ---- the keeper's work */

/* Starts the chores as soon as no other keeper of this weir works; NULL: logged. */
typedef struct weir_keeping weir_keeping;
weir_keeping *weir_keeping_start(weir_worker *worker);
void weir_keeping_stop(weir_keeping *keeping);

#endif
