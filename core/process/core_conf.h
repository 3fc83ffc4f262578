#ifndef WEIR_PROCESS_CORE_CONF_H
#define WEIR_PROCESS_CORE_CONF_H

#include <sched.h>
#include <sys/types.h>

#include "core/base/log_sink.h"
#include "core/conf/module.h"
#include "core/net/addr.h"

/* Who the workers are. */
typedef struct {
    const char *name; /* NULL: whoever started the master */
    uid_t uid;
    gid_t gid;
} weir_core_user;

/* worker_cpu_affinity: worker i runs on masks[i], those beyond the last on the last. */
typedef struct {
    cpu_set_t *masks; /* NULL: wherever the kernel puts them */
    size_t count;
    bool is_auto; /* masks[0] is the set to spread over, a processor each */
} weir_core_affinity;

/* thread_pool: one pool a worker, which takes the largest numbers of all that are declared. */
typedef struct {
    unsigned threads; /* 0: none declared */
    size_t max_queue;
} weir_core_threads;

typedef struct {
    bool given; /* else it stays as it is */
    uint64_t bytes;
} weir_core_limit;

/* What the directives of the main level say. */
typedef struct weir_core_conf {
    bool daemon, master_process;
    uint64_t worker_processes; /* never 0 */
    uint64_t worker_generations;
    weir_core_user user;
    weir_core_affinity affinity;
    int worker_priority;
    uint64_t rlimit_nofile; /* 0: as it is */
    weir_core_limit rlimit_core;
    uint64_t shutdown_timeout_ms; /* 0: never */
    weir_str working_directory;   /* empty: as it is */
    weir_str pid;
    weir_array env; /* const char *: NAME or NAME=value */
    weir_core_threads threads;
    bool ssl_object_cache_inheritable;

    const weir_log_target *error_log;   /* NULL: see weir_cycle.log */
    const weir_log_target *startup_log; /* the same and the console */
    weir_log_file *error_log_file;      /* the first of its files, where stderr goes; NULL: none */

    const weir_level *events; /* NULL: there was no such block */
} weir_core_conf;

/* What the directives of events say. */
typedef struct weir_events_conf {
    uint64_t worker_connections;
    bool multi_accept;
    uint64_t stall_threshold_ms;
    weir_array *debug_connections; /* weir_network; NULL: none */
} weir_events_conf;

extern const weir_module weir_core_module;
extern const weir_module weir_events_module;

/* Whether debug_connection names the address: its connections log everything. */
bool weir_core_debugs(const weir_core_conf *core, const weir_addr *peer);

/* NULL before all of the file was read. */
const weir_events_conf *weir_core_events(const weir_core_conf *core);

#endif
