/* Files that are watched, and how often a change was told.  A program includes it once: it defines what it declares. */

#ifndef WEIR_UNIT_PROCESS_WATCH_UNIT_H
#define WEIR_UNIT_PROCESS_WATCH_UNIT_H

#include "t/unit/process_unit.h"

#include "core/process/watch_internal.h"

#define PATIENCE_MS 30000

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
    weir_watch_file files[4];
    char full[4][512];

    *s = (scene){.watch = {.name = "a pair", .changed = scene_changed, .subject = s}};
    s->cycle = process_load("", NULL);
    assert_non_null(s->cycle);
    for (size_t i = 0; i < count; i++) {
        snprintf(full[i], sizeof(full[i]), "%s", process_path(names[i]));
        files[i] = (weir_watch_file){weir_str_from_z(full[i]), weir_file_stamp_at(full[i])};
    }
    assert_true(weir_watch_register(s->cycle, &s->watch, files, count));
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

#endif
