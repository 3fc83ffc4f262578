/*
 * ClientHellos for tests: made by BoringSSL, cut into records, and read by BoringSSL's own server, to compare with what
 * core/tls/client_hello.h makes of them.
 */

#ifndef WEIR_HELLO_UNIT_H
#define WEIR_HELLO_UNIT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>

#include "core/tls/client_hello.h"

#define HELLO_MAX (3 * WEIR_CLIENT_HELLO_MAX)
#define HELLO_HEADER 5

/* What BoringSSL's server saw of a hello when it asked for a certificate. */
typedef struct {
    bool was_asked;
    char name[256];
} hello_seen;

static inline enum ssl_select_cert_result_t hello_select(const SSL_CLIENT_HELLO *hello)
{
    hello_seen *seen = SSL_get_app_data(hello->ssl);
    const char *name = SSL_get_servername(hello->ssl, TLSEXT_NAMETYPE_host_name);

    seen->was_asked = true;
    if (name != NULL) {
        snprintf(seen->name, sizeof(seen->name), "%s", name);
    }
    return ssl_select_cert_error;
}

static inline hello_seen hello_by_boringssl(SSL_CTX *server, weir_str bytes)
{
    hello_seen seen = {.was_asked = false};
    SSL *ssl = SSL_new(server);
    BIO *in = BIO_new_mem_buf(bytes.data, (int) bytes.len);
    BIO *out = BIO_new(BIO_s_mem());

    if (ssl == NULL || in == NULL || out == NULL) {
        abort();
    }
    SSL_set_app_data(ssl, &seen);
    SSL_set_bio(ssl, in, out);
    (void) SSL_accept(ssl);
    SSL_free(ssl);
    return seen;
}

static inline SSL_CTX *hello_server(void)
{
    SSL_CTX *server = SSL_CTX_new(TLS_method());

    if (server == NULL || !SSL_CTX_set_min_proto_version(server, TLS1_VERSION)) {
        abort();
    }
    SSL_CTX_set_select_certificate_cb(server, hello_select);
    return server;
}

/*
 * Whether both readers may differ, as weir's is the stricter one (other records in between, empty ones), or the one that
 * takes more (over 16 KiB, or with more behind the hello in its last record).
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

/* Aborts unless both see the same name, where they must. */
static inline void hello_compare(SSL_CTX *server, weir_str bytes)
{
    weir_client_hello_reader reader = {.next = 0};
    weir_client_hello hello = {.version = 0};
    weir_pool *pool = weir_pool_new(4096, 0);
    weir_result result = weir_client_hello_read(&reader, bytes, pool, &hello);
    hello_seen seen = hello_by_boringssl(server, bytes);

    if (!hello_is_disputed(bytes)) {
        weir_str name = result == WEIR_OK ? hello.server_name : WEIR_STR_EMPTY;

        if (!weir_str_eq(name, weir_str_from_z(seen.name))
            || (seen.was_asked && result != WEIR_OK)) {
            fprintf(stderr, "weir: %d \"%.*s\", BoringSSL: %d \"%s\"\n", (int) result,
                    WEIR_STR_ARG(name), seen.was_asked, seen.name);
            for (size_t i = 0; i < bytes.len; i++) {
                fprintf(stderr, "%02x", (uint8_t) bytes.data[i]);
            }
            abort();
        }
    }
    weir_pool_free(pool);
}

#endif
