#include "modules/http/proxy/proxy_internal.h"

#include <errno.h>

#include "core/base/clock.h"

/* The request goes out, as the origin takes it and as its body comes, and the answer is waited for. */

static void sending_writable(weir_connection *connection);
static void waiting_writable(weir_connection *connection);
static void send_timeout(weir_connection *connection);

/* sending -> waiting | receiving | closed */
static const weir_connection_state proxy_sending = {
    .name = "sending request to origin",
    .on_readable = proxy_head_readable,
    .on_writable = sending_writable,
    .on_timeout = send_timeout,
};

/* waiting -> receiving | closed */
static const weir_connection_state proxy_waiting = {
    .name = "waiting for origin",
    .on_readable = proxy_head_readable,
    .on_writable = waiting_writable,
    .on_timeout = send_timeout,
};

/* ---- time */

void proxy_wait(proxy_state *proxy, uint64_t from_now_ms)
{
    proxy->deadline_ms = weir_clock_now()->monotonic_ms + from_now_ms;
    weir_connection_set_timeout(proxy->origin, from_now_ms);
}

bool proxy_deadline_has_passed(proxy_state *proxy)
{
    uint64_t now = weir_clock_now()->monotonic_ms;

    if (proxy->deadline_ms == 0) {
        return false;
    }
    if (now < proxy->deadline_ms) {
        weir_connection_set_timeout(proxy->origin, proxy->deadline_ms - now);
        return false;
    }
    return true;
}

static void send_timeout(weir_connection *connection)
{
    proxy_state *proxy = connection->owner;
    weir_log log = proxy_origin_log(proxy);

    if (!proxy_deadline_has_passed(proxy)) {
        return;
    }
    weir_log_line(&log, WEIR_LOG_ERR, ETIMEDOUT, "upstream timed out");
    proxy_fail(proxy, PROXY_FAILED_TIMEOUT, 504);
}

/* ---- sending */

static void body_readable(weir_http_exchange *ex)
{
    proxy_state *proxy = ex->upstream;

    if (proxy->origin != NULL) {
        proxy_send(proxy);
    }
}

static void send_failed(proxy_state *proxy)
{
    /* It may have answered before it went away. */
    if (proxy->origin->readable && !proxy->head_is_complete) {
        proxy->is_sent = false;
        weir_chain_clear(&proxy->out);
        proxy_head_readable(proxy->origin);
        return;
    }
    if (!proxy->head_is_complete) {
        proxy_fail(proxy, PROXY_FAILED_ERROR, 502);
    }
}

/* Unless the answer comes already, the request is what is waited for. */
static void go_on_sending(proxy_state *proxy)
{
    if (proxy->origin->state != &proxy_sending) {
        proxy->doing = "sending request to upstream";
        weir_connection_enter(proxy->origin, &proxy_sending);
    }
}

static void wait_for_origin(proxy_state *proxy)
{
    if (!proxy->head_is_complete) {
        proxy_wait(proxy, proxy->conf->send_timeout_ms);
        go_on_sending(proxy);
    }
}

/* The client's time, not the origin's. */
static void wait_for_client(proxy_state *proxy)
{
    if (!proxy->head_is_complete) {
        proxy->deadline_ms = 0;
        go_on_sending(proxy);
    }
}

void proxy_send(proxy_state *proxy)
{
    weir_connection *origin = proxy->origin;
    const proxy_framing *framing = proxy->wire->framing;
    bool is_receiving = proxy->head_is_complete;

    for (;;) {
        weir_result read = WEIR_OK;

        if (proxy->body_is_streamed && !proxy->ex->request.body_ended && !proxy->is_held_back
            && proxy->out.len < WEIR_BLOCK_BYTES) {
            read = proxy_body_read(proxy, body_readable);
            if (read == WEIR_FAIL) {
                weir_http_exchange *ex = proxy->ex;

                weir_http_hold_drop(ex, &proxy->hold);
                proxy_let_go(proxy);
                /* On a kept connection this happens while the phases still run: they are to go on with it. */
                proxy->is_answered = true;
                weir_http_body_failed(ex);
                return;
            }
        }

        if (framing != NULL && framing->push(proxy) == WEIR_FAIL) {
            send_failed(proxy);
            return;
        }
        if (!weir_chain_is_empty(&proxy->out)) {
            proxy->was_begun = true;
            switch (weir_connection_write(origin, &proxy->out, UINT64_MAX)) {
            case WEIR_OK:
                break;
            case WEIR_WAIT:
                wait_for_origin(proxy);
                return;
            case WEIR_FAIL:
                send_failed(proxy);
                return;
            }
            if (proxy->is_held_back) {
                continue;
            }
        }
        if (proxy->is_held_back) {
            wait_for_origin(proxy);
            return;
        }

        if (!proxy->body_is_streamed || proxy->ex->request.body_ended) {
            break;
        }
        if (read == WEIR_WAIT) {
            wait_for_client(proxy);
            return;
        }
    }

    proxy->is_sent = true;
    if (!is_receiving) {
        proxy->doing = "reading response header from upstream";
        proxy_wait(proxy, proxy->conf->read_timeout_ms);
        weir_connection_enter(origin, &proxy_waiting);
    }
}

static void sending_writable(weir_connection *connection)
{
    proxy_send(connection->owner);
}

void proxy_answer_frames(proxy_state *proxy)
{
    const proxy_framing *framing = proxy->wire->framing;

    if (framing == NULL || proxy->origin == NULL) {
        return;
    }
    if (proxy->is_sent) {
        framing->reply(proxy);
    } else {
        proxy_send(proxy);
    }
}

static void waiting_writable(weir_connection *connection)
{
    proxy_answer_frames(connection->owner);
}

void proxy_send_begin(proxy_state *proxy)
{
    proxy_attempt *attempt = proxy_attempt_now(proxy);

    if (attempt->connect_ms == PROXY_UNKNOWN) {
        attempt->connect_ms = weir_clock_now()->monotonic_ms - attempt->started_ms;
    }
    if (proxy->conf->tunnels) {
        proxy_connect_agree(proxy);
        return;
    }
    if (!proxy_request_begin(proxy)) {
        proxy_origin_close(proxy);
        proxy_answer(proxy, 500, "internal failure");
        return;
    }
    proxy_send(proxy);
}
