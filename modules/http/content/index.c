/*
 * index: the files that stand for a folder.
 *
 *     index index.$lang.html index.html /fallback;
 */

#include "modules/http/engine/core_conf.h"
#include "modules/http/engine/files.h"

#include <errno.h>
#include <sys/stat.h>

typedef struct {
    weir_array *names; /* const weir_template * */
} index_conf;

static bool index_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    index_conf *index = settings;
    weir_pool *pool = weir_conf_pool(conf);

    if (index->names == NULL) {
        index->names = WEIR_NEW(pool, weir_array);
        if (index->names == NULL) {
            return weir_conf_refuse(conf, "no memory for \"index\"");
        }
        weir_array_init(index->names, pool, sizeof(const weir_template *), 2);
    }
    for (size_t i = 1; i < statement->count; i++) {
        const weir_template **name = weir_array_push(index->names);

        if (name == NULL) {
            return weir_conf_refuse(conf, "no memory for \"index\"");
        }
        if (statement->args[i].len == 0) {
            return weir_conf_refuse_arg(conf, statement, i,
                                        "index \"\" in \"index\" directive is invalid");
        }
        *name = weir_template_new(conf, weir_space_of(conf, "http"), statement->args[i]);
        if (*name == NULL) {
            return false;
        }
    }
    return true;
}

static const weir_directive index_directives[] = {
    {
        .name = "index",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES_SOME,
        .syntax = "file ...",
        .slot = WEIR_SLOT_CALL(index_conf, names, index_call),
        .preset = "index.html",
        .repeatable = true,
        .doc = "The files that stand for a folder: the first that is there.",
    },
    {0},
};

static weir_http_verdict refuse(weir_http_exchange *ex, weir_str path, int error)
{
    unsigned status = error == EACCES || error == ELOOP ? 403 : 404;

    if (status == 403) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, error, "\"%.*s\" is forbidden", WEIR_STR_ARG(path));
    } else if (ex->core->log_not_found) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, error, "\"%.*s\" is not found", WEIR_STR_ARG(path));
    }
    return weir_http_answer_because(ex, status, "no directory index");
}

/* A folder that is not there is 404, whoever comes after. */
static bool folder_is_missing(weir_http_exchange *ex, weir_str folder)
{
    const char *path = weir_str_z(ex->pool, folder);
    struct stat found;

    return path != NULL && stat(path, &found) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

/* PASS: it is not there, look for the next. */
static weir_http_verdict try_name(weir_http_exchange *ex, weir_str folder, weir_str name)
{
    weir_builder builder;
    weir_http_file found;
    weir_str path, uri;
    int error;

    weir_builder_open(&builder, ex->pool, SIZE_MAX);
    weir_builder_add(&builder, folder);
    weir_builder_add(&builder, name);
    weir_builder_add_byte(&builder, '\0');
    if (!weir_builder_close(&builder, &path)) {
        return WEIR_HTTP_FAILED;
    }
    path.len--;

    error = weir_http_file_find(ex, path, false, &found);
    switch (error) {
    case 0:
        break;
    case ENOENT:
        return folder_is_missing(ex, folder) ? refuse(ex, path, ENOENT) : WEIR_HTTP_PASS;
    case ENOTDIR:
    case ENAMETOOLONG:
    case EACCES:
    case ELOOP:
        return refuse(ex, path, error);
    default:
        weir_log_line(&ex->log, WEIR_LOG_CRIT, error, "%s \"%.*s\" failed", found.failed,
                      WEIR_STR_ARG(path));
        return WEIR_HTTP_FAILED;
    }

    weir_builder_open(&builder, ex->pool, SIZE_MAX);
    weir_builder_add(&builder, ex->request.path);
    weir_builder_add(&builder, name);
    return weir_builder_close(&builder, &uri)
               ? weir_http_redirect_internal(ex, uri, ex->request.args)
               : WEIR_HTTP_FAILED;
}

static weir_http_verdict index_judge(weir_http_exchange *ex, const void *location)
{
    const index_conf *index = location;
    weir_http_method method = ex->request.method;
    weir_str uri = ex->request.path;
    weir_str folder = WEIR_STR_EMPTY;

    if (uri.len == 0 || uri.data[uri.len - 1] != '/'
        || (method != WEIR_HTTP_GET && method != WEIR_HTTP_HEAD && method != WEIR_HTTP_POST)) {
        return WEIR_HTTP_PASS;
    }

    for (WEIR_ARRAY_EACH(index->names, const weir_template *, template)) {
        weir_http_verdict verdict;
        weir_str name;

        if (!weir_template_text(*template, &ex->script, &name)) {
            return WEIR_HTTP_FAILED;
        }
        if (name.len > 0 && name.data[0] == '/') {
            return weir_http_redirect_internal(ex, name, ex->request.args);
        }
        if (folder.len == 0 && !weir_http_file_path(ex, &folder)) {
            return WEIR_HTTP_FAILED;
        }
        verdict = name.len == 0 ? WEIR_HTTP_PASS : try_name(ex, folder, name);
        if (verdict != WEIR_HTTP_PASS) {
            return verdict;
        }
    }
    return WEIR_HTTP_PASS;
}

const weir_http_module weir_http_index = {
    .name = "http_index",
    .directives = index_directives,
    .conf_size = sizeof(index_conf),
    .phases = 1u << WEIR_HTTP_PHASE_CONTENT,
    .judge = index_judge,
};
