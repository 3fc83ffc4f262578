#include "modules/api/api_internal.h"

#include "core/base/json.h"
#include "core/process/resolver_conf.h"
#include "core/process/worker.h"

/* Resolvers: what `resolver … status_zone=` has counted. */

static void write_counts(weir_builder *body, const _Atomic uint64_t *counts,
                         const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        weir_builder_printf(body, "%c\"%s\":%llu", i == 0 ? '{' : ',', names[i],
                            (unsigned long long) atomic_load(&counts[i]));
    }
    weir_builder_add_byte(body, '}');
}

static void write_zone(weir_builder *body, const weir_resolver_zone *zone, const weir_str *fields)
{
    static const char *const requests[] = {"name", "srv", "addr"};
    static const char *const responses[WEIR_RESOLVER_ANSWERS] = {
        "noerror", "formerr", "servfail", "nxdomain", "notimp", "refused", "timedout", "unknown"};
    const char *separator = "";

    weir_builder_add_byte(body, '{');
    if (api_member_begin(body, fields, "requests", &separator)) {
        weir_builder_add(body, WEIR_STR("\"requests\":"));
        write_counts(body, zone->counts->requests, requests, WEIR_COUNT(requests));
    }
    if (api_member_begin(body, fields, "responses", &separator)) {
        weir_builder_add(body, WEIR_STR("\"responses\":"));
        write_counts(body, zone->counts->answers, responses, WEIR_COUNT(responses));
    }
    weir_builder_add_byte(body, '}');
}

/* An object of all; where no fields are wanted, a list of their names. */
static weir_api_step show_zones(weir_api_call *call)
{
    bool only_names = call->fields != NULL && call->fields->len == 0;
    const weir_resolver_zone *zone;
    size_t position = 0;
    weir_builder body;
    const char *separator = "";

    weir_builder_open(&body, call->pool, SIZE_MAX);
    weir_builder_add_byte(&body, only_names ? '[' : '{');
    while ((zone = weir_resolver_zone_next(weir_worker_current()->cycle, &position)) != NULL) {
        weir_builder_add(&body, weir_str_from_z(separator));
        separator = ",";
        weir_json_write_string(&body, zone->name);
        if (!only_names) {
            weir_builder_add_byte(&body, ':');
            write_zone(&body, zone, call->fields);
        }
    }
    weir_builder_add(&body, only_names ? WEIR_STR("]\n") : WEIR_STR("}\n"));
    return api_answer(call, 200, &body);
}

static void zone_reset(const weir_resolver_zone *zone)
{
    for (size_t i = 0; i < WEIR_COUNT(zone->counts->requests); i++) {
        atomic_store(&zone->counts->requests[i], 0);
    }
    for (size_t i = 0; i < WEIR_RESOLVER_ANSWERS; i++) {
        atomic_store(&zone->counts->answers[i], 0);
    }
}

weir_api_step api_resolvers_route(weir_api_call *call, weir_str rest)
{
    const weir_resolver_zone *zone;
    weir_str name = WEIR_STR_EMPTY;
    weir_builder body;

    if (!weir_str_split(&rest, '/', &name) || name.len == 0) {
        return call->verb == WEIR_API_VERB_GET ? show_zones(call)
                                               : api_refuse_verb(call, "GET, HEAD");
    }
    zone = weir_resolver_zone_find(weir_worker_current()->cycle, name);
    if (zone == NULL || rest.len != 0) {
        return weir_api_call_refuse(call, 404, "ResolverZoneNotFound",
                                    WEIR_STR("resolver zone not found"));
    }
    if (call->verb == WEIR_API_VERB_GET) {
        weir_builder_open(&body, call->pool, SIZE_MAX);
        write_zone(&body, zone, call->fields);
        weir_builder_add_byte(&body, '\n');
        return api_answer(call, 200, &body);
    }
    if (call->verb != WEIR_API_VERB_DELETE || !call->may_write) {
        return api_refuse_verb(call, "GET, HEAD, DELETE");
    }
    zone_reset(zone);
    return api_answer_empty(call);
}
