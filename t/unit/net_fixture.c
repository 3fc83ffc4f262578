#include "t/unit/unit.h"

#include "t/unit/net_fixture.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/clock.h"

#define PATIENCE_US (30 * 1000000ULL)

static void net_accepted(weir_connection *connection, void *subject)
{
    net_fixture *f = subject;

    f->accepted = connection;
    f->accepted_count++;
}

static void net_open_log(net_fixture *f)
{
    weir_log_target *target = weir_log_target_new(f->pool);
    weir_log boot = {.target = weir_log_target_stderr()};
    char path[64];

    f->log_fd = memfd_create("log", MFD_CLOEXEC);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", f->log_fd);
    f->log_files = weir_log_files_new(f->pool);
    assert_true(weir_log_target_add_file(
        target, weir_log_files_get(f->log_files, weir_str_from_z(path)), WEIR_LOG_INFO));
    assert_true(weir_log_files_open(f->log_files, &boot));
    f->log.target = target;
}

int net_set_up(void **state)
{
    net_fixture *f = calloc(1, sizeof(*f));
    weir_addr any_port;
    bool is_new;

    f->pool = weir_pool_new(4096, 0);
    net_open_log(f);
    f->loop = weir_loop_new(&f->log);
    f->listeners = weir_listeners_new(f->pool);
    assert_true(weir_addr_parse(WEIR_STR("127.0.0.1"), 0, &any_port));
    f->listener = weir_listeners_get(f->listeners, &any_port, &is_new);
    f->listener->accepted = net_accepted;
    f->listener->subject = f;
    f->listener->log = f->log;
    assert_true(weir_listeners_open(f->listeners, NULL, 1, &f->log));

    f->addr.len = sizeof(f->addr.un);
    assert_int_equal(getsockname(f->listener->fds[0], &f->addr.sa, &f->addr.len), 0);
    f->listener->addr = f->addr;
    assert_true(weir_listeners_start(f->listeners, f->loop, 0, true));
    *state = f;
    return 0;
}

int net_tear_down(void **state)
{
    net_fixture *f = *state;
    size_t open = weir_connections_open(f->loop);

    weir_listeners_stop(f->listeners, f->loop);
    weir_listeners_close(f->listeners, NULL);
    weir_loop_free(f->loop);
    weir_log_files_close(f->log_files);
    close(f->log_fd);
    weir_pool_free(f->pool);
    free(f);
    return open == 0 && weir_blocks_in_use() == 0 ? 0 : -1;
}

int net_client(net_fixture *f)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_not_equal(fd, -1);
    assert_int_equal(connect(fd, &f->addr.sa, f->addr.len), 0);
    return fd;
}

weir_connection *net_accept(net_fixture *f, int *client)
{
    unsigned before = f->accepted_count;

    *client = net_client(f);
    while (f->accepted_count == before) {
        weir_loop_turn(f->loop, -1);
    }
    return f->accepted;
}

void net_turn_until(net_fixture *f, bool (*condition)(const void *subject), const void *subject)
{
    uint64_t end_us = weir_clock_monotonic_us() + PATIENCE_US;

    while (!condition(subject)) {
        assert_true(weir_clock_monotonic_us() < end_us);
        weir_loop_turn(f->loop, 10);
    }
}

void net_settle(net_fixture *f)
{
    for (int i = 0; i < 4; i++) {
        weir_loop_turn(f->loop, 0);
    }
}

void net_send(int fd, const char *data, size_t len)
{
    while (len != 0) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);

        assert_true(sent > 0);
        data += sent;
        len -= (size_t) sent;
    }
}

size_t net_receive(int fd, char *data, size_t len)
{
    size_t received = 0;
    ssize_t got;

    while (received < len && (got = recv(fd, data + received, len - received, 0)) > 0) {
        received += (size_t) got;
    }
    return received;
}

bool net_is_closed(int fd)
{
    char byte;
    ssize_t got = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    return got == 0 || (got == -1 && errno != EAGAIN);
}

bool net_log_has(const net_fixture *f, const char *text)
{
    static char log[65536];
    ssize_t len = pread(f->log_fd, log, sizeof(log) - 1, 0);

    assert_true(len >= 0);
    log[len] = '\0';
    return strstr(log, text) != NULL;
}
