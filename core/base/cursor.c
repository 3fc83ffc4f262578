#include "core/base/cursor.h"

bool weir_cursor_peek(const weir_cursor *cursor, char *byte)
{
    if (cursor->at == cursor->end) {
        return false;
    }

    *byte = *cursor->at;
    return true;
}

bool weir_cursor_take_byte(weir_cursor *cursor, char *byte)
{
    if (!weir_cursor_peek(cursor, byte)) {
        return false;
    }

    cursor->at++;
    return true;
}

bool weir_cursor_take(weir_cursor *cursor, size_t bytes, weir_str *taken)
{
    if (bytes > weir_cursor_left(cursor)) {
        return false;
    }

    *taken = weir_str_of(cursor->at, bytes);
    cursor->at += bytes;
    return true;
}

bool weir_cursor_skip(weir_cursor *cursor, weir_str text)
{
    if (!weir_str_starts(weir_cursor_rest(cursor), text)) {
        return false;
    }

    cursor->at += text.len;
    return true;
}

bool weir_cursor_take_until(weir_cursor *cursor, char byte, weir_str *taken)
{
    const char *found = weir_str_find_byte(weir_cursor_rest(cursor), byte);

    if (found == NULL) {
        return false;
    }

    *taken = weir_str_of(cursor->at, (size_t) (found - cursor->at));
    cursor->at = found + 1;
    return true;
}

static bool cursor_take_number(weir_cursor *cursor, size_t bytes, uint32_t *number)
{
    weir_str taken;

    if (!weir_cursor_take(cursor, bytes, &taken)) {
        return false;
    }

    *number = 0;
    for (size_t i = 0; i < bytes; i++) {
        *number = *number << 8 | (unsigned char) taken.data[i];
    }

    return true;
}

bool weir_cursor_take_u8(weir_cursor *cursor, uint8_t *number)
{
    uint32_t taken;

    if (!cursor_take_number(cursor, 1, &taken)) {
        return false;
    }

    *number = (uint8_t) taken;
    return true;
}

bool weir_cursor_take_u16(weir_cursor *cursor, uint16_t *number)
{
    uint32_t taken;

    if (!cursor_take_number(cursor, 2, &taken)) {
        return false;
    }

    *number = (uint16_t) taken;
    return true;
}

bool weir_cursor_take_u32(weir_cursor *cursor, uint32_t *number)
{
    return cursor_take_number(cursor, 4, number);
}
