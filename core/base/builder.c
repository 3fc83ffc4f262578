#include "core/base/builder.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/bytes_internal.h"

#define BUILDER_FIRST 128 /* bytes of the first allocation, if the limit allows */

static void builder_trim(weir_builder *builder)
{
    if (builder->pool != NULL && builder->data != NULL) {
        weir_pool_trim(builder->pool, builder->data, builder->size, builder->len);
    }

    builder->size = builder->len;
}

/* Without room left, whatever is added later comes to builder_grow(), which refuses. */
static void builder_fail(weir_builder *builder)
{
    builder_trim(builder);
    builder->failed = true;
}

/* Room for `bytes` more, which there is not now; false and failed when it cannot be. */
static bool builder_grow(weir_builder *builder, size_t bytes)
{
    size_t size = builder->size < BUILDER_FIRST / 2 ? BUILDER_FIRST : builder->size * 2;
    char *grown;

    if (builder->failed) {
        return false;
    }

    if (builder->pool == NULL || bytes > builder->limit - builder->len) {
        builder_fail(builder);
        return false;
    }

    if (size < builder->len + bytes) {
        size = builder->len + bytes;
    }

    if (size > builder->limit) {
        size = builder->limit;
    }

    grown = builder->data == NULL
                ? weir_pool_bytes(builder->pool, size)
                : weir_pool_grow(builder->pool, builder->data, builder->size, size);
    if (grown == NULL) {
        builder_fail(builder);
        return false;
    }

    builder->data = grown;
    builder->size = size;
    return true;
}

static inline bool builder_has(const weir_builder *builder, size_t bytes)
{
    return WEIR_LIKELY(bytes <= builder->size - builder->len);
}

/* What weir_builder_cut() gives after a failure: all that comes before what did not fit. */
static void builder_add_what_fits(weir_builder *builder, weir_str text)
{
    size_t fits = builder->limit - builder->len;

    if (builder->failed || fits == 0) {
        builder_fail(builder);
        return;
    }

    if (builder_has(builder, fits) || builder_grow(builder, fits)) {
        memcpy(builder->data + builder->len, text.data, fits);
        builder->len += fits;
        builder_fail(builder);
    }
}

void weir_builder_open(weir_builder *builder, weir_pool *pool, size_t limit)
{
    *builder = (weir_builder){.pool = pool, .limit = limit};
}

void weir_builder_over(weir_builder *builder, char *buffer, size_t size)
{
    *builder = (weir_builder){.data = buffer, .size = size, .limit = size};
}

void weir_builder_add_slowly(weir_builder *builder, weir_str text)
{
    if (builder->failed || text.len > builder->limit - builder->len) {
        builder_add_what_fits(builder, text);
        return;
    }

    if (builder_has(builder, text.len) || builder_grow(builder, text.len)) {
        memcpy(builder->data + builder->len, text.data, text.len);
        builder->len += text.len;
    }
}

#define BUILDER_DIGITS 20 /* of 2^64 - 1 */

static void builder_add_digits(weir_builder *builder, uint64_t number, unsigned base,
                               unsigned least)
{
    char digits[BUILDER_DIGITS];
    size_t at = sizeof(digits);

    do {
        digits[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);

    for (size_t have = sizeof(digits) - at; have < least; have++) {
        weir_builder_add_byte(builder, '0');
    }

    weir_builder_add(builder, weir_str_of(digits + at, sizeof(digits) - at));
}

void weir_builder_add_utf8(weir_builder *builder, uint32_t point)
{
    if (point < 0x80) {
        weir_builder_add_byte(builder, (char) point);
    } else if (point < 0x800) {
        weir_builder_add_byte(builder, (char) (0xc0 | point >> 6));
        weir_builder_add_byte(builder, (char) (0x80 | (point & 0x3f)));
    } else if (point < 0x10000) {
        weir_builder_add_byte(builder, (char) (0xe0 | point >> 12));
        weir_builder_add_byte(builder, (char) (0x80 | (point >> 6 & 0x3f)));
        weir_builder_add_byte(builder, (char) (0x80 | (point & 0x3f)));
    } else {
        weir_builder_add_byte(builder, (char) (0xf0 | point >> 18));
        weir_builder_add_byte(builder, (char) (0x80 | (point >> 12 & 0x3f)));
        weir_builder_add_byte(builder, (char) (0x80 | (point >> 6 & 0x3f)));
        weir_builder_add_byte(builder, (char) (0x80 | (point & 0x3f)));
    }
}

void weir_builder_add_uint(weir_builder *builder, uint64_t number)
{
    builder_add_digits(builder, number, 10, 1);
}

void weir_builder_add_int(weir_builder *builder, int64_t number)
{
    if (number < 0) {
        weir_builder_add_byte(builder, '-');
        builder_add_digits(builder, -(uint64_t) number, 10, 1);
        return;
    }

    builder_add_digits(builder, (uint64_t) number, 10, 1);
}

void weir_builder_add_hex(weir_builder *builder, uint64_t number)
{
    builder_add_digits(builder, number, 16, 1);
}

void weir_builder_add_padded(weir_builder *builder, uint64_t number, unsigned digits)
{
    builder_add_digits(builder, number, 10, digits);
}

void weir_builder_add_lower(weir_builder *builder, weir_str text)
{
    size_t from = builder->len;

    weir_builder_add(builder, text);

    for (; builder->len - from >= 8; from += 8) {
        uint64_t word = bytes_lower8(bytes_load8(builder->data + from));

        memcpy(builder->data + from, &word, sizeof(word));
    }
    for (; from < builder->len; from++) {
        builder->data[from] = weir_byte_lower(builder->data[from]);
    }
}

void weir_builder_add_hexdump(weir_builder *builder, weir_str bytes)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < bytes.len && !builder->failed; i++) {
        unsigned char byte = (unsigned char) bytes.data[i];

        weir_builder_add_byte(builder, digits[byte >> 4]);
        weir_builder_add_byte(builder, digits[byte & 15]);
    }
}

void weir_builder_printf(weir_builder *builder, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    weir_builder_vprintf(builder, format, args);
    va_end(args);
}

/*
 * vsnprintf() needs a byte for its NUL, which may be one more than the limit
 * allows: what is longer than the buffer here is printed apart.
 */
void weir_builder_vprintf(weir_builder *builder, const char *format, va_list args)
{
    char buffer[512];
    char *printed = buffer;
    va_list again;
    int len;

    va_copy(again, args);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it does not see what va_start() set. */
    len = vsnprintf(buffer, sizeof(buffer), format, again);

    if (len >= (int) sizeof(buffer)) {
        printed = malloc((size_t) len + 1);
        if (printed != NULL) {
            len = vsnprintf(printed, (size_t) len + 1, format, args);
        }
    }

    if (len < 0 || printed == NULL) {
        builder_fail(builder);
    } else {
        weir_builder_add(builder, weir_str_of(printed, (size_t) len));
    }

    if (printed != buffer) {
        free(printed);
    }
    va_end(again);
}

char *weir_builder_room(weir_builder *builder, size_t bytes)
{
    if ((builder->data == NULL || !builder_has(builder, bytes)) && !builder_grow(builder, bytes)) {
        return NULL;
    }

    return builder->failed ? NULL : builder->data + builder->len;
}

void weir_builder_advance(weir_builder *builder, size_t bytes)
{
    if (bytes > builder->size - builder->len) {
        builder_fail(builder);
        return;
    }

    builder->len += bytes;
}

weir_str weir_builder_text(const weir_builder *builder)
{
    return builder->len == 0 ? WEIR_STR_EMPTY : weir_str_of(builder->data, builder->len);
}

bool weir_builder_close(weir_builder *builder, weir_str *text)
{
    builder_trim(builder);

    if (builder->failed) {
        return false;
    }

    *text = weir_builder_text(builder);
    return true;
}

weir_str weir_builder_cut(weir_builder *builder)
{
    builder_trim(builder);
    return weir_builder_text(builder);
}
