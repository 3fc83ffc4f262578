/* Conversion between encodings: tables in both directions, and texts cut anywhere. */

#include "t/unit/base_unit.h"

#include "core/base/number.h"
#include "modules/http/charset/charset_map.h"

typedef struct {
    const char *byte, *like;
} row;

static const row utf8_rows[] = {
    {"80", "C3A9"}, {"C0", "D18E"}, {"c1", "e282ac"}, {"A", "C28A"}, {"FF", "EFBFBD"},
};
static const row byte_rows[] = {
    {"C0", "FE"},
    {"C1", "E0"},
    {"C2", "E0"},
    {"42", "43"},
};

static bool add(weir_charset_map *map, const char *byte, const char *like, size_t *wrong)
{
    weir_str pair[2] = {weir_str_from_z(byte), weir_str_from_z(like)};

    return weir_charset_map_add(map, pair, wrong);
}

static weir_charset_map *map_of(weir_pool *pool, const char *to, const row *rows, size_t count)
{
    weir_charset_map *map = weir_charset_map_new(pool, WEIR_STR("koi8-r"), weir_str_from_z(to));
    size_t wrong;

    assert_non_null(map);
    for (size_t i = 0; i < count; i++) {
        assert_true(add(map, rows[i].byte, rows[i].like, &wrong));
    }
    return map;
}

/* Of `text` in two pieces, with `room` bytes at a time. */
static weir_str converted(weir_charset_conversion conversion, weir_str text, size_t cut,
                          size_t room, char *out)
{
    weir_str pieces[2] = {weir_str_slice(text, 0, cut), weir_str_from(text, cut)};
    size_t len = 0;

    for (size_t i = 0; i < 2; i++) {
        while (pieces[i].len != 0) {
            size_t made = weir_charset_convert(&conversion, &pieces[i], out + len, room);

            assert_true(made <= room);
            len += made;
        }
    }
    if (weir_charset_is_cut(&conversion)) {
        out[len++] = '?';
    }
    return weir_str_of(out, len);
}

/* Wherever it is cut, and however little room there is. */
static void assert_converts(const weir_charset_map *map, const char *from, const char *to,
                            weir_str text, weir_str expected)
{
    weir_charset_conversion conversion;
    char out[1024];

    assert_true(weir_charset_map_is_between(map, weir_str_from_z(from), weir_str_from_z(to)));
    weir_charset_conversion_begin(&conversion, map, weir_str_from_z(from));
    for (size_t cut = 0; cut <= text.len; cut++) {
        for (size_t room = WEIR_CHARSET_ROOM; room < 2 * WEIR_CHARSET_ROOM; room++) {
            assert_str_eq(converted(conversion, text, cut, room, out), expected);
        }
    }
}

static void one_table_serves_both_directions(void **state)
{
    const weir_charset_map *map = map_of(*state, "windows-1251", byte_rows, 4);

    assert_converts(map, "koi8-r", "Windows-1251",
                    WEIR_STR("a\xc0\xc1\xc2\xc3"
                             "ABC"),
                    WEIR_STR("a\xfe\xe0\xe0?ACC"));
    assert_converts(map, "WINDOWS-1251", "KOI8-R",
                    WEIR_STR("a\xfe\xe0\xe1"
                             "ABC"),
                    WEIR_STR("a\xc0\xc2?ABB"));
}

static void a_byte_becomes_a_character_of_utf_8(void **state)
{
    assert_converts(map_of(*state, "UTF-8", utf8_rows, 5), "koi8-r", "utf-8",
                    WEIR_STR("a\x80\xc0\xc1\xc2\xff\n\0"),
                    WEIR_STR("a\xc3\xa9\xd1\x8e\xe2\x82\xac?\xef\xbf\xbd\xc2\x8a\0"));
}

static void a_character_becomes_a_byte_or_its_number(void **state)
{
    assert_converts(map_of(*state, "utf-8", utf8_rows, 5), "utf-8", "koi8-r",
                    WEIR_STR("a\xc3\xa9\xd1\x8e\xe2\x82\xac\xc3\xaa\xe4\xb8\xad\xf0\x9f\x98\x80"
                             "\xf4\x8f\xbf\xbf\xef\xbf\xbd\xc2\x8a\n\0"),
                    WEIR_STR("a\x80\xc0\xc1&#234;&#20013;&#128512;&#1114111;\xff\n\n\0"));
}

/* Each part that might have begun a character, and each byte that could not, is one "?". */
static void what_is_no_utf_8_swallows_nothing(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"\x80x", "?x"},
        {"\xc0\xafx", "??x"},
        {"\xc1\xbfx", "??x"},
        {"\xd1x", "?x"},
        {"\xd1\xd1\x8ex", "?\xc0x"},
        {"\xe2\x82x", "?x"},
        {"\xe0\x9f\xbfx", "???x"},
        {"\xed\xa0\x80x", "???x"},
        {"\xf0\x9f\x98x", "?x"},
        {"\xf0\x8f\xbf\xbfx", "????x"},
        {"\xf4\x90\x80\x80x", "????x"},
        {"\xf5\x80x", "??x"},
        {"\xff\xfex", "??x"},
        {"a\xf0\x9f\x98", "a?"},
        {"a\xd1", "a?"},
    };
    const weir_charset_map *map = map_of(*state, "utf-8", utf8_rows, 5);

    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        assert_converts(map, "utf-8", "koi8-r", weir_str_from_z(cases[i].text),
                        weir_str_from_z(cases[i].expected));
    }
}

static void a_row_takes_what_is_a_number_there(void **state)
{
    static const struct {
        const char *byte, *like;
        size_t wrong;
    } cases[] = {
        {"", "D18E", 0},     {"100", "D18E", 0},  {"zz", "D18E", 0},     {"0xC0", "D18E", 0},
        {"C0", "", 1},       {"C0", "41", 1},     {"C0", "FF", 1},       {"C0", "D1", 1},
        {"C0", "D18E2", 1},  {"C0", "D1418E", 1}, {"C0", "D18ED1", 1},   {"C0", "C080", 1},
        {"C0", "E08080", 1}, {"C0", "EDA080", 1}, {"C0", "F09F9880", 1}, {"C0", "zz", 1},
        {"C0", "8080", 1},
    };
    weir_charset_map *map = map_of(*state, "utf-8", utf8_rows, 5);
    weir_charset_map *bytes = map_of(*state, "windows-1251", byte_rows, 4);
    size_t wrong;

    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        assert_false(add(map, cases[i].byte, cases[i].like, &wrong));
        assert_int_equal(wrong, cases[i].wrong);
    }
    assert_false(add(bytes, "C0", "100", &wrong));
    assert_int_equal(wrong, 1);
}

static void is_known_by_both_names(void **state)
{
    const weir_charset_map *map = map_of(*state, "utf-8", utf8_rows, 5);

    assert_true(weir_charset_map_is_between(map, WEIR_STR("UTF-8"), WEIR_STR("KOI8-R")));
    assert_false(weir_charset_map_is_between(map, WEIR_STR("utf-8"), WEIR_STR("utf-8")));
    assert_false(weir_charset_map_is_between(map, WEIR_STR("koi8-r"), WEIR_STR("windows-1251")));
}

static void tells_what_stays(void **state)
{
    const weir_charset_map *bytes = map_of(*state, "windows-1251", byte_rows, 4);
    const weir_charset_map *plain = map_of(*state, "windows-1251", byte_rows, 3);
    const weir_charset_map *utf8 = map_of(*state, "utf-8", utf8_rows, 5);
    weir_str win = WEIR_STR("windows-1251"), utf = WEIR_STR("utf-8");
    weir_charset_conversion conversion;

    weir_charset_conversion_begin(&conversion, plain, win);
    assert_true(weir_charset_keeps_length(&conversion) && weir_charset_keeps_ascii(&conversion));
    weir_charset_conversion_begin(&conversion, bytes, win);
    assert_true(weir_charset_keeps_length(&conversion) && !weir_charset_keeps_ascii(&conversion));
    weir_charset_conversion_begin(&conversion, utf8, utf);
    assert_true(!weir_charset_keeps_length(&conversion) && weir_charset_keeps_ascii(&conversion));
}

static bool make(weir_pool *pool)
{
    weir_charset_map *map = weir_charset_map_new(pool, WEIR_STR("koi8-r"), WEIR_STR("utf-8"));
    size_t wrong;

    if (map == NULL) {
        return false;
    }
    if (!add(map, "C0", "D18E", &wrong)) {
        assert_int_equal(wrong, 2);
        return false;
    }
    return true;
}

static void survives_want_of_memory(void **state)
{
    (void) state;
    assert_true(unit_fail_each_allocation(make) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_with_pool(one_table_serves_both_directions),
        unit_test_with_pool(a_byte_becomes_a_character_of_utf_8),
        unit_test_with_pool(a_character_becomes_a_byte_or_its_number),
        unit_test_with_pool(what_is_no_utf_8_swallows_nothing),
        unit_test_with_pool(a_row_takes_what_is_a_number_there),
        unit_test_with_pool(is_known_by_both_names),
        unit_test_with_pool(tells_what_stays),
        cmocka_unit_test(survives_want_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
