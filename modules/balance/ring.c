#include "modules/balance/balance_internal.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/*
 * The ring of `hash KEY consistent`: as Cache::Memcached::Fast with ketama_points of 160, and as nginx has it.
 *
 * It is made of names, how many addresses each has, and weights.  So a view that has all of these from the one before has its
 * ring, too: servers that fail, rise, or are told otherwise make no new one.
 */

#define POINTS_A_WEIGHT 160
/* Of 8 bytes.  Beyond, each weight has fewer. */
#define POINTS_MAX ((size_t) BALANCE_RING_WEIGHTS_MAX * POINTS_A_WEIGHT)
#define CHUNK 4096

/* ---- names */

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

static bool named_sort(balance_tier *tier)
{
    name_of *names = malloc((tier->count + 1) * sizeof(*names));

    if (names == NULL) {
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

static bool is_sorted(const balance_tier *tier, const uint32_t *named)
{
    for (size_t i = 1; i < tier->count; i++) {
        const name_of left = {tier->peers[named[i - 1]].name, named[i - 1]};
        const name_of right = {tier->peers[named[i]].name, named[i]};

        if (name_compare(&left, &right) > 0) {
            return false;
        }
    }
    return true;
}

/* Peers in the order of their names, so that those of one name stand together: most often, in that of the view before. */
static bool named_make(const balance_view *before, balance_view *view, balance_tier *tier)
{
    const balance_tier *like = before == NULL ? NULL : &before->tiers[tier - view->tiers];

    tier->named = WEIR_NEW_ARRAY(view->pool, uint32_t, tier->count + 1);
    if (tier->named == NULL) {
        return false;
    }
    if (like == NULL || like->count != tier->count || !is_sorted(tier, like->named)) {
        return named_sort(tier);
    }
    memcpy(tier->named, like->named, tier->count * sizeof(*tier->named));
    return true;
}

/* The weight of a name is the largest that a peer of it has.  NULL: no memory. */
static balance_ring_name *ring_names_make(const balance_view *view, const balance_tier *tier,
                                          size_t *count)
{
    balance_ring_name *names = WEIR_NEW_ARRAY(view->pool, balance_ring_name, tier->count + 1);

    *count = 0;
    for (size_t i = 0; names != NULL && i < tier->count; i++) {
        const weir_balance_peer *peer = &tier->peers[tier->named[i]];

        if (*count == 0 || !weir_str_eq(names[*count - 1].name, peer->name)) {
            names[(*count)++] = (balance_ring_name){peer->name, 0, (uint32_t) i, 0};
        }
        names[*count - 1].count++;
        if (names[*count - 1].weight < peer->weight) {
            names[*count - 1].weight = peer->weight;
        }
    }
    return names;
}

static bool ring_is_of(const balance_ring *ring, const balance_ring_name *names, size_t count)
{
    if (ring == NULL || ring->name_count != count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (ring->names[i].weight != names[i].weight || ring->names[i].count != names[i].count
            || !weir_str_eq(ring->names[i].name, names[i].name)) {
            return false;
        }
    }
    return true;
}

/* ---- points */

uint32_t balance_crc(uint32_t crc, weir_str text)
{
    return (uint32_t) crc32(crc, (const unsigned char *) text.data, (unsigned) text.len);
}

/* Host and port of a server's name, with a zero byte between them; or path and zero byte. */
static uint32_t name_crc(weir_str name)
{
    weir_str host = name;
    weir_str port = WEIR_STR_EMPTY;
    uint32_t crc;

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
    crc = balance_crc(balance_crc(0, host), WEIR_STR("\0"));
    return balance_crc(crc, port);
}

/* At least one. */
static size_t points_of(const balance_ring_name *name, size_t total)
{
    size_t points = (size_t) name->weight * POINTS_A_WEIGHT;

    if (total > POINTS_MAX) {
        points = (size_t) ((double) points * (double) POINTS_MAX / (double) total);
    }
    return points == 0 ? 1 : points;
}

static void points_add(balance_ring *ring, uint32_t name, size_t points)
{
    uint32_t base = name_crc(ring->names[name].name);
    uint32_t hash = 0;

    for (size_t i = 0; i < points; i++) {
        const char before[] = {(char) hash, (char) (hash >> 8), (char) (hash >> 16),
                               (char) (hash >> 24)};

        hash = balance_crc(base, weir_str_of(before, sizeof(before)));
        ring->points[ring->point_count++] = (balance_point){hash, name};
    }
}

/* By hash; of one hash, as they were.  By digits: two million in 20 ms, where qsort() takes 400.  `other` is as large. */
static void points_sort(balance_point *points, balance_point *other, size_t count)
{
    enum { DIGITS = 4, VALUES = 256 };

    for (unsigned digit = 0; digit < DIGITS; digit++) {
        size_t places[VALUES] = {0};
        size_t place = 0;
        balance_point *sorted = other;

        for (size_t i = 0; i < count; i++) {
            places[points[i].hash >> 8 * digit & 0xff]++;
        }
        for (unsigned value = 0; value < VALUES; value++) {
            size_t of_value = places[value];

            places[value] = place;
            place += of_value;
        }
        for (size_t i = 0; i < count; i++) {
            sorted[places[points[i].hash >> 8 * digit & 0xff]++] = points[i];
        }
        other = points;
        points = sorted;
    }
}

/* Of points at one place, the first server's stays. */
static bool points_settle(balance_ring *ring)
{
    balance_point *other = malloc((ring->point_count + 1) * sizeof(*other));
    size_t kept = 0;

    if (other == NULL) {
        return false;
    }
    points_sort(ring->points, other, ring->point_count);
    free(other);
    for (size_t i = 0; i < ring->point_count; i++) {
        if (kept == 0 || ring->points[i].hash != ring->points[kept - 1].hash) {
            ring->points[kept++] = ring->points[i];
        }
    }
    ring->point_count = kept;
    return true;
}

/* ---- rings */

static bool ring_make(balance_ring *ring, const balance_ring_name *names, size_t count)
{
    size_t total = 0;
    size_t points = 0;

    ring->names = WEIR_NEW_ARRAY(ring->pool, balance_ring_name, count + 1);
    if (ring->names == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        ring->names[i] = names[i];
        if (!weir_str_copy(ring->pool, names[i].name, &ring->names[i].name)) {
            return false;
        }
        total += (size_t) names[i].weight * POINTS_A_WEIGHT;
    }
    ring->name_count = count;
    for (size_t i = 0; i < count; i++) {
        points += points_of(&names[i], total);
    }
    ring->points = WEIR_NEW_ARRAY(ring->pool, balance_point, points + 1);
    if (ring->points == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        points_add(ring, (uint32_t) i, points_of(&names[i], total));
    }
    return points_settle(ring);
}

static balance_ring *ring_new(const balance_ring_name *names, size_t count)
{
    weir_pool *pool;
    balance_ring *ring = WEIR_NEW_WITH_POOL(balance_ring, CHUNK, &pool);

    if (ring == NULL) {
        return NULL;
    }
    ring->pool = pool;
    ring->references = 1;
    if (!ring_make(ring, names, count)) {
        balance_ring_unref(ring);
        return NULL;
    }
    return ring;
}

bool balance_ring_prepare(const weir_balance_group *group, balance_view *view, balance_tier *tier)
{
    size_t count;
    balance_ring_name *names =
        named_make(group->view, view, tier) ? ring_names_make(view, tier, &count) : NULL;

    if (names == NULL) {
        return false;
    }
    for (unsigned i = 0; group->view != NULL && i < BALANCE_TIERS; i++) {
        balance_ring *before = group->view->tiers[i].ring;

        if (ring_is_of(before, names, count)) {
            before->references++;
            tier->ring = before;
            return true;
        }
    }
    tier->ring = ring_new(names, count);
    return tier->ring != NULL;
}

void balance_ring_unref(balance_ring *ring)
{
    if (ring != NULL && --ring->references == 0) {
        weir_pool_free(ring->pool);
    }
}

size_t balance_ring_find(const balance_ring *ring, uint32_t hash)
{
    size_t low = 0;
    size_t high = ring->point_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (ring->points[middle].hash < hash) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == ring->point_count ? 0 : low;
}
