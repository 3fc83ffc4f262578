#include "core/base/str.h"

#include "core/base/bytes_internal.h"
#include "core/base/pool.h"

/* Most words that are compared are the same to begin with. */
static bool words_eq_nocase(uint64_t a, uint64_t b)
{
    return a == b || bytes_lower8(a) == bytes_lower8(b);
}

bool weir_str_eq_nocase(weir_str a, weir_str b)
{
    if (a.len != b.len) {
        return false;
    }

    if (a.len < 8) {
        return words_eq_nocase(bytes_load_short(a.data, a.len), bytes_load_short(b.data, b.len));
    }

    for (size_t i = 0; i < a.len - 8; i += 8) {
        if (!words_eq_nocase(bytes_load8(a.data + i), bytes_load8(b.data + i))) {
            return false;
        }
    }

    /* The last word may overlap the one before: no tail to treat apart. */
    return words_eq_nocase(bytes_load8(a.data + a.len - 8), bytes_load8(b.data + b.len - 8));
}

bool weir_str_starts(weir_str s, weir_str prefix)
{
    return s.len >= prefix.len && weir_str_eq(weir_str_slice(s, 0, prefix.len), prefix);
}

bool weir_str_starts_nocase(weir_str s, weir_str prefix)
{
    return s.len >= prefix.len && weir_str_eq_nocase(weir_str_slice(s, 0, prefix.len), prefix);
}

bool weir_str_ends(weir_str s, weir_str suffix)
{
    return s.len >= suffix.len && weir_str_eq(weir_str_from(s, s.len - suffix.len), suffix);
}

int weir_str_compare(weir_str a, weir_str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

const char *weir_str_find_byte(weir_str s, char byte)
{
    return s.len == 0 ? NULL : memchr(s.data, byte, s.len);
}

const char *weir_str_find(weir_str s, weir_str needle)
{
    if (needle.len == 0) {
        return s.data == NULL ? "" : s.data;
    }

    return s.len == 0 ? NULL : memmem(s.data, s.len, needle.data, needle.len);
}

weir_str weir_str_from(weir_str s, size_t from)
{
    return weir_str_slice(s, from, s.len);
}

weir_str weir_str_slice(weir_str s, size_t from, size_t to)
{
    if (s.data == NULL) {
        return WEIR_STR_EMPTY;
    }

    if (to > s.len) {
        to = s.len;
    }

    if (from > to) {
        from = to;
    }

    return weir_str_of(s.data + from, to - from);
}

static bool str_is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

void weir_str_move(weir_str *s, const char *from, size_t len, const char *to)
{
    uintptr_t at = (uintptr_t) s->data;

    if (at >= (uintptr_t) from && at < (uintptr_t) from + len) {
        s->data = to + (at - (uintptr_t) from);
    }
}

weir_str weir_str_trim(weir_str s)
{
    while (s.len != 0 && str_is_blank(s.data[0])) {
        s.data++;
        s.len--;
    }

    while (s.len != 0 && str_is_blank(s.data[s.len - 1])) {
        s.len--;
    }

    return s;
}

bool weir_str_split(weir_str *rest, char separator, weir_str *part)
{
    const char *found;

    if (rest->len == 0) {
        return false;
    }

    found = weir_str_find_byte(*rest, separator);
    if (found == NULL) {
        *part = *rest;
        *rest = weir_str_from(*rest, rest->len);
        return true;
    }

    *part = weir_str_of(rest->data, (size_t) (found - rest->data));
    *rest = weir_str_from(*rest, part->len + 1);
    return true;
}

bool weir_str_copy(weir_pool *pool, weir_str s, weir_str *copy)
{
    char *data;

    if (s.len == 0) {
        *copy = WEIR_STR_EMPTY;
        return true;
    }

    data = weir_pool_bytes(pool, s.len);
    if (data == NULL) {
        return false;
    }

    memcpy(data, s.data, s.len);
    *copy = weir_str_of(data, s.len);
    return true;
}

bool weir_str_lower(weir_pool *pool, weir_str s, weir_str *copy)
{
    char *data;

    if (s.len == 0) {
        *copy = WEIR_STR_EMPTY;
        return true;
    }

    data = weir_pool_bytes(pool, s.len);
    if (data == NULL) {
        return false;
    }

    for (size_t i = 0; i < s.len; i++) {
        data[i] = weir_byte_lower(s.data[i]);
    }

    *copy = weir_str_of(data, s.len);
    return true;
}

const char *weir_str_z(weir_pool *pool, weir_str s)
{
    char *z;

    if (s.len == SIZE_MAX || weir_str_find_byte(s, '\0') != NULL) {
        return NULL;
    }

    z = weir_pool_bytes(pool, s.len + 1);
    if (z == NULL) {
        return NULL;
    }

    if (s.len != 0) {
        memcpy(z, s.data, s.len);
    }
    z[s.len] = '\0';

    return z;
}

/*
 * The hash takes a word in by xor, multiplication with an odd number and a
 * shift that brings the good upper bits down.  Each of the three can be undone,
 * so that strings of equal length which differ in one word never collide.
 */
#define STR_HASH_FACTOR 0x9e3779b97f4a7c15 /* 2^64 over the golden ratio */

static inline uint64_t str_hash_mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * STR_HASH_FACTOR;
    return hash ^ hash >> 32;
}

/* Always inline: else the compilers may keep the call of `fold` for every word. */
static inline __attribute__((always_inline)) uint64_t
str_hash_words(weir_str s, uint64_t (*fold)(uint64_t word))
{
    uint64_t hash = str_hash_mix(STR_HASH_FACTOR, s.len);

    if (s.len < 8) {
        hash = str_hash_mix(hash, fold(bytes_load_short(s.data, s.len)));
    } else {
        for (size_t i = 0; i < s.len - 8; i += 8) {
            hash = str_hash_mix(hash, fold(bytes_load8(s.data + i)));
        }

        hash = str_hash_mix(hash, fold(bytes_load8(s.data + s.len - 8)));
    }

    return str_hash_mix(hash, 0);
}

static inline uint64_t str_as_is(uint64_t word)
{
    return word;
}

uint64_t weir_str_hash(weir_str s)
{
    return str_hash_words(s, str_as_is);
}

uint64_t weir_str_hash_nocase(weir_str s)
{
    return str_hash_words(s, bytes_lower8);
}
