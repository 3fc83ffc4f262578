/*
 * access_log: a line for each session.
 *
 *     log_format sessions '$remote_addr $status $bytes_sent $upstream_addr';
 *     access_log logs/sessions.log sessions buffer=64k flush=5s if=$is_of_interest;
 *     access_log off;
 */

#include "modules/common/access_log.h"
#include "modules/stream/engine/core_conf.h"

typedef struct {
    weir_access_logs logs;
} log_conf;

static const weir_access_log_kind log_kind = {.family = "stream"};

static bool log_format_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    return weir_log_format_call(conf, weir_space_of(conf, "stream"), statement);
}

static bool access_log_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    return weir_access_log_call(conf, &log_kind, &((log_conf *) settings)->logs, statement);
}

static const weir_directive log_directives[] = {
    {
        .name = "access_log",
        .where = WEIR_STREAM_ANYWHERE,
        .takes = WEIR_TAKES_SOME,
        .syntax = "path format [buffer=size] [flush=time] [if=condition] | syslog:... | off",
        .slot = WEIR_SLOT_CALL(log_conf, logs, access_log_call),
        .preset = "off",
        .repeatable = true,
        .doc = "Where sessions are logged, and how.",
    },
    {
        .name = "log_format",
        .where = WEIR_STREAM_MAIN,
        .takes = WEIR_TAKES(2, 255),
        .syntax = "name [escape=default | json | none] text ...",
        .slot = WEIR_SLOT_ONLY_CALL(log_format_call),
        .doc = "What the lines of an access log say.",
    },
    {
        .name = "open_log_file_cache",
        .where = WEIR_STREAM_ANYWHERE,
        .takes = WEIR_TAKES(1, 4),
        .syntax = "max=N [inactive=time] [min_uses=N] [valid=time] | off",
        .warning = "logs whose names have variables are opened for each line",
        .doc = "Accepted.",
    },
    {0},
};

static weir_stream_verdict log_judge(weir_stream_session *session, const void *server)
{
    weir_access_logs_write(&((const log_conf *) server)->logs, &session->script,
                           session->client->loop);
    return WEIR_STREAM_PASS;
}

static bool log_applies(const void *server)
{
    const log_conf *conf = server;

    return !conf->logs.is_off && conf->logs.list != NULL;
}

const weir_stream_module weir_stream_log_sessions = {
    .name = "stream_log",
    .directives = log_directives,
    .conf_size = sizeof(log_conf),
    .worker_stop = weir_access_logs_flush,
    .phases = 1u << WEIR_STREAM_PHASE_LOG,
    .judge = log_judge,
    .applies = log_applies,
};
