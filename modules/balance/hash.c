#include "modules/balance/balance_internal.h"

/*
 * Methods that have a key choose, so that equal keys go to the same peer: ip_hash, hash, and hash … consistent.  Each
 * gives a key the peer that nginx gives it.  Peers that are away keep their places: their keys go elsewhere one by one.
 */

#define TRIES 20 /* then the next one in turn */

static bool places_prepare(const weir_balance_group *group, balance_view *view, balance_tier *tier)
{
    uint64_t sum = 0;

    tier->sums = WEIR_NEW_ARRAY(view->pool, uint64_t, tier->count + 1);
    if (tier->sums == NULL) {
        return false;
    }
    for (size_t i = 0; i < tier->count; i++) {
        sum += tier->peers[i].weight;
        tier->sums[i] = sum;
    }
    return balance_turns_prepare(group, view, tier);
}

static weir_balance_peer *place_of(const balance_tier *tier, uint64_t hash)
{
    return &tier->peers[balance_sums_find(tier->sums, tier->count,
                                          hash % tier->sums[tier->count - 1])];
}

/* ---- ip_hash: networks of 256 IPv4 addresses, or single IPv6 addresses */

#define IP_HASH_BEGIN 89
#define IP_HASH_FACTOR 113
#define IP_HASH_MODULUS 6271

static uint32_t ip_hash_further(const weir_addr *addr, uint32_t hash)
{
    static const uint8_t none[3];
    const uint8_t *bytes = none;
    size_t count = sizeof(none);

    if (addr != NULL && addr->len != 0 && addr->sa.sa_family == AF_INET) {
        bytes = (const uint8_t *) &addr->in.sin_addr;
    } else if (addr != NULL && addr->len != 0 && addr->sa.sa_family == AF_INET6) {
        bytes = addr->in6.sin6_addr.s6_addr;
        count = sizeof(addr->in6.sin6_addr.s6_addr);
    }
    for (size_t i = 0; i < count; i++) {
        hash = (hash * IP_HASH_FACTOR + bytes[i]) % IP_HASH_MODULUS;
    }
    return hash;
}

static weir_balance_peer *ip_hash_choose(weir_balance_pick *pick, balance_view *view,
                                         unsigned number, uint64_t now_ms)
{
    const balance_tier *tier = &view->tiers[number];

    if (pick->hash_tries == 0) {
        pick->hash = IP_HASH_BEGIN;
    }
    while (pick->hash_tries < TRIES) {
        weir_balance_peer *peer;

        pick->hash_tries++;
        pick->hash = ip_hash_further(pick->subject.client_addr, pick->hash);
        peer = place_of(tier, pick->hash);
        if (balance_may_take(pick, view, peer, now_ms)) {
            return peer;
        }
    }
    return balance_choose_in_turn(pick, view, number, now_ms);
}

const balance_method balance_ip_hash = {
    .name = "ip_hash",
    .prepare = places_prepare,
    .choose = ip_hash_choose,
    .hashes = true,
};

/* ---- hash KEY: as Cache::Memcached */

/* Evaluated once a pick.  Empty, without variables. */
static weir_str key_of(const weir_balance_pick *pick)
{
    weir_str key = WEIR_STR_EMPTY;

    if (pick->subject.script == NULL
        || !weir_template_text(pick->group->hash_key, pick->subject.script, &key)) {
        return WEIR_STR_EMPTY;
    }
    return key;
}

static weir_balance_peer *hash_choose(weir_balance_pick *pick, balance_view *view, unsigned number,
                                      uint64_t now_ms)
{
    const balance_tier *tier = &view->tiers[number];
    weir_str key = key_of(pick);

    while (pick->hash_tries < TRIES && key.len != 0) {
        char digits[12];
        weir_builder prefix;
        weir_balance_peer *peer;
        uint32_t crc;

        /* The first time the key alone; then "1key", "2key" … are added to what was. */
        weir_builder_over(&prefix, digits, sizeof(digits));
        if (pick->hash_tries != 0) {
            weir_builder_add_uint(&prefix, pick->hash_tries);
        }
        pick->hash_tries++;
        crc = balance_crc(balance_crc(0, weir_builder_text(&prefix)), key);
        pick->hash += crc >> 16 & 0x7fff;
        peer = place_of(tier, pick->hash);
        if (balance_may_take(pick, view, peer, now_ms)) {
            return peer;
        }
    }
    return balance_choose_in_turn(pick, view, number, now_ms);
}

const balance_method balance_hash = {
    .name = "hash",
    .prepare = places_prepare,
    .choose = hash_choose,
    .hashes = true,
};

/* ---- hash KEY consistent */

static bool consistent_prepare(const weir_balance_group *group, balance_view *view,
                               balance_tier *tier)
{
    return balance_ring_prepare(group, view, tier) && balance_turns_prepare(group, view, tier);
}

/* Addresses of one name take turns. */
static weir_balance_peer *choose_named(const weir_balance_pick *pick, const balance_view *view,
                                       const balance_tier *tier, const balance_ring_name *name,
                                       uint64_t now_ms)
{
    uint64_t turn = name->count == 1
                        ? 0
                        : atomic_fetch_add_explicit(&pick->group->words->turns[BALANCE_PRIMARY], 1,
                                                    memory_order_relaxed);

    for (uint32_t i = 0; i < name->count; i++) {
        weir_balance_peer *peer = &tier->peers[tier->named[name->first + (turn + i) % name->count]];

        if (balance_may_take(pick, view, peer, now_ms)) {
            return peer;
        }
    }
    return NULL;
}

static weir_balance_peer *consistent_choose(weir_balance_pick *pick, balance_view *view,
                                            unsigned number, uint64_t now_ms)
{
    const balance_tier *tier = &view->tiers[number];
    const balance_ring *ring = tier->ring;
    size_t at = balance_ring_find(ring, balance_crc(0, key_of(pick)));

    for (unsigned i = 0; i < TRIES; i++) {
        const balance_point *point = &ring->points[(at + i) % ring->point_count];
        weir_balance_peer *peer = choose_named(pick, view, tier, &ring->names[point->name], now_ms);

        if (peer != NULL) {
            return peer;
        }
    }
    return balance_choose_in_turn(pick, view, number, now_ms);
}

const balance_method balance_hash_consistent = {
    .name = "hash consistent",
    .prepare = consistent_prepare,
    .choose = consistent_choose,
    .hashes = true,
};
