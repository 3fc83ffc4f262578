#ifndef WEIR_BASE_LOG_SINK_H
#define WEIR_BASE_LOG_SINK_H

#include "core/base/log.h"
#include "core/base/pool.h"

/*
 * A file that lines are appended to: error and access logs.  Equal paths of one cycle share one
 * descriptor.  Reopened in place (the number stays) for USR1.
 */
typedef struct weir_log_file weir_log_file;
typedef struct weir_log_files weir_log_files;

weir_log_files *weir_log_files_new(weir_pool *pool);
/* Opened at weir_log_files_open(), until then writes go to stderr.  `path` is copied. */
weir_log_file *weir_log_files_get(weir_log_files *files, weir_str path);
/*
 * Opens all that are not open, O_APPEND|O_CREAT|O_CLOEXEC, 0644; false, logged as
 * `open() "PATH" failed`, when one cannot be.
 */
bool weir_log_files_open(weir_log_files *files, const weir_log *log) WEIR_MUST_USE;
/* Opens each anew and dup3()s it over the old descriptor; with `user` they are given to that uid. */
void weir_log_files_reopen(weir_log_files *files, unsigned uid, const weir_log *log);
void weir_log_files_close(weir_log_files *files);
int weir_log_file_fd(const weir_log_file *file);
weir_str weir_log_file_path(const weir_log_file *file);
/* Goes through all; NULL after the last.  `previous` NULL begins. */
weir_log_file *weir_log_files_next(weir_log_files *files, weir_log_file *previous);

/* A syslog receiver: "server=ADDRESS[:port]|unix:PATH,facility=,severity=,tag=,nohostname" (RFC 3164). */
typedef struct weir_syslog weir_syslog;
/* NULL, and `*why` set, when the parameters are wrong.  Datagrams; never blocks, drops instead. */
weir_syslog *weir_syslog_new(weir_pool *pool, weir_str parameters, const char **why);
void weir_syslog_send(weir_syslog *syslog, weir_log_level severity, weir_str line);

weir_log_target *weir_log_target_new(weir_pool *pool);
bool weir_log_target_add_file(weir_log_target *target, weir_log_file *file, weir_log_level level);
bool weir_log_target_add_syslog(weir_log_target *target, weir_syslog *syslog, weir_log_level level);
bool weir_log_target_add_stderr(weir_log_target *target, weir_log_level level);

/* A target that writes to stderr up to `level`: before a configuration is there. */
const weir_log_target *weir_log_target_stderr(void);

#endif
