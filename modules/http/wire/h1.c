#include <stdlib.h>
#include <sys/socket.h>

#include "core/base/clock.h"
#include "core/process/worker.h"
#include "modules/http/wire/h1_internal.h"
#include "modules/http/wire/linger.h"

/*
 * HTTP/1 toward clients (RFC 9112).
 *
 *     idle -> head -> exchange -> idle       keep-alive
 *                              -> discard -> idle   the rest of a body that nobody wanted
 *                              -> linger -> closed  our side is shut, theirs is read until it ends
 *                              -> tunnel    the connection was taken over
 *
 * A head is read into a block, and stays there as slices for as long as its exchange lives. Between exchanges a
 * connection holds no block, unless the next request has begun to arrive.
 */

/* A body that nobody wanted is read to its end up to this much, to keep the connection. */
#define DISCARD_BYTES (1024 * 1024)

static void h1_head_readable(weir_connection *connection);
static void h1_idle_timeout(weir_connection *connection);
static void h1_head_timeout(weir_connection *connection);
static void h1_idle_readable(weir_connection *connection);
static void h1_exchange_readable(weir_connection *connection);
static void h1_exchange_writable(weir_connection *connection);
static void h1_exchange_timeout(weir_connection *connection);
static void h1_exchange_hangup(weir_connection *connection);
static void h1_discard_timeout(weir_connection *connection);

/* idle -> head, closed */
const weir_connection_state h1_idle = {
    .name = "idle",
    .on_readable = h1_idle_readable,
    .on_timeout = h1_idle_timeout,
};

/* head -> exchange, closed */
const weir_connection_state h1_head = {
    .name = "head",
    .on_readable = h1_head_readable,
    .on_timeout = h1_head_timeout, /* 408 (RFC 9110, 15.5.9) */
};

/* exchange -> idle, discard, linger, closing, closed */
const weir_connection_state h1_exchange = {
    .name = "exchange",
    .on_readable = h1_exchange_readable,
    .on_writable = h1_exchange_writable,
    .on_timeout = h1_exchange_timeout,
    .on_hangup = h1_exchange_hangup,
};

/* discard -> idle, linger, closed */
static const weir_connection_state h1_discard = {
    .name = "discard",
    .on_readable = h1_discard_readable,
    .on_timeout = h1_discard_timeout,
};

/* ---- deadlines: a timer that is moved as seldom as can be */

/* Sets the timer for the nearer of both deadlines. */
static void deadline_arm(h1_connection *h1)
{
    uint64_t now = weir_clock_now()->monotonic_ms;
    uint64_t due = h1->deadline_ms;

    if (due == 0 || (h1->body_deadline_ms != 0 && h1->body_deadline_ms < due)) {
        due = h1->body_deadline_ms;
    }
    if (due != 0) {
        weir_connection_set_timeout(h1->connection, due > now ? due - now : 0);
    }
}

void h1_wait_for(h1_connection *h1, uint64_t from_now_ms)
{
    h1->deadline_ms = weir_clock_now()->monotonic_ms + from_now_ms;
    deadline_arm(h1);
}

void h1_wait_for_body(h1_connection *h1, uint64_t from_now_ms)
{
    h1->body_deadline_ms = weir_clock_now()->monotonic_ms + from_now_ms;
    deadline_arm(h1);
}

/* For the rest of the head that has begun. */
static void h1_wait_for_head(h1_connection *h1)
{
    uint64_t came = h1->head_bytes + (h1->end - h1->start);

    h1->deadline_ms = h1->ex->started_ms + weir_http_head_patience_ms(h1->ex->core, came);
    deadline_arm(h1);
}

/* The timer may still run: its handler looks at deadline_ms. */
void h1_wait_for_nothing(h1_connection *h1)
{
    h1->deadline_ms = 0;
}

static bool deadline_has_passed(h1_connection *h1)
{
    uint64_t now = weir_clock_now()->monotonic_ms;

    if (h1->deadline_ms == 0) {
        return false;
    }
    if (now < h1->deadline_ms) {
        weir_connection_set_timeout(h1->connection, h1->deadline_ms - now);
        return false;
    }
    return true;
}

/* ---- the end of a connection */

/* Gives back what is held; the connection's pool does it again, harmlessly. */
static void h1_release(void *subject)
{
    h1_connection *h1 = subject;

    h1_buffer_release(h1);
    weir_block_unref(h1->head_block);
    h1->head_block = NULL;
    free(h1->head_large);
    h1->head_large = NULL;
    weir_chain_clear(&h1->out);
    weir_task_cancel(&h1->next);
    weir_task_cancel(&h1->go_on);
}

void h1_close(h1_connection *h1)
{
    h1_release(h1);
    weir_connection_close(h1->connection);
}

static void h1_close_timed_out(h1_connection *h1)
{
    h1_release(h1);
    if (h1->last_core->reset_timedout_connection) {
        weir_connection_reset(h1->connection);
    } else {
        weir_connection_close(h1->connection);
    }
}

void h1_end_connection(h1_connection *h1, bool lingers)
{
    h1_release(h1);
    weir_http_end_connection(h1->connection, h1->last_core,
                             lingers ? WEIR_HTTP_END_LINGERING : WEIR_HTTP_END_AT_ONCE);
}

/* ---- waiting for a head */

static void h1_idle_readable(weir_connection *connection)
{
    h1_connection *h1 = connection->owner;

    weir_connection_set_idle(connection, false);
    weir_connection_enter(connection, &h1_head);
    h1_head_begin(h1);
    h1->skips_empty_line = true;
    h1_wait_for_nothing(h1);

    /* Most heads come whole: only one that did not needs its timer. */
    if (h1_head_go_on(h1) != WEIR_WAIT) {
        return;
    }
    if (h1->ex == NULL) {
        weir_connection_enter(connection, &h1_idle);
        weir_connection_set_idle(connection, true);
        return;
    }
    h1_wait_for_head(h1);
}

/* The time for a head moves with what came of it only where a rate is asked for. */
static void h1_head_more(h1_connection *h1)
{
    if (h1_head_go_on(h1) == WEIR_WAIT && h1->ex != NULL
        && h1->ex->core->client_min_rate.bytes_s != 0) {
        h1_wait_for_head(h1);
    }
}

static void h1_head_readable(weir_connection *connection)
{
    h1_connection *h1 = connection->owner;

    /* What was posted for a pipelined request is done here; later it would meet the exchange. */
    weir_task_cancel(&h1->next);
    h1_head_more(h1);
}

static void h1_head_timeout(weir_connection *connection)
{
    h1_connection *h1 = connection->owner;

    if (!deadline_has_passed(h1)) {
        return;
    }
    if (h1->ex == NULL) {
        h1_close_timed_out(h1);
        return;
    }
    h1->ex->request.body_ended = true;
    h1->ex->keepalive = false;
    weir_log_line(&h1->ex->log, WEIR_LOG_INFO, 0,
                  "client timed out while reading client request headers");
    weir_connection_enter(connection, &h1_exchange);
    h1_wait_for_nothing(h1);
    weir_http_respond_status(h1->ex, 408, "client timed out");
}

static void h1_idle_timeout(weir_connection *connection)
{
    h1_connection *h1 = connection->owner;
    weir_worker *worker = weir_worker_current();

    /* The worker may have asked: then there is no deadline to look at. */
    if (worker != NULL && worker->is_draining) {
        h1_end_connection(h1, false);
        return;
    }
    if (!connection->is_idle || h1->deadline_ms == 0 || deadline_has_passed(h1)) {
        h1_end_connection(h1, false);
    }
}

/* ---- while an exchange runs */

static void h1_exchange_writable(weir_connection *connection)
{
    h1_connection *h1 = connection->owner;

    if (h1->ex != NULL && h1->ex->response.head_is_sent) {
        h1_pump(h1);
    }
}

static void h1_exchange_readable(weir_connection *connection)
{
    h1_connection *h1 = connection->owner;

    if (h1->ex != NULL && h1->wants_body) {
        h1->wants_body = false;
        weir_http_body_readable(h1->ex);
        return;
    }
    if (connection->hangup) {
        h1_exchange_hangup(connection);
    }
}

/* Plain bytes before the end of data are requests; behind TLS they are most likely its close_notify. */
static bool has_more_requests(const weir_connection *connection)
{
    char byte;

    return connection->tls == NULL
           && recv(connection->event.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* The client will send no more: it has gone, unless a whole request waits behind this one. */
static void h1_exchange_hangup(weir_connection *connection)
{
    h1_connection *h1 = connection->owner;

    if (h1->ex == NULL || !h1->ex->request.body_ended || h1->start != h1->end || h1->wants_body) {
        return;
    }
    if (h1->ex->response.head_is_sent && h1->pull_ended) {
        return;
    }
    if (!has_more_requests(connection)) {
        weir_http_client_gone(h1->ex);
    }
}

static void h1_exchange_timeout(weir_connection *connection)
{
    h1_connection *h1 = connection->owner;
    weir_http_exchange *ex = h1->ex;

    if (ex == NULL) {
        return;
    }
    if (h1->body_deadline_ms != 0 && h1->body_deadline_ms <= weir_clock_now()->monotonic_ms) {
        h1->body_deadline_ms = 0;
        h1->wants_body = false;
        if (weir_http_body_timed_out(ex)) {
            return;
        }
    }
    if (h1->deadline_ms == 0 || weir_clock_now()->monotonic_ms < h1->deadline_ms) {
        deadline_arm(h1);
        return;
    }
    if (h1->is_rate_paused) {
        h1->is_rate_paused = false;
        h1_wait_for_nothing(h1);
        h1_pump(h1);
        return;
    }

    ex->keepalive = false;
    h1_wait_for_nothing(h1);
    weir_log_line(&ex->log, WEIR_LOG_INFO, 0, "client timed out while sending to client");
    ex->client_is_gone = true;
    weir_http_h1.abort(ex);
}

/* ---- between exchanges */

void h1_become_idle(h1_connection *h1)
{
    h1_head_begin(h1);
    if (h1->start != h1->end) {
        h1->skips_empty_line = true;
        h1->is_pipelined = true;
        weir_task_post(h1->connection->loop, &h1->next);
        weir_connection_enter(h1->connection, &h1_head);
        h1_wait_for(h1, h1->client.server->core->client_header_timeout_ms);
        return;
    }
    h1_buffer_release(h1);
    weir_connection_enter(h1->connection, &h1_idle);
    weir_connection_set_idle(h1->connection, true);
    h1_wait_for(h1, h1->last_core->keepalive.timeout_ms);
}

/* Others have had their turn: the response goes on. */
static void h1_go_on(weir_task *task)
{
    h1_connection *h1 = WEIR_OWNER(task, h1_connection, go_on);

    if (h1->ex != NULL && h1->ex->response.head_is_sent) {
        h1_pump(h1);
    }
}

static void h1_next(weir_task *task)
{
    h1_head_more(WEIR_OWNER(task, h1_connection, next));
}

static void h1_discard_timeout(weir_connection *connection)
{
    h1_connection *h1 = connection->owner;

    if (deadline_has_passed(h1)) {
        h1_close(h1);
    }
}

static void h1_ended(weir_http_exchange *ex)
{
    h1_connection *h1 = ex->wire_state;
    bool keeps = ex->keepalive && !ex->client_is_gone && !ex->response.body_is_short;
    bool body_ended = ex->request.body_ended;
    bool must_close_at_once = ex->client_is_gone;
    bool is_cut = ex->response.body_is_short && ex->response.head_is_sent;
    uint64_t length = ex->request.content_length < 0 ? 0 : (uint64_t) ex->request.content_length;

    if (ex->response.is_upgrade && ex->response.head_is_sent) {
        /* The tunnel has closed what it took. */
        return;
    }

    h1->ex = NULL;
    h1->last_core = ex->core;
    weir_block_unref(h1->head_block);
    h1->head_block = NULL;
    free(h1->head_large);
    h1->head_large = NULL;
    weir_chain_clear(&h1->out);
    weir_task_cancel(&h1->go_on);
    h1->wants_body = false;
    h1->body_deadline_ms = 0;
    h1_wait_for_nothing(h1);

    if (must_close_at_once) {
        h1_close(h1);
        return;
    }
    if (is_cut) {
        /* A reset, or no close_notify: the client must not take what it has for the whole. */
        h1_close(h1);
        return;
    }
    if (!keeps) {
        h1_end_connection(h1, !body_ended || h1->start != h1->end || h1->connection->readable
                                  || h1->last_core->lingering_close == WEIR_HTTP_LINGER_ALWAYS);
        return;
    }
    if (!body_ended) {
        /* The exchange's memory goes: who sends trailer fields that nobody wanted loses the connection. */
        if (h1->body == BODY_LENGTH ? length > DISCARD_BYTES
                                    : !weir_http_chunked_forget(&h1->chunked)) {
            h1_end_connection(h1, true);
            return;
        }
        h1->discard_left = DISCARD_BYTES;
        weir_connection_enter(h1->connection, &h1_discard);
        h1_wait_for(h1, h1->last_core->lingering_timeout_ms);
        h1->wants_body = false;
        h1_discard_readable(h1->connection);
        return;
    }
    h1_become_idle(h1);
}

static void h1_abort(weir_http_exchange *ex)
{
    ex->keepalive = false;
    ex->response.body_is_short = true;
    /* Nobody has taken the connection yet. */
    ex->response.is_upgrade = false;
    if (!ex->response.head_is_sent) {
        ex->client_is_gone = true;
    }
    weir_http_exchange_end(ex);
}

/* ---- tunnels */

static weir_connection *h1_take_connection(weir_http_exchange *ex)
{
    h1_connection *h1 = ex->wire_state;
    weir_connection *connection = h1->connection;

    if (!weir_chain_is_empty(&h1->out)) {
        return NULL;
    }
    if (h1->start != h1->end
        && !weir_connection_give_back(connection,
                                      weir_str_of(h1->data + h1->start, h1->end - h1->start))) {
        return NULL;
    }
    h1_buffer_release(h1);
    weir_connection_clear_timeout(connection);
    return connection;
}

const weir_http_wire weir_http_h1 = {
    .name = "http/1",
    .read_body = h1_read_body,
    .send_interim = h1_send_interim,
    .respond = h1_respond,
    .wake = h1_wake,
    .ended = h1_ended,
    .abort = h1_abort,
    .take_connection = h1_take_connection,
};

void weir_http_h1_start(weir_http_connection *client)
{
    weir_connection *connection = client->connection;
    h1_connection *h1 = WEIR_NEW(connection->pool, h1_connection);

    if (h1 == NULL || weir_pool_on_free(connection->pool, h1_release, h1) == NULL) {
        weir_connection_close(connection);
        return;
    }
    h1->client = *client;
    h1->last_core = client->server->core;
    h1->connection = connection;
    h1->next.name = "http/1 next request";
    h1->next.run = h1_next;
    h1->go_on.name = "http/1 response";
    h1->go_on.run = h1_go_on;
    weir_list_init(&h1->go_on.link);
    weir_list_init(&h1->next.link);
    connection->owner = h1;
    h1_head_begin(h1);
    h1->skips_empty_line = true;
    h1_wait_for(h1, client->server->core->client_header_timeout_ms);
    weir_connection_enter(connection, &h1_head);
}
