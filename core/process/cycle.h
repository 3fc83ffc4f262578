#ifndef WEIR_PROCESS_CYCLE_H
#define WEIR_PROCESS_CYCLE_H

#include "core/base/log_sink.h"
#include "core/conf/conf.h"
#include "core/conf/module.h"
#include "core/net/listener.h"

typedef struct weir_zones weir_zones;
typedef struct weir_watches weir_watches;
typedef struct weir_core_conf weir_core_conf;

/*
 * One configuration, from its reading to its end.  Immutable once loaded: made
 * in the master before the fork, shared by copy-on-write.  The whole of it dies with its pool.
 */
struct weir_cycle {
    weir_pool *pool;
    weir_log log;        /* of the error_log at main level; stderr until it is read */
    uint64_t generation; /* 1 is the first */
    weir_conf_options options;

    weir_modules *modules;
    weir_level *main;
    const weir_core_conf *core; /* user, worker_processes ...: core/process/core_conf.h */

    weir_log_files *log_files; /* every file that error_log and access_log name */
    weir_listeners *listeners;
    weir_zones *zones;     /* shared memory: core/process/zone.h */
    weir_watches *watches; /* certificate files: core/process/watch.h */

    weir_map *objects; /* by name: what families keep for a cycle; see weir_cycle_object() */

    /* While loading: the cycle that runs now, or NULL. Modules take over from it what did not change. */
    weir_cycle *previous;
};

/* What a module keeps per cycle, by a name of its own ("http", "tls certificates"); NULL: not there. */
void *weir_cycle_object(const weir_cycle *cycle, const char *name);
bool weir_cycle_set_object(weir_cycle *cycle, const char *name, void *object) WEIR_MUST_USE;

/*
 * Reads the configuration, opens what it names: logs, listening sockets, zones. `previous` stays as it is when this
 * fails: NULL, logged.  With options.is_test nothing is kept open.
 */
weir_cycle *weir_cycle_load(const weir_conf_options *options, weir_cycle *previous);
void weir_cycle_free(weir_cycle *cycle);

#endif
