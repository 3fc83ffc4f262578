/*
 * Relay: bytes from one connection to another, both ways, without looking at them.
 *
 * Each direction fills (reads into blocks, or a pipe) and flushes (writes them), and fills again
 * only when all is flushed: so a peer that stalls stops reading from the other, and what is held
 * is bounded.  Small messages are copied, which takes two system calls; what fills a block is bulk and
 * goes by splice(), where both sides are plain and a pipe can be had.
 */

#include "core/net/relay_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "core/base/clock.h"

/* After so many bytes of one direction others get their turn. */
#define RELAY_TURN_BYTES (4 * 1024 * 1024)

typedef struct {
    weir_relay *relay;
    weir_connection *from, *to;
    weir_relay_end from_broke, to_broke, to_stalled;
    uint64_t rate;        /* bytes a second; 0: no limit */
    uint64_t moved;       /* bytes read from `from` */
    weir_timer rate_wait; /* set: the rate is used up */
    uint64_t stall_ms;    /* that `to` may take nothing of what waits for it; 0: for ever */
    uint64_t stall_sent;  /* what it had taken when it was last seen to take some */
    weir_timer stall;     /* set: something waits */

    weir_chain held; /* copied bytes */
    weir_pipe *pipe; /* NULL while empty */
    size_t piped;
    bool is_bulk;

    /* moving -> ending -> done, moving -> broken */
    enum {
        DIRECTION_MOVING,
        DIRECTION_ENDING, /* the end was read; FIN goes out when all is flushed */
        DIRECTION_BROKEN, /* `from` failed behind what was read; the relay ends when all is flushed */
        DIRECTION_DONE,
    } state;
} relay_direction;

struct weir_relay {
    weir_loop *loop;
    weir_connection_table *table;
    weir_relay_options options;
    void (*done)(weir_relay *relay, weir_relay_end end, void *subject);
    void *subject;
    uint64_t started_ms;
    weir_timer idle;
    weir_task go_on;
    relay_direction up, down; /* a to b, b to a */
    bool has_ended, was_ended_by_a;
};

static void relay_readable(weir_connection *connection);
static void relay_writable(weir_connection *connection);

/* relaying -> relayed */
static const weir_connection_state relay_relaying = {
    .name = "relaying",
    .on_readable = relay_readable,
    .on_writable = relay_writable,
};

/* Waits for its owner, who was told. */
static const weir_connection_state relay_relayed = {
    .name = "relayed",
};

/* ---- one direction: flush */

static void direction_return_pipe(relay_direction *direction)
{
    if (direction->pipe != NULL) {
        weir_pipe_return(direction->relay->table, direction->pipe, direction->piped == 0);
        direction->pipe = NULL;
        direction->piped = 0;
    }
}

static weir_result direction_splice_out(relay_direction *direction)
{
    weir_connection *to = direction->to;

    while (direction->piped != 0) {
        ssize_t sent;

        if (!to->writable) {
            return WEIR_WAIT;
        }
        sent = splice(direction->pipe->read_fd, NULL, to->event.fd, NULL, direction->piped,
                      SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (sent == -1 && errno == EINTR) {
            continue;
        }
        if (sent == -1 && errno == EAGAIN) {
            return weir_connection_wait_writable(to);
        }
        if (sent <= 0) {
            return weir_connection_fail(to, sent == 0 ? EPIPE : errno, "splice");
        }
        direction->piped -= (size_t) sent;
        to->sent += (uint64_t) sent;
    }

    direction_return_pipe(direction);
    return WEIR_OK;
}

static weir_result direction_flush(relay_direction *direction)
{
    if (!weir_chain_is_empty(&direction->held)) {
        /* Shut or closed at once behind it. */
        direction->to->write_is_last = direction->state == DIRECTION_ENDING;
        return weir_connection_write(direction->to, &direction->held, UINT64_MAX);
    }
    return direction->pipe != NULL ? direction_splice_out(direction) : WEIR_OK;
}

/* ---- one direction: fill */

/* How many bytes the rate allows now: a second's more than the time since the start, as nginx counts. */
static uint64_t direction_allowance(const relay_direction *direction)
{
    uint64_t seconds, allowed;

    if (direction->rate == 0) {
        return UINT64_MAX;
    }
    seconds = (weir_clock_now()->monotonic_ms - direction->relay->started_ms) / 1000 + 1;
    if (__builtin_mul_overflow(seconds, direction->rate, &allowed)) {
        return UINT64_MAX;
    }
    return allowed > direction->moved ? allowed - direction->moved : 0;
}

/* Until the next second since the start, when there is an allowance again. */
static weir_result direction_wait_for_rate(relay_direction *direction)
{
    uint64_t elapsed_ms = weir_clock_now()->monotonic_ms - direction->relay->started_ms;
    uint64_t used_s = direction->moved / direction->rate;
    uint64_t again_ms = used_s * 1000 > elapsed_ms ? used_s * 1000 - elapsed_ms : 1;

    return weir_timer_set(direction->relay->loop, &direction->rate_wait, again_ms) ? WEIR_WAIT
                                                                                   : WEIR_FAIL;
}

static void direction_count(relay_direction *direction, size_t len)
{
    weir_relay *relay = direction->relay;

    if (len == 0) {
        direction->state = DIRECTION_ENDING;
    } else if (direction == &relay->down && direction->moved == 0
               && relay->options.first_byte != NULL) {
        relay->options.first_byte(relay->subject);
    }
    direction->moved += len;
}

static weir_result direction_out_of_memory(const relay_direction *direction)
{
    weir_log_line(&direction->from->log, WEIR_LOG_CRIT, 0, "no memory to relay");
    return WEIR_FAIL;
}

/*
 * The peer has sent its FIN, so what was read is likely to be the end.  This is found out before flushing: then the last
 * bytes and our FIN go in one packet, which also wakes their receiver once instead of twice.
 */
static size_t direction_look_for_end(relay_direction *direction, char *buffer, size_t size)
{
    size_t len = 0;

    switch (weir_connection_read(direction->from, buffer, size, &len)) {
    case WEIR_OK:
        direction_count(direction, len);
        break;
    case WEIR_WAIT:
        break;
    case WEIR_FAIL:
        direction->state = DIRECTION_BROKEN;
        break;
    }
    return len;
}

static weir_result direction_copy_in(relay_direction *direction, size_t size)
{
    size_t most = direction->relay->options.copy_bytes;
    weir_block *block = weir_block_get();
    weir_result result;
    size_t len;

    if (block == NULL) {
        return direction_out_of_memory(direction);
    }

    if (size > most) {
        size = most;
    }
    result = weir_connection_read(direction->from, block->data, size, &len);
    if (result == WEIR_OK) {
        direction_count(direction, len);
        direction->is_bulk = len == WEIR_BLOCK_BYTES;
        if (len != 0 && len < size && direction->from->hangup) {
            len += direction_look_for_end(direction, block->data + len, size - len);
        }
        if (!weir_chain_add_block(&direction->held, block, block->data, len)) {
            result = direction_out_of_memory(direction);
        }
    }
    weir_block_unref(block);
    return result;
}

static weir_result direction_splice_in(relay_direction *direction, size_t size)
{
    weir_connection *from = direction->from;
    ssize_t got;

    if (!from->readable) {
        return WEIR_WAIT;
    }
    if (size > direction->pipe->size) {
        size = direction->pipe->size;
    }

    do {
        got = splice(from->event.fd, NULL, direction->pipe->write_fd, NULL, size,
                     SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    } while (got == -1 && errno == EINTR);

    /* The pipe is empty, so it is the socket that would block. */
    if (got == -1 && errno == EAGAIN) {
        from->readable = false;
        return WEIR_WAIT;
    }
    if (got == -1) {
        return weir_connection_fail(from, errno, "splice");
    }
    if (got == 0) {
        from->hangup = true;
    }

    direction->piped = (size_t) got;
    direction->is_bulk = got >= WEIR_BLOCK_BYTES;
    from->received += (uint64_t) got;
    direction_count(direction, (size_t) got);
    return WEIR_OK;
}

/* A socket that has some bytes ready is worth a pipe only if they are many. */
static bool direction_may_splice(const relay_direction *direction)
{
    return direction->is_bulk && direction->from->readable
           && direction->from->transport == &weir_plain_transport
           && direction->to->transport == &weir_plain_transport
           && !weir_connection_holds_unread(direction->from);
}

static weir_result direction_fill(relay_direction *direction)
{
    uint64_t allowance = direction_allowance(direction);
    size_t size = allowance > SIZE_MAX ? SIZE_MAX : (size_t) allowance;
    weir_result result;

    if (size == 0) {
        return direction_wait_for_rate(direction);
    }

    if (direction_may_splice(direction)) {
        direction->pipe = weir_pipe_borrow(direction->relay->table);
    }
    if (direction->pipe == NULL) {
        return direction_copy_in(direction, size);
    }

    result = direction_splice_in(direction, size);
    if (direction->piped == 0) {
        direction_return_pipe(direction);
    }
    return result;
}

/* ---- the relay */

static void relay_stop(weir_relay *relay)
{
    weir_timer_clear(relay->loop, &relay->idle);
    weir_timer_clear(relay->loop, &relay->up.rate_wait);
    weir_timer_clear(relay->loop, &relay->down.rate_wait);
    weir_timer_clear(relay->loop, &relay->up.stall);
    weir_timer_clear(relay->loop, &relay->down.stall);
    weir_task_cancel(&relay->go_on);
}

static void relay_end(weir_relay *relay, weir_relay_end end)
{
    relay->has_ended = true;
    relay_stop(relay);
    weir_connection_enter(relay->up.from, &relay_relayed);
    weir_connection_enter(relay->up.to, &relay_relayed);
    relay->done(relay, end, relay->subject);
}

/* All was flushed behind the end that was read. OK: the relay has ended, and may be gone. */
static weir_result direction_finish(relay_direction *direction)
{
    weir_relay *relay = direction->relay;

    if (relay->options.half_close) {
        weir_result result = weir_connection_shut(direction->to);

        if (result != WEIR_OK) {
            return result;
        }
    }

    direction->state = DIRECTION_DONE;
    relay->was_ended_by_a = direction == &relay->up;
    if (!relay->options.half_close
        || (relay->up.state == DIRECTION_DONE && relay->down.state == DIRECTION_DONE)) {
        relay_end(relay, WEIR_RELAY_FINISHED);
        return WEIR_OK;
    }
    return WEIR_WAIT;
}

static void relay_set_timer(weir_relay *relay, weir_timer *timer, uint64_t from_now_ms)
{
    if (!weir_timer_set(relay->loop, timer, from_now_ms)) {
        /* Without memory for it there is no time-out; the connections still end by themselves. */
        weir_log_line(weir_loop_log(relay->loop), WEIR_LOG_CRIT, 0, "relay without a time-out");
    }
}

static void relay_touch(weir_relay *relay)
{
    if (relay->options.idle_timeout_ms != 0) {
        relay_set_timer(relay, &relay->idle, relay->options.idle_timeout_ms);
    }
}

/* After a flush: something waits for `to`, or nothing does. */
static void direction_watch(relay_direction *direction, bool waits)
{
    weir_relay *relay = direction->relay;
    bool was_watched = weir_timer_is_set(&direction->stall);

    if (!waits) {
        if (was_watched) {
            weir_timer_clear(relay->loop, &direction->stall);
        }
    } else if (!was_watched || direction->to->sent != direction->stall_sent) {
        direction->stall_sent = direction->to->sent;
        relay_set_timer(relay, &direction->stall, direction->stall_ms);
    }
}

/* False: the relay has ended, and may be gone. */
static bool direction_move(relay_direction *direction)
{
    weir_relay *relay = direction->relay;
    uint64_t turn_end = direction->moved + RELAY_TURN_BYTES;

    while (direction->state != DIRECTION_DONE) {
        weir_result result = direction_flush(direction);

        if (direction->stall_ms != 0) {
            direction_watch(direction, result == WEIR_WAIT);
        }
        if (result == WEIR_OK && direction->state == DIRECTION_ENDING) {
            result = direction_finish(direction);
            if (result == WEIR_OK) {
                return false;
            }
        }
        if (result == WEIR_OK && direction->state == DIRECTION_BROKEN) {
            relay_end(relay, direction->from_broke);
            return false;
        }
        if (result == WEIR_FAIL) {
            relay_end(relay, direction->to_broke);
            return false;
        }
        if (result == WEIR_WAIT) {
            return true;
        }

        if (direction->moved >= turn_end) {
            weir_task_post(relay->loop, &relay->go_on);
            return true;
        }

        result = direction_fill(direction);
        if (result == WEIR_FAIL) {
            relay_end(relay, direction->from_broke);
            return false;
        }
        if (result == WEIR_WAIT) {
            return true;
        }
    }
    return true;
}

static void direction_run(relay_direction *direction)
{
    weir_relay *relay = direction->relay;
    uint64_t before = direction->moved + direction->to->sent;

    if (direction_move(direction) && direction->moved + direction->to->sent != before) {
        relay_touch(relay);
    }
}

static void relay_readable(weir_connection *connection)
{
    weir_relay *relay = connection->owner;

    direction_run(relay->up.from == connection ? &relay->up : &relay->down);
}

static void relay_writable(weir_connection *connection)
{
    weir_relay *relay = connection->owner;

    direction_run(relay->up.to == connection ? &relay->up : &relay->down);
}

static void relay_go_on(weir_task *task)
{
    weir_relay *relay = WEIR_OWNER(task, weir_relay, go_on);

    if (direction_move(&relay->up) && direction_move(&relay->down)) {
        relay_touch(relay);
    }
}

static void relay_rate_allows(weir_timer *timer)
{
    direction_run(WEIR_OWNER(timer, relay_direction, rate_wait));
}

static void relay_stall_expired(weir_timer *timer)
{
    const relay_direction *direction = WEIR_OWNER(timer, relay_direction, stall);

    relay_end(direction->relay, direction->to_stalled);
}

/* Where a rate is used up nobody is silent: it is we who do not read, for a second at most. */
static void relay_idle_expired(weir_timer *timer)
{
    weir_relay *relay = WEIR_OWNER(timer, weir_relay, idle);

    if (weir_timer_is_set(&relay->up.rate_wait) || weir_timer_is_set(&relay->down.rate_wait)) {
        relay_touch(relay);
    } else {
        relay_end(relay, WEIR_RELAY_TIMED_OUT);
    }
}

static void direction_init(relay_direction *direction, weir_relay *relay, weir_connection *from,
                           weir_connection *to, uint64_t rate)
{
    direction->relay = relay;
    direction->from = from;
    direction->to = to;
    direction->rate = rate;
    direction->rate_wait.name = "relay's rate";
    direction->rate_wait.expired = relay_rate_allows;
    direction->stall.name = "relay's stall";
    direction->stall.expired = relay_stall_expired;
}

weir_relay *weir_relay_start(weir_connection *a, weir_connection *b,
                             const weir_relay_options *options,
                             void (*done)(weir_relay *relay, weir_relay_end end, void *subject),
                             void *subject)
{
    weir_relay *relay = calloc(1, sizeof(*relay));

    if (relay == NULL) {
        weir_log_line(&a->log, WEIR_LOG_CRIT, 0, "no memory for a relay");
        return NULL;
    }

    relay->loop = a->loop;
    relay->table = weir_loop_attached(a->loop);
    relay->options = *options;
    if (relay->options.copy_bytes == 0 || relay->options.copy_bytes > WEIR_BLOCK_BYTES) {
        relay->options.copy_bytes = WEIR_BLOCK_BYTES;
    }
    relay->done = done;
    relay->subject = subject;
    relay->started_ms = weir_clock_now()->monotonic_ms;
    relay->idle.name = "relay";
    relay->idle.expired = relay_idle_expired;
    relay->go_on.name = "relay";
    relay->go_on.run = relay_go_on;

    direction_init(&relay->up, relay, a, b, options->upload_rate);
    relay->up.from_broke = WEIR_RELAY_BROKEN_A;
    relay->up.to_broke = WEIR_RELAY_BROKEN_B;
    relay->up.to_stalled = WEIR_RELAY_STALLED_B;
    relay->up.stall_ms = options->b_timeout_ms;
    direction_init(&relay->down, relay, b, a, options->download_rate);
    relay->down.from_broke = WEIR_RELAY_BROKEN_B;
    relay->down.to_broke = WEIR_RELAY_BROKEN_A;
    relay->down.to_stalled = WEIR_RELAY_STALLED_A;
    relay->down.stall_ms = options->a_timeout_ms;

    a->owner = b->owner = relay;
    weir_connection_clear_timeout(a);
    weir_connection_clear_timeout(b);
    weir_connection_enter(a, &relay_relaying);
    weir_connection_enter(b, &relay_relaying);
    relay_touch(relay);
    /* Bytes may be there already, in buffers, too; the first move is not made inside of the caller. */
    weir_task_post(relay->loop, &relay->go_on);
    return relay;
}

void weir_relay_counts(const weir_relay *relay, uint64_t *upload, uint64_t *download)
{
    *upload = relay->up.moved;
    *download = relay->down.moved;
}

bool weir_relay_was_ended_by_a(const weir_relay *relay)
{
    return relay->was_ended_by_a;
}

void weir_relay_free(weir_relay *relay)
{
    if (relay == NULL) {
        return;
    }
    relay_stop(relay);
    weir_chain_clear(&relay->up.held);
    weir_chain_clear(&relay->down.held);
    direction_return_pipe(&relay->up);
    direction_return_pipe(&relay->down);
    free(relay);
}
