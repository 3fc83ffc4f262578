#include "core/base/clock.h"
#include "core/shared/lock.h"
#include "core/shared/table.h"
#include "modules/waf/store.h"
#include "modules/waf/transaction_internal.h"

/*
 * Collections that outlive requests: GLOBAL, IP, RESOURCE, SESSION, USER.
 *
 * An entry of the store is a row of members: name length, text length, when it expires (seconds since 1970; 0: never), up to
 * when it has been deprecated, name, text.  A change reads, changes and writes the entry while no other process does.
 */

struct weir_waf_store {
    weir_table *table;
    weir_shared_lock *lock;
    weir_str name;
    const weir_log *log;
    /* This process's: what it has told of, and when. */
    uint64_t evicted_told, evicted_told_s;
    uint64_t refused, refused_told, refused_told_s;
};

#define TELL_AGAIN_S 60

struct weir_waf_kept {
    weir_str key;
};

typedef struct {
    uint32_t name_len, text_len;
    uint64_t expires_s, deprecated_s;
} member_head;

/* One entry while it is changed; the worker's, as nothing waits in between. */
typedef struct {
    char bytes[WEIR_WAF_KEPT_MAX];
    size_t len;
} entry_image;

weir_waf_store *weir_waf_store_open(weir_pool *pool, void *memory, size_t bytes, bool is_new,
                                    weir_str name, const weir_log *log)
{
    static const weir_table_shape shape = {.numbers = 0};
    size_t head = (sizeof(weir_shared_lock) + 63) / 64 * 64;
    weir_waf_store *store = WEIR_NEW(pool, weir_waf_store);

    if (store == NULL || bytes < head + WEIR_TABLE_BYTES_MIN) {
        return NULL;
    }
    store->lock = memory;
    if (is_new) {
        weir_shared_lock_init(store->lock);
    }
    store->table =
        weir_table_open(pool, (char *) memory + head, bytes - head, shape, is_new, name, log);
    if (store->table == NULL) {
        return NULL;
    }
    store->name = name;
    store->log = log;
    store->evicted_told = weir_table_tell(store->table).evicted;
    return store;
}

/* Once a minute: a flood of keys is not to become a flood of lines. */
static bool is_to_be_told(uint64_t *told_s)
{
    uint64_t now_s = (uint64_t) weir_clock_now()->wall_s;

    if (*told_s != 0 && now_s < *told_s + TELL_AGAIN_S) {
        return false;
    }
    *told_s = now_s;
    return true;
}

static void tell_evictions(weir_waf_store *store)
{
    uint64_t evicted = weir_table_evicted(store->table);

    if (evicted != store->evicted_told && is_to_be_told(&store->evicted_told_s)) {
        weir_log_line(store->log, WEIR_LOG_WARN, 0,
                      "ModSecurity: the zone \"%.*s\" is full: %llu collections that had not "
                      "expired made room for others (modsecurity_collections_size)",
                      WEIR_STR_ARG(store->name),
                      (unsigned long long) (evicted - store->evicted_told));
        store->evicted_told = evicted;
    }
}

/* What rules count on is lost.  `key` is the last one's. */
static void tell_refusals(weir_waf_store *store, weir_str key)
{
    if (store->refused != store->refused_told && is_to_be_told(&store->refused_told_s)) {
        weir_log_line(store->log, WEIR_LOG_ERR, 0,
                      "ModSecurity: %llu changes of collections are lost, the last one of "
                      "\"%.*s\": they would be larger than %d "
                      "bytes, or than an eighth of their zone",
                      (unsigned long long) (store->refused - store->refused_told),
                      key.len > 200 ? 200 : WEIR_STR_ARG(key), WEIR_WAF_KEPT_MAX);
        store->refused_told = store->refused;
    }
}

static unsigned place_of(weir_waf_variable variable)
{
    switch ((int) variable) {
    case WEIR_WAF_VAR_GLOBAL:
        return 0;
    case WEIR_WAF_VAR_IP:
        return 1;
    case WEIR_WAF_VAR_RESOURCE:
        return 2;
    case WEIR_WAF_VAR_SESSION:
        return 3;
    default:
        return 4;
    }
}

/* ---- members of an entry */

static bool next_member(weir_str *rest, member_head *head, weir_str *name, weir_str *text)
{
    if (rest->len < sizeof(*head)) {
        return false;
    }
    memcpy(head, rest->data, sizeof(*head));
    if (rest->len - sizeof(*head) < (size_t) head->name_len + head->text_len) {
        return false;
    }
    *name = weir_str_slice(*rest, sizeof(*head), sizeof(*head) + head->name_len);
    *text = weir_str_slice(*rest, sizeof(*head) + head->name_len,
                           sizeof(*head) + head->name_len + head->text_len);
    *rest = weir_str_from(*rest, sizeof(*head) + head->name_len + head->text_len);
    return true;
}

static bool add_member(entry_image *image, const member_head *head, weir_str name, weir_str text)
{
    size_t bytes = sizeof(*head) + name.len + text.len;

    if (bytes > sizeof(image->bytes) - image->len) {
        return false;
    }
    memcpy(image->bytes + image->len, head, sizeof(*head));
    memcpy(image->bytes + image->len + sizeof(*head), name.data, name.len);
    memcpy(image->bytes + image->len + sizeof(*head) + name.len, text.data, text.len);
    image->len += bytes;
    return true;
}

static bool is_over(const member_head *head, uint64_t now_s)
{
    return head->expires_s != 0 && head->expires_s <= now_s;
}

/* What a change makes of one member; `text` is to be kept until the entry is written. */
typedef struct {
    weir_str name;
    const weir_waf_effect *effect;
    weir_str text;
    uint64_t seconds; /* expirevar */
    char number[24];
} member_change;

static int64_t sum_of(int64_t number, const member_change *change, int64_t by)
{
    int64_t result;
    bool overflows = change->effect->assignment == WEIR_WAF_SUBTRACT
                         ? __builtin_sub_overflow(number, by, &result)
                         : __builtin_add_overflow(number, by, &result);

    return overflows ? number : result;
}

/* Takes the amount off for each span that has passed, however often it is asked to; the rest of a span counts on. */
static int64_t deprecated(member_head *head, const weir_waf_effect *effect, int64_t number,
                          uint64_t now_s)
{
    uint64_t spans =
        now_s > head->deprecated_s ? (now_s - head->deprecated_s) / effect->seconds : 0;
    int64_t amount;

    head->deprecated_s += spans * effect->seconds;
    if (number <= 0 || spans > INT32_MAX
        || __builtin_mul_overflow(effect->number, (int64_t) spans, &amount) || amount >= number) {
        return spans == 0 ? number : 0;
    }
    return number - amount;
}

/* False: the member is no more. */
static bool change_member(member_change *change, member_head *head, weir_str *text, uint64_t now_s)
{
    const weir_waf_effect *effect = change->effect;
    weir_builder digits;
    int64_t number = weir_waf_number_of(*text);

    weir_builder_over(&digits, change->number, sizeof(change->number));
    switch (effect->kind) {
    case WEIR_WAF_EXPIREVAR:
        head->expires_s = now_s + change->seconds;
        return true;
    case WEIR_WAF_DEPRECATEVAR:
        weir_builder_add_int(&digits, deprecated(head, effect, number, now_s));
        *text = weir_builder_cut(&digits);
        return true;
    default:
        break;
    }
    if (effect->assignment == WEIR_WAF_UNSET) {
        return false;
    }
    if (effect->assignment == WEIR_WAF_ASSIGN) {
        *text = change->text;
        head->deprecated_s = now_s;
        return true;
    }
    weir_builder_add_int(&digits, sum_of(number, change, weir_waf_number_of(change->text)));
    *text = weir_builder_cut(&digits);
    return true;
}

/* `from` with one member changed, and without those whose time is over. */
static bool change_entry(weir_str from, entry_image *to, member_change *change, uint64_t now_s,
                         weir_str *became, bool *is_there)
{
    member_head head;
    weir_str name, text;
    bool is_found = false;

    *is_there = false;
    to->len = 0;
    while (next_member(&from, &head, &name, &text)) {
        if (is_over(&head, now_s)) {
            continue;
        }
        if (weir_str_eq_nocase(name, change->name)) {
            is_found = true;
            if (!change_member(change, &head, &text, now_s)) {
                continue;
            }
            head.text_len = (uint32_t) text.len;
            *became = text;
            *is_there = true;
        }
        if (!add_member(to, &head, name, text)) {
            return false;
        }
    }
    if (is_found || change->effect->kind != WEIR_WAF_SETVAR) {
        return true;
    }
    text = WEIR_STR_EMPTY;
    head = (member_head){.name_len = (uint32_t) change->name.len, .deprecated_s = now_s};
    if (!change_member(change, &head, &text, now_s)) {
        return true;
    }
    head.text_len = (uint32_t) text.len;
    *became = text;
    *is_there = true;
    return add_member(to, &head, change->name, text);
}

/* ---- a transaction's view */

static weir_waf_value *find_member(weir_waf_values *values, weir_str name)
{
    for (uint32_t i = 0; i < values->count; i++) {
        if (weir_str_eq_nocase(values->items[i].name, name)) {
            return &values->items[i];
        }
    }
    return NULL;
}

static void load(weir_waf_transaction *tx, weir_waf_variable variable, weir_str bytes)
{
    uint64_t now_s = (uint64_t) weir_clock_now()->wall_s;
    member_head head;
    weir_str name, text;

    tx->values[variable].count = 0;
    while (next_member(&bytes, &head, &name, &text)) {
        if (!is_over(&head, now_s) && !weir_waf_add(tx, variable, name, text)) {
            return;
        }
    }
}

void weir_waf_kept_open(weir_waf_transaction *tx, weir_waf_variable variable, weir_str key)
{
    struct weir_waf_kept *kept = WEIR_NEW(tx->pool, struct weir_waf_kept);
    weir_str collection = weir_waf_variable_name(variable);
    weir_builder builder;
    char *image;
    size_t len;

    weir_builder_open(&builder, tx->pool, WEIR_TABLE_KEY_MAX);
    weir_builder_add(&builder, collection);
    weir_builder_add_byte(&builder, ' ');
    weir_builder_add(&builder, tx->settings->web_app_id);
    weir_builder_add_byte(&builder, ' ');
    weir_builder_add(&builder, key);
    if (kept == NULL || !weir_builder_close(&builder, &kept->key)) {
        weir_waf_exhausted(tx, "memory");
        return;
    }
    tx->kept[place_of(variable)] = kept;
    tx->values[variable].count = 0;
    tx->work += 2000;
    if (tx->options.store == NULL) {
        return;
    }
    image = weir_pool_bytes(tx->pool, WEIR_WAF_KEPT_MAX);
    if (image == NULL) {
        weir_waf_exhausted(tx, "memory");
        return;
    }
    if (weir_table_get(tx->options.store->table, kept->key, image, WEIR_WAF_KEPT_MAX, &len)) {
        weir_pool_trim(tx->pool, image, WEIR_WAF_KEPT_MAX, len);
        load(tx, variable, weir_str_of(image, len));
    } else {
        weir_pool_trim(tx->pool, image, WEIR_WAF_KEPT_MAX, 0);
    }
}

void weir_waf_kept_open_id(weir_waf_transaction *tx, weir_waf_variable variable, weir_str id)
{
    weir_str *place = variable == WEIR_WAF_VAR_SESSION ? &tx->session_id
                      : variable == WEIR_WAF_VAR_USER  ? &tx->user_id
                                                       : &tx->resource_id;

    *place = id;
    weir_waf_kept_open(tx, variable, id);
}

/* For the rules that come: as the entry is now. */
static void show(weir_waf_transaction *tx, weir_waf_variable variable, weir_str name, weir_str text,
                 bool is_there)
{
    weir_waf_values *values = &tx->values[variable];
    weir_waf_value *value = find_member(values, name);
    weir_str kept;

    if (!is_there) {
        if (value != NULL) {
            *value = values->items[--values->count];
        }
        return;
    }
    if (!weir_str_copy(tx->pool, text, &kept)) {
        weir_waf_exhausted(tx, "memory");
    } else if (value != NULL) {
        value->text = kept;
        value->node = NULL;
    } else {
        (void) weir_waf_add(tx, variable, name, kept);
    }
}

static void change(weir_waf_transaction *tx, member_change *what)
{
    const struct weir_waf_kept *kept = tx->kept[place_of(what->effect->variable)];
    weir_waf_store *store = tx->options.store;
    uint64_t now_s = (uint64_t) weir_clock_now()->wall_s;
    entry_image *before, *after;
    weir_str became = WEIR_STR_EMPTY;
    bool is_there = false;

    tx->work += 4000;
    if (kept == NULL) {
        return;
    }
    if (tx->worker->images == NULL) {
        tx->worker->images = weir_pool_alloc(tx->worker->pool, 2 * sizeof(entry_image));
    }
    before = tx->worker->images;
    if (before == NULL) {
        weir_waf_exhausted(tx, "memory");
        return;
    }
    after = before + 1;
    before->len = 0;
    if (store == NULL || weir_shared_lock_take(store->lock) == WEIR_LOCK_MISSED) {
        return;
    }
    if (!weir_table_get(store->table, kept->key, before->bytes, sizeof(before->bytes),
                        &before->len)) {
        before->len = 0;
    }
    if (change_entry(weir_str_of(before->bytes, before->len), after, what, now_s, &became,
                     &is_there)
        && weir_table_put(store->table, kept->key, weir_str_of(after->bytes, after->len),
                          tx->settings->collection_timeout_s * 1000)) {
        show(tx, what->effect->variable, what->name, became, is_there);
    } else {
        store->refused++;
    }
    weir_shared_lock_give(store->lock);
    tell_refusals(store, kept->key);
    tell_evictions(store);
}

void weir_waf_kept_set(weir_waf_transaction *tx, const weir_waf_effect *effect, weir_str name,
                       weir_str text)
{
    member_change what = {.name = name, .effect = effect, .text = text};

    change(tx, &what);
}

void weir_waf_kept_age(weir_waf_transaction *tx, const weir_waf_effect *effect, weir_str name)
{
    member_change what = {.name = name, .effect = effect};
    int64_t seconds;

    /* A TX variable ends with its request anyway. */
    if (weir_waf_variable_source_of(effect->variable) != WEIR_WAF_SOURCE_KEPT) {
        return;
    }
    seconds = weir_waf_number_of(weir_waf_expand(tx, &effect->value));
    what.seconds = seconds > 0 ? (uint64_t) seconds : 0;
    change(tx, &what);
}
