#include "modules/waf/transaction_internal.h"

#include <stdlib.h>

#include "core/base/clock.h"

/* The life of a transaction. */

#define POOL_CHUNK 65536

weir_waf_worker *weir_waf_worker_new(void)
{
    weir_pool *pool;
    weir_waf_worker *worker = WEIR_NEW_WITH_POOL(weir_waf_worker, WEIR_WAF_LINE_MAX, &pool);

    if (worker == NULL) {
        return NULL;
    }
    worker->pool = pool;
    worker->matcher = weir_waf_matcher_new(pool);
    worker->line = weir_pool_bytes(pool, WEIR_WAF_LINE_MAX);
    worker->known = weir_waf_known_new(pool);
    worker->known_long = weir_waf_known_new(pool);
    if (worker->matcher == NULL || worker->line == NULL || worker->known == NULL
        || worker->known_long == NULL) {
        weir_pool_free(pool);
        return NULL;
    }
    return worker;
}

void weir_waf_worker_free(weir_waf_worker *worker)
{
    if (worker != NULL) {
        weir_pool_free(worker->spare);
        weir_pool_free(worker->pool);
    }
}

/* One pool is kept: most requests find it. */
static weir_pool *pool_get(weir_waf_worker *worker, size_t bytes)
{
    weir_pool *pool = worker->spare;

    if (pool != NULL && worker->spare_bytes == bytes) {
        worker->spare = NULL;
        return pool;
    }
    return weir_pool_new(POOL_CHUNK, bytes);
}

static void pool_put(weir_waf_worker *worker, weir_pool *pool, size_t bytes)
{
    if (worker->spare != NULL) {
        weir_pool_free(pool);
        return;
    }
    weir_pool_reset(pool);
    worker->spare = pool;
    worker->spare_bytes = bytes;
}

static void set_budget(weir_waf_budget *budget)
{
    if (budget->work == 0) {
        budget->work = WEIR_WAF_WORK_PRESET;
    }
    if (budget->bytes == 0) {
        budget->bytes = WEIR_WAF_BYTES_PRESET;
    }
    if (budget->turn_us == 0) {
        budget->turn_us = WEIR_WAF_TURN_US_PRESET;
    }
}

static weir_waf_engine_mode mode_of(const weir_waf_transaction *tx)
{
    if (tx->options.only_detects) {
        return tx->options.forces_on || tx->settings->engine != WEIR_WAF_ENGINE_OFF
                   ? WEIR_WAF_ENGINE_DETECTION
                   : WEIR_WAF_ENGINE_OFF;
    }
    return tx->options.forces_on ? WEIR_WAF_ENGINE_ON : tx->settings->engine;
}

weir_waf_transaction *weir_waf_transaction_new(const weir_waf_program *program,
                                               weir_waf_worker *worker,
                                               const weir_waf_options *options)
{
    const weir_waf_library *library = program->library;
    weir_waf_budget budget = options->budget;
    weir_waf_transaction *tx;
    weir_pool *pool;

    set_budget(&budget);
    pool = pool_get(worker, budget.bytes);
    if (pool == NULL) {
        return NULL;
    }
    tx = WEIR_NEW(pool, weir_waf_transaction);
    if (tx != NULL) {
        tx->slots = WEIR_NEW_ARRAY(pool, weir_waf_slot_value, library->slot_names.count);
    }
    if (tx == NULL || tx->slots == NULL
        || !weir_str_copy(pool, options->unique_id, &tx->options.unique_id)) {
        weir_pool_free(pool);
        return NULL;
    }
    weir_str unique_id = tx->options.unique_id;

    tx->options = *options;
    tx->options.unique_id = unique_id;
    tx->options.budget = budget;
    tx->pool = pool;
    tx->worker = worker;
    tx->program = program;
    tx->library = library;
    tx->settings = &program->settings;
    tx->engine = mode_of(tx);
    tx->audit_mode = tx->settings->audit.mode;
    tx->audit_parts = weir_str_from_z(tx->settings->audit.parts);
    tx->request_body_access = tx->settings->request_body_access;
    tx->xml_arguments = tx->settings->xml_arguments;
    tx->response_body_access = tx->settings->response_body_access;
    tx->highest_severity = 255;
    tx->started_us = weir_clock_monotonic_us();
    weir_array_init(&tx->removals, pool, sizeof(weir_waf_removal), 4);
    weir_waf_collect_zeroes(tx);
    if (!weir_waf_sieve_init(tx)) {
        weir_waf_transaction_free(tx);
        return NULL;
    }
    return tx;
}

void weir_waf_transaction_free(weir_waf_transaction *tx)
{
    if (tx == NULL) {
        return;
    }
    if (tx->pool_is_raised) {
        weir_pool_free(tx->pool);
    } else {
        pool_put(tx->worker, tx->pool, tx->options.budget.bytes);
    }
}

weir_pool *weir_waf_transaction_pool(weir_waf_transaction *tx)
{
    return tx->pool;
}

weir_str weir_waf_unique_id(const weir_waf_transaction *tx)
{
    return tx->options.unique_id;
}

void weir_waf_set_connection(weir_waf_transaction *tx, const weir_waf_connection *connection)
{
    tx->connection = *connection;
}

void weir_waf_set_request_line(weir_waf_transaction *tx, const weir_waf_request_line *request)
{
    tx->request = *request;
}

bool weir_waf_wants_request_body(const weir_waf_transaction *tx)
{
    return tx->engine != WEIR_WAF_ENGINE_OFF && tx->request_body_access && tx->disrupted_in == 0
           && !tx->allows_all && !tx->allows_request;
}

uint64_t weir_waf_request_body_limit(const weir_waf_transaction *tx)
{
    return tx->settings->request_body_limit;
}

bool weir_waf_rejects_over_limit(const weir_waf_transaction *tx)
{
    return tx->engine == WEIR_WAF_ENGINE_ON
           && tx->settings->request_body_limit_action == WEIR_WAF_LIMIT_REJECT;
}

bool weir_waf_may_want_response_body(const weir_waf_transaction *tx)
{
    return tx->engine != WEIR_WAF_ENGINE_OFF && tx->response_body_access;
}

uint64_t weir_waf_response_body_limit(const weir_waf_transaction *tx)
{
    return tx->settings->response_body_limit;
}

bool weir_waf_rejects_response_over_limit(const weir_waf_transaction *tx)
{
    return tx->engine == WEIR_WAF_ENGINE_ON
           && tx->settings->response_body_limit_action == WEIR_WAF_LIMIT_REJECT;
}

void weir_waf_set_request_body(weir_waf_transaction *tx, weir_str body, bool is_cut)
{
    tx->request_body = body;
    tx->request_body_is_cut = is_cut;
    tx->has_request_body = body.len != 0;
}

/* Without parameters, and without case. */
static bool type_is_listed(const weir_waf_transaction *tx, weir_str type)
{
    weir_str listed = tx->settings->mime_types;
    weir_str plain = WEIR_STR_EMPTY;
    weir_str one;

    (void) weir_str_split(&type, ';', &plain);
    plain = weir_str_trim(plain);
    while (weir_str_split(&listed, ' ', &one)) {
        if (one.len != 0 && (weir_str_eq_nocase(one, plain) || weir_str_eq(one, WEIR_STR("(null)")))
            && (plain.len != 0 || weir_str_eq(one, WEIR_STR("(null)")))) {
            return true;
        }
    }
    return false;
}

bool weir_waf_wants_response_body(const weir_waf_transaction *tx)
{
    return tx->engine != WEIR_WAF_ENGINE_OFF && tx->response_body_access && tx->disrupted_in == 0
           && !tx->allows_all && !tx->is_exhausted
           && type_is_listed(tx, weir_waf_scalar(tx, WEIR_WAF_VAR_RESPONSE_CONTENT_TYPE));
}

void weir_waf_set_response_body(weir_waf_transaction *tx, weir_str body, bool is_cut)
{
    tx->response_body = body;
    tx->has_response_body = true;
    if (is_cut) {
        (void) weir_waf_set(tx, WEIR_WAF_VAR_OUTBOUND_DATA_ERROR, WEIR_STR("1"));
    }
}

const weir_waf_intervention *weir_waf_intervened(const weir_waf_transaction *tx)
{
    return &tx->intervention;
}

const weir_waf_settings *weir_waf_transaction_settings(const weir_waf_transaction *tx)
{
    return tx->settings;
}

weir_str weir_waf_client_addr(const weir_waf_transaction *tx)
{
    return tx->connection.client_addr;
}
