#include "core/base/hash.h"

#include "core/base/bytes_internal.h"

/*
 * SipHash-1-3 (Aumasson and Bernstein): of the keyed hashes that withstand
 * chosen keys the quickest for short strings.
 */
typedef struct {
    uint64_t v0, v1, v2, v3;
} hash_sip;

static inline uint64_t hash_rotate(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static inline void hash_sip_round(hash_sip *sip)
{
    sip->v0 += sip->v1;
    sip->v2 += sip->v3;
    sip->v1 = hash_rotate(sip->v1, 13) ^ sip->v0;
    sip->v3 = hash_rotate(sip->v3, 16) ^ sip->v2;
    sip->v0 = hash_rotate(sip->v0, 32);
    sip->v2 += sip->v1;
    sip->v0 += sip->v3;
    sip->v1 = hash_rotate(sip->v1, 17) ^ sip->v2;
    sip->v3 = hash_rotate(sip->v3, 21) ^ sip->v0;
    sip->v2 = hash_rotate(sip->v2, 32);
}

static inline void hash_sip_add(hash_sip *sip, uint64_t word)
{
    sip->v3 ^= word;
    hash_sip_round(sip);
    sip->v0 ^= word;
}

uint64_t weir_hash_keyed(weir_str s, bool nocase, const uint64_t key[static 2])
{
    hash_sip sip = {
        .v0 = key[0] ^ 0x736f6d6570736575,
        .v1 = key[1] ^ 0x646f72616e646f6d,
        .v2 = key[0] ^ 0x6c7967656e657261,
        .v3 = key[1] ^ 0x7465646279746573,
    };
    size_t whole = s.len & ~(size_t) 7;
    uint64_t last = bytes_load_short(s.len == 0 ? NULL : s.data + whole, s.len - whole);
    uint64_t hash;

    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word = bytes_load8(s.data + i);

        hash_sip_add(&sip, nocase ? bytes_lower8(word) : word);
    }

    hash_sip_add(&sip, nocase ? bytes_lower8(last) : last);
    hash_sip_add(&sip, s.len);

    sip.v2 ^= 0xff;
    hash_sip_round(&sip);
    hash_sip_round(&sip);
    hash_sip_round(&sip);
    hash = sip.v0 ^ sip.v1 ^ sip.v2 ^ sip.v3;
    return hash == 0 ? 1 : hash;
}
