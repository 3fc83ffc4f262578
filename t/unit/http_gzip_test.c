#include "t/unit/http_unit.h"

#include <zlib.h>

extern const weir_http_module weir_http_gzip;

#define TEXT "a line that comes again and again, and again a line that comes again\n"

static weir_http_exchange *asked(void **state, const void *location, const char *head)
{
    weir_http_exchange *ex = unit_request(state, head);

    unit_answer(ex, 200, TEXT);
    assert_int_equal(weir_http_gzip.response_head(ex, location), WEIR_OK);
    return ex;
}

static bool is_compressed(const weir_http_exchange *ex)
{
    return weir_http_fields_find(&ex->response.fields, WEIR_HTTP_CONTENT_ENCODING) != NULL;
}

#define REQUEST "GET / HTTP/1.1\r\nHost: a\r\n"
#define GZIP "Accept-Encoding: gzip\r\n"

static void assert_inflates(const weir_chain *chain, weir_pool *pool, const char *expected)
{
    char text[4096];
    weir_str packed;
    z_stream z = {0};

    assert_true(weir_chain_join(chain, pool, &packed));
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    z.next_in = (Bytef *) (uintptr_t) packed.data;
    z.avail_in = (uInt) packed.len;
    z.next_out = (Bytef *) text;
    z.avail_out = sizeof(text);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.avail_in, 0);
    assert_str(weir_str_of(text, z.total_out), expected);
    inflateEnd(&z);
}

static void compresses_a_body_cut_at_any_byte(void **state)
{
    const void *location = unit_location(state, &weir_http_gzip, "gzip on;");
    weir_str text = WEIR_STR(TEXT);

    for (size_t cut = 0; cut <= text.len; cut++) {
        weir_http_exchange *ex = asked(state, location, REQUEST GZIP "\r\n");
        weir_chain in = {0}, out = {0};

        assert_true(is_compressed(ex));
        assert_true(weir_chain_add_memory(&in, weir_str_slice(text, 0, cut)));
        assert_int_equal(weir_http_gzip.response_body(ex, location, &in, &out, false), WEIR_OK);
        assert_true(weir_chain_add_memory(&in, weir_str_from(text, cut)));
        assert_int_equal(weir_http_gzip.response_body(ex, location, &in, &out, true), WEIR_OK);
        assert_inflates(&out, ex->pool, TEXT);
        weir_chain_clear(&out);
    }
}

static void flushes_each_piece_of_an_event_stream(void **state)
{
    const void *location = unit_location(state, &weir_http_gzip, "gzip on;");
    weir_http_exchange *ex = asked(state, location, REQUEST GZIP "\r\n");
    weir_chain in = {0}, out = {0};
    z_stream z = {0};
    char text[64];
    weir_str packed;

    ex->response.must_flush = true;
    assert_true(weir_chain_add_memory(&in, WEIR_STR("event")));
    assert_int_equal(weir_http_gzip.response_body(ex, location, &in, &out, false), WEIR_OK);
    assert_true(weir_chain_join(&out, ex->pool, &packed));
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    z.next_in = (Bytef *) (uintptr_t) packed.data;
    z.avail_in = (uInt) packed.len;
    z.next_out = (Bytef *) text;
    z.avail_out = sizeof(text);
    assert_int_equal(inflate(&z, Z_SYNC_FLUSH), Z_OK);
    assert_str(weir_str_of(text, z.total_out), "event");
    inflateEnd(&z);
    weir_chain_clear(&out);
}

static void asks_what_the_client_takes(void **state)
{
    static const struct {
        const char *head;
        bool compressed;
    } cases[] = {
        {REQUEST "\r\n", false},
        {REQUEST GZIP "\r\n", true},
        {REQUEST "Accept-Encoding: br\r\nAccept-Encoding: x, gzip ; q=0.1\r\n\r\n", true},
        {REQUEST "Accept-Encoding: gzip;q=0.000\r\n\r\n", false},
        {REQUEST "Accept-Encoding: gzipped\r\n\r\n", false},
        {REQUEST "Accept-Encoding: *\r\n\r\n", false},
        {"GET / HTTP/1.0\r\n" GZIP "\r\n", false},
        {REQUEST GZIP "Via: 1.1 x\r\n\r\n", false},
    };
    const void *location = unit_location(state, &weir_http_gzip, "gzip on;");

    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        assert_int_equal(is_compressed(asked(state, location, cases[i].head)), cases[i].compressed);
    }
}

static void leaves_alone_what_is_not_for_it(void **state)
{
    const void *location = unit_location(state, &weir_http_gzip, "gzip on; gzip_min_length 60;");
    weir_http_exchange *ex = unit_request(state, REQUEST GZIP "\r\n");

    unit_answer(ex, 500, TEXT);
    assert_int_equal(weir_http_gzip.response_head(ex, location), WEIR_OK);
    assert_false(is_compressed(ex));

    ex = unit_request(state, REQUEST GZIP "\r\n");
    unit_answer(ex, 200, "short");
    assert_int_equal(weir_http_gzip.response_head(ex, location), WEIR_OK);
    assert_false(is_compressed(ex));

    ex = unit_request(state, REQUEST GZIP "\r\n");
    unit_answer(ex, 200, TEXT);
    ex->response.content_type = WEIR_STR("image/png");
    assert_int_equal(weir_http_gzip.response_head(ex, location), WEIR_OK);
    assert_false(is_compressed(ex));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(compresses_a_body_cut_at_any_byte, unit_setup,
                                        unit_teardown),
        cmocka_unit_test_setup_teardown(flushes_each_piece_of_an_event_stream, unit_setup,
                                        unit_teardown),
        cmocka_unit_test_setup_teardown(asks_what_the_client_takes, unit_setup, unit_teardown),
        cmocka_unit_test_setup_teardown(leaves_alone_what_is_not_for_it, unit_setup, unit_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
