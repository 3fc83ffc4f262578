#ifndef WEIR_BASE_CLOCK_H
#define WEIR_BASE_CLOCK_H

#include <time.h>

#include "core/base/str.h"

/*
 * The time of this process, read once per loop turn.  Log lines and fields
 * use the texts, which are made at most once a second.
 */
typedef struct {
    uint64_t monotonic_ms; /* never goes back: timers and durations */
    int64_t wall_s;        /* since 1970 */
    unsigned wall_ms;      /* 0..999 */
    int gmt_offset_minutes;
} weir_clock;

/* The time as of the last update, of which the first call makes one. */
const weir_clock *weir_clock_now(void);

void weir_clock_update(void);

/* A fresh reading in microseconds, for measuring a span of time; does not update. */
uint64_t weir_clock_monotonic_us(void);

/* Cached texts of weir_clock_now(). */
weir_str weir_clock_log_text(void);     /* 2026/11/21 10:00:00 */
weir_str weir_clock_http_text(void);    /* Sat, 21 Nov 2026 10:00:00 GMT */
weir_str weir_clock_access_text(void);  /* 21/Nov/2026:10:00:00 +0000 */
weir_str weir_clock_iso8601_text(void); /* 2026-11-21T10:00:00+00:00 */

weir_str weir_clock_syslog_text(void); /* Nov 21 10:00:00; local, a day below 10 after a space */

/* 29 bytes of IMF-fixdate (RFC 9110, 5.6.7) and a NUL into `text`; years 0 to 9999. */
void weir_clock_format_http(int64_t wall_s, char text[static 30]);
/* Any of the three forms of an HTTP-date; false when it is none. */
bool weir_clock_parse_http(weir_str text, int64_t *wall_s) __attribute__((warn_unused_result));

#endif
