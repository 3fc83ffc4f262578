#include "modules/common/limit_conn.h"

#include "core/base/number.h"
#include "core/process/worker.h"

#define KEY_MAX 255
#define NUMBER_MAX 65535

/* A subject under one key. */
typedef struct {
    weir_table *table;
    weir_str key;
} limit_count;

/* All that one judgement has counted, until its pool is freed. */
typedef struct {
    uint32_t slot;
    weir_array counts; /* limit_count */
} limit_counts;

/* ---- directives */

static void worker_gone(unsigned slot, void *subject)
{
    const weir_limit_zone *zone = subject;

    if (zone->table != NULL) {
        weir_tally_clear_slot(zone->table, slot);
    }
}

bool weir_limit_conn_zone_call(weir_conf *conf, const weir_limit_kind *kind,
                               const weir_statement *statement)
{
    weir_limit_zone *zone = weir_limit_zone_declare(conf, kind, statement);

    if (zone == NULL) {
        return false;
    }
    return weir_worker_on_gone(weir_conf_cycle(conf), worker_gone, zone)
           || weir_conf_refuse(conf, "no memory for \"%s\"", kind->directive);
}

bool weir_limit_conn_call(weir_conf *conf, const weir_limit_kind *kind, weir_array **limits,
                          const weir_statement *statement)
{
    weir_limit_zone *zone = weir_limit_zone_named(conf, kind, statement->args[1]);
    weir_limit_conn *limit;
    uint64_t max;

    if (zone == NULL) {
        return false;
    }
    if (*limits == NULL) {
        *limits = WEIR_NEW(weir_conf_pool(conf), weir_array);
        if (*limits == NULL) {
            return weir_conf_refuse(conf, "no memory for \"limit_conn\"");
        }
        weir_array_init(*limits, weir_conf_pool(conf), sizeof(weir_limit_conn), 2);
    }
    for (WEIR_ARRAY_EACH(*limits, const weir_limit_conn, other)) {
        if (other->zone == zone) {
            return weir_conf_refuse(conf, "\"limit_conn\" directive is duplicate");
        }
    }
    if (!weir_parse_uint(statement->args[2], UINT32_MAX, &max) || max == 0) {
        return weir_conf_refuse_arg(conf, statement, 2, "invalid number of connections \"%.*s\"",
                                    WEIR_STR_ARG(statement->args[2]));
    }
    if (max > NUMBER_MAX) {
        return weir_conf_refuse_arg(conf, statement, 2, "connection limit must be less 65536");
    }
    limit = weir_array_push(*limits);
    if (limit == NULL) {
        return weir_conf_refuse(conf, "no memory for \"limit_conn\"");
    }
    *limit = (weir_limit_conn){.zone = zone, .max = max};
    return true;
}

/* ---- counting */

static void counts_end(void *subject)
{
    limit_counts *counts = subject;

    for (WEIR_ARRAY_EACH(&counts->counts, const limit_count, count)) {
        weir_tally_down(count->table, count->key, counts->slot);
    }
    counts->counts.count = 0;
}

static limit_counts *counts_begin(weir_pool *pool, size_t capacity)
{
    limit_counts *counts = WEIR_NEW(pool, limit_counts);

    if (counts == NULL || weir_pool_on_free(pool, counts_end, counts) == NULL) {
        return NULL;
    }
    counts->slot = weir_worker_current()->slot;
    weir_array_init(&counts->counts, pool, sizeof(limit_count), capacity);
    return counts;
}

static weir_tally_verdict counts_add(limit_counts *counts, weir_pool *pool,
                                     const weir_limit_conn *limit, weir_str key)
{
    weir_tally_verdict verdict;
    limit_count *count;
    weir_str kept;

    /* What the key is a slice of may be gone before the pool is. */
    if (!weir_str_copy(pool, key, &kept)) {
        return WEIR_TALLY_FULL;
    }
    verdict = weir_tally_up(limit->zone->table, kept, counts->slot, limit->max);
    if (verdict != WEIR_TALLY_COUNTED) {
        return verdict;
    }
    count = weir_array_push(&counts->counts);
    if (count == NULL) {
        weir_tally_down(limit->zone->table, kept, counts->slot);
        return WEIR_TALLY_FULL;
    }
    *count = (limit_count){.table = limit->zone->table, .key = kept};
    return WEIR_TALLY_COUNTED;
}

static void log_rejection(const weir_limit_conn *limit, const weir_script *script,
                          weir_tally_verdict verdict, bool is_dry_run, weir_log_level level)
{
    weir_log_line(script->log, level, 0, "limiting connections%s by zone \"%.*s\"%s",
                  is_dry_run ? ", dry run," : "", WEIR_STR_ARG(limit->zone->name),
                  verdict == WEIR_TALLY_FULL ? ", in which there is no room" : "");
}

weir_limit_status weir_limit_conn_judge(const weir_limit_conn_conf *conf, weir_script *script,
                                        weir_pool *pool)
{
    limit_counts *counts = counts_begin(pool, conf->limits->count);
    weir_limit_status status = WEIR_LIMIT_UNASKED;

    for (WEIR_ARRAY_EACH(conf->limits, const weir_limit_conn, limit)) {
        weir_tally_verdict verdict = WEIR_TALLY_FULL;
        weir_str key;

        if (counts != NULL && weir_limit_zone_key(limit->zone, script, KEY_MAX, &key)) {
            if (key.len == 0) {
                continue;
            }
            verdict = counts_add(counts, pool, limit, key);
        }
        if (verdict != WEIR_TALLY_COUNTED) {
            log_rejection(limit, script, verdict, conf->is_dry_run,
                          (weir_log_level) conf->log_level);
            if (counts != NULL) {
                /* Who is turned away counts nowhere. */
                counts_end(counts);
            }
            return conf->is_dry_run ? WEIR_LIMIT_REJECTED_DRY_RUN : WEIR_LIMIT_REJECTED;
        }
        status = WEIR_LIMIT_PASSED;
    }
    return status;
}
