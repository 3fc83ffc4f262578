#ifndef WEIR_PROCESS_COMMAND_LINE_H
#define WEIR_PROCESS_COMMAND_LINE_H

#include "core/base/array.h"
#include "core/conf/conf.h"
#include "core/conf/module.h"

typedef enum {
    WEIR_COMMAND_RUN,
    WEIR_COMMAND_HELP,      /* -?, -h [DIRECTIVE] */
    WEIR_COMMAND_VERSION,   /* -v */
    WEIR_COMMAND_CONFIGURE, /* -V */
    WEIR_COMMAND_TEST,      /* -t */
    WEIR_COMMAND_DUMP,      /* -T */
    WEIR_COMMAND_SIGNAL,    /* -s */
    WEIR_COMMAND_TOOL,      /* NAME ...: a module's */
} weir_command;

typedef struct {
    weir_command command;
    weir_str directive;    /* HELP: empty for all */
    int signal;            /* SIGNAL */
    const weir_tool *tool; /* TOOL */
    weir_array arguments;  /* of weir_str: the tool's */
    weir_conf_options options;
    const weir_module_entry *modules; /* whose tools there are */
} weir_command_line;

/* What the arguments, without the program's name, ask for; from the pool.  False: said on stderr. */
bool weir_command_line_parse(weir_command_line *line, weir_pool *pool, char *const *arguments,
                             const weir_module_entry *modules) WEIR_MUST_USE;

/* Does what is no running; returns the exit code. */
int weir_command_do(const weir_command_line *line);

#endif
