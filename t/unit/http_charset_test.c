/* Texts that are converted, in bodies that come in pieces: what it takes to hold what comes out. */

#include "t/unit/http_unit.h"

#define PIECES 200000

extern const weir_http_module weir_http_charset;

static const void *location_between(void **state, const char *directives)
{
    assert_true(unit_read(state,
                          "charset_map koi8-r utf-8 { C0 D18E; }"
                          "charset_map koi8-r windows-1251 { C0 FE; }",
                          directives));
    return weir_level_settings(unit_server(state)->level, &weir_http_charset.base);
}

/* `text`, byte by byte, as many times as makes PIECES: each byte a span of its own. */
static void give(weir_chain *in, weir_str text)
{
    for (size_t i = 0; i < PIECES; i++) {
        assert_true(
            weir_chain_add_memory(in, weir_str_slice(text, i % text.len, i % text.len + 1)));
    }
}

/* Takes what came out of one turn, which is `expected` over and over.  Returns how many bytes. */
static size_t take(weir_chain *out, weir_str expected, size_t at)
{
    size_t len = out->len;

    for (const weir_span *span = out->first; span != NULL; span = span->next) {
        for (size_t i = 0; i < span->len; i++, at++) {
            assert_int_equal(span->data[i], expected.data[at % expected.len]);
        }
    }
    weir_chain_clear(out);
    return len;
}

static void assert_packs(void **state, const char *directives, weir_str text, weir_str expected)
{
    const void *location = location_between(state, directives);
    weir_http_exchange *ex = unit_request(state, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    size_t idle = weir_blocks_in_use();
    weir_chain in = {0}, out = {0};
    weir_result result;
    size_t len = 0;

    unit_answer(ex, 200, "a text");
    assert_int_equal(weir_http_charset.response_head(ex, location), WEIR_OK);
    give(&in, text);
    do {
        result = weir_http_charset.response_body(ex, location, &in, &out, true);
        assert_int_not_equal(result, WEIR_FAIL);
        /* Each but the last is full, up to what a character may need. */
        assert_in_range(weir_blocks_in_use() - idle, 1, out.len / (WEIR_BLOCK_BYTES - 12) + 1);
        len += take(&out, expected, len);
    } while (result == WEIR_WAIT);

    assert_true(weir_chain_is_empty(&in));
    assert_int_equal(len, PIECES / text.len * expected.len);
    assert_int_equal(weir_blocks_in_use(), idle);
}

static void many_small_pieces_fill_few_blocks(void **state)
{
    assert_packs(state, "source_charset koi8-r; charset windows-1251;", WEIR_STR("\xc0"),
                 WEIR_STR("\xfe"));
    assert_packs(state, "source_charset koi8-r; charset utf-8;", WEIR_STR("\xc0"),
                 WEIR_STR("\xd1\x8e"));
    assert_packs(state, "source_charset utf-8; charset koi8-r;", WEIR_STR("a\xd1\x8e\xc3\xaa"),
                 WEIR_STR("a\xc0&#234;"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(many_small_pieces_fill_few_blocks, unit_setup,
                                        unit_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
