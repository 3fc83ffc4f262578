/*
 * charset: says in Content-Type what encoding a text has.
 *
 *     charset utf-8;
 *
 * Texts are sent as they are: converting between encodings (charset_map) is refused.
 */

#include "modules/http/engine/core_conf.h"

typedef struct {
    struct {
        const weir_template *template; /* NULL: off */
    } charset;
    weir_array types; /* weir_str */
} charset_conf;

static bool charset_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    charset_conf *charset = settings;

    if (weir_str_eq(statement->args[1], WEIR_STR("off"))) {
        charset->charset.template = NULL;
        return true;
    }
    charset->charset.template =
        weir_template_new(conf, weir_space_of(conf, "http"), statement->args[1]);
    return charset->charset.template != NULL;
}

static bool conversion_refuse(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    return weir_conf_refuse_arg(conf, statement, 0,
                                "\"%.*s\": converting between encodings is not supported",
                                WEIR_STR_ARG(statement->args[0]));
}

#define CHARSET_PLACES (WEIR_HTTP_ANYWHERE | WEIR_HTTP_LOCATION_IF)

static const weir_directive charset_directives[] = {
    {
        .name = "charset",
        .where = CHARSET_PLACES,
        .takes = WEIR_TAKES(1, 1),
        .syntax = "charset | off",
        .slot = WEIR_SLOT_CALL(charset_conf, charset, charset_call),
        .preset = "off",
        .doc = "The encoding that Content-Type names for texts that name none.",
    },
    {
        .name = "override_charset",
        .where = CHARSET_PLACES,
        .takes = WEIR_TAKES(1, 1),
        .warning = "encodings are not converted: what an origin has named stays",
        .doc = "Accepted: encodings are not converted.",
    },
    {
        .name = "charset_types",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_LIST(charset_conf, types),
        .preset = "text/html text/xml text/plain text/vnd.wap.wml application/javascript "
                  "application/rss+xml",
        .syntax = "type ...",
        .doc = "The media types that are texts, beside text/html; * is any.",
    },
    {
        .name = "source_charset",
        .where = CHARSET_PLACES,
        .takes = WEIR_TAKES(1, 1),
        .slot = WEIR_SLOT_ONLY_CALL(conversion_refuse),
        .doc = "Refused: encodings are not converted.",
    },
    {
        .name = "charset_map",
        .where = WEIR_HTTP_MAIN,
        .takes = WEIR_TAKES(2, 2),
        .block = WEIR_BLOCK_RAW,
        .slot = WEIR_SLOT_ONLY_CALL(conversion_refuse),
        .doc = "Refused: encodings are not converted.",
    },
    {0},
};

/* Whether a type has the parameter "charset". */
static bool names_charset(weir_str parameters)
{
    weir_str parameter;

    while (weir_str_split(&parameters, ';', &parameter)) {
        if (weir_str_starts_nocase(weir_str_trim(parameter), WEIR_STR("charset="))) {
            return true;
        }
    }
    return false;
}

static weir_result charset_head(weir_http_exchange *ex, const void *location)
{
    const charset_conf *charset = location;
    weir_str rest = ex->response.content_type;
    weir_builder builder;
    weir_str type, name;

    /* Old browsers read the page behind a redirect in that encoding; nginx spares them. */
    if (ex->response.status == 301 || ex->response.status == 302) {
        return WEIR_OK;
    }
    if (ex->response.charset_is_said || !weir_str_split(&rest, ';', &type)
        || !weir_http_type_is_listed(&charset->types, weir_str_trim(type)) || names_charset(rest)) {
        return WEIR_OK;
    }
    if (!weir_template_text(charset->charset.template, &ex->script, &name)) {
        return WEIR_FAIL;
    }
    if (!weir_http_is_token(name)) {
        return WEIR_OK;
    }
    weir_builder_open(&builder, ex->pool, SIZE_MAX);
    weir_builder_add(&builder, weir_str_trim(type));
    weir_builder_add(&builder, WEIR_STR("; charset="));
    weir_builder_add(&builder, name);
    return weir_builder_close(&builder, &ex->response.content_type) ? WEIR_OK : WEIR_FAIL;
}

static bool charset_applies(const void *location)
{
    return ((const charset_conf *) location)->charset.template != NULL;
}

const weir_http_module weir_http_charset = {
    .name = "http_charset",
    .directives = charset_directives,
    .conf_size = sizeof(charset_conf),
    .applies = charset_applies,
    .stage = WEIR_HTTP_STAGE_REWRITE,
    .response_head = charset_head,
};
