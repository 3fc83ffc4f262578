#include "modules/common/forwarded.h"

bool weir_networks_have(const weir_array *networks, const weir_addr *addr)
{
    if (networks == NULL) {
        return false;
    }
    for (WEIR_ARRAY_EACH(networks, const weir_network, network)) {
        if (weir_network_has(network, addr)) {
            return true;
        }
    }
    return false;
}

/* "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]:80", "2001:db8::1". */
static bool addr_parse(weir_str text, weir_addr *addr)
{
    return weir_addr_parse_ip(text, addr)
           || (!weir_str_starts(text, WEIR_STR("unix:")) && weir_addr_parse(text, 0, addr)
               && (addr->sa.sa_family == AF_INET || addr->sa.sa_family == AF_INET6));
}

/* The last of a list; `*rest` is what stands before. */
static weir_str last_of_list(weir_str *rest)
{
    size_t at = rest->len;

    while (at > 0 && rest->data[at - 1] != ',') {
        at--;
    }

    weir_str last = weir_str_trim(weir_str_from(*rest, at));

    *rest = weir_str_slice(*rest, 0, at == 0 ? 0 : at - 1);
    return last;
}

bool weir_forwarded_addr(weir_str list, const weir_array *trusted, bool is_recursive,
                         weir_addr *addr)
{
    bool is_found = false;

    while (list.len != 0) {
        weir_addr one;

        if (!addr_parse(last_of_list(&list), &one)) {
            break;
        }
        *addr = one;
        is_found = true;
        if (!is_recursive || !weir_networks_have(trusted, &one)) {
            break;
        }
    }
    return is_found;
}

/* ---- set_real_ip_from */

static bool from_add(weir_conf *conf, weir_array *networks, const weir_network *network)
{
    weir_network *added = weir_array_push(networks);

    if (added == NULL) {
        return weir_conf_refuse(conf, "no memory for \"set_real_ip_from\"");
    }
    *added = *network;
    return true;
}

/* All addresses of a host name, looked up once, now. */
static bool from_add_host(weir_conf *conf, weir_array *networks, const weir_statement *statement)
{
    weir_str host = statement->args[1];
    weir_addr *list;
    const char *why = "";
    size_t count = weir_lookup(weir_conf_temp_pool(conf), host, 0, &list, &why);

    if (count == 0) {
        return weir_conf_refuse_arg(conf, statement, 1, "%s", why);
    }
    for (size_t i = 0; i < count; i++) {
        char text[WEIR_ADDR_TEXT_MAX];
        weir_network network;

        if (weir_network_parse(weir_addr_text(&list[i], false, text), &network)
            && !from_add(conf, networks, &network)) {
            return false;
        }
    }
    return true;
}

bool weir_networks_call(weir_conf *conf, weir_array **networks, const weir_statement *statement)
{
    weir_str text = statement->args[1];
    weir_network network;

    if (*networks == NULL) {
        *networks = WEIR_NEW(weir_conf_pool(conf), weir_array);
        if (*networks == NULL) {
            return weir_conf_refuse(conf, "no memory for \"set_real_ip_from\"");
        }
        weir_array_init(*networks, weir_conf_pool(conf), sizeof(weir_network), 4);
    }
    if (!weir_network_parse(text, &network)) {
        return weir_str_find_byte(text, '/') != NULL ? weir_conf_refuse_arg(
                   conf, statement, 1, "invalid parameter \"%.*s\"", WEIR_STR_ARG(text))
                                                     : from_add_host(conf, *networks, statement);
    }
    if (network.has_host_bits) {
        weir_conf_warn(conf, "low address bits of %.*s are meaningless", WEIR_STR_ARG(text));
    }
    return from_add(conf, *networks, &network);
}
