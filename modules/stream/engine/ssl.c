#include "modules/stream/engine/core_conf.h"

#include "core/tls/tls.h"

/* The ssl_ directives of stream servers, and the variables that go with them. */

static const weir_directive ssl_directives[] = {
    WEIR_TLS_SERVER_DIRECTIVES(weir_stream_ssl_conf, tls, WEIR_STREAM_ANYWHERE),
    {
        .name = "ssl_alpn",
        .where = WEIR_STREAM_ANYWHERE,
        .slot = WEIR_SLOT_LIST(weir_stream_ssl_conf, alpn),
        .syntax = "protocol ...",
        .doc = "Protocols that clients may agree to by ALPN, best first; one that offers others is "
               "refused.",
    },
    {0},
};

static bool ssl_check(weir_conf *conf, const void *settings)
{
    /* These settings are not shared yet: what is made of them is kept with them. */
    weir_stream_ssl_conf *ssl = (weir_stream_ssl_conf *) (uintptr_t) settings;

    return weir_tls_alpn_make(conf, &ssl->alpn, &ssl->alpn_wire);
}

/* $ssl_NAME */
static bool ssl_get(weir_script *script, uintptr_t arg, weir_value *value)
{
    const weir_stream_session *session = script->subject;
    const weir_str *name = (const weir_str *) arg;

    return session->client->tls == NULL
           || weir_tls_value(session->client, *name, session->pool, &value->text, &value->found);
}

static const weir_variable ssl_variables[] = {
    {.name = "ssl_", .get = ssl_get, .is_prefix = true},
    {0},
};

const weir_stream_module weir_stream_ssl = {
    .name = "stream_ssl",
    .directives = ssl_directives,
    .conf_size = sizeof(weir_stream_ssl_conf),
    .check = ssl_check,
    .variables = ssl_variables,
};
