#include "modules/common/limit_req.h"

#include "core/base/clock.h"
#include "core/base/number.h"

#define KEY_MAX 65535
#define BURST_MAX 1000000000

/* What stands in a zone under a key. */
enum {
    BUCKET_EXCESS, /* thousandths of a request */
    BUCKET_SINCE,  /* milliseconds of the machine's monotonic clock */
};

/* ---- directives */

static bool read_count(weir_conf *conf, const weir_statement *statement, size_t arg, weir_str text,
                       const char *what, uint64_t *thousandths)
{
    if (!weir_parse_uint(text, BURST_MAX, thousandths) || *thousandths == 0) {
        return weir_conf_refuse_arg(conf, statement, arg, "invalid %s \"%.*s\"", what,
                                    WEIR_STR_ARG(statement->args[arg]));
    }
    *thousandths *= 1000;
    return true;
}

static bool read_words(weir_conf *conf, const weir_limit_kind *kind,
                       const weir_statement *statement, weir_limit_zone **zone,
                       weir_limit_req *limit)
{
    for (size_t i = 1; i < statement->count; i++) {
        weir_str arg = statement->args[i];
        bool is_read = true;
        weir_str value;

        if (weir_conf_parameter(arg, "zone=", &value)) {
            *zone = weir_limit_zone_named(conf, kind, value);
            is_read = *zone != NULL;
        } else if (weir_conf_parameter(arg, "burst=", &value)) {
            is_read = read_count(conf, statement, i, value, "burst value", &limit->burst);
        } else if (weir_conf_parameter(arg, "delay=", &value)) {
            is_read = read_count(conf, statement, i, value, "delay value", &limit->delay);
        } else if (weir_str_eq(arg, WEIR_STR("nodelay"))) {
            limit->delay = UINT64_MAX;
        } else {
            is_read = weir_conf_refuse_arg(conf, statement, i, "invalid parameter \"%.*s\"",
                                           WEIR_STR_ARG(arg));
        }
        if (!is_read) {
            return false;
        }
    }
    return *zone != NULL || weir_conf_refuse(conf, "\"limit_req\" must have \"zone\" parameter");
}

bool weir_limit_req_call(weir_conf *conf, const weir_limit_kind *kind, weir_array **limits,
                         const weir_statement *statement)
{
    weir_limit_req limit = {.burst = 0};
    weir_limit_zone *zone = NULL;
    weir_limit_req *added;

    if (!read_words(conf, kind, statement, &zone, &limit) || zone == NULL) {
        return false;
    }
    limit.zone = zone;
    if (zone->burst_max < limit.burst) {
        zone->burst_max = limit.burst;
    }
    if (*limits == NULL) {
        *limits = WEIR_NEW(weir_conf_pool(conf), weir_array);
        if (*limits == NULL) {
            return weir_conf_refuse(conf, "no memory for \"limit_req\"");
        }
        weir_array_init(*limits, weir_conf_pool(conf), sizeof(weir_limit_req), 2);
    }
    for (WEIR_ARRAY_EACH(*limits, const weir_limit_req, other)) {
        if (other->zone == zone) {
            return weir_conf_refuse(conf, "\"limit_req\" directive is duplicate");
        }
    }
    added = weir_array_push(*limits);
    if (added == NULL) {
        return weir_conf_refuse(conf, "no memory for \"limit_req\"");
    }
    *added = limit;
    return true;
}

/* ---- buckets */

typedef struct {
    const weir_limit_req *limit;
    uint64_t now_ms;
    bool counts;     /* the bucket is changed */
    uint64_t excess; /* of this request, once it is known */
} bucket_look;

/* How much of `held` is left after that time. */
static uint64_t leaked(uint64_t held, uint64_t rate, uint64_t elapsed_ms)
{
    uint64_t gone;

    if (__builtin_mul_overflow(rate, elapsed_ms, &gone)) {
        return 0;
    }
    gone /= 1000;
    return held > gone ? held - gone : 0;
}

/* The first request of a key finds the bucket empty, and leaves it empty. */
static bool bucket_visit(_Atomic uint64_t *numbers, bool is_new, void *subject)
{
    bucket_look *look = subject;
    uint64_t since = atomic_load(&numbers[BUCKET_SINCE]);

    /* Another worker's clock may be ahead by the length of a turn. */
    uint64_t elapsed_ms = look->now_ms > since ? look->now_ms - since : 0;

    look->excess = is_new ? 0
                          : leaked(atomic_load(&numbers[BUCKET_EXCESS]) + 1000,
                                   look->limit->zone->rate, elapsed_ms);
    if (look->counts && look->excess <= look->limit->burst) {
        atomic_store(&numbers[BUCKET_EXCESS], look->excess);
        atomic_store(&numbers[BUCKET_SINCE], look->now_ms > since ? look->now_ms : since);
    }
    return true;
}

/* How long a bucket is kept: until the fullest one is empty, and one request more. */
static uint64_t bucket_ttl_ms(const weir_limit_zone *zone)
{
    return (zone->burst_max + 2000) * 1000 / zone->rate + 1;
}

static void bucket_look_at(bucket_look *look, weir_str key)
{
    const weir_limit_zone *zone = look->limit->zone;
    bool is_known =
        look->counts ? weir_table_enter(zone->table, key, bucket_ttl_ms(zone), bucket_visit, look)
                     : weir_table_visit(zone->table, key, 0, bucket_visit, look);

    /* Nothing is known against it; nor if the zone's lock was not to be had. */
    if (!is_known) {
        look->excess = 0;
    }
}

/* ---- judging */

static void log_finding(const weir_limit_req *limit, const weir_script *script, uint64_t excess,
                        const char *what, bool is_dry_run, const char *by, weir_log_level level)
{
    weir_log_line(script->log, level, 0, "%s%s, excess: %llu.%03llu%s by zone \"%.*s\"", what,
                  is_dry_run ? ", dry run" : "", (unsigned long long) (excess / 1000),
                  (unsigned long long) (excess % 1000), by, WEIR_STR_ARG(limit->zone->name));
}

static uint64_t delay_ms_of(const weir_limit_req *limit, uint64_t excess)
{
    return excess <= limit->delay ? 0 : (excess - limit->delay) * 1000 / limit->zone->rate;
}

weir_limit_status weir_limit_req_judge(const weir_array *limits, weir_script *script,
                                       bool is_dry_run, weir_log_level level, uint64_t *delay_ms)
{
    bucket_look look = {.now_ms = weir_clock_now()->monotonic_ms};
    weir_limit_status status = WEIR_LIMIT_UNASKED;
    const weir_limit_req *slowest = NULL;
    uint64_t slowest_excess = 0;
    weir_str key;

    *delay_ms = 0;
    /* First whether all of them let it by, then it counts for all of them. */
    for (unsigned round = 0; round < 2; round++) {
        look.counts = round == 1;
        for (WEIR_ARRAY_EACH(limits, const weir_limit_req, limit)) {
            uint64_t wait_ms;

            if (!weir_limit_zone_key(limit->zone, script, KEY_MAX, &key) || key.len == 0) {
                continue;
            }
            look.limit = limit;
            bucket_look_at(&look, key);
            if (look.excess > limit->burst) {
                log_finding(limit, script, look.excess, "limiting requests", is_dry_run, "", level);
                return is_dry_run ? WEIR_LIMIT_REJECTED_DRY_RUN : WEIR_LIMIT_REJECTED;
            }
            status = WEIR_LIMIT_PASSED;
            wait_ms = delay_ms_of(limit, look.excess);
            if (look.counts && wait_ms > *delay_ms) {
                *delay_ms = wait_ms;
                slowest = limit;
                slowest_excess = look.excess;
            }
        }
    }
    if (slowest == NULL) {
        return status;
    }
    log_finding(slowest, script, slowest_excess, "delaying request", is_dry_run, ",",
                (weir_log_level) (level + 1));
    return is_dry_run ? WEIR_LIMIT_DELAYED_DRY_RUN : WEIR_LIMIT_DELAYED;
}
