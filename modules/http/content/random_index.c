/*
 * random_index: any of a folder's files stands for it.
 *
 *     location /banners/ { random_index on; }
 */

#include "modules/http/engine/core_conf.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "core/base/random.h"

typedef struct {
    bool is_on;
} random_conf;

static const weir_directive random_directives[] = {
    {
        .name = "random_index",
        .where = WEIR_HTTP_LOCATION,
        .slot = WEIR_SLOT_FLAG(random_conf, is_on),
        .preset = "off",
        .doc = "Any of a folder's files, but for hidden ones, stands for the folder.",
    },
    {0},
};

/* Or a link to one. */
static bool is_file(DIR *folder, const struct dirent *item)
{
    struct stat found;

    if (item->d_type != DT_UNKNOWN && item->d_type != DT_LNK) {
        return item->d_type == DT_REG;
    }
    return fstatat(dirfd(folder), item->d_name, &found, 0) == 0 && S_ISREG(found.st_mode);
}

/* Of all files any with the same chance, in one reading of the folder.  Empty: there is none.  False: no memory. */
static bool pick(weir_http_exchange *ex, DIR *folder, weir_str *name)
{
    const struct dirent *item;
    uint64_t seen = 0;

    *name = WEIR_STR_EMPTY;
    while ((item = readdir(folder)) != NULL) {
        if (item->d_name[0] == '.' || !is_file(folder, item) || weir_random_fast() % ++seen != 0) {
            continue;
        }
        if (!weir_str_copy(ex->pool, weir_str_from_z(item->d_name), name)) {
            return false;
        }
    }
    return true;
}

static weir_http_verdict random_judge(weir_http_exchange *ex, const void *location)
{
    weir_http_method method = ex->request.method;
    weir_str uri = ex->request.path;
    weir_http_file unread = {.failed = "opendir()"};
    weir_builder builder;
    weir_str path, name;
    DIR *folder;
    bool is_read;

    (void) location;
    if (uri.len == 0 || uri.data[uri.len - 1] != '/'
        || (method != WEIR_HTTP_GET && method != WEIR_HTTP_HEAD && method != WEIR_HTTP_POST)) {
        return WEIR_HTTP_PASS;
    }
    if (!weir_http_file_path(ex, &path)) {
        return WEIR_HTTP_FAILED;
    }
    if (weir_http_path_climbs(ex, path)) {
        return weir_http_file_refuse(ex, path, &unread, ENOENT);
    }
    folder = opendir(path.data);
    if (folder == NULL) {
        return weir_http_file_refuse(ex, path, &unread, errno);
    }
    is_read = pick(ex, folder, &name);
    (void) closedir(folder);
    if (!is_read || name.len == 0) {
        return is_read ? WEIR_HTTP_PASS : WEIR_HTTP_FAILED;
    }

    weir_builder_open(&builder, ex->pool, SIZE_MAX);
    weir_builder_add(&builder, uri);
    weir_builder_add(&builder, name);
    return weir_builder_close(&builder, &uri)
               ? weir_http_redirect_internal(ex, uri, ex->request.args)
               : WEIR_HTTP_FAILED;
}

static bool random_applies(const void *location)
{
    return ((const random_conf *) location)->is_on;
}

const weir_http_module weir_http_random_index = {
    .name = "http_random_index",
    .directives = random_directives,
    .conf_size = sizeof(random_conf),
    .phases = 1u << WEIR_HTTP_PHASE_CONTENT,
    .judge = random_judge,
    .applies = random_applies,
};
