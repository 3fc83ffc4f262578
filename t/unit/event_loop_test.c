/* The loop: order within a turn, events that vanish during it, timers, tasks, signals. */

#include "t/unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log_sink.h"
#include "core/event/loop.h"

typedef struct {
    weir_loop *loop;
    weir_log log;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof(*f));

    f->log.target = weir_log_target_stderr();
    f->loop = weir_loop_new(&f->log);
    assert_non_null(f->loop);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;

    weir_loop_free(f->loop);
    free(f);
    return 0;
}

static void sleep_ms(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};

    nanosleep(&pause, NULL);
}

/* ---- descriptors */

typedef struct end {
    weir_event event;
    weir_loop *loop;
    int other; /* the test's side of the pair */
    unsigned calls, what;
    struct end *victim; /* closed by this one's handler */
} end;

static void end_ready(weir_event *event, unsigned what)
{
    end *e = WEIR_OWNER(event, end, event);

    e->calls++;
    e->what |= what;
    if (e->victim != NULL && e->victim->event.fd != -1) {
        weir_event_close(e->loop, &e->victim->event);
    }
}

static void end_open(end *e, weir_loop *loop)
{
    int fds[2];

    memset(e, 0, sizeof(*e));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    e->loop = loop;
    e->event.fd = fds[0];
    e->event.name = "end";
    e->event.ready = end_ready;
    e->other = fds[1];
}

static void end_close(end *e)
{
    if (e->event.fd != -1) {
        weir_event_close(e->loop, &e->event);
    }
    if (e->other != -1) {
        close(e->other);
    }
}

static void write_all(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void tells_once_of_what_changed(void **state)
{
    fixture *f = *state;
    end e;

    end_open(&e, f->loop);
    assert_true(weir_event_add(f->loop, &e.event));

    weir_loop_turn(f->loop, 0);
    assert_int_equal(e.what, WEIR_WRITABLE);

    write_all(e.other, "x");
    weir_loop_turn(f->loop, 0);
    assert_int_equal(e.what, WEIR_WRITABLE | WEIR_READABLE);
    assert_int_equal(e.calls, 2);

    /* Nobody read; but it is edge-triggered. */
    weir_loop_turn(f->loop, 0);
    assert_int_equal(e.calls, 2);
    end_close(&e);
}

static void tells_a_reader_of_room_only_when_it_asks(void **state)
{
    fixture *f = *state;
    end e;

    end_open(&e, f->loop);
    assert_true(weir_event_add_reader(f->loop, &e.event));
    weir_loop_turn(f->loop, 0);
    assert_int_equal(e.calls, 0);

    write_all(e.other, "x");
    weir_loop_turn(f->loop, 0);
    assert_int_equal(e.what, WEIR_READABLE);

    /* There is room already: that is told, too. */
    assert_true(weir_event_hear_writable(f->loop, &e.event, true));
    weir_loop_turn(f->loop, 0);
    assert_int_equal(e.what, WEIR_READABLE | WEIR_WRITABLE);

    e.what = 0;
    assert_true(weir_event_hear_writable(f->loop, &e.event, false));
    write_all(e.other, "x");
    weir_loop_turn(f->loop, 0);
    assert_int_equal(e.what, WEIR_READABLE);
    end_close(&e);
}

static void tells_of_a_peer_that_sends_no_more(void **state)
{
    fixture *f = *state;
    end e;

    end_open(&e, f->loop);
    assert_true(weir_event_add(f->loop, &e.event));
    assert_int_equal(shutdown(e.other, SHUT_WR), 0);
    weir_loop_turn(f->loop, 0);
    assert_int_equal(e.what, WEIR_WRITABLE | WEIR_READABLE | WEIR_HANGUP);
    end_close(&e);
}

static void level_triggered_events_come_again(void **state)
{
    fixture *f = *state;
    end e;

    end_open(&e, f->loop);
    assert_true(weir_event_add_level(f->loop, &e.event, true));
    write_all(e.other, "x");
    weir_loop_turn(f->loop, 0);
    weir_loop_turn(f->loop, 0);
    assert_int_equal(e.calls, 2);

    weir_event_remove(f->loop, &e.event);
    weir_loop_turn(f->loop, 0);
    assert_int_equal(e.calls, 2);

    /* Removed and added again, as listeners are. */
    assert_true(weir_event_add_level(f->loop, &e.event, true));
    weir_loop_turn(f->loop, 0);
    assert_int_equal(e.calls, 3);
    weir_event_remove(f->loop, &e.event);
    weir_event_remove(f->loop, &e.event);
    end_close(&e);
}

static void a_handler_may_close_others_that_are_ready(void **state)
{
    fixture *f = *state;
    end e[8];
    unsigned calls = 0;

    /* Each closes its neighbour: whoever is closed before its turn is not called. */
    for (int i = 0; i < 8; i++) {
        end_open(&e[i], f->loop);
        assert_true(weir_event_add(f->loop, &e[i].event));
    }
    for (int i = 0; i < 8; i++) {
        e[i].victim = &e[i ^ 1];
    }
    weir_loop_turn(f->loop, 0);

    for (int i = 0; i < 8; i++) {
        calls += e[i].calls;
        assert_int_equal(e[i].calls + e[i ^ 1].calls, 1);
    }
    assert_int_equal(calls, 4);
    for (int i = 0; i < 8; i++) {
        end_close(&e[i]);
    }
}

static void a_handler_may_close_itself(void **state)
{
    fixture *f = *state;
    end e;

    end_open(&e, f->loop);
    e.victim = &e;
    assert_true(weir_event_add(f->loop, &e.event));
    weir_loop_turn(f->loop, 0);
    assert_int_equal(e.calls, 1);
    assert_int_equal(e.event.fd, -1);
    end_close(&e);
}

static void more_events_than_a_batch_are_all_told(void **state)
{
    enum { MANY = 700 };
    fixture *f = *state;
    end *e = calloc(MANY, sizeof(*e));

    for (int i = 0; i < MANY; i++) {
        end_open(&e[i], f->loop);
        close(e[i].other);
        e[i].other = -1;
        assert_true(weir_event_add(f->loop, &e[i].event));
    }
    weir_loop_turn(f->loop, 0);
    weir_loop_turn(f->loop, 0);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(e[i].calls, 1);
        end_close(&e[i]);
    }
    free(e);
}

/* ---- timers */

typedef struct {
    weir_timer timer;
    weir_loop *loop;
    unsigned expired;
    uint64_t expired_ms;
    uint64_t again_ms; /* set anew by the handler; 0: not */
    unsigned *order;
    unsigned place;
} alarm_clock;

static void alarm_expired(weir_timer *timer)
{
    alarm_clock *a = WEIR_OWNER(timer, alarm_clock, timer);

    assert_false(weir_timer_is_set(timer));
    a->expired++;
    a->expired_ms = weir_clock_now()->monotonic_ms;
    if (a->order != NULL) {
        a->place = ++*a->order;
    }
    if (a->again_ms != 0) {
        assert_true(weir_timer_set(a->loop, timer, a->again_ms - 1));
    }
}

static void alarm_init(alarm_clock *a, weir_loop *loop)
{
    memset(a, 0, sizeof(*a));
    a->loop = loop;
    a->timer.name = "alarm";
    a->timer.expired = alarm_expired;
}

/* Turns until `a` expired; the wait ends by itself, as the timer is in the loop. */
static void await(fixture *f, const alarm_clock *a)
{
    while (a->expired == 0) {
        weir_loop_turn(f->loop, -1);
    }
}

static void timers_expire_when_due_and_in_order(void **state)
{
    enum { MANY = 200 };
    fixture *f = *state;
    alarm_clock a[MANY];
    unsigned order = 0;
    uint64_t begin_ms = weir_clock_now()->monotonic_ms;

    for (unsigned i = 0; i < MANY; i++) {
        alarm_init(&a[i], f->loop);
        a[i].order = &order;
        /* Neither ascending nor descending, each time once: 77 and 200 have no common factor but 1. */
        assert_true(weir_timer_set(f->loop, &a[i].timer, 10 + (i * 77) % MANY / 4));
    }
    for (unsigned i = 0; i < MANY; i++) {
        await(f, &a[i]);
        assert_true(a[i].expired_ms >= begin_ms + 10 + (i * 77) % MANY / 4);
    }
    for (unsigned i = 0; i < MANY; i++) {
        for (unsigned j = 0; j < MANY; j++) {
            if (a[i].timer.due_ms < a[j].timer.due_ms) {
                assert_true(a[i].place < a[j].place);
            }
        }
    }
}

static void moving_a_timer_later_leaves_its_place(void **state)
{
    fixture *f = *state;
    alarm_clock a;
    uint64_t queued_ms;

    alarm_init(&a, f->loop);
    assert_true(weir_timer_set(f->loop, &a.timer, 10));
    queued_ms = a.timer.queued_ms;
    assert_true(weir_timer_set(f->loop, &a.timer, 40));
    assert_int_equal(a.timer.queued_ms, queued_ms);
    assert_int_equal(a.timer.due_ms, queued_ms + 30);

    await(f, &a);
    assert_int_equal(a.expired, 1);
    assert_true(a.expired_ms >= queued_ms + 30);
}

static void moving_a_timer_earlier_counts_at_once(void **state)
{
    fixture *f = *state;
    alarm_clock a, b;

    alarm_init(&a, f->loop);
    alarm_init(&b, f->loop);
    assert_true(weir_timer_set(f->loop, &b.timer, 3600 * 1000));
    assert_true(weir_timer_set(f->loop, &a.timer, 7200 * 1000));
    assert_true(weir_timer_set(f->loop, &a.timer, 5));
    await(f, &a);
    assert_int_equal(b.expired, 0);
    weir_timer_clear(f->loop, &b.timer);
}

static void a_cleared_timer_does_not_expire(void **state)
{
    enum { MANY = 64 };
    fixture *f = *state;
    alarm_clock a[MANY];

    for (unsigned i = 0; i < MANY; i++) {
        alarm_init(&a[i], f->loop);
        assert_true(weir_timer_set(f->loop, &a[i].timer, (i * 29) % MANY));
    }
    for (unsigned i = 0; i < MANY; i += 3) {
        weir_timer_clear(f->loop, &a[i].timer);
        assert_false(weir_timer_is_set(&a[i].timer));
        weir_timer_clear(f->loop, &a[i].timer);
    }
    for (unsigned i = 0; i < MANY; i++) {
        if (i % 3 != 0) {
            await(f, &a[i]);
        }
    }
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(a[i].expired, i % 3 != 0);
    }
}

static void the_heap_holds_through_any_sequence(void **state)
{
    enum { MANY = 300, STEPS = 20000 };
    fixture *f = *state;
    alarm_clock *a = calloc(MANY, sizeof(*a));
    alarm_clock first;
    uint32_t seed = 1;

    for (unsigned i = 0; i < MANY; i++) {
        alarm_init(&a[i], f->loop);
    }
    for (unsigned i = 0; i < STEPS; i++) {
        alarm_clock *one;

        seed = seed * 1664525 + 1013904223;
        one = &a[(seed >> 8) % MANY];
        if (seed >> 30 == 0) {
            weir_timer_clear(f->loop, &one->timer);
        } else {
            assert_true(weir_timer_set(f->loop, &one->timer, 1000000 + (seed >> 4) % 100000));
        }
    }

    /* Were the order broken somewhere, the earliest would not get to the top. */
    alarm_init(&first, f->loop);
    assert_true(weir_timer_set(f->loop, &first.timer, 1));
    await(f, &first);
    for (unsigned i = 0; i < MANY; i++) {
        assert_true(!weir_timer_is_set(&a[i].timer) || a[i].timer.queued_ms <= a[i].timer.due_ms);
        if (weir_timer_is_set(&a[i].timer)) {
            assert_true(weir_timer_set(f->loop, &a[i].timer, 0));
        }
    }
    weir_loop_turn(f->loop, 0);
    for (unsigned i = 0; i < MANY; i++) {
        assert_false(weir_timer_is_set(&a[i].timer));
    }
    free(a);
}

static void a_timer_set_for_at_once_by_its_handler_leaves_the_turn(void **state)
{
    fixture *f = *state;
    alarm_clock a;

    alarm_init(&a, f->loop);
    a.again_ms = 1;
    assert_true(weir_timer_set(f->loop, &a.timer, 0));
    weir_loop_turn(f->loop, 0);
    assert_int_equal(a.expired, 1);
    weir_loop_turn(f->loop, -1);
    assert_int_equal(a.expired, 2);
    weir_timer_clear(f->loop, &a.timer);
}

static void a_time_that_never_comes_is_no_overflow(void **state)
{
    fixture *f = *state;
    alarm_clock a;

    alarm_init(&a, f->loop);
    assert_true(weir_timer_set(f->loop, &a.timer, UINT64_MAX));
    weir_loop_turn(f->loop, 1);
    assert_int_equal(a.expired, 0);
    weir_timer_clear(f->loop, &a.timer);
}

/* ---- tasks */

typedef struct errand {
    weir_task task;
    weir_loop *loop;
    unsigned runs;
    struct errand *posts, *cancels;
} errand;

static void errand_run(weir_task *task)
{
    errand *e = WEIR_OWNER(task, errand, task);

    e->runs++;
    if (e->posts != NULL) {
        weir_task_post(e->loop, &e->posts->task);
    }
    if (e->cancels != NULL) {
        weir_task_cancel(&e->cancels->task);
    }
}

static void errand_init(errand *e, weir_loop *loop)
{
    memset(e, 0, sizeof(*e));
    e->loop = loop;
    e->task.name = "errand";
    e->task.run = errand_run;
}

static void a_task_runs_once_however_often_it_was_posted(void **state)
{
    fixture *f = *state;
    errand e;

    errand_init(&e, f->loop);
    weir_task_post(f->loop, &e.task);
    weir_task_post(f->loop, &e.task);
    weir_loop_turn(f->loop, -1);
    weir_loop_turn(f->loop, 0);
    assert_int_equal(e.runs, 1);
}

static void a_task_that_tasks_post_waits_for_the_next_turn(void **state)
{
    fixture *f = *state;
    errand e;

    errand_init(&e, f->loop);
    e.posts = &e;
    weir_task_post(f->loop, &e.task);
    weir_loop_turn(f->loop, -1);
    assert_int_equal(e.runs, 1);
    /* It does not wait, as there is something to do. */
    weir_loop_turn(f->loop, -1);
    assert_int_equal(e.runs, 2);
    weir_task_cancel(&e.task);
}

static void a_task_may_cancel_another_of_the_same_turn(void **state)
{
    fixture *f = *state;
    errand a, b;

    errand_init(&a, f->loop);
    errand_init(&b, f->loop);
    a.cancels = &b;
    weir_task_post(f->loop, &a.task);
    weir_task_post(f->loop, &b.task);
    weir_loop_turn(f->loop, 0);
    weir_loop_turn(f->loop, 0);
    assert_int_equal(a.runs, 1);
    assert_int_equal(b.runs, 0);
}

static void stopper_run(weir_task *task)
{
    weir_loop_stop(WEIR_OWNER(task, errand, task)->loop);
}

static void runs_until_it_is_stopped(void **state)
{
    fixture *f = *state;
    errand stopper;

    errand_init(&stopper, f->loop);
    stopper.task.run = stopper_run;
    weir_task_post(f->loop, &stopper.task);
    weir_loop_run(f->loop);
    assert_false(stopper.task.posted);

    /* One that came before is not lost. */
    weir_loop_stop(f->loop);
    weir_loop_run(f->loop);
}

/* ---- signals */

typedef struct {
    unsigned usr1, usr2;
    int sender;
} heard;

static void hear(int signal, int sender, void *subject)
{
    heard *h = subject;

    h->sender = sender;
    h->usr1 += signal == SIGUSR1;
    h->usr2 += signal == SIGUSR2;
}

static void signals_come_as_events(void **state)
{
    static const int signals[] = {SIGUSR1, SIGUSR2};
    fixture *f = *state;
    heard h = {0, 0, 0};

    assert_true(weir_loop_on_signals(f->loop, signals, 2, hear, &h));
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR2);
    assert_int_equal(h.usr1 + h.usr2, 0);
    weir_loop_turn(f->loop, -1);
    assert_int_equal(h.usr1, 1);
    assert_int_equal(h.usr2, 1);
    assert_int_equal(h.sender, getpid());
}

static void a_forked_child_has_signals_and_a_loop_of_its_own(void **state)
{
    static const int signals[] = {SIGUSR1};
    fixture *f = *state;
    heard h = {0, 0, 0};
    end e;
    pid_t child;
    int status;

    assert_true(weir_loop_on_signals(f->loop, signals, 1, hear, &h));
    end_open(&e, f->loop);
    assert_true(weir_event_add(f->loop, &e.event));

    child = fork();
    assert_true(child != -1);
    if (child == 0) {
        weir_loop *own;
        heard child_heard = {0, 0, 0};

        weir_loop_free(f->loop);
        own = weir_loop_new(&f->log);
        if (own == NULL || !weir_loop_on_signals(own, signals, 1, hear, &child_heard)) {
            _exit(2);
        }
        kill(getpid(), SIGUSR1);
        weir_loop_turn(own, -1);
        _exit(child_heard.usr1 == 1 ? 0 : 1);
    }

    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    /* Ours goes on. */
    write_all(e.other, "x");
    weir_loop_turn(f->loop, -1);
    assert_true(e.what & WEIR_READABLE);
    assert_int_equal(h.usr1, 0);
    end_close(&e);
}

/* ---- slow handlers */

static void slow_run(weir_task *task)
{
    errand *e = WEIR_OWNER(task, errand, task);

    e->runs++;
    sleep_ms(30);
}

static void a_handler_that_holds_the_loop_is_named_in_the_log(void **state)
{
    fixture *f = *state;
    int fd = memfd_create("log", MFD_CLOEXEC);
    char path[64], text[2048];
    ssize_t len;
    weir_pool *pool = weir_pool_new(1024, 0);
    weir_log_files *files = weir_log_files_new(pool);
    weir_log_target *target = weir_log_target_new(pool);
    weir_log_file *file;
    errand e;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    file = weir_log_files_get(files, weir_str_from_z(path));
    assert_true(weir_log_target_add_file(target, file, WEIR_LOG_WARN));
    assert_true(weir_log_files_open(files, &f->log));
    f->log.target = target;
    weir_loop_set_slow_ms(f->loop, 10);

    errand_init(&e, f->loop);
    e.task.name = "the slow one";
    e.task.run = slow_run;
    for (int i = 0; i < 2; i++) {
        weir_task_post(f->loop, &e.task);
        weir_loop_turn(f->loop, 0);
    }

    len = pread(fd, text, sizeof(text) - 1, 0);
    assert_true(len > 0);
    text[len] = '\0';
    assert_non_null(strstr(text, "a turn of the event loop"));
    assert_non_null(strstr(text, "task \"the slow one\" held the event loop for "));

    f->log.target = weir_log_target_stderr();
    weir_log_files_close(files);
    weir_pool_free(pool);
    close(fd);
}

int main(void)
{
#define LOOP_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LOOP_TEST(tells_once_of_what_changed),
        LOOP_TEST(tells_a_reader_of_room_only_when_it_asks),
        LOOP_TEST(tells_of_a_peer_that_sends_no_more),
        LOOP_TEST(level_triggered_events_come_again),
        LOOP_TEST(a_handler_may_close_others_that_are_ready),
        LOOP_TEST(a_handler_may_close_itself),
        LOOP_TEST(more_events_than_a_batch_are_all_told),
        LOOP_TEST(timers_expire_when_due_and_in_order),
        LOOP_TEST(moving_a_timer_later_leaves_its_place),
        LOOP_TEST(moving_a_timer_earlier_counts_at_once),
        LOOP_TEST(a_cleared_timer_does_not_expire),
        LOOP_TEST(the_heap_holds_through_any_sequence),
        LOOP_TEST(a_timer_set_for_at_once_by_its_handler_leaves_the_turn),
        LOOP_TEST(a_time_that_never_comes_is_no_overflow),
        LOOP_TEST(a_task_runs_once_however_often_it_was_posted),
        LOOP_TEST(a_task_that_tasks_post_waits_for_the_next_turn),
        LOOP_TEST(a_task_may_cancel_another_of_the_same_turn),
        LOOP_TEST(runs_until_it_is_stopped),
        LOOP_TEST(signals_come_as_events),
        LOOP_TEST(a_forked_child_has_signals_and_a_loop_of_its_own),
        LOOP_TEST(a_handler_that_holds_the_loop_is_named_in_the_log),
    };

    return cmocka_run_group_tests_name("event_loop", tests, NULL, NULL);
}
