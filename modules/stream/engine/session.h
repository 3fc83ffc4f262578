#ifndef WEIR_STREAM_ENGINE_SESSION_H
#define WEIR_STREAM_ENGINE_SESSION_H

#include "core/script/script.h"
#include "core/server/server.h"

typedef struct weir_stream_session weir_stream_session;
typedef struct weir_stream_server weir_stream_server;
typedef struct weir_stream_core_conf weir_stream_core_conf;
typedef struct weir_stream_module weir_stream_module;

/* In nginx's order. */
typedef enum {
    WEIR_STREAM_PHASE_POST_ACCEPT, /* realip */
    WEIR_STREAM_PHASE_PREACCESS,   /* limits, set */
    WEIR_STREAM_PHASE_ACCESS,      /* allow, deny */
    WEIR_STREAM_PHASE_SSL,         /* the engine's own: TLS of the client */
    WEIR_STREAM_PHASE_PREREAD,     /* looks at the client's first bytes */
    WEIR_STREAM_PHASE_CONTENT,     /* has the session from then on */
    WEIR_STREAM_PHASE_LOG,         /* at the end */
    WEIR_STREAM_PHASE_COUNT
} weir_stream_phase;

typedef enum {
    WEIR_STREAM_PASS,    /* no opinion */
    WEIR_STREAM_SETTLED, /* this phase is decided; of content: it has taken the session over */
    WEIR_STREAM_MORE, /* of preread: the bytes so far do not tell; it is called again with more */
    WEIR_STREAM_REFUSED, /* session->status is set, and the session ends */
} weir_stream_verdict;

/* What $status says. */
enum {
    WEIR_STREAM_OK = 200,
    WEIR_STREAM_BAD_REQUEST = 400,
    WEIR_STREAM_FORBIDDEN = 403,
    WEIR_STREAM_INTERNAL_ERROR = 500,
    WEIR_STREAM_BAD_GATEWAY = 502,
    WEIR_STREAM_UNAVAILABLE = 503,
};

/* A client's connection from accept to close, and all that is known about it.  Lies in the connection's pool. */
struct weir_stream_session {
    weir_connection *client;
    const weir_server_address *address; /* the listen address it came in by */
    const weir_stream_server
        *server; /* as the name that the client asked for chose, else the address's default */
    const weir_stream_core_conf *core;
    const void *const *settings; /* of the server, by module index */
    weir_pool *pool;             /* the connection's */
    weir_script script;
    unsigned status;   /* 0: not known yet */
    const char *doing; /* for log lines: "while ..."; NULL: nothing in particular */

    /* In PREREAD: all bytes so far, and whether no more will come (the client's side has ended). */
    weir_str preread;
    bool preread_ended;

    /* Of the content, for log lines of this session; NULL: none. */
    void (*describe)(weir_builder *line, const weir_stream_session *session);
    struct weir_stream_upstream_state *upstream; /* of the proxy, for $upstream_...; NULL: none */

    /* ---- the engine's own */
    weir_list link; /* in the worker's list, until it is logged */
    weir_stream_phase phase;
    unsigned handler; /* next in the phase */
    struct weir_block
        *block; /* that preread bytes are read into; NULL: none, or larger than a block */
    char *buffer;
    void **module_state; /* by module index; see weir_stream_state() */
};

/* ---- for modules */

/*
 * Ends a session: log phase, then the client's connection is closed and the session freed.  The content has ended what
 * it had begun before.
 */
void weir_stream_end(weir_stream_session *session, unsigned status);

/* For `pass`: log phase, then the client's connection is the caller's. */
weir_connection *weir_stream_hand_over(weir_stream_session *session, unsigned status);

/*
 * In PREREAD: the name that the client asks for, in lower case; the server that has it, if one does, takes over.
 */
void weir_stream_choose_server(weir_stream_session *session, weir_str name);

/* A module's own state for this session: zeroed memory of `bytes`, made at the first call. NULL: no memory. */
void *weir_stream_state(weir_stream_session *session, const weir_stream_module *module,
                        size_t bytes);
void *weir_stream_state_find(const weir_stream_session *session, const weir_stream_module *module);
/* The server's settings of a module. */
const void *weir_stream_settings(const weir_stream_session *session,
                                 const weir_stream_module *module);

/* What the session logs to: the client's connection's. */
static inline const weir_log *weir_stream_log(const weir_stream_session *session)
{
    return &session->client->log;
}

#endif
