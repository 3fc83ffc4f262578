#include "core/conf/conf_internal.h"

/*
 * Messages: "MESSAGE in FILE:LINE", then, indented, the line with a caret, a hint, and how the file
 * came to be read.
 */

#define ERRORS_MESSAGE_MAX 512  /* bytes, without the place */
#define ERRORS_LINE_MAX 1024    /* bytes */
#define ERRORS_HINT_MAX 1024    /* bytes */
#define ERRORS_FURTHER_MAX 2048 /* bytes */
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

/* Where the text stands that was pointed at since this statement was; else the statement. */
static errors_place errors_place_now(const weir_conf *conf)
{
    uintptr_t at = (uintptr_t) conf->pointed.text.data;

    if (conf->pointed.statement != conf->statement || conf->main == NULL) {
        return errors_place_of(conf->statement, 0);
    }
    for (WEIR_ARRAY_EACH(&conf->main->files, const weir_conf_file *, file)) {
        uintptr_t begin = (uintptr_t) (*file)->text.data;

        if (at >= begin && at - begin < (*file)->text.len) {
            return (errors_place){*file, at - begin};
        }
    }
    return errors_place_of(conf->statement, 0);
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
static void errors_add_source(weir_builder *further, errors_place place)
{
    size_t at, begin = 0, caret = 0;
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

    line = weir_str_slice(line, begin, begin + ERRORS_SOURCE_MAX);
    if (line.len == 0) {
        return;
    }

    for (size_t i = 0; i < line.len; i++) {
        bool is_control = (unsigned char) line.data[i] < ' ' || line.data[i] == 0x7f;

        weir_builder_add_byte(further, is_control ? ' ' : line.data[i]);
        caret += i < at - begin && !errors_is_continuation(line.data[i]);
    }

    weir_builder_printf(further, "\n%*s^\n", (int) caret, "");
}

static void errors_add_includes(weir_builder *further, const weir_conf_file *file)
{
    const weir_statement *by = file->included_by;

    for (unsigned shown = 0; by != NULL && shown < ERRORS_CHAIN_MAX; shown++) {
        weir_builder_printf(further, "included from %.*s:%u\n", WEIR_STR_ARG(by->file->name),
                            by->line);
        by = by->file->included_by;
    }

    if (by != NULL) {
        weir_builder_add(further, WEIR_STR("and so on\n"));
    }
}

/* The message and its place, in one line.  Whatever is in the message, there is room for the place. */
WEIR_PRINTF(4, 0)
static weir_str errors_message(const weir_conf *conf, errors_place place,
                               char buffer[static ERRORS_LINE_MAX], const char *format,
                               va_list args)
{
    weir_builder message, line;
    size_t len;

    weir_builder_over(&message, buffer, ERRORS_MESSAGE_MAX);
    weir_builder_vprintf(&message, format, args);
    len = weir_builder_cut(&message).len;

    weir_builder_over(&line, buffer, ERRORS_LINE_MAX);
    weir_builder_advance(&line, len);

    if (place.file == &conf->command_line) {
        weir_builder_printf(&line, " in %.*s", WEIR_STR_ARG(place.file->name));
    } else if (place.file != NULL) {
        weir_builder_printf(&line, " in %.*s:%u", WEIR_STR_ARG(place.file->name),
                            errors_line(place));
    }

    return weir_builder_cut(&line);
}

WEIR_PRINTF(4, 0)
static void errors_refuse(const weir_conf *conf, errors_place place, weir_str hint,
                          const char *format, va_list args)
{
    char line_buffer[ERRORS_LINE_MAX], further_buffer[ERRORS_FURTHER_MAX];
    weir_str line = errors_message(conf, place, line_buffer, format, args);
    weir_builder further;

    weir_builder_over(&further, further_buffer, sizeof(further_buffer));
    if (place.file != NULL) {
        errors_add_source(&further, place);
    }
    if (!weir_str_is_empty(hint)) {
        weir_builder_printf(&further, "%.*s\n", WEIR_STR_ARG(hint));
    }
    if (place.file != NULL) {
        errors_add_includes(&further, place.file);
    }

    weir_log_lines(conf->home.log, WEIR_LOG_EMERG, line, weir_builder_cut(&further));
}

WEIR_PRINTF(3, 0)
static void errors_remark(const weir_conf *conf, weir_log_level level, const char *format,
                          va_list args)
{
    char buffer[ERRORS_LINE_MAX];
    errors_place place = errors_place_now(conf);

    weir_log_lines(conf->home.log, level, errors_message(conf, place, buffer, format, args),
                   WEIR_STR_EMPTY);
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
    errors_refuse(conf, errors_place_now(conf), WEIR_STR_EMPTY, format, args);
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

weir_str weir_conf_hint(weir_conf *conf, const char *format, ...)
{
    weir_builder hint;
    va_list args;

    weir_builder_open(&hint, conf->temp_pool, ERRORS_HINT_MAX);
    va_start(args, format);
    weir_builder_vprintf(&hint, format, args);
    va_end(args);
    return weir_builder_cut(&hint);
}

bool weir_conf_refuse_memory(weir_conf *conf)
{
    return weir_conf_refuse(conf, "no memory for the configuration");
}

void weir_conf_warn(weir_conf *conf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    errors_remark(conf, WEIR_LOG_WARN, format, args);
    va_end(args);
}

void weir_conf_notice(weir_conf *conf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    errors_remark(conf, WEIR_LOG_NOTICE, format, args);
    va_end(args);
}
