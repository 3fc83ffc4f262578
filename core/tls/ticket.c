/*
 * Sessions that clients keep for us, encrypted (RFC 5077; RFC 8446, 4.6.1).
 *
 * A ticket is: the key's name (16 bytes), what became of the client's certificate (4), a nonce (12), and
 * the session under AES-256-GCM-SIV, which forgives a nonce used twice: keys of files live for years.
 *
 * The keys lie in memory that all workers of all generations share; the keeper makes a new one when the newest is as old
 * as a session may get, and the oldest of three gives way.
 */

#include "core/tls/tls_internal.h"

#include <openssl/aead.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdatomic.h>

#include "core/base/clock.h"
#include "core/base/random.h"
#include "core/process/worker.h"
#include "core/process/zone.h"
#include "core/tls/session_internal.h"

#define NAME_BYTES 16
#define SECRET_BYTES 32
#define NONCE_BYTES 12
#define TAG_BYTES 16
#define CODE_BYTES 4
#define HEAD_BYTES (NAME_BYTES + CODE_BYTES + NONCE_BYTES)

#define SLOTS 3
#define LIFE_MIN_S 3600
#define CHECK_EVERY_MS 60000

/* ---- the keys that all share */

/* `serial` commits: it is 0 while the rest is being written, and never the same twice. */
typedef struct {
    _Atomic uint64_t serial;
    _Atomic int64_t made_s;
    _Atomic uint64_t words[(NAME_BYTES + SECRET_BYTES) / 8];
} ticket_slot;

typedef struct {
    _Atomic uint32_t current; /* the slot that encrypts */
    ticket_slot slots[SLOTS];
} ticket_zone;

typedef struct {
    uint64_t serial; /* 0: none */
    uint8_t name[NAME_BYTES];
    EVP_AEAD_CTX aead;
} ticket_key;

/* This process's: keys made ready for use. They know by the serial what they were made from. */
static ticket_key shared_keys[SLOTS];

static bool key_make(ticket_key *key, const uint8_t bytes[static NAME_BYTES + SECRET_BYTES])
{
    memcpy(key->name, bytes, NAME_BYTES);
    return EVP_AEAD_CTX_init(&key->aead, EVP_aead_aes_256_gcm_siv(), bytes + NAME_BYTES,
                             SECRET_BYTES, TAG_BYTES, NULL)
           == 1;
}

/* The key of a slot, copied when it changed; NULL: there is none, or it is being written. */
static const ticket_key *shared_key(const ticket_zone *zone, uint32_t i)
{
    const ticket_slot *slot = &zone->slots[i % SLOTS];
    ticket_key *key = &shared_keys[i % SLOTS];
    uint64_t serial = atomic_load_explicit(&slot->serial, memory_order_acquire);
    uint64_t words[WEIR_COUNT(slot->words)];
    bool made;

    if (serial == 0) {
        return NULL;
    }
    if (serial == key->serial) {
        return key;
    }

    for (size_t w = 0; w < WEIR_COUNT(words); w++) {
        words[w] = atomic_load_explicit(&slot->words[w], memory_order_relaxed);
    }
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load_explicit(&slot->serial, memory_order_relaxed) != serial) {
        return NULL;
    }

    if (key->serial != 0) {
        EVP_AEAD_CTX_cleanup(&key->aead);
    }
    made = key_make(key, (const uint8_t *) words);
    key->serial = made ? serial : 0;
    OPENSSL_cleanse(words, sizeof(words));
    return made ? key : NULL;
}

/* Writes a fresh key into the slot after the current one, then makes that the current one. */
static void zone_add_key(ticket_zone *zone)
{
    uint32_t next = (atomic_load(&zone->current) + 1) % SLOTS;
    ticket_slot *slot = &zone->slots[next];
    uint64_t words[WEIR_COUNT(slot->words)], serial;

    weir_random_bytes(words, sizeof(words));
    do {
        weir_random_bytes(&serial, sizeof(serial));
    } while (serial == 0);

    atomic_store(&slot->serial, 0);
    for (size_t w = 0; w < WEIR_COUNT(words); w++) {
        atomic_store(&slot->words[w], words[w]);
    }
    atomic_store(&slot->made_s, weir_clock_now()->wall_s);
    atomic_store(&slot->serial, serial);
    atomic_store(&zone->current, next);
    OPENSSL_cleanse(words, sizeof(words));
}

static bool zone_opened(weir_zone *zone, bool is_new, void *subject)
{
    (void) subject;

    if (is_new) {
        zone_add_key(weir_zone_memory(zone));
    }
    return true;
}

/* ---- the chore */

typedef struct {
    weir_chore chore;
    weir_timer timer;
    weir_loop *loop;
    const weir_tls_store *store;
} ticket_chore;

static void chore_look(ticket_chore *rotation)
{
    ticket_zone *zone = weir_zone_memory(rotation->store->ticket_zone);
    const ticket_slot *slot = &zone->slots[atomic_load(&zone->current) % SLOTS];
    int64_t age = weir_clock_now()->wall_s - atomic_load(&slot->made_s);
    uint64_t life = rotation->store->longest_session_s;

    if (life < LIFE_MIN_S) {
        life = LIFE_MIN_S;
    }
    /* A clock that was set back makes no key live for ever. */
    if (age < 0 || (uint64_t) age >= life) {
        zone_add_key(zone);
    }
    (void) weir_timer_set(rotation->loop, &rotation->timer, CHECK_EVERY_MS);
}

static void chore_timer(weir_timer *timer)
{
    chore_look(WEIR_OWNER(timer, ticket_chore, timer));
}

static bool chore_start(weir_worker *keeper, weir_chore *chore)
{
    ticket_chore *rotation = chore->subject;

    rotation->loop = keeper->loop;
    rotation->timer = (weir_timer){.name = "TLS ticket keys", .expired = chore_timer};
    chore_look(rotation);
    return true;
}

static void chore_stop(weir_worker *keeper, weir_chore *chore)
{
    ticket_chore *rotation = chore->subject;

    weir_timer_clear(keeper->loop, &rotation->timer);
}

bool weir_tls_ticket_share(weir_conf *conf)
{
    weir_tls_store *store = weir_tls_store_of(conf);
    ticket_chore *rotation;

    if (store->ticket_zone != NULL) {
        return true;
    }
    rotation = WEIR_NEW(store->pool, ticket_chore);
    if (rotation == NULL) {
        return weir_conf_refuse(conf, "no memory");
    }
    *rotation = (ticket_chore){
        .chore = {.name = "TLS ticket keys", .start = chore_start, .stop = chore_stop},
        .store = store,
    };
    rotation->chore.subject = rotation;
    store->ticket_zone = weir_zone_new(conf, WEIR_STR("weir:tls_tickets"), sizeof(ticket_zone),
                                       "tls_tickets 1", zone_opened, NULL);
    return store->ticket_zone != NULL && weir_chore_register(store->cycle, &rotation->chore);
}

/* ---- the keys of files */

struct weir_tls_ticket_files {
    size_t count;
    ticket_key *keys;
};

static void files_clean(void *subject)
{
    weir_tls_ticket_files *files = subject;

    for (size_t i = 0; i < files->count; i++) {
        EVP_AEAD_CTX_cleanup(&files->keys[i].aead);
    }
}

/* nginx's files hold a name and keys for AES-128 or -256 and HMAC: all of it goes into ours. */
static bool file_key(ticket_key *key, weir_str bytes)
{
    uint8_t made[NAME_BYTES + SECRET_BYTES];
    bool done;

    memcpy(made, bytes.data, NAME_BYTES);
    SHA256((const uint8_t *) bytes.data, bytes.len, made + NAME_BYTES);
    done = key_make(key, made);
    OPENSSL_cleanse(made, sizeof(made));
    return done;
}

static bool file_load(weir_conf *conf, weir_str name, ticket_key *key)
{
    weir_str path, bytes;
    bool good;

    if (!weir_conf_file_path(conf, name, &path) || !weir_conf_read_file(conf, path, 4096, &bytes)) {
        return false;
    }
    good = bytes.len == 48 || bytes.len == 80;
    if (good) {
        good = file_key(key, bytes);
    }
    return good
           || weir_conf_refuse(conf,
                               "\"ssl_session_ticket_key\" file \"%.*s\" must be 48 or 80 bytes",
                               WEIR_STR_ARG(path));
}

const weir_tls_ticket_files *weir_tls_ticket_files_load(weir_conf *conf, const weir_array *paths)
{
    weir_pool *pool = weir_conf_pool(conf);
    weir_tls_ticket_files *files = WEIR_NEW(pool, weir_tls_ticket_files);

    if (files == NULL || (files->keys = WEIR_NEW_ARRAY(pool, ticket_key, paths->count)) == NULL
        || weir_pool_on_free(pool, files_clean, files) == NULL) {
        (void) weir_conf_refuse(conf, "no memory");
        return NULL;
    }
    for (size_t i = 0; i < paths->count; i++) {
        if (!file_load(conf, *WEIR_ARRAY_AT(paths, weir_str, i), &files->keys[i])) {
            return NULL;
        }
        files->count++;
    }
    return files;
}

/* ---- tickets */

static const ticket_key *key_to_seal(const weir_tls_server *server)
{
    const ticket_zone *zone;

    if (server->ticket_keys != NULL) {
        return &server->ticket_keys->keys[0];
    }
    if (server->ticket_zone == NULL) {
        return NULL;
    }
    zone = weir_zone_memory(server->ticket_zone);
    return shared_key(zone, atomic_load_explicit(&zone->current, memory_order_acquire));
}

static const ticket_key *key_in_file(const weir_tls_ticket_files *files, const uint8_t *name)
{
    for (size_t i = 0; i < files->count; i++) {
        if (memcmp(files->keys[i].name, name, NAME_BYTES) == 0) {
            return &files->keys[i];
        }
    }
    return NULL;
}

static const ticket_key *key_to_open(const weir_tls_server *server, const uint8_t *name)
{
    if (server->ticket_keys != NULL) {
        return key_in_file(server->ticket_keys, name);
    }
    for (uint32_t i = 0; server->ticket_zone != NULL && i < SLOTS; i++) {
        const ticket_key *key = shared_key(weir_zone_memory(server->ticket_zone), i);

        if (key != NULL && memcmp(key->name, name, NAME_BYTES) == 0) {
            return key;
        }
    }
    return NULL;
}

static size_t ticket_overhead(SSL *ssl)
{
    (void) ssl;
    return HEAD_BYTES + TAG_BYTES;
}

static int ticket_seal(SSL *ssl, uint8_t *out, size_t *out_len, size_t max_out_len,
                       const uint8_t *in, size_t in_len)
{
    const weir_tls *tls = weir_tls_of(ssl);
    int32_t code = (int32_t) (SSL_session_reused(ssl) ? tls->ticket_error : tls->verify_error);
    const ticket_key *key;
    size_t len;

    if (tls->server->keeps_sessions_only_here) {
        return weir_tls_session_put(tls, code, out, out_len, max_out_len, in, in_len);
    }

    key = key_to_seal(tls->server);
    if (key == NULL || max_out_len < HEAD_BYTES) {
        return 0;
    }
    /* Both buffers may be one. */
    memmove(out + HEAD_BYTES, in, in_len);
    memcpy(out, key->name, NAME_BYTES);
    memcpy(out + NAME_BYTES, &code, CODE_BYTES);
    RAND_bytes(out + NAME_BYTES + CODE_BYTES, NONCE_BYTES);
    if (!EVP_AEAD_CTX_seal(&key->aead, out + HEAD_BYTES, &len, max_out_len - HEAD_BYTES,
                           out + NAME_BYTES + CODE_BYTES, NONCE_BYTES, out + HEAD_BYTES, in_len,
                           out, NAME_BYTES + CODE_BYTES)) {
        return 0;
    }
    *out_len = HEAD_BYTES + len;
    return 1;
}

/* What cannot be opened is no error: the client is greeted as a new one. */
static enum ssl_ticket_aead_result_t ticket_open(SSL *ssl, uint8_t *out, size_t *out_len,
                                                 size_t max_out_len, const uint8_t *in,
                                                 size_t in_len)
{
    weir_tls *tls = weir_tls_of(ssl);
    const ticket_key *key;
    int32_t code;

    if (tls->server->keeps_sessions_only_here) {
        if (!weir_tls_session_get(tls, in, in_len, &code, out, out_len, max_out_len)) {
            return ssl_ticket_aead_ignore_ticket;
        }
        tls->ticket_error = code;
        return ssl_ticket_aead_success;
    }

    if (in_len < HEAD_BYTES || (key = key_to_open(tls->server, in)) == NULL
        || !EVP_AEAD_CTX_open(&key->aead, out, out_len, max_out_len, in + NAME_BYTES + CODE_BYTES,
                              NONCE_BYTES, in + HEAD_BYTES, in_len - HEAD_BYTES, in,
                              NAME_BYTES + CODE_BYTES)) {
        ERR_clear_error();
        return ssl_ticket_aead_ignore_ticket;
    }
    memcpy(&code, in + NAME_BYTES, CODE_BYTES);
    tls->ticket_error = code;
    return ssl_ticket_aead_success;
}

const SSL_TICKET_AEAD_METHOD weir_tls_ticket_method = {
    .max_overhead = ticket_overhead,
    .seal = ticket_seal,
    .open = ticket_open,
};
