/* What directives say, which of it is refused, and what a reload takes over. */

#include "t/unit/tls_unit.h"

#define ONE "ssl_certificate one.crt; ssl_certificate_key one.key;"

static void accepts(const char *settings, const char *message)
{
    tls_unit_conf *read;
    char text[2048];

    snprintf(text, sizeof(text), "server a { %s }", settings);
    read = tls_unit_read(text, NULL);
    if (read->cycle == NULL || (message == NULL && read->messages[0] != '\0')
        || (message != NULL && strstr(read->messages, message) == NULL)) {
        fail_msg("%s: %s", settings, read->messages);
    }
    tls_unit_free(read);
}

static void refuses(const char *settings, const char *message)
{
    tls_unit_conf *read;
    char text[2048];

    snprintf(text, sizeof(text), "server a { %s }", settings);
    read = tls_unit_read(text, NULL);
    if (read->cycle != NULL || strstr(read->messages, message) == NULL
        || strstr(read->messages, "weir.conf:1") == NULL) {
        fail_msg("%s: %s", settings, read->messages);
    }
    tls_unit_free(read);
}

static void takes_the_lists_that_people_paste(void **state)
{
    (void) state;

    accepts(ONE "ssl_ciphers HIGH:!aNULL:!MD5;", NULL);
    accepts(ONE "ssl_ciphers 'EECDH+AESGCM:EDH+AESGCM';", "dropped: EDH+AESGCM");
    accepts(ONE "ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                "ECDHE-ECDSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256;",
            "BoringSSL does not have, dropped: DHE-RSA-AES128-GCM-SHA256");
    accepts(ONE "ssl_ciphers TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:"
                "ECDHE-RSA-AES256-GCM-SHA384;",
            NULL);
    accepts(ONE "ssl_ciphers 'ALL:!ADH:!LOW:!SSLv2:!EXP:+HIGH:+MEDIUM';", NULL);
    accepts(ONE "ssl_ciphers PROFILE=SYSTEM:HIGH;", "dropped: PROFILE=SYSTEM");
    accepts(ONE "ssl_ecdh_curve X25519:prime256v1:secp384r1;", NULL);
    accepts(ONE "ssl_ecdh_curve X25519MLKEM768:X448:secp521r1;", "X448");
    accepts(ONE "ssl_protocols SSLv3 TLSv1.2;", "SSLv2 and SSLv3 are not spoken");
    refuses(ONE "ssl_protocols SSLv3;", "\"ssl_protocols\" leaves no version");
    refuses(ONE "ssl_ciphers DHE-RSA-AES128-GCM-SHA256:FOO;", "leaves no cipher suite");
    refuses(ONE "ssl_ecdh_curve X448;", "leaves no group");
}

static void maps_commands_of_openssl(void **state)
{
    (void) state;

    accepts(ONE "ssl_conf_command MinProtocol TLSv1.3;", NULL);
    accepts(ONE "ssl_conf_command Options PrioritizeChaCha;", "has no effect");
    accepts(ONE "ssl_conf_command Options -SessionTicket,ServerPreference;", NULL);
    accepts(ONE "ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;", "has no effect");
    accepts(ONE "ssl_conf_command NumTickets 1; ssl_conf_command Groups X25519;", NULL);
    accepts(ONE "ssl_conf_command SignatureAlgorithms ECDSA+SHA256;", NULL);
    refuses(ONE "ssl_conf_command RecordPadding 512;", "BoringSSL has no such command");
    refuses(ONE "ssl_conf_command Options Nonsense;", "no option of OpenSSL's");
    refuses(ONE "ssl_conf_command MaxProtocol SSLv3;", "no version of TLS");
    refuses(ONE "ssl_conf_command SignatureAlgorithms nonsense;", "signature algorithms");
}

static void reads_keys_of_all_sorts(void **state)
{
    char path[512], pem[4096], text[9000];
    FILE *file;
    size_t len;

    (void) state;

    accepts(ONE, NULL);
    accepts("ssl_certificate rsa.crt; ssl_certificate_key rsa.key;" ONE, NULL);
    tls_unit_write("passwords", "wrong\nsesame\r\n\n", 15);
    accepts("ssl_certificate locked.crt; ssl_certificate_key locked.key;"
            "ssl_password_file passwords;",
            NULL);
    tls_unit_write("passwords", "wrong\nworse\n", 12);
    refuses("ssl_certificate locked.crt; ssl_certificate_key locked.key;"
            "ssl_password_file passwords;",
            "locked.key\": PEM_read_bio_PrivateKey() failed");
    refuses("ssl_certificate locked.crt; ssl_certificate_key locked.key;", "locked.key");
    refuses("ssl_certificate one.crt; ssl_certificate_key two.key;", "key values mismatch");
    refuses("ssl_certificate one.crt;", "no \"ssl_certificate_key\" is defined for certificate");
    refuses("ssl_certificate gone.crt; ssl_certificate_key one.key;",
            "open() failed (2: No such file or directory)");
    refuses("ssl_certificate one.key; ssl_certificate_key one.key;", "PEM_read_bio() failed");
    refuses("ssl_certificate one.crt; ssl_certificate_key engine:x:y;", "neither engines");

    tls_unit_path("one.key", path);
    file = fopen(path, "r");
    len = fread(pem, 1, sizeof(pem) - 1, file);
    pem[len] = '\0';
    fclose(file);
    snprintf(text, sizeof(text), "ssl_certificate one.crt; ssl_certificate_key 'data:%s';", pem);
    accepts(text, NULL);
}

static void refuses_what_would_not_be_done(void **state)
{
    (void) state;

    accepts(ONE "ssl_ocsp off; ssl_dhparam gone.pem; ssl_stapling on;", "ssl_dhparam");
    refuses(ONE "ssl_ocsp on;", "not supported");
    refuses(ONE "ssl_verify_client on;", "no ssl_client_certificate for ssl_verify_client");
    refuses(ONE "ssl_verify_client on; ssl_client_certificate one.key;", "one.key");
    refuses(ONE "ssl_session_cache shared:x:1k;", "too small");
    refuses(ONE "ssl_session_cache shared:1m;", "invalid session cache");
    refuses(ONE "ssl_session_cache everywhere;", "invalid session cache");
    accepts(ONE "ssl_session_cache shared:SSL:1m; ssl_session_timeout 1d;", NULL);
    accepts(ONE "ssl_certificate_cache max=100 inactive=1m valid=10s;", NULL);
    refuses(ONE "ssl_certificate_cache inactive=1m;", "must have the \"max\" parameter");
    accepts("", NULL);
}

static void a_server_without_certificate_cannot_be_the_default(void **state)
{
    tls_unit_conf *read = tls_unit_load("server a { } server b { " ONE " }"
                                        "server c { ssl_reject_handshake on; }");

    (void) state;

    assert_false(weir_tls_server_can_be_default(read->servers[0].server));
    assert_true(weir_tls_server_can_be_default(read->servers[1].server));
    assert_true(weir_tls_server_can_be_default(read->servers[2].server));
    tls_unit_free(read);
}

static void a_reload_reads_only_what_changed(void **state)
{
    static const char text[] = "server a { " ONE " }";
    tls_unit_conf *first = tls_unit_load(text), *second;
    tls_unit_identity other = tls_unit_identify("new", "DNS:new", TLS_UNIT_P256, &tls_unit_ca);
    tls_unit_identity one;
    char path[512];
    FILE *file;

    (void) state;

    second = tls_unit_read(text, first);
    assert_non_null(second->cycle);
    tls_unit_free(first);

    tls_unit_path("one.crt", path);
    file = fopen(path, "r");
    one.certificate = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    tls_unit_path("one.key", path);
    file = fopen(path, "r");
    one.key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);

    tls_unit_save("one", &other, NULL);
    first = tls_unit_read(text, second);
    assert_non_null(first->cycle);
    tls_unit_free(second);

    tls_unit_write("one.key", "broken", 6);
    second = tls_unit_read(text, first);
    assert_null(second->cycle);
    tls_unit_free(second);
    tls_unit_free(first);

    tls_unit_save("one", &one, NULL);
    tls_unit_identity_free(&one);
    tls_unit_identity_free(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_lists_that_people_paste),
        cmocka_unit_test(maps_commands_of_openssl),
        cmocka_unit_test(reads_keys_of_all_sorts),
        cmocka_unit_test(refuses_what_would_not_be_done),
        cmocka_unit_test(a_server_without_certificate_cannot_be_the_default),
        cmocka_unit_test(a_reload_reads_only_what_changed),
    };

    return cmocka_run_group_tests(tests, tls_unit_setup, tls_unit_teardown);
}
