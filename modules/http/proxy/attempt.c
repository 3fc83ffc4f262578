#include "modules/http/proxy/proxy_internal.h"

#include <errno.h>

#include "core/base/clock.h"
#include "core/process/worker.h"

/*
 * Tries: a peer is chosen, connected to, and sent the request.
 *
 *     (opening) -> sending -> waiting -> receiving -> kept | closed
 *                         \-> receiving      an answer before the request was all out
 *
 * Each of them may fail; then the next peer is tried, if that is allowed and can do no harm.
 */

static void sending_writable(weir_connection *connection);
static void waiting_writable(weir_connection *connection);
static void attempt_timeout(weir_connection *connection);

/* sending -> waiting | receiving | closed */
static const weir_connection_state proxy_sending = {
    .name = "sending request to origin",
    .on_readable = proxy_head_readable,
    .on_writable = sending_writable,
    .on_timeout = attempt_timeout,
};

/* waiting -> receiving | closed */
static const weir_connection_state proxy_waiting = {
    .name = "waiting for origin",
    .on_readable = proxy_head_readable,
    .on_writable = waiting_writable,
    .on_timeout = attempt_timeout,
};

/* ---- time */

void proxy_wait(proxy_state *proxy, uint64_t from_now_ms)
{
    proxy->deadline_ms = weir_clock_now()->monotonic_ms + from_now_ms;
    weir_connection_set_timeout(proxy->origin, from_now_ms);
}

/* The timer is moved as seldom as can be: it may run for a deadline that is no more. */
bool proxy_deadline_has_passed(proxy_state *proxy)
{
    uint64_t now = weir_clock_now()->monotonic_ms;

    if (proxy->deadline_ms == 0) {
        return false;
    }
    if (now < proxy->deadline_ms) {
        weir_connection_set_timeout(proxy->origin, proxy->deadline_ms - now);
        return false;
    }
    return true;
}

/* ---- what is kept of each try, for variables and logs */

proxy_attempt *proxy_attempt_now(const proxy_state *proxy)
{
    return WEIR_ARRAY_AT(&proxy->attempts, proxy_attempt, proxy->attempts.count - 1);
}

static bool attempt_add(proxy_state *proxy, weir_str addr)
{
    proxy_attempt *attempt = weir_array_push(&proxy->attempts);

    if (attempt == NULL) {
        return false;
    }
    if (!weir_str_copy(proxy->ex->pool, addr, &attempt->addr)) {
        return false;
    }
    attempt->follows_redirect = proxy->tries == 0 && proxy->attempts.count > 1;
    attempt->started_ms = weir_clock_now()->monotonic_ms;
    attempt->connect_ms = attempt->header_ms = attempt->response_ms = PROXY_UNKNOWN;
    proxy->tries++;
    return true;
}

/* What has gone over the connection since the try began. */
void proxy_attempt_count(proxy_state *proxy)
{
    proxy_attempt *attempt = proxy_attempt_now(proxy);

    if (attempt->response_ms == PROXY_UNKNOWN) {
        attempt->response_ms = weir_clock_now()->monotonic_ms - attempt->started_ms;
        if (proxy->origin != NULL) {
            attempt->received += proxy->origin->received;
            attempt->sent += proxy->origin->sent;
        }
    }
}

/* `status` 0: none came. */
static void attempt_tell(const proxy_state *proxy, unsigned status)
{
    const proxy_attempt *attempt = proxy_attempt_now(proxy);

    weir_balance_count(&proxy->pick, status, attempt->sent, attempt->received);
}

/* Lines of the connection itself say what it was used for. */
static void attempt_describe(weir_builder *line, const void *subject)
{
    const proxy_state *proxy = subject;

    weir_builder_printf(line, " while %s", proxy->doing);
    proxy->ex->log.describe(line, proxy->ex->log.subject);
}

/* What the connection logs, it logs for this exchange. */
static weir_log origin_log(const proxy_state *proxy)
{
    weir_log log = proxy->ex->log;

    log.describe = attempt_describe;
    log.subject = proxy;
    return log;
}

static void attempt_timeout(weir_connection *connection)
{
    proxy_state *proxy = connection->owner;
    weir_log log = origin_log(proxy);

    if (!proxy_deadline_has_passed(proxy)) {
        return;
    }
    weir_log_line(&log, WEIR_LOG_ERR, ETIMEDOUT, "upstream timed out");
    proxy_fail(proxy, PROXY_FAILED_TIMEOUT, 504);
}

/* What stands before an address in the log: a tunnel's has no scheme. */
static void add_scheme(const proxy_state *proxy, weir_builder *note)
{
    if (proxy->url.scheme.len != 0) {
        weir_builder_add(note, proxy->url.scheme);
        weir_builder_add(note, WEIR_STR("://"));
    }
}

/* "http://127.0.0.1:80/path", or the name of a group in place of the address. */
static bool note_of(proxy_state *proxy, weir_str whom, bool is_unix)
{
    weir_builder note;

    weir_builder_open(&note, proxy->ex->pool, SIZE_MAX);
    (void) weir_builder_room(&note, whom.len + proxy->target.len + 10);
    add_scheme(proxy, &note);
    weir_builder_add(&note, whom);
    if (is_unix) {
        weir_builder_add_byte(&note, ':');
    }
    weir_builder_add(&note, proxy->target);
    return weir_builder_close(&note, &proxy->ex->upstream_note);
}

static bool note(proxy_state *proxy)
{
    return note_of(proxy, proxy->pick.peer->text, weir_addr_is_unix(&proxy->pick.peer->addr));
}

/* ---- ends */

void proxy_answer(proxy_state *proxy, unsigned status, const char *reason)
{
    weir_http_exchange *ex = proxy->ex;

    weir_http_hold_drop(ex, &proxy->hold);
    proxy_let_go(proxy);
    proxy->is_answered = true;
    weir_http_respond_status(ex, status, reason);
}

static void origin_close(proxy_state *proxy)
{
    if (proxy->origin != NULL) {
        weir_connection_close(proxy->origin);
        proxy->origin = NULL;
        proxy->link = NULL;
    }
    proxy->deadline_ms = 0;
    weir_task_cancel(&proxy->go_on);
    weir_chain_clear(&proxy->out);
    /* The next try asks for the rest of the body when it has a connection to send it over. */
    weir_http_body_leave(proxy->ex);
}

void proxy_let_go(proxy_state *proxy)
{
    if (proxy->relay != NULL) {
        weir_relay_free(proxy->relay);
        proxy->relay = NULL;
    }
    if (proxy->origin != NULL) {
        proxy->keeps = false;
        proxy->body_failed = !proxy->body_ended;
        proxy_release(proxy);
    }
    proxy_resolve_cancel(proxy);
    weir_balance_done(&proxy->pick, WEIR_BALANCE_ABANDONED, &proxy->ex->log);
    weir_chain_clear(&proxy->out);
    weir_chain_clear(&proxy->replay);
    proxy_body_done(proxy);
}

/* Whether the connection is good for another request. */
static bool may_stay(proxy_state *proxy)
{
    const proxy_framing *framing = proxy->wire->framing;

    bool stays = framing != NULL ? framing->leave(proxy)
                                 : proxy->keeps && proxy->is_sent && !proxy->body_failed;

    return stays && (proxy->key.tls == NULL || !weir_tls_client_varies(proxy->key.tls));
}

void proxy_release(proxy_state *proxy)
{
    weir_connection *origin = proxy->origin;

    if (origin == NULL) {
        return;
    }
    proxy_attempt_count(proxy);
    if (!proxy->body_failed) {
        weir_balance_learn(&proxy->pick, true);
    }
    attempt_tell(proxy, proxy->head_is_complete ? proxy->answer.status : 0);
    weir_balance_done(&proxy->pick,
                      proxy->body_failed ? WEIR_BALANCE_ABANDONED : WEIR_BALANCE_SUCCEEDED,
                      &proxy->ex->log);
    proxy->deadline_ms = 0;
    if (may_stay(proxy) && proxy->link != NULL) {
        weir_balance_link *link = proxy->link;

        proxy->origin = NULL;
        proxy->link = NULL;
        /* Careless origins send a body where none may be, and it would be taken for the next answer. */
        link->is_doubted = proxy->answer.end == WEIR_HTTP_END_NONE;
        weir_balance_idle_put(link);
        return;
    }
    origin_close(proxy);
}

/* ---- after a failure */

static bool may_try_again(const proxy_state *proxy, unsigned kinds)
{
    const proxy_conf *conf = proxy->conf;

    if (proxy->pick.tries_left == 0 || (conf->next_upstream & kinds) == 0
        || (conf->next_upstream & PROXY_NEXT_OFF) != 0 || proxy->body_was_taken) {
        return false;
    }
    if (proxy->was_begun && !proxy->is_idempotent
        && (conf->next_upstream & PROXY_NEXT_NON_IDEMPOTENT) == 0) {
        return false;
    }
    if (conf->next_tries != 0 && proxy->tries >= conf->next_tries) {
        return false;
    }
    return conf->next_timeout_ms == 0
           || weir_clock_now()->monotonic_ms - proxy->started_ms < conf->next_timeout_ms;
}

static unsigned kinds_of(proxy_failure failure, unsigned status)
{
    switch (failure) {
    case PROXY_FAILED_ERROR:
        return PROXY_NEXT_ERROR;
    case PROXY_FAILED_TIMEOUT:
        return PROXY_NEXT_TIMEOUT;
    case PROXY_FAILED_INVALID:
        return PROXY_NEXT_INVALID_HEADER;
    case PROXY_FAILED_DENIED:
        return PROXY_NEXT_DENIED;
    case PROXY_FAILED_STATUS:
        break;
    }
    switch (status) {
    case 500:
        return PROXY_NEXT_500;
    case 502:
        return PROXY_NEXT_502;
    case 503:
        return PROXY_NEXT_503;
    case 504:
        return PROXY_NEXT_504;
    case 403:
        return PROXY_NEXT_403;
    case 404:
        return PROXY_NEXT_404;
    case 429:
        return PROXY_NEXT_429;
    default:
        return 0;
    }
}

bool proxy_status_goes_on(const proxy_state *proxy)
{
    unsigned kind = kinds_of(PROXY_FAILED_STATUS, proxy->answer.status);

    return kind != 0 && may_try_again(proxy, kind);
}

/* Whatever was read of an answer is forgotten. */
static void response_forget(proxy_state *proxy)
{
    proxy_body_done(proxy);
    proxy_head_release(proxy);
    weir_http_response_head_reset(&proxy->answer);
    proxy->start = proxy->end = proxy->scanned = 0;
    proxy->interims = 0;
    proxy->is_refused = proxy->is_held_back = false;
    proxy->head_is_complete = proxy->body_ended = proxy->body_failed = proxy->keeps = false;
    proxy->takes_trailers = false;
}

static void attempt_connect(proxy_state *proxy);
static void attempt_next(proxy_state *proxy);

/*
 * A connection that had been idle, and that the origin closed, as far as can be told, before it saw the
 * request: not a byte of an answer came, and the request may be repeated.  A refusal is an answer, unless it says that
 * the request was not looked at.
 */
bool proxy_was_dead(const proxy_state *proxy)
{
    bool may_repeat = proxy->is_idempotent && !proxy->is_refused;

    return proxy->is_reused && proxy->end == 0 && proxy->interims == 0 && !proxy->body_was_taken
           && (may_repeat || !proxy->was_begun);
}

void proxy_fail(proxy_state *proxy, proxy_failure failure, unsigned status)
{
    unsigned kinds = kinds_of(failure, status);
    /* That is no fault of the peer's. */
    bool is_denied =
        kinds == PROXY_NEXT_403 || kinds == PROXY_NEXT_404 || failure == PROXY_FAILED_DENIED;

    if (failure == PROXY_FAILED_ERROR && proxy_was_dead(proxy)) {
        weir_log_line(&proxy->ex->log, WEIR_LOG_INFO, 0,
                      "a kept connection to upstream was closed, trying a new one");
        origin_close(proxy);
        response_forget(proxy);
        attempt_connect(proxy);
        return;
    }

    weir_log log = origin_log(proxy);

    proxy_attempt_count(proxy);
    proxy_attempt_now(proxy)->status = status;
    attempt_tell(proxy, failure == PROXY_FAILED_STATUS ? status : 0);
    weir_balance_done(&proxy->pick, is_denied ? WEIR_BALANCE_ABANDONED : WEIR_BALANCE_FAILED, &log);
    if (may_try_again(proxy, kinds)) {
        origin_close(proxy);
        response_forget(proxy);
        attempt_next(proxy);
        return;
    }
    origin_close(proxy);
    if (failure == PROXY_FAILED_DENIED) {
        proxy_answer(proxy, status, "no allowed upstream");
        return;
    }
    proxy_answer(proxy, status, status == 504 ? "upstream timed out" : "upstream failed");
}

/* ---- sending */

static void body_readable(weir_http_exchange *ex)
{
    proxy_state *proxy = ex->upstream;

    if (proxy->origin != NULL) {
        proxy_send(proxy);
    }
}

static void send_failed(proxy_state *proxy)
{
    /* It may have answered before it went away. */
    if (proxy->origin->readable && !proxy->head_is_complete) {
        proxy->is_sent = false;
        weir_chain_clear(&proxy->out);
        proxy_head_readable(proxy->origin);
        return;
    }
    if (!proxy->head_is_complete) {
        proxy_fail(proxy, PROXY_FAILED_ERROR, 502);
    }
}

/* Unless the answer comes already, the request is what is waited for. */
static void go_on_sending(proxy_state *proxy)
{
    if (proxy->origin->state != &proxy_sending) {
        proxy->doing = "sending request to upstream";
        weir_connection_enter(proxy->origin, &proxy_sending);
    }
}

static void wait_for_origin(proxy_state *proxy)
{
    if (!proxy->head_is_complete) {
        proxy_wait(proxy, proxy->conf->send_timeout_ms);
        go_on_sending(proxy);
    }
}

/* The client's time, not the origin's. */
static void wait_for_client(proxy_state *proxy)
{
    if (!proxy->head_is_complete) {
        proxy->deadline_ms = 0;
        go_on_sending(proxy);
    }
}

void proxy_send(proxy_state *proxy)
{
    weir_connection *origin = proxy->origin;
    const proxy_framing *framing = proxy->wire->framing;
    bool is_receiving = proxy->head_is_complete;

    for (;;) {
        weir_result read = WEIR_OK;

        if (proxy->body_is_streamed && !proxy->ex->request.body_ended && !proxy->is_held_back
            && proxy->out.len < WEIR_BLOCK_BYTES) {
            read = proxy_body_read(proxy, body_readable);
            if (read == WEIR_FAIL) {
                weir_http_exchange *ex = proxy->ex;

                weir_http_hold_drop(ex, &proxy->hold);
                proxy_let_go(proxy);
                /* On a kept connection this happens while the phases still run: they are to go on with it. */
                proxy->is_answered = true;
                weir_http_body_failed(ex);
                return;
            }
        }

        if (framing != NULL && framing->push(proxy) == WEIR_FAIL) {
            send_failed(proxy);
            return;
        }
        if (!weir_chain_is_empty(&proxy->out)) {
            proxy->was_begun = true;
            switch (weir_connection_write(origin, &proxy->out, UINT64_MAX)) {
            case WEIR_OK:
                break;
            case WEIR_WAIT:
                wait_for_origin(proxy);
                return;
            case WEIR_FAIL:
                send_failed(proxy);
                return;
            }
            if (proxy->is_held_back) {
                continue;
            }
        }
        if (proxy->is_held_back) {
            wait_for_origin(proxy);
            return;
        }

        if (!proxy->body_is_streamed || proxy->ex->request.body_ended) {
            break;
        }
        if (read == WEIR_WAIT) {
            wait_for_client(proxy);
            return;
        }
    }

    proxy->is_sent = true;
    if (!is_receiving) {
        proxy->doing = "reading response header from upstream";
        proxy_wait(proxy, proxy->conf->read_timeout_ms);
        weir_connection_enter(origin, &proxy_waiting);
    }
}

static void sending_writable(weir_connection *connection)
{
    proxy_send(connection->owner);
}

void proxy_answer_frames(proxy_state *proxy)
{
    const proxy_framing *framing = proxy->wire->framing;

    if (framing == NULL || proxy->origin == NULL) {
        return;
    }
    if (proxy->is_sent) {
        framing->reply(proxy);
    } else {
        proxy_send(proxy);
    }
}

static void waiting_writable(weir_connection *connection)
{
    proxy_answer_frames(connection->owner);
}

static void attempt_send(proxy_state *proxy)
{
    proxy_attempt *attempt = proxy_attempt_now(proxy);

    if (attempt->connect_ms == PROXY_UNKNOWN) {
        attempt->connect_ms = weir_clock_now()->monotonic_ms - attempt->started_ms;
    }
    if (proxy->conf->tunnels) {
        proxy_connect_agree(proxy);
        return;
    }
    if (!proxy_request_begin(proxy)) {
        origin_close(proxy);
        proxy_answer(proxy, 500, "internal failure");
        return;
    }
    proxy_send(proxy);
}

/* ---- connecting */

static void origin_link(proxy_state *proxy)
{
    weir_connection *origin = proxy->origin;

    origin->owner = proxy;
    proxy->link = weir_balance_link_new(origin, proxy->group, proxy->pick.peer, &proxy->key);
    if (proxy->body_is_streamed || proxy->wire->framing != NULL) {
        weir_connection_set_nodelay(origin, true);
    }
}

static void opened(weir_origin_opening *opening, weir_origin_outcome outcome)
{
    proxy_state *proxy = WEIR_OWNER(opening, proxy_state, opening);

    weir_balance_count_opening(&proxy->pick, opening, outcome);
    switch (outcome) {
    case WEIR_ORIGIN_OPEN:
        origin_link(proxy);
        attempt_send(proxy);
        return;
    case WEIR_ORIGIN_TIMED_OUT:
        proxy_fail(proxy, PROXY_FAILED_TIMEOUT, 504);
        return;
    case WEIR_ORIGIN_FAILED:
        proxy_fail(proxy, PROXY_FAILED_ERROR, 502);
        return;
    }
}

/* A new connection to the peer that was chosen. */
static void attempt_connect(proxy_state *proxy)
{
    const proxy_conf *conf = proxy->conf;
    const weir_balance_peer *peer = proxy->pick.peer;

    proxy->is_reused = proxy->was_begun = false;
    proxy->opening = (weir_origin_opening){
        .addr = &peer->addr,
        .peer = peer->text,
        .socket =
            {
                .socket_keepalive = conf->socket_keepalive,
                .speaks_first = !conf->tunnels,
                .rcvbuf = (int) conf->socket_rcvbuf,
                .sndbuf = (int) conf->socket_sndbuf,
            },
        .timeout_ms = conf->connect_timeout_ms,
        .tls = proxy->url.is_tls ? conf->tls_client : NULL,
        .tls_name = proxy->key.name,
        .alpn = proxy->wire->framing != NULL ? proxy->wire->framing->alpn : WEIR_STR_EMPTY,
        .script = &proxy->ex->script,
        .connection = &proxy->origin,
        .log = origin_log(proxy),
        .doing = &proxy->doing,
        .done = opened,
    };
    weir_bind_apply(&conf->bind, proxy->key.bound, &proxy->opening.socket, &proxy->ex->log);
    weir_origin_open(weir_worker_current()->loop, &proxy->opening);
}

/* One that was kept: what it has carried before is not this exchange's. */
static void origin_adopt(proxy_state *proxy, weir_balance_link *link)
{
    weir_connection *origin = link->connection;

    proxy->is_reused = true;
    proxy->was_begun = false;
    proxy->link = link;
    proxy->origin = origin;
    origin->owner = proxy;
    origin->log = origin_log(proxy);
    origin->received = origin->sent = 0;
}

static bool is_fit(const proxy_state *proxy, weir_balance_link *link)
{
    if (proxy->wire->framing != NULL) {
        return proxy->wire->framing->is_fit(link);
    }
    return (proxy->is_idempotent && !proxy->body_is_streamed && !link->is_doubted)
           || weir_connection_is_quiet(link->connection);
}

/* One that is kept, if there is: only what may be repeated is risked on it unseen. */
static bool attempt_reuse(proxy_state *proxy)
{
    weir_balance_link *link;

    if (proxy->conf->tunnels) {
        return false;
    }
    while ((link = weir_balance_idle_take(proxy->group, proxy->pick.peer, &proxy->key)) != NULL) {
        if (is_fit(proxy, link)) {
            origin_adopt(proxy, link);
            attempt_send(proxy);
            return true;
        }
        weir_connection_close(link->connection);
    }
    return false;
}

/* For each try, as the name may be that of the peer. */
static bool make_tls_name(proxy_state *proxy)
{
    const proxy_conf *conf = proxy->conf;

    if (!proxy->url.is_tls) {
        return true;
    }
    proxy->key.tls = conf->tls_client;
    if (conf->tls.name != NULL) {
        return weir_template_text(conf->tls.name, &proxy->ex->script, &proxy->key.name);
    }

    proxy->key.name = proxy->url.hostname;
    return true;
}

/* The local address that connections have in common.  False: no memory. */
static bool make_bound(proxy_state *proxy)
{
    const weir_template *addr = proxy->conf->bind.addr;

    return addr == NULL || weir_template_text(addr, &proxy->ex->script, &proxy->key.bound);
}

/* proxy_allow_upstream, of the peer that was chosen. */
static bool is_allowed(const proxy_state *proxy)
{
    const weir_array *conditions = proxy->conf->allow_upstream;

    if (conditions == NULL) {
        return true;
    }
    for (WEIR_ARRAY_EACH(conditions, const weir_template *const, condition)) {
        if (!weir_template_is_true(*condition, &proxy->ex->script)) {
            return false;
        }
    }
    return true;
}

/*
 * Once for all tries, as soon as the group is known (the head says whether it keeps connections); with request_dynamic
 * for each, when its variables are there.
 */
static bool make_head(proxy_state *proxy, bool peer_is_known)
{
    const proxy_conf *conf = proxy->conf;

    return conf->tunnels || conf->request_dynamic != peer_is_known || proxy->wire->make_head(proxy);
}

/* The peer that was chosen is spoken to. */
static void attempt_begin(proxy_state *proxy)
{
    weir_http_exchange *ex = proxy->ex;

    if (!attempt_add(proxy, proxy->pick.peer->text) || !note(proxy)
        || !weir_str_copy(ex->pool, proxy->pick.peer->name, &proxy->server_name)
        || !make_tls_name(proxy) || (proxy->conf->bind_dynamic && !make_bound(proxy))) {
        weir_balance_done(&proxy->pick, WEIR_BALANCE_ABANDONED, &ex->log);
        proxy_answer(proxy, 500, "internal failure");
        return;
    }
    if (!is_allowed(proxy)) {
        proxy->is_reused = false;
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "access to upstream is not allowed");
        proxy_fail(proxy, PROXY_FAILED_DENIED, 403);
        return;
    }
    if (!make_head(proxy, true)) {
        weir_balance_done(&proxy->pick, WEIR_BALANCE_ABANDONED, &ex->log);
        proxy_answer(proxy, 500, "internal failure");
        return;
    }
    if (!attempt_reuse(proxy)) {
        attempt_connect(proxy);
    }
}

static void peer_is_free(weir_balance_pick *pick)
{
    attempt_next(WEIR_OWNER(pick, proxy_state, pick));
}

static void attempt_next(proxy_state *proxy)
{
    weir_http_exchange *ex = proxy->ex;

    switch (weir_balance_next(&proxy->pick, peer_is_free)) {
    case WEIR_OK:
        attempt_begin(proxy);
        return;
    case WEIR_WAIT:
        return;
    case WEIR_FAIL:
        proxy->doing = "connecting to upstream";
        if (!note_of(proxy, proxy->url.name, false)) {
            ex->upstream_note = WEIR_STR_EMPTY;
        }
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "no live upstreams while %s", proxy->doing);
        ex->upstream_note = WEIR_STR_EMPTY;
        if (attempt_add(proxy, weir_balance_group_name(proxy->group))) {
            proxy_attempt_count(proxy);
            proxy_attempt_now(proxy)->status = 502;
        }
        proxy_answer(proxy, 502, "no live upstreams");
        return;
    }
}

/* ---- the beginning */

/* What connections must have in common with this one. */
static bool make_key(proxy_state *proxy)
{
    proxy->key.scope = proxy->conf->pass.location;
    proxy->key.protocol = proxy->wire;
    return proxy->conf->bind_dynamic || make_bound(proxy);
}

void proxy_begin_tries(proxy_state *proxy)
{
    weir_http_exchange *ex = proxy->ex;
    const weir_balance_subject subject = {
        .pool = ex->pool,
        .script = &ex->script,
        .client_addr = weir_http_client_addr(ex),
        .log = &ex->log,
    };

    if (!make_head(proxy, false) || !weir_balance_begin(&proxy->pick, proxy->group, &subject)) {
        proxy_answer(proxy, 500, "internal failure");
        return;
    }
    attempt_next(proxy);
}

void proxy_start(proxy_state *proxy)
{
    if (!make_key(proxy)) {
        proxy_answer(proxy, 500, "internal failure");
    } else if (proxy->group == NULL) {
        proxy_resolve(proxy);
    } else {
        proxy_begin_tries(proxy);
    }
}
