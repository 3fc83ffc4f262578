/* The plain transport: the socket itself. */

#include "core/net/connection_internal.h"

#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

/* As much as one sendmsg() takes; more than fits into a socket's buffer at once. */
#define PLAIN_VECTORS 64

#define PLAIN_GATHERED 1024

/* ---- the socket */

weir_result weir_connection_fail(weir_connection *connection, int error, const char *call)
{
    bool by_peer = error == ECONNRESET || error == EPIPE || error == ENOTCONN || error == ETIMEDOUT
                   || error == ECONNABORTED || error == EHOSTUNREACH || error == ENETUNREACH;

    weir_log_level level = WEIR_LOG_ALERT;

    /* A client may go away at any time; an origin should not. */
    if (by_peer) {
        level = connection->listener != NULL ? WEIR_LOG_INFO : WEIR_LOG_ERR;
    }

    /* Of one that failed before, as a handshake whose alert cannot be sent, the reason is told. */
    if (!connection->failed) {
        weir_log_line(&connection->log, level, error, "%s() failed", call);
    }
    connection->failed = true;
    return WEIR_FAIL;
}

weir_result weir_connection_wait_writable(weir_connection *connection)
{
    connection->writable = false;
    if (!weir_event_hear_writable(connection->loop, &connection->event, true)) {
        connection->failed = true;
        return WEIR_FAIL;
    }
    return WEIR_WAIT;
}

weir_result weir_socket_recv(weir_connection *connection, char *buffer, size_t size, size_t *len)
{
    ssize_t got;

    if (!connection->readable) {
        return WEIR_WAIT;
    }

    do {
        got = recv(connection->event.fd, buffer, size, 0);
    } while (got == -1 && errno == EINTR);

    if (got == -1) {
        if (errno == EAGAIN) {
            connection->readable = false;
            return WEIR_WAIT;
        }
        return weir_connection_fail(connection, errno, "recv");
    }

    /*
     * Less than asked: the socket is empty, another recv() would only say EAGAIN.  But if the peer has sent FIN
     * already, no event will tell of it again; the next recv() must.
     */
    if ((size_t) got < size && !connection->hangup) {
        connection->readable = false;
    }
    if (got == 0) {
        /* FIN came after the event that brought us here; the end can be read again and again. */
        connection->readable = connection->hangup = true;
    }

    *len = (size_t) got;
    return WEIR_OK;
}

/* One message.  Few bytes in several places are copied into one: dearer is what sendmsg() costs beyond send(). */
static ssize_t plain_send(int fd, const struct iovec *vectors, int count, size_t bytes, int flags)
{
    struct msghdr message = {.msg_iov = (struct iovec *) vectors, .msg_iovlen = (size_t) count};
    char gathered[PLAIN_GATHERED];
    char *end = gathered;

    if (count == 1) {
        return send(fd, vectors[0].iov_base, vectors[0].iov_len, flags);
    }
    if (bytes > sizeof(gathered)) {
        return sendmsg(fd, &message, flags);
    }
    for (int i = 0; i < count; i++) {
        end = mempcpy(end, vectors[i].iov_base, vectors[i].iov_len);
    }
    return send(fd, gathered, bytes, flags);
}

weir_result weir_socket_send(weir_connection *connection, const struct iovec *vectors, int count,
                             size_t bytes, bool more, size_t *len)
{
    int flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0);
    ssize_t sent;

    *len = 0;
    if (!connection->writable) {
        return WEIR_WAIT;
    }

    do {
        sent = plain_send(connection->event.fd, vectors, count, bytes, flags);
    } while (sent == -1 && errno == EINTR);

    if (sent == -1) {
        if (errno == EAGAIN) {
            return weir_connection_wait_writable(connection);
        }
        return weir_connection_fail(connection, errno, "send");
    }

    *len = (size_t) sent;
    if ((size_t) sent < bytes) {
        return weir_connection_wait_writable(connection);
    }
    return WEIR_OK;
}

weir_result weir_socket_shut(weir_connection *connection)
{
    /* A peer that has reset it knows. */
    if (shutdown(connection->event.fd, SHUT_WR) == -1 && errno != ENOTCONN) {
        return weir_connection_fail(connection, errno, "shutdown");
    }
    return WEIR_OK;
}

/* ---- the transport */

static size_t plain_take_early(weir_connection *connection, char *buffer, size_t size)
{
    size_t len = connection->early.len < size ? connection->early.len : size;

    if (len != 0) {
        memcpy(buffer, connection->early.data, len);
        connection->early = weir_str_from(connection->early, len);
        connection->received += len;
    }
    return len;
}

static weir_result plain_read(weir_connection *connection, char *buffer, size_t size, size_t *len)
{
    weir_result result;

    if (WEIR_UNLIKELY(connection->early.len != 0)) {
        *len = plain_take_early(connection, buffer, size);
        return WEIR_OK;
    }

    result = weir_socket_recv(connection, buffer, size, len);
    if (result == WEIR_OK) {
        connection->received += *len;
    }
    return result;
}

/* The vectors' bytes are cut to `limit`; at least one is left. */
static int plain_cut(struct iovec *vectors, int count, size_t *bytes, uint64_t limit)
{
    while (*bytes > limit) {
        struct iovec *last = &vectors[count - 1];
        size_t over = *bytes - (size_t) limit;

        if (over < last->iov_len) {
            last->iov_len -= over;
            *bytes -= over;
        } else {
            *bytes -= last->iov_len;
            count--;
        }
    }
    return count;
}

static void plain_sent(weir_connection *connection, weir_chain *chain, size_t bytes)
{
    connection->sent += bytes;
    weir_chain_consume(chain, bytes);
}

static weir_result plain_write_memory(weir_connection *connection, weir_chain *chain,
                                      uint64_t limit, size_t *len)
{
    struct iovec vectors[PLAIN_VECTORS];
    size_t bytes;
    int count = weir_chain_vectors(chain, vectors, PLAIN_VECTORS, &bytes);
    weir_result result;
    bool more;

    count = plain_cut(vectors, count, &bytes, limit);
    /* What is the last goes out with the FIN that follows it. */
    more = bytes < chain->len ? bytes < limit : connection->write_is_last;
    result = weir_socket_send(connection, vectors, count, bytes, more, len);
    plain_sent(connection, chain, *len);
    return result;
}

/* Less than asked says nothing here (a page that was not in memory, an end of file): only EAGAIN does. */
static weir_result plain_write_file(weir_connection *connection, weir_chain *chain, uint64_t limit,
                                    size_t *len)
{
    const weir_span *span = chain->first;
    off_t offset = span->offset;
    size_t size = span->len < limit ? span->len : (size_t) limit;
    ssize_t sent;

    *len = 0;
    if (!connection->writable) {
        return WEIR_WAIT;
    }

    do {
        sent = sendfile(connection->event.fd, span->fd, &offset, size);
    } while (sent == -1 && errno == EINTR);

    if (sent == -1) {
        if (errno == EAGAIN) {
            return weir_connection_wait_writable(connection);
        }
        return weir_connection_fail(connection, errno, "sendfile");
    }
    if (sent == 0) {
        connection->failed = true;
        weir_log_line(&connection->log, WEIR_LOG_ALERT, 0,
                      "file was truncated while it was sent: %zu bytes are missing at %lld",
                      span->len, (long long) span->offset);
        return WEIR_FAIL;
    }

    *len = (size_t) sent;
    plain_sent(connection, chain, *len);
    return WEIR_OK;
}

static weir_result plain_write(weir_connection *connection, weir_chain *chain, uint64_t limit)
{
    while (!weir_chain_is_empty(chain) && limit != 0) {
        size_t len;
        weir_result result = chain->first->kind == WEIR_SPAN_FILE
                                 ? plain_write_file(connection, chain, limit, &len)
                                 : plain_write_memory(connection, chain, limit, &len);

        limit -= len;
        if (result != WEIR_OK) {
            return result;
        }
    }
    return WEIR_OK;
}

static void plain_close(weir_connection *connection)
{
    (void) connection;
}

static bool plain_holds_unread(const weir_connection *connection)
{
    return connection->early.len != 0;
}

const weir_transport weir_plain_transport = {
    .read = plain_read,
    .write = plain_write,
    .shut = weir_socket_shut,
    .close = plain_close,
    .holds_unread = plain_holds_unread,
};
