/* What all body processors share: limits, failures, who is told. */

#include "modules/waf/body_internal.h"

#include "core/base/number.h"

#define MEMORY_MAX (64 * 1024 * 1024)
#define DEPTH_MAX 512
#define FILES_MAX 100
#define MESSAGE_MAX 256

static const weir_waf_body_type *const types[] = {
    [WEIR_WAF_URLENCODED] = &weir_waf_body_urlencoded,
    [WEIR_WAF_MULTIPART] = &weir_waf_body_multipart,
    [WEIR_WAF_JSON] = &weir_waf_body_json,
    [WEIR_WAF_XML] = &weir_waf_body_xml,
};

bool weir_waf_body_kind_find(weir_str name, weir_waf_body_kind *kind)
{
    for (size_t i = 0; i < WEIR_COUNT(types); i++) {
        if (weir_str_eq_nocase(types[i]->name, name)) {
            *kind = (weir_waf_body_kind) i;
            return true;
        }
    }

    return false;
}

weir_waf_body *weir_waf_body_new(weir_waf_body_kind kind, const weir_waf_body_limits *limits,
                                 const weir_waf_body_sink *sink, void *owner, weir_str content_type)
{
    weir_waf_body *body = WEIR_NEW(limits->pool, weir_waf_body);

    if (body == NULL) {
        return NULL;
    }

    body->type = types[kind];
    body->limits = *limits;
    body->sink = *sink;
    body->owner = owner;
    body->limits.memory_max = limits->memory_max == 0 ? MEMORY_MAX : limits->memory_max;
    body->limits.depth_max = limits->depth_max == 0 ? DEPTH_MAX : limits->depth_max;
    body->limits.files_max = limits->files_max == 0 ? FILES_MAX : limits->files_max;
    body->limits.separator = limits->separator == '\0' ? '&' : limits->separator;
    (void) body->type->begin(body, content_type); /* a failure is in the report */
    return body;
}

static void settle(weir_waf_body *body)
{
    weir_waf_multipart *m = &body->report.multipart;

    m->strict_error = m->boundary_quoted || m->boundary_whitespace || m->data_before
                      || m->data_after || m->header_folding || m->invalid_header_folding
                      || m->lf_line || m->missing_semicolon || m->invalid_quoting || m->invalid_part
                      || m->file_limit_exceeded
                      || (body->report.failed && body->type == &weir_waf_body_multipart);
}

size_t weir_waf_body_feed_some(weir_waf_body *body, weir_str piece)
{
    piece = weir_str_slice(piece, 0, body->type->turn_bytes);
    body->left = 0;
    if (!body->report.failed && piece.len > 0) {
        (void) body->type->feed(body, piece);
        settle(body);
    }
    return body->report.failed ? piece.len : piece.len - body->left;
}

void weir_waf_body_feed(weir_waf_body *body, weir_str piece)
{
    while (piece.len > 0) {
        piece = weir_str_from(piece, weir_waf_body_feed_some(body, piece));
    }
}

void weir_waf_body_end(weir_waf_body *body)
{
    /* What was gathered before a failure is told, too: the kinds see to it. */
    (void) body->type->end(body);
    settle(body);
}

const weir_waf_body_report *weir_waf_body_report_of(const weir_waf_body *body)
{
    return &body->report;
}

bool weir_waf_body_fail(weir_waf_body *body, const char *format, ...)
{
    weir_builder message;
    va_list args;

    if (body->report.failed) {
        return false;
    }

    weir_builder_open(&message, body->limits.pool, MESSAGE_MAX);
    va_start(args, format);
    weir_builder_vprintf(&message, format, args);
    va_end(args);
    body->report.message = weir_builder_cut(&message);
    body->report.failed = true;
    settle(body);
    return false;
}

/* ---- memory */

static bool memory_count(weir_waf_body *body, size_t bytes)
{
    if (bytes > body->limits.memory_max - body->memory_used) {
        return weir_waf_body_fail(body, "%.*s parsing error: more than %zu bytes of memory",
                                  WEIR_STR_ARG(body->type->name), body->limits.memory_max);
    }

    body->memory_used += bytes;
    return true;
}

void *weir_waf_body_memory(weir_waf_body *body, size_t bytes)
{
    void *memory = memory_count(body, bytes) ? weir_pool_zalloc(body->limits.pool, bytes) : NULL;

    if (memory == NULL) {
        (void) weir_waf_body_fail(body, "%.*s parsing error: no memory",
                                  WEIR_STR_ARG(body->type->name));
    }
    return memory;
}

void *weir_waf_body_room(weir_waf_body *body, void *items, size_t count, size_t *size,
                         size_t item_bytes)
{
    size_t wanted = *size == 0 ? 16 : *size * 2;
    void *larger;

    if (count < *size) {
        return items;
    }
    larger = weir_waf_body_memory(body, wanted * item_bytes);
    if (larger != NULL) {
        if (count > 0) {
            memcpy(larger, items, count * item_bytes);
        }
        *size = wanted;
    }
    return larger;
}

bool weir_waf_gather(weir_waf_body *body, weir_waf_gathered *gathered, weir_str text)
{
    size_t size = gathered->size < 64 ? 64 : gathered->size;
    char *grown;

    while (size - gathered->len < text.len) {
        if (!weir_mul_size(size, 2, &size)) {
            return weir_waf_body_fail(body, "%.*s parsing error: no memory",
                                      WEIR_STR_ARG(body->type->name));
        }
    }

    if (size != gathered->size) {
        if (!memory_count(body, size - gathered->size)) {
            return false;
        }
        grown = weir_pool_grow(body->limits.pool, gathered->data, gathered->size, size);
        if (grown == NULL) {
            return weir_waf_body_fail(body, "%.*s parsing error: no memory",
                                      WEIR_STR_ARG(body->type->name));
        }
        gathered->data = grown;
        gathered->size = size;
    }

    if (text.len > 0) {
        memcpy(gathered->data + gathered->len, text.data, text.len);
        gathered->len += text.len;
    }
    return true;
}

bool weir_waf_body_keep(weir_waf_body *body, weir_str text, weir_str *kept)
{
    if (!memory_count(body, text.len)) {
        return false;
    }
    return weir_str_copy(body->limits.pool, text, kept)
           || weir_waf_body_fail(body, "%.*s parsing error: no memory",
                                 WEIR_STR_ARG(body->type->name));
}

bool weir_waf_body_argument(weir_waf_body *body, weir_str name, weir_str value)
{
    body->report.argument_count++;
    if (body->sink.argument == NULL
        || (body->limits.arguments_max != 0
            && body->report.argument_count > body->limits.arguments_max)) {
        return true;
    }

    return body->sink.argument(body->owner, name, value)
           || weir_waf_body_fail(body, "%.*s parsing error: an argument could not be kept",
                                 WEIR_STR_ARG(body->type->name));
}
