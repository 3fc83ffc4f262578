/*
 * Neither the prefilter nor a pattern's automaton may say no to what PCRE2 matches.  Tried on patterns and texts made here, and on the rules of
 * Debian's modsecurity-crs, or of the folder that WEIR_CRS_RULES names, with the texts of the file that WEIR_CRS_TEXTS names.
 */

#include "modules/waf/prefilter.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/array.h"
#include "core/base/builder.h"
#include "core/base/number.h"
#include "modules/waf/dfa.h"
#include "t/unit/waf_unit.h"

#define DEBIAN_RULES "/usr/share/modsecurity-crs/rules"

static const weir_waf_operator *compiled(weir_pool *pool, const char *name, weir_str parameter,
                                         weir_str folder)
{
    weir_waf_operator_build build = {.pool = pool, .folder = folder};

    return weir_waf_operator_new(&build, weir_str_from_z(name), parameter);
}

static const weir_waf_prefilter *prefilter_of(weir_pool *pool, const weir_waf_operator *const *ops,
                                              size_t count)
{
    weir_waf_prefilter_build *build = weir_waf_prefilter_begin();
    const weir_waf_prefilter *prefilter;

    assert_non_null(build);
    for (size_t i = 0; i < count; i++) {
        uint32_t index;

        assert_true(weir_waf_prefilter_add(
            build, ops[i], (weir_waf_filter_part) (i % WEIR_WAF_FILTER_PARTS), &index));
        assert_int_equal(index, i);
    }
    prefilter = weir_waf_prefilter_end(build, pool);
    assert_non_null(prefilter);
    return prefilter;
}

static bool may_match(weir_pool *pool, const char *name, const char *parameter, weir_str value)
{
    const weir_waf_operator *op = compiled(pool, name, weir_str_from_z(parameter), WEIR_STR_EMPTY);
    const weir_waf_prefilter *prefilter;
    weir_waf_scan scan;

    assert_non_null(op);
    prefilter = prefilter_of(pool, &op, 1);
    weir_waf_scan_begin(&scan, prefilter, value, NULL,
                        weir_pool_calloc(pool, weir_waf_prefilter_words(prefilter), 8));
    return weir_waf_may_match(&scan, 0);
}

typedef struct {
    const char *name, *parameter;
    const char *may, *may_not; /* NULL: any value may */
} sample;

static void what_cannot_match_is_left_out(void **state)
{
    static const sample samples[] = {
        {"rx", "select\\s+from", "SELECT  FROM", "select form"},
        {"rx", "(?i)(?:union|select)\\b", "UnIoN", "unio selec"},
        {"rx", "ab?c", "xac", "ab"},
        {"rx", "a[bc]d", "ACD", "aed"},
        {"rx", "(?:ab|cd){2}", "abcd", "ab"},
        {"rx", "x(?=select)", "x", "y"},
        {"rx", "\\x3cscript", "<script", "script"},
        {"rx", "['\"`]", "it's", "its"},
        {"rx", "^.{5}$", "abcde", "abcd"},
        {"rx", "[^a]", "b", ""},
        {"rx", "(a)|(bcdef)", "A", ""},
        {"rx", "[[:punct:]]+z", "!z", "z"},
        {"rx", "[\\w-]+@x", "a@x", "a.x"},
        {"rx", "(?x) s e l", "anything", NULL},
        {"rx", ".*", "", NULL},
        {"rx", "(a)\\1", "aa", ""},
        {"rx", "(?:foo|)bar", "bar", "foo"},
        {"rx", "foo*bar", "fobar", "foba"},
        {"rx", "fo(?:o+b)+ar", "foobar", "fooar"},
        {"rx", "\\Qselect\\E", "select", NULL},
        {"rx", "(?!select)x", "x", "select"},
        {"pm", "alpha beta", "xBETAx", "bet"},
        {"contains", "abc", "xABCx", "ab"},
        {"detectSQLi", "", "a b", "word_1"},
        {"detectXSS", "", "a=b", "plain"},
        {"validateByteRange", "32-126", "\n", "plain"},
        {"noMatch", "", NULL, "x"},
        {"within", "abc", "x", NULL},
        {"unconditionalMatch", "", "", NULL},
    };

    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const sample *s = &samples[i];

        print_message("@%s %s\n", s->name, s->parameter);
        if (s->may != NULL) {
            assert_true(may_match(*state, s->name, s->parameter, weir_str_from_z(s->may)));
        }
        if (s->may_not != NULL) {
            assert_false(may_match(*state, s->name, s->parameter, weir_str_from_z(s->may_not)));
        } else {
            assert_true(may_match(*state, s->name, s->parameter, WEIR_STR("\x01 zzz")));
        }
    }
}

/* What is marked in a text holds for it in lower case, too. */
static void another_case_of_a_text_shares_its_marks(void **state)
{
    static const char *const patterns[] = {"ab+c", "(?i)select\\s", "[A-Z]{3}X", "x(?:yz|ZY)", "Q"};
    static const char *const texts[] = {"ABBC", "Select it", "ABCX", "xYz", "zy xzy", "q", ""};
    const weir_waf_operator *ops[WEIR_COUNT(patterns)];
    const weir_waf_prefilter *prefilter;

    for (size_t i = 0; i < WEIR_COUNT(patterns); i++) {
        ops[i] = compiled(*state, "rx", weir_str_from_z(patterns[i]), WEIR_STR_EMPTY);
        assert_non_null(ops[i]);
    }
    prefilter = prefilter_of(*state, ops, WEIR_COUNT(ops));
    for (size_t t = 0; t < WEIR_COUNT(texts); t++) {
        size_t words = weir_waf_prefilter_words(prefilter);
        weir_str text = weir_str_from_z(texts[t]), lower;
        weir_waf_scan as_is, other, fresh;
        weir_waf_bytes bytes;
        weir_builder builder;

        weir_builder_open(&builder, *state, 64);
        weir_builder_add_lower(&builder, text);
        assert_true(weir_builder_close(&builder, &lower));
        weir_waf_scan_begin(&as_is, prefilter, text, NULL, weir_pool_calloc(*state, words, 8));
        weir_waf_scan_begin(&fresh, prefilter, lower, NULL, weir_pool_calloc(*state, words, 8));
        weir_waf_scan_begin_in_other_case(&other, &as_is, lower, NULL);
        weir_waf_bytes_of(lower, &bytes);
        for (uint32_t i = 0; i < WEIR_COUNT(ops); i++) {
            bool may = weir_waf_may_match(&fresh, i);

            assert_int_equal(weir_waf_may_match(&other, i), may);
            assert_true(!may
                        || ((weir_waf_scan_literals(
                                 &as_is, (weir_waf_filter_part) (i % WEIR_WAF_FILTER_PARTS))[0]
                                 >> i
                             & 1)
                                != 0
                            && weir_waf_prefilter_fits(prefilter, i, text.len, &bytes)));
        }
    }
}

/* ---- many operators and texts */

typedef struct {
    weir_pool *pool;
    weir_array ops;   /* const weir_waf_operator *; @rx as @rxGlobal, which asks PCRE2 alone */
    weir_array texts; /* weir_str */
} corpus;

static void add_op(corpus *c, const char *name, weir_str parameter, weir_str folder)
{
    const weir_waf_operator *op =
        compiled(c->pool, strcmp(name, "rx") == 0 ? "rxGlobal" : name, parameter, folder);
    const weir_waf_operator **slot;

    if (op != NULL) {
        slot = weir_array_push(&c->ops);
        assert_non_null(slot);
        *slot = op;
    }
}

static void add_text(corpus *c, weir_str text)
{
    weir_str *slot = weir_array_push(&c->texts);

    assert_non_null(slot);
    *slot = text;
}

/* The words of a pattern, and what stands between two of its brackets: near what it matches. */
static void add_texts_of_pattern(corpus *c, weir_str pattern)
{
    weir_builder joined;
    weir_str text;
    size_t start = 0;

    weir_builder_open(&joined, c->pool, pattern.len + 1);
    for (size_t i = 0; i <= pattern.len; i++) {
        bool is_meta = i == pattern.len || strchr("()[]{}|?*+^$.\\", pattern.data[i]) != NULL;

        if (!is_meta) {
            weir_builder_add_byte(&joined, pattern.data[i]);
            continue;
        }
        if (i > start + 1) {
            add_text(c, weir_str_slice(pattern, start, i));
        }
        start = i + 1;
    }
    assert_true(weir_builder_close(&joined, &text));
    add_text(c, text);
}

/* The automaton of each pattern that has one, on all texts. */
static void check_automata(corpus *c, weir_waf_run *run)
{
    size_t automata = 0, said_no = 0, could = 0;
    uint64_t work = 0;

    for (WEIR_ARRAY_EACH(&c->ops, const weir_waf_operator *, op)) {
        weir_str pattern;
        const weir_waf_dfa *dfa =
            weir_waf_operator_pattern(*op, &pattern) ? weir_waf_dfa_new(c->pool, pattern) : NULL;
        weir_waf_dfa_states *states = dfa == NULL ? NULL : weir_waf_dfa_states_new(dfa);

        if (states == NULL) {
            continue;
        }
        automata++;
        for (WEIR_ARRAY_EACH(&c->texts, weir_str, text)) {
            bool may = weir_waf_dfa_may_match(states, *text, &work);
            weir_waf_matched matched = weir_waf_operator_run(*op, *text, run);

            if (matched == WEIR_WAF_MATCH && !may) {
                print_error("the automaton of %.*s would miss \"%.*s\"\n",
                            WEIR_STR_ARG(weir_str_slice(pattern, 0, 300)), WEIR_STR_ARG(*text));
                fail();
            }
            could += matched == WEIR_WAF_NO_MATCH;
            said_no += !may;
        }
        weir_waf_dfa_states_free(states);
    }

    print_message("%zu automata; of %zu that do not match they say so of %zu\n", automata, could,
                  said_no);
    assert_true(said_no > could / 2);
}

/* How many pairs matched; none may be one that the prefilter leaves out. */
static size_t check_corpus(corpus *c)
{
    const weir_waf_prefilter *prefilter = prefilter_of(c->pool, c->ops.items, c->ops.count);
    uint64_t *words = weir_pool_calloc(c->pool, weir_waf_prefilter_words(prefilter), 8);
    weir_waf_run run = {.matcher = weir_waf_matcher_new(c->pool)};
    size_t matched = 0, left = 0;
    weir_waf_prefilter_figures figures;

    assert_non_null(words);
    assert_non_null(run.matcher);
    for (WEIR_ARRAY_EACH(&c->texts, weir_str, text)) {
        weir_waf_scan scan;

        weir_waf_scan_begin(&scan, prefilter, *text, NULL, words);
        for (uint32_t i = 0; i < c->ops.count; i++) {
            const weir_waf_operator *op = *WEIR_ARRAY_AT(&c->ops, const weir_waf_operator *, i);
            bool may = weir_waf_may_match(&scan, i);

            left += may;
            if (weir_waf_operator_run(op, *text, &run) != WEIR_WAF_NO_MATCH) {
                matched++;
                if (!may) {
                    print_error(
                        "@%.*s %.*s would miss \"%.*s\"\n",
                        WEIR_STR_ARG(weir_waf_operator_name(op)),
                        WEIR_STR_ARG(weir_str_slice(weir_waf_operator_parameter(op), 0, 300)),
                        WEIR_STR_ARG(*text));
                    fail();
                }
            }
        }
    }

    check_automata(c, &run);
    weir_waf_prefilter_tell(prefilter, &figures);
    print_message(
        "%zu operators (%zu with literals, %zu without facts), %zu literals, %zu states, %zu KiB\n"
        "%zu texts; of %zu pairs %zu are left, %zu match\n",
        figures.operators, figures.with_literals, figures.without_facts, figures.literals,
        figures.states, figures.bytes / 1024, c->texts.count, c->ops.count * c->texts.count, left,
        matched);
    return matched;
}

static void corpus_begin(corpus *c, weir_pool *pool)
{
    *c = (corpus){.pool = pool};
    weir_array_init(&c->ops, pool, sizeof(const weir_waf_operator *), 64);
    weir_array_init(&c->texts, pool, sizeof(weir_str), 1024);
}

/* Patterns of a few pieces, and texts of the same letters. */
static void no_match_is_left_out_of_made_patterns(void **state)
{
    static const char *const pieces[] = {
        "a", "b",   "ab",          "c+",         "d?",     "(?:a|bc)",    "[ab]", "[^a]",
        ".", "a*",  "(b|)",        "x{2}",       "y{0,1}", "(?i)",        "|",    "\\s",
        "^", "\\b", "(?:x|yz|c)+", "[a-c]{1,2}", "(?=a)",  "(?:(?:ab)?c)"};
    static const char letters[] = "abcdxyz ABC";
    unsigned seed = 3;
    corpus c;

    corpus_begin(&c, *state);
    for (size_t i = 0; i < 400; i++) {
        weir_builder pattern;

        weir_builder_open(&pattern, *state, 256);
        for (size_t k = 0; k < 1 + i % 6; k++) {
            seed = seed * 1103515245 + 12345;
            weir_builder_add(
                &pattern,
                weir_str_from_z(pieces[(seed >> 16) % (sizeof(pieces) / sizeof(*pieces))]));
        }
        add_op(&c, "rx", weir_builder_text(&pattern), WEIR_STR_EMPTY);
    }
    for (size_t i = 0; i < 600; i++) {
        char *text = weir_pool_bytes(*state, 8);

        for (size_t k = 0; k < i % 9; k++) {
            seed = seed * 1103515245 + 12345;
            text[k] = letters[(seed >> 16) % (sizeof(letters) - 1)];
        }
        add_text(&c, weir_str_of(text, i % 9));
    }
    assert_true(c.ops.count > 300);
    assert_true(check_corpus(&c) > 1000);
}

/* ---- rules of a folder */

static weir_str file_text(weir_pool *pool, const char *path)
{
    FILE *file = fopen(path, "r");
    size_t size = 32 * 1024 * 1024, len;
    char *text = weir_pool_bytes(pool, size);

    assert_non_null(file);
    assert_non_null(text);
    len = fread(text, 1, size, file);
    assert_int_equal(fclose(file), 0);
    weir_pool_trim(pool, text, size, len);
    return weir_str_of(text, len);
}

/* What stands in "@rx ..." of a rule, up to the quote that ends it. */
static void add_ops_of_rules(corpus *c, weir_str text, weir_str folder)
{
    static const char *const names[] = {"rx", "pm", "pmFromFile", "contains", "endsWith"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char mark[32];
        const char *found;
        weir_str rest = text;

        (void) snprintf(mark, sizeof(mark), "@%s ", names[i]);
        while ((found = weir_str_find(rest, weir_str_from_z(mark))) != NULL) {
            weir_builder parameter;
            size_t at = (size_t) (found - rest.data) + strlen(mark);

            weir_builder_open(&parameter, c->pool, 65536);
            while (at < rest.len && rest.data[at] != '"') {
                at +=
                    rest.data[at] == '\\' && at + 1 < rest.len && rest.data[at + 1] == '"' ? 1 : 0;
                weir_builder_add_byte(&parameter, rest.data[at++]);
            }
            add_op(c, names[i], weir_builder_text(&parameter), folder);
            if (i == 0) {
                add_texts_of_pattern(c, weir_builder_text(&parameter));
            }
            rest = weir_str_from(rest, at);
        }
    }
}

static weir_str unescaped(weir_pool *pool, weir_str line)
{
    weir_builder out;
    uint64_t byte;

    weir_builder_open(&out, pool, line.len + 1);
    for (size_t i = 0; i < line.len; i++) {
        if (line.data[i] == '%' && line.len - i > 2
            && weir_parse_hex(weir_str_slice(line, i + 1, i + 3), 255, &byte)) {
            weir_builder_add_byte(&out, (char) byte);
            i += 2;
        } else {
            weir_builder_add_byte(&out, line.data[i]);
        }
    }
    return weir_builder_text(&out);
}

static void no_match_is_left_out_of_the_core_rule_set(void **state)
{
    const char *rules = getenv("WEIR_CRS_RULES"), *texts = getenv("WEIR_CRS_TEXTS");
    weir_str folder, rest, line;
    char path[1024];
    DIR *list;
    corpus c;

    rules = rules == NULL ? DEBIAN_RULES : rules;
    list = opendir(rules);
    if (list == NULL) {
        skip();
    }

    corpus_begin(&c, *state);
    (void) snprintf(path, sizeof(path), "%s/", rules);
    assert_true(weir_str_copy(*state, weir_str_from_z(path), &folder));
    for (struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list)) {
        if (weir_str_ends(weir_str_from_z(entry->d_name), WEIR_STR(".conf"))) {
            (void) snprintf(path, sizeof(path), "%s/%s", rules, entry->d_name);
            add_ops_of_rules(&c, file_text(*state, path), folder);
        }
    }
    (void) closedir(list);

    if (texts != NULL) {
        c.texts.count = 0;
        rest = file_text(*state, texts);
        while (weir_str_split(&rest, '\n', &line)) {
            add_text(&c, unescaped(*state, line));
        }
    } else if (c.texts.count > 400) {
        /* Every so many of them: each is tried on all operators. */
        for (size_t i = 0; i < 400; i++) {
            *WEIR_ARRAY_AT(&c.texts, weir_str, i) =
                *WEIR_ARRAY_AT(&c.texts, weir_str, i * c.texts.count / 400);
        }
        c.texts.count = 400;
    }
    assert_true(c.ops.count > 100);
    assert_true(check_corpus(&c) > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WAF_TEST(what_cannot_match_is_left_out),
        WAF_TEST(another_case_of_a_text_shares_its_marks),
        WAF_TEST(no_match_is_left_out_of_made_patterns),
        WAF_TEST(no_match_is_left_out_of_the_core_rule_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
