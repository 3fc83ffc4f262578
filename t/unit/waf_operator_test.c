#include "modules/waf/operator.h"

#include <stdlib.h>
#include <unistd.h>

#include "t/unit/waf_unit.h"

static const weir_waf_operator *compiled(weir_pool *pool, const char *name, weir_str parameter)
{
    weir_waf_operator_build build = {.pool = pool, .folder = WEIR_STR("/nowhere/")};
    const weir_waf_operator *op = weir_waf_operator_new(&build, weir_str_from_z(name), parameter);

    if (op == NULL) {
        print_error("@%s: %s\n", name, build.message);
    }
    assert_non_null(op);
    return op;
}

static weir_waf_matched run_of(weir_pool *pool, const weir_waf_operator *op, weir_str value,
                               weir_waf_run *run)
{
    *run = (weir_waf_run){.matcher = weir_waf_matcher_new(pool), .wants_captures = true};
    assert_non_null(run->matcher);
    return weir_waf_operator_run(op, value, run);
}

typedef struct {
    const char *name;
    weir_str parameter, value;
    bool matches;
} sample;

#define SAMPLE(name, parameter, value, matches)                                                    \
    {                                                                                              \
        (name), WEIR_STR_INIT(parameter), WEIR_STR_INIT(value), (matches)                          \
    }

static const sample samples[] = {
    SAMPLE("beginsWith", "abc", "abcd", true),
    SAMPLE("beginsWith", "abc", "ab", false),
    SAMPLE("beginsWith", "", "", true),
    SAMPLE("contains", "b\0", "ab\0c", true),
    SAMPLE("contains", "B", "abc", false),
    SAMPLE("containsWord", "abc", "xabc abc_1", true),
    SAMPLE("containsWord", "abc", "xabc abcd", false),
    SAMPLE("detectSQLi", "", "x' or 1=1 -- ", true),
    SAMPLE("detectSQLi", "", "a word", false),
    SAMPLE("detectXSS", "", "<script>", true),
    SAMPLE("detectXSS", "", "a < b", false),
    SAMPLE("endsWith", "c", "abc", true),
    SAMPLE("endsWith", "ab", "abc", false),
    SAMPLE("eq", "5", " 5junk", true),
    SAMPLE("eq", "junk", "0", true),
    SAMPLE("eq", "99999999999999999999", "9223372036854775807", true),
    SAMPLE("ge", "-3", "-3", true),
    SAMPLE("gt", "5", "5", false),
    SAMPLE("le", "5", "+5", true),
    SAMPLE("lt", "5", "", true),
    SAMPLE("noMatch", "", "a", false),
    SAMPLE("unconditionalMatch", "", "", true),
    SAMPLE("streq", "a", "a", true),
    SAMPLE("streq", "a", "A", false),
    SAMPLE("strmatch", "bc", "abcd", true),
    SAMPLE("within", "GET HEAD", "HEAD", true),
    SAMPLE("within", "GET", "", true),
    SAMPLE("within", "GET", "GETS", false),
    SAMPLE("rx", "^b", "a\nb", false),
    SAMPLE("rx", "a$", "a\n", false),
    SAMPLE("rx", "a.b", "a\nb", true),
    SAMPLE("rx", "\\x{bc}", "\xbc", true),
    SAMPLE("rx", "", "", true),
    SAMPLE("rx", "^.*$", "", true),
    SAMPLE("rx", "^.*$", "a\n\xff", true),
    SAMPLE("rx", "^ab_1", "ab_12", true),
    SAMPLE("rx", "^ab_1", "ab_", false),
    SAMPLE("rx", "^ab_1", "AB_1", false),
    SAMPLE("rx", "^ab_1", "xab_1", false),
    SAMPLE("rx", "(?i)^Ab_1", "aB_12", true),
    SAMPLE("rx", "(?i)^Ab_1",
           "ab\x7f"
           "1",
           false),
    SAMPLE("rx", "(?i)^Ab_1", "xab_1", false),
    SAMPLE("rx", "(?i)ab_1", "xAB_1", true),
    SAMPLE("rxGlobal", "^ab_1", "ab_1", true),
    SAMPLE("pm", "abc |44 45|f", "xxDEFyy", true),
    SAMPLE("pm", "a|c", "abc", false),
    SAMPLE("pm", "a|c", "A|C", true),
    SAMPLE("pm", "a||c", "a||c", true),
    SAMPLE("pm", "a||c", "ac", false),
    SAMPLE("pm", "two|", "xtwo|x", true),
    SAMPLE("pm", "two|", "two", false),
    SAMPLE("pm", "a|41", "a|41", true),
    SAMPLE("pm", "( )", "x)", true),
    SAMPLE("ipMatch", "10.1.0.0/16, ::1,192.168.0.7", "10.1.255.3", true),
    SAMPLE("ipMatch", "10.1.0.0/16, ::1,192.168.0.7", "192.168.0.8", false),
    SAMPLE("ipMatch", "10.1.0.0/16", "::ffff:10.1.2.3", true),
    SAMPLE("ipMatch", "fe80::/10", "febf::1", true),
    SAMPLE("ipMatch", "0.0.0.0/0", "junk", false),
    SAMPLE("validateByteRange", "32-126, 9", "a\tb", false),
    SAMPLE("validateByteRange", "32-126,9", "a\nb", true),
    SAMPLE("validateUrlEncoding", "", "%41%4", true),
    SAMPLE("validateUrlEncoding", "", "%41", false),
    SAMPLE("validateUtf8Encoding", "", "plain, a long enough text \xe2\x82\xac", false),
    SAMPLE("validateUtf8Encoding", "", "\xc0\xaf", true),
    SAMPLE("validateUtf8Encoding", "", "\xed\xa0\x80", true),
    SAMPLE("validateUtf8Encoding", "", "\xf4\x90\x80\x80", true),
    SAMPLE("validateUtf8Encoding", "", "\xe2\x82", true),
    SAMPLE("verifyCC", "\\b\\d{16}\\b", "pay 5484605089158216.", true),
    SAMPLE("verifyCC", "\\b\\d{16}\\b", "pay 5484605089158217.", false),
    SAMPLE("verifySSN", "\\d{3}-\\d{2}-\\d{4}", "574-57-8065", true),
    SAMPLE("verifySSN", "\\d{3}-\\d{2}-\\d{4}", "123-45-6789", false),
    SAMPLE("verifyCPF", "[\\d.-]{11,14}", "529.982.247-25", true),
    SAMPLE("verifyCPF", "[\\d.-]{11,14}", "529.982.247-24", false),
    SAMPLE("verifySVNR", "\\d{4} ?\\d{6}", "1237 010180", true),
    SAMPLE("verifySVNR", "\\d{4} ?\\d{6}", "1238 010180", false),
};

static void each_matches_what_the_manual_says(void **state)
{
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const sample *s = &samples[i];
        weir_waf_run run;

        print_message("@%s %s\n", s->name, s->parameter.data);
        assert_int_equal(run_of(*state, compiled(*state, s->name, s->parameter), s->value, &run),
                         s->matches ? WEIR_WAF_MATCH : WEIR_WAF_NO_MATCH);
        assert_true(run.work > 0);
    }
}

/* What the prefilter is told must hold for every match. */
static void a_match_has_what_it_is_said_to_need(void **state)
{
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const sample *s = &samples[i];
        const weir_waf_operator *op = compiled(*state, s->name, s->parameter);
        weir_waf_bytes present, needed;

        weir_waf_bytes_of(s->value, &present);
        if (s->matches && weir_waf_operator_bytes(op, &needed)) {
            assert_true(weir_waf_bytes_meet(&present, &needed));
        }
    }
}

static void groups_become_captures(void **state)
{
    weir_waf_run run;

    assert_int_equal(
        run_of(*state, compiled(*state, "rx", WEIR_STR("(a)|(b)(x)?(c)")), WEIR_STR("-bc-"), &run),
        WEIR_WAF_MATCH);
    assert_int_equal(run.captured, 1 << 0 | 1 << 2 | 1 << 4);
    assert_text(run.captures[0], WEIR_STR("bc"));
    assert_text(run.captures[2], WEIR_STR("b"));
    assert_text(run.captures[4], WEIR_STR("c"));
}

static void ten_captures_are_kept(void **state)
{
    weir_waf_run run;

    assert_int_equal(run_of(*state,
                            compiled(*state, "rx", WEIR_STR("(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)")),
                            WEIR_STR("abcdefghijk"), &run),
                     WEIR_WAF_MATCH);
    assert_int_equal(run.captured, 0x3ff);
    assert_text(run.captures[9], WEIR_STR("i"));
}

static void all_matches_of_rx_global_are_captured(void **state)
{
    weir_waf_run run;

    assert_int_equal(run_of(*state, compiled(*state, "rxGlobal", WEIR_STR("[a-z]*")),
                            WEIR_STR("aaa00bbb"), &run),
                     WEIR_WAF_MATCH);
    assert_int_equal(run.captured, 3);
    assert_text(run.captures[1], WEIR_STR("bbb"));
}

static void the_phrase_is_captured_as_it_was_listed(void **state)
{
    weir_waf_run run;

    assert_int_equal(
        run_of(*state, compiled(*state, "pm", WEIR_STR("Abc aBcD")), WEIR_STR("xABCD"), &run),
        WEIR_WAF_MATCH);
    assert_text(run.captures[0], WEIR_STR("Abc"));
}

static void an_expanded_parameter_counts(void **state)
{
    const weir_waf_operator *op = compiled(*state, "gt", WEIR_STR("%{tx.limit}"));
    weir_str expanded = WEIR_STR("7");
    weir_waf_run run = {.expanded = &expanded};

    assert_true(weir_waf_operator_takes_macros(op));
    assert_int_equal(weir_waf_operator_run(op, WEIR_STR("7"), &run), WEIR_WAF_NO_MATCH);
    assert_int_equal(weir_waf_operator_run(op, WEIR_STR("8"), &run), WEIR_WAF_MATCH);
}

static void a_regex_that_takes_too_long_is_given_up(void **state)
{
    const weir_waf_operator *op = compiled(*state, "rx", WEIR_STR("(a+)+$"));
    weir_waf_run run = {.matcher = weir_waf_matcher_new(*state), .steps_max = 1000};

    assert_int_equal(
        weir_waf_operator_run(op, WEIR_STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), &run),
        WEIR_WAF_LIMIT);
}

static void refuses(weir_pool *pool, const char *name, const char *parameter, const char *reason,
                    size_t at)
{
    weir_waf_operator_build build = {.pool = pool, .folder = WEIR_STR("/nowhere/")};

    assert_null(weir_waf_operator_new(&build, weir_str_from_z(name), weir_str_from_z(parameter)));
    print_message("%s\n", build.message);
    assert_non_null(strstr(build.message, reason));
    assert_int_equal(build.at, at);
}

/* As far as regexes go, a text of any length is one text. */
static void a_long_text_is_searched_as_a_short_one(void **state)
{
    static const struct {
        const char *pattern;
        bool matches;
        size_t from, len;
    } cases[] = {
        {"needle", true, 70000, 6},        {"(?<=a)ne+dle", true, 70000, 6},
        {"a{3}needle", true, 69997, 9},    {"le$", true, 70004, 2},
        {"\\z", true, 70006, 0},           {"^a+n", true, 0, 70001},
        {"needles", false, 0, 0},          {"\\Gneedle", false, 0, 0},
        {"a(*COMMIT)needle", false, 0, 0}, {"(?s)^.*(?=needle)", true, 0, 70000},
        {"[^a]", true, 70000, 1},
    };
    char *bytes = weir_pool_bytes(*state, 70006);

    assert_non_null(bytes);
    memset(bytes, 'a', 70000);
    memcpy(bytes + 70000, "needle", 6);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        weir_waf_run run;
        weir_waf_matched result =
            run_of(*state, compiled(*state, "rx", weir_str_from_z(cases[i].pattern)),
                   weir_str_of(bytes, 70006), &run);

        print_message("%s\n", cases[i].pattern);
        assert_int_equal(result, cases[i].matches ? WEIR_WAF_MATCH : WEIR_WAF_NO_MATCH);
        if (cases[i].matches) {
            assert_ptr_equal(run.captures[0].data, bytes + cases[i].from);
            assert_int_equal(run.captures[0].len, cases[i].len);
        }
    }
}

static void what_looks_through_the_rest_from_each_byte_is_given_up(void **state)
{
    char *bytes = weir_pool_bytes(*state, 262144);
    weir_waf_run run;

    assert_non_null(bytes);
    memset(bytes, '"', 262144);
    assert_int_equal(run_of(*state, compiled(*state, "rx", WEIR_STR("\"(?:[^~!]*,)?[^~!]*[~!]")),
                            weir_str_of(bytes, 262144), &run),
                     WEIR_WAF_LIMIT);
    /* 20 ms, in units of half a nanosecond. */
    assert_true(run.work > 40000000);
}

static void what_cannot_be_compiled_is_refused_with_its_place(void **state)
{
    refuses(*state, "rx", "ab(c", "missing closing parenthesis", 4);
    refuses(*state, "pm", "  ", "no phrase", 0);
    refuses(*state, "ipMatch", "1.2.3.4,nowhere", "\"nowhere\" is no address", 8);
    refuses(*state, "validateByteRange", "1-5,300", "\"300\" is no range", 4);
    refuses(*state, "pmFromFile", "missing.data", "cannot open \"/nowhere/missing.data\"", 0);
    refuses(*state, "geoLookup", "", "\"@geoLookup\" is not supported", 0);
    refuses(*state, "matches", "", "no operator \"@matches\"", 0);
}

static void a_file_gives_a_phrase_a_line(void **state)
{
    char path[] = "/tmp/weir-waf-phrases-XXXXXX";
    int fd = mkstemp(path);
    static const char text[] = "# comment\r\nfirst one\r\n\r\n second\nlast";
    weir_waf_run run;
    const weir_waf_operator *op;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    (void) close(fd);
    op = compiled(*state, "pmFromFile", weir_str_from_z(path));
    (void) unlink(path);

    assert_int_equal(run_of(*state, op, WEIR_STR("the first one."), &run), WEIR_WAF_MATCH);
    assert_int_equal(run_of(*state, op, WEIR_STR("second"), &run), WEIR_WAF_NO_MATCH);
    assert_int_equal(run_of(*state, op, WEIR_STR("a second"), &run), WEIR_WAF_MATCH);
    assert_int_equal(run_of(*state, op, WEIR_STR("# comment"), &run), WEIR_WAF_NO_MATCH);
    assert_int_equal(run_of(*state, op, WEIR_STR("atLASt"), &run), WEIR_WAF_MATCH);
}

static void the_bytes_of_a_text_are_all_that_it_has(void **state)
{
    uint64_t random = 1;

    (void) state;
    for (size_t len = 0; len < 300; len++) {
        unsigned char bytes[300];
        weir_waf_bytes present, expected = {{0}};

        for (size_t i = 0; i < len; i++) {
            random = random * 6364136223846793005 + 1442695040888963407;
            bytes[i] = (unsigned char) (random >> 56);
            weir_waf_bytes_add(&expected, bytes[i]);
        }
        weir_waf_bytes_of(weir_str_of((const char *) bytes, len), &present);
        assert_memory_equal(&present, &expected, sizeof(expected));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WAF_TEST(each_matches_what_the_manual_says),
        WAF_TEST(a_match_has_what_it_is_said_to_need),
        WAF_TEST(groups_become_captures),
        WAF_TEST(ten_captures_are_kept),
        WAF_TEST(all_matches_of_rx_global_are_captured),
        WAF_TEST(the_phrase_is_captured_as_it_was_listed),
        WAF_TEST(an_expanded_parameter_counts),
        WAF_TEST(a_regex_that_takes_too_long_is_given_up),
        WAF_TEST(a_long_text_is_searched_as_a_short_one),
        WAF_TEST(what_looks_through_the_rest_from_each_byte_is_given_up),
        WAF_TEST(what_cannot_be_compiled_is_refused_with_its_place),
        WAF_TEST(a_file_gives_a_phrase_a_line),
        WAF_TEST(the_bytes_of_a_text_are_all_that_it_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
