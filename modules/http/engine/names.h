#ifndef WEIR_HTTP_ENGINE_NAMES_H
#define WEIR_HTTP_ENGINE_NAMES_H

#include "core/base/str.h"

/*
 * Field names that weir itself looks at, resolved while parsing; all others are
 * WEIR_HTTP_OTHER and compared by text.  Written as they are sent.  (Location and Server are also
 * contexts of directives: their names end in _FIELD.)
 */
#define WEIR_HTTP_NAMES(X)                                                                         \
    X(ACCEPT, "Accept")                                                                            \
    X(ACCEPT_CHARSET, "Accept-Charset")                                                            \
    X(ACCEPT_ENCODING, "Accept-Encoding")                                                          \
    X(ACCEPT_LANGUAGE, "Accept-Language")                                                          \
    X(ACCEPT_RANGES, "Accept-Ranges")                                                              \
    X(AGE, "Age")                                                                                  \
    X(ALLOW, "Allow")                                                                              \
    X(AUTHORIZATION, "Authorization")                                                              \
    X(CACHE_CONTROL, "Cache-Control")                                                              \
    X(CONNECTION, "Connection")                                                                    \
    X(CONTENT_DISPOSITION, "Content-Disposition")                                                  \
    X(CONTENT_ENCODING, "Content-Encoding")                                                        \
    X(CONTENT_LANGUAGE, "Content-Language")                                                        \
    X(CONTENT_LENGTH, "Content-Length")                                                            \
    X(CONTENT_LOCATION, "Content-Location")                                                        \
    X(CONTENT_RANGE, "Content-Range")                                                              \
    X(CONTENT_TYPE, "Content-Type")                                                                \
    X(COOKIE, "Cookie")                                                                            \
    X(DATE, "Date")                                                                                \
    X(DEPTH, "Depth")                                                                              \
    X(DESTINATION, "Destination")                                                                  \
    X(ETAG, "ETag")                                                                                \
    X(EXPECT, "Expect")                                                                            \
    X(EXPIRES, "Expires")                                                                          \
    X(FORWARDED, "Forwarded")                                                                      \
    X(FROM, "From")                                                                                \
    X(HOST, "Host")                                                                                \
    X(HTTP2_SETTINGS, "HTTP2-Settings")                                                            \
    X(IF_MATCH, "If-Match")                                                                        \
    X(IF_MODIFIED_SINCE, "If-Modified-Since")                                                      \
    X(IF_NONE_MATCH, "If-None-Match")                                                              \
    X(IF_RANGE, "If-Range")                                                                        \
    X(IF_UNMODIFIED_SINCE, "If-Unmodified-Since")                                                  \
    X(KEEP_ALIVE, "Keep-Alive")                                                                    \
    X(LAST_MODIFIED, "Last-Modified")                                                              \
    X(LINK, "Link")                                                                                \
    X(LOCATION_FIELD, "Location")                                                                  \
    X(ORIGIN, "Origin")                                                                            \
    X(PRAGMA, "Pragma")                                                                            \
    X(PROXY_AUTHENTICATE, "Proxy-Authenticate")                                                    \
    X(PROXY_AUTHORIZATION, "Proxy-Authorization")                                                  \
    X(PROXY_CONNECTION, "Proxy-Connection")                                                        \
    X(RANGE, "Range")                                                                              \
    X(REFERER, "Referer")                                                                          \
    X(REFRESH, "Refresh")                                                                          \
    X(RETRY_AFTER, "Retry-After")                                                                  \
    X(SEC_WEBSOCKET_KEY, "Sec-WebSocket-Key")                                                      \
    X(SERVER_FIELD, "Server")                                                                      \
    X(SET_COOKIE, "Set-Cookie")                                                                    \
    X(STRICT_TRANSPORT_SECURITY, "Strict-Transport-Security")                                      \
    X(TE, "TE")                                                                                    \
    X(TRAILER, "Trailer")                                                                          \
    X(TRANSFER_ENCODING, "Transfer-Encoding")                                                      \
    X(UPGRADE, "Upgrade")                                                                          \
    X(USER_AGENT, "User-Agent")                                                                    \
    X(VARY, "Vary")                                                                                \
    X(VIA, "Via")                                                                                  \
    X(WWW_AUTHENTICATE, "WWW-Authenticate")                                                        \
    X(X_ACCEL_BUFFERING, "X-Accel-Buffering")                                                      \
    X(X_ACCEL_CHARSET, "X-Accel-Charset")                                                          \
    X(X_ACCEL_EXPIRES, "X-Accel-Expires")                                                          \
    X(X_ACCEL_LIMIT_RATE, "X-Accel-Limit-Rate")                                                    \
    X(X_ACCEL_REDIRECT, "X-Accel-Redirect")                                                        \
    X(X_FORWARDED_FOR, "X-Forwarded-For")                                                          \
    X(X_REAL_IP, "X-Real-IP")

typedef enum {
    WEIR_HTTP_OTHER,
#define WEIR_HTTP_NAME_ENUM(id, text) WEIR_HTTP_##id,
    WEIR_HTTP_NAMES(WEIR_HTTP_NAME_ENUM)
#undef WEIR_HTTP_NAME_ENUM
        WEIR_HTTP_NAME_COUNT
} weir_http_name;

/* By text, letters of either case; WEIR_HTTP_OTHER when it is none of the above. */
weir_http_name weir_http_name_find(weir_str text);
weir_str weir_http_name_text(weir_http_name name); /* empty for OTHER */

typedef enum {
    WEIR_HTTP_METHOD_OTHER, /* any other token */
    WEIR_HTTP_GET,
    WEIR_HTTP_HEAD,
    WEIR_HTTP_POST,
    WEIR_HTTP_PUT,
    WEIR_HTTP_DELETE,
    WEIR_HTTP_CONNECT,
    WEIR_HTTP_OPTIONS,
    WEIR_HTTP_TRACE,
    WEIR_HTTP_PATCH,
    WEIR_HTTP_MKCOL,
    WEIR_HTTP_COPY,
    WEIR_HTTP_MOVE,
    WEIR_HTTP_PROPFIND,
    WEIR_HTTP_PROPPATCH,
    WEIR_HTTP_LOCK,
    WEIR_HTTP_UNLOCK,
    WEIR_HTTP_METHOD_COUNT
} weir_http_method;

weir_http_method weir_http_method_find(weir_str text); /* case matters (RFC 9110, 9.1) */
weir_str weir_http_method_text(weir_http_method method);
bool weir_http_method_is_idempotent(weir_http_method method); /* RFC 9110, 9.2.2; OTHER is not */

/*
 * Whether a field is of one connection in HTTP/1, has no place in HTTP/2, and is never passed on
 * as it is (RFC 9113, 8.2.2).
 */
static inline bool weir_http_name_is_of_connection(weir_http_name name)
{
    switch (name) {
    case WEIR_HTTP_CONNECTION:
    case WEIR_HTTP_KEEP_ALIVE:
    case WEIR_HTTP_PROXY_CONNECTION:
    case WEIR_HTTP_TRANSFER_ENCODING:
    case WEIR_HTTP_UPGRADE:
        return true;
    default:
        return false;
    }
}

typedef enum {
    WEIR_HTTP_09,
    WEIR_HTTP_10,
    WEIR_HTTP_11,
    WEIR_HTTP_20,
} weir_http_version;

/* "HTTP/1.1", as logs have it. */
weir_str weir_http_version_text(weir_http_version version);

/* The reason phrase; empty when there is none for the code. */
weir_str weir_http_reason(unsigned status);

/* 1 or more tchar (RFC 9110, 5.6.2). */
bool weir_http_is_token(weir_str text);
/*
 * A field name that nginx takes for invalid, though it is a token: of more than letters, digits,
 * hyphens, and underscores.
 */
bool weir_http_name_is_odd(weir_str name, bool allows_underscores);
/* Field content: no CR, LF, NUL, nor other controls but HTAB (RFC 9110, 5.5). */
bool weir_http_is_field_value(weir_str text);

#endif
