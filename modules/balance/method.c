#include "modules/balance/balance_internal.h"

/* The directives that name a method: least_conn, ip_hash, hash, random, least_time. */

static weir_balance_group *group_being_read(weir_conf *conf)
{
    return weir_conf_level(conf)->owner;
}

static void method_set(weir_conf *conf, const balance_method *method)
{
    weir_balance_group *group = group_being_read(conf);

    if (group->method_is_said) {
        weir_conf_warn(conf, "load balancing method redefined");
    }
    group->method_is_said = true;
    group->method = method;
    group->measure = BALANCE_BY_CONNECTIONS;
    group->measures_time = group->counts_inflight = group->picks_two = false;
}

static bool invalid(weir_conf *conf, const weir_statement *statement, size_t i)
{
    return weir_conf_refuse_arg(conf, statement, i, "invalid parameter \"%.*s\"",
                                WEIR_STR_ARG(statement->args[i]));
}

/* "header", "last_byte", as the family calls them. */
static bool measure_read(weir_balance_group *group, weir_str text)
{
    const weir_balance_times *times = &group->family->times;

    if (times->connect != NULL && weir_str_eq(text, weir_str_from_z(times->connect))) {
        group->measure = BALANCE_BY_CONNECT;
    } else if (weir_str_eq(text, weir_str_from_z(times->first_byte))) {
        group->measure = BALANCE_BY_FIRST_BYTE;
    } else if (weir_str_eq(text, WEIR_STR("last_byte"))) {
        group->measure = BALANCE_BY_LAST_BYTE;
    } else {
        return false;
    }
    group->measures_time = true;
    return true;
}

bool weir_balance_least_conn_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    (void) statement;
    method_set(conf, &balance_least_conn);
    return true;
}

bool weir_balance_ip_hash_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    (void) statement;
    method_set(conf, &balance_ip_hash);
    return true;
}

bool weir_balance_least_time_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_balance_group *group = group_being_read(conf);

    (void) settings;
    method_set(conf, &balance_least_time);
    if (!measure_read(group, statement->args[1])) {
        return invalid(conf, statement, 1);
    }
    if (statement->count == 3) {
        if (!weir_str_eq(statement->args[2], WEIR_STR("inflight"))) {
            return invalid(conf, statement, 2);
        }
        group->counts_inflight = true;
    }
    return true;
}

bool weir_balance_random_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_balance_group *group = group_being_read(conf);
    weir_str value;

    (void) settings;
    method_set(conf, &balance_random);
    if (statement->count == 1) {
        return true;
    }
    if (!weir_str_eq(statement->args[1], WEIR_STR("two"))) {
        return invalid(conf, statement, 1);
    }
    group->picks_two = true;
    if (statement->count == 2 || weir_str_eq(statement->args[2], WEIR_STR("least_conn"))) {
        return true;
    }
    return (weir_conf_parameter(statement->args[2], "least_time=", &value)
            && measure_read(group, value))
           || invalid(conf, statement, 2);
}

bool weir_balance_hash_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_balance_group *group = group_being_read(conf);

    (void) settings;
    if (statement->count == 3 && !weir_str_eq(statement->args[2], WEIR_STR("consistent"))) {
        return invalid(conf, statement, 2);
    }
    method_set(conf, statement->count == 3 ? &balance_hash_consistent : &balance_hash);
    group->hash_key =
        weir_template_new(conf, weir_space_of(conf, group->family->name), statement->args[1]);
    return group->hash_key != NULL;
}
