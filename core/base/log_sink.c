#include "core/base/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/list.h"
#include "core/base/log_internal.h"

struct weir_log_file {
    weir_list link;
    const char *path;
    int fd; /* -1: not open */
    bool is_pipe;
    int64_t failed_s; /* when a write() last failed */
};

struct weir_log_files {
    weir_pool *pool;
    weir_list list;
};

static void log_files_clean(void *subject)
{
    weir_log_files_close(subject);
}

weir_log_files *weir_log_files_new(weir_pool *pool)
{
    weir_log_files *files = WEIR_NEW(pool, weir_log_files);

    if (files == NULL || weir_pool_on_free(pool, log_files_clean, files) == NULL) {
        return NULL;
    }

    files->pool = pool;
    weir_list_init(&files->list);
    return files;
}

weir_log_file *weir_log_files_get(weir_log_files *files, weir_str path)
{
    weir_log_file *file = NULL;

    while ((file = weir_log_files_next(files, file)) != NULL) {
        if (weir_str_eq(weir_log_file_path(file), path)) {
            return file;
        }
    }

    file = WEIR_NEW(files->pool, weir_log_file);
    if (file == NULL || (file->path = weir_str_z(files->pool, path)) == NULL) {
        return NULL;
    }

    file->fd = -1;
    weir_list_append(&files->list, &file->link);
    return file;
}

weir_log_file *weir_log_files_next(weir_log_files *files, weir_log_file *previous)
{
    weir_list *link = previous == NULL ? files->list.next : previous->link.next;

    return link == &files->list ? NULL : WEIR_OWNER(link, weir_log_file, link);
}

static void log_file_look(weir_log_file *file)
{
    struct stat stat;

    file->is_pipe = file->fd != -1 && fstat(file->fd, &stat) == 0 && S_ISFIFO(stat.st_mode);
}

/* -1, and logged, when it cannot be opened. */
static int log_file_open(const weir_log_file *file, const weir_log *log)
{
    int fd = open(file->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);

    if (fd == -1) {
        weir_log_line(log, WEIR_LOG_EMERG, errno, "open() \"%s\" failed", file->path);
    }

    return fd;
}

bool weir_log_files_open(weir_log_files *files, const weir_log *log)
{
    weir_log_file *file = NULL;

    while ((file = weir_log_files_next(files, file)) != NULL) {
        if (file->fd == -1) {
            file->fd = log_file_open(file, log);
            log_file_look(file);
        }

        if (file->fd == -1) {
            return false;
        }
    }

    return true;
}

/* Only regular files: a terminal or /dev/null is everybody's. */
static void log_file_give(int fd, const char *path, unsigned uid, const weir_log *log)
{
    struct stat stat;

    if (uid == (unsigned) -1 || fstat(fd, &stat) == -1 || !S_ISREG(stat.st_mode)
        || stat.st_uid == uid) {
        return;
    }

    if (fchown(fd, uid, (gid_t) -1) == -1) {
        weir_log_line(log, WEIR_LOG_EMERG, errno, "chown(\"%s\", %u) failed", path, uid);
    }
}

void weir_log_files_reopen(weir_log_files *files, unsigned uid, const weir_log *log)
{
    weir_log_file *file = NULL;

    while ((file = weir_log_files_next(files, file)) != NULL) {
        int fd = log_file_open(file, log);

        if (fd == -1) {
            continue;
        }

        log_file_give(fd, file->path, uid, log);

        if (file->fd == -1) {
            file->fd = fd;
        } else {
            if (dup3(fd, file->fd, O_CLOEXEC) == -1) {
                weir_log_line(log, WEIR_LOG_ALERT, errno, "dup3() of \"%s\" failed", file->path);
            }

            close(fd);
        }

        log_file_look(file);
    }
}

void weir_log_files_close(weir_log_files *files)
{
    weir_log_file *file = NULL;

    while ((file = weir_log_files_next(files, file)) != NULL) {
        if (file->fd != -1) {
            close(file->fd);
            file->fd = -1;
        }
    }
}

/* Half a line would make the next one unreadable, too.  On a full disk nobody else has written behind it. */
static void log_file_take_back(int fd, size_t written)
{
    off_t end = lseek(fd, 0, SEEK_CUR);
    struct stat stat;

    if (end >= (off_t) written && fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode)
        && stat.st_size == end) {
        (void) !ftruncate(fd, end - (off_t) written);
    }
}

static void log_file_lock(int fd, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET};
    int taken;

    do {
        taken = fcntl(fd, F_SETLKW, &lock);
    } while (taken == -1 && errno == EINTR);
}

/* A write of more than PIPE_BUF bytes to a pipe may be interleaved with those of other processes: hence the lock. */
static bool log_file_write_pipe(int fd, weir_str line)
{
    int error = 0;

    log_file_lock(fd, F_WRLCK);

    while (line.len != 0 && error == 0) {
        ssize_t written = write(fd, line.data, line.len);

        if (written != -1) {
            line = weir_str_from(line, (size_t) written);
        } else if (errno != EINTR) {
            error = errno;
        }
    }

    log_file_lock(fd, F_UNLCK);
    errno = error;
    return error == 0;
}

static bool log_file_write_whole(int fd, weir_str line)
{
    ssize_t written = write(fd, line.data, line.len);

    if (written > 0 && (size_t) written < line.len) {
        log_file_take_back(fd, (size_t) written);
        errno = ENOSPC;
    }

    return written == (ssize_t) line.len;
}

bool weir_log_file_write(weir_log_file *file, weir_str line)
{
    int64_t now_s = weir_clock_now()->wall_s;
    int fd = weir_log_file_fd(file);

    /* On a full disk a write() that fails may take long. */
    if (file->failed_s == now_s) {
        return true;
    }

    if (file->is_pipe ? log_file_write_pipe(fd, line) : log_file_write_whole(fd, line)) {
        return true;
    }

    file->failed_s = now_s;
    return false;
}

int weir_log_file_fd(const weir_log_file *file)
{
    return file->fd == -1 ? STDERR_FILENO : file->fd;
}

weir_str weir_log_file_path(const weir_log_file *file)
{
    return weir_str_from_z(file->path);
}

weir_log_target *weir_log_target_new(weir_pool *pool)
{
    weir_log_target *target = WEIR_NEW(pool, weir_log_target);

    if (target != NULL) {
        target->pool = pool;
    }

    return target;
}

static bool log_target_add(weir_log_target *target, log_sink sink)
{
    log_sink *added = WEIR_NEW(target->pool, log_sink);
    log_sink **end = &target->sinks;

    if (added == NULL) {
        return false;
    }

    while (*end != NULL) {
        end = &(*end)->next;
    }

    *added = sink;
    *end = added;

    if (target->level < sink.level) {
        target->level = sink.level;
    }

    return true;
}

bool weir_log_target_add_file(weir_log_target *target, weir_log_file *file, weir_log_level level)
{
    return log_target_add(target, (log_sink){.kind = LOG_SINK_FILE, .level = level, .file = file});
}

bool weir_log_target_add_syslog(weir_log_target *target, weir_syslog *syslog, weir_log_level level)
{
    return log_target_add(target,
                          (log_sink){.kind = LOG_SINK_SYSLOG, .level = level, .syslog = syslog});
}

bool weir_log_target_add_stderr(weir_log_target *target, weir_log_level level)
{
    return log_target_add(target, (log_sink){.kind = LOG_SINK_STDERR, .level = level});
}

bool weir_log_target_add_console(weir_log_target *target, weir_log_level level)
{
    return log_target_add(target, (log_sink){.kind = LOG_SINK_CONSOLE, .level = level});
}

const weir_log_target *weir_log_target_stderr(void)
{
    static log_sink console = {.kind = LOG_SINK_CONSOLE, .level = WEIR_LOG_CONSOLE_LEVEL};
    static const weir_log_target target = {.level = WEIR_LOG_CONSOLE_LEVEL, .sinks = &console};

    return &target;
}
