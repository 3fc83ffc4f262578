/*
 * Sets of byte values: which bytes a text has, and which a transformation or a pattern asks for.
 *
 * Most questions of the WAF about a value are answered by two such sets that have nothing in common.
 */

#ifndef WEIR_WAF_BYTE_SET_H
#define WEIR_WAF_BYTE_SET_H

#include "core/base/str.h"

typedef struct {
    uint64_t bits[4];
} weir_waf_bytes;

static inline bool weir_waf_bytes_has(const weir_waf_bytes *set, uint8_t byte)
{
    return (set->bits[byte >> 6] >> (byte & 63) & 1) != 0;
}

static inline void weir_waf_bytes_add(weir_waf_bytes *set, uint8_t byte)
{
    set->bits[byte >> 6] |= (uint64_t) 1 << (byte & 63);
}

static inline bool weir_waf_bytes_meet(const weir_waf_bytes *a, const weir_waf_bytes *b)
{
    return ((a->bits[0] & b->bits[0]) | (a->bits[1] & b->bits[1]) | (a->bits[2] & b->bits[2])
            | (a->bits[3] & b->bits[3]))
           != 0;
}

static inline bool weir_waf_bytes_are_empty(const weir_waf_bytes *set)
{
    return (set->bits[0] | set->bits[1] | set->bits[2] | set->bits[3]) == 0;
}

/* How many bytes there are in the set. */
unsigned weir_waf_bytes_count(const weir_waf_bytes *set);

/* The bytes that occur in the text. */
void weir_waf_bytes_of(weir_str text, weir_waf_bytes *set);

/* Where the first byte of the set stands at or after `from`; the text's length if there is none. */
size_t weir_waf_bytes_find(const weir_waf_bytes *set, weir_str text, size_t from);

#endif
