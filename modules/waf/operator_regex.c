/*
 * @rx and @rxGlobal: PCRE2 on bytes.  "." takes newlines, and "$" is the end alone, as CRS means them; "^" is
 * the start alone.
 */

#include "modules/waf/operator_internal.h"

#define HEAP_KIB_MAX 16384
#define JIT_STACK_BYTES 32768
#define JIT_STACK_BYTES_MAX (1024 * 1024)
#define BYTE_WORK 2 /* and one that every operator has */
#define LIMIT_WORK_SHARE 16
#define FIRST_LETTERS_FEW 4

/* ---- compiling */

static void regex_free(void *subject)
{
    pcre2_code_free(subject);
}

static bool regex_refuse(weir_waf_operator_build *build, int error, size_t at)
{
    char message[128];

    if (pcre2_get_error_message(error, (PCRE2_UCHAR *) message, sizeof(message)) < 0) {
        message[0] = '\0';
    }
    return weir_waf_operator_refuse(build, at, "the regex does not compile: %s", message);
}

/*
 * Whether a match can begin with what stands nearly anywhere, so that PCRE2 tries most bytes of a text.  It says no for a
 * pattern that is anchored or begins with one byte, and for one whose first bytes are rare.
 */
static bool regex_is_slow_to_start(const pcre2_code *code)
{
    const uint8_t *first = NULL;
    uint32_t kind = 0;
    size_t letters = 0;

    if (pcre2_pattern_info(code, PCRE2_INFO_FIRSTCODETYPE, &kind) != 0 || kind != 0
        || pcre2_pattern_info(code, PCRE2_INFO_FIRSTBITMAP, &first) != 0) {
        return false;
    }

    for (unsigned byte = 'a'; first != NULL && byte <= 'z'; byte++) {
        letters += first[byte / 8] >> (byte % 8) & 1;
    }
    return first == NULL || letters > FIRST_LETTERS_FEW;
}

bool weir_waf_regex_compile(weir_waf_operator_build *build, weir_waf_operator *op)
{
    const char *text = op->parameter.len == 0 ? "" : op->parameter.data;
    uint32_t options = PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF;
    size_t at = 0;
    int error = 0;

    op->regex.code =
        pcre2_compile((PCRE2_SPTR) text, op->parameter.len, options, &error, &at, NULL);
    if (op->regex.code == NULL) {
        return regex_refuse(build, error, at);
    }
    if (weir_pool_on_free(build->pool, regex_free, op->regex.code) == NULL) {
        pcre2_code_free(op->regex.code);
        return weir_waf_operator_refuse_memory(build);
    }

    if (regex_is_slow_to_start(op->regex.code)) {
        op->regex.dfa = weir_waf_dfa_new(build->pool, op->parameter);
    }

    /* Without machine code it matches too, more slowly. */
    op->regex.has_jit = pcre2_jit_compile(op->regex.code, PCRE2_JIT_COMPLETE) == 0;
    return true;
}

/* ---- what a worker has */

static void matcher_free(void *subject)
{
    weir_waf_matcher *matcher = subject;

    for (size_t i = 0; i < MATCHER_SLOTS; i++) {
        weir_waf_dfa_states_free(matcher->slots[i].states);
    }
    pcre2_match_data_free(matcher->match);
    pcre2_match_context_free(matcher->limits);
    pcre2_jit_stack_free(matcher->jit_stack);
}

weir_waf_matcher *weir_waf_matcher_new(weir_pool *pool)
{
    weir_waf_matcher *matcher = WEIR_NEW(pool, weir_waf_matcher);

    if (matcher == NULL || weir_pool_on_free(pool, matcher_free, matcher) == NULL) {
        return NULL;
    }

    matcher->limits = pcre2_match_context_create(NULL);
    matcher->match = pcre2_match_data_create(WEIR_WAF_CAPTURES_MAX, NULL);
    if (matcher->limits == NULL || matcher->match == NULL) {
        return NULL;
    }

    pcre2_set_heap_limit(matcher->limits, HEAP_KIB_MAX);
    matcher->jit_stack = pcre2_jit_stack_create(JIT_STACK_BYTES, JIT_STACK_BYTES_MAX, NULL);
    if (matcher->jit_stack != NULL) {
        pcre2_jit_stack_assign(matcher->limits, NULL, matcher->jit_stack);
    }
    return matcher;
}

static void matcher_set_steps(weir_waf_matcher *matcher, uint32_t steps_max)
{
    if (steps_max == 0) {
        steps_max = WEIR_WAF_STEPS_MAX;
    }
    if (matcher->steps_max != steps_max) {
        pcre2_set_match_limit(matcher->limits, steps_max);
        pcre2_set_depth_limit(matcher->limits, steps_max);
        matcher->steps_max = steps_max;
    }
}

/* ---- matching */

/* PCRE2's result: how many pairs are set (0: all there is room for), or negative. */
static int regex_match(const weir_waf_operator *op, weir_str value, size_t offset, uint32_t options,
                       weir_waf_run *run)
{
    weir_waf_matcher *matcher = run->matcher;
    int result;

    matcher_set_steps(matcher, run->steps_max);
    run->work += (value.len - offset) * BYTE_WORK;
    result = op->regex.has_jit && options == 0
                 ? pcre2_jit_match(op->regex.code, (PCRE2_SPTR) value.data, value.len, offset, 0,
                                   matcher->match, matcher->limits)
                 : pcre2_match(op->regex.code, (PCRE2_SPTR) value.data, value.len, offset, options,
                               matcher->match, matcher->limits);
    if (result < 0 && result != PCRE2_ERROR_NOMATCH) {
        run->work += matcher->steps_max / LIMIT_WORK_SHARE;
    }
    return result;
}

static weir_waf_matched regex_verdict(int result)
{
    return result >= 0                     ? WEIR_WAF_MATCH
           : result == PCRE2_ERROR_NOMATCH ? WEIR_WAF_NO_MATCH
                                           : WEIR_WAF_LIMIT;
}

/* The groups of the last match into captures, from `slot` on. */
static unsigned regex_capture(int result, weir_str value, weir_waf_run *run, unsigned slot)
{
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(run->matcher->match);
    unsigned count = result == 0 ? WEIR_WAF_CAPTURES_MAX : (unsigned) result;

    for (unsigned i = 0; i < count && slot < WEIR_WAF_CAPTURES_MAX; i++, slot++) {
        /* \K may put the start behind the end. */
        if (ends[2 * i] != PCRE2_UNSET && ends[2 * i] <= ends[2 * i + 1]) {
            weir_waf_capture(run, slot, weir_str_slice(value, ends[2 * i], ends[2 * i + 1]));
        }
    }

    return slot;
}

/* The worker's states of a pattern; NULL: there is no room for them. */
static weir_waf_dfa_states *matcher_states(weir_waf_matcher *matcher, const weir_waf_dfa *dfa)
{
    size_t slot = (uintptr_t) dfa / 64 % MATCHER_SLOTS;

    while (matcher->slots[slot].dfa != NULL && matcher->slots[slot].dfa != dfa) {
        slot = (slot + 1) % MATCHER_SLOTS;
    }

    if (matcher->slots[slot].dfa == NULL && matcher->dfa_count < MATCHER_DFAS_MAX) {
        matcher->slots[slot].states = weir_waf_dfa_states_new(dfa);
        matcher->slots[slot].dfa = dfa;
        matcher->dfa_count++;
    }
    return matcher->slots[slot].states;
}

/* Asks the automaton, where there is one. */
static bool regex_may_match(const weir_waf_operator *op, weir_str value, weir_waf_run *run)
{
    weir_waf_dfa_states *states =
        op->regex.dfa == NULL ? NULL : matcher_states(run->matcher, op->regex.dfa);

    return states == NULL || weir_waf_dfa_may_match(states, value, &run->work);
}

weir_waf_matched weir_waf_run_rx(const weir_waf_operator *op, weir_str value, weir_waf_run *run)
{
    int result =
        regex_may_match(op, value, run) ? regex_match(op, value, 0, 0, run) : PCRE2_ERROR_NOMATCH;

    if (result >= 0 && run->wants_captures) {
        (void) regex_capture(result, value, run, 0);
    }
    return regex_verdict(result);
}

int weir_waf_regex_search(const weir_waf_operator *op, weir_str value, size_t offset,
                          weir_waf_run *run, size_t *start, size_t *end)
{
    int result = regex_match(op, value, offset, 0, run);
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(run->matcher->match);

    if (result < 0) {
        return result == PCRE2_ERROR_NOMATCH ? 0 : -1;
    }

    *start = ends[0] <= ends[1] ? ends[0] : ends[1];
    *end = ends[1];
    return 1;
}

/*
 * All matches, one after the other, until the captures are full; an empty one counts if it is the first.  It
 * is enough that the first one is there: the others only fill captures.
 */
weir_waf_matched weir_waf_run_rx_global(const weir_waf_operator *op, weir_str value,
                                        weir_waf_run *run)
{
    int result = regex_match(op, value, 0, 0, run);
    weir_waf_matched verdict = regex_verdict(result);
    unsigned slot = 0;

    if (!run->wants_captures) {
        return verdict;
    }

    while (result >= 0) {
        const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(run->matcher->match);
        size_t start = ends[0], end = ends[1];

        if (end > start || slot == 0) {
            slot = regex_capture(result, value, run, slot);
        }
        if (slot == WEIR_WAF_CAPTURES_MAX || end >= value.len || end < start) {
            break;
        }
        result = regex_match(op, value, end > start ? end : end + 1, 0, run);
    }

    return verdict;
}
