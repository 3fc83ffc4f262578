#ifndef WEIR_WAF_PROGRAM_INTERNAL_H
#define WEIR_WAF_PROGRAM_INTERNAL_H

#include "core/base/array.h"
#include "core/base/map.h"
#include "modules/waf/byte_set.h"
#include "modules/waf/operator.h"
#include "modules/waf/prefilter.h"
#include "modules/waf/program.h"
#include "modules/waf/seclang.h"
#include "modules/waf/transform.h"

#define WEIR_WAF_PHASES 5
#define WEIR_WAF_NONE UINT32_MAX
#define WEIR_WAF_CAPTURES 10 /* TX:0 to TX:9: the first slots */

/* ---- macros: "Score: %{tx.score}" */

typedef struct {
    bool is_variable;
    weir_str literal;
    weir_waf_variable variable;
    weir_str selector; /* empty: the whole */
    uint32_t slot;     /* of a TX variable; else NONE */
} weir_waf_macro_part;

typedef struct {
    weir_str text; /* as written */
    weir_waf_macro_part *parts;
    unsigned count; /* 0: empty */
    bool is_constant;
} weir_waf_macro;

/* ---- targets: REQUEST_HEADERS|!REQUEST_HEADERS:Cookie|&TX:x|TX:/^a/ */

typedef enum {
    WEIR_WAF_TARGET_VALUES,
    WEIR_WAF_TARGET_COUNT,   /* "&": how many there are, as one value */
    WEIR_WAF_TARGET_EXCLUDE, /* "!" */
} weir_waf_target_kind;

typedef struct {
    weir_waf_target_kind kind;
    weir_waf_variable variable;
    weir_str selector;                /* empty: all members */
    const weir_waf_operator *pattern; /* of a selector in slashes; NULL: it is a name */
    weir_str prefix;                  /* all that the pattern asks for; empty: it asks otherwise */
    uint32_t slot;                    /* TX with a name; else NONE */
    const uint64_t *slots; /* of a rule's TX:/…/: bits of those whose names fit; else NULL */
} weir_waf_target;

/* ---- transformations: each list is a node of a tree, by its last step */

typedef struct {
    uint32_t parent; /* 0 is the value itself, and its own parent */
    const weir_waf_transform *step;
    unsigned depth;
} weir_waf_chain;

/* ---- operators */

typedef enum {
    WEIR_WAF_TEST_NUMBER, /* eq, ge, gt, le, lt */
    WEIR_WAF_TEST_ALWAYS,
    WEIR_WAF_TEST_NEVER,
    WEIR_WAF_TEST_OPERATOR,
} weir_waf_test_kind;

typedef enum {
    WEIR_WAF_EQ,
    WEIR_WAF_GE,
    WEIR_WAF_GT,
    WEIR_WAF_LE,
    WEIR_WAF_LT,
} weir_waf_comparison;

typedef struct {
    weir_waf_test_kind kind;
    weir_waf_comparison comparison;
    int64_t number; /* of a constant parameter */
    weir_waf_macro parameter;
    const weir_waf_operator *
    operator; /* what may match at all is known of it; where it is another one, it is asked last, of what has lines */
    const weir_waf_operator *as_written; /* asked first */
    weir_str name;                       /* as written, without "@" */
} weir_waf_test;

/* ---- actions that disrupt nothing */

typedef enum {
    WEIR_WAF_SETVAR,
    WEIR_WAF_EXPIREVAR,
    WEIR_WAF_DEPRECATEVAR,
    WEIR_WAF_INITCOL,
    WEIR_WAF_SETID, /* setsid, setuid, setrsc: `variable` */
    WEIR_WAF_SETENV,
    WEIR_WAF_CTL_ENGINE,
    WEIR_WAF_CTL_AUDIT_ENGINE,
    WEIR_WAF_CTL_AUDIT_PARTS,
    WEIR_WAF_CTL_FORCE_BODY,
    WEIR_WAF_CTL_REQUEST_BODY_ACCESS,
    WEIR_WAF_CTL_RESPONSE_BODY_ACCESS,
    WEIR_WAF_CTL_BODY_PROCESSOR,
    WEIR_WAF_CTL_XML_ARGUMENTS,
    WEIR_WAF_CTL_REMOVE_ID,
    WEIR_WAF_CTL_REMOVE_TAG,
    WEIR_WAF_CTL_REMOVE_MSG,
    WEIR_WAF_CTL_REMOVE_TARGET_ID,
    WEIR_WAF_CTL_REMOVE_TARGET_TAG,
    WEIR_WAF_CTL_REMOVE_TARGET_MSG,
} weir_waf_effect_kind;

typedef enum {
    WEIR_WAF_ASSIGN,
    WEIR_WAF_ADD,
    WEIR_WAF_SUBTRACT,
    WEIR_WAF_UNSET,
} weir_waf_assignment;

typedef struct {
    uint64_t from, to;
} weir_waf_id_range;

/* Rules by id, or by an expression over tags or the message. */
typedef struct {
    weir_waf_id_range *ranges;
    size_t count;
    const weir_waf_operator *pattern;
} weir_waf_rule_choice;

typedef struct {
    weir_waf_effect_kind kind;
    weir_waf_assignment assignment;
    weir_waf_variable variable;
    uint32_t slot; /* of tx; NONE: by name */
    weir_waf_macro name, value;
    bool is_number; /* the value is the constant `number` */
    int64_t number;
    uint64_t seconds; /* deprecatevar; expirevar's are the value */
    unsigned choice;  /* of ctl:…=On|Off|… */
    weir_waf_rule_choice rules;
    weir_waf_target target; /* of ruleRemoveTarget… */
} weir_waf_effect;

/* ---- rules */

typedef struct {
    bool is_unconditional; /* SecAction */
    bool is_negated;
    bool captures;
    bool is_multi_match;
    bool has_own_list;    /* t: was said here */
    bool is_plain_number; /* one TX variable beside a number */
    bool has_exclusions;
    weir_array targets; /* weir_waf_target */
    weir_array list;    /* const weir_waf_transform *, until the chain is made of it */
    uint32_t chain;
    weir_waf_test test;
    weir_array effects; /* weir_waf_effect */
    bool is_of_text;    /* what the test says depends on the text alone */
    bool is_filtered;   /* the filter knows what values the test cannot match */
    uint32_t place;     /* its question's, which is the filter's number, too; NONE: it has none */
    uint32_t group;     /* of the question; NONE: the sieve does not ask it */
} weir_waf_link;

typedef enum {
    WEIR_WAF_PASS,
    WEIR_WAF_DENY,
    WEIR_WAF_DROP,
    WEIR_WAF_REDIRECT,
    WEIR_WAF_ALLOW,
    WEIR_WAF_BLOCK, /* what SecDefaultAction says */
} weir_waf_disruption;

typedef enum {
    WEIR_WAF_ALLOW_ALL,     /* the rest of this phase and all later ones but logging */
    WEIR_WAF_ALLOW_PHASE,   /* the rest of this phase */
    WEIR_WAF_ALLOW_REQUEST, /* up to the response head */
} weir_waf_allow_scope;

typedef enum {
    WEIR_WAF_UNSAID,
    WEIR_WAF_YES,
    WEIR_WAF_NO,
} weir_waf_choice;

typedef struct {
    weir_waf_disruption disruption;
    bool says_disruption;
    weir_waf_allow_scope allow;
    unsigned status; /* 0: unsaid */
    weir_waf_macro redirect;
    weir_waf_choice log, audit;
    weir_array list; /* t: of SecDefaultAction */
} weir_waf_defaults;

typedef struct weir_waf_rule {
    uint64_t id;
    unsigned phase; /* 1 to 5 */
    weir_str file;
    unsigned line;
    weir_array links; /* weir_waf_link; at least one */
    weir_waf_defaults actions;
    const weir_waf_defaults *inherited; /* SecDefaultAction's of this phase when it was read */
    weir_waf_macro message, data;
    int severity;    /* -1: unsaid */
    weir_array tags; /* weir_waf_macro */
    weir_str revision, version, maturity, accuracy;
    unsigned skip;
    weir_str skip_after;
    bool expects_link; /* the last link said "chain" */
    bool says_phase;
} weir_waf_rule;

/* In the order of the files: a rule, or a marker. */
typedef struct {
    weir_waf_rule *rule;
    weir_str marker;
} weir_waf_entry;

/*
 * What is asked of most rules, without a look at the rule itself: a phase's questions lie side by
 * side, while its rules are spread over megabytes.
 */
typedef enum {
    WEIR_WAF_ASK_RULE,   /* it must be run to know */
    WEIR_WAF_ASK_GROUP,  /* can any value match? */
    WEIR_WAF_ASK_NUMBER, /* a TX variable beside a constant, or whether there is one */
} weir_waf_ask;

typedef struct {
    uint8_t ask;
    uint8_t comparison;
    bool is_negated, counts;
    uint32_t group, place; /* GROUP */
    uint32_t slot;         /* NUMBER */
    int64_t number;
} weir_waf_question;

typedef struct {
    weir_waf_question *questions; /* of the rules' heads */
    const weir_waf_rule **rules;
    uint32_t *jumps; /* where skipAfter leads */
    uint32_t count;
} weir_waf_phase_program;

struct weir_waf_program {
    weir_waf_library *library;
    weir_waf_settings settings;
    weir_array entries; /* weir_waf_entry */
    weir_waf_phase_program phases[WEIR_WAF_PHASES];
    const weir_waf_defaults *defaults[WEIR_WAF_PHASES];
    bool keeps_collections;
    bool names_full_request;
    /* Updates and removals of rules by id, tag or message: applied once all rules are read, wherever they stand. */
    weir_array amendments;
};

/*
 * What links ask of a value, each question once for all that look at the same values in the same
 * way; all that are no question to a text alone share one.
 */
typedef struct {
    const weir_array *targets;         /* weir_waf_target: of the first link that asks it */
    const weir_waf_operator *operator; /* that the filter tells about; NULL: any value may match */
    weir_waf_filter_part part;
    uint32_t group; /* NONE: the sieve does not ask it */
} weir_waf_place;

/* Of a set of places, a word that is not empty, and which one it is. */
typedef struct {
    uint64_t bits;
    uint32_t word;
} weir_waf_group_word;

/* Questions about what a chain makes of values: asked of a value all at once. */
typedef struct {
    uint32_t chain;
    weir_waf_filter_part part;
    bool is_multi_match;        /* and about what the steps before the last one make of it */
    weir_waf_group_word *words; /* known when the library is closed */
    uint32_t word_count;
} weir_waf_group;

/*
 * Who may look at a member of a variable: bits by group, and by place.  What no link looks at in
 * the end may be among them (where a selector is a pattern), never the other way round.
 */
typedef struct {
    uint64_t *groups, *places;
} weir_waf_audience;

/* Of a variable that is stored. */
typedef struct {
    bool is_there;
    uint64_t lengths; /* of such names, bit by length; the last for all that are longer */
    weir_map *named;  /* of members that some target names: weir_waf_audience; NULL: none are */
    weir_waf_audience *others;
} weir_waf_audiences;

struct weir_waf_library {
    weir_pool *pool, *temp;
    weir_waf_warn *warn;
    void *warn_subject;
    weir_map *programs;
    weir_map *operators;   /* by name and parameter: weir_waf_test */
    weir_map *slots;       /* of TX names, in lower case: the slot + 1 */
    weir_array slot_names; /* weir_str, as first written */
    weir_map *places_by_key;
    weir_array places;                 /* weir_waf_place */
    weir_array groups;                 /* weir_waf_group */
    uint32_t group_words, place_words; /* of 64 bits, for one by group or place */
    weir_waf_audiences audiences[WEIR_WAF_VARIABLE_COUNT];
    weir_waf_variable watched[WEIR_WAF_VARIABLE_COUNT]; /* those with an audience */
    unsigned watched_count;
    weir_array chains; /* weir_waf_chain */
    weir_waf_matcher *matcher;
    const weir_waf_prefilter *prefilter; /* over the places, by their number; NULL: not closed */
    bool is_filtered;
};

/* ---- making them: one file each */

/* What is being read. */
typedef struct {
    weir_waf_library *library;
    weir_waf_program *program;
    weir_pool *pool, *temp;
    const weir_waf_statement *statement;
    weir_waf_rule *open; /* a rule that waits for its next link */
    uint64_t rule_id;    /* for messages; 0: none */
    unsigned depth;      /* of includes */
    weir_waf_fault *fault;
} weir_waf_reader;

/* Always false.  The caret stands at `at`, if that is of the statement's text. */
bool weir_waf_refuse(weir_waf_reader *reader, const char *at, const char *format, ...)
    WEIR_PRINTF(3, 4);
void weir_waf_say(weir_waf_reader *reader, const char *format, ...) WEIR_PRINTF(2, 3);

/* seclang_directives.c: does what its statements say. */
bool weir_waf_read_part(weir_waf_reader *reader, const weir_waf_part *part) WEIR_MUST_USE;

/* seclang_targets.c, seclang_test.c, seclang_actions.c: the three words of a rule. */
bool weir_waf_read_targets(weir_waf_reader *reader, weir_str text,
                           weir_array *targets) WEIR_MUST_USE;
bool weir_waf_read_target(weir_waf_reader *reader, weir_str text,
                          weir_waf_target *target) WEIR_MUST_USE;
bool weir_waf_read_test(weir_waf_reader *reader, weir_str text, weir_waf_link *link) WEIR_MUST_USE;
/*
 * Lets the regexes of a rule that has been read, and amended, look at each line of a value, where
 * a match more is an attack found: of "who\n" a pattern's "$" sees the end.  Where the regex as it
 * was written matches, that is the match: lines can only add to it.
 * Not where a match lets something by (!@rx, allow, ctl, skip): there all of the value
 * must fit.  It may be asked again, of a copy that was amended since.  False: no memory.
 */
bool weir_waf_rule_look_at_lines(weir_waf_library *library,
                                 const weir_waf_rule *rule) WEIR_MUST_USE;
/* Words that directives and ctl take, in either case; the last has no name. */
typedef struct {
    const char *name;
    unsigned value;
} weir_waf_word;
extern const weir_waf_word weir_waf_engines[], weir_waf_audit_modes[], weir_waf_xml_modes[];
bool weir_waf_word_find(const weir_waf_word *words, weir_str name, unsigned *value) WEIR_MUST_USE;
bool weir_waf_read_actions(weir_waf_reader *reader, weir_str text, weir_waf_rule *rule,
                           weir_waf_link *link) WEIR_MUST_USE;
bool weir_waf_read_macro(weir_waf_reader *reader, weir_str text,
                         weir_waf_macro *macro) WEIR_MUST_USE;
bool weir_waf_read_ranges(weir_waf_reader *reader, weir_str text,
                          weir_waf_rule_choice *choice) WEIR_MUST_USE;
/* A regex for selectors, tags, statuses; NULL: refused. */
const weir_waf_operator *weir_waf_read_pattern(weir_waf_reader *reader, weir_str pattern,
                                               bool nocase);
/* seclang_rules.c */
/* What a rule disrupts: what it says itself, or what SecDefaultAction said for it. */
const weir_waf_defaults *weir_waf_disruption_of(const weir_waf_rule *rule);
bool weir_waf_read_rule(weir_waf_reader *reader, const weir_waf_statement *statement) WEIR_MUST_USE;
bool weir_waf_read_action_rule(weir_waf_reader *reader,
                               const weir_waf_statement *statement) WEIR_MUST_USE;
bool weir_waf_read_default_action(weir_waf_reader *reader,
                                  const weir_waf_statement *statement) WEIR_MUST_USE;

/* amend.c: SecRuleUpdate…, SecRuleRemove…, in whatever order they stand. */
typedef enum {
    WEIR_WAF_AMEND_REMOVE,
    WEIR_WAF_AMEND_TARGET,
    WEIR_WAF_AMEND_ACTION,
} weir_waf_amend_kind;

typedef enum {
    WEIR_WAF_BY_ID,
    WEIR_WAF_BY_TAG,
    WEIR_WAF_BY_MSG,
} weir_waf_amend_by;

bool weir_waf_read_amendment(weir_waf_reader *reader, const weir_waf_statement *statement,
                             weir_waf_amend_kind kind, weir_waf_amend_by by) WEIR_MUST_USE;
bool weir_waf_amend(weir_waf_reader *reader) WEIR_MUST_USE;
bool weir_waf_rule_is_chosen(weir_waf_matcher *matcher, const weir_waf_rule *rule,
                             weir_waf_amend_by by, const weir_waf_rule_choice *choice);

static inline void weir_waf_bit_set(uint64_t *bits, uint32_t i)
{
    bits[i / 64] |= (uint64_t) 1 << i % 64;
}

static inline void weir_waf_bit_clear(uint64_t *bits, uint32_t i)
{
    bits[i / 64] &= ~((uint64_t) 1 << i % 64);
}

static inline bool weir_waf_bit_is_set(const uint64_t *bits, uint32_t i)
{
    return (bits[i / 64] >> i % 64 & 1) != 0;
}

/* The bit that stands for a length. */
static inline uint64_t weir_waf_length_bit(size_t len)
{
    return (uint64_t) 1 << (len < 63 ? len : 63);
}

/* library.c */
/* The slot of a TX name, letters of either case; a new one if there is none.  NONE: no memory. */
uint32_t weir_waf_slot(weir_waf_library *library, weir_str name);
bool weir_waf_chain_of(weir_waf_library *library, const weir_array *list,
                       uint32_t *chain) WEIR_MUST_USE;
/* groups.c */
/* Finds the place and the group of the link's question. */
bool weir_waf_link_place(weir_waf_library *library, weir_waf_link *link) WEIR_MUST_USE;
/* Once all groups are there. */
bool weir_waf_audiences_make(weir_waf_library *library) WEIR_MUST_USE;

/* For selectors, tags, statuses. */
bool weir_waf_pattern_matches(weir_waf_matcher *matcher, const weir_waf_operator *pattern,
                              weir_str text);

#endif
