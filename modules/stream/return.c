/*
 * return: sends a text, and closes.
 *
 *     return "$remote_addr $time_iso8601\n";
 */

#include "modules/stream/engine/core_conf.h"

#define SEND_TIMEOUT_MS (60 * 1000)

typedef struct {
    const weir_template *text; /* NULL: not said */
} return_conf;

typedef struct {
    weir_chain out;
} return_state;

extern const weir_stream_module weir_stream_return;

static void return_writable(weir_connection *connection);
static void return_timed_out(weir_connection *connection);

/* returning -> closed */
static const weir_connection_state stream_returning = {
    .name = "returning",
    .on_writable = return_writable,
    .on_timeout = return_timed_out,
};

static const weir_directive return_directives[] = {
    {
        .name = "return",
        .where = WEIR_STREAM_SERVER,
        .slot = WEIR_SLOT_TEMPLATE(return_conf, text),
        .doc = "Sends a text to clients, and closes.",
    },
    {0},
};

static void return_end(weir_stream_session *session)
{
    return_state *state = weir_stream_state_find(session, &weir_stream_return);

    weir_chain_clear(&state->out);
    weir_stream_end(session, WEIR_STREAM_OK);
}

static void return_send(weir_stream_session *session)
{
    return_state *state = weir_stream_state_find(session, &weir_stream_return);

    switch (weir_connection_write(session->client, &state->out, UINT64_MAX)) {
    case WEIR_WAIT:
        weir_connection_set_timeout(session->client, SEND_TIMEOUT_MS);
        if (session->client->state != &stream_returning) {
            weir_connection_enter(session->client, &stream_returning);
        }
        return;
    case WEIR_OK:
    case WEIR_FAIL:
        return_end(session);
        return;
    }
}

static void return_writable(weir_connection *connection)
{
    return_send(connection->owner);
}

static void return_timed_out(weir_connection *connection)
{
    return_end(connection->owner);
}

static weir_stream_verdict return_judge(weir_stream_session *session, const void *server)
{
    const return_conf *conf = server;
    return_state *state = weir_stream_state(session, &weir_stream_return, sizeof(*state));
    weir_str text;

    session->doing = "returning text";
    if (state == NULL || !weir_template_text(conf->text, &session->script, &text)
        || !weir_chain_add_memory(&state->out, text)) {
        session->status = WEIR_STREAM_INTERNAL_ERROR;
        return WEIR_STREAM_REFUSED;
    }
    return_send(session);
    return WEIR_STREAM_SETTLED;
}

static bool return_applies(const void *server)
{
    return ((const return_conf *) server)->text != NULL;
}

const weir_stream_module weir_stream_return = {
    .name = "stream_return",
    .directives = return_directives,
    .conf_size = sizeof(return_conf),
    .phases = 1u << WEIR_STREAM_PHASE_CONTENT,
    .judge = return_judge,
    .applies = return_applies,
};
