#include "modules/balance/health.h"

#include "core/base/number.h"
#include "modules/http/proxy/proxy_internal.h"

/*
 * health_check and match: what http asks an origin, and whether the answer is good.  Balance says when, makes the
 * connection, and knows what follows.
 */

#define ANSWER_MAX ((size_t) 64 * 1024) /* of head and body that conditions see */
#define LINES_MAX 200

/* ---- match NAME { … } */

typedef struct {
    unsigned first, last;
} status_range;

typedef struct {
    weir_str name;
    const weir_regex *regex; /* NULL: compare */
    weir_str text;           /* empty, without regex: the field is there, or not */
    bool is_negated;
} match_header;

typedef struct {
    bool statuses_are_negated;
    weir_array statuses; /* status_range; none: 200 to 399 */
    weir_array headers;  /* match_header */
    weir_array bodies;   /* match_header, without names */
} health_match;

typedef struct {
    weir_balance_check check;
    weir_str uri;
} health_check;

static bool status_read(weir_conf *conf, health_match *match, const weir_statement *line)
{
    size_t i = 1;

    if (line->count > 1 && weir_str_eq(line->args[1], WEIR_STR("!"))) {
        match->statuses_are_negated = true;
        i++;
    }
    for (; i < line->count; i++) {
        weir_str rest = line->args[i];
        weir_str part = WEIR_STR_EMPTY;
        status_range *range = weir_array_push(&match->statuses);
        uint64_t first, last;

        if (range == NULL) {
            return weir_conf_refuse(conf, "no memory for \"match\"");
        }
        if (!weir_str_split(&rest, '-', &part) || !weir_parse_uint(part, 999, &first)
            || !weir_parse_uint(rest.len == 0 ? part : rest, 999, &last) || first > last) {
            return weir_conf_refuse_arg(conf, line, i, "invalid status \"%.*s\"",
                                        WEIR_STR_ARG(line->args[i]));
        }
        *range = (status_range){(unsigned) first, (unsigned) last};
    }
    return match->statuses.count != 0
           || weir_conf_refuse_arg(conf, line, 0, "\"status\" takes codes");
}

/* What follows a field's name, or "body": "= text", "~ regex", and their opposites. */
static bool condition_read(weir_conf *conf, match_header *header, const weir_statement *line,
                           size_t i, bool takes_text)
{
    weir_str sign = line->args[i];

    if (i + 2 != line->count) {
        return weir_conf_refuse_arg(conf, line, 0, "invalid number of arguments in \"%.*s\"",
                                    WEIR_STR_ARG(line->args[0]));
    }
    header->is_negated = sign.len == 2 && sign.data[0] == '!';
    if (weir_str_eq(sign, WEIR_STR("~")) || weir_str_eq(sign, WEIR_STR("!~"))) {
        header->regex = weir_regex_new(conf, NULL, line->args[i + 1], false);
        return header->regex != NULL;
    }
    if (takes_text && (weir_str_eq(sign, WEIR_STR("=")) || weir_str_eq(sign, WEIR_STR("!=")))) {
        header->text = line->args[i + 1];
        return true;
    }
    return weir_conf_refuse_arg(conf, line, i, "invalid condition \"%.*s\"", WEIR_STR_ARG(sign));
}

static bool header_read(weir_conf *conf, health_match *match, const weir_statement *line)
{
    match_header *header = weir_array_push(&match->headers);

    if (header == NULL) {
        return weir_conf_refuse(conf, "no memory for \"match\"");
    }
    if (line->count == 2) {
        header->name = line->args[1];
        return true;
    }
    if (line->count == 3 && weir_str_eq(line->args[1], WEIR_STR("!"))) {
        header->name = line->args[2];
        header->is_negated = true;
        return true;
    }
    if (line->count < 3) {
        return weir_conf_refuse_arg(conf, line, 0, "\"header\" takes a name");
    }
    header->name = line->args[1];
    return condition_read(conf, header, line, 2, true);
}

static bool match_line_read(weir_conf *conf, health_match *match, const weir_statement *line)
{
    weir_str name = line->args[0];

    if (weir_str_eq(name, WEIR_STR("status"))) {
        return status_read(conf, match, line);
    }
    if (weir_str_eq(name, WEIR_STR("header"))) {
        return header_read(conf, match, line);
    }
    if (weir_str_eq(name, WEIR_STR("body"))) {
        match_header *body = weir_array_push(&match->bodies);

        return body == NULL ? weir_conf_refuse(conf, "no memory for \"match\"")
                            : condition_read(conf, body, line, 1, false);
    }
    return weir_conf_refuse_arg(conf, line, 0,
                                weir_str_eq(name, WEIR_STR("require"))
                                    ? "\"%.*s\" in \"match\" is not supported"
                                    : "unknown condition \"%.*s\" in \"match\"",
                                WEIR_STR_ARG(name));
}

static bool match_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_pool *pool = weir_conf_pool(conf);
    health_match *made = WEIR_NEW(pool, health_match);

    (void) settings;
    if (made == NULL) {
        return weir_conf_refuse(conf, "no memory for \"match\"");
    }
    weir_array_init(&made->statuses, pool, sizeof(status_range), 4);
    weir_array_init(&made->headers, pool, sizeof(match_header), 4);
    weir_array_init(&made->bodies, pool, sizeof(match_header), 2);
    for (const weir_statement *line = statement->first_child; line != NULL; line = line->next) {
        if (!match_line_read(conf, made, line)) {
            return false;
        }
    }
    return weir_balance_match_add(conf, &proxy_family, statement, made);
}

/* ---- what an answer is held against; NULL: it is good, else why not */

static const char *status_judge(const health_match *match, unsigned status)
{
    bool is_listed = false;

    if (match == NULL || match->statuses.count == 0) {
        return status >= 200 && status < 400 ? NULL : "the status is not good";
    }
    for (WEIR_ARRAY_EACH(&match->statuses, const status_range, range)) {
        is_listed |= status >= range->first && status <= range->last;
    }
    return is_listed != match->statuses_are_negated ? NULL : "the status does not match";
}

static bool header_is_met(const match_header *header, const weir_http_fields *fields,
                          const weir_log *log)
{
    bool is_met = false;
    bool is_there = false;

    for (size_t i = 0; i < fields->count; i++) {
        const weir_http_field *field = &fields->items[i];

        if (!weir_str_eq_nocase(field->text, header->name)) {
            continue;
        }
        is_there = true;
        is_met |= header->regex != NULL
                      ? weir_regex_test(header->regex, field->value, log) == WEIR_REGEX_MATCH
                      : weir_str_eq(field->value, header->text);
    }
    if (header->regex == NULL && header->text.len == 0) {
        return is_there != header->is_negated;
    }
    return is_met != header->is_negated;
}

static const char *head_judge(const health_match *match, const weir_http_response_head *head,
                              const weir_log *log)
{
    const char *why = status_judge(match, head->status);

    if (why != NULL || match == NULL) {
        return why;
    }
    for (WEIR_ARRAY_EACH(&match->headers, const match_header, header)) {
        if (!header_is_met(header, &head->fields, log)) {
            return "a header does not match";
        }
    }
    return NULL;
}

static const char *body_judge(const health_match *match, weir_str body, const weir_log *log)
{
    for (WEIR_ARRAY_EACH(&match->bodies, const match_header, condition)) {
        if ((weir_regex_test(condition->regex, body, log) == WEIR_REGEX_MATCH)
            == condition->is_negated) {
            return "the body does not match";
        }
    }
    return NULL;
}

/* ---- one answer */

typedef struct {
    weir_http_response_head head;
    bool head_is_complete;
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
            return is_at_end ? bad(talk, data.len == ANSWER_MAX
                                             ? "its answer is too large"
                                             : "it closed the connection without an answer")
                             : WEIR_BALANCE_TALK_MORE;
        case WEIR_HTTP_HEAD_INTERIM:
            continue;
        case WEIR_HTTP_HEAD_INVALID:
            return bad(talk, "it answered with no valid HTTP");
        case WEIR_HTTP_HEAD_COMPLETE:
            answer->head_is_complete = true;
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

static weir_balance_talk_result answer_take(weir_balance_talk *talk, weir_str data, bool is_at_end)
{
    health_answer *answer = talk->state;
    const health_match *match = talk->check->match;
    bool wants_body = match != NULL && match->bodies.count != 0;
    weir_str body;
    const char *why;

    if (!answer->head_is_complete) {
        weir_balance_talk_result result = head_take(talk, data, is_at_end);

        if (result != WEIR_BALANCE_TALK_OVER) {
            return result;
        }
        why = head_judge(match, &answer->head, &talk->log);
        if (why != NULL) {
            return bad(talk, why);
        }
        /* The body that nobody looks at is read where the connection may stay. */
        wants_body |= talk->check->question.keepalive_ms != 0 && answer->head.keeps;
    }
    body = weir_str_from(data, answer->start);
    if (body_is_complete(answer, body.len)) {
        talk->may_stay = answer->head.keeps;
    } else if (wants_body && !is_at_end) {
        return WEIR_BALANCE_TALK_MORE;
    }
    why = match == NULL ? NULL : body_judge(match, body, &talk->log);
    return why == NULL ? WEIR_BALANCE_TALK_OVER : bad(talk, why);
}

/* ---- health_check [PARAMETERS] */

static bool uri_read(health_check *check, weir_str value)
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
    health_check *self = WEIR_OWNER(check, health_check, check);
    weir_str value;

    if (weir_conf_parameter(argument, "uri=", &value)) {
        return uri_read(self, value) ? WEIR_BALANCE_ARGUMENT_GOOD : WEIR_BALANCE_ARGUMENT_WRONG;
    }
    if (weir_conf_parameter(argument, "keepalive_time=", &value)) {
        return weir_parse_time_ms(value, INT32_MAX, &check->question.keepalive_ms)
                   ? WEIR_BALANCE_ARGUMENT_GOOD
                   : WEIR_BALANCE_ARGUMENT_WRONG;
    }
    if (weir_conf_parameter(argument, "type=", &value)
        || weir_str_starts(argument, WEIR_STR("grpc_"))) {
        weir_conf_refuse(conf, "the parameter \"%.*s\" of \"health_check\" is not supported",
                         WEIR_STR_ARG(argument));
        return WEIR_BALANCE_ARGUMENT_REFUSED;
    }
    return WEIR_BALANCE_ARGUMENT_UNKNOWN;
}

static bool health_check_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    health_check *self = WEIR_NEW(weir_conf_pool(conf), health_check);

    (void) settings;
    if (self == NULL) {
        return weir_conf_refuse(conf, "no memory for \"health_check\"");
    }
    self->uri = WEIR_STR("/");
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
static bool request_make(weir_conf *conf, health_check *self, const proxy_conf *proxy)
{
    weir_balance_question *question = &self->check.question;
    weir_builder text;

    weir_builder_open(&text, weir_conf_pool(conf), SIZE_MAX);
    weir_builder_add(&text, WEIR_STR("GET "));
    weir_builder_add(&text, self->uri);
    weir_builder_add(&text, WEIR_STR(" HTTP/1.0\r\nHost: "));
    weir_builder_add(&text, host_of(proxy));
    weir_builder_add(&text, WEIR_STR("\r\nUser-Agent: weir health check\r\nConnection: "));
    weir_builder_add(&text,
                     question->keepalive_ms != 0 ? WEIR_STR("keep-alive") : WEIR_STR("close"));
    weir_builder_add(&text, WEIR_STR("\r\n\r\n"));
    return weir_builder_close(&text, &question->request)
           || weir_conf_refuse(conf, "no memory for \"health_check\"");
}

/* Now that proxy_pass is known. */
static bool check_settle(weir_conf *conf, weir_balance_check *check)
{
    health_check *self = WEIR_OWNER(check, health_check, check);
    weir_balance_question *question = &check->question;
    const proxy_conf *proxy = weir_level_settings(check->level, &weir_http_proxy.base);
    weir_str name, said;

    if (proxy == NULL || proxy->pass.group == NULL) {
        return weir_conf_refuse_arg(conf, check->statement, 0,
                                    "\"health_check\" takes a location with \"proxy_pass\" to an "
                                    "upstream without variables");
    }
    check->group = proxy->pass.group;
    name = proxy->pass.url.name;
    if (proxy->tls.name != NULL && weir_template_is_constant(proxy->tls.name, &said)) {
        name = said;
    }
    if (proxy->pass.url.is_tls) {
        question->tls = proxy->tls_client;
        question->verify_name = name;
        question->server_name = proxy->tls.server_name ? name : WEIR_STR_EMPTY;
    }
    question->connect_ms = proxy->connect_timeout_ms;
    question->send_ms = proxy->send_timeout_ms;
    question->read_ms = proxy->read_timeout_ms;
    question->answer_max = ANSWER_MAX;
    question->state_bytes = sizeof(health_answer);
    question->begin = answer_begin;
    question->take = answer_take;
    return request_make(conf, self, proxy);
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
        .slot = WEIR_SLOT_ONLY_CALL(match_call),
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
                  "[mandatory [persistent]] [match=name] [port=number] [keepalive_time=time]",
        .doc = "Asks the servers that requests are passed on to whether they are well.",
    },
    {0},
};

const weir_http_module weir_http_health_check = {
    .name = "http_health_check",
    .directives = health_directives,
    .configured = health_configured,
};
