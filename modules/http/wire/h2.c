#include "core/base/clock.h"
#include "core/process/worker.h"
#include "modules/http/wire/h2_internal.h"
#include "modules/http/wire/head_rules.h"
#include "modules/http/wire/linger.h"

/*
 * HTTP/2 toward clients (RFC 9113), over nghttp2: frames come in by blocks and go out by chains.
 *
 *     look -> open -> linger -> closed     GOAWAY was said, by us for any reason or by nghttp2
 *                  -> gone -> closed       exchanges that go on without their client
 *
 * Exchanges only queue; what is queued goes out in one write at the end of the loop's turn, or once what came in was
 * looked at.  Between requests a connection holds no block.
 */

/* Blocks that are read in one turn of the loop. */
#define READS 16
/* Written in one turn of the loop, to be fair to others. */
#define OUT_SHARE (1024 * 1024)

static void h2_readable(weir_connection *connection);
static void h2_writable(weir_connection *connection);
static void h2_timeout(weir_connection *connection);
static void h2_look_readable(weir_connection *connection);
static void h2_look_timeout(weir_connection *connection);

/* open -> linger, gone, closed */
static const weir_connection_state h2_open = {
    .name = "http/2",
    .on_readable = h2_readable,
    .on_writable = h2_writable,
    .on_timeout = h2_timeout,
};

/* gone -> closed, once the last exchange has ended */
static const weir_connection_state h2_gone = {
    .name = "http/2 without client",
};

/* look -> http/2, http/1's head, closed */
static const weir_connection_state h2_looking = {
    .name = "http version",
    .on_readable = h2_look_readable,
    .on_timeout = h2_look_timeout,
};

/* ---- time */

static void arm(h2_connection *h2)
{
    uint64_t now = weir_clock_now()->monotonic_ms;
    uint64_t due = h2->deadline_ms;

    if (due == 0 || (h2->check_ms != 0 && h2->check_ms < due)) {
        due = h2->check_ms;
    }
    if (due != 0) {
        weir_connection_set_timeout(h2->connection, due > now ? due - now : 0);
    }
}

static void wait_for(h2_connection *h2, uint64_t from_now_ms)
{
    h2->deadline_ms = weir_clock_now()->monotonic_ms + from_now_ms;
    arm(h2);
}

void h2_check_at(h2_connection *h2, uint64_t due_ms)
{
    if (h2->check_ms == 0 || due_ms < h2->check_ms) {
        h2->check_ms = due_ms;
        arm(h2);
    }
}

void h2_schedule(h2_connection *h2)
{
    if (!h2->is_busy) {
        weir_task_post(h2->connection->loop, &h2->pump);
    }
}

static bool has_work(const h2_connection *h2)
{
    return h2->stream_count != 0 || !weir_list_is_empty(&h2->tunnels);
}

/* ---- the end */

static void small_release(h2_connection *h2)
{
    weir_block_unref(h2->small);
    h2->small = NULL;
    h2->small_len = 0;
}

static void h2_release(void *subject)
{
    h2_connection *h2 = subject;

    weir_task_cancel(&h2->pump);
    weir_chain_clear(&h2->out);
    small_release(h2);
    nghttp2_session_del(h2->session);
    h2->session = NULL;
}

/* The connection is of no more use; it is freed, now or with the last exchange that goes on without it. */
static void leave(h2_connection *h2, weir_http_ending ending)
{
    weir_connection *connection = h2->connection;

    h2->is_gone = true;
    h2->is_busy = true;
    h2_streams_gone(h2);
    h2_tunnels_close(h2);
    h2->is_busy = false;
    weir_chain_clear(&h2->out);
    weir_connection_set_idle(connection, false);
    if (h2->stream_count != 0) {
        weir_connection_clear_timeout(connection);
        weir_connection_enter(connection, &h2_gone);
        return;
    }
    weir_task_cancel(&h2->pump);
    if (ending == WEIR_HTTP_END_AT_ONCE) {
        weir_connection_close(connection);
    } else {
        weir_http_end_connection(connection, h2->client.server->core, ending);
    }
}

void h2_condemn(h2_connection *h2, uint32_t error_code, const char *why)
{
    if (h2->is_ending) {
        return;
    }
    h2->is_ending = true;
    if (error_code != NGHTTP2_NO_ERROR) {
        h2->is_expelled = true;
        weir_log_line(&h2->connection->log, WEIR_LOG_INFO, 0, "%s", why);
    } else {
        weir_log_debug(&h2->connection->log, "http2 connection ends: %s", why);
    }
    (void) nghttp2_session_terminate_session(h2->session, error_code);
    h2_schedule(h2);
}

/*
 * The client is told to make no more requests, in two steps (RFC 9113, 6.8): what it has sent before it heard is
 * still served, and only when it has answered a PING is the last of them named.
 */
static void say_goodbye(h2_connection *h2, const char *why)
{
    if (h2->is_leaving || h2->is_ending) {
        return;
    }
    h2->is_leaving = true;
    h2->leave_by_ms =
        weir_clock_now()->monotonic_ms + h2->client.server->core->lingering_timeout_ms;
    weir_log_debug(&h2->connection->log, "http2 connection will end: %s", why);
    (void) nghttp2_submit_shutdown_notice(h2->session);
    (void) nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, NULL);
}

void h2_name_last(h2_connection *h2)
{
    if (h2->is_leaving && !h2->last_is_named) {
        h2->last_is_named = true;
        (void) nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE,
                                     nghttp2_session_get_last_proc_stream_id(h2->session),
                                     NGHTTP2_NO_ERROR, NULL, 0);
    }
}

/* What HTTP/1 says with "Connection: close". */
static void look_for_reasons_to_leave(h2_connection *h2)
{
    const weir_http_core_conf *core = h2->client.server->core;
    const weir_worker *worker = weir_worker_current();

    if (h2->is_leaving) {
        /* A client that does not answer is not served for ever. */
        if (weir_clock_now()->monotonic_ms >= h2->leave_by_ms) {
            h2_name_last(h2);
        }
        return;
    }
    if (h2->client.requests == 0) {
        return;
    }
    if (worker != NULL && worker->is_draining) {
        say_goodbye(h2, "the worker winds down");
    } else if (h2->client.requests >= core->keepalive_requests) {
        say_goodbye(h2, "keepalive_requests");
    } else if (core->keepalive.timeout_ms == 0) {
        say_goodbye(h2, "keepalive_timeout is 0");
    } else if (weir_clock_now()->monotonic_ms - h2->connection->started_ms
               >= core->keepalive_time_ms) {
        say_goodbye(h2, "keepalive_time");
    }
}

/* ---- writing */

bool h2_queue_copy(h2_connection *h2, weir_str bytes)
{
    while (bytes.len != 0) {
        weir_str part;

        if (h2->small_len == WEIR_BLOCK_BYTES) {
            small_release(h2);
        }
        if (h2->small == NULL) {
            h2->small = weir_block_get();
            if (h2->small == NULL) {
                return false;
            }
        }
        part = weir_str_slice(bytes, 0, WEIR_BLOCK_BYTES - h2->small_len);
        memcpy(h2->small->data + h2->small_len, part.data, part.len);
        if (!weir_chain_add_block(&h2->out, h2->small, h2->small->data + h2->small_len, part.len)) {
            return false;
        }
        h2->small_len += part.len;
        bytes = weir_str_from(bytes, part.len);
    }
    return true;
}

/* Has nghttp2 make frames, as long as there is room for them. False: it cannot go on. */
static bool gather(h2_connection *h2)
{
    while (h2->out.len < H2_OUT_FULL) {
        const uint8_t *data;
        ssize_t len = nghttp2_session_mem_send(h2->session, &data);

        if (len < 0 || h2->is_torn) {
            weir_log_line(&h2->connection->log, WEIR_LOG_CRIT, 0,
                          "http2: no frame could be made: %s",
                          len < 0 ? nghttp2_strerror((int) len) : "a body could not be read");
            return false;
        }
        /* DATA frames are in the queue already when it says 0. */
        if (len == 0) {
            break;
        }
        if (!h2_queue_copy(h2, weir_str_of((const char *) data, (size_t) len))) {
            weir_log_line(&h2->connection->log, WEIR_LOG_CRIT, 0, "http2: no memory for a frame");
            return false;
        }
    }
    return true;
}

typedef enum {
    PUMP_DONE, /* nothing is left to send now */
    PUMP_WAITS,
    PUMP_SHARED, /* there is more, but others have their turn first */
    PUMP_BROKEN,
} pump_end;

static pump_end pump(h2_connection *h2)
{
    uint64_t share = OUT_SHARE;

    for (;;) {
        uint64_t before;

        if (!gather(h2)) {
            return PUMP_BROKEN;
        }
        before = h2->out.len;
        if (before == 0 && !h2->is_blocked) {
            small_release(h2);
            return PUMP_DONE;
        }
        /* Of what TLS has taken, and the socket has not, nothing is in `out`: writing nothing tells. */
        switch (weir_connection_write(h2->connection, &h2->out, UINT64_MAX)) {
        case WEIR_OK:
            break;
        case WEIR_WAIT:
            return PUMP_WAITS;
        case WEIR_FAIL:
            return PUMP_BROKEN;
        }
        if (before == 0) {
            small_release(h2);
            return PUMP_DONE;
        }
        if (before >= share) {
            return PUMP_SHARED;
        }
        share -= before;
    }
}

/* A client that does not take what there is for it is not to make more of it without end. */
static bool has_enough_to_send(const h2_connection *h2)
{
    return h2->is_blocked
           && nghttp2_session_get_outbound_queue_size(h2->session) >= H2_QUEUED_FRAMES_MAX;
}

/* Nothing is left to do but to wait for more requests. */
static void become_idle(h2_connection *h2)
{
    if (!h2->connection->is_idle) {
        weir_connection_set_idle(h2->connection, true);
        wait_for(h2, h2->client.server->core->keepalive.timeout_ms);
    }
}

/* All that can be sent now is out. False: it was the last. */
static bool settle(h2_connection *h2)
{
    bool is_over = h2->is_ending
                   || (nghttp2_session_want_read(h2->session) == 0
                       && nghttp2_session_want_write(h2->session) == 0)
                   || (h2->last_is_named && !has_work(h2));

    if (is_over) {
        leave(h2, h2->is_expelled ? WEIR_HTTP_END_BRIEFLY : WEIR_HTTP_END_LINGERING);
        return false;
    }
    h2->deadline_ms = h2->connection->is_idle ? h2->deadline_ms : 0;
    if (has_work(h2)) {
        return true;
    }
    if (h2->is_leaving) {
        /* A client that answers no PING is not waited for much longer. */
        if (h2->deadline_ms == 0) {
            wait_for(h2, h2->client.server->core->lingering_timeout_ms);
        }
    } else if (h2->client.requests != 0) {
        become_idle(h2);
    } else if (h2->deadline_ms == 0) {
        wait_for(h2, h2->client.server->core->client_header_timeout_ms);
    }
    return true;
}

/* Sends what there is. False: the connection is another's now, or gone. */
static bool h2_pump(h2_connection *h2)
{
    bool was_blocked = h2->is_blocked;
    bool had_room = h2->connection->writable; /* the client has taken some of what it was sent */
    pump_end end;

    if (h2->is_gone) {
        if (h2->stream_count == 0) {
            weir_connection_close(h2->connection);
        }
        return false;
    }
    if (has_work(h2)) {
        weir_connection_set_idle(h2->connection, false);
    }
    look_for_reasons_to_leave(h2);

    h2->is_busy = true;
    end = pump(h2);
    h2->is_busy = false;

    h2->is_blocked = end == PUMP_WAITS;
    if (h2->reads_later && end != PUMP_BROKEN && !has_enough_to_send(h2)) {
        /* Enters again, to be woken for what is there still. */
        h2->reads_later = false;
        weir_connection_enter(h2->connection, &h2_open);
    }
    switch (end) {
    case PUMP_DONE:
        return settle(h2);
    case PUMP_WAITS:
        weir_connection_set_idle(h2->connection, false);
        if (!was_blocked || had_room) {
            wait_for(h2, h2->client.server->core->send_timeout_ms);
        }
        break;
    case PUMP_SHARED:
        weir_task_post(h2->connection->loop, &h2->pump);
        break;
    case PUMP_BROKEN:
        leave(h2, WEIR_HTTP_END_AT_ONCE);
        return false;
    }
    return true;
}

static void pump_posted(weir_task *task)
{
    (void) h2_pump(WEIR_OWNER(task, h2_connection, pump));
}

static void h2_writable(weir_connection *connection)
{
    (void) h2_pump(connection->owner);
}

/* ---- reading */

/* The code of RFC 9113 for what nghttp2 cannot go on after; most of it are limits of its own. */
static uint32_t code_of(int error)
{
    switch (error) {
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC:
        return NGHTTP2_PROTOCOL_ERROR;
    case NGHTTP2_ERR_NOMEM:
    case NGHTTP2_ERR_CALLBACK_FAILURE:
        return NGHTTP2_INTERNAL_ERROR;
    default:
        return NGHTTP2_ENHANCE_YOUR_CALM;
    }
}

/* Half a head: nothing else can come before the rest of it (RFC 9113, 4.3). */
static void wait_for_head(h2_connection *h2, h2_stream *stream, size_t came)
{
    bool has_begun_before = stream->head_deadline_ms != 0;

    stream->head_came += has_begun_before ? came : 0;
    stream->head_deadline_ms =
        stream->ex->started_ms
        + weir_http_head_patience_ms(h2->client.server->core, stream->head_came);
    h2_check_at(h2, stream->head_deadline_ms);
}

/* False: nothing more is read from this client. */
static bool take(h2_connection *h2, weir_str bytes)
{
    ssize_t taken;

    switch (h2_guard_look(&h2->guard, bytes, weir_http_head_limit(h2->client.server->core),
                          weir_clock_now()->monotonic_ms)) {
    case H2_GUARD_FINE:
        break;
    case H2_GUARD_FLOOD:
        h2_condemn(h2, NGHTTP2_ENHANCE_YOUR_CALM, "http2 flood detected");
        return false;
    case H2_GUARD_TOO_LARGE:
        h2_condemn(h2, NGHTTP2_ENHANCE_YOUR_CALM, "client sent too large http2 header");
        return false;
    case H2_GUARD_FRAME_SIZE:
        h2_condemn(h2, NGHTTP2_FRAME_SIZE_ERROR, "client sent too large http2 frame");
        return false;
    case H2_GUARD_ENDED:
        h2_condemn(h2, NGHTTP2_STREAM_CLOSED, "client sent DATA on a closed http2 stream");
        return false;
    case H2_GUARD_PRIORITY:
        h2_condemn(h2, NGHTTP2_PROTOCOL_ERROR, "client sent invalid http2 PRIORITY");
        return false;
    }

    h2->is_busy = true;
    taken = nghttp2_session_mem_recv(h2->session, (const uint8_t *) bytes.data, bytes.len);
    h2_streams_deliver(h2);
    h2->is_busy = false;
    if (taken < 0) {
        h2_condemn(h2, code_of((int) taken), nghttp2_strerror((int) taken));
        return false;
    }
    if (h2->in_head != NULL && !h2->in_head->head_is_complete) {
        wait_for_head(h2, h2->in_head, bytes.len);
    }
    return true;
}

static weir_result read_once(h2_connection *h2)
{
    weir_block *block = weir_block_get();
    weir_result result;
    size_t len;

    if (block == NULL) {
        weir_log_line(&h2->connection->log, WEIR_LOG_CRIT, 0, "no memory for a request");
        return WEIR_FAIL;
    }
    result = weir_connection_read(h2->connection, block->data, WEIR_BLOCK_BYTES, &len);
    if (result == WEIR_OK) {
        result = len == 0 ? WEIR_FAIL : WEIR_OK;
    }
    if (result == WEIR_OK && !take(h2, weir_str_of(block->data, len))) {
        result = WEIR_WAIT;
    }
    weir_block_unref(block);
    return result;
}

static void h2_readable(weir_connection *connection)
{
    h2_connection *h2 = connection->owner;

    /* While a large response goes out, others can be asked for. */
    for (unsigned reads = 0; !h2->is_ending; reads++) {
        if (reads == READS || has_enough_to_send(h2)) {
            h2->reads_later = true;
            break;
        }
        weir_result result = read_once(h2);

        if (result == WEIR_FAIL) {
            leave(h2, WEIR_HTTP_END_AT_ONCE);
            return;
        }
        if (result == WEIR_WAIT) {
            break;
        }
        /* Before more is read: what it leads to is not to gather without bound. */
        if (!h2_pump(h2)) {
            return;
        }
    }
    (void) h2_pump(h2);
}

static void h2_timeout(weir_connection *connection)
{
    h2_connection *h2 = connection->owner;
    uint64_t now = weir_clock_now()->monotonic_ms;
    bool had_work = has_work(h2);

    if (h2->check_ms != 0 && h2->check_ms <= now) {
        h2_streams_check(h2, now, &h2->check_ms);
    }
    if (h2->is_blocked && h2->deadline_ms != 0 && h2->deadline_ms <= now) {
        weir_log_line(&connection->log, WEIR_LOG_INFO, 0,
                      "client timed out while sending to client");
        leave(h2, WEIR_HTTP_END_AT_ONCE);
        return;
    }
    if (!had_work && !h2->is_blocked
        && (!connection->is_idle || h2->deadline_ms == 0 || h2->deadline_ms <= now)) {
        /* Also when the worker asks: then it is idle no more. */
        h2_condemn(h2, NGHTTP2_NO_ERROR, "idle");
    }
    if (h2->deadline_ms <= now) {
        h2->deadline_ms = 0;
    }
    arm(h2);
}

/* ---- the beginning */

void weir_http_h2_start(weir_http_connection *client)
{
    weir_connection *connection = client->connection;
    h2_connection *h2 = WEIR_NEW(connection->pool, h2_connection);

    if (h2 == NULL || weir_pool_on_free(connection->pool, h2_release, h2) == NULL) {
        weir_connection_close(connection);
        return;
    }
    h2->client = *client;
    h2->connection = connection;
    h2->conf = h2_conf_of(client->server);
    h2->pump.name = "http/2 frames";
    h2->pump.run = pump_posted;
    weir_list_init(&h2->pump.link);
    weir_list_init(&h2->streams);
    weir_list_init(&h2->readable);
    weir_list_init(&h2->tunnels);
    h2_guard_begin(&h2->guard, weir_clock_now()->monotonic_ms);
    connection->owner = h2;
    h2->session = h2_session_new(h2);
    if (h2->session == NULL || !h2_session_greet(h2)) {
        weir_log_line(&connection->log, WEIR_LOG_CRIT, 0, "no memory for an http2 session");
        weir_connection_close(connection);
        return;
    }
    weir_connection_set_nodelay(connection, client->server->core->tcp_nodelay);
    weir_connection_enter(connection, &h2_open);
    (void) h2_pump(h2);
}

/* ---- which version, on a port without TLS */

typedef struct {
    weir_http_connection *client;
    size_t len;
    char bytes[NGHTTP2_CLIENT_MAGIC_LEN];
} h2_look;

static void h2_look_readable(weir_connection *connection)
{
    h2_look *look = connection->owner;
    weir_http_connection *client = look->client;
    size_t len;

    while (look->len < sizeof(look->bytes)
           && memcmp(look->bytes, NGHTTP2_CLIENT_MAGIC, look->len) == 0) {
        switch (weir_connection_read(connection, look->bytes + look->len,
                                     sizeof(look->bytes) - look->len, &len)) {
        case WEIR_OK:
            if (len == 0) {
                weir_connection_close(connection);
                return;
            }
            look->len += len;
            break;
        case WEIR_WAIT:
            return;
        case WEIR_FAIL:
            weir_connection_close(connection);
            return;
        }
    }

    weir_connection_clear_timeout(connection);
    connection->owner = client;
    connection->early = weir_str_of(look->bytes, look->len);
    if (memcmp(look->bytes, NGHTTP2_CLIENT_MAGIC, look->len) == 0) {
        weir_http_h2_start(client);
    } else {
        weir_http_h1_start(client);
    }
}

static void h2_look_timeout(weir_connection *connection)
{
    weir_connection_close(connection);
}

void weir_http_h2_look(weir_http_connection *client)
{
    weir_connection *connection = client->connection;
    h2_look *look = WEIR_NEW(connection->pool, h2_look);

    if (look == NULL) {
        weir_connection_close(connection);
        return;
    }
    look->client = client;
    connection->owner = look;
    weir_connection_set_timeout(connection, client->server->core->client_header_timeout_ms);
    weir_connection_enter(connection, &h2_looking);
}

/* ---- the table */

const weir_http_wire weir_http_h2 = {
    .name = "http/2",
    .read_body = h2_read_body,
    .send_interim = h2_send_interim,
    .respond = h2_respond,
    .wake = h2_wake,
    .ended = h2_ended,
    .abort = h2_abort,
    .take_connection = h2_take_connection,
};
