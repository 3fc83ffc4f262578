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

#endif
