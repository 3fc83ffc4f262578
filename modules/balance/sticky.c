#include "modules/balance/balance_internal.h"

#include <stdlib.h>

#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "core/base/clock.h"
#include "core/base/number.h"
#include "core/process/cycle.h"
#include "core/process/zone.h"
#include "core/shared/table.h"

/*
 * Sessions that stay with their peer: by a cookie of ours, by a route that a variable names, or by what was learned of
 * earlier answers.
 *
 * The cookie's value is a keyed digest of the peer's name.  What it stands for is found by comparing it with the digests
 * of the peers there are: so it need not be stored, cannot be made by who does not know the key, and a value that fits none
 * is as good as none.
 */

#define VALUE_BYTES 16 /* of the digest: twice as many digits */
#define SESSION_MAX 1024
#define LEARN_TIMEOUT_MS (10 * 60 * 1000)
#define LEARN_LAYOUT "balance sessions 1"
#define LEARN_SHAPE ((weir_table_shape){.numbers = 1})

typedef enum {
    STICKY_COOKIE,
    STICKY_ROUTE,
    STICKY_LEARN,
} sticky_kind;

struct balance_sticky {
    sticky_kind kind;
    weir_array lookup; /* const weir_template *: of the value; the first that is not empty counts */

    /* cookie */
    weir_str name;
    weir_str attributes;                    /* "; path=/; httponly" */
    const weir_template *domain, *samesite; /* of variables; NULL: none, or among the attributes */
    bool has_expires, expires_at_the_end_of_time;
    uint64_t expires_s;
    uint8_t key[SHA256_DIGEST_LENGTH];

    /* learn */
    weir_array create;
    weir_str zone_name;
    struct weir_zone *zone;
    weir_table *table;
    weir_pool *pool;
    const weir_log *log;
    uint64_t timeout_ms;
    bool learns_at_head;
};

/* ---- the values that stand for peers */

static bool cookie_value(const weir_balance_group *group, const weir_balance_peer *peer,
                         weir_pool *pool, weir_str *value)
{
    weir_str what = peer->route.len != 0 ? peer->route : peer->text;
    uint8_t digest[SHA256_DIGEST_LENGTH];
    unsigned len;
    weir_builder text;

    /* The group is part of the key. */
    if (HMAC(EVP_sha256(), group->sticky->key, sizeof(group->sticky->key),
             (const uint8_t *) what.data, what.len, digest, &len)
        == NULL) {
        return false;
    }
    weir_builder_open(&text, pool, 2 * VALUE_BYTES);
    weir_builder_add_hexdump(&text, weir_str_of((const char *) digest, VALUE_BYTES));
    return weir_builder_close(&text, value);
}

static int mark_compare(const void *a, const void *b)
{
    const balance_mark *left = a;
    const balance_mark *right = b;
    int order = weir_str_compare(left->value, right->value);

    return order != 0 ? order : left->peer < right->peer ? -1 : left->peer > right->peer;
}

bool balance_sticky_prepare(const weir_balance_group *group, balance_view *view)
{
    if (group->sticky == NULL) {
        return true;
    }
    view->marks = WEIR_NEW_ARRAY(view->pool, balance_mark, view->count + 1);
    if (view->marks == NULL) {
        return false;
    }
    for (size_t i = 0; i < view->count; i++) {
        weir_balance_peer *peer = &view->peers[i];
        balance_mark *mark = &view->marks[view->mark_count];

        mark->peer = peer;
        switch (group->sticky->kind) {
        case STICKY_COOKIE:
            if (!cookie_value(group, peer, view->pool, &mark->value)) {
                return false;
            }
            break;
        case STICKY_ROUTE:
            mark->value = peer->route;
            break;
        case STICKY_LEARN:
            mark->value = weir_str_of((const char *) &peer->key, sizeof(peer->key));
            break;
        }
        view->mark_count += mark->value.len != 0;
    }
    qsort(view->marks, view->mark_count, sizeof(*view->marks), mark_compare);
    return true;
}

/* The first of those with this value; `*count` of them. */
static const balance_mark *marks_find(const balance_view *view, weir_str value, size_t *count)
{
    size_t low = 0;
    size_t high = view->mark_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (weir_str_compare(view->marks[middle].value, value) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (*count = 0;
         low + *count < view->mark_count && weir_str_eq(view->marks[low + *count].value, value);
         ++*count) {
    }
    return &view->marks[low];
}

/* ---- what was learned */

static bool session_peer_set(_Atomic uint64_t *numbers, bool is_new, void *subject)
{
    (void) is_new;
    atomic_store(&numbers[0], *(const uint64_t *) subject);
    return true;
}

static bool session_peer_get(_Atomic uint64_t *numbers, bool is_new, void *subject)
{
    (void) is_new;
    *(uint64_t *) subject = atomic_load(&numbers[0]);
    return true;
}

/* Sessions of groups that share a zone are apart.  False: too long. */
static bool session_key(const weir_balance_group *group, weir_str session, weir_builder *builder,
                        weir_str *key)
{
    weir_builder_add(builder, weir_str_of((const char *) &group->key, sizeof(group->key)));
    weir_builder_add(builder, session);
    return weir_builder_close(builder, key);
}

static void session_put(const weir_balance_pick *pick, weir_str session)
{
    const struct balance_sticky *sticky = pick->group->sticky;
    uint64_t peer = pick->peer->key;
    char buffer[SESSION_MAX];
    weir_builder builder;
    weir_str key;

    weir_builder_over(&builder, buffer, sizeof(buffer));
    if (session_key(pick->group, session, &builder, &key)
        && !weir_table_enter(sticky->table, key, sticky->timeout_ms, session_peer_set, &peer)) {
        weir_log_line(pick->subject.log, WEIR_LOG_WARN, 0,
                      "no room for a session in sticky zone \"%.*s\"",
                      WEIR_STR_ARG(sticky->zone_name));
    }
}

/* Its time begins anew. */
static bool session_find(const weir_balance_pick *pick, weir_str session, uint64_t *peer)
{
    const struct balance_sticky *sticky = pick->group->sticky;
    char buffer[SESSION_MAX];
    weir_builder builder;
    weir_str key;

    weir_builder_over(&builder, buffer, sizeof(buffer));
    return session_key(pick->group, session, &builder, &key)
           && weir_table_visit(sticky->table, key, sticky->timeout_ms, session_peer_get, peer);
}

/* ---- at run time */

/* The first of the templates that is not empty.  It may be that there are no variables. */
static weir_str value_of(const weir_array *templates, weir_script *script)
{
    weir_str text;

    for (WEIR_ARRAY_EACH(templates, const weir_template *, place)) {
        if (script != NULL && weir_template_text(*place, script, &text) && text.len != 0) {
            return text;
        }
    }
    return WEIR_STR_EMPTY;
}

static weir_balance_peer *mark_choose(weir_balance_pick *pick, const balance_view *view,
                                      weir_str value, uint64_t now_ms)
{
    size_t count;
    const balance_mark *marks = marks_find(view, value, &count);
    uint64_t turn = 0;

    if (count > 1) {
        turn = atomic_fetch_add_explicit(&pick->group->words->turns[BALANCE_PRIMARY], 1,
                                         memory_order_relaxed);
    }
    for (size_t i = 0; i < count; i++) {
        weir_balance_peer *peer = marks[(turn + i) % count].peer;

        if (!balance_was_tried(pick, peer) && balance_is_live(peer, view->count == 1, now_ms)) {
            pick->sticks_to = peer->column;
            return peer;
        }
    }
    if (count != 0) {
        balance_sticky_leave(pick, marks->peer);
    }
    return NULL;
}

weir_balance_peer *balance_sticky_find(weir_balance_pick *pick, const balance_view *view,
                                       uint64_t now_ms)
{
    const struct balance_sticky *sticky = pick->group->sticky;
    weir_str value;
    uint64_t key;

    if (sticky == NULL || pick->is_asked) {
        return NULL;
    }
    pick->is_asked = true;
    value = value_of(&sticky->lookup, pick->subject.script);
    if (value.len == 0) {
        return NULL;
    }
    if (sticky->kind == STICKY_LEARN) {
        if (!session_find(pick, value, &key)) {
            return NULL;
        }
        value = weir_str_of((const char *) &key, sizeof(key));
    }
    return mark_choose(pick, view, value, now_ms);
}

void balance_sticky_leave(weir_balance_pick *pick, const weir_balance_peer *peer)
{
    if (!weir_str_copy(pick->subject.pool, peer->text, &pick->sticks_no_more)) {
        pick->sticks_no_more = WEIR_STR("-");
    }
}

void balance_sticky_moved(weir_balance_pick *pick)
{
    const struct balance_sticky *sticky = pick->group->sticky;
    weir_str session;

    weir_log_line(pick->subject.log, WEIR_LOG_INFO, 0,
                  "a sticky session moves from upstream server %.*s to %.*s",
                  WEIR_STR_ARG(pick->sticks_no_more), WEIR_STR_ARG(pick->peer->text));
    pick->sticks_no_more = WEIR_STR_EMPTY;
    if (sticky->kind == STICKY_LEARN) {
        session = value_of(&sticky->lookup, pick->subject.script);
        if (session.len != 0) {
            session_put(pick, session);
        }
    }
}

void weir_balance_learn(const weir_balance_pick *pick, bool is_at_end)
{
    const struct balance_sticky *sticky = pick->group->sticky;
    weir_str session;

    if (sticky == NULL || sticky->kind != STICKY_LEARN || pick->peer == NULL
        || sticky->learns_at_head == is_at_end) {
        return;
    }
    session = value_of(&sticky->create, pick->subject.script);
    if (session.len != 0) {
        session_put(pick, session);
    }
}

/* "; expires=Thu, 31-Dec-37 …; max-age=…" */
static void write_expires(weir_builder *text, const struct balance_sticky *sticky)
{
    char date[30];

    if (!sticky->has_expires) {
        return;
    }
    if (sticky->expires_at_the_end_of_time) {
        weir_builder_add(text, WEIR_STR("; expires=Thu, 31 Dec 2037 23:55:55 GMT"
                                        "; max-age=315360000"));
        return;
    }
    weir_clock_format_http(weir_clock_now()->wall_s + (int64_t) sticky->expires_s, date);
    weir_builder_add(text, WEIR_STR("; expires="));
    weir_builder_add(text, weir_str_of(date, sizeof(date) - 1));
    weir_builder_add(text, WEIR_STR("; max-age="));
    weir_builder_add_uint(text, sticky->expires_s);
}

/* No control bytes, and no ";". */
static bool attribute_is_good(weir_str value)
{
    for (size_t i = 0; i < value.len; i++) {
        if ((unsigned char) value.data[i] < 0x20 || value.data[i] == 0x7f || value.data[i] == ';') {
            return false;
        }
    }
    return true;
}

/* "; domain=…" of variables; without a value that can be one, the cookie is that of the host alone. */
static bool write_domain(weir_builder *text, const struct balance_sticky *sticky,
                         weir_script *script)
{
    weir_str value;

    if (sticky->domain == NULL) {
        return true;
    }
    if (!weir_template_text(sticky->domain, script, &value)) {
        return false;
    }
    if (value.len != 0 && attribute_is_good(value)) {
        weir_builder_add(text, WEIR_STR("; domain="));
        weir_builder_add(text, value);
    }
    return true;
}

/* "; samesite=…" of a variable; what is none of its words is left out. */
static bool write_samesite(weir_builder *text, const struct balance_sticky *sticky,
                           weir_script *script)
{
    static const weir_str words[] = {WEIR_STR_INIT("strict"), WEIR_STR_INIT("lax"),
                                     WEIR_STR_INIT("none")};
    weir_str value;

    if (sticky->samesite == NULL) {
        return true;
    }
    if (!weir_template_text(sticky->samesite, script, &value)) {
        return false;
    }
    for (size_t i = 0; i < WEIR_COUNT(words); i++) {
        if (weir_str_eq_nocase(value, words[i])) {
            weir_builder_add(text, WEIR_STR("; samesite="));
            weir_builder_add(text, words[i]);
        }
    }
    return true;
}

bool weir_balance_cookie(const weir_balance_pick *pick, weir_str *cookie)
{
    const struct balance_sticky *sticky = pick->group->sticky;
    weir_builder text;
    weir_str value;

    *cookie = WEIR_STR_EMPTY;
    if (sticky == NULL || sticky->kind != STICKY_COOKIE || pick->peer == NULL
        || pick->sticks_to == pick->peer->column) {
        return true;
    }
    if (!cookie_value(pick->group, pick->peer, pick->subject.pool, &value)) {
        return false;
    }
    weir_builder_open(&text, pick->subject.pool, SIZE_MAX);
    weir_builder_add(&text, sticky->name);
    weir_builder_add_byte(&text, '=');
    weir_builder_add(&text, value);
    write_expires(&text, sticky);
    weir_builder_add(&text, sticky->attributes);
    return write_domain(&text, sticky, pick->subject.script)
           && write_samesite(&text, sticky, pick->subject.script)
           && weir_builder_close(&text, cookie);
}

/* ---- sticky cookie NAME …, sticky route …, sticky learn … */

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
    if (!attribute_is_good(value)) {
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
