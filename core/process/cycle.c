#include "core/process/cycle.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/net/addr.h"
#include "core/process/core_conf.h"
#include "core/process/error_log.h"
#include "core/process/pid_file.h"
#include "core/process/slots_internal.h"
#include "core/process/upgrade_internal.h"
#include "core/process/watch_internal.h"
#include "core/process/worker_internal.h"
#include "core/process/zone_internal.h"
#include "weir_auto_config.h"

#define CYCLE_LOOKUP_MS 5000 /* for all names of a configuration */

/* ---- objects */

void *weir_cycle_object(const weir_cycle *cycle, const char *name)
{
    return weir_map_find(cycle->objects, weir_str_from_z(name));
}

bool weir_cycle_set_object(weir_cycle *cycle, const char *name, void *object)
{
    return weir_map_put(cycle->objects, weir_str_from_z(name), object);
}

/* ---- logs */

/* The target that everyone was given stays; what is behind it changes. */
static void cycle_log_like(weir_cycle *cycle, const weir_log_target *target)
{
    *(weir_log_target *) cycle->log.target = *target;
}

/* As if it had said error_log with the file that -e or configure name. */
static bool cycle_preset_log(weir_cycle *cycle, weir_log_target *target)
{
    weir_str path = cycle->options.error_log;
    weir_builder full;
    weir_str text;

    if (weir_str_is_empty(path)) {
        path = weir_str_from_z(WEIR_ERROR_LOG_PATH);
    }

    if (weir_str_eq(path, WEIR_STR("stderr"))) {
        return weir_log_target_add_stderr(target, WEIR_LOG_ERR);
    }

    weir_builder_open(&full, cycle->pool, 4096);
    if (!weir_str_starts(path, WEIR_STR("/"))) {
        weir_builder_add(&full, cycle->options.prefix);
    }
    weir_builder_add(&full, path);

    if (!weir_builder_close(&full, &text)) {
        return false;
    }

    cycle->error_log_file = weir_log_files_get(cycle->log_files, text);
    return cycle->error_log_file != NULL
           && weir_log_target_add_file(target, cycle->error_log_file, WEIR_LOG_ERR);
}

/* What is logged until weir runs, and after that. */
static bool cycle_choose_logs(weir_cycle *cycle)
{
    weir_log_target *running, *startup;

    if (cycle->core->error_log != NULL) {
        cycle->running_log = cycle->core->error_log;
        cycle->startup_log = cycle->core->startup_log;
        cycle->error_log_file = cycle->core->error_log_file;
        return true;
    }

    running = weir_log_target_new(cycle->pool);
    startup = weir_log_target_new(cycle->pool);
    cycle->running_log = running;
    cycle->startup_log = startup;

    return running != NULL && startup != NULL && cycle_preset_log(cycle, running)
           && cycle_preset_log(cycle, startup)
           && weir_log_target_add_console(startup, WEIR_LOG_WARN);
}

/* Until files are open the console is the log, or that of the configuration which runs. */
static bool cycle_begin_log(weir_cycle *cycle)
{
    weir_log_target *target = weir_log_target_new(cycle->pool);

    if (target == NULL) {
        return false;
    }

    cycle->log.target = target;
    if (cycle->previous != NULL) {
        cycle_log_like(cycle, cycle->previous->log.target);
        return true;
    }

    return weir_log_target_add_console(target, WEIR_LOG_WARN);
}

void weir_cycle_log_to_files(weir_cycle *cycle)
{
    cycle_log_like(cycle, cycle->running_log);

    if (cycle->error_log_file != NULL
        && dup2(weir_log_file_fd(cycle->error_log_file), STDERR_FILENO) == -1) {
        weir_log_line(&cycle->log, WEIR_LOG_ALERT, errno, "dup2(STDERR) failed");
    }
}

/* ---- loading */

/* NULL: no memory, and then not even a log. */
static weir_cycle *cycle_new(const weir_conf_options *options, weir_cycle *previous)
{
    weir_pool *pool = weir_pool_new_of_pages();
    weir_cycle *cycle = pool == NULL ? NULL : WEIR_NEW(pool, weir_cycle);

    if (cycle == NULL) {
        weir_pool_free(pool);
        return NULL;
    }

    cycle->pool = pool;
    cycle->options = *options;
    cycle->previous = previous;
    cycle->generation =
        1 + (previous == NULL ? weir_upgrade_generation() : weir_slots_generation(previous));

    if (!cycle_begin_log(cycle) || (cycle->modules = weir_modules_new(pool)) == NULL
        || (cycle->log_files = weir_log_files_new(pool)) == NULL
        || (cycle->listeners = weir_listeners_new(pool)) == NULL
        || (cycle->zones = weir_zones_new(pool)) == NULL
        || (cycle->watches = weir_watches_new(pool)) == NULL
        || (cycle->messages = weir_messages_new(pool)) == NULL
        || (cycle->chores = weir_chores_new(pool)) == NULL
        || (cycle->slots = weir_slots_new(pool)) == NULL
        || (cycle->objects = weir_map_new(pool, false, 16)) == NULL) {
        weir_pool_free(pool);
        return NULL;
    }

    return cycle;
}

static bool cycle_read(weir_cycle *cycle)
{
    const weir_conf_home home = {
        .cycle = cycle, .pool = cycle->pool, .log = &cycle->log, .modules = cycle->modules};

    weir_lookup_begin(CYCLE_LOOKUP_MS);
    cycle->main = weir_conf_read(&home, &cycle->options);
    weir_lookup_end();
    if (cycle->main == NULL) {
        return false;
    }

    cycle->core = weir_level_settings(cycle->main, &weir_core_module);
    return cycle_choose_logs(cycle) && weir_slots_declare_zone(cycle);
}

/* The soft limit is what counts, unless workers get one of their own. */
static void cycle_warn_of_limits(const weir_cycle *cycle)
{
    const weir_events_conf *events = weir_core_events(cycle->core);
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == -1) {
        return;
    }

    if (cycle->core->rlimit_nofile != 0) {
        limit.rlim_cur = cycle->core->rlimit_nofile;
    }

    if (events->worker_connections > limit.rlim_cur) {
        weir_log_line(&cycle->log, WEIR_LOG_WARN, 0,
                      "%llu worker_connections exceed open file resource limit: %llu",
                      (unsigned long long) events->worker_connections,
                      (unsigned long long) limit.rlim_cur);
    }
}

/* -t: as much as can be tried beside a weir that runs. */
static bool cycle_try(weir_cycle *cycle)
{
    if (!cycle->options.is_quiet) {
        weir_log_line(NULL, WEIR_LOG_STDERR, 0, "the configuration file %.*s syntax is ok",
                      WEIR_STR_ARG(cycle->options.conf_file));
    }

    return weir_log_files_open(cycle->log_files, &cycle->log)
           && weir_pid_file_try(cycle->core->pid.data, &cycle->log)
           && weir_zones_check(cycle->zones, &cycle->log)
           && weir_listeners_try(cycle->listeners, &cycle->log);
}

/* All that may fail comes first: the memory of zones and the sockets are those of the cycle that runs. */
static bool cycle_open_like(weir_cycle *cycle, const weir_zones *zones, weir_listeners *listeners)
{
    if (!weir_zones_open(cycle->zones, zones, &cycle->log)
        || !weir_listeners_open(cycle->listeners, listeners, cycle->core->worker_processes,
                                &cycle->log)) {
        return false;
    }

    weir_slots_note_generation(cycle);
    if (!weir_zones_settle(cycle->zones)) {
        weir_listeners_undo(cycle->listeners, listeners, &cycle->log);
        return false;
    }

    weir_listeners_settle(cycle->listeners, listeners, &cycle->log);
    return true;
}

/* The first cycle may take over from another binary; what it does not want is closed. */
static bool cycle_open_first(weir_cycle *cycle)
{
    bool is_upgrade = weir_upgrade_is_one();
    weir_inheritance inherited;

    /* After an upgrade the console is the error log. */
    cycle_log_like(cycle, is_upgrade ? cycle->running_log : cycle->startup_log);

    /* It is written once all workers serve, when there is no console any more to say what is wrong with it. */
    if (!weir_pid_file_try(cycle->core->pid.data, &cycle->log)) {
        return false;
    }

    inherited = weir_upgrade_inherit(cycle->pool, &cycle->log);
    if (!cycle_open_like(cycle, inherited.zones, inherited.listeners)) {
        return false;
    }

    if (inherited.listeners != NULL) {
        weir_listeners_close(inherited.listeners, cycle->listeners);
    }

    return true;
}

static bool cycle_open(weir_cycle *cycle)
{
    const weir_cycle *previous = cycle->previous;

    if (!weir_log_files_open(cycle->log_files, &cycle->log)) {
        return false;
    }

    /* Why a reload failed is logged where the operator looks: in the log of the running configuration. */
    return previous == NULL ? cycle_open_first(cycle)
                            : cycle_open_like(cycle, previous->zones, previous->listeners);
}

weir_cycle *weir_cycle_read(const weir_conf_options *options)
{
    weir_cycle *cycle = cycle_new(options, NULL);

    if (cycle != NULL && !cycle_read(cycle)) {
        weir_cycle_free(cycle);
        return NULL;
    }

    return cycle;
}

weir_cycle *weir_cycle_load(const weir_conf_options *options, weir_cycle *previous)
{
    weir_cycle *cycle = cycle_new(options, previous);

    if (cycle == NULL) {
        weir_log_line(previous == NULL ? NULL : &previous->log, WEIR_LOG_EMERG, 0,
                      "no memory for a configuration");
        return NULL;
    }

    if (!cycle_read(cycle) || !(options->is_test ? cycle_try(cycle) : cycle_open(cycle))) {
        weir_cycle_free(cycle);
        return NULL;
    }

    cycle_warn_of_limits(cycle);
    cycle->previous = NULL;
    return cycle;
}

void weir_cycle_free(weir_cycle *cycle)
{
    if (cycle != NULL) {
        weir_pool_free(cycle->pool);
    }
}
