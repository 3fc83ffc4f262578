#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/process/command_line.h"
#include "core/process/master.h"
#include "core/process/title.h"
#include "core/script/script.h"

static int run(weir_pool *pool, char **argv)
{
    weir_invocation invocation = {.argv = argv};
    weir_command_line line;

    if (!weir_command_line_parse(&line, pool, argv + 1, weir_static_modules)) {
        return EXIT_FAILURE;
    }

    line.options.make_template = weir_template_make;
    if (line.command != WEIR_COMMAND_RUN) {
        return weir_command_do(&line);
    }

    invocation.options = line.options;
    return weir_master_main(&invocation);
}

/* Those that were closed at the start: a file of weir's would be taken for one of them. */
static void open_standard_files(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd != -1 && fd <= STDERR_FILENO);

    if (fd != -1) {
        close(fd);
    }
}

int main(int argc, char **argv)
{
    char **arguments = weir_title_init(argc, argv);
    weir_pool *pool = weir_pool_new(4096, 0);
    int exit_code = EXIT_FAILURE;

    open_standard_files();
    /* A peer that closes is no reason to die. */
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    weir_clock_update();

    if (arguments != NULL && pool != NULL) {
        exit_code = run(pool, arguments);
    }

    weir_pool_free(pool);
    return exit_code;
}
