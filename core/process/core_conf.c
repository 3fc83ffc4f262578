/* The directives of the main level and of events: nginx's core module. */

#include "core/process/core_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "core/base/number.h"
#include "core/net/networks.h"
#include "core/process/cycle.h"
#include "core/process/error_log.h"
#include "weir_auto_config.h"

#define CORE_WORKERS_MAX 1024
#define CORE_THREADS_MAX 1024
#define CORE_QUEUE_PRESET 65536

/* ---- user */

static bool core_refuse_name(weir_conf *conf, const char *call, const char *name)
{
    return errno == 0 ? weir_conf_refuse(conf, "%s(\"%s\") failed", call, name)
                      : weir_conf_refuse(conf, "%s(\"%s\") failed (%d: %s)", call, name, errno,
                                         strerror(errno));
}

/* The group of that name; without one, the user's own if `or_own`. */
static bool core_find_group(weir_conf *conf, const char *name, bool or_own, gid_t *gid)
{
    const struct group *group;

    errno = 0;
    group = getgrnam(name);
    if (group != NULL) {
        *gid = group->gr_gid;
    }

    return group != NULL || or_own || core_refuse_name(conf, "getgrnam", name);
}

static bool core_find_user(weir_conf *conf, weir_core_user *user, const char *name,
                           const char *group, bool is_group_given)
{
    const struct passwd *entry;

    errno = 0;
    entry = getpwnam(name);
    if (entry == NULL) {
        return core_refuse_name(conf, "getpwnam", name);
    }

    user->name = name;
    user->uid = entry->pw_uid;
    user->gid = entry->pw_gid;
    return core_find_group(conf, group, !is_group_given, &user->gid);
}

static bool core_user(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_core_conf *core = settings;
    /* Without a file it is the preset, which nobody asked for. */
    bool is_preset = statement->file == NULL;
    weir_str group = statement->args[statement->count - 1];
    const char *name_z = weir_str_z(weir_conf_pool(conf), statement->args[1]);
    const char *group_z = weir_str_z(weir_conf_pool(conf), group);

    if (geteuid() != 0) {
        if (!is_preset) {
            weir_conf_warn(conf, "the \"user\" directive makes sense only if the master process "
                                 "runs with super-user privileges, ignored");
        }
        return true;
    }

    if (name_z == NULL || group_z == NULL) {
        return weir_conf_refuse(conf, "invalid name of a user or group");
    }

    return core_find_user(conf, &core->user, name_z, group_z, statement->count > 2 && !is_preset);
}

/* ---- workers */

/* The processors that this process may use: fewer than the machine's in a container's cpuset. */
static bool core_processors(cpu_set_t *set)
{
    CPU_ZERO(set);
    return sched_getaffinity(0, sizeof(*set), set) == 0;
}

static bool core_worker_processes(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_core_conf *core = settings;

    if (weir_str_eq(statement->args[1], WEIR_STR("auto"))) {
        cpu_set_t set;

        core->worker_processes = core_processors(&set) ? (uint64_t) CPU_COUNT(&set) : 1;
        return true;
    }

    if (!weir_parse_uint(statement->args[1], CORE_WORKERS_MAX, &core->worker_processes)
        || core->worker_processes == 0) {
        return weir_conf_refuse_arg(conf, statement, 1,
                                    "invalid value \"%.*s\": \"worker_processes\" takes \"auto\" "
                                    "or a number from 1 to %d",
                                    WEIR_STR_ARG(statement->args[1]), CORE_WORKERS_MAX);
    }

    return true;
}

/* "0101": the rightmost digit is the first processor. */
static bool core_cpu_mask(weir_conf *conf, const weir_statement *statement, size_t arg,
                          cpu_set_t *set)
{
    weir_str text = statement->args[arg];

    CPU_ZERO(set);

    if (text.len > CPU_SETSIZE) {
        return weir_conf_refuse_arg(conf, statement, arg,
                                    "\"worker_cpu_affinity\" supports up to %d CPUs only",
                                    CPU_SETSIZE);
    }

    for (size_t i = 0; i < text.len; i++) {
        char digit = text.data[text.len - 1 - i];

        if (digit == '1') {
            CPU_SET(i, set);
        } else if (digit != '0') {
            return weir_conf_refuse_arg(
                conf, statement, arg, "invalid character \"%c\" in \"worker_cpu_affinity\"", digit);
        }
    }

    return true;
}

static bool core_affinity_auto(weir_conf *conf, weir_core_affinity *affinity,
                               const weir_statement *statement)
{
    cpu_set_t *set = affinity->masks;

    if (statement->count > 3) {
        return weir_conf_refuse(conf,
                                "invalid number of arguments in \"worker_cpu_affinity\" directive");
    }

    affinity->is_auto = true;
    affinity->count = 1;

    if (statement->count == 3 && !core_cpu_mask(conf, statement, 2, set)) {
        return false;
    }

    if (statement->count == 2 && !core_processors(set)) {
        return weir_conf_refuse(conf, "sched_getaffinity() failed (%d: %s)", errno,
                                strerror(errno));
    }

    return CPU_COUNT(set) != 0
           || weir_conf_refuse_arg(conf, statement, 2, "\"worker_cpu_affinity\" names no CPU");
}

static bool core_worker_cpu_affinity(weir_conf *conf, void *settings,
                                     const weir_statement *statement)
{
    weir_core_conf *core = settings;
    weir_core_affinity *affinity = &core->affinity;

    affinity->masks = WEIR_NEW_ARRAY(weir_conf_pool(conf), cpu_set_t, statement->count - 1);
    if (affinity->masks == NULL) {
        return weir_conf_refuse(conf, "no memory for the CPU masks");
    }

    if (weir_str_eq(statement->args[1], WEIR_STR("auto"))) {
        return core_affinity_auto(conf, affinity, statement);
    }

    affinity->count = statement->count - 1;
    for (size_t i = 0; i < affinity->count; i++) {
        if (!core_cpu_mask(conf, statement, i + 1, &affinity->masks[i])) {
            return false;
        }
    }

    return true;
}

static bool core_worker_priority(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_core_conf *core = settings;
    weir_str text = statement->args[1];
    int64_t priority;

    /* setpriority() cuts to this range by itself, as operators may have come to expect. */
    if (weir_str_starts(text, WEIR_STR("+"))) {
        text = weir_str_from(text, 1);
    }

    if (!weir_parse_int(text, -1000, 1000, &priority)) {
        return weir_conf_refuse_arg(conf, statement, 1, "invalid number \"%.*s\"",
                                    WEIR_STR_ARG(statement->args[1]));
    }

    core->worker_priority = (int) priority;
    return true;
}

static bool core_rlimit_nofile(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_core_conf *core = settings;

    return (weir_parse_uint(statement->args[1], INT32_MAX, &core->rlimit_nofile)
            && core->rlimit_nofile != 0)
           || weir_conf_refuse_arg(conf, statement, 1, "invalid number \"%.*s\"",
                                   WEIR_STR_ARG(statement->args[1]));
}

static bool core_rlimit_core(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_core_conf *core = settings;

    core->rlimit_core.given = true;
    return weir_parse_size(statement->args[1], true, INT64_MAX, &core->rlimit_core.bytes)
           || weir_conf_refuse_arg(conf, statement, 1, "invalid value \"%.*s\"",
                                   WEIR_STR_ARG(statement->args[1]));
}

/* ---- environment, modules, threads */

static bool core_env(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_core_conf *core = settings;
    weir_str variable = statement->args[1];
    const char **added;

    if (weir_str_is_empty(variable) || variable.data[0] == '=') {
        return weir_conf_refuse_arg(conf, statement, 1, "\"env\" needs the name of a variable");
    }

    if (core->env.pool == NULL) {
        weir_array_init(&core->env, weir_conf_pool(conf), sizeof(const char *), 4);
    }

    added = weir_array_push(&core->env);
    if (added == NULL || (*added = weir_str_z(weir_conf_pool(conf), variable)) == NULL) {
        return weir_conf_refuse(conf, "no memory for a variable");
    }

    return true;
}

static bool core_load_module(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_str full;

    (void) settings;

    return weir_conf_prefix_path(conf, statement->args[1], &full) && weir_modules_load(conf, full);
}

static bool core_thread_pool(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_core_conf *core = settings;
    uint64_t threads = 0, max_queue = CORE_QUEUE_PRESET;

    for (size_t i = 2; i < statement->count; i++) {
        weir_str value;
        bool is_good = false;

        if (weir_conf_parameter(statement->args[i], "threads=", &value)) {
            is_good = weir_parse_uint(value, CORE_THREADS_MAX, &threads) && threads != 0;
        } else if (weir_conf_parameter(statement->args[i], "max_queue=", &value)) {
            is_good = weir_parse_uint(value, INT32_MAX, &max_queue);
        }

        if (!is_good) {
            return weir_conf_refuse_arg(conf, statement, i, "invalid parameter \"%.*s\"",
                                        WEIR_STR_ARG(statement->args[i]));
        }
    }

    if (threads == 0) {
        return weir_conf_refuse(conf, "\"thread_pool\" needs \"threads=\"");
    }

    if (core->threads.threads < threads) {
        core->threads.threads = (unsigned) threads;
    }

    if (core->threads.max_queue < max_queue) {
        core->threads.max_queue = max_queue;
    }

    return true;
}

/* ---- what has no effect, depending on its value */

static bool core_is_flag(weir_conf *conf, const weir_statement *statement, bool *is_on)
{
    *is_on = weir_str_eq_nocase(statement->args[1], WEIR_STR("on"));

    return *is_on || weir_str_eq_nocase(statement->args[1], WEIR_STR("off"))
           || weir_conf_refuse_arg(conf, statement, 1,
                                   "invalid value \"%.*s\" in \"%.*s\" directive, it must be "
                                   "\"on\" or \"off\"",
                                   WEIR_STR_ARG(statement->args[1]),
                                   WEIR_STR_ARG(statement->args[0]));
}

static bool core_pcre_jit(weir_conf *conf, void *settings, const weir_statement *statement)
{
    bool is_on;

    (void) settings;

    if (!core_is_flag(conf, statement, &is_on)) {
        return false;
    }

    if (!is_on) {
        weir_conf_warn(conf, "\"pcre_jit off\" has no effect: regular expressions are always "
                             "compiled to machine code where that is possible");
    }

    return true;
}

static bool core_ssl_engine(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;

    return weir_conf_refuse_arg(conf, statement, 1,
                                "\"ssl_engine\" is not supported: BoringSSL has no engines");
}

static bool events_use(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;

    return weir_str_eq(statement->args[1], WEIR_STR("epoll"))
           || weir_conf_refuse_arg(conf, statement, 1,
                                   "invalid event type \"%.*s\": there is only \"epoll\"",
                                   WEIR_STR_ARG(statement->args[1]));
}

static bool events_accept_mutex(weir_conf *conf, void *settings, const weir_statement *statement)
{
    bool is_on;

    (void) settings;

    if (!core_is_flag(conf, statement, &is_on)) {
        return false;
    }

    if (is_on) {
        weir_conf_warn(conf, "\"accept_mutex on\" has no effect: the kernel wakes one worker for a "
                             "connection (EPOLLEXCLUSIVE)");
    }

    return true;
}

/* ---- events */

static weir_level *core_enter_events(weir_conf *conf, weir_level *outer,
                                     const weir_statement *statement)
{
    weir_core_conf *core = weir_level_own_settings(conf, outer, &weir_core_module);
    weir_level *level;

    if (core->events != NULL) {
        weir_conf_refuse_arg(conf, statement, 0, "\"events\" directive is duplicate");
        return NULL;
    }

    level = weir_level_new(conf, outer, NULL);
    core->events = level;
    return level;
}

static bool events_debug_connection(weir_conf *conf, void *settings,
                                    const weir_statement *statement)
{
    return weir_networks_call(conf, &((weir_events_conf *) settings)->debug_connections, statement);
}

/* ---- error_log */

/* While weir starts, the operator at the terminal reads what goes to the files, too. */
static bool core_error_log(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_core_conf *core = settings;
    weir_log_target *startup = (weir_log_target *) core->startup_log;
    weir_str path = statement->args[1], full;

    if (startup == NULL) {
        startup = weir_log_target_new(weir_conf_pool(conf));
        if (startup == NULL || !weir_log_target_add_console(startup, WEIR_LOG_WARN)) {
            return weir_conf_refuse(conf, "no memory for a log");
        }
        core->startup_log = startup;
    }

    if (!weir_error_log_call(conf, settings, statement)
        || !weir_error_log_add(conf, startup, statement)) {
        return false;
    }

    if (core->error_log_file == NULL && !weir_str_eq(path, WEIR_STR("stderr"))
        && !weir_str_starts(path, WEIR_STR("syslog:"))) {
        if (!weir_conf_prefix_path(conf, path, &full)) {
            return false;
        }
        core->error_log_file = weir_log_files_get(weir_conf_cycle(conf)->log_files, full);
    }

    return true;
}

/* ---- checks */

static bool core_check_directory(weir_conf *conf, weir_str path)
{
    int fd = path.len == 0 ? -1 : open(path.data, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (path.len == 0) {
        return true;
    }

    if (fd == -1) {
        return weir_conf_refuse(conf, "working directory \"%s\" cannot be entered (%d: %s)",
                                path.data, errno, strerror(errno));
    }

    close(fd);
    return true;
}

static bool core_configured(weir_conf *conf)
{
    const weir_core_conf *read = weir_level_settings(weir_conf_level(conf), &weir_core_module);

    if (read->events == NULL) {
        return weir_conf_refuse(conf, "no \"events\" section in configuration");
    }

    if (read->affinity.masks != NULL && !read->affinity.is_auto
        && read->affinity.count != read->worker_processes) {
        weir_conf_warn(conf, "the number of \"worker_processes\" is not equal to the number of "
                             "\"worker_cpu_affinity\" masks, using last mask for remaining worker "
                             "processes");
    }

    return core_check_directory(conf, read->working_directory);
}

const weir_events_conf *weir_core_events(const weir_core_conf *core)
{
    return core->events == NULL ? NULL : weir_level_settings(core->events, &weir_events_module);
}

/* ---- the tables */

static const weir_directive core_directives[] = {
    {
        .name = "user",
        .where = WEIR_MAIN,
        .takes = WEIR_TAKES(1, 2),
        .slot = WEIR_SLOT_CALL(weir_core_conf, user, core_user),
        .preset = WEIR_USER " " WEIR_GROUP,
        .syntax = "user [group]",
        .doc = "The user, and group, that worker processes run as; unless said it is the group of "
               "the user's name, or else the user's own.",
    },
    {
        .name = "worker_processes",
        .where = WEIR_MAIN,
        .slot = WEIR_SLOT_CALL(weir_core_conf, worker_processes, core_worker_processes),
        .preset = "1",
        .syntax = "number | auto",
        .doc = "How many worker processes there are; \"auto\" is one for each processor that may "
               "be used.",
    },
    {
        .name = "worker_cpu_affinity",
        .where = WEIR_MAIN,
        .takes = WEIR_TAKES_SOME,
        .slot = WEIR_SLOT_CALL(weir_core_conf, affinity, core_worker_cpu_affinity),
        .syntax = "cpumask ... | auto [cpumask]",
        .doc = "Binds worker processes to processors: one mask for each, or one processor for "
               "each with \"auto\".",
    },
    {
        .name = "worker_priority",
        .where = WEIR_MAIN,
        .slot = WEIR_SLOT_CALL(weir_core_conf, worker_priority, core_worker_priority),
        .preset = "0",
        .syntax = "number",
        .doc = "The scheduling priority of worker processes, as nice(1) has it: -20 is the "
               "highest.",
    },
    {
        .name = "worker_rlimit_nofile",
        .where = WEIR_MAIN,
        .slot = WEIR_SLOT_CALL(weir_core_conf, rlimit_nofile, core_rlimit_nofile),
        .syntax = "number",
        .doc = "How many descriptors a worker process may have open (RLIMIT_NOFILE).",
    },
    {
        .name = "worker_rlimit_core",
        .where = WEIR_MAIN,
        .slot = WEIR_SLOT_CALL(weir_core_conf, rlimit_core, core_rlimit_core),
        .syntax = "size",
        .doc = "The largest core file of a worker process (RLIMIT_CORE); without it there is none "
               "where workers run as another user.",
    },
    {
        .name = "worker_shutdown_timeout",
        .where = WEIR_MAIN,
        .slot = WEIR_SLOT_MS(weir_core_conf, shutdown_timeout_ms),
        .doc = "How long worker processes that shut down may go on with what they have; then they "
               "close it.",
    },
    {
        .name = "worker_generations",
        .where = WEIR_MAIN,
        .slot = WEIR_SLOT_UINT(weir_core_conf, worker_generations, 1, 10000),
        .preset = "64",
        .doc = "How many earlier configurations may still have workers that finish requests; "
               "one more reload ends those of the oldest.",
    },
    {
        .name = "working_directory",
        .where = WEIR_MAIN,
        .slot = WEIR_SLOT_PATH(weir_core_conf, working_directory),
        .doc = "The working directory of worker processes, which is where core files go.",
    },
    {
        .name = "daemon",
        .where = WEIR_MAIN,
        .slot = WEIR_SLOT_FLAG(weir_core_conf, daemon),
        .preset = "on",
        .doc = "Whether to go to the background.",
    },
    {
        .name = "master_process",
        .where = WEIR_MAIN,
        .slot = WEIR_SLOT_FLAG(weir_core_conf, master_process),
        .preset = "on",
        .doc = "Whether to start worker processes; \"off\", a single process for development, "
               "cannot reload.",
    },
    {
        .name = "pid",
        .where = WEIR_MAIN,
        .slot = WEIR_SLOT_PATH(weir_core_conf, pid),
        .preset = "\"" WEIR_PID_PATH "\"",
        .doc = "The file for the process id of the master; it is there once everything listens.",
    },
    {
        .name = "lock_file",
        .where = WEIR_MAIN,
        .takes = WEIR_TAKES(1, 1),
        .slot = {.kind = WEIR_KIND_NONE},
        .syntax = "file",
        .doc = "The prefix of lock files, which weir does not need.",
        .warning = "weir needs no lock files",
    },
    {
        .name = "error_log",
        .where = WEIR_MAIN,
        .takes = WEIR_TAKES(1, 2),
        .slot = WEIR_SLOT_CALL(weir_core_conf, error_log, core_error_log),
        .inherit = WEIR_INHERIT_REPLACE,
        .repeatable = true,
        .syntax = "file | stderr | syslog:server=address[,parameter=value] [level]",
        .doc = "Where errors are logged, from a level on (debug, info, notice, warn, error, crit, "
               "alert, emerg; error unless said); several may be given.",
    },
    {
        .name = "env",
        .where = WEIR_MAIN,
        .slot = WEIR_SLOT_CALL(weir_core_conf, env, core_env),
        .repeatable = true,
        .syntax = "variable[=value]",
        .doc = "Keeps a variable of the environment, or sets it; all others but TZ are removed.",
    },
    {
        .name = "load_module",
        .where = WEIR_MAIN,
        .slot = WEIR_SLOT_ONLY_CALL(core_load_module),
        .at_once = true,
        .syntax = "file",
        .doc = "Loads a dynamic module.",
    },
    {
        .name = "pcre_jit",
        .where = WEIR_MAIN,
        .slot = WEIR_SLOT_ONLY_CALL(core_pcre_jit),
        .syntax = "on | off",
        .doc = "Machine code for regular expressions, which weir always makes.",
    },
    {
        .name = "timer_resolution",
        .where = WEIR_MAIN,
        .takes = WEIR_TAKES(1, 1),
        .slot = {.kind = WEIR_KIND_NONE},
        .syntax = "interval",
        .doc = "How often the clock is read; weir reads it once a turn of its event loop.",
        .warning = "weir reads the clock once a turn of its event loop",
    },
    {
        .name = "thread_pool",
        .where = WEIR_MAIN,
        .takes = WEIR_TAKES(2, 3),
        .slot = WEIR_SLOT_CALL(weir_core_conf, threads, core_thread_pool),
        .repeatable = true,
        .syntax = "name threads=number [max_queue=number]",
        .doc = "Threads of each worker for reading and writing files; all names share one pool, "
               "which takes the largest numbers.",
    },
    {
        .name = "debug_points",
        .where = WEIR_MAIN,
        .takes = WEIR_TAKES(1, 1),
        .slot = {.kind = WEIR_KIND_NONE},
        .syntax = "abort | stop",
        .doc = "For debugging nginx.",
        .warning = "weir has no debug points",
    },
    {
        .name = "ssl_engine",
        .where = WEIR_MAIN,
        .slot = WEIR_SLOT_ONLY_CALL(core_ssl_engine),
        .syntax = "device",
        .doc = "Refused: BoringSSL has no engines.",
    },
    {
        .name = "ssl_object_cache_inheritable",
        .where = WEIR_MAIN,
        .slot = WEIR_SLOT_FLAG(weir_core_conf, ssl_object_cache_inheritable),
        .preset = "on",
        .doc = "Whether a reload takes over certificates, keys and lists whose files have not "
               "changed.",
    },
    {
        .name = "events",
        .where = WEIR_MAIN,
        .takes = WEIR_TAKES_NONE,
        .block = WEIR_BLOCK_LEVEL,
        .opens = WEIR_EVENTS,
        .enter = core_enter_events,
        .comes_first = true,
        .syntax = "{ ... }",
        .doc = "What concerns connections as a whole.",
    },
    {0}};

static const weir_directive events_directives[] = {
    {
        .name = "worker_connections",
        .where = WEIR_EVENTS,
        .slot = WEIR_SLOT_UINT(weir_events_conf, worker_connections, 1, INT32_MAX),
        .preset = "512",
        .doc = "How many connections a worker process may have open, those to origins included.",
    },
    {
        .name = "use",
        .where = WEIR_EVENTS,
        .slot = WEIR_SLOT_ONLY_CALL(events_use),
        .syntax = "epoll",
        .doc = "How events are waited for.",
    },
    {
        .name = "multi_accept",
        .where = WEIR_EVENTS,
        .slot = WEIR_SLOT_FLAG(weir_events_conf, multi_accept),
        .preset = "off",
        .doc = "Whether a worker takes all connections that wait, and not one at a time.",
    },
    {
        .name = "accept_mutex",
        .where = WEIR_EVENTS,
        .slot = WEIR_SLOT_ONLY_CALL(events_accept_mutex),
        .syntax = "on | off",
        .doc = "Taking connections in turn, which the kernel sees to.",
    },
    {
        .name = "accept_mutex_delay",
        .where = WEIR_EVENTS,
        .takes = WEIR_TAKES(1, 1),
        .slot = {.kind = WEIR_KIND_NONE},
        .syntax = "time",
        .doc = "A detail of accept_mutex.",
        .warning = "the kernel wakes one worker for a connection (EPOLLEXCLUSIVE)",
    },
    {
        .name = "debug_connection",
        .where = WEIR_EVENTS,
        .slot = WEIR_SLOT_CALL(weir_events_conf, debug_connections, events_debug_connection),
        .repeatable = true,
        .syntax = "address | host | CIDR | unix:",
        .doc = "Logs connections from these clients at level debug.",
    },
    {
        .name = "worker_aio_requests",
        .where = WEIR_EVENTS,
        .takes = WEIR_TAKES(1, 1),
        .slot = {.kind = WEIR_KIND_NONE},
        .syntax = "number",
        .doc = "A limit of the kernel's asynchronous I/O, which weir does not use.",
        .warning = "weir reads files in threads; see thread_pool",
    },
    {
        .name = "stall_threshold",
        .where = WEIR_EVENTS,
        .slot = WEIR_SLOT_MS(weir_events_conf, stall_threshold_ms),
        .preset = "100ms",
        .doc = "A handler that holds the event loop for longer is logged; 0 never is.",
    },
    {0}};

const weir_module weir_core_module = {
    .name = "core",
    .directives = core_directives,
    .conf_size = sizeof(weir_core_conf),
    .configured = core_configured,
};

const weir_module weir_events_module = {
    .name = "events",
    .directives = events_directives,
    .conf_size = sizeof(weir_events_conf),
};

bool weir_core_debugs(const weir_core_conf *core, const weir_addr *peer)
{
    const weir_events_conf *events = weir_core_events(core);

    return events != NULL && weir_networks_have(events->debug_connections, peer);
}
