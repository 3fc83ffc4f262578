#include "modules/stream/engine/engine_internal.h"

#include <errno.h>

/* The client's first bytes, for modules that decide by them; they stay with the connection. */

static void preread_readable(weir_connection *connection);
static void preread_timed_out(weir_connection *connection);

/* prereading -> (phases go on) | closed */
static const weir_connection_state stream_prereading = {
    .name = "prereading",
    .on_readable = preread_readable,
    .on_timeout = preread_timed_out,
};

/* Whoever has the session next says what is to be waited for.  preread -> ... */
static const weir_connection_state stream_preread = {
    .name = "preread",
};

static char *preread_buffer(weir_stream_session *session)
{
    if (session->buffer == NULL && session->core->preread_buffer_size <= WEIR_BLOCK_BYTES) {
        session->block = weir_block_get();
        session->buffer = session->block == NULL ? NULL : session->block->data;
    } else if (session->buffer == NULL) {
        session->buffer = weir_pool_bytes(session->pool, session->core->preread_buffer_size);
    }
    return session->buffer;
}

void weir_stream_preread_release(weir_stream_session *session)
{
    weir_block_unref(session->block);
    session->block = NULL;
    session->buffer = NULL;
    session->preread = WEIR_STR_EMPTY;
}

bool weir_stream_preread_end(weir_stream_session *session)
{
    bool is_kept = true;

    if (session->preread.len != 0) {
        is_kept = weir_connection_give_back(session->client, session->preread);
        weir_connection_clear_timeout(session->client);
    }
    if (session->client->state == &stream_prereading) {
        weir_connection_enter(session->client, &stream_preread);
    }
    weir_stream_preread_release(session);
    return is_kept;
}

/* Reads once.  OK: there is more, or the end. */
static weir_result preread_read(weir_stream_session *session)
{
    size_t size = session->core->preread_buffer_size;
    size_t before = session->preread.len;
    char *buffer = preread_buffer(session);
    weir_result result;
    size_t len;

    if (buffer == NULL) {
        weir_log_line(weir_stream_log(session), WEIR_LOG_CRIT, 0, "no memory for preread data");
        return WEIR_FAIL;
    }
    result = weir_connection_read(session->client, buffer + before, size - before, &len);
    if (result != WEIR_OK) {
        /* A client that says nothing holds no block. */
        if (before == 0) {
            weir_stream_preread_release(session);
        }
        return result;
    }
    session->preread = weir_str_of(buffer, before + len);
    session->preread_ended = len == 0;
    return WEIR_OK;
}

void weir_stream_preread_more(weir_stream_session *session)
{
    weir_connection *client = session->client;

    if (session->preread.len >= session->core->preread_buffer_size) {
        weir_log_line(&client->log, WEIR_LOG_ERR, 0, "preread buffer full");
        weir_stream_end(session, WEIR_STREAM_BAD_REQUEST);
        return;
    }

    switch (preread_read(session)) {
    case WEIR_OK:
        /* The client has gone before it was known what for. */
        if (session->preread_ended) {
            weir_stream_end(session, WEIR_STREAM_OK);
            return;
        }
        weir_stream_run(session);
        return;
    case WEIR_WAIT:
        if (client->state != &stream_prereading) {
            weir_connection_set_timeout(client, session->core->preread_timeout_ms);
            weir_connection_enter(client, &stream_prereading);
        }
        return;
    case WEIR_FAIL:
        weir_stream_end(session, WEIR_STREAM_OK);
        return;
    }
}

static void preread_readable(weir_connection *connection)
{
    weir_stream_preread_more(connection->owner);
}

static void preread_timed_out(weir_connection *connection)
{
    weir_log_line(&connection->log, WEIR_LOG_INFO, ETIMEDOUT, "client timed out");
    weir_stream_end(connection->owner, WEIR_STREAM_OK);
}
