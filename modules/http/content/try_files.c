/*
 * try_files: takes the first of several files that is there; else goes elsewhere.
 *
 *     try_files $uri $uri/ /index.php?$args;
 *     try_files $uri @app;
 *     try_files $uri =404;
 */

#include "modules/http/engine/core_conf.h"
#include "modules/http/engine/files.h"

#include <errno.h>

#include "core/base/number.h"

typedef struct {
    const weir_template *path;
    bool is_folder; /* written with a "/" at the end */
} try_file;

typedef struct {
    weir_array files; /* try_file */
    /* What comes after them: one of these. */
    unsigned status;
    weir_str named;
    const weir_template *target;
} try_files;

typedef struct {
    try_files *tries; /* NULL: none */
} try_conf;

static weir_space *space(weir_conf *conf)
{
    return weir_space_of(conf, "http");
}

static bool read_last(weir_conf *conf, const weir_statement *statement, try_files *tries)
{
    size_t last = statement->count - 1;
    weir_str text = statement->args[last];
    uint64_t status;

    if (text.len > 0 && text.data[0] == '=') {
        if (!weir_parse_uint(weir_str_from(text, 1), 999, &status)) {
            return weir_conf_refuse_arg(conf, statement, last, "invalid code \"%.*s\"",
                                        WEIR_STR_ARG(text));
        }
        tries->status = (unsigned) status;
        return true;
    }
    if (text.len > 0 && text.data[0] == '@') {
        tries->named = text;
        return true;
    }

    tries->target = weir_template_new(conf, space(conf), text);
    return tries->target != NULL;
}

static bool try_files_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    try_files *tries = WEIR_NEW(weir_conf_pool(conf), try_files);

    if (tries == NULL) {
        return weir_conf_refuse(conf, "no memory for \"try_files\"");
    }
    weir_array_init(&tries->files, weir_conf_pool(conf), sizeof(try_file), 4);
    for (size_t i = 1; i + 1 < statement->count; i++) {
        weir_str text = statement->args[i];
        try_file *file = weir_array_push(&tries->files);

        if (file == NULL) {
            return weir_conf_refuse(conf, "no memory for \"try_files\"");
        }
        file->is_folder = text.len > 0 && text.data[text.len - 1] == '/';
        file->path = weir_template_new(
            conf, space(conf), file->is_folder ? weir_str_slice(text, 0, text.len - 1) : text);
        if (file->path == NULL) {
            return false;
        }
    }
    ((try_conf *) settings)->tries = tries;
    return read_last(conf, statement, tries);
}

static const weir_directive try_directives[] = {
    {
        .name = "try_files",
        .where = WEIR_HTTP_SERVER | WEIR_HTTP_LOCATION,
        .takes = WEIR_TAKES(2, 255),
        .syntax = "file ... uri | file ... =code",
        .slot = WEIR_SLOT_CALL(try_conf, tries, try_files_call),
        .inherit = WEIR_INHERIT_NONE,
        .doc = "Takes the first file that is there, else the last parameter.",
    },
    {0},
};

/* In a location of a regex an alias is all of the path: files are looked for behind it, and the request's path stays. */
static bool follows_alias(const weir_http_exchange *ex)
{
    return ex->core->root.is_alias && ex->core->root.location->kind == WEIR_HTTP_LOCATION_REGEX;
}

/* Under alias, a path that does not begin with the location's is one below it. */
static bool below_alias(weir_http_exchange *ex, weir_str *uri)
{
    const weir_http_location *location = ex->core->root.location;
    weir_builder builder;

    if (!ex->core->root.is_alias || location->kind == WEIR_HTTP_LOCATION_REGEX
        || weir_str_starts(*uri, location->name)) {
        return true;
    }
    weir_builder_open(&builder, ex->pool, SIZE_MAX);
    weir_builder_add(&builder, location->name);
    weir_builder_add(&builder, *uri);
    return weir_builder_close(&builder, uri);
}

/* PASS: it is not there; SETTLED: the path is now this one. */
static weir_http_verdict try_one(weir_http_exchange *ex, const try_file *file)
{
    weir_str asked = ex->request.path;
    weir_str uri, path;
    weir_http_file found;
    bool is_made;
    int error;

    if (!weir_template_text(file->path, &ex->script, &uri) || !below_alias(ex, &uri)) {
        return WEIR_HTTP_FAILED;
    }
    ex->request.path = uri;
    ex->request.below_alias = uri;
    is_made = weir_http_file_path(ex, &path);
    ex->request.below_alias = WEIR_STR_EMPTY;
    ex->request.path = asked;
    if (!is_made) {
        return WEIR_HTTP_FAILED;
    }

    weir_log_debug(&ex->log, "trying to use %s: \"%.*s\"", file->is_folder ? "dir" : "file",
                   WEIR_STR_ARG(path));
    error = weir_http_file_find(ex, path, false, &found);
    if (error != 0) {
        if (error != ENOENT && error != ENOTDIR && error != ENAMETOOLONG && error != EACCES) {
            weir_log_line(&ex->log, WEIR_LOG_CRIT, error, "%s \"%.*s\" failed", found.failed,
                          WEIR_STR_ARG(path));
        }
        return WEIR_HTTP_PASS;
    }
    if (found.is_folder != file->is_folder) {
        return WEIR_HTTP_PASS;
    }

    if (follows_alias(ex)) {
        ex->request.below_alias = uri;
        return WEIR_HTTP_SETTLED;
    }
    /* Of a folder, too, without the slash: who asked for it without one is sent to where links of its index are right. */
    weir_http_set_path(&ex->request, uri);
    ex->request.path_is_valid = false;
    return WEIR_HTTP_SETTLED;
}

static weir_http_verdict go_elsewhere(weir_http_exchange *ex, const try_files *tries)
{
    weir_str path;
    weir_str args = WEIR_STR_EMPTY;
    const char *mark;

    if (tries->named.len != 0) {
        return weir_http_redirect_named(ex, tries->named);
    }
    if (tries->target == NULL) {
        return weir_http_answer_because(ex, tries->status, "try_files");
    }
    if (!weir_template_text(tries->target, &ex->script, &path)) {
        return WEIR_HTTP_FAILED;
    }

    /* Of the text, as the arguments may have come with a variable: "/index.php$request_uri". */
    mark = weir_str_find_byte(path, '?');
    if (mark != NULL) {
        size_t len = (size_t) (mark - path.data);

        args = weir_str_from(path, len + 1);
        path = weir_str_slice(path, 0, len);
    }
    return weir_http_redirect_internal(ex, path, args);
}

static weir_http_verdict try_judge(weir_http_exchange *ex, const void *location)
{
    const try_conf *conf = location;

    for (WEIR_ARRAY_EACH(&conf->tries->files, const try_file, file)) {
        weir_http_verdict verdict = try_one(ex, file);

        if (verdict != WEIR_HTTP_PASS) {
            return verdict == WEIR_HTTP_SETTLED ? WEIR_HTTP_PASS : verdict;
        }
    }
    return go_elsewhere(ex, conf->tries);
}

static bool try_applies(const void *location)
{
    return ((const try_conf *) location)->tries != NULL;
}

const weir_http_module weir_http_try_files = {
    .name = "http_try_files",
    .directives = try_directives,
    .conf_size = sizeof(try_conf),
    .phases = 1u << WEIR_HTTP_PHASE_PRECONTENT,
    .judge = try_judge,
    .applies = try_applies,
};
