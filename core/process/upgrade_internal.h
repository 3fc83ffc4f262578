#ifndef WEIR_PROCESS_UPGRADE_INTERNAL_H
#define WEIR_PROCESS_UPGRADE_INTERNAL_H

#include <sys/types.h>

#include "core/process/cycle.h"

/* ---- in the new binary */

/* Whether another binary started this one on its sockets; true until it was asked for these. */
bool weir_upgrade_is_one(void);

/* The greatest that the other binary knows of; 0: there is none, or it is not weir.  Until asked likewise. */
uint64_t weir_upgrade_generation(void);

/* What is handed over, out of the environment, where it is removed; NULL: nothing.  It lives in `pool`. */
typedef struct {
    const weir_zones *zones;
    weir_listeners *listeners;
} weir_inheritance;
weir_inheritance weir_upgrade_inherit(weir_pool *pool, const weir_log *log);

/* ---- in the old one */

/* The path of the program that `argv` started, before anybody replaces it.  NULL, logged. */
const char *weir_upgrade_program(weir_pool *pool, char *const *argv, const weir_log *log);

/*
 * Starts `program` with the cycle's sockets and zones.  `forked` is called in the child: it lets go of what is the
 * master's.  Returns its pid; -1, logged.
 */
pid_t weir_upgrade_start(const weir_cycle *cycle, const char *program, char *const *argv,
                         void (*forked)(void *subject), void *subject);

#endif
