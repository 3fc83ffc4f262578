/*
 * The transport: the five verbs over TLS.
 *
 * BoringSSL reads and writes through one BIO a worker, over two buffers a worker.  One recv() fills the
 * first with many records; what the owner of the connection does not want yet stays there until another connection
 * needs the buffer, and only then moves to memory of its own.  Records gather in the second, for one send().
 */

#include "core/tls/tls_internal.h"

#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_BYTES (64u << 10)
#define PLAIN_BYTES (64u << 10) /* what one SSL_write() is given at most */
/* Room for the records of PLAIN_BYTES, however small they are; see write_room(). */
#define OUT_BYTES (192u << 10)
#define FLIGHT_MAX (128u << 10)
#define FLIGHT_MIN (16u << 10)
#define SPAN_IS_LARGE (8u << 10)

static void out_flush(weir_task *task);

/*
 * The worker's; a process has one thread that does TLS.  BoringSSL's callbacks are given no subject but the
 * BIO, which all connections share.
 */
static struct {
    BIO *bio;
    weir_tls *current;   /* whose SSL is being called */
    weir_result failure; /* FAIL: the socket failed in this call, logged */

    weir_tls *in_owner;
    size_t in_at, in_len;
    weir_tls *out_owner;
    size_t out_len;

    weir_task flush;

    char in[READ_BYTES];
    char out[OUT_BYTES];
    char plain[PLAIN_BYTES];
} io = {.flush = {.name = "TLS flush", .run = out_flush}};

/* ---- bytes kept with a connection */

static bool bytes_keep(weir_tls_bytes *bytes, const char *data, size_t len)
{
    size_t left = bytes->len - bytes->at;
    char *memory = malloc(left + len);

    if (memory == NULL) {
        return false;
    }
    if (left != 0) {
        memcpy(memory, bytes->data + bytes->at, left);
    }
    memcpy(memory + left, data, len);
    free(bytes->data);
    *bytes = (weir_tls_bytes){.data = memory, .len = left + len};
    return true;
}

static void bytes_take(weir_tls_bytes *bytes, size_t len)
{
    bytes->at += len;
    if (bytes->at == bytes->len) {
        free(bytes->data);
        *bytes = (weir_tls_bytes){0};
    }
}

static bool bytes_are_empty(const weir_tls_bytes *bytes)
{
    return bytes->len == 0;
}

/* ---- ciphertext from the socket */

static size_t in_left(const weir_tls *tls)
{
    return io.in_owner == tls ? io.in_len - io.in_at : 0;
}

/* Makes the worker's buffer free for `tls`. */
static bool in_acquire(weir_tls *tls)
{
    weir_tls *owner = io.in_owner;

    if (owner == tls) {
        return true;
    }
    if (owner != NULL && in_left(owner) != 0
        && !bytes_keep(&owner->unread, io.in + io.in_at, in_left(owner))) {
        weir_log_line(&tls->connection->log, WEIR_LOG_CRIT, ENOMEM, "TLS: no memory");
        return false;
    }
    io.in_owner = tls;
    io.in_at = io.in_len = 0;
    return true;
}

/* OK with nothing at the end of data. */
static weir_result in_fill(weir_tls *tls)
{
    size_t len;
    weir_result result;

    if (!in_acquire(tls)) {
        return WEIR_FAIL;
    }
    result = weir_socket_recv(tls->connection, io.in, sizeof(io.in), &len);
    if (result != WEIR_OK) {
        return result;
    }
    io.in_at = 0;
    io.in_len = len;
    tls->ended = len == 0;
    return WEIR_OK;
}

static size_t in_take(const char *data, size_t left, char *buffer, size_t size)
{
    size_t len = left < size ? left : size;

    memcpy(buffer, data, len);
    return len;
}

/* What is kept comes first: first the listener's hook read, then spilled bytes, then the buffer. */
static weir_result in_read(weir_tls *tls, char *buffer, size_t size, size_t *len)
{
    weir_str *early = &tls->connection->early;

    if (WEIR_UNLIKELY(early->len != 0)) {
        *len = in_take(early->data, early->len, buffer, size);
        *early = weir_str_from(*early, *len);
        return WEIR_OK;
    }

    if (WEIR_UNLIKELY(!bytes_are_empty(&tls->unread))) {
        *len = in_take(tls->unread.data + tls->unread.at, tls->unread.len - tls->unread.at, buffer,
                       size);
        bytes_take(&tls->unread, *len);
        return WEIR_OK;
    }

    if (in_left(tls) == 0) {
        weir_result result = in_fill(tls);

        if (result != WEIR_OK) {
            return result;
        }
    }
    *len = in_take(io.in + io.in_at, in_left(tls), buffer, size);
    io.in_at += *len;
    return WEIR_OK;
}

weir_result weir_tls_peek(weir_tls *tls, weir_str *bytes)
{
    weir_result result;

    if (tls->connection->early.len != 0) {
        *bytes = tls->connection->early;
        return WEIR_OK;
    }
    result = in_fill(tls);
    if (result == WEIR_OK) {
        *bytes = weir_str_of(io.in, io.in_len);
    }
    return result;
}

/* ---- ciphertext for the socket */

static weir_result send_bytes(weir_tls *tls, const char *data, size_t len, size_t *sent)
{
    struct iovec vector = {.iov_base = (char *) (uintptr_t) data, .iov_len = len};
    /* Behind the leave that was taken comes the FIN. */
    bool more = tls->shut && tls->connection->write_is_last;

    return weir_socket_send(tls->connection, &vector, 1, len, more, sent);
}

/* What an earlier send() left over. */
static weir_result out_resume(weir_tls *tls)
{
    size_t sent;
    weir_result result;

    if (WEIR_LIKELY(bytes_are_empty(&tls->unsent))) {
        return WEIR_OK;
    }
    result =
        send_bytes(tls, tls->unsent.data + tls->unsent.at, tls->unsent.len - tls->unsent.at, &sent);
    if (sent != 0) {
        bytes_take(&tls->unsent, sent);
    }
    return result;
}

/*
 * The next flight of a slow peer is smaller, as what it does not take must be kept; that of a quick one larger.
 */
static void flight_adapt(weir_tls *tls, bool all_went)
{
    if (all_went) {
        tls->flight = tls->flight * 2 > FLIGHT_MAX ? FLIGHT_MAX : tls->flight * 2;
    } else {
        tls->flight = tls->flight / 2 < FLIGHT_MIN ? FLIGHT_MIN : tls->flight / 2;
    }
}

/* Sends what is still in the worker's buffer for this connection. */
static weir_result tls_flush(weir_tls *tls)
{
    weir_result result = out_resume(tls);
    size_t len, sent = 0;

    if (io.out_owner != tls || io.out_len == 0) {
        return result;
    }

    len = io.out_len;
    io.out_len = 0;
    if (result == WEIR_OK) {
        result = send_bytes(tls, io.out, len, &sent);
        flight_adapt(tls, result == WEIR_OK);
    }
    if (result == WEIR_WAIT && !bytes_keep(&tls->unsent, io.out + sent, len - sent)) {
        weir_log_line(&tls->connection->log, WEIR_LOG_CRIT, ENOMEM, "TLS: no memory");
        tls->connection->failed = true;
        return WEIR_FAIL;
    }
    return result;
}

static void out_flush(weir_task *task)
{
    (void) task;

    if (io.out_owner != NULL && tls_flush(io.out_owner) == WEIR_FAIL) {
        weir_log_debug(&io.out_owner->connection->log, "TLS: the end of a flight was lost");
    }
}

/* Makes the worker's buffer free for `tls`; a failure of the one before is its own, and shows at its next call. */
static void out_acquire(weir_tls *tls)
{
    if (io.out_owner == tls) {
        return;
    }
    out_flush(&io.flush);
    io.out_owner = tls;
    io.out_len = 0;
}

/* ---- the BIO */

static int bio_read(BIO *bio, char *buffer, int size)
{
    size_t len;

    BIO_clear_retry_flags(bio);
    switch (in_read(io.current, buffer, (size_t) size, &len)) {
    case WEIR_OK:
        return (int) len;
    case WEIR_WAIT:
        BIO_set_retry_read(bio);
        return -1;
    case WEIR_FAIL:
        break;
    }
    io.failure = WEIR_FAIL;
    return -1;
}

static int bio_write(BIO *bio, const char *data, int len)
{
    weir_tls *tls = io.current;
    size_t size = (size_t) len;

    BIO_clear_retry_flags(bio);
    out_acquire(tls);
    /* Writes see to it that there is room; a handshake with a long chain may need this. */
    if (size > sizeof(io.out) - io.out_len && tls_flush(tls) == WEIR_FAIL) {
        io.failure = WEIR_FAIL;
        return -1;
    }
    if (size > sizeof(io.out)) {
        return -1;
    }
    memcpy(io.out + io.out_len, data, size);
    io.out_len += size;
    return len;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void) bio;
    (void) number;
    (void) pointer;
    return command == BIO_CTRL_FLUSH;
}

static bool bio_make(void)
{
    BIO_METHOD *method;

    if (io.bio != NULL) {
        return true;
    }
    method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "weir");
    if (method == NULL || !BIO_meth_set_read(method, bio_read)
        || !BIO_meth_set_write(method, bio_write) || !BIO_meth_set_ctrl(method, bio_ctrl)) {
        return false;
    }
    io.bio = BIO_new(method);
    if (io.bio == NULL) {
        BIO_meth_free(method);
        return false;
    }
    BIO_set_init(io.bio, 1);
    return true;
}

/* ---- errors */

void weir_tls_error_text(char *text, size_t size)
{
    uint32_t error = ERR_peek_last_error();

    if (error == 0) {
        snprintf(text, size, "no reason given");
    } else {
        ERR_error_string_n(error, text, size);
    }
    ERR_clear_error();
}

/*
 * A peer may send what it likes: that is no news.  What is not about the protocol is ours, except that a
 * peer's broken point or signature is noticed below it.
 */
static weir_log_level error_level(const weir_tls *tls)
{
    uint32_t error = ERR_peek_last_error();

    if (ERR_GET_LIB(error) == ERR_LIB_SYS || ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE
        || ERR_GET_REASON(error) == ERR_R_INTERNAL_ERROR) {
        return WEIR_LOG_CRIT;
    }
    return tls->client != NULL ? WEIR_LOG_ERR : WEIR_LOG_INFO;
}

/* Whoever describes the connection says what it was doing. */
static void log_error(const weir_tls *tls, const char *call, weir_log_level level)
{
    char text[256];

    weir_tls_error_text(text, sizeof(text));
    weir_log_line(&tls->connection->log, level, 0, "%s() failed (SSL: %s)", call, text);
}

static weir_result fail(weir_tls *tls, const char *call)
{
    weir_tls_refusal_note(tls);
    if (io.failure != WEIR_FAIL && !tls->told) {
        log_error(tls, call, error_level(tls));
    }
    ERR_clear_error();
    tls->connection->failed = true;
    return WEIR_FAIL;
}

/* ---- beginning */

const weir_tls_profile *weir_tls_profile_of(const weir_tls *tls)
{
    return tls->client != NULL ? tls->client->profile : tls->server->profile;
}

weir_tls *weir_tls_begin(weir_connection *connection)
{
    weir_tls *tls = WEIR_NEW(connection->pool, weir_tls);

    if (tls == NULL) {
        weir_log_line(&connection->log, WEIR_LOG_CRIT, ENOMEM, "TLS: no memory");
        return NULL;
    }
    tls->connection = connection;
    tls->flight = FLIGHT_MAX;
    connection->tls = tls;
    connection->transport = &weir_tls_transport;
    return tls;
}

bool weir_tls_attach(weir_tls *tls, SSL_CTX *ctx)
{
    ERR_clear_error();
    tls->ssl = bio_make() ? SSL_new(ctx) : NULL;
    if (tls->ssl == NULL) {
        log_error(tls, "SSL_new", WEIR_LOG_CRIT);
        tls->connection->failed = true;
        return false;
    }

    BIO_up_ref(io.bio);
    SSL_set_bio(tls->ssl, io.bio, io.bio);
    SSL_set_app_data(tls->ssl, tls);
    SSL_set_mode(tls->ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* What only a handshake needs goes when it is over. */
    SSL_set_shed_handshake_config(tls->ssl, 1);
    return true;
}

/* Before each call into BoringSSL that may read or write; it clears its queue of errors itself. */
static void io_begin(weir_tls *tls)
{
    io.current = tls;
    io.failure = WEIR_OK;
}

/* ---- the handshake */

weir_tls_step weir_tls_handshake(weir_tls *tls)
{
    int result, error;
    weir_result sent;

    io_begin(tls);
    result = SSL_do_handshake(tls->ssl);
    error = SSL_get_error(tls->ssl, result);

    if (result == 1) {
        /* Tickets, or our Finished, go with the first bytes that the owner writes in this turn. */
        if (io.out_owner == tls && io.out_len != 0) {
            weir_task_post(tls->connection->loop, &io.flush);
        }
        return WEIR_TLS_STEP_DONE;
    }

    /* An alert to tell why, too. */
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        sent = tls_flush(tls);
        return sent == WEIR_FAIL ? WEIR_TLS_STEP_FAILED : WEIR_TLS_STEP_WAIT;
    }

    if (error == SSL_ERROR_SYSCALL && io.failure != WEIR_FAIL) {
        weir_log_line(&tls->connection->log, tls->client != NULL ? WEIR_LOG_ERR : WEIR_LOG_INFO, 0,
                      "peer closed connection in SSL handshake");
        tls->connection->failed = true;
        return WEIR_TLS_STEP_FAILED;
    }

    (void) fail(tls, "SSL_do_handshake");
    if (io.failure != WEIR_FAIL && tls_flush(tls) == WEIR_FAIL) {
        weir_log_debug(&tls->connection->log, "TLS: the alert was lost");
    }
    return WEIR_TLS_STEP_FAILED;
}

/* ---- reading */

static weir_result read_end(weir_tls *tls, size_t *len)
{
    if (!tls->truncated && !(SSL_get_shutdown(tls->ssl) & SSL_RECEIVED_SHUTDOWN)) {
        tls->truncated = true;
        weir_log_debug(&tls->connection->log, "TLS: the peer closed without close_notify");
    }
    *len = 0;
    return WEIR_OK;
}

/* Whether another SSL_read() could give anything: not if all that the socket had was used up. */
static bool read_may_go_on(const weir_tls *tls)
{
    const weir_connection *connection = tls->connection;

    return connection->readable || in_left(tls) != 0 || !bytes_are_empty(&tls->unread)
           || connection->early.len != 0 || SSL_pending(tls->ssl) != 0;
}

static weir_result tls_read(weir_connection *connection, char *buffer, size_t size, size_t *len)
{
    weir_tls *tls = connection->tls;
    size_t total = 0;
    int got = 1, error;

    io_begin(tls);
    while (total < size) {
        size_t room = size - total;

        got = SSL_read(tls->ssl, buffer + total, room > INT_MAX ? INT_MAX : (int) room);
        if (got <= 0) {
            break;
        }
        total += (size_t) got;
        if (!read_may_go_on(tls)) {
            break;
        }
    }

    /* Early data ends with the handshake; keys are updated. */
    if (io.out_owner == tls && io.out_len != 0 && tls_flush(tls) == WEIR_FAIL) {
        return WEIR_FAIL;
    }

    error = SSL_get_error(tls->ssl, got);
    if (total != 0) {
        /* An end, or an error, comes again with the next call; the socket has nothing more that would cause it. */
        tls->end_waits = got <= 0 && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE;
        connection->received += total;
        *len = total;
        return WEIR_OK;
    }

    tls->end_waits = false;
    switch (error) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return WEIR_WAIT;
    case SSL_ERROR_ZERO_RETURN:
        return read_end(tls, len);
    case SSL_ERROR_SYSCALL:
        if (io.failure != WEIR_FAIL && tls->ended) {
            return read_end(tls, len);
        }
        break;
    default:
        break;
    }
    return fail(tls, "SSL_read");
}

static bool tls_holds_unread(const weir_connection *connection)
{
    const weir_tls *tls = connection->tls;

    /* Part of a record that BoringSSL holds is not worth a wake-up: more of it must come first. */
    return (tls->ssl != NULL && SSL_pending(tls->ssl) != 0) || in_left(tls) != 0
           || !bytes_are_empty(&tls->unread) || connection->early.len != 0 || tls->end_waits;
}

/* ---- writing */

/* The next bytes to encrypt: as they lie there if they fill records, else gathered in the worker's buffer. */
static weir_result write_gather(weir_connection *connection, const weir_chain *chain,
                                uint64_t limit, weir_str *bytes)
{
    const weir_span *span = chain->first;
    size_t most = limit < PLAIN_BYTES ? (size_t) limit : PLAIN_BYTES;
    size_t len = 0;

    if (span->kind == WEIR_SPAN_FILE) {
        size_t wanted = span->len < most ? span->len : most;
        ssize_t got;

        do {
            got = pread(span->fd, io.plain, wanted, span->offset);
        } while (got == -1 && errno == EINTR);
        if (got <= 0) {
            weir_log_line(&connection->log, WEIR_LOG_ALERT, got == -1 ? errno : 0, "%s",
                          got == -1 ? "pread() failed" : "file was truncated while it was sent");
            connection->failed = true;
            return WEIR_FAIL;
        }
        *bytes = weir_str_of(io.plain, (size_t) got);
        return WEIR_OK;
    }

    if (span->next == NULL || span->len >= SPAN_IS_LARGE || span->len >= most) {
        *bytes = weir_str_of(span->data, span->len < most ? span->len : most);
        return WEIR_OK;
    }

    /* A head and a small body share a record; a large body is not worth copying for that. */
    if (most > WEIR_BLOCK_BYTES) {
        most = WEIR_BLOCK_BYTES;
    }
    for (; span != NULL && span->kind != WEIR_SPAN_FILE && len < most; span = span->next) {
        size_t part = span->len < most - len ? span->len : most - len;

        if (len != 0 && part != span->len && span->len >= SPAN_IS_LARGE) {
            break;
        }
        memcpy(io.plain + len, span->data, part);
        len += part;
    }
    *bytes = weir_str_of(io.plain, len);
    return WEIR_OK;
}

/* The ciphertext that `len` bytes become, at most. */
static size_t write_room(const weir_tls *tls, size_t len)
{
    size_t record = weir_tls_profile_of(tls)->record_bytes;

    return len + (len / record + 1) * (SSL3_RT_HEADER_LENGTH + SSL3_RT_MAX_ENCRYPTED_OVERHEAD);
}

static weir_result write_encrypt(weir_tls *tls, weir_str bytes)
{
    int written;

    if (io.out_owner == tls
        && (io.out_len >= tls->flight
            || write_room(tls, bytes.len) > sizeof(io.out) - io.out_len)) {
        weir_result result = tls_flush(tls);

        if (result != WEIR_OK) {
            return result;
        }
    }

    written = SSL_write(tls->ssl, bytes.data, (int) bytes.len);
    if (WEIR_UNLIKELY(written <= 0)) {
        /* Not even to early data is an answer kept waiting for the handshake: it never wants to read. */
        return fail(tls, "SSL_write");
    }
    return WEIR_OK;
}

static void shut_notify(weir_tls *tls)
{
    if (!tls->shut) {
        tls->shut = true;
        io_begin(tls);
        (void) SSL_shutdown(tls->ssl);
        ERR_clear_error();
    }
}

static weir_result tls_write(weir_connection *connection, weir_chain *chain, uint64_t limit)
{
    weir_tls *tls = connection->tls;
    weir_result result = out_resume(tls);
    weir_result flushed;

    if (result != WEIR_OK) {
        return result;
    }

    io_begin(tls);
    while (result == WEIR_OK && !weir_chain_is_empty(chain) && limit != 0) {
        weir_str bytes;

        result = write_gather(connection, chain, limit, &bytes);
        if (result == WEIR_OK) {
            result = write_encrypt(tls, bytes);
        }
        if (result == WEIR_OK) {
            limit -= bytes.len;
            connection->sent += bytes.len;
            weir_chain_consume(chain, bytes.len);
        }
    }

    if (result == WEIR_FAIL) {
        return WEIR_FAIL;
    }
    if (connection->write_is_last && weir_chain_is_empty(chain) && !SSL_in_init(tls->ssl)) {
        shut_notify(tls);
    }
    flushed = tls_flush(tls);
    return flushed != WEIR_OK ? flushed : result;
}

/* The owner may have no more to write, and would not come again for what is left of its last flight. */
static weir_result tls_send_rest(weir_connection *connection)
{
    return out_resume(connection->tls);
}

/* ---- the end */

static weir_result tls_shut(weir_connection *connection)
{
    weir_tls *tls = connection->tls;
    weir_result result;

    shut_notify(tls);
    result = tls_flush(tls);
    return result == WEIR_OK ? weir_socket_shut(connection) : result;
}

bool weir_tls_is_shut(const weir_connection *connection)
{
    const weir_tls *tls = connection->tls;

    return tls->shut && bytes_are_empty(&tls->unsent) && (io.out_owner != tls || io.out_len == 0);
}

/* The buffers are no longer this connection's. */
static void release(weir_tls *tls)
{
    if (io.in_owner == tls) {
        io.in_owner = NULL;
    }
    if (io.out_owner == tls) {
        io.out_owner = NULL;
        io.out_len = 0;
        weir_task_cancel(&io.flush);
    }
    free(tls->unread.data);
    free(tls->unsent.data);
    SSL_free(tls->ssl);
}

void weir_tls_detach(weir_connection *connection)
{
    release(connection->tls);
    connection->tls = NULL;
    connection->transport = &weir_plain_transport;
}

static void tls_close(weir_connection *connection)
{
    weir_tls *tls = connection->tls;

    if (!connection->failed && tls->ssl != NULL) {
        if (!SSL_in_init(tls->ssl)) {
            shut_notify(tls);
        }
        /* What the peer's kernel has no room for is lost, as it is with a plain connection. */
        if (tls_flush(tls) == WEIR_FAIL) {
            weir_log_debug(&connection->log, "TLS: the last flight was lost");
        }
    }
    weir_tls_detach(connection);
}

const weir_transport weir_tls_transport = {
    .read = tls_read,
    .write = tls_write,
    .shut = tls_shut,
    .close = tls_close,
    .holds_unread = tls_holds_unread,
    .send_rest = tls_send_rest,
};
