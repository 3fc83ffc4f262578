#ifndef WEIR_BALANCE_BALANCE_H
#define WEIR_BALANCE_BALANCE_H

#include "core/conf/conf.h"
#include "core/conf/module.h"
#include "core/net/connection.h"
#include "core/net/resolver.h"
#include "core/process/worker.h"
#include "core/script/script.h"
#include "core/shared/ledger.h"
#include "core/tls/origin.h"

/*
 * Upstream groups: which peer a request or session goes to, what is known about peers, and open
 * connections to them that wait for use.  Knows no protocol; http and stream have a family each.
 */
typedef struct weir_balance_group weir_balance_group;

/* ---- reading */

/* What least_time may measure until, as the family calls it; "last_byte" is everybody's. */
typedef struct {
    const char *connect; /* NULL: not there */
    const char *first_byte;
} weir_balance_times;

typedef struct {
    const char *name;      /* "http", "stream" */
    uint16_t default_port; /* of a server without one; 0: it must be said */
    weir_balance_times times;
    bool has_responses; /* with a status each; else what goes to a peer is a session */
} weir_balance_family;

/*
 * `enter` and `leave` of a family's `upstream` block, whose inner context its rows open.  The level's owner
 * is the group.
 */
weir_level *weir_balance_enter(weir_conf *conf, weir_level *outer, const weir_statement *statement,
                               const weir_balance_family *family);
bool weir_balance_leave(weir_conf *conf, weir_level *level,
                        const weir_statement *statement) WEIR_MUST_USE;
/* Once all is read: shared memory for what no `zone` is named for. */
bool weir_balance_configured(weir_conf *conf, const weir_balance_family *family) WEIR_MUST_USE;

/* Calls of the rows below, in a level whose owner is the group.  False: refused. */
bool weir_balance_server_call(weir_conf *conf, void *settings, const weir_statement *statement);
bool weir_balance_state_call(weir_conf *conf, void *settings, const weir_statement *statement);
bool weir_balance_zone_call(weir_conf *conf, void *settings, const weir_statement *statement);
bool weir_balance_least_conn_call(weir_conf *conf, void *settings, const weir_statement *statement);
bool weir_balance_least_time_call(weir_conf *conf, void *settings, const weir_statement *statement);
bool weir_balance_random_call(weir_conf *conf, void *settings, const weir_statement *statement);
bool weir_balance_hash_call(weir_conf *conf, void *settings, const weir_statement *statement);
bool weir_balance_ip_hash_call(weir_conf *conf, void *settings, const weir_statement *statement);
bool weir_balance_sticky_call(weir_conf *conf, void *settings, const weir_statement *statement);
bool weir_balance_queue_call(weir_conf *conf, void *settings, const weir_statement *statement);
bool weir_balance_keepalive_call(weir_conf *conf, void *settings, const weir_statement *statement);

bool weir_balance_resolver_call(weir_conf *conf, void *settings, const weir_statement *statement);
bool weir_balance_resolver_timeout_call(weir_conf *conf, void *settings,
                                        const weir_statement *statement);
/* In the family's `leave`: what holds where the block itself says no `resolver`.  NULL: the system's. */
void weir_balance_resolver_default(weir_balance_group *group,
                                   const weir_resolver_settings *settings, uint64_t timeout_ms);

#define WEIR_BALANCE_ROW(NAME, WHERE, MIN, MAX, CALL, SYNTAX, DOC)                                 \
    {                                                                                              \
        .name = NAME, .where = WHERE, .takes = WEIR_TAKES(MIN, MAX),                               \
        .slot = WEIR_SLOT_ONLY_CALL(CALL), .syntax = SYNTAX, .doc = DOC                            \
    }

/* Rows for the inside of `upstream`: for every family, and for one that keeps connections. */
#define WEIR_BALANCE_DIRECTIVES(WHERE, TIMES)                                                      \
    WEIR_BALANCE_ROW("server", WHERE, 1, 255, weir_balance_server_call, "address [parameters]",    \
                     "A peer of the group: an address, or a name with all of its addresses."),     \
        WEIR_BALANCE_ROW("zone", WHERE, 1, 2, weir_balance_zone_call, "name [size]",               \
                         "The shared memory that the state of the peers is kept in."),             \
        WEIR_BALANCE_ROW("state", WHERE, 1, 1, weir_balance_state_call, "file",                    \
                         "The file that servers are kept in which the API adds."),                 \
        WEIR_BALANCE_ROW("least_conn", WHERE, 0, 0, weir_balance_least_conn_call, "",              \
                         "Chooses the peer with the fewest connections for its weight."),          \
        WEIR_BALANCE_ROW("least_time", WHERE, 1, 2, weir_balance_least_time_call,                  \
                         TIMES " [inflight]",                                                      \
                         "Chooses by the time that answers take, and by connections."),            \
        WEIR_BALANCE_ROW("random", WHERE, 0, 2, weir_balance_random_call, "[two [method]]",        \
                         "Chooses by chance, as weights say; or the less busy one of two."),       \
        WEIR_BALANCE_ROW("hash", WHERE, 1, 2, weir_balance_hash_call, "key [consistent]",          \
                         "Has a key choose; consistent: few keys move when peers come or go."),    \
        WEIR_BALANCE_ROW("resolver", WHERE, 1, 255, weir_balance_resolver_call,                    \
                         WEIR_RESOLVER_SYNTAX, "The DNS servers for `resolve` and `service=`."),   \
        WEIR_BALANCE_ROW("resolver_timeout", WHERE, 1, 1, weir_balance_resolver_timeout_call,      \
                         "time", "How long one look-up of a name may take.")
/* For a family that has sessions within connections. */
#define WEIR_BALANCE_SESSION_DIRECTIVES(WHERE)                                                     \
    WEIR_BALANCE_ROW("ip_hash", WHERE, 0, 0, weir_balance_ip_hash_call, "",                        \
                     "Has the client's address choose, by networks of 256."),                      \
        WEIR_BALANCE_ROW(                                                                          \
            "sticky", WHERE, 1, 255, weir_balance_sticky_call,                                     \
            "cookie name [expires=time] [domain=domain] [httponly] [samesite=strict|lax|none] "    \
            "[secure] [path=path] [secret=text] | route $variable ... | learn create=$variable "   \
            "lookup=$variable zone=name:size [timeout=time] [header] [sync]",                      \
            "Has the requests of a session go to the same peer."),                                 \
        WEIR_BALANCE_ROW("queue", WHERE, 1, 2, weir_balance_queue_call, "number [timeout=time]",   \
                         "How many requests may wait for a peer to become free.")
#define WEIR_BALANCE_KEEPALIVE_DIRECTIVES(WHERE)                                                   \
    WEIR_BALANCE_ROW("keepalive", WHERE, 1, 2, weir_balance_keepalive_call, "connections [local]", \
                     "How many idle connections to the peers each worker keeps; \"local\" keeps "  \
                     "those of each location apart."),                                             \
        WEIR_BALANCE_ROW("keepalive_requests", WHERE, 1, 1, weir_balance_keepalive_call, "number", \
                         "The number of requests that one kept connection may carry."),            \
        WEIR_BALANCE_ROW("keepalive_time", WHERE, 1, 1, weir_balance_keepalive_call, "time",       \
                         "How long a connection may carry requests."),                             \
        WEIR_BALANCE_ROW("keepalive_timeout", WHERE, 1, 1, weir_balance_keepalive_call, "timeout", \
                         "How long an idle connection is kept.")

/*
 * The group of that name, for a directive at `argument` of the statement being applied.  NULL: there is
 * none; a literal address or host name is then to be given to weir_balance_group_implied().
 */
weir_balance_group *weir_balance_group_find(weir_conf *conf, const weir_balance_family *family,
                                            weir_str name);
/* The same at run time, for names from variables. */
weir_balance_group *weir_balance_group_of_cycle(const weir_cycle *cycle,
                                                const weir_balance_family *family, weir_str name);
/*
 * A group of one server without a block: a host that proxy_pass names.  Equal hosts and ports share it.  A name
 * that cannot be looked up is a warning, and a peer that is down.  NULL: refused.
 */
weir_balance_group *weir_balance_group_implied(weir_conf *conf, const weir_balance_family *family,
                                               weir_str host, uint16_t default_port);
/*
 * A group of addresses that are known at run time only, the first of which comes first; lives in
 * `pool`. Its idle connections wait with those of all such groups of the cycle, in each worker.
 * An empty name is that of the first address.  NULL: no memory.
 */
weir_balance_group *weir_balance_group_of_addrs(weir_pool *pool, const weir_cycle *cycle,
                                                const weir_balance_family *family, weir_str name,
                                                const weir_addr *addrs, size_t count);

weir_str weir_balance_group_name(const weir_balance_group *group);
/* Its own, in full: not just one of the same name. */
const weir_balance_family *weir_balance_group_family(const weir_balance_group *group);

/* To be called in each worker, from the family's module. */
bool weir_balance_worker_start(weir_worker *worker,
                               const weir_balance_family *family) WEIR_MUST_USE;
void weir_balance_worker_stop(weir_worker *worker, const weir_balance_family *family);

/* ---- choosing */

typedef struct weir_balance_state weir_balance_state;

typedef struct {
    weir_addr addr;
    weir_str text;  /* "127.0.0.1:80", for logs and $upstream_addr */
    weir_str name;  /* as `server` says it */
    weir_str route; /* empty: none */
    uint32_t weight, max_conns, max_fails;
    uint64_t fail_timeout_ms, slow_start_ms;
    weir_str service; /* of `server`; empty: none */
    bool is_backup, is_down, is_draining;
    uint64_t id; /* in the group, for people */
    uint64_t
        parent; /* that of the server whose name has this address; UINT64_MAX: it is a server itself */
    uint64_t key;   /* of its record in shared memory */
    uint64_t share; /* its weight in hundredths, less while it starts slowly */
    weir_balance_state *state;
    const weir_ledger *connections; /* who has how many open; NULL: not counted */
    struct balance_traffic
        *traffic;  /* where this worker counts what it does, for people; NULL: nowhere */
    size_t column; /* there */
    size_t index;  /* in what a worker sees of the group */
} weir_balance_peer;

/* Whose way through a group it is: what keys are read from. All of it must outlive the pick. */
typedef struct {
    weir_pool *pool;
    weir_script *script;          /* NULL: there are no variables */
    const weir_addr *client_addr; /* NULL: not known */
    const weir_log *log;
} weir_balance_subject;

/* One request's or session's way through a group; inside of what owns it. */
typedef struct weir_balance_pick weir_balance_pick;
struct weir_balance_pick {
    weir_balance_group *group;
    weir_balance_subject subject;
    const weir_balance_peer *peer; /* the one it is at, until weir_balance_done(); NULL: none */
    size_t tries_left;             /* peers that it may still go to */

    /* private to balance */
    struct balance_view *view;                            /* that the peer is of */
    size_t tried_few[8], *tried, tried_count, tried_size; /* columns */
    uint64_t began_us;
    uint64_t began_ms, connect_ms, first_ms; /* the latter since then; UINT64_MAX: not yet */
    uint32_t hash;
    unsigned hash_tries;
    bool is_asked;           /* for its session's peer */
    size_t sticks_to;        /* the session's peer, by column; SIZE_MAX: none */
    weir_str sticks_no_more; /* the peer that the session moves away from; empty: it does not */
    weir_list queued;
    bool is_queued, is_served;
    uint64_t queued_at_ms, queued_ms;
    void (*ready)(weir_balance_pick *pick);
};

/* The subject is copied.  False without memory. */
bool weir_balance_begin(weir_balance_pick *pick, weir_balance_group *group,
                        const weir_balance_subject *subject) WEIR_MUST_USE;
/*
 * Goes to a peer that was not tried yet, as the group's method says; backups when no primary is left.
 *
 * OK: at a peer.  WAIT: all are busy, and the pick stands in the group's queue: `ready` will be
 * called, which calls this again.  FAIL: none is live, or none became free in time; not logged.
 * OK and WAIT must be answered by weir_balance_done(), which ends the waiting, too.
 */
weir_result weir_balance_next(weir_balance_pick *pick,
                              void (*ready)(weir_balance_pick *pick)) WEIR_MUST_USE;

typedef enum {
    WEIR_BALANCE_SUCCEEDED,
    WEIR_BALANCE_FAILED,    /* counts toward max_fails */
    WEIR_BALANCE_ABANDONED, /* says nothing about the peer */
} weir_balance_outcome;
/* It is connected, where that is of interest; the first byte, or the head, of the answer is there. */
void weir_balance_connected(weir_balance_pick *pick);
void weir_balance_answered(weir_balance_pick *pick);
/* For who looks: what the peer was given and has answered, with this status (0: none, or it has no statuses). */
void weir_balance_count(const weir_balance_pick *pick, unsigned status, uint64_t sent,
                        uint64_t received);
/* And how the TLS handshake on a new connection to it ended, if there was one. */
void weir_balance_count_opening(const weir_balance_pick *pick, const weir_origin_opening *opening,
                                weir_origin_outcome outcome);
/*
 * Of an answer that begins: the Set-Cookie to send with it, in the subject's pool; empty: none.  False: no memory.
 */
bool weir_balance_cookie(const weir_balance_pick *pick, weir_str *cookie) WEIR_MUST_USE;
/* For `sticky learn`: once the head of an answer is there, and once all of it is. */
void weir_balance_learn(const weir_balance_pick *pick, bool is_at_end);
/*
 * The pick leaves its peer, which must not be looked at any more.  Nothing happens when it is at none.  The end of what
 * SUCCEEDED is when its last byte came.
 */
void weir_balance_done(weir_balance_pick *pick, weir_balance_outcome outcome, const weir_log *log);

/* ---- servers, as they are configured or were changed, and changing them */

/* One `server`: of the configuration, of a state file, or added at run time. */
typedef struct {
    weir_str name;           /* as written */
    weir_str route, service; /* empty: none */
    uint32_t weight, max_conns, max_fails;
    uint64_t fail_timeout_ms, slow_start_ms;
    bool is_backup, is_down, is_draining, is_resolved;
    uint64_t digest; /* of all of this; never 0 */
} weir_balance_server;

#define WEIR_BALANCE_NAME_MAX 150
#define WEIR_BALANCE_TEXTS_MAX 200 /* name, route and service together */

/* A server of which nothing was said yet; "weight=5" and the like, texts are borrowed.  False: it is none. */
void weir_balance_server_begin(weir_balance_server *server);
bool weir_balance_server_parameter(weir_balance_server *server, weir_str text) WEIR_MUST_USE;
/* Whether a name that is no address can be looked up for this group. */
bool weir_balance_name_is_good(const weir_balance_group *group, const weir_balance_server *server);

/* Groups in order, those that hosts imply too; NULL past the end. */
weir_balance_group *weir_balance_group_at(const weir_cycle *cycle,
                                          const weir_balance_family *family, size_t i);
/* By an `upstream` block: not implied by a host. */
bool weir_balance_group_is_named(const weir_balance_group *group);
weir_str weir_balance_group_zone(const weir_balance_group *group); /* empty: it names none */
/* Servers in order; `*position` begins at 0.  False after the last.  Texts hold until weir goes on. */
bool weir_balance_server_next(const weir_balance_group *group, size_t *position, uint64_t *id,
                              weir_balance_server *server) WEIR_MUST_USE;
/* The peers as this worker sees them now, until the group's next pick. */
const weir_balance_peer *weir_balance_peers(weir_balance_group *group, size_t *count);

/* Of a peer, by all workers; of run time, so a new machine begins anew. */
typedef struct {
    uint64_t requests;       /* that went to it: of stream, sessions */
    uint64_t responses[5];   /* by class: 1xx first */
    uint64_t sent, received; /* bytes */
    struct {
        unsigned status;
        uint64_t count;
    } codes[32];
    size_t code_count;
    uint64_t handshakes,
        resumed; /* of TLS: the successful ones, and those of them with a session from before */
    uint64_t refused[WEIR_TLS_REFUSALS];
    uint64_t selected_ms;                   /* monotonic: the last time; 0: never */
    uint64_t connect_us, first_us, last_us; /* averages; 0: not known */
} weir_balance_traffic;

typedef struct {
    const char *state; /* "up", "down", "draining", "unavail", "checking", "unhealthy" */
    uint64_t active, fails, unavailable;
    uint64_t checks, checks_failed, checks_fell;
    bool last_check_passed;
    uint64_t down_ms;     /* monotonic: unavail, checking or unhealthy since then; 0: it is not */
    uint64_t downtime_ms; /* in all, up to now */
    weir_balance_traffic traffic;
} weir_balance_report;
weir_balance_report weir_balance_peer_report(const weir_balance_group *group,
                                             const weir_balance_peer *peer, bool is_alone);

typedef struct {
    uint64_t idle;    /* connections that are kept, by all workers */
    uint64_t zombies; /* servers that were taken away and still have requests */
    bool has_queue;
    uint64_t queued, queue_max, queue_overflows;
} weir_balance_group_report;
weir_balance_group_report weir_balance_report_group(const weir_balance_group *group);
/* What is counted for people begins at zero again. */
void weir_balance_reset(weir_balance_group *group);

/* While reading, by whoever will begin changes: without it there are none. */
bool weir_balance_control_enable(weir_conf *conf, const weir_balance_family *family) WEIR_MUST_USE;

typedef enum {
    WEIR_BALANCE_ADD,
    WEIR_BALANCE_REMOVE,
    WEIR_BALANCE_PATCH,
} weir_balance_change_kind;

typedef enum {
    WEIR_BALANCE_CHANGE_DONE, /* every worker sees it at its next pick */
    WEIR_BALANCE_CHANGE_EXISTS,
    WEIR_BALANCE_CHANGE_NO_SERVER,
    WEIR_BALANCE_CHANGE_NO_ROOM,
    WEIR_BALANCE_CHANGE_IMMUTABLE, /* the address of a name, which DNS alone adds and removes */
    WEIR_BALANCE_CHANGE_WEIGHT_IMMUTABLE, /* of an address, which comes with a service */
    WEIR_BALANCE_CHANGE_NO_BACKUP,        /* the group's method takes none */
    WEIR_BALANCE_CHANGE_NOT_KEPT,         /* done, but the state file could not be written */
    WEIR_BALANCE_CHANGE_NO_KEEPER,        /* it did not answer in time; may be done yet */
} weir_balance_change_outcome;

/* Which members of a patch's server are meant. */
enum {
    WEIR_BALANCE_HAS_WEIGHT = 1,
    WEIR_BALANCE_HAS_MAX_CONNS = 2,
    WEIR_BALANCE_HAS_MAX_FAILS = 4,
    WEIR_BALANCE_HAS_FAIL_TIMEOUT = 8,
    WEIR_BALANCE_HAS_SLOW_START = 16,
    WEIR_BALANCE_HAS_DOWN = 32,
    WEIR_BALANCE_HAS_DRAIN = 64,
    WEIR_BALANCE_HAS_ROUTE = 128,
    WEIR_BALANCE_HAS_NAME = 256, /* an address: it is another one from now on */
};

/* One change, which the keeper carries out; lies inside of who wants it. */
typedef struct weir_balance_change {
    weir_balance_change_kind op;
    weir_balance_group *group;
    uint64_t id; /* of the server, or of an address of one; of one that is added, once it is */
    weir_balance_server server;
    unsigned mask;
    /* Called once from the loop, with the outcome. */
    void (*done)(struct weir_balance_change *change);
    weir_balance_change_outcome outcome;

    /* private to balance */
    weir_timer timer;
    void *call;
    uint64_t asked_ms;
    bool is_asked;
} weir_balance_change;

/* In a worker.  False: too many are under way, and `done` is not called. */
bool weir_balance_change_begin(weir_balance_change *change) WEIR_MUST_USE;
/* Nobody wants to know any more; it may happen all the same. */
void weir_balance_change_cancel(weir_balance_change *change);

/* ---- idle connections, for each worker */

/* What two connections to one peer must have in common to stand in for each other. */
typedef struct {
    const void *scope;    /* the location, where connections are kept apart */
    const void *tls;      /* NULL: plain */
    const void *protocol; /* what is spoken over it; NULL: there is only one */
    weir_str name;        /* of TLS */
    weir_str bound;       /* the local address that was asked for */
} weir_balance_key;

typedef struct balance_kept balance_kept;

/* What goes with a connection to a peer; lies in its pool, and knows nothing of its group, which may be gone. */
typedef struct weir_balance_link {
    weir_list link;
    weir_connection *connection;
    balance_kept *kept;
    weir_addr addr;
    weir_balance_key key; /* scope is left out where the group shares connections */
    uint64_t requests;    /* so far */
    /*
     * Set by its owner: more may come, so weir_connection_is_quiet() is to be asked before its next
     * use.
     */
    bool is_doubted;

    /* Of a protocol whose peers may speak between uses, set by its owner; in the connection's pool. */
    void *session;
    /* Takes what came meanwhile.  False: the connection is of no more use.  NULL: nothing may come. */
    bool (*idle_readable)(struct weir_balance_link *link);
} weir_balance_link;

/* NULL: no memory. */
weir_balance_link *weir_balance_link_new(weir_connection *connection, weir_balance_group *group,
                                         const weir_balance_peer *peer,
                                         const weir_balance_key *key);
/* Whether weir_balance_idle_put() may keep a connection: `keepalive` is on. */
bool weir_balance_keeps_idle(const weir_balance_group *group);
/* The one that was used last; its state and owner are the caller's to set.  NULL: there is none. */
weir_balance_link *weir_balance_idle_take(weir_balance_group *group, const weir_balance_peer *peer,
                                          const weir_balance_key *key);
/* Takes over a connection that is at the end of an answer: keeps it, or closes it. */
void weir_balance_idle_put(weir_balance_link *link);

#endif
