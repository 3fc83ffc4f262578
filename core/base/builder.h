#ifndef WEIR_BASE_BUILDER_H
#define WEIR_BASE_BUILDER_H

#include <stdarg.h>
#include <stdint.h>

#include "core/base/pool.h"
#include "core/base/result.h"
#include "core/base/str.h"

/*
 * Builds one string.  The limit is given at open; the first failure (limit or
 * memory) sticks, and one test at close tells.  Members are private.
 */
typedef struct {
    weir_pool *pool; /* NULL: over a fixed buffer */
    char *data;
    size_t len, size, limit;
    bool failed;
} weir_builder;

/* Into memory of the pool, growing as needed up to `limit` bytes. */
void weir_builder_open(weir_builder *builder, weir_pool *pool, size_t limit);

/* Into the caller's buffer. */
void weir_builder_over(weir_builder *builder, char *buffer, size_t size);

/* For what does not fit; weir_builder_add() is the one to call. */
void weir_builder_add_slowly(weir_builder *builder, weir_str text);

/* In line, as heads are made of many short pieces. */
static inline void weir_builder_add(weir_builder *builder, weir_str text)
{
    if (WEIR_LIKELY(text.len <= builder->size - builder->len && text.len != 0)) {
        memcpy(builder->data + builder->len, text.data, text.len);
        builder->len += text.len;
    } else if (text.len != 0) {
        weir_builder_add_slowly(builder, text);
    }
}

static inline void weir_builder_add_byte(weir_builder *builder, char byte)
{
    if (WEIR_LIKELY(builder->len < builder->size)) {
        builder->data[builder->len++] = byte;
    } else {
        weir_builder_add_slowly(builder, weir_str_of(&byte, 1));
    }
}

/* A character of Unicode, up to 0x10ffff, as UTF-8 (RFC 3629, 3). */
void weir_builder_add_utf8(weir_builder *builder, uint32_t point);
void weir_builder_add_uint(weir_builder *builder, uint64_t number);
void weir_builder_add_int(weir_builder *builder, int64_t number);
void weir_builder_add_hex(weir_builder *builder,
                          uint64_t number); /* lower case, no leading zeros */
void weir_builder_add_padded(weir_builder *builder, uint64_t number,
                             unsigned digits); /* leading zeros */
void weir_builder_add_lower(weir_builder *builder, weir_str text);
/* Each byte as two lower-case hexadecimal digits. */
void weir_builder_add_hexdump(weir_builder *builder, weir_str bytes);
void weir_builder_printf(weir_builder *builder, const char *format, ...) WEIR_PRINTF(2, 3);
void weir_builder_vprintf(weir_builder *builder, const char *format, va_list args)
    WEIR_PRINTF(2, 0);

/* Room for `bytes` to be written by the caller and then said with weir_builder_advance(); NULL on failure. */
char *weir_builder_room(weir_builder *builder, size_t bytes);
void weir_builder_advance(weir_builder *builder, size_t bytes);

/* The text so far; valid until the next add. */
weir_str weir_builder_text(const weir_builder *builder);

/* False when anything failed; `text` is then untouched.  It lives as long as the pool or buffer. */
bool weir_builder_close(weir_builder *builder, weir_str *text) WEIR_MUST_USE;

/* For log lines: closes, and gives what fitted. */
weir_str weir_builder_cut(weir_builder *builder);

#endif
