/*
 * The resolver, with DNS servers that live in the same loop: who is asked, who is told, and what is remembered.
 */

#include "t/unit/unit.h"

#include "t/unit/net_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/number.h"
#include "core/net/dns_message.h"
#include "core/net/resolver.h"

/* ---- a server of the test's own, over UDP and TCP */

typedef struct {
    const char *name;
    unsigned type;
    const char *value; /* an address; a name; "priority weight port name" */
    unsigned ttl_s;
} zone_record;

typedef struct {
    net_fixture *net;
    weir_event udp, tcp;
    weir_addr addr;
    const zone_record *zone; /* ends without a name */
    unsigned code;           /* of each answer */
    unsigned silent_for;     /* queries that get no answer; UINT_MAX: all */
    unsigned silent_type;    /* queries for it get none; 0: no type */
    const char *silent_name; /* NULL: none */
    bool truncates, lowers, lies_first;
    unsigned udp_queries, tcp_queries;
    char mixed_name[256]; /* as the last query wrote it */
} dns_server;

static void put_u16(weir_builder *out, unsigned number)
{
    weir_builder_add_byte(out, (char) (number >> 8));
    weir_builder_add_byte(out, (char) (number & 0xff));
}

static void put_name(weir_builder *out, const char *name)
{
    weir_str rest = weir_str_from_z(name), label;

    while (weir_str_split(&rest, '.', &label)) {
        weir_builder_add_byte(out, (char) label.len);
        weir_builder_add(out, label);
    }
    weir_builder_add_byte(out, 0);
}

static void put_data(weir_builder *out, const zone_record *record)
{
    char bytes[300];
    weir_str rest = weir_str_from_z(record->value), word;
    uint64_t number;
    weir_builder data;

    weir_builder_over(&data, bytes, sizeof(bytes));
    switch (record->type) {
    case WEIR_DNS_A:
        assert_int_equal(inet_pton(AF_INET, record->value, weir_builder_room(&data, 4)), 1);
        weir_builder_advance(&data, 4);
        break;
    case WEIR_DNS_AAAA:
        assert_int_equal(inet_pton(AF_INET6, record->value, weir_builder_room(&data, 16)), 1);
        weir_builder_advance(&data, 16);
        break;
    case WEIR_DNS_SRV:
        for (int i = 0; i < 3; i++) {
            assert_true(weir_str_split(&rest, ' ', &word));
            assert_true(weir_parse_uint(word, UINT16_MAX, &number));
            put_u16(&data, (unsigned) number);
        }
        put_name(&data, rest.data);
        break;
    default:
        put_name(&data, record->value);
        break;
    }
    put_u16(out, (unsigned) weir_builder_text(&data).len);
    weir_builder_add(out, weir_builder_text(&data));
}

/* What the zone has of the name, and its alias if it has one. */
static unsigned put_records(weir_builder *out, const dns_server *server, weir_str name,
                            unsigned type)
{
    unsigned count = 0;

    for (const zone_record *record = server->zone; record->name != NULL; record++) {
        if (!weir_str_eq_nocase(weir_str_from_z(record->name), name)
            || (record->type != type && record->type != WEIR_DNS_CNAME)) {
            continue;
        }
        put_name(out, record->name);
        put_u16(out, record->type);
        put_u16(out, 1);
        put_u16(out, record->ttl_s >> 16);
        put_u16(out, record->ttl_s & 0xffff);
        put_data(out, record);
        count++;
    }
    return count;
}

static bool zone_has(const dns_server *server, weir_str name)
{
    for (const zone_record *record = server->zone; record->name != NULL; record++) {
        if (weir_str_eq_nocase(weir_str_from_z(record->name), name)) {
            return true;
        }
    }
    return false;
}

/* 0: silence. */
static size_t answer(dns_server *server, char *query, size_t len, bool by_tcp, char *reply,
                     size_t size)
{
    weir_builder out;
    weir_str text, name;
    size_t at = 12, name_len = 0;
    unsigned type, count;

    while (query[at] != 0) {
        size_t label = (size_t) query[at];

        if (name_len != 0) {
            server->mixed_name[name_len++] = '.';
        }
        memcpy(server->mixed_name + name_len, query + at + 1, label);
        name_len += label;
        at += 1 + label;
    }
    server->mixed_name[name_len] = '\0';
    name = weir_str_of(server->mixed_name, name_len);
    type = (unsigned char) query[at + 2];
    if (type == server->silent_type || server->silent_for != 0
        || (server->silent_name != NULL
            && weir_str_eq_nocase(name, weir_str_from_z(server->silent_name)))) {
        server->silent_for -= server->silent_for != 0 && server->silent_for != UINT32_MAX;
        return 0;
    }

    weir_builder_over(&out, reply, size);
    weir_builder_add(&out, weir_str_of(query, len));
    reply[2] = (char) (server->truncates && !by_tcp ? 0x83 : 0x81);
    reply[3] = (char) (server->code != 0 ? server->code : zone_has(server, name) ? 0 : 3);
    count = server->truncates && !by_tcp ? 0 : put_records(&out, server, name, type);
    reply[6] = (char) (count >> 8);
    reply[7] = (char) (count & 0xff);
    for (size_t i = 12; server->lowers && i < at; i++) {
        reply[i] = weir_byte_lower(reply[i]);
    }
    assert_true(weir_builder_close(&out, &text));
    return text.len;
}

static void server_udp_ready(weir_event *event, unsigned what)
{
    dns_server *server = WEIR_OWNER(event, dns_server, udp);
    char query[512], reply[4096];
    weir_addr from = {.len = sizeof(from.un)};
    ssize_t got;

    (void) what;
    while ((got = recvfrom(event->fd, query, sizeof(query), 0, &from.sa, &from.len)) > 0) {
        size_t len;

        server->udp_queries++;
        len = answer(server, query, (size_t) got, false, reply, sizeof(reply));
        if (server->lies_first && len != 0) {
            reply[1] ^= 1;
            reply[len - 1] ^= 1;
            sendto(event->fd, reply, len, 0, &from.sa, from.len);
            reply[1] ^= 1;
            reply[len - 1] ^= 1;
        }
        if (len != 0) {
            sendto(event->fd, reply, len, 0, &from.sa, from.len);
        }
        from.len = sizeof(from.un);
    }
}

static void server_tcp_ready(weir_event *event, unsigned what)
{
    dns_server *server = WEIR_OWNER(event, dns_server, tcp);
    static char query[512], reply[65536];
    int fd;

    (void) what;
    while ((fd = accept(event->fd, NULL, NULL)) != -1) {
        size_t got = net_receive(fd, query, 2), len;

        assert_int_equal(got, 2);
        len = (size_t) (unsigned char) query[0] << 8 | (unsigned char) query[1];
        assert_int_equal(net_receive(fd, query, len), len);
        server->tcp_queries++;
        len = answer(server, query, len, true, reply + 2, sizeof(reply) - 2);
        reply[0] = (char) (len >> 8);
        reply[1] = (char) (len & 0xff);
        net_send(fd, reply, 1);
        net_send(fd, reply + 1, len + 1);
        close(fd);
    }
}

static void server_open(dns_server *server, net_fixture *net, const zone_record *zone)
{
    int on = 1;

    memset(server, 0, sizeof(*server));
    server->net = net;
    server->zone = zone;
    server->udp.ready = server_udp_ready;
    server->tcp.ready = server_tcp_ready;
    server->udp.name = server->tcp.name = "DNS server";

    /* A port that both have free. */
    for (int tries = 0;; tries++) {
        assert_true(tries < 100);
        assert_true(weir_addr_parse(WEIR_STR("127.0.0.1"), 0, &server->addr));
        server->tcp.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        server->udp.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_int_equal(setsockopt(server->tcp.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
        /* Accepted once the query is there: who sends it runs in the same thread. */
        assert_int_equal(setsockopt(server->tcp.fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &on, sizeof(on)),
                         0);
        assert_int_equal(bind(server->tcp.fd, &server->addr.sa, server->addr.len), 0);
        assert_int_equal(getsockname(server->tcp.fd, &server->addr.sa, &server->addr.len), 0);
        assert_int_equal(listen(server->tcp.fd, 16), 0);
        if (bind(server->udp.fd, &server->addr.sa, server->addr.len) == 0) {
            break;
        }
        close(server->tcp.fd);
        close(server->udp.fd);
    }
    assert_true(weir_event_add(net->loop, &server->udp));
    assert_true(weir_event_add(net->loop, &server->tcp));
}

static void server_close(dns_server *server)
{
    weir_event_close(server->net->loop, &server->udp);
    weir_event_close(server->net->loop, &server->tcp);
}

/* ---- who asks */

typedef struct {
    weir_resolver_query query;
    unsigned told;
    unsigned error;
    size_t count;
    weir_resolved found[32];
    weir_result result;
} asker;

static void take(asker *a)
{
    a->told++;
    a->error = a->query.error;
    a->count = a->query.count;
    for (size_t i = 0; i < a->count && i < WEIR_COUNT(a->found); i++) {
        a->found[i] = a->query.found[i];
    }
}

static void told(weir_resolver_query *query)
{
    take(query->subject);
}

static bool was_told(const void *subject)
{
    return ((const asker *) subject)->told != 0;
}

static weir_resolver *resolver_for(net_fixture *net, const dns_server *const *servers, size_t count)
{
    weir_resolver_settings *settings = WEIR_NEW(net->pool, weir_resolver_settings);

    settings->servers = WEIR_NEW_ARRAY(net->pool, weir_addr, count);
    settings->servers_count = count;
    for (size_t i = 0; i < count; i++) {
        settings->servers[i] = servers[i]->addr;
    }
    settings->ipv4 = settings->ipv6 = true;
    return weir_resolver_of(net->loop, settings);
}

static weir_resolver *resolver_of_one(const dns_server *server)
{
    return resolver_for(server->net, &server, 1);
}

static void begin(asker *a, weir_resolver *resolver, const char *name, weir_resolver_kind kind,
                  uint64_t timeout_ms)
{
    memset(a, 0, sizeof(*a));
    a->query.done = told;
    a->query.subject = a;
    a->result = weir_resolver_resolve(resolver, &a->query, weir_str_from_z(name), kind, timeout_ms);
    if (a->result != WEIR_WAIT) {
        take(a);
    }
}

static void find(asker *a, net_fixture *net, weir_resolver *resolver, const char *name,
                 weir_resolver_kind kind)
{
    begin(a, resolver, name, kind, 30000);
    net_turn_until(net, was_told, a);
    assert_int_equal(a->told, 1);
}

#define assert_found(a, i, expected)                                                               \
    do {                                                                                           \
        char text_[WEIR_ADDR_TEXT_MAX], want_[WEIR_ADDR_TEXT_MAX];                                 \
        weir_str found_ = weir_addr_text(&(a)->found[i].addr, true, text_);                        \
        assert_true((i) < (a)->count);                                                             \
        snprintf(want_, sizeof(want_), "%.*s", WEIR_STR_ARG(found_));                              \
        assert_string_equal(want_, expected);                                                      \
    } while (0)

/* ---- the tests */

static const zone_record zone[] = {
    {"both.example", WEIR_DNS_A, "192.0.2.1", 300},
    {"both.example", WEIR_DNS_AAAA, "2001:db8::1", 300},
    {"two.example", WEIR_DNS_A, "192.0.2.2", 300},
    {"two.example", WEIR_DNS_A, "192.0.2.3", 300},
    {"brief.example", WEIR_DNS_A, "192.0.2.9", 0},
    {"alias.example", WEIR_DNS_CNAME, "next.example", 300},
    {"next.example", WEIR_DNS_CNAME, "both.example", 300},
    {"round.example", WEIR_DNS_CNAME, "about.example", 300},
    {"about.example", WEIR_DNS_CNAME, "round.example", 300},
    {"six.example", WEIR_DNS_AAAA, "2001:db8::6", 300},
    {"_http._tcp.example", WEIR_DNS_SRV, "20 1 8081 two.example", 300},
    {"_http._tcp.example", WEIR_DNS_SRV, "10 7 8080 both.example", 300},
    {"_half._tcp.example", WEIR_DNS_SRV, "10 7 8080 missing.example", 300},
    {"_half._tcp.example", WEIR_DNS_SRV, "10 7 8080 two.example", 300},
    {"_none._tcp.example", WEIR_DNS_SRV, "10 7 8080 missing.example", 300},
    {NULL, 0, NULL, 0},
};

static void finds_addresses_of_both_families_ipv4_first(void **state)
{
    dns_server server;
    asker a;

    server_open(&server, *state, zone);
    find(&a, *state, resolver_of_one(&server), "Both.Example.", WEIR_RESOLVER_ADDRESSES);
    assert_int_equal(a.error, 0);
    assert_int_equal(a.count, 2);
    assert_found(&a, 0, "192.0.2.1:0");
    assert_found(&a, 1, "[2001:db8::1]:0");
    server_close(&server);
}

static void one_family_may_be_left_out(void **state)
{
    net_fixture *net = *state;
    dns_server server;
    weir_resolver_settings settings = {.ipv4 = true, .servers_count = 1};
    asker a;

    server_open(&server, net, zone);
    settings.servers = &server.addr;
    find(&a, net, weir_resolver_of(net->loop, &settings), "both.example", WEIR_RESOLVER_ADDRESSES);
    assert_int_equal(a.count, 1);
    assert_int_equal(server.udp_queries, 1);
    find(&a, net, weir_resolver_of(net->loop, &settings), "six.example", WEIR_RESOLVER_ADDRESSES);
    assert_int_equal(a.error, 3);
    server_close(&server);
}

static void follows_aliases_from_message_to_message(void **state)
{
    dns_server server;
    asker a;

    server_open(&server, *state, zone);
    find(&a, *state, resolver_of_one(&server), "alias.example", WEIR_RESOLVER_ADDRESSES);
    assert_int_equal(a.count, 2);
    find(&a, *state, resolver_of_one(&server), "round.example", WEIR_RESOLVER_ADDRESSES);
    assert_int_equal(a.error, 2);
    assert_true(net_log_has(*state, "too many aliases"));
    server_close(&server);
}

static void many_that_wait_share_one_question_and_then_the_cache(void **state)
{
    dns_server server;
    asker a[20], b;

    server_open(&server, *state, zone);
    for (size_t i = 0; i < WEIR_COUNT(a); i++) {
        begin(&a[i], resolver_of_one(&server), "both.example", WEIR_RESOLVER_ADDRESSES, 30000);
        assert_int_equal(a[i].result, WEIR_WAIT);
    }
    for (size_t i = 0; i < WEIR_COUNT(a); i++) {
        net_turn_until(*state, was_told, &a[i]);
        assert_int_equal(a[i].count, 2);
    }
    begin(&b, resolver_of_one(&server), "BOTH.example", WEIR_RESOLVER_ADDRESSES, 30000);
    assert_int_equal(b.result, WEIR_OK);
    assert_int_equal(b.count, 2);
    assert_true(b.query.ttl_ms > 200 * 1000 && b.query.ttl_ms <= 300 * 1000);
    assert_int_equal(server.udp_queries, 2);
    server_close(&server);
}

static void remembers_no_longer_than_the_answer_says_unless_told_so(void **state)
{
    net_fixture *net = *state;
    dns_server server;
    weir_resolver_settings settings = {.ipv4 = true, .servers_count = 1, .valid_ms = 3600 * 1000};
    asker a;

    server_open(&server, net, zone);
    find(&a, net, resolver_of_one(&server), "brief.example", WEIR_RESOLVER_ADDRESSES);
    begin(&a, resolver_of_one(&server), "brief.example", WEIR_RESOLVER_ADDRESSES, 30000);
    assert_int_equal(a.result, WEIR_WAIT);
    net_turn_until(net, was_told, &a);

    settings.servers = &server.addr;
    find(&a, net, weir_resolver_of(net->loop, &settings), "brief.example", WEIR_RESOLVER_ADDRESSES);
    begin(&a, weir_resolver_of(net->loop, &settings), "brief.example", WEIR_RESOLVER_ADDRESSES,
          30000);
    assert_int_equal(a.result, WEIR_OK);
    server_close(&server);
}

static void who_goes_away_is_not_told(void **state)
{
    dns_server server;
    asker a, b, c;

    server_open(&server, *state, zone);
    begin(&a, resolver_of_one(&server), "both.example", WEIR_RESOLVER_ADDRESSES, 30000);
    begin(&b, resolver_of_one(&server), "both.example", WEIR_RESOLVER_ADDRESSES, 30000);
    begin(&c, resolver_of_one(&server), "both.example", WEIR_RESOLVER_ADDRESSES, 30000);
    weir_resolver_cancel(&a.query);
    memset(&a.query, 0xa5, sizeof(a.query));
    net_turn_until(*state, was_told, &c);
    assert_int_equal(a.told, 0);
    assert_int_equal(b.told, 1);

    /* Harmless afterwards, too. */
    weir_resolver_cancel(&b.query);
    server_close(&server);
}

typedef struct {
    asker a;
    asker *other;
    weir_resolver *resolver;
    asker again;
} meddler;

static void meddle(weir_resolver_query *query)
{
    meddler *m = query->subject;

    take(&m->a);
    weir_resolver_cancel(&m->other->query);
    begin(&m->again, m->resolver, "brief.example", WEIR_RESOLVER_ADDRESSES, 30000);
}

static void who_is_told_may_cancel_others_and_ask_again(void **state)
{
    dns_server server;
    meddler m;
    asker other;

    server_open(&server, *state, zone);
    m.resolver = resolver_of_one(&server);
    m.other = &other;
    begin(&m.a, m.resolver, "brief.example", WEIR_RESOLVER_ADDRESSES, 30000);
    m.a.query.done = meddle;
    m.a.query.subject = &m;
    memset(&m.again, 0, sizeof(m.again));
    begin(&other, m.resolver, "brief.example", WEIR_RESOLVER_ADDRESSES, 30000);
    net_turn_until(*state, was_told, &m.again);
    assert_int_equal(m.a.told, 1);
    assert_int_equal(m.again.count, 1);
    assert_int_equal(other.told, 0);
    server_close(&server);
}

static void a_name_that_is_not_there_is_remembered_for_a_moment(void **state)
{
    dns_server server;
    asker a;

    server_open(&server, *state, zone);
    find(&a, *state, resolver_of_one(&server), "missing.example", WEIR_RESOLVER_ADDRESSES);
    assert_int_equal(a.error, 3);
    assert_string_equal(weir_resolver_error_text(a.error), "Host not found");
    begin(&a, resolver_of_one(&server), "missing.example", WEIR_RESOLVER_ADDRESSES, 30000);
    assert_int_equal(a.result, WEIR_FAIL);
    assert_int_equal(a.error, 3);
    assert_int_equal(server.udp_queries, 2);
    server_close(&server);
}

static void goes_to_the_next_server_when_one_is_silent_or_refuses(void **state)
{
    dns_server silent, refusing, good;
    const dns_server *all[] = {&silent, &refusing, &good};
    asker a;

    server_open(&silent, *state, zone);
    server_open(&refusing, *state, zone);
    server_open(&good, *state, zone);
    silent.silent_for = UINT32_MAX;
    refusing.code = 5;
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"both.example", "alias.example", "next.example"};

        find(&a, *state, resolver_for(*state, all, 3), names[i], WEIR_RESOLVER_ADDRESSES);
        assert_int_equal(a.count, 2);
    }
    assert_true(good.udp_queries >= 2);
    server_close(&silent);
    server_close(&refusing);
    server_close(&good);
}

static void that_all_servers_refuse_is_an_answer(void **state)
{
    dns_server one, two;
    const dns_server *all[] = {&one, &two};
    asker a;

    server_open(&one, *state, zone);
    server_open(&two, *state, zone);
    one.code = two.code = 2;
    find(&a, *state, resolver_for(*state, all, 2), "both.example", WEIR_RESOLVER_ADDRESSES);
    assert_int_equal(a.error, 2);
    assert_string_equal(weir_resolver_error_text(a.error), "Server failure");
    assert_int_equal(one.udp_queries + two.udp_queries, 4);
    server_close(&one);
    server_close(&two);
}

static void a_closed_port_is_logged_and_the_next_server_asked(void **state)
{
    dns_server closed, good;
    const dns_server *all[] = {&closed, &good};
    asker a;

    server_open(&closed, *state, zone);
    server_open(&good, *state, zone);
    server_close(&closed);
    find(&a, *state, resolver_for(*state, all, 2), "both.example", WEIR_RESOLVER_ADDRESSES);
    assert_int_equal(a.count, 2);
    find(&a, *state, resolver_for(*state, all, 2), "two.example", WEIR_RESOLVER_ADDRESSES);
    assert_int_equal(a.count, 2);
    assert_true(net_log_has(*state, "failed (111: Connection refused) while resolving"));
    server_close(&good);
}

static void asks_again_when_a_datagram_was_lost(void **state)
{
    dns_server server;
    asker a;

    server_open(&server, *state, zone);
    server.silent_for = 2;
    find(&a, *state, resolver_of_one(&server), "both.example", WEIR_RESOLVER_ADDRESSES);
    assert_int_equal(a.count, 2);
    assert_true(server.udp_queries >= 4); /* more, where the machine stood still */
    server_close(&server);
}

static void nobody_waits_longer_than_he_said(void **state)
{
    dns_server server;
    asker a, b;

    server_open(&server, *state, zone);
    server.silent_for = UINT32_MAX;
    begin(&b, resolver_of_one(&server), "both.example", WEIR_RESOLVER_ADDRESSES, 30000);
    begin(&a, resolver_of_one(&server), "both.example", WEIR_RESOLVER_ADDRESSES, 50);
    net_turn_until(*state, was_told, &a);
    assert_int_equal(a.error, ETIMEDOUT);
    assert_string_equal(weir_resolver_error_text(a.error), "Operation timed out");
    assert_int_equal(b.told, 0);

    /* An answer that comes later is still of use. */
    server.silent_for = 0;
    net_turn_until(*state, was_told, &b);
    assert_int_equal(b.count, 2);
    server_close(&server);
}

static void one_family_is_enough_when_the_other_stays_silent(void **state)
{
    dns_server server;
    asker a;

    server_open(&server, *state, zone);
    server.silent_type = WEIR_DNS_AAAA;
    begin(&a, resolver_of_one(&server), "both.example", WEIR_RESOLVER_ADDRESSES, 300);
    net_turn_until(*state, was_told, &a);
    assert_int_equal(a.error, 0);
    assert_int_equal(a.count, 1);
    server_close(&server);
}

static void what_does_not_fit_comes_over_tcp(void **state)
{
    static char texts[300][16];
    static zone_record large[301];
    dns_server server;
    asker a;

    for (unsigned i = 0; i < 300; i++) {
        snprintf(texts[i], sizeof(texts[i]), "10.0.%u.%u", i / 256, i % 256);
        large[i] = (zone_record){"large.example", WEIR_DNS_A, texts[i], 300};
    }
    server_open(&server, *state, large);
    server.truncates = true;
    find(&a, *state, resolver_of_one(&server), "large.example", WEIR_RESOLVER_ADDRESSES);
    assert_int_equal(a.count, 300);
    assert_int_equal(server.tcp_queries, 2);
    server_close(&server);
}

static void an_answer_with_another_id_is_ignored(void **state)
{
    dns_server server;
    asker a;

    server_open(&server, *state, zone);
    server.lies_first = true;
    find(&a, *state, resolver_of_one(&server), "two.example", WEIR_RESOLVER_ADDRESSES);
    assert_int_equal(a.count, 2);
    assert_found(&a, 1, "192.0.2.3:0");
    assert_int_equal(server.udp_queries, 2);
    server_close(&server);
}

static void a_server_that_changes_the_case_is_asked_again_once(void **state)
{
    dns_server server;
    asker a;
    unsigned queries;

    server_open(&server, *state, zone);
    server.lowers = true;
    find(&a, *state, resolver_of_one(&server), "both.example", WEIR_RESOLVER_ADDRESSES);
    assert_int_equal(a.count, 2);
    queries = server.udp_queries;
    find(&a, *state, resolver_of_one(&server), "two.example", WEIR_RESOLVER_ADDRESSES);
    assert_int_equal(a.count, 2);
    assert_int_equal(server.udp_queries, queries + 2);
    assert_string_equal(server.mixed_name, "two.example");
    server_close(&server);
}

static void a_service_is_its_targets_addresses_by_priority(void **state)
{
    dns_server server;
    asker a;

    server_open(&server, *state, zone);
    find(&a, *state, resolver_of_one(&server), "_http._tcp.example", WEIR_RESOLVER_SERVICE);
    assert_int_equal(a.count, 4);
    assert_int_equal(a.found[0].priority, 10);
    assert_int_equal(a.found[0].weight, 7);
    assert_int_equal(weir_addr_port(&a.found[0].addr), 8080);
    assert_int_equal(a.found[3].priority, 20);
    assert_int_equal(weir_addr_port(&a.found[3].addr), 8081);

    /* A second time: of the cache. */
    begin(&a, resolver_of_one(&server), "_http._tcp.example", WEIR_RESOLVER_SERVICE, 30000);
    assert_int_equal(a.result, WEIR_OK);

    find(&a, *state, resolver_of_one(&server), "_half._tcp.example", WEIR_RESOLVER_SERVICE);
    assert_int_equal(a.count, 2);
    find(&a, *state, resolver_of_one(&server), "_none._tcp.example", WEIR_RESOLVER_SERVICE);
    assert_int_equal(a.error, 3);
    find(&a, *state, resolver_of_one(&server), "_some._tcp.example", WEIR_RESOLVER_SERVICE);
    assert_int_equal(a.error, 3);
    server_close(&server);
}

static void a_service_is_asked_for_again_as_soon_as_a_missing_target_may_be_there(void **state)
{
    dns_server server;
    asker a;

    server_open(&server, *state, zone);
    find(&a, *state, resolver_of_one(&server), "_http._tcp.example", WEIR_RESOLVER_SERVICE);
    assert_in_range(a.query.ttl_ms, 250 * 1000, 300 * 1000);
    find(&a, *state, resolver_of_one(&server), "_half._tcp.example", WEIR_RESOLVER_SERVICE);
    assert_int_equal(a.count, 2);
    assert_in_range(a.query.ttl_ms, 1, 5000);
    server_close(&server);
}

static void a_target_that_stays_silent_keeps_its_place_by_priority(void **state)
{
    dns_server server;
    asker a;

    server_open(&server, *state, zone);
    server.silent_name = "both.example";
    begin(&a, resolver_of_one(&server), "_http._tcp.example", WEIR_RESOLVER_SERVICE, 300);
    net_turn_until(*state, was_told, &a);
    assert_int_equal(a.error, 0);
    assert_int_equal(a.count, 3);
    assert_int_equal(a.found[0].priority, 10);
    assert_int_equal(a.found[0].addr.len, 0);
    assert_int_equal(a.found[0].unheard, WEIR_RESOLVER_IPV4 | WEIR_RESOLVER_IPV6);
    assert_int_equal(a.found[1].priority, 20);
    assert_int_equal(a.found[1].unheard, 0);
    assert_found(&a, 1, "192.0.2.2:8081");

    /* It stood for itself for that answer only. */
    server.silent_name = NULL;
    find(&a, *state, resolver_of_one(&server), "_http._tcp.example", WEIR_RESOLVER_SERVICE);
    assert_int_equal(a.count, 4);
    server_close(&server);
}

static void an_address_is_its_own_answer(void **state)
{
    dns_server server;
    asker a;

    server_open(&server, *state, zone);
    begin(&a, resolver_of_one(&server), "192.0.2.77", WEIR_RESOLVER_ADDRESSES, 30000);
    assert_int_equal(a.result, WEIR_OK);
    assert_found(&a, 0, "192.0.2.77:0");
    begin(&a, resolver_of_one(&server), "no name", WEIR_RESOLVER_ADDRESSES, 30000);
    assert_int_equal(a.result, WEIR_FAIL);
    assert_int_equal(a.error, 3);
    server_close(&server);
}

static void unlimited_names_are_forgotten_again(void **state)
{
    dns_server server;
    asker a;
    char name[64];

    server_open(&server, *state, zone);
    for (unsigned i = 0; i < 16000; i++) {
        snprintf(name, sizeof(name), "n%u.example", i);
        find(&a, *state, resolver_of_one(&server), name, WEIR_RESOLVER_ADDRESSES);
        assert_int_equal(a.error, 3);
    }
    begin(&a, resolver_of_one(&server), "n15999.example", WEIR_RESOLVER_ADDRESSES, 30000);
    assert_int_equal(a.result, WEIR_FAIL);
    begin(&a, resolver_of_one(&server), "n0.example", WEIR_RESOLVER_ADDRESSES, 30000);
    assert_int_equal(a.result, WEIR_WAIT);
    net_turn_until(*state, was_told, &a);
    server_close(&server);
}

static void open_questions_are_limited_and_end_with_the_loop(void **state)
{
    dns_server server;
    static asker a[1100];
    char name[64];
    unsigned waiting = 0;

    server_open(&server, *state, zone);
    server.silent_for = UINT32_MAX;
    for (unsigned i = 0; i < WEIR_COUNT(a); i++) {
        snprintf(name, sizeof(name), "n%u.example", i);
        begin(&a[i], resolver_of_one(&server), name, WEIR_RESOLVER_ADDRESSES, 30000);
        waiting += a[i].result == WEIR_WAIT;
    }
    assert_int_equal(waiting, 512);
    assert_true(net_log_has(*state, "questions to DNS servers are open"));
    server_close(&server);
}

static const char *file_of(const char *text, char path[32], int *fd)
{
    memcpy(path, "/tmp/weir-resolver-XXXXXX", sizeof("/tmp/weir-resolver-XXXXXX"));
    *fd = mkstemp(path);
    assert_int_equal(write(*fd, text, strlen(text)), strlen(text));
    close(*fd);
    return path;
}

static void the_machines_files_say_who_is_asked_and_what_is_known(void **state)
{
    net_fixture *net = *state;
    char conf[32], hosts[32];
    const weir_resolver_settings *settings;
    asker a;
    int fd;

    file_of("# comment\nsearch example\nnameserver 192.0.2.53\nnameserver  2001:db8::53 # six\n"
            "nameserver fe80::1%eth0\nnameserver 192.0.2.54\nnameserver 192.0.2.55\n",
            conf, &fd);
    file_of("127.0.0.1 localhost\n192.0.2.10 box box.example # ours\n2001:db8::10 box.example\n",
            hosts, &fd);
    settings = weir_resolver_settings_of_system(net->pool, conf, hosts);
    assert_int_equal(settings->servers_count, 3);
    assert_int_equal(weir_addr_port(&settings->servers[2]), 53);
    begin(&a, weir_resolver_of(net->loop, settings), "BOX.example", WEIR_RESOLVER_ADDRESSES, 30000);
    assert_int_equal(a.result, WEIR_OK);
    assert_int_equal(a.count, 2);
    assert_found(&a, 0, "192.0.2.10:0");
    unlink(conf);
    unlink(hosts);

    settings = weir_resolver_settings_of_system(net->pool, conf, hosts);
    assert_int_equal(settings->servers_count, 1);
}

static void equal_settings_share_a_resolver(void **state)
{
    dns_server one, two;
    const dns_server *all[] = {&one, &two};

    server_open(&one, *state, zone);
    server_open(&two, *state, zone);
    assert_ptr_equal(resolver_of_one(&one), resolver_of_one(&one));
    assert_ptr_not_equal(resolver_of_one(&one), resolver_of_one(&two));
    assert_ptr_not_equal(resolver_of_one(&one), resolver_for(*state, all, 2));
    server_close(&one);
    server_close(&two);
}

#define resolver_test(test) cmocka_unit_test_setup_teardown(test, net_set_up, net_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        resolver_test(finds_addresses_of_both_families_ipv4_first),
        resolver_test(one_family_may_be_left_out),
        resolver_test(follows_aliases_from_message_to_message),
        resolver_test(many_that_wait_share_one_question_and_then_the_cache),
        resolver_test(remembers_no_longer_than_the_answer_says_unless_told_so),
        resolver_test(who_goes_away_is_not_told),
        resolver_test(who_is_told_may_cancel_others_and_ask_again),
        resolver_test(a_name_that_is_not_there_is_remembered_for_a_moment),
        resolver_test(goes_to_the_next_server_when_one_is_silent_or_refuses),
        resolver_test(that_all_servers_refuse_is_an_answer),
        resolver_test(a_closed_port_is_logged_and_the_next_server_asked),
        resolver_test(asks_again_when_a_datagram_was_lost),
        resolver_test(nobody_waits_longer_than_he_said),
        resolver_test(one_family_is_enough_when_the_other_stays_silent),
        resolver_test(what_does_not_fit_comes_over_tcp),
        resolver_test(an_answer_with_another_id_is_ignored),
        resolver_test(a_server_that_changes_the_case_is_asked_again_once),
        resolver_test(a_service_is_its_targets_addresses_by_priority),
        resolver_test(a_service_is_asked_for_again_as_soon_as_a_missing_target_may_be_there),
        resolver_test(a_target_that_stays_silent_keeps_its_place_by_priority),
        resolver_test(an_address_is_its_own_answer),
        resolver_test(unlimited_names_are_forgotten_again),
        resolver_test(open_questions_are_limited_and_end_with_the_loop),
        resolver_test(the_machines_files_say_who_is_asked_and_what_is_known),
        resolver_test(equal_settings_share_a_resolver),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
