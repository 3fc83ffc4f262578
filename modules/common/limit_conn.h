#ifndef WEIR_COMMON_LIMIT_CONN_H
#define WEIR_COMMON_LIMIT_CONN_H

#include "core/shared/tally.h"
#include "modules/common/limit_zone.h"

/*
 * limit_conn ZONE NUMBER: how many requests or sessions of one key there may be at a time, over all workers.
 *
 * What a process had counted is given back when it dies, whatever it dies of.
 */
typedef struct {
    const weir_limit_zone *zone;
    uint64_t max;
} weir_limit_conn;

/* The shape of the zones. */
#define WEIR_LIMIT_CONN_SHAPE WEIR_TALLY_SHAPE

bool weir_limit_conn_zone_call(weir_conf *conf, const weir_limit_kind *kind,
                               const weir_statement *statement);
/* Adds a limit; `*limits` (of weir_limit_conn) is made at first use. */
bool weir_limit_conn_call(weir_conf *conf, const weir_limit_kind *kind, weir_array **limits,
                          const weir_statement *statement);

/*
 * Counts a subject under each limit's key, until `pool` is freed, or under none of them: then it is one too many,
 * which is logged.  A dry run only says so.
 *
 * Answers UNASKED, PASSED, REJECTED or REJECTED_DRY_RUN; what cannot be counted for want of room is rejected.
 */
weir_limit_status weir_limit_conn_judge(const weir_array *limits, weir_script *script,
                                        weir_pool *pool, bool is_dry_run, weir_log_level level);

#endif
