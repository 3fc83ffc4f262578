/*
 * control: a unix socket, for root alone, at which the keeper answers what `weir ctl` asks.
 *
 *     control unix:/run/weir.ctl;     "off", the default, has none
 *
 * The socket is one of the listeners, apart from those of workers: it stays over reloads, and is handed over to a new
 * binary, whose keeper answers once the old one has left.
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

#include "core/base/clock.h"
#include "core/net/connection.h"
#include "core/process/core_conf.h"
#include "core/process/cycle.h"
#include "core/process/worker.h"
#include "modules/api/call.h"

#define CONTROL_CLIENTS_MAX 16
#define CONTROL_TIMEOUT_MS 10000
#define CONTROL_LEAVE_MS 1000 /* for calls that a keeper which stops has accepted */
#define CONTROL_PATH_MAX sizeof(((struct sockaddr_un *) NULL)->sun_path)

/* Of one configuration. */
typedef struct {
    weir_listener *listener;
    weir_event event;
    weir_worker *keeper;
    weir_list clients;
    size_t client_count;
} control;

/* ---- one call: reading -> (waiting for the keeper's change) -> writing -> closed */

typedef struct {
    weir_list link;
    control *owner;
    weir_connection *connection;
    weir_api_call call;
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
    weir_api_call_cancel(&client->call);
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

static void client_answer(weir_api_call *call)
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
                  call->verb == WEIR_API_VERB_GET ? WEIR_LOG_INFO : WEIR_LOG_NOTICE, 0,
                  "control: \"%.*s\" of %.*s answered with %u", WEIR_STR_ARG(client->verb),
                  WEIR_STR_ARG(call->path), call->status);
    weir_connection_enter(client->connection, &client_writing);
    writing_writable(client->connection);
}

static weir_api_verb verb_of(weir_str text)
{
    return weir_str_eq(text, WEIR_STR("GET"))      ? WEIR_API_VERB_GET
           : weir_str_eq(text, WEIR_STR("POST"))   ? WEIR_API_VERB_POST
           : weir_str_eq(text, WEIR_STR("PATCH"))  ? WEIR_API_VERB_PATCH
           : weir_str_eq(text, WEIR_STR("DELETE")) ? WEIR_API_VERB_DELETE
                                                   : WEIR_API_VERB_OTHER;
}

/* All of it is there. */
static void client_call(control_client *client)
{
    weir_api_call *call = &client->call;
    weir_str body = weir_str_of(client->data, client->len);
    weir_str format = WEIR_STR_EMPTY;
    weir_api_step step;

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
    step = weir_api_call_begin(call);
    if (step == WEIR_API_TAKES_BODY) {
        step = weir_api_call_go_on(call, body);
    }
    if (step == WEIR_API_ANSWERED) {
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
    /* Its own: the listener's may be closed before the keeper stops. */
    int fd = fcntl(weir_listener_fd(self->listener), F_DUPFD_CLOEXEC, 0);

    if (fd == -1) {
        weir_log_line(&keeper->log, WEIR_LOG_ALERT, errno,
                      "fcntl(F_DUPFD_CLOEXEC) of the control socket failed");
        return false;
    }
    self->keeper = keeper;
    weir_list_init(&self->clients);
    self->event = (weir_event){.fd = fd, .name = "control socket", .ready = socket_ready};
    if (!weir_event_add_level(keeper->loop, &self->event, false)) {
        close(fd);
        return false;
    }
    return true;
}

static void control_stop(weir_worker *keeper, weir_chore *chore)
{
    control *self = chore->subject;
    uint64_t until_ms = weir_clock_now()->monotonic_ms + CONTROL_LEAVE_MS;

    weir_event_remove(keeper->loop, &self->event);
    close(self->event.fd);
    /* What was accepted nobody else can answer. */
    while (!weir_list_is_empty(&self->clients) && weir_clock_now()->monotonic_ms < until_ms) {
        weir_loop_turn(keeper->loop, (int) (until_ms - weir_clock_now()->monotonic_ms));
    }
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

/* NULL: refused. */
static weir_listener *listener_make(weir_conf *conf, weir_str path)
{
    weir_addr addr = {.len = sizeof(addr.un), .un = {.sun_family = AF_UNIX}};
    weir_listener *made;
    struct stat found;
    bool is_new = false;

    memcpy(addr.un.sun_path, path.data, path.len);
    if (lstat(addr.un.sun_path, &found) == 0 && !S_ISSOCK(found.st_mode)) {
        weir_conf_refuse(conf, "\"%.*s\" of \"control\" is there, and is no socket",
                         WEIR_STR_ARG(path));
        return NULL;
    }
    made = weir_listeners_get(weir_conf_cycle(conf)->listeners, &addr, &is_new);
    if (made == NULL || !is_new) {
        weir_conf_refuse(conf,
                         made == NULL ? "no memory for \"control\""
                                      : "\"%.*s\" of \"control\" is listened at already",
                         WEIR_STR_ARG(path));
        return NULL;
    }
    made->purpose = &weir_listener_apart;
    return made;
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
    if (!weir_api_enable(conf)) {
        return false;
    }
    self->listener = listener_make(conf, settings->path);
    if (self->listener == NULL) {
        return false;
    }
    *chore = (weir_chore){
        .name = "control", .start = control_start, .stop = control_stop, .subject = self};
    return weir_chore_register(cycle, chore) || weir_conf_refuse(conf, "no memory for \"control\"");
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
