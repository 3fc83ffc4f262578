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
 * what comes once (tokens, random words) displaces nothing: what is said of it goes with the transaction.  What is full begins anew.
 */

#include "modules/waf/transaction_internal.h"

#define TABLE_SIZE 4096     /* a power of two */
#define SEEN_SIZE 8192      /* a power of two */
#define LOOK_AT_MAX 8       /* of texts in one place: somebody may have chosen them to collide */
#define TEXT_MAX 1024       /* of those that come with each request */
#define LONG_TEXT_MAX 16384 /* pages */
#define BYTES_MAX (4 * 1024 * 1024)

typedef struct known_text {
    struct known_text *next; /* in the same place of the table */
    uint64_t hash;
    weir_str text;
    weir_waf_said said;
} known_text;

struct weir_waf_known {
    weir_pool *pool; /* of the texts */
    const weir_waf_library *library;
    const struct weir_waf_unicode_map *unicode_map;
    uint32_t generation; /* counts how often it has begun anew; 0: never */
    known_text *table[TABLE_SIZE];
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

static bool said_init(weir_waf_said *said, weir_pool *pool, const weir_waf_library *library)
{
    said->asked = WEIR_NEW_ARRAY(pool, uint64_t, library->group_words + library->place_words);
    said->may_match = said->asked + library->group_words;
    return said->asked != NULL;
}

static known_text *text_keep(weir_waf_known *known, const weir_waf_transaction *tx, weir_str text,
                             uint64_t hash)
{
    known_text **place = &known->table[hash & (TABLE_SIZE - 1)];
    known_text *kept = WEIR_NEW(known->pool, known_text);

    if (kept == NULL || !weir_str_copy(known->pool, text, &kept->text)) {
        return NULL;
    }
    if (!said_init(&kept->said, known->pool, tx->library)) {
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

static known_text *text_find(weir_waf_known *known, const weir_waf_transaction *tx, weir_str text)
{
    uint64_t hash = weir_str_hash(text);
    known_text *found = known->table[hash & (TABLE_SIZE - 1)];

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

static weir_waf_said *said_find(weir_waf_known *known, weir_waf_transaction *tx, weir_str text)
{
    known_text *found = NULL;
    weir_waf_said *said;

    if (text.len <= LONG_TEXT_MAX && known->unicode_map == tx->settings->unicode_map) {
        tx->work += 16 + text.len / 4;
        found = text_find(known, tx, text);
    }
    if (found != NULL) {
        return &found->said;
    }
    said = WEIR_NEW(tx->pool, weir_waf_said);
    return said != NULL && said_init(said, tx->pool, tx->library) ? said : NULL;
}

weir_waf_said *weir_waf_said_of(weir_waf_transaction *tx, weir_waf_value *value)
{
    weir_waf_known *known =
        value->text.len <= TEXT_MAX ? tx->worker->known : tx->worker->known_long;

    if (known->library != tx->library) {
        begin_anew(known, tx);
    }
    /* Another transaction may have filled it while this one waited. */
    if (value->said_in != known->generation) {
        value->said = said_find(known, tx, value->text);
        value->said_in = known->generation;
    }
    if (value->said == NULL) {
        weir_waf_exhausted(tx, "memory");
    }
    return value->said;
}

void weir_waf_say_no_match(weir_waf_transaction *tx, weir_waf_value *value,
                           const weir_waf_link *link)
{
    weir_waf_said *said = weir_waf_said_of(tx, value);

    if (said != NULL && weir_waf_bit_is_set(said->asked, link->group)) {
        weir_waf_bit_clear(said->may_match, link->place);
    }
}

bool weir_waf_said_may_match(weir_waf_transaction *tx, weir_waf_value *value,
                             const weir_waf_link *link)
{
    const weir_waf_said *said = weir_waf_said_of(tx, value);

    return said == NULL || !weir_waf_bit_is_set(said->asked, link->group)
           || weir_waf_bit_is_set(said->may_match, link->place);
}
