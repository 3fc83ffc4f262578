#ifndef WEIR_PROCESS_CYCLE_H
#define WEIR_PROCESS_CYCLE_H

#include "core/base/log_sink.h"
#include "core/conf/conf.h"
#include "core/conf/module.h"
#include "core/net/listener.h"

typedef struct weir_zones weir_zones;
typedef struct weir_watches weir_watches;
typedef struct weir_messages weir_messages;
typedef struct weir_chores weir_chores;
typedef struct weir_slots weir_slots;
typedef struct weir_core_conf weir_core_conf;

/*
 * One configuration, from its reading to its end.  Immutable once loaded: made
 * in the master before the fork, shared by copy-on-write.  The whole of it dies with its pool.
 */
struct weir_cycle {
    weir_pool *pool;
    /*
     * Of the error_log at main level. The target is the same from beginning to end, what it writes to is
     * not: the console, or the log of the previous cycle, until the files are open.
     */
    weir_log log;
    uint64_t generation; /* 1 is the first, the next one over reloads and upgrades is greater */
    weir_conf_options options;

    weir_modules *modules;
    weir_level *main;
    const weir_core_conf *core; /* user, worker_processes ...: core/process/core_conf.h */

    weir_log_files *log_files; /* every file that error_log and access_log name */
    weir_listeners *listeners;
    weir_zones *zones;      /* shared memory: core/process/zone.h */
    struct weir_zone *zone; /* core/process's own one */
    weir_watches *watches;  /* what the master looks at: certificate files */
    weir_messages *messages;
    weir_chores *chores;
    weir_slots *slots;

    weir_map *objects; /* by name: what families keep for a cycle; see weir_cycle_object() */

    /* private to core/process: what `log` writes to when weir runs and while it starts; for stderr */
    const weir_log_target *running_log, *startup_log;
    weir_log_file *error_log_file; /* NULL: stderr stays what it is */

    /* While loading: the cycle that runs now, or NULL. Modules take over from it what did not change. */
    weir_cycle *previous;
};

/* What a module keeps per cycle, by a name of its own ("http", "tls certificates"); NULL: not there. */
void *weir_cycle_object(const weir_cycle *cycle, const char *name);
bool weir_cycle_set_object(weir_cycle *cycle, const char *name, void *object) WEIR_MUST_USE;

/*
 * Reads the configuration, opens what it names: logs, zones, listening sockets. `previous` stays as it is when this
 * fails: NULL, logged; else what was not taken over is to be closed, and
 * `previous` freed.
 * With options.is_test all is tried and nothing kept.
 */
weir_cycle *weir_cycle_load(const weir_conf_options *options, weir_cycle *previous);
/* Only reads: nothing is opened, so that it cannot run. */
weir_cycle *weir_cycle_read(const weir_conf_options *options);
/*
 * Once weir runs, and again after files were reopened: the log leaves the console alone, and what else is written to
 * stderr goes to the first file.
 */
void weir_cycle_log_to_files(weir_cycle *cycle);
void weir_cycle_free(weir_cycle *cycle);

#endif
