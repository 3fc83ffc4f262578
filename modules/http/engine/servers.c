#include "modules/http/engine/engine_internal.h"

#include <unistd.h>

#include "core/process/core_conf.h"
#include "core/process/worker.h"
#include "core/server/values.h"
#include "modules/http/engine/ssl.h"

/* `http` and `server` blocks; how the servers of core/server are http's. */

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
        const weir_http_module *module = weir_http_module_of(http->modules[i]);

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
    weir_list_init(&http->exchanges);
    http->space = weir_space_of(conf, "http");
    http->modules = weir_modules_of(cycle->modules, "http", &http->module_count);
    if (http->space == NULL || !weir_space_add(conf, http->space, weir_process_variables)
        || !variables_add(conf, http)) {
        return NULL;
    }
    weir_servers_begin(conf, &http->servers, &weir_http_servers);
    weir_array_init(&http->temp_folders, pool, sizeof(weir_str), 8);
    http->counts = weir_http_counts_new(conf);
    http->level = http->counts == NULL ? NULL : weir_level_new(conf, outer, http);
    return http->level;
}

static bool http_leave(weir_conf *conf, weir_level *level, const weir_statement *statement)
{
    weir_http_cycle *http = level->owner;

    (void) statement;
    http->core = weir_level_settings(level, &weir_http_core.base);
    return weir_servers_settle(conf, &http->servers);
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
    http->debugs_some = events != NULL && events->debug_connections != NULL;
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

/* `listen` and `server_name`, as http has them. */

static bool listen_parameter(weir_conf *conf, const weir_statement *statement, size_t arg,
                             weir_listen *listen, bool *is_known)
{
    weir_str text = statement->args[arg];

    if (weir_str_eq(text, WEIR_STR("http2"))) {
        weir_conf_warn(conf, "the \"listen ... http2\" directive is deprecated, use the \"http2\" "
                             "directive instead");
        listen->flags |= WEIR_HTTP_LISTEN_HTTP2;
        return true;
    }
    if (weir_str_eq(text, WEIR_STR("quic"))) {
        return weir_conf_refuse_arg(conf, statement, arg,
                                    "the \"quic\" parameter is not supported: weir has no HTTP/3");
    }
    *is_known = false;
    return true;
}

static const weir_tls_server_conf *tls_settings(const weir_server *server)
{
    const weir_http_server *http = (const weir_http_server *) (const void *) server;
    const weir_http_ssl_conf *ssl = weir_level_settings(http->level, &weir_http_ssl.base);

    return &ssl->tls;
}

static void settle_listener(const weir_server_address *address, weir_listener *listener)
{
    const weir_http_core_conf *core = weir_http_server_of(address->default_server)->core;

    listener->proxy_protocol_timeout_ms = core->client_header_timeout_ms;
    listener->connection_pool_bytes = weir_http_of_address(address)->core->connection_pool_bytes;
    listener->accepted = weir_http_accepted;
    if (core->error_log != NULL) {
        listener->log.target = core->error_log;
    }
}

const weir_server_family weir_http_servers = {
    .name = "http",
    .default_port = 80,
    /*
     * HTTP's clients speak first, and so do TLS's: the kernel hands a connection over once there is
     * something to read, which saves a turn of the loop for each (http_close: 0.80 of nginx's time instead of 0.95).
     * One that stays silent comes after a second all the same.
     */
    .listener = {.backlog = WEIR_LISTENER_BACKLOG,
                 .deferred = true,
                 .ipv6only = true,
                 .keepalive = -1},
    .parameter = listen_parameter,
    .tls_settings = tls_settings,
    .settle_acceptor = weir_http_settle_acceptor,
    .settle_listener = settle_listener,
};

bool weir_http_listen_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    return weir_server_listen(conf, &weir_http_servers, &weir_http_conf_server(conf)->base,
                              statement);
}

bool weir_http_server_name_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    return weir_server_add_names(conf, &weir_http_servers, &weir_http_conf_server(conf)->base,
                                 statement);
}

weir_level *weir_http_server_enter(weir_conf *conf, weir_level *outer,
                                   const weir_statement *statement)
{
    weir_http_cycle *http = outer->owner;
    weir_http_server *server = WEIR_NEW(weir_conf_pool(conf), weir_http_server);

    if (server == NULL) {
        weir_conf_refuse(conf, "no memory for \"server\"");
        return NULL;
    }
    if (!weir_servers_add(conf, &http->servers, &server->base, statement)) {
        return NULL;
    }
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
    if (server->base.listens.count == 0) {
        weir_listen *listen = weir_array_push(&server->base.listens);

        if (listen == NULL) {
            return weir_conf_refuse(conf, "no memory for \"server\"");
        }
        listen->options = weir_http_servers.listener;
        listen->addr =
            (weir_addr){.len = sizeof(struct sockaddr_in), .in = {.sin_family = AF_INET}};
        weir_addr_set_port(&listen->addr, geteuid() == 0 ? 80 : 8000);
    }
    server->name = weir_server_first_name(&server->base);
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
