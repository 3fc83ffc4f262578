#ifndef WEIR_BASE_LOG_INTERNAL_H
#define WEIR_BASE_LOG_INTERNAL_H

#include "core/base/log_sink.h"

/* What one error_log directive names, or the console; log_sink.c makes it, log.c writes to it. */
typedef enum {
    LOG_SINK_FILE,
    LOG_SINK_SYSLOG,
    LOG_SINK_STDERR,  /* whole lines */
    LOG_SINK_CONSOLE, /* as the operator reads them */
} log_sink_kind;

typedef struct weir_log_sink {
    struct weir_log_sink *next;
    log_sink_kind kind;
    weir_log_level level;
    weir_log_file *file;
    weir_syslog *syslog;
} log_sink;

#endif
