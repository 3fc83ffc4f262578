/* A certificate with its chain and its secret key: read, checked, put into contexts. */

#include "core/tls/tls_internal.h"

#include <errno.h>
#include <openssl/bytestring.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#define CHAIN_MAX 100

static bool say(char why[static WEIR_TLS_WHY_BYTES], const char *what, weir_str name,
                const char *detail)
{
    snprintf(why, WEIR_TLS_WHY_BYTES, "%s \"%.*s\": %s", what,
             (int) (name.len < 256 ? name.len : 256), name.len == 0 ? "" : name.data, detail);
    return false;
}

static bool say_library(char why[static WEIR_TLS_WHY_BYTES], const char *what, weir_str name,
                        const char *call)
{
    char error[160], detail[256];

    weir_tls_error_text(error, sizeof(error));
    snprintf(detail, sizeof(detail), "%s() failed (SSL: %s)", call, error);
    return say(why, what, name, detail);
}

/* ---- the chain */

/* Equal intermediates of many chains are kept once. */
static CRYPTO_BUFFER_POOL *shared_buffers(void)
{
    static CRYPTO_BUFFER_POOL *pool;

    if (pool == NULL) {
        pool = CRYPTO_BUFFER_POOL_new();
    }
    return pool;
}

static bool is_certificate(const char *type)
{
    return strcmp(type, "CERTIFICATE") == 0 || strcmp(type, "X509 CERTIFICATE") == 0
           || strcmp(type, "TRUSTED CERTIFICATE") == 0;
}

/* Each block of the PEM that is a certificate; others, such as keys, are passed over. */
static bool chain_read(weir_tls_pair *pair, weir_str pem)
{
    CRYPTO_BUFFER *chain[CHAIN_MAX];
    BIO *bio = weir_tls_pem_open(pem);
    size_t count = 0;
    char *type, *header;
    uint8_t *der;
    long len;

    ERR_clear_error();
    while (bio != NULL && count < CHAIN_MAX && PEM_read_bio(bio, &type, &header, &der, &len)) {
        if (is_certificate(type)) {
            chain[count] = CRYPTO_BUFFER_new(der, (size_t) len, shared_buffers());
            count += chain[count] != NULL;
        }
        OPENSSL_free(type);
        OPENSSL_free(header);
        OPENSSL_free(der);
    }
    BIO_free(bio);

    /* It ends with "no start line"; anything else is a broken block. */
    if (count != 0 && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) {
        pair->chain = malloc(count * sizeof(CRYPTO_BUFFER *));
    }
    if (pair->chain == NULL) {
        while (count != 0) {
            CRYPTO_BUFFER_free(chain[--count]);
        }
        return false;
    }
    ERR_clear_error();
    memcpy(pair->chain, chain, count * sizeof(CRYPTO_BUFFER *));
    pair->chain_count = count;
    return true;
}

static void chain_digest(weir_tls_pair *pair)
{
    SHA256_CTX sha;

    SHA256_Init(&sha);
    for (size_t i = 0; i < pair->chain_count; i++) {
        SHA256_Update(&sha, CRYPTO_BUFFER_data(pair->chain[i]), CRYPTO_BUFFER_len(pair->chain[i]));
    }
    SHA256_Final(pair->digest, &sha);
}

/* ---- what the leaf says; a whole X509 would cost many times as much */

static bool digits(CBS *text, size_t count, int *number)
{
    *number = 0;
    while (count-- != 0) {
        uint8_t byte;

        if (!CBS_get_u8(text, &byte) || byte < '0' || byte > '9') {
            return false;
        }
        *number = *number * 10 + (byte - '0');
    }
    return true;
}

/* UTCTime or GeneralizedTime (RFC 5280, 4.1.2.5). */
static bool time_read(CBS *der, int64_t *seconds)
{
    unsigned tag;
    CBS text;
    struct tm tm = {0};
    int year;

    if (!CBS_get_any_asn1(der, &text, &tag)) {
        return false;
    }
    if (tag == CBS_ASN1_UTCTIME) {
        if (!digits(&text, 2, &year)) {
            return false;
        }
        year += year < 50 ? 2000 : 1900;
    } else if (tag != CBS_ASN1_GENERALIZEDTIME || !digits(&text, 4, &year)) {
        return false;
    }
    if (!digits(&text, 2, &tm.tm_mon) || !digits(&text, 2, &tm.tm_mday)
        || !digits(&text, 2, &tm.tm_hour) || !digits(&text, 2, &tm.tm_min)
        || !digits(&text, 2, &tm.tm_sec)) {
        return false;
    }
    tm.tm_year = year - 1900;
    tm.tm_mon--;
    *seconds = timegm(&tm);
    return true;
}

static bool leaf_read(weir_tls_pair *pair, EVP_PKEY **public_key)
{
    CBS der, certificate, tbs, validity;
    int64_t not_before;

    CRYPTO_BUFFER_init_CBS(pair->chain[0], &der);
    if (!CBS_get_asn1(&der, &certificate, CBS_ASN1_SEQUENCE)
        || !CBS_get_asn1(&certificate, &tbs, CBS_ASN1_SEQUENCE)
        || !CBS_get_optional_asn1(&tbs, NULL, NULL,
                                  CBS_ASN1_CONSTRUCTED | CBS_ASN1_CONTEXT_SPECIFIC | 0)
        || !CBS_get_asn1(&tbs, NULL, CBS_ASN1_INTEGER)  /* serial number */
        || !CBS_get_asn1(&tbs, NULL, CBS_ASN1_SEQUENCE) /* signature algorithm */
        || !CBS_get_asn1(&tbs, NULL, CBS_ASN1_SEQUENCE) /* issuer */
        || !CBS_get_asn1(&tbs, &validity, CBS_ASN1_SEQUENCE) || !time_read(&validity, &not_before)
        || !time_read(&validity, &pair->not_after)
        || !CBS_get_asn1(&tbs, NULL, CBS_ASN1_SEQUENCE)) { /* subject */
        OPENSSL_PUT_ERROR(X509, X509_R_INVALID_FIELD_FOR_VERSION);
        return false;
    }
    *public_key = EVP_parse_public_key(&tbs);
    return *public_key != NULL;
}

/* ---- the key */

typedef struct {
    weir_str rest; /* of the passphrases */
    weir_str now;
    bool asked;
} passwords;

static int password_give(char *buffer, int size, int writing, void *subject)
{
    passwords *given = subject;

    (void) writing;

    given->asked = true;
    if (given->now.len > (size_t) size) {
        return -1;
    }
    memcpy(buffer, given->now.data, given->now.len);
    return (int) given->now.len;
}

static EVP_PKEY *key_read_once(weir_str pem, passwords *given)
{
    BIO *bio = weir_tls_pem_open(pem);
    EVP_PKEY *key;

    if (bio == NULL) {
        return NULL;
    }
    ERR_clear_error();
    key = PEM_read_bio_PrivateKey(bio, NULL, password_give, given);
    BIO_free(bio);
    return key;
}

/* Each passphrase is tried in turn, as nginx does; an unencrypted key needs none. */
static EVP_PKEY *key_read(weir_str pem, weir_str password_lines)
{
    passwords given = {.rest = password_lines, .now = WEIR_STR_EMPTY};
    EVP_PKEY *key = NULL;
    weir_str line;

    while (weir_str_split(&given.rest, '\n', &line)) {
        if (line.len != 0 && line.data[line.len - 1] == '\r') {
            line.len--;
        }
        given.now = line;
        key = key_read_once(pem, &given);
        if (key != NULL || !given.asked) {
            return key;
        }
    }
    return given.asked ? NULL : key_read_once(pem, &given);
}

static uint16_t key_signature(const EVP_PKEY *key)
{
    switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_RSA:
        return SSL_SIGN_RSA_PSS_RSAE_SHA256;
    case EVP_PKEY_ED25519:
        return SSL_SIGN_ED25519;
    case EVP_PKEY_EC:
        break;
    default:
        return 0;
    }
    switch (EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key)))) {
    case NID_X9_62_prime256v1:
        return SSL_SIGN_ECDSA_SECP256R1_SHA256;
    case NID_secp384r1:
        return SSL_SIGN_ECDSA_SECP384R1_SHA384;
    case NID_secp521r1:
        return SSL_SIGN_ECDSA_SECP521R1_SHA512;
    default:
        return 0;
    }
}

/* ---- both */

bool weir_tls_pair_check(weir_tls_pair *pair, const weir_tls_pair_text *text,
                         char why[static WEIR_TLS_WHY_BYTES])
{
    EVP_PKEY *public_key = NULL;
    bool same;

    if (!leaf_read(pair, &public_key)) {
        return say_library(why, "cannot load certificate", text->certificate_name,
                           "EVP_parse_public_key");
    }
    same = EVP_PKEY_cmp(public_key, pair->private_key) == 1;
    EVP_PKEY_free(public_key);
    if (!same) {
        ERR_clear_error();
        pair->at_fault = WEIR_TLS_PAIR_KEY;
        return say(why, "cannot use certificate key", text->key_name,
                   "it is not the key of the certificate (SSL: key values mismatch)");
    }

    chain_digest(pair);
    pair->signature = key_signature(pair->private_key);
    pair->at_fault = WEIR_TLS_PAIR_KEY;
    return pair->signature != 0
           || say(why, "cannot use certificate key", text->key_name, "TLS has no such kind of key");
}

/* Fills all of it. False, with the reason in `why`: nothing is held. */
static bool pair_parse(weir_tls_pair *pair, const weir_tls_pair_text *text,
                       char why[static WEIR_TLS_WHY_BYTES])
{
    weir_tls_pair made = {0};

    if (!chain_read(&made, text->certificate_pem)) {
        return say_library(why, "cannot load certificate", text->certificate_name, "PEM_read_bio");
    }
    made.private_key = key_read(text->key_pem, text->passwords);
    if (made.private_key == NULL) {
        weir_tls_pair_release(&made);
        pair->at_fault = WEIR_TLS_PAIR_KEY;
        return say_library(why, "cannot load certificate key", text->key_name,
                           "PEM_read_bio_PrivateKey");
    }
    if (!weir_tls_pair_check(&made, text, why)) {
        weir_tls_pair_release(&made);
        pair->at_fault = made.at_fault;
        return false;
    }

    pair->chain = made.chain;
    pair->chain_count = made.chain_count;
    pair->private_key = made.private_key;
    pair->signature = made.signature;
    pair->not_after = made.not_after;
    memcpy(pair->digest, made.digest, sizeof(pair->digest));
    return true;
}

static bool text_read(weir_str name, const char *what, weir_str *text, weir_file_stamp *stamp,
                      char why[static WEIR_TLS_WHY_BYTES])
{
    char detail[128];

    if (weir_tls_name_is_data(name)) {
        *text = weir_str_from(name, sizeof("data:") - 1);
        return true;
    }
    if (weir_tls_file_read(name, WEIR_TLS_PEM_MAX, text, stamp)) {
        return true;
    }
    snprintf(detail, sizeof(detail), "open() failed (%d: %s)", errno, strerror(errno));
    return say(why, what, name, detail);
}

static void text_done(weir_str name, weir_str text)
{
    if (!weir_tls_name_is_data(name)) {
        weir_tls_file_free(text);
    }
}

bool weir_tls_pair_load(weir_tls_pair *pair, char why[static WEIR_TLS_WHY_BYTES])
{
    static const weir_str hidden = WEIR_STR_INIT("data:...");
    weir_tls_pair_text text = {
        .certificate_name = pair->certificate,
        .key_name = weir_tls_name_is_data(pair->key) ? hidden : pair->key,
    };
    weir_file_stamp ignored;
    bool done = false;

    pair->at_fault = WEIR_TLS_PAIR_CERTIFICATE;
    if (!text_read(pair->certificate, "cannot load certificate", &text.certificate_pem,
                   &pair->certificate_stamp, why)) {
        return false;
    }
    if (!text_read(pair->key, "cannot load certificate key", &text.key_pem, &pair->key_stamp,
                   why)) {
        pair->at_fault = WEIR_TLS_PAIR_KEY;
    } else {
        if (pair->passwords.len != 0
            && !text_read(pair->passwords, "cannot load password file", &text.passwords, &ignored,
                          why)) {
            pair->at_fault = WEIR_TLS_PAIR_PASSWORDS;
        } else {
            done = pair_parse(pair, &text, why);
            text_done(pair->passwords, text.passwords);
        }
        text_done(pair->key, text.key_pem);
    }
    text_done(pair->certificate, text.certificate_pem);
    return done;
}

void weir_tls_pair_borrow(weir_tls_pair *pair, const weir_tls_pair *from)
{
    pair->chain = from->chain;
    pair->chain_count = from->chain_count;
    pair->private_key = from->private_key;
    pair->signature = from->signature;
    pair->not_after = from->not_after;
    pair->certificate_stamp = from->certificate_stamp;
    pair->key_stamp = from->key_stamp;
    memcpy(pair->digest, from->digest, sizeof(pair->digest));
}

void weir_tls_pair_release(weir_tls_pair *pair)
{
    for (size_t i = 0; i < pair->chain_count; i++) {
        CRYPTO_BUFFER_free(pair->chain[i]);
    }
    free(pair->chain);
    pair->chain = NULL;
    pair->chain_count = 0;
    EVP_PKEY_free(pair->private_key);
    pair->private_key = NULL;
}

bool weir_tls_pair_use(const weir_tls_pair *pair, SSL_CTX *context)
{
    return SSL_CTX_set_chain_and_key(context, pair->chain, pair->chain_count, pair->private_key,
                                     NULL);
}
