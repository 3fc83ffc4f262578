/*
 * The configuration language: any bytes are read to the end, or refused with one message.  What is
 * accepted has settings at all its levels.
 */

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/log_sink.h"
#include "t/unit/conf_sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A folder with the file that is read, one to include, and the log. */
static char folder[256], conf_path[300], log_path[300];
static int conf_file = -1, log_file = -1;
static weir_log messages;
static weir_modules *modules;

static void remove_folder(void)
{
    char path[300];

    snprintf(path, sizeof(path), "%s/a.inc", folder);
    unlink(path);
    unlink(conf_path);
    unlink(log_path);
    rmdir(folder);
}

static void make_folder(void)
{
    static const char included[] = "a b; include a.inc*; c 'd\\\"'; number 3;";
    const char *above = getenv("TMPDIR");
    char path[300];
    int file;

    snprintf(folder, sizeof(folder), "%s/conf_fuzz.XXXXXX", above == NULL ? P_tmpdir : above);
    CHECK(mkdtemp(folder) != NULL);
    snprintf(conf_path, sizeof(conf_path), "%s/weir.conf", folder);
    snprintf(log_path, sizeof(log_path), "%s/log", folder);
    snprintf(path, sizeof(path), "%s/a.inc", folder);

    file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(file >= 0 && write(file, included, sizeof(included) - 1) > 0);
    close(file);

    conf_file = open(conf_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(conf_file >= 0);
    atexit(remove_folder);
}

static void open_log(void)
{
    weir_pool *pool = weir_pool_new(4096, 0); /* as long as the process */
    weir_log_files *files = weir_log_files_new(pool);
    weir_log_target *target = weir_log_target_new(pool);
    weir_log_file *file = weir_log_files_get(files, weir_str_from_z(log_path));

    CHECK(file != NULL && weir_log_target_add_file(target, file, WEIR_LOG_NOTICE));
    CHECK(weir_log_files_open(files, NULL));
    messages.target = target;
    log_file = weir_log_file_fd(file);
}

/* Messages of this level since the last call.  Each begins its line. */
static unsigned take_messages(const char *level)
{
    static char text[1 << 20];
    int file = open(log_path, O_RDONLY | O_CLOEXEC);
    ssize_t len = read(file, text, sizeof(text) - 1);
    unsigned count = 0;

    CHECK(len >= 0);
    text[len] = '\0';
    close(file);
    CHECK(ftruncate(log_file, 0) == 0);

    /*
     * "2026/11/21 10:00:00 [emerg] 12#12: message", and further lines that are indented, though what
     * is too long is cut anywhere.
     */
    for (const char *line = text; *line != '\0';) {
        const char *end = strchr(line, '\n');

        CHECK(end != NULL);
        CHECK(line[0] == ' ' || line == end || (line[0] == '2' && strchr(line, '[') < end));
        count += line[0] == '2' && strncmp(strchr(line, '['), level, strlen(level)) == 0;
        line = end + 1;
    }

    return count;
}

static void check_levels(void)
{
    size_t http;

    (void) weir_modules_of(modules, "http", &http);
    for (size_t i = 0; i < seen.level_count; i++) {
        const weir_level *level = seen.levels[i];
        const conf_unit_values *values = weir_level_settings(level, &conf_unit_values_module);

        CHECK((level->context == WEIR_EVENTS) == (values == NULL));
        CHECK(values == NULL || level->settings_count == http);
        CHECK(values == NULL || (values->number >= 1 && values->number <= 20));
        CHECK(values == NULL || values->rules.count < 1 << 20);
        CHECK(level->outer != NULL && level->statement != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_conf_options options = {.make_template = conf_unit_make_template};
    weir_conf_home home = {.log = &messages};
    weir_level *main_level;

    if (conf_file < 0) {
        make_folder();
        open_log();
        modules = weir_modules_new_of(weir_pool_new(65536, 0), conf_unit_modules);
        CHECK(modules != NULL);
    }

    /* Nothing outside of the folder is included, nor loaded. */
    if (size > 65536 || memmem(data, size, "load_module", 11) != NULL
        || (memmem(data, size, "include", 7) != NULL && memchr(data, '/', size) != NULL)
        || memmem(data, size, "..", 2) != NULL) {
        return -1;
    }

    CHECK(ftruncate(conf_file, 0) == 0);
    CHECK(pwrite(conf_file, data, size, 0) == (ssize_t) size);
    memset(&seen, 0, sizeof(seen));

    options.conf_file = weir_str_from_z(conf_path);
    options.prefix = weir_str_slice(options.conf_file, 0, strlen(folder) + 1);
    if (size > 0 && data[0] == 'g') {
        options.globals = weir_str_of((const char *) data + 1, size - 1);
    }

    home.pool = weir_pool_new(65536, 0);
    home.modules = modules;
    main_level = weir_conf_read(&home, &options);

    CHECK(take_messages("[emerg]") == (main_level == NULL));
    if (main_level != NULL) {
        check_levels();
    }

    weir_pool_free(home.pool);
    return 0;
}
