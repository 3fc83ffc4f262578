/* From the facts of many operators to one automaton, and the questions about a value. */

#include "modules/waf/prefilter_internal.h"

#include "core/base/array.h"
#include "modules/waf/automaton.h"

typedef struct {
    weir_waf_bytes bytes[WEIR_WAF_CLAUSES_MAX];
    size_t min_len;
    uint32_t marks[WEIR_WAF_CLAUSES_MAX]; /* numbers of lists of literals */
    uint8_t byte_count, mark_count;
} prefilter_entry;

struct weir_waf_prefilter {
    const prefilter_entry *entries;
    size_t entry_count, mark_count, literal_count;
    const weir_waf_automaton *automaton;
};

struct weir_waf_prefilter_build {
    weir_pool *pool;    /* goes with the build */
    weir_array entries; /* prefilter_entry */
    weir_array phrases; /* weir_waf_phrase */
    uint32_t mark_count;
};

/* ---- building */

weir_waf_prefilter_build *weir_waf_prefilter_begin(void)
{
    weir_pool *pool = weir_pool_new(65536, 0);
    weir_waf_prefilter_build *build =
        pool == NULL ? NULL : WEIR_NEW(pool, weir_waf_prefilter_build);

    if (build == NULL) {
        weir_pool_free(pool);
        return NULL;
    }

    build->pool = pool;
    weir_array_init(&build->entries, pool, sizeof(prefilter_entry), 512);
    weir_array_init(&build->phrases, pool, sizeof(weir_waf_phrase), 4096);
    return build;
}

/* A list of literals gets a number, which its phrases tell. */
static bool build_add_literals(weir_waf_prefilter_build *build, const weir_waf_literals *list,
                               uint32_t *mark)
{
    *mark = build->mark_count;
    for (size_t i = 0; i < list->count; i++) {
        weir_waf_phrase *phrase = weir_array_push(&build->phrases);

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
                            uint32_t *index)
{
    prefilter_entry *entry = weir_array_push(&build->entries);
    weir_waf_facts facts;

    if (entry == NULL) {
        return false;
    }

    facts_of(build->pool, op, &facts);
    entry->min_len = facts.min_len;
    entry->byte_count = (uint8_t) facts.byte_count;
    memcpy(entry->bytes, facts.bytes, sizeof(entry->bytes));
    for (size_t i = 0; i < facts.literal_count; i++) {
        if (!build_add_literals(build, &facts.literals[i], &entry->marks[i])) {
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
    prefilter->literal_count = build->phrases.count;
    prefilter->automaton = weir_waf_automaton_new(pool, build->phrases.items, build->phrases.count);
    return prefilter->automaton == NULL ? NULL : prefilter;
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
        .states = weir_waf_automaton_state_count(prefilter->automaton),
        .bytes = weir_waf_automaton_bytes(prefilter->automaton),
    };
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
    scan->is_marked = false;
    scan->marks = words;
    if (present != NULL) {
        scan->bytes = *present;
    } else {
        weir_waf_bytes_of(value, &scan->bytes);
    }
}

static bool has_marks(weir_waf_scan *scan, const prefilter_entry *entry)
{
    if (!scan->is_marked) {
        memset(scan->marks, 0, weir_waf_prefilter_words(scan->prefilter) * sizeof(*scan->marks));
        weir_waf_automaton_mark(scan->prefilter->automaton, scan->value, scan->marks);
        scan->is_marked = true;
    }

    for (size_t i = 0; i < entry->mark_count; i++) {
        if ((scan->marks[entry->marks[i] >> 6] >> (entry->marks[i] & 63) & 1) == 0) {
            return false;
        }
    }
    return true;
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
