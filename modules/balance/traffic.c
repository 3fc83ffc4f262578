#include "modules/balance/balance_internal.h"

#include "core/base/number.h"

/*
 * What peers were given and what they answered: numbers that only rise, and averages of times.  A row for each worker, a
 * place in it for each peer, so that no worker takes a cache line from another for each request; what is told is the sum.
 * Unlike that of a ledger, the row of a dead worker stays, but for the times: whoever has its slot next counts on.
 */

#define ROWS 64        /* the last one is shared by all workers that have no row of their own */
#define AVERAGE_OVER 8 /* a new time moves an average by one part in this many */
#define CODE_SHIFT 48  /* a status above, how often it came below */
#define CODE_COUNT ((UINT64_C(1) << CODE_SHIFT) - 1)

_Static_assert(sizeof(balance_traffic) % 64 == 0, "peers share no cache line");

/* In front of the rows: how many are in use.  Pages of the others are never touched, and so take no memory. */
typedef struct {
    _Alignas(64) _Atomic uint32_t used;
} rows_head;

static balance_traffic *place(void *memory, size_t columns, size_t row, size_t column)
{
    return (balance_traffic *) (void *) ((rows_head *) memory + 1) + row * columns + column;
}

/* No more than there are, whatever the memory says. */
static size_t rows_used(const rows_head *head)
{
    size_t used = atomic_load_explicit(&head->used, memory_order_relaxed);

    return used < ROWS ? used : ROWS;
}

size_t balance_traffic_bytes(size_t columns)
{
    size_t bytes;

    return weir_mul_size(columns, ROWS * sizeof(balance_traffic), &bytes)
                   && weir_add_size(bytes, sizeof(rows_head), &bytes)
               ? bytes
               : 0;
}

/* Whether this worker counts in the row of many. */
static bool is_shared(void)
{
    return balance_own_slot() >= ROWS - 1;
}

balance_traffic *balance_traffic_own(void *memory, size_t columns, size_t column)
{
    rows_head *head = memory;
    uint32_t row = is_shared() ? ROWS - 1 : (uint32_t) balance_own_slot();
    uint32_t used = atomic_load(&head->used);

    while (used <= row && !atomic_compare_exchange_weak(&head->used, &used, row + 1)) {
    }
    return place(memory, columns, row, column);
}

void balance_traffic_gone(void *memory, size_t columns, size_t slot)
{
    if (slot >= ROWS - 1 || slot >= rows_used(memory)) {
        return;
    }
    for (size_t column = 0; column < columns; column++) {
        balance_traffic *gone = place(memory, columns, slot, column);

        /* Looked at first: most are of workers that have used few. */
        if (atomic_load_explicit(&gone->connect_us, memory_order_relaxed) != 0
            || atomic_load_explicit(&gone->first_us, memory_order_relaxed) != 0
            || atomic_load_explicit(&gone->last_us, memory_order_relaxed) != 0) {
            atomic_store_explicit(&gone->connect_us, 0, memory_order_relaxed);
            atomic_store_explicit(&gone->first_us, 0, memory_order_relaxed);
            atomic_store_explicit(&gone->last_us, 0, memory_order_relaxed);
        }
    }
}

void balance_traffic_clear(void *memory, size_t columns, size_t column)
{
    for (size_t row = 0; row < rows_used(memory); row++) {
        _Atomic uint64_t *words = (_Atomic uint64_t *) place(memory, columns, row, column);

        for (size_t i = 0; i < sizeof(balance_traffic) / sizeof(*words); i++) {
            atomic_store_explicit(&words[i], 0, memory_order_relaxed);
        }
    }
}

/* ---- counting */

/* One writer needs no locked instruction. */
static void word_add(_Atomic uint64_t *word, uint64_t number)
{
    if (WEIR_UNLIKELY(is_shared())) {
        atomic_fetch_add_explicit(word, number, memory_order_relaxed);
    } else {
        atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + number,
                              memory_order_relaxed);
    }
}

void balance_average(_Atomic uint64_t *mean, uint64_t us)
{
    uint64_t before = atomic_load_explicit(mean, memory_order_relaxed);
    uint64_t after = before == 0 ? us : before - before / AVERAGE_OVER + us / AVERAGE_OVER;

    atomic_store_explicit(mean, after == 0 ? 1 : after, memory_order_relaxed);
}

void balance_traffic_selected(balance_traffic *own, uint64_t now_ms)
{
    word_add(&own->requests, 1);
    atomic_store_explicit(&own->selected_ms, now_ms, memory_order_relaxed);
}

/* False: the word is another status'.  It may be set to zero at any time, so status and count are written as one. */
static bool code_count_in(_Atomic uint64_t *word, uint64_t status)
{
    uint64_t code = atomic_load_explicit(word, memory_order_relaxed);

    while (code == 0 || code >> CODE_SHIFT == status) {
        uint64_t more = (code == 0 ? status << CODE_SHIFT : code) + 1;

        if (WEIR_LIKELY(!is_shared())) {
            atomic_store_explicit(word, more, memory_order_relaxed);
            return true;
        }
        if (atomic_compare_exchange_weak(word, &code, more)) {
            return true;
        }
    }
    return false;
}

/* The first that come have a place; of others the class alone is known. */
static void code_count(balance_traffic *own, uint64_t status)
{
    for (size_t i = 0; i < BALANCE_CODES && !code_count_in(&own->codes[i], status); i++) {
    }
}

void balance_traffic_count(balance_traffic *own, unsigned status, uint64_t sent, uint64_t received)
{
    word_add(&own->sent, sent);
    word_add(&own->received, received);
    if (status >= 100 && status < 600) {
        word_add(&own->responses[status / 100 - 1], 1);
        code_count(own, status);
    }
}

void balance_traffic_handshake(balance_traffic *own, const weir_connection *connection,
                               bool is_established)
{
    if (!is_established) {
        word_add(&own->refused[weir_tls_connect_refusal(connection)], 1);
        return;
    }
    word_add(&own->handshakes, 1);
    if (weir_tls_is_resumed(connection)) {
        word_add(&own->resumed, 1);
    }
}

/* ---- telling */

static void mean_add(const _Atomic uint64_t *word, uint64_t *sum, uint64_t *count)
{
    uint64_t us = atomic_load_explicit(word, memory_order_relaxed);

    *sum += us;
    *count += us != 0;
}

static void codes_add(const balance_traffic *own, weir_balance_traffic *sum)
{
    for (size_t i = 0; i < BALANCE_CODES; i++) {
        uint64_t code = atomic_load_explicit(&own->codes[i], memory_order_relaxed);
        size_t at = 0;

        while (at < sum->code_count && sum->codes[at].status != code >> CODE_SHIFT) {
            at++;
        }
        if (code == 0 || at == WEIR_COUNT(sum->codes)) {
            continue;
        }
        sum->code_count += at == sum->code_count;
        sum->codes[at].status = (unsigned) (code >> CODE_SHIFT);
        sum->codes[at].count += code & CODE_COUNT;
    }
}

void balance_traffic_sum(void *memory, size_t columns, size_t column, weir_balance_traffic *sum)
{
    uint64_t means[3][2] = {{0}};

    *sum = (weir_balance_traffic){0};
    for (size_t row = 0; row < rows_used(memory); row++) {
        const balance_traffic *own = place(memory, columns, row, column);
        uint64_t selected = atomic_load_explicit(&own->selected_ms, memory_order_relaxed);

        if (selected == 0) {
            continue;
        }
        sum->selected_ms = selected > sum->selected_ms ? selected : sum->selected_ms;
        sum->requests += atomic_load_explicit(&own->requests, memory_order_relaxed);
        sum->sent += atomic_load_explicit(&own->sent, memory_order_relaxed);
        sum->handshakes += atomic_load_explicit(&own->handshakes, memory_order_relaxed);
        sum->resumed += atomic_load_explicit(&own->resumed, memory_order_relaxed);
        for (size_t i = 0; i < WEIR_COUNT(sum->refused); i++) {
            sum->refused[i] += atomic_load_explicit(&own->refused[i], memory_order_relaxed);
        }
        sum->received += atomic_load_explicit(&own->received, memory_order_relaxed);
        for (size_t i = 0; i < WEIR_COUNT(sum->responses); i++) {
            sum->responses[i] += atomic_load_explicit(&own->responses[i], memory_order_relaxed);
        }
        mean_add(&own->connect_us, &means[0][0], &means[0][1]);
        mean_add(&own->first_us, &means[1][0], &means[1][1]);
        mean_add(&own->last_us, &means[2][0], &means[2][1]);
        codes_add(own, sum);
    }
    sum->connect_us = means[0][1] == 0 ? 0 : means[0][0] / means[0][1];
    sum->first_us = means[1][1] == 0 ? 0 : means[1][0] / means[1][1];
    sum->last_us = means[2][1] == 0 ? 0 : means[2][0] / means[2][1];
}
