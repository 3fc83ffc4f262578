/*
 * One question to DNS servers: over UDP from a socket of its own, connected, so that its port is the kernel's choice and
 * only that server is heard; over TCP when the answer did not fit.
 *
 * Whoever does not answer in time, or not usefully, is followed by the next server, with another id and port.
 */

#include "core/net/resolver_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "core/base/clock.h"
#include "core/base/random.h"

#define ASK_TRY_MS                                                                                 \
    1000 /* for the first round of all servers; twice that for the next one, and so on */
#define ASK_TRY_MAX_MS 5000 /* for any one, and for a try over TCP */
#define ASK_ENDS_MS 60000   /* for all */
/* Datagrams that are no answer: so many, and another port is tried. */
#define ASK_STRANGERS_MAX 32
#define ASK_DATAGRAM_MAX 4096
#define ASK_STREAM_MAX (2 + 65535)

static void ask_send(weir_resolver_ask *ask);

/* ---- ends of tries */

static void ask_close(weir_resolver_ask *ask)
{
    weir_timer_clear(ask->servers->loop, &ask->timer);
    if (ask->event.fd != -1) {
        weir_event_close(ask->servers->loop, &ask->event);
    }
    free(ask->stream);
    ask->stream = NULL;
    ask->stream_len = 0;
}

void weir_resolver_ask_cancel(weir_resolver_ask *ask)
{
    if (ask->is_active) {
        ask_close(ask);
        ask->is_active = false;
        ask->servers->asking--;
    }
}

/* The bytes of a TCP answer stay until `done` has seen them. */
static void ask_finish(weir_resolver_ask *ask, unsigned error)
{
    char *stream = ask->stream;

    ask->stream = NULL;
    weir_resolver_ask_cancel(ask);
    ask->error = error;
    if (error == 0 && ask->ttl_s < ask->answer.ttl_s) {
        ask->answer.ttl_s = ask->ttl_s;
    }
    ask->done(ask);
    free(stream);
}

static void ask_describe(weir_builder *line, const void *subject)
{
    const weir_resolver_ask *ask = subject;
    char text[WEIR_ADDR_TEXT_MAX];

    weir_builder_add(line, WEIR_STR(" while resolving "));
    weir_builder_add(line, weir_dns_name_text(&ask->name));
    weir_builder_add(line, WEIR_STR(", resolver: "));
    weir_builder_add(line, weir_addr_text(&ask->servers->addrs[ask->server], true, text));
}

static void ask_log(const weir_resolver_ask *ask, weir_log_level level, int error, const char *what)
{
    weir_log log = ask->servers->log;

    log.describe = ask_describe;
    log.subject = ask;
    weir_log_line(&log, level, error, "%s", what);
}

static uint64_t ask_try_ms(const weir_resolver_ask *ask)
{
    size_t round = ask->tries / ask->servers->count;
    uint64_t try_ms = ASK_TRY_MS;

    for (size_t i = 0; i < round && try_ms < ASK_TRY_MAX_MS; i++) {
        try_ms *= 2;
    }
    return try_ms < ASK_TRY_MAX_MS ? try_ms : ASK_TRY_MAX_MS;
}

/* Another way now, if the next server was not asked in this round; else after a moment. */
static void ask_next(weir_resolver_ask *ask)
{
    uint64_t wait_ms;

    ask_close(ask);
    ask->by_tcp = false;
    wait_ms = (ask->tries + 1) % ask->servers->count == 0 ? ask_try_ms(ask) : 0;
    ask->tries++;
    ask->server = (ask->server + 1) % ask->servers->count;
    (void) weir_timer_set(ask->servers->loop, &ask->timer, wait_ms);
}

/* A server said no: when all have, that is the answer. */
static void ask_refused(weir_resolver_ask *ask, unsigned code)
{
    if (++ask->refusals >= ask->servers->count) {
        ask_finish(ask, code);
        return;
    }
    ask_next(ask);
}

static void ask_broken(weir_resolver_ask *ask, int error, const char *what)
{
    ask_log(ask, WEIR_LOG_ERR, error, what);
    ask_next(ask);
}

/* ---- answers */

static void ask_again(weir_resolver_ask *ask)
{
    ask_close(ask);
    ask_send(ask);
}

static void ask_follow(weir_resolver_ask *ask)
{
    ask->links += ask->answer.links;
    if (ask->links > WEIR_DNS_LINKS_MAX) {
        ask_log(ask, WEIR_LOG_ERR, 0, "too many aliases");
        ask_finish(ask, WEIR_DNS_SERVER_FAILURE);
        return;
    }
    ask->ttl_s = ask->answer.ttl_s < ask->ttl_s ? ask->answer.ttl_s : ask->ttl_s;
    ask->name = ask->answer.name;
    ask->by_tcp = false;
    ask_again(ask);
}

/* True: the message was an answer, and the ask goes another way, or is over and perhaps gone. */
static bool ask_takes(weir_resolver_ask *ask, weir_str message)
{
    weir_str query = weir_str_of(ask->query + 2, ask->query_len);
    unsigned how = (ask->by_tcp ? WEIR_DNS_BY_TCP : 0)
                   | (ask->servers->changes_case[ask->server] ? WEIR_DNS_ANY_CASE : 0);

    switch (weir_dns_read(query, message, how, &ask->answer)) {
    case WEIR_DNS_NOT_OURS:
        return false;

    case WEIR_DNS_OTHER_CASE:
        /* Either the server does not repeat it, or somebody guesses: asked again with other numbers. */
        ask_log(ask, WEIR_LOG_INFO, 0, "the case of letters was changed");
        ask->servers->changes_case[ask->server] = true;
        ask_again(ask);
        return true;

    case WEIR_DNS_TRUNCATED:
        ask->by_tcp = true;
        ask_again(ask);
        return true;

    case WEIR_DNS_REFUSED:
        if (ask->answer.code == WEIR_DNS_NO_SUCH_NAME) {
            ask_finish(ask, WEIR_DNS_NO_SUCH_NAME);
        } else {
            ask_refused(ask, ask->answer.code);
        }
        return true;

    case WEIR_DNS_BROKEN:
        ask_log(ask, WEIR_LOG_ERR, 0, "invalid DNS response");
        ask_refused(ask, WEIR_DNS_FORMAT_ERROR);
        return true;

    case WEIR_DNS_ELSEWHERE:
        ask_follow(ask);
        return true;

    case WEIR_DNS_ANSWERED:
        ask_finish(ask, 0);
        return true;
    }
    return false;
}

static void ask_receive_datagrams(weir_resolver_ask *ask)
{
    char message[ASK_DATAGRAM_MAX];

    for (unsigned strangers = 0; strangers < ASK_STRANGERS_MAX; strangers++) {
        ssize_t got = recv(ask->event.fd, message, sizeof(message), 0);

        if (got == -1 && errno == EINTR) {
            continue;
        }
        if (got == -1 && errno == EAGAIN) {
            return;
        }
        if (got == -1) {
            ask_broken(ask, errno, "recv() failed");
            return;
        }
        if (ask_takes(ask, weir_str_of(message, (size_t) got))) {
            return;
        }
    }
    ask_broken(ask, 0, "too many datagrams that answer nothing");
}

/* ---- over TCP: the length, two bytes, then the message (RFC 1035, 4.2.2; RFC 7766) */

static size_t ask_stream_expected(const weir_resolver_ask *ask)
{
    const unsigned char *bytes = (const unsigned char *) ask->stream;

    return ask->stream_len < 2 ? 2 : 2 + ((size_t) bytes[0] << 8 | bytes[1]);
}

/* False: closed, and the next one is on its way. */
static bool ask_receive_some(weir_resolver_ask *ask)
{
    ssize_t got = recv(ask->event.fd, ask->stream + ask->stream_len,
                       ask_stream_expected(ask) - ask->stream_len, 0);

    if (got == -1) {
        if (errno != EAGAIN && errno != EINTR) {
            ask_broken(ask, errno, "recv() failed");
            return false;
        }
        return errno == EINTR;
    }
    if (got == 0) {
        ask_broken(ask, 0, "connection closed");
        return false;
    }
    ask->stream_len += (size_t) got;
    return true;
}

static void ask_receive_stream(weir_resolver_ask *ask)
{
    while (ask->stream_len < 2 || ask->stream_len < ask_stream_expected(ask)) {
        if (!ask_receive_some(ask)) {
            return;
        }
    }
    if (!ask_takes(ask, weir_str_of(ask->stream + 2, ask->stream_len - 2))) {
        ask_broken(ask, 0, "invalid DNS response");
    }
}

/* Connected, or not: sending tells.  So few bytes go out whole, or never. */
static bool ask_send_stream(weir_resolver_ask *ask)
{
    ssize_t size = (ssize_t) (2 + ask->query_len);

    ask->query[0] = (char) (ask->query_len >> 8);
    ask->query[1] = (char) (ask->query_len & 0xff);
    if (send(ask->event.fd, ask->query, (size_t) size, MSG_NOSIGNAL) != size) {
        ask_broken(ask, errno, "send() failed");
        return false;
    }
    ask->stream = calloc(1, ASK_STREAM_MAX);
    if (ask->stream == NULL) {
        ask_broken(ask, ENOMEM, "no memory");
        return false;
    }
    return true;
}

/* ---- sending */

static void ask_ready(weir_event *event, unsigned what)
{
    weir_resolver_ask *ask = WEIR_OWNER(event, weir_resolver_ask, event);

    if (!ask->by_tcp) {
        if (what & WEIR_READABLE) {
            ask_receive_datagrams(ask);
        }
        return;
    }
    if (ask->stream == NULL && (!(what & WEIR_WRITABLE) || !ask_send_stream(ask))) {
        return;
    }
    if (what & WEIR_READABLE) {
        ask_receive_stream(ask);
    }
}

static bool ask_open(weir_resolver_ask *ask)
{
    const weir_addr *addr = &ask->servers->addrs[ask->server];
    int type = (ask->by_tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;

    ask->event.fd = socket(addr->sa.sa_family, type, 0);
    if (ask->event.fd == -1) {
        ask_broken(ask, errno, "socket() failed");
        return false;
    }
    if (connect(ask->event.fd, &addr->sa, addr->len) == -1 && errno != EINPROGRESS) {
        ask_broken(ask, errno, "connect() failed");
        return false;
    }
    if (!weir_event_add(ask->servers->loop, &ask->event)) {
        ask_next(ask);
        return false;
    }
    return true;
}

static void ask_send(weir_resolver_ask *ask)
{
    weir_builder query;
    weir_str text;
    uint16_t id;

    weir_random_bytes(&id, sizeof(id));
    weir_builder_over(&query, ask->query + 2, sizeof(ask->query) - 2);
    weir_dns_write(&query, id, &ask->name, ask->type, !ask->servers->changes_case[ask->server]);
    if (!weir_builder_close(&query, &text)) {
        ask_broken(ask, 0, "the name is too long");
        return;
    }
    ask->query_len = text.len;

    if (!ask_open(ask)) {
        return;
    }
    (void) weir_timer_set(ask->servers->loop, &ask->timer,
                          ask->by_tcp ? ASK_TRY_MAX_MS : ask_try_ms(ask));
    if (!ask->by_tcp && send(ask->event.fd, text.data, text.len, MSG_NOSIGNAL) == -1) {
        ask_broken(ask, errno, "send() failed");
    }
}

/* The server has not answered, or it is time for the next. */
static void ask_expired(weir_timer *timer)
{
    weir_resolver_ask *ask = WEIR_OWNER(timer, weir_resolver_ask, timer);

    if (weir_clock_now()->monotonic_ms >= ask->ends_ms) {
        ask_finish(ask, ETIMEDOUT);
        return;
    }
    if (ask->event.fd != -1) {
        ask_log(ask, WEIR_LOG_WARN, ETIMEDOUT, "no answer");
        ask_close(ask);
        ask->by_tcp = false;
        ask->tries++;
        ask->server = (ask->server + 1) % ask->servers->count;
    }
    ask_send(ask);
}

void weir_resolver_ask_start(weir_resolver_ask *ask, weir_resolver_servers *servers,
                             const weir_dns_name *name, weir_dns_type type)
{
    ask->servers = servers;
    ask->name = *name;
    ask->type = type;
    ask->links = ask->tries = ask->refusals = 0;
    ask->ttl_s = INT32_MAX;
    ask->ends_ms = weir_clock_now()->monotonic_ms + ASK_ENDS_MS;
    ask->server = servers->next++ % servers->count;
    ask->by_tcp = false;
    ask->is_active = true;
    ask->event = (weir_event){.fd = -1, .name = "resolver", .ready = ask_ready};
    ask->timer = (weir_timer){.name = "resolver", .expired = ask_expired};
    ask->stream = NULL;
    ask->stream_len = 0;
    servers->asking++;
    ask_send(ask);
}
