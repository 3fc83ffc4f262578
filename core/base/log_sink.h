#ifndef WEIR_BASE_LOG_SINK_H
#define WEIR_BASE_LOG_SINK_H

#include <sys/socket.h>

#include "core/base/log.h"
#include "core/base/pool.h"

/*
 * A file that lines are appended to: error and access logs.  Equal paths of one cycle share one
 * descriptor.  Reopened in place (the number stays) for USR1.
 */
typedef struct weir_log_file weir_log_file;
typedef struct weir_log_files weir_log_files;

/* NULL when the pool is used up.  Freeing the pool closes the files. */
weir_log_files *weir_log_files_new(weir_pool *pool);
/*
 * Opened at weir_log_files_open(), until then its descriptor is stderr's.  `path` is copied.  NULL
 * when the pool is used up or `path` holds a NUL.
 */
weir_log_file *weir_log_files_get(weir_log_files *files, weir_str path);
/*
 * Opens all that are not open, O_APPEND|O_CREAT|O_CLOEXEC, 0644; false, logged as
 * `open() "PATH" failed` at emerg, when one cannot be; then the others may be open.
 */
bool weir_log_files_open(weir_log_files *files, const weir_log *log) WEIR_MUST_USE;
/*
 * Opens each anew and dup3()s it over the old descriptor; one that cannot be opened is logged and
 * goes on as it is.  Regular files are given to `uid`, so that a worker can reopen them, too;
 * (unsigned) -1 leaves their owner.
 */
void weir_log_files_reopen(weir_log_files *files, unsigned uid, const weir_log *log);
void weir_log_files_close(weir_log_files *files);
/*
 * Appends in one write(), but for a pipe: there long lines of all processes that write through
 * these files stay whole by a lock.  What cannot be written, as a disk is full, is dropped, the
 * whole of it, for a second without trying.
 * False, with errno: it was tried, and failed; who can says so in another log.
 */
bool weir_log_file_write(weir_log_file *file, weir_str line);
int weir_log_file_fd(const weir_log_file *file);
weir_str weir_log_file_path(const weir_log_file *file);
/* Goes through all; NULL after the last.  `previous` NULL begins. */
weir_log_file *weir_log_files_next(weir_log_files *files, weir_log_file *previous);

/*
 * A syslog receiver: "server=ADDRESS[:port]|unix:PATH,facility=,severity=,tag=,nohostname", what
 * follows "syslog:" in a directive (RFC 3164).
 *
 * NULL, and `*why` set, when the parameters are wrong.  `*why` lives as long as the pool.
 */
typedef struct weir_syslog weir_syslog;
weir_syslog *weir_syslog_new(weir_pool *pool, weir_str parameters, const char **why);
/* The ADDRESS and port, which whoever reads a configuration finds out; empty: there is a PATH. */
#define WEIR_SYSLOG_PORT 514
weir_str weir_syslog_host(const weir_syslog *syslog);
/* Before it is told, and there is no PATH, lines are dropped. */
void weir_syslog_set_server(weir_syslog *syslog, const struct sockaddr *addr, socklen_t len);
/* The "severity=" parameter, which is meant for access logs; "info" unless said. */
weir_log_level weir_syslog_severity(const weir_syslog *syslog);
/*
 * One datagram, `line` without its newline.  Never blocks: what cannot be sent is dropped, and the
 * socket opened anew, at most once a second.
 */
void weir_syslog_send(weir_syslog *syslog, weir_log_level severity, weir_str line);

/* Each sink takes lines up to its level.  NULL and false: the pool is used up. */
weir_log_target *weir_log_target_new(weir_pool *pool);
bool weir_log_target_add_file(weir_log_target *target, weir_log_file *file,
                              weir_log_level level) WEIR_MUST_USE;
bool weir_log_target_add_syslog(weir_log_target *target, weir_syslog *syslog,
                                weir_log_level level) WEIR_MUST_USE;
bool weir_log_target_add_stderr(weir_log_target *target, weir_log_level level) WEIR_MUST_USE;
/* As the operator at a terminal reads it: "weir: [emerg] message" to stderr. */
bool weir_log_target_add_console(weir_log_target *target, weir_log_level level) WEIR_MUST_USE;

/* A target with the console only, up to WEIR_LOG_CONSOLE_LEVEL: before a configuration is there. */
const weir_log_target *weir_log_target_stderr(void);

#endif
