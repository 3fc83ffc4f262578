#include "modules/http/waf/waf_internal.h"

/*
 * Phase 1, before anything else of the location runs; 2, once limits and access control have let the request by; and 5, once the
 * response is out.  Who is refused anyway has no body read, and none looked at.
 *
 * What a location answers before that, by "return 200", is looked at before, and so is what access control shows to others
 * (auth_request).
 *
 * A request is looked at once, by the rules of the first location in which they are on: error pages and internal
 * redirects go on with the same transaction.
 */

#define PAGE_NOTE_MAX 200

/* The id of the request on the page that refuses it; what is no plain text is left out. */
static void note_id(weir_http_waf_state *state)
{
    weir_str id = weir_waf_unique_id(state->tx);
    weir_builder builder;

    for (size_t i = 0; i < id.len; i++) {
        char c = id.data[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-'
              || c == '_' || c == '.' || c == ':')) {
            return;
        }
    }
    weir_builder_open(&builder, state->ex->pool, PAGE_NOTE_MAX);
    weir_builder_add(&builder, WEIR_STR("Request id: "));
    weir_builder_add(&builder, id);
    if (!weir_builder_close(&builder, &state->ex->page_note)) {
        state->ex->page_note = WEIR_STR_EMPTY;
    }
}

weir_http_verdict weir_http_waf_answer(weir_http_waf_state *state)
{
    const weir_waf_intervention *intervention = weir_waf_intervened(state->tx);
    weir_http_exchange *ex = state->ex;

    state->has_answered = true;
    switch (intervention->deed) {
    case WEIR_WAF_DO_NOTHING:
        return WEIR_HTTP_PASS;
    case WEIR_WAF_DO_DENY:
        note_id(state);
        return weir_http_answer_because(ex, intervention->status, "refused by a WAF rule");
    case WEIR_WAF_DO_DROP:
        ex->keepalive = false;
        return weir_http_answer_because(ex, 444, "dropped by a WAF rule");
    case WEIR_WAF_DO_REDIRECT:
        return weir_http_answer_redirect(ex, intervention->status, intervention->url);
    }
    return WEIR_HTTP_FAILED;
}

static bool has_intervened(const weir_http_waf_state *state)
{
    return !state->has_answered && weir_waf_intervened(state->tx)->deed != WEIR_WAF_DO_NOTHING;
}

/* ---- the body */

/* It could not be read: should an error page want it all the same, it is to be looked at. */
static void body_cancel(weir_http_exchange *ex, weir_http_hold *hold)
{
    (void) ex;
    WEIR_OWNER(hold, weir_http_waf_state, hold)->step = WEIR_HTTP_WAF_HEAD_DONE;
}

static void body_done(weir_http_exchange *ex)
{
    weir_http_waf_state *state = weir_http_state_find(ex, &weir_http_waf);

    weir_http_hold_drop(ex, &state->hold);
    state->step = WEIR_HTTP_WAF_BODY_READ;
    weir_http_resume(ex);
}

/* Larger than the rules are to see, and that is to be refused. */
static bool body_is_refused(const weir_http_waf_state *state, uint64_t bytes)
{
    return weir_waf_rejects_over_limit(state->tx) && bytes > weir_waf_request_body_limit(state->tx);
}

static weir_http_verdict refuse_body(weir_http_waf_state *state)
{
    weir_http_exchange *ex = state->ex;

    weir_log_line(&ex->log, WEIR_LOG_ERR, 0,
                  "ModSecurity: the request's body is over SecRequestBodyLimit, %llu bytes",
                  (unsigned long long) weir_waf_request_body_limit(state->tx));
    ex->keepalive = false;
    state->has_answered = true;
    note_id(state);
    return weir_http_answer_because(ex, 413, "body over the WAF's limit");
}

/* PASS: it is there, or not wanted. */
static weir_http_verdict read_body(weir_http_waf_state *state)
{
    weir_http_exchange *ex = state->ex;
    const weir_http_request *request = &ex->request;

    if (!request->has_body || !weir_waf_wants_request_body(state->tx)) {
        return WEIR_HTTP_PASS;
    }
    if (request->content_length > 0 && body_is_refused(state, (uint64_t) request->content_length)) {
        return refuse_body(state);
    }
    switch (weir_http_collect_body(ex, body_done)) {
    case WEIR_OK:
        return WEIR_HTTP_PASS;
    case WEIR_WAIT:
        weir_http_hold_add(ex, &state->hold, "waf body", body_cancel);
        return WEIR_HTTP_WAITING;
    case WEIR_FAIL:
        break;
    }
    state->step = WEIR_HTTP_WAF_HEAD_DONE;
    return WEIR_HTTP_ANSWERED;
}

/* Decoding would let a few bytes become gigabytes; CRS refuses the field itself (920450). */
static void note_coding(const weir_http_waf_state *state)
{
    const weir_http_exchange *ex = state->ex;
    const weir_http_field *coding =
        weir_http_fields_find(&ex->request.fields, WEIR_HTTP_CONTENT_ENCODING);

    if (coding != NULL && !weir_str_eq_nocase(coding->value, WEIR_STR("identity"))) {
        weir_log_line(
            &ex->log, WEIR_LOG_WARN, 0,
            "ModSecurity: the request's body is coded with \"%.*s\": it is inspected as it "
            "came, not decoded",
            WEIR_STR_ARG(coding->value));
    }
}

static weir_http_verdict add_body(weir_http_waf_state *state)
{
    if (!weir_waf_wants_request_body(state->tx)) {
        return WEIR_HTTP_PASS;
    }
    if (body_is_refused(state, state->ex->request.body.len)) {
        return refuse_body(state);
    }
    if (state->ex->request.body.len != 0 && !state->joined.is_begun) {
        note_coding(state);
    }
    switch (weir_http_waf_add_body(state)) {
    case WEIR_OK:
        return WEIR_HTTP_PASS;
    case WEIR_WAIT:
        weir_http_resume(state->ex);
        return WEIR_HTTP_WAITING;
    case WEIR_FAIL:
        break;
    }
    return WEIR_HTTP_FAILED;
}

/* ---- phases */

/* WAITING: the turn is over, and others have theirs. */
static weir_http_verdict run(weir_http_waf_state *state, weir_waf_phase phase)
{
    if (weir_waf_run_phase(state->tx, phase) == WEIR_WAIT) {
        weir_http_resume(state->ex);
        return WEIR_HTTP_WAITING;
    }
    return has_intervened(state) ? weir_http_waf_answer(state) : WEIR_HTTP_PASS;
}

/* From the step that the request has reached to the end of phase 1; once access is granted (`let_by`), of phase 2. */
static weir_http_verdict go_on(weir_http_waf_state *state, bool let_by)
{
    weir_http_verdict verdict;

    if (state->step == WEIR_HTTP_WAF_BEGUN) {
        verdict = run(state, WEIR_WAF_PHASE_REQUEST_HEAD);
        if (verdict != WEIR_HTTP_PASS) {
            return verdict;
        }
        state->step = WEIR_HTTP_WAF_HEAD_DONE;
        state->ex->request.wants_identity = weir_waf_may_want_response_body(state->tx);
    }
    if (state->step == WEIR_HTTP_WAF_HEAD_DONE) {
        if (!let_by) {
            return WEIR_HTTP_PASS;
        }
        weir_waf_set_user(state->tx, state->ex->remote_user);
        state->step = WEIR_HTTP_WAF_BODY_COMING;
        verdict = read_body(state);
        if (verdict != WEIR_HTTP_PASS) {
            return verdict;
        }
        state->step = WEIR_HTTP_WAF_BODY_READ;
    }
    if (state->step == WEIR_HTTP_WAF_BODY_COMING) {
        return WEIR_HTTP_WAITING;
    }
    if (state->step == WEIR_HTTP_WAF_BODY_READ) {
        verdict = add_body(state);
        if (verdict != WEIR_HTTP_PASS) {
            return verdict;
        }
        state->step = WEIR_HTTP_WAF_BODY_SET;
    }
    if (state->step == WEIR_HTTP_WAF_BODY_SET) {
        verdict = run(state, WEIR_WAF_PHASE_REQUEST_BODY);
        if (verdict != WEIR_HTTP_PASS) {
            return verdict;
        }
        state->step = WEIR_HTTP_WAF_BODY_DONE;
    }
    return WEIR_HTTP_PASS;
}

static void log_phase(weir_http_waf_state *state)
{
    const weir_http_response *response = &state->ex->response;

    /* The log is to tell how it was answered in the end. */
    if (!state->response_is_added) {
        weir_http_waf_add_response(state);
    } else if (response->status != state->status_added) {
        weir_waf_set_response(state->tx, response->status,
                              weir_http_version_text(response->version));
    }
    /* Nobody waits for it but the next request of this connection. */
    while (weir_waf_run_phase(state->tx, WEIR_WAF_PHASE_LOGGING) == WEIR_WAIT) {
    }
    weir_http_waf_write_logs(state);
}

/* Rules that the server itself has, all of its locations have; those of one location end where a redirect leads out of it. */
static bool may_lead_out(const weir_http_exchange *ex)
{
    const weir_http_waf_conf *all = weir_level_settings(ex->server->level, &weir_http_waf.base);

    return all->rules.program == NULL;
}

/* Whether phase 2 is due here. */
static bool is_let_by(const weir_http_exchange *ex)
{
    if (ex->shows_error_page && !ex->location->takes_body) {
        return false; /* refused before it was due, and the page makes nothing of the request */
    }
    return ex->phase == WEIR_HTTP_PHASE_PRECONTENT || ex->phase == WEIR_HTTP_PHASE_ACCESS
           || ex->location->answers_itself || may_lead_out(ex) || weir_http_waf_is_explaining();
}

weir_http_verdict weir_http_waf_judge(weir_http_exchange *ex, const void *location)
{
    weir_http_waf_state *state = weir_http_state_find(ex, &weir_http_waf);

    if (ex->parent != NULL) {
        return WEIR_HTTP_PASS;
    }
    if (ex->phase == WEIR_HTTP_PHASE_LOG) {
        if (state != NULL && state->tx != NULL) {
            log_phase(state);
        }
        return WEIR_HTTP_PASS;
    }
    if (state == NULL) {
        if (weir_http_waf_is_off(location)) {
            return WEIR_HTTP_PASS;
        }
        state = weir_http_waf_begin(ex, location);
        if (state == NULL) {
            return WEIR_HTTP_FAILED;
        }
    }
    return state->has_answered ? WEIR_HTTP_PASS : go_on(state, is_let_by(ex));
}

/* ---- where others are asked who may: they get no attack either */

static weir_http_verdict judge_early(weir_http_exchange *ex, const void *location)
{
    const weir_http_waf_conf *waf = weir_http_settings(ex, &weir_http_waf);

    (void) location;
    return waf->rules.program != NULL ? weir_http_waf_judge(ex, waf) : WEIR_HTTP_PASS;
}

const weir_http_module weir_http_waf_early = {
    .name = "http_waf_early",
    .phases = 1u << WEIR_HTTP_PHASE_ACCESS,
    .judge = judge_early,
    .before_asking = true,
};
