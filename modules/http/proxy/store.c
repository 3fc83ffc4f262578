#include "modules/http/proxy/proxy_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/folders.h"
#include "core/base/random.h"

/*
 * proxy_store: whole responses are left in files, for others to serve.  One is written without a name beside the way
 * to the client, and gets its name once its last byte has come: nobody meets half of it, and nothing is left of those that break.
 */

/* What one call of the kernel's copies at most. */
#define COPY_BYTES ((size_t) 1 << 30)

typedef struct proxy_store {
    proxy_state *proxy;
    int fd; /* -1: done, or given up */
    weir_str path;
} proxy_store;

/* ---- directives */

/* proxy_store on | off | PATH */
bool proxy_store_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    proxy_conf *proxy = settings;
    weir_str path = statement->args[1];

    proxy->store.is_on = !weir_str_eq(path, WEIR_STR("off"));
    proxy->store.path = NULL;
    if (!proxy->store.is_on || weir_str_eq(path, WEIR_STR("on"))) {
        return true;
    }
    if (path.data[0] != '$' && !weir_conf_prefix_path(conf, path, &path)) {
        return false;
    }
    proxy->store.path = weir_template_new(conf, weir_space_of(conf, "http"), path);
    return proxy->store.path != NULL;
}

/* "user:rw": adds bits to `*mode`. */
static bool access_take(weir_str text, unsigned *mode)
{
    static const struct {
        const char *name;
        unsigned shift;
    } whose[] = {{"user", 6}, {"group", 3}, {"all", 0}};
    weir_str rest = text;
    weir_str name;

    if (!weir_str_split(&rest, ':', &name)) {
        return false;
    }
    for (size_t i = 0; i < WEIR_COUNT(whose); i++) {
        if (weir_str_eq(name, weir_str_from_z(whose[i].name))) {
            unsigned bits = weir_str_eq(rest, WEIR_STR("r"))    ? 4
                            : weir_str_eq(rest, WEIR_STR("rw")) ? 6
                                                                : 0;

            *mode |= bits << whose[i].shift;
            return bits != 0;
        }
    }
    return false;
}

/* proxy_store_access USERS:PERMISSIONS ...; the user may read and write where nothing is said of it. */
bool proxy_store_access_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    proxy_conf *proxy = settings;
    unsigned mode = 0;

    for (size_t i = 1; i < statement->count; i++) {
        if (!access_take(statement->args[i], &mode)) {
            return weir_conf_refuse_arg(conf, statement, i, "invalid value \"%.*s\"",
                                        WEIR_STR_ARG(statement->args[i]));
        }
    }
    proxy->store_access.mode = (mode & 0600) != 0 ? mode : mode | 0600;
    return true;
}

/* ---- one response */

static void store_close(proxy_store *store)
{
    if (store->fd != -1) {
        (void) close(store->fd);
        store->fd = -1;
    }
}

static void store_free(void *subject)
{
    store_close(subject);
}

/* Whatever goes wrong is told, and the response goes on to the client alone. */
static void store_give_up(proxy_store *store, const char *call, int error)
{
    weir_log_line(&store->proxy->ex->log, WEIR_LOG_CRIT, error,
                  "%s failed, the response is not stored as \"%.*s\"", call,
                  WEIR_STR_ARG(store->path));
    store_close(store);
}

static bool store_path(proxy_store *store)
{
    const proxy_state *proxy = store->proxy;

    const weir_template *template = proxy->conf->store.path;

    if (template == NULL) {
        template = proxy->ex->core->root.template;
        if (!weir_http_file_path(proxy->ex, &store->path)) {
            return false;
        }
    } else if (!weir_template_text(template, &proxy->ex->script, &store->path)
               || weir_str_find_byte(store->path, '\0') != NULL) {
        return false;
    }
    if (weir_template_climbs(template, store->path)) {
        weir_log_line(&proxy->ex->log, WEIR_LOG_ERR, 0,
                      "the response is not stored as \"%.*s\": \"..\" came with a value",
                      WEIR_STR_ARG(store->path));
        return false;
    }
    return true;
}

void proxy_store_begin(proxy_state *proxy)
{
    const proxy_conf *conf = proxy->conf;
    weir_http_exchange *ex = proxy->ex;
    proxy_store *store;

    if (!conf->store.is_on || ex->response.status != 200 || ex->request.method == WEIR_HTTP_HEAD) {
        return;
    }
    store = WEIR_NEW(ex->pool, proxy_store);
    if (store == NULL) {
        return;
    }
    store->proxy = proxy;
    store->fd = -1;
    if (!store_path(store) || weir_pool_on_free(ex->pool, store_free, store) == NULL) {
        store_give_up(store, "finding its path", 0);
        return;
    }
    /* Paths of the configuration are followed by a NUL. */
    store->fd = open(conf->temp_path.data, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (store->fd == -1) {
        store_give_up(store, "open() of a temporary file", errno);
        return;
    }
    proxy->store = store;
}

/* Into the page cache, which does not wait. */
void proxy_store_write(proxy_state *proxy, weir_str bytes)
{
    proxy_store *store = proxy->store;

    while (store->fd != -1 && bytes.len != 0) {
        ssize_t written = write(store->fd, bytes.data, bytes.len);

        if (written >= 0) {
            bytes = weir_str_from(bytes, (size_t) written);
        } else if (errno != EINTR) {
            store_give_up(store, "write()", errno);
        }
    }
}

/* On another file system than the temporary files': all of it is copied.  -1: errno. */
static int copy_to(int from, const char *path)
{
    int to = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    off_t offset = 0;
    ssize_t copied;

    if (to == -1) {
        return -1;
    }
    do {
        copied = sendfile(to, from, &offset, COPY_BYTES);
    } while (copied > 0 || (copied < 0 && errno == EINTR));
    if (copied < 0) {
        int error = errno;

        (void) close(to);
        (void) unlink(path);
        errno = error;
        return -1;
    }
    return to;
}

/* Gives the file `name`, where nothing is. Its descriptor there is store->fd.  False: errno. */
static bool store_name(proxy_store *store, const char *name)
{
    char self[32];
    int copy;

    (void) snprintf(self, sizeof(self), "/proc/self/fd/%d", store->fd);
    if (linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0) {
        return true;
    }
    if (errno != EXDEV) {
        return false;
    }
    copy = copy_to(store->fd, name);
    if (copy == -1) {
        return false;
    }
    (void) close(store->fd);
    store->fd = copy;
    return true;
}

/* As old as the origin says it is, so that conditions on its time hold. */
static void store_date(const proxy_store *store)
{
    weir_str date = weir_http_fields_value(&store->proxy->answer.fields, WEIR_HTTP_LAST_MODIFIED);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {0}};
    int64_t seconds;

    if (weir_clock_parse_http(date, &seconds)) {
        times[1].tv_sec = (time_t) seconds;
        (void) futimens(store->fd, times);
    }
}

void proxy_store_end(proxy_state *proxy)
{
    proxy_store *store = proxy->store;
    weir_pool *pool = proxy->ex->pool;
    unsigned mode = proxy->conf->store_access.mode;
    const char *path = weir_str_z(pool, store->path);
    weir_builder builder;
    weir_str name;

    if (store->fd == -1) {
        return;
    }
    weir_builder_open(&builder, pool, SIZE_MAX);
    weir_builder_add(&builder, store->path);
    weir_builder_add_byte(&builder, '.');
    weir_builder_add_padded(&builder, weir_random_fast() % 10000000000, 10);
    weir_builder_add_byte(&builder, '\0');
    if (path == NULL || !weir_builder_close(&builder, &name)) {
        store_give_up(store, "naming it", ENOMEM);
        return;
    }
    /* Who may read a file may go through the folders to it; we make it there. */
    if (!weir_folders_make(path, 0700 | mode | ((mode & 0444) >> 2))) {
        store_give_up(store, "mkdir()", errno);
        return;
    }
    if (!store_name(store, name.data)) {
        store_give_up(store, "linkat()", errno);
        return;
    }
    (void) fchmod(store->fd, mode);
    store_date(store);
    if (rename(name.data, path) != 0) {
        int error = errno;

        (void) unlink(name.data);
        store_give_up(store, "rename()", error);
        return;
    }
    store_close(store);
}
