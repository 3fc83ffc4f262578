#include "t/unit/base_unit.h"

#include <stdio.h>
#include <stdlib.h>

static void a_literal_keeps_its_nuls(void **state)
{
    (void) state;

    assert_int_equal(WEIR_STR("a\0b").len, 3);
    assert_false(weir_str_eq(WEIR_STR("a\0b"), WEIR_STR("a\0c")));
}

static void a_null_pointer_is_the_empty_string(void **state)
{
    const weir_str null = {NULL, 0};

    (void) state;

    assert_true(weir_str_is_empty(null));
    assert_true(weir_str_is_empty(weir_str_from_z(NULL)));
    assert_true(weir_str_eq(null, WEIR_STR("")));
    assert_true(weir_str_eq_nocase(null, WEIR_STR("")));
    assert_true(weir_str_starts(null, null));
    assert_int_equal(weir_str_compare(null, WEIR_STR("")), 0);
    assert_null(weir_str_find_byte(null, 'a'));
    assert_null(weir_str_find(null, WEIR_STR("a")));
    assert_str(weir_str_slice(null, 1, 2), "");
    assert_str(weir_str_trim(null), "");
    assert_true(weir_str_hash(null) == weir_str_hash(WEIR_STR("")));
}

static void equality_is_of_bytes(void **state)
{
    (void) state;

    assert_true(weir_str_eq(weir_str_from_z("weir"), WEIR_STR("weir")));
    assert_false(weir_str_eq(WEIR_STR("weir"), WEIR_STR("Weir")));
    assert_false(weir_str_eq(WEIR_STR("weir"), WEIR_STR("weirs")));
}

/* Every byte against every other, at every place of strings of every length up to three words. */
static void nocase_makes_ascii_letters_equal_and_nothing_else(void **state)
{
    char a[24], b[24];

    (void) state;
    memset(a, 'x', sizeof(a));
    memset(b, 'X', sizeof(b));

    for (size_t len = 1; len <= sizeof(a); len++) {
        for (unsigned one = 0; one < 256; one++) {
            for (unsigned other = 0; other < 256; other++) {
                size_t at = (one + other) % len;
                bool equal = weir_byte_lower((char) one) == weir_byte_lower((char) other);

                a[at] = (char) one;
                b[at] = (char) other;
                if (weir_str_eq_nocase(weir_str_of(a, len), weir_str_of(b, len)) != equal) {
                    fail_msg("%u and %u at %zu of %zu", one, other, at, len);
                }
                a[at] = 'x';
                b[at] = 'X';
            }
        }
    }

    assert_false(weir_str_eq_nocase(WEIR_STR("host"), WEIR_STR("hosts")));
}

static void nocase_sees_a_difference_at_each_place(void **state)
{
    char a[40], b[40];

    (void) state;
    memset(a, 'q', sizeof(a));
    memset(b, 'q', sizeof(b));

    for (size_t len = 1; len <= sizeof(a); len++) {
        for (size_t at = 0; at < len; at++) {
            b[at] = 'r';
            assert_false(weir_str_eq_nocase(weir_str_of(a, len), weir_str_of(b, len)));
            b[at] = 'Q';
            assert_true(weir_str_eq_nocase(weir_str_of(a, len), weir_str_of(b, len)));
            b[at] = 'q';
        }
    }
}

static void knows_beginnings_and_ends(void **state)
{
    const weir_str s = WEIR_STR("text/HTML");

    (void) state;

    assert_true(weir_str_starts(s, WEIR_STR("text/")));
    assert_true(weir_str_starts(s, s));
    assert_true(weir_str_starts(s, WEIR_STR("")));
    assert_false(weir_str_starts(s, WEIR_STR("Text/")));
    assert_false(weir_str_starts(s, WEIR_STR("text/HTML5")));
    assert_true(weir_str_starts_nocase(s, WEIR_STR("TEXT/html")));
    assert_false(weir_str_starts_nocase(s, WEIR_STR("TEXT/xml")));
    assert_true(weir_str_ends(s, WEIR_STR("HTML")));
    assert_true(weir_str_ends(s, WEIR_STR("")));
    assert_false(weir_str_ends(s, WEIR_STR("html")));
    assert_false(weir_str_ends(s, WEIR_STR("a text/HTML")));
}

static void orders_by_bytes_and_prefixes_first(void **state)
{
    (void) state;

    assert_int_equal(weir_str_compare(WEIR_STR("b"), WEIR_STR("b")), 0);
    assert_true(weir_str_compare(WEIR_STR("a"), WEIR_STR("b")) < 0);
    assert_true(weir_str_compare(WEIR_STR("a"), WEIR_STR("aa")) < 0);
    assert_true(weir_str_compare(WEIR_STR("aa"), WEIR_STR("a")) > 0);
    assert_true(weir_str_compare(WEIR_STR("\xff"), WEIR_STR("a")) > 0);
}

static void finds_the_first_occurrence(void **state)
{
    const weir_str s = WEIR_STR("a=b\0=c");

    (void) state;

    assert_ptr_equal(weir_str_find_byte(s, '='), s.data + 1);
    assert_ptr_equal(weir_str_find_byte(s, '\0'), s.data + 3);
    assert_null(weir_str_find_byte(s, 'd'));
    assert_ptr_equal(weir_str_find(s, WEIR_STR("\0=c")), s.data + 3);
    assert_ptr_equal(weir_str_find(s, WEIR_STR("")), s.data);
    assert_null(weir_str_find(s, WEIR_STR("=d")));
    assert_null(weir_str_find(s, WEIR_STR("a=b\0=cc")));
}

static void slices_end_where_the_string_ends(void **state)
{
    const weir_str s = WEIR_STR("abcdef");

    (void) state;

    assert_str(weir_str_slice(s, 1, 3), "bc");
    assert_str(weir_str_slice(s, 4, 100), "ef");
    assert_str(weir_str_slice(s, 100, 200), "");
    assert_str(weir_str_slice(s, 3, 1), "");
    assert_str(weir_str_from(s, 4), "ef");
    assert_str(weir_str_from(s, 7), "");
}

static void trims_spaces_and_tabs_alone(void **state)
{
    (void) state;

    assert_str(weir_str_trim(WEIR_STR(" \t a b\t ")), "a b");
    assert_str(weir_str_trim(WEIR_STR("\na\r")), "\na\r");
    assert_str(weir_str_trim(WEIR_STR(" \t")), "");
}

static void splits_at_each_separator(void **state)
{
    weir_str rest = WEIR_STR("a,,bc"), part;

    (void) state;

    assert_true(weir_str_split(&rest, ',', &part));
    assert_str(part, "a");
    assert_true(weir_str_split(&rest, ',', &part));
    assert_str(part, "");
    assert_true(weir_str_split(&rest, ',', &part));
    assert_str(part, "bc");
    assert_false(weir_str_split(&rest, ',', &part));

    rest = WEIR_STR("a,");
    assert_true(weir_str_split(&rest, ',', &part));
    assert_false(weir_str_split(&rest, ',', &part));
}

static void copies_live_in_the_pool(void **state)
{
    char text[] = "A Text";
    weir_str copy, lower;

    assert_true(weir_str_copy(*state, weir_str_from_z(text), &copy));
    assert_true(weir_str_lower(*state, weir_str_from_z(text), &lower));
    memset(text, 'x', sizeof(text) - 1);
    assert_str(copy, "A Text");
    assert_str(lower, "a text");

    assert_true(weir_str_copy(*state, weir_str_of(NULL, 0), &copy));
    assert_str(copy, "");
    assert_true(weir_str_lower(*state, weir_str_of(NULL, 0), &lower));
    assert_str(lower, "");
}

static void a_string_for_a_system_call_holds_no_nul(void **state)
{
    assert_string_equal(weir_str_z(*state, weir_str_of("/etc/passwd", 4)), "/etc");
    assert_string_equal(weir_str_z(*state, weir_str_of(NULL, 0)), "");
    assert_null(weir_str_z(*state, WEIR_STR("/etc\0/passwd")));
}

static bool copy_thrice(weir_pool *pool)
{
    weir_str copy = WEIR_STR("untouched"), lower = copy;

    if (!weir_str_copy(pool, WEIR_STR("some text"), &copy)) {
        assert_str(copy, "untouched");
        return false;
    }

    if (!weir_str_lower(pool, WEIR_STR("some text"), &lower)) {
        assert_str(lower, "untouched");
        return false;
    }

    return weir_str_z(pool, copy) != NULL;
}

static void copies_fail_when_the_pool_is_used_up(void **state)
{
    (void) state;
    assert_int_equal(unit_fail_each_allocation(copy_thrice), 9 + 9 + 10 - 1);
}

static void the_hash_of_either_case_is_one(void **state)
{
    const char text[] = "X-Forwarded-For: A [Z] @ {z} \xc0\xe0";
    weir_str lower;

    for (size_t len = 0; len < sizeof(text); len++) {
        weir_str s = weir_str_of(text, len);

        assert_true(weir_str_lower(*state, s, &lower));
        assert_true(weir_str_hash_nocase(s) == weir_str_hash(lower));
    }
}

static int order_hashes(const void *a, const void *b)
{
    const uint64_t *one = a, *other = b;

    return (*one > *other) - (*one < *other);
}

/* Birthday bound: 65536 hashes of 32 bits would collide once in two times, of 64 bits never. */
static void hashes_spread(void **state)
{
    enum { count = 65536, buckets = 256 };
    uint64_t *hashes = malloc(count * sizeof(uint64_t));
    unsigned low[buckets] = {0}, high[buckets] = {0};

    (void) state;
    assert_non_null(hashes);

    for (unsigned i = 0; i < count; i++) {
        char text[16];
        int len = snprintf(text, sizeof(text), "%u", i);

        hashes[i] = weir_str_hash(weir_str_of(text, (size_t) len));
        low[hashes[i] % buckets]++;
        high[hashes[i] >> 56]++;
    }

    qsort(hashes, count, sizeof(uint64_t), order_hashes);
    for (unsigned i = 1; i < count; i++) {
        assert_true(hashes[i - 1] != hashes[i]);
    }

    /* 256 expected, standard deviation 16. */
    for (unsigned i = 0; i < buckets; i++) {
        assert_in_range(low[i], 256 - 6 * 16, 256 + 6 * 16);
        assert_in_range(high[i], 256 - 6 * 16, 256 + 6 * 16);
    }

    free(hashes);
}

static void hashes_tell_lengths_of_zeros_apart(void **state)
{
    const char zeros[40] = {0};

    (void) state;

    for (size_t a = 0; a < sizeof(zeros); a++) {
        for (size_t b = 0; b < a; b++) {
            assert_true(weir_str_hash(weir_str_of(zeros, a))
                        != weir_str_hash(weir_str_of(zeros, b)));
        }
    }
}

static void slices_go_along_with_what_has_moved(void **state)
{
    const char from[] = "abcdef", to[] = "abcdef";
    weir_str first = weir_str_of(from, 2), last = weir_str_of(from + 5, 1);
    weir_str behind = weir_str_of(from + 6, 0), other = WEIR_STR("other");
    const char *stays = other.data;

    (void) state;
    weir_str_move(&first, from, 6, to);
    weir_str_move(&last, from, 6, to);
    weir_str_move(&behind, from, 6, to);
    weir_str_move(&other, from, 6, to);
    assert_ptr_equal(first.data, to);
    assert_ptr_equal(last.data, to + 5);
    assert_ptr_equal(behind.data, from + 6);
    assert_ptr_equal(other.data, stays);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_literal_keeps_its_nuls),
        cmocka_unit_test(a_null_pointer_is_the_empty_string),
        cmocka_unit_test(equality_is_of_bytes),
        cmocka_unit_test(nocase_makes_ascii_letters_equal_and_nothing_else),
        cmocka_unit_test(nocase_sees_a_difference_at_each_place),
        cmocka_unit_test(knows_beginnings_and_ends),
        cmocka_unit_test(orders_by_bytes_and_prefixes_first),
        cmocka_unit_test(finds_the_first_occurrence),
        cmocka_unit_test(slices_end_where_the_string_ends),
        cmocka_unit_test(trims_spaces_and_tabs_alone),
        cmocka_unit_test(splits_at_each_separator),
        unit_test_with_pool(copies_live_in_the_pool),
        unit_test_with_pool(a_string_for_a_system_call_holds_no_nul),
        cmocka_unit_test(copies_fail_when_the_pool_is_used_up),
        unit_test_with_pool(the_hash_of_either_case_is_one),
        cmocka_unit_test(hashes_spread),
        cmocka_unit_test(hashes_tell_lengths_of_zeros_apart),
        cmocka_unit_test(slices_go_along_with_what_has_moved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
