#include "modules/http/wire/chunked.h"
#include "modules/http/wire/h1_parse.h"

#include "core/base/builder.h"
#include "t/unit/base_unit.h"

/* ---- request lines */

static unsigned request_line(const char *text, weir_http_request_line *parsed)
{
    return weir_http_parse_request_line(weir_str_from_z(text), parsed);
}

static void a_request_line_has_three_parts(void **state)
{
    weir_http_request_line parsed;

    (void) state;
    assert_int_equal(request_line("GET /a?b=c HTTP/1.1", &parsed), 0);
    assert_str(parsed.method, "GET");
    assert_str(parsed.target, "/a?b=c");
    assert_int_equal(parsed.version, WEIR_HTTP_11);
    assert_int_equal(request_line("X-Y_Z / HTTP/1.0", &parsed), 0);
    assert_int_equal(parsed.version, WEIR_HTTP_10);
    assert_int_equal(request_line("get / HTTP/1.1", &parsed), 400);
    assert_int_equal(request_line("GET1 / HTTP/1.1", &parsed), 400);
}

static void an_absolute_form_has_its_authority_taken_off(void **state)
{
    weir_http_request_line parsed;

    (void) state;
    assert_int_equal(request_line("GET http://a.test:80/x?y HTTP/1.1", &parsed), 0);
    assert_str(parsed.authority, "a.test:80");
    assert_str(parsed.target, "/x?y");
    assert_int_equal(request_line("GET HTTPS://a.test HTTP/1.1", &parsed), 0);
    assert_str(parsed.target, "/");
    assert_int_equal(request_line("GET http://u@a.test/ HTTP/1.1", &parsed), 400);
    assert_int_equal(request_line("GET http:/// HTTP/1.1", &parsed), 400);
    assert_int_equal(request_line("GET ftp://a.test/ HTTP/1.1", &parsed), 400);
}

static void forms_of_target_go_with_their_methods(void **state)
{
    weir_http_request_line parsed;

    (void) state;
    assert_int_equal(request_line("OPTIONS * HTTP/1.1", &parsed), 0);
    assert_int_equal(request_line("GET * HTTP/1.1", &parsed), 400);
    assert_int_equal(request_line("CONNECT a.test:443 HTTP/1.1", &parsed), 0);
    assert_str(parsed.authority, "a.test:443");
    assert_int_equal(request_line("GET a.test:443 HTTP/1.1", &parsed), 400);
}

static void what_is_no_request_line_is_refused(void **state)
{
    static const char *const lines[] = {
        "",
        " ",
        "GET",
        "GET ",
        " GET / HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.1x",
        "GET /\tHTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1",
        "GET / HTTP/11",
        "G<T / HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /\x01 HTTP/1.1",
        "POST /",
        "GET /\x7f HTTP/1.1",
        "GET / HTTP/1.1\r",
    };
    weir_http_request_line parsed;

    (void) state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (request_line(lines[i], &parsed) != 400) {
            fail_msg("taken: \"%s\"", lines[i]);
        }
    }
}

static void other_major_versions_are_not_spoken(void **state)
{
    weir_http_request_line parsed;

    (void) state;
    assert_int_equal(request_line("GET / HTTP/2.0", &parsed), 505);
    assert_int_equal(request_line("GET / HTTP/0.9", &parsed), 400);
    assert_int_equal(request_line("GET / HTTP/1.2", &parsed), 0);
    assert_int_equal(parsed.version, WEIR_HTTP_11);
}

static void a_line_of_two_words_is_http_09(void **state)
{
    weir_http_request_line parsed;

    (void) state;
    assert_int_equal(request_line("GET /", &parsed), 0);
    assert_int_equal(parsed.version, WEIR_HTTP_09);
}

/* ---- status lines */

static void a_status_line_may_lack_its_reason(void **state)
{
    weir_http_status_line parsed;

    (void) state;
    assert_true(weir_http_parse_status_line(WEIR_STR("HTTP/1.1 404 Not  Found"), &parsed));
    assert_int_equal(parsed.status, 404);
    assert_str(parsed.status_text, "404 Not  Found");
    assert_true(weir_http_parse_status_line(WEIR_STR("HTTP/1.0 200"), &parsed));
    assert_str(parsed.status_text, "200");
    assert_int_equal(parsed.version, WEIR_HTTP_10);
}

static void what_is_no_status_line_is_refused(void **state)
{
    static const char *const lines[] = {
        "",
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/1.1 20",
        "HTTP/1.1 2x0 OK",
        "HTTP/1.1 099 X",
        "HTTP/2.0 200 OK",
        "HTTP/1.1200 OK",
        "HTTP/1.1 2000 OK",
        "ICY 200 OK....",
        "HTTP/1.1 200 O\x01K",
        "HTTP/1.1 -20 OK",
    };
    weir_http_status_line parsed;

    (void) state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (weir_http_parse_status_line(weir_str_from_z(lines[i]), &parsed)) {
            fail_msg("taken: \"%s\"", lines[i]);
        }
    }
}

/* ---- field lines */

static weir_http_field_verdict field_line(weir_str line)
{
    weir_http_field_line parsed;

    return weir_http_parse_field_line(line, &parsed);
}

static void a_value_loses_the_space_around_it(void **state)
{
    weir_http_field_line parsed;

    (void) state;
    assert_int_equal(weir_http_parse_field_line(WEIR_STR("A-b: \t x y \t"), &parsed),
                     WEIR_HTTP_FIELD_VALID);
    assert_int_equal(parsed.known, WEIR_HTTP_OTHER);
    assert_str(parsed.name, "A-b");
    assert_str(parsed.value, "x y");
    assert_int_equal(weir_http_parse_field_line(WEIR_STR("A_b:"), &parsed), WEIR_HTTP_FIELD_VALID);
    assert_str(parsed.value, "");
    assert_int_equal(weir_http_parse_field_line(WEIR_STR("hOST:a"), &parsed),
                     WEIR_HTTP_FIELD_VALID);
    assert_int_equal(parsed.known, WEIR_HTTP_HOST);
    assert_str(parsed.name, "hOST");
}

/* Values are read in words, the last of which overlaps the one before. */
static void a_control_is_found_wherever_it_stands(void **state)
{
    char line[2 + 40] = "a:";

    (void) state;
    for (size_t len = 1; len <= 40; len++) {
        for (size_t place = 0; place < len; place++) {
            memset(line + 2, 'x', len);
            line[2 + place] = '\t';
            assert_int_equal(field_line(weir_str_of(line, 2 + len)), WEIR_HTTP_FIELD_VALID);
            line[2 + place] = '\x7f';
            assert_int_equal(field_line(weir_str_of(line, 2 + len)), WEIR_HTTP_FIELD_MALFORMED);
            line[2 + place] = '\x1f';
            assert_int_equal(field_line(weir_str_of(line, 2 + len)), WEIR_HTTP_FIELD_MALFORMED);
        }
    }
}

static void what_two_could_read_differently_is_malformed(void **state)
{
    (void) state;
    assert_int_equal(field_line(WEIR_STR("A : b")), WEIR_HTTP_FIELD_MALFORMED);
    assert_int_equal(field_line(WEIR_STR(" A: b")), WEIR_HTTP_FIELD_MALFORMED);
    assert_int_equal(field_line(WEIR_STR("\tA: b")), WEIR_HTTP_FIELD_MALFORMED);
    assert_int_equal(field_line(WEIR_STR("A b: c")), WEIR_HTTP_FIELD_MALFORMED);
    assert_int_equal(field_line(WEIR_STR(": b")), WEIR_HTTP_FIELD_MALFORMED);
    assert_int_equal(field_line(WEIR_STR("A")), WEIR_HTTP_FIELD_MALFORMED);
    assert_int_equal(field_line(WEIR_STR("")), WEIR_HTTP_FIELD_MALFORMED);
    assert_int_equal(field_line(WEIR_STR("A: b\rc")), WEIR_HTTP_FIELD_MALFORMED);
    assert_int_equal(field_line(WEIR_STR("A: b\0c")), WEIR_HTTP_FIELD_MALFORMED);
    assert_int_equal(field_line(WEIR_STR("A\0: b")), WEIR_HTTP_FIELD_MALFORMED);
    assert_int_equal(field_line(WEIR_STR("A: \x7f")), WEIR_HTTP_FIELD_MALFORMED);
}

static void a_name_that_is_no_token_is_odd(void **state)
{
    (void) state;
    assert_int_equal(field_line(WEIR_STR("A(b): c")), WEIR_HTTP_FIELD_ODD_NAME);
    assert_int_equal(field_line(WEIR_STR("\xc3\xa9: c")), WEIR_HTTP_FIELD_ODD_NAME);
}

static void a_length_is_digits_and_nothing_else(void **state)
{
    static const char *const texts[] = {"",
                                        "+1",
                                        "-1",
                                        "1 ",
                                        " 1",
                                        "0x1",
                                        "1,1",
                                        "1.0",
                                        "9223372036854775808",
                                        "99999999999999999999999"};
    int64_t length;

    (void) state;
    assert_true(weir_http_parse_content_length(WEIR_STR("9223372036854775807"), &length));
    assert_true(length == INT64_MAX);
    assert_true(weir_http_parse_content_length(WEIR_STR("007"), &length));
    assert_true(length == 7);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_false(weir_http_parse_content_length(weir_str_from_z(texts[i]), &length));
    }
}

/* ---- chunked */

/* Decodes `text` in pieces of `piece` bytes into `content`. */
static weir_result decode(weir_pool *pool, weir_str text, size_t piece, weir_builder *content,
                          weir_http_fields *trailers)
{
    weir_http_chunked chunked = {.pool = pool, .trailers = trailers, .trailer_bytes_max = 256};
    size_t at = 0;

    while (at < text.len && !chunked.is_complete) {
        weir_str here = weir_str_slice(text, at, at + piece);
        size_t framing;
        size_t data;

        if (weir_http_chunked_next(&chunked, here, &framing, &data) == WEIR_FAIL) {
            return WEIR_FAIL;
        }
        weir_builder_add(content, weir_str_slice(here, framing, framing + data));
        at += framing + data;
    }
    return chunked.is_complete ? WEIR_OK : WEIR_WAIT;
}

static void chunks_are_joined_however_they_are_cut(void **state)
{
    static const weir_str text =
        WEIR_STR_INIT("5;x=\"y\"\r\nhello\r\n00A \r\n, world...\r\n0\r\nA: b\r\nC: d\r\n\r\nrest");

    for (size_t piece = 1; piece <= text.len; piece++) {
        weir_http_fields trailers;
        weir_builder content;
        weir_str joined;

        weir_http_fields_init(&trailers, *state, 10);
        weir_builder_open(&content, *state, 1000);
        assert_int_equal(decode(*state, text, piece, &content, &trailers), WEIR_OK);
        assert_true(weir_builder_close(&content, &joined));
        assert_str(joined, "hello, world...");
        assert_int_equal(trailers.count, 2);
        assert_str(trailers.items[1].value, "d");
    }
}

/* Chunks of one byte, each with an extension of so many. */
static weir_result decode_chunks(weir_pool *pool, size_t chunks, size_t extension, size_t piece)
{
    weir_builder text, content;
    weir_str all;

    weir_builder_open(&text, pool, SIZE_MAX);
    weir_builder_open(&content, pool, SIZE_MAX);
    for (size_t i = 0; i < chunks; i++) {
        weir_builder_add(&text, WEIR_STR("1;"));
        for (size_t left = extension; left != 0; left--) {
            weir_builder_add_byte(&text, 'x');
        }
        weir_builder_add(&text, WEIR_STR("\r\na\r\n"));
    }
    weir_builder_add(&text, WEIR_STR("0\r\n\r\n"));
    assert_true(weir_builder_close(&text, &all));
    return decode(pool, all, piece, &content, NULL);
}

static void framing_is_bounded_by_what_it_frames(void **state)
{
    static const size_t pieces[] = {1, 7, 4096, SIZE_MAX / 2};

    for (size_t i = 0; i < WEIR_COUNT(pieces); i++) {
        assert_int_equal(decode_chunks(*state, 15, 4000, pieces[i]), WEIR_OK);
        assert_int_equal(decode_chunks(*state, 17, 4000, pieces[i]), WEIR_FAIL);
        assert_int_equal(decode_chunks(*state, 30000, 8, pieces[i]), WEIR_OK);
    }
}

static void each_prefix_waits_for_more(void **state)
{
    static const weir_str text = WEIR_STR_INIT("1\r\na\r\n0\r\nA: b\r\n\r\n");

    for (size_t len = 0; len < text.len; len++) {
        weir_builder content;

        weir_builder_open(&content, *state, 1000);
        assert_int_equal(decode(*state, weir_str_slice(text, 0, len), 1000, &content, NULL),
                         WEIR_WAIT);
    }
}

static void framing_that_is_not_by_the_letter_is_refused(void **state)
{
    static const char *const texts[] = {
        "\r\n",
        "x\r\n",
        "-1\r\n",
        "0x5\r\n",
        " 5\r\n",
        "5 5\r\n",
        "5 x\r\n",
        "5\nhello\r\n",
        "5\rhello",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5;a\nhello\r\n",
        "5;a\x01\r\n",
        "fffffffffffffffff\r\n",
        "0000000000000000000000005\r\nhello",
        "0\r\nA: b\n\r\n",
        "0\r\nA : b\r\n\r\n",
        "0\r\n A: b\r\n\r\n",
        "0\r\nA: b\rc\r\n\r\n",
        "0\r\n\n",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        weir_builder content;

        weir_builder_open(&content, *state, 1000);
        if (decode(*state, weir_str_from_z(texts[i]), 1000, &content, NULL) != WEIR_FAIL) {
            fail_msg("taken: \"%s\"", texts[i]);
        }
    }
}

static void extensions_and_trailers_are_bounded(void **state)
{
    weir_builder content;
    char text[6000] = "1;";

    memset(text + 2, 'x', sizeof(text) - 3);
    weir_builder_open(&content, *state, 1000);
    assert_int_equal(decode(*state, weir_str_from_z(text), 7, &content, NULL), WEIR_FAIL);

    memcpy(text, "0\r\nA: ", 6);
    memset(text + 6, 'x', sizeof(text) - 7);
    assert_int_equal(decode(*state, weir_str_from_z(text), 7, &content, NULL), WEIR_FAIL);
}


int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_line_has_three_parts),
        cmocka_unit_test(an_absolute_form_has_its_authority_taken_off),
        cmocka_unit_test(forms_of_target_go_with_their_methods),
        cmocka_unit_test(what_is_no_request_line_is_refused),
        cmocka_unit_test(other_major_versions_are_not_spoken),
        cmocka_unit_test(a_line_of_two_words_is_http_09),
        cmocka_unit_test(a_status_line_may_lack_its_reason),
        cmocka_unit_test(what_is_no_status_line_is_refused),
        cmocka_unit_test(a_value_loses_the_space_around_it),
        cmocka_unit_test(a_control_is_found_wherever_it_stands),
        cmocka_unit_test(what_two_could_read_differently_is_malformed),
        cmocka_unit_test(a_name_that_is_no_token_is_odd),
        cmocka_unit_test(a_length_is_digits_and_nothing_else),
        unit_test_with_pool(chunks_are_joined_however_they_are_cut),
        unit_test_with_pool(framing_is_bounded_by_what_it_frames),
        unit_test_with_pool(each_prefix_waits_for_more),
        unit_test_with_pool(framing_that_is_not_by_the_letter_is_refused),
        unit_test_with_pool(extensions_and_trailers_are_bounded),
    };

    return cmocka_run_group_tests_name("http head", tests, NULL, NULL);
}
