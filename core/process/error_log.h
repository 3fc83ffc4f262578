#ifndef WEIR_PROCESS_ERROR_LOG_H
#define WEIR_PROCESS_ERROR_LOG_H

#include "core/base/log_sink.h"
#include "core/conf/conf.h"

/*
 * error_log file|stderr|syslog:… [level], at any level of any family: a row
 *
 *     .takes = WEIR_TAKES(1, 2), .inherit = WEIR_INHERIT_REPLACE, .repeatable = true,
 *     .slot = WEIR_SLOT_CALL(TYPE, MEMBER, weir_error_log_call)
 *
 * whose member is a `const weir_log_target *`.  It stays NULL where no level of the family says anything:
 * then the target of weir_cycle.log holds, that of the main level.
 */
bool weir_error_log_call(weir_conf *conf, void *settings, const weir_statement *statement);

/* Adds what one statement names to `target`. */
bool weir_error_log_add(weir_conf *conf, weir_log_target *target, const weir_statement *statement);

#endif
