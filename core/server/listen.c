#include "core/server/server.h"

#include "core/base/number.h"

/* `listen`: addresses, ports, and the options of their sockets. */

typedef struct {
    weir_conf *conf;
    const weir_server_family *family;
    const weir_statement *statement;
    size_t arg;
    weir_listen *listen;
} listen_reading;

static bool listen_refuse(const listen_reading *reading)
{
    return weir_conf_refuse_arg(reading->conf, reading->statement, reading->arg,
                                "invalid parameter \"%.*s\"",
                                WEIR_STR_ARG(reading->statement->args[reading->arg]));
}

static bool listen_number(const listen_reading *reading, weir_str text, int *number)
{
    uint64_t value;

    if (!weir_parse_uint(text, INT32_MAX, &value)) {
        return listen_refuse(reading);
    }
    *number = (int) value;
    return true;
}

static bool listen_size(const listen_reading *reading, weir_str text, int *bytes)
{
    uint64_t value;

    if (!weir_parse_size(text, false, INT32_MAX, &value)) {
        return listen_refuse(reading);
    }
    *bytes = (int) value;
    return true;
}

/* so_keepalive=on|off|[idle]:[interval]:[probes], of which those at the end may be left out */
static bool listen_keepalive(const listen_reading *reading, weir_str text)
{
    weir_listener_options *options = &reading->listen->options;
    int *times[] = {&options->keepalive_idle_s, &options->keepalive_interval_s};
    weir_str part;
    uint64_t value;
    bool is_said = false;

    if (weir_str_eq(text, WEIR_STR("on")) || weir_str_eq(text, WEIR_STR("off"))) {
        options->keepalive = weir_str_eq(text, WEIR_STR("on"));
        return true;
    }

    options->keepalive = 1;
    for (size_t i = 0; i < WEIR_COUNT(times) && weir_str_split(&text, ':', &part); i++) {
        if (part.len == 0) {
            continue;
        }
        if (!weir_parse_time_s(part, INT32_MAX, &value) || value == 0) {
            return listen_refuse(reading);
        }
        *times[i] = (int) value;
        is_said = true;
    }
    if (text.len != 0) {
        return listen_number(reading, text, &options->keepalive_probes);
    }
    return is_said || listen_refuse(reading);
}

/* backlog=, rcvbuf= ... */
static bool listen_valued(const listen_reading *reading, weir_str arg, bool *is_known)
{
    weir_listener_options *options = &reading->listen->options;
    weir_str value;

    *is_known = true;
    if (weir_conf_parameter(arg, "backlog=", &value)) {
        return listen_number(reading, value, &options->backlog)
               && (options->backlog != 0 || listen_refuse(reading));
    }
    if (weir_conf_parameter(arg, "rcvbuf=", &value)) {
        return listen_size(reading, value, &options->rcvbuf);
    }
    if (weir_conf_parameter(arg, "sndbuf=", &value)) {
        return listen_size(reading, value, &options->sndbuf);
    }
    if (weir_conf_parameter(arg, "deferred=", &value)) {
        if (!weir_str_eq(value, WEIR_STR("on")) && !weir_str_eq(value, WEIR_STR("off"))) {
            return listen_refuse(reading);
        }
        options->deferred = weir_str_eq(value, WEIR_STR("on"));
        return true;
    }
    if (weir_conf_parameter(arg, "fastopen=", &value)) {
        return listen_number(reading, value, &options->fastopen);
    }
    if (weir_conf_parameter(arg, "so_keepalive=", &value)) {
        return listen_keepalive(reading, value);
    }
    if (weir_conf_parameter(arg, "ipv6only=", &value)) {
        if (!weir_str_eq(value, WEIR_STR("on")) && !weir_str_eq(value, WEIR_STR("off"))) {
            return listen_refuse(reading);
        }
        options->ipv6only = weir_str_eq(value, WEIR_STR("on"));
        return true;
    }
    if (weir_conf_parameter(arg, "setfib=", &value)
        || weir_conf_parameter(arg, "accept_filter=", &value)) {
        weir_conf_warn(reading->conf, "\"%.*s\" has no effect: the kernel has no such thing",
                       WEIR_STR_ARG(arg));
        return true;
    }
    *is_known = false;
    return true;
}

static bool listen_parameter(const listen_reading *reading, weir_str arg)
{
    weir_listen *listen = reading->listen;
    bool is_known = true;

    if (weir_str_eq(arg, WEIR_STR("default_server")) || weir_str_eq(arg, WEIR_STR("default"))) {
        listen->is_default = true;
        return true;
    }
    if (weir_str_eq(arg, WEIR_STR("ssl"))) {
        listen->ssl = true;
        return true;
    }
    if (weir_str_eq(arg, WEIR_STR("proxy_protocol"))) {
        listen->proxy_protocol = true;
        return true;
    }
    if (!reading->family->parameter(reading->conf, reading->statement, reading->arg, listen,
                                    &is_known)) {
        return false;
    }
    if (is_known) {
        return true;
    }

    /* What is left is of the socket. */
    listen->options_are_given = true;
    if (weir_str_eq(arg, WEIR_STR("bind"))) {
        return true;
    }
    if (weir_str_eq(arg, WEIR_STR("deferred"))) {
        listen->options.deferred = true;
        return true;
    }
    if (weir_str_eq(arg, WEIR_STR("reuseport"))) {
        listen->options.reuseport = true;
        return true;
    }
    if (weir_str_eq(arg, WEIR_STR("multipath"))) {
        listen->options.multipath = true;
        return true;
    }
    if (!listen_valued(reading, arg, &is_known)) {
        return false;
    }
    return is_known || listen_refuse(reading);
}

/* What comes after the last `separator`, or all. */
static weir_str listen_tail(weir_str text, char separator)
{
    weir_str tail = text;

    while (weir_str_split(&text, separator, &tail) && text.len != 0) {
        tail = text;
    }
    return tail;
}

/* How many ports "host:80-83" or "80-83" names, `text` then ends with the first; 1: it is no range; 0: it goes back. */
static uint64_t listen_ports(weir_str *text)
{
    weir_str tail = listen_tail(*text, '-');
    weir_str head = *text;
    uint64_t first, last;

    if (weir_str_starts(*text, WEIR_STR("unix:")) || tail.len + 1 >= text->len) {
        return 1;
    }
    head.len -= tail.len + 1;
    if (!weir_parse_uint(listen_tail(head, ':'), UINT16_MAX, &first)
        || !weir_parse_uint(tail, UINT16_MAX, &last)) {
        return 1;
    }
    *text = head;
    return first > last ? 0 : last - first + 1;
}

/* A name may have several addresses: each becomes a listen of its own. */
static size_t listen_addresses(weir_conf *conf, weir_str text, uint16_t default_port,
                               weir_addr **list)
{
    weir_addr *one = WEIR_NEW(weir_conf_pool(conf), weir_addr);
    const char *why = "no address";
    uint64_t port;
    size_t count;

    if (one == NULL) {
        weir_conf_refuse(conf, "no memory for \"listen\"");
        return 0;
    }
    *list = one;
    if (weir_parse_uint(text, UINT64_MAX, &port)) {
        /* The system would look up 70000 as an address, 0.1.17.112. */
        count = port == 0 || port > UINT16_MAX ? 0 : 1;
        why = "invalid port";
        *one = (weir_addr){.len = sizeof(struct sockaddr_in), .in = {.sin_family = AF_INET}};
        weir_addr_set_port(one, (uint16_t) port);
    } else if (weir_addr_parse(text, default_port, one)) {
        count = 1;
    } else {
        count = weir_lookup(weir_conf_pool(conf), text, default_port, list, &why);
    }
    if (count != 0 && !weir_addr_is_unix(*list) && weir_addr_port(*list) == 0) {
        count = 0;
        why = "no port";
    }
    if (count == 0) {
        weir_conf_refuse_arg(conf, weir_conf_statement(conf), 1,
                             "%s in \"%.*s\" of the \"listen\" directive", why, WEIR_STR_ARG(text));
    }
    return count;
}

static bool listen_add(weir_conf *conf, weir_server *server, const weir_listen *listen)
{
    for (WEIR_ARRAY_EACH(&server->listens, weir_listen, other)) {
        if (weir_addr_eq(&other->addr, &listen->addr)) {
            char text[WEIR_ADDR_TEXT_MAX];

            return weir_conf_refuse(conf, "a duplicate listen %.*s",
                                    WEIR_STR_ARG(weir_addr_text(&listen->addr, true, text)));
        }
    }

    weir_listen *added = weir_array_push(&server->listens);

    if (added == NULL) {
        return weir_conf_refuse(conf, "no memory for \"listen\"");
    }
    *added = *listen;
    return true;
}

bool weir_server_listen(weir_conf *conf, const weir_server_family *family, weir_server *server,
                        const weir_statement *statement)
{
    weir_listen listen = {.options = family->listener};
    listen_reading reading = {conf, family, statement, 0, &listen};
    weir_str text = statement->args[1];
    uint64_t ports = listen_ports(&text);
    weir_addr *addresses;
    size_t count;

    if (ports == 0) {
        return weir_conf_refuse_arg(conf, statement, 1,
                                    "invalid port range in \"%.*s\" of the \"listen\" directive",
                                    WEIR_STR_ARG(statement->args[1]));
    }
    for (reading.arg = 2; reading.arg < statement->count; reading.arg++) {
        if (!listen_parameter(&reading, statement->args[reading.arg])) {
            return false;
        }
    }

    count = listen_addresses(conf, text, family->default_port, &addresses);
    if (count != 0 && weir_addr_is_unix(addresses) && listen.options.reuseport) {
        weir_conf_warn(conf, "\"reuseport\" has no effect: workers share the socket of \"%.*s\"",
                       WEIR_STR_ARG(text));
        listen.options.reuseport = false;
    }
    if (count != 0 && weir_addr_is_unix(addresses) && listen.options.multipath) {
        weir_conf_warn(conf, "\"multipath\" has no effect on the unix socket \"%.*s\"",
                       WEIR_STR_ARG(text));
        listen.options.multipath = false;
    }
    for (size_t i = 0; i < count * ports; i++) {
        uint64_t beyond = i % ports;

        listen.addr = addresses[i / ports];
        if (beyond != 0) {
            weir_addr_set_port(&listen.addr, (uint16_t) (weir_addr_port(&listen.addr) + beyond));
        }
        if (!listen_add(conf, server, &listen)) {
            return false;
        }
    }
    return count != 0;
}
