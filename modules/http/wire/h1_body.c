#include "modules/http/wire/h1_internal.h"

/* Bodies of requests: framing is taken off, and blocks are handed on; only small chunks are copied. */

/* Below this much room a block is not read into any more. */
#define ROOM_MIN 2048
/* Of a body, in one turn of the loop: who sends as fast as we read must not hold up everybody else. */
#define TURN_BYTES (4 * WEIR_BLOCK_LARGE_BYTES)

/* Gives out bytes of the buffer without copying them. */
static bool give(h1_connection *h1, weir_chain *out, size_t len)
{
    const char *data = h1->data + h1->start;

    h1->start += len;
    return weir_chain_add_block(out, h1->block, data, len);
}

static bool give_chunk(h1_connection *h1, weir_chain *out, size_t len)
{
    const char *data = h1->data + h1->start;

    h1->start += len;
    return weir_chain_add_piece(out, h1->block, data, len);
}

/* A buffer with room behind what was given out: the blocks that are referenced stay as they are. */
static bool body_room(h1_connection *h1)
{
    if (h1->data != NULL && h1->start == h1->end && h1->size - h1->end < ROOM_MIN) {
        h1_buffer_release(h1);
    }
    return h1_buffer_open(h1, h1->is_bulk);
}

static weir_result body_take_length(h1_connection *h1, weir_chain *out)
{
    size_t here = h1->end - h1->start;

    if (here > h1->body_left) {
        here = (size_t) h1->body_left;
    }
    if (here != 0 && !give(h1, out, here)) {
        return WEIR_FAIL;
    }
    h1->body_left -= here;
    h1->ex->request.body_received += here;
    h1->ex->request.body_ended = h1->body_left == 0;
    return WEIR_OK;
}

static weir_result body_take_chunks(h1_connection *h1, weir_chain *out)
{
    weir_http_request *request = &h1->ex->request;

    while (h1->start < h1->end || h1->chunked.is_complete) {
        size_t framing;
        size_t content;
        weir_result result = weir_http_chunked_next(
            &h1->chunked, weir_str_of(h1->data + h1->start, h1->end - h1->start), &framing,
            &content);

        if (result == WEIR_FAIL) {
            weir_log_line(&h1->ex->log, WEIR_LOG_INFO, 0, "client sent invalid chunked body");
            return WEIR_FAIL;
        }
        h1->start += framing;
        request->body_framing += framing;
        if (result == WEIR_WAIT) {
            return WEIR_OK;
        }
        if (content == 0) {
            request->body_ended = true;
            return WEIR_OK;
        }
        if (!give_chunk(h1, out, content)) {
            return WEIR_FAIL;
        }
        request->body_received += content;
    }
    return WEIR_OK;
}

static weir_result body_take(h1_connection *h1, weir_chain *out)
{
    return h1->body == BODY_CHUNKED ? body_take_chunks(h1, out) : body_take_length(h1, out);
}

/* Never more than the body, where its length is known: the next request stays in the kernel. */
static weir_result body_fill(h1_connection *h1, size_t *len)
{
    size_t room = h1->size - h1->end;

    if (h1->body == BODY_LENGTH && room > h1->body_left) {
        room = (size_t) h1->body_left;
    }

    weir_result result = weir_connection_read(h1->connection, h1->data + h1->end, room, len);

    if (result == WEIR_OK) {
        h1->is_bulk = *len == room;
        h1->end += *len;
    }
    return result;
}

/* More is to be read, but not before others have had their turn. */
static bool turn_is_over(h1_connection *h1)
{
    weir_connection *connection = h1->connection;

    if (h1->turn_bytes < TURN_BYTES
        || (!connection->readable && !weir_connection_holds_unread(connection))) {
        return false;
    }
    weir_connection_read_later(connection);
    return true;
}

static weir_result body_wait(h1_connection *h1)
{
    h1->turn_bytes = 0;
    h1->wants_body = true;
    h1_wait_for_body(h1, weir_http_body_patience_ms(h1->ex));
    return WEIR_WAIT;
}

weir_result h1_read_body(weir_http_exchange *ex, weir_chain *out, uint64_t limit)
{
    h1_connection *h1 = ex->wire_state;
    uint64_t before = out->len;

    h1->wants_body = false;
    h1->body_deadline_ms = 0;
    for (;;) {
        size_t len;

        if (h1->start != h1->end && body_take(h1, out) != WEIR_OK) {
            return WEIR_FAIL;
        }
        if (ex->request.body_ended || out->len - before >= limit) {
            return WEIR_OK;
        }
        if (out->len == before && turn_is_over(h1)) {
            return body_wait(h1);
        }
        if (!body_room(h1)) {
            return WEIR_FAIL;
        }

        switch (body_fill(h1, &len)) {
        case WEIR_OK:
            if (len == 0) {
                weir_log_line(
                    &ex->log, WEIR_LOG_INFO, 0,
                    "client prematurely closed connection while reading client request body");
                ex->client_is_gone = true;
                ex->response.status = ex->response.status == 0 ? 400 : ex->response.status;
                return WEIR_FAIL;
            }
            h1->turn_bytes += len;
            break;
        case WEIR_WAIT:
            if (h1->start == h1->end) {
                h1_buffer_release(h1);
            }
            return out->len != before ? WEIR_OK : body_wait(h1);
        case WEIR_FAIL:
            ex->client_is_gone = true;
            return WEIR_FAIL;
        }
    }
}

/* Reads on to the end of a body that nobody wanted, if it is near. */
void h1_discard_readable(weir_connection *connection)
{
    h1_connection *h1 = connection->owner;

    for (;;) {
        size_t len;

        if (h1->start != h1->end) {
            if (h1->body == BODY_CHUNKED) {
                size_t framing;
                size_t content;

                if (weir_http_chunked_next(&h1->chunked,
                                           weir_str_of(h1->data + h1->start, h1->end - h1->start),
                                           &framing, &content)
                    == WEIR_FAIL) {
                    h1_end_connection(h1, true);
                    return;
                }
                h1->start += framing + content;
                if (h1->chunked.is_complete) {
                    h1_become_idle(h1);
                    return;
                }
                continue;
            }

            size_t here = h1->end - h1->start;

            here = here > h1->body_left ? (size_t) h1->body_left : here;
            h1->start += here;
            h1->body_left -= here;
        }
        if (h1->body == BODY_LENGTH && h1->body_left == 0) {
            h1_become_idle(h1);
            return;
        }
        if (h1->start == h1->end) {
            h1->start = h1->end = 0;
        }
        if (!h1_buffer_open(h1, false)) {
            h1_close(h1);
            return;
        }
        switch (body_fill(h1, &len)) {
        case WEIR_OK:
            if (len == 0) {
                h1_close(h1);
                return;
            }
            if (len > h1->discard_left) {
                h1_end_connection(h1, true);
                return;
            }
            h1->discard_left -= len;
            break;
        case WEIR_WAIT:
            h1_buffer_release(h1);
            return;
        case WEIR_FAIL:
            h1_close(h1);
            return;
        }
    }
}
