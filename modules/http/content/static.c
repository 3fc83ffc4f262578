/*
 * static: answers with the file that the path names below root or alias.
 *
 *     root /var/www;      /a/b.html is /var/www/a/b.html
 */

#include "modules/http/engine/core_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Two numbers in hexadecimal, a hyphen, and quotes. */
#define ETAG_MAX 40

/* Of nginx's file handling; what is sent is the same without. */
#define NO_EFFECT(name_, min_, max_, why_)                                                         \
    {                                                                                              \
        .name = name_, .where = WEIR_HTTP_ANYWHERE, .takes = WEIR_TAKES(min_, max_),               \
        .warning = why_, .doc = "Accepted.",                                                       \
    }

static const weir_directive static_directives[] = {
    NO_EFFECT("open_file_cache", 1, 2, "files are opened for each request"),
    NO_EFFECT("open_file_cache_errors", 1, 1, "files are opened for each request"),
    NO_EFFECT("open_file_cache_min_uses", 1, 1, "files are opened for each request"),
    NO_EFFECT("open_file_cache_valid", 1, 1, "files are opened for each request"),
    NO_EFFECT("aio", 1, 1, "files are sent by the kernel, or read in blocks"),
    NO_EFFECT("aio_write", 1, 1, "temporary files are written in blocks"),
    NO_EFFECT("directio", 1, 1, "files are sent by the kernel, or read in blocks"),
    NO_EFFECT("directio_alignment", 1, 1, "files are sent by the kernel, or read in blocks"),
    NO_EFFECT("read_ahead", 1, 1, "it is the kernel's to choose"),
    NO_EFFECT("output_buffers", 2, 2, "files are read in blocks as the client takes them"),
    {0},
};

static void file_close(void *subject)
{
    (void) close((int) (intptr_t) subject);
}

/* What is not there or not to be seen is the client's matter; the rest is ours. */
static weir_http_verdict refuse_open(weir_http_exchange *ex, weir_str path, int error)
{
    weir_log_level level = WEIR_LOG_ERR;
    unsigned status;

    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
        status = 404;
        break;
    case EACCES:
    case ELOOP:
    case EMLINK:
        status = 403;
        break;
    default:
        level = WEIR_LOG_CRIT;
        status = 500;
        break;
    }
    if (status != 404 || ex->core->log_not_found) {
        weir_log_line(&ex->log, level, error, "open() \"%.*s\" failed", WEIR_STR_ARG(path));
    }
    return weir_http_answer_because(ex, status, "file cannot be opened");
}

/* Of time and size, as nginx's: several machines that have the same files agree. */
static bool set_etag(weir_http_exchange *ex, const struct stat *file)
{
    weir_builder builder;
    weir_str etag;

    weir_builder_open(&builder, ex->pool, ETAG_MAX);
    weir_builder_add_byte(&builder, '"');
    weir_builder_add_hex(&builder, (uint64_t) file->st_mtime);
    weir_builder_add_byte(&builder, '-');
    weir_builder_add_hex(&builder, (uint64_t) file->st_size);
    weir_builder_add_byte(&builder, '"');
    return weir_builder_close(&builder, &etag)
           && weir_http_fields_set(&ex->response.fields, WEIR_HTTP_ETAG, etag);
}

static weir_http_verdict answer_file(weir_http_exchange *ex, int fd, const struct stat *file)
{
    weir_http_response *response = &ex->response;

    if (ex->core->etag && !set_etag(ex, file)) {
        return WEIR_HTTP_FAILED;
    }
    response->status = 200;
    response->content_length = file->st_size;
    response->last_modified_s = file->st_mtime;
    response->content_type = weir_http_content_type(ex->core, ex->request.extension);
    response->allow_ranges = true;
    weir_chain_clear(&ex->body);
    return weir_chain_add_file(&ex->body, fd, 0, (uint64_t) file->st_size) ? WEIR_HTTP_ANSWERED
                                                                           : WEIR_HTTP_FAILED;
}

/* Nobody before had an answer for a folder. */
static weir_http_verdict refuse_folder(weir_http_exchange *ex)
{
    weir_str path;
    size_t root_len;

    if (!weir_http_file_path(ex, &path, &root_len)) {
        return WEIR_HTTP_FAILED;
    }
    weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "directory index of \"%.*s\" is forbidden",
                  WEIR_STR_ARG(path));
    return weir_http_answer_because(ex, 403, "no directory index");
}

static weir_http_verdict static_judge(weir_http_exchange *ex, const void *location)
{
    weir_http_method method = ex->request.method;
    weir_str uri = ex->request.path;
    weir_str path;
    size_t root_len;
    struct stat file;
    int fd;

    (void) location;
    if (method != WEIR_HTTP_GET && method != WEIR_HTTP_HEAD && method != WEIR_HTTP_POST) {
        return weir_http_answer_because(ex, 405, "files are read only");
    }
    if (uri.len > 0 && uri.data[uri.len - 1] == '/') {
        return refuse_folder(ex);
    }
    if (!weir_http_file_path(ex, &path, &root_len)) {
        return WEIR_HTTP_FAILED;
    }

    /* A pipe that nobody writes to must not stop the worker. */
    fd = open(path.data, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd == -1) {
        return refuse_open(ex, path, errno);
    }
    if (weir_pool_on_free(ex->pool, file_close, (void *) (intptr_t) fd) == NULL) {
        (void) close(fd);
        return WEIR_HTTP_FAILED;
    }
    if (fstat(fd, &file) != 0) {
        weir_log_line(&ex->log, WEIR_LOG_CRIT, errno, "fstat() \"%.*s\" failed",
                      WEIR_STR_ARG(path));
        return WEIR_HTTP_FAILED;
    }

    if (S_ISDIR(file.st_mode)) {
        return weir_http_answer_slash(ex);
    }
    if (!S_ISREG(file.st_mode)) {
        weir_log_line(&ex->log, WEIR_LOG_CRIT, 0, "\"%.*s\" is not a regular file",
                      WEIR_STR_ARG(path));
        return weir_http_answer_because(ex, 404, "no regular file");
    }
    if (method == WEIR_HTTP_POST) {
        return weir_http_answer_because(ex, 405, "files are read only");
    }
    return answer_file(ex, fd, &file);
}

const weir_http_module weir_http_static = {
    .name = "http_static",
    .directives = static_directives,
    .phases = 1u << WEIR_HTTP_PHASE_CONTENT,
    .judge = static_judge,
};
