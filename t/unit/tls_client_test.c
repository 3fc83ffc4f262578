/* TLS toward origins: verifying, names, sessions. Both ends are ours. */

#include "t/unit/time_unit.h"
#include "t/unit/tls_unit.h"

#define ONE "ssl_certificate one.crt; ssl_certificate_key one.key;"
#define TRUST "proxy_ssl_verify on; proxy_ssl_trusted_certificate ca.crt;"

typedef struct {
    bool is_done, ended;
    weir_tls_outcome outcome;
    char got[256];
    size_t len;
} origin_user;

static void user_readable(weir_connection *connection)
{
    origin_user *user = connection->owner;
    size_t len;

    while (
        weir_connection_read(connection, user->got + user->len, sizeof(user->got) - user->len, &len)
            == WEIR_OK
        && len != 0) {
        user->len += len;
    }
}

static const weir_connection_state user_open = {.name = "origin", .on_readable = user_readable};

static void user_done(weir_connection *connection, weir_tls_outcome outcome)
{
    origin_user *user = connection->owner;

    user->is_done = true;
    user->outcome = outcome;
    weir_connection_enter(connection, &user_open);
}

static bool user_is_done(const void *subject)
{
    return ((const origin_user *) subject)->is_done;
}

/* Connects with the client of a configuration; the connection is to be closed. */
static weir_connection *reach_peer(tls_unit *t, const tls_unit_conf *clients, const char *peer,
                                   const char *name, origin_user *user)
{
    static const weir_connection_state connecting = {.name = "connecting"};
    const weir_connect_options connect = {0};
    const weir_tls_connect_options options = {
        .name = weir_str_from_z(name),
        .session_key = weir_str_from_z(peer),
    };
    weir_connection *connection;
    int error;

    tls_unit_close(t);
    *user = (origin_user){0};
    connection =
        weir_connect(t->net->loop, &t->net->addr, &connect, 4096, &connecting, user, &error);
    assert_non_null(connection);
    net_settle(t->net);
    weir_connection_set_timeout(connection, 5000);
    weir_tls_connect(connection, clients->servers[0].client, &options, user_done);
    net_turn_until(t->net, user_is_done, user);
    net_settle(t->net);
    return connection;
}

static weir_connection *reach(tls_unit *t, const tls_unit_conf *clients, const char *name,
                              origin_user *user)
{
    return reach_peer(t, clients, name, name, user);
}

static tls_unit_conf *load_client(const char *settings)
{
    tls_unit_conf *read;
    char text[512];

    snprintf(text, sizeof(text), "server origin { proxy_ssl_server_name on; %s }", settings);
    tls_unit_is_client = true;
    read = tls_unit_load(text);
    tls_unit_is_client = false;
    return read;
}

static void talks_to_an_origin_that_it_trusts(void **state)
{
    tls_unit *t = *state;
    tls_unit_conf *clients;
    weir_connection *connection;
    weir_chain chain = {0};
    origin_user user;

    tls_unit_serve(t, tls_unit_load("server one.example { " ONE " }"));
    clients = load_client(TRUST);
    connection = reach(t, clients, "one.example", &user);
    assert_int_equal(user.outcome, WEIR_TLS_ESTABLISHED);
    assert_true(weir_chain_add_memory(&chain, WEIR_STR("request")));
    assert_int_equal(weir_connection_write(connection, &chain, UINT64_MAX), WEIR_OK);
    net_settle(t->net);
    tls_unit_assert_received(t, "request");
    tls_unit_assert_value(t, "server_name", "one.example");
    assert_true(weir_chain_add_memory(&t->to_write, WEIR_STR("response")));
    tls_unit_writable(t->connection);
    net_settle(t->net);
    assert_int_equal(user.len, 8);
    assert_memory_equal(user.got, "response", 8);
    weir_connection_close(connection);
    tls_unit_free(clients);
}

static void believes_names_addresses_and_authorities_only_when_they_are_right(void **state)
{
    static const struct {
        const char *settings, *name, *message; /* NULL: believed */
    } origins[] = {
        {TRUST, "one.example", NULL},
        {TRUST, "127.0.0.1", NULL},
        {TRUST, "two.example", "upstream SSL certificate does not match \"two.example\""},
        {TRUST, "127.0.0.2", "upstream SSL certificate does not match \"127.0.0.2\""},
        {"proxy_ssl_verify on; proxy_ssl_trusted_certificate stranger.crt;", "one.example",
         "upstream SSL certificate verify error: (20:unable to get local issuer certificate)"},
        {"", "two.example", NULL},
    };
    tls_unit *t = *state;

    tls_unit_serve(t, tls_unit_load("server one.example { " ONE " }"));
    for (size_t i = 0; i < WEIR_COUNT(origins); i++) {
        tls_unit_conf *clients = load_client(origins[i].settings);
        origin_user user;
        weir_connection *connection = reach(t, clients, origins[i].name, &user);

        assert_int_equal(user.outcome,
                         origins[i].message == NULL ? WEIR_TLS_ESTABLISHED : WEIR_TLS_REFUSED);
        assert_true(origins[i].message == NULL || net_log_has(t->net, origins[i].message));
        weir_connection_close(connection);
        net_settle(t->net);
        tls_unit_free(clients);
    }
    assert_false(net_log_has(t->net, "CERTIFICATE_VERIFY_FAILED"));
}

static void resumes_sessions_of_the_same_origin(void **state)
{
    tls_unit *t = *state;

    tls_unit_serve(t, tls_unit_load("server one.example { " ONE " }"));
    for (int reuse = 0; reuse < 2; reuse++) {
        tls_unit_conf *clients =
            load_client(reuse ? "proxy_ssl_session_reuse on;" : "proxy_ssl_session_reuse off;");

        for (int visit = 0; visit < 3; visit++) {
            origin_user user;
            weir_connection *connection =
                reach(t, clients, visit < 2 ? "one.example" : "other.example", &user);

            assert_int_equal(user.outcome, WEIR_TLS_ESTABLISHED);
            /* Tickets come with the first answer. */
            assert_true(weir_chain_add_memory(&t->to_write, WEIR_STR("response")));
            tls_unit_writable(t->connection);
            net_settle(t->net);
            assert_int_equal(weir_tls_is_resumed(connection), reuse == 1 && visit == 1);
            weir_connection_close(connection);
            net_settle(t->net);
        }
        tls_unit_free(clients);
    }
}

/* A session says that a certificate was believed: for its own name, not for another. */
static void believes_no_other_name_by_a_session(void **state)
{
    static const struct {
        const char *name;
        bool believed, resumed;
    } visits[] = {
        {"one.example", true, false},
        {"two.example", false, false},
        {"one.example", true, true},
        {"two.example", false, false},
    };
    tls_unit *t = *state;
    tls_unit_conf *clients = load_client(TRUST);

    tls_unit_serve(t, tls_unit_load("server one.example { " ONE " }"));
    for (size_t i = 0; i < WEIR_COUNT(visits); i++) {
        origin_user user;
        weir_connection *connection =
            reach_peer(t, clients, "127.0.0.1:443", visits[i].name, &user);

        assert_int_equal(user.outcome,
                         visits[i].believed ? WEIR_TLS_ESTABLISHED : WEIR_TLS_REFUSED);
        if (visits[i].believed) {
            assert_true(weir_chain_add_memory(&t->to_write, WEIR_STR("response")));
            tls_unit_writable(t->connection);
            net_settle(t->net);
            assert_int_equal(weir_tls_is_resumed(connection), visits[i].resumed);
        }
        weir_connection_close(connection);
        net_settle(t->net);
    }
    tls_unit_free(clients);
}

/* What was found of a certificate holds for ten seconds, in which it may expire; then its origin is to show another. */
static void believes_for_ten_seconds_what_it_resumes(void **state)
{
    static const struct {
        int64_t later_ms, ahead_s;
        bool believed, resumed;
    } visits[] = {
        {0, 0, true, false},
        {6000, 366L * 86400, true, true},   /* it has expired since */
        {6000, 366L * 86400, false, false}, /* resuming made the belief no younger */
        {0, 0, true, false}, /* the session is gone: as of an origin with a new certificate */
        {11000, 0, true, true},
    };
    static const char *const protocols[] = {"TLSv1.2", "TLSv1.3"};
    tls_unit *t = *state;

    for (size_t protocol = 0; protocol < WEIR_COUNT(protocols); protocol++) {
        tls_unit_conf *clients = load_client(TRUST);
        char text[256];

        snprintf(text, sizeof(text), "server one.example { " ONE " ssl_protocols %s; }",
                 protocols[protocol]);
        tls_unit_serve(t, tls_unit_load(text));
        for (size_t i = 0; i < WEIR_COUNT(visits); i++) {
            origin_user user;
            weir_connection *connection;

            time_unit_advance(visits[i].later_ms);
            time_unit_ahead_s = visits[i].ahead_s;
            connection = reach(t, clients, "one.example", &user);
            assert_int_equal(user.outcome,
                             visits[i].believed ? WEIR_TLS_ESTABLISHED : WEIR_TLS_REFUSED);
            if (visits[i].believed) {
                assert_true(weir_chain_add_memory(&t->to_write, WEIR_STR("response")));
                tls_unit_writable(t->connection);
                net_settle(t->net);
                assert_int_equal(weir_tls_is_resumed(connection), visits[i].resumed);
            }
            weir_connection_close(connection);
            tls_unit_close(t);
        }
        time_unit_ahead_s = 0;
        tls_unit_free(clients);
    }
    assert_true(net_log_has(t->net, "(10:certificate has expired)"));
}

/* What `connection` writes is caught instead of sent; `*fd` is its own socket, for the test to write to. */
static size_t catch_flight(tls_unit *t, char flight[static 4096], int *fd)
{
    int pair[2];
    ssize_t len;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    *fd = dup(t->connection->event.fd);
    assert_int_not_equal(dup2(pair[0], t->connection->event.fd), -1);
    tls_unit_writable(t->connection);
    len = recv(pair[1], flight, 4096, 0);
    assert_true(len > 0);
    close(pair[0]);
    close(pair[1]);
    return (size_t) len;
}

static size_t last_record(const char *flight, size_t len)
{
    size_t at = 0, next;

    while ((next = at + 5 + (uint8_t) flight[at + 3] * 256u + (uint8_t) flight[at + 4]) < len) {
        at = next;
    }
    assert_int_equal(next, len);
    return at;
}

static void tells_tickets_from_an_answer_that_nobody_asked_for(void **state)
{
    static const weir_connection_state idle = {.name = "idle"};
    tls_unit *t = *state;
    tls_unit_conf *clients;
    weir_connection *connection;
    origin_user user;
    char flight[4096];
    size_t len, tickets;
    int fd;

    tls_unit_serve(t, tls_unit_load("server one.example { " ONE " ssl_protocols TLSv1.3; }"));
    clients = load_client(TRUST);
    connection = reach(t, clients, "one.example", &user);
    weir_connection_enter(connection, &idle);
    assert_true(weir_connection_is_quiet(connection));

    /* Tickets come with the first answer: here they come first, each in two pieces. */
    assert_true(weir_chain_add_memory(&t->to_write, WEIR_STR("response")));
    len = catch_flight(t, flight, &fd);
    tickets = last_record(flight, len);
    assert_true(tickets > 20);
    assert_int_equal(send(fd, flight, tickets - 20, 0), tickets - 20);
    net_settle(t->net);
    assert_true(weir_connection_is_quiet(connection));
    assert_int_equal(send(fd, flight + tickets - 20, 20, 0), 20);
    net_settle(t->net);
    assert_true(weir_connection_is_quiet(connection));

    assert_int_equal(send(fd, flight + tickets, len - tickets, 0), len - tickets);
    net_settle(t->net);
    assert_false(weir_connection_is_quiet(connection));
    close(fd);
    weir_connection_close(connection);
    tls_unit_free(clients);
}

static void shows_its_own_certificate(void **state)
{
    tls_unit *t = *state;
    tls_unit_conf *clients;
    weir_connection *connection;
    origin_user user;

    tls_unit_serve(t, tls_unit_load("server one.example { " ONE
                                    " ssl_verify_client on; ssl_client_certificate ca.crt; }"));
    clients =
        load_client("proxy_ssl_certificate client.crt; proxy_ssl_certificate_key client.key;");
    connection = reach(t, clients, "one.example", &user);
    assert_int_equal(user.outcome, WEIR_TLS_ESTABLISHED);
    tls_unit_assert_value(t, "client_verify", "SUCCESS");
    weir_connection_close(connection);
    tls_unit_free(clients);
}

static void says_when_the_origin_hangs_up(void **state)
{
    tls_unit *t = *state;
    tls_unit_conf *clients = load_client("proxy_ssl_protocols TLSv1.2;");
    weir_connection *connection;
    origin_user user;

    tls_unit_serve(t, tls_unit_load("server one.example { " ONE " ssl_protocols TLSv1.3; }"));
    connection = reach(t, clients, "one.example", &user);
    assert_int_equal(user.outcome, WEIR_TLS_REFUSED);
    assert_true(net_log_has(t->net, "[error]"));
    assert_true(net_log_has(t->net, "SSL_do_handshake() failed (SSL: error:"));
    weir_connection_close(connection);
    net_settle(t->net);
    tls_unit_free(clients);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, tls_unit_begin, tls_unit_end)
        TEST(talks_to_an_origin_that_it_trusts),
        TEST(believes_names_addresses_and_authorities_only_when_they_are_right),
        TEST(resumes_sessions_of_the_same_origin),
        TEST(believes_no_other_name_by_a_session),
        TEST(believes_for_ten_seconds_what_it_resumes),
        TEST(tells_tickets_from_an_answer_that_nobody_asked_for),
        TEST(shows_its_own_certificate),
        TEST(says_when_the_origin_hangs_up),
    };

    return cmocka_run_group_tests(tests, tls_unit_setup, tls_unit_teardown);
}
