#include "t/unit/script_unit.h"

/* ---- names and definitions */

static void a_name_has_one_slot_whatever_its_case(void **state)
{
    traveller *t = *state;
    int slot = traveller_slot(t, "name");

    assert_true(slot >= 0);
    assert_int_equal(traveller_slot(t, "NAME"), slot);
    assert_int_equal(traveller_slot(t, "Name"), slot);
    assert_int_equal(weir_space_slot_count(t->space), 1);
}

static void families_of_modules_have_a_space_each(void **state)
{
    traveller *t = *state;

    assert_ptr_equal(weir_space_of(&t->conf, "toy"), t->space);
    assert_ptr_not_equal(weir_space_of(&t->conf, "other"), t->space);
}

static void a_prefix_stands_for_all_names_that_begin_so(void **state)
{
    assert_str(traveller_says(*state, "$bag_red $BAG_Blue"), "[red] [blue]");
}

static void a_prefix_alone_is_a_name_too(void **state)
{
    assert_str(traveller_says(*state, "$bag_"), "[]");
}

static void the_longest_prefix_counts(void **state)
{
    assert_str(traveller_says(*state, "$bag_small_red $bag_small"), "/red/ [small]");
}

static void an_exact_name_wins_over_prefixes(void **state)
{
    assert_str(traveller_says(*state, "$bag_of_tricks"), "tricks");
}

static void a_definition_may_come_after_the_use(void **state)
{
    traveller *t = *state;
    const weir_variable late = {.get = traveller_constant, .arg = (uintptr_t) "at last"};
    const weir_template *template = traveller_template(t, "$late");

    assert_true(weir_space_define(&t->conf, t->space, WEIR_STR("Late"), &late));
    traveller_depart(t);
    assert_str(traveller_text(t, template), "at last");
}

static void a_built_in_variable_may_not_be_redefined(void **state)
{
    traveller *t = *state;
    const weir_variable mine = {.get = traveller_constant, .may_be_redefined = true};

    assert_false(weir_space_define(&t->conf, t->space, WEIR_STR("name"), &mine));
    assert_string_equal(t->conf.message, "the duplicate \"name\" variable");
}

static void one_that_may_be_redefined_is_replaced(void **state)
{
    traveller *t = *state;
    const weir_variable mine = {.get = traveller_constant, .arg = (uintptr_t) "mine"};

    assert_true(weir_space_define(&t->conf, t->space, WEIR_STR("bag_of_tricks"), &mine));
    assert_str(traveller_says(t, "$bag_of_tricks"), "mine");
}

static const weir_variable fallback = {
    .get = traveller_constant,
    .arg = (uintptr_t) "nothing set",
    .may_be_redefined = true,
    .is_fallback = true,
};

static void a_fallback_gives_way_to_what_was_there(void **state)
{
    traveller *t = *state;

    assert_true(weir_space_define(&t->conf, t->space, WEIR_STR("bag_of_tricks"), &fallback));
    assert_str(traveller_says(t, "$bag_of_tricks"), "tricks");
}

static void a_fallback_gives_way_to_what_comes_later(void **state)
{
    traveller *t = *state;
    const weir_variable mine = {
        .get = traveller_constant, .arg = (uintptr_t) "mine", .may_be_redefined = true};

    assert_true(weir_space_define(&t->conf, t->space, WEIR_STR("x"), &fallback));
    assert_true(weir_space_define(&t->conf, t->space, WEIR_STR("x"), &mine));
    assert_true(weir_space_define(&t->conf, t->space, WEIR_STR("x"), &fallback));
    assert_str(traveller_says(t, "$x"), "mine");
}

static void a_built_in_variable_that_takes_values_may_be_set(void **state)
{
    traveller *t = *state;

    assert_true(weir_space_define(&t->conf, t->space, WEIR_STR("luggage"), &fallback));
    assert_str(traveller_says(t, "$luggage"), "trunk");
}

static void a_built_in_variable_that_takes_none_may_not(void **state)
{
    traveller *t = *state;

    assert_false(weir_space_define(&t->conf, t->space, WEIR_STR("name"), &fallback));
    assert_string_equal(t->conf.message, "the duplicate \"name\" variable");
}

static void a_set_of_a_prefixed_name_makes_a_variable_of_its_own(void **state)
{
    traveller *t = *state;

    assert_true(weir_space_define(&t->conf, t->space, WEIR_STR("bag_mine"), &fallback));
    assert_str(traveller_says(t, "$bag_mine $bag_yours"), "nothing set [yours]");
}

static void names_of_directives_begin_with_a_dollar(void **state)
{
    static const char *const wrong[] = {"", "$", "name", "$na/me", "${name}", "$na$me", "$ name"};
    traveller *t = *state;
    weir_str name;

    assert_true(weir_variable_name(&t->conf, WEIR_STR("$a_Name9"), &name));
    assert_str(name, "a_Name9");
    assert_true(weir_variable_name(&t->conf, WEIR_STR("$arg_go-get.x"), &name));
    assert_str(name, "arg_go-get.x");

    for (size_t i = 0; i < WEIR_COUNT(wrong); i++) {
        assert_false(weir_variable_name(&t->conf, weir_str_from_z(wrong[i]), &name));
        assert_non_null(strstr(t->conf.message, "invalid variable name \""));
    }
}

/* ---- unknown names */

static void an_unknown_name_is_refused_where_it_was_first_used(void **state)
{
    traveller *t = *state;
    weir_str args[] = {WEIR_STR("greet"), WEIR_STR("$name"), WEIR_STR("x-${Nobody}")};
    const weir_statement first = {.args = args, .count = 3}, later = first;

    t->conf.statement = &first;
    traveller_template(t, "$name");
    traveller_template(t, "x-${Nobody}");
    t->conf.statement = &later;
    traveller_template(t, "$nobody");
    t->conf.statement = NULL;

    assert_false(weir_space_close(&t->conf, t->space));
    assert_string_equal(t->conf.message, "unknown \"nobody\" variable");
    assert_ptr_equal(t->conf.refused_statement, &first);
    assert_int_equal(t->conf.refused_arg, 2);
}

static void an_unknown_name_that_is_nearly_known_has_a_hint(void **state)
{
    traveller *t = *state;

    traveller_template(t, "$lugagge");
    assert_false(weir_space_close(&t->conf, t->space));
    assert_string_equal(t->conf.hint, "did you mean \"$luggage\"?");
}

static void a_longer_name_is_not_taken_for_the_unknown_one(void **state)
{
    traveller *t = *state;
    weir_str args[] = {WEIR_STR("greet"), WEIR_STR("$nobody_else"), WEIR_STR("$nobody")};
    const weir_statement statement = {.args = args, .count = 3};

    t->conf.statement = &statement;
    traveller_template(t, "$nobody");
    assert_false(weir_space_close(&t->conf, t->space));
    assert_int_equal(t->conf.refused_arg, 2);
    assert_string_equal(t->conf.hint, "");
}

static void an_unknown_name_is_found_within_a_block_of_data(void **state)
{
    traveller *t = *state;
    weir_str outer_args[] = {WEIR_STR("map"), WEIR_STR("$name"), WEIR_STR("$x")};
    weir_str inner_args[] = {WEIR_STR("~a"), WEIR_STR("$nobody")};
    const weir_statement inner = {.args = inner_args, .count = 2};
    const weir_statement outer = {.args = outer_args, .count = 3, .first_child = &inner};

    t->conf.statement = &outer;
    traveller_template(t, "$nobody");

    assert_false(weir_space_close(&t->conf, t->space));
    assert_ptr_equal(t->conf.refused_statement, &inner);
    assert_int_equal(t->conf.refused_arg, 1);
}

static void a_name_that_comes_after_closing_is_bound_at_once(void **state)
{
    traveller *t = *state;
    int slot;

    assert_true(weir_space_close(&t->conf, t->space));
    slot = traveller_slot(t, "name");
    assert_int_equal(traveller_slot(t, "nobody"), -1);
    assert_string_equal(t->conf.message, "unknown \"nobody\" variable");

    weir_script_begin(&t->script, t->space, t, t->conf.pool, &t->log);
    assert_str(traveller_get(t, slot).text, "Ann");
}

/* ---- values */

static void a_value_is_evaluated_once(void **state)
{
    traveller *t = *state;
    int slot = traveller_slot(t, "name");

    traveller_depart(t);
    assert_str(traveller_get(t, slot).text, "Ann");
    t->name = WEIR_STR("Bob");
    assert_str(traveller_get(t, slot).text, "Ann");
    assert_int_equal(t->evaluated, 1);
}

static void a_volatile_one_is_evaluated_each_time(void **state)
{
    traveller *t = *state;
    int slot = traveller_slot(t, "name_now");

    traveller_depart(t);
    assert_str(traveller_get(t, slot).text, "Ann");
    t->name = WEIR_STR("Bob");
    assert_str(traveller_get(t, slot).text, "Bob");
}

static void that_there_is_no_value_is_remembered_too(void **state)
{
    traveller *t = *state;
    int slot = traveller_slot(t, "name");

    t->name = WEIR_STR_EMPTY;
    traveller_depart(t);
    assert_false(traveller_get(t, slot).found);
    assert_false(traveller_get(t, slot).found);
    assert_str(traveller_get(t, slot).text, "");
    assert_int_equal(t->evaluated, 1);
}

static void what_is_set_by_hand_is_the_value(void **state)
{
    traveller *t = *state;
    int slot = traveller_slot(t, "bag_of_tricks"), other = traveller_slot(t, "name_now");

    traveller_depart(t);
    assert_str(traveller_get(t, slot).text, "tricks");
    assert_true(weir_script_set(&t->script, slot, WEIR_STR("by hand")));
    assert_true(weir_script_set(&t->script, other, WEIR_STR("volatile, by hand")));
    assert_str(traveller_get(t, slot).text, "by hand");
    assert_str(traveller_get(t, other).text, "volatile, by hand");
}

static void a_built_in_variable_sees_what_it_is_set_to(void **state)
{
    traveller *t = *state;
    int slot = traveller_slot(t, "luggage");

    traveller_depart(t);
    assert_true(weir_script_set(&t->script, slot, WEIR_STR("bag")));
    assert_str(t->luggage, "bag");
    assert_str(traveller_get(t, slot).text, "bag");
    assert_false(weir_script_set(&t->script, slot, WEIR_STR("bomb")));
    assert_str(traveller_get(t, slot).text, "bag");
}

static void a_variable_without_value_is_not_found_until_it_is_set(void **state)
{
    const weir_variable empty = {.may_be_redefined = true};
    traveller *t = *state;
    int slot = traveller_slot(t, "x");

    assert_true(weir_space_define(&t->conf, t->space, WEIR_STR("x"), &empty));
    traveller_depart(t);
    assert_false(traveller_get(t, slot).found);
    assert_true(weir_script_set(&t->script, slot, WEIR_STR_EMPTY));
    assert_true(traveller_get(t, slot).found);
}

/* ---- by name */

static void finds_variables_by_name(void **state)
{
    traveller *t = *state;
    int slot = traveller_slot(t, "name");
    weir_value value;

    traveller_depart(t);
    assert_true(weir_script_find(&t->script, WEIR_STR("NAME"), &value));
    assert_str(value.text, "Ann");
    assert_str(traveller_get(t, slot).text, "Ann");
    assert_int_equal(t->evaluated, 1);

    assert_true(weir_script_find(&t->script, WEIR_STR("bag_of_tricks"), &value));
    assert_str(value.text, "tricks");
    assert_true(weir_script_find(&t->script, WEIR_STR("Bag_Small_RED"), &value));
    assert_str(value.text, "/red/");
}

static void an_unknown_name_is_not_found(void **state)
{
    traveller *t = *state;
    weir_value value = {.text = WEIR_STR("stale"), .found = true};

    traveller_depart(t);
    assert_true(weir_script_find(&t->script, WEIR_STR("nobody"), &value));
    assert_false(value.found);
    assert_str(value.text, "");
}

/* ---- variables of variables */

static void a_variable_that_refers_to_itself_is_logged_and_empty(void **state)
{
    toy_map a, b;
    traveller *t = *state;

    traveller_map(t, &a, "a", "($b)", "(.*)", "a:$1");
    traveller_map(t, &b, "b", "($a)", "(.*)", "b:$1");
    assert_str(traveller_says(t, "$a"), "a:(b:())");
    assert_true(traveller_log_has(t, "[error]"));
    assert_true(traveller_log_has(t, "cycle while evaluating variable \"a\""));
}

static void a_chain_of_variables_is_bounded(void **state)
{
    enum { links = 120 };
    static toy_map chain[links];
    traveller *t = *state;
    char name[32], source[32];

    for (int i = 0; i < links; i++) {
        snprintf(name, sizeof(name), "chain%d", i);
        snprintf(source, sizeof(source), i + 1 == links ? "end" : "$chain%d", i + 1);
        traveller_map(t, &chain[i], name, source, "(.*)", "$1.");
    }

    /* The hundred that were evaluated add a "." each, to an empty text. */
    assert_int_equal(traveller_says(t, "$chain0").len, 100);
    assert_true(traveller_log_has(t, "cycle while evaluating variable \"chain100\""));
}

/* ---- memory */

static bool defines_and_uses(weir_pool *pool)
{
    weir_conf conf = {.pool = pool};
    const weir_variable late = {.get = traveller_constant, .arg = (uintptr_t) "late"};
    weir_space *space = weir_space_of(&conf, "toy");

    return space != NULL && weir_space_add(&conf, space, traveller_variables)
           && weir_space_slot(&conf, space, WEIR_STR("bag_red")) >= 0
           && weir_space_slot(&conf, space, WEIR_STR("late")) >= 0
           && weir_space_define(&conf, space, WEIR_STR("late"), &late)
           && weir_space_close(&conf, space);
}

static void each_allocation_may_fail_while_reading(void **state)
{
    (void) state;
    assert_true(unit_fail_each_allocation(defines_and_uses) > 0);
}

static const weir_space *shared_space;
static int shared_slot;

static bool evaluates(weir_pool *pool)
{
    traveller t = {.name = WEIR_STR_INIT("Ann")};
    weir_value value;

    weir_script_begin(&t.script, shared_space, &t, pool, NULL);
    return weir_script_get(&t.script, shared_slot, &value)
           && weir_script_set(&t.script, shared_slot, WEIR_STR("text"))
           && weir_script_find(&t.script, WEIR_STR("bag_Blue"), &value);
}

static void each_allocation_may_fail_while_evaluating(void **state)
{
    traveller *t = *state;

    shared_slot = traveller_slot(t, "bag_red");
    traveller_depart(t);
    shared_space = t->space;
    assert_true(unit_fail_each_allocation(evaluates) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_with_traveller(a_name_has_one_slot_whatever_its_case),
        unit_test_with_traveller(families_of_modules_have_a_space_each),
        unit_test_with_traveller(a_prefix_stands_for_all_names_that_begin_so),
        unit_test_with_traveller(a_prefix_alone_is_a_name_too),
        unit_test_with_traveller(the_longest_prefix_counts),
        unit_test_with_traveller(an_exact_name_wins_over_prefixes),
        unit_test_with_traveller(a_definition_may_come_after_the_use),
        unit_test_with_traveller(a_built_in_variable_may_not_be_redefined),
        unit_test_with_traveller(one_that_may_be_redefined_is_replaced),
        unit_test_with_traveller(a_fallback_gives_way_to_what_was_there),
        unit_test_with_traveller(a_fallback_gives_way_to_what_comes_later),
        unit_test_with_traveller(a_built_in_variable_that_takes_values_may_be_set),
        unit_test_with_traveller(a_built_in_variable_that_takes_none_may_not),
        unit_test_with_traveller(a_set_of_a_prefixed_name_makes_a_variable_of_its_own),
        unit_test_with_traveller(names_of_directives_begin_with_a_dollar),
        unit_test_with_traveller(an_unknown_name_is_refused_where_it_was_first_used),
        unit_test_with_traveller(an_unknown_name_that_is_nearly_known_has_a_hint),
        unit_test_with_traveller(a_longer_name_is_not_taken_for_the_unknown_one),
        unit_test_with_traveller(an_unknown_name_is_found_within_a_block_of_data),
        unit_test_with_traveller(a_name_that_comes_after_closing_is_bound_at_once),
        unit_test_with_traveller(a_value_is_evaluated_once),
        unit_test_with_traveller(a_volatile_one_is_evaluated_each_time),
        unit_test_with_traveller(that_there_is_no_value_is_remembered_too),
        unit_test_with_traveller(what_is_set_by_hand_is_the_value),
        unit_test_with_traveller(a_built_in_variable_sees_what_it_is_set_to),
        unit_test_with_traveller(a_variable_without_value_is_not_found_until_it_is_set),
        unit_test_with_traveller(finds_variables_by_name),
        unit_test_with_traveller(an_unknown_name_is_not_found),
        unit_test_with_traveller(a_variable_that_refers_to_itself_is_logged_and_empty),
        unit_test_with_traveller(a_chain_of_variables_is_bounded),
        unit_test_with_traveller(each_allocation_may_fail_while_reading),
        unit_test_with_traveller(each_allocation_may_fail_while_evaluating),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
