/* Addresses, networks and looking names up. */

#include "t/unit/unit.h"

#include <dlfcn.h>
#include <netdb.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/net/addr.h"
#include "t/unit/base_unit.h"

static void assert_text(const weir_addr *addr, bool with_port, const char *expected)
{
    char text[WEIR_ADDR_TEXT_MAX];
    weir_str s = weir_addr_text(addr, with_port, text);

    assert_int_equal(s.len, strlen(expected));
    assert_memory_equal(s.data, expected, s.len);
}

static void literals_are_parsed_and_written_again(void **state)
{
    static const struct {
        const char *text, *with_port, *without;
    } cases[] = {
        {"127.0.0.1", "127.0.0.1:80", "127.0.0.1"},
        {"127.0.0.1:8080", "127.0.0.1:8080", "127.0.0.1"},
        {"255.255.255.255:65535", "255.255.255.255:65535", "255.255.255.255"},
        {"*:81", "0.0.0.0:81", "0.0.0.0"},
        {"*", "0.0.0.0:80", "0.0.0.0"},
        {"[::]", "[::]:80", "::"},
        {"[2001:DB8:0:0::1]:443", "[2001:db8::1]:443", "2001:db8::1"},
        {"unix:/run/weir.sock", "unix:/run/weir.sock", "unix:/run/weir.sock"},
        {"unix:relative", "unix:relative", "unix:relative"},
    };

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        weir_addr addr;

        assert_true(weir_addr_parse(weir_str_from_z(cases[i].text), 80, &addr));
        assert_text(&addr, true, cases[i].with_port);
        assert_text(&addr, false, cases[i].without);
    }
}

static void what_is_no_literal_is_refused(void **state)
{
    static const char *const cases[] = {
        "",         "localhost", "80",        "1.2.3",         "1.2.3.4.5",   "256.1.1.1",
        "01.2.3.4", "1.2.3.4:",  "1.2.3.4:0", "1.2.3.4:65536", "1.2.3.4:80x", "1.2.3.4:-1",
        "::1",      "[::1",      "[::1]80",   "[::1]:",        "[1.2.3.4]",   "[::g]",
        "[]",       "[*]",       "*:",        "unix:",         "1.2.3.4 ",
    };
    weir_addr addr;
    char path[200] = "unix:/";

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        assert_false(weir_addr_parse(weir_str_from_z(cases[i]), 80, &addr));
    }

    memset(path + 6, 'x', sizeof(path) - 6);
    assert_true(weir_addr_parse(weir_str_of(path, 5 + 107), 0, &addr));
    assert_false(weir_addr_parse(weir_str_of(path, 5 + 108), 0, &addr));
    assert_false(weir_addr_parse(weir_str_of("unix:a\0b", 8), 0, &addr));
    assert_false(weir_addr_parse_ip(weir_str_of("1.2.3.4\0", 8), &addr));
}

static void a_host_stands_before_its_port(void **state)
{
    static const struct {
        const char *text, *host;
    } cases[] = {
        {"a.test", "a.test"},
        {"a.test:80", "a.test"},
        {"a.test:", "a.test"},
        {"[::1]:80", "[::1]"},
        {"[::1]", "[::1]"},
        {"1.2.3.4:80", "1.2.3.4"},
        {"[::1:80", "["},
        {":80", ""},
        {"", ""},
    };

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        weir_str host = weir_addr_host(weir_str_from_z(cases[i].text));

        assert_int_equal(host.len, strlen(cases[i].host));
        assert_memory_equal(host.data, cases[i].host, host.len);
    }
}

static void a_host_and_its_port_are_told_apart(void **state)
{
    static const struct {
        const char *text, *host; /* NULL: neither */
        uint16_t port;
    } cases[] = {
        {"a.test", "a.test", 8080},
        {"a.test:80", "a.test", 80},
        {"a.test:65535", "a.test", 65535},
        {"[::1]", "[::1]", 8080},
        {"[::1]:80", "[::1]", 80},
        {"a.test:", NULL, 0},
        {"a.test:0", NULL, 0},
        {"a.test:65536", NULL, 0},
        {"a.test:+1", NULL, 0},
        {"a.test:80:80", NULL, 0},
        {"[::1]80", NULL, 0},
        {"[::1]x:80", NULL, 0},
        {"[::1:80", NULL, 0},
        {"::1", NULL, 0},
        {":80", NULL, 0},
        {"", NULL, 0},
    };

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        weir_str host = WEIR_STR("untouched");
        uint16_t port = 1;
        bool is_one = weir_addr_split(weir_str_from_z(cases[i].text), 8080, &host, &port);

        assert_int_equal(is_one, cases[i].host != NULL);
        assert_true(weir_str_eq(host, weir_str_from_z(is_one ? cases[i].host : "untouched")));
        assert_int_equal(port, is_one ? cases[i].port : 1);
    }
}

static void equality_and_order_are_of_family_address_and_port(void **state)
{
    static const char *const in_order[] = {
        "unix:/a",    "unix:/ab", "1.2.3.4:80", "1.2.3.4:81",
        "1.2.3.5:80", "[::1]:80", "[::1]:81",   "[::2]:80",
    };

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(in_order); i++) {
        for (size_t j = 0; j < WEIR_COUNT(in_order); j++) {
            weir_addr a, b;

            assert_true(weir_addr_parse(weir_str_from_z(in_order[i]), 0, &a));
            assert_true(weir_addr_parse(weir_str_from_z(in_order[j]), 0, &b));
            assert_int_equal(weir_addr_eq(&a, &b), i == j);
            assert_int_equal(weir_addr_compare(&a, &b) < 0, i < j);
            assert_int_equal(weir_addr_compare(&a, &b) > 0, i > j);
        }
    }
}

static void no_address_is_harmless(void **state)
{
    weir_addr none, some;
    weir_network network;

    (void) state;
    memset(&none, 0, sizeof(none));
    assert_true(weir_addr_parse(WEIR_STR("1.2.3.4"), 80, &some));
    assert_text(&none, true, "");
    assert_int_equal(weir_addr_port(&none), 0);
    assert_true(weir_addr_eq(&none, &none));
    assert_false(weir_addr_eq(&none, &some));
    assert_false(weir_addr_eq(&some, &none));
    assert_false(weir_addr_is_wildcard(&none));
    assert_true(weir_network_parse(WEIR_STR("0.0.0.0/0"), &network));
    assert_false(weir_network_has(&network, &none));
}

static bool network_has(const char *network_text, const char *ip)
{
    weir_network network;
    weir_addr addr;

    assert_true(weir_network_parse(weir_str_from_z(network_text), &network));
    assert_true(weir_addr_parse_ip(weir_str_from_z(ip), &addr));
    return weir_network_has(&network, &addr);
}

static void networks_have_what_their_prefix_says(void **state)
{
    (void) state;
    assert_true(network_has("10.0.0.0/8", "10.255.255.255"));
    assert_false(network_has("10.0.0.0/8", "11.0.0.0"));
    assert_true(network_has("10.1.2.3", "10.1.2.3"));
    assert_false(network_has("10.1.2.3", "10.1.2.2"));
    assert_true(network_has("0.0.0.0/0", "203.0.113.9"));
    assert_true(network_has("192.0.2.128/25", "192.0.2.200"));
    assert_false(network_has("192.0.2.128/25", "192.0.2.127"));
    assert_true(network_has("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(network_has("2001:db8::/33", "2001:db8:8000::1"));
    assert_true(network_has("::/0", "::1"));
    assert_false(network_has("0.0.0.0/0", "::1"));
    assert_false(network_has("::/0", "1.2.3.4"));
}

static void mapped_addresses_match_ipv4_networks(void **state)
{
    (void) state;
    assert_true(network_has("10.0.0.0/8", "::ffff:10.1.2.3"));
    assert_false(network_has("10.0.0.0/8", "::ffff:11.1.2.3"));
    assert_true(network_has("::ffff:0:0/96", "::ffff:11.1.2.3"));
}

static void each_prefix_is_exact(void **state)
{
    (void) state;
    for (unsigned bits = 0; bits <= 32; bits++) {
        weir_network network;
        weir_addr addr;
        char text[32];

        snprintf(text, sizeof(text), "170.85.170.85/%u", bits);
        assert_true(weir_network_parse(weir_str_from_z(text), &network));
        assert_true(weir_addr_parse_ip(WEIR_STR("170.85.170.85"), &addr));
        assert_true(weir_network_has(&network, &addr));
        for (unsigned bit = 0; bit < 32; bit++) {
            weir_addr other = addr;

            other.in.sin_addr.s_addr ^= htonl(0x80000000U >> bit);
            assert_int_equal(weir_network_has(&network, &other), bit >= bits);
        }
    }
}

static void host_bits_are_cleared_and_told(void **state)
{
    weir_network network;

    (void) state;
    assert_true(weir_network_parse(WEIR_STR("10.1.2.3/8"), &network));
    assert_true(network.has_host_bits);
    assert_true(weir_network_parse(WEIR_STR("10.0.0.0/8"), &network));
    assert_false(network.has_host_bits);
    assert_true(network_has("10.1.2.3/8", "10.200.0.1"));
}

static void what_is_no_network_is_refused(void **state)
{
    static const char *const cases[] = {
        "",       "/8",  "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "::1/129",
        "10.0.0", "all", "unix:/a",   "[::1]",       "10.0.0.0 /8", "10.0.0/8",     "::1/ 128",
    };
    weir_network network;

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        assert_false(weir_network_parse(weir_str_from_z(cases[i]), &network));
    }
}

static void unix_is_a_network(void **state)
{
    weir_network network;
    weir_addr addr;

    (void) state;
    assert_true(weir_network_parse(WEIR_STR("unix:"), &network));
    assert_true(weir_addr_parse(WEIR_STR("unix:/a"), 0, &addr));
    assert_true(weir_network_has(&network, &addr));
    assert_true(weir_addr_parse(WEIR_STR("1.2.3.4"), 0, &addr));
    assert_false(weir_network_has(&network, &addr));
}

/* ---- looking up */

static void literals_and_hosts_are_found(void **state)
{
    static const struct {
        const char *host, *first;
    } cases[] = {
        {"127.0.0.1", "127.0.0.1:80"},
        {"[::1]:81", "[::1]:81"},
        {"::1", "[::1]:80"},
        {"unix:/a", "unix:/a"},
        {"localhost:8080", "127.0.0.1:8080"},
    };
    weir_pool *pool = weir_pool_new(4096, 0);

    (void) state;
    weir_lookup_begin(5000);
    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        weir_addr *list;
        const char *why = NULL;

        assert_int_not_equal(weir_lookup(pool, weir_str_from_z(cases[i].host), 80, &list, &why), 0);
        assert_text(&list[0], true, cases[i].first);
    }
    weir_pool_free(pool);
}

static void what_cannot_be_found_says_why(void **state)
{
    static const struct {
        const char *host, *why;
    } cases[] = {
        {":80", "no host"},
        {"localhost:", "invalid port"},
        {"localhost:0", "invalid port"},
        {"localhost:99999", "invalid port"},
        {"localhost:http", "invalid port"},
    };
    weir_pool *pool = weir_pool_new(4096, 0);
    char name[300];

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        weir_addr *list;
        const char *why = NULL;

        assert_int_equal(weir_lookup(pool, weir_str_from_z(cases[i].host), 80, &list, &why), 0);
        assert_string_equal(why, cases[i].why);
    }
    {
        weir_addr *list;
        const char *why = NULL;

        memset(name, 'a', sizeof(name));
        assert_int_equal(weir_lookup(pool, weir_str_of(name, sizeof(name)), 80, &list, &why), 0);
        assert_string_equal(why, "invalid host");
    }
    weir_pool_free(pool);
}

static void names_never_take_longer_than_the_budget(void **state)
{
    weir_pool *pool = weir_pool_new(4096, 0);
    uint64_t begin_us = weir_clock_monotonic_us();

    /* Whether a resolver answers here or not: none of them exists (RFC 2606). */
    (void) state;
    weir_lookup_begin(200);
    for (int i = 0; i < 20; i++) {
        weir_addr *list;
        const char *why = NULL;

        assert_int_equal(weir_lookup(pool, WEIR_STR("nowhere.invalid"), 80, &list, &why), 0);
        assert_non_null(why);
    }
    /* One alone may take five seconds where no resolver answers. */
    assert_true(weir_clock_monotonic_us() - begin_us < 10000 * 1000);
    weir_pool_free(pool);
}

static void without_time_the_hosts_file_still_answers(void **state)
{
    weir_pool *pool = weir_pool_new(4096, 0);
    weir_addr *list;
    const char *why = NULL;

    (void) state;
    weir_lookup_begin(0);
    assert_int_not_equal(weir_lookup(pool, WEIR_STR("LocalHost"), 80, &list, &why), 0);
    assert_text(&list[0], true, "127.0.0.1:80");
    assert_int_equal(weir_lookup(pool, WEIR_STR("nowhere.invalid"), 80, &list, &why), 0);
    assert_string_equal(why, "the time for looking hosts up is used up");
    weir_pool_free(pool);
}

/* Names of .test are ours: each is 127.0.0.1, and silent.test says so once it may. */
static sem_t silence_ends;
static atomic_uint silent_count;

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

    *(void **) &next = dlsym(RTLD_NEXT, "getaddrinfo");
    if (strstr(host, ".test") == NULL) {
        return next(host, service, hints, found);
    }
    if (strcmp(host, "silent.test") == 0) {
        silent_count++;
        sem_wait(&silence_ends);
    }
    return next("127.0.0.1", service, hints, found);
}

static void a_name_that_stands_in_many_places_is_asked_for_once(void **state)
{
    weir_pool *pool = weir_pool_new(4096, 0);
    weir_addr *list;
    const char *why = NULL;
    size_t count = 0;

    (void) state;
    assert_int_equal(sem_init(&silence_ends, 0, 0), 0);
    weir_lookup_begin(400);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(weir_lookup(pool, WEIR_STR("silent.test:8080"), 80, &list, &why), 0);
        assert_string_equal(why, "looking the host up timed out");
    }
    assert_int_equal(silent_count, 1);

    /* An answer that comes late is one to those that ask then. */
    sem_post(&silence_ends);
    for (int tries = 0; count == 0 && tries < 10000; tries++) {
        count = weir_lookup(pool, WEIR_STR("silent.test"), 81, &list, &why);
        sched_yield();
    }
    assert_int_equal(count, 1);
    assert_text(&list[0], true, "127.0.0.1:81");
    assert_int_equal(silent_count, 1);

    /* The next load asks again. */
    weir_lookup_end();
    sem_post(&silence_ends);
    weir_lookup_begin(20000);
    assert_int_equal(weir_lookup(pool, WEIR_STR("silent.test"), 80, &list, &why), 1);
    assert_int_equal(silent_count, 2);
    weir_lookup_end();
    weir_pool_free(pool);
}

static bool attempt_lookup(weir_pool *pool)
{
    weir_addr *list;
    const char *why = NULL;
    bool found;

    weir_lookup_begin(20000);
    found = weir_lookup(pool, WEIR_STR("localhost"), 80, &list, &why) != 0
            && weir_lookup(pool, WEIR_STR("127.0.0.1"), 80, &list, &why) != 0;

    assert_true(found || strcmp(why, "no memory") == 0);
    return found;
}

static bool attempt_hosts_file(weir_pool *pool)
{
    weir_addr *list;
    const char *why = NULL;

    return weir_lookup(pool, WEIR_STR("localhost"), 80, &list, &why) != 0;
}

static void looking_up_without_memory_fails_and_says_so(void **state)
{
    (void) state;
    assert_int_not_equal(unit_fail_each_allocation(attempt_lookup), 0);
    weir_lookup_begin(0);
    assert_int_not_equal(unit_fail_each_allocation(attempt_hosts_file), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_are_parsed_and_written_again),
        cmocka_unit_test(what_is_no_literal_is_refused),
        cmocka_unit_test(a_host_stands_before_its_port),
        cmocka_unit_test(a_host_and_its_port_are_told_apart),
        cmocka_unit_test(equality_and_order_are_of_family_address_and_port),
        cmocka_unit_test(no_address_is_harmless),
        cmocka_unit_test(networks_have_what_their_prefix_says),
        cmocka_unit_test(mapped_addresses_match_ipv4_networks),
        cmocka_unit_test(each_prefix_is_exact),
        cmocka_unit_test(host_bits_are_cleared_and_told),
        cmocka_unit_test(what_is_no_network_is_refused),
        cmocka_unit_test(unix_is_a_network),
        cmocka_unit_test(literals_and_hosts_are_found),
        cmocka_unit_test(what_cannot_be_found_says_why),
        cmocka_unit_test(names_never_take_longer_than_the_budget),
        cmocka_unit_test(without_time_the_hosts_file_still_answers),
        cmocka_unit_test(a_name_that_stands_in_many_places_is_asked_for_once),
        cmocka_unit_test(looking_up_without_memory_fails_and_says_so),
    };

    return cmocka_run_group_tests_name("net_addr", tests, NULL, NULL);
}
