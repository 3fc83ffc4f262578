#ifndef WEIR_COMMON_ACCESS_LOG_H
#define WEIR_COMMON_ACCESS_LOG_H

#include "core/conf/module.h"
#include "core/event/loop.h"
#include "modules/common/log_format.h"

/*
 * access_log PATH [FORMAT [buffer=SIZE] [flush=TIME] [if=CONDITION]] | syslog:... | off: a line for each request, or
 * session.
 */

/* What families differ in. */
typedef struct {
    const char *family;
    weir_str default_format; /* empty: it must be said */
    /* Whether a file whose name has variables, which clients choose, may be made now; NULL: always. */
    bool (*may_make_file)(weir_script *script);
} weir_access_log_kind;

/* What a level says; zeroed: nothing. */
typedef struct {
    weir_array *list;
    bool is_off;
} weir_access_logs;

/* Adds what a statement says.  `kind` is borrowed for good. */
bool weir_access_log_call(weir_conf *conf, const weir_access_log_kind *kind, weir_access_logs *logs,
                          const weir_statement *statement);

/* Writes a line to each log whose condition holds. */
void weir_access_logs_write(const weir_access_logs *logs, weir_script *script, weir_loop *loop);
/* In each worker before it ends: lines that wait, of all families. */
void weir_access_logs_flush(weir_worker *worker);

#endif
