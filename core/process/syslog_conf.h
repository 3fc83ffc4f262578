#ifndef WEIR_PROCESS_SYSLOG_CONF_H
#define WEIR_PROCESS_SYSLOG_CONF_H

#include "core/base/log_sink.h"
#include "core/conf/conf.h"

/*
 * Makes of what follows "syslog:" in a directive, of error_log or of an access log, where lines
 * can be sent; its life is the configuration's.  The receiver's name shares the time for all names
 * of the configuration; if it is not found, that is a warning, and lines are dropped.  NULL:
 * refused.
 */
weir_syslog *weir_syslog_open(weir_conf *conf, weir_str parameters);

#endif
