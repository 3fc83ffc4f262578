#include "modules/http/engine/engine_internal.h"

/* Exchanges that go on after a time. */

typedef struct {
    weir_http_exchange *ex;
    weir_http_hold hold;
    weir_timer timer;
    void (*then)(weir_http_exchange *ex);
} http_pause;

static void pause_over(weir_timer *timer)
{
    http_pause *pause = WEIR_OWNER(timer, http_pause, timer);

    weir_http_hold_drop(pause->ex, &pause->hold);
    pause->then(pause->ex);
}

static void pause_cancel(weir_http_exchange *ex, weir_http_hold *hold)
{
    http_pause *pause = WEIR_OWNER(hold, http_pause, hold);

    weir_timer_clear(weir_http_client_connection(ex)->loop, &pause->timer);
}

weir_http_verdict weir_http_pause(weir_http_exchange *ex, const char *name, uint64_t time_ms,
                                  void (*then)(weir_http_exchange *ex))
{
    http_pause *pause = WEIR_NEW(ex->pool, http_pause);

    if (pause == NULL) {
        return WEIR_HTTP_FAILED;
    }
    pause->ex = ex;
    pause->then = then;
    pause->timer.name = name;
    pause->timer.expired = pause_over;
    if (!weir_timer_set(weir_http_client_connection(ex)->loop, &pause->timer, time_ms)) {
        return WEIR_HTTP_FAILED;
    }
    weir_http_hold_add(ex, &pause->hold, name, pause_cancel);
    return WEIR_HTTP_WAITING;
}
