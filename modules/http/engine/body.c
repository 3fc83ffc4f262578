#include "modules/http/engine/engine_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/random.h"

/* The request's body, as it comes or as a whole. */

#define READ_BYTES (4 * WEIR_BLOCK_BYTES)

/* Says once what went wrong with a body; nothing of the connection can be used after it. */
static weir_result body_fail(weir_http_exchange *ex, unsigned status, const char *why)
{
    ex->keepalive = false;
    if (!ex->response.head_is_sent) {
        (void) weir_http_answer_because(ex, status, why);
    }
    return WEIR_FAIL;
}

weir_http_verdict weir_http_refuse_body(weir_http_exchange *ex)
{
    ex->request.has_body = false;
    weir_chain_clear(&ex->request.body);
    ex->keepalive = false;
    return ex->response.head_is_sent ? WEIR_HTTP_ANSWERED
                                     : weir_http_answer_because(ex, 413, "body too large");
}

/* ---- how long is waited */

/* The whole time that those who sent `bytes` may have been waited for; UINT64_MAX: any. */
static uint64_t min_rate_time_ms(const weir_http_core_conf *core, uint64_t bytes)
{
    uint64_t rate = core->client_min_rate.bytes_s;

    if (rate == 0 || bytes > INT64_MAX / 1000) {
        return UINT64_MAX;
    }
    return core->client_min_rate.after_ms + bytes * 1000 / rate;
}

uint64_t weir_http_head_patience_ms(const weir_http_core_conf *core, uint64_t bytes)
{
    uint64_t by_rate_ms = min_rate_time_ms(core, bytes);
    uint64_t timeout_ms = core->client_header_timeout_ms;

    return by_rate_ms < timeout_ms ? by_rate_ms : timeout_ms;
}

uint64_t weir_http_body_patience_ms(const weir_http_exchange *ex)
{
    uint64_t by_rate_ms = min_rate_time_ms(ex->core, ex->request.body_received);
    uint64_t timeout_ms = ex->core->client_body_timeout_ms;
    uint64_t left_ms = by_rate_ms > ex->body_waited_ms ? by_rate_ms - ex->body_waited_ms : 0;

    return left_ms < timeout_ms ? left_ms : timeout_ms;
}

/* Instead of what was begun: a response that a filter of heads holds back, too. */
static void answer_instead(weir_http_exchange *ex, unsigned status, const char *why)
{
    weir_http_holds_cancel(ex);
    if (!ex->is_responding) {
        weir_http_respond_status(ex, status, why);
        return;
    }
    ex->ahead_ready = NULL;
    weir_http_fields_remove_all(&ex->response.fields);
    weir_http_fields_remove_all(&ex->response.trailers);
    (void) weir_http_filter_answer(ex, status, why);
}

bool weir_http_body_timed_out(weir_http_exchange *ex)
{
    uint64_t waited_ms = weir_clock_now()->monotonic_ms - ex->body_waits_since_ms;

    if (ex->body_readable == NULL) {
        return false;
    }
    ex->body_readable = NULL;
    ex->body_collected = NULL;
    ex->keepalive = false;
    if (waited_ms < ex->core->client_body_timeout_ms) {
        weir_log_line(&ex->log, WEIR_LOG_INFO, 0,
                      "client sent its body too slowly: %llu bytes in %llu ms",
                      (unsigned long long) ex->request.body_received,
                      (unsigned long long) ex->body_waited_ms + waited_ms);
    } else {
        weir_log_line(&ex->log, WEIR_LOG_INFO, 0,
                      "client timed out while reading client request body");
    }
    if (ex->response.head_is_sent) {
        ex->client_is_gone = true;
        ex->wire->abort(ex);
        return true;
    }
    answer_instead(ex, 408, "client timed out");
    return true;
}

void weir_http_body_failed(weir_http_exchange *ex)
{
    if (ex->response.head_is_sent || ex->client_is_gone) {
        weir_http_holds_cancel(ex);
        ex->wire->abort(ex);
    } else if (ex->is_bare) {
        answer_instead(ex, ex->response.status, ex->end_reason);
    } else {
        /* Nothing was wrong with the body: whoever took it has no memory for more. */
        answer_instead(ex, 500, "request body not taken");
    }
}

static bool body_is_too_large(const weir_http_exchange *ex)
{
    uint64_t limit = ex->core->client_max_body_size;

    return limit != 0 && ex->request.body_received > limit;
}

weir_result weir_http_read_body(weir_http_exchange *ex, weir_chain *out, uint64_t limit,
                                void (*readable)(weir_http_exchange *ex))
{
    weir_http_request *request = &ex->request;
    weir_result result;

    if (request->body_ended) {
        return WEIR_OK;
    }
    if (request->expects_continue) {
        request->expects_continue = false;
        weir_http_send_interim(ex, 100, NULL);
    }

    weir_http_body_leave(ex);
    result = ex->wire->read_body(ex, out, limit);
    switch (result) {
    case WEIR_OK:
        if (body_is_too_large(ex)) {
            weir_log_line(&ex->log, WEIR_LOG_ERR, 0,
                          "client intended to send too large chunked body: %llu bytes",
                          (unsigned long long) request->body_received);
            (void) weir_http_refuse_body(ex);
            return WEIR_FAIL;
        }
        break;
    case WEIR_WAIT:
        ex->body_readable = readable;
        ex->body_waits_since_ms = weir_clock_now()->monotonic_ms;
        break;
    case WEIR_FAIL:
        return body_fail(ex, 400, "client sent invalid body");
    }
    return result;
}

void weir_http_body_leave(weir_http_exchange *ex)
{
    if (ex->body_readable != NULL) {
        ex->body_readable = NULL;
        ex->body_waited_ms += weir_clock_now()->monotonic_ms - ex->body_waits_since_ms;
    }
}

void weir_http_body_restart(weir_http_exchange *ex)
{
    weir_http_request *request = &ex->request;

    weir_http_body_leave(ex);
    ex->body_collected = NULL;
    if (request->body_received != 0 && !request->body_is_collected) {
        request->has_body = false;
        weir_chain_clear(&request->body);
    }
}

void weir_http_body_readable(weir_http_exchange *ex)
{
    void (*readable)(weir_http_exchange *) = ex->body_readable;

    weir_http_body_leave(ex);
    if (readable != NULL) {
        readable(ex);
    }
}

/* ---- as a whole */

static void file_remove(void *path)
{
    (void) unlink(path);
}

/* client_body_in_file_only: a file that others are to find, by $request_body_file. -1: errno. */
static int named_file_open(weir_http_exchange *ex, weir_str folder)
{
    weir_builder builder;
    weir_str path;
    int fd;

    /* The name is taken as good as never. */
    for (unsigned tries = 0; tries < 10; tries++) {
        weir_builder_open(&builder, ex->pool, SIZE_MAX);
        weir_builder_add(&builder, folder);
        weir_builder_add_byte(&builder, '/');
        weir_builder_add_padded(&builder, weir_random_fast() % 10000000000, 10);
        weir_builder_add_byte(&builder, '\0');
        if (!weir_builder_close(&builder, &path)) {
            errno = ENOMEM;
            return -1;
        }
        path.len--;
        fd = open(path.data, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
        if (fd == -1 && errno == EEXIST) {
            continue;
        }
        if (fd != -1 && ex->core->client_body_in_file_only == WEIR_HTTP_BODY_IN_FILE_CLEAN
            && weir_pool_on_free(ex->pool, file_remove, (void *) (uintptr_t) path.data) == NULL) {
            (void) unlink(path.data);
            (void) close(fd);
            errno = ENOMEM;
            return -1;
        }
        if (fd != -1) {
            ex->request.body_file_path = path;
        }
        return fd;
    }
    return -1;
}

/* In client_body_temp_path: a file without a name, unless it is to have one. */
static bool file_open(weir_http_exchange *ex)
{
    weir_str folder = ex->core->client_body_temp_path;
    const char *path = weir_str_z(ex->pool, folder);

    if (ex->core->client_body_in_file_only != WEIR_HTTP_BODY_IN_MEMORY) {
        ex->request.body_file = named_file_open(ex, folder);
    } else {
        ex->request.body_file =
            path == NULL ? -1 : open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    }
    if (ex->request.body_file == -1) {
        weir_log_line(&ex->log, WEIR_LOG_CRIT, errno,
                      "open() of a temporary file in \"%.*s\" failed", WEIR_STR_ARG(folder));
        return false;
    }
    weir_log_line(&ex->log, WEIR_LOG_WARN, 0,
                  "a client request body is buffered to a temporary file in %.*s",
                  WEIR_STR_ARG(folder));
    return true;
}

/* Most likely the disk is full: which one, the path tells, or the folder of a file without a name. */
static void say_unwritten(const weir_http_exchange *ex, int error)
{
    bool has_name = ex->request.body_file_path.len != 0;
    weir_str path = has_name ? ex->request.body_file_path : ex->core->client_body_temp_path;

    weir_log_line(&ex->log, WEIR_LOG_CRIT, error, "writev() %s\"%.*s\" failed",
                  has_name ? "" : "of a temporary file in ", WEIR_STR_ARG(path));
}

static bool file_write(weir_http_exchange *ex)
{
    weir_chain *chain = &ex->request.body;

    if (ex->request.body_file == -1 && !file_open(ex)) {
        return false;
    }
    while (!weir_chain_is_empty(chain)) {
        struct iovec vectors[16];
        size_t bytes;
        int count = weir_chain_vectors(chain, vectors, 16, &bytes);
        ssize_t written = writev(ex->request.body_file, vectors, count);

        if (written < 0) {
            if (errno == EINTR) {
                continue;
            }
            say_unwritten(ex, errno);
            return false;
        }
        weir_chain_consume(chain, (uint64_t) written);
    }
    return true;
}

/* client_body_in_single_buffer: all of it in one piece. */
static bool body_join(weir_http_exchange *ex)
{
    weir_chain *body = &ex->request.body;
    weir_str text;

    if (body->first == body->last) {
        return true;
    }
    if (!weir_chain_join(body, ex->pool, &text)) {
        return false;
    }
    weir_chain_clear(body);
    return weir_chain_add_memory(body, text);
}

/* The rest of the body is in memory or in the file. */
static bool collect_end(weir_http_exchange *ex)
{
    weir_http_request *request = &ex->request;
    bool is_for_file = ex->core->client_body_in_file_only != WEIR_HTTP_BODY_IN_MEMORY;

    if (request->body_file == -1 && ex->core->client_body_in_single_buffer && !is_for_file
        && !body_join(ex)) {
        return false;
    }
    if (request->body_file != -1 || (is_for_file && !weir_chain_is_empty(&request->body))) {
        off_t size;

        if (!file_write(ex)) {
            return false;
        }
        size = lseek(request->body_file, 0, SEEK_END);
        if (size < 0
            || !weir_chain_add_file(&request->body, request->body_file, 0, (uint64_t) size)) {
            return false;
        }
    }
    request->body_is_collected = true;
    return true;
}

static void collect_readable(weir_http_exchange *ex);

static weir_result collect_more(weir_http_exchange *ex)
{
    weir_http_request *request = &ex->request;

    for (;;) {
        weir_result result = weir_http_read_body(ex, &request->body, READ_BYTES, collect_readable);

        if (result != WEIR_OK) {
            return result;
        }
        if (request->body_ended) {
            return collect_end(ex) ? WEIR_OK : body_fail(ex, 500, "request body not stored");
        }
        if (request->body.len > ex->core->client_body_buffer_size && !file_write(ex)) {
            return body_fail(ex, 500, "request body not stored");
        }
    }
}

static void collect_readable(weir_http_exchange *ex)
{
    weir_result result = collect_more(ex);
    void (*collected)(weir_http_exchange *) = ex->body_collected;

    if (result == WEIR_WAIT || ex->is_ended) {
        return;
    }
    ex->body_collected = NULL;
    if (result == WEIR_FAIL) {
        weir_http_body_failed(ex);
    } else if (collected != NULL) {
        collected(ex);
    }
}

weir_result weir_http_collect_body(weir_http_exchange *ex, void (*done)(weir_http_exchange *ex))
{
    weir_result result;

    if (ex->request.body_is_collected) {
        return WEIR_OK;
    }
    result = collect_more(ex);
    ex->body_collected = result == WEIR_WAIT ? done : NULL;
    return result;
}
