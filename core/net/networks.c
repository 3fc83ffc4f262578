#include "core/net/networks.h"

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

static bool networks_add(weir_conf *conf, weir_array *networks, const weir_network *network)
{
    weir_network *added = weir_array_push(networks);

    if (added == NULL) {
        return weir_conf_refuse(conf, "no memory for addresses");
    }
    *added = *network;
    return true;
}

/* All addresses of a host name, looked up once, now. */
static bool networks_add_host(weir_conf *conf, weir_array *networks,
                              const weir_statement *statement)
{
    weir_str host = statement->args[1];
    weir_addr *list;
    const char *why = "";
    size_t count = weir_lookup(weir_conf_temp_pool(conf), host, 0, &list, &why);

    if (count == 0) {
        return weir_conf_refuse_arg(conf, statement, 1, "%s in %.*s \"%.*s\"", why,
                                    WEIR_STR_ARG(statement->args[0]), WEIR_STR_ARG(host));
    }
    for (size_t i = 0; i < count; i++) {
        char text[WEIR_ADDR_TEXT_MAX];
        weir_network network;

        if (weir_network_parse(weir_addr_text(&list[i], false, text), &network)
            && !networks_add(conf, networks, &network)) {
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
            return weir_conf_refuse(conf, "no memory for addresses");
        }
        weir_array_init(*networks, weir_conf_pool(conf), sizeof(weir_network), 4);
    }
    if (!weir_network_parse(text, &network)) {
        return weir_str_find_byte(text, '/') != NULL
                   ? weir_conf_refuse_arg(conf, statement, 1, "invalid parameter \"%.*s\"",
                                          WEIR_STR_ARG(text))
                   : networks_add_host(conf, *networks, statement);
    }
    if (network.has_host_bits) {
        weir_conf_warn(conf, "low address bits of %.*s are meaningless", WEIR_STR_ARG(text));
    }
    return networks_add(conf, *networks, &network);
}
