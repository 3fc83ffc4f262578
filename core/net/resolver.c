/*
 * Names: who waits for them, what is known of them, and for how long.
 *
 * A name is either being asked for, with queries that wait, or known until a time; many queries share one asking.
 * Names that nobody waits for are forgotten, the one longest unused first, when memory runs out.
 */

#include "core/net/resolver_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/random.h"
#include "core/net/connection_internal.h"
#include "core/net/hosts.h"

#define RESOLVER_BUCKETS 1024
#define RESOLVER_BYTES_MAX (4u << 20) /* of names and addresses */
#define RESOLVER_ASKING_MAX 1024      /* questions at a time, of which each has a descriptor */
#define RESOLVER_FOUND_MAX 1024       /* addresses of a name */
#define RESOLVER_TARGETS_MAX 128      /* of a service */
#define RESOLVER_HOSTS_MAX 16         /* addresses of a name in the hosts file */
#define RESOLVER_HOSTS_VALID_MS 10000
/* How long it is remembered that there is nothing, or that no server would say. */
#define RESOLVER_NOTHING_VALID_MS 5000
#define RESOLVER_FAILURE_VALID_MS 500
#define RESOLVER_TARGET_AGAIN_MS 1000 /* at the least, until a service is asked for again */

typedef struct resolver_name resolver_name;

/* A target of a service while its addresses are asked for. */
typedef struct {
    weir_resolver_query query;
    resolver_name *service;
    uint16_t priority, weight, port;
    weir_dns_name name;
} resolver_target;

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
    resolver_target *targets;
    size_t targets_count;
    uint64_t again_ms;      /* a target that was not found may be then */
    uint64_t failing;       /* such targets, a bit each of their numbers */
    weir_resolved *partial; /* what is known so far, for who waits no longer */
    bool is_counted;        /* what came of it */
} resolver_asking;

struct resolver_name {
    resolver_name *chain;
    weir_list used; /* in the resolver's list */
    weir_list waiting;
    weir_resolver *resolver;
    weir_resolver_kind kind;
    weir_dns_name name;
    resolver_asking *asking; /* NULL: it is known */
    bool is_told;            /* its queries are being called */

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
    resolver_name *buckets[RESOLVER_BUCKETS];
    weir_list used; /* the longest unused first */
    size_t bytes;
};

/* ---- names and their memory */

static resolver_name **resolver_bucket(weir_resolver *resolver, const weir_dns_name *name)
{
    uint64_t hash = weir_hash_keyed(weir_dns_name_text(name), false, resolver->key);

    return &resolver->buckets[hash % RESOLVER_BUCKETS];
}

static resolver_name *resolver_find(weir_resolver *resolver, const weir_dns_name *name,
                                    weir_resolver_kind kind)
{
    resolver_name *found = *resolver_bucket(resolver, name);

    while (found != NULL
           && (found->kind != kind
               || !weir_str_eq(weir_dns_name_text(&found->name), weir_dns_name_text(name)))) {
        found = found->chain;
    }
    return found;
}

static void resolver_asking_free(resolver_asking *asking)
{
    if (asking == NULL) {
        return;
    }
    for (size_t i = 0; i < WEIR_COUNT(asking->asks); i++) {
        weir_resolver_ask_cancel(&asking->asks[i]);
    }
    for (size_t i = 0; i < asking->targets_count; i++) {
        weir_resolver_cancel(&asking->targets[i].query);
    }
    free(asking->targets);
    free(asking->found);
    free(asking->partial);
    free(asking);
}

static void resolver_set_found(resolver_name *name, weir_resolved *found, size_t count)
{
    name->resolver->bytes -= name->count * sizeof(*found);
    free(name->found);
    name->found = found;
    name->count = count;
    name->resolver->bytes += count * sizeof(*found);
}

static void resolver_forget(resolver_name *name)
{
    weir_resolver *resolver = name->resolver;
    resolver_name **link = resolver_bucket(resolver, &name->name);

    while (*link != name) {
        link = &(*link)->chain;
    }
    *link = name->chain;
    weir_list_remove(&name->used);
    resolver_asking_free(name->asking);
    resolver_set_found(name, NULL, 0);
    resolver->bytes -= sizeof(*name);
    free(name);
}

/* Forgets the names used longest ago, but none that is being asked for or told: the number of those has its own bound. */
static void resolver_make_room(weir_resolver *resolver)
{
    weir_list *link = resolver->used.next;

    while (resolver->bytes > RESOLVER_BYTES_MAX && link != &resolver->used) {
        resolver_name *name = WEIR_OWNER(link, resolver_name, used);

        link = link->next;
        if (name->asking == NULL && !name->is_told) {
            resolver_forget(name);
        }
    }
}

static resolver_name *resolver_add(weir_resolver *resolver, const weir_dns_name *text,
                                   weir_resolver_kind kind)
{
    resolver_name *name = calloc(1, sizeof(*name));
    resolver_name **bucket = resolver_bucket(resolver, text);

    if (name == NULL) {
        return NULL;
    }
    name->resolver = resolver;
    name->kind = kind;
    name->name = *text;
    name->chain = *bucket;
    *bucket = name;
    weir_list_init(&name->waiting);
    weir_list_append(&resolver->used, &name->used);
    resolver->bytes += sizeof(*name);
    return name;
}

/* ---- telling */

static void resolver_query_end(const weir_resolver *resolver, weir_resolver_query *query)
{
    weir_list_remove(&query->link);
    weir_timer_clear(resolver->loop, &query->timer);
    query->resolver = NULL;
    query->name = NULL;
}

static void resolver_tell(resolver_name *name, weir_resolver_query *query)
{
    uint64_t now_ms = weir_clock_now()->monotonic_ms;

    query->error = name->error;
    query->unheard = name->unheard;
    query->found = name->found;
    query->count = name->count;
    query->ttl_ms = name->until_ms > now_ms ? name->until_ms - now_ms : 0;
}

/*
 * A query that is called may ask again, or cancel others: so those that are to be called stand in a
 * list of their own.
 */
static void resolver_tell_all(resolver_name *name)
{
    weir_list telling = name->waiting;
    weir_list *link;

    if (weir_list_is_empty(&name->waiting)) {
        return;
    }
    telling.next->previous = telling.previous->next = &telling;
    weir_list_init(&name->waiting);

    name->is_told = true;
    while ((link = weir_list_first(&telling)) != NULL) {
        weir_resolver_query *query = WEIR_OWNER(link, weir_resolver_query, link);

        resolver_query_end(name->resolver, query);
        resolver_tell(name, query);
        query->done(query);
    }
    name->is_told = false;
}

/* Of a service, no longer than it is known that one of its targets is not there. */
static uint64_t resolver_valid_ms(const resolver_name *name, const resolver_asking *asking)
{
    uint64_t preset_ms = name->resolver->settings.valid_ms;
    uint64_t said_ms = (uint64_t) asking->ttl_s * 1000;

    switch (name->error) {
    case 0:
        said_ms = preset_ms != 0 ? preset_ms : said_ms;
        return said_ms < asking->again_ms ? said_ms : asking->again_ms;
    case WEIR_DNS_NO_SUCH_NAME:
        return RESOLVER_NOTHING_VALID_MS;
    default:
        return RESOLVER_FAILURE_VALID_MS;
    }
}

static void resolver_count(const resolver_name *name, unsigned error)
{
    const weir_resolver_zone *zone = name->resolver->settings.zone;
    unsigned what = error < WEIR_RESOLVER_TIMED_OUT ? error
                    : error == ETIMEDOUT            ? WEIR_RESOLVER_TIMED_OUT
                                                    : WEIR_RESOLVER_OTHERWISE;

    if (zone != NULL && !name->asking->is_counted) {
        name->asking->is_counted = true;
        atomic_fetch_add_explicit(&zone->counts->answers[what], 1, memory_order_relaxed);
    }
}

/* All that can be known is.  Addresses of one family are enough. */
static void resolver_known(resolver_name *name)
{
    resolver_asking *asking = name->asking;

    if (!asking->has_addr) {
        asking->count = 0;
    }
    name->error = asking->count != 0   ? 0
                  : asking->error != 0 ? asking->error
                                       : WEIR_DNS_NO_SUCH_NAME;
    resolver_count(name, name->error);
    name->unheard = asking->unheard;
    name->failing = asking->failing;
    name->until_ms = weir_clock_now()->monotonic_ms + resolver_valid_ms(name, asking);
    resolver_set_found(name, asking->found, asking->count);
    asking->found = NULL;
    name->asking = NULL;
    resolver_asking_free(asking);
    weir_log_debug(&name->resolver->servers.log, "resolver: %.*s: %u, %zu addresses, for %llu ms",
                   WEIR_STR_ARG(weir_dns_name_text(&name->name)), name->error, name->count,
                   (unsigned long long) (name->until_ms - weir_clock_now()->monotonic_ms));
    resolver_tell_all(name);
    resolver_make_room(name->resolver);
}

/* ---- gathering */

static bool resolver_gather(resolver_asking *asking, const weir_resolved *one)
{
    weir_resolved *more;

    if (asking->count == RESOLVER_FOUND_MAX) {
        return true;
    }
    if ((asking->count & (asking->count - 1)) == 0) {
        size_t room = asking->count == 0 ? 1 : asking->count * 2;

        more = realloc(asking->found, room * sizeof(*more));
        if (more == NULL) {
            return false;
        }
        asking->found = more;
    }
    asking->found[asking->count++] = *one;
    asking->has_addr |= one->addr.len != 0;
    return true;
}

static void resolver_less_ttl(resolver_asking *asking, uint32_t ttl_s)
{
    asking->ttl_s = ttl_s < asking->ttl_s ? ttl_s : asking->ttl_s;
}

static void resolver_part_done(resolver_name *name)
{
    if (--name->asking->left == 0) {
        resolver_known(name);
    }
}

/* That it does not exist says less than that a server would not say. */
static void resolver_error(resolver_asking *asking, unsigned error)
{
    if (asking->error == 0 || asking->error == WEIR_DNS_NO_SUCH_NAME) {
        asking->error = error;
    }
}

static unsigned family_of(weir_dns_type type)
{
    return type == WEIR_DNS_A ? WEIR_RESOLVER_IPV4 : type == WEIR_DNS_AAAA ? WEIR_RESOLVER_IPV6 : 0;
}

static void resolver_addresses_done(weir_resolver_ask *ask)
{
    resolver_name *name = ask->subject;
    resolver_asking *asking = name->asking;
    weir_dns_record record;

    if (ask->error == 0 || ask->error == WEIR_DNS_NO_SUCH_NAME) {
        asking->unheard &= ~family_of(ask->type);
    }
    if (ask->error != 0) {
        resolver_error(asking, ask->error);
    } else {
        while (weir_dns_next(&ask->answer, &record)) {
            if (!resolver_gather(asking, &(weir_resolved){.addr = record.addr})) {
                resolver_error(asking, WEIR_DNS_SERVER_FAILURE);
                break;
            }
            resolver_less_ttl(asking, ask->answer.ttl_s);
        }
    }
    resolver_part_done(name);
}

/* ---- services: records that name targets, then their addresses (RFC 2782) */

/* Of which no server would say; without an answer that is all, but where it says that there is no such name. */
static unsigned resolver_target_unheard(const weir_resolver_query *query)
{
    if (query->error == 0 || query->error == WEIR_DNS_NO_SUCH_NAME || query->unheard != 0) {
        return query->unheard;
    }
    return WEIR_RESOLVER_IPV4 | WEIR_RESOLVER_IPV6;
}

/* What stands for it while none of its addresses is known. */
static weir_resolved resolver_target_itself(const resolver_target *target)
{
    static const uint64_t same_for_all[2];

    return (weir_resolved){
        .priority = target->priority,
        .weight = target->weight,
        .port = target->port,
        .target = weir_hash_keyed(weir_dns_name_text(&target->name), true, same_for_all),
        .unheard = WEIR_RESOLVER_IPV4 | WEIR_RESOLVER_IPV6,
    };
}

/* The service is asked for again as soon as the target may be there.  One that goes on failing is told in a lower voice. */
static void resolver_target_failed(const resolver_target *target, const weir_resolved *itself)
{
    const weir_resolver_query *query = &target->query;
    const resolver_name *service = target->service;
    resolver_asking *asking = service->asking;
    uint64_t again_ms =
        query->ttl_ms < RESOLVER_TARGET_AGAIN_MS ? RESOLVER_TARGET_AGAIN_MS : query->ttl_ms;
    uint64_t bit = UINT64_C(1) << itself->target % 64;

    resolver_error(asking, query->error);
    if (itself->unheard != 0 && !resolver_gather(asking, itself)) {
        resolver_error(asking, WEIR_DNS_SERVER_FAILURE);
    }
    asking->again_ms = again_ms < asking->again_ms ? again_ms : asking->again_ms;
    asking->failing |= bit;
    weir_log_line(&service->resolver->servers.log,
                  (service->failing & bit) == 0 ? WEIR_LOG_WARN : WEIR_LOG_INFO, 0,
                  "%.*s could not be resolved (%u: %s), a target of the service %.*s",
                  WEIR_STR_ARG(weir_dns_name_text(&target->name)), query->error,
                  weir_resolver_error_text(query->error),
                  WEIR_STR_ARG(weir_dns_name_text(&service->name)));
}

static void resolver_target_known(resolver_target *target)
{
    resolver_asking *asking = target->service->asking;
    const weir_resolver_query *query = &target->query;
    weir_resolved one = resolver_target_itself(target);

    one.unheard = resolver_target_unheard(query);
    if (query->error != 0) {
        resolver_target_failed(target, &one);
        return;
    }
    resolver_less_ttl(asking, (uint32_t) (query->ttl_ms / 1000));
    for (size_t i = 0; i < query->count; i++) {
        one.addr = query->found[i].addr;
        weir_addr_set_port(&one.addr, target->port);
        if (!resolver_gather(asking, &one)) {
            resolver_error(asking, WEIR_DNS_SERVER_FAILURE);
        }
    }
}

static int resolver_by_priority(const void *a, const void *b)
{
    const weir_resolved *x = a, *y = b;

    return x->priority < y->priority ? -1 : x->priority > y->priority;
}

static void resolver_target_left(resolver_name *service)
{
    resolver_asking *asking = service->asking;

    if (asking->left == 1 && asking->count != 0) {
        qsort(asking->found, asking->count, sizeof(asking->found[0]), resolver_by_priority);
    }
    resolver_part_done(service);
}

static void resolver_target_done(weir_resolver_query *query)
{
    resolver_target *target = query->subject;

    resolver_target_known(target);
    resolver_target_left(target->service);
}

/* A target "." says that there is no such service. */
static size_t resolver_take_targets(resolver_name *service, weir_dns_answer *answer)
{
    resolver_asking *asking = service->asking;
    weir_dns_record record;

    asking->targets = calloc(RESOLVER_TARGETS_MAX, sizeof(*asking->targets));
    if (asking->targets == NULL) {
        resolver_error(asking, WEIR_DNS_SERVER_FAILURE);
        return 0;
    }
    while (asking->targets_count < RESOLVER_TARGETS_MAX && weir_dns_next(answer, &record)) {
        resolver_target *target = &asking->targets[asking->targets_count];

        if (record.target.len == 0 || record.port == 0) {
            continue;
        }
        asking->targets_count++;
        target->service = service;
        target->priority = record.priority;
        target->weight = record.weight;
        target->port = record.port;
        target->name = record.target;
        target->query.done = resolver_target_done;
        target->query.subject = target;
    }
    resolver_less_ttl(asking, answer->ttl_s);
    return asking->targets_count;
}

static void resolver_service_done(weir_resolver_ask *ask)
{
    resolver_name *service = ask->subject;
    resolver_asking *asking = service->asking;
    size_t count;

    if (ask->error != 0) {
        resolver_error(asking, ask->error);
        resolver_part_done(service);
        return;
    }

    count = resolver_take_targets(service, &ask->answer);
    asking->left += count;
    for (size_t i = 0; i < count; i++) {
        resolver_target *target = &asking->targets[i];

        switch (weir_resolver_resolve(service->resolver, &target->query,
                                      weir_dns_name_text(&target->name), WEIR_RESOLVER_ADDRESSES,
                                      0)) {
        case WEIR_WAIT:
            break;
        case WEIR_OK:
        case WEIR_FAIL:
            resolver_target_known(target);
            asking->left--;
            break;
        }
    }
    resolver_target_left(service);
}

/* ---- asking */

static bool resolver_start_asks(resolver_name *name)
{
    const weir_resolver_settings *settings = &name->resolver->settings;
    resolver_asking *asking = calloc(1, sizeof(*asking));
    weir_dns_type types[2] = {WEIR_DNS_SRV};
    size_t count = 1;

    if (asking == NULL) {
        return false;
    }
    if (name->kind == WEIR_RESOLVER_ADDRESSES) {
        count = 0;
        if (settings->ipv4) {
            types[count++] = WEIR_DNS_A;
        }
        if (settings->ipv6) {
            types[count++] = WEIR_DNS_AAAA;
        }
    }

    if (settings->zone != NULL) {
        atomic_fetch_add_explicit(&settings->zone->counts->requests[name->kind], 1,
                                  memory_order_relaxed);
    }
    name->asking = asking;
    asking->ttl_s = INT32_MAX;
    asking->again_ms = UINT64_MAX;
    asking->left = count;
    for (size_t i = 0; i < count; i++) {
        weir_resolver_ask *ask = &asking->asks[i];

        asking->unheard |= family_of(types[i]);
        ask->subject = name;
        ask->done =
            name->kind == WEIR_RESOLVER_ADDRESSES ? resolver_addresses_done : resolver_service_done;
        weir_resolver_ask_start(ask, &name->resolver->servers, &name->name, types[i]);
    }
    return true;
}

/* ---- queries */

/* Targets that are still asked for stand for themselves, so that they keep what they had. */
static bool resolver_partial(resolver_asking *asking, size_t *count)
{
    size_t room = asking->count + asking->targets_count;
    weir_resolved *partial = calloc(room, sizeof(*partial));

    if (partial == NULL) {
        return false;
    }
    memcpy(partial, asking->found, asking->count * sizeof(*partial));
    *count = asking->count;
    for (size_t i = 0; i < asking->targets_count; i++) {
        if (asking->targets[i].query.resolver != NULL) {
            partial[(*count)++] = resolver_target_itself(&asking->targets[i]);
        }
    }
    qsort(partial, *count, sizeof(*partial), resolver_by_priority);
    free(asking->partial);
    asking->partial = partial;
    return true;
}

static void resolver_expired(weir_timer *timer)
{
    weir_resolver_query *query = WEIR_OWNER(timer, weir_resolver_query, timer);
    const resolver_name *name = query->name;
    resolver_asking *asking = name->asking;

    resolver_query_end(query->resolver, query);
    query->error = ETIMEDOUT;
    query->found = NULL;
    query->count = 0;
    query->ttl_ms = 0;
    query->unheard = 0;

    /* One family, or target, has answered, and the other will not: better than nothing. */
    if (asking != NULL && asking->has_addr && resolver_partial(asking, &query->count)) {
        query->error = 0;
        query->unheard = asking->unheard;
        query->found = asking->partial;
    }
    if (asking != NULL) {
        resolver_count(name, query->error);
    }
    query->done(query);
}

static weir_result resolver_fail(weir_resolver_query *query, unsigned error)
{
    query->error = error;
    query->unheard = 0;
    query->found = NULL;
    query->count = 0;
    query->ttl_ms = 0;
    return WEIR_FAIL;
}

static weir_result resolver_literal(weir_resolver_query *query, const weir_addr *addr)
{
    query->literal = (weir_resolved){.addr = *addr};
    query->error = query->unheard = 0;
    query->found = &query->literal;
    query->count = 1;
    query->ttl_ms = UINT32_MAX;
    return WEIR_OK;
}

/* What the hosts file says is known for a while, as an answer would be. */
static bool resolver_ask_hosts(resolver_name *name)
{
    weir_addr addrs[RESOLVER_HOSTS_MAX];
    const weir_resolver_settings *settings = &name->resolver->settings;
    weir_resolved *found;
    size_t count;

    if (settings->hosts_file.len == 0 || name->kind != WEIR_RESOLVER_ADDRESSES) {
        return false;
    }
    count = weir_hosts_find(settings->hosts_file.data, weir_dns_name_text(&name->name), addrs,
                            RESOLVER_HOSTS_MAX);
    found = count == 0 ? NULL : calloc(count, sizeof(*found));
    if (found == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        found[i].addr = addrs[i];
    }
    resolver_set_found(name, found, count);
    name->error = name->unheard = 0;
    name->until_ms = weir_clock_now()->monotonic_ms + RESOLVER_HOSTS_VALID_MS;
    return true;
}

/* Known now, or being asked for; else there is no room for another question. */
static bool resolver_know(resolver_name *name)
{
    weir_resolver *resolver = name->resolver;

    weir_list_remove(&name->used);
    weir_list_append(&resolver->used, &name->used);
    if (name->asking != NULL || weir_clock_now()->monotonic_ms < name->until_ms
        || resolver_ask_hosts(name)) {
        return true;
    }
    if (resolver->servers.asking >= RESOLVER_ASKING_MAX) {
        weir_log_line(&resolver->servers.log, WEIR_LOG_ERR, 0,
                      "%u questions to DNS servers are open: none is added for %.*s",
                      RESOLVER_ASKING_MAX, WEIR_STR_ARG(weir_dns_name_text(&name->name)));
        return false;
    }
    return resolver_start_asks(name);
}

weir_result weir_resolver_resolve(weir_resolver *resolver, weir_resolver_query *query,
                                  weir_str name, weir_resolver_kind kind, uint64_t timeout_ms)
{
    weir_dns_name wanted;
    resolver_name *known;
    weir_addr literal;

    query->resolver = NULL;
    if (kind == WEIR_RESOLVER_ADDRESSES && weir_addr_parse_ip(name, &literal)) {
        return resolver_literal(query, &literal);
    }
    if (!weir_dns_name_of(name, &wanted)) {
        return resolver_fail(query, WEIR_DNS_NO_SUCH_NAME);
    }

    resolver_make_room(resolver);
    known = resolver_find(resolver, &wanted, kind);
    if (known == NULL) {
        known = resolver_add(resolver, &wanted, kind);
    }
    if (known == NULL || !resolver_know(known)) {
        return resolver_fail(query, WEIR_DNS_SERVER_FAILURE);
    }
    if (known->asking == NULL) {
        resolver_tell(known, query);
        return query->error == 0 ? WEIR_OK : WEIR_FAIL;
    }

    query->resolver = resolver;
    query->name = known;
    query->timer = (weir_timer){.name = "resolver query", .expired = resolver_expired};
    weir_list_append(&known->waiting, &query->link);
    if (timeout_ms != 0 && !weir_timer_set(resolver->loop, &query->timer, timeout_ms)) {
        resolver_query_end(query->resolver, query);
        return resolver_fail(query, WEIR_DNS_SERVER_FAILURE);
    }
    return WEIR_WAIT;
}

void weir_resolver_cancel(weir_resolver_query *query)
{
    if (query->resolver != NULL) {
        resolver_query_end(query->resolver, query);
    }
}

const char *weir_resolver_error_text(unsigned error)
{
    switch (error) {
    case WEIR_DNS_FORMAT_ERROR:
        return "Format error";
    case WEIR_DNS_SERVER_FAILURE:
        return "Server failure";
    case WEIR_DNS_NO_SUCH_NAME:
        return "Host not found";
    case 4:
        return "Unimplemented";
    case 5:
        return "Operation refused";
    case ETIMEDOUT:
        return "Operation timed out";
    default:
        return "Unknown error";
    }
}

/* ---- resolvers of a loop */

static bool resolver_is_for(const weir_resolver *resolver, const weir_resolver_settings *settings)
{
    const weir_resolver_settings *own = &resolver->settings;

    if (own->servers_count != settings->servers_count || own->ipv4 != settings->ipv4
        || own->ipv6 != settings->ipv6 || own->valid_ms != settings->valid_ms
        || own->zone != settings->zone || !weir_str_eq(own->hosts_file, settings->hosts_file)) {
        return false;
    }
    for (size_t i = 0; i < own->servers_count; i++) {
        if (!weir_addr_eq(&own->servers[i], &settings->servers[i])) {
            return false;
        }
    }
    return true;
}

static void resolver_free(weir_resolver *resolver)
{
    weir_list *link;

    while ((link = weir_list_first(&resolver->used)) != NULL) {
        resolver_name *name = WEIR_OWNER(link, resolver_name, used);

        /* Those who wait are gone, or will ask no more. */
        while (!weir_list_is_empty(&name->waiting)) {
            resolver_query_end(name->resolver,
                               WEIR_OWNER(name->waiting.next, weir_resolver_query, link));
        }
        resolver_forget(name);
    }
    free(resolver->settings.servers);
    free((char *) (uintptr_t) resolver->settings.hosts_file.data);
    free(resolver->servers.changes_case);
    free(resolver);
}

void weir_resolvers_free(weir_resolver *first)
{
    while (first != NULL) {
        weir_resolver *next = first->next;

        resolver_free(first);
        first = next;
    }
}

static bool resolver_copy_settings(weir_resolver *resolver, const weir_resolver_settings *settings)
{
    size_t bytes = settings->servers_count * sizeof(*settings->servers);
    char *hosts_file = NULL;

    resolver->settings = *settings;
    resolver->settings.servers = malloc(bytes);
    if (settings->hosts_file.len != 0) {
        hosts_file = strndup(settings->hosts_file.data, settings->hosts_file.len);
    }
    resolver->settings.hosts_file.data = hosts_file;
    resolver->servers.changes_case = calloc(settings->servers_count, sizeof(bool));
    if (resolver->settings.servers == NULL || resolver->servers.changes_case == NULL
        || (settings->hosts_file.len != 0 && hosts_file == NULL)) {
        return false;
    }
    memcpy(resolver->settings.servers, settings->servers, bytes);
    return true;
}

static weir_resolver *resolver_new(weir_loop *loop, const weir_resolver_settings *settings)
{
    weir_resolver *resolver = calloc(1, sizeof(*resolver));

    if (resolver == NULL) {
        return NULL;
    }
    weir_list_init(&resolver->used);
    if (!resolver_copy_settings(resolver, settings)) {
        resolver_free(resolver);
        return NULL;
    }
    resolver->loop = loop;
    resolver->servers.loop = loop;
    resolver->servers.log = *weir_loop_log(loop);
    resolver->servers.addrs = resolver->settings.servers;
    resolver->servers.count = settings->servers_count;
    resolver->servers.next = (size_t) weir_random_fast() % settings->servers_count;
    weir_random_bytes(resolver->key, sizeof(resolver->key));
    return resolver;
}

weir_resolver *weir_resolver_of(weir_loop *loop, const weir_resolver_settings *settings)
{
    weir_connection_table *table = weir_connection_table_of(loop);
    weir_resolver *resolver;

    if (table == NULL) {
        return NULL;
    }
    for (resolver = table->resolvers; resolver != NULL; resolver = resolver->next) {
        if (resolver_is_for(resolver, settings)) {
            return resolver;
        }
    }

    resolver = resolver_new(loop, settings);
    if (resolver == NULL) {
        weir_log_line(weir_loop_log(loop), WEIR_LOG_ERR, 0, "no memory for a resolver");
        return NULL;
    }
    resolver->next = table->resolvers;
    table->resolvers = resolver;
    return resolver;
}
