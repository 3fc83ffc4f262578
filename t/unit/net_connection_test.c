/* Connections: reading and writing, states, closing at any time, limits, connecting. */

#include "t/unit/unit.h"

#include "t/unit/net_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/net/connection_internal.h"

/* What the handlers of the test's states saw. */
static struct {
    unsigned readable, writable, timeout, hangup;
    char data[1 << 16];
    size_t len;
    bool ended, failed;
    weir_connection *victim;
} saw;

static void saw_readable(weir_connection *connection)
{
    size_t len;
    weir_result result;

    saw.readable++;
    while ((result = weir_connection_read(connection, saw.data + saw.len,
                                          sizeof(saw.data) - saw.len, &len))
           == WEIR_OK) {
        if (len == 0) {
            saw.ended = true;
            return;
        }
        saw.len += len;
    }
    saw.failed = result == WEIR_FAIL;
}

static void saw_writable(weir_connection *connection)
{
    (void) connection;
    saw.writable++;
}

static void saw_timeout(weir_connection *connection)
{
    saw.timeout++;
    weir_connection_close(connection);
}

static void saw_hangup(weir_connection *connection)
{
    saw.hangup++;
    weir_connection_close(connection);
}

static void close_victim(weir_connection *connection)
{
    saw.readable++;
    if (saw.victim != NULL) {
        weir_connection *victim = saw.victim;

        saw.victim = NULL;
        weir_connection_close(victim);
    }
    (void) connection;
}

static const weir_connection_state reading = {
    .name = "reading",
    .on_readable = saw_readable,
    .on_writable = saw_writable,
    .on_timeout = saw_timeout,
};
static const weir_connection_state waiting = {
    .name = "waiting",
    .on_writable = saw_writable,
    .on_timeout = saw_timeout,
};
static const weir_connection_state away = {
    .name = "away",
    .on_timeout = saw_timeout,
    .on_hangup = saw_hangup,
};
static const weir_connection_state closing = {
    .name = "closing",
    .on_readable = close_victim,
    .on_writable = saw_writable,
};

static int set_up(void **state)
{
    memset(&saw, 0, sizeof(saw));
    return net_set_up(state);
}

static bool has_ended(const void *subject)
{
    (void) subject;
    return saw.ended;
}

static bool has_writable(const void *subject)
{
    (void) subject;
    return saw.writable != 0;
}

static bool has_timeout(const void *subject)
{
    return saw.timeout == *(const unsigned *) subject;
}

static bool has_hangup(const void *subject)
{
    (void) subject;
    return saw.hangup != 0;
}

static bool has_read(const void *subject)
{
    return saw.len == *(const size_t *) subject;
}

static bool has_failed(const void *subject)
{
    (void) subject;
    return saw.failed;
}

/* ---- reading */

static void gives_bytes_then_the_end(void **state)
{
    net_fixture *f = *state;
    int client;
    weir_connection *connection = net_accept(f, &client);

    weir_connection_enter(connection, &reading);
    net_send(client, "hello", 5);
    net_turn_until(f, has_read, &(size_t){5});
    assert_memory_equal(saw.data, "hello", 5);
    assert_false(saw.ended);
    assert_false(connection->readable);
    assert_int_equal(connection->received, 5);

    close(client);
    net_turn_until(f, has_ended, NULL);
    assert_true(connection->hangup);
    assert_int_equal(saw.len, 5);
    weir_connection_close(connection);
}

static void bytes_and_their_end_in_one_event_are_both_told(void **state)
{
    net_fixture *f = *state;
    int client;
    weir_connection *connection = net_accept(f, &client);

    weir_connection_enter(connection, &reading);
    net_send(client, "last", 4);
    close(client);
    net_turn_until(f, has_ended, NULL);
    assert_int_equal(saw.len, 4);
    weir_connection_close(connection);
}

static void data_that_waited_is_told_to_a_state_that_reads(void **state)
{
    net_fixture *f = *state;
    int client;
    weir_connection *connection = net_accept(f, &client);

    weir_connection_enter(connection, &waiting);
    net_send(client, "early", 5);
    net_settle(f);
    assert_int_equal(saw.readable, 0);
    assert_true(connection->readable);

    weir_connection_enter(connection, &reading);
    assert_int_equal(saw.readable, 0);
    weir_loop_turn(f->loop, -1);
    assert_int_equal(saw.len, 5);
    close(client);
    weir_connection_close(connection);
}

static void early_bytes_come_first(void **state)
{
    net_fixture *f = *state;
    int client;
    weir_connection *connection = net_accept(f, &client);
    char data[4];
    size_t len;

    connection->early = WEIR_STR("before ");
    assert_true(connection->transport->holds_unread(connection));
    assert_int_equal(weir_connection_read(connection, data, 4, &len), WEIR_OK);
    assert_int_equal(len, 4);
    assert_memory_equal(data, "befo", 4);

    weir_connection_enter(connection, &reading);
    net_send(client, "after", 5);
    net_turn_until(f, has_read, &(size_t){8});
    assert_memory_equal(saw.data, "re after", 8);
    assert_int_equal(connection->received, 12);
    close(client);
    weir_connection_close(connection);
}

static void a_reset_is_a_failure_that_the_log_names(void **state)
{
    net_fixture *f = *state;
    int client;
    weir_connection *connection = net_accept(f, &client);
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    weir_connection_enter(connection, &reading);
    setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(client);
    net_turn_until(f, has_failed, NULL);
    assert_true(connection->failed);
    assert_true(net_log_has(f, "[info]"));
    assert_true(net_log_has(f, "recv() failed (104: Connection reset by peer), client: 127.0.0.1, "
                               "server: 127.0.0.1:"));
    weir_connection_close(connection);
}

static void a_hangup_is_told_to_who_does_not_read(void **state)
{
    net_fixture *f = *state;
    int client;
    weir_connection *connection = net_accept(f, &client);

    weir_connection_enter(connection, &away);
    net_send(client, "unread", 6);
    net_settle(f);
    assert_int_equal(saw.hangup, 0);
    close(client);
    net_turn_until(f, has_hangup, NULL);
}

static void a_hangup_from_before_is_told_to_a_state_that_asks(void **state)
{
    net_fixture *f = *state;
    int client;
    weir_connection *connection = net_accept(f, &client);

    weir_connection_enter(connection, &waiting);
    close(client);
    while (!connection->hangup) {
        weir_loop_turn(f->loop, 10);
    }
    weir_connection_enter(connection, &away);
    net_turn_until(f, has_hangup, NULL);
}

/* ---- writing */

static void writes_more_than_the_socket_holds(void **state)
{
    enum { SIZE = 8 * 1024 * 1024 };
    net_fixture *f = *state;
    int client;
    weir_connection *connection = net_accept(f, &client);
    char *out = malloc(SIZE), *in = malloc(SIZE);
    weir_chain chain = {0};
    weir_result result;
    size_t received = 0;

    for (size_t i = 0; i < SIZE; i++) {
        out[i] = (char) (i * 31 + (i >> 12));
    }
    assert_true(weir_chain_add_memory(&chain, weir_str_of(out, SIZE)));
    weir_connection_enter(connection, &waiting);

    while ((result = weir_connection_write(connection, &chain, UINT64_MAX)) == WEIR_WAIT) {
        assert_false(connection->writable);
        assert_true(connection->sent < SIZE);
        received += net_receive(client, in + received, (size_t) connection->sent - received);
        saw.writable = 0;
        net_turn_until(f, has_writable, NULL);
    }
    assert_int_equal(result, WEIR_OK);
    assert_true(weir_chain_is_empty(&chain));
    assert_int_equal(connection->sent, SIZE);
    received += net_receive(client, in + received, SIZE - received);
    assert_int_equal(received, SIZE);
    assert_memory_equal(in, out, SIZE);

    close(client);
    weir_connection_close(connection);
    free(out);
    free(in);
}

static void is_not_woken_for_data_that_was_read_already(void **state)
{
    net_fixture *f = *state;
    int client;
    weir_connection *connection = net_accept(f, &client);
    char byte;
    size_t len;

    /* Once it has waited for room, and had it, it hears of room with everything. */
    weir_connection_enter(connection, &waiting);
    assert_int_equal(weir_connection_wait_writable(connection), WEIR_WAIT);
    net_turn_until(f, has_writable, NULL);
    assert_true(connection->event.hears_writable);

    /* Data that came and was read before the loop turned leaves an event that says nothing new: the last of its kind. */
    connection->readable = true;
    net_send(client, "x", 1);
    while (weir_connection_read(connection, &byte, 1, &len) != WEIR_OK) {
        connection->readable = true;
    }
    connection->readable = false;
    net_settle(f);
    assert_false(connection->event.hears_writable);
    assert_int_equal(saw.writable, 1);

    close(client);
    weir_connection_close(connection);
}

static void writes_up_to_a_limit(void **state)
{
    net_fixture *f = *state;
    int client;
    weir_connection *connection = net_accept(f, &client);
    weir_chain chain = {0};
    char in[16];

    assert_true(weir_chain_add_memory(&chain, WEIR_STR("abc")));
    assert_true(weir_chain_add_memory(&chain, WEIR_STR("defg")));
    assert_true(weir_chain_add_memory(&chain, WEIR_STR("hij")));
    for (uint64_t limit = 0; limit < 5; limit++) {
        assert_int_equal(weir_connection_write(connection, &chain, limit), WEIR_OK);
    }
    assert_true(weir_chain_is_empty(&chain));
    assert_int_equal(net_receive(client, in, 10), 10);
    assert_memory_equal(in, "abcdefghij", 10);
    close(client);
    weir_connection_close(connection);
}

/* Few bytes are gathered before they are sent, many are not: it is the same to the peer. */
static void writes_pieces_of_any_size_in_order(void **state)
{
    net_fixture *f = *state;
    int client;
    weir_connection *connection = net_accept(f, &client);
    char out[3000], in[3000];

    for (size_t i = 0; i < sizeof(out); i++) {
        out[i] = (char) (i * 7 + (i >> 8));
    }
    for (size_t size = 1000; size < 1050; size++) {
        weir_chain chain = {0};

        assert_true(weir_chain_add_memory(&chain, weir_str_of(out, 600)));
        assert_true(weir_chain_add_memory(&chain, weir_str_of(out + 600, 1)));
        assert_true(weir_chain_add_memory(&chain, weir_str_of(out + 601, size - 601)));
        assert_int_equal(weir_connection_write(connection, &chain, UINT64_MAX), WEIR_OK);
        assert_true(weir_chain_is_empty(&chain));
        assert_int_equal(net_receive(client, in, size), size);
        assert_memory_equal(in, out, size);
    }
    close(client);
    weir_connection_close(connection);
}

static void writes_memory_and_files_in_order(void **state)
{
    net_fixture *f = *state;
    int client;
    weir_connection *connection = net_accept(f, &client);
    int file = memfd_create("body", MFD_CLOEXEC);
    weir_chain chain = {0};
    char in[32];

    assert_int_equal(write(file, "0123456789", 10), 10);
    assert_true(weir_chain_add_memory(&chain, WEIR_STR("head:")));
    assert_true(weir_chain_add_file(&chain, file, 2, 5));
    assert_true(weir_chain_add_memory(&chain, WEIR_STR(":tail")));
    assert_int_equal(weir_connection_write(connection, &chain, 7), WEIR_OK);
    assert_int_equal(connection->sent, 7);
    assert_int_equal(weir_connection_write(connection, &chain, UINT64_MAX), WEIR_OK);
    assert_int_equal(net_receive(client, in, 15), 15);
    assert_memory_equal(in, "head:23456:tail", 15);
    close(file);
    close(client);
    weir_connection_close(connection);
}

static void a_file_that_shrank_fails_and_does_not_spin(void **state)
{
    net_fixture *f = *state;
    int client;
    weir_connection *connection = net_accept(f, &client);
    int file = memfd_create("body", MFD_CLOEXEC);
    weir_chain chain = {0};

    assert_int_equal(write(file, "0123", 4), 4);
    assert_true(weir_chain_add_file(&chain, file, 0, 10));
    assert_int_equal(weir_connection_write(connection, &chain, UINT64_MAX), WEIR_FAIL);
    assert_true(connection->failed);
    assert_true(net_log_has(f, "[alert]"));
    weir_chain_clear(&chain);
    close(file);
    close(client);
    weir_connection_close(connection);
}

static void shut_ends_one_direction_only(void **state)
{
    net_fixture *f = *state;
    int client;
    weir_connection *connection = net_accept(f, &client);
    char byte;

    weir_connection_enter(connection, &reading);
    assert_int_equal(weir_connection_shut(connection), WEIR_OK);
    assert_int_equal(recv(client, &byte, 1, 0), 0);
    net_send(client, "still", 5);
    net_turn_until(f, has_read, &(size_t){5});
    close(client);
    weir_connection_close(connection);
}

/* The kernel keeps bytes back for 200 ms at most: on a machine that was busy for so long there is nothing to see. */
#define KEPT_BACK_US 100000

static void the_last_bytes_go_with_the_end(void **state)
{
    net_fixture *f = *state;
    uint64_t begin_us = weir_clock_monotonic_us();
    int client;
    weir_connection *connection = net_accept(f, &client);
    weir_chain chain = {0};
    char text[8];
    ssize_t got;

    assert_true(weir_chain_add_memory(&chain, WEIR_STR("bye")));
    connection->write_is_last = true;
    assert_int_equal(weir_connection_write(connection, &chain, UINT64_MAX), WEIR_OK);
    got = recv(client, text, sizeof(text), MSG_DONTWAIT | MSG_PEEK);
    assert_true(got == -1 || weir_clock_monotonic_us() - begin_us > KEPT_BACK_US);
    weir_connection_close(connection);
    assert_int_equal(net_receive(client, text, sizeof(text)), 3);
    assert_memory_equal(text, "bye", 3);
    assert_true(net_is_closed(client));
    close(client);
}

static void reset_sends_rst(void **state)
{
    net_fixture *f = *state;
    int client;
    char byte;

    weir_connection_reset(net_accept(f, &client));
    assert_int_equal(recv(client, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    close(client);
}

/* ---- closing */

static void a_handler_may_close_connections_that_are_ready_too(void **state)
{
    net_fixture *f = *state;
    int clients[2];
    weir_connection *a = net_accept(f, &clients[0]);
    weir_connection *b = net_accept(f, &clients[1]);

    weir_connection_enter(a, &closing);
    weir_connection_enter(b, &closing);
    net_settle(f);
    saw.readable = 0;
    net_send(clients[0], "x", 1);
    net_send(clients[1], "x", 1);

    /* Whichever of the two comes first closes the other, or else itself. */
    saw.victim = b;
    weir_loop_turn(f->loop, -1);
    assert_in_range(saw.readable, 1, 2);
    assert_int_equal(weir_connections_open(f->loop), 1);
    assert_true(net_is_closed(clients[1]));
    weir_connection_close(a);
    close(clients[0]);
    close(clients[1]);
}

static void closing_in_on_readable_spares_on_writable(void **state)
{
    net_fixture *f = *state;
    int client;
    weir_connection *connection = net_accept(f, &client);

    weir_connection_enter(connection, &closing);
    net_settle(f);
    /* So that writable would be told. */
    assert_int_equal(weir_connection_wait_writable(connection), WEIR_WAIT);
    saw.victim = connection;
    net_send(client, "x", 1);
    while (saw.readable == 0) {
        weir_loop_turn(f->loop, -1);
    }
    assert_int_equal(saw.writable, 0);
    close(client);
}

static void note_clean(void *subject)
{
    ++*(unsigned *) subject;
}

static void the_pool_ends_with_its_connection(void **state)
{
    net_fixture *f = *state;
    int client;
    weir_connection *connection = net_accept(f, &client);
    unsigned cleaned = 0;

    assert_non_null(weir_pool_on_free(connection->pool, note_clean, &cleaned));
    weir_connection_close(connection);
    assert_int_equal(cleaned, 1);
    net_settle(f);
    assert_int_equal(cleaned, 1);
    close(client);
}

/* Who closed it may stand on the stack with pointers into its pool: the sanitizers see whether they hold. */
static void what_is_in_its_pool_can_be_read_until_the_next_turn(void **state)
{
    net_fixture *f = *state;
    int client;
    weir_connection *connection = net_accept(f, &client);
    char *text = weir_pool_bytes(connection->pool, 4000);

    assert_non_null(text);
    memset(text, 'x', 4000);
    weir_connection_close(connection);
    assert_int_equal(text[0], 'x');
    assert_int_equal(text[3999], 'x');
    net_settle(f);
    close(client);
}

static void a_new_connection_has_nothing_of_an_old_one(void **state)
{
    net_fixture *f = *state;
    int client;
    weir_connection *connection = net_accept(f, &client);
    uint64_t number = connection->number;

    connection->early = WEIR_STR("old");
    connection->failed = connection->hangup = true;
    connection->owner = f;
    weir_connection_set_idle(connection, true);
    weir_connection_close(connection);
    net_settle(f);
    close(client);

    connection = net_accept(f, &client);
    assert_int_equal(connection->number, number + 1);
    assert_int_equal(connection->early.len, 0);
    assert_false(connection->failed);
    assert_false(connection->is_idle);
    assert_null(connection->owner);
    assert_int_equal(weir_pool_used(connection->pool), 0);
    weir_connection_close(connection);
    close(client);
}

/* ---- time-outs, idleness, limits */

static void a_timeout_is_told_to_the_state(void **state)
{
    net_fixture *f = *state;
    int client;
    weir_connection *connection = net_accept(f, &client);

    weir_connection_enter(connection, &waiting);
    weir_connection_set_timeout(connection, 5);
    net_turn_until(f, has_timeout, &(unsigned){1});
    assert_true(net_is_closed(client));
    close(client);
}

static void the_longest_idle_give_way_when_connections_run_out(void **state)
{
    net_fixture *f = *state;
    int clients[4], last;
    weir_connection *connections[4];

    weir_connections_set_limit(f->loop, 4);
    for (int i = 0; i < 4; i++) {
        connections[i] = net_accept(f, &clients[i]);
        weir_connection_enter(connections[i], &away);
    }
    weir_connection_set_idle(connections[2], true);
    assert_int_equal(weir_connections_open(f->loop), 4);

    weir_connection_enter(net_accept(f, &last), &away);
    assert_int_equal(saw.timeout, 1);
    assert_true(net_is_closed(clients[2]));
    assert_false(net_is_closed(clients[1]));
    assert_int_equal(weir_connections_open(f->loop), 4);
    assert_true(net_log_has(f, "4 worker_connections are not enough, reusing connections"));

    weir_connection_close(f->accepted);
    for (int i = 0; i < 4; i++) {
        if (i != 2) {
            weir_connection_close(connections[i]);
        }
        close(clients[i]);
    }
    close(last);
}

static void clients_wait_when_none_is_idle(void **state)
{
    net_fixture *f = *state;
    int first, second;
    weir_connection *connection;

    weir_connections_set_limit(f->loop, 1);
    connection = net_accept(f, &first);
    weir_connection_enter(connection, &away);
    second = net_client(f);
    net_settle(f);
    assert_int_equal(f->accepted_count, 1);
    assert_false(net_is_closed(second));
    assert_true(net_log_has(f, "[alert]"));
    assert_true(net_log_has(f, "1 worker_connections are not enough"));

    weir_connection_close(connection);
    while (f->accepted_count == 1) {
        weir_loop_turn(f->loop, -1);
    }
    weir_connection_close(f->accepted);
    close(first);
    close(second);
}

static void all_idle_ones_can_be_ended_at_once(void **state)
{
    net_fixture *f = *state;
    int clients[3];
    weir_connection *busy = NULL;

    for (int i = 0; i < 3; i++) {
        weir_connection *connection = net_accept(f, &clients[i]);

        weir_connection_enter(connection, &away);
        weir_connection_set_idle(connection, true);
        busy = connection;
    }
    weir_connection_set_idle(busy, false);
    weir_connections_close_idle(f->loop);
    assert_int_equal(saw.timeout, 2);
    assert_int_equal(weir_connections_open(f->loop), 1);
    weir_connection_close(busy);
    for (int i = 0; i < 3; i++) {
        close(clients[i]);
    }
}

static void stay(weir_connection *connection)
{
    saw.timeout++;
    weir_connection_set_idle(connection, true);
}

static void idle_ones_that_stay_are_asked_once(void **state)
{
    static const weir_connection_state stubborn = {.name = "stubborn", .on_timeout = stay};
    net_fixture *f = *state;
    int client;
    weir_connection *connection = net_accept(f, &client);

    weir_connection_enter(connection, &stubborn);
    weir_connection_set_idle(connection, true);
    weir_connections_close_idle(f->loop);
    assert_int_equal(saw.timeout, 1);
    weir_connections_close_idle(f->loop);
    assert_int_equal(saw.timeout, 2);
    weir_connection_close(connection);
    close(client);
}

static void a_connection_without_a_state_is_left_alone(void **state)
{
    net_fixture *f = *state;
    int client;
    weir_connection *connection = net_accept(f, &client);

    net_send(client, "x", 1);
    close(client);
    net_settle(f);
    assert_true(connection->hangup);
    weir_connection_close(connection);
}

/* ---- addresses */

static void knows_both_addresses(void **state)
{
    net_fixture *f = *state;
    int client;
    weir_connection *connection = net_accept(f, &client);
    weir_addr of_client = {.len = sizeof(of_client.un)}, other;

    assert_int_equal(getsockname(client, &of_client.sa, &of_client.len), 0);
    assert_true(weir_addr_eq(&connection->peer, &of_client));
    assert_true(weir_addr_eq(weir_connection_local(connection), &f->addr));

    assert_true(weir_addr_parse(WEIR_STR("192.0.2.7:1"), 0, &other));
    assert_true(weir_connection_set_peer(connection, &other));
    assert_true(weir_connection_set_peer(connection, &other));
    assert_true(weir_addr_eq(&connection->peer, &other));
    assert_true(weir_addr_eq(connection->socket_peer, &of_client));
    weir_connection_close(connection);
    close(client);
}

static void accepted_sockets_send_without_delay(void **state)
{
    net_fixture *f = *state;
    int client, nodelay = 0;
    socklen_t len = sizeof(nodelay);
    weir_connection *connection = net_accept(f, &client);

    assert_true(connection->tcp_nodelay);
    getsockopt(connection->event.fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &len);
    assert_int_not_equal(nodelay, 0);

    /* Unless their owner does not want it. */
    weir_connection_set_nodelay(connection, false);
    getsockopt(connection->event.fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &len);
    assert_int_equal(nodelay, 0);
    weir_connection_close(connection);
    close(client);
}

/* ---- toward origins */

static bool is_writable(const void *subject)
{
    return ((const weir_connection *) subject)->writable;
}

static void connects(void **state)
{
    net_fixture *f = *state;
    weir_connect_options options = {.socket_keepalive = true};
    weir_connection *origin;
    int error = 0;

    origin = weir_connect(f->loop, &f->addr, &options, 512, &waiting, f, &error);
    assert_non_null(origin);
    net_turn_until(f, is_writable, origin);
    assert_int_equal(weir_connection_finish_connect(origin), 0);
    assert_ptr_equal(origin->owner, f);
    while (f->accepted == NULL) {
        weir_loop_turn(f->loop, -1);
    }
    assert_true(weir_addr_eq(&f->accepted->peer, weir_connection_local(origin)));

    assert_true(weir_connection_is_quiet(origin));
    weir_connection_enter(f->accepted, &waiting);
    weir_connection_close(f->accepted);
    assert_false(weir_connection_is_quiet(origin));
    weir_connection_close(origin);
}

static void who_speaks_first_acknowledges_with_what_it_says(void **state)
{
    net_fixture *f = *state;
    uint64_t begin_us = weir_clock_monotonic_us();
    weir_connect_options options = {.speaks_first = true};
    weir_chain chain = {0};
    weir_connection *origin;
    char text[5];
    size_t len;
    int error = 0;

    origin = weir_connect(f->loop, &f->addr, &options, 512, &waiting, f, &error);
    assert_non_null(origin);
    net_turn_until(f, is_writable, origin);
    assert_int_equal(weir_connection_finish_connect(origin), 0);
    net_settle(f);
    assert_true(f->accepted == NULL || weir_clock_monotonic_us() - begin_us > KEPT_BACK_US);

    assert_true(weir_chain_add_memory(&chain, WEIR_STR("hello")));
    assert_int_equal(weir_connection_write(origin, &chain, UINT64_MAX), WEIR_OK);
    while (f->accepted == NULL) {
        weir_loop_turn(f->loop, -1);
    }
    weir_connection_enter(f->accepted, &waiting);
    net_settle(f);
    assert_int_equal(weir_connection_read(f->accepted, text, 5, &len), WEIR_OK);
    assert_int_equal(len, 5);
    weir_connection_close(f->accepted);
    weir_connection_close(origin);
}

static void connects_from_an_address(void **state)
{
    net_fixture *f = *state;
    weir_connect_options options = {0};
    weir_connection *origin;
    int error = 0;

    assert_true(weir_addr_parse(WEIR_STR("127.0.0.9"), 0, &options.bind_addr));
    origin = weir_connect(f->loop, &f->addr, &options, 512, &waiting, NULL, &error);
    assert_non_null(origin);
    while (f->accepted == NULL) {
        weir_loop_turn(f->loop, -1);
    }
    assert_int_equal(f->accepted->peer.in.sin_addr.s_addr, htonl(0x7f000009));
    weir_connection_close(origin);
    weir_connection_close(f->accepted);
}

static void a_refused_connection_says_so(void **state)
{
    net_fixture *f = *state;
    weir_connect_options options = {0};
    weir_connection *origin;
    weir_addr nobody = {.len = sizeof(nobody.un)};
    int error = 0;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    /* Bound, so that nobody else takes it, but not listening. */
    assert_int_equal(bind(fd, &f->addr.sa, f->addr.len), -1);
    nobody = f->addr;
    weir_addr_set_port(&nobody, 0);
    assert_int_equal(bind(fd, &nobody.sa, nobody.len), 0);
    assert_int_equal(getsockname(fd, &nobody.sa, &nobody.len), 0);

    origin = weir_connect(f->loop, &nobody, &options, 512, &waiting, NULL, &error);
    if (origin != NULL) {
        net_turn_until(f, has_writable, NULL);
        error = weir_connection_finish_connect(origin);
        weir_connection_close(origin);
    }
    assert_int_equal(error, ECONNREFUSED);
    close(fd);
}

static void connecting_counts_against_the_limit(void **state)
{
    net_fixture *f = *state;
    weir_connect_options options = {0};
    weir_connection *origin;
    int error = 0;

    weir_connections_set_limit(f->loop, 1);
    origin = weir_connect(f->loop, &f->addr, &options, 512, &waiting, NULL, &error);
    assert_non_null(origin);
    assert_null(weir_connect(f->loop, &f->addr, &options, 512, &waiting, NULL, &error));
    assert_int_equal(error, EMFILE);
    weir_connection_close(origin);
}

int main(void)
{
#define NET_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, net_tear_down)
    const struct CMUnitTest tests[] = {
        NET_TEST(gives_bytes_then_the_end),
        NET_TEST(bytes_and_their_end_in_one_event_are_both_told),
        NET_TEST(data_that_waited_is_told_to_a_state_that_reads),
        NET_TEST(early_bytes_come_first),
        NET_TEST(a_reset_is_a_failure_that_the_log_names),
        NET_TEST(a_hangup_is_told_to_who_does_not_read),
        NET_TEST(a_hangup_from_before_is_told_to_a_state_that_asks),
        NET_TEST(writes_more_than_the_socket_holds),
        NET_TEST(is_not_woken_for_data_that_was_read_already),
        NET_TEST(writes_up_to_a_limit),
        NET_TEST(writes_pieces_of_any_size_in_order),
        NET_TEST(writes_memory_and_files_in_order),
        NET_TEST(a_file_that_shrank_fails_and_does_not_spin),
        NET_TEST(shut_ends_one_direction_only),
        NET_TEST(the_last_bytes_go_with_the_end),
        NET_TEST(reset_sends_rst),
        NET_TEST(a_handler_may_close_connections_that_are_ready_too),
        NET_TEST(closing_in_on_readable_spares_on_writable),
        NET_TEST(the_pool_ends_with_its_connection),
        NET_TEST(what_is_in_its_pool_can_be_read_until_the_next_turn),
        NET_TEST(a_new_connection_has_nothing_of_an_old_one),
        NET_TEST(a_timeout_is_told_to_the_state),
        NET_TEST(the_longest_idle_give_way_when_connections_run_out),
        NET_TEST(clients_wait_when_none_is_idle),
        NET_TEST(all_idle_ones_can_be_ended_at_once),
        NET_TEST(idle_ones_that_stay_are_asked_once),
        NET_TEST(a_connection_without_a_state_is_left_alone),
        NET_TEST(knows_both_addresses),
        NET_TEST(accepted_sockets_send_without_delay),
        NET_TEST(connects),
        NET_TEST(who_speaks_first_acknowledges_with_what_it_says),
        NET_TEST(connects_from_an_address),
        NET_TEST(a_refused_connection_says_so),
        NET_TEST(connecting_counts_against_the_limit),
    };

    return cmocka_run_group_tests_name("net_connection", tests, NULL, NULL);
}
