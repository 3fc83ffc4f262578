#ifndef WEIR_HTTP_ENGINE_CORE_CONF_H
#define WEIR_HTTP_ENGINE_CORE_CONF_H

#include "core/net/resolver.h"
#include "core/server/server.h"
#include "modules/http/engine/counts.h"
#include "modules/http/engine/files.h"
#include "modules/http/engine/module.h"
#include "modules/http/engine/wire.h"

/* A page for a status: error_page. */
typedef struct {
    unsigned status;
    int overwrite;               /* -1: keep the status; 0: that of the page ("="); else this */
    const weir_template *target; /* a path, "@name" or an absolute URL */
} weir_http_error_page;

typedef enum { WEIR_HTTP_SATISFY_ALL, WEIR_HTTP_SATISFY_ANY } weir_http_satisfy;
typedef enum {
    WEIR_HTTP_LINGER_OFF,
    WEIR_HTTP_LINGER_ON,
    WEIR_HTTP_LINGER_ALWAYS
} weir_http_linger;
enum {
    WEIR_HTTP_TOKENS_OFF,
    WEIR_HTTP_TOKENS_ON,
    WEIR_HTTP_TOKENS_BUILD,
    WEIR_HTTP_TOKENS_TEXT,
};
enum { WEIR_HTTP_BODY_IN_MEMORY, WEIR_HTTP_BODY_IN_FILE, WEIR_HTTP_BODY_IN_FILE_CLEAN };
enum { WEIR_HTTP_NO_KEEPALIVE_MSIE6 = 1, WEIR_HTTP_NO_KEEPALIVE_SAFARI = 2 };
enum { WEIR_HTTP_MODIFIED_OFF, WEIR_HTTP_MODIFIED_EXACT, WEIR_HTTP_MODIFIED_BEFORE };

/* The engine's own settings: directives that nginx's core http module has.  Times in ms, sizes in bytes. */
struct weir_http_core_conf {
    /* request head */
    size_t client_header_buffer_size;
    weir_count_size large_client_header_buffers;
    uint64_t client_header_timeout_ms;
    struct {
        uint64_t bytes_s; /* 0: off */
        uint64_t after_ms;
    } client_min_rate; /* of heads and bodies of requests */
    bool ignore_invalid_headers, underscores_in_headers, merge_slashes;
    uint64_t max_headers;
    size_t connection_pool_bytes, request_pool_bytes;

    /* request body */
    uint64_t client_max_body_size;
    size_t client_body_buffer_size;
    uint64_t client_body_timeout_ms;
    weir_str client_body_temp_path;
    unsigned client_body_in_file_only; /* 0 off, 1 on, 2 clean */
    bool client_body_in_single_buffer;

    /* keep-alive and the end of connections */
    struct {
        uint64_t timeout_ms;
        uint64_t header_s; /* of Keep-Alive; 0: not sent */
    } keepalive;
    uint64_t keepalive_time_ms, keepalive_min_timeout_ms;
    uint64_t keepalive_requests;
    unsigned keepalive_disable; /* bits */
    unsigned lingering_close;   /* weir_http_linger */
    uint64_t lingering_time_ms, lingering_timeout_ms;
    bool reset_timedout_connection;

    /* sending */
    uint64_t send_timeout_ms;
    bool tcp_nodelay, tcp_nopush, sendfile, chunked_transfer_encoding;
    const weir_template *limit_rate, *limit_rate_after;
    bool rates_vary; /* one of them has variables; else this is what they say: */
    uint64_t rate, rate_after;
    size_t sendfile_max_chunk;

    /* files and types */
    struct {
        const weir_template *template;
        bool is_alias;
        /* That says it: an alias stands for this one's name in locations inside of it, too.  NULL: http, or a server. */
        const weir_http_location *location;
    } root;          /* of root and alias */
    weir_map *types; /* extension, lower case, to weir_str * */
    weir_str default_type;
    bool etag;
    unsigned if_modified_since;
    weir_http_file_cache *open_file_cache; /* NULL: off */
    bool open_file_cache_errors;
    uint64_t open_file_cache_min_uses, open_file_cache_valid_s;
    struct {
        unsigned kind;             /* weir_http_symlinks */
        const weir_template *from; /* NULL: all of a path is looked at */
    } symlinks;
    size_t read_ahead;
    bool aio;          /* threads read what is not in the page cache */
    uint64_t directio; /* files from this size on are read past the page cache */
    size_t directio_alignment;
    weir_count_size output_buffers;
    bool log_not_found, log_subrequest;

    /* answers */
    weir_array *early_hints; /* of const weir_template *: conditions; NULL: never */
    weir_array *error_pages; /* of weir_http_error_page; NULL: none */
    bool recursive_error_pages;
    bool absolute_redirect, server_name_in_redirect, port_in_redirect;
    struct {
        unsigned kind; /* WEIR_HTTP_TOKENS_… */
        const weir_template *text;
    } server_tokens;
    unsigned satisfy;
    bool internal;
    uint64_t auth_delay_ms;

    const weir_resolver_settings *resolver; /* NULL: none */
    uint64_t resolver_timeout_ms;

    const weir_log_target *error_log;
    uint64_t variables_hash[2], server_names_hash[2],
        types_hash[2]; /* accepted; tables grow by themselves */
};

/* In weir_listen.flags and weir_server_address.flags: `listen ... http2`, for all servers of the address. */
#define WEIR_HTTP_LISTEN_HTTP2 1u

struct weir_http_server {
    weir_server base; /* first: what the core finds is one of these */
    weir_level *level;
    const weir_http_core_conf *core;
    weir_str name;            /* the first: $server_name */
    weir_http_location *root; /* the server's own settings, and its locations below */
    bool takes_connect;       /* some of its locations make tunnels; to the others CONNECT is 405 */
};

typedef enum {
    WEIR_HTTP_LOCATION_ROOT, /* the server itself: no location matched */
    WEIR_HTTP_LOCATION_PREFIX,
    WEIR_HTTP_LOCATION_PREFIX_FINAL, /* ^~ */
    WEIR_HTTP_LOCATION_EXACT,        /* = */
    WEIR_HTTP_LOCATION_REGEX,        /* ~ and ~* */
    WEIR_HTTP_LOCATION_NAMED,        /* @ */
    WEIR_HTTP_LOCATION_UNNAMED,      /* if, limit_except */
} weir_http_location_kind;

/* Handlers that apply here, in order, by phase; ends with a NULL module. */
typedef struct {
    const weir_http_module *module;
    const void *settings;
} weir_http_hook;

struct weir_http_location {
    weir_level *level;
    const weir_http_server *server;
    weir_http_location *outer; /* NULL: the server's own */
    weir_http_location_kind kind;
    weir_str name; /* the prefix, pattern or @name */
    const weir_regex *regex;
    const weir_http_core_conf *core;
    const void *const *settings;
    weir_array inner;                     /* weir_http_location *, in order */
    struct weir_http_location_tree *tree; /* of inner, for look-up */
    const weir_http_hook *phases[WEIR_HTTP_PHASE_COUNT];
    const weir_http_hook *filters; /* in stage order */
    unsigned busy_phases;          /* 1u << phase of each that has hooks, or is the engine's */
    bool takes_body, asks_others;  /* some module that applies here does */
    bool answers_itself; /* set by what may answer in REWRITE, with content (return 200) */
    bool auto_redirect;  /* "/dir" to "/dir/": set by content that wants it (proxy_pass) */
    const weir_http_module *passes_by; /* of the last proxy_pass, or its like, here; NULL: none */
    uint32_t limited_methods;          /* limit_except: bits of methods that are let by */
    weir_http_location *limited;       /* the settings for all others */
};

/* All of http, for one cycle: object "http". */
typedef struct weir_http_cycle {
    weir_cycle *cycle;
    weir_space *space;
    weir_level *level;
    const weir_http_core_conf *core;
    weir_servers servers;              /* weir_http_server */
    const weir_module *const *modules; /* of its family, by index */
    size_t module_count;
    bool debugs_some;        /* there is a debug_connection */
    weir_array temp_folders; /* weir_str; made once all is read */
    weir_http_counts *counts;
    weir_list exchanges; /* in a worker: those of clients that have begun and not ended */
} weir_http_cycle;

/* NULL: the configuration has no `http`. */
weir_http_cycle *weir_http_of_cycle(const weir_cycle *cycle);

/* In directives of modules: the location (or server's root), or the server, being read; NULL at http level. */
weir_http_location *weir_http_conf_location(weir_conf *conf);
weir_http_server *weir_http_conf_server(weir_conf *conf);

/* What the servers and addresses of core/server are here. NULL stays NULL. */
static inline weir_http_server *weir_http_server_of(weir_server *server)
{
    return (weir_http_server *) (void *) server;
}
static inline weir_http_cycle *weir_http_of_address(const weir_server_address *address)
{
    return WEIR_OWNER(address->of, weir_http_cycle, servers);
}
/*
 * The location for ex->request.path.  `*needs_slash`: the path is that of the location but for its
 * final slash, and the client is to be sent there.  NULL: failed, logged.
 */
weir_http_location *weir_http_location_find(weir_http_exchange *ex, bool *needs_slash);
/* "@name".  NULL: the server has none of that name. */
weir_http_location *weir_http_location_named(const weir_http_server *server, weir_str name);
/*
 * The exchange is in this location (which may be NULL), or in a block of it that has no name
 * (`if`, `limit_except`): where its content answers, but not that of locations around it.
 */
bool weir_http_is_content_of(const weir_http_exchange *ex, const weir_http_location *location);
/* Puts an exchange into a location: settings, log, limits. */
void weir_http_exchange_enter(weir_http_exchange *ex, const weir_http_location *location);
/*
 * An exchange for its variables alone, with a location's settings: no client asked, so what is
 * said of one is empty, and no phase runs.  Request and response are the caller's to fill in; it
 * goes with `pool`.  NULL: no memory.
 */
weir_http_exchange *weir_http_exchange_unasked(const weir_http_location *location, weir_pool *pool,
                                               const weir_log *log);

/* The type for a path's extension, from types and default_type. */
weir_str weir_http_content_type(const weir_http_core_conf *core, weir_str extension);
/*
 * Of a Content-Type with or without parameters: text/html always, and what `types` (weir_str) has;
 * "*" is any, and none.
 */
bool weir_http_type_is_listed(const weir_array *types, weir_str content_type);

/*
 * root or alias with the rest of the path: the file that request.path names, NUL-terminated after
 * its end. False: memory; or alias stands for a part of the path that a rewrite took away, logged.
 */
bool weir_http_file_path(weir_http_exchange *ex, weir_str *path) WEIR_MUST_USE;
/* That is so, and there is no such file. */
bool weir_http_alias_is_lost(const weir_http_exchange *ex);

/*
 * The target of a request line, origin form: splits, decodes and normalises into request.path and
 * args (RFC 3986, 5.2.4).
 */
bool weir_http_parse_target(weir_http_request *request, weir_str target, bool merge_slashes,
                            weir_pool *pool) WEIR_MUST_USE;

/*
 * The target that an origin names, of X-Accel-Redirect: as one of a request line, but it may lead
 * to no other folder than it names, as a client may have had a part in it.  False for a bad
 * escape, a NUL, a ".." among the segments, and without a slash in front.
 */
bool weir_http_split_target(weir_str target, bool merge_slashes, weir_pool *pool, weir_str *path,
                            weir_str *args) WEIR_MUST_USE;

/* All lines of a field by its name in variables ("accept_language"), joined; left not found when there is none. */
bool weir_http_field_value(const weir_http_fields *fields, weir_str name, weir_pool *pool,
                           weir_value *value) WEIR_MUST_USE;
/* What Server says, as server_tokens has it; empty: nothing. */
weir_str weir_http_server_token(weir_http_exchange *ex);
/* Adds a path, escaped for a URI.  False when the builder has failed. */
bool weir_http_escape_path(weir_builder *builder, weir_str path);

/* Whether `early_hints` lets a 103 pass to this client. */
bool weir_http_wants_hints(weir_http_exchange *ex);

/* Sets request.path, and the extension by it. */
void weir_http_set_path(weir_http_request *request, weir_str path);

/* ---- the steps of reading, each in its file */

/* `listen`, `server_name`, `location`, `error_page`, `types` ...: calls of the table in core_conf.c. */
bool weir_http_listen_call(weir_conf *conf, void *settings, const weir_statement *statement);
bool weir_http_server_name_call(weir_conf *conf, void *settings, const weir_statement *statement);
/*
 * "PATH [LEVEL ...]" of the *_temp_path directives, made absolute; the folder is noted for
 * weir_http_temp_folders_make().
 * Levels are checked for form; they have no use, as the files have no names.  False: refused.
 */
bool weir_http_temp_path(weir_conf *conf, const weir_statement *statement,
                         weir_str *path) WEIR_MUST_USE;
/* Once all is read: makes the folders that are not there, for the workers' user.  False: refused. */
bool weir_http_temp_folders_make(weir_conf *conf, const struct weir_http_cycle *http) WEIR_MUST_USE;
/* `enter` and `leave` of the blocks `server` and `location`.  NULL, false: refused. */
weir_level *weir_http_server_enter(weir_conf *conf, weir_level *outer,
                                   const weir_statement *statement);
bool weir_http_server_leave(weir_conf *conf, weir_level *level, const weir_statement *statement);
weir_level *weir_http_location_enter(weir_conf *conf, weir_level *outer,
                                     const weir_statement *statement);
bool weir_http_location_leave(weir_conf *conf, weir_level *level, const weir_statement *statement);

extern const weir_server_family weir_http_servers;
/* Look-up tree of the locations within `outer`. */
bool weir_http_location_tree_make(weir_conf *conf, weir_http_location *outer) WEIR_MUST_USE;
/* A location without a name of its own: the server's root, `if`, `limit_except`. NULL: no memory. */
weir_http_location *weir_http_location_new(weir_conf *conf, weir_http_server *server,
                                           weir_http_location *outer, weir_level *level);
/* Takes over what the level has settled, and chooses the hooks that apply. */
bool weir_http_location_settle(weir_conf *conf, weir_http_location *location) WEIR_MUST_USE;

/* What weir_http_servers refers to, in connection.c.  The hook of a listener: `subject` is the port. */
void weir_http_accepted(weir_connection *connection, void *subject);
void weir_http_settle_acceptor(const weir_server_address *address, weir_tls_acceptor *acceptor);

extern const weir_variable weir_http_core_variables[];
extern const weir_http_module weir_http_core;
extern const weir_module weir_http_block;

#endif
