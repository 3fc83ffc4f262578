#include "t/unit/script_unit.h"

/* ---- compiling */

static void a_text_without_variables_is_constant(void **state)
{
    traveller *t = *state;
    const weir_template *template = traveller_template(t, "just {text} ");
    weir_str text;

    assert_true(weir_template_is_constant(template, &text));
    assert_str(text, "just {text} ");
    assert_true(weir_template_is_constant(template, NULL));
    assert_int_equal(weir_space_slot_count(t->space), 0);
    assert_str(traveller_says(t, "just {text} "), "just {text} ");
}

static void the_empty_text_is_constant(void **state)
{
    weir_str text = WEIR_STR("stale");

    assert_true(weir_template_is_constant(traveller_template(*state, ""), &text));
    assert_str(text, "");
    assert_str(traveller_says(*state, ""), "");
}

static void a_text_with_variables_is_not(void **state)
{
    weir_str text = WEIR_STR("untouched");

    assert_false(weir_template_is_constant(traveller_template(*state, "$name"), &text));
    assert_false(weir_template_is_constant(traveller_template(*state, "x$1"), &text));
    assert_str(text, "untouched");
}

static void a_name_ends_where_its_letters_end(void **state)
{
    assert_str(traveller_says(*state, "$name-$name.$name/{$name}"), "Ann-Ann.Ann/{Ann}");
}

static void brackets_end_a_name(void **state)
{
    assert_str(traveller_says(*state, "${name}name${name}"), "AnnnameAnn");
}

static void a_path_climbs_by_dots_that_nobody_wrote(void **state)
{
    static const struct {
        const char *text, *path;
        bool climbs;
    } cases[] = {
        {"/srv/$name", "/srv/x", false},
        {"/srv/$name", "/srv/../x", true},
        {"/srv/$name", "/srv/..", true},
        {"/srv/$name", "..", true},
        {"/srv/$name", "/srv/..x/x../.../x", false},
        {"/srv$name", "/srv../x", false},
        {"/srv/../$name", "/srv/../x", false},
        {"/srv/../$name", "/srv/../x/../y", true},
        {"/srv/$name/..", "/srv/x/..", false},
        {"/srv/..$name", "/srv/../x", true},
        {"/$name/../$name/../x", "/a/../b/../x", false},
        {"/$name/../$name/../x", "/../../../x", true},
        {"/srv/../www", "/srv/../www/a", false},
        {"/srv/../www", "/srv/../www/../a", true},
        {"/srv", "/srv/a/..", true},
        {"/srv", "/srv//a/./b", false},
        {"", "", false},
    };

    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        const weir_template *template = traveller_template(*state, cases[i].text);

        if (weir_template_climbs(template, weir_str_from_z(cases[i].path)) != cases[i].climbs) {
            fail_msg("%s, by %s", cases[i].path, cases[i].text);
        }
    }
}

static void the_text_need_not_outlive_compiling(void **state)
{
    traveller *t = *state;
    char text[] = "dear $name";
    const weir_template *template = traveller_template(t, text);

    memset(text, '-', sizeof(text) - 1);
    traveller_depart(t);
    assert_str(traveller_text(t, template), "dear Ann");
}

static void what_is_malformed_is_refused_in_nginx_words(void **state)
{
    static const struct {
        const char *text, *message;
    } wrong[] = {
        {"$", "invalid variable name"},
        {"a $", "invalid variable name"},
        {"$$name", "invalid variable name"},
        {"$-name", "invalid variable name"},
        {"${", "invalid variable name"},
        {"a${}b", "invalid variable name"},
        {"${-}", "invalid variable name"},
        {"$name$", "invalid variable name"},
        {"${name", "the closing bracket in \"name\" variable is missing"},
        {"${na-me}", "the closing bracket in \"na\" variable is missing"},
        {"${1", "the closing bracket in \"1\" variable is missing"},
    };
    traveller *t = *state;

    for (size_t i = 0; i < WEIR_COUNT(wrong); i++) {
        assert_null(weir_template_new(&t->conf, t->space, weir_str_from_z(wrong[i].text)));
        assert_string_equal(t->conf.message, wrong[i].message);
    }
}

static void there_is_no_variable_zero(void **state)
{
    traveller *t = *state;

    traveller_template(t, "$0");
    assert_false(weir_space_close(&t->conf, t->space));
    assert_string_equal(t->conf.message, "unknown \"0\" variable");
}

static void a_text_cut_anywhere_is_compiled_or_refused(void **state)
{
    const weir_str text = WEIR_STR("$a${bag_b}c$1${2}$$");
    traveller *t = *state;
    size_t refused = 0;

    for (size_t from = 0; from <= text.len; from++) {
        for (size_t to = from; to <= text.len; to++) {
            t->conf.message[0] = '\0';
            if (weir_template_new(&t->conf, t->space, weir_str_slice(text, from, to)) == NULL) {
                assert_int_not_equal(t->conf.message[0], '\0');
                refused++;
            } else {
                assert_string_equal(t->conf.message, "");
            }
        }
    }

    assert_true(refused > 0);
}

static void its_parts_can_be_walked(void **state)
{
    traveller *t = *state;
    const weir_template *template = traveller_template(t, "to $name, $1!");
    const weir_template_part *parts;
    weir_value value;

    assert_int_equal(weir_template_parts(template, &parts), 5);
    assert_str(parts[0].literal, "to ");
    assert_int_equal(parts[0].slot, -1);
    assert_int_equal(parts[1].slot, traveller_slot(t, "name"));
    assert_str(parts[1].literal, "");
    assert_int_equal(parts[3].slot, -1);
    assert_int_equal(parts[3].capture, 1);
    assert_str(parts[4].literal, "!");

    traveller_depart(t);
    assert_true(weir_template_part_value(&parts[1], &t->script, &value));
    assert_str(value.text, "Ann");
    assert_true(weir_template_part_value(&parts[3], &t->script, &value));
    assert_false(value.found);
    assert_true(weir_template_part_value(&parts[4], &t->script, &value));
    assert_str(value.text, "!");
}

static void slots_of_directives_use_the_family_s_space(void **state)
{
    traveller *t = *state;
    const weir_template *template =
        weir_template_make(&t->conf, "toy", WEIR_STR("$name and $name"));

    assert_non_null(template);
    traveller_depart(t);
    assert_str(traveller_text(t, template), "Ann and Ann");
}

/* ---- writing */

static void a_single_variable_is_not_copied(void **state)
{
    traveller *t = *state;

    assert_ptr_equal(traveller_says(t, "$name").data, t->name.data);
}

static void what_is_not_found_is_empty(void **state)
{
    traveller *t = *state;

    t->name = WEIR_STR_EMPTY;
    assert_str(traveller_says(t, "<$name>"), "<>");
    assert_str(traveller_says(t, "$name"), "");
}

static void bytes_of_values_go_through_as_they_are(void **state)
{
    traveller *t = *state;

    t->name = WEIR_STR("a\0$luggage\xff");
    assert_str(traveller_says(t, "[$name]"), "[a\0$luggage\xff]");
}

static void a_builder_gets_the_text_behind_its_own(void **state)
{
    traveller *t = *state;
    const weir_template *template = traveller_template(t, "$name has a $luggage");
    weir_builder builder;
    weir_str text;

    traveller_depart(t);
    weir_builder_open(&builder, t->conf.pool, 64);
    weir_builder_add(&builder, WEIR_STR("log: "));
    assert_true(weir_template_write(template, &t->script, &builder));
    assert_true(weir_builder_close(&builder, &text));
    assert_str(text, "log: Ann has a trunk");
}

static void a_builder_that_is_full_fails_when_it_is_closed(void **state)
{
    traveller *t = *state;
    const weir_template *template = traveller_template(t, "$name has a $luggage");
    weir_builder builder;
    weir_str text;

    traveller_depart(t);
    weir_builder_open(&builder, t->conf.pool, 8);
    assert_true(weir_template_write(template, &t->script, &builder));
    assert_false(weir_builder_close(&builder, &text));
}

static void a_text_has_a_bound(void **state)
{
    enum { half = WEIR_TEMPLATE_MAX / 2 };
    traveller *t = *state;
    const weir_template *within = traveller_template(t, "$name$name");
    const weir_template *beyond = traveller_template(t, "$name$name.");
    char *long_name = malloc(half);
    weir_str text = WEIR_STR("untouched");

    assert_non_null(long_name);
    memset(long_name, 'n', half);
    t->name = weir_str_of(long_name, half);
    traveller_depart(t);

    assert_int_equal(traveller_text(t, within).len, WEIR_TEMPLATE_MAX);
    assert_false(weir_template_text(beyond, &t->script, &text));
    assert_str(text, "untouched");
    assert_true(traveller_log_has(t, "\"$name$name.\""));
    free(long_name);
}

static void neither_empty_nor_zero_is_true(void **state)
{
    static const struct {
        const char *luggage;
        bool is_true;
    } cases[] = {{"", false}, {"0", false}, {"00", true}, {"1", true}, {"off", true}, {" ", true}};
    traveller *t = *state;
    const weir_template *one = traveller_template(t, "$luggage");
    const weir_template *joined = traveller_template(t, "$luggage$1");

    traveller_depart(t);
    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        t->luggage = weir_str_from_z(cases[i].luggage);
        assert_int_equal(weir_template_is_true(one, &t->script), cases[i].is_true);
        assert_int_equal(weir_template_is_true(joined, &t->script), cases[i].is_true);
    }
}

/* ---- captures */

static void a_digit_is_a_capture(void **state)
{
    traveller *t = *state;
    const weir_regex *regex = traveller_regex(t, "(.)(.)(.)");
    const weir_template *template = traveller_template(t, "$3-$1-$2-$9");

    traveller_depart(t);
    assert_true(traveller_matches(t, regex, "abc"));
    assert_str(traveller_text(t, template), "c-a-b-");
}

static void a_capture_has_one_digit(void **state)
{
    traveller *t = *state;
    const weir_regex *regex = traveller_regex(t, "(.)");
    const weir_template *template = traveller_template(t, "$12 ${1}2 $1x");

    traveller_depart(t);
    assert_true(traveller_matches(t, regex, "a"));
    assert_str(traveller_text(t, template), "a2 a2 ax");
}

static void captures_are_empty_where_nothing_matched(void **state)
{
    assert_str(traveller_says(*state, "<$1$9>"), "<>");
}

/* As a rewrite with a map in its replacement. */
static void evaluating_a_variable_leaves_captures_alone(void **state)
{
    toy_map map;
    traveller *t = *state;
    const weir_regex *regex = traveller_regex(t, "^/(.*)/(.*)$");
    const weir_template *template = traveller_template(t, "/$1/$initial/$1/$2");

    traveller_map(t, &map, "initial", "$name", "^(.)(.*)$", "$1");
    traveller_depart(t);
    assert_true(traveller_matches(t, regex, "/en/page"));
    assert_str(traveller_text(t, template), "/en/A/en/page");
}

static void a_match_without_groups_counts_as_captures_too(void **state)
{
    toy_map map;
    traveller *t = *state;
    const weir_regex *regex = traveller_regex(t, "^/");
    const weir_template *template = traveller_template(t, "$initial<$1>");

    traveller_map(t, &map, "initial", "$name", "^(.)", "$1");
    traveller_depart(t);
    assert_true(traveller_matches(t, regex, "/en/page"));
    assert_str(traveller_text(t, template), "A<>");
}

static void captures_of_a_variable_stay_where_nothing_matched_before(void **state)
{
    toy_map map;
    traveller *t = *state;
    const weir_template *template = traveller_template(t, "$1|$initial|$1$2");

    traveller_map(t, &map, "initial", "$name", "^(.)(.*)$", "map");
    traveller_depart(t);
    assert_str(traveller_text(t, template), "|map|Ann");
}

static void variables_within_variables_leave_captures_alone(void **state)
{
    toy_map inner, outer;
    traveller *t = *state;
    const weir_regex *regex = traveller_regex(t, "(.*)");
    const weir_template *template = traveller_template(t, "$outer $1");

    traveller_map(t, &inner, "inner", "$luggage", "^(.)", "$1");
    traveller_map(t, &outer, "outer", "$name", "^(.)", "$inner$1$inner$1");
    traveller_depart(t);
    assert_true(traveller_matches(t, regex, "own"));
    assert_str(traveller_text(t, template), "tAtA own");
}

/* ---- memory */

static bool compiles(weir_pool *pool)
{
    weir_conf conf = {.pool = pool};

    return weir_template_make(&conf, "toy", WEIR_STR("a$b${c}$1d$e")) != NULL;
}

static void each_allocation_may_fail_while_compiling(void **state)
{
    (void) state;
    assert_true(unit_fail_each_allocation(compiles) > 0);
}

static const weir_space *shared_space;
static const weir_template *shared_template;

static bool writes(weir_pool *pool)
{
    traveller t = {.name = WEIR_STR_INIT("Ann")};
    weir_log log = {.target = NULL};
    weir_log_target *nowhere = weir_log_target_new(pool);
    weir_str text = WEIR_STR("untouched");

    if (nowhere == NULL) {
        return false;
    }

    log.target = nowhere;
    weir_script_begin(&t.script, shared_space, &t, pool, &log);
    if (!weir_template_text(shared_template, &t.script, &text)) {
        assert_str(text, "untouched");
        return false;
    }

    assert_str(text, "Ann [red]");
    return true;
}

static void each_allocation_may_fail_while_writing(void **state)
{
    traveller *t = *state;

    shared_template = traveller_template(t, "$name $bag_red");
    traveller_depart(t);
    shared_space = t->space;
    assert_true(unit_fail_each_allocation(writes) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_with_traveller(a_text_without_variables_is_constant),
        unit_test_with_traveller(the_empty_text_is_constant),
        unit_test_with_traveller(a_text_with_variables_is_not),
        unit_test_with_traveller(a_name_ends_where_its_letters_end),
        unit_test_with_traveller(brackets_end_a_name),
        unit_test_with_traveller(a_path_climbs_by_dots_that_nobody_wrote),
        unit_test_with_traveller(the_text_need_not_outlive_compiling),
        unit_test_with_traveller(what_is_malformed_is_refused_in_nginx_words),
        unit_test_with_traveller(there_is_no_variable_zero),
        unit_test_with_traveller(a_text_cut_anywhere_is_compiled_or_refused),
        unit_test_with_traveller(its_parts_can_be_walked),
        unit_test_with_traveller(slots_of_directives_use_the_family_s_space),
        unit_test_with_traveller(a_single_variable_is_not_copied),
        unit_test_with_traveller(what_is_not_found_is_empty),
        unit_test_with_traveller(bytes_of_values_go_through_as_they_are),
        unit_test_with_traveller(a_builder_gets_the_text_behind_its_own),
        unit_test_with_traveller(a_builder_that_is_full_fails_when_it_is_closed),
        unit_test_with_traveller(a_text_has_a_bound),
        unit_test_with_traveller(neither_empty_nor_zero_is_true),
        unit_test_with_traveller(a_digit_is_a_capture),
        unit_test_with_traveller(a_capture_has_one_digit),
        unit_test_with_traveller(captures_are_empty_where_nothing_matched),
        unit_test_with_traveller(evaluating_a_variable_leaves_captures_alone),
        unit_test_with_traveller(a_match_without_groups_counts_as_captures_too),
        unit_test_with_traveller(captures_of_a_variable_stay_where_nothing_matched_before),
        unit_test_with_traveller(variables_within_variables_leave_captures_alone),
        unit_test_with_traveller(each_allocation_may_fail_while_compiling),
        unit_test_with_traveller(each_allocation_may_fail_while_writing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
