/*
 * What an attacker may repeat: four times the bytes take about four times the time, in each transformation, operator and body
 * processor.  Times are of this thread's CPU, the best of some runs; what takes sixteen times as long is far off.
 */

#include <time.h>

#include "core/base/builder.h"
#include "modules/waf/body.h"
#include "modules/waf/operator.h"
#include "modules/waf/program.h"
#include "modules/waf/transaction.h"
#include "modules/waf/transform.h"
#include "t/unit/waf_unit.h"

#define SMALL_BYTES ((size_t) 16 * 1024)
#define TIMES 4
#define RUNS 4
#define MAY_GROW 9     /* times, where TIMES are due */
#define FLOOR_US 1500u /* too little to tell anything; what is quadratic takes longer */

typedef void subject_run(weir_pool *pool, const void *subject, weir_str value);

static uint64_t cpu_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

static weir_str repeated(weir_pool *pool, const char *fragment, size_t bytes)
{
    weir_builder text;
    weir_str piece = weir_str_from_z(fragment);

    /* "\1" stands for a NUL. */
    weir_builder_open(&text, pool, bytes + piece.len);
    while (weir_builder_text(&text).len < bytes) {
        for (size_t i = 0; i < piece.len; i++) {
            weir_builder_add_byte(&text, piece.data[i] == '\1' ? '\0' : piece.data[i]);
        }
    }
    return weir_builder_text(&text);
}

static uint64_t time_us(subject_run *run, const void *subject, const char *fragment, size_t bytes)
{
    weir_pool *pool = weir_pool_new(65536, 0);
    weir_str value = repeated(pool, fragment, bytes);
    uint64_t begun = cpu_us(), took;

    run(pool, subject, value);
    took = cpu_us() - begun;
    weir_pool_free(pool);
    return took;
}

/* The first time tells where there is no doubt: half of what it may be. */
static bool grows_as_its_input(subject_run *run, const void *subject, const char *fragment)
{
    uint64_t small = UINT64_MAX, large = UINT64_MAX;

    for (unsigned i = 0; i < RUNS; i++) {
        uint64_t took = time_us(run, subject, fragment, SMALL_BYTES * TIMES);

        large = took < large ? took : large;
        if (large < FLOOR_US) {
            return true;
        }
        took = time_us(run, subject, fragment, SMALL_BYTES);
        small = took < small ? took : small;
        if (2 * large <= MAY_GROW * small) {
            return true;
        }
    }
    return large <= MAY_GROW * small + FLOOR_US;
}

#define assert_grows(run, subject, name, fragment)                                                 \
    do {                                                                                           \
        if (!grows_as_its_input((run), (subject), (fragment))) {                                   \
            fail_msg("%s with \"%s\" grows faster than its input", (name), (fragment));            \
        }                                                                                          \
    } while (0)

/* ---- this test itself */

/* So that what is looked at has a use. */
static volatile unsigned looked_at;

static void look_back(weir_pool *pool, const void *subject, weir_str value)
{
    (void) pool;
    (void) subject;
    for (size_t i = 0; i < value.len; i++) {
        for (size_t k = 0; k < i; k += 16) {
            looked_at = (unsigned char) value.data[k];
        }
    }
}

static void what_looks_back_for_each_byte_is_found_out(void **state)
{
    bool is_found_out = false;

    /* A small one that was held up hides it, and not each time. */
    (void) state;
    for (unsigned i = 0; i < RUNS && !is_found_out; i++) {
        is_found_out = !grows_as_its_input(look_back, NULL, "a");
    }
    assert_true(is_found_out);
}

static const char *const fragments[] = {
    "a",         " ",         "\1",          "%",       "%41",  "%u",
    "%u0041",    "&",         "&#",          "&#x41;",  "&lt",  "\\",
    "\\u",       "\\x4",      "\\000041",    "/*",      "*/",   "/**/",
    "<!--",      "-->",       "--",          "#",       "/../", "a/",
    "../",       "./",        "//",          "\\..\\",  "=",    "+",
    "0x41",      "'",         "\"",          "\xc3",    "\xa9", "\xf0\x9f\x98\x80",
    "(",         ")",         ";",           ",",       "^",    "`",
    "$$",        "@",         "q'[",         "<",       "<a ",  "<a b=",
    ">",         "<![CDATA[", "javascript:", "or 1=1 ", "1",    "4111111111111111 ",
    "select 1,", "x'y\"z",    "\r\n",        "\n",      "a=b&",
};

/* ---- transformations */

static void transform_run(weir_pool *pool, const void *subject, weir_str value)
{
    weir_str out;

    assert_int_not_equal(weir_waf_transform_apply(subject, pool, NULL, NULL, value, &out),
                         WEIR_WAF_NO_MEMORY);
}

static void transformations_take_time_as_their_input_grows(void **state)
{
    static const char *const names[] = {
        "base64Decode",       "base64DecodeExt",
        "base64Encode",       "cmdLine",
        "compressWhitespace", "cssDecode",
        "escapeSeqDecode",    "hexDecode",
        "hexEncode",          "htmlEntityDecode",
        "jsDecode",           "length",
        "lowercase",          "md5",
        "normalizePath",      "normalizePathWin",
        "parityEven7bit",     "parityOdd7bit",
        "parityZero7bit",     "removeComments",
        "removeCommentsChar", "removeNulls",
        "removeWhitespace",   "replaceComments",
        "replaceNulls",       "sha1",
        "sqlHexDecode",       "trim",
        "trimLeft",           "trimRight",
        "uppercase",          "urlDecode",
        "urlDecodeUni",       "urlEncode",
        "utf8toUnicode",
    };

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(names); i++) {
        const weir_waf_transform *transform = weir_waf_transform_find(weir_str_from_z(names[i]));

        assert_non_null(transform);
        for (size_t k = 0; k < WEIR_COUNT(fragments); k++) {
            assert_grows(transform_run, transform, names[i], fragments[k]);
        }
    }
}

/* ---- operators */

typedef struct {
    const weir_waf_operator *op;
    bool is_expanded; /* the parameter is the attacker's, too */
} asked;

static void operator_run(weir_pool *pool, const void *subject, weir_str value)
{
    const asked *question = subject;
    weir_waf_run run = {.matcher = weir_waf_matcher_new(pool), .wants_captures = true};
    weir_str parameter = weir_str_slice(value, 0, value.len / 2);

    /* Nearly in the value, again and again. */
    if (question->is_expanded) {
        weir_builder text;

        weir_builder_open(&text, pool, parameter.len + 1);
        weir_builder_add(&text, parameter);
        weir_builder_add_byte(&text, '~');
        parameter = weir_builder_text(&text);
        run.expanded = &parameter;
    }
    (void) !weir_waf_operator_run(question->op, value, &run);
}

static void operators_take_time_as_their_input_grows(void **state)
{
    static const struct {
        const char *name, *parameter;
    } operators[] = {
        {"beginsWith", "%{ARGS.a}"},
        {"contains", "%{ARGS.a}"},
        {"containsWord", "%{ARGS.a}"},
        {"detectSQLi", ""},
        {"detectXSS", ""},
        {"endsWith", "%{ARGS.a}"},
        {"eq", "5"},
        {"ipMatch", "192.0.2.0/24"},
        {"pm", "aaaa aab a/../ab"},
        {"streq", "%{ARGS.a}"},
        {"strmatch", "%{ARGS.a}"},
        {"validateByteRange", "1-255"},
        {"validateUrlEncoding", ""},
        {"validateUtf8Encoding", ""},
        {"verifyCC", "\\d{13,16}"},
        {"verifySSN", "\\d{3}-?\\d{2}-?\\d{4}"},
        {"within", "%{ARGS.a}"},
        {"rx", "<a[^>]*b='"},
    };

    for (size_t i = 0; i < WEIR_COUNT(operators); i++) {
        weir_waf_operator_build build = {.pool = *state};
        asked question = {
            .op = weir_waf_operator_new(&build, weir_str_from_z(operators[i].name),
                                        weir_str_from_z(operators[i].parameter)),
        };

        assert_non_null(question.op);
        question.is_expanded = weir_waf_operator_takes_macros(question.op);
        for (size_t k = 0; k < WEIR_COUNT(fragments); k++) {
            assert_grows(operator_run, &question, operators[i].name, fragments[k]);
        }
    }
}

/* ---- bodies */

typedef struct {
    weir_waf_body_kind kind;
    const char *content_type, *before;
    const char *fragments[14];
} body_case;

static void body_run(weir_pool *pool, const void *subject, weir_str value)
{
    static const weir_waf_body_sink deaf = {.argument = NULL};
    const body_case *sample = subject;
    weir_waf_body_limits limits = {.pool = pool};
    weir_waf_body *body = weir_waf_body_new(sample->kind, &limits, &deaf, NULL,
                                            weir_str_from_z(sample->content_type));

    assert_non_null(body);
    weir_waf_body_feed(body, weir_str_from_z(sample->before));
    for (size_t i = 0; i < value.len; i += 1000) {
        weir_waf_body_feed(body, weir_str_slice(value, i, i + 1000));
    }
    weir_waf_body_end(body);
}

static void bodies_take_time_as_they_grow(void **state)
{
    static const body_case cases[] = {
        {WEIR_WAF_URLENCODED, "", "", {"a", "&", "=", "a=b&", "%", "%41", "+"}},
        {WEIR_WAF_JSON,
         "",
         "[",
         {"1,", "[],", "{},", "\"a\",", "\"\\u0041\",", "1", " ", "{\"a\":1},"}},
        {WEIR_WAF_JSON, "", "\"", {"a", "\\\\", "\\u0041", "\xc3\xa9"}},
        {WEIR_WAF_JSON, "", "", {"[", "{\"a\":", " "}},
        {WEIR_WAF_XML,
         "",
         "<a>",
         {"b", "<b/>", "<b c='d'/>", "&lt;", "<!---->", "<![CDATA[b]]>", "<?b?>", "<b>"}},
        {WEIR_WAF_XML, "", "<a ", {"b ", " ", "b='c' "}},
        {WEIR_WAF_MULTIPART,
         "multipart/form-data; boundary=b",
         "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n",
         {"a", "\n", "\r\n", "--", "\r", "--b", "\r\n--b\r\n", "\r\n--bc\r\n",
          "\r\n--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n"}},
        {WEIR_WAF_MULTIPART,
         "multipart/form-data; boundary=b",
         "--b\r\n",
         {"a", "A: b\r\n", "A: b\r\n c\r\n", "\r\n", ":"}},
        {WEIR_WAF_MULTIPART,
         "multipart/form-data; boundary=b",
         "--b\r\nA: b\r\n",
         {" c\r\n", "\t\r\n"}},
    };

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        for (size_t k = 0; cases[i].fragments[k] != NULL; k++) {
            assert_grows(body_run, &cases[i], cases[i].before, cases[i].fragments[k]);
        }
    }
}

/* ---- variables that actions make */

#define NAMES 800
#define NAME_BYTES 1000

/* "/?" and arguments whose names differ at their ends, or at their beginnings. */
static weir_str target_of_names(weir_pool *pool, bool differ_at_ends)
{
    weir_str same = repeated(pool, "name.", NAME_BYTES);
    weir_builder target;

    weir_builder_open(&target, pool, NAMES * (NAME_BYTES + 16));
    weir_builder_add(&target, WEIR_STR("/?"));
    for (size_t i = 0; i < NAMES; i++) {
        weir_builder_printf(&target, "%zu", differ_at_ends ? 0 : i);
        weir_builder_add(&target, same);
        weir_builder_printf(&target, "%zu&", differ_at_ends ? i : 0);
    }
    return weir_builder_text(&target);
}

static uint64_t counting_names_us(const weir_waf_program *program, weir_waf_worker *worker,
                                  weir_str target)
{
    uint64_t best = UINT64_MAX;

    for (unsigned i = 0; i < RUNS; i++) {
        uint64_t begun = cpu_us(), took;
        weir_waf_transaction *tx = weir_waf_transaction_new(
            program, worker, &(weir_waf_options){.unique_id = WEIR_STR("1")});

        assert_non_null(tx);
        weir_waf_set_request_line(tx, &(weir_waf_request_line){.target = target});
        while (weir_waf_run_phase(tx, WEIR_WAF_PHASE_REQUEST_HEAD) == WEIR_WAIT) {
        }
        assert_int_equal(weir_waf_intervened(tx)->rule_id, 2);
        weir_waf_transaction_free(tx);
        took = cpu_us() - begun;
        best = took < best ? took : best;
    }
    return best;
}

/* CRS counts arguments with the same name; those of a nested JSON are long, and equal but for their ends. */
static void variables_are_found_at_once_whatever_their_names(void **state)
{
    weir_pool *pool = *state;
    weir_waf_part part = {
        .text = WEIR_STR("SecRuleEngine On\nSecRule ARGS_NAMES \"@rx .\" \"id:1,phase:1,pass,nolog,"
                         "setvar:'tx.count_%{MATCHED_VAR_NAME}=+1'\"\n"
                         "SecRule &TX:/^count_/ \"@eq 800\" \"id:2,phase:1,deny\"\n"),
        .folder = WEIR_STR("./"),
        .line = 1,
    };
    weir_waf_library *library = weir_waf_library_new(pool, pool, NULL, NULL);
    weir_waf_fault fault;
    const weir_waf_program *program = weir_waf_program_get(library, NULL, &part, 1, &fault);
    weir_waf_worker *worker = weir_waf_worker_new();
    uint64_t ends, beginnings;

    assert_non_null(program);
    assert_true(weir_waf_library_close(library, &fault));
    beginnings = counting_names_us(program, worker, target_of_names(pool, false));
    ends = counting_names_us(program, worker, target_of_names(pool, true));
    weir_waf_worker_free(worker);
    if (ends > beginnings * 4) {
        fail_msg("%llu us for names that differ at their ends, %llu for others",
                 (unsigned long long) ends, (unsigned long long) beginnings);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WAF_TEST(what_looks_back_for_each_byte_is_found_out),
        WAF_TEST(transformations_take_time_as_their_input_grows),
        WAF_TEST(operators_take_time_as_their_input_grows),
        WAF_TEST(bodies_take_time_as_they_grow),
        WAF_TEST(variables_are_found_at_once_whatever_their_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
