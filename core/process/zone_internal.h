#ifndef WEIR_PROCESS_ZONE_INTERNAL_H
#define WEIR_PROCESS_ZONE_INTERNAL_H

#include "core/process/zone.h"

weir_zones *weir_zones_new(weir_pool *pool);

/*
 * As weir_zone_new(), for core/process itself, which has no statement to blame.  NULL: no memory, or declared
 * otherwise before, logged.
 */
weir_zone *weir_zones_add(weir_zones *zones, weir_str name, size_t bytes, const char *layout,
                          bool (*opened)(weir_zone *zone, bool is_new, void *subject),
                          void *subject, const weir_log *log);

/*
 * Gives each zone its memory: that of `old` (NULL: none) where name, layout and size are equal, else new.
 * False, logged; `old`, and what its memory holds, stays as it is in any case.
 */
bool weir_zones_open(weir_zones *zones, const weir_zones *old, const weir_log *log) WEIR_MUST_USE;
/*
 * Calls the owners' `opened`, which write what a running configuration reads: last, when nothing else can fail.
 * False, logged: one of them cannot have its zone.
 */
bool weir_zones_settle(weir_zones *zones) WEIR_MUST_USE;
/* With -t: only whether each zone has got a size. */
bool weir_zones_check(const weir_zones *zones, const weir_log *log) WEIR_MUST_USE;

int weir_zone_fd(const weir_zone *zone);

/*
 * Handing over at USR2: lets the descriptors survive exec() and names them ("8;9;"); and back, as
 * zones that weir_zones_open() takes from.  Descriptors that hold no zone are closed, logged.
 */
bool weir_zones_export(const weir_zones *zones, weir_builder *text);
weir_zones *weir_zones_inherit(weir_pool *pool, weir_str text, const weir_log *log);

#endif
