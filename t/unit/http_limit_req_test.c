/* Buckets of limit_req, in memory of the test's own. */

#include "t/unit/http_unit.h"

#include "core/base/clock.h"
#include "modules/common/limit_req.h"

extern const weir_http_module weir_http_limit_req;

/* How the module's settings begin. */
typedef struct {
    const weir_array *limits;
} limit_settings;

typedef struct {
    const weir_array *limits;
    weir_http_exchange *ex;
    char *memory[2];
} limit_unit;

#define ZONE_BYTES 65536

/* Limits on zones "one" and "two" of one request a minute, whose keys are $arg_a and $arg_b. */
static limit_unit limits_of(void **state, const char *text)
{
    limit_unit limits = {.limits = NULL};
    const limit_settings *settings;
    size_t i = 0;

    assert_true(unit_read(state,
                          "limit_req_zone $arg_a zone=one:32k rate=1r/m;"
                          "limit_req_zone $arg_b zone=two:32k rate=60r/m;",
                          text));
    settings = weir_level_settings(unit_server(state)->level, &weir_http_limit_req.base);
    limits.limits = settings->limits;
    limits.ex = unit_request(state, "GET /?a=1&b=2 HTTP/1.1\r\nHost: h\r\n\r\n");
    for (WEIR_ARRAY_EACH(settings->limits, const weir_limit_req, limit)) {
        weir_limit_zone *zone = (weir_limit_zone *) (uintptr_t) limit->zone;

        limits.memory[i] = calloc(1, ZONE_BYTES);
        assert_non_null(limits.memory[i]);
        zone->table = weir_table_open(zone->cycle->pool, limits.memory[i], ZONE_BYTES, zone->shape,
                                      true, zone->name, &zone->cycle->log);
        assert_non_null(zone->table);
        i++;
    }
    return limits;
}

static void limits_free(limit_unit *limits)
{
    free(limits->memory[0]);
    free(limits->memory[1]);
}

static weir_limit_status judge(const limit_unit *limits, uint64_t *delay_ms)
{
    return weir_limit_req_judge(limits->limits, &limits->ex->script, false, WEIR_LOG_DEBUG,
                                delay_ms);
}

static void a_burst_waits_longer_and_longer(void **state)
{
    limit_unit limits = limits_of(state, "limit_req zone=one burst=2;");
    uint64_t delay_ms[3];

    assert_int_equal(judge(&limits, &delay_ms[0]), WEIR_LIMIT_PASSED);
    assert_int_equal(delay_ms[0], 0);
    assert_int_equal(judge(&limits, &delay_ms[1]), WEIR_LIMIT_DELAYED);
    assert_int_equal(judge(&limits, &delay_ms[2]), WEIR_LIMIT_DELAYED);
    /* A rate is held in whole thousandths, as in nginx: 16 and not 16.7. */
    assert_in_range(delay_ms[1], 50000, 63000);
    assert_in_range(delay_ms[2], 110000, 126000);
    assert_int_equal(judge(&limits, &delay_ms[0]), WEIR_LIMIT_REJECTED);
    limits_free(&limits);
}

static void the_delay_is_that_of_the_slowest_limit(void **state)
{
    limit_unit limits =
        limits_of(state, "limit_req zone=two burst=5; limit_req zone=one burst=5 delay=1;");
    uint64_t delay_ms;

    assert_int_equal(judge(&limits, &delay_ms), WEIR_LIMIT_PASSED);
    assert_int_equal(judge(&limits, &delay_ms), WEIR_LIMIT_DELAYED);
    assert_in_range(delay_ms, 500, 1000);
    assert_int_equal(judge(&limits, &delay_ms), WEIR_LIMIT_DELAYED);
    assert_in_range(delay_ms, 50000, 63000);
    limits_free(&limits);
}

static void who_is_refused_fills_no_bucket(void **state)
{
    limit_unit limits = limits_of(state, "limit_req zone=one burst=1 nodelay; limit_req zone=two;");
    uint64_t delay_ms;

    assert_int_equal(judge(&limits, &delay_ms), WEIR_LIMIT_PASSED);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(judge(&limits, &delay_ms), WEIR_LIMIT_REJECTED);
    }
    limits.ex->request.args = WEIR_STR("a=1&b=3");
    assert_int_equal(judge(&limits, &delay_ms), WEIR_LIMIT_PASSED);
    limits_free(&limits);
}

static void an_empty_key_is_not_asked(void **state)
{
    limit_unit limits = limits_of(state, "limit_req zone=one;");
    uint64_t delay_ms;

    limits.ex->request.args = WEIR_STR_EMPTY;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(judge(&limits, &delay_ms), WEIR_LIMIT_UNASKED);
    }
    limits_free(&limits);
}

static void a_zone_that_is_full_forgets_who_was_not_seen_for_longest(void **state)
{
    limit_unit limits = limits_of(state, "limit_req zone=one;");
    char args[32];
    uint64_t delay_ms;

    for (int i = 0; i < 2000; i++) {
        (void) snprintf(args, sizeof(args), "a=%d", i);
        limits.ex->request.args = weir_str_from_z(args);
        assert_int_equal(judge(&limits, &delay_ms), WEIR_LIMIT_PASSED);
    }
    assert_int_equal(judge(&limits, &delay_ms), WEIR_LIMIT_REJECTED);
    limits_free(&limits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_burst_waits_longer_and_longer, unit_setup, unit_teardown),
        cmocka_unit_test_setup_teardown(the_delay_is_that_of_the_slowest_limit, unit_setup,
                                        unit_teardown),
        cmocka_unit_test_setup_teardown(who_is_refused_fills_no_bucket, unit_setup, unit_teardown),
        cmocka_unit_test_setup_teardown(an_empty_key_is_not_asked, unit_setup, unit_teardown),
        cmocka_unit_test_setup_teardown(a_zone_that_is_full_forgets_who_was_not_seen_for_longest,
                                        unit_setup, unit_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
