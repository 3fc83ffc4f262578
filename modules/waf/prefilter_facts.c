/* How facts of parts become those of the whole. */

#include "modules/waf/prefilter_facts.h"

#include "core/base/number.h"

#define LITERAL_MAX 24 /* bytes; a longer text is cut where it becomes a clause */
#define PRODUCT_MAX 96 /* texts that two lists may make together */
#define LIST_MAX 2048  /* texts in a list */
#define CLASS_MAX 6    /* bytes of a class that are told apart */
#define REPEATS_MAX 3  /* times that a text is written out */

/* A clause that is true of nearly any value does not help. */
#define LITERAL_ODDS_MAX 0.02
#define BYTE_ODDS_MAX 0.5

/* ---- lists */

static bool list_new(weir_pool *pool, size_t count, weir_waf_literals *list)
{
    list->items = WEIR_NEW_ARRAY(pool, weir_str, count == 0 ? 1 : count);
    list->count = 0;
    return list->items != NULL;
}

static bool list_has(const weir_waf_literals *list, weir_str text)
{
    for (size_t i = 0; i < list->count; i++) {
        if (weir_str_eq(list->items[i], text)) {
            return true;
        }
    }

    return false;
}

static bool list_has_empty(const weir_waf_literals *list)
{
    return list_has(list, WEIR_STR_EMPTY);
}

static size_t list_longest(const weir_waf_literals *list)
{
    size_t longest = 0;

    for (size_t i = 0; i < list->count; i++) {
        longest = list->items[i].len > longest ? list->items[i].len : longest;
    }

    return longest;
}

static size_t list_shortest(const weir_waf_literals *list)
{
    size_t shortest = SIZE_MAX;

    for (size_t i = 0; i < list->count; i++) {
        shortest = list->items[i].len < shortest ? list->items[i].len : shortest;
    }

    return list->count == 0 ? 0 : shortest;
}

static bool list_fits(const weir_waf_literals *a, const weir_waf_literals *b)
{
    size_t product = a->count * b->count;

    return (product <= PRODUCT_MAX || (product <= LIST_MAX && (a->count == 1 || b->count == 1)))
           && list_longest(a) + list_longest(b) <= LITERAL_MAX;
}

static bool list_join(weir_pool *pool, const weir_waf_literals *a, const weir_waf_literals *b,
                      weir_waf_literals *out)
{
    weir_waf_literals joined;

    if (!list_new(pool, a->count * b->count, &joined)) {
        return false;
    }

    for (size_t i = 0; i < a->count; i++) {
        for (size_t k = 0; k < b->count; k++) {
            size_t len = a->items[i].len + b->items[k].len;
            char *text = weir_pool_bytes(pool, len + 1);

            if (text == NULL) {
                return false;
            }
            memcpy(text, a->items[i].data, a->items[i].len);
            memcpy(text + a->items[i].len, b->items[k].data, b->items[k].len);
            joined.items[joined.count++] = weir_str_of(text, len);
        }
    }

    *out = joined;
    return true;
}

static bool list_union(weir_pool *pool, const weir_waf_literals *a, const weir_waf_literals *b,
                       weir_waf_literals *out)
{
    weir_waf_literals all;

    if (!list_new(pool, a->count + b->count, &all)) {
        return false;
    }
    if (a->count > 0) {
        memcpy(all.items, a->items, a->count * sizeof(*all.items));
    }
    all.count = a->count;
    for (size_t i = 0; i < b->count; i++) {
        /* Long lists may say a text twice. */
        if (all.count > PRODUCT_MAX || !list_has(&all, b->items[i])) {
            all.items[all.count++] = b->items[i];
        }
    }

    *out = all;
    return true;
}

/* ---- clauses: the rarest are kept, the rarest first */

static void facts_add_literals(weir_waf_facts *facts, const weir_waf_literals *list)
{
    double odds = weir_waf_literals_odds(list);
    size_t place = 0;

    if (list->count == 0 || list->count > LIST_MAX || list_has_empty(list)
        || odds > LITERAL_ODDS_MAX) {
        return;
    }

    while (place < facts->literal_count
           && weir_waf_literals_odds(&facts->literals[place]) <= odds) {
        place++;
    }
    if (place == WEIR_WAF_CLAUSES_MAX) {
        return;
    }
    if (facts->literal_count < WEIR_WAF_CLAUSES_MAX) {
        facts->literal_count++;
    }
    for (size_t i = facts->literal_count - 1; i > place; i--) {
        facts->literals[i] = facts->literals[i - 1];
    }
    facts->literals[place] = *list;
}

static void facts_add_bytes(weir_waf_facts *facts, const weir_waf_bytes *bytes)
{
    double odds = weir_waf_bytes_odds(bytes);
    size_t place = 0;

    if (odds > BYTE_ODDS_MAX || weir_waf_bytes_are_empty(bytes)) {
        return;
    }

    while (place < facts->byte_count && weir_waf_bytes_odds(&facts->bytes[place]) <= odds) {
        place++;
    }
    if (place == WEIR_WAF_CLAUSES_MAX) {
        return;
    }
    if (facts->byte_count < WEIR_WAF_CLAUSES_MAX) {
        facts->byte_count++;
    }
    for (size_t i = facts->byte_count - 1; i > place; i--) {
        facts->bytes[i] = facts->bytes[i - 1];
    }
    facts->bytes[place] = *bytes;
}

/* Of each literal its rarest byte. */
static void facts_add_bytes_of(weir_waf_facts *facts, const weir_waf_literals *list)
{
    weir_waf_bytes bytes = {{0}};

    if (list->count == 0 || list_has_empty(list)) {
        return;
    }

    for (size_t i = 0; i < list->count; i++) {
        weir_str text = list->items[i];
        uint8_t rarest = (uint8_t) text.data[0];

        for (size_t at = 1; at < text.len; at++) {
            if (weir_waf_byte_odds((uint8_t) text.data[at]) < weir_waf_byte_odds(rarest)) {
                rarest = (uint8_t) text.data[at];
            }
        }
        weir_waf_bytes_add_nocase(&bytes, rarest);
    }
    facts_add_bytes(facts, &bytes);
}

static void facts_add_exact(weir_waf_facts *facts, const weir_waf_literals *list)
{
    facts_add_literals(facts, list);
    facts_add_bytes_of(facts, list);
}

static void facts_add(weir_waf_facts *facts, const weir_waf_facts *other)
{
    for (size_t i = 0; i < other->literal_count; i++) {
        facts_add_literals(facts, &other->literals[i]);
    }
    for (size_t i = 0; i < other->byte_count; i++) {
        facts_add_bytes(facts, &other->bytes[i]);
    }
}

static void add_len(size_t *sum, size_t len)
{
    if (!weir_add_size(*sum, len, sum)) {
        *sum = SIZE_MAX;
    }
}

/* ---- parts */

bool weir_waf_part_empty(weir_pool *pool, weir_waf_part *part)
{
    *part = (weir_waf_part){.is_exact = true};
    if (!list_new(pool, 1, &part->exact)) {
        return false;
    }

    part->exact.items[part->exact.count++] = WEIR_STR_EMPTY;
    return true;
}

void weir_waf_part_any(size_t min_len, weir_waf_part *part)
{
    *part = (weir_waf_part){.facts = {.min_len = min_len}};
}

bool weir_waf_part_bytes(weir_pool *pool, const weir_waf_bytes *bytes, weir_waf_part *part)
{
    weir_waf_bytes either = {{0}};
    weir_waf_literals list;

    for (unsigned byte = 0; byte < 256; byte++) {
        if (weir_waf_bytes_has(bytes, (uint8_t) byte)) {
            weir_waf_bytes_add_nocase(&either, (uint8_t) byte);
        }
    }

    weir_waf_part_any(1, part);
    facts_add_bytes(&part->facts, &either);
    if (weir_waf_bytes_count(&either) > 2 * CLASS_MAX) {
        return true;
    }

    if (!list_new(pool, 2 * CLASS_MAX, &list)) {
        return false;
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        bool is_upper = byte >= 'A' && byte <= 'Z';

        if (!is_upper && weir_waf_bytes_has(&either, (uint8_t) byte)) {
            char *text = weir_pool_bytes(pool, 1);

            if (text == NULL) {
                return false;
            }
            *text = (char) byte;
            list.items[list.count++] = weir_str_of(text, 1);
        }
    }
    if (list.count <= CLASS_MAX) {
        part->is_exact = true;
        part->exact = list;
    }
    return true;
}

void weir_waf_part_facts(weir_pool *pool, const weir_waf_part *part, weir_waf_facts *facts)
{
    (void) pool;
    *facts = part->facts;
    if (part->is_exact) {
        *facts = (weir_waf_facts){.min_len = list_shortest(&part->exact)};
        facts_add_exact(facts, &part->exact);
    }
}

bool weir_waf_part_repeat(weir_pool *pool, weir_waf_part *part, size_t min, size_t max)
{
    weir_waf_facts facts;
    weir_waf_part once = *part;

    if (min == 1 && max == 1) {
        return true;
    }

    if (min == 0) {
        weir_waf_part empty;

        if (!part->is_exact || max != 1) {
            weir_waf_part_any(0, part);
            return true;
        }
        return weir_waf_part_empty(pool, &empty) && weir_waf_part_either(pool, part, &empty);
    }

    if (part->is_exact && min == max && min <= REPEATS_MAX) {
        size_t times = 1;

        while (times < min && list_fits(&part->exact, &once.exact)) {
            if (!list_join(pool, &part->exact, &once.exact, &part->exact)) {
                return false;
            }
            times++;
        }
        if (times == min) {
            return true;
        }
    }

    weir_waf_part_facts(pool, &once, &facts);
    if (!weir_mul_size(facts.min_len, min, &facts.min_len)) {
        facts.min_len = SIZE_MAX;
    }
    *part = (weir_waf_part){.facts = facts};
    return true;
}

/* Of both there must be a clause, else there is none of the whole. */
static bool either_literals(weir_pool *pool, weir_waf_facts *out, const weir_waf_facts *a,
                            const weir_waf_facts *b)
{
    weir_waf_literals all;

    if (a->literal_count == 0 || b->literal_count == 0
        || a->literals[0].count + b->literals[0].count > LIST_MAX) {
        return true;
    }
    if (!list_union(pool, &a->literals[0], &b->literals[0], &all)) {
        return false;
    }

    facts_add_literals(out, &all);
    return true;
}

bool weir_waf_part_either(weir_pool *pool, weir_waf_part *part, const weir_waf_part *other)
{
    weir_waf_facts a, b, facts;

    if (part->is_exact && other->is_exact && part->exact.count + other->exact.count <= LIST_MAX) {
        return list_union(pool, &part->exact, &other->exact, &part->exact);
    }

    weir_waf_part_facts(pool, part, &a);
    weir_waf_part_facts(pool, other, &b);
    facts = (weir_waf_facts){.min_len = a.min_len < b.min_len ? a.min_len : b.min_len};
    if (!either_literals(pool, &facts, &a, &b)) {
        return false;
    }
    if (a.byte_count > 0 && b.byte_count > 0) {
        weir_waf_bytes all = a.bytes[0];

        for (size_t i = 0; i < WEIR_COUNT(all.bits); i++) {
            all.bits[i] |= b.bytes[0].bits[i];
        }
        facts_add_bytes(&facts, &all);
    }

    *part = (weir_waf_part){.facts = facts};
    return true;
}

/* ---- sequences */

bool weir_waf_sequence_begin(weir_waf_sequence *sequence, weir_pool *pool)
{
    weir_waf_part empty;

    *sequence = (weir_waf_sequence){.pool = pool, .is_exact = true};
    if (!weir_waf_part_empty(pool, &empty)) {
        return false;
    }
    sequence->run = empty.exact;
    return true;
}

bool weir_waf_sequence_add(weir_waf_sequence *sequence, const weir_waf_part *part)
{
    weir_waf_part empty;

    if (part->is_exact) {
        add_len(&sequence->facts.min_len, list_shortest(&part->exact));
        if (list_fits(&sequence->run, &part->exact)) {
            return list_join(sequence->pool, &sequence->run, &part->exact, &sequence->run);
        }
    } else {
        add_len(&sequence->facts.min_len, part->facts.min_len);
        facts_add(&sequence->facts, &part->facts);
    }

    facts_add_exact(&sequence->facts, &sequence->run);
    sequence->is_exact = false;
    if (part->is_exact) {
        sequence->run = part->exact;
        return true;
    }
    if (!weir_waf_part_empty(sequence->pool, &empty)) {
        return false;
    }
    sequence->run = empty.exact;
    return true;
}

void weir_waf_sequence_end(weir_waf_sequence *sequence, weir_waf_part *part)
{
    if (sequence->is_exact) {
        *part = (weir_waf_part){.is_exact = true, .exact = sequence->run};
        return;
    }

    facts_add_exact(&sequence->facts, &sequence->run);
    *part = (weir_waf_part){.facts = sequence->facts};
}

/* ---- phrases */

void weir_waf_phrase_facts(weir_pool *pool, const weir_waf_phrases *phrases, weir_waf_facts *facts)
{
    weir_waf_literals cut;

    *facts = (weir_waf_facts){.min_len = SIZE_MAX};
    if (!list_new(pool, phrases->count, &cut)) {
        *facts = (weir_waf_facts){0};
        return;
    }

    for (size_t i = 0; i < phrases->count; i++) {
        weir_str text = weir_str_slice(phrases->texts[i], 0, LITERAL_MAX);

        facts->min_len =
            phrases->texts[i].len < facts->min_len ? phrases->texts[i].len : facts->min_len;
        if (!weir_str_lower(pool, text, &cut.items[cut.count++])) {
            *facts = (weir_waf_facts){0};
            return;
        }
    }

    facts_add_bytes_of(facts, &cut);
    /* Whatever the odds, and however many there are: it is what the operator would look for. */
    facts->literals[0] = cut;
    facts->literal_count = 1;
}
