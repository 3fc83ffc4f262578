#ifndef WEIR_HTTP_PROXY_RESPONSE_HEAD_H
#define WEIR_HTTP_PROXY_RESPONSE_HEAD_H

#include "modules/http/engine/fields.h"

/* How the end of a response's body shows (RFC 9112, 6.3). */
typedef enum {
    WEIR_HTTP_END_NONE, /* there is no body */
    WEIR_HTTP_END_LENGTH,
    WEIR_HTTP_END_CHUNKED,
    WEIR_HTTP_END_CLOSE,
    WEIR_HTTP_END_STREAM, /* HTTP/2: its own frames tell (RFC 9113, 8.1) */
} weir_http_end;

/*
 * The head of an origin's HTTP/1 response, parsed where it lies: status line and fields are slices of what was
 * received.  Strict: what two readers could take differently is no answer.
 */
typedef struct {
    bool answers_head; /* the request's method was HEAD: no body follows, whatever the head says */
    bool has_status_line;
    unsigned status;
    weir_str status_text; /* code and reason */
    weir_http_version version;
    weir_http_fields fields;
    size_t bytes;    /* of lines taken so far */
    bool is_interim; /* what stands here is one, until the next call */

    /* ---- once it is complete */
    weir_http_end end;
    int64_t content_length; /* -1: not said */
    bool keeps;             /* the connection may be used again after the body */
} weir_http_response_head;

typedef enum {
    WEIR_HTTP_HEAD_MORE, /* it goes on in bytes that have not come yet */
    WEIR_HTTP_HEAD_INTERIM, /* 1xx other than 101 was taken, and stays till the next call; another head follows */
    WEIR_HTTP_HEAD_COMPLETE,
    WEIR_HTTP_HEAD_INVALID, /* `*why` says it, for the log */
} weir_http_head_result;

/* `lines`: fields at most. */
void weir_http_response_head_init(weir_http_response_head *head, weir_pool *pool, uint16_t lines);
/* Forgets what was parsed, to begin anew. */
void weir_http_response_head_reset(weir_http_response_head *head);
/* The `len` bytes at `from`, in which it was parsed, lie at `to` now. */
void weir_http_response_head_move(weir_http_response_head *head, const char *from, size_t len,
                                  const char *to);
/*
 * Takes whole lines off `bytes`; `*taken` of them, which must stay where they are.  `*scanned`, at
 * most all, is up to where no line ends: 0 at first, and kept between calls, less what was taken.
 */
weir_http_head_result weir_http_response_head_take(weir_http_response_head *head, weir_str bytes,
                                                   size_t *scanned, size_t *taken,
                                                   const char **why) WEIR_MUST_USE;

#endif
