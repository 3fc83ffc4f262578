/*
 * Files that change while we run.
 *
 * The master, who alone can read keys, reads a changed set and checks it, takes it in and sends it to the workers.
 * Contexts are made anew; connections go on with those they began with.
 */

#include "core/tls/tls_internal.h"

#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/process/worker.h"

#define PAIR_MESSAGE "tls pair"
#define TRUST_MESSAGE "tls trust"
#define CHAIN_MAX 100

typedef struct {
    weir_watch watch;
    weir_tls_store *store;
    weir_tls_pair *pair;   /* this, */
    weir_tls_trust *trust; /* or that */
} renewal;

static bool context_remake(weir_tls_context *context, const weir_log *log)
{
    char why[WEIR_TLS_WHY_BYTES];

    if (!weir_tls_context_make(context, why)) {
        weir_log_line(log, WEIR_LOG_ERR, 0, "%s, the old certificate stays", why);
        return false;
    }
    return true;
}

/* ---- a certificate with its key */

/* Takes what `fresh` holds. */
static void pair_adopt(weir_tls_store *store, weir_tls_pair *pair, const weir_tls_pair *fresh,
                       const weir_log *log)
{
    weir_tls_pair before = *pair;

    pair->chain = fresh->chain;
    pair->chain_count = fresh->chain_count;
    pair->private_key = fresh->private_key;
    pair->signature = fresh->signature;
    pair->not_after = fresh->not_after;
    memcpy(pair->digest, fresh->digest, sizeof(pair->digest));
    weir_tls_pair_release(&before);

    for (size_t i = 0; i < store->context_list.count; i++) {
        weir_tls_context *context = *WEIR_ARRAY_AT(&store->context_list, weir_tls_context *, i);

        if (context->pair == pair && !context_remake(context, log)) {
            return;
        }
    }
}

/* The number of the pair, the chain, the key: each with its length before it, all in DER. */
static bool pair_write(const weir_tls_pair *pair, uint8_t **data, size_t *len)
{
    CBB all, chain, key;

    CBB_zero(&all);
    if (!CBB_init(&all, 8192) || !CBB_add_u32(&all, (uint32_t) pair->index)
        || !CBB_add_u24_length_prefixed(&all, &chain)) {
        CBB_cleanup(&all);
        return false;
    }
    for (size_t i = 0; i < pair->chain_count; i++) {
        CBB one;

        if (!CBB_add_u24_length_prefixed(&chain, &one)
            || !CBB_add_bytes(&one, CRYPTO_BUFFER_data(pair->chain[i]),
                              CRYPTO_BUFFER_len(pair->chain[i]))
            || !CBB_flush(&chain)) {
            CBB_cleanup(&all);
            return false;
        }
    }
    if (!CBB_add_u24_length_prefixed(&all, &key)
        || !EVP_marshal_private_key(&key, pair->private_key) || !CBB_finish(&all, data, len)) {
        CBB_cleanup(&all);
        return false;
    }
    return true;
}

static bool pair_read(CBS *message, weir_tls_pair *fresh)
{
    CBS chain, key, one;

    if (!CBS_get_u24_length_prefixed(message, &chain) || !CBS_get_u24_length_prefixed(message, &key)
        || (fresh->chain = calloc(CHAIN_MAX, sizeof(CRYPTO_BUFFER *))) == NULL) {
        return false;
    }
    while (fresh->chain_count < CHAIN_MAX && CBS_get_u24_length_prefixed(&chain, &one)) {
        fresh->chain[fresh->chain_count] = CRYPTO_BUFFER_new_from_CBS(&one, NULL);
        if (fresh->chain[fresh->chain_count] == NULL) {
            return false;
        }
        fresh->chain_count++;
    }
    fresh->private_key = EVP_parse_private_key(&key);
    return fresh->chain_count != 0 && fresh->private_key != NULL;
}

static void pair_received(weir_worker *worker, weir_str bytes, void *subject)
{
    static const weir_tls_pair_text unnamed;
    weir_tls_store *store = subject;
    weir_tls_pair fresh = {0};
    char why[WEIR_TLS_WHY_BYTES];
    CBS message;
    uint32_t index;

    CBS_init(&message, (const uint8_t *) bytes.data, bytes.len);
    if (!CBS_get_u32(&message, &index) || index >= store->pair_list.count
        || !pair_read(&message, &fresh) || !weir_tls_pair_check(&fresh, &unnamed, why)) {
        weir_tls_pair_release(&fresh);
        ERR_clear_error();
        weir_log_line(&worker->log, WEIR_LOG_ALERT, 0, "a renewed certificate did not arrive");
        return;
    }
    pair_adopt(store, *WEIR_ARRAY_AT(&store->pair_list, weir_tls_pair *, index), &fresh,
               &worker->log);
}

static bool pair_reload(const weir_tls_pair *pair, weir_tls_pair *fresh, const weir_log *log)
{
    char why[WEIR_TLS_WHY_BYTES];

    fresh->certificate = pair->certificate;
    fresh->key = pair->key;
    fresh->passwords = pair->passwords;
    if (!weir_tls_pair_load(fresh, why)) {
        weir_log_line(log, WEIR_LOG_ERR, 0, "%s, the old certificate stays", why);
        return false;
    }
    if (fresh->not_after < weir_clock_now()->wall_s) {
        weir_log_line(log, WEIR_LOG_ERR, 0,
                      "the new certificate \"%.*s\" has expired, the old one stays",
                      WEIR_STR_ARG(pair->certificate));
        weir_tls_pair_release(fresh);
        return false;
    }
    return true;
}

static void pair_changed(weir_cycle *cycle, weir_watch *watch)
{
    renewal *of = watch->subject;
    weir_tls_pair *pair = of->pair;
    weir_tls_pair fresh = {0};
    uint8_t *message;
    size_t len;

    if (!pair_reload(pair, &fresh, &cycle->log)) {
        return;
    }
    pair->certificate_stamp = fresh.certificate_stamp;
    pair->key_stamp = fresh.key_stamp;
    if (memcmp(fresh.digest, pair->digest, sizeof(fresh.digest)) == 0) {
        weir_tls_pair_release(&fresh); /* written again, or touched */
        return;
    }

    weir_log_line(&cycle->log, WEIR_LOG_NOTICE, 0, "certificate \"%.*s\" was renewed",
                  WEIR_STR_ARG(pair->certificate));
    pair_adopt(of->store, pair, &fresh, &cycle->log);
    if (!pair_write(pair, &message, &len)) {
        weir_log_line(&cycle->log, WEIR_LOG_CRIT, 0, "no memory to send a certificate to workers");
        return;
    }
    weir_message_broadcast(cycle, PAIR_MESSAGE, weir_str_of((const char *) message, len));
    OPENSSL_cleanse(message, len);
    OPENSSL_free(message);
}

/* ---- authorities and revocation lists */

static void trust_adopt(weir_tls_store *store, weir_tls_trust *trust, const weir_tls_trust *fresh,
                        const weir_log *log)
{
    weir_tls_trust before = *trust;

    trust->store = fresh->store;
    trust->names = fresh->names;
    memcpy(trust->digest, fresh->digest, sizeof(trust->digest));
    weir_tls_trust_release(&before);
    weir_tls_client_forget();

    /* Sessions of clients that were verified by the old ones are not resumed. */
    for (size_t i = 0; i < store->server_list.count; i++) {
        weir_tls_server *server = *WEIR_ARRAY_AT(&store->server_list, weir_tls_server *, i);

        if (server->trust != trust) {
            continue;
        }
        weir_tls_server_digest(server);
        for (size_t c = 0; c < server->context_count; c++) {
            weir_tls_context *context = server->contexts[c];

            if (memcmp(context->verify_digest, server->verify_digest,
                       sizeof(context->verify_digest))
                != 0) {
                memcpy(context->verify_digest, server->verify_digest,
                       sizeof(context->verify_digest));
                (void) context_remake(context, log);
            }
        }
    }
}

static bool trust_write(const weir_tls_trust *trust, const weir_tls_trust_text *text,
                        uint8_t **data, size_t *len)
{
    const weir_str parts[3] = {text->named_pem, text->trusted_pem, text->crl_pem};
    CBB all;

    CBB_zero(&all);
    if (!CBB_init(&all, 8192) || !CBB_add_u32(&all, (uint32_t) trust->index)) {
        CBB_cleanup(&all);
        return false;
    }
    for (size_t i = 0; i < 3; i++) {
        CBB part;

        if (!CBB_add_u24_length_prefixed(&all, &part)
            || !CBB_add_bytes(&part, (const uint8_t *) parts[i].data, parts[i].len)
            || !CBB_flush(&all)) {
            CBB_cleanup(&all);
            return false;
        }
    }
    return CBB_finish(&all, data, len);
}

static bool trust_read(CBS *message, weir_tls_trust_text *text)
{
    weir_str *parts[3] = {&text->named_pem, &text->trusted_pem, &text->crl_pem};
    CBS part;

    for (size_t i = 0; i < 3; i++) {
        if (!CBS_get_u24_length_prefixed(message, &part)) {
            return false;
        }
        *parts[i] = weir_str_of((const char *) CBS_data(&part), CBS_len(&part));
    }
    return true;
}

static void trust_received(weir_worker *worker, weir_str bytes, void *subject)
{
    weir_tls_store *store = subject;
    weir_tls_trust fresh = {0}, *trust;
    weir_tls_trust_text text;
    char why[WEIR_TLS_WHY_BYTES];
    CBS message;
    uint32_t index;

    CBS_init(&message, (const uint8_t *) bytes.data, bytes.len);
    if (!CBS_get_u32(&message, &index) || index >= store->trust_list.count
        || !trust_read(&message, &text)) {
        weir_log_line(&worker->log, WEIR_LOG_ALERT, 0, "renewed authorities did not arrive");
        return;
    }
    trust = *WEIR_ARRAY_AT(&store->trust_list, weir_tls_trust *, index);
    fresh.named = trust->named;
    fresh.trusted = trust->trusted;
    fresh.crl = trust->crl;
    if (!weir_tls_trust_parse(&fresh, &text, why)) {
        weir_log_line(&worker->log, WEIR_LOG_ALERT, 0, "%s", why);
        return;
    }
    trust_adopt(store, trust, &fresh, &worker->log);
}

static void trust_changed(weir_cycle *cycle, weir_watch *watch)
{
    renewal *of = watch->subject;
    weir_tls_trust *trust = of->trust;
    weir_tls_trust fresh = {.named = trust->named, .trusted = trust->trusted, .crl = trust->crl};
    weir_tls_trust_text text = {{0}, {0}, {0}};
    char why[WEIR_TLS_WHY_BYTES];
    uint8_t *message;
    size_t len;

    if (!weir_tls_trust_read(&fresh, &text, why) || !weir_tls_trust_parse(&fresh, &text, why)) {
        weir_log_line(&cycle->log, WEIR_LOG_ERR, 0, "%s, what was loaded before stays", why);
    } else if (memcmp(fresh.digest, trust->digest, sizeof(fresh.digest)) == 0) {
        memcpy(trust->stamps, fresh.stamps, sizeof(trust->stamps));
        weir_tls_trust_release(&fresh);
    } else {
        weir_str name = trust->named.len != 0     ? trust->named
                        : trust->trusted.len != 0 ? trust->trusted
                                                  : trust->crl;

        memcpy(trust->stamps, fresh.stamps, sizeof(trust->stamps));
        weir_log_line(&cycle->log, WEIR_LOG_NOTICE, 0,
                      "certificate authorities of \"%.*s\" were renewed", WEIR_STR_ARG(name));
        trust_adopt(of->store, trust, &fresh, &cycle->log);
        if (trust_write(trust, &text, &message, &len)) {
            weir_message_broadcast(cycle, TRUST_MESSAGE, weir_str_of((const char *) message, len));
            OPENSSL_free(message);
        } else {
            weir_log_line(&cycle->log, WEIR_LOG_CRIT, 0,
                          "no memory to send certificate authorities to workers");
        }
    }
    weir_tls_trust_text_free(&text);
}

/* ---- what is watched */

bool weir_tls_renew_prepare(weir_tls_store *store)
{
    return weir_message_register(store->cycle, PAIR_MESSAGE, pair_received, store)
           && weir_message_register(store->cycle, TRUST_MESSAGE, trust_received, store);
}

static bool watch_files(weir_tls_store *store, renewal of, const weir_watch_file *named,
                        size_t count, void (*changed)(weir_cycle *cycle, weir_watch *watch))
{
    renewal *kept = WEIR_NEW(store->pool, renewal);
    weir_watch_file files[3];
    size_t file_count = 0;

    if (kept == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (weir_tls_name_is_file(named[i].path)) {
            files[file_count++] = named[i];
        }
    }
    if (file_count == 0) {
        return true;
    }
    *kept = of;
    kept->store = store;
    kept->watch = (weir_watch){.name = "TLS", .changed = changed, .subject = kept};
    return weir_watch_register(store->cycle, &kept->watch, files, file_count);
}

bool weir_tls_renew_pair(weir_tls_store *store, weir_tls_pair *pair)
{
    const weir_watch_file files[] = {
        {pair->certificate, pair->certificate_stamp},
        {pair->key, pair->key_stamp},
    };

    return watch_files(store, (renewal){.pair = pair}, files, WEIR_COUNT(files), pair_changed);
}

bool weir_tls_renew_trust(weir_tls_store *store, weir_tls_trust *trust)
{
    const weir_watch_file files[] = {
        {trust->named, trust->stamps[0]},
        {trust->trusted, trust->stamps[1]},
        {trust->crl, trust->stamps[2]},
    };

    return watch_files(store, (renewal){.trust = trust}, files, WEIR_COUNT(files), trust_changed);
}
