#ifndef WEIR_NET_RESOLVER_H
#define WEIR_NET_RESOLVER_H

#include <stdatomic.h>

#include "core/conf/conf.h"
#include "core/event/loop.h"
#include "core/net/addr.h"

/*
 * Names at run time: a client of DNS servers, with a cache.  The system's own resolver would
 * block the loop; weir_lookup() of addr.h, which uses it, is for the master and its loading.
 */

/* ---- what is counted of names that servers are asked for, not of what is remembered */

enum {
    WEIR_RESOLVER_ANSWERED,
    WEIR_RESOLVER_TIMED_OUT = 6, /* between them, the codes of DNS servers (RFC 1035, 4.1.1) */
    WEIR_RESOLVER_OTHERWISE,
    WEIR_RESOLVER_ANSWERS
};

/* In memory that all workers share; zero is how it begins. */
typedef struct {
    _Atomic uint64_t requests[3]; /* by weir_resolver_kind; then for names of addresses: none */
    _Atomic uint64_t answers[WEIR_RESOLVER_ANSWERS];
} weir_resolver_counts;

typedef struct {
    weir_str name;
    weir_resolver_counts *counts; /* NULL until its memory is there */
} weir_resolver_zone;

/* ---- settings */

typedef struct {
    weir_addr *servers;
    size_t servers_count;
    bool ipv4, ipv6;                /* which addresses are asked for; one of them at least */
    uint64_t valid_ms;              /* how long answers hold; 0: as they say themselves */
    weir_str hosts_file;            /* asked first; empty: none */
    weir_str zone_name;             /* of status_zone=; empty: none */
    const weir_resolver_zone *zone; /* that, for whoever reads settings to set; NULL: none */
} weir_resolver_settings;

/* As in nginx, the preset of `resolver_timeout`. */
#define WEIR_RESOLVER_TIMEOUT "30s"

/*
 * What `resolver` says: address ... [valid=time] [ipv4=on|off] [ipv6=on|off] [status_zone=zone].
 * The zone is only named; weir_resolver_conf_read() of core/process makes it, too.  NULL: refused.
 */
weir_resolver_settings *weir_resolver_settings_read(weir_conf *conf,
                                                    const weir_statement *statement);
/* What the machine is set up with: the servers of resolv.conf(5), and a hosts(5) file.  NULL: no memory. */
const weir_resolver_settings *
weir_resolver_settings_of_system(weir_pool *pool, const char *resolv_conf, const char *hosts_file);
#define WEIR_RESOLVER_RESOLV_CONF "/etc/resolv.conf"
#define WEIR_RESOLVER_HOSTS_FILE "/etc/hosts"
#define WEIR_RESOLVER_SYNTAX                                                                       \
    "address ... [valid=time] [ipv4=on|off] [ipv6=on|off] [status_zone=zone]"

/* ---- names */

typedef struct weir_resolver weir_resolver;

/*
 * The loop's resolver for these settings (equal ones share it, and its cache), made at the first
 * call; it goes with the loop.  NULL, logged: no memory.
 */
weir_resolver *weir_resolver_of(weir_loop *loop, const weir_resolver_settings *settings);

typedef enum {
    WEIR_RESOLVER_ADDRESSES, /* A and AAAA; ports are 0 */
    WEIR_RESOLVER_SERVICE, /* SRV, as "_http._tcp.example.com", then the addresses of its targets */
} weir_resolver_kind;

typedef struct {
    weir_addr addr; /* empty, beside others: of a target that no server would tell of */
    /* Of a service. */
    uint16_t priority, weight; /* the lowest priority comes first in the list */
    uint16_t port;             /* of the target */
    uint64_t target; /* which of its targets has it: a number, the same in all processes; never 0 */
    unsigned unheard; /* WEIR_RESOLVER_IPV…: of which of that target no server would say */
} weir_resolved;

enum { WEIR_RESOLVER_IPV4 = 1, WEIR_RESOLVER_IPV6 = 2 };

/* Lies inside of what wants to know; zeroed before its first use. */
typedef struct weir_resolver_query {
    /*
     * Called once after WEIR_WAIT, from the loop, with the outcome below; the query is the owner's again, and may
     * be gone when it returns.
     */
    void (*done)(struct weir_resolver_query *query);
    void *subject; /* the owner's */

    /* The outcome.  `found` is the resolver's, until it is called again or the loop goes on. */
    unsigned error; /* 0, a code of a DNS server, or ETIMEDOUT: see weir_resolver_error_text() */
    const weir_resolved *found;
    size_t count; /* 0 exactly with an error */
    uint64_t ttl_ms;
    /* WEIR_RESOLVER_IPV…: of these no server would say, for any target; others are there. */
    unsigned unheard;

    /* private */
    weir_resolver *resolver; /* NULL: does not wait */
    struct weir_resolver_name *name;
    weir_list link;
    weir_timer timer;
    weir_resolved literal;
} weir_resolver_query;

/*
 * OK: it was known, the outcome is set.  WAIT: `done` will be called, after `timeout_ms` at the
 * latest.  FAIL: it is known that there is nothing, `error` is set; the caller, who knows what it
 * is for, logs.
 */
weir_result weir_resolver_resolve(weir_resolver *resolver, weir_resolver_query *query,
                                  weir_str name, weir_resolver_kind kind, uint64_t timeout_ms);
/* Nobody wants to know any more: `done` is not called.  Harmless when the query does not wait. */
void weir_resolver_cancel(weir_resolver_query *query);

/* "Host not found": nginx's words, to follow the number in "NAME could not be resolved (3: Host not found)". */
const char *weir_resolver_error_text(unsigned error);

#endif
