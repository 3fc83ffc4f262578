#include "modules/balance/sticky_internal.h"

#include <stdlib.h>

#include <openssl/hmac.h>

#include "core/base/clock.h"

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

bool balance_sticky_attribute_is_good(weir_str value)
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
    if (value.len != 0 && balance_sticky_attribute_is_good(value)) {
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
