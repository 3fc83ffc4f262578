#include "modules/balance/balance_internal.h"

#include "core/base/json.h"

/* Groups, their peers and servers, written as JSON in the shape of NGINX Plus', and as tables for people. */

static void write_text(weir_builder *body, const char *name, weir_str text)
{
    weir_builder_printf(body, "\"%s\":", name);
    weir_json_write_string(body, text);
}

static const char *true_or_false(bool is_true)
{
    return is_true ? "true" : "false";
}

/* ---- JSON */

/* Whole seconds where they say it all. */
static void write_time(weir_builder *body, const char *name, uint64_t time_ms)
{
    weir_builder_printf(body, ",\"%s\":\"%llu%s\"", name,
                        (unsigned long long) (time_ms % 1000 == 0 ? time_ms / 1000 : time_ms),
                        time_ms % 1000 == 0 ? "s" : "ms");
}

void balance_show_server(weir_builder *body, uint64_t id, const weir_balance_server *server)
{
    weir_builder_printf(body, "{\"id\":%llu,", (unsigned long long) id);
    write_text(body, "server", server->name);
    weir_builder_printf(body, ",\"weight\":%u,\"max_conns\":%u,\"max_fails\":%u", server->weight,
                        server->max_conns, server->max_fails);
    write_time(body, "fail_timeout", server->fail_timeout_ms);
    write_time(body, "slow_start", server->slow_start_ms);
    weir_builder_add_byte(body, ',');
    write_text(body, "route", server->route);
    if (server->service.len != 0) {
        weir_builder_add_byte(body, ',');
        write_text(body, "service", server->service);
    }
    weir_builder_printf(body, ",\"backup\":%s,\"down\":%s%s}", true_or_false(server->is_backup),
                        true_or_false(server->is_down),
                        server->is_draining ? ",\"drain\":true" : "");
}

static void write_peer(weir_builder *body, const weir_balance_peer *peer, bool is_alone)
{
    weir_balance_report report = weir_balance_peer_report(peer, is_alone);

    weir_builder_printf(body, "{\"id\":%llu,", (unsigned long long) peer->id);
    write_text(body, "server", peer->text);
    weir_builder_add_byte(body, ',');
    write_text(body, "name", peer->name);
    weir_builder_printf(
        body,
        ",\"backup\":%s,\"weight\":%u,\"state\":\"%s\",\"active\":%llu,\"max_conns\":%u,"
        "\"requests\":%llu,\"fails\":%llu,\"unavail\":%llu,\"health_checks\":{\"checks\":%llu,"
        "\"fails\":%llu,\"unhealthy\":%llu},\"header_time\":%llu,\"response_time\":%llu}",
        true_or_false(peer->is_backup), peer->weight, report.state,
        (unsigned long long) report.active, peer->max_conns, (unsigned long long) report.requests,
        (unsigned long long) report.fails, (unsigned long long) report.unavailable,
        (unsigned long long) report.checks, (unsigned long long) report.checks_failed,
        (unsigned long long) report.checks_fell, (unsigned long long) report.first_ms,
        (unsigned long long) report.last_ms);
}

void balance_show_group(weir_builder *body, weir_balance_group *group)
{
    size_t count;
    const weir_balance_peer *peers = weir_balance_peers(group, &count);

    weir_builder_add(body, WEIR_STR("{\"peers\":["));
    for (size_t i = 0; i < count; i++) {
        if (i != 0) {
            weir_builder_add_byte(body, ',');
        }
        write_peer(body, &peers[i], count == 1);
    }
    weir_builder_printf(body, "],\"keepalive\":%zu,", weir_balance_idle_count(group));
    write_text(body, "zone", weir_balance_group_zone(group));
    weir_builder_add_byte(body, '}');
}

/* ---- tables */

void balance_show_server_head(weir_builder *body)
{
    weir_builder_printf(body, "%4s  %-28s %6s %9s %9s %12s %10s  %s\n", "ID", "SERVER", "WEIGHT",
                        "MAX_CONNS", "MAX_FAILS", "FAIL_TIMEOUT", "SLOW_START", "");
}

static void add_seconds(weir_builder *body, int width, uint64_t time_ms)
{
    weir_builder_printf(body, " %*.*fs", width - 1, time_ms % 1000 == 0 ? 0 : 3,
                        (double) time_ms / 1000);
}

void balance_show_server_line(weir_builder *body, uint64_t id, const weir_balance_server *server)
{
    weir_builder_printf(body, "%4llu  %-28.*s %6u %9u %9u", (unsigned long long) id,
                        WEIR_STR_ARG(server->name), server->weight, server->max_conns,
                        server->max_fails);
    add_seconds(body, 12, server->fail_timeout_ms);
    add_seconds(body, 10, server->slow_start_ms);
    weir_builder_printf(body, " %s%s%s", server->is_backup ? " backup" : "",
                        server->is_down ? " down" : "", server->is_draining ? " drain" : "");
    if (server->route.len != 0) {
        weir_builder_printf(body, " route=%.*s", WEIR_STR_ARG(server->route));
    }
    if (server->service.len != 0) {
        weir_builder_printf(body, " service=%.*s", WEIR_STR_ARG(server->service));
    }
    weir_builder_add_byte(body, '\n');
}

void balance_show_group_table(weir_builder *body, weir_balance_group *group)
{
    weir_str zone = weir_balance_group_zone(group);
    size_t count;
    const weir_balance_peer *peers = weir_balance_peers(group, &count);

    weir_builder_printf(body, "%s upstream %.*s", group->family->name, WEIR_STR_ARG(group->name));
    if (zone.len != 0) {
        weir_builder_printf(body, ", zone %.*s", WEIR_STR_ARG(zone));
    }
    weir_builder_printf(body, "\n%4s  %-28s %-9s %6s %7s %10s %7s %11s  %s\n", "ID", "SERVER",
                        "STATE", "WEIGHT", "ACTIVE", "REQUESTS", "FAILS", "BAD CHECKS", "");
    for (size_t i = 0; i < count; i++) {
        const weir_balance_peer *peer = &peers[i];
        weir_balance_report report = weir_balance_peer_report(peer, count == 1);

        weir_builder_printf(body, "%4llu  %-28.*s %-9s %6u %7llu %10llu %7llu %5llu/%-5llu%s\n",
                            (unsigned long long) peer->id, WEIR_STR_ARG(peer->text), report.state,
                            peer->weight, (unsigned long long) report.active,
                            (unsigned long long) report.requests, (unsigned long long) report.fails,
                            (unsigned long long) report.checks_failed,
                            (unsigned long long) report.checks, peer->is_backup ? "  backup" : "");
    }
}
