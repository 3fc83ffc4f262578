#include "core/base/number.h"
#include "modules/http/engine/engine_internal.h"

#include <errno.h>
#include <unistd.h>

/* From a response that is set to the wire: head filters, then the body through the body filters. */

/* A body filter that is on for an exchange. */
typedef struct {
    weir_list link;
    const weir_http_module *module;
    const void *settings;
    weir_chain in; /* what it has not taken yet */
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

static void head_is_final(weir_http_exchange *ex)
{
    weir_http_response *response = &ex->response;

    response->has_no_body = is_bodiless(ex) && !response->is_upgrade;
    if (response->status == 204) {
        response->content_length = -1;
        response->content_type = WEIR_STR_EMPTY;
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
    if (!weir_http_settle_bare(ex)) {
        /* An error page: the phases have it, once this response is off the stack. */
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
    if (ex->response.status == 444) {
        ex->wire->abort(ex);
        return;
    }

    ex->is_responding = true;
    if (ex->shows_error_page && ex->error_status != 0) {
        ex->response.status =
            ex->error_status >= 494 && ex->error_status <= 497 ? 400 : ex->error_status;
        ex->response.status_text = WEIR_STR_EMPTY;
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

/* Moves up to `limit` bytes of what begins with a file span, as blocks. */
static bool read_file(weir_http_exchange *ex, weir_chain *out, uint64_t limit)
{
    while (limit != 0 && !weir_chain_is_empty(&ex->body)
           && ex->body.first->kind == WEIR_SPAN_FILE) {
        const weir_span *span = ex->body.first;
        size_t most = limit < WEIR_BLOCK_BYTES ? (size_t) limit : WEIR_BLOCK_BYTES;
        size_t wanted = span->len < most ? span->len : most;
        weir_block *block = weir_block_get();
        ssize_t got = block == NULL ? -1 : pread(span->fd, block->data, wanted, span->offset);
        bool is_added;

        if (got <= 0) {
            weir_log_line(&ex->log, WEIR_LOG_ALERT, got == 0 ? 0 : errno,
                          "a file that is sent was cut short or cannot be read");
            weir_block_unref(block);
            return false;
        }
        is_added = weir_chain_add_block(out, block, block->data, (size_t) got);
        weir_block_unref(block);
        if (!is_added) {
            return false;
        }
        weir_chain_consume(&ex->body, (uint64_t) got);
        limit -= (uint64_t) got < limit ? (uint64_t) got : limit;
    }
    return true;
}

/* The kernel sends files where it may; filters and `sendfile off` take blocks. */
static bool pull_body(weir_http_exchange *ex, weir_chain *out, uint64_t limit, bool takes_files)
{
    if (takes_files) {
        return weir_chain_move(out, &ex->body, limit);
    }

    uint64_t before = out->len;

    while (out->len - before < limit && !weir_chain_is_empty(&ex->body)) {
        uint64_t left = limit - (out->len - before);

        if (ex->body.first->kind == WEIR_SPAN_FILE) {
            if (!read_file(ex, out, left)) {
                return false;
            }
        } else if (!weir_chain_move(out, &ex->body,
                                    ex->body.first->len < left ? ex->body.first->len : left)) {
            return false;
        }
    }
    return true;
}

static weir_result pull_source(weir_http_exchange *ex, weir_chain *out, uint64_t limit)
{
    if (WEIR_UNLIKELY(!weir_chain_is_empty(&ex->ahead))) {
        return weir_chain_move(out, &ex->ahead, limit) ? WEIR_OK : WEIR_FAIL;
    }
    if (ex->body_source_ended) {
        return WEIR_OK;
    }
    if (ex->source != NULL) {
        return ex->source->pull(ex, ex->source, out, limit, &ex->body_source_ended);
    }
    if (!pull_body(ex, out, limit, ex->core->sendfile && weir_list_is_empty(&ex->body_filters))) {
        return WEIR_FAIL;
    }
    ex->body_source_ended = weir_chain_is_empty(&ex->body);
    return WEIR_OK;
}

weir_result weir_http_read_ahead(weir_http_exchange *ex, uint64_t limit, bool *ended,
                                 void (*ready)(weir_http_exchange *ex))
{
    weir_result result = WEIR_OK;

    if (!ex->body_source_ended && ex->source != NULL) {
        result = ex->source->pull(ex, ex->source, &ex->ahead, limit, &ex->body_source_ended);
    } else if (!ex->body_source_ended) {
        result = pull_body(ex, &ex->ahead, limit, false) ? WEIR_OK : WEIR_FAIL;
        ex->body_source_ended = weir_chain_is_empty(&ex->body);
    }
    ex->ahead_ready = result == WEIR_WAIT ? ready : NULL;
    *ended = result == WEIR_OK && ex->body_source_ended;
    return result;
}

static bool source_has_ended(const weir_http_exchange *ex)
{
    return ex->body_source_ended && weir_chain_is_empty(&ex->ahead);
}

/* What the first filter has goes through all of them; `is_last` follows it. */
static bool run_filters(weir_http_exchange *ex, weir_chain *out)
{
    bool is_last = source_has_ended(ex);

    for (weir_list *link = ex->body_filters.next; link != &ex->body_filters; link = link->next) {
        body_filter *filter = WEIR_OWNER(link, body_filter, link);
        body_filter *next = WEIR_OWNER(link->next, body_filter, link);
        weir_chain *to = link->next == &ex->body_filters ? out : &next->in;

        if (filter->has_seen_last || (weir_chain_is_empty(&filter->in) && !is_last)) {
            continue;
        }
        if (filter->module->response_body(ex, filter->settings, &filter->in, to, is_last)
            != WEIR_OK) {
            return false;
        }
        filter->has_seen_last = is_last;
    }
    return true;
}

weir_result weir_http_pull(weir_http_exchange *ex, weir_chain *out, uint64_t limit, bool *ended)
{
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

    uint64_t before = out->len;

    while (out->len == before && !source_has_ended(ex)) {
        body_filter *first = WEIR_OWNER(ex->body_filters.next, body_filter, link);

        result = pull_source(ex, &first->in, limit);
        if (result != WEIR_OK) {
            return result;
        }
        if (!run_filters(ex, out)) {
            return WEIR_FAIL;
        }
    }
    *ended = source_has_ended(ex);
    return WEIR_OK;
}
