#include "modules/api/api_internal.h"

#include "core/base/json.h"
#include "core/base/number.h"
#include "core/process/worker.h"

/* Upstream groups and their servers.  A change waits for the keeper. */

static weir_api_step no_server(weir_api_call *call)
{
    return weir_api_call_refuse(call, 404, "UpstreamServerNotFound",
                                WEIR_STR("upstream server not found"));
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

/* The addresses of servers whose names are looked up. */
static const weir_balance_peer *address_next(weir_balance_group *group, size_t *position)
{
    size_t count;
    const weir_balance_peer *peers = weir_balance_peers(group, &count);

    while (*position < count) {
        const weir_balance_peer *peer = &peers[(*position)++];

        if (peer->parent != UINT64_MAX) {
            return peer;
        }
    }
    return NULL;
}

static const weir_balance_peer *address_find(weir_balance_group *group, uint64_t id)
{
    size_t position = 0;
    const weir_balance_peer *peer;

    do {
        peer = address_next(group, &position);
    } while (peer != NULL && peer->id != id);
    return peer;
}

static weir_api_step show_servers(weir_api_call *call, weir_balance_group *group)
{
    weir_builder body;
    size_t position = 0;
    uint64_t id;
    weir_balance_server server;
    const weir_balance_peer *address;
    const char *separator = "";

    weir_builder_open(&body, call->pool, SIZE_MAX);
    if (call->is_for_people) {
        api_show_server_head(&body);
        while (weir_balance_server_next(group, &position, &id, &server)) {
            api_show_server_line(&body, id, &server);
        }
        position = 0;
        while ((address = address_next(group, &position)) != NULL) {
            api_show_address_line(&body, address);
        }
        return api_answer(call, 200, &body);
    }
    weir_builder_add_byte(&body, '[');
    while (weir_balance_server_next(group, &position, &id, &server)) {
        weir_builder_add(&body, weir_str_from_z(separator));
        api_show_server(&body, id, &server);
        separator = ",";
    }
    position = 0;
    while ((address = address_next(group, &position)) != NULL) {
        weir_builder_add(&body, weir_str_from_z(separator));
        api_show_address(&body, address);
        separator = ",";
    }
    weir_builder_add(&body, WEIR_STR("]\n"));
    return api_answer(call, 200, &body);
}

static weir_api_step show_server(weir_api_call *call, weir_balance_group *group, uint64_t id,
                                 unsigned status)
{
    weir_builder body;
    weir_balance_server server;
    bool is_server = server_find(group, id, &server);
    const weir_balance_peer *address = is_server ? NULL : address_find(group, id);

    if (!is_server && address == NULL) {
        return no_server(call);
    }
    weir_builder_open(&body, call->pool, SIZE_MAX);
    if (call->is_for_people) {
        api_show_server_head(&body);
    }
    if (is_server) {
        (call->is_for_people ? api_show_server_line : api_show_server)(&body, id, &server);
    } else {
        (call->is_for_people ? api_show_address_line : api_show_address)(&body, address);
    }
    weir_builder_add(&body, call->is_for_people ? WEIR_STR_EMPTY : WEIR_STR("\n"));
    return api_answer(call, status, &body);
}

static weir_api_step show_names(weir_api_call *call, const weir_balance_family *family)
{
    const weir_cycle *cycle = weir_worker_current()->cycle;
    weir_balance_group *group;
    weir_builder body;
    const char *separator = "[";

    weir_builder_open(&body, call->pool, SIZE_MAX);
    for (size_t i = 0; (group = weir_balance_group_at(cycle, family, i)) != NULL; i++) {
        if (weir_balance_group_is_named(group)) {
            weir_builder_add(&body, weir_str_from_z(separator));
            weir_json_write_string(&body, weir_balance_group_name(group));
            separator = ",";
        }
    }
    weir_builder_add(&body, separator[0] == '[' ? WEIR_STR("[]\n") : WEIR_STR("]\n"));
    return api_answer(call, 200, &body);
}

static weir_api_step show_groups(weir_api_call *call, const weir_balance_family *family)
{
    const weir_cycle *cycle = weir_worker_current()->cycle;
    weir_balance_group *group;
    weir_builder body;
    const char *separator = "";

    if (call->fields != NULL && call->fields->len == 0) {
        return show_names(call, family);
    }
    weir_builder_open(&body, call->pool, SIZE_MAX);
    weir_builder_add(&body, call->is_for_people ? WEIR_STR_EMPTY : WEIR_STR("{"));
    for (size_t i = 0; (group = weir_balance_group_at(cycle, family, i)) != NULL; i++) {
        if (!weir_balance_group_is_named(group)) {
            continue;
        }
        weir_builder_add(&body, weir_str_from_z(separator));
        if (call->is_for_people) {
            api_show_group_table(&body, group);
            separator = "\n";
        } else {
            weir_json_write_string(&body, weir_balance_group_name(group));
            weir_builder_add_byte(&body, ':');
            api_show_group(&body, group, call->fields);
            separator = ",";
        }
    }
    weir_builder_add(&body, call->is_for_people ? WEIR_STR_EMPTY : WEIR_STR("}\n"));
    return api_answer(call, 200, &body);
}

static weir_api_step show_group(weir_api_call *call, weir_balance_group *group)
{
    weir_builder body;

    weir_builder_open(&body, call->pool, SIZE_MAX);
    if (call->is_for_people) {
        api_show_group_table(&body, group);
    } else {
        api_show_group(&body, group, call->fields);
        weir_builder_add_byte(&body, '\n');
    }
    return api_answer(call, 200, &body);
}

/* ---- changes */

/* With the group's name in it, as in NGINX Plus. */
static weir_api_step refuse_group(weir_api_call *call, const char *code, const char *what)
{
    weir_builder text;
    weir_str made;

    weir_builder_open(&text, call->pool, 1024);
    weir_builder_printf(&text, "upstream \"%.*s\" %s",
                        WEIR_STR_ARG(weir_balance_group_name(call->change.group)), what);
    return weir_api_call_refuse(call, 400, code,
                                weir_builder_close(&text, &made) ? made : weir_str_from_z(what));
}

static weir_api_step settled(weir_api_call *call)
{
    switch (call->change.outcome) {
    case WEIR_BALANCE_CHANGE_DONE:
        break;
    case WEIR_BALANCE_CHANGE_EXISTS:
        return weir_api_call_refuse(call, 409, "EntryExists",
                                    WEIR_STR("the server is there already"));
    case WEIR_BALANCE_CHANGE_NO_SERVER:
        return no_server(call);
    case WEIR_BALANCE_CHANGE_NO_ROOM:
        return refuse_group(call, "UpstreamOutOfMemory", "memory exhausted");
    case WEIR_BALANCE_CHANGE_NO_BACKUP:
        return refuse_group(call, "UpstreamNoBackup", "has no backup");
    case WEIR_BALANCE_CHANGE_IMMUTABLE:
        return weir_api_call_refuse(
            call, 400, "UpstreamServerImmutable",
            call->change.op == WEIR_BALANCE_REMOVE
                ? WEIR_STR("an address of a name is removed by DNS, or with its name")
                : WEIR_STR("the address of a name cannot be changed"));
    case WEIR_BALANCE_CHANGE_WEIGHT_IMMUTABLE:
        return weir_api_call_refuse(call, 400, "UpstreamServerWeightImmutable",
                                    WEIR_STR("the weight comes with the service, from DNS"));
    case WEIR_BALANCE_CHANGE_NO_KEEPER:
        return weir_api_call_refuse(call, 503, "KeeperBusy",
                                    WEIR_STR("the keeper did not answer in time"));
    case WEIR_BALANCE_CHANGE_NOT_KEPT:
        return weir_api_call_refuse(
            call, 500, "UpstreamStateFailed",
            WEIR_STR("it is changed, but the state file cannot be written"));
    }
    return call->change.op == WEIR_BALANCE_REMOVE
               ? show_servers(call, call->change.group)
               : show_server(call, call->change.group, call->change.id,
                             call->change.op == WEIR_BALANCE_ADD ? 201 : 200);
}

static void change_done(weir_balance_change *change)
{
    weir_api_call *call = WEIR_OWNER(change, weir_api_call, change);

    (void) settled(call);
    call->done(call);
}

static weir_api_step change_begin(weir_api_call *call)
{
    call->change.done = change_done;
    return weir_balance_change_begin(&call->change)
               ? WEIR_API_WAITS
               : weir_api_call_refuse(call, 503, "KeeperBusy",
                                      WEIR_STR("too many changes at once"));
}

/* ---- what a body says */

typedef struct {
    weir_api_call *call;
    const char *code; /* of what is wrong */
    char why[160];
} call_reading;

static bool bad_member(call_reading *reading, const weir_json_member *member, const char *code,
                       const char *what)
{
    weir_builder text;

    weir_builder_over(&text, reading->why, sizeof(reading->why) - 1);
    weir_builder_printf(&text, "%s \"%.*s\"", what, WEIR_STR_ARG(member->name));
    reading->why[weir_builder_cut(&text).len] = '\0';
    reading->code = code;
    return false;
}

/* Of a state file's lines, and of a log's: nothing in it could end a line or a statement. */
static bool text_is_plain(weir_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char) text.data[i] <= ' ' || text.data[i] == 0x7f || text.data[i] == ';'
            || text.data[i] == '"' || text.data[i] == '{' || text.data[i] == '}'
            || text.data[i] == '#' || text.data[i] == '\'' || text.data[i] == '\\') {
            return false;
        }
    }
    return true;
}

/* What a body may say of a server. */
typedef struct {
    const char *name;
    unsigned mask;
    bool is_for_new;  /* it cannot be changed */
    const char *code; /* of a wrong value */
} call_member;

static const call_member call_members[] = {
    {"server", WEIR_BALANCE_HAS_NAME, false, "UpstreamBadAddress"},
    {"weight", WEIR_BALANCE_HAS_WEIGHT, false, "UpstreamBadWeight"},
    {"max_conns", WEIR_BALANCE_HAS_MAX_CONNS, false, "UpstreamBadMaxConns"},
    {"max_fails", WEIR_BALANCE_HAS_MAX_FAILS, false, "UpstreamBadMaxFails"},
    {"fail_timeout", WEIR_BALANCE_HAS_FAIL_TIMEOUT, false, "UpstreamBadFailTimeout"},
    {"slow_start", WEIR_BALANCE_HAS_SLOW_START, false, "UpstreamBadSlowStart"},
    {"route", WEIR_BALANCE_HAS_ROUTE, false, "UpstreamBadRoute"},
    {"service", 0, true, "UpstreamBadService"},
    {"backup", 0, true, "UpstreamConfFormatError"},
    {"down", WEIR_BALANCE_HAS_DOWN, false, "UpstreamConfFormatError"},
    {"drain", WEIR_BALANCE_HAS_DRAIN, false, "UpstreamConfFormatError"},
};

static bool *flag_of(weir_balance_server *server, weir_str name)
{
    return weir_str_eq(name, WEIR_STR("down"))     ? &server->is_down
           : weir_str_eq(name, WEIR_STR("drain"))  ? &server->is_draining
           : weir_str_eq(name, WEIR_STR("backup")) ? &server->is_backup
                                                   : NULL;
}

/* Numbers, times and names, as `server` takes them; a route may be taken away, too. */
static bool parameter_take(call_reading *reading, const weir_json_member *member)
{
    weir_balance_server *server = &reading->call->change.server;
    weir_builder parameter;
    weir_str text;

    if (member->text.len == 0 && weir_str_eq(member->name, WEIR_STR("route"))) {
        server->route = WEIR_STR_EMPTY;
        return true;
    }
    weir_builder_open(&parameter, reading->call->pool, 1024);
    weir_builder_add(&parameter, member->name);
    weir_builder_add_byte(&parameter, '=');
    weir_builder_add(&parameter, member->text);
    return weir_builder_close(&parameter, &text) && text_is_plain(text)
           && weir_balance_server_parameter(server, text);
}

static bool value_take(call_reading *reading, const weir_json_member *member)
{
    weir_balance_server *server = &reading->call->change.server;
    bool *flag = flag_of(server, member->name);

    if (flag != NULL) {
        *flag = weir_str_eq(member->text, WEIR_STR("true"));
        return member->kind == WEIR_JSON_BOOL;
    }
    if (!weir_str_eq(member->name, WEIR_STR("server"))) {
        return (member->kind == WEIR_JSON_STRING || member->kind == WEIR_JSON_NUMBER)
               && parameter_take(reading, member);
    }
    server->name = member->text;
    return member->kind == WEIR_JSON_STRING && text_is_plain(member->text) && member->text.len != 0
           && member->text.len <= WEIR_BALANCE_NAME_MAX;
}

static bool member_take(const weir_json_member *member, void *subject)
{
    call_reading *reading = subject;
    weir_balance_change *change = &reading->call->change;

    if (member->kind == WEIR_JSON_NESTED) {
        return bad_member(reading, member, "UpstreamConfFormatError", "nested object or list in");
    }
    for (size_t i = 0; i < WEIR_COUNT(call_members); i++) {
        const call_member *known = &call_members[i];

        if (!weir_str_eq(member->name, weir_str_from_z(known->name))) {
            continue;
        }
        if (known->is_for_new && change->op != WEIR_BALANCE_ADD) {
            return bad_member(reading, member, "UpstreamConfFormatError",
                              "this cannot be changed:");
        }
        change->mask |= known->mask;
        return value_take(reading, member)
               || bad_member(reading, member, known->code, "invalid value of");
    }
    return bad_member(reading, member, "UpstreamConfFormatError", "unknown parameter");
}

/* A new server is an address, or a name that is looked up from then on.  NULL: it is good. */
static const char *server_check(weir_balance_change *change)
{
    weir_addr addr;

    if ((change->mask & WEIR_BALANCE_HAS_NAME) == 0) {
        return NULL;
    }
    if (weir_addr_parse(change->server.name, weir_balance_group_family(change->group)->default_port,
                        &addr)
        && (weir_addr_is_unix(&addr) || weir_addr_port(&addr) != 0)) {
        return change->server.service.len != 0 ? "service requires a domain name" : NULL;
    }
    if (change->op != WEIR_BALANCE_ADD) {
        return "no address";
    }
    change->server.is_resolved = true;
    return weir_balance_name_is_good(change->group, &change->server)
               ? NULL
               : "no address, and no name with a port";
}

weir_api_step api_upstreams_take_body(weir_api_call *call, weir_str body)
{
    call_reading reading = {.call = call};
    weir_balance_change *change = &call->change;
    const char *why = NULL;

    weir_balance_server_begin(&change->server);
    if (!weir_json_object_read(body, call->pool, member_take, &reading, &why)) {
        return why != NULL
                   ? weir_api_call_refuse(call, 415, "JsonError", weir_str_from_z(why))
                   : weir_api_call_refuse(call, 400, reading.code, weir_str_from_z(reading.why));
    }
    if (change->op == WEIR_BALANCE_ADD && (change->mask & WEIR_BALANCE_HAS_NAME) == 0) {
        return weir_api_call_refuse(call, 400, "UpstreamConfFormatError",
                                    WEIR_STR("missing \"server\" argument"));
    }
    if (change->server.name.len + change->server.route.len + change->server.service.len
        > WEIR_BALANCE_TEXTS_MAX) {
        return weir_api_call_refuse(call, 400, "UpstreamConfFormatError",
                                    WEIR_STR("server, route and service are too long"));
    }
    why = server_check(change);
    if (why != NULL) {
        return weir_api_call_refuse(call, 400, "UpstreamBadAddress", weir_str_from_z(why));
    }
    return change_begin(call);
}

/* ---- where a path leads */

/* By number; for people, by address, too. */
static bool id_take(const weir_api_call *call, weir_balance_group *group, weir_str text,
                    uint64_t *id)
{
    size_t position = 0;
    const weir_balance_peer *address;
    weir_balance_server server;

    if (weir_parse_uint(text, INT64_MAX, id)) {
        return true;
    }
    while (call->is_for_people && weir_balance_server_next(group, &position, id, &server)) {
        if (weir_str_eq(server.name, text)) {
            return true;
        }
    }
    position = 0;
    while (call->is_for_people && (address = address_next(group, &position)) != NULL) {
        if (weir_str_eq(address->text, text)) {
            *id = address->id;
            return true;
        }
    }
    return false;
}

static weir_api_step server_route(weir_api_call *call, weir_balance_group *group, weir_str id)
{
    if (!id_take(call, group, id, &call->change.id)) {
        return call->is_for_people ? no_server(call)
                                   : weir_api_call_refuse(call, 400, "UpstreamBadServerId",
                                                          WEIR_STR("invalid server ID"));
    }
    if (call->verb == WEIR_API_VERB_GET) {
        return show_server(call, group, call->change.id, 200);
    }
    if (call->may_write && call->verb == WEIR_API_VERB_DELETE) {
        call->change.op = WEIR_BALANCE_REMOVE;
        return change_begin(call);
    }
    if (!call->may_write || call->verb != WEIR_API_VERB_PATCH) {
        return api_refuse_verb(call, "GET, HEAD, PATCH, DELETE");
    }
    call->change.op = WEIR_BALANCE_PATCH;
    return WEIR_API_TAKES_BODY;
}

static weir_api_step servers_route(weir_api_call *call, weir_balance_group *group, weir_str rest)
{
    weir_str id = WEIR_STR_EMPTY;

    call->change.group = group;
    /* An address may be a path. */
    if (call->is_for_people) {
        id = rest;
    } else if (weir_str_split(&rest, '/', &id) && rest.len != 0) {
        return api_refuse_path(call);
    }
    if (id.len != 0) {
        return server_route(call, group, id);
    }
    if (call->verb == WEIR_API_VERB_GET) {
        return show_servers(call, group);
    }
    if (call->verb != WEIR_API_VERB_POST || !call->may_write) {
        return api_refuse_verb(call, "GET, HEAD, POST");
    }
    call->change.op = WEIR_BALANCE_ADD;
    return WEIR_API_TAKES_BODY;
}

static weir_api_step group_route(weir_api_call *call, weir_balance_group *group)
{
    if (call->verb == WEIR_API_VERB_GET) {
        return show_group(call, group);
    }
    if (call->verb != WEIR_API_VERB_DELETE || !call->may_write) {
        return api_refuse_verb(call, "GET, HEAD, DELETE");
    }
    weir_balance_reset(group);
    return api_answer_empty(call);
}

weir_api_step api_upstreams_route(weir_api_call *call, const weir_balance_family *family,
                                  weir_str rest)
{
    bool only_reads = call->verb == WEIR_API_VERB_GET;
    weir_str part = WEIR_STR_EMPTY;
    weir_balance_group *group;

    if (!weir_str_split(&rest, '/', &part) || part.len == 0) {
        return only_reads ? api_answer_list(call, "[\"upstreams\"]")
                          : api_refuse_verb(call, "GET, HEAD");
    }
    if (!weir_str_eq(part, WEIR_STR("upstreams"))) {
        return api_refuse_path(call);
    }
    if (!weir_str_split(&rest, '/', &part) || part.len == 0) {
        return only_reads ? show_groups(call, family) : api_refuse_verb(call, "GET, HEAD");
    }
    group = weir_balance_group_of_cycle(weir_worker_current()->cycle, family, part);
    if (group == NULL) {
        return weir_api_call_refuse(call, 404, "UpstreamNotFound", WEIR_STR("upstream not found"));
    }
    if (!weir_str_split(&rest, '/', &part) || part.len == 0) {
        return group_route(call, group);
    }
    return weir_str_eq(part, WEIR_STR("servers")) ? servers_route(call, group, rest)
                                                  : api_refuse_path(call);
}
