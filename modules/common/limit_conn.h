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

/* What the directives say at one level. */
typedef struct {
    weir_array *limits; /* weir_limit_conn; NULL: none */
    bool is_dry_run;
    unsigned log_level;
} weir_limit_conn_conf;

/*
 * Their rows, for settings of type `conf_` that have a weir_limit_conn_conf as `member_`.  The
 * calls are the family's, which know its kind; `things_` are what is counted.
 */
#define WEIR_LIMIT_CONN_DIRECTIVES(conf_, member_, main_, anywhere_, zone_call_, limit_call_,      \
                                   things_)                                                        \
    {.name = "limit_conn_zone",                                                                    \
     .where = main_,                                                                               \
     .takes = WEIR_TAKES(2, 2),                                                                    \
     .syntax = "key zone=name:size",                                                               \
     .slot = WEIR_SLOT_ONLY_CALL(zone_call_),                                                      \
     .doc = "Shared memory that counts the " things_ " of each key."},                             \
        {.name = "limit_conn",                                                                     \
         .where = anywhere_,                                                                       \
         .takes = WEIR_TAKES(2, 2),                                                                \
         .syntax = "zone number",                                                                  \
         .slot = WEIR_SLOT_CALL(conf_, member_.limits, limit_call_),                               \
         .repeatable = true,                                                                       \
         .doc = "How many " things_ " of a key there may be at a time."},                          \
        {.name = "limit_conn_dry_run",                                                             \
         .where = anywhere_,                                                                       \
         .slot = WEIR_SLOT_FLAG(conf_, member_.is_dry_run),                                        \
         .preset = "off",                                                                          \
         .doc = "Counts, and logs what is above the limit, but lets it by."},                      \
    {                                                                                              \
        .name = "limit_conn_log_level", .where = anywhere_,                                        \
        .slot = WEIR_SLOT_ENUM(conf_, member_.log_level, weir_limit_log_levels),                   \
        .preset = "error", .doc = "At which level " things_ " above the limit are logged."         \
    }

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
weir_limit_status weir_limit_conn_judge(const weir_limit_conn_conf *conf, weir_script *script,
                                        weir_pool *pool);

#endif
