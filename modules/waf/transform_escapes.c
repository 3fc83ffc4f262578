/* htmlEntityDecode, jsDecode, cssDecode, escapeSeqDecode, sqlHexDecode. */

#include "modules/waf/transform_internal.h"

#define CSS_DIGITS_MAX 6

/* ---- htmlEntityDecode */

static const struct {
    weir_str name;
    char byte;
} entities[] = {
    {WEIR_STR_INIT("quot"), '"'}, {WEIR_STR_INIT("amp"), '&'},     {WEIR_STR_INIT("lt"), '<'},
    {WEIR_STR_INIT("gt"), '>'},   {WEIR_STR_INIT("nbsp"), '\xa0'},
};

/* Takes the digits at `at`, any number of them; false if there is none.  The low byte counts. */
static bool entity_number(weir_str in, size_t *at, bool is_hex, char *byte)
{
    size_t start = *at;
    uint32_t value = 0;
    int digit;

    for (; *at < in.len; (*at)++) {
        digit = weir_waf_hex_digit((uint8_t) in.data[*at]);
        if (digit < 0 || (!is_hex && digit > 9)) {
            break;
        }
        value = value * (is_hex ? 16 : 10) + (uint32_t) digit;
    }

    *byte = (char) (uint8_t) value;
    return *at != start;
}

/* The word at `at` as a whole: "&ltx" is none. */
static bool entity_name(weir_str in, size_t *at, char *byte)
{
    size_t end = *at;

    while (end < in.len && weir_waf_is_alnum((uint8_t) in.data[end])) {
        end++;
    }

    for (size_t i = 0; i < WEIR_COUNT(entities); i++) {
        if (weir_str_eq_nocase(entities[i].name, weir_str_slice(in, *at, end))) {
            *byte = entities[i].byte;
            *at = end;
            return true;
        }
    }

    return false;
}

/* The entity that begins with the '&' at `*at`; false leaves `*at`. */
static bool entity_take(weir_str in, size_t *at, char *byte)
{
    size_t end = *at + 1;
    bool is_taken;

    if (weir_waf_byte_at(in, end) != '#') {
        is_taken = entity_name(in, &end, byte);
    } else if ((weir_waf_byte_at(in, end + 1) | 0x20) == 'x') {
        end += 2;
        is_taken = entity_number(in, &end, true, byte);
    } else {
        end += 1;
        is_taken = entity_number(in, &end, false, byte);
    }

    if (!is_taken) {
        return false;
    }

    *at = end + (weir_waf_byte_at(in, end) == ';' ? 1 : 0);
    return true;
}

void weir_waf_html_entity_decode(const weir_waf_unicode_map *map, weir_str in, size_t from,
                                 weir_builder *out)
{
    char byte;

    (void) map;

    while (from < in.len) {
        if (in.data[from] == '&' && entity_take(in, &from, &byte)) {
            weir_builder_add_byte(out, byte);
        } else {
            weir_builder_add_byte(out, in.data[from++]);
        }
    }
}

/* ---- backslashes */

/* What a letter after a backslash means in C and JavaScript; 0: nothing. */
static char control_of(int letter)
{
    switch (letter) {
    case 'a':
        return '\a';
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'v':
        return '\v';
    default:
        return 0;
    }
}

/* How many octal digits stand at `at`, up to `max`; their value. */
static size_t octal_take(weir_str in, size_t at, size_t max, unsigned *value)
{
    size_t count = 0;

    *value = 0;
    while (count < max && weir_waf_byte_at(in, at + count) >= '0'
           && weir_waf_byte_at(in, at + count) <= '7') {
        *value = *value * 8 + (unsigned) (in.data[at + count] - '0');
        count++;
    }

    return count;
}

/* Above 0377 the third digit is text (jsDecode's "\477" is "\47" and "7"). */
static size_t octal_of_a_byte(weir_str in, size_t at, unsigned *value)
{
    size_t count = octal_take(in, at, 3, value);

    if (*value > 0xff) {
        *value >>= 3;
        count--;
    }

    return count;
}

void weir_waf_js_decode(const weir_waf_unicode_map *map, weir_str in, size_t from,
                        weir_builder *out)
{
    unsigned value;
    size_t digits;

    (void) map;

    while (from < in.len) {
        int next = weir_waf_byte_at(in, from + 1);

        if (in.data[from] != '\\' || next < 0) {
            weir_builder_add_byte(out, in.data[from++]);
        } else if (next == 'u' && weir_waf_has_hex(in, from + 2, 4)) {
            weir_builder_add_byte(out, weir_waf_narrow(weir_waf_hex_value(in, from + 2, 4)));
            from += 6;
        } else if (next == 'x' && weir_waf_has_hex(in, from + 2, 2)) {
            weir_builder_add_byte(out, (char) weir_waf_hex_value(in, from + 2, 2));
            from += 4;
        } else if ((digits = octal_of_a_byte(in, from + 1, &value)) > 0) {
            weir_builder_add_byte(out, (char) value);
            from += 1 + digits;
        } else {
            weir_builder_add_byte(out, control_of(next) != 0 ? control_of(next) : (char) next);
            from += 2;
        }
    }
}

void weir_waf_escape_seq_decode(const weir_waf_unicode_map *map, weir_str in, size_t from,
                                weir_builder *out)
{
    unsigned value;
    size_t digits;

    (void) map;

    while (from < in.len) {
        int next = weir_waf_byte_at(in, from + 1);

        if (in.data[from] != '\\' || next < 0) {
            weir_builder_add_byte(out, in.data[from++]);
        } else if ((next | 0x20) == 'x' && weir_waf_has_hex(in, from + 2, 2)) {
            weir_builder_add_byte(out, (char) weir_waf_hex_value(in, from + 2, 2));
            from += 4;
        } else if ((digits = octal_take(in, from + 1, 3, &value)) > 0) {
            weir_builder_add_byte(out, (char) (uint8_t) value);
            from += 1 + digits;
        } else {
            weir_builder_add_byte(out, control_of(next) != 0 ? control_of(next) : (char) next);
            from += 2;
        }
    }
}

/* "\" and up to six digits: the low byte, or the ASCII of a fullwidth form. */
static char css_byte(weir_str in, size_t at, size_t digits)
{
    uint32_t value = weir_waf_hex_value(in, at, digits);

    return digits >= 4 ? weir_waf_narrow(value) : (char) (uint8_t) value;
}

void weir_waf_css_decode(const weir_waf_unicode_map *map, weir_str in, size_t from,
                         weir_builder *out)
{
    (void) map;

    while (from < in.len) {
        int next = weir_waf_byte_at(in, from + 1);
        size_t digits = 0;

        if (in.data[from] != '\\') {
            weir_builder_add_byte(out, in.data[from++]);
            continue;
        }

        while (digits < CSS_DIGITS_MAX
               && weir_waf_hex_digit(weir_waf_byte_at(in, from + 1 + digits)) >= 0) {
            digits++;
        }

        if (digits > 0) {
            weir_builder_add_byte(out, css_byte(in, from + 1, digits));
            from += 1 + digits;
            from += weir_waf_is_space(weir_waf_byte_at(in, from)) ? 1 : 0;
        } else {
            /* A backslash before a line's end, or at the end, is nothing. */
            if (next >= 0 && next != '\n') {
                weir_builder_add_byte(out, (char) next);
            }
            from += next >= 0 ? 2 : 1;
            /* A NUL ends as its number would, "\0 ". */
            from += next == '\0' && weir_waf_is_space(weir_waf_byte_at(in, from)) ? 1 : 0;
        }
    }
}

/* ---- sqlHexDecode */

void weir_waf_sql_hex_decode(const weir_waf_unicode_map *map, weir_str in, size_t from,
                             weir_builder *out)
{
    (void) map;

    while (from < in.len) {
        if (in.data[from] != '0' || (weir_waf_byte_at(in, from + 1) | 0x20) != 'x'
            || !weir_waf_has_hex(in, from + 2, 2)) {
            weir_builder_add_byte(out, in.data[from++]);
            continue;
        }

        for (from += 2; weir_waf_has_hex(in, from, 2); from += 2) {
            weir_builder_add_byte(out, (char) weir_waf_hex_value(in, from, 2));
        }
    }
}
