#ifndef WEIR_WAF_OPERATOR_INTERNAL_H
#define WEIR_WAF_OPERATOR_INTERNAL_H

#include "core/net/addr.h"
#include "modules/waf/automaton.h"
#include "modules/waf/dfa.h"
#include "modules/waf/operator.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

typedef weir_waf_matched weir_waf_operator_runs(const weir_waf_operator *op, weir_str value,
                                                weir_waf_run *run);

/* A row of the table of operators. */
typedef struct {
    weir_str name;
    bool (*compile)(weir_waf_operator_build *build,
                    weir_waf_operator *op); /* NULL: nothing to do */
    weir_waf_operator_runs *run;
    bool takes_macros;
    const char *refusal; /* for those that weir does not have: why */
} weir_waf_operator_kind;

typedef struct weir_waf_networks weir_waf_networks;

/* Patterns that need no engine. */
typedef enum {
    WEIR_WAF_REGEX,          /* it does */
    WEIR_WAF_REGEX_ANYTHING, /* ^.*$ */
    WEIR_WAF_REGEX_PREFIX,   /* ^ and plain bytes, or (?i)^ and plain bytes */
} weir_waf_regex_shape;

struct weir_waf_operator {
    const weir_waf_operator_kind *kind;
    weir_str parameter;
    union {
        int64_t number;
        struct {
            pcre2_code *code;
            const weir_waf_dfa *dfa; /* asked first, if there is one */
            bool has_jit;
            bool has_stretches; /* it may be asked for matches that begin in a part of the text */
            weir_waf_regex_shape shape;
            weir_str prefix; /* of PREFIX */
            bool is_prefix_of_either_case;
        } regex;
        struct {
            const weir_waf_automaton *automaton;
            weir_str *texts;
            size_t count;
        } phrases;
        const weir_waf_networks *networks;
        weir_waf_bytes bytes; /* those outside the range */
    };
};

/* So many patterns have states in a worker, found by address. */
#define MATCHER_SLOTS 256
#define MATCHER_DFAS_MAX 64

typedef struct {
    const weir_waf_dfa *dfa;
    weir_waf_dfa_states *states;
} weir_waf_matcher_slot;

struct weir_waf_matcher {
    weir_waf_matcher_slot slots[MATCHER_SLOTS];
    unsigned dfa_count;
    pcre2_match_context *limits;
    pcre2_jit_stack *jit_stack;
    pcre2_match_data *match;
    uint32_t steps_max;
};

/* Says what is wrong; returns false. */
bool weir_waf_operator_refuse(weir_waf_operator_build *build, size_t at, const char *format, ...)
    WEIR_PRINTF(3, 4);
/* That there is no memory. */
bool weir_waf_operator_refuse_memory(weir_waf_operator_build *build);

/* operator_file.c: reads a file that the parameter names, at its place `at`, into the pool. */
bool weir_waf_operator_file(weir_waf_operator_build *build, weir_str name, size_t at,
                            weir_str *text) WEIR_MUST_USE;

/* The parameter: expanded, if it had macros. */
static inline weir_str weir_waf_operand(const weir_waf_operator *op, const weir_waf_run *run)
{
    return run->expanded != NULL ? *run->expanded : op->parameter;
}

static inline void weir_waf_capture(weir_waf_run *run, unsigned slot, weir_str text)
{
    run->captures[slot] = text;
    run->captured |= 1u << slot;
}

/* operator_text.c */
bool weir_waf_number_compile(weir_waf_operator_build *build, weir_waf_operator *op);
weir_waf_operator_runs weir_waf_run_contains, weir_waf_run_contains_word, weir_waf_run_begins,
    weir_waf_run_ends, weir_waf_run_equals, weir_waf_run_within, weir_waf_run_eq, weir_waf_run_ge,
    weir_waf_run_gt, weir_waf_run_le, weir_waf_run_lt, weir_waf_run_never, weir_waf_run_always;

/* operator_regex.c */
bool weir_waf_regex_compile(weir_waf_operator_build *build, weir_waf_operator *op);
weir_waf_operator_runs weir_waf_run_rx, weir_waf_run_rx_global;

/* operator_verify.c */
weir_waf_operator_runs weir_waf_run_verify_cc, weir_waf_run_verify_ssn, weir_waf_run_verify_cpf,
    weir_waf_run_verify_svnr;
/* Matches from `offset` on; 1: where; 0: there is none; -1: it was given up. */
int weir_waf_regex_search(const weir_waf_operator *op, weir_str value, size_t offset,
                          weir_waf_run *run, size_t *start, size_t *end);

/* operator_phrases.c */
bool weir_waf_pm_compile(weir_waf_operator_build *build, weir_waf_operator *op);
bool weir_waf_pm_file_compile(weir_waf_operator_build *build, weir_waf_operator *op);
weir_waf_operator_runs weir_waf_run_pm;

/* operator_networks.c */
bool weir_waf_networks_compile(weir_waf_operator_build *build, weir_waf_operator *op);
bool weir_waf_networks_file_compile(weir_waf_operator_build *build, weir_waf_operator *op);
weir_waf_operator_runs weir_waf_run_networks;

/* operator_validate.c */
bool weir_waf_byte_range_compile(weir_waf_operator_build *build, weir_waf_operator *op);
weir_waf_operator_runs weir_waf_run_byte_range, weir_waf_run_url_encoding, weir_waf_run_utf8;

/* operator_inject.c */
weir_waf_operator_runs weir_waf_run_sqli, weir_waf_run_xss;
/* Bytes one of which a match needs; added to an empty set. */
void weir_waf_sqli_bytes(weir_waf_bytes *bytes);
void weir_waf_xss_bytes(weir_waf_bytes *bytes);

#endif
