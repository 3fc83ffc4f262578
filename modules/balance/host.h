#ifndef WEIR_BALANCE_HOST_H
#define WEIR_BALANCE_HOST_H

#include "modules/balance/balance.h"

/*
 * A host whose name is known at run time only: its addresses become a group of whoever asks, in whose state this lies.
 */
typedef struct weir_balance_host weir_balance_host;
struct weir_balance_host {
    /* The asker's, and borrowed. */
    weir_pool *pool; /* the group's */
    const weir_cycle *cycle;
    const weir_balance_family *family;
    const weir_log *log;
    weir_str text; /* what the group is called: "name:port" */
    weir_str name;
    uint16_t port;
    void *owner;
    void (*done)(weir_balance_host *host); /* after WAIT; all of this may be gone when it returns */

    weir_balance_group *group; /* the outcome; NULL: there is none, logged */
    bool is_unknown;           /* that is for want of an address, and not of memory */

    weir_resolver_query query; /* private */
};

/*
 * OK: the group is there.  WAIT: `done` will be called.  FAIL: there is no group.  It begins with
 * any of its addresses, as no other state tells whose turn it is.  Without `settings` no name is
 * known.
 */
weir_result weir_balance_host_ask(weir_balance_host *host, weir_loop *loop,
                                  const weir_resolver_settings *settings,
                                  uint64_t timeout_ms) WEIR_MUST_USE;
/* Nobody wants to know any more.  Harmless when nothing is asked. */
void weir_balance_host_cancel(weir_balance_host *host);

#endif
