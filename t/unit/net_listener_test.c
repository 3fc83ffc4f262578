/* Listening sockets: opened, kept over reloads, handed over, accepting and pausing. */

#include "t/unit/unit.h"

#include "t/unit/base_unit.h"
#include "t/unit/net_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"

static weir_listener *listen_at(weir_listeners *listeners, const weir_addr *addr)
{
    bool is_new;
    weir_listener *listener = weir_listeners_get(listeners, addr, &is_new);

    assert_non_null(listener);
    assert_true(is_new);
    return listener;
}

static weir_listeners *listeners_new(const net_fixture *f)
{
    weir_listeners *listeners = weir_listeners_new(f->pool);

    assert_non_null(listeners);
    return listeners;
}

static weir_addr addr_of(const char *text)
{
    weir_addr addr;

    assert_true(weir_addr_parse(weir_str_from_z(text), 0, &addr));
    return addr;
}

/* The fixture's port at another address. */
static weir_addr beside(const net_fixture *f, const char *ip)
{
    weir_addr addr = addr_of(ip);

    weir_addr_set_port(&addr, weir_addr_port(&f->addr));
    return addr;
}

static ino_t inode_of(int fd)
{
    struct stat status;

    assert_int_equal(fstat(fd, &status), 0);
    return status.st_ino;
}

static int option_of(int fd, int level, int option)
{
    int value = -1;
    socklen_t len = sizeof(value);

    assert_int_equal(getsockopt(fd, level, option, &value, &len), 0);
    return value;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) != -1;
}

static unsigned backlog_of(int fd)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);

    /* Of a socket that listens the kernel gives the length of its queue here. */
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    return info.tcpi_sacked;
}

/* Whether somebody answers at `addr`. */
static bool answers(const weir_addr *addr)
{
    int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected = connect(fd, &addr->sa, addr->len) == 0;

    close(fd);
    return connected;
}

/* Goes on to the listeners of a new configuration, as a reload does. */
static void reload(net_fixture *f, weir_listeners *next, size_t workers)
{
    weir_listeners *before = f->listeners;

    assert_true(weir_listeners_open(next, before, workers, &f->log));
    weir_listeners_settle(next, before, &f->log);
    weir_listeners_stop(before, f->loop);
    weir_listeners_close(before, next);
    f->listeners = next;
}

/* ---- which there are */

static void an_address_has_one_listener(void **state)
{
    net_fixture *f = *state;
    weir_listeners *listeners = listeners_new(f);
    weir_addr a = addr_of("127.0.0.1:1"), b = addr_of("127.0.0.1:2");
    bool is_new;
    weir_listener *first = weir_listeners_get(listeners, &a, &is_new);

    assert_true(is_new);
    assert_int_equal(first->options.backlog, 511);
    assert_true(first->options.ipv6only);
    assert_ptr_equal(weir_listeners_get(listeners, &a, &is_new), first);
    assert_false(is_new);
    assert_ptr_not_equal(weir_listeners_get(listeners, &b, &is_new), first);
    assert_ptr_equal(weir_listeners_at(listeners, 0), first);
    assert_non_null(weir_listeners_at(listeners, 1));
    assert_null(weir_listeners_at(listeners, 2));
}

static void an_address_in_use_is_named(void **state)
{
    net_fixture *f = *state;
    weir_listeners *listeners = listeners_new(f);
    uint64_t begin_us = weir_clock_monotonic_us();
    char expected[128];

    listen_at(listeners, &f->addr);
    assert_false(weir_listeners_open(listeners, NULL, 1, &f->log));
    assert_true(weir_clock_monotonic_us() - begin_us >= 400000);

    snprintf(expected, sizeof(expected),
             "bind() to 127.0.0.1:%u failed (98: Address already in use)",
             (unsigned) weir_addr_port(&f->addr));
    assert_true(net_log_has(f, "[emerg]"));
    assert_true(net_log_has(f, expected));
    assert_true(net_log_has(f, "still could not bind()"));

    /* But a test of the configuration takes that for its running self. */
    assert_true(weir_listeners_try(listeners, &f->log));
}

static void an_address_that_is_not_ours_is_named_even_by_a_test(void **state)
{
    net_fixture *f = *state;
    weir_listeners *listeners = listeners_new(f);
    weir_addr addr = addr_of("203.0.113.1:80");

    listen_at(listeners, &addr);
    assert_false(weir_listeners_try(listeners, &f->log));
    assert_true(
        net_log_has(f, "bind() to 203.0.113.1:80 failed (99: Cannot assign requested address)"));
}

/* ---- reloads */

static void a_reload_keeps_the_socket(void **state)
{
    net_fixture *f = *state;
    weir_listeners *next = listeners_new(f);
    weir_listener *listener = listen_at(next, &f->addr);
    ino_t inode = inode_of(f->listener->fds[0]);
    int waiting = net_client(f);

    listener->options.backlog = 77;
    listener->options.deferred = true;
    listener->options.fastopen = 9;
    listener->options.keepalive = 1;
    listener->options.keepalive_idle_s = 33;
    reload(f, next, 1);
    assert_int_equal(inode_of(listener->fds[0]), inode);
    assert_int_equal(backlog_of(listener->fds[0]), 77);
    assert_int_not_equal(option_of(listener->fds[0], IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
    assert_int_equal(option_of(listener->fds[0], IPPROTO_TCP, TCP_FASTOPEN), 9);
    assert_int_equal(option_of(listener->fds[0], IPPROTO_TCP, TCP_KEEPIDLE), 33);
    assert_int_equal(option_of(listener->fds[0], SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_false(net_is_closed(waiting));

    /* And back again. */
    next = listeners_new(f);
    listener = listen_at(next, &f->addr);
    reload(f, next, 1);
    assert_int_equal(inode_of(listener->fds[0]), inode);
    assert_int_equal(backlog_of(listener->fds[0]), 511);
    assert_int_equal(option_of(listener->fds[0], IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
    assert_int_equal(option_of(listener->fds[0], IPPROTO_TCP, TCP_FASTOPEN), 0);
    assert_int_equal(option_of(listener->fds[0], SOL_SOCKET, SO_KEEPALIVE), 0);
    close(waiting);
}

static void what_is_not_listened_on_any_more_is_closed(void **state)
{
    net_fixture *f = *state;
    weir_listeners *next = listeners_new(f);
    weir_addr any = addr_of("127.0.0.1");
    int old = f->listener->fds[0];

    listen_at(next, &any);
    reload(f, next, 1);
    assert_false(is_open(old));
    assert_false(answers(&f->addr));
}

static void a_reload_that_fails_changes_nothing(void **state)
{
    net_fixture *f = *state;
    weir_listeners *next = listeners_new(f);
    weir_addr foreign = addr_of("203.0.113.1:80"), any = addr_of("127.0.0.2");
    weir_listener *listener;
    int old = f->listener->fds[0];
    int highest = dup(0);

    close(highest);
    listen_at(next, &any);
    listener = listen_at(next, &f->addr);
    listener->options.reuseport = true;
    listener->options.backlog = 5;
    listen_at(next, &foreign);
    assert_false(weir_listeners_open(next, f->listeners, 3, &f->log));

    assert_int_equal(backlog_of(old), 511);
    assert_int_equal(option_of(old, SOL_SOCKET, SO_REUSEPORT), 0);
    assert_true(answers(&f->addr));
    /* The ones it had opened are closed again. */
    assert_false(is_open(highest));
}

static void reuseport_gives_each_worker_a_socket(void **state)
{
    net_fixture *f = *state;
    weir_listener *listener;
    ino_t first = inode_of(f->listener->fds[0]);
    static const size_t workers[] = {3, 5, 2, 4};
    ino_t second = 0;

    for (size_t i = 0; i < WEIR_COUNT(workers); i++) {
        weir_listeners *next = listeners_new(f);

        listener = listen_at(next, &f->addr);
        listener->options.reuseport = true;
        reload(f, next, workers[i]);
        assert_int_equal(listener->fd_count, workers[i]);
        assert_int_equal(inode_of(listener->fds[0]), first);
        assert_true(second == 0 || inode_of(listener->fds[1]) == second);
        second = inode_of(listener->fds[1]);
        for (size_t j = 0; j < workers[i]; j++) {
            assert_int_equal(option_of(listener->fds[j], SOL_SOCKET, SO_REUSEPORT), 1);
        }
    }

    /* One socket for all again. */
    {
        weir_listeners *next = listeners_new(f);

        listener = listen_at(next, &f->addr);
        reload(f, next, 4);
        assert_int_equal(listener->fd_count, 1);
        assert_int_equal(inode_of(listener->fds[0]), first);
    }
}

static void a_wildcard_and_its_addresses_replace_each_other(void **state)
{
    net_fixture *f = *state;
    weir_addr wildcard = beside(f, "*"), other = beside(f, "127.0.0.2");
    weir_listeners *next = listeners_new(f);
    weir_listener *listener = listen_at(next, &wildcard);

    reload(f, next, 1);
    assert_int_equal(option_of(listener->fds[0], SOL_SOCKET, SO_REUSEPORT), 0);
    assert_true(answers(&other));

    next = listeners_new(f);
    listener = listen_at(next, &f->addr);
    reload(f, next, 1);
    assert_int_equal(option_of(listener->fds[0], SOL_SOCKET, SO_REUSEPORT), 0);
    assert_true(answers(&f->addr));
    assert_false(answers(&other));
}

static bool has_ipv6(void)
{
    weir_addr loopback = addr_of("[::1]");
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool bound = fd != -1 && bind(fd, &loopback.sa, loopback.len) == 0;

    if (fd != -1) {
        close(fd);
    }
    return bound;
}

static void ipv6only_can_change(void **state)
{
    net_fixture *f = *state;
    weir_addr wildcard = addr_of("[::]"), ipv4 = addr_of("127.0.0.1");
    weir_listener *listener;
    weir_listeners *next;

    if (!has_ipv6()) {
        skip();
    }

    next = listeners_new(f);
    listener = listen_at(next, &wildcard);
    reload(f, next, 1);
    assert_int_equal(getsockname(listener->fds[0], &listener->addr.sa, &listener->addr.len), 0);
    wildcard = listener->addr;
    weir_addr_set_port(&ipv4, weir_addr_port(&wildcard));
    assert_false(answers(&ipv4));

    next = listeners_new(f);
    listener = listen_at(next, &wildcard);
    listener->options.ipv6only = false;
    reload(f, next, 1);
    assert_int_equal(option_of(listener->fds[0], IPPROTO_IPV6, IPV6_V6ONLY), 0);
    assert_true(answers(&ipv4));
}

/* ---- unix sockets */

typedef struct {
    char folder[64], path[96];
    weir_addr addr;
} unix_place;

static void unix_place_make(unix_place *place)
{
    char text[128];
    const char *base = getenv("TMPDIR");

    snprintf(place->folder, sizeof(place->folder), "%s/weir-unit-XXXXXX",
             base != NULL && strlen(base) < 40 ? base : P_tmpdir);
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->path, sizeof(place->path), "%s/s", place->folder);
    snprintf(text, sizeof(text), "unix:%s", place->path);
    place->addr = addr_of(text);
}

static void unix_place_remove(const unix_place *place)
{
    unlink(place->path);
    assert_int_equal(rmdir(place->folder), 0);
}

static bool has_file(const unix_place *place)
{
    return access(place->path, F_OK) == 0;
}

static void a_unix_socket_is_for_everybody_and_goes_with_its_process(void **state)
{
    net_fixture *f = *state;
    unix_place place;
    weir_listeners *listeners = listeners_new(f);
    struct stat status;
    pid_t child;

    unix_place_make(&place);
    listen_at(listeners, &place.addr);
    assert_true(weir_listeners_open(listeners, NULL, 1, &f->log));
    assert_int_equal(stat(place.path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0666);
    assert_true(answers(&place.addr));

    /* A worker that ends leaves it. */
    child = fork();
    if (child == 0) {
        weir_listeners_close(listeners, NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_true(answers(&place.addr));

    weir_listeners_close(listeners, NULL);
    assert_false(has_file(&place));
    unix_place_remove(&place);
}

static void a_daemon_claims_the_files_of_its_parent(void **state)
{
    net_fixture *f = *state;
    unix_place place;
    weir_listeners *listeners = listeners_new(f);
    pid_t child;

    unix_place_make(&place);
    listen_at(listeners, &place.addr);
    assert_true(weir_listeners_open(listeners, NULL, 1, &f->log));
    child = fork();
    if (child == 0) {
        weir_listeners_claim(listeners);
        weir_listeners_close(listeners, NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_false(has_file(&place));
    weir_listeners_close(listeners, NULL);
    unix_place_remove(&place);
}

static void a_unix_socket_stays_while_another_master_uses_it(void **state)
{
    net_fixture *f = *state;
    unix_place place;
    weir_listeners *listeners = listeners_new(f), *next = listeners_new(f);

    unix_place_make(&place);
    listen_at(listeners, &place.addr);
    assert_true(weir_listeners_open(listeners, NULL, 1, &f->log));

    /* Over a reload. */
    listen_at(next, &place.addr);
    assert_true(weir_listeners_open(next, listeners, 1, &f->log));
    weir_listeners_close(listeners, next);
    assert_true(answers(&place.addr));

    /* With a new binary. */
    weir_listeners_set_handed_over(next, true);
    weir_listeners_close(next, NULL);
    assert_true(has_file(&place));
    unix_place_remove(&place);
}

static void a_file_that_was_left_behind_is_in_use(void **state)
{
    net_fixture *f = *state;
    unix_place place;
    weir_listeners *listeners = listeners_new(f);

    unix_place_make(&place);
    listen_at(listeners, &place.addr);
    assert_true(weir_listeners_open(listeners, NULL, 1, &f->log));
    weir_listeners_set_handed_over(listeners, true);
    weir_listeners_close(listeners, NULL);
    assert_true(has_file(&place));

    listeners = listeners_new(f);
    listen_at(listeners, &place.addr);
    assert_false(weir_listeners_open(listeners, NULL, 1, &f->log));
    assert_true(net_log_has(f, "/s failed (98: Address already in use)"));
    assert_true(has_file(&place));
    unix_place_remove(&place);
}

/* ---- what a path is for changes */

static weir_listener *listen_for(weir_listeners *listeners, const unix_place *place,
                                 const weir_listener_purpose *purpose)
{
    weir_listener *listener = listen_at(listeners, &place->addr);

    listener->purpose = purpose;
    return listener;
}

static void assert_file(const unix_place *place, mode_t mode, ino_t inode)
{
    struct stat status;

    assert_int_equal(stat(place->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, mode);
    if (inode != 0) {
        assert_int_equal(status.st_ino, inode);
    }
}

static ino_t file_of(const unix_place *place)
{
    struct stat status;

    assert_int_equal(stat(place->path, &status), 0);
    return status.st_ino;
}

static const weir_listener_purpose *const purposes[] = {&weir_listener_served,
                                                        &weir_listener_apart};

static void a_path_changes_its_purpose_with_a_reload(void **state)
{
    for (size_t i = 0; i < WEIR_COUNT(purposes); i++) {
        net_fixture *f = *state;
        unix_place place;
        weir_listeners *first = listeners_new(f), *next = listeners_new(f);

        unix_place_make(&place);
        listen_for(first, &place, purposes[i]);
        assert_true(weir_listeners_open(first, NULL, 1, &f->log));
        weir_listeners_settle(first, NULL, &f->log);

        listen_for(next, &place, purposes[1 - i]);
        assert_true(weir_listeners_open(next, first, 1, &f->log));
        weir_listeners_settle(next, first, &f->log);
        weir_listeners_close(first, next);
        assert_file(&place, purposes[1 - i]->mode, 0);
        assert_true(answers(&place.addr));

        /* Nothing is left beside it, nor of it. */
        weir_listeners_close(next, NULL);
        unix_place_remove(&place);
    }
}

static void a_reload_that_fails_leaves_the_path_what_it_was(void **state)
{
    for (size_t i = 0; i < WEIR_COUNT(purposes); i++) {
        net_fixture *f = *state;
        unix_place place;
        weir_listeners *first = listeners_new(f), *next = listeners_new(f);
        weir_addr foreign = addr_of("203.0.113.1:80");
        ino_t inode;

        unix_place_make(&place);
        listen_for(first, &place, purposes[i]);
        assert_true(weir_listeners_open(first, NULL, 1, &f->log));
        weir_listeners_settle(first, NULL, &f->log);
        inode = file_of(&place);

        /* Before its turn, ... */
        listen_for(next, &place, purposes[1 - i]);
        listen_at(next, &foreign);
        assert_false(weir_listeners_open(next, first, 1, &f->log));
        assert_file(&place, purposes[i]->mode, inode);

        /* ... and once all are had. */
        next = listeners_new(f);
        listen_for(next, &place, purposes[1 - i]);
        assert_true(weir_listeners_open(next, first, 1, &f->log));
        weir_listeners_undo(next, first, &f->log);
        assert_file(&place, purposes[i]->mode, inode);
        assert_true(answers(&place.addr));

        weir_listeners_close(first, NULL);
        unix_place_remove(&place);
    }
}

static void the_purpose_is_handed_over_with_the_socket(void **state)
{
    for (size_t i = 0; i < 4; i++) {
        const weir_listener_purpose *before = purposes[i & 1], *after = purposes[i >> 1];
        net_fixture *f = *state;
        unix_place place;
        weir_listeners *first = listeners_new(f), *next = listeners_new(f), *inherited;
        weir_str text;
        ino_t inode;

        unix_place_make(&place);
        listen_for(first, &place, before);
        assert_true(weir_listeners_open(first, NULL, 1, &f->log));
        weir_listeners_settle(first, NULL, &f->log);
        assert_int_equal(chmod(place.path, 0640), 0); /* by its operator */
        inode = file_of(&place);

        assert_true(weir_listeners_export(first, f->pool, &text));
        inherited = weir_listeners_inherit(f->pool, text, &f->log);
        assert_non_null(inherited);
        listen_for(next, &place, after);
        assert_true(weir_listeners_open(next, inherited, 1, &f->log));
        weir_listeners_settle(next, inherited, &f->log);
        weir_listeners_close(inherited, next);
        assert_file(&place, before == after ? 0640 : after->mode, before == after ? inode : 0);
        assert_true(answers(&place.addr));

        weir_listeners_close(next, NULL);
        unix_place_remove(&place);
    }
}

/* ---- without memory */

static weir_listeners *before_attempt;
static const weir_log *attempt_log;

/* A configuration that keeps a socket and opens two more. */
static bool attempt_open(weir_pool *pool)
{
    weir_listeners *listeners = weir_listeners_new(pool);
    weir_addr kept = weir_listeners_at(before_attempt, 0)->addr, opened = addr_of("127.0.0.3");
    weir_listener *listener;
    bool is_new, succeeded;

    if (listeners == NULL || weir_listeners_get(listeners, &kept, &is_new) == NULL
        || (listener = weir_listeners_get(listeners, &opened, &is_new)) == NULL) {
        return false;
    }
    listener->options.reuseport = true;
    succeeded = weir_listeners_open(listeners, before_attempt, 2, attempt_log);
    if (succeeded) {
        /* Only the new ones: those that were kept are the fixture's. */
        weir_listeners_close(listeners, before_attempt);
    }
    return succeeded;
}

static bool attempt_inherit(weir_pool *pool)
{
    weir_str text;

    return weir_listeners_export(before_attempt, pool, &text)
           && weir_listeners_inherit(pool, text, attempt_log) != NULL;
}

static void memory_that_runs_out_leaves_the_running_sockets(void **state)
{
    net_fixture *f = *state;
    int next = dup(0);

    close(next);
    before_attempt = f->listeners;
    attempt_log = &f->log;
    assert_int_not_equal(unit_fail_each_allocation(attempt_open), 0);
    assert_int_not_equal(unit_fail_each_allocation(attempt_inherit), 0);
    assert_true(answers(&f->addr));
    assert_false(is_open(next));
}

/* ---- handing over */

static void sockets_are_handed_over_by_number(void **state)
{
    net_fixture *f = *state;
    weir_listeners *inherited, *next = listeners_new(f);
    weir_listener *listener = listen_at(next, &f->addr);
    ino_t inodes[3];
    weir_str text;

    listener->options.reuseport = true;
    reload(f, next, 3);
    for (size_t i = 0; i < 3; i++) {
        inodes[i] = inode_of(listener->fds[i]);
        assert_int_equal(fcntl(listener->fds[i], F_GETFD), FD_CLOEXEC);
    }
    assert_true(weir_listeners_export(next, f->pool, &text));
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(fcntl(listener->fds[i], F_GETFD), 0);
    }

    inherited = weir_listeners_inherit(f->pool, text, &f->log);
    assert_non_null(inherited);
    assert_true(net_log_has(f, "using inherited sockets from \""));
    assert_null(weir_listeners_at(inherited, 1));
    listener = weir_listeners_at(inherited, 0);
    assert_true(weir_addr_eq(&listener->addr, &f->addr));
    assert_int_equal(listener->fd_count, 3);
    assert_true(listener->options.reuseport);

    /* As the new binary opens its configuration. */
    next = listeners_new(f);
    listener = listen_at(next, &f->addr);
    listener->options.reuseport = true;
    assert_true(weir_listeners_open(next, inherited, 3, &f->log));
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(inode_of(listener->fds[i]), inodes[i]);
        assert_int_equal(fcntl(listener->fds[i], F_GETFD), FD_CLOEXEC);
    }
    weir_listeners_close(inherited, next);
    assert_true(answers(&f->addr));
}

static void what_is_no_listening_socket_is_not_inherited(void **state)
{
    net_fixture *f = *state;
    weir_listeners *inherited;
    int plain = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char text[64];

    snprintf(text, sizeof(text), "%d;0;%d;x9;", plain, f->listener->fds[0]);
    inherited = weir_listeners_inherit(f->pool, weir_str_from_z(text), &f->log);
    assert_non_null(weir_listeners_at(inherited, 0));
    assert_null(weir_listeners_at(inherited, 1));
    assert_true(net_log_has(f, "does not listen, closed"));
    assert_int_equal(fcntl(plain, F_GETFD), -1);
    assert_true(net_log_has(f, "invalid socket number \"x9\""));
}

/* ---- accepting */

static const weir_connection_state idle_state = {.name = "idle"};

static void drop_accepted(weir_connection *connection, void *subject)
{
    net_fixture *f = subject;

    f->accepted_count++;
    weir_connection_close(connection);
}

static void accepts_one_a_turn_unless_told_otherwise(void **state)
{
    net_fixture *f = *state;
    int clients[4];

    f->listener->accepted = drop_accepted;
    for (int round = 0; round < 2; round++) {
        weir_listeners_stop(f->listeners, f->loop);
        assert_true(weir_listeners_start(f->listeners, f->loop, 0, round == 1));
        f->accepted_count = 0;
        for (size_t i = 0; i < WEIR_COUNT(clients); i++) {
            clients[i] = net_client(f);
        }
        weir_loop_turn(f->loop, -1);
        assert_int_equal(f->accepted_count, round == 1 ? 4 : 1);
        while (f->accepted_count != 4) {
            weir_loop_turn(f->loop, -1);
        }
        for (size_t i = 0; i < WEIR_COUNT(clients); i++) {
            close(clients[i]);
        }
    }
}

static void a_listener_that_workers_share_keeps_accepting(void **state)
{
    enum { MANY = 70 };
    net_fixture *f = *state;
    weir_listeners *next = listeners_new(f);
    weir_listener *listener = listen_at(next, &f->addr);

    /* It changes its place among the workers several times. */
    listener->accepted = drop_accepted;
    listener->subject = f;
    reload(f, next, 2);
    assert_true(weir_listeners_start(next, f->loop, 1, false));
    for (unsigned i = 0; i < MANY; i++) {
        int client = net_client(f);

        while (f->accepted_count == i) {
            weir_loop_turn(f->loop, -1);
        }
        close(client);
    }
    assert_int_equal(f->accepted_count, MANY);
}

static void stopped_listeners_accept_nothing(void **state)
{
    net_fixture *f = *state;
    int client;

    weir_listeners_stop(f->listeners, f->loop);
    client = net_client(f);
    net_settle(f);
    assert_int_equal(f->accepted_count, 0);
    close(client);
}

static void stop_and_drop(weir_connection *connection, void *subject)
{
    net_fixture *f = subject;

    f->accepted_count++;
    weir_connection_close(connection);
    weir_listeners_stop(f->listeners, f->loop);
}

static void the_hook_may_stop_the_listeners(void **state)
{
    net_fixture *f = *state;
    int clients[2] = {net_client(f), net_client(f)};

    f->listener->accepted = stop_and_drop;
    net_settle(f);
    assert_int_equal(f->accepted_count, 1);
    close(clients[0]);
    close(clients[1]);
}

static void a_reuseport_socket_is_emptied_before_it_is_left(void **state)
{
    net_fixture *f = *state;
    weir_listeners *next = listeners_new(f);
    weir_listener *listener = listen_at(next, &f->addr);
    int client;

    listener->options.reuseport = true;
    listener->accepted = drop_accepted;
    listener->subject = f;
    reload(f, next, 1);
    client = net_client(f);
    assert_true(weir_listeners_start(next, f->loop, 0, false));
    weir_listeners_stop(next, f->loop);
    assert_int_equal(f->accepted_count, 1);
    net_settle(f);
    close(client);
}

static bool has_accepted(const void *subject)
{
    return ((const net_fixture *) subject)->accepted_count != 0;
}

static void without_descriptors_it_waits_and_says_so_once(void **state)
{
    net_fixture *f = *state;
    struct rlimit limit, low;
    int client = net_client(f);
    int next = dup(0);
    uint64_t begin_us = weir_clock_monotonic_us();

    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = limit;
    low.rlim_cur = (rlim_t) next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    for (int i = 0; i < 20; i++) {
        weir_loop_turn(f->loop, 1);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(f->accepted_count, 0);
    assert_true(net_log_has(f, "[crit]"));
    assert_true(net_log_has(f, "accept4() failed (24: Too many open files)"));

    net_turn_until(f, has_accepted, f);
    assert_true(weir_clock_monotonic_us() - begin_us >= 400000);
    weir_connection_enter(f->accepted, &idle_state);
    weir_connection_close(f->accepted);
    close(client);
}

int main(void)
{
#define LISTENER_TEST(test) cmocka_unit_test_setup_teardown(test, net_set_up, net_tear_down)
    const struct CMUnitTest tests[] = {
        LISTENER_TEST(an_address_has_one_listener),
        LISTENER_TEST(an_address_in_use_is_named),
        LISTENER_TEST(an_address_that_is_not_ours_is_named_even_by_a_test),
        LISTENER_TEST(a_reload_keeps_the_socket),
        LISTENER_TEST(what_is_not_listened_on_any_more_is_closed),
        LISTENER_TEST(a_reload_that_fails_changes_nothing),
        LISTENER_TEST(reuseport_gives_each_worker_a_socket),
        LISTENER_TEST(a_wildcard_and_its_addresses_replace_each_other),
        LISTENER_TEST(ipv6only_can_change),
        LISTENER_TEST(a_unix_socket_is_for_everybody_and_goes_with_its_process),
        LISTENER_TEST(a_daemon_claims_the_files_of_its_parent),
        LISTENER_TEST(a_unix_socket_stays_while_another_master_uses_it),
        LISTENER_TEST(a_file_that_was_left_behind_is_in_use),
        LISTENER_TEST(a_path_changes_its_purpose_with_a_reload),
        LISTENER_TEST(a_reload_that_fails_leaves_the_path_what_it_was),
        LISTENER_TEST(the_purpose_is_handed_over_with_the_socket),
        LISTENER_TEST(memory_that_runs_out_leaves_the_running_sockets),
        LISTENER_TEST(sockets_are_handed_over_by_number),
        LISTENER_TEST(what_is_no_listening_socket_is_not_inherited),
        LISTENER_TEST(accepts_one_a_turn_unless_told_otherwise),
        LISTENER_TEST(a_listener_that_workers_share_keeps_accepting),
        LISTENER_TEST(stopped_listeners_accept_nothing),
        LISTENER_TEST(the_hook_may_stop_the_listeners),
        LISTENER_TEST(a_reuseport_socket_is_emptied_before_it_is_left),
        LISTENER_TEST(without_descriptors_it_waits_and_says_so_once),
    };

    return cmocka_run_group_tests_name("net_listener", tests, NULL, NULL);
}
