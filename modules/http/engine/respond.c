#include "core/base/number.h"
#include "modules/http/engine/engine_internal.h"

/* From a response that is set to the wire: head filters, then the body through the body filters. */

/* A body filter that is on for an exchange. */
typedef struct {
    weir_list link;
    const weir_http_module *module;
    const void *settings;
    weir_chain in; /* what it has not taken yet */
    bool has_more; /* it gave only some of what it can make of its input */
    bool has_seen_last;
} body_filter;

bool weir_http_filter_body(weir_http_exchange *ex, const weir_http_module *module)
{
    body_filter *filter = WEIR_NEW(ex->pool, body_filter);

    if (filter == NULL) {
        return false;
    }
    filter->module = module;
    filter->settings = weir_http_settings(ex, module);
    weir_list_append(&ex->body_filters, &filter->link);
    return true;
}

void weir_http_filters_clear(weir_http_exchange *ex)
{
    weir_list *link;

    while ((link = weir_list_first(&ex->body_filters)) != NULL) {
        body_filter *filter = WEIR_OWNER(link, body_filter, link);

        weir_chain_clear(&filter->in);
        weir_list_remove(link);
    }
}

/* ---- heads */

static bool is_bodiless(const weir_http_exchange *ex)
{
    unsigned status = ex->response.status;

    return ex->request.method == WEIR_HTTP_HEAD || status < 200 || status == 204 || status == 304;
}

/* By CONNECT, which an error page may have made a GET since. */
static bool asks_for_tunnel(const weir_http_exchange *ex)
{
    return ex->parent == NULL && weir_str_starts(ex->request.line, WEIR_STR("CONNECT "));
}

static void head_is_final(weir_http_exchange *ex)
{
    weir_http_response *response = &ex->response;

    if (response->status / 100 == 2 && WEIR_UNLIKELY(asks_for_tunnel(ex))
        && !response->is_upgrade) {
        /* Whoever asked would take what follows for the tunnel's bytes (RFC 9110, 9.3.6; RFC 8441, 5). */
        weir_log_line(&ex->log, WEIR_LOG_INFO, 0,
                      "a response with status %u that makes no tunnel is sent as 501",
                      response->status);
        ex->end_reason = "no tunnel where one was asked for";
        response->status = 501;
        response->status_text = WEIR_STR_EMPTY;
    }
    response->has_no_body = is_bodiless(ex) && !response->is_upgrade;
    if (response->status == 204) {
        response->content_length = -1;
        if (!response->from_upstream) {
            response->content_type = WEIR_STR_EMPTY;
        }
    }
    ex->wire->respond(ex);
}

void weir_http_continue_head(weir_http_exchange *ex)
{
    for (;;) {
        const weir_http_hook *hook = &ex->location->filters[ex->filter];

        if (hook->module == NULL) {
            head_is_final(ex);
            return;
        }
        ex->filter++;
        if (hook->module->response_head == NULL) {
            continue;
        }
        switch (hook->module->response_head(ex, hook->settings)) {
        case WEIR_OK:
            break;
        case WEIR_WAIT:
            return;
        case WEIR_FAIL:
            ex->wire->abort(ex);
            return;
        }
        if (ex->is_ended) {
            return;
        }
    }
}

void weir_http_filter_settle(weir_http_exchange *ex)
{
    weir_http_filters_clear(ex);
    ex->response.needs_trailers = false;
    if (!weir_http_settle_bare(ex)) {
        /* An error page: the phases have it, once this response is off the stack; who made it is done. */
        weir_http_holds_cancel(ex);
        ex->is_restarted = false;
        ex->is_responding = false;
        weir_http_resume(ex);
        return;
    }
    ex->filter = 0;
    weir_http_continue_head(ex);
}

weir_result weir_http_filter_answer(weir_http_exchange *ex, unsigned status, const char *reason)
{
    (void) weir_http_answer_because(ex, status, reason);
    weir_http_filter_settle(ex);
    return WEIR_WAIT;
}

static uint64_t rate_of(weir_http_exchange *ex, const weir_template *template)
{
    weir_str text;
    uint64_t rate;

    return weir_template_text(template, &ex->script, &text)
                   && weir_parse_size(text, true, INT64_MAX / 4096, &rate)
               ? rate
               : 0;
}

void weir_http_respond(weir_http_exchange *ex)
{
    if (ex->is_responding || ex->is_ended) {
        return;
    }
    /* Ours say to close without a word; an origin's are statuses like others. */
    if ((ex->response.status == 444 || ex->response.status == 499) && !ex->response.from_upstream) {
        ex->wire->abort(ex);
        return;
    }

    ex->is_responding = true;
    if (ex->shows_error_page && ex->error_status != 0) {
        ex->response.status =
            ex->error_status >= 494 && ex->error_status <= 497 ? 400 : ex->error_status;
        ex->response.status_text = WEIR_STR_EMPTY;
        if (ex->response.status >= 300) {
            /* The page's time is not that of what was asked for. */
            ex->response.last_modified_s = -1;
        }
    }
    if (WEIR_UNLIKELY(ex->core->rates_vary)) {
        ex->limit_rate = ex->limit_rate_is_set ? ex->limit_rate : rate_of(ex, ex->core->limit_rate);
        ex->limit_rate_after = rate_of(ex, ex->core->limit_rate_after);
    } else {
        ex->limit_rate = ex->limit_rate_is_set ? ex->limit_rate : ex->core->rate;
        ex->limit_rate_after = ex->core->rate_after;
    }
    ex->filter = 0;
    weir_http_continue_head(ex);
}

void weir_http_wake(weir_http_exchange *ex)
{
    void (*ready)(weir_http_exchange *) = ex->ahead_ready;

    if (ex->is_ended) {
        return;
    }
    if (ready != NULL) {
        ex->ahead_ready = NULL;
        ready(ex);
        return;
    }
    /* A head filter may still wait: the body is pulled behind the head. */
    if (ex->response.head_is_sent) {
        ex->wire->wake(ex);
    }
}

bool weir_http_wants_hints(weir_http_exchange *ex)
{
    const weir_array *conditions = ex->core->early_hints;
    weir_str text;

    if (conditions == NULL) {
        return false;
    }
    for (WEIR_ARRAY_EACH(conditions, const weir_template *const, condition)) {
        if (weir_template_text(*condition, &ex->script, &text) && text.len != 0
            && !weir_str_eq(text, WEIR_STR("0"))) {
            return true;
        }
    }
    return false;
}

void weir_http_send_interim(weir_http_exchange *ex, unsigned status, const weir_http_fields *fields)
{
    if (ex->response.head_is_sent || ex->request.version < WEIR_HTTP_11) {
        return;
    }
    (void) ex->wire->send_interim(ex, status, fields);
}

/* ---- bodies */

/* What lies in files is read into blocks. */
static weir_result pull_blocks(weir_http_exchange *ex, weir_chain *from, weir_chain *out,
                               uint64_t limit)
{
    const weir_http_core_conf *core = ex->core;
    uint64_t buffers = (uint64_t) core->output_buffers.count * core->output_buffers.size;
    uint64_t before = out->len;

    limit = limit < buffers ? limit : buffers;
    while (out->len - before < limit && !weir_chain_is_empty(from)) {
        uint64_t left = limit - (out->len - before);

        if (from->first->kind == WEIR_SPAN_FILE) {
            weir_result result = weir_http_file_pull(ex, from, out, left);

            if (result != WEIR_OK) {
                return result == WEIR_WAIT && out->len != before ? WEIR_OK : result;
            }
            if (ex->file_read != NULL) {
                return WEIR_OK;
            }
        } else if (!weir_chain_move(out, from, from->first->len < left ? from->first->len : left)) {
            return WEIR_FAIL;
        }
    }
    return WEIR_OK;
}

/* The kernel sends files where it may; filters and `sendfile off` take blocks. */
static weir_result pull_body(weir_http_exchange *ex, weir_chain *out, uint64_t limit,
                             bool takes_files)
{
    const weir_http_core_conf *core = ex->core;

    if (takes_files && core->sendfile && !core->aio && !ex->body_is_direct) {
        return weir_chain_move(out, &ex->body, limit) ? WEIR_OK : WEIR_FAIL;
    }
    return pull_blocks(ex, &ex->body, out, limit);
}

/* An origin's response may lie in a temporary file, which filters do not take, nor those that a child's body goes to. */
static weir_result pull_source(weir_http_exchange *ex, weir_chain *out, uint64_t limit)
{
    bool takes_files = weir_list_is_empty(&ex->body_filters) && ex->parent == NULL;
    weir_result result;

    if (WEIR_UNLIKELY(!weir_chain_is_empty(&ex->ahead)) && takes_files) {
        return weir_chain_move(out, &ex->ahead, limit) ? WEIR_OK : WEIR_FAIL;
    }
    if (!weir_chain_is_empty(&ex->ahead)) {
        return pull_blocks(ex, &ex->ahead, out, limit);
    }
    if (ex->body_source_ended) {
        return WEIR_OK;
    }
    if (ex->source != NULL && takes_files) {
        return ex->source->pull(ex, ex->source, out, limit, &ex->body_source_ended);
    }
    if (ex->source != NULL) {
        result = ex->source->pull(ex, ex->source, &ex->ahead, limit, &ex->body_source_ended);
        return result == WEIR_OK ? pull_blocks(ex, &ex->ahead, out, limit) : result;
    }
    result = pull_body(ex, out, limit, takes_files);
    ex->body_source_ended = result == WEIR_OK && weir_chain_is_empty(&ex->body);
    return result;
}

weir_result weir_http_read_ahead(weir_http_exchange *ex, uint64_t limit, bool *ended,
                                 void (*ready)(weir_http_exchange *ex))
{
    weir_result result = WEIR_OK;

    if (!ex->body_source_ended && ex->source != NULL) {
        result = ex->source->pull(ex, ex->source, &ex->ahead, limit, &ex->body_source_ended);
    } else if (!ex->body_source_ended) {
        result = pull_body(ex, &ex->ahead, limit, false);
        ex->body_source_ended = result == WEIR_OK && weir_chain_is_empty(&ex->body);
    }
    ex->ahead_ready = result == WEIR_WAIT ? ready : NULL;
    *ended = result == WEIR_OK && ex->body_source_ended;
    return result;
}

static bool source_has_ended(const weir_http_exchange *ex)
{
    return ex->body_source_ended && weir_chain_is_empty(&ex->ahead);
}

/*
 * The filter whose turn it is, and what it gives goes through those behind it: the last one that has more of what it was
 * given, as nothing is to pile up before it.  NULL: none has.
 */
static weir_list *filter_with_more(weir_http_exchange *ex)
{
    for (weir_list *link = ex->body_filters.previous; link != &ex->body_filters;
         link = link->previous) {
        if (WEIR_OWNER(link, body_filter, link)->has_more) {
            return link;
        }
    }
    return NULL;
}

/* From the filter at `link` on; `is_last` follows the last bytes. WAIT: one has nothing to give before it is woken. */
static weir_result run_filters(weir_http_exchange *ex, weir_list *link, weir_chain *out)
{
    bool is_last = link->previous == &ex->body_filters
                       ? source_has_ended(ex)
                       : WEIR_OWNER(link->previous, body_filter, link)->has_seen_last;
    bool waits = false;

    for (; link != &ex->body_filters; link = link->next) {
        body_filter *filter = WEIR_OWNER(link, body_filter, link);
        body_filter *next = WEIR_OWNER(link->next, body_filter, link);
        weir_chain *to = link->next == &ex->body_filters ? out : &next->in;
        uint64_t before = to->len;

        if (!filter->has_seen_last
            && (filter->has_more || is_last || !weir_chain_is_empty(&filter->in))) {
            weir_result result =
                filter->module->response_body(ex, filter->settings, &filter->in, to, is_last);

            if (result == WEIR_FAIL) {
                return WEIR_FAIL;
            }
            filter->has_more = result == WEIR_WAIT;
            filter->has_seen_last = is_last && !filter->has_more;
            waits = waits || (filter->has_more && to->len == before);
        }
        is_last = filter->has_seen_last;
    }
    return waits ? WEIR_WAIT : WEIR_OK;
}

weir_result weir_http_pull(weir_http_exchange *ex, weir_chain *out, uint64_t limit, bool *ended)
{
    uint64_t before = out->len;
    weir_result result;

    *ended = false;
    if (ex->response.has_no_body) {
        *ended = true;
        return WEIR_OK;
    }
    if (weir_list_is_empty(&ex->body_filters)) {
        result = pull_source(ex, out, limit);
        *ended = result == WEIR_OK && source_has_ended(ex);
        return result;
    }

    body_filter *first = WEIR_OWNER(ex->body_filters.next, body_filter, link);
    const body_filter *last = WEIR_OWNER(ex->body_filters.previous, const body_filter, link);

    while (out->len == before && !last->has_seen_last) {
        weir_list *turn = filter_with_more(ex);

        if (turn == NULL && !source_has_ended(ex)) {
            result = pull_source(ex, &first->in, limit);
            if (result != WEIR_OK) {
                return result;
            }
        }
        result = run_filters(ex, turn != NULL ? turn : &first->link, out);
        if (result == WEIR_FAIL || (result == WEIR_WAIT && out->len == before)) {
            return result;
        }
    }
    *ended = last->has_seen_last;
    return WEIR_OK;
}

bool weir_http_weaken_etag(weir_http_exchange *ex)
{
    weir_http_field *etag = weir_http_fields_find(&ex->response.fields, WEIR_HTTP_ETAG);
    weir_builder builder;

    if (etag == NULL || weir_str_starts(etag->value, WEIR_STR("W/"))) {
        return true;
    }
    if (!weir_str_starts(etag->value, WEIR_STR("\""))) {
        /* There is no weak form of what is no entity tag. */
        weir_http_fields_remove(&ex->response.fields, WEIR_HTTP_ETAG);
        return true;
    }
    weir_builder_open(&builder, ex->pool, SIZE_MAX);
    weir_builder_add(&builder, WEIR_STR("W/"));
    weir_builder_add(&builder, etag->value);
    return weir_builder_close(&builder, &etag->value);
}
