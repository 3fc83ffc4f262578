#include "core/base/builder.h"

#include <stdint.h>

#include "t/unit/base_unit.h"

static weir_str close_text(weir_builder *builder)
{
    weir_str text;

    assert_true(weir_builder_close(builder, &text));
    return text;
}

static void what_is_added_stands_in_order(void **state)
{
    weir_builder builder;

    weir_builder_open(&builder, *state, 100);
    weir_builder_add(&builder, WEIR_STR("a"));
    weir_builder_add(&builder, WEIR_STR(""));
    weir_builder_add_byte(&builder, '\0');
    weir_builder_add_lower(&builder, WEIR_STR("B[C]"));
    weir_builder_add_hexdump(&builder, WEIR_STR("\x00\x9f"));
    weir_builder_printf(&builder, " %d%c", -5, '!');
    assert_str(close_text(&builder), "a\0b[c]009f -5!");
}

static void nothing_added_is_the_empty_string(void **state)
{
    weir_builder builder;

    weir_builder_open(&builder, *state, 100);
    assert_str(weir_builder_text(&builder), "");
    assert_str(close_text(&builder), "");
    assert_int_equal(weir_pool_used(*state), 0);
}

static void writes_numbers(void **state)
{
    weir_builder builder;

    weir_builder_open(&builder, *state, 1000);
    weir_builder_add_uint(&builder, 0);
    weir_builder_add_byte(&builder, ' ');
    weir_builder_add_uint(&builder, UINT64_MAX);
    weir_builder_add_byte(&builder, ' ');
    weir_builder_add_int(&builder, 17);
    weir_builder_add_byte(&builder, ' ');
    weir_builder_add_int(&builder, INT64_MIN);
    weir_builder_add_byte(&builder, ' ');
    weir_builder_add_hex(&builder, 0xdeadbeef);
    weir_builder_add_byte(&builder, ' ');
    weir_builder_add_hex(&builder, 0);
    weir_builder_add_byte(&builder, ' ');
    weir_builder_add_padded(&builder, 7, 3);
    weir_builder_add_byte(&builder, ' ');
    weir_builder_add_padded(&builder, 12345, 3);
    weir_builder_add_byte(&builder, ' ');
    weir_builder_add_padded(&builder, 1, 25);
    assert_str(close_text(&builder),
               "0 18446744073709551615 17 -9223372036854775808 deadbeef 0 007 "
               "12345 0000000000000000000000001");
}

static void grows_up_to_its_limit(void **state)
{
    weir_builder builder;
    weir_str text;

    weir_builder_open(&builder, *state, 5000);
    for (size_t i = 0; i < 5000; i++) {
        weir_builder_add_byte(&builder, (char) ('a' + i % 26));
        if (i % 100 == 0) {
            assert_non_null(weir_pool_alloc(*state, 5)); /* so that it has to move */
        }
    }

    text = close_text(&builder);
    assert_int_equal(text.len, 5000);
    for (size_t i = 0; i < 5000; i++) {
        assert_int_equal(text.data[i], 'a' + i % 26);
    }
}

static void the_limit_is_exact_for_each_way_to_add(void **state)
{
    for (int too_much = 0; too_much < 2; too_much++) {
        for (int way = 0; way < 7; way++) {
            weir_builder builder;
            weir_str text = WEIR_STR("untouched");

            weir_builder_open(&builder, *state, too_much ? 3 : 4);
            switch (way) {
            case 0:
                weir_builder_add(&builder, WEIR_STR("abcd"));
                break;
            case 1:
                weir_builder_add_uint(&builder, 1234);
                break;
            case 2:
                weir_builder_add_int(&builder, -123);
                break;
            case 3:
                weir_builder_add_padded(&builder, 1, 4);
                break;
            case 4:
                weir_builder_add_hexdump(&builder, WEIR_STR("ab"));
                break;
            case 5:
                weir_builder_printf(&builder, "%d", 1234);
                break;
            case 6:
                weir_builder_add_lower(&builder, WEIR_STR("ABCD"));
                break;
            }

            assert_int_equal(weir_builder_close(&builder, &text), !too_much);
            assert_int_equal(text.len, too_much ? strlen("untouched") : 4);
        }
    }
}

static void the_first_failure_sticks(void **state)
{
    weir_builder builder;
    weir_str text = WEIR_STR("untouched");

    weir_builder_open(&builder, *state, 4);
    weir_builder_add(&builder, WEIR_STR("abcde"));
    weir_builder_add(&builder, WEIR_STR("f"));
    weir_builder_add_byte(&builder, 'f');
    assert_null(weir_builder_room(&builder, 1));
    assert_null(weir_builder_room(&builder, 0));
    assert_false(weir_builder_close(&builder, &text));
    assert_str(text, "untouched");
}

static void a_cut_text_ends_where_the_limit_was_met(void **state)
{
    weir_builder builder;
    char buffer[10];

    weir_builder_open(&builder, *state, 8);
    weir_builder_add(&builder, WEIR_STR("abcdef"));
    weir_builder_add(&builder, WEIR_STR("ghijk"));
    weir_builder_add(&builder, WEIR_STR("l"));
    assert_str(weir_builder_cut(&builder), "abcdefgh");

    weir_builder_over(&builder, buffer, sizeof(buffer));
    weir_builder_printf(&builder, "%s", "0123456789a");
    assert_str(weir_builder_cut(&builder), "0123456789");

    weir_builder_over(&builder, buffer, 0);
    weir_builder_add(&builder, WEIR_STR("a"));
    assert_str(weir_builder_cut(&builder), "");

    weir_builder_over(&builder, buffer, sizeof(buffer));
    weir_builder_add(&builder, WEIR_STR("fits"));
    assert_str(weir_builder_cut(&builder), "fits");
}

static void a_buffer_is_never_overrun(void **state)
{
    char buffer[12];

    (void) state;

    for (size_t size = 0; size < 10; size++) {
        weir_builder builder;
        weir_str text;

        memset(buffer, 'x', sizeof(buffer));
        weir_builder_over(&builder, buffer, size);
        weir_builder_add(&builder, WEIR_STR("ab"));
        weir_builder_add_uint(&builder, 123);
        weir_builder_add_byte(&builder, 'c');
        weir_builder_printf(&builder, "%s", "de");
        assert_int_equal(weir_builder_close(&builder, &text), size >= 8);

        for (size_t i = size; i < sizeof(buffer); i++) {
            assert_int_equal(buffer[i], 'x');
        }
    }
}

static void prints_what_is_long(void **state)
{
    char long_text[3000];
    weir_builder builder;

    memset(long_text, 'y', sizeof(long_text));
    weir_builder_open(&builder, *state, 3001);
    weir_builder_printf(&builder, "%.*s.", (int) sizeof(long_text), long_text);
    assert_int_equal(close_text(&builder).len, 3001);
}

static void room_is_written_by_the_caller(void **state)
{
    weir_builder builder;
    char *room;

    weir_builder_open(&builder, *state, 300);
    weir_builder_add(&builder, WEIR_STR("a"));
    room = weir_builder_room(&builder, 299);
    assert_non_null(room);
    memcpy(room, "bcd", 3);
    weir_builder_advance(&builder, 2);
    assert_str(weir_builder_text(&builder), "abc");
    assert_str(close_text(&builder), "abc");

    weir_builder_open(&builder, *state, 300);
    assert_non_null(weir_builder_room(&builder, 0));
    assert_null(weir_builder_room(&builder, 301));
}

static void advancing_past_the_room_is_a_failure(void **state)
{
    char buffer[4];
    weir_builder builder;
    weir_str text;

    (void) state;
    weir_builder_over(&builder, buffer, sizeof(buffer));
    weir_builder_advance(&builder, 5);
    assert_false(weir_builder_close(&builder, &text));
}

static void closing_gives_back_what_was_not_used(void **state)
{
    weir_builder builder;

    weir_builder_open(&builder, *state, 1000);
    weir_builder_add(&builder, WEIR_STR("0123456789"));
    close_text(&builder);

    if (!WEIR_POOL_SEPARATE) {
        assert_int_equal(weir_pool_used(*state), 10);
    }
}

static bool build(weir_pool *pool)
{
    weir_builder builder;
    weir_str text = WEIR_STR("untouched");

    weir_builder_open(&builder, pool, 5000);
    for (int i = 0; i < 300; i++) {
        weir_builder_add(&builder, WEIR_STR("0123456789"));
    }

    if (!weir_builder_close(&builder, &text)) {
        assert_str(text, "untouched");
        return false;
    }

    return text.len == 3000;
}

static void fails_when_the_pool_is_used_up(void **state)
{
    (void) state;
    assert_true(unit_fail_each_allocation(build) >= 2999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_with_pool(what_is_added_stands_in_order),
        unit_test_with_pool(nothing_added_is_the_empty_string),
        unit_test_with_pool(writes_numbers),
        unit_test_with_pool(grows_up_to_its_limit),
        unit_test_with_pool(the_limit_is_exact_for_each_way_to_add),
        unit_test_with_pool(the_first_failure_sticks),
        unit_test_with_pool(a_cut_text_ends_where_the_limit_was_met),
        cmocka_unit_test(a_buffer_is_never_overrun),
        unit_test_with_pool(prints_what_is_long),
        unit_test_with_pool(room_is_written_by_the_caller),
        cmocka_unit_test(advancing_past_the_room_is_a_failure),
        unit_test_with_pool(closing_gives_back_what_was_not_used),
        cmocka_unit_test(fails_when_the_pool_is_used_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
