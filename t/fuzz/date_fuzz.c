/* HTTP-dates: what is read can be written, and is then read as the same second. */

#include <stdlib.h>

#include "core/base/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    int64_t wall_s, again;
    char text[30];

    if (weir_clock_parse_http(weir_str_of((const char *) data, len), &wall_s)) {
        weir_clock_format_http(wall_s, text);
        if (!weir_clock_parse_http(weir_str_from_z(text), &again) || again != wall_s) {
            abort();
        }
    }

    if (len == sizeof(wall_s)) {
        memcpy(&wall_s, data, sizeof(wall_s));
        weir_clock_format_http(wall_s, text);
        if (strlen(text) != 29) {
            abort();
        }
    }

    return 0;
}
