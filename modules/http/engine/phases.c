#include "core/base/clock.h"
#include "modules/http/engine/engine_internal.h"

/* Runs an exchange through its phases. */

static const char *const phase_names[WEIR_HTTP_PHASE_COUNT] = {
    [WEIR_HTTP_PHASE_POST_READ] = "post read",
    [WEIR_HTTP_PHASE_SERVER_REWRITE] = "server rewrite",
    [WEIR_HTTP_PHASE_FIND_CONFIG] = "find config",
    [WEIR_HTTP_PHASE_REWRITE] = "rewrite",
    [WEIR_HTTP_PHASE_POST_REWRITE] = "post rewrite",
    [WEIR_HTTP_PHASE_PREACCESS] = "preaccess",
    [WEIR_HTTP_PHASE_ACCESS] = "access",
    [WEIR_HTTP_PHASE_PRECONTENT] = "precontent",
    [WEIR_HTTP_PHASE_CONTENT] = "content",
    [WEIR_HTTP_PHASE_LOG] = "log",
};

/* That phase, or the next after it that has anything to do here. */
void weir_http_enter_phase(weir_http_exchange *ex, weir_http_phase phase)
{
    unsigned busy = ex->location->busy_phases & (~0u << phase);

    /* Who may has been asked for the client's own request. */
    if (ex->parent != NULL) {
        busy &= ~(1u << WEIR_HTTP_PHASE_ACCESS);
    }

    ex->phase = (weir_http_phase) __builtin_ctz(busy);
    ex->handler = 0;
    if (ex->phase == WEIR_HTTP_PHASE_ACCESS) {
        ex->access_began_ms = weir_clock_now()->monotonic_ms;
    }
}

/*
 * "location /img { alias /data/img/; }" and a path "/img../secret": no segment of it is "..", but what is left of it behind
 * the location's name would lead out of the folder.
 */
static bool leaves_alias(const weir_http_exchange *ex, const weir_http_location *location)
{
    const weir_http_location *of = location->core->root.location;
    weir_str rest;

    if (!location->core->root.is_alias || of->kind == WEIR_HTTP_LOCATION_REGEX
        || ex->request.path.len <= of->name.len) {
        return false;
    }
    rest = weir_str_from(ex->request.path, of->name.len);
    return weir_str_eq(rest, WEIR_STR("..")) || weir_str_starts(rest, WEIR_STR("../"));
}

static weir_http_verdict find_config(weir_http_exchange *ex)
{
    bool needs_slash;
    const weir_http_location *location = weir_http_location_find(ex, &needs_slash);

    if (location == NULL) {
        return WEIR_HTTP_FAILED;
    }
    weir_log_debug(&ex->log, "using location: \"%.*s\"", WEIR_STR_ARG(location->name));
    weir_http_exchange_enter(ex, location);
    if (location->core->internal && !ex->is_internal) {
        return weir_http_answer_because(ex, 404, "internal location");
    }
    if (leaves_alias(ex, location)) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0,
                      "\"%.*s\" would leave the folder of \"alias\": end the name of its location "
                      "with a slash",
                      WEIR_STR_ARG(ex->request.path));
        return weir_http_answer_because(ex, 404, "path leaves alias");
    }
    if (location->limited != NULL && (location->limited_methods & 1u << ex->request.method) == 0) {
        weir_http_exchange_enter(ex, location->limited);
    }
    if (needs_slash) {
        return weir_http_answer_slash(ex);
    }

    uint64_t limit = ex->core->client_max_body_size;

    /* The page that says so may lie in a location with the same limit. */
    if (limit != 0 && !ex->shows_error_page && ex->request.content_length > 0
        && (uint64_t) ex->request.content_length > limit) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0,
                      "client intended to send too large body: %lld bytes",
                      (long long) ex->request.content_length);
        return weir_http_refuse_body(ex);
    }
    weir_http_enter_phase(ex, WEIR_HTTP_PHASE_REWRITE);
    return WEIR_HTTP_PASS;
}

/* A rewrite that changed the path looks for its location again, but not for ever. */
static weir_http_verdict post_rewrite(weir_http_exchange *ex)
{
    if (!ex->uri_changed) {
        weir_http_enter_phase(ex, WEIR_HTTP_PHASE_PREACCESS);
        return WEIR_HTTP_PASS;
    }

    ex->uri_changed = false;
    if (ex->redirects_left-- == 0) {
        ex->redirects_left = 0;
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0,
                      "rewrite or internal redirection cycle while processing \"%.*s\"",
                      WEIR_STR_ARG(ex->request.path));
        return weir_http_answer_because(ex, 500, "redirection cycle");
    }
    weir_http_exchange_enter(ex, ex->server->root);
    weir_http_enter_phase(ex, WEIR_HTTP_PHASE_FIND_CONFIG);
    return WEIR_HTTP_PASS;
}

/* All handlers of a phase had no opinion. */
static weir_http_verdict phase_is_over(weir_http_exchange *ex)
{
    if (ex->phase == WEIR_HTTP_PHASE_ACCESS && ex->access_status != 0) {
        unsigned status = ex->access_status;

        ex->access_status = 0;
        if (status == 403) {
            weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "access forbidden by rule");
        }
        return weir_http_answer_because(ex, status, "access denied");
    }
    if (ex->phase == WEIR_HTTP_PHASE_CONTENT) {
        if (ex->request.method == WEIR_HTTP_CONNECT) {
            return weir_http_answer_because(ex, 405, "no tunnels here");
        }
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "no handler found");
        return weir_http_answer_because(ex, 404, "no content");
    }
    weir_http_enter_phase(ex, ex->phase + 1);
    return WEIR_HTTP_PASS;
}

/* `satisfy any`: the first who lets the request by decides; one who refuses only says so. */
static weir_http_verdict access_settle(weir_http_exchange *ex, const weir_http_module *module,
                                       weir_http_verdict verdict)
{
    if (ex->core->satisfy == WEIR_HTTP_SATISFY_ALL || module->before_asking) {
        return verdict;
    }
    if (verdict == WEIR_HTTP_ANSWERED && ex->is_bare
        && (ex->response.status == 401 || ex->response.status == 403)) {
        if (ex->access_status != 401) {
            ex->access_status = ex->response.status;
        }
        ex->is_bare = false;
        ex->response.status = 0;
        return WEIR_HTTP_PASS;
    }
    return verdict;
}

/* Who was refused before, and asked for a password perhaps, is let by: there is nothing to be proved any more. */
static void access_let_by(weir_http_exchange *ex)
{
    if (ex->access_status != 0) {
        ex->access_status = 0;
        weir_http_fields_remove(&ex->response.fields, WEIR_HTTP_WWW_AUTHENTICATE);
    }
}

/*
 * ---- auth_delay: who guesses passwords is not told at once, nor, as long as a password is checked within the delay, in a time
 * that depends on the guess
 */

static void unauthorized(weir_http_exchange *ex)
{
    weir_http_respond_status(ex, 401, ex->end_reason);
}

static bool is_to_be_delayed(const weir_http_exchange *ex, weir_http_verdict verdict)
{
    return verdict == WEIR_HTTP_ANSWERED && ex->is_bare && ex->response.status == 401
           && ex->phase == WEIR_HTTP_PHASE_ACCESS && ex->core->auth_delay_ms != 0;
}

static weir_http_verdict delay(weir_http_exchange *ex)
{
    uint64_t passed_ms = weir_clock_now()->monotonic_ms - ex->access_began_ms;
    uint64_t delay_ms = ex->core->auth_delay_ms;

    weir_log_line(&ex->log, WEIR_LOG_INFO, 0, "delaying unauthorized request");
    return weir_http_pause(ex, "auth_delay", delay_ms > passed_ms ? delay_ms - passed_ms : 0,
                           unauthorized);
}

/* The place behind a module in the hooks of the location that it has moved the exchange to. */
static unsigned place_behind(const weir_http_hook *hooks, const weir_http_module *module)
{
    unsigned place = 0;

    while (hooks[place].module != NULL && hooks[place].module != module) {
        place++;
    }
    return hooks[place].module == NULL ? place : place + 1;
}

/* What CONNECT is answered with is a tunnel; content that does not know that would be taken for its bytes. */
static bool is_passed_over(const weir_http_exchange *ex, const weir_http_module *module)
{
    return WEIR_UNLIKELY(ex->request.method == WEIR_HTTP_CONNECT)
           && ex->phase == WEIR_HTTP_PHASE_CONTENT && !module->takes_connect;
}

static weir_http_verdict next_handler(weir_http_exchange *ex)
{
    const weir_http_location *location = ex->location;
    const weir_http_hook *hook = &location->phases[ex->phase][ex->handler];
    weir_http_verdict verdict;

    if (hook->module == NULL) {
        return phase_is_over(ex);
    }

    verdict =
        is_passed_over(ex, hook->module) ? WEIR_HTTP_PASS : hook->module->judge(ex, hook->settings);
    if (ex->phase == WEIR_HTTP_PHASE_ACCESS) {
        verdict = access_settle(ex, hook->module, verdict);
    }
    if (ex->is_restarted || ex->is_ended) {
        return verdict;
    }
    switch (verdict) {
    case WEIR_HTTP_PASS:
        ex->handler = ex->location == location
                          ? ex->handler + 1
                          : place_behind(ex->location->phases[ex->phase], hook->module);
        break;
    case WEIR_HTTP_SETTLED:
        /* Under `satisfy all` each access module speaks for itself; under `any` one is enough. */
        if (ex->phase == WEIR_HTTP_PHASE_ACCESS && ex->core->satisfy == WEIR_HTTP_SATISFY_ALL) {
            ex->handler++;
        } else {
            access_let_by(ex);
            weir_http_enter_phase(ex, ex->phase + 1);
        }
        break;
    case WEIR_HTTP_ANSWERED:
    case WEIR_HTTP_WAITING:
        break;
    case WEIR_HTTP_FAILED:
        return weir_http_answer_because(ex, 500, "internal failure");
    }
    return verdict;
}

static weir_http_verdict step(weir_http_exchange *ex)
{
    switch (ex->phase) {
    case WEIR_HTTP_PHASE_FIND_CONFIG:
        return find_config(ex);
    case WEIR_HTTP_PHASE_POST_REWRITE:
        return post_rewrite(ex);
    case WEIR_HTTP_PHASE_POST_READ:
    case WEIR_HTTP_PHASE_SERVER_REWRITE:
    case WEIR_HTTP_PHASE_REWRITE:
    case WEIR_HTTP_PHASE_PREACCESS:
    case WEIR_HTTP_PHASE_ACCESS:
    case WEIR_HTTP_PHASE_PRECONTENT:
    case WEIR_HTTP_PHASE_CONTENT:
        return next_handler(ex);
    case WEIR_HTTP_PHASE_LOG:
    case WEIR_HTTP_PHASE_COUNT:
        break;
    }
    return WEIR_HTTP_FAILED;
}

static void run_phases(weir_http_exchange *ex)
{
    for (;;) {
        weir_http_verdict verdict = step(ex);

        if (ex->is_ended) {
            return;
        }
        if (ex->is_restarted) {
            ex->is_restarted = false;
            continue;
        }
        if (WEIR_UNLIKELY(is_to_be_delayed(ex, verdict))) {
            verdict = delay(ex);
        }
        switch (verdict) {
        case WEIR_HTTP_PASS:
        case WEIR_HTTP_SETTLED:
            continue;
        case WEIR_HTTP_WAITING:
            weir_log_debug(&ex->log, "http waits in phase \"%s\"", phase_names[ex->phase]);
            return;
        case WEIR_HTTP_FAILED:
            (void) weir_http_answer_because(ex, 500, "internal failure");
            break;
        case WEIR_HTTP_ANSWERED:
            break;
        }
        if (ex->is_bare && !weir_http_settle_bare(ex)) {
            ex->is_restarted = false;
            continue;
        }
        weir_http_respond(ex);
        return;
    }
}

void weir_http_run(weir_http_exchange *ex)
{
    if (ex->is_running || ex->is_ended) {
        return;
    }
    ex->is_running = true;
    run_phases(ex);
    ex->is_running = false;
    if (ex->is_ended) {
        weir_http_exchange_left(ex);
    }
}

void weir_http_resume(weir_http_exchange *ex)
{
    weir_task_post(ex->client->connection->loop, &ex->run_task);
}

/* ---- internal redirects */

static bool redirect_begin(weir_http_exchange *ex, weir_str what)
{
    if (ex->redirects_left-- == 0) {
        ex->redirects_left = 0;
        ex->error_status = 0;
        weir_log_line(
            &ex->log, WEIR_LOG_ERR, 0,
            "rewrite or internal redirection cycle while internally redirecting to \"%.*s\"",
            WEIR_STR_ARG(what));
        return false;
    }

    /* What the first try had begun is undone; fields that it set for the client stay. */
    ex->is_internal = true;
    ex->uri_changed = false;
    ex->is_bare = false;
    ex->access_status = 0;
    weir_http_body_restart(ex);
    weir_http_body_forget(ex);
    weir_http_states_forget(ex);
    ex->response.status = 0;
    ex->response.content_length = -1;
    ex->is_restarted = true;
    weir_log_debug(&ex->log, "internal redirect: \"%.*s\"", WEIR_STR_ARG(what));
    return true;
}

static weir_http_verdict redirect_done(weir_http_exchange *ex)
{
    if (!ex->is_running) {
        ex->is_restarted = false;
        weir_http_resume(ex);
    }
    return WEIR_HTTP_SETTLED;
}

static weir_http_verdict redirect_refuse(weir_http_exchange *ex)
{
    ex->error_status = 0;
    if (!ex->is_running) {
        weir_http_respond_status(ex, 500, "redirection cycle");
        return WEIR_HTTP_SETTLED;
    }
    return weir_http_answer_because(ex, 500, "redirection cycle");
}

weir_http_verdict weir_http_redirect_internal(weir_http_exchange *ex, weir_str path, weir_str args)
{
    if (!redirect_begin(ex, path)) {
        return redirect_refuse(ex);
    }
    weir_http_set_path(&ex->request, path);
    ex->request.args = args;
    ex->request.path_is_valid = false;
    weir_http_exchange_enter(ex, ex->server->root);
    weir_http_enter_phase(ex, WEIR_HTTP_PHASE_SERVER_REWRITE);
    return redirect_done(ex);
}

weir_http_verdict weir_http_redirect_named(weir_http_exchange *ex, weir_str name)
{
    const weir_http_location *location = weir_http_location_named(ex->server, name);

    if (location == NULL) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "could not find named location \"%.*s\"",
                      WEIR_STR_ARG(name));
        return redirect_refuse(ex);
    }
    if (ex->request.path.len == 0) {
        /* The head could not be read: nothing in the location could make sense of it. */
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "empty URI in redirect to named location \"%.*s\"",
                      WEIR_STR_ARG(name));
        return redirect_refuse(ex);
    }
    if (!redirect_begin(ex, name)) {
        return redirect_refuse(ex);
    }
    weir_http_exchange_enter(ex, location);
    weir_http_enter_phase(ex, WEIR_HTTP_PHASE_REWRITE);
    return redirect_done(ex);
}
