#include "t/unit/conf_unit.h"

static void reads(const char *text)
{
    if (!conf_unit_read(text)) {
        fail_msg("%s", unit.messages);
    }
}

static bool is(weir_str text, const char *expected)
{
    return weir_str_eq(text, weir_str_from_z(expected));
}

static void assert_list(const weir_array *list, const char *expected)
{
    char joined[256];
    size_t len = 0;

    joined[0] = '\0';
    for (WEIR_ARRAY_EACH(list, weir_str, item)) {
        len += (size_t) snprintf(joined + len, sizeof(joined) - len, "%s%.*s", len > 0 ? " " : "",
                                 WEIR_STR_ARG(*item));
    }

    assert_string_equal(joined, expected);
}

static void presets_are_taken_as_if_they_were_written(void **state)
{
    const conf_unit_values *values;
    char path[300];

    (void) state;
    reads("http {}");
    values = conf_unit_at(0);
    assert_true(values->flag);
    assert_int_equal(values->number, 7);
    assert_int_equal(values->size, 8192);
    assert_int_equal(values->offset, 1 << 30);
    assert_int_equal(values->time_ms, 60000);
    assert_int_equal(values->time_s, 5400);
    assert_true(is(values->text, "a b"));
    assert_int_equal(values->text_or_off.len, 0);
    assert_int_equal(values->choice, 2);
    assert_int_equal(values->bits, 5);
    assert_int_equal(values->sizes.count, 4);
    assert_int_equal(values->sizes.size, 8192);
    assert_int_equal(values->alone, 3);
    assert_int_equal(values->list.count, 0);
    assert_null(values->template);

    snprintf(path, sizeof(path), "%s/html", unit.folder);
    assert_true(is(values->path, path));
    assert_int_equal(strlen(values->path.data), values->path.len);
}

static void each_kind_of_slot_stores_its_value(void **state)
{
    const conf_unit_values *values;

    (void) state;
    reads("http { flag OFF; number 20; size 1M; offset 3G; time_ms 1d12h; time_s 1y; text x; "
          "text_or_off y; choice BLUE; bits green; list a b; list c; sizes 2 1k; template $z; "
          "path /a/b; pairs { a b; c d e; f; } }");
    values = conf_unit_at(0);
    assert_false(values->flag);
    assert_int_equal(values->number, 20);
    assert_int_equal(values->size, 1 << 20);
    assert_int_equal(values->offset, 3ull << 30);
    assert_int_equal(values->time_ms, 36 * 3600 * 1000);
    assert_int_equal(values->time_s, 365 * 86400);
    assert_true(is(values->text, "x"));
    assert_true(is(values->text_or_off, "y"));
    assert_int_equal(values->choice, 4);
    assert_int_equal(values->bits, 2);
    assert_list(&values->list, "a b c");
    assert_int_equal(values->sizes.count, 2);
    assert_int_equal(values->sizes.size, 1024);
    assert_true(is(*(const weir_str *) (const void *) values->template, "$z"));
    assert_true(is(values->path, "/a/b"));
    assert_int_equal(values->pairs, 3);
}

/* Outer and inner level each with and without: what the inner one then has. */
static void inheritance_replaces_appends_or_begins_anew(void **state)
{
    static const struct {
        const char *outer, *inner, *list, *added;
        uint64_t number, alone;
    } cases[] = {
        {"", "", "", "", 7, 3},
        {"number 1; list a; added b; alone 5;", "", "a", "b", 1, 3},
        {"", "number 2; list c; added d; alone 6;", "c", "d", 2, 6},
        {"number 1; list a; added b; alone 5;", "number 2; list c; added d e; alone 6;", "c",
         "b d e", 2, 6},
        {"number 1; list a; added b; alone 5;", "number 2;", "a", "b", 2, 3},
        {"number 1; list a; added b; alone 5;", "added c;", "a", "b c", 1, 3},
        {"number 1; list a; added b;", "alone 6;", "a", "b", 1, 6},
    };

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        const conf_unit_values *values;
        char text[512];

        snprintf(text, sizeof(text), "http { %s server { location / { %s } } }", cases[i].outer,
                 cases[i].inner);
        reads(text);
        values = conf_unit_at(2);
        assert_int_equal(values->number, cases[i].number);
        assert_int_equal(values->alone, cases[i].alone);
        assert_list(&values->list, cases[i].list);
        assert_list(&values->added, cases[i].added);
        assert_true(values->flag);
    }
}

static void an_outer_setting_holds_wherever_it_stands(void **state)
{
    (void) state;
    reads("http { server { location / {} number 5; } number 4; }");
    assert_int_equal(conf_unit_at(0)->number, 4);
    assert_int_equal(conf_unit_at(1)->number, 5);
    assert_int_equal(conf_unit_at(2)->number, 5);
}

static void outer_levels_do_not_see_inner_ones(void **state)
{
    (void) state;
    reads("http { added a; server { added b; } server { added c; } }");
    assert_list(&conf_unit_at(0)->added, "a");
    assert_list(&conf_unit_at(1)->added, "a b");
    assert_list(&conf_unit_at(2)->added, "a c");
}

static void members_of_a_call_are_inherited_as_bytes(void **state)
{
    (void) state;
    reads("http { allow a; deny a; server {} server { deny b; } }");
    assert_list(&conf_unit_at(1)->rules, "allow deny");
    assert_list(&conf_unit_at(2)->rules, "deny");
}

static void what_no_row_names_is_the_level_s_own(void **state)
{
    (void) state;
    reads("http { allow a; server { deny b; deny c; } server { number 2; } }");
    assert_int_equal(conf_unit_at(0)->unnamed, 1);
    assert_int_equal(conf_unit_at(1)->unnamed, 2);
    assert_int_equal(conf_unit_at(2)->unnamed, 0);
}

static void levels_that_set_nothing_of_a_module_share_its_settings(void **state)
{
    const weir_module *lone = &conf_unit_lone_module;

    (void) state;
    reads("http { server { location / { location /a {} } } server { lone 5; location / {} } }");
    assert_ptr_equal(conf_unit_at(1), conf_unit_at(0));
    assert_ptr_equal(conf_unit_at(3), conf_unit_at(0));
    assert_ptr_equal(conf_unit_at(4), conf_unit_at(0));
    assert_ptr_equal(conf_unit_at(5), conf_unit_at(0));
    assert_ptr_not_equal(weir_level_settings(seen.levels[2], lone),
                         weir_level_settings(seen.levels[0], lone));
    assert_ptr_equal(weir_level_settings(seen.levels[5], lone),
                     weir_level_settings(seen.levels[2], lone));
}

static void what_is_not_inherited_is_shared_below(void **state)
{
    (void) state;
    reads("http { server { alone 9; number 2; location /a {} location /b { location /c {} } } }");
    assert_int_equal(conf_unit_at(1)->alone, 9);
    assert_int_equal(conf_unit_at(2)->alone, 3);
    assert_int_equal(conf_unit_at(2)->number, 2);
    assert_ptr_equal(conf_unit_at(3), conf_unit_at(2));
    assert_ptr_equal(conf_unit_at(4), conf_unit_at(2));
}

static void check_runs_once_for_distinct_settings(void **state)
{
    (void) state;
    reads("http { server { location /a {} location /b {} } server {} }");
    assert_int_equal(seen.checks, 1);
    reads("http { number 2; server { alone 4; location /a {} location /b {} } server { number 3; } "
          "}");
    assert_int_equal(seen.checks, 4);
}

static void a_refusal_of_check_names_what_made_the_settings(void **state)
{
    (void) state;
    assert_non_null(strstr(conf_unit_refusal("http {\n server {\n flag on;\n number 13;\n }\n}\n"),
                           "13 is no good number in weir.conf:3\n    flag on;\n    ^\n"));
}

static void it_is_known_what_a_level_set_itself(void **state)
{
    const weir_module *values = &conf_unit_values_module;
    size_t number = offsetof(conf_unit_values, number), size = offsetof(conf_unit_values, size);

    (void) state;
    reads("http { number 7; server { size 1k; } }");
    assert_true(weir_level_has_set(seen.levels[0], values, number));
    assert_false(weir_level_has_set(seen.levels[0], values, size));
    assert_false(weir_level_has_set(seen.levels[1], values, number));
    assert_true(weir_level_has_set(seen.levels[1], values, size));
    assert_false(weir_level_has_set(seen.levels[1], &conf_unit_lone_module, 0));
}

static void statements_are_applied_level_by_level(void **state)
{
    (void) state;
    reads(
        "plain 1; http { server s { location l { } } upstream u { server 2; } } early 0; plain 3;");
    assert_string_equal(seen.trace, "call 0, call 1, enter http, call 3, enter s, enter u, call 2, "
                                    "leave u, enter l, leave l, leave s, leave http");
}

static void a_level_has_its_family_s_settings_only(void **state)
{
    (void) state;
    reads("events {} http {}");
    assert_null(weir_level_settings(unit.main, &conf_unit_values_module));
    assert_null(weir_level_settings(seen.levels[0], &conf_unit_values_module));
    assert_non_null(weir_level_settings(seen.levels[1], &conf_unit_values_module));
    assert_int_equal(seen.levels[1]->settings_count, 2);
    assert_int_equal(seen.levels[1]->context, CONF_UNIT_HTTP);
    assert_ptr_equal(seen.levels[1]->outer, unit.main);
}

static void repeated_words_in_bits_are_warned_of(void **state)
{
    (void) state;
    reads("http { bits red red; }");
    assert_int_equal(conf_unit_at(0)->bits, 1);
    assert_string_equal(unit.messages, "weir: [warn] duplicate value \"red\" in weir.conf:1\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(presets_are_taken_as_if_they_were_written),
        cmocka_unit_test(each_kind_of_slot_stores_its_value),
        cmocka_unit_test(inheritance_replaces_appends_or_begins_anew),
        cmocka_unit_test(an_outer_setting_holds_wherever_it_stands),
        cmocka_unit_test(outer_levels_do_not_see_inner_ones),
        cmocka_unit_test(members_of_a_call_are_inherited_as_bytes),
        cmocka_unit_test(what_no_row_names_is_the_level_s_own),
        cmocka_unit_test(levels_that_set_nothing_of_a_module_share_its_settings),
        cmocka_unit_test(what_is_not_inherited_is_shared_below),
        cmocka_unit_test(check_runs_once_for_distinct_settings),
        cmocka_unit_test(a_refusal_of_check_names_what_made_the_settings),
        cmocka_unit_test(it_is_known_what_a_level_set_itself),
        cmocka_unit_test(statements_are_applied_level_by_level),
        cmocka_unit_test(a_level_has_its_family_s_settings_only),
        cmocka_unit_test(repeated_words_in_bits_are_warned_of),
    };

    return cmocka_run_group_tests(tests, conf_unit_setup, conf_unit_teardown);
}
