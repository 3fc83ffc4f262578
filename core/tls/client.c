/* TLS toward origins: the settings, the handshake, and the sessions that are kept for the next one. */

#include "core/tls/tls_internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "core/base/clock.h"

/* ---- sessions: this worker's; one that meets another in its place pushes it out */

#define SESSIONS_MAX 1024

typedef struct {
    const weir_tls_client *client;
    char *key;
    size_t key_len;
    SSL_SESSION *session;
    weir_tls_belief belief; /* of its certificate */
} kept_session;

static kept_session kept[SESSIONS_MAX];
static uint64_t forgettings;

static kept_session *kept_place(const weir_tls_client *client, weir_str key)
{
    return &kept[(weir_str_hash(key) ^ (uintptr_t) client >> 4) % SESSIONS_MAX];
}

static void kept_drop(kept_session *place)
{
    SSL_SESSION_free(place->session);
    free(place->key);
    *place = (kept_session){0};
}

static bool kept_is(const kept_session *place, const weir_tls_client *client, weir_str key)
{
    return place->client == client && weir_str_eq(weir_str_of(place->key, place->key_len), key);
}

/* Takes the session. */
static int session_made(SSL *ssl, SSL_SESSION *session)
{
    const weir_tls *tls = weir_tls_of(ssl);
    weir_str key = tls->session_key;
    kept_session *place = kept_place(tls->client, key);
    char *copy;

    if (key.len == 0 || !SSL_SESSION_is_resumable(session)) {
        return 0;
    }
    copy = malloc(key.len);
    if (copy == NULL) {
        return 0;
    }
    memcpy(copy, key.data, key.len);
    kept_drop(place);
    *place = (kept_session){tls->client, copy, key.len, session, tls->belief};
    return 1;
}

static void session_offer(weir_tls *tls)
{
    kept_session *place = kept_place(tls->client, tls->session_key);

    if (tls->session_key.len == 0 || !kept_is(place, tls->client, tls->session_key)) {
        return;
    }
    SSL_set_session(tls->ssl, place->session);
    tls->belief = place->belief;
    /* A ticket of TLS 1.3 that is shown twice lets others connect the two (RFC 8446, C.4). */
    if (SSL_SESSION_should_be_single_use(place->session)) {
        kept_drop(place);
    }
}

static void sessions_forget(void *subject)
{
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        if (kept[i].client == subject) {
            kept_drop(&kept[i]);
        }
    }
}

void weir_tls_client_forget(void)
{
    forgettings++;
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        kept_drop(&kept[i]);
    }
}

/* ---- why it fails */

static weir_tls_refusal refusal_of_error(int reason)
{
    switch (reason) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_NO_APPLICATION_PROTOCOL:
    case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
        return WEIR_TLS_REFUSAL_PROTOCOL;
    case SSL_R_SSLV3_ALERT_NO_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_CERTIFICATE_REQUIRED:
        return WEIR_TLS_REFUSAL_OURS;
    default:
        return WEIR_TLS_REFUSAL_OTHER;
    }
}

static weir_tls_refusal refusal_of_certificate(long error)
{
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return WEIR_TLS_REFUSAL_EXPIRED;
    case X509_V_ERR_CERT_REVOKED:
        return WEIR_TLS_REFUSAL_REVOKED;
    default:
        return WEIR_TLS_REFUSAL_CERTIFICATE;
    }
}

void weir_tls_refusal_note(weir_tls *tls)
{
    uint32_t error = ERR_peek_last_error();

    if (tls->refusal == WEIR_TLS_REFUSAL_OTHER && ERR_GET_LIB(error) == ERR_LIB_SSL) {
        tls->refusal = refusal_of_error(ERR_GET_REASON(error));
    }
}

weir_tls_refusal weir_tls_connect_refusal(const weir_connection *connection)
{
    return connection->tls == NULL ? WEIR_TLS_REFUSAL_OTHER : connection->tls->refusal;
}

/* ---- verifying */

/*
 * How long what was found of a certificate holds for sessions that began with it.  Authorities, names and depth are the
 * same for them, as sessions are kept for a client and a name, and forgotten when authorities or revocation lists change;
 * what else changes is that a certificate expires.  Verifying again takes 1.6 times what resuming does.
 */
#define BELIEF_MS 10000

static bool is_believed(const weir_tls *tls)
{
    return SSL_session_reused(tls->ssl) && tls->belief.forgettings == forgettings
           && weir_clock_now()->monotonic_ms < tls->belief.until_ms;
}

static void believe(weir_tls *tls)
{
    kept_session *place = kept_place(tls->client, tls->session_key);

    tls->belief = (weir_tls_belief){weir_clock_now()->monotonic_ms + BELIEF_MS, forgettings};
    /* In TLS 1.2 one session is resumed again and again. */
    if (place->session != NULL && place->session == SSL_get_session(tls->ssl)) {
        place->belief = tls->belief;
    }
}

/* What it resumed is no use to others, either: the origin may have another certificate by now, and is to show it. */
static void disbelieve(weir_tls *tls, weir_tls_refusal refusal)
{
    kept_session *place = kept_place(tls->client, tls->session_key);

    tls->refusal = refusal;
    tls->told = true;
    if (SSL_session_reused(tls->ssl) && kept_is(place, tls->client, tls->session_key)) {
        kept_drop(place);
    }
}

static enum ssl_verify_result_t connect_verify(SSL *ssl, uint8_t *alert)
{
    weir_tls *tls = weir_tls_of(ssl);
    const weir_tls_client *client = tls->client;

    if (!client->verify || is_believed(tls)) {
        return ssl_verify_ok;
    }

    tls->verify_error = weir_tls_trust_verify(client->trust, ssl, client->verify_depth, false);
    if (tls->verify_error != X509_V_OK) {
        weir_log_line(&tls->connection->log, WEIR_LOG_ERR, 0,
                      "upstream SSL certificate verify error: (%ld:%s)", tls->verify_error,
                      X509_verify_cert_error_string(tls->verify_error));
        *alert = (uint8_t) SSL_alert_from_verify_result(tls->verify_error);
        disbelieve(tls, refusal_of_certificate(tls->verify_error));
        return ssl_verify_invalid;
    }

    if (!weir_tls_certificate_is_for(ssl, tls->verify_name)) {
        weir_log_line(&tls->connection->log, WEIR_LOG_ERR, 0,
                      "upstream SSL certificate does not match \"%.*s\"",
                      WEIR_STR_ARG(tls->verify_name));
        *alert = SSL_AD_BAD_CERTIFICATE;
        disbelieve(tls, WEIR_TLS_REFUSAL_NAME);
        return ssl_verify_invalid;
    }
    believe(tls);
    return ssl_verify_ok;
}

void weir_tls_connect_prepare(SSL_CTX *ctx)
{
    SSL_CTX_set_custom_verify(ctx, SSL_VERIFY_PEER, connect_verify);
    /* A change of authorities or revocation lists forgets the sessions; but a certificate expires. */
    SSL_CTX_set_reverify_on_resume(ctx, 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, session_made);
}

/* ---- the connection's part */

static void connect_finish(weir_connection *connection, weir_tls_outcome outcome)
{
    void (*done)(weir_connection *, weir_tls_outcome) = connection->tls->done;

    weir_connection_clear_timeout(connection);
    done(connection, outcome);
}

static void connect_shake(weir_connection *connection)
{
    switch (weir_tls_handshake(connection->tls)) {
    case WEIR_TLS_STEP_WAIT:
        return;
    case WEIR_TLS_STEP_FAILED:
        connect_finish(connection, WEIR_TLS_REFUSED);
        return;
    case WEIR_TLS_STEP_DONE:
        connect_finish(connection, WEIR_TLS_ESTABLISHED);
        return;
    }
}

static void connect_timed_out(weir_connection *connection)
{
    weir_log_line(&connection->log, WEIR_LOG_ERR, ETIMEDOUT, "upstream timed out");
    connection->failed = true;
    connection->tls->refusal = WEIR_TLS_REFUSAL_TIMEOUT;
    connect_finish(connection, WEIR_TLS_REFUSED);
}

static const weir_connection_state connect_shaking = {
    .name = "TLS handshake to origin",
    .on_readable = connect_shake,
    .on_writable = connect_shake,
    .on_timeout = connect_timed_out,
};

/* An address is no name to ask for (RFC 6066, 3). */
static bool is_address(weir_str name)
{
    weir_addr addr;

    if (name.len > 2 && name.data[0] == '[') {
        name = weir_str_slice(name, 1, name.len - 1);
    }
    return weir_addr_parse_ip(name, &addr);
}

/*
 * A session says that its origin's certificate was verified, for one name: it is offered only where the same would be
 * asked for.  A peer's address has no NUL.
 */
static bool session_key_make(weir_tls *tls, const weir_tls_connect_options *options)
{
    weir_builder key;

    if (!tls->client->session_reuse || options->session_key.len == 0
        || weir_tls_client_varies(tls->client)) {
        return true;
    }
    weir_builder_open(&key, tls->connection->pool,
                      options->session_key.len + options->name.len + 1);
    weir_builder_add(&key, options->session_key);
    weir_builder_add_byte(&key, '\0');
    weir_builder_add(&key, options->name);
    return weir_builder_close(&key, &tls->session_key);
}

static bool connect_begin(weir_tls *tls, const weir_tls_connect_options *options)
{
    weir_pool *pool = tls->connection->pool;
    const weir_tls_client *client = tls->client;

    if (!weir_str_copy(pool, options->name, &tls->verify_name) || !session_key_make(tls, options)
        || !weir_tls_attach(tls, client->context->ctx)) {
        return false;
    }
    SSL_set_connect_state(tls->ssl);
    SSL_set_enforce_rsa_key_usage(tls->ssl, 0);

    if (client->sends_name && options->name.len != 0 && !is_address(options->name)) {
        const char *name = weir_str_z(pool, options->name);

        if (name == NULL || !SSL_set_tlsext_host_name(tls->ssl, name)) {
            return false;
        }
    }
    if (options->alpn.len != 0
        && SSL_set_alpn_protos(tls->ssl, (const uint8_t *) options->alpn.data,
                               (unsigned) options->alpn.len)
               != 0) {
        return false;
    }
    if (client->dynamic != NULL && !weir_tls_dynamic_use(tls, client->dynamic, options->script)) {
        return false;
    }
    session_offer(tls);
    return true;
}

bool weir_tls_client_varies(const weir_tls_client *client)
{
    return client->dynamic != NULL;
}

void weir_tls_connect(weir_connection *connection, weir_tls_client *client,
                      const weir_tls_connect_options *options,
                      void (*done)(weir_connection *connection, weir_tls_outcome outcome))
{
    weir_tls *tls = weir_tls_begin(connection);

    if (tls == NULL) {
        done(connection, WEIR_TLS_REFUSED);
        return;
    }
    tls->client = client;
    tls->done = done;
    if (!connect_begin(tls, options)) {
        connection->failed = true;
        done(connection, WEIR_TLS_REFUSED);
        return;
    }
    /* Our Finished must not make the request after it wait for the origin's delayed acknowledgement. */
    weir_connection_set_nodelay(connection, true);
    weir_connection_enter(connection, &connect_shaking);
    connect_shake(connection);
}

/* ---- the settings */

static bool client_certificate(weir_conf *conf, weir_tls_client *client,
                               const weir_tls_client_conf *settings, const char *prefix,
                               const char *family, weir_tls_pair **pair)
{
    *pair = NULL;
    if (settings->certificate.len == 0) {
        return true;
    }
    if (settings->key.len == 0) {
        weir_conf_point_at_text(conf, settings->certificate);
        return weir_conf_refuse(conf,
                                "no \"%scertificate_key\" is defined for certificate \"%.*s\"",
                                prefix, WEIR_STR_ARG(settings->certificate));
    }
    if (weir_str_find_byte(settings->certificate, '$') != NULL
        || weir_str_find_byte(settings->key, '$') != NULL) {
        weir_array certificates = {.items = (void *) (uintptr_t) &settings->certificate,
                                   .count = 1};
        weir_array keys = {.items = (void *) (uintptr_t) &settings->key, .count = 1};

        client->dynamic =
            weir_tls_dynamic_new(conf, family, &certificates, &keys, settings->password_file,
                                 &settings->certificate_cache);
        return client->dynamic != NULL;
    }
    *pair =
        weir_tls_store_pair(conf, settings->certificate, settings->key, settings->password_file);
    return *pair != NULL;
}

static bool client_trust(weir_conf *conf, weir_tls_client *client,
                         const weir_tls_client_conf *settings, const char *prefix)
{
    weir_str trusted = settings->trusted_certificate;
    weir_str crl = settings->crl;

    client->verify = settings->verify;
    client->verify_depth = (unsigned) settings->verify_depth;
    if (client->verify && trusted.len == 0) {
        return weir_conf_refuse(conf, "no %strusted_certificate for %sverify", prefix, prefix);
    }
    if (trusted.len == 0 && crl.len == 0) {
        return true;
    }
    client->trust = weir_tls_store_trust(conf, WEIR_STR_EMPTY, trusted, crl);
    return client->trust != NULL;
}

static bool client_context(weir_conf *conf, weir_tls_client *client, weir_tls_pair *pair)
{
    weir_tls_context wanted = {.profile = client->profile, .pair = pair, .of_client = true};

    weir_tls_context_digest(&wanted);
    client->context = weir_tls_store_context(conf, &wanted);
    return client->context != NULL;
}

weir_tls_client *weir_tls_client_new(weir_conf *conf, const weir_tls_client_conf *settings,
                                     const char *prefix, const char *family)
{
    const weir_tls_profile_words words = {
        .prefix = prefix,
        .protocols = settings->protocols,
        .ciphers = settings->ciphers,
        .curves = WEIR_STR("auto"),
        .commands = &settings->commands,
        .record_bytes = SSL3_RT_MAX_PLAIN_LENGTH,
        .session_timeout_s = 2 * 24 * 60 * 60,
        .key_log = settings->key_log,
    };
    weir_pool *pool = weir_conf_pool(conf);
    weir_tls_client *client = WEIR_NEW(pool, weir_tls_client);
    weir_tls_pair *pair;

    if (client == NULL || weir_pool_on_free(pool, sessions_forget, client) == NULL) {
        (void) weir_conf_refuse(conf, "no memory");
        return NULL;
    }
    client->session_reuse = settings->session_reuse;
    client->sends_name = settings->server_name;
    client->profile = weir_tls_profile_get(conf, &words);
    return client->profile != NULL && client_trust(conf, client, settings, prefix)
                   && client_certificate(conf, client, settings, prefix, family, &pair)
                   && client_context(conf, client, pair)
               ? client
               : NULL;
}
