#ifndef WEIR_BALANCE_HEALTH_H
#define WEIR_BALANCE_HEALTH_H

#include "core/tls/tls.h"
#include "modules/balance/balance.h"

/*
 * Active checks: chores of the keeper.  When a peer is asked, over what connection, and what
 * becomes of it is here; what it is asked, and whether its answer is good, is the family's.
 */

typedef struct weir_balance_check weir_balance_check;
typedef struct weir_balance_talk weir_balance_talk;

typedef enum {
    WEIR_BALANCE_TALK_MORE, /* has to come */
    WEIR_BALANCE_TALK_OVER, /* the peer is well; the connection may stay if the talk says so */
    WEIR_BALANCE_TALK_BAD,  /* talk->failure says why */
} weir_balance_talk_result;

/* One time that one peer is asked. */
struct weir_balance_talk {
    const weir_balance_check *check;
    weir_pool *pool; /* of this talk */
    weir_log log;
    weir_str peer;         /* "127.0.0.1:80" */
    void *state;           /* the family's, zeroed */
    uint64_t started_ms;   /* monotonic */
    uint64_t connected_ms; /* then; 0: the connection was there */
    const char *failure;   /* for the log */
    bool may_stay;         /* set by the family: the connection is at the end of an answer */
};

/* What to ask, how, and for how long; lives as long as the cycle. */
typedef struct {
    weir_tls_client *tls; /* NULL: plain */
    weir_str tls_name;
    weir_str alpn;     /* of TLS, in wire form; empty: none is offered */
    weir_str preamble; /* before TLS; empty: none */
    weir_str request;  /* empty: none */
    uint64_t connect_ms, send_ms, read_ms;
    uint64_t whole_ms;     /* not 0: for all of it, instead of each */
    uint64_t keepalive_ms; /* how long a connection may be used again; 0: each time a new one */
    size_t answer_max;     /* bytes that are looked at; 0: no answer is waited for */
    size_t state_bytes;
    bool (*begin)(weir_balance_talk *talk); /* NULL: nothing to do; false: no memory */
    /* All that came so far; `is_at_end`: nothing follows, so MORE is no answer. */
    weir_balance_talk_result (*take)(weir_balance_talk *talk, weir_str data, bool is_at_end);
} weir_balance_question;

/* How the peers of a group are asked whether they are well.  Lives as long as the cycle. */
struct weir_balance_check {
    const weir_statement *statement;
    weir_level *level; /* where it stands */
    weir_str match_name;
    const void *match; /* once settled; NULL: none was named */
    weir_balance_group *group;
    uint64_t interval_ms, jitter_ms; /* jitter is added, by chance */
    uint64_t fails, passes;          /* in a row, for a peer to fall or to rise */
    uint16_t port;                   /* 0: the peer's own */
    bool is_mandatory;               /* a new peer takes nothing before its first check */
    bool is_persistent;
    weir_balance_question question;

    /* private to balance */
    weir_balance_check *next;
    unsigned number;
    void *watcher;
};

/* ---- reading */

typedef enum {
    WEIR_BALANCE_ARGUMENT_GOOD,
    WEIR_BALANCE_ARGUMENT_WRONG,
    WEIR_BALANCE_ARGUMENT_UNKNOWN, /* nobody knows it */
    WEIR_BALANCE_ARGUMENT_REFUSED, /* said already */
} weir_balance_argument;

/*
 * A family's `health_check`: reads its parameters, of which `own` takes those that others do not
 * have, and keeps the check for weir_balance_checks_settle().  False: refused.
 */
bool weir_balance_check_read(weir_conf *conf, const weir_balance_family *family,
                             weir_balance_check *check, const weir_statement *statement,
                             weir_balance_argument (*own)(weir_conf *conf,
                                                          weir_balance_check *check,
                                                          weir_str argument)) WEIR_MUST_USE;
/* A family's `match` block, by the name that the statement gives it. */
bool weir_balance_match_add(weir_conf *conf, const weir_balance_family *family,
                            const weir_statement *statement, const void *match) WEIR_MUST_USE;
/* Once all is read: `settle` finds group and question of each check.  False: refused. */
bool weir_balance_checks_settle(weir_conf *conf, const weir_balance_family *family,
                                bool (*settle)(weir_conf *conf,
                                               weir_balance_check *check)) WEIR_MUST_USE;

#endif
