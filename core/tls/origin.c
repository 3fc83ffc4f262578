/* Connections to origins, up to where what is spoken over them begins. */

#include "core/tls/origin.h"

#include <errno.h>

#define ORIGIN_POOL_BYTES 512

static void connecting_writable(weir_connection *connection);
static void introducing_writable(weir_connection *connection);
static void opening_timed_out(weir_connection *connection);

/* connecting -> introducing | (TLS handshake) | open | failed */
static const weir_connection_state origin_connecting = {
    .name = "connecting to origin",
    .on_writable = connecting_writable,
    .on_timeout = opening_timed_out,
};

/* introducing -> (TLS handshake) | open | failed */
static const weir_connection_state origin_introducing = {
    .name = "introducing itself to origin",
    .on_writable = introducing_writable,
    .on_timeout = opening_timed_out,
};

/* open -> what its owner enters */
static const weir_connection_state origin_open = {
    .name = "open to origin",
};

/* failed -> closed by its owner */
static const weir_connection_state origin_failed = {
    .name = "not opened",
};

static void opening_doing(const weir_origin_opening *opening, const char *doing)
{
    if (opening->doing != NULL) {
        *opening->doing = doing;
    }
}

/* ---- ends */

static void opening_end(weir_origin_opening *opening, weir_origin_outcome outcome)
{
    weir_connection *connection = *opening->connection;

    if (connection != NULL) {
        weir_connection_clear_timeout(connection);
        weir_connection_enter(connection,
                              outcome == WEIR_ORIGIN_OPEN ? &origin_open : &origin_failed);
    }
    opening->done(opening, outcome);
}

static void opening_timed_out(weir_connection *connection)
{
    weir_origin_opening *opening = connection->owner;

    if (opening->step != WEIR_ORIGIN_CONNECTING || !opening->connects_quietly) {
        weir_log_line(&opening->log, WEIR_LOG_ERR, ETIMEDOUT, "upstream timed out");
    }
    opening_end(opening, WEIR_ORIGIN_TIMED_OUT);
}

static void connect_failed(weir_origin_opening *opening, int error)
{
    weir_log_level level = weir_connect_error_level(error);

    opening->error = error;
    if (opening->connects_quietly) {
        opening_end(opening, WEIR_ORIGIN_FAILED);
        return;
    }
    if (weir_addr_is_unix(opening->addr)) {
        weir_log_line(&opening->log, level, error, "connect() to %.*s failed",
                      WEIR_STR_ARG(opening->peer));
    } else {
        weir_log_line(&opening->log, level, error, "connect() failed");
    }
    opening_end(opening, WEIR_ORIGIN_FAILED);
}

/* ---- TLS */

static void shaken(weir_connection *connection, weir_tls_outcome outcome)
{
    weir_origin_opening *opening = connection->owner;

    switch (outcome) {
    case WEIR_TLS_ESTABLISHED:
        opening_end(opening, WEIR_ORIGIN_OPEN);
        return;
    case WEIR_TLS_NOT_TLS:
    case WEIR_TLS_REFUSED:
        break;
    }
    opening_end(opening, weir_tls_connect_refusal(connection) == WEIR_TLS_REFUSAL_TIMEOUT
                             ? WEIR_ORIGIN_TIMED_OUT
                             : WEIR_ORIGIN_FAILED);
}

static void opening_shake(weir_origin_opening *opening)
{
    const weir_tls_connect_options options = {
        .name = opening->tls_name,
        .session_key = opening->peer,
        .alpn = opening->alpn,
        .script = opening->script,
    };

    if (opening->tls == NULL) {
        opening_end(opening, WEIR_ORIGIN_OPEN);
        return;
    }
    opening->step = WEIR_ORIGIN_SHAKING;
    opening_doing(opening, "SSL handshaking to upstream");
    if (!opening->timeout_is_whole) {
        weir_connection_set_timeout(*opening->connection, opening->timeout_ms);
    }
    weir_tls_connect(*opening->connection, opening->tls, &options, shaken);
}

/* ---- the introduction */

static void opening_introduce(weir_origin_opening *opening)
{
    weir_connection *connection = *opening->connection;

    if (opening->introduction == NULL || weir_chain_is_empty(opening->introduction)) {
        opening_shake(opening);
        return;
    }
    opening->step = WEIR_ORIGIN_INTRODUCING;
    switch (weir_connection_write(connection, opening->introduction, UINT64_MAX)) {
    case WEIR_OK:
        opening_shake(opening);
        return;
    case WEIR_WAIT:
        if (connection->state != &origin_introducing) {
            weir_connection_enter(connection, &origin_introducing);
        }
        return;
    case WEIR_FAIL:
        opening_end(opening, WEIR_ORIGIN_FAILED);
        return;
    }
}

static void introducing_writable(weir_connection *connection)
{
    opening_introduce(connection->owner);
}

/* ---- connecting */

static void opening_connected(weir_origin_opening *opening)
{
    if (opening->connected != NULL) {
        opening->connected(opening);
    }
    opening_introduce(opening);
}

static void connecting_writable(weir_connection *connection)
{
    weir_origin_opening *opening = connection->owner;
    int error = weir_connection_finish_connect(connection);

    if (error == EINPROGRESS) {
        return;
    }
    if (error != 0) {
        connect_failed(opening, error);
        return;
    }
    opening_connected(opening);
}

void weir_origin_open(weir_loop *loop, weir_origin_opening *opening)
{
    weir_connection *connection;
    int error;

    opening->step = WEIR_ORIGIN_CONNECTING;
    opening->error = 0;
    opening_doing(opening, "connecting to upstream");
    connection = weir_connect(loop, opening->addr, &opening->socket, ORIGIN_POOL_BYTES,
                              &origin_connecting, opening, &error);
    *opening->connection = connection;
    if (connection == NULL) {
        connect_failed(opening, error);
        return;
    }
    connection->log = opening->log;
    weir_connection_set_timeout(connection, opening->timeout_ms);
    if (connection->writable) {
        opening_connected(opening);
    }
}
