/*
 * range: parts of a representation (RFC 9110, 14).
 *
 *     max_ranges 4;       more are answered with the whole; 0 switches ranges off
 */

#include "modules/http/engine/core_conf.h"

#include "core/base/clock.h"
#include "core/base/number.h"
#include "core/base/random.h"

typedef struct {
    uint64_t max_ranges;
} range_conf;

/* From `start` up to, and without, `end`. */
typedef struct {
    uint64_t start, end;
} range_part;

/* Of a body that is not all there when the head goes out. */
typedef struct {
    uint64_t skip, left;
} range_state;

extern const weir_http_module weir_http_range;

static const weir_directive range_directives[] = {
    {
        .name = "max_ranges",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_UINT(range_conf, max_ranges, 0, INT32_MAX),
        .preset = "2147483647",
        .doc = "How many ranges a request may ask for; 0: none.",
    },
    {0},
};

/* ---- reading what was asked for */

typedef enum {
    RANGES_TAKEN,
    RANGES_IGNORED,
    RANGES_BAD,
} range_result;

/* Digits; none are 0.  What is too large to count is no position in anything. */
static bool take_number(weir_str *rest, uint64_t *number, bool *has_digits)
{
    size_t len = 0;

    while (len < rest->len && rest->data[len] >= '0' && rest->data[len] <= '9') {
        len++;
    }
    *has_digits = len != 0;
    *number = 0;
    if (len != 0 && !weir_parse_uint(weir_str_slice(*rest, 0, len), INT64_MAX, number)) {
        return false;
    }
    *rest = weir_str_from(*rest, len);
    return true;
}

/* "2-4", "5-", "-3". */
static bool part_parse(weir_str text, uint64_t length, range_part *part)
{
    weir_str rest = weir_str_trim(text);
    bool has_start, has_end;
    uint64_t end;

    if (!take_number(&rest, &part->start, &has_start)) {
        return false;
    }
    rest = weir_str_trim(rest);
    if (rest.len == 0 || rest.data[0] != '-') {
        return false;
    }
    rest = weir_str_trim(weir_str_from(rest, 1));
    if (!take_number(&rest, &end, &has_end) || rest.len != 0 || (!has_start && !has_end)) {
        return false;
    }

    if (!has_start) {
        part->start = end < length ? length - end : 0;
        part->end = length;
        return true;
    }
    /* One that ends before it begins is invalid (RFC 9110, 14.1.1), and empty: others may be good. */
    part->end = has_end && end < length ? end + 1 : length;
    return true;
}

static range_result parts_parse(const range_conf *conf, weir_str text, uint64_t length,
                                weir_array *parts)
{
    uint64_t left = conf->max_ranges;
    uint64_t sum = 0;
    bool is_empty = false;
    weir_str item;

    while (weir_str_split(&text, ',', &item)) {
        range_part part, *added;

        if (!part_parse(item, length, &part)) {
            return RANGES_BAD;
        }
        if (part.start >= part.end) {
            is_empty = is_empty || part.start == 0;
            continue;
        }
        added = left-- == 0 ? NULL : weir_array_push(parts);
        if (added == NULL) {
            return RANGES_IGNORED;
        }
        *added = part;
        sum += part.end - part.start;
    }
    if (is_empty) {
        return RANGES_IGNORED;
    }
    /* Ranges over each other would multiply the representation: it is sent once. */
    return parts->count == 0 ? RANGES_BAD : sum > length ? RANGES_IGNORED : RANGES_TAKEN;
}

/* If-Range (RFC 9110, 13.1.5): a strong validator that still holds. */
static bool validator_holds(const weir_http_exchange *ex)
{
    const weir_http_field *field = weir_http_fields_find(&ex->request.fields, WEIR_HTTP_IF_RANGE);
    weir_str etag = weir_http_fields_value(&ex->response.fields, WEIR_HTTP_ETAG);
    int64_t date;

    if (field == NULL) {
        return true;
    }
    if (field->value.len >= 2 && field->value.data[field->value.len - 1] == '"') {
        return etag.len != 0 && etag.data[0] == '"' && weir_str_eq(field->value, etag);
    }
    return ex->response.last_modified_s >= 0 && weir_clock_parse_http(field->value, &date)
           && date == ex->response.last_modified_s;
}

/* ---- cutting */

/* "bytes 0-1/10" */
static void add_content_range(weir_builder *builder, range_part part, uint64_t length)
{
    weir_builder_printf(builder, "bytes %llu-%llu/%llu", (unsigned long long) part.start,
                        (unsigned long long) (part.end - 1), (unsigned long long) length);
}

static bool set_content_range(weir_http_exchange *ex, weir_builder *builder)
{
    weir_str text;

    return weir_builder_close(builder, &text)
           && weir_http_fields_set(&ex->response.fields, WEIR_HTTP_CONTENT_RANGE, text);
}

static bool cut_one(weir_http_exchange *ex, range_part part, uint64_t length)
{
    weir_builder builder;
    weir_chain body = {0};

    weir_builder_open(&builder, ex->pool, 80);
    add_content_range(&builder, part, length);
    if (!set_content_range(ex, &builder)) {
        return false;
    }
    ex->response.content_length = (int64_t) (part.end - part.start);

    if (ex->source != NULL) {
        range_state *state = weir_http_state(ex, &weir_http_range, sizeof(*state));

        if (state == NULL) {
            return false;
        }
        *state = (range_state){.skip = part.start, .left = part.end - part.start};
        return weir_http_filter_body(ex, &weir_http_range);
    }
    if (!weir_chain_add_part(&body, &ex->body, part.start, part.end)) {
        weir_chain_clear(&body);
        return false;
    }
    weir_chain_clear(&ex->body);
    ex->body = body;
    return true;
}

/* A multipart body (RFC 9110, 14.6): each part with its own type and range. */
static bool cut_several(weir_http_exchange *ex, const weir_array *parts, uint64_t length,
                        weir_chain *body)
{
    weir_str type = ex->response.content_type;
    weir_builder builder;
    weir_str boundary, text;

    weir_builder_open(&builder, ex->pool, 20);
    weir_builder_add_padded(&builder, weir_random_fast() % 10000000000000000000u, 20);
    if (!weir_builder_close(&builder, &boundary)) {
        return false;
    }

    for (WEIR_ARRAY_EACH(parts, const range_part, part)) {
        weir_builder_open(&builder, ex->pool, SIZE_MAX);
        weir_builder_printf(&builder, "\r\n--%.*s\r\n", WEIR_STR_ARG(boundary));
        if (type.len != 0) {
            weir_builder_printf(&builder, "Content-Type: %.*s\r\n", WEIR_STR_ARG(type));
        }
        weir_builder_add(&builder, WEIR_STR("Content-Range: "));
        add_content_range(&builder, *part, length);
        weir_builder_add(&builder, WEIR_STR("\r\n\r\n"));
        if (!weir_builder_close(&builder, &text) || !weir_chain_add_memory(body, text)
            || !weir_chain_add_part(body, &ex->body, part->start, part->end)) {
            return false;
        }
    }
    weir_builder_open(&builder, ex->pool, 40);
    weir_builder_printf(&builder, "\r\n--%.*s--\r\n", WEIR_STR_ARG(boundary));
    if (!weir_builder_close(&builder, &text) || !weir_chain_add_memory(body, text)) {
        return false;
    }

    weir_builder_open(&builder, ex->pool, 80);
    weir_builder_printf(&builder, "multipart/byteranges; boundary=%.*s", WEIR_STR_ARG(boundary));
    ex->response.content_length = (int64_t) body->len;
    return weir_builder_close(&builder, &ex->response.content_type);
}

static weir_result answer_parts(weir_http_exchange *ex, const weir_array *parts, uint64_t length)
{
    weir_chain body = {0};

    ex->response.status = 206;
    weir_http_fields_remove(&ex->response.fields, WEIR_HTTP_ACCEPT_RANGES);
    ex->response.status_text = WEIR_STR_EMPTY;
    if (parts->count == 1) {
        return cut_one(ex, *WEIR_ARRAY_AT(parts, range_part, 0), length) ? WEIR_OK : WEIR_FAIL;
    }
    if (!cut_several(ex, parts, length, &body)) {
        weir_chain_clear(&body);
        return WEIR_FAIL;
    }
    weir_chain_clear(&ex->body);
    ex->body = body;
    return WEIR_OK;
}

static weir_result answer_bad(weir_http_exchange *ex, uint64_t length)
{
    weir_builder builder;

    weir_builder_open(&builder, ex->pool, 40);
    weir_builder_printf(&builder, "bytes */%llu", (unsigned long long) length);
    return set_content_range(ex, &builder)
               ? weir_http_filter_answer(ex, 416, "range not satisfiable")
               : WEIR_FAIL;
}

static weir_result range_head(weir_http_exchange *ex, const void *location)
{
    const range_conf *conf = location;
    const weir_http_field *field = weir_http_fields_find(&ex->request.fields, WEIR_HTTP_RANGE);
    weir_http_response *response = &ex->response;
    weir_array parts;

    if (response->status != 200 || !response->allow_ranges || response->content_length < 0
        || conf->max_ranges == 0 || ex->parent != NULL) {
        return WEIR_OK;
    }
    if (field != NULL && weir_str_starts_nocase(field->value, WEIR_STR("bytes="))
        && field->value.len > sizeof("bytes=") - 1 && validator_holds(ex)) {
        uint64_t length = (uint64_t) response->content_length;

        weir_array_init(&parts, ex->pool, sizeof(range_part), 2);
        switch (parts_parse(conf, weir_str_from(field->value, 6), length, &parts)) {
        case RANGES_TAKEN:
            /* Of a body that comes bit by bit only one part can be cut out. */
            if (parts.count == 1 || ex->source == NULL) {
                return answer_parts(ex, &parts, length);
            }
            break;
        case RANGES_BAD:
            return answer_bad(ex, length);
        case RANGES_IGNORED:
            break;
        }
    }
    return weir_http_fields_set(&response->fields, WEIR_HTTP_ACCEPT_RANGES, WEIR_STR("bytes"))
               ? WEIR_OK
               : WEIR_FAIL;
}

static weir_result range_body(weir_http_exchange *ex, const void *location, weir_chain *in,
                              weir_chain *out, bool is_last)
{
    range_state *state = weir_http_state_find(ex, &weir_http_range);
    uint64_t bytes = in->len < state->skip ? in->len : state->skip;

    (void) location;
    (void) is_last;
    weir_chain_consume(in, bytes);
    state->skip -= bytes;
    bytes = in->len < state->left ? in->len : state->left;
    if (!weir_chain_move(out, in, bytes)) {
        return WEIR_FAIL;
    }
    state->left -= bytes;
    weir_chain_clear(in);
    return WEIR_OK;
}

const weir_http_module weir_http_range = {
    .name = "http_range",
    .directives = range_directives,
    .conf_size = sizeof(range_conf),
    .stage = WEIR_HTTP_STAGE_RANGE,
    .response_head = range_head,
    .response_body = range_body,
};
