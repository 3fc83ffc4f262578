#ifndef WEIR_PROCESS_WORKER_H
#define WEIR_PROCESS_WORKER_H

#include "core/base/file_stamp.h"
#include "core/event/loop.h"
#include "core/process/cycle.h"

/*
 * What changes in a worker hangs from here.  One a process; with master_process off it is the only
 * process's.
 */
struct weir_worker {
    weir_cycle *cycle;
    weir_loop *loop;
    weir_log log;
    unsigned index; /* 0 .. worker_processes - 1 */
    /* Its own among all processes that share the zones: other generations, another binary. */
    unsigned slot;
    bool is_keeper;
    bool is_draining; /* QUIT: accepts no more, keep-alive ends */
    /* Idle connections are closed at once, not kept for keepalive_min_timeout. */
    bool is_operator_quit;
};

/* The worker of this process; NULL in the master. */
weir_worker *weir_worker_current(void);

/*
 * Calls back when the worker begins to drain: once per registration, in the loop.  Registrations are made in
 * `worker_start`.
 */
bool weir_worker_on_drain(weir_worker *worker, void (*drain)(weir_worker *worker, void *subject),
                          void *subject) WEIR_MUST_USE;
/* Likewise when worker_shutdown_timeout is over, while the connections that will be closed are still there. */
bool weir_worker_on_cut(weir_worker *worker, void (*cut)(weir_worker *worker, void *subject),
                        void *subject) WEIR_MUST_USE;

/* ---- what a process has counted in shared memory, and cannot count down any more once it is dead */

/* Slots are taken from 0 on; in a worker, weir_worker.slot is one. */
#define WEIR_WORKER_SLOTS 1024

/*
 * Called in the master when the process that had a slot is dead, whatever generation it was of, before another has the
 * slot: clears what stands under it (core/shared/ledger.h, tally.h).  Registered while loading.
 */
bool weir_worker_on_gone(weir_cycle *cycle, void (*gone)(unsigned slot, void *subject),
                         void *subject) WEIR_MUST_USE;
/* One more than the highest slot that was ever taken: sums need look no further. */
unsigned weir_worker_slots_used(const weir_cycle *cycle);

/*
 * While loading: workers may connect from addresses that are not the machine's (IP_TRANSPARENT), for which they keep
 * CAP_NET_RAW, and nothing else, when they give up root.  False: no memory.
 */
bool weir_worker_needs_transparent(weir_cycle *cycle) WEIR_MUST_USE;

/* ---- the master's word to its workers and the keeper: a kind and some bytes, in order, whole */

/*
 * Registered before the fork (in `prepare` or `configured`): `received` is called in workers and the keeper for each
 * message of that kind; its bytes are borrowed until it returns.  `kind` is borrowed, too, for the life of the cycle.
 * A worker gets what was broadcast after it was forked: what was before, the sender keeps in memory that fork() copies.
 */
bool weir_message_register(weir_cycle *cycle, const char *kind,
                           void (*received)(weir_worker *worker, weir_str bytes, void *subject),
                           void *subject) WEIR_MUST_USE;
/* In the master: to all workers and the keeper of the current generation.  The bytes, up to 16 MiB, are copied. */
void weir_message_broadcast(weir_cycle *cycle, const char *kind, weir_str bytes);

/* ---- the keeper's chores */

/*
 * A task that must run once a machine and not once a worker: a probe, a resolution, a key rotation.  Registered
 * while loading; run by the keeper, or by the one process with master_process off.
 */
typedef struct weir_chore {
    const char *name;
    /* Called once when the keeper starts (again in its successor): sets timers, opens sockets. False: logged. */
    bool (*start)(weir_worker *keeper, struct weir_chore *chore);
    void (*stop)(weir_worker *keeper, struct weir_chore *chore);
    void *subject;
} weir_chore;
bool weir_chore_register(weir_cycle *cycle, weir_chore *chore) WEIR_MUST_USE;

/* ---- files that the master watches */

/*
 * A set of files that belong together: certificate and key, CA bundle, CRL.  The master looks at
 * them (inotify where it can, else every few seconds), and calls `changed` in the master once they
 * have been still for a moment; which checks, adopts and broadcasts.
 */
typedef struct weir_watch {
    const char *name;
    void (*changed)(weir_cycle *cycle, struct weir_watch *watch);
    void *subject;
} weir_watch;
typedef struct {
    weir_str path;         /* absolute; copied */
    weir_file_stamp stamp; /* of what was read: what changed since is told, too */
} weir_watch_file;
bool weir_watch_register(weir_cycle *cycle, weir_watch *watch, const weir_watch_file *files,
                         size_t count) WEIR_MUST_USE;

#endif
