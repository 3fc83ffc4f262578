#include "modules/balance/health.h"

#include "core/base/clock.h"
#include "core/base/number.h"
#include "modules/http/proxy/proxy_internal.h"

/*
 * health_check: what http asks an origin, and whether the answer is good.  Balance says when, makes the connection, and
 * knows what follows.
 */

#define BODY_MAX ((size_t) 256 * 1024) /* that conditions see, as in NGINX Plus */
#define HEAD_MAX ((size_t) 64 * 1024)
#define ANSWER_MAX (HEAD_MAX + BODY_MAX)
#define LINES_MAX 200

/* ---- one answer */

typedef struct {
    weir_http_response_head head;
    bool head_is_complete;
    uint64_t head_ms;      /* when it was; monotonic */
    size_t start, scanned; /* in all that came */
} health_answer;

static bool answer_begin(weir_balance_talk *talk)
{
    health_answer *answer = talk->state;

    weir_http_response_head_init(&answer->head, talk->pool, LINES_MAX);
    return true;
}

static weir_balance_talk_result bad(weir_balance_talk *talk, const char *why)
{
    talk->failure = why;
    return WEIR_BALANCE_TALK_BAD;
}

/* OVER: the head is there. */
static weir_balance_talk_result head_take(weir_balance_talk *talk, weir_str data, bool is_at_end)
{
    health_answer *answer = talk->state;
    const char *why = NULL;

    for (;;) {
        size_t taken = 0;
        weir_http_head_result result = weir_http_response_head_take(
            &answer->head, weir_str_from(data, answer->start), &answer->scanned, &taken, &why);

        answer->start += taken;
        switch (result) {
        case WEIR_HTTP_HEAD_MORE:
            if (data.len > HEAD_MAX) {
                return bad(talk, "the head of its answer is too large");
            }
            return is_at_end ? bad(talk, "it closed the connection without an answer")
                             : WEIR_BALANCE_TALK_MORE;
        case WEIR_HTTP_HEAD_INTERIM:
            continue;
        case WEIR_HTTP_HEAD_INVALID:
            return bad(talk, "it answered with no valid HTTP");
        case WEIR_HTTP_HEAD_COMPLETE:
            answer->head_is_complete = true;
            answer->head_ms = weir_clock_now()->monotonic_ms;
            return WEIR_BALANCE_TALK_OVER;
        }
    }
}

/* Whether all of the body is there, as its head says. */
static bool body_is_complete(const health_answer *answer, size_t len)
{
    return answer->head.end == WEIR_HTTP_END_NONE
           || (answer->head.content_length >= 0 && len >= (uint64_t) answer->head.content_length);
}

/* ---- variables, as if the check had been a client's request that was passed on */

static bool request_fill(weir_http_exchange *ex, const proxy_health_check *self)
{
    weir_http_request *request = &ex->request;
    weir_str rest = self->uri;
    weir_builder line;

    request->method = WEIR_HTTP_GET;
    request->method_text = weir_http_method_text(WEIR_HTTP_GET);
    request->version = WEIR_HTTP_10;
    request->target = self->uri;
    (void) weir_str_split(&rest, '?', &request->path);
    request->args = rest;
    request->host = request->host_port = self->host;
    weir_builder_open(&line, ex->pool, SIZE_MAX);
    weir_builder_printf(&line, "GET %.*s HTTP/1.0", WEIR_STR_ARG(self->uri));
    return weir_builder_close(&line, &request->line);
}

static bool attempt_fill(proxy_state *proxy, const weir_balance_talk *talk, weir_str data)
{
    const health_answer *answer = talk->state;
    proxy_attempt *attempt;

    weir_array_init(&proxy->attempts, proxy->ex->pool, sizeof(proxy_attempt), 1);
    attempt = weir_array_push(&proxy->attempts);
    if (attempt == NULL) {
        return false;
    }
    *attempt = (proxy_attempt){
        .addr = talk->peer,
        .status = answer->head.status,
        .started_ms = talk->started_ms,
        .connect_ms = talk->connected_ms == 0 ? 0 : talk->connected_ms - talk->started_ms,
        .header_ms = answer->head_ms - talk->started_ms,
        .response_ms = weir_clock_now()->monotonic_ms - talk->started_ms,
        .length = data.len - answer->start,
        .received = data.len,
        .sent = talk->check->question.request.len,
    };
    return true;
}

/* NULL: no memory. */
static weir_script *script_of(const weir_balance_talk *talk, weir_str data)
{
    const proxy_health_check *self = WEIR_OWNER(talk->check, const proxy_health_check, check);
    const health_answer *answer = talk->state;
    weir_http_exchange *ex = weir_http_exchange_unasked(self->location, talk->pool, &talk->log);
    proxy_state *proxy = ex == NULL ? NULL : WEIR_NEW(ex->pool, proxy_state);

    if (proxy == NULL) {
        return NULL;
    }
    proxy->ex = ex;
    proxy->conf = weir_http_settings(ex, &weir_http_proxy);
    proxy->url = proxy->conf->pass.url;
    proxy->group = talk->check->group;
    proxy->answer = answer->head;
    proxy->head_is_complete = true;
    proxy->temp_file = -1;
    ex->upstream = proxy;
    ex->response.status = answer->head.status;
    ex->response.fields = answer->head.fields;
    return request_fill(ex, self) && attempt_fill(proxy, talk, data) ? &ex->script : NULL;
}

/* ---- what it is held against */

/* NULL: it is good, as far as its head says. */
static const char *head_judge(const weir_balance_talk *talk)
{
    const health_answer *answer = talk->state;
    const proxy_health_match_answer seen = {
        .status = answer->head.status, .fields = &answer->head.fields, .log = &talk->log};

    if (talk->check->match != NULL) {
        return proxy_health_match_judge(talk->check->match, PROXY_HEALTH_HEAD, &seen);
    }
    return seen.status >= 200 && seen.status < 400 ? NULL : "the status is not good";
}

static const char *rest_judge(const weir_balance_talk *talk, weir_str data)
{
    const health_answer *answer = talk->state;
    const proxy_health_match *match = talk->check->match;
    proxy_health_match_answer seen = {.body = weir_str_from(data, answer->start),
                                      .log = &talk->log};
    const char *why;

    if (match == NULL) {
        return NULL;
    }
    if (seen.body.len > BODY_MAX) {
        seen.body.len = BODY_MAX;
    }
    why = proxy_health_match_judge(match, PROXY_HEALTH_BODY, &seen);
    if (why != NULL || !proxy_health_match_looks_at(match, PROXY_HEALTH_VARIABLES)) {
        return why;
    }
    seen.script = script_of(talk, data);
    return seen.script == NULL ? "no memory"
                               : proxy_health_match_judge(match, PROXY_HEALTH_VARIABLES, &seen);
}

static weir_balance_talk_result answer_take(weir_balance_talk *talk, weir_str data, bool is_at_end)
{
    health_answer *answer = talk->state;
    const proxy_health_match *match = talk->check->match;
    bool wants_body = match != NULL && proxy_health_match_looks_at(match, PROXY_HEALTH_BODY);
    size_t len;
    const char *why;

    if (!answer->head_is_complete) {
        weir_balance_talk_result result = head_take(talk, data, is_at_end);

        if (result != WEIR_BALANCE_TALK_OVER) {
            return result;
        }
        why = head_judge(talk);
        if (why != NULL) {
            return bad(talk, why);
        }
    }
    /* The body that nobody looks at is read where the connection may stay. */
    wants_body |= talk->check->question.keepalive_ms != 0 && answer->head.keeps;
    len = data.len - answer->start;
    if (body_is_complete(answer, len)) {
        talk->may_stay = answer->head.keeps;
    } else if (wants_body && len < BODY_MAX && !is_at_end) {
        return WEIR_BALANCE_TALK_MORE;
    }
    why = rest_judge(talk, data);
    return why == NULL ? WEIR_BALANCE_TALK_OVER : bad(talk, why);
}

/* ---- health_check [PARAMETERS] */

static bool uri_read(proxy_health_check *check, weir_str value)
{
    check->uri = value;
    for (size_t i = 0; i < value.len; i++) {
        if ((unsigned char) value.data[i] <= ' ' || value.data[i] == 0x7f) {
            return false;
        }
    }
    return value.len != 0 && value.data[0] == '/';
}

static weir_balance_argument argument_read(weir_conf *conf, weir_balance_check *check,
                                           weir_str argument)
{
    proxy_health_check *self = WEIR_OWNER(check, proxy_health_check, check);
    weir_str value;

    (void) conf;
    if (weir_conf_parameter(argument, "uri=", &value)) {
        return uri_read(self, value) ? WEIR_BALANCE_ARGUMENT_GOOD : WEIR_BALANCE_ARGUMENT_WRONG;
    }
    if (weir_conf_parameter(argument, "keepalive_time=", &value)) {
        return weir_parse_time_ms(value, INT32_MAX, &check->question.keepalive_ms)
                   ? WEIR_BALANCE_ARGUMENT_GOOD
                   : WEIR_BALANCE_ARGUMENT_WRONG;
    }
    if (weir_conf_parameter(argument, "type=", &value)) {
        self->grpc.is_asked = weir_str_eq(value, WEIR_STR("grpc"));
        return self->grpc.is_asked ? WEIR_BALANCE_ARGUMENT_GOOD : WEIR_BALANCE_ARGUMENT_WRONG;
    }
    if (weir_conf_parameter(argument, "grpc_service=", &self->grpc.service)) {
        return self->grpc.service.len != 0 && self->grpc.service.len <= PROXY_HEALTH_SERVICE_MAX
                   ? WEIR_BALANCE_ARGUMENT_GOOD
                   : WEIR_BALANCE_ARGUMENT_WRONG;
    }
    if (weir_conf_parameter(argument, "grpc_status=", &value)) {
        return weir_parse_uint(value, UINT16_MAX, &self->grpc.status) ? WEIR_BALANCE_ARGUMENT_GOOD
                                                                      : WEIR_BALANCE_ARGUMENT_WRONG;
    }
    return WEIR_BALANCE_ARGUMENT_UNKNOWN;
}

static bool health_check_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    proxy_health_check *self = WEIR_NEW(weir_conf_pool(conf), proxy_health_check);

    (void) settings;
    if (self == NULL) {
        return weir_conf_refuse(conf, "no memory for \"health_check\"");
    }
    self->location = weir_http_conf_location(conf);
    return weir_balance_check_read(conf, &proxy_family, &self->check, statement, argument_read);
}

/* What the location says of Host, if that is always the same; else the name in proxy_pass. */
static weir_str host_of(const proxy_conf *conf)
{
    for (size_t i = 0; conf->set_headers != NULL && i < conf->set_headers->count; i++) {
        const proxy_header *header = WEIR_ARRAY_AT(conf->set_headers, proxy_header, i);

        if (header->name == WEIR_HTTP_HOST && header->value == NULL && header->constant.len != 0) {
            return header->constant;
        }
    }
    return conf->pass.url.name;
}

/* HTTP/1.0: an answer is not chunked, and ends with the connection unless both want to go on. */
static bool request_make(weir_conf *conf, proxy_health_check *self)
{
    weir_balance_question *question = &self->check.question;
    weir_builder text;

    weir_builder_open(&text, weir_conf_pool(conf), SIZE_MAX);
    weir_builder_add(&text, WEIR_STR("GET "));
    weir_builder_add(&text, self->uri);
    weir_builder_add(&text, WEIR_STR(" HTTP/1.0\r\nHost: "));
    weir_builder_add(&text, self->host);
    weir_builder_add(&text, WEIR_STR("\r\nUser-Agent: weir health check\r\nConnection: "));
    weir_builder_add(&text,
                     question->keepalive_ms != 0 ? WEIR_STR("keep-alive") : WEIR_STR("close"));
    weir_builder_add(&text, WEIR_STR("\r\n\r\n"));
    return weir_builder_close(&text, &question->request)
           || weir_conf_refuse(conf, "no memory for \"health_check\"");
}

/* What one kind of check knows, the other does not. */
static const char *mixture_of(const proxy_health_check *self)
{
    const proxy_health_grpc *grpc = &self->grpc;

    if (!grpc->is_asked) {
        return grpc->service.len != 0 || grpc->status != 0
                   ? "\"grpc_service\" and \"grpc_status\" of \"health_check\" take \"type=grpc\""
                   : NULL;
    }
    return self->uri.len != 0 || self->check.match_name.len != 0
                   || self->check.question.keepalive_ms != 0
               ? "\"health_check type=grpc\" takes no \"uri\", \"match\" or \"keepalive_time\""
               : NULL;
}

/* The settings whose origins are asked; NULL: refused. */
static const proxy_conf *passing(weir_conf *conf, const proxy_health_check *self)
{
    const weir_balance_check *check = &self->check;
    const proxy_conf *proxy = weir_level_settings(
        check->level, self->grpc.is_asked ? &weir_http_grpc.base : &weir_http_proxy.base);
    const char *why = mixture_of(self);

    if (why == NULL && (proxy == NULL || proxy->pass.group == NULL)) {
        why = self->grpc.is_asked
                  ? "\"health_check type=grpc\" takes a location with \"grpc_pass\" "
                    "to an upstream without variables"
                  : "\"health_check\" takes a location with \"proxy_pass\" to an "
                    "upstream without variables, or \"type=grpc\" and \"grpc_pass\"";
    }
    if (why != NULL) {
        weir_conf_refuse_arg(conf, check->statement, 0, "%s", why);
        return NULL;
    }
    return proxy;
}

/* Now that proxy_pass is known. */
static bool check_settle(weir_conf *conf, weir_balance_check *check)
{
    proxy_health_check *self = WEIR_OWNER(check, proxy_health_check, check);
    weir_balance_question *question = &check->question;
    const proxy_conf *proxy = passing(conf, self);
    weir_str name, said;

    if (proxy == NULL) {
        return false;
    }
    check->group = proxy->pass.group;
    name = proxy->pass.url.name;
    if (proxy->tls.name != NULL && weir_template_is_constant(proxy->tls.name, &said)) {
        name = said;
    }
    if (proxy->pass.url.is_tls) {
        question->tls = proxy->tls_client;
        question->tls_name = name;
    }
    question->connect_ms = proxy->connect_timeout_ms;
    question->send_ms = proxy->send_timeout_ms;
    question->read_ms = proxy->read_timeout_ms;
    self->host = host_of(proxy);
    if (self->grpc.is_asked) {
        return proxy_health_grpc_make(conf, self);
    }
    if (self->uri.len == 0) {
        self->uri = WEIR_STR("/");
    }
    question->answer_max = ANSWER_MAX;
    question->state_bytes = sizeof(health_answer);
    question->begin = answer_begin;
    question->take = answer_take;
    return request_make(conf, self);
}

static bool health_configured(weir_conf *conf)
{
    return weir_balance_checks_settle(conf, &proxy_family, check_settle);
}

static const weir_directive health_directives[] = {
    {
        .name = "match",
        .where = WEIR_HTTP_MAIN,
        .takes = WEIR_TAKES(1, 1),
        .slot = WEIR_SLOT_ONLY_CALL(proxy_health_match_call),
        .syntax = "name { ... }",
        .block = WEIR_BLOCK_RAW,
        .doc = "Conditions that the answer to a health check must meet.",
    },
    {
        .name = "health_check",
        .where = WEIR_HTTP_LOCATION,
        .takes = WEIR_TAKES_ANY,
        .slot = WEIR_SLOT_ONLY_CALL(health_check_call),
        .syntax = "[interval=time] [jitter=time] [fails=number] [passes=number] [uri=uri] "
                  "[mandatory [persistent]] [match=name] [port=number] [keepalive_time=time] "
                  "[type=grpc [grpc_service=name] [grpc_status=code]]",
        .doc = "Asks the servers that requests are passed on to whether they are well.",
    },
    {0},
};

const weir_http_module weir_http_health_check = {
    .name = "http_health_check",
    .directives = health_directives,
    .configured = health_configured,
};
