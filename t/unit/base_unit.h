/* What the tests of strings and pools, and those that use them, have in common. */

#ifndef WEIR_BASE_UNIT_H
#define WEIR_BASE_UNIT_H

#include <string.h>

#include "core/base/pool.h"
#include "core/base/str.h"
#include "t/unit/unit.h"
#include "weir_auto_config.h"

static inline void unit_assert_str(weir_str got, weir_str wanted, const char *file, int line)
{
    if (!weir_str_eq(got, wanted)) {
        print_error("got \"%.*s\", wanted \"%.*s\"\n", WEIR_STR_ARG(got), WEIR_STR_ARG(wanted));
        _fail(file, line);
    }
}

#define assert_str(got, literal) unit_assert_str((got), WEIR_STR(literal), __FILE__, __LINE__)
#define assert_str_eq(got, wanted) unit_assert_str((got), (wanted), __FILE__, __LINE__)

/*
 * Calls `attempt` with pools that are given one byte more each time, until it succeeds: each
 * allocation that it makes has then failed in its turn.  Gives how often it failed.
 */
static inline size_t unit_fail_each_allocation(bool (*attempt)(weir_pool *pool))
{
    for (size_t limit = 1;; limit++) {
        weir_pool *pool = weir_pool_new(1024, limit);
        bool succeeded;

        assert_non_null(pool);
        succeeded = attempt(pool);
        weir_pool_free(pool);
        assert_true(limit < 1 << 20);

        if (succeeded) {
            return limit - 1;
        }
    }
}

/* Whether a sanitizer has replaced malloc(), so that memory cannot be made to run out. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNIT_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define UNIT_SANITIZED 1
#endif
#endif
#ifndef UNIT_SANITIZED
#define UNIT_SANITIZED 0
#endif

/* A pool without a limit that lives as long as the test: for cmocka_unit_test_setup_teardown(). */
static inline int unit_open_pool(void **state)
{
    *state = weir_pool_new(1024, 0);
    return *state == NULL ? -1 : 0;
}

static inline int unit_close_pool(void **state)
{
    weir_pool_free(*state);
    return 0;
}

#define unit_test_with_pool(test)                                                                  \
    cmocka_unit_test_setup_teardown(test, unit_open_pool, unit_close_pool)

#endif
