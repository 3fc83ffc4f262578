/* Relays: client -- a, b -- origin; bytes, ends, stalls, rates and time-outs. */

#include "t/unit/unit.h"

#include "t/unit/net_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/net/transport.h"

typedef struct {
    net_fixture *net;
    int client, origin; /* the outer ends */
    weir_connection *a, *b;
    weir_relay *relay;
    unsigned done;
    weir_relay_end end;
    unsigned firsts;
} relay_fixture;

static void relay_done(weir_relay *relay, weir_relay_end end, void *subject)
{
    relay_fixture *r = subject;

    assert_ptr_equal(relay, r->relay);
    r->done++;
    r->end = end;
}

static bool is_done(const void *subject)
{
    return ((const relay_fixture *) subject)->done != 0;
}

static void relay_begin(relay_fixture *r, void **state, const weir_relay_options *options)
{
    memset(r, 0, sizeof(*r));
    r->net = *state;
    r->a = net_accept(r->net, &r->client);
    r->b = net_accept(r->net, &r->origin);
    r->relay = weir_relay_start(r->a, r->b, options, relay_done, r);
    assert_non_null(r->relay);
}

static void relay_finish(relay_fixture *r)
{
    weir_relay_free(r->relay);
    weir_connection_close(r->a);
    weir_connection_close(r->b);
    close(r->client);
    close(r->origin);
}

static void set_nonblocking(int fd)
{
    fcntl(fd, F_SETFL, O_NONBLOCK);
}

static char byte_at(uint64_t position)
{
    return (char) (position * 167 + (position >> 8) + (position >> 17));
}

/* What one end still sends, and has received and checked. */
typedef struct {
    int fd;
    uint64_t to_send, sent, received;
    bool shuts, has_shut, ended;
} peer;

static void peer_send(peer *p)
{
    static char data[65536];

    while (p->sent < p->to_send) {
        size_t len = sizeof(data);
        ssize_t sent;

        if (len > p->to_send - p->sent) {
            len = (size_t) (p->to_send - p->sent);
        }
        for (size_t i = 0; i < len; i++) {
            data[i] = byte_at(p->sent + i);
        }
        sent = send(p->fd, data, len, MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        p->sent += (uint64_t) sent;
    }
    if (p->shuts && !p->has_shut) {
        p->has_shut = true;
        shutdown(p->fd, SHUT_WR);
    }
}

static void peer_receive(peer *p)
{
    static char data[65536];
    ssize_t got;

    while ((got = recv(p->fd, data, sizeof(data), 0)) > 0) {
        for (ssize_t i = 0; i < got; i++) {
            assert_int_equal(data[i], byte_at(p->received + (uint64_t) i));
        }
        p->received += (uint64_t) got;
    }
    p->ended = p->ended || got == 0;
}

/* Turns, sending and receiving at both ends, until each has all of the other's. */
static void exchange(relay_fixture *r, peer *client, peer *origin)
{
    uint64_t end_us = weir_clock_monotonic_us() + 60 * 1000000ULL;

    while (client->received < origin->to_send || origin->received < client->to_send
           || (client->shuts && !origin->ended) || (origin->shuts && !client->ended)) {
        assert_true(weir_clock_monotonic_us() < end_us);
        peer_send(client);
        peer_send(origin);
        weir_loop_turn(r->net->loop, 1);
        peer_receive(client);
        peer_receive(origin);
    }
}

static void peers_of(relay_fixture *r, peer *client, peer *origin)
{
    set_nonblocking(r->client);
    set_nonblocking(r->origin);
    *client = (peer){.fd = r->client};
    *origin = (peer){.fd = r->origin};
}

static void passes_messages_on(void **state)
{
    relay_fixture r;
    char text[16];
    uint64_t up, down;

    relay_begin(&r, state, &(weir_relay_options){.half_close = true});
    net_send(r.client, "ping", 4);
    net_settle(r.net);
    assert_int_equal(net_receive(r.origin, text, 4), 4);
    assert_memory_equal(text, "ping", 4);
    net_send(r.origin, "pong!", 5);
    net_settle(r.net);
    assert_int_equal(net_receive(r.client, text, 5), 5);
    assert_memory_equal(text, "pong!", 5);

    weir_relay_counts(r.relay, &up, &down);
    assert_int_equal(up, 4);
    assert_int_equal(down, 5);
    assert_int_equal(weir_blocks_in_use(), 0);
    assert_int_equal(r.done, 0);
    relay_finish(&r);
}

static void passes_much_on_in_both_directions(void **state)
{
    relay_fixture r;
    peer client, origin;
    uint64_t up, down;

    relay_begin(&r, state, &(weir_relay_options){.half_close = true});
    peers_of(&r, &client, &origin);
    client.to_send = 24 * 1024 * 1024 + 123;
    origin.to_send = 17 * 1024 * 1024 + 7;
    client.shuts = origin.shuts = true;
    exchange(&r, &client, &origin);
    net_turn_until(r.net, is_done, &r);
    assert_int_equal(r.end, WEIR_RELAY_FINISHED);
    assert_int_equal(r.done, 1);

    weir_relay_counts(r.relay, &up, &down);
    assert_int_equal(up, client.to_send);
    assert_int_equal(down, origin.to_send);
    assert_int_equal(r.a->received, up);
    assert_int_equal(r.b->sent, up);
    relay_finish(&r);
}

static void bytes_read_before_go_first(void **state)
{
    relay_fixture r;
    char text[32];

    memset(&r, 0, sizeof(r));
    r.net = *state;
    r.a = net_accept(r.net, &r.client);
    r.b = net_accept(r.net, &r.origin);
    r.a->early = WEIR_STR("first,");
    net_send(r.client, "second", 6);
    r.relay = weir_relay_start(r.a, r.b, &(weir_relay_options){.half_close = true}, relay_done, &r);
    net_settle(r.net);
    assert_int_equal(net_receive(r.origin, text, 12), 12);
    assert_memory_equal(text, "first,second", 12);
    relay_finish(&r);
}

static void one_end_may_close_before_the_other(void **state)
{
    relay_fixture r;
    char text[16];

    relay_begin(&r, state, &(weir_relay_options){.half_close = true});
    net_send(r.client, "question", 8);
    shutdown(r.client, SHUT_WR);
    net_settle(r.net);
    assert_int_equal(net_receive(r.origin, text, 16), 8); /* and the end */
    assert_int_equal(r.done, 0);

    net_send(r.origin, "answer", 6);
    net_settle(r.net);
    assert_int_equal(net_receive(r.client, text, 6), 6);
    shutdown(r.origin, SHUT_WR);
    net_turn_until(r.net, is_done, &r);
    assert_int_equal(r.end, WEIR_RELAY_FINISHED);
    assert_int_equal(net_receive(r.client, text, 1), 0);
    relay_finish(&r);
}

static void without_half_close_the_first_end_finishes(void **state)
{
    relay_fixture r;
    char text[16];

    relay_begin(&r, state, &(weir_relay_options){.half_close = false});
    net_send(r.client, "last words", 10);
    shutdown(r.client, SHUT_WR);
    net_turn_until(r.net, is_done, &r);
    assert_int_equal(r.end, WEIR_RELAY_FINISHED);
    assert_int_equal(net_receive(r.origin, text, 10), 10);
    relay_finish(&r);
}

static void a_stalled_peer_stops_reading_from_the_other(void **state)
{
    relay_fixture r;
    peer client, origin;
    uint64_t before;

    relay_begin(&r, state, &(weir_relay_options){.half_close = true});
    peers_of(&r, &client, &origin);
    client.to_send = 256 * 1024 * 1024;

    /* The origin reads nothing: sooner or later the client cannot send any more. */
    do {
        before = client.sent;
        for (int i = 0; i < 20; i++) {
            peer_send(&client);
            weir_loop_turn(r.net->loop, 1);
        }
    } while (client.sent != before);
    assert_true(client.sent < client.to_send / 2);
    assert_false(r.b->writable);
    assert_true(weir_blocks_in_use() <= 1);

    /* The other direction is not held up. */
    origin.to_send = 100000;
    while (client.received < origin.to_send) {
        peer_send(&origin);
        weir_loop_turn(r.net->loop, 1);
        peer_receive(&client);
    }

    client.to_send = client.sent;
    exchange(&r, &client, &origin);
    relay_finish(&r);
}

static void ending_early_with_bytes_on_their_way_leaks_nothing(void **state)
{
    relay_fixture r;
    peer client, origin;

    relay_begin(&r, state, &(weir_relay_options){.half_close = true});
    peers_of(&r, &client, &origin);
    client.to_send = origin.to_send = 64 * 1024 * 1024;
    for (int i = 0; i < 50; i++) {
        peer_send(&client);
        peer_send(&origin);
        weir_loop_turn(r.net->loop, 1);
    }
    weir_relay_free(r.relay);
    r.relay = NULL;
    assert_int_equal(weir_blocks_in_use(), 0);
    relay_finish(&r);
}

static void a_broken_side_is_named(void **state)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    for (int side = 0; side < 2; side++) {
        relay_fixture r;
        int *fd;

        relay_begin(&r, state, &(weir_relay_options){.half_close = true});
        net_settle(r.net);
        fd = side == 0 ? &r.client : &r.origin;
        setsockopt(*fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        close(*fd);
        *fd = socket(AF_INET, SOCK_STREAM, 0);
        net_turn_until(r.net, is_done, &r);
        assert_int_equal(r.end, side == 0 ? WEIR_RELAY_BROKEN_A : WEIR_RELAY_BROKEN_B);
        relay_finish(&r);
    }
}

static void what_came_before_a_reset_is_passed_on(void **state)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    relay_fixture r;
    char text[16];

    relay_begin(&r, state, &(weir_relay_options){.half_close = true});
    net_settle(r.net);
    net_send(r.client, "last words", 10);
    setsockopt(r.client, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(r.client);
    r.client = socket(AF_INET, SOCK_STREAM, 0);
    net_turn_until(r.net, is_done, &r);
    assert_int_equal(r.end, WEIR_RELAY_BROKEN_A);
    assert_int_equal(net_receive(r.origin, text, 10), 10);
    assert_memory_equal(text, "last words", 10);
    relay_finish(&r);
}

static bool b_writes_its_last(const void *subject)
{
    return ((const relay_fixture *) subject)->b->write_is_last;
}

static void what_came_with_the_end_is_passed_on_with_it(void **state)
{
    relay_fixture r;
    char text[16];

    relay_begin(&r, state, &(weir_relay_options){.half_close = true});
    net_settle(r.net);
    net_send(r.client, "last words", 10);
    shutdown(r.client, SHUT_WR);
    net_turn_until(r.net, b_writes_its_last, &r);
    assert_int_equal(net_receive(r.origin, text, 16), 10); /* and the end */
    assert_memory_equal(text, "last words", 10);
    assert_int_equal(r.done, 0);
    relay_finish(&r);
}

static void silence_times_out_and_bytes_put_it_off(void **state)
{
    relay_fixture r;
    /* By the loop's clock, as timers are: on a busy machine it lags behind a fresh reading. */
    uint64_t begin_ms, heard_ms;
    char byte;

    relay_begin(&r, state, &(weir_relay_options){.half_close = true, .idle_timeout_ms = 150});
    begin_ms = weir_clock_now()->monotonic_ms;
    do {
        net_send(r.origin, "x", 1);
        weir_loop_turn(r.net->loop, 5);
        heard_ms = weir_clock_now()->monotonic_ms;
        assert_int_equal(recv(r.client, &byte, 1, 0), 1);
    } while (heard_ms - begin_ms < 400);
    assert_int_equal(r.done, 0);
    net_turn_until(r.net, is_done, &r);
    assert_int_equal(r.end, WEIR_RELAY_TIMED_OUT);
    assert_true(weir_clock_now()->monotonic_ms - heard_ms >= 150);
    relay_finish(&r);
}

typedef struct {
    relay_fixture *r;
    peer *stalled, *speaks;
    uint64_t until_ms;
} stall_fixture;

/* The one sends as much as can be, and takes nothing; the other is heard all the time. */
static bool is_done_while_one_speaks(const void *subject)
{
    const stall_fixture *stall = subject;

    stall->stalled->to_send = stall->stalled->sent + 1;
    peer_send(stall->stalled);
    peer_send(stall->speaks);
    return is_done(stall->r);
}

static void who_takes_nothing_times_out_whatever_it_says(void **state)
{
    for (int side = 0; side < 2; side++) {
        relay_fixture r;
        peer client, origin;
        stall_fixture stall = {.r = &r,
                               .stalled = side == 0 ? &client : &origin,
                               .speaks = side == 0 ? &origin : &client};

        relay_begin(&r, state,
                    &(weir_relay_options){.idle_timeout_ms = 60000,
                                          .a_timeout_ms = side == 0 ? 150 : 0,
                                          .b_timeout_ms = side == 1 ? 150 : 0});
        peers_of(&r, &client, &origin);
        stall.speaks->to_send = UINT64_MAX;
        net_turn_until(r.net, is_done_while_one_speaks, &stall);
        assert_int_equal(r.end, side == 0 ? WEIR_RELAY_STALLED_A : WEIR_RELAY_STALLED_B);
        relay_finish(&r);
        net_settle(r.net);
    }
}

static bool is_done_or_100_ms_passed(const void *subject)
{
    const stall_fixture *stall = subject;

    return is_done_while_one_speaks(stall) || weir_clock_now()->monotonic_ms >= stall->until_ms;
}

static void taking_a_part_puts_it_off(void **state)
{
    relay_fixture r;
    peer client, origin;
    stall_fixture stall = {.r = &r, .stalled = &origin, .speaks = &client};
    uint64_t taken_ms;

    relay_begin(&r, state, &(weir_relay_options){.b_timeout_ms = 500});
    peers_of(&r, &client, &origin);
    client.to_send = UINT64_MAX;
    stall.until_ms = weir_clock_now()->monotonic_ms + 100;
    net_turn_until(r.net, is_done_or_100_ms_passed, &stall);
    taken_ms = weir_clock_now()->monotonic_ms;
    /* Unless the machine was too busy for all that. */
    if (r.done == 0) {
        peer_receive(&origin);
        net_turn_until(r.net, is_done_while_one_speaks, &stall);
        assert_true(weir_clock_now()->monotonic_ms - taken_ms >= 500);
    }
    assert_int_equal(r.end, WEIR_RELAY_STALLED_B);
    relay_finish(&r);
}

static void rates_are_kept(void **state)
{
    relay_fixture r;
    peer client, origin;
    uint64_t begin_us;

    relay_begin(&r, state, &(weir_relay_options){.half_close = true, .upload_rate = 100000});
    peers_of(&r, &client, &origin);
    client.to_send = 250000;
    origin.to_send = 4000000; /* without a limit */
    begin_us = weir_clock_monotonic_us();
    while (client.received < origin.to_send) {
        peer_send(&client);
        peer_send(&origin);
        weir_loop_turn(r.net->loop, 1);
        peer_receive(&client);
        peer_receive(&origin);
    }
    assert_true(origin.received <= 100000 * (2 + (weir_clock_monotonic_us() - begin_us) / 1000000));

    /* A second's worth at once, and one more each second. */
    exchange(&r, &client, &origin);
    assert_true(weir_clock_monotonic_us() - begin_us >= 1900000);
    relay_finish(&r);
}

static void without_pipes_bytes_are_copied(void **state)
{
    relay_fixture r;
    peer client, origin;
    struct rlimit limit, low;
    int next;

    relay_begin(&r, state, &(weir_relay_options){.half_close = true});
    peers_of(&r, &client, &origin);
    client.to_send = 8 * 1024 * 1024;
    origin.to_send = 3 * 1024 * 1024;

    next = dup(0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = limit;
    low.rlim_cur = (rlim_t) next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    exchange(&r, &client, &origin);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    relay_finish(&r);
}

/* ---- a transport that is not plain: it turns bits over, reads ahead, and ends in two steps */

static struct {
    char ahead[1000];
    size_t from, len;
    unsigned shuts;
} turning;

static void turn_over(char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bytes[i] ^= 0x55;
    }
}

static weir_result turning_read(weir_connection *connection, char *buffer, size_t size, size_t *len)
{
    if (turning.from == turning.len) {
        weir_result result =
            weir_socket_recv(connection, turning.ahead, sizeof(turning.ahead), &turning.len);

        turning.from = 0;
        if (result != WEIR_OK) {
            turning.len = 0;
            return result;
        }
        turn_over(turning.ahead, turning.len);
    }

    *len = turning.len - turning.from < size ? turning.len - turning.from : size;
    memcpy(buffer, turning.ahead + turning.from, *len);
    turning.from += *len;
    connection->received += *len;
    return WEIR_OK;
}

static weir_result turning_write(weir_connection *connection, weir_chain *chain, uint64_t limit)
{
    while (!weir_chain_is_empty(chain) && limit != 0) {
        char bytes[500];
        size_t want = chain->first->len < sizeof(bytes) ? chain->first->len : sizeof(bytes);
        size_t len;
        weir_result result;

        memcpy(bytes, chain->first->data, want);
        turn_over(bytes, want);
        result = weir_socket_send(connection, &(struct iovec){.iov_base = bytes, .iov_len = want},
                                  1, want, false, &len);
        weir_chain_consume(chain, len);
        connection->sent += len;
        if (result != WEIR_OK) {
            return result;
        }
    }
    return WEIR_OK;
}

static weir_result turning_shut(weir_connection *connection)
{
    if (turning.shuts++ == 0) {
        connection->writable = false;
        return WEIR_WAIT;
    }
    return weir_socket_shut(connection);
}

static void turning_close(weir_connection *connection)
{
    (void) connection;
}

static bool turning_holds_unread(const weir_connection *connection)
{
    (void) connection;
    return turning.from != turning.len;
}

static const weir_transport turning_transport = {
    .read = turning_read,
    .write = turning_write,
    .shut = turning_shut,
    .close = turning_close,
    .holds_unread = turning_holds_unread,
};

static void what_a_transport_has_read_ahead_goes_out_too(void **state)
{
    relay_fixture r = {.net = *state};
    char text[2000], data[2000];
    size_t len;

    memset(&turning, 0, sizeof(turning));
    memset(data, 'a', sizeof(data));
    turn_over(data, sizeof(data));
    r.a = net_accept(r.net, &r.client);
    r.b = net_accept(r.net, &r.origin);
    r.a->transport = &turning_transport;

    /* All that the socket has is in the transport's buffer when the relay begins. */
    net_send(r.client, data, 700);
    net_settle(r.net);
    assert_int_equal(weir_connection_read(r.a, text, 1, &len), WEIR_OK);
    assert_true(turning_holds_unread(r.a));
    r.relay = weir_relay_start(r.a, r.b, &(weir_relay_options){.half_close = true}, relay_done, &r);
    net_settle(r.net);
    assert_int_equal(net_receive(r.origin, text, 699), 699);
    assert_memory_equal(text, "aaaa", 4);
    relay_finish(&r);
}

static void other_transports_are_read_and_written_by_their_verbs(void **state)
{
    relay_fixture r = {.net = *state};
    static char out[100000], in[100000];
    size_t received = 0;
    ssize_t got;

    memset(&turning, 0, sizeof(turning));
    for (size_t i = 0; i < sizeof(out); i++) {
        out[i] = byte_at(i);
    }
    r.a = net_accept(r.net, &r.client);
    r.b = net_accept(r.net, &r.origin);
    r.b->transport = &turning_transport;
    r.relay = weir_relay_start(r.a, r.b, &(weir_relay_options){.half_close = true}, relay_done, &r);

    net_send(r.client, out, sizeof(out));
    shutdown(r.client, SHUT_WR);
    set_nonblocking(r.origin);
    while ((got = recv(r.origin, in + received, sizeof(in) - received, 0)) > 0
           || (got == -1 && errno == EAGAIN)) {
        received += got > 0 ? (size_t) got : 0;
        weir_loop_turn(r.net->loop, 1);
        if (turning.shuts == 1) {
            /* As if its last bytes could be written now. */
            r.b->writable = true;
            r.b->state->on_writable(r.b);
        }
        if (received == sizeof(in) && turning.shuts > 1) {
            break;
        }
    }
    turn_over(in, sizeof(in));
    assert_int_equal(received, sizeof(in));
    assert_memory_equal(in, out, sizeof(in));
    assert_int_equal(turning.shuts, 2);
    relay_finish(&r);
}

static void done_frees_all(weir_relay *relay, weir_relay_end end, void *subject)
{
    relay_fixture *r = subject;

    r->end = end;
    weir_relay_free(relay);
    weir_connection_close(r->a);
    weir_connection_close(r->b);
    r->done++;
}

static void the_owner_may_free_everything_when_told(void **state)
{
    for (int round = 0; round < 2; round++) {
        relay_fixture r = {.net = *state};

        r.a = net_accept(r.net, &r.client);
        r.b = net_accept(r.net, &r.origin);
        r.relay = weir_relay_start(r.a, r.b, &(weir_relay_options){.half_close = round == 1},
                                   done_frees_all, &r);
        net_send(r.client, "x", 1);
        shutdown(r.client, SHUT_WR);
        shutdown(r.origin, SHUT_WR);
        net_turn_until(r.net, is_done, &r);
        assert_int_equal(r.end, WEIR_RELAY_FINISHED);
        close(r.client);
        close(r.origin);
    }
}

static void count_first(void *subject)
{
    ((relay_fixture *) subject)->firsts++;
}

static bool has_first(const void *subject)
{
    return ((const relay_fixture *) subject)->firsts != 0;
}

static void the_first_byte_from_b_is_told_once(void **state)
{
    relay_fixture r;
    char data[8];

    relay_begin(&r, state, &(weir_relay_options){.first_byte = count_first});
    net_send(r.client, "up", 2);
    net_settle(r.net);
    assert_int_equal(net_receive(r.origin, data, 2), 2);
    assert_int_equal(r.firsts, 0);
    net_send(r.origin, "a", 1);
    net_turn_until(r.net, has_first, &r);
    net_send(r.origin, "b", 1);
    net_settle(r.net);
    assert_int_equal(net_receive(r.client, data, 2), 2);
    assert_memory_equal(data, "ab", 2);
    assert_int_equal(r.firsts, 1);
    relay_finish(&r);
}

static void whose_end_it_was_is_known(void **state)
{
    for (int round = 0; round < 2; round++) {
        relay_fixture r;

        relay_begin(&r, state, &(weir_relay_options){.half_close = false});
        shutdown(round == 0 ? r.client : r.origin, SHUT_WR);
        net_turn_until(r.net, is_done, &r);
        assert_int_equal(r.end, WEIR_RELAY_FINISHED);
        assert_int_equal(weir_relay_was_ended_by_a(r.relay), round == 0);
        relay_finish(&r);
    }
}

static void bytes_that_are_given_back_go_first(void **state)
{
    relay_fixture r = {.net = *state};
    char data[8];

    r.a = net_accept(r.net, &r.client);
    r.b = net_accept(r.net, &r.origin);
    r.a->received = 3;
    assert_true(weir_connection_give_back(r.a, WEIR_STR("cd")));
    assert_true(weir_connection_give_back(r.a, WEIR_STR("b")));
    assert_int_equal(r.a->received, 0);
    r.relay = weir_relay_start(r.a, r.b, &(weir_relay_options){.copy_bytes = 2}, relay_done, &r);
    assert_non_null(r.relay);
    net_send(r.client, "ef", 2);
    net_settle(r.net);
    assert_int_equal(net_receive(r.origin, data, 5), 5);
    assert_memory_equal(data, "bcdef", 5);
    assert_int_equal(r.a->received, 5);
    relay_finish(&r);
}

int main(void)
{
#define RELAY_TEST(test) cmocka_unit_test_setup_teardown(test, net_set_up, net_tear_down)
    const struct CMUnitTest tests[] = {
        RELAY_TEST(passes_messages_on),
        RELAY_TEST(passes_much_on_in_both_directions),
        RELAY_TEST(bytes_read_before_go_first),
        RELAY_TEST(one_end_may_close_before_the_other),
        RELAY_TEST(without_half_close_the_first_end_finishes),
        RELAY_TEST(a_stalled_peer_stops_reading_from_the_other),
        RELAY_TEST(ending_early_with_bytes_on_their_way_leaks_nothing),
        RELAY_TEST(a_broken_side_is_named),
        RELAY_TEST(what_came_before_a_reset_is_passed_on),
        RELAY_TEST(what_came_with_the_end_is_passed_on_with_it),
        RELAY_TEST(silence_times_out_and_bytes_put_it_off),
        RELAY_TEST(who_takes_nothing_times_out_whatever_it_says),
        RELAY_TEST(taking_a_part_puts_it_off),
        RELAY_TEST(rates_are_kept),
        RELAY_TEST(without_pipes_bytes_are_copied),
        RELAY_TEST(what_a_transport_has_read_ahead_goes_out_too),
        RELAY_TEST(other_transports_are_read_and_written_by_their_verbs),
        RELAY_TEST(the_owner_may_free_everything_when_told),
        RELAY_TEST(the_first_byte_from_b_is_told_once),
        RELAY_TEST(whose_end_it_was_is_known),
        RELAY_TEST(bytes_that_are_given_back_go_first),
    };

    return cmocka_run_group_tests_name("net_relay", tests, NULL, NULL);
}
