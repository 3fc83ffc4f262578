/* Kill -9, or something else, behind any instruction.  A program includes it once: it defines what it declares. */

#ifndef WEIR_UNIT_STEP_UNIT_H
#define WEIR_UNIT_STEP_UNIT_H

#include "t/unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/random.h"

/*
 * Where each instruction of the act stands that was counted last.  A single step is dear: so the
 * next one that does the act runs to a breakpoint nearby.
 */
static struct {
    uintptr_t at[1 << 20];
    uint64_t count;
} step_trace;

/* A process of its own that is about to do `act`. Skips the test where no process may be traced. */
static pid_t step_begin(void (*act)(void *subject), void *subject)
{
    pid_t stepped = fork();
    int status;

    assert_true(stepped != -1);
    if (stepped == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1) {
            _exit(EPERM);
        }
        raise(SIGSTOP);
        act(subject);
        _exit(0);
    }

    assert_int_equal(waitpid(stepped, &status, 0), stepped);
    if (WIFEXITED(status)) {
        print_message("no process may be traced here\n");
        skip();
    }
    return stepped;
}

/* False: it has come to its end. */
static bool step_resume(pid_t stepped, enum __ptrace_request request)
{
    int status;

    assert_int_equal(ptrace(request, stepped, NULL, NULL), 0);
    assert_int_equal(waitpid(stepped, &status, 0), stepped);
    return !WIFEXITED(status);
}

#if defined(__x86_64__)

#define STEP_BREAKPOINT 0xcc /* int3 */

static uintptr_t step_place(pid_t stepped)
{
    long place = ptrace(PTRACE_PEEKUSER, stepped, offsetof(struct user, regs.rip), NULL);

    return (uintptr_t) place;
}

/* Runs until it is at `place` for the time after `passes`. False: it has come to its end. */
static bool step_run_to(pid_t stepped, uintptr_t place, uint64_t passes)
{
    long code = ptrace(PTRACE_PEEKTEXT, stepped, place, NULL);
    long trapped = (code & ~0xffL) | STEP_BREAKPOINT;

    for (uint64_t i = 0;; i++) {
        assert_int_equal(ptrace(PTRACE_POKETEXT, stepped, place, trapped), 0);
        if (!step_resume(stepped, PTRACE_CONT)) {
            return false;
        }
        assert_true(step_place(stepped) == place + 1);
        assert_int_equal(ptrace(PTRACE_POKETEXT, stepped, place, code), 0);
        assert_int_equal(ptrace(PTRACE_POKEUSER, stepped, offsetof(struct user, regs.rip), place),
                         0);
        if (i == passes) {
            return true;
        }
        if (!step_resume(stepped, PTRACE_SINGLESTEP)) {
            return false;
        }
    }
}

/*
 * Brings it close to where so many instructions are behind it: gives how many are. UINT64_MAX: it
 * has come to its end.
 */
static uint64_t step_near(pid_t stepped, uint64_t instructions)
{
    enum { NEAR = 64 };
    uint64_t best = 0, best_passes = 0, best_cost = instructions;

    for (uint64_t i = instructions > NEAR ? instructions - NEAR : 1; i <= instructions; i++) {
        uint64_t passes = 0;

        for (uint64_t before = 0; before < i; before++) {
            passes += step_trace.at[before] == step_trace.at[i];
        }
        if (3 * passes + 1 + instructions - i < best_cost) {
            best = i;
            best_passes = passes;
            best_cost = 3 * passes + 1 + instructions - i;
        }
    }
    return best == 0 || step_run_to(stepped, step_trace.at[best], best_passes) ? best : UINT64_MAX;
}

#else

static uintptr_t step_place(pid_t stepped)
{
    (void) stepped;
    return 0;
}

static uint64_t step_near(pid_t stepped, uint64_t instructions)
{
    (void) stepped;
    (void) instructions;
    return 0;
}

#endif

/* The first instructions behind which something holds that can be seen from here, and then no more. */
typedef struct {
    bool (*holds)(void *of);
    void *of;
    uint64_t from, to;
} step_span;

/* How many instructions the act has, which is done to its end. `span` may be NULL. */
static uint64_t step_count_span(void (*act)(void *subject), void *subject, step_span *span)
{
    enum { OFTEN = 8 };
    pid_t stepped = step_begin(act, subject);

    step_trace.count = 0;
    do {
        assert_true(step_trace.count < WEIR_COUNT(step_trace.at));
        if (span != NULL && step_trace.count % OFTEN == 0 && span->to == 0) {
            if (span->holds(span->of)) {
                span->from = span->from == 0 ? step_trace.count : span->from;
            } else if (span->from != 0) {
                span->to = step_trace.count;
            }
        }
        step_trace.at[step_trace.count++] = step_place(stepped);
    } while (step_resume(stepped, PTRACE_SINGLESTEP));
    return --step_trace.count;
}

static inline uint64_t step_count(void (*act)(void *subject), void *subject)
{
    return step_count_span(act, subject, NULL);
}

/* For so many instructions, fewer than were counted.  False: it has come to its end, as it went another way. */
static inline bool step(pid_t stepped, uint64_t instructions)
{
    uint64_t i = step_near(stepped, instructions);

    while (i < instructions && step_resume(stepped, PTRACE_SINGLESTEP)) {
        i++;
    }
    return i == instructions;
}

/* Lets it come to its end. */
static inline void step_out(pid_t stepped)
{
    assert_false(step_resume(stepped, PTRACE_CONT));
}

/* Lets it do `act` for so many instructions, and kills it there. */
static inline void step_and_kill(void (*act)(void *subject), void *subject, uint64_t instructions)
{
    pid_t victim = step_begin(act, subject);

    if (step(victim, instructions)) {
        assert_int_equal(kill(victim, SIGKILL), 0);
        assert_int_equal(waitpid(victim, NULL, 0), victim);
    }
}

/*
 * Instructions at which to stop, spread over all of them however many there is time for: the next
 * one.  False: the time is over, and there were `least`.
 */
typedef struct {
    uint64_t all, budget_us, began_us, at;
    unsigned least, count;
} step_points;

static inline bool step_next(step_points *points)
{
    uint64_t now_us = weir_clock_monotonic_us();

    if (points->count == 0) {
        points->began_us = now_us;
        points->at = weir_random_fast();
    }
    if (points->count >= points->least && now_us - points->began_us >= points->budget_us) {
        return false;
    }
    points->count++;
    points->at = (points->at + points->all * 89 / 144 + 1) % points->all; /* by the golden ratio */
    return true;
}

#endif
