/*
 * The states that texts lead to.  A state is the set of steps that wait for the next byte, before what leads to them for
 * free is followed: that depends on the byte (is it the end, does a word end there).
 */

#include "modules/waf/dfa_internal.h"

#include <stdlib.h>

/* Instead of a state's number. */
#define UNKNOWN UINT16_MAX
#define MATCHES (UINT16_MAX - 1)

/* Steps that may be followed for one text, and more for each of its bytes: PCRE2 takes no longer for them. */
#define STEPS_FREE 50000
#define STEPS_PER_BYTE 16

typedef struct {
    uint32_t first, count;   /* its steps, in `members` */
    uint32_t next_in_bucket; /* 1 + state; 0: none */
    bool after_word, at_start;
} dfa_state;

struct weir_waf_dfa_states {
    const weir_waf_dfa *dfa;
    unsigned width; /* classes, and one for the end */
    uint32_t count, max;
    uint16_t *moves; /* max of width: a state, UNKNOWN or MATCHES */
    dfa_state *states;
    uint32_t *buckets; /* max: 1 + state */
    uint32_t *members;
    uint32_t member_count, member_max;

    /* For the next state: steps that were reached, and those still to follow. */
    uint32_t *seen; /* by step: in which round */
    uint32_t round;
    uint64_t steps_left; /* for this text */
    uint32_t *stack, *waiting, *reached;
};

void weir_waf_dfa_states_free(weir_waf_dfa_states *states)
{
    if (states == NULL) {
        return;
    }

    free(states->moves);
    free(states->states);
    free(states->buckets);
    free(states->members);
    free(states->seen);
    free(states->stack);
    free(states->waiting);
    free(states->reached);
    free(states);
}

static void states_clear(weir_waf_dfa_states *s)
{
    s->count = 0;
    s->member_count = 0;
    memset(s->buckets, 0, s->max * sizeof(*s->buckets));
}

/* Half of the memory is for moves, half for what states are made of. */
weir_waf_dfa_states *weir_waf_dfa_states_new(const weir_waf_dfa *dfa)
{
    weir_waf_dfa_states *s = calloc(1, sizeof(*s));
    size_t steps = dfa->step_count;

    if (s == NULL) {
        return NULL;
    }

    s->dfa = dfa;
    s->width = dfa->class_count + 1;
    s->max = (uint32_t) (WEIR_WAF_DFA_BYTES / 2 / (s->width * sizeof(*s->moves)));
    if (s->max >= MATCHES) {
        s->max = MATCHES - 1;
    }
    s->member_max = (uint32_t) (WEIR_WAF_DFA_BYTES / 2 / sizeof(*s->members) + steps);
    s->moves = calloc((size_t) s->max * s->width, sizeof(*s->moves));
    s->states = calloc(s->max, sizeof(*s->states));
    s->buckets = calloc(s->max, sizeof(*s->buckets));
    s->members = calloc(s->member_max, sizeof(*s->members));
    s->seen = calloc(steps, sizeof(*s->seen));
    s->stack = calloc(steps + 1, sizeof(*s->stack));
    s->waiting = calloc(steps, sizeof(*s->waiting));
    s->reached = calloc(steps + 1, sizeof(*s->reached));
    if (s->moves == NULL || s->states == NULL || s->buckets == NULL || s->members == NULL
        || s->seen == NULL || s->stack == NULL || s->waiting == NULL || s->reached == NULL) {
        weir_waf_dfa_states_free(s);
        return NULL;
    }

    return s;
}

/* ---- sets of steps */

static int step_order(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *) a, right = *(const uint32_t *) b;

    return left < right ? -1 : left > right;
}

static uint32_t hash_of(const uint32_t *steps, size_t count, unsigned flags)
{
    uint32_t hash = 2166136261u ^ flags;

    for (size_t i = 0; i < count; i++) {
        hash = (hash ^ steps[i]) * 16777619u;
    }

    return hash ^ hash >> 15;
}

/* The state of these steps, which are in order; UNKNOWN: there is no room for it. */
static uint16_t state_of(weir_waf_dfa_states *s, const uint32_t *steps, uint32_t count,
                         bool after_word, bool at_start)
{
    uint32_t *bucket =
        &s->buckets[hash_of(steps, count, (unsigned) after_word | (unsigned) at_start << 1)
                    % s->max];
    dfa_state *state;

    for (uint32_t i = *bucket; i != 0; i = s->states[i - 1].next_in_bucket) {
        state = &s->states[i - 1];
        if (state->count == count && state->after_word == after_word && state->at_start == at_start
            && (count == 0
                || memcmp(s->members + state->first, steps, count * sizeof(*steps)) == 0)) {
            return (uint16_t) (i - 1);
        }
    }
    if (s->count == s->max || count > s->member_max - s->member_count) {
        return UNKNOWN;
    }

    state = &s->states[s->count];
    *state = (dfa_state){.first = s->member_count,
                         .count = count,
                         .next_in_bucket = *bucket,
                         .after_word = after_word,
                         .at_start = at_start};
    if (count > 0) {
        memcpy(s->members + s->member_count, steps, count * sizeof(*steps));
    }
    s->member_count += count;
    memset(s->moves + (size_t) s->count * s->width, 0xff, s->width * sizeof(*s->moves));
    *bucket = ++s->count;
    return (uint16_t) (s->count - 1);
}

static uint16_t state_begin(weir_waf_dfa_states *s)
{
    return state_of(s, &s->dfa->first, 1, false, true);
}

/* ---- moves */

static bool holds(const dfa_step *step, const dfa_state *state, int byte)
{
    bool before = state->after_word, after = byte >= 0 && dfa_is_word((unsigned) byte);

    return step->check == WEIR_WAF_PATTERN_START  ? state->at_start
           : step->check == WEIR_WAF_PATTERN_END  ? byte < 0
           : step->check == WEIR_WAF_PATTERN_EDGE ? before != after
                                                  : before == after;
}

static void round_begin(weir_waf_dfa_states *s)
{
    if (++s->round == 0) {
        memset(s->seen, 0, s->dfa->step_count * sizeof(*s->seen));
        s->round = 1;
    }
}

/* A step is followed once a round. */
static void follow(weir_waf_dfa_states *s, uint32_t step, size_t *depth)
{
    if (s->seen[step] != s->round) {
        s->seen[step] = s->round;
        s->steps_left -= s->steps_left > 0 ? 1 : 0;
        s->stack[(*depth)++] = step;
    }
}

/* From the state's steps to those that wait for a byte; true: there is a match. */
static bool follow_all(weir_waf_dfa_states *s, const dfa_state *state, int byte, size_t *waiting)
{
    size_t depth = 0;

    round_begin(s);
    *waiting = 0;
    for (uint32_t i = 0; i < state->count; i++) {
        follow(s, s->members[state->first + i], &depth);
    }

    while (depth > 0) {
        uint32_t at = s->stack[--depth];
        const dfa_step *step = &s->dfa->steps[at];

        switch (step->kind) {
        case DFA_MATCH:
            return true;
        case DFA_SPLIT:
            follow(s, step->next, &depth);
            follow(s, step->other, &depth);
            break;
        case DFA_CHECK:
            if (holds(step, state, byte)) {
                follow(s, step->next, &depth);
            }
            break;
        case DFA_BYTES:
            s->waiting[(*waiting)++] = at;
            break;
        }
    }

    return false;
}

/* Where a state leads with a byte, or at the end (-1). */
static uint16_t move_make(weir_waf_dfa_states *s, uint16_t from, int byte)
{
    const dfa_state state = s->states[from];
    size_t waiting;
    uint32_t count = 0;

    if (follow_all(s, &state, byte, &waiting)) {
        return MATCHES;
    }
    if (byte < 0) {
        return from; /* the end, and none */
    }

    /* A match may begin behind each byte. */
    round_begin(s);
    s->seen[s->dfa->first] = s->round;
    s->reached[count++] = s->dfa->first;
    for (size_t i = 0; i < waiting; i++) {
        const dfa_step *step = &s->dfa->steps[s->waiting[i]];

        if (weir_waf_bytes_has(&s->dfa->sets[step->set], (uint8_t) byte)
            && s->seen[step->next] != s->round) {
            s->seen[step->next] = s->round;
            s->reached[count++] = step->next;
        }
    }

    qsort(s->reached, count, sizeof(*s->reached), step_order);
    return state_of(s, s->reached, count, dfa_is_word((unsigned) byte), false);
}

/* A move that is not made yet, or ends the walk. */
static uint16_t move_get(weir_waf_dfa_states *s, uint16_t state, unsigned class, int byte)
{
    uint16_t *move = s->moves + (size_t) state * s->width + class;

    if (*move == UNKNOWN && s->steps_left > 0) {
        *move = move_make(s, state, byte);
    }
    return *move;
}

/* From the front on; UNKNOWN: memory or steps are used up. */
static uint16_t walk(weir_waf_dfa_states *s, weir_str text)
{
    const uint8_t *bytes = (const uint8_t *) text.data;
    const uint8_t *class_of = s->dfa->class_of;
    const uint16_t *moves = s->moves;
    size_t width = s->width;
    uint16_t state = state_begin(s);

    for (size_t i = 0; i < text.len; i++) {
        uint16_t next = moves[state * width + class_of[bytes[i]]];

        if (WEIR_UNLIKELY(next >= MATCHES)) {
            next = move_get(s, state, class_of[bytes[i]], bytes[i]);
            if (next >= MATCHES) {
                return next;
            }
        }
        state = next;
    }
    return move_get(s, state, s->dfa->class_count, -1);
}

bool weir_waf_dfa_may_match(weir_waf_dfa_states *s, weir_str text, uint64_t *work)
{
    uint64_t steps = STEPS_FREE + text.len * STEPS_PER_BYTE;
    uint16_t end;

    s->steps_left = steps;
    end = walk(s, text);
    if (end == UNKNOWN && s->steps_left > 0) {
        /* Memory is full of states, most of which other texts needed: once more without them. */
        states_clear(s);
        end = walk(s, text);
    }

    *work += text.len + (steps - s->steps_left) / 4;
    if (end == UNKNOWN && s->steps_left > 0) {
        states_clear(s);
    }
    return end >= MATCHES;
}
