/* ssl_session_cache shared. */

#include "core/tls/session_internal.h"

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/rand.h>

#include "core/process/cycle.h"
#include "core/process/zone.h"
#include "core/shared/table.h"

#define BYTES_MIN (16u * 1024)
#define SESSION_MAX 8192 /* with a client's certificates; longer ones are not kept */
#define LAYOUT "tls_sessions 2"

#define ID WEIR_TLS_SESSION_ID_BYTES

struct weir_tls_sessions {
    weir_zone *zone;
    weir_table *table; /* NULL before the zone is opened */
    weir_cycle *cycle;
};

/* What is kept under an id. */
typedef struct {
    int32_t code; /* what became of the client's certificate */
    uint8_t session[SESSION_MAX];
} entry;

static bool sessions_opened(weir_zone *zone, bool is_new, void *subject)
{
    weir_tls_sessions *sessions = subject;

    sessions->table =
        weir_table_open(sessions->cycle->pool, weir_zone_memory(zone), weir_zone_bytes(zone),
                        (weir_table_shape){0}, is_new, weir_zone_name(zone), &sessions->cycle->log);
    return sessions->table != NULL;
}

weir_tls_sessions *weir_tls_sessions_of(weir_conf *conf, weir_str name, size_t bytes)
{
    weir_tls_store *store = weir_tls_store_of(conf);
    weir_tls_sessions *sessions;

    if (bytes < BYTES_MIN) {
        (void) weir_conf_refuse(conf, "session cache \"%.*s\" is too small", WEIR_STR_ARG(name));
        return NULL;
    }
    if (store == NULL) {
        return NULL;
    }

    sessions = weir_map_find(store->sessions, name);
    if (sessions == NULL) {
        sessions = WEIR_NEW(store->pool, weir_tls_sessions);
        if (sessions == NULL || !weir_str_copy(store->pool, name, &name)
            || !weir_map_put(store->sessions, name, sessions)) {
            (void) weir_conf_refuse(conf, "no memory");
            return NULL;
        }
        sessions->cycle = store->cycle;
    }

    /* Asked each time: another size is refused. */
    sessions->zone = weir_zone_new(conf, name, bytes, LAYOUT, sessions_opened, sessions);
    return sessions->zone == NULL ? NULL : sessions;
}

static weir_str id_text(const uint8_t *id)
{
    return weir_str_of((const char *) id, ID);
}

/* What is not kept is no error: its client will greet us anew. */
static void session_keep(const weir_tls *tls, const uint8_t *id, int32_t code,
                         const uint8_t *session, size_t len)
{
    entry e;

    if (len == 0 || len > sizeof(e.session)) {
        return;
    }
    e.code = code;
    memcpy(e.session, session, len);
    (void) !weir_table_put(tls->server->session_cache->table, id_text(id),
                           weir_str_of((const char *) &e, offsetof(entry, session) + len),
                           (uint64_t) tls->server->profile->session_timeout_s * 1000);
    OPENSSL_cleanse(e.session, len);
}

static bool session_find(const weir_tls *tls, const uint8_t *id, entry *e, size_t *len)
{
    size_t all;

    if (!weir_table_get(tls->server->session_cache->table, id_text(id), e, sizeof(*e), &all)
        || all <= offsetof(entry, session)) {
        return false;
    }
    *len = all - offsetof(entry, session);
    return true;
}

/* ---- as tickets */

bool weir_tls_session_put(const weir_tls *tls, int32_t code, uint8_t *ticket, size_t *ticket_len,
                          size_t max_ticket_len, const uint8_t *session, size_t session_len)
{
    size_t len = session_len < ID ? ID : session_len;
    uint8_t made[ID];

    if (len > max_ticket_len) {
        return false;
    }
    RAND_bytes(made, sizeof(made));
    session_keep(tls, made, code, session, session_len);
    memset(ticket, 0, len);
    memcpy(ticket, made, sizeof(made));
    *ticket_len = len;
    return true;
}

bool weir_tls_session_get(const weir_tls *tls, const uint8_t *ticket, size_t ticket_len,
                          int32_t *code, uint8_t *session, size_t *session_len,
                          size_t max_session_len)
{
    size_t len;
    entry e;

    if (ticket_len < ID || !session_find(tls, ticket, &e, &len) || len > max_session_len) {
        return false;
    }
    memcpy(session, e.session, len);
    *session_len = len;
    *code = e.code;
    OPENSSL_cleanse(e.session, len);
    return true;
}

/* ---- by the ids of TLS 1.2 */

static bool id_of(const uint8_t *given, size_t len, uint8_t id[static ID])
{
    memset(id, 0, ID);
    if (len == 0 || len > ID) {
        return false;
    }
    memcpy(id, given, len);
    return true;
}

static int session_made(SSL *ssl, SSL_SESSION *session)
{
    const weir_tls *tls = weir_tls_of(ssl);
    unsigned given_len;
    const uint8_t *given = SSL_SESSION_get_id(session, &given_len);
    uint8_t id[ID], *bytes;
    size_t len;

    if (tls->server->session_cache == NULL || SSL_SESSION_has_ticket(session)
        || SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION
        || !id_of(given, given_len, id) || !SSL_SESSION_to_bytes(session, &bytes, &len)) {
        return 0;
    }
    session_keep(tls, id, (int32_t) tls->verify_error, bytes, len);
    OPENSSL_cleanse(bytes, len);
    OPENSSL_free(bytes);
    return 0;
}

static SSL_SESSION *session_wanted(SSL *ssl, const uint8_t *given, int given_len, int *is_shared)
{
    weir_tls *tls = weir_tls_of(ssl);
    SSL_SESSION *session = NULL;
    uint8_t id[ID];
    size_t len;
    entry e;

    *is_shared = 0;
    if (tls->server->session_cache != NULL && id_of(given, (size_t) given_len, id)
        && session_find(tls, id, &e, &len)) {
        tls->ticket_error = e.code;
        session = SSL_SESSION_from_bytes(e.session, len, SSL_get_SSL_CTX(ssl));
        OPENSSL_cleanse(e.session, len);
        ERR_clear_error();
    }
    return session;
}

void weir_tls_session_prepare(SSL_CTX *ctx)
{
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, session_made);
    SSL_CTX_sess_set_get_cb(ctx, session_wanted);
}
