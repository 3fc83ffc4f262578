/*
 * What groups have said of texts, kept from one request to the next.
 *
 * Most values of a request (names, User-Agent, Accept, paths) have been seen before.  Whether an operator can match a text
 * depends on the text, its transformations and the Unicode map alone, so what was found out once holds: a text that
 * is known costs a look, where another is transformed and searched.  An operator that was run and found nothing takes its bit back.
 *
 * Long texts are kept apart: some pages would displace all the rest.
 *
 * Texts are compared byte by byte; a hash only says where to look.  A text is kept when it is seen again, so that
 * what comes once (tokens, random words) displaces nothing.  What is full begins anew.
 */

#include "modules/waf/transaction_internal.h"

#define TABLE_SIZE 4096     /* a power of two */
#define SEEN_SIZE 8192      /* a power of two */
#define LOOK_AT_MAX 8       /* of texts in one place: somebody may have chosen them to collide */
#define TEXT_MAX 1024       /* of those that come with each request */
#define LONG_TEXT_MAX 16384 /* pages */
#define BYTES_MAX (4 * 1024 * 1024)

struct weir_waf_known {
    weir_pool *pool; /* of the texts */
    const weir_waf_library *library;
    const struct weir_waf_unicode_map *unicode_map;
    uint32_t generation; /* counts how often it has begun anew; 0: never */
    weir_waf_known_text *table[TABLE_SIZE];
    uint32_t seen[SEEN_SIZE]; /* halves of hashes */
};

static void texts_free(void *subject)
{
    weir_waf_known *known = subject;

    weir_pool_free(known->pool);
}

weir_waf_known *weir_waf_known_new(weir_pool *pool)
{
    weir_waf_known *known = WEIR_NEW(pool, weir_waf_known);

    if (known == NULL || weir_pool_on_free(pool, texts_free, known) == NULL) {
        return NULL;
    }
    known->pool = weir_pool_new(65536, BYTES_MAX);
    return known->pool == NULL ? NULL : known;
}

static void begin_anew(weir_waf_known *known, const weir_waf_transaction *tx)
{
    weir_pool_reset(known->pool);
    memset(known->table, 0, sizeof(known->table));
    known->library = tx->library;
    known->unicode_map = tx->settings->unicode_map;
    known->generation++;
}

static weir_waf_known_text *text_keep(weir_waf_known *known, const weir_waf_transaction *tx,
                                      weir_str text, uint64_t hash)
{
    weir_waf_known_text **place = &known->table[hash & (TABLE_SIZE - 1)];
    weir_waf_known_text *kept = WEIR_NEW(known->pool, weir_waf_known_text);

    if (kept == NULL || !weir_str_copy(known->pool, text, &kept->text)) {
        return NULL;
    }
    kept->asked = WEIR_NEW_ARRAY(known->pool, uint64_t, tx->library->group_words);
    kept->may_match = WEIR_NEW_ARRAY(known->pool, uint64_t, tx->library->place_words);
    if (kept->asked == NULL || kept->may_match == NULL) {
        return NULL;
    }
    kept->hash = hash;
    kept->next = *place;
    *place = kept;
    return kept;
}

/* True: it was there before, as far as is remembered. */
static bool was_seen(weir_waf_known *known, uint64_t hash)
{
    uint32_t *place = &known->seen[(hash >> 11) & (SEEN_SIZE - 1)];
    bool is_the_same = *place == (uint32_t) (hash >> 32);

    *place = (uint32_t) (hash >> 32);
    return is_the_same;
}

static weir_waf_known_text *text_find(weir_waf_known *known, const weir_waf_transaction *tx,
                                      weir_str text)
{
    uint64_t hash = weir_str_hash(text);
    weir_waf_known_text *found = known->table[hash & (TABLE_SIZE - 1)];

    for (unsigned i = 0; found != NULL && i < LOOK_AT_MAX; found = found->next, i++) {
        if (found->hash == hash && weir_str_eq(found->text, text)) {
            return found;
        }
    }
    if (!was_seen(known, hash)) {
        return NULL;
    }
    found = text_keep(known, tx, text, hash);
    if (found == NULL) {
        begin_anew(known, tx);
        found = text_keep(known, tx, text, hash);
    }
    return found;
}

weir_waf_known_text *weir_waf_known_of(weir_waf_transaction *tx, weir_waf_value *value)
{
    weir_waf_known *known =
        value->text.len <= TEXT_MAX ? tx->worker->known : tx->worker->known_long;

    if (value->text.len > LONG_TEXT_MAX) {
        return NULL;
    }
    if (known->library != tx->library) {
        begin_anew(known, tx);
    }
    if (known->unicode_map != tx->settings->unicode_map) {
        return NULL;
    }
    /* Another transaction may have filled it while this one waited. */
    if (value->known_in != known->generation) {
        value->known = text_find(known, tx, value->text);
        value->known_in = known->generation;
        tx->work += 16 + value->text.len / 4;
    }
    return value->known;
}

void weir_waf_known_no_match(weir_waf_transaction *tx, weir_waf_value *value,
                             const weir_waf_link *link)
{
    weir_waf_known_text *text = weir_waf_known_of(tx, value);

    if (text != NULL && weir_waf_bit_is_set(text->asked, link->group)) {
        weir_waf_bit_clear(text->may_match, link->place);
    }
}
