#include "core/base/number.h"

#include "core/base/cursor.h"

/* Appends a digit; false when the number would be over `max`. */
static bool number_push(uint64_t *number, unsigned base, unsigned digit, uint64_t max)
{
    uint64_t grown;

    if (__builtin_mul_overflow(*number, base, &grown)
        || __builtin_add_overflow(grown, digit, &grown) || grown > max) {
        return false;
    }

    *number = grown;
    return true;
}

static bool number_digit(char byte, unsigned *digit)
{
    *digit = (unsigned) (unsigned char) byte - '0';
    return *digit <= 9;
}

/* One digit and more. */
static bool number_take(weir_cursor *cursor, uint64_t max, uint64_t *number)
{
    const char *from = cursor->at;
    char byte;
    unsigned digit;

    *number = 0;

    while (weir_cursor_peek(cursor, &byte) && number_digit(byte, &digit)) {
        if (!number_push(number, 10, digit, max)) {
            return false;
        }

        cursor->at++;
    }

    return cursor->at != from;
}

bool weir_parse_uint(weir_str s, uint64_t max, uint64_t *number)
{
    weir_cursor cursor = weir_cursor_of(s);
    uint64_t parsed;

    if (!number_take(&cursor, max, &parsed) || weir_cursor_left(&cursor) != 0) {
        return false;
    }

    *number = parsed;
    return true;
}

bool weir_parse_hex(weir_str s, uint64_t max, uint64_t *number)
{
    uint64_t parsed = 0;

    for (size_t i = 0; i < s.len; i++) {
        int digit = weir_byte_hex(s.data[i]);

        if (digit < 0 || !number_push(&parsed, 16, (unsigned) digit, max)) {
            return false;
        }
    }

    if (s.len == 0) {
        return false;
    }

    *number = parsed;
    return true;
}

bool weir_parse_int(weir_str s, int64_t min, int64_t max, int64_t *number)
{
    bool negative = weir_str_starts(s, WEIR_STR("-"));
    uint64_t size;
    int64_t parsed;

    if (!weir_parse_uint(weir_str_from(s, negative), (uint64_t) INT64_MAX + negative, &size)) {
        return false;
    }

    /* -2^63 has no positive counterpart: subtracted in two steps. */
    parsed = negative && size != 0 ? -(int64_t) (size - 1) - 1 : (int64_t) size;
    if (parsed < min || parsed > max) {
        return false;
    }

    *number = parsed;
    return true;
}

bool weir_parse_size(weir_str s, bool offsets, uint64_t max, uint64_t *bytes)
{
    unsigned shift = 0;
    uint64_t number;

    if (s.len == 0) {
        return false;
    }

    switch (s.data[s.len - 1]) {
    case 'k':
    case 'K':
        shift = 10;
        break;
    case 'm':
    case 'M':
        shift = 20;
        break;
    case 'g':
    case 'G':
        if (!offsets) {
            return false;
        }
        shift = 30;
        break;
    default:
        break;
    }

    if (!weir_parse_uint(weir_str_slice(s, 0, s.len - (shift != 0)), max >> shift, &number)) {
        return false;
    }

    *bytes = number << shift;
    return true;
}

/* A month has 30 days, a year 365. */
static const struct {
    weir_str name;
    uint64_t ms;
} number_units[] = {
    {WEIR_STR_INIT("y"), 365 * 86400000ULL},
    {WEIR_STR_INIT("M"), 30 * 86400000ULL},
    {WEIR_STR_INIT("w"), 7 * 86400000ULL},
    {WEIR_STR_INIT("d"), 86400000},
    {WEIR_STR_INIT("h"), 3600000},
    {WEIR_STR_INIT("ms"), 1}, /* tried before "m", with which it begins */
    {WEIR_STR_INIT("m"), 60000},
    {WEIR_STR_INIT("s"), 1000},
};

/* In milliseconds; a number at the end that has no unit is in seconds. */
static bool number_take_unit(weir_cursor *cursor, uint64_t *unit_ms)
{
    if (weir_cursor_left(cursor) == 0) {
        *unit_ms = 1000;
        return true;
    }

    for (size_t i = 0; i < WEIR_COUNT(number_units); i++) {
        if (weir_cursor_skip(cursor, number_units[i].name)) {
            *unit_ms = number_units[i].ms;
            return true;
        }
    }

    return false;
}

/* With units of at least `least_ms`. */
static bool number_parse_time(weir_str s, uint64_t least_ms, uint64_t max_ms, uint64_t *time_ms)
{
    weir_cursor cursor = weir_cursor_of(s);
    uint64_t sum = 0, number, unit, before = UINT64_MAX;

    do {
        if (!number_take(&cursor, UINT64_MAX, &number) || !number_take_unit(&cursor, &unit)
            || unit >= before || unit < least_ms || __builtin_mul_overflow(number, unit, &number)
            || __builtin_add_overflow(sum, number, &sum)) {
            return false;
        }

        before = unit;
        while (weir_cursor_skip(&cursor, WEIR_STR(" "))) {
        }
    } while (weir_cursor_left(&cursor) != 0);

    if (sum > max_ms) {
        return false;
    }

    *time_ms = sum;
    return true;
}

bool weir_parse_time_ms(weir_str s, uint64_t max_ms, uint64_t *time_ms)
{
    return number_parse_time(s, 1, max_ms, time_ms);
}

bool weir_parse_time_s(weir_str s, uint64_t max_s, uint64_t *time_s)
{
    uint64_t time_ms;

    if (!number_parse_time(s, 1000, UINT64_MAX, &time_ms) || time_ms / 1000 > max_s) {
        return false;
    }

    *time_s = time_ms / 1000;
    return true;
}

bool weir_parse_fixed(weir_str s, unsigned digits, uint64_t max, uint64_t *number)
{
    weir_cursor cursor = weir_cursor_of(s);
    uint64_t parsed;
    char byte;
    unsigned digit;

    if (weir_str_starts(s, WEIR_STR("."))) {
        parsed = 0;
    } else if (!number_take(&cursor, max, &parsed)) {
        return false;
    }

    if (weir_cursor_left(&cursor) != 0 && !weir_cursor_skip(&cursor, WEIR_STR("."))) {
        return false;
    }

    for (unsigned i = 0; i < digits; i++) {
        if (!weir_cursor_take_byte(&cursor, &byte)) {
            digit = 0;
        } else if (!number_digit(byte, &digit)) {
            return false;
        }

        if (!number_push(&parsed, 10, digit, max)) {
            return false;
        }
    }

    if (weir_cursor_left(&cursor) != 0) {
        return false;
    }

    *number = parsed;
    return true;
}
