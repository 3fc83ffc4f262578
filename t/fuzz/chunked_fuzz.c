/*
 * Chunked bodies: however the bytes are cut, the content and the verdict are the same; and what is
 * accepted, framed anew, is accepted with the same content.
 */

#include <stdlib.h>

#include "core/base/builder.h"
#include "modules/http/wire/chunked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

typedef struct {
    weir_result result;
    weir_str content;
    size_t used;
} outcome;

/* Hands the bytes over in pieces of `piece`. */
static outcome decode(weir_pool *pool, weir_str bytes, size_t piece)
{
    weir_http_chunked chunked = {.pool = pool, .trailer_bytes_max = 1024};
    outcome out = {WEIR_WAIT, WEIR_STR_EMPTY, 0};
    weir_builder content;

    weir_builder_open(&content, pool, SIZE_MAX);
    while (out.used < bytes.len && out.result != WEIR_FAIL && !chunked.is_complete) {
        weir_str here = weir_str_slice(bytes, out.used, out.used + piece);
        size_t framing = 0;
        size_t data = 0;

        out.result = weir_http_chunked_next(&chunked, here, &framing, &data);
        if (out.result == WEIR_FAIL) {
            break;
        }
        if (framing + data > here.len || (out.result == WEIR_WAIT && framing != here.len)) {
            abort();
        }
        weir_builder_add(&content, weir_str_slice(here, framing, framing + data));
        out.used += framing + data;
    }
    if (out.result != WEIR_FAIL) {
        out.result = chunked.is_complete ? WEIR_OK : WEIR_WAIT;
    }
    if (!weir_builder_close(&content, &out.content)) {
        abort();
    }
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    weir_str bytes = weir_str_of((const char *) data, len);
    weir_pool *pool = weir_pool_new(4096, 0);
    outcome whole = decode(pool, bytes, len == 0 ? 1 : len);
    outcome single = decode(pool, bytes, 1);
    outcome odd = decode(pool, bytes, 7);

    if (whole.result != single.result || whole.result != odd.result) {
        abort();
    }
    if (whole.result != WEIR_FAIL
        && (!weir_str_eq(whole.content, single.content) || !weir_str_eq(whole.content, odd.content)
            || whole.used != single.used)) {
        abort();
    }
    weir_pool_free(pool);
    return 0;
}
