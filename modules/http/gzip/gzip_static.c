/*
 * gzip_static: answers with "FILE.gz", which was compressed before.
 *
 *     gzip_static on;         to clients that take it
 *     gzip_static always;     to all; see gunzip
 */

#include "modules/http/engine/core_conf.h"
#include "modules/http/engine/files.h"
#include "modules/http/gzip/gzip_internal.h"

#include <errno.h>

enum {
    STATIC_OFF,
    STATIC_ON,
    STATIC_ALWAYS,
};

typedef struct {
    unsigned mode;
} gzip_static_conf;

static const weir_choice mode_choices[] = {
    {"off", STATIC_OFF},
    {"on", STATIC_ON},
    {"always", STATIC_ALWAYS},
    {NULL, 0},
};

static const weir_directive gzip_static_directives[] = {
    {
        .name = "gzip_static",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_ENUM(gzip_static_conf, mode, mode_choices),
        .preset = "off",
        .doc = "Answers with the file of the name and \".gz\", where there is one.",
    },
    {0},
};

/* The name of the compressed file, followed by a NUL. */
static bool compressed_path(weir_http_exchange *ex, weir_str *path)
{
    weir_builder builder;

    if (!weir_http_file_path(ex, path)) {
        return false;
    }
    weir_builder_open(&builder, ex->pool, SIZE_MAX);
    weir_builder_add(&builder, *path);
    weir_builder_add(&builder, WEIR_STR(".gz"));
    weir_builder_add_byte(&builder, '\0');
    if (!weir_builder_close(&builder, path)) {
        return false;
    }
    path->len--;
    return true;
}

/* What is not there is looked for under its own name. */
static weir_http_verdict not_opened(weir_http_exchange *ex, weir_str path,
                                    const weir_http_file *file, int error)
{
    if (error == EACCES || error == ELOOP) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, error, "%s \"%.*s\" failed", file->failed,
                      WEIR_STR_ARG(path));
    } else if (error != ENOENT && error != ENOTDIR && error != ENAMETOOLONG) {
        weir_log_line(&ex->log, WEIR_LOG_CRIT, error, "%s \"%.*s\" failed", file->failed,
                      WEIR_STR_ARG(path));
    }
    return WEIR_HTTP_PASS;
}

static weir_http_verdict gzip_static_judge(weir_http_exchange *ex, const void *location)
{
    const gzip_static_conf *conf = location;
    weir_str uri = ex->request.path;
    weir_http_file file;
    weir_str path;
    int error;

    if ((ex->request.method != WEIR_HTTP_GET && ex->request.method != WEIR_HTTP_HEAD)
        || uri.len == 0 || uri.data[uri.len - 1] == '/') {
        return WEIR_HTTP_PASS;
    }
    if (!compressed_path(ex, &path)) {
        return WEIR_HTTP_FAILED;
    }
    if (conf->mode == STATIC_ON && !weir_http_gzip_is_welcome(ex)) {
        /* Another client would get the other form, if there is one. */
        error = weir_http_file_find(ex, path, false, &file);
        return error != 0 || !file.is_regular || weir_http_gzip_vary(ex) ? WEIR_HTTP_PASS
                                                                         : WEIR_HTTP_FAILED;
    }
    error = weir_http_file_find(ex, path, true, &file);
    if (error != 0) {
        return not_opened(ex, path, &file, error);
    }
    if (!file.is_regular) {
        return WEIR_HTTP_PASS;
    }
    if (conf->mode == STATIC_ON && !weir_http_gzip_vary(ex)) {
        return WEIR_HTTP_FAILED;
    }
    return weir_http_file_answer(ex, &file)
                   && weir_http_fields_add(&ex->response.fields, WEIR_HTTP_CONTENT_ENCODING,
                                           WEIR_STR("gzip"))
               ? WEIR_HTTP_ANSWERED
               : WEIR_HTTP_FAILED;
}

static bool gzip_static_applies(const void *location)
{
    return ((const gzip_static_conf *) location)->mode != STATIC_OFF;
}

const weir_http_module weir_http_gzip_static = {
    .name = "http_gzip_static",
    .directives = gzip_static_directives,
    .conf_size = sizeof(gzip_static_conf),
    .phases = 1u << WEIR_HTTP_PHASE_CONTENT,
    .judge = gzip_static_judge,
    .applies = gzip_static_applies,
};
