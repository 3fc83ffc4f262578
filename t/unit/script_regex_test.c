#include "t/unit/script_unit.h"

#include <malloc.h>

/* ---- compiling */

static void a_wrong_pattern_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *pattern, *message;
    } wrong[] = {
        {"a(", "pcre2_compile() failed: missing closing parenthesis in \"a(\""},
        {"(?<x-y>a)", "pcre2_compile() failed: syntax error in subpattern name (missing "
                      "terminator?) in \"(?<x-y>a)\" at \"-y>a)\""},
        {"x**y", "pcre2_compile() failed: quantifier does not follow a repeatable item in "
                 "\"x**y\" at \"*y\""},
    };
    traveller *t = *state;

    for (size_t i = 0; i < WEIR_COUNT(wrong); i++) {
        assert_null(weir_regex_new(&t->conf, t->space, weir_str_from_z(wrong[i].pattern), false));
        assert_string_equal(t->conf.message, wrong[i].message);
    }
}

static void a_pattern_need_not_outlive_compiling(void **state)
{
    traveller *t = *state;
    char pattern[] = "^(a+)+$";
    const weir_regex *regex = traveller_regex(t, pattern);

    memset(pattern, '-', sizeof(pattern) - 1);
    traveller_depart(t);
    assert_true(traveller_matches(t, regex, "aaa"));
}

static void equal_patterns_are_compiled_once(void **state)
{
    traveller *t = *state;
    size_t before, after;

    if (UNIT_SANITIZED) {
        skip(); /* its malloc does not count */
    }

    traveller_regex(t, "^/(.*)\\.(gif|jpg|png|webp|css|js)$");
    before = mallinfo2().uordblks - weir_pool_used(t->conf.pool);
    for (int i = 0; i < 3; i++) {
        traveller_regex(t, "^/(.*)\\.(gif|jpg|png|webp|css|js)$");
    }
    after = mallinfo2().uordblks - weir_pool_used(t->conf.pool);
    assert_true(after <= before);
}

static void case_matters_unless_said(void **state)
{
    traveller *t = *state;
    const weir_regex *exact = weir_regex_new(&t->conf, t->space, WEIR_STR("^ann$"), false);
    const weir_regex *either = weir_regex_new(&t->conf, t->space, WEIR_STR("^ann$"), true);

    assert_int_equal(weir_regex_test(exact, WEIR_STR("Ann"), &t->log), WEIR_REGEX_NO_MATCH);
    assert_int_equal(weir_regex_test(either, WEIR_STR("Ann"), &t->log), WEIR_REGEX_MATCH);
    assert_int_equal(weir_regex_test(exact, WEIR_STR("ann"), &t->log), WEIR_REGEX_MATCH);
}

static void a_pattern_may_refuse_jit_itself(void **state)
{
    traveller *t = *state;
    const weir_regex *regex = traveller_regex(t, "(*NO_JIT)^a$");

    assert_int_equal(weir_regex_test(regex, WEIR_STR("a"), &t->log), WEIR_REGEX_MATCH);
}

/* ---- what matches */

static void the_empty_text_can_match(void **state)
{
    traveller *t = *state;
    const weir_regex *regex = traveller_regex(t, "^(x?)$");

    traveller_depart(t);
    assert_int_equal(weir_regex_match(regex, &t->script, weir_str_of(NULL, 0)), WEIR_REGEX_MATCH);
    assert_str(t->script.captures[1], "");
    assert_int_equal(weir_regex_test(traveller_regex(t, ""), weir_str_of(NULL, 0), &t->log),
                     WEIR_REGEX_MATCH);
}

static void patterns_match_bytes(void **state)
{
    traveller *t = *state;

    assert_int_equal(weir_regex_test(traveller_regex(t, "^..$"), WEIR_STR("\xc3\xa9"), &t->log),
                     WEIR_REGEX_MATCH);
    assert_int_equal(
        weir_regex_test(traveller_regex(t, "^a\\x00\\xff$"), WEIR_STR("a\0\xff"), &t->log),
        WEIR_REGEX_MATCH);
}

static void utf_is_asked_for_by_the_pattern(void **state)
{
    traveller *t = *state;
    const weir_regex *regex = traveller_regex(t, "(*UTF)^.$");

    assert_int_equal(weir_regex_test(regex, WEIR_STR("\xc3\xa9"), &t->log), WEIR_REGEX_MATCH);
    assert_int_equal(weir_regex_test(regex, WEIR_STR("\xc3"), &t->log), WEIR_REGEX_NO_MATCH);
    assert_int_equal(weir_regex_test(regex, WEIR_STR("\xff\xfe"), &t->log), WEIR_REGEX_NO_MATCH);
    assert_int_equal(
        weir_regex_test(traveller_regex(t, "(*UTF8)^.$"), WEIR_STR("\xc3\xa9"), &t->log),
        WEIR_REGEX_MATCH);
}

static void utf_interpreted_takes_what_is_not_utf_too(void **state)
{
    traveller *t = *state;
    const weir_regex *regex = traveller_regex(t, "(*NO_JIT)(*UTF)^.$");

    assert_int_equal(weir_regex_test(regex, WEIR_STR("\xc3\xa9"), &t->log), WEIR_REGEX_MATCH);
    assert_int_equal(weir_regex_test(regex, WEIR_STR("\xc3"), &t->log), WEIR_REGEX_NO_MATCH);
}

/* ---- captures */

static void captures_are_slices_of_the_text(void **state)
{
    traveller *t = *state;
    const weir_regex *regex = traveller_regex(t, "/(\\w+)/(\\w+)");
    const char *text = "see /en/page";

    traveller_depart(t);
    assert_true(traveller_matches(t, regex, text));
    assert_int_equal(t->script.capture_count, 3);
    assert_str(t->script.captures[0], "/en/page");
    assert_ptr_equal(t->script.captures[1].data, text + 5);
    assert_str(t->script.captures[1], "en");
    assert_str(t->script.captures[2], "page");
}

static void a_group_that_took_no_part_is_empty(void **state)
{
    traveller *t = *state;
    const weir_regex *regex = traveller_regex(t, "^(x)?(a)(y)?$");

    traveller_depart(t);
    assert_true(traveller_matches(t, traveller_regex(t, "(.)(.)(.)"), "123"));
    assert_true(traveller_matches(t, regex, "a"));
    assert_str(t->script.captures[1], "");
    assert_str(t->script.captures[2], "a");
    assert_str(t->script.captures[3], "");
}

static void groups_beyond_nine_match_but_are_no_captures(void **state)
{
    traveller *t = *state;
    const weir_regex *regex = traveller_regex(t, "(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(?<last>k)");
    int last = traveller_slot(t, "last");

    traveller_depart(t);
    assert_true(traveller_matches(t, regex, "abcdefghijk"));
    assert_int_equal(t->script.capture_count, WEIR_CAPTURES_MAX);
    assert_str(t->script.captures[9], "i");
    assert_str(traveller_get(t, last).text, "k");
}

static void a_text_that_does_not_match_changes_nothing(void **state)
{
    traveller *t = *state;
    const weir_regex *first = traveller_regex(t, "(?<x>a)"),
                     *second = traveller_regex(t, "(?<x>b)");
    int x = traveller_slot(t, "x");

    traveller_depart(t);
    assert_false(traveller_matches(t, second, "a"));
    assert_false(traveller_get(t, x).found);
    assert_true(traveller_matches(t, first, "a"));
    assert_false(traveller_matches(t, second, "a"));
    assert_str(traveller_get(t, x).text, "a");
    assert_str(t->script.captures[1], "a");
}

static void a_match_without_groups_empties_the_captures(void **state)
{
    traveller *t = *state;
    const weir_template *template = traveller_template(t, "<$1>");

    traveller_depart(t);
    assert_true(traveller_matches(t, traveller_regex(t, "(a)"), "a"));
    assert_str(traveller_text(t, template), "<a>");
    assert_true(traveller_matches(t, traveller_regex(t, "a"), "a"));
    assert_str(traveller_text(t, template), "<>");
}

static void captures_can_be_dropped(void **state)
{
    traveller *t = *state;
    const weir_template *template = traveller_template(t, "<$1>");

    traveller_depart(t);
    assert_true(traveller_matches(t, traveller_regex(t, "(a)"), "a"));
    weir_script_drop_captures(&t->script);
    assert_str(traveller_text(t, template), "<>");
}

static void testing_leaves_captures_alone(void **state)
{
    traveller *t = *state;

    traveller_depart(t);
    assert_true(traveller_matches(t, traveller_regex(t, "(a)"), "a"));
    assert_int_equal(weir_regex_test(traveller_regex(t, "(b)"), WEIR_STR("b"), &t->log),
                     WEIR_REGEX_MATCH);
    assert_str(t->script.captures[1], "a");
}

/* ---- named groups */

static void named_groups_are_variables(void **state)
{
    traveller *t = *state;
    const weir_template *template = traveller_template(t, "$year/$MONTH");
    const weir_regex *regex = traveller_regex(t, "(?<year>\\d+)-(?P<Month>\\d+)");

    traveller_depart(t);
    assert_str(traveller_text(t, template), "/");
    assert_true(traveller_matches(t, regex, "2026-11"));
    assert_str(traveller_text(t, template), "2026/11");
}

static void a_named_group_that_took_no_part_is_empty(void **state)
{
    traveller *t = *state;
    const weir_regex *regex = traveller_regex(t, "^(?<a>x)?(?<b>y)?$");
    int a = traveller_slot(t, "a"), b = traveller_slot(t, "b");

    traveller_depart(t);
    assert_true(traveller_matches(t, regex, "x"));
    assert_true(traveller_matches(t, regex, "y"));
    assert_str(traveller_get(t, a).text, "");
    assert_true(traveller_get(t, a).found);
    assert_str(traveller_get(t, b).text, "y");
}

static void of_groups_with_one_name_that_which_matched_counts(void **state)
{
    traveller *t = *state;
    const weir_regex *regex = traveller_regex(t, "(?J)^(?:x(?<n>1)|y(?<n>2))(?<z>.)$");
    int n = traveller_slot(t, "n"), z = traveller_slot(t, "z");

    traveller_depart(t);
    assert_true(traveller_matches(t, regex, "x1a"));
    assert_str(traveller_get(t, n).text, "1");
    assert_str(traveller_get(t, z).text, "a");
    assert_true(traveller_matches(t, regex, "y2b"));
    assert_str(traveller_get(t, n).text, "2");
    assert_str(traveller_get(t, z).text, "b");
}

static void a_group_may_not_take_the_name_of_a_built_in_variable(void **state)
{
    traveller *t = *state;

    assert_null(weir_regex_new(&t->conf, t->space, WEIR_STR("(?<name>.)"), false));
    assert_string_equal(t->conf.message, "the duplicate \"name\" variable");
}

static void a_group_sets_a_built_in_variable_that_takes_values(void **state)
{
    traveller *t = *state;
    const weir_regex *regex = traveller_regex(t, "(?<luggage>\\w+)");

    traveller_depart(t);
    assert_true(traveller_matches(t, regex, "bag"));
    assert_str(t->luggage, "bag");
    assert_int_equal(weir_regex_match(regex, &t->script, WEIR_STR("bomb")), WEIR_REGEX_ERROR);
}

static void without_a_space_names_are_just_groups(void **state)
{
    traveller *t = *state;
    weir_regex *regex = weir_regex_new(&t->conf, NULL, WEIR_STR("(?<name>.)"), false);

    assert_non_null(regex);
    traveller_depart(t);
    assert_true(traveller_matches(t, regex, "x"));
    assert_str(t->script.captures[1], "x");
    assert_int_equal(weir_space_slot_count(t->space), 0);
}

static void named_groups_of_a_variable_s_regex_stay(void **state)
{
    toy_map map;
    traveller *t = *state;
    const weir_template *template = traveller_template(t, "$first $initial $first $1");

    traveller_map(t, &map, "initial", "$name", "^(?<first>.)", "map");
    traveller_depart(t);
    assert_true(traveller_matches(t, traveller_regex(t, "(own)"), "own"));
    assert_str(traveller_text(t, template), " map A own");
}

/* ---- limits */

static char *repeated(char byte, size_t times, char last)
{
    char *text = malloc(times + 2);

    assert_non_null(text);
    memset(text, byte, times);
    text[times] = last;
    text[times + 1] = '\0';
    return text;
}

static void refuses_endless_backtracking(traveller *t, const char *pattern)
{
    const weir_regex *regex = traveller_regex(t, pattern);
    char *text = repeated('a', 3000, 'b');

    assert_int_equal(weir_regex_test(regex, weir_str_from_z(text), &t->log), WEIR_REGEX_ERROR);
    assert_true(traveller_log_has(t, "[error]"));
    assert_true(traveller_log_has(t, "pcre2_match() failed: -47 (match limit exceeded) on \"aaa"));
    assert_true(traveller_log_has(t, pattern));
    free(text);
}

static void backtracking_is_bounded(void **state)
{
    refuses_endless_backtracking(*state, "^(?:a|aa)+$");
}

static void backtracking_is_bounded_without_jit(void **state)
{
    refuses_endless_backtracking(*state, "(*NO_JIT)^(?:a|aa)+$");
}

static void long_texts_match_with_much_to_remember(void **state)
{
    traveller *t = *state;
    const weir_regex *regex = traveller_regex(t, "^(?:(a)|b)*c$");
    char *text = repeated('a', 60000, 'c');

    assert_int_equal(weir_regex_test(regex, weir_str_from_z(text), &t->log), WEIR_REGEX_MATCH);
    free(text);
}

/* ---- memory */

static bool compiles(weir_pool *pool)
{
    weir_conf conf = {.pool = pool};
    weir_space *space = weir_space_of(&conf, "toy");

    return space != NULL && weir_regex_new(&conf, space, WEIR_STR("(?<a>.)(?<b>.)"), true) != NULL;
}

static void each_allocation_may_fail_while_compiling(void **state)
{
    (void) state;
    assert_true(unit_fail_each_allocation(compiles) > 0);
}

#if !UNIT_SANITIZED

void *__libc_malloc(size_t bytes);

static size_t mallocs_until_failure; /* 0: none fails */

/* PCRE2's own allocations come by here. */
void *malloc(size_t bytes)
{
    if (mallocs_until_failure > 0 && --mallocs_until_failure == 0) {
        return NULL;
    }

    return __libc_malloc(bytes);
}

/* JIT may fail without the regex failing: it is then interpreted. */
static void each_allocation_of_pcre2_may_fail(void **state)
{
    weir_pool *pool;
    size_t failing = 0;
    bool ran_out = true;

    (void) state;

    while (ran_out) {
        weir_conf conf = {.pool = weir_pool_new(65536, 0)};
        weir_regex *regex;

        assert_non_null(pool = conf.pool);
        /* Its first allocation makes the pool's chunk. */
        assert_non_null(weir_space_of(&conf, "toy"));

        mallocs_until_failure = ++failing;
        regex = weir_regex_new(&conf, NULL, WEIR_STR("(a|b)+c"), false);
        ran_out = mallocs_until_failure == 0;
        mallocs_until_failure = 0;

        if (regex == NULL) {
            assert_int_not_equal(conf.message[0], '\0');
        } else {
            assert_int_equal(weir_regex_test(regex, WEIR_STR("abc"), NULL), WEIR_REGEX_MATCH);
            assert_in_range(conf.notices, 0, 1); /* that it is interpreted */
        }
        weir_pool_free(pool);
    }

    assert_true(failing > 3);
}

#else

static void each_allocation_of_pcre2_may_fail(void **state)
{
    (void) state;
    skip(); /* malloc is the sanitizer's */
}

#endif

static traveller *shared;
static const weir_regex *shared_regex;

static bool matches(weir_pool *pool)
{
    weir_script_begin(&shared->script, shared->space, shared, pool, &shared->log);
    return weir_regex_match(shared_regex, &shared->script, WEIR_STR("a")) == WEIR_REGEX_MATCH;
}

static void each_allocation_may_fail_while_matching(void **state)
{
    shared = *state;
    shared_regex = traveller_regex(shared, "(?<x>.)");
    traveller_depart(shared);
    assert_true(unit_fail_each_allocation(matches) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_with_traveller(a_wrong_pattern_is_refused_with_its_place),
        unit_test_with_traveller(a_pattern_need_not_outlive_compiling),
        unit_test_with_traveller(equal_patterns_are_compiled_once),
        unit_test_with_traveller(case_matters_unless_said),
        unit_test_with_traveller(a_pattern_may_refuse_jit_itself),
        unit_test_with_traveller(the_empty_text_can_match),
        unit_test_with_traveller(patterns_match_bytes),
        unit_test_with_traveller(utf_is_asked_for_by_the_pattern),
        unit_test_with_traveller(utf_interpreted_takes_what_is_not_utf_too),
        unit_test_with_traveller(captures_are_slices_of_the_text),
        unit_test_with_traveller(a_group_that_took_no_part_is_empty),
        unit_test_with_traveller(groups_beyond_nine_match_but_are_no_captures),
        unit_test_with_traveller(a_text_that_does_not_match_changes_nothing),
        unit_test_with_traveller(a_match_without_groups_empties_the_captures),
        unit_test_with_traveller(captures_can_be_dropped),
        unit_test_with_traveller(testing_leaves_captures_alone),
        unit_test_with_traveller(named_groups_are_variables),
        unit_test_with_traveller(a_named_group_that_took_no_part_is_empty),
        unit_test_with_traveller(of_groups_with_one_name_that_which_matched_counts),
        unit_test_with_traveller(a_group_may_not_take_the_name_of_a_built_in_variable),
        unit_test_with_traveller(a_group_sets_a_built_in_variable_that_takes_values),
        unit_test_with_traveller(without_a_space_names_are_just_groups),
        unit_test_with_traveller(named_groups_of_a_variable_s_regex_stay),
        unit_test_with_traveller(backtracking_is_bounded),
        unit_test_with_traveller(backtracking_is_bounded_without_jit),
        unit_test_with_traveller(long_texts_match_with_much_to_remember),
        unit_test_with_traveller(each_allocation_may_fail_while_compiling),
        unit_test_with_traveller(each_allocation_of_pcre2_may_fail),
        unit_test_with_traveller(each_allocation_may_fail_while_matching),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
