#include "modules/balance/balance_internal.h"

#include "core/base/number.h"
#include "core/process/cycle.h"
#include "core/process/zone.h"

/* Reading: `upstream` blocks, and groups that a host implies. */

#define KEEPALIVE_MAX 32
#define KEEPALIVE_REQUESTS 1000
#define KEEPALIVE_TIME_MS (3600 * 1000)
#define KEEPALIVE_TIMEOUT_MS (60 * 1000)

/* Less than this is a slip: nginx wants eight pages. */
#define ZONE_BYTES_MIN (32 * 1024)

/* ---- registry */

static const char *registry_name(const weir_balance_family *family)
{
    return family->name[0] == 'h' ? "http upstreams" : "stream upstreams";
}

weir_balance_registry *weir_balance_registry_of_cycle(const weir_cycle *cycle,
                                                      const weir_balance_family *family)
{
    return weir_cycle_object(cycle, registry_name(family));
}

/* Made at first use. NULL: refused. */
static weir_balance_registry *registry_get(weir_conf *conf, const weir_balance_family *family)
{
    weir_cycle *cycle = weir_conf_cycle(conf);
    weir_pool *pool = weir_conf_pool(conf);
    weir_balance_registry *registry = weir_balance_registry_of_cycle(cycle, family);

    if (registry != NULL) {
        return registry;
    }

    registry = WEIR_NEW(pool, weir_balance_registry);
    if (registry != NULL) {
        registry->family = family;
        registry->named = weir_map_new(pool, true, 16);
        registry->implied = weir_map_new(pool, true, 16);
        registry->zones = weir_map_new(pool, false, 4);
        weir_array_init(&registry->groups, pool, sizeof(weir_balance_group *), 16);
        registry->own.name = weir_str_from_z(registry_name(family));
        weir_array_init(&registry->own.peers, pool, sizeof(weir_balance_peer *), 16);
    }
    if (registry == NULL || registry->named == NULL || registry->implied == NULL
        || registry->zones == NULL
        || !weir_cycle_set_object(cycle, registry_name(family), registry)) {
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
    const weir_balance_registry *registry = weir_balance_registry_of_cycle(cycle, family);

    return registry == NULL ? NULL : weir_map_find(registry->named, name);
}

weir_str weir_balance_group_name(const weir_balance_group *group)
{
    return group->name;
}

/* ---- groups */

static weir_balance_group *group_new(weir_conf *conf, weir_balance_registry *registry,
                                     weir_str name)
{
    weir_pool *pool = weir_conf_pool(conf);
    weir_balance_group *group = WEIR_NEW(pool, weir_balance_group);
    weir_balance_group **place = weir_array_push(&registry->groups);

    if (group == NULL || place == NULL || !weir_str_copy(pool, name, &group->name)) {
        weir_conf_refuse(conf, "no memory for upstream \"%.*s\"", WEIR_STR_ARG(name));
        return NULL;
    }
    *place = group;
    group->family = registry->family;
    group->method = &weir_balance_round_robin;
    weir_array_init(&group->read, weir_conf_temp_pool(conf), sizeof(weir_balance_peer), 4);
    weir_list_init(&group->idle);
    group->keepalive.max = KEEPALIVE_MAX;
    group->keepalive.requests = KEEPALIVE_REQUESTS;
    group->keepalive.time_ms = KEEPALIVE_TIME_MS;
    group->keepalive.timeout_ms = KEEPALIVE_TIMEOUT_MS;
    return group;
}

static bool peer_add(weir_conf *conf, weir_balance_group *group, const weir_balance_peer *like,
                     const weir_addr *addr)
{
    weir_pool *pool = weir_conf_pool(conf);
    weir_balance_peer *peer = weir_array_push(&group->read);
    char text[WEIR_ADDR_TEXT_MAX];

    if (peer == NULL) {
        return weir_conf_refuse(conf, "no memory for \"server\"");
    }
    *peer = *like;
    if (addr == NULL) {
        peer->text = like->name;
        return true;
    }
    peer->addr = *addr;
    return weir_str_copy(pool, weir_addr_text(addr, true, text), &peer->text)
           || weir_conf_refuse(conf, "no memory for \"server\"");
}

/* All addresses of a name; one that has none now is down, and said to be so. */
static bool peers_look_up(weir_conf *conf, weir_balance_group *group, weir_balance_peer *like,
                          weir_str host, uint16_t default_port)
{
    weir_addr *list;
    const char *why;
    size_t count;

    if (!weir_lookup_takes(host, &why)) {
        return weir_conf_refuse(conf, "%s in upstream \"%.*s\"", why, WEIR_STR_ARG(host));
    }
    count = weir_lookup(weir_conf_pool(conf), host, default_port, &list, &why);
    if (count == 0) {
        weir_conf_warn(conf, "host not found in upstream \"%.*s\" (%s): this server is down",
                       WEIR_STR_ARG(host), why);
        like->is_down = true;
        return peer_add(conf, group, like, NULL);
    }
    for (size_t i = 0; i < count; i++) {
        if (weir_addr_port(&list[i]) == 0 && !weir_addr_is_unix(&list[i])) {
            return weir_conf_refuse(conf, "no port in upstream \"%.*s\"", WEIR_STR_ARG(host));
        }
        if (!peer_add(conf, group, like, &list[i])) {
            return false;
        }
    }
    return true;
}

/* How often the address stands in the group before this place: equal ones have states of their own. */
static size_t repeated(const weir_balance_group *group, size_t place)
{
    size_t count = 0;

    for (size_t i = 0; i < place; i++) {
        count += weir_str_eq(group->peers[i].text, group->peers[place].text);
    }
    return count;
}

/* Puts what was read in order: primaries, then backups. */
static bool group_settle(weir_conf *conf, weir_balance_group *group)
{
    weir_balance_peer *peers =
        WEIR_NEW_ARRAY(weir_conf_pool(conf), weir_balance_peer, group->read.count);
    size_t count = 0;

    if (peers == NULL) {
        return weir_conf_refuse(conf, "no memory for upstream \"%.*s\"", WEIR_STR_ARG(group->name));
    }
    group->peers = peers;
    group->peer_count = group->read.count;
    for (unsigned tier = 0; tier < BALANCE_TIERS; tier++) {
        group->tiers[tier].peers = &peers[count];
        for (WEIR_ARRAY_EACH(&group->read, weir_balance_peer, read)) {
            if (read->is_backup == (tier == BALANCE_BACKUP)) {
                peers[count] = *read;
                peers[count].index = count;
                peers[count].key =
                    weir_balance_state_key(group->name, &peers[count], repeated(group, count));
                count++;
                group->tiers[tier].count++;
            }
        }
    }
    return true;
}

/* States that nobody else has: of groups that come and go with a host name. */
static bool group_state_own(weir_pool *pool, weir_balance_group *group)
{
    weir_balance_state *states = WEIR_NEW_ARRAY(pool, weir_balance_state, group->peer_count);

    if (states == NULL) {
        return false;
    }
    for (size_t i = 0; i < group->peer_count; i++) {
        group->peers[i].state = &states[i];
    }
    return true;
}

weir_balance_group *weir_balance_group_implied(weir_conf *conf, const weir_balance_family *family,
                                               weir_str host, uint16_t default_port)
{
    weir_balance_registry *registry = registry_get(conf, family);
    weir_balance_group *group;
    weir_balance_peer like = {.name = host, .weight = 1, .max_fails = 1, .fail_timeout_ms = 10000};
    weir_builder builder;
    weir_str key;

    if (registry == NULL) {
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
    if (group == NULL || !peers_look_up(conf, group, &like, host, default_port)
        || !group_settle(conf, group)) {
        return NULL;
    }
    if (!group_state_own(weir_conf_pool(conf), group)
        || !weir_map_put(registry->implied, key, group)) {
        weir_conf_refuse(conf, "no memory for upstreams");
        return NULL;
    }
    return group;
}

weir_balance_group *weir_balance_group_of_addrs(weir_pool *pool, weir_str name,
                                                const weir_addr *addrs, size_t count)
{
    weir_balance_group *group = WEIR_NEW(pool, weir_balance_group);
    weir_balance_peer *peers = WEIR_NEW_ARRAY(pool, weir_balance_peer, count);
    char text[WEIR_ADDR_TEXT_MAX];

    if (group == NULL || peers == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        peers[i] = (weir_balance_peer){.addr = addrs[i], .weight = 1, .index = i};
        if (!weir_str_copy(pool, weir_addr_text(&addrs[i], true, text), &peers[i].text)) {
            return NULL;
        }
        peers[i].name = name.len != 0 ? name : peers[i].text;
    }
    group->peers = peers;
    group->peer_count = count;
    group->name = peers[0].name;
    group->method = &weir_balance_round_robin;
    group->tiers[BALANCE_PRIMARY] = (weir_balance_tier){peers, count};
    weir_list_init(&group->idle);
    return group_state_own(pool, group) ? group : NULL;
}

/* ---- upstream NAME { } */

weir_level *weir_balance_enter(weir_conf *conf, weir_level *outer, const weir_statement *statement,
                               const weir_balance_family *family)
{
    weir_balance_registry *registry = registry_get(conf, family);
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

bool weir_balance_leave(weir_conf *conf, weir_level *level, const weir_statement *statement)
{
    weir_balance_group *group = level->owner;
    weir_balance_registry *registry =
        weir_balance_registry_of_cycle(weir_conf_cycle(conf), group->family);
    weir_array *owners = group->zone != NULL ? &group->zone->peers : &registry->own.peers;

    if (group->read.count == 0) {
        return weir_conf_refuse_arg(conf, statement, 1, "no servers are inside upstream");
    }
    if (!group_settle(conf, group)) {
        return false;
    }
    for (size_t i = 0; i < group->peer_count; i++) {
        weir_balance_peer **place = weir_array_push(owners);

        if (place == NULL) {
            return weir_conf_refuse(conf, "no memory for upstreams");
        }
        *place = &group->peers[i];
    }
    return true;
}

bool weir_balance_configured(weir_conf *conf, const weir_balance_family *family)
{
    weir_balance_registry *registry = weir_balance_registry_of_cycle(weir_conf_cycle(conf), family);
    size_t position = 0;
    weir_str name;
    void *value;

    if (registry == NULL) {
        return true;
    }
    while (weir_map_next(registry->zones, &position, &name, &value)) {
        weir_balance_zone *zone = value;
        size_t bytes = weir_zone_bytes(zone->zone);

        if (bytes != 0 && bytes / sizeof(weir_balance_state) < zone->peers.count) {
            return weir_conf_refuse(conf, "zone \"%.*s\" is too small for %zu servers",
                                    WEIR_STR_ARG(name), zone->peers.count);
        }
        /* Without a size, it is refused when all zones are opened. */
        if (bytes != 0 && !weir_balance_zone_count(conf, zone)) {
            return false;
        }
    }
    return registry->own.peers.count == 0
           || (weir_balance_zone_open(conf, &registry->own,
                                      weir_balance_zone_bytes_for(registry->own.peers.count))
               && weir_balance_zone_count(conf, &registry->own));
}

static weir_balance_group *group_being_read(weir_conf *conf)
{
    return weir_conf_level(conf)->owner;
}

/* ---- server ADDRESS [PARAMETERS] */

static bool parameter_number(weir_str text, uint32_t min, uint32_t *number)
{
    uint64_t parsed;

    if (!weir_parse_uint(text, INT32_MAX, &parsed) || parsed < min) {
        return false;
    }
    *number = (uint32_t) parsed;
    return true;
}

/* Parameters that nginx has and that are not there yet. */
static bool parameter_is_nginx(weir_str arg)
{
    static const char *const names[] = {"service=", "route=", "slow_start="};
    weir_str value;

    for (size_t i = 0; i < WEIR_COUNT(names); i++) {
        if (weir_conf_parameter(arg, names[i], &value)) {
            return true;
        }
    }
    return weir_str_eq(arg, WEIR_STR("resolve")) || weir_str_eq(arg, WEIR_STR("drain"));
}

static bool parameter_read(weir_conf *conf, const weir_statement *statement, size_t i,
                           weir_balance_peer *peer)
{
    weir_str arg = statement->args[i];
    uint64_t seconds;
    weir_str value;
    bool is_good;

    if (weir_conf_parameter(arg, "weight=", &value)) {
        is_good = parameter_number(value, 1, &peer->weight);
    } else if (weir_conf_parameter(arg, "max_conns=", &value)) {
        is_good = parameter_number(value, 0, &peer->max_conns);
    } else if (weir_conf_parameter(arg, "max_fails=", &value)) {
        is_good = parameter_number(value, 0, &peer->max_fails);
    } else if (weir_conf_parameter(arg, "fail_timeout=", &value)) {
        is_good = weir_parse_time_s(value, INT32_MAX, &seconds);
        if (is_good) {
            peer->fail_timeout_ms = seconds * 1000;
        }
    } else if (weir_str_eq(arg, WEIR_STR("backup"))) {
        is_good = peer->is_backup = true;
    } else if (weir_str_eq(arg, WEIR_STR("down"))) {
        is_good = peer->is_down = true;
    } else if (parameter_is_nginx(arg)) {
        return weir_conf_refuse_arg(conf, statement, i,
                                    "the parameter \"%.*s\" of \"server\" is not supported",
                                    WEIR_STR_ARG(arg));
    } else {
        is_good = false;
    }
    return is_good
           || weir_conf_refuse_arg(conf, statement, i, "invalid parameter \"%.*s\"",
                                   WEIR_STR_ARG(arg));
}

bool weir_balance_server_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_balance_group *group = group_being_read(conf);
    weir_balance_peer like = {
        .name = statement->args[1], .weight = 1, .max_fails = 1, .fail_timeout_ms = 10000};

    (void) settings;
    for (size_t i = 2; i < statement->count; i++) {
        if (!parameter_read(conf, statement, i, &like)) {
            return false;
        }
    }
    return peers_look_up(conf, group, &like, like.name, group->family->default_port);
}

/* ---- zone NAME [SIZE] */

bool weir_balance_zone_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_balance_group *group = group_being_read(conf);
    weir_balance_registry *registry =
        weir_balance_registry_of_cycle(weir_conf_cycle(conf), group->family);
    weir_str name = statement->args[1];
    weir_pool *pool = weir_conf_pool(conf);
    weir_balance_zone *zone;
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
        zone = WEIR_NEW(pool, weir_balance_zone);
        if (zone == NULL || !weir_str_copy(pool, name, &zone->name)
            || !weir_map_put(registry->zones, zone->name, zone)) {
            return weir_conf_refuse(conf, "no memory for \"zone\"");
        }
        weir_array_init(&zone->peers, pool, sizeof(weir_balance_peer *), 8);
    }
    group->zone = zone;
    return weir_balance_zone_open(conf, zone, (size_t) bytes);
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
        group->keepalive.max = (size_t) number;
        group->keepalive.is_shared = statement->count == 2;
        if (statement->count == 3 && !weir_str_eq(statement->args[2], WEIR_STR("local"))) {
            return weir_conf_refuse_arg(conf, statement, 2, "invalid parameter \"%.*s\"",
                                        WEIR_STR_ARG(statement->args[2]));
        }
    } else if (weir_str_eq(name, WEIR_STR("keepalive_requests"))) {
        said = SAID_REQUESTS;
        is_good = weir_parse_uint(text, UINT32_MAX, &group->keepalive.requests);
    } else if (weir_str_eq(name, WEIR_STR("keepalive_time"))) {
        said = SAID_TIME;
        is_good = weir_parse_time_ms(text, INT64_MAX, &group->keepalive.time_ms);
    } else {
        said = SAID_TIMEOUT;
        is_good = weir_parse_time_ms(text, INT64_MAX, &group->keepalive.timeout_ms);
    }

    if ((group->keepalive.said & said) != 0) {
        return weir_conf_refuse_arg(conf, statement, 0, "\"%.*s\" directive is duplicate",
                                    WEIR_STR_ARG(name));
    }
    group->keepalive.said |= said;
    return is_good
           || weir_conf_refuse_arg(conf, statement, 1,
                                   "invalid value \"%.*s\" in \"%.*s\" directive",
                                   WEIR_STR_ARG(text), WEIR_STR_ARG(name));
}
