#include "modules/http/proxy/proxy_internal.h"

#include <errno.h>

/* After 101, or CONNECT, the client's and the origin's connection belong to each other (RFC 9110, 7.8 and 9.3.6). */

/* waits -> relaying */
static const weir_connection_state tunnel_waits = {
    .name = "tunnel, not begun",
};

/* Runs when the exchange is freed: until then its client's connection is still spoken of. */
static void client_close(void *subject)
{
    proxy_state *proxy = subject;

    if (proxy->tunnel_client != NULL) {
        weir_connection_close(proxy->tunnel_client);
    }
}

static void relayed(weir_relay *relay, weir_relay_end end, void *subject)
{
    proxy_state *proxy = subject;
    weir_http_exchange *ex = proxy->ex;
    uint64_t upload;
    uint64_t download;

    weir_relay_counts(relay, &upload, &download);
    weir_relay_free(relay);
    proxy->relay = NULL;
    ex->bytes_sent += download;
    proxy_attempt_now(proxy)->length = download;
    if (end == WEIR_RELAY_STALLED_A) {
        weir_log_line(&ex->log, WEIR_LOG_INFO, 0,
                      "client timed out (%d: %s) while proxying upgraded connection", ETIMEDOUT,
                      strerror(ETIMEDOUT));
    } else if (end == WEIR_RELAY_TIMED_OUT || end == WEIR_RELAY_STALLED_B) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0,
                      "upstream timed out (%d: %s) while proxying upgraded connection", ETIMEDOUT,
                      strerror(ETIMEDOUT));
    }
    proxy_release(proxy);
    ex->response.body_ended = true;
    weir_http_exchange_end(ex);
}

/* The head has gone to the client, as all filters wanted it. */
static void tunnel_take(weir_task *task)
{
    proxy_state *proxy = WEIR_OWNER(task, proxy_state, go_on);
    weir_http_exchange *ex = proxy->ex;
    weir_connection *origin = proxy->origin;
    weir_relay_options options = {
        .idle_timeout_ms = proxy->conf->read_timeout_ms,
        .a_timeout_ms = ex->core->send_timeout_ms,
        .b_timeout_ms = proxy->conf->send_timeout_ms,
        .copy_bytes = proxy->conf->tunnels ? proxy->conf->buffer_size : 0,
        .half_close = proxy->conf->tunnels,
    };

    proxy->tunnel_client = ex->wire->take_connection(ex);
    if (proxy->tunnel_client == NULL) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "client did not take the upgraded connection");
        ex->wire->abort(ex);
        return;
    }
    weir_connection_set_nodelay(proxy->tunnel_client, ex->core->tcp_nodelay);
    weir_connection_set_nodelay(origin, ex->core->tcp_nodelay);
    proxy->relay = weir_relay_start(proxy->tunnel_client, origin, &options, relayed, proxy);
    if (proxy->relay == NULL) {
        weir_http_exchange_end(ex);
    }
}

static void tunnel_agreed(weir_http_exchange *ex)
{
    weir_task_post(ex->client->connection->loop, &ex->upstream->go_on);
}

void proxy_tunnel_start(proxy_state *proxy)
{
    weir_http_exchange *ex = proxy->ex;
    weir_connection *origin = proxy->origin;

    /* What came behind the head belongs to the other protocol already. */
    if ((proxy->start != proxy->end
         && !weir_connection_give_back(
             origin, weir_str_of(proxy->data + proxy->start, proxy->end - proxy->start)))
        || weir_pool_on_free(ex->pool, client_close, proxy) == NULL) {
        proxy_answer(proxy, 500, "internal failure");
        return;
    }
    proxy_buffer_release(proxy);
    proxy->doing = "proxying upgraded connection";
    proxy->deadline_ms = 0;
    weir_connection_clear_timeout(origin);
    weir_connection_enter(origin, &tunnel_waits);
    proxy->go_on.run = tunnel_take;
    ex->source = NULL;
    ex->response.is_upgrade = true;
    ex->upgraded = tunnel_agreed;
    weir_http_respond(ex);
}
