/*
 * Texts with variables: any bytes compile or are refused with a reason, and what compiles is written
 * as its parts say.  Every name has a variable: the value is the name, less its first letter.
 */

#include <stdlib.h>

#include "core/script/script.h"
#include "t/unit/script_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static bool rest_of_name(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) script;
    value->text = *(const weir_str *) arg;
    value->found = true;
    return true;
}

static bool define_all_names(weir_conf *conf, weir_space *space)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    const weir_variable family = {.get = rest_of_name, .is_prefix = true};

    for (size_t i = 0; first[i] != '\0'; i++) {
        if (!weir_space_define(conf, space, weir_str_of(&first[i], 1), &family)) {
            return false;
        }
    }

    return true;
}

static void check_writing(const weir_template *template, weir_script *script, weir_str source)
{
    weir_pool *pool = script->pool;
    const weir_template_part *parts;
    size_t count = weir_template_parts(template, &parts);
    weir_str text, of_parts;
    weir_builder builder;
    weir_value value;

    weir_builder_open(&builder, pool, WEIR_TEMPLATE_MAX);
    for (size_t i = 0; i < count; i++) {
        CHECK(weir_template_part_value(&parts[i], script, &value));
        weir_builder_add(&builder, value.text);
    }

    CHECK(weir_template_text(template, script, &text));
    CHECK(weir_builder_close(&builder, &of_parts));
    CHECK(weir_str_eq(text, of_parts));
    CHECK(weir_template_is_true(template, script)
          == (text.len > 0 && !weir_str_eq(text, WEIR_STR("0"))));

    if (weir_template_is_constant(template, NULL)) {
        CHECK(weir_str_eq(text, source));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_conf conf = {.pool = weir_pool_new(4096, 0)};
    weir_str source = weir_str_of((const char *) data, size);
    weir_space *space = weir_space_of(&conf, "fuzz");
    weir_template *template;
    weir_script script;

    CHECK(space != NULL && define_all_names(&conf, space));

    template = weir_template_new(&conf, space, source);
    CHECK((template == NULL) == (conf.message[0] != '\0'));
    if (template != NULL) {
        CHECK(weir_space_close(&conf, space));
        weir_script_begin(&script, space, NULL, conf.pool, NULL);
        script.capture_count = 3;
        script.captures[0] = WEIR_STR("all");
        script.captures[1] = WEIR_STR("one");
        script.captures[2] = WEIR_STR_EMPTY;
        check_writing(template, &script, source);
    }

    weir_pool_free(conf.pool);
    return 0;
}
