/*
 * ssl_preread: looks at a client's ClientHello, and leaves it as it is.
 *
 *     map $ssl_preread_server_name $backend { a.example.org 10.0.0.1:443; default 10.0.0.2:443; }
 *     server { listen 443; ssl_preread on; proxy_pass $backend; }
 */

#include "core/tls/client_hello.h"
#include "modules/stream/engine/core_conf.h"

#define NAME_MAX_BYTES 256

typedef struct {
    bool is_on;
} preread_conf;

typedef struct {
    weir_client_hello_reader reader;
    bool is_none; /* what came is no ClientHello */
    weir_str server_name, alpn;
    uint16_t version;
} preread_state;

extern const weir_stream_module weir_stream_ssl_preread;

static const weir_directive preread_directives[] = {
    {
        .name = "ssl_preread",
        .where = WEIR_STREAM_ANYWHERE,
        .slot = WEIR_SLOT_FLAG(preread_conf, is_on),
        .preset = "off",
        .doc = "Reads the ClientHello of clients, for $ssl_preread_server_name and the like.",
    },
    {0},
};

/* The server that has the name takes over; names are compared in lower case, without the dot that may end them. */
static void choose_server(weir_stream_session *session, weir_str name)
{
    char lower[NAME_MAX_BYTES];

    if (name.len != 0 && name.data[name.len - 1] == '.') {
        name.len--;
    }
    if (name.len == 0 || name.len > sizeof(lower)) {
        return;
    }
    for (size_t i = 0; i < name.len; i++) {
        lower[i] = weir_byte_lower(name.data[i]);
    }
    weir_stream_choose_server(session, weir_str_of(lower, name.len));
}

/* The bytes themselves go on to where the session goes. */
static bool keep(weir_stream_session *session, preread_state *state, const weir_client_hello *hello)
{
    state->version = hello->version;
    return weir_str_copy(session->pool, hello->server_name, &state->server_name)
           && weir_str_copy(session->pool, hello->alpn, &state->alpn);
}

static weir_stream_verdict preread_judge(weir_stream_session *session, const void *server)
{
    preread_state *state;
    weir_client_hello hello;

    (void) server;
    /* Its TLS ends here: $ssl_server_name and the like know. */
    if (session->client->tls != NULL) {
        return WEIR_STREAM_PASS;
    }
    if (session->preread.len == 0) {
        return WEIR_STREAM_MORE;
    }
    state = weir_stream_state(session, &weir_stream_ssl_preread, sizeof(*state));
    if (state == NULL) {
        session->status = WEIR_STREAM_INTERNAL_ERROR;
        return WEIR_STREAM_REFUSED;
    }

    switch (weir_client_hello_read(&state->reader, session->preread, session->pool, &hello)) {
    case WEIR_WAIT:
        return WEIR_STREAM_MORE;
    case WEIR_FAIL:
        weir_log_debug(weir_stream_log(session), "ssl preread: no ClientHello");
        state->is_none = true;
        return WEIR_STREAM_PASS;
    case WEIR_OK:
        break;
    }
    if (!keep(session, state, &hello)) {
        session->status = WEIR_STREAM_INTERNAL_ERROR;
        return WEIR_STREAM_REFUSED;
    }
    choose_server(session, state->server_name);
    return WEIR_STREAM_PASS;
}

static bool preread_applies(const void *server)
{
    return ((const preread_conf *) server)->is_on;
}

/* ---- variables */

/* While it is not complete all is empty; NULL: nothing came, or something else. */
static const preread_state *state_of(const weir_script *script)
{
    const preread_state *state = weir_stream_state_find(script->subject, &weir_stream_ssl_preread);

    return state != NULL && !state->is_none ? state : NULL;
}

static bool get_server_name(weir_script *script, uintptr_t arg, weir_value *value)
{
    const preread_state *state = state_of(script);

    (void) arg;
    if (state != NULL) {
        value->text = state->server_name;
        value->found = true;
    }
    return true;
}

static bool get_protocol(weir_script *script, uintptr_t arg, weir_value *value)
{
    const preread_state *state = state_of(script);

    (void) arg;
    if (state != NULL) {
        value->text = weir_tls_version_name(state->version);
        value->found = true;
    }
    return true;
}

/* "h2,http/1.1" */
static bool get_alpn_protocols(weir_script *script, uintptr_t arg, weir_value *value)
{
    const preread_state *state = state_of(script);
    weir_builder builder;
    weir_str list;

    (void) arg;
    if (state == NULL) {
        return true;
    }
    weir_builder_open(&builder, script->pool, SIZE_MAX);
    for (list = state->alpn; list.len != 0;) {
        size_t len = (unsigned char) list.data[0];

        if (list.data != state->alpn.data) {
            weir_builder_add_byte(&builder, ',');
        }
        weir_builder_add(&builder, weir_str_slice(list, 1, 1 + len));
        list = weir_str_from(list, 1 + len);
    }
    value->found = true;
    return weir_builder_close(&builder, &value->text);
}

static const weir_variable preread_variables[] = {
    /* Volatile: asked too early they are not known yet. */
    {.name = "ssl_preread_server_name", .get = get_server_name, .is_volatile = true},
    {.name = "ssl_preread_protocol", .get = get_protocol, .is_volatile = true},
    {.name = "ssl_preread_alpn_protocols", .get = get_alpn_protocols, .is_volatile = true},
    {0},
};

const weir_stream_module weir_stream_ssl_preread = {
    .name = "stream_ssl_preread",
    .directives = preread_directives,
    .conf_size = sizeof(preread_conf),
    .phases = 1u << WEIR_STREAM_PHASE_PREREAD,
    .judge = preread_judge,
    .applies = preread_applies,
    .waits_for_client = true,
    .variables = preread_variables,
};
