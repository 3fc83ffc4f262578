/*
 * Body processors: URLENCODED, MULTIPART, JSON, XML of SecLang.
 *
 * A body is fed in pieces, cut anywhere, and what is found is told at once.  Memory is bounded by the limits,
 * time is linear in the bytes fed and told.
 */

#ifndef WEIR_WAF_BODY_H
#define WEIR_WAF_BODY_H

#include "core/base/pool.h"
#include "core/base/result.h"
#include "core/base/str.h"

typedef struct weir_waf_body weir_waf_body;

typedef enum {
    WEIR_WAF_URLENCODED, /* query strings too */
    WEIR_WAF_MULTIPART,  /* multipart/form-data (RFC 7578) */
    WEIR_WAF_JSON,       /* RFC 8259 */
    WEIR_WAF_XML,
} weir_waf_body_kind;

/* A part with a file name. */
typedef struct {
    weir_str field;    /* the part's name */
    weir_str filename; /* as sent */
    uint64_t size;     /* bytes of its content, which is not kept */
} weir_waf_file;

/*
 * Who is told.  Texts live as long as the pool of the limits.  Each may be NULL.  One that returns false ends
 * the parsing with an error.
 */
typedef struct {
    /* ARGS: JSON's names are paths, "json.a.array_0.b", and XML's, "xml.root.a". */
    bool (*argument)(void *owner, weir_str name, weir_str value);
    /* FILES and its kin, once the part is complete. */
    bool (*file)(void *owner, const weir_waf_file *file);
    /* MULTIPART_PART_HEADERS: "Name: value" as received, without its line end. */
    bool (*part_header)(void *owner, weir_str part, weir_str line);
    /* XML://@*: the value of an attribute, references resolved. */
    bool (*attribute)(void *owner, weir_str value);
    /*
     * What "XML:" and an asterisk select: all character data as one text; once, at the end or
     * where the parsing ended.
     */
    bool (*character_data)(void *owner, weir_str text);
} weir_waf_body_sink;

typedef struct {
    weir_pool *pool;
    size_t memory_max; /* bytes taken from the pool in all; 0: 64 MiB */
    size_t
        arguments_max;  /* SecArgumentsLimit; 0: no limit.  Further ones are counted and dropped. */
    size_t depth_max;   /* SecRequestBodyJsonDepthLimit, and of XML; 0: 512 */
    size_t files_max;   /* SecUploadFileLimit; 0: 100 */
    char separator;     /* SecArgumentSeparator; 0: '&' */
    bool xml_arguments; /* SecParseXmlIntoArgs: texts of XML's elements are arguments, too */
} weir_waf_body_limits;

/* The MULTIPART_* variables. */
typedef struct {
    bool boundary_quoted;        /* ..._BOUNDARY_QUOTED */
    bool boundary_whitespace;    /* ..._BOUNDARY_WHITESPACE */
    bool data_before;            /* ..._DATA_BEFORE */
    bool data_after;             /* ..._DATA_AFTER */
    bool header_folding;         /* ..._HEADER_FOLDING */
    bool invalid_header_folding; /* ..._INVALID_HEADER_FOLDING */
    bool lf_line;                /* ..._LF_LINE */
    bool crlf_lf_lines;          /* ..._CRLF_LF_LINES */
    bool missing_semicolon;      /* ..._MISSING_SEMICOLON */
    bool invalid_quoting;        /* ..._INVALID_QUOTING */
    bool invalid_part;           /* ..._INVALID_PART */
    bool file_limit_exceeded;    /* ..._FILE_LIMIT_EXCEEDED */
    bool strict_error;           /* ..._STRICT_ERROR: any of them, or a failure */
    unsigned unmatched_boundary; /* ..._UNMATCHED_BOUNDARY: 0, 1 or 2 */
    weir_str name, filename;     /* ..._NAME, ..._FILENAME: of the last part */
} weir_waf_multipart;

typedef struct {
    bool failed;           /* REQBODY_ERROR, REQBODY_PROCESSOR_ERROR */
    weir_str message;      /* REQBODY_ERROR_MSG; empty unless failed */
    bool urlencoded_error; /* URLENCODED_ERROR: an escape that is none, which stays as it is */
    size_t argument_count; /* those told and those dropped */
    uint64_t work;         /* beside what is due for the bytes: units of about half a nanosecond */
    weir_waf_multipart multipart;
} weir_waf_body_report;

/*
 * Begins a body.  `content_type` counts for MULTIPART: the boundary is read from it, and one that is not
 * there or wrong is a failure in the report.  `sink` and `limits` are copied.  NULL: no memory.
 */
weir_waf_body *weir_waf_body_new(weir_waf_body_kind kind, const weir_waf_body_limits *limits,
                                 const weir_waf_body_sink *sink, void *owner,
                                 weir_str content_type) WEIR_MUST_USE;

/* The next piece.  After a failure pieces are ignored. */
void weir_waf_body_feed(weir_waf_body *body, weir_str piece);
/* As much of it as is parsed in about a millisecond, which is at least some; how much that was. */
size_t weir_waf_body_feed_some(weir_waf_body *body, weir_str piece) WEIR_MUST_USE;

/* The body is complete; what was held back is told.  An empty body is no failure. */
void weir_waf_body_end(weir_waf_body *body);

/* May be asked at any time. */
const weir_waf_body_report *weir_waf_body_report_of(const weir_waf_body *body);

/* By the name that ctl:requestBodyProcessor takes, in either case; false: there is none. */
bool weir_waf_body_kind_find(weir_str name, weir_waf_body_kind *kind) WEIR_MUST_USE;

#endif
