#ifndef WEIR_COMMON_LIMIT_ZONE_H
#define WEIR_COMMON_LIMIT_ZONE_H

#include "core/script/script.h"
#include "core/shared/table.h"

/*
 * What limit_conn and limit_req have in common: tables in shared memory, named, with a key that is taken of each
 * request or session.
 *
 *     limit_conn_zone $binary_remote_addr zone=clients:10m;
 *     limit_req_zone  $binary_remote_addr zone=clients:10m rate=5r/s;
 *
 * A zone lives on over reloads, and when any process is killed.  It begins anew when its size or its key changes.
 */

/* Of the face that has the directives: static. Its address tells one family's zones from another's. */
typedef struct {
    const char *family;    /* "http" */
    const char *directive; /* "limit_req_zone" */
    weir_table_shape shape;
    bool has_rate;
} weir_limit_kind;

typedef struct {
    weir_str name;
    const weir_template *key; /* NULL: no directive has declared it yet */
    weir_str key_text;
    uint64_t rate;      /* thousandths of a request, per second */
    uint64_t burst_max; /* the largest that any limit on it has, in thousandths of a request */
    weir_table *table;  /* NULL: not opened yet */
    weir_cycle *cycle;
    weir_table_shape shape;
} weir_limit_zone;

/* What the limits have said of a request or a session. */
typedef enum {
    WEIR_LIMIT_UNASKED, /* there was none, or its key was empty */
    WEIR_LIMIT_PASSED,
    WEIR_LIMIT_DELAYED,
    WEIR_LIMIT_REJECTED,
    WEIR_LIMIT_DELAYED_DRY_RUN,
    WEIR_LIMIT_REJECTED_DRY_RUN,
} weir_limit_status;

/* The words of $limit_conn_status and $limit_req_status; empty: unasked. */
weir_str weir_limit_status_name(weir_limit_status status);

/* error, warn, notice and info, as weir_log_level. */
extern const weir_choice weir_limit_log_levels[];

/* KEY zone=NAME:SIZE [rate=RATE].  NULL: refused. */
weir_limit_zone *weir_limit_zone_declare(weir_conf *conf, const weir_limit_kind *kind,
                                         const weir_statement *statement);
/* The zone of that name, which may be declared further down in the file.  NULL: refused. */
weir_limit_zone *weir_limit_zone_named(weir_conf *conf, const weir_limit_kind *kind, weir_str name);
/* Once all of the file was read: refused if some zone was never declared. */
bool weir_limit_zones_check(weir_conf *conf, const weir_limit_kind *kind) WEIR_MUST_USE;

/*
 * The key, at most `max` bytes of it.  An empty one is not limited, nor is one that is too long, which is logged.
 * False only without memory.
 */
bool weir_limit_zone_key(const weir_limit_zone *zone, weir_script *script, size_t max,
                         weir_str *key) WEIR_MUST_USE;

#endif
