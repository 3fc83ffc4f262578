#ifndef WEIR_BASE_NUMBER_H
#define WEIR_BASE_NUMBER_H

#include "core/base/result.h"
#include "core/base/str.h"

/* Checked arithmetic for values from outside.  False on overflow. */
static inline bool weir_add_size(size_t a, size_t b, size_t *sum)
{
    return !__builtin_add_overflow(a, b, sum);
}

static inline bool weir_mul_size(size_t a, size_t b, size_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}

/* One parser each.  All of `s` must be used; no sign, no spaces; over `max` is false. */
bool weir_parse_uint(weir_str s, uint64_t max, uint64_t *number) WEIR_MUST_USE;
bool weir_parse_hex(weir_str s, uint64_t max, uint64_t *number) WEIR_MUST_USE;
/* With an optional "-". */
bool weir_parse_int(weir_str s, int64_t min, int64_t max, int64_t *number) WEIR_MUST_USE;

/* A size as in nginx.conf: 8, 8k, 8K, 1m, 1M, and with `offsets` 1g, 1G. */
bool weir_parse_size(weir_str s, bool offsets, uint64_t max, uint64_t *bytes) WEIR_MUST_USE;

/*
 * A time as in nginx.conf: "1h 30m", "90s", "500ms", "30" (seconds); units
 * from large to small, each once: y M w d h m s ms.  Result in milliseconds; weir_parse_time_s()
 * refuses "ms" and gives seconds.
 */
bool weir_parse_time_ms(weir_str s, uint64_t max_ms, uint64_t *time_ms) WEIR_MUST_USE;
bool weir_parse_time_s(weir_str s, uint64_t max_s, uint64_t *time_s) WEIR_MUST_USE;

/* "1.25" with up to `digits` after the point, as a number times 10^digits. */
bool weir_parse_fixed(weir_str s, unsigned digits, uint64_t max, uint64_t *number) WEIR_MUST_USE;

#endif
