#include "core/conf/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/conf/conf_internal.h"

#define CONF_READ_STEP 65536 /* bytes */

/* ---- for functions of directives */

weir_pool *weir_conf_pool(weir_conf *conf)
{
    return conf->home.pool;
}

weir_pool *weir_conf_temp_pool(weir_conf *conf)
{
    return conf->temp_pool;
}

weir_cycle *weir_conf_cycle(weir_conf *conf)
{
    return conf->home.cycle;
}

weir_level *weir_conf_level(weir_conf *conf)
{
    return conf->level;
}

const weir_statement *weir_conf_statement(weir_conf *conf)
{
    return conf->statement;
}

void weir_conf_point_at(weir_conf *conf, const weir_statement *statement)
{
    if (statement != NULL) {
        conf->statement = statement;
    }
}

void weir_conf_point_at_text(weir_conf *conf, weir_str text)
{
    conf->pointed.text = text;
    conf->pointed.statement = conf->statement;
}

void *weir_conf_kept(const weir_conf *conf, const void *key)
{
    for (WEIR_ARRAY_EACH(&conf->main->kept, weir_conf_keepsake, kept)) {
        if (kept->key == key) {
            return kept->what;
        }
    }

    return NULL;
}

bool weir_conf_keep(weir_conf *conf, const void *key, void *what)
{
    weir_conf_keepsake *added;

    for (WEIR_ARRAY_EACH(&conf->main->kept, weir_conf_keepsake, kept)) {
        if (kept->key == key) {
            kept->what = what;
            return true;
        }
    }

    added = weir_array_push(&conf->main->kept);
    if (added == NULL) {
        return weir_conf_refuse_memory(conf);
    }

    *added = (weir_conf_keepsake){key, what};
    return true;
}

/* ---- paths and files */

static bool conf_path(weir_conf *conf, weir_str folder, weir_str path, weir_str *full)
{
    weir_builder builder;
    weir_str text;

    if (weir_str_find_byte(path, '\0') != NULL) {
        return weir_conf_refuse(conf, "a path with a NUL byte");
    }

    weir_builder_open(&builder, conf->home.pool, folder.len + path.len + 1);
    if (!weir_str_starts(path, WEIR_STR("/"))) {
        weir_builder_add(&builder, folder);
    }
    weir_builder_add(&builder, path);
    weir_builder_add_byte(&builder, '\0');

    if (!weir_builder_close(&builder, &text)) {
        return weir_conf_refuse_memory(conf);
    }

    *full = weir_str_slice(text, 0, text.len - 1);
    return true;
}

bool weir_conf_prefix_path(weir_conf *conf, weir_str path, weir_str *full)
{
    return conf_path(conf, conf->options.prefix, path, full);
}

bool weir_conf_file_path(weir_conf *conf, weir_str path, weir_str *full)
{
    return conf_path(conf, conf->folder, path, full);
}

static bool conf_refuse_file(weir_conf *conf, const char *call, weir_str path, int error)
{
    return weir_conf_refuse(conf, "%s() \"%.*s\" failed (%d: %s)", call, WEIR_STR_ARG(path), error,
                            strerror(error));
}

/* All bytes to the end; `expected` of them are likely. */
static bool conf_read_fd(weir_conf *conf, int fd, weir_str path, size_t expected, size_t max_bytes,
                         weir_str *text)
{
    weir_builder builder;
    size_t room = expected + 1;

    weir_builder_open(&builder, conf->home.pool, max_bytes + 1);

    for (;;) {
        char *at = weir_builder_room(&builder, room);
        ssize_t got;

        if (at == NULL) {
            return weir_conf_refuse_memory(conf);
        }

        got = read(fd, at, room);
        if (got == 0) {
            break;
        }

        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            return conf_refuse_file(conf, "read", path, errno);
        }

        weir_builder_advance(&builder, (size_t) got);
        if (weir_builder_text(&builder).len > max_bytes) {
            return weir_conf_refuse(conf, "\"%.*s\" is larger than %zu bytes", WEIR_STR_ARG(path),
                                    max_bytes);
        }

        if (room > (size_t) got) {
            room -= (size_t) got;
        } else {
            size_t left = max_bytes + 1 - weir_builder_text(&builder).len;

            room = left < CONF_READ_STEP ? left : CONF_READ_STEP;
        }
    }

    return weir_builder_close(&builder, text) || weir_conf_refuse_memory(conf);
}

bool weir_conf_read_file(weir_conf *conf, weir_str path, size_t max_bytes, weir_str *text)
{
    const char *name = weir_str_z(conf->temp_pool, path);
    struct stat status;
    bool is_read;
    int fd;

    if (name == NULL) {
        return weir_conf_refuse(conf, "a path with a NUL byte");
    }

    fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return conf_refuse_file(conf, "open", path, errno);
    }

    if (fstat(fd, &status) != 0) {
        is_read = conf_refuse_file(conf, "fstat", path, errno);
    } else if (status.st_size > 0 && (uintmax_t) status.st_size > max_bytes) {
        is_read = weir_conf_refuse(conf, "\"%.*s\" is larger than %zu bytes", WEIR_STR_ARG(path),
                                   max_bytes);
    } else {
        is_read = conf_read_fd(conf, fd, path, status.st_size > 0 ? (size_t) status.st_size : 0,
                               max_bytes, text);
    }

    close(fd);
    return is_read;
}

bool weir_conf_parameter(weir_str arg, const char *name, weir_str *value)
{
    weir_str prefix = weir_str_from_z(name);

    if (!weir_str_starts(arg, prefix)) {
        return false;
    }

    *value = weir_str_from(arg, prefix.len);
    return true;
}

/* ---- reading */

static bool conf_call_modules(weir_conf *conf, bool after)
{
    const weir_module_entry *entry;

    conf->level = &conf->main->level.level;
    conf->statement = NULL;

    /* A module's hook may not load modules: only load_module does. */
    for (size_t i = 0; (entry = weir_modules_all(conf->home.modules, i)) != NULL; i++) {
        bool (*hook)(weir_conf *) = after ? entry->module->configured : entry->module->prepare;

        if (hook != NULL && !hook(conf)) {
            return false;
        }
    }

    return true;
}

static bool conf_read_all(weir_conf *conf)
{
    weir_conf_statements statements = {NULL, NULL};

    if (!conf_call_modules(conf, false)) {
        return false;
    }

    if (!weir_conf_parse_text(conf, &conf->command_line, &statements)
        || !weir_conf_parse_file(conf, conf->options.conf_file, &statements)) {
        return false;
    }

    if (!weir_conf_apply(conf, &conf->main->level.level,
                         statements.first == NULL ? NULL : &statements.first->statement)) {
        return false;
    }

    return conf_call_modules(conf, true);
}

/* What statements will point to must live as long as they do. */
static bool conf_copy_options(weir_conf *conf)
{
    weir_conf_options *options = &conf->options;
    weir_pool *pool = conf->home.pool;

    if (!weir_str_copy(pool, options->prefix, &options->prefix)
        || !weir_str_copy(pool, options->conf_file, &options->conf_file)
        || !weir_str_copy(pool, options->globals, &options->globals)) {
        return false;
    }

    conf->command_line.name = WEIR_STR("command line");
    conf->command_line.text = options->globals;

    conf->folder = options->conf_file;
    while (conf->folder.len > 0 && conf->folder.data[conf->folder.len - 1] != '/') {
        conf->folder.len--;
    }

    return true;
}

static bool conf_begin(weir_conf *conf)
{
    conf->temp_pool = weir_pool_new_of_pages();
    if (conf->temp_pool == NULL || !conf_copy_options(conf)) {
        return weir_conf_refuse_memory(conf);
    }

    weir_array_init(&conf->words, conf->temp_pool, sizeof(weir_conf_word), 16);
    conf->files = weir_map_new(conf->temp_pool, false, 16);
    conf->main = weir_conf_main_new(conf);
    return (conf->files != NULL && conf->main != NULL) || weir_conf_refuse_memory(conf);
}

weir_level *weir_conf_read(const weir_conf_home *home, const weir_conf_options *options)
{
    weir_conf conf = {.home = *home, .options = *options};
    bool is_read = conf_begin(&conf) && conf_read_all(&conf);

    weir_pool_free(conf.temp_pool);
    return is_read ? &conf.main->level.level : NULL;
}

const weir_conf_file *weir_conf_files_next(const weir_level *main, size_t *position)
{
    const weir_conf_main *files_of = (const weir_conf_main *) (const void *) main;

    if (*position >= files_of->files.count) {
        return NULL;
    }

    return *WEIR_ARRAY_AT(&files_of->files, const weir_conf_file *, (*position)++);
}
