#ifndef WEIR_BASE_BYTES_INTERNAL_H
#define WEIR_BASE_BYTES_INTERNAL_H

/* Strings read a word at a time: what hashing and comparing in str.c and map.c have in common. */

#include <stdint.h>
#include <string.h>

static inline uint64_t bytes_load8(const char *data)
{
    uint64_t word;

    memcpy(&word, data, sizeof(word));
    return word;
}

static inline uint32_t bytes_load4(const char *data)
{
    uint32_t word;

    memcpy(&word, data, sizeof(word));
    return word;
}

/*
 * Up to 7 bytes as one word.  Strings of one length give equal words only
 * when they are equal; for which byte stands where, nobody may care.
 */
static inline uint64_t bytes_load_short(const char *data, size_t len)
{
    if (len >= 4) {
        return (uint64_t) bytes_load4(data) << 32 | bytes_load4(data + len - 4);
    }

    if (len == 0) {
        return 0;
    }

    return (uint64_t) (unsigned char) data[0] << 16 | (uint64_t) (unsigned char) data[len / 2] << 8
           | (uint64_t) (unsigned char) data[len - 1];
}

/*
 * Eight bytes at once: those in A..Z become a..z, all others stay.  The sums
 * reach the top bit of a byte from 'A' on, and from past 'Z' on; without the
 * bytes' own top bits no sum carries into the next byte.
 */
static inline uint64_t bytes_lower8(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101;
    uint64_t low = word & (ones * 0x7f);
    uint64_t from_a = low + ones * (0x80 - 'A');
    uint64_t past_z = low + ones * (0x80 - 'Z' - 1);
    uint64_t letters = from_a & ~past_z & ~word & (ones * 0x80);

    return word | letters >> 2;
}

#endif
