/* A virtual server's TLS: its settings made into contexts, and the choice among those. */

#include "core/tls/tls_internal.h"

#include <openssl/bytestring.h>
#include <openssl/nid.h>
#include <openssl/sha.h>

/* ---- how clients are verified */

void weir_tls_server_digest(weir_tls_server *server)
{
    const uint8_t mode[2] = {(uint8_t) server->verify, (uint8_t) server->verify_depth};
    SHA256_CTX sha;

    SHA256_Init(&sha);
    SHA256_Update(&sha, "weir clients", 12);
    if (server->verify != WEIR_TLS_VERIFY_OFF) {
        SHA256_Update(&sha, mode, sizeof(mode));
        if (server->trust != NULL) {
            SHA256_Update(&sha, server->trust->digest, sizeof(server->trust->digest));
        }
    }
    SHA256_Final(server->verify_digest, &sha);
}

bool weir_tls_server_verifies_like(const weir_tls_server *a, const weir_tls_server *b)
{
    return a == b || memcmp(a->verify_digest, b->verify_digest, sizeof(a->verify_digest)) == 0;
}

bool weir_tls_server_can_be_default(const weir_tls_server *server)
{
    return server->has_certificate || server->rejects;
}

/* ---- which of several certificates a client can use */

static bool hello_has_signature(const SSL_CLIENT_HELLO *hello, uint16_t wanted, bool *is_told)
{
    const uint8_t *data;
    size_t len;
    CBS extension, list;
    uint16_t signature;

    *is_told =
        SSL_early_callback_ctx_extension_get(hello, TLSEXT_TYPE_signature_algorithms, &data, &len)
        == 1;
    if (!*is_told) {
        return false;
    }
    CBS_init(&extension, data, len);
    if (!CBS_get_u16_length_prefixed(&extension, &list)) {
        return false;
    }
    while (CBS_get_u16(&list, &signature)) {
        if (signature == wanted) {
            return true;
        }
    }
    return false;
}

/* Before TLS 1.3 the cipher suite, too, must be one for ECDSA. */
static bool hello_has_suite(const SSL_CLIENT_HELLO *hello, bool tls13)
{
    CBS suites;
    uint16_t id;

    CBS_init(&suites, hello->cipher_suites, hello->cipher_suites_len);
    while (CBS_get_u16(&suites, &id)) {
        const SSL_CIPHER *suite = SSL_get_cipher_by_value(id);

        if (suite != NULL
            && ((tls13 && SSL_CIPHER_get_min_version(suite) == TLS1_3_VERSION)
                || SSL_CIPHER_get_auth_nid(suite) == NID_auth_ecdsa)) {
            return true;
        }
    }
    return false;
}

static bool client_can_use(const SSL_CLIENT_HELLO *hello, const weir_tls_server *server,
                           const weir_tls_pair *pair)
{
    bool is_told;
    bool has = hello_has_signature(hello, pair->signature, &is_told);

    return is_told && has && hello_has_suite(hello, server->profile->max_version >= TLS1_3_VERSION);
}

/* RSA is for those who can use nothing else: its signatures cost ten times as much. */
weir_tls_context *weir_tls_server_context(const weir_tls_server *server,
                                          const SSL_CLIENT_HELLO *hello)
{
    weir_tls_context *otherwise = server->contexts[0];

    if (WEIR_LIKELY(server->context_count == 1)) {
        return otherwise;
    }
    for (size_t i = 0; i < server->context_count; i++) {
        const weir_tls_pair *pair = server->contexts[i]->pair;

        if (pair->signature == SSL_SIGN_RSA_PSS_RSAE_SHA256) {
            otherwise = server->contexts[i];
        } else if (client_can_use(hello, server, pair)) {
            return server->contexts[i];
        }
    }
    return otherwise;
}

/* ---- making one */

static bool server_add_context(weir_conf *conf, weir_tls_server *server, weir_tls_pair *pair)
{
    weir_tls_context wanted = {
        .profile = server->profile,
        .pair = pair,
        .trust = server->verify == WEIR_TLS_VERIFY_OFF ? NULL : server->trust,
        .early_data = server->early_data,
    };
    weir_tls_context *context;

    memcpy(wanted.verify_digest, server->verify_digest, sizeof(wanted.verify_digest));
    weir_tls_context_digest(&wanted);
    context = weir_tls_store_context(conf, &wanted);
    if (context == NULL) {
        return false;
    }
    if (server->context_count == WEIR_TLS_PAIRS_MAX) {
        return weir_conf_refuse(conf, "more than %d certificates in one server",
                                WEIR_TLS_PAIRS_MAX);
    }

    server->contexts[server->context_count++] = context;
    return true;
}

static bool server_add_pair(weir_conf *conf, weir_tls_server *server,
                            const weir_tls_server_conf *settings, size_t i)
{
    weir_tls_pair *pair =
        weir_tls_store_pair(conf, *WEIR_ARRAY_AT(&settings->certificates, weir_str, i),
                            *WEIR_ARRAY_AT(&settings->keys, weir_str, i), settings->password_file);

    if (pair == NULL || !server_add_context(conf, server, pair)) {
        return false;
    }
    server->has_certificate = true;
    return true;
}

static bool has_variables(const weir_array *names)
{
    for (size_t i = 0; i < names->count; i++) {
        if (weir_str_find_byte(*WEIR_ARRAY_AT(names, weir_str, i), '$') != NULL) {
            return true;
        }
    }
    return false;
}

static bool server_certificates(weir_conf *conf, weir_tls_server *server,
                                const weir_tls_server_conf *settings, const char *family)
{
    const weir_array *certificates = &settings->certificates;

    if (settings->keys.count < certificates->count) {
        weir_str name = *WEIR_ARRAY_AT(certificates, weir_str, settings->keys.count);

        weir_conf_point_at_text(conf, name);
        return weir_conf_refuse(conf,
                                "no \"ssl_certificate_key\" is defined for certificate \"%.*s\"",
                                WEIR_STR_ARG(name));
    }

    if (has_variables(certificates) || has_variables(&settings->keys)) {
        server->dynamic =
            weir_tls_dynamic_new(conf, family, certificates, &settings->keys,
                                 settings->password_file, &settings->certificate_cache);
        server->has_certificate = server->dynamic != NULL;
        return server->dynamic != NULL && server_add_context(conf, server, NULL);
    }

    for (size_t i = 0; i < certificates->count; i++) {
        if (!server_add_pair(conf, server, settings, i)) {
            return false;
        }
    }
    return server->context_count != 0 || server_add_context(conf, server, NULL);
}

static bool server_trust(weir_conf *conf, weir_tls_server *server,
                         const weir_tls_server_conf *settings)
{
    weir_str named = settings->client_certificate;
    weir_str trusted = settings->trusted_certificate;
    weir_str crl = settings->crl;

    server->verify = (weir_tls_verify_mode) settings->verify_client;
    server->verify_depth = (unsigned) settings->verify_depth;
    if (named.len == 0 && trusted.len == 0 && server->verify != WEIR_TLS_VERIFY_OFF
        && server->verify != WEIR_TLS_VERIFY_OPTIONAL_NO_CA) {
        return weir_conf_refuse(conf, "no ssl_client_certificate for ssl_verify_client");
    }
    if (named.len != 0 || trusted.len != 0 || crl.len != 0) {
        server->trust = weir_tls_store_trust(conf, named, trusted, crl);
        if (server->trust == NULL) {
            return false;
        }
    }
    weir_tls_server_digest(server);
    return true;
}

#define RECORD_MIN 512

static bool server_profile(weir_conf *conf, weir_tls_server *server,
                           const weir_tls_server_conf *settings)
{
    const weir_tls_profile_words words = {
        .prefix = "ssl_",
        .protocols = settings->protocols,
        .ciphers = settings->ciphers,
        .curves = settings->curves,
        .commands = &settings->commands,
        .prefer_server_ciphers = settings->prefer_server_ciphers,
        .no_tickets = !settings->session_tickets && settings->session_cache.sessions == NULL,
        .record_bytes = settings->buffer_size < RECORD_MIN ? RECORD_MIN
                        : settings->buffer_size > SSL3_RT_MAX_PLAIN_LENGTH
                            ? SSL3_RT_MAX_PLAIN_LENGTH
                            : settings->buffer_size,
        .session_timeout_s = settings->session_timeout_s,
        .key_log = settings->key_log,
    };

    server->profile = weir_tls_profile_get(conf, &words);
    return server->profile != NULL;
}

static bool server_sessions(weir_conf *conf, weir_tls_server *server,
                            const weir_tls_server_conf *settings)
{
    weir_tls_store *store = weir_tls_store_of(conf);

    server->session_cache = settings->session_cache.sessions;
    server->keeps_sessions_only_here = !settings->session_tickets && server->session_cache != NULL;
    if ((server->profile->options & SSL_OP_NO_TICKET) != 0 || server->keeps_sessions_only_here) {
        return true;
    }
    if (settings->session_timeout_s > store->longest_session_s) {
        store->longest_session_s = settings->session_timeout_s;
    }
    if (settings->ticket_keys.count != 0) {
        server->ticket_keys = weir_tls_ticket_files_load(conf, &settings->ticket_keys);
        return server->ticket_keys != NULL;
    }
    if (!weir_tls_ticket_share(conf)) {
        return false;
    }
    server->ticket_zone = store->ticket_zone;
    return true;
}

static bool server_keep(weir_conf *conf, weir_tls_server *server)
{
    weir_tls_server **slot = weir_array_push(&weir_tls_store_of(conf)->server_list);

    if (slot == NULL) {
        return weir_conf_refuse(conf, "no memory");
    }
    *slot = server;
    return true;
}

weir_tls_server *weir_tls_server_new(weir_conf *conf, const weir_tls_server_conf *settings,
                                     const char *family)
{
    weir_tls_server *server = WEIR_NEW(weir_conf_pool(conf), weir_tls_server);

    if (server == NULL) {
        (void) weir_conf_refuse(conf, "no memory");
        return NULL;
    }
    server->early_data = settings->early_data;
    server->rejects = settings->reject_handshake;
    return server_profile(conf, server, settings) && server_trust(conf, server, settings)
                   && server_certificates(conf, server, settings, family)
                   && server_sessions(conf, server, settings) && server_keep(conf, server)
               ? server
               : NULL;
}
