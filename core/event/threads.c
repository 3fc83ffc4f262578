/*
 * A small pool of threads for disk I/O that may block; what is done comes back through an eventfd.
 *
 * Only `queue` and `finished` and their fellows under the lock are shared with the threads.
 */

#include "core/event/loop_internal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

typedef struct {
    weir_job *first;
    weir_job **end; /* where the next one goes */
} job_queue;

struct weir_threads {
    weir_loop *loop;
    weir_event wake; /* an eventfd */
    pid_t pid;       /* a forked child has no threads */
    pthread_t *ids;
    unsigned count;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    job_queue queue;
    size_t queued;
    unsigned idle;
    job_queue finished;
    bool stopping;
};

static void job_queue_init(job_queue *queue)
{
    queue->first = NULL;
    queue->end = &queue->first;
}

static void job_queue_append(job_queue *queue, weir_job *job)
{
    job->next = NULL;
    *queue->end = job;
    queue->end = &job->next;
}

static weir_job *job_queue_take(job_queue *queue)
{
    weir_job *job = queue->first;

    queue->first = job->next;
    if (queue->first == NULL) {
        queue->end = &queue->first;
    }
    return job;
}

static void threads_lock(weir_threads *threads)
{
    pthread_mutex_lock(&threads->lock);
}

static void threads_unlock(weir_threads *threads)
{
    pthread_mutex_unlock(&threads->lock);
}

/* ---- on the threads */

static weir_job *threads_next_job(weir_threads *threads)
{
    weir_job *job = NULL;

    threads_lock(threads);
    threads->idle++;
    while (threads->queue.first == NULL && !threads->stopping) {
        pthread_cond_wait(&threads->changed, &threads->lock);
    }
    threads->idle--;
    if (!threads->stopping) {
        job = job_queue_take(&threads->queue);
        threads->queued--;
    }
    threads_unlock(threads);
    return job;
}

static void threads_finish_job(weir_threads *threads, weir_job *job)
{
    const uint64_t one = 1;
    bool is_first;

    threads_lock(threads);
    is_first = threads->finished.first == NULL;
    job_queue_append(&threads->finished, job);
    threads_unlock(threads);

    /* The loop takes all that are finished at once.  An eventfd cannot be full of ones. */
    while (is_first && write(threads->wake.fd, &one, sizeof(one)) == -1 && errno == EINTR) {
    }
}

static void *threads_main(void *argument)
{
    weir_threads *threads = argument;
    weir_job *job;

    while ((job = threads_next_job(threads)) != NULL) {
        job->work(job);
        threads_finish_job(threads, job);
    }
    return NULL;
}

/* ---- in the loop */

static void jobs_done(weir_job *job)
{
    for (weir_job *next; job != NULL; job = next) {
        next = job->next;
        job->done(job);
    }
}

static void threads_wake_ready(weir_event *event, unsigned what)
{
    weir_threads *threads = WEIR_OWNER(event, weir_threads, wake);
    weir_job *job;
    uint64_t times;

    (void) what;

    /* Before the list is taken: a job that ends in between writes again. */
    while (read(event->fd, &times, sizeof(times)) == -1 && errno == EINTR) {
    }

    threads_lock(threads);
    job = threads->finished.first;
    job_queue_init(&threads->finished);
    threads_unlock(threads);
    jobs_done(job);
}

static weir_threads *threads_new(weir_loop *loop)
{
    weir_threads *threads = calloc(1, sizeof(*threads));

    if (threads == NULL) {
        return NULL;
    }

    threads->ids = calloc(loop->thread_limit, sizeof(*threads->ids));
    threads->wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    threads->wake.name = "finished jobs";
    threads->wake.ready = threads_wake_ready;
    if (threads->ids == NULL || threads->wake.fd == -1 || !weir_event_add(loop, &threads->wake)) {
        if (threads->wake.fd != -1) {
            close(threads->wake.fd);
        }
        free(threads->ids);
        free(threads);
        return NULL;
    }

    threads->loop = loop;
    threads->pid = getpid();
    job_queue_init(&threads->queue);
    job_queue_init(&threads->finished);
    pthread_mutex_init(&threads->lock, NULL);
    pthread_cond_init(&threads->changed, NULL);
    return threads;
}

/* Signals are for the loop's thread. */
static void threads_add(weir_threads *threads)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&threads->ids[threads->count], NULL, threads_main, threads);
    pthread_sigmask(SIG_SETMASK, &before, NULL);

    if (error == 0) {
        threads->count++;
    } else {
        weir_log_line(threads->loop->log, WEIR_LOG_ALERT, error, "pthread_create() failed");
    }
}

bool weir_job_submit(weir_loop *loop, weir_job *job)
{
    weir_threads *threads = loop->threads;
    bool is_full, wants_thread;

    if (threads == NULL) {
        threads = loop->threads = threads_new(loop);
        if (threads == NULL) {
            return false;
        }
    }

    threads_lock(threads);
    wants_thread = threads->queued >= threads->idle && threads->count < loop->thread_limit;
    threads_unlock(threads);

    if (wants_thread) {
        threads_add(threads);
    }
    if (threads->count == 0) {
        return false;
    }

    threads_lock(threads);
    is_full = threads->queued >= loop->job_limit;
    if (!is_full) {
        job_queue_append(&threads->queue, job);
        threads->queued++;
    }
    threads_unlock(threads);

    if (is_full) {
        weir_log_line(loop->log, WEIR_LOG_ERR, 0, "thread pool queue overflow: %zu tasks waiting",
                      loop->job_limit);
        return false;
    }

    pthread_cond_signal(&threads->changed);
    return true;
}

void weir_loop_set_threads(weir_loop *loop, unsigned threads, size_t max_queue)
{
    loop->thread_limit = threads;
    loop->job_limit = max_queue;
}

void weir_threads_free(weir_threads *threads)
{
    if (threads == NULL) {
        return;
    }

    if (threads->pid == getpid()) {
        threads_lock(threads);
        threads->stopping = true;
        threads_unlock(threads);
        pthread_cond_broadcast(&threads->changed);

        for (unsigned i = 0; i < threads->count; i++) {
            pthread_join(threads->ids[i], NULL);
        }
        /* Nobody waits for them any more, but what they hold is given back in `done`. */
        jobs_done(threads->finished.first);
        jobs_done(threads->queue.first);
        pthread_cond_destroy(&threads->changed);
        pthread_mutex_destroy(&threads->lock);
    }

    weir_event_close(threads->loop, &threads->wake);
    free(threads->ids);
    free(threads);
}
