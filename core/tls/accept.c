/*
 * The server's side of a handshake.
 *
 * Everything is decided in one callback, when the ClientHello has been read: which server the client asks for,
 * with which key, and what that server's settings are.
 */

#include "core/tls/session_internal.h"

#include <errno.h>

#define NAME_MAX_BYTES 256 /* a host name has at most 253 */

/* ---- which server */

/* Lower case, without the dot that may end it; false: no name could be that long. */
static bool host_name(const SSL *ssl, char buffer[static NAME_MAX_BYTES], weir_str *name)
{
    weir_str given = weir_str_from_z(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));

    if (given.len != 0 && given.data[given.len - 1] == '.') {
        given.len--;
    }
    if (given.len >= NAME_MAX_BYTES) {
        return false;
    }
    for (size_t i = 0; i < given.len; i++) {
        buffer[i] = weir_byte_lower(given.data[i]);
    }
    *name = weir_str_of(buffer, given.len);
    return true;
}

static weir_tls_server *server_for(weir_tls *tls)
{
    const weir_tls_acceptor *acceptor = tls->acceptor;
    char buffer[NAME_MAX_BYTES];
    weir_tls_server *server = NULL;
    weir_str name;

    if (acceptor->find != NULL && host_name(tls->ssl, buffer, &name)) {
        server = acceptor->find(tls->connection, name, acceptor->subject);
    }
    return server != NULL ? server : acceptor->default_server;
}

/* ---- its settings */

static enum ssl_verify_result_t accept_verify(SSL *ssl, uint8_t *alert)
{
    weir_tls *tls = weir_tls_of(ssl);
    const weir_tls_server *server = tls->server;

    (void) alert;

    /* A handshake fails for no certificate: who may do what is for the layers above to say. */
    tls->verify_error = weir_tls_trust_verify(server->trust, ssl, server->verify_depth, true);
    return ssl_verify_ok;
}

/* Names the authorities to the client. */
static bool name_authorities(SSL *ssl, const weir_tls_trust *trust)
{
    STACK_OF(CRYPTO_BUFFER) * names;

    if (trust == NULL || trust->names == NULL) {
        return true;
    }
    names = sk_CRYPTO_BUFFER_new_null();
    if (names == NULL) {
        return false;
    }
    for (size_t i = 0; i < sk_CRYPTO_BUFFER_num(trust->names); i++) {
        CRYPTO_BUFFER *name = sk_CRYPTO_BUFFER_value(trust->names, i);

        if (sk_CRYPTO_BUFFER_push(names, name) == 0) {
            sk_CRYPTO_BUFFER_pop_free(names, CRYPTO_BUFFER_free);
            return false;
        }
        CRYPTO_BUFFER_up_ref(name);
    }
    SSL_set0_client_CAs(ssl, names);
    return true;
}

static bool ask_for_certificate(SSL *ssl, const weir_tls_server *server)
{
    if (server->verify == WEIR_TLS_VERIFY_OFF) {
        SSL_set_custom_verify(ssl, SSL_VERIFY_NONE, NULL);
        return true;
    }
    SSL_set_custom_verify(ssl, SSL_VERIFY_PEER, accept_verify);
    return name_authorities(ssl, server->trust);
}

/* What of the server's settings the certificate's context does not bring along. */
static bool apply_settings(weir_tls *tls, const weir_tls_server *server)
{
    const weir_tls_server *begun_as = tls->acceptor->default_server;

    if (server->profile != begun_as->profile
        && !weir_tls_profile_apply(server->profile, tls->ssl)) {
        return false;
    }
    SSL_set_early_data_enabled(tls->ssl, server->early_data);
    return ask_for_certificate(tls->ssl, server)
           && SSL_set_session_id_context(tls->ssl, server->verify_digest,
                                         sizeof(server->verify_digest));
}

/* ---- the ClientHello's lists, for variables */

static weir_str hello_extension(const SSL_CLIENT_HELLO *hello, uint16_t type, size_t skip)
{
    const uint8_t *data;
    size_t len;

    if (!SSL_early_callback_ctx_extension_get(hello, type, &data, &len) || len < skip) {
        return WEIR_STR_EMPTY;
    }
    return weir_str_of((const char *) data + skip, len - skip);
}

static bool keep_lists(weir_tls *tls, const SSL_CLIENT_HELLO *hello)
{
    weir_pool *pool = tls->connection->pool;
    weir_tls_client_lists *lists = WEIR_NEW(pool, weir_tls_client_lists);

    if (lists == NULL) {
        return false;
    }
    tls->lists = lists;
    return weir_str_copy(pool,
                         weir_str_of((const char *) hello->cipher_suites, hello->cipher_suites_len),
                         &lists->ciphers)
           && weir_str_copy(pool, hello_extension(hello, TLSEXT_TYPE_supported_groups, 2),
                            &lists->groups)
           && weir_str_copy(pool, hello_extension(hello, TLSEXT_TYPE_signature_algorithms, 2),
                            &lists->signatures);
}

/* ---- callbacks of BoringSSL */

static bool use_dynamic(weir_tls *tls, const weir_tls_dynamic *dynamic)
{
    const weir_tls_acceptor *acceptor = tls->acceptor;
    weir_script *script = NULL;

    if (acceptor->script != NULL) {
        script = acceptor->script(tls->connection, tls->connection->pool, acceptor->subject);
    }
    return weir_tls_dynamic_use(tls, dynamic, script);
}

static enum ssl_select_cert_result_t select_certificate(const SSL_CLIENT_HELLO *hello)
{
    weir_tls *tls = weir_tls_of(hello->ssl);
    weir_tls_server *server = server_for(tls);
    weir_tls_context *context;

    tls->server = server;
    if (WEIR_UNLIKELY(tls->acceptor->keeps_client_lists) && !keep_lists(tls, hello)) {
        return ssl_select_cert_error;
    }
    if (WEIR_UNLIKELY(server->rejects)) {
        return ssl_select_cert_success; /* answer_server_name() says no, in the right words */
    }

    /* A server without a certificate shows the default one's. */
    context = weir_tls_server_context(
        server->has_certificate ? server : tls->acceptor->default_server, hello);
    if (context->ctx != SSL_get_SSL_CTX(tls->ssl)
        && SSL_set_SSL_CTX(tls->ssl, context->ctx) == NULL) {
        return ssl_select_cert_error;
    }
    if (server != tls->acceptor->default_server && !apply_settings(tls, server)) {
        return ssl_select_cert_error;
    }
    if (WEIR_UNLIKELY(server->dynamic != NULL) && !use_dynamic(tls, server->dynamic)) {
        return ssl_select_cert_error;
    }
    return ssl_select_cert_success;
}

static int answer_server_name(SSL *ssl, int *alert, void *subject)
{
    weir_tls *tls = weir_tls_of(ssl);

    (void) subject;
    if (tls->server->rejects) {
        weir_log_line(&tls->connection->log, WEIR_LOG_INFO, 0, "handshake rejected");
        tls->told = true;
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return SSL_TLSEXT_ERR_OK;
}

static int select_protocol(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
                           unsigned in_len, void *subject)
{
    weir_tls *tls = weir_tls_of(ssl);
    const weir_tls_acceptor *acceptor = tls->acceptor;
    weir_str ours = acceptor->alpn_of == NULL
                        ? acceptor->alpn
                        : acceptor->alpn_of(tls->connection, acceptor->subject);

    (void) subject;

    if (ours.len == 0) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    /* Ours first: the order is the server's to say (RFC 7301, 3.2). */
    if (SSL_select_next_proto((uint8_t **) out, out_len, (const uint8_t *) ours.data,
                              (unsigned) ours.len, in, in_len)
        != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return SSL_TLSEXT_ERR_OK;
}

void weir_tls_accept_prepare(SSL_CTX *ctx)
{
    SSL_CTX_set_select_certificate_cb(ctx, select_certificate);
    SSL_CTX_set_tlsext_servername_callback(ctx, answer_server_name);
    SSL_CTX_set_alpn_select_cb(ctx, select_protocol, NULL);
    SSL_CTX_set_ticket_aead_method(ctx, &weir_tls_ticket_method);
    weir_tls_session_prepare(ctx);
}

/* ---- the connection's part */

static void accept_finish(weir_connection *connection, weir_tls_outcome outcome)
{
    void (*done)(weir_connection *, weir_tls_outcome) = connection->tls->done;

    weir_connection_clear_timeout(connection);
    done(connection, outcome);
}

static void accept_timed_out(weir_connection *connection)
{
    weir_log_line(&connection->log, WEIR_LOG_INFO, ETIMEDOUT, "client timed out");
    connection->failed = true;
    accept_finish(connection, WEIR_TLS_REFUSED);
}

static void accept_shake(weir_connection *connection)
{
    switch (weir_tls_handshake(connection->tls)) {
    case WEIR_TLS_STEP_WAIT:
        return;
    case WEIR_TLS_STEP_FAILED:
        accept_finish(connection, WEIR_TLS_REFUSED);
        return;
    case WEIR_TLS_STEP_DONE:
        accept_finish(connection, WEIR_TLS_ESTABLISHED);
        return;
    }
}

static const weir_connection_state accept_shaking = {
    .name = "TLS handshake",
    .on_readable = accept_shake,
    .on_writable = accept_shake,
    .on_timeout = accept_timed_out,
};

/* A record of the handshake, or a ClientHello in the manner of SSL 2, which clients of old begin with. */
static bool begins_handshake(weir_str bytes)
{
    unsigned char first = (unsigned char) bytes.data[0];

    return first == SSL3_RT_HANDSHAKE || (first & 0x80) != 0;
}

static void accept_plain(weir_connection *connection, weir_str bytes)
{
    void (*done)(weir_connection *, weir_tls_outcome) = connection->tls->done;
    weir_tls_outcome outcome = WEIR_TLS_NOT_TLS;

    if (!weir_str_copy(connection->pool, bytes, &connection->early)) {
        outcome = WEIR_TLS_REFUSED;
    }
    weir_tls_detach(connection);
    weir_connection_clear_timeout(connection);
    done(connection, outcome);
}

/* Waits for the first byte, so that a connection that sends none has no SSL, and one without TLS is noticed. */
static void accept_look(weir_connection *connection)
{
    weir_tls *tls = connection->tls;
    weir_str bytes;

    switch (weir_tls_peek(tls, &bytes)) {
    case WEIR_WAIT:
        return;
    case WEIR_FAIL:
        accept_finish(connection, WEIR_TLS_REFUSED);
        return;
    case WEIR_OK:
        break;
    }

    if (bytes.len == 0) {
        /* Port scanners and health checks; nothing to tell. */
        connection->failed = true;
        accept_finish(connection, WEIR_TLS_REFUSED);
        return;
    }
    if (!begins_handshake(bytes)) {
        accept_plain(connection, bytes);
        return;
    }

    if (!weir_tls_attach(tls, tls->server->contexts[0]->ctx)
        || !SSL_set_max_send_fragment(tls->ssl, tls->server->profile->record_bytes)) {
        accept_finish(connection, WEIR_TLS_REFUSED);
        return;
    }
    SSL_set_accept_state(tls->ssl);
    if (!ask_for_certificate(tls->ssl, tls->server)) {
        accept_finish(connection, WEIR_TLS_REFUSED);
        return;
    }
    connection->state = &accept_shaking;
    accept_shake(connection);
}

static const weir_connection_state accept_looking = {
    .name = "TLS first byte",
    .on_readable = accept_look,
    .on_timeout = accept_timed_out,
};

void weir_tls_accept(weir_connection *connection, const weir_tls_acceptor *acceptor,
                     void (*done)(weir_connection *connection, weir_tls_outcome outcome))
{
    weir_tls *tls = weir_tls_begin(connection);

    if (tls == NULL) {
        done(connection, WEIR_TLS_REFUSED);
        return;
    }
    tls->acceptor = acceptor;
    tls->server = acceptor->default_server;
    tls->done = done;
    weir_connection_set_timeout(connection, acceptor->handshake_timeout_ms);
    weir_connection_enter(connection, &accept_looking);
}
