/*
 * Kill -9 at any instruction of a pick: others go on, and nothing but the killed one's own counts is lost. A reset, and
 * another worker that wants the last place. Kill -9 of a keeper that makes an address, or moves a server to one.
 */

#include <sys/mman.h>

#include "modules/balance/balance_internal.h"

#include "core/base/random.h"
#include "t/unit/process_unit.h"
#include "t/unit/step_unit.h"

static const weir_balance_family family = {.name = "http", .default_port = 80};

#define BUDGET_US 200000 /* for each test, or way of choosing */
#define KILLS_MIN 16
#define MAKING_KILLS 12

static bool pick_begin(weir_balance_pick *pick, weir_balance_group *group)
{
    const weir_balance_subject subject = {.pool = unit.pool, .log = &unit.log};

    return weir_balance_begin(pick, group, &subject) && weir_balance_next(pick, NULL) == WEIR_OK;
}

/* What is stepped through: a good one, and one that fails. */
static void picks(void *subject)
{
    weir_balance_group *group = subject;
    weir_balance_pick pick;

    for (unsigned i = 0; i < 2; i++) {
        if (pick_begin(&pick, group)) {
            weir_balance_count(&pick, 200, 10, 20);
            weir_balance_done(&pick, i == 0 ? WEIR_BALANCE_SUCCEEDED : WEIR_BALANCE_FAILED,
                              &unit.log);
        }
    }
}

static void assert_nothing_open(weir_balance_group *group)
{
    size_t count;
    const weir_balance_peer *peers = weir_balance_peers(group, &count);

    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(weir_balance_peer_report(group, &peers[i], false).active, 0);
    }
}

/* What the dead had open is cleared, as the master does; then each of three servers is gone to, and given back. */
static void assert_usable(weir_balance_group *group)
{
    unsigned seen[3] = {0};
    size_t count;

    weir_ledger_clear_slot(weir_balance_peers(group, &count)->connections, 0);
    assert_nothing_open(group);
    for (unsigned i = 0; i < 60; i++) {
        weir_balance_pick pick;

        assert_true(pick_begin(&pick, group));
        seen[pick.peer->text.data[sizeof("127.0.0.") - 1] - '1']++;
        weir_balance_done(&pick, WEIR_BALANCE_SUCCEEDED, &unit.log);
    }
    for (size_t i = 0; i < WEIR_COUNT(seen); i++) {
        assert_true(seen[i] != 0);
    }
    assert_nothing_open(group);
}

static weir_balance_group *group_load(weir_cycle **cycle, const char *method)
{
    char text[512];

    snprintf(text, sizeof(text),
             "http { access_log off; upstream back { %s server 127.0.0.1 max_fails=0;"
             "server 127.0.0.2 max_fails=0; server 127.0.0.3 max_fails=0; } }",
             method);
    *cycle = process_load(text, NULL);
    assert_non_null(*cycle);
    return weir_balance_group_of_cycle(*cycle, &family, WEIR_STR("back"));
}

/* Each time from a fresh start. */
static void play(const char *method)
{
    weir_cycle *cycle;
    weir_balance_group *group = group_load(&cycle, method);
    step_points points = {
        .all = step_count(picks, group),
        .budget_us = BUDGET_US,
        .least = KILLS_MIN,
    };

    weir_cycle_free(cycle);
    while (step_next(&points)) {
        group = group_load(&cycle, method);
        step_and_kill(picks, group, points.at);
        assert_usable(group);
        weir_cycle_free(cycle);
    }
    print_message("%s: killed at %u of %llu instructions\n", method, points.count,
                  (unsigned long long) points.all);
}

static void a_kill_at_any_instruction_of_a_pick_leaves_the_group_usable(void **state)
{
    (void) state;
    play("");
    play("least_conn;");
}

/* ---- counts that are reset meanwhile */

static void count_one(void *subject)
{
    weir_balance_count(subject, 200, 1, 1);
}

/* Of the peer of a pick, which is gone to once more: nothing is told of one that was not since its counts were reset. */
static weir_balance_traffic traffic_after(const weir_balance_pick *pick)
{
    const weir_balance_peer *peer;
    weir_balance_pick next;

    do {
        assert_true(pick_begin(&next, pick->group));
        peer = next.peer;
        weir_balance_done(&next, WEIR_BALANCE_SUCCEEDED, &unit.log);
    } while (peer != pick->peer);
    return weir_balance_peer_report(pick->group, peer, false).traffic;
}

/* Others are reset while one is counted, at this instruction of it. */
static void count_and_reset(weir_balance_pick *pick, uint64_t instruction)
{
    pid_t counter;

    weir_balance_reset(pick->group);
    count_one(pick);
    counter = step_begin(count_one, pick);
    if (step(counter, instruction)) {
        weir_balance_reset(pick->group);
        step_out(counter);
    }
}

static void a_reset_at_any_instruction_of_counting_makes_up_no_status(void **state)
{
    weir_cycle *cycle;
    weir_balance_group *group = group_load(&cycle, "");
    weir_balance_pick pick;
    step_points points = {.budget_us = BUDGET_US, .least = KILLS_MIN};

    (void) state;
    assert_true(pick_begin(&pick, group));
    weir_balance_reset(group);
    count_one(&pick);
    points.all = step_count(count_one, &pick);
    while (step_next(&points)) {
        weir_balance_traffic traffic;

        count_and_reset(&pick, points.at);
        traffic = traffic_after(&pick);
        if (traffic.code_count > 1 || (traffic.code_count == 1 && traffic.codes[0].status != 200)) {
            fail_msg("at %llu: %zu codes, the first of them %u", (unsigned long long) points.at,
                     traffic.code_count, traffic.codes[0].status);
        }
    }
    weir_balance_done(&pick, WEIR_BALANCE_SUCCEEDED, &unit.log);
    weir_cycle_free(cycle);
}

typedef struct {
    weir_balance_group *group;
    bool has_got; /* shared */
} wish;

static void place_take(void *subject)
{
    wish *own = subject;
    weir_balance_pick pick;

    own->has_got = pick_begin(&pick, own->group);
}

/* As a worker with the next slot would. */
static bool place_take_beside(const weir_balance_peer *peer)
{
    if (weir_ledger_sum(peer->connections, peer->column) >= peer->max_conns) {
        return false;
    }
    weir_ledger_up(peer->connections, 1, peer->column);
    if (weir_ledger_sum(peer->connections, peer->column) <= peer->max_conns) {
        return true;
    }
    weir_ledger_down(peer->connections, 1, peer->column);
    return false;
}

static void clear_place(weir_balance_group *group)
{
    size_t count;
    const weir_balance_peer *peer = weir_balance_peers(group, &count);

    weir_ledger_clear_column(peer->connections, peer->column);
}

/* Who stops behind `instructions` and goes on once another one has tried. */
static void place_contend(wish *wishes, uint64_t instructions)
{
    size_t count;
    const weir_balance_peer *peer = weir_balance_peers(wishes->group, &count);
    pid_t stepped = step_begin(place_take, wishes);
    bool has_other = false;

    if (step(stepped, instructions)) {
        has_other = place_take_beside(peer);
        step_out(stepped);
    }
    if (wishes->has_got + has_other != 1) {
        fail_msg("at %llu: %u of two have the last place", (unsigned long long) instructions,
                 (unsigned) wishes->has_got + has_other);
    }
    clear_place(wishes->group);
}

static void the_last_place_is_one_workers_at_any_instruction_of_a_pick(void **state)
{
    weir_cycle *cycle = process_load(
        "http { access_log off; upstream back { server 127.0.0.1 max_conns=1; } }", NULL);
    wish *wishes =
        mmap(NULL, sizeof(*wishes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    step_points points = {.budget_us = BUDGET_US, .least = KILLS_MIN};

    (void) state;
    assert_non_null(cycle);
    assert_true(wishes != MAP_FAILED);
    wishes->group = weir_balance_group_of_cycle(cycle, &family, WEIR_STR("back"));
    points.all = step_count(place_take, wishes);
    assert_true(wishes->has_got);
    clear_place(wishes->group);
    while (step_next(&points)) {
        place_contend(wishes, points.at);
    }
    assert_int_equal(munmap(wishes, sizeof(*wishes)), 0);
    weir_cycle_free(cycle);
}

/* ---- a keeper that makes an address which DNS says a name has */

static balance_record *address_make(weir_balance_group *group)
{
    char text[WEIR_ADDR_TEXT_MAX];
    balance_resolved resolved = {0};

    if (!weir_addr_parse(WEIR_STR("127.0.0.9"), 80, &resolved.addr)) {
        return NULL;
    }
    return balance_record_resolve(group, group->seats[0].key,
                                  weir_addr_text(&resolved.addr, true, text), &resolved);
}

static void address_is_made(void *subject)
{
    (void) address_make(subject);
}

/* What has no key is nobody's: counts of a former life may lie there. */
static void count_strangers(const balance_zone *zone)
{
    for (size_t i = 0; i < zone->count; i++) {
        if (atomic_load(&zone->records[i].key) == 0) {
            balance_traffic_count(balance_traffic_own(zone->traffic, zone->count, i), 200, 1, 1);
        }
    }
}

/* By the successor of who was killed: with a number of its own, and nothing counted. */
static void assert_made(weir_balance_group *group, uint64_t at)
{
    const balance_record *record = address_make(group);
    weir_balance_traffic sum = {0};

    assert_non_null(record);
    for (size_t i = 0; i < group->seat_count; i++) {
        if (atomic_load(&record->id) == atomic_load(&group->seats[i].record->id)) {
            fail_msg("at %llu: the number of another one", (unsigned long long) at);
        }
    }
    balance_traffic_sum(group->zone->traffic, group->zone->count,
                        (size_t) (record - group->zone->records), &sum);
    if (sum.code_count != 0) {
        fail_msg("at %llu: counts of another one", (unsigned long long) at);
    }
}

static void a_keeper_that_is_killed_leaves_an_address_to_be_made_by_the_next(void **state)
{
    weir_cycle *cycle;
    weir_balance_group *group = group_load(&cycle, "");
    uint64_t all = step_count(address_is_made, group);

    (void) state;
    weir_cycle_free(cycle);
    for (unsigned i = 0; i < MAKING_KILLS; i++) {
        /* The record is taken near the end, so most are there. */
        uint64_t before_end = i % 4 == 0 ? all * i / MAKING_KILLS : all * i / MAKING_KILLS / 32;

        group = group_load(&cycle, "");
        count_strangers(group->zone);
        step_and_kill(address_is_made, group, all - 1 - before_end);
        assert_made(group, all - 1 - before_end);
        weir_cycle_free(cycle);
    }
}

/* ---- a keeper that moves a server to another address */

static void changes_are_carried_out(void *control)
{
    balance_changes_carry_out(control, &unit.log);
}

/* The second of three, under its number; the others stay. */
static void assert_moved(const weir_balance_group *group, uint64_t id, uint64_t at)
{
    uint64_t ids[4];
    size_t position = 0, count = 0, moved = 0;
    balance_name found;

    while (balance_server_next(group, &position, &found)) {
        assert_true(count < WEIR_COUNT(ids));
        ids[count] = found.id;
        for (size_t i = 0; i < count; i++) {
            assert_true(ids[i] != found.id);
        }
        count++;
        moved += weir_str_eq(found.server.name, WEIR_STR("127.0.0.9")) && found.id == id;
        assert_false(weir_str_eq(found.server.name, WEIR_STR("127.0.0.2")));
    }
    if (count != 3 || moved != 1) {
        fail_msg("at %llu: %zu servers, %zu moved", (unsigned long long) at, count, moved);
    }
}

typedef struct {
    weir_cycle *cycle;
    weir_balance_group *group;
    struct balance_control *control;
    weir_balance_change change;
    uint64_t id;
} moving;

static weir_cycle *move_load(const char *server, const char *upstream, weir_cycle *before)
{
    char text[1024];

    snprintf(text, sizeof(text),
             "http { access_log off; %s server { listen unix:%s/api.sock; %s } }", upstream,
             unit.folder, server);
    return process_load(text, before);
}

/* However often it is asked. */
static bool is_answered(weir_balance_change *change)
{
    if (change->call != NULL && balance_change_answered(change)) {
        change->call = NULL;
    }
    return change->call == NULL;
}

/* `before` has the socket. */
static void move_prepare(moving *move, weir_cycle *before)
{
    *move = (moving){
        .cycle = move_load(
            "location / { api write=on; }",
            "upstream back { server 127.0.0.1; server 127.0.0.2; server 127.0.0.3; }", before),
    };
    assert_non_null(move->cycle);
    move->group = weir_balance_group_of_cycle(move->cycle, &family, WEIR_STR("back"));
    move->control = balance_registry_of_cycle(move->cycle, &family)->control;
    move->id = atomic_load(&move->group->seats[1].record->id);
    move->change = (weir_balance_change){
        .op = WEIR_BALANCE_PATCH,
        .group = move->group,
        .id = move->id,
        .server = {.name = WEIR_STR("127.0.0.9")},
        .mask = WEIR_BALANCE_HAS_NAME,
    };
}

/* Is asked for, and not yet carried out. */
static void move_ask(moving *move, weir_cycle *before)
{
    move_prepare(move, before);
    assert_true(balance_change_ask(move->control, &move->change, 0));
}

static void move_settle(moving *move, uint64_t at)
{
    assert_true(is_answered(&move->change));
    assert_int_equal(move->change.outcome, WEIR_BALANCE_CHANGE_DONE);
    assert_int_equal(move->change.id, move->id);
    assert_moved(move->group, move->id, at);
    weir_cycle_free(move->cycle);
}

static weir_cycle *socket_load(void)
{
    weir_cycle *cycle = move_load("", "", NULL);

    assert_non_null(cycle);
    return cycle;
}

static void socket_free(weir_cycle *cycle)
{
    char path[sizeof(unit.folder) + 16];

    snprintf(path, sizeof(path), "%s/api.sock", unit.folder);
    assert_int_equal(unlink(path), 0);
    weir_cycle_free(cycle);
}

static void a_server_is_moved_by_the_next_keeper_where_one_was_killed(void **state)
{
    weir_cycle *before = socket_load();
    step_points points = {.budget_us = BUDGET_US, .least = KILLS_MIN};
    moving move;

    (void) state;
    move_ask(&move, before);
    points.all = step_count(changes_are_carried_out, move.control);
    move_settle(&move, points.all);
    while (step_next(&points)) {
        move_ask(&move, before);
        step_and_kill(changes_are_carried_out, move.control, points.at);
        balance_changes_carry_out(move.control, &unit.log);
        move_settle(&move, points.at);
    }
    socket_free(before);
}

static size_t server_count(const weir_balance_group *group)
{
    size_t position = 0, count = 0;
    balance_name found;

    while (balance_server_next(group, &position, &found)) {
        count++;
    }
    return count;
}

typedef struct {
    moving move;
    weir_balance_change answered, removal;
} asked_behind;

/* A removal has the first place, which an answer left free; a move that was begun has the second. */
static void behind_ask(asked_behind *asked, weir_cycle *before)
{
    move_prepare(&asked->move, before);
    asked->answered = (weir_balance_change){
        .op = WEIR_BALANCE_REMOVE,
        .group = asked->move.group,
        .id = UINT64_MAX,
    };
    asked->removal = (weir_balance_change){
        .op = WEIR_BALANCE_REMOVE,
        .group = asked->move.group,
        .id = asked->move.id,
    };
    assert_true(balance_change_ask(asked->move.control, &asked->answered, 0));
    assert_true(balance_change_ask(asked->move.control, &asked->move.change, 0));
}

static bool begun_has_place(void *of)
{
    asked_behind *asked = of;

    return is_answered(&asked->answered) && !is_answered(&asked->move.change);
}

static void what_was_begun_comes_before_what_is_asked(void **state)
{
    enum { KILLS = 4 };
    weir_cycle *before = socket_load();
    asked_behind asked;
    step_span span = {.holds = begun_has_place, .of = &asked};
    unsigned seen = 0;

    (void) state;
    behind_ask(&asked, before);
    (void) step_count_span(changes_are_carried_out, asked.move.control, &span);
    assert_true(span.to != 0);
    weir_cycle_free(asked.move.cycle);

    for (unsigned i = 1; i <= KILLS; i++) {
        behind_ask(&asked, before);
        step_and_kill(changes_are_carried_out, asked.move.control,
                      span.to - (span.to - span.from) * i * i / (KILLS * KILLS * 2));
        if (begun_has_place(&asked)) {
            assert_true(balance_change_ask(asked.move.control, &asked.removal, 0));
            balance_changes_carry_out(asked.move.control, &unit.log);
            assert_true(is_answered(&asked.removal));
            assert_int_equal(asked.removal.outcome, WEIR_BALANCE_CHANGE_DONE);
            assert_int_equal(server_count(asked.move.group), 2);
            seen++;
        }
        weir_cycle_free(asked.move.cycle);
    }
    assert_true(seen != 0);
    socket_free(before);
}

static bool has_server(const weir_balance_group *group, weir_str name)
{
    size_t position = 0;
    balance_name found;

    while (balance_server_next(group, &position, &found)) {
        if (weir_str_eq(found.server.name, name)) {
            return true;
        }
    }
    return false;
}

static bool move_lacks_answer(void *of)
{
    moving *move = of;

    return has_server(move->group, WEIR_STR("127.0.0.9")) && !is_answered(&move->change);
}

/* The first is killed when all but the answer is done, the others soon after they have begun it again. */
static void a_change_that_keepers_die_of_is_given_up(void **state)
{
    weir_cycle *before = socket_load();
    moving move;
    step_span span = {.holds = move_lacks_answer, .of = &move};
    uint64_t all;

    (void) state;
    move_ask(&move, before);
    all = step_count_span(changes_are_carried_out, move.control, &span);
    assert_true(span.to != 0);
    move_settle(&move, all);

    move_ask(&move, before);
    step_and_kill(changes_are_carried_out, move.control, (span.from + span.to) / 2);
    assert_true(move_lacks_answer(&move));
    memset(&step_trace, 0, sizeof(step_trace)); /* they go another way */
    for (unsigned i = 0; i < 2; i++) {
        step_and_kill(changes_are_carried_out, move.control, 300);
        assert_false(is_answered(&move.change));
    }
    process_catch();
    balance_changes_carry_out(move.control, &unit.log);
    process_caught();
    assert_said("is given up: 3 keepers died");
    assert_true(is_answered(&move.change));
    assert_int_equal(move.change.outcome, WEIR_BALANCE_CHANGE_NO_KEEPER);
    weir_cycle_free(move.cycle);
    socket_free(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kill_at_any_instruction_of_a_pick_leaves_the_group_usable),
        cmocka_unit_test(a_reset_at_any_instruction_of_counting_makes_up_no_status),
        cmocka_unit_test(the_last_place_is_one_workers_at_any_instruction_of_a_pick),
        cmocka_unit_test(a_keeper_that_is_killed_leaves_an_address_to_be_made_by_the_next),
        cmocka_unit_test(a_server_is_moved_by_the_next_keeper_where_one_was_killed),
        cmocka_unit_test(what_was_begun_comes_before_what_is_asked),
        cmocka_unit_test(a_change_that_keepers_die_of_is_given_up),
    };

    return cmocka_run_group_tests_name("balance kill", tests, process_setup, process_teardown);
}
