/* One asking for a name: what servers answer, and what is asked of them in turn, until all is known. */

#include "core/net/resolver_internal.h"

#include <stdlib.h>

#include "core/base/hash.h"

#define RESOLVER_FOUND_MAX 1024       /* addresses of a name */
#define RESOLVER_TARGETS_MAX 128      /* of a service */
#define RESOLVER_TARGET_AGAIN_MS 1000 /* at the least, until a service is asked for again */

/* ---- gathering */

static bool resolver_gather(weir_resolver_asking *asking, const weir_resolved *one)
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

static void resolver_less_ttl(weir_resolver_asking *asking, uint32_t ttl_s)
{
    asking->ttl_s = ttl_s < asking->ttl_s ? ttl_s : asking->ttl_s;
}

static void resolver_part_done(weir_resolver_name *name)
{
    if (--name->asking->left == 0) {
        weir_resolver_known(name);
    }
}

/* That it does not exist says less than that a server would not say. */
static void resolver_error(weir_resolver_asking *asking, unsigned error)
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
    weir_resolver_name *name = ask->subject;
    weir_resolver_asking *asking = name->asking;
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
static weir_resolved resolver_target_itself(const weir_resolver_target *target)
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
static void resolver_target_failed(const weir_resolver_target *target, const weir_resolved *itself)
{
    const weir_resolver_query *query = &target->query;
    const weir_resolver_name *service = target->service;
    weir_resolver_asking *asking = service->asking;
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

static void resolver_target_known(weir_resolver_target *target)
{
    weir_resolver_asking *asking = target->service->asking;
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

static void resolver_target_left(weir_resolver_name *service)
{
    weir_resolver_asking *asking = service->asking;

    if (asking->left == 1 && asking->count != 0) {
        qsort(asking->found, asking->count, sizeof(asking->found[0]), resolver_by_priority);
    }
    resolver_part_done(service);
}

static void resolver_target_done(weir_resolver_query *query)
{
    weir_resolver_target *target = query->subject;

    resolver_target_known(target);
    resolver_target_left(target->service);
}

/* A target "." says that there is no such service. */
static size_t resolver_take_targets(weir_resolver_name *service, weir_dns_answer *answer)
{
    weir_resolver_asking *asking = service->asking;
    weir_dns_record record;

    asking->targets = calloc(RESOLVER_TARGETS_MAX, sizeof(*asking->targets));
    if (asking->targets == NULL) {
        resolver_error(asking, WEIR_DNS_SERVER_FAILURE);
        return 0;
    }
    while (asking->targets_count < RESOLVER_TARGETS_MAX && weir_dns_next(answer, &record)) {
        weir_resolver_target *target = &asking->targets[asking->targets_count];

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
    weir_resolver_name *service = ask->subject;
    weir_resolver_asking *asking = service->asking;
    size_t count;

    if (ask->error != 0) {
        resolver_error(asking, ask->error);
        resolver_part_done(service);
        return;
    }

    count = resolver_take_targets(service, &ask->answer);
    asking->left += count;
    for (size_t i = 0; i < count; i++) {
        weir_resolver_target *target = &asking->targets[i];

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

bool weir_resolver_partial(weir_resolver_asking *asking, size_t *count)
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

/* ---- asking */

bool weir_resolver_gather(weir_resolver_name *name)
{
    const weir_resolver_settings *settings = &name->resolver->settings;
    weir_resolver_asking *asking = calloc(1, sizeof(*asking));
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
