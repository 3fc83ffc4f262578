#ifndef WEIR_BASE_RANDOM_H
#define WEIR_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Unpredictable bytes from the kernel (getrandom); never fails once the process has started. */
void weir_random_bytes(void *bytes, size_t len);

/* Fast and predictable: spreading load, jitter.  Seeded per process, again after fork by weir_random_reseed(). */
uint64_t weir_random_fast(void);
void weir_random_reseed(void);

#endif
