#include "modules/http/proxy/proxy_internal.h"

#include <errno.h>

#include "core/base/number.h"
#include "core/process/worker.h"

/*
 * health_check and match: how http asks an origin whether it is well.  A probe is one request on a connection of its
 * own, in the keeper; balance says when, and what follows.
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
    weir_str name;
    bool statuses_are_negated;
    weir_array statuses; /* status_range; none: 200 to 399 */
    weir_array headers;  /* match_header */
    weir_array bodies;   /* match_header, without names */
} health_match;

typedef struct {
    weir_balance_check check;
    const weir_statement *statement;
    weir_level *level;
    weir_str uri, match_name;
    const health_match *match; /* NULL: any good status */
    const proxy_conf *conf;
    weir_str request;
    weir_str tls_name;
} health_check;

typedef struct {
    bool is_here; /* only to have settings */
} health_conf;

/* All of a configuration. */
typedef struct {
    weir_map *matches;
    weir_array checks; /* health_check * */
} health_registry;

static health_registry *registry_of(weir_conf *conf)
{
    static const char key;
    health_registry *registry = weir_conf_kept(conf, &key);
    weir_pool *pool = weir_conf_pool(conf);

    if (registry != NULL) {
        return registry;
    }
    registry = WEIR_NEW(pool, health_registry);
    if (registry == NULL || (registry->matches = weir_map_new(pool, false, 4)) == NULL
        || !weir_conf_keep(conf, &key, registry)) {
        weir_conf_refuse(conf, "no memory for health checks");
        return NULL;
    }
    weir_array_init(&registry->checks, pool, sizeof(health_check *), 4);
    return registry;
}

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
    health_registry *registry = registry_of(conf);
    health_match *made = WEIR_NEW(pool, health_match);

    (void) settings;
    if (registry == NULL || made == NULL) {
        return registry != NULL && weir_conf_refuse(conf, "no memory for \"match\"");
    }
    made->name = statement->args[1];
    weir_array_init(&made->statuses, pool, sizeof(status_range), 4);
    weir_array_init(&made->headers, pool, sizeof(match_header), 4);
    weir_array_init(&made->bodies, pool, sizeof(match_header), 2);
    for (const weir_statement *line = statement->first_child; line != NULL; line = line->next) {
        if (!match_line_read(conf, made, line)) {
            return false;
        }
    }
    if (weir_map_find(registry->matches, made->name) != NULL) {
        return weir_conf_refuse_arg(conf, statement, 1, "duplicate match \"%.*s\"",
                                    WEIR_STR_ARG(made->name));
    }
    return weir_map_put(registry->matches, made->name, made)
           || weir_conf_refuse(conf, "no memory for \"match\"");
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

/* ---- one probe: connecting -> (TLS handshake) -> sending -> receiving -> closed */

typedef struct {
    weir_balance_probe *probe;
    const health_check *check;
    weir_connection *connection;
    weir_chain out;
    weir_http_response_head head;
    bool head_is_complete;
    char *data;
    size_t end, start, scanned;
} asking;

static void connecting_writable(weir_connection *connection);
static void sending_writable(weir_connection *connection);
static void receiving_readable(weir_connection *connection);
static void asking_timeout(weir_connection *connection);

static const weir_connection_state asking_connecting = {
    .name = "connecting for a health check",
    .on_writable = connecting_writable,
    .on_timeout = asking_timeout,
};
static const weir_connection_state asking_sending = {
    .name = "sending a health check",
    .on_writable = sending_writable,
    .on_timeout = asking_timeout,
};
static const weir_connection_state asking_receiving = {
    .name = "reading a health check",
    .on_readable = receiving_readable,
    .on_timeout = asking_timeout,
};

static void asking_close(asking *self)
{
    weir_chain_clear(&self->out);
    if (self->connection != NULL) {
        /* All of this lies in the connection's pool. */
        weir_connection_close(self->connection);
    }
}

static void asking_end(asking *self, const char *failure)
{
    weir_balance_probe *probe = self->probe;

    probe->state = NULL;
    asking_close(self);
    weir_balance_probe_end(probe, failure);
}

static void asking_timeout(weir_connection *connection)
{
    asking_end(connection->owner, "it timed out");
}

static void body_end(asking *self)
{
    weir_str body = weir_str_of(self->data + self->start, self->end - self->start);

    asking_end(self, body_judge(self->check->match, body, &self->connection->log));
}

/* False: it is over. */
static bool head_take(asking *self)
{
    const char *why = NULL;
    const char *failure;

    for (;;) {
        size_t taken = 0;
        weir_str bytes = weir_str_of(self->data + self->start, self->end - self->start);
        weir_http_head_result result =
            weir_http_response_head_take(&self->head, bytes, &self->scanned, &taken, &why);

        self->start += taken;
        switch (result) {
        case WEIR_HTTP_HEAD_MORE:
            return true;
        case WEIR_HTTP_HEAD_INTERIM:
            continue;
        case WEIR_HTTP_HEAD_INVALID:
            asking_end(self, "it answered with no valid HTTP");
            return false;
        case WEIR_HTTP_HEAD_COMPLETE:
            break;
        }
        break;
    }
    self->head_is_complete = true;
    failure = head_judge(self->check->match, &self->head, &self->connection->log);
    if (failure != NULL || self->check->match == NULL || self->check->match->bodies.count == 0) {
        asking_end(self, failure);
        return false;
    }
    return true;
}

static bool body_is_complete(const asking *self)
{
    return self->end == ANSWER_MAX
           || (self->head.content_length >= 0
               && self->end - self->start >= (uint64_t) self->head.content_length);
}

static void receiving_readable(weir_connection *connection)
{
    asking *self = connection->owner;

    for (;;) {
        size_t len = 0;

        switch (weir_connection_read(connection, self->data + self->end, ANSWER_MAX - self->end,
                                     &len)) {
        case WEIR_WAIT:
            return;
        case WEIR_FAIL:
            asking_end(self, "the connection broke");
            return;
        case WEIR_OK:
            break;
        }
        if (len == 0) {
            if (self->head_is_complete) {
                body_end(self);
            } else {
                asking_end(self, "it closed the connection without an answer");
            }
            return;
        }
        self->end += len;
        if (!self->head_is_complete && !head_take(self)) {
            return;
        }
        if (self->head_is_complete && body_is_complete(self)) {
            body_end(self);
            return;
        }
        if (self->end == ANSWER_MAX) {
            asking_end(self, "its answer is too large");
            return;
        }
    }
}

static void sending_writable(weir_connection *connection)
{
    asking *self = connection->owner;

    switch (weir_connection_write(connection, &self->out, UINT64_MAX)) {
    case WEIR_WAIT:
        return;
    case WEIR_FAIL:
        asking_end(self, "sending failed");
        return;
    case WEIR_OK:
        break;
    }
    weir_connection_set_timeout(connection, self->check->conf->read_timeout_ms);
    weir_connection_enter(connection, &asking_receiving);
}

static void asking_send(asking *self)
{
    weir_connection_set_timeout(self->connection, self->check->conf->send_timeout_ms);
    if (!weir_chain_add_memory(&self->out, self->check->request)) {
        asking_end(self, "no memory");
        return;
    }
    weir_connection_enter(self->connection, &asking_sending);
    sending_writable(self->connection);
}

static void shaken(weir_connection *connection, weir_tls_outcome outcome)
{
    asking *self = connection->owner;

    if (outcome == WEIR_TLS_ESTABLISHED) {
        asking_send(self);
    } else {
        asking_end(self, "the SSL handshake failed");
    }
}

static void connected(asking *self)
{
    const proxy_conf *conf = self->check->conf;
    weir_tls_connect_options options = {
        .verify_name = self->check->tls_name,
        .handshake_timeout_ms = conf->connect_timeout_ms,
    };

    if (!conf->pass.url.is_tls) {
        asking_send(self);
        return;
    }
    if (conf->tls.server_name) {
        options.server_name = self->check->tls_name;
    }
    weir_tls_connect(self->connection, conf->tls_client, &options, shaken);
}

static void connecting_writable(weir_connection *connection)
{
    asking *self = connection->owner;
    int error = weir_connection_finish_connect(connection);

    if (error == EINPROGRESS) {
        return;
    }
    if (error != 0) {
        asking_end(self, strerror(error));
        return;
    }
    connected(self);
}

static void health_probe(weir_balance_probe *probe)
{
    const health_check *check = WEIR_OWNER(probe->check, health_check, check);
    weir_connect_options options = {0};
    weir_connection *connection;
    asking *self;
    int error;

    connection = weir_connect(probe->keeper->loop, &probe->addr, &options, 4096, &asking_connecting,
                              NULL, &error);
    if (connection == NULL) {
        weir_balance_probe_end(probe, strerror(error));
        return;
    }
    connection->log = probe->keeper->log;
    self = WEIR_NEW(connection->pool, asking);
    if (self == NULL || (self->data = weir_pool_bytes(connection->pool, ANSWER_MAX)) == NULL) {
        weir_connection_close(connection);
        weir_balance_probe_end(probe, "no memory");
        return;
    }
    self->probe = probe;
    self->check = check;
    self->connection = connection;
    connection->owner = self;
    probe->state = self;
    weir_http_response_head_init(&self->head, connection->pool, LINES_MAX);
    weir_connection_set_timeout(connection, check->conf->connect_timeout_ms);
    if (connection->writable) {
        connected(self);
    }
}

static void health_cancel(weir_balance_probe *probe)
{
    asking_close(probe->state);
}

/* ---- health_check [PARAMETERS] */

static bool time_read(weir_str value, uint64_t *time_ms)
{
    return weir_parse_time_ms(value, INT32_MAX, time_ms);
}

static bool count_read(weir_str value, uint64_t *count)
{
    return weir_parse_uint(value, INT32_MAX, count) && *count != 0;
}

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

static bool parameter_read(weir_conf *conf, health_check *check, weir_str arg)
{
    weir_str value;
    uint64_t number;

    if (weir_conf_parameter(arg, "interval=", &value)) {
        return time_read(value, &check->check.interval_ms) && check->check.interval_ms != 0;
    }
    if (weir_conf_parameter(arg, "jitter=", &value)) {
        return time_read(value, &check->check.jitter_ms);
    }
    if (weir_conf_parameter(arg, "fails=", &value)) {
        return count_read(value, &check->check.fails);
    }
    if (weir_conf_parameter(arg, "passes=", &value)) {
        return count_read(value, &check->check.passes);
    }
    if (weir_conf_parameter(arg, "uri=", &value)) {
        return uri_read(check, value);
    }
    if (weir_conf_parameter(arg, "match=", &value)) {
        check->match_name = value;
        return value.len != 0;
    }
    if (weir_conf_parameter(arg, "port=", &value)) {
        if (!weir_parse_uint(value, 65535, &number) || number == 0) {
            return false;
        }
        check->check.port = (uint16_t) number;
        return true;
    }
    if (weir_conf_parameter(arg, "keepalive_time=", &value)) {
        weir_conf_warn(conf,
                       "\"keepalive_time\" of \"health_check\" has no effect: each check has a "
                       "connection of its own");
        return time_read(value, &number);
    }
    if (weir_str_eq(arg, WEIR_STR("mandatory"))) {
        return check->check.is_mandatory = true;
    }
    if (weir_str_eq(arg, WEIR_STR("persistent"))) {
        return check->check.is_persistent = true;
    }
    return false;
}

static bool health_check_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    health_registry *registry = registry_of(conf);
    health_check *check = WEIR_NEW(weir_conf_pool(conf), health_check);
    health_check **place = registry == NULL ? NULL : weir_array_push(&registry->checks);
    weir_str value;

    (void) settings;
    if (check == NULL || place == NULL) {
        return registry != NULL && weir_conf_refuse(conf, "no memory for \"health_check\"");
    }
    *place = check;
    check->check = (weir_balance_check){.interval_ms = 5000,
                                        .fails = 1,
                                        .passes = 1,
                                        .probe = health_probe,
                                        .cancel = health_cancel};
    check->uri = WEIR_STR("/");
    check->statement = statement;
    check->level = weir_conf_level(conf);
    for (size_t i = 1; i < statement->count; i++) {
        if (weir_conf_parameter(statement->args[i], "type=", &value)
            || weir_str_starts(statement->args[i], WEIR_STR("grpc_"))) {
            return weir_conf_refuse_arg(
                conf, statement, i, "the parameter \"%.*s\" of \"health_check\" is not supported",
                WEIR_STR_ARG(statement->args[i]));
        }
        if (!parameter_read(conf, check, statement->args[i])) {
            return weir_conf_refuse_arg(conf, statement, i, "invalid parameter \"%.*s\"",
                                        WEIR_STR_ARG(statement->args[i]));
        }
    }
    if (check->check.is_persistent && !check->check.is_mandatory) {
        return weir_conf_refuse_arg(conf, statement, 0,
                                    "\"persistent\" of \"health_check\" takes \"mandatory\"");
    }
    return true;
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

static bool request_make(weir_conf *conf, health_check *check)
{
    weir_builder text;

    weir_builder_open(&text, weir_conf_pool(conf), SIZE_MAX);
    weir_builder_add(&text, WEIR_STR("GET "));
    weir_builder_add(&text, check->uri);
    weir_builder_add(&text, WEIR_STR(" HTTP/1.0\r\nHost: "));
    weir_builder_add(&text, host_of(check->conf));
    weir_builder_add(&text,
                     WEIR_STR("\r\nUser-Agent: weir health check\r\nConnection: close\r\n\r\n"));
    return weir_builder_close(&text, &check->request)
           || weir_conf_refuse(conf, "no memory for \"health_check\"");
}

/* Now that proxy_pass and all matches are known. */
static bool check_settle(weir_conf *conf, health_registry *registry, health_check *check)
{
    weir_str name;

    weir_conf_point_at(conf, check->statement);
    check->conf = weir_level_settings(check->level, &weir_http_proxy.base);
    if (check->conf == NULL || check->conf->pass.group == NULL) {
        return weir_conf_refuse_arg(conf, check->statement, 0,
                                    "\"health_check\" takes a location with \"proxy_pass\" to an "
                                    "upstream without variables");
    }
    if (check->match_name.len != 0) {
        check->match = weir_map_find(registry->matches, check->match_name);
        if (check->match == NULL) {
            return weir_conf_refuse_arg(conf, check->statement, 0, "match \"%.*s\" not found",
                                        WEIR_STR_ARG(check->match_name));
        }
    }
    check->check.group = check->conf->pass.group;
    check->tls_name = check->conf->pass.url.name;
    if (check->conf->tls.name != NULL && weir_template_is_constant(check->conf->tls.name, &name)) {
        check->tls_name = name;
    }
    return request_make(conf, check) && weir_balance_check_add(conf, &check->check);
}

static bool health_configured(weir_conf *conf)
{
    health_registry *registry = registry_of(conf);

    if (registry == NULL) {
        return false;
    }
    for (WEIR_ARRAY_EACH(&registry->checks, health_check *, check)) {
        if (!check_settle(conf, registry, *check)) {
            return false;
        }
    }
    return true;
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
