#include "modules/http/waf/waf_internal.h"

/* The directives, and the rules they name. */

#define COLLECTIONS_PRESET ((size_t) 10 * 1024 * 1024)
#define OBJECT_NAME "http waf"

static const char main_key;

static void warn(void *subject, weir_str message)
{
    weir_conf_warn(subject, "%.*s", WEIR_STR_ARG(message));
}

static weir_http_waf_main *main_get(weir_conf *conf)
{
    weir_http_waf_main *main = weir_conf_kept(conf, &main_key);

    if (main != NULL) {
        return main;
    }
    main = WEIR_NEW(weir_conf_pool(conf), weir_http_waf_main);
    if (main == NULL) {
        (void) weir_conf_refuse(conf, "no memory for the WAF");
        return NULL;
    }
    main->library =
        weir_waf_library_new(weir_conf_pool(conf), weir_conf_temp_pool(conf), warn, conf);
    main->collections_bytes = COLLECTIONS_PRESET;
    if (main->library == NULL || !weir_conf_keep(conf, &main_key, main)
        || !weir_cycle_set_object(weir_conf_cycle(conf), OBJECT_NAME, main)) {
        (void) weir_conf_refuse(conf, "no memory for the WAF");
        return NULL;
    }
    return main;
}

/* What the level around this one runs; NULL: nothing. */
static const weir_waf_program *outer_program(weir_conf *conf)
{
    const weir_level *level = weir_conf_level(conf);
    const weir_http_waf_conf *outer =
        level->outer == NULL ? NULL : weir_level_settings(level->outer, &weir_http_waf.base);

    return outer == NULL ? NULL : outer->rules.program;
}

static weir_str folder_of(weir_str path)
{
    size_t end = path.len;

    while (end > 0 && path.data[end - 1] != '/') {
        end--;
    }
    return weir_str_slice(path, 0, end);
}

static bool log_file_get(weir_conf *conf, weir_str path, weir_log_file **file)
{
    if (!weir_conf_prefix_path(conf, path, &path)) {
        return false;
    }
    *file = weir_log_files_get(weir_conf_cycle(conf)->log_files, path);
    return *file != NULL || weir_conf_refuse(conf, "no memory for a log of the WAF");
}

/* The program's SecAuditLog, opened and reopened as all logs are. */
static bool audit_log_get(weir_conf *conf, weir_http_waf_rules *rules)
{
    const weir_waf_audit_settings *audit = &weir_waf_program_settings(rules->program)->audit;

    rules->audit_log = NULL;
    if (audit->mode == WEIR_WAF_AUDIT_OFF && !audit->may_be_turned_on) {
        return true;
    }
    if (audit->is_concurrent && audit->storage.len == 0) {
        return weir_conf_refuse(conf, "SecAuditLogType Concurrent needs a SecAuditLogStorageDir");
    }
    return audit->log.len == 0 || log_file_get(conf, audit->log, &rules->audit_log);
}

static bool rules_add(weir_conf *conf, weir_http_waf_conf *waf, const weir_statement *statement,
                      const weir_waf_part *part)
{
    weir_waf_fault fault = {.message = ""};
    const weir_waf_program *outer =
        waf->rules.program != NULL ? waf->rules.program : outer_program(conf);
    weir_http_waf_main *main = main_get(conf);

    if (main == NULL) {
        return false;
    }
    waf->rules.main = main;
    waf->rules.program = weir_waf_program_get(main->library, outer, part, 1, &fault);
    if (waf->rules.program == NULL) {
        return weir_conf_refuse_hint(conf, statement, 1, weir_str_from_z(fault.further), "%s",
                                     fault.message);
    }
    main->keeps_collections |= weir_waf_program_keeps_collections(waf->rules.program);
    return audit_log_get(conf, &waf->rules);
}

static bool log_call(weir_conf *conf, const weir_statement *statement, weir_log_file **file)
{
    if (weir_str_eq(statement->args[1], WEIR_STR("off"))) {
        *file = NULL;
        return true;
    }
    return log_file_get(conf, statement->args[1], file);
}

static bool verdict_log_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    return log_call(conf, statement, &((weir_http_waf_conf *) settings)->verdict_log.file);
}

static bool learn_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    return log_call(conf, statement, &((weir_http_waf_conf *) settings)->learn_log.file);
}

static bool rules_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_waf_part part = {
        .text = statement->args[1],
        .name = statement->file->name,
        .folder = folder_of(statement->file->name),
        .line = statement->line,
    };

    return rules_add(conf, settings, statement, &part);
}

static bool rules_file_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_waf_part part = {
        .is_file = true,
        .name = statement->file->name,
        .line = statement->line,
    };

    return weir_conf_file_path(conf, statement->args[1], &part.text)
           && rules_add(conf, settings, statement, &part);
}

static bool remote_refuse(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    return weir_conf_refuse_arg(conf, statement, 0,
                                "\"modsecurity_rules_remote\" is not supported: rules are files");
}

static bool collections_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    static const weir_slot slot = WEIR_SLOT_SIZE(weir_http_waf_main, collections_bytes);
    weir_http_waf_main *main = main_get(conf);

    (void) settings;
    return main != NULL && weir_slot_store(conf, &slot, main, statement);
}

static bool prefilter_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_http_waf_main *main = main_get(conf);
    bool is_off = weir_str_eq(statement->args[1], WEIR_STR("off"));

    (void) settings;
    if (main == NULL) {
        return false;
    }
    if (!is_off && !weir_str_eq(statement->args[1], WEIR_STR("on"))) {
        return weir_conf_refuse_arg(conf, statement, 1,
                                    "\"modsecurity_prefilter\" takes on or off");
    }
    weir_waf_library_set_filter(main->library, !is_off);
    return true;
}

static const weir_choice modes[] = {
    {"off", WEIR_HTTP_WAF_OFF},
    {"on", WEIR_HTTP_WAF_ON},
    {"detection", WEIR_HTTP_WAF_DETECTION},
    {0},
};

const weir_directive weir_http_waf_directives[] = {
    {
        .name = "modsecurity",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_ENUM(weir_http_waf_conf, mode, modes),
        .preset = "off",
        .doc =
            "Whether SecLang rules look at requests; \"detection\" only logs what they would do.",
    },
    {
        .name = "modsecurity_rules",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES(1, 1),
        .slot = WEIR_SLOT_CALL(weir_http_waf_conf, rules, rules_call),
        .repeatable = true,
        .syntax = "text",
        .doc = "SecLang rules and settings, after those of the outer level.",
    },
    {
        .name = "modsecurity_rules_file",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES(1, 1),
        .slot = WEIR_SLOT_CALL(weir_http_waf_conf, rules, rules_file_call),
        .repeatable = true,
        .syntax = "path",
        .doc = "The same from a file, or from all files that a pattern such as rules/*.conf names.",
    },
    {
        .name = "modsecurity_rules_remote",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES(2, 2),
        .slot = WEIR_SLOT_ONLY_CALL(remote_refuse),
        .doc = "Refused: rules are files.",
    },
    {
        .name = "modsecurity_transaction_id",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_TEMPLATE(weir_http_waf_conf, transaction_id),
        .doc = "The id of a request in logs, on the page that refuses it and in $modsecurity_id.",
    },
    {
        .name = "modsecurity_verdict_log",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES(1, 1),
        .slot = WEIR_SLOT_CALL(weir_http_waf_conf, verdict_log, verdict_log_call),
        .preset = "off",
        .syntax = "path | off",
        .doc = "A line of JSON for each request that was blocked or would have been: why, and what "
               "would let it pass.",
    },
    {
        .name = "modsecurity_learn",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES(1, 1),
        .slot = WEIR_SLOT_CALL(weir_http_waf_conf, learn_log, learn_call),
        .preset = "off",
        .syntax = "path | off",
        .doc = "Blocks nothing, and writes the directives that would let requests pass whose rules "
               "scored.",
    },
    {
        .name = "modsecurity_collections_size",
        .where = WEIR_HTTP_MAIN,
        .takes = WEIR_TAKES(1, 1),
        .slot = WEIR_SLOT_ONLY_CALL(collections_call),
        .syntax = "size",
        .doc = "Shared memory for collections that outlive requests (initcol); 10m unless said.",
    },
    {
        .name = "modsecurity_prefilter",
        .where = WEIR_HTTP_MAIN,
        .takes = WEIR_TAKES(1, 1),
        .slot = WEIR_SLOT_ONLY_CALL(prefilter_call),
        .syntax = "on | off",
        .doc = "Off: each rule runs on each value, for comparisons; the verdicts are the same.",
    },
    {
        .name = "modsecurity_work_limit",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_OFFSET(weir_http_waf_conf, work_limit),
        .preset = "400m",
        .doc = "Units of work, of about half a nanosecond, that inspecting one request may take; "
               "then it is refused.",
    },
    {
        .name = "modsecurity_memory_limit",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_SIZE(weir_http_waf_conf, memory_limit),
        .preset = "64m",
        .doc = "Memory that inspecting one request may take; then it is refused.",
    },
    {0},
};

static bool zone_opened(weir_zone *zone, bool is_new, void *subject)
{
    weir_http_waf_main *main = subject;

    main->store = weir_waf_store_open(main->pool, weir_zone_memory(zone), weir_zone_bytes(zone),
                                      is_new, weir_zone_name(zone), main->log);
    return main->store != NULL;
}

bool weir_http_waf_configured(weir_conf *conf)
{
    weir_http_waf_main *main = weir_conf_kept(conf, &main_key);
    weir_waf_fault fault = {.message = ""};

    if (main == NULL) {
        return true;
    }
    if (!weir_waf_library_close(main->library, &fault)) {
        return weir_conf_refuse(conf, "%s", fault.message);
    }
    if (!main->keeps_collections) {
        return true;
    }
    main->pool = weir_conf_pool(conf);
    main->log = &weir_conf_cycle(conf)->log;
    return weir_zone_new(conf, WEIR_STR("modsecurity collections"), main->collections_bytes,
                         WEIR_WAF_STORE_LAYOUT, zone_opened, main)
           != NULL;
}

weir_http_waf_main *weir_http_waf_main_of(const weir_cycle *cycle)
{
    return weir_cycle_object(cycle, OBJECT_NAME);
}

bool weir_http_waf_worker_start(weir_worker *worker)
{
    weir_http_waf_main *main = weir_http_waf_main_of(worker->cycle);

    if (main == NULL || worker->is_keeper) {
        return true;
    }
    main->worker = weir_waf_worker_new();
    if (main->worker == NULL) {
        weir_log_line(&worker->log, WEIR_LOG_EMERG, 0, "no memory for the WAF");
        return false;
    }
    return true;
}

void weir_http_waf_worker_stop(weir_worker *worker)
{
    weir_http_waf_main *main = weir_http_waf_main_of(worker->cycle);

    if (main != NULL) {
        weir_waf_worker_free(main->worker);
        main->worker = NULL;
        weir_pool_free(main->learnt_pool);
        main->learnt_pool = NULL;
        main->learnt = NULL;
    }
}
