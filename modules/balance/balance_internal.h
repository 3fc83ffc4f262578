#ifndef WEIR_BALANCE_INTERNAL_H
#define WEIR_BALANCE_INTERNAL_H

#include <stdatomic.h>

#include "modules/balance/balance.h"

/*
 * What is known about a peer, in memory that all workers share.  Each member is one atomic word, and zero is how it
 * begins: a worker that is killed at any instruction leaves at worst one turn too many behind.
 */
struct weir_balance_state {
    _Atomic uint64_t key;        /* 0: free */
    _Atomic uint64_t generation; /* of the last configuration that has the peer */
    _Atomic uint64_t begun;      /* of the first */
    _Atomic int64_t current;     /* of the smooth weighted turns */
    _Atomic int64_t lost;        /* what failures took from the weight, won back by turns */
    _Atomic uint64_t fails;
    _Atomic uint64_t failed_ms;  /* monotonic: the last failure */
    _Atomic uint64_t checked_ms; /* the last failure, or the last try after fail_timeout */
};

typedef struct {
    weir_balance_peer *peers;
    size_t count;
} weir_balance_tier;

/* How a peer is chosen among those of a tier. */
typedef struct {
    const char *name;
    /* One that the pick has not tried and that is live; NULL: none. */
    weir_balance_peer *(*choose)(const weir_balance_pick *pick, const weir_balance_tier *tier,
                                 uint64_t now_ms);
} weir_balance_method;

extern const weir_balance_method weir_balance_round_robin;

enum { BALANCE_PRIMARY, BALANCE_BACKUP, BALANCE_TIERS };

struct weir_balance_group {
    weir_str name;
    const weir_balance_family *family;
    const weir_statement *statement; /* NULL: implied, or of run time */
    weir_array read;                 /* weir_balance_peer, as they are read */
    weir_balance_peer *peers;        /* primaries, then backups */
    size_t peer_count;
    weir_balance_tier tiers[BALANCE_TIERS];
    const weir_balance_method *method;
    struct weir_balance_zone *zone; /* NULL: the family's */

    struct {
        size_t max;     /* 0: none are kept */
        bool is_shared; /* among locations */
        uint64_t requests, time_ms, timeout_ms;
        unsigned said; /* bits of the directives that were given */
    } keepalive;

    /* ---- the worker's own */
    weir_list idle; /* of links, the one used last first */
    size_t idle_count;
};

/* Shared memory for the peers of some groups. */
typedef struct weir_balance_zone {
    weir_str name;
    struct weir_zone *zone;
    weir_array peers; /* weir_balance_peer * */
    uint64_t generation;
    struct weir_zone *counts; /* the ledger's; NULL: no peer has max_conns */
    weir_ledger connections;  /* a column for each state */
} weir_balance_zone;

/* All groups of a family in one configuration. */
typedef struct {
    const weir_balance_family *family;
    weir_map *named, *implied;
    weir_map *zones;
    weir_array groups;     /* weir_balance_group * */
    weir_balance_zone own; /* of groups without a zone */
} weir_balance_registry;

weir_balance_registry *weir_balance_registry_of_cycle(const weir_cycle *cycle,
                                                      const weir_balance_family *family);

/* ---- state.c */

/* A zone for states.  `bytes` 0: said elsewhere.  NULL: refused. */
bool weir_balance_zone_open(weir_conf *conf, weir_balance_zone *zone, size_t bytes) WEIR_MUST_USE;
/* Once its peers and its size are known: counts of their connections, if one has max_conns. */
bool weir_balance_zone_count(weir_conf *conf, weir_balance_zone *zone) WEIR_MUST_USE;
/* So many bytes hold the states of so many peers. */
size_t weir_balance_zone_bytes_for(size_t peers);
/* A peer's name in shared memory. */
uint64_t weir_balance_state_key(weir_str group, const weir_balance_peer *peer, size_t repeated);
/*
 * The states of `count` peers in `memory`: those that were there, or new ones.  False: they do not fit.
 */
bool weir_balance_states_claim(void *memory, size_t bytes, weir_balance_peer *const *peers,
                               size_t count, uint64_t generation) WEIR_MUST_USE;

bool weir_balance_is_live(const weir_balance_group *group, const weir_balance_peer *peer,
                          uint64_t now_ms);

static inline bool weir_balance_was_tried(const weir_balance_pick *pick,
                                          const weir_balance_peer *peer)
{
    return (pick->tried[peer->index / 64] >> peer->index % 64 & 1) != 0;
}

#endif
