/*
 * api: shows upstream groups, and changes them, in the shape of NGINX Plus' REST API.
 *
 *     location /api { api write=on; allow 127.0.0.1; deny all; }
 *
 *     GET            /api/9/http/upstreams[/NAME[/servers[/ID]]]
 *     POST           /api/9/http/upstreams/NAME/servers
 *     PATCH, DELETE  /api/9/http/upstreams/NAME/servers/ID
 *
 * and the same under /stream.  A change is answered once all workers see it at their next pick.
 */

#include "modules/balance/balance.h"
#include "core/base/json.h"
#include "modules/http/engine/core_conf.h"

#include "core/base/number.h"
#include "core/process/worker.h"

#define VERSIONS "[1,2,3,4,5,6,7,8,9]"
#define VERSION_MAX 9

static const weir_balance_family api_families[] = {{.name = "http", .default_port = 80},
                                                   {.name = "stream"}};

typedef struct {
    bool is_on, writes;
} api_conf;

typedef struct {
    weir_http_exchange *ex;
    weir_http_hold hold;
    weir_balance_change change;
    weir_str group_path; /* for Location */
    bool is_waiting;     /* the engine was told so: the response is given to it by hand */
    bool is_checked;
} api_state;

extern const weir_http_module weir_http_api;

/* ---- answers */

static weir_http_verdict answer(api_state *self, unsigned status, weir_str text)
{
    weir_http_exchange *ex = self->ex;

    if (!weir_http_fields_add(&ex->response.fields, WEIR_HTTP_CACHE_CONTROL,
                              WEIR_STR("no-store"))) {
        return WEIR_HTTP_FAILED;
    }
    (void) weir_http_answer_text(ex, status, WEIR_STR("application/json"), text);
    if (self->is_waiting) {
        weir_http_respond(ex);
    }
    return WEIR_HTTP_ANSWERED;
}

static weir_http_verdict refuse(api_state *self, unsigned status, const char *code, weir_str text)
{
    weir_builder body;
    weir_str json;

    weir_builder_open(&body, self->ex->pool, SIZE_MAX);
    weir_builder_printf(&body, "{\"error\":{\"status\":%u,\"text\":", status);
    weir_json_write_string(&body, text);
    weir_builder_printf(&body, ",\"code\":\"%s\"}}\n", code);
    return weir_builder_close(&body, &json) ? answer(self, status, json) : WEIR_HTTP_FAILED;
}

static weir_http_verdict path_not_found(api_state *self)
{
    return refuse(self, 404, "PathNotFound", WEIR_STR("path not found"));
}

static weir_http_verdict method_not_allowed(api_state *self)
{
    return refuse(self, 405, "MethodDisabled", WEIR_STR("method disabled"));
}

static weir_http_verdict built(api_state *self, weir_builder *body)
{
    weir_str text;

    weir_builder_add_byte(body, '\n');
    return weir_builder_close(body, &text) ? answer(self, 200, text) : WEIR_HTTP_FAILED;
}

static void write_text(weir_builder *body, const char *name, weir_str text)
{
    weir_builder_printf(body, "\"%s\":", name);
    weir_json_write_string(body, text);
}

/* ---- servers, as they are configured or were changed */

static void write_server(weir_builder *body, uint64_t id, const weir_balance_server *server)
{
    weir_builder_printf(body, "{\"id\":%llu,", (unsigned long long) id);
    write_text(body, "server", server->name);
    weir_builder_printf(
        body,
        ",\"weight\":%u,\"max_conns\":%u,\"max_fails\":%u,\"fail_timeout\":\"%llus\","
        "\"slow_start\":\"%llus\",",
        server->weight, server->max_conns, server->max_fails,
        (unsigned long long) (server->fail_timeout_ms / 1000),
        (unsigned long long) (server->slow_start_ms / 1000));
    write_text(body, "route", server->route);
    if (server->service.len != 0) {
        weir_builder_add_byte(body, ',');
        write_text(body, "service", server->service);
    }
    weir_builder_printf(body, ",\"backup\":%s,\"down\":%s%s}", server->is_backup ? "true" : "false",
                        server->is_down ? "true" : "false",
                        server->is_draining ? ",\"drain\":true" : "");
}

static bool server_find(const weir_balance_group *group, uint64_t wanted,
                        weir_balance_server *server)
{
    size_t position = 0;
    uint64_t id;

    while (weir_balance_server_next(group, &position, &id, server)) {
        if (id == wanted) {
            return true;
        }
    }
    return false;
}

static weir_http_verdict show_servers(api_state *self, const weir_balance_group *group)
{
    weir_builder body;
    size_t position = 0;
    uint64_t id;
    weir_balance_server server;
    const char *separator = "";

    weir_builder_open(&body, self->ex->pool, SIZE_MAX);
    weir_builder_add_byte(&body, '[');
    while (weir_balance_server_next(group, &position, &id, &server)) {
        weir_builder_add(&body, weir_str_from_z(separator));
        write_server(&body, id, &server);
        separator = ",";
    }
    weir_builder_add_byte(&body, ']');
    return built(self, &body);
}

static weir_http_verdict show_server(api_state *self, const weir_balance_group *group, uint64_t id,
                                     unsigned status)
{
    weir_builder body;
    weir_str text;
    weir_balance_server server;

    if (!server_find(group, id, &server)) {
        return refuse(self, 404, "UpstreamServerNotFound", WEIR_STR("upstream server not found"));
    }
    weir_builder_open(&body, self->ex->pool, SIZE_MAX);
    write_server(&body, id, &server);
    weir_builder_add_byte(&body, '\n');
    return weir_builder_close(&body, &text) ? answer(self, status, text) : WEIR_HTTP_FAILED;
}

/* ---- peers, as they are */

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
        peer->is_backup ? "true" : "false", peer->weight, report.state,
        (unsigned long long) report.active, peer->max_conns, (unsigned long long) report.requests,
        (unsigned long long) report.fails, (unsigned long long) report.unavailable,
        (unsigned long long) report.checks, (unsigned long long) report.checks_failed,
        (unsigned long long) report.checks_fell, (unsigned long long) report.first_ms,
        (unsigned long long) report.last_ms);
}

static void write_group(weir_builder *body, weir_balance_group *group)
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

static weir_http_verdict show_groups(api_state *self, const weir_balance_family *family)
{
    const weir_cycle *cycle = weir_worker_current()->cycle;
    weir_balance_group *group;
    weir_builder body;
    const char *separator = "";

    weir_builder_open(&body, self->ex->pool, SIZE_MAX);
    weir_builder_add_byte(&body, '{');
    for (size_t i = 0; (group = weir_balance_group_at(cycle, family, i)) != NULL; i++) {
        if (weir_balance_group_is_named(group)) {
            weir_builder_add(&body, weir_str_from_z(separator));
            weir_json_write_string(&body, weir_balance_group_name(group));
            weir_builder_add_byte(&body, ':');
            write_group(&body, group);
            separator = ",";
        }
    }
    weir_builder_add_byte(&body, '}');
    return built(self, &body);
}

static weir_http_verdict show_group(api_state *self, weir_balance_group *group)
{
    weir_builder body;

    weir_builder_open(&body, self->ex->pool, SIZE_MAX);
    write_group(&body, group);
    return built(self, &body);
}

/* ---- changes */

static weir_http_verdict settled(api_state *self)
{
    weir_http_exchange *ex = self->ex;
    weir_builder location;
    weir_str text;

    switch (self->change.outcome) {
    case WEIR_BALANCE_CHANGE_DONE:
        break;
    case WEIR_BALANCE_CHANGE_EXISTS:
        return refuse(self, 409, "UpstreamServerExists", WEIR_STR("the server is there already"));
    case WEIR_BALANCE_CHANGE_NO_SERVER:
        return refuse(self, 404, "UpstreamServerNotFound", WEIR_STR("upstream server not found"));
    case WEIR_BALANCE_CHANGE_NO_ROOM:
        return refuse(self, 507, "UpstreamZoneFull", WEIR_STR("the zone has no room for it"));
    case WEIR_BALANCE_CHANGE_NO_KEEPER:
        return refuse(self, 503, "KeeperBusy", WEIR_STR("the keeper did not answer in time"));
    case WEIR_BALANCE_CHANGE_NOT_KEPT:
        return refuse(self, 500, "UpstreamStateFailed",
                      WEIR_STR("it is changed, but the state file cannot be written"));
    }
    if (self->change.op == WEIR_BALANCE_REMOVE) {
        return show_servers(self, self->change.group);
    }
    if (self->change.op == WEIR_BALANCE_PATCH) {
        return show_server(self, self->change.group, self->change.id, 200);
    }
    weir_builder_open(&location, ex->pool, SIZE_MAX);
    weir_builder_printf(&location, "%.*s/%llu", WEIR_STR_ARG(self->group_path),
                        (unsigned long long) self->change.id);
    if (!weir_builder_close(&location, &text)
        || !weir_http_fields_add(&ex->response.fields, WEIR_HTTP_LOCATION_FIELD, text)) {
        return WEIR_HTTP_FAILED;
    }
    return show_server(self, self->change.group, self->change.id, 201);
}

static void change_done(weir_balance_change *change)
{
    api_state *self = WEIR_OWNER(change, api_state, change);

    weir_http_hold_drop(self->ex, &self->hold);
    self->is_waiting = true;
    if (settled(self) == WEIR_HTTP_FAILED) {
        weir_http_respond_status(self->ex, 500, "no memory");
    }
}

static void change_cancel(weir_http_exchange *ex, weir_http_hold *hold)
{
    api_state *self = WEIR_OWNER(hold, api_state, hold);

    (void) ex;
    weir_balance_change_cancel(&self->change);
}

static weir_http_verdict change_begin(api_state *self)
{
    self->change.done = change_done;
    if (!weir_balance_change_begin(&self->change)) {
        return refuse(self, 503, "KeeperBusy", WEIR_STR("too many changes at once"));
    }
    weir_http_hold_add(self->ex, &self->hold, "api", change_cancel);
    return WEIR_HTTP_WAITING;
}

/* ---- what a body says */

typedef struct {
    api_state *self;
    char why[160];
    bool has_server;
} api_reading;

static bool bad_member(api_reading *reading, const weir_json_member *member, const char *what)
{
    weir_builder text;

    weir_builder_over(&text, reading->why, sizeof(reading->why) - 1);
    weir_builder_printf(&text, "%s \"%.*s\"", what, WEIR_STR_ARG(member->name));
    reading->why[weir_builder_cut(&text).len] = '\0';
    return false;
}

static bool flag_take(api_reading *reading, const weir_json_member *member)
{
    weir_balance_change *change = &reading->self->change;
    bool is_true = weir_str_eq(member->text, WEIR_STR("true"));

    if (member->kind != WEIR_JSON_BOOL) {
        return bad_member(reading, member, "invalid value of");
    }
    if (weir_str_eq(member->name, WEIR_STR("down"))) {
        change->server.is_down = is_true;
        change->mask |= WEIR_BALANCE_HAS_DOWN;
    } else if (weir_str_eq(member->name, WEIR_STR("drain"))) {
        change->server.is_draining = is_true;
        change->mask |= WEIR_BALANCE_HAS_DRAIN;
    } else if (change->op == WEIR_BALANCE_ADD) {
        change->server.is_backup = is_true;
    } else {
        return bad_member(reading, member, "this cannot be changed:");
    }
    return true;
}

/* Numbers and times, as `server` takes them. */
static bool parameter_take(api_reading *reading, const weir_json_member *member)
{
    static const struct {
        const char *name;
        unsigned mask;
    } known[] = {
        {"weight", WEIR_BALANCE_HAS_WEIGHT},
        {"max_conns", WEIR_BALANCE_HAS_MAX_CONNS},
        {"max_fails", WEIR_BALANCE_HAS_MAX_FAILS},
        {"fail_timeout", WEIR_BALANCE_HAS_FAIL_TIMEOUT},
        {"slow_start", WEIR_BALANCE_HAS_SLOW_START},
        {"route", 0},
        {"service", 0},
    };
    weir_balance_change *change = &reading->self->change;
    weir_builder parameter;
    weir_str text;

    for (size_t i = 0; i < WEIR_COUNT(known); i++) {
        if (!weir_str_eq(member->name, weir_str_from_z(known[i].name))) {
            continue;
        }
        if (known[i].mask == 0 && change->op != WEIR_BALANCE_ADD) {
            return bad_member(reading, member, "this cannot be changed:");
        }
        change->mask |= known[i].mask;
        weir_builder_open(&parameter, reading->self->ex->pool, 1024);
        weir_builder_add(&parameter, member->name);
        weir_builder_add_byte(&parameter, '=');
        weir_builder_add(&parameter, member->text);
        return (member->kind != WEIR_JSON_BOOL && weir_builder_close(&parameter, &text)
                && weir_balance_server_parameter(&change->server, text))
               || bad_member(reading, member, "invalid value of");
    }
    return bad_member(reading, member, "unknown parameter");
}

/* A name of a state file's, and of a log's: nothing that could end a line or a statement. */
static bool name_is_good(weir_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        if ((unsigned char) name.data[i] <= ' ' || name.data[i] == 0x7f || name.data[i] == ';'
            || name.data[i] == '"' || name.data[i] == '{' || name.data[i] == '}') {
            return false;
        }
    }
    return name.len != 0 && name.len <= WEIR_BALANCE_NAME_MAX;
}

static bool member_take(const weir_json_member *member, void *subject)
{
    api_reading *reading = subject;
    weir_balance_change *change = &reading->self->change;

    if (weir_str_eq(member->name, WEIR_STR("down")) || weir_str_eq(member->name, WEIR_STR("drain"))
        || weir_str_eq(member->name, WEIR_STR("backup"))) {
        return flag_take(reading, member);
    }
    if (!weir_str_eq(member->name, WEIR_STR("server"))) {
        return parameter_take(reading, member);
    }
    if (change->op != WEIR_BALANCE_ADD) {
        return bad_member(reading, member, "this cannot be changed:");
    }
    reading->has_server = true;
    change->server.name = member->text;
    return (member->kind == WEIR_JSON_STRING && name_is_good(member->text))
           || bad_member(reading, member, "invalid value of");
}

/* Addresses, or names that are looked up from then on. */
static const char *server_check(weir_balance_change *change)
{
    weir_addr addr;

    if (change->op != WEIR_BALANCE_ADD) {
        return NULL;
    }
    if (weir_addr_parse(change->server.name, 1, &addr)) {
        return change->server.service.len != 0 ? "service requires a domain name" : NULL;
    }
    change->server.is_resolved = true;
    return weir_balance_name_is_good(change->group, &change->server)
               ? NULL
               : "no address, and no name with a port";
}

static weir_http_verdict body_take(api_state *self)
{
    weir_http_exchange *ex = self->ex;
    api_reading reading = {.self = self};
    const char *why = NULL;
    weir_str text;

    if (!weir_chain_join(&ex->request.body, ex->pool, &text)) {
        return WEIR_HTTP_FAILED;
    }
    weir_balance_server_begin(&self->change.server);
    if (!weir_json_object_read(text, ex->pool, member_take, &reading, &why)) {
        return refuse(self, why != NULL ? 415 : 400,
                      why != NULL ? "JsonError" : "UpstreamConfFormatError",
                      weir_str_from_z(why != NULL ? why : reading.why));
    }
    if (self->change.op == WEIR_BALANCE_ADD && !reading.has_server) {
        return refuse(self, 400, "UpstreamConfFormatError",
                      WEIR_STR("missing \"server\" argument"));
    }
    why = server_check(&self->change);
    if (why != NULL) {
        return refuse(self, 400, "UpstreamBadAddress", weir_str_from_z(why));
    }
    return change_begin(self);
}

static void body_collected(weir_http_exchange *ex)
{
    api_state *self = weir_http_state_find(ex, &weir_http_api);

    self->is_waiting = true;
    if (body_take(self) == WEIR_HTTP_FAILED) {
        weir_http_respond_status(ex, 500, "no memory");
    }
}

static weir_http_verdict change_by_body(api_state *self)
{
    weir_str type = weir_http_fields_value(&self->ex->request.fields, WEIR_HTTP_CONTENT_TYPE);
    weir_str media;

    /* A form of another site cannot say so without asking first. */
    if (!weir_str_split(&type, ';', &media)
        || !weir_str_eq_nocase(weir_str_trim(media), WEIR_STR("application/json"))) {
        return refuse(self, 415, "JsonError", WEIR_STR("the body must be application/json"));
    }
    switch (weir_http_collect_body(self->ex, body_collected)) {
    case WEIR_OK:
        break;
    case WEIR_WAIT:
        return WEIR_HTTP_WAITING;
    case WEIR_FAIL:
        return WEIR_HTTP_ANSWERED;
    }
    return body_take(self);
}

/* ---- where a request goes */

static weir_http_verdict server_route(api_state *self, weir_balance_group *group, weir_str id)
{
    weir_http_method method = self->ex->request.method;
    const api_conf *conf = weir_http_settings(self->ex, &weir_http_api);

    if (!weir_parse_uint(id, INT64_MAX, &self->change.id)) {
        return refuse(self, 400, "UpstreamBadServerId", WEIR_STR("invalid server ID"));
    }
    if (method == WEIR_HTTP_GET || method == WEIR_HTTP_HEAD) {
        return show_server(self, group, self->change.id, 200);
    }
    if (!conf->writes) {
        return method_not_allowed(self);
    }
    if (method == WEIR_HTTP_DELETE) {
        self->change.op = WEIR_BALANCE_REMOVE;
        return change_begin(self);
    }
    if (method != WEIR_HTTP_PATCH) {
        return method_not_allowed(self);
    }
    self->change.op = WEIR_BALANCE_PATCH;
    return change_by_body(self);
}

static weir_http_verdict servers_route(api_state *self, weir_balance_group *group, weir_str id)
{
    weir_http_method method = self->ex->request.method;
    const api_conf *conf = weir_http_settings(self->ex, &weir_http_api);

    self->change.group = group;
    if (id.len != 0) {
        return server_route(self, group, id);
    }
    if (method == WEIR_HTTP_GET || method == WEIR_HTTP_HEAD) {
        return show_servers(self, group);
    }
    if (method != WEIR_HTTP_POST || !conf->writes) {
        return method_not_allowed(self);
    }
    self->change.op = WEIR_BALANCE_ADD;
    self->group_path = self->ex->request.path;
    while (weir_str_ends(self->group_path, WEIR_STR("/"))) {
        self->group_path.len--;
    }
    return change_by_body(self);
}

static weir_http_verdict family_route(api_state *self, const weir_balance_family *family,
                                      weir_str rest)
{
    weir_http_method method = self->ex->request.method;
    bool only_reads = method == WEIR_HTTP_GET || method == WEIR_HTTP_HEAD;
    weir_str part = WEIR_STR_EMPTY;
    weir_balance_group *group;

    if (!weir_str_split(&rest, '/', &part) || part.len == 0) {
        return only_reads ? answer(self, 200, WEIR_STR("[\"upstreams\"]\n"))
                          : method_not_allowed(self);
    }
    if (!weir_str_eq(part, WEIR_STR("upstreams"))) {
        return path_not_found(self);
    }
    if (!weir_str_split(&rest, '/', &part) || part.len == 0) {
        return only_reads ? show_groups(self, family) : method_not_allowed(self);
    }
    group = weir_balance_group_of_cycle(weir_worker_current()->cycle, family, part);
    if (group == NULL) {
        return refuse(self, 404, "UpstreamNotFound", WEIR_STR("upstream not found"));
    }
    if (!weir_str_split(&rest, '/', &part) || part.len == 0) {
        return only_reads ? show_group(self, group) : method_not_allowed(self);
    }
    return weir_str_eq(part, WEIR_STR("servers")) ? servers_route(self, group, rest)
                                                  : path_not_found(self);
}

/* A page of another site must not work here in its reader's name. */
static bool is_cross_origin(const weir_http_exchange *ex)
{
    const weir_http_field *site =
        weir_http_fields_find_text(&ex->request.fields, WEIR_STR("sec-fetch-site"));
    const weir_http_field *origin =
        weir_http_fields_find_text(&ex->request.fields, WEIR_STR("origin"));
    const char *host;

    if (site != NULL && !weir_str_eq(site->value, WEIR_STR("same-origin"))
        && !weir_str_eq(site->value, WEIR_STR("none"))) {
        return true;
    }
    if (origin == NULL) {
        return false;
    }
    host = weir_str_find(origin->value, WEIR_STR("://"));
    return host == NULL
           || !weir_str_eq_nocase(
               weir_str_from(origin->value, (size_t) (host - origin->value.data) + 3),
               ex->request.host_port);
}

static weir_http_verdict api_judge(weir_http_exchange *ex, const void *location)
{
    api_state *self = weir_http_state(ex, &weir_http_api, sizeof(*self));
    weir_str rest = ex->request.path;
    weir_str part = WEIR_STR_EMPTY;
    uint64_t version;

    (void) location;
    if (self == NULL) {
        return WEIR_HTTP_FAILED;
    }
    self->ex = ex;
    if (is_cross_origin(ex)) {
        return refuse(self, 403, "CrossOrigin", WEIR_STR("requests of other sites are refused"));
    }
    if (weir_str_starts(rest, ex->location->name)) {
        rest = weir_str_from(rest, ex->location->name.len);
    }
    while (weir_str_starts(rest, WEIR_STR("/"))) {
        rest = weir_str_from(rest, 1);
    }
    if (!weir_str_split(&rest, '/', &part) || part.len == 0) {
        return answer(self, 200, WEIR_STR(VERSIONS "\n"));
    }
    if (!weir_parse_uint(part, VERSION_MAX, &version) || version == 0) {
        return refuse(self, 404, "UnknownVersion", WEIR_STR("unknown version"));
    }
    if (!weir_str_split(&rest, '/', &part) || part.len == 0) {
        return answer(self, 200, WEIR_STR("[\"http\",\"stream\"]\n"));
    }
    for (size_t i = 0; i < WEIR_COUNT(api_families); i++) {
        if (weir_str_eq(part, weir_str_from_z(api_families[i].name))) {
            return family_route(self, &api_families[i], rest);
        }
    }
    return path_not_found(self);
}

static bool api_applies(const void *location)
{
    return ((const api_conf *) location)->is_on;
}

/* ---- api [write=on|off] */

static bool *api_writes(weir_conf *conf)
{
    static const char key;
    bool *writes = weir_conf_kept(conf, &key);

    if (writes == NULL) {
        writes = WEIR_NEW(weir_conf_pool(conf), bool);
        if (writes == NULL || !weir_conf_keep(conf, &key, writes)) {
            weir_conf_refuse(conf, "no memory for \"api\"");
            return NULL;
        }
    }
    return writes;
}

static bool api_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    api_conf *api = settings;
    bool *writes = api_writes(conf);
    weir_str value;

    api->is_on = true;
    api->writes = false;
    if (writes == NULL) {
        return false;
    }
    if (statement->count == 1) {
        return true;
    }
    if (!weir_conf_parameter(statement->args[1], "write=", &value)
        || (!weir_str_eq(value, WEIR_STR("on")) && !weir_str_eq(value, WEIR_STR("off")))) {
        return weir_conf_refuse_arg(conf, statement, 1, "invalid parameter \"%.*s\"",
                                    WEIR_STR_ARG(statement->args[1]));
    }
    api->writes = weir_str_eq(value, WEIR_STR("on"));
    *writes |= api->writes;
    return true;
}

static bool api_configured(weir_conf *conf)
{
    const bool *writes = api_writes(conf);

    if (writes == NULL || !*writes) {
        return writes != NULL;
    }
    for (size_t i = 0; i < WEIR_COUNT(api_families); i++) {
        if (!weir_balance_control_enable(conf, &api_families[i])) {
            return false;
        }
    }
    return true;
}

static const weir_directive api_directives[] = {
    {
        .name = "api",
        .where = WEIR_HTTP_LOCATION,
        .takes = WEIR_TAKES(0, 1),
        .slot = WEIR_SLOT_CALL(api_conf, is_on, api_call),
        .inherit = WEIR_INHERIT_NONE,
        .syntax = "[write=on|off]",
        .doc = "Shows upstream groups as JSON, and has them changed.",
    },
    {0},
};

const weir_http_module weir_http_api = {
    .name = "http_api",
    .directives = api_directives,
    .conf_size = sizeof(api_conf),
    .configured = api_configured,
    .phases = 1u << WEIR_HTTP_PHASE_CONTENT,
    .judge = api_judge,
    .applies = api_applies,
};
