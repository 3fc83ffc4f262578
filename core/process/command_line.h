#ifndef WEIR_PROCESS_COMMAND_LINE_H
#define WEIR_PROCESS_COMMAND_LINE_H

#include "core/conf/conf.h"

typedef enum {
    WEIR_COMMAND_RUN,
    WEIR_COMMAND_HELP,      /* -?, -h [DIRECTIVE] */
    WEIR_COMMAND_VERSION,   /* -v */
    WEIR_COMMAND_CONFIGURE, /* -V */
    WEIR_COMMAND_TEST,      /* -t */
    WEIR_COMMAND_DUMP,      /* -T */
    WEIR_COMMAND_SIGNAL,    /* -s */
} weir_command;

typedef struct {
    weir_command command;
    weir_str directive; /* HELP: empty for all */
    int signal;         /* SIGNAL */
    weir_conf_options options;
} weir_command_line;

/* What the arguments, without the program's name, ask for; from the pool.  False: said on stderr. */
bool weir_command_line_parse(weir_command_line *line, weir_pool *pool,
                             char *const *arguments) WEIR_MUST_USE;

/* Does what is no running; returns the exit code. */
int weir_command_do(const weir_command_line *line);

#endif
