/*
 * access_log: a line for each request.
 *
 *     access_log logs/access.log combined;
 *     access_log logs/slow.log timing buffer=64k flush=5s if=$slow;
 *     access_log syslog:server=127.0.0.1 json;
 *     access_log off;
 */

#include "modules/http/engine/core_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/log_sink.h"
#include "core/base/number.h"
#include "core/process/cycle.h"
#include "core/process/worker.h"
#include "modules/common/log_format.h"
#include "weir_auto_config.h"

#define BUFFERS_NAME "access log buffers"

/* Most lines are built on the stack; longer ones in the exchange's pool, up to the second. */
#define LINE_USUAL 4096
#define LINE_MAX (256 * 1024)

#define COMBINED                                                                                   \
    "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent "             \
    "\"$http_referer\" \"$http_user_agent\""

/* Lines that wait for a file, in each worker its own. */
typedef struct access_buffer {
    struct access_buffer *next;
    weir_log_file *file;
    char *bytes;
    size_t len, size;
    uint64_t flush_ms; /* 0: only when it is full */
    weir_timer timer;
} access_buffer;

typedef struct {
    const weir_log_format *format;
    const weir_template *condition; /* NULL: always */
    /* One of these. */
    weir_log_file *file;
    weir_syslog *syslog;
    const weir_template *path; /* has variables: opened for each line */
    access_buffer *buffer;     /* of `file`; NULL: none */
} access_log;

typedef struct {
    struct {
        weir_array *list; /* access_log; NULL: off */
        bool is_off;
    } logs;
} access_conf;

extern const weir_http_module weir_http_access_log;

/* ---- reading */

static bool combined_define(weir_conf *conf)
{
    weir_space *space = weir_space_of(conf, "http");
    weir_str name = WEIR_STR("combined");

    return space != NULL
           && (weir_log_format_find(conf, space, name) != NULL
               || weir_log_format_define(conf, space, name, WEIR_STR(COMBINED)));
}

static bool log_format_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    return combined_define(conf)
           && weir_log_format_call(conf, weir_space_of(conf, "http"), statement);
}

static const char buffers_key;

/* The buffer of a file: all who log to it share it, and say the same of it. */
static bool buffer_get(weir_conf *conf, const weir_statement *statement, access_log *log,
                       size_t size, uint64_t flush_ms)
{
    access_buffer *buffer = weir_conf_kept(conf, &buffers_key);
    weir_pool *pool = weir_conf_pool(conf);

    while (buffer != NULL && buffer->file != log->file) {
        buffer = buffer->next;
    }
    if (buffer != NULL) {
        log->buffer = buffer->size == 0 ? NULL : buffer;
        return (buffer->size == size && buffer->flush_ms == flush_ms)
               || weir_conf_refuse_arg(conf, statement, 1,
                                       "access_log \"%.*s\" already defined with conflicting "
                                       "parameters",
                                       WEIR_STR_ARG(weir_log_file_path(log->file)));
    }

    buffer = WEIR_NEW(pool, access_buffer);
    if (buffer == NULL || (size != 0 && (buffer->bytes = weir_pool_bytes(pool, size)) == NULL)) {
        return weir_conf_refuse(conf, "no memory for \"access_log\"");
    }
    buffer->file = log->file;
    buffer->size = size;
    buffer->flush_ms = flush_ms;
    buffer->next = weir_conf_kept(conf, &buffers_key);
    log->buffer = size == 0 ? NULL : buffer;
    return weir_conf_keep(conf, &buffers_key, buffer)
           && (weir_cycle_set_object(weir_conf_cycle(conf), BUFFERS_NAME, buffer)
               || weir_conf_refuse(conf, "no memory for \"access_log\""));
}

static bool access_parameters(weir_conf *conf, const weir_statement *statement, access_log *log)
{
    uint64_t size = 0;
    uint64_t flush_ms = 0;
    weir_str value;

    for (size_t i = 3; i < statement->count; i++) {
        weir_str arg = statement->args[i];
        bool is_valid = true;

        if (weir_conf_parameter(arg, "buffer=", &value)) {
            is_valid = weir_parse_size(value, false, SIZE_MAX / 4, &size) && size != 0;
        } else if (weir_conf_parameter(arg, "flush=", &value)) {
            is_valid = weir_parse_time_ms(value, INT64_MAX, &flush_ms) && flush_ms != 0;
        } else if (weir_conf_parameter(arg, "if=", &value)) {
            log->condition = weir_template_new(conf, weir_space_of(conf, "http"), value);
            if (log->condition == NULL) {
                return false;
            }
        } else if (weir_str_eq(arg, WEIR_STR("gzip")) || weir_str_starts(arg, WEIR_STR("gzip="))) {
            return weir_conf_refuse_arg(conf, statement, i,
                                        "compressed access logs are not supported: compress them "
                                        "when they are rotated");
        } else {
            return weir_conf_refuse_arg(conf, statement, i, "invalid parameter \"%.*s\"",
                                        WEIR_STR_ARG(arg));
        }
        if (!is_valid) {
            return weir_conf_refuse_arg(conf, statement, i, "invalid value \"%.*s\"",
                                        WEIR_STR_ARG(arg));
        }
    }

    if (flush_ms != 0 && size == 0) {
        return weir_conf_refuse(conf, "no buffer is defined for access_log \"%.*s\"",
                                WEIR_STR_ARG(statement->args[1]));
    }
    if (log->file == NULL) {
        return size == 0
               || weir_conf_refuse(conf, log->syslog != NULL
                                             ? "logs to syslog cannot be buffered"
                                             : "buffered logs cannot have variables in name");
    }
    return buffer_get(conf, statement, log, size, flush_ms);
}

static bool access_destination(weir_conf *conf, const weir_statement *statement, access_log *log)
{
    weir_str where = statement->args[1];
    const char *why = "";

    if (weir_str_starts(where, WEIR_STR("syslog:"))) {
        log->syslog = weir_syslog_new(weir_conf_pool(conf),
                                      weir_str_from(where, sizeof("syslog:") - 1), &why);
        return log->syslog != NULL || weir_conf_refuse_arg(conf, statement, 1, "%s", why);
    }
    if (where.len == 0) {
        return weir_conf_refuse_arg(conf, statement, 1, "\"access_log\" needs the name of a file");
    }
    if ((where.data[0] != '$' && !weir_conf_prefix_path(conf, where, &where))) {
        return false;
    }
    if (weir_str_find_byte(where, '$') != NULL) {
        log->path = weir_template_new(conf, weir_space_of(conf, "http"), where);
        return log->path != NULL;
    }
    log->file = weir_log_files_get(weir_conf_cycle(conf)->log_files, where);
    return log->file != NULL || weir_conf_refuse(conf, "no memory for \"access_log\"");
}

/* access_log PATH [FORMAT [PARAMETER ...]] | off */
static bool access_log_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    access_conf *access = settings;
    weir_pool *pool = weir_conf_pool(conf);
    weir_str name = statement->count > 2 ? statement->args[2] : WEIR_STR("combined");
    access_log *log;

    if (weir_str_eq(statement->args[1], WEIR_STR("off"))) {
        if (statement->count > 2) {
            return weir_conf_refuse_arg(conf, statement, 2, "invalid parameter \"%.*s\"",
                                        WEIR_STR_ARG(statement->args[2]));
        }
        access->logs.is_off = true;
        return true;
    }

    if (access->logs.list == NULL) {
        access->logs.list = WEIR_NEW(pool, weir_array);
        if (access->logs.list == NULL) {
            return weir_conf_refuse(conf, "no memory for \"access_log\"");
        }
        weir_array_init(access->logs.list, pool, sizeof(access_log), 2);
    }
    log = weir_array_push(access->logs.list);
    if (log == NULL) {
        return weir_conf_refuse(conf, "no memory for \"access_log\"");
    }
    if (!combined_define(conf)) {
        return false;
    }
    log->format = weir_log_format_find(conf, weir_space_of(conf, "http"), name);
    if (log->format == NULL) {
        return weir_conf_refuse_arg(conf, statement, statement->count > 2 ? 2 : 1,
                                    "unknown log format \"%.*s\"", WEIR_STR_ARG(name));
    }
    return access_destination(conf, statement, log) && access_parameters(conf, statement, log);
}

static const weir_directive access_directives[] = {
    {
        .name = "access_log",
        .where = WEIR_HTTP_ANYWHERE | WEIR_HTTP_LOCATION_IF | WEIR_HTTP_LIMIT_EXCEPT,
        .takes = WEIR_TAKES_SOME,
        .syntax = "path [format [buffer=size] [flush=time] [if=condition]] | syslog:... | off",
        .slot = WEIR_SLOT_CALL(access_conf, logs, access_log_call),
        .preset = "\"" WEIR_HTTP_LOG_PATH "\"",
        .repeatable = true,
        .doc = "Where requests are logged, and how.",
    },
    {
        .name = "log_format",
        .where = WEIR_HTTP_MAIN,
        .takes = WEIR_TAKES(2, 255),
        .syntax = "name [escape=default | json | none] text ...",
        .slot = WEIR_SLOT_ONLY_CALL(log_format_call),
        .doc = "What the lines of an access log say.",
    },
    {
        .name = "open_log_file_cache",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES(1, 4),
        .syntax = "max=N [inactive=time] [min_uses=N] [valid=time] | off",
        .warning = "logs whose names have variables are opened for each line",
        .doc = "Accepted.",
    },
    {0},
};

/* ---- buffers */

static void buffer_flush(access_buffer *buffer)
{
    if (buffer->len != 0) {
        weir_log_file_write(buffer->file, weir_str_of(buffer->bytes, buffer->len));
        buffer->len = 0;
    }
}

static void buffer_expired(weir_timer *timer)
{
    buffer_flush(WEIR_OWNER(timer, access_buffer, timer));
}

static void buffer_add(access_buffer *buffer, weir_str line, weir_loop *loop)
{
    if (line.len > buffer->size - buffer->len) {
        weir_timer_clear(loop, &buffer->timer);
        buffer_flush(buffer);
    }
    if (line.len > buffer->size) {
        weir_log_file_write(buffer->file, line);
        return;
    }
    memcpy(buffer->bytes + buffer->len, line.data, line.len);
    buffer->len += line.len;
    if (buffer->flush_ms != 0 && !weir_timer_is_set(&buffer->timer)) {
        buffer->timer.name = "access log";
        buffer->timer.expired = buffer_expired;
        if (!weir_timer_set(loop, &buffer->timer, buffer->flush_ms)) {
            buffer_flush(buffer);
        }
    }
}

static void access_worker_stop(weir_worker *worker)
{
    access_buffer *buffer = weir_cycle_object(worker->cycle, BUFFERS_NAME);

    for (; buffer != NULL; buffer = buffer->next) {
        weir_timer_clear(worker->loop, &buffer->timer);
        buffer_flush(buffer);
    }
}

/* ---- writing */

/* A name with variables is a client's choice: only where the request's root is there is a file made. */
static bool root_is_there(weir_http_exchange *ex)
{
    weir_str root;
    const char *path;
    struct stat found;

    if (!weir_template_text(ex->core->root.template, &ex->script, &root)) {
        return false;
    }
    path = weir_str_z(ex->pool, root);
    return path != NULL && stat(path, &found) == 0 && S_ISDIR(found.st_mode);
}

static void write_by_name(weir_http_exchange *ex, const access_log *log, weir_str line)
{
    weir_str name;
    const char *path;
    int fd;

    if (!weir_template_text(log->path, &ex->script, &name) || !root_is_there(ex)) {
        return;
    }
    path = weir_str_z(ex->pool, name);
    fd = path == NULL ? -1 : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd == -1) {
        weir_log_line(&ex->log, WEIR_LOG_CRIT, errno, "open() \"%.*s\" failed", WEIR_STR_ARG(name));
        return;
    }
    if (write(fd, line.data, line.len) < 0) {
        weir_log_line(&ex->log, WEIR_LOG_ALERT, errno, "write() to \"%s\" failed", path);
    }
    (void) close(fd);
}

static void access_write(weir_http_exchange *ex, const access_log *log)
{
    char usual[LINE_USUAL];
    weir_builder builder;
    weir_str line;

    weir_builder_over(&builder, usual, sizeof(usual));
    if (!weir_log_format_write(log->format, &ex->script, &builder)) {
        return;
    }
    weir_builder_add_byte(&builder, '\n');
    if (!weir_builder_close(&builder, &line)) {
        weir_builder_open(&builder, ex->pool, LINE_MAX);
        if (!weir_log_format_write(log->format, &ex->script, &builder)) {
            return;
        }
        weir_builder_add_byte(&builder, '\n');
        if (!weir_builder_close(&builder, &line)) {
            weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "a line of the access log is over %d bytes",
                          LINE_MAX);
            return;
        }
    }

    if (log->buffer != NULL) {
        buffer_add(log->buffer, line, weir_http_client_connection(ex)->loop);
    } else if (log->file != NULL) {
        weir_log_file_write(log->file, line);
    } else if (log->syslog != NULL) {
        line.len--;
        weir_syslog_send(log->syslog, weir_syslog_severity(log->syslog), line);
    } else {
        write_by_name(ex, log, line);
    }
}

static weir_http_verdict access_judge(weir_http_exchange *ex, const void *location)
{
    const access_conf *access = location;

    for (WEIR_ARRAY_EACH(access->logs.list, const access_log, log)) {
        if (log->condition == NULL || weir_template_is_true(log->condition, &ex->script)) {
            access_write(ex, log);
        }
    }
    return WEIR_HTTP_PASS;
}

static bool access_applies(const void *location)
{
    const access_conf *access = location;

    return !access->logs.is_off && access->logs.list != NULL;
}

const weir_http_module weir_http_access_log = {
    .name = "http_log",
    .directives = access_directives,
    .conf_size = sizeof(access_conf),
    .worker_stop = access_worker_stop,
    .phases = 1u << WEIR_HTTP_PHASE_LOG,
    .judge = access_judge,
    .applies = access_applies,
};
