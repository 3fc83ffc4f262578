#ifndef WEIR_EVENT_LOOP_H
#define WEIR_EVENT_LOOP_H

#include "core/base/list.h"
#include "core/base/log.h"
#include "core/base/result.h"

/*
 * A worker's event loop: epoll, timers, posted tasks, all on one thread.
 *
 * A turn: wait for events or the first timer, read the clock once, run the
 * handlers of what is ready, then due timers, then posted tasks (those that
 * they post run in the next turn, which then does not wait).
 */
typedef struct weir_loop weir_loop;

/* NULL, logged, when the kernel refuses. `log` is kept and must outlive the loop. */
weir_loop *weir_loop_new(const weir_log *log);
/*
 * Ends the threads and closes what the loop opened; the owners of events, timers and tasks must be done with them.
 * In a forked child it lets go of its parent's loop, without touching that.
 */
void weir_loop_free(weir_loop *loop);
const weir_log *weir_loop_log(const weir_loop *loop);

/*
 * One structure of the layer above (core/net keeps the worker's connections there), given to
 * `done` when the loop is freed.
 */
void weir_loop_attach(weir_loop *loop, void *attached, void (*done)(void *attached));
void *weir_loop_attached(const weir_loop *loop); /* NULL: nothing */

/* Turns until weir_loop_stop(), which may have been called before; the turn it is called in is finished. */
void weir_loop_run(weir_loop *loop);
void weir_loop_stop(weir_loop *loop);
/* One turn that waits at most `wait_ms` (-1: until something happens): for tests and the single process. */
void weir_loop_turn(weir_loop *loop, int wait_ms);

/* A handler that runs longer than this is logged with its name; 0: never.  Default 100 ms. */
void weir_loop_set_slow_ms(weir_loop *loop, unsigned slow_ms);

/* ---- descriptors */

enum {
    WEIR_READABLE = 1, /* data, or end of data, or an error: read tells */
    WEIR_WRITABLE = 2,
    WEIR_HANGUP = 4, /* the peer will send no more (EPOLLRDHUP), or an error is pending */
};

/*
 * A descriptor in the loop; lies inside of what owns it.  Edge-triggered, added once: `ready` is called with a mask of
 * the above when something changed, so handlers read or write until the kernel says EAGAIN or gave less than was asked.
 */
typedef struct weir_event {
    int fd;
    bool added;
    bool hears_writable; /* private: WEIR_WRITABLE is told, too */
    unsigned pending;    /* private: 1-based place in the turn's batch; 0: none */
    const char *name;    /* for the log */
    void (*ready)(struct weir_event *event, unsigned what);
} weir_event;

/* Both directions. */
bool weir_event_add(weir_loop *loop, weir_event *event) WEIR_MUST_USE;
/*
 * Reading alone: a socket that takes bytes nearly always says so with each thing that happens to it, and wakes the loop
 * for nothing when what woke it was read already.
 */
bool weir_event_add_reader(weir_loop *loop, weir_event *event) WEIR_MUST_USE;
/*
 * Whether WEIR_WRITABLE is told from now on; it is told at once when that is so already.  False,
 * logged: the kernel refuses.
 */
bool weir_event_hear_writable(weir_loop *loop, weir_event *event, bool hears) WEIR_MUST_USE;
/*
 * Level-triggered, for reading only; `exclusive`: EPOLLEXCLUSIVE, one of the
 * processes that wait is woken.  For listening sockets; removed and added again, never modified.
 */
bool weir_event_add_level(weir_loop *loop, weir_event *event, bool exclusive) WEIR_MUST_USE;
/* Also drops what the current turn still holds for it.  Harmless when not added. */
void weir_event_remove(weir_loop *loop, weir_event *event);
/*
 * As remove, then closes the descriptor and sets it to -1.  Costs no call but close(), which takes a descriptor that no
 * other process or dup() shares out of epoll.
 */
void weir_event_close(weir_loop *loop, weir_event *event);

/* ---- timers */

/*
 * A timer; lies inside of what owns it, zeroed before its first use.  Setting one that is set moves
 * it; moving later costs no heap operation (lazy).
 */
typedef struct weir_timer {
    uint64_t due_ms;    /* when `expired` is to run */
    uint64_t queued_ms; /* its place in the heap, never after due_ms */
    size_t position;    /* 1-based in the heap; 0: not set */
    const char *name;
    void (*expired)(struct weir_timer *timer);
} weir_timer;

/* False, and not set, only without memory for the heap to grow. */
bool weir_timer_set(weir_loop *loop, weir_timer *timer, uint64_t from_now_ms);
void weir_timer_clear(weir_loop *loop, weir_timer *timer);

static inline bool weir_timer_is_set(const weir_timer *timer)
{
    return timer->position != 0;
}

/* ---- posted tasks */

/* Work that must not run inside of a callback.  Zeroed, with `run` and `name` set, before use. */
typedef struct weir_task {
    weir_list link;
    bool posted;
    const char *name;
    void (*run)(struct weir_task *task);
} weir_task;

/* Runs once at the end of this turn, however often it was posted before. */
void weir_task_post(weir_loop *loop, weir_task *task);
void weir_task_cancel(weir_task *task);
/* Some are posted: the next turn will not wait. */
bool weir_loop_has_tasks(const weir_loop *loop);

/* ---- the small pool of threads for disk I/O */

/*
 * `work` runs on some thread and touches only what the job owns; then `done` runs in the loop.  When the loop is freed
 * first, `done` runs then, perhaps without `work`.
 */
typedef struct weir_job {
    struct weir_job *next;
    void (*work)(struct weir_job *job);
    void (*done)(struct weir_job *job);
} weir_job;

/*
 * Threads start at the first job.  False when no thread can be had or too many jobs wait: the caller then does the work
 * itself.
 */
bool weir_job_submit(weir_loop *loop, weir_job *job) WEIR_MUST_USE;
/* Before the first job; else 4 threads, and 65536 jobs that wait. */
void weir_loop_set_threads(weir_loop *loop, unsigned threads, size_t max_queue);

/* ---- signals, through signalfd: delivered as events, never in the middle of something */

/* Blocks the `signals` and calls `received` in the loop for each; `sender` is a process, 0 the kernel. */
bool weir_loop_on_signals(weir_loop *loop, const int *signals, size_t count,
                          void (*received)(int signal, int sender, void *subject),
                          void *subject) WEIR_MUST_USE;

#endif
