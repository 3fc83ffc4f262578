#include "modules/waf/transform.h"

#include "t/unit/waf_unit.h"

typedef struct {
    const char *name;
    weir_str in, out;
} sample;

#define SAMPLE(name, in, out)                                                                      \
    {                                                                                              \
        (name), WEIR_STR_INIT(in), WEIR_STR_INIT(out)                                              \
    }

static const sample samples[] = {
    SAMPLE("none", "a A", "a A"),
    SAMPLE("base64Decode", "VGVzdA==", "Test"),
    SAMPLE("base64Decode", "VGVz!dA==", "Tes"),
    SAMPLE("base64Decode", "VGVzd", "Tes"),
    SAMPLE("base64Decode", "VG\r\nVz\ndA==", "Test"),
    SAMPLE("base64DecodeExt", "V.G V\0zdA==", "Test"),
    SAMPLE("base64Encode", "Test", "VGVzdA=="),
    SAMPLE("base64Encode", "", ""),
    SAMPLE("cmdLine", "C^o\\m\"'MaNd ,; /C  (x\t\r\n;y", "command/c(x y"),
    SAMPLE("cmdLine", "a ;", "a "),
    SAMPLE("compressWhitespace", "  a \t\n b\v", " a b "),
    SAMPLE("cssDecode", "\\41\\000042 \\ff21x\\00ff41y\\\nz\\q\\", "ABAxayzq"),
    SAMPLE("escapeSeqDecode", "\\a\\x41\\101\\777\\q\\\\\\'\\xg\\", "\aAA\xffq\\'xg\\"),
    SAMPLE("hexDecode", "4142zz4", "\x41\x42\x53"),
    SAMPLE("hexEncode", "\x01\xfe", "01fe"),
    SAMPLE("htmlEntityDecode", "&lt;&LT&#60;&#x3c;&#X0000000000000000000003Cx&nbsp;&ltx;&#;&#x;&",
           "<<<<<x\xa0&ltx;&#;&#x;&"),
    SAMPLE("htmlEntityDecode", "&#0000000000000000000000000000000000065", "A"),
    SAMPLE("jsDecode", "\\u0041\\uff41\\x41\\101\\477\\n\\q\\u00\\",
           "Aa"
           "AA"
           "'7\nqu00\\"),
    SAMPLE("length", "", "0"),
    SAMPLE("length", "twelve bytes", "12"),
    SAMPLE("lowercase", "aBC\xc0", "abc\xc0"),
    SAMPLE("uppercase", "aBc\xe0", "ABC\xe0"),
    SAMPLE("md5", "", "\xd4\x1d\x8c\xd9\x8f\x00\xb2\x04\xe9\x80\x09\x98\xec\xf8\x42\x7e"),
    SAMPLE("sha1", "abc",
           "\xa9\x99\x3e\x36\x47\x06\x81\x6a\xba\x3e\x25\x71\x78\x50\xc2\x6c\x9c\xd0\xd8\x9d"),
    SAMPLE("normalizePath", "/./.././../a//b/c/../.", "/a/b"),
    SAMPLE("normalizePath", "dir/./.././../../foo/bar/../", "../../foo/"),
    SAMPLE("normalizePath", "./", ""),
    SAMPLE("normalisePathWin", "\\\\..\\a/.\\b", "/a/b"),
    SAMPLE("parityEven7bit", "a\x80", "\xe1\x00"),
    SAMPLE("parityOdd7bit", "a\x80", "a\x80"),
    SAMPLE("parityZero7bit", "\xe1z", "az"),
    SAMPLE("removeComments", "a/*b*//*c*/d<!--e-->f", "adf"),
    SAMPLE("removeComments", "a /*b", "a  "),
    SAMPLE("removeComments", "a--b", "a"),
    SAMPLE("removeComments", "/*b*/", "\0"),
    SAMPLE("removeCommentsChar", "/*a*/--b#<!--c-->", "abc"),
    SAMPLE("removeNulls", "a\0b\0", "ab"),
    SAMPLE("removeWhitespace", " a\t\v\f\r\nb\xa0\xc2\xa0", "ab"),
    SAMPLE("replaceComments", "a/*b*/c*/d/*e", "a c*/d "),
    SAMPLE("replaceNulls", "a\0b", "a b"),
    SAMPLE("sqlHexDecode", "0x414243+0X61626 0x4 0xz", "ABC+ab6 0x4 0xz"),
    SAMPLE("trim", " \t a b\n", "a b"),
    SAMPLE("trim", "a b ", "a b"),
    SAMPLE("trimLeft", "  a ", "a "),
    SAMPLE("trimLeft", "a ", "a "),
    SAMPLE("trimRight", " a \v", " a"),
    SAMPLE("trimRight", "  ", ""),
    SAMPLE("urlDecode", "%41+%4%zz%", "A %4%zz%"),
    SAMPLE("urlDecodeUni", "%u0041%uff1c%U1141%u00%41+%0%20", "A<A%u00A %0 "),
    SAMPLE("urlEncode", "aZ0* -\xff", "aZ0*+%2d%ff"),
    SAMPLE("utf8toUnicode", "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xff",
           "a%u00e9%u20ac%u1f600\xff"),
    SAMPLE("utf8toUnicode", "..\xc0\xaf..\xc3", "..%u002f\xc0..\xc3"),
};

static weir_str transformed(weir_pool *pool, const weir_waf_transform *transform, weir_str in,
                            const weir_waf_bytes *present)
{
    weir_str out = WEIR_STR("untouched");
    weir_waf_change change = weir_waf_transform_apply(transform, pool, NULL, present, in, &out);

    assert_int_not_equal(change, WEIR_WAF_NO_MEMORY);
    if (change == WEIR_WAF_SAME) {
        assert_text(out, WEIR_STR("untouched"));
        return in;
    }

    assert_false(weir_str_eq(in, out));
    assert_true(out.len <= weir_waf_transform_bound(transform, in.len));
    return out;
}

static void each_gives_what_the_manual_says(void **state)
{
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const weir_waf_transform *transform =
            weir_waf_transform_find(weir_str_from_z(samples[i].name));

        assert_non_null(transform);
        print_message("%s\n", samples[i].name);
        assert_text(transformed(*state, transform, samples[i].in, NULL), samples[i].out);
    }
}

/* What lacks a trigger is not looked at: then looking must not have changed it either. */
static void a_value_without_a_trigger_stays(void **state)
{
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const weir_waf_transform *transform =
            weir_waf_transform_find(weir_str_from_z(samples[i].name));
        weir_waf_bytes present;

        assert_non_null(transform);
        weir_waf_bytes_of(samples[i].in, &present);
        assert_text(transformed(*state, transform, samples[i].in, &present), samples[i].out);
    }
}

static void a_value_that_stays_costs_no_memory(void **state)
{
    const weir_waf_transform *transform = weir_waf_transform_find(WEIR_STR("urlDecodeUni"));
    size_t used = weir_pool_used(*state);

    assert_text(transformed(*state, transform, WEIR_STR("plain"), NULL), WEIR_STR("plain"));
    assert_int_equal(weir_pool_used(*state), used);
}

static void names_are_found_in_either_case(void **state)
{
    (void) state;

    assert_ptr_equal(weir_waf_transform_find(WEIR_STR("URLDECODEUNI")),
                     weir_waf_transform_find(WEIR_STR("urlDecodeUni")));
    assert_null(weir_waf_transform_find(WEIR_STR("rot13")));
    assert_true(weir_waf_transform_is_none(weir_waf_transform_find(WEIR_STR("none"))));
}

static void a_code_page_says_what_wide_characters_become(void **state)
{
    const weir_waf_unicode_map *map = weir_waf_unicode_map_read(
        *state,
        WEIR_STR("1250  (ANSI)\r\n00a1:21 \r\n\r\n20127 (US-ASCII)\r\n00a0:20 2216:5c x:1 \r\n\r\n"
                 "20261 (T.61)\r\n00a0:7e\r\n"),
        20127);
    weir_str out;

    assert_non_null(map);
    assert_int_equal(weir_waf_transform_apply(weir_waf_transform_find(WEIR_STR("urlDecodeUni")),
                                              *state, map, NULL,
                                              WEIR_STR("%u2216%u00a0%u00a1%uff1c"), &out),
                     WEIR_WAF_CHANGED);
    assert_text(out, WEIR_STR("\\ \xa1<"));
    assert_null(weir_waf_unicode_map_read(*state, WEIR_STR("1250 (ANSI)\n00a1:21\n"), 20127));
}

static void without_memory_there_is_no_result(void **state)
{
    weir_pool *small = weir_pool_new(256, 64);
    char text[256];
    weir_str out = WEIR_STR("untouched");

    (void) state;
    assert_non_null(small);
    memset(text, '+', sizeof(text));
    assert_int_equal(weir_waf_transform_apply(weir_waf_transform_find(WEIR_STR("urlDecode")), small,
                                              NULL, NULL, weir_str_of(text, sizeof(text)), &out),
                     WEIR_WAF_NO_MEMORY);
    assert_text(out, WEIR_STR("untouched"));
    weir_pool_free(small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WAF_TEST(each_gives_what_the_manual_says),
        WAF_TEST(a_value_without_a_trigger_stays),
        WAF_TEST(a_value_that_stays_costs_no_memory),
        WAF_TEST(names_are_found_in_either_case),
        WAF_TEST(a_code_page_says_what_wide_characters_become),
        WAF_TEST(without_memory_there_is_no_result),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
