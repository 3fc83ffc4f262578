#include "modules/balance/sticky_internal.h"

#include "core/base/number.h"
#include "core/process/cycle.h"
#include "core/process/zone.h"

/* sticky cookie NAME …, sticky route …, sticky learn … */

#define LEARN_TIMEOUT_MS (10 * 60 * 1000)
#define LEARN_LAYOUT "balance sessions 1"
#define LEARN_SHAPE ((weir_table_shape){.numbers = 1})

typedef struct {
    weir_conf *conf;
    const weir_statement *statement;
    weir_balance_group *group;
    struct balance_sticky *sticky;
} sticky_reading;

static bool template_add(const sticky_reading *reading, weir_array *list, weir_str text)
{
    const weir_template *template = weir_template_new(
        reading->conf, weir_space_of(reading->conf, reading->group->family->name), text);
    const weir_template **place = weir_array_push(list);

    if (template == NULL || place == NULL) {
        return template != NULL && weir_conf_refuse(reading->conf, "no memory for \"sticky\"");
    }
    /* All would have the same session. */
    if (weir_template_is_constant(template, NULL)) {
        return weir_conf_refuse(reading->conf, "\"%.*s\" of \"sticky\" is no variable",
                                WEIR_STR_ARG(text));
    }
    *place = template;
    return true;
}

static bool invalid(const sticky_reading *reading, size_t i)
{
    return weir_conf_refuse_arg(reading->conf, reading->statement, i, "invalid parameter \"%.*s\"",
                                WEIR_STR_ARG(reading->statement->args[i]));
}

static bool expires_read(struct balance_sticky *sticky, weir_str value)
{
    sticky->has_expires = true;
    sticky->expires_at_the_end_of_time = weir_str_eq(value, WEIR_STR("max"));
    return sticky->expires_at_the_end_of_time
           || weir_parse_time_s(value, INT32_MAX, &sticky->expires_s);
}

/* "; name=value" */
static bool attribute_add(weir_builder *attributes, const char *name, weir_str value)
{
    if (!balance_sticky_attribute_is_good(value)) {
        return false;
    }
    weir_builder_add(attributes, WEIR_STR("; "));
    weir_builder_add(attributes, weir_str_from_z(name));
    weir_builder_add(attributes, value);
    return true;
}

/* False: refused. */
static bool variables_read(const sticky_reading *reading, weir_str value,
                           const weir_template **template)
{
    *template = weir_template_new(
        reading->conf, weir_space_of(reading->conf, reading->group->family->name), value);
    return *template != NULL;
}

static bool domain_read(const sticky_reading *reading, weir_builder *attributes, weir_str value)
{
    return weir_str_find_byte(value, '$') != NULL
               ? variables_read(reading, value, &reading->sticky->domain)
               : value.len != 0 && attribute_add(attributes, "domain=", value);
}

static bool samesite_read(const sticky_reading *reading, weir_builder *attributes, weir_str value)
{
    if (weir_str_find_byte(value, '$') != NULL) {
        return variables_read(reading, value, &reading->sticky->samesite);
    }
    return (weir_str_eq(value, WEIR_STR("strict")) || weir_str_eq(value, WEIR_STR("lax"))
            || weir_str_eq(value, WEIR_STR("none")))
           && attribute_add(attributes, "samesite=", value);
}

static bool cookie_parameter(const sticky_reading *reading, size_t i, weir_builder *attributes,
                             weir_str *secret)
{
    weir_str arg = reading->statement->args[i];
    weir_str value;

    if (weir_conf_parameter(arg, "expires=", &value)) {
        return expires_read(reading->sticky, value);
    }
    if (weir_conf_parameter(arg, "domain=", &value)) {
        return domain_read(reading, attributes, value);
    }
    if (weir_conf_parameter(arg, "path=", &value)) {
        return value.len != 0 && attribute_add(attributes, "path=", value);
    }
    if (weir_conf_parameter(arg, "samesite=", &value)) {
        return samesite_read(reading, attributes, value);
    }
    if (weir_conf_parameter(arg, "secret=", &value)) {
        *secret = value;
        return value.len != 0;
    }
    if (weir_str_eq(arg, WEIR_STR("httponly"))) {
        return attribute_add(attributes, "httponly", WEIR_STR_EMPTY);
    }
    return weir_str_eq(arg, WEIR_STR("secure"))
           && attribute_add(attributes, "secure", WEIR_STR_EMPTY);
}

/* Nodes that share the secret, and the name of the group, read each other's cookies. */
static bool cookie_key_make(const sticky_reading *reading, weir_str secret)
{
    weir_str name = reading->group->name;
    SHA256_CTX hash;

    if (secret.len == 0) {
        weir_conf_notice(reading->conf,
                         "\"sticky cookie\" of upstream \"%.*s\" has no \"secret=\": who knows its "
                         "name can guess which address a cookie stands for",
                         WEIR_STR_ARG(name));
    }
    return SHA256_Init(&hash) == 1 && SHA256_Update(&hash, "weir sticky cookie", 19) == 1
           && SHA256_Update(&hash, name.data, name.len) == 1 && SHA256_Update(&hash, "", 1) == 1
           && SHA256_Update(&hash, secret.data, secret.len) == 1
           && SHA256_Final(reading->sticky->key, &hash) == 1;
}

static bool name_is_token(weir_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = weir_byte_lower(name.data[i]);

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_' && c != '-'
            && c != '.') {
            return false;
        }
    }
    return name.len != 0;
}

static bool cookie_read(const sticky_reading *reading)
{
    struct balance_sticky *sticky = reading->sticky;
    weir_str name = reading->statement->count > 2 ? reading->statement->args[2] : WEIR_STR_EMPTY;
    weir_str secret = WEIR_STR_EMPTY;
    weir_builder builder;
    weir_str variable;

    if (!name_is_token(name)) {
        return reading->statement->count > 2
                   ? weir_conf_refuse_arg(reading->conf, reading->statement, 2,
                                          "invalid cookie name \"%.*s\"", WEIR_STR_ARG(name))
                   : weir_conf_refuse_arg(reading->conf, reading->statement, 1,
                                          "\"sticky cookie\" takes a name");
    }
    sticky->name = name;
    weir_builder_open(&builder, weir_conf_pool(reading->conf), SIZE_MAX);
    for (size_t i = 3; i < reading->statement->count; i++) {
        if (!cookie_parameter(reading, i, &builder, &secret)) {
            return invalid(reading, i);
        }
    }
    if (!weir_builder_close(&builder, &sticky->attributes)) {
        return weir_conf_refuse(reading->conf, "no memory for \"sticky\"");
    }
    weir_builder_open(&builder, weir_conf_pool(reading->conf), SIZE_MAX);
    weir_builder_printf(&builder, "${cookie_%.*s}", WEIR_STR_ARG(name));
    return weir_builder_close(&builder, &variable)
           && template_add(reading, &sticky->lookup, variable) && cookie_key_make(reading, secret);
}

static bool route_read(const sticky_reading *reading)
{
    if (reading->statement->count < 3) {
        return weir_conf_refuse_arg(reading->conf, reading->statement, 1,
                                    "\"sticky route\" takes a variable");
    }
    for (size_t i = 2; i < reading->statement->count; i++) {
        if (!template_add(reading, &reading->sticky->lookup, reading->statement->args[i])) {
            return false;
        }
    }
    return true;
}

/* ---- sticky learn */

static bool table_opened(struct weir_zone *opened, bool is_new, void *subject)
{
    struct balance_sticky *sticky = subject;

    sticky->table = weir_table_open(sticky->pool, weir_zone_memory(opened), weir_zone_bytes(opened),
                                    LEARN_SHAPE, is_new, sticky->zone_name, sticky->log);
    return sticky->table != NULL;
}

static bool zone_read(const sticky_reading *reading, weir_str value)
{
    struct balance_sticky *sticky = reading->sticky;
    uint64_t bytes;

    return weir_str_split(&value, ':', &sticky->zone_name) && sticky->zone_name.len != 0
           && weir_parse_size(value, false, SIZE_MAX / 4, &bytes) && bytes >= WEIR_TABLE_BYTES_MIN
           && (sticky->zone = weir_zone_new(reading->conf, sticky->zone_name, (size_t) bytes,
                                            LEARN_LAYOUT, table_opened, sticky))
                  != NULL;
}

static bool learn_parameter(const sticky_reading *reading, size_t i)
{
    struct balance_sticky *sticky = reading->sticky;
    weir_str arg = reading->statement->args[i];
    weir_str value;

    if (weir_conf_parameter(arg, "create=", &value)) {
        return template_add(reading, &sticky->create, value);
    }
    if (weir_conf_parameter(arg, "lookup=", &value)) {
        return template_add(reading, &sticky->lookup, value);
    }
    if (weir_conf_parameter(arg, "zone=", &value)) {
        return zone_read(reading, value) || invalid(reading, i);
    }
    if (weir_conf_parameter(arg, "timeout=", &value)) {
        return (weir_parse_time_ms(value, INT64_MAX, &sticky->timeout_ms)
                && sticky->timeout_ms != 0)
               || invalid(reading, i);
    }
    if (weir_str_eq(arg, WEIR_STR("header"))) {
        sticky->learns_at_head = true;
        return true;
    }
    if (weir_str_eq(arg, WEIR_STR("sync"))) {
        weir_conf_warn(reading->conf, "\"sync\" of \"sticky learn\" has no effect: sessions are "
                                      "not passed on to other machines");
        return true;
    }
    return invalid(reading, i);
}

static bool learn_read(const sticky_reading *reading)
{
    struct balance_sticky *sticky = reading->sticky;

    sticky->timeout_ms = LEARN_TIMEOUT_MS;
    sticky->pool = weir_conf_pool(reading->conf);
    sticky->log = &weir_conf_cycle(reading->conf)->log;
    for (size_t i = 2; i < reading->statement->count; i++) {
        if (!learn_parameter(reading, i)) {
            return false;
        }
    }
    if (sticky->create.count == 0 || sticky->lookup.count == 0 || sticky->zone == NULL) {
        return weir_conf_refuse_arg(
            reading->conf, reading->statement, 1,
            "\"sticky learn\" takes \"create=\", \"lookup=\" and \"zone=\"");
    }
    return true;
}

bool weir_balance_sticky_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_balance_group *group = weir_conf_level(conf)->owner;
    weir_pool *pool = weir_conf_pool(conf);
    struct balance_sticky *sticky = WEIR_NEW(pool, struct balance_sticky);
    sticky_reading reading = {conf, statement, group, sticky};
    weir_str kind = statement->args[1];

    (void) settings;
    if (sticky == NULL) {
        return weir_conf_refuse(conf, "no memory for \"sticky\"");
    }
    if (group->sticky != NULL) {
        return weir_conf_refuse_arg(conf, statement, 0, "\"sticky\" directive is duplicate");
    }
    weir_array_init(&sticky->lookup, pool, sizeof(const weir_template *), 2);
    weir_array_init(&sticky->create, pool, sizeof(const weir_template *), 2);
    group->sticky = sticky;
    if (weir_str_eq(kind, WEIR_STR("cookie"))) {
        sticky->kind = STICKY_COOKIE;
        return cookie_read(&reading);
    }
    if (weir_str_eq(kind, WEIR_STR("route"))) {
        sticky->kind = STICKY_ROUTE;
        return route_read(&reading);
    }
    if (weir_str_eq(kind, WEIR_STR("learn"))) {
        sticky->kind = STICKY_LEARN;
        return learn_read(&reading);
    }
    return invalid(&reading, 1);
}
