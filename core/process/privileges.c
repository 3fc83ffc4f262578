/* What a worker may do: limits, priority, processor, and who it is. */

#include "core/process/privileges_internal.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/process/worker.h"
#include "weir_auto_config.h"

/* LeakSanitizer must be able to trace us. */
#define PRIVILEGES_SANITIZED WEIR_POOL_SEPARATE

/* ---- limits */

static void privileges_limit(const weir_log *log, __rlimit_resource_t what, const char *name,
                             uint64_t value)
{
    const struct rlimit limit = {.rlim_cur = value, .rlim_max = value};

    if (setrlimit(what, &limit) == -1) {
        weir_log_line(log, WEIR_LOG_ALERT, errno, "setrlimit(%s, %llu) failed", name,
                      (unsigned long long) value);
    }
}

static void privileges_limits(const weir_core_conf *core, const weir_log *log)
{
    if (core->worker_priority != 0 && setpriority(PRIO_PROCESS, 0, core->worker_priority) == -1) {
        weir_log_line(log, WEIR_LOG_ALERT, errno, "setpriority(%d) failed", core->worker_priority);
    }

    if (core->rlimit_nofile != 0) {
        privileges_limit(log, RLIMIT_NOFILE, "RLIMIT_NOFILE", core->rlimit_nofile);
    }

    if (core->rlimit_core.given) {
        privileges_limit(log, RLIMIT_CORE, "RLIMIT_CORE", core->rlimit_core.bytes);
    }
}

/* ---- processors */

/* The set with the one processor that is worker `index`'s when they take turns. */
static void affinity_pick(const cpu_set_t *from, size_t index, cpu_set_t *set)
{
    size_t skip = index % (size_t) CPU_COUNT(from);

    CPU_ZERO(set);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, from) && skip-- == 0) {
            CPU_SET(cpu, set);
            return;
        }
    }
}

bool weir_affinity_of(const weir_core_affinity *affinity, size_t index, cpu_set_t *set)
{
    if (affinity->masks == NULL) {
        return false;
    }

    if (affinity->is_auto) {
        affinity_pick(&affinity->masks[0], index, set);
        return true;
    }

    *set = affinity->masks[index < affinity->count ? index : affinity->count - 1];
    return CPU_COUNT(set) != 0;
}

static void privileges_affinity(const weir_core_conf *core, size_t index, const weir_log *log)
{
    cpu_set_t set;

    if (index != SIZE_MAX && weir_affinity_of(&core->affinity, index, &set)
        && sched_setaffinity(0, sizeof(set), &set) == -1) {
        weir_log_line(log, WEIR_LOG_ALERT, errno, "sched_setaffinity() failed");
    }
}

/* ---- user */

#define PRIVILEGES_TRANSPARENT "transparent"

bool weir_worker_needs_transparent(weir_cycle *cycle)
{
    static const bool needed = true;

    return weir_cycle_set_object(cycle, PRIVILEGES_TRANSPARENT, (void *) (uintptr_t) &needed);
}

/* Of all that root might do, this is left. */
static bool privileges_keep_net_raw(const weir_log *log)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {
        {.permitted = CAP_TO_MASK(CAP_NET_RAW), .effective = CAP_TO_MASK(CAP_NET_RAW)},
    };

    if (syscall(SYS_capset, &header, sets) == -1) {
        weir_log_line(log, WEIR_LOG_EMERG, errno, "capset() failed");
        return false;
    }
    return true;
}

static bool privileges_user(const weir_core_user *user, bool keeps_net_raw, const weir_log *log)
{
    if (user->name == NULL || geteuid() != 0) {
        return true;
    }

    if (keeps_net_raw && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == -1) {
        weir_log_line(log, WEIR_LOG_EMERG, errno, "prctl(PR_SET_KEEPCAPS) failed");
        return false;
    }

    if (setgid(user->gid) == -1) {
        weir_log_line(log, WEIR_LOG_EMERG, errno, "setgid(%u) failed", user->gid);
        return false;
    }

    if (initgroups(user->name, user->gid) == -1) {
        weir_log_line(log, WEIR_LOG_EMERG, errno, "initgroups(%s, %u) failed", user->name,
                      user->gid);
        return false;
    }

    if (setuid(user->uid) == -1) {
        weir_log_line(log, WEIR_LOG_EMERG, errno, "setuid(%u) failed", user->uid);
        return false;
    }

    return !keeps_net_raw || privileges_keep_net_raw(log);
}

/* Keys are in a worker's memory: unless asked for, it leaves no core and lets nobody trace it. */
static void privileges_harden(const weir_core_conf *core, const weir_log *log)
{
    if (core->rlimit_core.given || PRIVILEGES_SANITIZED) {
        if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == -1) {
            weir_log_line(log, WEIR_LOG_ALERT, errno, "prctl(PR_SET_DUMPABLE) failed");
        }
    }

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1) {
        weir_log_line(log, WEIR_LOG_ALERT, errno, "prctl(PR_SET_NO_NEW_PRIVS) failed");
    }
}

/* ---- environment */

typedef char *environment_variable;

/* "NAME=value" and "NAME", or two of a kind. */
static bool environment_same_name(const char *a, const char *b)
{
    size_t len = strcspn(a, "=");

    return len == strcspn(b, "=") && strncmp(a, b, len) == 0;
}

/* The variable as it is now, NULL when it is not set. */
static char *environment_find(const char *name)
{
    for (char **variable = environ; *variable != NULL; variable++) {
        if (environment_same_name(*variable, name)) {
            return *variable;
        }
    }

    return NULL;
}

static bool environment_names(const weir_core_conf *core, const char *name)
{
    for (WEIR_ARRAY_EACH(&core->env, const environment_variable, variable)) {
        if (environment_same_name(*variable, name)) {
            return true;
        }
    }

    return false;
}

char **weir_privileges_environment(const weir_core_conf *core, char *const *more)
{
    size_t more_count = 0, count = 0;
    char **environment;

    while (more != NULL && more[more_count] != NULL) {
        more_count++;
    }

    environment = calloc(core->env.count + more_count + 2, sizeof(*environment));
    if (environment == NULL) {
        return NULL;
    }

    for (WEIR_ARRAY_EACH(&core->env, const environment_variable, variable)) {
        char *value = strchr(*variable, '=') != NULL ? *variable : environment_find(*variable);

        if (value != NULL) {
            environment[count++] = value;
        }
    }

    if (!environment_names(core, "TZ")) {
        environment[count] = environment_find("TZ");
        count += environment[count] != NULL;
    }

    for (size_t i = 0; i < more_count; i++) {
        environment[count++] = more[i];
    }

    return environment;
}

/* ---- all of it */

bool weir_privileges_drop(const weir_cycle *cycle, size_t index, const weir_log *log)
{
    const weir_core_conf *core = cycle->core;
    bool keeps_net_raw =
        index != SIZE_MAX && weir_cycle_object(cycle, PRIVILEGES_TRANSPARENT) != NULL;
    char **environment = weir_privileges_environment(core, NULL);

    if (environment == NULL) {
        weir_log_line(log, WEIR_LOG_EMERG, 0, "no memory for the environment");
        return false;
    }
    environ = environment;

    privileges_limits(core, log);
    privileges_affinity(core, index, log);

    if (!privileges_user(&core->user, keeps_net_raw, log)) {
        return false;
    }

    privileges_harden(core, log);

    if (core->working_directory.len != 0 && chdir(core->working_directory.data) == -1) {
        weir_log_line(log, WEIR_LOG_ALERT, errno, "chdir(\"%s\") failed",
                      core->working_directory.data);
        return false;
    }

    return true;
}
