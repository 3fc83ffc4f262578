#ifndef WEIR_PROCESS_PID_FILE_H
#define WEIR_PROCESS_PID_FILE_H

#include <sys/types.h>

#include "core/base/log.h"

/* Paths end with a NUL.  Failures are logged, in nginx's words. */

/* Whether it could be written; nothing is. */
bool weir_pid_file_try(const char *path, const weir_log *log) WEIR_MUST_USE;
bool weir_pid_file_write(const char *path, const weir_log *log) WEIR_MUST_USE;
/* Only if it still names this process. */
void weir_pid_file_remove(const char *path, const weir_log *log);
/* False, too, when there is no number in it. */
bool weir_pid_file_read(const char *path, pid_t *pid, const weir_log *log) WEIR_MUST_USE;

#endif
