#include "modules/http/wire/h2_guard.h"

/*
 * A browser that opens a page spends a few dozen, and earns more than that with each response; a gRPC client that
 * acknowledges each small message breaks even.  500 cancelled requests at once, or 60 a second for ever, are borne.
 */
#define CREDIT_BEGIN 2000
#define CREDIT_MAX 8000
#define CREDIT_PER_SECOND 250

#define PREFACE_BYTES 24

/* RFC 9113, 6 */
enum {
    FRAME_DATA,
    FRAME_HEADERS,
    FRAME_PRIORITY,
    FRAME_RST_STREAM,
    FRAME_SETTINGS,
    FRAME_PUSH_PROMISE,
    FRAME_PING,
    FRAME_GOAWAY,
    FRAME_WINDOW_UPDATE,
    FRAME_CONTINUATION,
};
#define FLAG_END_HEADERS 4
#define FLAG_PADDED 8
#define FRAME_MAX_BYTES 16384 /* SETTINGS_MAX_FRAME_SIZE, which is left as it is */

void h2_guard_begin(h2_guard *guard, uint64_t now_ms)
{
    *guard = (h2_guard){.left = PREFACE_BYTES, .credit = CREDIT_BEGIN, .filled_ms = now_ms};
}

void h2_guard_begin_server(h2_guard *guard, uint64_t now_ms)
{
    h2_guard_begin(guard, now_ms);
    guard->left = 0;
}

void h2_guard_charge(h2_guard *guard, int64_t cost)
{
    guard->credit -= cost;
}

void h2_guard_earn(h2_guard *guard, int64_t credit)
{
    if (guard->credit < CREDIT_MAX) {
        guard->credit += credit;
    }
}

static void fill(h2_guard *guard, uint64_t now_ms)
{
    uint64_t passed_ms = now_ms - guard->filled_ms;

    if (passed_ms < 100) {
        return;
    }
    guard->filled_ms = now_ms;
    if (guard->credit < CREDIT_BEGIN) {
        guard->credit +=
            passed_ms > 10000 ? CREDIT_BEGIN : (int64_t) (passed_ms * CREDIT_PER_SECOND / 1000);
        guard->credit = guard->credit > CREDIT_BEGIN ? CREDIT_BEGIN : guard->credit;
    }
}

/* Frames that are answered cost more, and so do the bytes of those that carry nothing. */
static int64_t cost_of(unsigned type, unsigned flags, uint32_t len)
{
    switch (type) {
    case FRAME_DATA:
        /* Padding may be all that there is: a body that is earns it back. */
        return len < H2_BODY_FRAME_MIN || (flags & FLAG_PADDED) != 0 ? 1 : 0;
    case FRAME_HEADERS:
        return 1;
    case FRAME_CONTINUATION:
        return 2;
    case FRAME_SETTINGS:
        return 4 + len / 64;
    case FRAME_PING:
        return 2;
    default:
        return 1 + len / 256;
    }
}

/* Of a request that is refused already: the rest is decoded, for the table's sake alone (RFC 9113, 4.3). */
static int64_t cost_of_excess(const h2_guard *guard, uint32_t len, size_t head_max)
{
    return guard->block_bytes > head_max ? len / 128 : 0;
}

static h2_guard_verdict take_head(h2_guard *guard, size_t head_max)
{
    uint32_t len =
        (uint32_t) guard->head[0] << 16 | (uint32_t) guard->head[1] << 8 | guard->head[2];
    unsigned type = guard->head[3];

    guard->left = len;
    guard->head_len = 0;
    guard->credit -= cost_of(type, guard->head[4], len);
    if (guard->credit < 0) {
        return H2_GUARD_FLOOD;
    }
    if (type == FRAME_CONTINUATION && len > FRAME_MAX_BYTES) {
        return H2_GUARD_FRAME_SIZE;
    }
    if (type == FRAME_PRIORITY
        && ((guard->head[5] & 0x7f) | guard->head[6] | guard->head[7] | guard->head[8]) == 0) {
        return H2_GUARD_STREAM_ZERO;
    }
    if (type == FRAME_HEADERS) {
        guard->block_bytes = 0;
    }
    if (type == FRAME_HEADERS || type == FRAME_CONTINUATION) {
        guard->in_block = (guard->head[4] & FLAG_END_HEADERS) == 0;
        guard->block_bytes += len;
        guard->credit -= cost_of_excess(guard, len, head_max);
        if (guard->block_bytes > head_max * H2_HEAD_TIMES) {
            return H2_GUARD_TOO_LARGE;
        }
    }
    return H2_GUARD_FINE;
}

h2_guard_verdict h2_guard_look(h2_guard *guard, weir_str bytes, size_t head_max, uint64_t now_ms)
{
    size_t i = 0;

    fill(guard, now_ms);
    while (i < bytes.len) {
        h2_guard_verdict verdict;

        if (guard->left != 0) {
            size_t here = bytes.len - i < guard->left ? bytes.len - i : guard->left;

            guard->left -= (uint32_t) here;
            i += here;
            continue;
        }
        guard->head[guard->head_len++] = (uint8_t) bytes.data[i++];
        if (guard->head_len < sizeof(guard->head)) {
            continue;
        }
        verdict = take_head(guard, head_max);
        if (verdict != H2_GUARD_FINE) {
            return verdict;
        }
    }
    return H2_GUARD_FINE;
}
