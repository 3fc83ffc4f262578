#include "modules/http/proxy/proxy_internal.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Bodies of responses: read when the client can take more, and ahead of it as far as proxy_buffers and
 * the temporary file go.  Spans of the blocks that were read into go on to the client; only small chunks are copied.
 */

/* Below this much room a block is not read into any more. */
#define ROOM_MIN 4096
/* What is read ahead at once. */
#define AHEAD_BYTES (4 * WEIR_BLOCK_BYTES)
/* After so many bytes in one turn of the loop others have theirs. */
#define TURN_BYTES (2 * 1024 * 1024)

static void receiving_readable(weir_connection *connection);
static void receiving_writable(weir_connection *connection);
static void receiving_timeout(weir_connection *connection);

/* receiving -> kept | closed */
const weir_connection_state proxy_receiving = {
    .name = "receiving from origin",
    .on_readable = receiving_readable,
    .on_writable = receiving_writable,
    .on_timeout = receiving_timeout,
};

/* ---- memory */

void proxy_buffer_release(proxy_state *proxy)
{
    weir_block_unref(proxy->block);
    proxy->block = NULL;
    proxy->data = NULL;
    proxy->size = 0;
}

void proxy_body_done(proxy_state *proxy)
{
    proxy_buffer_release(proxy);
    weir_chain_clear(&proxy->body);
    weir_task_cancel(&proxy->go_on);
    proxy_rate_done(proxy);
    proxy_temp_close(proxy);
    if (proxy->wire->framing != NULL) {
        proxy->wire->framing->forget(proxy);
    }
}

void proxy_head_keep(proxy_state *proxy)
{
    weir_block *block = proxy->block;

    /* It lives as long as the exchange: not in a large block, if a small one can be had. */
    if (block != NULL && block->size > WEIR_BLOCK_BYTES && proxy->start <= WEIR_BLOCK_BYTES
        && (proxy->head_block = weir_block_get()) != NULL) {
        memcpy(proxy->head_block->data, block->data, proxy->start);
        weir_http_response_head_move(&proxy->answer, block->data, proxy->start,
                                     proxy->head_block->data);
    } else if (block != NULL) {
        proxy->head_block = block;
        weir_block_ref(block);
    }
}

void proxy_head_release(proxy_state *proxy)
{
    weir_block_unref(proxy->head_block);
    proxy->head_block = NULL;
    free(proxy->head_large);
    proxy->head_large = NULL;
}

/* ---- ends */

void proxy_body_end(proxy_state *proxy)
{
    weir_http_exchange *ex = proxy->ex;

    proxy->body_ended = true;
    if (proxy->store != NULL) {
        proxy_store_end(proxy);
    }
    if (proxy->start != proxy->end) {
        weir_log_line(
            &ex->log, WEIR_LOG_WARN, 0,
            "upstream sent more data than specified in \"Content-Length\" header while %s",
            proxy->doing);
        proxy->keeps = false;
    }
    if (proxy->takes_trailers) {
        proxy_pass_trailers(proxy);
    }
    proxy_release(proxy);
    proxy_buffer_release(proxy);
}

static void body_fail(proxy_state *proxy)
{
    proxy->body_failed = true;
    proxy->keeps = false;
    proxy_release(proxy);
    proxy_buffer_release(proxy);
}

/* The origin has gone, or is silent: its connection is of no use to others, either. */
static void origin_fail(proxy_state *proxy)
{
    if (proxy->wire->framing != NULL) {
        proxy->wire->framing->forget(proxy);
    }
    body_fail(proxy);
}

void proxy_body_count(proxy_state *proxy, weir_str bytes)
{
    proxy_attempt_now(proxy)->length += bytes.len;
    if (proxy->store != NULL) {
        proxy_store_write(proxy, bytes);
    }
}

bool proxy_body_give(proxy_state *proxy, weir_chain *out, size_t len)
{
    const char *data = proxy->data + proxy->start;

    proxy->start += len;
    proxy_body_count(proxy, weir_str_of(data, len));
    /* Behind a large head there is no block. */
    return proxy->block == NULL || proxy->answer.end == WEIR_HTTP_END_CHUNKED
               ? weir_chain_add_piece(out, proxy->block, data, len)
               : weir_chain_add_block(out, proxy->block, data, len);
}

/* ---- reading */

static bool room(proxy_state *proxy)
{
    if (proxy->data != NULL && (proxy->block == NULL || proxy->size - proxy->end < ROOM_MIN)) {
        proxy_buffer_release(proxy);
    }
    if (proxy->data == NULL) {
        proxy->block = proxy->is_bulk ? weir_block_get_large() : weir_block_get();
        if (proxy->block == NULL) {
            return false;
        }
        proxy->data = proxy->block->data;
        proxy->size = proxy->block->size;
        proxy->start = proxy->end = 0;
    }
    return true;
}

/* The origin's end of data. */
static void ended_by_origin(proxy_state *proxy)
{
    const weir_connection *origin = proxy->origin;

    if (proxy->answer.end == WEIR_HTTP_END_CLOSE
        && (origin->tls == NULL || !weir_tls_is_truncated(origin))) {
        proxy->keeps = false;
        proxy_body_end(proxy);
        return;
    }
    weir_log_line(&proxy->ex->log, WEIR_LOG_ERR, 0,
                  "upstream prematurely closed connection while %s", proxy->doing);
    origin_fail(proxy);
}

/* Should the origin have room for more of the request now, that is for later: the client may stand on the stack. */
static void answer_frames(proxy_state *proxy)
{
    bool was_held_back = proxy->is_held_back;

    proxy->wire->framing->reply(proxy);
    if (was_held_back && !proxy->is_held_back) {
        weir_task_post(proxy->ex->client->connection->loop, &proxy->go_on);
    }
}

/* Reads up to about `limit` bytes. OK: something came, or body_ended; WAIT; FAIL: body_failed. */
static weir_result fill(proxy_state *proxy, weir_chain *out, uint64_t limit)
{
    uint64_t before = out->len;

    while (!proxy->body_ended && out->len - before < limit) {
        size_t len;

        if (!room(proxy)) {
            weir_log_line(&proxy->ex->log, WEIR_LOG_CRIT, 0, "no memory for a response");
            body_fail(proxy);
            return WEIR_FAIL;
        }
        size_t size = proxy->size - proxy->end;

        if (proxy->rate != NULL && (size = proxy_rate_allows(proxy, size)) == 0) {
            proxy->deadline_ms = 0;
            return out->len != before ? WEIR_OK : WEIR_WAIT;
        }
        switch (weir_connection_read(proxy->origin, proxy->data + proxy->end, size, &len)) {
        case WEIR_OK:
            if (len == 0) {
                ended_by_origin(proxy);
                return proxy->body_ended ? WEIR_OK : WEIR_FAIL;
            }
            if (proxy->rate != NULL) {
                proxy_rate_count(proxy, len);
            }
            proxy->is_bulk = len == size;
            proxy->end += len;
            if (!proxy->wire->take_body(proxy, out)) {
                body_fail(proxy);
                return WEIR_FAIL;
            }
            break;
        case WEIR_WAIT:
            if (proxy->start == proxy->end) {
                proxy_buffer_release(proxy);
            }
            if (proxy->wire->framing != NULL) {
                answer_frames(proxy);
            }
            if (out->len != before) {
                return WEIR_OK;
            }
            proxy_wait(proxy, proxy->conf->read_timeout_ms);
            return WEIR_WAIT;
        case WEIR_FAIL:
            origin_fail(proxy);
            return WEIR_FAIL;
        }
    }
    proxy->deadline_ms = 0;
    return WEIR_OK;
}

void proxy_body_begin(proxy_state *proxy)
{
    proxy->deadline_ms = 0;
    if (!proxy->wire->take_body(proxy, &proxy->body)) {
        body_fail(proxy);
        return;
    }
    if (!proxy->body_ended) {
        weir_connection_enter(proxy->origin, &proxy_receiving);
    }
}

void proxy_body_drop(proxy_state *proxy)
{
    weir_chain dropped = {0};
    size_t len;

    proxy->deadline_ms = 0;
    proxy->chunked.trailers = NULL;
    proxy->takes_trailers = false;
    if (!proxy->wire->take_body(proxy, &dropped)) {
        body_fail(proxy);
    } else if (!proxy->body_ended && proxy->answer.end != WEIR_HTTP_END_CLOSE && room(proxy)
               && weir_connection_read(proxy->origin, proxy->data + proxy->end,
                                       proxy->size - proxy->end, &len)
                      == WEIR_OK
               && len != 0) {
        proxy->end += len;
        (void) proxy->wire->take_body(proxy, &dropped);
    }
    weir_chain_clear(&dropped);
}

/* ---- ahead of the client */

static bool is_in_file(const proxy_state *proxy)
{
    return proxy->body.last != NULL && proxy->body.last->kind == WEIR_SPAN_FILE;
}

/* Whether there is room for more of the body, ahead of the client. */
static bool has_room(const proxy_state *proxy)
{
    const proxy_conf *conf = proxy->conf;

    if (!proxy->is_buffered) {
        return false;
    }
    return (!is_in_file(proxy) && proxy->body.len < conf->buffers.count * conf->buffers.size)
           || (proxy->temp_bytes < conf->max_temp_file_size && !proxy->temp_failed);
}

/* Frames are always read: the origin's window bounds what comes with them, and others must not wait behind. */
static bool may_read_ahead(const proxy_state *proxy)
{
    return !proxy->body_ended && !proxy->body_failed && proxy->origin != NULL
           && proxy->writing == NULL && (proxy->wire->framing != NULL || has_room(proxy));
}

/* What the client has taken, or there is room for, may come again. */
static void credit(proxy_state *proxy)
{
    const proxy_framing *framing = proxy->wire->framing;

    if (framing != NULL && proxy->origin != NULL) {
        framing->credit(proxy, has_room(proxy) ? 0 : proxy->body.len);
        answer_frames(proxy);
    }
}

static void read_ahead(proxy_state *proxy)
{
    const proxy_conf *conf = proxy->conf;
    uint64_t in_memory = conf->buffers.count * conf->buffers.size;
    uint64_t done = 0;

    while (may_read_ahead(proxy)) {
        weir_chain more = {0};
        weir_result result;

        if (done >= TURN_BYTES) {
            weir_task_post(proxy->ex->client->connection->loop, &proxy->go_on);
            return;
        }
        result = fill(proxy, &more, AHEAD_BYTES);
        done += more.len;
        if (proxy->is_buffered && !proxy->temp_failed
            && (is_in_file(proxy)
                || (proxy->body.len + more.len > in_memory && conf->max_temp_file_size != 0))) {
            if (!weir_chain_is_empty(&more) && !proxy_temp_write(proxy, &more)) {
                weir_chain_clear(&more);
                body_fail(proxy);
                return;
            }
        } else {
            weir_chain_append(&proxy->body, &more);
        }
        if (result != WEIR_OK) {
            if (!proxy->is_buffered && !weir_chain_is_empty(&proxy->body)) {
                /* The client's time, not the origin's. */
                proxy->deadline_ms = 0;
            }
            return;
        }
        credit(proxy);
    }
    proxy->deadline_ms = 0;
}

/* There is something to read: for the client, if it takes it, else ahead of it. */
static void receive(proxy_state *proxy)
{
    bool is_gone = false;

    proxy->pulled = 0;
    if (proxy->client_waits || weir_chain_is_empty(&proxy->body)) {
        proxy->is_gone = &is_gone;
        weir_http_wake(proxy->ex);
        if (is_gone) {
            return;
        }
        proxy->is_gone = NULL;
    }
    if (!proxy->client_waits && proxy->origin != NULL && proxy->origin->readable) {
        read_ahead(proxy);
    }
    proxy_answer_frames(proxy);
}

void proxy_temp_written(proxy_state *proxy, bool is_kept)
{
    if (!is_kept) {
        body_fail(proxy);
    }
    receive(proxy);
}

void proxy_body_go_on(weir_task *task)
{
    receive(WEIR_OWNER(task, proxy_state, go_on));
}

static void receiving_readable(weir_connection *connection)
{
    receive(connection->owner);
}

/* The rest of the request. */
static void receiving_writable(weir_connection *connection)
{
    proxy_state *proxy = connection->owner;

    if (!proxy->is_sent && !weir_chain_is_empty(&proxy->out)) {
        proxy_send(proxy);
    } else {
        proxy_answer_frames(proxy);
    }
}

static void receiving_timeout(weir_connection *connection)
{
    proxy_state *proxy = connection->owner;

    if (!proxy_deadline_has_passed(proxy)) {
        return;
    }
    weir_log_line(&proxy->ex->log, WEIR_LOG_ERR, 0, "upstream timed out (%d: %s) while %s",
                  ETIMEDOUT, strerror(ETIMEDOUT), proxy->doing);
    origin_fail(proxy);
    weir_http_wake(proxy->ex);
}

/* ---- the client takes more */

weir_result proxy_body_pull(weir_http_exchange *ex, weir_http_source *source, weir_chain *out,
                            uint64_t limit, bool *ended)
{
    proxy_state *proxy = WEIR_OWNER(source, proxy_state, source);
    weir_loop *loop = ex->client->connection->loop;
    weir_result result = WEIR_OK;

    proxy->client_waits = false;
    if (proxy->relay != NULL || proxy->answer.status == 101) {
        *ended = true;
        return WEIR_OK;
    }

    if (weir_chain_is_empty(&proxy->body) && proxy->writing != NULL) {
        proxy->client_waits = true;
        return WEIR_WAIT;
    }
    if (weir_chain_is_empty(&proxy->body) && !proxy->body_ended && !proxy->body_failed) {
        if (proxy->pulled >= TURN_BYTES) {
            weir_task_post(loop, &proxy->go_on);
            proxy->client_waits = true;
            return WEIR_WAIT;
        }
        result = fill(proxy, &proxy->body, limit);
    }
    if (weir_chain_is_empty(&proxy->body)) {
        *ended = proxy->body_ended;
        proxy->client_waits = result == WEIR_WAIT;
        return proxy->body_failed ? WEIR_FAIL : result;
    }

    uint64_t before = out->len;

    if (!weir_chain_move(out, &proxy->body, limit)) {
        return WEIR_FAIL;
    }
    proxy->pulled += out->len - before;
    *ended = proxy->body_ended && weir_chain_is_empty(&proxy->body) && proxy->writing == NULL;
    credit(proxy);
    /* Should the client not take all of it now, the origin is still read from. */
    if (proxy->origin != NULL && proxy->origin->readable && may_read_ahead(proxy)) {
        weir_task_post(loop, &proxy->go_on);
    }
    return WEIR_OK;
}
