#ifndef WEIR_HTTP_ENGINE_INTERNAL_H
#define WEIR_HTTP_ENGINE_INTERNAL_H

#include "modules/http/engine/core_conf.h"

/* What the files of this folder say to one another. */

/* Field lines that a response may have: origins' and ours. */
#define RESPONSE_FIELDS_MAX 2000

/* Runs phases from where the exchange is, until it waits, responds, or ends (it may be freed then). */
void weir_http_run(weir_http_exchange *ex);

/* Of one that has ended: frees it, unless phases on the stack look at it, or its parent has bytes of its pool. */
void weir_http_exchange_left(weir_http_exchange *ex);
/* Its parent, which has kept it beyond its end, is being freed. */
void weir_http_exchange_parent_left(void *subject);

/* One of its children has ended: it may have waited for that. */
void weir_http_child_left(weir_http_exchange *parent);

/* Frees an exchange that never was one: made for its variables. */
void weir_http_exchange_drop(void *ex);
/* The last phase, once. */
void weir_http_exchange_log(weir_http_exchange *ex);

/* Ends whatever the content was doing, by its holds. */
void weir_http_holds_cancel(weir_http_exchange *ex);

void weir_http_enter_phase(weir_http_exchange *ex, weir_http_phase phase);
void weir_http_exchange_enter_server(weir_http_exchange *ex, const weir_http_server *server);

/* What a byte may be in a Host: reg-name, IPv4, and IPv6 in brackets (RFC 3986, 3.2.2). 0: nothing. */
enum {
    WEIR_HTTP_HOST_PLAIN = 1,
    WEIR_HTTP_HOST_CAPITAL,
    WEIR_HTTP_HOST_DOT,
    WEIR_HTTP_HOST_OPENS,
    WEIR_HTTP_HOST_CLOSES,
    WEIR_HTTP_HOST_COLON,
};
extern const uint8_t weir_http_host_bytes[256];

/*
 * The response is bare: a status. Looks for an error page; else makes weir's own. True: the response is
 * complete; false: the phases were restarted for an error page.
 */
bool weir_http_settle_bare(weir_http_exchange *ex);

/*
 * Up to about `limit` bytes of the file that `from`, ex->body or ex->ahead, begins with, as blocks.  As
 * weir_http_source.pull; after WAIT it is to be called with the same chain.
 */
typedef struct weir_http_file_read weir_http_file_read;
weir_result weir_http_file_pull(weir_http_exchange *ex, weir_chain *from, weir_chain *out,
                                uint64_t limit);

/* In each worker: has its idle connections closed in time when it winds down. */
bool weir_http_drain_start(weir_worker *worker);

/* Ends all body filters and gives back what they hold. */
void weir_http_filters_clear(weir_http_exchange *ex);

/* 413: nobody reads the request's body any more, its page least of all. */
weir_http_verdict weir_http_refuse_body(weir_http_exchange *ex);

/*
 * An internal redirect: nobody waits for the request's body any more, and of what was read in part
 * the rest is no body: framed as one it would be taken for less, or for more, than it is.
 */
void weir_http_body_restart(weir_http_exchange *ex);

/* Whatever was to be the response's body is none any more. */
static inline void weir_http_body_forget(weir_http_exchange *ex)
{
    ex->source = NULL;
    ex->ahead_ready = NULL;
    ex->body_source_ended = false;
    weir_chain_clear(&ex->ahead);
    weir_chain_clear(&ex->body);
}

/* An internal redirect: what modules noted is void, but for those that look at a request once. */
void weir_http_states_forget(weir_http_exchange *ex);

#endif
