/* Kill -9 behind any instruction.  A program includes it once: it defines what it declares. */

#ifndef WEIR_UNIT_STEP_UNIT_H
#define WEIR_UNIT_STEP_UNIT_H

#include "t/unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Lets a process of its own do `act`, for so many instructions, and kills it there.  Gives how many there were: fewer, if it
 * came to its end.  Skips the test where no process may be traced.
 */
static uint64_t step_and_kill(void (*act)(void *subject), void *subject, uint64_t instructions)
{
    pid_t victim = fork();
    int status;

    assert_true(victim != -1);
    if (victim == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1) {
            _exit(EPERM);
        }
        raise(SIGSTOP);
        act(subject);
        _exit(0);
    }

    assert_int_equal(waitpid(victim, &status, 0), victim);
    if (WIFEXITED(status)) {
        print_message("no process may be traced here\n");
        skip();
    }
    for (uint64_t i = 0; i < instructions; i++) {
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, victim, NULL, NULL), 0);
        assert_int_equal(waitpid(victim, &status, 0), victim);
        if (WIFEXITED(status)) {
            return i;
        }
    }
    assert_int_equal(kill(victim, SIGKILL), 0);
    assert_int_equal(waitpid(victim, NULL, 0), victim);
    return instructions;
}

#endif
