#ifndef WEIR_BALANCE_INTERNAL_H
#define WEIR_BALANCE_INTERNAL_H

#include <stdatomic.h>

#include "modules/balance/balance.h"

/* ---- what all workers share: records of one size in a zone, found by key (records.c) */

/*
 * What is known about a peer.  Each member is one atomic word, and zero is how it begins: a process that is killed at
 * any instruction leaves at worst one count too many or too few behind.
 */
struct weir_balance_state {
    _Atomic uint64_t fails;             /* since it last proved good */
    _Atomic uint64_t failed_ms;         /* monotonic: the last failure */
    _Atomic uint64_t checked_ms;        /* that, or the last try after fail_timeout */
    _Atomic uint64_t risen_ms;          /* it came back then: slow_start; 0: it was never away */
    _Atomic uint64_t first_us, last_us; /* for least_time: averages; 0: nothing yet */
    /* For people. */
    _Atomic uint64_t failures, unavailable;
    _Atomic uint64_t checks, checks_failed, checks_fell;
    _Atomic uint64_t down_ms;     /* monotonic: since when it is; 0: it is not */
    _Atomic uint64_t downtime_ms; /* before that */
    /* By check, a bit each; the keeper's, like `health`, which they make. */
    _Atomic uint32_t failing, pending;
    _Atomic uint32_t health;      /* balance_health */
    _Atomic uint32_t last_passed; /* the last check: 1, or 0 */
};

typedef enum {
    BALANCE_HEALTHY,   /* or not checked at all */
    BALANCE_UNHEALTHY, /* by active checks */
    BALANCE_CHECKING,  /* not checked yet, and checks are mandatory */
} balance_health;

/* What a group's workers share. */
typedef struct {
    _Atomic uint64_t members;  /* grows when membership or settings change: seen at the next pick */
    _Atomic uint64_t weather;  /* grows when a peer falls or rises: seen soon */
    _Atomic uint64_t turns[2]; /* by tier: how many were taken */
    _Atomic uint64_t next_id;
    _Atomic uint64_t extras;    /* grows when a peer is made that no configuration has */
    _Atomic uint64_t overflows; /* of the queue */
} balance_words;

#define BALANCE_CODES 18

/* What one worker counts of one peer (traffic.c): nobody else writes here, except to set it to zero. */
typedef struct balance_traffic {
    _Atomic uint64_t requests, responses[5], sent, received;
    _Atomic uint64_t selected_ms, connect_us, first_us, last_us;
    _Atomic uint64_t codes[BALANCE_CODES];
    _Atomic uint64_t handshakes, resumed, refused[WEIR_TLS_REFUSALS];
} balance_traffic;

/* Settings of a server, as changed or added at run time. */
typedef struct {
    _Atomic uint64_t weight, max_conns, max_fails, fail_timeout_ms, slow_start_ms;
    _Atomic uint64_t flags; /* BALANCE_IS_… */
} balance_settings;

enum {
    BALANCE_IS_BACKUP = 1,
    BALANCE_IS_DOWN = 2,
    BALANCE_IS_DRAINING = 4,
    BALANCE_IS_RESOLVED = 8, /* a name that the keeper looks up again and again */
    BALANCE_HAS_ROUTE = 16,  /* of a configured server: the text's route stands for its own */
};
/*
 * Above these, of an address of a name: which of its settings are its own (WEIR_BALANCE_HAS_…),
 * and not its server's.
 */
#define BALANCE_OWN_SHIFT 16
#define BALANCE_OWN_ALL UINT64_C(0xff) /* but for the name */

#define BALANCE_ROUTE_MAX 32 /* as in nginx */

/*
 * An address that DNS says a name has, what it says of it, and the route that it was given at run time.  Of one that is
 * a peer already the keeper changes words only, which workers read meanwhile.
 */
typedef struct {
    weir_addr addr;
    _Atomic uint32_t weight; /* 0: as its server's */
    _Atomic bool is_backup;
    uint8_t route_len;
    char route[BALANCE_ROUTE_MAX];
    uint64_t target; /* of a service: which of its targets has it; the keeper's */
} balance_resolved;

/*
 * A group, a peer, or a server whose addresses are looked up.  What the configuration says of it
 * is in the configuration of each generation; here is what is known of it, and what was changed at
 * run time.  Only the master, before it forks, and the keeper make records and change them;
 * `state` is everybody's.
 */
typedef struct {
    _Atomic uint64_t key;        /* 0: free */
    _Atomic uint64_t group;      /* the key of its group; of a group: its own */
    _Atomic uint64_t generation; /* of the last configuration that has it */
    _Atomic uint64_t begun;      /* of the first */
    _Atomic uint64_t id;         /* in its group, for people */
    /* One word each commits a change. */
    _Atomic uint64_t is_added; /* at run time: `settings` and `text` hold */
    _Atomic uint64_t parent;   /* not 0: an address of the server with this key; `resolved` holds */
    _Atomic uint64_t removed;  /* the digest of the configured server that was taken away */
    _Atomic uint64_t patched;  /* the digest of the configured server that `settings` stands for; of
                                  an address, the mark of its name (balance_name_mark) */
    balance_settings settings;
    union {
        struct weir_balance_state state;
        balance_words words;
    };
    union {
        balance_resolved resolved;
        struct {
            uint16_t name_len, route_len, service_len;
            char text[WEIR_BALANCE_TEXTS_MAX];
        };
    };
} balance_record;

/* ---- what a configuration says */

typedef weir_balance_server balance_server;

/* An address of a configured server, or, if its name is looked up by the keeper, the place of its addresses. */
typedef struct {
    const balance_server *server;
    weir_addr addr; /* len 0: it had none, so it is down */
    weir_str text;
    uint64_t key;
    balance_record *record;
    /* Of a name that is looked up again and again: what it had when the configuration was read. */
    weir_addr *first;
    size_t first_count;
} balance_seat;

/* ---- what a worker sees of a group (view.c) */

enum { BALANCE_PRIMARY, BALANCE_BACKUP, BALANCE_TIERS };

/* A place on the ring of consistent hashing. */
typedef struct {
    uint32_t hash;
    uint32_t name; /* whose it is: in the ring's `names` */
} balance_point;

/* A name that peers have. */
typedef struct {
    weir_str name;
    uint32_t weight;
    uint32_t first, count; /* in a tier's `named`: they stand side by side */
} balance_ring_name;

/* All places; shared by views of the same names, with as many addresses, and weights (ring.c). */
typedef struct {
    size_t references;
    weir_pool *pool;
    balance_ring_name *names;
    size_t name_count;
    balance_point *points;
    size_t point_count;
} balance_ring;

/* Peers of equal standing. Indexes are those within `peers`. */
typedef struct {
    weir_balance_peer *peers;
    size_t count;
    /* Those that take new requests, as far as can be told for a while. */
    uint32_t *live;
    size_t live_count;

    /* ---- what methods make of them; each knows its own */
    uint32_t *turns; /* the order of a whole round */
    size_t turn_count;
    size_t
        next_look;  /* in `live`: who is looked at next when turns found nobody; the worker's own */
    uint64_t *sums; /* of weights, up to and with each */
    balance_ring *ring; /* NULL: another method */
    uint32_t *named;    /* by name */
    struct balance_tree *tree;
} balance_tier;

/* A server whose addresses the keeper looks up. */
typedef struct {
    uint64_t key, id;
    balance_server server;
} balance_name;

/* A sticky value and whose it is; sorted. */
typedef struct {
    weir_str value;
    weir_balance_peer *peer;
} balance_mark;

/* Peers as they are for a while.  Never changes, but for what methods note; a pick that is at a peer of it keeps it. */
typedef struct balance_view {
    size_t references;
    weir_pool *pool;
    uint64_t members, weather; /* as of when it was made */
    uint64_t made_ms;
    uint64_t stale_ms;        /* something is to change then by itself */
    weir_balance_peer *peers; /* primaries, then backups */
    size_t count;
    size_t down_count; /* of them: as the configuration, or the API, says */
    balance_tier tiers[BALANCE_TIERS];
    balance_mark *marks; /* of cookies or routes */
    size_t mark_count;
    balance_name *names;
    size_t name_count;
} balance_view;

/* How a peer is chosen among those of a tier. */
typedef struct {
    const char *name;
    /* Makes of a new view's tier what `choose` needs.  False: no memory. */
    bool (*prepare)(const weir_balance_group *group, balance_view *view, balance_tier *tier);
    /* One that the pick may go to; NULL: none. */
    weir_balance_peer *(*choose)(weir_balance_pick *pick, balance_view *view, unsigned tier,
                                 uint64_t now_ms);
    /* The number of connections of the peer fell.  NULL: all the same. */
    void (*freed)(const weir_balance_group *group, balance_view *view, weir_balance_peer *peer);
    bool takes_backups; /* as nginx has it */
    bool hashes;        /* peers that are away keep their places, and slow_start is not looked at */
} balance_method;

extern const balance_method balance_round_robin, balance_least_conn, balance_least_time,
    balance_random, balance_ip_hash, balance_hash, balance_hash_consistent;

typedef enum {
    BALANCE_BY_CONNECTIONS, /* and nothing else */
    BALANCE_BY_CONNECT,     /* the time until it is connected to */
    BALANCE_BY_FIRST_BYTE,  /* … until the first of an answer, or all of its head, is there */
    BALANCE_BY_LAST_BYTE,
} balance_measure;

struct balance_sticky;
struct balance_queue;
struct balance_zone;

/* Connections that a worker keeps between requests, and the rules for them. */
struct balance_kept {
    size_t max;     /* 0: none are kept */
    bool is_shared; /* among locations */
    uint64_t requests, time_ms, timeout_ms;
    unsigned said; /* bits of the directives that were given */
    /* ---- the worker's own */
    weir_list idle; /* of links, the one used last first */
    size_t count;
    _Atomic uint32_t *told; /* that, for all workers to see; NULL: nowhere */
};


struct weir_balance_group {
    weir_str name;
    const weir_balance_family *family;
    const weir_statement *statement; /* NULL: implied, or of run time */
    uint64_t key;
    weir_array servers; /* balance_server * */
    balance_seat *seats;
    size_t seat_count;
    weir_array read;     /* balance_seat, while it is read */
    weir_str state_file; /* empty: none */
    bool has_server_lines;
    struct balance_zone *zone;
    balance_words *words;

    const balance_method *method;
    bool method_is_said;
    const weir_template *hash_key;
    balance_measure measure; /* of least_time, and random two */
    bool counts_inflight;    /* least_time … inflight */
    bool measures_time;
    bool picks_two;                    /* random two */
    struct balance_sticky *sticky;     /* NULL: none */
    struct balance_queue *queue;       /* NULL: none */
    struct weir_balance_check *checks; /* a list: health.h */
    const weir_resolver_settings *resolver;
    uint64_t resolver_timeout_ms;

    balance_kept own_kept;
    balance_kept *kept; /* where its connections wait: its own, or, of run time, the registry's */

    /* ---- the worker's own */
    balance_view *view; /* NULL: none was made yet */
};

/* This worker's requests under way at a peer. */
typedef struct {
    uint64_t count, started_us_sum;
} balance_open;

/* Shared memory for the records of some groups. */
typedef struct balance_zone {
    weir_str name;
    bool is_own; /* of groups that name none */
    const char *layout, *counts_layout;
    struct weir_zone *zone;
    weir_array groups; /* weir_balance_group * */
    uint64_t generation;
    balance_record *records;
    size_t count;
    balance_open *open;       /* the worker's own, a column for each record; NULL: nobody asks */
    struct weir_zone *counts; /* memory of what follows */
    /*
     * A column for each record: connections, or, of a group's own, who waits in its queue.  Then
     * one more: idle ones.
     */
    weir_ledger connections;
    void *traffic; /* a column for each record; NULL: not opened yet */
} balance_zone;

/* All groups of a family in one configuration. */
typedef struct balance_registry {
    struct balance_registry *next; /* of another family */
    const weir_balance_family *family;
    weir_map *named, *implied;
    weir_map *zones;
    weir_array groups;               /* weir_balance_group * */
    balance_kept kept;               /* of addresses that are known at run time only */
    balance_zone own;                /* of groups without a zone */
    struct balance_lookups *lookups; /* the keeper's, while it works */
    struct balance_control *control; /* NULL: nothing is changed at run time */
} balance_registry;

balance_registry *balance_registry_of_cycle(const weir_cycle *cycle,
                                            const weir_balance_family *family);

/* ---- records.c */

/* A zone for records.  `bytes` 0: said elsewhere.  False: refused. */
bool balance_zone_open(weir_conf *conf, const weir_balance_family *family, balance_zone *zone,
                       size_t bytes) WEIR_MUST_USE;
/* Once its groups and its size are known. */
bool balance_zone_settle(weir_conf *conf, balance_zone *zone) WEIR_MUST_USE;
/* The number of records that its groups take; and the bytes for a number of records, with room for as many more. */
size_t balance_zone_needs(const balance_zone *zone);
size_t balance_zone_bytes_for(size_t records);

/* By the keeper; as slow as there are records.  NULL: there is none; there is no room. */
balance_record *balance_record_find(const balance_zone *zone, uint64_t key);
balance_record *balance_record_make(balance_zone *zone, weir_balance_group *group, uint64_t key);
/*
 * A server that was taken away comes back: as a new one, but for requests of its former life that
 * go on.  Also, one that a killed keeper was about to make.
 */
void balance_record_renew(weir_balance_group *group, balance_record *record);
/*
 * An address of the server with the key `parent`, which it was not until now; nothing of its
 * settings is its own.  NULL: no room.
 */
balance_record *balance_record_resolve(weir_balance_group *group, uint64_t parent, weir_str text,
                                       const balance_resolved *resolved);
/* The seat of a record that the configuration has, and that was not taken away.  NULL: it has none. */
balance_seat *balance_seat_of(const weir_balance_group *group, const balance_record *record);
/* It is no peer any more; what is known of it stays until the room is needed. */
void balance_record_give_up(balance_record *record);

uint64_t balance_group_key(const weir_balance_group *group);
size_t balance_group_column(const weir_balance_group *group);
/* A peer's name in shared memory; `repeated`: how many of the same name came before. */
uint64_t balance_peer_key(uint64_t group, weir_str text, bool is_backup, size_t repeated);
uint64_t balance_server_digest(const balance_server *server);

/* ---- traffic.c: `memory` is zero at first */

/* 0: too many. */
size_t balance_traffic_bytes(size_t columns);
void balance_traffic_clear(void *memory, size_t columns, size_t column);
/* A worker died: its averages of times are dropped, as they would stay for ever; its counts stay. */
void balance_traffic_gone(void *memory, size_t columns, size_t slot);
/* The place that this worker counts in. */
balance_traffic *balance_traffic_own(void *memory, size_t columns, size_t column);
void balance_traffic_selected(balance_traffic *own, uint64_t now_ms);
void balance_traffic_count(balance_traffic *own, unsigned status, uint64_t sent, uint64_t received);
void balance_traffic_handshake(balance_traffic *own, const weir_connection *connection,
                               bool is_established);
void balance_traffic_sum(void *memory, size_t columns, size_t column, weir_balance_traffic *sum);
/* A moving one.  Two workers that do this at once lose one of two times, which is no loss. */
void balance_average(_Atomic uint64_t *mean, uint64_t us);

/* ---- view.c */

/* As it is now: made anew if something has changed.  NULL: no memory, and there never was one. */
balance_view *balance_view_now(weir_balance_group *group, uint64_t now_ms);
balance_view *balance_view_ref(balance_view *view);
void balance_view_unref(balance_view *view);
/* For a group without records.  NULL: no memory. */
balance_view *balance_view_of_addrs(weir_pool *pool, weir_str name, const weir_addr *addrs,
                                    size_t count);
/* What a server's settings are now, whatever the configuration says. */
balance_server balance_seat_now(const balance_seat *seat, bool *is_there);
balance_server balance_record_server(const balance_record *record);
/* An address' settings: its server's, what DNS says, and what is its own.  The route is the record's. */
balance_server balance_address_now(const weir_balance_group *group, const balance_record *record,
                                   const balance_name *name);
/* What an address' own settings are tied to: they end when its server's line in the configuration is another one. */
uint64_t balance_name_mark(const weir_balance_group *group, const balance_name *name);

/* ---- pick.c */

/* Whether it takes requests: alive, not full; `is_alone`: nobody stands in for it. */
bool balance_is_live(const weir_balance_peer *peer, bool is_alone, uint64_t now_ms);
/* Live, not tried, and open for new sessions. */
bool balance_may_take(const weir_balance_pick *pick, const balance_view *view,
                      const weir_balance_peer *peer, uint64_t now_ms);
uint64_t balance_connections(const weir_balance_peer *peer);
bool balance_was_tried(const weir_balance_pick *pick, const weir_balance_peer *peer);
/* Goes to a peer if there is one. */
bool balance_pick_try(weir_balance_pick *pick, uint64_t now_ms);
/* Where this process counts; without workers it is the only one. */
size_t balance_own_slot(void);
void balance_weather_changed(const weir_balance_group *group);
/* How long a peer is down, for people. */
void balance_down_begin(weir_balance_state *state);
void balance_down_end(weir_balance_state *state, uint64_t then_ms);
/* It failed too often, and is left alone until then. */
bool balance_is_failing(const weir_balance_peer *peer, bool is_alone, uint64_t now_ms,
                        uint64_t *until_ms);

/* ---- round_robin.c */

bool balance_turns_prepare(const weir_balance_group *group, balance_view *view, balance_tier *tier);
/* For methods that found nobody their own way, too: the next one in turn. */
weir_balance_peer *balance_choose_in_turn(weir_balance_pick *pick, balance_view *view,
                                          unsigned number, uint64_t now_ms);

/* ---- ring.c: of `hash KEY consistent` */

/* The weights of a tier's names, in all, for which keys go where nginx sends them; beyond, each has fewer places. */
#define BALANCE_RING_WEIGHTS_MAX 13107

/* Makes the tier's `named` and `ring`.  False: no memory. */
bool balance_ring_prepare(const weir_balance_group *group, balance_view *view, balance_tier *tier);
void balance_ring_unref(balance_ring *ring);
/* Of nginx's hashes (CRC-32); `crc` is that of what stands before. */
uint32_t balance_crc(uint32_t crc, weir_str text);
/* The first point at or after the hash; past the last, the first of all. */
size_t balance_ring_find(const balance_ring *ring, uint32_t hash);

/* ---- random.c */

/* The first whose sum is above `wanted`, or the last. */
size_t balance_sums_find(const uint64_t *sums, size_t count, uint64_t wanted);

/* ---- least.c */

/* How busy: the less the better.  Infinite: it takes no new sessions now. */
double balance_load(const weir_balance_group *group, const balance_view *view,
                    const weir_balance_peer *peer, uint64_t now_ms);

/* ---- sticky.c */

/* Makes the view's marks.  False: no memory. */
bool balance_sticky_prepare(const weir_balance_group *group, balance_view *view);
/* The peer of the pick's session; asked once a pick.  NULL: there is none, or it takes no requests. */
weir_balance_peer *balance_sticky_find(weir_balance_pick *pick, const balance_view *view,
                                       uint64_t now_ms);
/* The session's peer did not do, and the pick went to another one. */
void balance_sticky_leave(weir_balance_pick *pick, const weir_balance_peer *peer);
void balance_sticky_moved(weir_balance_pick *pick);

/* ---- queue.c */

/* `ready` is called when the pick is at a peer, or has waited for too long.  False: it may not wait. */
bool balance_queue_wait(weir_balance_pick *pick, void (*ready)(weir_balance_pick *pick));
/* If it waits, it waits no more. */
void balance_queue_leave(weir_balance_pick *pick);
void balance_queue_freed(const weir_balance_group *group);
void balance_queue_stop(weir_worker *worker, const weir_balance_group *group);
/* How many wait in all workers, and may; false: there is no queue. */
bool balance_queue_look(const weir_balance_group *group, uint64_t *waiting, uint64_t *max);

/* ---- idle.c */

/* In the ledger: of the connections that workers keep. */
size_t balance_idle_column(const weir_balance_group *group);

/* ---- health.c */

/* While reading, once the group is known.  False: refused. */
bool balance_check_add(weir_conf *conf, struct weir_balance_check *check) WEIR_MUST_USE;
/* What is known of a peer is brought in line with the checks that there are. */
void balance_health_claim(const weir_balance_group *group, weir_balance_state *state, bool is_new);

/* ---- control.c */

/* A worker's half, and the keeper's, which goes on where one that was killed did not; apart from the event loop. */
bool balance_change_ask(const struct balance_control *control, weir_balance_change *change,
                        unsigned slot) WEIR_MUST_USE;
void balance_changes_carry_out(const struct balance_control *control, const weir_log *log);
/* `outcome` and `id` are set, and the call is another's. */
bool balance_change_answered(weir_balance_change *change) WEIR_MUST_USE;

/* ---- report.c */

/* As weir_balance_server_next(). */
bool balance_server_next(const weir_balance_group *group, size_t *position,
                         balance_name *found) WEIR_MUST_USE;

/* ---- resolve.c */

bool balance_lookups_register(weir_conf *conf, balance_registry *registry) WEIR_MUST_USE;

/* ---- group.c */

/* A server that was read: its places are added to the group.  False: refused. */
bool balance_server_settle(weir_conf *conf, weir_balance_group *group,
                           balance_server *server) WEIR_MUST_USE;

/* ---- state_file.c */

/* False: logged. */
bool balance_state_write(const weir_balance_group *group, const weir_log *log);

/* ---- server.c */

void balance_server_begin(balance_server *server, weir_str name);
typedef enum {
    BALANCE_PARAMETER_GOOD,
    BALANCE_PARAMETER_WRONG,
    BALANCE_PARAMETER_UNKNOWN,
} balance_parameter;
/* One of "weight=5", "backup" …; texts are borrowed. */
balance_parameter balance_server_parameter(balance_server *server, weir_str text);
/* What is asked for (WEIR_BALANCE_HAS_…) takes the place of what there is. */
void balance_server_merge(balance_server *server, const balance_server *asked, unsigned mask);

#endif
