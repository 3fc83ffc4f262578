#include "modules/http/engine/engine_internal.h"

#include <unistd.h>

#include "core/process/core_conf.h"
#include "core/process/worker.h"

/* `http` and `server` blocks, the names of servers, and which server an address and a name lead to. */

#define OBJECT_NAME "http"

weir_http_cycle *weir_http_of_cycle(const weir_cycle *cycle)
{
    return weir_cycle_object(cycle, OBJECT_NAME);
}

/* ---- http { } */

/* Modules of load_module are among them: they were loaded while the file was parsed. */
static bool variables_add(weir_conf *conf, weir_http_cycle *http)
{
    for (size_t i = 0; i < http->module_count; i++) {
        const weir_http_module *module =
            weir_http_module_of(weir_modules_at(http->cycle->modules, "http", i));

        if (module->variables != NULL && !weir_space_add(conf, http->space, module->variables)) {
            return false;
        }
    }
    return true;
}

static weir_level *http_enter(weir_conf *conf, weir_level *outer, const weir_statement *statement)
{
    weir_pool *pool = weir_conf_pool(conf);
    weir_cycle *cycle = weir_conf_cycle(conf);
    weir_http_cycle *http;

    if (weir_http_of_cycle(cycle) != NULL) {
        weir_conf_refuse_arg(conf, statement, 0, "\"http\" directive is duplicate");
        return NULL;
    }

    http = WEIR_NEW(pool, weir_http_cycle);
    if (http == NULL || !weir_cycle_set_object(cycle, OBJECT_NAME, http)) {
        weir_conf_refuse(conf, "no memory for \"http\"");
        return NULL;
    }
    http->cycle = cycle;
    http->space = weir_space_of(conf, "http");
    http->module_count = weir_modules_count(cycle->modules, "http");
    if (!variables_add(conf, http)) {
        return NULL;
    }
    weir_array_init(&http->servers, pool, sizeof(weir_http_server *), 8);
    weir_array_init(&http->addresses, pool, sizeof(weir_http_address *), 8);
    weir_array_init(&http->ports, pool, sizeof(weir_http_port *), 8);
    weir_array_init(&http->temp_folders, pool, sizeof(weir_str), 8);
    http->level = weir_level_new(conf, outer, http);
    return http->level;
}

static bool http_leave(weir_conf *conf, weir_level *level, const weir_statement *statement)
{
    weir_http_cycle *http = level->owner;

    (void) statement;
    http->core = weir_level_settings(level, &weir_http_core.base);
    return weir_http_addresses_make(conf, http);
}

static bool http_configured(weir_conf *conf)
{
    const weir_http_cycle *http = weir_http_of_cycle(weir_conf_cycle(conf));

    return http == NULL
           || (weir_space_close(conf, http->space) && weir_http_temp_folders_make(conf, http));
}

static bool http_worker_start(weir_worker *worker)
{
    weir_http_cycle *http = weir_http_of_cycle(worker->cycle);
    const weir_events_conf *events = weir_core_events(worker->cycle->core);

    if (http == NULL || worker->is_keeper) {
        return true;
    }
    http->debugs_some = events != NULL && events->debug_connections.count != 0;
    return weir_http_drain_start(worker);
}

static const weir_directive http_directives[] = {
    {
        .name = "http",
        .where = WEIR_MAIN,
        .takes = WEIR_TAKES_NONE,
        .block = WEIR_BLOCK_LEVEL,
        .opens = WEIR_HTTP_MAIN,
        .enter = http_enter,
        .leave = http_leave,
        .doc = "Everything about HTTP.",
    },
    {0},
};

static const weir_context http_contexts[] = {
    {WEIR_HTTP_MAIN, "http", "http"},
    {WEIR_HTTP_SERVER, "server", "http"},
    {WEIR_HTTP_LOCATION, "location", "http"},
    {WEIR_HTTP_UPSTREAM, "upstream", "http"},
    {WEIR_HTTP_SERVER_IF, "if in server", "http"},
    {WEIR_HTTP_LOCATION_IF, "if in location", "http"},
    {WEIR_HTTP_LIMIT_EXCEPT, "limit_except", "http"},
    {0, NULL, NULL},
};

const weir_module weir_http_block = {
    .name = "http",
    .directives = http_directives,
    .contexts = http_contexts,
    .configured = http_configured,
    .worker_start = http_worker_start,
};

/* ---- server { } */

weir_level *weir_http_server_enter(weir_conf *conf, weir_level *outer,
                                   const weir_statement *statement)
{
    weir_pool *pool = weir_conf_pool(conf);
    weir_http_cycle *http = outer->owner;
    weir_http_server *server = WEIR_NEW(pool, weir_http_server);
    weir_http_server **place = weir_array_push(&http->servers);

    if (server == NULL || place == NULL) {
        weir_conf_refuse(conf, "no memory for \"server\"");
        return NULL;
    }
    *place = server;
    server->statement = statement;
    weir_array_init(&server->names, pool, sizeof(weir_http_server_name), 1);
    weir_array_init(&server->listens, pool, sizeof(weir_http_listen), 1);
    server->level = weir_level_new(conf, outer, server);
    if (server->level == NULL) {
        return NULL;
    }
    server->root = weir_http_location_new(conf, server, NULL, server->level);
    return server->root == NULL ? NULL : server->level;
}

bool weir_http_server_leave(weir_conf *conf, weir_level *level, const weir_statement *statement)
{
    weir_http_server *server = level->owner;

    (void) statement;
    server->core = weir_level_settings(level, &weir_http_core.base);
    if (server->listens.count == 0) {
        weir_http_listen *listen = weir_array_push(&server->listens);

        if (listen == NULL) {
            return weir_conf_refuse(conf, "no memory for \"server\"");
        }
        listen->options = weir_http_listener_options();
        listen->addr =
            (weir_addr){.len = sizeof(struct sockaddr_in), .in = {.sin_family = AF_INET}};
        weir_addr_set_port(&listen->addr, geteuid() == 0 ? 80 : 8000);
    }
    if (server->names.count != 0) {
        server->name = WEIR_ARRAY_AT(&server->names, weir_http_server_name, 0)->text;
    }
    return weir_http_location_settle(conf, server->root)
           && weir_http_location_tree_make(conf, server->root);
}

weir_http_server *weir_http_conf_server(weir_conf *conf)
{
    for (weir_level *level = weir_conf_level(conf); level != NULL; level = level->outer) {
        if (level->context == WEIR_HTTP_SERVER) {
            return level->owner;
        }
    }
    return NULL;
}

weir_http_location *weir_http_conf_location(weir_conf *conf)
{
    weir_level *level = weir_conf_level(conf);

    if (level->context == WEIR_HTTP_SERVER) {
        return ((weir_http_server *) level->owner)->root;
    }
    return level->context == WEIR_HTTP_MAIN || level->context == WEIR_HTTP_UPSTREAM ? NULL
                                                                                    : level->owner;
}

/* ---- server_name */

static bool name_add(weir_conf *conf, weir_http_server *server, weir_http_server_name_kind kind,
                     weir_str text, const weir_regex *regex)
{
    weir_http_server_name *name = weir_array_push(&server->names);

    if (name == NULL || !weir_str_lower(weir_conf_pool(conf), text, &name->text)) {
        return weir_conf_refuse(conf, "no memory for \"server_name\"");
    }
    name->kind = kind;
    name->regex = regex;
    return true;
}

static bool name_hostname(weir_conf *conf, weir_http_server *server)
{
    char host[256] = "";

    if (gethostname(host, sizeof(host) - 1) != 0) {
        return weir_conf_refuse(conf, "gethostname() failed");
    }
    return name_add(conf, server, WEIR_HTTP_NAME_EXACT, weir_str_from_z(host), NULL);
}

/* A "*" may only be the first or the last label. */
static bool name_is_well_formed(weir_str text)
{
    const char *star = weir_str_find_byte(text, '*');

    if (weir_str_find(text, WEIR_STR("..")) != NULL || weir_str_find_byte(text, '/') != NULL) {
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

bool weir_http_server_name_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_http_server *server = weir_http_conf_server(conf);

    (void) settings;
    for (size_t i = 1; i < statement->count; i++) {
        weir_str text = statement->args[i];
        bool is_added;

        if (text.len > 0 && text.data[0] == '~') {
            const weir_regex *regex;

            if (text.len == 1) {
                return weir_conf_refuse_arg(conf, statement, i, "empty regex in server name \"~\"");
            }
            regex = weir_regex_new(conf, weir_space_of(conf, "http"), weir_str_from(text, 1), true);
            is_added = regex != NULL && name_add(conf, server, WEIR_HTTP_NAME_REGEX, text, regex);
        } else if (weir_str_eq(text, WEIR_STR("$hostname"))) {
            is_added = name_hostname(conf, server);
        } else if (!name_is_well_formed(text)) {
            return weir_conf_refuse_arg(conf, statement, i, "server name \"%.*s\" is invalid",
                                        WEIR_STR_ARG(text));
        } else if (text.len > 1 && text.data[0] == '.') {
            /* ".example.org" is the name itself and all below it. */
            is_added = name_add(conf, server, WEIR_HTTP_NAME_EXACT, weir_str_from(text, 1), NULL)
                       && name_add(conf, server, WEIR_HTTP_NAME_LEADING_WILDCARD, text, NULL);
        } else if (weir_str_starts(text, WEIR_STR("*."))) {
            is_added = name_add(conf, server, WEIR_HTTP_NAME_LEADING_WILDCARD, text, NULL);
        } else if (weir_str_ends(text, WEIR_STR(".*"))) {
            is_added = name_add(conf, server, WEIR_HTTP_NAME_TRAILING_WILDCARD, text, NULL);
        } else {
            is_added = name_add(conf, server, WEIR_HTTP_NAME_EXACT, text, NULL);
        }
        if (!is_added) {
            return false;
        }
    }
    return true;
}

/* ---- look-up */

typedef struct {
    const weir_regex *regex;
    weir_http_server *server;
} name_regex;

static weir_http_server *find_leading(const weir_http_address *address, weir_str host)
{
    for (size_t i = 0; i + 1 < host.len; i++) {
        if (host.data[i] == '.') {
            weir_http_server *server = weir_map_find(address->leading, weir_str_from(host, i + 1));

            if (server != NULL) {
                return server;
            }
        }
    }
    return NULL;
}

static weir_http_server *find_trailing(const weir_http_address *address, weir_str host)
{
    for (size_t i = host.len; i > 1; i--) {
        if (host.data[i - 1] == '.') {
            weir_http_server *server =
                weir_map_find(address->trailing, weir_str_slice(host, 0, i - 1));

            if (server != NULL) {
                return server;
            }
        }
    }
    return NULL;
}

weir_http_server *weir_http_server_find(const weir_http_address *address, weir_str host,
                                        weir_script *script)
{
    weir_http_server *server = weir_map_find(address->exact, host);

    if (server == NULL && weir_map_count(address->leading) != 0) {
        server = find_leading(address, host);
    }
    if (server == NULL && weir_map_count(address->trailing) != 0) {
        server = find_trailing(address, host);
    }
    if (server != NULL || host.len == 0) {
        return server;
    }

    for (WEIR_ARRAY_EACH(&address->regexes, name_regex, name)) {
        weir_regex_result result = script != NULL ? weir_regex_match(name->regex, script, host)
                                                  : weir_regex_test(name->regex, host, NULL);

        if (result == WEIR_REGEX_MATCH) {
            return name->server;
        }
    }
    return NULL;
}

/* ---- addresses and ports, once all servers are read */

static weir_http_address *address_get(weir_conf *conf, weir_http_cycle *http, const weir_addr *addr)
{
    weir_pool *pool = weir_conf_pool(conf);

    for (WEIR_ARRAY_EACH(&http->addresses, weir_http_address *, known)) {
        if (weir_addr_eq(&(*known)->addr, addr)) {
            return *known;
        }
    }

    weir_http_address **place = weir_array_push(&http->addresses);
    weir_http_address *address = WEIR_NEW(pool, weir_http_address);

    if (place == NULL || address == NULL) {
        return NULL;
    }
    *place = address;
    address->addr = *addr;
    address->http = http;
    address->exact = weir_map_new(pool, true, 16);
    address->leading = weir_map_new(pool, true, 0);
    address->trailing = weir_map_new(pool, true, 0);
    weir_array_init(&address->regexes, pool, sizeof(name_regex), 4);
    weir_array_init(&address->servers, pool, sizeof(weir_http_server *), 4);
    return address->exact != NULL && address->leading != NULL && address->trailing != NULL ? address
                                                                                           : NULL;
}

static bool name_put(weir_conf *conf, const weir_http_address *address, weir_map *map, weir_str key,
                     weir_str shown, weir_http_server *server)
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

static bool names_put(weir_conf *conf, weir_http_address *address, weir_http_server *server)
{
    /* Without server_name, a server has the empty name: requests without Host. */
    if (server->names.count == 0) {
        return weir_map_find(address->exact, WEIR_STR_EMPTY) != NULL
               || weir_map_put(address->exact, WEIR_STR_EMPTY, server);
    }

    for (WEIR_ARRAY_EACH(&server->names, weir_http_server_name, name)) {
        weir_str text = name->text;
        bool is_put = true;

        switch (name->kind) {
        case WEIR_HTTP_NAME_EXACT:
            is_put = name_put(conf, address, address->exact, text, text, server);
            break;
        case WEIR_HTTP_NAME_LEADING_WILDCARD:
            is_put = name_put(conf, address, address->leading,
                              weir_str_from(text, text.data[0] == '*' ? 2 : 1), text, server);
            break;
        case WEIR_HTTP_NAME_TRAILING_WILDCARD:
            is_put = name_put(conf, address, address->trailing,
                              weir_str_slice(text, 0, text.len - 2), text, server);
            break;
        case WEIR_HTTP_NAME_REGEX: {
            name_regex *regex = weir_array_push(&address->regexes);

            if (regex == NULL) {
                return weir_conf_refuse(conf, "no memory for server names");
            }
            *regex = (name_regex){name->regex, server};
            break;
        }
        }
        if (!is_put) {
            return false;
        }
    }
    return true;
}

static bool address_add(weir_conf *conf, weir_http_address *address, weir_http_server *server,
                        const weir_http_listen *listen)
{
    char text[WEIR_ADDR_TEXT_MAX];
    weir_http_server **place = weir_array_push(&address->servers);

    if (place == NULL) {
        return weir_conf_refuse(conf, "no memory for \"listen\"");
    }
    *place = server;

    if (listen->is_default && address->has_explicit_default) {
        return weir_conf_refuse_arg(conf, server->statement, 0,
                                    "a duplicate default server for %.*s",
                                    WEIR_STR_ARG(weir_addr_text(&address->addr, true, text)));
    }
    if (listen->is_default || address->default_server == NULL) {
        address->default_server = server;
        address->has_explicit_default = listen->is_default;
    }

    if (listen->options_are_given && address->options_are_given) {
        return weir_conf_refuse_arg(conf, server->statement, 0, "duplicate listen options for %.*s",
                                    WEIR_STR_ARG(weir_addr_text(&address->addr, true, text)));
    }
    if (listen->options_are_given || !address->options_are_given) {
        address->options = listen->options;
        address->options_are_given = listen->options_are_given;
    }
    address->ssl |= listen->ssl;
    address->proxy_protocol |= listen->proxy_protocol;
    address->http2 |= listen->http2;
    return names_put(conf, address, server);
}

/* The port whose wildcard socket takes this address's connections, or that of the address itself. */
static bool port_takes(const weir_http_address *wildcard, const weir_http_address *address)
{
    return wildcard != address && weir_addr_is_wildcard(&wildcard->addr)
           && wildcard->addr.sa.sa_family == address->addr.sa.sa_family
           && weir_addr_port(&wildcard->addr) == weir_addr_port(&address->addr);
}

static bool port_make(weir_conf *conf, weir_http_cycle *http, weir_http_address *address)
{
    weir_pool *pool = weir_conf_pool(conf);
    weir_http_port *port = WEIR_NEW(pool, weir_http_port);
    weir_http_port **place = weir_array_push(&http->ports);
    weir_http_address **last;
    bool reads_proxy = address->proxy_protocol;
    bool is_new;

    if (port == NULL || place == NULL) {
        return weir_conf_refuse(conf, "no memory for \"listen\"");
    }
    *place = port;
    weir_array_init(&port->addresses, pool, sizeof(weir_http_address *), 1);

    for (WEIR_ARRAY_EACH(&http->addresses, weir_http_address *, other)) {
        if (port_takes(address, *other)) {
            last = weir_array_push(&port->addresses);
            if (last == NULL) {
                return weir_conf_refuse(conf, "no memory for \"listen\"");
            }
            *last = *other;
            reads_proxy |= (*other)->proxy_protocol;
        }
    }
    last = weir_array_push(&port->addresses);
    port->listener = weir_listeners_get(http->cycle->listeners, &address->addr, &is_new);
    if (last == NULL || port->listener == NULL) {
        return weir_conf_refuse(conf, "no memory for \"listen\"");
    }
    *last = address;
    if (!is_new) {
        char text[WEIR_ADDR_TEXT_MAX];

        return weir_conf_refuse(conf, "duplicate \"%.*s\" address and port pair",
                                WEIR_STR_ARG(weir_addr_text(&address->addr, true, text)));
    }

    port->listener->options = address->options;
    port->listener->proxy_protocol = reads_proxy;
    port->listener->begins_with_proxy = weir_http_begins_with_proxy;
    port->listener->proxy_protocol_timeout_ms =
        address->default_server->core->client_header_timeout_ms;
    port->listener->connection_pool_bytes = http->core->connection_pool_bytes;
    port->listener->accepted = weir_http_accepted;
    port->listener->subject = port;
    port->listener->log = http->cycle->log;
    if (address->default_server->core->error_log != NULL) {
        port->listener->log.target = address->default_server->core->error_log;
    }
    return true;
}

static bool has_wildcard(const weir_http_cycle *http, const weir_http_address *address)
{
    for (WEIR_ARRAY_EACH(&http->addresses, weir_http_address *, other)) {
        if (port_takes(*other, address)) {
            return true;
        }
    }
    return false;
}

bool weir_http_addresses_make(weir_conf *conf, weir_http_cycle *http)
{
    for (WEIR_ARRAY_EACH(&http->servers, weir_http_server *, server)) {
        for (WEIR_ARRAY_EACH(&(*server)->listens, weir_http_listen, listen)) {
            weir_http_address *address = address_get(conf, http, &listen->addr);

            if (address == NULL) {
                return weir_conf_refuse(conf, "no memory for \"listen\"");
            }
            if (!address_add(conf, address, *server, listen)) {
                return false;
            }
        }
    }

    for (WEIR_ARRAY_EACH(&http->addresses, weir_http_address *, address)) {
        if (!has_wildcard(http, *address) && !port_make(conf, http, *address)) {
            return false;
        }
        (*address)->has_one_server =
            (*address)->servers.count == 1 && (*address)->regexes.count == 0;
        if ((*address)->ssl && !weir_http_address_tls(conf, *address)) {
            return false;
        }
    }
    return true;
}
