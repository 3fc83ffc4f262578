/* How facts of parts become those of the whole. */

#include "modules/waf/prefilter_internal.h"

#include "core/base/number.h"
#include "modules/waf/pattern.h"

#define LITERAL_MAX 24 /* bytes; a longer text is cut where it becomes a clause */
#define PRODUCT_MAX 96 /* texts that two lists may make together */
#define LIST_MAX 2048  /* texts in a list */
#define CLASS_MAX 6    /* bytes of a class that are told apart */
#define REPEATS_MAX 3  /* times that a text is written out */

/* A clause that is true of nearly any value does not help. */
#define LITERAL_ODDS_MAX 0.02
#define BYTE_ODDS_MAX 0.5

/* What is known of a part of a pattern. */
typedef struct {
    bool is_exact; /* it matches the texts of `exact`, in either case, and no others */
    weir_waf_literals exact;
    weir_waf_facts facts; /* else, these; min_len counts for both */
} part;

/* Parts one after the other. */
typedef struct {
    weir_pool *pool;
    weir_waf_literals run; /* the exact text of the last of them, as far as it is known */
    bool is_exact;         /* there was nothing but `run` */
    weir_waf_facts facts;
} sequence;

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
        weir_waf_bytes_add(&bytes, rarest);
    }
    weir_waf_bytes_add_upper(&bytes);
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

static bool part_empty(weir_pool *pool, part *it)
{
    *it = (part){.is_exact = true};
    if (!list_new(pool, 1, &it->exact)) {
        return false;
    }

    it->exact.items[it->exact.count++] = WEIR_STR_EMPTY;
    return true;
}

static void part_any(size_t min_len, part *it)
{
    *it = (part){.facts = {.min_len = min_len}};
}

static bool part_bytes(weir_pool *pool, const weir_waf_bytes *bytes, part *it)
{
    weir_waf_bytes either = *bytes;
    weir_waf_literals list;

    part_any(1, it);
    weir_waf_bytes_fold(&either);
    if (weir_waf_bytes_count(&either) > CLASS_MAX) {
        weir_waf_bytes_add_upper(&either);
        facts_add_bytes(&it->facts, &either);
        return true;
    }

    if (!list_new(pool, CLASS_MAX, &list)) {
        return false;
    }
    for (size_t word = 0; word < WEIR_COUNT(either.bits); word++) {
        for (uint64_t left = either.bits[word]; left != 0; left &= left - 1) {
            char *text = weir_pool_bytes(pool, 1);

            if (text == NULL) {
                return false;
            }
            *text = (char) (word * 64 + (unsigned) __builtin_ctzll(left));
            list.items[list.count++] = weir_str_of(text, 1);
        }
    }
    it->is_exact = true;
    it->exact = list;
    return true;
}

static void part_facts(const part *it, weir_waf_facts *facts)
{
    *facts = it->facts;
    if (it->is_exact) {
        *facts = (weir_waf_facts){.min_len = list_shortest(&it->exact)};
        facts_add_exact(facts, &it->exact);
    }
}

static bool part_either(weir_pool *pool, part *it, const part *other);

static bool part_repeat(weir_pool *pool, part *it, size_t min, size_t max)
{
    weir_waf_facts facts;
    part once = *it;

    if (min == 1 && max == 1) {
        return true;
    }

    if (min == 0) {
        part empty;

        if (!it->is_exact || max != 1) {
            part_any(0, it);
            return true;
        }
        return part_empty(pool, &empty) && part_either(pool, it, &empty);
    }

    if (it->is_exact && min == max && min <= REPEATS_MAX) {
        size_t times = 1;

        while (times < min && list_fits(&it->exact, &once.exact)) {
            if (!list_join(pool, &it->exact, &once.exact, &it->exact)) {
                return false;
            }
            times++;
        }
        if (times == min) {
            return true;
        }
    }

    part_facts(&once, &facts);
    if (!weir_mul_size(facts.min_len, min, &facts.min_len)) {
        facts.min_len = SIZE_MAX;
    }
    *it = (part){.facts = facts};
    return true;
}

/* A literal is sure to be in the value only if each of the two alternatives has one. */
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

static bool part_either(weir_pool *pool, part *it, const part *other)
{
    weir_waf_facts a, b, facts;

    if (it->is_exact && other->is_exact && it->exact.count + other->exact.count <= LIST_MAX) {
        return list_union(pool, &it->exact, &other->exact, &it->exact);
    }

    part_facts(it, &a);
    part_facts(other, &b);
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

    *it = (part){.facts = facts};
    return true;
}

/* ---- sequences */

static bool sequence_begin(sequence *s, weir_pool *pool)
{
    part empty;

    *s = (sequence){.pool = pool, .is_exact = true};
    if (!part_empty(pool, &empty)) {
        return false;
    }
    s->run = empty.exact;
    return true;
}

static bool sequence_add(sequence *s, const part *it)
{
    part empty;

    if (it->is_exact) {
        add_len(&s->facts.min_len, list_shortest(&it->exact));
        if (list_fits(&s->run, &it->exact)) {
            return list_join(s->pool, &s->run, &it->exact, &s->run);
        }
    } else {
        add_len(&s->facts.min_len, it->facts.min_len);
        facts_add(&s->facts, &it->facts);
    }

    facts_add_exact(&s->facts, &s->run);
    s->is_exact = false;
    if (it->is_exact) {
        s->run = it->exact;
        return true;
    }
    if (!part_empty(s->pool, &empty)) {
        return false;
    }
    s->run = empty.exact;
    return true;
}

static void sequence_end(sequence *s, part *it)
{
    if (s->is_exact) {
        *it = (part){.is_exact = true, .exact = s->run};
        return;
    }

    facts_add_exact(&s->facts, &s->run);
    *it = (part){.facts = s->facts};
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

/* ---- patterns */

static bool part_of(weir_pool *pool, const weir_waf_pattern *pattern, part *it);

static bool part_of_sequence(weir_pool *pool, const weir_waf_pattern *pattern, part *it)
{
    sequence parts;

    if (!sequence_begin(&parts, pool)) {
        return false;
    }
    for (const weir_waf_pattern *child = pattern->first; child != NULL; child = child->next) {
        part next;

        if (!part_of(pool, child, &next) || !sequence_add(&parts, &next)) {
            return false;
        }
    }

    sequence_end(&parts, it);
    return true;
}

static bool part_of_either(weir_pool *pool, const weir_waf_pattern *pattern, part *it)
{
    part other;

    if (!part_of(pool, pattern->first, it)) {
        return false;
    }
    for (const weir_waf_pattern *child = pattern->first->next; child != NULL; child = child->next) {
        if (!part_of(pool, child, &other) || !part_either(pool, it, &other)) {
            return false;
        }
    }

    return true;
}

static bool part_of(weir_pool *pool, const weir_waf_pattern *pattern, part *it)
{
    switch (pattern->kind) {
    case WEIR_WAF_PATTERN_EMPTY:
    case WEIR_WAF_PATTERN_START:
    case WEIR_WAF_PATTERN_END:
    case WEIR_WAF_PATTERN_EDGE:
    case WEIR_WAF_PATTERN_NO_EDGE:
        return part_empty(pool, it);
    case WEIR_WAF_PATTERN_BYTES:
        return part_bytes(pool, &pattern->bytes, it);
    case WEIR_WAF_PATTERN_ANY:
        part_any(pattern->min, it);
        return true;
    case WEIR_WAF_PATTERN_SEQUENCE:
        return part_of_sequence(pool, pattern, it);
    case WEIR_WAF_PATTERN_EITHER:
        return part_of_either(pool, pattern, it);
    case WEIR_WAF_PATTERN_REPEAT:
        return part_of(pool, pattern->first, it)
               && part_repeat(pool, it, pattern->min, pattern->max);
    }

    return false;
}

void weir_waf_pattern_facts(weir_pool *pool, weir_str text, weir_waf_facts *facts)
{
    const weir_waf_pattern *pattern = weir_waf_pattern_read(pool, text);
    part whole;

    *facts = (weir_waf_facts){0};
    if (pattern != NULL && part_of(pool, pattern, &whole)) {
        part_facts(&whole, facts);
    }
}
