#include "modules/http/proxy/proxy_internal.h"

#include "core/base/clock.h"
#include "core/base/number.h"

/* proxy_limit_rate: how fast an origin is read from. */

struct proxy_rate {
    proxy_state *proxy;
    uint64_t bytes_per_s, begun_ms, received;
    weir_timer pause;
};

static void rate_go_on(weir_timer *timer)
{
    struct proxy_rate *rate = WEIR_OWNER(timer, struct proxy_rate, pause);

    weir_task_post(rate->proxy->ex->client->connection->loop, &rate->proxy->go_on);
}

bool proxy_rate_begin(proxy_state *proxy)
{
    const weir_template *limit = proxy->conf->limit_rate;
    uint64_t bytes_per_s;
    weir_str text;

    if (limit == NULL) {
        return true;
    }
    if (!weir_template_text(limit, &proxy->ex->script, &text)) {
        return false;
    }
    if (!weir_parse_size(text, true, INT64_MAX / 4096, &bytes_per_s)) {
        weir_log_line(&proxy->ex->log, WEIR_LOG_ERR, 0,
                      "invalid value \"%.*s\" of \"proxy_limit_rate\"", WEIR_STR_ARG(text));
        return true;
    }
    if (bytes_per_s == 0) {
        return true;
    }

    proxy->rate = WEIR_NEW(proxy->ex->pool, struct proxy_rate);
    if (proxy->rate == NULL) {
        return false;
    }
    proxy->rate->proxy = proxy;
    proxy->rate->bytes_per_s = bytes_per_s;
    proxy->rate->begun_ms = weir_clock_now()->monotonic_ms;
    proxy->rate->pause.name = "proxy_limit_rate";
    proxy->rate->pause.expired = rate_go_on;
    /* What came with the head counts, too. */
    proxy_rate_count(proxy, proxy->end - proxy->start);
    return true;
}

size_t proxy_rate_allows(proxy_state *proxy, size_t size)
{
    struct proxy_rate *rate = proxy->rate;
    uint64_t elapsed_ms = weir_clock_now()->monotonic_ms - rate->begun_ms;
    uint64_t allowed = rate->bytes_per_s * (elapsed_ms / 1000 + 1);

    if (rate->received < allowed) {
        return size < allowed - rate->received ? size : (size_t) (allowed - rate->received);
    }
    if (!weir_timer_is_set(&rate->pause)
        && !weir_timer_set(proxy->ex->client->connection->loop, &rate->pause,
                           (rate->received - allowed) * 1000 / rate->bytes_per_s + 1000
                               - elapsed_ms % 1000)) {
        return size;
    }
    return 0;
}

void proxy_rate_count(proxy_state *proxy, size_t bytes)
{
    proxy->rate->received += bytes;
}

void proxy_rate_done(proxy_state *proxy)
{
    if (proxy->rate != NULL) {
        weir_timer_clear(proxy->ex->client->connection->loop, &proxy->rate->pause);
        proxy->rate = NULL;
    }
}
