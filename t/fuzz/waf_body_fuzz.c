/*
 * A byte for the kind of body, one for the size of pieces, for MULTIPART a line of Content-Type, and the body: what is told does
 * not depend on how the body is cut, and memory keeps its limit.
 */

#include <stdlib.h>

#include "core/base/builder.h"
#include "modules/waf/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY_MAX (4 * 1024 * 1024)

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A number that depends on all that was told, in its order. */
typedef struct {
    uint64_t sum;
} told;

static bool add(told *t, weir_str text)
{
    t->sum = t->sum * 1099511628211u + weir_str_hash(text) + text.len;
    return true;
}

static bool tell_argument(void *owner, weir_str name, weir_str value)
{
    return add(owner, name) && add(owner, value);
}

static bool tell_file(void *owner, const weir_waf_file *file)
{
    return add(owner, file->field) && add(owner, file->filename)
           && add(owner, weir_str_of((const char *) &file->size, sizeof(file->size)));
}

static bool tell_text(void *owner, weir_str text)
{
    return add(owner, text);
}

static const weir_waf_body_sink sink = {
    .argument = tell_argument,
    .file = tell_file,
    .part_header = tell_argument,
    .attribute = tell_text,
    .character_data = tell_text,
};

/* Where XML fails depends on how much of it libxml2 has seen: then only that it fails is the same. */
static bool parse(weir_waf_body_kind kind, weir_str content_type, weir_str text, size_t step,
                  uint64_t *sum)
{
    weir_pool *pool = weir_pool_new(4096, 0);
    weir_waf_body_limits limits = {.pool = pool,
                                   .memory_max = MEMORY_MAX,
                                   .depth_max = 100,
                                   .xml_arguments = text.len % 2 == 0};
    told t = {0};
    weir_waf_body *body;
    bool failed;

    CHECK(pool != NULL);
    body = weir_waf_body_new(kind, &limits, &sink, &t, content_type);
    CHECK(body != NULL);
    for (size_t i = 0; i < text.len; i += step) {
        weir_waf_body_feed(body, weir_str_slice(text, i, i + step));
    }
    weir_waf_body_end(body);

    failed = weir_waf_body_report_of(body)->failed;
    CHECK(failed == (weir_waf_body_report_of(body)->message.len > 0));
    *sum = kind == WEIR_WAF_XML && failed ? 0 : t.sum;
    weir_pool_free(pool);
    return failed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_str text = weir_str_of((const char *) data, size), content_type = WEIR_STR_EMPTY;
    weir_waf_body_kind kind;
    uint64_t whole, cut;
    size_t step;
    bool failed;

    if (size < 2) {
        return 0;
    }

    kind = (weir_waf_body_kind) (data[0] % 4);
    step = (size_t) data[1] + 1;
    text = weir_str_from(text, 2);
    if (kind == WEIR_WAF_MULTIPART && !weir_str_split(&text, '\n', &content_type)) {
        return 0;
    }

    failed = parse(kind, content_type, text, text.len + 1, &whole);
    CHECK(parse(kind, content_type, text, step, &cut) == failed);
    CHECK(whole == cut);
    return 0;
}
