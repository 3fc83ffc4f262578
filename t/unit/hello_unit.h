/*
 * ClientHellos for tests: made by BoringSSL, cut into records, and read by BoringSSL's own server, to compare with what
 * core/tls/client_hello.h makes of them.
 */

#ifndef WEIR_HELLO_UNIT_H
#define WEIR_HELLO_UNIT_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ec_key.h>
#include <openssl/nid.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "core/tls/client_hello.h"

#define HELLO_MAX (3 * WEIR_CLIENT_HELLO_MAX)
#define HELLO_HEADER 5

/* What BoringSSL's server saw of a hello, as far as it went with it. */
typedef struct {
    bool was_asked; /* for a certificate: the name is known */
    char name[256];
    uint16_t version; /* 0: it did not come so far */
    bool has_alpn, is_past_alpn;
    uint8_t alpn[1 << 16];
    size_t alpn_len;
} hello_seen;

static inline enum ssl_select_cert_result_t hello_select(const SSL_CLIENT_HELLO *hello)
{
    hello_seen *seen = SSL_get_app_data(hello->ssl);
    const char *name = SSL_get_servername(hello->ssl, TLSEXT_NAMETYPE_host_name);

    seen->was_asked = true;
    if (name != NULL) {
        snprintf(seen->name, sizeof(seen->name), "%s", name);
    }
    return ssl_select_cert_success;
}

/* Called for hellos without a name, too, once the version is agreed on. */
static inline int hello_named(SSL *ssl, int *alert, void *arg)
{
    hello_seen *seen = SSL_get_app_data(ssl);

    (void) alert;
    (void) arg;
    seen->version = (uint16_t) SSL_version(ssl);
    return SSL_TLSEXT_ERR_OK;
}

static inline int hello_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
                             unsigned in_len, void *arg)
{
    hello_seen *seen = SSL_get_app_data(ssl);

    (void) out;
    (void) out_len;
    (void) arg;
    seen->has_alpn = true;
    seen->alpn_len = in_len;
    memcpy(seen->alpn, in, in_len);
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static inline void hello_by_boringssl(SSL_CTX *server, weir_str bytes, hello_seen *seen)
{
    SSL *ssl = SSL_new(server);
    BIO *in = BIO_new_mem_buf(bytes.data, (int) bytes.len);
    BIO *out = BIO_new(BIO_s_mem());
    const uint8_t *answer;
    size_t answer_len;

    if (ssl == NULL || in == NULL || out == NULL) {
        abort();
    }
    memset(seen, 0, offsetof(hello_seen, alpn));
    seen->alpn_len = 0;
    SSL_set_app_data(ssl, seen);
    SSL_set_bio(ssl, in, out);
    (void) SSL_accept(ssl);
    /* A ServerHello, and no alert. */
    seen->is_past_alpn = BIO_mem_contents(out, &answer, &answer_len) && answer_len != 0
                         && answer[0] == SSL3_RT_HANDSHAKE;
    SSL_free(ssl);
}

/* Signs for a key alone: nobody looks at the certificate. */
static inline bool hello_certify(SSL_CTX *server)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();
    X509 *certificate = X509_new();
    bool is_done;

    is_done = EC_KEY_generate_key(ec) && EVP_PKEY_assign_EC_KEY(key, ec)
              && X509_gmtime_adj(X509_getm_notBefore(certificate), 0) != NULL
              && X509_gmtime_adj(X509_getm_notAfter(certificate), 86400) != NULL
              && X509_set_pubkey(certificate, key) && X509_sign(certificate, key, EVP_sha256()) != 0
              && SSL_CTX_use_certificate(server, certificate)
              && SSL_CTX_use_PrivateKey(server, key);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return is_done;
}

static inline SSL_CTX *hello_server(void)
{
    SSL_CTX *server = SSL_CTX_new(TLS_method());

    if (server == NULL || !SSL_CTX_set_min_proto_version(server, TLS1_VERSION)
        || !SSL_CTX_set_max_proto_version(server, TLS1_3_VERSION) || !hello_certify(server)) {
        abort();
    }
    SSL_CTX_set_select_certificate_cb(server, hello_select);
    SSL_CTX_set_tlsext_servername_callback(server, hello_named);
    SSL_CTX_set_alpn_select_cb(server, hello_alpn, NULL);
    return server;
}

/*
 * Whether both readers may differ, as weir's is the stricter one (other records in between, empty
 * ones), or the one that takes more (over 16 KiB, or with more behind the hello in its last
 * record).
 */
static inline bool hello_is_disputed(weir_str bytes)
{
    size_t message = 0;
    size_t hello = SIZE_MAX;
    uint8_t head[4] = {0};

    while (message < hello && bytes.len >= HELLO_HEADER) {
        size_t len = (size_t) (uint8_t) bytes.data[3] << 8 | (uint8_t) bytes.data[4];

        if (bytes.data[0] != 22 || len == 0) {
            return true;
        }
        for (size_t i = 0; i < len && HELLO_HEADER + i < bytes.len; i++) {
            if (message < sizeof(head)) {
                head[message] = (uint8_t) bytes.data[HELLO_HEADER + i];
            }
            message++;
        }
        if (message >= sizeof(head)) {
            hello = sizeof(head) + ((size_t) head[1] << 16 | (size_t) head[2] << 8 | head[3]);
        }
        if (bytes.len - HELLO_HEADER < len) {
            break;
        }
        bytes = weir_str_from(bytes, HELLO_HEADER + len);
    }
    return hello != SIZE_MAX && (message > hello || hello - sizeof(head) > 16384);
}

/*
 * BoringSSL reads what is encrypted (RFC 9849: extension fe0d) before it asks, and refuses what is
 * malformed there. To weir it is the origin's, and the name outside counts.
 */
static inline bool hello_is_refused_for_ech(weir_str bytes, const hello_seen *seen)
{
    return !seen->was_asked && memmem(bytes.data, bytes.len, "\xfe\x0d", 2) != NULL;
}

static inline bool hello_agrees(const hello_seen *seen, weir_result result,
                                const weir_client_hello *hello)
{
    weir_str name = result == WEIR_OK ? hello->server_name : WEIR_STR_EMPTY;

    return weir_str_eq(name, weir_str_from_z(seen->name)) && (!seen->was_asked || result == WEIR_OK)
           && (seen->version == 0 || seen->version == hello->version)
           && (!(seen->has_alpn || seen->is_past_alpn)
               || weir_str_eq(hello->alpn, weir_str_of((const char *) seen->alpn, seen->alpn_len)));
}

/* Aborts unless both see the same name, version and protocols, where they must; says how far BoringSSL went. */
static inline void hello_compare(SSL_CTX *server, weir_str bytes, hello_seen *seen)
{
    weir_client_hello_reader reader = {.next = 0};
    weir_client_hello hello = {.version = 0};
    weir_pool *pool = weir_pool_new(4096, 0);
    weir_result result = weir_client_hello_read(&reader, bytes, pool, &hello);

    hello_by_boringssl(server, bytes, seen);
    if (!hello_is_disputed(bytes) && !hello_is_refused_for_ech(bytes, seen)
        && !hello_agrees(seen, result, &hello)) {
        fprintf(stderr,
                "weir: %d \"%.*s\" version %04x, %zu bytes of ALPN;"
                " BoringSSL: %d \"%s\" version %04x, %zu bytes of ALPN, %s\n",
                (int) result, WEIR_STR_ARG(hello.server_name), hello.version, hello.alpn.len,
                seen->was_asked, seen->name, seen->version, seen->alpn_len,
                seen->is_past_alpn ? "answered" : "refused");
        for (size_t i = 0; i < bytes.len; i++) {
            fprintf(stderr, "%02x", (uint8_t) bytes.data[i]);
        }
        abort();
    }
    weir_pool_free(pool);
}

#endif
