/* From the facts of many operators to one automaton, and the questions about a value. */

#include "modules/waf/prefilter_internal.h"

#include "core/base/array.h"
#include "modules/waf/automaton.h"

typedef struct {
    weir_waf_bytes bytes[WEIR_WAF_CLAUSES_MAX];
    size_t min_len;
    uint8_t byte_count, list_count; /* of bytes, and of literals */
    uint8_t part;
} prefilter_entry;

/*
 * What an automaton marks is a set of operators for each of the lists of literals that an operator may have: those
 * of which the text has a literal of that list.
 */
struct weir_waf_prefilter {
    const prefilter_entry *entries;
    size_t entry_count, literal_count;
    size_t set_words;
    const uint64_t *without; /* for each list, those that have none */
    const weir_waf_automaton *automata[WEIR_WAF_FILTER_PARTS];
};

struct weir_waf_prefilter_build {
    weir_pool *pool;                           /* goes with the build */
    weir_array entries;                        /* prefilter_entry */
    weir_array phrases[WEIR_WAF_FILTER_PARTS]; /* weir_waf_phrase, numbered by operator and list */
};

/* ---- building */

weir_waf_prefilter_build *weir_waf_prefilter_begin(void)
{
    weir_pool *pool = weir_pool_new_of_pages();
    weir_waf_prefilter_build *build =
        pool == NULL ? NULL : WEIR_NEW(pool, weir_waf_prefilter_build);

    if (build == NULL) {
        weir_pool_free(pool);
        return NULL;
    }

    build->pool = pool;
    weir_array_init(&build->entries, pool, sizeof(prefilter_entry), 512);
    for (size_t i = 0; i < WEIR_WAF_FILTER_PARTS; i++) {
        weir_array_init(&build->phrases[i], pool, sizeof(weir_waf_phrase), 1024);
    }
    return build;
}

static bool build_add_literals(weir_waf_prefilter_build *build, const weir_waf_literals *list,
                               weir_waf_filter_part part, uint32_t number)
{
    for (size_t i = 0; i < list->count; i++) {
        weir_waf_phrase *phrase = weir_array_push(&build->phrases[part]);

        if (phrase == NULL) {
            return false;
        }
        *phrase = (weir_waf_phrase){.text = list->items[i], .number = number};
    }
    return true;
}

static void facts_of(weir_pool *pool, const weir_waf_operator *op, weir_waf_facts *facts)
{
    weir_waf_phrases phrases;
    weir_waf_bytes bytes;
    weir_str pattern;

    *facts = (weir_waf_facts){0};
    if (op == NULL) {
        return;
    }
    if (weir_waf_operator_pattern(op, &pattern)) {
        weir_waf_pattern_facts(pool, pattern, facts);
    } else if (weir_waf_operator_phrases(op, &phrases)) {
        weir_waf_phrase_facts(pool, &phrases, facts);
    } else if (weir_waf_operator_bytes(op, &bytes)) {
        facts->bytes[0] = bytes;
        facts->byte_count = 1;
    }
}

bool weir_waf_prefilter_add(weir_waf_prefilter_build *build, const weir_waf_operator *op,
                            weir_waf_filter_part part, uint32_t *index)
{
    prefilter_entry *entry = weir_array_push(&build->entries);
    weir_waf_facts facts;

    if (entry == NULL) {
        return false;
    }

    *index = (uint32_t) build->entries.count - 1;
    facts_of(build->pool, op, &facts);
    entry->part = (uint8_t) part;
    entry->min_len = facts.min_len;
    entry->byte_count = (uint8_t) facts.byte_count;
    memcpy(entry->bytes, facts.bytes, sizeof(entry->bytes));
    for (size_t i = 0; i < facts.literal_count; i++) {
        if (!build_add_literals(build, &facts.literals[i], part,
                                *index * WEIR_WAF_CLAUSES_MAX + (uint32_t) i)) {
            return false;
        }
        entry->list_count++;
    }
    return true;
}

/* From operator and list to a bit in the list's set of operators. */
static void number_phrases(const weir_array *phrases, size_t set_words)
{
    for (WEIR_ARRAY_EACH(phrases, weir_waf_phrase, phrase)) {
        uint32_t list = phrase->number % WEIR_WAF_CLAUSES_MAX;

        phrase->number = list * (uint32_t) set_words * 64 + phrase->number / WEIR_WAF_CLAUSES_MAX;
    }
}

static uint64_t *operators_without(weir_pool *pool, const weir_waf_prefilter_build *build,
                                   size_t set_words)
{
    uint64_t *without = WEIR_NEW_ARRAY(pool, uint64_t, set_words * WEIR_WAF_CLAUSES_MAX);

    for (size_t i = 0; without != NULL && i < build->entries.count; i++) {
        const prefilter_entry *entry = WEIR_ARRAY_AT(&build->entries, prefilter_entry, i);

        for (size_t list = entry->list_count; list < WEIR_WAF_CLAUSES_MAX; list++) {
            without[list * set_words + i / 64] |= (uint64_t) 1 << i % 64;
        }
    }
    return without;
}

static weir_waf_prefilter *build_end(weir_waf_prefilter_build *build, weir_pool *pool)
{
    weir_waf_prefilter *prefilter = WEIR_NEW(pool, weir_waf_prefilter);
    prefilter_entry *entries = WEIR_NEW_ARRAY(pool, prefilter_entry, build->entries.count + 1);

    if (prefilter == NULL || entries == NULL) {
        return NULL;
    }

    if (build->entries.count > 0) {
        memcpy(entries, build->entries.items, build->entries.count * sizeof(*entries));
    }
    prefilter->entries = entries;
    prefilter->entry_count = build->entries.count;
    prefilter->set_words = build->entries.count / 64 + 1;
    prefilter->without = operators_without(pool, build, prefilter->set_words);
    if (prefilter->without == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < WEIR_WAF_FILTER_PARTS; i++) {
        const weir_array *phrases = &build->phrases[i];

        number_phrases(phrases, prefilter->set_words);
        prefilter->literal_count += phrases->count;
        prefilter->automata[i] =
            weir_waf_automaton_new(pool, phrases->items, phrases->count, WEIR_WAF_AUTOMATON_FAST);
        if (prefilter->automata[i] == NULL) {
            return NULL;
        }
    }
    return prefilter;
}

const weir_waf_prefilter *weir_waf_prefilter_end(weir_waf_prefilter_build *build, weir_pool *pool)
{
    weir_waf_prefilter *prefilter = build_end(build, pool);

    weir_pool_free(build->pool);
    return prefilter;
}

void weir_waf_prefilter_tell(const weir_waf_prefilter *prefilter,
                             weir_waf_prefilter_figures *figures)
{
    *figures = (weir_waf_prefilter_figures){
        .operators = prefilter->entry_count,
        .literals = prefilter->literal_count,
    };
    for (size_t i = 0; i < WEIR_WAF_FILTER_PARTS; i++) {
        figures->states += weir_waf_automaton_state_count(prefilter->automata[i]);
        figures->bytes += weir_waf_automaton_bytes(prefilter->automata[i]);
    }
    for (size_t i = 0; i < prefilter->entry_count; i++) {
        const prefilter_entry *entry = &prefilter->entries[i];

        figures->with_literals += entry->list_count > 0;
        figures->without_facts +=
            entry->list_count == 0 && entry->byte_count == 0 && entry->min_len == 0;
    }
}

/* ---- scans */

size_t weir_waf_prefilter_words(const weir_waf_prefilter *prefilter)
{
    return WEIR_WAF_FILTER_PARTS * WEIR_WAF_CLAUSES_MAX * prefilter->set_words;
}

size_t weir_waf_prefilter_set_words(const weir_waf_prefilter *prefilter)
{
    return prefilter->set_words;
}

void weir_waf_scan_begin(weir_waf_scan *scan, const weir_waf_prefilter *prefilter, weir_str value,
                         const weir_waf_bytes *present, uint64_t *words)
{
    scan->prefilter = prefilter;
    scan->value = value;
    memset(scan->is_marked, 0, sizeof(scan->is_marked));
    scan->marks = words;
    scan->in_other_case = NULL;
    if (present != NULL) {
        scan->bytes = *present;
    } else {
        weir_waf_bytes_of(value, &scan->bytes);
    }
}

void weir_waf_scan_begin_in_other_case(weir_waf_scan *scan, weir_waf_scan *other, weir_str value,
                                       const weir_waf_bytes *present)
{
    weir_waf_scan_begin(scan, other->prefilter, value, present, NULL);
    scan->in_other_case = other->in_other_case == NULL ? other : other->in_other_case;
}

const uint64_t *weir_waf_scan_literals(weir_waf_scan *scan, weir_waf_filter_part part)
{
    const weir_waf_prefilter *prefilter = scan->prefilter;
    size_t words = prefilter->set_words;
    uint64_t *marks;

    if (scan->in_other_case != NULL) {
        scan = scan->in_other_case;
    }
    marks = scan->marks + part * WEIR_WAF_CLAUSES_MAX * words;
    if (scan->is_marked[part]) {
        return marks;
    }
    memcpy(marks, prefilter->without, WEIR_WAF_CLAUSES_MAX * words * sizeof(*marks));
    weir_waf_automaton_mark(prefilter->automata[part], scan->value, marks);
    for (size_t list = 1; list < WEIR_WAF_CLAUSES_MAX; list++) {
        for (size_t i = 0; i < words; i++) {
            marks[i] &= marks[list * words + i];
        }
    }
    scan->is_marked[part] = true;
    return marks;
}

bool weir_waf_prefilter_fits(const weir_waf_prefilter *prefilter, uint32_t index, size_t len,
                             const weir_waf_bytes *present)
{
    const prefilter_entry *entry = &prefilter->entries[index];

    if (len < entry->min_len) {
        return false;
    }
    for (size_t i = 0; i < entry->byte_count; i++) {
        if (!weir_waf_bytes_meet(present, &entry->bytes[i])) {
            return false;
        }
    }
    return true;
}

bool weir_waf_may_match(weir_waf_scan *scan, uint32_t index)
{
    const prefilter_entry *entry = &scan->prefilter->entries[index];

    return weir_waf_prefilter_fits(scan->prefilter, index, scan->value.len, &scan->bytes)
           && (entry->list_count == 0
               || (weir_waf_scan_literals(scan, (weir_waf_filter_part) entry->part)[index / 64]
                       >> index % 64
                   & 1)
                      != 0);
}
