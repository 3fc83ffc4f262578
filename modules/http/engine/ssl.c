#include "modules/http/engine/ssl.h"

#include "core/tls/tls.h"
#include "modules/http/engine/core_conf.h"

/* "ssl off" is what is so without it; "on" must be said at `listen` since nginx 1.25.1. */
static bool ssl_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    if (weir_str_eq(statement->args[1], WEIR_STR("off"))) {
        return true;
    }
    return weir_conf_refuse_arg(conf, statement, 1,
                                "the \"ssl\" directive is gone, say \"listen ... ssl\" instead");
}

static const weir_directive ssl_directives[] = {
    WEIR_TLS_SERVER_DIRECTIVES(weir_http_ssl_conf, tls, (WEIR_HTTP_MAIN | WEIR_HTTP_SERVER)),
    WEIR_TLS_EARLY_DATA_DIRECTIVE(weir_http_ssl_conf, tls, (WEIR_HTTP_MAIN | WEIR_HTTP_SERVER)),
    {
        .name = "ssl",
        .where = WEIR_HTTP_MAIN | WEIR_HTTP_SERVER,
        .slot = WEIR_SLOT_ONLY_CALL(ssl_call),
        .doc = "Only \"off\": TLS is switched on by the \"ssl\" parameter of listen.",
    },
    {0},
};

/* $ssl_NAME */
static bool ssl_get(weir_script *script, uintptr_t arg, weir_value *value)
{
    weir_http_exchange *ex = script->subject;
    const weir_str *name = (const weir_str *) arg;

    if (ex->client->connection->tls == NULL) {
        return true;
    }
    return weir_tls_value(ex->client->connection, *name, ex->pool, &value->text, &value->found);
}

static const weir_variable ssl_variables[] = {
    {.name = "ssl_", .get = ssl_get, .is_prefix = true},
    {0},
};

const weir_http_module weir_http_ssl = {
    .name = "http_ssl",
    .directives = ssl_directives,
    .conf_size = sizeof(weir_http_ssl_conf),
    .variables = ssl_variables,
};
