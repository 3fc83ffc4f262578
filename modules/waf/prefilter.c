/* From the facts of many operators to one automaton, and the questions about a value. */

#include "modules/waf/prefilter_internal.h"

#include "core/base/array.h"
#include "modules/waf/automaton.h"

typedef struct {
    weir_waf_bytes bytes[WEIR_WAF_CLAUSES_MAX];
    size_t min_len;
    uint32_t marks[WEIR_WAF_CLAUSES_MAX]; /* numbers of lists of literals */
    uint8_t byte_count, mark_count;
    uint8_t part;
} prefilter_entry;

struct weir_waf_prefilter {
    const prefilter_entry *entries;
    size_t entry_count, mark_count, literal_count;
    const weir_waf_automaton *automata[WEIR_WAF_FILTER_PARTS];
};

struct weir_waf_prefilter_build {
    weir_pool *pool;                           /* goes with the build */
    weir_array entries;                        /* prefilter_entry */
    weir_array phrases[WEIR_WAF_FILTER_PARTS]; /* weir_waf_phrase */
    uint32_t mark_count;
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

/* A list of literals gets a number, which its phrases tell. */
static bool build_add_literals(weir_waf_prefilter_build *build, const weir_waf_literals *list,
                               weir_waf_filter_part part, uint32_t *mark)
{
    *mark = build->mark_count;
    for (size_t i = 0; i < list->count; i++) {
        weir_waf_phrase *phrase = weir_array_push(&build->phrases[part]);

        if (phrase == NULL) {
            return false;
        }
        *phrase = (weir_waf_phrase){.text = list->items[i], .number = *mark};
    }

    build->mark_count++;
    return true;
}

static void facts_of(weir_pool *pool, const weir_waf_operator *op, weir_waf_facts *facts)
{
    weir_waf_phrases phrases;
    weir_waf_bytes bytes;
    weir_str pattern;

    *facts = (weir_waf_facts){0};
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

    facts_of(build->pool, op, &facts);
    entry->part = (uint8_t) part;
    entry->min_len = facts.min_len;
    entry->byte_count = (uint8_t) facts.byte_count;
    memcpy(entry->bytes, facts.bytes, sizeof(entry->bytes));
    for (size_t i = 0; i < facts.literal_count; i++) {
        if (!build_add_literals(build, &facts.literals[i], part, &entry->marks[i])) {
            return false;
        }
        entry->mark_count++;
    }

    *index = (uint32_t) build->entries.count - 1;
    return true;
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
    prefilter->mark_count = build->mark_count;
    for (size_t i = 0; i < WEIR_WAF_FILTER_PARTS; i++) {
        const weir_array *phrases = &build->phrases[i];

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

        figures->with_literals += entry->mark_count > 0;
        figures->without_facts +=
            entry->mark_count == 0 && entry->byte_count == 0 && entry->min_len == 0;
    }
}

/* ---- scans */

size_t weir_waf_prefilter_words(const weir_waf_prefilter *prefilter)
{
    return prefilter->mark_count / 64 + 1;
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

static void mark(weir_waf_scan *scan, weir_waf_filter_part part)
{
    bool is_first = true;

    for (size_t i = 0; i < WEIR_WAF_FILTER_PARTS; i++) {
        is_first &= !scan->is_marked[i];
    }
    if (is_first) {
        memset(scan->marks, 0, weir_waf_prefilter_words(scan->prefilter) * sizeof(*scan->marks));
    }
    weir_waf_automaton_mark(scan->prefilter->automata[part], scan->value, scan->marks);
    scan->is_marked[part] = true;
}

static bool has_marks(weir_waf_scan *scan, const prefilter_entry *entry)
{
    if (scan->in_other_case != NULL) {
        scan = scan->in_other_case;
    }
    if (!scan->is_marked[entry->part]) {
        mark(scan, (weir_waf_filter_part) entry->part);
    }

    for (size_t i = 0; i < entry->mark_count; i++) {
        if ((scan->marks[entry->marks[i] >> 6] >> (entry->marks[i] & 63) & 1) == 0) {
            return false;
        }
    }
    return true;
}

bool weir_waf_may_match_in_other_case(weir_waf_scan *scan, uint32_t index)
{
    const prefilter_entry *entry = &scan->prefilter->entries[index];

    return scan->value.len >= entry->min_len && (entry->mark_count == 0 || has_marks(scan, entry));
}

bool weir_waf_may_match(weir_waf_scan *scan, uint32_t index)
{
    const prefilter_entry *entry = &scan->prefilter->entries[index];

    if (scan->value.len < entry->min_len) {
        return false;
    }
    for (size_t i = 0; i < entry->byte_count; i++) {
        if (!weir_waf_bytes_meet(&scan->bytes, &entry->bytes[i])) {
            return false;
        }
    }
    return entry->mark_count == 0 || has_marks(scan, entry);
}
