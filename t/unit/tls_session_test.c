/* Sessions that are resumed, or must not be; and what is said of clients' certificates. */

#include "t/unit/tls_unit.h"

#define ONE "ssl_certificate one.crt; ssl_certificate_key one.key;"
#define VERIFY "ssl_verify_client on; ssl_client_certificate ca.crt;"

/* The session that the client was given last. */
static SSL_SESSION *given;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    (void) ssl;
    SSL_SESSION_free(given);
    given = session;
    return 1;
}

static SSL_CTX *context(uint16_t version)
{
    SSL_CTX *ctx = tls_unit_context();

    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
    assert_true(SSL_CTX_set_max_proto_version(ctx, version));
    return ctx;
}

static void use_certificate(SSL_CTX *ctx, const char *name)
{
    char file[128], path[512];

    snprintf(file, sizeof(file), "%s.crt", name);
    tls_unit_path(file, path);
    assert_true(SSL_CTX_use_certificate_file(ctx, path, SSL_FILETYPE_PEM));
    snprintf(file, sizeof(file), "%s.key", name);
    tls_unit_path(file, path);
    assert_true(SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM));
}

/* Talks once; the session, if the server gives one, is in `given`.  Returns whether it was resumed. */
static bool visit(tls_unit *t, SSL_CTX *ctx, const char *name)
{
    SSL_SESSION *session = given;
    tls_unit_peer peer;
    bool resumed;

    tls_unit_close(t);
    peer = tls_unit_connect(t, ctx, name);
    given = NULL;
    if (session != NULL) {
        assert_true(SSL_set_session(peer.ssl, session));
        SSL_SESSION_free(session);
    }
    assert_true(tls_unit_shake(t, &peer));
    tls_unit_say(t, &peer, "hello");
    tls_unit_answer(t, &peer, "welcome");
    resumed = SSL_session_reused(peer.ssl);
    assert_int_equal(weir_tls_is_resumed(t->connection), resumed);
    tls_unit_peer_free(t, &peer);
    return resumed;
}

static void forget(void)
{
    SSL_SESSION_free(given);
    given = NULL;
}

static void resumes_by_tickets_in_both_versions(void **state)
{
    tls_unit *t = *state;

    tls_unit_serve(t, tls_unit_load("server a { " ONE " }"));
    for (uint16_t version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX *ctx = context(version);

        assert_false(visit(t, ctx, "a"));
        assert_true(SSL_SESSION_has_ticket(given));
        assert_true(visit(t, ctx, "a"));
        tls_unit_assert_value(t, "session_reused", "r");
        forget();
        SSL_CTX_free(ctx);
    }
}

static void tickets_hold_over_a_reload(void **state)
{
    tls_unit *t = *state;
    SSL_CTX *ctx = context(TLS1_3_VERSION);
    tls_unit_conf *next;

    tls_unit_serve(t, tls_unit_load("server a { " ONE " }"));
    assert_false(visit(t, ctx, "a"));
    next = tls_unit_read("server a { " ONE " ssl_buffer_size 4k; }", t->conf);
    assert_non_null(next->cycle);
    tls_unit_close(t);
    tls_unit_serve(t, next);
    assert_true(visit(t, ctx, "a"));
    forget();
    SSL_CTX_free(ctx);
}

static void without_tickets_or_cache_nothing_is_resumed(void **state)
{
    tls_unit *t = *state;

    tls_unit_serve(t, tls_unit_load("server a { " ONE " ssl_session_tickets off; }"));
    for (uint16_t version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX *ctx = context(version);

        assert_false(visit(t, ctx, "a"));
        assert_false(visit(t, ctx, "a"));
        forget();
        SSL_CTX_free(ctx);
    }
}

static void resumes_from_the_shared_cache_where_tickets_are_off(void **state)
{
    tls_unit *t = *state;

    tls_unit_serve(t, tls_unit_load("server a { " ONE " ssl_session_tickets off;"
                                    "    ssl_session_cache builtin:1000 shared:S:1m; }"));
    for (uint16_t version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX *ctx = context(version);

        assert_false(visit(t, ctx, "a"));
        assert_true(visit(t, ctx, "a"));
        forget();
        SSL_CTX_free(ctx);
    }
}

static void resumes_by_session_id_where_the_client_takes_no_tickets(void **state)
{
    tls_unit *t = *state;
    SSL_CTX *ctx = context(TLS1_2_VERSION);

    tls_unit_serve(t, tls_unit_load("server a { " ONE " ssl_session_cache shared:I:1m; }"));
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    assert_false(visit(t, ctx, "a"));
    assert_false(SSL_SESSION_has_ticket(given));
    assert_true(visit(t, ctx, "a"));
    forget();
    SSL_CTX_free(ctx);
}

static void ticket_keys_of_files_hold_across_configurations(void **state)
{
    static const char servers[] = "server a { " ONE " ssl_session_ticket_key a.tickets;"
                                  "    ssl_session_ticket_key b.tickets; }";
    static const char other[] = "server a { " ONE " ssl_session_ticket_key b.tickets; }";
    tls_unit *t = *state;
    SSL_CTX *ctx = context(TLS1_3_VERSION);
    uint8_t key[80];

    for (size_t i = 0; i < sizeof(key); i++) {
        key[i] = (uint8_t) i;
    }
    tls_unit_write("a.tickets", key, 48);
    key[0] = 77;
    tls_unit_write("b.tickets", key, 80);

    tls_unit_serve(t, tls_unit_load(other));
    assert_false(visit(t, ctx, "a"));
    tls_unit_close(t);
    tls_unit_serve(t, tls_unit_load(servers));
    assert_true(visit(t, ctx, "a"));
    /* Sealed with the first one now, which the other configuration does not have. */
    tls_unit_close(t);
    tls_unit_serve(t, tls_unit_load(other));
    assert_false(visit(t, ctx, "a"));
    forget();
    SSL_CTX_free(ctx);

    tls_unit_write("a.tickets", key, 47);
    tls_unit_free(t->conf);
    t->conf = tls_unit_read(servers, NULL);
    assert_null(t->conf->cycle);
    assert_non_null(strstr(t->conf->messages, "must be 48 or 80 bytes"));
}

static void no_session_passes_between_servers_that_verify_clients_differently(void **state)
{
    static const struct {
        const char *first, *then;
        bool resumes;
    } visits[] = {
        {"open", "open", true},     {"open", "also", true},     {"open", "closed", false},
        {"closed", "open", false},  {"closed", "closed", true}, {"closed", "deeper", false},
        {"closed", "other", false}, {"other", "closed", false}, {"closed", "twin", true},
    };
    tls_unit *t = *state;

    tls_unit_serve(t, tls_unit_load("server open { " ONE " }"
                                    "server also { " ONE " }"
                                    "server closed { " ONE VERIFY " }"
                                    "server twin { " ONE VERIFY " }"
                                    "server deeper { " ONE VERIFY " ssl_verify_depth 2; }"
                                    "server other { " ONE " ssl_verify_client on;"
                                    "    ssl_client_certificate stranger.crt; }"));
    for (uint16_t version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        for (size_t i = 0; i < WEIR_COUNT(visits); i++) {
            SSL_CTX *ctx = context(version);

            use_certificate(ctx, "client");
            assert_false(visit(t, ctx, visits[i].first));
            if (visit(t, ctx, visits[i].then) != visits[i].resumes) {
                fail_msg("from %s to %s", visits[i].first, visits[i].then);
            }
            forget();
            SSL_CTX_free(ctx);
        }
    }

    assert_true(
        weir_tls_server_verifies_like(t->conf->servers[2].server, t->conf->servers[3].server));
    assert_false(
        weir_tls_server_verifies_like(t->conf->servers[0].server, t->conf->servers[2].server));
    assert_false(
        weir_tls_server_verifies_like(t->conf->servers[2].server, t->conf->servers[5].server));
}

/* ---- clients */

static weir_tls_client_verdict judge(const tls_unit *t)
{
    return weir_tls_client_judge(t->connection, weir_tls_server_of(t->connection), "",
                                 &t->connection->log);
}

static void judges_clients_by_their_certificates(void **state)
{
    static const struct {
        const char *server, *certificate; /* NULL: none */
        weir_tls_client_verdict verdict;
        const char *value;
    } clients[] = {
        {"off", "client", WEIR_TLS_CLIENT_ALLOWED, "NONE"},
        {"on", "client", WEIR_TLS_CLIENT_ALLOWED, "SUCCESS"},
        {"on", NULL, WEIR_TLS_CLIENT_MISSING, "NONE"},
        {"on", "stranger", WEIR_TLS_CLIENT_BAD, "FAILED:"},
        {"optional", "client", WEIR_TLS_CLIENT_ALLOWED, "SUCCESS"},
        {"optional", NULL, WEIR_TLS_CLIENT_ALLOWED, "NONE"},
        {"optional", "stranger", WEIR_TLS_CLIENT_BAD, "FAILED:"},
        {"no_ca", "client", WEIR_TLS_CLIENT_ALLOWED, "FAILED:"},
        {"no_ca", "stranger", WEIR_TLS_CLIENT_ALLOWED, "FAILED:"},
        {"no_ca", NULL, WEIR_TLS_CLIENT_ALLOWED, "NONE"},
    };
    tls_unit *t = *state;

    tls_unit_serve(t, tls_unit_load("server off { " ONE " }"
                                    "server on { " ONE VERIFY " }"
                                    "server optional { " ONE "ssl_verify_client optional;"
                                    "    ssl_trusted_certificate ca.crt; }"
                                    "server no_ca { " ONE "ssl_verify_client optional_no_ca; }"));
    for (uint16_t version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        for (size_t i = 0; i < WEIR_COUNT(clients); i++) {
            SSL_CTX *ctx = context(version);

            if (clients[i].certificate != NULL) {
                use_certificate(ctx, clients[i].certificate);
            }
            /* The second time the session is resumed, and says the same. */
            for (int again = 0; again < 2; again++) {
                const char *reason;
                weir_tls_client_state client;

                assert_int_equal(visit(t, ctx, clients[i].server), again);
                assert_int_equal(judge(t), clients[i].verdict);
                client = weir_tls_client_verify(t->connection, &reason);
                if (client == WEIR_TLS_CLIENT_FAILED) {
                    assert_string_equal(clients[i].value, "FAILED:");
                    assert_non_null(reason);
                } else {
                    tls_unit_assert_value(t, "client_verify", clients[i].value);
                }
            }
            forget();
            SSL_CTX_free(ctx);
        }
    }
    assert_true(net_log_has(t->net, "client sent no required SSL certificate"));
    assert_true(net_log_has(t->net, "client SSL certificate verify error: ("));
}

static void writes_names_as_rfc_2253_does(void **state)
{
    tls_unit *t = *state;
    SSL_CTX *ctx = context(TLS1_3_VERSION);

    tls_unit_serve(t, tls_unit_load("server a { " ONE VERIFY " }"));
    use_certificate(ctx, "client");
    assert_false(visit(t, ctx, "a"));
    tls_unit_assert_value(t, "client_s_dn", "CN=alice,O=Weir\\, Ltd");
    tls_unit_assert_value(t, "client_i_dn", "CN=unit CA,O=Weir\\, Ltd");
    tls_unit_assert_value(t, "client_s_dn_legacy", "/O=Weir, Ltd/CN=alice");
    tls_unit_assert_value(t, "client_v_remain", "30");
    tls_unit_assert_value(t, "no_such_value", "-");
    forget();
    SSL_CTX_free(ctx);
}

static void early_data_is_taken_only_where_it_is_asked_for(void **state)
{
    tls_unit *t = *state;

    tls_unit_serve(
        t, tls_unit_load("server on { " ONE " ssl_early_data on; } server off { " ONE " }"));
    for (int on = 0; on < 2; on++) {
        SSL_CTX *ctx = context(TLS1_3_VERSION);
        tls_unit_peer peer;

        SSL_CTX_set_early_data_enabled(ctx, 1);
        assert_false(visit(t, ctx, on ? "on" : "off"));
        assert_int_equal(SSL_SESSION_early_data_capable(given), on);
        tls_unit_close(t);
        peer = tls_unit_connect(t, ctx, on ? "on" : "off");
        assert_true(SSL_set_session(peer.ssl, given));
        if (on) {
            assert_int_equal(SSL_do_handshake(peer.ssl), 1);
            assert_true(SSL_in_early_data(peer.ssl));
            tls_unit_say(t, &peer, "early");
            assert_true(t->was_early);
            tls_unit_assert_value(t, "early_data", "1");
            tls_unit_assert_received(t, "early");
        }
        assert_true(tls_unit_shake(t, &peer));
        tls_unit_say(t, &peer, " and late");
        tls_unit_assert_value(t, "early_data", "-");
        tls_unit_assert_received(t, on ? "early and late" : " and late");
        tls_unit_answer(t, &peer, "welcome");
        tls_unit_peer_free(t, &peer);
        forget();
        SSL_CTX_free(ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, tls_unit_begin, tls_unit_end)
        TEST(resumes_by_tickets_in_both_versions),
        TEST(tickets_hold_over_a_reload),
        TEST(without_tickets_or_cache_nothing_is_resumed),
        TEST(resumes_from_the_shared_cache_where_tickets_are_off),
        TEST(resumes_by_session_id_where_the_client_takes_no_tickets),
        TEST(ticket_keys_of_files_hold_across_configurations),
        TEST(no_session_passes_between_servers_that_verify_clients_differently),
        TEST(judges_clients_by_their_certificates),
        TEST(writes_names_as_rfc_2253_does),
        TEST(early_data_is_taken_only_where_it_is_asked_for),
    };

    return cmocka_run_group_tests(tests, tls_unit_setup, tls_unit_teardown);
}
