#ifndef WEIR_STREAM_PROXY_INTERNAL_H
#define WEIR_STREAM_PROXY_INTERNAL_H

#include "core/tls/origin.h"
#include "modules/balance/host.h"
#include "modules/common/bind.h"
#include "modules/stream/engine/core_conf.h"

extern const weir_balance_family stream_proxy_family;
extern const weir_stream_module weir_stream_proxy;

typedef enum {
    STREAM_PROXY_PROTOCOL_OFF,
    STREAM_PROXY_PROTOCOL_V1,
    STREAM_PROXY_PROTOCOL_V2,
} stream_proxy_protocol;

typedef struct {
    struct {
        bool is_given;
        const weir_template *template; /* with variables; NULL: all is known */
        weir_str text;
        weir_balance_group *group; /* NULL: to be found at run time */
    } pass;
    uint64_t connect_timeout_ms, timeout_ms;
    uint64_t check_timeout_ms; /* of a health check */
    size_t buffer_size;
    const weir_template *upload_rate, *download_rate;
    weir_bind bind;
    bool socket_keepalive;
    size_t socket_rcvbuf, socket_sndbuf;
    bool next_upstream;
    uint64_t next_tries, next_timeout_ms;
    bool half_close;
    unsigned protocol; /* stream_proxy_protocol */
    bool ssl;
    weir_tls_client_conf tls;
    weir_tls_client *tls_client; /* NULL: plain */
    weir_array alpn;             /* of weir_str */
    weir_str alpn_wire;
} stream_proxy_conf;

#define STREAM_PROXY_UNKNOWN UINT64_MAX

/* One try of a peer, for $upstream_...  Times in ms; STREAM_PROXY_UNKNOWN: it did not come so far. */
typedef struct {
    weir_str addr;
    uint64_t started_ms;
    uint64_t connect_ms, first_byte_ms, session_ms;
    uint64_t sent, received;
} stream_proxy_attempt;

/* A session that is passed on; lies in the session's pool. */
typedef struct weir_stream_upstream_state {
    weir_stream_session *session;
    const stream_proxy_conf *conf;
    weir_balance_group *group;
    weir_str host; /* as proxy_pass says it */
    weir_str peer; /* that is or was tried last, for log lines */
    weir_balance_pick pick;
    weir_connection *origin; /* NULL: none now */
    weir_origin_opening opening;
    weir_chain out; /* the PROXY header, until it is sent */
    weir_relay *relay;
    weir_array attempts; /* stream_proxy_attempt */
    uint64_t tries, started_ms;
    weir_str tls_name;
    weir_balance_host asked; /* where the host is a name that is known only now */
} stream_proxy;

/* ---- pass.c: where sessions go */

bool stream_proxy_pass_call(weir_conf *conf, void *settings, const weir_statement *statement);
/*
 * Sets host and group.  OK: they are known.  WAIT: the name is asked for, stream_proxy_start()
 * will be called, or the session ended.  FAIL, logged: there is none.
 */
weir_result stream_proxy_find(stream_proxy *proxy) WEIR_MUST_USE;

/* ---- session.c: one session's way through its peers */

void stream_proxy_start(stream_proxy *proxy);
/* For the log. */
void stream_proxy_describe(weir_builder *line, const weir_stream_session *session);

extern const weir_variable stream_proxy_variables[];

#endif
