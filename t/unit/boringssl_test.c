/* What auto/boringssl-fixes mends: each test fails with the library as Debian packages it. */

#include "t/unit/unit.h"

#include <openssl/ec_key.h>
#include <openssl/nid.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/* [3] { 05 nn }: an x400Address, which nobody decodes. */
#define X400_ADDRESS(byte) 0xa3, 0x02, 0x05, byte
#define X400_LEN 4

/* An authority, a certificate that names where its revocation list is, and a list that says so. */
typedef struct {
    EVP_PKEY *key;
    X509 *authority;
    X509 *certificate;
    X509_CRL *crl;
} revocation;

static EVP_PKEY *new_key(void)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();

    assert_non_null(ec);
    assert_non_null(key);
    assert_int_equal(EC_KEY_generate_key(ec), 1);
    assert_int_equal(EVP_PKEY_assign_EC_KEY(key, ec), 1);
    return key;
}

static X509_EXTENSION *new_extension(int nid, int critical, const uint8_t *der, size_t len)
{
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension;

    assert_non_null(value);
    assert_int_equal(ASN1_OCTET_STRING_set(value, der, (int) len), 1);
    extension = X509_EXTENSION_create_by_NID(NULL, nid, critical, value);
    ASN1_OCTET_STRING_free(value);
    assert_non_null(extension);
    return extension;
}

static X509 *new_certificate(EVP_PKEY *key, const char *subject, X509_EXTENSION *extension)
{
    X509 *certificate = X509_new();
    X509_NAME *issuer = X509_NAME_new();

    assert_non_null(certificate);
    assert_non_null(issuer);
    assert_int_equal(X509_NAME_add_entry_by_txt(issuer, "CN", MBSTRING_ASC,
                                                (const uint8_t *) "authority", -1, -1, 0),
                     1);
    assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN",
                                                MBSTRING_ASC, (const uint8_t *) subject, -1, -1, 0),
                     1);
    assert_int_equal(X509_set_issuer_name(certificate, issuer), 1);
    assert_int_equal(X509_set_version(certificate, X509_VERSION_3), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(certificate), 7), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), -60));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), 600));
    assert_int_equal(X509_set_pubkey(certificate, key), 1);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    X509_EXTENSION_free(extension);
    X509_NAME_free(issuer);
    return certificate;
}

static X509_CRL *new_crl(EVP_PKEY *key, X509 *authority, X509_EXTENSION *extension)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *time = ASN1_TIME_new();
    uint8_t *der = NULL;
    const uint8_t *at;
    int len;

    assert_non_null(crl);
    assert_non_null(time);
    assert_int_equal(X509_CRL_set_version(crl, X509_CRL_VERSION_2), 1);
    assert_int_equal(X509_CRL_set_issuer_name(crl, X509_get_subject_name(authority)), 1);
    assert_non_null(X509_gmtime_adj(time, -60));
    assert_int_equal(X509_CRL_set1_lastUpdate(crl, time), 1);
    assert_non_null(X509_gmtime_adj(time, 600));
    assert_int_equal(X509_CRL_set1_nextUpdate(crl, time), 1);
    assert_int_equal(X509_CRL_add_ext(crl, extension, -1), 1);
    assert_true(X509_CRL_sign(crl, key, EVP_sha256()) > 0);
    X509_EXTENSION_free(extension);
    ASN1_TIME_free(time);

    /* The extensions are looked at when a list is parsed. */
    len = i2d_X509_CRL(crl, &der);
    assert_true(len > 0);
    X509_CRL_free(crl);
    at = der;
    crl = d2i_X509_CRL(NULL, &at, len);
    assert_non_null(crl);
    OPENSSL_free(der);
    return crl;
}

static void open_revocation(revocation *made, uint8_t in_certificate, uint8_t in_crl)
{
    static const uint8_t is_authority[] = {0x30, 0x03, 0x01, 0x01, 0xff};
    /* RFC 5280, 4.2.1.13 and 5.2.5: points { point { name { fullName { address }}}} */
    const uint8_t points[] = {0x30,         X400_LEN + 6, 0x30,
                              X400_LEN + 4, 0xa0,         X400_LEN + 2,
                              0xa0,         X400_LEN,     X400_ADDRESS(in_certificate)};
    const uint8_t point[] = {0x30,     X400_LEN + 4,        0xa0, X400_LEN + 2, 0xa0,
                             X400_LEN, X400_ADDRESS(in_crl)};

    made->key = new_key();
    made->authority = new_certificate(
        made->key, "authority",
        new_extension(NID_basic_constraints, 1, is_authority, sizeof(is_authority)));
    made->certificate =
        new_certificate(made->key, "localhost",
                        new_extension(NID_crl_distribution_points, 0, points, sizeof(points)));
    made->crl = new_crl(made->key, made->authority,
                        new_extension(NID_issuing_distribution_point, 1, point, sizeof(point)));
}

static void close_revocation(revocation *made)
{
    X509_CRL_free(made->crl);
    X509_free(made->certificate);
    X509_free(made->authority);
    EVP_PKEY_free(made->key);
}

static int verified_with_crl(uint8_t in_certificate, uint8_t in_crl)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *verification = X509_STORE_CTX_new();
    revocation made;
    int error;

    assert_non_null(store);
    assert_non_null(verification);
    open_revocation(&made, in_certificate, in_crl);
    assert_int_equal(X509_STORE_add_cert(store, made.authority), 1);
    assert_int_equal(X509_STORE_add_crl(store, made.crl), 1);
    assert_int_equal(X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK), 1);
    assert_int_equal(X509_STORE_CTX_init(verification, store, made.certificate, NULL), 1);
    X509_verify_cert(verification);
    error = X509_STORE_CTX_get_error(verification);

    X509_STORE_CTX_free(verification);
    X509_STORE_free(store);
    close_revocation(&made);
    return error;
}

/* CVE-2023-0286 */
static void finds_the_revocation_list_of_an_x400_address(void **state)
{
    (void) state;

    assert_int_equal(verified_with_crl(1, 1), X509_V_OK);
}

/* CVE-2023-0286 */
static void takes_no_revocation_list_of_another_x400_address(void **state)
{
    (void) state;

    assert_int_equal(verified_with_crl(1, 2), X509_V_ERR_DIFFERENT_CRL_SCOPE);
}

/* CVE-2024-5535 */
static void selects_nothing_from_an_empty_list_of_protocols(void **state)
{
    static const uint8_t peer[] = {2, 'h', '2'};
    static const uint8_t behind[] = {200};
    uint8_t *selected = (uint8_t *) 1;
    uint8_t selected_len = 1;

    (void) state;

    assert_int_equal(SSL_select_next_proto(&selected, &selected_len, peer, sizeof(peer), behind, 0),
                     OPENSSL_NPN_NO_OVERLAP);
    assert_null(selected);
    assert_int_equal(selected_len, 0);
}

/* CVE-2024-5535 */
static void takes_no_protocol_that_is_cut_short(void **state)
{
    static const uint8_t peer[] = {2, 'h', '2'};
    static const uint8_t supported[] = {2, 'h', '2'};
    uint8_t *selected;
    uint8_t selected_len;

    (void) state;

    assert_int_equal(
        SSL_select_next_proto(&selected, &selected_len, peer, 2, supported, sizeof(supported)),
        OPENSSL_NPN_NO_OVERLAP);
    assert_int_equal(
        SSL_select_next_proto(&selected, &selected_len, peer, sizeof(peer), supported, 2),
        OPENSSL_NPN_NO_OVERLAP);
    assert_int_equal(selected_len, 0);
}

static void selects_the_first_of_the_peers_protocols_that_is_supported(void **state)
{
    static const uint8_t peer[] = {3,   'f', 'o', 'o', 2,   'h', '2', 8,
                                   'h', 't', 't', 'p', '/', '1', '.', '1'};
    static const uint8_t supported[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1', 2, 'h', '2'};
    uint8_t *selected;
    uint8_t selected_len;

    (void) state;

    assert_int_equal(SSL_select_next_proto(&selected, &selected_len, peer, sizeof(peer), supported,
                                           sizeof(supported)),
                     OPENSSL_NPN_NEGOTIATED);
    assert_int_equal(selected_len, 2);
    assert_memory_equal(selected, "h2", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_revocation_list_of_an_x400_address),
        cmocka_unit_test(takes_no_revocation_list_of_another_x400_address),
        cmocka_unit_test(selects_nothing_from_an_empty_list_of_protocols),
        cmocka_unit_test(takes_no_protocol_that_is_cut_short),
        cmocka_unit_test(selects_the_first_of_the_peers_protocols_that_is_supported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
