/* The table of transformations, and what is common to all: memory, bounds, whether anything changed. */

#include "modules/waf/transform_internal.h"

#include "core/base/number.h"

#define BOUND_EXTRA 20 /* a digest, or a length, of an empty value */

struct weir_waf_transform {
    weir_str name;
    weir_waf_transform_write *write; /* NULL: changes nothing */
    weir_waf_bytes triggers;
    unsigned
        growth; /* bytes that come out at most for each that goes in; BOUND_EXTRA more in all */
};

#define ALL_BYTES                                                                                  \
    {                                                                                              \
        {                                                                                          \
            UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX                                         \
        }                                                                                          \
    }
#define LOW(byte) ((uint64_t) 1 << (byte))         /* of the first word: below 64 */
#define HIGH(byte) ((uint64_t) 1 << ((byte) -64))  /* of the second */
#define TOP(byte) ((uint64_t) 1 << ((byte) -128))  /* of the third */
#define LAST(byte) ((uint64_t) 1 << ((byte) -192)) /* of the fourth */
#define SPACES (LOW('\t') | LOW('\n') | LOW('\v') | LOW('\f') | LOW('\r') | LOW(' '))
#define LETTERS ((uint64_t) 0x03ffffff << 1) /* of one case, from '@' or '`' on */
#define DIGITS ((uint64_t) 0x3ff << '0')

static const weir_waf_transform transforms[] = {
    {WEIR_STR_INIT("base64Decode"), weir_waf_base64_decode, ALL_BYTES, 1},
    {WEIR_STR_INIT("base64DecodeExt"), weir_waf_base64_decode_ext, ALL_BYTES, 1},
    {WEIR_STR_INIT("base64Encode"), weir_waf_base64_encode, ALL_BYTES, 2},
    {WEIR_STR_INIT("cmdLine"),
     weir_waf_command_line,
     {{LOW('"') | LOW('\'') | LOW(',') | LOW(';') | SPACES, HIGH('\\') | HIGH('^') | LETTERS, 0,
       0}},
     1},
    {WEIR_STR_INIT("compressWhitespace"), weir_waf_compress_whitespace, {{SPACES, 0, 0, 0}}, 1},
    {WEIR_STR_INIT("cssDecode"), weir_waf_css_decode, {{0, HIGH('\\'), 0, 0}}, 1},
    {WEIR_STR_INIT("escapeSeqDecode"), weir_waf_escape_seq_decode, {{0, HIGH('\\'), 0, 0}}, 1},
    {WEIR_STR_INIT("hexDecode"), weir_waf_hex_decode, ALL_BYTES, 1},
    {WEIR_STR_INIT("hexEncode"), weir_waf_hex_encode, ALL_BYTES, 2},
    {WEIR_STR_INIT("htmlEntityDecode"), weir_waf_html_entity_decode, {{LOW('&'), 0, 0, 0}}, 1},
    {WEIR_STR_INIT("jsDecode"), weir_waf_js_decode, {{0, HIGH('\\'), 0, 0}}, 1},
    {WEIR_STR_INIT("length"), weir_waf_length, ALL_BYTES, 1},
    {WEIR_STR_INIT("lowercase"), weir_waf_lowercase, {{0, LETTERS, 0, 0}}, 1},
    {WEIR_STR_INIT("md5"), weir_waf_md5, ALL_BYTES, 1},
    {WEIR_STR_INIT("none"), NULL, {{0}}, 1},
    {WEIR_STR_INIT("normalisePath"), weir_waf_normalize_path, {{LOW('/') | LOW('.'), 0, 0, 0}}, 1},
    {WEIR_STR_INIT("normalisePathWin"),
     weir_waf_normalize_path_win,
     {{LOW('/') | LOW('.'), HIGH('\\'), 0, 0}},
     1},
    {WEIR_STR_INIT("normalizePath"), weir_waf_normalize_path, {{LOW('/') | LOW('.'), 0, 0, 0}}, 1},
    {WEIR_STR_INIT("normalizePathWin"),
     weir_waf_normalize_path_win,
     {{LOW('/') | LOW('.'), HIGH('\\'), 0, 0}},
     1},
    {WEIR_STR_INIT("parityEven7bit"), weir_waf_parity_even, ALL_BYTES, 1},
    {WEIR_STR_INIT("parityOdd7bit"), weir_waf_parity_odd, ALL_BYTES, 1},
    {WEIR_STR_INIT("parityZero7bit"), weir_waf_parity_zero, {{0, 0, UINT64_MAX, UINT64_MAX}}, 1},
    {WEIR_STR_INIT("removeComments"),
     weir_waf_remove_comments,
     {{LOW('/') | LOW('<') | LOW('-') | LOW('#'), 0, 0, 0}},
     1},
    {WEIR_STR_INIT("removeCommentsChar"),
     weir_waf_remove_comments_char,
     {{LOW('/') | LOW('*') | LOW('<') | LOW('-') | LOW('#'), 0, 0, 0}},
     1},
    {WEIR_STR_INIT("removeNulls"), weir_waf_remove_nulls, {{1, 0, 0, 0}}, 1},
    {WEIR_STR_INIT("removeWhitespace"),
     weir_waf_remove_whitespace,
     {{SPACES, 0, TOP(0xa0), LAST(0xc2)}},
     1},
    {WEIR_STR_INIT("replaceComments"), weir_waf_replace_comments, {{LOW('/'), 0, 0, 0}}, 1},
    {WEIR_STR_INIT("replaceNulls"), weir_waf_replace_nulls, {{1, 0, 0, 0}}, 1},
    {WEIR_STR_INIT("sha1"), weir_waf_sha1, ALL_BYTES, 1},
    {WEIR_STR_INIT("sqlHexDecode"), weir_waf_sql_hex_decode, {{LOW('0'), 0, 0, 0}}, 1},
    {WEIR_STR_INIT("trim"), weir_waf_trim, {{SPACES, 0, 0, 0}}, 1},
    {WEIR_STR_INIT("trimLeft"), weir_waf_trim_left, {{SPACES, 0, 0, 0}}, 1},
    {WEIR_STR_INIT("trimRight"), weir_waf_trim_right, {{SPACES, 0, 0, 0}}, 1},
    {WEIR_STR_INIT("uppercase"), weir_waf_uppercase, {{0, LETTERS << 32, 0, 0}}, 1},
    {WEIR_STR_INIT("urlDecode"), weir_waf_url_decode, {{LOW('%') | LOW('+'), 0, 0, 0}}, 1},
    {WEIR_STR_INIT("urlDecodeUni"), weir_waf_url_decode_uni, {{LOW('%') | LOW('+'), 0, 0, 0}}, 1},
    {WEIR_STR_INIT("urlEncode"),
     weir_waf_url_encode,
     {{~(DIGITS | LOW('*')), ~(LETTERS | LETTERS << 32), UINT64_MAX, UINT64_MAX}},
     3},
    {WEIR_STR_INIT("utf8toUnicode"), weir_waf_utf8_to_unicode, {{0, 0, 0, UINT64_MAX}}, 4},
};

const weir_waf_transform *weir_waf_transform_find(weir_str name)
{
    for (size_t i = 0; i < WEIR_COUNT(transforms); i++) {
        if (weir_str_eq_nocase(transforms[i].name, name)) {
            return &transforms[i];
        }
    }

    return NULL;
}

bool weir_waf_transform_is_none(const weir_waf_transform *transform)
{
    return transform->write == NULL;
}

const weir_waf_bytes *weir_waf_transform_triggers(const weir_waf_transform *transform)
{
    return &transform->triggers;
}

bool weir_waf_transform_is_case(const weir_waf_transform *transform)
{
    return transform->write == weir_waf_lowercase || transform->write == weir_waf_uppercase;
}

void weir_waf_transform_case_of_bytes(const weir_waf_transform *transform, weir_waf_bytes *bytes)
{
    static const uint64_t upper = 0x07fffffe, lower = upper << 32; /* of the second word */
    uint64_t *word = &bytes->bits[1];

    if (transform->write == weir_waf_lowercase) {
        *word = (*word & ~upper) | (*word & upper) << 32;
    } else {
        *word = (*word & ~lower) | (*word & lower) >> 32;
    }
}

bool weir_waf_transform_takes_away(const weir_waf_transform *transform)
{
    return transform->write == weir_waf_remove_whitespace
           || transform->write == weir_waf_remove_nulls;
}

static bool always_changes(const weir_waf_transform *transform)
{
    static const weir_waf_bytes all = ALL_BYTES;

    return memcmp(&transform->triggers, &all, sizeof(all)) == 0;
}

size_t weir_waf_transform_bound(const weir_waf_transform *transform, size_t bytes)
{
    size_t bound;

    if (!weir_mul_size(bytes, transform->growth, &bound)
        || !weir_add_size(bound, BOUND_EXTRA, &bound)) {
        return SIZE_MAX;
    }

    return bound;
}

weir_waf_change weir_waf_transform_apply(const weir_waf_transform *transform, weir_pool *pool,
                                         const weir_waf_unicode_map *map,
                                         const weir_waf_bytes *present, weir_str in, weir_str *out)
{
    size_t from = 0, bound;
    weir_builder builder;
    weir_str result;
    char *room;

    if (transform->write == NULL) {
        return WEIR_WAF_SAME;
    }

    if (!always_changes(transform)) {
        if (present != NULL && !weir_waf_bytes_meet(present, &transform->triggers)) {
            return WEIR_WAF_SAME;
        }
        from = weir_waf_bytes_find(&transform->triggers, in, 0);
        if (from == in.len) {
            return WEIR_WAF_SAME;
        }
    }

    bound = weir_waf_transform_bound(transform, in.len);
    room = bound == SIZE_MAX ? NULL : weir_pool_bytes(pool, bound);
    if (room == NULL) {
        return WEIR_WAF_NO_MEMORY;
    }

    weir_builder_over(&builder, room, bound);
    weir_builder_add(&builder, weir_str_slice(in, 0, from));
    transform->write(map, in, from, &builder);
    if (!weir_builder_close(&builder, &result)) {
        weir_pool_trim(pool, room, bound, 0);
        return WEIR_WAF_NO_MEMORY;
    }

    if (weir_str_eq(result, in)) {
        weir_pool_trim(pool, room, bound, 0);
        return WEIR_WAF_SAME;
    }

    weir_pool_trim(pool, room, bound, result.len);
    *out = result;
    return WEIR_WAF_CHANGED;
}

/* ---- digits */

int weir_waf_hex_digit(int byte)
{
    return byte < 0 ? -1 : weir_byte_hex((char) byte);
}

bool weir_waf_has_hex(weir_str s, size_t at, size_t count)
{
    if (at > s.len || s.len - at < count) {
        return false;
    }

    for (size_t i = at; i < at + count; i++) {
        if (weir_waf_hex_digit((uint8_t) s.data[i]) < 0) {
            return false;
        }
    }

    return true;
}

uint32_t weir_waf_hex_value(weir_str s, size_t at, size_t count)
{
    uint32_t value = 0;

    for (size_t i = at; i < at + count; i++) {
        value = value << 4 | (uint32_t) weir_waf_hex_digit((uint8_t) s.data[i]);
    }

    return value;
}

/* ---- SecUnicodeMapFile */

/* One line of pairs into the map; what is no pair ends it. */
static void map_read_pairs(weir_waf_unicode_map *map, weir_str line)
{
    weir_str pair, point;
    uint64_t from, to;

    while (weir_str_split(&line, ' ', &pair)) {
        pair = weir_str_trim(pair);
        if (!weir_str_split(&pair, ':', &point) || !weir_parse_hex(point, 0xffff, &from)
            || !weir_parse_hex(pair, 0xff, &to)) {
            continue;
        }
        map->bytes[from] = (int16_t) to;
    }
}

/* "20127 (US-ASCII)" */
static bool map_is_head_of(weir_str line, unsigned code_page)
{
    weir_str word;
    uint64_t number;

    return weir_str_split(&line, ' ', &word) && weir_parse_uint(word, UINT32_MAX, &number)
           && number == code_page;
}

const weir_waf_unicode_map *weir_waf_unicode_map_read(weir_pool *pool, weir_str text,
                                                      unsigned code_page)
{
    weir_waf_unicode_map *map = NULL;
    weir_str line;

    while (weir_str_split(&text, '\n', &line)) {
        if (weir_str_ends(line, WEIR_STR("\r"))) {
            line.len--;
        }

        if (map != NULL) {
            if (weir_str_is_empty(line) || weir_str_find_byte(line, '(') != NULL) {
                break;
            }
            map_read_pairs(map, line);
        } else if (map_is_head_of(line, code_page)) {
            map = weir_pool_alloc(pool, sizeof(*map));
            if (map == NULL) {
                return NULL;
            }
            memset(map->bytes, 0xff, sizeof(map->bytes));
        }
    }

    return map;
}
