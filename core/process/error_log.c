#include "core/process/error_log.h"

#include "core/process/cycle.h"
#include "core/process/syslog_conf.h"

/* nginx's debug levels of single parts: here there is one. */
static bool error_log_is_debug(weir_str name)
{
    static const char *const names[] = {"debug_core", "debug_alloc", "debug_mutex", "debug_event",
                                        "debug_http", "debug_mail",  "debug_stream"};

    for (size_t i = 0; i < WEIR_COUNT(names); i++) {
        if (weir_str_eq(name, weir_str_from_z(names[i]))) {
            return true;
        }
    }

    return false;
}

static bool error_log_level(weir_conf *conf, const weir_statement *statement, weir_log_level *level)
{
    *level = WEIR_LOG_ERR;

    if (statement->count < 3 || weir_log_level_parse(statement->args[2], level)) {
        return true;
    }

    if (error_log_is_debug(statement->args[2])) {
        *level = WEIR_LOG_DEBUG;
        return true;
    }

    return weir_conf_refuse_arg(conf, statement, 2, "invalid log level \"%.*s\"",
                                WEIR_STR_ARG(statement->args[2]));
}

static bool error_log_add_syslog(weir_conf *conf, weir_log_target *target, weir_str parameters,
                                 weir_log_level level)
{
    weir_syslog *syslog = weir_syslog_open(conf, parameters);

    if (syslog == NULL) {
        return false;
    }

    return weir_log_target_add_syslog(target, syslog, level)
           || weir_conf_refuse(conf, "no memory for a log");
}

static bool error_log_add_file(weir_conf *conf, weir_log_target *target, weir_str path,
                               weir_log_level level)
{
    weir_log_file *file;
    weir_str full;

    if (!weir_conf_prefix_path(conf, path, &full)) {
        return false;
    }

    file = weir_log_files_get(weir_conf_cycle(conf)->log_files, full);

    return (file != NULL && weir_log_target_add_file(target, file, level))
           || weir_conf_refuse(conf, "no memory for a log");
}

bool weir_error_log_add(weir_conf *conf, weir_log_target *target, const weir_statement *statement)
{
    weir_str where = statement->args[1];
    weir_log_level level;

    if (!error_log_level(conf, statement, &level)) {
        return false;
    }

    if (weir_str_is_empty(where)) {
        return weir_conf_refuse_arg(conf, statement, 1, "\"error_log\" needs the name of a file");
    }

    if (weir_str_eq(where, WEIR_STR("stderr"))) {
        return weir_log_target_add_stderr(target, level)
               || weir_conf_refuse(conf, "no memory for a log");
    }

    if (weir_str_starts(where, WEIR_STR("syslog:"))) {
        return error_log_add_syslog(conf, target, weir_str_from(where, sizeof("syslog:") - 1),
                                    level);
    }

    if (weir_str_starts(where, WEIR_STR("memory:"))) {
        return weir_conf_refuse_arg(conf, statement, 1,
                                    "logs in memory are not supported: \"error_log\" takes a file, "
                                    "\"stderr\" or \"syslog:\"");
    }

    return error_log_add_file(conf, target, where, level);
}

bool weir_error_log_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    char *member = (char *) settings + statement->directive->slot.offset;
    const weir_log_target **target = (const weir_log_target **) (void *) member;

    if (*target == NULL) {
        *target = weir_log_target_new(weir_conf_pool(conf));
    }

    if (*target == NULL) {
        return weir_conf_refuse(conf, "no memory for a log");
    }

    /* Constant once the level is complete. */
    return weir_error_log_add(conf, (weir_log_target *) *target, statement);
}
