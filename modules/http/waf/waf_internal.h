#ifndef WEIR_HTTP_WAF_INTERNAL_H
#define WEIR_HTTP_WAF_INTERNAL_H

#include "core/process/worker.h"
#include "core/process/zone.h"
#include "modules/http/engine/core_conf.h"
#include "modules/http/waf/waf.h"
#include "modules/waf/program.h"
#include "modules/waf/store.h"
#include "modules/waf/transaction.h"

/* What the files of this folder say to one another. */

typedef enum {
    WEIR_HTTP_WAF_OFF,
    WEIR_HTTP_WAF_ON,
    WEIR_HTTP_WAF_DETECTION,
} weir_http_waf_mode;

/* One configuration's. */
typedef struct {
    weir_waf_library *library;
    weir_waf_worker *worker; /* this process's */
    weir_waf_store *store;   /* NULL: no rule keeps collections */
    size_t collections_bytes;
    bool keeps_collections;
    weir_pool *pool;
    const weir_log *log;
    weir_map *learnt; /* lines that this worker has written */
    weir_pool *learnt_pool;
} weir_http_waf_main;

/* What a level's modsecurity_rules and modsecurity_rules_file come to, with those of outer levels. */
typedef struct {
    const weir_waf_program *program; /* NULL: there are no rules */
    weir_http_waf_main *main;
    weir_log_file *audit_log; /* NULL: none, or none is needed */
} weir_http_waf_rules;

typedef struct {
    unsigned mode;
    weir_http_waf_rules rules;
    const weir_template *transaction_id; /* NULL: made up */
    uint64_t work_limit;
    size_t memory_limit;
    struct {
        weir_log_file *file; /* NULL: off */
    } verdict_log, learn_log;
} weir_http_waf_conf;

typedef enum {
    WEIR_HTTP_WAF_BEGUN,
    WEIR_HTTP_WAF_HEAD_DONE,   /* phase 1 is over */
    WEIR_HTTP_WAF_BODY_COMING, /* and the body is being read */
    WEIR_HTTP_WAF_BODY_READ,
    WEIR_HTTP_WAF_BODY_SET,
    WEIR_HTTP_WAF_BODY_DONE,     /* phase 2 is over */
    WEIR_HTTP_WAF_RESPONSE_HEAD, /* phase 3 is over */
    WEIR_HTTP_WAF_AHEAD,         /* the response's body is being read */
    WEIR_HTTP_WAF_AHEAD_READ,
    WEIR_HTTP_WAF_RESPONSE_BODY, /* and was, or is not looked at */
    WEIR_HTTP_WAF_RESPONSE_DONE,
} weir_http_waf_step;

/* A body that is being copied, in turns. */
typedef struct {
    char *to;
    size_t len, bytes;     /* copied, of so many */
    const weir_span *span; /* the next byte is of it */
    uint64_t from;         /* and that one of it */
    bool is_begun;
} weir_http_waf_joined;

/* One request's: it outlives internal redirects. */
typedef struct {
    weir_waf_transaction *tx;
    const weir_http_waf_conf *conf;
    weir_http_exchange *ex;
    weir_http_waf_step step;
    bool response_is_added;
    unsigned status_added; /* of the response that rules of phase 3 saw */
    bool has_answered;     /* the intervention was answered */
    bool ahead_ended, ahead_is_cut, is_too_large;
    weir_http_waf_joined joined;
    weir_http_hold hold;
    weir_task task; /* goes on with the response */
} weir_http_waf_state;

extern const weir_http_module weir_http_waf;

/* Nothing begins here. */
static inline bool weir_http_waf_is_off(const weir_http_waf_conf *conf)
{
    return conf->mode == WEIR_HTTP_WAF_OFF;
}

/* exchange.c: from an exchange to a transaction */
/* NULL: no memory, logged. */
weir_http_waf_state *weir_http_waf_begin(weir_http_exchange *ex, const weir_http_waf_conf *conf);
/*
 * From request.body, up to the limit, and the trailer section; more than the budget allows is a
 * verdict.  WAIT: the turn is over.  FAIL: the file cannot be read; logged.
 */
weir_result weir_http_waf_add_body(weir_http_waf_state *state) WEIR_MUST_USE;
void weir_http_waf_add_response(weir_http_waf_state *state);
/* What was read ahead of the response's body, up to `limit`.  As weir_http_waf_add_body(). */
weir_result weir_http_waf_add_ahead(weir_http_waf_state *state, uint64_t limit) WEIR_MUST_USE;

/* request.c: phases 1, 2 and 5 */
weir_http_verdict weir_http_waf_judge(weir_http_exchange *ex, const void *location);
/* The answer that the rules have decided on. */
weir_http_verdict weir_http_waf_answer(weir_http_waf_state *state);

/* response.c: phases 3 and 4 */
weir_result weir_http_waf_response_head(weir_http_exchange *ex, const void *location);

/* logs.c: after phase 5 */
void weir_http_waf_write_logs(weir_http_waf_state *state);

/* conf.c */
extern const weir_directive weir_http_waf_directives[];
bool weir_http_waf_configured(weir_conf *conf);
bool weir_http_waf_worker_start(weir_worker *worker);
void weir_http_waf_worker_stop(weir_worker *worker);
/* NULL: no rules are named. */
weir_http_waf_main *weir_http_waf_main_of(const weir_cycle *cycle);

/* explain.c: this process is "weir waf explain" */
bool weir_http_waf_is_explaining(void);
/* Written to stdout, whatever it is, in place of all logs. */
void weir_http_waf_explain_verdict(weir_http_waf_state *state);
extern const weir_tool weir_http_waf_tools[];

#endif
