#include "modules/balance/balance_internal.h"

#include "core/base/number.h"

/* What `server` says: in a configuration, in a state file, through the API. */

void balance_server_begin(balance_server *server, weir_str name)
{
    *server = (balance_server){.name = name, .weight = 1, .max_fails = 1, .fail_timeout_ms = 10000};
}

static balance_parameter judged(bool is_good)
{
    return is_good ? BALANCE_PARAMETER_GOOD : BALANCE_PARAMETER_WRONG;
}

static balance_parameter number_take(weir_str text, uint32_t min, uint32_t *number)
{
    uint64_t parsed;

    if (!weir_parse_uint(text, INT32_MAX, &parsed) || parsed < min) {
        return BALANCE_PARAMETER_WRONG;
    }
    *number = (uint32_t) parsed;
    return BALANCE_PARAMETER_GOOD;
}

static balance_parameter time_take(weir_str text, uint64_t *time_ms)
{
    uint64_t seconds;

    if (!weir_parse_time_s(text, INT32_MAX, &seconds)) {
        return BALANCE_PARAMETER_WRONG;
    }
    *time_ms = seconds * 1000;
    return BALANCE_PARAMETER_GOOD;
}

balance_parameter balance_server_parameter(balance_server *server, weir_str text)
{
    weir_str value;

    if (weir_conf_parameter(text, "weight=", &value)) {
        return number_take(value, 1, &server->weight);
    }
    if (weir_conf_parameter(text, "max_conns=", &value)) {
        return number_take(value, 0, &server->max_conns);
    }
    if (weir_conf_parameter(text, "max_fails=", &value)) {
        return number_take(value, 0, &server->max_fails);
    }
    if (weir_conf_parameter(text, "fail_timeout=", &value)) {
        return time_take(value, &server->fail_timeout_ms);
    }
    if (weir_conf_parameter(text, "slow_start=", &value)) {
        return time_take(value, &server->slow_start_ms);
    }
    if (weir_conf_parameter(text, "route=", &value)) {
        server->route = value;
        return judged(value.len != 0 && value.len <= BALANCE_ROUTE_MAX);
    }
    if (weir_conf_parameter(text, "service=", &value)) {
        server->service = value;
        return judged(value.len != 0);
    }
    if (weir_str_eq(text, WEIR_STR("backup"))) {
        server->is_backup = true;
    } else if (weir_str_eq(text, WEIR_STR("down"))) {
        server->is_down = true;
    } else if (weir_str_eq(text, WEIR_STR("drain"))) {
        server->is_draining = true;
    } else if (weir_str_eq(text, WEIR_STR("resolve"))) {
        server->is_resolved = true;
    } else {
        return BALANCE_PARAMETER_UNKNOWN;
    }
    return BALANCE_PARAMETER_GOOD;
}

void balance_server_merge(balance_server *server, const balance_server *asked, unsigned mask)
{
    if ((mask & WEIR_BALANCE_HAS_WEIGHT) != 0) {
        server->weight = asked->weight;
    }
    if ((mask & WEIR_BALANCE_HAS_MAX_CONNS) != 0) {
        server->max_conns = asked->max_conns;
    }
    if ((mask & WEIR_BALANCE_HAS_MAX_FAILS) != 0) {
        server->max_fails = asked->max_fails;
    }
    if ((mask & WEIR_BALANCE_HAS_FAIL_TIMEOUT) != 0) {
        server->fail_timeout_ms = asked->fail_timeout_ms;
    }
    if ((mask & WEIR_BALANCE_HAS_SLOW_START) != 0) {
        server->slow_start_ms = asked->slow_start_ms;
    }
    if ((mask & WEIR_BALANCE_HAS_DOWN) != 0) {
        server->is_down = asked->is_down;
    }
    if ((mask & WEIR_BALANCE_HAS_DRAIN) != 0) {
        server->is_draining = asked->is_draining;
    }
    if ((mask & WEIR_BALANCE_HAS_ROUTE) != 0) {
        server->route = asked->route;
    }
    if ((mask & WEIR_BALANCE_HAS_NAME) != 0) {
        server->name = asked->name;
    }
}

void weir_balance_server_begin(weir_balance_server *server)
{
    balance_server_begin(server, WEIR_STR_EMPTY);
}

bool weir_balance_server_parameter(weir_balance_server *server, weir_str text)
{
    return balance_server_parameter(server, text) == BALANCE_PARAMETER_GOOD;
}

bool weir_balance_name_is_good(const weir_balance_group *group, const weir_balance_server *server)
{
    const char *why;
    weir_str host;
    uint16_t port;

    if (!weir_lookup_takes(server->name, &why)) {
        return false;
    }
    if (server->service.len != 0) {
        return weir_str_find_byte(server->name, ':') == NULL;
    }
    return weir_addr_split(server->name, group->family->default_port, &host, &port) && port != 0;
}
