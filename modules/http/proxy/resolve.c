#include "modules/http/proxy/proxy_internal.h"

#include "core/base/number.h"
#include "core/base/random.h"
#include "core/process/worker.h"

/* Hosts that are names, and known at request time only: their addresses become a group of this exchange. */

static void resolved(weir_resolver_query *query);

static void resolve_failed(proxy_state *proxy)
{
    const weir_resolver_query *query = proxy->query;

    weir_log_line(&proxy->ex->log, WEIR_LOG_ERR, 0, "%.*s could not be resolved (%u: %s)",
                  WEIR_STR_ARG(proxy_url_hostname(&proxy->url)), query->error,
                  weir_resolver_error_text(query->error));
    proxy_answer(proxy, 502, "the origin's name could not be resolved");
}

/* Requests begin with different addresses, as no other state tells them whose turn it is. */
static bool resolve_group(proxy_state *proxy)
{
    const weir_resolver_query *query = proxy->query;
    weir_pool *pool = proxy->ex->pool;
    weir_addr *addrs = WEIR_NEW_ARRAY(pool, weir_addr, query->count);
    size_t first = (size_t) (weir_random_fast() % query->count);
    uint64_t port;

    if (addrs == NULL || !weir_parse_uint(proxy->url.port, UINT16_MAX, &port)) {
        return false;
    }
    for (size_t i = 0; i < query->count; i++) {
        addrs[i] = query->found[(first + i) % query->count].addr;
        weir_addr_set_port(&addrs[i], (uint16_t) port);
    }
    proxy->group =
        weir_balance_group_of_addrs(pool, weir_http_of_address(proxy->ex->client->address)->cycle,
                                    &proxy_family, proxy->url.host, addrs, query->count);
    return proxy->group != NULL;
}

static void resolve_go_on(proxy_state *proxy)
{
    if (!resolve_group(proxy)) {
        proxy_answer(proxy, 500, "internal failure");
        return;
    }
    proxy_begin_tries(proxy);
}

static void resolved(weir_resolver_query *query)
{
    proxy_state *proxy = query->subject;

    if (query->error != 0) {
        resolve_failed(proxy);
    } else {
        resolve_go_on(proxy);
    }
}

void proxy_resolve(proxy_state *proxy)
{
    const weir_http_core_conf *core = proxy->ex->core;
    weir_resolver *resolver = weir_resolver_of(weir_worker_current()->loop, core->resolver);

    proxy->query = WEIR_NEW(proxy->ex->pool, weir_resolver_query);
    if (resolver == NULL || proxy->query == NULL) {
        proxy_answer(proxy, 500, "internal failure");
        return;
    }
    proxy->query->done = resolved;
    proxy->query->subject = proxy;
    switch (weir_resolver_resolve(resolver, proxy->query, proxy_url_hostname(&proxy->url),
                                  WEIR_RESOLVER_ADDRESSES, core->resolver_timeout_ms)) {
    case WEIR_OK:
        resolve_go_on(proxy);
        break;
    case WEIR_WAIT:
        break;
    case WEIR_FAIL:
        resolve_failed(proxy);
        break;
    }
}

void proxy_resolve_cancel(proxy_state *proxy)
{
    if (proxy->query != NULL) {
        weir_resolver_cancel(proxy->query);
    }
}
