#include "modules/http/proxy/proxy_internal.h"

#include "core/base/number.h"

/* proxy_pass: where requests go, and with which target. */

const weir_balance_family proxy_family = {
    .name = "http",
    .default_port = 80,
    .times = {.first_byte = "header"},
    .has_responses = true,
};

/* ---- URLs */

uint16_t proxy_url_port(const proxy_url *url)
{
    uint64_t port = 0;

    return url->port.len != 0 && weir_parse_uint(url->port, UINT16_MAX, &port) ? (uint16_t) port
                                                                               : 0;
}

/* "name", "name:port", "[address]:port" */
static bool parse_host(const proxy_kind *kind, proxy_url *url)
{
    weir_str usual = url->is_tls ? kind->tls_port : kind->plain_port;
    weir_str host = url->host;
    uint16_t port;

    if (!weir_addr_split(host, 0, &url->hostname, &port)) {
        return false;
    }
    url->name = host;
    url->port = usual;
    if (url->hostname.len != host.len) {
        url->port = weir_str_from(host, url->hostname.len + 1);
        if (weir_str_eq(url->port, usual)) {
            url->name = url->hostname;
        }
    }
    for (size_t i = 0; i < host.len; i++) {
        unsigned char c = (unsigned char) host.data[i];

        if (c <= ' ' || c == 0x7f || c == '@' || c == '#') {
            return false;
        }
    }
    return true;
}

static bool is_path(weir_str text)
{
    return weir_str_starts(text, WEIR_STR("unix:"));
}

/* "unix:path", with ":" before a URI */
static bool parse_unix(proxy_url *url, weir_str rest)
{
    const char *colon = weir_str_find_byte(weir_str_from(rest, sizeof("unix:") - 1), ':');

    url->host = colon == NULL ? rest : weir_str_slice(rest, 0, (size_t) (colon - rest.data));
    url->uri = colon == NULL ? WEIR_STR_EMPTY : weir_str_from(rest, url->host.len + 1);
    url->name = url->hostname = WEIR_STR("localhost");
    url->port = WEIR_STR_EMPTY;
    return url->host.len > sizeof("unix:") - 1;
}

static bool take_scheme(weir_str *rest, weir_str scheme)
{
    weir_str behind = weir_str_from(*rest, scheme.len);

    if (scheme.len == 0 || !weir_str_starts_nocase(*rest, scheme)
        || !weir_str_starts(behind, WEIR_STR("://"))) {
        return false;
    }
    *rest = weir_str_from(behind, 3);
    return true;
}

/* False when it is none of the forms that proxy_pass takes. */
static bool url_parse(const proxy_kind *kind, weir_str text, proxy_url *url)
{
    weir_str rest = text;
    size_t end = 0;

    *url = (proxy_url){.scheme = kind->plain};
    if (take_scheme(&rest, kind->tls)) {
        url->is_tls = true;
        url->scheme = kind->tls;
    } else if (!take_scheme(&rest, kind->plain) && kind->needs_scheme) {
        return false;
    }

    if (is_path(rest)) {
        if (!parse_unix(url, rest)) {
            return false;
        }
    } else {
        while (end < rest.len && rest.data[end] != '/' && rest.data[end] != '?') {
            end++;
        }
        url->host = weir_str_slice(rest, 0, end);
        url->uri = weir_str_from(rest, end);
        if (!parse_host(kind, url)) {
            return false;
        }
    }
    url->has_uri = url->uri.len != 0;
    url->whole = weir_str_slice(text, 0, text.len - url->uri.len);
    return kind->takes_uri || !url->has_uri;
}

/* ---- proxy_pass URL */

/* The upstream of that name, or a group of the addresses that the host has. */
static bool pass_group(weir_conf *conf, proxy_pass *pass)
{
    uint16_t port = proxy_url_port(&pass->url);

    pass->group = weir_balance_group_find(conf, &proxy_family, pass->url.host);
    if (pass->group != NULL) {
        return true;
    }
    if (port == 0 && !is_path(pass->url.host)) {
        return weir_conf_refuse(conf, "no port in upstream \"%.*s\"", WEIR_STR_ARG(pass->url.host));
    }
    pass->group = weir_balance_group_implied(conf, &proxy_family, pass->url.host, port);
    return pass->group != NULL;
}

/* As much of a URL with variables as is known: all of the host. */
static bool pass_guess(weir_conf *conf, proxy_pass *pass, weir_str text)
{
    size_t constant = (size_t) (weir_str_find_byte(text, '$') - text.data);
    weir_str known = weir_str_slice(text, 0, constant);
    weir_addr addr;

    if (!url_parse(pass->kind, known, &pass->url)) {
        pass->url = (proxy_url){.is_tls = false};
        return true;
    }
    /* "http://10.0.0.1:80$request_uri" is one address; a name may go on in the variable. */
    if (!pass->url.has_uri && !weir_addr_parse(pass->url.host, 80, &addr)) {
        pass->url = (proxy_url){.is_tls = false};
        return true;
    }
    return pass_group(conf, pass);
}

static bool pass_fits(weir_conf *conf, const proxy_pass *pass)
{
    switch (pass->location->kind) {
    case WEIR_HTTP_LOCATION_REGEX:
    case WEIR_HTTP_LOCATION_NAMED:
    case WEIR_HTTP_LOCATION_UNNAMED:
        return weir_conf_refuse(
            conf, "\"proxy_pass\" cannot have URI part in location given by regular expression, "
                  "or inside named location, or inside \"if\" statement, or inside "
                  "\"limit_except\" block");
    case WEIR_HTTP_LOCATION_ROOT:
    case WEIR_HTTP_LOCATION_PREFIX:
    case WEIR_HTTP_LOCATION_PREFIX_FINAL:
    case WEIR_HTTP_LOCATION_EXACT:
        break;
    }
    return true;
}

bool proxy_pass_call(weir_conf *conf, void *settings, const weir_statement *statement,
                     const proxy_kind *kind)
{
    proxy_pass *pass = &((proxy_conf *) settings)->pass;
    weir_http_location *location = weir_http_conf_location(conf);
    weir_str text = statement->count == 1 ? kind->usual : statement->args[1];

    *pass = (proxy_pass){
        .kind = kind,
        .location = location,
        .is_path = is_path(text),
    };
    location->passes_by = kind->module;
    if (location->name.len > 0 && location->name.data[location->name.len - 1] == '/') {
        location->auto_redirect = true;
    }

    if (weir_str_find_byte(text, '$') != NULL) {
        pass->template = weir_template_new(conf, weir_space_of(conf, "http"), text);
        return pass->template != NULL && pass_guess(conf, pass, text);
    }

    if (kind->needs_scheme && !weir_str_starts_nocase(text, WEIR_STR("http://"))
        && !weir_str_starts_nocase(text, WEIR_STR("https://"))) {
        return weir_conf_refuse_arg(conf, statement, 1, "invalid URL prefix");
    }
    if (!url_parse(kind, text, &pass->url)) {
        return weir_conf_refuse_arg(conf, statement, 1, "invalid URL \"%.*s\" in \"%s\"",
                                    WEIR_STR_ARG(text), kind->pass);
    }
    return (!pass->url.has_uri || pass_fits(conf, pass)) && pass_group(conf, pass);
}

/* ---- at run time: the group */

/* The group of url.host, or none if it is a name to be asked for.  False: answered. */
static bool find_group(proxy_state *proxy)
{
    weir_http_exchange *ex = proxy->ex;
    const proxy_pass *pass = &proxy->conf->pass;
    const weir_cycle *cycle = weir_http_of_address(ex->client->address)->cycle;
    uint16_t port = proxy_url_port(&proxy->url);
    weir_addr addr;

    if (pass->group != NULL && weir_str_eq(proxy->url.host, pass->url.host)) {
        proxy->group = pass->group;
        return true;
    }
    proxy->group = weir_balance_group_of_cycle(cycle, &proxy_family, proxy->url.host);
    if (proxy->group != NULL) {
        return true;
    }
    if (port == 0 && !is_path(proxy->url.host)) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "no port in upstream \"%.*s\"",
                      WEIR_STR_ARG(proxy->url.host));
        proxy_answer(proxy, 500, "no port in upstream");
        return false;
    }
    if (weir_addr_parse(proxy->url.host, port, &addr)) {
        proxy->group =
            weir_balance_group_of_addrs(ex->pool, cycle, &proxy_family, WEIR_STR_EMPTY, &addr, 1);
        return proxy->group != NULL;
    }
    return true;
}

/* Where there are no schemes, clients may have a part in the whole: it is no path for that. */
static bool parse_made(const proxy_pass *pass, weir_str text, proxy_url *url)
{
    return (pass->kind->plain.len != 0 || pass->is_path || !is_path(text))
           && url_parse(pass->kind, text, url);
}

bool proxy_find_url(proxy_state *proxy)
{
    weir_http_exchange *ex = proxy->ex;
    const proxy_pass *pass = &proxy->conf->pass;
    weir_str text;

    if (pass->template == NULL) {
        proxy->url = pass->url;
        proxy->group = pass->group;
        return true;
    }
    if (!weir_template_text(pass->template, &ex->script, &text)) {
        proxy_answer(proxy, 500, "internal failure");
        return false;
    }
    if (!parse_made(pass, text, &proxy->url)) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "invalid URL prefix in \"%.*s\" of \"%s\"",
                      WEIR_STR_ARG(text), pass->kind->pass);
        proxy_answer(proxy, 500, "invalid URL to pass on to");
        return false;
    }
    return find_group(proxy);
}

/* ---- at run time: the target */

/* The decoded path, as the client might have written it. */
static void add_path(weir_builder *target, const weir_http_request *request, weir_str path)
{
    weir_str rest = request->target, as_written;

    /* What was not decoded needs no escapes: it is passed as it came. */
    if (request->path_is_valid && weir_str_split(&rest, '?', &as_written)
        && weir_str_find_byte(as_written, '%') == NULL) {
        weir_builder_add(target, path);
    } else {
        (void) weir_http_escape_path(target, path);
    }
}

/* What variables may have a part in: what would end the target, or the request line, is escaped. */
static void add_safely(weir_builder *target, weir_str uri)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < uri.len; i++) {
        unsigned char c = (unsigned char) uri.data[i];

        if (c <= ' ' || c == 0x7f) {
            weir_builder_add_byte(target, '%');
            weir_builder_add_byte(target, digits[c >> 4]);
            weir_builder_add_byte(target, digits[c & 15]);
        } else {
            weir_builder_add_byte(target, (char) c);
        }
    }
}

static void add_args(weir_builder *target, const weir_http_request *request)
{
    if (request->args.len != 0) {
        weir_builder_add_byte(target, '?');
        add_safely(target, request->args);
    }
}

static bool make_target(proxy_state *proxy)
{
    weir_http_exchange *ex = proxy->ex;
    const weir_http_request *request = &ex->request;
    const proxy_pass *pass = &proxy->conf->pass;
    weir_str prefix = pass->location->name;
    weir_builder target;

    if (!proxy->url.has_uri && request->path_is_valid) {
        proxy->target = request->target;
        return true;
    }

    weir_builder_open(&target, ex->pool, SIZE_MAX);
    if (proxy->url.uri.len != 0 && proxy->url.uri.data[0] == '?') {
        weir_builder_add_byte(&target, '/');
    }
    if (!proxy->url.has_uri || (pass->template == NULL && request->is_rewritten_here)) {
        add_path(&target, request, request->path);
        add_args(&target, request);
    } else if (pass->template != NULL) {
        add_safely(&target, proxy->url.uri);
    } else {
        weir_builder_add(&target, proxy->url.uri);
        add_path(&target, request,
                 weir_str_starts(request->path, prefix) ? weir_str_from(request->path, prefix.len)
                                                        : WEIR_STR_EMPTY);
        add_args(&target, request);
    }
    return weir_builder_close(&target, &proxy->target);
}

bool proxy_find(proxy_state *proxy)
{
    if (!proxy_find_url(proxy)) {
        return false;
    }
    if (!make_target(proxy)) {
        proxy_answer(proxy, 500, "internal failure");
        return false;
    }
    return true;
}
