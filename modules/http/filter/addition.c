/*
 * addition: puts what other locations say before and behind responses.
 *
 *     add_before_body /header;
 *     add_after_body  /footer;
 *     addition_types  text/plain;         beside text/html
 *
 * Both are asked for by subrequests before the head goes out, and are kept in memory: as much as a subrequest's may have.
 */

#include "modules/http/engine/core_conf.h"

typedef struct {
    weir_str before, after; /* paths; empty: nothing */
    weir_array types;       /* weir_str */
} addition_conf;

typedef struct {
    weir_http_exchange *ex;
    weir_http_hold hold;
    weir_task go_on;
    unsigned awaited; /* subrequests */
    bool has_failed;
    weir_chain before, after;
} addition_state;

extern const weir_http_module weir_http_addition;

static const weir_directive addition_directives[] = {
    {
        .name = "add_before_body",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_STR(addition_conf, before),
        .syntax = "uri",
        .doc = "The location whose text stands before that of responses; \"\" is none.",
    },
    {
        .name = "add_after_body",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_STR(addition_conf, after),
        .syntax = "uri",
        .doc = "The location whose text stands behind that of responses; \"\" is none.",
    },
    {
        .name = "addition_types",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_LIST(addition_conf, types),
        .preset = "text/html",
        .syntax = "mime-type ...",
        .doc = "The media types of responses that are added to, beside text/html; * is any.",
    },
    {0},
};

/* ---- asking */

static void addition_free(void *subject)
{
    addition_state *state = subject;

    weir_chain_clear(&state->before);
    weir_chain_clear(&state->after);
}

static void addition_cancel(weir_http_exchange *ex, weir_http_hold *hold)
{
    (void) ex;
    weir_task_cancel(&WEIR_OWNER(hold, addition_state, hold)->go_on);
}

static void all_answered(weir_task *task)
{
    addition_state *state = WEIR_OWNER(task, addition_state, go_on);

    weir_http_hold_drop(state->ex, &state->hold);
    if (state->has_failed) {
        state->ex->wire->abort(state->ex);
    } else {
        weir_http_continue_head(state->ex);
    }
}

static void answered(weir_http_exchange *child)
{
    addition_state *state = weir_http_state_find(child->parent, &weir_http_addition);
    weir_chain *text = child->child_subject;

    /* Half of a text is no text to be shown. */
    if (child->response.body_is_short || !weir_http_child_take_body(child, text)) {
        state->has_failed = true;
    }
    if (--state->awaited == 0) {
        weir_task_post(child->client->connection->loop, &state->go_on);
    }
}

static bool ask(addition_state *state, weir_str path, weir_chain *text)
{
    weir_http_exchange *child = weir_http_child_new(state->ex, path, WEIR_STR_EMPTY,
                                                    WEIR_HTTP_CHILD_IN_MEMORY, answered, text);

    if (child == NULL) {
        return false;
    }
    state->awaited++;
    weir_http_child_start(child);
    return true;
}

static addition_state *addition_begin(weir_http_exchange *ex)
{
    addition_state *state = weir_http_state(ex, &weir_http_addition, sizeof(*state));

    if (state == NULL || weir_pool_on_free(ex->pool, addition_free, state) == NULL) {
        return NULL;
    }
    state->ex = ex;
    state->go_on.name = "addition";
    state->go_on.run = all_answered;
    weir_list_init(&state->go_on.link);
    return state;
}

static weir_result addition_head(weir_http_exchange *ex, const void *location)
{
    const addition_conf *addition = location;
    weir_http_response *response = &ex->response;
    addition_state *state;

    if (response->status != 200 || ex->parent != NULL || response->is_upgrade
        || !weir_http_type_is_listed(&addition->types, response->content_type)) {
        return WEIR_OK;
    }
    response->content_length = -1;
    response->allow_ranges = false;
    weir_http_fields_remove(&response->fields, WEIR_HTTP_ACCEPT_RANGES);
    if (!weir_http_weaken_etag(ex)) {
        return WEIR_FAIL;
    }
    if (ex->request.method == WEIR_HTTP_HEAD) {
        return WEIR_OK;
    }

    state = addition_begin(ex);
    if (state == NULL || !weir_http_filter_body(ex, &weir_http_addition)
        || (addition->before.len != 0 && !ask(state, addition->before, &state->before))
        || (addition->after.len != 0 && !ask(state, addition->after, &state->after))) {
        return WEIR_FAIL;
    }
    weir_http_hold_add(ex, &state->hold, "addition", addition_cancel);
    return WEIR_WAIT;
}

static weir_result addition_body(weir_http_exchange *ex, const void *location, weir_chain *in,
                                 weir_chain *out, bool is_last)
{
    addition_state *state = weir_http_state_find(ex, &weir_http_addition);

    (void) location;
    weir_chain_append(out, &state->before);
    weir_chain_append(out, in);
    if (is_last) {
        weir_chain_append(out, &state->after);
    }
    return WEIR_OK;
}

static bool addition_applies(const void *location)
{
    const addition_conf *addition = location;

    return addition->before.len != 0 || addition->after.len != 0;
}

const weir_http_module weir_http_addition = {
    .name = "http_addition",
    .directives = addition_directives,
    .conf_size = sizeof(addition_conf),
    .applies = addition_applies,
    /* Behind what rewrites: each text was rewritten where it comes from. */
    .stage = WEIR_HTTP_STAGE_REWRITE,
    .response_head = addition_head,
    .response_body = addition_body,
};
