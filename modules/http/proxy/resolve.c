#include "core/process/worker.h"
#include "modules/http/proxy/proxy_internal.h"

/* Hosts that are names, and known at request time only: their addresses become a group of this exchange. */

static void resolve_failed(proxy_state *proxy)
{
    if (proxy->asked->is_unknown) {
        proxy_answer(proxy, 502, "the origin's name could not be resolved");
    } else {
        proxy_answer(proxy, 500, "internal failure");
    }
}

static void resolve_go_on(proxy_state *proxy)
{
    proxy->group = proxy->asked->group;
    proxy_begin_tries(proxy);
}

static void resolved(weir_balance_host *host)
{
    if (host->group == NULL) {
        resolve_failed(host->owner);
    } else {
        resolve_go_on(host->owner);
    }
}

void proxy_resolve(proxy_state *proxy)
{
    weir_http_exchange *ex = proxy->ex;

    proxy->asked = WEIR_NEW(ex->pool, weir_balance_host);
    if (proxy->asked == NULL) {
        proxy_answer(proxy, 500, "internal failure");
        return;
    }
    *proxy->asked = (weir_balance_host){
        .pool = ex->pool,
        .cycle = weir_http_of_address(ex->client->address)->cycle,
        .family = &proxy_family,
        .log = &ex->log,
        .text = proxy->url.host,
        .name = proxy->url.hostname,
        .port = proxy_url_port(&proxy->url),
        .owner = proxy,
        .done = resolved,
    };
    switch (weir_balance_host_ask(proxy->asked, weir_worker_current()->loop, ex->core->resolver,
                                  ex->core->resolver_timeout_ms)) {
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
    if (proxy->asked != NULL) {
        weir_balance_host_cancel(proxy->asked);
    }
}
