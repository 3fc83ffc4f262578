#ifndef WEIR_HTTP_PROXY_INTERNAL_H
#define WEIR_HTTP_PROXY_INTERNAL_H

#include "core/tls/origin.h"
#include "modules/balance/health.h"
#include "modules/balance/host.h"
#include "modules/common/bind.h"
#include "modules/http/engine/core_conf.h"
#include "modules/http/proxy/proxy.h"
#include "modules/http/proxy/response_head.h"
#include "modules/http/wire/chunked.h"

extern const weir_balance_family proxy_family;

/* ---- settings */

/*
 * What passes requests on, and how its URLs begin: proxy_pass and http://, grpc_pass and grpc://,
 * tunnel_pass, which has addresses alone.
 */
typedef struct {
    const weir_http_module *module;
    const char *pass;              /* its directive */
    weir_str plain, tls;           /* schemes; empty: there is none */
    weir_str plain_port, tls_port; /* the usual ones; empty: there is none */
    const char *tls_prefix;        /* of its directives about TLS; NULL: it has none */
    bool needs_scheme, takes_uri;
    weir_str usual; /* what the directive means if it says nothing */
} proxy_kind;

extern const proxy_kind proxy_http;

/* "http://host:port/uri", taken apart; slices of the text. */
typedef struct {
    weir_str scheme;
    bool is_tls, has_uri;
    weir_str host;     /* to connect to: "name", "127.0.0.1:8080", "unix:/path" */
    weir_str hostname; /* without its port; unix: is "localhost" */
    weir_str name;     /* what Host says: a usual port is left out */
    weir_str port;     /* as written, or the usual one; empty for unix: */
    weir_str uri;
    weir_str whole; /* without the uri, for redirects */
} proxy_url;

/* That of the URL; 0: none was said, and there is no usual one. */
uint16_t proxy_url_port(const proxy_url *url);

typedef struct {
    const proxy_kind *kind;
    const weir_http_location *location; /* that says it; NULL: nothing is passed on */
    bool is_path;                       /* "unix:", and no variable says so */
    const weir_template *template;      /* with variables; NULL: all is known */
    proxy_url url;                      /* or, with variables, as much of it as is constant */
    weir_balance_group *group;          /* of url; NULL: to be found at run time */
} proxy_pass;

typedef struct {
    weir_http_name name;
    weir_str text;
    const weir_template *value; /* NULL: constant */
    weir_str constant;          /* empty: the field is not sent */
} proxy_header;

/* What proxy_set_header makes of requests; compiled once for each distinct settings. */
typedef struct {
    weir_array set; /* proxy_header, those that are sent */
    bool sets_host, sets_connection, sets_upgrade, sets_te;
    bool drops
        [WEIR_HTTP_NAME_COUNT]; /* fields of the client that do not pass, as they are set or stay here */
    weir_map *drops_other;      /* the same by text; NULL: none */
    bool drops_length;          /* Content-Length is set to "" */
} proxy_headers;

typedef struct {
    bool hides[WEIR_HTTP_NAME_COUNT];
    bool hides_pad;        /* X-Pad */
    weir_map *hides_other; /* NULL: none */
} proxy_hidden;

enum {
    PROXY_NEXT_ERROR = 1u << 0,
    PROXY_NEXT_TIMEOUT = 1u << 1,
    PROXY_NEXT_INVALID_HEADER = 1u << 2,
    PROXY_NEXT_500 = 1u << 3,
    PROXY_NEXT_502 = 1u << 4,
    PROXY_NEXT_503 = 1u << 5,
    PROXY_NEXT_504 = 1u << 6,
    PROXY_NEXT_403 = 1u << 7,
    PROXY_NEXT_404 = 1u << 8,
    PROXY_NEXT_429 = 1u << 9,
    PROXY_NEXT_NON_IDEMPOTENT = 1u << 10,
    PROXY_NEXT_OFF = 1u << 11,
    PROXY_NEXT_DENIED = 1u << 12,
};

enum {
    PROXY_IGNORE_REDIRECT = 1u << 0,
    PROXY_IGNORE_EXPIRES = 1u << 1,
    PROXY_IGNORE_LIMIT_RATE = 1u << 2,
    PROXY_IGNORE_BUFFERING = 1u << 3,
    PROXY_IGNORE_CHARSET = 1u << 4,
    PROXY_IGNORE_OTHER = 1u << 5, /* Expires, Cache-Control, Set-Cookie, Vary: of the cache */
};

/* One rule of proxy_redirect, proxy_cookie_domain, proxy_cookie_path. */
typedef struct {
    const weir_regex *regex; /* NULL: compare with `pattern` */
    const weir_template *pattern, *replacement;
    weir_str pattern_text, replacement_text; /* without templates: of `default` */
} proxy_rule;

/* One rule of proxy_cookie_flags. */
typedef struct {
    const weir_regex *regex; /* NULL: compare with `name` */
    const weir_template *name;
    weir_array flags; /* const weir_template * */
} proxy_flag_rule;

typedef struct {
    bool is_off;
    weir_array *rules; /* proxy_rule; one without anything is `default`; NULL: nothing was said */
} proxy_rules;

typedef struct proxy_wire proxy_wire;
typedef struct proxy_framing proxy_framing;

typedef struct {
    proxy_pass pass;
    weir_array *set_headers; /* proxy_header, as written; NULL: none */
    const weir_template *method, *set_body;
    unsigned http_version; /* weir_http_version */
    bool pass_request_headers, pass_request_body, pass_request_trailers, request_buffering;
    bool upgrade;         /* passes a client's wish for another protocol on */
    bool request_dynamic; /* the head is made at each try */
    bool tunnels;         /* tunnel_pass: there is no request, but CONNECT's tunnel */

    uint64_t connect_timeout_ms, send_timeout_ms, read_timeout_ms;
    bool socket_keepalive;
    weir_bind bind;
    bool bind_dynamic;          /* it is asked for at each try */
    weir_array *allow_upstream; /* const weir_template *: conditions of each try; NULL: none */
    size_t socket_rcvbuf, socket_sndbuf;

    unsigned next_upstream;
    uint64_t next_tries, next_timeout_ms;

    bool buffering;
    const weir_template *limit_rate;
    size_t buffer_size;
    weir_count_size buffers;
    size_t busy_buffers_size; /* 0: not said */
    weir_str temp_path;
    uint64_t max_temp_file_size;
    size_t temp_file_write_size; /* 0: not said */
    struct {
        bool is_on;
        const weir_template *path; /* NULL: as root and alias say */
    } store;
    struct {
        unsigned mode;
    } store_access;

    weir_array hide_headers, pass_headers; /* weir_str */
    unsigned ignore_headers;
    bool intercept_errors, ignore_client_abort, force_ranges, pass_trailers;
    proxy_rules redirects, cookie_domains, cookie_paths;
    proxy_rules cookie_flags; /* of proxy_flag_rule */

    weir_tls_client_conf tls;

    /* ---- made of these by `check`, where something is passed on */
    const proxy_wire *wire;
    proxy_headers *headers;
    proxy_hidden *hidden;
    weir_tls_client *tls_client; /* NULL: no TLS */
    weir_array redirect_rules;   /* proxy_rule, with what `default` stands for */
} proxy_conf;

/* ---- one request on its way */

/* What $upstream_addr and its kin tell of one try. */
#define PROXY_FIELDS_MAX 2000 /* lines of a response */
#define PROXY_UNKNOWN UINT64_MAX
typedef struct {
    weir_str addr;
    unsigned status;       /* 0: none came */
    bool follows_redirect; /* the first try after an internal redirect */
    uint64_t started_ms;
    uint64_t connect_ms, header_ms, response_ms; /* since then; or UNKNOWN */
    uint64_t length;                             /* of the body */
    uint64_t received, sent;
} proxy_attempt;

/* How a try failed. */
typedef enum {
    PROXY_FAILED_ERROR,
    PROXY_FAILED_TIMEOUT,
    PROXY_FAILED_INVALID,
    PROXY_FAILED_STATUS, /* one that proxy_next_upstream names */
    PROXY_FAILED_DENIED, /* by proxy_allow_upstream, or tunnel_allow_upstream */
} proxy_failure;

/* What the request says of its connection, after the answer. */
typedef enum {
    PROXY_STAY_UNSAID,    /* HTTP/1.1: it stays unless the origin says otherwise */
    PROXY_STAY_ASKED_FOR, /* HTTP/1.0 with "keep-alive": if the origin says that it does */
    PROXY_STAY_REFUSED    /* whether the origin says so, too, or not */
} proxy_stay;

typedef struct weir_http_upstream_state proxy_state;
struct weir_http_upstream_state {
    weir_http_exchange *ex;
    const proxy_conf *conf;
    const proxy_wire *wire;
    void *wire_state; /* of some wires, once the head is made; NULL: none */
    weir_http_hold hold;
    weir_http_source source;
    bool is_answered; /* while the content handler was on the stack */
    bool *is_gone;    /* set when the exchange ends; NULL: nobody asks */

    /* ---- where to */
    proxy_url url;
    weir_balance_group *group; /* NULL: the host's addresses are to be asked for */
    weir_balance_host *asked;  /* for them; NULL: none were */
    weir_balance_pick pick;
    weir_balance_key key;
    weir_str server_name; /* of the last peer, as `server` says it */
    weir_balance_link *link;
    weir_connection *origin; /* NULL: none */
    weir_origin_opening opening;
    bool is_reused;
    weir_array attempts; /* proxy_attempt */
    uint64_t tries;
    uint64_t started_ms;
    weir_str target;      /* of the request line that goes out */
    const char *doing;    /* for the log: "connecting to upstream" */
    uint64_t deadline_ms; /* of what is waited for; 0: nothing */

    /* ---- request */
    weir_str head;
    weir_str body_text; /* proxy_set_body */
    bool is_idempotent;
    proxy_stay stay;
    bool body_is_streamed, body_is_chunked;
    bool body_was_taken; /* some of a streamed body: no other try can have it */
    weir_chain replay;   /* what was taken of it, as long as another can */
    bool is_held_back;   /* the origin has no room for more of it yet */
    bool is_sent;        /* all of it */
    bool was_begun;      /* something of it, on this connection */
    weir_chain out;

    /* ---- response */
    weir_block *block; /* the one that is read into */
    char *data;
    size_t size, start, end, scanned;
    weir_block *head_block; /* keeps the head */
    char *head_large;       /* or this */
    weir_http_response_head answer;
    bool head_is_complete;
    bool is_refused;   /* none comes, as the origin says: it is as if it had gone */
    unsigned interims; /* 1xx that came before it */
    weir_http_fields trailers;
    bool takes_trailers; /* they are passed on, and told by variables */
    uint64_t left;
    weir_http_chunked chunked;
    bool keeps; /* the connection, after the body */
    bool body_ended, body_failed;
    bool is_bulk;            /* the last read gave all that was asked for */
    bool is_buffered;        /* read ahead of the client */
    struct proxy_rate *rate; /* at which the origin is read from; NULL: any */
    bool client_waits;       /* for more of the body, and not the body for it */
    weir_chain body;         /* read, and not yet taken by the client */
    uint64_t pulled;         /* since receive() was called */
    weir_task go_on;
    int temp_file; /* -1: none */
    uint64_t temp_bytes;
    bool temp_failed;              /* the disk took no more: the origin waits for the client */
    struct proxy_writing *writing; /* of more to it; NULL: nothing is under way */
    struct proxy_store *store;     /* NULL: the response is not stored */

    weir_relay *relay; /* NULL: no tunnel */
    weir_connection *tunnel_client;
};

/*
 * The wire toward origins: a version of HTTP, which turns a request into bytes of `out`, and bytes between `start` and
 * `end` into an answer.  Who is asked, retries, time, memory, and what becomes of an answer, is the same for all.
 */
struct proxy_wire {
    /* Makes `head`, once for all tries or for each.  False: no memory, or what cannot be sent; logged. */
    bool (*make_head)(proxy_state *proxy);
    /* A try has its connection: what comes before the body goes out.  False: no memory. */
    bool (*begin)(proxy_state *proxy);
    /* The body, or more of it, which is taken, follows; `ended`: with all that comes behind it.  False: no memory. */
    bool (*add_body)(proxy_state *proxy, weir_chain *body, bool ended);
    /* Takes what is there of a head into `answer`; see weir_http_response_head_take(). */
    weir_http_head_result (*take_head)(proxy_state *proxy, const char **why);
    /*
     * Adds what is there of the body to `out`, and calls proxy_body_end() at its end.  False:
     * broken, or no memory; logged.
     */
    bool (*take_body)(proxy_state *proxy, weir_chain *out);
    const proxy_framing *framing; /* NULL: bytes go as they are */
};

/*
 * What a wire of frames has beside: a session that goes with the connection, windows, and words of
 * its own to say.  It is read from at any time.
 */
struct proxy_framing {
    weir_str alpn; /* what TLS offers (RFC 7301), in wire form */
    /* Whether a kept connection may be used: see weir_balance_link. */
    bool (*is_fit)(weir_balance_link *link);
    /*
     * Moves what may go out now into `out`.  WAIT: the origin has no room for some of the body, or `out` is full; FAIL:
     * the connection is of no use.
     */
    weir_result (*push)(proxy_state *proxy);
    /* The same for frames that answer the origin's, and writes them.  The next read sees it if that fails. */
    void (*reply)(proxy_state *proxy);
    /*
     * `held`: of the body's bytes that were handed out, so many are still here; the origin gets
     * back the window of the others.
     */
    void (*credit)(proxy_state *proxy, uint64_t held);
    /* The exchange is done with its connection.  Whether another may use it. */
    bool (*leave)(proxy_state *proxy);
    /* What was read of an answer is not wanted; the connection may be gone. */
    void (*forget)(proxy_state *proxy);
};
extern const proxy_wire proxy_h1, proxy_h2;

/* ---- proxy.c: the content */

/* What follows from settings, where something is passed on. */
bool proxy_settle(weir_conf *conf, proxy_conf *settings, const proxy_kind *kind) WEIR_MUST_USE;
weir_http_verdict proxy_judge(weir_http_exchange *ex, const void *location);
bool proxy_applies(const void *location);

/* ---- proxy.c: for all that passes on */

bool proxy_bind_call(weir_conf *conf, void *settings, const weir_statement *statement);
bool proxy_allow_upstream_call(weir_conf *conf, void *settings, const weir_statement *statement);
/* The location is the one that these settings are of, or a block in it. */
bool proxy_is_here(const weir_http_exchange *ex, const proxy_conf *conf);
/* For the content handler: it is held by the exchange, and ends with it.  NULL: no memory. */
proxy_state *proxy_new(weir_http_exchange *ex, const proxy_conf *conf);

/* ---- pass.c: where to */

bool proxy_pass_call(weir_conf *conf, void *settings, const weir_statement *statement,
                     const proxy_kind *kind);
/* Sets url, and group if it is known, else it is a name to be asked for.  False: answered. */
bool proxy_find_url(proxy_state *proxy) WEIR_MUST_USE;
/* The same, and target. */
bool proxy_find(proxy_state *proxy) WEIR_MUST_USE;

/* ---- resolve.c: names that are known at request time only */

/* Asks for the host's addresses, and calls proxy_begin_tries() once they are a group, or answers. */
void proxy_resolve(proxy_state *proxy);
/* They are not wanted any more. */
void proxy_resolve_cancel(proxy_state *proxy);

/* ---- request.c: what the origin is sent */

/* From the list of settings, or defaults. NULL: refused. */
proxy_headers *proxy_headers_make(weir_conf *conf, const proxy_conf *settings);
bool proxy_set_header_call(weir_conf *conf, void *settings, const weir_statement *statement,
                           const weir_http_module *module);
/* The client names a protocol that a tunnel may be made for: any but h2c. */
bool proxy_may_upgrade(const proxy_state *proxy);
/* proxy_upgrade: the client asks for another protocol, and the origin is asked, too. */
bool proxy_passes_upgrade(const proxy_state *proxy);
/* Of proxy_method, or the client; what follows from it is noted.  False: no memory, or no method; logged. */
bool proxy_method_settle(proxy_state *proxy, weir_str *text) WEIR_MUST_USE;
/*
 * The lines of the head that settings, framing and client make, but for Host and Connection.  False: no memory, or a
 * variable's value that cannot be sent; logged.
 */
bool proxy_add_lines(proxy_state *proxy, bool upgrades, weir_builder *head) WEIR_MUST_USE;
void proxy_add_upgrade(const proxy_state *proxy, weir_builder *head);
/* A body goes out, though it may be empty. */
bool proxy_has_content(const proxy_state *proxy);
/* Puts head and body into `out`, for a new try. */
bool proxy_request_begin(proxy_state *proxy) WEIR_MUST_USE;
/* Adds what has come of a streamed body. As weir_http_read_body(). */
weir_result proxy_body_read(proxy_state *proxy, void (*readable)(weir_http_exchange *ex));
/* A field line of a head or trailer section. */
void proxy_add_line(weir_builder *head, weir_str name, weir_str value);

/* ---- trailers.c: what the client says behind its body */

/* Of a body that is whole: something may go out behind it. */
bool proxy_has_trailers(const proxy_state *proxy);
/* The lines of those that pass; in the exchange's pool.  False: no memory. */
bool proxy_trailers_make(const proxy_state *proxy, weir_str *section) WEIR_MUST_USE;

/* ---- attempt.c: tries and their ends */

void proxy_start(proxy_state *proxy);
/* The group is known: the first try. */
void proxy_begin_tries(proxy_state *proxy);
/* The try is over. Goes on with the next one, or answers. The exchange may be gone afterwards. */
void proxy_fail(proxy_state *proxy, proxy_failure failure, unsigned status);
/* A connection that had been idle was closed before anything came: nothing to speak of. */
bool proxy_was_dead(const proxy_state *proxy);
/* The status is one that proxy_next_upstream names, and there is a next one. */
bool proxy_status_goes_on(const proxy_state *proxy);
/* The answer is read: the connection is kept, or closed. */
void proxy_release(proxy_state *proxy);
/* Ends whatever is under way; what was told of the tries, and the last head, stay. */
void proxy_let_go(proxy_state *proxy);
void proxy_answer(proxy_state *proxy, unsigned status, const char *reason);
proxy_attempt *proxy_attempt_now(const proxy_state *proxy);

/* ---- origin.c: the connection of a try */

/* A new one to the peer that was chosen; goes on with proxy_send_begin(), or proxy_fail(). */
void proxy_origin_open(proxy_state *proxy);
/* One that was kept, if there is: likewise.  False: there is none. */
bool proxy_origin_reuse(proxy_state *proxy);
/* Harmless without one. */
void proxy_origin_close(proxy_state *proxy);
/* What the connection logs, it logs for this exchange. */
weir_log proxy_origin_log(const proxy_state *proxy);

/* ---- send.c: the request goes out */

/* Over a connection that is open. */
void proxy_send_begin(proxy_state *proxy);
/* As far as the origin takes it, and as the body has come. */
void proxy_send(proxy_state *proxy);
/* Frames came: what they call for, or let out, is sent.  The exchange may be gone afterwards. */
void proxy_answer_frames(proxy_state *proxy);
/*
 * The origin is given so long from now on; its timer is moved as seldom as can be, and may run for
 * a deadline that is no more.
 */
void proxy_wait(proxy_state *proxy, uint64_t from_now_ms);
bool proxy_deadline_has_passed(proxy_state *proxy);

/* ---- response.c: heads */

extern const weir_connection_state proxy_receiving;
void proxy_head_readable(weir_connection *connection);
proxy_hidden *proxy_hidden_make(weir_conf *conf, const proxy_conf *settings);

/* To the response: of the trailer fields that came, what a head would pass on. */
void proxy_pass_trailers(proxy_state *proxy);

/* ---- body.c: bodies on their way to the client */

/* What is left behind the head, and the framing's end. */
void proxy_body_begin(proxy_state *proxy);
/* For wires: gives out `len` bytes of the buffer.  False: no memory. */
bool proxy_body_give(proxy_state *proxy, weir_chain *out, size_t len) WEIR_MUST_USE;
/* For wires: bytes of the body are given out. */
void proxy_body_count(proxy_state *proxy, weir_str bytes);
/* For wires: the body was whole. */
void proxy_body_end(proxy_state *proxy);
/* The answer's body is not wanted: if the rest of it is here already, the connection may be kept. */
void proxy_body_drop(proxy_state *proxy);
weir_result proxy_body_pull(weir_http_exchange *ex, weir_http_source *source, weir_chain *out,
                            uint64_t limit, bool *ended);
void proxy_body_done(proxy_state *proxy);
void proxy_body_go_on(weir_task *task);
void proxy_buffer_release(proxy_state *proxy);
/* What the fields are slices of: stays where it is, for as long as the exchange. */
void proxy_head_keep(proxy_state *proxy);
void proxy_head_release(proxy_state *proxy);

/* A piece was written, as far as the disk took it; false: there was no memory to note it. */
void proxy_temp_written(proxy_state *proxy, bool is_kept);

/* ---- temp.c: the temporary file */

/*
 * Begins to write the chain, which is taken; `writing` is NULL when it is done already.  What the
 * disk does not take stays in memory, and is the last that was read ahead.  False: no memory;
 * logged.
 */
bool proxy_temp_write(proxy_state *proxy, weir_chain *chain) WEIR_MUST_USE;
/* Closes it, now or when what is being written is done. */
void proxy_temp_close(proxy_state *proxy);

/* ---- store.c: proxy_store */

bool proxy_store_call(weir_conf *conf, void *settings, const weir_statement *statement);
bool proxy_store_access_call(weir_conf *conf, void *settings, const weir_statement *statement);
/* The head is the response's: sets `store` if its body is to be stored. */
void proxy_store_begin(proxy_state *proxy);
/*
 * Where `store` is set: more of the body, and its end.  What fails is logged, and the client has
 * the response anyway.
 */
void proxy_store_write(proxy_state *proxy, weir_str bytes);
void proxy_store_end(proxy_state *proxy);

/* ---- tunnel.c */

/* After 101: bytes go both ways until one side ends. The exchange is gone afterwards. */
void proxy_tunnel_start(proxy_state *proxy);

/* ---- health_grpc.c: health_check type=grpc */

#define PROXY_HEALTH_SERVICE_MAX 120 /* bytes of a service's name */

typedef struct {
    bool is_asked;    /* type=grpc */
    weir_str service; /* empty: all of the server */
    uint64_t status;  /* that is good */
} proxy_health_grpc;

/* What health_check says; lives as long as the cycle. */
typedef struct {
    weir_balance_check check;
    const weir_http_location *location; /* where it stands */
    weir_str uri;
    weir_str host; /* what Host, or :authority, says */
    proxy_health_grpc grpc;
} proxy_health_check;

/* What is asked, and how the answer is read.  False: refused. */
bool proxy_health_grpc_make(weir_conf *conf, proxy_health_check *check) WEIR_MUST_USE;

/* ---- health_match.c: what the answer to a health check must be */

/* match NAME { ... }: conditions, all of which must be met. */
typedef struct proxy_health_match proxy_health_match;
bool proxy_health_match_call(weir_conf *conf, void *settings, const weir_statement *statement);

/* What there is of an answer, for conditions. */
typedef enum {
    PROXY_HEALTH_HEAD,
    PROXY_HEALTH_BODY,      /* as much of it as is looked at */
    PROXY_HEALTH_VARIABLES, /* once the rest has been met */
} proxy_health_match_part;
typedef struct {
    unsigned status;
    const weir_http_fields *fields;
    weir_str body;
    weir_script *script;
    const weir_log *log;
} proxy_health_match_answer;
bool proxy_health_match_looks_at(const proxy_health_match *match, proxy_health_match_part part);
/* NULL: the conditions of that part are met; else what is wrong, for the log. */
const char *proxy_health_match_judge(const proxy_health_match *match, proxy_health_match_part part,
                                     const proxy_health_match_answer *answer);

/* ---- tunnel_pass.c */

/* The origin is connected: agrees to CONNECT.  The exchange may be gone afterwards. */
void proxy_connect_agree(proxy_state *proxy);

/* ---- rewrite.c: Location, Refresh, Set-Cookie */

bool proxy_redirect_call(weir_conf *conf, void *settings, const weir_statement *statement);
bool proxy_cookie_domain_call(weir_conf *conf, void *settings, const weir_statement *statement);
bool proxy_cookie_path_call(weir_conf *conf, void *settings, const weir_statement *statement);
/* The rules that `default` stands for. */
bool proxy_rules_settle(weir_conf *conf, proxy_conf *settings) WEIR_MUST_USE;
bool proxy_rewrite_location(proxy_state *proxy, weir_str *value) WEIR_MUST_USE;
bool proxy_rewrite_refresh(proxy_state *proxy, weir_str *value) WEIR_MUST_USE;

/* The first rule that matches replaces. False: no memory. */
typedef enum {
    PROXY_MATCH_PREFIX, /* of a URL or path: the rest stays */
    PROXY_MATCH_DOMAIN, /* all of it, in any case, without a dot before it */
} proxy_match;
bool proxy_rules_apply(proxy_state *proxy, const weir_array *rules, proxy_match match,
                       weir_str *value, bool *is_changed) WEIR_MUST_USE;
/* A value with variables in it may not become two field lines: false, logged. */
bool proxy_value_is_sound(const proxy_state *proxy, weir_str value, const char *name) WEIR_MUST_USE;
/*
 * For directives with rules: begins a level's own list, and takes "off".  False: refused.  `*rule` is one to be filled,
 * or NULL: all is said.
 */
bool proxy_rules_add(weir_conf *conf, proxy_rules *rules, size_t offset, size_t rule_bytes,
                     const weir_statement *statement, void **rule) WEIR_MUST_USE;

/* ---- cookies.c: Set-Cookie */

bool proxy_cookie_flags_call(weir_conf *conf, void *settings, const weir_statement *statement);
bool proxy_rewrite_cookie(proxy_state *proxy, weir_str *value) WEIR_MUST_USE;

/* ---- rate.c: proxy_limit_rate */

/* What X-Accel and settings say is known: the rate of this response, if there is one.  False: no memory. */
bool proxy_rate_begin(proxy_state *proxy) WEIR_MUST_USE;
/* How much may be read now, up to `size`; 0: later, and proxy_body_go_on() will be called. */
size_t proxy_rate_allows(proxy_state *proxy, size_t size);
void proxy_rate_count(proxy_state *proxy, size_t bytes);
void proxy_rate_done(proxy_state *proxy);

extern const weir_variable proxy_variables[];

#endif
