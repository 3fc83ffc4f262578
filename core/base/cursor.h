#ifndef WEIR_BASE_CURSOR_H
#define WEIR_BASE_CURSOR_H

#include "core/base/result.h"
#include "core/base/str.h"

/* Reads a string from the front; every take is checked, and a failed one takes nothing. */
typedef struct {
    const char *at, *end;
} weir_cursor;

static inline weir_cursor weir_cursor_of(weir_str s)
{
    return s.data == NULL ? (weir_cursor){"", ""} : (weir_cursor){s.data, s.data + s.len};
}

static inline size_t weir_cursor_left(const weir_cursor *cursor)
{
    return (size_t) (cursor->end - cursor->at);
}

static inline weir_str weir_cursor_rest(const weir_cursor *cursor)
{
    return weir_str_of(cursor->at, weir_cursor_left(cursor));
}

bool weir_cursor_peek(const weir_cursor *cursor, char *byte) WEIR_MUST_USE;
bool weir_cursor_take_byte(weir_cursor *cursor, char *byte) WEIR_MUST_USE;
bool weir_cursor_take(weir_cursor *cursor, size_t bytes, weir_str *taken) WEIR_MUST_USE;
/* True and past it when the rest begins with `text`. */
bool weir_cursor_skip(weir_cursor *cursor, weir_str text) WEIR_MUST_USE;
/* What comes before `byte`, which is taken too but not part of `taken`. */
bool weir_cursor_take_until(weir_cursor *cursor, char byte, weir_str *taken) WEIR_MUST_USE;
/* Big-endian numbers, as protocols write them. */
bool weir_cursor_take_u8(weir_cursor *cursor, uint8_t *number) WEIR_MUST_USE;
bool weir_cursor_take_u16(weir_cursor *cursor, uint16_t *number) WEIR_MUST_USE;
bool weir_cursor_take_u32(weir_cursor *cursor, uint32_t *number) WEIR_MUST_USE;

#endif
