#include "modules/waf/program_internal.h"

/*
 * Which links ask what of which values.  A question is an operator that is asked of a value; each has an index among all
 * questions.  Those that are asked of values after the same chain of transformations are a group.
 */

/* ---- questions and groups */

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

static bool looks_at_responses(const weir_waf_link *link)
{
    bool looks = false;

    for (WEIR_ARRAY_EACH(&link->targets, const weir_waf_target, target)) {
        if (target->kind == WEIR_WAF_TARGET_VALUES) {
            if (!weir_str_starts(weir_waf_variable_name(target->variable), WEIR_STR("RESPONSE_"))) {
                return false;
            }
            looks = true;
        }
    }
    return looks;
}

/* Whether nothing but the text decides what the link's test says of it. */
static bool depends_on_text_alone(const weir_waf_link *link)
{
    weir_waf_test_kind kind = link->test.kind;

    return link->test.parameter.is_constant
           && (kind == WEIR_WAF_TEST_NUMBER || kind == WEIR_WAF_TEST_OPERATOR);
}

static void add_targets(weir_builder *key, const weir_array *targets)
{
    for (WEIR_ARRAY_EACH(targets, const weir_waf_target, target)) {
        if (target->kind == WEIR_WAF_TARGET_COUNT) {
            continue;
        }
        weir_builder_printf(key, "|%d%s %zu", (int) target->variable,
                            target->kind == WEIR_WAF_TARGET_EXCLUDE ? "!" : "",
                            target->selector.len);
        if (target->pattern == NULL) {
            weir_builder_add_byte(key, ':');
            weir_builder_add_lower(key, target->selector);
        } else {
            weir_builder_add_byte(key, '/');
            weir_builder_add(key, target->selector);
        }
    }
}

/* Links with the same key ask the same question of the same values. */
static bool place_key(weir_waf_library *library, const weir_waf_link *link,
                      const weir_waf_place *place, weir_str *key)
{
    weir_builder builder;

    weir_builder_open(&builder, library->pool, SIZE_MAX);
    weir_builder_printf(&builder, "%d %d ", (int) place->group, (int) place->part);
    if (link->is_of_text && link->test.kind == WEIR_WAF_TEST_NUMBER) {
        weir_builder_printf(&builder, "%d%d %lld", link->is_negated, (int) link->test.comparison,
                            (long long) link->test.number);
    } else if (link->is_of_text) {
        weir_builder_printf(&builder, "%d %p", link->is_negated,
                            (const void *) link->test.operator);
    }
    if (place->group != WEIR_WAF_NONE) {
        add_targets(&builder, &link->targets);
    }
    return weir_builder_close(&builder, key);
}

/* NONE: no memory. */
static uint32_t group_of(weir_waf_library *library, const weir_waf_link *link,
                         weir_waf_filter_part part)
{
    weir_waf_group *group;

    for (uint32_t i = 0; i < library->groups.count; i++) {
        group = WEIR_ARRAY_AT(&library->groups, weir_waf_group, i);
        if (group->chain == link->chain && group->part == part
            && group->is_multi_match == link->is_multi_match) {
            return i;
        }
    }
    group = weir_array_push(&library->groups);
    if (group == NULL) {
        return WEIR_WAF_NONE;
    }
    *group = (weir_waf_group){
        .chain = link->chain, .part = part, .is_multi_match = link->is_multi_match};
    return (uint32_t) library->groups.count - 1;
}

static bool place_find(weir_waf_library *library, weir_waf_link *link, weir_waf_place place)
{
    weir_waf_place *added;
    uintptr_t known;
    weir_str key;

    if (!place_key(library, link, &place, &key)) {
        return false;
    }
    known = (uintptr_t) weir_map_find(library->places_by_key, key);
    if (known == 0) {
        added = weir_array_push(&library->places);
        known = library->places.count;
        if (added == NULL || !weir_map_put(library->places_by_key, key, (void *) known)) {
            return false;
        }
        *added = place;
    }
    link->place = (uint32_t) known - 1;
    link->group = place.group;
    return true;
}

bool weir_waf_link_place(weir_waf_library *library, weir_waf_link *link)
{
    weir_waf_place place = {
        .targets = &link->targets,
        .part = looks_at_responses(link) ? WEIR_WAF_FILTER_RESPONSE : WEIR_WAF_FILTER_REQUEST,
        .group = WEIR_WAF_NONE,
    };

    if (link->place != WEIR_WAF_NONE || link->is_unconditional) {
        return true;
    }
    link->is_of_text = depends_on_text_alone(link);
    /* The filter says what does not match; of a negated operator that is what does. */
    if (link->is_of_text && link->test.kind == WEIR_WAF_TEST_OPERATOR && !link->is_negated) {
        place.operator= link->test.operator;
        link->is_filtered = true;
    }
    if (can_be_grouped(link)) {
        place.group = group_of(library, link, place.part);
        if (place.group == WEIR_WAF_NONE) {
            return false;
        }
    } else if (place.operator== NULL) {
        return true;
    }
    return place_find(library, link, place);
}

static bool groups_find_places(weir_waf_library *library)
{
    for (WEIR_ARRAY_EACH(&library->groups, weir_waf_group, group)) {
        group->words = WEIR_NEW_ARRAY(library->pool, weir_waf_group_word, library->place_words);
        if (group->words == NULL) {
            return false;
        }
    }
    for (uint32_t i = 0; i < library->places.count; i++) {
        const weir_waf_place *place = WEIR_ARRAY_AT(&library->places, weir_waf_place, i);
        weir_waf_group *group;

        if (place->group == WEIR_WAF_NONE) {
            continue;
        }
        group = WEIR_ARRAY_AT(&library->groups, weir_waf_group, place->group);
        if (group->word_count == 0 || group->words[group->word_count - 1].word != i / 64) {
            group->words[group->word_count++].word = i / 64;
        }
        group->words[group->word_count - 1].bits |= (uint64_t) 1 << i % 64;
    }
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

static bool may_look_at(const weir_array *targets, weir_waf_variable stored, const weir_str *name)
{
    for (WEIR_ARRAY_EACH(targets, const weir_waf_target, target)) {
        if (target->kind == WEIR_WAF_TARGET_VALUES && looks_at(target->variable, stored)
            && may_fit(target, name) && !is_surely_excluded(targets, target->variable, name)) {
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
    for (uint32_t i = 0; i < library->places.count; i++) {
        const weir_waf_place *place = WEIR_ARRAY_AT(&library->places, weir_waf_place, i);

        if (place->group != WEIR_WAF_NONE && may_look_at(place->targets, stored, name)) {
            weir_waf_bit_set(audience->groups, place->group);
            weir_waf_bit_set(audience->places, i);
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

    for (WEIR_ARRAY_EACH(&library->places, const weir_waf_place, place)) {
        if (place->group == WEIR_WAF_NONE) {
            continue;
        }
        for (WEIR_ARRAY_EACH(place->targets, const weir_waf_target, target)) {
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
    library->place_words = (uint32_t) weir_waf_prefilter_set_words(library->prefilter);
    if (!groups_find_places(library)) {
        return false;
    }
    for (int i = 0; i < WEIR_WAF_VARIABLE_COUNT; i++) {
        if (weir_waf_variable_source_of((weir_waf_variable) i) == WEIR_WAF_SOURCE_STORED
            && !audiences_make(library, (weir_waf_variable) i)) {
            return false;
        }
    }
    return true;
}
