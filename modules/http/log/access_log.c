/*
 * access_log: a line for each request.
 *
 *     access_log logs/access.log combined;
 *     access_log logs/slow.log timing buffer=64k flush=5s if=$slow;
 *     access_log syslog:server=127.0.0.1 json;
 *     access_log off;
 */

#include <sys/stat.h>

#include "modules/common/access_log.h"
#include "modules/http/engine/core_conf.h"
#include "weir_auto_config.h"

#define COMBINED                                                                                   \
    "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent "             \
    "\"$http_referer\" \"$http_user_agent\""

typedef struct {
    weir_access_logs logs;
} access_conf;

/* A name with variables is a client's choice: only where the request's root is there is a file made. */
static bool root_is_there(weir_script *script)
{
    const weir_http_exchange *ex = script->subject;
    weir_str root;
    const char *path;
    struct stat found;

    if (!weir_template_text(ex->core->root.template, script, &root)) {
        return false;
    }
    path = weir_str_z(script->pool, root);
    return path != NULL && stat(path, &found) == 0 && S_ISDIR(found.st_mode);
}

static const weir_access_log_kind access_kind = {
    .family = "http",
    .default_format = WEIR_STR_INIT("combined"),
    .may_make_file = root_is_there,
};

/* ---- reading */

static bool combined_define(weir_conf *conf)
{
    weir_space *space = weir_space_of(conf, "http");
    weir_str name = WEIR_STR("combined");

    return space != NULL
           && (weir_log_format_find(conf, space, name) != NULL
               || weir_log_format_define(conf, space, name, WEIR_STR(COMBINED)));
}

static bool log_format_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    return combined_define(conf)
           && weir_log_format_call(conf, weir_space_of(conf, "http"), statement);
}

static bool access_log_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    return combined_define(conf)
           && weir_access_log_call(conf, &access_kind, &((access_conf *) settings)->logs,
                                   statement);
}

static const weir_directive access_directives[] = {
    {
        .name = "access_log",
        .where = WEIR_HTTP_ANYWHERE | WEIR_HTTP_LOCATION_IF | WEIR_HTTP_LIMIT_EXCEPT,
        .takes = WEIR_TAKES_SOME,
        .syntax = "path [format [buffer=size] [flush=time] [if=condition]] | syslog:... | off",
        .slot = WEIR_SLOT_CALL(access_conf, logs, access_log_call),
        .preset = "\"" WEIR_HTTP_LOG_PATH "\"",
        .repeatable = true,
        .doc = "Where requests are logged, and how.",
    },
    {
        .name = "log_format",
        .where = WEIR_HTTP_MAIN,
        .takes = WEIR_TAKES(2, 255),
        .syntax = "name [escape=default | json | none] text ...",
        .slot = WEIR_SLOT_ONLY_CALL(log_format_call),
        .doc = "What the lines of an access log say.",
    },
    {
        .name = "open_log_file_cache",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES(1, 4),
        .syntax = "max=N [inactive=time] [min_uses=N] [valid=time] | off",
        .warning = "logs whose names have variables are opened for each line",
        .doc = "Accepted.",
    },
    {0},
};

/* ---- writing */

static weir_http_verdict access_judge(weir_http_exchange *ex, const void *location)
{
    weir_access_logs_write(&((const access_conf *) location)->logs, &ex->script,
                           weir_http_client_connection(ex)->loop);
    return WEIR_HTTP_PASS;
}

static bool access_applies(const void *location)
{
    const access_conf *access = location;

    return !access->logs.is_off && access->logs.list != NULL;
}

const weir_http_module weir_http_access_log = {
    .name = "http_log",
    .directives = access_directives,
    .conf_size = sizeof(access_conf),
    .worker_stop = weir_access_logs_flush,
    .phases = 1u << WEIR_HTTP_PHASE_LOG,
    .judge = access_judge,
    .applies = access_applies,
};
