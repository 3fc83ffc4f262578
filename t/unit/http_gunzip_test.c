/* What is decompressed, in bodies that come in pieces: what it takes to hold what comes out. */

#include "t/unit/http_unit.h"

#include <zlib.h>

#define TEXT_BYTES 50000
#define MEMBERS 3

extern const weir_http_module weir_http_gunzip;

/* Compresses `text` as one member.  Returns how many bytes. */
static size_t add_member(const uint8_t *text, uint8_t *out, size_t room)
{
    z_stream z = {0};
    size_t made;

    assert_int_equal(deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY),
                     Z_OK);
    z.next_in = (Bytef *) (uintptr_t) text;
    z.avail_in = TEXT_BYTES;
    z.next_out = out;
    z.avail_out = (uInt) room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    made = z.total_out;
    deflateEnd(&z);
    return made;
}

/* Each byte a span of its own, and nothing that could be made smaller: about one comes out of each. */
static void many_small_pieces_fill_few_blocks(void **state)
{
    static uint8_t text[TEXT_BYTES], packed[2 * MEMBERS * TEXT_BYTES];
    const void *location = unit_location(state, &weir_http_gunzip, "gunzip on;");
    weir_http_exchange *ex =
        unit_upstream(state, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n");
    size_t idle = weir_blocks_in_use();
    weir_chain in = {0}, out = {0};
    weir_result result;
    size_t len = 0;

    for (size_t i = 0; i < TEXT_BYTES; i++) {
        text[i] = (uint8_t) (i * i * 2654435761u >> 16);
    }
    for (unsigned i = 0; i < MEMBERS; i++) {
        len += add_member(text, packed + len, sizeof(packed) - len);
    }
    for (size_t i = 0; i < len; i++) {
        assert_true(weir_chain_add_memory(&in, weir_str_of((const char *) packed + i, 1)));
    }
    assert_int_equal(weir_http_gunzip.response_head(ex, location), WEIR_OK);

    len = 0;
    do {
        result = weir_http_gunzip.response_body(ex, location, &in, &out, true);
        assert_int_not_equal(result, WEIR_FAIL);
        assert_in_range(weir_blocks_in_use() - idle, 1, out.len / WEIR_BLOCK_BYTES + 1);
        for (const weir_span *span = out.first; span != NULL; span = span->next) {
            for (size_t i = 0; i < span->len; i++, len++) {
                assert_int_equal((uint8_t) span->data[i], text[len % TEXT_BYTES]);
            }
        }
        weir_chain_clear(&out);
    } while (result == WEIR_WAIT);

    assert_true(weir_chain_is_empty(&in));
    assert_int_equal(len, MEMBERS * TEXT_BYTES);
    assert_int_equal(weir_blocks_in_use(), idle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(many_small_pieces_fill_few_blocks, unit_setup,
                                        unit_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
