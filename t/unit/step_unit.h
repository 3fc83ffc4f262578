/* Kill -9, or something else, behind any instruction.  A program includes it once: it defines what it declares. */

#ifndef WEIR_UNIT_STEP_UNIT_H
#define WEIR_UNIT_STEP_UNIT_H

#include "t/unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* For so many instructions.  Gives how many there were: fewer, if it came to its end. */
static uint64_t step(pid_t stepped, uint64_t instructions)
{
    for (uint64_t i = 0; i < instructions; i++) {
        int status;

        assert_int_equal(ptrace(PTRACE_SINGLESTEP, stepped, NULL, NULL), 0);
        assert_int_equal(waitpid(stepped, &status, 0), stepped);
        if (WIFEXITED(status)) {
            return i;
        }
    }
    return instructions;
}

/* Lets it do `act` for so many instructions, and kills it there.  Gives how many there were. */
static inline uint64_t step_and_kill(void (*act)(void *subject), void *subject,
                                     uint64_t instructions)
{
    pid_t victim = step_begin(act, subject);
    uint64_t count = step(victim, instructions);

    if (count == instructions) {
        assert_int_equal(kill(victim, SIGKILL), 0);
        assert_int_equal(waitpid(victim, NULL, 0), victim);
    }
    return count;
}

#endif
