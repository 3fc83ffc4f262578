/*
 * access: who may, by address.
 *
 *     allow 10.0.0.0/8;
 *     deny  all;
 */

#include "modules/common/access_list.h"
#include "modules/http/engine/core_conf.h"

typedef struct {
    weir_array *rules; /* NULL: none */
} access_conf;

static bool rule_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    return weir_access_list_call(conf, &((access_conf *) settings)->rules, statement);
}

#define RULE(name_, doc_)                                                                          \
    {                                                                                              \
        .name = name_, .where = WEIR_HTTP_ANYWHERE | WEIR_HTTP_LIMIT_EXCEPT,                       \
        .takes = WEIR_TAKES(1, 1), .syntax = "address | CIDR | unix: | all",                       \
        .slot = WEIR_SLOT_CALL(access_conf, rules, rule_call), .repeatable = true, .doc = doc_     \
    }

static const weir_directive access_directives[] = {
    RULE("allow", "Lets these addresses by; the first rule that matches decides."),
    RULE("deny", "Refuses these addresses."),
    {0},
};

static weir_http_verdict access_judge(weir_http_exchange *ex, const void *location)
{
    const access_conf *access = location;

    switch (weir_access_list_decide(access->rules, weir_http_client_addr(ex))) {
    case WEIR_ACCESS_NO_RULE:
        return WEIR_HTTP_PASS;
    case WEIR_ACCESS_ALLOWED:
        return WEIR_HTTP_SETTLED;
    case WEIR_ACCESS_DENIED:
        break;
    }
    /* Under "satisfy any" another module may yet let it by: the engine has the last word. */
    if (ex->core->satisfy == WEIR_HTTP_SATISFY_ALL) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "access forbidden by rule");
    }
    return weir_http_answer_because(ex, 403, "access forbidden by rule");
}

static bool access_applies(const void *location)
{
    return ((const access_conf *) location)->rules != NULL;
}

const weir_http_module weir_http_access = {
    .name = "http_access",
    .directives = access_directives,
    .conf_size = sizeof(access_conf),
    .phases = 1u << WEIR_HTTP_PHASE_ACCESS,
    .judge = access_judge,
    .applies = access_applies,
};
