#include "modules/waf/program_internal.h"

/* SecRule, SecAction and SecDefaultAction: from words to rules. */

static bool no_memory(weir_waf_reader *reader)
{
    return weir_waf_refuse(reader, NULL, "no memory for the rules");
}

static void link_init(weir_waf_reader *reader, weir_waf_link *link)
{
    weir_array_init(&link->targets, reader->pool, sizeof(weir_waf_target), 4);
    weir_array_init(&link->list, reader->pool, sizeof(const weir_waf_transform *), 4);
    weir_array_init(&link->effects, reader->pool, sizeof(weir_waf_effect), 2);
    link->group = WEIR_WAF_NONE;
    link->place = WEIR_WAF_NONE;
}

static weir_waf_rule *rule_new(weir_waf_reader *reader)
{
    weir_waf_rule *rule = WEIR_NEW(reader->pool, weir_waf_rule);

    if (rule == NULL) {
        (void) no_memory(reader);
        return NULL;
    }
    weir_array_init(&rule->links, reader->pool, sizeof(weir_waf_link), 1);
    weir_array_init(&rule->tags, reader->pool, sizeof(weir_waf_macro), 8);
    rule->phase = 2;
    rule->severity = -1;
    rule->file = reader->statement->source->name;
    rule->line = reader->statement->line;
    return rule;
}

/* What a head says after its actions were read: all of a rule that is not in its links. */
static bool head_is_complete(weir_waf_reader *reader, weir_waf_rule *rule, const char *at)
{
    if (rule->id == 0) {
        return weir_waf_refuse(reader, at, "the rule has no id");
    }
    for (WEIR_ARRAY_EACH(&reader->program->entries, const weir_waf_entry, entry)) {
        if (entry->rule != NULL && entry->rule->id == rule->id) {
            return weir_waf_refuse(reader, at, "the rule id %llu is taken by %.*s:%u",
                                   (unsigned long long) rule->id, WEIR_STR_ARG(entry->rule->file),
                                   entry->rule->line);
        }
    }
    rule->inherited = reader->program->defaults[rule->phase - 1];
    return true;
}

const weir_waf_defaults *weir_waf_disruption_of(const weir_waf_rule *rule)
{
    static const weir_waf_defaults none = {.disruption = WEIR_WAF_PASS};

    if (rule->actions.says_disruption && rule->actions.disruption != WEIR_WAF_BLOCK) {
        return &rule->actions;
    }
    return rule->inherited == NULL ? &none : rule->inherited;
}

/* t: of SecDefaultAction come first, unless t:none was said. */
static bool inherit_list(weir_waf_reader *reader, const weir_waf_rule *rule, weir_waf_link *link)
{
    const weir_waf_defaults *defaults = rule->inherited;
    weir_array own = link->list;

    if (link->has_own_list || defaults == NULL || defaults->list.count == 0) {
        return true;
    }
    weir_array_init(&link->list, reader->pool, sizeof(const weir_waf_transform *), 4);
    for (unsigned pass = 0; pass < 2; pass++) {
        const weir_array *from = pass == 0 ? &defaults->list : &own;

        for (WEIR_ARRAY_EACH(from, const weir_waf_transform *const, step)) {
            const weir_waf_transform **added = weir_array_push(&link->list);

            if (added == NULL) {
                return no_memory(reader);
            }
            *added = *step;
        }
    }
    return true;
}

static bool add_entry(weir_waf_reader *reader, weir_waf_entry entry)
{
    weir_waf_entry *added = weir_array_push(&reader->program->entries);

    if (added == NULL) {
        return no_memory(reader);
    }
    *added = entry;
    return true;
}

/*
 * A link may not decide anything, as the head does that for the whole chain: what it says of phase and
 * disruption is its head's business.
 */
static bool read_link_actions(weir_waf_reader *reader, weir_waf_rule *rule, weir_str text,
                              weir_waf_link *link)
{
    weir_waf_rule scratch = *rule;
    bool is_head = rule->links.count == 1;

    if (is_head) {
        return weir_waf_read_actions(reader, text, rule, link);
    }
    weir_array_init(&scratch.tags, reader->pool, sizeof(weir_waf_macro), 1);
    scratch.says_phase = false;
    scratch.actions = (weir_waf_defaults){.status = 0};
    scratch.skip_after = WEIR_STR_EMPTY;
    scratch.skip = 0;
    if (!weir_waf_read_actions(reader, text, &scratch, link)) {
        return false;
    }
    if (scratch.id != rule->id) {
        return weir_waf_refuse(reader, text.data, "only the first rule of a chain has an id");
    }
    if (scratch.says_phase && scratch.phase != rule->phase) {
        return weir_waf_refuse(reader, text.data,
                               "only the first rule of a chain says which phase it runs in");
    }
    if (scratch.actions.says_disruption && scratch.actions.disruption != WEIR_WAF_PASS
        && scratch.actions.disruption != WEIR_WAF_BLOCK) {
        return weir_waf_refuse(reader, text.data,
                               "only the first rule of a chain may have a disruptive action");
    }
    if (scratch.skip_after.len != 0 || scratch.skip != 0) {
        rule->skip_after = scratch.skip_after;
        rule->skip = scratch.skip;
    }
    rule->message = scratch.message;
    rule->data = scratch.data;
    rule->severity = scratch.severity;
    rule->expects_link = scratch.expects_link;
    return true;
}

/* `targets` and `operator` are NULL for SecAction. */
static bool read_rule(weir_waf_reader *reader, const weir_str *targets, const weir_str *operator,
                      weir_str actions)
{
    weir_waf_rule *rule = reader->open;
    bool is_head = rule == NULL;
    weir_waf_link *link;

    if (is_head) {
        reader->rule_id = 0;
        rule = rule_new(reader);
        if (rule == NULL) {
            return false;
        }
    } else {
        reader->rule_id = rule->id;
    }
    link = weir_array_push(&rule->links);
    if (link == NULL) {
        return no_memory(reader);
    }
    link_init(reader, link);
    link->is_unconditional = targets == NULL;

    /* The actions come first: a message about the rest is to name the rule. */
    if (!read_link_actions(reader, rule, actions, link)) {
        return false;
    }
    if (targets != NULL
        && (!weir_waf_read_targets(reader, *targets, &link->targets)
            || !weir_waf_read_test(reader, *operator, link))) {
        return false;
    }
    if (is_head
        && (!head_is_complete(reader, rule, reader->statement->words[0].data)
            || !add_entry(reader, (weir_waf_entry){.rule = rule}))) {
        return false;
    }
    reader->open = rule->expects_link ? rule : NULL;
    return inherit_list(reader, rule, link)
           && (weir_waf_chain_of(reader->library, &link->list, &link->chain) || no_memory(reader));
}

bool weir_waf_read_rule(weir_waf_reader *reader, const weir_waf_statement *statement)
{
    weir_str actions = statement->count > 3 ? statement->words[3] : WEIR_STR_EMPTY;

    return read_rule(reader, &statement->words[1], &statement->words[2], actions);
}

bool weir_waf_read_action_rule(weir_waf_reader *reader, const weir_waf_statement *statement)
{
    return read_rule(reader, NULL, NULL, statement->words[1]);
}

bool weir_waf_read_default_action(weir_waf_reader *reader, const weir_waf_statement *statement)
{
    weir_waf_rule *rule = rule_new(reader);
    weir_waf_link link = {.is_unconditional = true};
    weir_waf_defaults *defaults;

    if (rule == NULL) {
        return false;
    }
    link_init(reader, &link);
    if (!weir_waf_read_actions(reader, statement->words[1], rule, &link)) {
        return false;
    }
    if (rule->id != 0 || rule->expects_link || link.effects.count != 0 || rule->skip != 0
        || rule->skip_after.len != 0) {
        return weir_waf_refuse(reader, statement->words[1].data,
                               "SecDefaultAction takes phase, log actions, transformations and one "
                               "disruptive action");
    }
    if (!rule->actions.says_disruption || rule->actions.disruption == WEIR_WAF_BLOCK) {
        return weir_waf_refuse(
            reader, statement->words[1].data,
            "SecDefaultAction must say a disruptive action other than \"block\"");
    }
    defaults = WEIR_NEW(reader->pool, weir_waf_defaults);
    if (defaults == NULL) {
        return no_memory(reader);
    }
    *defaults = rule->actions;
    defaults->list = link.list;
    reader->program->defaults[rule->phase - 1] = defaults;
    return true;
}
