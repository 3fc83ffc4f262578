/*
 * waf: SecLang rules (modules/waf) look at requests and responses.
 *
 *     modsecurity             on;             off | on | detection
 *     modsecurity_rules_file  waf/main.conf;
 *     modsecurity_rules       'SecRuleRemoveById 942100';
 *
 *     $modsecurity_id         the request's id in all logs
 */

#include "modules/http/waf/waf_internal.h"

/* Also where the rules are off: what another location has begun goes on here. */
static bool applies(const void *location)
{
    const weir_http_waf_conf *waf = location;

    return waf->rules.program != NULL;
}

static bool get_id(weir_script *script, uintptr_t arg, weir_value *value)
{
    const weir_http_exchange *ex = script->subject;
    const weir_http_waf_state *state = weir_http_state_find(ex->main, &weir_http_waf);

    (void) arg;
    if (state != NULL && state->tx != NULL) {
        value->text = weir_waf_unique_id(state->tx);
        value->found = true;
    }
    return true;
}

static const weir_variable waf_variables[] = {
    {.name = "modsecurity_id", .get = get_id, .is_volatile = true},
    {0},
};

const weir_http_module weir_http_waf = {
    .name = "http_waf",
    .directives = weir_http_waf_directives,
    .conf_size = sizeof(weir_http_waf_conf),
    .configured = weir_http_waf_configured,
    .worker_start = weir_http_waf_worker_start,
    .worker_stop = weir_http_waf_worker_stop,
    .phases = 1u << WEIR_HTTP_PHASE_REWRITE | 1u << WEIR_HTTP_PHASE_PRECONTENT
              | 1u << WEIR_HTTP_PHASE_LOG,
    .tools = weir_http_waf_tools,
    .keeps_state = true,
    .judge = weir_http_waf_judge,
    .applies = applies,
    .stage = WEIR_HTTP_STAGE_INSPECT,
    .response_head = weir_http_waf_response_head,
    .variables = waf_variables,
};
