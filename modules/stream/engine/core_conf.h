#ifndef WEIR_STREAM_ENGINE_CORE_CONF_H
#define WEIR_STREAM_ENGINE_CORE_CONF_H

#include "core/base/log_sink.h"
#include "core/net/resolver.h"
#include "core/tls/settings.h"
#include "modules/stream/engine/module.h"

/* The engine's own settings.  Times in ms, sizes in bytes. */
struct weir_stream_core_conf {
    size_t preread_buffer_size;
    uint64_t preread_timeout_ms, proxy_protocol_timeout_ms;
    bool tcp_nodelay;
    const weir_resolver_settings *resolver; /* NULL: none */
    uint64_t resolver_timeout_ms;
    const weir_log_target *error_log;
};

/* The ssl_ directives of stream servers. */
typedef struct {
    weir_tls_server_conf tls;
    weir_array alpn; /* of weir_str; as written */
    weir_str alpn_wire;
} weir_stream_ssl_conf;

/* A module that has something to do in a phase of a server; a list ends with a NULL module. */
typedef struct {
    const weir_stream_module *module;
    const void *settings;
} weir_stream_hook;

struct weir_stream_server {
    weir_server base; /* first: what the core finds is one of these */
    weir_level *level;
    const weir_stream_core_conf *core;
    const void *const *settings;
    weir_str name; /* the first: $server_name */
    const weir_stream_hook *phases[WEIR_STREAM_PHASE_COUNT];
    bool waits_for_client; /* nothing happens before a client has sent something */
};

/* All of stream, for one cycle. */
typedef struct {
    weir_cycle *cycle;
    weir_space *space;
    weir_servers servers;              /* weir_stream_server */
    const weir_module *const *modules; /* of its family, by index */
    size_t module_count;
    bool debugs_some;   /* there is a debug_connection */
    weir_list sessions; /* in a worker: those that are not logged yet */
} weir_stream_cycle;

/* NULL: there is no stream block. */
weir_stream_cycle *weir_stream_of_cycle(const weir_cycle *cycle);

/* What the servers and addresses of core/server are here. NULL stays NULL. */
static inline weir_stream_server *weir_stream_server_of(weir_server *server)
{
    return (weir_stream_server *) (void *) server;
}
static inline weir_stream_cycle *weir_stream_of_address(const weir_server_address *address)
{
    return WEIR_OWNER(address->of, weir_stream_cycle, servers);
}


extern const weir_module weir_stream_block;
extern const weir_stream_module weir_stream_core;
extern const weir_stream_module weir_stream_ssl;

#endif
