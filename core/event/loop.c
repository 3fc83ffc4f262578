/* A turn of the loop, and what is timed in it. */

#include "core/event/loop_internal.h"

#include <stdlib.h>

#define SLOW_PRESET_MS 100
/* Enough for the slow handler to come again, few enough to cost nothing in the long run. */
#define SLOW_WATCHED_TURNS 1000
#define THREADS_PRESET 4
#define JOBS_PRESET 65536

weir_loop *weir_loop_new(const weir_log *log)
{
    weir_loop *loop = calloc(1, sizeof(*loop));

    if (loop == NULL) {
        weir_log_line(log, WEIR_LOG_EMERG, 0, "no memory for an event loop");
        return NULL;
    }

    loop->log = log;
    loop->slow_ms = SLOW_PRESET_MS;
    loop->thread_limit = THREADS_PRESET;
    loop->job_limit = JOBS_PRESET;
    weir_list_init(&loop->posted);

    if (!weir_epoll_open(loop)) {
        free(loop);
        return NULL;
    }

    weir_clock_update();
    return loop;
}

void weir_loop_free(weir_loop *loop)
{
    if (loop == NULL) {
        return;
    }

    if (loop->attached_done != NULL) {
        loop->attached_done(loop->attached);
    }
    weir_threads_free(loop->threads);
    weir_signals_free(loop->signals, loop);
    weir_epoll_close(loop);
    free(loop->timers);
    free(loop);
}

const weir_log *weir_loop_log(const weir_loop *loop)
{
    return loop->log;
}

void weir_loop_attach(weir_loop *loop, void *attached, void (*done)(void *attached))
{
    loop->attached = attached;
    loop->attached_done = done;
}

void *weir_loop_attached(const weir_loop *loop)
{
    return loop->attached;
}

void weir_loop_run(weir_loop *loop)
{
    while (!loop->stopping) {
        weir_loop_turn(loop, -1);
    }
    loop->stopping = false;
}

void weir_loop_stop(weir_loop *loop)
{
    loop->stopping = true;
}

/* ---- slow handlers */

void weir_loop_set_slow_ms(weir_loop *loop, unsigned slow_ms)
{
    loop->slow_ms = slow_ms;
}

void weir_slow_check(weir_loop *loop, const char *kind, const char *name, uint64_t begin_us)
{
    uint64_t took_ms = (weir_clock_monotonic_us() - begin_us) / 1000;

    if (loop->slow_ms != 0 && took_ms >= loop->slow_ms) {
        weir_log_line(loop->log, WEIR_LOG_WARN, 0, "%s \"%s\" held the event loop for %llu ms",
                      kind, name == NULL ? "" : name, (unsigned long long) took_ms);
    }
}

static void slow_turn(weir_loop *loop)
{
    uint64_t took_ms;

    if (loop->slow_ms == 0) {
        return;
    }

    took_ms = weir_clock_monotonic_us() / 1000 - weir_clock_now()->monotonic_ms;
    if (WEIR_LIKELY(took_ms < loop->slow_ms)) {
        if (loop->watched_turns != 0) {
            loop->watched_turns--;
        }
        return;
    }

    if (loop->watched_turns == 0) {
        weir_log_line(loop->log, WEIR_LOG_WARN, 0,
                      "a turn of the event loop, for %u descriptors, took %llu ms: its handlers "
                      "are timed for a while",
                      loop->batch_count, (unsigned long long) took_ms);
    }
    loop->watched_turns = SLOW_WATCHED_TURNS;
}

/* ---- a turn */

/* The shorter of two waits, where -1 is for ever. */
static int loop_shorter(int a, int b)
{
    if (a < 0 || b < 0) {
        return a < 0 ? b : a;
    }
    return a < b ? a : b;
}

void weir_loop_turn(weir_loop *loop, int wait_ms)
{
    if (!weir_list_is_empty(&loop->posted)) {
        wait_ms = 0;
    }

    weir_epoll_turn(loop, loop_shorter(wait_ms, weir_timers_wait_ms(loop)));
    weir_timers_run(loop);
    weir_tasks_run(loop);
    slow_turn(loop);
}
