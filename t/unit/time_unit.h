/* Time for a test to move on: that of the clocks, and that certificates are judged by. */

#ifndef WEIR_T_TIME_UNIT_H
#define WEIR_T_TIME_UNIT_H

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"

static int64_t time_unit_ahead_ms; /* of CLOCK_MONOTONIC and its kin */
static int64_t time_unit_ahead_s;  /* of time() */

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failed = (int) syscall(SYS_clock_gettime, clock, now);

    if (failed == 0 && (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE)) {
        now->tv_sec += (time_t) (time_unit_ahead_ms / 1000);
        now->tv_nsec += (long) (time_unit_ahead_ms % 1000) * 1000000;
        if (now->tv_nsec >= 1000000000) {
            now->tv_sec++;
            now->tv_nsec -= 1000000000;
        }
    }
    return failed;
}

time_t time(time_t *copy)
{
    struct timespec now;

    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    now.tv_sec += (time_t) time_unit_ahead_s;
    if (copy != NULL) {
        *copy = now.tv_sec;
    }
    return now.tv_sec;
}

static void time_unit_advance(int64_t ms)
{
    time_unit_ahead_ms += ms;
    weir_clock_update();
}

#endif
