#include "core/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log_internal.h"

#define LOG_LINE_MAX 2048    /* with the newline */
#define LOG_LONG_MAX 65536   /* of weir_log_always() */
#define LOG_MESSAGE_MAX 1536 /* so that the error and the description still have room */

static const weir_str log_level_names[] = {
    [WEIR_LOG_STDERR] = WEIR_STR_INIT("stderr"), [WEIR_LOG_EMERG] = WEIR_STR_INIT("emerg"),
    [WEIR_LOG_ALERT] = WEIR_STR_INIT("alert"),   [WEIR_LOG_CRIT] = WEIR_STR_INIT("crit"),
    [WEIR_LOG_ERR] = WEIR_STR_INIT("error"),     [WEIR_LOG_WARN] = WEIR_STR_INIT("warn"),
    [WEIR_LOG_NOTICE] = WEIR_STR_INIT("notice"), [WEIR_LOG_INFO] = WEIR_STR_INIT("info"),
    [WEIR_LOG_DEBUG] = WEIR_STR_INIT("debug"),
};

weir_str weir_log_level_name(weir_log_level level)
{
    return log_level_names[level];
}

bool weir_log_level_parse(weir_str name, weir_log_level *level)
{
    for (unsigned i = WEIR_LOG_EMERG; i <= WEIR_LOG_DEBUG; i++) {
        if (weir_str_eq(log_level_names[i], name)) {
            *level = (weir_log_level) i;
            return true;
        }
    }

    return false;
}

static bool log_is_control(char byte)
{
    return (unsigned char) byte < 0x20 || byte == 0x7f;
}

/* A peer's line breaks must not begin lines, nor its escapes reach a terminal. */
static void log_add_escaped(weir_builder *line, weir_str text)
{
    size_t from = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (log_is_control(text.data[i])) {
            unsigned char byte = (unsigned char) text.data[i];

            weir_builder_add(line, weir_str_slice(text, from, i));
            weir_builder_add(line, WEIR_STR("\\x"));
            weir_builder_add_byte(line, "0123456789ABCDEF"[byte >> 4]);
            weir_builder_add_byte(line, "0123456789ABCDEF"[byte & 15]);
            from = i + 1;
        }
    }

    weir_builder_add(line, weir_str_from(text, from));
}

/* "message (2: No such file or directory), client: ..." */
WEIR_PRINTF(5, 0)
static weir_str log_make_message(char *buffer, size_t size, const weir_log *log, int error,
                                 const char *format, va_list args)
{
    weir_builder message, whole;
    size_t len;

    weir_builder_over(&message, buffer, LOG_MESSAGE_MAX);
    weir_builder_vprintf(&message, format, args);
    len = weir_builder_cut(&message).len;

    weir_builder_over(&whole, buffer, size);
    weir_builder_advance(&whole, len);

    if (error != 0) {
        weir_builder_printf(&whole, " (%d: %s)", error, strerror(error));
    }

    if (log != NULL && log->describe != NULL) {
        log->describe(&whole, log->subject);
    }

    return weir_builder_cut(&whole);
}

/* What a line says, and the lines behind it, each with a newline before it. */
typedef struct {
    weir_str message, further;
} log_text;

static void log_add_text(weir_builder *line, log_text text)
{
    weir_str rest = text.further, part;

    log_add_escaped(line, text.message);

    while (weir_str_split(&rest, '\n', &part)) {
        weir_builder_add(line, WEIR_STR("\n    "));
        log_add_escaped(line, part);
    }
}

/* The line in `buffer`, of LOG_LINE_MAX, gets its newline. */
static weir_str log_end_line(weir_builder *line, char *buffer)
{
    size_t len = weir_builder_cut(line).len;

    buffer[len] = '\n';
    return weir_str_of(buffer, len + 1);
}

/* Nothing can be said about a log that cannot be written to. */
static void log_write_stderr(weir_str line)
{
    ssize_t written = write(STDERR_FILENO, line.data, line.len);

    (void) written;
}

/* "weir: [emerg] message" */
static void log_write_console(weir_log_level level, log_text text)
{
    char buffer[LOG_LINE_MAX];
    weir_builder line;

    weir_builder_over(&line, buffer, sizeof(buffer) - 1);
    weir_builder_add(&line, WEIR_STR("weir: "));

    if (level != WEIR_LOG_STDERR) {
        weir_builder_add_byte(&line, '[');
        weir_builder_add(&line, weir_log_level_name(level));
        weir_builder_add(&line, WEIR_STR("] "));
    }

    log_add_text(&line, text);
    log_write_stderr(log_end_line(&line, buffer));
}

/* "2026/11/21 10:00:00 [error] 12#12: *3 " */
static void log_add_begin(weir_builder *line, const weir_log *log, weir_log_level level)
{
    weir_builder_add(line, weir_clock_log_text());
    weir_builder_add(line, WEIR_STR(" ["));
    weir_builder_add(line, weir_log_level_name(level));
    weir_builder_add(line, WEIR_STR("] "));
    weir_builder_add_int(line, getpid());
    weir_builder_add_byte(line, '#');
    weir_builder_add_int(line, gettid());
    weir_builder_add(line, WEIR_STR(": "));

    if (log->connection != 0) {
        weir_builder_add_byte(line, '*');
        weir_builder_add_uint(line, log->connection);
        weir_builder_add_byte(line, ' ');
    }
}

static weir_str log_make_line(char *buffer, const weir_log *log, weir_log_level level,
                              log_text text)
{
    weir_builder line;

    weir_builder_over(&line, buffer, LOG_LINE_MAX - 1);
    log_add_begin(&line, log, level);
    log_add_text(&line, text);
    return log_end_line(&line, buffer);
}

static void log_write_sink(const log_sink *sink, weir_log_level level, weir_str line, log_text text)
{
    switch (sink->kind) {
    case LOG_SINK_FILE:
        (void) weir_log_file_write(sink->file, line);
        break;
    case LOG_SINK_SYSLOG:
        /* A datagram is one line. */
        weir_syslog_send(
            sink->syslog, level,
            weir_str_slice(line, 0, (size_t) (weir_str_find_byte(line, '\n') - line.data)));
        break;
    case LOG_SINK_STDERR:
        log_write_stderr(line);
        break;
    case LOG_SINK_CONSOLE:
        log_write_console(level, text);
        break;
    }
}

static void log_write(const weir_log *log, weir_log_level level, log_text text)
{
    char buffer[LOG_LINE_MAX];
    weir_str line;

    if (level == WEIR_LOG_STDERR || log == NULL || log->target == NULL) {
        log_write_console(level, text);
        return;
    }

    line = log_make_line(buffer, log, level, text);

    for (const log_sink *sink = log->target->sinks; sink != NULL; sink = sink->next) {
        if (level <= sink->level || log->takes_all) {
            log_write_sink(sink, level, line, text);
        }
    }
}

void weir_log_line(const weir_log *log, weir_log_level level, int error, const char *format, ...)
{
    char buffer[LOG_LINE_MAX];
    int caller_errno = errno;
    log_text text = {.further = WEIR_STR_EMPTY};
    va_list args;

    if (!weir_log_takes(log, level)) {
        return;
    }

    va_start(args, format);
    text.message = log_make_message(buffer, sizeof(buffer), log, error, format, args);
    va_end(args);

    log_write(log, level, text);
    errno = caller_errno;
}

void weir_log_lines(const weir_log *log, weir_log_level level, weir_str message, weir_str further)
{
    int caller_errno = errno;

    if (weir_log_takes(log, level)) {
        log_write(log, level, (log_text){message, further});
    }

    errno = caller_errno;
}

void weir_log_always(const weir_log *log, weir_log_level level, weir_str message)
{
    int caller_errno = errno;
    char described[LOG_LINE_MAX];
    weir_builder builder;
    size_t size;
    char *buffer;

    message = weir_str_slice(message, 0, LOG_LONG_MAX);
    if (log == NULL || log->target == NULL) {
        log_write_console(level, (log_text){message, WEIR_STR_EMPTY});
        return;
    }

    weir_builder_over(&builder, described, sizeof(described));
    if (log->describe != NULL) {
        log->describe(&builder, log->subject);
    }
    weir_str description = weir_builder_cut(&builder);

    /* What must be escaped takes four bytes. */
    size = LOG_LINE_MAX + 4 * (message.len + description.len);
    buffer = malloc(size);
    if (buffer == NULL) {
        return;
    }
    weir_builder_over(&builder, buffer, size - 1);
    log_add_begin(&builder, log, level);
    log_add_escaped(&builder, message);
    log_add_escaped(&builder, description);
    weir_str line = log_end_line(&builder, buffer);

    for (const log_sink *sink = log->target->sinks; sink != NULL; sink = sink->next) {
        log_write_sink(sink, level, line, (log_text){message, WEIR_STR_EMPTY});
    }
    free(buffer);
    errno = caller_errno;
}
