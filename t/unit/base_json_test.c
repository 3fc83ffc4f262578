#include "t/unit/base_unit.h"

#include "core/base/json.h"

static weir_pool *pool;

static int setup(void **state)
{
    (void) state;
    pool = weir_pool_new(1024, 0);
    return pool == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void) state;
    weir_pool_free(pool);
    return 0;
}

typedef struct {
    char text[512];
    weir_builder builder;
} read_members;

static bool take(const weir_json_member *member, void *subject)
{
    static const char *const kinds[] = {"s", "n", "b", "null", "nested"};
    read_members *members = subject;

    weir_builder_printf(&members->builder, "%.*s:%s:%.*s ", WEIR_STR_ARG(member->name),
                        kinds[member->kind], WEIR_STR_ARG(member->text));
    return !weir_str_eq(member->name, WEIR_STR("stop"));
}

/* What was read, or why not. */
static const char *reading(const char *text)
{
    static read_members members;
    const char *why = NULL;

    memset(&members, 0, sizeof(members));
    weir_builder_over(&members.builder, members.text, sizeof(members.text) - 1);
    if (!weir_json_object_read(weir_str_from_z(text), pool, take, &members, &why)) {
        return why == NULL ? "stopped" : why;
    }
    return members.text;
}

static void members_come_in_order(void **state)
{
    (void) state;
    assert_string_equal(reading("{}"), "");
    assert_string_equal(reading(" { \"a\" : \"b\" , \"c\":12,\"d\":true,\n\"e\":false } "),
                        "a:s:b c:n:12 d:b:true e:b:false ");
    assert_string_equal(reading("{\"a\":0}"), "a:n:0 ");
    assert_string_equal(reading("{\"a\":-1,\"b\":1.50,\"c\":-0e+9,\"d\":null}"),
                        "a:n:-1 b:n:1.50 c:n:-0e+9 d:null:null ");
    assert_string_equal(reading("{\"a\":1,\"stop\":2,\"b\":3}"), "stopped");
}

static void escapes_are_undone(void **state)
{
    (void) state;
    assert_string_equal(reading("{\"a\\u0062\":\"\\\"\\\\\\/\\u0041\"}"), "ab:s:\"\\/A ");
    assert_string_equal(reading("{\"a\":\"\\u00e9\\u20aC\\uD83d\\ude00\"}"),
                        "a:s:\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 ");
}

static void what_is_no_flat_object_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "}",
        "[]",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{\"a\":1,}",
        "{\"a\":01}",
        "{\"a\":-}",
        "{\"a\":-01}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":1e}",
        "{\"a\":+1}",
        "{\"a\":nul}",
        "{\"a\":{}}",
        "{\"a\":[]}",
        "{\"a\":tru}",
        "{\"a\":\"b}",
        "{\"a\":1}x",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u0000\"}",
        "{\"a\":\"\\ud83d\"}",
        "{\"a\":\"\\ud83dx\"}",
        "{\"a\":\"\\ud83d\\u0041\"}",
        "{\"a\":\"\\ude00\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":1 \"b\":2}",
    };

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(bad); i++) {
        if (strcmp(reading(bad[i]), "no flat JSON object") != 0) {
            fail_msg("taken: %s", bad[i]);
        }
    }
}

static void nested_values_are_told_and_end_it(void **state)
{
    (void) state;
    assert_string_equal(reading("{\"stop\":[1]}"), "stopped");
    assert_string_equal(reading("{\"a\":1,\"stop\":{\"b\":[]}}"), "stopped");
    assert_string_equal(reading("{\"a\":[1],\"stop\":2}"), "no flat JSON object");
}

static void every_beginning_of_an_object_is_refused(void **state)
{
    static const char whole[] = "{\"server\":\"127.0.0.1\\u003a80\",\"weight\":5,\"down\":true}";

    (void) state;
    for (size_t len = 0; len < sizeof(whole) - 1; len++) {
        char cut[sizeof(whole)] = "";

        memcpy(cut, whole, len);
        assert_string_equal(reading(cut), "no flat JSON object");
    }
}

static void assert_written(const char *text, const char *wanted)
{
    char written[128];
    weir_builder builder;

    weir_builder_over(&builder, written, sizeof(written));
    weir_json_write_string(&builder, weir_str_from_z(text));
    assert_str_eq(weir_builder_text(&builder), weir_str_from_z(wanted));
}

static void strings_are_written_so_that_they_can_be_read(void **state)
{
    (void) state;
    assert_written("a\"b\\c\nd\x7f", "\"a\\\"b\\\\c\\u000ad\\u007f\"");
}

static void bytes_that_are_not_utf8_are_written_as_latin1(void **state)
{
    (void) state;
    assert_written("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
                   "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"");
    assert_written("\xe9\xc3", "\"\\u00e9\\u00c3\"");
    assert_written("\xc0\xaf \xed\xa0\x80 \xf4\x90\x80\x80",
                   "\"\\u00c0\\u00af \\u00ed\\u00a0\\u0080 \\u00f4\\u0090\\u0080\\u0080\"");
}

static void what_terminals_obey_and_what_ends_lines_is_escaped(void **state)
{
    (void) state;
    assert_written("\xc2\x9b\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa",
                   "\"\\u009b\\u2028\\u2029\xe2\x80\xaa\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_come_in_order),
        cmocka_unit_test(escapes_are_undone),
        cmocka_unit_test(what_is_no_flat_object_is_refused),
        cmocka_unit_test(nested_values_are_told_and_end_it),
        cmocka_unit_test(every_beginning_of_an_object_is_refused),
        cmocka_unit_test(strings_are_written_so_that_they_can_be_read),
        cmocka_unit_test(bytes_that_are_not_utf8_are_written_as_latin1),
        cmocka_unit_test(what_terminals_obey_and_what_ends_lines_is_escaped),
    };

    return cmocka_run_group_tests_name("base json", tests, setup, teardown);
}
