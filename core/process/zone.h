#ifndef WEIR_PROCESS_ZONE_H
#define WEIR_PROCESS_ZONE_H

#include "core/process/cycle.h"

/*
 * Shared memory: one memfd a zone, kept over reloads under its name, handed over at a binary upgrade.
 * Mapped before the fork, at the same address in all processes of a generation; across
 * generations and upgrades the address may differ, so what lies in a zone refers by offset.
 *
 * Kill -9 at any instruction leaves it usable; the structures for that are in core/shared.
 */
typedef struct weir_zone weir_zone;

/*
 * The zone of that name in this cycle, to be filled at weir_zones_open(). `layout` names the
 * structure and its version ("limit_req 1"): a zone left by an earlier cycle is kept if layout and
 * size are equal, else a new one begins empty, and the log says so.  `opened` is called in the
 * master once all that the cycle needs is there: `is_new` when it is empty (all zero).  It changes
 * what a running configuration sees only when it cannot fail any more. NULL: refused (same name
 * with another size or layout: `the size … of shared memory zone "x" conflicts with already
 * declared size …`), or by somebody else, with another subject.
 */
weir_zone *weir_zone_new(weir_conf *conf, weir_str name, size_t bytes, const char *layout,
                         bool (*opened)(weir_zone *zone, bool is_new, void *subject),
                         void *subject);
void *
weir_zone_memory(const weir_zone *zone); /* after the zone's header; NULL before it is opened */
size_t weir_zone_bytes(const weir_zone *zone);
weir_str weir_zone_name(const weir_zone *zone);

#endif
