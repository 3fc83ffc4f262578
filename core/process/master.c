/* The master: starts, replaces and ends the others, as signals and deaths ask. */

#include "core/process/master.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/process/children_internal.h"
#include "core/process/core_conf.h"
#include "core/process/daemon_internal.h"
#include "core/process/pid_file.h"
#include "core/process/title_internal.h"
#include "core/process/upgrade_internal.h"
#include "core/process/watch_internal.h"
#include "weir_auto_config.h"

/* Old workers go on for as long as no new one serves, and not much longer for the last of these. */
#define MASTER_HANDOVER_MS 10000

typedef enum {
    MASTER_STARTING, /* until all workers serve: running | ending */
    MASTER_RUNNING,  /* quitting | ending */
    MASTER_QUITTING, /* workers finish: ending | exit */
    MASTER_ENDING,   /* workers are ended: exit */
} master_state;

typedef struct {
    const weir_invocation *invocation;
    const char *program; /* for an upgrade */
    weir_log log;
    weir_loop *loop;
    weir_cycle *cycle;
    weir_children *children;
    weir_watcher *watcher;
    weir_daemon daemon;
    master_state state;
    int exit_code;

    char *pid_path;       /* of the file that is there; NULL: none */
    bool is_handing_over; /* a reload: new workers are starting */
    weir_timer handover;
    bool is_reload_wanted; /* once that is done, and no new binary runs */
    bool is_resting;       /* WINCH: no workers */
    pid_t new_binary;      /* 0: none */
    pid_t old_binary;      /* whose child this is while it lives; 0: none */
} master;

/* Of the process: messages are broadcast without naming it. */
static master *master_this;

static const char *master_state_name(master_state state)
{
    switch (state) {
    case MASTER_STARTING:
        return "starting";
    case MASTER_RUNNING:
        return "running";
    case MASTER_QUITTING:
        return "quitting";
    case MASTER_ENDING:
        return "ending";
    }

    return "";
}

static void master_enter(master *m, master_state state)
{
    weir_log_debug(&m->log, "master: %s -> %s", master_state_name(m->state),
                   master_state_name(state));
    m->state = state;
}

/* ---- pid file */

static const char *master_pid_path(const weir_cycle *cycle)
{
    return cycle->core->pid.data;
}

static bool master_write_pid(master *m)
{
    const char *path = master_pid_path(m->cycle);

    if (m->pid_path != NULL && strcmp(m->pid_path, path) == 0) {
        return true;
    }

    if (!weir_pid_file_write(path, &m->log)) {
        return false;
    }

    if (m->pid_path != NULL) {
        weir_pid_file_remove(m->pid_path, &m->log);
        free(m->pid_path);
    }

    m->pid_path = strdup(path);
    return m->pid_path != NULL;
}

static void master_remove_pid(master *m)
{
    if (m->pid_path != NULL) {
        weir_pid_file_remove(m->pid_path, &m->log);
        free(m->pid_path);
        m->pid_path = NULL;
    }
}

/* At USR2, and back: PATH becomes PATH.oldbin. */
static bool master_move_pid(master *m, const char *suffix)
{
    const char *path = master_pid_path(m->cycle);
    char *moved = NULL;

    if (asprintf(&moved, "%s%s", path, suffix) == -1) {
        weir_log_line(&m->log, WEIR_LOG_ALERT, 0, "no memory for the name of the pid file");
        return false;
    }

    if (rename(m->pid_path, moved) == -1) {
        weir_log_line(&m->log, WEIR_LOG_ALERT, errno, "rename() %s to %s failed", m->pid_path,
                      moved);
        free(moved);
        return false;
    }

    free(m->pid_path);
    m->pid_path = moved;
    return true;
}

/* ---- ending */

static void master_check_over(master *m)
{
    if (m->state >= MASTER_QUITTING && weir_children_count(m->children) == 0) {
        weir_loop_stop(m->loop);
    }
}

/* No new workers are waited for. */
static void master_forget_handover(master *m)
{
    m->is_handing_over = false;
    weir_timer_clear(m->loop, &m->handover);
}

/* Nor for a reload that is to come after them. */
static void master_forget_reload(master *m)
{
    master_forget_handover(m);
    m->is_reload_wanted = false;
}

static void master_end(master *m)
{
    if (m->state != MASTER_ENDING) {
        master_enter(m, MASTER_ENDING);
        master_forget_reload(m);
        weir_children_end_all(m->children);
        master_check_over(m);
    }
}

/* Closing our sockets first: what waits in them goes to workers, and then to nobody. */
static void master_quit(master *m)
{
    if (m->state >= MASTER_QUITTING) {
        return;
    }

    master_enter(m, MASTER_QUITTING);
    master_forget_reload(m);
    weir_listeners_close(m->cycle->listeners, NULL);
    weir_children_retire_all(m->children, WEIR_SAY_QUIT);
    master_check_over(m);
}

/* ---- reload */

static void master_reload(master *m);

/* What had to wait. While a new binary runs it waits on: that may be taken back. */
static bool master_reload_wanted(master *m)
{
    if (!m->is_reload_wanted || m->new_binary != 0) {
        return false;
    }

    master_reload(m);
    return true;
}

static void master_retire_old(master *m)
{
    weir_log_debug(&m->log, "master: the new workers serve");
    master_forget_handover(m);
    weir_children_retire_old(m->children, m->cycle->core->worker_generations);
    (void) master_reload_wanted(m);
}

/* Some of the new workers serve and others do not come: that is what there will be. */
static void master_handover_expired(weir_timer *timer)
{
    master *m = WEIR_OWNER(timer, master, handover);

    if (weir_children_serve(m->children)) {
        master_retire_old(m);
        return;
    }

    weir_log_line(&m->log, WEIR_LOG_ERR, 0,
                  "no worker process of the new configuration serves: those of the old one go on");

    /* The next configuration need not wait for this one. */
    m->is_handing_over = false;
    if (!master_reload_wanted(m) && !weir_timer_set(m->loop, &m->handover, MASTER_HANDOVER_MS)) {
        weir_log_line(&m->log, WEIR_LOG_ALERT, 0, "no memory to look after new workers");
    }
}

static void master_begin_handover(master *m)
{
    m->is_handing_over = true;
    m->handover.name = "old workers are told to finish";
    m->handover.expired = master_handover_expired;

    if (!weir_timer_set(m->loop, &m->handover, MASTER_HANDOVER_MS)) {
        master_retire_old(m);
    }
}

/* The new cycle takes the place of the one that runs, which is gone afterwards. */
static void master_adopt(master *m, weir_cycle *cycle)
{
    weir_cycle *old = m->cycle;

    weir_watcher_stop(m->watcher);
    m->cycle = cycle;
    weir_cycle_log_to_files(cycle);
    m->log = cycle->log;

    if (!master_write_pid(m)) {
        weir_log_line(&m->log, WEIR_LOG_ALERT, 0, "the pid file stays \"%s\"", m->pid_path);
    }

    m->watcher = weir_watcher_start(cycle, m->loop);
    m->is_resting = false;

    /* Before there are new workers, which would hold on to sockets and files that nobody wants. */
    weir_listeners_close(old->listeners, cycle->listeners);
    weir_cycle_free(old);
    /* What the libraries freed lies in holes between what they made for the new one: workers need not have it. */
    (void) malloc_trim(0);

    if (weir_children_start(m->children, cycle)) {
        master_begin_handover(m);
    }
}

/* Workers again, of the same configuration: an upgrade was taken back. */
static void master_wake(master *m)
{
    m->is_resting = false;
    if (!weir_children_start(m->children, m->cycle)) {
        m->is_resting = true;
    }
}

static void master_reload(master *m)
{
    weir_cycle *cycle;

    /* The pid file and the configuration are the new binary's; what this master has serves as before. */
    if (m->new_binary != 0) {
        weir_log_line(&m->log, WEIR_LOG_NOTICE, 0,
                      "the configuration is not read again: new binary process %d runs",
                      m->new_binary);
        if (m->is_resting) {
            master_wake(m);
        }
        return;
    }

    if (m->state == MASTER_STARTING || m->is_handing_over) {
        m->is_reload_wanted = true;
        return;
    }

    /* With whatever waited for as much, as over WINCH. */
    m->is_reload_wanted = false;
    weir_log_line(&m->log, WEIR_LOG_NOTICE, 0, "reconfiguring");

    cycle = weir_cycle_load(&m->invocation->options, m->cycle);
    if (cycle == NULL) {
        weir_log_line(&m->log, WEIR_LOG_ERR, 0,
                      "the configuration was not loaded: the one before goes on");
        if (m->is_resting) {
            master_wake(m);
        }
        return;
    }

    master_adopt(m, cycle);
}

/* ---- upgrade */

static void master_let_go(void *subject)
{
    master *m = subject;

    weir_watcher_let_go(m->watcher);
    weir_loop_free(m->loop);
    m->loop = NULL;
    if (m->daemon.told != -1) {
        close(m->daemon.told);
    }
    master_this = NULL;
}

static void master_upgrade(master *m)
{
    pid_t pid;

    if (m->new_binary != 0 || (m->old_binary != 0 && getppid() == m->old_binary)
        || m->state != MASTER_RUNNING) {
        weir_log_line(&m->log, WEIR_LOG_NOTICE, 0,
                      "the changing binary signal is ignored: you should shutdown or terminate "
                      "before either old or new binary's process");
        return;
    }

    if (!master_move_pid(m, ".oldbin")) {
        return;
    }

    pid = weir_upgrade_start(m->cycle, m->program, m->invocation->argv, master_let_go, m);
    if (pid == -1) {
        (void) master_move_pid(m, "");
        return;
    }

    m->new_binary = pid;
    weir_listeners_set_handed_over(m->cycle->listeners, true);
}

static void master_new_binary_died(master *m, int status)
{
    bool is_fine = WIFEXITED(status) && WEXITSTATUS(status) == 0;

    weir_log_line(&m->log, is_fine ? WEIR_LOG_NOTICE : WEIR_LOG_ERR, 0,
                  WIFSIGNALED(status) ? "new binary process %d exited on signal %d"
                                      : "new binary process %d exited with code %d",
                  m->new_binary, WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));

    m->new_binary = 0;
    weir_listeners_set_handed_over(m->cycle->listeners, false);

    if (m->state < MASTER_QUITTING) {
        (void) master_move_pid(m, "");
        if (!master_reload_wanted(m) && m->is_resting) {
            master_wake(m);
        }
    }
}

/* WINCH: the workers finish, and the master stays, to end or to begin again. */
static void master_rest(master *m)
{
    if (m->state == MASTER_RUNNING && !m->is_resting) {
        m->is_resting = true;
        master_forget_handover(m);
        weir_children_retire_all(m->children, WEIR_SAY_DRAIN);
    }
}

/* ---- signals */

typedef struct {
    int number;
    const char *name, *action;
} master_signal_row;

static const master_signal_row master_signals[] = {
    {SIGHUP, "SIGHUP", ", reconfiguring"},
    {SIGQUIT, "SIGQUIT", ", shutting down"},
    {SIGTERM, "SIGTERM", ", exiting"},
    {SIGINT, "SIGINT", ", exiting"},
    {SIGUSR1, "SIGUSR1", ", reopening logs"},
    {SIGUSR2, "SIGUSR2", ", changing binary"},
    {SIGWINCH, "SIGWINCH", ", stop accepting connections"},
    {SIGCHLD, "SIGCHLD", ""},
};

static void master_log_signal(const master *m, int number, int sender)
{
    for (size_t i = 0; i < WEIR_COUNT(master_signals); i++) {
        const master_signal_row *row = &master_signals[i];

        if (row->number == number && sender != 0) {
            weir_log_line(&m->log, WEIR_LOG_NOTICE, 0, "signal %d (%s) received from %d%s", number,
                          row->name, sender, row->action);
        } else if (row->number == number) {
            weir_log_line(&m->log, WEIR_LOG_NOTICE, 0, "signal %d (%s) received%s", number,
                          row->name, row->action);
        }
    }
}

static void master_reap(master *m)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == m->new_binary) {
            master_new_binary_died(m, status);
        } else if (!weir_children_died(m->children, pid, status)) {
            weir_log_line(&m->log, WEIR_LOG_INFO, 0, "unknown process %d exited", pid);
        }
    }

    master_check_over(m);
}

static void master_reopen(master *m)
{
    const weir_core_user *user = &m->cycle->core->user;

    weir_log_line(&m->log, WEIR_LOG_NOTICE, 0, "reopening logs");
    weir_log_files_reopen(m->cycle->log_files, user->name == NULL ? (unsigned) -1 : user->uid,
                          &m->log);
    weir_cycle_log_to_files(m->cycle);
    weir_children_say(m->children, WEIR_SAY_REOPEN, WEIR_STR_EMPTY);
}

static void master_signal(int number, int sender, void *subject)
{
    master *m = subject;

    /* A terminal that was resized is no order. */
    if (number == SIGWINCH && sender == 0) {
        return;
    }

    master_log_signal(m, number, sender);

    switch (number) {
    case SIGHUP:
        if (m->state < MASTER_QUITTING) {
            master_reload(m);
        }
        break;
    case SIGQUIT:
        master_quit(m);
        break;
    case SIGTERM:
    case SIGINT:
        master_end(m);
        break;
    case SIGUSR1:
        master_reopen(m);
        break;
    case SIGUSR2:
        master_upgrade(m);
        break;
    case SIGWINCH:
        master_rest(m);
        break;
    case SIGCHLD:
        master_reap(m);
        break;
    }
}

static bool master_open_signals(master *m)
{
    int signals[WEIR_COUNT(master_signals)];

    for (size_t i = 0; i < WEIR_COUNT(master_signals); i++) {
        signals[i] = master_signals[i].number;
    }

    return weir_loop_on_signals(m->loop, signals, WEIR_COUNT(signals), master_signal, m);
}

/* ---- what the children report */

static void master_workers_ready(void *subject)
{
    master *m = subject;

    if (m->state == MASTER_STARTING) {
        if (!master_write_pid(m)) {
            m->exit_code = EXIT_FAILURE;
            master_end(m);
            return;
        }
        master_enter(m, MASTER_RUNNING);
        weir_daemon_settled(&m->daemon);
    }

    if (m->state == MASTER_RUNNING) {
        master_retire_old(m);
    }
}

static void master_could_not_start(void *subject)
{
    master *m = subject;

    if (m->state == MASTER_STARTING) {
        weir_log_line(&m->log, WEIR_LOG_EMERG, 0, "weir could not start");
        m->exit_code = EXIT_FAILURE;
        master_end(m);
    }
}

void weir_message_broadcast(weir_cycle *cycle, const char *kind, weir_str bytes)
{
    weir_worker *single = weir_worker_current();

    if (master_this != NULL) {
        weir_children_say_current(master_this->children, weir_str_from_z(kind), bytes);
    } else if (single != NULL) {
        weir_messages_deliver(cycle->messages, single, weir_str_from_z(kind), bytes);
    }
}

/* ---- the whole */

static void master_log_start(const weir_log *log)
{
    struct utsname system;
    struct rlimit limit;

    weir_log_line(log, WEIR_LOG_NOTICE, 0, "using the \"epoll\" event method");
    weir_log_line(log, WEIR_LOG_NOTICE, 0, "weir/%s%s", WEIR_VERSION,
                  WEIR_BUILD[0] == '\0' ? "" : " (" WEIR_BUILD ")");
    weir_log_line(log, WEIR_LOG_NOTICE, 0, "%s", WEIR_COMPILER);

    if (uname(&system) == 0) {
        weir_log_line(log, WEIR_LOG_NOTICE, 0, "OS: %s %s", system.sysname, system.release);
    }

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        weir_log_line(log, WEIR_LOG_NOTICE, 0, "getrlimit(RLIMIT_NOFILE): %llu:%llu",
                      (unsigned long long) limit.rlim_cur, (unsigned long long) limit.rlim_max);
    }
}

static bool master_open(master *m)
{
    const weir_children_owner owner = {master_workers_ready, master_could_not_start, master_let_go,
                                       m};

    m->loop = weir_loop_new(&m->log);
    if (m->loop == NULL || !master_open_signals(m)) {
        return false;
    }

    /* A reload may take long and is meant to. */
    weir_loop_set_slow_ms(m->loop, 0);
    m->children = weir_children_new(m->loop, &m->log, &owner);
    return m->children != NULL;
}

static void master_close(master *m)
{
    weir_watcher_stop(m->watcher);
    weir_children_free(m->children);
    weir_listeners_close(m->cycle->listeners, NULL);
    master_remove_pid(m);
    weir_loop_free(m->loop);
    weir_log_line(&m->log, WEIR_LOG_NOTICE, 0, "exit");
}

static void master_run(master *m)
{
    weir_title_set_master(m->invocation->argv);
    master_this = m;
    m->exit_code = EXIT_FAILURE;

    if (master_open(m)) {
        m->watcher = weir_watcher_start(m->cycle, m->loop);

        if (weir_children_start(m->children, m->cycle)) {
            m->exit_code = EXIT_SUCCESS;
            weir_loop_run(m->loop);
        }
    }

    master_this = NULL;
    master_close(m);
}

static bool master_single_started(void *subject)
{
    master *m = subject;

    if (!master_write_pid(m)) {
        return false;
    }

    weir_daemon_settled(&m->daemon);
    return true;
}

static void master_run_single(master *m)
{
    weir_title_set_master(m->invocation->argv);
    m->exit_code = weir_single_main(m->cycle, master_single_started, m);
    weir_listeners_close(m->cycle->listeners, NULL);
    master_remove_pid(m);
}

/* True: this process goes on, as the master. */
static bool master_go_to_background(master *m)
{
    if (!m->cycle->core->daemon || m->old_binary != 0) {
        return true;
    }

    if (!weir_daemon_begin(&m->daemon, &m->log)) {
        return false;
    }

    weir_listeners_claim(m->cycle->listeners);
    return true;
}

int weir_master_main(const weir_invocation *invocation)
{
    weir_pool *pool = weir_pool_new(4096, 0);
    master m = {.invocation = invocation, .daemon = {.told = -1}, .exit_code = EXIT_FAILURE};

    if (pool == NULL || (m.program = weir_upgrade_program(pool, invocation->argv, NULL)) == NULL) {
        weir_pool_free(pool);
        return EXIT_FAILURE;
    }

    m.old_binary = weir_upgrade_is_one() ? getppid() : 0;
    m.cycle = weir_cycle_load(&invocation->options, NULL);
    if (m.cycle != NULL) {
        m.log = m.cycle->log;
        master_log_start(&m.log);

        if (master_go_to_background(&m)) {
            weir_cycle_log_to_files(m.cycle);

            if (m.cycle->core->master_process) {
                master_run(&m);
            } else {
                master_run_single(&m);
            }
        }

        weir_cycle_free(m.cycle);
    }

    weir_pool_free(pool);
    return m.exit_code;
}
