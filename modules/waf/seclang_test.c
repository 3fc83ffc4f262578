#include <stdio.h>

#include "core/base/number.h"
#include "modules/waf/pattern.h"
#include "modules/waf/program_internal.h"

/* The second word of a rule: its operator. */

static const struct {
    const char *name;
    weir_waf_test_kind kind;
    weir_waf_comparison comparison;
} own[] = {
    {"eq", WEIR_WAF_TEST_NUMBER, WEIR_WAF_EQ},
    {"ge", WEIR_WAF_TEST_NUMBER, WEIR_WAF_GE},
    {"gt", WEIR_WAF_TEST_NUMBER, WEIR_WAF_GT},
    {"le", WEIR_WAF_TEST_NUMBER, WEIR_WAF_LE},
    {"lt", WEIR_WAF_TEST_NUMBER, WEIR_WAF_LT},
    {"unconditionalMatch", WEIR_WAF_TEST_ALWAYS, WEIR_WAF_EQ},
    {"noMatch", WEIR_WAF_TEST_NEVER, WEIR_WAF_EQ},
    /* Of rule sets that load everywhere, and ask only where they were told to: see is_absent(). */
    {"geoLookup", WEIR_WAF_TEST_NEVER, WEIR_WAF_EQ},
    {"gsbLookup", WEIR_WAF_TEST_NEVER, WEIR_WAF_EQ},
    {"rbl", WEIR_WAF_TEST_NEVER, WEIR_WAF_EQ},
};

/* They would ask a database or a server that weir does not have. */
static bool is_absent(weir_str name)
{
    return weir_str_eq(name, WEIR_STR("geoLookup")) || weir_str_eq(name, WEIR_STR("gsbLookup"))
           || weir_str_eq(name, WEIR_STR("rbl"));
}

static bool refuse_operator(weir_waf_reader *reader, const weir_waf_operator_build *build,
                            weir_str name, weir_str parameter)
{
    const char *at =
        parameter.len != 0 && build->at < parameter.len ? parameter.data + build->at : name.data;

    return weir_waf_refuse(reader, at, "%s", build->message);
}

/* Equal ones are compiled once. NULL: refused, `build` says why. */
static const weir_waf_operator *operator_get(weir_waf_library *library,
                                             weir_waf_operator_build *build, weir_str name,
                                             weir_str parameter)
{
    const weir_waf_operator *operator;
    weir_builder builder;
    weir_str key;

    weir_builder_open(&builder, library->temp, SIZE_MAX);
    weir_builder_add_lower(&builder, name);
    weir_builder_add_byte(&builder, ' ');
    weir_builder_add(&builder, build->folder);
    weir_builder_add_byte(&builder, ' ');
    weir_builder_add(&builder, parameter);
    if (weir_builder_close(&builder, &key)) {
        operator= weir_map_find(library->operators, key);
        if (operator!= NULL) {
            return operator;
        }
        operator= weir_waf_operator_new(build, name, parameter);
        if (operator== NULL || weir_map_put(library->operators, key,
                                            (void *) (uintptr_t) operator)) {
            return operator;
        }
    }
    snprintf(build->message, sizeof(build->message), "no memory for the rules");
    return NULL;
}

static bool read_operator(weir_waf_reader *reader, weir_str name, weir_str parameter,
                          weir_waf_link *link)
{
    weir_waf_test *test = &link->test;
    weir_waf_operator_build build = {
        .pool = reader->library->pool,
        .folder = reader->statement->source->folder,
    };

    test->name = name;
    for (size_t i = 0; i < WEIR_COUNT(own); i++) {
        if (weir_str_eq_nocase(weir_str_from_z(own[i].name), name)) {
            test->kind = own[i].kind;
            test->comparison = own[i].comparison;
            test->name = weir_str_from_z(own[i].name);
            if (is_absent(test->name)) {
                weir_waf_say(reader, "@%s is not supported: it never matches", own[i].name);
            }
            if (!weir_waf_read_macro(reader, parameter, &test->parameter)) {
                return false;
            }
            if (test->kind != WEIR_WAF_TEST_NUMBER || !test->parameter.is_constant) {
                return true;
            }
            if (!weir_parse_int(weir_str_trim(parameter), INT64_MIN / 2, INT64_MAX / 2,
                                &test->number)) {
                return weir_waf_refuse(reader, parameter.data, "@%s takes a number", own[i].name);
            }
            return true;
        }
    }

    test->kind = WEIR_WAF_TEST_OPERATOR;
    test->operator= operator_get(reader->library, &build, name, parameter);
    if (test->operator== NULL) {
        return refuse_operator(reader, &build, name, parameter);
    }
    test->as_written = test->operator;
    test->name = weir_waf_operator_name(test->operator);
    if (weir_waf_operator_takes_macros(test->operator)) {
        return weir_waf_read_macro(reader, parameter, &test->parameter);
    }
    test->parameter = (weir_waf_macro){.text = parameter, .is_constant = true};
    return true;
}

static bool lets_by(const weir_waf_effect *effect)
{
    return effect->kind == WEIR_WAF_CTL_ENGINE || effect->kind >= WEIR_WAF_CTL_REQUEST_BODY_ACCESS;
}

/* What a rule switches off or lets by when it matches, it must match as a whole. */
static bool only_detects(const weir_waf_rule *rule)
{
    if (weir_waf_disruption_of(rule)->disruption == WEIR_WAF_ALLOW || rule->skip != 0
        || rule->skip_after.len != 0) {
        return false;
    }
    for (WEIR_ARRAY_EACH(&rule->links, const weir_waf_link, link)) {
        for (WEIR_ARRAY_EACH(&link->effects, const weir_waf_effect, effect)) {
            if (lets_by(effect)) {
                return false;
            }
        }
    }
    return true;
}

/* Verbs such as (*LIMIT_MATCH=9) stand before all else. */
static size_t verbs_end(weir_str pattern)
{
    size_t end = 0;

    while (weir_str_starts(weir_str_from(pattern, end), WEIR_STR("(*")) && end + 2 < pattern.len
           && pattern.data[end + 2] >= 'A' && pattern.data[end + 2] <= 'Z') {
        const char *close = weir_str_find_byte(weir_str_from(pattern, end), ')');

        if (close == NULL) {
            break;
        }
        end = (size_t) (close + 1 - pattern.data);
    }
    return end;
}

/* The same regex with "^" and "$" at the ends of lines, too. */
static bool look_at_lines(weir_waf_library *library, weir_waf_test *test)
{
    weir_waf_operator_build build = {.pool = library->pool};
    weir_str written = test->parameter.text;
    size_t verbs = verbs_end(written);
    weir_str pattern;
    weir_builder builder;

    weir_builder_open(&builder, library->pool, SIZE_MAX);
    weir_builder_add(&builder, weir_str_slice(written, 0, verbs));
    weir_builder_add(&builder, WEIR_STR("(?m)"));
    weir_builder_add(&builder, weir_str_from(written, verbs));
    if (!weir_builder_close(&builder, &pattern)) {
        return false;
    }
    test->operator= operator_get(library, &build, test->name, pattern);
    return test->operator!= NULL;
}

/* All of any value is one match as it is. */
static bool gains_by_lines(const weir_waf_test *test)
{
    return !weir_waf_operator_takes_anything(test->as_written)
           && weir_waf_pattern_has_ends(test->parameter.text);
}

bool weir_waf_rule_look_at_lines(weir_waf_library *library, const weir_waf_rule *rule)
{
    bool detects = only_detects(rule);

    for (WEIR_ARRAY_EACH(&rule->links, weir_waf_link, link)) {
        weir_waf_test *test = &link->test;

        if (link->is_unconditional || link->is_negated || test->kind != WEIR_WAF_TEST_OPERATOR
            || !(weir_str_eq(test->name, WEIR_STR("rx"))
                 || weir_str_eq(test->name, WEIR_STR("rxGlobal")))) {
            continue;
        }
        if (!detects) {
            test->operator= test->as_written;
        } else if (test->operator== test->as_written && gains_by_lines(test)
                   && !look_at_lines(library, test)) {
            return false;
        }
    }
    return true;
}

/* [!]@name parameter; without "@" all of it is a regex. */
bool weir_waf_read_test(weir_waf_reader *reader, weir_str text, weir_waf_link *link)
{
    weir_str name = WEIR_STR("rx");
    size_t i = 0;

    while (i < text.len && text.data[i] == ' ') {
        i++;
    }
    text = weir_str_from(text, i);
    if (text.len > 0 && text.data[0] == '!') {
        link->is_negated = true;
        text = weir_str_from(text, 1);
    }
    if (text.len > 0 && text.data[0] == '@') {
        size_t end = 1;

        while (end < text.len && text.data[end] != ' ' && text.data[end] != '\t') {
            end++;
        }
        name = weir_str_slice(text, 1, end);
        text = weir_str_from(text, end + 1);
        if (name.len == 0) {
            return weir_waf_refuse(reader, text.data, "an operator is missing behind \"@\"");
        }
    }
    return read_operator(reader, name, text, link);
}

const weir_waf_operator *weir_waf_read_pattern(weir_waf_reader *reader, weir_str pattern,
                                               bool nocase)
{
    weir_waf_operator_build build = {.pool = reader->pool};
    const weir_waf_operator *operator;
    weir_builder builder;
    weir_str whole = pattern;

    if (nocase) {
        weir_builder_open(&builder, reader->pool, SIZE_MAX);
        weir_builder_add(&builder, WEIR_STR("(?i)"));
        weir_builder_add(&builder, pattern);
        if (!weir_builder_close(&builder, &whole)) {
            (void) weir_waf_refuse(reader, NULL, "no memory for the rules");
            return NULL;
        }
    }
    operator= weir_waf_operator_new(&build, WEIR_STR("rx"), whole);
    if (operator== NULL) {
        (void) weir_waf_refuse(reader, pattern.data, "%s", build.message);
    }
    return operator;
}

bool weir_waf_pattern_matches(weir_waf_matcher *matcher, const weir_waf_operator *pattern,
                              weir_str text)
{
    weir_waf_run run = {.matcher = matcher};

    return weir_waf_operator_run(pattern, text, &run) == WEIR_WAF_MATCH;
}
