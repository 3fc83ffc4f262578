#ifndef WEIR_PROCESS_RESOLVER_CONF_H
#define WEIR_PROCESS_RESOLVER_CONF_H

#include "core/net/resolver.h"
#include "core/process/cycle.h"

/*
 * What `resolver` says, in whatever family, with the shared memory that `status_zone=` names: all resolvers of one name
 * count there, and go on with what was counted before a reload.  NULL: refused.
 */
const weir_resolver_settings *weir_resolver_conf_read(weir_conf *conf,
                                                      const weir_statement *statement);

/* The zones of a configuration, in no order: begin at position 0.  NULL: there are no more. */
const weir_resolver_zone *weir_resolver_zone_next(const weir_cycle *cycle, size_t *position);
/* NULL: not there. */
const weir_resolver_zone *weir_resolver_zone_find(const weir_cycle *cycle, weir_str name);

#endif
