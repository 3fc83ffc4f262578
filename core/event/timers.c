/*
 * Timers: a heap of four children each (flatter than a binary one, and its children share a line
 * of the cache), ordered by `queued_ms`.
 *
 * A timer that is set again for later, as those of connections are all the time, stays in its place; only
 * when that comes up is it put where it belongs.
 */

#include "core/event/loop_internal.h"

#include <limits.h>
#include <stdlib.h>

#include "core/base/number.h"

#define TIMERS_FIRST_CAPACITY 64
#define TIMERS_CHILDREN 4

static void timers_put(weir_loop *loop, weir_timer *timer, size_t at)
{
    loop->timers[at] = timer;
    timer->position = at + 1;
}

static void timers_sift_up(weir_loop *loop, weir_timer *timer, size_t at)
{
    while (at != 0) {
        size_t parent = (at - 1) / TIMERS_CHILDREN;

        if (loop->timers[parent]->queued_ms <= timer->queued_ms) {
            break;
        }
        timers_put(loop, loop->timers[parent], at);
        at = parent;
    }
    timers_put(loop, timer, at);
}

/* The earliest child, or `at` itself when it has none. */
static size_t timers_first_child(const weir_loop *loop, size_t at)
{
    size_t child = at * TIMERS_CHILDREN + 1;
    size_t end = child + TIMERS_CHILDREN;
    size_t first = child;

    if (child >= loop->timer_count) {
        return at;
    }
    if (end > loop->timer_count) {
        end = loop->timer_count;
    }
    while (++child < end) {
        if (loop->timers[child]->queued_ms < loop->timers[first]->queued_ms) {
            first = child;
        }
    }
    return first;
}

static void timers_sift_down(weir_loop *loop, weir_timer *timer, size_t at)
{
    size_t child;

    while ((child = timers_first_child(loop, at)) != at
           && loop->timers[child]->queued_ms < timer->queued_ms) {
        timers_put(loop, loop->timers[child], at);
        at = child;
    }
    timers_put(loop, timer, at);
}

static bool timers_reserve(weir_loop *loop)
{
    weir_timer **grown;
    size_t capacity = loop->timer_capacity == 0 ? TIMERS_FIRST_CAPACITY : loop->timer_capacity;
    size_t bytes;

    if (loop->timer_count < loop->timer_capacity) {
        return true;
    }

    if ((loop->timer_capacity != 0 && !weir_mul_size(capacity, 2, &capacity))
        || !weir_mul_size(capacity, sizeof(*grown), &bytes)) {
        return false;
    }

    grown = realloc(loop->timers, bytes);
    if (grown == NULL) {
        weir_log_line(loop->log, WEIR_LOG_CRIT, 0, "no memory for %zu timers", capacity);
        return false;
    }

    loop->timers = grown;
    loop->timer_capacity = capacity;
    return true;
}

bool weir_timer_set(weir_loop *loop, weir_timer *timer, uint64_t from_now_ms)
{
    uint64_t now_ms = weir_clock_now()->monotonic_ms;
    uint64_t due_ms = from_now_ms > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + from_now_ms;

    if (weir_timer_is_set(timer)) {
        timer->due_ms = due_ms;
        if (due_ms < timer->queued_ms) {
            timer->queued_ms = due_ms;
            timers_sift_up(loop, timer, timer->position - 1);
        }
        return true;
    }

    if (!timers_reserve(loop)) {
        return false;
    }

    timer->due_ms = timer->queued_ms = due_ms;
    timers_sift_up(loop, timer, loop->timer_count++);
    return true;
}

void weir_timer_clear(weir_loop *loop, weir_timer *timer)
{
    weir_timer *last;
    size_t at;

    if (!weir_timer_is_set(timer)) {
        return;
    }

    at = timer->position - 1;
    timer->position = 0;
    last = loop->timers[--loop->timer_count];
    if (last == timer) {
        return;
    }

    /* The last one comes from another branch, and may be earlier than those above. */
    if (last->queued_ms < timer->queued_ms) {
        timers_sift_up(loop, last, at);
    } else {
        timers_sift_down(loop, last, at);
    }
}

int weir_timers_wait_ms(const weir_loop *loop)
{
    uint64_t now_ms = weir_clock_now()->monotonic_ms;
    uint64_t left_ms;

    if (loop->timer_count == 0) {
        return -1;
    }
    if (loop->timers[0]->queued_ms <= now_ms) {
        return 0;
    }

    left_ms = loop->timers[0]->queued_ms - now_ms;
    return left_ms > INT_MAX ? INT_MAX : (int) left_ms;
}

void weir_timers_run(weir_loop *loop)
{
    uint64_t now_ms = weir_clock_now()->monotonic_ms;
    /* Those that handlers set for at once run in the next turn. */
    size_t left = loop->timer_count;

    while (left-- != 0 && loop->timer_count != 0 && loop->timers[0]->queued_ms <= now_ms) {
        weir_timer *timer = loop->timers[0];
        const char *name = timer->name;
        uint64_t begin_us;

        if (timer->due_ms > now_ms) {
            timer->queued_ms = timer->due_ms;
            timers_sift_down(loop, timer, 0);
            continue;
        }

        weir_timer_clear(loop, timer);
        begin_us = weir_slow_begin(loop);
        timer->expired(timer);
        weir_slow_end(loop, "timer", name, begin_us);
    }
}
