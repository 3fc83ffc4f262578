/*
 * static: answers with the file that the path names below root or alias.
 *
 *     root /var/www;      /a/b.html is /var/www/a/b.html
 */

#include "modules/http/engine/core_conf.h"
#include "modules/http/engine/files.h"

/* Nobody before had an answer for a folder. */
static weir_http_verdict refuse_folder(weir_http_exchange *ex)
{
    weir_str path;

    if (!weir_http_file_path(ex, &path)) {
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
    weir_http_file file;
    int error;

    (void) location;
    if (method != WEIR_HTTP_GET && method != WEIR_HTTP_HEAD && method != WEIR_HTTP_POST) {
        return weir_http_answer_because(ex, 405, "files are read only");
    }
    if (uri.len > 0 && uri.data[uri.len - 1] == '/') {
        return refuse_folder(ex);
    }
    if (!weir_http_file_path(ex, &path)) {
        return WEIR_HTTP_FAILED;
    }

    error = weir_http_file_find(ex, path, true, &file);
    if (error != 0) {
        return weir_http_file_refuse(ex, path, &file, error);
    }
    if (file.is_folder) {
        return weir_http_answer_slash(ex);
    }
    if (!file.is_regular) {
        weir_log_line(&ex->log, WEIR_LOG_CRIT, 0, "\"%.*s\" is not a regular file",
                      WEIR_STR_ARG(path));
        return weir_http_answer_because(ex, 404, "no regular file");
    }
    if (method == WEIR_HTTP_POST) {
        return weir_http_answer_because(ex, 405, "files are read only");
    }
    ex->response.allow_ranges = true;
    return weir_http_file_answer(ex, &file) ? WEIR_HTTP_ANSWERED : WEIR_HTTP_FAILED;
}

const weir_http_module weir_http_static = {
    .name = "http_static",
    .phases = 1u << WEIR_HTTP_PHASE_CONTENT,
    .judge = static_judge,
};
