#ifndef WEIR_SHARED_LOCK_H
#define WEIR_SHARED_LOCK_H

#include <pthread.h>

#include "core/base/result.h"

#include <stdbool.h>

/*
 * A lock in memory that processes share, which outlives its holder: kill -9 of a process at any instruction gives
 * its locks back, and the next holder is told.
 *
 * The kernel knows the holder by its thread and gives the lock back in its exit (a robust futex): no process number is
 * kept that another process could come to have.  It is held for less than a microsecond or so, never over anything that
 * may wait.
 */
typedef struct {
    pthread_mutex_t mutex;
} weir_shared_lock;

typedef enum {
    WEIR_LOCK_TAKEN,
    WEIR_LOCK_INHERITED, /* taken, and who had it before died in the middle of something */
    WEIR_LOCK_MISSED,    /* not taken within a second: its holder is stopped, or the machine is */
} weir_lock_taking;

/* Once, before the memory is shared. */
void weir_shared_lock_init(weir_shared_lock *lock);

/*
 * Waits in the kernel for whoever has it; never for ever.  After WEIR_LOCK_INHERITED what it guards is to be mended
 * before it is given back; should the mender die, too, the next one inherits again.
 */
weir_lock_taking weir_shared_lock_take(weir_shared_lock *lock) WEIR_MUST_USE;
void weir_shared_lock_give(weir_shared_lock *lock);

#endif
