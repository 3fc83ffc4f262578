#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log_sink.h"
#include "core/base/number.h"
#include "t/unit/base_unit.h"

static weir_syslog *open_syslog(weir_pool *pool, const char *parameters)
{
    const char *why = NULL;
    weir_syslog *syslog = weir_syslog_new(pool, weir_str_from_z(parameters), &why);
    struct sockaddr_in address = {.sin_family = AF_INET};
    uint64_t port;

    if (syslog == NULL) {
        fail_msg("%s", why);
    }
    if (weir_str_starts(weir_syslog_host(syslog), WEIR_STR("127.0.0.1:"))
        && weir_parse_uint(weir_str_from(weir_syslog_host(syslog), strlen("127.0.0.1:")),
                           UINT16_MAX, &port)) {
        address.sin_port = htons((uint16_t) port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        weir_syslog_set_server(syslog, (struct sockaddr *) &address, sizeof(address));
    }
    return syslog;
}

static void assert_refused(weir_pool *pool, const char *parameters, const char *reason)
{
    const char *why = NULL;

    assert_null(weir_syslog_new(pool, weir_str_from_z(parameters), &why));
    assert_string_equal(why, reason);
}

/* A receiver on a free port of 127.0.0.1. */
static int receive_udp(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
    const struct timeval patience = {.tv_sec = 5};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_not_equal(fd, -1);
    assert_int_equal(bind(fd, (struct sockaddr *) &address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *) &address, &len), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static const char *receive(int fd)
{
    static char text[4096];
    ssize_t len = recv(fd, text, sizeof(text) - 1, 0);

    assert_true(len >= 0);
    text[len] = '\0';
    return text;
}

/* "<PRI>Nov 21 10:00:00 " is asserted, and what follows given. */
static const char *past_head(const char *datagram, const char *priority)
{
    size_t len = strlen(priority);

    assert_memory_equal(datagram, priority, len);
    assert_true(strlen(datagram) > len + 16);
    assert_int_equal(datagram[len + 3], ' ');
    assert_int_equal(datagram[len + 15], ' ');
    return datagram + len + 16;
}

static void a_datagram_has_priority_time_host_and_tag(void **state)
{
    uint16_t port = 0;
    int fd = receive_udp(&port);
    char parameters[100], expected[400], host[256] = "";
    weir_syslog *syslog;

    snprintf(parameters, sizeof(parameters), "server=127.0.0.1:%u", port);
    syslog = open_syslog(*state, parameters);
    gethostname(host, sizeof(host) - 1);
    snprintf(expected, sizeof(expected), "%s weir: a line", host);

    weir_syslog_send(syslog, WEIR_LOG_ERR, WEIR_STR("a line"));
    assert_string_equal(past_head(receive(fd), "<187>"), expected);
    close(fd);
}

static void parameters_change_what_is_sent(void **state)
{
    uint16_t port = 0;
    int fd = receive_udp(&port);
    char parameters[200];
    weir_syslog *syslog;

    snprintf(parameters, sizeof(parameters),
             "server=127.0.0.1:%u,facility=daemon,severity=warn,tag=edge_1,nohostname", port);
    syslog = open_syslog(*state, parameters);
    assert_int_equal(weir_syslog_severity(syslog), WEIR_LOG_WARN);

    weir_syslog_send(syslog, WEIR_LOG_EMERG, WEIR_STR("a"));
    assert_string_equal(past_head(receive(fd), "<24>"), "edge_1: a");
    weir_syslog_send(syslog, WEIR_LOG_DEBUG, WEIR_STR("b"));
    assert_string_equal(past_head(receive(fd), "<31>"), "edge_1: b");
    close(fd);
}

static void the_severity_of_access_logs_is_info_unless_said(void **state)
{
    assert_int_equal(weir_syslog_severity(open_syslog(*state, "server=127.0.0.1")), WEIR_LOG_INFO);
}

static void a_log_line_is_sent_without_its_newline(void **state)
{
    uint16_t port = 0;
    int fd = receive_udp(&port);
    weir_log_target *target = weir_log_target_new(*state);
    weir_log log = {.target = target};
    char parameters[100];
    const char *line;

    snprintf(parameters, sizeof(parameters), "server=127.0.0.1:%u,nohostname", port);
    assert_true(weir_log_target_add_syslog(target, open_syslog(*state, parameters), WEIR_LOG_WARN));
    weir_log_line(&log, WEIR_LOG_NOTICE, 0, "not taken");
    weir_log_line(&log, WEIR_LOG_WARN, 0, "taken");

    line = past_head(receive(fd), "<188>");
    assert_memory_equal(line, "weir: 2", 7);
    assert_non_null(strstr(line, " [warn] "));
    assert_string_equal(line + strlen(line) - 7, ": taken");
    close(fd);
}

static void a_receiver_that_was_restarted_is_found_again(void **state)
{
    uint16_t port = 0;
    int fd = receive_udp(&port);
    char parameters[100];
    weir_syslog *syslog;

    snprintf(parameters, sizeof(parameters), "server=127.0.0.1:%u,nohostname", port);
    syslog = open_syslog(*state, parameters);
    weir_syslog_send(syslog, WEIR_LOG_INFO, WEIR_STR("a"));
    receive(fd);
    close(fd);

    weir_syslog_send(syslog, WEIR_LOG_INFO, WEIR_STR("lost"));
    fd = receive_udp(&port);
    weir_syslog_send(syslog, WEIR_LOG_INFO, WEIR_STR("b"));
    assert_string_equal(past_head(receive(fd), "<190>"), "weir: b");
    close(fd);
}

static int receive_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = 5};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, path, strlen(path) + 1);
    assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    return fd;
}

/* Also: nothing is tried more often than once a second when nobody is there. */
static void a_unix_socket_that_is_restarted_is_found_again(void **state)
{
    char folder[] = P_tmpdir "/base_syslog_XXXXXX";
    char path[100], parameters[200];
    weir_syslog *syslog;
    int64_t failed_s;
    int fd;

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/log", folder);
    snprintf(parameters, sizeof(parameters), "server=unix:%s,nohostname", path);
    syslog = open_syslog(*state, parameters);

    fd = receive_unix(path);
    weir_syslog_send(syslog, WEIR_LOG_INFO, WEIR_STR("a"));
    assert_string_equal(past_head(receive(fd), "<190>"), "weir: a");
    close(fd);
    unlink(path);

    weir_syslog_send(syslog, WEIR_LOG_INFO, WEIR_STR("lost"));
    failed_s = weir_clock_now()->wall_s;
    fd = receive_unix(path);
    weir_syslog_send(syslog, WEIR_LOG_INFO, WEIR_STR("lost, too"));
    while (weir_clock_now()->wall_s == failed_s) {
        (void) poll(NULL, 0, 10);
        weir_clock_update();
    }

    weir_syslog_send(syslog, WEIR_LOG_INFO, WEIR_STR("b"));
    assert_string_equal(past_head(receive(fd), "<190>"), "weir: b");
    close(fd);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

/* A receiver that does not read: its buffer fills, and the sender goes on. */
static void a_slow_receiver_does_not_block(void **state)
{
    char folder[] = P_tmpdir "/base_syslog_XXXXXX";
    char path[100], parameters[200];
    weir_syslog *syslog;
    int fd;

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/log", folder);
    snprintf(parameters, sizeof(parameters), "server=unix:%s", path);
    syslog = open_syslog(*state, parameters);
    fd = receive_unix(path);

    for (int i = 0; i < 10000; i++) {
        weir_syslog_send(syslog, WEIR_LOG_INFO, WEIR_STR("a line"));
    }

    close(fd);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

static void whose_address_is_not_known_is_sent_nothing(void **state)
{
    weir_syslog *syslog = open_syslog(*state, "server=log.test:5140,tag=");

    assert_str(weir_syslog_host(syslog), "log.test:5140");
    weir_syslog_send(syslog, WEIR_LOG_ERR, WEIR_STR("a line"));
    assert_int_equal(weir_syslog_host(open_syslog(*state, "server=unix:/dev/log")).len, 0);
}

static void wrong_parameters_are_refused_with_the_reason(void **state)
{
    char long_path[300], reason[400];

    assert_refused(*state, "", "unknown syslog parameter \"\"");
    assert_refused(*state, "foo", "unknown syslog parameter \"foo\"");
    assert_refused(*state, "server=127.0.0.1,", "unknown syslog parameter \"\"");
    assert_refused(*state, "facility=local1", "no syslog server specified");
    assert_refused(*state, "server=127.0.0.1,server=127.0.0.1", "duplicate syslog \"server\"");
    assert_refused(*state, "facility=kern,facility=kern", "duplicate syslog \"facility\"");
    assert_refused(*state, "severity=info,severity=info", "duplicate syslog \"severity\"");
    assert_refused(*state, "tag=a,tag=a", "duplicate syslog \"tag\"");
    assert_refused(*state, "server=", "no host in syslog server \"\"");
    assert_refused(*state,
                   "server=unix:", "no path in the unix domain socket in syslog server \"unix:\"");
    assert_refused(*state, "facility=local8", "unknown syslog facility \"local8\"");
    assert_refused(*state, "severity=err", "unknown syslog severity \"err\"");
    assert_refused(*state, "tag=a-b",
                   "syslog \"tag\" only allows alphanumeric characters and underscore");
    assert_refused(*state, "tag=abcdefghijklmnopqrstuvwxyz1234567", "syslog tag length exceeds 32");

    memset(long_path, 'p', sizeof(long_path));
    memcpy(long_path, "server=unix:", 12);
    long_path[sizeof(long_path) - 1] = '\0';
    snprintf(reason, sizeof(reason),
             "too long path in the unix domain socket in syslog server \"%s\"", long_path + 7);
    assert_refused(*state, long_path, reason);
}

static bool open_in_pool(weir_pool *pool)
{
    const char *why = NULL;

    if (weir_syslog_new(pool, WEIR_STR("server=127.0.0.1,tag=a"), &why) == NULL) {
        assert_non_null(why);
        return false;
    }
    return true;
}

static void every_allocation_may_fail(void **state)
{
    (void) state;
    assert_true(unit_fail_each_allocation(open_in_pool) > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_with_pool(a_datagram_has_priority_time_host_and_tag),
        unit_test_with_pool(parameters_change_what_is_sent),
        unit_test_with_pool(the_severity_of_access_logs_is_info_unless_said),
        unit_test_with_pool(a_log_line_is_sent_without_its_newline),
        unit_test_with_pool(a_receiver_that_was_restarted_is_found_again),
        unit_test_with_pool(a_unix_socket_that_is_restarted_is_found_again),
        unit_test_with_pool(a_slow_receiver_does_not_block),
        unit_test_with_pool(whose_address_is_not_known_is_sent_nothing),
        unit_test_with_pool(wrong_parameters_are_refused_with_the_reason),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
