#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/number.h"
#include "modules/waf/program_internal.h"

/* The directives of SecLang, and the files they stand in. */

#define INCLUDE_DEPTH_MAX 16
#define FILE_BYTES_MAX ((size_t) 64 * 1024 * 1024)

typedef struct directive {
    const char *name;
    unsigned min, max; /* arguments */
    bool (*apply)(weir_waf_reader *reader, const weir_waf_statement *statement,
                  const struct directive *row);
    size_t offset; /* of a setting */
    const void *more;
} directive;

static bool no_memory(weir_waf_reader *reader)
{
    return weir_waf_refuse(reader, NULL, "no memory for the rules");
}

static void *setting_at(weir_waf_reader *reader, const directive *row)
{
    return (char *) &reader->program->settings + row->offset;
}

/* ---- kinds of settings */

static bool set_choice(weir_waf_reader *reader, const weir_waf_statement *statement,
                       const directive *row)
{
    return weir_waf_word_find(row->more, statement->words[1], setting_at(reader, row))
           || weir_waf_refuse(reader, statement->words[1].data, "%s does not take \"%.*s\"",
                              row->name, WEIR_STR_ARG(statement->words[1]));
}

static bool set_flag(weir_waf_reader *reader, const weir_waf_statement *statement,
                     const directive *row)
{
    bool is_on = weir_str_eq_nocase(statement->words[1], WEIR_STR("On"));

    if (!is_on && !weir_str_eq_nocase(statement->words[1], WEIR_STR("Off"))) {
        return weir_waf_refuse(reader, statement->words[1].data, "%s takes On or Off", row->name);
    }
    *(bool *) setting_at(reader, row) = is_on;
    return true;
}

static bool set_number(weir_waf_reader *reader, const weir_waf_statement *statement,
                       const directive *row)
{
    if (!weir_parse_uint(statement->words[1], INT64_MAX / 4, setting_at(reader, row))) {
        return weir_waf_refuse(reader, statement->words[1].data, "%s takes a number", row->name);
    }
    return true;
}

static bool set_small_number(weir_waf_reader *reader, const weir_waf_statement *statement,
                             const directive *row)
{
    uint64_t number;

    if (!weir_parse_uint(statement->words[1], UINT32_MAX / 2, &number)) {
        return weir_waf_refuse(reader, statement->words[1].data, "%s takes a number", row->name);
    }
    *(unsigned *) setting_at(reader, row) = (unsigned) number;
    return true;
}

/* A regex that gives up finds nothing: a low limit would let by whatever has enough text around it. */
static bool set_match_limit(weir_waf_reader *reader, const weir_waf_statement *statement,
                            const directive *row)
{
    unsigned *limit = setting_at(reader, row);

    if (!set_small_number(reader, statement, row)) {
        return false;
    }
    if (*limit != 0 && *limit < WEIR_WAF_STEPS_MAX) {
        weir_waf_say(
            reader,
            "%s %u counts as %u: what a regex gives up on is refused, and that would be more",
            row->name, *limit, WEIR_WAF_STEPS_MAX);
        *limit = 0;
    }
    return true;
}

static bool set_text(weir_waf_reader *reader, const weir_waf_statement *statement,
                     const directive *row)
{
    *(weir_str *) setting_at(reader, row) = statement->words[1];
    return true;
}

/* Modes of files are octal; "default" is what it was. */
static bool set_mode(weir_waf_reader *reader, const weir_waf_statement *statement,
                     const directive *row)
{
    weir_str text = statement->words[1];
    unsigned mode = 0;

    if (weir_str_eq_nocase(text, WEIR_STR("default"))) {
        return true;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '7' || text.len > 5) {
            return weir_waf_refuse(reader, text.data, "%s takes an octal number", row->name);
        }
        mode = mode * 8 + (unsigned) (text.data[i] - '0');
    }
    *(unsigned *) setting_at(reader, row) = mode;
    return true;
}

static bool set_separator(weir_waf_reader *reader, const weir_waf_statement *statement,
                          const directive *row)
{
    if (statement->words[1].len != 1) {
        return weir_waf_refuse(reader, statement->words[1].data, "%s takes one character",
                               row->name);
    }
    *(char *) setting_at(reader, row) = statement->words[1].data[0];
    return true;
}

/* ---- settings with a sense of their own */

static bool add_component(weir_waf_reader *reader, const weir_waf_statement *statement,
                          const directive *row)
{
    weir_waf_settings *settings = &reader->program->settings;
    weir_builder all;

    (void) row;
    weir_builder_open(&all, reader->pool, SIZE_MAX);
    weir_builder_add(&all, settings->components);
    if (settings->components.len != 0) {
        weir_builder_add(&all, WEIR_STR(", "));
    }
    weir_builder_add(&all, statement->words[1]);
    return weir_builder_close(&all, &settings->components) || no_memory(reader);
}

/* " text/plain text/html " */
static bool add_mime_types(weir_waf_reader *reader, const weir_waf_statement *statement,
                           const directive *row)
{
    weir_waf_settings *settings = &reader->program->settings;
    weir_builder all;

    (void) row;
    weir_builder_open(&all, reader->pool, SIZE_MAX);
    weir_builder_add_byte(&all, ' ');
    for (unsigned i = 1; i < statement->count; i++) {
        weir_builder_add_lower(&all, statement->words[i]);
        weir_builder_add_byte(&all, ' ');
    }
    return weir_builder_close(&all, &settings->mime_types) || no_memory(reader);
}

static bool clear_mime_types(weir_waf_reader *reader, const weir_waf_statement *statement,
                             const directive *row)
{
    (void) statement;
    (void) row;
    reader->program->settings.mime_types = WEIR_STR(" ");
    return true;
}

static bool set_relevant_status(weir_waf_reader *reader, const weir_waf_statement *statement,
                                const directive *row)
{
    (void) row;
    reader->program->settings.audit.relevant_status =
        weir_waf_read_pattern(reader, statement->words[1], false);
    return reader->program->settings.audit.relevant_status != NULL;
}

static bool set_audit_parts(weir_waf_reader *reader, const weir_waf_statement *statement,
                            const directive *row)
{
    weir_str parts = statement->words[1];
    char *to = reader->program->settings.audit.parts;

    (void) row;
    if (parts.len >= sizeof(reader->program->settings.audit.parts)) {
        return weir_waf_refuse(reader, parts.data, "too many parts");
    }
    for (size_t i = 0; i < parts.len; i++) {
        if (parts.data[i] < 'A' || (parts.data[i] > 'K' && parts.data[i] != 'Z')) {
            return weir_waf_refuse(reader, parts.data + i, "there is no audit log part \"%c\"",
                                   parts.data[i]);
        }
        to[i] = parts.data[i];
    }
    to[parts.len] = '\0';
    return true;
}

static bool path_beside(weir_waf_reader *reader, weir_str path, const weir_waf_source *source,
                        weir_str *full)
{
    weir_builder builder;

    if (path.len != 0 && path.data[0] == '/') {
        return weir_str_copy(reader->pool, path, full) || no_memory(reader);
    }
    weir_builder_open(&builder, reader->pool, 4096);
    weir_builder_add(&builder, source->folder);
    weir_builder_add(&builder, path);
    return weir_builder_close(&builder, full)
           || weir_waf_refuse(reader, path.data, "the path is too long");
}

static bool read_file(weir_waf_reader *reader, weir_str path, weir_str *text)
{
    const char *name = weir_str_z(reader->temp, path);
    int fd = name == NULL ? -1 : open(name, O_RDONLY | O_CLOEXEC);
    struct stat found;
    char *bytes;
    size_t len = 0;

    if (fd == -1 || fstat(fd, &found) != 0) {
        int error = errno;

        if (fd != -1) {
            (void) close(fd);
        }
        return weir_waf_refuse(reader, NULL, "open() \"%.*s\" failed (%d: %s)", WEIR_STR_ARG(path),
                               error, strerror(error));
    }
    if (!S_ISREG(found.st_mode) || (uint64_t) found.st_size > FILE_BYTES_MAX) {
        (void) close(fd);
        return weir_waf_refuse(reader, NULL, "\"%.*s\" is no file, or too large",
                               WEIR_STR_ARG(path));
    }
    bytes = weir_pool_bytes(reader->pool, (size_t) found.st_size + 1);
    while (bytes != NULL && len < (size_t) found.st_size) {
        ssize_t got = read(fd, bytes + len, (size_t) found.st_size - len);

        if (got <= 0) {
            break;
        }
        len += (size_t) got;
    }
    (void) close(fd);
    if (bytes == NULL) {
        return no_memory(reader);
    }
    *text = weir_str_of(bytes, len);
    return true;
}

/* FILE CODEPAGE */
static bool set_unicode_map(weir_waf_reader *reader, const weir_waf_statement *statement,
                            const directive *row)
{
    uint64_t page = 20127;
    weir_str path, text;

    (void) row;
    if (statement->count > 2 && !weir_parse_uint(statement->words[2], UINT16_MAX, &page)) {
        return weir_waf_refuse(reader, statement->words[2].data, "the code page is a number");
    }
    if (!path_beside(reader, statement->words[1], statement->source, &path)
        || !read_file(reader, path, &text)) {
        return false;
    }
    reader->program->settings.unicode_map =
        weir_waf_unicode_map_read(reader->pool, text, (unsigned) page);
    return reader->program->settings.unicode_map != NULL
           || weir_waf_refuse(reader, statement->words[1].data, "there is no code page %u in it",
                              (unsigned) page);
}

/* ---- rules */

static bool add_marker(weir_waf_reader *reader, const weir_waf_statement *statement,
                       const directive *row)
{
    weir_waf_entry *entry = weir_array_push(&reader->program->entries);

    (void) row;
    if (entry == NULL) {
        return no_memory(reader);
    }
    entry->marker = statement->words[1];
    return true;
}

static bool read_rule(weir_waf_reader *reader, const weir_waf_statement *statement,
                      const directive *row)
{
    (void) row;
    return weir_waf_read_rule(reader, statement);
}

static bool read_action_rule(weir_waf_reader *reader, const weir_waf_statement *statement,
                             const directive *row)
{
    (void) row;
    return weir_waf_read_action_rule(reader, statement);
}

static bool read_default_action(weir_waf_reader *reader, const weir_waf_statement *statement,
                                const directive *row)
{
    (void) row;
    return weir_waf_read_default_action(reader, statement);
}

/* `offset` is the kind, by three, and by what rules are chosen. */
static bool read_amendment(weir_waf_reader *reader, const weir_waf_statement *statement,
                           const directive *row)
{
    return weir_waf_read_amendment(reader, statement, (weir_waf_amend_kind) (row->offset / 3),
                                   (weir_waf_amend_by) (row->offset % 3));
}

static bool include_files(weir_waf_reader *reader, weir_str pattern, const weir_waf_source *by,
                          unsigned line, bool is_optional);

static bool include(weir_waf_reader *reader, const weir_waf_statement *statement,
                    const directive *row)
{
    weir_str pattern;

    return path_beside(reader, statement->words[1], statement->source, &pattern)
           && include_files(reader, pattern, statement->source, statement->line, row->offset != 0);
}

/* ---- those that do nothing here */

static bool ignore(weir_waf_reader *reader, const weir_waf_statement *statement,
                   const directive *row)
{
    (void) statement;
    weir_waf_say(reader, "%s has no effect: %s", row->name, (const char *) row->more);
    return true;
}

static bool refuse(weir_waf_reader *reader, const weir_waf_statement *statement,
                   const directive *row)
{
    return weir_waf_refuse(reader, statement->words[0].data, "%s is not supported: %s", row->name,
                           (const char *) row->more);
}

static const weir_waf_word limit_actions[] = {
    {"Reject", WEIR_WAF_LIMIT_REJECT},
    {"ProcessPartial", WEIR_WAF_LIMIT_PARTIAL},
    {NULL, 0},
};

static bool set_audit_type(weir_waf_reader *reader, const weir_waf_statement *statement,
                           const directive *row)
{
    bool is_concurrent = weir_str_eq_nocase(statement->words[1], WEIR_STR("Concurrent"));

    (void) row;
    if (!is_concurrent && !weir_str_eq_nocase(statement->words[1], WEIR_STR("Serial"))) {
        return weir_waf_refuse(reader, statement->words[1].data,
                               "SecAuditLogType takes Serial or Concurrent");
    }
    reader->program->settings.audit.is_concurrent = is_concurrent;
    return true;
}

static bool set_audit_format(weir_waf_reader *reader, const weir_waf_statement *statement,
                             const directive *row)
{
    bool is_json = weir_str_eq_nocase(statement->words[1], WEIR_STR("JSON"));

    (void) row;
    if (!is_json && !weir_str_eq_nocase(statement->words[1], WEIR_STR("Native"))) {
        return weir_waf_refuse(reader, statement->words[1].data,
                               "SecAuditLogFormat takes JSON or Native");
    }
    reader->program->settings.audit.is_json = is_json;
    return true;
}

#define SETTING(member) offsetof(weir_waf_settings, member)
#define AMENDMENT(kind, by) (WEIR_WAF_AMEND_##kind * 3 + WEIR_WAF_BY_##by)

static const char *const log_of_weir = "weir's error_log at level debug tells more";
static const char *const not_of_v3 = "it is not part of ModSecurity v3";
static const char *const no_script = "scripts are not run";
static const char *const no_upload = "uploaded files are inspected in memory and not kept";

static const directive directives[] = {
    {"SecRule", 2, 3, read_rule, 0, NULL},
    {"SecAction", 1, 1, read_action_rule, 0, NULL},
    {"SecMarker", 1, 1, add_marker, 0, NULL},
    {"SecDefaultAction", 1, 1, read_default_action, 0, NULL},
    {"Include", 1, 1, include, 0, NULL},
    {"IncludeOptional", 1, 1, include, 1, NULL},
    {"SecRuleRemoveById", 1, 7, read_amendment, AMENDMENT(REMOVE, ID), NULL},
    {"SecRuleRemoveByTag", 1, 1, read_amendment, AMENDMENT(REMOVE, TAG), NULL},
    {"SecRuleRemoveByMsg", 1, 1, read_amendment, AMENDMENT(REMOVE, MSG), NULL},
    {"SecRuleUpdateTargetById", 2, 3, read_amendment, AMENDMENT(TARGET, ID), NULL},
    {"SecRuleUpdateTargetByTag", 2, 3, read_amendment, AMENDMENT(TARGET, TAG), NULL},
    {"SecRuleUpdateTargetByMsg", 2, 3, read_amendment, AMENDMENT(TARGET, MSG), NULL},
    {"SecRuleUpdateActionById", 2, 2, read_amendment, AMENDMENT(ACTION, ID), NULL},

    {"SecRuleEngine", 1, 1, set_choice, SETTING(engine), weir_waf_engines},
    {"SecRequestBodyAccess", 1, 1, set_flag, SETTING(request_body_access), NULL},
    {"SecRequestBodyLimit", 1, 1, set_number, SETTING(request_body_limit), NULL},
    {"SecRequestBodyNoFilesLimit", 1, 1, set_number, SETTING(request_body_no_files_limit), NULL},
    {"SecRequestBodyLimitAction", 1, 1, set_choice, SETTING(request_body_limit_action),
     limit_actions},
    {"SecRequestBodyJsonDepthLimit", 1, 1, set_small_number, SETTING(json_depth_limit), NULL},
    {"SecParseXmlIntoArgs", 1, 1, set_choice, SETTING(xml_arguments), weir_waf_xml_modes},
    {"SecArgumentsLimit", 1, 1, set_number, SETTING(arguments_limit), NULL},
    {"SecUploadFileLimit", 1, 1, set_number, SETTING(upload_file_limit), NULL},
    {"SecResponseBodyAccess", 1, 1, set_flag, SETTING(response_body_access), NULL},
    {"SecResponseBodyLimit", 1, 1, set_number, SETTING(response_body_limit), NULL},
    {"SecResponseBodyLimitAction", 1, 1, set_choice, SETTING(response_body_limit_action),
     limit_actions},
    {"SecResponseBodyMimeType", 1, 7, add_mime_types, 0, NULL},
    {"SecResponseBodyMimeTypesClear", 0, 0, clear_mime_types, 0, NULL},
    {"SecArgumentSeparator", 1, 1, set_separator, SETTING(argument_separator), NULL},
    {"SecCollectionTimeout", 1, 1, set_number, SETTING(collection_timeout_s), NULL},
    {"SecPcreMatchLimit", 1, 1, set_match_limit, SETTING(pcre_match_limit), NULL},
    {"SecUnicodeMapFile", 1, 2, set_unicode_map, 0, NULL},
    {"SecComponentSignature", 1, 1, add_component, 0, NULL},
    {"SecWebAppId", 1, 1, set_text, SETTING(web_app_id), NULL},
    {"SecTmpDir", 1, 1, set_text, SETTING(tmp_dir), NULL},

    {"SecAuditEngine", 1, 1, set_choice, SETTING(audit.mode), weir_waf_audit_modes},
    {"SecAuditLog", 1, 1, set_text, SETTING(audit.log), NULL},
    {"SecAuditLogStorageDir", 1, 1, set_text, SETTING(audit.storage), NULL},
    {"SecAuditLogDirMode", 1, 1, set_mode, SETTING(audit.folder_mode), NULL},
    {"SecAuditLogFileMode", 1, 1, set_mode, SETTING(audit.file_mode), NULL},
    {"SecAuditLogFormat", 1, 1, set_audit_format, 0, NULL},
    {"SecAuditLogParts", 1, 1, set_audit_parts, 0, NULL},
    {"SecAuditLogRelevantStatus", 1, 1, set_relevant_status, 0, NULL},
    {"SecAuditLogType", 1, 1, set_audit_type, 0, NULL},
    {"SecAuditLog2", 1, 1, refuse, 0, "one audit log is written"},
    {"SecAuditLogPrefix", 1, 1, ignore, 0, "lines of the audit log have no prefix"},

    {"SecPcreMatchLimitRecursion", 1, 1, ignore, 0, "SecPcreMatchLimit bounds that, too"},
    {"SecStatusEngine", 1, 1, ignore, 0, "weir calls nobody"},
    {"SecCookieFormat", 1, 1, ignore, 0, "cookies are parted at \";\""},
    {"SecDataDir", 1, 1, ignore, 0, "collections lie in memory (modsecurity_collections_size)"},
    {"SecDisableBackendCompression", 1, 1, ignore, 0,
     "where responses are inspected, origins are asked for plain ones"},
    {"SecTmpSaveUploadedFiles", 1, 1, ignore, 0, no_upload},
    {"SecUploadDir", 1, 1, ignore, 0, no_upload},
    {"SecUploadFileMode", 1, 1, ignore, 0, no_upload},
    {"SecUploadKeepFiles", 1, 1, ignore, 0, no_upload},
    {"SecDebugLog", 1, 1, ignore, 0, log_of_weir},
    {"SecDebugLogLevel", 1, 1, ignore, 0, log_of_weir},
    {"SecServerSignature", 1, 1, ignore, 0, "server_tokens says what the Server field is"},
    {"SecSensorId", 1, 1, ignore, 0, "log lines have none"},
    {"SecCookieV0Separator", 1, 1, ignore, 0, "cookies are parted at \";\""},
    {"SecInterceptOnError", 1, 1, ignore, 0, "a rule that fails for want of a limit says so"},
    {"SecXmlExternalEntity", 1, 1, ignore, 0, "entities are never fetched"},
    {"SecConnEngine", 1, 1, ignore, 0, "limit_conn limits connections"},
    {"SecConnReadStateLimit", 1, 3, ignore, 0, "limit_conn limits connections"},
    {"SecConnWriteStateLimit", 1, 3, ignore, 0, "limit_conn limits connections"},
    {"SecReadStateLimit", 1, 1, ignore, 0, "limit_conn limits connections"},
    {"SecWriteStateLimit", 1, 1, ignore, 0, "limit_conn limits connections"},
    {"SecCacheTransformations", 1, 2, ignore, 0, "results are always kept"},
    {"SecRulePerfTime", 1, 1, ignore, 0, not_of_v3},
    {"SecStreamInBodyInspection", 1, 1, ignore, 0, not_of_v3},
    {"SecStreamOutBodyInspection", 1, 1, ignore, 0, not_of_v3},
    {"SecChrootDir", 1, 1, ignore, 0, not_of_v3},
    {"SecRequestBodyInMemoryLimit", 1, 1, ignore, 0, "client_body_buffer_size says that"},
    {"SecContentInjection", 1, 1, ignore, 0, "append and prepend are not supported"},
    {"SecHashEngine", 1, 1, ignore, 0, not_of_v3},

    {"SecRuleInheritance", 1, 1, refuse, 0, "inner levels add to the rules of outer ones"},
    {"SecRuleScript", 1, 2, refuse, 0, no_script},
    {"SecRemoteRules", 1, 3, refuse, 0, "rules are files"},
    {"SecRemoteRulesFailAction", 1, 1, refuse, 0, "rules are files"},
    {"SecGeoLookupDb", 1, 1, refuse, 0, "there is no @geoLookup"},
    {"SecGsbLookupDb", 1, 1, refuse, 0, "there is no @gsbLookup"},
    {"SecHttpBlKey", 1, 1, refuse, 0, "there is no @rbl"},
    {"SecGuardianLog", 1, 2, refuse, 0, not_of_v3},
};

static bool apply_statement(weir_waf_reader *reader, const weir_waf_statement *statement)
{
    weir_str name = statement->words[0];

    reader->statement = statement;
    if (reader->open == NULL) {
        reader->rule_id = 0;
    }
    for (size_t i = 0; i < WEIR_COUNT(directives); i++) {
        const directive *row = &directives[i];
        unsigned given = statement->count - 1;

        if (!weir_str_eq_nocase(weir_str_from_z(row->name), name)) {
            continue;
        }
        if (given < row->min || given > row->max) {
            return weir_waf_refuse(reader, name.data, "%s takes %u%s arguments, not %u", row->name,
                                   row->min, row->max > row->min ? " or more" : "", given);
        }
        if (reader->open != NULL && row->apply != read_rule && row->apply != read_action_rule) {
            return weir_waf_refuse(reader, name.data,
                                   "the chain of rule %llu is not finished: a SecRule is expected",
                                   (unsigned long long) reader->open->id);
        }
        return row->apply(reader, statement, row);
    }
    return weir_waf_refuse(reader, name.data, "unknown directive \"%.*s\"", WEIR_STR_ARG(name));
}

/* ---- files */

static bool apply_all(weir_waf_reader *reader, const weir_waf_source *source)
{
    weir_waf_lexer lexer;
    weir_waf_statement statement;

    weir_waf_lexer_open(&lexer, source, reader->pool, reader->temp);
    for (;;) {
        switch (weir_waf_lexer_next(&lexer, &statement)) {
        case WEIR_WAF_STATEMENT:
            if (!apply_statement(reader, &statement)) {
                return false;
            }
            break;
        case WEIR_WAF_BROKEN: {
            size_t origin = lexer.error_at;
            weir_waf_statement broken = {
                .source = source,
                .bytes = weir_str_of("x", 1),
                .origins = &origin,
            };

            reader->statement = &broken;
            return weir_waf_refuse(reader, NULL, "%s", lexer.error);
        }
        case WEIR_WAF_END:
            if (reader->open != NULL) {
                size_t origin = source->text.len;
                weir_waf_statement end = {
                    .source = source,
                    .bytes = weir_str_of("x", 1),
                    .origins = &origin,
                };

                reader->statement = &end;
                return weir_waf_refuse(reader, NULL, "the chain of rule %llu is not finished",
                                       (unsigned long long) reader->open->id);
            }
            return true;
        }
    }
}

static weir_str folder_of(weir_str path)
{
    size_t end = path.len;

    while (end > 0 && path.data[end - 1] != '/') {
        end--;
    }
    return weir_str_slice(path, 0, end);
}

static bool read_one(weir_waf_reader *reader, weir_str path, const weir_waf_source *by,
                     unsigned line)
{
    const weir_waf_statement *statement = reader->statement;
    weir_waf_source *source = WEIR_NEW(reader->pool, weir_waf_source);

    if (source == NULL || !weir_str_copy(reader->pool, path, &source->name)) {
        return no_memory(reader);
    }
    source->folder = folder_of(source->name);
    source->first_line = 1;
    source->included_by = by;
    source->included_line = line;
    if (reader->depth == INCLUDE_DEPTH_MAX) {
        return weir_waf_refuse(reader, NULL, "too many files include one another");
    }
    if (!read_file(reader, source->name, &source->text)) {
        return false;
    }
    reader->depth++;
    if (!apply_all(reader, source)) {
        return false;
    }
    reader->depth--;
    reader->statement = statement;
    return true;
}

static bool include_files(weir_waf_reader *reader, weir_str pattern, const weir_waf_source *by,
                          unsigned line, bool is_optional)
{
    const char *text = weir_str_z(reader->temp, pattern);
    glob_t found = {.gl_pathc = 0};
    bool is_fine = true;
    bool is_pattern = false;
    int result;

    for (size_t i = 0; i < pattern.len; i++) {
        is_pattern |= pattern.data[i] == '*' || pattern.data[i] == '?' || pattern.data[i] == '[';
    }
    if (!is_pattern && !is_optional) {
        return read_one(reader, pattern, by, line);
    }
    if (text == NULL) {
        return no_memory(reader);
    }
    result = glob(text, GLOB_MARK, NULL, &found);
    if (result == GLOB_NOSPACE) {
        return no_memory(reader);
    }
    for (size_t i = 0; result == 0 && is_fine && i < found.gl_pathc; i++) {
        is_fine = read_one(reader, weir_str_from_z(found.gl_pathv[i]), by, line);
    }
    if (result == 0) {
        globfree(&found);
    }
    return is_fine;
}

bool weir_waf_read_part(weir_waf_reader *reader, const weir_waf_part *part)
{
    weir_waf_source *source;
    weir_waf_source outside = {.name = part->name, .first_line = part->line};
    size_t origin = 0;
    weir_waf_statement statement = {
        .source = &outside,
        .line = part->line,
        .bytes = weir_str_of("x", 1),
        .origins = &origin,
    };

    reader->statement = &statement;
    if (part->is_file) {
        return include_files(reader, part->text, NULL, 0, false);
    }
    source = WEIR_NEW(reader->pool, weir_waf_source);
    if (source == NULL) {
        return no_memory(reader);
    }
    source->name = part->name;
    source->folder = part->folder;
    source->text = part->text;
    source->first_line = part->line;
    return apply_all(reader, source);
}
