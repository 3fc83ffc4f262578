/*
 * Files that the master watches.
 *
 * What counts is what stat() says of each path, symbolic links followed: a change of that which holds still
 * from one look to the next is a change.  inotify only tells when to look: it watches the directories,
 * since renewals replace files, and each one through which a symbolic link leads, since certbot and Kubernetes replace those.
 */

#include "core/process/watch_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "core/base/clock.h"

#define WATCH_STILL_MS 1000          /* from one look to the next, while files change */
#define WATCH_SETTLE_MS 100          /* from an event to the first look */
#define WATCH_LOOK_EVENTS_MS 60000   /* without an event: for what inotify does not see, NFS */
#define WATCH_LOOK_NO_EVENTS_MS 5000 /* without inotify */
#define WATCH_LINKS_MAX 40           /* as the kernel follows */

#define WATCH_MASK                                                                                 \
    (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE | IN_ATTRIB              \
     | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

/* ---- what is registered */

typedef struct watch_set {
    struct watch_set *next;
    weir_watch *watch;
    const char **paths;
    size_t count;
    uint64_t adopted; /* as the files were when `changed` was called last */
    uint64_t seen;    /* as they were at the last look */
} watch_set;

struct weir_watches {
    weir_pool *pool;
    watch_set *first;
};

weir_watches *weir_watches_new(weir_pool *pool)
{
    weir_watches *watches = WEIR_NEW(pool, weir_watches);

    if (watches != NULL) {
        watches->pool = pool;
    }

    return watches;
}

static uint64_t watch_add(uint64_t sum, weir_file_stamp stamp)
{
    return sum * 31 + weir_str_hash(weir_str_of((const char *) &stamp, sizeof(stamp)));
}

static uint64_t watch_look_at(const watch_set *set)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < set->count; i++) {
        sum = watch_add(sum, weir_file_stamp_at(set->paths[i]));
    }
    return sum;
}

bool weir_watch_register(weir_cycle *cycle, weir_watch *watch, const weir_watch_file *files,
                         size_t count)
{
    weir_watches *watches = cycle->watches;
    watch_set *set = WEIR_NEW(watches->pool, watch_set);

    if (set == NULL
        || (set->paths = WEIR_NEW_ARRAY(watches->pool, const char *, count + 1)) == NULL) {
        return false;
    }

    set->watch = watch;
    set->count = count;
    for (size_t i = 0; i < count; i++) {
        set->paths[i] = weir_str_z(watches->pool, files[i].path);
        if (set->paths[i] == NULL) {
            return false;
        }
        set->adopted = watch_add(set->adopted, files[i].stamp);
    }

    set->seen = set->adopted;
    set->next = watches->first;
    watches->first = set;
    return true;
}

/* ---- watching */

struct weir_watcher {
    weir_cycle *cycle;
    weir_loop *loop;
    weir_event event; /* inotify; fd -1: there is none */
    weir_timer timer;
    bool misses_events; /* a directory could not be watched */
};

static void watcher_look_in(weir_watcher *watcher, uint64_t from_now_ms)
{
    if (!weir_timer_set(watcher->loop, &watcher->timer, from_now_ms)) {
        weir_log_line(&watcher->cycle->log, WEIR_LOG_ALERT, 0,
                      "no memory to look at certificates again");
    }
}

/*
 * A walk over all paths.  Neighbours share directories: what was just seen to be free of links, and is watched, is not
 * asked for again.
 */
typedef struct {
    weir_watcher *watcher;
    char directory[PATH_MAX]; /* the last one, with its slash */
    size_t len;
} watch_walk;

/* A directory that is not there yet, or for which there is no room, is left to looking. */
static void walk_enter(watch_walk *walk, const char *path, size_t len)
{
    if (len == walk->len && memcmp(path, walk->directory, len) == 0) {
        return;
    }

    memcpy(walk->directory, path, len);
    walk->directory[len] = '\0';
    walk->len = len;
    if (inotify_add_watch(walk->watcher->event.fd, walk->directory, WATCH_MASK) == -1) {
        walk->watcher->misses_events = true;
    }
}

/* Where the part of the path ends that the last directory led through, too. */
static size_t walk_known(const watch_walk *walk, const char *path)
{
    size_t known = 0;

    for (size_t i = 0; i < walk->len && path[i] == walk->directory[i]; i++) {
        if (path[i] == '/') {
            known = i;
        }
    }

    return known;
}

/* What the path becomes when its first `len` bytes are a link to `target`; false: too long. */
static bool watch_follow(char path[static PATH_MAX], size_t len, const char *target)
{
    char followed[PATH_MAX];
    weir_builder text;
    size_t parent = len;

    while (parent > 0 && path[parent - 1] != '/') {
        parent--;
    }

    weir_builder_over(&text, followed, sizeof(followed) - 1);
    if (target[0] != '/') {
        weir_builder_add(&text, weir_str_of(path, parent));
    }
    weir_builder_add(&text, weir_str_from_z(target));
    weir_builder_add(&text, weir_str_from_z(path + len));

    if (text.failed) {
        return false;
    }

    followed[text.len] = '\0';
    memcpy(path, followed, text.len + 1);
    return true;
}

/*
 * Finds the first symbolic link among the path's parts: true, with where it ends and what it holds.
 * Parts before `from` were seen to be none.
 */
static bool watch_find_link(const char *path, size_t from, size_t *len,
                            char target[static PATH_MAX])
{
    char part[PATH_MAX];

    for (size_t i = from + 1;; i++) {
        if (path[i] == '/' || path[i] == '\0') {
            ssize_t bytes;

            memcpy(part, path, i);
            part[i] = '\0';
            bytes = readlink(part, target, PATH_MAX - 1);
            if (bytes > 0) {
                target[bytes] = '\0';
                *len = i;
                return true;
            }
        }

        if (path[i] == '\0') {
            return false;
        }
    }
}

/* Each directory in which a part of the path, or of what it leads to, may be replaced. */
static void walk_path(watch_walk *walk, const char *file)
{
    char path[PATH_MAX], target[PATH_MAX];

    if (strlen(file) >= sizeof(path) || file[0] != '/') {
        walk->watcher->misses_events = true;
        return;
    }
    memcpy(path, file, strlen(file) + 1);

    for (unsigned links = 0; links < WATCH_LINKS_MAX; links++) {
        size_t end = strlen(path), parent;
        bool is_link = watch_find_link(path, walk_known(walk, path), &end, target);

        parent = end;
        while (path[parent - 1] != '/') {
            parent--;
        }
        walk_enter(walk, path, parent);

        if (!is_link) {
            return;
        }

        if (!watch_follow(path, end, target)) {
            break;
        }
    }

    walk->watcher->misses_events = true;
}

/* Links may lead elsewhere by now: adding a directory again costs little. */
static void watcher_add_all(weir_watcher *watcher)
{
    watch_walk walk = {.watcher = watcher};

    watcher->misses_events = watcher->event.fd == -1;
    if (watcher->misses_events) {
        return;
    }

    for (const watch_set *set = watcher->cycle->watches->first; set != NULL; set = set->next) {
        for (size_t i = 0; i < set->count; i++) {
            walk_path(&walk, set->paths[i]);
        }
    }
}

/* True: it differs from what was adopted, and another look must show that it holds still. */
static bool watcher_look_at_set(weir_watcher *watcher, watch_set *set)
{
    uint64_t now = watch_look_at(set);

    /* Nothing is written to without need: workers share the memory. */
    if (now != set->seen) {
        set->seen = now;
        return now != set->adopted;
    }

    if (now == set->adopted) {
        return false;
    }

    set->adopted = now;
    weir_log_line(&watcher->cycle->log, WEIR_LOG_INFO, 0, "files of %s have changed",
                  set->watch->name);
    set->watch->changed(watcher->cycle, set->watch);
    return false;
}

static void watcher_look(weir_timer *timer)
{
    weir_watcher *watcher = WEIR_OWNER(timer, weir_watcher, timer);
    bool is_moving = false;

    /* First, so that nothing happens between a look and the watch. */
    watcher_add_all(watcher);
    for (watch_set *set = watcher->cycle->watches->first; set != NULL; set = set->next) {
        is_moving |= watcher_look_at_set(watcher, set);
    }

    if (is_moving) {
        watcher_look_in(watcher, WATCH_STILL_MS);
    } else {
        watcher_look_in(watcher,
                        watcher->misses_events ? WATCH_LOOK_NO_EVENTS_MS : WATCH_LOOK_EVENTS_MS);
    }
}

/* What happened where is of no interest: looking tells. */
static void watcher_ready(weir_event *event, unsigned what)
{
    weir_watcher *watcher = WEIR_OWNER(event, weir_watcher, event);
    char events[16384] __attribute__((aligned(8)));

    (void) what;

    while (read(event->fd, events, sizeof(events)) > 0) {
    }

    if (!weir_timer_is_set(&watcher->timer)
        || watcher->timer.due_ms > weir_clock_now()->monotonic_ms + WATCH_STILL_MS) {
        watcher_look_in(watcher, WATCH_SETTLE_MS);
    }
}

weir_watcher *weir_watcher_start(weir_cycle *cycle, weir_loop *loop)
{
    weir_watcher *watcher;

    if (cycle->watches->first == NULL) {
        return NULL;
    }

    watcher = calloc(1, sizeof(*watcher));
    if (watcher == NULL) {
        weir_log_line(&cycle->log, WEIR_LOG_ALERT, 0, "no memory to watch certificates");
        return NULL;
    }

    watcher->cycle = cycle;
    watcher->loop = loop;
    watcher->timer.name = "files that are watched";
    watcher->timer.expired = watcher_look;
    watcher->event.name = "inotify";
    watcher->event.ready = watcher_ready;
    watcher->event.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    if (watcher->event.fd == -1) {
        weir_log_line(&cycle->log, WEIR_LOG_WARN, errno,
                      "inotify_init1() failed: certificates are looked at every %d s",
                      WATCH_LOOK_NO_EVENTS_MS / 1000);
    } else if (!weir_event_add(loop, &watcher->event)) {
        close(watcher->event.fd);
        watcher->event.fd = -1;
    }

    /* Soon, as they may have changed since they were read; workers need not wait for it. */
    watcher_look_in(watcher, WATCH_STILL_MS);
    return watcher;
}

void weir_watcher_stop(weir_watcher *watcher)
{
    if (watcher == NULL) {
        return;
    }

    weir_timer_clear(watcher->loop, &watcher->timer);
    if (watcher->event.fd != -1) {
        /* A child that was just forked may still share it: closing alone would leave it in epoll. */
        weir_event_remove(watcher->loop, &watcher->event);
        close(watcher->event.fd);
    }
    free(watcher);
}

void weir_watcher_let_go(weir_watcher *watcher)
{
    if (watcher != NULL && watcher->event.fd != -1) {
        close(watcher->event.fd);
        watcher->event.fd = -1;
    }
}
