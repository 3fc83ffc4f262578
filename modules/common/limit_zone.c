#include "modules/common/limit_zone.h"

#include <unistd.h>

#include "core/base/number.h"
#include "core/process/cycle.h"
#include "core/process/zone.h"

#define ZONE_PAGES_MIN 8
#define RATE_MAX 1000000000

/* Of one kind. */
typedef struct {
    weir_array zones; /* weir_limit_zone * */
} limit_zones;

const weir_choice weir_limit_log_levels[] = {
    {"info", WEIR_LOG_INFO},
    {"notice", WEIR_LOG_NOTICE},
    {"warn", WEIR_LOG_WARN},
    {"error", WEIR_LOG_ERR},
    {NULL, 0},
};

weir_str weir_limit_status_name(weir_limit_status status)
{
    static const weir_str names[] = {
        [WEIR_LIMIT_UNASKED] = WEIR_STR_INIT(""),
        [WEIR_LIMIT_PASSED] = WEIR_STR_INIT("PASSED"),
        [WEIR_LIMIT_DELAYED] = WEIR_STR_INIT("DELAYED"),
        [WEIR_LIMIT_REJECTED] = WEIR_STR_INIT("REJECTED"),
        [WEIR_LIMIT_DELAYED_DRY_RUN] = WEIR_STR_INIT("DELAYED_DRY_RUN"),
        [WEIR_LIMIT_REJECTED_DRY_RUN] = WEIR_STR_INIT("REJECTED_DRY_RUN"),
    };

    return names[status];
}

/* ---- the zones of a configuration */

static limit_zones *zones_of(weir_conf *conf, const weir_limit_kind *kind)
{
    limit_zones *zones = weir_conf_kept(conf, kind);

    if (zones == NULL) {
        zones = WEIR_NEW(weir_conf_pool(conf), limit_zones);
        if (zones == NULL || !weir_conf_keep(conf, kind, zones)) {
            weir_conf_refuse(conf, "no memory for \"%s\"", kind->directive);
            return NULL;
        }
        weir_array_init(&zones->zones, weir_conf_pool(conf), sizeof(weir_limit_zone *), 4);
    }
    return zones;
}

weir_limit_zone *weir_limit_zone_named(weir_conf *conf, const weir_limit_kind *kind, weir_str name)
{
    limit_zones *zones = zones_of(conf, kind);
    weir_limit_zone *zone, **place;

    if (zones == NULL) {
        return NULL;
    }
    for (WEIR_ARRAY_EACH(&zones->zones, weir_limit_zone *, known)) {
        if (weir_str_eq((*known)->name, name)) {
            return *known;
        }
    }
    zone = WEIR_NEW(weir_conf_pool(conf), weir_limit_zone);
    place = zone == NULL ? NULL : weir_array_push(&zones->zones);
    if (place == NULL) {
        weir_conf_refuse(conf, "no memory for \"%s\"", kind->directive);
        return NULL;
    }
    zone->name = name;
    zone->shape = kind->shape;
    zone->cycle = weir_conf_cycle(conf);
    *place = zone;
    return zone;
}

bool weir_limit_zones_check(weir_conf *conf, const weir_limit_kind *kind)
{
    const limit_zones *zones = weir_conf_kept(conf, kind);

    if (zones == NULL) {
        return true;
    }
    for (WEIR_ARRAY_EACH(&zones->zones, weir_limit_zone *const, zone)) {
        if ((*zone)->key == NULL) {
            return weir_conf_refuse(conf,
                                    "zero size shared memory zone \"%.*s\": no \"%s\" "
                                    "declares it",
                                    WEIR_STR_ARG((*zone)->name), kind->directive);
        }
    }
    return true;
}

/* ---- declaring */

typedef struct {
    weir_str name;
    uint64_t bytes; /* 0: none given */
    uint64_t rate;
} zone_words;

/* NAME:SIZE */
static bool read_zone(weir_conf *conf, const weir_statement *statement, size_t arg, weir_str text,
                      zone_words *words)
{
    weir_str rest = text;

    if (!weir_str_split(&rest, ':', &words->name) || words->name.len == 0
        || words->name.len == text.len || !weir_parse_size(rest, false, SIZE_MAX / 2, &words->bytes)
        || words->bytes == 0) {
        return weir_conf_refuse_arg(conf, statement, arg, "invalid zone size \"%.*s\"",
                                    WEIR_STR_ARG(statement->args[arg]));
    }
    if (words->bytes < ZONE_PAGES_MIN * (uint64_t) sysconf(_SC_PAGESIZE)) {
        return weir_conf_refuse_arg(conf, statement, arg, "zone \"%.*s\" is too small",
                                    WEIR_STR_ARG(statement->args[arg]));
    }
    return true;
}

/* 10r/s, 30r/m */
static bool read_rate(weir_conf *conf, const weir_statement *statement, size_t arg, weir_str text,
                      zone_words *words)
{
    uint64_t seconds = weir_str_ends(text, WEIR_STR("r/m")) ? 60 : 1;
    uint64_t requests;

    if (weir_str_ends(text, WEIR_STR("r/s")) || weir_str_ends(text, WEIR_STR("r/m"))) {
        text.len -= 3;
    }
    if (!weir_parse_uint(text, RATE_MAX, &requests) || requests == 0) {
        return weir_conf_refuse_arg(conf, statement, arg, "invalid rate \"%.*s\"",
                                    WEIR_STR_ARG(statement->args[arg]));
    }
    words->rate = requests * 1000 / seconds;
    return true;
}

static bool read_words(weir_conf *conf, const weir_limit_kind *kind,
                       const weir_statement *statement, zone_words *words)
{
    for (size_t i = 2; i < statement->count; i++) {
        weir_str value;
        bool is_read;

        if (weir_conf_parameter(statement->args[i], "zone=", &value)) {
            is_read = read_zone(conf, statement, i, value, words);
        } else if (kind->has_rate && weir_conf_parameter(statement->args[i], "rate=", &value)) {
            is_read = read_rate(conf, statement, i, value, words);
        } else {
            is_read = weir_conf_refuse_arg(conf, statement, i, "invalid parameter \"%.*s\"",
                                           WEIR_STR_ARG(statement->args[i]));
        }
        if (!is_read) {
            return false;
        }
    }
    return words->bytes != 0
           || weir_conf_refuse(conf, "\"%s\" must have \"zone\" parameter", kind->directive);
}

static bool zone_opened(struct weir_zone *opened, bool is_new, void *subject)
{
    weir_limit_zone *zone = subject;

    zone->table =
        weir_table_open(zone->cycle->pool, weir_zone_memory(opened), weir_zone_bytes(opened),
                        zone->shape, is_new, zone->name, &zone->cycle->log);
    return zone->table != NULL;
}

/* Counts under one key mean nothing under another. */
static const char *layout_of(weir_pool *pool, const weir_limit_kind *kind, weir_str key)
{
    weir_builder builder;
    weir_str text;

    weir_builder_open(&builder, pool, 64);
    weir_builder_printf(&builder, "%s %s 1, key ", kind->family, kind->directive);
    weir_builder_add_hex(&builder, weir_str_hash(key));
    return weir_builder_close(&builder, &text) ? weir_str_z(pool, text) : NULL;
}

weir_limit_zone *weir_limit_zone_declare(weir_conf *conf, const weir_limit_kind *kind,
                                         const weir_statement *statement)
{
    zone_words words = {.rate = 1000};
    weir_limit_zone *zone;
    const char *layout;

    if (!read_words(conf, kind, statement, &words)) {
        return NULL;
    }
    zone = weir_limit_zone_named(conf, kind, words.name);
    if (zone == NULL) {
        return NULL;
    }
    if (zone->key != NULL) {
        weir_conf_refuse(conf, "%s \"%.*s\" is already bound to key \"%.*s\"", kind->directive,
                         WEIR_STR_ARG(zone->name), WEIR_STR_ARG(zone->key_text));
        return NULL;
    }
    zone->rate = words.rate;
    zone->key_text = statement->args[1];
    zone->key = weir_template_new(conf, weir_space_of(conf, kind->family), zone->key_text);
    layout = layout_of(weir_conf_pool(conf), kind, zone->key_text);
    if (zone->key == NULL || layout == NULL
        || weir_zone_new(conf, zone->name, words.bytes, layout, zone_opened, zone) == NULL) {
        return NULL;
    }
    return zone;
}

/* ---- at run time */

bool weir_limit_zone_key(const weir_limit_zone *zone, weir_script *script, size_t max,
                         weir_str *key)
{
    if (!weir_template_text(zone->key, script, key)) {
        return false;
    }
    if (key->len > max) {
        weir_log_line(script->log, WEIR_LOG_ERR, 0,
                      "the value of the \"%.*s\" key is more than %zu bytes: \"%.*s\"",
                      WEIR_STR_ARG(zone->key_text), max, WEIR_STR_ARG(*key));
        *key = WEIR_STR_EMPTY;
    }
    return true;
}
