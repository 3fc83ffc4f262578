/* The pool of threads; built with ThreadSanitizer, too. */

#include "t/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/log_sink.h"
#include "core/event/loop.h"

typedef struct {
    weir_job job;
    unsigned number, answer; /* without locks: the pool hands the job over */
    pthread_t ran_on;
    unsigned *done;
    weir_loop *loop; /* submits another job when done */
    unsigned again;
} sum;

static weir_log test_log;

static void sum_work(weir_job *job)
{
    sum *s = WEIR_OWNER(job, sum, job);

    s->answer = s->number * 2;
    s->ran_on = pthread_self();
}

static void sum_done(weir_job *job)
{
    sum *s = WEIR_OWNER(job, sum, job);

    assert_int_equal(s->answer, s->number * 2);
    ++*s->done;
    if (s->again != 0) {
        s->again--;
        s->answer = 0;
        assert_true(weir_job_submit(s->loop, job));
    }
}

static weir_loop *loop_new(void)
{
    weir_loop *loop;

    test_log.target = weir_log_target_stderr();
    loop = weir_loop_new(&test_log);
    assert_non_null(loop);
    return loop;
}

static void sum_init(sum *s, unsigned number, unsigned *done)
{
    memset(s, 0, sizeof(*s));
    s->number = number;
    s->done = done;
    s->job.work = sum_work;
    s->job.done = sum_done;
}

static void every_job_is_worked_elsewhere_and_done_in_the_loop(void **state)
{
    enum { MANY = 2000 };
    weir_loop *loop = loop_new();
    sum *sums = calloc(MANY, sizeof(*sums));
    unsigned done = 0;

    (void) state;
    for (unsigned i = 0; i < MANY; i++) {
        sum_init(&sums[i], i, &done);
        assert_true(weir_job_submit(loop, &sums[i].job));
    }
    while (done < MANY) {
        weir_loop_turn(loop, -1);
    }
    for (unsigned i = 0; i < MANY; i++) {
        assert_false(pthread_equal(sums[i].ran_on, pthread_self()));
    }
    free(sums);
    weir_loop_free(loop);
}

static void a_job_may_be_submitted_again_when_done(void **state)
{
    weir_loop *loop = loop_new();
    sum sums[8];
    unsigned done = 0;

    (void) state;
    for (unsigned i = 0; i < WEIR_COUNT(sums); i++) {
        sum_init(&sums[i], i, &done);
        sums[i].loop = loop;
        sums[i].again = 200;
        assert_true(weir_job_submit(loop, &sums[i].job));
    }
    while (done < WEIR_COUNT(sums) * 201) {
        weir_loop_turn(loop, -1);
    }
    weir_loop_free(loop);
}

/* Holds its thread until the test lets go. */
typedef struct {
    weir_job job;
    atomic_bool *go;
    atomic_uint *begun;
    unsigned *done;
} held;

static void held_work(weir_job *job)
{
    held *h = WEIR_OWNER(job, held, job);
    const struct timespec pause = {.tv_nsec = 200000};

    atomic_fetch_add(h->begun, 1);
    while (!atomic_load(h->go)) {
        nanosleep(&pause, NULL);
    }
}

static void held_done(weir_job *job)
{
    ++*WEIR_OWNER(job, held, job)->done;
}

static void there_are_no_more_threads_and_no_longer_queue_than_allowed(void **state)
{
    enum { THREADS = 2, QUEUE = 3 };
    weir_loop *loop = loop_new();
    held jobs[THREADS + QUEUE + 1];
    atomic_bool go = false;
    atomic_uint begun = 0;
    unsigned done = 0;
    const struct timespec pause = {.tv_nsec = 200000};

    (void) state;
    weir_loop_set_threads(loop, THREADS, QUEUE);
    for (size_t i = 0; i < WEIR_COUNT(jobs); i++) {
        jobs[i] = (held){.job = {.work = held_work, .done = held_done},
                         .go = &go,
                         .begun = &begun,
                         .done = &done};
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_true(weir_job_submit(loop, &jobs[i].job));
        while (atomic_load(&begun) <= i) {
            nanosleep(&pause, NULL);
        }
    }
    for (unsigned i = THREADS; i < THREADS + QUEUE; i++) {
        assert_true(weir_job_submit(loop, &jobs[i].job));
    }
    assert_false(weir_job_submit(loop, &jobs[THREADS + QUEUE].job));
    assert_int_equal(atomic_load(&begun), THREADS);

    atomic_store(&go, true);
    while (done < THREADS + QUEUE) {
        weir_loop_turn(loop, -1);
    }
    assert_int_equal(atomic_load(&begun), THREADS + QUEUE);
    weir_loop_free(loop);
}

static void without_threads_the_caller_is_told(void **state)
{
    weir_loop *loop = loop_new();
    sum s;
    unsigned done = 0;

    (void) state;
    weir_loop_set_threads(loop, 0, 10);
    sum_init(&s, 1, &done);
    assert_false(weir_job_submit(loop, &s.job));
    weir_loop_free(loop);
}

static void only_counted(weir_job *job)
{
    ++*WEIR_OWNER(job, sum, job)->done;
}

static void a_loop_that_ends_is_done_with_all_jobs_those_that_wait_too(void **state)
{
    weir_loop *loop = loop_new();
    sum sums[500];
    unsigned done = 0;

    (void) state;
    for (unsigned i = 0; i < WEIR_COUNT(sums); i++) {
        sum_init(&sums[i], i, &done);
        sums[i].job.done = only_counted;
        assert_true(weir_job_submit(loop, &sums[i].job));
    }
    weir_loop_free(loop);
    assert_int_equal(done, WEIR_COUNT(sums));
}

static void a_forked_child_lets_go_of_the_pool(void **state)
{
    weir_loop *loop = loop_new();
    sum s;
    unsigned done = 0;
    pid_t child;
    int status;

    (void) state;
    sum_init(&s, 1, &done);
    assert_true(weir_job_submit(loop, &s.job));
    while (done == 0) {
        weir_loop_turn(loop, -1);
    }

    child = fork();
    assert_true(child != -1);
    if (child == 0) {
        weir_loop_free(loop);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);

    assert_true(weir_job_submit(loop, &s.job));
    while (done == 1) {
        weir_loop_turn(loop, -1);
    }
    weir_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_job_is_worked_elsewhere_and_done_in_the_loop),
        cmocka_unit_test(a_job_may_be_submitted_again_when_done),
        cmocka_unit_test(there_are_no_more_threads_and_no_longer_queue_than_allowed),
        cmocka_unit_test(without_threads_the_caller_is_told),
        cmocka_unit_test(a_loop_that_ends_is_done_with_all_jobs_those_that_wait_too),
        cmocka_unit_test(a_forked_child_lets_go_of_the_pool),
    };

    return cmocka_run_group_tests_name("event_threads", tests, NULL, NULL);
}
