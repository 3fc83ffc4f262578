#include "modules/balance/balance_internal.h"

#include "core/base/builder.h"
#include "t/unit/process_unit.h"

/* Groups as http reads them: this family has http's name, and finds its groups. */
static const weir_balance_family family = {.name = "http", .default_port = 80};

static weir_cycle *cycle;
static weir_pool *pool; /* of picks */

static weir_balance_group *group_of(const char *lines)
{
    static char text[7000];
    weir_balance_group *group;

    snprintf(text, sizeof(text), "http { access_log off; upstream back { %s } }", lines);
    cycle = process_load(text, NULL);
    if (cycle == NULL) {
        fail_msg("refused: %s", unit.said);
    }
    group = weir_balance_group_of_cycle(cycle, &family, WEIR_STR("back"));
    assert_non_null(group);
    pool = weir_pool_new(4096, 0);
    assert_non_null(pool);
    return group;
}

static void end(void)
{
    weir_cycle_free(cycle);
    weir_pool_free(pool);
}

static void go(weir_balance_pick *pick, weir_balance_group *group, const weir_addr *client)
{
    const weir_balance_subject subject = {.pool = pool, .log = &unit.log, .client_addr = client};

    assert_true(weir_balance_begin(pick, group, &subject));
    assert_int_equal(weir_balance_next(pick, NULL), WEIR_OK);
}

static char name_of(const weir_balance_pick *pick)
{
    return pick->peer->text.data[sizeof("127.0.0.") - 1];
}

static char one(weir_balance_group *group, const weir_addr *client)
{
    weir_balance_pick pick;
    char name;

    go(&pick, group, client);
    name = name_of(&pick);
    weir_balance_done(&pick, WEIR_BALANCE_SUCCEEDED, &unit.log);
    return name;
}

/* How often each is chosen, by the last digit of its address. */
static void count(weir_balance_group *group, unsigned picks, unsigned counts[static 10])
{
    memset(counts, 0, 10 * sizeof(*counts));
    for (unsigned i = 0; i < picks; i++) {
        counts[one(group, NULL) - '0']++;
    }
}

static void assert_shares(const char *lines, unsigned picks, unsigned percent_off,
                          const unsigned *shares)
{
    unsigned counts[10];
    unsigned sum = 0;

    count(group_of(lines), picks, counts);
    for (unsigned i = 0; i < 4; i++) {
        sum += shares[i];
    }
    for (unsigned i = 0; i < 4; i++) {
        unsigned wanted = (unsigned) ((uint64_t) picks * shares[i] / sum);
        unsigned off = picks * percent_off / 100;

        if (counts[i + 1] > wanted + off || counts[i + 1] + off < wanted) {
            fail_msg("%s: server %u got %u of %u, wanted %u", lines, i + 1, counts[i + 1], picks,
                     wanted);
        }
    }
    end();
}

#define FOUR(m)                                                                                    \
    m "server 127.0.0.1 weight=7; server 127.0.0.2 weight=2; server 127.0.0.3;"                    \
      "server 127.0.0.4 weight=10;"

static void weights_are_kept(void **state)
{
    static const unsigned shares[] = {7, 2, 1, 10};

    (void) state;
    assert_shares(FOUR(""), 2000, 0, shares);
    assert_shares(FOUR("least_conn;"), 2000, 1, shares);
    assert_shares(FOUR("random;"), 40000, 2, shares);
}

static void large_weights_are_kept_too(void **state)
{
    static const unsigned shares[] = {300007, 100003, 599990, 1};

    (void) state;
    assert_shares("server 127.0.0.1 weight=300007; server 127.0.0.2 weight=100003;"
                  "server 127.0.0.3 weight=599990; server 127.0.0.4;",
                  20000, 1, shares);
}

/* The ring would have taken 300 GB. */
static void a_ring_of_large_weights_is_bounded_and_keeps_their_shares(void **state)
{
    weir_balance_group *group =
        group_of("hash $remote_addr consistent; server 127.0.0.1 weight=2000000000;"
                 "server 127.0.0.2 weight=1; server 127.0.0.3 weight=1000000000;");
    const balance_ring *ring;
    size_t points[3] = {0};

    (void) state;
    assert_said("the weights of upstream \"back\" are 3000000001 in all");
    one(group, NULL);
    ring = group->view->tiers[BALANCE_PRIMARY].ring;
    assert_in_range(ring->point_count, 2000000, 160 * BALANCE_RING_WEIGHTS_MAX + 3);
    for (size_t i = 0; i < ring->point_count; i++) {
        points[ring->points[i].name]++;
        assert_true(i == 0 || ring->points[i - 1].hash < ring->points[i].hash);
    }
    assert_in_range(points[0], 199 * points[2] / 100, 201 * points[2] / 100);
    assert_int_equal(points[1], 1);
    end();
}

static void assert_names_are_in_order(const weir_balance_group *group)
{
    const balance_tier *tier = &group->view->tiers[BALANCE_PRIMARY];

    for (size_t i = 1; i < tier->count; i++) {
        assert_true(
            weir_str_compare(tier->peers[tier->named[i - 1]].name, tier->peers[tier->named[i]].name)
            <= 0);
    }
}

static void a_ring_is_made_anew_only_for_other_names_or_weights(void **state)
{
    weir_balance_group *group = group_of("hash $remote_addr consistent; server 127.0.0.1 weight=3;"
                                         "server localhost; server 127.0.0.2;");
    const balance_ring *ring;
    const balance_view *view;

    (void) state;
    one(group, NULL);
    assert_names_are_in_order(group);
    view = group->view;
    ring = view->tiers[BALANCE_PRIMARY].ring;

    /* One falls. */
    atomic_store(&group->seats[0].record->state.health, BALANCE_UNHEALTHY);
    atomic_fetch_add(&group->words->members, 1);
    one(group, NULL);
    assert_names_are_in_order(group);
    assert_ptr_not_equal(group->view, view);
    assert_ptr_equal(group->view->tiers[BALANCE_PRIMARY].ring, ring);
    assert_int_equal(ring->references, 1);

    /* One is taken away. */
    atomic_store(&group->seats[2].record->removed, group->seats[2].server->digest);
    atomic_fetch_add(&group->words->members, 1);
    one(group, NULL);
    assert_names_are_in_order(group);
    assert_ptr_not_equal(group->view->tiers[BALANCE_PRIMARY].ring, ring);
    assert_int_equal(group->view->tiers[BALANCE_PRIMARY].ring->name_count, 2);
    end();
}

static void equal_peers_take_turns_whatever_their_number(void **state)
{
    static char lines[7000];
    weir_balance_group *group;
    weir_builder builder;
    weir_str text;

    (void) state;
    weir_builder_over(&builder, lines, sizeof(lines) - 1);
    for (unsigned i = 0; i < 200; i++) {
        weir_builder_printf(&builder, "server 127.0.1.%u;", i + 1);
    }
    assert_true(weir_builder_close(&builder, &text));
    lines[text.len] = '\0';
    group = group_of(lines);
    for (unsigned i = 0; i < 400; i++) {
        weir_balance_pick pick;
        char wanted[32];

        snprintf(wanted, sizeof(wanted), "127.0.1.%u:80", i % 200 + 1);
        go(&pick, group, NULL);
        assert_true(weir_str_eq(pick.peer->text, weir_str_from_z(wanted)));
        weir_balance_done(&pick, WEIR_BALANCE_SUCCEEDED, &unit.log);
    }
    end();
}

static void the_least_busy_for_its_weight_is_chosen(void **state)
{
    weir_balance_group *group =
        group_of("least_conn; server 127.0.0.1 weight=2; server 127.0.0.2; server 127.0.0.3;");
    weir_balance_pick open[9];
    unsigned counts[10] = {0};

    (void) state;
    for (size_t i = 0; i < 8; i++) {
        go(&open[i], group, NULL);
        counts[name_of(&open[i]) - '0']++;
    }
    assert_int_equal(counts[1], 4);
    assert_int_equal(counts[2], 2);
    assert_int_equal(counts[3], 2);
    /* Whoever is rid of one gets the next one. */
    for (size_t i = 0; i < 8; i++) {
        char freed = name_of(&open[i]);

        weir_balance_done(&open[i], WEIR_BALANCE_SUCCEEDED, &unit.log);
        if (freed != '1') {
            go(&open[i], group, NULL);
            assert_int_equal(name_of(&open[i]), freed);
        } else {
            go(&open[i], group, NULL);
        }
    }
    for (size_t i = 0; i < 8; i++) {
        weir_balance_done(&open[i], WEIR_BALANCE_SUCCEEDED, &unit.log);
    }
    end();
}

static void one_of_two_is_the_less_busy(void **state)
{
    weir_balance_group *group = group_of("random two; server 127.0.0.1; server 127.0.0.2;");
    weir_balance_pick open;

    (void) state;
    go(&open, group, NULL);
    for (unsigned i = 0; i < 50; i++) {
        assert_int_not_equal(one(group, NULL), name_of(&open));
    }
    weir_balance_done(&open, WEIR_BALANCE_SUCCEEDED, &unit.log);
    end();
}

static void the_quicker_one_is_chosen(void **state)
{
    weir_balance_group *group =
        group_of("least_time last_byte; server 127.0.0.1; server 127.0.0.2;");
    weir_balance_pick pick;
    char slow;
    unsigned picks = 0;

    (void) state;
    go(&pick, group, NULL);
    slow = name_of(&pick);
    pick.began_us -= 500 * 1000;
    weir_balance_done(&pick, WEIR_BALANCE_SUCCEEDED, &unit.log);
    for (unsigned i = 0; i < 50; i++) {
        picks += one(group, NULL) == slow;
    }
    assert_int_equal(picks, 0);
    end();
}

/* Which of five nginx 1.22 gives each client's address; the weights are 1, 3, 1, 2, 1. */
static void clients_go_where_nginx_sends_them(void **state)
{
    static const struct {
        const char *client;
        char peer;
    } known[] = {
        {"0.0.0.7", '5'},       {"2001:db8:0::0", '5'},     {"2001:db8:e::c4", '5'},
        {"49.79.29.7", '2'},    {"2001:db8:1d::349", '2'},  {"2001:db8:2b::739", '2'},
        {"98.158.58.7", '2'},   {"2001:db8:3a::d24", '4'},  {"2001:db8:48::1440", '3'},
        {"147.237.87.7", '4'},  {"2001:db8:57::1d91", '1'}, {"2001:db8:65::27d9", '4'},
        {"196.60.116.7", '2'},  {"2001:db8:74::3490", '4'}, {"2001:db8:82::4204", '2'},
        {"245.139.145.7", '4'}, {"2001:db8:91::5221", '2'}, {"2001:db8:9f::62c1", '5'},
        {"38.218.174.7", '4'},  {"2001:db8:ae::7644", '1'}, {"2001:db8:bc::8a10", '4'},
        {"87.41.203.7", '2'},   {"2001:db8:cb::a0f9", '4'}, {"2001:db8:d9::b7f1", '2'},
        {"136.120.232.7", '4'}, {"2001:db8:e8::d240", '4'}, {"2001:db8:f6::ec64", '2'},
    };
    weir_balance_group *group =
        group_of("ip_hash; server 127.0.0.1:1; server 127.0.0.2:2 weight=3; server 127.0.0.3:3;"
                 "server 127.0.0.4:4 weight=2; server 127.0.0.5;");

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(known); i++) {
        weir_addr addr;
        char peer;

        if (!weir_addr_parse_ip(weir_str_from_z(known[i].client), &addr)) {
            fail_msg("no address: %s", known[i].client);
        }
        peer = one(group, &addr);
        if (peer != known[i].peer) {
            fail_msg("%s: wanted %c, got %c", known[i].client, known[i].peer, peer);
        }
    }
    end();
}

/* A failing peer's clients go to others, and come back. */
static void a_client_goes_elsewhere_only_while_its_peer_is_away(void **state)
{
    weir_balance_group *group = group_of("ip_hash; server 127.0.0.1 fail_timeout=1h;"
                                         "server 127.0.0.2; server 127.0.0.3;");
    weir_balance_pick pick;
    weir_addr client;
    char before, after;

    (void) state;
    assert_true(weir_addr_parse_ip(WEIR_STR("192.0.2.9"), &client));
    before = one(group, &client);
    go(&pick, group, &client);
    weir_balance_done(&pick, WEIR_BALANCE_FAILED, &unit.log);
    assert_int_equal(weir_balance_next(&pick, NULL), WEIR_OK);
    after = name_of(&pick);
    weir_balance_done(&pick, WEIR_BALANCE_SUCCEEDED, &unit.log);
    assert_int_not_equal(before, after);
    assert_int_equal(one(group, &client), after);
    end();
}

static void draining_peers_get_nothing_new(void **state)
{
    static const char *const methods[] = {"",         "least_conn;",       "random;", "random two;",
                                          "ip_hash;", "least_time header;"};

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(methods); i++) {
        char lines[200];
        weir_balance_group *group;

        snprintf(lines, sizeof(lines),
                 "%s server 127.0.0.1 drain; server 127.0.0.2; server 127.0.0.3 down;", methods[i]);
        group = group_of(lines);
        for (unsigned n = 0; n < 10; n++) {
            assert_int_equal(one(group, NULL), '2');
        }
        end();
    }
}

static void every_method_tries_each_peer_once(void **state)
{
    static const char *const methods[] = {
        "", "least_conn;", "random;", "random two;", "least_time header;", "ip_hash;"};

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(methods); i++) {
        char lines[600];
        weir_balance_pick pick;
        unsigned seen = 0;
        weir_balance_group *group;

        snprintf(lines, sizeof(lines),
                 "%s server 127.0.0.1; server 127.0.0.2; server 127.0.0.3; server 127.0.0.4;"
                 "server 127.0.0.5; server 127.0.0.6; server 127.0.0.7; server 127.0.0.8;"
                 "server 127.0.0.9; ",
                 methods[i]);
        group = group_of(lines);
        go(&pick, group, NULL);
        for (unsigned n = 0; n < 9; n++) {
            assert_int_equal(seen & 1u << (name_of(&pick) - '0'), 0);
            seen |= 1u << (name_of(&pick) - '0');
            weir_balance_done(&pick, WEIR_BALANCE_ABANDONED, &unit.log);
            assert_int_equal(weir_balance_next(&pick, NULL), n == 8 ? WEIR_FAIL : WEIR_OK);
        }
        end();
    }
}

static void a_peer_that_comes_back_starts_slowly(void **state)
{
    weir_balance_group *group = group_of("server 127.0.0.1 slow_start=1000s; server 127.0.0.2;");
    uint64_t now = weir_clock_now()->monotonic_ms;
    unsigned counts[10];

    (void) state;
    atomic_store(&group->seats[0].record->state.risen_ms, now - 250 * 1000);
    count(group, 1000, counts);
    /* A quarter of its weight: one in five. */
    assert_in_range(counts[1], 190, 215);
    end();
}

/* ---- reading */

static void assert_refused(const char *lines, const char *why)
{
    char text[1024];

    snprintf(text, sizeof(text), "http { access_log off; upstream back { %s } }", lines);
    assert_null(process_load(text, NULL));
    assert_said(why);
}

static void what_is_no_method_is_refused(void **state)
{
    (void) state;
    assert_refused("hash $remote_addr consistently; server 127.0.0.1;",
                   "invalid parameter \"consistently\"");
    assert_refused("hash $nothing; server 127.0.0.1;", "unknown \"nothing\" variable");
    assert_refused("random three; server 127.0.0.1;", "invalid parameter \"three\"");
    assert_refused("random two fast; server 127.0.0.1;", "invalid parameter \"fast\"");
    assert_refused("least_time connect; server 127.0.0.1;", "invalid parameter \"connect\"");
    assert_refused("least_time header all; server 127.0.0.1;", "invalid parameter \"all\"");
    assert_refused("ip_hash; server 127.0.0.1; server 127.0.0.2 backup;",
                   "balancing method \"ip_hash\" does not support parameter \"backup\"");
    assert_refused("queue 0; server 127.0.0.1;", "invalid value \"0\"");
    assert_refused("queue 5 times=3; server 127.0.0.1;", "invalid parameter \"times=3\"");
    assert_refused("server 127.0.0.1 route=;", "invalid parameter \"route=\"");
    assert_refused("server 127.0.0.1 slow_start=x;", "invalid parameter \"slow_start=x\"");
}

static void what_makes_no_session_is_refused(void **state)
{
    (void) state;
    assert_refused("sticky glue; server 127.0.0.1;", "invalid parameter \"glue\"");
    assert_refused("sticky cookie; server 127.0.0.1;", "takes a name");
    assert_refused("sticky cookie \"a b\"; server 127.0.0.1;", "invalid cookie name");
    assert_refused("sticky cookie a expires=soon; server 127.0.0.1;", "\"expires=soon\"");
    assert_refused("sticky cookie a \"path=/;x\"; server 127.0.0.1;",
                   "invalid parameter \"path=/;x\"");
    assert_refused("sticky cookie a samesite=maybe; server 127.0.0.1;", "\"samesite=maybe\"");
    assert_refused("sticky route; server 127.0.0.1;", "takes a variable");
    assert_refused("sticky learn create=$a zone=b:1m; server 127.0.0.1;",
                   "takes \"create=\", \"lookup=\" and \"zone=\"");
    assert_refused("sticky learn create=$uri lookup=$uri zone=b:1; server 127.0.0.1;",
                   "invalid parameter \"zone=b:1\"");
    assert_refused("sticky cookie a; sticky cookie b; server 127.0.0.1;", "is duplicate");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_kept),
        cmocka_unit_test(large_weights_are_kept_too),
        cmocka_unit_test(a_ring_of_large_weights_is_bounded_and_keeps_their_shares),
        cmocka_unit_test(a_ring_is_made_anew_only_for_other_names_or_weights),
        cmocka_unit_test(equal_peers_take_turns_whatever_their_number),
        cmocka_unit_test(the_least_busy_for_its_weight_is_chosen),
        cmocka_unit_test(one_of_two_is_the_less_busy),
        cmocka_unit_test(the_quicker_one_is_chosen),
        cmocka_unit_test(clients_go_where_nginx_sends_them),
        cmocka_unit_test(a_client_goes_elsewhere_only_while_its_peer_is_away),
        cmocka_unit_test(draining_peers_get_nothing_new),
        cmocka_unit_test(every_method_tries_each_peer_once),
        cmocka_unit_test(a_peer_that_comes_back_starts_slowly),
        cmocka_unit_test(what_is_no_method_is_refused),
        cmocka_unit_test(what_makes_no_session_is_refused),
    };

    return cmocka_run_group_tests_name("balance methods", tests, process_setup, process_teardown);
}
