/* Zones: what is kept, and what begins empty. */

#include "t/unit/process_unit.h"

#include "core/process/zone_internal.h"

typedef struct {
    unsigned opened, opened_new;
    bool refuses;
} witness;

static bool witness_opened(weir_zone *zone, bool is_new, void *subject)
{
    witness *w = subject;

    assert_non_null(weir_zone_memory(zone));
    w->opened++;
    w->opened_new += is_new;
    return !w->refuses;
}

static weir_zone *declare(weir_zones *zones, const char *name, size_t bytes, const char *layout,
                          witness *w)
{
    return weir_zones_add(zones, weir_str_from_z(name), bytes, layout, witness_opened, w,
                          &unit.log);
}

/* One zone "a" in a pool of its own, taken over from `old`. */
typedef struct {
    weir_pool *pool;
    weir_zones *zones;
    weir_zone *zone;
    witness seen;
} generation;

static void generation_open(generation *g, size_t bytes, const char *layout, const generation *old)
{
    g->seen = (witness){0, 0, false};
    g->pool = weir_pool_new(1024, 0);
    g->zones = weir_zones_new(g->pool);
    g->zone = declare(g->zones, "a", bytes, layout, &g->seen);
    assert_non_null(g->zone);
    assert_true(weir_zones_open(g->zones, old == NULL ? NULL : old->zones, &unit.log));
    assert_int_equal(g->seen.opened, 0);
    assert_true(weir_zones_settle(g->zones));
}

static void a_new_zone_is_zero(void **state)
{
    static const char zero[100000];
    generation g;

    (void) state;
    generation_open(&g, sizeof(zero), "test 1", NULL);
    assert_memory_equal(weir_zone_memory(g.zone), zero, sizeof(zero));
    assert_int_equal(g.seen.opened, 1);
    assert_int_equal(g.seen.opened_new, 1);
    assert_int_equal(weir_zone_bytes(g.zone), sizeof(zero));
    assert_int_equal((uintptr_t) weir_zone_memory(g.zone) % 64, 0);
    weir_pool_free(g.pool);
}

static void a_zone_outlives_its_generation(void **state)
{
    generation one, two, three;

    (void) state;
    generation_open(&one, 4096, "test 1", NULL);
    memcpy(weir_zone_memory(one.zone), "kept", 4);
    generation_open(&two, 4096, "test 1", &one);
    weir_pool_free(one.pool);
    generation_open(&three, 4096, "test 1", &two);
    weir_pool_free(two.pool);
    assert_memory_equal(weir_zone_memory(three.zone), "kept", 4);
    assert_int_equal(three.seen.opened_new, 0);
    weir_pool_free(three.pool);
}

static void another_size_or_layout_begins_empty(void **state)
{
    generation one, larger, other;

    (void) state;
    generation_open(&one, 4096, "test 1", NULL);
    memcpy(weir_zone_memory(one.zone), "kept", 4);
    generation_open(&larger, 8192, "test 1", &one);
    generation_open(&other, 4096, "test 2", &one);
    assert_int_equal(larger.seen.opened_new, 1);
    assert_int_equal(other.seen.opened_new, 1);
    assert_int_equal(*(char *) weir_zone_memory(larger.zone), 0);
    assert_int_equal(*(char *) weir_zone_memory(other.zone), 0);
    assert_memory_equal(weir_zone_memory(one.zone), "kept", 4);
    weir_pool_free(other.pool);
    weir_pool_free(larger.pool);
    weir_pool_free(one.pool);
}

static void a_second_declaration_must_agree(void **state)
{
    weir_pool *pool = weir_pool_new(1024, 0);
    weir_zones *zones = weir_zones_new(pool);
    witness w = {0, 0, false};
    weir_zone *zone = declare(zones, "a", 4096, "test 1", &w);

    (void) state;
    process_catch();
    assert_ptr_equal(declare(zones, "a", 4096, "test 1", &w), zone);
    assert_ptr_equal(declare(zones, "a", 0, "test 1", &w), zone);
    assert_null(declare(zones, "a", 8192, "test 1", &w));
    assert_null(declare(zones, "a", 4096, "other", &w));
    assert_null(declare(zones, "", 4096, "test 1", &w));
    process_caught();
    assert_said("the size 8192 of shared memory zone \"a\" conflicts with already declared size "
                "4096");
    assert_true(weir_zones_open(zones, NULL, &unit.log));
    assert_true(weir_zones_settle(zones));
    assert_int_equal(w.opened, 1);
    weir_pool_free(pool);
}

static void a_zone_without_a_size_is_refused(void **state)
{
    weir_pool *pool = weir_pool_new(1024, 0);
    weir_zones *zones = weir_zones_new(pool);
    witness w = {0, 0, false};

    (void) state;
    assert_non_null(declare(zones, "a", 0, "test 1", &w));
    process_catch();
    assert_false(weir_zones_open(zones, NULL, &unit.log));
    process_caught();
    assert_said("zero size shared memory zone \"a\"");
    weir_pool_free(pool);
}

static void an_owner_may_refuse_its_memory(void **state)
{
    weir_pool *pool = weir_pool_new(1024, 0);
    weir_zones *zones = weir_zones_new(pool);
    witness w = {0, 0, true};

    (void) state;
    assert_non_null(declare(zones, "a", 4096, "test 1", &w));
    assert_true(weir_zones_open(zones, NULL, &unit.log));
    assert_false(weir_zones_settle(zones));
    weir_pool_free(pool);
}

/* As if it were another process: by a descriptor of its own. */
static weir_zones *inherit_copy(weir_pool *pool, int fd)
{
    char text[32];

    snprintf(text, sizeof(text), "%d;", fcntl(fd, F_DUPFD_CLOEXEC, 100));
    return weir_zones_inherit(pool, weir_str_from_z(text), &unit.log);
}

static void a_zone_is_handed_over(void **state)
{
    generation one, two;
    weir_pool *pool = weir_pool_new(1024, 0);
    weir_builder exported;
    generation handed = {.pool = pool};
    char text[64], wanted[64];

    (void) state;
    generation_open(&one, 4096, "test 1", NULL);
    memcpy(weir_zone_memory(one.zone), "kept", 4);

    weir_builder_over(&exported, text, sizeof(text));
    assert_true(weir_zones_export(one.zones, &exported));
    snprintf(wanted, sizeof(wanted), "%d;", weir_zone_fd(one.zone));
    assert_int_equal(weir_builder_text(&exported).len, strlen(wanted));
    assert_memory_equal(text, wanted, strlen(wanted));
    assert_int_equal(fcntl(weir_zone_fd(one.zone), F_GETFD), 0);

    handed.zones = inherit_copy(pool, weir_zone_fd(one.zone));
    generation_open(&two, 4096, "test 1", &handed);
    weir_pool_free(pool);
    weir_pool_free(one.pool);
    assert_int_equal(two.seen.opened_new, 0);
    assert_memory_equal(weir_zone_memory(two.zone), "kept", 4);
    weir_pool_free(two.pool);
}

static void what_is_no_zone_is_not_inherited(void **state)
{
    weir_pool *pool = weir_pool_new(1024, 0);
    generation handed = {.pool = pool}, g;
    int fd = memfd_create("x", MFD_CLOEXEC);

    (void) state;
    assert_int_equal(ftruncate(fd, 10000), 0);
    handed.zones = inherit_copy(pool, fd);
    assert_non_null(handed.zones);
    assert_non_null(weir_zones_inherit(pool, WEIR_STR("999;x;;-1;"), &unit.log));
    generation_open(&g, 4096, "test 1", &handed);
    assert_int_equal(g.seen.opened_new, 1);
    weir_pool_free(g.pool);
    weir_pool_free(pool);
    close(fd);
}

static void nobody_can_shrink_a_zone(void **state)
{
    generation g;

    (void) state;
    generation_open(&g, 4096, "test 1", NULL);
    assert_int_equal(ftruncate(weir_zone_fd(g.zone), 0), -1);
    weir_pool_free(g.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_zone_is_zero),
        cmocka_unit_test(a_zone_outlives_its_generation),
        cmocka_unit_test(another_size_or_layout_begins_empty),
        cmocka_unit_test(a_second_declaration_must_agree),
        cmocka_unit_test(a_zone_without_a_size_is_refused),
        cmocka_unit_test(an_owner_may_refuse_its_memory),
        cmocka_unit_test(a_zone_is_handed_over),
        cmocka_unit_test(what_is_no_zone_is_not_inherited),
        cmocka_unit_test(nobody_can_shrink_a_zone),
    };

    return cmocka_run_group_tests(tests, process_setup, process_teardown);
}
