#include "modules/stream/proxy/proxy_internal.h"

#include "core/process/worker.h"

/* stream's face of the upstream groups. */

const weir_balance_family stream_proxy_family = {
    .name = "stream",
    .times = {.connect = "connect", .first_byte = "first_byte"},
};

static weir_level *upstream_enter(weir_conf *conf, weir_level *outer,
                                  const weir_statement *statement)
{
    return weir_balance_enter(conf, outer, statement, &stream_proxy_family);
}

static bool upstream_leave(weir_conf *conf, weir_level *level, const weir_statement *statement)
{
    const weir_stream_core_conf *core = weir_level_settings(level, &weir_stream_core.base);

    weir_balance_resolver_default(level->owner, core->resolver, core->resolver_timeout_ms);
    return weir_balance_leave(conf, level, statement);
}

static bool upstream_configured(weir_conf *conf)
{
    return weir_balance_configured(conf, &stream_proxy_family);
}

static bool upstream_worker_start(weir_worker *worker)
{
    return weir_balance_worker_start(worker, &stream_proxy_family);
}

static void upstream_worker_stop(weir_worker *worker)
{
    weir_balance_worker_stop(worker, &stream_proxy_family);
}

static const weir_directive upstream_directives[] = {
    {
        .name = "upstream",
        .where = WEIR_STREAM_MAIN,
        .takes = WEIR_TAKES(1, 1),
        .syntax = "name { ... }",
        .repeatable = true,
        .block = WEIR_BLOCK_LEVEL,
        .opens = WEIR_STREAM_UPSTREAM,
        .enter = upstream_enter,
        .leave = upstream_leave,
        .comes_first = true,
        .doc = "A group of servers that sessions are passed on to.",
    },
    WEIR_BALANCE_DIRECTIVES(WEIR_STREAM_UPSTREAM, "connect | first_byte | last_byte"),
    {0},
};

const weir_stream_module weir_stream_upstream = {
    .name = "stream_upstream",
    .directives = upstream_directives,
    .configured = upstream_configured,
    .worker_start = upstream_worker_start,
    .worker_stop = upstream_worker_stop,
};
