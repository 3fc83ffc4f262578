/* ssl_session_cache shared. */

#include "core/tls/session_internal.h"

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <openssl/siphash.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/process/zone.h"

/*
 * Most sessions are small; those with a client's certificate are not.  A session goes into one of a few
 * places that its id names: a free one, or the oldest.
 */
#define SMALL_BYTES 384
#define LARGE_BYTES 4096
#define PLACES 4
#define BYTES_MIN (16u * 1024)

#define ID WEIR_TLS_SESSION_ID_BYTES

typedef struct {
    uint8_t id[ID];
    uint64_t made; /* counts up: the oldest has the least */
    int32_t code;
    uint32_t len;
} entry_head;

/* In the zone: the digest, then the head, then the session; all as words, which are read and written whole. */
typedef struct {
    uint64_t digest;
    entry_head head;
    uint8_t session[LARGE_BYTES - sizeof(uint64_t) - sizeof(entry_head)];
} entry;

typedef struct {
    _Atomic uint64_t counter;
    _Atomic uint64_t digest_key[2];
    _Atomic uint64_t words[]; /* the small entries, then the large ones */
} cache;

typedef struct {
    _Atomic uint64_t *first;
    size_t bytes; /* of one */
    size_t count; /* a multiple of PLACES */
} area;

static bool cache_opened(weir_zone *zone, bool is_new, void *subject)
{
    cache *memory = weir_zone_memory(zone);
    uint64_t key[2];

    (void) subject;

    if (is_new) {
        RAND_bytes((uint8_t *) key, sizeof(key));
        atomic_store(&memory->digest_key[0], key[0]);
        atomic_store(&memory->digest_key[1], key[1]);
    }
    return true;
}

weir_zone *weir_tls_session_zone(weir_conf *conf, weir_str name, size_t bytes)
{
    if (bytes < BYTES_MIN) {
        (void) weir_conf_refuse(conf, "session cache \"%.*s\" is too small", WEIR_STR_ARG(name));
        return NULL;
    }
    return weir_zone_new(conf, name, bytes, "tls_sessions 1", cache_opened, NULL);
}

/* Three quarters are for small sessions. */
static area area_for(weir_zone *zone, bool small)
{
    cache *memory = weir_zone_memory(zone);
    size_t bytes = weir_zone_bytes(zone) - sizeof(cache);
    size_t small_count = bytes / 4 * 3 / SMALL_BYTES / PLACES * PLACES;

    if (small) {
        return (area){memory->words, SMALL_BYTES, small_count};
    }
    return (area){memory->words + small_count * SMALL_BYTES / 8, LARGE_BYTES,
                  (bytes - small_count * SMALL_BYTES) / LARGE_BYTES / PLACES * PLACES};
}

static uint64_t digest_of(const cache *memory, const entry *e)
{
    const uint64_t key[2] = {atomic_load_explicit(&memory->digest_key[0], memory_order_relaxed),
                             atomic_load_explicit(&memory->digest_key[1], memory_order_relaxed)};

    return SIPHASH_24(key, (const uint8_t *) &e->head, sizeof(e->head) + e->head.len);
}

static size_t entry_bytes(const entry *e)
{
    return offsetof(entry, session) + e->head.len;
}

/* Copies an entry out; whether it is whole, and not half of another, the digest tells. */
static bool entry_read(const cache *memory, const _Atomic uint64_t *words, size_t max_bytes,
                       entry *e)
{
    uint64_t *to = (uint64_t *) (void *) e;
    size_t head_words = offsetof(entry, session) / 8, all;

    for (size_t w = 0; w < head_words; w++) {
        to[w] = atomic_load_explicit(&words[w], memory_order_relaxed);
    }
    if (e->head.len == 0 || e->head.len > max_bytes - offsetof(entry, session)) {
        return false;
    }
    all = (entry_bytes(e) + 7) / 8;
    for (size_t w = head_words; w < all; w++) {
        to[w] = atomic_load_explicit(&words[w], memory_order_relaxed);
    }
    return digest_of(memory, e) == e->digest;
}

static void entry_write(_Atomic uint64_t *words, const entry *e)
{
    const uint64_t *from = (const uint64_t *) (const void *) e;

    for (size_t w = 0; w < (entry_bytes(e) + 7) / 8; w++) {
        atomic_store_explicit(&words[w], from[w], memory_order_relaxed);
    }
}

static _Atomic uint64_t *place_at(const area *in, const uint8_t *id, size_t i)
{
    uint64_t number;

    memcpy(&number, id, sizeof(number));
    return in->first + (number % (in->count / PLACES) * PLACES + i) * in->bytes / 8;
}

/* A place whose head says nothing, or the one that was written first. */
static _Atomic uint64_t *place_to_write(const area *in, const uint8_t *id)
{
    const size_t made_at = (offsetof(entry, head) + offsetof(entry_head, made)) / 8;
    _Atomic uint64_t *best = NULL;
    uint64_t best_made = UINT64_MAX;

    for (size_t i = 0; i < PLACES; i++) {
        _Atomic uint64_t *place = place_at(in, id, i);
        uint64_t made = atomic_load_explicit(&place[made_at], memory_order_relaxed);

        if (made < best_made) {
            best = place;
            best_made = made;
        }
    }
    return best;
}

static void cache_put(weir_zone *zone, const uint8_t *id, int32_t code, const uint8_t *session,
                      size_t len)
{
    cache *memory = weir_zone_memory(zone);
    area in = area_for(zone, len <= SMALL_BYTES - offsetof(entry, session));
    entry e;

    if (in.count == 0 || len == 0 || len > sizeof(e.session)) {
        return; /* not kept: its client will greet us anew */
    }
    memset(&e, 0, offsetof(entry, session));
    memcpy(e.head.id, id, ID);
    e.head.made = atomic_fetch_add_explicit(&memory->counter, 1, memory_order_relaxed) + 1;
    e.head.code = code;
    e.head.len = (uint32_t) len;
    memcpy(e.session, session, len);
    memset(e.session + len, 0, (8 - len % 8) % 8);
    e.digest = digest_of(memory, &e);
    entry_write(place_to_write(&in, id), &e);
    OPENSSL_cleanse(&e, sizeof(e));
}

static bool cache_find(weir_zone *zone, const uint8_t *id, entry *e)
{
    const cache *memory = weir_zone_memory(zone);

    for (int small = 1; small >= 0; small--) {
        area in = area_for(zone, small);

        for (size_t i = 0; in.count != 0 && i < PLACES; i++) {
            if (entry_read(memory, place_at(&in, id, i), in.bytes, e)
                && CRYPTO_memcmp(e->head.id, id, ID) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* ---- as tickets */

bool weir_tls_session_put(weir_zone *zone, int32_t code, uint8_t *ticket, size_t *ticket_len,
                          size_t max_ticket_len, const uint8_t *session, size_t session_len)
{
    size_t len = session_len < ID ? ID : session_len;
    uint8_t made[ID];

    if (len > max_ticket_len) {
        return false;
    }
    RAND_bytes(made, sizeof(made));
    cache_put(zone, made, code, session, session_len);
    memset(ticket, 0, len);
    memcpy(ticket, made, sizeof(made));
    *ticket_len = len;
    return true;
}

bool weir_tls_session_get(weir_zone *zone, const uint8_t *ticket, size_t ticket_len, int32_t *code,
                          uint8_t *session, size_t *session_len, size_t max_session_len)
{
    entry e;

    if (ticket_len < ID || !cache_find(zone, ticket, &e) || e.head.len > max_session_len) {
        return false;
    }
    memcpy(session, e.session, e.head.len);
    *session_len = e.head.len;
    *code = e.head.code;
    OPENSSL_cleanse(&e, sizeof(e));
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
    cache_put(tls->server->session_cache, id, (int32_t) tls->verify_error, bytes, len);
    OPENSSL_cleanse(bytes, len);
    OPENSSL_free(bytes);
    return 0;
}

static SSL_SESSION *session_wanted(SSL *ssl, const uint8_t *given, int given_len, int *is_shared)
{
    weir_tls *tls = weir_tls_of(ssl);
    SSL_SESSION *session = NULL;
    uint8_t id[ID];
    entry e;

    *is_shared = 0;
    if (tls->server->session_cache != NULL && id_of(given, (size_t) given_len, id)
        && cache_find(tls->server->session_cache, id, &e)) {
        tls->ticket_error = e.head.code;
        session = SSL_SESSION_from_bytes(e.session, e.head.len, SSL_get_SSL_CTX(ssl));
        OPENSSL_cleanse(&e, sizeof(e));
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
