/*
 * A byte that names a transformation, and a value: what comes out keeps its bound, is another text if it says so, and
 * is the same whether the value's bytes are known or not.
 */

#include <stdlib.h>

#include "modules/waf/transform.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static const char *const names[] = {
    "base64Decode",
    "base64DecodeExt",
    "base64Encode",
    "cmdLine",
    "compressWhitespace",
    "cssDecode",
    "escapeSeqDecode",
    "hexDecode",
    "hexEncode",
    "htmlEntityDecode",
    "jsDecode",
    "length",
    "lowercase",
    "md5",
    "none",
    "normalizePath",
    "normalizePathWin",
    "parityEven7bit",
    "parityOdd7bit",
    "parityZero7bit",
    "removeComments",
    "removeCommentsChar",
    "removeNulls",
    "removeWhitespace",
    "replaceComments",
    "replaceNulls",
    "sha1",
    "sqlHexDecode",
    "trim",
    "trimLeft",
    "trimRight",
    "uppercase",
    "urlDecode",
    "urlDecodeUni",
    "urlEncode",
    "utf8toUnicode",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const weir_waf_transform *transform;
    weir_str in, out = WEIR_STR_EMPTY, again = WEIR_STR_EMPTY;
    weir_waf_change change;
    weir_waf_bytes present;
    weir_pool *pool;

    if (size == 0) {
        return 0;
    }

    pool = weir_pool_new(4096, 0);
    in = weir_str_of((const char *) data + 1, size - 1);
    transform = weir_waf_transform_find(weir_str_from_z(names[data[0] % WEIR_COUNT(names)]));
    CHECK(pool != NULL && transform != NULL);

    change = weir_waf_transform_apply(transform, pool, NULL, NULL, in, &out);
    CHECK(change != WEIR_WAF_NO_MEMORY);
    CHECK(change == WEIR_WAF_SAME || !weir_str_eq(in, out));
    CHECK(out.len <= weir_waf_transform_bound(transform, in.len));

    weir_waf_bytes_of(in, &present);
    CHECK(weir_waf_transform_apply(transform, pool, NULL, &present, in, &again) == change);
    CHECK(weir_str_eq(out, again));

    weir_pool_free(pool);
    return 0;
}
