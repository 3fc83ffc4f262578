/*
 * Certificates whose paths have variables: loaded in the handshake, by the worker, and kept if
 * ssl_certificate_cache says so.
 */

#include "core/tls/tls_internal.h"

#include <limits.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "core/base/clock.h"

typedef struct {
    const weir_template *certificate, *key;
} dynamic_names;

struct weir_tls_dynamic {
    dynamic_names *names;
    size_t count;
    weir_str passwords;
    weir_str folder; /* that names are relative to; ends with "/" */
    weir_tls_certificate_cache cache;
    struct dynamic_entry **entries; /* this worker's; cache.max of them at most */
    size_t *entry_count;
};

/* ---- the cache */

typedef struct dynamic_entry {
    weir_tls_pair pair;
    uint64_t checked_ms, used_ms;
    char *names; /* certificate and key */
} dynamic_entry;

static void entry_free(dynamic_entry *entry)
{
    weir_tls_pair_release(&entry->pair);
    free(entry->names);
    free(entry);
}

static void entry_remove(const weir_tls_dynamic *dynamic, size_t i)
{
    entry_free(dynamic->entries[i]);
    dynamic->entries[i] = dynamic->entries[--*dynamic->entry_count];
}

static void entries_clean(void *subject)
{
    const weir_tls_dynamic *dynamic = subject;

    while (*dynamic->entry_count != 0) {
        entry_remove(dynamic, 0);
    }
    free(dynamic->entries);
}

/* Past `valid` the files are looked at: if they are as they were, it is good for another such time. */
static bool entry_is_valid(const weir_tls_dynamic *dynamic, dynamic_entry *entry, uint64_t now_ms)
{
    if (now_ms - entry->checked_ms < dynamic->cache.valid_ms) {
        return true;
    }
    entry->checked_ms = now_ms;
    return weir_tls_file_is_unchanged(entry->pair.certificate, &entry->pair.certificate_stamp)
           && weir_tls_file_is_unchanged(entry->pair.key, &entry->pair.key_stamp);
}

/* Also lets go of those that were not asked for in `inactive`. */
static dynamic_entry *entry_find(const weir_tls_dynamic *dynamic, weir_str certificate,
                                 weir_str key)
{
    uint64_t now_ms = weir_clock_now()->monotonic_ms;
    dynamic_entry *found = NULL;

    for (size_t i = 0; i < *dynamic->entry_count;) {
        dynamic_entry *entry = dynamic->entries[i];
        bool wanted =
            weir_str_eq(entry->pair.certificate, certificate) && weir_str_eq(entry->pair.key, key);

        if (now_ms - entry->used_ms >= dynamic->cache.inactive_ms
            || (wanted && !entry_is_valid(dynamic, entry, now_ms))) {
            entry_remove(dynamic, i);
            continue;
        }
        if (wanted) {
            found = entry;
        }
        i++;
    }
    if (found != NULL) {
        found->used_ms = now_ms;
    }
    return found;
}

static void entry_add(const weir_tls_dynamic *dynamic, dynamic_entry *entry)
{
    size_t oldest = 0;

    if (*dynamic->entry_count == dynamic->cache.max) {
        for (size_t i = 1; i < *dynamic->entry_count; i++) {
            if (dynamic->entries[i]->used_ms < dynamic->entries[oldest]->used_ms) {
                oldest = i;
            }
        }
        entry_remove(dynamic, oldest);
    }
    entry->checked_ms = entry->used_ms = weir_clock_now()->monotonic_ms;
    dynamic->entries[(*dynamic->entry_count)++] = entry;
}

/* ---- loading */

/* An entry with its names, which are copied. */
static dynamic_entry *entry_new(const weir_tls_dynamic *dynamic, weir_str certificate, weir_str key)
{
    dynamic_entry *entry = calloc(1, sizeof(*entry));

    if (entry == NULL || (entry->names = malloc(certificate.len + key.len + 1)) == NULL) {
        free(entry);
        return NULL;
    }
    memcpy(entry->names, certificate.data, certificate.len);
    memcpy(entry->names + certificate.len, key.data, key.len);
    entry->pair.certificate = weir_str_of(entry->names, certificate.len);
    entry->pair.key = weir_str_of(entry->names + certificate.len, key.len);
    entry->pair.passwords = dynamic->passwords;
    return entry;
}

static bool name_text(const weir_tls_dynamic *dynamic, const weir_template *template,
                      weir_script *script, weir_str *path)
{
    weir_builder builder;
    weir_str text;

    if (!weir_template_text(template, script, &text)) {
        return false;
    }
    if (weir_template_climbs(template, text)) {
        weir_log_line(script->log, WEIR_LOG_ERR, 0, "\"%.*s\": \"..\" came with the connection",
                      WEIR_STR_ARG(text));
        return false;
    }
    if (weir_tls_name_is_data(text) || weir_str_starts(text, WEIR_STR("/"))) {
        *path = text;
        return true;
    }
    weir_builder_open(&builder, script->pool, PATH_MAX);
    weir_builder_add(&builder, dynamic->folder);
    weir_builder_add(&builder, text);
    return weir_builder_close(&builder, path);
}

static bool use_pair(weir_tls *tls, const weir_tls_pair *pair)
{
    char error[160];

    if (SSL_set_chain_and_key(tls->ssl, pair->chain, pair->chain_count, pair->private_key, NULL)) {
        return true;
    }
    weir_tls_error_text(error, sizeof(error));
    weir_log_line(&tls->connection->log, WEIR_LOG_ERR, 0,
                  "SSL_set_chain_and_key() failed (SSL: %s)", error);
    return false;
}

static bool use_names(weir_tls *tls, const weir_tls_dynamic *dynamic, const dynamic_names *names,
                      weir_script *script)
{
    char why[WEIR_TLS_WHY_BYTES];
    weir_str certificate, key;
    dynamic_entry *entry;
    bool done;

    if (!name_text(dynamic, names->certificate, script, &certificate)
        || !name_text(dynamic, names->key, script, &key)) {
        weir_log_line(&tls->connection->log, WEIR_LOG_ERR, 0,
                      "the path of a certificate is too long");
        return false;
    }
    if (certificate.len == 0) {
        return true; /* the variable is empty: none is shown */
    }

    entry = entry_find(dynamic, certificate, key);
    if (entry != NULL) {
        return use_pair(tls, &entry->pair);
    }
    entry = entry_new(dynamic, certificate, key);
    if (entry == NULL) {
        weir_log_line(&tls->connection->log, WEIR_LOG_CRIT, 0, "no memory for a certificate");
        return false;
    }
    if (!weir_tls_pair_load(&entry->pair, why)) {
        weir_log_line(&tls->connection->log, WEIR_LOG_ERR, 0, "%s", why);
        entry_free(entry);
        return false;
    }
    done = use_pair(tls, &entry->pair);
    if (done && dynamic->cache.max != 0) {
        entry_add(dynamic, entry);
    } else {
        entry_free(entry);
    }
    return done;
}

bool weir_tls_dynamic_use(weir_tls *tls, const weir_tls_dynamic *dynamic, weir_script *script)
{
    bool done = script != NULL;

    /* The last one counts where there are several: a handshake shows one certificate. */
    for (size_t i = 0; done && i < dynamic->count; i++) {
        done = use_names(tls, dynamic, &dynamic->names[i], script);
    }
    if (!done) {
        tls->told = true;
    }
    return done;
}

/* ---- the settings */

const weir_tls_dynamic *weir_tls_dynamic_new(weir_conf *conf, const char *family,
                                             const weir_array *certificates, const weir_array *keys,
                                             weir_str password_file,
                                             const weir_tls_certificate_cache *cache)
{
    weir_pool *pool = weir_conf_pool(conf);
    weir_space *space = weir_space_of(conf, family);
    weir_tls_dynamic *dynamic = WEIR_NEW(pool, weir_tls_dynamic);

    if (space == NULL || dynamic == NULL
        || (dynamic->names = WEIR_NEW_ARRAY(pool, dynamic_names, certificates->count)) == NULL
        || (dynamic->entry_count = WEIR_NEW(pool, size_t)) == NULL
        || !weir_conf_file_path(conf, WEIR_STR(""), &dynamic->folder)) {
        (void) weir_conf_refuse(conf, "no memory");
        return NULL;
    }
    dynamic->cache = *cache;
    if (!weir_tls_path(conf, password_file, &dynamic->passwords)) {
        return NULL;
    }
    for (size_t i = 0; i < certificates->count; i++) {
        dynamic_names *names = &dynamic->names[dynamic->count++];

        names->certificate =
            weir_template_new(conf, space, *WEIR_ARRAY_AT(certificates, weir_str, i));
        names->key = weir_template_new(conf, space, *WEIR_ARRAY_AT(keys, weir_str, i));
        if (names->certificate == NULL || names->key == NULL) {
            return NULL;
        }
    }
    if (cache->max != 0) {
        dynamic->entries = calloc(cache->max, sizeof(*dynamic->entries));
        if (dynamic->entries == NULL || weir_pool_on_free(pool, entries_clean, dynamic) == NULL) {
            free(dynamic->entries);
            (void) weir_conf_refuse(conf, "no memory");
            return NULL;
        }
    }
    return dynamic;
}
