/*
 * Operators: @rx, @pm, @within ... of SecLang.
 *
 * An operator is compiled with its parameter, once, in the master, and is immutable then.
 */

#ifndef WEIR_WAF_OPERATOR_H
#define WEIR_WAF_OPERATOR_H

#include "core/base/pool.h"
#include "core/base/result.h"
#include "core/base/str.h"
#include "modules/waf/byte_set.h"

typedef struct weir_waf_operator weir_waf_operator;

/* What compiling takes and, when it fails, why. */
typedef struct {
    weir_pool *pool;   /* of the program: what is made lives as long */
    weir_str folder;   /* of the rule file, with its last slash: relative file names begin there */
    char message[256]; /* what is wrong, NUL-terminated */
    size_t at;         /* where in the parameter, in bytes */
} weir_waf_operator_build;

/*
 * Compiles "@name parameter"; `name` without "@" and "!", in either case.  The parameter may hold macros where
 * weir_waf_operator_takes_macros(), and then it counts only once they are expanded.  Files that it names are
 * read here.  NULL: refused, `build` says why; an operator of SecLang that weir does not have is refused
 * with the reason.
 */
const weir_waf_operator *weir_waf_operator_new(weir_waf_operator_build *build, weir_str name,
                                               weir_str parameter) WEIR_MUST_USE;

/* As the reference manual writes it, without "@"; and what was given. */
weir_str weir_waf_operator_name(const weir_waf_operator *op);
weir_str weir_waf_operator_parameter(const weir_waf_operator *op);

/* Whether "%{...}" in its parameter is a macro: the caller expands it for each run. */
bool weir_waf_operator_takes_macros(const weir_waf_operator *op);

/*
 * A number as SecLang reads it, which is as atoi() does: blanks, a sign, digits; what is none is
 * 0, what is too large the largest.
 */
int64_t weir_waf_number_of(weir_str text);

/*
 * What matching takes that is no part of the program: a worker has one.  Its memory goes with the
 * pool, and the operators that it is used with must live as long.
 */
typedef struct weir_waf_matcher weir_waf_matcher;
weir_waf_matcher *weir_waf_matcher_new(weir_pool *pool);

/* Steps of PCRE2 for one match unless SecPcreMatchLimit says another number: 2 to 20 ms in machine code. */
#define WEIR_WAF_STEPS_MAX 1000000

#define WEIR_WAF_CAPTURES_MAX 10 /* TX.0 to TX.9 */
#define WEIR_WAF_FINGERPRINT_MAX 8

typedef enum {
    WEIR_WAF_NO_MATCH,
    WEIR_WAF_MATCH,
    WEIR_WAF_LIMIT, /* it was given up: steps_max, memory for backtracking, or, where a search may go on in parts, 20 ms (and 8 ns a byte) are used up */
} weir_waf_matched;

/* One run: what the caller sets, and what it learns. */
typedef struct {
    weir_waf_matcher *matcher;
    uint32_t steps_max;       /* of PCRE2; 0: WEIR_WAF_STEPS_MAX */
    bool wants_captures;      /* else only @detectSQLi's fingerprint is told */
    const weir_str *expanded; /* the parameter with its macros expanded; NULL: it has none */

    /*
     * What TX.0 to TX.9 become if it matched: bit i of `captured` says that captures[i] is set; the others are
     * to be unset.  They are parts of the value, of the program, or of `fingerprint`.
     */
    weir_str captures[WEIR_WAF_CAPTURES_MAX];
    unsigned captured;
    char fingerprint[WEIR_WAF_FINGERPRINT_MAX];

    /*
     * Work units are added here: one for each byte that was looked at and 32 a call for the plain operators; four a
     * byte for @detectSQLi, eight for @detectXSS; for regexes two a byte, steps_max / 16 for a match that was
     * given up, and what it took on a long value.  A unit is about half a nanosecond.
     */
    uint64_t work;
} weir_waf_run;

/* Runs it on a value.  Negation ("!@rx") is the caller's. */
weir_waf_matched weir_waf_operator_run(const weir_waf_operator *op, weir_str value,
                                       weir_waf_run *run) WEIR_MUST_USE;

/*
 * What a value needs for a match: for the prefilter.  Each is a fact of the compiled operator; none is
 * given for one whose parameter has macros.
 */
typedef struct weir_waf_phrases {
    const weir_str
        *texts; /* a match has one of these in the value, in any case of letters; NULL: not known */
    size_t count;
} weir_waf_phrases;

/* The pattern of @rx and its kind; false for others. */
bool weir_waf_operator_pattern(const weir_waf_operator *op, weir_str *pattern);
/* All that @rx asks for: that a value begins with this, in either case of letters.  Empty: it asks otherwise. */
weir_str weir_waf_operator_prefix(const weir_waf_operator *op);
/* Whether @rx matches whatever it is given, and all of it: "^.*$". */
bool weir_waf_operator_takes_anything(const weir_waf_operator *op);
/* The phrases of @pm, @pmFromFile, @contains ...; false for others. */
bool weir_waf_operator_phrases(const weir_waf_operator *op, weir_waf_phrases *phrases);
/* Bytes one of which must be in the value; false: any value may match. */
bool weir_waf_operator_bytes(const weir_waf_operator *op, weir_waf_bytes *bytes);

#endif
