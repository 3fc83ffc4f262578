#include "modules/waf/byte_set.h"

#include <endian.h>

/* From here on a mark a byte is cheaper than a read and write of a word each. */
#define MARKS_FROM_BYTES 64

unsigned weir_waf_bytes_count(const weir_waf_bytes *set)
{
    unsigned count = 0;

    for (size_t i = 0; i < 4; i++) {
        count += (unsigned) __builtin_popcountll(set->bits[i]);
    }

    return count;
}

/* Eight marks, each 0 or 1, as eight bits: the product has each of them, once, in its highest byte. */
static uint64_t bits_of_marks(uint64_t marks)
{
    return marks * 0x0102040810204080 >> 56;
}

void weir_waf_bytes_of(weir_str text, weir_waf_bytes *set)
{
    const uint8_t *bytes = (const uint8_t *) text.data;
    uint8_t marks[256];
    uint64_t word;
    size_t i = 0;

    *set = (weir_waf_bytes){{0}};
    if (text.len < MARKS_FROM_BYTES) {
        for (; i < text.len; i++) {
            weir_waf_bytes_add(set, bytes[i]);
        }
        return;
    }

    memset(marks, 0, sizeof(marks));
    for (; text.len - i >= sizeof(word); i += sizeof(word)) {
        memcpy(&word, bytes + i, sizeof(word));
        for (size_t k = 0; k < sizeof(word); k++) {
            marks[word >> 8 * k & 0xff] = 1;
        }
    }
    for (; i < text.len; i++) {
        marks[bytes[i]] = 1;
    }
    for (i = 0; i < sizeof(marks); i += sizeof(word)) {
        memcpy(&word, marks + i, sizeof(word));
        set->bits[i >> 6] |= bits_of_marks(le64toh(word)) << (i & 63);
    }
}

size_t weir_waf_bytes_find(const weir_waf_bytes *set, weir_str text, size_t from)
{
    const uint8_t *bytes = (const uint8_t *) text.data;

    for (; from < text.len; from++) {
        if (weir_waf_bytes_has(set, bytes[from])) {
            return from;
        }
    }

    return text.len;
}
