#include "modules/balance/balance_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/process/cycle.h"
#include "core/process/worker.h"
#include "core/process/zone.h"

/*
 * Changes at run time: a worker writes what it wants into a slot of shared memory and wakes the keeper, which alone changes
 * records, and writes into the slot what came of it once every worker can see it.  A keeper that dies leaves the slot as
 * asked, or as begun, for its successor; a worker that dies has its slots left by the master.
 */

#define CALLS 64
#define LAYOUT "balance calls 3 "
#define LOOK_MS 2 /* of who has asked */
#define LISTEN_MS                                                                                  \
    100 /* of the keeper: workers of an earlier generation wake that generation's alone */
#define PATIENCE_MS 5000 /* for a keeper that is being replaced */

#define BEGINS 3 /* that a call is given: keepers may have died of it */

#define NO_ID UINT64_MAX /* of a server that is to be added, until it is */

/*
 * free -> taken -> asked -> begun -> answered -> free.  Who asked and does not want to know any more frees the slot, but for
 * one that is begun: that is left, and the keeper frees it.
 */
enum { CALL_FREE, CALL_TAKEN, CALL_ASKED, CALL_BEGUN, CALL_LEFT, CALL_ANSWERED };

typedef struct {
    _Atomic uint32_t
        word; /* the state, and the slot of the worker that has it: one word, as a worker may die and be followed */
    uint32_t op, mask, outcome, begins;
    uint64_t group, id;
    uint32_t from, to; /* of a move that has begun: indices of records */
    uint64_t spare_id; /* the number that `from` is left with; NO_ID: none has begun */
    uint64_t weight, max_conns, max_fails, fail_timeout_ms, slow_start_ms, flags;
    uint16_t name_len, route_len, service_len;
    char text[WEIR_BALANCE_TEXTS_MAX];
} control_call;

#define STATE_BITS 8

static uint32_t word_of(uint32_t state, uint32_t slot)
{
    return state == CALL_FREE ? 0 : slot << STATE_BITS | state;
}

static uint32_t state_of(uint32_t word)
{
    return word & ((1u << STATE_BITS) - 1);
}

struct balance_control {
    balance_registry *registry;
    struct weir_zone *zone;
    int wake; /* an eventfd: to the keeper */
    weir_event event;
    weir_timer timer;
    weir_worker *keeper;
};

static control_call *calls_of(const struct balance_control *control)
{
    return weir_zone_memory(control->zone);
}

/* ---- the keeper: what is asked for is done */

static weir_balance_group *group_of(const balance_registry *registry, uint64_t key)
{
    for (WEIR_ARRAY_EACH(&registry->groups, weir_balance_group *, group)) {
        if ((*group)->key == key) {
            return *group;
        }
    }
    return NULL;
}

static uint64_t flags_of(const balance_server *server)
{
    return (server->is_backup ? BALANCE_IS_BACKUP : 0u) | (server->is_down ? BALANCE_IS_DOWN : 0u)
           | (server->is_draining ? BALANCE_IS_DRAINING : 0u)
           | (server->is_resolved ? BALANCE_IS_RESOLVED : 0u);
}

/* `more`: flags that go with it. */
static void settings_put(balance_settings *settings, const balance_server *server, uint64_t more)
{
    atomic_store(&settings->weight, server->weight);
    atomic_store(&settings->max_conns, server->max_conns);
    atomic_store(&settings->max_fails, server->max_fails);
    atomic_store(&settings->fail_timeout_ms, server->fail_timeout_ms);
    atomic_store(&settings->slow_start_ms, server->slow_start_ms);
    atomic_store(&settings->flags, flags_of(server) | more);
}

static balance_server server_of(const control_call *call)
{
    return (balance_server){
        .name = weir_str_of(call->text, call->name_len),
        .route = weir_str_of(call->text + call->name_len, call->route_len),
        .service = weir_str_of(call->text + call->name_len + call->route_len, call->service_len),
        .weight = (uint32_t) call->weight,
        .max_conns = (uint32_t) call->max_conns,
        .max_fails = (uint32_t) call->max_fails,
        .fail_timeout_ms = call->fail_timeout_ms,
        .slow_start_ms = call->slow_start_ms,
        .is_backup = (call->flags & BALANCE_IS_BACKUP) != 0,
        .is_down = (call->flags & BALANCE_IS_DOWN) != 0,
        .is_draining = (call->flags & BALANCE_IS_DRAINING) != 0,
        .is_resolved = (call->flags & BALANCE_IS_RESOLVED) != 0,
    };
}

/* A server, configured or added, that was not taken away. */
static bool is_member(const weir_balance_group *group, const balance_record *record)
{
    return atomic_load(&record->is_added) != 0 || balance_seat_of(group, record) != NULL;
}

static balance_record *member_find(const weir_balance_group *group, uint64_t id)
{
    for (size_t i = 0; i < group->zone->count; i++) {
        balance_record *record = &group->zone->records[i];

        if (atomic_load(&record->group) == group->key && atomic_load(&record->id) == id
            && atomic_load(&record->key) != group->key && is_member(group, record)) {
            return record;
        }
    }
    return NULL;
}

/* An address of a name; `*name` is its server, as it is now, whose texts are borrowed.  NULL: there is none. */
static balance_record *address_find(const weir_balance_group *group, uint64_t id,
                                    balance_name *name)
{
    size_t position = 0;
    balance_record *record = NULL;
    uint64_t parent;

    for (size_t i = 0; i < group->zone->count && record == NULL; i++) {
        balance_record *other = &group->zone->records[i];

        if (atomic_load(&other->group) == group->key && atomic_load(&other->id) == id
            && atomic_load(&other->parent) != 0) {
            record = other;
        }
    }
    if (record == NULL) {
        return NULL;
    }
    parent = atomic_load(&record->parent);
    while (balance_server_next(group, &position, name)) {
        if (name->key == parent) {
            return record;
        }
    }
    return NULL;
}

/* The next address of a name, from `*position` on, which begins with 0.  NULL: there is no more. */
static balance_record *address_next(const weir_balance_group *group, const balance_record *name,
                                    size_t *position)
{
    const balance_zone *zone = group->zone;
    uint64_t key = atomic_load(&name->key);

    while (*position < zone->count) {
        balance_record *record = &zone->records[(*position)++];

        if (atomic_load(&record->parent) == key) {
            return record;
        }
    }
    return NULL;
}

/* Who are addresses of a name follow it in these settings (WEIR_BALANCE_HAS_…), whatever they were told. */
static void addresses_follow(const weir_balance_group *group, const balance_record *name,
                             uint64_t mask)
{
    size_t position = 0;
    balance_record *address;

    while ((address = address_next(group, name, &position)) != NULL) {
        atomic_fetch_and(&address->settings.flags, ~(mask << BALANCE_OWN_SHIFT));
    }
}

/* Nothing is known of them, should the name come again. */
static void addresses_give_up(const weir_balance_group *group, const balance_record *name)
{
    size_t position = 0;
    balance_record *address;

    while ((address = address_next(group, name, &position)) != NULL) {
        balance_record_give_up(address);
    }
}

/* They may be the record's own.  False: there is no room. */
static bool texts_put(balance_record *record, weir_str name, weir_str route, weir_str service)
{
    char copy[WEIR_BALANCE_TEXTS_MAX] = {0};
    weir_builder text;

    if (name.len + route.len + service.len > sizeof(copy)) {
        return false;
    }
    weir_builder_over(&text, copy, sizeof(copy));
    weir_builder_add(&text, name);
    weir_builder_add(&text, route);
    weir_builder_add(&text, service);
    memcpy(record->text, copy, sizeof(record->text));
    record->name_len = (uint16_t) name.len;
    record->route_len = (uint16_t) route.len;
    record->service_len = (uint16_t) service.len;
    return true;
}

/* It was not there, or down, until now: for slow_start. Of a name, so were its addresses. */
static void member_rises(const weir_balance_group *group, balance_record *record)
{
    uint64_t now_ms = weir_clock_now()->monotonic_ms;
    size_t position = 0;
    balance_record *address;

    atomic_store(&record->state.risen_ms, now_ms);
    while ((address = address_next(group, record, &position)) != NULL) {
        atomic_store(&address->state.risen_ms, now_ms);
    }
}

/* NULL: there is one already, or no room. */
static balance_record *member_make(weir_balance_group *group, const balance_server *server,
                                   weir_balance_change_outcome *outcome)
{
    char text[WEIR_ADDR_TEXT_MAX];
    weir_addr addr;
    weir_str as_text = server->name;
    uint64_t key;
    balance_record *record;
    bool is_new;

    if (weir_addr_parse(server->name, group->family->default_port, &addr)) {
        as_text = weir_addr_text(&addr, true, text);
    }
    key = balance_peer_key(group->key, as_text, server->is_backup, 0);
    record = balance_record_find(group->zone, key);
    if (record != NULL && is_member(group, record)) {
        *outcome = WEIR_BALANCE_CHANGE_EXISTS;
        return NULL;
    }
    is_new = record == NULL;
    if (is_new) {
        record = balance_record_make(group->zone, group, key);
    }
    if (record == NULL || !texts_put(record, server->name, server->route, server->service)) {
        *outcome = WEIR_BALANCE_CHANGE_NO_ROOM;
        return NULL;
    }
    /* Once nothing can refuse it. */
    if (!is_new) {
        balance_record_renew(group, record);
    }
    settings_put(&record->settings, server, 0);
    member_rises(group, record);
    atomic_store(&record->generation, group->zone->generation);
    return record;
}

static weir_balance_change_outcome server_add(weir_balance_group *group, control_call *call)
{
    balance_server server = server_of(call);
    weir_balance_change_outcome outcome = WEIR_BALANCE_CHANGE_DONE;
    balance_record *record;

    if (server.is_backup && !group->method->takes_backups) {
        return WEIR_BALANCE_CHANGE_NO_BACKUP;
    }
    /* A keeper that was killed before it could say so has added it. */
    if (member_find(group, call->id) != NULL) {
        return WEIR_BALANCE_CHANGE_DONE;
    }
    record = member_make(group, &server, &outcome);
    if (record != NULL) {
        call->id = atomic_load(&record->id);
        atomic_store(&record->is_added, 1);
    }
    return outcome;
}

static void server_remove(const weir_balance_group *group, balance_record *record)
{
    const balance_seat *seat = balance_seat_of(group, record);

    addresses_give_up(group, record);
    if (seat != NULL) {
        atomic_store(&record->removed, seat->server->digest);
    }
    if (atomic_load(&record->is_added) != 0) {
        balance_record_give_up(record);
    }
    if (seat != NULL) {
        atomic_store(&record->generation, group->zone->generation);
    }
}

static bool takes_part(const weir_balance_group *group, const control_call *call, uint32_t i)
{
    const balance_record *record = &group->zone->records[i];
    uint64_t id = atomic_load(&record->id);

    return atomic_load(&record->group) == group->key && (id == call->id || id == call->spare_id);
}

/*
 * From when `spare_id` is stored on, any keeper can: nothing that is done here hurts if it is done again.  False: none has
 * begun, or its records are others' by now.
 */
static bool move_finish(const weir_balance_group *group, const control_call *call)
{
    balance_record *from, *to;

    if (call->spare_id == NO_ID || call->from >= group->zone->count
        || call->to >= group->zone->count || !takes_part(group, call, call->from)
        || !takes_part(group, call, call->to)) {
        return false;
    }
    from = &group->zone->records[call->from];
    to = &group->zone->records[call->to];
    atomic_store(&from->id, call->spare_id);
    atomic_store(&to->id, call->id);
    atomic_store(&to->is_added, 1);
    server_remove(group, from);
    return true;
}

/* To another address: that is another peer, of which nothing is known, under the same number. */
static weir_balance_change_outcome server_move(weir_balance_group *group,
                                               const balance_record *record,
                                               const balance_server *server, control_call *call)
{
    weir_balance_change_outcome outcome = WEIR_BALANCE_CHANGE_DONE;
    const balance_record *made = member_make(group, server, &outcome);

    if (made != NULL) {
        call->from = (uint32_t) (record - group->zone->records);
        call->to = (uint32_t) (made - group->zone->records);
        atomic_signal_fence(memory_order_seq_cst);
        call->spare_id = atomic_load(&made->id);
        (void) move_finish(group, call);
    }
    return outcome;
}

static weir_balance_change_outcome server_patch(weir_balance_group *group, balance_record *record,
                                                control_call *call)
{
    const balance_server asked = server_of(call);
    const balance_seat *seat = balance_seat_of(group, record);
    bool is_there;
    balance_server server =
        seat != NULL ? balance_seat_now(seat, &is_there) : balance_record_server(record);
    weir_str name = seat != NULL && !server.is_resolved ? seat->text : server.name;
    bool was_down = server.is_down;

    balance_server_merge(&server, &asked, call->mask);
    if ((call->mask & WEIR_BALANCE_HAS_NAME) != 0 && !weir_str_eq(server.name, name)) {
        return server.is_resolved ? WEIR_BALANCE_CHANGE_IMMUTABLE
                                  : server_move(group, record, &server, call);
    }
    if (seat == NULL) {
        if (!texts_put(record, server.name, server.route, server.service)) {
            return WEIR_BALANCE_CHANGE_NO_ROOM;
        }
        settings_put(&record->settings, &server, 0);
    } else {
        (void) texts_put(record, WEIR_STR_EMPTY, server.route, WEIR_STR_EMPTY);
        settings_put(&record->settings, &server, BALANCE_HAS_ROUTE);
        atomic_store(&record->patched, seat->server->digest);
    }
    addresses_follow(group, record, call->mask);
    if (was_down && !server.is_down) {
        member_rises(group, record);
    }
    return WEIR_BALANCE_CHANGE_DONE;
}

static void route_put(balance_record *record, weir_str route)
{
    weir_builder text;

    weir_builder_over(&text, record->resolved.route, sizeof(record->resolved.route));
    weir_builder_add(&text, route);
    record->resolved.route_len = (uint8_t) weir_builder_cut(&text).len;
}

/* One address of a name.  What DNS says of it stays: where it is, and the weight that comes with a service. */
static weir_balance_change_outcome address_patch(const weir_balance_group *group,
                                                 balance_record *record, const balance_name *name,
                                                 const control_call *call)
{
    const balance_server asked = server_of(call);
    balance_server server = balance_address_now(group, record, name);
    uint32_t weight = atomic_load(&record->resolved.weight); /* 0: not that of DNS */
    bool was_down = server.is_down;
    uint64_t mark = balance_name_mark(group, name);
    uint64_t own = atomic_load(&record->patched) == mark
                       ? atomic_load(&record->settings.flags) >> BALANCE_OWN_SHIFT
                       : 0;
    char text[WEIR_ADDR_TEXT_MAX];

    if ((call->mask & WEIR_BALANCE_HAS_NAME) != 0
        && !weir_str_eq(asked.name, weir_addr_text(&record->resolved.addr, true, text))) {
        return WEIR_BALANCE_CHANGE_IMMUTABLE;
    }
    if ((call->mask & WEIR_BALANCE_HAS_WEIGHT) != 0 && weight != 0 && asked.weight != weight) {
        return WEIR_BALANCE_CHANGE_WEIGHT_IMMUTABLE;
    }
    own |= call->mask & BALANCE_OWN_ALL;
    balance_server_merge(&server, &asked, call->mask);
    if ((call->mask & WEIR_BALANCE_HAS_ROUTE) != 0) {
        route_put(record, asked.route);
    }
    settings_put(&record->settings, &server, own << BALANCE_OWN_SHIFT);
    atomic_store(&record->patched, mark);
    if (was_down && !server.is_down) {
        atomic_store(&record->state.risen_ms, weir_clock_now()->monotonic_ms);
    }
    return WEIR_BALANCE_CHANGE_DONE;
}

/* Of one that is there. */
static weir_balance_change_outcome member_change(weir_balance_group *group, control_call *call)
{
    balance_record *record = member_find(group, call->id);
    balance_name name;

    if (record != NULL && call->op == WEIR_BALANCE_PATCH) {
        return server_patch(group, record, call);
    }
    if (record != NULL) {
        server_remove(group, record);
        return WEIR_BALANCE_CHANGE_DONE;
    }
    record = address_find(group, call->id, &name);
    if (record == NULL) {
        return WEIR_BALANCE_CHANGE_NO_SERVER;
    }
    return call->op == WEIR_BALANCE_PATCH ? address_patch(group, record, &name, call)
                                          : WEIR_BALANCE_CHANGE_IMMUTABLE;
}

/* Again, where a keeper that was killed had begun it, and may have done all but write the state file. */
static weir_balance_change_outcome carry_out(const struct balance_control *control,
                                             control_call *call, const weir_log *log)
{
    weir_balance_group *group = group_of(control->registry, call->group);
    bool is_again = call->begins > 1;
    weir_balance_change_outcome outcome;

    if (group == NULL || group->words == NULL) {
        return WEIR_BALANCE_CHANGE_NO_SERVER;
    }
    if (call->name_len + call->route_len + call->service_len > WEIR_BALANCE_TEXTS_MAX) {
        return WEIR_BALANCE_CHANGE_NO_ROOM;
    }
    if (call->op == WEIR_BALANCE_ADD) {
        outcome = server_add(group, call);
    } else {
        outcome = is_again && move_finish(group, call) ? WEIR_BALANCE_CHANGE_DONE
                                                       : member_change(group, call);
    }
    if (is_again && call->op == WEIR_BALANCE_REMOVE && outcome == WEIR_BALANCE_CHANGE_NO_SERVER) {
        outcome = WEIR_BALANCE_CHANGE_DONE;
    }
    if (outcome != WEIR_BALANCE_CHANGE_DONE) {
        return outcome;
    }
    atomic_fetch_add(&group->words->members, 1);
    if (group->state_file.len != 0 && !balance_state_write(group, log)) {
        return WEIR_BALANCE_CHANGE_NOT_KEPT;
    }
    return WEIR_BALANCE_CHANGE_DONE;
}

static void call_settle(const struct balance_control *control, control_call *call,
                        const weir_log *log)
{
    uint32_t word = atomic_load(&call->word);
    bool is_left;

    if (call->begins == BEGINS) {
        weir_log_line(log, WEIR_LOG_ALERT, 0,
                      "change of upstream server %" PRIu64
                      " is given up: %u keepers died while they made it",
                      call->id, BEGINS);
        call->outcome = WEIR_BALANCE_CHANGE_NO_KEEPER;
    } else {
        call->begins++;
        call->outcome = carry_out(control, call, log);
    }
    is_left = state_of(word) != CALL_BEGUN
              || !atomic_compare_exchange_strong(&call->word, &word,
                                                 word_of(CALL_ANSWERED, word >> STATE_BITS));
    if (is_left) {
        atomic_store(&call->word, CALL_FREE);
    }
}

void balance_changes_carry_out(const struct balance_control *control, const weir_log *log)
{
    control_call *calls = calls_of(control);

    /* What another keeper has begun came before all that is asked. */
    for (size_t i = 0; i < CALLS; i++) {
        uint32_t state = state_of(atomic_load(&calls[i].word));

        if (state == CALL_BEGUN || state == CALL_LEFT) {
            call_settle(control, &calls[i], log);
        }
    }
    for (size_t i = 0; i < CALLS; i++) {
        uint32_t word = atomic_load(&calls[i].word);

        if (state_of(word) == CALL_ASKED
            && atomic_compare_exchange_strong(&calls[i].word, &word,
                                              word_of(CALL_BEGUN, word >> STATE_BITS))) {
            call_settle(control, &calls[i], log);
        }
    }
}

static void woken(weir_event *event, unsigned what)
{
    struct balance_control *control = WEIR_OWNER(event, struct balance_control, event);
    uint64_t count;

    (void) what;
    while (read(control->wake, &count, sizeof(count)) > 0) {
    }
    balance_changes_carry_out(control, &control->keeper->log);
}

static void listen_due(weir_timer *timer)
{
    struct balance_control *control = WEIR_OWNER(timer, struct balance_control, timer);

    balance_changes_carry_out(control, &control->keeper->log);
    (void) weir_timer_set(control->keeper->loop, timer, LISTEN_MS);
}

static bool control_start(weir_worker *keeper, weir_chore *chore)
{
    struct balance_control *control = chore->subject;

    control->keeper = keeper;
    control->event = (weir_event){.fd = control->wake, .name = "upstream changes", .ready = woken};
    control->timer.name = "upstream changes";
    control->timer.expired = listen_due;
    return weir_event_add(keeper->loop, &control->event)
           && weir_timer_set(keeper->loop, &control->timer, 0);
}

static void control_stop(weir_worker *keeper, weir_chore *chore)
{
    struct balance_control *control = chore->subject;

    weir_timer_clear(keeper->loop, &control->timer);
    weir_event_remove(keeper->loop, &control->event);
}

/* ---- workers: what is wanted is asked for */

static void call_fill(control_call *call, const weir_balance_change *change)
{
    const balance_server *server = &change->server;
    weir_builder text;

    weir_builder_over(&text, call->text, sizeof(call->text));
    weir_builder_add(&text, server->name);
    weir_builder_add(&text, server->route);
    weir_builder_add(&text, server->service);
    call->op = change->op;
    call->mask = change->mask;
    call->group = change->group->key;
    call->id = change->op == WEIR_BALANCE_ADD ? NO_ID : change->id;
    call->spare_id = NO_ID;
    call->begins = 0;
    call->weight = server->weight;
    call->max_conns = server->max_conns;
    call->max_fails = server->max_fails;
    call->fail_timeout_ms = server->fail_timeout_ms;
    call->slow_start_ms = server->slow_start_ms;
    call->flags = flags_of(server);
    call->name_len = (uint16_t) server->name.len;
    call->route_len = (uint16_t) server->route.len;
    call->service_len = (uint16_t) server->service.len;
}

bool balance_change_ask(const struct balance_control *control, weir_balance_change *change,
                        unsigned slot)
{
    control_call *calls = calls_of(control);

    for (size_t i = 0; i < CALLS; i++) {
        uint32_t free = CALL_FREE;

        if (atomic_compare_exchange_strong(&calls[i].word, &free, word_of(CALL_TAKEN, slot))) {
            call_fill(&calls[i], change);
            change->call = &calls[i];
            atomic_store(&calls[i].word, word_of(CALL_ASKED, slot));
            return true;
        }
    }
    return false;
}

bool balance_change_answered(weir_balance_change *change)
{
    control_call *call = change->call;

    if (state_of(atomic_load(&call->word)) != CALL_ANSWERED) {
        return false;
    }
    change->id = call->id;
    change->outcome = call->outcome;
    atomic_store(&call->word, CALL_FREE);
    return true;
}

static void change_end(weir_balance_change *change, weir_balance_change_outcome outcome)
{
    change->is_asked = false;
    change->outcome = outcome;
    change->done(change);
}

/* If it is of this worker. */
static void call_leave(control_call *call, uint32_t slot)
{
    uint32_t word = atomic_load(&call->word);
    uint32_t state;

    do {
        state = state_of(word);
        if (state == CALL_FREE || word >> STATE_BITS != slot) {
            return;
        }
        state = state == CALL_BEGUN || state == CALL_LEFT ? CALL_LEFT : CALL_FREE;
    } while (!atomic_compare_exchange_weak(&call->word, &word, word_of(state, slot)));
}

static void change_look(weir_timer *timer)
{
    weir_balance_change *change = WEIR_OWNER(timer, weir_balance_change, timer);
    control_call *call = change->call;

    if (balance_change_answered(change)) {
        change_end(change, change->outcome);
    } else if (weir_clock_now()->monotonic_ms - change->asked_ms > PATIENCE_MS) {
        call_leave(call, weir_worker_current()->slot);
        change_end(change, WEIR_BALANCE_CHANGE_NO_KEEPER);
    } else {
        (void) weir_timer_set(weir_worker_current()->loop, timer, LOOK_MS);
    }
}

bool weir_balance_change_begin(weir_balance_change *change)
{
    const weir_worker *worker = weir_worker_current();
    struct balance_control *control =
        balance_registry_of_cycle(worker->cycle, change->group->family)->control;
    const uint64_t one = 1;

    if (control == NULL
        || change->server.name.len + change->server.route.len + change->server.service.len
               > WEIR_BALANCE_TEXTS_MAX) {
        return false;
    }
    change->timer.name = "upstream change";
    change->timer.expired = change_look;
    change->asked_ms = weir_clock_now()->monotonic_ms;
    if (!weir_timer_set(worker->loop, &change->timer, LOOK_MS)) {
        return false;
    }
    if (!balance_change_ask(control, change, worker->slot)) {
        weir_timer_clear(worker->loop, &change->timer);
        return false;
    }
    change->is_asked = true;
    (void) !write(control->wake, &one, sizeof(one));
    return true;
}

void weir_balance_change_cancel(weir_balance_change *change)
{
    if (change->is_asked) {
        change->is_asked = false;
        weir_timer_clear(weir_worker_current()->loop, &change->timer);
        call_leave(change->call, weir_worker_current()->slot);
    }
}

/* ---- reading */

static void worker_gone(unsigned slot, void *subject)
{
    const struct balance_control *control = subject;
    control_call *calls = calls_of(control);

    for (size_t i = 0; calls != NULL && i < CALLS; i++) {
        call_leave(&calls[i], slot);
    }
}

static void control_end(void *subject)
{
    struct balance_control *control = subject;

    close(control->wake);
}

/* NULL: no memory, refused. */
static const char *joined(weir_conf *conf, const char *a, const char *b)
{
    weir_builder builder;
    weir_str text;

    weir_builder_open(&builder, weir_conf_pool(conf), SIZE_MAX);
    weir_builder_printf(&builder, "%s%s", a, b);
    weir_builder_add_byte(&builder, '\0');
    if (!weir_builder_close(&builder, &text)) {
        weir_conf_refuse(conf, "no memory for \"api\"");
        return NULL;
    }
    return text.data;
}

bool weir_balance_control_enable(weir_conf *conf, const weir_balance_family *family)
{
    weir_cycle *cycle = weir_conf_cycle(conf);
    balance_registry *registry = balance_registry_of_cycle(cycle, family);
    struct balance_control *control;
    weir_chore *chore = WEIR_NEW(weir_conf_pool(conf), weir_chore);
    const char *name, *layout;

    if (registry == NULL || registry->control != NULL) {
        return true;
    }
    control = WEIR_NEW(weir_conf_pool(conf), struct balance_control);
    name = joined(conf, family->name, " upstream changes");
    layout = joined(conf, LAYOUT, family->name);
    if (control == NULL || chore == NULL || name == NULL || layout == NULL) {
        return weir_conf_refuse(conf, "no memory for \"api\"");
    }
    registry->control = control;
    control->registry = registry;
    control->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (control->wake == -1) {
        return weir_conf_refuse(conf, "eventfd() failed (%d: %s)", errno, strerror(errno));
    }
    control->zone = weir_zone_new(conf, weir_str_from_z(name), CALLS * sizeof(control_call), layout,
                                  NULL, NULL);
    *chore = (weir_chore){.name = "upstream changes",
                          .start = control_start,
                          .stop = control_stop,
                          .subject = control};
    return control->zone != NULL
           && ((weir_pool_on_free(weir_conf_pool(conf), control_end, control) != NULL
                && weir_worker_on_gone(cycle, worker_gone, control)
                && weir_chore_register(cycle, chore))
               || weir_conf_refuse(conf, "no memory for \"api\""));
}
