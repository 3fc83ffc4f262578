/*
 * sample: a module to begin with.  It adds a field to responses, and refuses requests that have another.
 *
 *     sample "hello, $remote_addr";       the value of X-Sample; nothing is added unless it is said
 *     sample_forbid X-Forbidden;          403 for requests with this field; "off", the default, takes all
 */

#include "modules/http/engine/module.h"

/* The settings of one location.  Weir makes, fills and inherits them, as the table below says. */
typedef struct {
    const weir_template *text; /* NULL: add nothing */
    weir_str forbidden;        /* empty for "off" */
} sample_conf;

static const weir_directive sample_directives[] = {
    {
        .name = "sample",
        .where = WEIR_HTTP_MAIN | WEIR_HTTP_SERVER | WEIR_HTTP_LOCATION,
        .slot = WEIR_SLOT_TEMPLATE(sample_conf, text),
        .inherit = WEIR_INHERIT_REPLACE,
        .doc = "What X-Sample says in responses.",
    },
    {
        .name = "sample_forbid",
        .where = WEIR_HTTP_MAIN | WEIR_HTTP_SERVER | WEIR_HTTP_LOCATION,
        .slot = WEIR_SLOT_STR_OR_OFF(sample_conf, forbidden),
        .inherit = WEIR_INHERIT_REPLACE,
        .preset = "off",
        .doc = "The field that a request must not have.",
    },
    {0},
};

/* Runs once for each distinct settings, after inheritance; a refusal stops the start. */
static bool sample_check(weir_conf *conf, const void *location)
{
    const sample_conf *sample = location;

    return weir_str_is_empty(sample->forbidden) || weir_http_is_token(sample->forbidden)
           || weir_conf_refuse(conf, "\"sample_forbid\" takes the name of a field");
}

/* The access handler: PASS is no opinion, ANSWERED is a response. */
static weir_http_verdict sample_judge(weir_http_exchange *ex, const void *location)
{
    const sample_conf *sample = location;

    if (weir_str_is_empty(sample->forbidden)
        || weir_http_fields_find_text(&ex->request.fields, sample->forbidden) == NULL) {
        return WEIR_HTTP_PASS;
    }

    weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "sample: the request has \"%.*s\"",
                  WEIR_STR_ARG(sample->forbidden));
    return weir_http_answer_because(ex, 403, "forbidden by sample");
}

/* The filter: the response's head is complete, and not sent yet. */
static weir_result sample_response_head(weir_http_exchange *ex, const void *location)
{
    const sample_conf *sample = location;
    weir_str value;

    if (sample->text == NULL) {
        return WEIR_OK;
    }
    if (!weir_template_text(sample->text, &ex->script, &value)) {
        return WEIR_FAIL;
    }

    /* False for a value that no field can have: a line break in a variable, say. */
    if (!weir_http_fields_add_text(&ex->response.fields, WEIR_STR("X-Sample"), value)) {
        weir_log_line(&ex->log, WEIR_LOG_WARN, 0, "sample: the value cannot be sent");
    }
    return WEIR_OK;
}

const weir_http_module weir_http_sample = {
    .name = "http_sample",
    .directives = sample_directives,
    .conf_size = sizeof(sample_conf),
    .check = sample_check,

    .phases = 1u << WEIR_HTTP_PHASE_ACCESS,
    .judge = sample_judge,

    .stage = WEIR_HTTP_STAGE_ANNOTATE,
    .response_head = sample_response_head,
};
