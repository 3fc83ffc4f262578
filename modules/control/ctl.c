/*
 * weir ctl: shows and changes upstream groups of a weir that runs, over its control socket.
 *
 *     weir ctl upstreams [NAME]
 *     weir ctl servers NAME
 *     weir ctl add NAME ADDRESS [PARAMETER ...]
 *     weir ctl set NAME SERVER PARAMETER ...
 *     weir ctl remove NAME SERVER
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/json.h"
#include "core/base/number.h"
#include "core/process/cycle.h"
#include "modules/control/control.h"

#define CTL_TIMEOUT_S 15 /* the keeper's own is shorter */
#define CTL_ANSWER_MAX ((size_t) 64 * 1024 * 1024)

typedef struct {
    weir_pool *pool;
    weir_str socket; /* its path */
    const char *family;
    bool is_raw; /* --json */
    bool is_family_said;
    const weir_str *words;
    size_t count;
} ctl;

static bool ctl_fail(const char *what, weir_str name)
{
    weir_log_line(NULL, WEIR_LOG_STDERR, 0, "ctl: %s%s%.*s", what, name.len == 0 ? "" : " ",
                  WEIR_STR_ARG(name));
    return false;
}

static bool ctl_fail_errno(const char *what, weir_str name)
{
    weir_log_line(NULL, WEIR_LOG_STDERR, errno, "ctl: %s \"%.*s\" failed", what,
                  WEIR_STR_ARG(name));
    return false;
}

/* ---- one call over the socket */

static bool socket_open(const ctl *self, int *fd)
{
    const struct timeval patience = {.tv_sec = CTL_TIMEOUT_S};
    struct sockaddr_un name = {.sun_family = AF_UNIX};

    if (self->socket.len >= sizeof(name.sun_path)) {
        return ctl_fail("the path is too long:", self->socket);
    }
    memcpy(name.sun_path, self->socket.data, self->socket.len);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd == -1) {
        return ctl_fail_errno("socket() for", self->socket);
    }
    if (setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == -1
        || setsockopt(*fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == -1
        || connect(*fd, (const struct sockaddr *) &name, sizeof(name)) == -1) {
        ctl_fail_errno("connect() to", self->socket);
        close(*fd);
        return false;
    }
    return true;
}

static bool all_is_sent(int fd, weir_str text)
{
    while (text.len != 0) {
        ssize_t len = send(fd, text.data, text.len, MSG_NOSIGNAL);

        if (len == -1 && errno == EINTR) {
            continue;
        }
        if (len <= 0) {
            return false;
        }
        text = weir_str_from(text, (size_t) len);
    }
    return shutdown(fd, SHUT_WR) == 0;
}

static bool all_is_read(int fd, weir_builder *answer)
{
    for (;;) {
        char *room = weir_builder_room(answer, 4096);
        ssize_t len = room == NULL ? -1 : read(fd, room, 4096);

        if (len == -1 && room != NULL && errno == EINTR) {
            continue;
        }
        if (len <= 0) {
            return len == 0;
        }
        weir_builder_advance(answer, (size_t) len);
    }
}

/* True when the answer, which is from the pool, is a good one; what is none is said. */
static bool ctl_call(const ctl *self, const char *verb, weir_str path, weir_str body,
                     weir_str *text)
{
    weir_builder builder;
    weir_str asked, status;
    uint64_t number = 0;
    bool is_done;
    int fd;

    weir_builder_open(&builder, self->pool, WEIR_CONTROL_CALL_MAX - 1);
    weir_builder_printf(&builder, "%s\n%.*s\n%s\n", verb, WEIR_STR_ARG(path),
                        self->is_raw ? "json" : "text");
    weir_builder_add(&builder, body);
    if (!weir_builder_close(&builder, &asked)) {
        return ctl_fail("what is asked for is too long", WEIR_STR_EMPTY);
    }
    if (!socket_open(self, &fd)) {
        return false;
    }
    weir_builder_open(&builder, self->pool, CTL_ANSWER_MAX);
    is_done = (all_is_sent(fd, asked) && all_is_read(fd, &builder))
              || ctl_fail_errno("talking to", self->socket);
    close(fd);
    if (!is_done) {
        return false;
    }
    if (!weir_builder_close(&builder, text) || !weir_str_split(text, '\n', &status)
        || !weir_parse_uint(status, 999, &number)) {
        return ctl_fail("there was no answer", WEIR_STR_EMPTY);
    }
    if (number < 200 || number > 299) {
        if (weir_str_ends(*text, WEIR_STR("\n"))) {
            text->len--;
        }
        ctl_fail("refused:", *text);
        return false;
    }
    return true;
}

static bool print(weir_str text)
{
    return (fwrite(text.data, 1, text.len, stdout) == text.len && fflush(stdout) == 0)
           || ctl_fail("writing to stdout failed", WEIR_STR_EMPTY);
}

/* ---- what is asked for */

/* "http/upstreams/NAME" and what follows. */
static bool path_make(const ctl *self, const char *family, weir_str name, const char *more,
                      weir_str server, weir_str *path)
{
    weir_builder builder;

    weir_builder_open(&builder, self->pool, 4096);
    weir_builder_printf(&builder, "%s/upstreams/%.*s%s%.*s", family, WEIR_STR_ARG(name), more,
                        WEIR_STR_ARG(server));
    return weir_builder_close(&builder, path) || ctl_fail("the name is too long", WEIR_STR_EMPTY);
}

/* "weight=5", "down", "drain=off" as members of an object. */
static bool parameter_write(weir_builder *body, weir_str parameter)
{
    static const weir_str flags[] = {WEIR_STR_INIT("down"), WEIR_STR_INIT("drain"),
                                     WEIR_STR_INIT("backup")};
    weir_str value = parameter;
    weir_str name;
    bool has_value = weir_str_find(parameter, WEIR_STR("=")) != NULL;

    if (!weir_str_split(&value, '=', &name) || name.len == 0) {
        return ctl_fail("this is no parameter:", parameter);
    }
    weir_json_write_string(body, name);
    weir_builder_add_byte(body, ':');
    for (size_t i = 0; i < WEIR_COUNT(flags); i++) {
        if (weir_str_eq(name, flags[i])) {
            bool is_on = !has_value || weir_str_eq(value, WEIR_STR("on"));

            weir_builder_add(body, is_on ? WEIR_STR("true") : WEIR_STR("false"));
            return is_on || weir_str_eq(value, WEIR_STR("off"))
                   || ctl_fail("it is \"on\" or \"off\":", parameter);
        }
    }
    weir_json_write_string(body, value);
    return has_value || ctl_fail("this takes a value:", parameter);
}

static bool body_make(const ctl *self, weir_str server, size_t first, weir_str *text)
{
    weir_builder body;
    const char *separator = "";

    weir_builder_open(&body, self->pool, WEIR_CONTROL_CALL_MAX);
    weir_builder_add_byte(&body, '{');
    if (server.len != 0) {
        weir_builder_add(&body, WEIR_STR("\"server\":"));
        weir_json_write_string(&body, server);
        separator = ",";
    }
    for (size_t i = first; i < self->count; i++) {
        weir_builder_add(&body, weir_str_from_z(separator));
        if (!parameter_write(&body, self->words[i])) {
            return false;
        }
        separator = ",";
    }
    weir_builder_add_byte(&body, '}');
    return weir_builder_close(&body, text) || ctl_fail("there is too much of it", WEIR_STR_EMPTY);
}

static bool show(const ctl *self, const char *family, weir_str name, const char *more)
{
    weir_str path, text;

    return path_make(self, family, name, more, WEIR_STR_EMPTY, &path)
           && ctl_call(self, "GET", path, WEIR_STR_EMPTY, &text) && print(text);
}

/* Of both families, unless one was said. */
static bool upstreams(const ctl *self)
{
    if (self->count == 2) {
        return show(self, self->family, self->words[1], "");
    }
    if (self->is_family_said) {
        return show(self, self->family, WEIR_STR_EMPTY, "");
    }
    if (!self->is_raw) {
        return show(self, "http", WEIR_STR_EMPTY, "") && show(self, "stream", WEIR_STR_EMPTY, "");
    }
    return print(WEIR_STR("{\"http\":")) && show(self, "http", WEIR_STR_EMPTY, "")
           && print(WEIR_STR(",\"stream\":")) && show(self, "stream", WEIR_STR_EMPTY, "")
           && print(WEIR_STR("}\n"));
}

static bool servers(const ctl *self)
{
    return show(self, self->family, self->words[1], "/servers");
}

static bool change(const ctl *self, const char *verb, weir_str in_path, weir_str in_body,
                   size_t first)
{
    weir_str path, body, text;

    return path_make(self, self->family, self->words[1],
                     in_path.len == 0 ? "/servers" : "/servers/", in_path, &path)
           && body_make(self, in_body, first, &body) && ctl_call(self, verb, path, body, &text)
           && print(text);
}

static bool server_add(const ctl *self)
{
    return change(self, "POST", WEIR_STR_EMPTY, self->words[2], 3);
}

static bool server_set(const ctl *self)
{
    return change(self, "PATCH", self->words[2], WEIR_STR_EMPTY, 3);
}

static bool server_remove(const ctl *self)
{
    return change(self, "DELETE", self->words[2], WEIR_STR_EMPTY, 3);
}

static const struct {
    const char *name;
    size_t min, max; /* words, with the name */
    bool (*run)(const ctl *self);
} ctl_commands[] = {
    {"upstreams", 1, 2, upstreams},   {"servers", 2, 2, servers},
    {"add", 3, SIZE_MAX, server_add}, {"set", 4, SIZE_MAX, server_set},
    {"remove", 3, 3, server_remove},
};

static bool command_run(const ctl *self)
{
    for (size_t i = 0; self->count != 0 && i < WEIR_COUNT(ctl_commands); i++) {
        if (weir_str_eq(self->words[0], weir_str_from_z(ctl_commands[i].name))) {
            return self->count < ctl_commands[i].min || self->count > ctl_commands[i].max
                       ? ctl_fail("wrong number of words for", self->words[0])
                       : ctl_commands[i].run(self);
        }
    }
    return ctl_fail("it takes upstreams, servers, add, set or remove, not",
                    self->count == 0 ? WEIR_STR("nothing") : self->words[0]);
}

/* ---- options */

/* Words are left in place; false: an option is unknown. */
static bool options_take(ctl *self, const weir_str *arguments, size_t count)
{
    weir_str *words = WEIR_NEW_ARRAY(self->pool, weir_str, count + 1);

    if (words == NULL) {
        return ctl_fail("no memory", WEIR_STR_EMPTY);
    }
    self->words = words;
    for (size_t i = 0; i < count; i++) {
        if (!weir_str_starts(arguments[i], WEIR_STR("--"))) {
            words[self->count++] = arguments[i];
        } else if (weir_str_eq(arguments[i], WEIR_STR("--json"))) {
            self->is_raw = true;
        } else if (weir_str_eq(arguments[i], WEIR_STR("--stream"))
                   || weir_str_eq(arguments[i], WEIR_STR("--http"))) {
            self->family = arguments[i].data + 2;
            self->is_family_said = true;
        } else if (weir_str_starts(arguments[i], WEIR_STR("--socket="))) {
            self->socket = weir_str_from(arguments[i], strlen("--socket="));
        } else {
            return ctl_fail("invalid option", arguments[i]);
        }
    }
    return true;
}

/* The configuration names the socket. */
static bool socket_find(ctl *self, const weir_conf_options *options)
{
    weir_cycle *cycle = weir_cycle_read(options);
    bool is_found = false;

    if (cycle == NULL) {
        return false;
    }
    if (!weir_str_copy(
            self->pool,
            ((const weir_control_conf *) weir_level_settings(cycle->main, &weir_control))->path,
            &self->socket)) {
        ctl_fail("no memory", WEIR_STR_EMPTY);
    } else {
        is_found = self->socket.len != 0
                   || ctl_fail("the configuration has no \"control\" socket", WEIR_STR_EMPTY);
    }
    weir_cycle_free(cycle);
    return is_found;
}

static int ctl_run(const weir_conf_options *options, const weir_str *arguments, size_t count)
{
    ctl self = {.pool = weir_pool_new(16384, 0), .family = "http"};
    bool is_done = self.pool != NULL && options_take(&self, arguments, count)
                   && (self.socket.len != 0 || socket_find(&self, options)) && command_run(&self);

    weir_pool_free(self.pool);
    return is_done ? EXIT_SUCCESS : EXIT_FAILURE;
}

const weir_tool weir_control_tools[] = {
    {
        .name = "ctl",
        .syntax = "[--json] [--stream] [--socket=PATH] upstreams [NAME] | servers NAME |\n"
                  "      add NAME ADDRESS [PARAMETER ...] | set NAME SERVER PARAMETER ... | remove "
                  "NAME SERVER",
        .doc = "shows and changes upstream groups of a weir that runs, over its \"control\" socket",
        .run = ctl_run,
    },
    {0},
};
