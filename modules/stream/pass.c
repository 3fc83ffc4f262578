/*
 * pass: gives the client's connection to another listener of this process, of http or stream, as if it had come in
 * there: with the client's address, and with the bytes that were looked at.
 *
 *     pass 127.0.0.1:8443;
 *     pass $listener;
 */

#include "modules/stream/engine/core_conf.h"

typedef struct {
    struct {
        const weir_template *template; /* NULL: not said */
        weir_addr addr;                /* without variables */
        weir_str text;
        const weir_statement *statement;
    } to;
} pass_conf;

extern const weir_stream_module weir_stream_pass;

static bool addr_parse(weir_str text, weir_addr *addr)
{
    return weir_addr_parse(text, 0, addr) && (weir_addr_is_unix(addr) || weir_addr_port(addr) != 0);
}

static bool pass_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    pass_conf *pass = settings;
    weir_str text = statement->args[1];

    pass->to.text = text;
    pass->to.statement = statement;
    if (weir_str_find_byte(text, '$') == NULL && !addr_parse(text, &pass->to.addr)) {
        return weir_conf_refuse_arg(conf, statement, 1,
                                    "\"%.*s\" is no address and port of a listener",
                                    WEIR_STR_ARG(text));
    }
    pass->to.template = weir_template_new(conf, weir_space_of(conf, "stream"), text);
    return pass->to.template != NULL;
}

static const weir_directive pass_directives[] = {
    {
        .name = "pass",
        .where = WEIR_STREAM_SERVER,
        .takes = WEIR_TAKES(1, 1),
        .syntax = "address:port | unix:path",
        .slot = WEIR_SLOT_CALL(pass_conf, to, pass_call),
        .inherit = WEIR_INHERIT_NONE,
        .doc = "Gives connections to another listener of this process.",
    },
    {0},
};

/* Once all listeners are known, those that are named must be among them. */
static bool pass_configured(weir_conf *conf)
{
    const weir_cycle *cycle = weir_conf_cycle(conf);
    const weir_stream_cycle *stream = weir_stream_of_cycle(cycle);

    if (stream == NULL) {
        return true;
    }
    for (WEIR_ARRAY_EACH(&stream->servers.servers, weir_server *, place)) {
        const weir_stream_server *server = weir_stream_server_of(*place);
        const pass_conf *pass = weir_level_settings(server->level, &weir_stream_pass.base);

        if (pass->to.addr.len != 0
            && weir_listeners_for(cycle->listeners, &pass->to.addr) == NULL) {
            return weir_conf_refuse_arg(conf, pass->to.statement, 1, "nothing listens on \"%.*s\"",
                                        WEIR_STR_ARG(pass->to.text));
        }
    }
    return true;
}

/* In the session's pool, for a text with variables; `*addr` NULL: it is no address.  False, logged: there is no text. */
static bool find_addr(weir_stream_session *session, const pass_conf *pass, weir_str *text,
                      const weir_addr **addr)
{
    weir_addr *parsed;

    *text = pass->to.text;
    if (pass->to.addr.len != 0) {
        *addr = &pass->to.addr;
        return true;
    }
    parsed = WEIR_NEW(session->pool, weir_addr);
    if (parsed == NULL || !weir_template_text(pass->to.template, &session->script, text)) {
        return false;
    }
    *addr = addr_parse(*text, parsed) ? parsed : NULL;
    return true;
}

/* NULL, logged: there is none. */
static weir_listener *find_listener(weir_stream_session *session, const pass_conf *pass,
                                    const weir_addr **addr)
{
    const weir_cycle *cycle = weir_stream_of_address(session->address)->cycle;
    weir_listener *listener = NULL;
    weir_str text;

    if (!find_addr(session, pass, &text, addr)) {
        return NULL;
    }
    if (*addr != NULL) {
        listener = weir_listeners_for(cycle->listeners, *addr);
    }
    if (listener == NULL) {
        weir_log_line(weir_stream_log(session), WEIR_LOG_ERR, 0, "nothing listens on \"%.*s\"",
                      WEIR_STR_ARG(text));
    }
    return listener;
}

static weir_stream_verdict pass_judge(weir_stream_session *session, const void *server)
{
    const pass_conf *pass = server;
    const weir_addr *addr;
    weir_listener *listener;

    session->doing = "passing to a listener";
    listener = find_listener(session, pass, &addr);
    if (listener == NULL) {
        session->status = WEIR_STREAM_INTERNAL_ERROR;
        return WEIR_STREAM_REFUSED;
    }
    weir_listener_take(listener, addr, weir_stream_hand_over(session, WEIR_STREAM_OK));
    return WEIR_STREAM_SETTLED;
}

static bool pass_applies(const void *server)
{
    return ((const pass_conf *) server)->to.template != NULL;
}

const weir_stream_module weir_stream_pass = {
    .name = "stream_pass",
    .directives = pass_directives,
    .conf_size = sizeof(pass_conf),
    .configured = pass_configured,
    .phases = 1u << WEIR_STREAM_PHASE_CONTENT,
    .judge = pass_judge,
    .applies = pass_applies,
};
