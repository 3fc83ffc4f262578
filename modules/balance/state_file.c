#include "modules/balance/balance_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* `state FILE`: the servers of a group, in a file that the keeper writes when they change. */

#define FILE_MAX ((size_t) 16 * 1024 * 1024)

static void write_time(weir_builder *text, const char *name, uint64_t ms, uint64_t usual_ms)
{
    if (ms != usual_ms) {
        weir_builder_printf(text, " %s=%llus", name, (unsigned long long) (ms / 1000));
    }
}

static void write_server(weir_builder *text, const weir_balance_server *server)
{
    weir_builder_printf(text, "server %.*s", WEIR_STR_ARG(server->name));
    if (server->weight != 1) {
        weir_builder_printf(text, " weight=%u", server->weight);
    }
    if (server->max_conns != 0) {
        weir_builder_printf(text, " max_conns=%u", server->max_conns);
    }
    if (server->max_fails != 1) {
        weir_builder_printf(text, " max_fails=%u", server->max_fails);
    }
    write_time(text, "fail_timeout", server->fail_timeout_ms, 10000);
    write_time(text, "slow_start", server->slow_start_ms, 0);
    if (server->route.len != 0) {
        weir_builder_printf(text, " route=%.*s", WEIR_STR_ARG(server->route));
    }
    if (server->service.len != 0) {
        weir_builder_printf(text, " service=%.*s", WEIR_STR_ARG(server->service));
    }
    weir_builder_printf(text, "%s%s%s%s;\n", server->is_resolved ? " resolve" : "",
                        server->is_backup ? " backup" : "", server->is_down ? " down" : "",
                        server->is_draining ? " drain" : "");
}

static bool write_whole(int fd, weir_str text)
{
    while (text.len != 0) {
        ssize_t written = write(fd, text.data, text.len);

        if (written == -1 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return false;
        }
        text = weir_str_from(text, (size_t) written);
    }
    return fsync(fd) == 0;
}

/* Beside it first, then in its place: whoever reads it sees the old or the new one. */
static bool replace(weir_str path, weir_str text, weir_pool *pool)
{
    weir_builder builder;
    weir_str beside;
    bool is_done;
    int fd;

    weir_builder_open(&builder, pool, SIZE_MAX);
    weir_builder_printf(&builder, "%.*s.new", WEIR_STR_ARG(path));
    weir_builder_add_byte(&builder, '\0');
    if (!weir_builder_close(&builder, &beside)) {
        errno = ENOMEM;
        return false;
    }
    fd = open(beside.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd == -1) {
        return false;
    }
    is_done = write_whole(fd, text);
    return close(fd) == 0 && is_done && rename(beside.data, path.data) == 0;
}

bool balance_state_write(const weir_balance_group *group, const weir_log *log)
{
    weir_pool *pool = weir_pool_new(4096, 0);
    size_t position = 0;
    uint64_t id;
    weir_balance_server server;
    weir_builder builder;
    weir_str text;
    bool is_done;

    if (pool == NULL) {
        return false;
    }
    weir_builder_open(&builder, pool, FILE_MAX);
    weir_builder_add(&builder, WEIR_STR("# Written by weir when servers are changed; read when it "
                                        "starts.\n"));
    while (weir_balance_server_next(group, &position, &id, &server)) {
        write_server(&builder, &server);
    }
    is_done = weir_builder_close(&builder, &text) && replace(group->state_file, text, pool);
    if (!is_done) {
        weir_log_line(log, WEIR_LOG_CRIT, errno,
                      "the state of upstream \"%.*s\" cannot be written "
                      "to \"%.*s\"",
                      WEIR_STR_ARG(group->name), WEIR_STR_ARG(group->state_file));
    }
    weir_pool_free(pool);
    return is_done;
}

/* ---- reading */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static weir_str word_take(weir_str *line)
{
    size_t from = 0;
    size_t to;
    weir_str word;

    while (from < line->len && is_space(line->data[from])) {
        from++;
    }
    for (to = from; to < line->len && !is_space(line->data[to]); to++) {
    }
    word = weir_str_slice(*line, from, to);
    *line = weir_str_from(*line, to);
    return word;
}

static bool line_read(weir_conf *conf, weir_balance_group *group, weir_str line, unsigned number)
{
    balance_server *server = WEIR_NEW(weir_conf_pool(conf), balance_server);
    weir_str word = word_take(&line);

    if (word.len == 0 || word.data[0] == '#') {
        return true;
    }
    while (line.len != 0 && is_space(line.data[line.len - 1])) {
        line.len--;
    }
    if (server == NULL || !weir_str_eq(word, WEIR_STR("server"))
        || !weir_str_ends(line, WEIR_STR(";"))) {
        return weir_conf_refuse(conf, "line %u of \"%.*s\" is no \"server ...;\"", number,
                                WEIR_STR_ARG(group->state_file));
    }
    line.len--;
    balance_server_begin(server, word_take(&line));
    while ((word = word_take(&line)).len != 0) {
        if (balance_server_parameter(server, word) != BALANCE_PARAMETER_GOOD) {
            return weir_conf_refuse(conf, "invalid parameter \"%.*s\" in line %u of \"%.*s\"",
                                    WEIR_STR_ARG(word), number, WEIR_STR_ARG(group->state_file));
        }
    }
    return server->name.len != 0 ? balance_server_settle(conf, group, server)
                                 : weir_conf_refuse(conf, "line %u of \"%.*s\" names no server",
                                                    number, WEIR_STR_ARG(group->state_file));
}

/* state FILE */
bool weir_balance_state_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_balance_group *group = weir_conf_level(conf)->owner;
    unsigned number = 0;
    weir_str text, line;

    (void) settings;
    if (group->state_file.len != 0) {
        return weir_conf_refuse_arg(conf, statement, 0, "\"state\" directive is duplicate");
    }
    if (!weir_conf_prefix_path(conf, statement->args[1], &group->state_file)) {
        return false;
    }
    if (access(group->state_file.data, F_OK) != 0) {
        return true; /* nothing was added yet */
    }
    if (!weir_conf_read_file(conf, group->state_file, FILE_MAX, &text)) {
        return false;
    }
    while (weir_str_split(&text, '\n', &line)) {
        if (!line_read(conf, group, line, ++number)) {
            return false;
        }
    }
    return true;
}
