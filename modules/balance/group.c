#include "modules/balance/balance_internal.h"

#include "core/base/number.h"
#include "core/process/cycle.h"
#include "core/process/zone.h"

/* Reading: `upstream` blocks, and groups that a host implies. */

#define KEEPALIVE_MAX 32
#define KEEPALIVE_REQUESTS 1000
#define KEEPALIVE_TIME_MS (3600 * 1000)
#define KEEPALIVE_TIMEOUT_MS (60 * 1000)
#define RESOLVER_TIMEOUT_MS (30 * 1000)

/* Less than this is a slip: nginx wants eight pages. */
#define ZONE_BYTES_MIN (32 * 1024)

/* ---- registry */

#define OBJECT "upstreams" /* of a cycle: a list of registries, one for each family that has one */

balance_registry *balance_registry_of_cycle(const weir_cycle *cycle,
                                            const weir_balance_family *family)
{
    balance_registry *registry = weir_cycle_object(cycle, OBJECT);

    while (registry != NULL && strcmp(registry->family->name, family->name) != 0) {
        registry = registry->next;
    }
    return registry;
}

static void kept_init(balance_kept *kept)
{
    weir_list_init(&kept->idle);
    kept->max = KEEPALIVE_MAX;
    kept->requests = KEEPALIVE_REQUESTS;
    kept->time_ms = KEEPALIVE_TIME_MS;
    kept->timeout_ms = KEEPALIVE_TIMEOUT_MS;
}

static bool registry_init(balance_registry *registry, weir_pool *pool,
                          const weir_balance_family *family)
{
    weir_builder name;

    registry->family = family;
    registry->named = weir_map_new(pool, true, 16);
    registry->implied = weir_map_new(pool, true, 16);
    registry->zones = weir_map_new(pool, false, 4);
    weir_array_init(&registry->groups, pool, sizeof(weir_balance_group *), 16);
    kept_init(&registry->kept);
    registry->own.is_own = true;
    weir_array_init(&registry->own.groups, pool, sizeof(weir_balance_group *), 16);
    weir_builder_open(&name, pool, SIZE_MAX);
    weir_builder_printf(&name, "%s upstreams", family->name);
    return weir_builder_close(&name, &registry->own.name) && registry->named != NULL
           && registry->implied != NULL && registry->zones != NULL;
}

/* Made at first use. NULL: refused. */
static balance_registry *registry_get(weir_conf *conf, const weir_balance_family *family)
{
    weir_cycle *cycle = weir_conf_cycle(conf);
    weir_pool *pool = weir_conf_pool(conf);
    balance_registry *registry = balance_registry_of_cycle(cycle, family);

    if (registry != NULL) {
        return registry;
    }

    registry = WEIR_NEW(pool, balance_registry);
    if (registry == NULL || !registry_init(registry, pool, family)) {
        weir_conf_refuse(conf, "no memory for upstreams");
        return NULL;
    }
    registry->next = weir_cycle_object(cycle, OBJECT);
    if (!weir_cycle_set_object(cycle, OBJECT, registry)) {
        weir_conf_refuse(conf, "no memory for upstreams");
        return NULL;
    }
    return registry;
}

weir_balance_group *weir_balance_group_find(weir_conf *conf, const weir_balance_family *family,
                                            weir_str name)
{
    return weir_balance_group_of_cycle(weir_conf_cycle(conf), family, name);
}

weir_balance_group *weir_balance_group_of_cycle(const weir_cycle *cycle,
                                                const weir_balance_family *family, weir_str name)
{
    const balance_registry *registry = balance_registry_of_cycle(cycle, family);

    return registry == NULL ? NULL : weir_map_find(registry->named, name);
}

weir_str weir_balance_group_name(const weir_balance_group *group)
{
    return group->name;
}

const weir_balance_family *weir_balance_group_family(const weir_balance_group *group)
{
    return group->family;
}

/* ---- groups */

static void group_end(void *subject)
{
    weir_balance_group *group = subject;

    balance_view_unref(group->view);
    group->view = NULL;
}

static weir_balance_group *group_new(weir_conf *conf, balance_registry *registry, weir_str name)
{
    weir_pool *pool = weir_conf_pool(conf);
    weir_balance_group *group = WEIR_NEW(pool, weir_balance_group);
    weir_balance_group **place = weir_array_push(&registry->groups);

    if (group == NULL || place == NULL || !weir_str_copy(pool, name, &group->name)
        || weir_pool_on_free(pool, group_end, group) == NULL) {
        weir_conf_refuse(conf, "no memory for upstream \"%.*s\"", WEIR_STR_ARG(name));
        return NULL;
    }
    *place = group;
    group->family = registry->family;
    group->method = &balance_round_robin;
    weir_array_init(&group->read, weir_conf_temp_pool(conf), sizeof(balance_seat), 4);
    kept_init(&group->own_kept);
    group->kept = &group->own_kept;
    return group;
}

static bool seat_add(weir_conf *conf, weir_balance_group *group, const balance_server *server,
                     const weir_addr *addr)
{
    weir_pool *pool = weir_conf_pool(conf);
    balance_seat *seat = weir_array_push(&group->read);
    char text[WEIR_ADDR_TEXT_MAX];

    if (seat == NULL) {
        return weir_conf_refuse(conf, "no memory for \"server\"");
    }
    seat->server = server;
    if (addr == NULL) {
        seat->text = server->name;
        return true;
    }
    seat->addr = *addr;
    return weir_str_copy(pool, weir_addr_text(addr, true, text), &seat->text)
           || weir_conf_refuse(conf, "no memory for \"server\"");
}

/* All addresses of a name; one that has none now is down, and said to be so. */
static bool seats_look_up(weir_conf *conf, weir_balance_group *group, const balance_server *server,
                          uint16_t default_port)
{
    weir_str host = server->name;
    weir_addr *list;
    const char *why;
    weir_str name;
    uint16_t port;
    size_t count;

    if (!weir_lookup_takes(host, &why)) {
        return weir_conf_refuse(conf, "%s in upstream \"%.*s\"", why, WEIR_STR_ARG(host));
    }
    /* Known before it is looked up, and wrong whatever that gives. */
    if (weir_addr_split(host, default_port, &name, &port) && port == 0
        && !weir_str_starts(host, WEIR_STR("unix:"))) {
        return weir_conf_refuse(conf, "no port in upstream \"%.*s\"", WEIR_STR_ARG(host));
    }
    count = weir_lookup(weir_conf_pool(conf), host, default_port, &list, &why);
    if (count == 0) {
        weir_conf_warn(conf, "host not found in upstream \"%.*s\" (%s): this server is down",
                       WEIR_STR_ARG(host), why);
        return seat_add(conf, group, server, NULL);
    }
    for (size_t i = 0; i < count; i++) {
        if (weir_addr_port(&list[i]) == 0 && !weir_addr_is_unix(&list[i])) {
            return weir_conf_refuse(conf, "no port in upstream \"%.*s\"", WEIR_STR_ARG(host));
        }
        if (!seat_add(conf, group, server, &list[i])) {
            return false;
        }
    }
    return true;
}

/* Equal addresses have states of their own: the second, the third … of a text. */
static bool seats_name(weir_conf *conf, weir_balance_group *group)
{
    weir_map *counts = weir_map_new(weir_conf_temp_pool(conf), false, group->seat_count);

    if (counts == NULL) {
        return weir_conf_refuse(conf, "no memory for upstreams");
    }
    for (size_t i = 0; i < group->seat_count; i++) {
        balance_seat *seat = &group->seats[i];
        size_t *count = weir_map_find(counts, seat->text);

        if (count == NULL) {
            count = WEIR_NEW(weir_conf_temp_pool(conf), size_t);
            if (count == NULL || !weir_map_put(counts, seat->text, count)) {
                return weir_conf_refuse(conf, "no memory for upstreams");
            }
        }
        seat->key = balance_peer_key(group->key, seat->text, seat->server->is_backup, (*count)++);
    }
    return true;
}

/* Once all of its servers were read. */
static bool group_settle(weir_conf *conf, weir_balance_group *group)
{
    balance_registry *registry = balance_registry_of_cycle(weir_conf_cycle(conf), group->family);
    weir_balance_group **place;

    if (group->zone == NULL) {
        group->zone = &registry->own;
    }
    group->key = balance_group_key(group);
    group->seats = WEIR_NEW_ARRAY(weir_conf_pool(conf), balance_seat, group->read.count + 1);
    place = weir_array_push(&group->zone->groups);
    if (group->seats == NULL || place == NULL) {
        return weir_conf_refuse(conf, "no memory for upstream \"%.*s\"", WEIR_STR_ARG(group->name));
    }
    *place = group;
    if (group->read.count != 0) {
        memcpy(group->seats, group->read.items, group->read.count * sizeof(balance_seat));
    }
    group->seat_count = group->read.count;
    return seats_name(conf, group);
}

weir_balance_group *weir_balance_group_implied(weir_conf *conf, const weir_balance_family *family,
                                               weir_str host, uint16_t default_port)
{
    balance_registry *registry = registry_get(conf, family);
    weir_balance_group *group;
    balance_server *server;
    weir_builder builder;
    weir_str key, name;
    uint16_t port;

    if (registry == NULL) {
        return NULL;
    }
    if (weir_addr_split(host, 0, &name, &port) && port != 0
        && weir_balance_group_find(conf, family, name) != NULL) {
        (void) weir_conf_refuse(conf, "upstream \"%.*s\" may not have port %u", WEIR_STR_ARG(name),
                                port);
        return NULL;
    }
    weir_builder_open(&builder, weir_conf_pool(conf), SIZE_MAX);
    weir_builder_add(&builder, host);
    weir_builder_add_byte(&builder, ' ');
    weir_builder_add_uint(&builder, default_port);
    if (!weir_builder_close(&builder, &key)) {
        weir_conf_refuse(conf, "no memory for upstreams");
        return NULL;
    }

    group = weir_map_find(registry->implied, key);
    if (group != NULL) {
        return group;
    }
    group = group_new(conf, registry, host);
    server = WEIR_NEW(weir_conf_pool(conf), balance_server);
    if (group == NULL || server == NULL) {
        return NULL;
    }
    balance_server_begin(server, group->name);
    server->digest = balance_server_digest(server);
    if (!seats_look_up(conf, group, server, default_port) || !group_settle(conf, group)) {
        return NULL;
    }
    if (!weir_map_put(registry->implied, key, group)) {
        weir_conf_refuse(conf, "no memory for upstreams");
        return NULL;
    }
    return group;
}

weir_balance_group *weir_balance_group_of_addrs(weir_pool *pool, const weir_cycle *cycle,
                                                const weir_balance_family *family, weir_str name,
                                                const weir_addr *addrs, size_t count)
{
    balance_registry *registry = balance_registry_of_cycle(cycle, family);
    weir_balance_group *group = WEIR_NEW(pool, weir_balance_group);

    if (group == NULL) {
        return NULL;
    }
    group->method = &balance_round_robin;
    group->kept = &registry->kept;
    group->view = balance_view_of_addrs(pool, name, addrs, count);
    if (group->view == NULL) {
        return NULL;
    }
    group->name = group->view->peers[0].name;
    return group;
}

/* ---- upstream NAME { } */

weir_level *weir_balance_enter(weir_conf *conf, weir_level *outer, const weir_statement *statement,
                               const weir_balance_family *family)
{
    balance_registry *registry = registry_get(conf, family);
    weir_str name = statement->args[1];
    weir_balance_group *group;

    if (registry == NULL) {
        return NULL;
    }
    group = weir_map_find(registry->named, name);
    if (group != NULL) {
        weir_conf_refuse_arg(conf, statement, 1, "duplicate upstream \"%.*s\", first in %.*s:%u",
                             WEIR_STR_ARG(name), WEIR_STR_ARG(group->statement->file->name),
                             group->statement->line);
        return NULL;
    }
    group = group_new(conf, registry, name);
    if (group == NULL) {
        return NULL;
    }
    group->statement = statement;
    if (!weir_map_put(registry->named, group->name, group)) {
        weir_conf_refuse(conf, "no memory for upstream \"%.*s\"", WEIR_STR_ARG(name));
        return NULL;
    }
    return weir_level_new(conf, outer, group);
}

/* A server that no statement says may have a warning of its own; this one is about the method. */
static bool backups_are_taken(weir_conf *conf, const weir_balance_group *group,
                              const weir_statement *statement)
{
    for (WEIR_ARRAY_EACH(&group->read, balance_seat, seat)) {
        if (seat->server->is_backup && !group->method->takes_backups) {
            return weir_conf_refuse_arg(
                conf, statement, 1, "balancing method \"%s\" does not support parameter \"backup\"",
                group->method->name);
        }
    }
    return true;
}

static void weights_check(weir_conf *conf, const weir_balance_group *group)
{
    uint64_t sum = 0;

    for (WEIR_ARRAY_EACH(&group->read, balance_seat, seat)) {
        sum += seat->server->weight;
    }
    if (group->method == &balance_hash_consistent && sum > BALANCE_RING_WEIGHTS_MAX) {
        weir_conf_warn(conf,
                       "the weights of upstream \"%.*s\" are %llu in all: above %u, \"hash\" with "
                       "\"consistent\" keeps their shares, but sends keys elsewhere than nginx",
                       WEIR_STR_ARG(group->name), (unsigned long long) sum,
                       BALANCE_RING_WEIGHTS_MAX);
    }
}

bool weir_balance_leave(weir_conf *conf, weir_level *level, const weir_statement *statement)
{
    weir_balance_group *group = level->owner;

    if (group->state_file.len != 0 && group->has_server_lines) {
        return weir_conf_refuse_arg(conf, statement, 1,
                                    "\"state\" and \"server\" exclude each other in an upstream");
    }
    if (group->read.count == 0 && group->state_file.len == 0) {
        return weir_conf_refuse_arg(conf, statement, 1, "no servers are inside upstream");
    }
    weights_check(conf, group);
    return backups_are_taken(conf, group, statement) && group_settle(conf, group);
}

/* Who has names to look up, and nobody to ask, asks whom the machine asks. */
static bool resolvers_settle(weir_conf *conf, balance_registry *registry)
{
    const weir_resolver_settings *system = NULL;

    for (WEIR_ARRAY_EACH(&registry->groups, weir_balance_group *, place)) {
        weir_balance_group *group = *place;

        if (group->resolver_timeout_ms == 0) {
            group->resolver_timeout_ms = RESOLVER_TIMEOUT_MS;
        }
        if (group->resolver != NULL) {
            continue;
        }
        if (system == NULL) {
            system = weir_resolver_settings_of_system(
                weir_conf_pool(conf), WEIR_RESOLVER_RESOLV_CONF, WEIR_RESOLVER_HOSTS_FILE);
        }
        if (system == NULL) {
            return weir_conf_refuse(conf, "no memory for upstreams");
        }
        group->resolver = system;
    }
    return true;
}

bool weir_balance_configured(weir_conf *conf, const weir_balance_family *family)
{
    /* Without a single group, too: connections to addresses of run time are kept there. */
    balance_registry *registry = registry_get(conf, family);
    size_t position = 0;
    weir_str name;
    void *value;

    if (registry == NULL) {
        return false;
    }
    while (weir_map_next(registry->zones, &position, &name, &value)) {
        balance_zone *zone = value;

        /* Without a size, it is refused when all zones are opened. */
        if (weir_zone_bytes(zone->zone) != 0 && !balance_zone_settle(conf, zone)) {
            return false;
        }
    }
    if (!resolvers_settle(conf, registry) || !balance_lookups_register(conf, registry)) {
        return false;
    }
    return registry->own.groups.count == 0
           || (balance_zone_open(conf, family, &registry->own,
                                 balance_zone_bytes_for(balance_zone_needs(&registry->own)))
               && balance_zone_settle(conf, &registry->own));
}

static weir_balance_group *group_being_read(weir_conf *conf)
{
    return weir_conf_level(conf)->owner;
}

/* ---- server ADDRESS [PARAMETERS] */

static bool parameter_read(weir_conf *conf, const weir_statement *statement, size_t i,
                           balance_server *server)
{
    weir_str arg = statement->args[i];

    return balance_server_parameter(server, arg) == BALANCE_PARAMETER_GOOD
           || weir_conf_refuse_arg(conf, statement, i, "invalid parameter \"%.*s\"",
                                   WEIR_STR_ARG(arg));
}

/* A name that the keeper looks up; until then it has the addresses of now. */
static bool name_add(weir_conf *conf, weir_balance_group *group, const balance_server *server)
{
    weir_str host;
    uint16_t port;
    const char *why;
    balance_seat *seat;

    if (!seat_add(conf, group, server, NULL)) {
        return false;
    }
    seat = WEIR_ARRAY_AT(&group->read, balance_seat, group->read.count - 1);
    if (server->service.len != 0) {
        return weir_str_find_byte(server->name, ':') == NULL
               || weir_conf_refuse(conf, "service upstream \"%.*s\" may not have port",
                                   WEIR_STR_ARG(server->name));
    }
    if (!weir_addr_split(server->name, group->family->default_port, &host, &port)) {
        return weir_conf_refuse(conf, "invalid name in upstream \"%.*s\"",
                                WEIR_STR_ARG(server->name));
    }
    if (port == 0) {
        return weir_conf_refuse(conf, "no port in upstream \"%.*s\"", WEIR_STR_ARG(server->name));
    }
    seat->first_count = weir_lookup(weir_conf_pool(conf), server->name, port, &seat->first, &why);
    if (seat->first_count == 0) {
        weir_conf_warn(conf, "host not found in upstream \"%.*s\" (%s): it is looked up again",
                       WEIR_STR_ARG(server->name), why);
    }
    return true;
}

bool balance_server_settle(weir_conf *conf, weir_balance_group *group, balance_server *server)
{
    weir_addr addr;

    if (server->service.len != 0 && !server->is_resolved) {
        return weir_conf_refuse(conf, "service upstream \"%.*s\" requires \"resolve\" parameter",
                                WEIR_STR_ARG(server->name));
    }
    /* There is nothing to look up. */
    if (weir_addr_parse(server->name, 1, &addr)) {
        if (server->service.len != 0) {
            return weir_conf_refuse(conf, "service upstream \"%.*s\" requires domain name",
                                    WEIR_STR_ARG(server->name));
        }
        server->is_resolved = false;
    }
    server->digest = balance_server_digest(server);
    return server->is_resolved ? name_add(conf, group, server)
                               : seats_look_up(conf, group, server, group->family->default_port);
}

bool weir_balance_server_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_balance_group *group = group_being_read(conf);
    balance_server *server = WEIR_NEW(weir_conf_pool(conf), balance_server);

    (void) settings;
    if (server == NULL) {
        return weir_conf_refuse(conf, "no memory for \"server\"");
    }
    balance_server_begin(server, statement->args[1]);
    for (size_t i = 2; i < statement->count; i++) {
        if (!parameter_read(conf, statement, i, server)) {
            return false;
        }
    }
    group->has_server_lines = true;
    return balance_server_settle(conf, group, server);
}

/* ---- zone NAME [SIZE] */

bool weir_balance_zone_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_balance_group *group = group_being_read(conf);
    balance_registry *registry = balance_registry_of_cycle(weir_conf_cycle(conf), group->family);
    weir_str name = statement->args[1];
    weir_pool *pool = weir_conf_pool(conf);
    balance_zone *zone;
    uint64_t bytes = 0;

    (void) settings;
    if (group->zone != NULL) {
        return weir_conf_refuse_arg(conf, statement, 0, "\"zone\" directive is duplicate");
    }
    if (statement->count == 3) {
        if (!weir_parse_size(statement->args[2], false, SIZE_MAX / 4, &bytes) || bytes == 0) {
            return weir_conf_refuse_arg(conf, statement, 2, "invalid zone size \"%.*s\"",
                                        WEIR_STR_ARG(statement->args[2]));
        }
        if (bytes < ZONE_BYTES_MIN) {
            return weir_conf_refuse_arg(conf, statement, 2, "zone \"%.*s\" is too small",
                                        WEIR_STR_ARG(name));
        }
    }

    zone = weir_map_find(registry->zones, name);
    if (zone == NULL) {
        zone = WEIR_NEW(pool, balance_zone);
        if (zone == NULL || !weir_str_copy(pool, name, &zone->name)
            || !weir_map_put(registry->zones, zone->name, zone)) {
            return weir_conf_refuse(conf, "no memory for \"zone\"");
        }
        weir_array_init(&zone->groups, pool, sizeof(weir_balance_group *), 8);
    }
    group->zone = zone;
    return balance_zone_open(conf, group->family, zone, (size_t) bytes);
}

/* ---- keepalive, keepalive_requests, keepalive_time, keepalive_timeout */

enum { SAID_MAX = 1, SAID_REQUESTS = 2, SAID_TIME = 4, SAID_TIMEOUT = 8 };

bool weir_balance_keepalive_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_balance_group *group = group_being_read(conf);
    weir_str name = statement->args[0];
    weir_str text = statement->args[1];
    uint64_t number = 0;
    unsigned said;
    bool is_good;

    (void) settings;
    if (weir_str_eq(name, WEIR_STR("keepalive"))) {
        said = SAID_MAX;
        is_good = weir_parse_uint(text, INT32_MAX, &number);
        group->own_kept.max = (size_t) number;
        group->own_kept.is_shared = statement->count == 2;
        if (statement->count == 3 && !weir_str_eq(statement->args[2], WEIR_STR("local"))) {
            return weir_conf_refuse_arg(conf, statement, 2, "invalid parameter \"%.*s\"",
                                        WEIR_STR_ARG(statement->args[2]));
        }
    } else if (weir_str_eq(name, WEIR_STR("keepalive_requests"))) {
        said = SAID_REQUESTS;
        is_good = weir_parse_uint(text, UINT32_MAX, &group->own_kept.requests);
    } else if (weir_str_eq(name, WEIR_STR("keepalive_time"))) {
        said = SAID_TIME;
        is_good = weir_parse_time_ms(text, INT64_MAX, &group->own_kept.time_ms);
    } else {
        said = SAID_TIMEOUT;
        is_good = weir_parse_time_ms(text, INT64_MAX, &group->own_kept.timeout_ms);
    }

    if ((group->own_kept.said & said) != 0) {
        return weir_conf_refuse_arg(conf, statement, 0, "\"%.*s\" directive is duplicate",
                                    WEIR_STR_ARG(name));
    }
    group->own_kept.said |= said;
    return is_good
           || weir_conf_refuse_arg(conf, statement, 1,
                                   "invalid value \"%.*s\" in \"%.*s\" directive",
                                   WEIR_STR_ARG(text), WEIR_STR_ARG(name));
}
