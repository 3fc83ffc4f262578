#include "modules/balance/host.h"

#include "core/base/random.h"

static bool host_make_group(weir_balance_host *host)
{
    const weir_resolver_query *query = &host->query;
    weir_addr *addrs = WEIR_NEW_ARRAY(host->pool, weir_addr, query->count);
    size_t first = (size_t) (weir_random_fast() % query->count);

    if (addrs == NULL) {
        return false;
    }
    for (size_t i = 0; i < query->count; i++) {
        addrs[i] = query->found[(first + i) % query->count].addr;
        weir_addr_set_port(&addrs[i], host->port);
    }
    host->group = weir_balance_group_of_addrs(host->pool, host->cycle, host->family, host->text,
                                              addrs, query->count);
    return host->group != NULL;
}

static bool host_settle(weir_balance_host *host)
{
    if (host->query.error != 0) {
        host->is_unknown = true;
        weir_log_line(host->log, WEIR_LOG_ERR, 0, "%.*s could not be resolved (%u: %s)",
                      WEIR_STR_ARG(host->name), host->query.error,
                      weir_resolver_error_text(host->query.error));
        return false;
    }
    if (!host_make_group(host)) {
        weir_log_line(host->log, WEIR_LOG_CRIT, 0, "no memory for the addresses of %.*s",
                      WEIR_STR_ARG(host->name));
        return false;
    }
    return true;
}

static void host_found(weir_resolver_query *query)
{
    weir_balance_host *host = query->subject;

    (void) host_settle(host);
    host->done(host);
}

weir_result weir_balance_host_ask(weir_balance_host *host, weir_loop *loop,
                                  const weir_resolver_settings *settings, uint64_t timeout_ms)
{
    weir_resolver *resolver;
    weir_result result;

    if (settings == NULL) {
        host->is_unknown = true;
        weir_log_line(host->log, WEIR_LOG_ERR, 0, "no resolver defined to resolve %.*s",
                      WEIR_STR_ARG(host->name));
        return WEIR_FAIL;
    }
    resolver = weir_resolver_of(loop, settings);
    if (resolver == NULL) {
        return WEIR_FAIL;
    }
    host->query.done = host_found;
    host->query.subject = host;
    result = weir_resolver_resolve(resolver, &host->query, host->name, WEIR_RESOLVER_ADDRESSES,
                                   timeout_ms);
    if (result == WEIR_WAIT) {
        return WEIR_WAIT;
    }
    return host_settle(host) ? WEIR_OK : WEIR_FAIL;
}

void weir_balance_host_cancel(weir_balance_host *host)
{
    weir_resolver_cancel(&host->query);
}
