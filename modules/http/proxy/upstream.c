#include "modules/http/proxy/proxy_internal.h"

#include "core/process/worker.h"

/* http's face of the upstream groups: the block, and what each worker keeps. */

static weir_level *upstream_enter(weir_conf *conf, weir_level *outer,
                                  const weir_statement *statement)
{
    return weir_balance_enter(conf, outer, statement, &proxy_family);
}

static bool upstream_leave(weir_conf *conf, weir_level *level, const weir_statement *statement)
{
    const weir_http_core_conf *core = weir_level_settings(level, &weir_http_core.base);

    weir_balance_resolver_default(level->owner, core->resolver, core->resolver_timeout_ms);
    return weir_balance_leave(conf, level, statement);
}

static bool upstream_configured(weir_conf *conf)
{
    return weir_balance_configured(conf, &proxy_family);
}

static bool upstream_worker_start(weir_worker *worker)
{
    return weir_balance_worker_start(worker, &proxy_family);
}

static void upstream_worker_stop(weir_worker *worker)
{
    weir_balance_worker_stop(worker, &proxy_family);
}

static const weir_directive upstream_directives[] = {
    {
        .name = "upstream",
        .where = WEIR_HTTP_MAIN,
        .takes = WEIR_TAKES(1, 1),
        .syntax = "name { ... }",
        .repeatable = true,
        .block = WEIR_BLOCK_LEVEL,
        .opens = WEIR_HTTP_UPSTREAM,
        .enter = upstream_enter,
        .leave = upstream_leave,
        .comes_first = true,
        .doc = "A group of servers that requests are passed on to.",
    },
    WEIR_BALANCE_DIRECTIVES(WEIR_HTTP_UPSTREAM, "header | last_byte"),
    WEIR_BALANCE_SESSION_DIRECTIVES(WEIR_HTTP_UPSTREAM),
    WEIR_BALANCE_KEEPALIVE_DIRECTIVES(WEIR_HTTP_UPSTREAM),
    {0},
};

const weir_http_module weir_http_upstream = {
    .name = "http_upstream",
    .directives = upstream_directives,
    .configured = upstream_configured,
    .worker_start = upstream_worker_start,
    .worker_stop = upstream_worker_stop,
};
