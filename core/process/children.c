#include "core/process/children_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/process/core_conf.h"
#include "core/process/slots_internal.h"

#define CHILD_SHORT_LIFE_MS 1000 /* one that dies sooner is replaced later and later */
#define CHILD_DELAY_FIRST_MS 100
#define CHILD_DELAY_MAX_MS 10000
#define CHILD_END_PATIENCE_MS 2000 /* from TERM to KILL */

typedef struct child child;

/* Where a child of the current generation stands, and its successors. */
typedef struct {
    weir_children *children;
    child *child; /* NULL: none, the timer is set */
    unsigned index;
    bool is_keeper;
    unsigned short_lives; /* in a row */
    weir_timer timer;
} place;

struct child {
    weir_list link;
    weir_children *children;
    place *place; /* NULL: it is not replaced */
    pid_t pid;
    uint64_t generation;
    unsigned slot;
    bool is_keeper, is_ready;
    bool is_ended; /* a signal was sent to it: it dies of our hand */
    uint64_t started_ms;
    weir_channel *channel; /* NULL: broken */
};

struct weir_children {
    weir_loop *loop;
    const weir_log *log;
    weir_children_owner owner;
    weir_cycle *cycle;
    weir_list list;
    place *places; /* NULL: none is replaced */
    size_t place_count;
    bool is_ready_told;
    weir_timer force;
};

#define CHILDREN_EACH(children, link)                                                              \
    weir_list *link = (children)->list.next;                                                       \
    link != &(children)->list;                                                                     \
    link = link->next

static child *child_of(weir_list *link)
{
    return WEIR_OWNER(link, child, link);
}

static const char *child_role(const child *c)
{
    return c->is_keeper ? "keeper" : "worker";
}

static void children_force(weir_timer *timer);

weir_children *weir_children_new(weir_loop *loop, const weir_log *log,
                                 const weir_children_owner *owner)
{
    weir_children *children = calloc(1, sizeof(*children));

    if (children == NULL) {
        weir_log_line(log, WEIR_LOG_EMERG, 0, "no memory for worker processes");
        return NULL;
    }

    children->loop = loop;
    children->log = log;
    children->owner = *owner;
    children->force.name = "children that do not end";
    children->force.expired = children_force;
    weir_list_init(&children->list);
    return children;
}

/* ---- what they say */

static void children_check_ready(weir_children *children)
{
    if (children->is_ready_told || children->places == NULL) {
        return;
    }

    for (size_t i = 0; i < children->place_count; i++) {
        const child *c = children->places[i].child;

        if (c == NULL || !c->is_ready) {
            return;
        }
    }

    children->is_ready_told = true;
    children->owner.ready(children->owner.subject);
}

static void child_received(weir_channel *channel, weir_str kind, weir_str bytes, void *subject)
{
    child *c = subject;

    (void) channel;
    (void) bytes;

    if (weir_str_eq(kind, WEIR_SAY_READY)) {
        c->is_ready = true;
        children_check_ready(c->children);
    }
}

/* It will be waited for; until then there is nobody to talk to. */
static void child_ended(weir_channel *channel, void *subject)
{
    child *c = subject;

    weir_channel_free(channel);
    c->channel = NULL;
}

/* ---- forking */

static void child_kill(child *c, int signal)
{
    c->is_ended = true;
    if (kill(c->pid, signal) == -1 && errno != ESRCH) {
        weir_log_line(c->children->log, WEIR_LOG_ALERT, errno, "kill(%d, %d) failed", c->pid,
                      signal);
    }
}

/* In the child: nothing of the master's must stay open, or its end would not be noticed. */
static int child_main(weir_children *children, const place *at, unsigned slot, int fd)
{
    for (CHILDREN_EACH(children, link)) {
        if (child_of(link)->channel != NULL) {
            weir_channel_let_go(child_of(link)->channel);
            child_of(link)->channel = NULL;
        }
    }

    children->owner.forked(children->owner.subject);

    return at->is_keeper ? weir_keeper_main(children->cycle, slot, fd)
                         : weir_worker_main(children->cycle, at->index, slot, fd);
}

static void place_fill_later(place *at, uint64_t from_now_ms)
{
    if (!weir_timer_set(at->children->loop, &at->timer, from_now_ms)) {
        weir_log_line(at->children->log, WEIR_LOG_ALERT, 0, "no memory to start a %s process again",
                      at->is_keeper ? "keeper" : "worker");
    }
}

/* Takes `fd`, our end. */
static bool place_adopt(place *at, child *c, pid_t pid, unsigned slot, int fd)
{
    weir_children *children = at->children;
    const weir_channel_owner owner = {child_received, child_ended, c};

    *c = (child){.children = children,
                 .place = at,
                 .pid = pid,
                 .generation = children->cycle->generation,
                 .slot = slot,
                 .is_keeper = at->is_keeper,
                 .started_ms = weir_clock_now()->monotonic_ms};
    weir_list_append(&children->list, &c->link);
    at->child = c;
    weir_slot_name(children->cycle, slot, pid);

    weir_log_line(children->log, WEIR_LOG_NOTICE, 0, "start %s process %d", child_role(c), pid);

    c->channel = weir_channel_new(children->loop, fd, &owner);
    return c->channel != NULL;
}

/* False, logged: there is no memory, no descriptor, no slot. */
static bool place_prepare(const place *at, child **c, int fds[static 2], unsigned *slot)
{
    weir_children *children = at->children;

    *c = malloc(sizeof(**c));
    if (*c == NULL || !weir_channel_pair(fds, children->log)) {
        free(*c);
        return false;
    }

    if (!weir_slot_take(children->cycle, slot)) {
        weir_log_line(children->log, WEIR_LOG_ALERT, 0,
                      "%d processes are there, and no room for another until some of them end",
                      WEIR_WORKER_SLOTS);
        close(fds[0]);
        close(fds[1]);
        free(*c);
        return false;
    }

    return true;
}

/* False: no process could be had. */
static bool place_fork(place *at)
{
    weir_children *children = at->children;
    unsigned slot;
    child *c;
    int fds[2];
    pid_t pid;

    if (!place_prepare(at, &c, fds, &slot)) {
        return false;
    }

    pid = fork();
    if (pid == 0) {
        close(fds[0]);
        free(c);
        exit(child_main(children, at, slot, fds[1]));
    }

    close(fds[1]);
    if (pid == -1) {
        weir_log_line(children->log, WEIR_LOG_ALERT, errno, "fork() failed while spawning \"%s\"",
                      at->is_keeper ? "keeper process" : "worker process");
        weir_slot_clear(children->cycle, slot);
        close(fds[0]);
        free(c);
        return false;
    }

    if (!place_adopt(at, c, pid, slot, fds[0])) {
        /* Nobody could tell it to end. */
        child_kill(c, SIGKILL);
    }

    return true;
}

static void place_fill(place *at)
{
    if (!place_fork(at)) {
        place_fill_later(at, CHILD_SHORT_LIFE_MS);
    }
}

static void place_expired(weir_timer *timer)
{
    place_fill(WEIR_OWNER(timer, place, timer));
}

/* None is replaced any more. */
static void children_leave_places(weir_children *children)
{
    for (size_t i = 0; i < children->place_count; i++) {
        weir_timer_clear(children->loop, &children->places[i].timer);
    }

    for (CHILDREN_EACH(children, link)) {
        child_of(link)->place = NULL;
    }

    free(children->places);
    children->places = NULL;
    children->place_count = 0;
}

bool weir_children_start(weir_children *children, weir_cycle *cycle)
{
    size_t workers = (size_t) cycle->core->worker_processes;
    place *places = calloc(workers + 1, sizeof(*places));

    children_leave_places(children);
    children->cycle = cycle;

    if (places == NULL) {
        weir_log_line(children->log, WEIR_LOG_ALERT, 0, "no memory for worker processes");
        return false;
    }

    weir_log_line(children->log, WEIR_LOG_NOTICE, 0, "start worker processes");
    weir_slots_sweep(cycle);
    children->places = places;
    children->place_count = workers + 1;
    children->is_ready_told = false;

    for (size_t i = 0; i < children->place_count; i++) {
        place *at = &places[i];

        at->children = children;
        at->index = (unsigned) i;
        at->is_keeper = i == workers;
        at->timer.name = "process to be started again";
        at->timer.expired = place_expired;
    }

    for (size_t i = 0; i < children->place_count; i++) {
        place_fill(&places[i]);
    }

    return true;
}

bool weir_children_serve(const weir_children *children)
{
    for (size_t i = 0; i < children->place_count; i++) {
        const child *c = children->places[i].child;

        if (c != NULL && c->is_ready && !c->is_keeper) {
            return true;
        }
    }

    return false;
}

/* ---- their deaths */

static void child_log_death(const child *c, int status)
{
    const weir_log *log = c->children->log;

    if (!WIFSIGNALED(status)) {
        weir_log_line(log, WEIR_LOG_NOTICE, 0, "%s process %d exited with code %d", child_role(c),
                      c->pid, WEXITSTATUS(status));
        return;
    }

    /* By a signal that the master did not send: a crash, or somebody else who kills our processes. */
    weir_log_line(log, c->is_ended ? WEIR_LOG_NOTICE : WEIR_LOG_ALERT, 0,
                  "%s process %d exited on signal %d%s", child_role(c), c->pid, WTERMSIG(status),
                  WCOREDUMP(status) ? " (core dumped)" : "");
}

static void child_free(child *c)
{
    if (c->place != NULL) {
        c->place->child = NULL;
    }

    weir_list_remove(&c->link);
    weir_channel_free(c->channel);
    free(c);
}

/* At once, unless the last ones died young. */
static void place_refill(place *at, uint64_t lived_ms)
{
    uint64_t delay_ms = CHILD_DELAY_FIRST_MS;

    if (lived_ms >= CHILD_SHORT_LIFE_MS) {
        at->short_lives = 0;
        place_fill(at);
        return;
    }

    at->short_lives++;
    if (at->short_lives == 1) {
        place_fill(at);
        return;
    }

    for (unsigned i = 2; i < at->short_lives && delay_ms < CHILD_DELAY_MAX_MS; i++) {
        delay_ms *= 2;
    }

    if (delay_ms > CHILD_DELAY_MAX_MS) {
        delay_ms = CHILD_DELAY_MAX_MS;
    }

    weir_log_line(at->children->log, WEIR_LOG_WARN, 0,
                  "%u %s processes in a row ended within a second: the next starts in %llu ms",
                  at->short_lives, at->is_keeper ? "keeper" : "worker",
                  (unsigned long long) delay_ms);
    place_fill_later(at, delay_ms);
}

bool weir_children_died(weir_children *children, pid_t pid, int status)
{
    for (CHILDREN_EACH(children, link)) {
        child *c = child_of(link);
        place *at = c->place;
        uint64_t lived_ms = weir_clock_now()->monotonic_ms - c->started_ms;
        bool could_not_start = !c->is_ready;

        if (c->pid != pid) {
            continue;
        }

        child_log_death(c, status);
        weir_slot_clear(children->cycle, c->slot);
        child_free(c);

        if (at != NULL && could_not_start) {
            children->owner.could_not_start(children->owner.subject);
        }

        /* The owner may have ended all. */
        if (at != NULL && children->places != NULL) {
            place_refill(at, lived_ms);
        }
        return true;
    }

    return false;
}

size_t weir_children_count(const weir_children *children)
{
    size_t count = 0;

    for (CHILDREN_EACH(children, link)) {
        count++;
    }

    return count;
}

/* ---- talking to them */

static void child_say(child *c, weir_str kind, weir_str bytes)
{
    if (c->channel != NULL) {
        weir_channel_send(c->channel, kind, bytes);
    }
}

void weir_children_say(weir_children *children, weir_str kind, weir_str bytes)
{
    for (CHILDREN_EACH(children, link)) {
        child_say(child_of(link), kind, bytes);
    }
}

void weir_children_say_current(weir_children *children, weir_str kind, weir_str bytes)
{
    for (CHILDREN_EACH(children, link)) {
        if (child_of(link)->place != NULL) {
            child_say(child_of(link), kind, bytes);
        }
    }
}

/* ---- earlier generations */

/* The oldest one that is there, older than `before`; 0: none. They count from 1. */
static uint64_t children_oldest(const weir_children *children, uint64_t *count)
{
    uint64_t oldest = 0, last = 0;

    *count = 0;

    /* The list is in the order of their birth, and so of their generations but for replaced ones. */
    for (CHILDREN_EACH(children, link)) {
        const child *c = child_of(link);

        if (c->place != NULL || c->is_keeper || c->is_ended) {
            continue;
        }

        if (oldest == 0 || c->generation < oldest) {
            oldest = c->generation;
        }

        *count += c->generation != last;
        last = c->generation;
    }

    return oldest;
}

static void children_end_generation(weir_children *children, uint64_t generation)
{
    for (CHILDREN_EACH(children, link)) {
        child *c = child_of(link);

        if (c->place == NULL && c->generation == generation) {
            child_kill(c, SIGTERM);
        }
    }
}

void weir_children_retire_old(weir_children *children, uint64_t limit)
{
    uint64_t count, oldest;

    for (CHILDREN_EACH(children, link)) {
        if (child_of(link)->place == NULL) {
            child_say(child_of(link), WEIR_SAY_DRAIN, WEIR_STR_EMPTY);
        }
    }

    oldest = children_oldest(children, &count);
    if (count > 1) {
        weir_log_line(children->log, WEIR_LOG_NOTICE, 0,
                      "workers of %llu earlier configurations are shutting down",
                      (unsigned long long) count);
    }

    while (count > limit) {
        weir_log_line(children->log, WEIR_LOG_WARN, 0,
                      "more than %llu earlier configurations have workers (worker_generations): "
                      "those of the oldest are ended",
                      (unsigned long long) limit);
        children_end_generation(children, oldest);
        oldest = children_oldest(children, &count);
    }
}

void weir_children_retire_all(weir_children *children, weir_str kind)
{
    children_leave_places(children);
    weir_children_say(children, kind, WEIR_STR_EMPTY);
}

static void children_force(weir_timer *timer)
{
    weir_children *children = WEIR_OWNER(timer, weir_children, force);

    for (CHILDREN_EACH(children, link)) {
        child *c = child_of(link);

        weir_log_line(children->log, WEIR_LOG_WARN, 0, "%s process %d does not end, and is killed",
                      child_role(c), c->pid);
        child_kill(c, SIGKILL);
    }
}

void weir_children_end_all(weir_children *children)
{
    children_leave_places(children);

    for (CHILDREN_EACH(children, link)) {
        child_kill(child_of(link), SIGTERM);
    }

    if (!weir_timer_set(children->loop, &children->force, CHILD_END_PATIENCE_MS)) {
        children_force(&children->force);
    }
}

void weir_children_free(weir_children *children)
{
    if (children == NULL) {
        return;
    }

    children_leave_places(children);
    weir_timer_clear(children->loop, &children->force);

    while (!weir_list_is_empty(&children->list)) {
        child_free(child_of(children->list.next));
    }

    free(children);
}
