#include <string.h>

#include "core/base/clock.h"
#include "core/process/worker.h"
#include "modules/balance/probe_internal.h"

/*
 * One talk with a peer, in the keeper: (opening) -> sending -> receiving -> over.  A connection that may
 * stay is kept by the probe for the next talk; if it turns out to be dead before a byte came, a new one is made, once.
 */

#define TALK_POOL 4096

struct balance_talking {
    weir_balance_talk talk;
    balance_probe *probe;
    const weir_balance_question *question;
    weir_connection *connection;
    weir_origin_opening opening;
    bool is_reused;
    weir_chain out;
    char *data;
    size_t len;
};

typedef struct balance_talking talking;

static void sending_writable(weir_connection *connection);
static void receiving_readable(weir_connection *connection);
static void talking_timeout(weir_connection *connection);
static void kept_over(weir_connection *connection);

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

/* False: none is kept, or it is of no use any more. */
static bool connection_reuse(talking *self)
{
    balance_probe *probe = self->probe;

    if (probe->kept != NULL && !weir_connection_is_quiet(probe->kept)) {
        balance_probe_forget(probe);
    }
    self->is_reused = probe->kept != NULL;
    self->connection = probe->kept;
    probe->kept = NULL;
    return self->is_reused;
}

/* ---- the end */

void balance_talking_cancel(talking *self)
{
    connection_drop(self);
    weir_pool_free(self->talk.pool);
}

/* Nothing of it may be looked at any more. */
static void talking_end(talking *self, const char *failure)
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
        talking_end(self, failure);
    }
}

static void talking_timeout(weir_connection *connection)
{
    talking_end(connection->owner, "it timed out");
}

/* For the next step, or what is left for all of them. */
static void timeout_set(const talking *self, uint64_t timeout_ms)
{
    uint64_t whole_ms = self->question->whole_ms;
    uint64_t gone_ms = weir_clock_now()->monotonic_ms - self->talk.started_ms;

    if (whole_ms != 0) {
        timeout_ms = gone_ms < whole_ms ? whole_ms - gone_ms : 1;
    }
    weir_connection_set_timeout(self->connection, timeout_ms);
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
        talking_end(self, "its answer is not complete");
        return false;
    case WEIR_BALANCE_TALK_OVER:
        talking_end(self, NULL);
        return false;
    case WEIR_BALANCE_TALK_BAD:
        break;
    }
    talking_end(self, self->talk.failure);
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
        talking_end(self, NULL);
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
        talking_end(self, "no memory");
        return;
    }
    weir_connection_enter(self->connection, &talking_sending);
    sending_writable(self->connection);
}

/* ---- the beginning */

static void connected(weir_origin_opening *opening)
{
    WEIR_OWNER(opening, talking, opening)->talk.connected_ms = weir_clock_now()->monotonic_ms;
}

static const char *why_not_open(const weir_origin_opening *opening)
{
    switch (opening->step) {
    case WEIR_ORIGIN_CONNECTING:
        return strerror(opening->error);
    case WEIR_ORIGIN_INTRODUCING:
        return "sending failed";
    case WEIR_ORIGIN_SHAKING:
        break;
    }
    return "the SSL handshake failed";
}

static void opened(weir_origin_opening *opening, weir_origin_outcome outcome)
{
    talking *self = WEIR_OWNER(opening, talking, opening);

    switch (outcome) {
    case WEIR_ORIGIN_OPEN:
        self->connection->owner = self;
        talking_send(self);
        return;
    case WEIR_ORIGIN_TIMED_OUT:
        talking_end(self, "it timed out");
        return;
    case WEIR_ORIGIN_FAILED:
        talking_end(self, why_not_open(opening));
        return;
    }
}

/* Without a peer's name: each handshake is a whole one, as a client's first. */
static void talking_open(talking *self)
{
    const weir_balance_question *question = self->question;
    balance_probe *probe = self->probe;

    if (question->preamble.len != 0 && !weir_chain_add_memory(&self->out, question->preamble)) {
        talking_end(self, "no memory");
        return;
    }
    self->opening = (weir_origin_opening){
        .addr = &probe->addr,
        .timeout_ms = question->whole_ms != 0 ? question->whole_ms : question->connect_ms,
        .timeout_is_whole = question->whole_ms != 0,
        .introduction = &self->out,
        .tls = question->tls,
        .tls_name = question->tls_name,
        .alpn = question->alpn,
        .connection = &self->connection,
        .log = probe->keeper->log,
        .connects_quietly = true,
        .connected = connected,
        .done = opened,
    };
    weir_origin_open(probe->keeper->loop, &self->opening);
}

static void talking_begin(talking *self)
{
    self->talk.started_ms = weir_clock_now()->monotonic_ms;
    if (!connection_reuse(self)) {
        talking_open(self);
        return;
    }
    self->connection->owner = self;
    self->connection->log = self->probe->keeper->log;
    talking_send(self);
}

static talking *talking_new(balance_probe *probe)
{
    const weir_balance_question *question = &probe->check->question;
    weir_pool *pool;
    talking *self = WEIR_NEW_WITH_POOL(talking, TALK_POOL, &pool);

    if (self == NULL) {
        return NULL;
    }
    self->talk = (weir_balance_talk){
        .check = probe->check, .pool = pool, .log = probe->keeper->log, .peer = probe->text};
    self->probe = probe;
    self->question = question;
    self->talk.state = weir_pool_zalloc(pool, question->state_bytes + 1);
    self->data = weir_pool_bytes(pool, question->answer_max + 1);
    if (self->talk.state == NULL || self->data == NULL
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
