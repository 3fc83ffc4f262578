#ifndef WEIR_WAF_BODY_INTERNAL_H
#define WEIR_WAF_BODY_INTERNAL_H

#include "core/base/builder.h"
#include "modules/waf/body.h"

/* What differs by kind; `state` is the kind's own. */
typedef struct {
    weir_str name;
    size_t turn_bytes; /* are parsed in some milliseconds, at most */
    bool (*begin)(weir_waf_body *body, weir_str content_type);
    bool (*feed)(weir_waf_body *body, weir_str piece);
    bool (*end)(weir_waf_body *body);
} weir_waf_body_type;

struct weir_waf_body {
    const weir_waf_body_type *type;
    weir_waf_body_limits limits;
    weir_waf_body_sink sink;
    void *owner;
    size_t memory_used;
    weir_waf_body_report report;
    size_t left; /* of the last piece: its kind takes the turn to be over */
    void *state;
};

/* Bytes that are gathered; grows by doubling.  Zeroed is empty. */
typedef struct {
    char *data;
    size_t len, size;
} weir_waf_gathered;

extern const weir_waf_body_type weir_waf_body_urlencoded, weir_waf_body_multipart,
    weir_waf_body_json, weir_waf_body_xml;

/* Ends the parsing with a message, which is copied; returns false. */
bool weir_waf_body_fail(weir_waf_body *body, const char *format, ...) WEIR_PRINTF(2, 3);

/* Memory of the pool, under the limit; NULL once it is used up, which is a failure then. */
void *weir_waf_body_memory(weir_waf_body *body, size_t bytes);
/*
 * An array with room for one more than `count`: as it is, or twice as large elsewhere.  NULL: as
 * weir_waf_body_memory().
 */
void *weir_waf_body_room(weir_waf_body *body, void *items, size_t count, size_t *size,
                         size_t item_bytes);
bool weir_waf_gather(weir_waf_body *body, weir_waf_gathered *gathered, weir_str text) WEIR_MUST_USE;
/* A copy in memory of its own. */
bool weir_waf_body_keep(weir_waf_body *body, weir_str text, weir_str *kept) WEIR_MUST_USE;

static inline weir_str weir_waf_gathered_text(const weir_waf_gathered *gathered)
{
    return weir_str_of(gathered->data, gathered->len);
}

/* Tell the sink; false ends the parsing.  Texts must be kept. */
bool weir_waf_body_argument(weir_waf_body *body, weir_str name, weir_str value) WEIR_MUST_USE;

/* multipart_fields.c: the boundary in a Content-Type, kept; fails the body if it is not valid. */
bool weir_waf_multipart_boundary(weir_waf_body *body, weir_str content_type,
                                 weir_str *boundary) WEIR_MUST_USE;
/* Name and file name in a Content-Disposition, kept; `*has_...` tell those that are there. */
typedef struct {
    weir_str name, filename;
    bool has_name, has_filename;
} weir_waf_disposition;
bool weir_waf_multipart_disposition(weir_waf_body *body, weir_str value,
                                    weir_waf_disposition *disposition) WEIR_MUST_USE;

#endif
