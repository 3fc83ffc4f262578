#include <time.h>

#include "core/base/clock.h"
#include "modules/waf/transaction_internal.h"

/* Which values a rule looks at, and in which order. */

bool weir_waf_target_fits(weir_waf_transaction *tx, const weir_waf_target *target, weir_str name)
{
    if (target->selector.len == 0) {
        return true;
    }
    if (target->prefix.len != 0) {
        return weir_str_starts_nocase(name, target->prefix);
    }
    if (target->pattern != NULL) {
        tx->work += 64 + name.len * 2;
        return weir_waf_pattern_matches(tx->worker->matcher, target->pattern, name);
    }
    return weir_str_eq_nocase(target->selector, name);
}

static weir_waf_value *made_up(weir_waf_transaction *tx, weir_waf_variable variable, weir_str name,
                               weir_str text)
{
    tx->scratch = (weir_waf_value){.name = name, .text = text, .variable = variable};
    return &tx->scratch;
}

/* ---- computed scalars */

static weir_str time_text(weir_waf_transaction *tx, const char *format)
{
    time_t now = weir_clock_now()->wall_s;
    char buffer[64];
    struct tm local;
    weir_str text;
    size_t len;

    (void) localtime_r(&now, &local);
    len = strftime(buffer, sizeof(buffer), format, &local);
    return weir_str_copy(tx->pool, weir_str_of(buffer, len), &text) ? text : WEIR_STR_EMPTY;
}

static weir_str compute(weir_waf_transaction *tx, weir_waf_variable variable)
{
    switch ((int) variable) {
    case WEIR_WAF_VAR_DURATION:
        return weir_waf_number_text(
            tx, (int64_t) ((weir_clock_monotonic_us() - tx->started_us) / 1000));
    case WEIR_WAF_VAR_HIGHEST_SEVERITY:
        return weir_waf_number_text(tx, tx->highest_severity);
    case WEIR_WAF_VAR_MSC_PCRE_ERROR:
    case WEIR_WAF_VAR_MSC_PCRE_LIMITS_EXCEEDED:
        return tx->pcre_limit_was_hit ? WEIR_STR("1") : WEIR_STR("0");
    case WEIR_WAF_VAR_TIME:
        return time_text(tx, "%H:%M:%S");
    case WEIR_WAF_VAR_TIME_DAY:
        return time_text(tx, "%d");
    case WEIR_WAF_VAR_TIME_EPOCH:
        return weir_waf_number_text(tx, weir_clock_now()->wall_s);
    case WEIR_WAF_VAR_TIME_HOUR:
        return time_text(tx, "%H");
    case WEIR_WAF_VAR_TIME_MIN:
        return time_text(tx, "%M");
    case WEIR_WAF_VAR_TIME_MON:
        return time_text(tx, "%m");
    case WEIR_WAF_VAR_TIME_SEC:
        return time_text(tx, "%S");
    case WEIR_WAF_VAR_TIME_WDAY:
        return time_text(tx, "%w");
    case WEIR_WAF_VAR_TIME_YEAR:
        return time_text(tx, "%Y");
    default:
        return WEIR_STR_EMPTY;
    }
}

/* RULE:id and so on, of the rule that runs. */
static bool rule_member(weir_waf_transaction *tx, unsigned place, weir_str *name, weir_str *text)
{
    const weir_waf_rule *rule = tx->rule;

    if (rule == NULL) {
        return false;
    }
    switch (place) {
    case 0:
        *name = WEIR_STR("id");
        *text = weir_waf_number_text(tx, (int64_t) rule->id);
        return true;
    case 1:
        *name = WEIR_STR("rev");
        *text = rule->revision;
        return true;
    case 2:
        *name = WEIR_STR("severity");
        *text = weir_waf_number_text(tx, rule->severity < 0 ? 0 : rule->severity);
        return true;
    case 3:
        *name = WEIR_STR("logdata");
        *text = rule->data.text;
        return true;
    case 4:
        *name = WEIR_STR("msg");
        *text = rule->message.text;
        return true;
    default:
        return false;
    }
}

/* ---- one kind of source each; a cursor's `part` and `index` say how far it is */

static weir_waf_value *next_until(weir_waf_transaction *tx, const weir_waf_target *target,
                                  weir_waf_values *values, uint32_t end, weir_waf_cursor *cursor)
{
    while (cursor->index < values->count && cursor->index < end) {
        weir_waf_value *value = &values->items[cursor->index++];

        if (weir_waf_target_fits(tx, target, value->name)) {
            return value;
        }
    }
    return NULL;
}

static weir_waf_value *next_of_list(weir_waf_transaction *tx, const weir_waf_target *target,
                                    weir_waf_values *values, weir_waf_cursor *cursor)
{
    return next_until(tx, target, values, UINT32_MAX, cursor);
}

static weir_waf_value *next_of_both(weir_waf_transaction *tx, const weir_waf_target *target,
                                    weir_waf_cursor *cursor)
{
    bool is_names = target->variable == WEIR_WAF_VAR_ARGS_NAMES;
    weir_waf_value *value;

    if (cursor->part == 0) {
        value = next_of_list(
            tx, target, &tx->values[is_names ? WEIR_WAF_VAR_ARGS_GET_NAMES : WEIR_WAF_VAR_ARGS_GET],
            cursor);
        if (value != NULL) {
            return value;
        }
        cursor->part = 1;
        cursor->index = 0;
    }
    return next_of_list(
        tx, target, &tx->values[is_names ? WEIR_WAF_VAR_ARGS_POST_NAMES : WEIR_WAF_VAR_ARGS_POST],
        cursor);
}

static weir_waf_value *slot_value(weir_waf_transaction *tx, uint32_t slot)
{
    weir_str name = *WEIR_ARRAY_AT(&tx->library->slot_names, weir_str, slot);
    weir_waf_value *value = made_up(tx, WEIR_WAF_VAR_TX, name, weir_waf_slot_text(tx, slot));

    value->node = tx->slots[slot].node;
    return value;
}

/* The next slot from `slot` on whose name fits; as many as there are: none. */
static uint32_t next_fitting(weir_waf_transaction *tx, const weir_waf_target *target, uint32_t slot)
{
    uint32_t count = (uint32_t) tx->library->slot_names.count;

    if (target->slots == NULL) {
        while (slot < count
               && !weir_waf_target_fits(tx, target,
                                        *WEIR_ARRAY_AT(&tx->library->slot_names, weir_str, slot))) {
            slot++;
        }
        return slot;
    }
    while (slot < count) {
        uint64_t left = target->slots[slot / 64] >> slot % 64;

        if (left != 0) {
            return slot + (uint32_t) __builtin_ctzll(left);
        }
        slot = (slot / 64 + 1) * 64;
    }
    return count;
}

static weir_waf_value *next_of_tx(weir_waf_transaction *tx, const weir_waf_target *target,
                                  weir_waf_cursor *cursor)
{
    if (cursor->part == 0 && target->slot != WEIR_WAF_NONE) {
        cursor->part = 2;
        return tx->slots[target->slot].is_set ? slot_value(tx, target->slot) : NULL;
    }
    if (cursor->part == 0) {
        while ((cursor->index = next_fitting(tx, target, cursor->index))
               < tx->library->slot_names.count) {
            uint32_t slot = cursor->index++;

            if (tx->slots[slot].is_set) {
                return slot_value(tx, slot);
            }
        }
        cursor->part = 1;
        cursor->index = 0;
    }
    return cursor->part == 1 ? next_until(tx, target, &tx->tx_rest, tx->tx_rest_end, cursor) : NULL;
}

static weir_waf_value *once(weir_waf_transaction *tx, const weir_waf_target *target,
                            weir_waf_cursor *cursor, weir_str text)
{
    return cursor->index++ == 0 ? made_up(tx, target->variable, WEIR_STR_EMPTY, text) : NULL;
}

static weir_waf_value *next_of_live(weir_waf_transaction *tx, const weir_waf_target *target,
                                    weir_waf_cursor *cursor)
{
    weir_str name, text;

    switch ((int) target->variable) {
    case WEIR_WAF_VAR_MATCHED_VAR:
        return tx->found.link == NULL ? NULL : once(tx, target, cursor, tx->found.value);
    case WEIR_WAF_VAR_MATCHED_VAR_NAME:
        return tx->found.link == NULL
                   ? NULL
                   : once(tx, target, cursor, weir_waf_find_name(tx, &tx->found));
    case WEIR_WAF_VAR_MATCHED_VARS:
        return next_until(tx, target, &tx->matched, tx->matched_end, cursor);
    case WEIR_WAF_VAR_MATCHED_VARS_NAMES:
        if (cursor->index >= tx->matched.count || cursor->index >= tx->matched_end) {
            return NULL;
        }
        {
            const weir_waf_value *matched = &tx->matched.items[cursor->index++];
            weir_waf_find find = {.variable = matched->variable, .name = matched->name};

            name = weir_waf_find_name(tx, &find);
        }
        return made_up(tx, target->variable, name, name);
    case WEIR_WAF_VAR_ENV:
        return next_of_list(tx, target, &tx->env, cursor);
    case WEIR_WAF_VAR_RULE:
        while (rule_member(tx, cursor->index++, &name, &text)) {
            if (weir_waf_target_fits(tx, target, name)) {
                return made_up(tx, WEIR_WAF_VAR_RULE, name, text);
            }
        }
        return NULL;
    case WEIR_WAF_VAR_SESSIONID:
        return tx->session_id.len == 0 ? NULL : once(tx, target, cursor, tx->session_id);
    case WEIR_WAF_VAR_USERID:
        return tx->user_id.len == 0 ? NULL : once(tx, target, cursor, tx->user_id);
    default:
        return NULL;
    }
}

static weir_waf_value *next_of_target(weir_waf_transaction *tx, const weir_waf_target *target,
                                      weir_waf_cursor *cursor)
{
    weir_waf_values *values = &tx->values[target->variable];

    switch (weir_waf_variable_source_of(target->variable)) {
    case WEIR_WAF_SOURCE_STORED:
    case WEIR_WAF_SOURCE_KEPT:
        return next_of_list(tx, target, values, cursor);
    case WEIR_WAF_SOURCE_BOTH:
        return next_of_both(tx, target, cursor);
    case WEIR_WAF_SOURCE_COMPUTED:
        return cursor->index == 0 ? once(tx, target, cursor, compute(tx, target->variable)) : NULL;
    case WEIR_WAF_SOURCE_LIVE:
        return next_of_live(tx, target, cursor);
    case WEIR_WAF_SOURCE_TX:
        return next_of_tx(tx, target, cursor);
    }
    return NULL;
}

/* ARGS_GET's values are those of ARGS, when that is what the rule names. */
static bool is_excluded(weir_waf_transaction *tx, const weir_array *targets,
                        weir_waf_variable named, const weir_waf_value *value)
{
    for (WEIR_ARRAY_EACH(targets, const weir_waf_target, target)) {
        if (target->kind == WEIR_WAF_TARGET_EXCLUDE && target->variable == named
            && weir_waf_target_fits(tx, target, value->name)) {
            return true;
        }
    }
    return false;
}

static weir_waf_value *count(weir_waf_transaction *tx, const weir_array *targets,
                             const weir_waf_target *target)
{
    weir_waf_cursor cursor = {.target = 0};
    const weir_waf_value *value;
    int64_t number = 0;

    while ((value = next_of_target(tx, target, &cursor)) != NULL) {
        number += !is_excluded(tx, targets, target->variable, value);
    }
    return made_up(tx, target->variable, target->selector, weir_waf_number_text(tx, number));
}

weir_waf_value *weir_waf_next_value(weir_waf_transaction *tx, const weir_array *targets,
                                    weir_waf_cursor *cursor)
{
    for (; cursor->target < targets->count; cursor->target++) {
        const weir_waf_target *target = WEIR_ARRAY_AT(targets, weir_waf_target, cursor->target);
        weir_waf_value *value = NULL;

        if (target->kind == WEIR_WAF_TARGET_COUNT && !cursor->counted) {
            cursor->counted = true;
            return count(tx, targets, target);
        }
        if (target->kind == WEIR_WAF_TARGET_VALUES) {
            do {
                value = next_of_target(tx, target, cursor);
            } while (value != NULL && !cursor->has_no_exclusions
                     && is_excluded(tx, targets, target->variable, value));
        }
        if (value != NULL) {
            return value;
        }
        cursor->part = 0;
        cursor->index = 0;
        cursor->counted = false;
    }
    return NULL;
}

weir_str weir_waf_find_name(weir_waf_transaction *tx, const weir_waf_find *find)
{
    weir_str variable = weir_waf_variable_name(find->variable);
    weir_builder builder;
    weir_str text;

    if (find->name.len == 0) {
        return variable;
    }
    weir_builder_open(&builder, tx->pool, SIZE_MAX);
    weir_builder_add(&builder, variable);
    weir_builder_add_byte(&builder, ':');
    weir_builder_add(&builder, find->name);
    if (!weir_builder_close(&builder, &text)) {
        weir_waf_exhausted(tx, "memory");
        return variable;
    }
    return text;
}

/* ---- macros */

/* The value of a variable, or of one of its members, in a macro; empty if there is none. */
static weir_str reference(weir_waf_transaction *tx, const weir_waf_macro_part *part)
{
    weir_waf_target target = {
        .kind = WEIR_WAF_TARGET_VALUES,
        .variable = part->variable,
        .selector = part->selector,
        .slot = part->slot,
    };
    weir_waf_cursor cursor = {.target = 0};
    weir_waf_value kept = tx->scratch;
    const weir_waf_value *value;
    weir_str text;

    if (part->slot != WEIR_WAF_NONE) {
        return tx->slots[part->slot].is_set ? weir_waf_slot_text(tx, part->slot) : WEIR_STR_EMPTY;
    }
    value = next_of_target(tx, &target, &cursor);
    text = value == NULL ? WEIR_STR_EMPTY : value->text;
    tx->scratch = kept;
    return text;
}

weir_str weir_waf_expand(weir_waf_transaction *tx, const weir_waf_macro *macro)
{
    weir_builder builder;
    weir_str text;

    if (macro->is_constant) {
        return macro->text;
    }
    if (macro->count == 1) {
        return reference(tx, macro->parts);
    }
    weir_builder_open(&builder, tx->pool, 1024 * 1024);
    for (unsigned i = 0; i < macro->count; i++) {
        const weir_waf_macro_part *part = &macro->parts[i];

        weir_builder_add(&builder, part->is_variable ? reference(tx, part) : part->literal);
    }
    if (!weir_builder_close(&builder, &text)) {
        weir_waf_exhausted(tx, "memory");
        return WEIR_STR_EMPTY;
    }
    tx->work += text.len;
    return text;
}
