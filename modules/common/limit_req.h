#ifndef WEIR_COMMON_LIMIT_REQ_H
#define WEIR_COMMON_LIMIT_REQ_H

#include "modules/common/limit_zone.h"

/*
 * limit_req zone=NAME [burst=NUMBER] [nodelay | delay=NUMBER]: how many requests of one key there may be in a time,
 * over all workers.
 *
 * A leaky bucket: each request adds one, and the zone's rate takes away.  What is above the burst is rejected, what is
 * above `delay` waits until it would not be.
 */
typedef struct {
    const weir_limit_zone *zone;
    uint64_t burst, delay; /* thousandths of a request */
} weir_limit_req;

/* The shape of the zones: for each key, what is in its bucket and since when. */
#define WEIR_LIMIT_REQ_SHAPE ((weir_table_shape){.numbers = 2})

/* Adds a limit; `*limits` (of weir_limit_req) is made at first use. */
bool weir_limit_req_call(weir_conf *conf, const weir_limit_kind *kind, weir_array **limits,
                         const weir_statement *statement);

/*
 * Counts a request under each limit's key, or, if it is above the burst of any of them, under none.  What is
 * found is logged: delays at one level below `level`.  A dry run counts, and only says what it would have done.
 *
 * After DELAYED the request is to go on in `*delay_ms`.
 */
weir_limit_status weir_limit_req_judge(const weir_array *limits, weir_script *script,
                                       bool is_dry_run, weir_log_level level, uint64_t *delay_ms);

#endif
