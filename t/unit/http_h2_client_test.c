#include "modules/http/wire/h2_client.h"

#include "core/base/builder.h"
#include "t/unit/base_unit.h"

/* An origin's frames, taken as they come, and what is to be sent to it. */

#define WINDOW 70000

enum { DATA, HEADERS, RST_STREAM = 3, SETTINGS, PING = 6, GOAWAY, WINDOW_UPDATE };
enum { ENDS = 1, ACK = 1, HEAD_ENDS = 4, PADDED = 8 };

typedef struct {
    weir_http_h2_client *client;
    weir_http_h2_answer answer;
    char sent[8192];
    size_t sent_len;
} asked;

/* What is to be sent, as far as it is looked at. */
static weir_result push(asked *call)
{
    weir_chain out = {0};
    weir_result result = weir_http_h2_client_push(call->client, &out);

    for (const weir_span *span = out.first; span != NULL; span = span->next) {
        size_t room = sizeof(call->sent) - call->sent_len;
        size_t len = span->len < room ? span->len : room;

        memcpy(call->sent + call->sent_len, span->data, len);
        call->sent_len += len;
    }
    weir_chain_clear(&out);
    return result;
}

static void begin(asked *call, weir_pool *pool, bool has_body)
{
    const weir_http_h2_field fields[] = {
        {WEIR_STR(":method"), WEIR_STR("POST")},
        {WEIR_STR(":scheme"), WEIR_STR("http")},
        {WEIR_STR(":path"), WEIR_STR("/")},
        {WEIR_STR("X-Name"), WEIR_STR("a value")},
    };

    call->answer = (weir_http_h2_answer){
        .pool = pool, .head_max = 1000, .lines_max = 20, .wants_trailers = true};
    assert_true(weir_http_h2_client_begin(call->client, &call->answer, fields, WEIR_COUNT(fields),
                                          has_body));
}

static void open(asked *call, weir_pool *pool, bool has_body)
{
    memset(call, 0, sizeof(*call));
    call->client = weir_http_h2_client_new(pool, WINDOW);
    assert_non_null(call->client);
    begin(call, pool, has_body);
    assert_int_equal(push(call), WEIR_OK);
}

static void add_frame(weir_builder *bytes, unsigned type, unsigned flags, unsigned stream,
                      const char *payload, size_t len)
{
    const char head[9] = {
        (char) (len >> 16), (char) (len >> 8), (char) len, (char) type, (char) flags, 0, 0, 0,
        (char) stream};

    weir_builder_add(bytes, weir_str_of(head, sizeof(head)));
    weir_builder_add(bytes, weir_str_of(payload, len));
}

/* ":status: 200"; and "x: y", which HPACK may write so (RFC 7541, 6.2.2). */
#define OK_FIELD "\x88"
#define X_FIELD "\x00\x01x\x01y"

static weir_str whole_answer(weir_pool *pool)
{
    weir_builder bytes;
    weir_str text;

    weir_builder_open(&bytes, pool, SIZE_MAX);
    add_frame(&bytes, SETTINGS, 0, 0, "", 0);
    add_frame(&bytes, HEADERS, HEAD_ENDS, 1, OK_FIELD X_FIELD, sizeof(OK_FIELD X_FIELD) - 1);
    add_frame(&bytes, DATA, 0, 1, "hello", 5);
    add_frame(&bytes, HEADERS, HEAD_ENDS | ENDS, 1, X_FIELD, sizeof(X_FIELD) - 1);
    assert_true(weir_builder_close(&bytes, &text));
    return text;
}

static bool take(asked *call, weir_str bytes)
{
    return weir_http_h2_client_take(call->client, bytes, NULL, 1000);
}

static bool take_frame(asked *call, unsigned type, unsigned flags, unsigned stream,
                       const char *payload, size_t len)
{
    char text[20000];
    weir_builder bytes;

    weir_builder_over(&bytes, text, sizeof(text));
    add_frame(&bytes, type, flags, stream, payload, len);
    return take(call, weir_builder_cut(&bytes));
}

static bool was_sent(const asked *call, const char *text, size_t len)
{
    return weir_str_find(weir_str_of(call->sent, call->sent_len), weir_str_of(text, len)) != NULL;
}

/* ---- */

static void an_answer_is_the_same_wherever_it_is_cut(void **state)
{
    weir_str text = whole_answer(*state);

    for (size_t cut = 0; cut <= text.len; cut++) {
        asked call;
        weir_str body;

        open(&call, *state, false);
        assert_true(take(&call, weir_str_slice(text, 0, cut)));
        assert_true(call.answer.is_ended == (cut == text.len));
        assert_true(take(&call, weir_str_from(text, cut)));
        assert_true(call.answer.is_ended && call.answer.fault == NULL);
        assert_int_equal(call.answer.status, 200);
        assert_int_equal(call.answer.fields.count, 1);
        assert_int_equal(call.answer.trailers.count, 1);
        assert_true(weir_chain_join(&call.answer.body, *state, &body));
        assert_true(weir_str_eq(body, WEIR_STR("hello")));
        weir_http_h2_client_end(call.client);
        assert_true(weir_chain_is_empty(&call.answer.body));
        assert_int_equal(push(&call), WEIR_OK);
        assert_true(weir_http_h2_client_may_begin(call.client));
    }
}

static void a_request_goes_out_behind_the_preface_at_once(void **state)
{
    asked call;

    open(&call, *state, false);
    assert_true(weir_str_starts(weir_str_of(call.sent, call.sent_len),
                                WEIR_STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")));
    assert_false(weir_http_h2_client_may_begin(call.client));
}

static void a_body_goes_out_as_far_as_the_origin_has_room(void **state)
{
    static const char bytes[100000];
    asked call;
    weir_chain body = {0};

    open(&call, *state, true);
    assert_true(weir_chain_add_memory(&body, weir_str_of(bytes, sizeof(bytes))));
    assert_true(weir_http_h2_client_send(call.client, &body, true, NULL, 0));
    while (push(&call) == WEIR_WAIT && call.sent_len < sizeof(call.sent)) {
        continue;
    }
    call.sent_len = 0;
    /* 65535 bytes are out: nothing more before windows open. */
    assert_int_equal(push(&call), WEIR_WAIT);
    assert_int_equal(call.sent_len, 0);
    assert_true(take_frame(&call, SETTINGS, 0, 0, "", 0));
    assert_true(take_frame(&call, 8, 0, 0, "\0\1\0\0", 4));
    assert_true(take_frame(&call, 8, 0, 1, "\0\1\0\0", 4));
    assert_int_equal(push(&call), WEIR_OK);
    assert_int_not_equal(call.sent_len, 0);
    weir_http_h2_client_end(call.client);
}

static void a_ping_is_answered_between_requests_too(void **state)
{
    asked call;

    open(&call, *state, false);
    assert_true(take(&call, whole_answer(*state)));
    weir_http_h2_client_end(call.client);
    assert_int_equal(push(&call), WEIR_OK);
    assert_true(take_frame(&call, PING, 0, 0, "are here", 8));
    assert_int_equal(push(&call), WEIR_OK);
    assert_true(was_sent(&call, "are here", 8));
    assert_true(weir_http_h2_client_may_begin(call.client));
}

static void a_request_that_the_origin_has_not_looked_at_is_told_apart(void **state)
{
    asked call;

    open(&call, *state, false);
    assert_true(take_frame(&call, SETTINGS, 0, 0, "", 0));
    (void) take_frame(&call, GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
    assert_true(call.answer.fault != NULL && call.answer.is_unprocessed);
    weir_http_h2_client_end(call.client);

    open(&call, *state, false);
    assert_true(take_frame(&call, SETTINGS, 0, 0, "", 0));
    assert_true(take_frame(&call, RST_STREAM, 0, 1, "\0\0\0\7", 4));
    assert_true(call.answer.fault != NULL && call.answer.is_unprocessed);
    weir_http_h2_client_end(call.client);
    assert_true(weir_http_h2_client_may_begin(call.client));

    open(&call, *state, false);
    assert_true(take_frame(&call, SETTINGS, 0, 0, "", 0));
    assert_true(take_frame(&call, RST_STREAM, 0, 1, "\0\0\0\2", 4));
    assert_true(call.answer.fault != NULL && !call.answer.is_unprocessed);
    assert_int_equal(call.answer.error_code, 2);
    weir_http_h2_client_end(call.client);
}

static void an_answer_whose_origin_leaves_comes_to_its_end(void **state)
{
    asked call;

    open(&call, *state, false);
    assert_true(take_frame(&call, SETTINGS, 0, 0, "", 0));
    assert_true(take_frame(&call, GOAWAY, 0, 0, "\0\0\0\1\0\0\0\0", 8));
    assert_null(call.answer.fault);
    (void) take_frame(&call, HEADERS, HEAD_ENDS | ENDS, 1, OK_FIELD, 1);
    assert_true(call.answer.is_ended);
    weir_http_h2_client_end(call.client);
    assert_false(weir_http_h2_client_may_begin(call.client));
}

static void an_origin_that_sends_more_than_its_window_is_not_heard(void **state)
{
    static const char bytes[16384];
    asked call;
    bool is_good = true;

    open(&call, *state, false);
    assert_true(take_frame(&call, SETTINGS, 0, 0, "", 0));
    assert_true(take_frame(&call, HEADERS, HEAD_ENDS, 1, OK_FIELD, 1));
    for (unsigned i = 0; is_good && i < 10; i++) {
        is_good = take_frame(&call, DATA, 0, 1, bytes, sizeof(bytes)) && call.answer.fault == NULL;
        assert_true(call.answer.body.len <= WINDOW);
    }
    assert_false(is_good);
    assert_non_null(call.answer.fault);
    weir_http_h2_client_end(call.client);
}

static uint32_t number_at(const char *bytes, size_t len)
{
    uint32_t number = 0;

    for (size_t i = 0; i < len; i++) {
        number = number << 8 | (uint8_t) bytes[i];
    }
    return number;
}

/* What the origin may send, by what it was told until now, if it has sent nothing. */
static uint64_t room_of(const asked *call, uint32_t stream)
{
    weir_str sent = weir_str_from(weir_str_of(call->sent, call->sent_len), 24);
    uint64_t room = 65535;

    assert_true(call->sent_len < sizeof(call->sent));
    while (sent.len != 0) {
        size_t len = number_at(sent.data, 3);
        weir_str payload = weir_str_slice(sent, 9, 9 + len);

        if (sent.data[3] == WINDOW_UPDATE && number_at(sent.data + 5, 4) == stream) {
            room += number_at(payload.data, 4);
        }
        for (size_t i = 0; stream != 0 && sent.data[3] == SETTINGS && i < len; i += 6) {
            room = number_at(payload.data + i, 2) == 4 ? number_at(payload.data + i + 2, 4) : room;
        }
        sent = weir_str_from(sent, 9 + len);
    }
    return room;
}

static uint64_t room_left(const asked *call, uint64_t sent)
{
    uint64_t of_all = room_of(call, 0), of_stream = room_of(call, 1);

    return (of_all < of_stream ? of_all : of_stream) - sent;
}

/* Half a window of padding comes first, so that windows open between a frame's padding and its content. */
static void padding_lets_no_answer_beyond_its_window(void **state)
{
    static const char padding[256] = {(char) 0xff}, bytes[16384];
    uint64_t sent = 0, taken;
    asked call;

    open(&call, *state, false);
    assert_true(take_frame(&call, SETTINGS, 0, 0, "", 0));
    assert_true(take_frame(&call, SETTINGS, ACK, 0, "", 0));
    assert_true(take_frame(&call, HEADERS, HEAD_ENDS, 1, OK_FIELD, 1));
    for (; sent + sizeof(padding) < WINDOW / 2 - 1; sent += sizeof(padding)) {
        assert_true(take_frame(&call, DATA, PADDED, 1, padding, sizeof(padding)));
    }
    for (; sent < WINDOW / 2 - 1; sent++) {
        assert_true(take_frame(&call, DATA, PADDED, 1, "", 1));
    }
    assert_int_equal(push(&call), WEIR_OK);
    assert_int_equal(room_left(&call, sent), WINDOW - sent);
    for (unsigned flags = PADDED; room_left(&call, sent) >= sizeof(bytes); flags = 0) {
        assert_true(take_frame(&call, DATA, flags, 1, bytes, sizeof(bytes)));
        sent += sizeof(bytes);
        assert_int_equal(push(&call), WEIR_OK);
    }
    assert_null(call.answer.fault);

    taken = call.answer.body.len;
    (void) take_frame(&call, DATA, ENDS, 1, bytes, (size_t) room_left(&call, sent) + 1);
    assert_non_null(call.answer.fault);
    assert_int_equal(call.answer.body.len, taken);
    weir_http_h2_client_end(call.client);
}

static void a_request_that_nobody_wants_any_more_is_cancelled(void **state)
{
    asked call;

    open(&call, *state, true);
    weir_http_h2_client_end(call.client);
    assert_int_equal(push(&call), WEIR_OK);
    assert_true(was_sent(&call, "\0\0\4\3\0\0\0\0\1\0\0\0\x8", 13));
    assert_true(weir_http_h2_client_may_begin(call.client));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_with_pool(an_answer_is_the_same_wherever_it_is_cut),
        unit_test_with_pool(a_request_goes_out_behind_the_preface_at_once),
        unit_test_with_pool(a_body_goes_out_as_far_as_the_origin_has_room),
        unit_test_with_pool(a_ping_is_answered_between_requests_too),
        unit_test_with_pool(a_request_that_the_origin_has_not_looked_at_is_told_apart),
        unit_test_with_pool(an_answer_whose_origin_leaves_comes_to_its_end),
        unit_test_with_pool(an_origin_that_sends_more_than_its_window_is_not_heard),
        unit_test_with_pool(padding_lets_no_answer_beyond_its_window),
        unit_test_with_pool(a_request_that_nobody_wants_any_more_is_cancelled),
    };

    return cmocka_run_group_tests_name("http2 toward origins", tests, NULL, NULL);
}
