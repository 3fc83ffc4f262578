#include "modules/waf/transaction_internal.h"

/*
 * Which rules can match at all?
 *
 * Most rules have nothing to match in most requests.  So each value is looked at once, when it is new: what is known of its text
 * from earlier requests says which rules may match it.  Where that is not known, the value waits until a rule of
 * the group comes up, as most groups never do: what stands behind a skipAfter is not asked.  In the end a
 * rule that no value can match costs a bit.
 *
 * A bit that is set says "may": values go away or are replaced, and it stays.
 */

bool weir_waf_sieve_init(weir_waf_transaction *tx)
{
    weir_waf_sieve_state *sieve = &tx->sieve;
    const weir_waf_library *library = tx->library;

    sieve->may_match = WEIR_NEW_ARRAY(tx->pool, uint64_t, library->place_words + 1);
    sieve->is_open = WEIR_NEW_ARRAY(tx->pool, uint64_t, library->group_words + 1);
    weir_array_init(&sieve->unasked, tx->pool, sizeof(weir_waf_unasked), 64);
    return sieve->may_match != NULL && sieve->is_open != NULL;
}

/* ---- asking */

/* Sets the bits of questions that may match the node, of those places that the audience has. */
static void ask_node(weir_waf_transaction *tx, const weir_waf_group *group, weir_waf_node *node,
                     uint64_t *bits)
{
    for (WEIR_ARRAY_EACH(&group->questions, const weir_waf_group_question, question)) {
        if (!weir_waf_bit_is_set(bits, question->place)
            && (question->predicate == WEIR_WAF_NONE
                || weir_waf_node_may_match(tx, node, question->predicate))) {
            weir_waf_bit_set(bits, question->place);
        }
    }
    tx->work += 8 * group->questions.count;
}

/* Whether it is worth it to make what the last step, which is one of case, makes of the node. */
static bool any_may_match_in_other_case(weir_waf_transaction *tx, const weir_waf_group *group,
                                        weir_waf_node *node, const uint64_t *bits)
{
    for (WEIR_ARRAY_EACH(&group->questions, const weir_waf_group_question, question)) {
        if (!weir_waf_bit_is_set(bits, question->place)
            && (question->predicate == WEIR_WAF_NONE
                || weir_waf_node_may_match_in_other_case(tx, node, question->predicate))) {
            return true;
        }
    }
    return false;
}

/* Of one of the results that a group looks at.  False: the budget is used up. */
static bool ask_result(weir_waf_transaction *tx, const weir_waf_group *group, weir_waf_value *value,
                       uint32_t chain, uint64_t *bits)
{
    const weir_waf_chain *last = WEIR_ARRAY_AT(&tx->library->chains, weir_waf_chain, chain);
    weir_waf_node *node;

    if (chain != 0 && weir_waf_transform_is_case(last->step)) {
        node = weir_waf_node_of(tx, value, last->parent);
        if (node == NULL) {
            return false;
        }
        tx->work += 8 * group->questions.count;
        if (!any_may_match_in_other_case(tx, group, node, bits)) {
            return true;
        }
    }
    node = weir_waf_node_of(tx, value, chain);
    if (node == NULL) {
        return false;
    }
    ask_node(tx, group, node, bits);
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

static void add_known(weir_waf_transaction *tx, const weir_waf_known_text *known,
                      const weir_waf_audience *audience)
{
    for (uint32_t i = 0; i < tx->library->place_words; i++) {
        tx->sieve.may_match[i] |= known->may_match[i] & audience->places[i];
    }
    tx->work += tx->library->place_words;
}

/* Adds what the group says of a value. */
static bool ask_value(weir_waf_transaction *tx, uint32_t number, const weir_waf_unasked *unasked)
{
    const weir_waf_group *group = WEIR_ARRAY_AT(&tx->library->groups, weir_waf_group, number);
    weir_waf_value *value = &tx->values[unasked->variable].items[unasked->index];
    weir_waf_known_text *known = weir_waf_known_of(tx, value);

    if (known == NULL) {
        return ask_chain(tx, group, value, tx->sieve.may_match);
    }
    if (!weir_waf_bit_is_set(known->asked, number)) {
        if (!ask_chain(tx, group, value, known->may_match)) {
            return false;
        }
        weir_waf_bit_set(known->asked, number);
    }
    add_known(tx, known, unasked->audience);
    return true;
}

weir_result weir_waf_sieve_group(weir_waf_transaction *tx, uint32_t number)
{
    const weir_array *all = &tx->sieve.unasked;

    while (tx->at.asked < all->count && !tx->is_exhausted) {
        const weir_waf_unasked *unasked = WEIR_ARRAY_AT(all, weir_waf_unasked, tx->at.asked++);

        if (unasked->index < tx->values[unasked->variable].count
            && weir_waf_bit_is_set(unasked->audience->groups, number)) {
            if (!ask_value(tx, number, unasked)) {
                break;
            }
            if (weir_waf_turn_is_over(tx)) {
                return WEIR_WAIT;
            }
        }
    }
    tx->at.asked = 0;
    if (!tx->is_exhausted) {
        weir_waf_bit_clear(tx->sieve.is_open, number);
    }
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

static void see_value(weir_waf_transaction *tx, weir_waf_variable variable, uint32_t index)
{
    weir_waf_value *value = &tx->values[variable].items[index];
    const weir_waf_audience *audience = audience_of(&tx->library->audiences[variable], value->name);
    const weir_waf_known_text *known = weir_waf_known_of(tx, value);
    uint64_t open = 0;
    weir_waf_unasked *unasked;

    for (uint32_t i = 0; i < tx->library->group_words; i++) {
        uint64_t bits = audience->groups[i] & ~(known == NULL ? 0 : known->asked[i]);

        tx->sieve.is_open[i] |= bits;
        open |= bits;
    }
    if (known != NULL) {
        add_known(tx, known, audience);
    }
    tx->work += 8;
    if (open == 0) {
        return;
    }
    unasked = weir_array_push(&tx->sieve.unasked);
    if (unasked == NULL) {
        weir_waf_exhausted(tx, "memory");
        return;
    }
    *unasked = (weir_waf_unasked){.audience = audience, .variable = variable, .index = index};
}

weir_result weir_waf_sieve(weir_waf_transaction *tx)
{
    const weir_waf_library *library = tx->library;

    for (unsigned i = 0; i < library->watched_count; i++) {
        weir_waf_variable variable = library->watched[i];
        uint32_t *seen = &tx->sieve.seen[variable];

        while (*seen < tx->values[variable].count && !tx->is_exhausted) {
            see_value(tx, variable, (*seen)++);
            if (weir_waf_turn_is_over(tx)) {
                return WEIR_WAIT;
            }
        }
    }
    tx->sieve.is_stale = tx->is_exhausted;
    return WEIR_OK;
}
