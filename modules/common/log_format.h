#ifndef WEIR_COMMON_LOG_FORMAT_H
#define WEIR_COMMON_LOG_FORMAT_H

#include "core/script/script.h"

/*
 * log_format NAME [escape=default|json|none] TEXT ...: lines of access logs, of http and of stream.
 *
 * What a client says cannot end a line or a quoted part of one: values are escaped as the format says, the format's own
 * text is not.  "default" writes '"', "\" and bytes below 32 and above 126 as \xHH, and "-" for what has no value;
 * "json" as in a JSON string; "none" writes bytes as they are.
 */
typedef struct weir_log_format weir_log_format;

typedef enum {
    WEIR_LOG_ESCAPE_DEFAULT,
    WEIR_LOG_ESCAPE_JSON,
    WEIR_LOG_ESCAPE_NONE,
} weir_log_escape;

/* Reads a statement of log_format; the space is its family's.  False: refused. */
bool weir_log_format_call(weir_conf *conf, weir_space *space, const weir_statement *statement);
/* Defines one by hand: the predefined "combined". */
bool weir_log_format_define(weir_conf *conf, weir_space *space, weir_str name,
                            weir_str text) WEIR_MUST_USE;
/* NULL: no format of that name in this space was read yet. */
const weir_log_format *weir_log_format_find(weir_conf *conf, const weir_space *space,
                                            weir_str name);

/* Adds a line, without its newline.  False when a variable had no memory. */
bool weir_log_format_write(const weir_log_format *format, weir_script *script,
                           weir_builder *line) WEIR_MUST_USE;

#endif
