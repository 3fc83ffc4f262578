#ifndef WEIR_PROCESS_MASTER_H
#define WEIR_PROCESS_MASTER_H

#include "core/process/cycle.h"

/* How weir was called. */
typedef struct {
    char *const *argv;         /* for the title and for an upgrade; NULL ends */
    weir_conf_options options; /* of every configuration that is read */
} weir_invocation;

/*
 * Reads the configuration, goes to the background if it says so, and runs until a signal ends it: as the master, or,
 * with master_process off, as the only process.  Returns the exit code.
 */
int weir_master_main(const weir_invocation *invocation);

#endif
