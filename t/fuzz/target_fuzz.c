/*
 * Request targets: the path that comes out is absolute, has no dot segments and no NUL, and is left
 * alone when it is normalised again.
 */

#include <stdlib.h>

#include "core/base/builder.h"
#include "modules/http/engine/core_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool is_so)
{
    if (!is_so) {
        abort();
    }
}

static void check_segments(weir_str path, bool merged)
{
    weir_str rest = weir_str_from(path, 1);

    must(path.len > 0 && path.data[0] == '/');
    must(weir_str_find_byte(path, '\0') == NULL);
    for (;;) {
        const char *mark = weir_str_find_byte(rest, '/');
        weir_str segment =
            mark == NULL ? rest : weir_str_slice(rest, 0, (size_t) (mark - rest.data));

        must(!weir_str_eq(segment, WEIR_STR(".")) && !weir_str_eq(segment, WEIR_STR("..")));
        if (mark == NULL) {
            return;
        }
        must(!merged || segment.len != 0);
        rest = weir_str_from(rest, segment.len + 1);
    }
}

static void check(weir_str target, bool merged, weir_pool *pool)
{
    weir_http_request request = {0};
    weir_http_request again = {0};
    weir_builder builder;
    weir_str escaped;

    if (!weir_http_parse_target(&request, target, merged, pool)) {
        return;
    }
    check_segments(request.path, merged);

    weir_builder_open(&builder, pool, SIZE_MAX);
    must(weir_http_escape_path(&builder, request.path));
    must(weir_builder_close(&builder, &escaped));
    must(weir_http_parse_target(&again, escaped, merged, pool));
    must(weir_str_eq(again.path, request.path));
    must(weir_str_eq(again.extension, request.extension));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    weir_str target = weir_str_of((const char *) data, len);
    weir_pool *pool = weir_pool_new(4096, 0);

    check(target, true, pool);
    check(target, false, pool);
    weir_pool_free(pool);
    return 0;
}
