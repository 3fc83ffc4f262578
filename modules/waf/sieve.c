#include "modules/waf/transaction_internal.h"

/*
 * Which rules can match at all?
 *
 * Most rules have nothing to match in most requests.  So each value is looked at once, when it is new: what was said of its text
 * in earlier requests says which rules may match it.  Where that is not known, the value waits until a rule of
 * the group comes up, as some groups never do: what stands behind a skipAfter is not asked.  In the end a
 * rule that no value can match costs a bit, and so does, where a rule may match some value, each other value of it.
 *
 * A bit that is set says "may": values go away or are replaced, and it stays.
 */

bool weir_waf_sieve_init(weir_waf_transaction *tx)
{
    weir_waf_sieve_state *sieve = &tx->sieve;
    const weir_waf_library *library = tx->library;

    sieve->may_match = WEIR_NEW_ARRAY(tx->pool, uint64_t, library->place_words + 1);
    sieve->is_open = WEIR_NEW_ARRAY(tx->pool, uint64_t, library->group_words + 1);
    sieve->asked_to = WEIR_NEW_ARRAY(tx->pool, uint32_t, library->groups.count + 1);
    weir_array_init(&sieve->unasked, tx->pool, sizeof(weir_waf_unasked), 64);
    return sieve->may_match != NULL && sieve->is_open != NULL && sieve->asked_to != NULL;
}

/* ---- asking */

/* Sets the bits of the group's questions that may match a text with these literals and bytes. */
static void ask_text(weir_waf_transaction *tx, const weir_waf_group *group,
                     const uint64_t *literals, size_t len, const weir_waf_bytes *present,
                     uint64_t *bits)
{
    const weir_waf_prefilter *prefilter = tx->library->prefilter;

    for (uint32_t i = 0; i < group->word_count; i++) {
        uint32_t word = group->words[i].word;
        uint64_t left = literals[word] & group->words[i].bits & ~bits[word];

        for (; left != 0; left &= left - 1) {
            uint32_t place = word * 64 + (uint32_t) __builtin_ctzll(left);

            if (weir_waf_prefilter_fits(prefilter, place, len, present)) {
                bits[word] |= left & -left;
            }
            tx->work += 4;
        }
    }
    tx->work += group->word_count;
}

/*
 * Of one of the results that a group looks at.  What differs from another in the case of letters alone is not made to be asked: length
 * and literals are the same, and its bytes follow from the other's.  False: the budget is used up.
 */
static bool ask_result(weir_waf_transaction *tx, const weir_waf_group *group, weir_waf_value *value,
                       uint32_t chain, uint64_t *bits)
{
    const weir_waf_chain *last = WEIR_ARRAY_AT(&tx->library->chains, weir_waf_chain, chain);
    bool changes_case = chain != 0 && weir_waf_transform_is_case(last->step);
    weir_waf_node *node = weir_waf_node_of(tx, value, changes_case ? last->parent : chain);
    weir_waf_scan *scan = node == NULL ? NULL : weir_waf_node_scan(tx, node);
    weir_waf_bytes present;

    if (scan == NULL) {
        return false;
    }
    present = node->present;
    if (changes_case) {
        weir_waf_transform_case_of_bytes(last->step, &present);
    }
    ask_text(tx, group, weir_waf_scan_literals(scan, group->part), node->text.len, &present, bits);
    return true;
}

static bool ask_chain(weir_waf_transaction *tx, const weir_waf_group *group, weir_waf_value *value,
                      uint64_t *bits)
{
    const weir_waf_chain *chains = tx->library->chains.items;
    uint32_t chain = group->chain;

    while (ask_result(tx, group, value, chain, bits)) {
        if (!group->is_multi_match || chain == 0) {
            return true;
        }
        chain = chains[chain].parent;
    }
    return false;
}

static void add_said(weir_waf_transaction *tx, const weir_waf_said *said,
                     const weir_waf_audience *audience)
{
    for (uint32_t i = 0; i < tx->library->place_words; i++) {
        tx->sieve.may_match[i] |= said->may_match[i] & audience->places[i];
    }
    tx->work += tx->library->place_words;
}

/* Adds what the group says of a value. */
static bool ask_value(weir_waf_transaction *tx, uint32_t number, const weir_waf_unasked *unasked)
{
    const weir_waf_group *group = WEIR_ARRAY_AT(&tx->library->groups, weir_waf_group, number);
    weir_waf_value *value = &tx->values[unasked->variable].items[unasked->index];
    weir_waf_said *said = weir_waf_said_of(tx, value);

    if (said == NULL) {
        return false;
    }
    if (!weir_waf_bit_is_set(said->asked, number)) {
        if (!ask_chain(tx, group, value, said->may_match)) {
            return false;
        }
        weir_waf_bit_set(said->asked, number);
    }
    for (uint32_t i = 0; i < group->word_count; i++) {
        uint32_t word = group->words[i].word;

        tx->sieve.may_match[word] |=
            said->may_match[word] & group->words[i].bits & unasked->audience->places[word];
    }
    return true;
}

weir_result weir_waf_sieve_group(weir_waf_transaction *tx, uint32_t number)
{
    const weir_array *all = &tx->sieve.unasked;
    uint32_t *asked_to = &tx->sieve.asked_to[number];

    for (; *asked_to < all->count; ++*asked_to) {
        const weir_waf_unasked *unasked = WEIR_ARRAY_AT(all, weir_waf_unasked, *asked_to);

        if (unasked->index >= tx->values[unasked->variable].count
            || !weir_waf_bit_is_set(unasked->audience->groups, number)) {
            continue;
        }
        if (weir_waf_turn_is_over(tx)) {
            return WEIR_WAIT;
        }
        if (tx->is_exhausted || !ask_value(tx, number, unasked)) {
            return WEIR_OK;
        }
    }
    weir_waf_bit_clear(tx->sieve.is_open, number);
    return WEIR_OK;
}

/* ---- what is new */

static const weir_waf_audience *audience_of(const weir_waf_audiences *audiences, weir_str name)
{
    const weir_waf_audience *named = NULL;

    if ((audiences->lengths & weir_waf_length_bit(name.len)) != 0) {
        named = weir_map_find(audiences->named, name);
    }
    return named != NULL ? named : audiences->others;
}

/* False, and noted: no memory. */
static bool see_value(weir_waf_transaction *tx, weir_waf_variable variable, uint32_t index)
{
    weir_waf_value *value = &tx->values[variable].items[index];
    const weir_waf_audience *audience = audience_of(&tx->library->audiences[variable], value->name);
    const weir_waf_said *said = weir_waf_said_of(tx, value);
    uint64_t open = 0;
    weir_waf_unasked *unasked;

    if (said == NULL) {
        return false;
    }

    for (uint32_t i = 0; i < tx->library->group_words; i++) {
        uint64_t bits = audience->groups[i] & ~said->asked[i];

        tx->sieve.is_open[i] |= bits;
        open |= bits;
    }
    add_said(tx, said, audience);
    tx->work += 8;
    if (open == 0) {
        return true;
    }
    unasked = weir_array_push(&tx->sieve.unasked);
    if (unasked == NULL) {
        weir_waf_exhausted(tx, "memory");
        return false;
    }
    *unasked = (weir_waf_unasked){.audience = audience, .variable = variable, .index = index};
    return true;
}

weir_result weir_waf_sieve(weir_waf_transaction *tx)
{
    const weir_waf_library *library = tx->library;

    for (unsigned i = 0; i < library->watched_count; i++) {
        weir_waf_variable variable = library->watched[i];
        uint32_t *seen = &tx->sieve.seen[variable];

        while (*seen < tx->values[variable].count && !tx->is_exhausted) {
            *seen += see_value(tx, variable, *seen) ? 1 : 0;
            if (weir_waf_turn_is_over(tx)) {
                return WEIR_WAIT;
            }
        }
    }
    tx->sieve.is_stale = tx->is_exhausted;
    return WEIR_OK;
}
