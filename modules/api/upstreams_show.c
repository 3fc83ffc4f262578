#include "modules/api/api_internal.h"

#include <time.h>

#include "core/base/clock.h"
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

static void write_server(weir_builder *body, uint64_t id, const weir_balance_server *server)
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
    weir_builder_printf(body, ",\"backup\":%s,\"down\":%s%s", true_or_false(server->is_backup),
                        true_or_false(server->is_down),
                        server->is_draining ? ",\"drain\":true" : "");
}

void api_show_server(weir_builder *body, uint64_t id, const weir_balance_server *server)
{
    write_server(body, id, server);
    weir_builder_add_byte(body, '}');
}

/* An address, as a server by itself. */
static weir_balance_server server_of(const weir_balance_peer *peer)
{
    return (weir_balance_server){
        .name = peer->text,
        .route = peer->route,
        .service = peer->service,
        .weight = peer->weight,
        .max_conns = peer->max_conns,
        .max_fails = peer->max_fails,
        .fail_timeout_ms = peer->fail_timeout_ms,
        .slow_start_ms = peer->slow_start_ms,
        .is_backup = peer->is_backup,
        .is_down = peer->is_down,
        .is_draining = peer->is_draining,
    };
}

void api_show_address(weir_builder *body, const weir_balance_peer *peer)
{
    const weir_balance_server server = server_of(peer);
    weir_str host;
    uint16_t port;

    if (!weir_addr_split(peer->name, 0, &host, &port)) {
        host = peer->name;
    }
    write_server(body, peer->id, &server);
    weir_builder_printf(body, ",\"parent\":%llu,", (unsigned long long) peer->parent);
    write_text(body, "host", host);
    weir_builder_add_byte(body, '}');
}

static void write_number(weir_builder *body, const char *name, uint64_t number)
{
    weir_builder_printf(body, ",\"%s\":%llu", name, (unsigned long long) number);
}

/* As in ISO 8601, with milliseconds; the time is monotonic. */
static void write_moment(weir_builder *body, const char *name, uint64_t then_ms)
{
    const weir_clock *now = weir_clock_now();
    int64_t wall_ms = now->wall_s * 1000 + now->wall_ms - (int64_t) (now->monotonic_ms - then_ms);
    time_t wall_s = (time_t) (wall_ms / 1000);
    struct tm at;
    char text[32];

    if (gmtime_r(&wall_s, &at) != NULL
        && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &at) != 0) {
        weir_builder_printf(body, ",\"%s\":\"%s.%03dZ\"", name, text, (int) (wall_ms % 1000));
    }
}

static void write_handshakes(weir_builder *body, const weir_balance_traffic *traffic)
{
    static const struct {
        const char *name;
        weir_tls_refusal refusal;
    } plain[] = {{"no_common_protocol", WEIR_TLS_REFUSAL_PROTOCOL},
                 {"handshake_timeout", WEIR_TLS_REFUSAL_TIMEOUT},
                 {"peer_rejected_cert", WEIR_TLS_REFUSAL_OURS}},
      verify[] = {{"expired_cert", WEIR_TLS_REFUSAL_EXPIRED},
                  {"revoked_cert", WEIR_TLS_REFUSAL_REVOKED},
                  {"hostname_mismatch", WEIR_TLS_REFUSAL_NAME},
                  {"other", WEIR_TLS_REFUSAL_CERTIFICATE}};
    uint64_t refused = 0;

    for (size_t i = 0; i < WEIR_COUNT(traffic->refused); i++) {
        refused += traffic->refused[i];
    }
    if (traffic->handshakes == 0 && refused == 0) {
        return;
    }
    weir_builder_printf(body, ",\"ssl\":{\"handshakes\":%llu",
                        (unsigned long long) traffic->handshakes);
    write_number(body, "handshakes_failed", refused);
    write_number(body, "session_reuses", traffic->resumed);
    for (size_t i = 0; i < WEIR_COUNT(plain); i++) {
        write_number(body, plain[i].name, traffic->refused[plain[i].refusal]);
    }
    weir_builder_add(body, WEIR_STR(",\"verify_failures\":{"));
    for (size_t i = 0; i < WEIR_COUNT(verify); i++) {
        weir_builder_printf(body, "%s\"%s\":%llu", i == 0 ? "" : ",", verify[i].name,
                            (unsigned long long) traffic->refused[verify[i].refusal]);
    }
    weir_builder_add(body, WEIR_STR("}}"));
}

static void write_responses(weir_builder *body, const weir_balance_traffic *traffic)
{
    uint64_t total = 0;

    weir_builder_add(body, WEIR_STR(",\"responses\":{"));
    for (size_t i = 0; i < WEIR_COUNT(traffic->responses); i++) {
        total += traffic->responses[i];
        weir_builder_printf(body, "\"%zuxx\":%llu,", i + 1,
                            (unsigned long long) traffic->responses[i]);
    }
    weir_builder_add(body, WEIR_STR("\"codes\":{"));
    for (size_t i = 0; i < traffic->code_count; i++) {
        weir_builder_printf(body, "%s\"%u\":%llu", i == 0 ? "" : ",", traffic->codes[i].status,
                            (unsigned long long) traffic->codes[i].count);
    }
    weir_builder_printf(body, "},\"total\":%llu}", (unsigned long long) total);
}

/* What the families call it. */
static void write_traffic(weir_builder *body, const weir_balance_family *family,
                          const weir_balance_traffic *traffic)
{
    bool has_responses = family->has_responses;

    write_number(body, has_responses ? "requests" : "connections", traffic->requests);
    if (has_responses) {
        write_responses(body, traffic);
    }
    write_number(body, "sent", traffic->sent);
    write_number(body, "received", traffic->received);
    if (!has_responses) {
        write_number(body, "connect_time", traffic->connect_us / 1000);
    }
    write_number(body, has_responses ? "header_time" : "first_byte_time", traffic->first_us / 1000);
    write_number(body, "response_time", traffic->last_us / 1000);
    if (traffic->selected_ms != 0) {
        write_moment(body, "selected", traffic->selected_ms);
    }
}

static void write_health(weir_builder *body, const weir_balance_report *report)
{
    write_number(body, "fails", report->fails);
    write_number(body, "unavail", report->unavailable);
    weir_builder_printf(
        body, ",\"health_checks\":{\"checks\":%llu,\"fails\":%llu,\"unhealthy\":%llu",
        (unsigned long long) report->checks, (unsigned long long) report->checks_failed,
        (unsigned long long) report->checks_fell);
    if (report->checks != 0) {
        weir_builder_printf(body, ",\"last_passed\":%s", true_or_false(report->last_check_passed));
    }
    weir_builder_add_byte(body, '}');
    write_number(body, "downtime", report->downtime_ms);
    if (report->down_ms != 0) {
        write_moment(body, "downstart", report->down_ms);
    }
}

static void write_peer(weir_builder *body, const weir_balance_group *group,
                       const weir_balance_peer *peer, bool is_alone)
{
    weir_balance_report report = weir_balance_peer_report(group, peer, is_alone);

    weir_builder_printf(body, "{\"id\":%llu,", (unsigned long long) peer->id);
    write_text(body, "server", peer->text);
    if (peer->service.len != 0) {
        weir_builder_add_byte(body, ',');
        write_text(body, "service", peer->service);
    }
    weir_builder_add_byte(body, ',');
    write_text(body, "name", peer->name);
    weir_builder_printf(body, ",\"backup\":%s,\"weight\":%u,\"state\":\"%s\"",
                        true_or_false(peer->is_backup), peer->weight, report.state);
    write_number(body, "active", report.active);
    if (peer->max_conns != 0) {
        write_number(body, "max_conns", peer->max_conns);
    }
    write_handshakes(body, &report.traffic);
    write_traffic(body, weir_balance_group_family(group), &report.traffic);
    write_health(body, &report);
    weir_builder_add_byte(body, '}');
}

static void write_peers(weir_builder *body, weir_balance_group *group)
{
    size_t count;
    const weir_balance_peer *peers = weir_balance_peers(group, &count);

    weir_builder_add(body, WEIR_STR("\"peers\":["));
    for (size_t i = 0; i < count; i++) {
        if (i != 0) {
            weir_builder_add_byte(body, ',');
        }
        write_peer(body, group, &peers[i], count == 1);
    }
    weir_builder_add_byte(body, ']');
}

void api_show_group(weir_builder *body, weir_balance_group *group, const weir_str *fields)
{
    weir_balance_group_report report = weir_balance_report_group(group);
    const char *separator = "";

    weir_builder_add_byte(body, '{');
    if (api_member_begin(body, fields, "peers", &separator)) {
        write_peers(body, group);
    }
    if (api_member_begin(body, fields, "keepalive", &separator)) {
        weir_builder_printf(body, "\"keepalive\":%llu", (unsigned long long) report.idle);
    }
    if (api_member_begin(body, fields, "zombies", &separator)) {
        weir_builder_printf(body, "\"zombies\":%llu", (unsigned long long) report.zombies);
    }
    if (report.has_queue && api_member_begin(body, fields, "queue", &separator)) {
        weir_builder_printf(body, "\"queue\":{\"size\":%llu,\"max_size\":%llu,\"overflows\":%llu}",
                            (unsigned long long) report.queued,
                            (unsigned long long) report.queue_max,
                            (unsigned long long) report.queue_overflows);
    }
    if (api_member_begin(body, fields, "zone", &separator)) {
        write_text(body, "zone", weir_balance_group_zone(group));
    }
    weir_builder_add_byte(body, '}');
}

/* ---- tables */

void api_show_server_head(weir_builder *body)
{
    weir_builder_printf(body, "%4s  %-28s %6s %9s %9s %12s %10s  %s\n", "ID", "SERVER", "WEIGHT",
                        "MAX_CONNS", "MAX_FAILS", "FAIL_TIMEOUT", "SLOW_START", "");
}

static void add_seconds(weir_builder *body, int width, uint64_t time_ms)
{
    weir_builder_printf(body, " %*.*fs", width - 1, time_ms % 1000 == 0 ? 0 : 3,
                        (double) time_ms / 1000);
}

static void add_server(weir_builder *body, uint64_t id, const weir_balance_server *server)
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
}

void api_show_server_line(weir_builder *body, uint64_t id, const weir_balance_server *server)
{
    add_server(body, id, server);
    weir_builder_add_byte(body, '\n');
}

void api_show_address_line(weir_builder *body, const weir_balance_peer *peer)
{
    const weir_balance_server server = server_of(peer);

    add_server(body, peer->id, &server);
    weir_builder_printf(body, " of %llu\n", (unsigned long long) peer->parent);
}

void api_show_group_table(weir_builder *body, weir_balance_group *group)
{
    weir_str zone = weir_balance_group_zone(group);
    size_t count;
    const weir_balance_peer *peers = weir_balance_peers(group, &count);

    weir_builder_printf(body, "%s upstream %.*s", weir_balance_group_family(group)->name,
                        WEIR_STR_ARG(weir_balance_group_name(group)));
    if (zone.len != 0) {
        weir_builder_printf(body, ", zone %.*s", WEIR_STR_ARG(zone));
    }
    weir_builder_printf(body, "\n%4s  %-28s %-9s %6s %7s %10s %7s %11s  %s\n", "ID", "SERVER",
                        "STATE", "WEIGHT", "ACTIVE", "REQUESTS", "FAILS", "BAD CHECKS", "");
    for (size_t i = 0; i < count; i++) {
        const weir_balance_peer *peer = &peers[i];
        weir_balance_report report = weir_balance_peer_report(group, peer, count == 1);

        weir_builder_printf(
            body, "%4llu  %-28.*s %-9s %6u %7llu %10llu %7llu %5llu/%-5llu%s\n",
            (unsigned long long) peer->id, WEIR_STR_ARG(peer->text), report.state, peer->weight,
            (unsigned long long) report.active, (unsigned long long) report.traffic.requests,
            (unsigned long long) report.fails, (unsigned long long) report.checks_failed,
            (unsigned long long) report.checks, peer->is_backup ? "  backup" : "");
    }
}
