/* Who is asked for names: as the directive says it, or the machine. */

#include "core/net/resolver.h"

#include <stdio.h>

#include "core/base/number.h"
#include "core/net/hosts.h"

#define SETTINGS_PORT 53
#define SETTINGS_LINE_MAX 1024

/* ---- the directive */

/* An address, or a name that is looked up now. */
static bool settings_add_servers(weir_conf *conf, weir_array *servers,
                                 const weir_statement *statement, size_t arg)
{
    weir_str text = statement->args[arg];
    weir_addr *found;
    const char *why;
    size_t count = weir_lookup(weir_conf_pool(conf), text, SETTINGS_PORT, &found, &why);

    if (count == 0) {
        return weir_conf_refuse_arg(conf, statement, arg, "%s in resolver \"%.*s\"", why,
                                    WEIR_STR_ARG(text));
    }
    for (size_t i = 0; i < count; i++) {
        weir_addr *added;

        if (weir_addr_is_unix(&found[i])) {
            return weir_conf_refuse_arg(conf, statement, arg, "\"resolver\" takes no unix socket");
        }
        added = weir_array_push(servers);
        if (added == NULL) {
            return weir_conf_refuse(conf, "no memory");
        }
        *added = found[i];
    }
    return true;
}

static bool settings_family(weir_conf *conf, const weir_statement *statement, size_t arg,
                            weir_str value, bool *is_on)
{
    if (weir_str_eq(value, WEIR_STR("on"))) {
        *is_on = true;
        return true;
    }
    if (weir_str_eq(value, WEIR_STR("off"))) {
        *is_on = false;
        return true;
    }
    return weir_conf_refuse_arg(conf, statement, arg, "invalid parameter: %.*s",
                                WEIR_STR_ARG(statement->args[arg]));
}

static bool settings_word(weir_conf *conf, weir_resolver_settings *settings, weir_array *servers,
                          const weir_statement *statement, size_t arg)
{
    weir_str word = statement->args[arg], value;

    if (weir_conf_parameter(word, "valid=", &value)) {
        return (weir_parse_time_ms(value, INT64_MAX, &settings->valid_ms)
                && settings->valid_ms != 0)
               || weir_conf_refuse_arg(conf, statement, arg, "invalid parameter: %.*s",
                                       WEIR_STR_ARG(word));
    }
    if (weir_conf_parameter(word, "ipv4=", &value)) {
        return settings_family(conf, statement, arg, value, &settings->ipv4);
    }
    if (weir_conf_parameter(word, "ipv6=", &value)) {
        return settings_family(conf, statement, arg, value, &settings->ipv6);
    }
    if (weir_conf_parameter(word, "status_zone=", &value)) {
        settings->zone_name = value;
        return value.len != 0
               || weir_conf_refuse_arg(conf, statement, arg, "invalid parameter: %.*s",
                                       WEIR_STR_ARG(word));
    }
    return settings_add_servers(conf, servers, statement, arg);
}

weir_resolver_settings *weir_resolver_settings_read(weir_conf *conf,
                                                    const weir_statement *statement)
{
    weir_resolver_settings *settings = WEIR_NEW(weir_conf_pool(conf), weir_resolver_settings);
    weir_array servers;

    if (settings == NULL) {
        (void) weir_conf_refuse(conf, "no memory");
        return NULL;
    }
    settings->ipv4 = settings->ipv6 = true;
    weir_array_init(&servers, weir_conf_pool(conf), sizeof(weir_addr), 2);
    for (size_t i = 1; i < statement->count; i++) {
        if (!settings_word(conf, settings, &servers, statement, i)) {
            return NULL;
        }
    }

    if (!settings->ipv4 && !settings->ipv6) {
        (void) weir_conf_refuse(conf, "\"ipv4\" and \"ipv6\" cannot both be \"off\"");
        return NULL;
    }
    if (servers.count == 0) {
        (void) weir_conf_refuse(conf, "no name servers defined");
        return NULL;
    }
    settings->servers = servers.items;
    settings->servers_count = servers.count;
    return settings;
}

/* ---- the machine */

/* "nameserver ADDRESS"; a scope ("%eth0") is what addresses here do not have. */
static bool settings_nameserver(weir_str line, weir_addr *addr)
{
    weir_str word;

    if (!weir_hosts_next_word(&line, &word) || !weir_str_eq(word, WEIR_STR("nameserver"))
        || !weir_hosts_next_word(&line, &word) || !weir_addr_parse_ip(word, addr)) {
        return false;
    }
    weir_addr_set_port(addr, SETTINGS_PORT);
    return true;
}

static size_t settings_nameservers(const char *path, weir_addr *servers, size_t room)
{
    FILE *file = fopen(path, "re");
    char line[SETTINGS_LINE_MAX];
    size_t count = 0;

    while (file != NULL && count < room && fgets(line, sizeof(line), file) != NULL) {
        if (settings_nameserver(weir_str_from_z(line), &servers[count])) {
            count++;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return count;
}

const weir_resolver_settings *
weir_resolver_settings_of_system(weir_pool *pool, const char *resolv_conf, const char *hosts_file)
{
    enum { MOST = 3 }; /* as the system's resolver has it */
    weir_resolver_settings *settings = WEIR_NEW(pool, weir_resolver_settings);

    if (settings == NULL || (settings->servers = WEIR_NEW_ARRAY(pool, weir_addr, MOST)) == NULL
        || !weir_str_copy(pool, weir_str_from_z(hosts_file), &settings->hosts_file)) {
        return NULL;
    }
    settings->ipv4 = settings->ipv6 = true;
    settings->servers_count = settings_nameservers(resolv_conf, settings->servers, MOST);
    if (settings->servers_count == 0
        && weir_addr_parse(WEIR_STR("127.0.0.1"), SETTINGS_PORT, &settings->servers[0])) {
        settings->servers_count = 1;
    }
    return settings;
}
