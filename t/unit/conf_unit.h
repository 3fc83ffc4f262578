/*
 * What the tests of core/conf share: configurations written to a folder of their own, read with a
 * small set of modules, and the messages that came of it.  A program includes it once: it defines
 * what it declares.
 */

#ifndef WEIR_UNIT_CONF_UNIT_H
#define WEIR_UNIT_CONF_UNIT_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "t/unit/unit.h"

#include "t/unit/conf_sample.h"

/* Of the last reading. */
typedef struct {
    weir_pool *pool;
    weir_modules *modules;
    weir_level *main; /* NULL: refused */
    char *messages;   /* file names are without the folder */
    char folder[256];
} conf_unit;

extern conf_unit unit;

/* What is read with; conf_unit_modules, unless a test sets its own. */
extern const weir_module_entry *conf_unit_read_with_modules;

/* What the cycle's pool may hold; 0, unless a test sets a limit. */
extern size_t conf_unit_memory_max;

/* Group fixtures: the folder. */
int conf_unit_setup(void **state);
int conf_unit_teardown(void **state);
/* Writes a file that configurations may include. */
void conf_unit_write(const char *name, const void *text, size_t len);
/* Reads; true when it was accepted. */
bool conf_unit_read(const char *text);
bool conf_unit_read_bytes(const void *text, size_t len);
bool conf_unit_read_with(const char *text, const char *globals);
/* The message of a configuration that is refused. */
const char *conf_unit_refusal(const char *text);
/* Settings of "values" at the level, by the order of `enter`. */
const conf_unit_values *conf_unit_at(size_t level);

conf_unit unit;
const weir_module_entry *conf_unit_read_with_modules = conf_unit_modules;
size_t conf_unit_memory_max;

int conf_unit_setup(void **state)
{
    const char *folder = getenv("TMPDIR");

    (void) state;
    snprintf(unit.folder, sizeof(unit.folder), "%s/conf_test.XXXXXX",
             folder == NULL ? P_tmpdir : folder);
    return mkdtemp(unit.folder) == NULL ? -1 : 0;
}

static void unit_forget(void)
{
    char folder[sizeof(unit.folder)];

    weir_pool_free(unit.pool);
    free(unit.messages);
    memcpy(folder, unit.folder, sizeof(folder));
    memset(&unit, 0, sizeof(unit));
    memset(&seen, 0, sizeof(seen));
    memcpy(unit.folder, folder, sizeof(folder));
}

int conf_unit_teardown(void **state)
{
    DIR *folder = opendir(unit.folder);
    struct dirent *entry;

    (void) state;
    unit_forget();

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        unlinkat(dirfd(folder), entry->d_name, 0);
    }

    if (folder != NULL) {
        closedir(folder);
    }

    return rmdir(unit.folder);
}

void conf_unit_write(const char *name, const void *text, size_t len)
{
    char path[512];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", unit.folder, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), (ssize_t) len);
    close(fd);
}

/* What was written to the file, less the folder's name. */
static char *unit_take_messages(int fd)
{
    off_t len = lseek(fd, 0, SEEK_END);
    char *text = calloc(1, (size_t) len + 1);
    size_t folder_len = strlen(unit.folder) + 1;
    char *at;

    assert_non_null(text);
    assert_int_equal(pread(fd, text, (size_t) len, 0), (ssize_t) len);

    while ((at = strstr(text, unit.folder)) != NULL) {
        memmove(at, at + folder_len, strlen(at + folder_len) + 1);
    }

    return text;
}

static bool unit_read(weir_str globals)
{
    static const weir_log log;
    char path[512];
    int messages = memfd_create("messages", MFD_CLOEXEC), stderr_copy = dup(STDERR_FILENO);
    weir_conf_options options = {.globals = globals, .make_template = conf_unit_make_template};
    weir_conf_home home = {.log = &log};

    unit_forget();
    unit.pool = weir_pool_new(16384, conf_unit_memory_max);
    assert_non_null(unit.pool);
    home.pool = unit.pool;

    snprintf(path, sizeof(path), "%s/weir.conf", unit.folder);
    options.conf_file = weir_str_from_z(path);
    options.prefix = weir_str_slice(options.conf_file, 0, strlen(unit.folder) + 1);

    assert_true(messages >= 0 && stderr_copy >= 0);
    dup2(messages, STDERR_FILENO);
    unit.modules = home.modules = weir_modules_new_of(unit.pool, conf_unit_read_with_modules);
    if (home.modules != NULL) {
        unit.main = weir_conf_read(&home, &options);
    }
    dup2(stderr_copy, STDERR_FILENO);
    close(stderr_copy);

    unit.messages = unit_take_messages(messages);
    close(messages);
    return unit.main != NULL;
}

bool conf_unit_read_bytes(const void *text, size_t len)
{
    conf_unit_write("weir.conf", text, len);
    return unit_read(WEIR_STR_EMPTY);
}

bool conf_unit_read(const char *text)
{
    return conf_unit_read_bytes(text, strlen(text));
}

bool conf_unit_read_with(const char *text, const char *globals)
{
    conf_unit_write("weir.conf", text, strlen(text));
    return unit_read(weir_str_from_z(globals));
}

const char *conf_unit_refusal(const char *text)
{
    if (conf_unit_read(text)) {
        fail_msg("accepted: %s", text);
    }

    return unit.messages;
}

const conf_unit_values *conf_unit_at(size_t level)
{
    assert_true(level < seen.level_count);
    return weir_level_settings(seen.levels[level], &conf_unit_values_module);
}

#endif
