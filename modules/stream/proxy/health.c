#include "modules/balance/health.h"

#include "core/base/number.h"
#include "modules/stream/proxy/proxy_internal.h"

/*
 * health_check and match: a server is well when it can be connected to and, if a match says so, answers what it is sent as it
 * should.  Balance says when, makes the connection, and knows what follows.
 */

/* ---- match NAME { send TEXT; expect TEXT | ~ REGEX; } */

typedef struct {
    bool sends, expects;
    weir_str send;
    weir_str expect;         /* what an answer begins with */
    const weir_regex *regex; /* what it matches; NULL: compare */
} health_match;

/* "\x80" and the like are bytes; other backslashes stay.  False: refused. */
static bool bytes_read(weir_conf *conf, const weir_statement *line, size_t i, weir_str *bytes)
{
    weir_str text = line->args[i];
    weir_builder builder;

    weir_builder_open(&builder, weir_conf_pool(conf), text.len + 1);
    while (text.len != 0) {
        uint64_t byte;

        if (!weir_str_starts(text, WEIR_STR("\\x"))) {
            weir_builder_add_byte(&builder, text.data[0]);
            text = weir_str_from(text, 1);
        } else if (text.len >= 4 && weir_parse_hex(weir_str_of(text.data + 2, 2), 255, &byte)) {
            weir_builder_add_byte(&builder, (char) (unsigned char) byte);
            text = weir_str_from(text, 4);
        } else {
            return weir_conf_refuse_arg(conf, line, i, "\"\\x\" takes two hexadecimal digits");
        }
    }
    return weir_builder_close(&builder, bytes) || weir_conf_refuse(conf, "no memory for \"match\"");
}

static bool expect_read(weir_conf *conf, health_match *match, const weir_statement *line)
{
    weir_str sign = line->args[1];
    bool ignores_case = weir_str_eq(sign, WEIR_STR("~*"));

    match->expects = true;
    if (line->count == 2) {
        return (sign.len != 0 && bytes_read(conf, line, 1, &match->expect))
               || weir_conf_refuse_arg(conf, line, 1, "\"expect\" takes a text");
    }
    if (line->count != 3 || (!ignores_case && !weir_str_eq(sign, WEIR_STR("~")))) {
        return weir_conf_refuse_arg(conf, line, 0, "\"expect\" takes a text, or \"~\" and a regex");
    }
    match->regex = weir_regex_new(conf, NULL, line->args[2], ignores_case);
    return match->regex != NULL;
}

static bool match_line_read(weir_conf *conf, health_match *match, const weir_statement *line)
{
    weir_str name = line->args[0];
    bool is_send = weir_str_eq(name, WEIR_STR("send"));

    if (!is_send && !weir_str_eq(name, WEIR_STR("expect"))) {
        return weir_conf_refuse_arg(conf, line, 0, "unknown condition \"%.*s\" in \"match\"",
                                    WEIR_STR_ARG(name));
    }
    if (is_send ? match->sends : match->expects) {
        return weir_conf_refuse_arg(conf, line, 0, "\"%.*s\" directive is duplicate",
                                    WEIR_STR_ARG(name));
    }
    if (line->count < 2 || (is_send && line->count != 2)) {
        return weir_conf_refuse_arg(conf, line, 0, "invalid number of arguments in \"%.*s\"",
                                    WEIR_STR_ARG(name));
    }
    if (!is_send) {
        return expect_read(conf, match, line);
    }
    match->sends = true;
    return bytes_read(conf, line, 1, &match->send);
}

static bool match_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    health_match *made = WEIR_NEW(weir_conf_pool(conf), health_match);

    (void) settings;
    if (made == NULL) {
        return weir_conf_refuse(conf, "no memory for \"match\"");
    }
    for (const weir_statement *line = statement->first_child; line != NULL; line = line->next) {
        if (!match_line_read(conf, made, line)) {
            return false;
        }
    }
    return weir_balance_match_add(conf, &stream_proxy_family, statement, made);
}

/* ---- one answer */

static weir_balance_talk_result bad(weir_balance_talk *talk, const char *why)
{
    talk->failure = why;
    return WEIR_BALANCE_TALK_BAD;
}

static weir_balance_talk_result text_take(weir_balance_talk *talk, weir_str wanted, weir_str data,
                                          bool is_at_end)
{
    if (weir_str_starts(data, wanted)) {
        return WEIR_BALANCE_TALK_OVER;
    }
    return is_at_end || !weir_str_starts(wanted, data) ? bad(talk, "the answer does not match")
                                                       : WEIR_BALANCE_TALK_MORE;
}

static weir_balance_talk_result answer_take(weir_balance_talk *talk, weir_str data, bool is_at_end)
{
    const health_match *match = talk->check->match;

    if (match->regex == NULL) {
        return text_take(talk, match->expect, data, is_at_end);
    }
    if (weir_regex_test(match->regex, data, &talk->log) == WEIR_REGEX_MATCH) {
        return WEIR_BALANCE_TALK_OVER;
    }
    return is_at_end ? bad(talk, "the answer does not match") : WEIR_BALANCE_TALK_MORE;
}

/* ---- health_check [PARAMETERS] */

static weir_balance_argument argument_read(weir_conf *conf, weir_balance_check *check,
                                           weir_str argument)
{
    (void) check;
    if (!weir_str_eq(argument, WEIR_STR("udp"))) {
        return WEIR_BALANCE_ARGUMENT_UNKNOWN;
    }
    weir_conf_refuse(conf, "\"udp\" of \"health_check\" is not supported: weir does not proxy UDP");
    return WEIR_BALANCE_ARGUMENT_REFUSED;
}

static bool health_check_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_balance_check *check = WEIR_NEW(weir_conf_pool(conf), weir_balance_check);

    (void) settings;
    if (check == NULL) {
        return weir_conf_refuse(conf, "no memory for \"health_check\"");
    }
    return weir_balance_check_read(conf, &stream_proxy_family, check, statement, argument_read);
}

/* What says of itself that it is no client's connection. */
static weir_str preamble_of(const stream_proxy_conf *proxy)
{
    switch ((stream_proxy_protocol) proxy->protocol) {
    case STREAM_PROXY_PROTOCOL_OFF:
        break;
    case STREAM_PROXY_PROTOCOL_V1:
        return WEIR_STR("PROXY UNKNOWN\r\n");
    case STREAM_PROXY_PROTOCOL_V2:
        return WEIR_STR("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"); /* LOCAL */
    }
    return WEIR_STR_EMPTY;
}

/* Now that proxy_pass is known. */
static bool check_settle(weir_conf *conf, weir_balance_check *check)
{
    weir_balance_question *question = &check->question;
    const stream_proxy_conf *proxy = weir_level_settings(check->level, &weir_stream_proxy.base);
    const health_match *match = check->match;
    weir_str said;

    if (proxy == NULL || proxy->pass.group == NULL) {
        return weir_conf_refuse_arg(conf, check->statement, 0,
                                    "\"health_check\" takes a server with \"proxy_pass\" to an "
                                    "upstream without variables");
    }
    check->group = proxy->pass.group;
    question->tls = proxy->tls_client;
    if (proxy->tls_client != NULL) {
        question->tls_name = weir_addr_host(proxy->pass.text);
        if (proxy->tls.name != NULL && weir_template_is_constant(proxy->tls.name, &said)) {
            question->tls_name = said;
        }
    }
    question->preamble = preamble_of(proxy);
    question->whole_ms = proxy->check_timeout_ms;
    if (match != NULL) {
        question->request = match->send;
        question->answer_max = match->expects ? proxy->buffer_size : 0;
        question->take = answer_take;
    }
    return true;
}

static bool health_configured(weir_conf *conf)
{
    return weir_balance_checks_settle(conf, &stream_proxy_family, check_settle);
}

static const weir_directive health_directives[] = {
    {
        .name = "match",
        .where = WEIR_STREAM_MAIN,
        .takes = WEIR_TAKES(1, 1),
        .slot = WEIR_SLOT_ONLY_CALL(match_call),
        .syntax = "name { ... }",
        .repeatable = true,
        .block = WEIR_BLOCK_RAW,
        .doc = "What a health check sends to a server, and what the answer must be.",
    },
    {
        .name = "health_check",
        .where = WEIR_STREAM_SERVER,
        .takes = WEIR_TAKES_ANY,
        .slot = WEIR_SLOT_ONLY_CALL(health_check_call),
        .syntax = "[interval=time] [jitter=time] [fails=number] [passes=number] "
                  "[mandatory [persistent]] [match=name] [port=number]",
        .doc = "Asks the servers that sessions are passed on to whether they are well.",
    },
    {0},
};

const weir_stream_module weir_stream_health_check = {
    .name = "stream_health_check",
    .directives = health_directives,
    .configured = health_configured,
};
