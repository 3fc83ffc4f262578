#include "modules/http/waf/waf_internal.h"

/*
 * Phases 3 and 4, before the response's head goes out.
 *
 * What was refused by others before phase 2 was due does not have it.
 *
 * Of the types that SecResponseBodyMimeType lists, the body is read ahead, up to the limit, and looked at; then head and body go
 * out.  What was answered before the rules could look at the request (a `return` of the server) has phases 1
 * and 2 here.
 */

#define AHEAD_STEP 65536

static void go_on(weir_http_waf_state *state);

/* Nothing of a response that rules refused goes out, fields included. */
static void forget_response(weir_http_exchange *ex)
{
    weir_http_fields_remove_all(&ex->response.fields);
    weir_http_fields_remove_all(&ex->response.trailers);
}

/* The withheld head goes out, or an answer of ours in its place. */
static void finish(weir_http_waf_state *state)
{
    weir_http_exchange *ex = state->ex;
    const weir_waf_intervention *intervention = weir_waf_intervened(state->tx);

    weir_http_hold_drop(ex, &state->hold);
    if (state->has_answered || intervention->deed == WEIR_WAF_DO_NOTHING) {
        weir_http_continue_head(ex);
        return;
    }
    if (intervention->deed == WEIR_WAF_DO_DROP) {
        state->has_answered = true;
        ex->wire->abort(ex);
        return;
    }
    forget_response(ex);
    (void) weir_http_waf_answer(state);
    weir_http_filter_settle(ex);
}

static void task_run(weir_task *task)
{
    go_on(WEIR_OWNER(task, weir_http_waf_state, task));
}

static void later(weir_http_waf_state *state)
{
    state->task.name = "waf response";
    state->task.run = task_run;
    weir_task_post(state->ex->client->connection->loop, &state->task);
}

/* The response is not to go out: what takes its place, as a body has failed, may be another's, and is looked at as well. */
static void cancelled(weir_http_exchange *ex, weir_http_hold *hold)
{
    weir_http_waf_state *state = WEIR_OWNER(hold, weir_http_waf_state, hold);

    (void) ex;
    weir_task_cancel(&state->task);
    if (state->response_is_added) {
        weir_waf_forget_response(state->tx);
        state->step = WEIR_HTTP_WAF_BODY_DONE;
        state->ahead_ended = state->ahead_is_cut = state->is_too_large = false;
        state->joined.is_begun = false;
    }
}

static void ahead_ready(weir_http_exchange *ex)
{
    weir_http_waf_state *state = weir_http_state_find(ex, &weir_http_waf);

    later(state);
}

/* Whether there is a body whose bytes say something. */
static bool has_body(weir_http_waf_state *state)
{
    const weir_http_exchange *ex = state->ex;
    const weir_http_response *response = &ex->response;
    const weir_http_field *coding;

    if (ex->request.method == WEIR_HTTP_HEAD || response->is_upgrade || response->must_flush
        || response->status < 200 || response->status == 204 || response->status == 304
        || weir_str_starts_nocase(response->content_type, WEIR_STR("text/event-stream"))) {
        return false;
    }
    coding = weir_http_fields_find(&response->fields, WEIR_HTTP_CONTENT_ENCODING);
    if (coding != NULL && !weir_str_eq_nocase(coding->value, WEIR_STR("identity"))) {
        weir_log_line(
            &ex->log, WEIR_LOG_WARN, 0,
            "ModSecurity: the response's body is coded with \"%.*s\": it is not inspected",
            WEIR_STR_ARG(coding->value));
        return false;
    }
    return true;
}

/* OK: as much as is looked at is there. */
static weir_result read_ahead(weir_http_waf_state *state)
{
    weir_http_exchange *ex = state->ex;
    uint64_t limit = weir_waf_response_body_limit(state->tx);

    while (!state->ahead_ended && ex->ahead.len <= limit) {
        weir_result result = weir_http_read_ahead(ex, AHEAD_STEP, &state->ahead_ended, ahead_ready);

        if (result != WEIR_OK) {
            return result;
        }
    }
    state->ahead_is_cut = ex->ahead.len > limit;
    return WEIR_OK;
}

/* OK: go on.  WAIT: somebody calls go_on().  FAIL: the exchange is broken off. */
static weir_result run(weir_http_waf_state *state, weir_waf_phase phase)
{
    if (weir_waf_run_phase(state->tx, phase) == WEIR_WAIT) {
        later(state);
        return WEIR_WAIT;
    }
    return WEIR_OK;
}

static bool is_decided(const weir_http_waf_state *state)
{
    return weir_waf_intervened(state->tx)->deed != WEIR_WAF_DO_NOTHING;
}

/* One step; the next one is in state->step. */
static weir_result step(weir_http_waf_state *state)
{
    weir_result result = WEIR_OK;

    switch (state->step) {
    case WEIR_HTTP_WAF_BEGUN:
        result = run(state, WEIR_WAF_PHASE_REQUEST_HEAD);
        if (result == WEIR_OK) {
            state->step = WEIR_HTTP_WAF_HEAD_DONE;
        }
        return result;
    case WEIR_HTTP_WAF_HEAD_DONE:
    case WEIR_HTTP_WAF_BODY_COMING:
        state->step =
            state->ex->response.status >= 400 ? WEIR_HTTP_WAF_BODY_DONE : WEIR_HTTP_WAF_BODY_SET;
        return WEIR_OK;
    case WEIR_HTTP_WAF_BODY_READ:
    case WEIR_HTTP_WAF_BODY_SET:
        result = run(state, WEIR_WAF_PHASE_REQUEST_BODY);
        if (result == WEIR_OK) {
            state->step = WEIR_HTTP_WAF_BODY_DONE;
        }
        return result;
    case WEIR_HTTP_WAF_BODY_DONE:
        weir_http_waf_add_response(state);
        state->step = WEIR_HTTP_WAF_RESPONSE_HEAD;
        return WEIR_OK;
    case WEIR_HTTP_WAF_RESPONSE_HEAD:
        result = run(state, WEIR_WAF_PHASE_RESPONSE_HEAD);
        if (result == WEIR_OK) {
            state->step = weir_waf_wants_response_body(state->tx) && has_body(state)
                              ? WEIR_HTTP_WAF_AHEAD
                              : WEIR_HTTP_WAF_RESPONSE_DONE;
        }
        return result;
    case WEIR_HTTP_WAF_AHEAD:
        result = read_ahead(state);
        if (result == WEIR_OK) {
            state->step = WEIR_HTTP_WAF_AHEAD_READ;
            if (state->ahead_is_cut && weir_waf_rejects_response_over_limit(state->tx)) {
                state->step = WEIR_HTTP_WAF_RESPONSE_DONE;
                state->is_too_large = true;
            }
        }
        return result;
    case WEIR_HTTP_WAF_AHEAD_READ:
        result = weir_http_waf_add_ahead(state, weir_waf_response_body_limit(state->tx));
        if (result == WEIR_OK) {
            state->step = WEIR_HTTP_WAF_RESPONSE_BODY;
        } else if (result == WEIR_WAIT) {
            later(state);
        }
        return result;
    case WEIR_HTTP_WAF_RESPONSE_BODY:
        result = run(state, WEIR_WAF_PHASE_RESPONSE_BODY);
        if (result == WEIR_OK) {
            state->step = WEIR_HTTP_WAF_RESPONSE_DONE;
        }
        return result;
    case WEIR_HTTP_WAF_RESPONSE_DONE:
        break;
    }
    return WEIR_OK;
}

static weir_result steps(weir_http_waf_state *state)
{
    while (state->step != WEIR_HTTP_WAF_RESPONSE_DONE && !is_decided(state)) {
        weir_result result = step(state);

        if (result != WEIR_OK) {
            return result;
        }
    }
    state->step = WEIR_HTTP_WAF_RESPONSE_DONE;
    return WEIR_OK;
}

static void refuse_size(weir_http_waf_state *state)
{
    weir_http_exchange *ex = state->ex;

    weir_http_hold_drop(ex, &state->hold);
    state->has_answered = true;
    weir_log_line(&ex->log, WEIR_LOG_ERR, 0,
                  "ModSecurity: the response's body is over SecResponseBodyLimit, %llu bytes",
                  (unsigned long long) weir_waf_response_body_limit(state->tx));
    forget_response(ex);
    (void) weir_http_answer_because(ex, 500, "response over the WAF's limit");
    weir_http_filter_settle(ex);
}

static void go_on(weir_http_waf_state *state)
{
    switch (steps(state)) {
    case WEIR_OK:
        if (state->is_too_large) {
            refuse_size(state);
        } else {
            finish(state);
        }
        break;
    case WEIR_WAIT:
        break;
    case WEIR_FAIL:
        weir_http_hold_drop(state->ex, &state->hold);
        state->ex->wire->abort(state->ex);
        break;
    }
}

weir_result weir_http_waf_response_head(weir_http_exchange *ex, const void *location)
{
    weir_http_waf_state *state = weir_http_state_find(ex, &weir_http_waf);

    if (ex->parent != NULL) {
        return WEIR_OK;
    }
    /* A head that could not be read has no request to look at. */
    if (state == NULL) {
        if (ex->request.path.len == 0 || weir_http_waf_is_off(location)) {
            return WEIR_OK;
        }
        state = weir_http_waf_begin(ex, location);
        if (state == NULL) {
            return WEIR_FAIL;
        }
    }
    if (state->tx == NULL || state->has_answered || state->step == WEIR_HTTP_WAF_RESPONSE_DONE) {
        return WEIR_OK;
    }
    switch (steps(state)) {
    case WEIR_OK:
        if (!is_decided(state) && !state->is_too_large) {
            return WEIR_OK;
        }
        weir_http_hold_add(ex, &state->hold, "waf response", cancelled);
        later(state);
        return WEIR_WAIT;
    case WEIR_WAIT:
        weir_http_hold_add(ex, &state->hold, "waf response", cancelled);
        return WEIR_WAIT;
    case WEIR_FAIL:
        break;
    }
    return WEIR_FAIL;
}
