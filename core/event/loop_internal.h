#ifndef WEIR_EVENT_LOOP_INTERNAL_H
#define WEIR_EVENT_LOOP_INTERNAL_H

#include <sys/epoll.h>

#include "core/base/clock.h"
#include "core/event/loop.h"

/*
 * Events of one epoll_wait(); with more than this ready, the cost of another call is lost among
 * that of their handlers.
 */
#define WEIR_LOOP_BATCH 512

typedef struct weir_threads weir_threads;
typedef struct weir_signals weir_signals;

struct weir_loop {
    const weir_log *log;
    bool stopping;

    /* epoll.c */
    int epoll_fd;
    unsigned batch_count;
    struct epoll_event batch[WEIR_LOOP_BATCH];

    /* timers.c: a heap of four children each, ordered by queued_ms */
    weir_timer **timers;
    size_t timer_count, timer_capacity;

    /* tasks.c */
    weir_list posted;

    /* threads.c, signals.c: NULL until they are first used */
    weir_threads *threads;
    unsigned thread_limit;
    size_t job_limit;
    weir_signals *signals;

    /* loop.c: slow handlers */
    unsigned slow_ms;
    unsigned watched_turns; /* in so many turns from now each handler is timed */

    void *attached;
    void (*attached_done)(void *attached);
};

bool weir_epoll_open(weir_loop *loop) WEIR_MUST_USE;
void weir_epoll_close(weir_loop *loop);
/* Waits, updates the clock, and runs the handlers of what is ready. */
void weir_epoll_turn(weir_loop *loop, int wait_ms);

/* -1: no timer is set; 0: one is due. */
int weir_timers_wait_ms(const weir_loop *loop);
void weir_timers_run(weir_loop *loop);

void weir_tasks_run(weir_loop *loop);

void weir_threads_free(weir_threads *threads);
void weir_signals_free(weir_signals *signals, weir_loop *loop);

/*
 * Handlers are timed only for a while after a turn was slow: a clock reading for each of them would
 * be a good part of what the loop itself costs.
 */
static inline uint64_t weir_slow_begin(const weir_loop *loop)
{
    return WEIR_LIKELY(loop->watched_turns == 0) ? 0 : weir_clock_monotonic_us();
}
void weir_slow_check(weir_loop *loop, const char *kind, const char *name, uint64_t begin_us);

static inline void weir_slow_end(weir_loop *loop, const char *kind, const char *name,
                                 uint64_t begin_us)
{
    if (WEIR_UNLIKELY(begin_us != 0)) {
        weir_slow_check(loop, kind, name, begin_us);
    }
}

#endif
