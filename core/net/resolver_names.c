/* What is known of names, for how long, and who is told. */

#include "core/net/resolver_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/hash.h"

#define RESOLVER_BYTES_MAX (4u << 20) /* of names and addresses */
/* How long it is remembered that there is nothing, or that no server would say. */
#define RESOLVER_NOTHING_VALID_MS 5000
#define RESOLVER_FAILURE_VALID_MS 500

/* ---- names and their memory */

static weir_resolver_name **resolver_bucket(weir_resolver *resolver, const weir_dns_name *name)
{
    uint64_t hash = weir_hash_keyed(weir_dns_name_text(name), false, resolver->key);

    return &resolver->buckets[hash % WEIR_RESOLVER_BUCKETS];
}

weir_resolver_name *weir_resolver_name_find(weir_resolver *resolver, const weir_dns_name *name,
                                            weir_resolver_kind kind)
{
    weir_resolver_name *found = *resolver_bucket(resolver, name);

    while (found != NULL
           && (found->kind != kind
               || !weir_str_eq(weir_dns_name_text(&found->name), weir_dns_name_text(name)))) {
        found = found->chain;
    }
    return found;
}

static void resolver_asking_free(weir_resolver_asking *asking)
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

void weir_resolver_name_put(weir_resolver_name *name, weir_resolved *found, size_t count)
{
    name->resolver->bytes -= name->count * sizeof(*found);
    free(name->found);
    name->found = found;
    name->count = count;
    name->resolver->bytes += count * sizeof(*found);
}

void weir_resolver_name_forget(weir_resolver_name *name)
{
    weir_resolver *resolver = name->resolver;
    weir_resolver_name **link = resolver_bucket(resolver, &name->name);

    while (*link != name) {
        link = &(*link)->chain;
    }
    *link = name->chain;
    weir_list_remove(&name->used);
    resolver_asking_free(name->asking);
    weir_resolver_name_put(name, NULL, 0);
    resolver->bytes -= sizeof(*name);
    free(name);
}

void weir_resolver_make_room(weir_resolver *resolver)
{
    weir_list *link = resolver->used.next;

    while (resolver->bytes > RESOLVER_BYTES_MAX && link != &resolver->used) {
        weir_resolver_name *name = WEIR_OWNER(link, weir_resolver_name, used);

        link = link->next;
        if (name->asking == NULL && !name->is_told) {
            weir_resolver_name_forget(name);
        }
    }
}

weir_resolver_name *weir_resolver_name_add(weir_resolver *resolver, const weir_dns_name *text,
                                           weir_resolver_kind kind)
{
    weir_resolver_name *name = calloc(1, sizeof(*name));
    weir_resolver_name **bucket = resolver_bucket(resolver, text);

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

void weir_resolver_query_end(weir_resolver_query *query)
{
    weir_list_remove(&query->link);
    weir_timer_clear(query->resolver->loop, &query->timer);
    query->resolver = NULL;
    query->name = NULL;
}

void weir_resolver_tell(weir_resolver_name *name, weir_resolver_query *query)
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
static void resolver_tell_all(weir_resolver_name *name)
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

        weir_resolver_query_end(query);
        weir_resolver_tell(name, query);
        query->done(query);
    }
    name->is_told = false;
}

/* Of a service, no longer than it is known that one of its targets is not there. */
static uint64_t resolver_valid_ms(const weir_resolver_name *name,
                                  const weir_resolver_asking *asking)
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

void weir_resolver_count(const weir_resolver_name *name, unsigned error)
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

/* Addresses of one family are enough. */
void weir_resolver_known(weir_resolver_name *name)
{
    weir_resolver_asking *asking = name->asking;

    if (!asking->has_addr) {
        asking->count = 0;
    }
    name->error = asking->count != 0   ? 0
                  : asking->error != 0 ? asking->error
                                       : WEIR_DNS_NO_SUCH_NAME;
    weir_resolver_count(name, name->error);
    name->unheard = asking->unheard;
    name->failing = asking->failing;
    name->until_ms = weir_clock_now()->monotonic_ms + resolver_valid_ms(name, asking);
    weir_resolver_name_put(name, asking->found, asking->count);
    asking->found = NULL;
    name->asking = NULL;
    resolver_asking_free(asking);
    weir_log_debug(&name->resolver->servers.log, "resolver: %.*s: %u, %zu addresses, for %llu ms",
                   WEIR_STR_ARG(weir_dns_name_text(&name->name)), name->error, name->count,
                   (unsigned long long) (name->until_ms - weir_clock_now()->monotonic_ms));
    resolver_tell_all(name);
    weir_resolver_make_room(name->resolver);
}
