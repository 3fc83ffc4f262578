/*
 * Numbers, sizes and times.  The first bytes are the maximum, the rest is the text.  What is taken is
 * at most the maximum, and is the same when it is written out and read again.
 */

#include <stdlib.h>

#include "core/base/builder.h"
#include "core/base/number.h"

#define UNTOUCHED 0x5555555555555555

static void expect(bool condition)
{
    if (!condition) {
        abort();
    }
}

static weir_str write_uint(char *buffer, size_t size, uint64_t number, weir_str unit)
{
    weir_builder builder;
    weir_str text;

    weir_builder_over(&builder, buffer, size);
    weir_builder_add_uint(&builder, number);
    weir_builder_add(&builder, unit);
    expect(weir_builder_close(&builder, &text));
    return text;
}

static void read_uint(weir_str text, uint64_t max)
{
    char buffer[32];
    uint64_t number = UNTOUCHED, again, hex, size, time_s;

    if (!weir_parse_uint(text, max, &number)) {
        expect(number == UNTOUCHED);
        return;
    }

    expect(number <= max);
    expect(
        weir_parse_uint(write_uint(buffer, sizeof(buffer), number, WEIR_STR("")), number, &again));
    expect(again == number);
    expect(number == 0 || !weir_parse_uint(text, number - 1, &again));

    /* Digits alone are a size, a time in seconds and hexadecimal, too. */
    expect(weir_parse_size(text, false, max, &size) && size == number);
    expect(number > UINT64_MAX / 1000
           || (weir_parse_time_s(text, max, &time_s) && time_s == number));
    if (weir_parse_hex(text, UINT64_MAX, &hex)) {
        expect(hex >= number);
    }
}

static void read_int(weir_str text, int64_t limit)
{
    int64_t number, without_sign;

    if (!weir_parse_int(text, -limit, limit, &number)) {
        return;
    }

    expect(number >= -limit && number <= limit);
    if (text.data[0] == '-') {
        expect(weir_parse_int(weir_str_from(text, 1), 0, limit, &without_sign)
               && without_sign == -number);
    }
}

static void read_times(weir_str text, uint64_t max)
{
    char buffer[32];
    uint64_t ms = UNTOUCHED, s = UNTOUCHED, again;

    if (weir_parse_time_ms(text, max, &ms)) {
        weir_str written = write_uint(buffer, sizeof(buffer), ms, WEIR_STR("ms"));

        expect(ms <= max);
        expect(weir_parse_time_ms(written, max, &again) && again == ms);
    }

    if (weir_parse_time_s(text, max / 1000, &s)) {
        expect(ms == s * 1000);
    }
}

static void read_the_others(weir_str text, uint64_t max)
{
    uint64_t number;

    if (weir_parse_size(text, true, max, &number)) {
        expect(number <= max);
    }

    for (unsigned digits = 0; digits < 22; digits++) {
        if (weir_parse_fixed(text, digits, max, &number)) {
            expect(number <= max);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint64_t max;
    weir_str text;

    if (len < sizeof(max)) {
        return 0;
    }

    memcpy(&max, data, sizeof(max));
    text = weir_str_of((const char *) data + sizeof(max), len - sizeof(max));
    read_uint(text, max);
    read_int(text, (int64_t) (max >> 1));
    read_times(text, max);
    read_the_others(text, max);
    return 0;
}
