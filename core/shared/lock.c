#include "core/shared/lock.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define LOCK_PATIENCE_S 1

/*
 * What a waiter tries before it sleeps: longer than most locks are held, and less than a sleep costs.  On one processor
 * it is in vain, but short.
 */
#define LOCK_TRIES 30

void weir_shared_lock_init(weir_shared_lock *lock)
{
    pthread_mutexattr_t shared;

    /* These fail for unknown attributes only. */
    if (pthread_mutexattr_init(&shared) != 0
        || pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED) != 0
        || pthread_mutexattr_setrobust(&shared, PTHREAD_MUTEX_ROBUST) != 0
        || pthread_mutex_init(&lock->mutex, &shared) != 0) {
        abort();
    }

    pthread_mutexattr_destroy(&shared);
}

static inline void lock_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int lock_wait(weir_shared_lock *lock)
{
    struct timespec until;

    for (unsigned i = 0; i < LOCK_TRIES; i++) {
        int error = pthread_mutex_trylock(&lock->mutex);

        if (error != EBUSY) {
            return error;
        }
        lock_pause();
    }

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LOCK_PATIENCE_S;
    return pthread_mutex_clocklock(&lock->mutex, CLOCK_MONOTONIC, &until);
}

weir_lock_taking weir_shared_lock_take(weir_shared_lock *lock)
{
    int error = pthread_mutex_trylock(&lock->mutex);

    if (WEIR_UNLIKELY(error == EBUSY)) {
        error = lock_wait(lock);
    }

    if (WEIR_LIKELY(error == 0)) {
        return WEIR_LOCK_TAKEN;
    }

    /* Whole again at once: if this process dies as well, the kernel marks it as it did now. */
    return error == EOWNERDEAD && pthread_mutex_consistent(&lock->mutex) == 0 ? WEIR_LOCK_INHERITED
                                                                              : WEIR_LOCK_MISSED;
}

void weir_shared_lock_give(weir_shared_lock *lock)
{
    (void) pthread_mutex_unlock(&lock->mutex);
}
