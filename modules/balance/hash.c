#include "modules/balance/balance_internal.h"

#include <stdlib.h>
#include <zlib.h>

/*
 * Methods that have a key choose, so that equal keys go to the same peer: ip_hash, hash, and hash … consistent.  Each
 * gives a key the peer that nginx gives it.  Peers that are away keep their places: their keys go elsewhere one by one.
 */

#define TRIES 20 /* then the next one in turn */
#define POINTS_A_WEIGHT 160
#define POINTS_MAX ((size_t) 5 << 20) /* of 12 bytes; beyond, each weight has fewer */

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

static uint32_t crc_of(uint32_t crc, weir_str text)
{
    return (uint32_t) crc32(crc, (const unsigned char *) text.data, (unsigned) text.len);
}

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
        crc = crc_of(crc_of(0, weir_builder_text(&prefix)), key);
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

/* ---- hash KEY consistent: as Cache::Memcached::Fast with ketama_points of 160 */

static int point_compare(const void *a, const void *b)
{
    const balance_point *left = a;
    const balance_point *right = b;

    if (left->hash != right->hash) {
        return left->hash < right->hash ? -1 : 1;
    }
    return left->first < right->first ? -1 : left->first > right->first;
}

/* Host and port of a server's name, with a zero byte between them; or path and zero byte. */
static uint32_t name_crc(weir_str name)
{
    weir_str host = name;
    weir_str port = WEIR_STR_EMPTY;

    if (weir_str_starts_nocase(name, WEIR_STR("unix:"))) {
        host = weir_str_from(name, sizeof("unix:") - 1);
    } else {
        for (size_t i = name.len; i > 0 && name.data[i - 1] >= '0' && name.data[i - 1] <= '9';
             i--) {
            if (i >= 2 && name.data[i - 2] == ':') {
                host = weir_str_slice(name, 0, i - 2);
                port = weir_str_from(name, i - 1);
            }
        }
    }
    return crc_of(crc_of(crc_of(0, host), weir_str_of("", 1)), port);
}

/* At least one. */
static size_t points_of(const weir_balance_peer *peer, size_t total)
{
    size_t points = (size_t) peer->weight * POINTS_A_WEIGHT;

    if (total > POINTS_MAX) {
        points = (size_t) ((double) points * (double) POINTS_MAX / (double) total);
    }
    return points == 0 ? 1 : points;
}

static void points_add(balance_tier *tier, uint32_t first, uint32_t count, size_t points)
{
    const weir_balance_peer *peer = &tier->peers[tier->named[first]];
    uint32_t base = name_crc(peer->name);
    uint32_t hash = 0;

    for (size_t i = 0; i < points; i++) {
        const char before[] = {(char) (hash & 0xff), (char) (hash >> 8 & 0xff),
                               (char) (hash >> 16 & 0xff), (char) (hash >> 24 & 0xff)};

        hash = crc_of(base, weir_str_of(before, sizeof(before)));
        tier->points[tier->point_count++] = (balance_point){hash, first, count};
    }
}

typedef struct {
    weir_str name;
    uint32_t peer;
} name_of;

static int name_compare(const void *a, const void *b)
{
    const name_of *left = a;
    const name_of *right = b;
    int order = weir_str_compare(left->name, right->name);

    return order != 0 ? order : left->peer < right->peer ? -1 : left->peer > right->peer;
}

/* Peers in the order of their names, so that those of one name stand together. */
static bool named_make(balance_view *view, balance_tier *tier)
{
    name_of *names = malloc((tier->count + 1) * sizeof(*names));

    tier->named = WEIR_NEW_ARRAY(view->pool, uint32_t, tier->count + 1);
    if (names == NULL || tier->named == NULL) {
        free(names);
        return false;
    }
    for (size_t i = 0; i < tier->count; i++) {
        names[i] = (name_of){tier->peers[i].name, (uint32_t) i};
    }
    qsort(names, tier->count, sizeof(*names), name_compare);
    for (size_t i = 0; i < tier->count; i++) {
        tier->named[i] = names[i].peer;
    }
    free(names);
    return true;
}

/* Of points at one place, the first server's stays. */
static void points_settle(balance_tier *tier)
{
    size_t kept = 0;

    qsort(tier->points, tier->point_count, sizeof(*tier->points), point_compare);
    for (size_t i = 0; i < tier->point_count; i++) {
        if (kept == 0 || tier->points[i].hash != tier->points[kept - 1].hash) {
            tier->points[kept++] = tier->points[i];
        }
    }
    tier->point_count = kept;
}

static bool consistent_prepare(const weir_balance_group *group, balance_view *view,
                               balance_tier *tier)
{
    size_t total = 0;
    size_t points = 0;

    for (size_t i = 0; i < tier->count; i++) {
        total += (size_t) tier->peers[i].weight * POINTS_A_WEIGHT;
    }
    for (size_t i = 0; i < tier->count; i++) {
        points += points_of(&tier->peers[i], total);
    }
    tier->points = WEIR_NEW_ARRAY(view->pool, balance_point, points + 1);
    if (tier->points == NULL || !named_make(view, tier)) {
        return false;
    }
    for (size_t i = 0, same; i < tier->count; i += same) {
        weir_str name = tier->peers[tier->named[i]].name;

        for (same = 1;
             i + same < tier->count && weir_str_eq(tier->peers[tier->named[i + same]].name, name);
             same++) {
        }
        points_add(tier, (uint32_t) i, (uint32_t) same,
                   points_of(&tier->peers[tier->named[i]], total));
    }
    points_settle(tier);
    return balance_turns_prepare(group, view, tier);
}

/* The first at or after the hash; past the last, the first of all. */
static size_t point_find(const balance_tier *tier, uint32_t hash)
{
    size_t low = 0;
    size_t high = tier->point_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (tier->points[middle].hash < hash) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == tier->point_count ? 0 : low;
}

/* Addresses of one name take turns. */
static weir_balance_peer *choose_named(const weir_balance_pick *pick, const balance_view *view,
                                       const balance_tier *tier, const balance_point *point,
                                       uint64_t now_ms)
{
    uint64_t turn = point->count == 1
                        ? 0
                        : atomic_fetch_add_explicit(&pick->group->words->turns[BALANCE_PRIMARY], 1,
                                                    memory_order_relaxed);

    for (uint32_t i = 0; i < point->count; i++) {
        weir_balance_peer *peer =
            &tier->peers[tier->named[point->first + (turn + i) % point->count]];

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
    size_t at = point_find(tier, crc_of(0, key_of(pick)));

    for (unsigned i = 0; i < TRIES; i++) {
        const balance_point *point = &tier->points[(at + i) % tier->point_count];
        weir_balance_peer *peer = choose_named(pick, view, tier, point, now_ms);

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
