/* @ipMatch and @ipMatchFromFile: whether an address lies in one of many networks. */

#include "modules/waf/operator_internal.h"

#include <stdlib.h>

#include "core/base/array.h"

/* Networks with the same family and length of prefix stand together, in order: each such group is searched by halves. */
typedef struct {
    size_t first, count;
} network_group;

struct weir_waf_networks {
    weir_network *list;
    network_group *groups;
    size_t group_count;
};

static int group_order(const weir_network *a, const weir_network *b)
{
    if (a->family != b->family) {
        return a->family < b->family ? -1 : 1;
    }
    return a->prefix_bits < b->prefix_bits ? -1 : a->prefix_bits > b->prefix_bits ? 1 : 0;
}

static int network_order(const void *left, const void *right)
{
    const weir_network *a = left, *b = right;
    int order = group_order(a, b);

    return order != 0 ? order : memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

static bool networks_add(weir_waf_operator_build *build, weir_array *list, weir_str text, size_t at)
{
    weir_network network, *added;

    text = weir_str_trim(text);
    if (weir_str_is_empty(text)) {
        return true;
    }
    if (!weir_network_parse(text, &network) || network.family == AF_UNIX) {
        return weir_waf_operator_refuse(build, at, "\"%.*s\" is no address or network",
                                        WEIR_STR_ARG(text));
    }

    added = weir_array_push(list);
    if (added == NULL) {
        return weir_waf_operator_refuse_memory(build);
    }
    *added = network;
    return true;
}

static bool networks_group(weir_waf_operator_build *build, weir_waf_operator *op, weir_array *array)
{
    weir_waf_networks *networks = WEIR_NEW(build->pool, weir_waf_networks);
    weir_array groups;

    if (array->count == 0) {
        return weir_waf_operator_refuse(build, 0, "there is no address");
    }
    if (networks == NULL) {
        return weir_waf_operator_refuse_memory(build);
    }

    networks->list = array->items;
    qsort(networks->list, array->count, sizeof(*networks->list), network_order);
    weir_array_init(&groups, build->pool, sizeof(network_group), 8);
    for (size_t i = 0; i < array->count; i++) {
        network_group *group;

        if (i > 0 && group_order(&networks->list[i - 1], &networks->list[i]) == 0) {
            WEIR_ARRAY_AT(&groups, network_group, groups.count - 1)->count++;
            continue;
        }
        group = weir_array_push(&groups);
        if (group == NULL) {
            return weir_waf_operator_refuse_memory(build);
        }
        *group = (network_group){.first = i, .count = 1};
    }

    networks->groups = groups.items;
    networks->group_count = groups.count;
    op->networks = networks;
    return true;
}

bool weir_waf_networks_compile(weir_waf_operator_build *build, weir_waf_operator *op)
{
    weir_str rest = op->parameter, text;
    weir_array list;

    weir_array_init(&list, build->pool, sizeof(weir_network), 8);
    while (weir_str_split(&rest, ',', &text)) {
        if (!networks_add(build, &list, text, (size_t) (text.data - op->parameter.data))) {
            return false;
        }
    }

    return networks_group(build, op, &list);
}

/* One a line; "#" begins a comment. */
bool weir_waf_networks_file_compile(weir_waf_operator_build *build, weir_waf_operator *op)
{
    weir_str text, line, before;
    weir_array list;

    weir_array_init(&list, build->pool, sizeof(weir_network), 64);
    if (!weir_waf_operator_file(build, weir_str_trim(op->parameter), 0, &text)) {
        return false;
    }

    while (weir_str_split(&text, '\n', &line)) {
        if (weir_str_ends(line, WEIR_STR("\r"))) {
            line.len--;
        }
        if (weir_str_split(&line, '#', &before) && !networks_add(build, &list, before, 0)) {
            return false;
        }
    }

    return networks_group(build, op, &list);
}

/* The address as a network of the group's kind, to compare with. */
static bool key_of(const weir_addr *addr, const weir_network *like, weir_network *key)
{
    unsigned bytes = like->family == AF_INET ? 4 : 16;
    const uint8_t *from;

    if (addr->sa.sa_family == AF_INET) {
        from = (const uint8_t *) &addr->in.sin_addr;
    } else {
        from = addr->in6.sin6_addr.s6_addr;
    }
    if (like->family != addr->sa.sa_family) {
        if (like->family != AF_INET || !IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr)) {
            return false;
        }
        from += 12;
    }

    *key = (weir_network){.family = like->family, .prefix_bits = like->prefix_bits};
    memcpy(key->bytes, from, bytes);
    for (unsigned i = 0; i < bytes; i++) {
        unsigned before = i * 8;

        if (before >= like->prefix_bits) {
            key->bytes[i] = 0;
        } else if (like->prefix_bits - before < 8) {
            key->bytes[i] &= (uint8_t) (0xff << (8 - (like->prefix_bits - before)));
        }
    }
    return true;
}

weir_waf_matched weir_waf_run_networks(const weir_waf_operator *op, weir_str value,
                                       weir_waf_run *run)
{
    const weir_waf_networks *networks = op->networks;
    weir_network key;
    weir_addr addr;

    (void) run;
    if (!weir_addr_parse_ip(value, &addr)) {
        return WEIR_WAF_NO_MATCH;
    }

    for (size_t i = 0; i < networks->group_count; i++) {
        const weir_network *first = networks->list + networks->groups[i].first;

        if (key_of(&addr, first, &key)
            && bsearch(&key, first, networks->groups[i].count, sizeof(*first), network_order)
                   != NULL) {
            return WEIR_WAF_MATCH;
        }
    }

    return WEIR_WAF_NO_MATCH;
}
