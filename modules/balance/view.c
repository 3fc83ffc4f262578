#include "modules/balance/balance_internal.h"

#include <stdlib.h>


/*
 * What a worker sees of a group: peers as the configuration has them and as they were changed at run time, in order, with
 * what the method makes of them.  Made anew when the group's words in shared memory say that something has changed; a
 * pick keeps the one that its peer is of.
 */

#define VIEW_CHUNK 4096
/* Peers that fall and rise make work for all workers: no more often than this. */
#define VIEW_REST_MS 10
#define SLOW_START_STEPS 50
#define SLOW_START_SCALE 100

/* ---- what a server is now */

/*
 * Texts of a record.  The keeper may be writing them; what is torn is no longer than its room, and is read again at the
 * next pick, as the keeper counts `members` up after it has written.
 */
static void texts_read(const balance_record *record, balance_server *server)
{
    size_t name_len = record->name_len;
    size_t route_len = record->route_len;
    size_t service_len = record->service_len;

    if (name_len + route_len + service_len > WEIR_BALANCE_TEXTS_MAX) {
        name_len = route_len = service_len = 0;
    }
    server->name = weir_str_of(record->text, name_len);
    server->route = weir_str_of(record->text + name_len, route_len);
    server->service = weir_str_of(record->text + name_len + route_len, service_len);
}

static void settings_apply(const balance_settings *settings, balance_server *server)
{
    uint64_t flags = atomic_load(&settings->flags);

    server->weight = (uint32_t) atomic_load(&settings->weight);
    server->max_conns = (uint32_t) atomic_load(&settings->max_conns);
    server->max_fails = (uint32_t) atomic_load(&settings->max_fails);
    server->fail_timeout_ms = atomic_load(&settings->fail_timeout_ms);
    server->slow_start_ms = atomic_load(&settings->slow_start_ms);
    server->is_backup = (flags & BALANCE_IS_BACKUP) != 0;
    server->is_down = (flags & BALANCE_IS_DOWN) != 0;
    server->is_draining = (flags & BALANCE_IS_DRAINING) != 0;
    server->is_resolved = (flags & BALANCE_IS_RESOLVED) != 0;
}

balance_server balance_seat_now(const balance_seat *seat, bool *is_there)
{
    balance_server server = *seat->server;

    *is_there = atomic_load(&seat->record->removed) != server.digest;
    if (atomic_load(&seat->record->patched) == server.digest) {
        settings_apply(&seat->record->settings, &server);
        if ((atomic_load(&seat->record->settings.flags) & BALANCE_HAS_ROUTE) != 0) {
            balance_server said;

            texts_read(seat->record, &said);
            server.route = said.route;
        }
    }
    return server;
}

/* Its texts are those of the record. */
balance_server balance_record_server(const balance_record *record)
{
    balance_server server = {0};

    settings_apply(&record->settings, &server);
    texts_read(record, &server);
    return server;
}

uint64_t balance_name_mark(const weir_balance_group *group, const balance_name *name)
{
    /* Lines of a state file are what was changed at run time; servers that were added have none. */
    return group->state_file.len != 0 || name->server.digest == 0 ? name->key : name->server.digest;
}

static void own_settings_apply(const balance_record *record, balance_server *server)
{
    balance_server own = {0};
    unsigned mask = (unsigned) (atomic_load(&record->settings.flags) >> BALANCE_OWN_SHIFT);
    size_t route_len = record->resolved.route_len;

    settings_apply(&record->settings, &own);
    own.route = weir_str_of(record->resolved.route,
                            route_len <= BALANCE_ROUTE_MAX ? route_len : 0); /* it may be torn */
    balance_server_merge(server, &own, mask);
}

balance_server balance_address_now(const weir_balance_group *group, const balance_record *record,
                                   const balance_name *name)
{
    balance_server server = name->server;
    uint32_t weight = atomic_load(&record->resolved.weight);

    if (atomic_load(&record->patched) == balance_name_mark(group, name)) {
        own_settings_apply(record, &server);
    }
    /* Whatever was sent back of it. */
    if (weight != 0) {
        server.weight = weight;
    }
    server.is_backup |= atomic_load(&record->resolved.is_backup);
    return server;
}

/* ---- making one */

typedef struct {
    const weir_balance_group *group;
    balance_view *view;
    weir_array tiers[BALANCE_TIERS]; /* weir_balance_peer */
    weir_array names;                /* balance_name */
    uint64_t now_ms;
} view_making;

/* `parent`: of the peer. */
static bool peer_add(view_making *making, const balance_server *server, const weir_addr *addr,
                     weir_str text, balance_record *record, uint64_t parent)
{
    const balance_zone *zone = making->group->zone;
    weir_balance_peer *peer =
        weir_array_push(&making->tiers[server->is_backup ? BALANCE_BACKUP : BALANCE_PRIMARY]);

    if (peer == NULL) {
        return false;
    }
    *peer = (weir_balance_peer){
        .addr = *addr,
        .text = text,
        .name = server->name,
        .route = server->route,
        .service = server->service,
        .parent = parent,
        .weight = server->weight,
        .max_conns = server->max_conns,
        .max_fails = server->max_fails,
        .fail_timeout_ms = server->fail_timeout_ms,
        .slow_start_ms = server->slow_start_ms,
        .is_backup = server->is_backup,
        .is_down = server->is_down || addr->len == 0,
        .is_draining = server->is_draining,
        .id = atomic_load(&record->id),
        .key = atomic_load(&record->key),
        .state = &record->state,
        .connections = &zone->connections,
        .column = (size_t) (record - zone->records),
    };
    if (zone->traffic != NULL) {
        peer->traffic = balance_traffic_own(zone->traffic, zone->count, peer->column);
    }
    return true;
}

static bool name_add(view_making *making, const balance_record *record,
                     const balance_server *server)
{
    balance_name *name = weir_array_push(&making->names);

    if (name == NULL) {
        return false;
    }
    *name = (balance_name){atomic_load(&record->key), atomic_load(&record->id), *server};
    return true;
}

static bool seats_add(view_making *making)
{
    const weir_balance_group *group = making->group;

    for (size_t i = 0; i < group->seat_count; i++) {
        const balance_seat *seat = &group->seats[i];
        bool is_there;
        balance_server server = balance_seat_now(seat, &is_there);

        if (!is_there) {
            continue;
        }
        if (!weir_str_copy(making->view->pool, server.route, &server.route)) {
            return false;
        }
        if (server.is_resolved
                ? !name_add(making, seat->record, &server)
                : !peer_add(making, &server, &seat->addr, seat->text, seat->record, UINT64_MAX)) {
            return false;
        }
    }
    return true;
}

/* Added at run time.  The record may be given up and taken for another while it is read. */
static bool added_add(view_making *making, balance_record *record)
{
    weir_pool *pool = making->view->pool;
    uint64_t key = atomic_load(&record->key);
    balance_server server;
    weir_addr addr = {0};

    if (atomic_load(&record->is_added) == 0) {
        return true;
    }
    server = balance_record_server(record);
    /* What was written to a state file since is the configuration's. */
    if (server.name.len == 0 || balance_seat_of(making->group, record) != NULL) {
        return true;
    }
    if (!weir_str_copy(pool, server.name, &server.name)
        || !weir_str_copy(pool, server.route, &server.route)
        || !weir_str_copy(pool, server.service, &server.service)) {
        return false;
    }
    if (atomic_load(&record->is_added) == 0 || atomic_load(&record->key) != key) {
        return true;
    }
    if (server.is_resolved) {
        return name_add(making, record, &server);
    }

    char text[WEIR_ADDR_TEXT_MAX];
    weir_str copy = server.name;

    if (weir_addr_parse(server.name, making->group->family->default_port, &addr)
        && !weir_str_copy(pool, weir_addr_text(&addr, true, text), &copy)) {
        return false;
    }
    return peer_add(making, &server, &addr, copy, record, UINT64_MAX);
}

static int name_compare(const void *a, const void *b)
{
    const balance_name *left = a;
    const balance_name *right = b;

    return left->key < right->key ? -1 : left->key > right->key;
}

/* Of sorted names.  NULL: it is not there. */
static const balance_name *name_find(const weir_array *names, uint64_t key)
{
    const balance_name wanted = {.key = key};

    return names->count == 0
               ? NULL
               : bsearch(&wanted, names->items, names->count, sizeof(wanted), name_compare);
}

/* An address of a name. */
static bool resolved_add(view_making *making, balance_record *record)
{
    weir_pool *pool = making->view->pool;
    uint64_t parent = atomic_load(&record->parent);
    const balance_name *name = parent == 0 ? NULL : name_find(&making->names, parent);
    char text[WEIR_ADDR_TEXT_MAX];
    weir_str copy;
    weir_addr addr;
    balance_server server;

    if (name == NULL) {
        return true;
    }
    addr = record->resolved.addr;
    server = balance_address_now(making->group, record, name);
    if (atomic_load(&record->parent) != parent || addr.len > sizeof(addr.un)) {
        return true;
    }
    return weir_str_copy(pool, weir_addr_text(&addr, true, text), &copy)
           && weir_str_copy(pool, server.route, &server.route)
           && peer_add(making, &server, &addr, copy, record, name->id);
}

static bool records_add(view_making *making,
                        bool (*add)(view_making *making, balance_record *record))
{
    const weir_balance_group *group = making->group;
    const balance_zone *zone = group->zone;

    for (size_t i = 0; i < zone->count; i++) {
        balance_record *record = &zone->records[i];

        if (atomic_load_explicit(&record->group, memory_order_relaxed) == group->key
            && !add(making, record)) {
            return false;
        }
    }
    return true;
}

/* Servers first, then the addresses of their names, which have one order in all views. */
static bool extras_add(view_making *making)
{
    bool has_extras = atomic_load(&making->group->words->extras) != 0;

    if (has_extras && !records_add(making, added_add)) {
        return false;
    }
    if (making->names.count > 1) {
        qsort(making->names.items, making->names.count, sizeof(balance_name), name_compare);
    }
    return !has_extras || records_add(making, resolved_add);
}

/* ---- who takes requests, for how long */

/* In hundredths of its weight: less while it is new after an absence. */
static uint64_t peer_share(const weir_balance_group *group, const weir_balance_peer *peer,
                           uint64_t now_ms, uint64_t *stale_ms)
{
    uint64_t risen = atomic_load(&peer->state->risen_ms);
    uint64_t whole = (uint64_t) peer->weight * SLOW_START_SCALE;

    /* The keeper's clock may be ahead of this turn's. */
    if (risen > now_ms) {
        risen = now_ms;
    }
    if (peer->slow_start_ms == 0 || risen == 0 || group->method->hashes
        || now_ms - risen >= peer->slow_start_ms) {
        return whole;
    }

    uint64_t step = peer->slow_start_ms / SLOW_START_STEPS;
    uint64_t share = whole * (now_ms - risen) / peer->slow_start_ms;

    step = step < VIEW_REST_MS ? VIEW_REST_MS : step;
    if (now_ms + step < *stale_ms) {
        *stale_ms = now_ms + step;
    }
    return share == 0 ? 1 : share;
}

static bool tier_settle(const weir_balance_group *group, balance_view *view, balance_tier *tier,
                        uint64_t now_ms)
{
    bool is_alone = view->count == 1;

    tier->live = WEIR_NEW_ARRAY(view->pool, uint32_t, tier->count + 1);
    if (tier->live == NULL) {
        return false;
    }
    for (size_t i = 0; i < tier->count; i++) {
        weir_balance_peer *peer = &tier->peers[i];
        uint64_t until_ms;

        peer->share = peer_share(group, peer, now_ms, &view->stale_ms);
        view->down_count += peer->is_down;
        if (peer->is_down || peer->is_draining
            || atomic_load(&peer->state->health) != BALANCE_HEALTHY) {
            continue;
        }
        if (balance_is_failing(peer, is_alone, now_ms, &until_ms)) {
            view->stale_ms = until_ms < view->stale_ms ? until_ms : view->stale_ms;
            continue;
        }
        tier->live[tier->live_count++] = (uint32_t) i;
    }
    return group->method->prepare(group, view, tier);
}

static bool view_settle(view_making *making)
{
    balance_view *view = making->view;
    size_t count = making->tiers[BALANCE_PRIMARY].count + making->tiers[BALANCE_BACKUP].count;
    weir_balance_peer *peers = WEIR_NEW_ARRAY(view->pool, weir_balance_peer, count + 1);

    if (peers == NULL) {
        return false;
    }
    view->peers = peers;
    view->names = making->names.items;
    view->name_count = making->names.count;
    for (unsigned tier = 0; tier < BALANCE_TIERS; tier++) {
        view->tiers[tier].peers = &peers[view->count];
        view->tiers[tier].count = making->tiers[tier].count;
        for (WEIR_ARRAY_EACH(&making->tiers[tier], weir_balance_peer, peer)) {
            peers[view->count] = *peer;
            peers[view->count].index = view->count;
            view->count++;
        }
    }
    for (unsigned tier = 0; tier < BALANCE_TIERS; tier++) {
        if (!tier_settle(making->group, view, &view->tiers[tier], making->now_ms)) {
            return false;
        }
    }
    return balance_sticky_prepare(making->group, view);
}

static balance_view *view_new(void)
{
    weir_pool *pool;
    balance_view *view = WEIR_NEW_WITH_POOL(balance_view, VIEW_CHUNK, &pool);

    if (view == NULL) {
        return NULL;
    }
    view->pool = pool;
    view->references = 1;
    view->stale_ms = UINT64_MAX;
    return view;
}

static balance_view *view_make(const weir_balance_group *group, uint64_t now_ms)
{
    balance_view *view = view_new();
    view_making making = {.group = group, .view = view, .now_ms = now_ms};

    if (view == NULL) {
        return NULL;
    }
    /* Read first: what changes while it is made is seen the next time. */
    view->members = atomic_load(&group->words->members);
    view->weather = atomic_load(&group->words->weather);
    view->made_ms = now_ms;
    for (unsigned tier = 0; tier < BALANCE_TIERS; tier++) {
        weir_array_init(&making.tiers[tier], view->pool, sizeof(weir_balance_peer), 8);
    }
    weir_array_init(&making.names, view->pool, sizeof(balance_name), 4);
    if (!seats_add(&making) || !extras_add(&making) || !view_settle(&making)) {
        balance_view_unref(view);
        return NULL;
    }
    return view;
}

balance_view *balance_view_of_addrs(weir_pool *pool, weir_str name, const weir_addr *addrs,
                                    size_t count)
{
    static const weir_balance_group plain = {.method = &balance_round_robin};
    balance_view *view = WEIR_NEW(pool, balance_view);
    weir_balance_peer *peers = WEIR_NEW_ARRAY(pool, weir_balance_peer, count);
    weir_balance_state *states = WEIR_NEW_ARRAY(pool, weir_balance_state, count);
    char text[WEIR_ADDR_TEXT_MAX];

    if (view == NULL || peers == NULL || states == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        peers[i] = (weir_balance_peer){
            .addr = addrs[i], .weight = 1, .state = &states[i], .column = i, .index = i};
        if (!weir_str_copy(pool, weir_addr_text(&addrs[i], true, text), &peers[i].text)) {
            return NULL;
        }
        peers[i].name = name.len != 0 ? name : peers[i].text;
    }
    *view = (balance_view){
        .references = 1, .pool = pool, .stale_ms = UINT64_MAX, .peers = peers, .count = count};
    view->tiers[BALANCE_PRIMARY] = (balance_tier){.peers = peers, .count = count};
    return tier_settle(&plain, view, &view->tiers[BALANCE_PRIMARY], 0) ? view : NULL;
}

/* ---- keeping */

balance_view *balance_view_ref(balance_view *view)
{
    view->references++;
    return view;
}

void balance_view_unref(balance_view *view)
{
    if (view != NULL && --view->references == 0) {
        for (unsigned tier = 0; tier < BALANCE_TIERS; tier++) {
            balance_ring_unref(view->tiers[tier].ring);
        }
        weir_pool_free(view->pool);
    }
}

balance_view *balance_view_now(weir_balance_group *group, uint64_t now_ms)
{
    balance_view *view = group->view;
    balance_view *made;

    if (group->words == NULL) {
        return view;
    }
    if (WEIR_LIKELY(view != NULL)
        && view->members == atomic_load_explicit(&group->words->members, memory_order_acquire)
        && now_ms < view->stale_ms
        && (view->weather == atomic_load_explicit(&group->words->weather, memory_order_relaxed)
            || now_ms - view->made_ms < VIEW_REST_MS)) {
        return view;
    }

    made = view_make(group, now_ms);
    if (made == NULL) {
        return view;
    }
    group->view = made;
    balance_view_unref(view);
    return made;
}
