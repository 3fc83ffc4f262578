#include "core/base/clock.h"
#include "core/server/values.h"
#include "modules/stream/proxy/proxy_internal.h"

/* $upstream_...: a value for each peer that was tried, in turn. */

typedef enum {
    UPSTREAM_ADDR,
    UPSTREAM_BYTES_SENT,
    UPSTREAM_BYTES_RECEIVED,
    UPSTREAM_CONNECT_TIME,
    UPSTREAM_FIRST_BYTE_TIME,
    UPSTREAM_SESSION_TIME,
} upstream_part;

static void add_time(weir_builder *builder, uint64_t ms)
{
    if (ms == STREAM_PROXY_UNKNOWN) {
        weir_builder_add_byte(builder, '-');
        return;
    }
    weir_builder_add_uint(builder, ms / 1000);
    weir_builder_add_byte(builder, '.');
    weir_builder_add_padded(builder, ms % 1000, 3);
}

/* A connection that is open is that of the last try. */
static bool is_open(const stream_proxy *proxy, const stream_proxy_attempt *attempt)
{
    return proxy->origin != NULL
           && attempt
                  == WEIR_ARRAY_AT(&proxy->attempts, stream_proxy_attempt,
                                   proxy->attempts.count - 1);
}

/* What a connection that is open has carried so far is counted there. */
static uint64_t bytes_of(const stream_proxy *proxy, const stream_proxy_attempt *attempt,
                         bool is_sent)
{
    if (is_open(proxy, attempt)) {
        return is_sent ? proxy->origin->sent : proxy->origin->received;
    }
    return is_sent ? attempt->sent : attempt->received;
}

/* Logged while it is open: the worker ends. */
static uint64_t session_ms_of(const stream_proxy *proxy, const stream_proxy_attempt *attempt)
{
    return is_open(proxy, attempt) && proxy->session->phase == WEIR_STREAM_PHASE_LOG
               ? weir_clock_now()->monotonic_ms - attempt->started_ms
               : attempt->session_ms;
}

static void add_part(weir_builder *builder, const stream_proxy *proxy,
                     const stream_proxy_attempt *attempt, upstream_part part)
{
    switch (part) {
    case UPSTREAM_ADDR:
        weir_builder_add(builder, attempt->addr);
        break;
    case UPSTREAM_BYTES_SENT:
        weir_builder_add_uint(builder, bytes_of(proxy, attempt, true));
        break;
    case UPSTREAM_BYTES_RECEIVED:
        weir_builder_add_uint(builder, bytes_of(proxy, attempt, false));
        break;
    case UPSTREAM_CONNECT_TIME:
        add_time(builder, attempt->connect_ms);
        break;
    case UPSTREAM_FIRST_BYTE_TIME:
        add_time(builder, attempt->first_byte_ms);
        break;
    case UPSTREAM_SESSION_TIME:
        add_time(builder, session_ms_of(proxy, attempt));
        break;
    }
}

static bool get_upstream(weir_script *script, uintptr_t arg, weir_value *value)
{
    const weir_stream_session *session = script->subject;
    const stream_proxy *proxy = session->upstream;
    weir_builder builder;

    if (proxy == NULL || proxy->attempts.count == 0) {
        return true;
    }
    weir_builder_open(&builder, script->pool, SIZE_MAX);
    for (size_t i = 0; i < proxy->attempts.count; i++) {
        if (i != 0) {
            weir_builder_add(&builder, WEIR_STR(", "));
        }
        add_part(&builder, proxy, WEIR_ARRAY_AT(&proxy->attempts, stream_proxy_attempt, i),
                 (upstream_part) arg);
    }
    value->found = true;
    return weir_builder_close(&builder, &value->text);
}

/* Of the peer that was tried last. */
static bool get_last_addr(weir_script *script, uintptr_t arg, weir_value *value)
{
    const weir_stream_session *session = script->subject;
    const stream_proxy *proxy = session->upstream;

    (void) arg;
    return proxy == NULL || proxy->attempts.count == 0 || weir_give(value, proxy->peer);
}

#define UPSTREAM(name_, part_)                                                                     \
    {                                                                                              \
        .name = name_, .get = get_upstream, .arg = part_, .is_volatile = true                      \
    }

const weir_variable stream_proxy_variables[] = {
    UPSTREAM("upstream_addr", UPSTREAM_ADDR),
    UPSTREAM("upstream_bytes_sent", UPSTREAM_BYTES_SENT),
    UPSTREAM("upstream_bytes_received", UPSTREAM_BYTES_RECEIVED),
    UPSTREAM("upstream_connect_time", UPSTREAM_CONNECT_TIME),
    UPSTREAM("upstream_first_byte_time", UPSTREAM_FIRST_BYTE_TIME),
    UPSTREAM("upstream_session_time", UPSTREAM_SESSION_TIME),
    {.name = "upstream_last_addr", .get = get_last_addr, .is_volatile = true},
    {0},
};
