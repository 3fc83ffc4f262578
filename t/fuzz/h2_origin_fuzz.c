/*
 * What an origin says over HTTP/2 in answer to a request, cut at any byte: the first byte says how the rest is cut, and what
 * was asked.  However it comes, what is made of it is the same; what is accepted is well-formed, has one meaning and no more
 * bytes than the window; and nothing is left behind.
 */

#include <stdlib.h>

#include "modules/http/wire/h2_client.h"

#define WINDOW 65535
#define HEAD_MAX 2000
#define LINES_MAX 50
#define NOW_MS 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool is_so)
{
    if (!is_so) {
        abort();
    }
}

typedef struct {
    weir_pool *pool;
    weir_http_h2_client *client;
    weir_http_h2_answer answer;
    uint64_t bytes; /* of the body */
    bool asks_head;
} asked;

static void must_be_sound(const weir_http_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        const weir_http_field *field = &fields->items[i];

        must(weir_http_is_token(field->text) && weir_http_is_field_value(field->value));
        must(field->name != WEIR_HTTP_CONNECTION && field->name != WEIR_HTTP_TRANSFER_ENCODING
             && field->name != WEIR_HTTP_KEEP_ALIVE && field->name != WEIR_HTTP_UPGRADE);
    }
}

static void check(const asked *call)
{
    const weir_http_h2_answer *answer = &call->answer;

    must(call->bytes <= WINDOW);
    if (answer->head_is_complete) {
        must(answer->status >= 200 && answer->status <= 999);
        must(answer->content_length >= -1);
        must_be_sound(&answer->fields);
    }
    must(!answer->is_ended || (answer->head_is_complete && answer->fault == NULL));
    must(!answer->is_unprocessed || (answer->fault != NULL && !answer->head_is_complete));
    must_be_sound(&answer->trailers);
    must_be_sound(&answer->hints);
    if (answer->is_ended && answer->content_length >= 0 && !call->asks_head && answer->status != 304
        && answer->status != 204) {
        must((uint64_t) answer->content_length == call->bytes);
    }
}

static void drop_output(asked *call)
{
    weir_chain out = {0};

    while (weir_http_h2_client_push(call->client, &out) == WEIR_WAIT
           && !weir_chain_is_empty(&out)) {
        weir_chain_clear(&out);
    }
    weir_chain_clear(&out);
}

static bool begin(asked *call)
{
    static const char body[] = "a body";
    const weir_http_h2_field fields[] = {
        {WEIR_STR(":method"), call->asks_head ? WEIR_STR("HEAD") : WEIR_STR("POST")},
        {WEIR_STR(":scheme"), WEIR_STR("http")},
        {WEIR_STR(":authority"), WEIR_STR("origin")},
        {WEIR_STR(":path"), WEIR_STR("/")},
    };
    weir_chain sent = {0};

    call->pool = weir_pool_new(4096, 0);
    if (call->pool == NULL
        || (call->client = weir_http_h2_client_new(call->pool, WINDOW)) == NULL) {
        return false;
    }
    call->answer = (weir_http_h2_answer){
        .pool = call->pool,
        .head_max = HEAD_MAX,
        .lines_max = LINES_MAX,
        .wants_trailers = true,
    };
    must(weir_http_h2_client_may_begin(call->client));
    if (!weir_http_h2_client_begin(call->client, &call->answer, fields, WEIR_COUNT(fields),
                                   !call->asks_head)
        || !weir_chain_add_memory(&sent, weir_str_of(body, sizeof(body) - 1))
        || !weir_http_h2_client_send(call->client, &sent, true, NULL, 0)) {
        return false;
    }
    drop_output(call);
    return true;
}

/* Feeds all in steps, until the answer is there or cannot be. */
static void feed(asked *call, weir_str text, size_t step)
{
    while (text.len != 0 && !call->answer.is_ended && call->answer.fault == NULL) {
        weir_str part = weir_str_slice(text, 0, step);

        if (!weir_http_h2_client_take(call->client, part, NULL, NOW_MS)) {
            must(call->answer.is_ended || call->answer.fault != NULL);
            break;
        }
        drop_output(call);
        text = weir_str_from(text, part.len);
    }
    call->bytes = call->answer.body.len;
    check(call);
}

static void end(asked *call)
{
    if (call->client != NULL) {
        weir_http_h2_client_end(call->client);
        must(weir_chain_is_empty(&call->answer.body));
        drop_output(call);
    }
    weir_pool_free(call->pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    asked whole = {0};
    asked cut = {0};
    weir_str text;

    if (len < 2) {
        return 0;
    }
    text = weir_str_of((const char *) data + 1, len - 1);
    whole.asks_head = cut.asks_head = (data[0] & 0x80) != 0;
    if (begin(&whole) && begin(&cut)) {
        feed(&whole, text, text.len);
        feed(&cut, text, (data[0] & 0x7f) + 1u);
        /* What stands behind an answer in one read may spoil it, as the guard looks at all of it first; nothing else may. */
        if (whole.answer.fault == NULL) {
            must(cut.answer.fault == NULL && whole.answer.is_ended == cut.answer.is_ended
                 && whole.answer.head_is_complete == cut.answer.head_is_complete
                 && whole.answer.status == cut.answer.status && whole.bytes == cut.bytes
                 && whole.answer.fields.count == cut.answer.fields.count
                 && whole.answer.trailers.count == cut.answer.trailers.count);
        } else {
            must(!whole.answer.is_ended);
        }
    }
    end(&whole);
    end(&cut);
    must(weir_blocks_in_use() == 0);
    return 0;
}
