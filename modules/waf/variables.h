#ifndef WEIR_WAF_VARIABLES_H
#define WEIR_WAF_VARIABLES_H

#include "core/base/result.h"
#include "core/base/str.h"

/*
 * The variables of SecLang.  X(name, shape, source): a collection has members with names, a scalar has
 * one value.  What a source is, see below.
 */
#define WEIR_WAF_VARIABLES(X)                                                                      \
    X(ARGS, COLLECTION, BOTH)                                                                      \
    X(ARGS_COMBINED_SIZE, SCALAR, STORED)                                                          \
    X(ARGS_GET, COLLECTION, STORED)                                                                \
    X(ARGS_GET_NAMES, COLLECTION, STORED)                                                          \
    X(ARGS_NAMES, COLLECTION, BOTH)                                                                \
    X(ARGS_POST, COLLECTION, STORED)                                                               \
    X(ARGS_POST_NAMES, COLLECTION, STORED)                                                         \
    X(AUTH_TYPE, SCALAR, STORED)                                                                   \
    X(DURATION, SCALAR, COMPUTED)                                                                  \
    X(ENV, COLLECTION, LIVE)                                                                       \
    X(FILES, COLLECTION, STORED)                                                                   \
    X(FILES_COMBINED_SIZE, SCALAR, STORED)                                                         \
    X(FILES_NAMES, COLLECTION, STORED)                                                             \
    X(FILES_SIZES, COLLECTION, STORED)                                                             \
    X(FILES_TMPNAMES, COLLECTION, STORED)                                                          \
    X(FILES_TMP_CONTENT, COLLECTION, STORED)                                                       \
    X(FULL_REQUEST, SCALAR, STORED)                                                                \
    X(FULL_REQUEST_LENGTH, SCALAR, STORED)                                                         \
    X(GEO, COLLECTION, STORED)                                                                     \
    X(GLOBAL, COLLECTION, KEPT)                                                                    \
    X(HIGHEST_SEVERITY, SCALAR, COMPUTED)                                                          \
    X(INBOUND_DATA_ERROR, SCALAR, STORED)                                                          \
    X(IP, COLLECTION, KEPT)                                                                        \
    X(MATCHED_VAR, SCALAR, LIVE)                                                                   \
    X(MATCHED_VARS, COLLECTION, LIVE)                                                              \
    X(MATCHED_VARS_NAMES, COLLECTION, LIVE)                                                        \
    X(MATCHED_VAR_NAME, SCALAR, LIVE)                                                              \
    X(MODSEC_BUILD, SCALAR, STORED)                                                                \
    X(MSC_PCRE_ERROR, SCALAR, COMPUTED)                                                            \
    X(MSC_PCRE_LIMITS_EXCEEDED, SCALAR, COMPUTED)                                                  \
    X(MULTIPART_BOUNDARY_QUOTED, SCALAR, STORED)                                                   \
    X(MULTIPART_BOUNDARY_WHITESPACE, SCALAR, STORED)                                               \
    X(MULTIPART_CRLF_LF_LINES, SCALAR, STORED)                                                     \
    X(MULTIPART_DATA_AFTER, SCALAR, STORED)                                                        \
    X(MULTIPART_DATA_BEFORE, SCALAR, STORED)                                                       \
    X(MULTIPART_FILENAME, COLLECTION, STORED)                                                      \
    X(MULTIPART_FILE_LIMIT_EXCEEDED, SCALAR, STORED)                                               \
    X(MULTIPART_HEADER_FOLDING, SCALAR, STORED)                                                    \
    X(MULTIPART_INVALID_HEADER_FOLDING, SCALAR, STORED)                                            \
    X(MULTIPART_INVALID_PART, SCALAR, STORED)                                                      \
    X(MULTIPART_INVALID_QUOTING, SCALAR, STORED)                                                   \
    X(MULTIPART_LF_LINE, SCALAR, STORED)                                                           \
    X(MULTIPART_MISSING_SEMICOLON, SCALAR, STORED)                                                 \
    X(MULTIPART_NAME, COLLECTION, STORED)                                                          \
    X(MULTIPART_PART_HEADERS, COLLECTION, STORED)                                                  \
    X(MULTIPART_SEMICOLON_MISSING, SCALAR, STORED)                                                 \
    X(MULTIPART_STRICT_ERROR, SCALAR, STORED)                                                      \
    X(MULTIPART_UNMATCHED_BOUNDARY, SCALAR, STORED)                                                \
    X(OUTBOUND_DATA_ERROR, SCALAR, STORED)                                                         \
    X(PATH_INFO, SCALAR, STORED)                                                                   \
    X(QUERY_STRING, SCALAR, STORED)                                                                \
    X(REMOTE_ADDR, SCALAR, STORED)                                                                 \
    X(REMOTE_HOST, SCALAR, STORED)                                                                 \
    X(REMOTE_PORT, SCALAR, STORED)                                                                 \
    X(REMOTE_USER, SCALAR, STORED)                                                                 \
    X(REQBODY_ERROR, SCALAR, STORED)                                                               \
    X(REQBODY_ERROR_MSG, SCALAR, STORED)                                                           \
    X(REQBODY_PROCESSOR, SCALAR, STORED)                                                           \
    X(REQBODY_PROCESSOR_ERROR, SCALAR, STORED)                                                     \
    X(REQBODY_PROCESSOR_ERROR_MSG, SCALAR, STORED)                                                 \
    X(REQUEST_BASENAME, SCALAR, STORED)                                                            \
    X(REQUEST_BODY, SCALAR, STORED)                                                                \
    X(REQUEST_BODY_LENGTH, SCALAR, STORED)                                                         \
    X(REQUEST_COOKIES, COLLECTION, STORED)                                                         \
    X(REQUEST_COOKIES_NAMES, COLLECTION, STORED)                                                   \
    X(REQUEST_FILENAME, SCALAR, STORED)                                                            \
    X(REQUEST_HEADERS, COLLECTION, STORED)                                                         \
    X(REQUEST_HEADERS_NAMES, COLLECTION, STORED)                                                   \
    X(REQUEST_LINE, SCALAR, STORED)                                                                \
    X(REQUEST_METHOD, SCALAR, STORED)                                                              \
    X(REQUEST_PROTOCOL, SCALAR, STORED)                                                            \
    X(REQUEST_URI, SCALAR, STORED)                                                                 \
    X(REQUEST_URI_RAW, SCALAR, STORED)                                                             \
    X(RESOURCE, COLLECTION, KEPT)                                                                  \
    X(RESPONSE_BODY, SCALAR, STORED)                                                               \
    X(RESPONSE_CONTENT_LENGTH, SCALAR, STORED)                                                     \
    X(RESPONSE_CONTENT_TYPE, SCALAR, STORED)                                                       \
    X(RESPONSE_HEADERS, COLLECTION, STORED)                                                        \
    X(RESPONSE_HEADERS_NAMES, COLLECTION, STORED)                                                  \
    X(RESPONSE_PROTOCOL, SCALAR, STORED)                                                           \
    X(RESPONSE_STATUS, SCALAR, STORED)                                                             \
    X(RULE, COLLECTION, LIVE)                                                                      \
    X(SERVER_ADDR, SCALAR, STORED)                                                                 \
    X(SERVER_NAME, SCALAR, STORED)                                                                 \
    X(SERVER_PORT, SCALAR, STORED)                                                                 \
    X(SESSION, COLLECTION, KEPT)                                                                   \
    X(SESSIONID, SCALAR, LIVE)                                                                     \
    X(STATUS_LINE, SCALAR, STORED)                                                                 \
    X(TIME, SCALAR, COMPUTED)                                                                      \
    X(TIME_DAY, SCALAR, COMPUTED)                                                                  \
    X(TIME_EPOCH, SCALAR, COMPUTED)                                                                \
    X(TIME_HOUR, SCALAR, COMPUTED)                                                                 \
    X(TIME_MIN, SCALAR, COMPUTED)                                                                  \
    X(TIME_MON, SCALAR, COMPUTED)                                                                  \
    X(TIME_SEC, SCALAR, COMPUTED)                                                                  \
    X(TIME_WDAY, SCALAR, COMPUTED)                                                                 \
    X(TIME_YEAR, SCALAR, COMPUTED)                                                                 \
    X(TX, COLLECTION, TX)                                                                          \
    X(UNIQUE_ID, SCALAR, STORED)                                                                   \
    X(URLENCODED_ERROR, SCALAR, STORED)                                                            \
    X(USER, COLLECTION, KEPT)                                                                      \
    X(USERID, SCALAR, LIVE)                                                                        \
    X(WEBAPPID, SCALAR, STORED)                                                                    \
    X(WEBSERVER_ERROR_LOG, SCALAR, STORED)                                                         \
    X(XML, COLLECTION, STORED)

typedef enum {
#define WEIR_WAF_VARIABLE_ENUM(name, shape, source) WEIR_WAF_VAR_##name,
    WEIR_WAF_VARIABLES(WEIR_WAF_VARIABLE_ENUM)
#undef WEIR_WAF_VARIABLE_ENUM
        WEIR_WAF_VARIABLE_COUNT
} weir_waf_variable;

typedef enum {
    WEIR_WAF_SOURCE_STORED,   /* a list of the transaction, which changes between phases only */
    WEIR_WAF_SOURCE_BOTH,     /* that of GET, then that of POST */
    WEIR_WAF_SOURCE_COMPUTED, /* made when it is asked for */
    WEIR_WAF_SOURCE_LIVE,     /* changes with each rule that matches */
    WEIR_WAF_SOURCE_TX,       /* slots, then what has no slot */
    WEIR_WAF_SOURCE_KEPT,     /* in shared memory, once initcol has named it */
} weir_waf_variable_source;

/* In upper case. */
weir_str weir_waf_variable_name(weir_waf_variable variable);
bool weir_waf_variable_is_collection(weir_waf_variable variable);
weir_waf_variable_source weir_waf_variable_source_of(weir_waf_variable variable);
/* Letters of either case, old spellings too.  False: there is none of that name. */
bool weir_waf_variable_find(weir_str name, weir_waf_variable *variable) WEIR_MUST_USE;

#endif
