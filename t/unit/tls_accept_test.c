/* The server's side: handshakes, which server and certificate, what is said of the connection. */

#include "t/unit/tls_unit.h"

#define ONE "ssl_certificate one.crt; ssl_certificate_key one.key;"

static const char two_servers[] = "server one.example { " ONE " }"
                                  "server two.example {"
                                  "    ssl_certificate two.crt; ssl_certificate_key two.key; }";

static void talks_after_a_handshake(void **state)
{
    tls_unit *t = *state;
    SSL_CTX *ctx = tls_unit_context();
    tls_unit_peer peer;

    tls_unit_serve(t, tls_unit_load(two_servers));
    peer = tls_unit_connect(t, ctx, "one.example");
    assert_true(tls_unit_shake(t, &peer));
    assert_int_equal(t->outcome, WEIR_TLS_ESTABLISHED);
    tls_unit_say(t, &peer, "hello");
    tls_unit_assert_received(t, "hello");
    tls_unit_answer(t, &peer, "welcome");
    tls_unit_assert_value(t, "protocol", "TLSv1.3");
    tls_unit_assert_value(t, "server_name", "one.example");
    tls_unit_assert_value(t, "session_reused", ".");
    tls_unit_assert_value(t, "client_verify", "NONE");

    tls_unit_peer_free(t, &peer);
    SSL_CTX_free(ctx);
}

static void speaks_tls12_and_not_what_is_older(void **state)
{
    tls_unit *t = *state;
    SSL_CTX *ctx = tls_unit_context();
    tls_unit_peer peer;

    tls_unit_serve(t, tls_unit_load(two_servers));
    assert_true(SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION));
    peer = tls_unit_connect(t, ctx, NULL);
    assert_true(tls_unit_shake(t, &peer));
    tls_unit_say(t, &peer, "hello");
    tls_unit_assert_received(t, "hello");
    tls_unit_assert_value(t, "protocol", "TLSv1.2");
    tls_unit_peer_free(t, &peer);
    tls_unit_close(t);

    assert_true(SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION));
    peer = tls_unit_connect(t, ctx, NULL);
    assert_false(tls_unit_shake(t, &peer));
    assert_int_equal(t->outcome, WEIR_TLS_REFUSED);
    assert_true(net_log_has(t->net, "SSL_do_handshake() failed (SSL: error:"));
    assert_true(net_log_has(t->net, "UNSUPPORTED_PROTOCOL)"));
    tls_unit_peer_free(t, &peer);
    SSL_CTX_free(ctx);
}

static void understands_bytes_cut_anywhere(void **state)
{
    tls_unit *t = *state;

    tls_unit_serve(t, tls_unit_load(two_servers));
    for (size_t cut = 1; cut < 40; cut += cut < 8 ? 1 : 7) {
        for (uint16_t version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            SSL_CTX *ctx = tls_unit_context();
            tls_unit_peer peer;

            assert_true(SSL_CTX_set_max_proto_version(ctx, version));
            peer = tls_unit_connect(t, ctx, "two.example");
            peer.cut = cut;
            assert_true(tls_unit_shake(t, &peer));
            tls_unit_say(t, &peer, "cut");
            tls_unit_say(t, &peer, " to pieces");
            tls_unit_assert_received(t, "cut to pieces");
            tls_unit_answer(t, &peer, "whole");
            tls_unit_peer_free(t, &peer);
            tls_unit_close(t);
            SSL_CTX_free(ctx);
        }
    }
}

static void shows_the_certificate_of_the_name_asked_for(void **state)
{
    static const struct {
        const char *asked, *shown;
    } names[] = {
        {"one.example", "one.example"},  {"two.example", "two.example"},
        {"TWO.Example.", "two.example"}, {"three.example", "one.example"},
        {NULL, "one.example"},
    };
    tls_unit *t = *state;

    tls_unit_serve(t, tls_unit_load(two_servers));
    for (size_t i = 0; i < WEIR_COUNT(names); i++) {
        SSL_CTX *ctx = tls_unit_context();
        tls_unit_peer peer = tls_unit_connect(t, ctx, names[i].asked);

        assert_true(tls_unit_shake(t, &peer));
        tls_unit_assert_subject(&peer, names[i].shown, EVP_PKEY_EC);
        tls_unit_peer_free(t, &peer);
        tls_unit_close(t);
        SSL_CTX_free(ctx);
    }
}

static void shows_the_kind_of_certificate_that_the_client_can_use(void **state)
{
    static const struct {
        const char *signatures, *ciphers;
        uint16_t version;
        int kind;
    } clients[] = {
        {"ECDSA+SHA256:RSA-PSS+SHA256", "ALL", TLS1_3_VERSION, EVP_PKEY_EC},
        {"RSA-PSS+SHA256", "ALL", TLS1_3_VERSION, EVP_PKEY_RSA},
        {"ECDSA+SHA256:RSA+SHA256", "ALL", TLS1_2_VERSION, EVP_PKEY_EC},
        {"ECDSA+SHA256:RSA+SHA256", "aRSA", TLS1_2_VERSION, EVP_PKEY_RSA},
        {"RSA+SHA256", "ALL", TLS1_2_VERSION, EVP_PKEY_RSA},
    };
    tls_unit *t = *state;

    /* In either order. */
    tls_unit_serve(t, tls_unit_load("server one.example {"
                                    "    ssl_certificate rsa.crt; ssl_certificate_key rsa.key; " ONE
                                    "}"));
    for (size_t i = 0; i < WEIR_COUNT(clients); i++) {
        SSL_CTX *ctx = tls_unit_context();
        tls_unit_peer peer;

        assert_true(SSL_CTX_set_max_proto_version(ctx, clients[i].version));
        assert_true(SSL_CTX_set1_sigalgs_list(ctx, clients[i].signatures));
        assert_true(SSL_CTX_set_cipher_list(ctx, clients[i].ciphers));
        peer = tls_unit_connect(t, ctx, "one.example");
        assert_true(tls_unit_shake(t, &peer));
        tls_unit_assert_subject(&peer, "one.example", clients[i].kind);
        tls_unit_peer_free(t, &peer);
        tls_unit_close(t);
        SSL_CTX_free(ctx);
    }
}

static void leaves_plain_bytes_to_the_owner(void **state)
{
    tls_unit *t = *state;
    int client;

    tls_unit_serve(t, tls_unit_load(two_servers));
    client = net_client(t->net);
    net_send(client, "GET / HTTP/1.1\r\n\r\n", 18);
    net_settle(t->net);
    assert_int_equal(t->outcome, WEIR_TLS_NOT_TLS);
    tls_unit_assert_received(t, "GET / HTTP/1.1\r\n\r\n");
    net_send(client, "more", 4);
    net_settle(t->net);
    tls_unit_assert_received(t, "GET / HTTP/1.1\r\n\r\nmore");
    assert_null(t->connection->tls);
    close(client);
}

static void rejects_handshakes_of_a_server_that_says_so(void **state)
{
    tls_unit *t = *state;
    SSL_CTX *ctx = tls_unit_context();
    tls_unit_peer peer;

    tls_unit_serve(t, tls_unit_load("server default { ssl_reject_handshake on; }"
                                    "server one.example { " ONE " }"));
    assert_true(weir_tls_server_can_be_default(t->conf->servers[0].server));
    peer = tls_unit_connect(t, ctx, "other.example");
    assert_false(tls_unit_shake(t, &peer));
    assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_TLSV1_ALERT_UNRECOGNIZED_NAME);
    ERR_clear_error();
    tls_unit_peer_free(t, &peer);

    peer = tls_unit_connect(t, ctx, "one.example");
    assert_true(tls_unit_shake(t, &peer));
    tls_unit_peer_free(t, &peer);
    SSL_CTX_free(ctx);
}

static void chooses_a_protocol_by_its_own_order(void **state)
{
    tls_unit *t = *state;
    SSL_CTX *ctx = tls_unit_context();
    tls_unit_peer peer;

    tls_unit_serve(t, tls_unit_load(two_servers));
    t->acceptor.alpn = WEIR_STR("\x02h2\x08http/1.1");
    assert_int_equal(SSL_CTX_set_alpn_protos(ctx, (const uint8_t *) "\x08http/1.1\x02h2", 12), 0);
    peer = tls_unit_connect(t, ctx, NULL);
    assert_true(tls_unit_shake(t, &peer));
    tls_unit_assert_value(t, "alpn_protocol", "h2");
    tls_unit_peer_free(t, &peer);
    tls_unit_close(t);

    assert_int_equal(SSL_CTX_set_alpn_protos(ctx,
                                             (const uint8_t *) "\x03"
                                                               "foo",
                                             4),
                     0);
    peer = tls_unit_connect(t, ctx, NULL);
    assert_false(tls_unit_shake(t, &peer));
    ERR_clear_error();
    tls_unit_peer_free(t, &peer);
    SSL_CTX_free(ctx);
}

static void own_settings_hold_for_a_server_found_by_name(void **state)
{
    tls_unit *t = *state;
    SSL_CTX *ctx = tls_unit_context();
    tls_unit_peer peer;

    tls_unit_serve(t, tls_unit_load("server one.example { " ONE " }"
                                    "server two.example { ssl_protocols TLSv1.2;"
                                    "    ssl_ciphers ECDHE-ECDSA-CHACHA20-POLY1305;"
                                    "    ssl_ecdh_curve secp384r1;"
                                    "    ssl_certificate two.crt; ssl_certificate_key two.key; }"));
    peer = tls_unit_connect(t, ctx, "two.example");
    assert_true(tls_unit_shake(t, &peer));
    tls_unit_assert_value(t, "protocol", "TLSv1.2");
    tls_unit_assert_value(t, "cipher", "ECDHE-ECDSA-CHACHA20-POLY1305");
    tls_unit_assert_value(t, "curve", "secp384r1");
    tls_unit_peer_free(t, &peer);
    SSL_CTX_free(ctx);
}

static void tells_what_the_client_offered_if_asked(void **state)
{
    tls_unit *t = *state;
    SSL_CTX *ctx = tls_unit_context();
    tls_unit_peer peer;

    tls_unit_serve(t, tls_unit_load(two_servers));
    t->acceptor.keeps_client_lists = true;
    assert_true(SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION));
    assert_true(
        SSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"));
    assert_true(SSL_CTX_set1_curves_list(ctx, "X25519:P-256"));
    SSL_CTX_set_grease_enabled(ctx, 1);
    peer = tls_unit_connect(t, ctx, NULL);
    assert_true(tls_unit_shake(t, &peer));
    tls_unit_assert_value(t, "ciphers",
                          "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256");
    tls_unit_assert_value(t, "curves", "X25519:prime256v1");
    tls_unit_peer_free(t, &peer);
    SSL_CTX_free(ctx);
}

static void gives_up_when_the_client_is_silent(void **state)
{
    tls_unit *t = *state;
    int client;

    tls_unit_serve(t, tls_unit_load(two_servers));
    t->acceptor.handshake_timeout_ms = 1;
    client = net_client(t->net);
    while (!t->is_done) {
        weir_loop_turn(t->net->loop, 100);
    }
    assert_int_equal(t->outcome, WEIR_TLS_REFUSED);
    assert_true(net_log_has(t->net, "client timed out"));
    close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, tls_unit_begin, tls_unit_end)
        TEST(talks_after_a_handshake),
        TEST(speaks_tls12_and_not_what_is_older),
        TEST(understands_bytes_cut_anywhere),
        TEST(shows_the_certificate_of_the_name_asked_for),
        TEST(shows_the_kind_of_certificate_that_the_client_can_use),
        TEST(leaves_plain_bytes_to_the_owner),
        TEST(rejects_handshakes_of_a_server_that_says_so),
        TEST(chooses_a_protocol_by_its_own_order),
        TEST(own_settings_hold_for_a_server_found_by_name),
        TEST(tells_what_the_client_offered_if_asked),
        TEST(gives_up_when_the_client_is_silent),
    };

    return cmocka_run_group_tests(tests, tls_unit_setup, tls_unit_teardown);
}
