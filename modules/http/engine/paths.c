#include "modules/http/engine/engine_internal.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/folders.h"
#include "core/base/number.h"
#include "core/process/core_conf.h"
#include "core/process/cycle.h"

/* Paths: of files on this machine, and escaped for a URI. */

bool weir_http_alias_is_lost(const weir_http_exchange *ex)
{
    return ex->core->root.is_alias && ex->request.is_rewritten_here;
}

bool weir_http_file_path(weir_http_exchange *ex, weir_str *path)
{
    const weir_http_location *location = ex->core->root.location;
    weir_str uri = ex->request.path;
    weir_builder builder;
    weir_str root;

    if (!weir_template_text(ex->core->root.template, &ex->script, &root)) {
        return false;
    }
    /* alias stands for the part of the location that says it; with a regex, for all of the path. */
    if (ex->core->root.is_alias) {
        if (weir_http_alias_is_lost(ex)) {
            weir_log_line(&ex->log, WEIR_LOG_ERR, 0,
                          "\"alias\" cannot be used in location \"%.*s\" where URI was rewritten",
                          WEIR_STR_ARG(location->name));
            return false;
        }
        uri = location->kind == WEIR_HTTP_LOCATION_REGEX ? ex->request.below_alias
                                                         : weir_str_from(uri, location->name.len);
    }

    weir_builder_open(&builder, ex->pool, SIZE_MAX);
    weir_builder_add(&builder, root);
    /* A path that a rewrite left without its slash must not go on with the folder's name: that were another folder. */
    if (!ex->core->root.is_alias && !weir_str_starts(uri, WEIR_STR("/"))) {
        weir_builder_add_byte(&builder, '/');
    }
    weir_builder_add(&builder, uri);
    weir_builder_add_byte(&builder, '\0');
    if (!weir_builder_close(&builder, path)) {
        return false;
    }
    path->len--;
    /* A NUL in the middle would name another file to the kernel than to us. */
    return weir_str_find_byte(*path, '\0') == NULL;
}

bool weir_http_temp_path(weir_conf *conf, const weir_statement *statement, weir_str *path)
{
    for (size_t i = 2; i < statement->count; i++) {
        weir_str level = statement->args[i];
        uint64_t digits;

        if (!weir_parse_uint(level, INT32_MAX, &digits) || digits == 0) {
            return weir_conf_refuse_arg(conf, statement, i, "invalid value \"%.*s\"",
                                        WEIR_STR_ARG(level));
        }
    }
    if (!weir_conf_prefix_path(conf, statement->args[1], path)) {
        return false;
    }

    weir_str *folder = weir_array_push(&weir_http_of_cycle(weir_conf_cycle(conf))->temp_folders);

    if (folder == NULL) {
        return weir_conf_refuse(conf, "no memory for a path");
    }
    *folder = *path;
    return true;
}

bool weir_http_temp_folders_make(weir_conf *conf, const weir_http_cycle *http)
{
    const weir_core_conf *core = weir_level_settings(
        http->cycle->main != NULL ? http->cycle->main : http->level->outer, &weir_core_module);

    for (WEIR_ARRAY_EACH(&http->temp_folders, weir_str, folder)) {
        /* Paths of the configuration are followed by a NUL. */
        const char *path = folder->data;
        struct stat found;

        if (!weir_folders_make(path, 0755) || (mkdir(path, 0700) != 0 && errno != EEXIST)) {
            return weir_conf_refuse(conf, "mkdir() \"%s\" failed (%d: %s)", path, errno,
                                    strerror(errno));
        }
        if (geteuid() == 0 && stat(path, &found) == 0 && found.st_uid != core->user.uid
            && chown(path, core->user.uid, (gid_t) -1) != 0) {
            return weir_conf_refuse(conf, "chown() \"%s\" failed (%d: %s)", path, errno,
                                    strerror(errno));
        }
    }
    return true;
}

/* pchar without "%" and "?", and "/" (RFC 3986, 3.3); bytes over 0x7f are escaped. */
static bool needs_escape(char c)
{
    unsigned char byte = (unsigned char) c;

    return byte <= 0x20 || byte >= 0x7f || c == '%' || c == '?' || c == '#' || c == '"' || c == '<'
           || c == '>' || c == '\\' || c == '^' || c == '`' || c == '{' || c == '|' || c == '}';
}

bool weir_http_escape_path(weir_builder *builder, weir_str path)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < path.len; i++) {
        char c = path.data[i];

        if (needs_escape(c)) {
            weir_builder_add_byte(builder, '%');
            weir_builder_add_byte(builder, digits[(unsigned char) c >> 4]);
            weir_builder_add_byte(builder, digits[(unsigned char) c & 15]);
        } else {
            weir_builder_add_byte(builder, c);
        }
    }
    return !builder->failed;
}

const uint8_t weir_http_host_bytes[256] = {
    ['!'] = WEIR_HTTP_HOST_PLAIN, ['$' ... '-'] = WEIR_HTTP_HOST_PLAIN,
    ['.'] = WEIR_HTTP_HOST_DOT,   ['0' ... '9'] = WEIR_HTTP_HOST_PLAIN,
    [':'] = WEIR_HTTP_HOST_COLON, [';'] = WEIR_HTTP_HOST_PLAIN,
    ['='] = WEIR_HTTP_HOST_PLAIN, ['A' ... 'Z'] = WEIR_HTTP_HOST_CAPITAL,
    ['['] = WEIR_HTTP_HOST_OPENS, [']'] = WEIR_HTTP_HOST_CLOSES,
    ['_'] = WEIR_HTTP_HOST_PLAIN, ['a' ... 'z'] = WEIR_HTTP_HOST_PLAIN,
    ['~'] = WEIR_HTTP_HOST_PLAIN,
};
