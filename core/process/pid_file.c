#include "core/process/pid_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "core/base/number.h"

/* errno tells why not. */
static bool pid_file_may_be_made(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t) (slash - path) + 1;

    if (len >= sizeof(folder)) {
        errno = ENAMETOOLONG;
        return false;
    }

    memcpy(folder, path, len);
    folder[len] = '\0';
    return faccessat(AT_FDCWD, len == 0 ? "." : folder, W_OK | X_OK, AT_EACCESS) == 0;
}

bool weir_pid_file_try(const char *path, const weir_log *log)
{
    int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

    if (fd != -1) {
        close(fd);
        return true;
    }

    if (errno != ENOENT || !pid_file_may_be_made(path)) {
        weir_log_line(log, WEIR_LOG_EMERG, errno, "open() \"%s\" failed", path);
        return false;
    }

    return true;
}

bool weir_pid_file_write(const char *path, const weir_log *log)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    char buffer[32];
    weir_builder text;
    weir_str line;
    bool is_written;

    if (fd == -1) {
        weir_log_line(log, WEIR_LOG_EMERG, errno, "open() \"%s\" failed", path);
        return false;
    }

    weir_builder_over(&text, buffer, sizeof(buffer));
    weir_builder_add_int(&text, getpid());
    weir_builder_add_byte(&text, '\n');
    line = weir_builder_cut(&text);

    is_written = write(fd, line.data, line.len) == (ssize_t) line.len;
    if (!is_written) {
        weir_log_line(log, WEIR_LOG_EMERG, errno, "write() \"%s\" failed", path);
    }

    close(fd);
    return is_written;
}

/* What the file holds, without the end of its line; -1, errno set. */
static ssize_t pid_file_get(const char *path, char *buffer, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len;

    if (fd == -1) {
        return -1;
    }

    len = read(fd, buffer, size);
    close(fd);

    while (len > 0 && (buffer[len - 1] == '\n' || buffer[len - 1] == '\r')) {
        len--;
    }

    return len;
}

bool weir_pid_file_read(const char *path, pid_t *pid, const weir_log *log)
{
    char buffer[32];
    ssize_t len = pid_file_get(path, buffer, sizeof(buffer));
    uint64_t number;

    if (len == -1) {
        weir_log_line(log, WEIR_LOG_ERR, errno, "open() \"%s\" failed", path);
        return false;
    }

    if (!weir_parse_uint(weir_str_of(buffer, (size_t) len), INT32_MAX, &number) || number == 0) {
        weir_log_line(log, WEIR_LOG_ERR, 0, "invalid PID number \"%.*s\" in \"%s\"", (int) len,
                      buffer, path);
        return false;
    }

    *pid = (pid_t) number;
    return true;
}

void weir_pid_file_remove(const char *path, const weir_log *log)
{
    char buffer[32];
    ssize_t len = pid_file_get(path, buffer, sizeof(buffer));
    uint64_t number;

    if (len == -1 || !weir_parse_uint(weir_str_of(buffer, (size_t) len), INT32_MAX, &number)
        || (pid_t) number != getpid()) {
        return;
    }

    if (unlink(path) == -1) {
        weir_log_line(log, WEIR_LOG_ALERT, errno, "unlink() \"%s\" failed", path);
    }
}
