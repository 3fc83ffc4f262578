#include "core/base/number.h"

#include "t/unit/base_unit.h"

#define UNTOUCHED 4711

/* Each gives UNTOUCHED when the text was refused. */
static uint64_t uint_of(const char *text, uint64_t max)
{
    uint64_t number = UNTOUCHED;
    bool parsed = weir_parse_uint(weir_str_from_z(text), max, &number);

    assert_true(parsed || number == UNTOUCHED);
    return number;
}

static uint64_t hex_of(const char *text, uint64_t max)
{
    uint64_t number = UNTOUCHED;
    bool parsed = weir_parse_hex(weir_str_from_z(text), max, &number);

    assert_true(parsed || number == UNTOUCHED);
    return number;
}

static int64_t int_of(const char *text, int64_t min, int64_t max)
{
    int64_t number = UNTOUCHED;
    bool parsed = weir_parse_int(weir_str_from_z(text), min, max, &number);

    assert_true(parsed || number == UNTOUCHED);
    return number;
}

static uint64_t size_of(const char *text, bool offsets, uint64_t max)
{
    uint64_t number = UNTOUCHED;
    bool parsed = weir_parse_size(weir_str_from_z(text), offsets, max, &number);

    assert_true(parsed || number == UNTOUCHED);
    return number;
}

static uint64_t ms_of(const char *text, uint64_t max)
{
    uint64_t number = UNTOUCHED;
    bool parsed = weir_parse_time_ms(weir_str_from_z(text), max, &number);

    assert_true(parsed || number == UNTOUCHED);
    return number;
}

static uint64_t s_of(const char *text, uint64_t max)
{
    uint64_t number = UNTOUCHED;
    bool parsed = weir_parse_time_s(weir_str_from_z(text), max, &number);

    assert_true(parsed || number == UNTOUCHED);
    return number;
}

static uint64_t fixed_of(const char *text, unsigned digits, uint64_t max)
{
    uint64_t number = UNTOUCHED;
    bool parsed = weir_parse_fixed(weir_str_from_z(text), digits, max, &number);

    assert_true(parsed || number == UNTOUCHED);
    return number;
}

static void sums_and_products_are_checked(void **state)
{
    size_t result;

    (void) state;

    assert_true(weir_add_size(SIZE_MAX - 1, 1, &result));
    assert_true(result == SIZE_MAX);
    assert_false(weir_add_size(SIZE_MAX, 1, &result));
    assert_true(weir_mul_size(SIZE_MAX / 2, 2, &result));
    assert_false(weir_mul_size(SIZE_MAX / 2 + 1, 2, &result));
}

static void a_number_is_digits_alone(void **state)
{
    const char *refused[] = {"", "-1", "+1", " 1", "1 ", "1a", "0x1", "1.0", "/", ":"};

    (void) state;

    assert_int_equal(uint_of("0", 0), 0);
    assert_int_equal(uint_of("007", 9), 7);
    assert_true(uint_of("18446744073709551615", UINT64_MAX) == UINT64_MAX);
    assert_false(weir_parse_uint(WEIR_STR("1\0"), 10, &(uint64_t){0}));

    for (size_t i = 0; i < WEIR_COUNT(refused); i++) {
        assert_int_equal(uint_of(refused[i], UINT64_MAX), UNTOUCHED);
    }
}

static void a_number_over_its_maximum_is_refused(void **state)
{
    (void) state;

    assert_int_equal(uint_of("65535", 65535), 65535);
    assert_int_equal(uint_of("65536", 65535), UNTOUCHED);
    assert_int_equal(uint_of("18446744073709551616", UINT64_MAX), UNTOUCHED);
    assert_int_equal(uint_of("99999999999999999999999999", UINT64_MAX), UNTOUCHED);
    assert_int_equal(hex_of("10000000000000000", UINT64_MAX), UNTOUCHED);
    assert_int_equal(hex_of("100", 0xff), UNTOUCHED);
}

static void hexadecimal_digits_may_have_either_case(void **state)
{
    (void) state;

    assert_int_equal(hex_of("0aF9", UINT64_MAX), 0xaf9);
    assert_true(hex_of("ffffFFFFffffFFFF", UINT64_MAX) == UINT64_MAX);
    assert_int_equal(hex_of("", 1), UNTOUCHED);
    assert_int_equal(hex_of("0x1", 10), UNTOUCHED);
    assert_int_equal(hex_of("g", 100), UNTOUCHED);
    assert_int_equal(hex_of("-1", 100), UNTOUCHED);
}

static void an_integer_may_be_negative(void **state)
{
    (void) state;

    assert_int_equal(int_of("-5", -5, 5), -5);
    assert_int_equal(int_of("-6", -5, 5), UNTOUCHED);
    assert_int_equal(int_of("6", -5, 5), UNTOUCHED);
    assert_int_equal(int_of("-0", 0, 5), 0);
    assert_true(int_of("-9223372036854775808", INT64_MIN, INT64_MAX) == INT64_MIN);
    assert_int_equal(int_of("-9223372036854775809", INT64_MIN, INT64_MAX), UNTOUCHED);
    assert_true(int_of("9223372036854775807", INT64_MIN, INT64_MAX) == INT64_MAX);
    assert_int_equal(int_of("9223372036854775808", INT64_MIN, INT64_MAX), UNTOUCHED);
    assert_int_equal(int_of("-", -5, 5), UNTOUCHED);
    assert_int_equal(int_of("--1", -5, 5), UNTOUCHED);
    assert_int_equal(int_of("+1", -5, 5), UNTOUCHED);
}

static void sizes_have_units(void **state)
{
    (void) state;

    assert_int_equal(size_of("8", false, 100), 8);
    assert_int_equal(size_of("8k", false, UINT64_MAX), 8192);
    assert_int_equal(size_of("8K", false, UINT64_MAX), 8192);
    assert_int_equal(size_of("3m", false, UINT64_MAX), 3145728);
    assert_int_equal(size_of("3M", false, UINT64_MAX), 3145728);
    assert_int_equal(size_of("2g", true, UINT64_MAX), 2147483648);
    assert_int_equal(size_of("2G", true, UINT64_MAX), 2147483648);
}

static void a_g_is_for_offsets_alone(void **state)
{
    (void) state;

    assert_int_equal(size_of("2g", false, UINT64_MAX), UNTOUCHED);
}

static void sizes_are_checked(void **state)
{
    const char *refused[] = {"", "k", "8kk", "8b", "-8k", "8 k", "1.5m", "16777216g", "k8"};

    (void) state;

    assert_int_equal(size_of("1k", false, 1024), 1024);
    assert_int_equal(size_of("1k", false, 1023), UNTOUCHED);

    for (size_t i = 0; i < WEIR_COUNT(refused); i++) {
        assert_int_equal(size_of(refused[i], true, (uint64_t) 1 << 54 >> 1), UNTOUCHED);
    }

    assert_int_equal(size_of("17179869184g", true, UINT64_MAX), UNTOUCHED);
    assert_true(size_of("17179869183g", true, UINT64_MAX) == (uint64_t) 17179869183 << 30);
}

static void a_time_without_a_unit_is_in_seconds(void **state)
{
    (void) state;

    assert_int_equal(ms_of("30", UINT64_MAX), 30000);
    assert_int_equal(s_of("30", UINT64_MAX), 30);
    assert_int_equal(ms_of("0", UINT64_MAX), 0);
    assert_int_equal(ms_of("1m 30", UINT64_MAX), 90000);
}

static void times_have_units(void **state)
{
    (void) state;

    assert_int_equal(ms_of("7ms", UINT64_MAX), 7);
    assert_int_equal(ms_of("7s", UINT64_MAX), 7000);
    assert_int_equal(ms_of("7m", UINT64_MAX), 420000);
    assert_int_equal(ms_of("7h", UINT64_MAX), 25200000);
    assert_int_equal(s_of("7d", UINT64_MAX), 604800);
    assert_int_equal(s_of("1w", UINT64_MAX), 604800);
    assert_int_equal(s_of("1M", UINT64_MAX), 2592000);
    assert_int_equal(s_of("1y", UINT64_MAX), 31536000);
}

static void times_may_be_sums_with_spaces_between(void **state)
{
    (void) state;

    assert_int_equal(ms_of("1h30m", UINT64_MAX), 5400000);
    assert_int_equal(ms_of("1h 30m", UINT64_MAX), 5400000);
    assert_int_equal(ms_of("1h  30m ", UINT64_MAX), 5400000);
    assert_int_equal(ms_of("1m1s1ms", UINT64_MAX), 61001);
    assert_int_equal(s_of("1y 1M 1w 1d 1h 1m 1s", UINT64_MAX),
                     31536000 + 2592000 + 604800 + 86400 + 3600 + 60 + 1);
}

static void times_are_refused_in_doubt(void **state)
{
    const char *refused[] = {"",     " ",      " 1h",  "1 h",  "h",    "30m 1h", "1h1h", "1ms 1s",
                             "1.5s", "-1",     "1ms5", "5 5",  "1s 5", "1S",     "1H",   "1D",
                             "1h,",  "1h 30x", "1x",   "1\t1", "1msm", "1mms"};

    (void) state;

    for (size_t i = 0; i < WEIR_COUNT(refused); i++) {
        if (ms_of(refused[i], UINT64_MAX) != UNTOUCHED) {
            fail_msg("\"%s\" was taken", refused[i]);
        }
    }
}

static void milliseconds_are_too_fine_for_seconds(void **state)
{
    (void) state;

    assert_int_equal(s_of("500ms", UINT64_MAX), UNTOUCHED);
    assert_int_equal(s_of("1s 500ms", UINT64_MAX), UNTOUCHED);
}

static void times_are_checked(void **state)
{
    (void) state;

    assert_int_equal(ms_of("10s", 10000), 10000);
    assert_int_equal(ms_of("10s 1ms", 10000), UNTOUCHED);
    assert_int_equal(s_of("61", 60), UNTOUCHED);
    assert_int_equal(ms_of("18446744073709551615y", UINT64_MAX), UNTOUCHED);
    assert_int_equal(ms_of("18446744073709551616", UINT64_MAX), UNTOUCHED);
    assert_int_equal(ms_of("18446744073709551s 616ms", UINT64_MAX), UNTOUCHED);
    assert_true(ms_of("18446744073709551s 615ms", UINT64_MAX) == UINT64_MAX);
}

static void fixed_numbers_have_digits_after_the_point(void **state)
{
    (void) state;

    assert_int_equal(fixed_of("1.25", 2, UINT64_MAX), 125);
    assert_int_equal(fixed_of("1.2", 2, UINT64_MAX), 120);
    assert_int_equal(fixed_of("1", 2, UINT64_MAX), 100);
    assert_int_equal(fixed_of("0.", 3, UINT64_MAX), 0);
    assert_int_equal(fixed_of(".5", 2, UINT64_MAX), 50);
    assert_int_equal(fixed_of("0.001", 3, UINT64_MAX), 1);
    assert_int_equal(fixed_of("10.00", 2, 1000), 1000);
}

static void fixed_numbers_are_checked(void **state)
{
    const char *refused[] = {"", "1.255", "1.2.", "1,2", "-1", "1.a", "1. "};

    (void) state;

    for (size_t i = 0; i < WEIR_COUNT(refused); i++) {
        assert_int_equal(fixed_of(refused[i], 2, UINT64_MAX), UNTOUCHED);
    }

    assert_int_equal(fixed_of("1.001", 3, 1000), UNTOUCHED);
    assert_int_equal(fixed_of("18446744073709551615", 1, UINT64_MAX), UNTOUCHED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_and_products_are_checked),
        cmocka_unit_test(a_number_is_digits_alone),
        cmocka_unit_test(a_number_over_its_maximum_is_refused),
        cmocka_unit_test(hexadecimal_digits_may_have_either_case),
        cmocka_unit_test(an_integer_may_be_negative),
        cmocka_unit_test(sizes_have_units),
        cmocka_unit_test(a_g_is_for_offsets_alone),
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(a_time_without_a_unit_is_in_seconds),
        cmocka_unit_test(times_have_units),
        cmocka_unit_test(times_may_be_sums_with_spaces_between),
        cmocka_unit_test(times_are_refused_in_doubt),
        cmocka_unit_test(milliseconds_are_too_fine_for_seconds),
        cmocka_unit_test(times_are_checked),
        cmocka_unit_test(fixed_numbers_have_digits_after_the_point),
        cmocka_unit_test(fixed_numbers_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
