/*
 * headers: adds fields to responses.
 *
 *     add_header Strict-Transport-Security "max-age=31536000" always;
 *     add_trailer Server-Timing $upstream_response_time;
 *     expires 30d;
 */

#include "modules/http/engine/core_conf.h"

#include "core/base/clock.h"
#include "core/base/number.h"

typedef struct {
    weir_http_name name;
    weir_str text;
    const weir_template *value;
    bool is_for_all; /* "always": not only for successes and redirects */
} header;

/* One inheritance for all fields of a level; see headers_check(). */
typedef struct {
    weir_array *items;       /* header; NULL: none */
    const weir_level *level; /* that wrote it */
} header_list;

enum { INHERIT_ON, INHERIT_OFF, INHERIT_MERGE };

typedef enum {
    EXPIRES_OFF,
    EXPIRES_EPOCH,
    EXPIRES_MAX,
    EXPIRES_FROM_NOW,
    EXPIRES_FROM_MODIFIED,
    EXPIRES_DAILY, /* at a time of the day */
} expires_kind;

typedef struct {
    expires_kind kind;
    int64_t time_s;
} expires_rule;

typedef struct {
    header_list headers, trailers;
    unsigned header_inherit, trailer_inherit;
    struct {
        expires_rule rule;
        const weir_template *template; /* NULL: `rule` is constant */
        bool from_modified;
    } expires;
} headers_conf;

extern const weir_http_module weir_http_headers;

/* ---- reading */

static bool list_add(weir_conf *conf, header_list *list, const weir_statement *statement)
{
    weir_pool *pool = weir_conf_pool(conf);
    header *added;

    if (list->items == NULL) {
        list->items = WEIR_NEW(pool, weir_array);
        if (list->items == NULL) {
            return weir_conf_refuse(conf, "no memory for a field");
        }
        weir_array_init(list->items, pool, sizeof(header), 4);
        list->level = weir_conf_level(conf);
    }
    added = weir_array_push(list->items);
    if (added == NULL) {
        return weir_conf_refuse(conf, "no memory for a field");
    }

    added->text = statement->args[1];
    if (!weir_http_is_token(added->text)) {
        return weir_conf_refuse_arg(conf, statement, 1, "\"%.*s\" is no name of a field",
                                    WEIR_STR_ARG(added->text));
    }
    added->name = weir_http_name_find(added->text);
    if (statement->count == 4) {
        if (!weir_str_eq(statement->args[3], WEIR_STR("always"))) {
            return weir_conf_refuse_arg(conf, statement, 3, "invalid parameter \"%.*s\"",
                                        WEIR_STR_ARG(statement->args[3]));
        }
        added->is_for_all = true;
    }
    added->value = weir_template_new(conf, weir_space_of(conf, "http"), statement->args[2]);
    return added->value != NULL;
}

static bool add_header_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    return list_add(conf, &((headers_conf *) settings)->headers, statement);
}

static bool add_trailer_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    return list_add(conf, &((headers_conf *) settings)->trailers, statement);
}

/* epoch, max, off, [+|-]TIME, @TIME */
static bool expires_parse(weir_str text, bool from_modified, expires_rule *rule)
{
    bool is_negative = text.len > 0 && text.data[0] == '-';
    bool is_daily = text.len > 0 && text.data[0] == '@';
    bool is_signed = is_negative || is_daily || (text.len > 0 && text.data[0] == '+');
    uint64_t time_s;

    rule->time_s = 0;
    if (!from_modified) {
        if (weir_str_eq(text, WEIR_STR("epoch"))) {
            rule->kind = EXPIRES_EPOCH;
            return true;
        }
        if (weir_str_eq(text, WEIR_STR("max"))) {
            rule->kind = EXPIRES_MAX;
            return true;
        }
        if (weir_str_eq(text, WEIR_STR("off"))) {
            rule->kind = EXPIRES_OFF;
            return true;
        }
    }
    if (is_signed) {
        text = weir_str_from(text, 1);
    }
    if (!weir_parse_time_s(text, INT32_MAX, &time_s)
        || (is_daily && (from_modified || time_s > 24 * 60 * 60))) {
        return false;
    }
    rule->kind = is_daily        ? EXPIRES_DAILY
                 : from_modified ? EXPIRES_FROM_MODIFIED
                                 : EXPIRES_FROM_NOW;
    rule->time_s = is_negative ? -(int64_t) time_s : (int64_t) time_s;
    return true;
}

static bool expires_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    headers_conf *headers = settings;
    size_t last = statement->count - 1;
    weir_str text = statement->args[last];

    headers->expires.from_modified = last == 2;
    if (last == 2 && !weir_str_eq(statement->args[1], WEIR_STR("modified"))) {
        return weir_conf_refuse_arg(conf, statement, 1, "invalid parameter \"%.*s\"",
                                    WEIR_STR_ARG(statement->args[1]));
    }
    if (weir_str_find_byte(text, '$') != NULL) {
        headers->expires.template = weir_template_new(conf, weir_space_of(conf, "http"), text);
        return headers->expires.template != NULL;
    }
    return expires_parse(text, last == 2, &headers->expires.rule)
           || weir_conf_refuse_arg(conf, statement, last, "invalid value \"%.*s\"",
                                   WEIR_STR_ARG(text));
}

static const weir_choice inherit_choices[] = {
    {"on", INHERIT_ON},
    {"off", INHERIT_OFF},
    {"merge", INHERIT_MERGE},
    {NULL, 0},
};

#define HEADERS_PLACES (WEIR_HTTP_ANYWHERE | WEIR_HTTP_LOCATION_IF)

static const weir_directive headers_directives[] = {
    {
        .name = "add_header",
        .where = HEADERS_PLACES,
        .takes = WEIR_TAKES(2, 3),
        .syntax = "name value [always]",
        .slot = WEIR_SLOT_CALL(headers_conf, headers, add_header_call),
        .repeatable = true,
        .doc = "Adds a field to responses: successes and redirects, or all of them.",
    },
    {
        .name = "add_header_inherit",
        .where = HEADERS_PLACES,
        .slot = WEIR_SLOT_ENUM(headers_conf, header_inherit, inherit_choices),
        .preset = "on",
        .doc = "Whether a level has the outer level's add_header: where it has none itself, "
               "never, or always.",
    },
    {
        .name = "add_trailer",
        .where = HEADERS_PLACES,
        .takes = WEIR_TAKES(2, 3),
        .syntax = "name value [always]",
        .slot = WEIR_SLOT_CALL(headers_conf, trailers, add_trailer_call),
        .repeatable = true,
        .doc = "Adds a field behind the body of responses.",
    },
    {
        .name = "add_trailer_inherit",
        .where = HEADERS_PLACES,
        .slot = WEIR_SLOT_ENUM(headers_conf, trailer_inherit, inherit_choices),
        .preset = "on",
        .doc = "The same for add_trailer.",
    },
    {
        .name = "expires",
        .where = HEADERS_PLACES,
        .takes = WEIR_TAKES(1, 2),
        .syntax = "[modified] time | epoch | max | off",
        .slot = WEIR_SLOT_CALL(headers_conf, expires, expires_call),
        .preset = "off",
        .doc = "Sets Expires and Cache-Control of successes and redirects.",
    },
    {0},
};

/* What holds at a level: with "off", what was written at an outer one does not. */
static const weir_array *list_items(const header_list *list, unsigned inherit,
                                    const weir_level *level)
{
    return inherit == INHERIT_OFF && list->level != level ? NULL : list->items;
}

/* With "merge" a level's list begins with the outer level's. */
static bool list_merge(weir_conf *conf, header_list *list, const weir_array *outer)
{
    const weir_array *own = list->items;
    weir_array *all = WEIR_NEW(weir_conf_pool(conf), weir_array);
    const weir_array *const parts[] = {outer, own};

    if (all == NULL) {
        return weir_conf_refuse(conf, "no memory for a field");
    }
    weir_array_init(all, weir_conf_pool(conf), sizeof(header), outer->count + own->count);
    for (size_t i = 0; i < WEIR_COUNT(parts); i++) {
        for (WEIR_ARRAY_EACH(parts[i], const header, item)) {
            header *added = weir_array_push(all);

            if (added == NULL) {
                return weir_conf_refuse(conf, "no memory for a field");
            }
            *added = *item;
        }
    }
    list->items = all;
    return true;
}

static bool list_check(weir_conf *conf, header_list *list, unsigned inherit,
                       const header_list *outer, unsigned outer_inherit)
{
    const weir_level *level = weir_conf_level(conf);
    const weir_array *items = list_items(outer, outer_inherit, level->outer);

    return inherit != INHERIT_MERGE || list->level != level || items == NULL
           || list_merge(conf, list, items);
}

static bool headers_check(weir_conf *conf, const void *location)
{
    headers_conf *own = (headers_conf *) (uintptr_t) location;
    const headers_conf *outer =
        weir_conf_level(conf)->outer == NULL
            ? NULL
            : weir_level_settings(weir_conf_level(conf)->outer, &weir_http_headers.base);

    return outer == NULL
           || (list_check(conf, &own->headers, own->header_inherit, &outer->headers,
                          outer->header_inherit)
               && list_check(conf, &own->trailers, own->trailer_inherit, &outer->trailers,
                             outer->trailer_inherit));
}

/* ---- fields */

static bool is_success_or_redirect(unsigned status)
{
    switch (status) {
    case 200:
    case 201:
    case 204:
    case 206:
    case 301:
    case 302:
    case 303:
    case 304:
    case 307:
    case 308:
        return true;
    default:
        return false;
    }
}

static bool add_field(weir_http_exchange *ex, weir_http_fields *fields, const header *item)
{
    weir_str value;

    if (!weir_template_text(item->value, &ex->script, &value)) {
        return false;
    }
    if (value.len == 0) {
        return true;
    }
    if (!weir_http_fields_add_text(fields, item->text, value)) {
        weir_log_line(&ex->log, WEIR_LOG_WARN, 0,
                      "field \"%.*s\" is not added: its value cannot be sent",
                      WEIR_STR_ARG(item->text));
    }
    return true;
}

/* There is one validator of a kind: ours takes the place of what the content said. */
static bool set_validator(weir_http_exchange *ex, const header *item)
{
    weir_http_fields_remove(&ex->response.fields, item->name);
    if (item->name == WEIR_HTTP_LAST_MODIFIED) {
        weir_str value;

        ex->response.last_modified_s = -1;
        if (!weir_template_text(item->value, &ex->script, &value)) {
            return false;
        }
        if (weir_clock_parse_http(value, &ex->response.last_modified_s)) {
            return true;
        }
    }
    return add_field(ex, &ex->response.fields, item);
}

static bool add_headers(weir_http_exchange *ex, const weir_array *items)
{
    bool is_usual = is_success_or_redirect(ex->response.status);

    if (items == NULL) {
        return true;
    }
    for (WEIR_ARRAY_EACH(items, const header, item)) {
        bool is_added;

        if (!is_usual && !item->is_for_all) {
            continue;
        }
        is_added = item->name == WEIR_HTTP_LAST_MODIFIED || item->name == WEIR_HTTP_ETAG
                       ? set_validator(ex, item)
                       : add_field(ex, &ex->response.fields, item);
        if (!is_added) {
            return false;
        }
    }
    return true;
}

/* ---- freshness */

static int64_t expires_in(const weir_http_exchange *ex, const expires_rule *rule)
{
    const weir_clock *clock = weir_clock_now();
    int64_t today;

    switch (rule->kind) {
    case EXPIRES_FROM_MODIFIED:
        return ex->response.last_modified_s < 0
                   ? rule->time_s
                   : ex->response.last_modified_s + rule->time_s - clock->wall_s;
    case EXPIRES_DAILY:
        today = (clock->wall_s + (int64_t) clock->gmt_offset_minutes * 60) % (24 * 60 * 60);
        return rule->time_s > today ? rule->time_s - today
                                    : rule->time_s - today + (int64_t) 24 * 60 * 60;
    case EXPIRES_FROM_NOW:
    case EXPIRES_OFF:
    case EXPIRES_EPOCH:
    case EXPIRES_MAX:
        break;
    }
    return rule->time_s;
}

static bool set_freshness(weir_http_exchange *ex, weir_str date, weir_str control)
{
    return weir_http_fields_set(&ex->response.fields, WEIR_HTTP_EXPIRES, date)
           && weir_http_fields_set(&ex->response.fields, WEIR_HTTP_CACHE_CONTROL, control);
}

static bool set_expires(weir_http_exchange *ex, const headers_conf *headers)
{
    expires_rule rule = headers->expires.rule;
    weir_builder builder;
    weir_str text, date, control;
    char *room;
    int64_t in_s;

    if (headers->expires.template != NULL) {
        if (!weir_template_text(headers->expires.template, &ex->script, &text)) {
            return false;
        }
        /* What is no time says nothing, as in nginx. */
        if (!expires_parse(text, headers->expires.from_modified, &rule)) {
            return true;
        }
    }

    switch (rule.kind) {
    case EXPIRES_OFF:
        return true;
    case EXPIRES_EPOCH:
        return set_freshness(ex, WEIR_STR("Thu, 01 Jan 1970 00:00:01 GMT"), WEIR_STR("no-cache"));
    case EXPIRES_MAX:
        return set_freshness(ex, WEIR_STR("Thu, 31 Dec 2037 23:55:55 GMT"),
                             WEIR_STR("max-age=315360000"));
    case EXPIRES_FROM_NOW:
    case EXPIRES_FROM_MODIFIED:
    case EXPIRES_DAILY:
        break;
    }

    in_s = expires_in(ex, &rule);
    room = weir_pool_bytes(ex->pool, 30);
    if (room == NULL) {
        return false;
    }
    weir_clock_format_http(weir_clock_now()->wall_s + in_s, room);
    date = weir_str_of(room, 29);
    if (in_s < 0) {
        return set_freshness(ex, date, WEIR_STR("no-cache"));
    }
    weir_builder_open(&builder, ex->pool, 40);
    weir_builder_add(&builder, WEIR_STR("max-age="));
    weir_builder_add_int(&builder, in_s);
    return weir_builder_close(&builder, &control) && set_freshness(ex, date, control);
}

/* ---- trailers */

static bool trailers_are_due(const weir_http_exchange *ex, const weir_array *items)
{
    bool is_usual = is_success_or_redirect(ex->response.status);

    if (items == NULL || ex->request.version < WEIR_HTTP_11 || ex->request.method == WEIR_HTTP_HEAD
        || ex->response.status == 204 || ex->response.status == 304 || ex->response.is_upgrade) {
        return false;
    }
    for (WEIR_ARRAY_EACH(items, const header, item)) {
        if (is_usual || item->is_for_all) {
            return true;
        }
    }
    return false;
}

/* Evaluated behind the body, of which they may tell. */
static weir_result headers_body(weir_http_exchange *ex, const void *location, weir_chain *in,
                                weir_chain *out, bool is_last)
{
    const headers_conf *headers = location;
    const weir_array *items =
        list_items(&headers->trailers, headers->trailer_inherit, ex->location->level);
    bool is_usual = is_success_or_redirect(ex->response.status);

    weir_chain_append(out, in);
    if (!is_last) {
        return WEIR_OK;
    }
    for (WEIR_ARRAY_EACH(items, const header, item)) {
        if ((is_usual || item->is_for_all) && !add_field(ex, &ex->response.trailers, item)) {
            return WEIR_FAIL;
        }
    }
    return WEIR_OK;
}

static weir_result headers_head(weir_http_exchange *ex, const void *location)
{
    const headers_conf *headers = location;
    const weir_level *level = ex->location->level;

    if (ex->parent != NULL) {
        return WEIR_OK;
    }
    if (is_success_or_redirect(ex->response.status) && !set_expires(ex, headers)) {
        return WEIR_FAIL;
    }
    if (!add_headers(ex, list_items(&headers->headers, headers->header_inherit, level))) {
        return WEIR_FAIL;
    }
    if (!trailers_are_due(ex, list_items(&headers->trailers, headers->trailer_inherit, level))) {
        return WEIR_OK;
    }
    /* The length stays until the head is final: filters behind this one may want it, as that of ranges does. */
    ex->response.needs_trailers = true;
    return weir_http_filter_body(ex, &weir_http_headers) ? WEIR_OK : WEIR_FAIL;
}

static bool headers_applies(const void *location)
{
    const headers_conf *headers = location;

    return headers->headers.items != NULL || headers->trailers.items != NULL
           || headers->expires.template != NULL || headers->expires.rule.kind != EXPIRES_OFF;
}

const weir_http_module weir_http_headers = {
    .name = "http_headers",
    .directives = headers_directives,
    .conf_size = sizeof(headers_conf),
    .check = headers_check,
    .applies = headers_applies,
    .stage = WEIR_HTTP_STAGE_ANNOTATE,
    .response_head = headers_head,
    .response_body = headers_body,
};
