/* Whose certificates are believed: authorities and revocation lists, and verifying with them. */

#include "core/tls/tls_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

static bool say_library(char why[static WEIR_TLS_WHY_BYTES], weir_str name, const char *call)
{
    char error[160];

    weir_tls_error_text(error, sizeof(error));
    snprintf(why, WEIR_TLS_WHY_BYTES, "%s(\"%.*s\") failed (SSL: %s)", call,
             (int) (name.len < 256 ? name.len : 256), name.len == 0 ? "" : name.data, error);
    return false;
}

/* Whether reading PEM ended because there is no more of it. */
static bool pem_ended(void)
{
    uint32_t error = ERR_peek_last_error();
    bool ended = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;

    if (ended) {
        ERR_clear_error();
    }
    return ended;
}

static bool names_add(weir_tls_trust *trust, X509 *certificate)
{
    uint8_t *der = NULL;
    int len = i2d_X509_NAME(X509_get_subject_name(certificate), &der);
    CRYPTO_BUFFER *name;

    if (len < 0) {
        return false;
    }
    if (trust->names == NULL) {
        trust->names = sk_CRYPTO_BUFFER_new_null();
    }
    name = trust->names == NULL ? NULL : CRYPTO_BUFFER_new(der, (size_t) len, NULL);
    OPENSSL_free(der);
    if (name == NULL || sk_CRYPTO_BUFFER_push(trust->names, name) == 0) {
        CRYPTO_BUFFER_free(name);
        return false;
    }
    return true;
}

static bool digest_certificate(SHA256_CTX *sha, const X509 *certificate)
{
    uint8_t one[SHA256_DIGEST_LENGTH];

    return X509_digest(certificate, EVP_sha256(), one, NULL)
           && SHA256_Update(sha, one, sizeof(one));
}

/* Each certificate of the PEM becomes an authority; one that is there twice is no error. */
static bool authorities_read(weir_tls_trust *trust, SHA256_CTX *sha, weir_str pem, bool named)
{
    BIO *bio = weir_tls_pem_open(pem);
    bool good = bio != NULL;
    size_t count = 0;
    X509 *certificate;

    ERR_clear_error();
    while (good && (certificate = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL)) != NULL) {
        good = X509_STORE_add_cert(trust->store, certificate)
               && digest_certificate(sha, certificate) && (!named || names_add(trust, certificate));
        X509_free(certificate);
        count++;
    }
    BIO_free(bio);
    return good && count != 0 && pem_ended();
}

static bool revoked_read(weir_tls_trust *trust, SHA256_CTX *sha, weir_str pem)
{
    BIO *bio = weir_tls_pem_open(pem);
    bool good = bio != NULL;
    size_t count = 0;
    X509_CRL *crl;

    ERR_clear_error();
    while (good && (crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL)) != NULL) {
        uint8_t one[SHA256_DIGEST_LENGTH];

        good = X509_STORE_add_crl(trust->store, crl)
               && X509_CRL_digest(crl, EVP_sha256(), one, NULL)
               && SHA256_Update(sha, one, sizeof(one));
        X509_CRL_free(crl);
        count++;
    }
    BIO_free(bio);
    X509_STORE_set_flags(trust->store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return good && count != 0 && pem_ended();
}

bool weir_tls_trust_parse(weir_tls_trust *trust, const weir_tls_trust_text *text,
                          char why[static WEIR_TLS_WHY_BYTES])
{
    weir_tls_trust made = {.store = X509_STORE_new()};
    SHA256_CTX sha;
    bool good = true;

    if (made.store == NULL) {
        return say_library(why, WEIR_STR_EMPTY, "X509_STORE_new");
    }
    SHA256_Init(&sha);
    if (trust->named.len != 0 && !authorities_read(&made, &sha, text->named_pem, true)) {
        trust->at_fault = 0;
        good = say_library(why, trust->named, "SSL_CTX_load_verify_locations");
    }
    if (good && trust->trusted.len != 0
        && !authorities_read(&made, &sha, text->trusted_pem, false)) {
        trust->at_fault = 1;
        good = say_library(why, trust->trusted, "SSL_CTX_load_verify_locations");
    }
    SHA256_Update(&sha, "crl", 3);
    if (good && trust->crl.len != 0 && !revoked_read(&made, &sha, text->crl_pem)) {
        trust->at_fault = 2;
        good = say_library(why, trust->crl, "X509_load_crl_file");
    }
    if (!good) {
        weir_tls_trust_release(&made);
        return false;
    }
    SHA256_Final(trust->digest, &sha);
    trust->store = made.store;
    trust->names = made.names;
    return true;
}

static bool text_read(weir_str path, weir_str *text, weir_file_stamp *stamp,
                      char why[static WEIR_TLS_WHY_BYTES])
{
    if (path.len == 0 || weir_tls_file_read(path, WEIR_TLS_PEM_MAX, text, stamp)) {
        return true;
    }
    snprintf(why, WEIR_TLS_WHY_BYTES, "open() \"%.*s\" failed (%d: %s)",
             (int) (path.len < 256 ? path.len : 256), path.data, errno, strerror(errno));
    return false;
}

bool weir_tls_trust_read(weir_tls_trust *trust, weir_tls_trust_text *text,
                         char why[static WEIR_TLS_WHY_BYTES])
{
    const weir_str paths[] = {trust->named, trust->trusted, trust->crl};
    weir_str *const texts[] = {&text->named_pem, &text->trusted_pem, &text->crl_pem};

    for (unsigned i = 0; i < WEIR_COUNT(paths); i++) {
        if (!text_read(paths[i], texts[i], &trust->stamps[i], why)) {
            trust->at_fault = i;
            return false;
        }
    }
    return true;
}

void weir_tls_trust_text_free(const weir_tls_trust_text *text)
{
    weir_tls_file_free(text->named_pem);
    weir_tls_file_free(text->trusted_pem);
    weir_tls_file_free(text->crl_pem);
}

bool weir_tls_trust_load(weir_tls_trust *trust, char why[static WEIR_TLS_WHY_BYTES])
{
    weir_tls_trust_text text = {{0}, {0}, {0}};
    bool done = weir_tls_trust_read(trust, &text, why) && weir_tls_trust_parse(trust, &text, why);

    weir_tls_trust_text_free(&text);
    return done;
}

void weir_tls_trust_borrow(weir_tls_trust *trust, const weir_tls_trust *from)
{
    trust->store = from->store;
    trust->names = from->names;
    memcpy(trust->stamps, from->stamps, sizeof(trust->stamps));
    memcpy(trust->digest, from->digest, sizeof(trust->digest));
}

void weir_tls_trust_release(weir_tls_trust *trust)
{
    X509_STORE_free(trust->store);
    trust->store = NULL;
    sk_CRYPTO_BUFFER_pop_free(trust->names, CRYPTO_BUFFER_free);
    trust->names = NULL;
}

/* ---- verifying */

STACK_OF(X509) * weir_tls_peer_chain(const SSL *ssl)
{
    const STACK_OF(CRYPTO_BUFFER) *buffers = SSL_get0_peer_certificates(ssl);
    STACK_OF(X509) *chain = buffers == NULL ? NULL : sk_X509_new_null();

    for (size_t i = 0; chain != NULL && i < sk_CRYPTO_BUFFER_num(buffers); i++) {
        X509 *certificate = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(buffers, i));

        if (certificate == NULL || sk_X509_push(chain, certificate) == 0) {
            X509_free(certificate);
            sk_X509_pop_free(chain, X509_free);
            return NULL;
        }
    }
    return chain;
}

/*
 * The depth is nginx's and OpenSSL's: how many authorities may stand between the certificate and the one that is trusted.
 * BoringSSL of 2022 counts the trusted one, too, and others do not: it is given one more, and the chain is counted here.
 */
static long verify_chain(X509_STORE *store, STACK_OF(X509) * chain, unsigned depth, bool of_client)
{
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    long error = X509_V_ERR_OUT_OF_MEM;

    if (context != NULL && X509_STORE_CTX_init(context, store, sk_X509_value(chain, 0), chain)
        && X509_STORE_CTX_set_default(context, of_client ? "ssl_client" : "ssl_server")) {
        X509_VERIFY_PARAM_set_depth(X509_STORE_CTX_get0_param(context), (int) depth + 1);
        if (X509_verify_cert(context) != 1) {
            error = X509_STORE_CTX_get_error(context);
        } else if (sk_X509_num(X509_STORE_CTX_get0_chain(context)) > (size_t) depth + 2) {
            error = X509_V_ERR_CERT_CHAIN_TOO_LONG;
        } else {
            error = X509_V_OK;
        }
    }
    X509_STORE_CTX_free(context);
    ERR_clear_error();
    return error;
}

long weir_tls_trust_verify(const weir_tls_trust *trust, const SSL *ssl, unsigned depth,
                           bool of_client)
{
    STACK_OF(X509) *chain = weir_tls_peer_chain(ssl);
    X509_STORE *nobody = trust == NULL ? X509_STORE_new() : NULL;
    X509_STORE *store = trust == NULL ? nobody : trust->store;
    long error = X509_V_ERR_UNSPECIFIED;

    if (chain != NULL && store != NULL) {
        error = verify_chain(store, chain, depth, of_client);
    }
    sk_X509_pop_free(chain, X509_free);
    X509_STORE_free(nobody);
    return error;
}

bool weir_tls_certificate_is_for(const SSL *ssl, weir_str name)
{
    STACK_OF(X509) *chain = weir_tls_peer_chain(ssl);
    char address[INET6_ADDRSTRLEN + 1];
    unsigned char bytes[sizeof(struct in6_addr)];
    bool matches = false;

    if (chain == NULL) {
        return false;
    }
    if (name.len > 2 && name.data[0] == '[' && name.data[name.len - 1] == ']') {
        name = weir_str_slice(name, 1, name.len - 1);
    }
    if (name.len != 0 && name.len < sizeof(address)) {
        memcpy(address, name.data, name.len);
        address[name.len] = '\0';
        if (inet_pton(AF_INET, address, bytes) == 1) {
            matches = X509_check_ip(sk_X509_value(chain, 0), bytes, 4, 0) == 1;
        } else if (inet_pton(AF_INET6, address, bytes) == 1) {
            matches = X509_check_ip(sk_X509_value(chain, 0), bytes, 16, 0) == 1;
        } else {
            matches = X509_check_host(sk_X509_value(chain, 0), name.data, name.len, 0, NULL) == 1;
        }
    } else if (name.len != 0) {
        matches = X509_check_host(sk_X509_value(chain, 0), name.data, name.len, 0, NULL) == 1;
    }
    sk_X509_pop_free(chain, X509_free);
    ERR_clear_error();
    return matches;
}

bool weir_tls_error_is_optional(long error)
{
    return error == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
           || error == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN
           || error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT
           || error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
           || error == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE;
}
