/* The commands that do not run weir: help, versions, tests of a configuration, signals. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/process/command_line.h"
#include "core/process/core_conf.h"
#include "core/process/cycle.h"
#include "core/process/pid_file.h"
#include "weir_auto_config.h"

static void command_print_version(void)
{
    fprintf(stderr, "weir version: weir/%s%s\n", WEIR_VERSION,
            WEIR_BUILD[0] == '\0' ? "" : " (" WEIR_BUILD ")");
}

static int command_print_configure(void)
{
    command_print_version();
    fprintf(stderr, "%s\nbuilt with %s\nTLS SNI support enabled\nconfigure arguments:%s%s\n",
            WEIR_COMPILER, WEIR_BORINGSSL, WEIR_CONFIGURE[0] == '\0' ? "" : " ", WEIR_CONFIGURE);
    return EXIT_SUCCESS;
}

static int command_print_help(const weir_module_entry *modules)
{
    const weir_tool *tool;

    command_print_version();
    fprintf(stderr,
            "Usage: weir [-?hvVtTq] [-s signal] [-p prefix]\n"
            "            [-e filename] [-c filename] [-g directives]\n"
            "       weir tool [-q] [-p prefix] [-e filename] [-c filename] [-g directives] ...\n"
            "\n"
            "Options:\n"
            "  -?,-h         : this help\n"
            "  -h directive  : what a directive does, takes and where it may stand\n"
            "  -v            : show version and exit\n"
            "  -V            : show version and configure options then exit\n"
            "  -t            : test configuration and exit\n"
            "  -T            : test configuration, dump it and exit\n"
            "  -q            : suppress non-error messages during configuration testing\n"
            "  -s signal     : send signal to a master process: stop, quit, reopen, reload\n"
            "  -p prefix     : set prefix path (default: %s)\n"
            "  -e filename   : set error log file (default: %s)\n"
            "  -c filename   : set configuration file (default: %s)\n"
            "  -g directives : set global directives out of configuration file\n",
            WEIR_PREFIX, WEIR_ERROR_LOG_PATH, WEIR_CONF_PATH);
    for (size_t i = 0; (tool = weir_tools_at(modules, i)) != NULL; i++) {
        fprintf(stderr, "%s  %s %s\n      %s\n", i == 0 ? "\nTools:\n" : "", tool->name,
                tool->syntax, tool->doc);
    }
    return EXIT_SUCCESS;
}

static int command_print_directive(weir_str name)
{
    weir_pool *pool = weir_pool_new(16384, 0);
    const weir_modules *modules = pool == NULL ? NULL : weir_modules_new(pool);
    bool is_found = modules != NULL
                    && (weir_str_eq(name, WEIR_STR("all"))
                            ? weir_conf_print_reference(modules, STDOUT_FILENO)
                            : weir_conf_print_directive(modules, name, STDOUT_FILENO));

    if (modules != NULL && !is_found) {
        weir_log_line(NULL, WEIR_LOG_STDERR, 0, "there is no directive \"%.*s\"",
                      WEIR_STR_ARG(name));
    }

    weir_pool_free(pool);
    return is_found ? EXIT_SUCCESS : EXIT_FAILURE;
}

static bool command_write(weir_str text)
{
    return fwrite(text.data, 1, text.len, stdout) == text.len;
}

static bool command_dump(const weir_cycle *cycle)
{
    const weir_conf_file *file;
    size_t position = 0;

    while ((file = weir_conf_files_next(cycle->main, &position)) != NULL) {
        printf("# configuration file %.*s:\n", WEIR_STR_ARG(file->name));
        if (!command_write(file->text) || !command_write(WEIR_STR("\n"))) {
            return false;
        }
    }

    return fflush(stdout) == 0;
}

static int command_test(const weir_command_line *line)
{
    weir_str path = line->options.conf_file;
    weir_cycle *cycle = weir_cycle_load(&line->options, NULL);
    bool is_fine = cycle != NULL;

    if (!is_fine) {
        weir_log_line(NULL, WEIR_LOG_STDERR, 0, "configuration file %.*s test failed",
                      WEIR_STR_ARG(path));
        return EXIT_FAILURE;
    }

    if (!line->options.is_quiet) {
        weir_log_line(NULL, WEIR_LOG_STDERR, 0, "configuration file %.*s test is successful",
                      WEIR_STR_ARG(path));
    }

    if (line->command == WEIR_COMMAND_DUMP && !command_dump(cycle)) {
        weir_log_line(NULL, WEIR_LOG_ERR, errno, "write() to stdout failed");
        is_fine = false;
    }

    weir_cycle_free(cycle);
    return is_fine ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* The configuration names the pid file. */
static int command_send_signal(const weir_command_line *line)
{
    weir_cycle *cycle = weir_cycle_read(&line->options);
    bool is_sent = false;
    pid_t pid;

    if (cycle == NULL) {
        return EXIT_FAILURE;
    }

    if (weir_pid_file_read(cycle->core->pid.data, &pid, &cycle->log)) {
        is_sent = kill(pid, line->signal) == 0;
        if (!is_sent) {
            weir_log_line(&cycle->log, WEIR_LOG_ALERT, errno, "kill(%d, %d) failed", pid,
                          line->signal);
        }
    }

    weir_cycle_free(cycle);
    return is_sent ? EXIT_SUCCESS : EXIT_FAILURE;
}

int weir_command_do(const weir_command_line *line)
{
    switch (line->command) {
    case WEIR_COMMAND_HELP:
        return weir_str_is_empty(line->directive) ? command_print_help(line->modules)
                                                  : command_print_directive(line->directive);
    case WEIR_COMMAND_VERSION:
        command_print_version();
        return EXIT_SUCCESS;
    case WEIR_COMMAND_CONFIGURE:
        return command_print_configure();
    case WEIR_COMMAND_TEST:
    case WEIR_COMMAND_DUMP:
        return command_test(line);
    case WEIR_COMMAND_SIGNAL:
        return command_send_signal(line);
    case WEIR_COMMAND_TOOL:
        return line->tool->run(&line->options, line->arguments.items, line->arguments.count);
    case WEIR_COMMAND_RUN:
        break;
    }

    return EXIT_FAILURE;
}
