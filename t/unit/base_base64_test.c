#include "core/base/base64.h"

#include "t/unit/base_unit.h"

static bool decode(const char *text, weir_str *bytes)
{
    static weir_pool *pool;

    if (pool != NULL) {
        weir_pool_free(pool);
    }
    pool = weir_pool_new(256, 0);
    assert_non_null(pool);
    return weir_base64_decode(pool, weir_str_from_z(text), bytes);
}

/* The vectors of RFC 4648, 10. */
static void the_examples_of_the_rfc_decode(void **state)
{
    static const char *const vectors[][2] = {
        {"", ""},
        {"Zg==", "f"},
        {"Zm8=", "fo"},
        {"Zm9v", "foo"},
        {"Zm9vYg==", "foob"},
        {"Zm9vYmE=", "fooba"},
        {"Zm9vYmFy", "foobar"},
    };

    (void) state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        weir_str bytes;

        assert_true(decode(vectors[i][0], &bytes));
        assert_int_equal(bytes.len, strlen(vectors[i][1]));
        assert_memory_equal(bytes.data, vectors[i][1], bytes.len);
    }
}

static void all_digits_and_all_bits_count(void **state)
{
    weir_str bytes;

    (void) state;

    assert_true(decode("+/+/AP8A", &bytes));
    assert_int_equal(bytes.len, 6);
    assert_memory_equal(bytes.data, "\xfb\xff\xbf\x00\xff\x00", 6);
}

static void padding_may_be_missing(void **state)
{
    weir_str bytes;

    (void) state;

    assert_true(decode("Zm8", &bytes));
    assert_int_equal(bytes.len, 2);
    assert_true(decode("Zg", &bytes));
    assert_int_equal(bytes.len, 1);
}

static void what_is_not_base64_is_refused(void **state)
{
    static const char *const wrong[] = {"Z",    "Zm9vY", "Zm9v=", "Zg=",   "Z===", "====",
                                        "Zm 9", "Zm9-",  "Zm_v",  "Zm\n9", "=Zm9", "Zg==Zg=="};

    (void) state;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        weir_str bytes = WEIR_STR("untouched");

        assert_false(decode(wrong[i], &bytes));
        assert_int_equal(bytes.len, 9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_rfc_decode),
        cmocka_unit_test(all_digits_and_all_bits_count),
        cmocka_unit_test(padding_may_be_missing),
        cmocka_unit_test(what_is_not_base64_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
