#ifndef WEIR_HTTP_ENGINE_EXCHANGE_H
#define WEIR_HTTP_ENGINE_EXCHANGE_H

#include "core/base/block.h"
#include "core/base/list.h"
#include "core/net/connection.h"
#include "core/script/script.h"
#include "modules/http/engine/fields.h"

/*
 * An exchange is one request and its response, whatever carried it.
 *
 *   wire reads a head -> weir_http_exchange_start() -> phases -> content -> weir_http_respond()
 *     -> head filters -> wire sends the head -> wire pulls the body through body filters -> end: log, free
 */
typedef struct weir_http_exchange weir_http_exchange;
typedef struct weir_http_connection weir_http_connection;
typedef struct weir_http_server weir_http_server;
typedef struct weir_http_location weir_http_location;
typedef struct weir_http_core_conf weir_http_core_conf;
typedef struct weir_http_wire weir_http_wire;
typedef struct weir_http_module weir_http_module;

/* What a phase handler, or a content handler, says. */
typedef enum {
    WEIR_HTTP_PASS,    /* no opinion: the next handler */
    WEIR_HTTP_SETTLED, /* this phase is decided: the next phase (in ACCESS: let by; see `satisfy`) */
    WEIR_HTTP_ANSWERED, /* a response is set */
    WEIR_HTTP_WAITING,  /* a wake-up is armed: weir_http_resume() goes on with the same handler */
    WEIR_HTTP_FAILED,   /* failed, logged: 500 */
} weir_http_verdict;

/* In the order they run.  A module's mask has 1u << phase. */
typedef enum {
    WEIR_HTTP_PHASE_POST_READ,
    WEIR_HTTP_PHASE_SERVER_REWRITE,
    WEIR_HTTP_PHASE_FIND_CONFIG, /* the engine's */
    WEIR_HTTP_PHASE_REWRITE,
    WEIR_HTTP_PHASE_POST_REWRITE, /* the engine's: a changed URI goes back to FIND_CONFIG */
    WEIR_HTTP_PHASE_PREACCESS,
    WEIR_HTTP_PHASE_ACCESS, /* `satisfy` decides over all of its handlers */
    WEIR_HTTP_PHASE_PRECONTENT,
    WEIR_HTTP_PHASE_CONTENT,
    WEIR_HTTP_PHASE_LOG,
    WEIR_HTTP_PHASE_COUNT
} weir_http_phase;

typedef struct {
    weir_http_method method;
    weir_str method_text;
    weir_http_version version;
    weir_str line;      /* the request line as received: $request */
    weir_str target;    /* as received: $request_uri; absolute form without scheme and authority */
    weir_str path;      /* decoded, normalised, may be rewritten: $uri */
    weir_str args;      /* after "?", as received, may be rewritten: $args */
    weir_str extension; /* of the path's last segment, without "." */
    weir_str below_alias; /* where a regex has an alias: what try_files has found behind it */
    weir_str host;        /* lower case, without port: the target's authority, else Host */
    weir_str host_port;   /* as received, with port */
    weir_str scheme;      /* "http", "https" */
    weir_str protocol;    /* extended CONNECT's :protocol (RFC 8441); empty else */
    weir_http_fields fields;
    weir_http_fields trailers;

    bool has_odd_names;      /* of fields, as far as no server has judged them yet */
    bool path_is_valid;      /* path can be got back from target: nothing was rewritten */
    bool has_complex_target; /* decoding or normalising changed it */
    /* By `rewrite … break`, or rewrite and break: the path need not begin as its location says. */
    bool is_rewritten_here;
    bool has_body;          /* by framing; may be empty when chunked */
    int64_t content_length; /* -1: not known */
    uint64_t head_bytes;    /* request line and fields, for $request_length */
    uint64_t body_received;
    uint64_t body_framing;  /* bytes around it, for $request_length */
    bool body_ended;        /* all of it was read from the wire */
    bool body_is_collected; /* `body` is complete */
    bool expects_continue;  /* and none was sent yet */
    /* An origin is not told of codings that the client takes: its answer is looked at. */
    bool wants_identity;
    weir_chain body; /* what weir_http_collect_body() has: in memory, or one file span */
    int body_file;   /* the temporary file's descriptor; -1: none */
    weir_str body_file_path;
} weir_http_request;

typedef struct {
    unsigned status;      /* 0: none yet */
    weir_str status_text; /* code and reason, as an origin said it; empty: weir_http_reason() */
    weir_http_version version; /* of the origin's message; 1.1 for our own */
    weir_http_fields fields;
    weir_http_fields trailers;
    weir_str content_type;  /* with charset; Content-Type is sent from here */
    weir_str accel_charset; /* what X-Accel-Charset asks for; empty: nothing */
    int64_t content_length; /* -1: not known */
    int64_t
        last_modified_s; /* -1: none; Last-Modified is sent from here when the field is absent */
    bool from_upstream;
    bool server_is_theirs, date_is_theirs; /* an origin says them, or nobody does */
    bool head_is_sent;
    bool body_ended;     /* the wire has been given the last byte */
    bool body_is_short;  /* the source failed: the wire must show it (close, RST_STREAM) */
    bool has_no_body;    /* HEAD, 204, 304: set by the engine */
    bool needs_trailers; /* a filter will add some: framing must have a place for them */
    bool allow_ranges;
    bool is_upgrade; /* 101 or 2xx to CONNECT: bytes are tunnelled after the head */
    /* Events: each piece goes out at once (text/event-stream, X-Accel-Buffering: no). */
    bool must_flush;
} weir_http_response;

/*
 * Where a response's body comes from when it is not simply `body`: pulled when the client can take
 * more.  Adds up to about `limit` bytes to `out`.  OK: some were added, or `*ended` was set (or both);
 * WAIT: none now, weir_http_wake() will be called; FAIL: broken, logged.
 */
typedef struct weir_http_source {
    weir_result (*pull)(weir_http_exchange *ex, struct weir_http_source *source, weir_chain *out,
                        uint64_t limit, bool *ended);
} weir_http_source;

/* What keeps an exchange from its end, by name, for the log; cancelled exactly once if the exchange ends first. */
typedef struct weir_http_hold {
    weir_list link;
    const char *name;
    void (*cancel)(weir_http_exchange *ex, struct weir_http_hold *hold);
    bool is_held;
} weir_http_hold;

struct weir_http_exchange {
    weir_pool *pool;
    weir_log log;
    weir_http_connection *client; /* shared by the exchanges of a connection, and by children */
    const weir_http_wire *wire;
    void *wire_state; /* the wire's, per exchange (a stream) */

    weir_http_request request;
    weir_http_response response;

    const weir_http_server *server;
    const weir_http_location *location;
    const weir_http_core_conf *core; /* the location's settings of the engine itself */
    const void *const *settings;     /* the location's, by module index */
    weir_script script;

    weir_chain body;                       /* a response's body that is there as a whole */
    bool body_is_direct;                   /* its file is read past the page cache */
    struct weir_http_file_read *file_read; /* of its file, in progress; NULL: none */
    weir_http_source *source;              /* else where it comes from; NULL: `body` is all */
    /* What was taken from there for body filters, or before the head went out: weir_http_read_ahead(). */
    weir_chain ahead;

    weir_http_exchange *parent; /* NULL: a client's own */
    weir_http_exchange *main;   /* the outermost; itself when there is no parent */
    unsigned depth;
    weir_list children;
    weir_list sibling; /* in its parent's children, or the worker's exchanges */
    void (*child_done)(
        weir_http_exchange *child); /* on a child: called once its response is complete */
    void *child_subject;

    weir_list holds;
    void **module_state; /* by module index; see weir_http_state() */
    void **whole_state;  /* of `main` only; see weir_http_whole_state() */

    /* Of the proxy, over internal redirects: for $upstream_…; NULL: no origin was asked. */
    struct weir_http_upstream_state *upstream;
    weir_str
        upstream_note; /* of an origin that is talked to, for log lines: "http://127.0.0.1:8080/path" */
    weir_str
        page_note; /* shown on a page of weir's own, as text: an id to ask about; empty: none */
    const char *end_reason; /* $end_reason: why weir itself answered; NULL: it did not */
    uint64_t started_ms;    /* monotonic */
    uint64_t bytes_sent;
    size_t response_head_bytes;
    const weir_addr *client_addr;          /* NULL: the connection's; see weir_http_client_addr() */
    weir_str remote_user;                  /* who authenticated: $remote_user */
    uint64_t connection_requests;          /* $connection_requests */
    uint64_t limit_rate, limit_rate_after; /* bytes a second to this client; 0: none */
    /* By `set $limit_rate` or X-Accel-Limit-Rate: the location's does not apply. */
    bool limit_rate_is_set;

    /* ---- the engine's own */
    weir_http_phase phase;
    unsigned handler;        /* next in the phase */
    unsigned redirects_left; /* internal redirects and rewrite cycles */
    /* What the response's status becomes, while an error_page is shown; 0: its own. */
    unsigned error_status;
    bool shows_error_page;
    /* What showed it had recursive_error_pages off: there is none for its errors. */
    bool error_page_is_last;
    bool uri_changed;   /* a rewrite: the location is to be looked for again */
    bool is_internal;   /* reached by an internal redirect */
    bool is_bare;       /* the response is a status only: error_page or weir's own page follow */
    bool is_restarted;  /* an internal redirect: the phases go on from `phase` */
    bool is_responding; /* weir_http_respond() was called */
    uint64_t access_began_ms; /* auth_delay counts from here */
    unsigned access_status;   /* under satisfy any: what the first module to refuse said; 0: none */
    bool keepalive;           /* the client's connection may stay */
    bool is_running;          /* phases are on the stack */
    bool is_ended;
    bool is_kept; /* a child, of whose pool its parent may have bytes: freed with the parent */
    bool ends_after_children; /* all was sent; what goes on in the background is waited for */
    bool client_is_gone;
    bool ignores_client_abort; /* proxy_ignore_client_abort: the content goes on without a client */
    unsigned filter;           /* next in the location's filters */
    weir_list body_filters;    /* those that are on, in order */
    bool body_source_ended;
    /*
     * Of an is_upgrade response: its head is on its way, and take_connection() may be called, from
     * a task; the wire says so.
     */
    void (*upgraded)(weir_http_exchange *ex);
    void (*body_readable)(weir_http_exchange *ex);
    void (*body_collected)(weir_http_exchange *ex);
    uint64_t body_waits_since_ms, body_waited_ms; /* for the client to send more of its body */
    void (*ahead_ready)(weir_http_exchange *ex);
    unsigned child_flags;
    unsigned counted; /* as what, in the counts of the process */
    weir_task run_task;
};

/* ---- for wires: from a parsed head on */

/* An exchange in a pool of its own, with empty fields.  NULL: no memory. */
weir_http_exchange *weir_http_exchange_new(weir_http_connection *client, const weir_http_wire *wire,
                                           void *wire_state);
/* The port that the client named with the host, in the target or in Host; empty: none. */
weir_str weir_http_request_port(const weir_http_request *request);
/* It is one of a client: counted until it ends. */
void weir_http_exchange_count(weir_http_exchange *ex);
/*
 * The head is complete: checks what no wire may let pass (host, framing), finds the server, runs
 * the phases.  The exchange may have ended when it returns.
 */
void weir_http_exchange_start(weir_http_exchange *ex);
/*
 * The head could not be read: answers `status` with the settings of the server that it names, as far as it came, or the
 * default one's, and closes after that.
 */
void weir_http_exchange_refuse(weir_http_exchange *ex, unsigned status, const char *reason);
/* The client went away: 499, unless the content goes on without it. */
void weir_http_client_gone(weir_http_exchange *ex);
/* More of the request body can be read: goes on whoever waits for it. */
void weir_http_body_readable(weir_http_exchange *ex);
/* Pulls response body bytes through the body filters. As weir_http_source.pull. */
weir_result weir_http_pull(weir_http_exchange *ex, weir_chain *out, uint64_t limit, bool *ended);
/* Whether its end has to wait for children in the background, such as mirrors. */
bool weir_http_exchange_has_background(const weir_http_exchange *ex);
/* The wire has sent everything, or can send no more: log phase, clean-ups. The exchange is freed. */
void weir_http_exchange_end(weir_http_exchange *ex);

/* ---- for modules */

/* Goes on with the handler that said WAITING; posted, so it may be called from anywhere. */
void weir_http_resume(weir_http_exchange *ex);
/* Calls `then` after that time, unless the exchange ends before: WAITING, or FAILED without memory. */
weir_http_verdict weir_http_pause(weir_http_exchange *ex, const char *name, uint64_t time_ms,
                                  void (*then)(weir_http_exchange *ex));

/* Stores a status of weir's own; error_page and the built-in page are looked at later. Always ANSWERED. */
weir_http_verdict weir_http_answer(weir_http_exchange *ex, unsigned status);
/* The same with a word for the log and $end_reason, which must be static. */
weir_http_verdict weir_http_answer_because(weir_http_exchange *ex, unsigned status,
                                           const char *reason);
/* A whole response: `text` is borrowed, `content_type` empty means the location's by extension. */
weir_http_verdict weir_http_answer_text(weir_http_exchange *ex, unsigned status,
                                        weir_str content_type, weir_str text);
/* 301, 302, 303, 307, 308 with Location, made absolute as absolute_redirect says. */
weir_http_verdict weir_http_answer_redirect(weir_http_exchange *ex, unsigned status,
                                            weir_str location);
/* A path becomes an absolute URL, where absolute_redirect says so. False: no memory. */
bool weir_http_make_absolute(weir_http_exchange *ex, weir_str *location) WEIR_MUST_USE;

/* "/folder" is the same as "/folder/", but links in it would not be: 301 to there, arguments and all. */
weir_http_verdict weir_http_answer_slash(weir_http_exchange *ex);

/*
 * The response's head is set (status, fields, body or source): filters it and gives it to the wire.  For content that
 * said WAITING; after ANSWERED the engine does it.
 */
void weir_http_respond(weir_http_exchange *ex);
/* As answer, for content that had said WAITING: sets the status and responds. */
void weir_http_respond_status(weir_http_exchange *ex, unsigned status, const char *reason);
/* The bytes will be others: ETag becomes weak (RFC 9110, 8.8.3.1).  False: no memory. */
bool weir_http_weaken_etag(weir_http_exchange *ex) WEIR_MUST_USE;
/* The source has more, or has ended or failed. */
void weir_http_wake(weir_http_exchange *ex);
/* An interim response, 100 or 103 (RFC 9110, 15.2); `fields` NULL: none. */
void weir_http_send_interim(weir_http_exchange *ex, unsigned status,
                            const weir_http_fields *fields);

/*
 * Restarts the phases with a new path (decoded) and args, or in a named location ("@name").  To be returned by
 * whoever is called by the engine; content that said WAITING calls it and is done.
 */
weir_http_verdict weir_http_redirect_internal(weir_http_exchange *ex, weir_str path, weir_str args);
weir_http_verdict weir_http_redirect_named(weir_http_exchange *ex, weir_str name);

/*
 * Reads the whole request body into request.body: memory up to client_body_buffer_size, then a temporary
 * file.  OK: it is there.  WAIT: `done` will be called, or the exchange ends with an answer that says what was wrong.
 * FAIL: an answer is set (413, 400), logged: return ANSWERED.
 */
weir_result weir_http_collect_body(weir_http_exchange *ex, void (*done)(weir_http_exchange *ex));
/*
 * Reads what has come of the body, about `limit` bytes.  OK: bytes, or request.body_ended; WAIT:
 * `readable` will be called when there is more; FAIL: broken, logged: call
 * weir_http_body_failed(), which ends the exchange.
 */
weir_result weir_http_read_body(weir_http_exchange *ex, weir_chain *out, uint64_t limit,
                                void (*readable)(weir_http_exchange *ex));
/* `readable` will not be called: who still wants the body reads on. */
void weir_http_body_leave(weir_http_exchange *ex);
void weir_http_body_failed(weir_http_exchange *ex);
/*
 * For wires, how long more of a request is waited for (client_min_rate and the timeouts), in ms: a
 * head, from its first byte to its last, of which `bytes` have come; a body, from now to its next
 * byte.
 */
uint64_t weir_http_head_patience_ms(const weir_http_core_conf *core, uint64_t bytes);
uint64_t weir_http_body_patience_ms(const weir_http_exchange *ex);
/*
 * A body's time is over: 408, or the end if the response has begun.  True: the exchange may be
 * gone.  False: nobody waited any more.
 */
bool weir_http_body_timed_out(weir_http_exchange *ex) WEIR_MUST_USE;

/* What a subrequest is for. */
enum {
    /* The body is not wanted: auth_request, mirror.  Else the parent takes it by weir_http_child_pull(). */
    WEIR_HTTP_CHILD_HEAD_ONLY = 1,
    /* Nobody waits for it, but its parent ends no sooner, unless the client goes away: mirror. */
    WEIR_HTTP_CHILD_IN_BACKGROUND = 2,
    /* It has the parent's method, and the parent's body, which is collected, if there is one. */
    WEIR_HTTP_CHILD_WITH_BODY = 4,
};
/*
 * A subrequest: own phases, shared connection; `path` and `args` are borrowed from the parent's pool, or live longer.
 * `done` gets the child when it is over, with its response set; then it is freed.  NULL: logged.
 */
weir_http_exchange *weir_http_child_new(weir_http_exchange *parent, weir_str path, weir_str args,
                                        unsigned flags, void (*done)(weir_http_exchange *child),
                                        void *subject);
void weir_http_child_start(weir_http_exchange *child);
/*
 * For the parent's body filter: adds what there is of the child's body to `out`, in blocks.  OK: bytes were added, or
 * it has ended, and `done` was called; WAIT: the filter is called again when there is more; FAIL: the body broke off.
 */
weir_result weir_http_child_pull(weir_http_exchange *child, weir_chain *out) WEIR_MUST_USE;

/*
 * The hold lies inside of its owner, and is dropped once what was waited for is there.  When the
 * exchange ends first, it is dropped, and then `cancel` is called.  `name` is borrowed.  Dropping
 * what is not held is harmless.
 */
void weir_http_hold_add(weir_http_exchange *ex, weir_http_hold *hold, const char *name,
                        void (*cancel)(weir_http_exchange *ex, weir_http_hold *hold));
void weir_http_hold_drop(weir_http_exchange *ex, weir_http_hold *hold);

/* A module's own state for this exchange: zeroed memory of `bytes`, made at the first call. NULL: no memory. */
void *weir_http_state(weir_http_exchange *ex, const weir_http_module *module, size_t bytes);
/* NULL: weir_http_state() was not called yet. */
void *weir_http_state_find(const weir_http_exchange *ex, const weir_http_module *module);
/*
 * The same for the whole of a client's request: it stays over internal redirects, and children share it.
 */
void *weir_http_whole_state(weir_http_exchange *ex, const weir_http_module *module, size_t bytes);
void *weir_http_whole_state_find(const weir_http_exchange *ex, const weir_http_module *module);
/* The location's settings of a module. */
const void *weir_http_settings(const weir_http_exchange *ex, const weir_http_module *module);

/* In `response_head`: this module's response_body is to run for this exchange. */
bool weir_http_filter_body(weir_http_exchange *ex, const weir_http_module *module) WEIR_MUST_USE;

/* The first value of an argument of the request, as it came; any case.  False: it has none. */
bool weir_http_arg_find(const weir_http_exchange *ex, weir_str name, weir_str *value);
/* The same of a cookie, in any line of Cookie. */
bool weir_http_cookie_find(const weir_http_exchange *ex, weir_str name, weir_str *value);

/* The client's address: that of the connection, unless realip knows better for this exchange. */
const weir_addr *weir_http_client_addr(const weir_http_exchange *ex);
/* For this exchange and its children; copied.  False: no memory. */
bool weir_http_set_client_addr(weir_http_exchange *ex, const weir_addr *addr) WEIR_MUST_USE;
/* The client's connection, which is the wire's: to be looked at only. */
weir_connection *weir_http_client_connection(const weir_http_exchange *ex);

/* Of the response, without its head, as they went to the client: coded, and framed. */
uint64_t weir_http_body_bytes_sent(const weir_http_exchange *ex);
/* Bytes that limit_rate lets go out now; 0: none, for `*pause_ms` from now on. */
uint64_t weir_http_rate_allows(const weir_http_exchange *ex, uint64_t *pause_ms);

#endif
