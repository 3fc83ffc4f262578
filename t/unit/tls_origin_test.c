/* Opening a connection to an origin: each step, and each way to fail. */

#include "core/tls/origin.h"
#include "t/unit/time_unit.h"
#include "t/unit/tls_unit.h"

#define TRUST                                                                                      \
    "server origin { proxy_ssl_verify on; proxy_ssl_trusted_certificate ca.crt; "                  \
    "proxy_ssl_server_name on; }"

static tls_unit_conf *load_client(const char *text)
{
    tls_unit_conf *read;

    tls_unit_is_client = true;
    read = tls_unit_load(text);
    tls_unit_is_client = false;
    return read;
}

typedef struct {
    weir_origin_opening opening;
    weir_connection *connection;
    const char *doing;
    weir_chain introduction;
    unsigned connected_count, done_count;
    weir_origin_outcome outcome;
} user;

static void user_connected(weir_origin_opening *opening)
{
    WEIR_OWNER(opening, user, opening)->connected_count++;
}

static void user_done(weir_origin_opening *opening, weir_origin_outcome outcome)
{
    user *self = WEIR_OWNER(opening, user, opening);

    self->done_count++;
    self->outcome = outcome;
}

static bool user_is_done(const void *subject)
{
    return ((const user *) subject)->done_count != 0;
}

static void user_begin(user *self, tls_unit *t)
{
    *self = (user){0};
    self->opening = (weir_origin_opening){
        .addr = &t->net->addr,
        .peer = WEIR_STR("the peer"),
        .timeout_ms = 5000,
        .introduction = &self->introduction,
        .connection = &self->connection,
        .log = t->net->log,
        .doing = &self->doing,
        .connected = user_connected,
        .done = user_done,
    };
}

static void user_open(user *self, tls_unit *t)
{
    weir_origin_open(t->net->loop, &self->opening);
    net_turn_until(t->net, user_is_done, self);
    net_settle(t->net);
    assert_int_equal(self->done_count, 1);
}

static void user_end(user *self, tls_unit *t)
{
    weir_chain_clear(&self->introduction);
    if (self->connection != NULL) {
        weir_connection_close(self->connection);
    }
    net_settle(t->net);
}

/* As a client, whose connection is seen here as it came. */
static void plainly_accepted(weir_connection *connection, void *subject)
{
    tls_unit *t = subject;

    t->connection = connection;
    connection->owner = t;
    weir_connection_enter(connection, &tls_unit_open);
}

/* Takes connections, and never reads. */
static void silently_accepted(weir_connection *connection, void *subject)
{
    static const weir_connection_state silent = {.name = "silent"};
    tls_unit *t = subject;

    t->connection = connection;
    connection->owner = t;
    weir_connection_enter(connection, &silent);
}

static void is_open_once_it_is_connected(void **state)
{
    tls_unit *t = *state;
    user self;

    t->net->listener->accepted = plainly_accepted;
    user_begin(&self, t);
    user_open(&self, t);
    assert_int_equal(self.outcome, WEIR_ORIGIN_OPEN);
    assert_int_equal(self.opening.step, WEIR_ORIGIN_CONNECTING);
    assert_int_equal(self.connected_count, 1);
    assert_string_equal(self.doing, "connecting to upstream");
    user_end(&self, t);
}

static void introduces_itself_before_tls(void **state)
{
    tls_unit *t = *state;
    tls_unit_conf *clients = load_client("server origin { proxy_ssl_server_name on; }");
    user self;

    t->net->listener->accepted = plainly_accepted;
    user_begin(&self, t);
    assert_true(weir_chain_add_memory(&self.introduction, WEIR_STR("PROXY UNKNOWN\r\n")));
    self.opening.tls = clients->servers[0].client;
    weir_origin_open(t->net->loop, &self.opening);
    net_settle(t->net);
    assert_true(t->received_len > 15);
    assert_memory_equal(t->received, "PROXY UNKNOWN\r\n\x16\x03", 17);
    assert_int_equal(self.done_count, 0);
    assert_string_equal(self.doing, "SSL handshaking to upstream");
    user_end(&self, t);
    tls_unit_free(clients);
}

static void believes_the_right_name_only(void **state)
{
    static const struct {
        const char *name;
        weir_origin_outcome outcome;
    } origins[] = {{"one.example", WEIR_ORIGIN_OPEN}, {"two.example", WEIR_ORIGIN_FAILED}};
    tls_unit *t = *state;

    tls_unit_serve(
        t, tls_unit_load(
               "server one.example { ssl_certificate one.crt; ssl_certificate_key one.key; }"));
    for (size_t i = 0; i < WEIR_COUNT(origins); i++) {
        tls_unit_conf *clients = load_client(TRUST);
        user self;

        user_begin(&self, t);
        self.opening.tls = clients->servers[0].client;
        self.opening.tls_name = weir_str_from_z(origins[i].name);
        user_open(&self, t);
        assert_int_equal(self.outcome, origins[i].outcome);
        assert_int_equal(self.opening.step, WEIR_ORIGIN_SHAKING);
        assert_int_equal(self.opening.error, 0);
        user_end(&self, t);
        tls_unit_close(t);
        tls_unit_free(clients);
    }
    assert_true(net_log_has(t->net, "upstream SSL certificate does not match \"two.example\""));
}

static void says_why_it_is_not_connected(void **state)
{
    tls_unit *t = *state;

    for (int quiet = 1; quiet >= 0; quiet--) {
        weir_addr nobody;
        user self;

        assert_true(weir_addr_parse(WEIR_STR("unix:/nowhere/at/all"), 0, &nobody));
        user_begin(&self, t);
        self.opening.addr = &nobody;
        self.opening.peer = WEIR_STR("unix:/nowhere/at/all");
        self.opening.connects_quietly = quiet == 1;
        user_open(&self, t);
        assert_int_equal(self.outcome, WEIR_ORIGIN_FAILED);
        assert_int_equal(self.opening.error, ENOENT);
        assert_null(self.connection);
        assert_int_equal(self.connected_count, 0);
        assert_int_equal(net_log_has(t->net, "connect() to unix:/nowhere/at/all failed (2: "),
                         quiet == 0);
    }
}

/* Connecting seems to take four seconds. */
static void user_connected_late(weir_origin_opening *opening)
{
    user_connected(opening);
    time_unit_advance(4000);
}

static void gives_a_silent_origin_its_time_and_no_more(void **state)
{
    tls_unit *t = *state;
    tls_unit_conf *clients = load_client(TRUST);

    t->net->listener->accepted = silently_accepted;
    for (int is_whole = 0; is_whole < 2; is_whole++) {
        user self;

        user_begin(&self, t);
        self.opening.tls = clients->servers[0].client;
        self.opening.tls_name = WEIR_STR("one.example");
        self.opening.timeout_ms = 60000;
        self.opening.timeout_is_whole = is_whole == 1;
        self.opening.connected = user_connected_late;
        weir_origin_open(t->net->loop, &self.opening);
        net_settle(t->net);
        assert_int_equal(self.connected_count, 1);
        assert_int_equal(self.done_count, 0);
        time_unit_advance(57000);
        net_settle(t->net);
        assert_int_equal(self.done_count, is_whole);
        time_unit_advance(4000);
        net_turn_until(t->net, user_is_done, &self);
        assert_int_equal(self.outcome, WEIR_ORIGIN_TIMED_OUT);
        assert_int_equal(self.opening.step, WEIR_ORIGIN_SHAKING);
        user_end(&self, t);
        tls_unit_close(t);
    }
    assert_true(net_log_has(t->net, "upstream timed out (110: "));
    tls_unit_free(clients);
}

/* More than sockets hold, to an origin that does not read. */
static void gives_up_where_it_cannot_introduce_itself(void **state)
{
    enum { MUCH = 32 << 20 };
    tls_unit *t = *state;
    char *much = calloc(1, MUCH);

    t->net->listener->accepted = silently_accepted;
    for (int hangs_up = 0; hangs_up < 2; hangs_up++) {
        user self;

        user_begin(&self, t);
        self.opening.timeout_ms = 60000;
        self.opening.connects_quietly = true; /* but it is connected */
        assert_true(weir_chain_add_memory(&self.introduction, weir_str_of(much, MUCH)));
        weir_origin_open(t->net->loop, &self.opening);
        net_settle(t->net);
        assert_int_equal(self.done_count, 0);
        if (hangs_up) {
            tls_unit_close(t);
        } else {
            time_unit_advance(61000);
        }
        net_turn_until(t->net, user_is_done, &self);
        assert_int_equal(self.done_count, 1);
        assert_int_equal(self.outcome, hangs_up ? WEIR_ORIGIN_FAILED : WEIR_ORIGIN_TIMED_OUT);
        assert_int_equal(self.opening.step, WEIR_ORIGIN_INTRODUCING);
        user_end(&self, t);
        tls_unit_close(t);
    }
    assert_true(net_log_has(t->net, "upstream timed out (110: "));
    free(much);
}

static void ends_with_its_connection(void **state)
{
    tls_unit *t = *state;
    user self;

    t->net->listener->accepted = plainly_accepted;
    user_begin(&self, t);
    weir_origin_open(t->net->loop, &self.opening);
    user_end(&self, t);
    net_settle(t->net);
    assert_int_equal(self.done_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, tls_unit_begin, tls_unit_end)
        TEST(is_open_once_it_is_connected),
        TEST(introduces_itself_before_tls),
        TEST(believes_the_right_name_only),
        TEST(says_why_it_is_not_connected),
        TEST(gives_a_silent_origin_its_time_and_no_more),
        TEST(gives_up_where_it_cannot_introduce_itself),
        TEST(ends_with_its_connection),
    };

    return cmocka_run_group_tests(tests, tls_unit_setup, tls_unit_teardown);
}
