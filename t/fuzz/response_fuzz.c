/*
 * Heads of origins' responses, cut at any byte: the first byte says how the rest is cut.  However it comes, what is made of
 * it is the same, and what is accepted has one meaning.
 */

#include <stdlib.h>

#include "modules/http/proxy/response_head.h"

#define LINES_MAX 50

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool is_so)
{
    if (!is_so) {
        abort();
    }
}

static bool is_within(weir_str part, weir_str whole)
{
    return part.len == 0
           || (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

/* Feeds `text` in steps; gives how much of it was taken. */
static weir_http_head_result feed(weir_http_response_head *head, weir_str text, size_t step,
                                  size_t *taken)
{
    size_t scanned = 0;
    size_t end = 0;

    *taken = 0;
    for (;;) {
        const char *why = NULL;
        size_t now;
        weir_http_head_result result;

        end = text.len - end < step ? text.len : end + step;
        result = weir_http_response_head_take(head, weir_str_of(text.data + *taken, end - *taken),
                                              &scanned, &now, &why);
        *taken += now;
        must(*taken <= end);
        switch (result) {
        case WEIR_HTTP_HEAD_MORE:
            scanned -= now;
            must(*taken + scanned == end);
            if (end == text.len) {
                return result;
            }
            break;
        case WEIR_HTTP_HEAD_INTERIM:
            scanned = 0;
            end = *taken;
            must(head->is_interim && head->status < 200 && head->status != 101);
            break;
        case WEIR_HTTP_HEAD_INVALID:
            must(why != NULL);
            return result;
        case WEIR_HTTP_HEAD_COMPLETE:
            return result;
        }
    }
}

static void check(const weir_http_response_head *head, weir_str text)
{
    must(head->status >= 100 && head->status <= 999);
    must(head->status >= 200 || head->status == 101);
    must(is_within(head->status_text, text));
    for (size_t i = 0; i < head->fields.count; i++) {
        const weir_http_field *field = &head->fields.items[i];

        must(weir_http_is_token(field->text) && is_within(field->text, text));
        must(weir_http_is_field_value(field->value) && is_within(field->value, text));
    }
    must(head->content_length >= -1);
    if (head->end == WEIR_HTTP_END_LENGTH) {
        must(head->content_length >= 0);
    }
    if (head->end == WEIR_HTTP_END_CHUNKED) {
        must(head->content_length == -1 && head->version == WEIR_HTTP_11);
    }
    must(!head->keeps || head->end != WEIR_HTTP_END_CLOSE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    weir_pool *pool = weir_pool_new(4096, 0);
    weir_http_response_head whole;
    weir_http_response_head cut;
    size_t taken_whole;
    size_t taken_cut;
    weir_str text;

    if (len < 2 || pool == NULL) {
        weir_pool_free(pool);
        return 0;
    }
    text = weir_str_of((const char *) data + 1, len - 1);
    weir_http_response_head_init(&whole, pool, LINES_MAX);
    weir_http_response_head_init(&cut, pool, LINES_MAX);
    whole.answers_head = cut.answers_head = (data[0] & 0x80) != 0;

    weir_http_head_result result = feed(&whole, text, text.len, &taken_whole);

    must(feed(&cut, text, (data[0] & 0x7f) + 1u, &taken_cut) == result);
    if (result == WEIR_HTTP_HEAD_COMPLETE) {
        must(taken_whole == taken_cut && whole.fields.count == cut.fields.count);
        must(whole.end == cut.end && whole.keeps == cut.keeps);
        must(whole.content_length == cut.content_length && whole.status == cut.status);
        check(&whole, text);
    }
    weir_pool_free(pool);
    return 0;
}
