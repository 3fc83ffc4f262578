#ifndef WEIR_PROCESS_PRIVILEGES_INTERNAL_H
#define WEIR_PROCESS_PRIVILEGES_INTERNAL_H

#include "core/base/log.h"
#include "core/process/core_conf.h"
#include "core/process/cycle.h"

/*
 * In a worker, right after the fork: limits, priority, processor, directory, environment, and at last the
 * user.  `index` is the worker's; SIZE_MAX for the keeper, which runs on any processor.  False, logged:
 * it must not go on.
 */
bool weir_privileges_drop(const weir_cycle *cycle, size_t index, const weir_log *log) WEIR_MUST_USE;

/*
 * The environment that `env` leaves (TZ always stays), with `more` ("NAME=value", NULL ends) behind.  The array
 * is the caller's to free(), the strings are not.  NULL: no memory.
 */
char **weir_privileges_environment(const weir_core_conf *core, char *const *more) WEIR_MUST_USE;

/* The processors of a worker; false when it may run on any. */
bool weir_affinity_of(const weir_core_affinity *affinity, size_t index, cpu_set_t *set);

#endif
