/* From a pattern to the steps of a nondeterministic automaton. */

#include "modules/waf/dfa_internal.h"

#define SETS_MAX 2048
#define COPIES_MAX 64 /* of a part that is repeated so often; beyond, any number of times */
#define CHILDREN_MAX 1000

typedef struct {
    weir_waf_dfa *dfa;
    bool is_full; /* too many steps or sets */
} build;

static uint32_t add_step(build *b, dfa_step step)
{
    if (b->dfa->step_count == DFA_STEPS_MAX) {
        b->is_full = true;
        return 0;
    }

    b->dfa->steps[b->dfa->step_count] = step;
    return b->dfa->step_count++;
}

static uint32_t set_number(build *b, const weir_waf_bytes *bytes)
{
    for (uint32_t i = 0; i < b->dfa->set_count; i++) {
        if (memcmp(&b->dfa->sets[i], bytes, sizeof(*bytes)) == 0) {
            return i;
        }
    }
    if (b->dfa->set_count == SETS_MAX) {
        b->is_full = true;
        return 0;
    }

    b->dfa->sets[b->dfa->set_count] = *bytes;
    return b->dfa->set_count++;
}

static uint32_t compile(build *b, const weir_waf_pattern *pattern, uint32_t next);

/* From the last to the first; `left` bounds how deep that may go. */
static uint32_t compile_sequence(build *b, const weir_waf_pattern *child, uint32_t next,
                                 unsigned left)
{
    if (left == 0) {
        b->is_full = true;
        return 0;
    }
    if (child == NULL) {
        return next;
    }
    return compile(b, child, compile_sequence(b, child->next, next, left - 1));
}

static uint32_t compile_either(build *b, const weir_waf_pattern *child, uint32_t next,
                               unsigned left)
{
    uint32_t first = compile(b, child, next);

    if (left == 0) {
        b->is_full = true;
        return 0;
    }

    if (child->next == NULL) {
        return first;
    }
    return add_step(b, (dfa_step){.kind = DFA_SPLIT,
                                  .next = first,
                                  .other = compile_either(b, child->next, next, left - 1)});
}

/* Any number of times: a step that leads into the part, which leads back, and on. */
static uint32_t compile_loop(build *b, const weir_waf_pattern *child, uint32_t next)
{
    uint32_t loop = add_step(b, (dfa_step){.kind = DFA_SPLIT, .other = next});
    uint32_t part = compile(b, child, loop);

    b->dfa->steps[loop].next = part;
    return loop;
}

static uint32_t compile_repeat(build *b, const weir_waf_pattern *pattern, uint32_t next)
{
    size_t min = pattern->min < COPIES_MAX ? pattern->min : COPIES_MAX;
    size_t optional = pattern->max == SIZE_MAX ? 0 : pattern->max - pattern->min;

    /* More copies than that are taken for any number: wider, never narrower. */
    if (pattern->max == SIZE_MAX || optional > COPIES_MAX || pattern->min > COPIES_MAX) {
        next = compile_loop(b, pattern->first, next);
    } else {
        uint32_t end = next;

        for (size_t i = 0; i < optional && !b->is_full; i++) {
            next = add_step(b, (dfa_step){.kind = DFA_SPLIT,
                                          .next = compile(b, pattern->first, next),
                                          .other = end});
        }
    }
    for (size_t i = 0; i < min && !b->is_full; i++) {
        next = compile(b, pattern->first, next);
    }

    return next;
}

/* Any text of at least so many bytes. */
static uint32_t compile_any(build *b, size_t min, uint32_t next)
{
    static const weir_waf_bytes all = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
    uint32_t set = set_number(b, &all);
    uint32_t loop = add_step(b, (dfa_step){.kind = DFA_SPLIT, .other = next});

    b->dfa->steps[loop].next = add_step(b, (dfa_step){.kind = DFA_BYTES, .set = set, .next = loop});
    next = loop;
    for (size_t i = 0; i < min && !b->is_full; i++) {
        next = add_step(b, (dfa_step){.kind = DFA_BYTES, .set = set, .next = next});
    }
    return next;
}

/* The steps of the pattern, which lead to `next`; the first of them. */
static uint32_t compile(build *b, const weir_waf_pattern *pattern, uint32_t next)
{
    if (b->is_full) {
        return 0;
    }

    switch (pattern->kind) {
    case WEIR_WAF_PATTERN_EMPTY:
        return next;
    case WEIR_WAF_PATTERN_START:
    case WEIR_WAF_PATTERN_END:
    case WEIR_WAF_PATTERN_EDGE:
    case WEIR_WAF_PATTERN_NO_EDGE:
        return add_step(b, (dfa_step){.kind = DFA_CHECK, .check = pattern->kind, .next = next});
    case WEIR_WAF_PATTERN_BYTES:
        return add_step(
            b, (dfa_step){.kind = DFA_BYTES, .set = set_number(b, &pattern->bytes), .next = next});
    case WEIR_WAF_PATTERN_ANY:
        return compile_any(b, pattern->min, next);
    case WEIR_WAF_PATTERN_SEQUENCE:
        return compile_sequence(b, pattern->first, next, CHILDREN_MAX);
    case WEIR_WAF_PATTERN_EITHER:
        return compile_either(b, pattern->first, next, CHILDREN_MAX);
    case WEIR_WAF_PATTERN_REPEAT:
        return compile_repeat(b, pattern, next);
    }

    b->is_full = true;
    return 0;
}

/* Gives bytes with equal keys the same number, from 0 on; how many there are. */
static unsigned number_classes(const unsigned keys[256], uint8_t class_of[256])
{
    int number_of[512];
    unsigned count = 0;

    memset(number_of, 0xff, sizeof(number_of));
    for (unsigned byte = 0; byte < 256; byte++) {
        if (number_of[keys[byte]] < 0) {
            number_of[keys[byte]] = (int) count++;
        }
        class_of[byte] = (uint8_t) number_of[keys[byte]];
    }

    return count;
}

/* Two bytes are of one class if each set, and the words, have both or neither. */
static void make_classes(weir_waf_dfa *dfa)
{
    unsigned keys[256];

    memset(dfa->class_of, 0, sizeof(dfa->class_of));
    for (uint32_t set = 0; set <= dfa->set_count; set++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            bool is_in = set < dfa->set_count ? weir_waf_bytes_has(&dfa->sets[set], (uint8_t) byte)
                                              : dfa_is_word(byte);

            keys[byte] = dfa->class_of[byte] * 2u + is_in;
        }
        dfa->class_count = number_classes(keys, dfa->class_of);
    }
}

static bool dfa_make(weir_waf_dfa *dfa, const weir_waf_pattern *pattern)
{
    build b = {.dfa = dfa};
    uint32_t match = add_step(&b, (dfa_step){.kind = DFA_MATCH});

    dfa->first = compile(&b, pattern, match);
    if (b.is_full) {
        return false;
    }

    make_classes(dfa);
    return true;
}

const weir_waf_dfa *weir_waf_dfa_new(weir_pool *pool, weir_str text)
{
    weir_pool *temp = weir_pool_new(65536, 0);
    const weir_waf_pattern *pattern = temp == NULL ? NULL : weir_waf_pattern_read(temp, text);
    weir_waf_dfa made = {0}, *dfa = NULL;
    bool is_made;

    if (pattern != NULL) {
        made.steps = WEIR_NEW_ARRAY(temp, dfa_step, DFA_STEPS_MAX);
        made.sets = WEIR_NEW_ARRAY(temp, weir_waf_bytes, SETS_MAX);
        is_made = made.steps != NULL && made.sets != NULL && dfa_make(&made, pattern);
        dfa = is_made ? WEIR_NEW(pool, weir_waf_dfa) : NULL;
    }
    if (dfa != NULL) {
        *dfa = made;
        dfa->steps = WEIR_NEW_ARRAY(pool, dfa_step, made.step_count);
        dfa->sets = WEIR_NEW_ARRAY(pool, weir_waf_bytes, made.set_count + 1);
        if (dfa->steps == NULL || dfa->sets == NULL) {
            dfa = NULL;
        } else {
            memcpy(dfa->steps, made.steps, made.step_count * sizeof(*dfa->steps));
            memcpy(dfa->sets, made.sets, made.set_count * sizeof(*dfa->sets));
        }
    }

    weir_pool_free(temp);
    return dfa;
}
