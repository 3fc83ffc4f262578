/* syslog: one datagram for each line (RFC 3164). */

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/cursor.h"
#include "core/base/log_sink.h"

#define SYSLOG_TAG_MAX 32

struct weir_syslog {
    union {
        struct sockaddr any;
        struct sockaddr_un unix_path;
        struct sockaddr_storage storage;
    } server;
    socklen_t server_len; /* 0: not known */
    weir_str host;        /* to be looked up; empty: it is a path */
    unsigned facility;
    weir_log_level severity;
    weir_str tag, hostname; /* hostname: empty, or with the space after it */
    int fd;                 /* -1: not open */
    int64_t failed_s;       /* when it was last opened in vain */
};

typedef struct {
    weir_syslog *syslog;
    weir_pool *pool;
    const char **why;
    bool has_server, has_facility, has_severity, has_tag, without_hostname;
} syslog_reader;

/* Numbered as in RFC 3164, 4.1.1. */
static const weir_str syslog_facilities[] = {
    WEIR_STR_INIT("kern"),   WEIR_STR_INIT("user"),     WEIR_STR_INIT("mail"),
    WEIR_STR_INIT("daemon"), WEIR_STR_INIT("auth"),     WEIR_STR_INIT("intern"),
    WEIR_STR_INIT("lpr"),    WEIR_STR_INIT("news"),     WEIR_STR_INIT("uucp"),
    WEIR_STR_INIT("clock"),  WEIR_STR_INIT("authpriv"), WEIR_STR_INIT("ftp"),
    WEIR_STR_INIT("ntp"),    WEIR_STR_INIT("audit"),    WEIR_STR_INIT("alert"),
    WEIR_STR_INIT("cron"),   WEIR_STR_INIT("local0"),   WEIR_STR_INIT("local1"),
    WEIR_STR_INIT("local2"), WEIR_STR_INIT("local3"),   WEIR_STR_INIT("local4"),
    WEIR_STR_INIT("local5"), WEIR_STR_INIT("local6"),   WEIR_STR_INIT("local7"),
};

#define SYSLOG_LOCAL7 23

/* Always false.  `detail` stands in quotes after the reason. */
static bool syslog_refuse(syslog_reader *reader, const char *reason, weir_str detail)
{
    weir_builder text;
    weir_str why;

    weir_builder_open(&text, reader->pool, 512);
    weir_builder_printf(&text, "%s \"%.*s\"", reason, WEIR_STR_ARG(detail));
    weir_builder_add_byte(&text, '\0');
    *reader->why = weir_builder_close(&text, &why) ? why.data : reason;
    return false;
}

static bool syslog_read_unix(syslog_reader *reader, weir_str path, weir_str server)
{
    struct sockaddr_un *address = &reader->syslog->server.unix_path;

    if (path.len == 0) {
        return syslog_refuse(reader, "no path in the unix domain socket in syslog server", server);
    }

    if (path.len >= sizeof(address->sun_path) || weir_str_find_byte(path, '\0') != NULL) {
        return syslog_refuse(reader, "too long path in the unix domain socket in syslog server",
                             server);
    }

    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path.data, path.len);
    reader->syslog->server_len = sizeof(*address);
    return true;
}

static bool syslog_read_server(syslog_reader *reader, weir_str server)
{
    weir_syslog *syslog = reader->syslog;

    if (reader->has_server) {
        return syslog_refuse(reader, "duplicate syslog", WEIR_STR("server"));
    }

    reader->has_server = true;
    if (weir_str_starts(server, WEIR_STR("unix:"))) {
        return syslog_read_unix(reader, weir_str_from(server, 5), server);
    }

    if (server.len == 0) {
        return syslog_refuse(reader, "no host in syslog server", server);
    }
    return weir_str_copy(reader->pool, server, &syslog->host);
}

static bool syslog_read_facility(syslog_reader *reader, weir_str name)
{
    if (reader->has_facility) {
        return syslog_refuse(reader, "duplicate syslog", WEIR_STR("facility"));
    }

    for (unsigned i = 0; i < WEIR_COUNT(syslog_facilities); i++) {
        if (weir_str_eq(syslog_facilities[i], name)) {
            reader->syslog->facility = i;
            reader->has_facility = true;
            return true;
        }
    }

    return syslog_refuse(reader, "unknown syslog facility", name);
}

static bool syslog_read_severity(syslog_reader *reader, weir_str name)
{
    if (reader->has_severity) {
        return syslog_refuse(reader, "duplicate syslog", WEIR_STR("severity"));
    }

    if (!weir_log_level_parse(name, &reader->syslog->severity)) {
        return syslog_refuse(reader, "unknown syslog severity", name);
    }

    reader->has_severity = true;
    return true;
}

static bool syslog_read_tag(syslog_reader *reader, weir_str tag)
{
    if (reader->has_tag) {
        return syslog_refuse(reader, "duplicate syslog", WEIR_STR("tag"));
    }

    if (tag.len > SYSLOG_TAG_MAX) {
        *reader->why = "syslog tag length exceeds 32";
        return false;
    }

    for (size_t i = 0; i < tag.len; i++) {
        char byte = weir_byte_lower(tag.data[i]);

        if (!((byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '_')) {
            *reader->why = "syslog \"tag\" only allows alphanumeric characters and underscore";
            return false;
        }
    }

    reader->has_tag = true;
    return weir_str_copy(reader->pool, tag, &reader->syslog->tag);
}

static bool syslog_read_parameter(syslog_reader *reader, weir_str parameter)
{
    static const struct {
        weir_str name;
        bool (*read)(syslog_reader *reader, weir_str value);
    } parameters[] = {
        {WEIR_STR_INIT("server="), syslog_read_server},
        {WEIR_STR_INIT("facility="), syslog_read_facility},
        {WEIR_STR_INIT("severity="), syslog_read_severity},
        {WEIR_STR_INIT("tag="), syslog_read_tag},
    };
    weir_cursor cursor = weir_cursor_of(parameter);

    for (size_t i = 0; i < WEIR_COUNT(parameters); i++) {
        if (weir_cursor_skip(&cursor, parameters[i].name)) {
            return parameters[i].read(reader, weir_cursor_rest(&cursor));
        }
    }

    if (weir_str_eq(parameter, WEIR_STR("nohostname"))) {
        reader->without_hostname = true;
        return true;
    }

    return syslog_refuse(reader, "unknown syslog parameter", parameter);
}

static bool syslog_read(syslog_reader *reader, weir_str parameters)
{
    weir_str rest = parameters, part;

    while (weir_str_split(&rest, ',', &part)) {
        if (!syslog_read_parameter(reader, part)) {
            return false;
        }
    }

    if (parameters.len == 0 || weir_str_ends(parameters, WEIR_STR(","))) {
        return syslog_refuse(reader, "unknown syslog parameter", WEIR_STR_EMPTY);
    }

    if (!reader->has_server) {
        *reader->why = "no syslog server specified";
        return false;
    }

    return true;
}

static bool syslog_add_hostname(weir_syslog *syslog, weir_pool *pool)
{
    char name[256];
    weir_builder hostname;

    if (gethostname(name, sizeof(name)) == -1) {
        return true;
    }
    name[sizeof(name) - 1] = '\0';

    weir_builder_open(&hostname, pool, sizeof(name) + 1);
    weir_builder_add(&hostname, weir_str_from_z(name));
    weir_builder_add_byte(&hostname, ' ');
    return weir_builder_close(&hostname, &syslog->hostname);
}

static void syslog_close(void *subject)
{
    weir_syslog *syslog = subject;

    if (syslog->fd != -1) {
        close(syslog->fd);
        syslog->fd = -1;
    }
}

weir_syslog *weir_syslog_new(weir_pool *pool, weir_str parameters, const char **why)
{
    weir_syslog *syslog = WEIR_NEW(pool, weir_syslog);
    syslog_reader reader = {.syslog = syslog, .pool = pool, .why = why};

    *why = "out of memory";
    if (syslog == NULL) {
        return NULL;
    }

    syslog->fd = -1;
    syslog->facility = SYSLOG_LOCAL7;
    syslog->severity = WEIR_LOG_INFO;
    syslog->tag = WEIR_STR("weir");

    if (!syslog_read(&reader, parameters)
        || (!reader.without_hostname && !syslog_add_hostname(syslog, pool))
        || weir_pool_on_free(pool, syslog_close, syslog) == NULL) {
        return NULL;
    }

    return syslog;
}

weir_str weir_syslog_host(const weir_syslog *syslog)
{
    return syslog->host;
}

void weir_syslog_set_server(weir_syslog *syslog, const struct sockaddr *addr, socklen_t len)
{
    memcpy(&syslog->server, addr, len);
    syslog->server_len = len;
}

weir_log_level weir_syslog_severity(const weir_syslog *syslog)
{
    return syslog->severity;
}

static bool syslog_open(weir_syslog *syslog)
{
    int64_t now_s = weir_clock_now()->wall_s;

    if (syslog->fd != -1) {
        return true;
    }

    if (syslog->server_len == 0 || syslog->failed_s == now_s) {
        return false;
    }

    syslog->fd = socket(syslog->server.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (syslog->fd != -1 && connect(syslog->fd, &syslog->server.any, syslog->server_len) == -1) {
        syslog_close(syslog);
    }

    if (syslog->fd == -1) {
        syslog->failed_s = now_s;
        return false;
    }

    return true;
}

/* False when another socket may do better. */
static bool syslog_send_once(weir_syslog *syslog, weir_str head, weir_str line)
{
    struct iovec parts[2] = {
        {.iov_base = (void *) (uintptr_t) head.data, .iov_len = head.len},
        {.iov_base = (void *) (uintptr_t) line.data, .iov_len = line.len},
    };
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = WEIR_COUNT(parts)};

    return sendmsg(syslog->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) != -1 || errno == EAGAIN
           || errno == EMSGSIZE;
}

void weir_syslog_send(weir_syslog *syslog, weir_log_level severity, weir_str line)
{
    char buffer[512];
    weir_builder head;
    unsigned number = severity <= WEIR_LOG_EMERG ? 0 : (unsigned) severity - WEIR_LOG_EMERG;

    weir_builder_over(&head, buffer, sizeof(buffer));
    weir_builder_add_byte(&head, '<');
    weir_builder_add_uint(&head, syslog->facility * 8 + number);
    weir_builder_add_byte(&head, '>');
    weir_builder_add(&head, weir_clock_syslog_text());
    weir_builder_add_byte(&head, ' ');
    weir_builder_add(&head, syslog->hostname);
    weir_builder_add(&head, syslog->tag);
    weir_builder_add(&head, WEIR_STR(": "));

    /*
     * A receiver that was restarted is found by the second try: its old socket, or the port that
     * nobody listened on when the last datagram came, is an error of the next one.
     */
    for (int tries = 0; tries < 2 && syslog_open(syslog); tries++) {
        if (syslog_send_once(syslog, weir_builder_text(&head), line)) {
            return;
        }

        syslog_close(syslog);
    }
}
