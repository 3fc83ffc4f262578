#include "core/base/json.h"
#include "modules/api/api_internal.h"

/* Calls: what a path leads to, and how it is answered. */

/* What errors point to: paths, members and codes are those of NGINX Plus. */
#define REFERENCE "https://nginx.org/en/docs/http/ngx_http_api_module.html"

static const weir_balance_family families[] = {{.name = "http", .default_port = 80},
                                               {.name = "stream"}};

/* ---- answers */

weir_api_step api_answer(weir_api_call *call, unsigned status, weir_builder *body)
{
    call->status = status;
    if (!weir_builder_close(body, &call->text)) {
        call->status = 500;
        call->text = WEIR_STR_EMPTY;
    }
    return WEIR_API_ANSWERED;
}

weir_api_step api_answer_empty(weir_api_call *call)
{
    call->status = 204;
    return WEIR_API_ANSWERED;
}

weir_api_step api_answer_list(weir_api_call *call, const char *json)
{
    weir_builder body;

    weir_builder_open(&body, call->pool, SIZE_MAX);
    weir_builder_printf(&body, "%s\n", json);
    return api_answer(call, 200, &body);
}

weir_api_step weir_api_call_refuse(weir_api_call *call, unsigned status, const char *code,
                                   weir_str text)
{
    weir_builder body;

    weir_builder_open(&body, call->pool, SIZE_MAX);
    if (call->is_for_people) {
        weir_builder_add(&body, text);
        weir_builder_add_byte(&body, '\n');
        return api_answer(call, status, &body);
    }
    weir_builder_printf(&body, "{\"error\":{\"status\":%u,\"text\":", status);
    weir_json_write_string(&body, text);
    weir_builder_printf(&body, ",\"code\":\"%s\"}", code);
    if (call->request_id.len != 0) {
        weir_builder_add(&body, WEIR_STR(",\"request_id\":"));
        weir_json_write_string(&body, call->request_id);
    }
    weir_builder_printf(&body, ",\"href\":\"%s\"}\n", REFERENCE);
    return api_answer(call, status, &body);
}

weir_api_step api_refuse_path(weir_api_call *call)
{
    return weir_api_call_refuse(call, 404, "PathNotFound", WEIR_STR("path not found"));
}

weir_api_step api_refuse_verb(weir_api_call *call, const char *allowed)
{
    call->allowed = call->may_write ? allowed : "GET, HEAD";
    return weir_api_call_refuse(call, 405, "MethodDisabled", WEIR_STR("method disabled"));
}

/* ---- members of what is shown */

/* Of a list with commas. */
static bool is_wanted(const weir_str *fields, const char *name)
{
    weir_str rest = fields == NULL ? WEIR_STR_EMPTY : *fields;
    weir_str field;

    while (weir_str_split(&rest, ',', &field)) {
        if (weir_str_eq(field, weir_str_from_z(name))) {
            return true;
        }
    }
    return fields == NULL;
}

bool api_member_begin(weir_builder *body, const weir_str *fields, const char *name,
                      const char **separator)
{
    if (!is_wanted(fields, name)) {
        return false;
    }
    weir_builder_add(body, weir_str_from_z(*separator));
    *separator = ",";
    return true;
}

/* ---- where a path leads */

weir_api_step weir_api_call_begin(weir_api_call *call)
{
    weir_str rest = call->path;
    weir_str part = WEIR_STR_EMPTY;

    if (!weir_str_split(&rest, '/', &part) || part.len == 0) {
        return api_answer_list(call, "[\"http\",\"stream\",\"resolvers\"]");
    }
    if (weir_str_eq(part, WEIR_STR("resolvers"))) {
        return api_resolvers_route(call, rest);
    }
    for (size_t i = 0; i < WEIR_COUNT(families); i++) {
        if (weir_str_eq(part, weir_str_from_z(families[i].name))) {
            return api_upstreams_route(call, &families[i], rest);
        }
    }
    return api_refuse_path(call);
}

weir_api_step weir_api_call_go_on(weir_api_call *call, weir_str body)
{
    return api_upstreams_take_body(call, body);
}

void weir_api_call_cancel(weir_api_call *call)
{
    weir_balance_change_cancel(&call->change);
}

bool weir_api_enable(weir_conf *conf)
{
    for (size_t i = 0; i < WEIR_COUNT(families); i++) {
        if (!weir_balance_control_enable(conf, &families[i])) {
            return false;
        }
    }
    return true;
}
