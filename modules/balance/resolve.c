#include "modules/balance/balance_internal.h"

#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/number.h"
#include "core/net/dns_message.h"
#include "core/process/resolver_conf.h"
#include "core/process/worker.h"

/*
 * `server NAME resolve` and `service=`: the keeper looks names up again when their answers expire, and changes the peers in
 * place.  Peers whose addresses stay are not touched.
 */

#define SYNC_MS 250   /* how soon names that come and go are noticed */
#define AGAIN_MS 1000 /* after a failure, and after answers that hold for less */
#define AGAIN_MAX_MS (3600 * 1000)

typedef struct balance_lookups lookups;

/* A name under watch. */
typedef struct {
    weir_list link;
    weir_pool *pool;
    weir_balance_group *group;
    weir_worker *keeper;
    uint64_t key, id; /* of the name; one that was taken away and comes again has another number */
    uint64_t round;
    weir_str host; /* that is asked for */
    uint16_t port; /* 0: as the service says */
    bool is_backup;
    weir_resolver_query query;
    weir_timer timer;
    bool is_failing;
    bool is_beginning; /* what it has first was there before weir: nothing of that is new */
    unsigned left_out; /* addresses that there was no room for, the last time */
} lookup;

struct balance_lookups {
    balance_registry *registry;
    weir_worker *keeper;
    weir_timer timer;
    weir_list names;
    uint64_t round;
    weir_list *next; /* of the names: where the round has got to */
    size_t unseen;   /* so many it has not come to yet */
};

/* ---- publishing what was found */

/* An address that was found, with its port. */
typedef struct {
    weir_addr addr;
    const weir_resolved *found;
    bool is_settled; /* a peer has it already, or an earlier place */
} place;

typedef struct {
    const weir_resolved *found;
    size_t count;
    size_t addresses; /* of these: others stand for a target that no server would tell of */
    unsigned unheard; /* WEIR_RESOLVER_IPV… */
    place *places;    /* as they were found */
    size_t place_count;
    place **sorted; /* each address once, in their order */
    size_t sorted_count;
    unsigned added, removed, changed, left_out;
} news;

/* Of equal addresses the one that was found first comes first. */
static int place_compare(const void *a, const void *b)
{
    const place *left = *(place *const *) a;
    const place *right = *(place *const *) b;
    int order = weir_addr_compare(&left->addr, &right->addr);

    return order != 0 ? order : left < right ? -1 : left > right;
}

static int place_seek(const void *addr, const void *at)
{
    return weir_addr_compare(addr, &(*(place *const *) at)->addr);
}

/* NULL: it was not found. */
static place *place_find(const news *publishing, const weir_addr *addr)
{
    place **at = bsearch(addr, publishing->sorted, publishing->sorted_count,
                         sizeof(*publishing->sorted), place_seek);

    return at == NULL ? NULL : *at;
}

/* Two targets of a service may have one address: the first one counts. */
static void places_sort(news *publishing)
{
    for (size_t i = 0; i < publishing->place_count; i++) {
        publishing->sorted[i] = &publishing->places[i];
    }
    qsort(publishing->sorted, publishing->place_count, sizeof(*publishing->sorted), place_compare);
    for (size_t i = 0; i < publishing->place_count; i++) {
        place *at = publishing->sorted[i];
        size_t kept = publishing->sorted_count;

        if (kept != 0 && weir_addr_eq(&publishing->sorted[kept - 1]->addr, &at->addr)) {
            at->is_settled = true;
        } else {
            publishing->sorted[publishing->sorted_count++] = at;
        }
    }
}

/* False: no memory. */
static bool news_open(const lookup *self, news *publishing)
{
    publishing->places = calloc(publishing->count + 1, sizeof(*publishing->places));
    publishing->sorted = calloc(publishing->count + 1, sizeof(*publishing->sorted));
    if (publishing->places == NULL || publishing->sorted == NULL) {
        return false;
    }
    for (size_t i = 0; i < publishing->count; i++) {
        const weir_resolved *found = &publishing->found[i];
        place *at = &publishing->places[publishing->place_count];

        publishing->addresses += found->addr.len != 0;
        *at = (place){.addr = found->addr, .found = found};
        if (self->port != 0) {
            weir_addr_set_port(&at->addr, self->port);
        }
        publishing->place_count += weir_addr_port(&at->addr) != 0;
    }
    places_sort(publishing);
    return true;
}

static void news_close(news *publishing)
{
    free(publishing->places);
    free(publishing->sorted);
}

/* That it was not found says nothing: no server would say which of this kind the name, or that target, has. */
static bool is_unheard(const news *publishing, const balance_resolved *resolved)
{
    unsigned family =
        resolved->addr.sa.sa_family == AF_INET6 ? WEIR_RESOLVER_IPV6 : WEIR_RESOLVER_IPV4;
    unsigned unheard = publishing->unheard;

    for (size_t i = 0; i < publishing->count; i++) {
        const weir_resolved *found = &publishing->found[i];

        if (found->target == resolved->target && found->port == weir_addr_port(&resolved->addr)) {
            unheard |= found->unheard;
        }
    }
    return (unheard & family) != 0;
}

/* Of a service: who is not of the first priority stands in for the first. */
static balance_resolved resolved_of(const lookup *self, const news *publishing, const place *at)
{
    const weir_resolved *found = at->found;

    return (balance_resolved){
        .addr = at->addr,
        .weight = self->port != 0      ? 0
                  : found->weight == 0 ? 1
                                       : found->weight,
        .is_backup =
            self->is_backup
            || (publishing->count != 0 && found->priority != publishing->found[0].priority),
        .target = found->target,
    };
}

static void resolved_change(balance_record *record, news *publishing,
                            const balance_resolved *resolved)
{
    uint32_t weight = resolved->weight;
    bool is_backup = resolved->is_backup;
    bool is_changed = atomic_exchange(&record->resolved.weight, weight) != weight;

    is_changed |= atomic_exchange(&record->resolved.is_backup, is_backup) != is_backup;
    publishing->changed += is_changed;
    record->resolved.target = resolved->target;
}

/* Those that are there already, and those that are no more. */
static void publish_old(lookup *self, news *publishing)
{
    balance_zone *zone = self->group->zone;

    for (size_t n = 0; n < zone->count; n++) {
        balance_record *record = &zone->records[n];
        place *at;

        if (atomic_load_explicit(&record->parent, memory_order_relaxed) != self->key) {
            continue;
        }
        self->is_beginning = false;
        at = place_find(publishing, &record->resolved.addr);
        if (at != NULL && !at->is_settled) {
            const balance_resolved resolved = resolved_of(self, publishing, at);

            at->is_settled = true;
            resolved_change(record, publishing, &resolved);
        } else if (!is_unheard(publishing, &record->resolved)) {
            balance_record_give_up(record);
            publishing->removed++;
        }
    }
}

/* They were not there until now: for slow_start. */
static void publish_new(const lookup *self, news *publishing)
{
    uint64_t now_ms = weir_clock_now()->monotonic_ms;

    for (size_t i = 0; i < publishing->place_count; i++) {
        const place *at = &publishing->places[i];
        char text[WEIR_ADDR_TEXT_MAX];
        balance_resolved resolved;
        balance_record *record;

        if (at->is_settled) {
            continue;
        }
        resolved = resolved_of(self, publishing, at);
        record = balance_record_resolve(self->group, self->key,
                                        weir_addr_text(&at->addr, true, text), &resolved);
        if (record == NULL) {
            publishing->left_out++;
            continue;
        }
        if (!self->is_beginning) {
            atomic_store(&record->state.risen_ms, now_ms);
        }
        publishing->added++;
    }
}

static void tell(lookup *self, const news *publishing)
{
    const weir_balance_group *group = self->group;

    if (publishing->added + publishing->removed != 0) {
        weir_log_line(&self->keeper->log, WEIR_LOG_NOTICE, 0,
                      "upstream \"%.*s\": %.*s has %zu addresses, %u of them new, and %u no more",
                      WEIR_STR_ARG(group->name), WEIR_STR_ARG(self->host), publishing->addresses,
                      publishing->added, publishing->removed);
    }
    if (publishing->left_out != self->left_out && publishing->left_out != 0) {
        weir_log_line(&self->keeper->log, WEIR_LOG_ERR, 0,
                      "zone \"%.*s\" has no room for %u of the %zu addresses that %.*s has in "
                      "upstream \"%.*s\"",
                      WEIR_STR_ARG(group->zone->name), publishing->left_out, publishing->addresses,
                      WEIR_STR_ARG(self->host), WEIR_STR_ARG(group->name));
    }
    self->left_out = publishing->left_out;
}

static void publish(lookup *self, const weir_resolved *found, size_t count, unsigned unheard)
{
    news publishing = {.found = found, .count = count, .unheard = unheard};

    if (!news_open(self, &publishing)) {
        news_close(&publishing);
        return;
    }
    publish_old(self, &publishing);
    publish_new(self, &publishing);
    self->is_beginning = false;
    news_close(&publishing);
    if (publishing.added + publishing.removed + publishing.changed != 0) {
        atomic_fetch_add(&self->group->words->members, 1);
    }
    tell(self, &publishing);
}

/* ---- asking */

static void asked(lookup *self)
{
    const weir_resolver_query *query = &self->query;
    uint64_t again_ms = AGAIN_MS;

    if (query->error == 0) {
        self->is_failing = false;
        publish(self, query->found, query->count, query->unheard);
        again_ms = query->ttl_ms < AGAIN_MS ? AGAIN_MS : query->ttl_ms;
        again_ms = again_ms > AGAIN_MAX_MS ? AGAIN_MAX_MS : again_ms;
    } else {
        weir_log_line(&self->keeper->log, self->is_failing ? WEIR_LOG_INFO : WEIR_LOG_WARN, 0,
                      "upstream \"%.*s\": %.*s could not be resolved (%u: %s)",
                      WEIR_STR_ARG(self->group->name), WEIR_STR_ARG(self->host), query->error,
                      weir_resolver_error_text(query->error));
        self->is_failing = true;
        /* The one error that says there are no addresses. */
        if (query->error == WEIR_DNS_NO_SUCH_NAME) {
            publish(self, NULL, 0, 0);
        }
    }
    (void) weir_timer_set(self->keeper->loop, &self->timer, again_ms);
}

static void answered(weir_resolver_query *query)
{
    asked(WEIR_OWNER(query, lookup, query));
}

static void lookup_due(weir_timer *timer)
{
    lookup *self = WEIR_OWNER(timer, lookup, timer);
    const weir_balance_group *group = self->group;
    weir_resolver *resolver = weir_resolver_of(self->keeper->loop, group->resolver);

    self->query.done = answered;
    if (resolver == NULL) {
        (void) weir_timer_set(self->keeper->loop, timer, AGAIN_MS);
        return;
    }
    switch (weir_resolver_resolve(resolver, &self->query, self->host,
                                  self->port == 0 ? WEIR_RESOLVER_SERVICE : WEIR_RESOLVER_ADDRESSES,
                                  group->resolver_timeout_ms)) {
    case WEIR_WAIT:
        break;
    case WEIR_OK:
    case WEIR_FAIL:
        asked(self);
        break;
    }
}

/* ---- which names there are */

/* Without dots in the service: "_http._tcp.example.com"; else joined as it is. */
static bool host_make(lookup *self, const balance_server *server)
{
    weir_builder text;

    if (server->service.len == 0) {
        weir_str host;

        return weir_addr_split(server->name, self->group->family->default_port, &host, &self->port)
               && weir_str_copy(self->pool, host, &self->host);
    }
    weir_builder_open(&text, self->pool, SIZE_MAX);
    if (weir_str_find_byte(server->service, '.') == NULL) {
        weir_builder_printf(&text, "_%.*s._tcp", WEIR_STR_ARG(server->service));
    } else {
        weir_builder_add(&text, server->service);
    }
    weir_builder_add_byte(&text, '.');
    weir_builder_add(&text, server->name);
    return weir_builder_close(&text, &self->host);
}

static void lookup_free(lookup *self)
{
    weir_list_remove(&self->link);
    weir_timer_clear(self->keeper->loop, &self->timer);
    weir_resolver_cancel(&self->query);
    weir_pool_free(self->pool);
}

static void lookup_begin(lookups *all, weir_balance_group *group, const balance_name *name)
{
    weir_pool *pool;
    lookup *self = WEIR_NEW_WITH_POOL(lookup, 1024, &pool);

    if (self == NULL) {
        return;
    }
    self->pool = pool;
    self->group = group;
    self->keeper = all->keeper;
    self->key = name->key;
    self->id = name->id;
    self->round = all->round;
    self->is_backup = name->server.is_backup;
    self->is_beginning = name->server.digest != 0; /* else it was added */
    self->timer.name = "upstream names";
    self->timer.expired = lookup_due;
    weir_list_init(&self->link);
    if (!host_make(self, &name->server) || !weir_timer_set(all->keeper->loop, &self->timer, 0)) {
        weir_pool_free(pool);
        return;
    }
    weir_list_append(all->next, &self->link); /* before that, as it came before */
}

/* Of those that the round has not come to; they stand in the order in which they come, but for what changes. */
static bool lookup_see(lookups *all, const weir_balance_group *group, const balance_name *name)
{
    weir_list *link = all->next;

    for (size_t left = all->unseen; left != 0; link = link->next) {
        lookup *self;

        if (link == &all->names) {
            continue;
        }
        self = WEIR_OWNER(link, lookup, link);
        if (self->round == all->round) {
            continue;
        }
        if (self->key == name->key && self->id == name->id && self->group == group) {
            self->round = all->round;
            all->next = link->next;
            all->unseen--;
            return true;
        }
        left--;
    }
    return false;
}

static void sync(lookups *all)
{
    all->round++;
    all->next = all->names.next;
    for (WEIR_ARRAY_EACH(&all->registry->groups, weir_balance_group *, item)) {
        weir_balance_group *group = *item;
        const balance_view *view =
            group->words == NULL ? NULL : balance_view_now(group, weir_clock_now()->monotonic_ms);

        for (size_t i = 0; view != NULL && i < view->name_count; i++) {
            if (!lookup_see(all, group, &view->names[i])) {
                lookup_begin(all, group, &view->names[i]);
            }
        }
    }
    all->unseen = 0;
    for (weir_list *link = all->names.next, *next; link != &all->names; link = next) {
        lookup *self = WEIR_OWNER(link, lookup, link);

        next = link->next;
        if (self->round == all->round) {
            all->unseen++; /* by the next round */
        } else {
            /* The server is no more, and its addresses with it. */
            publish(self, NULL, 0, 0);
            lookup_free(self);
        }
    }
}

static void sync_due(weir_timer *timer)
{
    lookups *all = WEIR_OWNER(timer, lookups, timer);

    sync(all);
    (void) weir_timer_set(all->keeper->loop, timer, SYNC_MS);
}

/* Whether there are names, or may be some later. */
static bool has_names(const balance_registry *registry)
{
    for (WEIR_ARRAY_EACH(&registry->groups, weir_balance_group *, group)) {
        for (size_t i = 0; i < (*group)->seat_count; i++) {
            if ((*group)->seats[i].server->is_resolved) {
                return true;
            }
        }
    }
    return registry->control != NULL;
}

/* What a keeper that was killed had changed, and not told the workers, is found as it should be: nobody else would tell them. */
static void members_tell(const balance_registry *registry)
{
    for (WEIR_ARRAY_EACH(&registry->groups, weir_balance_group *, group)) {
        if ((*group)->words != NULL) {
            atomic_fetch_add(&(*group)->words->members, 1);
        }
    }
}

static bool lookups_start(weir_worker *keeper, weir_chore *chore)
{
    balance_registry *registry = chore->subject;
    lookups *all;

    members_tell(registry);
    if (!has_names(registry)) {
        return true;
    }
    all = calloc(1, sizeof(*all));
    if (all == NULL) {
        return false;
    }
    all->registry = registry;
    all->keeper = keeper;
    all->timer.name = "upstream names";
    all->timer.expired = sync_due;
    weir_list_init(&all->names);
    if (!weir_timer_set(keeper->loop, &all->timer, 0)) {
        free(all);
        return false;
    }
    registry->lookups = all;
    return true;
}

static void lookups_stop(weir_worker *keeper, weir_chore *chore)
{
    balance_registry *registry = chore->subject;
    lookups *all = registry->lookups;

    if (all == NULL) {
        return;
    }
    weir_timer_clear(keeper->loop, &all->timer);
    while (!weir_list_is_empty(&all->names)) {
        lookup_free(WEIR_OWNER(all->names.next, lookup, link));
    }
    free(all);
    registry->lookups = NULL;
}

bool balance_lookups_register(weir_conf *conf, balance_registry *registry)
{
    weir_chore *chore = WEIR_NEW(weir_conf_pool(conf), weir_chore);

    if (chore == NULL) {
        return weir_conf_refuse(conf, "no memory for upstreams");
    }
    *chore = (weir_chore){.name = "upstream names",
                          .start = lookups_start,
                          .stop = lookups_stop,
                          .subject = registry};
    return weir_chore_register(weir_conf_cycle(conf), chore)
           || weir_conf_refuse(conf, "no memory for upstreams");
}

/* ---- resolver …, resolver_timeout TIME */

bool weir_balance_resolver_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_balance_group *group = weir_conf_level(conf)->owner;

    (void) settings;
    group->resolver = weir_resolver_conf_read(conf, statement);
    return group->resolver != NULL;
}

bool weir_balance_resolver_timeout_call(weir_conf *conf, void *settings,
                                        const weir_statement *statement)
{
    weir_balance_group *group = weir_conf_level(conf)->owner;

    (void) settings;
    return (weir_parse_time_ms(statement->args[1], INT32_MAX, &group->resolver_timeout_ms)
            && group->resolver_timeout_ms != 0)
           || weir_conf_refuse_arg(conf, statement, 1, "invalid value \"%.*s\"",
                                   WEIR_STR_ARG(statement->args[1]));
}

void weir_balance_resolver_default(weir_balance_group *group,
                                   const weir_resolver_settings *settings, uint64_t timeout_ms)
{
    if (group->resolver == NULL) {
        group->resolver = settings;
    }
    if (group->resolver_timeout_ms == 0) {
        group->resolver_timeout_ms = timeout_ms;
    }
}
