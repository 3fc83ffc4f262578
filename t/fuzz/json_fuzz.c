/* Flat JSON objects: what is read from it can be written, as UTF-8, and what is read from that is written the same. */

#include <stdint.h>
#include <stdlib.h>

#include "core/base/json.h"

/* A byte may become a character of two, and a string has 4096 of them at most. */
#define INPUT_MAX 2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool take(const weir_json_member *member, void *subject)
{
    weir_builder *builder = subject;

    if (weir_builder_text(builder).len != 0) {
        weir_builder_add_byte(builder, ',');
    } else {
        weir_builder_add_byte(builder, '{');
    }
    weir_json_write_string(builder, member->name);
    weir_builder_add_byte(builder, ':');
    if (member->kind == WEIR_JSON_STRING) {
        weir_json_write_string(builder, member->text);
    } else {
        weir_builder_add(builder, member->text);
    }
    return true;
}

/* As it is written; false: it is none. */
static bool rewrite(weir_str text, weir_pool *pool, weir_str *written)
{
    weir_builder builder;
    const char *why = NULL;

    weir_builder_open(&builder, pool, SIZE_MAX);
    if (!weir_json_object_read(text, pool, take, &builder, &why)) {
        return false;
    }
    weir_builder_add(&builder,
                     weir_builder_text(&builder).len == 0 ? WEIR_STR("{}") : WEIR_STR("}"));
    return weir_builder_close(&builder, written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_pool *pool;
    weir_str once, twice, thrice;

    if (size > INPUT_MAX) {
        return 0;
    }
    /* Bytes that are not UTF-8 are other characters from then on. */
    pool = weir_pool_new(4096, 0);
    if (rewrite(weir_str_of((const char *) data, size), pool, &once)
        && (!rewrite(once, pool, &twice) || !rewrite(twice, pool, &thrice)
            || !weir_str_eq(twice, thrice))) {
        abort();
    }
    weir_pool_free(pool);
    return 0;
}
