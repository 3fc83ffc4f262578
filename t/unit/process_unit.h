/*
 * What the tests of core/process share: a folder, a log that can be read, configurations.  A program includes it
 * once: it defines what it declares.
 */

#ifndef WEIR_UNIT_PROCESS_UNIT_H
#define WEIR_UNIT_PROCESS_UNIT_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "t/unit/unit.h"

#include "core/base/clock.h"
#include "core/event/loop.h"
#include "core/process/core_conf.h"
#include "core/process/cycle.h"
#include "core/script/script.h"

typedef struct {
    char folder[256];
    weir_pool *pool;
    weir_log log;
    int log_fd;
    int console; /* stderr, while it is caught */
    char said[65536];
} process_unit;

static process_unit unit;

static inline int process_setup(void **state)
{
    const char *folder = getenv("TMPDIR");
    weir_log_target *target;
    char path[64];

    (void) state;
    snprintf(unit.folder, sizeof(unit.folder), "%s/process_test.XXXXXX",
             folder == NULL ? P_tmpdir : folder);
    if (mkdtemp(unit.folder) == NULL) {
        return -1;
    }

    weir_clock_update();
    unit.pool = weir_pool_new(4096, 0);
    unit.log_fd = memfd_create("log", MFD_CLOEXEC);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", unit.log_fd);
    target = weir_log_target_new(unit.pool);
    unit.log.target = target;

    return weir_log_target_add_file(
               target, weir_log_files_get(weir_log_files_new(unit.pool), weir_str_from_z(path)),
               WEIR_LOG_DEBUG)
               ? 0
               : -1;
}

static inline int process_remove(const char *path, const struct stat *stat_, int type,
                                 struct FTW *ftw)
{
    (void) stat_;
    (void) type;
    (void) ftw;
    return remove(path);
}

static inline int process_teardown(void **state)
{
    (void) state;
    weir_pool_free(unit.pool);
    close(unit.log_fd);
    return nftw(unit.folder, process_remove, 8, FTW_DEPTH | FTW_PHYS);
}

/* The path of a name in the folder; the last four stay. */
static inline const char *process_path(const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", unit.folder, name);
    return path;
}

static inline void process_write(const char *name, const char *text)
{
    FILE *file = fopen(process_path(name), "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* Catches what goes to stderr: there is no other log before a configuration is read. */
static inline void process_catch(void)
{
    fflush(stderr);
    unit.console = dup(STDERR_FILENO);
    assert_int_equal(ftruncate(unit.log_fd, 0), 0);
    lseek(unit.log_fd, 0, SEEK_SET);
    dup2(unit.log_fd, STDERR_FILENO);
}

static inline const char *process_caught(void)
{
    ssize_t len = pread(unit.log_fd, unit.said, sizeof(unit.said) - 1, 0);

    unit.said[len < 0 ? 0 : len] = '\0';
    dup2(unit.console, STDERR_FILENO);
    close(unit.console);
    return unit.said;
}

static inline weir_conf_options process_options(const char *text, bool is_test)
{
    static char prefix[300], conf_file[512];

    process_write("weir.conf", text);
    snprintf(prefix, sizeof(prefix), "%s/", unit.folder);
    snprintf(conf_file, sizeof(conf_file), "%s", process_path("weir.conf"));
    return (weir_conf_options){.prefix = weir_str_from_z(prefix),
                               .conf_file = weir_str_from_z(conf_file),
                               .is_test = is_test,
                               .make_template = weir_template_make};
}

/* Reads a main level, with an empty events block and a log in the folder; NULL: refused. */
static inline weir_cycle *process_read(const char *main_level)
{
    static char text[8192];
    weir_conf_options options;
    weir_cycle *cycle;

    snprintf(text, sizeof(text), "error_log error.log info; pid weir.pid;\nevents {}\n%s\n",
             main_level);
    options = process_options(text, true);
    process_catch();
    cycle = weir_cycle_read(&options);
    process_caught();
    return cycle;
}

static inline weir_cycle *process_load(const char *main_level, weir_cycle *previous)
{
    static char text[8192];
    weir_conf_options options;
    weir_cycle *cycle;

    snprintf(text, sizeof(text), "error_log error.log info; pid weir.pid;\nevents {}\n%s\n",
             main_level);
    options = process_options(text, false);
    process_catch();
    cycle = weir_cycle_load(&options, previous);
    process_caught();
    return cycle;
}

#define assert_said(text)                                                                          \
    do {                                                                                           \
        if (strstr(unit.said, (text)) == NULL) {                                                   \
            fail_msg("wanted \"%s\" in: %s", (text), unit.said);                                   \
        }                                                                                          \
    } while (0)

#endif
