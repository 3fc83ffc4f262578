#include "core/base/clock.h"
#include "modules/waf/transaction_internal.h"

/*
 * Runs the rules of a phase, in the order of the files.
 *
 * Most rules have nothing to match in most requests: the sieve says so, for a bit.  What is left is run.
 */

/* Between two looks at the clock.  A regex that goes back and forth takes many times what it is counted as. */
#define TURN_WORK 10000
#define CHAIN_MAX 64
/* For phase 5, where all that a request may take is taken. */
#define LOGGING_BYTES ((size_t) 256 * 1024)

typedef enum {
    RULE_WAITS,
    RULE_MATCHED,
    RULE_FAILED,
} rule_result;

bool weir_waf_turn_is_over(weir_waf_transaction *tx)
{
    if (WEIR_LIKELY(tx->work < tx->turn_work_end)) {
        return false;
    }
    if (tx->work > tx->options.budget.work) {
        weir_waf_exhausted(tx, "work");
        return false;
    }
    tx->turn_work_end = tx->work + TURN_WORK;
    return weir_clock_monotonic_us() >= tx->turn_end_us;
}

/* ---- tests */

static bool compare(weir_waf_comparison comparison, int64_t a, int64_t b)
{
    switch (comparison) {
    case WEIR_WAF_EQ:
        return a == b;
    case WEIR_WAF_GE:
        return a >= b;
    case WEIR_WAF_GT:
        return a > b;
    case WEIR_WAF_LE:
        return a <= b;
    case WEIR_WAF_LT:
        return a < b;
    }
    return false;
}

static int64_t test_number(weir_waf_transaction *tx, const weir_waf_test *test)
{
    const weir_waf_macro *parameter = &test->parameter;

    if (parameter->is_constant) {
        return test->number;
    }
    if (parameter->count == 1 && parameter->parts[0].slot != WEIR_WAF_NONE) {
        return weir_waf_slot_number(tx, parameter->parts[0].slot);
    }
    return weir_waf_number_of(weir_waf_expand(tx, parameter));
}

static weir_waf_matched run_operator(weir_waf_transaction *tx, const weir_waf_test *test,
                                     weir_str text, weir_waf_run *run)
{
    weir_waf_matched matched;
    weir_str expanded;

    run->matcher = tx->worker->matcher;
    run->steps_max = tx->settings->pcre_match_limit;
    run->wants_captures = true;
    if (!test->parameter.is_constant) {
        expanded = weir_waf_expand(tx, &test->parameter);
        run->expanded = &expanded;
    }
    matched = weir_waf_operator_run(test->as_written, text, run);
    if (matched == WEIR_WAF_NO_MATCH
        && test->operator!= test->as_written && weir_str_find_byte(text, '\n') != NULL) {
        matched = weir_waf_operator_run(test->operator, text, run);
    }
    tx->work += run->work;
    if (matched == WEIR_WAF_LIMIT) {
        weir_waf_limit_was_hit(tx);
    }
    return matched;
}

static weir_waf_matched matched_if(bool is_so)
{
    return is_so ? WEIR_WAF_MATCH : WEIR_WAF_NO_MATCH;
}

/* What the filter says. */
static bool may_match(weir_waf_transaction *tx, weir_waf_node *node, const weir_waf_link *link)
{
    weir_waf_scan *scan;

    if (node == NULL || !link->is_filtered || !tx->library->is_filtered) {
        return true;
    }
    scan = weir_waf_node_scan(tx, node);
    return scan == NULL || weir_waf_may_match(scan, link->place);
}

/* Without negation.  `node` is the text's; NULL: it has none. */
static weir_waf_matched test_text(weir_waf_transaction *tx, const weir_waf_link *link,
                                  weir_str text, weir_waf_node *node, weir_waf_run *run)
{
    const weir_waf_test *test = &link->test;

    tx->work += 16;
    switch (test->kind) {
    case WEIR_WAF_TEST_NUMBER:
        return matched_if(
            compare(test->comparison, weir_waf_number_of(text), test_number(tx, test)));
    case WEIR_WAF_TEST_ALWAYS:
        return WEIR_WAF_MATCH;
    case WEIR_WAF_TEST_NEVER:
        return WEIR_WAF_NO_MATCH;
    case WEIR_WAF_TEST_OPERATOR:
        return may_match(tx, node, link) ? run_operator(tx, test, text, run) : WEIR_WAF_NO_MATCH;
    }
    return WEIR_WAF_NO_MATCH;
}

/* ---- what a match does */

static bool is_logged(const weir_waf_rule *rule)
{
    weir_waf_choice said = rule->actions.log;

    if (said == WEIR_WAF_UNSAID && rule->inherited != NULL) {
        said = rule->inherited->log;
    }
    return said != WEIR_WAF_NO;
}

static bool is_audited(const weir_waf_rule *rule)
{
    weir_waf_choice said = rule->actions.audit;

    if (said == WEIR_WAF_UNSAID && rule->actions.log == WEIR_WAF_YES) {
        return true;
    }
    if (said == WEIR_WAF_UNSAID && rule->inherited != NULL) {
        said = rule->inherited->audit;
    }
    return said != WEIR_WAF_NO;
}

static void note_find(weir_waf_transaction *tx, const weir_waf_rule *rule)
{
    weir_waf_match *match = &tx->current;

    if (!is_logged(rule) && !is_audited(rule)) {
        return;
    }
    if (match->find_count % 4 == 0 && match->find_count < WEIR_WAF_FINDS_MAX) {
        size_t bytes = match->find_count * sizeof(weir_waf_find);
        weir_waf_find *finds =
            weir_pool_grow(tx->pool, match->finds, bytes, bytes + 4 * sizeof(weir_waf_find));

        if (finds == NULL) {
            weir_waf_exhausted(tx, "memory");
            return;
        }
        match->finds = finds;
    }
    if (match->find_count < WEIR_WAF_FINDS_MAX) {
        match->finds[match->find_count++] = tx->found;
    }
}

/* A fingerprint lies in the run, which ends: it is copied. */
static weir_str capture_of(weir_waf_transaction *tx, const weir_waf_run *run, uint32_t i)
{
    weir_str text = run->captures[i];

    if (text.data >= run->fingerprint && text.data < run->fingerprint + sizeof(run->fingerprint)
        && !weir_str_copy(tx->pool, text, &text)) {
        weir_waf_exhausted(tx, "memory");
        return WEIR_STR_EMPTY;
    }
    return text;
}

static void set_captures(weir_waf_transaction *tx, const weir_waf_run *run)
{
    for (uint32_t i = 0; i < WEIR_WAF_CAPTURES; i++) {
        if ((run->captured >> i & 1) != 0) {
            (void) weir_waf_slot_set(tx, i, capture_of(tx, run, i));
        } else {
            weir_waf_slot_unset(tx, i);
        }
    }
}

/* A value has matched: what does not wait for the rest of the chain is done. */
static void value_matched(weir_waf_transaction *tx, const weir_waf_rule *rule,
                          const weir_waf_link *link, const weir_waf_find *found,
                          const weir_waf_run *run)
{
    tx->found = *found;
    tx->found.link = link;
    (void) weir_waf_push(
        tx, &tx->matched,
        (weir_waf_value){.name = found->name, .text = found->value, .variable = found->variable});
    if (run != NULL && link->test.kind == WEIR_WAF_TEST_OPERATOR && !link->is_negated) {
        tx->found.matched = (run->captured & 1) != 0 ? capture_of(tx, run, 0) : WEIR_STR_EMPTY;
        if (link->captures) {
            set_captures(tx, run);
        }
    }
    note_find(tx, rule);
    weir_waf_do_effects(tx, link);
}

/* What the operator says; it has matched, in the rule's sense, if that is MATCH and it is not negated, or the other way round. */
static weir_waf_matched try_text(weir_waf_transaction *tx, const weir_waf_rule *rule,
                                 const weir_waf_link *link, weir_waf_find *found, weir_str text,
                                 weir_waf_node *node)
{
    weir_waf_run run = {.captured = 0};
    weir_waf_matched result = test_text(tx, link, text, node, &run);

    if ((result == WEIR_WAF_MATCH) != link->is_negated) {
        found->value = text;
        value_matched(tx, rule, link, found, &run);
    }
    return result;
}

/*
 * multiMatch: the value itself, and what each transformation made of it if that is another.  `*is_settled`: nothing was left
 * undecided.
 */
static bool try_each(weir_waf_transaction *tx, const weir_waf_rule *rule, const weir_waf_link *link,
                     weir_waf_find *found, weir_waf_value *value, bool *is_settled)
{
    const weir_waf_chain *chains = tx->library->chains.items;
    uint32_t path[CHAIN_MAX];
    weir_waf_node *last = NULL;
    weir_waf_value stays;
    unsigned depth = 0;
    bool matched = false;

    /* A match may move or overwrite what it came from (MATCHED_VARS grow, TX changes); the root is kept in both. */
    if (weir_waf_node_of(tx, value, 0) == NULL) {
        *is_settled = false;
        return false;
    }
    stays = *value;
    for (uint32_t chain = link->chain; chain != 0 && depth < CHAIN_MAX - 1;
         chain = chains[chain].parent) {
        path[depth++] = chain;
    }
    path[depth] = 0;
    for (unsigned i = depth + 1; i-- > 0 && !tx->is_exhausted;) {
        weir_waf_node *node = weir_waf_node_of(tx, &stays, path[i]);

        if (node != NULL && node != last) {
            weir_waf_matched result = try_text(tx, rule, link, found, node->text, node);

            matched |= (result == WEIR_WAF_MATCH) != link->is_negated;
            *is_settled &= result != WEIR_WAF_LIMIT;
            last = node;
        }
    }
    *is_settled &= !tx->is_exhausted;
    return matched;
}

static bool try_value(weir_waf_transaction *tx, const weir_waf_rule *rule,
                      const weir_waf_link *link, weir_waf_value *value)
{
    const weir_waf_target *target =
        WEIR_ARRAY_AT(&link->targets, weir_waf_target, tx->at.cursor.target);
    weir_waf_find found = {.variable = target->variable, .name = value->name};
    bool is_settled = link->is_of_text && link->group != WEIR_WAF_NONE;
    bool matched;

    if (link->group != WEIR_WAF_NONE && tx->library->is_filtered
        && !weir_waf_said_may_match(tx, value, link)) {
        return false;
    }
    if ((weir_waf_removes_of(tx, target->variable) || weir_waf_removes_of(tx, value->variable))
        && weir_waf_target_is_removed(tx, rule, target->variable, value)) {
        return false;
    }
    if (link->is_multi_match) {
        matched = try_each(tx, rule, link, &found, value, &is_settled);
    } else {
        /* What is neither transformed nor filtered is not made a node of. */
        bool is_plain = link->chain == 0 && !link->is_filtered;
        weir_waf_node *node = is_plain ? NULL : weir_waf_node_of(tx, value, link->chain);
        weir_waf_matched result;

        if (!is_plain && node == NULL) {
            return false;
        }
        result = try_text(tx, rule, link, &found, is_plain ? value->text : node->text, node);
        matched = (result == WEIR_WAF_MATCH) != link->is_negated;
        is_settled &= result != WEIR_WAF_LIMIT;
    }
    if (is_settled && !matched) {
        weir_waf_say_no_match(tx, value, link);
    }
    return matched;
}

/* ---- links */

static rule_result run_number(weir_waf_transaction *tx, const weir_waf_rule *rule,
                              const weir_waf_link *link)
{
    const weir_waf_target *target = link->targets.items;
    const weir_waf_slot_value *slot = &tx->slots[target->slot];
    bool counts = target->kind == WEIR_WAF_TARGET_COUNT;
    int64_t number = counts ? slot->is_set : weir_waf_slot_number(tx, target->slot);
    weir_waf_find found = {.variable = WEIR_WAF_VAR_TX};

    tx->work += 8;
    if ((!counts && !slot->is_set)
        || compare(link->test.comparison, number, test_number(tx, &link->test))
               == link->is_negated) {
        return RULE_FAILED;
    }
    found.name = *WEIR_ARRAY_AT(&tx->library->slot_names, weir_str, target->slot);
    found.value = counts ? weir_waf_number_text(tx, number) : weir_waf_slot_text(tx, target->slot);
    value_matched(tx, rule, link, &found, NULL);
    return RULE_MATCHED;
}

static bool stops_at_first(const weir_waf_transaction *tx, const weir_waf_rule *rule)
{
    weir_waf_disruption disruption = rule->actions.disruption;

    return rule->links.count == 1 && tx->engine == WEIR_WAF_ENGINE_ON
           && (disruption == WEIR_WAF_DENY || disruption == WEIR_WAF_DROP
               || disruption == WEIR_WAF_REDIRECT);
}

/* What the links before have changed is looked at, too.  WAIT: the turn is over. */
static weir_result sieve_link(weir_waf_transaction *tx, const weir_waf_link *link)
{
    if (tx->sieve.is_stale && weir_waf_sieve(tx) == WEIR_WAIT) {
        return WEIR_WAIT;
    }
    return weir_waf_bit_is_set(tx->sieve.is_open, link->group)
               ? weir_waf_sieve_group(tx, link->group)
               : WEIR_OK;
}

static rule_result run_link(weir_waf_transaction *tx, const weir_waf_rule *rule,
                            const weir_waf_link *link)
{
    weir_waf_position *at = &tx->at;
    weir_waf_value *value;

    if (link->is_unconditional) {
        weir_waf_do_effects(tx, link);
        return RULE_MATCHED;
    }
    if (link->is_plain_number && !weir_waf_removes_of(tx, WEIR_WAF_VAR_TX)) {
        return run_number(tx, rule, link);
    }
    if (!at->in_link) {
        if (link->group != WEIR_WAF_NONE && tx->library->is_filtered) {
            if (sieve_link(tx, link) == WEIR_WAIT) {
                return RULE_WAITS;
            }
            if (!weir_waf_bit_is_set(tx->sieve.may_match, link->place)) {
                return RULE_FAILED;
            }
        }
        tx->matched_end = tx->matched.count;
        tx->tx_rest_end = tx->tx_rest.count;
        at->in_link = true;
        at->link_matched = false;
        at->cursor = (weir_waf_cursor){.has_no_exclusions = !link->has_exclusions};
    }
    while (!tx->is_exhausted
           && (value = weir_waf_next_value(tx, &link->targets, &at->cursor)) != NULL) {
        bool matched = try_value(tx, rule, link, value);

        at->link_matched |= matched;
        if (matched && stops_at_first(tx, rule)) {
            break;
        }
        if (weir_waf_turn_is_over(tx)) {
            return RULE_WAITS;
        }
    }
    at->in_link = false;
    return at->link_matched ? RULE_MATCHED : RULE_FAILED;
}

static rule_result run_rule(weir_waf_transaction *tx, const weir_waf_rule *rule)
{
    weir_waf_position *at = &tx->at;

    if (!at->in_rule) {
        at->in_rule = true;
        at->link = 0;
        tx->rule = rule;
        tx->matched.count = 0;
        tx->current = (weir_waf_match){.rule = rule};
    }
    for (; at->link < rule->links.count; at->link++) {
        rule_result result =
            run_link(tx, rule, WEIR_ARRAY_AT(&rule->links, weir_waf_link, at->link));

        if (result == RULE_WAITS) {
            return RULE_WAITS;
        }
        if (result == RULE_FAILED || tx->is_exhausted) {
            at->in_rule = false;
            return RULE_FAILED;
        }
    }
    at->in_rule = false;
    return RULE_MATCHED;
}

/* ---- the end of a rule that has matched */

static void intervene(weir_waf_transaction *tx, const weir_waf_rule *rule,
                      const weir_waf_defaults *says)
{
    unsigned status = rule->actions.status != 0 ? rule->actions.status : says->status;
    weir_waf_intervention *intervention = &tx->intervention;

    intervention->rule_id = rule->id;
    intervention->status = status == 0 ? 403 : status;
    switch (says->disruption) {
    case WEIR_WAF_DENY:
    case WEIR_WAF_BLOCK:
    case WEIR_WAF_PASS:
    case WEIR_WAF_ALLOW:
        intervention->deed = WEIR_WAF_DO_DENY;
        break;
    case WEIR_WAF_DROP:
        intervention->deed = WEIR_WAF_DO_DROP;
        break;
    case WEIR_WAF_REDIRECT:
        intervention->deed = WEIR_WAF_DO_REDIRECT;
        intervention->url = weir_waf_expand(tx, &says->redirect);
        if (status < 301 || status > 308) {
            intervention->status = 302;
        }
        break;
    }
    tx->disrupted_in = tx->at.phase;
}

static void allow(weir_waf_transaction *tx, weir_waf_allow_scope scope)
{
    switch (scope) {
    case WEIR_WAF_ALLOW_ALL:
        tx->allows_all = true;
        break;
    case WEIR_WAF_ALLOW_PHASE:
        tx->allows_phase = tx->at.phase;
        break;
    case WEIR_WAF_ALLOW_REQUEST:
        tx->allows_request = true;
        break;
    }
}

static bool disrupts(weir_waf_disruption disruption)
{
    return disruption == WEIR_WAF_DENY || disruption == WEIR_WAF_DROP
           || disruption == WEIR_WAF_REDIRECT;
}

/* Logs and kept for the verdict; nothing that only does sums is. */
static void note_match(weir_waf_transaction *tx, const weir_waf_rule *rule)
{
    weir_waf_match *match;

    tx->current.is_logged = is_logged(rule);
    tx->current.is_audited = is_audited(rule);
    tx->score_sum += tx->current.score;
    tx->current.sum = tx->score_sum;
    if (!tx->current.is_logged && !tx->current.is_audited && !tx->current.is_disruptive) {
        return;
    }
    tx->current.message = weir_waf_expand(tx, &rule->message);
    tx->current.data = weir_waf_expand(tx, &rule->data);
    match = WEIR_NEW(tx->pool, weir_waf_match);
    if (match == NULL) {
        weir_waf_exhausted(tx, "memory");
        return;
    }
    *match = tx->current;
    if (tx->last_match == NULL) {
        tx->first_match = match;
    } else {
        tx->last_match->next = match;
    }
    tx->last_match = match;
    tx->is_relevant |= match->is_audited;
    if (match->is_logged) {
        weir_waf_report(tx, match);
    }
}

static void rule_matched(weir_waf_transaction *tx, const weir_waf_rule *rule)
{
    const weir_waf_defaults *says = weir_waf_disruption_of(rule);
    bool takes_effect = tx->engine == WEIR_WAF_ENGINE_ON && tx->at.phase != WEIR_WAF_PHASE_LOGGING
                        && tx->disrupted_in == 0;

    if (rule->severity >= 0 && rule->severity < tx->highest_severity) {
        tx->highest_severity = rule->severity;
    }
    if (disrupts(says->disruption)) {
        tx->would_be_blocked = true;
        tx->current.decides = true;
        if (takes_effect) {
            tx->current.is_disruptive = true;
            intervene(tx, rule, says);
        }
    }
    note_match(tx, rule);
    if (says->disruption == WEIR_WAF_ALLOW && tx->engine == WEIR_WAF_ENGINE_ON) {
        allow(tx, says->allow);
    }
}

/* ---- phases */

static bool phase_is_off(const weir_waf_transaction *tx, unsigned phase)
{
    if (tx->engine == WEIR_WAF_ENGINE_OFF) {
        return true;
    }
    if (phase == WEIR_WAF_PHASE_LOGGING) {
        return false;
    }
    return tx->disrupted_in != 0 || tx->is_exhausted || tx->allows_all
           || (tx->allows_request && phase <= WEIR_WAF_PHASE_REQUEST_BODY)
           || tx->allows_phase == phase;
}

static void phase_begin(weir_waf_transaction *tx, unsigned phase)
{
    tx->at = (weir_waf_position){.phase = phase};
    if (phase > WEIR_WAF_PHASE_REQUEST_BODY) {
        tx->gave_up = false; /* of a request that was let by all the same */
    }
    if (phase == WEIR_WAF_PHASE_REQUEST_HEAD) {
        weir_waf_collect_head(tx);
    } else if (phase == WEIR_WAF_PHASE_REQUEST_BODY) {
        weir_waf_collect_body_begin(tx);
    } else if (phase == WEIR_WAF_PHASE_RESPONSE_BODY && tx->has_response_body) {
        (void) weir_waf_set(tx, WEIR_WAF_VAR_RESPONSE_BODY, tx->response_body);
        (void) weir_waf_set_number(tx, WEIR_WAF_VAR_RESPONSE_CONTENT_LENGTH,
                                   (int64_t) tx->response_body.len);
    } else if (phase == WEIR_WAF_PHASE_LOGGING && tx->is_exhausted) {
        /* The rules that report the score are few; they are given some more. */
        tx->is_exhausted = false;
        tx->options.budget.work = tx->work + WEIR_WAF_WORK_PRESET / 100;
        weir_pool_raise(tx->pool, LOGGING_BYTES);
        tx->pool_is_raised = true;
    }
}

/* Most rules end here. */
static bool is_out_of_question(weir_waf_transaction *tx, const weir_waf_question *question)
{
    weir_waf_slot_value *slot;
    int64_t number;

    switch ((weir_waf_ask) question->ask) {
    case WEIR_WAF_ASK_RULE:
        return false;
    case WEIR_WAF_ASK_GROUP:
        return tx->library->is_filtered && !weir_waf_bit_is_set(tx->sieve.is_open, question->group)
               && !weir_waf_bit_is_set(tx->sieve.may_match, question->place);
    case WEIR_WAF_ASK_NUMBER:
        slot = &tx->slots[question->slot];
        if (question->counts) {
            number = slot->is_set;
        } else if (!slot->is_set) {
            return true;
        } else {
            /* A text is read once: some are compared hundreds of times. */
            if (!slot->is_number) {
                slot->number = weir_waf_number_of(slot->text);
                slot->is_number = true;
            }
            number = slot->number;
        }
        return compare((weir_waf_comparison) question->comparison, number, question->number)
               == question->is_negated;
    }
    return false;
}

/* The next rule, from `index` on, that must be run; as many as there are: none. */
static uint32_t next_in_question(weir_waf_transaction *tx, const weir_waf_phase_program *program,
                                 uint32_t index)
{
    uint32_t from = index;

    while (index < program->count && is_out_of_question(tx, &program->questions[index])) {
        index++;
    }
    tx->work += (uint64_t) (index - from) * 4;
    return index;
}

static weir_result run_rules(weir_waf_transaction *tx)
{
    weir_waf_position *at = &tx->at;
    const weir_waf_phase_program *program = &tx->program->phases[at->phase - 1];

    while (at->index < program->count) {
        const weir_waf_rule *rule;

        if (!at->in_rule) {
            if (tx->sieve.is_stale && tx->library->is_filtered && weir_waf_sieve(tx) == WEIR_WAIT) {
                return WEIR_WAIT;
            }
            at->index = next_in_question(tx, program, at->index);
            if (at->index == program->count) {
                break;
            }
        }
        rule = program->rules[at->index];
        if (phase_is_off(tx, at->phase)) {
            return WEIR_OK;
        }
        if (tx->removes_rules && !at->in_rule && weir_waf_is_removed(tx, rule)) {
            at->index++;
            continue;
        }
        switch (run_rule(tx, rule)) {
        case RULE_WAITS:
            return WEIR_WAIT;
        case RULE_FAILED:
            at->index++;
            break;
        case RULE_MATCHED:
            rule_matched(tx, rule);
            at->index = program->jumps[at->index] != 0 ? program->jumps[at->index] : at->index + 1;
            break;
        }
        if (weir_waf_turn_is_over(tx)) {
            return WEIR_WAIT;
        }
    }
    return WEIR_OK;
}

/*
 * What a regex gave up on was not looked at: that is no reason to let the request by, nor the response.  A response may have no phase 4, so
 * it is judged after each; of the request, phase 2 may find out more.
 */
static void judge_given_up(weir_waf_transaction *tx)
{
    bool gave_up = tx->gave_up;

    if (tx->at.phase == WEIR_WAF_PHASE_REQUEST_HEAD) {
        return;
    }
    tx->gave_up = false;
    if (!gave_up || tx->at.phase == WEIR_WAF_PHASE_LOGGING || phase_is_off(tx, tx->at.phase)) {
        return;
    }
    if (tx->engine == WEIR_WAF_ENGINE_ON) {
        weir_waf_exhausted(tx, "steps of a regex");
    } else {
        tx->would_be_blocked = true;
        tx->is_relevant = true;
    }
}

weir_result weir_waf_run_phase(weir_waf_transaction *tx, weir_waf_phase phase)
{
    uint64_t begin_us = weir_clock_monotonic_us();
    weir_result result = WEIR_OK;

    tx->turn_end_us = begin_us + tx->options.budget.turn_us;
    tx->turn_work_end = tx->work + TURN_WORK;
    if (tx->at.phase != phase && !phase_is_off(tx, phase)) {
        phase_begin(tx, phase);
    }
    if (tx->at.phase == phase) {
        if (phase == WEIR_WAF_PHASE_REQUEST_BODY) {
            result = weir_waf_collect_body(tx);
        }
        if (result == WEIR_OK) {
            result = run_rules(tx);
        }
        if (result == WEIR_OK) {
            judge_given_up(tx);
        }
    }
    tx->spent_us += weir_clock_monotonic_us() - begin_us;
    return result;
}
