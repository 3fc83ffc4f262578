#include "core/process/daemon_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* In the process that was started: waits for a byte, or for the end. */
static int daemon_wait(int fd)
{
    char byte;
    ssize_t len;

    do {
        len = read(fd, &byte, 1);
    } while (len == -1 && errno == EINTR);

    return len == 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static bool daemon_detach(const weir_log *log)
{
    int null;

    if (setsid() == -1) {
        weir_log_line(log, WEIR_LOG_EMERG, errno, "setsid() failed");
        return false;
    }

    umask(0);

    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null == -1 || dup2(null, STDIN_FILENO) == -1 || dup2(null, STDOUT_FILENO) == -1) {
        weir_log_line(log, WEIR_LOG_EMERG, errno, "open() \"/dev/null\" failed");
        return false;
    }

    if (null > STDERR_FILENO) {
        close(null);
    }

    return true;
}

bool weir_daemon_begin(weir_daemon *daemon, const weir_log *log)
{
    int fds[2];
    pid_t pid;

    daemon->told = -1;

    if (pipe2(fds, O_CLOEXEC) == -1) {
        weir_log_line(log, WEIR_LOG_EMERG, errno, "pipe() failed");
        return false;
    }

    pid = fork();
    if (pid == -1) {
        weir_log_line(log, WEIR_LOG_EMERG, errno, "fork() failed");
        close(fds[0]);
        close(fds[1]);
        return false;
    }

    if (pid != 0) {
        int code;

        close(fds[1]);
        code = daemon_wait(fds[0]);
        if (code != EXIT_SUCCESS) {
            weir_log_line(NULL, WEIR_LOG_EMERG, 0, "could not start, the error log says why");
        }

        /* Clean-ups and buffers are those of the one that goes on. */
        _exit(code);
    }

    close(fds[0]);
    daemon->told = fds[1];
    return daemon_detach(log);
}

void weir_daemon_settled(weir_daemon *daemon)
{
    if (daemon->told == -1) {
        return;
    }

    /* If it is gone, it was not waiting any more. */
    if (write(daemon->told, "", 1) == -1) {
        errno = 0;
    }

    close(daemon->told);
    daemon->told = -1;
}
