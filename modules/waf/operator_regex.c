/*
 * @rx and @rxGlobal: PCRE2 on bytes.  "." takes newlines, and "$" is the end alone, as CRS means them; "^" is
 * the start alone, but for the patterns with (?m) that look at lines (weir_waf_rule_look_at_lines()).
 */

#include "modules/waf/operator_internal.h"

#include <time.h>


#define HEAP_KIB_MAX 16384
#define JIT_STACK_BYTES 32768
#define JIT_STACK_BYTES_MAX (1024 * 1024)
#define BYTE_WORK 2 /* and one that every operator has */
#define LIMIT_WORK_SHARE 16
#define FIRST_LETTERS_FEW 4

/*
 * PCRE2's limit of steps does not see what looks through the rest of the text from each byte on: 128 KiB of quotes
 * took one of CRS's patterns five seconds.  So long texts are searched a stretch of beginnings at a time, and the time is looked at
 * in between.  Shorter ones get as many steps as are surely quick: 3,000 times "<" took another one six seconds.
 */
#define LONG_BYTES ((size_t) 16384)
#define STRETCH_BYTES                                                                              \
    64 /* the first one; as long as they are quick, each is twice the one before */
#define STRETCH_STEPS 256           /* of PCRE2, at first */
#define STRETCH_NS 50000u           /* quick */
#define MATCH_NS 20000000u          /* more is given up */
#define MATCH_BYTE_NS 8u            /* but so much for each byte is fine */
#define SHORT_BYTES ((size_t) 2048) /* not worth a look at the clock */
#define FIRST_STEPS_BYTES 8388608u  /* that the first steps on a value may look at: 16 ms */
#define SLOW_NS 500000u             /* quicker ones are reckoned by their bytes alone */
#define NS_WORK 2u

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

/* Whether a match is the same wherever the search for it has begun: not with \G, nor verbs such as (*COMMIT). */
static bool regex_may_be_searched_in_parts(weir_str pattern)
{
    return weir_str_find(pattern, WEIR_STR("\\G")) == NULL
           && weir_str_find(pattern, WEIR_STR("(*")) == NULL;
}

static bool is_plain(weir_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = weir_byte_lower(text.data[i]);

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_') {
            return false;
        }
    }
    return text.len != 0;
}

static void find_shape(weir_waf_operator *op)
{
    weir_str pattern = op->parameter;

    if (weir_str_eq(pattern, WEIR_STR("^.*$"))) {
        op->regex.shape = WEIR_WAF_REGEX_ANYTHING;
        return;
    }
    if (weir_str_starts(pattern, WEIR_STR("(?i)"))) {
        op->regex.is_prefix_of_either_case = true;
        pattern = weir_str_from(pattern, 4);
    }
    if (weir_str_starts(pattern, WEIR_STR("^")) && is_plain(weir_str_from(pattern, 1))) {
        op->regex.shape = WEIR_WAF_REGEX_PREFIX;
        op->regex.prefix = weir_str_from(pattern, 1);
    }
}

bool weir_waf_regex_compile(weir_waf_operator_build *build, weir_waf_operator *op)
{
    const char *text = op->parameter.len == 0 ? "" : op->parameter.data;
    bool in_parts = regex_may_be_searched_in_parts(op->parameter);
    uint32_t options = PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF
                       | (in_parts ? PCRE2_USE_OFFSET_LIMIT : 0);
    uint32_t all_options = 0;
    size_t at = 0, machine_code = 0;
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

    /* An anchored one has one beginning. */
    op->regex.has_stretches =
        in_parts && pcre2_pattern_info(op->regex.code, PCRE2_INFO_ALLOPTIONS, &all_options) == 0
        && (all_options & PCRE2_ANCHORED) == 0;
    find_shape(op);
    if (regex_is_slow_to_start(op->regex.code)) {
        op->regex.dfa = weir_waf_dfa_new(build->pool, op->parameter);
    }

    /* Without machine code it matches too, more slowly.  With (*NO_JIT) there is none, and no error. */
    op->regex.has_jit =
        pcre2_jit_compile(op->regex.code, PCRE2_JIT_COMPLETE) == 0
        && pcre2_pattern_info(op->regex.code, PCRE2_INFO_JITSIZE, &machine_code) == 0
        && machine_code != 0;
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
static int regex_ask(const weir_waf_operator *op, weir_str value, size_t offset, uint32_t options,
                     weir_waf_matcher *matcher)
{
    return op->regex.has_jit && options == 0
               ? pcre2_jit_match(op->regex.code, (PCRE2_SPTR) value.data, value.len, offset, 0,
                                 matcher->match, matcher->limits)
               : pcre2_match(op->regex.code, (PCRE2_SPTR) value.data, value.len, offset, options,
                             matcher->match, matcher->limits);
}

/* Of this thread: what others have in between does not count. */
static uint64_t cpu_ns(void)
{
    struct timespec now;

    (void) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec;
}

/* Twice as many steps may take four times as long. */
static bool may_double(uint64_t took, uint64_t last_took, uint64_t fine_ns)
{
    return took + 4 * last_took <= fine_ns;
}

/* A step, too, may look through all of the rest: the limit begins low, and grows while there is time. */
static int regex_match_stretches(const weir_waf_operator *op, weir_str value, size_t offset,
                                 uint32_t options, weir_waf_run *run)
{
    weir_waf_matcher *matcher = run->matcher;
    uint64_t fine_ns = MATCH_NS + (uint64_t) value.len * MATCH_BYTE_NS;
    uint64_t begun = cpu_ns(), now = begun;
    size_t stretch = STRETCH_BYTES;
    uint32_t steps = STRETCH_STEPS;
    int result = PCRE2_ERROR_NOMATCH;

    while (result == PCRE2_ERROR_NOMATCH && offset <= value.len) {
        uint64_t last = now;

        steps = steps < matcher->steps_max ? steps : matcher->steps_max;
        (void) pcre2_set_offset_limit(matcher->limits, offset + stretch - 1);
        (void) pcre2_set_match_limit(matcher->limits, steps);
        result = regex_ask(op, value, offset, options, matcher);
        now = cpu_ns();
        if (result == PCRE2_ERROR_MATCHLIMIT && steps < matcher->steps_max
            && may_double(now - begun, now - last, fine_ns)) {
            steps *= 2;
            result = PCRE2_ERROR_NOMATCH; /* the same stretch again */
            continue;
        }
        if (result == PCRE2_ERROR_NOMATCH && now - begun > fine_ns) {
            result = PCRE2_ERROR_MATCHLIMIT;
        }
        offset += stretch;
        if (now - last < STRETCH_NS) {
            stretch *= 2;
        } else if (now - last > 4 * STRETCH_NS && stretch > 4) {
            stretch /= 4;
        }
    }
    run->work += (now - begun) * NS_WORK;
    return result;
}

/* For values of some length only: a look at this thread's clock is a system call. */
static int regex_match_timed(const weir_waf_operator *op, weir_str value, size_t offset,
                             uint32_t options, weir_waf_run *run)
{
    uint64_t begun = cpu_ns();
    int result = regex_ask(op, value, offset, options, run->matcher);
    uint64_t took = cpu_ns() - begun;

    if (took > SLOW_NS) {
        run->work += took * NS_WORK;
    }
    return result;
}

/* Most matches that there are begin soon: one ask finds them, before the rest is gone through by stretches. */
static int regex_match_long(const weir_waf_operator *op, weir_str value, size_t offset,
                            uint32_t options, weir_waf_run *run)
{
    weir_waf_matcher *matcher = run->matcher;
    int result;

    (void) pcre2_set_offset_limit(matcher->limits, offset + STRETCH_BYTES - 1);
    (void) pcre2_set_match_limit(matcher->limits, STRETCH_STEPS);
    result = regex_match_timed(op, value, offset, options, run);
    if (result == PCRE2_ERROR_NOMATCH || result == PCRE2_ERROR_MATCHLIMIT) {
        result = regex_match_stretches(op, value, offset, options, run);
    }
    (void) pcre2_set_offset_limit(matcher->limits, PCRE2_UNSET);
    (void) pcre2_set_match_limit(matcher->limits, matcher->steps_max);
    return result;
}

/* One beginning, so there are no stretches. */
static int regex_match_anchored(const weir_waf_operator *op, weir_str value, size_t offset,
                                uint32_t options, uint32_t steps, weir_waf_run *run)
{
    weir_waf_matcher *matcher = run->matcher;
    uint64_t fine_ns = MATCH_NS + (uint64_t) value.len * MATCH_BYTE_NS;
    uint64_t begun = cpu_ns(), now = begun, last = begun;
    int result = PCRE2_ERROR_MATCHLIMIT;

    while (result == PCRE2_ERROR_MATCHLIMIT && steps < matcher->steps_max
           && may_double(now - begun, now - last, fine_ns)) {
        last = now;
        steps = steps > matcher->steps_max / 2 ? matcher->steps_max : steps * 2;
        (void) pcre2_set_match_limit(matcher->limits, steps);
        result = regex_ask(op, value, offset, options, matcher);
        now = cpu_ns();
    }
    run->work += (now - begun) * NS_WORK;
    return result;
}

static int regex_match_short(const weir_waf_operator *op, weir_str value, size_t offset,
                             uint32_t options, weir_waf_run *run)
{
    weir_waf_matcher *matcher = run->matcher;
    size_t bytes = value.len - offset;
    uint32_t steps = (uint32_t) (FIRST_STEPS_BYTES / (bytes + 1));
    bool is_limited;
    int result;

    steps = steps > STRETCH_STEPS ? steps : STRETCH_STEPS;
    steps = steps < matcher->steps_max ? steps : matcher->steps_max;
    is_limited = steps < matcher->steps_max;
    (void) pcre2_set_match_limit(matcher->limits, steps);
    result = bytes < SHORT_BYTES ? regex_ask(op, value, offset, options, matcher)
                                 : regex_match_timed(op, value, offset, options, run);
    if (result == PCRE2_ERROR_MATCHLIMIT && is_limited) {
        result = op->regex.has_stretches
                     ? regex_match_stretches(op, value, offset, options, run)
                     : regex_match_anchored(op, value, offset, options, steps, run);
    }
    if (op->regex.has_stretches) {
        (void) pcre2_set_offset_limit(matcher->limits, PCRE2_UNSET);
    }
    (void) pcre2_set_match_limit(matcher->limits, matcher->steps_max);
    return result;
}

static int regex_match(const weir_waf_operator *op, weir_str value, size_t offset, uint32_t options,
                       weir_waf_run *run)
{
    weir_waf_matcher *matcher = run->matcher;
    size_t bytes = value.len - offset;
    int result;

    matcher_set_steps(matcher, run->steps_max);
    run->work += bytes * BYTE_WORK;
    result = bytes < LONG_BYTES || !op->regex.has_stretches
                 ? regex_match_short(op, value, offset, options, run)
                 : regex_match_long(op, value, offset, options, run);
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

/* CRS asks "^.*$" of each header, to have it captured, and selects variables by how their names begin. */
static weir_waf_matched run_shape(const weir_waf_operator *op, weir_str value, weir_waf_run *run)
{
    weir_str found = value;

    if (op->regex.shape == WEIR_WAF_REGEX_PREFIX) {
        weir_str prefix = op->regex.prefix;

        if (!(op->regex.is_prefix_of_either_case ? weir_str_starts_nocase(value, prefix)
                                                 : weir_str_starts(value, prefix))) {
            return WEIR_WAF_NO_MATCH;
        }
        found = weir_str_slice(value, 0, prefix.len);
    }
    if (run->wants_captures) {
        weir_waf_capture(run, 0, found);
    }
    return WEIR_WAF_MATCH;
}

weir_waf_matched weir_waf_run_rx(const weir_waf_operator *op, weir_str value, weir_waf_run *run)
{
    int result;

    if (op->regex.shape != WEIR_WAF_REGEX) {
        return run_shape(op, value, run);
    }
    result =
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
