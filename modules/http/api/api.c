/*
 * api: shows upstream groups, and changes them, in the shape of NGINX Plus' REST API.
 *
 *     location /api { api write=on; allow 127.0.0.1; deny all; }
 *
 *     GET            /api/9/http/upstreams[/NAME[/servers[/ID]]]
 *     DELETE         /api/9/http/upstreams/NAME
 *     POST           /api/9/http/upstreams/NAME/servers
 *     PATCH, DELETE  /api/9/http/upstreams/NAME/servers/ID
 *
 * and the same under /stream, and
 *
 *     GET            /api/9/resolvers[/ZONE]
 *     DELETE         /api/9/resolvers/ZONE
 *
 * A change is answered once all workers see it at their next pick.
 */

#include "modules/api/call.h"
#include "modules/http/engine/core_conf.h"

#include "core/base/number.h"

#define VERSIONS "[1,2,3,4,5,6,7,8,9]"
#define VERSION_MAX 9

typedef struct {
    const weir_http_location *location; /* that answers so; NULL: none */
    bool writes;
} api_conf;

typedef struct {
    weir_http_exchange *ex;
    weir_http_hold hold;
    weir_api_call call;
    weir_str fields;
    bool is_waiting; /* the engine was told so: the response is given to it by hand */
} api_state;

extern const weir_http_module weir_http_api;

/* ---- answers */

static weir_http_verdict answer(api_state *self, unsigned status, weir_str text)
{
    weir_http_exchange *ex = self->ex;

    if (!weir_http_fields_add(&ex->response.fields, WEIR_HTTP_CACHE_CONTROL,
                              WEIR_STR("no-store"))) {
        return WEIR_HTTP_FAILED;
    }
    (void) weir_http_answer_text(ex, status, WEIR_STR("application/json"), text);
    if (self->is_waiting) {
        weir_http_respond(ex);
    }
    return WEIR_HTTP_ANSWERED;
}

/* Where the new server is: below what it was posted to. */
static bool location_add(const api_state *self)
{
    weir_http_exchange *ex = self->ex;
    weir_str folder = ex->request.path;
    weir_builder location;
    weir_str text;

    while (weir_str_ends(folder, WEIR_STR("/"))) {
        folder.len--;
    }
    weir_builder_open(&location, ex->pool, SIZE_MAX);
    weir_builder_printf(&location, "%.*s/%llu", WEIR_STR_ARG(folder),
                        (unsigned long long) self->call.change.id);
    return weir_builder_close(&location, &text)
           && weir_http_fields_add(&ex->response.fields, WEIR_HTTP_LOCATION_FIELD, text);
}

static weir_http_verdict answered(api_state *self)
{
    const weir_api_call *call = &self->call;

    if (call->status == 204) {
        return answer(self, 204, WEIR_STR_EMPTY);
    }
    /* RFC 9110, 15.5.6 */
    if (call->status == 405
        && !weir_http_fields_add(&self->ex->response.fields, WEIR_HTTP_ALLOW,
                                 weir_str_from_z(call->allowed))) {
        return WEIR_HTTP_FAILED;
    }
    return call->text.len == 0 || (call->status == 201 && !location_add(self))
               ? WEIR_HTTP_FAILED
               : answer(self, call->status, call->text);
}

static weir_http_verdict refuse(api_state *self, unsigned status, const char *code, weir_str text)
{
    (void) weir_api_call_refuse(&self->call, status, code, text);
    return answered(self);
}

/* ---- calls */

static void call_done(weir_api_call *call)
{
    api_state *self = WEIR_OWNER(call, api_state, call);

    weir_http_hold_drop(self->ex, &self->hold);
    self->is_waiting = true;
    if (answered(self) == WEIR_HTTP_FAILED) {
        weir_http_respond_status(self->ex, 500, "no memory");
    }
}

static void call_cancel(weir_http_exchange *ex, weir_http_hold *hold)
{
    api_state *self = WEIR_OWNER(hold, api_state, hold);

    (void) ex;
    weir_api_call_cancel(&self->call);
}

static weir_http_verdict call_wait(api_state *self)
{
    weir_http_hold_add(self->ex, &self->hold, "api", call_cancel);
    return WEIR_HTTP_WAITING;
}

static weir_http_verdict body_take(api_state *self)
{
    weir_str text;

    if (!weir_chain_join(&self->ex->request.body, self->ex->pool, &text)) {
        return WEIR_HTTP_FAILED;
    }
    return weir_api_call_go_on(&self->call, text) == WEIR_API_WAITS ? call_wait(self)
                                                                    : answered(self);
}

static void body_collected(weir_http_exchange *ex)
{
    api_state *self = weir_http_state_find(ex, &weir_http_api);

    self->is_waiting = true;
    if (body_take(self) == WEIR_HTTP_FAILED) {
        weir_http_respond_status(ex, 500, "no memory");
    }
}

static weir_http_verdict body_collect(api_state *self)
{
    weir_str type = weir_http_fields_value(&self->ex->request.fields, WEIR_HTTP_CONTENT_TYPE);
    weir_str media;

    /* A form of another site cannot say so without asking first. */
    if (!weir_str_split(&type, ';', &media)
        || !weir_str_eq_nocase(weir_str_trim(media), WEIR_STR("application/json"))) {
        return refuse(self, 415, "JsonError", WEIR_STR("the body must be application/json"));
    }
    switch (weir_http_collect_body(self->ex, body_collected)) {
    case WEIR_OK:
        break;
    case WEIR_WAIT:
        return WEIR_HTTP_WAITING;
    case WEIR_FAIL:
        return WEIR_HTTP_ANSWERED;
    }
    return body_take(self);
}

/* ---- where a request goes */

static weir_api_verb verb_of(weir_http_method method)
{
    return method == WEIR_HTTP_GET || method == WEIR_HTTP_HEAD ? WEIR_API_VERB_GET
           : method == WEIR_HTTP_POST                          ? WEIR_API_VERB_POST
           : method == WEIR_HTTP_PATCH                         ? WEIR_API_VERB_PATCH
           : method == WEIR_HTTP_DELETE                        ? WEIR_API_VERB_DELETE
                                                               : WEIR_API_VERB_OTHER;
}

static weir_http_verdict api_route(api_state *self)
{
    switch (weir_api_call_begin(&self->call)) {
    case WEIR_API_ANSWERED:
        return answered(self);
    case WEIR_API_TAKES_BODY:
        return body_collect(self);
    case WEIR_API_WAITS:
        return call_wait(self);
    }
    return WEIR_HTTP_FAILED;
}

/* A page of another site must not work here in its reader's name. */
static bool is_cross_origin(const weir_http_exchange *ex)
{
    const weir_http_field *site =
        weir_http_fields_find_text(&ex->request.fields, WEIR_STR("sec-fetch-site"));
    const weir_http_field *origin =
        weir_http_fields_find_text(&ex->request.fields, WEIR_STR("origin"));
    const char *host;

    if (site != NULL && !weir_str_eq(site->value, WEIR_STR("same-origin"))
        && !weir_str_eq(site->value, WEIR_STR("none"))) {
        return true;
    }
    if (origin == NULL) {
        return false;
    }
    host = weir_str_find(origin->value, WEIR_STR("://"));
    return host == NULL
           || !weir_str_eq_nocase(
               weir_str_from(origin->value, (size_t) (host - origin->value.data) + 3),
               ex->request.host_port);
}

static weir_http_verdict api_judge(weir_http_exchange *ex, const void *location)
{
    const api_conf *api = location;
    api_state *self;
    weir_str rest = ex->request.path;
    weir_str part = WEIR_STR_EMPTY;
    weir_value id = {0};
    weir_value fields = {0};
    uint64_t version;

    if (!weir_http_is_content_of(ex, api->location)) {
        return WEIR_HTTP_PASS;
    }
    self = weir_http_state(ex, &weir_http_api, sizeof(*self));
    if (self == NULL || !weir_script_find(&ex->script, WEIR_STR("request_id"), &id)
        || !weir_script_find(&ex->script, WEIR_STR("arg_fields"), &fields)) {
        return WEIR_HTTP_FAILED;
    }
    self->ex = ex;
    self->fields = fields.text;
    self->call = (weir_api_call){.pool = ex->pool,
                                 .verb = verb_of(ex->request.method),
                                 .request_id = id.text,
                                 .fields = fields.found ? &self->fields : NULL,
                                 .may_write = api->writes,
                                 .done = call_done};
    if (is_cross_origin(ex)) {
        return refuse(self, 403, "CrossOrigin", WEIR_STR("requests of other sites are refused"));
    }
    if (weir_str_starts(rest, api->location->name)) {
        rest = weir_str_from(rest, api->location->name.len);
    }
    while (weir_str_starts(rest, WEIR_STR("/"))) {
        rest = weir_str_from(rest, 1);
    }
    if (!weir_str_split(&rest, '/', &part) || part.len == 0) {
        return answer(self, 200, WEIR_STR(VERSIONS "\n"));
    }
    if (!weir_parse_uint(part, VERSION_MAX, &version) || version == 0) {
        return refuse(self, 404, "UnknownVersion", WEIR_STR("unknown version"));
    }
    self->call.path = rest;
    return api_route(self);
}

static bool api_applies(const void *location)
{
    return ((const api_conf *) location)->location != NULL;
}

/* ---- api [write=on|off] */

static bool *api_writes(weir_conf *conf)
{
    static const char key;
    bool *writes = weir_conf_kept(conf, &key);

    if (writes == NULL) {
        writes = WEIR_NEW(weir_conf_pool(conf), bool);
        if (writes == NULL || !weir_conf_keep(conf, &key, writes)) {
            weir_conf_refuse(conf, "no memory for \"api\"");
            return NULL;
        }
    }
    return writes;
}

static bool api_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    api_conf *api = settings;
    bool *writes = api_writes(conf);
    weir_str value;

    api->location = weir_http_conf_location(conf);
    api->writes = false;
    if (writes == NULL) {
        return false;
    }
    if (statement->count == 1) {
        return true;
    }
    if (!weir_conf_parameter(statement->args[1], "write=", &value)
        || (!weir_str_eq(value, WEIR_STR("on")) && !weir_str_eq(value, WEIR_STR("off")))) {
        return weir_conf_refuse_arg(conf, statement, 1, "invalid parameter \"%.*s\"",
                                    WEIR_STR_ARG(statement->args[1]));
    }
    api->writes = weir_str_eq(value, WEIR_STR("on"));
    *writes |= api->writes;
    return true;
}

static bool api_configured(weir_conf *conf)
{
    const bool *writes = api_writes(conf);

    if (writes == NULL || !*writes) {
        return writes != NULL;
    }
    return weir_api_enable(conf);
}

static const weir_directive api_directives[] = {
    {
        .name = "api",
        .where = WEIR_HTTP_LOCATION,
        .takes = WEIR_TAKES(0, 1),
        .slot = WEIR_SLOT_CALL(api_conf, location, api_call),
        .syntax = "[write=on|off]",
        .doc = "Shows upstream groups as JSON, and has them changed.",
    },
    {0},
};

const weir_http_module weir_http_api = {
    .name = "http_api",
    .directives = api_directives,
    .conf_size = sizeof(api_conf),
    .configured = api_configured,
    .phases = 1u << WEIR_HTTP_PHASE_CONTENT,
    .takes_body = true,
    .judge = api_judge,
    .applies = api_applies,
};
