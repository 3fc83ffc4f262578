/* One connection: its state, its time-out, its addresses, and connecting to origins. */

#include "core/net/connection_internal.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- state */

void weir_connection_enter(weir_connection *connection, const weir_connection_state *state)
{
    weir_log_debug(&connection->log, "connection: %s -> %s", connection->state->name, state->name);

    connection->state = state;
    connection->event.name = connection->timer.name = connection->wake.name = state->name;

    if ((state->on_readable != NULL
         && (connection->readable || weir_connection_holds_unread(connection)))
        || (state->on_hangup != NULL && connection->hangup)) {
        weir_connection_read_later(connection);
    }
}

/* ---- bytes that are given back */

bool weir_connection_give_back(weir_connection *connection, weir_str bytes)
{
    weir_str *place =
        connection->transport == &weir_plain_transport ? &connection->early : &connection->returned;
    weir_builder all;

    weir_builder_open(&all, connection->pool, SIZE_MAX);
    weir_builder_add(&all, bytes);
    weir_builder_add(&all, *place);
    if (!weir_builder_close(&all, place)) {
        weir_log_line(&connection->log, WEIR_LOG_CRIT, 0, "no memory to give bytes back");
        return false;
    }
    connection->received -= bytes.len;
    return true;
}

weir_result weir_connection_read_returned(weir_connection *connection, char *buffer, size_t size,
                                          size_t *len)
{
    weir_str taken = weir_str_slice(connection->returned, 0, size);

    memcpy(buffer, taken.data, taken.len);
    connection->returned = weir_str_from(connection->returned, taken.len);
    connection->received += taken.len;
    *len = taken.len;
    return WEIR_OK;
}

/* ---- time */

void weir_connection_set_timeout(weir_connection *connection, uint64_t from_now_ms)
{
    /* Without memory for a timer the connection goes on without one: nothing waits for it for ever. */
    if (!weir_timer_set(connection->loop, &connection->timer, from_now_ms)) {
        connection->failed = true;
        shutdown(connection->event.fd, SHUT_RDWR);
    }
}

void weir_connection_clear_timeout(weir_connection *connection)
{
    weir_timer_clear(connection->loop, &connection->timer);
}

void weir_connection_reset(weir_connection *connection)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    if (setsockopt(connection->event.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) == -1) {
        weir_log_line(&connection->log, WEIR_LOG_ALERT, errno, "setsockopt(SO_LINGER) failed");
    }
    weir_connection_close(connection);
}

/* ---- addresses and options */

const weir_addr *weir_connection_local(weir_connection *connection)
{
    static const weir_addr unknown;
    weir_addr *local;

    if (connection->local != NULL) {
        return connection->local;
    }

    /* A socket that listens on one address gives that to all of its connections. */
    if (connection->listener != NULL && !weir_addr_is_wildcard(&connection->listener->addr)) {
        connection->local = &connection->listener->addr;
        return connection->local;
    }

    local = WEIR_NEW(connection->pool, weir_addr);
    if (local == NULL) {
        return &unknown;
    }

    local->len = sizeof(local->un);
    if (getsockname(connection->event.fd, &local->sa, &local->len) == -1) {
        weir_log_line(&connection->log, WEIR_LOG_CRIT, errno, "getsockname() failed");
        local->len = 0;
    }
    connection->local = local;
    return local;
}

bool weir_connection_set_peer(weir_connection *connection, const weir_addr *peer)
{
    weir_addr *before;

    if (connection->socket_peer == NULL) {
        before = WEIR_NEW(connection->pool, weir_addr);
        if (before == NULL) {
            return false;
        }
        *before = connection->peer;
        connection->socket_peer = before;
    }
    connection->peer = *peer;
    return true;
}

void weir_connection_set_nodelay(weir_connection *connection, bool is_on)
{
    const int value = is_on;

    if (connection->tcp_nodelay == is_on || weir_addr_is_unix(&connection->peer)) {
        return;
    }
    connection->tcp_nodelay = is_on;
    if (setsockopt(connection->event.fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value)) == -1) {
        weir_log_line(&connection->log, WEIR_LOG_ALERT, errno, "setsockopt(TCP_NODELAY) failed");
    }
}

/* ---- toward origins */

/* An option that helps, but is not needed. */
static void connect_want(int fd, int level, int option, int value, const char *name,
                         const weir_log *log)
{
    if (setsockopt(fd, level, option, &value, sizeof(value)) == -1) {
        weir_log_line(log, WEIR_LOG_ALERT, errno, "setsockopt(%s, %d) failed", name, value);
    }
}

/* 0, or the errno of what is needed and could not be had. */
static int connect_prepare(int fd, bool is_unix, const weir_connect_options *options,
                           const weir_log *log)
{
    const int on = 1;

    if (options->socket_keepalive) {
        connect_want(fd, SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE", log);
    }
    /* On a socket that connects it keeps back the ACK for what is sent next (200 ms at most), and has no later effect. */
    if (options->speaks_first && !is_unix) {
        connect_want(fd, SOL_TCP, TCP_DEFER_ACCEPT, 1, "TCP_DEFER_ACCEPT", log);
    }
    if (options->rcvbuf != 0) {
        connect_want(fd, SOL_SOCKET, SO_RCVBUF, options->rcvbuf, "SO_RCVBUF", log);
    }
    if (options->sndbuf != 0) {
        connect_want(fd, SOL_SOCKET, SO_SNDBUF, options->sndbuf, "SO_SNDBUF", log);
    }

    if (options->bind_addr.len == 0) {
        return 0;
    }
    if (options->transparent && setsockopt(fd, SOL_IP, IP_TRANSPARENT, &on, sizeof(on)) == -1) {
        return errno;
    }
    if (weir_addr_port(&options->bind_addr) == 0) {
        /* The port is chosen at connect(), so that there may be more connections than ports. */
        connect_want(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1, "IP_BIND_ADDRESS_NO_PORT", log);
    }
    return bind(fd, &options->bind_addr.sa, options->bind_addr.len) == -1 ? errno : 0;
}

/* 0, EINPROGRESS, or what went wrong. */
static int connect_begin(int fd, const weir_addr *addr, const weir_connect_options *options,
                         const weir_log *log)
{
    int error = connect_prepare(fd, weir_addr_is_unix(addr), options, log);

    if (error != 0) {
        return error;
    }
    return connect(fd, &addr->sa, addr->len) == -1 ? errno : 0;
}

weir_connection *weir_connection_adopt(weir_loop *loop, int fd, size_t pool_bytes,
                                       const weir_log *log)
{
    weir_connection_table *table = weir_connection_table_of(loop);

    return table == NULL ? NULL : weir_connection_open(table, fd, false, pool_bytes, log);
}

weir_connection *weir_connect(weir_loop *loop, const weir_addr *addr,
                              const weir_connect_options *options, size_t pool_bytes,
                              const weir_connection_state *state, void *owner, int *error)
{
    weir_connection_table *table = weir_connection_table_of(loop);
    weir_connection *connection;
    int fd, begun;

    if (table == NULL || !weir_connections_make_room(table)) {
        *error = table == NULL ? ENOMEM : EMFILE;
        return NULL;
    }

    fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        *error = errno;
        return NULL;
    }

    /* Added to the loop only now: before, the socket would be reported as hung up. */
    begun = connect_begin(fd, addr, options, weir_loop_log(loop));
    if (begun != 0 && begun != EINPROGRESS) {
        close(fd);
        *error = begun;
        return NULL;
    }

    connection = weir_connection_open(table, fd, begun != 0, pool_bytes, weir_loop_log(loop));
    if (connection == NULL) {
        close(fd);
        *error = ENOMEM;
        return NULL;
    }

    connection->peer = *addr;
    connection->owner = owner;
    weir_connection_enter(connection, state);
    return connection;
}

weir_log_level weir_connect_error_level(int error)
{
    bool by_peer = error == ECONNREFUSED || error == ECONNRESET || error == ENETDOWN
                   || error == ENETUNREACH || error == EHOSTDOWN || error == EHOSTUNREACH
                   || error == ETIMEDOUT;

    return by_peer ? WEIR_LOG_ERR : WEIR_LOG_CRIT;
}

int weir_connection_finish_connect(weir_connection *connection)
{
    int error = 0;
    socklen_t len = sizeof(error);

    if (!connection->writable) {
        return EINPROGRESS;
    }

    /* A failed connect() is reported as a hang-up; else the question can be spared. */
    if (connection->hangup
        && getsockopt(connection->event.fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1) {
        error = errno;
    }
    if (error != 0) {
        connection->failed = true;
    }
    return error;
}

bool weir_connection_is_quiet(weir_connection *connection)
{
    char byte;
    size_t len;

    if (connection->hangup || connection->failed) {
        return false;
    }

    /* Looked at before it is read: one that was reset meanwhile is no error to be logged. */
    if (!weir_connection_holds_unread(connection)
        && recv(connection->event.fd, &byte, 1, MSG_PEEK) == -1) {
        connection->readable = false;
        return errno == EAGAIN;
    }
    connection->readable = true;
    return connection->tls != NULL && weir_connection_read(connection, &byte, 1, &len) == WEIR_WAIT;
}
