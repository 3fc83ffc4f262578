/* PROXY headers: parsed at every cut, refused in every detail, read before a listener's hook. */

#include "t/unit/unit.h"

#include "t/unit/net_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/net/proxy_protocol.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define IPV6_A "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
#define IPV6_B "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"

typedef struct {
    weir_str header;
    const char *peer, *local; /* NULL: not said */
    weir_str tlvs;
} good_case;

#define TLVS                                                                                       \
    "\x04\0\x02zz\x02\0\x0b"                                                                       \
    "example.com"

static const good_case good[] = {
    {WEIR_STR_INIT("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"), "192.0.2.1:56324",
     "198.51.100.2:443", WEIR_STR_INIT("")},
    {WEIR_STR_INIT("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
     "255.255.255.255:65535", "255.255.255.255:65535", WEIR_STR_INIT("")},
    {WEIR_STR_INIT("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), "0.0.0.0:0", "0.0.0.0:0",
     WEIR_STR_INIT("")},
    {WEIR_STR_INIT("PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n"), "[2001:db8::1]:1",
     "[2001:db8::2]:2", WEIR_STR_INIT("")},
    {WEIR_STR_INIT("PROXY UNKNOWN\r\n"), NULL, NULL, WEIR_STR_INIT("")},
    {WEIR_STR_INIT("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"), NULL, NULL,
     WEIR_STR_INIT("")},
    {WEIR_STR_INIT(SIGNATURE "\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"),
     "192.0.2.1:56324", "198.51.100.2:443", WEIR_STR_INIT("")},
    {WEIR_STR_INIT(SIGNATURE "\x21\x11\0\x1f\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb" TLVS),
     "192.0.2.1:56324", "198.51.100.2:443", WEIR_STR_INIT(TLVS)},
    {WEIR_STR_INIT(SIGNATURE "\x21\x21\0\x24" IPV6_A IPV6_B "\0\x01\0\x02"), "[2001:db8::1]:1",
     "[2001:db8::2]:2", WEIR_STR_INIT("")},
    {WEIR_STR_INIT(SIGNATURE "\x20\0\0\0"), NULL, NULL, WEIR_STR_INIT("")},
    {WEIR_STR_INIT(SIGNATURE "\x20\x11\0\x03"
                             "abc"),
     NULL, NULL, WEIR_STR_INIT("")},
    {WEIR_STR_INIT(SIGNATURE "\x21\0\0\x04"
                             "abcd"),
     NULL, NULL, WEIR_STR_INIT("")},
};

static void assert_addr(const weir_addr *addr, const char *expected)
{
    char text[WEIR_ADDR_TEXT_MAX];
    weir_str s;

    if (expected == NULL) {
        assert_int_equal(addr->len, 0);
        return;
    }
    s = weir_addr_text(addr, true, text);
    assert_int_equal(s.len, strlen(expected));
    assert_memory_equal(s.data, expected, s.len);
}

static void assert_header(const weir_proxy_header *header, const good_case *expected)
{
    assert_int_equal(header->len, expected->header.len);
    assert_addr(&header->peer, expected->peer);
    assert_addr(&header->local, expected->local);
    assert_true(weir_str_eq(header->tlvs, expected->tlvs));
}

/* A copy of its exact size, so that a sanitizer sees a byte too many being read. */
static weir_result parse(weir_str bytes, weir_proxy_header *header)
{
    char *copy = malloc(bytes.len + 1);
    char *exact = realloc(copy, bytes.len == 0 ? 1 : bytes.len);
    weir_result result;

    memcpy(exact, bytes.data, bytes.len);
    result = weir_proxy_protocol_parse(weir_str_of(exact, bytes.len), header);
    if (result == WEIR_OK) {
        size_t at = header->tlvs.len == 0 ? 0 : (size_t) (header->tlvs.data - exact);

        header->tlvs = weir_str_of(bytes.data + at, header->tlvs.len);
    }
    free(exact);
    return result;
}

static void every_prefix_waits_for_more(void **state)
{
    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(good); i++) {
        weir_proxy_header header;

        for (size_t len = 0; len < good[i].header.len; len++) {
            assert_int_equal(parse(weir_str_slice(good[i].header, 0, len), &header), WEIR_WAIT);
        }
        assert_int_equal(parse(good[i].header, &header), WEIR_OK);
        assert_header(&header, &good[i]);
    }
}

static void what_follows_is_not_part_of_it(void **state)
{
    static const char *const follows[] = {"G", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01", "\r\n",
                                          "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n"};

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(good); i++) {
        for (size_t j = 0; j < WEIR_COUNT(follows); j++) {
            char bytes[512];
            weir_str header_bytes = good[i].header;
            weir_proxy_header header;

            memcpy(bytes, header_bytes.data, header_bytes.len);
            memcpy(bytes + header_bytes.len, follows[j], strlen(follows[j]));
            assert_int_equal(
                parse(weir_str_of(bytes, header_bytes.len + strlen(follows[j])), &header), WEIR_OK);
            assert_header(&header, &good[i]);
        }
    }
}

static void what_is_malformed_is_refused(void **state)
{
    static const weir_str bad[] = {
        WEIR_STR_INIT("GET / HTTP/1.1\r\n"),
        WEIR_STR_INIT("proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n"),
        WEIR_STR_INIT("PROXY\r\n"),
        WEIR_STR_INIT("PROXY \r\n"),
        WEIR_STR_INIT("PROXY  TCP4 1.1.1.1 1.1.1.1 1 1\r\n"),
        WEIR_STR_INIT("PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n"),
        WEIR_STR_INIT("PROXY UNKNOWNS\r\n"),
        WEIR_STR_INIT("PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n"),
        WEIR_STR_INIT("PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\r\n"),
        WEIR_STR_INIT("PROXY TCP4 1.1.1.1\r1.1.1.1 1 1"),
        WEIR_STR_INIT("PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n"),
        WEIR_STR_INIT("PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n"),
        WEIR_STR_INIT("PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n"),
        WEIR_STR_INIT("PROXY TCP4 1.1.1.1  1.1.1.1 1 1\r\n"),
        WEIR_STR_INIT("PROXY TCP4 1.1.1 1.1.1.1 1 1\r\n"),
        WEIR_STR_INIT("PROXY TCP4 1.1.1.256 1.1.1.1 1 1\r\n"),
        WEIR_STR_INIT("PROXY TCP4 ::1 ::1 1 1\r\n"),
        WEIR_STR_INIT("PROXY TCP6 1.1.1.1 1.1.1.1 1 1\r\n"),
        WEIR_STR_INIT("PROXY TCP4 1.1.1.1 1.1.1.1 65536 1\r\n"),
        WEIR_STR_INIT("PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n"),
        WEIR_STR_INIT("PROXY TCP4 1.1.1.1 1.1.1.1 -1 1\r\n"),
        WEIR_STR_INIT("PROXY TCP4 1.1.1.1 1.1.1.1 1 \r\n"),
        WEIR_STR_INIT("\r\n\r\n\0\r\nQUIR"),
        WEIR_STR_INIT("\r\n\r\n\r\nQUIT\n"),
        WEIR_STR_INIT(SIGNATURE "\x11"),
        WEIR_STR_INIT(SIGNATURE "\x22"),
        WEIR_STR_INIT(SIGNATURE "\x2f"),
        /* Families and transports that are not, or cannot be, assigned. */
        WEIR_STR_INIT(SIGNATURE "\x21\x12\0\x0c"
                                "aaaabbbbccdd"),
        WEIR_STR_INIT(SIGNATURE "\x21\x10\0\x0c"
                                "aaaabbbbccdd"),
        WEIR_STR_INIT(SIGNATURE "\x21\x41\0\0"),
        WEIR_STR_INIT(SIGNATURE "\x21\x01\0\0"),
        /* Too short for its addresses. */
        WEIR_STR_INIT(SIGNATURE "\x21\x11\0\x0b"
                                "aaaabbbbccd"),
        WEIR_STR_INIT(SIGNATURE "\x21\x21\0\x0c"
                                "aaaabbbbccdd"),
        WEIR_STR_INIT(SIGNATURE "\x21\x31\0\x0c"
                                "aaaabbbbccdd"),
        /* TLVs that end inside of one. */
        WEIR_STR_INIT(SIGNATURE "\x21\x11\0\x0d"
                                "aaaabbbbccdd\x04"),
        WEIR_STR_INIT(SIGNATURE "\x21\x11\0\x0f"
                                "aaaabbbbccdd\x04\0\x01"),
        /* Longer than anybody needs. */
        WEIR_STR_INIT(SIGNATURE "\x21\x11\x10\x01"),
        WEIR_STR_INIT(SIGNATURE "\x20\0\xff\xff"),
    };

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(bad); i++) {
        weir_proxy_header header;

        assert_int_equal(parse(bad[i], &header), WEIR_FAIL);
    }
}

static void the_first_wrong_byte_is_enough(void **state)
{
    static const weir_str begins[] = {WEIR_STR_INIT("PROXY "), WEIR_STR_INIT(SIGNATURE)};

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(begins); i++) {
        for (size_t at = 0; at < begins[i].len; at++) {
            char bytes[16];
            weir_proxy_header header;

            memcpy(bytes, begins[i].data, at + 1);
            bytes[at] ^= 0x40;
            assert_int_equal(parse(weir_str_of(bytes, at + 1), &header), WEIR_FAIL);
        }
    }
}

static void a_line_is_at_most_107_bytes(void **state)
{
    char line[200];
    weir_proxy_header header;

    (void) state;
    memset(line, 'x', sizeof(line));
    memcpy(line, "PROXY UNKNOWN ", 14);
    assert_int_equal(parse(weir_str_of(line, 106), &header), WEIR_WAIT);
    assert_int_equal(parse(weir_str_of(line, 107), &header), WEIR_FAIL);

    memcpy(line + 105, "\r\n", 2);
    assert_int_equal(parse(weir_str_of(line, 107), &header), WEIR_OK);
    memcpy(line + 105, "x\r\n", 3);
    assert_int_equal(parse(weir_str_of(line, 108), &header), WEIR_FAIL);
}

static void the_longest_of_version_2_is_taken(void **state)
{
    char bytes[WEIR_PROXY_V2_MAX];
    weir_proxy_header header;

    (void) state;
    memset(bytes, 0, sizeof(bytes));
    memcpy(bytes, SIGNATURE "\x21\x11\x10\0", 16);
    bytes[16 + 12] = 4;
    bytes[16 + 13] = 0x0f;
    bytes[16 + 14] = (char) (0x1000 - 12 - 3 - 0x0f00);
    assert_int_equal(parse(weir_str_of(bytes, sizeof(bytes) - 1), &header), WEIR_WAIT);
    assert_int_equal(parse(weir_str_of(bytes, sizeof(bytes)), &header), WEIR_OK);
    assert_int_equal(header.len, sizeof(bytes));
    assert_int_equal(header.tlvs.len, 0x1000 - 12);
}

static void unix_addresses_are_paths(void **state)
{
    char bytes[16 + 216] = SIGNATURE "\x21\x31\0\xd8";
    weir_proxy_header header;

    (void) state;
    memcpy(bytes + 16, "/run/a", 6);
    memset(bytes + 16 + 108, 'p', 108); /* without an end */
    assert_int_equal(parse(weir_str_of(bytes, sizeof(bytes)), &header), WEIR_OK);
    assert_addr(&header.peer, "unix:/run/a");
    assert_int_equal(header.local.un.sun_path[107], 'p');
}

static void what_is_written_can_be_read(void **state)
{
    static const char *const pairs[][2] = {
        {"192.0.2.1:56324", "198.51.100.2:443"},
        {"[2001:db8::1]:1", "[2001:db8::2]:65535"},
        {"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
    };
    weir_addr mixed[2];
    weir_builder builder;
    char text[WEIR_PROXY_V1_MAX];

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(pairs); i++) {
        weir_addr peer, local;
        weir_proxy_header header;
        weir_str line;

        assert_true(weir_addr_parse(weir_str_from_z(pairs[i][0]), 0, &peer));
        assert_true(weir_addr_parse(weir_str_from_z(pairs[i][1]), 0, &local));
        weir_builder_over(&builder, text, sizeof(text));
        weir_proxy_protocol_write_v1(&builder, &peer, &local);
        assert_true(weir_builder_close(&builder, &line));
        assert_int_equal(weir_proxy_protocol_parse(line, &header), WEIR_OK);
        assert_true(weir_addr_eq(&header.peer, &peer));
        assert_true(weir_addr_eq(&header.local, &local));

        weir_builder_over(&builder, text, sizeof(text));
        weir_proxy_protocol_write_v2(&builder, &peer, &local);
        assert_true(weir_builder_close(&builder, &line));
        assert_int_equal(weir_proxy_protocol_parse(line, &header), WEIR_OK);
        assert_int_equal(header.len, line.len);
        assert_true(weir_addr_eq(&header.peer, &peer));
        assert_true(weir_addr_eq(&header.local, &local));
    }

    assert_true(weir_addr_parse(WEIR_STR("1.2.3.4:5"), 0, &mixed[0]));
    assert_true(weir_addr_parse(WEIR_STR("[::1]:5"), 0, &mixed[1]));
    weir_builder_over(&builder, text, sizeof(text));
    weir_proxy_protocol_write_v1(&builder, &mixed[0], &mixed[1]);
    assert_true(weir_str_eq(weir_builder_text(&builder), WEIR_STR("PROXY UNKNOWN\r\n")));

    weir_proxy_header header;

    weir_builder_over(&builder, text, sizeof(text));
    weir_proxy_protocol_write_v2(&builder, &mixed[0], &mixed[1]);
    assert_int_equal(weir_proxy_protocol_parse(weir_builder_text(&builder), &header), WEIR_OK);
    assert_int_equal(header.peer.len, 0);
}

static void values_of_a_header_have_names(void **state)
{
    const weir_str tlvs = WEIR_STR("\x01\0\x02h2"
                                   "\x02\0\x06"
                                   "a.test"
                                   "\xe0\0\x01x"
                                   "\x20\0\x0b"
                                   "\x01\0\0\0\x07"
                                   "\x21\0\x03"
                                   "1.3");
    static const struct {
        const char *name, *value;
    } there[] = {
        {"alpn", "h2"}, {"0x01", "h2"},         {"authority", "a.test"},
        {"0xe0", "x"},  {"ssl_version", "1.3"}, {"ssl_0x21", "1.3"},
    };
    static const char *const missing[] = {"netns",  "0x03", "0x", "0x100",
                                          "ssl_cn", "ssl_", "",   "e0"};
    weir_str value;

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(there); i++) {
        assert_true(weir_proxy_protocol_tlv(tlvs, weir_str_from_z(there[i].name), &value));
        assert_true(weir_str_eq(value, weir_str_from_z(there[i].value)));
    }
    for (size_t i = 0; i < WEIR_COUNT(missing); i++) {
        assert_false(weir_proxy_protocol_tlv(tlvs, weir_str_from_z(missing[i]), &value));
    }
    assert_true(weir_proxy_protocol_tlv(tlvs, WEIR_STR("ssl_verify"), &value));
    assert_true(weir_str_eq(value, WEIR_STR("\0\0\0\x07")));
    assert_false(weir_proxy_protocol_tlv(WEIR_STR("\x20\0\x02xy"), WEIR_STR("ssl_verify"), &value));
}

/* ---- on a listener */

static char early[256];
static size_t early_len;

static void early_readable(weir_connection *connection)
{
    size_t len;

    while (weir_connection_read(connection, early + early_len, sizeof(early) - early_len, &len)
               == WEIR_OK
           && len != 0) {
        early_len += len;
    }
}

static const weir_connection_state reading_early = {
    .name = "reading early",
    .on_readable = early_readable,
};

static void proxy_accepted(weir_connection *connection, void *subject)
{
    net_fixture *f = subject;

    f->accepted = connection;
    f->accepted_count++;
    weir_connection_enter(connection, &reading_early);
}

static int set_up_proxy(void **state)
{
    net_fixture *f;

    early_len = 0;
    if (net_set_up(state) != 0) {
        return -1;
    }
    f = *state;
    f->listener->proxy_protocol = true;
    f->listener->proxy_protocol_timeout_ms = 10000;
    f->listener->accepted = proxy_accepted;
    return 0;
}

static bool has_accepted(const void *subject)
{
    return ((const net_fixture *) subject)->accepted_count != 0;
}

static bool has_early(const void *subject)
{
    return early_len == *(const size_t *) subject;
}

static bool is_closed(const void *subject)
{
    return net_is_closed(*(const int *) subject);
}

static void a_listener_reads_it_and_passes_the_rest_on(void **state)
{
    net_fixture *f = *state;
    int client = net_client(f);

    net_send(client, "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nGET / ", 51);
    net_turn_until(f, has_early, &(size_t){6});
    net_send(client, "HTTP", 4);
    net_turn_until(f, has_early, &(size_t){10});
    assert_memory_equal(early, "GET / HTTP", 10);
    assert_int_equal(f->accepted_count, 1);
    assert_int_equal(f->accepted->received, 10);

    assert_addr(f->accepted->proxy_peer, "192.0.2.1:56324");
    assert_addr(f->accepted->proxy_local, "198.51.100.2:443");
    /* As in nginx, who is trusted to say so is for realip to decide. */
    assert_int_equal(f->accepted->peer.in.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    assert_false(weir_timer_is_set(&f->accepted->timer));
    weir_connection_close(f->accepted);
    close(client);
}

static void a_listener_takes_it_byte_by_byte(void **state)
{
    net_fixture *f = *state;
    weir_str header = good[7].header;
    int client = net_client(f);

    for (size_t i = 0; i < header.len; i++) {
        assert_int_equal(f->accepted_count, 0);
        net_send(client, header.data + i, 1);
        net_settle(f);
    }
    net_turn_until(f, has_accepted, f);
    assert_addr(f->accepted->proxy_peer, good[7].peer);
    assert_true(weir_str_eq(f->accepted->proxy_tlvs, good[7].tlvs));
    net_settle(f);
    assert_int_equal(early_len, 0);
    weir_connection_close(f->accepted);
    close(client);
}

static void without_addresses_there_are_none(void **state)
{
    net_fixture *f = *state;
    int client = net_client(f);

    net_send(client, "PROXY UNKNOWN\r\nx", 16);
    net_turn_until(f, has_early, &(size_t){1});
    assert_null(f->accepted->proxy_peer);
    assert_null(f->accepted->proxy_local);
    weir_connection_close(f->accepted);
    close(client);
}

static void a_broken_header_closes_and_is_logged(void **state)
{
    net_fixture *f = *state;
    int client = net_client(f);

    net_send(client, "GET / HTTP/1.1\r\n", 16);
    net_turn_until(f, is_closed, &client);
    assert_int_equal(f->accepted_count, 0);
    assert_int_equal(weir_connections_open(f->loop), 0);
    assert_true(net_log_has(f, "[error]"));
    assert_true(net_log_has(f, "broken header: \"GET / HTTP/1.1"));
    assert_true(net_log_has(f, "\" while reading PROXY protocol, client: 127.0.0.1, server: "));
    close(client);
}

static void a_client_that_leaves_in_the_middle_is_closed(void **state)
{
    net_fixture *f = *state;
    int client = net_client(f);

    net_send(client, "PROXY T", 7);
    net_settle(f);
    assert_int_equal(weir_connections_open(f->loop), 1);
    close(client);
    while (weir_connections_open(f->loop) != 0) {
        weir_loop_turn(f->loop, 10);
    }
    assert_int_equal(f->accepted_count, 0);
}

static void a_slow_header_times_out(void **state)
{
    net_fixture *f = *state;
    int client;

    f->listener->proxy_protocol_timeout_ms = 30;
    client = net_client(f);
    net_send(client, "PROXY T", 7);
    net_turn_until(f, is_closed, &client);
    assert_true(net_log_has(f, "client timed out"));
    assert_int_equal(f->accepted_count, 0);
    close(client);
}

int main(void)
{
#define PROXY_TEST(test) cmocka_unit_test_setup_teardown(test, set_up_proxy, net_tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_prefix_waits_for_more),
        cmocka_unit_test(what_follows_is_not_part_of_it),
        cmocka_unit_test(what_is_malformed_is_refused),
        cmocka_unit_test(the_first_wrong_byte_is_enough),
        cmocka_unit_test(a_line_is_at_most_107_bytes),
        cmocka_unit_test(the_longest_of_version_2_is_taken),
        cmocka_unit_test(unix_addresses_are_paths),
        cmocka_unit_test(what_is_written_can_be_read),
        cmocka_unit_test(values_of_a_header_have_names),
        PROXY_TEST(a_listener_reads_it_and_passes_the_rest_on),
        PROXY_TEST(a_listener_takes_it_byte_by_byte),
        PROXY_TEST(without_addresses_there_are_none),
        PROXY_TEST(a_broken_header_closes_and_is_logged),
        PROXY_TEST(a_client_that_leaves_in_the_middle_is_closed),
        PROXY_TEST(a_slow_header_times_out),
    };

    return cmocka_run_group_tests_name("net_proxy_protocol", tests, NULL, NULL);
}
