#ifndef WEIR_TLS_SESSION_INTERNAL_H
#define WEIR_TLS_SESSION_INTERNAL_H

#include "core/tls/tls_internal.h"

/* ssl_session_cache shared: sessions in a table that all workers share, under random ids. */
typedef struct weir_tls_sessions weir_tls_sessions;

#define WEIR_TLS_SESSION_ID_BYTES 32

/* Those of the zone of that name, the same for each who names it. NULL: refused. */
weir_tls_sessions *weir_tls_sessions_of(weir_conf *conf, weir_str name, size_t bytes);
/*
 * A ticket that holds no session but names one: keeps the session, with what became of the client's certificate.
 * As long as the session, as BoringSSL gives back no more than came in.  False: it does not fit.
 */
bool weir_tls_session_put(const weir_tls *tls, int32_t code, uint8_t *ticket, size_t *ticket_len,
                          size_t max_ticket_len, const uint8_t *session, size_t session_len);
bool weir_tls_session_get(const weir_tls *tls, const uint8_t *ticket, size_t ticket_len,
                          int32_t *code, uint8_t *session, size_t *session_len,
                          size_t max_session_len);

/* For clients of TLS 1.2 that take no tickets: sessions by the ids of the handshake. */
void weir_tls_session_prepare(SSL_CTX *ctx);

#endif
