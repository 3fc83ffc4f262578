#include "modules/stream/engine/engine_internal.h"

#include "core/process/core_conf.h"
#include "core/process/error_log.h"
#include "core/process/resolver_conf.h"
#include "core/process/worker.h"
#include "core/server/values.h"

/* `stream` and `server` blocks; how the servers of core/server are stream's; the engine's directives. */

#define OBJECT_NAME "stream"

weir_stream_cycle *weir_stream_of_cycle(const weir_cycle *cycle)
{
    return weir_cycle_object(cycle, OBJECT_NAME);
}

/* ---- stream { } */

static bool variables_add(weir_conf *conf, const weir_stream_cycle *stream)
{
    for (size_t i = 0; i < stream->module_count; i++) {
        const weir_stream_module *module = weir_stream_module_of(stream->modules[i]);

        if (module->variables != NULL && !weir_space_add(conf, stream->space, module->variables)) {
            return false;
        }
    }
    return true;
}

static weir_level *stream_enter(weir_conf *conf, weir_level *outer, const weir_statement *statement)
{
    weir_cycle *cycle = weir_conf_cycle(conf);
    weir_stream_cycle *stream;

    if (weir_stream_of_cycle(cycle) != NULL) {
        weir_conf_refuse_arg(conf, statement, 0, "\"stream\" directive is duplicate");
        return NULL;
    }

    stream = WEIR_NEW(weir_conf_pool(conf), weir_stream_cycle);
    if (stream == NULL || !weir_cycle_set_object(cycle, OBJECT_NAME, stream)) {
        weir_conf_refuse(conf, "no memory for \"stream\"");
        return NULL;
    }
    stream->cycle = cycle;
    weir_list_init(&stream->sessions);
    stream->space = weir_space_of(conf, "stream");
    stream->modules = weir_modules_of(cycle->modules, "stream", &stream->module_count);
    weir_servers_begin(conf, &stream->servers, &weir_stream_servers);
    if (stream->space == NULL || !weir_space_add(conf, stream->space, weir_process_variables)
        || !variables_add(conf, stream)) {
        return NULL;
    }
    return weir_level_new(conf, outer, stream);
}

static bool stream_leave(weir_conf *conf, weir_level *level, const weir_statement *statement)
{
    weir_stream_cycle *stream = level->owner;

    (void) statement;
    return weir_servers_settle(conf, &stream->servers);
}

static bool stream_configured(weir_conf *conf)
{
    const weir_stream_cycle *stream = weir_stream_of_cycle(weir_conf_cycle(conf));

    return stream == NULL || weir_space_close(conf, stream->space);
}

static bool stream_worker_start(weir_worker *worker)
{
    weir_stream_cycle *stream = weir_stream_of_cycle(worker->cycle);
    const weir_events_conf *events = weir_core_events(worker->cycle->core);

    if (stream == NULL) {
        return true;
    }
    stream->debugs_some = events != NULL && events->debug_connections != NULL;
    return weir_worker_on_cut(worker, weir_stream_cut, stream);
}

static const weir_directive stream_directives[] = {
    {
        .name = "stream",
        .where = WEIR_MAIN,
        .takes = WEIR_TAKES_NONE,
        .block = WEIR_BLOCK_LEVEL,
        .opens = WEIR_STREAM_MAIN,
        .enter = stream_enter,
        .leave = stream_leave,
        .doc = "Everything about TCP and TLS sessions.",
    },
    {0},
};

static const weir_context stream_contexts[] = {
    {WEIR_STREAM_MAIN, "stream", "stream"},
    {WEIR_STREAM_SERVER, "server", "stream"},
    {WEIR_STREAM_UPSTREAM, "upstream", "stream"},
    {0, NULL, NULL},
};

const weir_module weir_stream_block = {
    .name = "stream",
    .directives = stream_directives,
    .contexts = stream_contexts,
    .configured = stream_configured,
    .worker_start = stream_worker_start,
};

/* ---- server { } */

/* The server being read; NULL at stream level. */
static weir_stream_server *server_being_read(weir_conf *conf)
{
    const weir_level *level = weir_conf_level(conf);

    return level->context == WEIR_STREAM_SERVER ? level->owner : NULL;
}

static weir_level *server_enter(weir_conf *conf, weir_level *outer, const weir_statement *statement)
{
    weir_stream_cycle *stream = outer->owner;
    weir_stream_server *server = WEIR_NEW(weir_conf_pool(conf), weir_stream_server);

    if (server == NULL) {
        weir_conf_refuse(conf, "no memory for \"server\"");
        return NULL;
    }
    if (!weir_servers_add(conf, &stream->servers, &server->base, statement)) {
        return NULL;
    }
    server->level = weir_level_new(conf, outer, server);
    return server->level;
}

/* The modules that have something to do in one phase. */
static bool phase_settle(weir_conf *conf, weir_stream_server *server, unsigned phase)
{
    const weir_stream_cycle *stream = weir_stream_of_cycle(weir_conf_cycle(conf));
    weir_stream_hook *hooks =
        WEIR_NEW_ARRAY(weir_conf_pool(conf), weir_stream_hook, stream->module_count + 1);
    size_t used = 0;

    if (hooks == NULL) {
        return weir_conf_refuse(conf, "no memory for \"server\"");
    }
    for (size_t i = 0; i < stream->module_count; i++) {
        const weir_stream_module *module = weir_stream_module_of(stream->modules[i]);
        const void *settings = server->settings[i];

        if ((module->phases & 1u << phase) == 0
            || (module->applies != NULL && !module->applies(settings))) {
            continue;
        }
        hooks[used++] = (weir_stream_hook){module, settings};
        server->waits_for_client |= module->waits_for_client;
    }
    server->phases[phase] = hooks;
    return true;
}

static bool server_leave(weir_conf *conf, weir_level *level, const weir_statement *statement)
{
    weir_stream_server *server = level->owner;

    server->core = weir_level_settings(level, &weir_stream_core.base);
    server->settings = level->settings;
    server->name = weir_server_first_name(&server->base);
    for (unsigned phase = 0; phase < WEIR_STREAM_PHASE_COUNT; phase++) {
        if (!phase_settle(conf, server, phase)) {
            return false;
        }
    }
    if (server->base.listens.count == 0) {
        return weir_conf_refuse_arg(conf, statement, 0, "no \"listen\" is defined for server");
    }
    if (server->phases[WEIR_STREAM_PHASE_CONTENT][0].module == NULL) {
        return weir_conf_refuse_arg(conf, statement, 0, "no handler for server");
    }
    return true;
}

/* ---- what core/server asks */

static bool listen_parameter(weir_conf *conf, const weir_statement *statement, size_t arg,
                             weir_listen *listen, bool *is_known)
{
    (void) listen;
    if (weir_str_eq(statement->args[arg], WEIR_STR("udp"))) {
        return weir_conf_refuse_arg(
            conf, statement, arg, "the \"udp\" parameter is not supported: weir proxies TCP only");
    }
    *is_known = false;
    return true;
}

static const weir_tls_server_conf *tls_settings(const weir_server *server)
{
    const weir_stream_server *stream = (const weir_stream_server *) (const void *) server;
    const weir_stream_ssl_conf *ssl = weir_level_settings(stream->level, &weir_stream_ssl.base);

    return &ssl->tls;
}

/* Whether no server of the address has anything to do before the client has sent something. */
static bool waits_for_client(const weir_server_address *address)
{
    if (address->ssl || address->proxy_protocol) {
        return true;
    }
    for (WEIR_ARRAY_EACH(&address->servers, weir_server *, server)) {
        if (!weir_stream_server_of(*server)->waits_for_client) {
            return false;
        }
    }
    return true;
}

static void settle_listener(const weir_server_address *address, weir_listener *listener)
{
    const weir_stream_core_conf *core = weir_stream_server_of(address->default_server)->core;

    listener->options.deferred |= waits_for_client(address);
    listener->proxy_protocol_timeout_ms = core->proxy_protocol_timeout_ms;
    listener->connection_pool_bytes = WEIR_STREAM_POOL_BYTES;
    listener->accepted = weir_stream_accepted;
    listener->unannounced = weir_stream_unannounced;
    if (core->error_log != NULL) {
        listener->log.target = core->error_log;
    }
}

const weir_server_family weir_stream_servers = {
    .name = "stream",
    /* Not deferred: of many protocols it is the server that speaks first. */
    .listener = {.backlog = WEIR_LISTENER_BACKLOG, .ipv6only = true, .keepalive = -1},
    .parameter = listen_parameter,
    .tls_settings = tls_settings,
    .settle_acceptor = weir_stream_settle_acceptor,
    .settle_listener = settle_listener,
};

static bool listen_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    return weir_server_listen(conf, &weir_stream_servers, &server_being_read(conf)->base,
                              statement);
}

static bool server_name_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    return weir_server_add_names(conf, &weir_stream_servers, &server_being_read(conf)->base,
                                 statement);
}

/* ---- the engine's directives */

static bool resolver_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_stream_core_conf *core = settings;

    core->resolver = weir_resolver_conf_read(conf, statement);
    return core->resolver != NULL;
}

#define ROW(name_, slot_, preset_, doc_)                                                           \
    {                                                                                              \
        .name = name_, .where = WEIR_STREAM_ANYWHERE, .slot = slot_, .preset = preset_,            \
        .doc = doc_                                                                                \
    }
#define WITHOUT_EFFECT(name_)                                                                      \
    {                                                                                              \
        .name = name_, .where = WEIR_STREAM_MAIN, .doc = "Accepted: tables grow by themselves."    \
    }

static const weir_directive core_directives[] = {
    {
        .name = "server",
        .where = WEIR_STREAM_MAIN,
        .takes = WEIR_TAKES_NONE,
        .block = WEIR_BLOCK_LEVEL,
        .opens = WEIR_STREAM_SERVER,
        .enter = server_enter,
        .leave = server_leave,
        .repeatable = true,
        .doc = "A server for sessions.",
    },
    {
        .name = "listen",
        .where = WEIR_STREAM_SERVER,
        .takes = WEIR_TAKES_SOME,
        .syntax = "address:port[-port] | port[-port] | unix:path [parameters]",
        .slot = WEIR_SLOT_ONLY_CALL(listen_call),
        .doc = "An address that the server takes sessions on.",
    },
    {
        .name = "server_name",
        .where = WEIR_STREAM_SERVER,
        .takes = WEIR_TAKES_SOME,
        .syntax = "name ...",
        .slot = WEIR_SLOT_ONLY_CALL(server_name_call),
        .doc = "The names, as clients ask for them by SNI, that the server answers to.",
    },
    ROW("preread_buffer_size", WEIR_SLOT_SIZE(weir_stream_core_conf, preread_buffer_size), "16k",
        "How many bytes are looked at before it is known where a session goes."),
    ROW("preread_timeout", WEIR_SLOT_MS(weir_stream_core_conf, preread_timeout_ms), "30s",
        "How long a client may take to send them."),
    ROW("proxy_protocol_timeout", WEIR_SLOT_MS(weir_stream_core_conf, proxy_protocol_timeout_ms),
        "30s", "How long a client may take to send a PROXY header."),
    ROW("tcp_nodelay", WEIR_SLOT_FLAG(weir_stream_core_conf, tcp_nodelay), "on",
        "Sends small pieces at once."),
    {
        .name = "resolver",
        .where = WEIR_STREAM_ANYWHERE,
        .takes = WEIR_TAKES_SOME,
        .syntax = WEIR_RESOLVER_SYNTAX,
        .slot = WEIR_SLOT_CALL(weir_stream_core_conf, resolver, resolver_call),
        .doc = "The DNS servers that are asked for names known only when a session comes.",
    },
    ROW("resolver_timeout", WEIR_SLOT_MS(weir_stream_core_conf, resolver_timeout_ms),
        WEIR_RESOLVER_TIMEOUT, "How long a name may take to be resolved."),
    {
        .name = "error_log",
        .where = WEIR_STREAM_ANYWHERE,
        .takes = WEIR_TAKES(1, 2),
        .syntax = "file | stderr | syslog:server=... [level]",
        .slot = WEIR_SLOT_CALL(weir_stream_core_conf, error_log, weir_error_log_call),
        .repeatable = true,
        .doc = "Where errors are logged, and from which level on.",
    },
    WITHOUT_EFFECT("variables_hash_max_size"),
    WITHOUT_EFFECT("variables_hash_bucket_size"),
    WITHOUT_EFFECT("server_names_hash_max_size"),
    WITHOUT_EFFECT("server_names_hash_bucket_size"),
    {0},
};

static bool core_check(weir_conf *conf, const void *settings)
{
    const weir_stream_core_conf *core = settings;

    return core->preread_buffer_size != 0
           || weir_conf_refuse(conf, "\"preread_buffer_size\" must not be zero");
}

const weir_stream_module weir_stream_core = {
    .name = "stream_core",
    .directives = core_directives,
    .conf_size = sizeof(weir_stream_core_conf),
    .check = core_check,
    .variables = weir_stream_core_variables,
};
