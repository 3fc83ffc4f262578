/* The names of servers: reading them, and finding a server by a name. */

#include "core/server/server_internal.h"

#include <unistd.h>

/* ---- reading */

static bool name_add(weir_conf *conf, weir_server *server, weir_server_name_kind kind,
                     weir_str text, const weir_regex *regex)
{
    weir_server_name *name = weir_array_push(&server->names);

    if (name == NULL || !weir_str_lower(weir_conf_pool(conf), text, &name->text)) {
        return weir_conf_refuse(conf, "no memory for \"server_name\"");
    }
    name->kind = kind;
    name->regex = regex;
    return true;
}

static bool name_hostname(weir_conf *conf, weir_server *server)
{
    char host[256] = "";

    if (gethostname(host, sizeof(host) - 1) != 0) {
        return weir_conf_refuse(conf, "gethostname() failed");
    }
    return name_add(conf, server, WEIR_SERVER_NAME_EXACT, weir_str_from_z(host), NULL);
}

/* A "*" may only be the first or the last label. */
static bool name_is_well_formed(weir_str text)
{
    const char *star = weir_str_find_byte(text, '*');

    if (weir_str_find(text, WEIR_STR("..")) != NULL) {
        return false;
    }
    if (star == NULL) {
        return true;
    }
    if (text.len < 3
        || weir_str_find_byte(weir_str_from(text, (size_t) (star - text.data) + 1), '*')) {
        return false;
    }
    return (star == text.data && text.data[1] == '.')
           || (star == text.data + text.len - 1 && text.data[text.len - 2] == '.');
}

/* One word of server_name. */
static bool name_read(weir_conf *conf, const weir_server_family *family, weir_server *server,
                      const weir_statement *statement, size_t i)
{
    weir_str text = statement->args[i];

    if (text.len > 0 && text.data[0] == '~') {
        const weir_regex *regex;

        if (text.len == 1) {
            return weir_conf_refuse_arg(conf, statement, i, "empty regex in server name \"~\"");
        }
        regex =
            weir_regex_new(conf, weir_space_of(conf, family->name), weir_str_from(text, 1), true);
        return regex != NULL && name_add(conf, server, WEIR_SERVER_NAME_REGEX, text, regex);
    }
    if (weir_str_eq(text, WEIR_STR("$hostname"))) {
        return name_hostname(conf, server);
    }
    if (!name_is_well_formed(text)) {
        return weir_conf_refuse_arg(conf, statement, i, "server name \"%.*s\" is invalid",
                                    WEIR_STR_ARG(text));
    }
    if (weir_str_find_byte(text, '/') != NULL) {
        /* No host has one, so nothing is served by it: a URL, or a directive behind a ";" that was forgotten. */
        weir_conf_warn(conf, "server name \"%.*s\" has suspicious symbols", WEIR_STR_ARG(text));
    }
    if (text.len > 1 && text.data[0] == '.') {
        /* ".example.org" is the name itself and all below it. */
        return name_add(conf, server, WEIR_SERVER_NAME_EXACT, weir_str_from(text, 1), NULL)
               && name_add(conf, server, WEIR_SERVER_NAME_LEADING_WILDCARD, text, NULL);
    }
    if (weir_str_starts(text, WEIR_STR("*."))) {
        return name_add(conf, server, WEIR_SERVER_NAME_LEADING_WILDCARD, text, NULL);
    }
    if (weir_str_ends(text, WEIR_STR(".*"))) {
        return name_add(conf, server, WEIR_SERVER_NAME_TRAILING_WILDCARD, text, NULL);
    }
    return name_add(conf, server, WEIR_SERVER_NAME_EXACT, text, NULL);
}

bool weir_server_add_names(weir_conf *conf, const weir_server_family *family, weir_server *server,
                           const weir_statement *statement)
{
    for (size_t i = 1; i < statement->count; i++) {
        if (!name_read(conf, family, server, statement, i)) {
            return false;
        }
    }
    return true;
}

weir_str weir_server_first_name(const weir_server *server)
{
    return server->names.count == 0 ? WEIR_STR_EMPTY
                                    : WEIR_ARRAY_AT(&server->names, weir_server_name, 0)->text;
}

/* ---- look-up tables */

static bool name_put(weir_conf *conf, const weir_server_address *address, weir_map *map,
                     weir_str key, weir_str shown, weir_server *server)
{
    char text[WEIR_ADDR_TEXT_MAX];

    if (weir_map_find(map, key) != NULL) {
        weir_conf_warn(conf, "conflicting server name \"%.*s\" on %.*s, ignored",
                       WEIR_STR_ARG(shown),
                       WEIR_STR_ARG(weir_addr_text(&address->addr, true, text)));
        return true;
    }
    return weir_map_put(map, key, server) || weir_conf_refuse(conf, "no memory for server names");
}

bool weir_server_names_put(weir_conf *conf, weir_server_address *address, weir_server *server)
{
    /* Without server_name, a server has the empty name: requests without Host. */
    if (server->names.count == 0) {
        return weir_map_find(address->exact, WEIR_STR_EMPTY) != NULL
               || weir_map_put(address->exact, WEIR_STR_EMPTY, server);
    }

    for (WEIR_ARRAY_EACH(&server->names, weir_server_name, name)) {
        weir_str text = name->text;
        bool is_put = true;

        switch (name->kind) {
        case WEIR_SERVER_NAME_EXACT:
            is_put = name_put(conf, address, address->exact, text, text, server);
            break;
        case WEIR_SERVER_NAME_LEADING_WILDCARD:
            is_put = name_put(conf, address, address->leading,
                              weir_str_from(text, text.data[0] == '*' ? 2 : 1), text, server);
            break;
        case WEIR_SERVER_NAME_TRAILING_WILDCARD:
            is_put = name_put(conf, address, address->trailing,
                              weir_str_slice(text, 0, text.len - 2), text, server);
            break;
        case WEIR_SERVER_NAME_REGEX: {
            weir_server_name_regex *regex = weir_array_push(&address->regexes);

            if (regex == NULL) {
                return weir_conf_refuse(conf, "no memory for server names");
            }
            *regex = (weir_server_name_regex){name->regex, server};
            break;
        }
        }
        if (!is_put) {
            return false;
        }
    }
    return true;
}

/* ---- look-up */

static weir_server *find_leading(const weir_server_address *address, weir_str host)
{
    for (size_t i = 0; i + 1 < host.len; i++) {
        if (host.data[i] == '.') {
            weir_server *server = weir_map_find(address->leading, weir_str_from(host, i + 1));

            if (server != NULL) {
                return server;
            }
        }
    }
    return NULL;
}

static weir_server *find_trailing(const weir_server_address *address, weir_str host)
{
    for (size_t i = host.len; i > 1; i--) {
        if (host.data[i - 1] == '.') {
            weir_server *server = weir_map_find(address->trailing, weir_str_slice(host, 0, i - 1));

            if (server != NULL) {
                return server;
            }
        }
    }
    return NULL;
}

weir_server *weir_server_find(const weir_server_address *address, weir_str host,
                              weir_script *script)
{
    weir_server *server = weir_map_find(address->exact, host);

    if (server == NULL && weir_map_count(address->leading) != 0) {
        server = find_leading(address, host);
    }
    if (server == NULL && weir_map_count(address->trailing) != 0) {
        server = find_trailing(address, host);
    }
    if (server != NULL || host.len == 0) {
        return server;
    }

    for (WEIR_ARRAY_EACH(&address->regexes, weir_server_name_regex, name)) {
        weir_regex_result result = script != NULL ? weir_regex_match(name->regex, script, host)
                                                  : weir_regex_test(name->regex, host, NULL);

        if (result == WEIR_REGEX_MATCH) {
            return name->server;
        }
    }
    return NULL;
}
