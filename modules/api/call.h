#ifndef WEIR_API_CALL_H
#define WEIR_API_CALL_H

#include "modules/balance/balance.h"

/*
 * What is asked of a running weir, whatever carries it: the resources and answers of NGINX Plus' REST API.
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
    WEIR_API_VERB_GET,
    WEIR_API_VERB_POST,
    WEIR_API_VERB_PATCH,
    WEIR_API_VERB_DELETE,
    WEIR_API_VERB_OTHER, /* any other one */
} weir_api_verb;

typedef enum {
    WEIR_API_ANSWERED,   /* status and text are set */
    WEIR_API_TAKES_BODY, /* an object: for weir_api_call_go_on() */
    WEIR_API_WAITS,      /* for the keeper: `done` will be called, once it is answered */
} weir_api_step;

/* One call; lies inside of who makes it, zeroed but for what is asked. */
typedef struct weir_api_call {
    weir_pool *pool;
    weir_api_verb verb;
    weir_str path; /* as above, borrowed until it is answered */
    const weir_str *
        fields; /* of groups, the members that are wanted, "zone,peers"; empty: their names; NULL: all */
    weir_str request_id; /* for errors; empty: none */
    bool may_write;
    bool is_for_people; /* tables instead of JSON, and a server may be called by its address */
    void (*done)(struct weir_api_call *call);

    unsigned status;     /* of HTTP: 200, 404 ... */
    const char *allowed; /* with 405: the methods that the path takes, as in Allow */
    weir_str
        text; /* from the pool, with a newline at its end; empty: nothing to say (204), or no memory (500) */

    /* private; once it is answered with 201, change.id is that of the new server */
    weir_balance_change change;
} weir_api_call;

/* Answers, or says what it waits for. */
weir_api_step weir_api_call_begin(weir_api_call *call);
/* With the body that it asked for, borrowed until it is answered. */
weir_api_step weir_api_call_go_on(weir_api_call *call, weir_str body);
/* Nobody wants to know any more. */
void weir_api_call_cancel(weir_api_call *call);
/* Answers it with an error; the code is NGINX Plus'. */
weir_api_step weir_api_call_refuse(weir_api_call *call, unsigned status, const char *code,
                                   weir_str text);
/* While reading: there will be calls that write.  False: refused. */
bool weir_api_enable(weir_conf *conf) WEIR_MUST_USE;

#endif
