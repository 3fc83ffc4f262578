/*
 * weir waf explain: replays a raw request against the rules of a configuration, off line.
 *
 *     weir waf explain [--port=N] [--client=ADDR] [--exit-code] [--json] -c FILE < request
 *
 * The verdict is a line of JSON on stdout, as in the verdict log.  Status 0: there is one.  2: there is none, and stderr says why.
 * 1, with --exit-code only: the rules refuse the request, or would if they were on.
 *
 * The request goes through the real wire and the real phases, over a pair of sockets; before anything that
 * asks somebody else (limits, passwords, origins) it is answered.
 */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/number.h"
#include "core/net/connection.h"
#include "core/process/cycle.h"
#include "modules/http/waf/waf_internal.h"
#include "modules/waf/verdict.h"

#define EXPLAIN_REQUEST_MAX ((size_t) 256 * 1024 * 1024)
#define EXPLAIN_PATIENCE_MS 10000 /* for an answer, once all was sent */
#define EXPLAIN_TURN_MS 20

enum { EXPLAINED = 0, EXPLAINED_REFUSAL = 1, NOT_EXPLAINED = 2 }; /* exit status */

typedef struct {
    weir_pool *pool;
    uint16_t port; /* 0: not said */
    weir_addr client;
    bool tells_refusal; /* by the exit status */
    weir_str request;
    weir_cycle *cycle;
    weir_loop *loop;
    int fd;            /* the client's end */
    int server_fd;     /* the connection's, while there is one */
    bool was_answered; /* something came back */
} explain;

/* What this process is: set before anything is read, and for good. */
static bool is_explaining;
static unsigned explained; /* lines written */
static bool is_refusal;    /* what one of them says */
static bool is_truncated;  /* the request ended before its rules did */
static bool body_is_short; /* in its body: said */

bool weir_http_waf_is_explaining(void)
{
    return is_explaining;
}

static bool explain_fail(const char *what, weir_str name)
{
    weir_log_line(NULL, WEIR_LOG_STDERR, 0, "waf explain: %s%s%.*s", what, name.len == 0 ? "" : " ",
                  WEIR_STR_ARG(name));
    return false;
}

static void explain_truncated(const weir_http_request *request)
{
    char text[128];
    weir_builder builder;

    body_is_short = true;
    weir_builder_over(&builder, text, sizeof(text));
    if (request->content_length >= 0) {
        weir_builder_printf(&builder, "%llu of %lld bytes of its body came",
                            (unsigned long long) request->body_received,
                            (long long) request->content_length);
    } else {
        weir_builder_add(&builder, WEIR_STR("the last chunk of its body did not come"));
    }
    (void) explain_fail("the request is truncated:", weir_builder_cut(&builder));
}

void weir_http_waf_explain_verdict(weir_http_waf_state *state)
{
    weir_http_exchange *ex = state->ex;
    weir_str line;

    if (is_truncated || (state->step < WEIR_HTTP_WAF_BODY_DONE && !state->has_answered)) {
        explain_truncated(&ex->request);
        return;
    }
    explained++;
    is_refusal = is_refusal || weir_waf_verdict_is_due(state->tx);
    weir_log_line(NULL, WEIR_LOG_STDERR, 0, "waf explain: location \"%.*s\"",
                  WEIR_STR_ARG(ex->location->name));
    if (!weir_waf_verdict_line(state->tx, ex->pool, &line)
        || fwrite(line.data, 1, line.len, stdout) != line.len || fflush(stdout) != 0) {
        (void) explain_fail("the verdict cannot be written", WEIR_STR_EMPTY);
    }
}

/* ---- the end of the way, in each location: nothing behind the rules is to run */

static bool stops_here(const void *location)
{
    (void) location;
    return is_explaining;
}

static weir_http_verdict stop(weir_http_exchange *ex, const void *location)
{
    weir_http_waf_state *state = weir_http_state_find(ex, &weir_http_waf);

    (void) location;
    if (state == NULL) {
        (void) explain_fail("no rules are on in location", ex->location->name);
    } else {
        /* There is no response to look at. */
        state->step = WEIR_HTTP_WAF_RESPONSE_DONE;
    }
    ex->keepalive = false;
    return weir_http_answer_because(ex, 204, "explained");
}

const weir_http_module weir_http_waf_stop = {
    .name = "http_waf_stop",
    .phases = 1u << WEIR_HTTP_PHASE_PREACCESS,
    .judge = stop,
    .applies = stops_here,
};

/* ---- the replay */

/* The address of the port that was named; else the first with TLS, as one without leads there as a rule; else the first. */
static const weir_server_port *port_choose(const explain *self, weir_server_address **chosen)
{
    const weir_array *ports = &weir_http_of_cycle(self->cycle)->servers.ports;
    const weir_server_port *best = NULL;

    for (size_t i = 0; i < ports->count; i++) {
        const weir_server_port *port = *WEIR_ARRAY_AT(ports, weir_server_port *, i);

        for (size_t j = 0; j < port->addresses.count; j++) {
            weir_server_address *address =
                *WEIR_ARRAY_AT(&port->addresses, weir_server_address *, j);

            if (self->port != 0 && weir_addr_port(&address->addr) != self->port) {
                continue;
            }
            if (best == NULL || (address->ssl && !(*chosen)->ssl)) {
                best = port;
                *chosen = address;
            }
        }
    }
    if (best == NULL) {
        (void) explain_fail("the configuration listens on no such http port", WEIR_STR_EMPTY);
    }
    return best;
}

/* The server's end; its TLS is taken as done. */
static bool connection_open(explain *self)
{
    weir_server_address *address = NULL;
    const weir_server_port *port = port_choose(self, &address);
    weir_connection *connection;
    weir_http_connection *client;
    bool is_tls;
    int fds[2];

    if (port == NULL) {
        return false;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == -1) {
        return explain_fail("socketpair() failed", WEIR_STR_EMPTY);
    }
    self->fd = fds[1];
    self->server_fd = fds[0];
    connection = weir_connection_adopt(self->loop, fds[0], 512, &self->cycle->log);
    if (connection == NULL) {
        close(fds[0]);
        return explain_fail("no memory", WEIR_STR_EMPTY);
    }
    connection->listener = port->listener;
    connection->local = &address->addr;
    connection->peer = self->client;
    connection->tcp_nodelay = true; /* it is no TCP */
    /* The configuration is this process's own, and has no other connection. */
    is_tls = address->ssl;
    address->ssl = false;
    weir_http_accepted(connection, (void *) (uintptr_t) port);
    client = connection->owner;
    if (client != NULL) {
        client->is_tls = is_tls;
    }
    return true;
}

static void turn(explain *self)
{
    char answer[4096];

    weir_loop_turn(self->loop, EXPLAIN_TURN_MS);
    while (recv(self->fd, answer, sizeof(answer), MSG_DONTWAIT) > 0) {
        self->was_answered = true;
    }
}

static uint64_t now_ms(void)
{
    weir_clock_update();
    return weir_clock_now()->monotonic_ms;
}

static bool is_over(const explain *self, uint64_t until_ms)
{
    return weir_connections_open(self->loop) == 0 || now_ms() >= until_ms;
}

/* All was read, nothing is on its way, and nobody has answered: more of the request is waited for. */
static bool is_waited_for(const explain *self)
{
    int unread = 0;

    return weir_connections_open(self->loop) != 0 && !weir_loop_has_tasks(self->loop)
           && ioctl(self->server_fd, FIONREAD, &unread) == 0 && unread == 0;
}

static void replay(explain *self)
{
    weir_str rest = self->request;
    uint64_t until_ms = now_ms() + EXPLAIN_PATIENCE_MS;

    while (rest.len != 0 && !self->was_answered && !is_over(self, until_ms)) {
        ssize_t sent = send(self->fd, rest.data, rest.len, MSG_NOSIGNAL);

        if (sent > 0) {
            rest = weir_str_from(rest, (size_t) sent);
            until_ms = now_ms() + EXPLAIN_PATIENCE_MS;
        } else if (sent == -1 && errno != EAGAIN) {
            break;
        }
        turn(self);
    }
    while (!self->was_answered && !is_truncated && !is_over(self, until_ms)) {
        turn(self);
        is_truncated = !self->was_answered && is_waited_for(self);
    }
    /* Closed behind the answer: a client that goes before it would not be answered. */
    close(self->fd);
    self->fd = -1;
    until_ms = now_ms() + EXPLAIN_PATIENCE_MS;
    while (!is_over(self, until_ms)) {
        weir_loop_turn(self->loop, EXPLAIN_TURN_MS);
    }
    weir_loop_turn(self->loop, 0);
}

static bool explain_do(explain *self)
{
    weir_http_waf_main *main;

    if (weir_http_of_cycle(self->cycle) == NULL) {
        return explain_fail("the configuration has no http block", WEIR_STR_EMPTY);
    }
    main = weir_http_waf_main_of(self->cycle);
    if (main == NULL) {
        return explain_fail("the configuration has no rules", WEIR_STR_EMPTY);
    }
    main->worker = weir_waf_worker_new();
    self->loop = weir_loop_new(&self->cycle->log);
    if (main->worker == NULL || self->loop == NULL) {
        return explain_fail("no memory", WEIR_STR_EMPTY);
    }
    weir_connections_set_limit(self->loop, 8);
    if (!connection_open(self)) {
        return false;
    }
    replay(self);
    if (explained != 0 || body_is_short) {
        return explained != 0;
    }
    return explain_fail(is_truncated ? "the request is truncated: its head has no end"
                                     : "no rules judged the request (another listener: --port)",
                        WEIR_STR_EMPTY);
}

static bool options_take(explain *self, const weir_str *arguments, size_t count)
{
    uint64_t port;

    if (count == 0 || !weir_str_eq(arguments[0], WEIR_STR("explain"))) {
        return explain_fail("usage: weir waf explain [--port=N] [--client=ADDR] [--exit-code] "
                            "[--json] -c FILE < request",
                            WEIR_STR_EMPTY);
    }
    if (!weir_addr_parse_ip(WEIR_STR("127.0.0.1"), &self->client)) {
        return false;
    }
    for (size_t i = 1; i < count; i++) {
        weir_str name = arguments[i], value = WEIR_STR_EMPTY;
        const char *equals = memchr(name.data, '=', name.len);

        if (equals != NULL) {
            value = weir_str_from(name, (size_t) (equals - name.data) + 1);
            name = weir_str_slice(name, 0, (size_t) (equals - name.data));
        }
        if (weir_str_eq(name, WEIR_STR("--port")) && weir_parse_uint(value, UINT16_MAX, &port)
            && port != 0) {
            self->port = (uint16_t) port;
        } else if (equals == NULL && weir_str_eq(name, WEIR_STR("--exit-code"))) {
            self->tells_refusal = true;
        } else if (equals == NULL && weir_str_eq(name, WEIR_STR("--json"))) {
            continue; /* nor is there another form */
        } else if (!weir_str_eq(name, WEIR_STR("--client"))
                   || !weir_addr_parse_ip(value, &self->client)) {
            return explain_fail("invalid option", arguments[i]);
        }
    }
    return true;
}

static bool request_read(explain *self)
{
    weir_builder builder;
    ssize_t got;

    weir_builder_open(&builder, self->pool, EXPLAIN_REQUEST_MAX);
    for (;;) {
        char *room = weir_builder_room(&builder, 65536);

        if (room == NULL) {
            return explain_fail("the request is too large", WEIR_STR_EMPTY);
        }
        got = read(STDIN_FILENO, room, 65536);
        if (got == -1 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        weir_builder_advance(&builder, (size_t) got);
    }
    if (got == -1 || !weir_builder_close(&builder, &self->request) || self->request.len == 0) {
        return explain_fail("there is no request on stdin", WEIR_STR_EMPTY);
    }
    return true;
}

static void explain_undo(explain *self)
{
    weir_http_waf_main *main = weir_http_waf_main_of(self->cycle);

    if (main != NULL) {
        weir_waf_worker_free(main->worker);
    }
    weir_loop_free(self->loop);
    weir_cycle_free(self->cycle);
}

static int tool_run(const weir_conf_options *options, const weir_str *arguments, size_t count)
{
    explain self = {.pool = weir_pool_new(16384, 0), .fd = -1};
    bool is_done = false;

    is_explaining = true;
    weir_clock_update();
    if (self.pool != NULL && options_take(&self, arguments, count) && request_read(&self)
        && (self.cycle = weir_cycle_read(options)) != NULL) {
        is_done = explain_do(&self);
    }
    if (self.fd != -1) {
        close(self.fd);
    }
    /* What a connection that did not end may still point to stays until the process ends. */
    if (self.cycle != NULL && (self.loop == NULL || weir_connections_open(self.loop) == 0)) {
        explain_undo(&self);
    }
    weir_pool_free(self.pool);
    if (!is_done) {
        return NOT_EXPLAINED;
    }
    return self.tells_refusal && is_refusal ? EXPLAINED_REFUSAL : EXPLAINED;
}

const weir_tool weir_http_waf_tools[] = {
    {
        .name = "waf",
        .syntax = "explain [--port=N] [--client=ADDR] [--exit-code] [--json] < request",
        .doc = "replays a raw HTTP/1 request against the rules of the configuration, and says what "
               "they make of it",
        .run = tool_run,
    },
    {0},
};
