#include "core/base/clock.h"

#include "core/base/builder.h"
#include "core/base/cursor.h"
#include "core/base/number.h"

#define CLOCK_DAY_S 86400

static const char clock_days[7][3] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char clock_months[12][3] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

typedef struct {
    char bytes[40];
    size_t len;
} clock_text;

static struct {
    weir_clock now;
    bool read;
    clock_text log, http, access, iso8601, syslog;
} clock_state;

static void clock_add_3(weir_builder *builder, const char name[static 3])
{
    weir_builder_add(builder, weir_str_of(name, 3));
}

/* For parts of a struct tm, none of which is negative here. */
static void clock_add_padded(weir_builder *builder, int number, unsigned digits)
{
    weir_builder_add_padded(builder, (uint64_t) number, digits);
}

/* 10:00:00 */
static void clock_add_time(weir_builder *builder, const struct tm *tm)
{
    clock_add_padded(builder, tm->tm_hour, 2);
    weir_builder_add_byte(builder, ':');
    clock_add_padded(builder, tm->tm_min, 2);
    weir_builder_add_byte(builder, ':');
    clock_add_padded(builder, tm->tm_sec, 2);
}

/* 2026-11-21, with the separator given */
static void clock_add_date(weir_builder *builder, const struct tm *tm, char separator)
{
    clock_add_padded(builder, tm->tm_year + 1900, 4);
    weir_builder_add_byte(builder, separator);
    clock_add_padded(builder, tm->tm_mon + 1, 2);
    weir_builder_add_byte(builder, separator);
    clock_add_padded(builder, tm->tm_mday, 2);
}

/* +0100, with what is to stand between hours and minutes */
static void clock_add_offset(weir_builder *builder, int minutes, weir_str between)
{
    int size = minutes < 0 ? -minutes : minutes;

    weir_builder_add_byte(builder, minutes < 0 ? '-' : '+');
    clock_add_padded(builder, size / 60, 2);
    weir_builder_add(builder, between);
    clock_add_padded(builder, size % 60, 2);
}

static void clock_open(weir_builder *builder, clock_text *text)
{
    weir_builder_over(builder, text->bytes, sizeof(text->bytes));
}

static void clock_close(weir_builder *builder, clock_text *text)
{
    text->len = weir_builder_cut(builder).len;
}

static void clock_make_texts(const struct tm *local, int offset_minutes)
{
    weir_builder text;

    clock_open(&text, &clock_state.log);
    clock_add_date(&text, local, '/');
    weir_builder_add_byte(&text, ' ');
    clock_add_time(&text, local);
    clock_close(&text, &clock_state.log);

    clock_open(&text, &clock_state.access);
    clock_add_padded(&text, local->tm_mday, 2);
    weir_builder_add_byte(&text, '/');
    clock_add_3(&text, clock_months[local->tm_mon]);
    weir_builder_add_byte(&text, '/');
    clock_add_padded(&text, local->tm_year + 1900, 4);
    weir_builder_add_byte(&text, ':');
    clock_add_time(&text, local);
    weir_builder_add_byte(&text, ' ');
    clock_add_offset(&text, offset_minutes, WEIR_STR_EMPTY);
    clock_close(&text, &clock_state.access);

    clock_open(&text, &clock_state.iso8601);
    clock_add_date(&text, local, '-');
    weir_builder_add_byte(&text, 'T');
    clock_add_time(&text, local);
    clock_add_offset(&text, offset_minutes, WEIR_STR(":"));
    clock_close(&text, &clock_state.iso8601);

    clock_open(&text, &clock_state.syslog);
    clock_add_3(&text, clock_months[local->tm_mon]);
    weir_builder_add(&text, local->tm_mday < 10 ? WEIR_STR("  ") : WEIR_STR(" "));
    clock_add_padded(&text, local->tm_mday, 1);
    weir_builder_add_byte(&text, ' ');
    clock_add_time(&text, local);
    clock_close(&text, &clock_state.syslog);

    weir_clock_format_http(clock_state.now.wall_s, clock_state.http.bytes);
    clock_state.http.len = 29;
}

const weir_clock *weir_clock_now(void)
{
    if (WEIR_UNLIKELY(!clock_state.read)) {
        weir_clock_update();
    }

    return &clock_state.now;
}

void weir_clock_update(void)
{
    weir_clock *now = &clock_state.now;
    struct timespec wall;
    struct tm local;

    clock_gettime(CLOCK_REALTIME, &wall);
    now->monotonic_ms = weir_clock_monotonic_us() / 1000;
    now->wall_ms = (unsigned) (wall.tv_nsec / 1000000);

    if (clock_state.read && now->wall_s == wall.tv_sec) {
        return;
    }

    clock_state.read = true;
    now->wall_s = wall.tv_sec;
    localtime_r(&wall.tv_sec, &local);
    now->gmt_offset_minutes = (int) (local.tm_gmtoff / 60);
    clock_make_texts(&local, now->gmt_offset_minutes);
}

uint64_t weir_clock_monotonic_us(void)
{
    struct timespec monotonic;

    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    return (uint64_t) monotonic.tv_sec * 1000000 + (uint64_t) monotonic.tv_nsec / 1000;
}

static weir_str clock_get(const clock_text *text)
{
    weir_clock_now();
    return weir_str_of(text->bytes, text->len);
}

weir_str weir_clock_log_text(void)
{
    return clock_get(&clock_state.log);
}

weir_str weir_clock_http_text(void)
{
    return clock_get(&clock_state.http);
}

weir_str weir_clock_access_text(void)
{
    return clock_get(&clock_state.access);
}

weir_str weir_clock_iso8601_text(void)
{
    return clock_get(&clock_state.iso8601);
}

weir_str weir_clock_syslog_text(void)
{
    return clock_get(&clock_state.syslog);
}

/*
 * The calendar, counted from 1 March of year 0: a leap day is then the last of
 * its year, and the months' lengths follow one straight line.
 */
#define CLOCK_DAYS_400_YEARS 146097
#define CLOCK_EPOCH_DAY 719468 /* 1 January 1970, so counted */

static int64_t clock_days_of_date(int64_t year, int month, int day)
{
    int64_t march_year = month <= 2 ? year - 1 : year;
    int64_t march_month = month <= 2 ? month + 9 : month - 3;

    return march_year * 365 + march_year / 4 - march_year / 100 + march_year / 400
           + (march_month * 153 + 2) / 5 + day - 1 - CLOCK_EPOCH_DAY;
}

/* `tm` gets its date from days since 1970, not before year 0. */
static void clock_date_of_days(int64_t days, struct tm *tm)
{
    int64_t day = days + CLOCK_EPOCH_DAY;
    int64_t era = day / CLOCK_DAYS_400_YEARS;
    int64_t day_of_era = day % CLOCK_DAYS_400_YEARS;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524
                           - day_of_era / (CLOCK_DAYS_400_YEARS - 1))
                          / 365;
    int64_t day_of_year = day_of_era - (year_of_era * 365 + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (day_of_year * 5 + 2) / 153;
    int64_t month = march_month < 10 ? march_month + 3 : march_month - 9;

    tm->tm_mday = (int) (day_of_year - (march_month * 153 + 2) / 5 + 1);
    tm->tm_mon = (int) month - 1;
    tm->tm_year = (int) (era * 400 + year_of_era + (month <= 2) - 1900);
    tm->tm_wday = (int) ((days % 7 + 11) % 7); /* 1 January 1970 was a Thursday */
}

void weir_clock_format_http(int64_t wall_s, char text[static 30])
{
    const int64_t first = -CLOCK_EPOCH_DAY * (int64_t) CLOCK_DAY_S; /* 1 March of year 0 */
    const int64_t last = 253402300799;                              /* the end of 9999 */
    weir_builder builder;
    struct tm tm;
    int64_t days, seconds;

    wall_s = wall_s < first ? first : wall_s > last ? last : wall_s;
    days = wall_s / CLOCK_DAY_S;
    seconds = wall_s % CLOCK_DAY_S;
    if (seconds < 0) {
        seconds += CLOCK_DAY_S;
        days--;
    }

    clock_date_of_days(days, &tm);
    tm.tm_hour = (int) (seconds / 3600);
    tm.tm_min = (int) (seconds / 60 % 60);
    tm.tm_sec = (int) (seconds % 60);

    weir_builder_over(&builder, text, 30);
    clock_add_3(&builder, clock_days[tm.tm_wday]);
    weir_builder_add(&builder, WEIR_STR(", "));
    clock_add_padded(&builder, tm.tm_mday, 2);
    weir_builder_add_byte(&builder, ' ');
    clock_add_3(&builder, clock_months[tm.tm_mon]);
    weir_builder_add_byte(&builder, ' ');
    clock_add_padded(&builder, tm.tm_year + 1900, 4);
    weir_builder_add_byte(&builder, ' ');
    clock_add_time(&builder, &tm);
    weir_builder_add(&builder, weir_str_of(" GMT", 5)); /* with its NUL */
}

/* Exactly `digits` of them. */
static bool clock_take_number(weir_cursor *cursor, size_t digits, int *number)
{
    weir_str taken;
    uint64_t parsed;

    if (!weir_cursor_take(cursor, digits, &taken) || !weir_parse_uint(taken, 9999, &parsed)) {
        return false;
    }

    *number = (int) parsed;
    return true;
}

static bool clock_take_name(weir_cursor *cursor, const char (*names)[3], int count, int *index)
{
    for (int i = 0; i < count; i++) {
        if (weir_cursor_skip(cursor, weir_str_of(names[i], 3))) {
            *index = i;
            return true;
        }
    }

    return false;
}

/* 08:49:37, where 60 may be a leap second */
static bool clock_take_time(weir_cursor *cursor, struct tm *tm)
{
    return clock_take_number(cursor, 2, &tm->tm_hour) && weir_cursor_skip(cursor, WEIR_STR(":"))
           && clock_take_number(cursor, 2, &tm->tm_min) && weir_cursor_skip(cursor, WEIR_STR(":"))
           && clock_take_number(cursor, 2, &tm->tm_sec) && tm->tm_hour < 24 && tm->tm_min < 60
           && tm->tm_sec <= 60;
}

static bool clock_take_month(weir_cursor *cursor, struct tm *tm)
{
    return clock_take_name(cursor, clock_months, 12, &tm->tm_mon);
}

/* " 06 Nov 1994 08:49:37 GMT", after the comma */
static bool clock_take_fixdate(weir_cursor *cursor, struct tm *tm, int *year)
{
    return weir_cursor_skip(cursor, WEIR_STR(" ")) && clock_take_number(cursor, 2, &tm->tm_mday)
           && weir_cursor_skip(cursor, WEIR_STR(" ")) && clock_take_month(cursor, tm)
           && weir_cursor_skip(cursor, WEIR_STR(" ")) && clock_take_number(cursor, 4, year)
           && weir_cursor_skip(cursor, WEIR_STR(" ")) && clock_take_time(cursor, tm)
           && weir_cursor_skip(cursor, WEIR_STR(" GMT"));
}

/* "day, 06-Nov-94 08:49:37 GMT", after the first three letters of the day's full name */
static bool clock_take_rfc850(weir_cursor *cursor, struct tm *tm, int *year)
{
    static const weir_str ends[7] = {
        WEIR_STR_INIT("day"),    WEIR_STR_INIT("day"),   WEIR_STR_INIT("sday"),
        WEIR_STR_INIT("nesday"), WEIR_STR_INIT("rsday"), WEIR_STR_INIT("day"),
        WEIR_STR_INIT("urday"),
    };
    struct tm today;
    int this_year;

    if (!weir_cursor_skip(cursor, ends[tm->tm_wday]) || !weir_cursor_skip(cursor, WEIR_STR(", "))
        || !clock_take_number(cursor, 2, &tm->tm_mday) || !weir_cursor_skip(cursor, WEIR_STR("-"))
        || !clock_take_month(cursor, tm) || !weir_cursor_skip(cursor, WEIR_STR("-"))
        || !clock_take_number(cursor, 2, year) || !weir_cursor_skip(cursor, WEIR_STR(" "))
        || !clock_take_time(cursor, tm) || !weir_cursor_skip(cursor, WEIR_STR(" GMT"))) {
        return false;
    }

    /* More than 50 years ahead is the past century (RFC 9110, 5.6.7). */
    clock_date_of_days(weir_clock_now()->wall_s / CLOCK_DAY_S, &today);
    this_year = today.tm_year + 1900;
    *year += this_year - this_year % 100;
    if (*year > this_year + 50) {
        *year -= 100;
    }

    return true;
}

/* " Nov  6 08:49:37 1994" */
static bool clock_take_asctime(weir_cursor *cursor, struct tm *tm, int *year)
{
    if (!weir_cursor_skip(cursor, WEIR_STR(" ")) || !clock_take_month(cursor, tm)
        || !weir_cursor_skip(cursor, WEIR_STR(" "))) {
        return false;
    }

    return clock_take_number(cursor, weir_cursor_skip(cursor, WEIR_STR(" ")) ? 1 : 2, &tm->tm_mday)
           && weir_cursor_skip(cursor, WEIR_STR(" ")) && clock_take_time(cursor, tm)
           && weir_cursor_skip(cursor, WEIR_STR(" ")) && clock_take_number(cursor, 4, year);
}

static bool clock_date_exists(int year, int month, int day)
{
    static const int lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return day >= 1 && day <= lengths[month - 1] + (month == 2 && leap);
}

bool weir_clock_parse_http(weir_str text, int64_t *wall_s)
{
    weir_cursor cursor = weir_cursor_of(text);
    struct tm tm;
    int year;
    char after;
    bool taken;

    if (!clock_take_name(&cursor, clock_days, 7, &tm.tm_wday)
        || !weir_cursor_peek(&cursor, &after)) {
        return false;
    }

    if (after == ' ') {
        taken = clock_take_asctime(&cursor, &tm, &year);
    } else if (weir_cursor_skip(&cursor, WEIR_STR(","))) {
        taken = clock_take_fixdate(&cursor, &tm, &year);
    } else {
        taken = clock_take_rfc850(&cursor, &tm, &year);
    }

    if (!taken || weir_cursor_left(&cursor) != 0 || year < 1
        || !clock_date_exists(year, tm.tm_mon + 1, tm.tm_mday)) {
        return false;
    }

    *wall_s = clock_days_of_date(year, tm.tm_mon + 1, tm.tm_mday) * CLOCK_DAY_S + tm.tm_hour * 3600
              + tm.tm_min * 60 + tm.tm_sec;
    return true;
}
