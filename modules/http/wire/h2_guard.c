#include "modules/http/wire/h2_guard.h"

/*
 * A browser that opens a page spends a few dozen, and earns more than that with each response; a gRPC client that
 * acknowledges each small message breaks even.  500 cancelled requests at once, or 60 a second for ever, are borne.
 */
#define CREDIT_BEGIN 2000
#define CREDIT_MAX 8000
#define CREDIT_PER_SECOND 250

/* Bytes of a field section for 1: decoding them costs what a frame does.  The largest that is taken costs this at most. */
#define HEAD_BYTES_MIN 128
#define HEAD_COST_MAX 256

#define FRAME_HEAD_BYTES 9
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
#define PRIORITY_BYTES 5
#define FRAME_MAX_BYTES 16384 /* SETTINGS_MAX_FRAME_SIZE, which is left as it is */

void h2_guard_begin(h2_guard *guard, uint64_t now_ms)
{
    *guard = (h2_guard){
        .left = PREFACE_BYTES,
        .body_min = H2_BODY_FRAME_MIN,
        .credit = CREDIT_BEGIN,
        .filled_ms = now_ms,
        .head_bytes_per_cost = HEAD_BYTES_MIN,
    };
}

void h2_guard_begin_server(h2_guard *guard, uint64_t now_ms)
{
    h2_guard_begin(guard, now_ms);
    guard->left = 0;
    guard->body_min = 1;
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

void h2_guard_head_taken(h2_guard *guard, size_t bytes)
{
    h2_guard_earn(guard, (int64_t) (bytes / guard->head_bytes_per_cost));
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
static int64_t cost_of(const h2_guard *guard, unsigned type, unsigned flags, uint32_t len)
{
    switch (type) {
    case FRAME_DATA:
        /* Padding may be all that there is: a body that is earns it back. */
        return len < guard->body_min || (flags & FLAG_PADDED) != 0 ? 1 : 0;
    case FRAME_HEADERS:
        return 1 + (int64_t) (len / guard->head_bytes_per_cost);
    case FRAME_CONTINUATION:
        return 2 + (int64_t) (len / guard->head_bytes_per_cost);
    case FRAME_SETTINGS:
        return 4 + len / 64;
    case FRAME_PING:
        return 2;
    default:
        return 1 + len / 256;
    }
}

static uint32_t stream_at(const uint8_t *bytes)
{
    return (uint32_t) (bytes[0] & 0x7f) << 24 | (uint32_t) bytes[1] << 16 | (uint32_t) bytes[2] << 8
           | bytes[3];
}

static uint32_t payload_len(const h2_guard *guard)
{
    return (uint32_t) guard->head[0] << 16 | (uint32_t) guard->head[1] << 8 | guard->head[2];
}

/* What is to be seen of a frame before it is judged. */
static bool head_is_whole(const h2_guard *guard)
{
    if (guard->head_len < FRAME_HEAD_BYTES) {
        return false;
    }
    return guard->head[3] != FRAME_PRIORITY || payload_len(guard) != PRIORITY_BYTES
           || guard->head_len == sizeof(guard->head);
}

void h2_guard_ended(h2_guard *guard, uint32_t stream)
{
    guard->ended[guard->next_ended++ % H2_ENDED_KEPT] = stream;
}

static bool has_ended(const h2_guard *guard, uint32_t stream)
{
    for (size_t i = 0; i < H2_ENDED_KEPT; i++) {
        if (guard->ended[i] == stream && stream != 0) {
            return true;
        }
    }
    return false;
}

/* What nghttp2 does not look at, as it keeps no closed streams and no priorities. */
static h2_guard_verdict look_closer(h2_guard *guard, unsigned type, uint32_t len)
{
    uint32_t stream = stream_at(guard->head + 5);

    switch (type) {
    case FRAME_DATA:
        return has_ended(guard, stream) ? H2_GUARD_ENDED : H2_GUARD_FINE;
    case FRAME_PRIORITY:
        return stream == 0
                       || (len == PRIORITY_BYTES
                           && stream == stream_at(guard->head + FRAME_HEAD_BYTES))
                   ? H2_GUARD_PRIORITY
                   : H2_GUARD_FINE;
    case FRAME_RST_STREAM:
        h2_guard_ended(guard, stream);
        return H2_GUARD_FINE;
    case FRAME_CONTINUATION:
        return len > FRAME_MAX_BYTES ? H2_GUARD_FRAME_SIZE : H2_GUARD_FINE;
    default:
        return H2_GUARD_FINE;
    }
}

static h2_guard_verdict take_head(h2_guard *guard, size_t head_max)
{
    uint32_t len = payload_len(guard);
    unsigned type = guard->head[3];
    h2_guard_verdict verdict;

    guard->left = len - (guard->head_len - FRAME_HEAD_BYTES);
    guard->head_len = 0;
    guard->credit -= cost_of(guard, type, guard->head[4], len);
    if (guard->credit < 0) {
        return H2_GUARD_FLOOD;
    }
    verdict = look_closer(guard, type, len);
    if (verdict != H2_GUARD_FINE) {
        return verdict;
    }
    if (type == FRAME_HEADERS) {
        guard->block_bytes = 0;
    }
    if (type == FRAME_HEADERS || type == FRAME_CONTINUATION) {
        guard->in_block = (guard->head[4] & FLAG_END_HEADERS) == 0;
        guard->block_bytes += len;
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
    guard->head_bytes_per_cost =
        head_max / HEAD_COST_MAX > HEAD_BYTES_MIN ? head_max / HEAD_COST_MAX : HEAD_BYTES_MIN;
    while (i < bytes.len) {
        h2_guard_verdict verdict;

        if (guard->left != 0) {
            size_t here = bytes.len - i < guard->left ? bytes.len - i : guard->left;

            guard->left -= (uint32_t) here;
            i += here;
            continue;
        }
        guard->head[guard->head_len++] = (uint8_t) bytes.data[i++];
        if (!head_is_whole(guard)) {
            continue;
        }
        verdict = take_head(guard, head_max);
        if (verdict != H2_GUARD_FINE) {
            return verdict;
        }
    }
    return H2_GUARD_FINE;
}
