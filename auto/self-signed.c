/*
 * Makes a P-256 key and a certificate for localhost, signed by itself: for "make run".
 *
 *     self-signed CERTIFICATE KEY
 */

#include <stdio.h>
#include <sys/stat.h>

#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define DAYS 90

static EVP_PKEY *key_new(void)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();

    if (ec != NULL && key != NULL && EC_KEY_generate_key(ec) && EVP_PKEY_set1_EC_KEY(key, ec)) {
        EC_KEY_free(ec);
        return key;
    }

    EC_KEY_free(ec);
    EVP_PKEY_free(key);
    return NULL;
}

static int extension_add(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, NULL, nid, value);
    int is_added = extension != NULL && X509_add_ext(certificate, extension, -1);

    X509_EXTENSION_free(extension);
    return is_added;
}

static int serial_set(X509 *certificate)
{
    uint32_t random;

    /* Browsers mistake two certificates of one issuer and serial for each other. */
    return RAND_bytes((uint8_t *) &random, sizeof(random))
           && ASN1_INTEGER_set(X509_get_serialNumber(certificate), (long) (random >> 1) + 1);
}

static X509 *certificate_new(EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    X509_NAME *name;

    if (certificate == NULL) {
        return NULL;
    }

    name = X509_get_subject_name(certificate);
    if (X509_set_version(certificate, X509_VERSION_3) && serial_set(certificate)
        && X509_gmtime_adj(X509_getm_notBefore(certificate), -3600L) != NULL
        && X509_gmtime_adj(X509_getm_notAfter(certificate), DAYS * 86400L) != NULL
        && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *) "localhost", -1,
                                      -1, 0)
        && X509_set_issuer_name(certificate, name) && X509_set_pubkey(certificate, key)
        && extension_add(certificate, NID_subject_alt_name,
                         "DNS:localhost,IP:127.0.0.1,IP:0:0:0:0:0:0:0:1")
        && extension_add(certificate, NID_ext_key_usage, "serverAuth")
        && X509_sign(certificate, key, EVP_sha256())) {
        return certificate;
    }

    X509_free(certificate);
    return NULL;
}

int main(int argc, char **argv)
{
    EVP_PKEY *key;
    X509 *certificate;
    BIO *certificate_file;
    BIO *key_file;
    int is_written;

    if (argc != 3) {
        fprintf(stderr, "usage: self-signed CERTIFICATE KEY\n");
        return 2;
    }

    umask(077);
    key = key_new();
    certificate = key == NULL ? NULL : certificate_new(key);
    certificate_file = BIO_new_file(argv[1], "w");
    key_file = BIO_new_file(argv[2], "w");
    is_written = certificate != NULL && certificate_file != NULL && key_file != NULL
                 && PEM_write_bio_X509(certificate_file, certificate)
                 && PEM_write_bio_PrivateKey(key_file, key, NULL, NULL, 0, NULL, NULL)
                 && BIO_flush(certificate_file) == 1 && BIO_flush(key_file) == 1;
    if (!is_written) {
        ERR_print_errors_fp(stderr);
        fprintf(stderr, "self-signed: no certificate made\n");
    }

    BIO_free(key_file);
    BIO_free(certificate_file);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return is_written ? 0 : 1;
}
