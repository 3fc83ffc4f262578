#include "modules/http/engine/engine_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"

/* Two numbers in hexadecimal, a hyphen, and quotes. */
#define ETAG_MAX 40

/* A pipe that nobody writes to must not stop the worker. */
#define READ_FLAGS (O_RDONLY | O_NONBLOCK | O_CLOEXEC)

/* ---- the kernel's word */

static void file_of(const struct stat *found, weir_http_file *file)
{
    file->is_folder = S_ISDIR(found->st_mode);
    file->is_regular = S_ISREG(found->st_mode);
    file->size = (uint64_t) found->st_size;
    file->modified_s = found->st_mtime;
    file->device = found->st_dev;
    file->inode = found->st_ino;
}

/* One component of a path; a link is ELOOP, or must be of the owner of what it leads to. */
static int open_component(int folder, const char *name, int flags, weir_http_symlinks links)
{
    struct stat link, target;
    int fd;

    if (fstatat(folder, name, &link, AT_SYMLINK_NOFOLLOW) != 0) {
        return -1;
    }
    if (links == WEIR_HTTP_SYMLINKS_REFUSED) {
        if (S_ISLNK(link.st_mode)) {
            errno = ELOOP;
            return -1;
        }
        return openat(folder, name, flags | O_NOFOLLOW);
    }
    fd = openat(folder, name, flags);
    if (fd != -1 && (fstat(fd, &target) != 0 || target.st_uid != link.st_uid)) {
        (void) close(fd);
        errno = ELOOP;
        return -1;
    }
    return fd;
}

/* The length of the path's beginning in which links are not looked for. */
static size_t trusted_part(weir_http_exchange *ex, weir_str path)
{
    const weir_template *template = ex->core->symlinks.from;
    weir_str from;

    if (template == NULL || !weir_template_text(template, &ex->script, &from)
        || !weir_str_starts(path, from)) {
        return 0;
    }
    return from.len == path.len || (from.len != 0 && from.data[from.len - 1] == '/')
                   || path.data[from.len] == '/'
               ? from.len
               : 0;
}

/* Opens a path component by component. -1: errno. */
static int open_without_links(weir_http_exchange *ex, weir_str path, int flags)
{
    size_t trusted = trusted_part(ex, path);
    weir_http_symlinks links = (weir_http_symlinks) ex->core->symlinks.kind;
    weir_str rest = weir_str_from(path, trusted);
    weir_str name = WEIR_STR_EMPTY;
    const char *start;
    int folder;

    if (trusted == path.len) {
        return open(path.data, flags);
    }
    start = trusted != 0          ? weir_str_z(ex->pool, weir_str_slice(path, 0, trusted))
            : path.data[0] == '/' ? "/"
                                  : ".";
    folder = start == NULL ? -1 : open(start, O_PATH | O_DIRECTORY | O_CLOEXEC);
    while (folder != -1 && weir_str_split(&rest, '/', &name)) {
        const char *z = name.len == 0 ? "." : weir_str_z(ex->pool, name);
        bool is_last = rest.len == 0;
        int next = z == NULL
                       ? -1
                       : open_component(folder, z,
                                        is_last ? flags : O_PATH | O_DIRECTORY | O_CLOEXEC, links);
        int error = errno;

        (void) close(folder);
        errno = error;
        folder = next;
        if (is_last) {
            break;
        }
    }
    return folder;
}

/* 0, or an error; with `is_to_be_opened` file->fd is the caller's. */
static int ask_kernel(weir_http_exchange *ex, weir_str path, bool is_to_be_opened,
                      weir_http_file *file)
{
    bool has_links = ex->core->symlinks.kind == WEIR_HTTP_SYMLINKS_TAKEN;
    struct stat found;
    int error;

    file->fd = -1;
    if (!is_to_be_opened && has_links) {
        file->failed = "stat()";
        if (stat(path.data, &found) != 0) {
            return errno;
        }
        file_of(&found, file);
        return 0;
    }

    int flags = is_to_be_opened ? READ_FLAGS : O_PATH | O_CLOEXEC;
    int fd = has_links ? open(path.data, flags) : open_without_links(ex, path, flags);

    file->failed = "open()";
    if (fd == -1) {
        return errno;
    }
    error = fstat(fd, &found) == 0 ? 0 : errno;
    if (error != 0) {
        file->failed = "fstat()";
    } else {
        file_of(&found, file);
    }
    if (error != 0 || file->is_folder || !is_to_be_opened) {
        (void) close(fd);
        return error;
    }
    if (ex->core->read_ahead != 0) {
        (void) posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    }
    file->fd = fd;
    if (file->is_regular && file->size >= ex->core->directio) {
        file->is_direct = fcntl(fd, F_SETFL, READ_FLAGS | O_DIRECT) == 0;
        if (!file->is_direct) {
            weir_log_line(&ex->log, WEIR_LOG_INFO, errno,
                          "fcntl(O_DIRECT) \"%.*s\" failed: it is read through the page cache",
                          WEIR_STR_ARG(path));
        }
    }
    return 0;
}

/* ---- open_file_cache */

typedef struct {
    weir_list bucket, recent;
    weir_str path; /* behind this */
    weir_http_file file;
    int error;
    uint64_t uses;
    uint64_t checked_ms, used_ms;
    unsigned references; /* of exchanges that read from its descriptor */
    uint64_t min_uses;
    bool is_cached; /* false: it goes with its last reference */
} cached_file;

struct weir_http_file_cache {
    uint64_t max, inactive_ms;
    /* What follows is a worker's own. */
    weir_list *buckets;  /* NULL: nothing was looked for yet */
    size_t bucket_count; /* a power of two */
    weir_list recent;    /* the last used first */
    uint64_t count;
};

static void entry_free(cached_file *entry)
{
    if (entry->file.fd != -1) {
        (void) close(entry->file.fd);
    }
    free(entry);
}

static void entry_drop(weir_http_file_cache *cache, cached_file *entry)
{
    weir_list_remove(&entry->bucket);
    weir_list_remove(&entry->recent);
    entry->is_cached = false;
    cache->count--;
    if (entry->references == 0) {
        entry_free(entry);
    }
}

static void cache_free(void *subject)
{
    weir_http_file_cache *cache = subject;
    weir_list *link;

    if (cache->buckets == NULL) {
        return;
    }
    while ((link = weir_list_first(&cache->recent)) != NULL) {
        entry_drop(cache, WEIR_OWNER(link, cached_file, recent));
    }
    free(cache->buckets);
    cache->buckets = NULL;
}

weir_http_file_cache *weir_http_file_cache_new(weir_conf *conf, uint64_t max, uint64_t inactive_ms)
{
    weir_http_file_cache *cache = WEIR_NEW(weir_conf_pool(conf), weir_http_file_cache);

    if (cache == NULL || weir_pool_on_free(weir_conf_pool(conf), cache_free, cache) == NULL) {
        weir_conf_refuse(conf, "no memory for \"open_file_cache\"");
        return NULL;
    }
    cache->max = max;
    cache->inactive_ms = inactive_ms;
    return cache;
}

static bool cache_begin(weir_http_file_cache *cache)
{
    if (cache->buckets != NULL) {
        return true;
    }
    cache->bucket_count = 16;
    while (cache->bucket_count < cache->max && cache->bucket_count < 65536) {
        cache->bucket_count *= 2;
    }
    cache->buckets = calloc(cache->bucket_count, sizeof(*cache->buckets));
    if (cache->buckets == NULL) {
        return false;
    }
    for (size_t i = 0; i < cache->bucket_count; i++) {
        weir_list_init(&cache->buckets[i]);
    }
    weir_list_init(&cache->recent);
    return true;
}

static weir_list *bucket_of(const weir_http_file_cache *cache, weir_str key)
{
    return &cache->buckets[weir_str_hash(key) & (cache->bucket_count - 1)];
}

static cached_file *entry_find(weir_http_file_cache *cache, weir_str key)
{
    weir_list *bucket = bucket_of(cache, key);

    for (weir_list *link = bucket->next; link != bucket; link = link->next) {
        cached_file *entry = WEIR_OWNER(link, cached_file, bucket);

        if (weir_str_eq(entry->path, key)) {
            return entry;
        }
    }
    return NULL;
}

/* A few of those that nobody has used for long; one more when there is no room. */
static void cache_expire(weir_http_file_cache *cache, uint64_t now_ms)
{
    for (unsigned i = 0; i < 3 && !weir_list_is_empty(&cache->recent); i++) {
        cached_file *entry = WEIR_OWNER(cache->recent.previous, cached_file, recent);

        if (cache->count < cache->max && now_ms - entry->used_ms <= cache->inactive_ms) {
            return;
        }
        entry_drop(cache, entry);
    }
}

/* NULL: no memory. */
static cached_file *entry_add(weir_http_file_cache *cache, weir_str key, uint64_t now_ms)
{
    cached_file *entry;

    cache_expire(cache, now_ms);
    entry = calloc(1, sizeof(*entry) + key.len);
    if (entry == NULL) {
        return NULL;
    }
    memcpy(entry + 1, key.data, key.len);
    entry->path = weir_str_of((const char *) (entry + 1), key.len);
    entry->file.fd = -1;
    entry->is_cached = true;
    entry->used_ms = now_ms;
    weir_list_append(bucket_of(cache, key), &entry->bucket);
    weir_list_prepend(&cache->recent, &entry->recent);
    cache->count++;
    return entry;
}

/* The same path, looked at with other eyes for links, is another entry. */
static weir_str key_of(weir_http_exchange *ex, weir_str path)
{
    weir_builder builder;
    weir_str key;

    if (ex->core->symlinks.kind == WEIR_HTTP_SYMLINKS_TAKEN) {
        return path;
    }
    weir_builder_open(&builder, ex->pool, SIZE_MAX);
    weir_builder_add_uint(&builder, ex->core->symlinks.kind);
    weir_builder_add_byte(&builder, ' ');
    weir_builder_add_uint(&builder, trusted_part(ex, path));
    weir_builder_add(&builder, path);
    return weir_builder_close(&builder, &key) ? key : WEIR_STR_EMPTY;
}

static bool is_same_file(const weir_http_file *a, const weir_http_file *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size
           && a->modified_s == b->modified_s;
}

/* Asks again, and keeps a descriptor that is still the path's. */
static void entry_refresh(weir_http_exchange *ex, cached_file *entry, weir_str path,
                          bool is_to_be_opened, uint64_t now_ms)
{
    weir_http_file fresh = {.fd = -1};
    bool has_descriptor = entry->file.fd != -1;

    entry->error = ask_kernel(ex, path, is_to_be_opened && !has_descriptor, &fresh);
    if (has_descriptor && entry->error == 0 && is_same_file(&entry->file, &fresh)) {
        fresh.fd = entry->file.fd;
    } else if (has_descriptor && entry->error == 0 && is_to_be_opened) {
        entry->error = ask_kernel(ex, path, true, &fresh);
    }
    if (has_descriptor && fresh.fd != entry->file.fd) {
        (void) close(entry->file.fd);
    }
    entry->file = fresh;
    entry->checked_ms = now_ms;
}

static void entry_release(void *subject)
{
    cached_file *entry = subject;

    if (--entry->references != 0) {
        return;
    }
    if (!entry->is_cached) {
        entry_free(entry);
    } else if (entry->uses < entry->min_uses) {
        (void) close(entry->file.fd);
        entry->file.fd = -1;
    }
}

static bool is_fresh(const weir_http_exchange *ex, const cached_file *entry, bool is_to_be_opened,
                     uint64_t now_ms)
{
    if (now_ms - entry->checked_ms >= ex->core->open_file_cache_valid_s * 1000) {
        return false;
    }
    return entry->error != 0 || !is_to_be_opened || entry->file.is_folder || entry->file.fd != -1;
}

/* An entry that is as the file is now.  NULL: no memory. */
static cached_file *entry_get(weir_http_exchange *ex, weir_http_file_cache *cache, weir_str path,
                              bool is_to_be_opened)
{
    uint64_t now_ms = weir_clock_now()->monotonic_ms;
    weir_str key = key_of(ex, path);
    cached_file *entry = key.len == 0 || !cache_begin(cache) ? NULL : entry_find(cache, key);
    bool is_known = entry != NULL;

    if (is_known && entry->references != 0 && !is_fresh(ex, entry, is_to_be_opened, now_ms)) {
        /* Others read from its descriptor: it stays theirs. */
        entry_drop(cache, entry);
        is_known = false;
    }
    if (!is_known) {
        entry = key.len == 0 || cache->buckets == NULL ? NULL : entry_add(cache, key, now_ms);
        if (entry == NULL) {
            return NULL;
        }
    }
    if (is_known && now_ms - entry->used_ms > cache->inactive_ms) {
        entry->uses = 0;
    }
    if (!is_known || !is_fresh(ex, entry, is_to_be_opened, now_ms)) {
        entry_refresh(ex, entry, path, is_to_be_opened, now_ms);
    }
    entry->uses++;
    entry->used_ms = now_ms;
    entry->min_uses = ex->core->open_file_cache_min_uses;
    weir_list_remove(&entry->recent);
    weir_list_prepend(&cache->recent, &entry->recent);
    return entry;
}

static int find_in_cache(weir_http_exchange *ex, weir_http_file_cache *cache, weir_str path,
                         bool is_to_be_opened, weir_http_file *file)
{
    cached_file *entry = entry_get(ex, cache, path, is_to_be_opened);

    if (entry == NULL) {
        file->failed = "open()";
        return ENOMEM;
    }
    *file = entry->file;
    if (entry->error != 0) {
        int error = entry->error;

        if (!ex->core->open_file_cache_errors) {
            entry_drop(cache, entry);
        }
        return error;
    }
    if (!is_to_be_opened) {
        file->fd = -1;
    } else if (file->fd != -1) {
        if (weir_pool_on_free(ex->pool, entry_release, entry) == NULL) {
            return ENOMEM;
        }
        entry->references++;
    }
    return 0;
}

/* ---- for modules */

static void file_close(void *subject)
{
    (void) close((int) (intptr_t) subject);
}

bool weir_http_path_climbs(const weir_http_exchange *ex, weir_str path)
{
    return weir_template_climbs(ex->core->root.template, path);
}

int weir_http_file_find(weir_http_exchange *ex, weir_str path, bool is_to_be_opened,
                        weir_http_file *file)
{
    weir_http_file found = {.fd = -1};
    int error;

    if (weir_http_path_climbs(ex, path)) {
        found.failed = "\"..\" came with a value: open()";
        *file = found;
        return ENOENT;
    }
    if (ex->core->open_file_cache != NULL) {
        error = find_in_cache(ex, ex->core->open_file_cache, path, is_to_be_opened, &found);
    } else {
        error = ask_kernel(ex, path, is_to_be_opened, &found);
        if (error == 0 && found.fd != -1
            && weir_pool_on_free(ex->pool, file_close, (void *) (intptr_t) found.fd) == NULL) {
            (void) close(found.fd);
            error = ENOMEM;
        }
    }
    *file = found;
    return error;
}

/* What is not there or not to be seen is the client's matter; the rest is ours. */
weir_http_verdict weir_http_file_refuse(weir_http_exchange *ex, weir_str path,
                                        const weir_http_file *file, int error)
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
        weir_log_line(&ex->log, level, error, "%s \"%.*s\" failed", file->failed,
                      WEIR_STR_ARG(path));
    }
    return weir_http_answer_because(ex, status, "file cannot be opened");
}

/* Of time and size, as nginx's: several machines that have the same files agree. */
static bool set_etag(weir_http_exchange *ex, const weir_http_file *file)
{
    weir_builder builder;
    weir_str etag;

    weir_builder_open(&builder, ex->pool, ETAG_MAX);
    weir_builder_add_byte(&builder, '"');
    weir_builder_add_hex(&builder, (uint64_t) file->modified_s);
    weir_builder_add_byte(&builder, '-');
    weir_builder_add_hex(&builder, file->size);
    weir_builder_add_byte(&builder, '"');
    return weir_builder_close(&builder, &etag)
           && weir_http_fields_set(&ex->response.fields, WEIR_HTTP_ETAG, etag);
}

bool weir_http_file_answer(weir_http_exchange *ex, const weir_http_file *file)
{
    weir_http_response *response = &ex->response;

    if (ex->core->etag && !set_etag(ex, file)) {
        return false;
    }
    response->status = 200;
    response->content_length = (int64_t) file->size;
    response->last_modified_s = file->modified_s;
    /* An origin that redirected here may have said it (X-Accel-Redirect). */
    if (response->content_type.len == 0) {
        response->content_type = weir_http_content_type(ex->core, ex->request.extension);
    }
    ex->body_is_direct = file->is_direct;
    weir_chain_clear(&ex->body);
    return weir_chain_add_file(&ex->body, file->fd, 0, file->size);
}
