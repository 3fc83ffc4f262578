#ifndef WEIR_WAF_PROGRAM_H
#define WEIR_WAF_PROGRAM_H

#include "core/base/log_sink.h"
#include "core/base/pool.h"
#include "modules/waf/variables.h"

/*
 * Rules, compiled.
 *
 * A library belongs to one configuration: it holds what its programs share (operators with their regexes and
 * phrases, the filter over all of them, names).  A program is what a place of the configuration
 * runs: that of the level around it, and statements of its own.  All is made in the master, before it
 * forks, and never changes afterwards.
 */
typedef struct weir_waf_library weir_waf_library;
typedef struct weir_waf_program weir_waf_program;

/* Why something was refused, and what to show of it: lines with newlines between them. */
typedef struct {
    char message[768];
    char further[1024];
} weir_waf_fault;

/* Told of what is accepted without effect, and of what looks wrong but is not. */
typedef void weir_waf_warn(void *subject, weir_str message);

/* NULL: no memory. */
weir_waf_library *weir_waf_library_new(weir_pool *pool, weir_pool *temp, weir_waf_warn *warn,
                                       void *subject);

/* Text of a modsecurity_rules directive, or the path of a file. */
typedef struct {
    bool is_file;
    weir_str text;   /* the rules; of a file: its path, which may be a pattern */
    weir_str name;   /* for messages, of a text: the file it stands in */
    weir_str folder; /* what relative paths in a text begin at; ends with "/" */
    unsigned line;   /* of the text's first line */
} weir_waf_part;

/*
 * The program of a place: `outer` (NULL: none), then the parts.  The same parts in the same outer program give the
 * same one.  NULL: refused, `fault` says why.
 */
const weir_waf_program *weir_waf_program_get(weir_waf_library *library,
                                             const weir_waf_program *outer,
                                             const weir_waf_part *parts, size_t count,
                                             weir_waf_fault *fault);

/* Once all programs are there: makes the filter.  Nothing can run before. */
bool weir_waf_library_close(weir_waf_library *library, weir_waf_fault *fault) WEIR_MUST_USE;
/* The filter is not asked: for tests that compare. */
void weir_waf_library_set_filter(weir_waf_library *library, bool is_on);

size_t weir_waf_program_rule_count(const weir_waf_program *program);

/* ---- what a program's Sec… settings say to who runs it */

typedef enum {
    WEIR_WAF_ENGINE_OFF,
    WEIR_WAF_ENGINE_DETECTION,
    WEIR_WAF_ENGINE_ON,
} weir_waf_engine_mode;

typedef enum {
    WEIR_WAF_LIMIT_REJECT,
    WEIR_WAF_LIMIT_PARTIAL, /* the first bytes, up to the limit, are looked at */
} weir_waf_limit_action;

/* SecParseXmlIntoArgs */
typedef enum {
    WEIR_WAF_XML_IN_XML,
    WEIR_WAF_XML_IN_BOTH,
    WEIR_WAF_XML_IN_ARGS, /* alone; attributes stay where they are */
} weir_waf_xml_arguments;

typedef enum {
    WEIR_WAF_AUDIT_OFF,
    WEIR_WAF_AUDIT_RELEVANT,
    WEIR_WAF_AUDIT_ON,
} weir_waf_audit_mode;

typedef struct {
    weir_waf_audit_mode mode;
    bool may_be_turned_on;                           /* by a rule */
    const struct weir_waf_operator *relevant_status; /* @rx over the status; NULL: none is */
    char parts[16];
    bool is_json;
    bool is_concurrent;
    weir_str log;     /* the file, or for concurrent ones their index */
    weir_str storage; /* folder of concurrent ones */
    unsigned file_mode, folder_mode;
} weir_waf_audit_settings;

typedef struct {
    weir_waf_engine_mode engine;
    bool request_body_access;
    bool response_body_access;
    uint64_t request_body_limit;
    uint64_t request_body_no_files_limit;
    uint64_t response_body_limit;
    weir_waf_limit_action request_body_limit_action;
    weir_waf_limit_action response_body_limit_action;
    weir_waf_xml_arguments xml_arguments;
    unsigned json_depth_limit;
    uint64_t arguments_limit; /* 0: none */
    uint64_t upload_file_limit;
    char argument_separator;
    unsigned pcre_match_limit; /* 0: the engine's own */
    weir_str mime_types;       /* of responses: by blanks, in lower case, with one at each end */
    uint64_t collection_timeout_s;
    const struct weir_waf_unicode_map *unicode_map; /* NULL: none */
    weir_waf_audit_settings audit;
    weir_str components; /* SecComponentSignature, by ", " */
    weir_str web_app_id;
    weir_str tmp_dir;
} weir_waf_settings;

const weir_waf_settings *weir_waf_program_settings(const weir_waf_program *program);
/* Whether any rule uses collections that outlive requests (initcol, setsid ...). */
bool weir_waf_program_keeps_collections(const weir_waf_program *program);

#endif
