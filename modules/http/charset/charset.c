/*
 * charset: says in Content-Type what encoding a text has, and converts it.
 *
 *     charset utf-8;                  named, where a type names none
 *
 *     charset_map koi8-r utf-8 { C0 D18E; ... }
 *     source_charset koi8-r;          and converted
 *     charset        utf-8;
 *     override_charset on;            what an origin has named is converted, too
 */

#include "modules/http/charset/charset_map.h"
#include "modules/http/engine/core_conf.h"

typedef struct {
    struct {
        const weir_template *name; /* NULL: off */
        const weir_array *maps;    /* weir_charset_map *: all of the configuration's */
    } to;
    const weir_template *from; /* NULL: texts are not converted, unless an origin names theirs */
    bool overrides;
    weir_array types; /* weir_str */
} charset_conf;

extern const weir_http_module weir_http_charset;

/* ---- reading */

/* All maps, for they may be read after those who want them.  NULL: refused. */
static weir_array *maps_of(weir_conf *conf)
{
    static const char key;
    weir_array *maps = weir_conf_kept(conf, &key);

    if (maps != NULL) {
        return maps;
    }
    maps = WEIR_NEW(weir_conf_pool(conf), weir_array);
    if (maps == NULL || !weir_conf_keep(conf, &key, maps)) {
        (void) weir_conf_refuse(conf, "no memory for \"charset_map\"");
        return NULL;
    }
    weir_array_init(maps, weir_conf_pool(conf), sizeof(weir_charset_map *), 4);
    return maps;
}

static bool charset_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    charset_conf *charset = settings;

    charset->to.name = NULL;
    charset->to.maps = maps_of(conf);
    if (charset->to.maps == NULL) {
        return false;
    }
    if (weir_str_eq(statement->args[1], WEIR_STR("off"))) {
        return true;
    }
    charset->to.name = weir_template_new(conf, weir_space_of(conf, "http"), statement->args[1]);
    return charset->to.name != NULL;
}

static bool map_read(weir_conf *conf, weir_charset_map *map, const weir_statement *statement)
{
    for (const weir_statement *row = statement->first_child; row != NULL; row = row->next) {
        weir_str pair[2];
        size_t wrong;

        if (row->count != 2) {
            return weir_conf_refuse_arg(conf, row, 0, "invalid parameters number");
        }
        pair[0] = row->args[0];
        pair[1] = row->args[1];
        if (!weir_charset_map_add(map, pair, &wrong)) {
            return wrong > 1 ? weir_conf_refuse(conf, "no memory for \"charset_map\"")
                             : weir_conf_refuse_arg(conf, row, wrong, "invalid value \"%.*s\"",
                                                    WEIR_STR_ARG(row->args[wrong]));
        }
    }
    return true;
}

static const weir_charset_map *map_find(const weir_array *maps, weir_str a, weir_str b)
{
    for (WEIR_ARRAY_EACH(maps, const weir_charset_map *const, map)) {
        if (weir_charset_map_is_between(*map, a, b)) {
            return *map;
        }
    }
    return NULL;
}

static bool map_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_str from = statement->args[1];
    weir_str to = statement->args[2];
    weir_array *maps = maps_of(conf);
    weir_charset_map **added;

    (void) settings;
    if (maps == NULL) {
        return false;
    }
    if (weir_str_eq_nocase(from, to)) {
        return weir_conf_refuse_arg(
            conf, statement, 2, "\"charset_map\" between the same charsets \"%.*s\" and \"%.*s\"",
            WEIR_STR_ARG(from), WEIR_STR_ARG(to));
    }
    if (weir_str_eq_nocase(from, WEIR_STR("utf-8"))) {
        return weir_conf_refuse_arg(conf, statement, 1,
                                    "\"utf-8\" stands second: \"charset_map\" "
                                    "is for both directions");
    }
    if (map_find(maps, from, to) != NULL) {
        return weir_conf_refuse_arg(conf, statement, 1,
                                    "duplicate \"charset_map\" between \"%.*s\" and \"%.*s\"",
                                    WEIR_STR_ARG(from), WEIR_STR_ARG(to));
    }
    added = weir_array_push(maps);
    if (added == NULL || (*added = weir_charset_map_new(weir_conf_pool(conf), from, to)) == NULL) {
        return weir_conf_refuse(conf, "no memory for \"charset_map\"");
    }
    return map_read(conf, *added, statement);
}

/* Names without variables are looked up while it can still be said who wrote them. */
static bool charset_check(weir_conf *conf, const void *settings)
{
    const charset_conf *charset = settings;
    weir_str from, to;

    if (charset->to.name == NULL || charset->from == NULL
        || !weir_template_is_constant(charset->to.name, &to)
        || !weir_template_is_constant(charset->from, &from) || weir_str_eq_nocase(from, to)
        || map_find(charset->to.maps, from, to) != NULL) {
        return true;
    }
    return weir_conf_refuse(conf, "no \"charset_map\" between the charsets \"%.*s\" and \"%.*s\"",
                            WEIR_STR_ARG(from), WEIR_STR_ARG(to));
}

#define CHARSET_PLACES (WEIR_HTTP_ANYWHERE | WEIR_HTTP_LOCATION_IF)

static const weir_directive charset_directives[] = {
    {
        .name = "charset",
        .where = CHARSET_PLACES,
        .takes = WEIR_TAKES(1, 1),
        .syntax = "charset | off",
        .slot = WEIR_SLOT_CALL(charset_conf, to, charset_call),
        .preset = "off",
        .doc = "The encoding that Content-Type names for texts that name none, and that texts are "
               "converted to.",
    },
    {
        .name = "source_charset",
        .where = CHARSET_PLACES,
        .takes = WEIR_TAKES(1, 1),
        .syntax = "charset",
        .slot = WEIR_SLOT_TEMPLATE(charset_conf, from),
        .doc = "The encoding that texts have before they are converted.",
    },
    {
        .name = "override_charset",
        .where = CHARSET_PLACES,
        .slot = WEIR_SLOT_FLAG(charset_conf, overrides),
        .preset = "off",
        .doc = "Converts, too, what an origin has named the encoding of, from that encoding.",
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
        .name = "charset_map",
        .where = WEIR_HTTP_MAIN,
        .takes = WEIR_TAKES(2, 2),
        .syntax = "charset1 charset2",
        .block = WEIR_BLOCK_RAW,
        .slot = WEIR_SLOT_ONLY_CALL(map_call),
        .doc = "A table between an encoding of one byte a character and another one, or utf-8; "
               "for both directions.",
    },
    {0},
};

/* ---- heads */

/* The value of the type's parameter "charset", within `type`, quotes and all.  False: it has none. */
static bool parameter_find(weir_str type, weir_str *value)
{
    weir_str name = WEIR_STR("charset=");
    weir_str rest = type;
    weir_str parameter;

    (void) weir_str_split(&rest, ';', &parameter);
    while (weir_str_split(&rest, ';', &parameter)) {
        parameter = weir_str_trim(parameter);
        if (weir_str_starts_nocase(parameter, name)) {
            *value = weir_str_from(parameter, name.len);
            return true;
        }
    }
    return false;
}

static weir_str unquoted(weir_str value)
{
    return value.len >= 2 && value.data[0] == '"' && value.data[value.len - 1] == '"'
               ? weir_str_slice(value, 1, value.len - 1)
               : value;
}

/* In the place of `value`, which lies in the type; NULL: behind it. */
static bool name_write(weir_http_exchange *ex, weir_str name, const weir_str *value)
{
    weir_str type = ex->response.content_type;
    weir_builder builder;

    weir_builder_open(&builder, ex->pool, SIZE_MAX);
    if (value == NULL) {
        weir_builder_add(&builder, weir_str_trim(type));
        weir_builder_add(&builder, WEIR_STR("; charset="));
        weir_builder_add(&builder, name);
    } else {
        size_t at = (size_t) (value->data - type.data);

        weir_builder_add(&builder, weir_str_slice(type, 0, at));
        weir_builder_add(&builder, name);
        weir_builder_add(&builder, weir_str_from(type, at + value->len));
    }
    return weir_builder_close(&builder, &ex->response.content_type);
}

/*
 * The encoding that the response, which has named one or not, is to have; empty: it stays as it is.  False: no memory.
 */
static bool wanted(weir_http_exchange *ex, const charset_conf *charset, bool is_named, weir_str *to)
{
    const weir_http_response *response = &ex->response;

    *to = WEIR_STR_EMPTY;
    if (response->accel_charset.len != 0) {
        if (!weir_str_eq_nocase(response->accel_charset, WEIR_STR("off"))) {
            *to = response->accel_charset;
        }
        return true;
    }
    if (charset->to.name == NULL
        || (is_named ? !charset->overrides || !response->from_upstream
                     : !weir_http_type_is_listed(&charset->types, response->content_type))) {
        return true;
    }
    return weir_template_text(charset->to.name, &ex->script, to);
}

/* From what is sent on as other bytes, now or later, parts cannot be cut. */
static bool conversion_start(weir_http_exchange *ex, const weir_charset_conversion *conversion)
{
    weir_http_response *response = &ex->response;
    weir_charset_conversion *state =
        weir_http_state(ex, &weir_http_charset, sizeof(weir_charset_conversion));

    if (state == NULL) {
        return false;
    }
    *state = *conversion;
    if (!weir_charset_keeps_length(state)) {
        response->content_length = -1;
        weir_http_fields_remove(&response->fields, WEIR_HTTP_ACCEPT_RANGES);
    }
    /* A body of several ranges is cut before it is converted, with the heads of its parts. */
    response->allow_ranges = response->allow_ranges && weir_charset_keeps_length(state)
                             && weir_charset_keeps_ascii(state);
    return ex->request.method == WEIR_HTTP_HEAD || weir_http_filter_body(ex, &weir_http_charset);
}

static weir_result convert_head(weir_http_exchange *ex, const charset_conf *charset, weir_str from,
                                weir_str to, const weir_str *value)
{
    const weir_charset_map *map = map_find(charset->to.maps, from, to);
    weir_charset_conversion conversion;

    if (map == NULL) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0,
                      "no \"charset_map\" between the charsets \"%.*s\" and \"%.*s\"",
                      WEIR_STR_ARG(from), WEIR_STR_ARG(to));
        return WEIR_OK;
    }
    if (weir_http_fields_find(&ex->response.fields, WEIR_HTTP_CONTENT_ENCODING) != NULL) {
        return WEIR_OK;
    }
    weir_charset_conversion_begin(&conversion, map, from);
    return name_write(ex, to, value)
                   && (ex->response.content_length == 0 || conversion_start(ex, &conversion))
               ? WEIR_OK
               : WEIR_FAIL;
}

static weir_result charset_head(weir_http_exchange *ex, const void *location)
{
    const charset_conf *charset = location;
    weir_http_response *response = &ex->response;
    weir_str value = WEIR_STR_EMPTY;
    weir_str to, from;
    bool has_parameter;

    if (charset->to.name == NULL && response->accel_charset.len == 0) {
        return WEIR_OK;
    }
    /* Old browsers read the page behind a redirect in that encoding; nginx spares them. */
    if (response->status == 301 || response->status == 302 || response->is_upgrade
        || response->content_type.len == 0) {
        return WEIR_OK;
    }
    has_parameter = parameter_find(response->content_type, &value);
    from = unquoted(value);
    if (!wanted(ex, charset, from.len != 0, &to)) {
        return WEIR_FAIL;
    }
    if (!weir_http_is_token(to)) {
        return WEIR_OK;
    }
    if (from.len != 0 && weir_str_eq_nocase(from, to)) {
        return WEIR_OK;
    }
    if (from.len == 0 && charset->from != NULL
        && !weir_template_text(charset->from, &ex->script, &from)) {
        return WEIR_FAIL;
    }
    if (from.len == 0 || weir_str_eq_nocase(from, to)) {
        return name_write(ex, to, has_parameter ? &value : NULL) ? WEIR_OK : WEIR_FAIL;
    }
    return convert_head(ex, charset, from, to, has_parameter ? &value : NULL);
}

/* ---- bodies */

/* How much is made at a time: a byte may become ten. */
#define TURN_BYTES (8 * WEIR_BLOCK_BYTES)

/*
 * A block of what comes out of the first spans, as many as fill it: there may be one for each byte, and what is made of them
 * may wait long for its reader.  False: no memory.
 */
static bool convert_step(weir_charset_conversion *conversion, weir_chain *in, weir_chain *out)
{
    weir_block *block = weir_block_get();
    size_t made = 0;
    bool is_added;

    if (block == NULL) {
        return false;
    }
    while (!weir_chain_is_empty(in) && WEIR_BLOCK_BYTES - made >= WEIR_CHARSET_ROOM) {
        size_t len = in->first->len;
        weir_str bytes = weir_str_of(in->first->data, len);

        made +=
            weir_charset_convert(conversion, &bytes, block->data + made, WEIR_BLOCK_BYTES - made);
        weir_chain_consume(in, len - bytes.len);
    }
    is_added = weir_chain_add_block(out, block, block->data, made);
    weir_block_unref(block);
    return is_added;
}

static weir_result charset_body(weir_http_exchange *ex, const void *location, weir_chain *in,
                                weir_chain *out, bool is_last)
{
    weir_charset_conversion *conversion = weir_http_state_find(ex, &weir_http_charset);
    uint64_t before = out->len;

    (void) location;
    while (!weir_chain_is_empty(in)) {
        if (out->len - before >= TURN_BYTES) {
            return WEIR_WAIT;
        }
        if (!convert_step(conversion, in, out)) {
            return WEIR_FAIL;
        }
    }
    if (is_last && weir_charset_is_cut(conversion) && !weir_chain_add_memory(out, WEIR_STR("?"))) {
        return WEIR_FAIL;
    }
    return WEIR_OK;
}

const weir_http_module weir_http_charset = {
    .name = "http_charset",
    .directives = charset_directives,
    .conf_size = sizeof(charset_conf),
    .check = charset_check,
    .stage = WEIR_HTTP_STAGE_REWRITE,
    .response_head = charset_head,
    .response_body = charset_body,
};
