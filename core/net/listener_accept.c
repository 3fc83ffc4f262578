/* A worker's side of the listening sockets: accepting. */

#include "core/net/listener_internal.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "core/base/clock.h"

/* Without descriptors or memory: long enough for some to come free, short enough to be missed little. */
#define ACCEPT_PAUSE_MS 500
#define ACCEPT_LOG_INTERVAL_MS 1000
/*
 * The kernel wakes the worker first that has waited longest in the list, so that one would get all
 * connections of a quiet time: after so many it goes to the end of the list.
 */
#define ACCEPT_REORDER_EVERY 16

static void listener_ready(weir_event *event, unsigned what);

/* ---- in and out of the loop */

static bool listener_add_event(weir_listener *listener)
{
    bool is_shared = !listener->options.reuseport;

    return weir_event_add_level(listener->owner->loop, &listener->event, is_shared);
}

static bool listeners_add_events(weir_listeners *listeners)
{
    for (WEIR_LISTENERS_EACH(listeners, listener)) {
        if (listener->purpose->is_served && !listener->event.added
            && !listener_add_event(listener)) {
            return false;
        }
    }
    listeners->paused = false;
    return true;
}

static void listeners_remove_events(weir_listeners *listeners)
{
    for (WEIR_LISTENERS_EACH(listeners, listener)) {
        weir_event_remove(listeners->loop, &listener->event);
    }
}

static void listeners_pause(weir_listeners *listeners)
{
    if (!listeners->paused) {
        listeners->paused = true;
        listeners_remove_events(listeners);
    }
}

static void listeners_pause_expired(weir_timer *timer)
{
    weir_listeners *listeners = WEIR_OWNER(timer, weir_listeners, pause);

    /* What cannot be added now is tried again. */
    if (!listeners_add_events(listeners)) {
        weir_timer_set(listeners->loop, timer, ACCEPT_PAUSE_MS);
    }
}

static void listeners_pause_for_a_while(weir_listeners *listeners)
{
    /* Without memory for a timer they stay: each wake-up fails again, until there is some. */
    if (weir_timer_set(listeners->loop, &listeners->pause, ACCEPT_PAUSE_MS)) {
        listeners_pause(listeners);
    }
}

static void listeners_resume_run(weir_task *task)
{
    weir_listeners *listeners = WEIR_OWNER(task, weir_listeners, resume);

    if (weir_connections_may_open(listeners->table) && !listeners_add_events(listeners)) {
        listeners_pause_for_a_while(listeners);
    }
}

void weir_listeners_resume(weir_listeners *listeners)
{
    if (WEIR_UNLIKELY(listeners->paused) && !weir_timer_is_set(&listeners->pause)) {
        weir_task_post(listeners->loop, &listeners->resume);
    }
}

/* ---- accepting */

static void listener_log_failure(weir_listener *listener, weir_log_level level, int error)
{
    weir_listeners *listeners = listener->owner;
    uint64_t now_ms = weir_clock_now()->monotonic_ms;

    if (listeners->last_failure_ms == 0
        || now_ms - listeners->last_failure_ms >= ACCEPT_LOG_INTERVAL_MS) {
        listeners->last_failure_ms = now_ms;
        weir_log_line(&listener->log, level, error, "accept4() failed");
    }
}

/* Whether to go on at once: the connection that failed was not the last. */
static bool listener_accept_failed(weir_listener *listener, int error)
{
    switch (error) {
    case EAGAIN:
        return false;

    case EINTR:
    case ECONNABORTED:
        return true;

    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        listener_log_failure(listener, WEIR_LOG_CRIT, error);
        listeners_pause_for_a_while(listener->owner);
        return false;

    default:
        /* Errors of the new connection that were pending already (accept(2)). */
        listener_log_failure(listener, WEIR_LOG_ERR, error);
        return false;
    }
}

static void listener_reorder(weir_listener *listener)
{
    weir_listeners *listeners = listener->owner;

    if (listeners->workers == 1 || listener->options.reuseport
        || ++listeners->accepted % ACCEPT_REORDER_EVERY != 0) {
        return;
    }
    weir_event_remove(listeners->loop, &listener->event);
    if (!listener_add_event(listener)) {
        listeners_pause_for_a_while(listeners);
    }
}

static void listener_begin(weir_listener *listener, weir_connection *connection)
{
    if (listener->proxy_protocol
        && (listener->begins_with_proxy == NULL
            || listener->begins_with_proxy(connection, listener->subject))) {
        weir_proxy_protocol_begin(connection);
    } else {
        listener->accepted(connection, listener->subject);
    }
}

/* Whether there may be more. */
static bool listener_accept(weir_listener *listener)
{
    weir_listeners *listeners = listener->owner;
    weir_connection *connection;
    weir_addr peer = {.len = sizeof(peer.un)};
    int fd;

    if (!weir_connections_make_room(listeners->table)) {
        listeners_pause(listeners);
        return false;
    }

    fd = accept4(listener->event.fd, &peer.sa, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd == -1) {
        return listener_accept_failed(listener, errno);
    }

    connection = weir_connection_open(listeners->table, fd, false, listener->connection_pool_bytes,
                                      &listener->log);
    if (connection == NULL) {
        close(fd);
        return false;
    }

    connection->listener = listener;
    connection->peer = peer;
    connection->readable = listener->options.deferred;
    connection->tcp_nodelay = !weir_addr_is_unix(&listener->addr);
    listener_reorder(listener);
    listener_begin(listener, connection);
    return true;
}

/* One more than there is room for is tried only when it is known to wait: idle ones are closed for it. */
static bool listener_goes_on(const weir_listener *listener)
{
    const weir_listeners *listeners = listener->owner;

    /* The hook may have stopped the listeners. */
    return listener->event.added && listeners->multi_accept
           && listeners->table->open < listeners->table->limit;
}

static void listener_ready(weir_event *event, unsigned what)
{
    weir_listener *listener = WEIR_OWNER(event, weir_listener, event);

    (void) what;
    while (listener_accept(listener) && listener_goes_on(listener)) {
    }
}

/* ---- from another listener */

#define PASSES_MAX 10

weir_listener *weir_listeners_for(const weir_listeners *listeners, const weir_addr *addr)
{
    weir_listener *wildcard = NULL;

    for (WEIR_LISTENERS_EACH(listeners, listener)) {
        if (listener->accepted == NULL) {
            continue; /* who wants it accepts from it: weir_listener_apart */
        }
        if (weir_addr_eq(&listener->addr, addr)) {
            return listener;
        }
        if (weir_addr_is_wildcard(&listener->addr)
            && listener->addr.sa.sa_family == addr->sa.sa_family
            && weir_addr_port(&listener->addr) == weir_addr_port(addr)) {
            wildcard = listener;
        }
    }
    return wildcard;
}

void weir_listener_take(weir_listener *listener, const weir_addr *addr, weir_connection *connection)
{
    if (++connection->passes > PASSES_MAX) {
        weir_log_line(&connection->log, WEIR_LOG_ERR, 0,
                      "connection was passed from listener to listener %d times", PASSES_MAX);
        weir_connection_close(connection);
        return;
    }
    /* As if it had come in there, as in nginx: $server_addr, $server_port and redirects say so. */
    connection->local = addr;
    weir_connection_clear_timeout(connection);
    weir_connection_enter(connection, &weir_connection_new);
    connection->owner = NULL;
    connection->listener = listener;
    connection->log = listener->log;
    connection->log.connection = connection->number;
    connection->log.describe = weir_connection_describe;
    connection->log.subject = connection;
    listener->accepted(connection, listener->subject);
}

/* ---- beginning and ending */

bool weir_listeners_start(weir_listeners *listeners, weir_loop *loop, size_t index,
                          bool multi_accept)
{
    listeners->table = weir_connection_table_of(loop);
    if (listeners->table == NULL) {
        return false;
    }

    listeners->loop = loop;
    listeners->multi_accept = multi_accept;
    listeners->pause.name = "accept again";
    listeners->pause.expired = listeners_pause_expired;
    listeners->resume.name = "accept again";
    listeners->resume.run = listeners_resume_run;
    listeners->table->listeners = listeners;

    for (WEIR_LISTENERS_EACH(listeners, listener)) {
        listener->event.fd = listener->fds[index % listener->fd_count];
        listener->event.ready = listener_ready;
    }
    if (!listeners_add_events(listeners)) {
        weir_listeners_stop(listeners, loop);
        return false;
    }
    return true;
}

/* If the number of workers falls, the socket is closed, and what waits in it would be lost. */
static void listener_drain(weir_listener *listener)
{
    if (listener->options.reuseport && listener->event.added) {
        for (int left = listener->options.backlog; left > 0 && listener_accept(listener); left--) {
        }
    }
}

void weir_listeners_stop(weir_listeners *listeners, weir_loop *loop)
{
    if (listeners->loop != loop) {
        return;
    }

    for (WEIR_LISTENERS_EACH(listeners, listener)) {
        listener_drain(listener);
    }
    listeners_remove_events(listeners);
    weir_timer_clear(loop, &listeners->pause);
    weir_task_cancel(&listeners->resume);
    listeners->paused = false;
    if (listeners->table->listeners == listeners) {
        listeners->table->listeners = NULL;
    }
    listeners->loop = NULL;
}
