#include "modules/waf/automaton.h"

#include <stdlib.h>

#include "t/unit/waf_unit.h"

#define PHRASES 3000

static bool has_nocase(weir_str text, weir_str phrase)
{
    for (size_t i = 0; i + phrase.len <= text.len; i++) {
        if (weir_str_eq_nocase(weir_str_slice(text, i, i + phrase.len), phrase)) {
            return true;
        }
    }

    return false;
}

static void the_phrase_that_ends_first_is_found(void **state)
{
    const weir_waf_phrase phrases[] = {
        {WEIR_STR("she"), 0}, {WEIR_STR("he"), 1}, {WEIR_STR("hers"), 2}, {WEIR_STR("s h"), 3}};
    const weir_waf_automaton *automaton =
        weir_waf_automaton_new(*state, phrases, 4, WEIR_WAF_AUTOMATON_SMALL);
    uint32_t number = 99;

    assert_non_null(automaton);
    assert_true(weir_waf_automaton_find(automaton, WEIR_STR("usHErs"), &number));
    assert_int_equal(number, 0);
    assert_true(weir_waf_automaton_find(automaton, WEIR_STR("s hers"), &number));
    assert_int_equal(number, 3);
    assert_false(weir_waf_automaton_find(automaton, WEIR_STR("h e s"), &number));
}

static void no_phrases_are_nowhere(void **state)
{
    const weir_waf_automaton *automaton =
        weir_waf_automaton_new(*state, NULL, 0, WEIR_WAF_AUTOMATON_FAST);
    uint32_t number;

    assert_non_null(automaton);
    assert_false(weir_waf_automaton_find(automaton, WEIR_STR("text"), &number));
}

/* Few letters, so that phrases overlap; many states, so that most have no row of their own. */
static weir_str random_text(weir_pool *pool, unsigned *seed, size_t len, const char *letters)
{
    char *text = weir_pool_bytes(pool, len);

    assert_non_null(text);
    for (size_t i = 0; i < len; i++) {
        *seed = *seed * 1103515245 + 12345;
        text[i] = letters[(*seed >> 16) % strlen(letters)];
    }
    return weir_str_of(text, len);
}

/* With and without rows for most states. */
static void all_phrases_are_marked_and_no_others(void **state)
{
    static const uint32_t rows_max[] = {1, 60, WEIR_WAF_AUTOMATON_FAST};

    weir_waf_phrase *phrases = weir_pool_calloc(*state, PHRASES, sizeof(*phrases));
    const weir_waf_automaton *automaton;
    unsigned seed = 7;

    for (uint32_t i = 0; i < PHRASES; i++) {
        phrases[i] = (weir_waf_phrase){random_text(*state, &seed, 1 + i % 9 + 2, "abcde-"), i};
    }
    for (unsigned round = 0; round < 40; round++) {
        weir_str text = random_text(*state, &seed, 60, "abcdeABCDE-x\xff");
        uint64_t bits[PHRASES / 64 + 1] = {0};

        automaton = weir_waf_automaton_new(*state, phrases, PHRASES,
                                           rows_max[round % WEIR_COUNT(rows_max)]);
        assert_non_null(automaton);
        assert_true(weir_waf_automaton_state_count(automaton) > 1000);
        assert_true(weir_waf_automaton_bytes(automaton) > 1000);
        weir_waf_automaton_mark(automaton, text, bits);
        for (uint32_t i = 0; i < PHRASES; i++) {
            assert_int_equal(bits[i >> 6] >> (i & 63) & 1, has_nocase(text, phrases[i].text));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WAF_TEST(the_phrase_that_ends_first_is_found),
        WAF_TEST(no_phrases_are_nowhere),
        WAF_TEST(all_phrases_are_marked_and_no_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
