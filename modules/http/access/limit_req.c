/*
 * limit_req: how many requests of one key, such as the client's address, there may be in a time; see
 * modules/common/limit_req.h.
 *
 *     limit_req_zone $binary_remote_addr zone=clients:10m rate=5r/s;
 *     limit_req zone=clients burst=10 delay=5;
 */

#include "modules/common/limit_req.h"
#include "modules/http/engine/module.h"

typedef struct {
    weir_array *limits; /* weir_limit_req; NULL: none */
    bool is_dry_run;
    unsigned log_level;
    uint64_t status;
} limit_req_conf;

extern const weir_http_module weir_http_limit_req;

static const weir_limit_kind limit_req_kind = {
    .family = "http",
    .directive = "limit_req_zone",
    .shape = WEIR_LIMIT_REQ_SHAPE,
    .has_rate = true,
};

static bool zone_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    return weir_limit_zone_declare(conf, &limit_req_kind, statement) != NULL;
}

static bool limit_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    return weir_limit_req_call(conf, &limit_req_kind, &((limit_req_conf *) settings)->limits,
                               statement);
}

static const weir_directive limit_req_directives[] = {
    {
        .name = "limit_req_zone",
        .where = WEIR_HTTP_MAIN,
        .takes = WEIR_TAKES(3, 3),
        .syntax = "key zone=name:size rate=rate",
        .slot = WEIR_SLOT_ONLY_CALL(zone_call),
        .doc = "Shared memory that has the rate of each key's requests.",
    },
    {
        .name = "limit_req",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES(1, 3),
        .syntax = "zone=name [burst=number] [nodelay | delay=number]",
        .slot = WEIR_SLOT_CALL(limit_req_conf, limits, limit_call),
        .repeatable = true,
        .doc = "How many requests of a key may come in a time.",
    },
    {
        .name = "limit_req_dry_run",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_FLAG(limit_req_conf, is_dry_run),
        .preset = "off",
        .doc = "Counts, and logs what is above the rate, but neither delays nor refuses it.",
    },
    {
        .name = "limit_req_log_level",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_ENUM(limit_req_conf, log_level, weir_limit_log_levels),
        .preset = "error",
        .doc = "At which level a refusal is logged; a delay is logged one level below.",
    },
    {
        .name = "limit_req_status",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_UINT(limit_req_conf, status, 400, 599),
        .preset = "503",
        .doc = "What a request above the rate is answered.",
    },
    {0},
};

static bool limit_req_configured(weir_conf *conf)
{
    return weir_limit_zones_check(conf, &limit_req_kind);
}

/* A client's request counts once, whatever it is redirected to and whatever it asks for in its turn. */
static weir_http_verdict limit_req_judge(weir_http_exchange *ex, const void *location)
{
    const limit_req_conf *conf = location;
    weir_limit_status *status =
        weir_http_whole_state(ex, &weir_http_limit_req, sizeof(weir_limit_status));
    uint64_t delay_ms;

    if (status == NULL) {
        return WEIR_HTTP_FAILED;
    }
    if (*status != WEIR_LIMIT_UNASKED) {
        return WEIR_HTTP_PASS;
    }
    *status = weir_limit_req_judge(conf->limits, &ex->script, conf->is_dry_run,
                                   (weir_log_level) conf->log_level, &delay_ms);
    if (*status == WEIR_LIMIT_REJECTED) {
        return weir_http_answer_because(ex, (unsigned) conf->status, "too many requests");
    }
    return *status == WEIR_LIMIT_DELAYED
               ? weir_http_pause(ex, "limit_req delay", delay_ms, weir_http_resume)
               : WEIR_HTTP_PASS;
}

static bool limit_req_applies(const void *location)
{
    return ((const limit_req_conf *) location)->limits != NULL;
}

static bool get_status(weir_script *script, uintptr_t arg, weir_value *value)
{
    const weir_limit_status *status =
        weir_http_whole_state_find(script->subject, &weir_http_limit_req);

    (void) arg;
    if (status != NULL) {
        value->text = weir_limit_status_name(*status);
        value->found = value->text.len != 0;
    }
    return true;
}

static const weir_variable limit_req_variables[] = {
    {.name = "limit_req_status", .get = get_status, .is_volatile = true},
    {0},
};

const weir_http_module weir_http_limit_req = {
    .name = "http_limit_req",
    .directives = limit_req_directives,
    .conf_size = sizeof(limit_req_conf),
    .configured = limit_req_configured,
    .phases = 1u << WEIR_HTTP_PHASE_PREACCESS,
    .judge = limit_req_judge,
    .applies = limit_req_applies,
    .variables = limit_req_variables,
};
