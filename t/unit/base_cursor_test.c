#include "core/base/cursor.h"

#include "t/unit/base_unit.h"

static void takes_bytes_in_order(void **state)
{
    weir_cursor cursor = weir_cursor_of(WEIR_STR("ab"));
    char byte;

    (void) state;

    assert_true(weir_cursor_peek(&cursor, &byte));
    assert_int_equal(byte, 'a');
    assert_int_equal(weir_cursor_left(&cursor), 2);
    assert_true(weir_cursor_take_byte(&cursor, &byte));
    assert_int_equal(byte, 'a');
    assert_true(weir_cursor_take_byte(&cursor, &byte));
    assert_int_equal(byte, 'b');
    assert_false(weir_cursor_take_byte(&cursor, &byte));
    assert_false(weir_cursor_peek(&cursor, &byte));
}

static void a_null_string_is_used_up_at_once(void **state)
{
    weir_cursor cursor = weir_cursor_of(weir_str_of(NULL, 0));
    weir_str taken;
    char byte;

    (void) state;

    assert_false(weir_cursor_peek(&cursor, &byte));
    assert_true(weir_cursor_take(&cursor, 0, &taken));
    assert_false(weir_cursor_take_until(&cursor, 'a', &taken));
    assert_true(weir_cursor_skip(&cursor, WEIR_STR("")));
}

static void a_failed_take_takes_nothing(void **state)
{
    weir_cursor cursor = weir_cursor_of(WEIR_STR("abc"));
    weir_str taken = WEIR_STR("untouched");
    uint32_t number = 77;

    (void) state;

    assert_false(weir_cursor_take(&cursor, 4, &taken));
    assert_false(weir_cursor_take(&cursor, SIZE_MAX, &taken));
    assert_false(weir_cursor_take_until(&cursor, 'd', &taken));
    assert_false(weir_cursor_skip(&cursor, WEIR_STR("abcd")));
    assert_false(weir_cursor_skip(&cursor, WEIR_STR("b")));
    assert_false(weir_cursor_take_u32(&cursor, &number));
    assert_str(taken, "untouched");
    assert_int_equal(number, 77);
    assert_str(weir_cursor_rest(&cursor), "abc");
}

static void takes_up_to_a_byte_and_past_it(void **state)
{
    weir_cursor cursor = weir_cursor_of(WEIR_STR("name: value"));
    weir_str taken;

    (void) state;

    assert_true(weir_cursor_take_until(&cursor, ':', &taken));
    assert_str(taken, "name");
    assert_true(weir_cursor_skip(&cursor, WEIR_STR(" ")));
    assert_true(weir_cursor_take(&cursor, 3, &taken));
    assert_str(taken, "val");
    assert_str(weir_cursor_rest(&cursor), "ue");
}

static void numbers_are_big_endian(void **state)
{
    weir_cursor cursor = weir_cursor_of(WEIR_STR("\xf1\xf2\xf3\xf4\xf5\xf6\xf7"));
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;

    (void) state;

    assert_true(weir_cursor_take_u8(&cursor, &u8));
    assert_true(weir_cursor_take_u16(&cursor, &u16));
    assert_true(weir_cursor_take_u32(&cursor, &u32));
    assert_int_equal(u8, 0xf1);
    assert_int_equal(u16, 0xf2f3);
    assert_int_equal(u32, 0xf4f5f6f7);
    assert_false(weir_cursor_take_u8(&cursor, &u8));
}

static void each_number_needs_all_of_its_bytes(void **state)
{
    (void) state;

    for (size_t len = 0; len <= 4; len++) {
        weir_str s = weir_str_slice(WEIR_STR("\1\2\3\4"), 0, len);
        weir_cursor one = weir_cursor_of(s), two = one, four = one;
        uint8_t u8;
        uint16_t u16;
        uint32_t u32;

        assert_int_equal(weir_cursor_take_u8(&one, &u8), len >= 1);
        assert_int_equal(weir_cursor_take_u16(&two, &u16), len >= 2);
        assert_int_equal(weir_cursor_take_u32(&four, &u32), len >= 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_bytes_in_order),
        cmocka_unit_test(a_null_string_is_used_up_at_once),
        cmocka_unit_test(a_failed_take_takes_nothing),
        cmocka_unit_test(takes_up_to_a_byte_and_past_it),
        cmocka_unit_test(numbers_are_big_endian),
        cmocka_unit_test(each_number_needs_all_of_its_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
