/* The listening sockets of a configuration: which there are; opening and closing them. */

#include "core/net/listener_internal.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LISTENER_PROXY_TIMEOUT_PRESET_MS 30000
#define LISTENER_POOL_PRESET_BYTES 512
/* An address in use may become free: what listened there is just ending. */
#define LISTENER_BIND_TRIES 6
#define LISTENER_BIND_PAUSE_MS 100
/* Long enough for a slow client's first bytes; what the kernel makes of it are some retransmissions. */
#define LISTENER_DEFER_SECONDS 1
/* A path with the number of a process and ".old" behind it. */
#define FILE_ASIDE_MAX (sizeof(((struct sockaddr_un *) NULL)->sun_path) + 32)

/* ---- which there are */

weir_listeners *weir_listeners_new(weir_pool *pool)
{
    weir_listeners *listeners = WEIR_NEW(pool, weir_listeners);

    if (listeners != NULL) {
        listeners->pool = pool;
        listeners->workers = 1;
        listeners->end = &listeners->first;
    }
    return listeners;
}

weir_listener *weir_listeners_find(const weir_listeners *listeners, const weir_addr *addr)
{
    if (listeners != NULL) {
        for (WEIR_LISTENERS_EACH(listeners, listener)) {
            if (weir_addr_eq(&listener->addr, addr)) {
                return listener;
            }
        }
    }
    return NULL;
}

const weir_listener_purpose weir_listener_served = {.is_served = true, .mode = 0666};
const weir_listener_purpose weir_listener_apart = {.mode = 0600, .takes_over = true};

weir_listener *weir_listeners_add(weir_listeners *listeners, const weir_addr *addr)
{
    weir_listener *listener = WEIR_NEW(listeners->pool, weir_listener);

    if (listener == NULL) {
        return NULL;
    }
    *listeners->end = listener;
    listeners->end = &listener->next;

    listener->addr = *addr;
    listener->purpose = &weir_listener_served;
    listener->owner = listeners;
    listener->options.backlog = WEIR_LISTENER_BACKLOG;
    listener->options.keepalive = -1;
    listener->options.ipv6only = true;
    listener->proxy_protocol_timeout_ms = LISTENER_PROXY_TIMEOUT_PRESET_MS;
    listener->connection_pool_bytes = LISTENER_POOL_PRESET_BYTES;
    listener->event.fd = -1;
    listener->event.name = "listener";
    return listener;
}

weir_listener *weir_listeners_get(weir_listeners *listeners, const weir_addr *addr, bool *is_new)
{
    weir_listener *listener = weir_listeners_find(listeners, addr);

    *is_new = listener == NULL;
    return listener != NULL ? listener : weir_listeners_add(listeners, addr);
}

weir_listener *weir_listeners_at(const weir_listeners *listeners, size_t i)
{
    for (WEIR_LISTENERS_EACH(listeners, listener)) {
        if (i-- == 0) {
            return listener;
        }
    }
    return NULL;
}

/* ---- options */

static void listener_log(const weir_listener *listener, const weir_log *log, int error,
                         const char *call)
{
    char text[WEIR_ADDR_TEXT_MAX];
    weir_str addr = weir_addr_text(&listener->addr, true, text);

    weir_log_line(log, WEIR_LOG_EMERG, error, "%s %.*s failed", call, WEIR_STR_ARG(addr));
}

/* `setsockopt(NAME) failed` for the listener's address. */
static bool listener_set_option(const weir_listener *listener, int fd, int level, int option,
                                int value, const char *name, const weir_log *log)
{
    char text[WEIR_ADDR_TEXT_MAX];
    weir_str addr;

    if (setsockopt(fd, level, option, &value, sizeof(value)) == 0) {
        return true;
    }
    addr = weir_addr_text(&listener->addr, true, text);
    weir_log_line(log, WEIR_LOG_ALERT, errno, "setsockopt(%s, %d) %.*s failed, ignored", name,
                  value, WEIR_STR_ARG(addr));
    return false;
}

static void listener_apply_keepalive(const weir_listener *listener,
                                     const weir_listener_options *before, int fd,
                                     const weir_log *log)
{
    const weir_listener_options *options = &listener->options;

    if (options->keepalive == -1 && (before == NULL || before->keepalive == -1)) {
        return;
    }
    listener_set_option(listener, fd, SOL_SOCKET, SO_KEEPALIVE, options->keepalive == 1,
                        "SO_KEEPALIVE", log);
    if (options->keepalive_idle_s != 0) {
        listener_set_option(listener, fd, IPPROTO_TCP, TCP_KEEPIDLE, options->keepalive_idle_s,
                            "TCP_KEEPIDLE", log);
    }
    if (options->keepalive_interval_s != 0) {
        listener_set_option(listener, fd, IPPROTO_TCP, TCP_KEEPINTVL, options->keepalive_interval_s,
                            "TCP_KEEPINTVL", log);
    }
    if (options->keepalive_probes != 0) {
        listener_set_option(listener, fd, IPPROTO_TCP, TCP_KEEPCNT, options->keepalive_probes,
                            "TCP_KEEPCNT", log);
    }
}

/* What may change while the socket listens; `before` NULL: it is new. */
static void listener_apply(const weir_listener *listener, const weir_listener_options *before,
                           int fd, const weir_log *log)
{
    const weir_listener_options *options = &listener->options;

    if (options->rcvbuf != 0) {
        listener_set_option(listener, fd, SOL_SOCKET, SO_RCVBUF, options->rcvbuf, "SO_RCVBUF", log);
    }
    if (options->sndbuf != 0) {
        listener_set_option(listener, fd, SOL_SOCKET, SO_SNDBUF, options->sndbuf, "SO_SNDBUF", log);
    }
    listener_apply_keepalive(listener, before, fd, log);

    if (weir_addr_is_unix(&listener->addr)) {
        return;
    }

    /* Accepted sockets have what their listening socket has: no call for each of them. */
    listener_set_option(listener, fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY", log);

    if (options->deferred || (before != NULL && before->deferred)) {
        listener_set_option(listener, fd, IPPROTO_TCP, TCP_DEFER_ACCEPT,
                            options->deferred ? LISTENER_DEFER_SECONDS : 0, "TCP_DEFER_ACCEPT",
                            log);
    }
    if (options->fastopen != 0 || (before != NULL && before->fastopen != 0)) {
        listener_set_option(listener, fd, IPPROTO_TCP, TCP_FASTOPEN, options->fastopen,
                            "TCP_FASTOPEN", log);
    }
}

/* ---- opening one socket */

static void listener_pause(void)
{
    const struct timespec pause = {.tv_nsec = LISTENER_BIND_PAUSE_MS * 1000000L};

    nanosleep(&pause, NULL);
}

static bool listener_is_beside(const weir_listener *listener, const weir_listener *other)
{
    return !weir_addr_is_unix(&listener->addr) && !weir_addr_is_unix(&other->addr)
           && weir_addr_port(&listener->addr) == weir_addr_port(&other->addr);
}

/*
 * The sockets of `old` on the same port, which this one may replace (a wildcard by a single
 * address, or an option that a socket gets once and for all), let it in beside them with SO_REUSEPORT.
 */
static void listener_let_in(const weir_listener *listener, const weir_listeners *old, bool let_in,
                            const weir_log *log)
{
    if (old == NULL) {
        return;
    }
    for (WEIR_LISTENERS_EACH(old, other)) {
        if (!listener_is_beside(listener, other)) {
            continue;
        }
        for (size_t i = 0; i < other->fd_count; i++) {
            listener_set_option(other, other->fds[i], SOL_SOCKET, SO_REUSEPORT,
                                let_in || other->options.reuseport, "SO_REUSEPORT", log);
        }
    }
}

/* ---- files of unix sockets: no other than its own is taken away, or what it takes the place of */

static bool file_look(const weir_listener *listener, struct stat *found)
{
    return weir_addr_is_unix(&listener->addr) && lstat(listener->addr.un.sun_path, found) == 0;
}

static bool file_is_own(const weir_listener *listener)
{
    struct stat found;

    return file_look(listener, &found) && found.st_dev == listener->file.device
           && found.st_ino == listener->file.inode;
}

void weir_listener_note_file(weir_listener *listener)
{
    struct stat found;

    if (file_look(listener, &found)) {
        listener->file.device = found.st_dev;
        listener->file.inode = found.st_ino;
    }
}

static void file_unlink(const weir_listener *listener)
{
    if (weir_addr_is_unix(&listener->addr) && file_is_own(listener)) {
        unlink(listener->addr.un.sun_path);
    }
}

/* "PATH.PID.old": only a socket that is bound is found by its name, so that the new one must be bound at PATH. */
static void file_name_aside(const weir_listener *listener, char name[FILE_ASIDE_MAX])
{
    weir_builder builder;

    weir_builder_over(&builder, name, FILE_ASIDE_MAX);
    weir_builder_add(&builder, weir_str_from_z(listener->addr.un.sun_path));
    weir_builder_add_byte(&builder, '.');
    weir_builder_add_uint(&builder, (uint64_t) getpid());
    weir_builder_add(&builder, WEIR_STR(".old"));
    weir_builder_add_byte(&builder, '\0');
}

/* Before a new socket is bound: what makes way for it waits beside until file_settle() or file_put_back(). */
static bool file_set_aside(weir_listener *listener, const weir_listener *before,
                           const weir_log *log)
{
    char name[FILE_ASIDE_MAX];
    struct stat found;

    if (!file_look(listener, &found) || !S_ISSOCK(found.st_mode)
        || !(listener->purpose->takes_over || (before != NULL && file_is_own(before)))) {
        return true;
    }
    file_name_aside(listener, name);
    if (rename(listener->addr.un.sun_path, name) == -1) {
        listener_log(listener, log, errno, "rename() of");
        return false;
    }
    listener->has_file_aside = true;
    return true;
}

static void file_settle(weir_listener *listener)
{
    char name[FILE_ASIDE_MAX];

    if (listener->has_file_aside) {
        file_name_aside(listener, name);
        unlink(name);
        listener->has_file_aside = false;
    }
}

/* It takes the place of the file that was made since. */
static void file_put_back(weir_listener *listener, const weir_log *log)
{
    char name[FILE_ASIDE_MAX];

    file_name_aside(listener, name);
    if (rename(name, listener->addr.un.sun_path) == -1) {
        listener_log(listener, log, errno, "rename() back to");
    }
    listener->has_file_aside = false;
}

static int listener_bind(const weir_listener *listener, int fd)
{
    return bind(fd, &listener->addr.sa, listener->addr.len) == -1 ? errno : 0;
}

static int listener_bind_beside(const weir_listener *listener, int fd, const weir_listeners *old,
                                const weir_log *log)
{
    int error;

    listener_let_in(listener, old, true, log);
    listener_set_option(listener, fd, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT", log);
    error = listener_bind(listener, fd);
    if (error == 0 && listen(fd, listener->options.backlog) == -1) {
        error = errno;
    }
    listener_set_option(listener, fd, SOL_SOCKET, SO_REUSEPORT, listener->options.reuseport,
                        "SO_REUSEPORT", log);
    listener_let_in(listener, old, false, log);
    return error;
}

static int listener_bind_patiently(const weir_listener *listener, int fd, const weir_listeners *old,
                                   const weir_log *log)
{
    int error = listener_bind(listener, fd);

    if (error == EADDRINUSE && old != NULL && !weir_addr_is_unix(&listener->addr)) {
        error = listener_bind_beside(listener, fd, old, log);
    }
    for (int tries = 1; error == EADDRINUSE && tries < LISTENER_BIND_TRIES; tries++) {
        listener_pause();
        error = listener_bind(listener, fd);
    }
    return error;
}

/*
 * The mode of a socket is what its file gets when it is bound.  It also tells a binary that inherits the socket what it is
 * for; one that finds no such mode takes the socket for one that workers serve.
 */
static void listener_mark(const weir_listener *listener, int fd, const weir_log *log)
{
    char text[WEIR_ADDR_TEXT_MAX];
    weir_str addr;

    if (fchmod(fd, listener->purpose->mode) == -1) {
        addr = weir_addr_text(&listener->addr, true, text);
        weir_log_line(log, WEIR_LOG_WARN, errno, "fchmod() %.*s failed, ignored",
                      WEIR_STR_ARG(addr));
    }
}

/* Before bind(): what must be known then, or cannot change later. */
static bool listener_prepare(const weir_listener *listener, int fd, const weir_log *log)
{
    const int on = 1;
    int ipv6only = listener->options.ipv6only;

    if (weir_addr_is_unix(&listener->addr)) {
        listener_mark(listener, fd, log);
        return true;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1) {
        listener_log(listener, log, errno, "setsockopt(SO_REUSEADDR)");
        return false;
    }
    if (listener->options.reuseport
        && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == -1) {
        listener_log(listener, log, errno, "setsockopt(SO_REUSEPORT)");
        return false;
    }
    if (listener->addr.sa.sa_family == AF_INET6
        && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &ipv6only, sizeof(ipv6only)) == -1) {
        listener_log(listener, log, errno, "setsockopt(IPV6_V6ONLY)");
        return false;
    }
    return true;
}

static bool listener_bind_and_listen(const weir_listener *listener, int fd,
                                     const weir_listeners *old, const weir_log *log)
{
    int error;

    if (!listener_prepare(listener, fd, log)) {
        return false;
    }
    listener_apply(listener, NULL, fd, log);

    error = listener_bind_patiently(listener, fd, old, log);
    if (error != 0) {
        listener_log(listener, log, error, "bind() to");
        if (error == EADDRINUSE) {
            weir_log_line(log, WEIR_LOG_EMERG, 0, "still could not bind()");
        }
        return false;
    }

    /* Before anybody can connect; whatever the umask. */
    if (weir_addr_is_unix(&listener->addr)
        && chmod(listener->addr.un.sun_path, listener->purpose->mode) == -1) {
        listener_log(listener, log, errno, "chmod()");
        goto fail;
    }
    if (listen(fd, listener->options.backlog) == -1) {
        listener_log(listener, log, errno, "listen() to");
        goto fail;
    }
    return true;

fail:
    if (weir_addr_is_unix(&listener->addr)) {
        unlink(listener->addr.un.sun_path);
    }
    return false;
}

/* -1, logged, when it cannot be had. */
static int listener_open_socket(const weir_listener *listener, const weir_listeners *old,
                                const weir_log *log)
{
    int fd = socket(listener->addr.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    listener->options.multipath ? IPPROTO_MPTCP : 0);

    if (fd == -1) {
        listener_log(listener, log, errno, "socket()");
        return -1;
    }
    if (!listener_bind_and_listen(listener, fd, old, log)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* ---- opening all */

static bool listener_has(const weir_listener *listener, int fd)
{
    for (size_t i = 0; i < listener->fd_count; i++) {
        if (listener->fds[i] == fd) {
            return true;
        }
    }
    return false;
}

static bool listeners_have(const weir_listeners *listeners, int fd)
{
    if (listeners != NULL) {
        for (WEIR_LISTENERS_EACH(listeners, listener)) {
            if (listener_has(listener, fd)) {
                return true;
            }
        }
    }
    return false;
}

/* Whether it is opened beside, or in the place of, the one before: what a socket gets once and for all has changed. */
static bool listener_must_be_new(const weir_listener *listener, const weir_listener *before)
{
    if (before == NULL) {
        return true;
    }
    return (listener->addr.sa.sa_family == AF_INET6
            && listener->options.ipv6only != before->options.ipv6only)
           || listener->options.multipath != before->options.multipath
           || listener->purpose != before->purpose
           || (listener->purpose->takes_over && !file_is_own(before));
}

/* The old sockets that can stay. */
static void listener_take_over(weir_listener *listener, const weir_listener *before, size_t wanted,
                               const weir_log *log)
{
    listener->file = before->file;
    for (size_t i = 0; i < wanted && i < before->fd_count; i++) {
        listener->fds[listener->fd_count++] = before->fds[i];

        /* The new ones are bound beside it. */
        if (listener->options.reuseport && !before->options.reuseport) {
            listener_set_option(listener, before->fds[i], SOL_SOCKET, SO_REUSEPORT, 1,
                                "SO_REUSEPORT", log);
        }
    }
}

static bool listener_open(weir_listener *listener, const weir_listeners *old, size_t workers,
                          const weir_log *log)
{
    const weir_listener *before = weir_listeners_find(old, &listener->addr);
    size_t wanted = listener->options.reuseport && workers > 1 ? workers : 1;

    listener->fds = WEIR_NEW_ARRAY(listener->owner->pool, int, wanted);
    if (listener->fds == NULL) {
        weir_log_line(log, WEIR_LOG_EMERG, 0, "no memory for listening sockets");
        return false;
    }

    if (!listener_must_be_new(listener, before)) {
        listener_take_over(listener, before, wanted, log);
    } else if (!file_set_aside(listener, before, log)) {
        return false;
    }
    while (listener->fd_count < wanted) {
        int fd = listener_open_socket(listener, old, log);

        if (fd == -1) {
            return false;
        }
        listener->fds[listener->fd_count++] = fd;
        weir_listener_note_file(listener);
    }
    return true;
}

void weir_listeners_undo(weir_listeners *listeners, const weir_listeners *old, const weir_log *log)
{
    for (WEIR_LISTENERS_EACH(listeners, listener)) {
        const weir_listener *before = weir_listeners_find(old, &listener->addr);
        bool is_new = false;

        for (size_t i = 0; i < listener->fd_count; i++) {
            int fd = listener->fds[i];

            if (before == NULL || !listener_has(before, fd)) {
                close(fd);
                is_new = true;
            } else if (listener->options.reuseport && !before->options.reuseport) {
                listener_set_option(before, fd, SOL_SOCKET, SO_REUSEPORT, 0, "SO_REUSEPORT", log);
            }
        }
        listener->fd_count = 0;
        if (listener->has_file_aside) {
            file_put_back(listener, log);
        } else if (is_new) {
            file_unlink(listener);
        }
    }
}

static void listener_apply_changes(const weir_listener *listener, const weir_listener *before,
                                   const weir_log *log)
{
    for (size_t i = 0; i < listener->fd_count; i++) {
        int fd = listener->fds[i];

        if (!listener_has(before, fd)) {
            continue;
        }
        listener_apply(listener, &before->options, fd, log);
        if (listen(fd, listener->options.backlog) == -1) {
            listener_log(listener, log, errno, "listen() to");
        }
    }
}

static bool listeners_open_where(weir_listeners *listeners, const weir_listeners *old,
                                 bool takes_path, size_t workers, const weir_log *log)
{
    for (WEIR_LISTENERS_EACH(listeners, listener)) {
        const weir_listener *before = weir_listeners_find(old, &listener->addr);
        bool does = weir_addr_is_unix(&listener->addr) && before != NULL
                    && before->purpose != listener->purpose;

        if (does == takes_path && !listener_open(listener, old, workers, log)) {
            return false;
        }
    }
    return true;
}

bool weir_listeners_open(weir_listeners *listeners, weir_listeners *old, size_t workers,
                         const weir_log *log)
{
    /* At the path of one that runs comes last: until then whoever connects is served, should another one fail. */
    if (!listeners_open_where(listeners, old, false, workers, log)
        || !listeners_open_where(listeners, old, true, workers, log)) {
        weir_listeners_undo(listeners, old, log);
        return false;
    }

    listeners->workers = workers;
    listeners->owner = getpid();
    if (old != NULL) {
        listeners->giver = old->giver;
        listeners->handed_over = old->handed_over;
    }
    return true;
}

void weir_listeners_settle(const weir_listeners *listeners, const weir_listeners *old,
                           const weir_log *log)
{
    for (WEIR_LISTENERS_EACH(listeners, listener)) {
        const weir_listener *before = weir_listeners_find(old, &listener->addr);

        if (before != NULL) {
            listener_apply_changes(listener, before, log);
        }
        file_settle(listener);
    }
}

bool weir_listeners_try(const weir_listeners *listeners, const weir_log *log)
{
    for (WEIR_LISTENERS_EACH(listeners, listener)) {
        int error = 0;
        int fd = socket(listener->addr.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd == -1) {
            listener_log(listener, log, errno, "socket()");
            return false;
        }
        if (!listener_prepare(listener, fd, log)) {
            close(fd);
            return false;
        }

        /* Nothing makes way for a try. */
        if (bind(fd, &listener->addr.sa, listener->addr.len) == -1) {
            error = errno;
        }
        close(fd);
        if (error == 0 && weir_addr_is_unix(&listener->addr)) {
            unlink(listener->addr.un.sun_path);
        }
        /* What runs now may well listen there. */
        if (error != 0 && error != EADDRINUSE) {
            listener_log(listener, log, error, "bind() to");
            return false;
        }
    }
    return true;
}

int weir_listener_fd(const weir_listener *listener)
{
    return listener->fds[0];
}

/* ---- closing */

void weir_listeners_claim(weir_listeners *listeners)
{
    listeners->owner = getpid();
}

void weir_listeners_set_handed_over(weir_listeners *listeners, bool handed_over)
{
    listeners->handed_over = handed_over;
}

/* Whether another master uses the files: a new binary, or the old one that may go on alone. */
static bool listeners_share_files(const weir_listeners *listeners)
{
    return listeners->handed_over || (listeners->giver != 0 && getppid() == listeners->giver);
}

void weir_listeners_close(weir_listeners *old, const weir_listeners *current)
{
    bool may_unlink = old->owner == getpid() && !listeners_share_files(old);

    for (WEIR_LISTENERS_EACH(old, listener)) {
        for (size_t i = 0; i < listener->fd_count; i++) {
            if (!listeners_have(current, listener->fds[i])) {
                close(listener->fds[i]);
            }
        }
        if (may_unlink && listener->fd_count != 0
            && weir_listeners_find(current, &listener->addr) == NULL) {
            file_unlink(listener);
        }
        listener->fd_count = 0;
    }
}
