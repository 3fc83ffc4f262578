#include "t/unit/conf_unit.h"

static void reads(const char *text)
{
    if (!conf_unit_read(text)) {
        fail_msg("%s", unit.messages);
    }
}

static void writes(const char *name, const char *text)
{
    conf_unit_write(name, text, strlen(text));
}

static void an_include_stands_for_what_the_file_holds(void **state)
{
    (void) state;
    writes("two.inc", "plain 2;\nplain 3;");
    reads("plain 1;\ninclude two.inc;\nplain 4;");
    assert_string_equal(seen.trace, "call 1, call 2, call 3, call 4");
}

static void a_pattern_includes_in_the_order_of_names(void **state)
{
    (void) state;
    writes("g1.inc", "plain 1;");
    writes("g10.inc", "plain 10;");
    writes("g2.inc", "plain 2;");
    reads("include g*.inc; include g[2].inc; include none*.inc; include g?.inc;");
    assert_string_equal(seen.trace, "call 1, call 10, call 2, call 2, call 1, call 2");
}

static void includes_work_in_blocks_of_all_kinds(void **state)
{
    (void) state;
    writes("pairs.inc", "a b; c d;");
    writes("number.inc", "number 5;");
    reads("http { pairs { x y; include pairs.inc; } server { include number.inc; } }");
    assert_int_equal(conf_unit_at(0)->pairs, 3);
    assert_int_equal(conf_unit_at(1)->number, 5);
}

static void an_included_file_closes_its_own_blocks_only(void **state)
{
    (void) state;
    writes("open.inc", "http {");
    assert_non_null(strstr(conf_unit_refusal("include open.inc; }"),
                           "unexpected end of file, expecting \"}\" in open.inc:1"));
    writes("close.inc", "}");
    assert_non_null(
        strstr(conf_unit_refusal("http { include close.inc;"), "unexpected \"}\" in close.inc:1"));
    writes("half.inc", "plain 1");
    assert_non_null(strstr(conf_unit_refusal("include half.inc;;"),
                           "unexpected end of file, expecting \";\" or \"}\" in half.inc:1"));
}

static void each_file_is_listed_once(void **state)
{
    const weir_conf_file *file;
    char names[256] = "";
    size_t position = 0;

    (void) state;
    writes("x.inc", "plain x;");
    writes("y.inc", "include x.inc;");
    assert_true(conf_unit_read_with("include y.inc; include x.inc;", "plain g;"));

    while ((file = weir_conf_files_next(unit.main, &position)) != NULL) {
        weir_str name = weir_str_from(file->name, strlen(unit.folder) + 1);
        size_t len = strlen(names);

        snprintf(names + len, sizeof(names) - len, "%.*s ", WEIR_STR_ARG(name));
    }

    assert_string_equal(names, "weir.conf y.inc x.inc ");
}

/* In "configured" of a module, and after the reading: what statements say is still there. */
static void statements_outlive_the_reading(void **state)
{
    const weir_statement *statement;

    (void) state;
    reads("http {\n  server 'a\\tb' {\n    number 5;\n  }\n}");
    statement = seen.levels[1]->statement;
    assert_int_equal(statement->line, 2);
    assert_int_equal(statement->count, 2);
    assert_true(weir_str_eq(statement->args[1], WEIR_STR("a\tb")));
    assert_true(statement->quoted[1]);
    assert_false(statement->quoted[0]);
    assert_int_equal(statement->offsets[1], 16);
    assert_string_equal(statement->first_child->directive->name, "number");
}

static void a_parameter_is_a_name_and_a_value(void **state)
{
    weir_str value;

    (void) state;
    assert_true(weir_conf_parameter(WEIR_STR("weight=5"), "weight=", &value));
    assert_true(weir_str_eq(value, WEIR_STR("5")));
    assert_true(weir_conf_parameter(WEIR_STR("weight="), "weight=", &value));
    assert_int_equal(value.len, 0);
    assert_false(weir_conf_parameter(WEIR_STR("weigh"), "weight=", &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_include_stands_for_what_the_file_holds),
        cmocka_unit_test(a_pattern_includes_in_the_order_of_names),
        cmocka_unit_test(includes_work_in_blocks_of_all_kinds),
        cmocka_unit_test(an_included_file_closes_its_own_blocks_only),
        cmocka_unit_test(each_file_is_listed_once),
        cmocka_unit_test(statements_outlive_the_reading),
        cmocka_unit_test(a_parameter_is_a_name_and_a_value),
    };

    return cmocka_run_group_tests(tests, conf_unit_setup, conf_unit_teardown);
}
