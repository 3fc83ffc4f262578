/* What a connection has agreed on, and who its client is: for variables. */

#include "core/tls/tls_internal.h"

#include <openssl/bytestring.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <time.h>

#include "core/base/clock.h"

#define TEXT_MAX (256u * 1024)

/* ---- the connection */

static const weir_tls *tls_with_ssl(const weir_connection *connection)
{
    return connection->tls != NULL && connection->tls->ssl != NULL ? connection->tls : NULL;
}

static const char *tls_version(const weir_connection *connection)
{
    const weir_tls *tls = tls_with_ssl(connection);

    return tls == NULL ? "" : SSL_get_version(tls->ssl);
}

/* OpenSSL's names, which configurations and logs know; in TLS 1.3 they are the standard's. */
static const char *name_of_cipher(const SSL_CIPHER *cipher)
{
    return SSL_CIPHER_get_min_version(cipher) == TLS1_3_VERSION ? SSL_CIPHER_standard_name(cipher)
                                                                : SSL_CIPHER_get_name(cipher);
}

static const char *tls_cipher(const weir_connection *connection)
{
    const weir_tls *tls = tls_with_ssl(connection);
    const SSL_CIPHER *cipher = tls == NULL ? NULL : SSL_get_current_cipher(tls->ssl);

    return cipher == NULL ? "" : name_of_cipher(cipher);
}

static weir_str tls_server_name(const weir_connection *connection)
{
    const weir_tls *tls = tls_with_ssl(connection);

    return tls == NULL ? WEIR_STR_EMPTY
                       : weir_str_from_z(SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name));
}

weir_str weir_tls_alpn(const weir_connection *connection)
{
    const weir_tls *tls = tls_with_ssl(connection);
    const uint8_t *data = NULL;
    unsigned len = 0;

    if (tls != NULL) {
        SSL_get0_alpn_selected(tls->ssl, &data, &len);
    }
    return weir_str_of((const char *) data, len);
}

bool weir_tls_is_resumed(const weir_connection *connection)
{
    const weir_tls *tls = tls_with_ssl(connection);

    return tls != NULL && SSL_session_reused(tls->ssl);
}

bool weir_tls_is_early(const weir_connection *connection)
{
    const weir_tls *tls = tls_with_ssl(connection);

    return tls != NULL && SSL_in_early_data(tls->ssl);
}

bool weir_tls_is_truncated(const weir_connection *connection)
{
    return connection->tls != NULL && connection->tls->truncated;
}

const weir_tls_server *weir_tls_server_of(const weir_connection *connection)
{
    return connection->tls == NULL ? NULL : connection->tls->server;
}

/* ---- the client's certificate */

/* The error of the handshake that the certificate was shown in: this one, or the one that is resumed. */
static long verify_error(const weir_tls *tls)
{
    return SSL_session_reused(tls->ssl) ? tls->ticket_error : tls->verify_error;
}

static bool has_certificate(const weir_tls *tls)
{
    const STACK_OF(CRYPTO_BUFFER) *chain = SSL_get0_peer_certificates(tls->ssl);

    return chain != NULL && sk_CRYPTO_BUFFER_num(chain) != 0;
}

weir_tls_client_state weir_tls_client_verify(const weir_connection *connection, const char **reason)
{
    const weir_tls *tls = tls_with_ssl(connection);

    *reason = NULL;
    if (tls == NULL || !has_certificate(tls)) {
        return WEIR_TLS_CLIENT_NONE;
    }
    if (verify_error(tls) == X509_V_OK) {
        return WEIR_TLS_CLIENT_SUCCESS;
    }
    *reason = X509_verify_cert_error_string(verify_error(tls));
    return WEIR_TLS_CLIENT_FAILED;
}

weir_tls_client_verdict weir_tls_client_judge(const weir_connection *connection,
                                              const weir_tls_server *server, const char *doing,
                                              const weir_log *log)
{
    const weir_tls *tls = tls_with_ssl(connection);
    const char *reason;

    if (tls == NULL || server == NULL || server->verify == WEIR_TLS_VERIFY_OFF) {
        return WEIR_TLS_CLIENT_ALLOWED;
    }

    switch (weir_tls_client_verify(connection, &reason)) {
    case WEIR_TLS_CLIENT_SUCCESS:
        return WEIR_TLS_CLIENT_ALLOWED;
    case WEIR_TLS_CLIENT_NONE:
        if (server->verify != WEIR_TLS_VERIFY_ON) {
            return WEIR_TLS_CLIENT_ALLOWED;
        }
        weir_log_line(log, WEIR_LOG_INFO, 0, "client sent no required SSL certificate%s", doing);
        return WEIR_TLS_CLIENT_MISSING;
    case WEIR_TLS_CLIENT_FAILED:
        break;
    }
    if (server->verify == WEIR_TLS_VERIFY_OPTIONAL_NO_CA
        && weir_tls_error_is_optional(verify_error(tls))) {
        return WEIR_TLS_CLIENT_ALLOWED;
    }
    weir_log_line(log, WEIR_LOG_INFO, 0, "client SSL certificate verify error: (%ld:%s)%s",
                  verify_error(tls), reason, doing);
    return WEIR_TLS_CLIENT_BAD;
}

/* ---- values by name */

typedef struct {
    weir_connection *connection;
    const weir_tls *tls;
    weir_builder *out;
} value;

/* Each writes the text; false: there is no value. */

static bool put_z(const value *v, const char *z)
{
    weir_builder_add(v->out, weir_str_from_z(z));
    return true;
}

static bool value_protocol(const value *v)
{
    return put_z(v, tls_version(v->connection));
}

static bool value_cipher(const value *v)
{
    return put_z(v, tls_cipher(v->connection));
}

static bool value_server_name(const value *v)
{
    weir_str name = tls_server_name(v->connection);

    weir_builder_add_lower(v->out, name);
    return name.len != 0;
}

static bool value_alpn(const value *v)
{
    weir_str protocol = weir_tls_alpn(v->connection);

    weir_builder_add(v->out, protocol);
    return protocol.len != 0;
}

static bool value_reused(const value *v)
{
    return put_z(v, SSL_session_reused(v->tls->ssl) ? "r" : ".");
}

static bool value_early(const value *v)
{
    return SSL_in_early_data(v->tls->ssl) && put_z(v, "1");
}

/* TLS 1.3 has no ids: one is derived from the connection's secrets, so that logs can tell connections apart. */
static bool session_id_made(const value *v)
{
    static const char label[] = "EXPORTER-weir session id";
    uint8_t id[SSL_MAX_SSL_SESSION_ID_LENGTH];

    if (SSL_in_init(v->tls->ssl)
        || !SSL_export_keying_material(v->tls->ssl, id, sizeof(id), label, sizeof(label) - 1, NULL,
                                       0, 0)) {
        ERR_clear_error();
        return false;
    }
    weir_builder_add_hexdump(v->out, weir_str_of((const char *) id, sizeof(id)));
    return true;
}

static bool value_session_id(const value *v)
{
    const SSL_SESSION *session = SSL_get_session(v->tls->ssl);
    unsigned len = 0;
    const uint8_t *id = session == NULL ? NULL : SSL_SESSION_get_id(session, &len);

    if (len == 0) {
        return session_id_made(v);
    }
    weir_builder_add_hexdump(v->out, weir_str_of((const char *) id, len));
    return true;
}

/* ---- lists of the ClientHello */

typedef struct {
    uint16_t number;
    const char *name;
} number_name;

/* What clients offer, and BoringSSL does not have or says otherwise; the names are OpenSSL's, as in logs. */
static const number_name group_names[] = {
    {SSL_CURVE_SECP224R1, "secp224r1"},
    {SSL_CURVE_SECP256R1, "prime256v1"},
    {SSL_CURVE_SECP384R1, "secp384r1"},
    {SSL_CURVE_SECP521R1, "secp521r1"},
    {0x001e, "X448"},
    {0x0100, "ffdhe2048"},
    {0x0101, "ffdhe3072"},
    {0x0102, "ffdhe4096"},
    {0x0103, "ffdhe6144"},
    {0x0104, "ffdhe8192"},
    {0x11eb, "SecP256r1MLKEM768"},
    {0x11ec, "X25519MLKEM768"},
    {0x11ed, "SecP384r1MLKEM1024"},
    {0, NULL},
};

static const number_name cipher_names[] = {
    {0x0033, "DHE-RSA-AES128-SHA"},
    {0x0039, "DHE-RSA-AES256-SHA"},
    {0x003c, "AES128-SHA256"},
    {0x003d, "AES256-SHA256"},
    {0x0067, "DHE-RSA-AES128-SHA256"},
    {0x006b, "DHE-RSA-AES256-SHA256"},
    {0x009e, "DHE-RSA-AES128-GCM-SHA256"},
    {0x009f, "DHE-RSA-AES256-GCM-SHA384"},
    {0x00ff, "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"},
    {0x5600, "TLS_FALLBACK_SCSV"},
    {0xc008, "ECDHE-ECDSA-DES-CBC3-SHA"},
    {0xc012, "ECDHE-RSA-DES-CBC3-SHA"},
    {0xc023, "ECDHE-ECDSA-AES128-SHA256"},
    {0xc024, "ECDHE-ECDSA-AES256-SHA384"},
    {0xc027, "ECDHE-RSA-AES128-SHA256"},
    {0xc028, "ECDHE-RSA-AES256-SHA384"},
    {0xc0ac, "ECDHE-ECDSA-AES128-CCM"},
    {0xc0ad, "ECDHE-ECDSA-AES256-CCM"},
    {0xc0ae, "ECDHE-ECDSA-AES128-CCM8"},
    {0xc0af, "ECDHE-ECDSA-AES256-CCM8"},
    {0xccaa, "DHE-RSA-CHACHA20-POLY1305"},
    {0, NULL},
};

static const char *name_in(const number_name *names, uint16_t number)
{
    while (names->name != NULL && names->number != number) {
        names++;
    }
    return names->name;
}

static const char *group_name(uint16_t group)
{
    const char *name = name_in(group_names, group);

    return name != NULL ? name : SSL_get_curve_name(group);
}

static const char *cipher_name(uint16_t id)
{
    const SSL_CIPHER *cipher = SSL_get_cipher_by_value(id);

    return cipher == NULL ? name_in(cipher_names, id) : name_of_cipher(cipher);
}

static const char *signature_name(uint16_t signature)
{
    return SSL_get_signature_algorithm_name(signature, 1);
}

static void put_number(weir_builder *out, uint16_t number, const char *name)
{
    if (name != NULL) {
        weir_builder_add(out, weir_str_from_z(name));
    } else {
        weir_builder_printf(out, "0x%04x", number);
    }
}

/* Values whose bytes are 0x?a and equal are there to be ignored (RFC 8701). */
static bool is_grease(uint16_t number)
{
    return (number & 0x0f0f) == 0x0a0a && number >> 8 == (number & 0xff);
}

static bool put_list(const value *v, weir_str bytes, const char *(*name)(uint16_t number))
{
    const char *separator = "";
    uint16_t number;
    CBS list;

    CBS_init(&list, (const uint8_t *) bytes.data, bytes.len);
    while (CBS_get_u16(&list, &number)) {
        if (!is_grease(number)) {
            weir_builder_add(v->out, weir_str_from_z(separator));
            put_number(v->out, number, name(number));
            separator = ":";
        }
    }
    return bytes.len != 0;
}

static bool value_ciphers(const value *v)
{
    return v->tls->lists != NULL && put_list(v, v->tls->lists->ciphers, cipher_name);
}

static bool value_curves(const value *v)
{
    return v->tls->lists != NULL && put_list(v, v->tls->lists->groups, group_name);
}

static bool value_sigalgs(const value *v)
{
    return v->tls->lists != NULL && put_list(v, v->tls->lists->signatures, signature_name);
}

static bool value_curve(const value *v)
{
    uint16_t group = SSL_get_curve_id(v->tls->ssl);

    if (group == 0) {
        return false;
    }
    put_number(v->out, group, group_name(group));
    return true;
}

static bool value_client_sigalg(const value *v)
{
    uint16_t signature = SSL_get_peer_signature_algorithm(v->tls->ssl);

    if (signature == 0 || !has_certificate(v->tls)) {
        return false;
    }
    put_number(v->out, signature, signature_name(signature));
    return true;
}

/* ---- the certificate's parts */

static X509 *certificate_of(const value *v)
{
    const STACK_OF(CRYPTO_BUFFER) *chain = SSL_get0_peer_certificates(v->tls->ssl);

    return chain == NULL || sk_CRYPTO_BUFFER_num(chain) == 0
               ? NULL
               : X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(chain, 0));
}

/* What a function of OpenSSL's writes about the certificate. */
static bool put_printed(const value *v, bool (*print)(BIO *bio, X509 *certificate))
{
    X509 *certificate = certificate_of(v);
    BIO *bio = certificate == NULL ? NULL : BIO_new(BIO_s_mem());
    const uint8_t *data;
    size_t len;
    bool done = bio != NULL && print(bio, certificate) && BIO_mem_contents(bio, &data, &len);

    if (done) {
        weir_builder_add(v->out, weir_str_of((const char *) data, len));
    }
    BIO_free(bio);
    X509_free(certificate);
    ERR_clear_error();
    return done;
}

static bool print_subject(BIO *bio, X509 *certificate)
{
    return X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) >= 0;
}

static bool print_issuer(BIO *bio, X509 *certificate)
{
    return X509_NAME_print_ex(bio, X509_get_issuer_name(certificate), 0, XN_FLAG_RFC2253) >= 0;
}

static bool print_oneline(BIO *bio, X509_NAME *name)
{
    char *text = X509_NAME_oneline(name, NULL, 0);
    bool done = text != NULL && BIO_puts(bio, text) >= 0;

    OPENSSL_free(text);
    return done;
}

static bool print_subject_legacy(BIO *bio, X509 *certificate)
{
    return print_oneline(bio, X509_get_subject_name(certificate));
}

static bool print_issuer_legacy(BIO *bio, X509 *certificate)
{
    return print_oneline(bio, X509_get_issuer_name(certificate));
}

static bool print_serial(BIO *bio, X509 *certificate)
{
    return i2a_ASN1_INTEGER(bio, X509_get_serialNumber(certificate)) >= 0;
}

static bool print_start(BIO *bio, X509 *certificate)
{
    return ASN1_TIME_print(bio, X509_get0_notBefore(certificate)) == 1;
}

static bool print_end(BIO *bio, X509 *certificate)
{
    return ASN1_TIME_print(bio, X509_get0_notAfter(certificate)) == 1;
}

static bool print_pem(BIO *bio, X509 *certificate)
{
    return PEM_write_bio_X509(bio, certificate) == 1;
}

static bool value_subject(const value *v)
{
    return put_printed(v, print_subject);
}

static bool value_issuer(const value *v)
{
    return put_printed(v, print_issuer);
}

static bool value_subject_legacy(const value *v)
{
    return put_printed(v, print_subject_legacy);
}

static bool value_issuer_legacy(const value *v)
{
    return put_printed(v, print_issuer_legacy);
}

static bool value_serial(const value *v)
{
    return put_printed(v, print_serial);
}

static bool value_start(const value *v)
{
    return put_printed(v, print_start);
}

static bool value_end(const value *v)
{
    return put_printed(v, print_end);
}

static bool value_raw(const value *v)
{
    return put_printed(v, print_pem);
}

/* Days that are left. */
static bool value_remain(const value *v)
{
    X509 *certificate = certificate_of(v);
    ASN1_TIME *now = certificate == NULL ? NULL : ASN1_TIME_set(NULL, weir_clock_now()->wall_s);
    int days = 0, seconds = 0;
    bool done =
        now != NULL && ASN1_TIME_diff(&days, &seconds, now, X509_get0_notAfter(certificate)) == 1;

    if (done) {
        weir_builder_add_uint(v->out, days > 0 ? (uint64_t) days : 0);
    }
    ASN1_TIME_free(now);
    X509_free(certificate);
    ERR_clear_error();
    return done;
}

static bool value_fingerprint(const value *v)
{
    X509 *certificate = certificate_of(v);
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    bool done = certificate != NULL && X509_digest(certificate, EVP_sha1(), digest, &len) == 1;

    weir_builder_add_hexdump(v->out, weir_str_of((const char *) digest, done ? len : 0));
    X509_free(certificate);
    return done;
}

/* The PEM by itself, into memory of the pool. */
static bool pem_text(const value *v, weir_pool *pool, weir_str *pem)
{
    weir_builder text;
    value inner = *v;

    weir_builder_open(&text, pool, TEXT_MAX);
    inner.out = &text;
    return value_raw(&inner) && weir_builder_close(&text, pem);
}

/* As a header field could hold it in former times: each line but the first after a tab. */
static bool value_cert(const value *v)
{
    weir_str pem, line;
    bool first = true;

    if (!pem_text(v, v->connection->pool, &pem)) {
        return false;
    }
    while (weir_str_split(&pem, '\n', &line)) {
        if (line.len == 0) {
            continue;
        }
        weir_builder_add(v->out, first ? WEIR_STR_EMPTY : WEIR_STR("\n\t"));
        weir_builder_add(v->out, line);
        first = false;
    }
    return true;
}

static bool value_escaped(const value *v)
{
    static const char unreserved[] = "-._~";
    weir_str pem;

    if (!pem_text(v, v->connection->pool, &pem)) {
        return false;
    }
    for (size_t i = 0; i < pem.len; i++) {
        char byte = pem.data[i];

        if ((byte >= '0' && byte <= '9')
            || (weir_byte_lower(byte) >= 'a' && weir_byte_lower(byte) <= 'z')
            || strchr(unreserved, byte) != NULL) {
            weir_builder_add_byte(v->out, byte);
        } else {
            weir_builder_printf(v->out, "%%%02X", (unsigned char) byte);
        }
    }
    return true;
}

static bool value_verify(const value *v)
{
    const char *reason;

    switch (weir_tls_client_verify(v->connection, &reason)) {
    case WEIR_TLS_CLIENT_NONE:
        return put_z(v, "NONE");
    case WEIR_TLS_CLIENT_SUCCESS:
        return put_z(v, "SUCCESS");
    case WEIR_TLS_CLIENT_FAILED:
        break;
    }
    weir_builder_printf(v->out, "FAILED:%s", reason);
    return true;
}

/* ---- all of them */

static const struct {
    const char *name;
    bool (*write)(const value *v);
} values[] = {
    {"protocol", value_protocol},
    {"cipher", value_cipher},
    {"ciphers", value_ciphers},
    {"curve", value_curve},
    {"curves", value_curves},
    {"sigalgs", value_sigalgs},
    {"server_name", value_server_name},
    {"alpn_protocol", value_alpn},
    {"session_id", value_session_id},
    {"session_reused", value_reused},
    {"early_data", value_early},
    {"client_verify", value_verify},
    {"client_s_dn", value_subject},
    {"client_i_dn", value_issuer},
    {"client_s_dn_legacy", value_subject_legacy},
    {"client_i_dn_legacy", value_issuer_legacy},
    {"client_serial", value_serial},
    {"client_fingerprint", value_fingerprint},
    {"client_sigalg", value_client_sigalg},
    {"client_v_start", value_start},
    {"client_v_end", value_end},
    {"client_v_remain", value_remain},
    {"client_raw_cert", value_raw},
    {"client_cert", value_cert},
    {"client_escaped_cert", value_escaped},
};

bool weir_tls_value(weir_connection *connection, weir_str name, weir_pool *pool, weir_str *text,
                    bool *found)
{
    const weir_tls *tls = tls_with_ssl(connection);
    weir_builder builder;
    value v = {.connection = connection, .tls = tls, .out = &builder};

    *found = false;
    *text = WEIR_STR_EMPTY;
    for (size_t i = 0; tls != NULL && i < WEIR_COUNT(values); i++) {
        if (weir_str_eq(name, weir_str_from_z(values[i].name))) {
            weir_builder_open(&builder, pool, TEXT_MAX);
            *found = values[i].write(&v);
            return weir_builder_close(&builder, text);
        }
    }
    return true;
}
