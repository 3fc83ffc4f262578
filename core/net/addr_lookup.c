/*
 * Host names, in the master, while a configuration is loaded.
 *
 * getaddrinfo() knows no time-out, and a resolver that is down holds it for half a minute a name: so it runs on a
 * thread, which is left behind when the time is up.  One name may use half of what is left of the
 * load's budget, so that a few dead ones do not take it from the others; and as each is asked for once, a dead one that stands
 * in many places costs no more than in one.
 */

#include "core/net/addr.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/net/hosts.h"

#define LOOKUP_BUDGET_PRESET_MS 5000
/* Less is no try. */
#define LOOKUP_LEAST_MS 10
#define LOOKUP_BUCKETS 1024
#define LOOKUP_HOST_MAX 255
#define LOOKUP_HOSTS_FILE "/etc/hosts"
#define LOOKUP_UNIX_PREFIX WEIR_STR("unix:")

/* One name: the load's, which remembers it, and the thread's; freed by whichever of the two is last. */
typedef struct lookup lookup;
struct lookup {
    lookup *next; /* in its bucket */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned references;
    bool is_done;
    pthread_t thread;
    struct addrinfo *found; /* NULL: none */
    char host[LOOKUP_HOST_MAX + 1];
};

/* When the budget is used up; 0: no load has begun. */
static uint64_t lookup_deadline_ms;
/* What this load has asked for, by name. */
static lookup *lookup_buckets[LOOKUP_BUCKETS];

static uint64_t lookup_now_ms(void)
{
    return weir_clock_monotonic_us() / 1000;
}

/* ---- the system's resolver */

static lookup *lookup_new(weir_str host)
{
    lookup *made = calloc(1, sizeof(*made));
    pthread_condattr_t attributes;

    if (made == NULL) {
        return NULL;
    }
    made->references = 1;
    memcpy(made->host, host.data, host.len);
    pthread_mutex_init(&made->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&made->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return made;
}

/* With the lock held, which is released. */
static void lookup_unref(lookup *one)
{
    bool is_last = --one->references == 0;

    pthread_mutex_unlock(&one->lock);
    if (!is_last) {
        return;
    }
    if (one->found != NULL) {
        freeaddrinfo(one->found);
    }
    pthread_cond_destroy(&one->changed);
    pthread_mutex_destroy(&one->lock);
    free(one);
}

static void lookup_forget_all(void)
{
    for (size_t i = 0; i < LOOKUP_BUCKETS; i++) {
        while (lookup_buckets[i] != NULL) {
            lookup *one = lookup_buckets[i];

            lookup_buckets[i] = one->next;
            pthread_mutex_lock(&one->lock);
            lookup_unref(one);
        }
    }
}

void weir_lookup_begin(uint64_t budget_ms)
{
    lookup_forget_all();
    lookup_deadline_ms = lookup_now_ms() + budget_ms;
}

void weir_lookup_end(void)
{
    lookup_forget_all();
    lookup_deadline_ms = 0;
}

static lookup **lookup_bucket(weir_str host)
{
    return &lookup_buckets[weir_str_hash_nocase(host) % LOOKUP_BUCKETS];
}

/* NULL: this load has not asked for it yet. */
static lookup *lookup_find(weir_str host)
{
    lookup *one = *lookup_bucket(host);

    while (one != NULL && !weir_str_eq_nocase(weir_str_from_z(one->host), host)) {
        one = one->next;
    }
    return one;
}

static void *lookup_thread(void *argument)
{
    lookup *one = argument;
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_ADDRCONFIG,
    };
    struct addrinfo *found = NULL;

    if (getaddrinfo(one->host, NULL, &hints, &found) != 0) {
        found = NULL;
    }

    pthread_mutex_lock(&one->lock);
    one->found = found;
    one->is_done = true;
    pthread_cond_signal(&one->changed);
    lookup_unref(one);
    return NULL;
}

/* Signals are for the thread that has a loop. */
static bool lookup_start_thread(lookup *one)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&one->thread, NULL, lookup_thread, one);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error == 0;
}

/*
 * Until it has come to its end, or the time is up; the lock is held before and after.  A thread that has is waited for, as it has given
 * the lock back and only cleans up: who is forked before it has would keep what it had.
 */
static void lookup_wait(lookup *one, uint64_t wait_ms)
{
    struct timespec end;
    int error = 0;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t) (wait_ms / 1000);
    end.tv_nsec += (long) (wait_ms % 1000) * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    while (!one->is_done && error == 0) {
        error = pthread_cond_timedwait(&one->changed, &one->lock, &end);
    }
    if (one->is_done) {
        pthread_join(one->thread, NULL);
    } else {
        pthread_detach(one->thread);
    }
}

/* ---- what was found */

typedef struct {
    weir_addr *addrs;
    size_t count, capacity;
} lookup_list;

static bool lookup_list_init(lookup_list *list, weir_pool *pool, size_t capacity)
{
    *list = (lookup_list){.addrs = WEIR_NEW_ARRAY(pool, weir_addr, capacity), .capacity = capacity};
    return list->addrs != NULL;
}

static void lookup_list_add(lookup_list *list, const weir_addr *addr)
{
    for (size_t i = 0; i < list->count; i++) {
        if (weir_addr_eq(&list->addrs[i], addr)) {
            return;
        }
    }
    if (list->count < list->capacity) {
        list->addrs[list->count++] = *addr;
    }
}

static void lookup_add_family(lookup_list *list, const struct addrinfo *found, int family,
                              uint16_t port)
{
    for (; found != NULL; found = found->ai_next) {
        weir_addr addr;

        if (found->ai_family != family || found->ai_addrlen > sizeof(addr.un)) {
            continue;
        }
        memset(&addr, 0, sizeof(addr));
        addr.len = found->ai_addrlen;
        memcpy(&addr.sa, found->ai_addr, found->ai_addrlen);
        weir_addr_set_port(&addr, port);
        lookup_list_add(list, &addr);
    }
}

/* False: no memory.  IPv4 comes first, as with nginx. */
static bool lookup_collect(lookup_list *list, weir_pool *pool, const struct addrinfo *found,
                           uint16_t port)
{
    size_t count = 0;

    for (const struct addrinfo *each = found; each != NULL; each = each->ai_next) {
        count++;
    }
    if (!lookup_list_init(list, pool, count)) {
        return false;
    }
    lookup_add_family(list, found, AF_INET, port);
    lookup_add_family(list, found, AF_INET6, port);
    return true;
}

/* ---- without time: the hosts file still answers */

static size_t lookup_hosts_file(weir_pool *pool, weir_str host, uint16_t port, weir_addr **addrs)
{
    enum { MOST = 16 };
    weir_addr found[MOST];
    size_t count = weir_hosts_find(LOOKUP_HOSTS_FILE, host, found, MOST);
    lookup_list list;

    if (!lookup_list_init(&list, pool, MOST)) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        weir_addr_set_port(&found[i], port);
        lookup_list_add(&list, &found[i]);
    }
    *addrs = list.addrs;
    return list.count;
}

/* ---- a name */

/* False: `*why` says it. */
static bool lookup_split(weir_str text, uint16_t default_port, weir_str *host, uint16_t *port,
                         const char **why)
{
    if (weir_str_starts(text, LOOKUP_UNIX_PREFIX)) {
        *why = text.len == LOOKUP_UNIX_PREFIX.len ? "no path in the unix domain socket"
                                                  : "too long path in the unix domain socket";
        return false;
    }
    if (!weir_addr_split(text, default_port, host, port)) {
        *why = weir_addr_host(text).len == 0 ? "no host" : "invalid port";
        return false;
    }
    if (host->len > LOOKUP_HOST_MAX || weir_str_find_byte(*host, '\0') != NULL
        || weir_str_find_byte(*host, ':') != NULL || weir_str_find_byte(*host, '/') != NULL) {
        *why = "invalid host";
        return false;
    }
    return true;
}

/* The milliseconds that one name may take. */
static uint64_t lookup_share_ms(void)
{
    uint64_t now_ms = lookup_now_ms();

    if (lookup_deadline_ms == 0) {
        weir_lookup_begin(LOOKUP_BUDGET_PRESET_MS);
    }
    return lookup_deadline_ms > now_ms ? (lookup_deadline_ms - now_ms) / 2 : 0;
}

/* Remembered, whatever comes of it; NULL: `*why` says why it was not asked for. */
static lookup *lookup_ask(weir_str host, uint64_t wait_ms, const char **why)
{
    lookup **bucket = lookup_bucket(host);
    lookup *one = lookup_new(host);

    if (one == NULL) {
        *why = "no memory";
        return NULL;
    }

    pthread_mutex_lock(&one->lock);
    one->references++;
    if (!lookup_start_thread(one)) {
        one->references--;
        *why = "no thread to look it up";
        lookup_unref(one);
        return NULL;
    }
    lookup_wait(one, wait_ms);
    pthread_mutex_unlock(&one->lock);

    one->next = *bucket;
    *bucket = one;
    return one;
}

/* One that took too long may have come to its end since. */
static size_t lookup_answer(lookup *one, weir_pool *pool, uint16_t port, weir_addr **addrs,
                            const char **why)
{
    lookup_list list = {.count = 0};

    pthread_mutex_lock(&one->lock);
    if (!one->is_done) {
        *why = "looking the host up timed out";
    } else if (one->found != NULL && !lookup_collect(&list, pool, one->found, port)) {
        *why = "no memory";
    } else {
        *why = "host not found";
    }
    pthread_mutex_unlock(&one->lock);

    *addrs = list.addrs;
    return list.count;
}

static size_t lookup_name(weir_pool *pool, weir_str host, uint16_t port, weir_addr **addrs,
                          const char **why)
{
    lookup *one = lookup_find(host);
    uint64_t share_ms;

    if (one == NULL) {
        share_ms = lookup_share_ms();
        if (share_ms < LOOKUP_LEAST_MS) {
            *why = "the time for looking hosts up is used up";
            return lookup_hosts_file(pool, host, port, addrs);
        }
        one = lookup_ask(host, share_ms, why);
    }
    return one == NULL ? 0 : lookup_answer(one, pool, port, addrs, why);
}

bool weir_lookup_takes(weir_str host, const char **why)
{
    weir_addr literal;
    weir_str name;
    uint16_t port;

    return weir_addr_parse(host, 1, &literal) || weir_addr_parse_ip(host, &literal)
           || lookup_split(host, 0, &name, &port, why);
}

size_t weir_lookup(weir_pool *pool, weir_str host, uint16_t default_port, weir_addr **list,
                   const char **why)
{
    weir_addr literal;
    weir_str name;
    uint16_t port;

    if (!weir_addr_parse(host, default_port, &literal)) {
        if (weir_addr_parse_ip(host, &literal)) {
            weir_addr_set_port(&literal, default_port);
        } else if (!lookup_split(host, default_port, &name, &port, why)) {
            return 0;
        } else {
            return lookup_name(pool, name, port, list, why);
        }
    }

    *list = WEIR_NEW(pool, weir_addr);
    if (*list == NULL) {
        *why = "no memory";
        return 0;
    }
    **list = literal;
    return 1;
}
