#include "modules/common/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/base/number.h"
#include "core/process/cycle.h"
#include "core/process/syslog_conf.h"
#include "core/process/worker.h"

/* Lines of access logs, of http and of stream: where they go, and the buffers they wait in. */

#define BUFFERS_NAME "access log buffers"

/* Most lines are built on the stack; longer ones in the script's pool, up to the second. */
#define LINE_USUAL 4096
#define LINE_MAX (256 * 1024)

/* Lines that wait for a file, in each worker its own. */
typedef struct access_buffer {
    struct access_buffer *next;
    weir_log_file *file;
    const weir_log *log; /* the worker's, once there are lines */
    char *bytes;
    size_t len, size;
    uint64_t flush_ms; /* 0: only when it is full */
    weir_timer timer;
} access_buffer;

typedef struct {
    const weir_access_log_kind *kind;
    const weir_log_format *format;
    const weir_template *condition; /* NULL: always */
    /* One of these. */
    weir_log_file *file;
    weir_syslog *syslog;
    const weir_template *path; /* has variables: opened for each line */
    access_buffer *buffer;     /* of `file`; NULL: none */
} access_log;

/* ---- reading */

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

static bool access_parameters(weir_conf *conf, const weir_access_log_kind *kind,
                              const weir_statement *statement, access_log *log)
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
            log->condition = weir_template_new(conf, weir_space_of(conf, kind->family), value);
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

static bool access_destination(weir_conf *conf, const weir_access_log_kind *kind,
                               const weir_statement *statement, access_log *log)
{
    weir_str where = statement->args[1];

    if (weir_str_starts(where, WEIR_STR("syslog:"))) {
        log->syslog = weir_syslog_open(conf, weir_str_from(where, sizeof("syslog:") - 1));
        return log->syslog != NULL;
    }
    if (where.len == 0) {
        return weir_conf_refuse_arg(conf, statement, 1, "\"access_log\" needs the name of a file");
    }
    if ((where.data[0] != '$' && !weir_conf_prefix_path(conf, where, &where))) {
        return false;
    }
    if (weir_str_find_byte(where, '$') != NULL) {
        log->path = weir_template_new(conf, weir_space_of(conf, kind->family), where);
        return log->path != NULL;
    }
    log->file = weir_log_files_get(weir_conf_cycle(conf)->log_files, where);
    return log->file != NULL || weir_conf_refuse(conf, "no memory for \"access_log\"");
}

bool weir_access_log_call(weir_conf *conf, const weir_access_log_kind *kind, weir_access_logs *logs,
                          const weir_statement *statement)
{
    weir_pool *pool = weir_conf_pool(conf);
    weir_str name = statement->count > 2 ? statement->args[2] : kind->default_format;
    access_log *log;

    if (weir_str_eq(statement->args[1], WEIR_STR("off"))) {
        if (statement->count > 2) {
            return weir_conf_refuse_arg(conf, statement, 2, "invalid parameter \"%.*s\"",
                                        WEIR_STR_ARG(statement->args[2]));
        }
        logs->is_off = true;
        return true;
    }
    if (name.len == 0) {
        return weir_conf_refuse_arg(conf, statement, 1, "log format is not specified");
    }

    if (logs->list == NULL) {
        logs->list = WEIR_NEW(pool, weir_array);
        if (logs->list == NULL) {
            return weir_conf_refuse(conf, "no memory for \"access_log\"");
        }
        weir_array_init(logs->list, pool, sizeof(access_log), 2);
    }
    log = weir_array_push(logs->list);
    if (log == NULL) {
        return weir_conf_refuse(conf, "no memory for \"access_log\"");
    }
    log->kind = kind;
    log->format = weir_log_format_find(conf, weir_space_of(conf, kind->family), name);
    if (log->format == NULL) {
        return weir_conf_refuse_arg(conf, statement, statement->count > 2 ? 2 : 1,
                                    "unknown log format \"%.*s\"", WEIR_STR_ARG(name));
    }
    return access_destination(conf, kind, statement, log)
           && access_parameters(conf, kind, statement, log);
}

static void file_write(weir_log_file *file, weir_str lines, const weir_log *log)
{
    if (!weir_log_file_write(file, lines)) {
        weir_log_line(log, WEIR_LOG_ALERT, errno, "write() to \"%.*s\" failed",
                      WEIR_STR_ARG(weir_log_file_path(file)));
    }
}

/* ---- buffers */

static void buffer_flush(access_buffer *buffer)
{
    if (buffer->len != 0) {
        file_write(buffer->file, weir_str_of(buffer->bytes, buffer->len), buffer->log);
        buffer->len = 0;
    }
}

static void buffer_expired(weir_timer *timer)
{
    buffer_flush(WEIR_OWNER(timer, access_buffer, timer));
}

static void buffer_add(access_buffer *buffer, weir_str line, weir_loop *loop)
{
    buffer->log = weir_loop_log(loop);
    if (line.len > buffer->size - buffer->len) {
        weir_timer_clear(loop, &buffer->timer);
        buffer_flush(buffer);
    }
    if (line.len > buffer->size) {
        file_write(buffer->file, line, buffer->log);
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

void weir_access_logs_flush(weir_worker *worker)
{
    access_buffer *buffer = weir_cycle_object(worker->cycle, BUFFERS_NAME);

    for (; buffer != NULL; buffer = buffer->next) {
        weir_timer_clear(worker->loop, &buffer->timer);
        buffer_flush(buffer);
    }
}

/* ---- writing */

static void write_by_name(const access_log *log, weir_script *script, weir_str line)
{
    weir_str name;
    const char *path;
    int fd;

    if (!weir_template_text(log->path, script, &name)
        || (log->kind->may_make_file != NULL && !log->kind->may_make_file(script))) {
        return;
    }
    if (weir_template_climbs(log->path, name)) {
        weir_log_line(script->log, WEIR_LOG_ERR, 0,
                      "the log \"%.*s\" is not written: \"..\" came with a value",
                      WEIR_STR_ARG(name));
        return;
    }
    path = weir_str_z(script->pool, name);
    fd = path == NULL ? -1 : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd == -1) {
        weir_log_line(script->log, WEIR_LOG_CRIT, errno, "open() \"%.*s\" failed",
                      WEIR_STR_ARG(name));
        return;
    }
    if (write(fd, line.data, line.len) < 0) {
        weir_log_line(script->log, WEIR_LOG_ALERT, errno, "write() to \"%s\" failed", path);
    }
    (void) close(fd);
}

static void access_write(const access_log *log, weir_script *script, weir_loop *loop)
{
    char usual[LINE_USUAL];
    weir_builder builder;
    weir_str line;

    weir_builder_over(&builder, usual, sizeof(usual));
    if (!weir_log_format_write(log->format, script, &builder)) {
        return;
    }
    weir_builder_add_byte(&builder, '\n');
    if (!weir_builder_close(&builder, &line)) {
        weir_builder_open(&builder, script->pool, LINE_MAX);
        if (!weir_log_format_write(log->format, script, &builder)) {
            return;
        }
        weir_builder_add_byte(&builder, '\n');
        if (!weir_builder_close(&builder, &line)) {
            weir_log_line(script->log, WEIR_LOG_ERR, 0, "a line of the access log is over %d bytes",
                          LINE_MAX);
            return;
        }
    }

    if (log->buffer != NULL) {
        buffer_add(log->buffer, line, loop);
    } else if (log->file != NULL) {
        file_write(log->file, line, script->log);
    } else if (log->syslog != NULL) {
        line.len--;
        weir_syslog_send(log->syslog, weir_syslog_severity(log->syslog), line);
    } else {
        write_by_name(log, script, line);
    }
}

void weir_access_logs_write(const weir_access_logs *logs, weir_script *script, weir_loop *loop)
{
    if (logs->is_off || logs->list == NULL) {
        return;
    }
    for (WEIR_ARRAY_EACH(logs->list, const access_log, log)) {
        if (log->condition == NULL || weir_template_is_true(log->condition, script)) {
            access_write(log, script, loop);
        }
    }
}
