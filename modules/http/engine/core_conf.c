#include "modules/http/engine/core_conf.h"

#include "core/base/number.h"
#include "core/process/error_log.h"
#include "core/process/resolver_conf.h"
#include "core/server/values.h"

/*
 * The directives of nginx's core http module, as one table, and the calls of those that store
 * something unusual.
 */

#define ROW(name_, slot_, preset_, doc_)                                                           \
    {                                                                                              \
        .name = name_, .where = WEIR_HTTP_ANYWHERE, .slot = slot_, .preset = preset_, .doc = doc_  \
    }
#define SERVER_ROW(name_, slot_, preset_, doc_)                                                    \
    {                                                                                              \
        .name = name_, .where = WEIR_HTTP_MAIN | WEIR_HTTP_SERVER, .slot = slot_,                  \
        .preset = preset_, .doc = doc_                                                             \
    }
#define FLAG(member) WEIR_SLOT_FLAG(weir_http_core_conf, member)
#define SIZE(member) WEIR_SLOT_SIZE(weir_http_core_conf, member)
#define MS(member) WEIR_SLOT_MS(weir_http_core_conf, member)
#define CALL(member, call) WEIR_SLOT_CALL(weir_http_core_conf, member, call)

/* How long nobody is measured: what crosses the sea comes in bursts. */
#define CLIENT_MIN_RATE_AFTER_MS 5000

static const weir_choice lingering_choices[] = {
    {"off", WEIR_HTTP_LINGER_OFF},
    {"on", WEIR_HTTP_LINGER_ON},
    {"always", WEIR_HTTP_LINGER_ALWAYS},
    {NULL, 0},
};

static const weir_choice satisfy_choices[] = {
    {"all", WEIR_HTTP_SATISFY_ALL},
    {"any", WEIR_HTTP_SATISFY_ANY},
    {NULL, 0},
};

static const weir_choice in_file_choices[] = {
    {"off", WEIR_HTTP_BODY_IN_MEMORY},
    {"on", WEIR_HTTP_BODY_IN_FILE},
    {"clean", WEIR_HTTP_BODY_IN_FILE_CLEAN},
    {NULL, 0},
};

static const weir_choice keepalive_disable_choices[] = {
    {"none", 0},
    {"msie6", WEIR_HTTP_NO_KEEPALIVE_MSIE6},
    {"safari", WEIR_HTTP_NO_KEEPALIVE_SAFARI},
    {NULL, 0},
};

static const weir_choice modified_since_choices[] = {
    {"off", WEIR_HTTP_MODIFIED_OFF},
    {"exact", WEIR_HTTP_MODIFIED_EXACT},
    {"before", WEIR_HTTP_MODIFIED_BEFORE},
    {NULL, 0},
};

/* keepalive_timeout TIME [HEADER_TIME] */
static bool keepalive_timeout_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_http_core_conf *core = settings;

    if (!weir_parse_time_ms(statement->args[1], INT64_MAX, &core->keepalive.timeout_ms)) {
        return weir_conf_refuse_arg(conf, statement, 1,
                                    "invalid value \"%.*s\" in \"keepalive_timeout\" directive",
                                    WEIR_STR_ARG(statement->args[1]));
    }
    core->keepalive.header_s = 0;
    if (statement->count == 3
        && !weir_parse_time_s(statement->args[2], INT32_MAX, &core->keepalive.header_s)) {
        return weir_conf_refuse_arg(conf, statement, 2,
                                    "invalid value \"%.*s\" in \"keepalive_timeout\" directive",
                                    WEIR_STR_ARG(statement->args[2]));
    }
    return true;
}

/* client_min_rate off | RATE [after=TIME] */
static bool client_min_rate_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_http_core_conf *core = settings;
    weir_str rate = statement->args[1];
    weir_str after;

    core->client_min_rate.bytes_s = 0;
    core->client_min_rate.after_ms = CLIENT_MIN_RATE_AFTER_MS;
    if (!weir_str_eq(rate, WEIR_STR("off"))
        && (!weir_parse_size(rate, false, INT32_MAX, &core->client_min_rate.bytes_s)
            || core->client_min_rate.bytes_s == 0)) {
        return weir_conf_refuse_arg(conf, statement, 1,
                                    "\"client_min_rate\" takes bytes a second, or \"off\"");
    }
    if (statement->count == 3
        && (!weir_conf_parameter(statement->args[2], "after=", &after)
            || !weir_parse_time_ms(after, INT32_MAX, &core->client_min_rate.after_ms))) {
        return weir_conf_refuse_arg(conf, statement, 2, "invalid parameter \"%.*s\"",
                                    WEIR_STR_ARG(statement->args[2]));
    }
    return true;
}

/* What these variables are is just being said. */
static bool root_is_no_circle(weir_conf *conf, const weir_template *root, weir_str directive)
{
    static const weir_str names[] = {WEIR_STR_INIT("document_root"),
                                     WEIR_STR_INIT("realpath_root")};
    const weir_template_part *parts;
    size_t count = weir_template_parts(root, &parts);

    for (size_t n = 0; n < WEIR_COUNT(names); n++) {
        int slot = weir_space_slot(conf, weir_space_of(conf, "http"), names[n]);

        if (slot == -1) {
            return false;
        }
        for (size_t i = 0; i < count; i++) {
            if (parts[i].slot == slot) {
                return weir_conf_refuse(
                    conf, "the $%.*s variable cannot be used in the \"%.*s\" directive",
                    WEIR_STR_ARG(names[n]), WEIR_STR_ARG(directive));
            }
        }
    }
    return true;
}

/* root and alias: one member, so that an inner one of either kind replaces an outer one. */
static bool root_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_http_core_conf *core = settings;
    bool is_alias = weir_str_eq(statement->args[0], WEIR_STR("alias"));
    weir_str path = statement->args[1];

    if (weir_level_has_set(weir_conf_level(conf), &weir_http_core.base,
                           offsetof(weir_http_core_conf, root))) {
        if (core->root.is_alias == is_alias) {
            return weir_conf_refuse(conf, "\"%s\" directive is duplicate",
                                    is_alias ? "alias" : "root");
        }
        return weir_conf_refuse(
            conf, "\"%s\" directive is duplicate, \"%s\" directive was specified earlier",
            is_alias ? "alias" : "root", is_alias ? "root" : "alias");
    }

    if (is_alias) {
        const weir_http_location *location = weir_http_conf_location(conf);

        if (location != NULL && location->kind == WEIR_HTTP_LOCATION_NAMED) {
            return weir_conf_refuse(
                conf, "the \"alias\" directive cannot be used inside the named location");
        }
    }

    while (!is_alias && path.len > 1 && path.data[path.len - 1] == '/') {
        path.len--;
    }
    if ((path.len == 0 || path.data[0] != '$') && !weir_conf_prefix_path(conf, path, &path)) {
        return false;
    }

    core->root.template = weir_template_new(conf, weir_space_of(conf, "http"), path);
    core->root.is_alias = is_alias;
    core->root.location = weir_http_conf_location(conf);
    return core->root.template != NULL
           && root_is_no_circle(conf, core->root.template, statement->args[0]);
}

/* types { text/html html htm; } */
static bool types_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_http_core_conf *core = settings;
    weir_pool *pool = weir_conf_pool(conf);

    if (core->types == NULL
        || !weir_level_has_set(weir_conf_level(conf), &weir_http_core.base,
                               offsetof(weir_http_core_conf, types))) {
        core->types = weir_map_new(pool, true, 128);
    }
    if (core->types == NULL) {
        return weir_conf_refuse(conf, "no memory for \"types\"");
    }

    for (const weir_statement *row = statement->first_child; row != NULL; row = row->next) {
        weir_str *type = WEIR_NEW(pool, weir_str);

        if (row->has_block) {
            return weir_conf_refuse_arg(conf, row, 0, "unexpected \"{\" in \"types\"");
        }
        if (type == NULL || !weir_str_copy(pool, row->args[0], type)) {
            return weir_conf_refuse(conf, "no memory for \"types\"");
        }
        for (size_t i = 1; i < row->count; i++) {
            weir_str extension;

            if (!weir_str_copy(pool, row->args[i], &extension)
                || !weir_map_put(core->types, extension, type)) {
                return weir_conf_refuse(conf, "no memory for \"types\"");
            }
        }
    }
    return true;
}

static bool internal_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) conf;
    (void) statement;
    ((weir_http_core_conf *) settings)->internal = true;
    return true;
}

/* early_hints STRING ... */
static bool early_hints_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_http_core_conf *core = settings;
    weir_pool *pool = weir_conf_pool(conf);

    core->early_hints = WEIR_NEW(pool, weir_array);
    if (core->early_hints == NULL) {
        return weir_conf_refuse(conf, "no memory for \"early_hints\"");
    }
    weir_array_init(core->early_hints, pool, sizeof(const weir_template *), statement->count - 1);
    for (size_t i = 1; i < statement->count; i++) {
        const weir_template **condition = weir_array_push(core->early_hints);

        if (condition == NULL) {
            return weir_conf_refuse(conf, "no memory for \"early_hints\"");
        }
        *condition = weir_template_new(conf, weir_space_of(conf, "http"), statement->args[i]);
        if (*condition == NULL) {
            return false;
        }
    }
    return true;
}

static bool resolver_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_http_core_conf *core = settings;

    core->resolver = weir_resolver_conf_read(conf, statement);
    return core->resolver != NULL;
}

/* client_body_temp_path PATH [LEVEL ...]: levels are checked, and not needed: the folder's files are few and unlinked. */
static bool client_body_temp_path_call(weir_conf *conf, void *settings,
                                       const weir_statement *statement)
{
    return weir_http_temp_path(conf, statement,
                               &((weir_http_core_conf *) settings)->client_body_temp_path);
}

/* What a file without a types block gets, as documented. */
static bool types_preset(weir_conf *conf, weir_http_core_conf *core)
{
    static const struct {
        const char *extension;
        weir_str type;
    } presets[] = {
        {"html", WEIR_STR_INIT("text/html")},
        {"gif", WEIR_STR_INIT("image/gif")},
        {"jpg", WEIR_STR_INIT("image/jpeg")},
    };

    core->types = weir_map_new(weir_conf_pool(conf), true, WEIR_COUNT(presets));
    if (core->types == NULL) {
        return weir_conf_refuse(conf, "no memory for \"types\"");
    }
    for (size_t i = 0; i < WEIR_COUNT(presets); i++) {
        if (!weir_map_put(core->types, weir_str_from_z(presets[i].extension),
                          (void *) (uintptr_t) &presets[i].type)) {
            return weir_conf_refuse(conf, "no memory for \"types\"");
        }
    }
    return true;
}

/* error_page CODE ... [=[RESPONSE]] URI */
static bool error_page_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_http_core_conf *core = settings;
    weir_pool *pool = weir_conf_pool(conf);
    size_t last = statement->count - 1;
    weir_str overwrite = statement->args[last - 1];
    weir_http_error_page page = {.overwrite = -1};
    uint64_t number;

    if (core->error_pages == NULL
        || !weir_level_has_set(weir_conf_level(conf), &weir_http_core.base,
                               offsetof(weir_http_core_conf, error_pages))) {
        core->error_pages = WEIR_NEW(pool, weir_array);
        if (core->error_pages == NULL) {
            return weir_conf_refuse(conf, "no memory for \"error_page\"");
        }
        weir_array_init(core->error_pages, pool, sizeof(weir_http_error_page), 4);
    }

    page.target = weir_template_new(conf, weir_space_of(conf, "http"), statement->args[last]);
    if (page.target == NULL) {
        return false;
    }

    if (overwrite.len > 0 && overwrite.data[0] == '=') {
        page.overwrite = 0;
        if (overwrite.len > 1) {
            if (!weir_parse_uint(weir_str_from(overwrite, 1), 599, &number) || number < 100) {
                return weir_conf_refuse_arg(conf, statement, last - 1, "invalid value \"%.*s\"",
                                            WEIR_STR_ARG(overwrite));
            }
            page.overwrite = (int) number;
        }
        last--;
    }
    if (last < 2) {
        return weir_conf_refuse(conf, "invalid number of arguments in \"error_page\" directive");
    }

    for (size_t i = 1; i < last; i++) {
        if (!weir_parse_uint(statement->args[i], 599, &number) || number < 300) {
            return weir_conf_refuse_arg(conf, statement, i,
                                        "value \"%.*s\" must be between 300 and 599",
                                        WEIR_STR_ARG(statement->args[i]));
        }
        if (number == 499) {
            return weir_conf_refuse_arg(conf, statement, i, "invalid value \"499\"");
        }

        weir_http_error_page *added = weir_array_push(core->error_pages);

        if (added == NULL) {
            return weir_conf_refuse(conf, "no memory for \"error_page\"");
        }
        *added = page;
        added->status = (unsigned) number;
        /* The status codes that only weir and nginx use: the client is shown 400. */
        if (page.overwrite == -1 && number >= 494 && number <= 497) {
            added->overwrite = 400;
        }
    }
    return true;
}

/* server_tokens on | off | build | STRING */
static bool server_tokens_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_http_core_conf *core = settings;
    weir_str text = statement->args[1];

    core->server_tokens.text = NULL;
    if (weir_str_eq(text, WEIR_STR("on"))) {
        core->server_tokens.kind = WEIR_HTTP_TOKENS_ON;
    } else if (weir_str_eq(text, WEIR_STR("off"))) {
        core->server_tokens.kind = WEIR_HTTP_TOKENS_OFF;
    } else if (weir_str_eq(text, WEIR_STR("build"))) {
        core->server_tokens.kind = WEIR_HTTP_TOKENS_BUILD;
    } else {
        core->server_tokens.kind = WEIR_HTTP_TOKENS_TEXT;
        core->server_tokens.text = weir_template_new(conf, weir_space_of(conf, "http"), text);
        return core->server_tokens.text != NULL;
    }
    return true;
}

/* open_file_cache off | max=N [inactive=TIME] */
static bool open_file_cache_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_http_core_conf *core = settings;
    uint64_t inactive_s = 60;
    uint64_t max = 0;
    weir_str value;

    core->open_file_cache = NULL;
    if (statement->count == 2 && weir_str_eq(statement->args[1], WEIR_STR("off"))) {
        return true;
    }
    for (size_t i = 1; i < statement->count; i++) {
        weir_str arg = statement->args[i];

        if ((weir_conf_parameter(arg, "max=", &value) && weir_parse_uint(value, INT32_MAX, &max)
             && max != 0)
            || (weir_conf_parameter(arg, "inactive=", &value)
                && weir_parse_time_s(value, INT32_MAX, &inactive_s))) {
            continue;
        }
        return weir_conf_refuse_arg(conf, statement, i,
                                    "invalid \"open_file_cache\" parameter \"%.*s\"",
                                    WEIR_STR_ARG(arg));
    }
    if (max == 0) {
        return weir_conf_refuse(conf, "\"open_file_cache\" must have the \"max\" parameter");
    }
    core->open_file_cache = weir_http_file_cache_new(conf, max, inactive_s * 1000);
    return core->open_file_cache != NULL;
}

/* disable_symlinks off | on | if_not_owner [from=PART] */
static bool disable_symlinks_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    static const struct {
        weir_str name;
        weir_http_symlinks kind;
    } kinds[] = {
        {WEIR_STR_INIT("off"), WEIR_HTTP_SYMLINKS_TAKEN},
        {WEIR_STR_INIT("on"), WEIR_HTTP_SYMLINKS_REFUSED},
        {WEIR_STR_INIT("if_not_owner"), WEIR_HTTP_SYMLINKS_OF_OTHERS_REFUSED},
    };
    weir_http_core_conf *core = settings;
    bool has_kind = false;
    weir_str value;

    core->symlinks.from = NULL;
    for (size_t i = 1; i < statement->count; i++) {
        weir_str arg = statement->args[i];
        bool is_known = false;

        if (weir_conf_parameter(arg, "from=", &value)) {
            core->symlinks.from = weir_template_new(conf, weir_space_of(conf, "http"), value);
            if (core->symlinks.from == NULL) {
                return false;
            }
            continue;
        }
        for (size_t k = 0; k < WEIR_COUNT(kinds); k++) {
            if (weir_str_eq(arg, kinds[k].name)) {
                core->symlinks.kind = kinds[k].kind;
                is_known = has_kind = true;
            }
        }
        if (!is_known) {
            return weir_conf_refuse_arg(conf, statement, i, "invalid parameter \"%.*s\"",
                                        WEIR_STR_ARG(arg));
        }
    }
    if (!has_kind) {
        return weir_conf_refuse(
            conf, "\"disable_symlinks\" must have \"off\", \"on\" or \"if_not_owner\" parameter");
    }
    if (core->symlinks.kind == WEIR_HTTP_SYMLINKS_TAKEN && core->symlinks.from != NULL) {
        return weir_conf_refuse(conf, "\"from=\" cannot be used with \"off\" parameter of "
                                      "\"disable_symlinks\"");
    }
    return true;
}

/* aio on | off | threads[=POOL] */
static bool aio_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_http_core_conf *core = settings;
    weir_str how = statement->args[1];

    core->aio = !weir_str_eq(how, WEIR_STR("off"));
    if (!core->aio || weir_str_eq(how, WEIR_STR("on")) || weir_str_eq(how, WEIR_STR("threads"))
        || weir_str_starts(how, WEIR_STR("threads="))) {
        return true;
    }
    return weir_conf_refuse_arg(conf, statement, 1, "invalid value \"%.*s\"", WEIR_STR_ARG(how));
}

/* directio SIZE | off */
static bool directio_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_http_core_conf *core = settings;

    core->directio = UINT64_MAX;
    return weir_str_eq(statement->args[1], WEIR_STR("off"))
           || weir_parse_size(statement->args[1], true, INT64_MAX, &core->directio)
           || weir_conf_refuse_arg(conf, statement, 1,
                                   "\"directio\" directive invalid value \"%.*s\"",
                                   WEIR_STR_ARG(statement->args[1]));
}

static const weir_directive core_directives[] = {
    /* ---- blocks */
    {
        .name = "server",
        .where = WEIR_HTTP_MAIN,
        .takes = WEIR_TAKES_NONE,
        .block = WEIR_BLOCK_LEVEL,
        .opens = WEIR_HTTP_SERVER,
        .enter = weir_http_server_enter,
        .leave = weir_http_server_leave,
        .repeatable = true,
        .doc = "A virtual server.",
    },
    {
        .name = "location",
        .where = WEIR_HTTP_SERVER | WEIR_HTTP_LOCATION,
        .takes = WEIR_TAKES(1, 2),
        .syntax = "[ = | ~ | ~* | ^~ ] uri { ... } | @name { ... }",
        .block = WEIR_BLOCK_LEVEL,
        .opens = WEIR_HTTP_LOCATION,
        .enter = weir_http_location_enter,
        .leave = weir_http_location_leave,
        .repeatable = true,
        .doc = "Settings for requests whose path matches.",
    },
    {
        .name = "listen",
        .where = WEIR_HTTP_SERVER,
        .takes = WEIR_TAKES_SOME,
        .syntax = "address[:port[-port]] | port[-port] | unix:path [parameters]",
        .slot = WEIR_SLOT_ONLY_CALL(weir_http_listen_call),
        .doc = "An address that the server takes requests on.",
    },
    {
        .name = "server_name",
        .where = WEIR_HTTP_SERVER,
        .takes = WEIR_TAKES_SOME,
        .syntax = "name ...",
        .slot = WEIR_SLOT_ONLY_CALL(weir_http_server_name_call),
        .doc = "The host names that the server answers to.",
    },

    /* ---- request head */
    SERVER_ROW("client_header_buffer_size", SIZE(client_header_buffer_size), "1k",
               "The size of buffer that most request heads fit in."),
    SERVER_ROW("large_client_header_buffers",
               WEIR_SLOT_SIZES(weir_http_core_conf, large_client_header_buffers), "4 8k",
               "Number and size of buffers for large heads: no line may be longer than one."),
    SERVER_ROW("client_header_timeout", MS(client_header_timeout_ms), "60s",
               "How long a client may take to send a request head."),
    {
        .name = "client_min_rate",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES(1, 2),
        .syntax = "off | rate [after=time]",
        .slot = CALL(client_min_rate, client_min_rate_call),
        .preset = "off",
        .doc =
            "Bytes a second that a client must send its heads and bodies with, measured over the "
            "time that weir waits for it, but for the first 5s or what \"after\" says.",
    },
    SERVER_ROW("ignore_invalid_headers", FLAG(ignore_invalid_headers), "on",
               "Drops fields with invalid names; \"off\" refuses requests that have one."),
    SERVER_ROW("underscores_in_headers", FLAG(underscores_in_headers), "off",
               "Takes underscores in field names as valid."),
    SERVER_ROW("merge_slashes", FLAG(merge_slashes), "on",
               "Takes several slashes in a row as one when choosing a location."),
    SERVER_ROW("max_headers", WEIR_SLOT_UINT(weir_http_core_conf, max_headers, 1, 32767), "1000",
               "The number of field lines a request may have."),
    SERVER_ROW("connection_pool_size", SIZE(connection_pool_bytes), "512",
               "The chunk size of a connection's memory."),
    SERVER_ROW("request_pool_size", SIZE(request_pool_bytes), "4k",
               "The chunk size of an exchange's memory."),

    /* ---- request body */
    ROW("client_max_body_size", WEIR_SLOT_OFFSET(weir_http_core_conf, client_max_body_size), "1m",
        "The largest request body that is taken; 0 is no limit."),
    ROW("client_body_buffer_size", SIZE(client_body_buffer_size), "16k",
        "How much of a request body is kept in memory; more goes to a temporary file."),
    ROW("client_body_timeout", MS(client_body_timeout_ms), "60s",
        "The time between two reads of a request body."),
    {
        .name = "client_body_temp_path",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES(1, 4),
        .syntax = "path [level1 [level2 [level3]]]",
        .slot = CALL(client_body_temp_path, client_body_temp_path_call),
        .preset = "client_body_temp",
        .doc = "The folder of temporary files with request bodies.",
    },
    ROW("client_body_in_file_only",
        WEIR_SLOT_ENUM(weir_http_core_conf, client_body_in_file_only, in_file_choices), "off",
        "Saves every request body that is read as a whole to a file, named by $request_body_file."),
    ROW("client_body_in_single_buffer", FLAG(client_body_in_single_buffer), "off",
        "Keeps a request body in memory in one piece."),

    /* ---- keep-alive and the end of connections */
    {
        .name = "keepalive_timeout",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES(1, 2),
        .syntax = "timeout [header_timeout]",
        .slot = CALL(keepalive, keepalive_timeout_call),
        .preset = "75s",
        .doc = "How long an idle connection is kept; the second time goes into Keep-Alive.",
    },
    ROW("keepalive_requests",
        WEIR_SLOT_UINT(weir_http_core_conf, keepalive_requests, 0, UINT32_MAX), "1000",
        "The number of requests that one connection may carry."),
    ROW("keepalive_time", MS(keepalive_time_ms), "1h", "How long a connection may carry requests."),
    ROW("keepalive_min_timeout", MS(keepalive_min_timeout_ms), "10s",
        "How long an idle connection is kept at least while a reloaded weir winds down."),
    {
        .name = "keepalive_disable",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES_SOME,
        .slot = WEIR_SLOT_BITS(weir_http_core_conf, keepalive_disable, keepalive_disable_choices),
        .preset = "msie6",
        .doc = "Browsers whose connections are not kept.",
    },
    ROW("lingering_close", WEIR_SLOT_ENUM(weir_http_core_conf, lingering_close, lingering_choices),
        "on", "Reads and drops what a client still sends before closing its connection."),
    ROW("lingering_time", MS(lingering_time_ms), "30s", "How long that is done at most."),
    ROW("lingering_timeout", MS(lingering_timeout_ms), "5s", "How long it waits for more."),
    ROW("reset_timedout_connection", FLAG(reset_timedout_connection), "off",
        "Resets connections that timed out, which frees the kernel's memory of them."),

    /* ---- sending */
    ROW("send_timeout", MS(send_timeout_ms), "60s", "The time between two writes of a response."),
    ROW("tcp_nodelay", FLAG(tcp_nodelay), "on", "Sends small pieces at once."),
    ROW("tcp_nopush", FLAG(tcp_nopush), "off", "Sends full packets where sendfile is used."),
    {
        .name = "sendfile",
        .where = WEIR_HTTP_ANYWHERE | WEIR_HTTP_LOCATION_IF,
        .slot = FLAG(sendfile),
        .preset = "off",
        .doc = "Lets the kernel send files.",
    },
    ROW("sendfile_max_chunk", SIZE(sendfile_max_chunk), "2m",
        "The most of a response that is sent before other connections have their turn; 0 is no "
        "limit."),
    {
        .name = "postpone_output",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES(1, 1),
        .warning = "what there is to send is sent, and what comes together goes out together",
        .doc = "Accepted.",
    },
    ROW("chunked_transfer_encoding", FLAG(chunked_transfer_encoding), "on",
        "Uses chunked framing where the length of a response is not known."),
    {
        .name = "limit_rate",
        .where = WEIR_HTTP_ANYWHERE | WEIR_HTTP_LOCATION_IF,
        .slot = WEIR_SLOT_TEMPLATE(weir_http_core_conf, limit_rate),
        .preset = "0",
        .doc = "Bytes a second that one response is sent with; 0 is no limit.",
    },
    {
        .name = "limit_rate_after",
        .where = WEIR_HTTP_ANYWHERE | WEIR_HTTP_LOCATION_IF,
        .slot = WEIR_SLOT_TEMPLATE(weir_http_core_conf, limit_rate_after),
        .preset = "0",
        .doc = "How much of a response is sent before limit_rate holds.",
    },

    /* ---- files and types */
    {
        .name = "root",
        .where = WEIR_HTTP_ANYWHERE | WEIR_HTTP_LOCATION_IF,
        .slot = CALL(root, root_call),
        .preset = "html",
        .doc = "The folder that paths are looked up in.",
    },
    {
        .name = "alias",
        .where = WEIR_HTTP_LOCATION,
        .slot = CALL(root, root_call),
        .doc = "What the location's part of a path is replaced by.",
    },
    {
        .name = "types",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES_NONE,
        .block = WEIR_BLOCK_RAW,
        .slot = CALL(types, types_call),
        .repeatable = true,
        .doc = "Media types by file name extension.",
    },
    ROW("default_type", WEIR_SLOT_STR(weir_http_core_conf, default_type), "text/plain",
        "The media type of other files."),
    ROW("etag", FLAG(etag), "on", "Sends ETag with static files."),
    ROW("if_modified_since",
        WEIR_SLOT_ENUM(weir_http_core_conf, if_modified_since, modified_since_choices), "exact",
        "How a file's time is compared with If-Modified-Since."),
    {
        .name = "open_file_cache",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES(1, 2),
        .syntax = "off | max=number [inactive=time]",
        .slot = CALL(open_file_cache, open_file_cache_call),
        .preset = "off",
        .doc = "Keeps descriptors, and what is known of files and folders.",
    },
    ROW("open_file_cache_errors", FLAG(open_file_cache_errors), "off",
        "Keeps also that a file was not there, or could not be opened."),
    ROW("open_file_cache_min_uses",
        WEIR_SLOT_UINT(weir_http_core_conf, open_file_cache_min_uses, 1, INT32_MAX), "1",
        "How often a file is used, within the time of inactivity, before its descriptor is kept."),
    ROW("open_file_cache_valid", WEIR_SLOT_SECONDS(weir_http_core_conf, open_file_cache_valid_s),
        "60s", "After which time it is looked at again."),
    {
        .name = "disable_symlinks",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES(1, 2),
        .syntax = "off | on [from=part] | if_not_owner [from=part]",
        .slot = CALL(symlinks, disable_symlinks_call),
        .preset = "off",
        .doc = "Refuses paths with symbolic links in them, or with those of other owners.",
    },
    ROW("read_ahead", SIZE(read_ahead), "0",
        "Anything but 0 tells the kernel to read ahead; how much is the kernel's to choose."),
    {
        .name = "aio",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES(1, 1),
        .syntax = "on | off | threads[=pool]",
        .slot = CALL(aio, aio_call),
        .preset = "off",
        .doc = "Has files that are not in the page cache read by threads; sendfile is then not "
               "used.",
    },
    {
        .name = "aio_write",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES(1, 1),
        .warning = "temporary files are written into the page cache, which does not wait",
        .doc = "Accepted.",
    },
    {
        .name = "directio",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES(1, 1),
        .syntax = "size | off",
        .slot = CALL(directio, directio_call),
        .preset = "off",
        .doc = "Reads files of this size and more past the page cache.",
    },
    ROW("directio_alignment",
        WEIR_SLOT_OF(WEIR_KIND_SIZE, weir_http_core_conf, directio_alignment, size_t, .min = 512,
                     .max = 65536),
        "512", "What the places and lengths of such reads are multiples of."),
    ROW("output_buffers", WEIR_SLOT_SIZES(weir_http_core_conf, output_buffers), "2 32k",
        "How much of a file is read at once where sendfile is not used: number and size."),
    {
        .name = "send_lowat",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES(1, 1),
        .warning = "Linux has no such setting for sockets",
        .doc = "Accepted.",
    },
    ROW("log_not_found", FLAG(log_not_found), "on", "Logs files that are not there as errors."),
    {.name = "subrequest_output_buffer_size",
     .where = WEIR_HTTP_ANYWHERE,
     .doc = "Accepted: what a subrequest keeps in memory is limited to 1 MiB."},
    ROW("log_subrequest", FLAG(log_subrequest), "off", "Writes subrequests to the access log."),

    /* ---- answers */
    {
        .name = "error_page",
        .where = WEIR_HTTP_ANYWHERE | WEIR_HTTP_LOCATION_IF,
        .takes = WEIR_TAKES(2, 255),
        .syntax = "code ... [=[response]] uri",
        .slot = CALL(error_pages, error_page_call),
        .repeatable = true,
        .doc = "What is shown instead of weir's own page for these statuses.",
    },
    ROW("recursive_error_pages", FLAG(recursive_error_pages), "off",
        "Lets an error page have an error page."),
    ROW("absolute_redirect", FLAG(absolute_redirect), "on",
        "Makes Location of weir's own redirects an absolute URL."),
    ROW("server_name_in_redirect", FLAG(server_name_in_redirect), "off",
        "Uses server_name for it instead of Host."),
    ROW("port_in_redirect", FLAG(port_in_redirect), "on", "Puts the port into it."),
    {
        .name = "server_tokens",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = CALL(server_tokens, server_tokens_call),
        .syntax = "on | off | build | string",
        .preset = "on",
        .doc = "What Server and weir's own pages say.",
    },
    ROW("satisfy", WEIR_SLOT_ENUM(weir_http_core_conf, satisfy, satisfy_choices), "all",
        "Whether all access modules must let a request by, or any."),
    ROW("auth_delay", MS(auth_delay_ms), "0s",
        "How long a refusal with 401 is kept back, so that its time tells nothing."),
    {
        .name = "internal",
        .where = WEIR_HTTP_LOCATION,
        .takes = WEIR_TAKES_NONE,
        .slot = CALL(internal, internal_call),
        .doc = "Only internal redirects and subrequests reach this location; others get 404.",
    },
    {
        .name = "early_hints",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES_SOME,
        .syntax = "string ...",
        .slot = CALL(early_hints, early_hints_call),
        .doc =
            "Passes an origin's 103 (Early Hints) on, if one of these is neither empty nor \"0\".",
    },
    {
        .name = "resolver",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES_SOME,
        .syntax = WEIR_RESOLVER_SYNTAX,
        .slot = CALL(resolver, resolver_call),
        .doc = "The DNS servers that are asked for names which are known at request time only.",
    },
    ROW("resolver_timeout", MS(resolver_timeout_ms), WEIR_RESOLVER_TIMEOUT,
        "How long a request waits for a name."),
    {
        .name = "error_log",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES(1, 2),
        .syntax = "file | stderr | syslog:server=... [level]",
        .slot = CALL(error_log, weir_error_log_call),
        .repeatable = true,
        .doc = "Where errors are logged, and from which level on.",
    },

    /* ---- without an effect: tables grow by themselves, and the like */
    {.name = "variables_hash_max_size",
     .where = WEIR_HTTP_MAIN,
     .doc = "Accepted: tables grow by themselves."},
    {.name = "variables_hash_bucket_size",
     .where = WEIR_HTTP_MAIN,
     .doc = "Accepted: tables grow by themselves."},
    {.name = "server_names_hash_max_size",
     .where = WEIR_HTTP_MAIN,
     .doc = "Accepted: tables grow by themselves."},
    {.name = "server_names_hash_bucket_size",
     .where = WEIR_HTTP_MAIN,
     .doc = "Accepted: tables grow by themselves."},
    {.name = "types_hash_max_size",
     .where = WEIR_HTTP_ANYWHERE,
     .doc = "Accepted: tables grow by themselves."},
    {.name = "types_hash_bucket_size",
     .where = WEIR_HTTP_ANYWHERE,
     .doc = "Accepted: tables grow by themselves."},
    {.name = "msie_padding",
     .where = WEIR_HTTP_ANYWHERE,
     .warning = "no browser in use needs it",
     .doc = "Accepted."},
    {.name = "msie_refresh",
     .where = WEIR_HTTP_ANYWHERE,
     .warning = "no browser in use needs it",
     .doc = "Accepted."},
    {0},
};

static bool core_check(weir_conf *conf, const void *settings)
{
    /* The preset of `types` is a table and not a text: it is put where nothing was said. */
    weir_http_core_conf *core = (weir_http_core_conf *) (uintptr_t) settings;

    if (core->types == NULL && !types_preset(conf, core)) {
        return false;
    }
    core->rates_vary = !weir_template_is_constant(core->limit_rate, NULL)
                       || !weir_template_is_constant(core->limit_rate_after, NULL);
    if (!weir_rate_check(conf, core->limit_rate, "limit_rate", &core->rate)
        || !weir_rate_check(conf, core->limit_rate_after, "limit_rate_after", &core->rate_after)) {
        return false;
    }
    if ((core->directio_alignment & (core->directio_alignment - 1)) != 0) {
        return weir_conf_refuse(conf, "\"directio_alignment\" takes a power of two");
    }
    if (core->output_buffers.count == 0 || core->output_buffers.size == 0) {
        return weir_conf_refuse(conf, "\"output_buffers\" takes a number and a size");
    }
    if (core->large_client_header_buffers.size < core->connection_pool_bytes) {
        return weir_conf_refuse(conf,
                                "the \"large_client_header_buffers\" size must be equal to or "
                                "greater than \"connection_pool_size\"");
    }
    return true;
}

const weir_http_module weir_http_core = {
    .name = "http_core",
    .directives = core_directives,
    .conf_size = sizeof(weir_http_core_conf),
    .check = core_check,
    .variables = weir_http_core_variables,
};
