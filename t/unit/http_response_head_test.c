#include "modules/http/proxy/response_head.h"

#include "core/base/builder.h"
#include "t/unit/base_unit.h"

#define LINES_MAX 10

/* Feeds the text cut in two; what the second piece makes of it. */
static weir_http_head_result take_cut(weir_http_response_head *head, weir_pool *pool, weir_str text,
                                      size_t cut, size_t *taken, const char **why)
{
    size_t scanned = 0;
    size_t now;
    weir_http_head_result result;

    weir_http_response_head_init(head, pool, LINES_MAX);
    result = weir_http_response_head_take(head, weir_str_slice(text, 0, cut), &scanned, taken, why);
    if (result != WEIR_HTTP_HEAD_MORE) {
        return result;
    }
    scanned -= *taken;
    result = weir_http_response_head_take(head, weir_str_from(text, *taken), &scanned, &now, why);
    *taken += now;
    return result;
}

static weir_http_head_result take(weir_http_response_head *head, weir_pool *pool, const char *text,
                                  const char **why)
{
    size_t taken;

    return take_cut(head, pool, weir_str_from_z(text), strlen(text), &taken, why);
}

static void a_head_is_the_same_wherever_it_is_cut(void **state)
{
    weir_str text = WEIR_STR("HTTP/1.1 201 Made Here\r\nX-A:  b \r\nContent-Length: 2\r\n"
                             "X-A: c\n\r\nhi");

    for (size_t cut = 0; cut <= text.len; cut++) {
        weir_http_response_head head;
        const char *why;
        size_t taken;

        assert_int_equal(take_cut(&head, *state, text, cut, &taken, &why), WEIR_HTTP_HEAD_COMPLETE);
        assert_int_equal(taken, text.len - 2);
        assert_int_equal(head.bytes, text.len - 2);
        assert_int_equal(head.status, 201);
        assert_str(head.status_text, "201 Made Here");
        assert_int_equal(head.fields.count, 3);
        assert_str(weir_http_fields_find_text(&head.fields, WEIR_STR("x-a"))->value, "b");
        assert_int_equal(head.end, WEIR_HTTP_END_LENGTH);
        assert_int_equal(head.content_length, 2);
        assert_true(head.keeps);
    }
}

static void each_prefix_waits_for_more(void **state)
{
    weir_str text = WEIR_STR("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");

    for (size_t len = 0; len < text.len; len++) {
        weir_http_response_head head;
        const char *why;
        size_t scanned = 0;
        size_t taken;

        weir_http_response_head_init(&head, *state, LINES_MAX);
        assert_int_equal(weir_http_response_head_take(&head, weir_str_slice(text, 0, len), &scanned,
                                                      &taken, &why),
                         WEIR_HTTP_HEAD_MORE);
        assert_int_equal(scanned, len);
    }
}

static void interim_responses_leave_nothing_behind(void **state)
{
    const char *text = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 None\r\n\r\n";
    weir_http_response_head head;
    const char *why;
    size_t scanned = 0;
    size_t taken;

    /* It stays until the next one is read. */
    assert_int_equal(take(&head, *state, text, &why), WEIR_HTTP_HEAD_INTERIM);
    assert_int_equal(head.status, 103);
    assert_int_equal(head.fields.count, 1);
    weir_http_response_head_init(&head, *state, LINES_MAX);
    assert_int_equal(
        weir_http_response_head_take(&head, weir_str_from_z(text), &scanned, &taken, &why),
        WEIR_HTTP_HEAD_INTERIM);
    text += taken;
    scanned = 0;
    assert_int_equal(
        weir_http_response_head_take(&head, weir_str_from_z(text), &scanned, &taken, &why),
        WEIR_HTTP_HEAD_COMPLETE);
    assert_int_equal(head.status, 204);
    assert_int_equal(head.fields.count, 0);
}

static void the_end_of_the_body_is_as_rfc_9112_says(void **state)
{
    static const struct {
        const char *text;
        bool answers_head;
        weir_http_end end;
        bool keeps;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\n\r\n", false, WEIR_HTTP_END_CLOSE, false},
        {"HTTP/1.1 200 OK\r\n\r\n", true, WEIR_HTTP_END_NONE, true},
        {"HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n", false, WEIR_HTTP_END_NONE, true},
        {"HTTP/1.1 204 None\r\nTransfer-Encoding: chunked\r\n\r\n", false, WEIR_HTTP_END_NONE,
         true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", false, WEIR_HTTP_END_CHUNKED,
         true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, WEIR_HTTP_END_LENGTH, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: x, Close\r\n\r\n", false,
         WEIR_HTTP_END_LENGTH, false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", false, WEIR_HTTP_END_LENGTH, false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n", false,
         WEIR_HTTP_END_LENGTH, true},
        {"HTTP/1.1 101 Other\r\nUpgrade: x\r\n\r\n", false, WEIR_HTTP_END_NONE, false},
    };

    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        weir_http_response_head head;
        const char *why;
        size_t scanned = 0;
        size_t taken;

        weir_http_response_head_init(&head, *state, LINES_MAX);
        head.answers_head = cases[i].answers_head;
        assert_int_equal(weir_http_response_head_take(&head, weir_str_from_z(cases[i].text),
                                                      &scanned, &taken, &why),
                         WEIR_HTTP_HEAD_COMPLETE);
        assert_int_equal(head.end, cases[i].end);
        assert_int_equal(head.keeps, cases[i].keeps);
    }
}

static void what_two_could_read_differently_is_refused(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"220 mail.test ESMTP\r\n", "no valid HTTP/1.0 header"},
        {"HTTP/2.0 200 OK\r\n", "no valid HTTP/1.0 header"},
        {"HTTP/1.1 20 OK\r\n", "no valid HTTP/1.0 header"},
        {"HTTP/1.1 2000 OK\r\n", "no valid HTTP/1.0 header"},
        {"\r\n", "no valid HTTP/1.0 header"},
        {"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n", "invalid header"},
        {"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n", "invalid header"},
        {"HTTP/1.1 200 OK\r\nno colon\r\n", "invalid header"},
        {"HTTP/1.1 200 OK\r\nX: a\rb\r\n", "invalid header"},
        {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "invalid \"Content-Length\""},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n", "invalid \"Content-Length\""},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "duplicate"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         "at the same time"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "unknown"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
         "duplicate"},
        {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.0 response"},
    };

    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        weir_http_response_head head;
        const char *why = NULL;

        assert_int_equal(take(&head, *state, cases[i].text, &why), WEIR_HTTP_HEAD_INVALID);
        if (strstr(why, cases[i].why) == NULL) {
            fail_msg("case %zu: wanted \"%s\", got \"%s\"", i, cases[i].why, why);
        }
    }
}

static void the_number_of_fields_is_bounded(void **state)
{
    for (size_t count = LINES_MAX; count <= LINES_MAX + 1; count++) {
        weir_http_response_head head;
        const char *why = NULL;
        weir_builder text;
        weir_str line;
        size_t scanned = 0;
        size_t taken;
        weir_http_head_result result;

        weir_builder_open(&text, *state, 1024);
        weir_builder_add(&text, WEIR_STR("HTTP/1.1 200 OK\r\n"));
        for (size_t i = 0; i < count; i++) {
            weir_builder_add(&text, WEIR_STR("X: a\r\n"));
        }
        assert_true(weir_builder_close(&text, &line));

        weir_http_response_head_init(&head, *state, LINES_MAX);
        result = weir_http_response_head_take(&head, line, &scanned, &taken, &why);
        if (count == LINES_MAX) {
            assert_int_equal(result, WEIR_HTTP_HEAD_MORE);
        } else {
            assert_int_equal(result, WEIR_HTTP_HEAD_INVALID);
            assert_string_equal(why, "upstream sent too many header lines");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_with_pool(a_head_is_the_same_wherever_it_is_cut),
        unit_test_with_pool(each_prefix_waits_for_more),
        unit_test_with_pool(interim_responses_leave_nothing_behind),
        unit_test_with_pool(the_end_of_the_body_is_as_rfc_9112_says),
        unit_test_with_pool(what_two_could_read_differently_is_refused),
        unit_test_with_pool(the_number_of_fields_is_bounded),
    };

    return cmocka_run_group_tests_name("http response head", tests, NULL, NULL);
}
