/* Listening sockets across a binary upgrade: numbers of descriptors in the environment. */

#include "core/net/listener_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/number.h"

/* A number and a semicolon for each of some thousand sockets. */
#define HANDOVER_TEXT_MAX (128 * 1024)
#define HANDOVER_FD_MAX 1000000

static bool handover_set_cloexec(int fd, bool cloexec)
{
    return fcntl(fd, F_SETFD, cloexec ? FD_CLOEXEC : 0) != -1;
}

bool weir_listeners_export(const weir_listeners *listeners, weir_pool *pool, weir_str *text)
{
    weir_builder builder;

    weir_builder_open(&builder, pool, HANDOVER_TEXT_MAX);
    for (WEIR_LISTENERS_EACH(listeners, listener)) {
        for (size_t i = 0; i < listener->fd_count; i++) {
            if (!handover_set_cloexec(listener->fds[i], false)) {
                return false;
            }
            weir_builder_add_uint(&builder, (uint64_t) listener->fds[i]);
            weir_builder_add_byte(&builder, ';');
        }
    }
    return weir_builder_close(&builder, text);
}

/* ---- taking over */

static int handover_option(int fd, int level, int option)
{
    int value = 0;
    socklen_t len = sizeof(value);

    return getsockopt(fd, level, option, &value, &len) == -1 ? 0 : value;
}

/* What weir_listeners_open() compares with; the rest it sets again anyway. */
static void handover_read_options(weir_listener *listener, int fd)
{
    weir_listener_options *options = &listener->options;

    if (listener->addr.sa.sa_family == AF_INET6) {
        options->ipv6only = handover_option(fd, IPPROTO_IPV6, IPV6_V6ONLY) != 0;
    }
    if (!weir_addr_is_unix(&listener->addr)) {
        options->reuseport = handover_option(fd, SOL_SOCKET, SO_REUSEPORT) != 0;
        options->multipath = handover_option(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_MPTCP;
        options->deferred = handover_option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT) != 0;
        options->fastopen = handover_option(fd, IPPROTO_TCP, TCP_FASTOPEN);
    }
}

/* As it was opened: the mode of the socket itself, whatever was done to its file since. */
static const weir_listener_purpose *handover_purpose(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && (status.st_mode & ACCESSPERMS) == weir_listener_apart.mode
               ? &weir_listener_apart
               : &weir_listener_served;
}

/* False only without memory. */
static bool handover_add(weir_listeners *listeners, const weir_addr *addr, int fd)
{
    weir_listener *listener = weir_listeners_find(listeners, addr);
    int *fds;

    if (listener == NULL) {
        listener = weir_listeners_add(listeners, addr);
        if (listener == NULL) {
            return false;
        }
        listener->purpose = handover_purpose(fd);
        handover_read_options(listener, fd);
        weir_listener_note_file(listener);
    }

    fds = WEIR_NEW_ARRAY(listeners->pool, int, listener->fd_count + 1);
    if (fds == NULL) {
        return false;
    }
    if (listener->fd_count != 0) {
        memcpy(fds, listener->fds, listener->fd_count * sizeof(*fds));
    }
    fds[listener->fd_count++] = fd;
    listener->fds = fds;
    return true;
}

static bool handover_adopt(weir_listeners *listeners, int fd, const weir_log *log)
{
    weir_addr addr = {.len = sizeof(addr.un)};

    if (getsockname(fd, &addr.sa, &addr.len) == -1) {
        weir_log_line(log, WEIR_LOG_CRIT, errno, "getsockname() of the inherited socket #%d failed",
                      fd);
        return true;
    }
    if (!handover_option(fd, SOL_SOCKET, SO_ACCEPTCONN)) {
        weir_log_line(log, WEIR_LOG_CRIT, 0, "the inherited socket #%d does not listen, closed",
                      fd);
        close(fd); /* nginx hands over those of UDP, too: nobody would read from it */
        return true;
    }
    if (!handover_set_cloexec(fd, true) || fcntl(fd, F_SETFL, O_NONBLOCK) == -1) {
        weir_log_line(log, WEIR_LOG_CRIT, errno, "fcntl() of the inherited socket #%d failed", fd);
        return true;
    }
    return handover_add(listeners, &addr, fd);
}

weir_listeners *weir_listeners_inherit(weir_pool *pool, weir_str text, const weir_log *log)
{
    weir_listeners *listeners = weir_listeners_new(pool);
    weir_str rest = text, part;

    if (listeners == NULL) {
        return NULL;
    }
    weir_log_line(log, WEIR_LOG_NOTICE, 0, "using inherited sockets from \"%.*s\"",
                  WEIR_STR_ARG(text));

    while (weir_str_split(&rest, ';', &part)) {
        uint64_t fd;

        if (weir_str_is_empty(part)) {
            continue;
        }
        if (!weir_parse_uint(part, HANDOVER_FD_MAX, &fd)) {
            weir_log_line(log, WEIR_LOG_EMERG, 0,
                          "invalid socket number \"%.*s\" among the inherited ones, ignoring the "
                          "rest",
                          WEIR_STR_ARG(part));
            break;
        }
        if (!handover_adopt(listeners, (int) fd, log)) {
            return NULL;
        }
    }

    listeners->owner = getpid();
    listeners->giver = getppid();
    return listeners;
}
