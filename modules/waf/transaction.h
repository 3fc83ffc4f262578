#ifndef WEIR_WAF_TRANSACTION_H
#define WEIR_WAF_TRANSACTION_H

#include "modules/waf/program.h"

/*
 * A transaction: one request and its response, seen by the rules of one program.
 *
 *   new -> connection, request line, headers -> run 1 -> body -> run 2 -> response head -> run 3
 *       -> response body -> run 4 -> run 5 -> free
 *
 * Whoever runs it asks after each phase what is to be done (weir_waf_intervention).  All text that
 * is given is borrowed and must live as long as the transaction.
 */
typedef struct weir_waf_transaction weir_waf_transaction;

/* What a worker has for all of its transactions: one thread only.  NULL: no memory. */
typedef struct weir_waf_worker weir_waf_worker;
weir_waf_worker *weir_waf_worker_new(void);
void weir_waf_worker_free(weir_waf_worker *worker);

/* What one transaction may take.  0: the preset. */
typedef struct {
    uint64_t work;    /* units of about half a nanosecond */
    size_t bytes;     /* of memory, beside the request's own */
    uint64_t turn_us; /* so long at a time, before it waits */
} weir_waf_budget;

#define WEIR_WAF_WORK_PRESET UINT64_C(400000000)
#define WEIR_WAF_BYTES_PRESET ((size_t) 64 * 1024 * 1024)
#define WEIR_WAF_TURN_US_PRESET 2000

/* Called for each rule that logs; `line` is the whole of it, in the form of ModSecurity v3's error log. */
typedef void weir_waf_log_line(void *subject, weir_str line, bool is_disruptive);

typedef struct {
    weir_waf_log_line *log; /* NULL: nobody is told */
    void *subject;
    struct weir_waf_store *store; /* of collections that outlive requests; NULL: there is none */
    weir_str unique_id;
    bool only_detects; /* as SecRuleEngine DetectionOnly, whatever the rules say */
    bool forces_on;    /* SecRuleEngine is not asked */
    weir_waf_budget budget;
} weir_waf_options;

/* NULL: no memory. */
weir_waf_transaction *weir_waf_transaction_new(const weir_waf_program *program,
                                               weir_waf_worker *worker,
                                               const weir_waf_options *options);
void weir_waf_transaction_free(weir_waf_transaction *tx);
/* Ends with it. */
weir_pool *weir_waf_transaction_pool(weir_waf_transaction *tx);
weir_str weir_waf_unique_id(const weir_waf_transaction *tx);

typedef struct {
    weir_str client_addr, server_addr;
    unsigned client_port, server_port;
    weir_str user; /* who has authenticated; empty: nobody */
} weir_waf_connection;

void weir_waf_set_connection(weir_waf_transaction *tx, const weir_waf_connection *connection);
/* Who has authenticated since phase 1; empty: nobody. */
void weir_waf_set_user(weir_waf_transaction *tx, weir_str user);

/* `target` as it was received; `line` all of the request line; `protocol` as "HTTP/1.1". */
typedef struct {
    weir_str line, method, target, protocol;
} weir_waf_request_line;

void weir_waf_set_request_line(weir_waf_transaction *tx, const weir_waf_request_line *request);
void weir_waf_add_request_header(weir_waf_transaction *tx, weir_str name, weir_str value);
/* What came behind the body: before phase 2, whose rules find it among REQUEST_HEADERS. */
void weir_waf_add_request_trailer(weir_waf_transaction *tx, weir_str name, weir_str value);

/* After phase 1: whether the body is wanted, and how much of it. */
bool weir_waf_wants_request_body(const weir_waf_transaction *tx);
uint64_t weir_waf_request_body_limit(const weir_waf_transaction *tx);
/* What is over the limit is to be refused; else its beginning is looked at. */
bool weir_waf_rejects_over_limit(const weir_waf_transaction *tx);
/* Responses of some types will be: an origin should send them without codings. */
bool weir_waf_may_want_response_body(const weir_waf_transaction *tx);
/* The body, or its beginning when it `is_cut` at the limit.  Parsed in phase 2. */
void weir_waf_set_request_body(weir_waf_transaction *tx, weir_str body, bool is_cut);

void weir_waf_set_response(weir_waf_transaction *tx, unsigned status, weir_str protocol);
void weir_waf_add_response_header(weir_waf_transaction *tx, weir_str name, weir_str value);
/* Another response takes its place, and has phases 3 and 4; what rules have decided stays. */
void weir_waf_forget_response(weir_waf_transaction *tx);
/* After phase 3. */
bool weir_waf_wants_response_body(const weir_waf_transaction *tx);
uint64_t weir_waf_response_body_limit(const weir_waf_transaction *tx);
bool weir_waf_rejects_response_over_limit(const weir_waf_transaction *tx);
void weir_waf_set_response_body(weir_waf_transaction *tx, weir_str body, bool is_cut);

typedef enum {
    WEIR_WAF_PHASE_REQUEST_HEAD = 1,
    WEIR_WAF_PHASE_REQUEST_BODY = 2,
    WEIR_WAF_PHASE_RESPONSE_HEAD = 3,
    WEIR_WAF_PHASE_RESPONSE_BODY = 4,
    WEIR_WAF_PHASE_LOGGING = 5,
} weir_waf_phase;

/*
 * Runs the rules of a phase.  WAIT: the turn is over; call it again with the same phase.  Never FAIL: what
 * goes wrong is a verdict.
 */
weir_result weir_waf_run_phase(weir_waf_transaction *tx, weir_waf_phase phase) WEIR_MUST_USE;

typedef enum {
    WEIR_WAF_DO_NOTHING,
    WEIR_WAF_DO_DENY,
    WEIR_WAF_DO_DROP,
    WEIR_WAF_DO_REDIRECT,
} weir_waf_deed;

typedef struct {
    weir_waf_deed deed;
    unsigned status;
    weir_str url;
    uint64_t rule_id; /* 0: a limit of weir's own */
} weir_waf_intervention;

/* What the rules have decided; once decided, it stays. */
const weir_waf_intervention *weir_waf_intervened(const weir_waf_transaction *tx);

/*
 * The budget of "work" or "memory" is used up: the verdict, and its line in the log, once.  For whoever cannot have the
 * memory of the transaction that a body takes.
 */
void weir_waf_exhausted(weir_waf_transaction *tx, const char *what);

/* Of the program. */
const weir_waf_settings *weir_waf_transaction_settings(const weir_waf_transaction *tx);
weir_str weir_waf_client_addr(const weir_waf_transaction *tx);

#endif
