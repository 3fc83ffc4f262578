/* Files that the master watches: what counts as a change, and when it is told. */

#include "t/unit/process_watch_unit.h"

static void turn_for(scene *s, uint64_t ms)
{
    uint64_t end = weir_clock_now()->monotonic_ms + ms;

    while (weir_clock_now()->monotonic_ms < end) {
        weir_loop_turn(s->loop, 20);
    }
}

/* False: the machine stood still so long that the first change could be told by itself. */
static bool one_change_is_told_of_two_files(scene *s)
{
    static const char *const names[] = {"a.crt", "a.key"};
    uint64_t began_us, second_us;

    process_write("a.crt", "1");
    process_write("a.key", "1");
    scene_begin(s, names, 2);
    began_us = weir_clock_monotonic_us();
    process_write("a.crt", "2");
    turn_for(s, 700);
    process_write("a.key", "2");
    second_us = weir_clock_monotonic_us();
    turn_for(s, 700);

    /* Looks are a second apart. */
    if (second_us - began_us >= 950000 || weir_clock_monotonic_us() - second_us >= 950000) {
        scene_end(s);
        return false;
    }
    assert_int_equal(s->changes, 0);
    scene_wait(s, 1);
    return true;
}

/* One change is told though two files change, and only once they are still. */
static void a_set_that_is_renewed_is_told_once(void **state)
{
    scene s;
    unsigned tries = 0;

    (void) state;
    while (!one_change_is_told_of_two_files(&s)) {
        assert_in_range(++tries, 1, 20);
    }
    turn_for(&s, 1200);
    assert_int_equal(s.changes, 1);

    process_write("b.crt", "3");
    assert_int_equal(rename(process_path("b.crt"), process_path("a.crt")), 0);
    scene_wait(&s, 2);
    scene_end(&s);
}

static void what_changed_since_it_was_read_is_told(void **state)
{
    weir_watch_file file;
    scene s = {.watch = {.name = "a pair", .changed = scene_changed}};

    (void) state;
    s.watch.subject = &s;
    process_write("late.crt", "1");
    s.cycle = process_load("", NULL);
    file.path = weir_str_from_z(process_path("late.crt"));
    file.stamp = weir_file_stamp_at(file.path.data);
    process_write("late.crt", "22");
    assert_true(weir_watch_register(s.cycle, &s.watch, &file, 1));
    s.loop = weir_loop_new(&unit.log);
    s.watcher = weir_watcher_start(s.cycle, s.loop);
    scene_wait(&s, 1);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_that_is_renewed_is_told_once),
        cmocka_unit_test(what_changed_since_it_was_read_is_told),
    };

    return cmocka_run_group_tests(tests, process_setup, process_teardown);
}
