/*
 * What one configuration has of certificates, authorities and contexts: each once, and what did not
 * change is taken over from the configuration before.
 */

#include "core/tls/tls_internal.h"

#include "core/process/cycle.h"

#define STORE_NAME "tls"
#define LOANS_CHUNK 16384 /* bytes */

static void loans_release(void *subject)
{
    weir_pool_free(subject);
}

weir_tls_store *weir_tls_store_of(weir_conf *conf)
{
    weir_cycle *cycle = weir_conf_cycle(conf);
    weir_pool *pool = weir_conf_pool(conf);
    weir_tls_store *store = weir_cycle_object(cycle, STORE_NAME);

    if (store != NULL) {
        return store;
    }

    store = WEIR_NEW(pool, weir_tls_store);
    if (store != NULL) {
        store->cycle = cycle;
        store->pool = pool;
        store->loans = weir_pool_new(LOANS_CHUNK, 0);
        if (store->loans == NULL || weir_pool_on_free(pool, loans_release, store->loans) == NULL) {
            weir_pool_free(store->loans);
            store->loans = NULL;
        }
        store->profiles = weir_map_new(pool, false, 16);
        store->pairs = weir_map_new(pool, false, 64);
        store->trusts = weir_map_new(pool, false, 16);
        store->contexts = weir_map_new(pool, false, 64);
        store->sessions = weir_map_new(pool, false, 4);
        weir_array_init(&store->pair_list, pool, sizeof(weir_tls_pair *), 16);
        weir_array_init(&store->trust_list, pool, sizeof(weir_tls_trust *), 4);
        weir_array_init(&store->context_list, pool, sizeof(weir_tls_context *), 16);
        weir_array_init(&store->server_list, pool, sizeof(weir_tls_server *), 16);
    }
    if (store == NULL || store->loans == NULL || store->profiles == NULL || store->pairs == NULL
        || store->trusts == NULL || store->contexts == NULL || store->sessions == NULL
        || !weir_cycle_set_object(cycle, STORE_NAME, store) || !weir_tls_renew_prepare(store)) {
        (void) weir_conf_refuse(conf, "no memory");
        return NULL;
    }
    return store;
}

/* Of the cycle that runs now; NULL: there is none, or it had no TLS. */
static const weir_tls_store *store_previous(weir_conf *conf)
{
    const weir_cycle *previous = weir_conf_cycle(conf)->previous;

    return previous == NULL ? NULL : weir_cycle_object(previous, STORE_NAME);
}

/* The names of a thing's files in one key, and that copied for good. */
static bool names_key(weir_pool *pool, const weir_str names[static 3], weir_str *key)
{
    weir_builder builder;

    weir_builder_open(&builder, pool, 3 * WEIR_TLS_PEM_MAX);
    for (size_t i = 0; i < 3; i++) {
        weir_builder_add(&builder, names[i]);
        weir_builder_add_byte(&builder, '\n');
    }
    return weir_builder_close(&builder, key);
}

/* The name as `*part`, borrowed from the key that names_key() made. */
static void key_part(weir_str *key, weir_str name, weir_str *part)
{
    *part = weir_str_slice(*key, 0, name.len);
    *key = weir_str_from(*key, name.len + 1);
}

/* Puts a thing into a map, and into a list, whose last it is then. */
static bool add(weir_map *map, weir_str key, void *thing, weir_array *list)
{
    void **slot = weir_array_push(list);

    if (slot == NULL) {
        return false;
    }
    *slot = thing;
    return weir_map_put(map, key, thing);
}

/* Pairs or trusts: things that are made of three files, and known by the names of these. */
typedef struct {
    weir_map *map;
    weir_array *list;
    size_t bytes; /* of one */
    void (*release)(void *thing);
} things;

/*
 * The thing of three files: the one that is there, or a new one, zeroed, last in the list (`*is_new`).  `*key`, which
 * lives as long as the store, holds the names.  NULL, refused: no memory.
 */
static void *thing_get(weir_conf *conf, const things *of, const weir_str names[static 3],
                       weir_str *key, bool *is_new)
{
    weir_pool *pool = weir_conf_pool(conf);
    void *thing;

    *is_new = false;
    if (!names_key(pool, names, key)) {
        (void) weir_conf_refuse(conf, "no memory");
        return NULL;
    }
    thing = weir_map_find(of->map, *key);
    if (thing != NULL) {
        return thing;
    }

    *is_new = true;
    thing = weir_pool_zalloc(pool, of->bytes);
    if (thing == NULL || weir_pool_on_free(pool, of->release, thing) == NULL
        || !add(of->map, *key, thing, of->list)) {
        (void) weir_conf_refuse(conf, "no memory");
        return NULL;
    }
    return thing;
}

/*
 * ---- loans
 *
 * What did not change is the new configuration's when the old one is freed, and stays the old one's when the new one is
 * refused.  It is not counted: a count would be written to in each.
 */

static bool loan_new(weir_conf *conf, weir_tls_store *store, weir_tls_loan **loan)
{
    *loan = WEIR_NEW(store->loans, weir_tls_loan);
    return *loan != NULL || weir_conf_refuse(conf, "no memory");
}

static void loan_take(weir_tls_loan *heir, weir_tls_loan *lender)
{
    heir->lender = lender;
    lender->heir = heir;
}

/* True: nobody else holds it, and it is to be freed.  NULL: it did not come so far. */
static bool loan_end(weir_tls_loan *loan)
{
    if (loan == NULL) {
        return true;
    }
    if (loan->lender != NULL) {
        loan->lender->heir = NULL;
        return false;
    }
    if (loan->heir != NULL) {
        loan->heir->lender = NULL;
        return false;
    }
    return true;
}

/* ---- pairs */

/* From the configuration before, if the files are as they were. */
static bool pair_inherit(weir_conf *conf, weir_str key, weir_tls_pair *pair)
{
    const weir_tls_store *previous = store_previous(conf);
    weir_tls_pair *before = previous == NULL ? NULL : weir_map_find(previous->pairs, key);

    if (before == NULL
        || !weir_tls_file_is_unchanged(before->certificate, &before->certificate_stamp)
        || !weir_tls_file_is_unchanged(before->key, &before->key_stamp)) {
        return false;
    }
    weir_tls_pair_borrow(pair, before);
    loan_take(pair->loan, before->loan);
    return true;
}

static void pair_release(void *subject)
{
    weir_tls_pair *pair = subject;

    if (loan_end(pair->loan)) {
        weir_tls_pair_release(pair);
    }
}

/* Absolute paths.  False: refused. */
static bool paths_make(weir_conf *conf, const weir_str said[static 3], weir_str paths[static 3])
{
    for (size_t i = 0; i < 3; i++) {
        weir_conf_point_at_text(conf, said[i]);
        if (!weir_tls_path(conf, said[i], &paths[i])) {
            return false;
        }
    }
    weir_conf_point_at_text(conf, WEIR_STR_EMPTY);
    return true;
}

/* Refuses at the one of the files' names in the configuration that was at fault. */
static void refuse_file(weir_conf *conf, const weir_str said[static 3], unsigned at_fault,
                        const char *why)
{
    weir_conf_point_at_text(conf, said[at_fault]);
    (void) weir_conf_refuse(conf, "%s", why);
}

weir_tls_pair *weir_tls_store_pair(weir_conf *conf, weir_str certificate, weir_str key,
                                   weir_str passwords)
{
    const weir_str said[3] = {certificate, key, passwords};
    weir_str names[3];
    weir_tls_store *store = weir_tls_store_of(conf);
    char why[WEIR_TLS_WHY_BYTES];
    weir_tls_pair *pair;
    weir_str map_key, rest;
    bool is_new;

    if (store == NULL || !paths_make(conf, said, names)) {
        return NULL;
    }
    pair = thing_get(conf, &(things){store->pairs, &store->pair_list, sizeof(*pair), pair_release},
                     names, &map_key, &is_new);
    if (pair == NULL || !is_new) {
        return pair;
    }
    if (!loan_new(conf, store, &pair->loan)) {
        return NULL;
    }
    pair->index = store->pair_list.count - 1;
    rest = map_key;
    key_part(&rest, names[0], &pair->certificate);
    key_part(&rest, names[1], &pair->key);
    key_part(&rest, names[2], &pair->passwords);

    if (!pair_inherit(conf, map_key, pair) && !weir_tls_pair_load(pair, why)) {
        refuse_file(conf, said, pair->at_fault, why);
        return NULL;
    }
    if (!weir_tls_renew_pair(store, pair)) {
        (void) weir_conf_refuse(conf, "no memory");
        return NULL;
    }
    return pair;
}

/* ---- trusts */

static bool trust_inherit(weir_conf *conf, weir_str key, weir_tls_trust *trust)
{
    const weir_tls_store *previous = store_previous(conf);
    weir_tls_trust *before = previous == NULL ? NULL : weir_map_find(previous->trusts, key);

    if (before == NULL || !weir_tls_file_is_unchanged(before->named, &before->stamps[0])
        || !weir_tls_file_is_unchanged(before->trusted, &before->stamps[1])
        || !weir_tls_file_is_unchanged(before->crl, &before->stamps[2])) {
        return false;
    }
    weir_tls_trust_borrow(trust, before);
    loan_take(trust->loan, before->loan);
    return true;
}

static void trust_release(void *subject)
{
    weir_tls_trust *trust = subject;

    if (loan_end(trust->loan)) {
        weir_tls_trust_release(trust);
    }
}

weir_tls_trust *weir_tls_store_trust(weir_conf *conf, weir_str named, weir_str trusted,
                                     weir_str crl)
{
    const weir_str said[3] = {named, trusted, crl};
    weir_str names[3];
    weir_tls_store *store = weir_tls_store_of(conf);
    char why[WEIR_TLS_WHY_BYTES];
    weir_tls_trust *trust;
    weir_str map_key, rest;
    bool is_new;

    if (store == NULL || !paths_make(conf, said, names)) {
        return NULL;
    }
    trust =
        thing_get(conf, &(things){store->trusts, &store->trust_list, sizeof(*trust), trust_release},
                  names, &map_key, &is_new);
    if (trust == NULL || !is_new) {
        return trust;
    }
    if (!loan_new(conf, store, &trust->loan)) {
        return NULL;
    }
    trust->index = store->trust_list.count - 1;
    rest = map_key;
    key_part(&rest, names[0], &trust->named);
    key_part(&rest, names[1], &trust->trusted);
    key_part(&rest, names[2], &trust->crl);

    if (!trust_inherit(conf, map_key, trust) && !weir_tls_trust_load(trust, why)) {
        refuse_file(conf, said, trust->at_fault, why);
        return NULL;
    }
    if (!weir_tls_renew_trust(store, trust)) {
        (void) weir_conf_refuse(conf, "no memory");
        return NULL;
    }
    return trust;
}

/* ---- contexts */

static void context_release(void *subject)
{
    weir_tls_context *context = subject;

    if (loan_end(context->loan)) {
        SSL_CTX_free(context->ctx);
    }
}

static bool context_inherit(weir_conf *conf, weir_str key, weir_tls_context *context)
{
    const weir_tls_store *previous = store_previous(conf);
    weir_tls_context *before = previous == NULL ? NULL : weir_map_find(previous->contexts, key);
    weir_tls_context now;

    if (before == NULL) {
        return false;
    }
    /* Its certificate may have been renewed since it was given its name. */
    now = *before;
    weir_tls_context_digest(&now);
    if (memcmp(now.digest, before->digest, sizeof(now.digest)) != 0) {
        return false;
    }
    context->ctx = before->ctx;
    loan_take(context->loan, before->loan);
    return true;
}

weir_tls_context *weir_tls_store_context(weir_conf *conf, const weir_tls_context *wanted)
{
    weir_tls_store *store = weir_tls_store_of(conf);
    weir_str key = weir_str_of((const char *) wanted->digest, sizeof(wanted->digest));
    char why[WEIR_TLS_WHY_BYTES];
    weir_tls_context *context;

    if (store == NULL) {
        return NULL;
    }
    context = weir_map_find(store->contexts, key);
    if (context != NULL) {
        return context;
    }

    context = WEIR_NEW(store->pool, weir_tls_context);
    if (context == NULL || weir_pool_on_free(store->pool, context_release, context) == NULL) {
        (void) weir_conf_refuse(conf, "no memory");
        return NULL;
    }
    *context = *wanted;
    if (!loan_new(conf, store, &context->loan)) {
        return NULL;
    }
    key.data = (const char *) context->digest;
    if (!add(store->contexts, key, context, &store->context_list)) {
        (void) weir_conf_refuse(conf, "no memory");
        return NULL;
    }
    if (!context_inherit(conf, key, context) && !weir_tls_context_make(context, why)) {
        (void) weir_conf_refuse(conf, "%s", why);
        return NULL;
    }
    return context;
}
