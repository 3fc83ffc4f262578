#include "core/base/clock.h"

#include <stdio.h>
#include <stdlib.h>

#include "t/unit/base_unit.h"

#define UNTOUCHED INT64_MAX

static int64_t parse(weir_str text)
{
    int64_t wall_s = UNTOUCHED;
    bool parsed = weir_clock_parse_http(text, &wall_s);

    assert_true(parsed || wall_s == UNTOUCHED);
    return wall_s;
}

static const char *format(int64_t wall_s)
{
    static char text[30];

    weir_clock_format_http(wall_s, text);
    return text;
}

static void the_time_is_there_without_an_update(void **state)
{
    (void) state;

    /* It may have been read when the program began: a minute ago, if the machine stood still. */
    assert_in_range(weir_clock_now()->wall_s, time(NULL) - 60, time(NULL) + 1);
    assert_true(weir_clock_now()->wall_ms < 1000);
    assert_true(weir_clock_now()->monotonic_ms > 0);
}

static void the_time_stands_until_the_next_update(void **state)
{
    uint64_t before_ms, started_us = weir_clock_monotonic_us();

    (void) state;
    weir_clock_update();
    before_ms = weir_clock_now()->monotonic_ms;

    while (weir_clock_monotonic_us() < started_us + 3000) {
    }

    assert_true(weir_clock_now()->monotonic_ms == before_ms);
    weir_clock_update();
    assert_true(weir_clock_now()->monotonic_ms >= before_ms + 2);
}

/* With this process's own zone, set below. */
static void texts_show_the_time_of_the_last_update(void **state)
{
    const weir_clock *now = weir_clock_now();
    char text[64];
    time_t wall_s;
    struct tm tm;

    (void) state;
    weir_clock_update();
    wall_s = (time_t) now->wall_s;
    localtime_r(&wall_s, &tm);

    strftime(text, sizeof(text), "%Y/%m/%d %H:%M:%S", &tm);
    assert_str_eq(weir_clock_log_text(), weir_str_from_z(text));
    strftime(text, sizeof(text), "%d/%b/%Y:%H:%M:%S %z", &tm);
    assert_str_eq(weir_clock_access_text(), weir_str_from_z(text));
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S-03:30", &tm);
    assert_str_eq(weir_clock_iso8601_text(), weir_str_from_z(text));
    strftime(text, sizeof(text), "%b %e %H:%M:%S", &tm);
    assert_str_eq(weir_clock_syslog_text(), weir_str_from_z(text));
    assert_str_eq(weir_clock_http_text(), weir_str_from_z(format(now->wall_s)));
    assert_int_equal(now->gmt_offset_minutes, -210);
}

static void dates_are_written_as_rfc_9110_wants(void **state)
{
    (void) state;

    assert_string_equal(format(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_string_equal(format(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_string_equal(format(951782400), "Tue, 29 Feb 2000 00:00:00 GMT");
    assert_string_equal(format(-1), "Wed, 31 Dec 1969 23:59:59 GMT");
    assert_string_equal(format(253402300799), "Fri, 31 Dec 9999 23:59:59 GMT");
}

static void a_date_that_cannot_be_written_becomes_the_nearest(void **state)
{
    (void) state;

    assert_string_equal(format(INT64_MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_string_equal(format(INT64_MIN), "Wed, 01 Mar 0000 00:00:00 GMT");
}

/* Against libc, day by day over more than one cycle of 400 years, at an odd second. */
static void every_day_is_written_and_read_as_libc_does(void **state)
{
    (void) state;

    for (int64_t day = -60000; day < 110000; day++) {
        time_t wall_s = day * 86400 + (day * 7919 % 86400 + 86400) % 86400;
        char text[64];
        struct tm tm;

        gmtime_r(&wall_s, &tm);
        strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        if (strcmp(format(wall_s), text) != 0) {
            fail_msg("%s is not %s", format(wall_s), text);
        }
        assert_true(parse(weir_str_from_z(text)) == wall_s);

        strftime(text, sizeof(text), "%a %b %e %H:%M:%S %Y", &tm);
        assert_true(parse(weir_str_from_z(text)) == wall_s);
    }
}

static void the_three_forms_are_one_date(void **state)
{
    (void) state;

    assert_int_equal(parse(WEIR_STR("Sun, 06 Nov 1994 08:49:37 GMT")), 784111777);
    assert_int_equal(parse(WEIR_STR("Sunday, 06-Nov-94 08:49:37 GMT")), 784111777);
    assert_int_equal(parse(WEIR_STR("Sun Nov  6 08:49:37 1994")), 784111777);
}

static void each_full_name_of_a_day_is_known(void **state)
{
    const char *days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                          "Thursday", "Friday", "Saturday"};

    (void) state;

    for (unsigned i = 0; i < 7; i++) {
        char text[64];
        int len = snprintf(text, sizeof(text), "%s, %02u-Nov-94 08:49:37 GMT", days[i], 6 + i);

        assert_int_equal(parse(weir_str_of(text, (size_t) len)), 784111777 + i * 86400);
    }
}

/* RFC 9110, 5.6.7: what seems more than 50 years ahead is in the past. */
static void two_digits_of_a_year_mean_the_nearest(void **state)
{
    struct tm today;
    time_t now = (time_t) weir_clock_now()->wall_s;
    int this_year;

    (void) state;
    gmtime_r(&now, &today);
    this_year = today.tm_year + 1900;

    for (int year = this_year - 49; year <= this_year + 50; year++) {
        char text[64], full[64];

        snprintf(text, sizeof(text), "Sunday, 06-Nov-%02d 08:49:37 GMT", year % 100);
        snprintf(full, sizeof(full), "Sun, 06 Nov %d 08:49:37 GMT", year);
        assert_true(parse(weir_str_from_z(text)) == parse(weir_str_from_z(full)));
    }
}

static void a_leap_second_may_be_named(void **state)
{
    (void) state;

    assert_int_equal(parse(WEIR_STR("Sat, 31 Dec 2016 23:59:60 GMT")), 1483228800);
}

static void what_is_no_date_is_refused(void **state)
{
    const char *refused[] = {
        "",
        "0",
        "Sun",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun,  06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 29 Feb 2023 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov -994 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sunny, 06-Nov-94 08:49:37 GMT",
        "Monsday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov   6 08:49:37 1994",
        "Sun Nov  6 08:49:37 1994 GMT",
    };

    (void) state;

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (parse(weir_str_from_z(refused[i])) != UNTOUCHED) {
            fail_msg("\"%s\" was taken", refused[i]);
        }
    }
}

static void every_prefix_of_a_date_is_refused(void **state)
{
    const weir_str forms[] = {
        WEIR_STR("Sun, 06 Nov 1994 08:49:37 GMT"),
        WEIR_STR("Sunday, 06-Nov-94 08:49:37 GMT"),
        WEIR_STR("Sun Nov  6 08:49:37 1994"),
    };

    (void) state;

    for (size_t form = 0; form < 3; form++) {
        for (size_t len = 0; len < forms[form].len; len++) {
            assert_true(parse(weir_str_slice(forms[form], 0, len)) == UNTOUCHED);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_time_is_there_without_an_update),
        cmocka_unit_test(the_time_stands_until_the_next_update),
        cmocka_unit_test(texts_show_the_time_of_the_last_update),
        cmocka_unit_test(dates_are_written_as_rfc_9110_wants),
        cmocka_unit_test(a_date_that_cannot_be_written_becomes_the_nearest),
        cmocka_unit_test(every_day_is_written_and_read_as_libc_does),
        cmocka_unit_test(the_three_forms_are_one_date),
        cmocka_unit_test(each_full_name_of_a_day_is_known),
        cmocka_unit_test(two_digits_of_a_year_mean_the_nearest),
        cmocka_unit_test(a_leap_second_may_be_named),
        cmocka_unit_test(what_is_no_date_is_refused),
        cmocka_unit_test(every_prefix_of_a_date_is_refused),
    };

    /* West of Greenwich, with half an hour, and no summer. */
    setenv("TZ", "TST3:30", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
