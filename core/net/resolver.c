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
#include "core/base/random.h"
#include "core/net/connection_internal.h"
#include "core/net/hosts.h"

#define RESOLVER_ASKING_MAX 1024 /* questions at a time, of which each has a descriptor */
#define RESOLVER_HOSTS_MAX 16    /* addresses of a name in the hosts file */
#define RESOLVER_HOSTS_VALID_MS 10000

/* ---- queries */

static void resolver_expired(weir_timer *timer)
{
    weir_resolver_query *query = WEIR_OWNER(timer, weir_resolver_query, timer);
    const weir_resolver_name *name = query->name;
    weir_resolver_asking *asking = name->asking;

    weir_resolver_query_end(query);
    query->error = ETIMEDOUT;
    query->found = NULL;
    query->count = 0;
    query->ttl_ms = 0;
    query->unheard = 0;

    /* One family, or target, has answered, and the other will not: better than nothing. */
    if (asking != NULL && asking->has_addr && weir_resolver_partial(asking, &query->count)) {
        query->error = 0;
        query->unheard = asking->unheard;
        query->found = asking->partial;
    }
    if (asking != NULL) {
        weir_resolver_count(name, query->error);
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
static bool resolver_ask_hosts(weir_resolver_name *name)
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
    weir_resolver_name_put(name, found, count);
    name->error = name->unheard = 0;
    name->until_ms = weir_clock_now()->monotonic_ms + RESOLVER_HOSTS_VALID_MS;
    return true;
}

/* Known now, or being asked for; else there is no room for another question. */
static bool resolver_know(weir_resolver_name *name)
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
    return weir_resolver_gather(name);
}

weir_result weir_resolver_resolve(weir_resolver *resolver, weir_resolver_query *query,
                                  weir_str name, weir_resolver_kind kind, uint64_t timeout_ms)
{
    weir_dns_name wanted;
    weir_resolver_name *known;
    weir_addr literal;

    query->resolver = NULL;
    if (kind == WEIR_RESOLVER_ADDRESSES && weir_addr_parse_ip(name, &literal)) {
        return resolver_literal(query, &literal);
    }
    if (!weir_dns_name_of(name, &wanted)) {
        return resolver_fail(query, WEIR_DNS_NO_SUCH_NAME);
    }

    weir_resolver_make_room(resolver);
    known = weir_resolver_name_find(resolver, &wanted, kind);
    if (known == NULL) {
        known = weir_resolver_name_add(resolver, &wanted, kind);
    }
    if (known == NULL || !resolver_know(known)) {
        return resolver_fail(query, WEIR_DNS_SERVER_FAILURE);
    }
    if (known->asking == NULL) {
        weir_resolver_tell(known, query);
        return query->error == 0 ? WEIR_OK : WEIR_FAIL;
    }

    query->resolver = resolver;
    query->name = known;
    query->timer = (weir_timer){.name = "resolver query", .expired = resolver_expired};
    weir_list_append(&known->waiting, &query->link);
    if (timeout_ms != 0 && !weir_timer_set(resolver->loop, &query->timer, timeout_ms)) {
        weir_resolver_query_end(query);
        return resolver_fail(query, WEIR_DNS_SERVER_FAILURE);
    }
    return WEIR_WAIT;
}

void weir_resolver_cancel(weir_resolver_query *query)
{
    if (query->resolver != NULL) {
        weir_resolver_query_end(query);
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
        weir_resolver_name *name = WEIR_OWNER(link, weir_resolver_name, used);

        /* Those who wait are gone, or will ask no more. */
        while (!weir_list_is_empty(&name->waiting)) {
            weir_resolver_query_end(WEIR_OWNER(name->waiting.next, weir_resolver_query, link));
        }
        weir_resolver_name_forget(name);
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
