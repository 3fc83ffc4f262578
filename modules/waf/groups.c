#include "modules/waf/program_internal.h"

/*
 * Who looks at which values: links that look at the same ones through the same transformations are a group, and what is asked of
 * a value has a place among all that may be asked.
 */

/* ---- groups */

/* Only what changes between phases can be asked about once for many rules. */
static bool can_be_grouped(const weir_waf_link *link)
{
    if (link->is_unconditional) {
        return false;
    }
    for (WEIR_ARRAY_EACH(&link->targets, const weir_waf_target, target)) {
        weir_waf_variable_source source = weir_waf_variable_source_of(target->variable);

        if (target->kind == WEIR_WAF_TARGET_COUNT
            || (target->kind == WEIR_WAF_TARGET_VALUES && source != WEIR_WAF_SOURCE_STORED
                && source != WEIR_WAF_SOURCE_BOTH)) {
            return false;
        }
    }
    return true;
}

static bool group_key(weir_waf_library *library, const weir_waf_link *link, weir_str *key)
{
    weir_builder builder;

    weir_builder_open(&builder, library->pool, SIZE_MAX);
    weir_builder_printf(&builder, "%u %d", link->chain, link->is_multi_match);
    for (WEIR_ARRAY_EACH(&link->targets, const weir_waf_target, target)) {
        if (target->kind == WEIR_WAF_TARGET_COUNT) {
            continue;
        }
        weir_builder_printf(&builder, "|%d%s %zu", (int) target->variable,
                            target->kind == WEIR_WAF_TARGET_EXCLUDE ? "!" : "",
                            target->selector.len);
        if (target->pattern == NULL) {
            weir_builder_add_byte(&builder, ':');
            weir_builder_add_lower(&builder, target->selector);
        } else {
            weir_builder_add_byte(&builder, '/');
            weir_builder_add(&builder, target->selector);
        }
    }
    return weir_builder_close(&builder, key);
}

static weir_waf_group *group_new(weir_waf_library *library, const weir_waf_link *link, weir_str key)
{
    weir_waf_group *group = weir_array_push(&library->groups);

    if (group == NULL
        || !weir_map_put(library->groups_by_key, key, (void *) library->groups.count)) {
        return NULL;
    }
    group->targets = &link->targets;
    group->chain = link->chain;
    group->is_multi_match = link->is_multi_match;
    weir_array_init(&group->questions, library->pool, sizeof(weir_waf_group_question), 8);
    return group;
}

/* Whether nothing but the text decides what the link's test says of it. */
static bool depends_on_text_alone(const weir_waf_link *link)
{
    weir_waf_test_kind kind = link->test.kind;

    return link->test.parameter.is_constant
           && (kind == WEIR_WAF_TEST_NUMBER || kind == WEIR_WAF_TEST_OPERATOR);
}

static bool is_same_question(const weir_waf_link *a, const weir_waf_link *b)
{
    if (!a->is_of_text || !b->is_of_text) {
        return a->is_of_text == b->is_of_text;
    }
    if (a->test.kind != b->test.kind || a->is_negated != b->is_negated) {
        return false;
    }
    return a->test.kind == WEIR_WAF_TEST_OPERATOR ? a->test.operator== b->test.operator
        : a->test.comparison == b->test.comparison && a->test.number == b->test.number;
}

bool weir_waf_group_join(weir_waf_library *library, weir_waf_link *link)
{
    weir_waf_group_question *question;
    weir_waf_group *group;
    uintptr_t known;
    weir_str key;

    if (!can_be_grouped(link) || link->group != WEIR_WAF_NONE) {
        return true;
    }
    if (!group_key(library, link, &key)) {
        return false;
    }
    known = (uintptr_t) weir_map_find(library->groups_by_key, key);
    group = known != 0 ? WEIR_ARRAY_AT(&library->groups, weir_waf_group, known - 1)
                       : group_new(library, link, key);
    if (group == NULL) {
        return false;
    }
    link->group = (uint32_t) (group - (weir_waf_group *) library->groups.items);
    link->is_of_text = depends_on_text_alone(link);
    for (WEIR_ARRAY_EACH(&group->questions, const weir_waf_group_question, asked)) {
        if (is_same_question(asked->link, link)) {
            link->place = asked->place;
            return true;
        }
    }
    question = weir_array_push(&group->questions);
    if (question == NULL) {
        return false;
    }
    link->place = library->place_count++;
    /* The filter says what does not match; of a negated operator that is what does. */
    *question = (weir_waf_group_question){.link = link,
                                          .place = link->place,
                                          .predicate = link->is_negated ? WEIR_WAF_NONE
                                                                        : link->test.predicate};
    return true;
}

/* ---- audiences */

/* Whether a target of ARGS looks at what is stored as ARGS_GET, and so on. */
static bool looks_at(weir_waf_variable named, weir_waf_variable stored)
{
    switch ((int) named) {
    case WEIR_WAF_VAR_ARGS:
        return stored == WEIR_WAF_VAR_ARGS_GET || stored == WEIR_WAF_VAR_ARGS_POST;
    case WEIR_WAF_VAR_ARGS_NAMES:
        return stored == WEIR_WAF_VAR_ARGS_GET_NAMES || stored == WEIR_WAF_VAR_ARGS_POST_NAMES;
    default:
        return named == stored;
    }
}

/* Of a member with that name; `name` NULL: one that no target names.  A pattern may fit any. */
static bool may_fit(const weir_waf_target *target, const weir_str *name)
{
    return target->selector.len == 0 || target->pattern != NULL
           || (name != NULL && weir_str_eq_nocase(target->selector, *name));
}

static bool is_surely_excluded(const weir_array *targets, weir_waf_variable named,
                               const weir_str *name)
{
    for (WEIR_ARRAY_EACH(targets, const weir_waf_target, target)) {
        if (target->kind == WEIR_WAF_TARGET_EXCLUDE && target->variable == named
            && target->pattern == NULL && may_fit(target, name)) {
            return true;
        }
    }
    return false;
}

static bool group_may_look_at(const weir_waf_group *group, weir_waf_variable stored,
                              const weir_str *name)
{
    for (WEIR_ARRAY_EACH(group->targets, const weir_waf_target, target)) {
        if (target->kind == WEIR_WAF_TARGET_VALUES && looks_at(target->variable, stored)
            && may_fit(target, name)
            && !is_surely_excluded(group->targets, target->variable, name)) {
            return true;
        }
    }
    return false;
}

static weir_waf_audience *audience_new(const weir_waf_library *library, weir_waf_variable stored,
                                       const weir_str *name)
{
    weir_waf_audience *audience = WEIR_NEW(library->pool, weir_waf_audience);

    if (audience == NULL) {
        return NULL;
    }
    audience->groups = WEIR_NEW_ARRAY(library->pool, uint64_t, library->group_words);
    audience->places = WEIR_NEW_ARRAY(library->pool, uint64_t, library->place_words);
    if (audience->groups == NULL || audience->places == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < library->groups.count; i++) {
        const weir_waf_group *group = WEIR_ARRAY_AT(&library->groups, weir_waf_group, i);

        if (!group_may_look_at(group, stored, name)) {
            continue;
        }
        weir_waf_bit_set(audience->groups, i);
        for (WEIR_ARRAY_EACH(&group->questions, const weir_waf_group_question, question)) {
            weir_waf_bit_set(audience->places, question->place);
        }
    }
    return audience;
}

/* Members that some target names have an audience of their own. */
static bool add_named(weir_waf_library *library, weir_waf_variable stored,
                      const weir_waf_target *target)
{
    weir_waf_audiences *audiences = &library->audiences[stored];
    weir_waf_audience *audience;

    if (target->selector.len == 0 || target->pattern != NULL
        || !looks_at(target->variable, stored)) {
        return true;
    }
    if (audiences->named == NULL) {
        audiences->named = weir_map_new(library->pool, true, 16);
        if (audiences->named == NULL) {
            return false;
        }
    }
    if (weir_map_find(audiences->named, target->selector) != NULL) {
        return true;
    }
    audiences->lengths |= weir_waf_length_bit(target->selector.len);
    audience = audience_new(library, stored, &target->selector);
    return audience != NULL && weir_map_put(audiences->named, target->selector, audience);
}

static bool audiences_make(weir_waf_library *library, weir_waf_variable stored)
{
    weir_waf_audiences *audiences = &library->audiences[stored];

    for (WEIR_ARRAY_EACH(&library->groups, const weir_waf_group, group)) {
        for (WEIR_ARRAY_EACH(group->targets, const weir_waf_target, target)) {
            audiences->is_there |=
                target->kind == WEIR_WAF_TARGET_VALUES && looks_at(target->variable, stored);
            if (!add_named(library, stored, target)) {
                return false;
            }
        }
    }
    if (!audiences->is_there) {
        return true;
    }
    library->watched[library->watched_count++] = stored;
    audiences->others = audience_new(library, stored, NULL);
    return audiences->others != NULL;
}

bool weir_waf_audiences_make(weir_waf_library *library)
{
    library->group_words = (uint32_t) (library->groups.count + 63) / 64;
    library->place_words = (library->place_count + 63) / 64;
    for (int i = 0; i < WEIR_WAF_VARIABLE_COUNT; i++) {
        if (weir_waf_variable_source_of((weir_waf_variable) i) == WEIR_WAF_SOURCE_STORED
            && !audiences_make(library, (weir_waf_variable) i)) {
            return false;
        }
    }
    return true;
}
