#include "modules/http/proxy/proxy_internal.h"

#include "core/base/clock.h"

/*
 * Tries: a peer is chosen, connected to, and sent the request.
 *
 *     (opening) -> sending -> waiting -> receiving -> kept | closed
 *                         \-> receiving      an answer before the request was all out
 *
 * Each of them may fail; then the next peer is tried, if that is allowed and can do no harm.
 */

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
static void attempt_count(proxy_state *proxy)
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
    attempt_count(proxy);
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
    proxy_origin_close(proxy);
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
        proxy_origin_close(proxy);
        response_forget(proxy);
        proxy_origin_open(proxy);
        return;
    }

    weir_log log = proxy_origin_log(proxy);

    attempt_count(proxy);
    proxy_attempt_now(proxy)->status = status;
    attempt_tell(proxy, failure == PROXY_FAILED_STATUS ? status : 0);
    weir_balance_done(&proxy->pick, is_denied ? WEIR_BALANCE_ABANDONED : WEIR_BALANCE_FAILED, &log);
    if (may_try_again(proxy, kinds)) {
        proxy_origin_close(proxy);
        response_forget(proxy);
        attempt_next(proxy);
        return;
    }
    proxy_origin_close(proxy);
    if (failure == PROXY_FAILED_DENIED) {
        proxy_answer(proxy, status, "no allowed upstream");
        return;
    }
    proxy_answer(proxy, status, status == 504 ? "upstream timed out" : "upstream failed");
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
    if (!proxy_origin_reuse(proxy)) {
        proxy_origin_open(proxy);
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
            attempt_count(proxy);
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
