#include "core/base/number.h"
#include "modules/balance/balance_internal.h"
#include "modules/balance/health.h"

/* Reading health_check and match: what all families' have in common. */

/* Of one family, in one configuration. */
typedef struct {
    weir_map *matches;
    weir_array checks; /* weir_balance_check * */
} checks_registry;

static checks_registry *registry_of(weir_conf *conf, const weir_balance_family *family)
{
    checks_registry *registry = weir_conf_kept(conf, &family->times);
    weir_pool *pool = weir_conf_pool(conf);

    if (registry != NULL) {
        return registry;
    }
    registry = WEIR_NEW(pool, checks_registry);
    if (registry == NULL || (registry->matches = weir_map_new(pool, false, 4)) == NULL
        || !weir_conf_keep(conf, &family->times, registry)) {
        weir_conf_refuse(conf, "no memory for health checks");
        return NULL;
    }
    weir_array_init(&registry->checks, pool, sizeof(weir_balance_check *), 4);
    return registry;
}

bool weir_balance_match_add(weir_conf *conf, const weir_balance_family *family,
                            const weir_statement *statement, const void *match)
{
    checks_registry *registry = registry_of(conf, family);
    weir_str name = statement->args[1];

    if (registry == NULL) {
        return false;
    }
    if (weir_map_find(registry->matches, name) != NULL) {
        return weir_conf_refuse_arg(conf, statement, 1, "duplicate match \"%.*s\"",
                                    WEIR_STR_ARG(name));
    }
    return weir_map_put(registry->matches, name, (void *) (uintptr_t) match)
           || weir_conf_refuse(conf, "no memory for \"match\"");
}

static weir_balance_argument verdict(bool is_good)
{
    return is_good ? WEIR_BALANCE_ARGUMENT_GOOD : WEIR_BALANCE_ARGUMENT_WRONG;
}

static bool count_read(weir_str value, uint64_t *count)
{
    return weir_parse_uint(value, INT32_MAX, count) && *count != 0;
}

static bool port_read(weir_str value, uint16_t *port)
{
    uint64_t number;

    if (!weir_parse_uint(value, 65535, &number) || number == 0) {
        return false;
    }
    *port = (uint16_t) number;
    return true;
}

static weir_balance_argument argument_read(weir_balance_check *check, weir_str argument)
{
    weir_str value;

    if (weir_conf_parameter(argument, "interval=", &value)) {
        return verdict(weir_parse_time_ms(value, INT32_MAX, &check->interval_ms)
                       && check->interval_ms != 0);
    }
    if (weir_conf_parameter(argument, "jitter=", &value)) {
        return verdict(weir_parse_time_ms(value, INT32_MAX, &check->jitter_ms));
    }
    if (weir_conf_parameter(argument, "fails=", &value)) {
        return verdict(count_read(value, &check->fails));
    }
    if (weir_conf_parameter(argument, "passes=", &value)) {
        return verdict(count_read(value, &check->passes));
    }
    if (weir_conf_parameter(argument, "match=", &value)) {
        check->match_name = value;
        return verdict(value.len != 0);
    }
    if (weir_conf_parameter(argument, "port=", &value)) {
        return verdict(port_read(value, &check->port));
    }
    if (weir_str_eq(argument, WEIR_STR("mandatory"))) {
        check->is_mandatory = true;
        return WEIR_BALANCE_ARGUMENT_GOOD;
    }
    if (weir_str_eq(argument, WEIR_STR("persistent"))) {
        check->is_persistent = true;
        return WEIR_BALANCE_ARGUMENT_GOOD;
    }
    return WEIR_BALANCE_ARGUMENT_UNKNOWN;
}

bool weir_balance_check_read(weir_conf *conf, const weir_balance_family *family,
                             weir_balance_check *check, const weir_statement *statement,
                             weir_balance_argument (*own)(weir_conf *conf,
                                                          weir_balance_check *check,
                                                          weir_str argument))
{
    checks_registry *registry = registry_of(conf, family);
    weir_balance_check **place = registry == NULL ? NULL : weir_array_push(&registry->checks);

    if (place == NULL) {
        return registry != NULL && weir_conf_refuse(conf, "no memory for \"health_check\"");
    }
    *place = check;
    check->statement = statement;
    check->level = weir_conf_level(conf);
    check->interval_ms = 5000;
    check->fails = check->passes = 1;
    for (size_t i = 1; i < statement->count; i++) {
        weir_balance_argument result = argument_read(check, statement->args[i]);

        if (result == WEIR_BALANCE_ARGUMENT_UNKNOWN) {
            result = own(conf, check, statement->args[i]);
        }
        switch (result) {
        case WEIR_BALANCE_ARGUMENT_GOOD:
            break;
        case WEIR_BALANCE_ARGUMENT_REFUSED:
            return false;
        case WEIR_BALANCE_ARGUMENT_WRONG:
        case WEIR_BALANCE_ARGUMENT_UNKNOWN:
            return weir_conf_refuse_arg(conf, statement, i, "invalid parameter \"%.*s\"",
                                        WEIR_STR_ARG(statement->args[i]));
        }
    }
    return !check->is_persistent || check->is_mandatory
           || weir_conf_refuse_arg(conf, statement, 0,
                                   "\"persistent\" of \"health_check\" takes \"mandatory\"");
}

bool weir_balance_checks_settle(weir_conf *conf, const weir_balance_family *family,
                                bool (*settle)(weir_conf *conf, weir_balance_check *check))
{
    checks_registry *registry = registry_of(conf, family);

    if (registry == NULL) {
        return false;
    }
    for (WEIR_ARRAY_EACH(&registry->checks, weir_balance_check *, place)) {
        weir_balance_check *check = *place;

        weir_conf_point_at(conf, check->statement);
        if (check->match_name.len != 0) {
            check->match = weir_map_find(registry->matches, check->match_name);
            if (check->match == NULL) {
                return weir_conf_refuse_arg(conf, check->statement, 0, "match \"%.*s\" not found",
                                            WEIR_STR_ARG(check->match_name));
            }
        }
        if (!settle(conf, check) || !balance_check_add(conf, check)) {
            return false;
        }
    }
    return true;
}
