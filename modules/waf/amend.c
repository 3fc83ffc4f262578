#include "core/base/number.h"
#include "modules/waf/program_internal.h"

/*
 * SecRuleRemoveBy…, SecRuleUpdateTargetBy… and SecRuleUpdateActionById.
 *
 * They are done once all rules of the program were read, whatever the order in which they stand.  Rules are shared
 * with the program of the outer level, so one that changes is copied.
 */

typedef struct {
    weir_waf_amend_kind kind;
    weir_waf_amend_by by;
    weir_waf_rule_choice choice;
    unsigned link; /* "id:2": of the chain */
    weir_str text; /* targets, actions */
    weir_str replaced;
    weir_waf_statement statement; /* for messages */
} amendment;

static bool no_memory(weir_waf_reader *reader)
{
    return weir_waf_refuse(reader, NULL, "no memory for the rules");
}

/* Several ids may stand in one word or in many. */
static bool read_choice(weir_waf_reader *reader, const weir_waf_statement *statement, unsigned last,
                        amendment *amend)
{
    weir_str which = statement->words[1];
    weir_builder joined;

    if (amend->by != WEIR_WAF_BY_ID) {
        amend->choice.pattern = weir_waf_read_pattern(reader, which, false);
        return amend->choice.pattern != NULL;
    }
    if (last == 1) {
        const char *colon = weir_str_find_byte(which, ':');
        uint64_t link;

        if (colon != NULL) {
            if (!weir_parse_uint(weir_str_from(which, (size_t) (colon - which.data) + 1), 1000,
                                 &link)) {
                return weir_waf_refuse(reader, colon, "the place in the chain is no number");
            }
            amend->link = (unsigned) link;
            which = weir_str_slice(which, 0, (size_t) (colon - which.data));
        }
        return weir_waf_read_ranges(reader, which, &amend->choice);
    }
    weir_builder_open(&joined, reader->pool, SIZE_MAX);
    for (unsigned i = 1; i <= last; i++) {
        weir_builder_add(&joined, statement->words[i]);
        weir_builder_add_byte(&joined, ' ');
    }
    return weir_builder_close(&joined, &which)
           && weir_waf_read_ranges(reader, which, &amend->choice);
}

bool weir_waf_read_amendment(weir_waf_reader *reader, const weir_waf_statement *statement,
                             weir_waf_amend_kind kind, weir_waf_amend_by by)
{
    weir_array *amendments = &reader->program->amendments;
    amendment *amend;

    if (amendments->pool == NULL) {
        weir_array_init(amendments, reader->pool, sizeof(amendment), 64);
    }
    amend = weir_array_push(amendments);
    if (amend == NULL) {
        return no_memory(reader);
    }
    *amend = (amendment){.kind = kind, .by = by, .statement = *statement};
    if (!read_choice(reader, statement, kind == WEIR_WAF_AMEND_REMOVE ? statement->count - 1 : 1,
                     amend)) {
        return false;
    }
    if (kind != WEIR_WAF_AMEND_REMOVE) {
        amend->text = statement->words[2];
        amend->replaced = statement->count > 3 ? statement->words[3] : WEIR_STR_EMPTY;
    }
    return true;
}

bool weir_waf_rule_is_chosen(weir_waf_matcher *matcher, const weir_waf_rule *rule,
                             weir_waf_amend_by by, const weir_waf_rule_choice *choice)
{
    switch (by) {
    case WEIR_WAF_BY_ID:
        for (size_t i = 0; i < choice->count; i++) {
            if (rule->id >= choice->ranges[i].from && rule->id <= choice->ranges[i].to) {
                return true;
            }
        }
        return false;
    case WEIR_WAF_BY_TAG:
        for (WEIR_ARRAY_EACH(&rule->tags, const weir_waf_macro, tag)) {
            if (weir_waf_pattern_matches(matcher, choice->pattern, tag->text)) {
                return true;
            }
        }
        return false;
    case WEIR_WAF_BY_MSG:
        return weir_waf_pattern_matches(matcher, choice->pattern, rule->message.text);
    }
    return false;
}

/* A rule of its own, whose links can be changed. */
static weir_waf_rule *rule_copy(weir_waf_reader *reader, const weir_waf_rule *rule)
{
    weir_waf_rule *copy = WEIR_NEW(reader->pool, weir_waf_rule);

    if (copy == NULL) {
        return NULL;
    }
    *copy = *rule;
    weir_array_init(&copy->links, reader->pool, sizeof(weir_waf_link), rule->links.count);
    for (WEIR_ARRAY_EACH(&rule->links, const weir_waf_link, from)) {
        weir_waf_link *link = weir_array_push(&copy->links);

        if (link == NULL) {
            return NULL;
        }
        *link = *from;
        link->place = WEIR_WAF_NONE;
        link->group = WEIR_WAF_NONE;
        weir_array_init(&link->targets, reader->pool, sizeof(weir_waf_target),
                        from->targets.count + 2);
        for (WEIR_ARRAY_EACH(&from->targets, const weir_waf_target, target)) {
            weir_waf_target *added = weir_array_push(&link->targets);

            if (added == NULL) {
                return NULL;
            }
            *added = *target;
        }
    }
    return copy;
}

static bool same_target(const weir_waf_target *a, const weir_waf_target *b)
{
    return a->kind == b->kind && a->variable == b->variable
           && weir_str_eq_nocase(a->selector, b->selector);
}

static void drop_target(weir_waf_link *link, const weir_waf_target *dropped)
{
    weir_waf_target *targets = link->targets.items;
    size_t kept = 0;

    for (size_t i = 0; i < link->targets.count; i++) {
        if (!same_target(&targets[i], dropped)) {
            targets[kept++] = targets[i];
        }
    }
    link->targets.count = kept;
}

/* Exclusions hold for the whole chain, as those of ctl do; what is added is added to one link. */
static bool amend_targets(weir_waf_reader *reader, const amendment *amend, weir_waf_rule *rule)
{
    weir_array added, replaced;

    weir_array_init(&added, reader->pool, sizeof(weir_waf_target), 2);
    weir_array_init(&replaced, reader->pool, sizeof(weir_waf_target), 2);
    if (!weir_waf_read_targets(reader, amend->text, &added)
        || !weir_waf_read_targets(reader, amend->replaced, &replaced)) {
        return false;
    }
    for (size_t i = 0; i < rule->links.count; i++) {
        weir_waf_link *link = WEIR_ARRAY_AT(&rule->links, weir_waf_link, i);

        if (link->is_unconditional) {
            continue;
        }
        for (WEIR_ARRAY_EACH(&replaced, const weir_waf_target, old)) {
            if (i == amend->link) {
                drop_target(link, old);
            }
        }
        for (WEIR_ARRAY_EACH(&added, const weir_waf_target, target)) {
            weir_waf_target *place;

            if (i != amend->link && target->kind != WEIR_WAF_TARGET_EXCLUDE) {
                continue;
            }
            place = weir_array_push(&link->targets);
            if (place == NULL) {
                return no_memory(reader);
            }
            *place = *target;
        }
    }
    return true;
}

static bool amend_actions(weir_waf_reader *reader, const amendment *amend, weir_waf_rule *rule)
{
    weir_waf_link *link;
    uint64_t id = rule->id;
    bool is_chain = rule->links.count > 1;
    size_t before;

    if (amend->link >= rule->links.count) {
        return weir_waf_refuse(reader, amend->text.data, "the chain of rule %llu is shorter",
                               (unsigned long long) id);
    }
    link = WEIR_ARRAY_AT(&rule->links, weir_waf_link, amend->link);
    before = link->effects.count;
    {
        /* Pushing might write behind what the shared rule has. */
        weir_array effects = link->effects;

        weir_array_init(&link->effects, reader->pool, sizeof(weir_waf_effect), before + 2);
        for (WEIR_ARRAY_EACH(&effects, const weir_waf_effect, effect)) {
            weir_waf_effect *copy = weir_array_push(&link->effects);

            if (copy == NULL) {
                return no_memory(reader);
            }
            *copy = *effect;
        }
        weir_array tags = rule->tags;

        weir_array_init(&rule->tags, reader->pool, sizeof(weir_waf_macro), tags.count + 2);
        for (WEIR_ARRAY_EACH(&tags, const weir_waf_macro, tag)) {
            weir_waf_macro *copy = weir_array_push(&rule->tags);

            if (copy == NULL) {
                return no_memory(reader);
            }
            *copy = *tag;
        }
        weir_array list = link->list;

        weir_array_init(&link->list, reader->pool, sizeof(const weir_waf_transform *), 4);
        for (WEIR_ARRAY_EACH(&list, const weir_waf_transform *const, step)) {
            const weir_waf_transform **copy = weir_array_push(&link->list);

            if (copy == NULL) {
                return no_memory(reader);
            }
            *copy = *step;
        }
    }
    if (!weir_waf_read_actions(reader, amend->text, rule, link)) {
        return false;
    }
    if (rule->id != id || rule->expects_link) {
        return weir_waf_refuse(reader, amend->text.data,
                               "SecRuleUpdateActionById changes neither id nor chain");
    }
    rule->expects_link = is_chain && rule->expects_link;
    return weir_waf_chain_of(reader->library, &link->list, &link->chain) || no_memory(reader);
}

static bool amend_one(weir_waf_reader *reader, const amendment *amend)
{
    weir_array *entries = &reader->program->entries;
    size_t kept = 0;
    bool is_found = false;

    reader->statement = &amend->statement;
    reader->rule_id = 0;
    for (size_t i = 0; i < entries->count; i++) {
        weir_waf_entry entry = *WEIR_ARRAY_AT(entries, weir_waf_entry, i);

        if (entry.rule == NULL
            || !weir_waf_rule_is_chosen(reader->library->matcher, entry.rule, amend->by,
                                        &amend->choice)) {
            *WEIR_ARRAY_AT(entries, weir_waf_entry, kept++) = entry;
            continue;
        }
        is_found = true;
        if (amend->kind == WEIR_WAF_AMEND_REMOVE) {
            continue;
        }
        entry.rule = rule_copy(reader, entry.rule);
        if (entry.rule == NULL) {
            return no_memory(reader);
        }
        *WEIR_ARRAY_AT(entries, weir_waf_entry, kept++) = entry;
        if (amend->kind == WEIR_WAF_AMEND_TARGET ? !amend_targets(reader, amend, entry.rule)
                                                 : !amend_actions(reader, amend, entry.rule)) {
            return false;
        }
    }
    entries->count = kept;
    if (!is_found) {
        weir_waf_say(reader, "%.*s: there is no such rule",
                     WEIR_STR_ARG(amend->statement.words[0]));
    }
    return true;
}

bool weir_waf_amend(weir_waf_reader *reader)
{
    for (WEIR_ARRAY_EACH(&reader->program->amendments, const amendment, amend)) {
        if (!amend_one(reader, amend)) {
            return false;
        }
    }
    return true;
}
