#include "core/process/resolver_conf.h"

#include "core/base/map.h"
#include "core/process/zone.h"

/* `resolver … status_zone=`: what is counted lies in shared memory of that name. */

#define LAYOUT "resolver counts 1"
#define OBJECT "resolver zones" /* of a cycle: weir_resolver_zone by name */

static bool zone_opened(weir_zone *opened, bool is_new, void *subject)
{
    weir_resolver_zone *zone = subject;

    (void) is_new;
    zone->counts = weir_zone_memory(opened);
    return true;
}

/* Apart from other zones, which may have the same name. */
static weir_resolver_zone *zone_make(weir_conf *conf, weir_map *zones, weir_str name)
{
    weir_pool *pool = weir_conf_pool(conf);
    weir_resolver_zone *zone = WEIR_NEW(pool, weir_resolver_zone);
    weir_builder builder;
    weir_str shared;

    weir_builder_open(&builder, pool, SIZE_MAX);
    weir_builder_printf(&builder, "resolver %.*s", WEIR_STR_ARG(name));
    if (!weir_builder_close(&builder, &shared) || zone == NULL
        || !weir_str_copy(pool, name, &zone->name) || !weir_map_put(zones, zone->name, zone)) {
        (void) weir_conf_refuse(conf, "no memory for \"status_zone\"");
        return NULL;
    }
    return weir_zone_new(conf, shared, sizeof(weir_resolver_counts), LAYOUT, zone_opened, zone)
                   == NULL
               ? NULL
               : zone;
}

static const weir_resolver_zone *zone_of(weir_conf *conf, weir_str name)
{
    weir_cycle *cycle = weir_conf_cycle(conf);
    weir_map *zones = weir_cycle_object(cycle, OBJECT);
    weir_resolver_zone *zone;

    if (zones == NULL) {
        zones = weir_map_new(weir_conf_pool(conf), false, 4);
        if (zones == NULL || !weir_cycle_set_object(cycle, OBJECT, zones)) {
            (void) weir_conf_refuse(conf, "no memory for \"status_zone\"");
            return NULL;
        }
    }
    zone = weir_map_find(zones, name);
    return zone != NULL ? zone : zone_make(conf, zones, name);
}

const weir_resolver_settings *weir_resolver_conf_read(weir_conf *conf,
                                                      const weir_statement *statement)
{
    weir_resolver_settings *settings = weir_resolver_settings_read(conf, statement);

    if (settings == NULL || settings->zone_name.len == 0) {
        return settings;
    }
    settings->zone = zone_of(conf, settings->zone_name);
    return settings->zone == NULL ? NULL : settings;
}

const weir_resolver_zone *weir_resolver_zone_next(const weir_cycle *cycle, size_t *position)
{
    const weir_map *zones = weir_cycle_object(cycle, OBJECT);
    weir_str name;
    void *zone;

    return zones != NULL && weir_map_next(zones, position, &name, &zone) ? zone : NULL;
}

const weir_resolver_zone *weir_resolver_zone_find(const weir_cycle *cycle, weir_str name)
{
    const weir_map *zones = weir_cycle_object(cycle, OBJECT);

    return zones == NULL ? NULL : weir_map_find(zones, name);
}
