#include "modules/stream/proxy/proxy_internal.h"

#include "core/base/number.h"
#include "core/process/cycle.h"

/* proxy_pass NAME | ADDRESS:PORT | unix:PATH, with or without variables. */

bool stream_proxy_pass_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    stream_proxy_conf *proxy = settings;
    weir_str text = statement->args[1];

    if (proxy->pass.is_given) {
        return weir_conf_refuse_arg(conf, statement, 0, "\"proxy_pass\" directive is duplicate");
    }
    if (text.len == 0) {
        return weir_conf_refuse_arg(conf, statement, 1, "\"proxy_pass\" needs an address");
    }
    proxy->pass.is_given = true;
    proxy->pass.text = text;
    if (weir_str_find_byte(text, '$') != NULL) {
        proxy->pass.template = weir_template_new(conf, weir_space_of(conf, "stream"), text);
        return proxy->pass.template != NULL;
    }
    proxy->pass.group = weir_balance_group_find(conf, &stream_proxy_family, text);
    if (proxy->pass.group == NULL) {
        proxy->pass.group = weir_balance_group_implied(conf, &stream_proxy_family, text, 0);
    }
    return proxy->pass.group != NULL;
}

/* ---- names that are known only now */

/* "name:port" into both; false, logged: it is none. */
static bool split_host(const stream_proxy *proxy, weir_str *name, uint16_t *port)
{
    weir_str rest = proxy->host;
    uint64_t number = 0;

    if (!weir_str_split(&rest, ':', name) || name->len == 0
        || !weir_parse_uint(rest, 65535, &number) || number == 0) {
        weir_log_line(weir_stream_log(proxy->session), WEIR_LOG_ERR, 0,
                      "no %s in upstream \"%.*s\"", name->len == 0 ? "host" : "port",
                      WEIR_STR_ARG(proxy->host));
        return false;
    }
    *port = (uint16_t) number;
    return true;
}

/* The addresses that were found are a group of this session. */
static bool resolved_group(stream_proxy *proxy)
{
    const weir_resolver_query *query = &proxy->query;
    weir_addr *addrs = WEIR_NEW_ARRAY(proxy->session->pool, weir_addr, query->count);
    weir_str name;
    uint16_t port;

    if (addrs == NULL || !split_host(proxy, &name, &port)) {
        return false;
    }
    for (size_t i = 0; i < query->count; i++) {
        addrs[i] = query->found[i].addr;
        weir_addr_set_port(&addrs[i], port);
    }
    proxy->group = weir_balance_group_of_addrs(
        proxy->session->pool, weir_stream_of_address(proxy->session->address)->cycle,
        &stream_proxy_family, proxy->host, addrs, query->count);
    return proxy->group != NULL;
}

static void log_unresolved(const stream_proxy *proxy)
{
    weir_str name = proxy->host;
    weir_str rest = proxy->host;

    (void) weir_str_split(&rest, ':', &name);
    weir_log_line(weir_stream_log(proxy->session), WEIR_LOG_ERR, 0,
                  "%.*s could not be resolved (%u: %s)", WEIR_STR_ARG(name), proxy->query.error,
                  weir_resolver_error_text(proxy->query.error));
}

static void resolved(weir_resolver_query *query)
{
    stream_proxy *proxy = query->subject;

    if (query->error != 0) {
        log_unresolved(proxy);
        weir_stream_end(proxy->session, WEIR_STREAM_BAD_GATEWAY);
    } else if (!resolved_group(proxy)) {
        weir_stream_end(proxy->session, WEIR_STREAM_INTERNAL_ERROR);
    } else {
        stream_proxy_start(proxy);
    }
}

/* The connection may go before the answer comes: when the process ends. */
static void resolve_cancel(void *subject)
{
    weir_resolver_cancel(subject);
}

static weir_result resolve(stream_proxy *proxy)
{
    weir_stream_session *session = proxy->session;
    const weir_stream_core_conf *core = session->core;
    weir_resolver *resolver;
    weir_str name;
    uint16_t port;

    if (proxy->host.len == 0) {
        weir_log_line(weir_stream_log(session), WEIR_LOG_ERR, 0, "no host in upstream \"\"");
        return WEIR_FAIL;
    }
    if (core->resolver == NULL) {
        weir_log_line(weir_stream_log(session), WEIR_LOG_ERR, 0,
                      "no resolver defined to resolve %.*s", WEIR_STR_ARG(proxy->host));
        return WEIR_FAIL;
    }
    if (!split_host(proxy, &name, &port)) {
        return WEIR_FAIL;
    }
    resolver = weir_resolver_of(session->client->loop, core->resolver);
    if (resolver == NULL
        || weir_pool_on_free(session->pool, resolve_cancel, &proxy->query) == NULL) {
        return WEIR_FAIL;
    }
    proxy->query.done = resolved;
    proxy->query.subject = proxy;
    switch (weir_resolver_resolve(resolver, &proxy->query, name, WEIR_RESOLVER_ADDRESSES,
                                  core->resolver_timeout_ms)) {
    case WEIR_OK:
        return resolved_group(proxy) ? WEIR_OK : WEIR_FAIL;
    case WEIR_WAIT:
        return WEIR_WAIT;
    case WEIR_FAIL:
        break;
    }
    log_unresolved(proxy);
    return WEIR_FAIL;
}

weir_result stream_proxy_find(stream_proxy *proxy)
{
    weir_stream_session *session = proxy->session;
    const stream_proxy_conf *conf = proxy->conf;
    const weir_cycle *cycle = weir_stream_of_address(session->address)->cycle;
    weir_addr addr;

    proxy->host = conf->pass.text;
    proxy->group = conf->pass.group;
    if (proxy->group != NULL) {
        return WEIR_OK;
    }
    if (!weir_template_text(conf->pass.template, &session->script, &proxy->host)) {
        return WEIR_FAIL;
    }
    proxy->group = weir_balance_group_of_cycle(cycle, &stream_proxy_family, proxy->host);
    if (proxy->group != NULL) {
        return WEIR_OK;
    }
    if (!weir_addr_parse(proxy->host, 0, &addr)) {
        return resolve(proxy);
    }
    if (!weir_addr_is_unix(&addr) && weir_addr_port(&addr) == 0) {
        weir_log_line(weir_stream_log(session), WEIR_LOG_ERR, 0, "no port in upstream \"%.*s\"",
                      WEIR_STR_ARG(proxy->host));
        return WEIR_FAIL;
    }
    proxy->group = weir_balance_group_of_addrs(session->pool, cycle, &stream_proxy_family,
                                               WEIR_STR_EMPTY, &addr, 1);
    return proxy->group != NULL ? WEIR_OK : WEIR_FAIL;
}
