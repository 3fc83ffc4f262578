/*
 * control: a unix socket, for root alone, at which the keeper answers what `weir ctl` asks.
 *
 *     control unix:/run/weir.ctl;     "off", the default, has none
 *
 * The master makes the socket; it lives as long as configurations name it, and so over reloads.
 */

#include "modules/control/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/net/connection.h"
#include "core/process/core_conf.h"
#include "core/process/cycle.h"
#include "core/process/worker.h"
#include "modules/balance/api.h"

#define CONTROL_OBJECT "control"
#define CONTROL_BACKLOG 16
#define CONTROL_CLIENTS_MAX 16
#define CONTROL_TIMEOUT_MS 10000
#define CONTROL_NEW ".new" /* what the socket is called until it is ready */
#define CONTROL_PATH_MAX (sizeof(((struct sockaddr_un *) NULL)->sun_path) - sizeof(CONTROL_NEW))

/* ---- the socket: made by the master, shared by the configurations that name it */

typedef struct {
    size_t references;
    int fd;
    struct sockaddr_un name;
    dev_t device; /* of its file */
    ino_t inode;
} control_socket;

/* Of one configuration. */
typedef struct {
    control_socket *socket;
    weir_event event;
    weir_worker *keeper;
    weir_list clients;
    size_t client_count;
} control;

static bool file_is_ours(const control_socket *socket)
{
    struct stat found;

    return lstat(socket->name.sun_path, &found) == 0 && found.st_dev == socket->device
           && found.st_ino == socket->inode;
}

/* In the master, or the only process; others just lose their descriptor. */
static void socket_unref(control_socket *socket, bool is_maker)
{
    if (--socket->references != 0) {
        return;
    }
    if (is_maker && file_is_ours(socket)) {
        (void) unlink(socket->name.sun_path);
    }
    close(socket->fd);
    free(socket);
}

/* Ready before it has its name, which it takes from one that a dead process left. */
static bool socket_bind(control_socket *made)
{
    struct sockaddr_un fresh = made->name;
    struct stat found;
    mode_t mask;
    bool is_bound;

    memcpy(fresh.sun_path + strlen(fresh.sun_path), CONTROL_NEW, sizeof(CONTROL_NEW));
    (void) unlink(fresh.sun_path);
    mask = umask(S_IRWXG | S_IRWXO | S_IXUSR);
    is_bound = bind(made->fd, (const struct sockaddr *) &fresh, sizeof(fresh)) == 0;
    umask(mask);
    if (!is_bound) {
        return false;
    }
    if (listen(made->fd, CONTROL_BACKLOG) == -1 || lstat(fresh.sun_path, &found) == -1
        || rename(fresh.sun_path, made->name.sun_path) == -1) {
        int error = errno;

        (void) unlink(fresh.sun_path);
        errno = error;
        return false;
    }
    made->device = found.st_dev;
    made->inode = found.st_ino;
    return true;
}

/* NULL: refused. */
static control_socket *socket_new(weir_conf *conf, weir_str path)
{
    control_socket *made = calloc(1, sizeof(*made));
    struct stat found;

    if (made == NULL) {
        weir_conf_refuse(conf, "no memory for \"control\"");
        return NULL;
    }
    made->references = 1;
    made->name.sun_family = AF_UNIX;
    memcpy(made->name.sun_path, path.data, path.len);
    if (lstat(made->name.sun_path, &found) == 0 && !S_ISSOCK(found.st_mode)) {
        weir_conf_refuse(conf, "\"%.*s\" of \"control\" is there, and is no socket",
                         WEIR_STR_ARG(path));
        free(made);
        return NULL;
    }
    made->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made->fd == -1 || !socket_bind(made)) {
        weir_conf_refuse(conf, "the socket \"%.*s\" of \"control\" cannot be made (%d: %s)",
                         WEIR_STR_ARG(path), errno, strerror(errno));
        if (made->fd != -1) {
            close(made->fd);
        }
        free(made);
        return NULL;
    }
    return made;
}

/* That of the configuration before, if it is the same and still has its file. */
static control_socket *socket_kept(const weir_cycle *cycle, weir_str path)
{
    const control *before =
        cycle->previous == NULL ? NULL : weir_cycle_object(cycle->previous, CONTROL_OBJECT);

    if (before == NULL || !weir_str_eq(weir_str_from_z(before->socket->name.sun_path), path)
        || !file_is_ours(before->socket)) {
        return NULL;
    }
    before->socket->references++;
    return before->socket;
}

static void control_end(void *subject)
{
    const control *self = subject;
    const weir_worker *worker = weir_worker_current();

    socket_unref(self->socket, worker == NULL || !worker->cycle->core->master_process);
}

/* ---- one call: reading -> (waiting for the keeper's change) -> writing -> closed */

typedef struct {
    weir_list link;
    control *owner;
    weir_connection *connection;
    weir_balance_call call;
    weir_str verb; /* as it was asked */
    char *data;
    size_t len;
    weir_chain out;
} control_client;

static void reading_readable(weir_connection *connection);
static void writing_writable(weir_connection *connection);
static void client_timeout(weir_connection *connection);

static const weir_connection_state client_reading = {
    .name = "reading a control call",
    .on_readable = reading_readable,
    .on_timeout = client_timeout,
};
static const weir_connection_state client_waiting = {
    .name = "waiting for a change",
    .on_timeout = client_timeout,
};
static const weir_connection_state client_writing = {
    .name = "answering a control call",
    .on_writable = writing_writable,
    .on_timeout = client_timeout,
};

static void client_close(control_client *client)
{
    weir_balance_call_cancel(&client->call);
    weir_chain_clear(&client->out);
    weir_list_remove(&client->link);
    client->owner->client_count--;
    weir_connection_close(client->connection);
}

static void client_timeout(weir_connection *connection)
{
    client_close(connection->owner);
}

static void writing_writable(weir_connection *connection)
{
    control_client *client = connection->owner;

    if (weir_connection_write(connection, &client->out, UINT64_MAX) != WEIR_WAIT) {
        client_close(client);
    }
}

static void client_answer(weir_balance_call *call)
{
    control_client *client = WEIR_OWNER(call, control_client, call);
    weir_builder head;
    weir_str text;

    weir_builder_open(&head, client->connection->pool, 16);
    weir_builder_printf(&head, "%u\n", call->status);
    if (!weir_builder_close(&head, &text) || !weir_chain_add_memory(&client->out, text)
        || !weir_chain_add_memory(&client->out, call->text)) {
        client_close(client);
        return;
    }
    weir_log_line(&client->owner->keeper->log,
                  call->verb == WEIR_BALANCE_VERB_GET ? WEIR_LOG_INFO : WEIR_LOG_NOTICE, 0,
                  "control: \"%.*s\" of %.*s answered with %u", WEIR_STR_ARG(client->verb),
                  WEIR_STR_ARG(call->path), call->status);
    weir_connection_enter(client->connection, &client_writing);
    writing_writable(client->connection);
}

static weir_balance_verb verb_of(weir_str text)
{
    return weir_str_eq(text, WEIR_STR("GET"))      ? WEIR_BALANCE_VERB_GET
           : weir_str_eq(text, WEIR_STR("POST"))   ? WEIR_BALANCE_VERB_POST
           : weir_str_eq(text, WEIR_STR("PATCH"))  ? WEIR_BALANCE_VERB_PATCH
           : weir_str_eq(text, WEIR_STR("DELETE")) ? WEIR_BALANCE_VERB_DELETE
                                                   : WEIR_BALANCE_VERB_OTHER;
}

/* All of it is there. */
static void client_call(control_client *client)
{
    weir_balance_call *call = &client->call;
    weir_str body = weir_str_of(client->data, client->len);
    weir_str format = WEIR_STR_EMPTY;
    weir_balance_call_step step;

    if (!weir_str_split(&body, '\n', &client->verb) || !weir_str_split(&body, '\n', &call->path)
        || !weir_str_split(&body, '\n', &format)) {
        client_close(client);
        return;
    }
    call->pool = client->connection->pool;
    call->verb = verb_of(client->verb);
    call->may_write = true;
    call->is_for_people = weir_str_eq(format, WEIR_STR("text"));
    call->done = client_answer;
    weir_connection_enter(client->connection, &client_waiting);
    step = weir_balance_call_begin(call);
    if (step == WEIR_BALANCE_CALL_TAKES_BODY) {
        step = weir_balance_call_go_on(call, body);
    }
    if (step == WEIR_BALANCE_CALL_ANSWERED) {
        client_answer(call);
    }
}

static void reading_readable(weir_connection *connection)
{
    control_client *client = connection->owner;

    for (;;) {
        size_t len = 0;

        switch (weir_connection_read(connection, client->data + client->len,
                                     WEIR_CONTROL_CALL_MAX - client->len, &len)) {
        case WEIR_WAIT:
            return;
        case WEIR_FAIL:
            client_close(client);
            return;
        case WEIR_OK:
            break;
        }
        if (len == 0) {
            client_call(client);
            return;
        }
        client->len += len;
        if (client->len == WEIR_CONTROL_CALL_MAX) {
            weir_log_line(&client->owner->keeper->log, WEIR_LOG_WARN, 0,
                          "control: a call is too long");
            client_close(client);
            return;
        }
    }
}

/* False: the descriptor is still the caller's. */
static bool client_new(control *owner, int fd)
{
    weir_connection *connection =
        weir_connection_adopt(owner->keeper->loop, fd, 4096, &owner->keeper->log);
    control_client *client;

    if (connection == NULL) {
        return false;
    }
    client = WEIR_NEW(connection->pool, control_client);
    if (client == NULL
        || (client->data = weir_pool_bytes(connection->pool, WEIR_CONTROL_CALL_MAX)) == NULL) {
        weir_connection_close(connection);
        return true;
    }
    client->owner = owner;
    client->connection = connection;
    connection->owner = client;
    weir_list_append(&owner->clients, &client->link);
    owner->client_count++;
    weir_connection_set_timeout(connection, CONTROL_TIMEOUT_MS);
    weir_connection_enter(connection, &client_reading);
    return true;
}

static void socket_ready(weir_event *event, unsigned what)
{
    control *self = WEIR_OWNER(event, control, event);
    int fd = accept4(event->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void) what;
    if (fd == -1) {
        return;
    }
    if (self->client_count == CONTROL_CLIENTS_MAX || !client_new(self, fd)) {
        weir_log_line(&self->keeper->log, WEIR_LOG_WARN, 0, "control: too many calls at once");
        close(fd);
    }
}

/* ---- the keeper's chore */

static bool control_start(weir_worker *keeper, weir_chore *chore)
{
    control *self = chore->subject;

    self->keeper = keeper;
    weir_list_init(&self->clients);
    self->event =
        (weir_event){.fd = self->socket->fd, .name = "control socket", .ready = socket_ready};
    return weir_event_add_level(keeper->loop, &self->event, false);
}

static void control_stop(weir_worker *keeper, weir_chore *chore)
{
    control *self = chore->subject;

    weir_event_remove(keeper->loop, &self->event);
    while (!weir_list_is_empty(&self->clients)) {
        client_close(WEIR_OWNER(weir_list_first(&self->clients), control_client, link));
    }
}

/* ---- reading */

static bool control_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_control_conf *conf_here = settings;
    weir_str path = statement->args[1];

    conf_here->path = WEIR_STR_EMPTY;
    if (weir_str_eq(path, WEIR_STR("off"))) {
        return true;
    }
    if (!weir_conf_parameter(path, "unix:", &path) || path.len == 0) {
        return weir_conf_refuse_arg(conf, statement, 1,
                                    "\"control\" takes \"unix:PATH\" or \"off\"");
    }
    if (!weir_conf_prefix_path(conf, path, &conf_here->path)) {
        return false;
    }
    return conf_here->path.len < CONTROL_PATH_MAX
           || weir_conf_refuse_arg(conf, statement, 1, "the path of \"control\" is too long");
}

static bool control_configured(weir_conf *conf)
{
    weir_cycle *cycle = weir_conf_cycle(conf);
    const weir_control_conf *settings = weir_level_settings(weir_conf_level(conf), &weir_control);
    weir_chore *chore = WEIR_NEW(weir_conf_pool(conf), weir_chore);
    control *self = WEIR_NEW(weir_conf_pool(conf), control);

    if (settings->path.len == 0) {
        return true;
    }
    if (chore == NULL || self == NULL) {
        return weir_conf_refuse(conf, "no memory for \"control\"");
    }
    if (!weir_balance_calls_enable(conf)) {
        return false;
    }
    if (cycle->options.is_test) {
        return true;
    }
    self->socket = socket_kept(cycle, settings->path);
    if (self->socket == NULL && (self->socket = socket_new(conf, settings->path)) == NULL) {
        return false;
    }
    if (weir_pool_on_free(weir_conf_pool(conf), control_end, self) == NULL) {
        socket_unref(self->socket, true);
        return weir_conf_refuse(conf, "no memory for \"control\"");
    }
    *chore = (weir_chore){
        .name = "control", .start = control_start, .stop = control_stop, .subject = self};
    return (weir_cycle_set_object(cycle, CONTROL_OBJECT, self) && weir_chore_register(cycle, chore))
           || weir_conf_refuse(conf, "no memory for \"control\"");
}

static const weir_directive control_directives[] = {
    {
        .name = "control",
        .where = WEIR_MAIN,
        .takes = WEIR_TAKES(1, 1),
        .slot = WEIR_SLOT_CALL(weir_control_conf, path, control_call),
        .syntax = "unix:path | off",
        .preset = "off",
        .doc = "The unix socket, for the user alone who started weir, that \"weir ctl\" talks to.",
    },
    {0},
};

const weir_module weir_control = {
    .name = "control",
    .directives = control_directives,
    .conf_size = sizeof(weir_control_conf),
    .configured = control_configured,
    .tools = weir_control_tools,
};
