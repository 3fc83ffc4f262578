#ifndef WEIR_WAF_TRANSACTION_INTERNAL_H
#define WEIR_WAF_TRANSACTION_INTERNAL_H

#include "modules/waf/audit.h"
#include "modules/waf/body.h"
#include "modules/waf/program_internal.h"
#include "modules/waf/transaction.h"

/*
 * A text and what is known of it.  Equal texts of a transaction are one node, however they came about: so each is
 * searched once.
 */
typedef struct weir_waf_node {
    weir_str text;
    struct weir_waf_node *next; /* of those with the same place in the table */
    uint64_t hash;
    weir_waf_bytes present;
    weir_waf_scan scan; /* what the filter knows; `prefilter` NULL: not asked yet */
    struct weir_waf_node
        *in_other_case;        /* what it was before letters changed their case; or NULL */
    struct weir_waf_node **at; /* what each chain makes of it; NULL: nothing was asked */
} weir_waf_node;

typedef struct weir_waf_known weir_waf_known;

/* What groups have said of a text. */
typedef struct {
    uint64_t *asked;     /* by group */
    uint64_t *may_match; /* by place, of groups that were asked */
} weir_waf_said;

typedef struct {
    weir_str name; /* of a member; empty for scalars */
    weir_str text;
    weir_waf_node *node; /* NULL: not made yet */
    weir_waf_said *said; /* see known.c */
    uint32_t said_in;
    weir_waf_variable variable;
    uint64_t
        name_hash; /* of a variable that an action made, letters of either case; else not set */
} weir_waf_value;

typedef struct {
    weir_waf_value *items;
    uint32_t count, capacity;
} weir_waf_values;

/* A TX variable.  Numbers stay numbers until their text is asked for. */
typedef struct {
    weir_str text; /* NULL: not made yet */
    int64_t number;
    weir_waf_node *node;
    bool is_set, is_number; /* `number` is what the text says, or will */
} weir_waf_slot_value;

/* Goes through the values of a list of targets; may be left and gone on with. */
typedef struct {
    uint32_t target, part, index;
    bool counted;
    bool has_no_exclusions; /* the list has none: they need not be looked for */
} weir_waf_cursor;

/* What a rule found in a value: kept for logs. */
typedef struct {
    weir_waf_variable variable;
    weir_str name;    /* of the member; empty: of a scalar */
    weir_str value;   /* after transformation */
    weir_str matched; /* the bytes that the operator found; empty: it does not say */
    const weir_waf_link *link;
} weir_waf_find;

typedef struct weir_waf_match {
    struct weir_waf_match *next;
    const weir_waf_rule *rule;
    weir_waf_find *finds; /* the last ones, up to WEIR_WAF_FINDS_MAX */
    uint32_t find_count;
    int64_t score, sum; /* what it added to anomaly scores, and what they were then */
    weir_str message, data;
    bool is_logged, is_audited, is_disruptive;
    bool decides; /* its action blocks, whether or not it took effect */
} weir_waf_match;

/* By ctl: rules that are out, wholly or for a target. */
typedef struct {
    weir_waf_amend_by by;
    const weir_waf_rule_choice *rules;
    const weir_waf_target *target; /* NULL: the whole rule */
} weir_waf_removal;

/* Where the evaluation stands. */
typedef struct {
    unsigned phase; /* 0: none */
    uint32_t index; /* of the rule */
    uint32_t link;
    bool in_rule, in_link, link_matched;
    weir_waf_cursor cursor;
} weir_waf_position;

/* A value that some of its audience has not looked at. */
typedef struct {
    const weir_waf_audience *audience;
    weir_waf_variable variable;
    uint32_t index;
} weir_waf_unasked;

/* Which rules can match any value, and of which that is not known yet: see sieve.c. */
typedef struct {
    uint64_t *may_match; /* by place */
    uint64_t *is_open;   /* by group: some values have not been asked about */
    uint32_t *asked_to;  /* by group: how many of `unasked` it has been asked about */
    bool is_stale;       /* there are values that it has not seen */
    uint32_t seen[WEIR_WAF_VARIABLE_COUNT]; /* of the values of each variable */
    weir_array unasked;                     /* weir_waf_unasked */
} weir_waf_sieve_state;

struct weir_waf_worker {
    weir_waf_matcher *matcher;
    weir_waf_known *known, *known_long;
    weir_pool *pool;
    weir_pool *spare; /* of the last transaction */
    size_t spare_bytes;
    void *images;       /* of kept.c */
    char *line;         /* of WEIR_WAF_LINE_MAX bytes, for what is written at once */
    weir_str server_id; /* for audit logs; empty: not made yet */
};

#define WEIR_WAF_LINE_MAX 65536

#define WEIR_WAF_TABLE_SIZE 256 /* a power of two */
#define WEIR_WAF_FINDS_MAX 64   /* of one rule, for logs */

struct weir_waf_transaction {
    weir_pool *pool;
    weir_waf_worker *worker;
    const weir_waf_program *program;
    const weir_waf_library *library;
    const weir_waf_settings *settings;
    weir_waf_options options;

    weir_waf_values values[WEIR_WAF_VARIABLE_COUNT];
    weir_waf_slot_value *slots;
    weir_waf_values tx_rest; /* TX names without a slot */
    weir_waf_values matched; /* MATCHED_VARS */
    weir_waf_values env;
    /* What was there when the link began: what it adds itself it does not look at. */
    uint32_t matched_end, tx_rest_end;
    weir_waf_value scratch; /* what a cursor made up: counts, slots, computed scalars */
    weir_waf_node *table[WEIR_WAF_TABLE_SIZE];
    weir_waf_sieve_state sieve;

    weir_waf_engine_mode engine;
    weir_waf_audit_mode audit_mode;
    weir_str audit_parts;
    bool request_body_access, response_body_access, force_body;
    weir_waf_xml_arguments xml_arguments;
    weir_array removals; /* weir_waf_removal */
    bool removes_rules;
    uint64_t removed_of[2]; /* bit by variable: some rule must not look at all of it */

    weir_waf_position at;
    const weir_waf_rule *rule; /* that is run, or was last */
    weir_waf_find found;       /* the last match: MATCHED_VAR; `link` NULL: none yet */
    weir_waf_match current;    /* of the rule that is run */
    weir_waf_match *first_match, *last_match;
    int64_t score_sum;
    int highest_severity;
    weir_waf_intervention intervention;
    unsigned disrupted_in; /* phase; 0: not yet */
    bool allows_all, allows_request;
    unsigned allows_phase;
    bool would_be_blocked; /* whatever the engine's mode */
    bool is_relevant;      /* a rule that is to be audited has matched, or a budget was used up */

    weir_str request_body, response_body;
    bool has_request_body, has_response_body, request_body_is_cut, body_is_parsed, parses_json;
    bool collects_body;         /* what follows is under way */
    weir_waf_body *parsed_body; /* NULL: none, or all of it is parsed */
    weir_waf_body_kind parsed_kind;
    size_t parsed_bytes;
    unsigned response_status;
    weir_str content_type; /* of the request */
    uint64_t files_bytes;
    weir_str uri; /* REQUEST_URI without its arguments, for logs */
    weir_waf_connection connection;
    weir_waf_request_line request;

    uint64_t work, turn_work_end, started_us, turn_end_us;
    uint64_t spent_us;
    bool is_exhausted; /* of work or memory: decided, logged */
    bool pool_is_raised;
    bool pcre_limit_was_hit;
    bool gave_up; /* a regex did, and what it gave up on has no verdict yet */
    weir_str session_id, user_id, resource_id;
    struct weir_waf_kept *kept[5]; /* collections that initcol named */
};

/* ---- values.c */

/* Adds a value; false: the budget of memory is used up. */
bool weir_waf_add(weir_waf_transaction *tx, weir_waf_variable variable, weir_str name,
                  weir_str text);
/* All of a variable's values. */
void weir_waf_forget(weir_waf_transaction *tx, weir_waf_variable variable);
/* Of a scalar: replaces it. */
bool weir_waf_set(weir_waf_transaction *tx, weir_waf_variable variable, weir_str text);
bool weir_waf_set_number(weir_waf_transaction *tx, weir_waf_variable variable, int64_t number);
weir_str weir_waf_scalar(const weir_waf_transaction *tx, weir_waf_variable variable);
bool weir_waf_push(weir_waf_transaction *tx, weir_waf_values *values, weir_waf_value value);
weir_str weir_waf_number_text(weir_waf_transaction *tx, int64_t number);

/* What a chain makes of a value.  NULL: the budget is used up. */
weir_waf_node *weir_waf_node_of(weir_waf_transaction *tx, weir_waf_value *value, uint32_t chain);
/* What the filter knows of the text; NULL: the budget is used up. */
weir_waf_scan *weir_waf_node_scan(weir_waf_transaction *tx, weir_waf_node *node);

/* ---- sieve.c: what can match at all */

bool weir_waf_sieve_init(weir_waf_transaction *tx) WEIR_MUST_USE;
/* Looks at values that are new.  WAIT: the turn is over. */
weir_result weir_waf_sieve(weir_waf_transaction *tx);
/* Asks all values for the group of that number, which is open.  WAIT: the turn is over. */
weir_result weir_waf_sieve_group(weir_waf_transaction *tx, uint32_t number);

/* ---- known.c: what groups have said of texts, from one request to the next */

/* Goes with the pool.  NULL: no memory. */
weir_waf_known *weir_waf_known_new(weir_pool *pool);
/*
 * What has been said of the value's text, lent until the next call or the end of the turn; NULL:
 * the budget is used up.
 */
weir_waf_said *weir_waf_said_of(weir_waf_transaction *tx, weir_waf_value *value);
/* The link's operator was run on all that its chain makes of the value, and the link does not match it. */
void weir_waf_say_no_match(weir_waf_transaction *tx, weir_waf_value *value,
                           const weir_waf_link *link);
/* False: the link was asked about the value, and cannot match it. */
bool weir_waf_said_may_match(weir_waf_transaction *tx, weir_waf_value *value,
                             const weir_waf_link *link);

/* ---- cursor.c */
weir_waf_value *weir_waf_next_value(weir_waf_transaction *tx, const weir_array *targets,
                                    weir_waf_cursor *cursor);
bool weir_waf_target_fits(weir_waf_transaction *tx, const weir_waf_target *target, weir_str name);

/* "ARGS:id" */
weir_str weir_waf_find_name(weir_waf_transaction *tx, const weir_waf_find *find);
weir_str weir_waf_expand(weir_waf_transaction *tx, const weir_waf_macro *macro);

/* ---- effects.c */
void weir_waf_do_effects(weir_waf_transaction *tx, const weir_waf_link *link);
weir_waf_slot_value *weir_waf_slot_set(weir_waf_transaction *tx, uint32_t slot, weir_str text);
void weir_waf_slot_set_number(weir_waf_transaction *tx, uint32_t slot, int64_t number);
void weir_waf_slot_unset(weir_waf_transaction *tx, uint32_t slot);
weir_str weir_waf_slot_text(weir_waf_transaction *tx, uint32_t slot);
int64_t weir_waf_slot_number(const weir_waf_transaction *tx, uint32_t slot);
bool weir_waf_is_removed(weir_waf_transaction *tx, const weir_waf_rule *rule);
static inline bool weir_waf_removes_of(const weir_waf_transaction *tx, weir_waf_variable variable)
{
    return (tx->removed_of[variable / 64] >> variable % 64 & 1) != 0;
}
/* `named` is the variable that the rule names: ARGS, for a value of ARGS_GET. */
bool weir_waf_target_is_removed(weir_waf_transaction *tx, const weir_waf_rule *rule,
                                weir_waf_variable named, const weir_waf_value *value);
/* "+E", "-C", "ABZ": parts of the audit log. */
void weir_waf_change_parts(weir_waf_transaction *tx, weir_str change);

/* ---- kept.c: collections that outlive requests */
void weir_waf_kept_open(weir_waf_transaction *tx, weir_waf_variable variable, weir_str key);
void weir_waf_kept_open_id(weir_waf_transaction *tx, weir_waf_variable variable, weir_str id);
void weir_waf_kept_set(weir_waf_transaction *tx, const weir_waf_effect *effect, weir_str name,
                       weir_str text);
void weir_waf_kept_age(weir_waf_transaction *tx, const weir_waf_effect *effect, weir_str name);

/* ---- collect.c: from what was received to variables */
void weir_waf_collect_head(weir_waf_transaction *tx);
void weir_waf_collect_body_begin(weir_waf_transaction *tx);
/* WAIT: the turn is over. */
weir_result weir_waf_collect_body(weir_waf_transaction *tx);
void weir_waf_collect_zeroes(weir_waf_transaction *tx);
/* False: no more are taken. */
bool weir_waf_add_argument(weir_waf_transaction *tx, bool is_get, weir_str name, weir_str value);

/* ---- body_variables.c: what the processor of the body makes of it */
void weir_waf_parse_begin(weir_waf_transaction *tx);
/* WAIT: the turn is over. */
weir_result weir_waf_parse(weir_waf_transaction *tx);
void weir_waf_body_is_wrong(weir_waf_transaction *tx, weir_str message);

/* ---- report.c */
/* Bytes of which `is_escaped` says so as \xHH. */
void weir_waf_add_escaped_where(weir_builder *line, weir_str text,
                                bool (*is_escaped)(weir_str text, size_t at));
void weir_waf_report(weir_waf_transaction *tx, const weir_waf_match *match);
/* `most`: how many bytes are written of each text that may come from a client or an origin. */
void weir_waf_add_rule(weir_waf_transaction *tx, weir_builder *line, const weir_waf_match *match,
                       size_t most);
/* Matched "Operator …; in no more than WEIR_WAF_MATCHED_MAX bytes. */
#define WEIR_WAF_MATCHED_MAX 8192
void weir_waf_add_matched(weir_waf_transaction *tx, weir_builder *line,
                          const weir_waf_match *match);
/*
 * Which matches a line of a log has: where very many rules matched, the first ones, and that which
 * decided.  The error log, which is written as they match, has them all.
 */
#define WEIR_WAF_SHOWN_MAX 256
typedef struct {
    const weir_waf_match *deciding; /* NULL: none */
    uint32_t shown, left_out;
} weir_waf_selection;
weir_waf_selection weir_waf_select(const weir_waf_transaction *tx);
/* Asked of each match once, in their order. */
bool weir_waf_selects(weir_waf_selection *selection, const weir_waf_match *match);
/* A regex was given up. */
void weir_waf_limit_was_hit(weir_waf_transaction *tx);

/* ---- run.c */
bool weir_waf_turn_is_over(weir_waf_transaction *tx);

#endif
