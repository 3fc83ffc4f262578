#ifndef WEIR_PROCESS_DAEMON_INTERNAL_H
#define WEIR_PROCESS_DAEMON_INTERNAL_H

#include "core/base/log.h"

/*
 * Goes to the background: a session of its own, no terminal.  The process that was started stays until
 * weir_daemon_settled() and exits with 0, or with 1, and says so, if the one in the background ends before: whoever
 * started it knows then whether it serves.  Returns in the background only; false, logged: it could not be had.
 */
typedef struct {
    int told; /* -1: nobody waits */
} weir_daemon;
bool weir_daemon_begin(weir_daemon *daemon, const weir_log *log) WEIR_MUST_USE;
void weir_daemon_settled(weir_daemon *daemon);

#endif
