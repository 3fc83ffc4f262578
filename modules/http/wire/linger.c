#include "modules/http/wire/linger.h"

#include "core/base/clock.h"

/* Reads of what nobody wants in one turn of the loop. */
#define LINGER_READS 64
#define BRIEF_MS 300

typedef struct {
    weir_connection *connection;
    const weir_http_core_conf *core;
    uint64_t most_ms; /* of reading what is dropped; 0: none */
    uint64_t until_ms;
    uint64_t deadline_ms;
} linger;

static void linger_readable(weir_connection *connection);
static void linger_timeout(weir_connection *connection);
static void closing_writable(weir_connection *connection);

/* linger -> closed */
static const weir_connection_state linger_state = {
    .name = "linger",
    .on_readable = linger_readable,
    .on_timeout = linger_timeout,
};

/* closing (our end of data is not out yet) -> linger, closed */
static const weir_connection_state closing_state = {
    .name = "closing",
    .on_writable = closing_writable,
    .on_timeout = linger_timeout,
};

static void wait_for(linger *l, uint64_t from_now_ms)
{
    l->deadline_ms = weir_clock_now()->monotonic_ms + from_now_ms;
    weir_connection_set_timeout(l->connection, from_now_ms);
}

static void shut(linger *l)
{
    weir_connection *connection = l->connection;

    switch (weir_connection_shut(connection)) {
    case WEIR_FAIL:
        weir_connection_close(connection);
        return;
    case WEIR_WAIT:
        weir_connection_enter(connection, &closing_state);
        wait_for(l, l->core->send_timeout_ms);
        return;
    case WEIR_OK:
        break;
    }
    if (l->most_ms == 0) {
        weir_connection_close(connection);
        return;
    }
    l->until_ms = weir_clock_now()->monotonic_ms + l->most_ms;
    wait_for(l, l->core->lingering_timeout_ms < l->most_ms ? l->core->lingering_timeout_ms
                                                           : l->most_ms);
    weir_connection_enter(connection, &linger_state);
    if (connection->hangup) {
        linger_readable(connection);
    }
}

static void closing_writable(weir_connection *connection)
{
    shut(connection->owner);
}

static void linger_readable(weir_connection *connection)
{
    linger *l = connection->owner;
    char dropped[4096];
    size_t len;

    for (unsigned reads = 0;; reads++) {
        uint64_t now = weir_clock_now()->monotonic_ms;

        if (reads == LINGER_READS) {
            /* A fast sender must not hold up everybody else: enters again, to go on later. */
            if (now >= l->until_ms) {
                weir_connection_close(connection);
            } else {
                weir_connection_enter(connection, &linger_state);
            }
            return;
        }
        switch (weir_connection_read(connection, dropped, sizeof(dropped), &len)) {
        case WEIR_OK:
            if (len != 0) {
                continue;
            }
            weir_connection_close(connection);
            return;
        case WEIR_FAIL:
            weir_connection_close(connection);
            return;
        case WEIR_WAIT:
            break;
        }
        if (now >= l->until_ms) {
            weir_connection_close(connection);
            return;
        }
        wait_for(l, l->core->lingering_timeout_ms < l->until_ms - now
                        ? l->core->lingering_timeout_ms
                        : l->until_ms - now);
        return;
    }
}

static void linger_timeout(weir_connection *connection)
{
    linger *l = connection->owner;
    uint64_t now = weir_clock_now()->monotonic_ms;

    if (now < l->deadline_ms) {
        weir_connection_set_timeout(connection, l->deadline_ms - now);
        return;
    }
    weir_connection_close(connection);
}

static uint64_t lingering_ms(const weir_http_core_conf *core, weir_http_ending ending)
{
    if (core->lingering_close == WEIR_HTTP_LINGER_OFF) {
        return 0;
    }
    switch (ending) {
    case WEIR_HTTP_END_AT_ONCE:
        return 0;
    case WEIR_HTTP_END_BRIEFLY:
        return BRIEF_MS;
    case WEIR_HTTP_END_LINGERING:
        return core->lingering_time_ms;
    }
    return 0;
}

void weir_http_end_connection(weir_connection *connection, const weir_http_core_conf *core,
                              weir_http_ending ending)
{
    uint64_t most_ms = lingering_ms(core, ending);
    linger *l;

    if (most_ms == 0 && (connection->tls == NULL || weir_tls_is_shut(connection))) {
        /* Closing says it all: one call less. */
        weir_connection_close(connection);
        return;
    }
    l = WEIR_NEW(connection->pool, linger);
    if (l == NULL) {
        weir_connection_close(connection);
        return;
    }
    l->connection = connection;
    l->core = core;
    l->most_ms = most_ms;
    connection->owner = l;
    shut(l);
}
