#ifndef WEIR_TLS_SESSION_INTERNAL_H
#define WEIR_TLS_SESSION_INTERNAL_H

#include "core/tls/tls_internal.h"

/*
 * ssl_session_cache shared: sessions in memory that all workers share, under random ids.
 *
 * There is no lock.  An entry carries a digest of itself: one that was overwritten while it was read, or whose writer
 * died, does not match and is not there.
 */

#define WEIR_TLS_SESSION_ID_BYTES 32

/* The zone of that name. NULL: refused. */
struct weir_zone *weir_tls_session_zone(weir_conf *conf, weir_str name, size_t bytes);
/*
 * A ticket that holds no session but names one: keeps the session, with what became of the client's certificate.
 * As long as the session, as BoringSSL gives back no more than came in.  False: it does not fit.
 */
bool weir_tls_session_put(struct weir_zone *zone, int32_t code, uint8_t *ticket, size_t *ticket_len,
                          size_t max_ticket_len, const uint8_t *session, size_t session_len);
bool weir_tls_session_get(struct weir_zone *zone, const uint8_t *ticket, size_t ticket_len,
                          int32_t *code, uint8_t *session, size_t *session_len,
                          size_t max_session_len);

/* For clients of TLS 1.2 that take no tickets: sessions by the ids of the handshake. */
void weir_tls_session_prepare(SSL_CTX *ctx);

#endif
