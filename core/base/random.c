#include "core/base/random.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/types.h>

/* Without unpredictable bytes no key or seed is worth anything: there is nothing to go on with. */
void weir_random_bytes(void *bytes, size_t len)
{
    char *at = bytes;

    while (len != 0) {
        ssize_t got = getrandom(at, len, 0);

        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            abort();
        }

        at += got;
        len -= (size_t) got;
    }
}

/* SplitMix64 (Steele, Lea, Flood): a counter, and a mix of its value. */
static uint64_t random_counter;
static bool random_seeded;

void weir_random_reseed(void)
{
    weir_random_bytes(&random_counter, sizeof(random_counter));
    random_seeded = true;
}

uint64_t weir_random_fast(void)
{
    uint64_t mixed;

    if (!random_seeded) {
        weir_random_reseed();
    }

    random_counter += 0x9e3779b97f4a7c15;
    mixed = (random_counter ^ random_counter >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return mixed ^ mixed >> 31;
}
