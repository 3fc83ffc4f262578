/*
 * stub_status: how many connections and requests there are and were, of all workers.
 *
 *     location = /status { stub_status; allow 127.0.0.1; deny all; }
 */

#include "modules/http/engine/core_conf.h"

typedef struct {
    const weir_http_location *location; /* that answers so; NULL: none */
} status_conf;

/* nginx 1.7.4 and earlier wanted an argument, and files still have one. */
static bool stub_status_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) statement;
    ((status_conf *) settings)->location = weir_http_conf_location(conf);
    return true;
}

static const weir_directive status_directives[] = {
    {
        .name = "stub_status",
        .where = WEIR_HTTP_SERVER | WEIR_HTTP_LOCATION,
        .takes = WEIR_TAKES(0, 1),
        .syntax = "",
        .slot = WEIR_SLOT_CALL(status_conf, location, stub_status_call),
        .repeatable = true,
        .doc = "Answers with the numbers of connections and requests.",
    },
    {0},
};

/* Those of a connection that does nothing else. */
static uint64_t waiting(const weir_http_counts_sum *sum)
{
    uint64_t busy = sum->reading + sum->writing;

    return sum->active > busy ? sum->active - busy : 0;
}

static weir_http_counts_sum tell(const weir_http_exchange *ex)
{
    return weir_http_counts_tell(weir_http_of_address(ex->client->address)->counts);
}

static weir_http_verdict status_judge(weir_http_exchange *ex, const void *location)
{
    weir_http_counts_sum sum;
    weir_builder builder;
    weir_str text;

    if (!weir_http_is_content_of(ex, ((const status_conf *) location)->location)) {
        return WEIR_HTTP_PASS;
    }
    if (ex->request.method != WEIR_HTTP_GET && ex->request.method != WEIR_HTTP_HEAD) {
        return weir_http_answer_because(ex, 405, "the status is read only");
    }
    sum = tell(ex);
    weir_builder_open(&builder, ex->pool, 512);
    weir_builder_printf(&builder,
                        "Active connections: %llu \nserver accepts handled requests\n %llu %llu "
                        "%llu \nReading: %llu Writing: %llu Waiting: %llu \n",
                        (unsigned long long) sum.active, (unsigned long long) sum.accepted,
                        (unsigned long long) sum.accepted, (unsigned long long) sum.requests,
                        (unsigned long long) sum.reading, (unsigned long long) sum.writing,
                        (unsigned long long) waiting(&sum));
    return weir_builder_close(&builder, &text)
               ? weir_http_answer_text(ex, 200, WEIR_STR("text/plain"), text)
               : WEIR_HTTP_FAILED;
}

static bool status_applies(const void *location)
{
    return ((const status_conf *) location)->location != NULL;
}

/* ---- variables */

enum {
    COUNT_ACTIVE,
    COUNT_READING,
    COUNT_WRITING,
    COUNT_WAITING,
};

static bool get_count(weir_script *script, uintptr_t arg, weir_value *value)
{
    weir_http_counts_sum sum = tell(script->subject);
    const uint64_t counts[] = {
        [COUNT_ACTIVE] = sum.active,
        [COUNT_READING] = sum.reading,
        [COUNT_WRITING] = sum.writing,
        [COUNT_WAITING] = waiting(&sum),
    };
    weir_builder builder;

    weir_builder_open(&builder, script->pool, 20);
    weir_builder_add_uint(&builder, counts[arg]);
    value->found = true;
    return weir_builder_close(&builder, &value->text);
}

static const weir_variable status_variables[] = {
    {.name = "connections_active", .get = get_count, .arg = COUNT_ACTIVE, .is_volatile = true},
    {.name = "connections_reading", .get = get_count, .arg = COUNT_READING, .is_volatile = true},
    {.name = "connections_writing", .get = get_count, .arg = COUNT_WRITING, .is_volatile = true},
    {.name = "connections_waiting", .get = get_count, .arg = COUNT_WAITING, .is_volatile = true},
    {0},
};

const weir_http_module weir_http_stub_status = {
    .name = "http_stub_status",
    .directives = status_directives,
    .conf_size = sizeof(status_conf),
    .phases = 1u << WEIR_HTTP_PHASE_CONTENT,
    .judge = status_judge,
    .applies = status_applies,
    .variables = status_variables,
};
