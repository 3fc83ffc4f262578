/*
 * not_modified: conditional requests (RFC 9110, 13).  304 to a client that has the representation, 412 to one
 * that wants another.
 */

#include "modules/http/engine/core_conf.h"

#include "core/base/clock.h"

/* Each of "a", W/"b" of a list; a weak one matches only where weak ones will do. */
static bool etag_is_listed(weir_str list, weir_str etag, bool weak_will_do)
{
    bool is_weak = weir_str_starts(etag, WEIR_STR("W/"));

    if (weir_str_eq(weir_str_trim(list), WEIR_STR("*"))) {
        return true;
    }
    if (etag.len == 0 || (is_weak && !weak_will_do)) {
        return false;
    }
    etag = is_weak ? weir_str_from(etag, 2) : etag;

    while (list.len != 0) {
        const char *quote;
        size_t end;

        list = weir_str_trim(list);
        while (list.len != 0 && list.data[0] == ',') {
            list = weir_str_trim(weir_str_from(list, 1));
        }
        is_weak = weir_str_starts(list, WEIR_STR("W/"));
        list = is_weak ? weir_str_from(list, 2) : list;
        if (list.len == 0 || list.data[0] != '"') {
            return false;
        }
        quote = weir_str_find_byte(weir_str_from(list, 1), '"');
        if (quote == NULL) {
            return false;
        }
        end = (size_t) (quote - list.data) + 1;
        if ((weak_will_do || !is_weak) && weir_str_eq(weir_str_slice(list, 0, end), etag)) {
            return true;
        }
        list = weir_str_from(list, end);
    }
    return false;
}

static bool is_modified_since(const weir_http_exchange *ex, weir_str date)
{
    int64_t since;

    if (ex->core->if_modified_since == WEIR_HTTP_MODIFIED_OFF || ex->response.last_modified_s < 0
        || !weir_clock_parse_http(date, &since)) {
        return true;
    }
    return ex->core->if_modified_since == WEIR_HTTP_MODIFIED_EXACT
               ? since != ex->response.last_modified_s
               : since < ex->response.last_modified_s;
}

static bool is_unmodified_since(const weir_http_exchange *ex, weir_str date)
{
    int64_t since;

    return ex->response.last_modified_s >= 0
           && (!weir_clock_parse_http(date, &since) || ex->response.last_modified_s <= since);
}

static weir_result answer_not_modified(weir_http_exchange *ex)
{
    weir_http_response *response = &ex->response;

    response->status = 304;
    response->status_text = WEIR_STR_EMPTY;
    response->content_type = WEIR_STR_EMPTY;
    response->content_length = -1;
    response->allow_ranges = false;
    weir_http_fields_remove(&response->fields, WEIR_HTTP_CONTENT_ENCODING);
    ex->source = NULL;
    weir_chain_clear(&ex->body);
    return WEIR_OK;
}

static weir_result not_modified_head(weir_http_exchange *ex, const void *location)
{
    const weir_http_fields *asked = &ex->request.fields;
    weir_str etag = weir_http_fields_value(&ex->response.fields, WEIR_HTTP_ETAG);
    const weir_http_field *modified_since, *none_match, *field;

    (void) location;
    /* An origin judges its own responses. */
    if (ex->response.status != 200 || ex->response.from_upstream || ex->response.is_upgrade
        || ex->parent != NULL) {
        return WEIR_OK;
    }

    field = weir_http_fields_find(asked, WEIR_HTTP_IF_UNMODIFIED_SINCE);
    if (field != NULL && !is_unmodified_since(ex, field->value)) {
        return weir_http_filter_answer(ex, 412, "modified since");
    }
    field = weir_http_fields_find(asked, WEIR_HTTP_IF_MATCH);
    if (field != NULL && !etag_is_listed(field->value, etag, false)) {
        return weir_http_filter_answer(ex, 412, "no match");
    }

    modified_since = weir_http_fields_find(asked, WEIR_HTTP_IF_MODIFIED_SINCE);
    none_match = weir_http_fields_find(asked, WEIR_HTTP_IF_NONE_MATCH);
    if (modified_since == NULL && none_match == NULL) {
        return WEIR_OK;
    }
    if (modified_since != NULL && is_modified_since(ex, modified_since->value)) {
        return WEIR_OK;
    }
    if (none_match != NULL && !etag_is_listed(none_match->value, etag, true)) {
        return WEIR_OK;
    }
    return answer_not_modified(ex);
}

const weir_http_module weir_http_not_modified = {
    .name = "http_not_modified",
    .stage = WEIR_HTTP_STAGE_CONDITION,
    .response_head = not_modified_head,
};
