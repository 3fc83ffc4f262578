/* A worker or keeper, from fork to exit; and the single process of master_process off. */

#include "core/process/worker_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/base/random.h"
#include "core/net/connection.h"
#include "core/process/core_conf.h"
#include "core/process/privileges_internal.h"
#include "core/process/slots_internal.h"
#include "core/process/title_internal.h"
#include "core/process/watch_internal.h"

typedef struct {
    weir_list link;
    void (*call)(weir_worker *worker, void *subject);
    void *subject;
} worker_told;

/* What hangs from the public structure: there is one in each process but the master. */
typedef struct {
    weir_worker worker;
    weir_channel *channel; /* NULL: the master is gone, or there is none */
    weir_list drains, cuts;
    weir_timer shutdown;
    bool is_accepting;
    bool has_ended; /* leave the loop, whatever there is */
} worker_process;

static worker_process *worker_this;

weir_worker *weir_worker_current(void)
{
    return worker_this == NULL ? NULL : &worker_this->worker;
}

static worker_process *worker_process_of(weir_worker *worker)
{
    return WEIR_OWNER(worker, worker_process, worker);
}

/* ---- who is called when it drains or is cut */

static bool told_add(weir_worker *worker, weir_list *list,
                     void (*call)(weir_worker *worker, void *subject), void *subject)
{
    worker_told *added = WEIR_NEW(worker->cycle->pool, worker_told);

    if (added == NULL) {
        return false;
    }

    added->call = call;
    added->subject = subject;
    weir_list_append(list, &added->link);
    return true;
}

static void told_call(weir_worker *worker, const weir_list *list)
{
    for (const weir_list *link = list->next; link != list; link = link->next) {
        const worker_told *told = WEIR_OWNER(link, worker_told, link);

        told->call(worker, told->subject);
    }
}

bool weir_worker_on_drain(weir_worker *worker, void (*drain)(weir_worker *worker, void *subject),
                          void *subject)
{
    return told_add(worker, &worker_process_of(worker)->drains, drain, subject);
}

bool weir_worker_on_cut(weir_worker *worker, void (*cut)(weir_worker *worker, void *subject),
                        void *subject)
{
    return told_add(worker, &worker_process_of(worker)->cuts, cut, subject);
}

/* ---- the end */

static void worker_end(worker_process *process)
{
    process->has_ended = true;
}

static void worker_shutdown_expired(weir_timer *timer)
{
    worker_process *process = WEIR_OWNER(timer, worker_process, shutdown);

    weir_log_line(&process->worker.log, WEIR_LOG_NOTICE, 0,
                  "worker_shutdown_timeout is over: %zu connections are closed",
                  weir_connections_open(process->worker.loop));
    told_call(&process->worker, &process->cuts);
    worker_end(process);
}

/* Closed, too: what is listened on no more must be refused, and not wait in a queue of ours. */
static void worker_stop_accepting(worker_process *process)
{
    weir_worker *worker = &process->worker;

    if (process->is_accepting) {
        process->is_accepting = false;
        weir_listeners_stop(worker->cycle->listeners, worker->loop);
        weir_listeners_close(worker->cycle->listeners, NULL);
    }
}

/* Begins to drain, or, an operator having lost patience, stops waiting for what is idle. */
static void worker_drain_begin(worker_process *process, bool is_operator_quit)
{
    weir_worker *worker = &process->worker;
    const weir_core_conf *core = worker->cycle->core;

    worker->is_operator_quit |= is_operator_quit;

    if (!worker->is_draining) {
        worker->is_draining = true;
        weir_log_line(&worker->log, WEIR_LOG_NOTICE, 0, "gracefully shutting down");
        weir_title_set(worker->is_keeper ? "keeper process is shutting down"
                                         : "worker process is shutting down");

        if (worker->is_keeper) {
            worker_end(process);
            return;
        }

        worker_stop_accepting(process);

        if (core->shutdown_timeout_ms != 0) {
            process->shutdown.name = "worker_shutdown_timeout";
            process->shutdown.expired = worker_shutdown_expired;
            if (!weir_timer_set(worker->loop, &process->shutdown, core->shutdown_timeout_ms)) {
                worker_end(process);
            }
        }

        told_call(worker, &process->drains);
    }

    if (is_operator_quit) {
        weir_connections_close_idle(worker->loop);
    }
}

static bool worker_is_done(const worker_process *process)
{
    if (process->has_ended) {
        return true;
    }

    return process->worker.is_draining && weir_connections_open(process->worker.loop) == 0;
}

/* ---- what it is told */

static void worker_reopen(worker_process *process)
{
    weir_cycle *cycle = process->worker.cycle;

    weir_log_line(&process->worker.log, WEIR_LOG_NOTICE, 0, "reopening logs");
    weir_log_files_reopen(cycle->log_files, (unsigned) -1, &process->worker.log);
    weir_cycle_log_to_files(cycle);
}

static void worker_received(weir_channel *channel, weir_str kind, weir_str bytes, void *subject)
{
    worker_process *process = subject;

    (void) channel;

    if (weir_str_eq(kind, WEIR_SAY_DRAIN)) {
        worker_drain_begin(process, false);
    } else if (weir_str_eq(kind, WEIR_SAY_QUIT)) {
        worker_drain_begin(process, true);
    } else if (weir_str_eq(kind, WEIR_SAY_REOPEN)) {
        worker_reopen(process);
    } else {
        weir_messages_deliver(process->worker.cycle->messages, &process->worker, kind, bytes);
    }
}

/* Clients need no master: service goes on, and whoever looks after it reads why nothing else does. */
static void worker_lost_master(weir_channel *channel, void *subject)
{
    worker_process *process = subject;

    weir_log_line(&process->worker.log, WEIR_LOG_ALERT, 0,
                  "the master process is gone: this process goes on, without being replaced, "
                  "reloaded or told of renewed certificates; end it with TERM or QUIT");
    weir_channel_free(channel);
    process->channel = NULL;
}

static void worker_signal(int signal, int sender, void *subject)
{
    worker_process *process = subject;

    (void) sender;

    switch (signal) {
    case SIGQUIT:
        worker_drain_begin(process, true);
        break;
    case SIGUSR1:
        worker_reopen(process);
        break;
    case SIGTERM:
    case SIGINT:
        weir_log_line(&process->worker.log, WEIR_LOG_NOTICE, 0, "exiting");
        worker_end(process);
        break;
    }
}

/* ---- beginning and ending */

static bool worker_open(worker_process *process, int fd)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGUSR1};
    const weir_channel_owner owner = {worker_received, worker_lost_master, process};
    weir_worker *worker = &process->worker;

    worker->loop = weir_loop_new(&worker->log);
    if (worker->loop == NULL
        || !weir_loop_on_signals(worker->loop, signals, WEIR_COUNT(signals), worker_signal,
                                 process)) {
        return false;
    }

    process->channel = weir_channel_new(worker->loop, fd, &owner);
    return process->channel != NULL;
}

/* What every process that has connections sets up. */
static void worker_set_limits(weir_worker *worker)
{
    const weir_core_conf *core = worker->cycle->core;
    const weir_events_conf *events = weir_core_events(core);

    weir_connections_set_limit(worker->loop, events->worker_connections);
    weir_connections_share_counter(worker->loop, weir_slots_connections(worker->cycle));
    weir_loop_set_slow_ms(worker->loop, events->stall_threshold_ms > UINT32_MAX
                                            ? UINT32_MAX
                                            : (unsigned) events->stall_threshold_ms);

    if (core->threads.threads != 0) {
        weir_loop_set_threads(worker->loop, core->threads.threads, core->threads.max_queue);
    }
}

/* `*started` counts those that must be stopped again. */
static bool worker_start_modules(weir_worker *worker, size_t *started)
{
    const weir_module_entry *entry;

    for (; (entry = weir_modules_all(worker->cycle->modules, *started)) != NULL; ++*started) {
        const weir_module *module = entry->module;

        if (module->worker_start != NULL && !module->worker_start(worker)) {
            weir_log_line(&worker->log, WEIR_LOG_EMERG, 0, "module \"%s\" did not start",
                          module->name);
            return false;
        }
    }

    return true;
}

static void worker_stop_modules(weir_worker *worker, size_t started)
{
    while (started-- > 0) {
        const weir_module *module = weir_modules_all(worker->cycle->modules, started)->module;

        if (module->worker_stop != NULL) {
            module->worker_stop(worker);
        }
    }
}

static void worker_turn(worker_process *process)
{
    while (!worker_is_done(process)) {
        weir_loop_turn(process->worker.loop, -1);
    }
}

static bool worker_accept(worker_process *process)
{
    weir_worker *worker = &process->worker;
    const weir_events_conf *events = weir_core_events(worker->cycle->core);

    process->is_accepting = weir_listeners_start(worker->cycle->listeners, worker->loop,
                                                 worker->index, events->multi_accept);
    return process->is_accepting;
}

static void worker_say_ready(worker_process *process)
{
    if (process->channel != NULL) {
        weir_channel_send(process->channel, WEIR_SAY_READY, WEIR_STR_EMPTY);
    }
}

/* From the first module to the last.  False: it could not start. */
static bool worker_serve(worker_process *process)
{
    weir_worker *worker = &process->worker;
    size_t started = 0;
    bool is_started = worker_start_modules(worker, &started) && worker_accept(process);

    if (is_started) {
        worker_say_ready(process);
        worker_turn(process);
        worker_stop_accepting(process);
    }

    worker_stop_modules(worker, started);
    return is_started;
}

static bool worker_keep(worker_process *process)
{
    weir_keeping *keeping = weir_keeping_start(&process->worker);

    if (keeping == NULL) {
        return false;
    }

    worker_say_ready(process);
    worker_turn(process);
    weir_keeping_stop(keeping);
    return true;
}

static void worker_init(worker_process *process, weir_cycle *cycle, unsigned index, unsigned slot)
{
    process->worker.cycle = cycle;
    process->worker.index = index;
    process->worker.slot = slot;
    process->worker.log = cycle->log;
    weir_list_init(&process->drains);
    weir_list_init(&process->cuts);
    worker_this = process;
    weir_random_reseed();
}

static void worker_close(worker_process *process)
{
    weir_channel_free(process->channel);
    weir_loop_free(process->worker.loop);
    weir_log_line(&process->worker.log, WEIR_LOG_NOTICE, 0, "exit");
    worker_this = NULL;
}

/* Ended by force: what is still open goes with the process, and nobody takes it apart. */
static void worker_leave_behind(worker_process *process)
{
    if (weir_connections_open(process->worker.loop) != 0) {
        weir_log_line(&process->worker.log, WEIR_LOG_NOTICE, 0, "exit");
        _exit(WEIR_EXIT_FINE);
    }
}

int weir_worker_main(weir_cycle *cycle, unsigned index, unsigned slot, int fd)
{
    worker_process process = {.worker = {.is_keeper = false}};
    bool is_started;

    worker_init(&process, cycle, index, slot);
    weir_title_set("worker process");

    is_started =
        weir_privileges_drop(cycle, index, &process.worker.log) && worker_open(&process, fd);
    if (is_started) {
        worker_set_limits(&process.worker);
        is_started = worker_serve(&process);
        if (is_started) {
            worker_leave_behind(&process);
        }
    }

    worker_close(&process);
    return is_started ? WEIR_EXIT_FINE : WEIR_EXIT_CANNOT_START;
}

int weir_keeper_main(weir_cycle *cycle, unsigned slot, int fd)
{
    worker_process process = {.worker = {.is_keeper = true}};
    bool is_started;

    worker_init(&process, cycle, 0, slot);
    weir_title_set("keeper process");

    is_started =
        weir_privileges_drop(cycle, SIZE_MAX, &process.worker.log) && worker_open(&process, fd);
    if (is_started) {
        worker_set_limits(&process.worker);
        is_started = worker_keep(&process);
    }

    worker_close(&process);
    return is_started ? WEIR_EXIT_FINE : WEIR_EXIT_CANNOT_START;
}

/* QUIT ends it like a worker; there is nobody to reload it, or to start another binary. */
static void single_signal(int signal, int sender, void *subject)
{
    worker_process *process = subject;

    if (signal == SIGHUP) {
        weir_log_line(&process->worker.log, WEIR_LOG_WARN, 0,
                      "without a master process the configuration cannot be loaded again");
    } else if (signal == SIGUSR2) {
        weir_log_line(&process->worker.log, WEIR_LOG_WARN, 0,
                      "without a master process the binary cannot be upgraded");
    } else if (signal == SIGWINCH) {
        weir_log_line(&process->worker.log, WEIR_LOG_WARN, 0,
                      "without a master process there are no workers to be ended");
    } else {
        worker_signal(signal, sender, subject);
    }
}

static bool single_open(worker_process *process)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGHUP, SIGUSR2, SIGWINCH};
    weir_worker *worker = &process->worker;

    worker->loop = weir_loop_new(&worker->log);
    return worker->loop != NULL
           && weir_loop_on_signals(worker->loop, signals, WEIR_COUNT(signals), single_signal,
                                   process);
}

/* False: it could not start. */
static bool single_serve(worker_process *process, bool (*started)(void *subject), void *subject)
{
    weir_worker *worker = &process->worker;
    size_t modules = 0;
    weir_keeping *keeping = NULL;
    bool is_started = worker_start_modules(worker, &modules)
                      && (keeping = weir_keeping_start(worker)) != NULL && worker_accept(process)
                      && started(subject);

    if (is_started) {
        weir_watcher *watcher = weir_watcher_start(worker->cycle, worker->loop);

        worker_turn(process);
        weir_watcher_stop(watcher);
        worker_stop_accepting(process);
    }

    if (keeping != NULL) {
        weir_keeping_stop(keeping);
    }
    worker_stop_modules(worker, modules);
    return is_started;
}

int weir_single_main(weir_cycle *cycle, bool (*started)(void *subject), void *subject)
{
    worker_process process = {.worker = {.is_keeper = false}};
    unsigned slot;
    bool is_started;

    if (!weir_slot_take(cycle, &slot)) {
        weir_log_line(&cycle->log, WEIR_LOG_EMERG, 0, "there are too many processes");
        return WEIR_EXIT_FAILED;
    }

    worker_init(&process, cycle, 0, slot);
    is_started = single_open(&process);
    if (is_started) {
        worker_set_limits(&process.worker);
        is_started = single_serve(&process, started, subject);
    }

    worker_close(&process);
    weir_slot_clear(cycle, slot);
    return is_started ? WEIR_EXIT_FINE : WEIR_EXIT_FAILED;
}
