#include "modules/balance/balance_internal.h"

#include <stdlib.h>

#include <openssl/sha.h>

#include "core/base/number.h"
#include "core/process/cycle.h"
#include "core/process/worker.h"
#include "core/process/zone.h"

/*
 * Records of groups and peers in shared memory, found by key, so they outlive reloads.  Claimed by the master for what a
 * configuration has, before it forks; made by the keeper for what comes at run time.
 */

#define RECORDS_LAYOUT "balance 7 "
#define COUNTS_LAYOUT "balance counts 4 "
#define RECORDS_MIN 64

_Static_assert(sizeof(balance_record) % 64 == 0, "records share no cache line");

size_t balance_zone_bytes_for(size_t records)
{
    size_t count = RECORDS_MIN;

    /* Half empty, so that a reload with more peers keeps what is known, and powers of two, for the same. */
    while (count < records * 2) {
        count *= 2;
    }
    return count * sizeof(balance_record);
}

size_t balance_zone_needs(const balance_zone *zone)
{
    size_t needs = 0;

    for (WEIR_ARRAY_EACH(&zone->groups, weir_balance_group *, group)) {
        needs += 1 + (*group)->seat_count;
    }
    return needs;
}

/*
 * ---- keys: of names, texts and numbers, the first 64 bits of SHA-256
 *
 * A record is found by its key alone, so what differs must have different ones: a quick hash will not do.
 */

static void key_add_text(SHA256_CTX *key, weir_str text)
{
    SHA256_Update(key, &text.len, sizeof(text.len));
    SHA256_Update(key, text.data, text.len);
}

static void key_add_number(SHA256_CTX *key, uint64_t number)
{
    SHA256_Update(key, &number, sizeof(number));
}

static uint64_t key_end(SHA256_CTX *key)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    uint64_t first;

    SHA256_Final(digest, key);
    memcpy(&first, digest, sizeof(first));
    return first == 0 ? 1 : first;
}

uint64_t balance_group_key(const weir_balance_group *group)
{
    SHA256_CTX key;

    SHA256_Init(&key);
    key_add_text(&key, group->name);
    /* What a host implies is no block of that name. */
    key_add_number(&key, group->statement == NULL);
    key_add_text(&key, weir_str_from_z(group->family->name));
    return key_end(&key);
}

size_t balance_group_column(const weir_balance_group *group)
{
    const balance_record *own = WEIR_OWNER(group->words, balance_record, words);

    return (size_t) (own - group->zone->records);
}

uint64_t balance_peer_key(uint64_t group, weir_str text, bool is_backup, size_t repeated)
{
    SHA256_CTX key;

    SHA256_Init(&key);
    key_add_number(&key, group);
    key_add_text(&key, text);
    key_add_number(&key, is_backup);
    key_add_number(&key, repeated);
    return key_end(&key);
}

uint64_t balance_server_digest(const balance_server *server)
{
    SHA256_CTX key;

    SHA256_Init(&key);
    key_add_text(&key, server->name);
    key_add_text(&key, server->route);
    key_add_text(&key, server->service);
    key_add_number(&key, server->weight);
    key_add_number(&key, server->max_conns);
    key_add_number(&key, server->max_fails);
    key_add_number(&key, server->fail_timeout_ms);
    key_add_number(&key, server->slow_start_ms);
    key_add_number(&key, (uint64_t) server->is_backup | (uint64_t) server->is_down << 1
                             | (uint64_t) server->is_draining << 2
                             | (uint64_t) server->is_resolved << 3);
    return key_end(&key);
}

/* ---- claiming */

static void state_clear(balance_record *record)
{
    _Atomic uint64_t *state = (_Atomic uint64_t *) &record->state;

    for (size_t i = 0; i < sizeof(record->state) / sizeof(*state); i++) {
        atomic_store(&state[i], 0);
    }
}

/* All but the key, which is set. */
static void record_begin(balance_record *record, uint64_t generation)
{
    _Atomic uint64_t *words[] = {&record->is_added, &record->parent, &record->removed,
                                 &record->patched, &record->id};

    for (size_t i = 0; i < WEIR_COUNT(words); i++) {
        atomic_store(words[i], 0);
    }
    state_clear(record);
    atomic_store(&record->begun, generation);
    atomic_store(&record->generation, generation);
}

/* What was there before, by key; and where there is room. */
typedef struct {
    uint64_t key;
    balance_record *record;
} known;

typedef struct {
    balance_zone *zone;
    known *known;
    size_t known_count;
    size_t next_free, next_old;
} claims;

static int known_compare(const void *a, const void *b)
{
    uint64_t left = ((const known *) a)->key;
    uint64_t right = ((const known *) b)->key;

    return left < right ? -1 : left > right;
}

static bool claim_begin(claims *claim, balance_zone *zone)
{
    claim->zone = zone;
    claim->known_count = claim->next_free = claim->next_old = 0;
    claim->known = calloc(zone->count, sizeof(*claim->known));
    if (claim->known == NULL) {
        return false;
    }
    for (size_t i = 0; i < zone->count; i++) {
        uint64_t key = atomic_load(&zone->records[i].key);

        if (key != 0) {
            claim->known[claim->known_count++] = (known){key, &zone->records[i]};
        }
    }
    qsort(claim->known, claim->known_count, sizeof(*claim->known), known_compare);
    return true;
}

/* One that no configuration had for two generations, and that nobody is connected to. */
static bool record_is_old(const balance_zone *zone, const balance_record *record)
{
    uint64_t generation = atomic_load(&record->generation);

    return (generation == 0 || generation + 1 < zone->generation)
           && (zone->connections.memory == NULL
               || weir_ledger_sum(&zone->connections, (size_t) (record - zone->records)) == 0);
}

/* The keeper of an earlier generation may take records meanwhile: whoever writes the key has it. */
static balance_record *record_take(balance_zone *zone, size_t *next_free, size_t *next_old,
                                   uint64_t key)
{
    for (; *next_free < zone->count; ++*next_free) {
        balance_record *record = &zone->records[*next_free];
        uint64_t none = 0;

        if (atomic_compare_exchange_strong(&record->key, &none, key)) {
            record_begin(record, zone->generation);
            return record;
        }
    }
    for (; *next_old < zone->count; ++*next_old) {
        balance_record *record = &zone->records[*next_old];
        uint64_t old = atomic_load(&record->key);

        if (record_is_old(zone, record)
            && atomic_compare_exchange_strong(&record->key, &old, key)) {
            record_begin(record, zone->generation);
            return record;
        }
    }
    return NULL;
}

static balance_record *claim_record(claims *claim, uint64_t key, uint64_t group)
{
    const known wanted = {.key = key};
    const known *found = claim->known_count == 0
                             ? NULL
                             : bsearch(&wanted, claim->known, claim->known_count,
                                       sizeof(*claim->known), known_compare);
    balance_record *record;

    if (found != NULL && atomic_load(&found->record->key) == key) {
        record = found->record;
        atomic_store(&record->generation, claim->zone->generation);
    } else {
        record = record_take(claim->zone, &claim->next_free, &claim->next_old, key);
    }
    if (record != NULL) {
        atomic_store(&record->group, group);
    }
    return record;
}

/* A new one has a number, and the addresses that its name had when the configuration was read. */
static void seat_claimed(weir_balance_group *group, const balance_seat *seat)
{
    balance_record *record = seat->record;
    bool is_new = atomic_load(&record->begun) == group->zone->generation;
    char text[WEIR_ADDR_TEXT_MAX];

    balance_health_claim(group, &record->state, is_new);
    if (!is_new) {
        return;
    }
    atomic_store(&record->id, atomic_fetch_add(&group->words->next_id, 1));
    for (size_t i = 0; i < seat->first_count; i++) {
        (void) balance_record_resolve(
            group, seat->key, weir_addr_text(&seat->first[i], true, text),
            &(balance_resolved){.addr = seat->first[i], .is_backup = seat->server->is_backup});
    }
}

static bool claim_group(claims *claim, weir_balance_group *group)
{
    balance_record *own = claim_record(claim, group->key, group->key);

    if (own == NULL) {
        return false;
    }
    group->words = &own->words;
    for (size_t i = 0; i < group->seat_count; i++) {
        balance_seat *seat = &group->seats[i];

        seat->record = claim_record(claim, seat->key, group->key);
        if (seat->record == NULL) {
            return false;
        }
    }
    return true;
}

static void group_claimed(weir_balance_group *group)
{
    for (size_t i = 0; i < group->seat_count; i++) {
        seat_claimed(group, &group->seats[i]);
    }
}

static bool name_is_known(const balance_zone *zone, const weir_balance_group *group, uint64_t key)
{
    const balance_record *record;

    for (size_t i = 0; i < group->seat_count; i++) {
        if (group->seats[i].key == key && group->seats[i].server->is_resolved) {
            return true;
        }
    }
    record = balance_record_find(zone, key);
    return record != NULL && atomic_load(&record->is_added) != 0;
}

/* What came at run time stays as long as its group, and its name. */
static void keep_extras(const balance_zone *zone)
{
    for (size_t i = 0; i < zone->count; i++) {
        balance_record *record = &zone->records[i];

        uint64_t parent = atomic_load(&record->parent);

        if (atomic_load(&record->is_added) == 0 && parent == 0) {
            continue;
        }
        for (WEIR_ARRAY_EACH(&zone->groups, weir_balance_group *, group)) {
            if (atomic_load(&record->group) == (*group)->key
                && (parent == 0 || name_is_known(zone, *group, parent))) {
                atomic_store(&record->generation, zone->generation);
                balance_health_claim(*group, &record->state, false);
            }
        }
    }
}

static bool zone_claim(balance_zone *zone)
{
    claims claim;
    bool is_done = claim_begin(&claim, zone);

    for (size_t i = 0; is_done && i < zone->groups.count; i++) {
        is_done = claim_group(&claim, *WEIR_ARRAY_AT(&zone->groups, weir_balance_group *, i));
    }
    free(claim.known);
    if (!is_done) {
        return false;
    }

    /* There is room for all: from here on the configuration that runs sees it, too. */
    for (WEIR_ARRAY_EACH(&zone->groups, weir_balance_group *, group)) {
        group_claimed(*group);
    }
    keep_extras(zone);
    return true;
}

/* ---- at run time, by the keeper */

static void counts_clear(const balance_zone *zone, size_t column)
{
    if (zone->connections.memory != NULL) {
        weir_ledger_clear_column(&zone->connections, column);
        weir_ledger_clear_column(&zone->connections, zone->count + column);
        balance_traffic_clear(zone->traffic, zone->count, column);
    }
}

balance_record *balance_record_find(const balance_zone *zone, uint64_t key)
{
    for (size_t i = 0; i < zone->count; i++) {
        if (atomic_load_explicit(&zone->records[i].key, memory_order_relaxed) == key) {
            return &zone->records[i];
        }
    }
    return NULL;
}

/* One that was there may have been left by a keeper that was killed before it got so far. */
static void record_join(const weir_balance_group *group, balance_record *record)
{
    atomic_store(&record->group, group->key);
    atomic_fetch_add(&group->words->extras, 1);
}

balance_record *balance_record_make(balance_zone *zone, weir_balance_group *group, uint64_t key)
{
    size_t next_free = 0;
    size_t next_old = 0;
    balance_record *record = record_take(zone, &next_free, &next_old, key);

    if (record != NULL) {
        counts_clear(zone, (size_t) (record - zone->records));
        balance_health_claim(group, &record->state, true);
        atomic_store(&record->id, atomic_fetch_add(&group->words->next_id, 1));
        record_join(group, record);
    }
    return record;
}

void balance_record_renew(weir_balance_group *group, balance_record *record)
{
    const balance_zone *zone = group->zone;

    record_join(group, record);
    state_clear(record);
    if (zone->traffic != NULL) {
        balance_traffic_clear(zone->traffic, zone->count, (size_t) (record - zone->records));
    }
    balance_health_claim(group, &record->state, true);
    atomic_store(&record->id, atomic_fetch_add(&group->words->next_id, 1));
}

balance_record *balance_record_resolve(weir_balance_group *group, uint64_t parent, weir_str text,
                                       const balance_resolved *resolved)
{
    uint64_t key = balance_peer_key(parent, text, resolved->is_backup, 0);
    balance_record *record = balance_record_find(group->zone, key);

    if (record == NULL) {
        record = balance_record_make(group->zone, group, key);
    } else {
        balance_record_renew(group, record);
    }
    if (record == NULL) {
        return NULL;
    }
    record->resolved = *resolved;
    atomic_store(&record->patched, 0);
    atomic_store(&record->settings.flags, 0);
    atomic_store(&record->generation, group->zone->generation);
    atomic_store(&record->parent, parent);
    return record;
}

balance_seat *balance_seat_of(const weir_balance_group *group, const balance_record *record)
{
    for (size_t i = 0; i < group->seat_count; i++) {
        if (group->seats[i].record == record
            && atomic_load(&record->removed) != group->seats[i].server->digest) {
            return &group->seats[i];
        }
    }
    return NULL;
}

void balance_record_give_up(balance_record *record)
{
    atomic_store(&record->is_added, 0);
    atomic_store(&record->parent, 0);
    atomic_store(&record->generation, 0);
}

/* ---- zones: one of records, and one of what is counted of their peers, opened in any order */

static size_t ledger_bytes(size_t records)
{
    return weir_ledger_bytes(WEIR_WORKER_SLOTS, 2 * records);
}

/* When both are open.  A record that was another peer's has its column, too. */
static void zone_join(balance_zone *zone)
{
    if (weir_zone_memory(zone->counts) == NULL || zone->records == NULL) {
        return;
    }
    zone->connections =
        weir_ledger_at(weir_zone_memory(zone->counts), WEIR_WORKER_SLOTS, 2 * zone->count);
    zone->traffic = (char *) weir_zone_memory(zone->counts) + ledger_bytes(zone->count);
    for (size_t i = 0; i < zone->count; i++) {
        if (atomic_load(&zone->records[i].key) != 0
            && atomic_load(&zone->records[i].begun) == zone->generation) {
            counts_clear(zone, i);
        }
    }
}

static bool zone_opened(struct weir_zone *opened, bool is_new, void *subject)
{
    balance_zone *zone = subject;

    (void) is_new;
    zone->records = weir_zone_memory(opened);
    zone->count = weir_zone_bytes(opened) / sizeof(balance_record);
    if (!zone_claim(zone)) {
        return false;
    }
    zone_join(zone);
    return true;
}

static bool counts_opened(struct weir_zone *opened, bool is_new, void *subject)
{
    (void) opened;
    (void) is_new;
    zone_join(subject);
    return true;
}

/* What a dead worker had open is closed. */
static void worker_gone(unsigned slot, void *subject)
{
    const balance_zone *zone = subject;

    weir_ledger_clear_slot(&zone->connections, slot);
    balance_traffic_gone(zone->traffic, zone->count, slot);
}

/* NULL: no memory, refused. */
static const char *named(weir_conf *conf, const char *before, weir_str name)
{
    weir_builder builder;
    weir_str text;

    weir_builder_open(&builder, weir_conf_pool(conf), SIZE_MAX);
    weir_builder_add(&builder, weir_str_from_z(before));
    weir_builder_add(&builder, name);
    weir_builder_add_byte(&builder, '\0');
    if (!weir_builder_close(&builder, &text)) {
        weir_conf_refuse(conf, "no memory for upstreams");
        return NULL;
    }
    return text.data;
}

bool balance_zone_open(weir_conf *conf, const weir_balance_family *family, balance_zone *zone,
                       size_t bytes)
{
    weir_str name = weir_str_from_z(family->name);

    zone->generation = weir_conf_cycle(conf)->generation;
    if (zone->layout == NULL) {
        zone->layout = named(conf, RECORDS_LAYOUT, name);
        zone->counts_layout = named(conf, COUNTS_LAYOUT, name);
    }
    if (zone->layout == NULL || zone->counts_layout == NULL) {
        return false;
    }
    zone->zone = weir_zone_new(conf, zone->name, bytes, zone->layout, zone_opened, zone);
    return zone->zone != NULL;
}

bool balance_zone_settle(weir_conf *conf, balance_zone *zone)
{
    size_t count = weir_zone_bytes(zone->zone) / sizeof(balance_record);
    size_t traffic_bytes = balance_traffic_bytes(count);
    size_t bytes = ledger_bytes(count);
    weir_builder builder;
    weir_str name;

    if (balance_zone_needs(zone) > count) {
        return weir_conf_refuse(conf, "zone \"%.*s\" is too small: its upstreams take %zu bytes",
                                WEIR_STR_ARG(zone->name),
                                balance_zone_needs(zone) * sizeof(balance_record));
    }
    if (bytes == 0 || traffic_bytes == 0 || !weir_add_size(bytes, traffic_bytes, &bytes)) {
        return weir_conf_refuse(conf, "zone \"%.*s\" is too large", WEIR_STR_ARG(zone->name));
    }
    weir_builder_open(&builder, weir_conf_pool(conf), SIZE_MAX);
    weir_builder_add(&builder, zone->name);
    weir_builder_add(&builder, WEIR_STR(" connections"));
    if (!weir_builder_close(&builder, &name)) {
        return weir_conf_refuse(conf, "no memory for upstreams");
    }
    zone->counts = weir_zone_new(conf, name, bytes, zone->counts_layout, counts_opened, zone);
    if (zone->counts == NULL) {
        return false;
    }
    return weir_worker_on_gone(weir_conf_cycle(conf), worker_gone, zone)
           || weir_conf_refuse(conf, "no memory for upstreams");
}
