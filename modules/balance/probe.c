#include <errno.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/process/worker.h"
#include "modules/balance/probe_internal.h"

/*
 * One talk with a peer, in the keeper: connecting -> (TLS handshake) -> sending -> receiving -> over.  A connection that may
 * stay is kept by the probe for the next talk; if it turns out to be dead before a byte came, a new one is made, once.
 */

#define CONNECTION_POOL 1024
#define TALK_POOL 4096

struct balance_talking {
    weir_balance_talk talk;
    balance_probe *probe;
    const weir_balance_question *question;
    weir_connection *connection;
    bool is_reused;
    weir_chain out;
    char *data;
    size_t len;
};

typedef struct balance_talking talking;

static void connecting_writable(weir_connection *connection);
static void preamble_writable(weir_connection *connection);
static void sending_writable(weir_connection *connection);
static void receiving_readable(weir_connection *connection);
static void talking_timeout(weir_connection *connection);
static void kept_over(weir_connection *connection);

static const weir_connection_state talking_connecting = {
    .name = "connecting for a health check",
    .on_writable = connecting_writable,
    .on_timeout = talking_timeout,
};
static const weir_connection_state talking_preamble = {
    .name = "sending what precedes a health check",
    .on_writable = preamble_writable,
    .on_timeout = talking_timeout,
};
static const weir_connection_state talking_sending = {
    .name = "sending a health check",
    .on_writable = sending_writable,
    .on_timeout = talking_timeout,
};
static const weir_connection_state talking_receiving = {
    .name = "reading a health check",
    .on_readable = receiving_readable,
    .on_timeout = talking_timeout,
};
static const weir_connection_state talking_kept = {
    .name = "kept for the next health check",
    .on_readable = kept_over,
    .on_hangup = kept_over,
    .on_timeout = kept_over,
};

/* ---- the connection */

static void kept_over(weir_connection *connection)
{
    balance_probe *probe = connection->owner;

    probe->kept = NULL;
    weir_connection_close(connection);
}

void balance_probe_forget(balance_probe *probe)
{
    if (probe->kept != NULL) {
        kept_over(probe->kept);
    }
}

static void connection_drop(talking *self)
{
    weir_chain_clear(&self->out);
    if (self->connection != NULL) {
        weir_connection_close(self->connection);
        self->connection = NULL;
    }
}

static bool connection_may_stay(const talking *self)
{
    uint64_t age_ms = weir_clock_now()->monotonic_ms - self->connection->started_ms;

    return self->talk.may_stay && age_ms < self->question->keepalive_ms
           && weir_connection_is_quiet(self->connection);
}

static void connection_keep(talking *self)
{
    weir_connection *connection = self->connection;
    balance_probe *probe = self->probe;
    uint64_t age_ms = weir_clock_now()->monotonic_ms - connection->started_ms;

    self->connection = NULL;
    probe->kept = connection;
    connection->owner = probe;
    weir_connection_set_timeout(connection, self->question->keepalive_ms - age_ms);
    weir_connection_enter(connection, &talking_kept);
}

/* The kept one, or a new one.  False: it is over. */
static bool connection_get(talking *self)
{
    balance_probe *probe = self->probe;
    weir_connect_options options = {0};
    int error = 0;

    if (probe->kept != NULL && !weir_connection_is_quiet(probe->kept)) {
        balance_probe_forget(probe);
    }
    self->is_reused = probe->kept != NULL;
    self->connection = self->is_reused
                           ? probe->kept
                           : weir_connect(probe->keeper->loop, &probe->addr, &options,
                                          CONNECTION_POOL, &talking_connecting, NULL, &error);
    probe->kept = NULL;
    if (self->connection == NULL) {
        balance_talking_end(self, strerror(error));
        return false;
    }
    self->connection->owner = self;
    self->connection->log = probe->keeper->log;
    return true;
}

/* ---- the end */

void balance_talking_cancel(talking *self)
{
    connection_drop(self);
    weir_pool_free(self->talk.pool);
}

/* Nothing of it may be looked at any more. */
void balance_talking_end(talking *self, const char *failure)
{
    balance_probe *probe = self->probe;

    if (failure == NULL && self->connection != NULL && connection_may_stay(self)) {
        connection_keep(self);
    }
    balance_probe_end(probe, failure); /* which may lie in the talk's pool */
    balance_talking_cancel(self);
}

static void talking_begin(talking *self);

/* A kept connection that was closed meanwhile tells nothing about the peer. */
static void talking_broke(talking *self, const char *failure)
{
    if (self->is_reused && self->len == 0) {
        connection_drop(self);
        talking_begin(self);
    } else {
        balance_talking_end(self, failure);
    }
}

static void talking_timeout(weir_connection *connection)
{
    balance_talking_end(connection->owner, "it timed out");
}

static void timeout_set(const talking *self, uint64_t timeout_ms)
{
    if (self->question->whole_ms == 0) {
        weir_connection_set_timeout(self->connection, timeout_ms);
    }
}

/* ---- receiving */

/* False: it is over. */
static bool answer_take(talking *self, bool is_at_end)
{
    switch (self->question->take(&self->talk, weir_str_of(self->data, self->len), is_at_end)) {
    case WEIR_BALANCE_TALK_MORE:
        if (!is_at_end) {
            return true;
        }
        balance_talking_end(self, "its answer is not complete");
        return false;
    case WEIR_BALANCE_TALK_OVER:
        balance_talking_end(self, NULL);
        return false;
    case WEIR_BALANCE_TALK_BAD:
        break;
    }
    balance_talking_end(self, self->talk.failure);
    return false;
}

static void receiving_readable(weir_connection *connection)
{
    talking *self = connection->owner;

    for (;;) {
        size_t len = 0;

        switch (weir_connection_read(connection, self->data + self->len,
                                     self->question->answer_max - self->len, &len)) {
        case WEIR_WAIT:
            return;
        case WEIR_FAIL:
            talking_broke(self, "the connection broke");
            return;
        case WEIR_OK:
            break;
        }
        if (len == 0 && self->len == 0) {
            talking_broke(self, "it closed the connection without an answer");
            return;
        }
        self->len += len;
        if (!answer_take(self, len == 0 || self->len == self->question->answer_max)) {
            return;
        }
    }
}

/* ---- sending */

static void talking_receive(talking *self)
{
    if (self->question->answer_max == 0) {
        balance_talking_end(self, NULL);
        return;
    }
    timeout_set(self, self->question->read_ms);
    weir_connection_enter(self->connection, &talking_receiving);
}

static void sending_writable(weir_connection *connection)
{
    talking *self = connection->owner;

    switch (weir_connection_write(connection, &self->out, UINT64_MAX)) {
    case WEIR_WAIT:
        return;
    case WEIR_FAIL:
        talking_broke(self, "sending failed");
        return;
    case WEIR_OK:
        break;
    }
    talking_receive(self);
}

static void talking_send(talking *self)
{
    if (self->question->request.len == 0) {
        talking_receive(self);
        return;
    }
    timeout_set(self, self->question->send_ms);
    if (!weir_chain_add_memory(&self->out, self->question->request)) {
        balance_talking_end(self, "no memory");
        return;
    }
    weir_connection_enter(self->connection, &talking_sending);
    sending_writable(self->connection);
}

/* ---- connecting */

static void shaken(weir_connection *connection, weir_tls_outcome outcome)
{
    talking *self = connection->owner;

    if (outcome == WEIR_TLS_ESTABLISHED) {
        talking_send(self);
    } else {
        balance_talking_end(self, "the SSL handshake failed");
    }
}

static void talking_shake(talking *self)
{
    const weir_balance_question *question = self->question;
    weir_tls_connect_options options = {
        .server_name = question->server_name,
        .verify_name = question->verify_name,
        .alpn = question->alpn,
        .handshake_timeout_ms = question->whole_ms != 0 ? question->whole_ms : question->connect_ms,
    };

    if (question->tls == NULL) {
        talking_send(self);
        return;
    }
    weir_tls_connect(self->connection, question->tls, &options, shaken);
}

static void preamble_writable(weir_connection *connection)
{
    talking *self = connection->owner;

    switch (weir_connection_write(connection, &self->out, UINT64_MAX)) {
    case WEIR_WAIT:
        return;
    case WEIR_FAIL:
        balance_talking_end(self, "sending failed");
        return;
    case WEIR_OK:
        break;
    }
    talking_shake(self);
}

static void connected(talking *self)
{
    self->talk.connected_ms = weir_clock_now()->monotonic_ms;
    if (self->question->preamble.len == 0) {
        talking_shake(self);
        return;
    }
    if (!weir_chain_add_memory(&self->out, self->question->preamble)) {
        balance_talking_end(self, "no memory");
        return;
    }
    weir_connection_enter(self->connection, &talking_preamble);
    preamble_writable(self->connection);
}

static void connecting_writable(weir_connection *connection)
{
    talking *self = connection->owner;
    int error = weir_connection_finish_connect(connection);

    if (error == EINPROGRESS) {
        return;
    }
    if (error != 0) {
        balance_talking_end(self, strerror(error));
        return;
    }
    connected(self);
}

/* ---- the beginning */

static void talking_begin(talking *self)
{
    const weir_balance_question *question = self->question;

    self->talk.started_ms = weir_clock_now()->monotonic_ms;
    if (!connection_get(self)) {
        return;
    }
    weir_connection_set_timeout(self->connection, question->whole_ms != 0 ? question->whole_ms
                                                                          : question->connect_ms);
    if (self->is_reused) {
        talking_send(self);
    } else if (self->connection->writable) {
        connected(self);
    }
}

static talking *talking_new(balance_probe *probe)
{
    const weir_balance_question *question = &probe->check->question;
    weir_pool *pool = weir_pool_new(TALK_POOL, 0);
    talking *self = pool == NULL ? NULL : WEIR_NEW(pool, talking);

    if (self != NULL) {
        self->talk = (weir_balance_talk){
            .check = probe->check, .pool = pool, .log = probe->keeper->log, .peer = probe->text};
        self->probe = probe;
        self->question = question;
        self->talk.state = weir_pool_zalloc(pool, question->state_bytes + 1);
        self->data = weir_pool_bytes(pool, question->answer_max + 1);
    }
    if (self == NULL || self->talk.state == NULL || self->data == NULL
        || (question->begin != NULL && !question->begin(&self->talk))) {
        weir_pool_free(pool);
        return NULL;
    }
    return self;
}

void balance_talking_start(balance_probe *probe)
{
    probe->talking = talking_new(probe);
    if (probe->talking == NULL) {
        balance_probe_end(probe, "no memory");
        return;
    }
    talking_begin(probe->talking);
}
