/* Files that the master watches: what counts as a change, and when it is told. */

#include "t/unit/process_unit.h"

#include "core/process/watch_internal.h"

#define PATIENCE_MS 10000

typedef struct {
    weir_watch watch;
    unsigned changes;
    weir_cycle *cycle;
    weir_loop *loop;
    weir_watcher *watcher;
} scene;

static void scene_changed(weir_cycle *cycle, weir_watch *watch)
{
    scene *s = watch->subject;

    assert_ptr_equal(cycle, s->cycle);
    s->changes++;
}

static void scene_begin(scene *s, const char *const *names, size_t count)
{
    weir_str paths[4];
    char full[4][512];

    *s = (scene){.watch = {.name = "a pair", .changed = scene_changed, .subject = s}};
    s->cycle = process_load("", NULL);
    assert_non_null(s->cycle);
    for (size_t i = 0; i < count; i++) {
        snprintf(full[i], sizeof(full[i]), "%s", process_path(names[i]));
        paths[i] = weir_str_from_z(full[i]);
    }
    assert_true(weir_watch_register(s->cycle, &s->watch, paths, count));
    s->loop = weir_loop_new(&unit.log);
    s->watcher = weir_watcher_start(s->cycle, s->loop);
    assert_non_null(s->watcher);
}

static void scene_end(scene *s)
{
    weir_watcher_stop(s->watcher);
    weir_loop_free(s->loop);
    weir_cycle_free(s->cycle);
}

static void scene_wait(scene *s, unsigned changes)
{
    uint64_t end = weir_clock_now()->monotonic_ms + PATIENCE_MS;

    while (s->changes < changes && weir_clock_now()->monotonic_ms < end) {
        weir_loop_turn(s->loop, 50);
    }
    assert_int_equal(s->changes, changes);
}

static void turn_for(scene *s, uint64_t ms)
{
    uint64_t end = weir_clock_now()->monotonic_ms + ms;

    while (weir_clock_now()->monotonic_ms < end) {
        weir_loop_turn(s->loop, 20);
    }
}

static void link_to(const char *target, const char *name)
{
    char temporary[512];

    snprintf(temporary, sizeof(temporary), "%s", process_path("link.new"));
    assert_int_equal(symlink(target, temporary), 0);
    assert_int_equal(rename(temporary, process_path(name)), 0);
}

/* One change is told though two files change, and only once they are still. */
static void a_set_that_is_renewed_is_told_once(void **state)
{
    static const char *const names[] = {"a.crt", "a.key"};
    scene s;

    (void) state;
    process_write("a.crt", "1");
    process_write("a.key", "1");
    scene_begin(&s, names, 2);
    process_write("a.crt", "2");
    turn_for(&s, 700);
    process_write("a.key", "2");
    turn_for(&s, 700);
    assert_int_equal(s.changes, 0);
    scene_wait(&s, 1);
    turn_for(&s, 1200);
    assert_int_equal(s.changes, 1);

    process_write("b.crt", "3");
    assert_int_equal(rename(process_path("b.crt"), process_path("a.crt")), 0);
    scene_wait(&s, 2);
    scene_end(&s);
}

/* certbot: live/name/fullchain.pem leads to ../../archive/name/fullchainN.pem. */
static void a_link_that_leads_elsewhere_is_a_change(void **state)
{
    static const char *const names[] = {"live/a.crt"};
    scene s;

    (void) state;
    assert_int_equal(mkdir(process_path("live"), 0755), 0);
    assert_int_equal(mkdir(process_path("archive"), 0755), 0);
    process_write("archive/a1.crt", "1");
    process_write("archive/a2.crt", "2");
    link_to("../archive/a1.crt", "live/a.crt");
    scene_begin(&s, names, 1);
    link_to("../archive/a2.crt", "live/a.crt");
    scene_wait(&s, 1);
    /* What it leads to is watched, too. */
    process_write("archive/a2.crt", "22");
    scene_wait(&s, 2);
    scene_end(&s);
}

/* Kubernetes: tls.crt leads to ..data/tls.crt, and ..data to a folder with a date. */
static void a_folder_that_leads_elsewhere_is_a_change(void **state)
{
    static const char *const names[] = {"k8s/tls.crt"};
    scene s;

    (void) state;
    assert_int_equal(mkdir(process_path("k8s"), 0755), 0);
    assert_int_equal(mkdir(process_path("k8s/..1"), 0755), 0);
    assert_int_equal(mkdir(process_path("k8s/..2"), 0755), 0);
    process_write("k8s/..1/tls.crt", "1");
    process_write("k8s/..2/tls.crt", "2");
    link_to("..1", "k8s/..data");
    link_to("..data/tls.crt", "k8s/tls.crt");
    scene_begin(&s, names, 1);
    link_to("..2", "k8s/..data");
    scene_wait(&s, 1);
    scene_end(&s);
}

static void what_changed_since_it_was_read_is_told(void **state)
{
    weir_str path;
    scene s = {.watch = {.name = "a pair", .changed = scene_changed}};

    (void) state;
    s.watch.subject = &s;
    process_write("late.crt", "1");
    s.cycle = process_load("", NULL);
    path = weir_str_from_z(process_path("late.crt"));
    assert_true(weir_watch_register(s.cycle, &s.watch, &path, 1));
    process_write("late.crt", "22");
    s.loop = weir_loop_new(&unit.log);
    s.watcher = weir_watcher_start(s.cycle, s.loop);
    scene_wait(&s, 1);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_that_is_renewed_is_told_once),
        cmocka_unit_test(a_link_that_leads_elsewhere_is_a_change),
        cmocka_unit_test(a_folder_that_leads_elsewhere_is_a_change),
        cmocka_unit_test(what_changed_since_it_was_read_is_told),
    };

    return cmocka_run_group_tests(tests, process_setup, process_teardown);
}
