#include "modules/common/forwarded.h"

#include "core/net/networks.h"

/* "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]:80", "2001:db8::1". */
static bool addr_parse(weir_str text, weir_addr *addr)
{
    return weir_addr_parse_ip(text, addr)
           || (!weir_str_starts(text, WEIR_STR("unix:")) && weir_addr_parse(text, 0, addr)
               && (addr->sa.sa_family == AF_INET || addr->sa.sa_family == AF_INET6));
}

/* The last of a list, of which empty ones at its end are none; `*rest` is what stands before. */
static weir_str last_of_list(weir_str *rest)
{
    size_t at;

    while (rest->len > 0
           && (rest->data[rest->len - 1] == ',' || rest->data[rest->len - 1] == ' ')) {
        rest->len--;
    }
    at = rest->len;
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
