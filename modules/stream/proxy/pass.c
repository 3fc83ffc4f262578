#include "modules/stream/proxy/proxy_internal.h"

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
    if (weir_addr_split(proxy->host, 0, name, port) && *port != 0) {
        return true;
    }
    weir_log_line(weir_stream_log(proxy->session), WEIR_LOG_ERR, 0, "no %s in upstream \"%.*s\"",
                  weir_addr_host(proxy->host).len == 0 ? "host" : "port",
                  WEIR_STR_ARG(proxy->host));
    return false;
}

static void resolved(weir_balance_host *host)
{
    stream_proxy *proxy = WEIR_OWNER(host, stream_proxy, asked);

    if (host->group == NULL) {
        weir_stream_end(proxy->session, WEIR_STREAM_INTERNAL_ERROR);
        return;
    }
    proxy->group = host->group;
    stream_proxy_start(proxy);
}

/* The connection may go before the answer comes: when the process ends. */
static void resolve_cancel(void *subject)
{
    weir_balance_host_cancel(subject);
}

static weir_result resolve(stream_proxy *proxy)
{
    weir_stream_session *session = proxy->session;
    const weir_stream_core_conf *core = session->core;
    weir_balance_host *asked = &proxy->asked;
    weir_result result;

    *asked = (weir_balance_host){
        .pool = session->pool,
        .cycle = weir_stream_of_address(session->address)->cycle,
        .family = &stream_proxy_family,
        .log = weir_stream_log(session),
        .text = proxy->host,
        .done = resolved,
    };
    if (!split_host(proxy, &asked->name, &asked->port)
        || weir_pool_on_free(session->pool, resolve_cancel, asked) == NULL) {
        return WEIR_FAIL;
    }
    result = weir_balance_host_ask(asked, session->client->loop, core->resolver,
                                   core->resolver_timeout_ms);
    proxy->group = asked->group;
    return result;
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
