#include "modules/stream/engine/engine_internal.h"

#include "core/process/core_conf.h"

/* A session from accept to close: its phases, the client's TLS, its end. */

/* ---- what log lines say of it */

static void session_describe(weir_builder *line, const void *subject)
{
    const weir_stream_session *session = subject;
    char text[WEIR_ADDR_TEXT_MAX];

    if (session->doing != NULL) {
        weir_builder_printf(line, " while %s", session->doing);
    }
    weir_builder_add(line, WEIR_STR(", client: "));
    weir_builder_add(line, weir_addr_text(&session->client->peer, false, text));
    weir_builder_add(line, WEIR_STR(", server: "));
    weir_builder_add(line, weir_addr_text(&session->address->addr, true, text));
    if (session->describe != NULL) {
        session->describe(line, session);
    }
}

/* ---- servers */

static void enter_server(weir_stream_session *session, const weir_stream_server *server)
{
    session->server = server;
    session->core = server->core;
    session->settings = server->settings;
    if (server->core->error_log != NULL) {
        session->client->log.target = server->core->error_log;
    }
}

void weir_stream_choose_server(weir_stream_session *session, weir_str name)
{
    const weir_stream_server *server;
    weir_str kept;

    if (session->address->has_one_server || name.len == 0) {
        return;
    }
    /* Captures of a name's regex are slices of it. */
    if (!weir_str_copy(session->pool, name, &kept)) {
        weir_log_line(weir_stream_log(session), WEIR_LOG_CRIT, 0, "no memory for a name");
        return;
    }
    server = weir_stream_server_of(weir_server_find(session->address, kept, &session->script));
    if (server != NULL && server != session->server) {
        enter_server(session, server);
    }
}

/* ---- states of modules */

void *weir_stream_state_find(const weir_stream_session *session, const weir_stream_module *module)
{
    const weir_cycle *cycle = weir_stream_of_address(session->address)->cycle;

    return session->module_state == NULL
               ? NULL
               : session->module_state[weir_modules_index(cycle->modules, &module->base)];
}

void *weir_stream_state(weir_stream_session *session, const weir_stream_module *module,
                        size_t bytes)
{
    const weir_stream_cycle *stream = weir_stream_of_address(session->address);
    size_t index = weir_modules_index(stream->cycle->modules, &module->base);

    if (session->module_state == NULL) {
        session->module_state = WEIR_NEW_ARRAY(session->pool, void *, stream->module_count);
        if (session->module_state == NULL) {
            return NULL;
        }
    }
    if (session->module_state[index] == NULL) {
        session->module_state[index] = weir_pool_zalloc(session->pool, bytes);
    }
    return session->module_state[index];
}

const void *weir_stream_settings(const weir_stream_session *session,
                                 const weir_stream_module *module)
{
    const weir_cycle *cycle = weir_stream_of_address(session->address)->cycle;

    return session->settings[weir_modules_index(cycle->modules, &module->base)];
}

/* ---- the end */

static void session_log(weir_stream_session *session, unsigned status)
{
    /* When the worker was about to end. */
    if (session->phase == WEIR_STREAM_PHASE_LOG) {
        return;
    }
    session->status = status;
    session->phase = WEIR_STREAM_PHASE_LOG;
    session->doing = "logging session";
    weir_list_remove(&session->link);
    /* What was only looked at, nobody has received: $bytes_received, as in nginx. */
    session->client->received -= session->preread.len;
    weir_stream_preread_release(session);
    for (const weir_stream_hook *hook = session->server->phases[WEIR_STREAM_PHASE_LOG];
         hook->module != NULL; hook++) {
        (void) hook->module->judge(session, hook->settings);
    }
}

void weir_stream_cut(weir_worker *worker, void *subject)
{
    weir_stream_cycle *stream = subject;
    weir_list *link;

    (void) worker;
    while ((link = weir_list_first(&stream->sessions)) != NULL) {
        session_log(WEIR_OWNER(link, weir_stream_session, link), WEIR_STREAM_OK);
    }
}

void weir_stream_end(weir_stream_session *session, unsigned status)
{
    weir_connection *client = session->client;

    weir_log_debug(&client->log, "session ends with %u", status);
    session_log(session, status);
    /* Over TLS the client is to know that nothing was cut off (RFC 8446, 6.1); it need not wait for the FIN. */
    if (client->tls != NULL && !client->failed) {
        (void) weir_connection_shut(client);
    }
    weir_connection_close(client);
}

weir_connection *weir_stream_hand_over(weir_stream_session *session, unsigned status)
{
    weir_connection *client = session->client;

    session_log(session, status);
    client->owner = NULL;
    return client;
}

/* ---- TLS of the client */

static void shaken(weir_connection *connection, weir_tls_outcome outcome)
{
    weir_stream_session *session = connection->owner;

    switch (outcome) {
    case WEIR_TLS_ESTABLISHED:
        break;
    case WEIR_TLS_NOT_TLS:
        weir_log_line(&connection->log, WEIR_LOG_INFO, 0, "client sent plain data to a TLS port");
        weir_stream_end(session, WEIR_STREAM_INTERNAL_ERROR);
        return;
    case WEIR_TLS_REFUSED:
        weir_stream_end(session, WEIR_STREAM_INTERNAL_ERROR);
        return;
    }

    /* The module that judged has logged why. */
    if (weir_tls_client_judge(connection, session->server->base.tls, "", &connection->log)
        != WEIR_TLS_CLIENT_ALLOWED) {
        weir_stream_end(session, WEIR_STREAM_INTERNAL_ERROR);
        return;
    }
    session->phase++;
    weir_stream_run(session);
}

/* SNI names the server, which is the session's from then on. */
static weir_tls_server *tls_find(weir_connection *connection, weir_str name, void *subject)
{
    weir_stream_session *session = connection->owner;

    (void) subject;
    weir_stream_choose_server(session, name);
    return session->server->base.tls;
}

/* Paths of certificates may hold variables. */
static weir_script *tls_script(weir_connection *connection, weir_pool *pool, void *subject)
{
    weir_stream_session *session = connection->owner;

    (void) pool;
    (void) subject;
    return &session->script;
}

static weir_str tls_protocols(weir_connection *connection, void *subject)
{
    const weir_stream_session *session = connection->owner;
    const weir_stream_ssl_conf *ssl =
        weir_level_settings(session->server->level, &weir_stream_ssl.base);

    (void) subject;
    return ssl->alpn_wire;
}

void weir_stream_settle_acceptor(const weir_server_address *address, weir_tls_acceptor *acceptor)
{
    const weir_stream_server *server = weir_stream_server_of(address->default_server);
    const weir_stream_ssl_conf *ssl = weir_level_settings(server->level, &weir_stream_ssl.base);

    acceptor->find = tls_find;
    acceptor->script = tls_script;
    acceptor->alpn_of = tls_protocols;
    acceptor->handshake_timeout_ms = ssl->tls.handshake_timeout_ms;
    acceptor->keeps_client_lists = true;
}

static void session_shake(weir_stream_session *session)
{
    session->doing = "SSL handshaking";
    weir_tls_accept(session->client, &session->address->acceptor, shaken);
}

/* ---- phases */

static const char *const phase_doings[WEIR_STREAM_PHASE_COUNT] = {
    [WEIR_STREAM_PHASE_POST_ACCEPT] = "initializing session",
    [WEIR_STREAM_PHASE_PREACCESS] = "initializing session",
    [WEIR_STREAM_PHASE_ACCESS] = "initializing session",
    [WEIR_STREAM_PHASE_SSL] = "SSL handshaking",
    [WEIR_STREAM_PHASE_PREREAD] = "prereading client data",
    [WEIR_STREAM_PHASE_CONTENT] = NULL,
    [WEIR_STREAM_PHASE_LOG] = "logging session",
};

/* The modules of a phase.  False: the session waits, is taken over, or has ended, and may be gone. */
static bool phase_run(weir_stream_session *session)
{
    const weir_stream_hook *hook = &session->server->phases[session->phase][session->handler];

    session->doing = phase_doings[session->phase];
    for (; hook->module != NULL; hook++, session->handler++) {
        switch (hook->module->judge(session, hook->settings)) {
        case WEIR_STREAM_PASS:
            break;
        case WEIR_STREAM_SETTLED:
            return session->phase != WEIR_STREAM_PHASE_CONTENT;
        case WEIR_STREAM_MORE:
            weir_stream_preread_more(session);
            return false;
        case WEIR_STREAM_REFUSED:
            weir_stream_end(session, session->status);
            return false;
        }
    }
    return true;
}

void weir_stream_run(weir_stream_session *session)
{
    for (; session->phase < WEIR_STREAM_PHASE_LOG; session->phase++) {
        if (session->phase == WEIR_STREAM_PHASE_SSL && session->address->ssl) {
            session_shake(session);
            return;
        }
        if (!phase_run(session)) {
            return;
        }
        session->handler = 0;
        if (session->phase == WEIR_STREAM_PHASE_PREREAD && !weir_stream_preread_end(session)) {
            weir_stream_end(session, WEIR_STREAM_INTERNAL_ERROR);
            return;
        }
    }
}

/* ---- the beginning */

/* NULL: the connection is gone. */
static weir_stream_session *session_new(weir_connection *connection, void *subject)
{
    const weir_server_port *port = subject;
    const weir_server_address *address = weir_server_port_address(port, connection);
    weir_stream_cycle *stream = weir_stream_of_address(address);
    weir_stream_session *session = WEIR_NEW(connection->pool, weir_stream_session);

    if (session == NULL) {
        weir_connection_close(connection);
        return NULL;
    }
    session->client = connection;
    session->address = address;
    session->pool = connection->pool;
    connection->owner = session;
    weir_list_append(&stream->sessions, &session->link);
    connection->log.takes_all =
        stream->debugs_some && weir_core_debugs(stream->cycle->core, &connection->peer);
    weir_script_begin(&session->script, stream->space, session, session->pool, &connection->log);
    enter_server(session, weir_stream_server_of(address->default_server));

    connection->log.describe = session_describe;
    connection->log.subject = session;
    return session;
}

static void announce(const weir_stream_session *session)
{
    weir_log log = session->client->log;
    char client[WEIR_ADDR_TEXT_MAX];
    char server[WEIR_ADDR_TEXT_MAX];

    if (weir_log_takes(&log, WEIR_LOG_INFO)) {
        log.describe = NULL;
        weir_log_line(&log, WEIR_LOG_INFO, 0, "client %.*s connected to %.*s",
                      WEIR_STR_ARG(weir_addr_text(&session->client->peer, true, client)),
                      WEIR_STR_ARG(weir_addr_text(&session->address->addr, true, server)));
    }
}

void weir_stream_accepted(weir_connection *connection, void *subject)
{
    weir_stream_session *session = session_new(connection, subject);

    if (session != NULL) {
        announce(session);
        weir_stream_run(session);
    }
}

void weir_stream_unannounced(weir_connection *connection, bool is_malformed, void *subject)
{
    weir_stream_session *session = session_new(connection, subject);

    if (session != NULL) {
        weir_stream_end(session, is_malformed ? WEIR_STREAM_BAD_REQUEST : WEIR_STREAM_OK);
    }
}
