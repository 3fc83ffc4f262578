#ifndef WEIR_HTTP_ENGINE_CORE_CONF_H
#define WEIR_HTTP_ENGINE_CORE_CONF_H

#include "core/net/listener.h"
#include "core/tls/tls.h"
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
typedef enum { WEIR_HTTP_TOKENS_OFF, WEIR_HTTP_TOKENS_ON, WEIR_HTTP_TOKENS_BUILD } weir_http_tokens;

/* The engine's own settings: directives that nginx's core http module has.  Times in ms, sizes in bytes. */
struct weir_http_core_conf {
    /* request head */
    size_t client_header_buffer_size;
    weir_count_size large_client_header_buffers;
    uint64_t client_header_timeout_ms;
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
    uint64_t keepalive_timeout_ms, keepalive_header_s, keepalive_time_ms, keepalive_min_timeout_ms;
    uint64_t keepalive_requests;
    unsigned keepalive_disable; /* bits */
    unsigned lingering_close;   /* weir_http_linger */
    uint64_t lingering_time_ms, lingering_timeout_ms;
    bool reset_timedout_connection;

    /* sending */
    uint64_t send_timeout_ms;
    bool tcp_nodelay, tcp_nopush, sendfile, chunked_transfer_encoding;
    uint64_t limit_rate, limit_rate_after;
    const weir_template *limit_rate_template, *limit_rate_after_template;
    size_t sendfile_max_chunk;
    size_t postpone_output;

    /* files and types */
    const weir_template *root; /* of root or alias */
    bool root_is_alias;
    weir_map *types; /* extension, lower case, to weir_str * */
    weir_str default_type;
    bool etag;
    unsigned if_modified_since;
    bool log_not_found, log_subrequest;

    /* answers */
    const weir_array *error_pages; /* of weir_http_error_page; NULL: none */
    bool recursive_error_pages;
    bool absolute_redirect, server_name_in_redirect, port_in_redirect;
    unsigned server_tokens; /* weir_http_tokens */
    const weir_template *server_tokens_text;
    unsigned satisfy;
    bool internal;
    bool msie_padding, msie_refresh;

    const weir_log_target *error_log;
    uint64_t variables_hash[2], server_names_hash[2],
        types_hash[2]; /* accepted; tables grow by themselves */
};

/* One name of a server. */
typedef enum {
    WEIR_HTTP_NAME_EXACT,
    WEIR_HTTP_NAME_LEADING_WILDCARD,  /* *.example.org, .example.org */
    WEIR_HTTP_NAME_TRAILING_WILDCARD, /* www.example.* */
    WEIR_HTTP_NAME_REGEX,
} weir_http_server_name_kind;
typedef struct {
    weir_http_server_name_kind kind;
    weir_str text;
    const weir_regex *regex;
} weir_http_server_name;

struct weir_http_server {
    weir_level *level;
    const weir_http_core_conf *core;
    weir_array names;         /* weir_http_server_name */
    weir_str name;            /* the first: $server_name */
    weir_http_location *root; /* the server's own settings, and its locations below */
    weir_tls_server *tls;     /* NULL: no listen of it has ssl */
    weir_array listens;       /* weir_http_listen, while reading */
    const weir_statement *statement;
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
    bool auto_redirect;          /* "/dir" to "/dir/": set by content that wants it (proxy_pass) */
    uint32_t limited_methods;    /* limit_except: bits of methods that are let by */
    weir_http_location *limited; /* the settings for all others */
};

/* One address and the servers that listen on it. */
typedef struct weir_http_address {
    weir_listener *listener;
    weir_addr addr;
    weir_http_server *default_server;
    bool ssl, http2, proxy_protocol;
    bool is_wildcard; /* the local address must be asked from the kernel */
    weir_map *exact;  /* name to server */
    weir_map *leading, *trailing;
    weir_array regexes; /* of weir_http_name_server */
    weir_array servers; /* weir_http_server * */
    weir_tls_acceptor acceptor;
    struct weir_http *http;
} weir_http_address;

/* All of http, for one cycle: object "http". */
typedef struct weir_http {
    weir_cycle *cycle;
    weir_space *space;
    weir_level *level;
    const weir_http_core_conf *core;
    weir_array servers;   /* weir_http_server * */
    weir_array addresses; /* weir_http_address * */
    size_t module_count;
    const weir_http_hook *log_hooks;
} weir_http;

weir_http *weir_http_of_cycle(const weir_cycle *cycle);

/* In directives of modules: the location (or server's root) being read; NULL at http level. */
weir_http_location *weir_http_conf_location(weir_conf *conf);
weir_http_server *weir_http_conf_server(weir_conf *conf);

/* The server for a name on an address; NULL when none has it. `script` gets a regex's captures; may be NULL. */
weir_http_server *weir_http_server_find(const weir_http_address *address, weir_str host,
                                        weir_script *script);
/* The location for ex->request.path. NULL: failed, logged. */
weir_http_location *weir_http_location_find(weir_http_exchange *ex);
weir_http_location *weir_http_location_named(const weir_http_server *server, weir_str name);
/* Puts an exchange into a location: settings, log, limits. */
void weir_http_exchange_enter(weir_http_exchange *ex, const weir_http_location *location);

/* The type for a path's extension, from types and default_type. */
weir_str weir_http_content_type(const weir_http_core_conf *core, weir_str extension);

/*
 * root or alias with the rest of the path: the file that request.path names, NUL-terminated after its end. `*root_len`
 * is the length of the root part. False: memory.
 */
bool weir_http_file_path(weir_http_exchange *ex, weir_str *path, size_t *root_len) WEIR_MUST_USE;

/* The target of a request line, origin form: splits, decodes and normalises into request.path and args (RFC 3986, 5.2.4). */
bool weir_http_parse_target(weir_http_request *request, weir_str target, bool merge_slashes,
                            weir_pool *pool) WEIR_MUST_USE;

extern const weir_http_module weir_http_core;

#endif
