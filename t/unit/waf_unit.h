/* What the tests of modules/waf share. */

#ifndef WEIR_WAF_UNIT_H
#define WEIR_WAF_UNIT_H

#include "t/unit/unit.h"

#include "core/base/pool.h"
#include "core/base/str.h"

/* A text with NULs in it. */
#define TEXT(literal) WEIR_STR(literal)

#define assert_text(is, ought)                                                                     \
    do {                                                                                           \
        weir_str assert_is = (is), assert_ought = (ought);                                         \
        if (!weir_str_eq(assert_is, assert_ought)) {                                               \
            print_error("is \"%.*s\", ought to be \"%.*s\"\n", WEIR_STR_ARG(assert_is),            \
                        WEIR_STR_ARG(assert_ought));                                               \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

static inline int waf_unit_setup(void **state)
{
    *state = weir_pool_new(4096, 0);
    return *state == NULL ? -1 : 0;
}

static inline int waf_unit_teardown(void **state)
{
    weir_pool_free(*state);
    return 0;
}

#define WAF_TEST(test) cmocka_unit_test_setup_teardown(test, waf_unit_setup, waf_unit_teardown)

#endif
