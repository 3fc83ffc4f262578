#ifndef WEIR_BALANCE_PROBE_INTERNAL_H
#define WEIR_BALANCE_PROBE_INTERNAL_H

#include "modules/balance/health.h"

struct balance_talking;

/* One peer that is asked by one check, again and again. */
typedef struct {
    const weir_balance_check *check;
    weir_worker *keeper;
    weir_addr addr;
    weir_str text;
    struct balance_talking *talking; /* while it is asked */
    weir_connection *kept;           /* for the next time; NULL: none */

    weir_pool *pool;
    weir_timer timer;
    uint64_t key, round, against;
    size_t column;
} balance_probe;

/* ---- probe.c: asks once, and answers by balance_probe_end(), unless cancelled first */

void balance_talking_start(balance_probe *probe);
void balance_talking_cancel(struct balance_talking *self);
/* A connection that is kept is closed. */
void balance_probe_forget(balance_probe *probe);

/* ---- health.c: `failure` NULL: the peer is well; else why not, which is logged */

void balance_probe_end(balance_probe *probe, const char *failure);

#endif
