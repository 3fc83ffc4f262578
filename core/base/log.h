#ifndef WEIR_BASE_LOG_H
#define WEIR_BASE_LOG_H

#include "core/base/builder.h"
#include "core/base/result.h"
#include "core/base/str.h"

/* Levels and their names are syslog's and nginx's. */
typedef enum {
    WEIR_LOG_STDERR, /* to stderr and nowhere else, as "weir: message": answers to the operator */
    WEIR_LOG_EMERG,
    WEIR_LOG_ALERT, /* only for what must not happen */
    WEIR_LOG_CRIT,
    WEIR_LOG_ERR,
    WEIR_LOG_WARN,
    WEIR_LOG_NOTICE,
    WEIR_LOG_INFO,
    WEIR_LOG_DEBUG,
} weir_log_level;

/* The files, syslogs and stderr that one set of error_log directives names; see log_sink.h. */
typedef struct weir_log_target {
    weir_log_level level; /* of the sink that takes most */
    struct weir_log_sink *sinks;
    struct weir_pool *pool;
} weir_log_target;

/* What is taken as long as there is no target. */
#define WEIR_LOG_CONSOLE_LEVEL WEIR_LOG_NOTICE

/*
 * Where a connection, an exchange or the process logs.  Copied by value; what it points to is
 * borrowed.
 */
typedef struct {
    const weir_log_target *target;
    uint64_t connection; /* "*N"; 0: none */
    /* Adds ", client: …, server: …" to each line; NULL: nothing. */
    void (*describe)(weir_builder *line, const void *subject);
    const void *subject;
    bool takes_all; /* debug_connection: every line is written, whatever the sinks take */
} weir_log;

/* Whether any sink of the target takes this level; guards costly arguments. */
static inline bool weir_log_takes(const weir_log *log, weir_log_level level)
{
    if (log == NULL || log->target == NULL) {
        return level <= WEIR_LOG_CONSOLE_LEVEL;
    }
    return level <= log->target->level || log->takes_all;
}

/*
 * One line: "2026/11/21 10:00:00 [error] PID#TID: *N message (111: Connection refused), client: …".
 * `error` is an errno value, 0 for none.  Never fails, keeps errno; what does not fit 2 KiB is cut.
 * Control bytes, in what `describe` adds too, are written as \xHH.  A NULL log, or one without a
 * target, writes "weir: [error] message" to stderr.
 */
void weir_log_line(const weir_log *log, weir_log_level level, int error, const char *format, ...)
    WEIR_PRINTF(4, 5);

/*
 * A line with explanations behind it: `further` are lines with newlines between them, which are written
 * indented, and at once with the first; to a syslog, not at all.  Not described.
 */
void weir_log_lines(const weir_log *log, weir_log_level level, weir_str message, weir_str further);

/*
 * A line of any length up to 64 KiB, described as with weir_log_line(), which every sink takes
 * whatever its level: for what must not be lost or cut because of how a log is set up.
 */
void weir_log_always(const weir_log *log, weir_log_level level, weir_str message);

#define weir_log_debug(log, ...)                                                                   \
    (WEIR_UNLIKELY(weir_log_takes((log), WEIR_LOG_DEBUG))                                          \
         ? weir_log_line((log), WEIR_LOG_DEBUG, 0, __VA_ARGS__)                                    \
         : (void) 0)

/* "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug". */
weir_str weir_log_level_name(weir_log_level level);
bool weir_log_level_parse(weir_str name, weir_log_level *level) WEIR_MUST_USE;

#endif
