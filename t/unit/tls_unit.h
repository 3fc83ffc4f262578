/*
 * What the tests of core/tls share: certificates made on the spot, a configuration with servers and origins, and a
 * peer that is BoringSSL over a socket, whose bytes can be cut as a test likes.
 *
 * Defines the list of modules, so a program includes it once.
 */

#ifndef WEIR_UNIT_TLS_UNIT_H
#define WEIR_UNIT_TLS_UNIT_H

#include "t/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/base/block.h"
#include "core/base/clock.h"
#include "core/conf/module.h"
#include "core/process/worker.h"
#include "core/process/zone.h"
#include "core/tls/tls.h"
#include "t/unit/net_fixture.h"

/* A test uses what it needs. */
#pragma GCC diagnostic ignored "-Wunused-function"

/* ---- certificates */

typedef enum {
    TLS_UNIT_P256,
    TLS_UNIT_RSA,
    TLS_UNIT_ED25519,
} tls_unit_kind;

typedef struct {
    EVP_PKEY *key;
    X509 *certificate;
} tls_unit_identity;

static char tls_unit_folder[256];

static void tls_unit_path(const char *name, char path[static 512])
{
    snprintf(path, 512, "%s/%s", tls_unit_folder, name);
}

static void tls_unit_write(const char *name, const void *data, size_t len)
{
    char path[512];
    FILE *file;

    tls_unit_path(name, path);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static EVP_PKEY *tls_unit_key(tls_unit_kind kind)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context;

    if (kind == TLS_UNIT_P256) {
        EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);

        key = EVP_PKEY_new();
        assert_true(EC_KEY_generate_key(ec) && EVP_PKEY_assign_EC_KEY(key, ec));
        return key;
    }
    context = EVP_PKEY_CTX_new_id(kind == TLS_UNIT_RSA ? EVP_PKEY_RSA : EVP_PKEY_ED25519, NULL);
    assert_true(EVP_PKEY_keygen_init(context));
    if (kind == TLS_UNIT_RSA) {
        assert_true(EVP_PKEY_CTX_set_rsa_keygen_bits(context, 2048));
    }
    assert_true(EVP_PKEY_keygen(context, &key));
    EVP_PKEY_CTX_free(context);
    return key;
}

static void tls_unit_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;

    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_nconf_nid(NULL, &context, nid, (char *) (uintptr_t) value);
    assert_non_null(extension);
    assert_true(X509_add_ext(certificate, extension, -1));
    X509_EXTENSION_free(extension);
}

/* `names`: subjectAltName, or "CA"; `issuer` NULL: self-signed. */
static tls_unit_identity tls_unit_identify(const char *subject, const char *names,
                                           tls_unit_kind kind, const tls_unit_identity *issuer)
{
    static long serial = 0x1234;
    tls_unit_identity made = {tls_unit_key(kind), X509_new()};
    X509_NAME *name = X509_get_subject_name(made.certificate);
    const tls_unit_identity *signer = issuer != NULL ? issuer : &made;

    assert_true(X509_set_version(made.certificate, 2));
    ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), serial++);
    assert_true(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const uint8_t *) "Weir, Ltd",
                                           -1, -1, 0));
    assert_true(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *) subject, -1,
                                           -1, 0));
    X509_gmtime_adj(X509_getm_notBefore(made.certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(made.certificate), 30 * 86400 + 100);
    assert_true(X509_set_pubkey(made.certificate, made.key));
    assert_true(X509_set_issuer_name(made.certificate, X509_get_subject_name(signer->certificate)));
    if (strcmp(names, "CA") == 0) {
        tls_unit_extension(made.certificate, NID_basic_constraints, "critical,CA:TRUE");
        tls_unit_extension(made.certificate, NID_key_usage, "keyCertSign,cRLSign");
    } else {
        tls_unit_extension(made.certificate, NID_subject_alt_name, names);
    }
    assert_true(X509_sign(made.certificate, signer->key,
                          EVP_PKEY_id(signer->key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256())
                > 0);
    return made;
}

static void tls_unit_identity_free(tls_unit_identity *identity)
{
    EVP_PKEY_free(identity->key);
    X509_free(identity->certificate);
}

static void tls_unit_write_bio(const char *name, BIO *bio)
{
    const uint8_t *data;
    size_t len;

    assert_true(BIO_mem_contents(bio, &data, &len));
    tls_unit_write(name, data, len);
    BIO_free(bio);
}

/* NAME.crt and NAME.key; with a passphrase the key is encrypted. */
static void tls_unit_save(const char *name, const tls_unit_identity *identity,
                          const char *passphrase)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char file[128];

    assert_true(PEM_write_bio_X509(bio, identity->certificate));
    snprintf(file, sizeof(file), "%s.crt", name);
    tls_unit_write_bio(file, bio);

    bio = BIO_new(BIO_s_mem());
    assert_true(PEM_write_bio_PKCS8PrivateKey(
        bio, identity->key, passphrase == NULL ? NULL : EVP_aes_256_cbc(),
        (char *) (uintptr_t) passphrase, passphrase == NULL ? 0 : (int) strlen(passphrase), NULL,
        NULL));
    snprintf(file, sizeof(file), "%s.key", name);
    tls_unit_write_bio(file, bio);
}

/* ---- configuration */

enum {
    TLS_UNIT_SERVER = WEIR_FIRST_FAMILY_CONTEXT << 1,
};

typedef struct {
    weir_tls_server_conf server;
    weir_tls_client_conf client;
} tls_unit_settings;

typedef struct {
    weir_str name;
    weir_tls_server *server;
    weir_tls_client *client;
} tls_unit_server;

/* One reading. */
typedef struct {
    weir_cycle *cycle; /* NULL: refused */
    tls_unit_server *servers;
    size_t count;
    char messages[16384];
} tls_unit_conf;

static tls_unit_conf *tls_unit_reading;
static bool tls_unit_is_client; /* `server` blocks make clients */

static weir_level *tls_unit_enter(weir_conf *conf, weir_level *outer,
                                  const weir_statement *statement)
{
    (void) statement;
    return weir_level_new(conf, outer, NULL);
}

static bool tls_unit_leave(weir_conf *conf, weir_level *level, const weir_statement *statement);

static const weir_directive tls_unit_directives[] = {
    {
        .name = "server",
        .where = WEIR_MAIN,
        .takes = WEIR_TAKES(1, 1),
        .repeatable = true,
        .block = WEIR_BLOCK_LEVEL,
        .opens = TLS_UNIT_SERVER,
        .enter = tls_unit_enter,
        .leave = tls_unit_leave,
    },
    WEIR_TLS_SERVER_DIRECTIVES(tls_unit_settings, server, TLS_UNIT_SERVER),
    WEIR_TLS_EARLY_DATA_DIRECTIVE(tls_unit_settings, server, TLS_UNIT_SERVER),
    WEIR_TLS_CLIENT_DIRECTIVES("proxy_ssl_", tls_unit_settings, client, TLS_UNIT_SERVER),
    {0},
};

static const weir_context tls_unit_contexts[] = {{TLS_UNIT_SERVER, "server", "http"}, {0}};

static const weir_module tls_unit_module = {
    .name = "tls unit",
    .directives = tls_unit_directives,
    .contexts = tls_unit_contexts,
    .conf_size = sizeof(tls_unit_settings),
};

extern const weir_module weir_core_module, weir_events_module;

/* In place of the list that configure makes. */
const weir_module_entry weir_static_modules[] = {
    {"core", &weir_core_module},
    {"core", &weir_events_module},
    {"http", &tls_unit_module},
    {NULL, NULL},
};

static bool tls_unit_leave(weir_conf *conf, weir_level *level, const weir_statement *statement)
{
    const tls_unit_settings *settings = weir_level_settings(level, &tls_unit_module);
    tls_unit_server *made;

    tls_unit_reading->servers =
        realloc(tls_unit_reading->servers,
                (tls_unit_reading->count + 1) * sizeof(*tls_unit_reading->servers));
    made = &tls_unit_reading->servers[tls_unit_reading->count];
    *made = (tls_unit_server){0};
    made->name = statement->args[1];
    if (tls_unit_is_client) {
        made->client = weir_tls_client_new(conf, &settings->client, "proxy_ssl_", "http");
    } else {
        made->server = weir_tls_server_new(conf, &settings->server, "http");
    }
    tls_unit_reading->count++;
    return made->server != NULL || made->client != NULL;
}

/* What was written to stderr since it was turned to `fd`. */
static void tls_unit_messages(int fd, int stderr_copy, char *messages, size_t size)
{
    ssize_t len;

    dup2(stderr_copy, STDERR_FILENO);
    close(stderr_copy);
    len = pread(fd, messages, size - 1, 0);
    messages[len < 0 ? 0 : len] = '\0';
    close(fd);
}

static void tls_unit_free(tls_unit_conf *read)
{
    if (read != NULL) {
        weir_cycle_free(read->cycle);
        free(read->servers);
        free(read);
    }
}

/* Reads a configuration; ->cycle is NULL if it was refused. Relative paths are from the folder. */
static tls_unit_conf *tls_unit_read(const char *text, const tls_unit_conf *previous)
{
    tls_unit_conf *read = calloc(1, sizeof(*read));
    int fd = memfd_create("messages", MFD_CLOEXEC), stderr_copy = dup(STDERR_FILENO);
    weir_conf_options options = {.make_template = weir_template_make};
    char path[512], *whole;
    int len = asprintf(&whole, "error_log stderr warn; pid weir.pid; events {} %s", text);

    assert_true(len > 0);
    tls_unit_write("weir.conf", whole, (size_t) len);
    free(whole);
    tls_unit_path("weir.conf", path);
    options.conf_file = weir_str_from_z(path);
    options.prefix = weir_str_slice(options.conf_file, 0, strlen(tls_unit_folder) + 1);
    tls_unit_reading = read;

    dup2(fd, STDERR_FILENO);
    read->cycle = weir_cycle_load(&options, previous == NULL ? NULL : previous->cycle);
    if (read->cycle != NULL) {
        weir_cycle_log_to_files(read->cycle);
    }
    tls_unit_messages(fd, stderr_copy, read->messages, sizeof(read->messages));
    return read;
}

/* The same, which must be accepted. */
static tls_unit_conf *tls_unit_load(const char *text)
{
    tls_unit_conf *read = tls_unit_read(text, NULL);

    if (read->cycle == NULL) {
        fail_msg("refused: %s", read->messages);
    }
    return read;
}

/* ---- the folder and its identities: a CA, two servers, a client of the CA, a client of nobody */

static tls_unit_identity tls_unit_ca;

static int tls_unit_setup(void **state)
{
    tls_unit_identity one, rsa, two, client, stranger;

    (void) state;

    snprintf(tls_unit_folder, sizeof(tls_unit_folder), "%s/weir-tls-XXXXXX",
             getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(tls_unit_folder));

    tls_unit_ca = tls_unit_identify("unit CA", "CA", TLS_UNIT_P256, NULL);
    one = tls_unit_identify("one.example", "DNS:one.example,IP:127.0.0.1", TLS_UNIT_P256,
                            &tls_unit_ca);
    rsa = tls_unit_identify("one.example", "DNS:one.example", TLS_UNIT_RSA, &tls_unit_ca);
    two = tls_unit_identify("two.example", "DNS:two.example", TLS_UNIT_P256, &tls_unit_ca);
    client = tls_unit_identify("alice", "DNS:alice.example", TLS_UNIT_P256, &tls_unit_ca);
    stranger = tls_unit_identify("mallory", "DNS:mallory.example", TLS_UNIT_P256, NULL);
    tls_unit_save("ca", &tls_unit_ca, NULL);
    tls_unit_save("one", &one, NULL);
    tls_unit_save("locked", &one, "sesame");
    tls_unit_save("rsa", &rsa, NULL);
    tls_unit_save("two", &two, NULL);
    tls_unit_save("client", &client, NULL);
    tls_unit_save("stranger", &stranger, NULL);
    tls_unit_identity_free(&one);
    tls_unit_identity_free(&rsa);
    tls_unit_identity_free(&two);
    tls_unit_identity_free(&client);
    tls_unit_identity_free(&stranger);
    return 0;
}

static int tls_unit_teardown(void **state)
{
    DIR *folder = opendir(tls_unit_folder);
    struct dirent *entry;

    (void) state;

    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] != '.') {
            unlinkat(dirfd(folder), entry->d_name, 0);
        }
    }
    closedir(folder);
    rmdir(tls_unit_folder);
    tls_unit_identity_free(&tls_unit_ca);
    return 0;
}

/* ---- our end: accepts with the servers of a configuration, and keeps what it reads */

typedef struct {
    net_fixture *net;
    tls_unit_conf *conf;
    weir_tls_acceptor acceptor;

    weir_connection *connection; /* the last one that was accepted */
    bool is_done;
    weir_tls_outcome outcome;
    bool was_early;
    bool holds_back; /* does not read */
    char *received;
    size_t received_len;
    bool ended, broken;
    weir_chain to_write;
    weir_result wrote;
} tls_unit;

static tls_unit *tls_unit_of(const weir_connection *connection)
{
    return connection->owner;
}

static void tls_unit_readable(weir_connection *connection)
{
    tls_unit *t = tls_unit_of(connection);
    size_t len;

    while (!t->holds_back) {
        weir_result result;

        t->received = realloc(t->received, t->received_len + 5000);
        result = weir_connection_read(connection, t->received + t->received_len, 5000, &len);
        if (result == WEIR_FAIL) {
            t->broken = true;
            return;
        }
        if (result == WEIR_WAIT) {
            return;
        }
        if (len == 0) {
            t->ended = true;
            return;
        }
        t->received_len += len;
    }
}

static void tls_unit_writable(weir_connection *connection)
{
    tls_unit *t = tls_unit_of(connection);

    t->wrote = weir_connection_write(connection, &t->to_write, UINT64_MAX);
}

static const weir_connection_state tls_unit_open = {
    .name = "open",
    .on_readable = tls_unit_readable,
    .on_writable = tls_unit_writable,
};

static void tls_unit_done(weir_connection *connection, weir_tls_outcome outcome)
{
    tls_unit *t = tls_unit_of(connection);

    t->is_done = true;
    t->outcome = outcome;
    t->was_early = weir_tls_is_early(connection);
    if (outcome != WEIR_TLS_REFUSED) {
        weir_connection_enter(connection, &tls_unit_open);
    } else {
        weir_connection_close(connection);
        t->connection = NULL;
    }
}

static void tls_unit_accepted(weir_connection *connection, void *subject)
{
    tls_unit *t = subject;

    free(t->received);
    t->received = NULL;
    t->received_len = 0;
    t->is_done = t->ended = t->broken = false;
    t->connection = connection;
    connection->owner = t;
    weir_tls_accept(connection, &t->acceptor, tls_unit_done);
}

static weir_tls_server *tls_unit_find(weir_connection *connection, weir_str name, void *subject)
{
    tls_unit *t = subject;

    (void) connection;

    for (size_t i = 0; i < t->conf->count; i++) {
        if (weir_str_eq(t->conf->servers[i].name, name)) {
            return t->conf->servers[i].server;
        }
    }
    return NULL;
}

/* Serves the configuration; the first server is the default. */
static void tls_unit_serve(tls_unit *t, tls_unit_conf *conf)
{
    tls_unit_free(t->conf);
    t->conf = conf;
    t->acceptor.default_server = conf->servers[0].server;
}

static int tls_unit_begin(void **state)
{
    tls_unit *t = calloc(1, sizeof(*t));

    assert_int_equal(net_set_up((void **) &t->net), 0);
    t->net->listener->accepted = tls_unit_accepted;
    t->net->listener->subject = t;
    t->acceptor.find = tls_unit_find;
    t->acceptor.subject = t;
    t->acceptor.handshake_timeout_ms = 5000;
    *state = t;
    return 0;
}

static void tls_unit_close(tls_unit *t)
{
    if (t->connection != NULL) {
        weir_connection_close(t->connection);
        t->connection = NULL;
    }
    weir_chain_clear(&t->to_write);
    net_settle(t->net);
}

static int tls_unit_end(void **state)
{
    tls_unit *t = *state;
    int failed;

    tls_unit_close(t);
    failed = net_tear_down((void **) &t->net);
    tls_unit_free(t->conf);
    free(t->received);
    free(t);
    return failed;
}

/* ---- the peer */

typedef struct {
    int fd;
    SSL *ssl;
    size_t cut; /* bytes at a time; 0: all at once */
    bool closed;
} tls_unit_peer;

/* A client's context; the test may set more. */
static SSL_CTX *tls_unit_context(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());

    assert_non_null(ctx);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT);
    return ctx;
}

static tls_unit_peer tls_unit_connect(tls_unit *t, SSL_CTX *ctx, const char *name)
{
    tls_unit_peer peer = {.fd = net_client(t->net), .ssl = SSL_new(ctx)};
    const int on = 1;

    assert_non_null(peer.ssl);
    assert_int_equal(setsockopt(peer.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
    SSL_set_bio(peer.ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    BIO_set_mem_eof_return(SSL_get_rbio(peer.ssl), -1);
    SSL_set_connect_state(peer.ssl);
    if (name != NULL) {
        assert_true(SSL_set_tlsext_host_name(peer.ssl, name));
    }
    return peer;
}

static void tls_unit_peer_free(tls_unit *t, tls_unit_peer *peer)
{
    SSL_free(peer->ssl);
    close(peer->fd);
    net_settle(t->net);
}

/* Sends what BoringSSL made, and gives it what came. */
static void tls_unit_pump(tls_unit *t, tls_unit_peer *peer)
{
    BIO *out = SSL_get_wbio(peer->ssl);
    char buffer[65536];
    ssize_t got;
    int len;

    while ((len = BIO_read(out, buffer, peer->cut == 0 ? (int) sizeof(buffer) : (int) peer->cut))
           > 0) {
        net_send(peer->fd, buffer, (size_t) len);
        net_settle(t->net);
    }
    net_settle(t->net);
    while ((got = recv(peer->fd, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0) {
        BIO_write(SSL_get_rbio(peer->ssl), buffer, (int) got);
    }
    peer->closed = got == 0 || (got == -1 && errno != EAGAIN);
}

/* 1: done; 0: it cannot be. */
static bool tls_unit_shake(tls_unit *t, tls_unit_peer *peer)
{
    for (int i = 0; i < 50; i++) {
        int result = SSL_do_handshake(peer->ssl);
        int error = SSL_get_error(peer->ssl, result);

        tls_unit_pump(t, peer);
        if (result == 1) {
            return true;
        }
        if (error != SSL_ERROR_WANT_READ
            || (peer->closed && BIO_pending(SSL_get_rbio(peer->ssl)) == 0)) {
            return false;
        }
    }
    return false;
}

static void tls_unit_say(tls_unit *t, tls_unit_peer *peer, const char *text)
{
    assert_int_equal(SSL_write(peer->ssl, text, (int) strlen(text)), strlen(text));
    tls_unit_pump(t, peer);
}

/* Our end writes; the peer is to read the same. */
static void tls_unit_answer(tls_unit *t, tls_unit_peer *peer, const char *text)
{
    char buffer[4096];
    size_t len = 0;

    assert_true(weir_chain_add_memory(&t->to_write, weir_str_from_z(text)));
    tls_unit_writable(t->connection);
    assert_int_equal(t->wrote, WEIR_OK);
    if (t->connection->write_is_last) {
        /* Leave was taken in the same flight, and the end that was promised sends it off. */
        assert_true(weir_tls_is_shut(t->connection));
        assert_int_equal(weir_connection_shut(t->connection), WEIR_OK);
    }
    for (int i = 0; i < 50 && len < strlen(text); i++) {
        int got;

        tls_unit_pump(t, peer);
        while ((got = SSL_read(peer->ssl, buffer + len, (int) (sizeof(buffer) - len))) > 0) {
            len += (size_t) got;
        }
    }
    assert_int_equal(len, strlen(text));
    assert_memory_equal(buffer, text, len);
}

static void tls_unit_assert_received(const tls_unit *t, const char *text)
{
    assert_int_equal(t->received_len, strlen(text));
    assert_memory_equal(t->received, text, t->received_len);
}

/* The common name of the certificate that the peer was shown. */
static void tls_unit_assert_subject(const tls_unit_peer *peer, const char *name, int kind)
{
    X509 *certificate = SSL_get_peer_certificate(peer->ssl);
    EVP_PKEY *key;
    char text[128];

    assert_non_null(certificate);
    assert_true(X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text,
                                          sizeof(text))
                > 0);
    assert_string_equal(text, name);
    key = X509_get_pubkey(certificate);
    assert_int_equal(EVP_PKEY_id(key), kind);
    EVP_PKEY_free(key);
    X509_free(certificate);
}

/* The value of $ssl_NAME of our end; "-": none. */
static void tls_unit_assert_value(const tls_unit *t, const char *name, const char *text)
{
    weir_pool *pool = weir_pool_new(4096, 0);
    weir_str value;
    bool found;

    assert_true(weir_tls_value(t->connection, weir_str_from_z(name), pool, &value, &found));
    if (!found) {
        value = WEIR_STR("-");
    }
    if (!weir_str_eq(value, weir_str_from_z(text))) {
        fail_msg("$ssl_%s is \"%.*s\", not \"%s\"", name, WEIR_STR_ARG(value), text);
    }
    weir_pool_free(pool);
}

#endif
