/*
 * Rules up to the first line "--", then a request: its target, header lines, an empty line, a body.  What can be read as rules
 * is run over the request, with the prefilter and without; both decide the same.
 */

#include <stdlib.h>

#include "modules/waf/program.h"
#include "modules/waf/transaction.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void run_phase(weir_waf_transaction *tx, weir_waf_phase phase)
{
    while (weir_waf_run_phase(tx, phase) == WEIR_WAIT) {
    }
}

static weir_waf_intervention run(const weir_waf_program *program, weir_waf_worker *worker,
                                 weir_str request)
{
    weir_waf_options options = {
        .unique_id = WEIR_STR("1"),
        .budget = {.work = 20000000, .bytes = 16 * 1024 * 1024},
    };
    weir_waf_request_line line = {.method = WEIR_STR("POST"), .protocol = WEIR_STR("HTTP/1.1")};
    weir_waf_transaction *tx = weir_waf_transaction_new(program, worker, &options);
    weir_waf_intervention intervention;
    weir_str field, name;

    CHECK(tx != NULL);
    if (weir_str_split(&request, '\n', &line.target)) {
        line.line = line.target;
    }
    weir_waf_set_request_line(tx, &line);
    while (weir_str_split(&request, '\n', &field) && field.len != 0) {
        if (weir_str_split(&field, ':', &name)) {
            weir_waf_add_request_header(tx, name, weir_str_trim(field));
        }
    }
    run_phase(tx, WEIR_WAF_PHASE_REQUEST_HEAD);
    weir_waf_set_request_body(tx, request, false);
    run_phase(tx, WEIR_WAF_PHASE_REQUEST_BODY);
    weir_waf_set_response(tx, 200, WEIR_STR("HTTP/1.1"));
    weir_waf_add_response_header(tx, WEIR_STR("Content-Type"), WEIR_STR("text/html"));
    run_phase(tx, WEIR_WAF_PHASE_RESPONSE_HEAD);
    weir_waf_set_response_body(tx, request, false);
    run_phase(tx, WEIR_WAF_PHASE_RESPONSE_BODY);
    run_phase(tx, WEIR_WAF_PHASE_LOGGING);
    intervention = *weir_waf_intervened(tx);
    weir_waf_transaction_free(tx);
    return intervention;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_str rest = weir_str_of((const char *) data, size);
    const char *end = weir_str_find(rest, WEIR_STR("\n--\n"));
    weir_pool *pool = weir_pool_new(4096, 0), *temp = weir_pool_new(4096, 0);
    weir_waf_part part = {
        .text = end == NULL ? rest : weir_str_slice(rest, 0, (size_t) (end - rest.data) + 1),
        .name = WEIR_STR("rules"),
        .folder = WEIR_STR("/nowhere/"),
        .line = 1,
    };
    weir_waf_library *library;
    const weir_waf_program *program;
    weir_waf_fault fault = {.message = ""};
    weir_waf_worker *worker = weir_waf_worker_new();

    CHECK(pool != NULL && temp != NULL && worker != NULL);
    library = weir_waf_library_new(pool, temp, NULL, NULL);
    CHECK(library != NULL);
    program = weir_waf_program_get(library, NULL, &part, 1, &fault);
    CHECK((program == NULL) == (fault.message[0] != '\0'));
    if (program != NULL && end != NULL) {
        weir_str request = weir_str_from(rest, (size_t) (end - rest.data) + 4);
        weir_waf_intervention filtered, plain;

        CHECK(weir_waf_library_close(library, &fault));
        filtered = run(program, worker, request);
        /* Its texts are kept when they are seen again, and known after that. */
        for (unsigned turn = 0; turn < 2; turn++) {
            CHECK(run(program, worker, request).rule_id == filtered.rule_id
                  || filtered.rule_id == 0);
        }
        weir_waf_library_set_filter(library, false);
        plain = run(program, worker, request);
        /* The budget may end elsewhere: more is done without the filter. */
        CHECK(filtered.rule_id == plain.rule_id || plain.rule_id == 0);
    }
    weir_waf_worker_free(worker);
    weir_pool_free(temp);
    weir_pool_free(pool);
    return 0;
}
