#include "core/conf/conf_internal.h"

/*
 * Messages: "MESSAGE in FILE:LINE", then, indented, the line with a caret, a hint, and how the file came
 * to be read.
 */

#define ERRORS_MESSAGE_MAX 1024 /* bytes */
#define ERRORS_SOURCE_MAX 100   /* bytes of a line that are shown */
#define ERRORS_BEFORE_CARET 70  /* of them */
#define ERRORS_CHAIN_MAX 5      /* files */

/* What a message points at; without a file at nothing. */
typedef struct {
    const weir_conf_file *file;
    size_t offset;
} errors_place;

static unsigned errors_line(errors_place place)
{
    weir_str before = weir_str_slice(place.file->text, 0, place.offset);
    unsigned line = 1;

    for (size_t i = 0; i < before.len; i++) {
        line += before.data[i] == '\n';
    }

    return line;
}

static errors_place errors_place_of(const weir_statement *statement, size_t arg)
{
    if (statement == NULL || statement->file == NULL) {
        return (errors_place){NULL, 0};
    }

    return (errors_place){statement->file, statement->offsets[arg < statement->count ? arg : 0]};
}

/* The line that the place is in, and where in it. */
static weir_str errors_source_line(errors_place place, size_t *at)
{
    weir_str text = place.file->text;
    size_t from = place.offset, to = place.offset;

    while (from > 0 && text.data[from - 1] != '\n') {
        from--;
    }

    while (to < text.len && text.data[to] != '\n') {
        to++;
    }

    *at = place.offset - from;
    return weir_str_slice(text, from, to);
}

static bool errors_is_continuation(char byte)
{
    return ((unsigned char) byte & 0xc0) == 0x80;
}

/* The source without control bytes, and below it the caret; indentation is dropped. */
static void errors_log_source(const weir_conf *conf, weir_log_level level, errors_place place)
{
    char shown[ERRORS_SOURCE_MAX];
    size_t at, begin = 0, shown_len, caret = 0;
    weir_str line = errors_source_line(place, &at);

    while (begin < at && (line.data[begin] == ' ' || line.data[begin] == '\t')) {
        begin++;
    }

    if (at - begin > ERRORS_BEFORE_CARET) {
        begin = at - ERRORS_BEFORE_CARET;
        while (begin < at && errors_is_continuation(line.data[begin])) {
            begin++;
        }
    }

    line = weir_str_from(line, begin);
    shown_len = line.len < sizeof(shown) ? line.len : sizeof(shown);
    if (shown_len == 0) {
        return;
    }

    for (size_t i = 0; i < shown_len; i++) {
        bool is_control = (unsigned char) line.data[i] < ' ' || line.data[i] == 0x7f;

        shown[i] = is_control ? ' ' : line.data[i];
        caret += i < at - begin && !errors_is_continuation(line.data[i]);
    }

    weir_log_line(conf->home.log, level, 0, "    %.*s", (int) shown_len, shown);
    weir_log_line(conf->home.log, level, 0, "    %*s^", (int) caret, "");
}

static void errors_log_includes(const weir_conf *conf, weir_log_level level,
                                const weir_conf_file *file)
{
    const weir_statement *by = file->included_by;

    for (unsigned shown = 0; by != NULL && shown < ERRORS_CHAIN_MAX; shown++) {
        weir_log_line(conf->home.log, level, 0, "    included from %.*s:%u",
                      WEIR_STR_ARG(by->file->name), by->line);
        by = by->file->included_by;
    }

    if (by != NULL) {
        weir_log_line(conf->home.log, level, 0, "    and so on");
    }
}

/* The message and its place, in one line. */
static void errors_log_message(const weir_conf *conf, weir_log_level level, errors_place place,
                               const char *format, va_list args)
{
    char buffer[ERRORS_MESSAGE_MAX];
    weir_builder message;
    weir_str text;

    weir_builder_over(&message, buffer, sizeof(buffer));
    weir_builder_vprintf(&message, format, args);
    text = weir_builder_cut(&message);

    if (place.file == NULL) {
        weir_log_line(conf->home.log, level, 0, "%.*s", WEIR_STR_ARG(text));
    } else if (place.file == &conf->command_line) {
        weir_log_line(conf->home.log, level, 0, "%.*s in %.*s", WEIR_STR_ARG(text),
                      WEIR_STR_ARG(place.file->name));
    } else {
        weir_log_line(conf->home.log, level, 0, "%.*s in %.*s:%u", WEIR_STR_ARG(text),
                      WEIR_STR_ARG(place.file->name), errors_line(place));
    }
}

static bool errors_refuse(const weir_conf *conf, errors_place place, weir_str hint,
                          const char *format, va_list args)
{
    errors_log_message(conf, WEIR_LOG_EMERG, place, format, args);

    if (place.file != NULL) {
        errors_log_source(conf, WEIR_LOG_EMERG, place);
    }

    if (!weir_str_is_empty(hint)) {
        weir_log_line(conf->home.log, WEIR_LOG_EMERG, 0, "    %.*s", WEIR_STR_ARG(hint));
    }

    if (place.file != NULL) {
        errors_log_includes(conf, WEIR_LOG_EMERG, place.file);
    }

    return false;
}

bool weir_conf_refuse_at(weir_conf *conf, const weir_conf_file *file, size_t offset, weir_str hint,
                         const char *format, ...)
{
    va_list args;

    va_start(args, format);
    errors_refuse(conf, (errors_place){file, offset}, hint, format, args);
    va_end(args);
    return false;
}

bool weir_conf_refuse_hint(weir_conf *conf, const weir_statement *statement, size_t arg,
                           weir_str hint, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    errors_refuse(conf, errors_place_of(statement, arg), hint, format, args);
    va_end(args);
    return false;
}

bool weir_conf_refuse(weir_conf *conf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    errors_refuse(conf, errors_place_of(conf->statement, 0), WEIR_STR_EMPTY, format, args);
    va_end(args);
    return false;
}

bool weir_conf_refuse_arg(weir_conf *conf, const weir_statement *statement, size_t arg,
                          const char *format, ...)
{
    va_list args;

    va_start(args, format);
    errors_refuse(conf, errors_place_of(statement, arg), WEIR_STR_EMPTY, format, args);
    va_end(args);
    return false;
}

bool weir_conf_refuse_memory(weir_conf *conf)
{
    return weir_conf_refuse(conf, "no memory for the configuration");
}

void weir_conf_warn(weir_conf *conf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    errors_log_message(conf, WEIR_LOG_WARN, errors_place_of(conf->statement, 0), format, args);
    va_end(args);
}

void weir_conf_notice(weir_conf *conf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    errors_log_message(conf, WEIR_LOG_NOTICE, errors_place_of(conf->statement, 0), format, args);
    va_end(args);
}
