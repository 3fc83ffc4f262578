/*
 * A pattern up to the end of the line, and values, one a line: what PCRE2 matches, the prefilter and the pattern's automaton let
 * pass.
 */

#include <stdlib.h>

#include "modules/waf/dfa.h"
#include "modules/waf/prefilter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Longer ones only make PCRE2 slow. */
#define PATTERN_MAX 200

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void check_values(weir_pool *pool, const weir_waf_operator *op, weir_str rest)
{
    weir_waf_run run = {.matcher = weir_waf_matcher_new(pool), .steps_max = 10000};
    weir_waf_prefilter_build *build = weir_waf_prefilter_begin();
    const weir_waf_prefilter *prefilter;
    weir_waf_scan scan;
    uint64_t *words;
    uint32_t index;
    uint64_t work = 0;
    weir_str value;
    const weir_waf_dfa *dfa = weir_waf_dfa_new(pool, weir_waf_operator_parameter(op));
    weir_waf_dfa_states *states = dfa == NULL ? NULL : weir_waf_dfa_states_new(dfa);

    CHECK(run.matcher != NULL && build != NULL
          && weir_waf_prefilter_add(build, op, WEIR_WAF_FILTER_REQUEST, &index));
    prefilter = weir_waf_prefilter_end(build, pool);
    CHECK(prefilter != NULL);
    words = weir_pool_calloc(pool, weir_waf_prefilter_words(prefilter), sizeof(*words));
    CHECK(words != NULL);

    while (weir_str_split(&rest, '\n', &value)) {
        weir_waf_scan_begin(&scan, prefilter, value, NULL, words);
        if (weir_waf_operator_run(op, value, &run) == WEIR_WAF_MATCH) {
            CHECK(weir_waf_may_match(&scan, index));
            CHECK(states == NULL || weir_waf_dfa_may_match(states, value, &work));
        }
    }
    weir_waf_dfa_states_free(states);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_str rest = weir_str_of((const char *) data, size), pattern;
    weir_waf_operator_build build = {.pool = weir_pool_new(4096, 0)};
    const weir_waf_operator *op;

    CHECK(build.pool != NULL);
    if (weir_str_split(&rest, '\n', &pattern) && pattern.len <= PATTERN_MAX) {
        op = weir_waf_operator_new(&build, WEIR_STR("rxGlobal"), pattern);
        CHECK((op == NULL) == (build.message[0] != '\0'));
        if (op != NULL) {
            check_values(build.pool, op, rest);
        }
    }

    weir_pool_free(build.pool);
    return 0;
}
