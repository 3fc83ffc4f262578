#include "modules/http/proxy/proxy_internal.h"

#include "core/process/worker.h"

/* The connection to the peer that was chosen: one that was kept, or a new one. */

/* ---- what it logs */

/* Lines of the connection itself say what it was used for. */
static void origin_describe(weir_builder *line, const void *subject)
{
    const proxy_state *proxy = subject;

    weir_builder_printf(line, " while %s", proxy->doing);
    proxy->ex->log.describe(line, proxy->ex->log.subject);
}

weir_log proxy_origin_log(const proxy_state *proxy)
{
    weir_log log = proxy->ex->log;

    log.describe = origin_describe;
    log.subject = proxy;
    return log;
}

/* ---- opening and closing */

void proxy_origin_close(proxy_state *proxy)
{
    if (proxy->origin != NULL) {
        weir_connection_close(proxy->origin);
        proxy->origin = NULL;
        proxy->link = NULL;
    }
    proxy->deadline_ms = 0;
    weir_task_cancel(&proxy->go_on);
    weir_chain_clear(&proxy->out);
    /* The next try asks for the rest of the body when it has a connection to send it over. */
    weir_http_body_leave(proxy->ex);
}

static void origin_link(proxy_state *proxy)
{
    weir_connection *origin = proxy->origin;

    origin->owner = proxy;
    proxy->link = weir_balance_link_new(origin, proxy->group, proxy->pick.peer, &proxy->key);
    if (proxy->body_is_streamed || proxy->wire->framing != NULL) {
        weir_connection_set_nodelay(origin, true);
    }
}

static void opened(weir_origin_opening *opening, weir_origin_outcome outcome)
{
    proxy_state *proxy = WEIR_OWNER(opening, proxy_state, opening);

    weir_balance_count_opening(&proxy->pick, opening, outcome);
    switch (outcome) {
    case WEIR_ORIGIN_OPEN:
        origin_link(proxy);
        proxy_send_begin(proxy);
        return;
    case WEIR_ORIGIN_TIMED_OUT:
        proxy_fail(proxy, PROXY_FAILED_TIMEOUT, 504);
        return;
    case WEIR_ORIGIN_FAILED:
        proxy_fail(proxy, PROXY_FAILED_ERROR, 502);
        return;
    }
}

void proxy_origin_open(proxy_state *proxy)
{
    const proxy_conf *conf = proxy->conf;
    const weir_balance_peer *peer = proxy->pick.peer;

    proxy->is_reused = proxy->was_begun = false;
    proxy->opening = (weir_origin_opening){
        .addr = &peer->addr,
        .peer = peer->text,
        .socket =
            {
                .socket_keepalive = conf->socket_keepalive,
                .speaks_first = !conf->tunnels,
                .rcvbuf = (int) conf->socket_rcvbuf,
                .sndbuf = (int) conf->socket_sndbuf,
            },
        .timeout_ms = conf->connect_timeout_ms,
        .tls = proxy->url.is_tls ? conf->tls_client : NULL,
        .tls_name = proxy->key.name,
        .alpn = proxy->wire->framing != NULL ? proxy->wire->framing->alpn : WEIR_STR_EMPTY,
        .script = &proxy->ex->script,
        .connection = &proxy->origin,
        .log = proxy_origin_log(proxy),
        .doing = &proxy->doing,
        .done = opened,
    };
    weir_bind_apply(&conf->bind, proxy->key.bound, &proxy->opening.socket, &proxy->ex->log);
    weir_origin_open(weir_worker_current()->loop, &proxy->opening);
}

/* One that was kept: what it has carried before is not this exchange's. */
static void origin_adopt(proxy_state *proxy, weir_balance_link *link)
{
    weir_connection *origin = link->connection;

    proxy->is_reused = true;
    proxy->was_begun = false;
    proxy->link = link;
    proxy->origin = origin;
    origin->owner = proxy;
    origin->log = proxy_origin_log(proxy);
    origin->received = origin->sent = 0;
}

/* Only what may be repeated is risked on it unseen. */
static bool is_fit(const proxy_state *proxy, weir_balance_link *link)
{
    if (proxy->wire->framing != NULL) {
        return proxy->wire->framing->is_fit(link);
    }
    return (proxy->is_idempotent && !proxy->body_is_streamed && !link->is_doubted)
           || weir_connection_is_quiet(link->connection);
}

bool proxy_origin_reuse(proxy_state *proxy)
{
    weir_balance_link *link;

    if (proxy->conf->tunnels) {
        return false;
    }
    while ((link = weir_balance_idle_take(proxy->group, proxy->pick.peer, &proxy->key)) != NULL) {
        if (is_fit(proxy, link)) {
            origin_adopt(proxy, link);
            proxy_send_begin(proxy);
            return true;
        }
        weir_connection_close(link->connection);
    }
    return false;
}
