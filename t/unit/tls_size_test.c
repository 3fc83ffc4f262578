/*
 * Many servers with a certificate each: how long they take to load, and to load again. WEIR_TLS_SERVERS says
 * how many, for measuring; it prints, and does not gate.
 */

#include "core/base/number.h"
#include "t/unit/tls_unit.h"

#define SERVERS_DEFAULT 200
#define LINE_BYTES 160

static size_t servers_wanted(void)
{
    uint64_t wanted;

    return weir_parse_uint(weir_str_from_z(getenv("WEIR_TLS_SERVERS")), 1000000, &wanted)
               ? (size_t) wanted
               : SERVERS_DEFAULT;
}

static double seconds_since(uint64_t begin_us)
{
    return (double) (weir_clock_monotonic_us() - begin_us) / 1e6;
}

static size_t resident_kib(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long size, resident;

    assert_int_equal(fscanf(file, "%lu %lu", &size, &resident), 2);
    fclose(file);
    return resident * 4;
}

static void load_twice(tls_unit_kind kind, const char *name)
{
    size_t count = servers_wanted(), len = 0, before_kib;
    char *text = malloc(count * LINE_BYTES);
    tls_unit_identity ca = tls_unit_identify("many", "CA", TLS_UNIT_P256, NULL);
    tls_unit_identity one;
    tls_unit_conf *first, *second;
    uint64_t begin_us;
    double load, reload;

    for (size_t i = 0; i < count; i++) {
        char file[32], san[64];

        snprintf(file, sizeof(file), "%s%zu", name, i);
        snprintf(san, sizeof(san), "DNS:%s.example", file);
        if (kind == TLS_UNIT_P256 || i % 50 == 0) { /* keys of RSA take long to make */
            if (i != 0) {
                tls_unit_identity_free(&one);
            }
            one = tls_unit_identify(file, san, kind, &ca);
        }
        tls_unit_save(file, &one, NULL);
        len +=
            (size_t) snprintf(text + len, LINE_BYTES,
                              "server %s { ssl_certificate %s.crt; ssl_certificate_key %s.key; }\n",
                              file, file, file);
    }
    tls_unit_identity_free(&one);
    tls_unit_identity_free(&ca);

    before_kib = resident_kib();
    begin_us = weir_clock_monotonic_us();
    first = tls_unit_load(text);
    load = seconds_since(begin_us);
    before_kib = resident_kib() - before_kib;

    begin_us = weir_clock_monotonic_us();
    second = tls_unit_read(text, first);
    reload = seconds_since(begin_us);
    assert_non_null(second->cycle);
    assert_int_equal(second->count, count);
    print_message("%zu servers with %s: loaded in %.3f s, %zu KiB; again in %.3f s\n", count, name,
                  load, before_kib, reload);

    tls_unit_free(first);
    tls_unit_free(second);
    free(text);
}

static void many_servers_with_p256(void **state)
{
    (void) state;
    load_twice(TLS_UNIT_P256, "p256");
}

static void many_servers_with_rsa(void **state)
{
    (void) state;
    load_twice(TLS_UNIT_RSA, "rsa");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_servers_with_p256),
        cmocka_unit_test(many_servers_with_rsa),
    };

    return cmocka_run_group_tests(tests, tls_unit_setup, tls_unit_teardown);
}
