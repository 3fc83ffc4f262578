#ifndef WEIR_NET_RESOLVER_INTERNAL_H
#define WEIR_NET_RESOLVER_INTERNAL_H

#include "core/net/dns_message.h"
#include "core/net/resolver.h"

/* ---- resolver_ask.c: one question, to one server after the other until there is an answer */

/* Who can be asked; shared by a resolver's questions. */
typedef struct {
    weir_loop *loop;
    weir_log log;
    const weir_addr *addrs;
    size_t count;
    size_t next;        /* who the next question begins with */
    bool *changes_case; /* for each: it does not repeat the case of letters */
    size_t asking;      /* questions under way */
} weir_resolver_servers;

typedef struct weir_resolver_ask {
    /* Called once, from the loop; the ask is the owner's again, and may be started anew or freed. */
    void (*done)(struct weir_resolver_ask *ask);
    void *subject;

    /* The outcome.  The answer's bytes hold until `done` returns. */
    unsigned error; /* 0: `answer` is one */
    weir_dns_answer answer;

    /* private */
    weir_resolver_servers *servers;
    weir_dns_name name; /* the one asked for, or an alias that an answer led to */
    weir_dns_type type;
    unsigned links;
    uint32_t ttl_s; /* the least of the aliases in earlier answers */
    uint64_t ends_ms;

    size_t server; /* being asked */
    unsigned tries, refusals;
    bool by_tcp, is_active;
    weir_event event;
    weir_timer timer;
    char query[2 + WEIR_DNS_QUERY_MAX]; /* with the length that goes before it over TCP */
    size_t query_len;
    char *stream; /* what has come over TCP, with the length; NULL: the query is not sent yet */
    size_t stream_len;
} weir_resolver_ask;

/* Never calls `done` itself. */
void weir_resolver_ask_start(weir_resolver_ask *ask, weir_resolver_servers *servers,
                             const weir_dns_name *name, weir_dns_type type);
/* Harmless when nothing is under way. */
void weir_resolver_ask_cancel(weir_resolver_ask *ask);

/* ---- names, and who waits for them */

#define WEIR_RESOLVER_BUCKETS 1024

typedef struct weir_resolver_name weir_resolver_name;

/* A target of a service while its addresses are asked for. */
typedef struct {
    weir_resolver_query query;
    weir_resolver_name *service;
    uint16_t priority, weight, port;
    weir_dns_name name;
} weir_resolver_target;

/* While it is asked for. */
typedef struct {
    weir_resolver_ask asks[2]; /* for A and AAAA, or one for SRV */
    size_t left;               /* asks, and targets */
    weir_resolved *found;
    size_t count;
    bool has_addr; /* one of them at least */
    uint32_t ttl_s;
    unsigned error;
    unsigned unheard; /* families: no server has said yet */
    weir_resolver_target *targets;
    size_t targets_count;
    uint64_t again_ms;      /* a target that was not found may be then */
    uint64_t failing;       /* such targets, a bit each of their numbers */
    weir_resolved *partial; /* what is known so far, for who waits no longer */
    bool is_counted;        /* what came of it */
} weir_resolver_asking;

struct weir_resolver_name {
    weir_resolver_name *chain;
    weir_list used; /* in the resolver's list */
    weir_list waiting;
    weir_resolver *resolver;
    weir_resolver_kind kind;
    weir_dns_name name;
    weir_resolver_asking *asking; /* NULL: it is known */
    bool is_told;                 /* its queries are being called */

    /* Known. */
    uint64_t until_ms;
    unsigned error;
    unsigned unheard;
    weir_resolved *found;
    size_t count;
    uint64_t failing; /* of a service: as above, for the log */
};

struct weir_resolver {
    weir_resolver *next;
    weir_loop *loop;
    weir_resolver_settings settings; /* a copy */
    weir_resolver_servers servers;
    uint64_t key[2];
    weir_resolver_name *buckets[WEIR_RESOLVER_BUCKETS];
    weir_list used; /* the longest unused first */
    size_t bytes;
};

/* ---- resolver_names.c: what is known, and telling it */

/* NULL: nothing is known of it, and it is not asked for. */
weir_resolver_name *weir_resolver_name_find(weir_resolver *resolver, const weir_dns_name *name,
                                            weir_resolver_kind kind);
/* Of which nothing is known yet.  NULL: no memory. */
weir_resolver_name *weir_resolver_name_add(weir_resolver *resolver, const weir_dns_name *text,
                                           weir_resolver_kind kind);
void weir_resolver_name_forget(weir_resolver_name *name);
/* What it has; `found` is of malloc(), and taken. */
void weir_resolver_name_put(weir_resolver_name *name, weir_resolved *found, size_t count);
/*
 * Forgets the names used longest ago, but none that is being asked for or told: the number of
 * those has its own bound.
 */
void weir_resolver_make_room(weir_resolver *resolver);

/* All that can be known of a name is: who waits for it is told. */
void weir_resolver_known(weir_resolver_name *name);
/* The outcome of a query for a name that is known. */
void weir_resolver_tell(weir_resolver_name *name, weir_resolver_query *query);
/* It waits no longer. */
void weir_resolver_query_end(weir_resolver_query *query);
/* What came of an asking, once, for its status_zone. */
void weir_resolver_count(const weir_resolver_name *name, unsigned error);

/* ---- resolver_gather.c: one asking for a name */

/* Asks servers for it; weir_resolver_known() will be called.  False: no memory. */
bool weir_resolver_gather(weir_resolver_name *name) WEIR_MUST_USE;
/*
 * Into `partial`, and its count: what has come so far.  Targets of a service that are still asked
 * for stand for themselves, so that they keep what they had.  False: no memory.
 */
bool weir_resolver_partial(weir_resolver_asking *asking, size_t *count) WEIR_MUST_USE;

#endif
