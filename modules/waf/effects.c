#include "core/base/number.h"
#include "modules/waf/transaction_internal.h"

/* What actions do that disrupt nothing: setvar, ctl, setenv ... */

/* ---- slots of TX */

weir_waf_slot_value *weir_waf_slot_set(weir_waf_transaction *tx, uint32_t slot, weir_str text)
{
    weir_waf_slot_value *value = &tx->slots[slot];

    *value = (weir_waf_slot_value){.text = text, .is_set = true};
    if (text.data == NULL) {
        value->text = WEIR_STR_EMPTY;
    }
    return value;
}

void weir_waf_slot_set_number(weir_waf_transaction *tx, uint32_t slot, int64_t number)
{
    tx->slots[slot] = (weir_waf_slot_value){.number = number, .is_set = true, .is_number = true};
}

void weir_waf_slot_unset(weir_waf_transaction *tx, uint32_t slot)
{
    tx->slots[slot].is_set = false;
}

weir_str weir_waf_slot_text(weir_waf_transaction *tx, uint32_t slot)
{
    weir_waf_slot_value *value = &tx->slots[slot];

    if (value->text.data == NULL) {
        value->text = weir_waf_number_text(tx, value->number);
    }
    return value->text;
}

int64_t weir_waf_slot_number(const weir_waf_transaction *tx, uint32_t slot)
{
    const weir_waf_slot_value *value = &tx->slots[slot];

    if (!value->is_set) {
        return 0;
    }
    return value->is_number ? value->number : weir_waf_number_of(value->text);
}

/* ---- setvar */

static int64_t changed(int64_t number, weir_waf_assignment assignment, int64_t by)
{
    int64_t result;
    bool overflows = assignment == WEIR_WAF_ADD ? __builtin_add_overflow(number, by, &result)
                                                : __builtin_sub_overflow(number, by, &result);

    return overflows ? number : result;
}

static bool is_score(weir_str name)
{
    return weir_str_find(name, WEIR_STR("anomaly_score")) != NULL;
}

/* tx.blocking_anomaly_score=+%{tx.anomaly_score_pl1}: what rules have added is added up once more. */
static bool is_sum(const weir_waf_transaction *tx, const weir_waf_effect *effect)
{
    const weir_waf_macro *value = &effect->value;

    return value->count == 1 && value->parts[0].slot != WEIR_WAF_NONE
           && weir_str_find(
                  *WEIR_ARRAY_AT(&tx->library->slot_names, weir_str, value->parts[0].slot),
                  WEIR_STR("anomaly_score_pl"))
                  != NULL;
}

/* For the verdict: what this rule adds to the request's score, whatever its paranoia level. */
static void note_score(weir_waf_transaction *tx, const weir_waf_effect *effect, uint32_t slot,
                       int64_t by)
{
    if (effect->assignment == WEIR_WAF_ADD && by > 0
        && is_score(*WEIR_ARRAY_AT(&tx->library->slot_names, weir_str, slot))
        && !is_sum(tx, effect)) {
        tx->current.score += by;
    }
}

/* Names may be as many as arguments, long and equal but for their ends: they are compared where their hashes are equal. */
static weir_waf_value *find_value(weir_waf_transaction *tx, weir_waf_values *values, weir_str name,
                                  uint64_t hash)
{
    tx->work += name.len + values->count;
    for (uint32_t i = 0; i < values->count; i++) {
        if (values->items[i].name_hash != hash) {
            continue;
        }
        tx->work += name.len;
        if (weir_str_eq_nocase(values->items[i].name, name)) {
            return &values->items[i];
        }
    }
    return NULL;
}

static void drop_value(weir_waf_values *values, const weir_waf_value *value)
{
    uint32_t place = (uint32_t) (value - values->items);

    memmove(&values->items[place], &values->items[place + 1],
            (values->count - place - 1) * sizeof(weir_waf_value));
    values->count--;
}

/* A TX name that is made up while rules run, and that no rule names as it is. */
static void set_by_name(weir_waf_transaction *tx, weir_waf_values *values, weir_str name,
                        const weir_waf_effect *effect, weir_str text)
{
    uint64_t hash = weir_str_hash_nocase(name);
    weir_waf_value *value = find_value(tx, values, name, hash);

    if (effect->assignment == WEIR_WAF_UNSET) {
        if (value != NULL) {
            drop_value(values, value);
        }
        return;
    }
    if (effect->assignment != WEIR_WAF_ASSIGN) {
        int64_t before = value == NULL ? 0 : weir_waf_number_of(value->text);

        text =
            weir_waf_number_text(tx, changed(before, effect->assignment, weir_waf_number_of(text)));
    }
    if (value != NULL) {
        value->text = text;
        value->node = NULL;
        return;
    }
    (void) weir_waf_push(
        tx, values,
        (weir_waf_value){
            .name = name, .text = text, .variable = effect->variable, .name_hash = hash});
}

static void set_slot(weir_waf_transaction *tx, const weir_waf_effect *effect, uint32_t slot)
{
    int64_t by = effect->number;

    if (effect->assignment == WEIR_WAF_UNSET) {
        weir_waf_slot_unset(tx, slot);
        return;
    }
    if (effect->assignment == WEIR_WAF_ASSIGN) {
        if (effect->is_number) {
            tx->slots[slot] = (weir_waf_slot_value){
                .text = effect->value.text,
                .number = effect->number,
                .is_set = true,
                .is_number = true,
            };
        } else {
            (void) weir_waf_slot_set(tx, slot, weir_waf_expand(tx, &effect->value));
        }
        return;
    }
    if (!effect->is_number) {
        by = effect->value.count == 1 && effect->value.parts[0].slot != WEIR_WAF_NONE
                 ? weir_waf_slot_number(tx, effect->value.parts[0].slot)
                 : weir_waf_number_of(weir_waf_expand(tx, &effect->value));
    }
    weir_waf_slot_set_number(tx, slot,
                             changed(weir_waf_slot_number(tx, slot), effect->assignment, by));
    note_score(tx, effect, slot, by);
}

static void do_setvar(weir_waf_transaction *tx, const weir_waf_effect *effect)
{
    weir_str name, text;
    uintptr_t slot;

    if (effect->slot != WEIR_WAF_NONE) {
        set_slot(tx, effect, effect->slot);
        return;
    }
    name = weir_waf_expand(tx, &effect->name);
    if (effect->variable == WEIR_WAF_VAR_TX) {
        slot = (uintptr_t) weir_map_find(tx->library->slots, name);
        if (slot != 0) {
            set_slot(tx, effect, (uint32_t) slot - 1);
            return;
        }
        text = weir_waf_expand(tx, &effect->value);
        set_by_name(tx, &tx->tx_rest, name, effect, text);
        return;
    }
    weir_waf_kept_set(tx, effect, name, weir_waf_expand(tx, &effect->value));
}

static void do_setenv(weir_waf_transaction *tx, const weir_waf_effect *effect)
{
    weir_waf_effect as = {.assignment = WEIR_WAF_ASSIGN, .variable = WEIR_WAF_VAR_ENV};

    set_by_name(tx, &tx->env, weir_waf_expand(tx, &effect->name), &as,
                weir_waf_expand(tx, &effect->value));
}

/* ---- ctl */

static const weir_str processors[] = {
    WEIR_STR_INIT("URLENCODED"),
    WEIR_STR_INIT("MULTIPART"),
    WEIR_STR_INIT("XML"),
    WEIR_STR_INIT("JSON"),
};

static void add_removal(weir_waf_transaction *tx, const weir_waf_effect *effect,
                        weir_waf_amend_by by, bool of_target)
{
    weir_waf_removal *removal;

    /* Once is enough: a rule may say it for each value that it matches. */
    for (WEIR_ARRAY_EACH(&tx->removals, const weir_waf_removal, there)) {
        if (there->rules == &effect->rules) {
            return;
        }
    }
    removal = weir_array_push(&tx->removals);
    if (removal == NULL) {
        weir_waf_exhausted(tx, "memory");
        return;
    }
    removal->by = by;
    removal->rules = &effect->rules;
    removal->target = of_target ? &effect->target : NULL;
    tx->removes_rules |= !of_target;
    if (of_target) {
        weir_waf_variable variable = effect->target.variable;

        tx->removed_of[variable / 64] |= (uint64_t) 1 << variable % 64;
    }
}

static void do_ctl(weir_waf_transaction *tx, const weir_waf_effect *effect)
{
    switch ((int) effect->kind) {
    case WEIR_WAF_CTL_ENGINE:
        tx->engine = (weir_waf_engine_mode) effect->choice;
        if (tx->options.only_detects && tx->engine == WEIR_WAF_ENGINE_ON) {
            tx->engine = WEIR_WAF_ENGINE_DETECTION;
        }
        break;
    case WEIR_WAF_CTL_AUDIT_ENGINE:
        tx->audit_mode = (weir_waf_audit_mode) effect->choice;
        break;
    case WEIR_WAF_CTL_AUDIT_PARTS:
        weir_waf_change_parts(tx, weir_waf_expand(tx, &effect->value));
        break;
    case WEIR_WAF_CTL_FORCE_BODY:
        tx->force_body = effect->choice != 0;
        break;
    case WEIR_WAF_CTL_REQUEST_BODY_ACCESS:
        tx->request_body_access = effect->choice != 0;
        break;
    case WEIR_WAF_CTL_RESPONSE_BODY_ACCESS:
        tx->response_body_access = effect->choice != 0;
        break;
    case WEIR_WAF_CTL_BODY_PROCESSOR:
        if (tx->at.phase == WEIR_WAF_PHASE_REQUEST_HEAD) {
            (void) weir_waf_set(tx, WEIR_WAF_VAR_REQBODY_PROCESSOR, processors[effect->choice]);
        }
        break;
    case WEIR_WAF_CTL_XML_ARGUMENTS:
        tx->xml_arguments = (weir_waf_xml_arguments) effect->choice;
        break;
    case WEIR_WAF_CTL_REMOVE_ID:
        add_removal(tx, effect, WEIR_WAF_BY_ID, false);
        break;
    case WEIR_WAF_CTL_REMOVE_TAG:
        add_removal(tx, effect, WEIR_WAF_BY_TAG, false);
        break;
    case WEIR_WAF_CTL_REMOVE_MSG:
        add_removal(tx, effect, WEIR_WAF_BY_MSG, false);
        break;
    case WEIR_WAF_CTL_REMOVE_TARGET_ID:
        add_removal(tx, effect, WEIR_WAF_BY_ID, true);
        break;
    case WEIR_WAF_CTL_REMOVE_TARGET_TAG:
        add_removal(tx, effect, WEIR_WAF_BY_TAG, true);
        break;
    case WEIR_WAF_CTL_REMOVE_TARGET_MSG:
        add_removal(tx, effect, WEIR_WAF_BY_MSG, true);
        break;
    default:
        break;
    }
}

bool weir_waf_is_removed(weir_waf_transaction *tx, const weir_waf_rule *rule)
{
    for (WEIR_ARRAY_EACH(&tx->removals, const weir_waf_removal, removal)) {
        if (removal->target == NULL
            && weir_waf_rule_is_chosen(tx->worker->matcher, rule, removal->by, removal->rules)) {
            return true;
        }
    }
    return false;
}

bool weir_waf_target_is_removed(weir_waf_transaction *tx, const weir_waf_rule *rule,
                                weir_waf_variable named, const weir_waf_value *value)
{
    for (WEIR_ARRAY_EACH(&tx->removals, const weir_waf_removal, removal)) {
        if (removal->target != NULL
            && (removal->target->variable == named || removal->target->variable == value->variable)
            && weir_waf_target_fits(tx, removal->target, value->name)
            && weir_waf_rule_is_chosen(tx->worker->matcher, rule, removal->by, removal->rules)) {
            return true;
        }
    }
    return false;
}

void weir_waf_do_effects(weir_waf_transaction *tx, const weir_waf_link *link)
{
    for (WEIR_ARRAY_EACH(&link->effects, const weir_waf_effect, effect)) {
        tx->work += 16;
        switch (effect->kind) {
        case WEIR_WAF_SETVAR:
            do_setvar(tx, effect);
            break;
        case WEIR_WAF_SETENV:
            do_setenv(tx, effect);
            break;
        case WEIR_WAF_INITCOL:
            weir_waf_kept_open(tx, effect->variable, weir_waf_expand(tx, &effect->value));
            break;
        case WEIR_WAF_SETID:
            weir_waf_kept_open_id(tx, effect->variable, weir_waf_expand(tx, &effect->value));
            break;
        case WEIR_WAF_EXPIREVAR:
        case WEIR_WAF_DEPRECATEVAR:
            weir_waf_kept_age(tx, effect, weir_waf_expand(tx, &effect->name));
            break;
        default:
            do_ctl(tx, effect);
            break;
        }
    }
}
