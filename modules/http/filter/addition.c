/*
 * addition: puts what other locations say before and behind responses.
 *
 *     add_before_body /header;
 *     add_after_body  /footer;
 *     addition_types  text/plain;         beside text/html
 *
 * Each is a subrequest, whose body goes out as it comes.
 */

#include "modules/http/engine/core_conf.h"

typedef struct {
    weir_str before, after; /* paths; empty: nothing */
    weir_array types;       /* weir_str */
} addition_conf;

typedef struct {
    weir_http_exchange *text; /* the subrequest whose body comes next; NULL: none */
    bool after_was_asked;
    bool has_failed;
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

static void text_ended(weir_http_exchange *child)
{
    addition_state *state = child->child_subject;

    state->text = NULL;
    state->has_failed = child->response.body_is_short;
}

static bool text_ask(weir_http_exchange *ex, addition_state *state, weir_str path)
{
    state->text = weir_http_child_new(ex, path, WEIR_STR_EMPTY, 0, text_ended, state);
    if (state->text == NULL) {
        return false;
    }
    weir_http_child_start(state->text);
    return true;
}

/* OK: there is none, or no more.  WAIT and FAIL are for the filter to return. */
static weir_result text_add(addition_state *state, weir_chain *out)
{
    if (state->text != NULL && weir_http_child_pull(state->text, out) == WEIR_FAIL) {
        return WEIR_FAIL;
    }
    if (state->has_failed) {
        return WEIR_FAIL;
    }
    return state->text != NULL ? WEIR_WAIT : WEIR_OK;
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

    state = weir_http_state(ex, &weir_http_addition, sizeof(*state));
    return state != NULL && weir_http_filter_body(ex, &weir_http_addition)
                   && (addition->before.len == 0 || text_ask(ex, state, addition->before))
               ? WEIR_OK
               : WEIR_FAIL;
}

static weir_result addition_body(weir_http_exchange *ex, const void *location, weir_chain *in,
                                 weir_chain *out, bool is_last)
{
    const addition_conf *addition = location;
    addition_state *state = weir_http_state_find(ex, &weir_http_addition);
    weir_result result = text_add(state, out);

    if (result != WEIR_OK) {
        return result;
    }
    weir_chain_append(out, in);
    if (is_last && addition->after.len != 0 && !state->after_was_asked) {
        state->after_was_asked = true;
        return text_ask(ex, state, addition->after) ? WEIR_WAIT : WEIR_FAIL;
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
