/*
 * A byte (its second bit: in any case), a pattern up to the end of the line, and a text: any pattern compiles or is
 * refused with a reason, and what matches has captures that lie in the text.
 */

#include <stdlib.h>

#include "core/base/log_sink.h"
#include "core/script/script.h"
#include "t/unit/script_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Longer ones only make PCRE2 slow: it has fuzzers of its own. */
#define PATTERN_MAX 128

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void check_within(weir_str part, weir_str text)
{
    CHECK(part.len <= text.len);
    CHECK(part.len == 0
          || (part.data >= text.data && part.data + part.len <= text.data + text.len));
}

static void check_match(const weir_regex *regex, weir_script *script, weir_str text)
{
    weir_regex_result tested = weir_regex_test(regex, text, script->log);
    weir_value value;

    CHECK(weir_regex_match(regex, script, text) == tested);
    if (tested != WEIR_REGEX_MATCH) {
        CHECK(script->capture_count == 0);
        return;
    }

    CHECK(script->capture_count > 0 && script->capture_count <= WEIR_CAPTURES_MAX);
    for (unsigned i = 0; i < script->capture_count; i++) {
        check_within(script->captures[i], text);
    }

    for (size_t slot = 0; slot < weir_space_slot_count(script->space); slot++) {
        CHECK(weir_script_get(script, (int) slot, &value) && value.found);
        check_within(value.text, text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_conf conf = {.pool = weir_pool_new(4096, 0)};
    weir_log log = {.target = weir_log_target_new(conf.pool)}; /* nowhere */
    weir_str text = weir_str_of((const char *) data, size), pattern;
    weir_space *space = weir_space_of(&conf, "fuzz");
    weir_script script;
    weir_regex *regex;
    unsigned options;

    CHECK(space != NULL && log.target != NULL);
    if (size == 0) {
        goto done;
    }

    options = data[0];
    text = weir_str_from(text, 1);
    if (!weir_str_split(&text, '\n', &pattern) || pattern.len > PATTERN_MAX) {
        goto done;
    }

    regex = weir_regex_new(&conf, space, pattern, (options & 2) != 0);
    CHECK((regex == NULL) == (conf.message[0] != '\0'));
    if (regex != NULL) {
        CHECK(weir_space_close(&conf, space));
        weir_script_begin(&script, space, NULL, conf.pool, &log);
        check_match(regex, &script, text);
    }

done:
    weir_pool_free(conf.pool);
    return 0;
}
