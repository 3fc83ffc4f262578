#ifndef WEIR_HTTP_ENGINE_MODULE_H
#define WEIR_HTTP_ENGINE_MODULE_H

#include "core/conf/module.h"
#include "core/script/script.h"
#include "modules/http/engine/exchange.h"
#include "modules/http/engine/fields.h"

/* Where http directives may stand. */
enum {
    WEIR_HTTP_MAIN = WEIR_FIRST_FAMILY_CONTEXT << 0,
    WEIR_HTTP_SERVER = WEIR_FIRST_FAMILY_CONTEXT << 1,
    WEIR_HTTP_LOCATION = WEIR_FIRST_FAMILY_CONTEXT << 2,
    WEIR_HTTP_UPSTREAM = WEIR_FIRST_FAMILY_CONTEXT << 3,
    WEIR_HTTP_SERVER_IF = WEIR_FIRST_FAMILY_CONTEXT << 4,
    WEIR_HTTP_LOCATION_IF = WEIR_FIRST_FAMILY_CONTEXT << 5,
    WEIR_HTTP_LIMIT_EXCEPT = WEIR_FIRST_FAMILY_CONTEXT << 6,
    /* stream's begin at WEIR_FIRST_FAMILY_CONTEXT << 8 */
};
#define WEIR_HTTP_ANYWHERE (WEIR_HTTP_MAIN | WEIR_HTTP_SERVER | WEIR_HTTP_LOCATION)

/* The order in which response filters run, first to last. */
typedef enum {
    WEIR_HTTP_STAGE_NONE,
    WEIR_HTTP_STAGE_CONDITION, /* 304, 412 */
    WEIR_HTTP_STAGE_INSPECT,   /* the WAF: sees what the content made */
    WEIR_HTTP_STAGE_DECODE,    /* gunzip */
    WEIR_HTTP_STAGE_REWRITE,   /* sub_filter, charset */
    WEIR_HTTP_STAGE_ANNOTATE,  /* add_header, expires, via */
    WEIR_HTTP_STAGE_ENCODE,    /* gzip */
    WEIR_HTTP_STAGE_RANGE,
    WEIR_HTTP_STAGE_COUNT
} weir_http_stage;

/* An http module: static and constant, one a file, named in auto/modules. */
struct weir_http_module {
    union {
        weir_module base;
        struct {
            WEIR_MODULE_MEMBERS
        };
    };

    /* ---- judging requests: all NULL or 0 when it does not */
    /* What weir_http_state() gave outlives internal redirects and error pages: once a request, not once a location. */
    bool keeps_state;
    bool takes_connect; /* its content may be a tunnel: no other content is asked about CONNECT */
    unsigned phases;    /* 1u << WEIR_HTTP_PHASE_… of each it runs in */
    /* `location` are its settings there. In LOG the verdict is not looked at. */
    weir_http_verdict (*judge)(weir_http_exchange *ex, const void *location);
    /* It reads the request's body, or has others read it. */
    bool takes_body;
    /* It shows the request to others, in ACCESS, before it is known who may ask: auth_request. */
    bool asks_others;
    /* Runs only where others are asked, before that. What it refuses is refused under `satisfy any`, too. */
    bool before_asking;
    /* At load: whether these settings give `judge` (and the filters) anything to do. NULL: always. */
    bool (*applies)(const void *location);

    /* ---- response filters */
    weir_http_stage stage;
    /*
     * OK: goes on.  WAIT: the head is withheld; the module calls weir_http_continue_head() later.  FAIL: the
     * exchange is broken off.
     */
    weir_result (*response_head)(weir_http_exchange *ex, const void *location);
    /*
     * Only if weir_http_filter_body() was called.  Takes bytes from the front of `in`, and adds to
     * `out`; what it leaves in `in` it is given again, with more behind it.  `is_last`: nothing
     * comes after `in`.
     *
     * OK: it has done with `in` what it can, whether or not it added anything.  WAIT: it has not;
     * it is called again, with nothing new, before it is given more: at once if it added
     * something, else after a weir_http_wake().  FAIL: the exchange is broken off.
     */
    weir_result (*response_body)(weir_http_exchange *ex, const void *location, weir_chain *in,
                                 weir_chain *out, bool is_last);

    /* NULL, or the variables it defines; ends with a NULL name. */
    const weir_variable *variables;
};

/*
 * In `response_head`: a status of weir's own, with its page, takes the place of the response, and the filters begin
 * anew.  To be returned by the filter.
 */
weir_result weir_http_filter_answer(weir_http_exchange *ex, unsigned status, const char *reason);

/* The same for a filter that has said WAIT before, with the answer that is set already. */
void weir_http_filter_settle(weir_http_exchange *ex);

/* Goes on with the filters after the one that said WAIT. */
void weir_http_continue_head(weir_http_exchange *ex);

/*
 * While a `response_head` says WAIT: takes about `limit` bytes of the body as the content makes it
 * into ex->ahead, from which it is sent later.  OK: some were added, or `*ended` was set; WAIT:
 * `ready` will be called once there is more; FAIL: the source is broken, logged.
 */
weir_result weir_http_read_ahead(weir_http_exchange *ex, uint64_t limit, bool *ended,
                                 void (*ready)(weir_http_exchange *ex));

/* The http module of an entry of family "http". */
static inline const weir_http_module *weir_http_module_of(const weir_module *module)
{
    return (const weir_http_module *) (const void *) module;
}

#endif
