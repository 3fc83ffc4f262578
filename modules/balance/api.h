#ifndef WEIR_BALANCE_API_H
#define WEIR_BALANCE_API_H

#include "modules/balance/balance.h"

/*
 * The control interface, whatever carries it: the resources and answers of NGINX Plus' REST API for upstreams.
 *
 *     GET            http/upstreams[/NAME[/servers[/ID]]]
 *     DELETE         http/upstreams/NAME                       what is counted begins at zero
 *     POST           http/upstreams/NAME/servers
 *     PATCH, DELETE  http/upstreams/NAME/servers/ID
 *
 * and the same under stream; and of resolvers that have a "status_zone=":
 *
 *     GET            resolvers[/ZONE]
 *     DELETE         resolvers/ZONE
 */

typedef enum {
    WEIR_BALANCE_VERB_GET,
    WEIR_BALANCE_VERB_POST,
    WEIR_BALANCE_VERB_PATCH,
    WEIR_BALANCE_VERB_DELETE,
    WEIR_BALANCE_VERB_OTHER, /* any other one */
} weir_balance_verb;

typedef enum {
    WEIR_BALANCE_CALL_ANSWERED,   /* status and text are set */
    WEIR_BALANCE_CALL_TAKES_BODY, /* an object: for weir_balance_call_go_on() */
    WEIR_BALANCE_CALL_WAITS,      /* for the keeper: `done` will be called, once it is answered */
} weir_balance_call_step;

/* One call; lies inside of who makes it, zeroed but for what is asked. */
typedef struct weir_balance_call {
    weir_pool *pool;
    weir_balance_verb verb;
    weir_str path; /* as above, borrowed until it is answered */
    const weir_str *
        fields; /* of groups, the members that are wanted, "zone,peers"; empty: their names; NULL: all */
    weir_str request_id; /* for errors; empty: none */
    bool may_write;
    bool is_for_people; /* tables instead of JSON, and a server may be called by its address */
    void (*done)(struct weir_balance_call *call);

    unsigned status;     /* of HTTP: 200, 404 ... */
    const char *allowed; /* with 405: the methods that the path takes, as in Allow */
    weir_str
        text; /* from the pool, with a newline at its end; empty: nothing to say (204), or no memory (500) */

    /* private; once it is answered with 201, change.id is that of the new server */
    weir_balance_change change;
    bool is_answered;
} weir_balance_call;

weir_balance_call_step weir_balance_call_begin(weir_balance_call *call);
/* With the body that it asked for, borrowed until it is answered. */
weir_balance_call_step weir_balance_call_go_on(weir_balance_call *call, weir_str body);
/* Nobody wants to know any more. */
void weir_balance_call_cancel(weir_balance_call *call);
/* Answers it with an error; the code is NGINX Plus'. */
weir_balance_call_step weir_balance_call_refuse(weir_balance_call *call, unsigned status,
                                                const char *code, weir_str text);
/* While reading: there will be calls that write. */
bool weir_balance_calls_enable(weir_conf *conf) WEIR_MUST_USE;

#endif
