#ifndef WEIR_WAF_DFA_INTERNAL_H
#define WEIR_WAF_DFA_INTERNAL_H

#include "modules/waf/dfa.h"
#include "modules/waf/pattern.h"

#define DFA_STEPS_MAX 12000 /* of a pattern, its repeats written out */

/* A step of the nondeterministic automaton (Thompson, 1968). */
typedef enum {
    DFA_BYTES, /* a byte of the set, then `next` */
    DFA_SPLIT, /* `next` and `other` */
    DFA_CHECK, /* what `check` says must hold, then `next` */
    DFA_MATCH,
} dfa_step_kind;

typedef struct {
    dfa_step_kind kind;
    weir_waf_pattern_kind check; /* START, END, EDGE, NO_EDGE */
    uint32_t next, other;
    uint32_t set; /* its number */
} dfa_step;

struct weir_waf_dfa {
    dfa_step *steps;
    uint32_t step_count, first;
    weir_waf_bytes *sets;
    uint32_t set_count;
    uint8_t class_of[256]; /* bytes that no set tells apart */
    unsigned class_count;
};

static inline bool dfa_is_word(unsigned byte)
{
    return (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z')
           || byte == '_';
}

#endif
