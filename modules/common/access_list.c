#include "modules/common/access_list.h"

bool weir_access_list_call(weir_conf *conf, weir_array **rules, const weir_statement *statement)
{
    weir_pool *pool = weir_conf_pool(conf);
    weir_str text = statement->args[1];
    weir_access_rule *rule;

    if (*rules == NULL) {
        *rules = WEIR_NEW(pool, weir_array);
        if (*rules == NULL) {
            return weir_conf_refuse(conf, "no memory for a rule");
        }
        weir_array_init(*rules, pool, sizeof(weir_access_rule), 4);
    }
    rule = weir_array_push(*rules);
    if (rule == NULL) {
        return weir_conf_refuse(conf, "no memory for a rule");
    }

    rule->denies = weir_str_eq(statement->args[0], WEIR_STR("deny"));
    rule->is_for_all = weir_str_eq(text, WEIR_STR("all"));
    if (rule->is_for_all) {
        return true;
    }
    if (!weir_network_parse(text, &rule->network)) {
        return weir_conf_refuse_arg(conf, statement, 1, "invalid parameter \"%.*s\"",
                                    WEIR_STR_ARG(text));
    }
    if (rule->network.has_host_bits) {
        weir_conf_warn(conf, "low address bits of %.*s are meaningless", WEIR_STR_ARG(text));
    }
    return true;
}

weir_access_decision weir_access_list_decide(const weir_array *rules, const weir_addr *addr)
{
    for (WEIR_ARRAY_EACH(rules, const weir_access_rule, rule)) {
        if (rule->is_for_all || weir_network_has(&rule->network, addr)) {
            return rule->denies ? WEIR_ACCESS_DENIED : WEIR_ACCESS_ALLOWED;
        }
    }
    return WEIR_ACCESS_NO_RULE;
}
