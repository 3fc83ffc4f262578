#include "modules/balance/balance.h"

#include <netinet/in.h>

#include "core/base/builder.h"
#include "t/unit/process_unit.h"

/* Groups as http reads them: this family has http's name, and finds its groups. */
static const weir_balance_family family = {.name = "http", .default_port = 80};

static weir_cycle *cycle;

/* The group of an upstream block with these lines. */
static weir_balance_group *group_of(const char *lines)
{
    char text[4096];
    weir_balance_group *group;

    snprintf(text, sizeof(text), "http { access_log off; upstream back { %s } }", lines);
    cycle = process_load(text, NULL);
    if (cycle == NULL) {
        fail_msg("refused: %s", unit.said);
    }
    group = weir_balance_group_of_cycle(cycle, &family, WEIR_STR("back"));
    assert_non_null(group);
    return group;
}

static bool begin(weir_balance_pick *pick, weir_balance_group *group)
{
    const weir_balance_subject subject = {.pool = unit.pool, .log = &unit.log};

    return weir_balance_begin(pick, group, &subject);
}

/* The last digit of the address that a new pick goes to; '-' for none. */
static char next_of(weir_balance_pick *pick)
{
    weir_str text;

    if (weir_balance_next(pick, NULL) != WEIR_OK) {
        return '-';
    }
    text = pick->peer->text;
    return text.data[sizeof("127.0.0.") - 1];
}

static char one(weir_balance_group *group, weir_balance_outcome outcome)
{
    weir_balance_pick pick;
    char peer;

    assert_true(begin(&pick, group));
    peer = next_of(&pick);
    weir_balance_done(&pick, outcome, &unit.log);
    return peer;
}

static void assert_turns(weir_balance_group *group, const char *wanted)
{
    for (size_t i = 0; wanted[i] != '\0'; i++) {
        char peer = one(group, WEIR_BALANCE_SUCCEEDED);

        if (peer != wanted[i]) {
            fail_msg("turn %zu: wanted %c, got %c", i, wanted[i], peer);
        }
    }
}

static void end(void)
{
    weir_cycle_free(cycle);
}

static void equal_servers_take_turns(void **state)
{
    (void) state;
    assert_turns(group_of("server 127.0.0.1; server 127.0.0.2; server 127.0.0.3;"), "123123123");
    end();
}

static void weights_are_spread_smoothly(void **state)
{
    (void) state;
    assert_turns(group_of("server 127.0.0.1 weight=5; server 127.0.0.2; server 127.0.0.3;"),
                 "12111311211131");
    end();
}

static void one_pick_goes_to_each_server_once_and_to_backups_last(void **state)
{
    weir_balance_pick pick;
    weir_balance_group *group =
        group_of("server 127.0.0.9 backup; server 127.0.0.1; server 127.0.0.2;"
                 "server 127.0.0.3 down;");

    (void) state;
    assert_true(begin(&pick, group));
    assert_int_equal(next_of(&pick), '1');
    weir_balance_done(&pick, WEIR_BALANCE_ABANDONED, &unit.log);
    assert_int_equal(next_of(&pick), '2');
    weir_balance_done(&pick, WEIR_BALANCE_ABANDONED, &unit.log);
    assert_int_equal(next_of(&pick), '9');
    weir_balance_done(&pick, WEIR_BALANCE_ABANDONED, &unit.log);
    assert_int_equal(next_of(&pick), '-');
    assert_int_equal(pick.tries_left, 0);
    end();
}

static void a_server_that_failed_is_left_alone(void **state)
{
    weir_balance_group *group =
        group_of("server 127.0.0.1 max_fails=2 fail_timeout=1h; server 127.0.0.2;");

    (void) state;
    assert_int_equal(one(group, WEIR_BALANCE_FAILED), '1');
    assert_turns(group, "2");
    /* Once more: what it lost of its weight delays it, no more. */
    while (one(group, WEIR_BALANCE_FAILED) != '1') {
    }
    for (int i = 0; i < 10; i++) {
        assert_int_not_equal(one(group, WEIR_BALANCE_SUCCEEDED), '1');
    }
    end();
}

static void none_is_live_when_all_have_failed(void **state)
{
    weir_balance_group *group = group_of("server 127.0.0.1 fail_timeout=1h;"
                                         "server 127.0.0.2 fail_timeout=1h;");

    (void) state;
    assert_int_equal(one(group, WEIR_BALANCE_FAILED), '1');
    assert_int_equal(one(group, WEIR_BALANCE_FAILED), '2');
    assert_int_equal(one(group, WEIR_BALANCE_SUCCEEDED), '-');
    end();
}

static void failures_without_a_limit_are_not_counted(void **state)
{
    weir_balance_group *group = group_of("server 127.0.0.1 max_fails=0;"
                                         "server 127.0.0.2 max_fails=0;");

    (void) state;
    for (int i = 0; i < 6; i++) {
        assert_int_equal(one(group, WEIR_BALANCE_FAILED), i % 2 == 0 ? '1' : '2');
    }
    end();
}

static void the_only_server_of_a_group_is_never_left_alone(void **state)
{
    weir_balance_group *group = group_of("server 127.0.0.1 fail_timeout=1h;");

    (void) state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(one(group, WEIR_BALANCE_FAILED), '1');
    }
    end();
}

static void max_conns_bounds_what_is_open_at_once(void **state)
{
    weir_balance_group *group = group_of("server 127.0.0.1 max_conns=1; server 127.0.0.2;");
    weir_balance_pick first;

    (void) state;
    assert_true(begin(&first, group));
    assert_int_equal(next_of(&first), '1');
    assert_turns(group, "222");
    weir_balance_done(&first, WEIR_BALANCE_SUCCEEDED, &unit.log);
    assert_turns(group, "12");
    end();
}

/* These two were taken for one: their keys were of a quick hash. */
static void servers_with_like_addresses_are_told_apart(void **state)
{
    weir_balance_group *group =
        group_of("server 127.0.19.1:4 max_conns=1; server 127.0.15.1:8 max_conns=1;");
    weir_balance_pick first, second;

    (void) state;
    assert_true(begin(&first, group));
    assert_int_equal(weir_balance_next(&first, NULL), WEIR_OK);
    assert_true(begin(&second, group));
    assert_int_equal(weir_balance_next(&second, NULL), WEIR_OK);
    assert_int_not_equal(first.peer->key, second.peer->key);
    weir_balance_done(&first, WEIR_BALANCE_SUCCEEDED, &unit.log);
    weir_balance_done(&second, WEIR_BALANCE_SUCCEEDED, &unit.log);
    end();
}

static void the_few_that_are_not_full_take_turns(void **state)
{
    char lines[2048] = "";
    weir_balance_group *group;
    weir_balance_pick held[48];
    unsigned counts[51] = {0};
    unsigned free_count = 0;

    (void) state;
    for (unsigned i = 1; i <= 50; i++) {
        snprintf(lines + strlen(lines), sizeof(lines) - strlen(lines),
                 "server 127.0.0.%u max_conns=1;", i);
    }
    group = group_of(lines);
    for (size_t i = 0; i < WEIR_COUNT(held); i++) {
        assert_true(begin(&held[i], group));
        assert_int_equal(weir_balance_next(&held[i], NULL), WEIR_OK);
    }
    for (unsigned i = 0; i < 300; i++) {
        weir_balance_pick pick;

        assert_true(begin(&pick, group));
        assert_int_equal(weir_balance_next(&pick, NULL), WEIR_OK);
        counts[ntohl(pick.peer->addr.in.sin_addr.s_addr) & 255]++;
        weir_balance_done(&pick, WEIR_BALANCE_ABANDONED, &unit.log);
    }
    for (size_t i = 0; i < WEIR_COUNT(counts); i++) {
        free_count += counts[i] != 0;
        assert_true(counts[i] == 0 || counts[i] >= 100);
    }
    assert_int_equal(free_count, 2);
    for (size_t i = 0; i < WEIR_COUNT(held); i++) {
        weir_balance_done(&held[i], WEIR_BALANCE_ABANDONED, &unit.log);
    }
    end();
}

static void connections_are_counted_over_a_reload(void **state)
{
    weir_balance_group *group = group_of("server 127.0.0.1 max_conns=1; server 127.0.0.2;");
    weir_cycle *before = cycle;
    weir_balance_pick open;

    (void) state;
    assert_true(begin(&open, group));
    assert_int_equal(next_of(&open), '1');
    cycle = process_load("http { access_log off; upstream back { server 127.0.0.3 max_conns=1;"
                         "server 127.0.0.1 max_conns=1; } }",
                         before);
    assert_non_null(cycle);
    group = weir_balance_group_of_cycle(cycle, &family, WEIR_STR("back"));
    assert_turns(group, "333");
    weir_balance_done(&open, WEIR_BALANCE_SUCCEEDED, &unit.log);
    while (one(group, WEIR_BALANCE_SUCCEEDED) != '1') {
    }
    weir_cycle_free(before);
    end();
}

static void what_is_known_of_a_server_outlives_a_reload(void **state)
{
    weir_balance_group *group = group_of("server 127.0.0.1 fail_timeout=1h; server 127.0.0.2;");
    weir_cycle *before = cycle;
    weir_cycle *after;

    (void) state;
    assert_int_equal(one(group, WEIR_BALANCE_FAILED), '1');
    after =
        process_load("http { access_log off; upstream back { server 127.0.0.3; server 127.0.0.2;"
                     "server 127.0.0.1 fail_timeout=1h; } }",
                     before);
    assert_non_null(after);
    group = weir_balance_group_of_cycle(after, &family, WEIR_STR("back"));
    for (int i = 0; i < 6; i++) {
        assert_int_not_equal(one(group, WEIR_BALANCE_SUCCEEDED), '1');
    }
    weir_cycle_free(before);
    weir_cycle_free(after);
}

static void more_than_64_servers_are_each_tried_once(void **state)
{
    char lines[2048] = "";
    weir_builder builder;
    weir_balance_group *group;
    weir_balance_pick pick;
    weir_str text;

    (void) state;
    weir_builder_over(&builder, lines, sizeof(lines) - 1);
    for (unsigned i = 1; i <= 70; i++) {
        weir_builder_printf(&builder, "server 127.0.0.%u;", i);
    }
    assert_true(weir_builder_close(&builder, &text));
    lines[text.len] = '\0';
    group = group_of(lines);
    assert_true(begin(&pick, group));
    for (unsigned i = 0; i < 70; i++) {
        assert_int_equal(weir_balance_next(&pick, NULL), WEIR_OK);
        weir_balance_done(&pick, WEIR_BALANCE_ABANDONED, &unit.log);
    }
    assert_int_equal(weir_balance_next(&pick, NULL), WEIR_FAIL);
    end();
}

static void assert_refused(const char *lines, const char *why)
{
    char text[1024];

    snprintf(text, sizeof(text), "http { access_log off; upstream back { %s } }", lines);
    assert_null(process_load(text, NULL));
    assert_said(why);
}

static void what_makes_no_group_is_refused(void **state)
{
    (void) state;
    assert_refused("", "no servers are inside upstream");
    assert_refused("server 127.0.0.1 weight=0;", "invalid parameter \"weight=0\"");
    assert_refused("server 127.0.0.1 bogus;", "invalid parameter \"bogus\"");
    assert_refused("server a.test service=http;", "requires \"resolve\" parameter");
    assert_refused("server a.test:80 service=http resolve;", "may not have port");
    assert_refused("server 127.0.0.1 service=http resolve;", "requires domain name");
    assert_refused("server 127.0.0.1; keepalive 1; keepalive 2;", "is duplicate");
    assert_refused("server 127.0.0.1; keepalive x;", "invalid value \"x\"");
    assert_refused("server 127.0.0.1; zone a 1k;", "zone \"a\" is too small");
    assert_refused("server 127.0.0.1; } upstream back { server 127.0.0.1;",
                   "duplicate upstream \"back\"");
}

static void parameters_that_are_none_are_refused(void **state)
{
    static const char *const bad[] = {
        "weight=x", "max_conns=-1", "max_fails=x", "fail_timeout=1x", "slow_start=x",
        "route=",   "service=",     "backup=1",    "down=on",         "color=red",
    };
    char line[128], why[128];

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(bad); i++) {
        snprintf(line, sizeof(line), "server 127.0.0.1 %s;", bad[i]);
        snprintf(why, sizeof(why), "invalid parameter \"%s\"", bad[i]);
        assert_refused(line, why);
    }
    assert_refused("server 127.0.0.1:0;", "invalid port in upstream");
    assert_refused("server 127.0.0.1; state file;", "exclude each other");
    assert_refused("server 127.0.0.1; zone a x;", "invalid zone size \"x\"");
    assert_refused("server 127.0.0.1; zone a 64k; zone b 64k;", "\"zone\" directive is duplicate");
}

static void methods_that_are_none_are_refused(void **state)
{
    (void) state;
    assert_refused("hash $uri; server 127.0.0.1; server 127.0.0.2 backup;",
                   "\"hash\" does not support parameter \"backup\"");
    assert_refused("ip_hash; server 127.0.0.1; server 127.0.0.2 backup;",
                   "\"ip_hash\" does not support parameter \"backup\"");
    assert_refused("random; server 127.0.0.1; server 127.0.0.2 backup;",
                   "\"random\" does not support parameter \"backup\"");
    assert_refused("server 127.0.0.1; hash $uri x;", "invalid parameter \"x\"");
    assert_refused("server 127.0.0.1; random three;", "invalid parameter \"three\"");
    assert_refused("server 127.0.0.1; random two x;", "invalid parameter \"x\"");
    assert_refused("server 127.0.0.1; least_time connect;", "invalid parameter \"connect\"");
    assert_refused("server 127.0.0.1; least_time header x;", "invalid parameter \"x\"");
    assert_refused("server 127.0.0.1; queue 0;", "invalid value \"0\"");
    assert_refused("server 127.0.0.1; queue 5 timeout=x;", "invalid parameter \"timeout=x\"");
    assert_refused("server 127.0.0.1; queue 5; queue 5;", "\"queue\" directive is duplicate");
    assert_refused("server 127.0.0.1; sticky x;", "invalid parameter \"x\"");
    assert_refused("server 127.0.0.1; sticky cookie;", "takes a name");
    assert_refused("server 127.0.0.1; sticky cookie a expires=x;", "invalid parameter");
    assert_refused("server 127.0.0.1; sticky cookie a samesite=x;", "invalid parameter");
    assert_refused("server 127.0.0.1; sticky route;", "takes a variable");
    assert_refused("server 127.0.0.1; sticky route x;", "\"x\" of \"sticky\" is no variable");
    assert_refused("server 127.0.0.1; sticky learn create=$uri lookup=$uri;", "\"zone=\"");
    assert_refused("server 127.0.0.1; sticky cookie a; sticky cookie b;", "is duplicate");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_servers_take_turns),
        cmocka_unit_test(weights_are_spread_smoothly),
        cmocka_unit_test(one_pick_goes_to_each_server_once_and_to_backups_last),
        cmocka_unit_test(a_server_that_failed_is_left_alone),
        cmocka_unit_test(none_is_live_when_all_have_failed),
        cmocka_unit_test(failures_without_a_limit_are_not_counted),
        cmocka_unit_test(the_only_server_of_a_group_is_never_left_alone),
        cmocka_unit_test(max_conns_bounds_what_is_open_at_once),
        cmocka_unit_test(servers_with_like_addresses_are_told_apart),
        cmocka_unit_test(the_few_that_are_not_full_take_turns),
        cmocka_unit_test(connections_are_counted_over_a_reload),
        cmocka_unit_test(what_is_known_of_a_server_outlives_a_reload),
        cmocka_unit_test(more_than_64_servers_are_each_tried_once),
        cmocka_unit_test(what_makes_no_group_is_refused),
        cmocka_unit_test(parameters_that_are_none_are_refused),
        cmocka_unit_test(methods_that_are_none_are_refused),
    };

    return cmocka_run_group_tests_name("balance pick", tests, process_setup, process_teardown);
}
