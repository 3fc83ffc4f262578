/*
 * What the tests of http modules share: locations read from a configuration, and exchanges in them, without a
 * socket.  A program includes it once.
 *
 *     const void *location = unit_location(state, &weir_http_via, "via weir-edge;");
 *     weir_http_exchange *ex = unit_request(state, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
 *     weir_http_exchange *ex = unit_upstream(state, "HTTP/1.0 200 OK\r\nVia: 1.1 cache-7\r\n\r\n");
 */

#ifndef WEIR_UNIT_HTTP_UNIT_H
#define WEIR_UNIT_HTTP_UNIT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "t/unit/unit.h"

#include "core/process/cycle.h"
#include "core/script/script.h"
#include "modules/http/engine/core_conf.h"

typedef struct {
    char folder[64];
    weir_cycle *cycle;
    weir_http_exchange *ex;
    weir_http_connection client;
    weir_connection connection;
    unsigned responses, aborts; /* what the wire was told */
} http_unit;

/* ---- the wire: counts */

static http_unit *unit_of(weir_http_exchange *ex)
{
    return ex->wire_state;
}

static weir_result unit_read_body(weir_http_exchange *ex, weir_chain *out, uint64_t limit)
{
    (void) out;
    (void) limit;
    ex->request.body_ended = true;
    return WEIR_OK;
}

static void unit_respond(weir_http_exchange *ex)
{
    unit_of(ex)->responses++;
}

static void unit_abort(weir_http_exchange *ex)
{
    unit_of(ex)->aborts++;
}

static void unit_ignore(weir_http_exchange *ex)
{
    (void) ex;
}

static const weir_http_wire unit_wire = {
    .name = "unit",
    .read_body = unit_read_body,
    .respond = unit_respond,
    .wake = unit_ignore,
    .ended = unit_ignore,
    .abort = unit_abort,
};

/* ---- fixtures */

static inline int unit_setup(void **state)
{
    http_unit *unit = calloc(1, sizeof(*unit));

    if (unit == NULL) {
        return -1;
    }
    memcpy(unit->folder, "/tmp/weir-http-unit-XXXXXX", sizeof("/tmp/weir-http-unit-XXXXXX"));
    *state = unit;
    return mkdtemp(unit->folder) == NULL ? -1 : 0;
}

static inline void unit_drop_exchange(http_unit *unit)
{
    if (unit->ex != NULL) {
        weir_http_exchange *ex = unit->ex;

        unit->ex = NULL;
        /* No log phase: nothing was opened. */
        ex->location = ex->server->root;
        weir_chain_clear(&ex->body);
        weir_chain_clear(&ex->request.body);
        weir_pool_free(ex->pool);
    }
}

static inline int unit_teardown(void **state)
{
    static const char *const names[] = {"weir.conf", "client_body_temp", "proxy_temp", "file"};
    http_unit *unit = *state;
    char path[128];

    unit_drop_exchange(unit);
    weir_cycle_free(unit->cycle);
    for (size_t i = 0; i < WEIR_COUNT(names); i++) {
        (void) snprintf(path, sizeof(path), "%s/%s", unit->folder, names[i]);
        (void) remove(path);
    }
    (void) rmdir(unit->folder);
    free(unit);
    return 0;
}

/* ---- configurations */

/* Reads a server with this text; false: refused. */
static inline bool unit_read(void **state, const char *http, const char *server)
{
    http_unit *unit = *state;
    char path[128], prefix[72];
    FILE *file;
    weir_conf_options options = {.make_template = weir_template_make};

    (void) snprintf(path, sizeof(path), "%s/weir.conf", unit->folder);
    (void) snprintf(prefix, sizeof(prefix), "%s/", unit->folder);
    file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "events {} http { access_log off; %s server { listen 127.0.0.1:1; %s } }", http,
            server);
    fclose(file);

    unit_drop_exchange(unit);
    weir_cycle_free(unit->cycle);
    options.prefix = weir_str_from_z(prefix);
    options.conf_file = weir_str_from_z(path);
    unit->cycle = weir_cycle_read(&options);
    return unit->cycle != NULL;
}

static inline const weir_http_server *unit_server(void **state)
{
    const weir_http_cycle *http = weir_http_of_cycle(((http_unit *) *state)->cycle);

    return weir_http_server_of(*WEIR_ARRAY_AT(&http->servers.servers, weir_server *, 0));
}

/* The settings of a module in a location with this text. */
static inline const void *unit_location(void **state, const weir_http_module *module,
                                        const char *text)
{
    assert_true(unit_read(state, "", text));
    return weir_level_settings(unit_server(state)->level, &module->base);
}

/* ---- exchanges */

static inline void unit_fields(weir_http_exchange *ex, weir_http_fields *fields, weir_str head)
{
    weir_str line, name;

    while (weir_str_split(&head, '\n', &line) && line.len > 1) {
        line.len--;
        assert_true(weir_str_split(&line, ':', &name));
        assert_true(weir_http_fields_add_text(fields, name, weir_str_trim(line)));
    }
    (void) ex;
}

/* A request in the server of the last configuration, as a wire would give it; not started. */
static inline weir_http_exchange *unit_request(void **state, const char *head)
{
    http_unit *unit = *state;
    const weir_http_cycle *http = weir_http_of_cycle(unit->cycle);
    weir_str rest = weir_str_from_z(head);
    weir_str line = WEIR_STR_EMPTY, method = WEIR_STR_EMPTY, target = WEIR_STR_EMPTY;
    weir_http_exchange *ex;

    unit_drop_exchange(unit);
    unit->responses = unit->aborts = 0;
    memset(&unit->connection, 0, sizeof(unit->connection));
    assert_true(weir_addr_parse(WEIR_STR("192.0.2.1:4711"), 0, &unit->connection.peer));
    unit->client = (weir_http_connection){
        .connection = &unit->connection,
        .address = *WEIR_ARRAY_AT(&http->servers.addresses, weir_server_address *, 0),
        .server = unit_server(state),
    };
    ex = unit->ex = weir_http_exchange_new(&unit->client, &unit_wire, unit);
    assert_non_null(ex);

    assert_true(weir_str_split(&rest, '\n', &line));
    line.len--;
    ex->request.line = line;
    assert_true(weir_str_split(&line, ' ', &method) && weir_str_split(&line, ' ', &target));
    ex->request.method = weir_http_method_find(method);
    ex->request.method_text = method;
    ex->request.version = weir_str_eq(line, WEIR_STR("HTTP/1.0")) ? WEIR_HTTP_10 : WEIR_HTTP_11;
    ex->request.target = target;
    unit_fields(ex, &ex->request.fields, rest);
    ex->request.host_port = weir_http_fields_value(&ex->request.fields, WEIR_HTTP_HOST);
    ex->request.host = ex->request.host_port;
    assert_true(weir_http_parse_target(&ex->request, target, true, ex->pool));
    return ex;
}

/* The response of an origin to "GET /". */
static inline weir_http_exchange *unit_upstream(void **state, const char *head)
{
    weir_http_exchange *ex = unit_request(state, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    weir_str rest = weir_str_from_z(head);
    weir_str line;

    assert_true(weir_str_split(&rest, '\n', &line));
    assert_true(line.len > 13);
    ex->response.from_upstream = true;
    ex->response.version =
        weir_str_starts(line, WEIR_STR("HTTP/1.0")) ? WEIR_HTTP_10 : WEIR_HTTP_11;
    ex->response.status = (unsigned) (line.data[9] - '0') * 100
                          + (unsigned) (line.data[10] - '0') * 10
                          + (unsigned) (line.data[11] - '0');
    unit_fields(ex, &ex->response.fields, rest);
    return ex;
}

/* A response of weir's own, with this text as its body. */
static inline void unit_answer(weir_http_exchange *ex, unsigned status, const char *text)
{
    assert_int_equal(
        weir_http_answer_text(ex, status, WEIR_STR("text/html"), weir_str_from_z(text)),
        WEIR_HTTP_ANSWERED);
}

#define assert_str(text_, expected_)                                                               \
    do {                                                                                           \
        weir_str got_ = (text_);                                                                   \
        assert_int_equal(got_.len, strlen(expected_));                                             \
        assert_memory_equal(got_.data, expected_, got_.len);                                       \
    } while (0)

/* All lines of a field of the response, joined. */
#define assert_field(ex_, name_, expected_)                                                        \
    do {                                                                                           \
        weir_str joined_;                                                                          \
        assert_true(weir_http_fields_join(&(ex_)->response.fields,                                 \
                                          weir_http_name_find(WEIR_STR(name_)), WEIR_STR(name_),   \
                                          WEIR_STR(", "), (ex_)->pool, &joined_));                 \
        assert_str(joined_, expected_);                                                            \
    } while (0)

#define assert_body(ex_, expected_)                                                                \
    do {                                                                                           \
        weir_str body_;                                                                            \
        assert_true(weir_chain_join(&(ex_)->body, (ex_)->pool, &body_));                           \
        assert_str(body_, expected_);                                                              \
    } while (0)

#endif
