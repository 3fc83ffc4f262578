/* The verbs over TLS: much data, slow peers, buffers that connections share, and how it all ends. */

#include "t/unit/tls_unit.h"

#define ONE "ssl_certificate one.crt; ssl_certificate_key one.key;"
#define MUCH (3u << 20)

static char much[MUCH];

static void fill(void)
{
    for (size_t i = 0; i < MUCH; i++) {
        much[i] = (char) (i * 2654435761u >> 13);
    }
}

static tls_unit_peer begin(tls_unit *t, SSL_CTX *ctx, const char *settings)
{
    char text[512];
    tls_unit_peer peer;

    if (t->conf == NULL) {
        snprintf(text, sizeof(text), "server a { " ONE " %s }", settings);
        tls_unit_serve(t, tls_unit_load(text));
    }
    peer = tls_unit_connect(t, ctx, "a");
    assert_true(tls_unit_shake(t, &peer));
    return peer;
}

/* What the peer has to send, in one flight as large as the socket takes. */
static void upload(tls_unit *t, tls_unit_peer *peer, size_t len)
{
    for (size_t at = 0; at < len;) {
        int part = (int) (len - at < 100000 ? len - at : 100000);

        assert_int_equal(SSL_write(peer->ssl, much + at, part), part);
        at += (size_t) part;
        tls_unit_pump(t, peer);
    }
}

static void receives_much(void **state)
{
    tls_unit *t = *state;
    SSL_CTX *ctx = tls_unit_context();
    tls_unit_peer peer = begin(t, ctx, "");

    upload(t, &peer, MUCH);
    assert_int_equal(t->received_len, MUCH);
    assert_memory_equal(t->received, much, MUCH);
    assert_int_equal(t->connection->received, MUCH);
    tls_unit_peer_free(t, &peer);
    SSL_CTX_free(ctx);
}

/* Reads all of what our end wrote, `len` bytes, and compares. */
static void download(tls_unit *t, tls_unit_peer *peer, size_t len)
{
    static char got[MUCH];
    size_t total = 0;

    for (int i = 0; i < 100000 && total < len; i++) {
        int part;

        tls_unit_pump(t, peer);
        while ((part = SSL_read(peer->ssl, got + total, (int) (len - total))) > 0) {
            total += (size_t) part;
        }
    }
    assert_int_equal(total, len);
    assert_memory_equal(got, much, len);
}

static void sends_much_to_a_peer_that_takes_it_slowly(void **state)
{
    tls_unit *t = *state;
    SSL_CTX *ctx = tls_unit_context();
    tls_unit_peer peer = begin(t, ctx, "");
    int small = 4096;

    assert_int_equal(
        setsockopt(t->connection->event.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    assert_true(weir_chain_add_memory(&t->to_write, weir_str_of(much, MUCH)));
    tls_unit_writable(t->connection);
    assert_int_equal(t->wrote, WEIR_WAIT);
    download(t, &peer, MUCH);
    assert_int_equal(t->wrote, WEIR_OK);
    assert_true(weir_chain_is_empty(&t->to_write));
    assert_int_equal(t->connection->sent, MUCH);
    tls_unit_peer_free(t, &peer);
    SSL_CTX_free(ctx);
}

/* An owner has written all that it had: nothing makes it write again. */
static void sends_what_it_took_though_the_owner_does_not_come_again(void **state)
{
    static const weir_connection_state done = {.name = "done"};
    tls_unit *t = *state;
    SSL_CTX *ctx = tls_unit_context();
    tls_unit_peer peer = begin(t, ctx, "");
    int small = 4096;

    assert_int_equal(
        setsockopt(t->connection->event.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    assert_true(weir_chain_add_memory(&t->to_write, weir_str_of(much, 60000)));
    assert_int_equal(weir_connection_write(t->connection, &t->to_write, UINT64_MAX), WEIR_WAIT);
    assert_true(weir_chain_is_empty(&t->to_write));
    weir_connection_enter(t->connection, &done);
    download(t, &peer, 60000);
    tls_unit_peer_free(t, &peer);
    SSL_CTX_free(ctx);
}

static void sends_spans_of_all_kinds_in_order(void **state)
{
    static const size_t sizes[] = {1, 300, 16384, 5, 8192, 8191, 70000, 20, 20, 20, 16383};
    tls_unit *t = *state;
    SSL_CTX *ctx = tls_unit_context();
    tls_unit_peer peer = begin(t, ctx, "");
    char path[512];
    size_t at = 0;
    int fd;

    tls_unit_write("file", much, MUCH);
    tls_unit_path("file", path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    for (size_t i = 0; i < WEIR_COUNT(sizes); i++) {
        if (i % 4 == 3) {
            assert_true(weir_chain_add_file(&t->to_write, fd, (off_t) at, sizes[i]));
        } else if (i % 2 == 0) {
            assert_true(weir_chain_add_memory(&t->to_write, weir_str_of(much + at, sizes[i])));
        } else {
            assert_true(weir_chain_add_copy(&t->to_write, weir_str_of(much + at, sizes[i])));
        }
        at += sizes[i];
    }
    /* Up to a limit that falls into a span, then the rest. */
    assert_int_equal(weir_connection_write(t->connection, &t->to_write, 20000), WEIR_OK);
    assert_int_equal(t->connection->sent, 20000);
    tls_unit_writable(t->connection);
    download(t, &peer, at);
    close(fd);
    tls_unit_peer_free(t, &peer);
    SSL_CTX_free(ctx);
}

/* The lengths of the records that came, of application data. */
static size_t count_records(int fd, size_t *largest)
{
    static unsigned char bytes[1u << 20];
    ssize_t len = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_PEEK);
    size_t count = 0;

    *largest = 0;
    for (ssize_t at = 0; at + 5 <= len;) {
        size_t record = (size_t) bytes[at + 3] << 8 | bytes[at + 4];

        count += bytes[at] == SSL3_RT_APPLICATION_DATA;
        if (record > *largest) {
            *largest = record;
        }
        at += (ssize_t) record + 5;
    }
    return count;
}

static void a_head_and_a_small_body_share_a_record(void **state)
{
    tls_unit *t = *state;
    SSL_CTX *ctx = tls_unit_context();
    tls_unit_peer peer;
    size_t largest;

    SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    peer = begin(t, ctx, "");
    assert_true(weir_chain_add_memory(&t->to_write, WEIR_STR("HTTP/1.1 200 OK\r\n\r\n")));
    assert_true(weir_chain_add_memory(&t->to_write, WEIR_STR("body")));
    tls_unit_writable(t->connection);
    assert_int_equal(count_records(peer.fd, &largest), 1);
    tls_unit_peer_free(t, &peer);
    SSL_CTX_free(ctx);
}

static void records_are_no_larger_than_ssl_buffer_size(void **state)
{
    tls_unit *t = *state;
    SSL_CTX *ctx = tls_unit_context();
    tls_unit_peer peer = begin(t, ctx, "ssl_buffer_size 4k;");
    size_t largest;

    assert_true(weir_chain_add_memory(&t->to_write, weir_str_of(much, 40000)));
    tls_unit_writable(t->connection);
    assert_in_range(count_records(peer.fd, &largest), 10, 14);
    assert_in_range(largest, 4096, 4096 + 64);
    download(t, &peer, 40000);
    tls_unit_peer_free(t, &peer);
    SSL_CTX_free(ctx);
}

/* Two connections by turns: what one leaves in the worker's buffer must not be lost when the other needs it. */
static void keeps_what_an_owner_does_not_want_yet(void **state)
{
    tls_unit *t = *state;
    SSL_CTX *ctx = tls_unit_context();
    tls_unit_peer first = begin(t, ctx, ""), second;
    weir_connection *slow = t->connection;
    char got[1000];
    size_t len, total = 0;

    t->holds_back = true;
    upload(t, &first, 30000);
    assert_int_equal(weir_connection_read(slow, got, 10, &len), WEIR_OK);
    assert_int_equal(len, 10);
    assert_memory_equal(got, much, 10);
    assert_true(slow->transport->holds_unread(slow));
    total = 10;

    t->holds_back = false;
    second = begin(t, ctx, "");
    tls_unit_say(t, &second, "between");
    tls_unit_assert_received(t, "between");

    while (total < 30000) {
        assert_int_equal(weir_connection_read(slow, got, sizeof(got), &len), WEIR_OK);
        assert_true(len > 0);
        assert_memory_equal(got, much + total, len);
        total += len;
    }
    assert_int_equal(weir_connection_read(slow, got, sizeof(got), &len), WEIR_WAIT);
    assert_false(slow->transport->holds_unread(slow));

    weir_connection_close(slow);
    tls_unit_peer_free(t, &first);
    tls_unit_peer_free(t, &second);
    SSL_CTX_free(ctx);
}

static void wakes_the_owner_for_what_is_left_in_buffers(void **state)
{
    tls_unit *t = *state;
    SSL_CTX *ctx = tls_unit_context();
    tls_unit_peer peer = begin(t, ctx, "");
    char got[10];
    size_t len;

    t->holds_back = true;
    tls_unit_say(t, &peer, "0123456789rest");
    assert_int_equal(weir_connection_read(t->connection, got, 10, &len), WEIR_OK);
    t->holds_back = false;
    weir_connection_enter(t->connection, &tls_unit_open);
    net_settle(t->net);
    tls_unit_assert_received(t, "rest");
    tls_unit_peer_free(t, &peer);
    SSL_CTX_free(ctx);
}

static void tells_an_end_from_a_truncation(void **state)
{
    tls_unit *t = *state;
    SSL_CTX *ctx = tls_unit_context();

    for (int truncated = 0; truncated < 2; truncated++) {
        tls_unit_peer peer = begin(t, ctx, "");

        tls_unit_say(t, &peer, "last words");
        if (!truncated) {
            SSL_shutdown(peer.ssl);
            tls_unit_pump(t, &peer);
        }
        shutdown(peer.fd, SHUT_WR);
        net_settle(t->net);
        tls_unit_assert_received(t, "last words");
        assert_true(t->ended);
        assert_int_equal(weir_tls_is_truncated(t->connection), truncated);

        /* Our direction is still open. */
        tls_unit_answer(t, &peer, "answer");
        tls_unit_peer_free(t, &peer);
        tls_unit_close(t);
    }
    SSL_CTX_free(ctx);
}

/* The owner reads once; close_notify was in the same segment, and the peer's TCP stays open. */
static void tells_an_end_that_came_with_data(void **state)
{
    tls_unit *t = *state;
    SSL_CTX *ctx = tls_unit_context();
    char got[100];
    size_t len;

    for (int asks = 0; asks < 2; asks++) {
        tls_unit_peer peer = begin(t, ctx, "");

        t->holds_back = true;
        assert_int_equal(SSL_write(peer.ssl, "last words", 10), 10);
        SSL_shutdown(peer.ssl);
        tls_unit_pump(t, &peer);
        assert_int_equal(weir_connection_read(t->connection, got, sizeof(got), &len), WEIR_OK);
        assert_int_equal(len, 10);
        t->holds_back = false;
        if (asks) {
            assert_false(weir_connection_is_quiet(t->connection));
        } else {
            weir_connection_enter(t->connection, &tls_unit_open);
            net_settle(t->net);
            assert_true(t->ended);
            assert_int_equal(t->received_len, 0);
        }
        assert_false(weir_tls_is_truncated(t->connection));
        assert_false(weir_connection_holds_unread(t->connection));
        tls_unit_peer_free(t, &peer);
        tls_unit_close(t);
    }
    SSL_CTX_free(ctx);
}

static void shuts_its_side_and_reads_on(void **state)
{
    tls_unit *t = *state;
    SSL_CTX *ctx = tls_unit_context();
    tls_unit_peer peer = begin(t, ctx, "");
    char byte;

    assert_int_equal(weir_connection_shut(t->connection), WEIR_OK);
    tls_unit_pump(t, &peer);
    assert_int_equal(SSL_read(peer.ssl, &byte, 1), 0);
    assert_true(SSL_get_shutdown(peer.ssl) & SSL_RECEIVED_SHUTDOWN);
    assert_true(peer.closed);
    tls_unit_say(t, &peer, "still here");
    tls_unit_assert_received(t, "still here");
    tls_unit_peer_free(t, &peer);
    SSL_CTX_free(ctx);
}

static void says_goodbye_when_it_closes(void **state)
{
    tls_unit *t = *state;
    SSL_CTX *ctx = tls_unit_context();
    tls_unit_peer peer = begin(t, ctx, "");
    char byte;

    tls_unit_close(t);
    tls_unit_pump(t, &peer);
    assert_int_equal(SSL_read(peer.ssl, &byte, 1), 0);
    assert_true(SSL_get_shutdown(peer.ssl) & SSL_RECEIVED_SHUTDOWN);
    tls_unit_peer_free(t, &peer);
    SSL_CTX_free(ctx);
}

static void takes_leave_with_its_last_bytes(void **state)
{
    tls_unit *t = *state;
    SSL_CTX *ctx = tls_unit_context();
    tls_unit_peer peer = begin(t, ctx, "");
    char byte;

    tls_unit_answer(t, &peer, "first");
    assert_false(weir_tls_is_shut(t->connection));
    assert_int_equal(SSL_get_shutdown(peer.ssl), 0);

    t->connection->write_is_last = true;
    tls_unit_answer(t, &peer, "last");
    assert_int_equal(SSL_read(peer.ssl, &byte, 1), 0);
    assert_true(SSL_get_shutdown(peer.ssl) & SSL_RECEIVED_SHUTDOWN);

    /* The other direction stays open. */
    tls_unit_say(t, &peer, "more");
    tls_unit_assert_received(t, "more");
    tls_unit_peer_free(t, &peer);
    SSL_CTX_free(ctx);
}

static void breaks_on_bytes_that_are_no_record(void **state)
{
    tls_unit *t = *state;
    SSL_CTX *ctx = tls_unit_context();
    tls_unit_peer peer = begin(t, ctx, "");

    net_send(peer.fd, "GET / HTTP/1.1\r\n\r\n", 18);
    net_settle(t->net);
    assert_true(t->broken);
    assert_true(net_log_has(t->net, "SSL_read() failed (SSL: error:"));
    assert_true(net_log_has(t->net, "[info]"));
    ERR_clear_error();
    tls_unit_peer_free(t, &peer);
    SSL_CTX_free(ctx);
}

static int setup(void **state)
{
    fill();
    return tls_unit_setup(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, tls_unit_begin, tls_unit_end)
        TEST(receives_much),
        TEST(sends_much_to_a_peer_that_takes_it_slowly),
        TEST(sends_what_it_took_though_the_owner_does_not_come_again),
        TEST(sends_spans_of_all_kinds_in_order),
        TEST(a_head_and_a_small_body_share_a_record),
        TEST(records_are_no_larger_than_ssl_buffer_size),
        TEST(keeps_what_an_owner_does_not_want_yet),
        TEST(wakes_the_owner_for_what_is_left_in_buffers),
        TEST(tells_an_end_from_a_truncation),
        TEST(tells_an_end_that_came_with_data),
        TEST(shuts_its_side_and_reads_on),
        TEST(says_goodbye_when_it_closes),
        TEST(takes_leave_with_its_last_bytes),
        TEST(breaks_on_bytes_that_are_no_record),
    };

    return cmocka_run_group_tests(tests, setup, tls_unit_teardown);
}
