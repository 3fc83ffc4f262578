#ifndef WEIR_BASE_STR_H
#define WEIR_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * A string: bytes by pointer and length, passed by value and always borrowed.
 * No NUL is assumed after it, and NULs inside it are kept.  The empty string
 * may have a NULL pointer.
 */
typedef struct {
    const char *data;
    size_t len;
} weir_str;

typedef struct weir_pool weir_pool;

/* A literal, as an expression and as an initialiser of static tables. */
#define WEIR_STR(literal) ((weir_str){("" literal), sizeof(literal) - 1})
#define WEIR_STR_INIT(literal)                                                                     \
    {                                                                                              \
        ("" literal), sizeof(literal) - 1                                                          \
    }
#define WEIR_STR_EMPTY ((weir_str){"", 0})

/* For printf's "%.*s"; a string over INT_MAX is cut. */
#define WEIR_STR_ARG(s)                                                                            \
    ((s).len > 0x7fffffff ? 0x7fffffff : (int) (s).len), ((s).len ? (s).data : "")

static inline weir_str weir_str_of(const char *data, size_t len)
{
    return (weir_str){data, len};
}

/* The bytes of a NUL-terminated string; NULL gives the empty string. */
static inline weir_str weir_str_from_z(const char *z)
{
    return z == NULL ? WEIR_STR_EMPTY : weir_str_of(z, strlen(z));
}

static inline bool weir_str_is_empty(weir_str s)
{
    return s.len == 0;
}

static inline bool weir_str_eq(weir_str a, weir_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* The same for ASCII letters of either case. */
bool weir_str_eq_nocase(weir_str a, weir_str b);

bool weir_str_starts(weir_str s, weir_str prefix);
bool weir_str_starts_nocase(weir_str s, weir_str prefix);
bool weir_str_ends(weir_str s, weir_str suffix);

/* Order by bytes; a prefix comes before what it begins. */
int weir_str_compare(weir_str a, weir_str b);

/* The first occurrence, or NULL. */
const char *weir_str_find_byte(weir_str s, char byte);
const char *weir_str_find(weir_str s, weir_str needle);

/* The bytes from `from` on, and up to `to`; positions past the end are the end. */
weir_str weir_str_from(weir_str s, size_t from);
weir_str weir_str_slice(weir_str s, size_t from, size_t to);
/* `len` bytes lie at `to` now, not at `from`: a slice of them goes along, another stays. */
void weir_str_move(weir_str *s, const char *from, size_t len, const char *to);

/* Without spaces and tabs at both ends (OWS, RFC 9110, 5.6.3). */
weir_str weir_str_trim(weir_str s);

/*
 * Takes what comes before `separator` off the front of `rest`; without one,
 * all of it.  Returns false once `rest` is used up.
 */
bool weir_str_split(weir_str *rest, char separator, weir_str *part);

/* Copies that live as long as the pool; false when it is used up. */
bool weir_str_copy(weir_pool *pool, weir_str s, weir_str *copy) __attribute__((warn_unused_result));
bool weir_str_lower(weir_pool *pool, weir_str s, weir_str *copy)
    __attribute__((warn_unused_result));

/* A NUL-terminated copy for a system call; NULL when the pool is used up or `s` holds a NUL. */
const char *weir_str_z(weir_pool *pool, weir_str s);

/* 64 bits of a keyless hash of good spread; not against chosen keys, for which see map.h. */
uint64_t weir_str_hash(weir_str s);
uint64_t weir_str_hash_nocase(weir_str s);

static inline char weir_byte_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char) (c | 0x20) : c;
}

/* The value of a hexadecimal digit, in either case; -1: it is none. */
static inline int weir_byte_hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = weir_byte_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif
